/* SPDX-License-Identifier: MIT
 *
 * test_sched.c - the explorer's own tests: planted bugs are found, correct programs stay silent, what was found replays.
 *
 *   test_sched                        all tests (cmocka)
 *   test_sched --hashes [--reverse]   the hash of many runs of all toys, one a line: the same, whatever compiled toys.c,
 *                                     and in whatever order
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h" /* ARENA_ASAN */
#include "strategy.h"
#include "toys.h"

#if ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* Fibers and the sanitizer's copies of stack frames do not go together. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

static union sched_any chosen;
static uint8_t noise[64];
static struct sched_result result, again;
static struct sched_sum sum;

#define STRATEGIES 6u
#define RUNS 3000u

/* The i-th strategy in its seed-th variant. */
static struct sched_strategy *choose(unsigned i, unsigned seed)
{
	switch (i) {
	case 0:
		sched_by_default(&chosen.base);
		break;
	case 1:
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)((seed * 2654435761u + (unsigned)k * 40503u) >> (k % 2 ? 9 : 13) & (k % 2 ? 0x0f : 0xff));
		sched_by_bytes(&chosen.bytes, noise, sizeof(noise));
		break;
	case 2:
		sched_by_random(&chosen.random, seed);
		break;
	case 3:
		sched_by_pct(&chosen.pct, seed, 3);
		break;
	case 4:
		sched_by_starving(&chosen.starve);
		break;
	default:
		sched_by_all(&chosen.all, seed);
		break;
	}
	return &chosen.base;
}

/* Whether strategy i finds something in at most max runs; *used of them. */
static bool explore(const struct toy *toy, unsigned i, const struct sched_options *options, uint64_t max, uint64_t *used)
{
	*used = 0;
	for (unsigned seed = 0; *used < max && seed < max; seed++) {
		/* These are one run each, or all there is to one seed. */
		uint64_t runs = i <= 1 ? 1 : max - *used;
		bool found = sched_explore(&toy->program, choose(i, seed), options, runs, &sum, &result);
		*used += sum.runs;
		if (found)
			return true;
		if (i == 0 || (i == 4 && sum.done) || (i == 5 && seed == 2))
			break;
	}
	return false;
}

static void replays(const struct toy *toy, const struct sched_options *options)
{
	struct sched_replay replay;

	for (unsigned i = 0; i < 100; i++) {
		/* another program between, so that what it leaves would show */
		sched_run(&toys[i % nr_toys].program, choose(2, i), options, &again);
		sched_by_replay(&replay, result.events, result.nr_events);
		sched_run(&toy->program, &replay.base, options, &again);
		assert_int_equal(again.finding, result.finding);
		assert_string_equal(again.text, result.text);
		assert_true(again.hash == result.hash);
		assert_int_equal(again.nr_events, result.nr_events);
	}
}

static void check_toy(const struct toy *toy, bool weak, bool all_points)
{
	/* The budget of one that never ends is as good as any. */
	const struct sched_options options = { .weak = weak, .no_races = toy->no_races, .all_points = all_points, .budget = 2000 };
	const bool expected = toy->finding != SCHED_NOTHING && (weak || !toy->weak_only) && (all_points || !toy->all_points);
	unsigned nr_found = 0;

	printf("%-40s %-6s", toy->program.name, all_points ? "all" : weak ? "weak" : "strong");
	for (unsigned i = 0; i < STRATEGIES; i++) {
		uint64_t used;
		if (!explore(toy, i, &options, RUNS, &used)) {
			printf(" %8s", "-");
			continue;
		}
		printf(" %8llu", (unsigned long long)used);
		if (!expected || result.finding != toy->finding)
			fail_msg("%s, strategy %u: %s: %s", toy->program.name, i, sched_finding_name(result.finding), result.text);
		nr_found++;
		replays(toy, &options);
		sched_shrink(&toy->program, &options, &result);
		assert_true(result.nr_events <= toy->deviations);
		replays(toy, &options);
	}
	printf("\n");
	if (expected)
		assert_true(nr_found >= 1);
}

static void table(const struct toy *which, unsigned nr)
{
	printf("runs until it is found (-: not in %u)         default    bytes   random      pct   starve      all\n", RUNS);
	for (unsigned i = 0; i < nr; i++)
		for (unsigned weak = 0; weak < 2; weak++)
			for (unsigned all = 0; all <= which[i].all_points; all++)
				check_toy(&which[i], weak, all);
}

static void test_toys(void **state)
{
	(void)state;
	table(toys, nr_toys);
}

static void test_litmus(void **state)
{
	(void)state;
	table(litmus, nr_litmus);
}

/* Schedules of two threads with so many points left, of which `self` runs, and at most `left` preemptions. */
static uint64_t count(unsigned points0, unsigned points1, unsigned self, unsigned left)
{
	unsigned *points = self ? &points1 : &points0;
	const unsigned others = self ? points0 : points1;
	const bool other_ended = others == UINT32_MAX;

	if (*points == 0) { /* it ends: UINT32_MAX */
		*points = UINT32_MAX;
		return other_ended ? 1 : count(points0, points1, !self, left);
	}
	--*points;
	uint64_t nr = count(points0, points1, self, left);
	if (left && !other_ended)
		nr += count(points0, points1, !self, left - 1);
	return nr;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* As many schedules as arithmetic says, each another one. */
static void test_all(void **state)
{
	static uint64_t hashes[20000];
	const struct sched_options options = { .weak = false };

	(void)state;
	toy_steps_program.nr_threads = 2;
	for (toy_steps = 1; toy_steps <= 6; toy_steps++)
		for (unsigned bound = 0; bound <= 4; bound++) {
			struct sched_strategy *s = choose(5, bound);
			size_t nr = 0;
			do {
				sched_run(&toy_steps_program, s, &options, &result);
				assert_int_equal(result.finding, SCHED_NOTHING);
				assert_true(nr < sizeof(hashes) / sizeof(hashes[0]));
				hashes[nr++] = result.hash;
			} while (s->end(s, &result));
			assert_false(chosen.all.incomplete);
			assert_int_equal(nr, count(toy_steps, toy_steps, 0, bound));
			qsort(hashes, nr, sizeof(hashes[0]), by_value);
			for (size_t i = 1; i < nr; i++)
				assert_true(hashes[i] != hashes[i - 1]);
		}
}

/* No bytes, and zero bytes, are the default schedule. */
static void test_bytes(void **state)
{
	static const uint8_t zero[40];
	const struct sched_options options = { .weak = true };

	(void)state;
	for (unsigned i = 0; i < nr_litmus; i++) {
		sched_by_default(&chosen.base);
		sched_run(&litmus[i].program, &chosen.base, &options, &result);
		assert_int_equal(result.nr_events, 0);
		for (size_t nr = 0; nr <= sizeof(zero); nr += 20) {
			sched_by_bytes(&chosen.bytes, zero, nr);
			sched_run(&litmus[i].program, &chosen.base, &options, &again);
			assert_true(again.hash == result.hash);
		}
	}
}

/* Edited schedules: what does not apply is passed over. */
static void test_replay_edited(void **state)
{
	const struct sched_event events[] = {
		{ .n = 1, .thread = 0, .kind = SCHED_PREEMPT, .arg = 3 }, /* there is no thread 3 */
		{ .n = 2, .thread = 0, .kind = SCHED_STALE, .arg = 1 },   /* no load */
		{ .n = 2, .thread = 0, .kind = SCHED_PREEMPT, .arg = 1 },
		{ .n = 9, .thread = 1, .kind = SCHED_PREEMPT, .arg = 0 }, /* it never gets there */
	};
	const struct sched_options options = { .weak = true };
	struct sched_replay replay;

	(void)state;
	toy_steps = 4;
	sched_by_replay(&replay, events, 4);
	sched_run(&toy_steps_program, &replay.base, &options, &result);
	assert_int_equal(result.finding, SCHED_NOTHING);
	assert_int_equal(result.nr_events, 1);
	assert_memory_equal(&result.events[0], &events[2], sizeof(events[0]));
	assert_int_equal(result.steps, 8);
	assert_int_equal(result.points[0], 4);
	assert_int_equal(result.points[1], 4);
}

static void test_pct_bound(void **state)
{
	const struct sched_options options = { .weak = false };

	(void)state;
	toy_steps = 5;
	sched_by_pct(&chosen.pct, 1, 3);
	assert_false(sched_explore(&toy_steps_program, &chosen.base, &options, 10, &sum, &result));
	assert_int_equal(chosen.pct.steps, 10);
	assert_true(sched_pct_bound(&chosen.pct, 2) > 0.00499 && sched_pct_bound(&chosen.pct, 2) < 0.00501);
}

static unsigned char poisoned[64];

static void touch_poisoned(void *ctx, unsigned self)
{
	(void)ctx;
	sched_touch(poisoned + 16 * self, 8, true);
}

/* Instrumented accesses meet AddressSanitizer, which did not see their code. */
static void test_poisoned(void **state)
{
	const struct sched_program program = { .name = "poisoned", .nr_threads = 3, .thread = touch_poisoned };
	const struct sched_options options = { .weak = false };

	(void)state;
#if ARENA_ASAN
	__asan_poison_memory_region(poisoned + 24, 16);
#endif
	sched_by_default(&chosen.base);
	sched_run(&program, &chosen.base, &options, &result);
#if ARENA_ASAN
	__asan_unpoison_memory_region(poisoned, sizeof(poisoned));
	assert_int_equal(result.finding, SCHED_POISONED);
	sched_run(&program, &chosen.base, &options, &result);
#endif
	assert_int_equal(result.finding, SCHED_NOTHING);
	assert_int_equal(result.accesses, 3);
}

/* Not the texts: clang leaves out the read of x++, so that a race is told of another access. */
static int print_hashes(bool reverse)
{
	const unsigned nr = nr_toys + nr_litmus;

	for (unsigned k = 0; k < nr; k++) {
		const unsigned t = reverse ? nr - 1 - k : k;
		const struct toy *toy = t < nr_toys ? &toys[t] : &litmus[t - nr_toys];
		for (unsigned i = 0; i < STRATEGIES; i++)
			for (unsigned seed = 0; seed < 20; seed++) {
				const struct sched_options options = { .weak = seed % 2, .no_races = toy->no_races, .budget = 5000 };
				sched_run(&toy->program, choose(i, seed), &options, &result);
				printf("%s, %s, %u: %016llx %u %s\n", toy->program.name, chosen.base.name, seed,
				       (unsigned long long)result.hash, result.steps, sched_finding_name(result.finding));
			}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toys),         cmocka_unit_test(test_litmus),
		cmocka_unit_test(test_all),          cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_replay_edited), cmocka_unit_test(test_pct_bound),
		cmocka_unit_test(test_poisoned),
	};

	if (argc > 1 && strcmp(argv[1], "--hashes") == 0)
		return print_hashes(argc > 2 && strcmp(argv[2], "--reverse") == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
