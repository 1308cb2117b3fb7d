/* SPDX-License-Identifier: MIT
 *
 * platform/posix: ops, mapped memory, arena, worker. Built twice: as it is, and with PFA_POSIX_PLAIN.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/stats.h>

#ifdef PFA_POSIX_PLAIN
#define TEST_PLAIN 1
#else
#define TEST_PLAIN 0
#endif

#define MS 1000000u
#define MIB ((size_t)1 << 20)

static struct pfa_platform ops;

static size_t system_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Pages of address space in use. */
static size_t mapped_pages(void)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t nr = read(fd, text, sizeof(text) - 1);

	(void)close(fd);
	assert_true(nr > 0);
	text[nr] = '\0';
	return strtoul(text, NULL, 10);
}

/* The number that the next file gets: equal before and after means that nothing stays open. */
static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	(void)close(fd);
	return fd;
}

/* Can the byte at addr be read? Asked of the kernel, so that it does not kill us. */
static bool is_readable(const void *addr)
{
	int fds[2];
	ssize_t nr;

	assert_int_equal(pipe(fds), 0);
	nr = syscall(SYS_write, fds[1], addr, (size_t)1);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return nr == 1;
}

static bool is_mapped(void *addr)
{
	return msync(addr, system_page(), MS_ASYNC) == 0 || errno != ENOMEM;
}

static void limit_set(unsigned which, rlim_t value, struct rlimit *saved)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(which, saved), 0);
	limit = *saved;
	limit.rlim_cur = value;
	assert_int_equal(setrlimit(which, &limit), 0);
}

static void limit_restore(unsigned which, const struct rlimit *saved)
{
	assert_int_equal(setrlimit(which, saved), 0);
}

static void nap(void)
{
	(void)usleep(1000);
}

/* ---- ops ---- */

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

/* ---- mapped memory ---- */

static void map_anonymous(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 3 * page + 1, 0, PFA_POSIX_ANON), PFA_OK);
	assert_int_equal(region.bytes, 3 * page + 1);
	assert_int_equal(region.map_bytes, 4 * page);
	assert_int_equal(region.fd, -1);
	assert_int_equal(region.err, 0);
	assert_null(region.failed);
	unsigned char *bytes = region.base;
	for (size_t i = 0; i < region.map_bytes; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 0x5a, region.map_bytes);
	assert_int_equal(mapped_pages(), before + 4);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_null(region.base);
	assert_false(is_mapped(bytes));
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK); /* nothing left: fine */
}

static void map_aligned(void **state)
{
	static const unsigned shifts[] = { 0, 6, 12, 13, 16, 21, 26 };
	struct pfa_posix_region region;
	size_t page = system_page();

	(void)state;
	for (unsigned flags = 0; flags <= PFA_POSIX_HUGE; flags += PFA_POSIX_HUGE)
		for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
			size_t before = mapped_pages(), align = (size_t)1 << shifts[i];
			assert_int_equal(pfa_posix_map(&region, 5 * page, align, flags), PFA_OK);
			assert_int_equal((uintptr_t)region.base % align, 0);
			assert_int_equal((uintptr_t)region.base % (flags ? 2 * MIB : page), 0);
			assert_int_equal(mapped_pages(), before + 5); /* what was cut off is gone */
			memset(region.base, 1, 5 * page);
			assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
			assert_int_equal(mapped_pages(), before);
		}
}

static void map_refuses_arguments(void **state)
{
	struct pfa_posix_region region;
	size_t before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 0, 0, 0), PFA_EINVAL);
	assert_int_equal(region.err, EINVAL);
	assert_null(region.base);
	assert_int_equal(pfa_posix_map(&region, 4096, 3, 0), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, SIZE_MAX, 0), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, 0, PFA_POSIX_NO_POOL), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, 0, 1u << 31), PFA_EINVAL);
	assert_int_equal(mapped_pages(), before);
}

static void map_absurd_sizes(void **state)
{
	static const unsigned flags[] = { PFA_POSIX_ANON, PFA_POSIX_MEMFD, PFA_POSIX_RESERVE };
	size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 16 * 15, SIZE_MAX - system_page() + 1 };
	struct pfa_posix_region region;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	for (size_t f = 0; f < 3; f++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			assert_int_equal(pfa_posix_map(&region, sizes[i], 0, flags[f]), PFA_ENOMEM);
			assert_int_equal(region.err, ENOMEM);
			assert_string_equal(region.failed, "mmap");
			assert_null(region.base);
		}
	/* Each could be had, but together, for cutting an aligned piece out, they overflow. */
	assert_int_equal(pfa_posix_map(&region, SIZE_MAX / 4 * 3, SIZE_MAX / 2 + 1, 0), PFA_ENOMEM);
	assert_int_equal(region.err, ENOMEM);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void map_over_the_limit(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();

	(void)state;
	limit_set(RLIMIT_AS, before * system_page() + 16 * MIB, &saved);
	int refused = pfa_posix_map(&region, 64 * MIB, 0, PFA_POSIX_ANON), err = region.err;
	int fits = pfa_posix_map(&region, 4 * MIB, 0, PFA_POSIX_ANON);
	limit_restore(RLIMIT_AS, &saved);
	assert_int_equal(refused, PFA_ENOMEM);
	assert_int_equal(err, ENOMEM);
	assert_int_equal(fits, PFA_OK);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_int_equal(mapped_pages(), before);
}

static void map_reserved(void **state)
{
	static const unsigned backings[] = { PFA_POSIX_ANON, PFA_POSIX_MEMFD };
	size_t page = system_page();

	(void)state;
	for (int i = 0; i < 2 - TEST_PLAIN; i++) {
		struct pfa_posix_region region;
		size_t before = mapped_pages();
		int fd = next_fd();
		unsigned flags = backings[i] | PFA_POSIX_RESERVE;
		assert_int_equal(pfa_posix_map(&region, 8 * page, 0, flags), PFA_OK);
		unsigned char *bytes = region.base;
		assert_false(is_readable(bytes));
		assert_int_equal(pfa_posix_commit(&region, 2 * page, 3 * page), PFA_OK);
		assert_false(is_readable(bytes + page));
		assert_true(is_readable(bytes + 2 * page));
		assert_true(is_readable(bytes + 4 * page));
		assert_false(is_readable(bytes + 5 * page));
		for (size_t k = 2 * page; k < 5 * page; k++)
			assert_int_equal(bytes[k], 0);
		memset(bytes + 2 * page, 0x77, 3 * page);
		assert_int_equal(pfa_posix_decommit(&region, 3 * page, page), PFA_OK);
		assert_false(is_readable(bytes + 3 * page));
		assert_int_equal(bytes[2 * page], 0x77);
		assert_int_equal(pfa_posix_commit(&region, 0, 8 * page), PFA_OK);
		assert_int_equal(bytes[3 * page - 1], 0x77);
		assert_int_equal(bytes[4 * page], 0x77);
		for (size_t k = 3 * page; k < 4 * page; k++)
			assert_int_equal(bytes[k], 0); /* the old content is gone */
		assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
		assert_int_equal(mapped_pages(), before);
		assert_int_equal(next_fd(), fd);
	}
}

static void commit_refuses_arguments(void **state)
{
	struct pfa_posix_region region, none = { 0 };
	size_t page = system_page();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4 * page, 0, PFA_POSIX_RESERVE), PFA_OK);
	const struct {
		size_t offset, bytes;
	} bad[] = {
		{ 0, 0 },           { 1, page },        { 0, page + 1 },            { 0, 5 * page },
		{ 4 * page, page }, { 8 * page, page }, { SIZE_MAX - page + 1, page },
		{ page, SIZE_MAX - page + 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pfa_posix_commit(&region, bad[i].offset, bad[i].bytes), PFA_EINVAL);
		assert_int_equal(region.err, EINVAL);
		assert_int_equal(pfa_posix_decommit(&region, bad[i].offset, bad[i].bytes), PFA_EINVAL);
	}
	assert_false(is_readable(region.base));
	assert_int_equal(pfa_posix_commit(&none, 0, page), PFA_EINVAL);
	assert_int_equal(pfa_posix_decommit(&none, 0, page), PFA_EINVAL);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
}

#ifdef PFA_POSIX_PLAIN

static void memfd_is_not_supported(void **state)
{
	struct pfa_posix_region region;
	size_t before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4096, 0, PFA_POSIX_MEMFD), PFA_ENOTSUP);
	assert_int_equal(region.err, ENOSYS);
	assert_string_equal(region.failed, "memfd_create");
	assert_null(region.base);
	assert_int_equal(mapped_pages(), before);
}

#else

static void memfd_is_shared(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();
	unsigned char seen[4] = { 0 };
	int fd = next_fd();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4 * page, 2 * MIB, PFA_POSIX_MEMFD), PFA_OK);
	unsigned char *bytes = region.base;
	assert_int_equal((uintptr_t)bytes % (2 * MIB), 0);
	assert_int_equal(region.fd, fd);
	assert_true((fcntl(region.fd, F_GETFD) & FD_CLOEXEC) != 0);
	for (size_t i = 0; i < 4 * page; i++)
		assert_int_equal(bytes[i], 0);
	memcpy(bytes + page, "abc", 4);
	assert_int_equal(pread(region.fd, seen, 4, (off_t)page), 4);
	assert_string_equal((char *)seen, "abc");
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_int_equal(region.fd, -1);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void memfd_without_files(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	limit_set(RLIMIT_NOFILE, (rlim_t)fd, &saved);
	int code = pfa_posix_map(&region, 4096, 0, PFA_POSIX_MEMFD);
	limit_restore(RLIMIT_NOFILE, &saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_int_equal(region.err, EMFILE);
	assert_string_equal(region.failed, "memfd_create");
	assert_null(region.base);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void memfd_over_the_file_limit(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	limit_set(RLIMIT_FSIZE, MIB, &saved); /* would kill the process if it were met by the kernel */
	int code = pfa_posix_map(&region, 2 * MIB, 0, PFA_POSIX_MEMFD);
	limit_restore(RLIMIT_FSIZE, &saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_int_equal(region.err, EFBIG);
	assert_string_equal(region.failed, "ftruncate");
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

/* Somebody closed our file behind our back. */
static void memfd_closed(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 2 * page, 0, PFA_POSIX_MEMFD), PFA_OK);
	unsigned char *bytes = region.base;
	bytes[page] = 9;
	(void)close(region.fd);
	assert_int_equal(pfa_posix_decommit(&region, 0, 2 * page), PFA_EINVAL);
	assert_int_equal(region.err, EBADF);
	assert_string_equal(region.failed, "fallocate");
	assert_int_equal(bytes[page], 9); /* content and access are as before */
	bytes[0] = 1;
	assert_int_equal(pfa_posix_unmap(&region), PFA_EINVAL);
	assert_int_equal(region.err, EBADF);
	assert_string_equal(region.failed, "close");
	assert_null(region.base);
	assert_int_equal(region.fd, -1);
	assert_int_equal(mapped_pages(), before);
}

static void decommit_of_locked_memory(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 2 * page, 0, PFA_POSIX_ANON), PFA_OK);
	unsigned char *bytes = region.base;
	bytes[0] = 8;
	if (syscall(SYS_mlock, bytes, 2 * page) != 0) { /* sanitizers replace mlock() */
		assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
		skip();
	}
	assert_int_equal(pfa_posix_decommit(&region, 0, 2 * page), PFA_EINVAL);
	assert_string_equal(region.failed, "madvise");
	assert_int_equal(bytes[0], 8);
	bytes[page] = 1;
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
}

#endif

/* ---- an instance in one call ---- */

static struct pfa_zone_config zones[2];
static struct pfa_config cfg;

static int arena_fresh(void **state)
{
	(void)state;
	memset(zones, 0, sizeof(zones));
	for (int i = 0; i < 2; i++)
		zones[i].size = sizeof(zones[i]);
	zones[0].start = 1000;
	zones[0].nr_frames = 3000;
	zones[1].start = 5000;
	zones[1].nr_frames = 1111;
	pfa_config_init(&cfg);
	cfg.zones = zones;
	cfg.nr_zones = 2;
	return 0;
}

static void arena_defaults(void **state)
{
	struct pfa_posix arena;
	struct pfa_stats stats;
	size_t before = mapped_pages();
	unsigned char *block;
	void *first;

	(void)state;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON), PFA_OK);
	assert_non_null(arena.pfa);
	assert_int_equal(arena.problem, PFA_CONFIG_FINE);
	assert_int_equal(arena.err, 0);
	assert_int_equal(arena.pool_pfn, 1000);
	assert_int_equal(arena.pool.bytes, (size_t)(5000 + 1111 - 1000) << 12);
	assert_int_equal(pfa_stats_get(arena.pfa, &stats, sizeof(stats)), PFA_OK);
	assert_int_equal(stats.nr_cpus, pfa_posix_nr_cpus());
	assert_int_equal(stats.nr_zones, 2);
	assert_int_equal(pfa_ptr(arena.pfa, 1000, &first), PFA_OK);
	assert_ptr_equal(first, arena.pool.base);
	assert_int_equal(pfa_alloc_ptr(arena.pfa, 2, PFA_MOVABLE | PFA_ZERO, (void **)&block), PFA_OK);
	for (size_t i = 0; i < 4 << 12; i++)
		assert_int_equal(block[i], 0);
	assert_int_equal(pfa_stats_get(arena.pfa, &stats, sizeof(stats)), PFA_OK);
	assert_int_equal(stats.nr_zeroed, 0); /* fresh memory is known to be zero */
	memset(block, 0xff, 4 << 12);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_EBUSY); /* it goes on */
	block[0] = 1;
	assert_int_equal(pfa_free_ptr(arena.pfa, block, 2), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	assert_null(arena.pfa);
	assert_null(arena.pool.base);
	assert_null(arena.meta.base);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK); /* of nothing */
}

/* Every way to have a pool or none, with and without rseq: alloc, use if it can be used, free, check. */
static void arena_each_backing(void **state)
{
	static const unsigned flags[] = {
		PFA_POSIX_ANON, PFA_POSIX_NO_RSEQ, PFA_POSIX_HUGE, PFA_POSIX_RESERVE, PFA_POSIX_NO_POOL,
		PFA_POSIX_MEMFD, PFA_POSIX_MEMFD | PFA_POSIX_HUGE, PFA_POSIX_MEMFD | PFA_POSIX_RESERVE,
	};
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	for (size_t i = 0; i < (TEST_PLAIN ? 5 : sizeof(flags) / sizeof(flags[0])); i++) {
		struct pfa_posix arena;
		struct pfa_violation violation;
		pfa_pfn pfn;
		void *ptr;
		assert_int_equal(pfa_posix_create(&arena, &cfg, flags[i]), PFA_OK);
		assert_int_equal(pfa_alloc(arena.pfa, 3, PFA_MOVABLE, &pfn), PFA_OK);
		if (flags[i] & PFA_POSIX_NO_POOL) {
			assert_null(arena.pool.base);
			assert_int_equal(pfa_ptr(arena.pfa, pfn, &ptr), PFA_ENOTSUP);
		} else {
			assert_int_equal(pfa_ptr(arena.pfa, pfn, &ptr), PFA_OK);
			assert_int_equal(is_readable(ptr), !(flags[i] & PFA_POSIX_RESERVE));
			if (flags[i] & PFA_POSIX_HUGE)
				assert_int_equal((uintptr_t)ptr % (2 * MIB), (pfn << 12) % (2 * MIB));
		}
		assert_int_equal(pfa_free(arena.pfa, pfn, 3), PFA_OK);
		assert_int_equal(pfa_check(arena.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation),
		                 PFA_OK);
		assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
		assert_int_equal(mapped_pages(), before);
		assert_int_equal(next_fd(), fd);
	}
}

static void arena_on_callers_pool(void **state)
{
	static _Alignas(4096) unsigned char pool[64 * 4096];
	struct pfa_posix arena;
	size_t before = mapped_pages();
	void *ptr;

	(void)state;
	cfg.nr_zones = 1;
	zones[0].nr_frames = 64;
	cfg.pool = pool;
	cfg.pool_bytes = sizeof(pool);
	cfg.pool_pfn = 1000;
	memset(pool, 0xee, sizeof(pool));
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON), PFA_OK);
	assert_null(arena.pool.base);
	assert_int_equal(pfa_alloc_ptr(arena.pfa, 0, PFA_MOVABLE | PFA_ZERO, &ptr), PFA_OK);
	assert_in_range((uintptr_t)ptr, (uintptr_t)pool, (uintptr_t)pool + sizeof(pool) - 1);
	assert_int_equal(*(unsigned char *)ptr, 0); /* not taken for known zero */
	assert_int_equal(pfa_free_ptr(arena.pfa, ptr, 0), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	assert_int_equal(mapped_pages(), before);
}

static uint32_t cpu_two(void *ctx)
{
	++*(uint32_t *)ctx;
	return 2;
}

static void arena_with_callers_platform(void **state)
{
	struct pfa_platform mine;
	struct pfa_posix arena;
	uint32_t calls = 0;
	pfa_pfn pfn;

	(void)state;
	pfa_posix_platform(&mine);
	mine.cpu = cpu_two;
	mine.ctx = &calls;
	cfg.platform = &mine;
	cfg.nr_cpus = 3;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_NO_POOL), PFA_OK);
	assert_int_equal(pfa_alloc(arena.pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
	assert_true(calls > 0); /* the caller's op is asked, not rseq */
	assert_int_equal(pfa_free(arena.pfa, pfn, 0), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static void arena_refused(enum pfa_config_problem problem, unsigned index, const struct pfa_config *with,
                          unsigned flags)
{
	struct pfa_posix arena;
	size_t before = mapped_pages();

	assert_int_equal(pfa_posix_create(&arena, with, flags), PFA_EINVAL);
	assert_int_equal(arena.problem, problem);
	assert_int_equal(arena.index, index);
	assert_string_equal(arena.why, pfa_config_problem_text(problem));
	assert_null(arena.pfa);
	assert_null(arena.meta.base);
	assert_null(arena.pool.base);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static void arena_refuses_configurations(void **state)
{
	struct {
		struct pfa_config known;
		unsigned char tail[16];
	} longer;

	arena_refused(PFA_CONFIG_NULL, 0, NULL, 0);
	arena_refused(PFA_CONFIG_FLAGS, 0, &cfg, 1u << 30);
	cfg.size--;
	arena_refused(PFA_CONFIG_SIZE, 0, &cfg, 0);
	(void)arena_fresh(state);
	memset(&longer, 0, sizeof(longer));
	longer.known = cfg;
	longer.known.size = sizeof(longer);
	longer.tail[15] = 1;
	arena_refused(PFA_CONFIG_SIZE, 0, &longer.known, 0);
	cfg.nr_zones = 0;
	arena_refused(PFA_CONFIG_ZONES, 0, &cfg, 0);
	(void)arena_fresh(state);
	zones[1].nr_frames = 0;
	arena_refused(PFA_CONFIG_ZONE_EMPTY, 1, &cfg, 0);
	zones[1].nr_frames = SIZE_MAX;
	arena_refused(PFA_CONFIG_ZONE_OVERFLOW, 1, &cfg, 0);
	(void)arena_fresh(state);
	cfg.max_order = 99;
	arena_refused(PFA_CONFIG_MAX_ORDER, 0, &cfg, PFA_POSIX_RESERVE);
	(void)arena_fresh(state);
	cfg.pool = &cfg; /* far too small, and not aligned */
	cfg.pool_bytes = 1;
	arena_refused(PFA_CONFIG_POOL, 0, &cfg, 0);
}

/* A longer struct whose unknown tail is zero is from a newer caller: fine. */
static void arena_accepts_a_longer_config(void **state)
{
	struct {
		struct pfa_config known;
		unsigned char tail[16];
	} longer;
	struct pfa_posix arena;

	(void)state;
	memset(&longer, 0, sizeof(longer));
	longer.known = cfg;
	longer.known.size = sizeof(longer);
	assert_int_equal(pfa_posix_create(&arena, &longer.known, PFA_POSIX_NO_POOL), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static void arena_without_memory(void **state)
{
	struct pfa_posix arena;
	struct rlimit saved;
	size_t before = mapped_pages();

	(void)state;
	zones[0].nr_frames = (size_t)1 << 28;
	cfg.nr_zones = 1;
	cfg.nr_cpus = 1;
	for (unsigned flags = 0; flags <= PFA_POSIX_NO_POOL; flags += PFA_POSIX_NO_POOL) {
		/* Without a pool it is the metadata (300 MB at least) that has no room. */
		limit_set(RLIMIT_AS, before * system_page() + 32 * MIB, &saved);
		int code = pfa_posix_create(&arena, &cfg, flags);
		limit_restore(RLIMIT_AS, &saved);
		if (sizeof(size_t) == 4 && flags == 0) { /* 2^40 bytes are no size there */
			assert_int_equal(code, PFA_EINVAL);
			assert_int_equal(arena.problem, PFA_CONFIG_POOL);
		} else {
			assert_int_equal(code, PFA_ENOMEM);
			assert_int_equal(arena.err, ENOMEM);
			assert_string_equal(arena.why, "mmap");
		}
		assert_null(arena.pfa);
		assert_int_equal(mapped_pages(), before);
	}
}

/* The pool has room and the metadata has not: the pool goes again. */
static void arena_without_memory_for_metadata(void **state)
{
	struct pfa_posix arena;
	struct pfa_footprint need;
	struct rlimit saved;
	size_t before = mapped_pages(), pool = ((size_t)5000 + 1111 - 1000) << 12;

	(void)state;
	cfg.platform = &ops;
	cfg.nr_cpus = 4096;
	assert_int_equal(pfa_size(&cfg, &need, NULL, NULL), PFA_OK);
	assert_true(need.core_bytes > 4 * MIB);
	limit_set(RLIMIT_AS, before * system_page() + pool + need.core_bytes / 2, &saved);
	int code = pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON);
	limit_restore(RLIMIT_AS, &saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_int_equal(arena.err, ENOMEM);
	assert_null(arena.pool.base);
	assert_int_equal(mapped_pages(), before);
}

#ifndef PFA_POSIX_PLAIN
static void arena_destroy_with_closed_memfd(void **state)
{
	struct pfa_posix arena;
	size_t before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_MEMFD), PFA_OK);
	(void)close(arena.pool.fd);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_EINVAL);
	assert_int_equal(arena.err, EBADF);
	assert_string_equal(arena.why, "close");
	assert_null(arena.pfa);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}
#endif

/* ---- the worker ---- */

static struct pfa_posix_worker worker;
static struct pfa_platform worker_ops;
static struct pfa_posix worker_arena;
static pthread_t worker_tester;
static _Atomic uint64_t worker_skew; /* added to the instance's clock: time passes when the test says so */
static _Atomic uint32_t worker_seen; /* bit 0: called in the worker's thread, 1-3: what was wrong */

static uint64_t worker_clock(void *ctx)
{
	if (!pthread_equal(pthread_self(), worker_tester)) {
		sigset_t mask;
		uint32_t seen = 1;
		(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
		if (sigismember(&mask, SIGUSR1) != 1 || sigismember(&mask, SIGTERM) != 1)
			seen |= 2;
		if (sigismember(&mask, SIGSEGV) != 0)
			seen |= 4;
		if (pfa_posix_worker_stop(&worker) != PFA_EDEADLK)
			seen |= 8;
		atomic_fetch_or(&worker_seen, seen);
	}
	return ops.now_ns(ctx) + atomic_load(&worker_skew);
}

static int worker_fresh(void **state)
{
	(void)arena_fresh(state);
	worker_tester = pthread_self();
	atomic_store(&worker_seen, 0);
	worker_ops = ops;
	worker_ops.now_ns = worker_clock;
	cfg.platform = &worker_ops;
	cfg.nr_cpus = pfa_posix_nr_cpus();
	return pfa_posix_create(&worker_arena, &cfg, PFA_POSIX_NO_POOL);
}

static int worker_finish(void **state)
{
	(void)state;
	return pfa_posix_destroy(&worker_arena);
}

static uint32_t worker_calls(void)
{
	return atomic_load((_Atomic uint32_t *)&worker.nr_calls);
}

static void worker_refuses_arguments(void **state)
{
	(void)state;
	assert_int_equal(pfa_posix_worker_start(&worker, NULL, 1), PFA_EINVAL);
	assert_int_equal(pfa_posix_worker_start(&worker, worker_arena.pfa, 0), PFA_EINVAL);
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_EINVAL); /* it does not run */
}

static void worker_serves_when_kicked(void **state)
{
	(void)state;
	assert_int_equal(pfa_posix_worker_start(&worker, worker_arena.pfa, 4), PFA_OK);
	for (int i = 0; i < 20; i++) {
		uint32_t calls = worker_calls();
		pfa_posix_worker_kick(&worker);
		while (worker_calls() == calls) /* a lost kick shows as a test that hangs for seconds */
			nap();
	}
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_OK);
	assert_int_equal(atomic_load(&worker_seen), 1);
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_EINVAL);
}

static void worker_stops_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pfa_posix_worker_start(&worker, worker_arena.pfa, 1), PFA_OK);
		if (i % 2)
			sched_yield();
		assert_int_equal(pfa_posix_worker_stop(&worker), PFA_OK);
	}
}

static size_t cached_frames(void)
{
	struct pfa_zone_stats stats;
	size_t cached = 0;

	for (unsigned zone = 0; zone < 2; zone++) {
		assert_int_equal(pfa_zone_stats_get(worker_arena.pfa, zone, &stats, sizeof(stats)), PFA_OK);
		cached += stats.cached;
	}
	return cached;
}

/* What a thread left in its cpu's cache goes back to the zone, though nobody calls the library any more. */
static void worker_drains_idle_caches(void **state)
{
	pfa_pfn pfn;

	(void)state;
	assert_int_equal(pfa_alloc(worker_arena.pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
	assert_int_equal(pfa_free(worker_arena.pfa, pfn, 0), PFA_OK);
	assert_true(cached_frames() > 0);
	assert_int_equal(pfa_posix_worker_start(&worker, worker_arena.pfa, 4), PFA_OK);
	for (int i = 0; i < 5000 && cached_frames() > 0; i++) {
		atomic_fetch_add(&worker_skew, 2 * (uint64_t)PFA_SERVICE_IDLE_NS);
		pfa_posix_worker_kick(&worker);
		nap();
	}
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_OK);
	assert_int_equal(cached_frames(), 0);
}

/* No thread can be made: a stack of this size has no room. */
static void worker_without_a_thread(void **state)
{
	pthread_attr_t saved, huge;

	(void)state;
	assert_int_equal(pthread_getattr_default_np(&saved), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, (SIZE_MAX / 16 * 15) & ~(64 * MIB - 1)), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	int code = pfa_posix_worker_start(&worker, worker_arena.pfa, 1);
	assert_int_equal(pthread_setattr_default_np(&saved), 0);
	(void)pthread_attr_destroy(&huge);
	(void)pthread_attr_destroy(&saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_true(worker.err == EAGAIN || worker.err == ENOMEM);
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_EINVAL);
}

#define ARENA_TEST(f) cmocka_unit_test_setup(f, arena_fresh)
#define WORKER_TEST(f) cmocka_unit_test_setup_teardown(f, worker_fresh, worker_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ops_table),
		cmocka_unit_test(ops_cpu),
		cmocka_unit_test(ops_cpu_offset),
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
		cmocka_unit_test(map_anonymous),
		cmocka_unit_test(map_aligned),
		cmocka_unit_test(map_refuses_arguments),
		cmocka_unit_test(map_absurd_sizes),
		cmocka_unit_test(map_over_the_limit),
		cmocka_unit_test(map_reserved),
		cmocka_unit_test(commit_refuses_arguments),
#ifdef PFA_POSIX_PLAIN
		cmocka_unit_test(memfd_is_not_supported),
#else
		cmocka_unit_test(memfd_is_shared),
		cmocka_unit_test(memfd_without_files),
		cmocka_unit_test(memfd_over_the_file_limit),
		cmocka_unit_test(memfd_closed),
		cmocka_unit_test(decommit_of_locked_memory),
		ARENA_TEST(arena_destroy_with_closed_memfd),
#endif
		ARENA_TEST(arena_defaults),
		ARENA_TEST(arena_each_backing),
		ARENA_TEST(arena_on_callers_pool),
		ARENA_TEST(arena_with_callers_platform),
		ARENA_TEST(arena_refuses_configurations),
		ARENA_TEST(arena_accepts_a_longer_config),
		ARENA_TEST(arena_without_memory),
		ARENA_TEST(arena_without_memory_for_metadata),
		WORKER_TEST(worker_refuses_arguments),
		WORKER_TEST(worker_serves_when_kicked),
		WORKER_TEST(worker_stops_at_once),
		WORKER_TEST(worker_drains_idle_caches),
		WORKER_TEST(worker_without_a_thread),
	};

	/* A key made before the library's first use: see self_lasts_through_destructors(). */
	if (pthread_key_create(&key_early, exit_early) != 0)
		return 2;
	pfa_posix_platform(&ops);
	return cmocka_run_group_tests_name("platform_posix", tests, NULL, NULL);
}
