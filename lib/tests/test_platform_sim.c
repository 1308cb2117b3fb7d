/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pfa/sim.h>

static struct pfa_sim sim;
static struct pfa_platform platform;

static int sim_fresh(void **state)
{
	(void)state;
	memset(&sim, 0xa5, sizeof(sim));
	memset(&platform, 0xa5, sizeof(platform));
	pfa_sim_init(&sim, 1);
	pfa_sim_platform(&sim, &platform);
	return 0;
}

static void sim_defaults(void **state)
{
	(void)state;
	assert_int_equal(platform.size, sizeof(platform));
	assert_ptr_equal(platform.ctx, &sim);
	assert_int_equal(platform.self(&sim), 1);
	assert_int_equal(platform.cpu(&sim), 0);
	assert_true(platform.now_ns(&sim) == 0);
	assert_null(pfa_sim_fault(&sim, 0));
	assert_int_equal(sim.nr_faults, 0);
	assert_int_equal(sim.nr_ops[PFA_SIM_SELF], 1);
	assert_int_equal(sim.nr_ops[PFA_SIM_CPU], 1);
	assert_int_equal(sim.nr_ops[PFA_SIM_NOW], 1);
	assert_int_equal(sim.nr_ops[PFA_SIM_WAIT], 0);
}

static void sim_cpu_and_self_are_set(void **state)
{
	(void)state;
	sim.cpu = 3;
	sim.self = 0x0fffffff;
	assert_int_equal(platform.cpu(&sim), 3);
	assert_int_equal(platform.self(&sim), 0x0fffffff);
	sim.cpu = UINT32_MAX;
	assert_true(platform.cpu(&sim) == UINT32_MAX);
}

static void sim_cpu_script(void **state)
{
	static const uint32_t script[] = { 1, 0, 77, UINT32_MAX };

	(void)state;
	sim.cpu_script = script;
	sim.cpu_script_nr = 4;
	for (unsigned i = 0; i < 9; i++) {
		assert_true(platform.cpu(&sim) == script[i % 4]);
		assert_true(sim.cpu == script[i % 4]);
	}
	sim.cpu_script_nr = 0;
	sim.cpu = 5;
	assert_int_equal(platform.cpu(&sim), 5);
	sim.cpu_script_nr = 2;
	sim.cpu_script_at = 1000; /* out of range: from the beginning */
	assert_int_equal(platform.cpu(&sim), 1);
	assert_int_equal(platform.cpu(&sim), 0);
}

static void sim_clock(void **state)
{
	(void)state;
	sim.tick_ns = 10;
	assert_true(platform.now_ns(&sim) == 0);
	assert_true(platform.now_ns(&sim) == 10);
	pfa_sim_advance(&sim, 100);
	assert_true(platform.now_ns(&sim) == 120);
	pfa_sim_advance(&sim, UINT64_MAX);
	assert_true(sim.now_ns == UINT64_MAX - 1);
	assert_true(platform.now_ns(&sim) == UINT64_MAX - 1);
	assert_true(platform.now_ns(&sim) == UINT64_MAX - 1);
	sim.now_ns = UINT64_MAX;
	pfa_sim_advance(&sim, 1);
	assert_true(sim.now_ns == UINT64_MAX);
}

static void sim_wait_mismatch_returns(void **state)
{
	uint32_t word = 1;

	(void)state;
	assert_int_equal(platform.wait(&sim, &word, 2, UINT64_MAX), PFA_OK);
	assert_int_equal(sim.nr_wait_mismatch, 1);
	assert_int_equal(sim.nr_deadlock + sim.nr_timeout, 0);
}

static void sim_wait_finite_advances(void **state)
{
	uint32_t word = 1;

	(void)state;
	sim.now_ns = 50;
	assert_int_equal(platform.wait(&sim, &word, 1, 80), PFA_OK);
	assert_true(sim.now_ns == 80);
	assert_int_equal(platform.wait(&sim, &word, 1, 60), PFA_OK); /* past: it never goes back */
	assert_true(sim.now_ns == 80);
	assert_int_equal(sim.nr_timeout, 2);
	assert_int_equal(sim.nr_ops[PFA_SIM_WAIT], 2);
}

static void sim_wait_endless_is_deadlock(void **state)
{
	uint32_t word = 1;

	(void)state;
	assert_int_equal(platform.wait(&sim, &word, 1, UINT64_MAX), PFA_EDEADLK);
	assert_int_equal(sim.nr_deadlock, 1);
	assert_true(sim.now_ns == 0);
}

struct sim_script {
	const void *addr;
	uint32_t value;
	uint64_t until_ns;
	unsigned nr_waits, nr_wakes, nr_fatals;
	enum pfa_sim_op ops[16];
	unsigned nr_ops;
	int result;
};

static int script_wait(struct pfa_sim *world, const void *addr, uint32_t value, uint64_t until_ns)
{
	struct sim_script *script = world->ctx;

	script->addr = addr;
	script->value = value;
	script->until_ns = until_ns;
	script->nr_waits++;
	return script->result;
}

static void script_wake(struct pfa_sim *world, const void *addr)
{
	struct sim_script *script = world->ctx;

	script->addr = addr;
	script->nr_wakes++;
}

static void script_op(struct pfa_sim *world, enum pfa_sim_op op)
{
	struct sim_script *script = world->ctx;

	script->ops[script->nr_ops++] = op;
	world->cpu = 9;    /* what a hook sets, the op must already see */
	world->self = 99;
	world->now_ns = 999;
}

static void script_fatal(struct pfa_sim *world, const struct pfa_fault *fault)
{
	struct sim_script *script = world->ctx;

	assert_int_equal(fault->code, PFA_EMISUSE);
	assert_non_null(pfa_sim_fault(world, 0)); /* recorded before the hook, which may not come back */
	script->nr_fatals++;
}

static void sim_hooks(void **state)
{
	struct sim_script script = { .result = PFA_EDEADLK };
	const struct pfa_fault fault = { .size = sizeof(fault), .code = PFA_EMISUSE, .message = "m" };
	uint32_t word = 4;

	(void)state;
	sim.ctx = &script;
	sim.on_wait = script_wait;
	sim.on_wake = script_wake;
	sim.on_fatal = script_fatal;
	assert_int_equal(platform.wait(&sim, &word, 5, 77), PFA_OK); /* the hook is not asked */
	assert_int_equal(script.nr_waits, 0);
	assert_int_equal(platform.wait(&sim, &word, 4, 77), PFA_EDEADLK);
	assert_ptr_equal(script.addr, &word);
	assert_int_equal(script.value, 4);
	assert_true(script.until_ns == 77);
	script.result = PFA_OK;
	assert_int_equal(platform.wait(&sim, &word, 4, UINT64_MAX), PFA_OK); /* a spurious wake */
	assert_int_equal(script.nr_waits, 2);
	assert_int_equal(sim.nr_deadlock + sim.nr_timeout, 0);
	assert_true(sim.now_ns == 0);
	script.addr = NULL;
	platform.wake(&sim, &word);
	assert_ptr_equal(script.addr, &word);
	assert_int_equal(script.nr_wakes, 1);
	platform.fatal(&sim, &fault);
	assert_int_equal(script.nr_fatals, 1);
}

static void sim_op_hook_comes_first(void **state)
{
	struct sim_script script = { 0 };

	(void)state;
	sim.ctx = &script;
	sim.on_op = script_op;
	assert_int_equal(platform.cpu(&sim), 9);
	assert_int_equal(platform.self(&sim), 99);
	assert_true(platform.now_ns(&sim) == 999);
	platform.zero(&sim, 0, 1, NULL);
	(void)platform.random(&sim);
	platform.wake(&sim, &script);
	assert_int_equal(script.nr_ops, 6);
	assert_int_equal(script.ops[0], PFA_SIM_CPU);
	assert_int_equal(script.ops[1], PFA_SIM_SELF);
	assert_int_equal(script.ops[2], PFA_SIM_NOW);
	assert_int_equal(script.ops[3], PFA_SIM_ZERO);
	assert_int_equal(script.ops[4], PFA_SIM_RANDOM);
	assert_int_equal(script.ops[5], PFA_SIM_WAKE);
}

/* How many of the bytes are not 0xff, and that these are [from, from + nr). */
static void assert_zeroed(const unsigned char *bytes, size_t total, size_t from, size_t nr)
{
	for (size_t i = 0; i < total; i++)
		assert_int_equal(bytes[i], i >= from && i - from < nr ? 0 : 0xff);
}

static void sim_zero_counts_only(void **state)
{
	unsigned char bytes[256];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	platform.zero(&sim, 100, 4, bytes); /* frame_shift 0: a pool without content */
	assert_zeroed(bytes, sizeof(bytes), 0, 0);
	assert_int_equal(sim.nr_zero_frames, 4);
	assert_int_equal(sim.last_zero.first, 100);
	assert_int_equal(sim.last_zero.nr_frames, 4);
	assert_int_equal(sim.nr_zero_outside, 0);
}

static void sim_zero_by_address(void **state)
{
	unsigned char bytes[256];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	sim.frame_shift = 6;
	platform.zero(&sim, 100, 2, bytes + 64);
	assert_zeroed(bytes, sizeof(bytes), 64, 128);
	platform.zero(&sim, 100, 2, NULL); /* no address known to anybody: counted */
	assert_int_equal(sim.nr_zero_frames, 4);
}

static void sim_zero_in_pool(void **state)
{
	unsigned char bytes[4 * 64];
	static const struct {
		pfa_pfn first;
		size_t nr, from, bytes, outside;
	} cases[] = {
		{ 10, 4, 0, 256, 0 },   { 12, 1, 128, 64, 0 },          { 9, 2, 0, 64, 1 },
		{ 13, 3, 192, 64, 2 },  { 8, 8, 0, 256, 4 },            { 14, 2, 0, 0, 2 },
		{ 0, 10, 0, 0, 10 },    { SIZE_MAX - 1, 1, 0, 0, 1 },   { 11, 2, 64, 128, 0 },
	};

	(void)state;
	sim.frame_shift = 6;
	sim.pool = bytes;
	sim.pool_bytes = sizeof(bytes);
	sim.pool_pfn = 10;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(bytes, 0xff, sizeof(bytes));
		sim.nr_zero_outside = 0;
		platform.zero(&sim, cases[i].first, cases[i].nr, NULL);
		assert_zeroed(bytes, sizeof(bytes), cases[i].from, cases[i].bytes);
		assert_int_equal(sim.nr_zero_outside, cases[i].outside);
	}
}

/* The first outputs of splitmix64 with seed 1234567, as its reference gives them. */
static void sim_random_is_splitmix64(void **state)
{
	static const uint64_t expected[] = {
		UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
		UINT64_C(4593380528125082431), UINT64_C(16408922859458223821),
	};

	(void)state;
	pfa_sim_init(&sim, 1234567);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_true(platform.random(&sim) == expected[i]);
	assert_int_equal(sim.nr_ops[PFA_SIM_RANDOM], 5);
}

static void sim_faults_are_kept(void **state)
{
	char message[2 * PFA_SIM_TEXT];
	struct pfa_fault fault = { .size = sizeof(fault), .code = PFA_EMISUSE, .kind = PFA_FAULT_TAIL,
	                           .function = "pfa_free" };

	(void)state;
	for (unsigned i = 0; i < PFA_SIM_FAULTS + 3; i++) {
		memset(message, 'a' + (int)i, sizeof(message));
		message[i + 1] = '\0';
		fault.message = message;
		fault.pfn = i;
		fault.order = i % 4;
		platform.fatal(&sim, &fault);
	}
	assert_int_equal(sim.nr_faults, PFA_SIM_FAULTS + 3);
	for (unsigned back = 0; back < PFA_SIM_FAULTS; back++) {
		unsigned i = PFA_SIM_FAULTS + 2 - back;
		const struct pfa_sim_fault *kept = pfa_sim_fault(&sim, back);
		assert_non_null(kept);
		assert_int_equal(kept->pfn, i);
		assert_int_equal(kept->order, i % 4);
		assert_int_equal(kept->code, PFA_EMISUSE);
		assert_int_equal(kept->kind, PFA_FAULT_TAIL);
		assert_string_equal(kept->function, "pfa_free");
		assert_int_equal(strlen(kept->message), i + 1);
		assert_int_equal(kept->message[0], 'a' + (int)i);
	}
	assert_null(pfa_sim_fault(&sim, PFA_SIM_FAULTS));
	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	fault.function = NULL;
	platform.fatal(&sim, &fault);
	assert_int_equal(strlen(pfa_sim_fault(&sim, 0)->message), PFA_SIM_TEXT - 1); /* too long: cut */
	assert_string_equal(pfa_sim_fault(&sim, 0)->function, "");
}

static void sim_forget_keeps_the_world(void **state)
{
	const struct pfa_fault fault = { .size = sizeof(fault), .code = PFA_EMISUSE, .message = "m" };
	uint32_t word = 1;
	static const size_t zero[PFA_SIM_OPS];

	(void)state;
	sim.now_ns = 5;
	sim.cpu = 6;
	sim.on_wake = script_wake;
	platform.fatal(&sim, &fault);
	platform.zero(&sim, 3, 4, NULL);
	(void)platform.wait(&sim, &word, 1, UINT64_MAX);
	(void)platform.wait(&sim, &word, 1, 3);
	(void)platform.wait(&sim, &word, 2, 3);
	pfa_sim_forget(&sim);
	assert_memory_equal(sim.nr_ops, zero, sizeof(zero));
	assert_null(pfa_sim_fault(&sim, 0));
	assert_int_equal(sim.nr_faults + sim.nr_deadlock + sim.nr_timeout + sim.nr_wait_mismatch, 0);
	assert_int_equal(sim.nr_zero_frames + sim.last_zero.first + sim.last_zero.nr_frames, 0);
	assert_true(sim.now_ns == 5 && sim.cpu == 6 && sim.self == 1);
	assert_true(sim.on_wake == script_wake);
}

#define SIM_TEST(f) cmocka_unit_test_setup(f, sim_fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SIM_TEST(sim_defaults),
		SIM_TEST(sim_cpu_and_self_are_set),
		SIM_TEST(sim_cpu_script),
		SIM_TEST(sim_clock),
		SIM_TEST(sim_wait_mismatch_returns),
		SIM_TEST(sim_wait_finite_advances),
		SIM_TEST(sim_wait_endless_is_deadlock),
		SIM_TEST(sim_hooks),
		SIM_TEST(sim_op_hook_comes_first),
		SIM_TEST(sim_zero_counts_only),
		SIM_TEST(sim_zero_by_address),
		SIM_TEST(sim_zero_in_pool),
		SIM_TEST(sim_random_is_splitmix64),
		SIM_TEST(sim_faults_are_kept),
		SIM_TEST(sim_forget_keeps_the_world),
	};

	return cmocka_run_group_tests_name("platform_sim", tests, NULL, NULL);
}
