/* SPDX-License-Identifier: MIT
 *
 * platform/posix: the ops. Built twice: as it is, and with PFA_POSIX_PLAIN.
 */
#include "posix_rig.h"

static struct pfa_platform ops;

static void ops_table(void **state)
{
	(void)state;
	assert_int_equal(ops.size, sizeof(ops));
	assert_non_null(ops.cpu);
	assert_non_null(ops.self);
	assert_non_null(ops.wait);
	assert_non_null(ops.wake);
	assert_non_null(ops.now_ns);
	assert_non_null(ops.random);
	assert_non_null(ops.fatal);
	assert_null(ops.zero);
}

/* Runs the test on one cpu that it may use; returns its number. */
static size_t pin_to_one_cpu(cpu_set_t *saved)
{
	cpu_set_t one;
	size_t cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(*saved), saved), 0);
	while (!CPU_ISSET(cpu, saved))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	return cpu;
}

static void ops_cpu(void **state)
{
	cpu_set_t saved;
	uint32_t nr = pfa_posix_nr_cpus(), cpu;

	(void)state;
	assert_in_range(nr, 1, 4096);
	size_t pinned = pin_to_one_cpu(&saved);
	cpu = ops.cpu(ops.ctx);
	assert_int_equal(sched_setaffinity(0, sizeof(saved), &saved), 0);
	if (TEST_PLAIN)
		assert_true(cpu < nr);
	else
		assert_int_equal(cpu, pinned);
}

#if defined(__x86_64__) || defined(__aarch64__)
static uint32_t cpu_at(ptrdiff_t offset)
{
	return *(const volatile uint32_t *)(const void *)((const char *)__builtin_thread_pointer() + offset);
}

static void *cpu_at_in_thread(void *offset)
{
	return (void *)(uintptr_t)cpu_at((ptrdiff_t)(intptr_t)offset);
}
#endif

static void ops_cpu_offset(void **state)
{
	ptrdiff_t offset = pfa_posix_cpu_offset();

	(void)state;
	if (TEST_PLAIN) {
		assert_int_equal(offset, 0);
		return;
	}
#if defined(__x86_64__) || defined(__aarch64__)
	cpu_set_t saved;
	pthread_t thread;
	void *there;

	if (offset == 0)
		skip(); /* not registered: an old libc, or valgrind */
	size_t pinned = pin_to_one_cpu(&saved);
	uint32_t here = cpu_at(offset);
	assert_int_equal(pthread_create(&thread, NULL, cpu_at_in_thread, (void *)(intptr_t)offset), 0);
	assert_int_equal(pthread_join(thread, &there), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(saved), &saved), 0);
	assert_int_equal(here, pinned);
	assert_int_equal((uintptr_t)there, pinned);
#else
	assert_int_equal(offset, 0);
#endif
}

/* What a thread finds out where no file can be opened (as in a chroot without /sys), and what that does to its errno. */
struct fileless {
	struct pfa *pfa;
	uint32_t before, cpu, nr;
	int alloc, free;
	int err_nr, err_cpu, err_alloc, err_free;
};

static void *fileless_main(void *arg)
{
	struct fileless *seen = arg;
	struct rlimit files;
	cpu_set_t cpus;
	pfa_pfn pfn = 0;

	seen->before = ops.cpu(ops.ctx);
	/* where the files cannot be read, the C library counts the cpus that this thread may use */
	(void)pin_to_one_cpu(&cpus);
	limit_set(RLIMIT_NOFILE, 0, &files);
	errno = E2BIG;
	seen->nr = pfa_posix_nr_cpus();
	seen->err_nr = errno;
	errno = E2BIG;
	seen->cpu = ops.cpu(ops.ctx);
	seen->err_cpu = errno;
	errno = E2BIG;
	seen->alloc = pfa_alloc(seen->pfa, 0, PFA_MOVABLE, &pfn);
	seen->err_alloc = errno;
	errno = E2BIG;
	seen->free = seen->alloc == PFA_OK ? pfa_free(seen->pfa, pfn, 0) : seen->alloc;
	seen->err_free = errno;
	limit_restore(RLIMIT_NOFILE, &files);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	return NULL;
}

static void cpus_without_files(void **state)
{
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = 4096 };
	struct pfa_posix arena;
	struct pfa_config cfg;
	struct fileless seen;
	pthread_t thread;

	(void)state;
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON), PFA_OK);
	(void)ops.self(ops.ctx); /* so that the thread is not the first one, which is on cpu 0 of any number */
	memset(&seen, 0, sizeof(seen));
	seen.pfa = arena.pfa;
	assert_int_equal(pthread_create(&thread, NULL, fileless_main, &seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	assert_in_range(seen.nr, 1, 4096);
	assert_int_equal(seen.alloc, PFA_OK);
	assert_int_equal(seen.free, PFA_OK);
	assert_int_equal(seen.err_nr, E2BIG);
	assert_int_equal(seen.err_cpu, E2BIG);
	assert_int_equal(seen.err_alloc, E2BIG);
	assert_int_equal(seen.err_free, E2BIG);
	if (TEST_PLAIN)
		assert_int_equal(seen.cpu, seen.before); /* the number of cpus was not asked for again */
}

#define SELF_THREADS 48

struct self_crowd {
	pthread_barrier_t barrier;
	_Atomic uint32_t next;
	uint32_t ids[SELF_THREADS];
	uint32_t again[SELF_THREADS];
};

static void *self_in_crowd(void *arg)
{
	struct self_crowd *crowd = arg;
	uint32_t at = atomic_fetch_add(&crowd->next, 1);

	crowd->ids[at] = ops.self(ops.ctx);
	(void)pthread_barrier_wait(&crowd->barrier); /* all are alive */
	crowd->again[at] = ops.self(ops.ctx);
	return NULL;
}

static void self_unique_among_live(void **state)
{
	static struct self_crowd crowd;
	pthread_t threads[SELF_THREADS];
	uint32_t mine = ops.self(ops.ctx);

	(void)state;
	assert_int_equal(pthread_barrier_init(&crowd.barrier, NULL, SELF_THREADS), 0);
	for (int i = 0; i < SELF_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, self_in_crowd, &crowd), 0);
	for (int i = 0; i < SELF_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)pthread_barrier_destroy(&crowd.barrier);
	assert_int_equal(ops.self(ops.ctx), mine);
	for (int i = 0; i < SELF_THREADS; i++) {
		assert_in_range(crowd.ids[i], 1, (1u << 28) - 1);
		assert_int_equal(crowd.ids[i], crowd.again[i]);
		assert_int_not_equal(crowd.ids[i], mine);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(crowd.ids[i], crowd.ids[k]);
	}
}

static void *self_once(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)ops.self(ops.ctx);
}

static void self_is_recycled(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		pthread_t thread;
		void *id;
		assert_int_equal(pthread_create(&thread, NULL, self_once, NULL), 0);
		assert_int_equal(pthread_join(thread, &id), 0);
		assert_in_range((uintptr_t)id, 1, SELF_THREADS + 8);
	}
}

/* Threads that come and go: an id taken while another thread has it shows in owners[]. */
static _Atomic uint32_t churn_owners[4096];
static _Atomic uint32_t churn_clashes;

static void *churn_leaf(void *arg)
{
	uint32_t id = ops.self(ops.ctx);

	(void)arg;
	if (id >= 4096 || atomic_exchange(&churn_owners[id], 1) != 0)
		atomic_fetch_add(&churn_clashes, 1);
	sched_yield();
	if (id < 4096)
		atomic_store(&churn_owners[id], 0);
	return NULL;
}

static void *churn_parent(void *arg)
{
	for (int i = 0; i < 60; i++) {
		pthread_t threads[3];
		int nr = 0;
		while (nr < 3 && pthread_create(&threads[nr], NULL, churn_leaf, arg) == 0)
			nr++;
		if (nr < 3)
			atomic_fetch_add(&churn_clashes, 1);
		while (nr)
			(void)pthread_join(threads[--nr], NULL);
	}
	return NULL;
}

static void self_unique_under_churn(void **state)
{
	pthread_t parents[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&parents[i], NULL, churn_parent, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(parents[i], NULL), 0);
	assert_int_equal(atomic_load(&churn_clashes), 0);
}

/* Destructors of other keys, made before and after the library's own, still see the thread's id. */
static pthread_key_t key_early, key_late;
static _Atomic uint32_t exit_calls, exit_wrong;
static _Thread_local uint32_t exit_id;
static _Thread_local unsigned exit_rounds[2];

static void exit_destructor(pthread_key_t key, unsigned which, void *value)
{
	pthread_t other;
	void *others = NULL;

	atomic_fetch_add(&exit_calls, 1);
	/* A thread that begins now must not get the id of this one, which still lives. */
	if (pthread_create(&other, NULL, self_once, NULL) != 0 || pthread_join(other, &others) != 0 ||
	    (uintptr_t)others == exit_id || ops.self(ops.ctx) != exit_id)
		atomic_fetch_add(&exit_wrong, 1);
	if (++exit_rounds[which] < 2)
		(void)pthread_setspecific(key, value);
}

static void exit_early(void *value)
{
	exit_destructor(key_early, 0, value);
}

static void exit_late(void *value)
{
	exit_destructor(key_late, 1, value);
}

static void *exit_thread(void *arg)
{
	exit_id = ops.self(ops.ctx);
	(void)pthread_setspecific(key_early, &ops);
	(void)pthread_setspecific(key_late, &ops);
	return arg;
}

static void self_lasts_through_destructors(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_key_create(&key_late, exit_late), 0);
	assert_int_equal(pthread_create(&thread, NULL, exit_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&exit_calls), 4);
	assert_int_equal(atomic_load(&exit_wrong), 0);
	assert_int_equal(pthread_key_delete(key_late), 0);
}

static void ops_clock(void **state)
{
	uint64_t last = ops.now_ns(ops.ctx);

	(void)state;
	assert_true(last > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = ops.now_ns(ops.ctx);
		assert_true(now >= last);
		last = now;
	}
}

static void ops_random(void **state)
{
	uint64_t drawn[8];

	(void)state;
	errno = E2BIG;
	for (int i = 0; i < 8; i++) {
		drawn[i] = ops.random(ops.ctx);
		for (int k = 0; k < i; k++)
			assert_true(drawn[i] != drawn[k]);
	}
	assert_int_equal(errno, E2BIG);
}

static void wait_returns_at_once(void **state)
{
	_Atomic uint32_t word = 1;

	(void)state;
	errno = E2BIG;
	assert_int_equal(ops.wait(ops.ctx, &word, 2, UINT64_MAX), PFA_OK); /* another value */
	assert_int_equal(ops.wait(ops.ctx, &word, 1, 0), PFA_OK);          /* a time long past */
	assert_int_equal(ops.wait(ops.ctx, &word, 1, ops.now_ns(ops.ctx)), PFA_OK);
	assert_int_equal(errno, E2BIG);
}

static void wait_until_a_time(void **state)
{
	_Atomic uint32_t word = 1;
	uint64_t until = ops.now_ns(ops.ctx) + 20 * MS;
	unsigned rounds = 0;

	(void)state;
	while (ops.now_ns(ops.ctx) < until) {
		assert_int_equal(ops.wait(ops.ctx, &word, 1, until), PFA_OK);
		rounds++;
	}
	assert_true(rounds >= 1);
	if (!TEST_PLAIN)
		assert_true(rounds < 20); /* it slept, it did not spin: a few spurious wakes at most */
}

struct waiter {
	_Atomic uint32_t word;
	_Atomic uint32_t returns;
	uint64_t until_ns;
	pthread_t thread;
};

static void *waiter_main(void *arg)
{
	struct waiter *waiter = arg;

	while (atomic_load(&waiter->word) == 1) {
		(void)ops.wait(ops.ctx, &waiter->word, 1, waiter->until_ns);
		atomic_fetch_add(&waiter->returns, 1);
	}
	return NULL;
}

/* A lost wake shows as a test that never ends. */
static void wait_until_woken(void **state)
{
	static const uint64_t untils[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 62 };
	struct waiter waiters[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		atomic_init(&waiters[i].returns, 0);
		atomic_init(&waiters[i].word, 1);
		waiters[i].until_ns = untils[i % 3];
		assert_int_equal(pthread_create(&waiters[i].thread, NULL, waiter_main, &waiters[i]), 0);
	}
	for (unsigned i = 0; i < 6; i++) {
		if (i % 2)
			nap();
		atomic_store(&waiters[i].word, 2);
		errno = E2BIG;
		ops.wake(ops.ctx, &waiters[i].word);
		assert_int_equal(errno, E2BIG);
		assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
	}
}

static void wake_wakes_all(void **state)
{
	static struct waiter shared;
	pthread_t threads[5];

	(void)state;
	atomic_init(&shared.word, 1);
	atomic_init(&shared.returns, 0);
	shared.until_ns = UINT64_MAX;
	for (int i = 0; i < 5; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, waiter_main, &shared), 0);
	for (int i = 0; i < 5; i++)
		nap();
	atomic_store(&shared.word, 2);
	ops.wake(ops.ctx, &shared.word); /* once for all five */
	for (int i = 0; i < 5; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void on_signal(int number)
{
	(void)number;
}

static void wait_interrupted_is_spurious(void **state)
{
	static struct waiter waiter;
	struct sigaction action = { .sa_handler = on_signal }, saved;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, &saved), 0);
	atomic_init(&waiter.word, 1);
	atomic_init(&waiter.returns, 0);
	waiter.until_ns = UINT64_MAX;
	assert_int_equal(pthread_create(&waiter.thread, NULL, waiter_main, &waiter), 0);
	while (atomic_load(&waiter.returns) < 3) {
		assert_int_equal(pthread_kill(waiter.thread, SIGUSR1), 0);
		nap();
	}
	atomic_store(&waiter.word, 2);
	ops.wake(ops.ctx, &waiter.word);
	assert_int_equal(pthread_join(waiter.thread, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &saved, NULL), 0);
}

/* What the op fatal writes for a message. */
static size_t fatal_text(const char *message, char *out, size_t bytes)
{
	struct pfa_fault fault = { .size = sizeof(fault), .code = PFA_EMISUSE, .message = message };
	int fds[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(fds), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	(void)close(fds[1]);
	errno = E2BIG;
	ops.fatal(ops.ctx, &fault);
	int err = errno;
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	ssize_t nr = read(fds[0], out, bytes - 1);
	(void)close(fds[0]);
	assert_int_equal(err, E2BIG);
	assert_true(nr >= 0);
	out[nr] = '\0';
	return (size_t)nr;
}

static void fatal_writes_a_line(void **state)
{
	static char longest[2000], text[4000];

	(void)state;
	(void)fatal_text("double free of block 7", text, sizeof(text));
	assert_string_equal(text, "libpfa: double free of block 7\n");
	(void)fatal_text(NULL, text, sizeof(text));
	assert_string_equal(text, "libpfa: fault without a message\n");
	memset(longest, 'y', sizeof(longest) - 1);
	assert_int_equal(fatal_text(longest, text, sizeof(text)), 512);
	assert_memory_equal(text, "libpfa: yyy", 11);
	assert_int_equal(text[511], '\n');
}

static void fatal_without_stderr_returns(void **state)
{
	const struct pfa_fault fault = { .size = sizeof(fault), .code = PFA_EMISUSE, .message = "unheard" };
	int saved = dup(STDERR_FILENO);

	(void)state;
	(void)close(STDERR_FILENO);
	errno = E2BIG;
	ops.fatal(ops.ctx, &fault);
	int err = errno;
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	assert_int_equal(err, E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ops_table),
		cmocka_unit_test(ops_cpu),
		cmocka_unit_test(ops_cpu_offset),
		cmocka_unit_test(cpus_without_files),
		cmocka_unit_test(self_unique_among_live),
		cmocka_unit_test(self_is_recycled),
		cmocka_unit_test(self_unique_under_churn),
		cmocka_unit_test(self_lasts_through_destructors),
		cmocka_unit_test(ops_clock),
		cmocka_unit_test(ops_random),
		cmocka_unit_test(wait_returns_at_once),
		cmocka_unit_test(wait_until_a_time),
		cmocka_unit_test(wait_until_woken),
		cmocka_unit_test(wake_wakes_all),
		cmocka_unit_test(wait_interrupted_is_spurious),
		cmocka_unit_test(fatal_writes_a_line),
		cmocka_unit_test(fatal_without_stderr_returns),
	};

	/* A key made before the library's first use: see self_lasts_through_destructors(). */
	if (pthread_key_create(&key_early, exit_early) != 0)
		return 2;
	pfa_posix_platform(&ops);
	return cmocka_run_group_tests_name("platform_posix", tests, NULL, NULL);
}
