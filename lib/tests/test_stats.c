/* SPDX-License-Identifier: MIT
 *
 * Statistics: the conservation law at every step, the counters of events, sizes of older and newer callers.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 2048 };

static size_t model_allocated[2];

/* The law, and "allocated" against our own count. */
static void law(struct rig *rig)
{
	for (unsigned zone = 0; zone < 2; zone++) {
		struct pfa_zone_stats s = rig_stats(rig, zone);
		assert_int_equal(rig_sum(&s), s.present);
		assert_int_equal(s.allocated, model_allocated[zone]);
		assert_int_equal(s.free + s.cached, s.present - model_allocated[zone]);
		assert_true(s.free_cma <= s.free);
		assert_true(s.free_highatomic <= s.reserved_highatomic);
		assert_int_equal(s.reserved_highatomic % 64, 0);
	}
}

struct block {
	pfa_pfn pfn;
	unsigned order;
};
static struct block blocks[FRAMES];
static size_t nr_blocks;

static void count(pfa_pfn pfn, unsigned order, int sign)
{
	model_allocated[pfn >= 1000] += (size_t)(sign * (1 << order));
}

static void keep(pfa_pfn pfn, unsigned order)
{
	blocks[nr_blocks++] = (struct block){pfn, order};
	count(pfn, order, 1);
}

static void one_step(struct rig *rig, struct rng *rng)
{
	static const uint32_t flags[] = {PFA_UNMOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH,
	                                 PFA_MOVABLE | PFA_ZONE(1), PFA_RECLAIMABLE | PFA_NORETRY};
	unsigned order = (unsigned)rng_below(rng, rng_one_in(rng, 3) ? 9 : 2);
	pfa_pfn pfn;
	rig->cpu = (uint32_t)rng_below(rng, 4); /* one of them is no cpu */
	switch (rng_below(rng, 12)) {
	case 0:
		EXPECT(pfa_cache_drain, PFA_OK, rig->pfa, PFA_ALL_CPUS);
		break;
	case 1:
		EXPECT(pfa_cache_purge, PFA_OK, rig->pfa, rng_below(rng, FRAMES - 10));
		break;
	case 2:
		if (pfa_alloc_exact(rig->pfa, 1 + order * 3, 0, PFA_MOVABLE, &pfn) == PFA_OK)
			for (unsigned i = 0; i < 1 + order * 3; i++)
				keep(pfn + i, 0);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		if (pfa_alloc(rig->pfa, order, flags[rng_below(rng, 6)], &pfn) == PFA_OK)
			keep(pfn, order);
		break;
	default:
		if (nr_blocks) {
			size_t i = rng_below(rng, nr_blocks);
			EXPECT(pfa_free, PFA_OK, rig->pfa, blocks[i].pfn, blocks[i].order);
			count(blocks[i].pfn, blocks[i].order, -1);
			blocks[i] = blocks[--nr_blocks];
		}
	}
}

static void test_conservation(void **state)
{
	(void)state;
	static const struct pfa_run holes[] = {{5, 9}, {300, 100}}, area = {512, 128};
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct rig rig;
		struct rng rng = {seed};
		rig_init(&rig);
		struct pfa_zone_config *z = rig_zone(&rig, 0, 1000);
		z->holes = holes;
		z->nr_holes = 2;
		z->cma = &area;
		z->nr_cma = 1;
		z->highatomic_frames = 192;
		z->mark_min = 10;
		z->mark_low = z->mark_high = 30;
		rig_zone(&rig, 1000, FRAMES - 1010);
		rig.cfg.nr_cpus = 3;
		rig.cfg.cache_high = (uint32_t)seed * 3;
		rig_start(&rig);
		nr_blocks = 0;
		memset(model_allocated, 0, sizeof(model_allocated));
		for (unsigned step = 0; step < 3000; step++) {
			one_step(&rig, &rng);
			law(&rig);
		}
		rig_check(&rig);
		while (nr_blocks) {
			nr_blocks--;
			EXPECT(pfa_free, PFA_OK, rig.pfa, blocks[nr_blocks].pfn, blocks[nr_blocks].order);
		}
		rig_stop(&rig);
	}
}

static void test_present(void **state)
{
	(void)state;
	struct rig rig;
	const struct pfa_run hole = {10, 20};
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 5, 1000);
	z->holes = &hole;
	z->nr_holes = 1;
	z->mark_min = 1;
	z->mark_low = 2;
	z->mark_high = 3;
	rig_start(&rig);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.present, 980);
	assert_int_equal(s.free, 980);
	assert_int_equal(s.mark_min, 1);
	assert_int_equal(s.mark_low, 2);
	assert_int_equal(s.mark_high, 3);
	assert_int_equal(s.free_isolated + s.held_report + s.held_move + s.quarantined + s.bad, 0);
	struct pfa_stats all = rig_events(&rig);
	assert_int_equal(all.nr_zones, 1);
	assert_int_equal(all.nr_cpus, 1);
	assert_int_equal(all.nr_fail + all.nr_drain + all.nr_misuse + all.nr_corrupt, 0);
	rig_stop(&rig);
}

static void test_events(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn, other;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.cache_high = 8;
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, PFA_MOVABLE, &pfn);
	assert_true(rig_stats(&rig, 0).nr_direct + rig_stats(&rig, 0).nr_refill >= 1);
	size_t direct = rig_stats(&rig, 0).nr_direct;
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){1500, 1}), &other);
	assert_int_equal(rig_stats(&rig, 0).nr_direct, direct + 1);
	assert_true(rig_stats(&rig, 0).max_lock_steps < 10000);
	size_t fails = rig_events(&rig).nr_fail;
	EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){1500, 1}), &other);
	assert_int_equal(rig_events(&rig).nr_fail, fails + 1);
	EXPECT(pfa_alloc, PFA_EINVAL, rig.pfa, 99, PFA_MOVABLE, &other);
	assert_int_equal(rig_events(&rig).nr_fail, fails + 1); /* a wrong question is no refusal */
	EXPECT(pfa_free, PFA_OK, rig.pfa, 1500, 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 8);
	rig_stop(&rig);
}

/* Callers that were compiled against a shorter struct get their part; sizes that never were are refused. */
static void test_sizes(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_zone_stats z;
	struct pfa_stats s;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	memset(&z, 0xEE, sizeof(z));
	EXPECT(pfa_zone_stats_get, PFA_OK, rig.pfa, 0, &z, offsetof(struct pfa_zone_stats, cached));
	assert_int_equal(z.present, FRAMES);
	assert_int_equal(z.free, FRAMES);
	assert_int_equal(((unsigned char *)&z.cached)[0], 0xEE);
	memset(&s, 0xEE, sizeof(s));
	EXPECT(pfa_stats_get, PFA_OK, rig.pfa, &s, sizeof(size_t));
	assert_int_equal(s.nr_zones, 1);
	assert_int_equal(((unsigned char *)&s.nr_cpus)[0], 0xEE);
	EXPECT(pfa_zone_stats_get, PFA_EINVAL, rig.pfa, 1, &z, sizeof(z));
	EXPECT(pfa_zone_stats_get, PFA_EINVAL, rig.pfa, UINT32_MAX, &z, sizeof(z));
	const size_t bad[] = {0, 1, sizeof(size_t) + 1, sizeof(z) + sizeof(size_t), SIZE_MAX};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT(pfa_zone_stats_get, PFA_EINVAL, rig.pfa, 0, &z, bad[i]);
		EXPECT(pfa_stats_get, PFA_EINVAL, rig.pfa, &s, bad[i]);
	}
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_conservation), TEST(test_present), TEST(test_events), TEST(test_sizes),
};
UNIT_MAIN(tests)
