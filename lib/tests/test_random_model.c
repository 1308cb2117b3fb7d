/* SPDX-License-Identifier: MIT
 *
 * Random operations against a naive model: one byte a frame. Every geometry that the seed can think of (max_order far
 * below to above pageblock_order, zones that begin and end anywhere and share pageblocks, holes, CMA, reserve, marks,
 * caches on, tiny and off), with the full check after each step. The model knows nothing of the library's insides:
 * whom each frame belongs to, and what a refusal must mean.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SPAN = 3000, MAX_BLOCKS = MAX_SPAN };

/* Model of a frame. Free includes cached: the caller cannot tell, and need not. */
enum { M_ABSENT, M_FREE, M_HEAD, M_TAIL, M_GUARD_BELOW, M_GUARD_ABOVE };

struct model {
	struct rig rig; /* first: it is what ops are told */
	struct rng rng;
	pfa_pfn first;            /* pfn of frames[0] */
	unsigned char frames[MAX_SPAN];
	unsigned char orders[MAX_SPAN]; /* of a head */
	unsigned char zone[MAX_SPAN];
	unsigned char dirty[MAX_SPAN]; /* the content of frames, which need no memory for that */
	size_t allocated[PFA_ZONES_LIMIT];
	pfa_pfn heads[MAX_BLOCKS]; /* live blocks, in no order */
	size_t nr_heads;
	unsigned disabled;
	bool has_caches;
	struct pfa_run holes[PFA_ZONES_LIMIT][4], cma[PFA_ZONES_LIMIT];
	size_t nr_refused, nr_granted, nr_misused;
};

static unsigned char *at(struct model *m, pfa_pfn pfn)
{
	MUST(pfn >= m->first && pfn - m->first < MAX_SPAN);
	return &m->frames[pfn - m->first];
}

/* The platform's zero op. */
static void model_zero(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	struct model *m = ctx;
	(void)ptr;
	for (size_t i = 0; i < nr_frames; i++) {
		if (m->rig.cfg.poison != PFA_POISON_ZERO) /* else it is zeroed while it is being freed */
			MUST_EQ(*at(m, first + i), M_FREE);
		m->dirty[first + i - m->first] = 0;
	}
}

/* ---- geometry --------------------------------------------------------------------------------------------------- */

static void random_holes(struct model *m, struct pfa_zone_config *z, struct pfa_run *holes)
{
	pfa_pfn from = z->start, end = z->start + z->nr_frames;
	z->holes = holes;
	while (z->nr_holes < 4 && !rng_one_in(&m->rng, 2) && from + 2 < end) {
		struct pfa_run hole;
		hole.first = from + rng_below(&m->rng, end - from);
		hole.nr_frames = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 3) ? 150 : 6);
		if (hole.nr_frames > end - hole.first)
			hole.nr_frames = end - hole.first;
		if (hole.nr_frames == z->nr_frames)
			break; /* a zone of nothing tells nothing */
		holes[z->nr_holes++] = hole;
		from = hole.first + hole.nr_frames;
	}
}

static void random_cma(struct model *m, struct pfa_zone_config *z, struct pfa_run *area)
{
	const size_t pb = (size_t)1 << m->rig.cfg.pageblock_order;
	area->first = (z->start + rng_below(&m->rng, z->nr_frames)) / pb * pb;
	area->nr_frames = pb * (1 + rng_below(&m->rng, 3));
	if (area->first < z->start || area->nr_frames > z->start + z->nr_frames - area->first)
		return;
	for (size_t i = 0; i < z->nr_holes; i++)
		if (z->holes[i].first < area->first + area->nr_frames &&
		    area->first < z->holes[i].first + z->holes[i].nr_frames)
			return;
	z->cma = area;
	z->nr_cma = 1;
}

static void random_zones(struct model *m)
{
	struct rig *rig = &m->rig;
	const unsigned nr = 1 + (unsigned)rng_below(&m->rng, 3);
	const unsigned start = (unsigned)rng_below(&m->rng, 3); /* of the order of preference */
	pfa_pfn from = rng_below(&m->rng, 2) ? rng_below(&m->rng, 5000) : 64 * rng_below(&m->rng, 50);
	m->first = from;
	rig->cfg.nr_zones = nr;
	for (unsigned i = 0; i < nr; i++) {
		struct pfa_zone_config *z = &rig->zones[(i + start) % nr];
		z->size = sizeof(*z);
		z->start = from;
		z->nr_frames = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 4) ? 40 : 900);
		from += z->nr_frames + (rng_one_in(&m->rng, 3) ? rng_below(&m->rng, 90) : 0);
		random_holes(m, z, m->holes[i]);
		if (rng_one_in(&m->rng, 3))
			random_cma(m, z, &m->cma[i]);
		if (rng_one_in(&m->rng, 3))
			z->highatomic_frames = rng_below(&m->rng, z->nr_frames);
		if (rng_one_in(&m->rng, 3)) {
			z->mark_min = rng_below(&m->rng, z->nr_frames / 4 + 1);
			z->mark_low = z->mark_min + rng_below(&m->rng, z->nr_frames / 8 + 1);
			z->mark_high = z->mark_low;
		}
	}
}

/* What only level 3 has. */
static void random_full(struct model *m)
{
	static const uint32_t lengths[] = {0, PFA_EXPLICIT_0, 1, 5, 300};
	struct pfa_config *cfg = &m->rig.cfg;
	cfg->quarantine = lengths[rng_below(&m->rng, 5)];
	if (!cfg->quarantine)
		cfg->quarantine = 64; /* as the library would */
	cfg->poison = PFA_POISON_NONE;
	if (rig_prot_none || rng_one_in(&m->rng, 3))
		return;
	m->rig.pool_kind = RIG_POOL_CONTENT;
	cfg->poison = PFA_POISON_LINES + (unsigned)rng_below(&m->rng, 3);
	if (cfg->poison != PFA_POISON_ZERO)
		cfg->flags &= ~(uint32_t)(PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO);
}

static void model_start(struct model *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	rig_init(&m->rig);
	m->rng.state = seed;
	struct pfa_config *cfg = &m->rig.cfg;
	static const uint32_t highs[] = {0, PFA_EXPLICIT_0, 1, 2, 5, 40};
	const int gap = (int)rng_below(&m->rng, 9) - 4; /* max_order - pageblock_order: -4 .. 4 */
	cfg->pageblock_order = 6 + (unsigned)rng_below(&m->rng, 3);
	cfg->max_order = (unsigned)((int)cfg->pageblock_order + gap);
	cfg->nr_cpus = 1 + (unsigned)rng_below(&m->rng, 3);
	cfg->cache_high = highs[rng_below(&m->rng, 6)];
	cfg->cache_batch = (uint32_t)rng_below(&m->rng, 4);
	cfg->flags = rng_one_in(&m->rng, 3) ? PFA_CONFIG_ZEROED_META : 0;
	if (rng_one_in(&m->rng, 3))
		cfg->flags |= rng_one_in(&m->rng, 2) ? PFA_CONFIG_ZEROED_POOL : PFA_CONFIG_TRACK_ZERO;
	cfg->seed = seed;
	m->rig.os.zero = model_zero;
	memset(m->dirty, cfg->flags & PFA_CONFIG_ZEROED_POOL ? 0 : 1, sizeof(m->dirty));
	if (rig_level == 3)
		random_full(m);
	m->has_caches = cfg->cache_high != PFA_EXPLICIT_0;
	random_zones(m);
	for (unsigned i = 0; i < cfg->nr_zones; i++) {
		const struct pfa_zone_config *z = &m->rig.zones[i];
		for (pfa_pfn pfn = z->start; pfn < z->start + z->nr_frames; pfn++) {
			*at(m, pfn) = M_FREE;
			m->zone[pfn - m->first] = (unsigned char)i;
		}
		for (size_t k = 0; k < z->nr_holes; k++)
			for (size_t f = 0; f < z->holes[k].nr_frames; f++)
				*at(m, z->holes[k].first + f) = M_ABSENT;
	}
	rig_start(&m->rig);
}

/* ---- what was granted and given back ------------------------------------------------------------------------------ */

static void model_take(struct model *m, pfa_pfn pfn, unsigned order)
{
	MUST_EQ(pfn & (((size_t)1 << order) - 1), 0);
	for (size_t i = 0; i < (size_t)1 << order; i++) {
		MUST_EQ(*at(m, pfn + i), M_FREE);
		MUST_EQ(m->zone[pfn + i - m->first], m->zone[pfn - m->first]);
		*at(m, pfn + i) = M_TAIL;
	}
	*at(m, pfn) = M_HEAD;
	m->orders[pfn - m->first] = (unsigned char)order;
	m->allocated[m->zone[pfn - m->first]] += (size_t)1 << order;
	m->heads[m->nr_heads++] = pfn;
	m->nr_granted++;
}

/* A fresh grant: zero where that was asked for; then its user writes to it. */
static void model_grant(struct model *m, pfa_pfn pfn, unsigned order, uint32_t flags)
{
	model_take(m, pfn, order);
	for (pfa_pfn i = pfn - m->first; i < pfn - m->first + ((size_t)1 << order); i++) {
		if ((flags & PFA_ZERO) && m->dirty[i])
			rig_fail(__FILE__, __LINE__, "pfn %zu, order %u: frame %zu is not zero", pfn, order, m->first + i);
		m->dirty[i] = 1;
	}
}

static unsigned order_of(struct model *m, pfa_pfn pfn)
{
	return m->orders[pfn - m->first];
}

/* A block is no longer; its guards stay. */
static void model_drop(struct model *m, size_t i)
{
	pfa_pfn pfn = m->heads[i];
	const size_t nr = (size_t)1 << order_of(m, pfn);
	memset(at(m, pfn), M_FREE, nr);
	m->allocated[m->zone[pfn - m->first]] -= nr;
	m->heads[i] = m->heads[--m->nr_heads];
}

static void model_unguard(struct model *m, pfa_pfn pfn, unsigned char which)
{
	if (pfn - m->first >= MAX_SPAN || *at(m, pfn) != which)
		return;
	*at(m, pfn) = M_FREE;
	m->allocated[m->zone[pfn - m->first]]--;
}

static void model_give(struct model *m, size_t i)
{
	const pfa_pfn pfn = m->heads[i], end = pfn + ((pfa_pfn)1 << order_of(m, pfn));
	model_drop(m, i);
	model_unguard(m, pfn - 1, M_GUARD_BELOW);
	model_unguard(m, end, M_GUARD_ABOVE);
}

static size_t find_head(struct model *m, pfa_pfn pfn)
{
	for (size_t i = 0; i < m->nr_heads; i++)
		if (m->heads[i] == pfn)
			return i;
	rig_fail(__FILE__, __LINE__, "the model has no block at %zu", pfn);
}

/* ---- what a refusal must mean -------------------------------------------------------------------------------------- */

static bool type_serves(enum pfa_type type, uint32_t flags)
{
	if (type == PFA_TYPE_CMA)
		return (flags & PFA_TYPE_MASK) == PFA_MOVABLE;
	if (type == PFA_TYPE_HIGHATOMIC)
		return flags & PFA_HIGH;
	return true;
}

/* Could this block be granted now: free in its zone, of one class that serves the request? */
static bool block_fits(struct model *m, unsigned zone, pfa_pfn pfn, unsigned order, uint32_t flags)
{
	int class = -1;
	for (size_t i = 0; i < (size_t)1 << order; i++) {
		struct pfa_frame_info info = rig_info(&m->rig, pfn + i);
		int its = info.type == PFA_TYPE_CMA || info.type == PFA_TYPE_HIGHATOMIC ? (int)info.type : PFA_TYPE_MOVABLE;
		if (info.state != PFA_FRAME_FREE || info.zone != zone || !type_serves(info.type, flags) ||
		    (class >= 0 && its != class))
			return false;
		class = its;
	}
	return true;
}

/* The slow predicate, on what the library says of single frames: would this zone have to serve the request? */
static bool zone_must_serve(struct model *m, unsigned zone, unsigned order, uint32_t flags, struct pfa_run window)
{
	const struct pfa_zone_config *z = &m->rig.zones[zone];
	const size_t size = (size_t)1 << order;
	long long room = -(long long)(flags & PFA_HIGH ? z->mark_min / 2 : z->mark_min);
	for (pfa_pfn pfn = z->start; pfn < z->start + z->nr_frames; pfn++) {
		struct pfa_frame_info info = rig_info(&m->rig, pfn);
		room += info.state == PFA_FRAME_FREE && type_serves(info.type, flags);
	}
	if (room < (long long)size)
		return false;
	pfa_pfn lo = z->start > window.first ? z->start : window.first;
	pfa_pfn hi = z->start + z->nr_frames, end = window.first + window.nr_frames;
	hi = hi < end ? hi : end;
	for (pfa_pfn pfn = (lo + size - 1) / size * size; pfn + size <= hi; pfn += size)
		if (block_fits(m, zone, pfn, order, flags))
			return true;
	return false;
}

/* Could the zone serve such a request if all of it were free? Requests that no zone could ever serve drain nothing. */
static bool zone_has_place(struct model *m, unsigned zone, unsigned order, struct pfa_run window)
{
	const struct pfa_zone_config *z = &m->rig.zones[zone];
	const size_t size = (size_t)1 << order;
	const pfa_pfn lo = z->start > window.first ? z->start : window.first;
	const pfa_pfn zone_end = z->start + z->nr_frames, window_end = window.first + window.nr_frames;
	const pfa_pfn hi = zone_end < window_end ? zone_end : window_end;
	for (pfa_pfn pfn = (lo + size - 1) / size * size; pfn + size <= hi; pfn += size) {
		const bool cma = rig_info(&m->rig, pfn).type == PFA_TYPE_CMA;
		size_t i = 0;
		while (i < size && *at(m, pfn + i) != M_ABSENT && (rig_info(&m->rig, pfn + i).type == PFA_TYPE_CMA) == cma)
			i++;
		if (i == size)
			return true;
	}
	return false;
}

static const struct pfa_run everywhere = {0, SIZE_MAX};

/* A request was refused: no eligible zone may have been able to serve it. A plain request that any of them has a place
 * for has drained all caches and given up the reserve, so that this holds of everything that is free. */
static void judge_refusal(struct model *m, int code, unsigned order, uint32_t flags, struct pfa_run window)
{
	unsigned last = flags & PFA_EXACT_ZONE ? PFA_ZONE_OF(flags) : m->rig.cfg.nr_zones - 1;
	m->nr_refused++;
	if (code == PFA_EAGAIN)
		MUST(flags & (PFA_NOWAIT | PFA_NORETRY));
	else
		MUST_EQ(code, PFA_ENOMEM);
	for (unsigned zone = PFA_ZONE_OF(flags); zone <= last; zone++)
		if (zone_must_serve(m, zone, order, flags, window))
			rig_fail(__FILE__, __LINE__, "order %u, flags 0x%x refused with %s; zone %u could serve it", order,
			         flags, pfa_error_name(code), zone);
	if (code != PFA_ENOMEM || (flags & (PFA_NOWAIT | PFA_NORETRY)))
		return;
	/* Nothing is hidden in caches, or kept in the reserve of a zone that was asked. */
	bool has_place = false;
	for (unsigned zone = PFA_ZONE_OF(flags); zone <= last; zone++) {
		if (!zone_has_place(m, zone, order, window))
			continue;
		has_place = true;
		if (!(flags & PFA_HIGH))
			MUST_EQ(rig_stats(&m->rig, zone).free_highatomic, 0);
	}
	for (unsigned zone = 0; has_place && zone < m->rig.cfg.nr_zones; zone++) {
		MUST_EQ(rig_stats(&m->rig, zone).cached, 0);
		MUST_EQ(rig_stats(&m->rig, zone).quarantined, 0);
	}
}

static uint32_t random_flags(struct model *m)
{
	static const uint32_t extra[] = {0, 0, 0, PFA_NOWAIT, PFA_NORETRY, PFA_HIGH, PFA_HIGH | PFA_NOWAIT, PFA_COMPACT};
	uint32_t flags = (uint32_t)rng_below(&m->rng, 3) | extra[rng_below(&m->rng, 8)];
	if (rng_one_in(&m->rng, 3))
		flags |= PFA_ZONE(rng_below(&m->rng, m->rig.cfg.nr_zones));
	if (rng_one_in(&m->rng, 5))
		flags |= PFA_EXACT_ZONE;
	if (rng_one_in(&m->rng, 3))
		flags |= PFA_ZERO;
	return flags;
}

static unsigned random_order(struct model *m)
{
	unsigned limit = m->rig.cfg.max_order + 1;
	if (rng_one_in(&m->rng, 2) && limit > 3)
		limit = 3;
	return (unsigned)rng_below(&m->rng, limit);
}

static void zone_is_eligible(struct model *m, pfa_pfn pfn, uint32_t flags)
{
	unsigned zone = m->zone[pfn - m->first];
	MUST(zone >= PFA_ZONE_OF(flags));
	MUST(!(flags & PFA_EXACT_ZONE) || zone == PFA_ZONE_OF(flags));
}

/* ---- operations ---------------------------------------------------------------------------------------------------- */

static void op_alloc(struct model *m)
{
	const uint32_t flags = random_flags(m);
	const unsigned order = random_order(m);
	const int said = pfa_would_succeed(m->rig.pfa, order, flags);
	pfa_pfn pfn;
	int err = pfa_alloc(m->rig.pfa, order, flags, &pfn);
	if (said == PFA_OK)
		MUST_EQ(err, PFA_OK);
	else
		MUST_EQ(said, PFA_ENOMEM);
	if (said == PFA_ENOMEM && (flags & PFA_NORETRY))
		MUST(err != PFA_OK);
	if (err != PFA_OK) {
		judge_refusal(m, err, order, flags, everywhere);
		return;
	}
	model_grant(m, pfn, order, flags);
	zone_is_eligible(m, pfn, flags);
	enum pfa_type type = rig_type(&m->rig, pfn);
	MUST(type != PFA_TYPE_CMA || (flags & PFA_TYPE_MASK) == PFA_MOVABLE);
	/* A cached block may lie in a pageblock that another cpu's request has reserved only for an instant: purged. */
	MUST(type != PFA_TYPE_HIGHATOMIC || (flags & PFA_HIGH));
}

/* A block with guards. Its neighbours are nobody's as long as it lives. */
static void op_guarded(struct model *m)
{
	const uint32_t flags = random_flags(m) | PFA_GUARD;
	const unsigned order = random_order(m);
	pfa_pfn pfn;
	int err = pfa_alloc(m->rig.pfa, order, flags, &pfn);
	if (rig_level != 3 || order + 2 > m->rig.cfg.max_order) {
		MUST_EQ(err, rig_level != 3 ? PFA_ENOTSUP : PFA_EINVAL);
		return;
	}
	if (err != PFA_OK) {
		judge_refusal(m, err, order + 2, flags, everywhere);
		return;
	}
	model_grant(m, pfn, order, flags);
	zone_is_eligible(m, pfn, flags);
	const pfa_pfn guards[2] = {pfn - 1, pfn + ((pfa_pfn)1 << order)};
	for (unsigned i = 0; i < 2; i++) {
		MUST_EQ(*at(m, guards[i]), M_FREE);
		*at(m, guards[i]) = i ? M_GUARD_ABOVE : M_GUARD_BELOW;
		if (m->rig.cfg.poison != PFA_POISON_ZERO) /* that would be found */
			m->dirty[guards[i] - m->first] = 1; /* its user writes over the end */
		m->allocated[m->zone[pfn - m->first]]++;
	}
}

static void op_window(struct model *m)
{
	const uint32_t flags = random_flags(m);
	const unsigned order = random_order(m);
	struct pfa_run window;
	pfa_pfn pfn;
	window.first = m->first + rng_below(&m->rng, MAX_SPAN);
	window.nr_frames = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 2) ? 2000 : 2u << order);
	if (rng_one_in(&m->rng, 3)) /* ends one frame before a block does */
		window.nr_frames += ((size_t)1 << order) - 1 - ((window.first + window.nr_frames) & (((size_t)1 << order) - 1));
	window.nr_frames += !window.nr_frames;
	int err = pfa_alloc_window(m->rig.pfa, order, flags, window, &pfn);
	if (err != PFA_OK) {
		judge_refusal(m, err, order, flags, window);
		return;
	}
	MUST(pfn >= window.first && pfn + ((size_t)1 << order) <= window.first + window.nr_frames);
	model_grant(m, pfn, order, flags);
	zone_is_eligible(m, pfn, flags);
}

static void op_exact(struct model *m)
{
	const uint32_t flags = random_flags(m);
	const size_t nr = 1 + rng_below(&m->rng, (size_t)1 << m->rig.cfg.max_order);
	unsigned align = rng_one_in(&m->rng, 2) ? 0 : random_order(m), order = align;
	pfa_pfn pfn;
	int err = pfa_alloc_exact(m->rig.pfa, nr, align, flags, &pfn);
	while ((size_t)1 << order < nr)
		order++;
	if (err != PFA_OK) {
		judge_refusal(m, err, order, flags, everywhere);
		return;
	}
	MUST_EQ(pfn & (((size_t)1 << align) - 1), 0);
	for (size_t i = 0; i < nr; i++)
		model_grant(m, pfn + i, 0, flags);
	zone_is_eligible(m, pfn, flags);
}

static void op_bulk(struct model *m)
{
	const uint32_t flags = random_flags(m);
	const unsigned order = random_order(m);
	pfa_pfn pfns[64];
	size_t nr = rng_below(&m->rng, 64), got = 99;
	int err = pfa_alloc_bulk(m->rig.pfa, order, flags, nr, pfns, &got);
	MUST((err == PFA_OK) == (got == nr) && got <= nr);
	for (size_t i = 0; i < got; i++) {
		model_grant(m, pfns[i], order, flags);
		zone_is_eligible(m, pfns[i], flags);
	}
	if (err != PFA_OK)
		judge_refusal(m, err, order, flags, everywhere);
}

static void op_free(struct model *m)
{
	if (!m->nr_heads)
		return;
	size_t i = rng_below(&m->rng, m->nr_heads);
	MUST_EQ(pfa_free(m->rig.pfa, m->heads[i], order_of(m, m->heads[i])), PFA_OK);
	model_give(m, i);
}

static void op_free_bulk(struct model *m)
{
	pfa_pfn pfns[64];
	size_t nr = 0, done = 99;
	if (!m->nr_heads)
		return;
	const unsigned order = order_of(m, m->heads[rng_below(&m->rng, m->nr_heads)]);
	for (size_t i = 0; i < m->nr_heads && nr < 64; i++)
		if (order_of(m, m->heads[i]) == order && !rng_one_in(&m->rng, 3))
			pfns[nr++] = m->heads[i];
	MUST_EQ(pfa_free_bulk(m->rig.pfa, order, nr, pfns, &done), PFA_OK);
	MUST_EQ(done, nr);
	for (size_t i = 0; i < nr; i++)
		model_give(m, find_head(m, pfns[i]));
}

static void op_split(struct model *m)
{
	if (!m->nr_heads)
		return;
	size_t i = rng_below(&m->rng, m->nr_heads);
	pfa_pfn pfn = m->heads[i];
	const unsigned order = order_of(m, pfn), to = (unsigned)rng_below(&m->rng, order + 1);
	MUST_EQ(pfa_split(m->rig.pfa, pfn, order, to), PFA_OK);
	model_drop(m, i);
	for (size_t off = 0; off < (size_t)1 << order; off += (size_t)1 << to)
		model_take(m, pfn + off, to);
}

/* A run of adjacent blocks goes back at once; also over a seam of zones. */
static void op_free_range(struct model *m)
{
	if (!m->nr_heads)
		return;
	pfa_pfn first = m->heads[rng_below(&m->rng, m->nr_heads)], end = first;
	const size_t want = 1 + rng_below(&m->rng, 300);
	while (end - m->first < MAX_SPAN && *at(m, end) == M_HEAD && end - first < want)
		end += (size_t)1 << order_of(m, end);
	MUST_EQ(pfa_free_range(m->rig.pfa, first, end - first), PFA_OK);
	while (first < end) {
		size_t nr = (size_t)1 << order_of(m, first);
		model_give(m, find_head(m, first));
		first += nr;
	}
}

/* What the fault must be for (pfn, order), which is no live block of the model. */
static bool kind_is_right(struct model *m, pfa_pfn pfn, unsigned order, enum pfa_fault_kind kind)
{
	const bool inside = pfn >= m->first && pfn - m->first < MAX_SPAN;
	const struct pfa_frame_info info = rig_info(&m->rig, pfn);
	if (!inside || info.zone == PFA_ZONES_LIMIT)
		return kind == PFA_FAULT_OUT_OF_RANGE;
	if (order > m->rig.cfg.max_order)
		return kind == PFA_FAULT_ORDER_LIMIT;
	if (*at(m, pfn) == M_ABSENT)
		return kind == PFA_FAULT_HOLE;
	if (*at(m, pfn) == M_GUARD_BELOW || *at(m, pfn) == M_GUARD_ABOVE)
		return kind == PFA_FAULT_GUARD;
	if (pfn & (((size_t)1 << order) - 1))
		return kind == PFA_FAULT_MISALIGNED;
	switch (*at(m, pfn)) {
	case M_HEAD: return kind == PFA_FAULT_WRONG_ORDER;
	case M_TAIL: return kind == PFA_FAULT_TAIL;
	default: break;
	}
	/* free: in the zone or in a cache (the inside of a cached block looks like a tail) */
	if (m->rig.cfg.hardening == 3 && (kind == PFA_FAULT_DOUBLE_FREE_QUARANTINED || kind == PFA_FAULT_TAIL))
		return true;
	return kind == PFA_FAULT_DOUBLE_FREE || (m->has_caches && (kind == PFA_FAULT_DOUBLE_FREE_CACHED || kind == PFA_FAULT_TAIL));
}

static void op_misuse(struct model *m)
{
	pfa_pfn pfn = m->first - 5 + rng_below(&m->rng, MAX_SPAN + 10);
	unsigned order = (unsigned)rng_below(&m->rng, m->rig.cfg.max_order + 2);
	if (!RIG_HARDENED || (pfn >= m->first && pfn - m->first < MAX_SPAN && *at(m, pfn) == M_HEAD && order_of(m, pfn) == order))
		return;
	const unsigned before = m->rig.fault.nr;
	m->nr_misused++;
	int err = rng_one_in(&m->rng, 3) ? pfa_split(m->rig.pfa, pfn, order, 0) : pfa_free(m->rig.pfa, pfn, order);
	MUST_EQ(err, PFA_EMISUSE);
	MUST_EQ(m->rig.fault.nr, before + 1);
	if (!kind_is_right(m, pfn, order, m->rig.fault.kind))
		rig_fail(__FILE__, __LINE__, "pfn %zu, order %u: wrong reason: %s", pfn, order, m->rig.fault.message);
}

/* A range that is not wholly ours: refused, and everything is as it was. */
static void op_misuse_range(struct model *m)
{
	pfa_pfn first = m->first + rng_below(&m->rng, MAX_SPAN), end = first;
	const size_t nr = 1 + rng_below(&m->rng, 200);
	bool ours = true;
	while (ours && end < first + nr) {
		ours = end - m->first < MAX_SPAN && *at(m, end) == M_HEAD;
		end += ours ? (size_t)1 << order_of(m, end) : 0;
	}
	if (!RIG_HARDENED || (ours && end == first + nr))
		return;
	m->nr_misused++;
	MUST_EQ(pfa_free_range(m->rig.pfa, first, nr), PFA_EMISUSE);
}

/* No cached block of this zone reaches into the pageblock of pfn. */
static void pageblock_is_not_cached(struct model *m, pfa_pfn pfn, const struct pfa_zone_config *z)
{
	const size_t pb = (size_t)1 << m->rig.cfg.pageblock_order;
	pfa_pfn first = pfn / pb * pb;
	for (pfa_pfn head = z->start; head < z->start + z->nr_frames && head < first + pb; head++) {
		struct pfa_frame_info info = rig_info(&m->rig, head);
		if (info.state == PFA_FRAME_CACHED || info.state == PFA_FRAME_QUARANTINE)
			MUST(head + ((size_t)1 << info.order) <= first);
	}
}

static void op_caches(struct model *m)
{
	switch (rng_below(&m->rng, 4)) {
	case 0:
		MUST_EQ(pfa_cache_drain(m->rig.pfa, (uint32_t)rng_below(&m->rng, m->rig.cfg.nr_cpus)), PFA_OK);
		break;
	case 1: {
		const struct pfa_zone_config *z = &m->rig.zones[rng_below(&m->rng, m->rig.cfg.nr_zones)];
		const pfa_pfn pfn = z->start + rng_below(&m->rng, z->nr_frames);
		MUST_EQ(pfa_cache_purge(m->rig.pfa, pfn), PFA_OK);
		pageblock_is_not_cached(m, pfn, z);
		break;
	}
	case 2:
		if (m->disabled < 3) {
			MUST_EQ(pfa_cache_disable(m->rig.pfa), PFA_OK);
			m->disabled++;
		}
		break;
	default:
		MUST_EQ(pfa_cache_enable(m->rig.pfa), m->disabled ? PFA_OK : PFA_EINVAL);
		m->disabled -= m->disabled != 0;
	}
}

static void op_service(struct model *m)
{
	uint64_t next;
	m->rig.now_ns += rng_below(&m->rng, 2 * PFA_SERVICE_IDLE_NS);
	int err = pfa_service(m->rig.pfa, 1 + (unsigned)rng_below(&m->rng, 4), &next);
	MUST(err == PFA_OK || err == PFA_EAGAIN);
}

/* ---- the run ------------------------------------------------------------------------------------------------------- */

static void (*const operations[])(struct model *) = {
	op_alloc, op_alloc, op_alloc, op_alloc, op_guarded, op_bulk, op_exact, op_window, op_split, op_misuse,
	op_misuse_range, op_caches, op_service, op_free, op_free, op_free, op_free_bulk, op_free_range,
};

static void compare(struct model *m)
{
	rig_check(&m->rig);
	for (unsigned zone = 0; zone < m->rig.cfg.nr_zones; zone++) {
		struct pfa_zone_stats s = rig_stats(&m->rig, zone);
		MUST_EQ(s.allocated, m->allocated[zone]);
		MUST(!m->disabled || s.cached + s.quarantined == 0);
		MUST(s.reserved_highatomic <= m->rig.zones[zone].highatomic_frames);
	}
}

/* Frames count as zero only if they are. */
static void compare_content(struct model *m)
{
	for (size_t i = 0; i < MAX_SPAN; i++)
		if (m->dirty[i] && *at(m, m->first + i) == M_FREE && rig_info(&m->rig, m->first + i).known_zero)
			rig_fail(__FILE__, __LINE__, "frame %zu counts as zero, and is not", m->first + i);
}

static void run_seed(struct model *m, uint64_t seed, unsigned steps)
{
	const size_t nr = sizeof(operations) / sizeof(operations[0]);
	model_start(m, seed);
	compare(m);
	for (unsigned step = 0; step < steps; step++) {
		/* in waves: mostly taking, mostly giving back */
		size_t op = rng_below(&m->rng, nr);
		if (step / 100 % 2 && op < 6 && rng_one_in(&m->rng, 2))
			op = nr - 1 - op % 3;
		m->rig.cpu = (uint32_t)rng_below(&m->rng, m->rig.cfg.nr_cpus + 1);
		operations[op](m);
		compare(m);
		if (step % 32 == 31)
			compare_content(m);
	}
	while (m->disabled--)
		MUST_EQ(pfa_cache_enable(m->rig.pfa), PFA_OK);
	while (m->nr_heads) {
		MUST_EQ(pfa_free(m->rig.pfa, m->heads[0], order_of(m, m->heads[0])), PFA_OK);
		model_give(m, 0);
	}
	rig_stop(&m->rig);
}

static uint64_t current_seed;

static void name_the_seed(const char *file, int line, const char *message)
{
	(void)file;
	(void)line;
	(void)message;
	fprintf(stderr, "seed %llu; again with: --seed %llu --seeds 1\n", (unsigned long long)current_seed,
	        (unsigned long long)current_seed);
	fflush(NULL);
	abort();
}

static int usage(FILE *f, int code)
{
	fputs("usage: test_random_model [--seed N] [--seeds N] [--steps N] [--seconds N] [--prot-none]\n"
	      "                         [--cpu=op|none|offset] [--level=1|2|3]\n"
	      "  --seed N     first seed (default 1)\n"
	      "  --seeds N    how many seeds, each a geometry of its own (default 400)\n"
	      "  --steps N    operations a seed (default 250)\n"
	      "  --seconds N  begin no further seed after this time (default 15; 0: no limit)\n"
	      "  --prot-none  with an untouchable pool\n"
	      "  --cpu=WAY    how instances learn the current cpu (default: by the seed)\n"
	      "  --level=N    hardening level (default: the library's)\n", f);
	return code;
}

int main(int argc, char **argv)
{
	bool every_way = true;
	unsigned long long seed = 1, seeds = 400, steps = 250, seconds = 15;
	static struct model m;
	size_t granted = 0, refused = 0, misused = 0;
	struct {
		const char *name;
		unsigned long long *value;
	} options[] = {{"--seed", &seed}, {"--seeds", &seeds}, {"--steps", &steps}, {"--seconds", &seconds}};
	for (int i = 1; i < argc; i++) {
		size_t k = 0;
		char *end;
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, 0);
		if (rig_option(argv[i])) {
			every_way &= strncmp(argv[i], "--cpu=", 6) != 0;
			continue;
		}
		while (k < 4 && strcmp(argv[i], options[k].name) != 0)
			k++;
		if (k == 4 || ++i == argc)
			return usage(stderr, 2);
		*options[k].value = strtoull(argv[i], &end, 0);
		if (*end || end == argv[i])
			return usage(stderr, 2);
	}
	rig_fail_hook = name_the_seed;
	const time_t begin = time(NULL);
	unsigned long long done = 0;
	for (; done < seeds && (!seconds || time(NULL) - begin < (time_t)seconds); done++) {
		current_seed = seed + done;
		if (every_way)
			rig_cpu_way = (enum rig_cpu_way)(current_seed % RIG_CPU_WAYS);
		run_seed(&m, current_seed, (unsigned)steps);
		granted += m.nr_granted;
		refused += m.nr_refused;
		misused += m.nr_misused;
	}
	printf("model: seeds %llu..%llu of %llu steps each: %zu blocks granted, %zu requests refused, %zu misuses%s\n",
	       seed, seed + done - 1, steps, granted, refused, misused, rig_prot_none ? ", pool PROT_NONE" : "");
	return done ? 0 : 2;
}
