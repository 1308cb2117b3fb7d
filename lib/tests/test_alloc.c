/* SPDX-License-Identifier: MIT
 *
 * Alloc and free of every order, bulk, exact, split, ranges, windows.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 4096 };
static pfa_pfn pfns[FRAMES + 1], more[FRAMES + 1];

static void base(struct rig *rig)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
}

/* Marks [pfn, pfn + nr) in a map of the test's own; they must not have been marked. */
static unsigned char owned[FRAMES];

static void own(pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		assert_true(pfn + i < FRAMES);
		assert_int_equal(owned[pfn + i], 0);
		owned[pfn + i] = 1;
	}
}

static void disown(pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(owned[pfn + i], 1);
		owned[pfn + i] = 0;
	}
}

static void test_every_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 8; order++) {
		for (uint32_t type = 0; type <= PFA_RECLAIMABLE; type++) {
			struct rig rig;
			base(&rig);
			rig_start(&rig);
			memset(owned, 0, sizeof(owned));
			size_t nr = rig_take_all(&rig, order, type, PFA_ENOMEM, pfns, FRAMES);
			assert_int_equal(nr, FRAMES >> order); /* every block is found, none is left */
			for (size_t i = 0; i < nr; i++) {
				assert_int_equal(pfns[i] & ((1u << order) - 1), 0);
				own(pfns[i], (size_t)1 << order);
			}
			assert_int_equal(rig_stats(&rig, 0).allocated, FRAMES);
			rig_check(&rig);
			for (size_t i = 0; i < nr; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[(i * 7 + 3) % nr], order);
			rig_check(&rig);
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
			assert_int_equal(rig_stats(&rig, 0).free, FRAMES);
			/* all merged again */
			assert_int_equal(rig_take_all(&rig, 8, type, PFA_ENOMEM, pfns, FRAMES), FRAMES >> 8);
			for (size_t i = 0; i < FRAMES >> 8; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 8);
			rig_stop(&rig);
		}
	}
}

static void test_orders_and_pageblocks(void **state)
{
	(void)state;
	/* max_order from far below to far above pageblock_order, with and without caches */
	for (unsigned pb = 6; pb <= 10; pb++) {
		for (unsigned max = 0; max <= 12; max++) {
			struct rig rig;
			base(&rig);
			rig.cfg.max_order = max ? max : PFA_EXPLICIT_0;
			rig.cfg.pageblock_order = pb;
			rig.cfg.cache_high = max % 2 ? PFA_EXPLICIT_0 : 0;
			rig_start(&rig);
			size_t nr = rig_take_all(&rig, max, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
			assert_int_equal(nr, FRAMES >> max);
			rig_check(&rig);
			for (size_t i = 0; i < nr; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], max);
			pfa_pfn pfn;
			EXPECT(pfa_alloc, PFA_EINVAL, rig.pfa, max + 1, PFA_MOVABLE, &pfn);
			rig_stop(&rig);
		}
	}
}

static void test_arguments(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn = 77;
	size_t nr = 0;
	const struct pfa_run all = {0, FRAMES};
	base(&rig);
	rig.pool_kind = RIG_POOL_NEVER;
	rig_start(&rig);
	const uint32_t bad_flags[] = {PFA_TYPE_HIGHATOMIC, PFA_TYPE_CMA, PFA_TYPE_ISOLATE, 6, 7, 1u << 10, 1u << 23,
	                              PFA_ZONE(1), PFA_ZONE(255), PFA_EXACT_ZONE | PFA_ZONE(1)};
	for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++) {
		EXPECT(pfa_alloc, PFA_EINVAL, rig.pfa, 0, bad_flags[i], &pfn);
		EXPECT(pfa_alloc_bulk, PFA_EINVAL, rig.pfa, 0, bad_flags[i], 4, pfns, &nr);
		EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, 3, 0, bad_flags[i], &pfn);
		EXPECT(pfa_alloc_window, PFA_EINVAL, rig.pfa, 0, bad_flags[i], all, &pfn);
		EXPECT(pfa_would_succeed, PFA_EINVAL, rig.pfa, 0, bad_flags[i]);
		unsigned order;
		EXPECT(pfa_largest_free, PFA_EINVAL, rig.pfa, bad_flags[i], &order);
	}
	const unsigned bad_orders[] = {9, 31, 32, 63, 64, 255, UINT32_MAX};
	for (size_t i = 0; i < sizeof(bad_orders) / sizeof(bad_orders[0]); i++) {
		EXPECT(pfa_alloc, PFA_EINVAL, rig.pfa, bad_orders[i], 0, &pfn);
		EXPECT(pfa_alloc_bulk, PFA_EINVAL, rig.pfa, bad_orders[i], 0, 4, pfns, &nr);
		EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, 1, bad_orders[i], 0, &pfn);
		EXPECT(pfa_alloc_window, PFA_EINVAL, rig.pfa, bad_orders[i], 0, all, &pfn);
		EXPECT(pfa_would_succeed, PFA_EINVAL, rig.pfa, bad_orders[i], 0);
	}
	assert_int_equal(pfn, 77);
	EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, 0, 0, 0, &pfn);
	EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, 257, 0, 0, &pfn);
	EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, SIZE_MAX, 0, 0, &pfn);
	EXPECT(pfa_alloc_window, PFA_EINVAL, rig.pfa, 0, 0, ((struct pfa_run){5, 0}), &pfn);
	EXPECT(pfa_alloc_window, PFA_EINVAL, rig.pfa, 0, 0, ((struct pfa_run){SIZE_MAX, 2}), &pfn);
	EXPECT(pfa_free_range, PFA_EINVAL, rig.pfa, 5, 0);
	EXPECT(pfa_free_range, PFA_EINVAL, rig.pfa, SIZE_MAX, 2);
	/* every documented flag is accepted; PFA_ZERO alone needs a way to zero */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_NOWAIT | PFA_HIGH | PFA_COMPACT | PFA_NORETRY |
	       PFA_EXACT_ZONE | PFA_ZONE(0), &pfn);
	EXPECT(pfa_split, PFA_EINVAL, rig.pfa, pfn, 0, 1);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	EXPECT(pfa_alloc, PFA_ENOTSUP, rig.pfa, 0, PFA_ZERO, &pfn);
	EXPECT(pfa_alloc_bulk, PFA_ENOTSUP, rig.pfa, 0, PFA_ZERO, 4, pfns, &nr);
	assert_int_equal(nr, 0);
	EXPECT(pfa_alloc_exact, PFA_ENOTSUP, rig.pfa, 3, 0, PFA_ZERO, &pfn);
	EXPECT(pfa_alloc_window, PFA_ENOTSUP, rig.pfa, 0, PFA_ZERO, all, &pfn);
	EXPECT(pfa_would_succeed, PFA_ENOTSUP, rig.pfa, 0, PFA_ZERO);
	assert_int_equal(rig.fault.nr, 0); /* none of this is misuse */
	assert_int_equal(rig_stats(&rig, 0).allocated, 0);
	rig_stop(&rig);
}

static void test_bulk(void **state)
{
	(void)state;
	for (unsigned cached = 0; cached < 2; cached++) {
		for (unsigned order = 0; order <= 8; order++) {
			struct rig rig;
			size_t nr = 99;
			base(&rig);
			rig.cfg.cache_high = cached ? 0 : PFA_EXPLICIT_0;
			rig_start(&rig);
			EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, order, 0, 0, NULL, &nr);
			assert_int_equal(nr, 0);
			EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, order, 0, NULL, &nr);
			assert_int_equal(nr, 0);
			memset(owned, 0, sizeof(owned));
			const size_t all = FRAMES >> order, some = all * 2 / 3;
			EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, order, PFA_MOVABLE, some, pfns, &nr);
			assert_int_equal(nr, some);
			EXPECT(pfa_alloc_bulk, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE, some, pfns + some, &nr);
			assert_int_equal(nr, all - some); /* what there was is the caller's */
			for (size_t i = 0; i < all; i++)
				own(pfns[i], (size_t)1 << order);
			assert_int_equal(rig_stats(&rig, 0).allocated, FRAMES);
			EXPECT(pfa_alloc_bulk, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE, 1, more, &nr);
			assert_int_equal(nr, 0);
			EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, order, all, pfns, &nr);
			assert_int_equal(nr, all);
			rig_stop(&rig);
		}
	}
}

static void test_bulk_free_stops_at_the_offender(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr = 0;
	if (!RIG_HARDENED)
		skip();
	base(&rig);
	rig_start(&rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 2, 0, 20, pfns, &nr);
	memcpy(more, pfns, sizeof(more));
	more[7] = pfns[3]; /* twice in one call */
	EXPECT(pfa_free_bulk, PFA_EMISUSE, rig.pfa, 2, 20, more, &nr);
	assert_int_equal(nr, 7);
	assert_int_equal(rig.fault.nr, 1);
	assert_int_equal(rig.fault.pfn, pfns[3]);
	assert_int_equal(rig_stats(&rig, 0).allocated, 13 * 4);
	rig_check(&rig);
	EXPECT(pfa_free_bulk, PFA_EMISUSE, rig.pfa, 1, 13, pfns + 7, &nr); /* all of them of another order */
	assert_int_equal(nr, 0);
	EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 2, 13, pfns + 7, &nr);
	assert_int_equal(nr, 13);
	rig_stop(&rig);
}

static void test_exact(void **state)
{
	(void)state;
	for (unsigned align = 0; align <= 8; align += 2) {
		struct rig rig;
		base(&rig);
		rig.cfg.nr_cpus = 2;
		rig_start(&rig);
		memset(owned, 0, sizeof(owned));
		for (size_t nr = 1; nr <= 256; nr += 1 + nr / 9) {
			pfa_pfn pfn;
			EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, nr, align, PFA_MOVABLE, &pfn);
			assert_int_equal(pfn & ((1u << align) - 1), 0);
			own(pfn, nr);
			assert_int_equal(rig_stats(&rig, 0).allocated, nr); /* the tail is back */
			rig_check(&rig);
			for (size_t i = 0; i < nr; i++) {
				assert_int_equal(rig_info(&rig, pfn + i).state, PFA_FRAME_HEAD);
				assert_int_equal(rig_info(&rig, pfn + i).order, 0);
			}
			/* one by one, then any grouping */
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn + nr / 2, 0);
			if (nr / 2)
				EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, nr / 2);
			if (nr - nr / 2 - 1)
				EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn + nr / 2 + 1, nr - nr / 2 - 1);
			disown(pfn, nr);
			rig_check(&rig);
		}
		rig_stop(&rig);
	}
}

static void test_exact_refusals(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn = 5;
	base(&rig);
	rig.cfg.nr_cpus = 2;
	rig_start(&rig);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, FRAMES);
	EXPECT(pfa_alloc_exact, PFA_ENOMEM, rig.pfa, 1, 0, 0, &pfn);
	EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, 0, ((struct pfa_run){0, FRAMES}), &pfn);
	rig.cpu = 1;
	EXPECT(pfa_free, PFA_OK, rig.pfa, 100, 0); /* now in the other cpu's cache */
	assert_int_equal(rig_stats(&rig, 0).cached, 1);
	rig.cpu = 0;
	const struct pfa_run all = {0, FRAMES};
	const uint32_t flags[] = {PFA_NORETRY, PFA_NOWAIT, PFA_NORETRY | PFA_NOWAIT};
	for (unsigned i = 0; i < 3; i++) {
		size_t got = 9;
		EXPECT(pfa_alloc, PFA_EAGAIN, rig.pfa, 0, flags[i], &pfn);
		EXPECT(pfa_alloc_bulk, PFA_EAGAIN, rig.pfa, 0, flags[i], 3, more, &got);
		assert_int_equal(got, 0);
		EXPECT(pfa_alloc_exact, PFA_EAGAIN, rig.pfa, 1, 0, flags[i], &pfn);
		EXPECT(pfa_alloc_window, PFA_EAGAIN, rig.pfa, 0, flags[i], all, &pfn);
	}
	assert_int_equal(pfn, 5);
	EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, 1, 0, 0, &pfn); /* a plain request drains */
	assert_int_equal(pfn, 100);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, FRAMES);
	rig_stop(&rig);
}

static void test_split(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 8; order++) {
		for (unsigned to = 0; to <= order; to++) {
			struct rig rig;
			pfa_pfn pfn;
			base(&rig);
			rig_start(&rig);
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_RECLAIMABLE, &pfn);
			EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, order, to);
			rig_check(&rig);
			assert_int_equal(rig_stats(&rig, 0).allocated, 1u << order);
			if (RIG_HARDENED && to < order) {
				EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn, order); /* no such block any more */
				assert_int_equal(rig.fault.kind, PFA_FAULT_WRONG_ORDER);
			}
			for (size_t at = 0; at < (size_t)1 << order; at += (size_t)1 << to) {
				assert_int_equal(rig_info(&rig, pfn + at).state, PFA_FRAME_HEAD);
				assert_int_equal(rig_info(&rig, pfn + at).order, to);
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfn + at, to);
				rig_check(&rig);
			}
			rig_stop(&rig);
		}
	}
}

static void test_split_misuse(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	if (!RIG_HARDENED)
		skip();
	base(&rig);
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 5, 0, &pfn); /* so that pfn is a multiple of 2^5, wherever it lies */
	EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, 5, 4);
	const struct {
		pfa_pfn pfn;
		unsigned order, to;
		enum pfa_fault_kind kind;
	} cases[] = {
		{pfn, 3, 0, PFA_FAULT_WRONG_ORDER},       {pfn, 5, 0, PFA_FAULT_WRONG_ORDER},
		{pfn + 4, 2, 0, PFA_FAULT_TAIL},          {pfn + 4, 3, 0, PFA_FAULT_MISALIGNED},
		{(pfn + 2048) % FRAMES, 4, 0, PFA_FAULT_DOUBLE_FREE}, {FRAMES, 4, 0, PFA_FAULT_OUT_OF_RANGE},
		{pfn, 9, 0, PFA_FAULT_ORDER_LIMIT},       {pfn, 4, 4, PFA_FAULT_NONE},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig.fault.nr = 0;
		if (cases[i].kind == PFA_FAULT_NONE) {
			EXPECT(pfa_split, PFA_OK, rig.pfa, cases[i].pfn, cases[i].order, cases[i].to);
			assert_int_equal(rig.fault.nr, 0);
			continue;
		}
		EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, cases[i].pfn, cases[i].order, cases[i].to);
		assert_int_equal(rig.fault.nr, 1);
		assert_int_equal(rig.fault.kind, cases[i].kind);
		assert_string_equal(rig.fault.function, "pfa_split");
		rig_check(&rig);
	}
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn + 16, 4);
	EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, pfn, 4, 0);
	rig_stop(&rig);
}

static void test_free_range_any_tiling(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	base(&rig);
	rig_start(&rig);
	/* Everything as blocks of 8, some of them split further: then any cut at block borders goes. */
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 3, PFA_MOVABLE, FRAMES / 8, pfns, &nr);
	for (pfa_pfn at = 0; at < FRAMES; at += 24)
		EXPECT(pfa_split, PFA_OK, rig.pfa, at, 3, (unsigned)(at / 24 % 4));
	struct rng rng = {42};
	pfa_pfn at = 0;
	while (at < FRAMES) {
		size_t blocks = 1 + rng_below(&rng, 40), left = (FRAMES - at) / 8;
		if (blocks > left)
			blocks = left;
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, at, blocks * 8);
		at += blocks * 8;
		rig_check(&rig);
		assert_int_equal(rig_stats(&rig, 0).allocated, FRAMES - at);
	}
	rig_stop(&rig);
}

static void test_free_range_all_or_nothing(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	const struct pfa_run hole = {1000, 8};
	base(&rig);
	rig.zones[0].holes = &hole;
	rig.zones[0].nr_holes = 1;
	rig.cfg.cache_high = 32;
	rig_start(&rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 3, PFA_MOVABLE, FRAMES / 8 - 1, pfns, &nr);
	EXPECT(pfa_free, PFA_OK, rig.pfa, 256, 3); /* goes into the cache */
	const struct {
		pfa_pfn first;
		size_t nr;
	} bad[] = {
		{0, 4},        /* ends inside a block */
		{4, 12},       /* begins inside a block */
		{0, 257},      /* ends in the cached block */
		{248, 16},     /* over the cached block */
		{256, 8},      /* only the cached block */
		{960, 64},     /* over the hole */
		{1000, 8},     /* only the hole */
		{4088, 16},    /* past the end of the zone */
		{FRAMES, 8},   /* outside */
		{0, FRAMES},   /* everything, which is not all the caller's */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig.fault.nr = 0;
		struct pfa_zone_stats before = rig_stats(&rig, 0), after;
		EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, bad[i].first, bad[i].nr);
		assert_int_equal(rig.fault.nr, 1);
		assert_string_equal(rig.fault.function, "pfa_free_range");
		after = rig_stats(&rig, 0);
		assert_int_equal(after.allocated, before.allocated);
		assert_int_equal(after.cached, before.cached);
		rig_check(&rig);
	}
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, 256);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 264, 1000 - 264);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 1008, FRAMES - 1008);
	rig_stop(&rig);
}

/* For every order and position, a window of exactly one block gives that block, and then nothing. */
static void test_window(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig);
	rig.zones[0].nr_frames = 1024;
	rig_start(&rig);
	for (unsigned order = 0; order <= 8; order++) {
		const size_t size = (size_t)1 << order;
		for (pfa_pfn at = 0; at < 1024; at += size * (order < 4 ? 5 : 1)) {
			const struct pfa_run window = {at, size};
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, order, PFA_MOVABLE, window, &pfn);
			assert_int_equal(pfn, at);
			EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE, window, &pfn);
			EXPECT(pfa_free, PFA_OK, rig.pfa, at, order);
			if (order) /* no aligned block in it */
				EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE,
				       ((struct pfa_run){at + 1, 2 * size - 2}), &pfn);
		}
		rig_check(&rig);
	}
	EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 0, 0, ((struct pfa_run){1024, 100}), &pfn); /* outside */
	/* A window of three blocks with the middle one taken. */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 4, 0, ((struct pfa_run){512 + 16, 16}), &pfn);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 4, 0, ((struct pfa_run){512, 48}), &more[0]);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 4, 0, ((struct pfa_run){512, 48}), &more[1]);
	assert_true((more[0] == 512 && more[1] == 544) || (more[0] == 544 && more[1] == 512));
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 512, 48);
	rig_stop(&rig);
}

/* Windows of some whole blocks and all but one frame of a further one, before and behind: the whole ones, no more. */
static void test_window_ends_in_a_block(void **state)
{
	(void)state;
	for (unsigned cached = 0; cached < 2; cached++) {
		struct rig rig;
		pfa_pfn pfn;
		base(&rig);
		rig.zones[0].nr_frames = 1024;
		rig.cfg.cache_high = cached ? 4 : PFA_EXPLICIT_0;
		rig_start(&rig);
		for (unsigned order = 1; order <= 8; order++) {
			const size_t size = (size_t)1 << order;
			for (pfa_pfn at = 0; at < 1024; at += size * (order < 4 ? 5 : 1)) {
				for (size_t nr = 1; nr < 4 && at + (nr + 1) * size <= 1024; nr++) {
					const pfa_pfn first = at ? at - size + 1 : 0;
					const struct pfa_run window = {first, at + (nr + 1) * size - 1 - first};
					for (size_t i = 0; i < nr; i++) {
						EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, order, PFA_MOVABLE, window, &pfn);
						assert_true(pfn >= at && pfn + size <= at + nr * size);
					}
					EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE, window, &pfn);
					EXPECT(pfa_free_range, PFA_OK, rig.pfa, at, nr * size);
				}
			}
			rig_check(&rig);
		}
		rig_stop(&rig);
	}
}

/* A window overlaps cached blocks: the plain request drains them, the impatient one says EAGAIN. */
static void test_window_drains(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig);
	rig_start(&rig);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){70, 1}), &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, 70, 0);
	assert_int_equal(rig_info(&rig, 70).state, PFA_FRAME_CACHED);
	const struct pfa_run window = {64, 64};
	EXPECT(pfa_alloc_window, PFA_EAGAIN, rig.pfa, 6, PFA_MOVABLE | PFA_NORETRY, window, &pfn);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 6, PFA_MOVABLE, window, &pfn);
	assert_int_equal(pfn, 64);
	EXPECT(pfa_free, PFA_OK, rig.pfa, 64, 6);
	rig_stop(&rig);
}

/* The largest order that can be configured: 2^31 frames do not fit into a signed word of 32 bits. */
static void test_order_31(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn = 5;
	unsigned largest;
	size_t got;
	base(&rig);
	rig.cfg.max_order = 31;
	rig_start(&rig);
	const uint32_t flags[] = {PFA_MOVABLE, PFA_UNMOVABLE | PFA_HIGH, PFA_RECLAIMABLE | PFA_NORETRY};
	for (unsigned i = 0; i < 3; i++) {
		EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 31, flags[i], &pfn);
		EXPECT(pfa_alloc_bulk, PFA_ENOMEM, rig.pfa, 31, flags[i], 2, more, &got);
		EXPECT(pfa_alloc_exact, PFA_ENOMEM, rig.pfa, (size_t)1 << 31, 0, flags[i], &pfn);
		EXPECT(pfa_alloc_window, PFA_ENOMEM, rig.pfa, 31, flags[i], ((struct pfa_run){0, SIZE_MAX}), &pfn);
		EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 31, flags[i]);
		EXPECT(pfa_largest_free, PFA_OK, rig.pfa, flags[i] & ~(uint32_t)PFA_NORETRY, &largest);
		assert_int_equal(largest, 12);
	}
	assert_int_equal(pfn, 5);
	if (RIG_HARDENED) {
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 0, 31);
		EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, 0, 31, 30);
	}
	rig_stop(&rig);
}

static void test_fini_refuses_while_live(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig);
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, 0, &pfn);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0); /* it went on */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, 0, &pfn);
	rig_check(&rig);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 8);
	rig_stop(&rig); /* cached blocks do not count as live */
}

static const struct unit_test tests[] = {
	TEST(test_every_order), TEST(test_orders_and_pageblocks), TEST(test_arguments), TEST(test_bulk),
	TEST(test_bulk_free_stops_at_the_offender), TEST(test_exact), TEST(test_exact_refusals), TEST(test_split),
	TEST(test_split_misuse), TEST(test_free_range_any_tiling), TEST(test_free_range_all_or_nothing),
	TEST(test_window), TEST(test_window_ends_in_a_block), TEST(test_window_drains), TEST(test_fini_refuses_while_live),
	TEST(test_order_31),
};
UNIT_MAIN(tests)
