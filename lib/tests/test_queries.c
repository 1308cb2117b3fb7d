/* SPDX-License-Identifier: MIT
 *
 * pfa_largest_free and pfa_would_succeed: what they say is what a request then gets, and they change nothing; and that
 * no other reading function changes anything either.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 1024 };
static pfa_pfn pfns[FRAMES];
static unsigned orders[FRAMES];

static const uint32_t requests[] = {
	PFA_UNMOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH, PFA_UNMOVABLE | PFA_HIGH,
	PFA_MOVABLE | PFA_ZONE(1), PFA_RECLAIMABLE | PFA_EXACT_ZONE, PFA_UNMOVABLE | PFA_EXACT_ZONE | PFA_ZONE(1),
};

/* All requests of all orders: the queries agree with each other and with what an impatient request gets. */
static void agree(struct rig *rig)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		uint64_t before = rig_digest(rig);
		unsigned largest = 99;
		int any = pfa_largest_free(rig->pfa, requests[i], &largest);
		rig_expect("pfa_largest_free", largest == 99 ? PFA_ENOMEM : PFA_OK, any, __FILE__, __LINE__);
		/* A cached block may serve a large order while a smaller one has nothing: the largest is asked for. */
		int says[9], best = -1;
		for (unsigned order = 0; order <= 8; order++) {
			says[order] = pfa_would_succeed(rig->pfa, order, requests[i]);
			if (says[order] == PFA_OK)
				best = (int)order;
			else
				rig_expect("pfa_would_succeed", PFA_ENOMEM, says[order], __FILE__, __LINE__);
		}
		assert_int_equal(best, any == PFA_OK ? (int)largest : -1);
		assert_true(rig_digest(rig) == before);
		for (unsigned order = 0; order <= 8; order++) {
			pfa_pfn pfn;
			int got = pfa_alloc(rig->pfa, order, requests[i] | PFA_NORETRY, &pfn);
			if ((got == PFA_OK) != (says[order] == PFA_OK))
				rig_fail(__FILE__, __LINE__, "flags 0x%x, order %u: said %s, got %s", requests[i],
				         order, pfa_error_name(says[order]), pfa_error_name(got));
			if (got == PFA_OK)
				EXPECT(pfa_free, PFA_OK, rig->pfa, pfn, order);
			/* what was taken and given back may have moved types and caches: ask anew */
			for (unsigned above = order + 1; above <= 8; above++)
				says[above] = pfa_would_succeed(rig->pfa, above, requests[i]);
		}
	}
}

static void soak(uint32_t cache_high, bool special, size_t mark)
{
	static const struct pfa_run area = {256, 128};
	struct rig rig;
	struct rng rng = {cache_high + special + mark};
	size_t nr = 0;
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 0, 600);
	rig_zone(&rig, 600, 424);
	z->mark_min = mark / 2;
	z->mark_low = z->mark_high = mark;
	if (special) {
		z->cma = &area;
		z->nr_cma = 1;
		z->highatomic_frames = 128;
	}
	rig.cfg.nr_cpus = 2;
	rig.cfg.cache_high = cache_high;
	rig_start(&rig);
	agree(&rig);
	for (unsigned step = 0; step < 60; step++) {
		rig.cpu = (uint32_t)rng_below(&rng, 3);
		for (unsigned k = 0; k < 20; k++) {
			if (nr && rng_one_in(&rng, step < 35 ? 3 : 2)) {
				size_t i = rng_below(&rng, nr--);
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], orders[i]);
				pfns[i] = pfns[nr];
				orders[i] = orders[nr];
			} else {
				unsigned order = rng_one_in(&rng, 3) ? (unsigned)rng_below(&rng, 9) : 0;
				if (pfa_alloc(rig.pfa, order, requests[rng_below(&rng, 8)], &pfns[nr]) == PFA_OK)
					orders[nr++] = order;
			}
		}
		agree(&rig);
		rig_check(&rig);
	}
	while (nr--)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[nr], orders[nr]);
	rig_stop(&rig);
}

static void test_without_caches(void **state)
{
	(void)state;
	soak(PFA_EXPLICIT_0, false, 0);
	soak(PFA_EXPLICIT_0, true, 0);
	soak(PFA_EXPLICIT_0, true, 100);
}

static void test_with_caches(void **state)
{
	(void)state;
	soak(1, false, 0);
	soak(8, true, 0);
	soak(8, true, 100);
	soak(0, true, 50);
}

/* Other cpus' caches do not count; one's own does. */
static void test_whose_cache_counts(void **state)
{
	(void)state;
	struct rig rig;
	unsigned order = 99;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.nr_cpus = 2;
	rig.cfg.cache_high = 8;
	rig_start(&rig);
	EXPECT(pfa_largest_free, PFA_OK, rig.pfa, PFA_MOVABLE, &order);
	assert_int_equal(order, 8);
	assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES), FRAMES);
	EXPECT(pfa_largest_free, PFA_ENOMEM, rig.pfa, PFA_MOVABLE, &order);
	EXPECT(pfa_free, PFA_OK, rig.pfa, 17, 0);
	EXPECT(pfa_would_succeed, PFA_OK, rig.pfa, 0, PFA_MOVABLE);
	EXPECT(pfa_largest_free, PFA_OK, rig.pfa, PFA_MOVABLE, &order);
	assert_int_equal(order, 0);
	rig.cpu = 1;
	EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE);
	EXPECT(pfa_largest_free, PFA_ENOMEM, rig.pfa, PFA_MOVABLE, &order);
	assert_int_equal(rig_stats(&rig, 0).cached, 1); /* nothing was drained for the question */
	rig.cpu = 0;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[0]);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, FRAMES);
	rig_stop(&rig);
}

/* Every function that only reads leaves every byte of the metadata as it was. */
static void test_reading_changes_nothing(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	rig_init(&rig);
	rig_zone(&rig, 3, FRAMES);
	rig.cfg.cache_high = 8;
	rig_start(&rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 1, PFA_MOVABLE, 100, pfns, &nr);
	EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 1, 50, pfns, &nr);
	const uint64_t before = rig_digest(&rig);
	struct pfa_violation v;
	struct rig_text text = {0};
	unsigned order;
	rig_check(&rig);
	EXPECT(pfa_check, PFA_OK, rig.pfa, 0, &v);
	EXPECT(pfa_check, PFA_OK, rig.pfa, PFA_CHECK_FRAMES, &v);
	EXPECT(pfa_check, PFA_OK, rig.pfa, PFA_CHECK_QUIESCENT, &v);
	EXPECT(pfa_check_range, PFA_OK, rig.pfa, ((struct pfa_run){100, 200}), PFA_CHECK_FRAMES, &v);
	for (int what = 0; what < PFA_PRINT_WHATS; what++)
		EXPECT(pfa_print, PFA_OK, rig.pfa, (enum pfa_print_what)what, rig_text_write, &text);
	rig_text_free(&text);
	for (pfa_pfn at = 0; at < FRAMES + 10; at++)
		(void)rig_info(&rig, at);
	(void)rig_type(&rig, 500);
	(void)rig_events(&rig);
	EXPECT(pfa_largest_free, PFA_OK, rig.pfa, 0, &order);
	EXPECT(pfa_would_succeed, PFA_OK, rig.pfa, 8, 0);
	assert_true(rig_digest(&rig) == before);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, 0, &pfns[200]);
	assert_true(rig_digest(&rig) != before); /* the digest sees what does change */
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[200], 0);
	EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 1, 50, pfns + 50, &nr);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_without_caches), TEST(test_with_caches), TEST(test_whose_cache_counts),
	TEST(test_reading_changes_nothing),
};
UNIT_MAIN(tests)
