/* SPDX-License-Identifier: MIT
 *
 * Threads that compete for the last frames. There is provably one free frame for each request at each moment: no
 * request may be refused. Whatever a thread gave back must be found again, in whichever cache it lies.
 */
#include "mt.h"

enum { THREADS = 4 };

static unsigned rounds;

static void compete(struct mt_thread *t)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (!mt_take(t, 0, (uint32_t)rng_below(&t->rng, 3)))
			rig_fail(__FILE__, __LINE__, "thread %u: refused in round %u though a frame was free", t->index, i);
		mt_give(t, 0);
	}
}

/* All frames but `left` of them are taken beforehand. */
static void run(const struct mt_options *o, uint32_t cache_high, size_t left, enum rig_cpu_way way, const char *name)
{
	static struct mt mt;
	static struct mt_thread threads[THREADS];
	pfa_pfn pfns[1024];
	size_t nr;
	mt_init(&mt, false, way);
	mt.rig.cfg.cache_high = cache_high;
	rig_zone(&mt.rig, 0, 1024);
	mt_start(&mt);
	MUST_EQ(pfa_alloc_bulk(mt.rig.pfa, 0, PFA_MOVABLE, 1024 - left, pfns, &nr), PFA_OK);
	rounds = o->rounds / RIG_CPU_WAYS;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = (struct mt_thread){.body = compete};
	mt_run(&mt, threads, THREADS, o->seed);
	MUST_EQ(pfa_free_bulk(mt.rig.pfa, 0, 1024 - left, pfns, &nr), PFA_OK);
	mt_stop(&mt);
	printf("last frames, %s, cpu by %s: %u rounds of %d threads over %zu frames, none refused\n", name,
	       rig_cpu_way_names[way], rounds, THREADS, left);
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 4000);
	for (unsigned i = 0; i < RIG_CPU_WAYS; i++) {
		const enum rig_cpu_way way = (enum rig_cpu_way)i;
		run(&o, PFA_EXPLICIT_0, THREADS, way, "no caches");
		/* Four cpus with three slots of one entry: 12 frames may lie in caches, and each thread holds one. */
		run(&o, 1, 12 + THREADS, way, "one entry a slot");
		run(&o, 8, 96 + THREADS, way, "caches of 8");
	}
	return 0;
}
