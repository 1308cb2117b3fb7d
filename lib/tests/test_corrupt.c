/* SPDX-License-Identifier: MIT
 *
 * Damaged metadata under policy REPORT: told once as corruption, PFA_ECORRUPT, and the zone refuses from then on while
 * the others go on. The damage is done through pfa_debug_regions().
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 1024 };
static pfa_pfn pfns[FRAMES];

/* Two zones, so that one can go on; zone 0 holds frames 0 .. 1023. */
static void base(struct rig *rig, uint32_t high)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
	rig_zone(rig, FRAMES, FRAMES);
	rig->cfg.cache_high = high;
	rig->cfg.nr_cpus = 2;
	rig_start(rig);
}

/* A block that lies in the cache of cpu 0. */
static pfa_pfn cached_block(struct rig *rig, unsigned order)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig->pfa, pfn, order);
	assert_int_equal(rig_info(rig, pfn).state, PFA_FRAME_CACHED);
	return pfn;
}

static void told(struct rig *rig, unsigned nr, enum pfa_fault_kind kind)
{
	assert_int_equal(rig->fault.nr, nr);
	assert_int_equal(rig->fault.code, PFA_ECORRUPT);
	assert_int_equal(rig->fault.kind, kind);
	assert_int_equal(rig_events(rig).nr_corrupt, nr);
	assert_int_equal(rig_events(rig).nr_misuse, 0);
}

/* Zone 0 is damaged and was found to be; everything that can only be served from it says so. */
static void all_refuse(struct rig *rig, pfa_pfn live, unsigned live_order)
{
	const uint32_t only0 = PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(0);
	pfa_pfn pfn;
	size_t nr;
	unsigned order;
	EXPECT(pfa_alloc, PFA_ECORRUPT, rig->pfa, 3, only0, &pfn);
	EXPECT(pfa_alloc_bulk, PFA_ECORRUPT, rig->pfa, 3, only0, 4, pfns, &nr);
	assert_int_equal(nr, 0);
	EXPECT(pfa_alloc_exact, PFA_ECORRUPT, rig->pfa, 3, 0, only0, &pfn);
	EXPECT(pfa_alloc_window, PFA_ECORRUPT, rig->pfa, 0, only0, ((struct pfa_run){0, FRAMES}), &pfn);
	EXPECT(pfa_would_succeed, PFA_ECORRUPT, rig->pfa, 8, only0);
	EXPECT(pfa_largest_free, PFA_ECORRUPT, rig->pfa, only0, &order);
	EXPECT(pfa_cache_disable, PFA_OK, rig->pfa); /* a cache would still take it */
	EXPECT(pfa_free, PFA_ECORRUPT, rig->pfa, live, live_order);
	EXPECT(pfa_free_bulk, PFA_ECORRUPT, rig->pfa, live_order, 1, &live, &nr);
	assert_int_equal(nr, 0);
	EXPECT(pfa_free_range, PFA_ECORRUPT, rig->pfa, live, (size_t)1 << live_order);
	/* The other zone serves as ever. */
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, 3, PFA_MOVABLE, &pfn);
	assert_true(pfn >= FRAMES);
	EXPECT(pfa_free, PFA_OK, rig->pfa, pfn, 3);
}

/* The byte of a cached block was overwritten: met by the request that pops it. */
static void test_cached_byte_met_by_alloc(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn live, pfn;
	base(&rig, 8);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 8, PFA_MOVABLE, ((struct pfa_run){512, 256}), &live);
	pfa_pfn victim = cached_block(&rig, 0);
	*rig_frame_byte(&rig, victim) = 0;
	EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 0, PFA_MOVABLE, &pfn);
	told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 1);
	all_refuse(&rig, live, 8);
	assert_int_equal(rig.fault.nr, 1); /* told once */
	rig_drop(&rig);
}

static void test_cached_byte_met_by_drain(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		struct rig rig;
		base(&rig, 8);
		pfa_pfn victim = cached_block(&rig, 1);
		*rig_frame_byte(&rig, victim) = 0x21; /* HEAD again, as a late write of its last owner's */
		switch (way) {
		case 0:
			EXPECT(pfa_cache_drain, PFA_ECORRUPT, rig.pfa, 0);
			break;
		case 1:
			EXPECT(pfa_cache_purge, PFA_ECORRUPT, rig.pfa, victim);
			break;
		case 2:
			EXPECT(pfa_cache_disable, PFA_ECORRUPT, rig.pfa);
			EXPECT(pfa_cache_enable, PFA_EINVAL, rig.pfa); /* it was not disabled */
			break;
		default:
			EXPECT(pfa_cache_drain, PFA_ECORRUPT, rig.pfa, PFA_ALL_CPUS);
		}
		told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
		pfa_pfn pfn;
		EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 8, PFA_EXACT_ZONE, &pfn);
		rig_drop(&rig);
	}
}

static void test_cached_byte_met_by_service(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8);
	pfa_pfn victim = cached_block(&rig, 0);
	*rig_frame_byte(&rig, victim) = 0xFF;
	int err = PFA_OK;
	for (unsigned i = 0; i < 20 && (err == PFA_OK || err == PFA_EAGAIN); i++) {
		rig.now_ns += PFA_SERVICE_IDLE_NS;
		err = pfa_service(rig.pfa, 10, NULL);
	}
	rig_expect("pfa_service", PFA_ECORRUPT, err, __FILE__, __LINE__);
	told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
	rig_drop(&rig);
}

/* Met by the free that flushes the full slot: the zone is closed to the fast paths, too, with and without a cpu op. */
static void test_cached_byte_met_by_free(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct rig rig;
		pfa_pfn pfn;
		rig_init(&rig);
		rig_zone(&rig, 0, FRAMES);
		rig.cfg.cache_high = 16;
		if (way)
			rig.os.cpu = NULL;
		rig_start(&rig);
		for (unsigned i = 0; i < 64; i++)
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[i]);
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
		for (unsigned i = 0; i < 16; i++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
		*rig_frame_byte(&rig, pfns[0]) = 0;
		int err = PFA_OK;
		for (unsigned i = 16; i < 63 && err == PFA_OK; i++)
			err = pfa_free(rig.pfa, pfns[i], 0);
		rig_expect("pfa_free", PFA_ECORRUPT, err, __FILE__, __LINE__);
		told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
		for (unsigned i = 0; i < 100; i++)
			EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, i % 9, PFA_MOVABLE, &pfn);
		EXPECT(pfa_free, PFA_ECORRUPT, rig.pfa, pfns[63], 0);
		told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
		rig_drop(&rig);
	}
}

/* Met by the drain that a request does before it fails. */
static void test_cached_byte_met_by_last_resort(void **state)
{
	(void)state;
	const uint32_t flags[] = {PFA_MOVABLE, PFA_MOVABLE | PFA_NOWAIT};
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		pfa_pfn pfn;
		rig_init(&rig);
		rig_zone(&rig, 0, FRAMES);
		rig.cfg.cache_high = 8;
		rig.cfg.max_order = 10; /* all of the zone */
		rig_start(&rig);
		*rig_frame_byte(&rig, cached_block(&rig, 0)) = 0;
		EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 10, flags[i], &pfn);
		told(&rig, 1, PFA_FAULT_CORRUPT_CACHE);
		rig_drop(&rig);
	}
}

/* A stray write that makes the fourth frame of the first block free in the map, between its grant and its trim. */
static void stray_write(void *ctx, struct pfa *pfa, unsigned zone)
{
	struct rig *rig = ctx;
	(void)pfa;
	(void)zone;
	pfa_pfn at = 0;
	if (rig->nr_zero_calls++)
		return;
	while (!*rig_frame_byte(rig, at))
		at++;
	unsigned char *map = rig_region(rig, "not_free", NULL);
	map[(at + 3) / 8] = (unsigned char)(map[(at + 3) / 8] & ~(1u << (at + 3) % 8));
}

static void test_map_met_by_exact_trim(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn = 5;
	base(&rig, PFA_EXPLICIT_0);
	pfa_debug_on_unlock(rig.pfa, stray_write, &rig);
	EXPECT(pfa_alloc_exact, PFA_ECORRUPT, rig.pfa, 3, 2, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn);
	assert_int_equal(pfn, 5);
	told(&rig, 1, PFA_FAULT_CORRUPT_FREE);
	assert_string_equal(rig.fault.function, "pfa_alloc_exact");
	EXPECT(pfa_would_succeed, PFA_ECORRUPT, rig.pfa, 0, PFA_MOVABLE | PFA_EXACT_ZONE);
	rig_drop(&rig);
}

/* The call that met it is named. */
static void test_map_met_by_each_call(void **state)
{
	(void)state;
	const char *const names[] = {"pfa_alloc", "pfa_alloc_bulk", "pfa_alloc_exact"};
	for (unsigned i = 0; i < 3; i++) {
		struct rig rig;
		size_t bytes, nr;
		pfa_pfn pfn;
		base(&rig, PFA_EXPLICIT_0);
		unsigned char *map = rig_region(&rig, "not_free", &bytes);
		memset(map, 0xFF, bytes); /* nothing is free, says the map; the index offers it all */
		if (i == 0)
			EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 2, PFA_MOVABLE, &pfn);
		else if (i == 1)
			EXPECT(pfa_alloc_bulk, PFA_ECORRUPT, rig.pfa, 2, PFA_MOVABLE, 3, pfns, &nr);
		else
			EXPECT(pfa_alloc_exact, PFA_ECORRUPT, rig.pfa, 3, 2, PFA_MOVABLE, &pfn);
		told(&rig, 1, PFA_FAULT_CORRUPT_FREE);
		assert_string_equal(rig.fault.function, names[i]);
		rig_drop(&rig);
	}
}

/* pfa_fini compares the sums. */
static void test_fini_compares(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8);
	pfa_pfn victim = cached_block(&rig, 2);
	*rig_frame_byte(&rig, victim) = 0;
	EXPECT(pfa_fini, PFA_ECORRUPT, rig.pfa);
	struct pfa_violation v;
	EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v); /* it goes on */
	rig_drop(&rig);
}

/* By pointer. */
static void test_pointer_forms(void **state)
{
	(void)state;
	static unsigned char pool[2 * FRAMES * 64] __attribute__((aligned(64)));
	struct rig rig;
	void *live, *ptr;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.cache_high = 8;
	rig.cfg.cache_max_order = 4;
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = sizeof(pool);
	rig_start(&rig);
	EXPECT(pfa_alloc_ptr, PFA_OK, rig.pfa, 8, PFA_MOVABLE, &live);
	pfn = cached_block(&rig, 0);
	*rig_frame_byte(&rig, pfn) = 0;
	EXPECT(pfa_alloc_ptr, PFA_ECORRUPT, rig.pfa, 0, PFA_MOVABLE, &ptr);
	EXPECT(pfa_free_ptr, PFA_ECORRUPT, rig.pfa, live, 8);
	rig_drop(&rig);
}

/* Whatever single byte of the maps or the index is wrong: no crash, no frame granted twice, no hang. */
static void scribble(const char *region, uint64_t seed)
{
	struct rig rig;
	struct rng rng = {seed};
	static unsigned char owned[FRAMES];
	size_t bytes, nr = 0, i;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.cache_high = seed % 2 ? 8 : PFA_EXPLICIT_0;
	rig_start(&rig);
	memset(owned, 0, sizeof(owned));
	unsigned orders[64];
	for (i = 0; i < 64; i++) {
		orders[nr] = (unsigned)rng_below(&rng, 5);
		if (pfa_alloc(rig.pfa, orders[nr], PFA_MOVABLE, &pfns[nr]) != PFA_OK)
			continue;
		memset(owned + pfns[nr], 1, (size_t)1 << orders[nr]);
		nr++;
	}
	unsigned char *at = rig_region(&rig, region, &bytes);
	assert_non_null(at);
	i = rng_below(&rng, bytes);
	at[i] = (unsigned char)(at[i] ^ 1u << rng_below(&rng, 8));
	for (unsigned step = 0; step < 300; step++) {
		pfa_pfn pfn;
		unsigned order = (unsigned)rng_below(&rng, 9);
		int err = pfa_alloc(rig.pfa, order, PFA_MOVABLE, &pfn);
		if (err == PFA_ECORRUPT)
			break;
		if (err != PFA_OK) {
			rig_expect("pfa_alloc", PFA_ENOMEM, err, __FILE__, __LINE__);
			break;
		}
		if (pfn + ((size_t)1 << order) > FRAMES)
			rig_fail(__FILE__, __LINE__, "%s, seed %llu: frames outside were granted", region, (unsigned long long)seed);
		for (size_t k = 0; k < (size_t)1 << order && strcmp(region, "not_free") != 0; k++)
			if (owned[pfn + k]++)
				rig_fail(__FILE__, __LINE__, "%s[%zu], seed %llu: frame %zu was granted twice", region, i,
				         (unsigned long long)seed, pfn + k);
	}
	rig_drop(&rig);
}

static void test_index_scribbles(void **state)
{
	(void)state;
	/* The free map is the truth: what it says wrongly is believed. Index and leaves are not. */
	for (uint64_t seed = 1; seed <= 150; seed++) {
		scribble("leaves", seed);
		scribble("sets", seed);
		scribble("not_free", seed);
	}
}

/* The last frame of a block in use says that it is the guard of the block after it: TAIL is one less. Who frees that block
 * must not give the frame away. */
static void test_tail_that_says_guard(void **state)
{
	(void)state;
	enum { TAIL = 4, GUARD_BELOW = 5 }; /* in the frame byte */
	struct rig rig;
	size_t nr = 0;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig.cfg.hardening = 3;
	rig_start(&rig);
	while (pfa_alloc(rig.pfa, 3, PFA_MOVABLE, &pfn) == PFA_OK)
		nr++;
	assert_int_equal(nr, FRAMES / 8);
	assert_int_equal(*rig_frame_byte(&rig, 23), TAIL);
	*rig_frame_byte(&rig, 23) = GUARD_BELOW;
	EXPECT(pfa_free, PFA_ECORRUPT, rig.pfa, 24, 3);
	while (pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK)
		assert_int_not_equal(pfn, 23);
	rig_drop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_tail_that_says_guard),
	TEST(test_cached_byte_met_by_alloc), TEST(test_cached_byte_met_by_drain), TEST(test_cached_byte_met_by_service),
	TEST(test_cached_byte_met_by_free), TEST(test_cached_byte_met_by_last_resort), TEST(test_map_met_by_exact_trim),
	TEST(test_map_met_by_each_call), TEST(test_fini_compares), TEST(test_pointer_forms), TEST(test_index_scribbles),
};
UNIT_MAIN(tests)
