/* SPDX-License-Identifier: MIT
 *
 * PFA_ZERO and known-zero tracking, and the pointer forms.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 1024 };
static pfa_pfn pfns[FRAMES];

static unsigned char dirty[FRAMES]; /* the content of frames, as the zero op and the users of a test leave it */

static void zero_op(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	struct rig *rig = ctx;
	MUST(first + nr_frames <= FRAMES && nr_frames > 0);
	if (!rig->pool)
		MUST(ptr == NULL);
	else
		MUST((unsigned char *)ptr == (unsigned char *)rig->pool + (first << rig->cfg.frame_shift));
	memset(dirty + first, 0, nr_frames);
	rig->nr_zero_calls++;
	rig->nr_zeroed += nr_frames;
}

static void base(struct rig *rig, uint32_t flags, uint32_t high)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
	rig->cfg.flags = flags;
	rig->cfg.cache_high = high;
	rig->os.zero = zero_op;
	memset(dirty, flags & PFA_CONFIG_ZEROED_POOL ? 0 : 1, sizeof(dirty));
}

/* A block for PFA_ZERO: all of it is clean, whoever saw to that. Then its user writes to it. */
static pfa_pfn take_zero(struct rig *rig, unsigned order)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE | PFA_ZERO, &pfn);
	for (size_t i = 0; i < (size_t)1 << order; i++)
		assert_int_equal(dirty[pfn + i], 0);
	memset(dirty + pfn, 1, (size_t)1 << order);
	return pfn;
}

/* What pfa_alloc_exact() gives back at once has the content that it had. */
static void test_exact_tail_keeps_its_content(void **state)
{
	(void)state;
	for (unsigned zeroed = 0; zeroed < 2; zeroed++) {
		for (size_t nr = 1; nr < 256; nr += 1 + nr / 8) {
			struct rig rig;
			pfa_pfn pfn;
			base(&rig, zeroed ? PFA_CONFIG_ZEROED_POOL : PFA_CONFIG_TRACK_ZERO, PFA_EXPLICIT_0);
			rig_start(&rig);
			EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, nr, 8, PFA_MOVABLE, &pfn);
			memset(dirty + pfn, 1, nr);
			for (size_t i = nr; i < 256; i++)
				assert_int_equal(rig_info(&rig, pfn + i).known_zero, zeroed);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, nr);
			for (size_t i = 0; i < nr; i++)
				assert_false(rig_info(&rig, pfn + i).known_zero);
			for (size_t i = 0; i < FRAMES; i++)
				pfns[i] = take_zero(&rig, 0);
			assert_int_equal(rig.nr_zeroed, zeroed ? nr : FRAMES);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, FRAMES);
			rig_stop(&rig);
		}
	}
}

static void test_fresh_frames_are_not_zeroed(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 8; order++) {
		for (unsigned cached = 0; cached < 2; cached++) {
			struct rig rig;
			base(&rig, PFA_CONFIG_ZEROED_POOL, cached ? 8 : PFA_EXPLICIT_0);
			rig_start(&rig);
			assert_true(rig_info(&rig, 5).known_zero);
			const size_t nr = FRAMES >> order;
			for (size_t i = 0; i < nr; i++)
				pfns[i] = take_zero(&rig, order);
			assert_int_equal(rig.nr_zero_calls, 0);
			assert_int_equal(rig_events(&rig).nr_zero_skipped, FRAMES);
			assert_int_equal(rig_events(&rig).nr_zeroed, 0);
			rig_check(&rig);
			/* given back they are dirty */
			for (size_t i = 0; i < nr; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order);
			for (pfa_pfn at = 0; at < FRAMES; at++)
				assert_false(rig_info(&rig, at).known_zero);
			rig_check(&rig);
			for (size_t i = 0; i < nr; i++)
				pfns[i] = take_zero(&rig, order);
			assert_int_equal(rig.nr_zeroed, FRAMES);
			assert_int_equal(rig_events(&rig).nr_zeroed, FRAMES);
			assert_int_equal(rig_events(&rig).nr_zero_skipped, FRAMES);
			for (size_t i = 0; i < nr; i++)
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order);
			rig_stop(&rig);
		}
	}
}

static void test_untracked_is_always_zeroed(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 0, 8);
	rig_start(&rig);
	assert_false(rig_info(&rig, 5).known_zero);
	for (unsigned order = 0; order <= 8; order++) {
		size_t before = rig.nr_zeroed;
		pfa_pfn pfn = take_zero(&rig, order);
		assert_int_equal(rig.nr_zeroed - before, 1u << order);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
	}
	rig_stop(&rig);
}

/* Tracked, but not zero at init: nothing is known yet. */
static void test_tracked_from_dirty(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, PFA_CONFIG_TRACK_ZERO, 8);
	rig_start(&rig);
	assert_false(rig_info(&rig, 5).known_zero);
	pfa_pfn pfn = take_zero(&rig, 4);
	assert_int_equal(rig.nr_zeroed, 16);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Blocks that were cached without ever being handed out are as zero as they were. */
static void test_knowledge_survives_the_cache(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, PFA_CONFIG_ZEROED_POOL, 32);
	rig_start(&rig);
	pfa_pfn pfn = take_zero(&rig, 0);
	assert_true(rig_stats(&rig, 0).cached > 0); /* a batch came with it */
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
	rig_check(&rig);
	for (pfa_pfn at = 0; at < FRAMES; at++)
		assert_int_equal(rig_info(&rig, at).known_zero, at != pfn);
	for (unsigned i = 0; i < 100; i++)
		pfns[i] = take_zero(&rig, 0);
	assert_int_equal(rig.nr_zeroed, 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	for (unsigned i = 0; i < 100; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	rig_stop(&rig);
}

/* A block of which only a part is known to be zero gets zeroed; the parts beside it stay known. */
static void test_mixed(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, PFA_CONFIG_ZEROED_POOL, PFA_EXPLICIT_0);
	rig_start(&rig);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){130, 1}), &pfn);
	dirty[130] = 1;
	EXPECT(pfa_free, PFA_OK, rig.pfa, 130, 0);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_MOVABLE | PFA_ZERO, ((struct pfa_run){128, 8}), &pfn);
	for (pfa_pfn at = 128; at < 136; at++)
		assert_int_equal(dirty[at], 0);
	assert_true(rig.nr_zeroed >= 1 && rig.nr_zeroed <= 8);
	size_t before = rig.nr_zeroed;
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_MOVABLE | PFA_ZERO, ((struct pfa_run){136, 8}), &pfn);
	assert_int_equal(rig.nr_zeroed, before);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 128, 16);
	rig_stop(&rig);
}

static void test_every_form_zeroes(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	pfa_pfn pfn;
	base(&rig, 0, 8);
	rig_start(&rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 2, PFA_MOVABLE | PFA_ZERO, 10, pfns, &nr);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(dirty[pfns[i / 4] + i % 4], 0);
	assert_int_equal(rig.nr_zeroed, 40);
	EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, 11, 0, PFA_MOVABLE | PFA_ZERO, &pfn);
	for (size_t i = 0; i < 11; i++)
		assert_int_equal(dirty[pfn + i], 0);
	assert_int_equal(rig.nr_zeroed, 51); /* the tail is not zeroed for nothing */
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, 11);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_ZERO, ((struct pfa_run){512, 8}), &pfn);
	assert_int_equal(rig.nr_zeroed, 59);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
	EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 2, 10, pfns, &nr);
	rig_stop(&rig);
}

/* The tail of an exact request was never anybody's: what was known of it stays known. */
static void test_exact_tail_stays_known(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, PFA_CONFIG_ZEROED_POOL, PFA_EXPLICIT_0);
	rig_start(&rig);
	EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, 5, 6, PFA_MOVABLE, &pfn);
	for (pfa_pfn at = 0; at < FRAMES; at++)
		assert_int_equal(rig_info(&rig, at).known_zero, at < pfn || at >= pfn + 5);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, 5);
	rig_stop(&rig);
}

/* Without an op it is memset, and the user really reads zeroes. */
static void test_memset(void **state)
{
	(void)state;
	struct rig rig;
	void *ptr;
	base(&rig, PFA_CONFIG_ZEROED_POOL, 8);
	rig.os.zero = NULL;
	rig.pool_kind = RIG_POOL_CONTENT;
	rig.cfg.frame_shift = 9;
	rig_start(&rig);
	for (unsigned round = 0; round < 200; round++) {
		const unsigned order = round % 9;
		const size_t bytes = (size_t)512 << order;
		EXPECT(pfa_alloc_ptr, PFA_OK, rig.pfa, order, PFA_MOVABLE | PFA_ZERO, &ptr);
		for (size_t i = 0; i < bytes; i++)
			MUST_EQ(((unsigned char *)ptr)[i], 0);
		memset(ptr, 0xEE, bytes);
		EXPECT(pfa_free_ptr, PFA_OK, rig.pfa, ptr, order);
	}
	assert_true(rig_events(&rig).nr_zero_skipped > 0);
	assert_int_equal(rig_events(&rig).nr_zeroed > 0, rig_level != 3); /* level 3 zeroes at the free */
	rig_stop(&rig);
}

/* ---- pointers --------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
	(void)state;
	static unsigned char pool[300 * 64] __attribute__((aligned(64)));
	struct rig rig;
	void *ptr = NULL;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 1000, 100);
	rig_zone(&rig, 1150, 100); /* a gap between them */
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = sizeof(pool);
	rig.cfg.pool_pfn = 990; /* the pool reaches further than the zones */
	rig_start(&rig);
	for (pfa_pfn at = 980; at < 1300; at++) {
		const bool inside = (at >= 1000 && at < 1100) || (at >= 1150 && at < 1250);
		if (!inside) {
			EXPECT(pfa_ptr, PFA_ERANGE, rig.pfa, at, &ptr);
			continue;
		}
		EXPECT(pfa_ptr, PFA_OK, rig.pfa, at, &ptr);
		assert_ptr_equal(ptr, pool + (at - 990) * 64);
		for (unsigned in = 0; in < 64; in += 21) {
			EXPECT(pfa_pfn_of, PFA_OK, rig.pfa, (char *)ptr + in, &pfn);
			assert_int_equal(pfn, at);
		}
	}
	EXPECT(pfa_pfn_of, PFA_ERANGE, rig.pfa, pool, &pfn);            /* in the pool, in no zone */
	EXPECT(pfa_pfn_of, PFA_ERANGE, rig.pfa, pool + 115 * 64, &pfn); /* in the gap */
	EXPECT(pfa_pfn_of, PFA_ERANGE, rig.pfa, pool + sizeof(pool), &pfn);
	EXPECT(pfa_pfn_of, PFA_ERANGE, rig.pfa, &rig, &pfn);
	EXPECT(pfa_pfn_of, PFA_ERANGE, rig.pfa, NULL, &pfn);
	EXPECT(pfa_ptr, PFA_ERANGE, rig.pfa, SIZE_MAX, &ptr);

	EXPECT(pfa_alloc_ptr, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &ptr);
	EXPECT(pfa_pfn_of, PFA_OK, rig.pfa, ptr, &pfn);
	assert_int_equal(pfn % 8, 0);
	assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_HEAD);
	EXPECT(pfa_free_ptr, PFA_OK, rig.pfa, ptr, 3);
	EXPECT(pfa_alloc_ptr, PFA_EINVAL, rig.pfa, 9, PFA_MOVABLE, &ptr);
	rig_stop(&rig);
}

static void test_ptr_refusals(void **state)
{
	(void)state;
	static unsigned char pool[64 * 64] __attribute__((aligned(64)));
	struct rig rig;
	void *ptr = NULL;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, 64);
	rig.cfg.nr_cpus = 2;
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = sizeof(pool);
	rig_start(&rig);
	assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, 64), 64);
	EXPECT(pfa_alloc_ptr, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE, &ptr);
	rig.cpu = 1;
	EXPECT(pfa_free, PFA_OK, rig.pfa, 9, 0);
	rig.cpu = 0;
	EXPECT(pfa_alloc_ptr, PFA_EAGAIN, rig.pfa, 0, PFA_MOVABLE | PFA_NORETRY, &ptr);
	assert_null(ptr);
	EXPECT(pfa_alloc_ptr, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &ptr);
	assert_ptr_equal(ptr, pool + 9 * 64);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, 64);
	rig_stop(&rig);

	rig_init(&rig);
	rig_zone(&rig, 0, 64);
	rig.pool_kind = RIG_POOL_NEVER;
	rig_start(&rig);
	EXPECT(pfa_ptr, PFA_ENOTSUP, rig.pfa, 3, &ptr);
	EXPECT(pfa_pfn_of, PFA_ENOTSUP, rig.pfa, pool, &pfn);
	EXPECT(pfa_alloc_ptr, PFA_ENOTSUP, rig.pfa, 0, PFA_MOVABLE, &ptr);
	EXPECT(pfa_free_ptr, PFA_ENOTSUP, rig.pfa, pool, 0);
	assert_int_equal(rig.fault.nr, 0);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_exact_tail_keeps_its_content),
	TEST(test_fresh_frames_are_not_zeroed), TEST(test_untracked_is_always_zeroed), TEST(test_tracked_from_dirty),
	TEST(test_knowledge_survives_the_cache), TEST(test_mixed), TEST(test_every_form_zeroes),
	TEST(test_exact_tail_stays_known), TEST_CONTENT(test_memset, "it reads what PFA_ZERO wrote"),
	TEST(test_addresses), TEST(test_ptr_refusals),
};
UNIT_MAIN(tests)
