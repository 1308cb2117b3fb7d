/* SPDX-License-Identifier: MIT
 *
 * Everything that threads may do at once: all orders and forms, frees by other threads, drains, purges, disable and
 * enable, statistics, printing, queries, service, and the checker in its running mode.
 */
#include "mt.h"

/* Statistics, checker, texts, caches: what an administrator's thread does. */
static void swallow(void *ctx, const char *bytes, size_t nr)
{
	(void)bytes;
	*(size_t *)ctx += nr;
}

static void look(struct mt_thread *t)
{
	struct rig *rig = &t->mt->rig;
	struct pfa_violation v;
	const unsigned zone = (unsigned)rng_below(&t->rng, rig->cfg.nr_zones);
	const struct pfa_zone_config *z = &rig->zones[zone];
	size_t written = 0;
	unsigned order;
	switch (rng_below(&t->rng, 6)) {
	case 0: {
		struct pfa_zone_stats s = rig_stats(rig, zone);
		MUST_EQ(rig_sum(&s), s.present); /* at every snapshot, not only at rest */
		break;
	}
	case 1: {
		int err = pfa_check(rig->pfa, rng_one_in(&t->rng, 2) ? PFA_CHECK_FRAMES : 0, &v);
		if (err)
			rig_fail(__FILE__, __LINE__, "running check: %s, zone %u, pfn %zu: expected %zu, actual %zu", v.what,
			         v.zone, v.pfn, v.expected, v.actual);
		break;
	}
	case 2: {
		const struct pfa_run run = {z->start + rng_below(&t->rng, z->nr_frames), 100};
		int err = pfa_check_range(rig->pfa, run, PFA_CHECK_FRAMES, &v);
		if (err)
			rig_fail(__FILE__, __LINE__, "running check of a range: %s, pfn %zu", v.what, v.pfn);
		break;
	}
	case 3: {
		const enum pfa_print_what what = (enum pfa_print_what)rng_below(&t->rng, PFA_PRINT_WHATS);
		MUST_EQ(pfa_print(rig->pfa, what, swallow, &written), PFA_OK);
		MUST(written > 0 || what == PFA_PRINT_LIVE); /* where nothing lives there is nothing to say */
		break;
	}
	case 4: {
		int err = pfa_largest_free(rig->pfa, PFA_MOVABLE, &order);
		MUST(err == PFA_ENOMEM || (err == PFA_OK && order <= rig->cfg.max_order));
		break;
	}
	default:
		(void)rig_info(rig, z->start + rng_below(&t->rng, z->nr_frames));
		(void)rig_type(rig, z->start + rng_below(&t->rng, z->nr_frames));
		(void)rig_events(rig);
	}
}

/* alone: other threads are not there, though what they were about may be (a fork). */
static void manage(struct mt_thread *t, bool alone)
{
	struct rig *rig = &t->mt->rig;
	const struct pfa_zone_config *z = &rig->zones[rng_below(&t->rng, rig->cfg.nr_zones)];
	switch (rng_below(&t->rng, 4)) {
	case 0:
		MUST_EQ(pfa_cache_drain(rig->pfa, rng_one_in(&t->rng, 2) ? PFA_ALL_CPUS : 1), PFA_OK);
		break;
	case 1:
		MUST_EQ(pfa_cache_purge(rig->pfa, z->start + rng_below(&t->rng, z->nr_frames)), PFA_OK);
		break;
	case 2:
		MUST_EQ(pfa_cache_disable(rig->pfa), PFA_OK);
		for (unsigned i = 0; i < rig->cfg.nr_zones; i++)
			MUST_EQ(rig_stats(rig, i).cached, 0); /* drained, and nothing comes back */
		MUST_EQ(pfa_cache_enable(rig->pfa), PFA_OK);
		break;
	default: {
		int err = pfa_service(rig->pfa, 3, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN || (err == PFA_EBUSY && !alone));
	}
	}
}

/* The forms that end in order-0 frames or ranges. */
static void odd_forms(struct mt_thread *t)
{
	struct mt *mt = t->mt;
	pfa_pfn pfn, many[16];
	size_t nr = 1 + rng_below(&t->rng, 40), got;
	const struct pfa_run window = {rng_below(&t->rng, 2000), 1 + rng_below(&t->rng, 500)};
	switch (rng_below(&t->rng, 4)) {
	case 0:
		if (pfa_alloc_exact(mt->rig.pfa, nr, 0, PFA_MOVABLE, &pfn) != PFA_OK)
			break;
		mt_own(mt, pfn, nr);
		mt_disown(mt, pfn, nr);
		MUST_EQ(pfa_free_range(mt->rig.pfa, pfn, nr), PFA_OK);
		break;
	case 1:
		if (!mt_take(t, 5, PFA_RECLAIMABLE))
			break;
		pfn = t->mine[--t->nr_mine].pfn;
		MUST_EQ(pfa_split(mt->rig.pfa, pfn, 5, 2), PFA_OK);
		mt_disown(mt, pfn, 32);
		MUST_EQ(pfa_free(mt->rig.pfa, pfn + 8, 2), PFA_OK);
		MUST_EQ(pfa_free_range(mt->rig.pfa, pfn, 8), PFA_OK);
		MUST_EQ(pfa_free_range(mt->rig.pfa, pfn + 12, 20), PFA_OK);
		break;
	case 2:
		if (pfa_alloc_window(mt->rig.pfa, 2, PFA_UNMOVABLE, window, &pfn) != PFA_OK)
			break;
		MUST(pfn >= window.first && pfn + 4 <= window.first + window.nr_frames);
		mt_own(mt, pfn, 4);
		mt_disown(mt, pfn, 4);
		MUST_EQ(pfa_free(mt->rig.pfa, pfn, 2), PFA_OK);
		break;
	default:
		(void)!pfa_alloc_bulk(mt->rig.pfa, 1, PFA_MOVABLE, 16, many, &got);
		for (size_t i = 0; i < got; i++)
			mt_own(mt, many[i], 2);
		for (size_t i = 0; i < got; i++)
			mt_disown(mt, many[i], 2);
		MUST_EQ(pfa_free_bulk(mt->rig.pfa, 1, got, many, &nr), PFA_OK);
		MUST_EQ(nr, got);
	}
}

void mt_mix_step(struct mt_thread *t, unsigned round, bool alone)
{
	static const uint32_t flags[] = {PFA_UNMOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH,
	                                 PFA_MOVABLE | PFA_NOWAIT, PFA_UNMOVABLE | PFA_NORETRY, PFA_UNMOVABLE | PFA_HIGH,
	                                 PFA_MOVABLE};
	unsigned order = (unsigned)rng_below(&t->rng, rng_one_in(&t->rng, 4) ? t->mt->rig.cfg.max_order + 1 : 3);
	switch (rng_below(&t->rng, 24)) {
	case 0:
		look(t);
		break;
	case 1:
		manage(t, alone);
		break;
	case 2:
		odd_forms(t);
		break;
	case 3:
	case 4:
		if (!alone)
			mt_hand_over(t);
		break;
	case 5:
	case 6:
		if (!alone)
			mt_free_foreign(t);
		break;
	case 7:
	case 8:
	case 9:
		if (t->nr_mine)
			mt_give(t, rng_below(&t->rng, t->nr_mine));
		break;
	default:
		/* in waves, so that memory runs out and comes back */
		if (round / 300 % 2 && t->nr_mine)
			mt_give(t, rng_below(&t->rng, t->nr_mine));
		else
			(void)mt_take(t, order, flags[rng_below(&t->rng, 8)]);
	}
}
