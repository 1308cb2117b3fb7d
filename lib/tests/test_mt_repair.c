/* SPDX-License-Identifier: MIT
 *
 * pfa_repair() while threads allocate and free. First of a sound instance: nothing changes, nothing is lost. Then, from level 2
 * on, something derived of the first zone is damaged under its lock again and again: nobody is granted what another has,
 * nobody hangs, and what is not on offer at the end is what the library said that it kept or gave up.
 */
#include "mt.h"

#include <pfa/harden.h>

enum { WORKERS = 4, ZONE = 3000 };

static struct mt mt;
static atomic_bool armed, repaired;
static atomic_size_t damages, undecided; /* frames whose free met damage */
static size_t given_up, zones_repaired;
static unsigned rounds;
static struct {
	unsigned char *start;
	size_t bytes;
} regions[3];

/* The lock of the zone is held. */
static void damage(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx, (void)pfa;
	if (zone != 0 || !atomic_exchange(&armed, false))
		return;
	size_t nr = atomic_fetch_add(&damages, 1), i = nr % 3;
	regions[i].start[nr * 2654435761u % regions[i].bytes] ^= (unsigned char)(1u << nr / 3 % 5);
}

static void take(struct mt_thread *t)
{
	static const uint32_t flags[] = {PFA_MOVABLE, PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_NORETRY};
	const unsigned order = (unsigned)(rng_below(&t->rng, 6) * rng_below(&t->rng, 6) / 5);
	pfa_pfn pfn;
	if (t->nr_mine == sizeof(t->mine) / sizeof(t->mine[0]))
		return;
	mt_move(&mt);
	int err = pfa_alloc(mt.rig.pfa, order, flags[rng_below(&t->rng, 4)], &pfn);
	MUST(err == PFA_OK || err == PFA_ENOMEM || err == PFA_EAGAIN || (err == PFA_ECORRUPT && atomic_load(&damages)));
	if (err == PFA_ECORRUPT) /* it may have been taken, and then found to be damaged */
		atomic_fetch_add(&undecided, (size_t)1 << order);
	if (err != PFA_OK)
		return;
	mt_own(&mt, pfn, (size_t)1 << order);
	t->mine[t->nr_mine++] = (struct mt_block){pfn, order};
	t->nr_granted++;
}

static void give(struct mt_thread *t, size_t i)
{
	const struct mt_block b = t->mine[i];
	t->mine[i] = t->mine[--t->nr_mine];
	mt_move(&mt);
	mt_disown(&mt, b.pfn, (size_t)1 << b.order);
	int err = pfa_free(mt.rig.pfa, b.pfn, b.order);
	MUST(err == PFA_OK || (err == PFA_ECORRUPT && atomic_load(&damages)));
	if (err != PFA_OK)
		atomic_fetch_add(&undecided, (size_t)1 << b.order);
}

static void work(struct mt_thread *t)
{
	for (unsigned round = 0; round < rounds || !atomic_load(&repaired); round++) {
		if (t->nr_mine && rng_one_in(&t->rng, 2))
			give(t, rng_below(&t->rng, t->nr_mine));
		else
			take(t);
	}
	while (t->nr_mine)
		give(t, t->nr_mine - 1);
}

static void repair_all(unsigned flags)
{
	struct pfa_repair out;
	MUST_EQ(pfa_repair(mt.rig.pfa, flags, &out), PFA_OK);
	given_up += out.given_up;
	zones_repaired += out.zones;
}

static void repair_sound(struct mt_thread *t)
{
	(void)t;
	for (unsigned round = 0; round < rounds / 50; round++)
		repair_all(0);
	MUST_EQ(zones_repaired, 0);
	atomic_store(&repaired, true);
}

static void repair_damaged(struct mt_thread *t)
{
	for (unsigned round = 0; round < rounds / 50; round++) {
		if (rng_one_in(&t->rng, 4))
			atomic_store(&armed, true);
		int err = pfa_service(mt.rig.pfa, 1, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN || err == PFA_ECORRUPT);
		repair_all(0);
	}
	atomic_store(&armed, false);
	atomic_store(&repaired, true);
}

static void begin(enum rig_cpu_way way, void (*repair)(struct mt_thread *), uint64_t seed)
{
	static struct mt_thread threads[WORKERS + 1];
	size_t granted = 0;
	given_up = zones_repaired = 0;
	atomic_store(&repaired, false);
	mt_init(&mt, false, way);
	mt.rig.cfg.cache_high = 16;
	mt.rig.cfg.pageblock_order = 7;
	mt.rig.cfg.max_order = 8;
	rig_zone(&mt.rig, 0, ZONE);
	rig_zone(&mt.rig, ZONE, 1000);
	mt_start(&mt);
	if (repair == repair_damaged) {
		static const char *const names[] = {"leaves", "sets", "pageblocks"};
		for (unsigned i = 0; i < 3; i++)
			MUST(regions[i].start = rig_region(&mt.rig, names[i], &regions[i].bytes));
		pfa_debug_on_unlock(mt.rig.pfa, damage, NULL);
	}
	for (unsigned i = 0; i <= WORKERS; i++)
		threads[i] = (struct mt_thread){.body = i ? work : repair};
	mt_run(&mt, threads, WORKERS + 1, seed);
	for (unsigned i = 0; i <= WORKERS; i++)
		granted += threads[i].nr_granted;
	MUST(granted > 0);
	printf("repair, cpu by %s: %zu blocks granted, %zu damages, %zu zones repaired, %zu frames undecided, %zu given up\n",
	       rig_cpu_way_names[way], granted, atomic_load(&damages), zones_repaired, atomic_load(&undecided), given_up);
}

static void end_damaged(void)
{
	size_t allocated = 0, bad = 0;
	repair_all(0);
	MUST_EQ(pfa_cache_drain(mt.rig.pfa, PFA_ALL_CPUS), PFA_OK);
	rig_check(&mt.rig);
	for (unsigned zone = 0; zone < 2; zone++) {
		struct pfa_zone_stats s = rig_stats(&mt.rig, zone);
		allocated += s.allocated;
		bad += s.bad;
	}
	MUST_EQ(bad, given_up);
	MUST(allocated <= atomic_load(&undecided));
	MUST(atomic_load(&damages) > 0 && zones_repaired > 0);
	rig_drop(&mt.rig);
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 3000);
	rounds = o.rounds;
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++) {
		atomic_store(&damages, 0);
		atomic_store(&undecided, 0);
		begin((enum rig_cpu_way)way, repair_sound, o.seed);
		MUST_EQ(atomic_load(&mt.nr_faults), 0);
		mt_stop(&mt);
		if (rig_level < 2)
			continue;
		begin((enum rig_cpu_way)way, repair_damaged, o.seed);
		end_damaged();
	}
	return 0;
}
