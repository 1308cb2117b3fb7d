/* SPDX-License-Identifier: MIT
 *
 * Migrate types: the fallback policy (claim, steal, borrow), CMA, the HIGHATOMIC reserve. Without caches, so that each
 * request is a decision of the zone.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 4096, PB = 64 };
static pfa_pfn pfns[FRAMES + 1], more[FRAMES + 1];

static struct pfa_zone_config *base(struct rig *rig, size_t nr_frames)
{
	rig_init(rig);
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	return rig_zone(rig, 0, nr_frames);
}

static pfa_pfn take(struct rig *rig, unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, flags, &pfn);
	return pfn;
}

static pfa_pfn take_in(struct rig *rig, unsigned order, uint32_t flags, pfa_pfn first, size_t nr)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc_window, PFA_OK, rig->pfa, order, flags, ((struct pfa_run){first, nr}), &pfn);
	return pfn;
}

static void test_claim(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, FRAMES);
	rig_start(&rig);
	pfa_pfn u = take(&rig, 0, PFA_UNMOVABLE);
	assert_int_equal(rig_stats(&rig, 0).nr_claim, 1);
	assert_int_equal(rig_type(&rig, u), PFA_TYPE_UNMOVABLE);
	pfa_pfn r = take(&rig, 0, PFA_RECLAIMABLE);
	assert_int_equal(rig_stats(&rig, 0).nr_claim, 2);
	assert_int_equal(rig_type(&rig, r), PFA_TYPE_RECLAIMABLE);
	pfa_pfn m = take(&rig, 0, PFA_MOVABLE);
	assert_int_equal(rig_type(&rig, m), PFA_TYPE_MOVABLE);
	assert_true(u / PB != r / PB && u / PB != m / PB && r / PB != m / PB);
	/* As long as the claimed pageblock has room, no other is touched. */
	for (unsigned i = 0; i < PB - 1; i++)
		assert_int_equal(take(&rig, 0, PFA_UNMOVABLE) / PB, u / PB);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.nr_claim, 2);
	assert_int_equal(s.nr_steal + s.nr_borrow, 0);
	assert_int_not_equal(take(&rig, 0, PFA_UNMOVABLE) / PB, u / PB);
	assert_int_equal(rig_stats(&rig, 0).nr_claim, 3);
	rig_check(&rig);
	rig_drop(&rig);
}

/* An entirely free pageblock binds no type: it is MOVABLE again. */
static void test_free_pageblock_is_movable(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, FRAMES);
	rig_start(&rig);
	const uint32_t types[] = {PFA_UNMOVABLE, PFA_RECLAIMABLE};
	for (unsigned i = 0; i < 2; i++) {
		pfa_pfn a = take(&rig, 2, types[i]), b = take(&rig, 0, types[i]);
		assert_int_equal(a / PB, b / PB);
		EXPECT(pfa_free, PFA_OK, rig.pfa, a, 2);
		assert_int_equal(rig_type(&rig, a), (int)types[i]);
		EXPECT(pfa_free, PFA_OK, rig.pfa, b, 0);
		assert_int_equal(rig_type(&rig, a), PFA_TYPE_MOVABLE);
		rig_check(&rig);
	}
	rig_stop(&rig);
}

/* A block over several pageblocks gives all of them its type, whatever they were. */
static void test_large_grant_retypes(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1024);
	rig_start(&rig);
	pfa_pfn pfn = take(&rig, 8, PFA_UNMOVABLE);
	for (unsigned i = 0; i < 256; i += PB)
		assert_int_equal(rig_type(&rig, pfn + i), PFA_TYPE_UNMOVABLE);
	EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, 8, 0);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn + 1, 255);
	assert_int_equal(rig_type(&rig, pfn), PFA_TYPE_UNMOVABLE);
	assert_int_equal(rig_type(&rig, pfn + PB), PFA_TYPE_MOVABLE);
	rig_check(&rig);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	rig_stop(&rig);
}

/* Every pageblock holds `used` frames of `lender`; then a request of another type comes. */
static void lend(unsigned used, uint32_t lender, uint32_t borrower, struct pfa_zone_stats *s, enum pfa_type *type)
{
	struct rig rig;
	base(&rig, 512);
	rig_start(&rig);
	assert_int_equal(rig_take_all(&rig, 0, lender, PFA_ENOMEM, pfns, 512), 512);
	for (pfa_pfn at = 0; at < 512; at += PB) /* the first frames stay */
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, at + used, PB - used);
	for (pfa_pfn at = 0; at < 512; at += PB)
		assert_int_equal(rig_type(&rig, at), lender);
	struct pfa_zone_stats before = rig_stats(&rig, 0);
	pfa_pfn pfn = take(&rig, 0, borrower);
	*s = rig_stats(&rig, 0);
	s->nr_claim -= before.nr_claim;
	s->nr_steal -= before.nr_steal;
	s->nr_borrow -= before.nr_borrow;
	*type = rig_type(&rig, pfn);
	rig_check(&rig);
	rig_drop(&rig);
}

static void test_steal_or_borrow(void **state)
{
	(void)state;
	struct pfa_zone_stats s;
	enum pfa_type type;
	for (uint32_t lender = 0; lender < 3; lender++) {
		for (uint32_t borrower = 0; borrower < 3; borrower++) {
			if (lender == borrower)
				continue;
			lend(PB / 2, lender, borrower, &s, &type); /* half free: the pageblock changes */
			assert_int_equal(s.nr_steal, 1);
			assert_int_equal(s.nr_borrow + s.nr_claim, 0);
			assert_int_equal(type, borrower);
			lend(PB / 2 + 1, lender, borrower, &s, &type); /* less: only the block goes */
			assert_int_equal(s.nr_borrow, 1);
			assert_int_equal(s.nr_steal + s.nr_claim, 0);
			assert_int_equal(type, lender);
		}
	}
}

/* Types are a preference: the last frame goes to whoever asks. */
static void test_no_type_starves(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 3; first++) {
		for (uint32_t then = 0; then < 3; then++) {
			struct rig rig;
			base(&rig, 512);
			rig_start(&rig);
			for (unsigned i = 0; i < 300; i++)
				pfns[i] = take(&rig, 0, first);
			assert_int_equal(rig_take_all(&rig, 0, then, PFA_ENOMEM, pfns + 300, 212), 212);
			assert_int_equal(rig_stats(&rig, 0).free, 0);
			rig_check(&rig);
			for (unsigned i = 0; i < 512; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
			rig_stop(&rig);
		}
	}
}

static void test_cma_is_for_movable(void **state)
{
	(void)state;
	struct rig rig;
	const struct pfa_run areas[] = {{128, 128}, {512, 64}};
	struct pfa_zone_config *z = base(&rig, 1024);
	z->cma = areas;
	z->nr_cma = 2;
	rig_start(&rig);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.free_cma, 192);
	assert_int_equal(s.free, 1024);
	assert_int_equal(rig_type(&rig, 200), PFA_TYPE_CMA);
	for (uint32_t type = 0; type < 3; type += 2) {
		size_t nr = rig_take_all(&rig, 0, type, PFA_ENOMEM, pfns, 1024);
		assert_int_equal(nr, 1024 - 192);
		for (size_t i = 0; i < nr; i++)
			assert_int_not_equal(rig_type(&rig, pfns[i]), PFA_TYPE_CMA);
		EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 0, type);
		EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 0, type | PFA_HIGH);
		EXPECT(pfa_would_succeed, PFA_OK, rig.pfa, 0, PFA_MOVABLE);
		assert_int_equal(rig_stats(&rig, 0).free, 192);
		assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, more, 1024), 192);
		rig_check(&rig);
		assert_int_equal(rig_stats(&rig, 0).free_cma, 0);
		for (size_t i = 0; i < 192; i++) {
			assert_int_equal(rig_type(&rig, more[i]), PFA_TYPE_CMA);
			EXPECT(pfa_free, PFA_OK, rig.pfa, more[i], 0);
		}
		for (size_t i = 0; i < nr; i++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
		assert_int_equal(rig_stats(&rig, 0).free_cma, 192);
		assert_int_equal(rig_type(&rig, 200), PFA_TYPE_CMA);
	}
	/* A free block never reaches over the border of an area: order 8 lies around 128..255, order 7 inside it. */
	assert_int_equal(rig_take_all(&rig, 8, PFA_MOVABLE, PFA_ENOMEM, pfns, 8), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_true(pfns[i] == 256 || pfns[i] == 768);
	rig_check(&rig);
	rig_drop(&rig);
}

static void test_cma_frames_past_the_caches(void **state)
{
	(void)state;
	struct rig rig;
	const struct pfa_run area = {128, 128};
	struct pfa_zone_config *z = base(&rig, 1024);
	z->cma = &area;
	z->nr_cma = 1;
	rig.cfg.cache_high = 16;
	rig_start(&rig);
	pfa_pfn pfn = take_in(&rig, 0, PFA_MOVABLE, 128, 128);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_FREE);
	assert_int_equal(rig_stats(&rig, 0).cached, 0);
	rig_stop(&rig);
}

static void test_highatomic_reserve(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_zone_config *z = base(&rig, 1024);
	z->highatomic_frames = 2 * PB + 63; /* rounded down to two pageblocks */
	rig_start(&rig);
	for (unsigned i = 0; i < 40; i++)
		pfns[i] = take(&rig, 2, PFA_UNMOVABLE | PFA_HIGH);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.reserved_highatomic, 2 * PB);
	assert_int_equal(s.nr_reserve, 2);
	assert_int_equal(s.nr_unreserve, 0);
	rig_check(&rig);
	for (unsigned i = 0; i < 40; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 2);
	s = rig_stats(&rig, 0);
	assert_int_equal(s.reserved_highatomic, 2 * PB); /* a reserve stays a reserve though it is free */
	assert_int_equal(s.free_highatomic, 2 * PB);
	assert_int_equal(s.free, 1024);

	/* Impatient requests leave the reserve alone, and say so. */
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_NORETRY, PFA_EAGAIN, pfns, 1024);
	assert_int_equal(nr, 1024 - 2 * PB);
	EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE);
	EXPECT(pfa_would_succeed, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_HIGH);
	pfa_pfn high = take(&rig, 3, PFA_RECLAIMABLE | PFA_HIGH);
	assert_int_equal(rig_type(&rig, high), PFA_TYPE_HIGHATOMIC);
	rig_check(&rig);

	/* Plain ones get it in the end. */
	nr += rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns + nr, 1024 - nr);
	assert_int_equal(nr, 1024 - 8);
	s = rig_stats(&rig, 0);
	assert_int_equal(s.reserved_highatomic, 0);
	assert_int_equal(s.nr_unreserve, 2);
	assert_int_equal(s.free, 0);
	rig_check(&rig);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, high, 3);
	rig_stop(&rig);
}

/* What no zone in question could ever serve gives up no reserve for it, and is no matter of patience. */
static void test_reserve_outlives_the_impossible(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_zone_config *z = base(&rig, 512);
	z->highatomic_frames = 2 * PB;
	rig_zone(&rig, 4096, 8192);
	rig.cfg.max_order = 12;
	rig_start(&rig);
	pfa_pfn pfn, high = take(&rig, 1, PFA_UNMOVABLE | PFA_HIGH | PFA_EXACT_ZONE);
	const struct pfa_run outside = {1000000, 64}, small = {high / PB * PB + 33, 62};
	const uint32_t patience[] = {0, PFA_NORETRY, PFA_NOWAIT};
	for (unsigned i = 0; i < 3; i++) {
		EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 12, PFA_EXACT_ZONE | patience[i], &pfn);
		EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, patience[i], outside, &pfn);
		EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 6, patience[i], small, &pfn); /* no aligned block in it */
		assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, PB);
		assert_int_equal(rig_stats(&rig, 0).nr_unreserve, 0);
	}
	EXPECT(pfa_free, PFA_OK, rig.pfa, high, 1);
	rig_stop(&rig);
}

static void test_no_reserve_unless_asked_for(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1024);
	rig_start(&rig);
	for (unsigned i = 0; i < 100; i++)
		pfns[i] = take(&rig, 2, PFA_MOVABLE | PFA_HIGH);
	assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, 0);
	assert_int_equal(rig_stats(&rig, 0).nr_reserve, 0);
	for (unsigned i = 0; i < 100; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 2);
	rig_stop(&rig);
}

/* What is cached when its pageblock becomes HIGHATOMIC must not go to plain requests any more. */
static void test_reserve_purges_caches(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_zone_config *z = base(&rig, 1024);
	z->highatomic_frames = PB;
	rig.cfg.cache_high = 32;
	rig_start(&rig);
	for (unsigned i = 0; i < 20; i++)
		pfns[i] = take(&rig, 0, PFA_MOVABLE);
	for (unsigned i = 0; i < 20; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	pfa_pfn high = take(&rig, 1, PFA_MOVABLE | PFA_HIGH);
	assert_int_equal(rig_type(&rig, high), PFA_TYPE_HIGHATOMIC);
	for (pfa_pfn at = high / PB * PB; at < high / PB * PB + PB; at++)
		assert_int_not_equal(rig_info(&rig, at).state, PFA_FRAME_CACHED);
	for (unsigned i = 0; i < 20; i++)
		assert_int_not_equal(take(&rig, 0, PFA_MOVABLE) / PB, high / PB);
	rig_check(&rig);
	rig_drop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_claim), TEST(test_free_pageblock_is_movable), TEST(test_large_grant_retypes),
	TEST(test_steal_or_borrow), TEST(test_no_type_starves), TEST(test_cma_is_for_movable),
	TEST(test_cma_frames_past_the_caches), TEST(test_highatomic_reserve), TEST(test_no_reserve_unless_asked_for),
	TEST(test_reserve_purges_caches), TEST(test_reserve_outlives_the_impossible),
};
UNIT_MAIN(tests)
