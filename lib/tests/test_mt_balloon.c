/* SPDX-License-Identifier: MIT
 *
 * Threads that inflate and deflate one balloon, and others that move what is in it. The device's book must agree with each
 * thing that it is told.
 */
#include "mt.h"

#include <pfa/balloon.h>
#include <pfa/movable.h>

#include <sched.h>
#include <stdlib.h>

enum { FRAMES = 1000, WORKERS = 3, MOVERS = 2 };

static struct pfa_balloon *balloon;
static _Atomic(uint8_t) book[FRAMES];
static atomic_size_t nr_in;
static unsigned rounds;
static atomic_uint workers_left;

static int device(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	struct mt *mt = ctx;
	uint8_t in = event == PFA_BALLOON_INFLATED;
	for (size_t i = 0; i < nr; i++) {
		for (size_t k = 0; k < runs[i].nr_frames; k++)
			MUST_EQ(atomic_exchange_explicit(&book[runs[i].first + k], in, memory_order_relaxed), !in);
		if (in) /* nobody else may have it */
			mt_own(mt, runs[i].first, runs[i].nr_frames);
		else
			mt_disown(mt, runs[i].first, runs[i].nr_frames);
		if (in)
			atomic_fetch_add_explicit(&nr_in, runs[i].nr_frames, memory_order_relaxed);
		else
			atomic_fetch_sub_explicit(&nr_in, runs[i].nr_frames, memory_order_relaxed);
	}
	if (in && nr == 1 && runs[0].first % 4 == 0) /* the middle of a move, mostly: others deflate meanwhile */
		(void)sched_yield();
	return PFA_OK;
}

static void work(struct mt_thread *t)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (i % 8 == 0)
			(void)sched_yield();
		size_t nr = rng_below(&t->rng, 60);
		if (rng_one_in(&t->rng, 2)) {
			int err = pfa_balloon_inflate(balloon, nr, NULL);
			MUST(err == PFA_OK || err == PFA_ENOMEM || err == PFA_EAGAIN);
		} else {
			MUST_EQ(pfa_balloon_deflate(balloon, nr, NULL), PFA_OK);
		}
		if (t->nr_mine > 100)
			while (t->nr_mine)
				mt_give(t, t->nr_mine - 1);
		(void)mt_take(t, 0, PFA_MOVABLE);
	}
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
	atomic_fetch_sub(&workers_left, 1);
}

static void move(struct mt_thread *t)
{
	struct pfa *pfa = t->mt->rig.pfa;
	for (unsigned i = 0; atomic_load(&workers_left); i++) {
		if (i % 64 == 0)
			(void)sched_yield();
		const struct pfa_dest dest = {.size = sizeof(dest), .mode = (enum pfa_migrate_mode)(i % PFA_MIGRATE_MODES),
		                              .flags = PFA_MOVABLE};
		pfa_pfn pfn = rng_below(&t->rng, FRAMES);
		int result, err = pfa_migrate(pfa, &pfn, 1, &dest, &result);
		MUST(err == PFA_OK || err == PFA_EAGAIN);
	}
}

int main(int argc, char **argv)
{
	static struct mt mt;
	static struct mt_thread threads[WORKERS + MOVERS];
	const struct mt_options o = mt_options(argc, argv, 1500);
	rounds = o.rounds;
	atomic_store(&workers_left, WORKERS);
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.max_owners = 1;
	rig_zone(&mt.rig, 0, FRAMES);
	mt_start(&mt);
	const struct pfa_balloon_config cfg = {.size = sizeof(cfg), .pfa = mt.rig.pfa, .platform = &mt.rig.os,
	                                       .max_blocks = FRAMES, .tell = device, .ctx = &mt};
	size_t bytes = pfa_balloon_bytes(&cfg);
	void *memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
	MUST(memory != NULL);
	MUST_EQ(pfa_balloon_create(memory, bytes, &cfg, &balloon), PFA_OK);
	for (unsigned i = 0; i < WORKERS + MOVERS; i++)
		threads[i] = (struct mt_thread){.body = i < WORKERS ? work : move};
	mt_run(&mt, threads, WORKERS + MOVERS, o.seed);
	MUST_EQ(atomic_load(&nr_in), pfa_balloon_frames(balloon));
	MUST_EQ(rig_stats(&mt.rig, 0).allocated, pfa_balloon_frames(balloon));
	size_t moves = pfa_balloon_moves(balloon);
	MUST(moves > 0);
	MUST_EQ(pfa_balloon_destroy(balloon), PFA_OK);
	MUST_EQ(atomic_load(&nr_in), 0);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	mt_stop(&mt);
	free(memory);
	printf("balloon: %u rounds of %d threads, %zu moves\n", rounds, WORKERS, moves);
	return 0;
}
