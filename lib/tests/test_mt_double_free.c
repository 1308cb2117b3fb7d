/* SPDX-License-Identifier: MIT
 *
 * Racing misuse under policy REPORT: of several threads that free, split or range-free one block at once exactly one
 * wins, the others are refused, and the instance is whole afterwards.
 */
#include "mt.h"

enum { RACERS = 3 };

enum race { RACE_FREE, RACE_SPLIT, RACE_RANGE, RACE_BULK, RACES };

static struct {
	pthread_barrier_t gate;
	pfa_pfn pfn;
	unsigned order;
	enum race what[RACERS];
	int result[RACERS];
	unsigned rounds;
} arena;

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
	for (unsigned i = 0; i < RACERS; i++) {
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
	for (unsigned i = 0; i < RACERS; i++)
		if (range_after_split && arena.order > 0 && arena.result[i] == PFA_OK)
			MUST(arena.what[i] == RACE_SPLIT || arena.what[i] == RACE_RANGE);
	if (!freed)
		MUST_EQ(pfa_free_range(mt->rig.pfa, arena.pfn, (size_t)1 << arena.order), PFA_OK);
	MUST_EQ(atomic_exchange(&mt->nr_faults, 0), misuse);
	if (round % 16 == 0) {
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
			bool mixed = rng_one_in(&t->rng, 2);
			for (unsigned i = 0; i < RACERS; i++)
				arena.what[i] = mixed ? (enum race)rng_below(&t->rng, RACES) : RACE_FREE;
			MUST_EQ(pfa_alloc(mt->rig.pfa, arena.order, PFA_MOVABLE, &arena.pfn), PFA_OK);
			/* order 0: a split of it changes nothing, so that a free may follow it: leave that out */
			for (unsigned i = 0; i < RACERS && arena.order == 0; i++)
				arena.what[i] = arena.what[i] == RACE_SPLIT ? RACE_FREE : arena.what[i];
		}
		pthread_barrier_wait(&arena.gate);
		arena.result[t->index] = race(mt->rig.pfa, arena.what[t->index], arena.pfn, arena.order);
		pthread_barrier_wait(&arena.gate);
		if (t->index == 0)
			judge(mt, round);
	}
}

int main(int argc, char **argv)
{
	static struct mt mt;
	static struct mt_thread threads[RACERS];
	const struct mt_options o = mt_options(argc, argv, 3000);
	for (unsigned wild = 0; wild < 2; wild++) {
		mt_init(&mt, wild);
		mt.rig.pool_kind = RIG_POOL_DEFAULT; /* frames are nobody's here: no content */
		mt.rig.cfg.cache_high = wild ? 2 : 16;
		rig_zone(&mt.rig, 0, 1024);
		mt_start(&mt);
		arena.rounds = o.rounds;
		MUST_EQ(pthread_barrier_init(&arena.gate, NULL, RACERS), 0);
		for (unsigned i = 0; i < RACERS; i++)
			threads[i] = (struct mt_thread){.body = racer};
		mt_run(&mt, threads, RACERS, o.seed + wild);
		MUST_EQ(pthread_barrier_destroy(&arena.gate), 0);
		mt_stop(&mt);
		printf("double free races, %s: %u rounds of %d threads\n", wild ? "wild cpu ids" : "own cpus", o.rounds, RACERS);
	}
	return 0;
}
