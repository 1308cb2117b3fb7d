/* SPDX-License-Identifier: MIT */
#include <pfa/pfa.h>

#include "closed.h"
#include "damage.h"
#include "hook.h"
#include "layout.h"
#include "live.h"
#include "report.h"
#include "full.h"
#include "quarantine.h"
#include "verified.h"
#include "shadow.h"
#include "stats.h"

/* Frames [rel, rel + nr) do not exist. A leaf that they touch offers nothing, until a run in it is found. */
static void init_absent(const struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr)
{
	if (!nr)
		return;
	pfai_map_fill(z->not_free, rel, nr, true);
	size_t first_leaf = rel >> p->leaf_order, last_leaf = (rel + nr - 1) >> p->leaf_order;
	memset(z->leaf + first_leaf, PFAI_LEAF_FULL, last_leaf - first_leaf + 1);
	size_t pb_size = (size_t)1 << p->pb_order;
	while (nr) {
		size_t left = pb_size - (rel & (pb_size - 1)), here = nr < left ? nr : left;
		struct pfai_pb *pb = pfai_pb_at(p, z, rel);
		pb->used += (uint32_t)here;
		pb->flags |= PFAI_PB_PARTIAL;
		rel += here;
		nr -= here;
	}
}

/* A leaf that is not wholly inside one run: whatever it offers. Only once, though several runs may touch it. */
static void init_edge_leaf(struct pfa *p, struct pfai_zone *z, unsigned code, size_t leaf, size_t *next_leaf)
{
	if (leaf < *next_leaf)
		return;
	*next_leaf = leaf + 1;
	int order = pfai_zone_fold_leaf_locked(p, z, leaf);
	if (order >= 0)
		pfai_index_add(p, z, code, (unsigned)order, leaf);
}

/* The free frames [rel, end) of one type go on offer. */
static void init_run(struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, size_t end, size_t *next_leaf)
{
	size_t leaf_size = (size_t)1 << p->leaf_order;
	z->st->free[code] += end - rel;
	while (rel < end) {
		size_t leaf = rel >> p->leaf_order, leaf_end = (leaf + 1) << p->leaf_order;
		if ((rel & (leaf_size - 1)) || end < leaf_end) {
			init_edge_leaf(p, z, code, leaf, next_leaf);
			rel = leaf_end;
			continue;
		}
		unsigned order = z->leaf_top;
		if (z->top_order >= p->leaf_order)
			order = pfai_natural_order(rel, end - rel, z->top_order);
		pfai_index_add(p, z, code, order, order > p->leaf_order ? rel >> order : leaf);
		size_t size = (size_t)1 << (order > p->leaf_order ? order : p->leaf_order);
		rel += size;
		*next_leaf = rel >> p->leaf_order;
	}
}

/* The free frames [rel, end), cut where CMA areas begin and end. */
static void init_runs_by_type(struct pfa *p, struct pfai_zone *z, const struct pfa_zone_config *zc, size_t rel,
                              size_t end, size_t *next_leaf)
{
	for (size_t i = 0; i < zc->nr_cma && rel < end; i++) {
		size_t first = zc->cma[i].first - z->origin, last = first + zc->cma[i].nr_frames;
		while (i + 1 < zc->nr_cma && zc->cma[i + 1].first - z->origin == last)
			last += zc->cma[++i].nr_frames; /* areas that touch coalesce */
		if (last <= rel || first >= end)
			continue;
		if (rel < first)
			init_run(p, z, PFAI_CODE_MOVABLE, rel, first, next_leaf);
		init_run(p, z, PFAI_CODE_CMA, first, last, next_leaf);
		rel = last;
	}
	if (rel < end)
		init_run(p, z, PFAI_CODE_MOVABLE, rel, end, next_leaf);
}

static void init_zone_holes(struct pfa *p, struct pfai_zone *z, const struct pfa_zone_config *zc)
{
	init_absent(p, z, 0, z->start - z->origin);
	init_absent(p, z, z->end - z->origin, z->nr_rel - (z->end - z->origin));
	z->st->present = zc->nr_frames;
	for (size_t i = 0; i < zc->nr_holes; i++) {
		size_t rel = zc->holes[i].first - z->origin, nr = zc->holes[i].nr_frames;
		init_absent(p, z, rel, nr);
		for (size_t j = 0; j < nr; j++)
			pfai_store_relaxed(&p->bytes[pfai_offset_of_rel(z, rel + j)], PFAI_ABSENT);
		z->st->present -= nr;
	}
}

/* Everything is free in zeroed memory; only what is not, the edges and the index are written. */
static void init_zone_maps(struct pfa *p, struct pfai_zone *z, const struct pfa_zone_config *zc)
{
	size_t next_leaf = 0, rel = z->start - z->origin;
	init_zone_holes(p, z, zc);
	for (size_t i = 0; i < zc->nr_cma; i++)
		for (size_t at = 0; at < zc->cma[i].nr_frames; at += (size_t)1 << p->pb_order)
			pfai_pb_at(p, z, zc->cma[i].first - z->origin + at)->code = PFAI_CODE_CMA;
	for (size_t i = 0; i <= zc->nr_holes; i++) {
		size_t end = z->end - z->origin, next = z->nr_rel;
		if (i < zc->nr_holes) {
			end = zc->holes[i].first - z->origin;
			next = end + zc->holes[i].nr_frames;
		}
		if (rel < end)
			init_runs_by_type(p, z, zc, rel, end, &next_leaf);
		rel = next;
	}
}

/* Each run of the configuration is an area. */
static void init_cma(struct pfa *p, const struct pfa_config *cfg)
{
	uint32_t nr = 0;
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		const struct pfa_zone_config *zc = pfai_config_zone(cfg, i);
		for (size_t j = 0; j < zc->nr_cma && nr < p->nr_cma; j++, nr++) {
			p->cma[nr].run = zc->cma[j];
			pfai_store_relaxed(&p->cma[nr].use, PFAI_CMA_LIVE);
		}
	}
}

/* All MOVABLE but CMA. Pageblocks that are shared are put right when all zones are through. */
static void init_zone_routes(struct pfa *p, struct pfai_zone *z, const struct pfa_zone_config *zc)
{
	size_t first = (z->start - z->origin) >> p->pb_order, last = z->nr_pb - 1;
	size_t offset = pfai_offset_of_rel(z, first << p->pb_order);
	memset((void *)(uintptr_t)&p->routes[offset >> p->pb_order],
	       (int)(z->id << PFAI_ROUTE_ZONE_SHIFT | PFAI_CODE_MOVABLE), last - first + 1);
	for (size_t i = 0; i < zc->nr_cma; i++) {
		size_t pb = (zc->cma[i].first - z->origin) >> p->pb_order;
		for (size_t j = 0; j < zc->cma[i].nr_frames >> p->pb_order; j++)
			pfai_zone_set_code_locked(p, z, pb + j, PFAI_CODE_CMA);
	}
}

static void init_zone(struct pfa *p, const struct pfai_geometry *g, const struct pfa_zone_config *zc, uint32_t id)
{
	struct pfai_zone_geometry zg;
	struct pfai_zone *z = &p->zones[id];
	pfai_zone_geometry(g, zc, &zg);
	z->name = zc->name;
	z->id = id;
	z->top_order = zg.top_order;
	z->leaf_top = zg.top_order < g->leaf_order ? zg.top_order : g->leaf_order;
	z->start = zc->start;
	z->end = zc->start + zc->nr_frames;
	z->origin = zg.origin;
	z->delta = p->base - zg.origin;
	z->nr_rel = zg.nr_rel;
	z->nr_pb = zg.nr_pb;
	z->nr_leaves = zg.nr_leaves;
	z->set_words = zg.set_words;
	memcpy(z->set_start, zg.set_start, sizeof(z->set_start));
	z->mark_min = zc->mark_min;
	z->mark_low = zc->mark_low;
	z->mark_high = zc->mark_high;
	z->highatomic_limit = zc->highatomic_frames;
	init_zone_maps(p, z, zc);
}

static void init_homes(struct pfa *p, const struct pfai_geometry *g, const struct pfa_config *cfg)
{
	struct pfai_slot_home *homes = p->homes;
	/* behind the slots, in units of an entry */
	uint32_t start = (uint32_t)((sizeof(struct pfai_cpu) + p->nr_slots * sizeof(struct pfai_slot)) / sizeof(start));
	for (size_t slot = 0; slot < pfai_slots_per_cpu(p); slot++) {
		const struct pfa_zone_config *zc = pfai_config_zone(cfg, pfai_slot_zone(p, slot));
		unsigned keep = 0;
		homes[slot].first = (uint32_t)(zc->start - p->base);
		homes[slot].nr = (uint32_t)zc->nr_frames;
		homes[slot].start = start;
		if ((slot >> p->slot_shift) % PFAI_ROUTE_CODES != PFAI_ROUTE_SLOW)
			homes[slot].cap = pfai_slot_cap(g, zc->nr_frames, pfai_slot_order(p, slot), &keep);
		homes[slot].keep = keep;
		homes[slot].above = homes[slot].cap - homes[slot].keep;
		homes[slot].zone = pfai_slot_zone(p, slot);
		start += homes[slot].cap;
	}
}

static void init_cpus(struct pfa *p)
{
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		pfai_quarantine_enable(p, c, true);
		for (size_t slot = 0; slot < pfai_slots_per_cpu(p); slot++) {
			c->slots[slot].start = p->homes[slot].start;
			c->slots[slot].cap = (uint16_t)p->homes[slot].cap;
		}
	}
}

/* What is done at each grant and free. */
static uint8_t init_hooks(const struct pfai_geometry *g, const struct pfa_config *cfg)
{
	unsigned hooks = 0;
	if (g->nr_history)
		hooks |= PFAI_HOOK_HISTORY;
	if (g->generations)
		hooks |= PFAI_HOOK_GENERATION;
	if (PFAI_HAVE_SHADOW && cfg->pool && cfg->pool_bytes <= PFA_SHADOW_LIMIT && !(cfg->flags & PFA_CONFIG_NO_SHADOW))
		hooks |= PFAI_HOOK_SHADOW;
	if (g->poison != PFA_POISON_NONE)
		hooks |= PFAI_HOOK_CONTENT;
	return (uint8_t)hooks;
}

/* The frames of all zones but not their holes, which are not ours. cfg NULL: the holes, too. */
static void init_shadow(const struct pfa *p, const struct pfa_config *cfg, bool poisoned)
{
	for (uint32_t i = 0; i < p->nr_zones && (p->hooks & PFAI_HOOK_SHADOW); i++) {
		const struct pfai_zone *z = &p->zones[i];
		const struct pfa_zone_config *zc = cfg ? pfai_config_zone(cfg, i) : NULL;
		pfai_shadow_set(p, z->start, z->end - z->start, poisoned);
		for (size_t h = 0; zc && h < zc->nr_holes; h++)
			pfai_shadow_set(p, zc->holes[h].first, zc->holes[h].nr_frames, false);
	}
}

/* Does the instance take the fast paths inside of pfa_alloc() and pfa_free()? */
static bool init_inside(const struct pfa *p)
{
	return !p->hooks && (PFAI_INSIDE_VERIFIED ? p->level == 2 : p->level < 2);
}

/* The paths of what is not fast there. */
static void init_paths(struct pfa *p, const struct pfai_geometry *g)
{
	/* Of the hooks, the only one that touches so little of a frame that it is done on the way. */
	bool lines = p->hooks == PFAI_HOOK_CONTENT && p->poison == PFA_POISON_LINES;
	p->alloc_path = pfai_alloc_by_slow;
	p->free_path = pfai_free_by_slow;
	if (g->level <= 2 && !p->hooks && !init_inside(p)) {
		p->alloc_path = pfai_alloc_outside;
		p->free_path = pfai_free_outside;
	} else if (g->level == 3 && p->quarantine && (!p->hooks || lines)) {
		p->alloc_path = lines ? pfai_alloc_full_lines : pfai_alloc_full;
		p->free_path = lines ? pfai_free_quarantined_lines : pfai_free_quarantined;
	}
}

static void init_root(struct pfa *p, const struct pfai_geometry *g, const struct pfa_config *cfg)
{
	p->cpu_offset = cfg->cpu_offset;
	p->base = g->base;
	p->span = g->span;
	p->nr_cpus = g->nr_cpus;
	p->cpu_fixed = cfg->platform->cpu ? UINT32_MAX : 0;
	p->pb_order = (uint8_t)g->pb_order;
	p->slot_shift = (uint8_t)g->slot_shift;
	p->cached_orders = (uint8_t)g->cached_orders;
	p->leaf_order = (uint8_t)g->leaf_order;
	p->level = (uint8_t)g->level;
	p->poison = (uint8_t)g->poison;
	p->quarantine = g->quarantine;
	p->evict = g->evict;
	p->hooks = init_hooks(g, cfg);
	p->fast_orders = init_inside(p) ? p->cached_orders : 0;
	init_paths(p, g);
	p->os = *cfg->platform;
	p->nr_zones = g->nr_zones;
	p->nr_slots = (size_t)g->nr_zones * PFAI_ROUTE_CODES << g->slot_shift;
	for (unsigned type = 0; type <= PFA_RECLAIMABLE; type++)
		p->rows[type] = pfai_code_of_type(type) << g->slot_shift;
	p->max_order = g->max_order;
	p->frame_shift = g->frame_shift;
	p->batch_high = g->cache_batch;
	p->nr_history = g->nr_history;
	p->nr_traces = g->nr_traces;
	p->trace_shift = cfg->trace_shift;
	p->max_owners = g->max_owners;
	p->nr_cma = g->nr_cma;
	p->zero_invert = cfg->flags & PFA_CONFIG_ZEROED_POOL ? PFAI_ONES : 0;
	p->pool = cfg->pool;
	p->pool_pfn = cfg->pool_pfn;
	p->policy = cfg->fatal_policy;
	p->st->service_next = UINT64_MAX;
}

/* Level 3: whom nobody is to guess. */
static void init_keys(struct pfa *p, const struct pfa_config *cfg)
{
	static const uint32_t counter[2] = { 0, 0 }, nonce[2] = { PFAI_STREAM_INIT, 0 };
	uint32_t stream[16 * PFAI_PRNG_LANES];
	p->random_key[0] = (uint32_t)cfg->seed;
	p->random_key[1] = (uint32_t)(cfg->seed >> 32);
	for (unsigned i = 2; i < PFAI_PRNG_KEY_WORDS && p->os.random; i += 2) {
		uint64_t random = p->os.random(p->os.ctx);
		p->random_key[i] = (uint32_t)random;
		p->random_key[i + 1] = (uint32_t)(random >> 32);
	}
	pfai_chacha8(p->random_key, counter, nonce, stream);
	memcpy(p->content_key, stream, sizeof(p->content_key));
}

/* Checks cfg and the memory for it. */
static enum pfa_config_problem init_check(const void *memory, size_t bytes, const struct pfa_config *cfg,
                                          struct pfai_geometry *g, size_t *need, unsigned *index)
{
	enum pfa_config_problem problem = pfai_config_check(cfg, g, index);
	if (problem)
		return problem;
	if (!pfai_layout(cfg, g, NULL, NULL, need))
		return PFA_CONFIG_FOOTPRINT;
	if (!memory || ((uintptr_t)memory & (pfai_layout_align(g) - 1)) || bytes < *need)
		return PFA_CONFIG_MEMORY;
	return PFA_CONFIG_FINE;
}

int pfa_init(void *memory, size_t bytes, const struct pfa_config *cfg, struct pfa **out,
             enum pfa_config_problem *out_problem, unsigned *out_index)
{
	struct pfai_geometry g;
	unsigned index = 0;
	size_t need = 0;
	enum pfa_config_problem problem =
		out ? init_check(memory, bytes, cfg, &g, &need, &index) : PFA_CONFIG_NULL;
	if (out_problem)
		*out_problem = problem;
	if (out_index)
		*out_index = index;
	if (problem)
		return PFA_EINVAL;
	if (!(cfg->flags & PFA_CONFIG_ZEROED_META))
		memset(memory, 0, need);
	struct pfa *p = (struct pfa *)(void *)((unsigned char *)memory + g.guard);
	(void)pfai_layout(cfg, &g, memory, p, &need);
	init_root(p, &g, cfg);
	if (pfai_level(p, 3))
		init_keys(p, cfg);
	/* Pageblocks in no zone are SLOW; all zones must be known before shared pageblocks can be told. */
	memset((void *)(uintptr_t)p->routes, PFAI_ROUTE_SLOW, (g.span >> g.pb_order) + 1);
	for (uint32_t i = 0; i < g.nr_zones; i++)
		init_zone(p, &g, pfai_config_zone(cfg, i), i);
	init_homes(p, &g, cfg);
	init_cpus(p);
	for (uint32_t i = 0; i < g.nr_zones; i++)
		init_zone_routes(p, &p->zones[i], pfai_config_zone(cfg, i));
	for (uint32_t i = 0; i < g.nr_zones; i++) {
		/* Only the first and the last pageblock can be shared. */
		struct pfai_zone *z = &p->zones[i];
		size_t first = (z->start - z->origin) >> p->pb_order;
		pfai_zone_set_code_locked(p, z, first, z->pb[first].code);
		pfai_zone_set_code_locked(p, z, z->nr_pb - 1, z->pb[z->nr_pb - 1].code);
		(void)pfai_zone_lock(p, &p->zones[i]);
		pfai_zone_unlock(p, &p->zones[i]); /* publishes the hints */
	}
	init_cma(p, cfg);
	init_shadow(p, cfg, true);
	*out = p;
	return PFA_OK;
}

static void fini_log(void *ctx, const struct pfai_live *live)
{
	static const char what[] = "pfa_fini: still live: ";
	const struct pfa *p = ctx;
	char text[sizeof(what) - 1 + PFAI_LIVE_TEXT];
	memcpy(text, what, sizeof(what) - 1);
	pfai_live_text(p, live, text + sizeof(what) - 1, PFAI_LIVE_TEXT);
	p->os.log(p->os.ctx, text);
}

int pfa_fini(struct pfa *p)
{
	int result = pfai_closed_or_inside(p, "pfa_fini");
	if (result != PFA_OK)
		return result;
	if (pfai_load_relaxed(&p->st->nr_walks) || pfai_report_inside(p))
		return PFA_EDEADLK;
	if (p->report && p->report->registered)
		return PFA_EBUSY;
	result = pfai_cache_drain_all(p);
	for (uint32_t i = 0; i < p->nr_zones && result == PFA_OK; i++) {
		struct pfa_zone_stats s;
		if (!pfai_zone_freeze(p, &p->zones[i]))
			return PFA_EBUSY;
		pfai_zone_stats_frozen(p, &p->zones[i], &s);
		pfai_zone_thaw(p, &p->zones[i]);
		if (s.free + s.free_isolated + s.cached + s.allocated + s.quarantined + s.bad != s.present)
			result = PFA_ECORRUPT;
		else if (s.allocated || s.held_pageblocks)
			result = PFA_EBUSY;
	}
	result = pfai_told(p, result, "pfa_fini");
	if (result == PFA_EBUSY && p->os.log)
		pfai_live_visit(p, fini_log, p);
	if (result != PFA_OK)
		return result;
	init_shadow(p, NULL, false);
	pfai_close(p, PFAI_ENDED);
	return PFA_OK;
}
