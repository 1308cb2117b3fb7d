/* SPDX-License-Identifier: MIT
 *
 * libpfa as it is meant to be used for frames without addresses: default hardening, platform/posix with the kernel's
 * cpu id, two zones of equal size, default caches, metadata freshly mapped. Requests are MOVABLE. With BENCH_HARDENING the
 * instance has that level; at 0 and 2 the core was built for it. With BENCH_LINES the frames have addresses, and level 3 writes
 * poison into lines of them.
 */
#include "bench.h"

#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>

#ifdef BENCH_LINES
#define BENCH_HARDENING 3
#define BA_NAME "lines"
#elif defined(BENCH_HARDENING)
#define BA_TEXT(x) #x
#define BA_LEVEL(level) "level" BA_TEXT(level)
#define BA_NAME BA_LEVEL(BENCH_HARDENING)
#else
#define BA_NAME "libpfa"
#define BENCH_HARDENING 0 /* the default */
#endif
#define BA_PFNS 1
#ifdef BENCH_OWNERS
#define BA_OWNERS BENCH_NEEDS_OWNERS
#else
#define BA_OWNERS 0
#endif
#ifdef BENCH_LINES /* a line of each frame becomes memory: not in 64 GiB */
#define BA_PROVIDES BENCH_NEEDS_ORDERS
#else
#define BA_PROVIDES (BENCH_NEEDS_ORDERS | BENCH_NEEDS_PFNS | BENCH_NEEDS_META | BENCH_NEEDS_LIMIT | BA_OWNERS)
#endif

struct ba {
	struct pfa *pfa;
	void *memory, *pool;
	size_t bytes, pool_bytes;
	double init_ns, meta_bytes;
};

/* Where a thread without a cpu id of the kernel's looks instead: always cpu 0. */
static _Thread_local uint32_t ba_cpu_zero;

static inline ptrdiff_t ba_fixed_cpu_offset(void)
{
	return (char *)&ba_cpu_zero - (char *)__builtin_thread_pointer();
}

static inline bool ba_open(struct ba *a, size_t frames, unsigned threads, bool fixed_cpu)
{
	struct pfa_zone_config zones[2] = {
		{.size = sizeof(zones[0]), .name = "low", .start = BENCH_FIRST_PFN, .nr_frames = frames / 2},
		{.size = sizeof(zones[0]), .name = "high", .start = BENCH_FIRST_PFN + frames / 2, .nr_frames = frames / 2},
	};
	struct pfa_platform platform;
	enum pfa_config_problem problem = PFA_CONFIG_FINE;
	struct pfa_footprint footprint;
	struct pfa_config cfg;
	uint64_t start;

	(void)threads;
	pfa_posix_platform(&platform);
	pfa_config_init(&cfg);
	cfg.platform = &platform;
	cfg.zones = zones;
	cfg.nr_zones = 2;
	cfg.flags = PFA_CONFIG_ZEROED_META;
	cfg.nr_cpus = pfa_posix_nr_cpus();
	cfg.hardening = BENCH_HARDENING;
	a->pool = NULL;
#ifdef BENCH_LINES
	cfg.pool_bytes = a->pool_bytes = frames << BENCH_FRAME_SHIFT;
	cfg.pool = a->pool = bench_array(cfg.pool_bytes);
	cfg.pool_pfn = BENCH_FIRST_PFN;
	cfg.poison = PFA_POISON_LINES;
#endif
	cfg.cpu_offset = fixed_cpu ? ba_fixed_cpu_offset() : pfa_posix_cpu_offset();
	if (pfa_size(&cfg, &footprint, &problem, NULL) != PFA_OK)
		return bench_fail("open", "%s", pfa_config_problem_text(problem));
	a->bytes = footprint.core_bytes;
	a->memory = bench_array(a->bytes);
	start = bench_now();
	if (pfa_init(a->memory, a->bytes, &cfg, &a->pfa, &problem, NULL) != PFA_OK)
		return bench_fail("open", "%s", pfa_config_problem_text(problem));
	a->init_ns = (double)(bench_now() - start);
	a->meta_bytes = (double)footprint.core_bytes;
	return true;
}

static inline void ba_thread(struct ba *a, unsigned t)
{
	(void)a;
	(void)t;
}

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	return pfa_alloc(a->pfa, order, PFA_MOVABLE, out) == PFA_OK;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	return pfa_free(a->pfa, block, order) == PFA_OK;
}

static inline const char *ba_close(struct ba *a, bool check)
{
	struct pfa_violation violation = {0};
	const char *what = NULL;

	if (check && pfa_check(a->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation) != PFA_OK)
		what = violation.what != NULL ? violation.what : "pfa_check() refused";
	if (pfa_fini(a->pfa) != PFA_OK && what == NULL)
		what = "pfa_fini() says that something is still live";
	bench_array_free(a->memory, a->bytes);
	if (a->pool != NULL)
		bench_array_free(a->pool, a->pool_bytes);
	return what;
}
