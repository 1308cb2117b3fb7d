/* SPDX-License-Identifier: MIT
 *
 * Watermarks: signed, min and low, HIGH requests, what CMA and the reserve do not count for, with and without caches.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 2048, PB = 64 };
static pfa_pfn pfns[2 * FRAMES], more[2 * FRAMES];

static struct pfa_zone_config *base(struct rig *rig, size_t min, size_t low)
{
	rig_init(rig);
	struct pfa_zone_config *z = rig_zone(rig, 0, FRAMES);
	z->mark_min = min;
	z->mark_low = z->mark_high = low;
	return z;
}

static void free_all(struct rig *rig, unsigned order, size_t nr, const pfa_pfn list[])
{
	size_t done;
	EXPECT(pfa_free_bulk, PFA_OK, rig->pfa, order, nr, list, &done);
}

static void test_min(void **state)
{
	(void)state;
	const size_t mins[] = {0, 1, 2, 63, 64, 100, 1000, FRAMES - 1, FRAMES, FRAMES + 1, PTRDIFF_MAX / 2, PTRDIFF_MAX};
	for (unsigned cached = 0; cached < 2; cached++) {
		for (size_t i = 0; i < sizeof(mins) / sizeof(mins[0]); i++) {
			for (unsigned order = 0; order <= 4; order += 2) {
				struct rig rig;
				const size_t min = mins[i], size = (size_t)1 << order;
				base(&rig, min, min);
				rig.cfg.cache_high = cached ? 0 : PFA_EXPLICIT_0;
				rig_start(&rig);
				size_t fits = min >= FRAMES ? 0 : (FRAMES - min) / size;
				size_t nr = rig_take_all(&rig, order, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
				assert_int_equal(nr, fits);
				assert_int_equal(rig_stats(&rig, 0).free, FRAMES - fits * size);
				EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE);
				/* high priority: half of it */
				fits = min / 2 >= FRAMES ? 0 : (FRAMES - min / 2) / size;
				nr += rig_take_all(&rig, order, PFA_MOVABLE | PFA_HIGH, PFA_ENOMEM, pfns + nr, FRAMES);
				assert_int_equal(nr, fits);
				rig_check(&rig);
				free_all(&rig, order, nr, pfns);
				rig_stop(&rig);
			}
		}
	}
}

/* One zone: low decides nothing. */
static void test_low_alone(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 10, FRAMES);
	rig_start(&rig);
	assert_int_equal(rig_take_all(&rig, 0, 0, PFA_ENOMEM, pfns, FRAMES), FRAMES - 10);
	free_all(&rig, 0, FRAMES - 10, pfns);
	rig_stop(&rig);
}

/* Two zones: the first down to low, the second down to low, the first down to min, the second down to min. */
static void test_low_before_min(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 100, 300);
	rig.zones[0].nr_frames = 1024;
	struct pfa_zone_config *z = rig_zone(&rig, 1024, 1024);
	z->mark_min = 50;
	z->mark_low = z->mark_high = 200;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_start(&rig);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, 2048 - 150);
	const size_t legs[] = {1024 - 300, 1024 - 200, 200, 150};
	size_t at = 0;
	for (unsigned leg = 0; leg < 4; leg++)
		for (size_t i = 0; i < legs[leg]; i++)
			if (pfns[at++] / 1024 != leg % 2)
				rig_fail(__FILE__, __LINE__, "request %zu was served by the wrong zone", at - 1);
	assert_int_equal(at, nr);
	/* HIGH goes on: first zone to 50, second to 25 */
	assert_int_equal(rig_take_all(&rig, 0, PFA_HIGH, PFA_ENOMEM, pfns + nr, FRAMES), 50 + 25);
	nr += 75;
	assert_int_equal(rig_stats(&rig, 0).free, 50);
	assert_int_equal(rig_stats(&rig, 1).free, 25);
	rig_check(&rig);
	free_all(&rig, 0, nr, pfns);
	rig_stop(&rig);
}

/* CMA does not count for requests that cannot use it. */
static void test_cma_does_not_count(void **state)
{
	(void)state;
	struct rig rig;
	const struct pfa_run area = {1024, 512};
	struct pfa_zone_config *z = base(&rig, 200, 200);
	z->cma = &area;
	z->nr_cma = 1;
	rig_start(&rig);
	size_t nr = rig_take_all(&rig, 0, PFA_UNMOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, FRAMES - 512 - 200);
	/* For a movable one it does: the 200 are kept in total, not on top. */
	nr += rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns + nr, FRAMES);
	assert_int_equal(nr, FRAMES - 200);
	rig_check(&rig);
	free_all(&rig, 0, nr, pfns);
	rig_stop(&rig);
}

/* More reserved than free: the difference is negative and must not wrap. */
static void test_reserve_above_free(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	struct pfa_zone_config *z = base(&rig, 20, 20);
	z->highatomic_frames = 256;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_start(&rig);
	size_t nr = 0;
	while (rig_stats(&rig, 0).reserved_highatomic < 256) /* fill one pageblock after the other */
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, PFA_HIGH, &more[nr++]);
	free_all(&rig, 4, nr, more);
	assert_int_equal(rig_stats(&rig, 0).free_highatomic, 256);
	nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_NORETRY, PFA_EAGAIN, pfns, FRAMES);
	assert_int_equal(nr, FRAMES - 256 - 20);
	/* HIGH may take the rest of the common frames, then the reserve, down to min / 2. */
	size_t high = rig_take_all(&rig, 0, PFA_HIGH, PFA_ENOMEM, more, FRAMES);
	assert_int_equal(high, 256 + 10);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.free, 10);
	assert_true(s.free_highatomic <= 10); /* now free - reserve - mark is below zero */
	const uint32_t types[] = {PFA_UNMOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE};
	for (unsigned i = 0; i < 3; i++) {
		EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, 0, types[i]);
		EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 0, types[i], &pfn);
	}
	rig_check(&rig);
	free_all(&rig, 0, high, more);
	free_all(&rig, 0, nr, pfns);
	rig_stop(&rig);
}

/* A refused large order does not stop small ones, and the refusal is exact to the frame. */
static void test_exact_to_the_frame(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, 100, 100);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_start(&rig);
	size_t nr = 0;
	while (rig_stats(&rig, 0).free > 100 + 15)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, 0, &pfns[nr++]);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 4, 0, &pfn);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, 0, &pfn);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 3, 0, &more[0]);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[--nr], 0); /* 116 free: 16 above the mark */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, 0, &pfn);
	assert_int_equal(rig_stats(&rig, 0).free, 100);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	free_all(&rig, 0, nr, pfns);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_min), TEST(test_low_alone), TEST(test_low_before_min), TEST(test_cma_does_not_count),
	TEST(test_reserve_above_free), TEST(test_exact_to_the_frame),
};
UNIT_MAIN(tests)
