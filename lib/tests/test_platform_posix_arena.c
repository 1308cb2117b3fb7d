/* SPDX-License-Identifier: MIT
 *
 * platform/posix: an instance in one call, and the worker. Built twice: as it is, and with PFA_POSIX_PLAIN.
 */
#include "posix_rig.h"

static struct pfa_platform ops;

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
#ifndef PFA_POSIX_PLAIN
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

	pfa_posix_platform(&ops);
	return cmocka_run_group_tests_name("platform_posix_arena", tests, NULL, NULL);
}
