/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pfa/single.h>

static uint64_t clock_of_ctx(void *ctx)
{
	return *(uint64_t *)ctx;
}

static void single_table(void **state)
{
	struct pfa_platform platform;
	uint64_t now = 42;

	(void)state;
	memset(&platform, 0xa5, sizeof(platform));
	pfa_single_platform(&platform, clock_of_ctx, &now);
	assert_int_equal(platform.size, sizeof(platform));
	assert_ptr_equal(platform.ctx, &now);
	assert_true(platform.now_ns(platform.ctx) == 42);
	now = UINT64_MAX;
	assert_true(platform.now_ns(platform.ctx) == UINT64_MAX);
	assert_null(platform.zero);
	assert_null(platform.random);
	assert_null(platform.fatal);
}

static void single_without_clock(void **state)
{
	struct pfa_platform platform;

	(void)state;
	memset(&platform, 0xa5, sizeof(platform));
	pfa_single_platform(&platform, NULL, NULL);
	assert_int_equal(platform.now_ns(platform.ctx), 0);
	assert_null(platform.ctx);
}

static void single_one_thread_one_cpu(void **state)
{
	struct pfa_platform platform;

	(void)state;
	pfa_single_platform(&platform, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(platform.cpu(platform.ctx), 0);
		assert_int_equal(platform.self(platform.ctx), 1);
	}
}

/* Whatever the word is and whatever the limit: nobody could wake us. */
static void single_wait_is_deadlock(void **state)
{
	struct pfa_platform platform;
	uint32_t word = 7;

	(void)state;
	pfa_single_platform(&platform, NULL, NULL);
	assert_int_equal(platform.wait(platform.ctx, &word, 7, UINT64_MAX), PFA_EDEADLK);
	assert_int_equal(platform.wait(platform.ctx, &word, 7, 0), PFA_EDEADLK);
	assert_int_equal(platform.wait(platform.ctx, &word, 8, 1000), PFA_EDEADLK);
	platform.wake(platform.ctx, &word);
	assert_int_equal(word, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_table),
		cmocka_unit_test(single_without_clock),
		cmocka_unit_test(single_one_thread_one_cpu),
		cmocka_unit_test(single_wait_is_deadlock),
	};

	return cmocka_run_group_tests_name("platform_single", tests, NULL, NULL);
}
