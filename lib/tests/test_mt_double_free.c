/* SPDX-License-Identifier: MIT
 *
 * Racing misuse under policy REPORT: of several threads that free, split or range-free one block at once exactly one
 * wins, the others are refused, and the instance is whole afterwards.
 */
#include "mt.h"

#include <sched.h>
#include <time.h>

enum { RACERS = 3 };

enum race { RACE_FREE, RACE_SPLIT, RACE_RANGE, RACE_BULK, RACES };

static struct {
	atomic_uint arrived;
	unsigned nr; /* of racers */
	pfa_pfn pfn;
	unsigned order;
	enum race what[RACERS];
	int result[RACERS];
	unsigned rounds;
} arena;

/* Threads leave within a few instructions of each other, which a barrier that sleeps does not give. */
static void gate(struct mt_thread *t)
{
	const unsigned ticket = atomic_fetch_add(&arena.arrived, 1), goal = (ticket / arena.nr + 1) * arena.nr;
	for (unsigned spins = 0; (int)(atomic_load(&arena.arrived) - goal) < 0; spins++)
		if (spins > 1000)
			nanosleep(&(struct timespec){0, 20000}, NULL); /* somebody waits for this core */
		else if (spins > 200)
			sched_yield();
	for (size_t wait = rng_below(&t->rng, 12); wait; wait--) /* ... and all offsets of them are tried */
		(void)atomic_load_explicit(&arena.arrived, memory_order_relaxed);
}

static int race(struct pfa *pfa, enum race what, pfa_pfn pfn, unsigned order)
{
	size_t nr;
	switch (what) {
	case RACE_SPLIT: return pfa_split(pfa, pfn, order, 0);
	case RACE_RANGE: return pfa_free_range(pfa, pfn, (size_t)1 << order);
	case RACE_BULK: return pfa_free_bulk(pfa, order, 1, &pfn, &nr);
	default: return pfa_free(pfa, pfn, order);
	}
}

/* After all racers are done: who won, and what is left of the block. */
static void judge(struct mt *mt, unsigned round)
{
	unsigned won = 0, freed = 0, split = 0, misuse = 0;
	for (unsigned i = 0; i < arena.nr; i++) {
		bool ok = arena.result[i] == PFA_OK;
		MUST(ok || arena.result[i] == PFA_EMISUSE);
		won += ok;
		misuse += !ok;
		split += ok && arena.what[i] == RACE_SPLIT;
		freed += ok && arena.what[i] != RACE_SPLIT;
	}
	/* A split may be followed by the winner of a range free over the pieces; nothing can follow a free. */
	MUST(freed <= 1 && split <= 1 && won >= 1);
	bool range_after_split = split && freed;
	for (unsigned i = 0; i < arena.nr; i++)
		if (range_after_split && arena.order > 0 && arena.result[i] == PFA_OK)
			MUST(arena.what[i] == RACE_SPLIT || arena.what[i] == RACE_RANGE);
	if (!freed)
		MUST_EQ(pfa_free_range(mt->rig.pfa, arena.pfn, (size_t)1 << arena.order), PFA_OK);
	MUST_EQ(atomic_exchange(&mt->nr_faults, 0), misuse);
	if (round % 64 == 0) {
		rig_check(&mt->rig);
		MUST_EQ(rig_stats(&mt->rig, 0).allocated, 0);
	}
}

static void racer(struct mt_thread *t)
{
	struct mt *mt = t->mt;
	for (unsigned round = 0; round < arena.rounds; round++) {
		if (t->index == 0) {
			arena.order = (unsigned)rng_below(&t->rng, 5);
			const size_t limit = 1 + rng_below(&t->rng, RACES); /* only frees, frees and splits, ..., all */
			for (unsigned i = 0; i < RACERS; i++)
				arena.what[i] = (enum race)rng_below(&t->rng, limit);
			MUST_EQ(pfa_alloc(mt->rig.pfa, arena.order, PFA_MOVABLE, &arena.pfn), PFA_OK);
			/* order 0: a split of it changes nothing, so that a free may follow it: leave that out */
			for (unsigned i = 0; i < RACERS && arena.order == 0; i++)
				arena.what[i] = arena.what[i] == RACE_SPLIT ? RACE_FREE : arena.what[i];
		}
		mt_move(mt);
		gate(t);
		arena.result[t->index] = race(mt->rig.pfa, arena.what[t->index], arena.pfn, arena.order);
		gate(t);
		if (t->index == 0)
			judge(mt, round);
	}
}

static void run(const struct mt_options *o, bool wild, enum rig_cpu_way way, unsigned nr)
{
	static struct mt mt;
	static struct mt_thread threads[RACERS];
	mt_init(&mt, wild, way);
	mt.rig.pool_kind = RIG_POOL_DEFAULT; /* frames are nobody's here: no content */
	mt.rig.cfg.cache_high = wild ? 2 : 16;
	rig_zone(&mt.rig, 0, 1024);
	mt_start(&mt);
	arena.rounds = o->rounds;
	arena.nr = nr;
	atomic_store(&arena.arrived, 0);
	for (unsigned i = 0; i < nr; i++)
		threads[i] = (struct mt_thread){.body = racer};
	mt_run(&mt, threads, nr, o->seed + wild);
	mt_stop(&mt);
	printf("double free races, %s, cpu by %s: %u rounds of %u threads\n", wild ? "wild cpu ids" : "own cpus",
	       rig_cpu_way_names[way], o->rounds, nr);
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 5000);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
		for (unsigned wild = 0; wild < 2; wild++)
			run(&o, wild, (enum rig_cpu_way)way, wild ? RACERS : 2); /* two race even where there are two cores */
	return 0;
}
