/* SPDX-License-Identifier: MIT
 *
 * Walks against threads that allocate and free. Zone 1 is nobody's but for a few blocks that stay: each walk visits exactly the
 * rest. In zone 0 no frame is visited that was somebody's from before the walk until it is visited, and none twice.
 */
#include "mt.h"

#include <pfa/walk.h>

#include <string.h>

enum { THREADS = 6, WALKERS = 2, FRAMES = 4000, QUIET = 1000 };

static struct mt mt;
/* The number of walks that had begun when the frame was granted, + 1; 0: it is not held. Written after the grant, and cleared
 * before the free. */
static atomic_uint held[FRAMES + QUIET];
static atomic_uint nr_walks;
static unsigned char quiet_used[FRAMES + QUIET];

struct walk {
	unsigned number, min_order;
	unsigned char visited[FRAMES + QUIET];
	size_t nr;
};

static int visit(void *ctx, struct pfa_run run)
{
	struct walk *w = ctx;
	for (pfa_pfn pfn = run.first; pfn < run.first + run.nr_frames; pfn++) {
		MUST(pfn < FRAMES + QUIET);
		MUST_EQ(w->visited[pfn]++, 0);
		unsigned since = atomic_load(&held[pfn]);
		if (since && since <= w->number)
			rig_fail(__FILE__, __LINE__, "frame %zu was held all the time, and visited", pfn);
	}
	w->nr++;
	return 0;
}

static void walker(struct mt_thread *t)
{
	static struct walk walks[THREADS];
	struct walk *w = &walks[t->index];
	for (size_t round = 0; round < t->nr_granted; round++) {
		memset(w, 0, sizeof(*w));
		w->min_order = (unsigned)rng_below(&t->rng, 3);
		w->number = atomic_fetch_add(&nr_walks, 1) + 1;
		MUST_EQ(pfa_walk_free(mt.rig.pfa, w->min_order, visit, w, NULL), PFA_OK);
		for (pfa_pfn pfn = FRAMES; w->min_order == 0 && pfn < FRAMES + QUIET; pfn++)
			MUST_EQ(w->visited[pfn], !quiet_used[pfn]);
		MUST(w->nr >= 2);
	}
	if (t->index == 0)
		atomic_store(&mt.stop, true);
}

static void give(struct mt_thread *t, size_t i)
{
	struct mt_block b = t->mine[i];
	for (size_t k = 0; k < (size_t)1 << b.order; k++)
		atomic_store(&held[b.pfn + k], 0);
	mt_give(t, i);
}

static void churner(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		unsigned order = rng_one_in(&t->rng, 3) ? (unsigned)rng_below(&t->rng, 7) : 0;
		mt_move(&mt);
		if (rng_one_in(&t->rng, 2) && mt_take(t, order, PFA_MOVABLE | PFA_EXACT_ZONE)) {
			struct mt_block b = t->mine[t->nr_mine - 1];
			const unsigned now = atomic_load(&nr_walks) + 1;
			for (size_t i = 0; i < (size_t)1 << b.order; i++)
				atomic_store(&held[b.pfn + i], now);
		} else if (t->nr_mine) {
			give(t, rng_below(&t->rng, t->nr_mine));
		}
		if (rng_one_in(&t->rng, 50))
			MUST_EQ(pfa_cache_drain(mt.rig.pfa, PFA_ALL_CPUS), PFA_OK);
	}
	while (t->nr_mine)
		give(t, 0);
}

int main(int argc, char **argv)
{
	static struct mt_thread threads[THREADS];
	const struct mt_options o = mt_options(argc, argv, 1000);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++) {
		mt_init(&mt, false, way);
		rig_zone(&mt.rig, 0, FRAMES);
		rig_zone(&mt.rig, FRAMES, QUIET);
		mt_start(&mt);
		atomic_store(&nr_walks, 0);
		memset(held, 0, sizeof(held));
		memset(quiet_used, 0, sizeof(quiet_used));
		pfa_pfn quiet[20];
		for (unsigned i = 0; i < 20; i++) {
			const struct pfa_run window = { FRAMES + i * 48, 16 };
			MUST_EQ(pfa_alloc_window(mt.rig.pfa, 0, PFA_MOVABLE, window, &quiet[i]), PFA_OK);
			quiet_used[quiet[i]] = 1;
		}
		MUST_EQ(pfa_cache_drain(mt.rig.pfa, PFA_ALL_CPUS), PFA_OK);
		for (unsigned i = 0; i < THREADS; i++)
			threads[i] = (struct mt_thread){ .body = i < WALKERS ? walker : churner, .nr_granted = o.rounds };
		mt_run(&mt, threads, THREADS, o.seed + way);
		for (unsigned i = 0; i < 20; i++)
			MUST_EQ(pfa_free(mt.rig.pfa, quiet[i], 0), PFA_OK);
		MUST_EQ(atomic_load(&mt.nr_faults), 0);
		mt_stop(&mt);
	}
	return 0;
}
