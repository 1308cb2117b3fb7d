/* SPDX-License-Identifier: MIT
 *
 * Free page reporting with one thread. A model that knows of each frame whether the device was told of it since it was last
 * allocated; devices that fail, do a part, count wrongly and call back; when passes begin, what they leave, and their codes.
 */
#include "report_scene.h"

#include <pfa/contig.h>

#include <string.h>

static void random_step(struct rig *rig, struct rng *rng)
{
	static const int codes[] = { PFA_OK, PFA_OK, PFA_EDEVICE, PFA_EAGAIN, -77, 5 };
	size_t what = rng_below(rng, 12);
	if (what < 5) {
		uint32_t zone = PFA_ZONE(rng_below(rng, rig->cfg.nr_zones));
		(void)take(rig, (unsigned)rng_below(rng, rng_one_in(rng, 3) ? rig->cfg.max_order + 1 : 3), (uint32_t)rng_below(rng, 3) | zone);
	} else if (what < 10) {
		if (live.nr)
			give(rig, rng_below(rng, live.nr));
	} else if (what == 10) {
		host.says = codes[rng_below(rng, 6)];
		host.counts = rng_one_in(rng, 3) ? (int)rng_below(rng, host.device.capacity + 3) : NOT_SET;
		rig->now_ns += rng_below(rng, 2000000);
		MUST(pfa_service(rig->pfa, 1 + (unsigned)rng_below(rng, 6), NULL) != PFA_EDEADLK);
	} else if (rng_one_in(rng, 8)) {
		MUST_EQ(pfa_report_suspend(rig->pfa), PFA_OK);
		memset(host.told, 0, sizeof(host.told));
		MUST_EQ(pfa_report_resume(rig->pfa), PFA_OK);
	}
}

static void test_model(void **state)
{
	static const struct {
		unsigned max_order, pageblock_order, min_order;
	} shapes[] = { { 8, 6, 6 }, { 8, 6, 0 }, { 8, 6, 3 }, { 10, 7, 9 }, { 4, 6, 4 }, { 9, 9, 9 }, { 10, 10, 7 }, { 3, 10, 2 }, { 11, 6, 11 } };
	(void)state;
	for (unsigned seed = 0; seed < 36; seed++) {
		struct rig rig;
		struct rng rng = { seed };
		static const struct pfa_run hole = { 700, 90 };
		base(&rig, shapes[seed % 9].max_order, shapes[seed % 9].pageblock_order);
		host.device.min_order = shapes[seed % 9].min_order;
		host.exact = seed % 4 != 3; /* with caches blocks are taken ahead */
		if (!host.exact)
			rig.cfg.cache_high = 8;
		struct pfa_zone_config *z = rig_zone(&rig, seed * 11 % 60, 2000 + seed * 13);
		z->holes = &hole;
		z->nr_holes = 1;
		rig_zone(&rig, z->start + z->nr_frames, FRAMES - z->start - z->nr_frames);
		start(&rig);
		for (unsigned round = 0; round < 5; round++) {
			for (unsigned i = 0; i < 200; i++)
				random_step(&rig, &rng);
			look(&rig, false);
			host.says = PFA_OK;
			host.counts = NOT_SET;
			EXPECT(pfa_report_flush, PFA_OK, rig.pfa);
			look(&rig, true);
		}
		give_all(&rig);
		MUST_EQ(pfa_cache_drain(rig.pfa, PFA_ALL_CPUS), PFA_OK);
		/* At rest, after two delays (there are none), everything is told. */
		for (unsigned i = 0; i < 1000 && pfa_service(rig.pfa, 10, NULL) == PFA_EAGAIN; i++)
			rig.now_ns += 1000;
		rig.now_ns += (uint64_t)PFA_REPORT_RETRY_NS << (PFA_REPORT_BACKOFF_LIMIT + 1);
		MUST(pfa_service(rig.pfa, 100000, NULL) != PFA_EDEADLK);
		look(&rig, true);
		stop(&rig);
	}
}

/* ---- when a pass runs ---------------------------------------------------------------------------------------------- */

static void free_inside(const struct pfa_run *runs, unsigned nr)
{
	(void)runs, (void)nr;
	if (live.nr)
		give(inside_rig, 0);
}

static void test_when(void **state)
{
	(void)state;
	struct rig rig;
	uint64_t next = 0;
	base(&rig, 8, 6);
	host.device.delay_ns = 0; /* the default */
	rig_zone(&rig, 0, 1024);
	start(&rig);
	inside_rig = &rig;
	serve(&rig, &next);
	assert_int_equal(host.nr_calls, 0);
	assert_int_equal(next, rig.now_ns + PFA_REPORT_DELAY_NS);
	rig.now_ns = next - 1;
	serve(&rig, &next);
	assert_int_equal(host.nr_calls, 0);
	rig.now_ns++;
	MUST(take(&rig, 6, PFA_MOVABLE) && take(&rig, 5, PFA_MOVABLE));
	host.inside = free_inside; /* behind or before the pass: at any rate it is told some time */
	serve(&rig, &next);
	assert_true(host.nr_calls > 0);
	host.inside = NULL;
	look(&rig, false);
	/* No second pass at once. */
	const unsigned calls = host.nr_calls;
	serve(&rig, &next);
	assert_int_equal(host.nr_calls, calls);
	assert_int_equal(next, rig.now_ns + PFA_REPORT_DELAY_NS);
	rig.now_ns = next;
	serve(&rig, &next);
	look(&rig, true);
	/* Idle: the put back of what was told requests nothing. */
	for (unsigned i = 0; i < 3; i++) {
		rig.now_ns += PFA_REPORT_DELAY_NS;
		serve(&rig, &next);
	}
	const struct pfa_zone_stats s = rig_stats(&rig, 0);
	serve(&rig, &next);
	assert_int_equal(next, UINT64_MAX);
	/* Neither does a block that is too small, nor one that was told as part of a larger one and comes to a larger one. */
	MUST(take(&rig, 3, PFA_MOVABLE) && take(&rig, 3, PFA_MOVABLE));
	give(&rig, 0);
	serve(&rig, &next);
	assert_int_equal(next, UINT64_MAX);
	assert_int_equal(rig_stats(&rig, 0).nr_report_steps, s.nr_report_steps);
	assert_int_equal(rig_stats(&rig, 0).nr_report_batches, s.nr_report_batches);
	give(&rig, 0);
	serve(&rig, &next);
	assert_int_equal(next, rig.now_ns + PFA_REPORT_DELAY_NS);
	rig.now_ns = next;
	host.nr_frames = 0;
	serve(&rig, &next);
	assert_int_equal(host.nr_frames, 64); /* the pageblock, of 1024 frames that are free */
	look(&rig, true);
	stop(&rig);
}

/* A pass looks at what was freed, and at nothing else. */
static void test_work(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, FRAMES);
	start(&rig);
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	for (unsigned nr = 1; nr <= 16; nr *= 2) {
		for (unsigned i = 0; i < nr; i++)
			MUST(take(&rig, 6, PFA_MOVABLE));
		give_all(&rig);
		const size_t steps = rig_stats(&rig, 0).nr_report_steps;
		host.nr_frames = 0;
		MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
		assert_int_equal(host.nr_frames, nr * 64);
		assert_true(rig_stats(&rig, 0).nr_report_steps - steps <= 2 * nr);
		const size_t after = rig_stats(&rig, 0).nr_report_steps;
		MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
		assert_int_equal(rig_stats(&rig, 0).nr_report_steps, after);
	}
	stop(&rig);
}

/* A told block is taken last: also where it is the better fit, and lies lower. */
static void test_order_of_use(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 6; order += 3) {
		struct rig rig;
		base(&rig, 8, 6);
		rig_zone(&rig, 0, FRAMES);
		start(&rig);
		for (unsigned i = 0; i < FRAMES / 64; i++)
			MUST(take(&rig, 6, PFA_MOVABLE));
		/* Six pageblocks: one by itself, and an order 8 that a used one was part of. */
		static const pfa_pfn first[] = { 64, 1024, 1024 + 64, 1024 + 128, 1024 + 192 };
		for (size_t k = 0; k < 4; k++)
			for (size_t i = 0; i < live.nr; i++)
				if (live.block[i].pfn == first[k])
					give(&rig, i--);
		MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
		assert_int_equal(rig_stats(&rig, 0).reported, 4 * 64);
		for (size_t i = 0; i < live.nr; i++)
			if (live.block[i].pfn == first[4])
				give(&rig, i--);
		for (unsigned i = 0; i < 1u << (6 - order); i++) {
			MUST(take(&rig, order, order == 3 ? PFA_UNMOVABLE : PFA_MOVABLE));
			assert_true(live.block[live.nr - 1].pfn >= 1024 + 192 && live.block[live.nr - 1].pfn < 1024 + 256);
		}
		assert_int_equal(rig_stats(&rig, 0).reported, 4 * 64);
		MUST(take(&rig, order, order == 3 ? PFA_UNMOVABLE : PFA_MOVABLE)); /* nothing else is left */
		assert_int_equal(rig_stats(&rig, 0).reported, 4 * 64 - (1u << order));
		look(&rig, false);
		give_all(&rig);
		stop(&rig);
	}
}

/* What is isolated is not told, nor a unit larger than a pageblock of which one is; but when that has ended. */
static void isolated(unsigned min_order, int code, size_t told)
{
	struct rig rig;
	pfa_token token;
	base(&rig, 8, 6);
	host.device.min_order = min_order;
	rig_zone(&rig, 0, 512);
	start(&rig);
	MUST_EQ(pfa_isolate_range(rig.pfa, 64, 128, 0, &token, NULL), PFA_OK);
	EXPECT(pfa_report_flush, code, rig.pfa);
	assert_int_equal(host.nr_frames, told);
	MUST_EQ(pfa_undo_isolate_range(rig.pfa, 64, 128, token), PFA_OK);
	serve(&rig, NULL);
	rig.now_ns += 2 * PFA_REPORT_RETRY_NS;
	serve(&rig, NULL);
	assert_int_equal(host.nr_frames, 512);
	look(&rig, true);
	stop(&rig);
}

static void test_isolated(void **state)
{
	(void)state;
	isolated(8, PFA_OK, 256);
	isolated(6, PFA_EAGAIN, 448);
}

/* A freer that is as fast as the device: the pass ends, having seen each address once. */
static void free_and_take(const struct pfa_run *runs, unsigned nr)
{
	(void)runs, (void)nr;
	for (unsigned i = 0; i < 4; i++)
		(void)take(inside_rig, 6, PFA_MOVABLE);
	give_all(inside_rig);
}

static void test_steady_freer(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	host.exact = false;
	rig_zone(&rig, 0, FRAMES);
	start(&rig);
	inside_rig = &rig;
	host.inside = free_and_take;
	EXPECT(pfa_report_flush, PFA_OK, rig.pfa);
	assert_true(host.nr_runs <= FRAMES / 64);
	host.inside = NULL;
	rig.now_ns += 2 * PFA_REPORT_RETRY_NS;
	serve(&rig, NULL);
	look(&rig, true);
	stop(&rig);
}

/* ---- limits -------------------------------------------------------------------------------------------------------- */

static size_t free_inside_min;

static void note_free(const struct pfa_run *runs, unsigned nr)
{
	size_t free = rig_stats(inside_rig, 0).free, held = rig_stats(inside_rig, 0).held_report, sum = 0;
	for (unsigned i = 0; i < nr; i++)
		sum += runs[i].nr_frames;
	MUST_EQ(held, sum);
	free_inside_min = free < free_inside_min ? free : free_inside_min;
}

static void test_marks(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	struct pfa_zone_config *z = rig_zone(&rig, 0, 2048);
	z->mark_min = 200;
	z->mark_low = 300;
	z->mark_high = 400;
	start(&rig);
	inside_rig = &rig;
	free_inside_min = SIZE_MAX;
	host.inside = note_free;
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	assert_true(free_inside_min >= 2048 * 3 / 4);
	assert_true(host.most_frames <= 512);
	/* Almost nothing is free: no block of 64 can be held without going below the low mark. */
	while (rig_stats(&rig, 0).free > 363)
		if (!take(&rig, 0, PFA_MOVABLE) && !take(&rig, 5, PFA_MOVABLE))
			break;
		else if (live.nr > 300)
			break;
	give_all(&rig);
	for (unsigned i = 0; i < 27; i++)
		MUST(take(&rig, 6, PFA_MOVABLE));
	assert_int_equal(rig_stats(&rig, 0).free, 2048 - 27 * 64);
	MUST_EQ(pfa_report_suspend(rig.pfa), PFA_OK);
	memset(host.told, 0, sizeof(host.told));
	MUST_EQ(pfa_report_resume(rig.pfa), PFA_OK);
	host.nr_calls = 0;
	EXPECT(pfa_report_flush, PFA_EAGAIN, rig.pfa);
	assert_int_equal(host.nr_calls, 0);
	/* It is not forgotten: above the mark it is told, though nothing large was freed. */
	give(&rig, 0);
	free_inside_min = SIZE_MAX;
	for (unsigned i = 0; i < 4; i++) {
		rig.now_ns += 2 * PFA_REPORT_RETRY_NS;
		serve(&rig, NULL);
	}
	assert_true(host.nr_calls > 0);
	assert_true(free_inside_min >= 300);
	look(&rig, true);
	give_all(&rig);
	stop(&rig);
}

static void test_filter_and_rate(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	host.device.only = (struct pfa_run){ 100, 600 };
	host.device.bytes_per_s = 64 * 64; /* a pageblock a second; frames of 64 bytes */
	host.device.capacity = 1;
	rig_zone(&rig, 0, 1024);
	start(&rig);
	for (unsigned s = 0; s < 4; s++) {
		const size_t before = host.nr_frames;
		for (unsigned i = 0; i < 100; i++) {
			serve(&rig, NULL);
			rig.now_ns += 10000000;
		}
		assert_true(host.nr_frames - before <= 3 * 256);
	}
	const size_t slow = host.nr_frames;
	assert_true(slow >= 128 && slow < 600);
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK); /* whatever the rate */
	assert_int_equal(host.nr_frames, 512);
	for (pfa_pfn pfn = 0; pfn < 1024; pfn++)
		assert_int_equal(host.told[pfn], pfn >= 128 && pfn < 640);
	stop(&rig);
}

/* ---- devices that fail --------------------------------------------------------------------------------------------- */

static void fail_in_zone_0(const struct pfa_run *runs, unsigned nr)
{
	(void)nr;
	host.says = runs[0].first < 2048 ? PFA_EDEVICE : PFA_OK;
}

static void test_errors(void **state)
{
	(void)state;
	struct rig rig;
	uint64_t next;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 2048);
	rig_zone(&rig, 2048, 2048);
	start(&rig);
	host.inside = fail_in_zone_0;
	host.says = PFA_OK;
	EXPECT(pfa_report_flush, PFA_EDEVICE, rig.pfa);
	assert_int_equal(rig_stats(&rig, 0).reported, 0);
	assert_int_equal(rig_stats(&rig, 0).held_report, 0);
	assert_int_equal(rig_stats(&rig, 0).nr_report_errors, 1); /* once a pass */
	memset(host.told, 0, 2048);
	assert_int_equal(rig_stats(&rig, 1).reported, 2048);      /* and the later zone had its turn */
	rig_check(&rig);
	/* Back-off: longer each time. */
	uint64_t wait = 0;
	for (unsigned i = 0; i < PFA_REPORT_BACKOFF_LIMIT + 2; i++) {
		serve(&rig, &next);
		assert_true(next - rig.now_ns > wait || i >= PFA_REPORT_BACKOFF_LIMIT - 1);
		wait = next - rig.now_ns;
		const unsigned calls = host.nr_calls;
		rig.now_ns = next - 1;
		serve(&rig, &next);
		assert_int_equal(host.nr_calls, calls);
		rig.now_ns = next;
		MUST(pfa_service(rig.pfa, 2, NULL) != PFA_EDEADLK); /* a step for the cpu, a batch */
		assert_int_equal(host.nr_calls, calls + 1);
		serve(&rig, &next);
	}
	assert_true(wait >= (uint64_t)PFA_REPORT_RETRY_NS << PFA_REPORT_BACKOFF_LIMIT);
	host.inside = NULL;
	host.says = PFA_OK;
	rig.now_ns = next;
	serve(&rig, &next);
	look(&rig, true);
	stop(&rig);
}

static void test_counts(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	host.device.capacity = 4;
	rig_zone(&rig, 0, 2048);
	start(&rig);
	for (unsigned round = 0; round < 3; round++) {
		host.says = round == 1 ? PFA_EDEVICE : PFA_OK;
		host.counts = round == 2 ? 5 : 1;
		const size_t told = rig_stats(&rig, 0).nr_reported;
		assert_int_equal(pfa_report_flush(rig.pfa), round == 2 ? PFA_EDEVICE : PFA_EAGAIN);
		if (round == 2)
			assert_int_equal(rig_stats(&rig, 0).nr_reported, told); /* more than there were: none counts */
		else
			assert_true(rig_stats(&rig, 0).nr_reported > told);
		look(&rig, false);
	}
	host.says = PFA_OK;
	host.counts = NOT_SET;
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	look(&rig, true);
	stop(&rig);
}

/* A device that takes one block of each batch: the others are told again in the next pass, not in this one. */
static void test_once_a_pass(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	host.device.min_order = 3;
	host.device.capacity = 5;
	host.counts = 1;
	rig_zone(&rig, 0, 700); /* a quarter is several blocks */
	start(&rig);
	for (unsigned pass = 0; pass < 2; pass++) {
		host.nr_frames = 0;
		MUST(pfa_report_flush(rig.pfa) != PFA_EDEVICE);
		assert_true(host.nr_frames <= 700);
	}
	stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_model),
	TEST(test_when),
	TEST(test_work),
	TEST(test_order_of_use),
	TEST(test_isolated),
	TEST(test_steady_freer),
	TEST(test_marks),
	TEST(test_filter_and_rate),
	TEST(test_errors),
	TEST(test_counts),
	TEST(test_once_a_pass),
};

UNIT_MAIN(tests)
