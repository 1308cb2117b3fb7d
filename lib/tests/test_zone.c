/* SPDX-License-Identifier: MIT
 *
 * From within: a zone's free memory (map, index, counters) under take, grab, put and retype, against a naive map; all
 * pairs of blocks of a small zone, and random sequences. The checker re-derives the index after each step.
 */
#include "unit.h"

#include <pfa/contig.h>

#include <string.h>

#include "place.h"

enum { MAX_FRAMES = 2048 };
static bool used[MAX_FRAMES];

static struct pfai_zone *start(struct rig *rig, size_t frames, uint32_t max_order, uint32_t pb_order)
{
	rig_init(rig);
	rig->cfg.max_order = max_order;
	rig->cfg.pageblock_order = pb_order;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig_zone(rig, 0, frames);
	rig_start(rig);
	memset(used, 0, sizeof(used));
	return &rig->pfa->zones[0];
}

static void check(struct rig *rig)
{
	struct pfa_violation v;
	int err = pfa_check(rig->pfa, PFA_CHECK_QUIESCENT, &v);
	if (err)
		rig_fail(__FILE__, __LINE__, "%s at pfn %zu: expected %zu, actual %zu", v.what, v.pfn, v.expected, v.actual);
}

static void take(struct rig *rig, struct pfai_zone *z, size_t rel, unsigned order)
{
	MUST(pfai_zone_lock(rig->pfa, z));
	pfai_zone_take_locked(rig->pfa, z, rel, order);
	z->st->direct_allocs += (size_t)1 << order; /* the sums are the caller's business */
	pfai_zone_unlock(rig->pfa, z);
	memset(used + rel, 1, (size_t)1 << order);
}

static void put_run(struct rig *rig, struct pfai_zone *z, size_t rel, size_t nr)
{
	MUST(pfai_zone_lock(rig->pfa, z));
	pfai_zone_put_run_locked(rig->pfa, z, rel, nr, false);
	z->st->direct_frees += nr;
	pfai_zone_unlock(rig->pfa, z);
	memset(used + rel, 0, nr);
}

static bool is_free(size_t rel, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (used[rel + i])
			return false;
	return true;
}

static void compare_map(const struct pfai_zone *z, size_t frames)
{
	for (size_t rel = 0; rel < frames; rel++)
		assert_int_equal(pfai_map_test(z->not_free, rel), used[rel]);
}

/* All pairs of blocks of two pageblocks, put back in both orders. */
static void test_all_pairs(void **state)
{
	(void)state;
	struct rig rig;
	struct pfai_zone *z = start(&rig, 128, 7, 6);
	for (unsigned i = 0; i < 255 * 255; i++) {
		size_t rel[2];
		unsigned order[2];
		unsigned index[2] = {i / 255, i % 255}; /* block number in a heap: 1 << (7 - order) of each order */
		for (unsigned k = 0; k < 2; k++) {
			unsigned at = index[k] + 1;
			order[k] = 7 - pfai_log2_32(at);
			rel[k] = (size_t)(at - (1u << pfai_log2_32(at))) << order[k];
		}
		if (rel[0] < rel[1] + ((size_t)1 << order[1]) && rel[1] < rel[0] + ((size_t)1 << order[0]))
			continue; /* they overlap */
		take(&rig, z, rel[0], order[0]);
		take(&rig, z, rel[1], order[1]);
		if (i % 3 == 0)
			check(&rig);
		put_run(&rig, z, rel[i % 2], (size_t)1 << order[i % 2]);
		if (i % 3 == 1)
			check(&rig);
		put_run(&rig, z, rel[1 - i % 2], (size_t)1 << order[1 - i % 2]);
		if (i % 3 == 2)
			check(&rig);
	}
	compare_map(z, 128);
	rig_stop(&rig);
}

/* The lowest block of the smallest sufficient size, by the definition. */
static size_t naive_best_order(size_t frames, unsigned order, unsigned limit)
{
	for (unsigned o = order; o <= limit; o++)
		for (size_t rel = 0; rel + ((size_t)1 << o) <= frames; rel += (size_t)1 << o) {
			size_t parent = rel & ~(((size_t)2 << o) - 1);
			bool merged = o < limit && parent + ((size_t)2 << o) <= frames && is_free(parent, (size_t)2 << o);
			if (is_free(rel, (size_t)1 << o) && !merged)
				return o;
		}
	return SIZE_MAX;
}

static void one_step(struct rig *rig, struct pfai_zone *z, struct rng *rng, size_t frames, unsigned limit)
{
	const unsigned order = (unsigned)rng_below(rng, limit + 1);
	if (rng_one_in(rng, 2)) {
		size_t rel = pfai_zone_first_locked(rig->pfa, z, PFAI_CODE_MOVABLE, order);
		size_t best = naive_best_order(frames, order, limit);
		assert_int_equal(rel == PFAI_NONE, best == SIZE_MAX);
		if (rel == PFAI_NONE)
			return;
		assert_int_equal(rel & (((size_t)1 << order) - 1), 0);
		assert_true(is_free(rel, (size_t)1 << order));
		take(rig, z, rel, order);
		return;
	}
	size_t rel = rng_below(rng, frames), nr = 0;
	while (rel + nr < frames && used[rel + nr] && nr < (size_t)1 << order)
		nr++;
	if (nr)
		put_run(rig, z, rel, nr);
}

static void test_random(void **state)
{
	(void)state;
	static const struct {
		size_t frames;
		unsigned max_order, pb_order;
	} shapes[] = {{1024, 8, 6}, {1000, 10, 6}, {2048, 5, 9}, {2048, 11, 9}, {1999, 0, 7}, {2047, 10, 10}};
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		struct rig rig;
		struct rng rng = {s};
		struct pfai_zone *z = start(&rig, shapes[s].frames, shapes[s].max_order ? shapes[s].max_order : PFA_EXPLICIT_0,
		                            shapes[s].pb_order);
		for (unsigned step = 0; step < 1500; step++) {
			one_step(&rig, z, &rng, shapes[s].frames, z->top_order);
			check(&rig);
		}
		compare_map(z, shapes[s].frames);
		for (size_t rel = 0; rel < shapes[s].frames; rel++)
			if (used[rel])
				put_run(&rig, z, rel, 1);
		rig_stop(&rig);
	}
}

/* Grabbing many is taking one after the other. */
static void test_grab(void **state)
{
	(void)state;
	struct rng rng = {5};
	for (unsigned round = 0; round < 200; round++) {
		struct rig rig;
		struct pfai_zone *z = start(&rig, 1024, 8, 6);
		uint32_t out[256];
		for (unsigned i = 0; i < 20; i++) {
			unsigned order = (unsigned)rng_below(&rng, 5);
			size_t rel = rng_below(&rng, 1024 >> order) << order;
			if (is_free(rel, (size_t)1 << order))
				take(&rig, z, rel, order);
		}
		const unsigned order = (unsigned)rng_below(&rng, 9), want = 1 + (unsigned)rng_below(&rng, 256);
		size_t possible = 0;
		for (size_t rel = 0; rel < 1024; rel += (size_t)1 << order)
			possible += is_free(rel, (size_t)1 << order);
		MUST(pfai_zone_lock(rig.pfa, z));
		unsigned got = pfai_zone_grab_locked(rig.pfa, z, PFAI_CODE_MOVABLE, order, want, out);
		z->st->direct_allocs += (size_t)got << order;
		pfai_zone_unlock(rig.pfa, z);
		assert_int_equal(got, want < possible ? want : possible);
		for (unsigned i = 0; i < got; i++) {
			size_t rel = out[i] + z->delta;
			assert_true(is_free(rel, (size_t)1 << order));
			memset(used + rel, 1, (size_t)1 << order);
		}
		compare_map(z, 1024);
		check(&rig);
		rig_drop(&rig);
	}
}

/* Retyping moves exactly that pageblock's free memory. */
static void test_retype(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = {6};
	struct pfai_zone *z = start(&rig, 1024, 9, 6);
	for (pfa_pfn pb = 0; pb < 16; pb++)
		take(&rig, z, pb * 64 + rng_below(&rng, 64), 0); /* none of them is entirely free */
	for (unsigned step = 0; step < 500; step++) {
		static const unsigned codes[] = {PFAI_CODE_MOVABLE, PFAI_CODE_UNMOVABLE, PFAI_CODE_RECLAIMABLE};
		const size_t pb = rng_below(&rng, 16);
		const unsigned code = codes[rng_below(&rng, 3)];
		MUST(pfai_zone_lock(rig.pfa, z));
		pfai_zone_retype_locked(rig.pfa, z, pb, code);
		pfai_zone_unlock(rig.pfa, z);
		assert_int_equal(z->pb[pb].code, code);
		check(&rig);
	}
	compare_map(z, 1024);
	rig_drop(&rig);
}

/* At the nth unlock of the zone a frame becomes bad, as pfa_mark_bad() of another thread would do it just then. */
static unsigned unlocks_left;
static bool marked;

static void mark_at_unlock(void *ctx, struct pfa *p, unsigned zone)
{
	struct pfai_zone *z = &p->zones[zone];
	const size_t rel = *(const size_t *)ctx;
	if (!unlocks_left || --unlocks_left || pfai_map_test(z->not_free, rel))
		return;
	pfai_zone_take_locked(p, z, rel, 0);
	pfai_store_relaxed(&p->bytes[pfai_offset_of_rel(z, rel)], PFAI_BAD);
	z->st->bad++;
	marked = true;
}

/* A range that was found free, and of which a frame becomes bad before all of it is taken: what was taken goes back. */
static void test_bad_while_a_range_is_taken(void **state)
{
	(void)state;
	const size_t at = 150;
	unsigned refused = 0, taken = 0, given_back = 0;
	for (unsigned n = 1; n < 24; n++) {
		struct rig rig;
		struct pfa_blocker why;
		struct pfai_zone *z = start(&rig, 512, 7, 6);
		marked = false;
		unlocks_left = n;
		pfa_debug_on_unlock(rig.pfa, mark_at_unlock, (void *)(uintptr_t)&at);
		int err = pfa_alloc_contig_range(rig.pfa, 10, 200, 0, &why);
		unlocks_left = 0;
		pfa_debug_on_unlock(rig.pfa, NULL, NULL);
		assert_int_equal(err, marked ? PFA_EBUSY : PFA_OK);
		assert_int_equal(why.reason, marked ? PFA_BLOCKER_BAD : PFA_BLOCKER_NONE);
		given_back += z->st->direct_frees != 0;
		if (err == PFA_OK)
			assert_int_equal(pfa_free_contig_range(rig.pfa, 10, 190), PFA_OK);
		else
			assert_int_equal(why.pfn, at);
		refused += err != PFA_OK;
		taken += err == PFA_OK;
		MUST(pfai_zone_lock(rig.pfa, z));
		pfai_zone_unlock(rig.pfa, z);
		assert_int_equal(z->st->nr_held, 0);
		rig_check(&rig);
		rig_stop(&rig);
	}
	assert_true(refused && taken && given_back);
}

static const struct unit_test tests[] = {
	TEST(test_all_pairs), TEST(test_random), TEST(test_grab), TEST(test_retype),
	TEST(test_bad_while_a_range_is_taken),
};
UNIT_MAIN(tests)
