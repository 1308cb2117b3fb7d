/* SPDX-License-Identifier: MIT
 *
 * platform/posix: tags, backtraces, and what is said of a fault and of an address. Built twice: as it is, and with
 * PFA_POSIX_PLAIN.
 */
#include "posix_rig.h"

#include <pfa/harden.h>

#include <sys/wait.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define TEST_SINGLE_THREADED 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif

static struct pfa_platform ops;
static struct pfa_posix arena;

/* Frames 100 .. 355, their content, and the last three events of each. */
static void create(void)
{
	static const struct pfa_zone_config zone = {.size = sizeof(zone), .start = 100, .nr_frames = 256};
	struct pfa_config cfg;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_order = 6;
	cfg.pageblock_order = 6;
	cfg.history = 3;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	if (ops.backtrace)
		cfg.nr_traces = 16;
	assert_int_equal(pfa_posix_create(&arena, &cfg, 0), PFA_OK);
}

static pfa_pfn take(unsigned order, pfa_pfn at)
{
	pfa_pfn pfn;

	assert_int_equal(pfa_alloc_window(arena.pfa, order, PFA_MOVABLE, (struct pfa_run){at, (size_t)1 << order}, &pfn),
	                 PFA_OK);
	return pfn;
}

/* What act writes to standard error; its return value. */
static int capture(int (*act)(void *arg), void *arg, char *out, size_t bytes)
{
	int fds[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(fds), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	(void)close(fds[1]);
	errno = E2BIG;
	int result = act(arg);
	assert_int_equal(errno, E2BIG);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	size_t nr = 0;
	for (ssize_t got = 1; got > 0 && nr < bytes - 1; nr += got > 0 ? (size_t)got : 0)
		got = read(fds[0], out + nr, bytes - 1 - nr);
	(void)close(fds[0]);
	out[nr] = '\0';
	return result;
}

static int act_log(void *arg)
{
	ops.log(ops.ctx, arg);
	return 0;
}

static void log_writes_a_line(void **state)
{
	char text[600];

	(void)state;
	(void)capture(act_log, "three blocks", text, sizeof(text));
	assert_string_equal(text, "libpfa: three blocks\n");
}

static void *tag_of_thread(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)(ops.tag(ops.ctx) == 0 && pfa_posix_set_tag(9) == 0 && ops.tag(ops.ctx) == 9);
}

static void tags_are_the_threads_own(void **state)
{
	pthread_t thread;
	void *fine = NULL;

	(void)state;
	assert_int_equal(pfa_posix_set_tag(5), 0);
	assert_int_equal(pthread_create(&thread, NULL, tag_of_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, &fine), 0);
	assert_non_null(fine);
	assert_int_equal(ops.tag(ops.ctx), 5);
	assert_int_equal(pfa_posix_set_tag(0), 5);
}

static int act_double_free(void *arg)
{
	(void)arg;
	return pfa_free(arena.pfa, 128, 3);
}

/* Thread ids are small, but not known: the text with the caller's put in. */
static void expect_text(const char *actual, const char *format)
{
	char expected[1000];
	const unsigned self = ops.self(ops.ctx);

	snprintf(expected, sizeof(expected), format, self, self, self);
	assert_string_equal(actual, expected);
}

static void faults_tell_the_history(void **state)
{
	char text[1000];

	(void)state;
	create();
	pfa_posix_set_tag(42);
	take(3, 128);
	pfa_posix_set_tag(7);
	assert_int_equal(pfa_free(arena.pfa, 128, 3), PFA_OK);
	pfa_posix_set_tag(0);
	assert_int_equal(pfa_cache_drain(arena.pfa, PFA_ALL_CPUS), PFA_OK);
	assert_int_equal(capture(act_double_free, NULL, text, sizeof(text)), PFA_EMISUSE);
	expect_text(text, "libpfa: pfa_free: double free: the block is free already (pfn 128, order 3)\n"
	                  "libpfa:   #2 freed, order 3, pfn 128, thread %u, tag 7\n"
	                  "libpfa:   #1 allocated, order 3, pfn 128, thread %u, tag 42\n");
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static int act_explain(void *arg)
{
	return pfa_posix_explain(arg);
}

static int act_destroy(void *arg)
{
	(void)arg;
	return pfa_posix_destroy(&arena);
}

static void addresses_are_explained(void **state)
{
	char text[1000];
	void *ptr;

	(void)state;
	create();
	take(2, 200);
	assert_int_equal(pfa_ptr(arena.pfa, 203, &ptr), PFA_OK);
	assert_int_equal(capture(act_explain, (char *)ptr + 4095, text, sizeof(text)), PFA_OK);
	expect_text(text, "libpfa: pfn 203: in an allocated block (pfn 200, order 2)\n"
	                  "libpfa:   #1 allocated, order 2, pfn 200, thread %u, tag 0\n");
	assert_int_equal(capture(act_explain, &arena, text, sizeof(text)), PFA_ERANGE);
	assert_string_equal(text, "");
	/* Who does not go away says what still lives. */
	assert_int_equal(capture(act_destroy, NULL, text, sizeof(text)), PFA_EBUSY);
	expect_text(text, "libpfa: pfa_fini: still live: tag 0: 1 block, 4 frames; oldest: "
	                  "#1 allocated, order 2, pfn 200, thread %u, tag 0\n");
	assert_int_equal(capture(act_explain, ptr, text, sizeof(text)), PFA_OK); /* still watched */
	assert_int_equal(pfa_free(arena.pfa, 200, 2), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	assert_int_equal(capture(act_explain, ptr, text, sizeof(text)), PFA_ERANGE);
}

static void as_many_are_watched_as_there_is_room(void **state)
{
	char text[1000];
	void *ptr;

	(void)state;
	create();
	assert_int_equal(pfa_ptr(arena.pfa, 200, &ptr), PFA_OK);
	for (unsigned i = 1; i < 64; i++)
		assert_int_equal(pfa_posix_watch(arena.pfa), PFA_OK);
	assert_int_equal(pfa_posix_watch(arena.pfa), PFA_ENOMEM);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(capture(act_explain, ptr, text, sizeof(text)), PFA_OK);
		assert_string_equal(text, "libpfa: pfn 200: free\n");
		pfa_posix_unwatch(arena.pfa);
	}
	pfa_posix_unwatch(arena.pfa); /* not there: nothing happens */
	assert_int_equal(capture(act_explain, ptr, text, sizeof(text)), PFA_ERANGE);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static void events_have_backtraces(void **state)
{
	uintptr_t at[PFA_TRACE_DEPTH], fewer[PFA_TRACE_DEPTH];
	size_t nr, nr_fewer;

	(void)state;
	if (!ops.backtrace) {
		assert_true(TEST_PLAIN);
		skip();
	}
	create();
	take(0, 150);
	assert_int_equal(pfa_trace(arena.pfa, 1, at, PFA_TRACE_DEPTH, &nr), PFA_OK);
	assert_in_range(nr, 1, PFA_TRACE_DEPTH);
	for (size_t i = 0; i < nr; i++)
		assert_true(at[i] != 0);
	nr_fewer = ops.backtrace(ops.ctx, fewer, 1);
	assert_int_equal(nr_fewer, 1);
	assert_int_equal(pfa_free(arena.pfa, 150, 0), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

/* Skips the test where there is no backtrace(). */
static void create_for_children(void)
{
	if (!ops.backtrace) {
		assert_true(TEST_PLAIN);
		skip();
	}
	create();
	assert_int_equal(pfa_posix_fork_safe(arena.pfa, false), PFA_OK);
}

/* The status of a child that ends with the number of return addresses that the op finds, in an instance that knows forks.
 * One that hangs is killed by its alarm. */
static int child_unwinds(void)
{
	enum { CHILD_SECONDS = 20 };
	uintptr_t at[PFA_TRACE_DEPTH];
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(CHILD_SECONDS);
		_exit((int)ops.backtrace(ops.ctx, at, PFA_TRACE_DEPTH));
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The first test: no thread was ever made. */
static void a_child_unwinds(void **state)
{
	(void)state;
	create_for_children();
	int status = child_unwinds();
	assert_true(WIFEXITED(status));
#ifdef TEST_SINGLE_THREADED
	if (__libc_single_threaded)
		assert_in_range(WEXITSTATUS(status), 1, PFA_TRACE_DEPTH);
#endif
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

static atomic_bool walks_end;
static atomic_uint nr_walks;

static void *walks(void *arg)
{
	uintptr_t at[PFA_TRACE_DEPTH];

	while (!atomic_load(&walks_end)) {
		(void)ops.backtrace(ops.ctx, at, PFA_TRACE_DEPTH);
		atomic_fetch_add(&nr_walks, 1);
	}
	return arg;
}

/* The C library's unwinder has locks of its own (glibc with 32 bits: the list of loaded objects). */
static void a_child_of_threads_does_not(void **state)
{
	enum { WALKERS = 2, FORKS = 100 };
	pthread_t threads[WALKERS];
	uintptr_t at[PFA_TRACE_DEPTH];
	int bad = 0;

	(void)state;
	create_for_children();
	atomic_store(&walks_end, false);
	for (unsigned i = 0; i < WALKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walks, NULL), 0);
	while (atomic_load(&nr_walks) == 0)
		;
	for (unsigned i = 0; i < FORKS && bad == 0; i++)
		bad = child_unwinds();
	atomic_store(&walks_end, true);
	for (unsigned i = 0; i < WALKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(bad, 0);
	/* nor is the parent left without */
	assert_in_range(ops.backtrace(ops.ctx, at, PFA_TRACE_DEPTH), 1, PFA_TRACE_DEPTH);
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

/* In a child: reads a frame that it has given back. */
static int act_use_after_free(void *arg)
{
	const volatile unsigned char *ptr = arg;
	pid_t pid = fork();

	if (pid == 0) {
		(void)ptr[5 * 4096 + 17];
		_exit(0);
	}
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	errno = E2BIG;
	return status;
}

static void sanitizer_reports_come_with_history(void **state)
{
	static char text[1 << 16];
	void *ptr;

	(void)state;
#ifndef TEST_ASAN
	skip(); /* nothing watches accesses in this build */
#endif
	create();
	pfa_posix_set_tag(42);
	take(3, 128);
	assert_int_equal(pfa_ptr(arena.pfa, 128, &ptr), PFA_OK);
	memset(ptr, 1, 8 * 4096);
	assert_int_equal(pfa_free(arena.pfa, 128, 3), PFA_OK);
	pfa_posix_set_tag(0);
	const int status = capture(act_use_after_free, ptr, text, sizeof(text));
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0));
	assert_non_null(strstr(text, "AddressSanitizer: use-after-poison"));
	const char *ours = strstr(text, "libpfa: ");
	assert_non_null(ours);
	char mine[600];
	const char *end = ours;
	while (strncmp(end, "libpfa: ", 8) == 0)
		end = strchr(end, '\n') + 1;
	snprintf(mine, sizeof(mine), "%.*s", (int)(end - ours), ours);
	expect_text(mine, "libpfa: pfn 133: in a free block, in a per-CPU cache (pfn 128, order 3)\n"
	                  "libpfa:   #2 freed, order 3, pfn 128, thread %u, tag 42\n"
	                  "libpfa:   #1 allocated, order 3, pfn 128, thread %u, tag 42\n");
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_unwinds),
		cmocka_unit_test(log_writes_a_line),
		cmocka_unit_test(tags_are_the_threads_own),
		cmocka_unit_test(faults_tell_the_history),
		cmocka_unit_test(addresses_are_explained),
		cmocka_unit_test(as_many_are_watched_as_there_is_room),
		cmocka_unit_test(events_have_backtraces),
		cmocka_unit_test(a_child_of_threads_does_not),
		cmocka_unit_test(sanitizer_reports_come_with_history),
	};

	pfa_posix_platform(&ops);
	return cmocka_run_group_tests_name("platform_posix_explain", tests, NULL, NULL);
}
