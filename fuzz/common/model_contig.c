/* SPDX-License-Identifier: MIT
 *
 * model_contig.c - see model_contig.h.
 */
#include "model_contig.h"
#include "model_internal.h"

/* ---- holds --------------------------------------------------------------------------------------------------------- */

size_t model_isolated(const struct model *m, unsigned zone, size_t *cma)
{
	const struct model_zone *z = &m->zone[zone];
	size_t nr = 0;

	*cma = 0;
	for (size_t i = 0; i < z->nr && z->held; i++) {
		const size_t pb = model_pageblock(m, zone, z->start + i);
		const bool counts = m->held[pb] && m->state[z->base + i] == MODEL_FREE;
		nr += counts;
		*cma += counts && m->type[pb] == PFA_TYPE_CMA;
	}
	return nr;
}

/* Frame pfn rounded to the pageblock, and into the zone. */
static pfa_pfn contig_first(const struct model *m, unsigned zone, pfa_pfn pfn)
{
	const pfa_pfn first = pfn >> m->pageblock_order << m->pageblock_order;
	return first > m->zone[zone].start ? first : m->zone[zone].start;
}

pfa_pfn model_next_pb(const struct model *m, pfa_pfn pfn)
{
	return ((pfn >> m->pageblock_order) + 1) << m->pageblock_order;
}

static pfa_pfn contig_zone_end(const struct model *m, unsigned zone)
{
	return m->zone[zone].start + m->zone[zone].nr;
}

void model_hold(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t token)
{
	for (pfa_pfn at = start; at < end; at = model_next_pb(m, at)) {
		uint32_t *held = &m->held[model_pageblock(m, zone, at)];
		m->zone[zone].held += (size_t)(token != 0) - (size_t)(*held != 0);
		*held = token;
	}
}

bool model_any_held(const struct model *m)
{
	for (unsigned zone = 0; zone < m->nr_zones; zone++)
		if (m->zone[zone].held)
			return true;
	return false;
}

bool model_held_span(const struct model *m, uint32_t token, pfa_pfn *start, pfa_pfn *end)
{
	bool found = false;

	for (unsigned zone = 0; zone < m->nr_zones; zone++) {
		const pfa_pfn last = contig_zone_end(m, zone);
		for (pfa_pfn at = m->zone[zone].start; at < last && m->zone[zone].held; at = model_next_pb(m, at)) {
			if (m->held[model_pageblock(m, zone, at)] != token)
				continue;
			if (!found)
				*start = at;
			found = true;
			*end = model_next_pb(m, at) < last ? model_next_pb(m, at) : last;
		}
	}
	return found;
}

/* ---- what is in the way -------------------------------------------------------------------------------------------- */

struct model_answer model_blocked(unsigned zone, int code, enum pfa_blocker_reason reason, pfa_pfn pfn)
{
	return (struct model_answer){ .code = code, .why = { reason, pfn }, .zone = zone };
}

struct model_answer model_expect_bounds(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	size_t index;
	const unsigned zone = model_zone_of(m, start, &index);

	if (start >= end)
		return model_blocked(zone, PFA_EINVAL, PFA_BLOCKER_NONE, start);
	if (zone == m->nr_zones)
		return model_blocked(zone, PFA_ERANGE, PFA_BLOCKER_RANGE, start);
	if (end > contig_zone_end(m, zone))
		return model_blocked(zone, PFA_ERANGE, PFA_BLOCKER_RANGE, contig_zone_end(m, zone));
	return model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, start);
}

pfa_pfn model_head(const struct model *m, const struct model_movables *mm, pfa_pfn pfn, unsigned *slot)
{
	size_t index;

	*slot = MODEL_NO_BLOCK;
	(void)model_zone_of(m, pfn, &index);
	while (m->state[index] == MODEL_TAIL) { /* a block lies in one zone */
		index--;
		pfn--;
	}
	if (m->state[index] == MODEL_HEAD && m->mobile[index] && mm)
		*slot = model_movable_at(mm, pfn);
	return pfn;
}

enum pfa_blocker_reason model_unmoving(const struct model_movables *mm, unsigned slot)
{
	const struct model_movable *b = &mm->block[slot];

	if (b->pins)
		return PFA_BLOCKER_PINNED;
	return b->holder || b->isolated ? PFA_BLOCKER_BUSY : PFA_BLOCKER_NONE;
}

struct model_answer model_look(const struct model *m, unsigned zone, pfa_pfn pfn, bool fixed, pfa_pfn *next)
{
	unsigned slot;
	size_t index;
	const pfa_pfn head = model_head(m, NULL, pfn, &slot);

	(void)model_zone_of(m, head, &index);
	*next = pfn + 1;
	switch ((enum model_state)m->state[index]) {
	case MODEL_ABSENT:
	case MODEL_OFFLINE:
		return model_blocked(zone, PFA_ERANGE, PFA_BLOCKER_RANGE, pfn);
	case MODEL_BAD: {
		struct model_answer a = model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_BAD, pfn);
		a.loose = m->doomed[index] == 2;
		return a;
	}
	case MODEL_HEAD:
		*next = head + model_pow2(m->order[index]);
		if (!m->mobile[index])
			return model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_UNMOVABLE, head);
		if (fixed)
			return model_blocked(zone, PFA_EAGAIN, PFA_BLOCKER_MOVABLE, head);
		break;
	default:
		break;
	}
	return model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, pfn);
}

bool model_fixed(uint32_t flags)
{
	return (flags & (PFA_NOMIGRATE | PFA_NOWAIT)) != 0;
}

struct model_answer model_holders(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, bool cma)
{
	for (pfa_pfn at = start; at < end; at = model_next_pb(m, at)) {
		const size_t pb = model_pageblock(m, zone, at);
		if (m->held[pb])
			return model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_HELD, contig_first(m, zone, at));
		if (!cma && m->type[pb] == PFA_TYPE_CMA)
			return model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_TYPE, contig_first(m, zone, at));
	}
	return model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, start);
}

pfa_pfn model_first(const struct model *m, unsigned zone, pfa_pfn at, pfa_pfn end, unsigned states, bool in)
{
	const struct model_zone *z = &m->zone[zone];

	while (at < end && ((states >> m->state[z->base + (at - z->start)] & 1u) != 0) != in)
		at++;
	return at;
}

struct model_answer model_expect_emptied(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t flags, unsigned passed)
{
	struct model_answer a;
	bool loose = false;

	for (pfa_pfn at = model_first(m, zone, start, end, passed, false), next; at < end; at = model_first(m, zone, next, end, passed, false)) {
		a = model_look(m, zone, at, model_fixed(flags), &next);
		loose |= a.loose;
		if (a.code != PFA_OK && !a.loose) {
			a.loose = loose;
			return a;
		}
	}
	a = model_holders(m, zone, start, end, (flags & PFA_CMA) != 0);
	if (a.code == PFA_OK && loose)
		a = model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_BAD, start);
	a.loose = loose;
	return a;
}

struct model_answer model_expect_contig(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	const struct model_answer a = model_expect_bounds(m, start, end);

	return a.code == PFA_EINVAL || a.code == PFA_ERANGE ? a : model_expect_emptied(m, a.zone, start, end, flags, 0);
}

struct model_answer model_expect_left(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end)
{
	const unsigned zone = model_expect_bounds(m, start, end).zone;
	size_t index;
	unsigned slot;

	for (pfa_pfn at = start; at < end; at++) {
		const pfa_pfn head = model_head(m, mm, at, &slot);
		if (slot != MODEL_NO_BLOCK && model_unmoving(mm, slot) != PFA_BLOCKER_NONE)
			return model_blocked(zone, PFA_EBUSY, model_unmoving(mm, slot), head);
	}
	for (pfa_pfn at = start; at < end; at++) { /* looked for when all else is out of the way; they end with their blocks */
		(void)model_zone_of(m, at, &index);
		if (m->state[index] == MODEL_GUARD && (m->order[index] ? at == start : at + 1 == end))
			return model_blocked(zone, PFA_EBUSY, PFA_BLOCKER_UNMOVABLE, at);
	}
	return model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, start);
}

/* A used block that reaches over the pageblocks' border at pfn. */
static struct model_answer contig_edge(const struct model *m, const struct model_movables *mm, unsigned zone, pfa_pfn pfn, bool fixed)
{
	struct model_answer a = model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, pfn);
	unsigned slot;
	size_t index;
	pfa_pfn next;

	if (pfn <= m->zone[zone].start || pfn >= contig_zone_end(m, zone))
		return a;
	(void)model_zone_of(m, pfn, &index);
	if (m->state[index] != MODEL_TAIL)
		return a;
	a = model_look(m, zone, pfn, fixed, &next);
	if (a.code == PFA_OK) {
		const pfa_pfn head = model_head(m, mm, pfn, &slot);
		if (slot != MODEL_NO_BLOCK && model_unmoving(mm, slot) != PFA_BLOCKER_NONE)
			a = model_blocked(zone, PFA_EBUSY, model_unmoving(mm, slot), head);
	}
	return a;
}

struct model_answer model_expect_isolate(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end,
                                         uint32_t flags)
{
	struct model_answer a = model_expect_bounds(m, start, end);

	if (a.code != PFA_OK)
		return a;
	const unsigned zone = a.zone;
	a = model_holders(m, zone, start, end, true);
	if (a.code == PFA_OK)
		a = contig_edge(m, mm, zone, contig_first(m, zone, start), model_fixed(flags));
	if (a.code == PFA_OK)
		a = contig_edge(m, mm, zone, model_next_pb(m, end - 1), model_fixed(flags));
	return a;
}

struct model_answer model_expect_undo(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t token)
{
	struct model_answer a = model_expect_bounds(m, start, end);

	if (a.code != PFA_OK)
		return a;
	for (pfa_pfn at = start; at < end; at = model_next_pb(m, at))
		if (!token || m->held[model_pageblock(m, a.zone, at)] != token)
			return model_blocked(a.zone, PFA_EMISUSE, PFA_BLOCKER_NONE, contig_first(m, a.zone, at));
	return a;
}

struct model_answer model_expect_test(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t token)
{
	struct model_answer a = model_expect_undo(m, start, end, token);
	size_t index;

	if (a.code != PFA_OK)
		return a;
	for (pfa_pfn at = start, next; at < end; at = next) {
		struct model_answer here = model_look(m, a.zone, at, true, &next);
		(void)model_zone_of(m, at, &index);
		if (m->state[index] == MODEL_GUARD)
			return model_blocked(a.zone, PFA_EBUSY, PFA_BLOCKER_UNMOVABLE, at);
		if (here.code == PFA_EAGAIN)
			here.code = PFA_EBUSY;
		if (here.code != PFA_OK) {
			here.loose = false; /* nothing of a held pageblock rests */
			return here;
		}
	}
	return a;
}

/* ---- searching ----------------------------------------------------------------------------------------------------- */

/* All of [pfn, pfn + nr) is un-owned, of the zone, and in pageblocks that the flags allow. */
static bool contig_unowned(const struct model *m, unsigned zone, pfa_pfn pfn, size_t nr, uint32_t flags)
{
	const struct model_zone *z = &m->zone[zone];

	if (pfn < z->start || pfn - z->start > z->nr || nr > z->nr - (pfn - z->start))
		return false;
	return model_same(m->state + z->base + (pfn - z->start), nr, MODEL_FREE) == nr &&
	       model_holders(m, zone, pfn, pfn + nr, (flags & PFA_CMA) != 0).code == PFA_OK;
}

/* Behind the block that is in the way at pfn, but not before at + 1. */
static pfa_pfn contig_behind(const struct model *m, pfa_pfn pfn, pfa_pfn at)
{
	size_t index;
	pfa_pfn behind = pfn + 1;

	if (model_zone_of(m, pfn, &index) < m->nr_zones && m->state[index] == MODEL_HEAD)
		behind = pfn + model_pow2(m->order[index]);
	return behind > at ? behind : at + 1;
}

/* Does one of the places that are tried in this pageblock, each behind what is in the way of the one before, begin an un-owned run? */
static bool contig_place(const struct model *m, unsigned zone, pfa_pfn first, size_t nr, size_t align, uint32_t flags)
{
	pfa_pfn at = (first + (align - 1)) & ~(pfa_pfn)(align - 1);

	for (unsigned tries = 0; tries < PFA_CONTIG_PLACES && at >= first && at < model_next_pb(m, first); tries++) {
		if (contig_unowned(m, zone, at, nr, flags))
			return true;
		const struct model_answer a = model_expect_contig(m, at, at + nr, flags);
		if (a.loose || (a.why.reason != PFA_BLOCKER_UNMOVABLE && a.why.reason != PFA_BLOCKER_MOVABLE && a.why.reason != PFA_BLOCKER_RANGE) ||
		    a.why.pfn >= contig_zone_end(m, zone))
			return false; /* what comes of this one is not known here, or lies behind the zone */
		at = (contig_behind(m, a.why.pfn, at) + (align - 1)) & ~(pfa_pfn)(align - 1);
	}
	return false;
}

bool model_empty_window(const struct model *m, unsigned zone, size_t nr, size_t align, uint32_t flags)
{
	const struct model_zone *z = &m->zone[zone];
	const pfa_pfn end = contig_zone_end(m, zone);
	const size_t width = ((nr - 1) >> m->pageblock_order) + 1;

	for (pfa_pfn at = z->start; at < end && nr <= z->nr; at = model_next_pb(m, at)) {
		const pfa_pfn place = (at + align - 1) & ~(pfa_pfn)(align - 1), stop = ((at >> m->pageblock_order) + width) << m->pageblock_order;
		if (place < at || place >= model_next_pb(m, at) || stop > end || !contig_unowned(m, zone, at, stop - at, flags))
			continue;
		return contig_unowned(m, zone, place, nr, flags); /* the first of them */
	}
	return false;
}

bool model_must_find(const struct model *m, size_t nr, size_t align, uint32_t flags, const struct pfa_zone_stats stats[])
{
	const unsigned first = PFA_ZONE_OF(flags), last = flags & PFA_EXACT_ZONE ? first + 1 : m->nr_zones;

	for (unsigned zone = first; zone < last; zone++) {
		const struct model_zone *z = &m->zone[zone];
		if (nr > z->nr || z->nr_pb > PFA_CONTIG_WINDOWS)
			continue;
		if (z->fading && stats[zone].quarantined)
			continue;
		for (pfa_pfn at = z->start; at < contig_zone_end(m, zone); at = model_next_pb(m, at)) {
			if (contig_place(m, zone, at, nr, align, flags))
				return true;
		}
	}
	return false;
}

/* ---- afterwards ---------------------------------------------------------------------------------------------------- */

bool model_judge_edges(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, struct verdict *v)
{
	const pfa_pfn edges[] = { contig_first(m, zone, start), model_next_pb(m, end - 1) };
	size_t index;

	for (unsigned i = 0; i < 2; i++)
		if (edges[i] < contig_zone_end(m, zone) && model_zone_of(m, edges[i], &index) == zone && m->state[index] == MODEL_TAIL)
			return model_say(v, "I4 edge", "a used block reaches over the edge of isolated pageblocks", zone, edges[i], 0, 1);
	return true;
}

bool model_judge_census(const struct model *m, unsigned zone, pfa_pfn pfn, enum pfa_type was, enum pfa_type is, struct verdict *v)
{
	const size_t pb = model_pageblock(m, zone, pfn);
	const bool emptied = m->fewest_in[pb] == 0 && is == PFA_TYPE_MOVABLE && was != PFA_TYPE_CMA;

	return was == is || emptied ||
	       model_say(v, "I11 census", "a pageblock that was held is of another type than before", zone, pfn, was, is);
}
