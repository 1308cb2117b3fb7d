/* SPDX-License-Identifier: MIT
 *
 * Handles: a block is freed by exactly the handle that was made for it, and a stale one changes nothing, ever.
 */
#include "unit.h"

#include <pfa/harden.h>

#include <string.h>

enum { FRAMES = 256, STALE = 4096 };

static void prepare(struct rig *rig, uint32_t cache_high)
{
	rig_init(rig);
	rig_zone(rig, 64, FRAMES);
	rig->cfg.cache_high = cache_high;
	rig->cfg.flags |= PFA_CONFIG_GENERATIONS;
}

static void expect_fault(struct rig *rig, enum pfa_fault_kind kind, const char *message)
{
	assert_int_equal(rig->fault.nr, 1);
	assert_int_equal(rig->fault.kind, kind);
	assert_string_equal(rig->fault.message, message);
	memset(&rig->fault, 0, sizeof(rig->fault));
}

static void test_not_configured(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h = {64, 0, 0};
	prepare(&rig, 8);
	rig.cfg.flags = 0;
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_ENOTSUP, rig.pfa, 0, PFA_MOVABLE, &h);
	EXPECT(pfa_handle_of, PFA_ENOTSUP, rig.pfa, 64, 0, &h);
	EXPECT(pfa_free_checked, PFA_ENOTSUP, rig.pfa, &h);
	assert_int_equal(rig.fault.nr, 0);
	rig_stop(&rig);
}

static void test_requests(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h;
	pfa_pfn pfns[FRAMES];
	prepare(&rig, 8);
	rig.zones[0].mark_min = 0;
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_EINVAL, rig.pfa, 9, PFA_MOVABLE, &h);
	if (!rig.cfg.pool)
		EXPECT(pfa_alloc_checked, PFA_ENOTSUP, rig.pfa, 0, PFA_ZERO, &h);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &h);
	assert_int_equal(h.order, 3);
	assert_int_equal(rig_info(&rig, h.pfn).state, PFA_FRAME_HEAD);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &h);
	assert_int_equal(rig_info(&rig, h.pfn).state, PFA_FRAME_CACHED);
	EXPECT(pfa_alloc_checked, PFA_EAGAIN, rig.pfa, 8, PFA_MOVABLE | PFA_NORETRY, &h);
	const size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, FRAMES);
	EXPECT(pfa_alloc_checked, PFA_ENOMEM, rig.pfa, 0, PFA_MOVABLE, &h);
	for (size_t i = 0; i < nr; i++) {
		EXPECT(pfa_handle_of, PFA_OK, rig.pfa, pfns[i], 0, &h);
		EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &h);
	}
	rig_stop(&rig);
}

static void test_stale(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle old, new;
	pfa_pfn at;
	prepare(&rig, 8);
	if (rig_level == 3)
		rig.cfg.hardening = 2; /* the same frame again is what level 3 prevents */
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 1, PFA_MOVABLE, &old);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &old);
	char message[120];
	snprintf(message, sizeof(message),
	         "pfa_free_checked: stale handle: its block was freed or split since (pfn %zu, order 1)", old.pfn);
	/* Freed; granted again, from the cache and from the zone; granted as something else. */
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &old);
	expect_fault(&rig, PFA_FAULT_STALE_HANDLE, message);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 1, PFA_MOVABLE, &new);
		assert_int_equal(new.pfn, old.pfn); /* the same place, another generation */
		assert_int_not_equal(new.generation, old.generation);
		EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &old);
		expect_fault(&rig, PFA_FAULT_STALE_HANDLE, message);
		EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &new);
		if (i == 1)
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
	}
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &old);
	expect_fault(&rig, PFA_FAULT_STALE_HANDLE, message);
	const struct pfa_run window = {old.pfn & ~(pfa_pfn)7, 8};
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_MOVABLE, window, &at);
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &old);
	expect_fault(&rig, PFA_FAULT_STALE_HANDLE, message);
	EXPECT(pfa_free, PFA_OK, rig.pfa, at, 3);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Parts begin a generation each, also where blocks began and were freed before. */
static void test_parts_where_blocks_were(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h;
	pfa_pfn pfn;
	prepare(&rig, PFA_EXPLICIT_0);
	rig_start(&rig);
	for (unsigned round = 0; round < 3; round++) {
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){64, 4}), &pfn);
		EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, 2, 0);
		for (unsigned i = 0; i < 4; i++) {
			EXPECT(pfa_handle_of, PFA_OK, rig.pfa, pfn + i, 0, &h);
			EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &h);
		}
	}
	assert_int_equal(rig.fault.nr, 0);
	rig_stop(&rig);
}

static void test_every_way_to_free_and_split(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h, part;
	size_t nr;
	prepare(&rig, 8);
	rig_start(&rig);
	struct pfa *pfa = rig.pfa;
	for (unsigned way = 0; way < 5; way++) {
		EXPECT(pfa_alloc_checked, PFA_OK, pfa, 2, PFA_MOVABLE, &h);
		switch (way) {
		case 0: EXPECT(pfa_free, PFA_OK, pfa, h.pfn, 2); break;
		case 1: EXPECT(pfa_free_bulk, PFA_OK, pfa, 2, 1, &h.pfn, &nr); break;
		case 2: EXPECT(pfa_free_range, PFA_OK, pfa, h.pfn, 4); break;
		case 3: EXPECT(pfa_free_checked, PFA_OK, pfa, &h); break;
		default:
			EXPECT(pfa_split, PFA_OK, pfa, h.pfn, 2, 1);
			EXPECT(pfa_free_checked, PFA_EMISUSE, pfa, &h);
			for (pfa_pfn at = h.pfn; at < h.pfn + 4; at += 2) {
				EXPECT(pfa_handle_of, PFA_OK, pfa, at, 1, &part);
				EXPECT(pfa_free_checked, PFA_OK, pfa, &part);
				EXPECT(pfa_free_checked, PFA_EMISUSE, pfa, &part);
			}
		}
		EXPECT(pfa_free_checked, PFA_EMISUSE, pfa, &h);
		assert_int_equal(rig.fault.kind, PFA_FAULT_STALE_HANDLE);
	}
	/* Single frames of an exact request have handles of their own. */
	pfa_pfn first, pfns[FRAMES];
	nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_NORETRY, PFA_EAGAIN, pfns, FRAMES); /* all have been somebody's */
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, pfa, pfns[i], 0);
	EXPECT(pfa_cache_drain, PFA_OK, pfa, PFA_ALL_CPUS);
	EXPECT(pfa_alloc_exact, PFA_OK, pfa, 5, 0, PFA_MOVABLE, &first);
	for (pfa_pfn at = first; at < first + 5; at++) {
		EXPECT(pfa_handle_of, PFA_OK, pfa, at, 0, &h);
		EXPECT(pfa_free_checked, PFA_OK, pfa, &h);
	}
	EXPECT(pfa_handle_of, PFA_EMISUSE, pfa, first + 5, 0, &h);
	/* A range that is refused leaves the handles of its blocks good. */
	EXPECT(pfa_alloc_checked, PFA_OK, pfa, 2, PFA_MOVABLE, &h);
	EXPECT(pfa_free_range, PFA_EMISUSE, pfa, h.pfn, 64);
	EXPECT(pfa_free, PFA_EMISUSE, pfa, h.pfn, 3);
	EXPECT(pfa_split, PFA_EMISUSE, pfa, h.pfn, 1, 0);
	EXPECT(pfa_free_checked, PFA_OK, pfa, &h);
	rig_stop(&rig);
}

static uint64_t region_hash(const struct rig *rig, const char *name)
{
	size_t nr;
	const unsigned char *at = rig_region(rig, name, &nr);
	uint64_t hash = nr;
	while (nr--)
		hash = (hash ^ *at++) * 0x100000001B3u;
	return hash;
}

/* What no function has given out. */
static void test_forged(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h, good;
	prepare(&rig, 8);
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 2, PFA_MOVABLE, &good);
	const struct {
		pfa_pfn pfn;
		uint32_t generation, order;
		enum pfa_fault_kind kind;
	} forged[] = {
		{good.pfn, good.generation + 1, 2, PFA_FAULT_STALE_HANDLE},
		{good.pfn, good.generation + 2, 2, PFA_FAULT_STALE_HANDLE},
		{good.pfn, good.generation, 1, PFA_FAULT_WRONG_ORDER},
		{good.pfn, good.generation, 3, PFA_FAULT_WRONG_ORDER},
		{good.pfn, good.generation, 9, PFA_FAULT_ORDER_LIMIT},
		{good.pfn, good.generation, UINT32_MAX, PFA_FAULT_ORDER_LIMIT},
		{good.pfn + 1, 0, 0, PFA_FAULT_TAIL},
		{good.pfn + 1, 0, 2, PFA_FAULT_MISALIGNED},
		{good.pfn + 1, 1, 0, PFA_FAULT_STALE_HANDLE},
		{10, 0, 0, PFA_FAULT_OUT_OF_RANGE},
		{SIZE_MAX, 0, 0, PFA_FAULT_OUT_OF_RANGE},
		{64 + 128, 0, 0, PFA_FAULT_DOUBLE_FREE},
	};
	const uint64_t bytes = region_hash(&rig, "frame_bytes"), generations = region_hash(&rig, "generations");
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		h = (struct pfa_handle){forged[i].pfn, forged[i].generation, forged[i].order};
		EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &h);
		assert_int_equal(rig.fault.kind, forged[i].kind);
	}
	EXPECT(pfa_handle_of, PFA_EMISUSE, rig.pfa, good.pfn, 1, &h);
	EXPECT(pfa_handle_of, PFA_EMISUSE, rig.pfa, good.pfn, 33, &h);
	EXPECT(pfa_handle_of, PFA_EMISUSE, rig.pfa, 10, 0, &h);
	EXPECT(pfa_handle_of, PFA_EMISUSE, rig.pfa, 64 + 128, 0, &h);
	assert_int_equal(rig_events(&rig).nr_misuse, sizeof(forged) / sizeof(forged[0]) + 4);
	assert_true(region_hash(&rig, "frame_bytes") == bytes && region_hash(&rig, "generations") == generations);
	EXPECT(pfa_handle_of, PFA_OK, rig.pfa, good.pfn, 2, &h);
	assert_memory_equal(&h, &good, sizeof(h));
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &good);
	rig_stop(&rig);
}

/* A million frees by stale handles, among blocks that come and go: none is accepted. */
static void test_million_stale(void **state)
{
	(void)state;
	static struct pfa_handle stale[STALE], live[FRAMES];
	struct rig rig;
	struct rng rng = {2024};
	size_t nr_live = 0, nr_stale = 0, refused = 0, frames = 0;
	prepare(&rig, 8);
	rig_start(&rig);
	struct pfa *pfa = rig.pfa;
	while (refused < 1000000) {
		const size_t what = rng_below(&rng, 64), i = nr_live ? rng_below(&rng, nr_live) : 0;
		if (what < 4) {
			struct pfa_handle h;
			if (pfa_alloc_checked(pfa, (unsigned)rng_below(&rng, 4), PFA_MOVABLE, &h) != PFA_OK)
				continue;
			live[nr_live++] = h;
			frames += (size_t)1 << h.order;
		} else if (what < 8 && nr_live) {
			const struct pfa_handle h = live[i];
			MUST_EQ(what == 4 ? pfa_free(pfa, h.pfn, h.order) : pfa_free_checked(pfa, &h), PFA_OK);
			live[i] = live[--nr_live];
			frames -= (size_t)1 << h.order;
			stale[nr_stale++ % STALE] = h;
		} else if (nr_stale) {
			const size_t kept = nr_stale < STALE ? nr_stale : STALE;
			MUST_EQ(pfa_free_checked(pfa, &stale[rng_below(&rng, kept)]), PFA_EMISUSE);
			MUST_EQ(rig.fault.kind, PFA_FAULT_STALE_HANDLE);
			refused++;
		}
		if (what == 63 && rng_one_in(&rng, 64))
			MUST_EQ(rig_stats(&rig, 0).allocated, frames);
	}
	assert_int_equal(rig_stats(&rig, 0).allocated, frames);
	assert_int_equal(rig.fault.nr, refused);
	while (nr_live--) {
		MUST_EQ(pfa_free_checked(pfa, &live[nr_live]), PFA_OK);
	}
	rig_stop(&rig);
}

/* Generations wrap; a handle is good all the same. */
static void test_wrap(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h, old;
	size_t bytes;
	prepare(&rig, 8);
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &h);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &h);
	uint32_t *generations = rig_region(&rig, "generations", &bytes);
	assert_int_equal(bytes, (64 + FRAMES - 64) * sizeof(*generations));
	for (size_t i = 0; i < bytes / sizeof(*generations); i++)
		generations[i] = UINT32_MAX;
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &old);
	assert_int_equal(old.generation, 0);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &old);
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &old);
	rig_stop(&rig);
}

/* The checker names a generation that contradicts the frame byte; no free is let through. */
static void test_damaged(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h;
	struct pfa_violation v;
	prepare(&rig, 8);
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 2, PFA_MOVABLE, &h);
	uint32_t *generations = rig_region(&rig, "generations", NULL);
	generations[h.pfn - 64] ^= 1;
	EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v);
	assert_int_equal(v.invariant, 1);
	assert_int_equal(v.pfn, h.pfn);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, h.pfn, 2);
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &h);
	generations[h.pfn - 64] ^= 1;
	rig_check(&rig);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &h);
	rig_stop(&rig);
}

static void test_corrupt_zone(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_handle h, other;
	prepare(&rig, 8);
	rig_start(&rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &h);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &other);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &other);
	((unsigned char *)rig_region(&rig, "frame_bytes", NULL))[other.pfn - 64] = 0; /* the cached block's */
	EXPECT(pfa_alloc_checked, PFA_ECORRUPT, rig.pfa, 3, PFA_MOVABLE, &other);
	EXPECT(pfa_free_checked, PFA_ECORRUPT, rig.pfa, &h);
	rig_drop(&rig);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		TEST(test_not_configured), TEST(test_requests), TEST(test_stale), TEST(test_parts_where_blocks_were),
		TEST(test_every_way_to_free_and_split),
		TEST(test_forged), TEST(test_million_stale), TEST(test_wrap), TEST(test_damaged), TEST(test_corrupt_zone),
	};
	return unit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
