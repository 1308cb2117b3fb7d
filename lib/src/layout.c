/* SPDX-License-Identifier: MIT */
#include "layout.h"

struct layout_cursor {
	unsigned char *memory; /* NULL: counting */
	size_t at, guard;
	bool overflow;
};

/* To the next place where an array may begin or the metadata may end: with guards, one unused unit lies before it. */
static size_t layout_gap(struct layout_cursor *c)
{
	size_t grain = c->guard ? c->guard : PFAI_LAYOUT_ALIGN;
	size_t start = ((c->at + grain - 1) & ~(grain - 1)) + c->guard;
	if (start < c->at)
		c->overflow = true;
	return start;
}

static void *layout_take(struct layout_cursor *c, size_t nr, size_t each)
{
	size_t bytes, start = layout_gap(c);
	if (__builtin_mul_overflow(nr, each, &bytes) || start + bytes < start)
		c->overflow = true;
	if (!bytes)
		return c->memory; /* no array, no guards; nobody looks */
	c->at = start + bytes;
	return c->memory && !c->overflow ? c->memory + start : NULL;
}

void pfai_zone_geometry(const struct pfai_geometry *g, const struct pfa_zone_config *zc, struct pfai_zone_geometry *out)
{
	pfa_pfn end = zc->start + zc->nr_frames;
	unsigned fits = pfai_log2(zc->nr_frames);
	out->top_order = fits < g->max_order ? fits : g->max_order;
	unsigned align = out->top_order > g->pb_order ? out->top_order : g->pb_order;
	out->origin = zc->start >> align << align;
	size_t pb_mask = ((size_t)1 << g->pb_order) - 1;
	out->nr_rel = (end - out->origin + pb_mask) & ~pb_mask;
	out->nr_pb = out->nr_rel >> g->pb_order;
	out->nr_leaves = out->nr_rel >> g->leaf_order;
	size_t words = 0;
	for (unsigned order = 0; order <= PFA_ORDER_LIMIT; order++) {
		out->set_start[order] = (uint32_t)words;
		if (order > out->top_order)
			continue;
		size_t bits = out->nr_leaves;
		if (order > g->leaf_order)
			bits = (bits + ((size_t)1 << (order - g->leaf_order)) - 1) >> (order - g->leaf_order);
		words += pfai_bitset_words(bits);
	}
	out->set_words = words;
}

unsigned pfai_slot_cap(const struct pfai_geometry *g, size_t zone_frames, unsigned order, unsigned *keep)
{
	/* A slot may hold 1/32 of its zone: ten orders and three types then can never hold all of it by themselves. */
	size_t share = zone_frames >> order >> 5, cap = g->cache_high;
	*keep = 0;
	if (order >= g->cached_orders || !cap)
		return 0;
	if (cap > share)
		cap = share;
	/* A zone too small for a share still gets one block of each small order, where the caller asked for caches. */
	if (!cap && !g->caches_default_high && zone_frames >> order >> 2)
		return 1;
	if (!pfai_level(g, 3))
		return (unsigned)cap;
	/* What is kept to choose from: more than 256 blocks, so that none is guessed better than once in 257, or most of a slot
	 * that is too small for that. Above it there is room for what leaves the quarantine at once. */
	size_t most = cap - cap / 8u, more = cap < PFAI_EVICT_LIMIT ? cap : PFAI_EVICT_LIMIT;
	*keep = (unsigned)(!most ? 0 : most - 1 < 256 ? most - 1 : 256);
	return (unsigned)(cap + more < g->cache_high ? cap + more : g->cache_high);
}

static void layout_zone(const struct pfai_geometry *g, const struct pfa_zone_config *zc, struct layout_cursor *c,
                        struct pfai_zone *z)
{
	struct pfai_zone_geometry zg;
	pfai_zone_geometry(g, zc, &zg);
	size_t map_words = zg.nr_rel >> PFAI_WORD_SHIFT;
	pfai_word *not_free = layout_take(c, map_words, sizeof(pfai_word));
	pfai_word *zero = g->track_zero ? layout_take(c, map_words, sizeof(pfai_word)) : NULL;
	pfai_word *doomed = layout_take(c, map_words, sizeof(pfai_word));
	pfai_word *told = g->reporting ? layout_take(c, map_words, sizeof(pfai_word)) : NULL;
	pfai_word *pending = g->reporting ? layout_take(c, pfai_bitset_words(zg.nr_leaves), sizeof(pfai_word)) : NULL;
	pfai_word *resident = g->reporting ? layout_take(c, pfai_bitset_words(zg.nr_pb), sizeof(pfai_word)) : NULL;
	struct pfai_pb *pb = layout_take(c, zg.nr_pb, sizeof(*pb));
	uint8_t *leaf = layout_take(c, zg.nr_leaves, 1);
	pfai_word *sets = layout_take(c, zg.set_words * PFAI_PLANES, sizeof(pfai_word));
	if (!z || !sets)
		return;
	z->not_free = not_free;
	z->zero = zero;
	z->doomed = doomed;
	z->told = told;
	z->pending = pending;
	z->resident = resident;
	z->pb = pb;
	z->leaf = leaf;
	z->sets = sets;
}

bool pfai_layout(const struct pfa_config *cfg, const struct pfai_geometry *g, unsigned char *memory, struct pfa *p,
                 size_t *out_bytes)
{
	struct layout_cursor c = { memory, 0, g->guard, false };
	unsigned keep;
	size_t entries = 0, slots = (size_t)g->nr_zones * PFAI_ROUTE_CODES << g->slot_shift;
	(void)layout_take(&c, 1, sizeof(struct pfa) + slots * sizeof(struct pfai_slot_home));
	struct pfai_zone *zones = layout_take(&c, g->nr_zones, sizeof(*zones));
	for (uint32_t i = 0; i < g->nr_zones; i++) {
		const struct pfa_zone_config *zc = pfai_config_zone(cfg, i);
		for (unsigned order = 0; order < g->cached_orders; order++)
			entries += 3u * pfai_slot_cap(g, zc->nr_frames, order, &keep); /* the three common types */
	}
	size_t cpu_bytes = sizeof(struct pfai_cpu) + slots * sizeof(struct pfai_slot) + entries * sizeof(uint32_t);
	size_t full_offset = 0;
	if (pfai_level(g, 3)) {
		full_offset = (cpu_bytes + PFAI_LAYOUT_ALIGN - 1) & ~(size_t)(PFAI_LAYOUT_ALIGN - 1);
		cpu_bytes = full_offset + sizeof(struct pfai_full) + g->nr_zones * sizeof(struct pfai_quarantined) +
		            g->quarantine * sizeof(uint32_t);
	}
	cpu_bytes = (cpu_bytes + PFAI_LAYOUT_ALIGN - 1) & ~(size_t)(PFAI_LAYOUT_ALIGN - 1);
	struct pfai_state *state = layout_take(&c, 1, sizeof(*state));
	struct pfai_zone_state *zone_states = layout_take(&c, g->nr_zones, sizeof(*zone_states));
	unsigned char *cpus = layout_take(&c, g->nr_cpus, cpu_bytes);
	for (uint32_t i = 0; i < g->nr_zones; i++)
		layout_zone(g, pfai_config_zone(cfg, i), &c, zones ? &zones[i] : NULL);
	pfai_a8 *routes = layout_take(&c, (g->span >> g->pb_order) + 1, 1);
	pfai_a8 *bytes = layout_take(&c, g->span, 1);
	pfai_a32 *generations = g->generations ? layout_take(&c, g->span, sizeof(*generations)) : NULL;
	struct pfai_record *history = g->nr_history ? layout_take(&c, g->span, g->nr_history * sizeof(*history)) : NULL;
	struct pfai_trace *traces = g->nr_traces ? layout_take(&c, g->nr_traces, sizeof(*traces)) : NULL;
	struct pfai_report *report = g->reporting ? layout_take(&c, 1, sizeof(*report)) : NULL;
	struct pfai_cma *cma = layout_take(&c, g->nr_cma, sizeof(*cma));
	struct pfai_owner *owners = g->max_owners ? layout_take(&c, g->max_owners, sizeof(*owners)) : NULL;
	struct pfai_entry *table = g->max_owners ? layout_take(&c, g->span, sizeof(*table)) : NULL;
	*out_bytes = g->guard ? layout_gap(&c) : c.at;
	if (!p || !bytes)
		return !c.overflow;
	p->generations = generations;
	p->history = history;
	p->traces = traces;
	p->report = report;
	p->cma = cma;
	p->owners = owners;
	p->table = table;
	p->zones = zones;
	for (uint32_t i = 0; i < g->nr_zones; i++)
		zones[i].st = &zone_states[i];
	p->st = state;
	p->cpus = cpus;
	p->cpu_bytes = cpu_bytes;
	p->full_offset = full_offset;
	p->ring_offset = sizeof(struct pfai_full) + g->nr_zones * sizeof(struct pfai_quarantined);
	p->routes = routes;
	p->bytes = bytes;
	return !c.overflow;
}
