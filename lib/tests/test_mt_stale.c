/* SPDX-License-Identifier: MIT
 *
 * Handles under threads. Two threads race to free by the same handle: one wins, whatever happens to the frames meanwhile.
 * A third one frees by nothing but stale handles, which point at frames that the others use: none is accepted. Two more
 * take and free the same frames all the time and must not notice: their frees always succeed.
 */
#include "mt.h"

#include <pfa/harden.h>

#include <sched.h>
#include <string.h>

enum { THREADS = 5, FRAMES = 64, KEPT = 256 };

/* Handles are handed from thread to thread through these, as (pfn, generation): all blocks are of order 0 or 1. */
struct box {
	_Atomic(uint64_t) pfn_order, generation;
	atomic_uint serial; /* odd while it is written */
};

static struct {
	struct box racing, stale[KEPT];
	atomic_size_t nr_racing, nr_won[2], nr_stale, nr_refused, nr_stale_won, nr_own;
	atomic_uint nr_ended;
	unsigned rounds;
} arena;

/* Nothing happens if another thread is writing it: halves of two handles could be a good one. */
static void box_put(struct box *box, const struct pfa_handle *h)
{
	unsigned serial = atomic_load(&box->serial);
	if ((serial & 1) || !atomic_compare_exchange_strong(&box->serial, &serial, serial + 1))
		return;
	atomic_store(&box->pfn_order, (uint64_t)h->pfn << 8 | h->order);
	atomic_store(&box->generation, h->generation);
	atomic_fetch_add(&box->serial, 1);
}

static bool box_get(struct box *box, struct pfa_handle *h)
{
	const unsigned serial = atomic_load(&box->serial);
	const uint64_t pfn_order = atomic_load(&box->pfn_order);
	*h = (struct pfa_handle){(pfa_pfn)(pfn_order >> 8), (uint32_t)atomic_load(&box->generation), pfn_order & 0xFF};
	return serial && !(serial & 1) && atomic_load(&box->serial) == serial;
}

static void bury(const struct pfa_handle *h)
{
	box_put(&arena.stale[atomic_fetch_add(&arena.nr_stale, 1) % KEPT], h);
}

/* Grants, tells, frees: and so does its rival. */
static void racer(struct mt_thread *t)
{
	struct pfa *pfa = t->mt->rig.pfa;
	for (unsigned round = 0; round < arena.rounds; round++) {
		struct pfa_handle h;
		mt_move(t->mt);
		if (pfa_alloc_checked(pfa, round % 2, PFA_MOVABLE, &h) != PFA_OK)
			continue;
		atomic_fetch_add(&arena.nr_racing, 1);
		box_put(&arena.racing, &h);
		for (size_t wait = rng_below(&t->rng, 40); wait; wait--)
			(void)atomic_load(&arena.racing.serial);
		if (rng_one_in(&t->rng, 4))
			sched_yield(); /* where there are fewer cores than threads, the rival comes to run only so */
		const int result = pfa_free_checked(pfa, &h);
		MUST(result == PFA_OK || result == PFA_EMISUSE);
		atomic_fetch_add(&arena.nr_won[0], result == PFA_OK);
		if (result != PFA_OK)
			atomic_fetch_add(&arena.nr_refused, 1);
	}
	atomic_fetch_add(&arena.nr_ended, 1);
}

static void rival(struct mt_thread *t)
{
	while (atomic_load(&arena.nr_ended) < 3) {
		struct pfa_handle h;
		if (!box_get(&arena.racing, &h))
			continue;
		const int result = pfa_free_checked(t->mt->rig.pfa, &h);
		MUST(result == PFA_OK || result == PFA_EMISUSE);
		atomic_fetch_add(&arena.nr_won[1], result == PFA_OK);
		if (result != PFA_OK)
			atomic_fetch_add(&arena.nr_refused, 1);
	}
}

static void grave_digger(struct mt_thread *t)
{
	while (atomic_load(&arena.nr_ended) < 3) {
		struct pfa_handle h;
		if (!box_get(&arena.stale[rng_below(&t->rng, KEPT)], &h))
			continue;
		const int result = pfa_free_checked(t->mt->rig.pfa, &h);
		MUST(result == PFA_OK || result == PFA_EMISUSE);
		atomic_fetch_add(&arena.nr_stale_won, result == PFA_OK);
		atomic_fetch_add(&arena.nr_refused, 1);
	}
}

/* By handle and without, split or not: what is ours is freed. */
static void owner(struct mt_thread *t)
{
	struct pfa *pfa = t->mt->rig.pfa;
	for (unsigned round = 0; round < arena.rounds; round++) {
		struct pfa_handle h;
		mt_move(t->mt);
		if (pfa_alloc_checked(pfa, (unsigned)rng_below(&t->rng, 2), PFA_MOVABLE, &h) != PFA_OK)
			continue;
		if (h.order && rng_one_in(&t->rng, 4)) {
			MUST_EQ(pfa_split(pfa, h.pfn, 1, 0), PFA_OK);
			MUST_EQ(pfa_free_range(pfa, h.pfn, 2), PFA_OK);
		} else {
			MUST_EQ(rng_one_in(&t->rng, 2) ? pfa_free(pfa, h.pfn, h.order) : pfa_free_checked(pfa, &h), PFA_OK);
		}
		bury(&h);
		atomic_fetch_add(&arena.nr_own, 1);
	}
	atomic_fetch_add(&arena.nr_ended, 1);
}

static void run(const struct mt_options *o, bool wild, enum rig_cpu_way way)
{
	static struct mt mt;
	static struct mt_thread threads[THREADS];
	static void (*const bodies[THREADS])(struct mt_thread *) = {racer, rival, grave_digger, owner, owner};
	memset(&arena, 0, sizeof(arena));
	arena.rounds = o->rounds;
	mt_init(&mt, wild, way);
	mt.rig.pool_kind = RIG_POOL_DEFAULT;
	mt.rig.cfg.cache_high = 2;
	mt.rig.cfg.flags |= PFA_CONFIG_GENERATIONS;
	rig_zone(&mt.rig, 0, FRAMES);
	mt_start(&mt);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = (struct mt_thread){.body = bodies[i]};
	mt_run(&mt, threads, THREADS, o->seed + wild);
	const size_t won = atomic_load(&arena.nr_won[0]) + atomic_load(&arena.nr_won[1]);
	MUST_EQ(won, atomic_load(&arena.nr_racing));
	MUST_EQ(atomic_load(&arena.nr_stale_won), 0);
	MUST_EQ(atomic_exchange(&mt.nr_faults, 0), (unsigned)atomic_load(&arena.nr_refused)); /* both wrap */
	MUST(atomic_load(&arena.nr_own) && won);
	mt_stop(&mt);
	printf("stale handles, %s, cpu by %s: %zu refused; %zu raced for, %zu of them won by the rival; %zu of others\n",
	       wild ? "wild cpu ids" : "own cpus", rig_cpu_way_names[way], atomic_load(&arena.nr_refused),
	       atomic_load(&arena.nr_racing), atomic_load(&arena.nr_won[1]), atomic_load(&arena.nr_own));
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 300);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
		for (unsigned wild = 0; wild < 2; wild++)
			run(&o, wild, (enum rig_cpu_way)way);
	return 0;
}
