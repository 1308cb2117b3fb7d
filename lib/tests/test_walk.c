/* SPDX-License-Identifier: MIT
 *
 * The walk over free memory with one thread: against what pfa_frame_info() says of every frame; stopped and gone on with; with
 * visitors that allocate and free; and its codes.
 */
#include "live_blocks.h"
#include "unit.h"

#include <pfa/walk.h>

#include <string.h>

enum { FRAMES = 6000 };

static struct {
	struct rig *rig;
	unsigned min_order;
	unsigned char visited[FRAMES];
	size_t nr_runs, nr_frames;
	pfa_pfn from;     /* where a cursor began that was made by a walk of another order */
	pfa_pfn end;      /* of the last run: they ascend, but for zones */
	unsigned stop_at; /* stops at each run that this divides; 0: never */
} seen;

static void seen_begin(struct rig *rig, unsigned min_order)
{
	memset(&seen, 0, sizeof(seen));
	seen.rig = rig;
	seen.min_order = min_order;
}

static int see(void *ctx, struct pfa_run run)
{
	const size_t mask = ((size_t)1 << seen.min_order) - 1;
	MUST(ctx == &seen);
	MUST(run.nr_frames && run.first + run.nr_frames <= FRAMES);
	MUST(!(run.first & mask) || (!seen.nr_runs && run.first == seen.from)); /* or the rest of a block */
	MUST_EQ((run.first + run.nr_frames) & mask, 0);
	for (size_t i = 0; i < run.nr_frames; i++)
		MUST_EQ(seen.visited[run.first + i]++, 0);
	MUST(run.first >= seen.end);
	seen.end = run.first + run.nr_frames;
	seen.nr_runs++;
	seen.nr_frames += run.nr_frames;
	return seen.stop_at && seen.nr_runs % seen.stop_at == 0 ? 7 : 0;
}

/* The naive answer: is the frame part of a free block of the order? */
static void naive(struct rig *rig, unsigned order, unsigned char expected[FRAMES])
{
	const size_t nr = (size_t)1 << order;
	memset(expected, 0, FRAMES);
	for (unsigned i = 0; i < rig->cfg.nr_zones; i++) {
		const struct pfa_zone_config *z = &rig->zones[i];
		for (pfa_pfn at = (z->start + nr - 1) & ~(nr - 1); at + nr <= z->start + z->nr_frames; at += nr) {
			size_t free = 0;
			while (free < nr && rig_info(rig, at + free).state == PFA_FRAME_FREE)
				free++;
			if (free == nr)
				memset(expected + at, 1, nr);
		}
	}
}

static void compare(const unsigned char expected[FRAMES])
{
	for (pfa_pfn pfn = 0; pfn < FRAMES; pfn++)
		if (seen.visited[pfn] != expected[pfn])
			rig_fail(__FILE__, __LINE__, "order %u: frame %zu was visited %u times, expected %u", seen.min_order, pfn,
			         seen.visited[pfn], expected[pfn]);
}

/* Every order, at once and in pieces. */
static void walk_all(struct rig *rig, struct rng *rng)
{
	static unsigned char expected[FRAMES];
	for (unsigned order = 0; order <= rig->cfg.max_order; order++) {
		struct pfa_cursor cursor = { 0, 0, 0 };
		size_t calls = 0;
		naive(rig, order, expected);
		seen_begin(rig, order);
		EXPECT(pfa_walk_free, PFA_OK, rig->pfa, order, see, &seen, NULL);
		compare(expected);
		const size_t nr_runs = seen.nr_runs;
		seen_begin(rig, order);
		seen.stop_at = 1 + (unsigned)rng_below(rng, 9);
		int result;
		while ((result = pfa_walk_free(rig->pfa, order, see, &seen, &cursor)) == PFA_ESTOP)
			MUST(calls++ <= FRAMES);
		assert_int_equal(result, PFA_OK);
		compare(expected);
		assert_true(calls <= seen.nr_runs && seen.nr_runs >= nr_runs);
		assert_int_equal(cursor.zone, rig->cfg.nr_zones);
		EXPECT(pfa_walk_free, PFA_OK, rig->pfa, order, see, &seen, &cursor); /* the end stays the end */
		compare(expected);
	}
}

static void live_step(struct rig *rig, struct rng *rng, struct live *live, size_t most)
{
	if (live->nr < most && !rng_one_in(rng, 3)) {
		unsigned order = (unsigned)rng_below(rng, rng_one_in(rng, 4) ? rig->cfg.max_order + 1 : 2);
		pfa_pfn pfn;
		uint32_t flags = (uint32_t)rng_below(rng, 3) | PFA_ZONE(rng_below(rng, rig->cfg.nr_zones));
		if (pfa_alloc(rig->pfa, order, flags, &pfn) == PFA_OK) {
			live->block[live->nr].pfn = pfn;
			live->block[live->nr++].order = order;
		}
	} else if (live->nr) {
		size_t i = rng_below(rng, live->nr);
		MUST_EQ(pfa_free(rig->pfa, live->block[i].pfn, live->block[i].order), PFA_OK);
		live->block[i] = live->block[--live->nr];
	}
}

static void live_end(struct rig *rig, struct live *live)
{
	while (live->nr) {
		live->nr--;
		MUST_EQ(pfa_free(rig->pfa, live->block[live->nr].pfn, live->block[live->nr].order), PFA_OK);
	}
}

/* Zones that begin and end anywhere, with holes, that share a pageblock; largest blocks below and above the pageblock. */
static void shape(struct rig *rig, unsigned seed)
{
	static const struct {
		unsigned max_order, pageblock_order;
	} orders[] = { { 8, 6 }, { 4, 6 }, { 10, 7 }, { 6, 6 }, { 12, 9 }, { 3, 10 } };
	static struct pfa_run holes[2];
	rig_init(rig);
	rig->cfg.max_order = orders[seed % 6].max_order;
	rig->cfg.pageblock_order = orders[seed % 6].pageblock_order;
	rig->cfg.cache_high = seed % 2 ? PFA_EXPLICIT_0 : 4;
	holes[0] = (struct pfa_run){ 130 + seed, 77 };
	struct pfa_zone_config *z = rig_zone(rig, seed * 7 % 130, 2000 + seed * 37);
	z->holes = holes;
	z->nr_holes = 1;
	z->highatomic_frames = 256;
	pfa_pfn next = z->start + z->nr_frames + (seed % 3 ? 0 : 500);
	rig_zone(rig, next, FRAMES - next - seed % 100);
	rig_start(rig);
}

static void test_naive(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		struct rig rig;
		struct rng rng = { seed };
		static struct live live;
		live.nr = 0;
		shape(&rig, seed);
		walk_all(&rig, &rng);
		for (unsigned step = 0; step < 3; step++) {
			for (unsigned i = 0; i < 300; i++)
				live_step(&rig, &rng, &live, 100 + 200 * step);
			walk_all(&rig, &rng);
		}
		live_end(&rig, &live);
		MUST_EQ(pfa_cache_drain(rig.pfa, PFA_ALL_CPUS), PFA_OK);
		walk_all(&rig, &rng);
		rig_stop(&rig);
	}
}

/* ---- visitors that change what they walk over ---------------------------------------------------------------------- */

static struct {
	struct rig *rig;
	struct rng rng;
	struct live live;
	/* by frame: it was free at each moment, at some moment, since the walk began */
	unsigned char always[FRAMES], ever[FRAMES];
} churn;

static void churn_look(void)
{
	for (pfa_pfn pfn = 0; pfn < FRAMES; pfn++) {
		bool known = false;
		for (unsigned i = 0; i < churn.rig->cfg.nr_zones; i++)
			known |= pfn - churn.rig->zones[i].start < churn.rig->zones[i].nr_frames;
		bool free = known && rig_info(churn.rig, pfn).state == PFA_FRAME_FREE;
		churn.always[pfn] &= free;
		churn.ever[pfn] |= free;
	}
}

static int stop_at_once(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	return 1;
}

static int churn_visit(void *ctx, struct pfa_run run)
{
	(void)see(ctx, run);
	for (size_t i = 0; i < run.nr_frames; i++)
		MUST(churn.ever[run.first + i]);
	for (unsigned i = 0; i < 5; i++)
		live_step(churn.rig, &churn.rng, &churn.live, LIVE);
	/* What was just visited is freed and taken again: the walk does not come back to it. */
	pfa_pfn pfn;
	if (pfa_alloc_window(churn.rig->pfa, 0, PFA_MOVABLE, run, &pfn) == PFA_OK)
		MUST_EQ(pfa_free(churn.rig->pfa, pfn, 0), PFA_OK);
	if (rng_one_in(&churn.rng, 20)) /* a walk in a walk */
		MUST(pfa_walk_free(churn.rig->pfa, 0, stop_at_once, NULL, NULL) != PFA_EDEADLK);
	churn_look();
	return 0;
}

static void test_changed_by_visitor(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 6; seed++) {
		struct rig rig;
		memset(&churn, 0, sizeof(churn));
		churn.rng.state = seed;
		churn.rig = &rig;
		shape(&rig, seed);
		for (unsigned i = 0; i < 3000; i++)
			live_step(&rig, &churn.rng, &churn.live, LIVE);
		memset(churn.always, 1, FRAMES);
		churn_look();
		seen_begin(&rig, 0);
		EXPECT(pfa_walk_free, PFA_OK, rig.pfa, 0, churn_visit, &seen, NULL);
		for (pfa_pfn pfn = 0; pfn < FRAMES; pfn++)
			if (churn.always[pfn] && !seen.visited[pfn])
				rig_fail(__FILE__, __LINE__, "frame %zu was free all the time, and not visited", pfn);
		assert_true(seen.nr_runs > 20);
		live_end(&rig, &churn.live);
		rig_stop(&rig);
	}
}

/* ---- long zones, and codes ----------------------------------------------------------------------------------------- */

static struct pfa_run joined[64];
static size_t nr_joined;

/* Runs that touch are one. ctx: the walk's order. */
static int join(void *ctx, struct pfa_run run)
{
	const size_t block = (size_t)1 << *(const unsigned *)ctx;
	MUST(run.nr_frames <= PFA_WALK_FRAMES || run.nr_frames <= block);
	if (nr_joined && joined[nr_joined - 1].first + joined[nr_joined - 1].nr_frames == run.first) {
		joined[nr_joined - 1].nr_frames += run.nr_frames;
		return 0;
	}
	MUST(nr_joined < 64);
	joined[nr_joined++] = run;
	return 0;
}

/* Memory of many batches, almost all of it free: the lock is held for a bounded part of it at a time. */
static void test_bounded_holds(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn taken;
	rig_init(&rig);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig.cfg.max_order = 17;
	rig.cfg.pageblock_order = 9;
	rig_zone(&rig, 0, (size_t)1 << 18);
	rig_start(&rig);
	const struct pfa_run window = { 99999, 1 };
	MUST_EQ(pfa_alloc_window(rig.pfa, 0, PFA_MOVABLE, window, &taken), PFA_OK);
	for (unsigned order = 0; order <= 17; order++) {
		const size_t before = rig_stats(&rig, 0).max_lock_steps, nr = (size_t)1 << order;
		nr_joined = 0;
		EXPECT(pfa_walk_free, PFA_OK, rig.pfa, order, join, &order, NULL);
		assert_int_equal(nr_joined, order < 17 ? 2 : 1);
		assert_int_equal(joined[nr_joined - 1].first, (taken & ~(nr - 1)) + nr);
		assert_int_equal(joined[nr_joined - 1].first + joined[nr_joined - 1].nr_frames, 1 << 18);
		assert_true(order > 15 || rig_stats(&rig, 0).max_lock_steps <= (before > 2048 ? before : 2048));
	}
	MUST_EQ(pfa_free(rig.pfa, taken, 0), PFA_OK);
	rig_stop(&rig);
}

static struct rig *visited_rig;

static int end_it(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	EXPECT(pfa_fini, PFA_EDEADLK, visited_rig->pfa);
	MUST_EQ(pfa_cache_drain(visited_rig->pfa, PFA_ALL_CPUS), PFA_OK);
	MUST(pfa_service(visited_rig->pfa, 1, NULL) != PFA_EDEADLK);
	rig_check(visited_rig);
	return -1;
}

static int nothing(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	return 0;
}

static size_t low_memory(void *ctx, unsigned order, uint32_t flags)
{
	struct rig *rig = ctx;
	(void)order, (void)flags;
	EXPECT(pfa_walk_free, PFA_EDEADLK, rig->pfa, 0, nothing, NULL, NULL);
	return 0;
}

static void test_codes(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_cursor cursor = { 0, 0, 0 };
	pfa_pfn pfn;
	rig_init(&rig);
	rig.os.low_memory = low_memory;
	rig_zone(&rig, 70, 500);
	rig_start(&rig);
	visited_rig = &rig;
	EXPECT(pfa_walk_free, PFA_ESTOP, rig.pfa, 0, end_it, NULL, NULL);
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, rig.cfg.max_order + 1, nothing, NULL, NULL);
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, 0, NULL, NULL, NULL);
	cursor.zone = 2;
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, 0, nothing, NULL, &cursor);
	cursor = (struct pfa_cursor){ 0, 1, 0 };
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, 0, nothing, NULL, &cursor);
	cursor = (struct pfa_cursor){ 0, 0, 571 };
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, 0, nothing, NULL, &cursor);
	cursor = (struct pfa_cursor){ 1, 0, 1 };
	EXPECT(pfa_walk_free, PFA_EINVAL, rig.pfa, 0, nothing, NULL, &cursor);
	cursor = (struct pfa_cursor){ 0, 0, 570 };
	EXPECT(pfa_walk_free, PFA_OK, rig.pfa, 0, end_it, NULL, &cursor);
	assert_int_equal(cursor.zone, 1);
	/* The visitor's own request is served, and inside low_memory there is no walk. */
	size_t nr = 0;
	while (pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK)
		nr++;
	assert_int_equal(nr, 500);
	seen_begin(&rig, 0);
	EXPECT(pfa_walk_free, PFA_OK, rig.pfa, 0, see, &seen, NULL);
	assert_int_equal(seen.nr_runs, 0);
	MUST_EQ(pfa_free_range(rig.pfa, 70, 500), PFA_OK);
	rig_stop(&rig);
}

/* A zone that refuses is passed by, the others are visited. */
static void test_damaged(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	if (!RIG_HARDENED)
		return;
	rig_init(&rig);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_zone(&rig, 0, 256);
	rig_zone(&rig, 256, 256);
	rig_start(&rig);
	MUST_EQ(pfa_alloc(rig.pfa, 3, PFA_MOVABLE, &pfn), PFA_OK);
	unsigned char *map = rig_region(&rig, "not_free", NULL);
	map[pfn / 8] = 0; /* free, and somebody's */
	MUST_EQ(pfa_free(rig.pfa, pfn, 3), PFA_ECORRUPT);
	seen_begin(&rig, 0);
	EXPECT(pfa_walk_free, PFA_ECORRUPT, rig.pfa, 0, see, &seen, NULL);
	assert_int_equal(seen.nr_frames, 256);
	assert_int_equal(seen.visited[0], 0);
	assert_int_equal(seen.visited[256], 1);
	rig_drop(&rig);
}

/* A cursor of another order may lie inside of a block: its rest is visited, and nothing before it. */
static void test_cursor_inside(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	rig.cfg.max_order = 10;
	rig.cfg.pageblock_order = 9;
	rig_zone(&rig, 0, 2048);
	rig_start(&rig);
	for (unsigned order = 0; order <= 10; order++)
		for (pfa_pfn from = 1024; from < 1090; from++) {
			struct pfa_cursor cursor = { 0, 0, from };
			seen_begin(&rig, order);
			seen.from = from;
			EXPECT(pfa_walk_free, PFA_OK, rig.pfa, order, see, &seen, &cursor);
			assert_int_equal(seen.nr_frames, 2048 - from);
		}
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_naive),
	TEST(test_cursor_inside),
	TEST(test_changed_by_visitor),
	TEST(test_bounded_holds),
	TEST(test_codes),
	TEST(test_damaged),
};

UNIT_MAIN(tests)
