/* SPDX-License-Identifier: MIT
 *
 * Random programs of one thread over random instances; one line a program, with a digest of everything that a caller
 * can see: return codes, grants, contents, statistics, the verdict of the checker. It asserts nothing: two builds of the
 * library whose lines differ behave differently, and the line says for which seed. usage: witness FIRST LAST
 */
#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 400, LIVE = 512, BULK = 40, FRAME = 64, POOL_FRAMES = 1 << 14 };

struct block {
	pfa_pfn pfn;
	unsigned order;
};

struct world {
	uint64_t random, digest, now_ns;
	uint32_t cpu, nr_cpus;
	struct pfa *pfa;
	struct pfa_config cfg;
	struct pfa_zone_config zones[3];
	struct pfa_run holes[3][2], cma[3];
	struct block live[LIVE], freed; /* freed: the last one */
	size_t nr_live;
	unsigned disabled;
};

static uint64_t witness_next(struct world *w)
{
	uint64_t z = w->random += 0x9E3779B97F4A7C15u;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

static size_t witness_below(struct world *w, size_t limit)
{
	return (size_t)(witness_next(w) % limit);
}

static void witness_note(struct world *w, uint64_t value)
{
	w->digest = (w->digest ^ value) * 0x100000001B3u;
	w->digest ^= w->digest >> 29;
}

static void witness_note_bytes(struct world *w, const void *bytes, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		witness_note(w, ((const unsigned char *)bytes)[i]);
}

/* ---- platform ---------------------------------------------------------------------------------------------------- */

/* The cpu id, told in one of three ways: by an op, at an offset from the thread pointer, or by there being one cpu. */
static _Thread_local uint32_t witness_own_cpu;

static uint32_t witness_cpu(void *ctx)
{
	return ((struct world *)ctx)->cpu;
}

static void witness_cpu_way(struct world *w, struct pfa_platform *os)
{
	size_t way = witness_below(w, 3);
	witness_own_cpu = 0;
	if (way == 0) {
		os->cpu = NULL;
		w->nr_cpus = w->cfg.nr_cpus = 1;
	}
#if defined(__x86_64__) || defined(__aarch64__)
	if (way == 1)
		w->cfg.cpu_offset = (char *)&witness_own_cpu - (char *)__builtin_thread_pointer();
#endif
}

static uint64_t witness_now(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static void witness_fatal(void *ctx, const struct pfa_fault *fault)
{
	witness_note(ctx, (uint64_t)fault->kind);
	witness_note(ctx, fault->pfn);
}

/* ---- instance ---------------------------------------------------------------------------------------------------- */

static void witness_zone(struct world *w, unsigned i, pfa_pfn *at, size_t limit)
{
	struct pfa_zone_config *z = &w->zones[i];
	size_t block = (size_t)1 << w->cfg.pageblock_order;
	z->size = sizeof(*z);
	z->start = *at + (witness_below(w, 2) ? witness_below(w, 200) : 0);
	z->nr_frames = 1 + witness_below(w, limit);
	size_t aligned = (z->start + block - 1) / block * block;
	if (witness_below(w, 2) && aligned + block <= z->start + z->nr_frames) {
		w->cma[i] = (struct pfa_run){ aligned, block * (1 + witness_below(w, (z->start + z->nr_frames - aligned) / block)) };
		z->cma = &w->cma[i];
		z->nr_cma = 1;
	} else if (z->nr_frames > 8) {
		z->holes = w->holes[i];
		z->nr_holes = witness_below(w, 3);
		w->holes[i][0] = (struct pfa_run){ z->start + witness_below(w, z->nr_frames / 2 - 1), 1 };
		w->holes[i][1] = (struct pfa_run){ z->start + z->nr_frames / 2, 1 + witness_below(w, z->nr_frames / 2) };
	}
	if (witness_below(w, 2)) {
		z->mark_min = witness_below(w, z->nr_frames / 4 + 1);
		z->mark_low = z->mark_min + witness_below(w, z->nr_frames / 8 + 1);
		z->mark_high = z->mark_low;
	}
	z->highatomic_frames = witness_below(w, 2) ? witness_below(w, 6 * block) : 0;
	*at = z->start + z->nr_frames;
}

static void witness_config(struct world *w, struct pfa_platform *os, unsigned char *pool)
{
	bool large = witness_below(w, 16) == 0; /* more leaves than two levels of an index set hold */
	pfa_pfn at = 1024 * witness_below(w, 3);
	w->nr_cpus = 1 + (uint32_t)witness_below(w, 3);
	w->cfg = (struct pfa_config){ .size = sizeof(w->cfg), .platform = os, .zones = w->zones, .frame_shift = 6 };
	w->cfg.nr_zones = 1 + (uint32_t)witness_below(w, 3);
	w->cfg.nr_cpus = w->nr_cpus;
	witness_cpu_way(w, os);
	w->cfg.fatal_policy = PFA_FATAL_REPORT;
	w->cfg.max_order = 1 + (uint32_t)witness_below(w, 10);
	w->cfg.pageblock_order = 6 + (uint32_t)witness_below(w, 4);
	w->cfg.cache_high = witness_below(w, 3) ? 1 + (uint32_t)witness_below(w, 40) : PFA_EXPLICIT_0;
	w->cfg.cache_batch = (uint32_t)witness_below(w, 8);
	w->cfg.flags = (uint32_t)witness_below(w, 8) & (PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_ZEROED_POOL);
	w->cfg.pool_pfn = at;
	for (unsigned i = 0; i < w->cfg.nr_zones; i++)
		witness_zone(w, i, &at, large ? 600000 : (size_t)1 << (4 + witness_below(w, 9)));
	if (!large && at - w->cfg.pool_pfn <= POOL_FRAMES) {
		w->cfg.pool = pool;
		w->cfg.pool_bytes = (at - w->cfg.pool_pfn) * FRAME;
	}
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

static unsigned char *witness_address(const struct world *w, pfa_pfn pfn)
{
	bool inside = w->cfg.pool && pfn - w->cfg.pool_pfn < w->cfg.pool_bytes / FRAME;
	return inside ? (unsigned char *)w->cfg.pool + (pfn - w->cfg.pool_pfn) * FRAME : NULL;
}

static void witness_keep(struct world *w, pfa_pfn pfn, unsigned order, size_t nr, uint32_t flags)
{
	witness_note(w, pfn);
	for (size_t i = 0; i < nr; i++) {
		unsigned char *frame = witness_address(w, pfn + i);
		if (frame && (flags & PFA_ZERO))
			witness_note_bytes(w, frame, FRAME);
		if (frame)
			memset(frame, 0xA5, FRAME);
	}
	if (w->nr_live < LIVE)
		w->live[w->nr_live++] = (struct block){ pfn, order };
}

static uint32_t witness_flags(struct world *w)
{
	static const uint32_t extra[] = { 0, 0, 0, PFA_ZERO, PFA_NOWAIT, PFA_HIGH, PFA_NORETRY, PFA_EXACT_ZONE };
	uint32_t flags = (uint32_t)witness_below(w, 3) | extra[witness_below(w, 8)];
	if (witness_below(w, 3) == 0)
		flags |= (uint32_t)witness_below(w, w->cfg.nr_zones) << 24;
	return flags & (w->cfg.pool ? ~0u : ~(uint32_t)PFA_ZERO);
}

static void witness_get(struct world *w, unsigned how)
{
	unsigned order = (unsigned)witness_below(w, witness_below(w, 2) ? 3 : w->cfg.max_order + 1);
	uint32_t flags = witness_flags(w);
	pfa_pfn pfn = 0, many[BULK];
	size_t nr = (size_t)1 << order, got = 0;
	int result;
	if (order > w->cfg.max_order)
		order = w->cfg.max_order, nr = (size_t)1 << order;
	switch (how) {
	case 0:
		result = pfa_alloc_bulk(w->pfa, order, flags, 1 + witness_below(w, BULK), many, &got);
		for (size_t i = 0; i < got; i++)
			witness_keep(w, many[i], order, nr, flags);
		witness_note(w, (uint64_t)(unsigned)result);
		return;
	case 1:
		nr = 1 + witness_below(w, (size_t)1 << w->cfg.max_order);
		result = pfa_alloc_exact(w->pfa, nr, (unsigned)witness_below(w, w->cfg.max_order + 1), flags, &pfn);
		if (result == PFA_OK) {
			witness_keep(w, pfn, 0, nr, flags);
			for (size_t i = 1; i < nr && w->nr_live < LIVE; i++)
				w->live[w->nr_live++] = (struct block){ pfn + i, 0 };
		}
		witness_note(w, (uint64_t)(unsigned)result);
		return;
	case 2:
		result = pfa_alloc_window(w->pfa, order, flags,
		                          (struct pfa_run){ w->zones[0].start + witness_below(w, 300), 1 + witness_below(w, 300) }, &pfn);
		break;
	default:
		result = pfa_alloc(w->pfa, order, flags, &pfn);
	}
	witness_note(w, (uint64_t)(unsigned)result);
	if (result == PFA_OK)
		witness_keep(w, pfn, order, nr, flags);
}

static void witness_put(struct world *w, unsigned how)
{
	size_t i = w->nr_live ? witness_below(w, w->nr_live) : 0, got = 0;
	struct block b = w->nr_live ? w->live[i] : (struct block){ w->zones[0].start, 0 };
	pfa_pfn pair[2] = { b.pfn, b.pfn };
	int result;
	bool gone = true;
	switch (how) {
	case 0: /* misuse: another order, or twice */
		result = pfa_free(w->pfa, b.pfn, b.order + 1);
		gone = false;
		break;
	case 1: /* misuse in a range or a list */
		result = witness_below(w, 2) ? pfa_free_bulk(w->pfa, b.order, 2, pair, &got)
		                             : pfa_free_range(w->pfa, b.pfn, ((size_t)1 << b.order) + 3);
		witness_note(w, got);
		gone = got != 0 || result == PFA_OK;
		break;
	case 2:
		result = pfa_free_range(w->pfa, b.pfn, (size_t)1 << b.order);
		break;
	case 3:
		result = pfa_split(w->pfa, b.pfn, b.order, b.order / 3);
		if (result == PFA_OK && w->nr_live) {
			w->live[i].order = b.order / 3;
			for (size_t at = 1; at < (size_t)1 << (b.order - b.order / 3) && w->nr_live < LIVE; at++)
				w->live[w->nr_live++] = (struct block){ b.pfn + (at << b.order / 3), b.order / 3 };
		}
		gone = false;
		break;
	case 4: /* a list of up to BULK equal blocks: the newest */
		for (got = 0; got < BULK && got < w->nr_live && w->live[w->nr_live - 1 - got].order == b.order; got++)
			;
		pfa_pfn list[BULK];
		size_t nr = got;
		for (size_t j = 0; j < nr; j++)
			list[j] = w->live[w->nr_live - 1 - j].pfn;
		result = pfa_free_bulk(w->pfa, b.order, nr, list, &got);
		witness_note(w, got);
		w->nr_live -= got;
		gone = false;
		break;
	default:
		result = pfa_free(w->pfa, b.pfn, b.order);
	}
	witness_note(w, (uint64_t)(unsigned)result);
	w->freed = b;
	if (gone && w->nr_live)
		w->live[i] = w->live[--w->nr_live];
}

static void witness_manage(struct world *w, unsigned how)
{
	int result = 0;
	uint64_t next = 0;
	unsigned order = 0;
	switch (how) {
	case 0: result = pfa_cache_drain(w->pfa, witness_below(w, 2) ? PFA_ALL_CPUS : w->cpu); break;
	case 1: result = pfa_cache_purge(w->pfa, w->freed.pfn + witness_below(w, (size_t)1 << w->freed.order)); break;
	case 2: result = pfa_cache_disable(w->pfa); break;
	case 3: result = pfa_cache_enable(w->pfa); break;
	case 4: result = pfa_service(w->pfa, 1 + (unsigned)witness_below(w, 4), &next); break;
	case 5: w->now_ns += PFA_SERVICE_IDLE_NS / 2; break;
	case 6: result = pfa_largest_free(w->pfa, witness_flags(w), &order); break;
	case 7:
		result = pfa_would_succeed(w->pfa, (unsigned)witness_below(w, w->cfg.max_order + 1), witness_flags(w));
		break;
	default: witness_own_cpu = w->cpu = (uint32_t)witness_below(w, w->nr_cpus);
	}
	witness_note(w, (uint64_t)(unsigned)result);
	witness_note(w, next);
	witness_note(w, order);
}

static void witness_look(struct world *w)
{
	struct pfa_violation v = { 0 };
	struct pfa_stats s = { 0 };
	witness_note(w, (uint64_t)(unsigned)pfa_check(w->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v));
	witness_note(w, v.invariant);
	(void)!pfa_stats_get(w->pfa, &s, sizeof(s));
	witness_note_bytes(w, &s, sizeof(s));
	for (unsigned i = 0; i < w->cfg.nr_zones; i++) {
		struct pfa_zone_stats z = { 0 };
		(void)!pfa_zone_stats_get(w->pfa, i, &z, sizeof(z));
		witness_note_bytes(w, &z, sizeof(z));
	}
}

static void witness_program(uint64_t seed, unsigned char *pool)
{
	static struct world w;
	struct pfa_platform os = { .size = sizeof(os), .ctx = &w, .cpu = witness_cpu, .now_ns = witness_now,
		                   .fatal = witness_fatal };
	struct pfa_footprint need = { 0 };
	memset(&w, 0, sizeof(w));
	memset(pool, 0, (size_t)POOL_FRAMES * FRAME);
	w.random = seed * 0xD1342543DE82EF95u;
	witness_config(&w, &os, pool);
	enum pfa_config_problem problem = PFA_CONFIG_FINE;
	void *memory = NULL;
	if (pfa_size(&w.cfg, &need, &problem, NULL) == PFA_OK && (memory = aligned_alloc(64, (need.core_bytes + 63) & ~63ul)) &&
	    pfa_init(memory, need.core_bytes, &w.cfg, &w.pfa, &problem, NULL) == PFA_OK) {
		for (unsigned step = 0; step < STEPS; step++) {
			size_t dice = witness_below(&w, 100);
			if (dice < 45)
				witness_get(&w, (unsigned)witness_below(&w, 8));
			else if (dice < 85)
				witness_put(&w, (unsigned)witness_below(&w, 12));
			else
				witness_manage(&w, (unsigned)witness_below(&w, 12));
			if (step % 20 == 19)
				witness_look(&w);
		}
		witness_note(&w, (uint64_t)(unsigned)pfa_fini(w.pfa));
	}
	free(memory);
	printf("seed %llu problem %d digest %016llx\n", (unsigned long long)seed, (int)problem, (unsigned long long)w.digest);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: witness FIRST LAST (seeds)\n");
		return 2;
	}
	unsigned char *pool = aligned_alloc(FRAME, (size_t)POOL_FRAMES * FRAME);
	if (!pool)
		return 2;
	for (uint64_t seed = strtoull(argv[1], NULL, 10); seed <= strtoull(argv[2], NULL, 10); seed++)
		witness_program(seed, pool);
	free(pool);
	return 0;
}
