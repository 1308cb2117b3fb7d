/* SPDX-License-Identifier: MIT
 *
 * Threads that put, get and delete the same objects of a compressed store, while others move every block, and frames are taken
 * away and given back. An object is read whole or not at all, and nothing is lost.
 */
#include "mt.h"

#include <pfa/movable.h>
#include <pfa/zstore.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 300, SHIFT = 10, PLACES = 32, MAX = 1 << SHIFT, WORKERS = 4, MOVERS = 2 };

static struct pfa_zstore *store;
static _Atomic(uintptr_t) place_lock[PLACES]; /* 0 free; taken for the exchange of a handle only */
static pfa_zobject places[PLACES];
static unsigned rounds;
static atomic_uint workers_left;
static atomic_size_t nr_gets, nr_misses, nr_puts, nr_moves;

/* Places change hands under a spin lock: 64-bit atomics are not everywhere. */
static pfa_zobject place_exchange(size_t i, pfa_zobject object, bool keep)
{
	uintptr_t expected = 0;
	while (!atomic_compare_exchange_weak_explicit(&place_lock[i], &expected, 1, memory_order_acquire,
	                                              memory_order_relaxed))
		expected = 0;
	pfa_zobject before = places[i];
	if (!keep)
		places[i] = object;
	atomic_store_explicit(&place_lock[i], 0, memory_order_release);
	return before;
}

/* An object says what it is: all of it follows from its first 8 bytes. */
static size_t make(uint64_t seed, unsigned char *out)
{
	struct rng content = {seed};
	size_t nr = 8 + rng_below(&content, MAX - 8), kinds = 1 + rng_below(&content, 64);
	memcpy(out, &seed, 8);
	for (size_t i = 8; i < nr; i++)
		out[i] = (unsigned char)rng_below(&content, kinds);
	return nr;
}

static void must_be_whole(const unsigned char *got, size_t nr)
{
	unsigned char expected[MAX];
	uint64_t seed;
	MUST(nr >= 8);
	memcpy(&seed, got, 8);
	MUST_EQ(make(seed, expected), nr);
	MUST(memcmp(got, expected, nr) == 0);
}

static void work(struct mt_thread *t)
{
	unsigned char bytes[MAX];
	size_t nr;
	for (unsigned i = 0; i < rounds; i++) {
		if (i % 32 == 0)
			(void)sched_yield();
		size_t at = rng_below(&t->rng, PLACES), what = rng_below(&t->rng, 10);
		pfa_zobject object = 0;
		if (what < 5) {
			object = place_exchange(at, 0, true);
			int err = pfa_zstore_get(store, object, bytes, sizeof(bytes), &nr);
			if (err == PFA_OK)
				must_be_whole(bytes, nr);
			else
				MUST_EQ(err, PFA_EINVAL); /* deleted by somebody else, or none */
			atomic_fetch_add_explicit(err == PFA_OK ? &nr_gets : &nr_misses, 1, memory_order_relaxed);
			continue;
		}
		if (what < 8) {
			nr = make(rng_next(&t->rng), bytes);
			int err = pfa_zstore_put(store, bytes, nr, &object);
			MUST(err == PFA_OK || err == PFA_ENOMEM);
			if (err != PFA_OK)
				object = 0;
			else
				atomic_fetch_add_explicit(&nr_puts, 1, memory_order_relaxed);
		}
		object = place_exchange(at, object, false);
		if (object)
			MUST_EQ(pfa_zstore_delete(store, object), PFA_OK);
	}
	atomic_fetch_sub(&workers_left, 1);
}

static void move(struct mt_thread *t)
{
	struct pfa *pfa = t->mt->rig.pfa;
	struct pfa_movable_info info;
	pfa_pfn heads[32];
	int results[32];
	size_t moved = 0;
	for (unsigned i = 0; atomic_load(&workers_left); i++) {
		if (i % 64 == 0)
			(void)sched_yield();
		const struct pfa_dest dest = {.size = sizeof(dest), .mode = (enum pfa_migrate_mode)(i % PFA_MIGRATE_MODES),
		                              .flags = PFA_MOVABLE};
		size_t nr = 0;
		pfa_pfn first = rng_below(&t->rng, FRAMES);
		for (pfa_pfn pfn = first; pfn < FRAMES && nr < 32; pfn++)
			if (pfa_movable_info(pfa, pfn, &info) == PFA_OK)
				heads[nr++] = pfn;
		int err = pfa_migrate(pfa, heads, nr, &dest, results);
		MUST(err == PFA_OK || err == PFA_EAGAIN);
		for (size_t k = 0; k < nr; k++) {
			/* whatever may become of it meanwhile */
			MUST(results[k] == PFA_OK || results[k] == PFA_EBUSY || results[k] == PFA_EAGAIN ||
			     results[k] == PFA_ENOMEM || results[k] == PFA_ESTOP || results[k] == PFA_EINVAL);
			moved += results[k] == PFA_OK;
		}
		if (rng_one_in(&t->rng, 4)) {
			while (t->nr_mine)
				mt_give(t, t->nr_mine - 1);
			for (unsigned k = 0; k < 20; k++)
				(void)mt_take(t, 0, PFA_MOVABLE);
		}
	}
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
	atomic_fetch_add(&nr_moves, moved);
}

int main(int argc, char **argv)
{
	static struct mt mt;
	static struct mt_thread threads[WORKERS + MOVERS];
	const struct mt_options o = mt_options(argc, argv, 6000);
	if (rig_prot_none) {
		printf("prot-none: left out: the objects are in the frames\n");
		return 0;
	}
	rounds = o.rounds;
	atomic_store(&workers_left, WORKERS);
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.frame_shift = SHIFT;
	mt.rig.cfg.max_owners = 1;
	rig_zone(&mt.rig, 0, FRAMES);
	mt_start(&mt);
	const struct pfa_zstore_config cfg = {.size = sizeof(cfg), .pfa = mt.rig.pfa, .platform = &mt.rig.os, .frame_shift = SHIFT,
	                                      .max_objects = PLACES + WORKERS, .max_blocks = FRAMES, .nr_scratch = 2};
	size_t bytes = pfa_zstore_bytes(&cfg);
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	MUST(memory != NULL);
	MUST_EQ(pfa_zstore_create(memory, bytes, &cfg, &store), PFA_OK);
	for (unsigned i = 0; i < WORKERS + MOVERS; i++)
		threads[i] = (struct mt_thread){.body = i < WORKERS ? work : move};
	mt_run(&mt, threads, WORKERS + MOVERS, o.seed);

	struct pfa_zstore_stats stats;
	size_t there = 0;
	for (size_t i = 0; i < PLACES; i++)
		there += places[i] != 0;
	pfa_zstore_stats_get(store, &stats);
	MUST_EQ(stats.objects, there);
	MUST_EQ(stats.moves, atomic_load(&nr_moves));
	MUST_EQ(rig_stats(&mt.rig, 0).allocated, stats.blocks);
	MUST(atomic_load(&nr_gets) > 0 && atomic_load(&nr_moves) > 0);
	for (size_t i = 0; i < PLACES; i++) {
		unsigned char out[MAX];
		size_t nr;
		if (!places[i])
			continue;
		MUST_EQ(pfa_zstore_get(store, places[i], out, sizeof(out), &nr), PFA_OK);
		must_be_whole(out, nr);
		MUST_EQ(pfa_zstore_delete(store, places[i]), PFA_OK);
	}
	MUST_EQ(rig_stats(&mt.rig, 0).allocated, 0);
	MUST_EQ(pfa_zstore_destroy(store), PFA_OK);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	mt_stop(&mt);
	free(memory);
	printf("zstore: %zu puts, %zu gets, %zu of objects that were gone, %zu moves\n", atomic_load(&nr_puts),
	       atomic_load(&nr_gets), atomic_load(&nr_misses), atomic_load(&nr_moves));
	return 0;
}
