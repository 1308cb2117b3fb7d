/* SPDX-License-Identifier: MIT
 *
 * The checker is checked: every single wrong byte in the frame bytes, the free map and the index is found, whatever its
 * value, and found again to be right after it is put back. Plus its arguments, levels and the unlock hook.
 */
#include "unit.h"

#include <string.h>

static pfa_pfn pfns[512];

/* A small instance with something of everything. */
static void start(struct rig *rig, uint32_t max_order, uint32_t flags)
{
	static const struct pfa_run hole = {130, 7}, area = {192, 64};
	rig_init(rig);
	rig->cfg.max_order = max_order;
	rig->cfg.cache_high = 4;
	rig->cfg.flags = flags;
	struct pfa_zone_config *z = rig_zone(rig, 10, 300);
	z->holes = &hole;
	z->nr_holes = 1;
	z->cma = &area;
	z->nr_cma = 1;
	z->highatomic_frames = 64;
	rig_start(rig);
	struct rng rng = {max_order};
	unsigned nr = 0, orders[512];
	for (unsigned i = 0; i < 25; i++) {
		orders[nr] = (unsigned)rng_below(&rng, 4);
		EXPECT(pfa_alloc, PFA_OK, rig->pfa, orders[nr],
		       (uint32_t)rng_below(&rng, 3) | (rng_one_in(&rng, 8) ? PFA_HIGH : 0), &pfns[nr]);
		nr++;
	}
	while (nr > 12) {
		nr--;
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[nr], orders[nr]);
	}
	rig_check(rig);
	struct pfa_zone_stats s = rig_stats(rig, 0);
	assert_true(s.cached > 0 && s.free > 0 && s.allocated > 0);
}

/* Writes value over one byte; the check must name something, and be content again afterwards. */
static void corrupt_one(struct rig *rig, const char *region, unsigned char *at, unsigned char value, size_t offset)
{
	struct pfa_violation v;
	const unsigned char old = *at;
	*at = value;
	int err = pfa_check(rig->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v);
	*at = old;
	if (err != PFA_ECORRUPT)
		rig_fail(__FILE__, __LINE__, "%s[%zu]: 0x%02x instead of 0x%02x was not seen (%s)", region, offset, value, old,
		         pfa_error_name(err));
	rig_expect("pfa_check", PFA_ECORRUPT, err, __FILE__, __LINE__);
	if (v.invariant < 1 || v.invariant > 15 || !v.what || v.what[0] != 'I' || v.zone != 0)
		rig_fail(__FILE__, __LINE__, "%s[%zu]: the violation makes no sense", region, offset);
}

static void test_every_wrong_frame_byte(void **state)
{
	(void)state;
	struct rig rig;
	size_t bytes;
	start(&rig, 8, 0);
	unsigned char *frames = rig_region(&rig, "frame_bytes", &bytes);
	assert_non_null(frames);
	assert_int_equal(bytes, 310); /* from the pageblock's start to the zone's end */
	for (size_t i = 10; i < bytes; i++) {
		for (unsigned value = 0; value < 256; value++) {
			const bool cached = rig_info(&rig, i).state == PFA_FRAME_CACHED;
			if (value == frames[i] || (cached && (value ^ frames[i]) == 0x20))
				continue; /* cached and known to be zero: nothing else says so */
			corrupt_one(&rig, "frame_bytes", &frames[i], (unsigned char)value, i);
		}
	}
	rig_check(&rig);
	rig_drop(&rig);
}

static void every_bit(struct rig *rig, const char *region)
{
	size_t bytes;
	unsigned char *at = rig_region(rig, region, &bytes);
	assert_non_null(at);
	for (size_t i = 0; i < bytes; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			corrupt_one(rig, region, &at[i], (unsigned char)(at[i] ^ 1u << bit), i);
	rig_check(rig);
}

static void test_every_wrong_bit_of_maps(void **state)
{
	(void)state;
	for (uint32_t max_order = 4; max_order <= 8; max_order += 2) {
		struct rig rig;
		start(&rig, max_order, 0);
		every_bit(&rig, "not_free");
		every_bit(&rig, "leaves");
		every_bit(&rig, "sets");
		rig_drop(&rig);
	}
}

/* The range check sees what lies in its range, and leaves the rest alone. */
static void test_range(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_violation v;
	size_t bytes;
	start(&rig, 8, 0);
	for (pfa_pfn at = 10; at < 310; at += 7)
		EXPECT(pfa_check_range, PFA_OK, rig.pfa, ((struct pfa_run){at, 1 + at % 100}), PFA_CHECK_FRAMES, &v);
	unsigned char *leaves = rig_region(&rig, "leaves", &bytes);
	pfa_pfn there = 64; /* in the second pageblock */
	unsigned char *leaf = leaves + bytes - 5 + 1;
	*leaf ^= 0x55;
	EXPECT(pfa_check_range, PFA_ECORRUPT, rig.pfa, ((struct pfa_run){there, 64}), 0, &v);
	assert_true(v.pfn >= 64 && v.pfn < 128);
	EXPECT(pfa_check_range, PFA_OK, rig.pfa, ((struct pfa_run){128, 64}), 0, &v);
	*leaf ^= 0x55;
	EXPECT(pfa_check_range, PFA_OK, rig.pfa, ((struct pfa_run){there, 64}), PFA_CHECK_FRAMES, &v);
	EXPECT(pfa_check_range, PFA_ERANGE, rig.pfa, ((struct pfa_run){5, 64}), 0, &v);
	EXPECT(pfa_check_range, PFA_ERANGE, rig.pfa, ((struct pfa_run){310, 1}), 0, &v);
	EXPECT(pfa_check_range, PFA_EINVAL, rig.pfa, ((struct pfa_run){10, 64}), 1u << 2, &v);
	rig_drop(&rig);
}

static void test_arguments(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_violation v;
	start(&rig, 8, 0);
	EXPECT(pfa_check, PFA_EINVAL, rig.pfa, 1u << 2, &v);
	EXPECT(pfa_check, PFA_EINVAL, rig.pfa, UINT32_MAX, &v);
	for (unsigned level = 0; level < 4; level++) {
		memset(&v, 0xEE, sizeof(v));
		EXPECT(pfa_check, PFA_OK, rig.pfa, level, &v);
		assert_int_equal(v.invariant, 0);
		assert_null(v.what);
	}
	assert_int_equal(rig.fault.nr, 0);
	rig_drop(&rig);
}

static void test_checker_never_calls_fatal(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_violation v;
	size_t bytes;
	rig_init(&rig);
	rig.cfg.fatal_policy = PFA_FATAL_ABORT;
	rig_zone(&rig, 0, 128);
	rig_start(&rig);
	unsigned char *map = rig_region(&rig, "not_free", &bytes);
	map[3] ^= 1;
	EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_QUIESCENT, &v);
	assert_int_equal(rig.fault.nr, 0);
	map[3] ^= 1;
	rig_stop(&rig);
}

/* The hook runs before each release of a zone's lock, on a state that is whole. */
static void on_unlock(void *ctx, struct pfa *pfa, unsigned zone)
{
	struct rig *rig = ctx;
	MUST(pfa == rig->pfa && zone < rig->cfg.nr_zones);
	rig->nr_zero_calls++;
}

static void test_unlock_hook(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, 1024);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_start(&rig);
	pfa_debug_on_unlock(rig.pfa, on_unlock, &rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	assert_int_equal(rig.nr_zero_calls, 1);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	assert_int_equal(rig.nr_zero_calls, 2);
	pfa_debug_on_unlock(rig.pfa, NULL, NULL);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	assert_int_equal(rig.nr_zero_calls, 2);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	rig_stop(&rig);
}

/* The regions lie inside the instance's memory and do not overlap. */
struct spans {
	const char *starts[64], *ends[64];
	unsigned nr;
};

static void collect(void *ctx, const char *name, const void *start_at, size_t bytes)
{
	struct spans *s = ctx;
	MUST(name && name[0] && s->nr < 64);
	s->starts[s->nr] = start_at;
	s->ends[s->nr++] = (const char *)start_at + bytes;
}

static void test_regions(void **state)
{
	(void)state;
	struct rig rig;
	struct spans s = {.nr = 0};
	rig_init(&rig);
	rig.cfg.flags = PFA_CONFIG_ZEROED_POOL;
	rig_zone(&rig, 0, 1000);
	rig_zone(&rig, 1000, 1000);
	rig_start(&rig);
	pfa_debug_regions(rig.pfa, collect, &s);
	assert_true(s.nr >= 10);
	for (unsigned i = 0; i < s.nr; i++) {
		assert_true(s.starts[i] >= (char *)rig.memory && s.ends[i] <= (char *)rig.memory + rig.bytes);
		for (unsigned k = 0; k < i; k++)
			assert_true(s.ends[i] <= s.starts[k] || s.starts[i] >= s.ends[k]);
	}
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_every_wrong_frame_byte), TEST(test_every_wrong_bit_of_maps), TEST(test_range), TEST(test_arguments),
	TEST(test_checker_never_calls_fatal), TEST(test_unlock_hook), TEST(test_regions),
};
UNIT_MAIN(tests)
