/* SPDX-License-Identifier: MIT
 *
 * Zones: order of fallback, the exact zone, shared pageblocks, holes, unaligned starts and ends, far-away pfns.
 */
#include "unit.h"

#include <string.h>

static pfa_pfn pfns[8192];

static pfa_pfn take(struct rig *rig, unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, flags, &pfn);
	return pfn;
}

static void free_all(struct rig *rig, unsigned order, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[i], order);
}

static void test_fallback_order(void **state)
{
	(void)state;
	for (unsigned cached = 0; cached < 2; cached++) {
		struct rig rig;
		rig_init(&rig);
		rig.cfg.cache_high = cached ? 0 : PFA_EXPLICIT_0;
		rig_zone(&rig, 2000, 500); /* configured order, not address order */
		rig_zone(&rig, 0, 500);
		rig_zone(&rig, 1000, 500);
		rig_start(&rig);
		size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192);
		assert_int_equal(nr, 1500);
		static const pfa_pfn starts[] = {2000, 0, 1000};
		for (size_t i = 0; i < nr; i++)
			assert_true(pfns[i] >= starts[i / 500] && pfns[i] < starts[i / 500] + 500);
		free_all(&rig, 0, nr);
		/* Beginning at a zone: those before it are never used. */
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_ZONE(1), PFA_ENOMEM, pfns, 8192);
		assert_int_equal(nr, 1000);
		for (size_t i = 0; i < nr; i++)
			assert_true(pfns[i] >= starts[1 + i / 500] && pfns[i] < starts[1 + i / 500] + 500);
		assert_int_equal(rig_stats(&rig, 0).free, 500);
		free_all(&rig, 0, nr);
		for (unsigned zone = 0; zone < 3; zone++) {
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
			nr = rig_take_all(&rig, 0, PFA_EXACT_ZONE | PFA_ZONE(zone), PFA_ENOMEM, pfns, 8192);
			assert_int_equal(nr, 500);
			for (size_t i = 0; i < nr; i++) {
				assert_true(pfns[i] >= starts[zone] && pfns[i] < starts[zone] + 500);
				assert_int_equal(rig_info(&rig, pfns[i]).zone, zone);
			}
			free_all(&rig, 0, nr);
		}
		rig_stop(&rig);
	}
}

/* The cache of a zone that may not be used must not serve. */
static void test_exact_zone_past_another_zones_cache(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	rig_init(&rig);
	rig_zone(&rig, 0, 1024);
	rig_zone(&rig, 1024, 1024);
	rig_start(&rig);
	EXPECT(pfa_free, PFA_OK, rig.pfa, take(&rig, 0, PFA_MOVABLE), 0); /* the cache of zone 0 has frames now */
	for (unsigned i = 0; i < 50; i++) {
		pfns[i] = take(&rig, 0, PFA_MOVABLE | PFA_ZONE(1));
		assert_true(pfns[i] >= 1024);
	}
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_EXACT_ZONE, 50, pfns + 50, &nr);
	for (unsigned i = 50; i < 100; i++)
		assert_true(pfns[i] < 1024);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_ZONE(1), 50, pfns + 100, &nr);
	for (unsigned i = 100; i < 150; i++)
		assert_true(pfns[i] >= 1024);
	free_all(&rig, 0, 150);
	rig_stop(&rig);
}

/* Every start and end around a pageblock and the largest block: all frames are found, none twice, blocks stay inside. */
static void test_unaligned(void **state)
{
	(void)state;
	static const pfa_pfn starts[] = {0, 1, 31, 63, 64, 65, 100, 255, 257};
	static const size_t sizes[] = {1, 2, 63, 64, 65, 127, 200, 256, 300, 511};
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
			struct rig rig;
			const pfa_pfn first = starts[s], end = first + sizes[n];
			rig_init(&rig);
			rig_zone(&rig, first, sizes[n]);
			rig_start(&rig);
			rig_check(&rig);
			for (unsigned order = 0; order <= 8; order++) {
				const size_t size = (size_t)1 << order;
				size_t fits = end / size - (first + size - 1) / size;
				if (end / size < (first + size - 1) / size)
					fits = 0;
				size_t nr = rig_take_all(&rig, order, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192);
				assert_int_equal(nr, fits);
				for (size_t i = 0; i < nr; i++)
					assert_true(pfns[i] >= first && pfns[i] + size <= end);
				rig_check(&rig);
				free_all(&rig, order, nr);
			}
			rig_stop(&rig);
		}
	}
}

/* Two zones in one pageblock: their frames never mix nor merge. */
static void test_shared_pageblock(void **state)
{
	(void)state;
	for (pfa_pfn seam = 64; seam <= 128; seam += 16) {
		struct rig rig;
		rig_init(&rig);
		rig_zone(&rig, 0, seam);
		rig_zone(&rig, seam, 256 - seam);
		rig_start(&rig);
		for (unsigned order = 0; order <= 8; order++) {
			size_t nr = rig_take_all(&rig, order, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192);
			const size_t size = (size_t)1 << order;
			assert_int_equal(nr, seam / size + 256 / size - (seam + size - 1) / size);
			for (size_t i = 0; i < nr; i++) {
				unsigned zone = rig_info(&rig, pfns[i]).zone;
				assert_int_equal(zone, pfns[i] >= seam);
				assert_int_equal(rig_info(&rig, pfns[i] + size - 1).zone, zone);
			}
			rig_check(&rig);
			for (size_t i = 0; i < nr; i++) /* from both ends */
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i % 2 ? nr - 1 - i / 2 : i / 2], order);
			rig_check(&rig);
		}
		/* One pageblock, two records: each zone types its own part. */
		if (seam % 64) {
			pfa_pfn a = take(&rig, 0, PFA_UNMOVABLE | PFA_EXACT_ZONE | PFA_ZONE(0));
			pfa_pfn b = take(&rig, 0, PFA_RECLAIMABLE | PFA_EXACT_ZONE | PFA_ZONE(1));
			assert_int_equal(rig_info(&rig, a).zone, 0);
			assert_int_equal(rig_info(&rig, b).zone, 1);
			struct pfa_pageblock_info left, right;
			EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, seam - 1, &left);
			EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, seam, &right);
			assert_int_equal(left.present + right.present, 64);
			assert_int_equal(left.present, seam % 64);
			EXPECT(pfa_free, PFA_OK, rig.pfa, a, 0);
			EXPECT(pfa_free, PFA_OK, rig.pfa, b, 0);
		}
		/* A range over the seam is fine. */
		assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192), 256);
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, 256);
		rig_stop(&rig);
	}
}

/* Blocks of a zone are cached though its pageblock is shared; a purge by any frame of the pageblock reaches them. */
static void test_shared_pageblock_purge(void **state)
{
	(void)state;
	for (pfa_pfn by = 64; by < 128; by += 63) { /* the first frame is zone 0's, the last zone 1's */
		struct rig rig;
		rig_init(&rig);
		rig_zone(&rig, 0, 96);
		rig_zone(&rig, 96, 8192 - 96);
		rig.cfg.cache_high = 16;
		rig_start(&rig);
		unsigned cached = 0;
		(void)take(&rig, 0, PFA_MOVABLE | PFA_ZONE(1)); /* the refill takes from the broken pageblock first */
		for (pfa_pfn at = 64; at < 128; at++)
			cached += rig_info(&rig, at).state == PFA_FRAME_CACHED;
		assert_true(cached > 0);
		EXPECT(pfa_cache_purge, PFA_OK, rig.pfa, by);
		for (pfa_pfn at = 64; at < 128; at++)
			assert_int_not_equal(rig_info(&rig, at).state, PFA_FRAME_CACHED);
		rig_check(&rig);
		rig_drop(&rig);
	}
}

static void test_holes(void **state)
{
	(void)state;
	static const struct pfa_run holes[] = {{0, 5}, {64, 64}, {130, 1}, {191, 2}, {250, 262}, {1000, 24}};
	const size_t nr_holes = sizeof(holes) / sizeof(holes[0]);
	struct rig rig;
	size_t absent = 0;
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 0, 1024);
	z->holes = holes;
	z->nr_holes = nr_holes;
	for (size_t i = 0; i < nr_holes; i++)
		absent += holes[i].nr_frames;
	rig_start(&rig);
	rig_check(&rig);
	assert_int_equal(rig_stats(&rig, 0).present, 1024 - absent);
	for (unsigned order = 0; order <= 8; order++) {
		const size_t size = (size_t)1 << order;
		size_t fits = 0;
		for (pfa_pfn at = 0; at < 1024; at += size) {
			bool whole = true;
			for (size_t i = 0; i < nr_holes; i++)
				if (holes[i].first < at + size && at < holes[i].first + holes[i].nr_frames)
					whole = false;
			fits += whole;
		}
		size_t nr = rig_take_all(&rig, order, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192);
		assert_int_equal(nr, fits);
		rig_check(&rig);
		free_all(&rig, order, nr);
	}
	for (size_t i = 0; i < nr_holes; i++) {
		assert_int_equal(rig_info(&rig, holes[i].first).state, PFA_FRAME_ABSENT);
		assert_int_equal(rig_info(&rig, holes[i].first + holes[i].nr_frames - 1).state, PFA_FRAME_ABSENT);
		if (!RIG_HARDENED)
			continue;
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, holes[i].first, 0);
		assert_int_equal(rig.fault.kind, PFA_FAULT_HOLE);
	}
	struct pfa_pageblock_info info;
	EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, 100, &info); /* all of it is a hole */
	assert_int_equal(info.present + info.free, 0);
	EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, 131, &info);
	assert_int_equal(info.present, 64 - 2);
	EXPECT(pfa_pageblock_info, PFA_ERANGE, rig.pfa, 1024, &info);
	EXPECT(pfa_pageblock_info, PFA_ERANGE, rig.pfa, SIZE_MAX, &info);
	struct pfa_frame_info frame;
	EXPECT(pfa_frame_info, PFA_OK, rig.pfa, 5000, &frame);
	assert_int_equal(frame.state, PFA_FRAME_ABSENT);
	assert_int_equal(frame.zone, PFA_ZONES_LIMIT);
	assert_int_equal(frame.type, PFA_TYPE_MOVABLE);
	rig_stop(&rig);
}

/* Instances may begin at any pfn; with a gap between zones, what lies between is nobody's. */
static void test_far_away(void **state)
{
	(void)state;
	struct rig rig;
	const pfa_pfn first = SIZE_MAX / 2 - 12345;
	rig_init(&rig);
	rig_zone(&rig, first, 1000);
	rig_zone(&rig, first + 5000, 1000);
	rig_start(&rig);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, 8192);
	assert_int_equal(nr, 2000);
	const pfa_pfn outside[] = {0, first - 1, first + 1000, first + 4999, first + 6000, SIZE_MAX};
	for (size_t i = 0; RIG_HARDENED && i < sizeof(outside) / sizeof(outside[0]); i++) {
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, outside[i], 0);
		assert_int_equal(rig.fault.kind, PFA_FAULT_OUT_OF_RANGE);
		assert_int_equal(rig.fault.pfn, outside[i]);
	}
	rig_check(&rig);
	free_all(&rig, 0, nr);
	rig_stop(&rig);
}

static void test_many_zones(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	for (unsigned i = 0; i < PFA_ZONES_LIMIT; i++)
		rig_zone(&rig, i * 50, 50); /* pageblocks shared by two or three zones */
	rig_start(&rig);
	for (unsigned i = PFA_ZONES_LIMIT; i--;) {
		assert_int_equal(rig_take_all(&rig, 0, PFA_EXACT_ZONE | PFA_ZONE(i), PFA_ENOMEM, pfns, 8192), 50);
		for (unsigned k = 0; k < 50; k++)
			assert_int_equal(pfns[k] / 50, i);
	}
	rig_check(&rig);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, PFA_ZONES_LIMIT * 50);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_fallback_order), TEST(test_exact_zone_past_another_zones_cache), TEST(test_unaligned),
	TEST(test_shared_pageblock), TEST(test_shared_pageblock_purge), TEST(test_holes), TEST(test_far_away),
	TEST(test_many_zones),
};
UNIT_MAIN(tests)
