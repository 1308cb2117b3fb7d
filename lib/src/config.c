/* SPDX-License-Identifier: MIT */
#include <pfa/cma.h>

#include "layout.h"

#include <pfa/pfa.h>

static const char *const config_problem_text[PFA_CONFIG_PROBLEMS] = {
	[PFA_CONFIG_FINE] = "the configuration is fine",
	[PFA_CONFIG_NULL] = "a required pointer is NULL",
	[PFA_CONFIG_SIZE] = "a size field is too small or odd, or the unknown tail of a larger struct is not zero",
	[PFA_CONFIG_PLATFORM] = "the platform is missing, or it can wait and has no clock",
	[PFA_CONFIG_FLAGS] = "unknown flags or fatal policy, or this library was built without reporting",
	[PFA_CONFIG_FRAME_SHIFT] = "frame_shift is not 6..30",
	[PFA_CONFIG_MAX_ORDER] = "max_order is not 0..31",
	[PFA_CONFIG_PAGEBLOCK_ORDER] = "pageblock_order is not 6..20",
	[PFA_CONFIG_CPUS] = "nr_cpus is not 1..4096",
	[PFA_CONFIG_CACHE] = "cache_high is over 32767, cache_batch is 0, or cache_max_order is over min(9, max_order)",
	[PFA_CONFIG_CPU_OFFSET] = "cpu_offset is not supported by this compiler or target",
	[PFA_CONFIG_HARDENING] = "the hardening level is not one that this library was built with",
	[PFA_CONFIG_HISTORY] = "history is over 16",
	[PFA_CONFIG_TRACES] = "nr_traces is no power of two up to 2^20, trace_shift is over 31, or history or the backtrace op is missing",
	[PFA_CONFIG_GUARD] = "guard_bytes is no power of two of at least 4096",
	[PFA_CONFIG_OWNERS] = "max_owners is over 65535, or this library was built without movable blocks",
	[PFA_CONFIG_POISON] = "the poison is unknown, or it needs hardening level 3 and a pool",
	[PFA_CONFIG_POISON_ZERO] = "poisoned frames cannot be known to be zero",
	[PFA_CONFIG_QUARANTINE] = "the quarantine is over 65536 blocks, or it needs hardening level 3",
	[PFA_CONFIG_ZONES] = "the number of zones is not 1..62",
	[PFA_CONFIG_ZONE_EMPTY] = "a zone has no frames",
	[PFA_CONFIG_ZONE_OVERFLOW] = "a zone's end overflows",
	[PFA_CONFIG_ZONE_OVERLAP] = "two zones overlap",
	[PFA_CONFIG_SPAN] = "the zones together span too many frames",
	[PFA_CONFIG_HOLES] = "a hole is empty, outside its zone, out of order or overlapping",
	[PFA_CONFIG_CMA] = "a CMA area is empty, not whole pageblocks, out of order, over a hole or outside its zone",
	[PFA_CONFIG_MARKS] = "the marks are not min <= low <= high",
	[PFA_CONFIG_POOL] = "the pool is misaligned, overflows, or does not cover every zone",
	[PFA_CONFIG_FOOTPRINT] = "the metadata's size overflows",
	[PFA_CONFIG_MEMORY] = "the memory is NULL, misaligned or too small",
};

const char *pfa_config_problem_text(enum pfa_config_problem problem)
{
	return (unsigned)problem < PFA_CONFIG_PROBLEMS ? config_problem_text[problem] : "unknown problem";
}

const char *pfa_error_name(int code)
{
	static const char *const names[] = {
		"PFA_OK", "PFA_ENOMEM", "PFA_EAGAIN", "PFA_EBUSY", "PFA_ERANGE", "PFA_EINVAL", "PFA_EDEADLK",
		"PFA_EMISUSE", "PFA_ECORRUPT", "PFA_ENOTSUP", "PFA_EDEVICE", "PFA_ESTOP",
	};
	return code <= 0 && code >= PFA_ESTOP ? names[-code] : "PFA_E?";
}

uint32_t pfa_version(void)
{
	return PFA_VERSION_MAJOR << 16 | PFA_VERSION_MINOR << 8 | PFA_VERSION_PATCH;
}

/* A struct of another version: known is what this library knows of it. */
static bool config_size_ok(const void *s, size_t size, size_t known)
{
	const unsigned char *bytes = s;
	if (size < known)
		return false;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

const struct pfa_zone_config *pfai_config_zone(const struct pfa_config *cfg, uint32_t i)
{
	return (const struct pfa_zone_config *)(const void *)((const char *)cfg->zones + i * cfg->zones->size);
}

/* 0 selects the default, EXPLICIT_0 is zero. */
static uint32_t config_value(uint32_t value, uint32_t fallback)
{
	return value == 0 ? fallback : value == PFA_EXPLICIT_0 ? 0 : value;
}

/* What is there at level 3 only. */
static enum pfa_config_problem config_check_full(const struct pfa_config *cfg, struct pfai_geometry *g)
{
	bool full = pfai_level(g, 3);
	g->poison = cfg->poison;
	if (cfg->poison == PFA_POISON_DEFAULT)
		g->poison = full && cfg->pool ? PFA_POISON_ZERO : PFA_POISON_NONE;
	if ((unsigned)g->poison > PFA_POISON_ZERO || (g->poison != PFA_POISON_NONE && (!full || !cfg->pool)))
		return PFA_CONFIG_POISON;
	if ((g->poison == PFA_POISON_LINES || g->poison == PFA_POISON_ALL) && g->track_zero)
		return PFA_CONFIG_POISON_ZERO;
	if (g->poison != PFA_POISON_NONE)
		g->track_zero = true;
	g->quarantine = config_value(cfg->quarantine, full ? 64 : 0);
	if (g->quarantine > 65536 || (g->quarantine && !full))
		return PFA_CONFIG_QUARANTINE;
	/* Half as many again are held back as were asked for, so that several blocks leave at once; at most so many that moving
	 * them is about as long as one flush of a slot. */
	uint32_t half = g->quarantine / 2;
	g->evict = half < 1 ? 1 : half < PFAI_EVICT_LIMIT ? half : PFAI_EVICT_LIMIT;
	g->quarantine += g->quarantine ? g->evict : 0;
	return PFA_CONFIG_FINE;
}

static enum pfa_config_problem config_check_scalars(const struct pfa_config *cfg, struct pfai_geometry *g)
{
	uint32_t known = PFA_CONFIG_ZEROED_META | PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO |
	                 PFA_CONFIG_GENERATIONS | PFA_CONFIG_NO_SHADOW | PFA_CONFIG_REPORTING;
	if ((cfg->flags & ~known) || (unsigned)cfg->fatal_policy > PFA_FATAL_REPORT)
		return PFA_CONFIG_FLAGS;
	if (!PFAI_REPORTING && cfg->flags & PFA_CONFIG_REPORTING)
		return PFA_CONFIG_FLAGS;
	g->reporting = cfg->flags & PFA_CONFIG_REPORTING;
	g->track_zero = cfg->flags & (PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO);
	g->frame_shift = config_value(cfg->frame_shift, 12);
	if (g->frame_shift < 6 || g->frame_shift > 30)
		return PFA_CONFIG_FRAME_SHIFT;
	g->max_order = config_value(cfg->max_order, 10);
	if (g->max_order > PFA_ORDER_LIMIT)
		return PFA_CONFIG_MAX_ORDER;
	g->pb_order = config_value(cfg->pageblock_order, 9);
	if (g->pb_order < 6 || g->pb_order > 20)
		return PFA_CONFIG_PAGEBLOCK_ORDER;
	g->leaf_order = g->pb_order < PFAI_LEAF_ORDER_LIMIT ? g->pb_order : PFAI_LEAF_ORDER_LIMIT;
	g->nr_cpus = config_value(cfg->nr_cpus, 1);
	if (g->nr_cpus < 1 || g->nr_cpus > 4096)
		return PFA_CONFIG_CPUS;
	unsigned limit = g->max_order < PFAI_CACHE_ORDER_LIMIT ? g->max_order : PFAI_CACHE_ORDER_LIMIT;
	g->caches_default_high = cfg->cache_high == 0;
	g->cache_high = config_value(cfg->cache_high, 512);
	g->cache_batch = config_value(cfg->cache_batch, 0);
	uint32_t cache_max_order = config_value(cfg->cache_max_order, limit);
	if (g->cache_high > 32767 || cache_max_order > limit || cfg->cache_batch == PFA_EXPLICIT_0)
		return PFA_CONFIG_CACHE;
	g->cached_orders = g->cache_high ? cache_max_order + 1 : 0;
	g->slot_shift = 0;
	while (1u << g->slot_shift < g->cached_orders)
		g->slot_shift++;
#ifndef PFAI_HAVE_THREAD_POINTER
	if (cfg->cpu_offset)
		return PFA_CONFIG_CPU_OFFSET;
#endif
	g->level = config_value(cfg->hardening, PFA_HARDENING_DEFAULT);
	if (g->level > PFA_HARDENING || (cfg->hardening && !g->level))
		return PFA_CONFIG_HARDENING;
	g->guard = cfg->guard_bytes;
	if (g->guard && (g->guard < PFA_GUARD_BYTES_MIN || (g->guard & (g->guard - 1))))
		return PFA_CONFIG_GUARD;
	g->max_owners = config_value(cfg->max_owners, 0);
	/* Level 0 claims frame bytes without a look at them, but a free must see that a block is movable. */
	if (g->max_owners > 65535 || (g->max_owners && !PFA_HARDENING))
		return PFA_CONFIG_OWNERS;
	return config_check_full(cfg, g);
}

static enum pfa_config_problem config_check_history(const struct pfa_config *cfg, struct pfai_geometry *g)
{
	g->generations = cfg->flags & PFA_CONFIG_GENERATIONS;
	g->nr_history = config_value(cfg->history, 0);
	g->nr_traces = config_value(cfg->nr_traces, 0);
	if (g->nr_history > PFA_HISTORY_LIMIT)
		return PFA_CONFIG_HISTORY;
	if (cfg->trace_shift > 31 || g->nr_traces > 1u << 20 || (g->nr_traces & (g->nr_traces - 1)))
		return PFA_CONFIG_TRACES;
	if (g->nr_traces && (!g->nr_history || !cfg->platform->backtrace))
		return PFA_CONFIG_TRACES;
	return PFA_CONFIG_FINE;
}

static enum pfa_config_problem config_check_holes(const struct pfa_zone_config *zc)
{
	pfa_pfn at = zc->start, end = zc->start + zc->nr_frames;
	if (zc->nr_holes && !zc->holes)
		return PFA_CONFIG_NULL;
	for (size_t i = 0; i < zc->nr_holes; i++) {
		const struct pfa_run *hole = &zc->holes[i];
		if (!hole->nr_frames || hole->first < at || hole->first >= end || hole->nr_frames > end - hole->first)
			return PFA_CONFIG_HOLES;
		at = hole->first + hole->nr_frames;
	}
	return PFA_CONFIG_FINE;
}

static enum pfa_config_problem config_check_cma(const struct pfai_geometry *g, const struct pfa_zone_config *zc)
{
	pfa_pfn at = zc->start, end = zc->start + zc->nr_frames;
	size_t mask = ((size_t)1 << g->pb_order) - 1, hole = 0;
	if (zc->nr_cma && !zc->cma)
		return PFA_CONFIG_NULL;
	for (size_t i = 0; i < zc->nr_cma; i++) {
		const struct pfa_run *area = &zc->cma[i];
		if (!area->nr_frames || area->first < at || area->first >= end || area->nr_frames > end - area->first ||
		    (area->first & mask) || (area->nr_frames & mask))
			return PFA_CONFIG_CMA;
		at = area->first + area->nr_frames;
		while (hole < zc->nr_holes && zc->holes[hole].first + zc->holes[hole].nr_frames <= area->first)
			hole++;
		if (hole < zc->nr_holes && zc->holes[hole].first < at)
			return PFA_CONFIG_CMA;
	}
	return PFA_CONFIG_FINE;
}

static enum pfa_config_problem config_check_zone(const struct pfai_geometry *g, const struct pfa_config *cfg, uint32_t i)
{
	const struct pfa_zone_config *zc = pfai_config_zone(cfg, i);
	if (zc->size != cfg->zones->size || zc->size % _Alignof(struct pfa_zone_config) ||
	    !config_size_ok(zc, zc->size, sizeof(*zc)))
		return PFA_CONFIG_SIZE;
	if (!zc->nr_frames)
		return PFA_CONFIG_ZONE_EMPTY;
	if (zc->start + zc->nr_frames < zc->start)
		return PFA_CONFIG_ZONE_OVERFLOW;
	for (uint32_t j = 0; j < i; j++) {
		const struct pfa_zone_config *other = pfai_config_zone(cfg, j);
		if (zc->start < other->start + other->nr_frames && other->start < zc->start + zc->nr_frames)
			return PFA_CONFIG_ZONE_OVERLAP;
	}
	if (zc->mark_min > zc->mark_low || zc->mark_low > zc->mark_high || zc->mark_high > PTRDIFF_MAX)
		return PFA_CONFIG_MARKS;
	enum pfa_config_problem problem = config_check_holes(zc);
	return problem ? problem : config_check_cma(g, zc);
}

static enum pfa_config_problem config_check_span(const struct pfa_config *cfg, struct pfai_geometry *g)
{
	pfa_pfn lowest = SIZE_MAX, end = 0;
	for (uint32_t i = 0; i < g->nr_zones; i++) {
		const struct pfa_zone_config *zc = pfai_config_zone(cfg, i);
		if (zc->start < lowest)
			lowest = zc->start;
		if (zc->start + zc->nr_frames > end)
			end = zc->start + zc->nr_frames;
	}
	/* Cached blocks are kept as 32-bit offsets; the marks are compared as signed words. The largest block's alignment
	 * is added to the last pfn in places, hence the room at the end of the number line. */
	size_t limit = PFAI_WORD_SHIFT == 6 ? (size_t)0xFFFFFFFFu : (size_t)0x7FFFFFFFu;
	g->base = lowest >> g->pb_order << g->pb_order;
	g->span = end - g->base;
	if (g->span > limit || end > SIZE_MAX - limit)
		return PFA_CONFIG_SPAN;
	return PFA_CONFIG_FINE;
}

static enum pfa_config_problem config_check_pool(const struct pfa_config *cfg, const struct pfai_geometry *g,
                                                 unsigned *index)
{
	uintptr_t start = (uintptr_t)cfg->pool;
	if (!cfg->pool)
		return cfg->pool_bytes ? PFA_CONFIG_POOL : PFA_CONFIG_FINE;
	if ((start & (((uintptr_t)1 << g->frame_shift) - 1)) || start + cfg->pool_bytes < start)
		return PFA_CONFIG_POOL;
	size_t frames = cfg->pool_bytes >> g->frame_shift;
	for (uint32_t i = 0; i < g->nr_zones; i++) {
		const struct pfa_zone_config *zc = pfai_config_zone(cfg, i);
		if (zc->start < cfg->pool_pfn || zc->start - cfg->pool_pfn > frames ||
		    zc->nr_frames > frames - (zc->start - cfg->pool_pfn)) {
			*index = i;
			return PFA_CONFIG_POOL;
		}
	}
	return PFA_CONFIG_FINE;
}

/* Room for areas: those of the configuration, and some more. What is over the limit is no area, but CMA memory all the same. */
static uint32_t config_nr_cma(const struct pfa_config *cfg, const struct pfai_geometry *g)
{
	size_t nr = PFA_CMA_MORE;
	for (uint32_t i = 0; i < g->nr_zones; i++)
		nr += pfai_config_zone(cfg, i)->nr_cma;
	return nr < PFAI_CMA_LIMIT ? (uint32_t)nr : PFAI_CMA_LIMIT;
}

enum pfa_config_problem pfai_config_check(const struct pfa_config *cfg, struct pfai_geometry *g, unsigned *index)
{
	*index = 0;
	if (!cfg)
		return PFA_CONFIG_NULL;
	if (!config_size_ok(cfg, cfg->size, sizeof(*cfg)))
		return PFA_CONFIG_SIZE;
	if (!cfg->platform)
		return PFA_CONFIG_PLATFORM;
	if (!config_size_ok(cfg->platform, cfg->platform->size, sizeof(*cfg->platform)))
		return PFA_CONFIG_SIZE;
	/* Waits are bounded by the clock. */
	if (cfg->platform->wait && !cfg->platform->now_ns)
		return PFA_CONFIG_PLATFORM;
	enum pfa_config_problem problem = config_check_scalars(cfg, g);
	if (!problem)
		problem = config_check_history(cfg, g);
	if (problem)
		return problem;
	g->nr_zones = cfg->nr_zones;
	if (!g->nr_zones || g->nr_zones > PFA_ZONES_LIMIT)
		return PFA_CONFIG_ZONES;
	if (!cfg->zones)
		return PFA_CONFIG_NULL;
	for (uint32_t i = 0; i < g->nr_zones && !problem; i++) {
		*index = i;
		problem = config_check_zone(g, cfg, i);
	}
	if (problem)
		return problem;
	*index = 0;
	g->nr_cma = config_nr_cma(cfg, g);
	problem = config_check_span(cfg, g);
	return problem ? problem : config_check_pool(cfg, g, index);
}

/* Tells the problem; PFA_EINVAL unless fine. */
static int config_told(enum pfa_config_problem problem, unsigned index, enum pfa_config_problem *out_problem,
                       unsigned *out_index)
{
	if (out_problem)
		*out_problem = problem;
	if (out_index)
		*out_index = index;
	return problem == PFA_CONFIG_FINE ? PFA_OK : PFA_EINVAL;
}

int pfa_size(const struct pfa_config *cfg, struct pfa_footprint *out, enum pfa_config_problem *out_problem,
             unsigned *out_index)
{
	struct pfai_geometry g;
	unsigned index = 0;
	size_t bytes = 0;
	enum pfa_config_problem problem = out ? pfai_config_check(cfg, &g, &index) : PFA_CONFIG_NULL;
	if (!problem && !pfai_layout(cfg, &g, NULL, NULL, &bytes))
		problem = PFA_CONFIG_FOOTPRINT;
	if (!problem) {
		out->core_bytes = bytes;
		out->align = pfai_layout_align(&g);
		out->owner_bytes = pfai_owner_bytes(&g);
	}
	return config_told(problem, index, out_problem, out_index);
}
