/* SPDX-License-Identifier: MIT
 *
 * platform/posix: guarded and sealed metadata. Everything here walks pfa_regions(), so that it holds for arrays that are
 * added later; that the regions are all there is, is tested first. Built twice: as it is, and with PFA_POSIX_PLAIN.
 */
#include "posix_rig.h"

#include <sys/wait.h>

static struct pfa_zone_config zones[2];
static struct pfa_run hole = {2000, 77}, cma = {3072, 512};
static struct pfa_config cfg;

static int fresh(void **state)
{
	(void)state;
	memset(zones, 0, sizeof(zones));
	for (int i = 0; i < 2; i++)
		zones[i].size = sizeof(zones[i]);
	zones[0].start = 1000;
	zones[0].nr_frames = 3000;
	zones[0].holes = &hole;
	zones[0].nr_holes = 1;
	zones[0].cma = &cma;
	zones[0].nr_cma = 1;
	zones[1].start = 5000;
	zones[1].nr_frames = 20000;
	zones[1].highatomic_frames = 512;
	pfa_config_init(&cfg);
	cfg.zones = zones;
	cfg.nr_zones = 2;
	cfg.nr_cpus = 3;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	return 0;
}

/* ---- the regions are all there is ---- */

struct tally {
	const unsigned char *base, *at; /* at: where the next array may begin, at the earliest */
	size_t grain, guard;
	unsigned nr, nr_sealed;
};

static size_t round_up(size_t bytes, size_t grain)
{
	return (bytes + grain - 1) & ~(grain - 1);
}

/* What is written by pfa_init() alone: the ops and the geometry, the zones' shapes, the slots' places and capacities. */
static bool is_constant(const char *name)
{
	static const char *const names[] = {"root", "zones"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void tally_region(void *ctx, const struct pfa_region *region)
{
	struct tally *t = ctx;

	assert_true(region->bytes >= 1);
	assert_true(region->name && region->name[0]);
	/* exactly here: nothing is left out between two regions */
	assert_ptr_equal(region->start, t->at + t->guard);
	t->at += t->guard + round_up(region->bytes, t->grain);
	t->nr++;
	t->nr_sealed += region->sealed;
	assert_int_equal(region->sealed, is_constant(region->name));
}

static void regions_are_everything(void **state)
{
	static const uint32_t guards[] = {0, 4096, 65536};
	struct pfa_platform ops;

	(void)state;
	pfa_posix_platform(&ops);
	cfg.platform = &ops;
	for (unsigned variant = 0; variant < 24; variant++) {
		struct pfa_posix_region memory;
		struct pfa_footprint need;
		struct pfa *pfa;
		uint32_t guard = guards[variant % 3];
		cfg.guard_bytes = guard;
		cfg.nr_zones = 1 + variant / 3 % 2;
		cfg.cache_high = variant / 6 % 2 ? PFA_EXPLICIT_0 : 0;
		cfg.flags = variant / 12 % 2 ? PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_GENERATIONS : 0;
		cfg.history = variant / 12 % 2 * 3;
		assert_int_equal(pfa_size(&cfg, &need, NULL, NULL), PFA_OK);
		assert_int_equal(need.align, guard ? guard : 64);
		assert_int_equal(pfa_posix_map(&memory, need.core_bytes + need.align, need.align, PFA_POSIX_ANON), PFA_OK);
		assert_int_equal(pfa_init((char *)memory.base + 64, need.core_bytes, &cfg, &pfa, NULL, NULL),
		                 guard ? PFA_EINVAL : PFA_OK);
		assert_int_equal(pfa_init(memory.base, need.core_bytes, &cfg, &pfa, NULL, NULL), PFA_OK);
		struct tally t = {memory.base, memory.base, guard ? guard : 64, guard, 0, 0};
		pfa_regions(pfa, tally_region, &t);
		assert_true(t.nr > 10 && t.nr_sealed >= 2 && t.nr_sealed < t.nr);
		/* without guards, the end is not padded */
		assert_int_equal(round_up(need.core_bytes, t.grain), (size_t)(t.at - t.base) + guard);
		assert_int_equal(pfa_fini(pfa), PFA_OK);
		assert_int_equal(pfa_posix_unmap(&memory), PFA_OK);
	}
}

static void refused_guards(void **state)
{
	static const uint32_t bad[] = {1, 64, 2048, 4095, 4097, 6144, 0x80001000u};
	struct pfa_platform ops;
	struct pfa_footprint need;
	enum pfa_config_problem problem;
	struct pfa_posix arena;

	(void)state;
	pfa_posix_platform(&ops);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cfg.platform = &ops;
		cfg.guard_bytes = bad[i];
		assert_int_equal(pfa_size(&cfg, &need, &problem, NULL), PFA_EINVAL);
		assert_int_equal(problem, PFA_CONFIG_GUARD);
		assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD), PFA_EINVAL);
		assert_int_equal(arena.problem, PFA_CONFIG_GUARD);
	}
	cfg.guard_bytes = 0;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_SEAL), PFA_EINVAL);
	assert_int_equal(arena.problem, PFA_CONFIG_FLAGS);
}

/* ---- deaths ---- */

static const volatile unsigned char *death_at;

static void death_handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	_exit(info->si_addr == (const void *)(uintptr_t)death_at ? 42 : 43);
}

/* What a child comes to that touches this byte: 42 killed at exactly this address, 43 at another one, 44 not at all. */
static int death_of(const unsigned char *addr, bool write)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sigaction action;
		memset(&action, 0, sizeof(action));
		action.sa_sigaction = death_handler;
		action.sa_flags = SA_SIGINFO;
		(void)sigaction(SIGSEGV, &action, NULL);
		(void)sigaction(SIGBUS, &action, NULL);
		death_at = addr;
		unsigned char byte = *death_at;
		if (write)
			*(volatile unsigned char *)(uintptr_t)addr = byte;
		_exit(44);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static struct {
	size_t guard;
	unsigned nr, nr_sealed;
	const char *names[64];
} deaths;

static unsigned deaths_of(const char *name)
{
	unsigned nr = 0;
	for (unsigned i = 0; i < deaths.nr; i++)
		nr += strcmp(deaths.names[i], name) == 0;
	return nr;
}

static void death_region(void *ctx, const struct pfa_region *region)
{
	const unsigned char *start = region->start, *end = start + round_up(region->bytes, deaths.guard);

	(void)ctx;
	assert_int_equal(death_of(start - 1, false), 42);
	assert_int_equal(death_of(start - 1, true), 42);
	assert_int_equal(death_of(end, false), 42);
	assert_int_equal(death_of(end, true), 42);
	/* the whole unit is guarded, not just its edge */
	assert_int_equal(death_of(start - deaths.guard, false), 42);
	assert_int_equal(death_of(end + deaths.guard - 1, false), 42);
	/* inside: constants can be read and not written */
	assert_int_equal(death_of(start, false), 44);
	assert_int_equal(death_of(start + region->bytes - 1, false), 44);
	assert_int_equal(death_of(start, true), region->sealed ? 42 : 44);
	assert_int_equal(death_of(start + region->bytes - 1, true), region->sealed ? 42 : 44);
	assert_true(deaths.nr < sizeof(deaths.names) / sizeof(deaths.names[0]));
	deaths.names[deaths.nr++] = region->name;
	deaths.nr_sealed += region->sealed;
}

static void deaths_around_each_array(void **state)
{
	struct pfa_platform ops;
	struct pfa_posix arena;

	(void)state;
	pfa_posix_platform(&ops);
	for (unsigned i = 0; i < 3; i++) {
		size_t before = mapped_pages();
		cfg.guard_bytes = i == 1 ? 65536 : 0;
		deaths.nr = deaths.nr_sealed = 0;
		deaths.guard = i == 1 ? 65536 : system_page();
		if (i == 2) { /* with all arrays that there are */
			cfg.flags |= PFA_CONFIG_GENERATIONS;
			cfg.history = 3;
			cfg.nr_traces = ops.backtrace ? 8 : 0;
		}
		assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD), PFA_OK);
		assert_null(arena.sealed);
		pfa_regions(arena.pfa, death_region, NULL);
		assert_true(deaths.nr > 10);
		assert_int_equal(deaths.nr_sealed, 2);
		assert_int_equal(deaths_of("not_free"), 2); /* zones */
		assert_int_equal(deaths_of("generations") + deaths_of("history"), i == 2 ? 2 : 0);
		assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
		assert_int_equal(mapped_pages(), before);
	}
}

/* ---- and life goes on ---- */

static void ignore_region(void *ctx, const char *name, const void *start, size_t bytes)
{
	(void)name;
	(void)start;
	*(size_t *)ctx += bytes;
}

static void ignore_text(void *ctx, const char *bytes, size_t nr)
{
	(void)bytes;
	*(size_t *)ctx += nr;
}

/* Everything that the library does, with memory that has no room for a wrong step. */
static void use(struct pfa *pfa)
{
	enum { BLOCKS = 400 };
	static pfa_pfn pfns[BLOCKS];
	static unsigned orders[BLOCKS];
	struct pfa_violation violation;
	struct pfa_frame_info info;
	size_t text = 0, nr = 0;
	uint64_t next;

	for (unsigned round = 0; round < 3; round++) {
		nr = 0;
		for (unsigned i = 0; i < BLOCKS; i++) {
			orders[nr] = i % 7;
			if (pfa_alloc(pfa, orders[nr], i % 3 | (i % 5 ? 0 : PFA_ZERO) | (i % 11 ? 0 : PFA_HIGH), &pfns[nr]) == PFA_OK)
				nr++;
		}
		assert_true(nr > BLOCKS / 2);
		assert_int_equal(pfa_split(pfa, pfns[nr - 1], orders[nr - 1], 0), PFA_OK);
		assert_int_equal(pfa_free_range(pfa, pfns[nr - 1], (size_t)1 << orders[nr - 1]), PFA_OK);
		nr--;
		assert_int_equal(pfa_alloc_exact(pfa, 37, 2, PFA_MOVABLE, &pfns[nr]), PFA_OK);
		assert_int_equal(pfa_free_range(pfa, pfns[nr], 37), PFA_OK);
		for (unsigned what = 0; what < PFA_PRINT_WHATS; what++)
			assert_int_equal(pfa_print(pfa, (enum pfa_print_what)what, ignore_text, &text), PFA_OK);
		assert_int_equal(pfa_free(pfa, 5000 + 20000 + 5, 0), PFA_EMISUSE);
		assert_int_equal(pfa_free(pfa, 2000, 0), PFA_EMISUSE);
		for (unsigned i = 0; i < nr; i++)
			assert_int_equal(pfa_free(pfa, pfns[i], orders[i]), PFA_OK);
		assert_int_equal(pfa_frame_info(pfa, 1000, &info), PFA_OK);
		assert_int_equal(pfa_cache_drain(pfa, 0), PFA_OK);
		assert_int_equal(pfa_cache_purge(pfa, 1000), PFA_OK);
		assert_int_equal(pfa_cache_disable(pfa), PFA_OK);
		assert_int_equal(pfa_cache_enable(pfa), PFA_OK);
		assert_true(pfa_service(pfa, 1, &next) != PFA_EINVAL);
		assert_int_equal(pfa_check(pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation), PFA_OK);
	}
	pfa_debug_regions(pfa, ignore_region, &text);
}

static void quiet_fault(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	(void)fault;
}

static void guarded_instances_work(void **state)
{
	struct pfa_platform ops;
	struct pfa_posix arena;

	(void)state;
	pfa_posix_platform(&ops);
	ops.fatal = quiet_fault;
	cfg.platform = &ops;
	for (unsigned level = 1; level <= 3; level++) {
		pfa_pfn pfn;
		cfg.hardening = level;
		if (pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD) != PFA_OK) {
			assert_int_equal(arena.problem, PFA_CONFIG_HARDENING); /* not built in */
			continue;
		}
		use(arena.pfa);
		/* with something live it goes on, guarded as before */
		assert_int_equal(pfa_alloc(arena.pfa, 3, PFA_MOVABLE, &pfn), PFA_OK);
		assert_int_equal(pfa_posix_destroy(&arena), PFA_EBUSY);
		assert_int_equal(death_of((const unsigned char *)arena.pfa, true), 42);
		assert_int_equal(pfa_free(arena.pfa, pfn, 3), PFA_OK);
		use(arena.pfa);
		assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	}
}

/* ---- guard frames ---- */

/* A byte below and a byte above a guarded block kill whoever touches them; the whole frames do. After the free both are as
 * good as any, with what was in them. Also with frames of several system pages, and where the guards are its neighbours'. */
static void deaths_beside_a_guarded_block(void **state)
{
	static const unsigned flags[] = {PFA_POSIX_ANON, PFA_POSIX_MEMFD, PFA_POSIX_HUGE};
	enum { ORDERS = 4 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pfa_posix arena;
		unsigned char *block[ORDERS];
		pfa_pfn pfn[ORDERS];
		cfg.hardening = 3;
		cfg.flags = PFA_CONFIG_NO_SHADOW; /* else AddressSanitizer dies first */
		cfg.frame_shift = i == 3 ? 16 : 0;
		int code = pfa_posix_create(&arena, &cfg, flags[i % 3]);
		if (code != PFA_OK) { /* not built in, or no memfd here */
			assert_true(code == PFA_ENOTSUP || arena.problem == PFA_CONFIG_HARDENING);
			continue;
		}
		size_t bytes = i == 3 ? 65536 : 4096;
		if (bytes % system_page())
			bytes = 0;
		for (unsigned order = 0; order < ORDERS; order++) {
			void *ptr;
			assert_int_equal(pfa_alloc(arena.pfa, order, PFA_MOVABLE | PFA_GUARD, &pfn[order]), PFA_OK);
			assert_int_equal(pfa_ptr(arena.pfa, pfn[order], &ptr), PFA_OK);
			block[order] = ptr;
			memset(ptr, 0x77, bytes << order);
		}
		for (unsigned order = 0; order < ORDERS && bytes; order++) {
			unsigned char *end = block[order] + (bytes << order);
			for (unsigned write = 0; write < 2; write++) {
				assert_int_equal(death_of(block[order], write), 44);
				assert_int_equal(death_of(end - 1, write), 44);
				assert_int_equal(death_of(block[order] - 1, write), 42);
				assert_int_equal(death_of(block[order] - bytes, write), 42);
				assert_int_equal(death_of(end, write), 42);
				assert_int_equal(death_of(end + bytes - 1, write), 42);
			}
			errno = 77;
			assert_int_equal(pfa_free(arena.pfa, pfn[order], order), PFA_OK);
			assert_int_equal(errno, 77);
			assert_int_equal(death_of(block[order] - 1, true), 44);
			assert_int_equal(death_of(block[order] - bytes, true), 44);
			assert_int_equal(death_of(end, true), 44);
			assert_int_equal(death_of(end + bytes - 1, true), 44);
		}
		if (bytes == 4096)
			use(arena.pfa);
		assert_int_equal(pfa_posix_destroy(&arena), bytes ? PFA_OK : PFA_EBUSY);
	}
}

/* pfa_fini() writes nothing that is sealed, and what comes after it is refused: by hand, since destroy unmaps. */
static void use_after_fini(void **state)
{
	struct pfa_platform ops;
	struct pfa_posix arena;
	struct pfa *pfa;
	pfa_pfn pfn;

	(void)state;
	pfa_posix_platform(&ops);
	ops.fatal = quiet_fault;
	cfg.platform = &ops;
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD | PFA_POSIX_FORK), PFA_OK);
	pfa = arena.pfa;
	assert_int_equal(pfa_posix_fork_forget(pfa), PFA_OK);
	assert_int_equal(pfa_posix_fork_forget(pfa), PFA_EINVAL);
	assert_int_equal(pfa_fini(pfa), PFA_OK);
	assert_int_equal(pfa_fini(pfa), PFA_EMISUSE);
	assert_int_equal(pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn), PFA_EMISUSE);
	assert_int_equal(pfa_free(pfa, 1000, 0), PFA_EMISUSE);
	arena.pfa = NULL;
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
}

/* ---- children ---- */

/* What goes wrong in a child, as its exit code; 0: nothing. */
static int child_of_arena(struct pfa_posix *arena, pfa_pfn pfn, unsigned char *frame, bool shared)
{
	const int wanted = shared ? PFA_ENOTSUP : PFA_OK;
	struct pfa_violation violation;
	pfa_pfn other;

	if (pfa_alloc(arena->pfa, 0, PFA_MOVABLE, &other) != wanted)
		return 10;
	if (pfa_check(arena->pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &violation) != wanted)
		return 11;
	if (!shared) {
		if (other == pfn || *frame != 0x11 || pfa_free(arena->pfa, other, 0) != PFA_OK)
			return 12;
		*frame = 0x22; /* in a copy */
		if (pfa_posix_destroy(arena) != PFA_EBUSY) /* as in the parent */
			return 13;
	}
	if (pfa_free(arena->pfa, pfn, 2) != wanted)
		return 14;
	if (shared && pfa_fini(arena->pfa) != PFA_ENOTSUP)
		return 15;
	/* what is left is given back in both cases, with what the parent has in the pool untouched */
	if (pfa_posix_destroy(arena) != PFA_OK || arena->pfa || arena->meta.base || arena->pool.base)
		return 16;
	return 0;
}

static void children_of_arenas(void **state)
{
	static const unsigned flags[] = {PFA_POSIX_ANON, PFA_POSIX_GUARD, PFA_POSIX_MEMFD, PFA_POSIX_MEMFD | PFA_POSIX_GUARD};

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct pfa_posix arena;
		void *frame;
		pfa_pfn pfn;
		int status, code = pfa_posix_create(&arena, &cfg, flags[i] | PFA_POSIX_FORK);
		bool shared = flags[i] & PFA_POSIX_MEMFD;
		if (code == PFA_ENOTSUP && shared)
			continue; /* no memfd here */
		assert_int_equal(code, PFA_OK);
		assert_int_equal(pfa_alloc(arena.pfa, 2, PFA_MOVABLE, &pfn), PFA_OK);
		assert_int_equal(pfa_ptr(arena.pfa, pfn, &frame), PFA_OK);
		*(unsigned char *)frame = 0x11;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(child_of_arena(&arena, pfn, frame, shared));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(*(unsigned char *)frame, 0x11);
		assert_int_equal(pfa_free(arena.pfa, pfn, 2), PFA_OK);
		assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	}
}

/* ---- for good ---- */

static void sealed_for_good(void **state)
{
	struct pfa_platform ops;
	struct pfa_posix arena;
	size_t before = mapped_pages(), page = system_page();
	unsigned char *sealed;

	(void)state;
	pfa_posix_platform(&ops);
	ops.fatal = quiet_fault;
	cfg.platform = &ops;
	if (!pfa_posix_can_seal()) {
		assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD | PFA_POSIX_SEAL), PFA_ENOTSUP);
		assert_string_equal(arena.why, "mseal");
		assert_int_equal(mapped_pages(), before);
		puts("mseal: not here");
		return;
	}
	assert_int_equal(pfa_posix_create(&arena, &cfg, PFA_POSIX_GUARD | PFA_POSIX_SEAL), PFA_OK);
	sealed = arena.sealed;
	size_t bytes = arena.sealed_bytes;
	assert_non_null(sealed);
	assert_true(bytes % page == 0 && sealed < (unsigned char *)arena.pfa && (unsigned char *)arena.pfa < sealed + bytes);
	use(arena.pfa);
	deaths.guard = page;
	pfa_regions(arena.pfa, death_region, NULL);
	for (size_t at = 0; at < bytes; at += page) {
		assert_int_equal(mprotect(sealed + at, page, PROT_READ | PROT_WRITE), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(munmap(sealed + at, page), -1);
		assert_int_equal(errno, EPERM);
		assert_ptr_equal(mmap(sealed + at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		                 MAP_FAILED);
	}
	assert_int_equal(pfa_posix_destroy(&arena), PFA_OK);
	/* all but what was sealed is gone, and that is still there, unwritable */
	assert_int_equal(mapped_pages(), before + bytes / page);
	assert_int_equal(death_of(sealed + page, true), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(regions_are_everything, fresh),
		cmocka_unit_test_setup(refused_guards, fresh),
		cmocka_unit_test_setup(deaths_around_each_array, fresh),
		cmocka_unit_test_setup(guarded_instances_work, fresh),
		cmocka_unit_test_setup(deaths_beside_a_guarded_block, fresh),
		cmocka_unit_test_setup(use_after_fini, fresh),
		cmocka_unit_test_setup(children_of_arenas, fresh),
		cmocka_unit_test_setup(sealed_for_good, fresh),
	};

	return cmocka_run_group_tests_name("platform_posix_guard", tests, NULL, NULL);
}
