/* SPDX-License-Identifier: MIT
 *
 * Bad frames: free, in a cache, in a block that somebody has; counted, and never offered again.
 */
#include "unit.h"

#include <pfa/harden.h>

#include <string.h>

enum { FRAMES = 1024 };
static pfa_pfn pfns[FRAMES];

static void base(struct rig *rig, uint32_t high)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
	rig->cfg.cache_high = high;
	rig->cfg.nr_cpus = 2;
	rig_start(rig);
}

static void is_bad(struct rig *rig, pfa_pfn pfn, size_t nr)
{
	assert_int_equal(rig_info(rig, pfn).state, PFA_FRAME_BAD);
	assert_int_equal(rig_stats(rig, 0).bad, nr);
	rig_check(rig);
}

/* Everything that can be got is taken: no bad frame among it, and nothing but these is missing. */
static void take_the_rest(struct rig *rig, size_t nr_bad)
{
	size_t free = rig_stats(rig, 0).free + rig_stats(rig, 0).cached;
	size_t nr = rig_take_all(rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, free);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(rig_info(rig, pfns[i]).state, PFA_FRAME_HEAD);
	assert_int_equal(rig_stats(rig, 0).bad, nr_bad);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[i], 0);
	rig_check(rig);
}

static void test_free_frame(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 3; level++) {
		struct rig rig;
		pfa_pfn pfn;
		rig_init(&rig);
		rig_zone(&rig, 0, FRAMES);
		rig.cfg.hardening = level;
		rig_start(&rig);
		EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 77);
		is_bad(&rig, 77, 1);
		EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 77); /* it is */
		is_bad(&rig, 77, 1);
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 77, 0);
		assert_int_equal(rig.fault.kind, PFA_FAULT_BAD);
		EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){77, 1}), &pfn);
		for (pfa_pfn at = 0; at < FRAMES; at += 64) /* one in each pageblock: nothing larger is left */
			EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, at + 5);
		EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 6, PFA_MOVABLE, &pfn);
		take_the_rest(&rig, 17);
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		rig_stop(&rig);
	}
}

static void test_cached_frame(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 5; order++) {
		struct rig rig;
		pfa_pfn pfn;
		base(&rig, 8);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &pfn);
		rig.cpu = 1; /* another cpu's cache has it */
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
		rig.cpu = 0;
		pfa_pfn victim = pfn + ((size_t)1 << order) - 1;
		assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_CACHED);
		EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, victim);
		is_bad(&rig, victim, 1);
		take_the_rest(&rig, 1);
		rig_stop(&rig);
	}
}

/* Recorded, and bad when its block comes back, whatever way it takes. */
static void test_allocated_frame(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 8; order++) {
		for (unsigned way = 0; way < 4; way++) {
			struct rig rig;
			pfa_pfn pfn, victim;
			size_t nr = (size_t)1 << order, done;
			base(&rig, 8);
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &pfn);
			victim = pfn + nr / 2;
			EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, victim);
			EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, victim);
			rig_check(&rig);
			assert_int_equal(rig_stats(&rig, 0).bad, 0);
			switch (way) {
			case 0:
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
				break;
			case 1:
				EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, order, 1, &pfn, &done);
				break;
			case 2:
				EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, nr);
				break;
			default:
				EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, order, 0);
				for (size_t i = 0; i < nr; i++)
					EXPECT(pfa_free, PFA_OK, rig.pfa, pfn + i, 0);
			}
			is_bad(&rig, victim, 1);
			assert_int_equal(rig_stats(&rig, 0).free + rig_stats(&rig, 0).cached, FRAMES - 1);
			take_the_rest(&rig, 1);
			/* The pageblock's frees use the cache again. */
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE,
			       ((struct pfa_run){victim & ~(pfa_pfn)63, 64}), &pfn);
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
			assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_CACHED);
			rig_stop(&rig);
		}
	}
}

/* All frames of a block, and of a reserve that is given up. */
static void test_many(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES)->highatomic_frames = 64;
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 6, PFA_HIGH, &pfn);
	assert_int_equal(rig_type(&rig, pfn), PFA_TYPE_HIGHATOMIC);
	for (size_t i = 0; i < 64; i += 2)
		EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, pfn + i);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
	is_bad(&rig, pfn + 62, 32);
	for (size_t i = 1; i < 64; i += 2)
		EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, pfn + i);
	is_bad(&rig, pfn, 64);
	take_the_rest(&rig, 64);
	rig_stop(&rig);
}

static void test_no_frame(void **state)
{
	(void)state;
	struct rig rig;
	static const struct pfa_run hole = {10, 3};
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 5, 300);
	z->holes = &hole;
	z->nr_holes = 1;
	rig_start(&rig);
	EXPECT(pfa_mark_bad, PFA_ERANGE, rig.pfa, 4);
	EXPECT(pfa_mark_bad, PFA_ERANGE, rig.pfa, 11);
	EXPECT(pfa_mark_bad, PFA_ERANGE, rig.pfa, 305);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 5);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 304);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 13);
	is_bad(&rig, 13, 3);
	assert_int_equal(rig_stats(&rig, 0).present, 297);
	rig_stop(&rig);
}

/* Free, says the map; an owner's, says the byte. */
/* A pageblock of the reserve whose frames are all bad is no reserve: another one may take its share. */
static void test_reserve_lost(void **state)
{
	enum { PB = 64 };
	(void)state;
	for (unsigned in_use = 0; in_use < 2; in_use++) {
		struct rig rig;
		pfa_pfn pfn;
		rig_init(&rig);
		rig_zone(&rig, 0, FRAMES)->highatomic_frames = PB;
		rig.cfg.pageblock_order = 6;
		rig_start(&rig);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 6, PFA_UNMOVABLE | PFA_HIGH, &pfn);
		assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, PB);
		if (!in_use)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
		for (unsigned i = 0; i < PB; i++)
			EXPECT(pfa_mark_bad, in_use ? PFA_EAGAIN : PFA_OK, rig.pfa, pfn + i);
		if (in_use)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
		is_bad(&rig, pfn, PB);
		assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, 0);
		assert_int_equal(rig_type(&rig, pfn), PFA_TYPE_MOVABLE);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 6, PFA_UNMOVABLE | PFA_HIGH, &pfn);
		assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, PB);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
		rig_stop(&rig);
	}
}

static void test_damaged(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, PFA_EXPLICIT_0);
	unsigned char *bytes = rig_region(&rig, "frame_bytes", NULL);
	bytes[9] = 0x20;
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, 9);
	assert_int_equal(rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
	assert_string_equal(rig.fault.function, "pfa_mark_bad");
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, 10);
	rig_drop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_free_frame), TEST(test_cached_frame), TEST(test_allocated_frame),
	TEST(test_many), TEST(test_no_frame), TEST(test_reserve_lost), TEST(test_damaged),
};
UNIT_MAIN(tests)
