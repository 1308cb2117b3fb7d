/* SPDX-License-Identifier: MIT */
#include "route.h"

/* A pageblock that lies in two zones is never freed into a cache: its route has room for one zone only. */
static bool route_shared(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	pfa_pfn first = z->origin + (pb << p->pb_order), end = first + ((size_t)1 << p->pb_order);
	if (first >= z->start && end <= z->end)
		return false;
	for (uint32_t i = 0; i < p->nr_zones; i++)
		if (&p->zones[i] != z && p->zones[i].start < end && p->zones[i].end > first)
			return true;
	return false;
}

void pfai_zone_doom_group(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t *first, size_t *end)
{
	unsigned order = p->cached_orders ? p->cached_orders - 1u : 0;
	order = order < z->top_order ? order : z->top_order;
	order = order > p->pb_order ? order : p->pb_order;
	size_t lo = rel >> order << order, hi = lo + ((size_t)1 << order), begin = z->start - z->origin;
	*first = (lo > begin ? lo : begin) >> p->pb_order; /* pageblocks before the zone have no route */
	*end = (hi < z->nr_rel ? hi : z->nr_rel) >> p->pb_order;
}

/* Is any pageblock held that a block which begins in this one, and which a cache could hold, may reach? Such a block must not be
 * cached either. */
static bool route_near_held(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	size_t first, end;
	if (PFAI_LIKELY(!z->st->nr_held))
		return false;
	pfai_zone_doom_group(p, z, pb << p->pb_order, &first, &end);
	for (; first < end; first++)
		if (pfai_pb_holder(&z->pb[first]))
			return true;
	return false;
}

uint8_t pfai_zone_route_locked(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	unsigned code = pfai_pb_code(&z->pb[pb]);
	if (!pfai_code_is_common(code) || (z->pb[pb].flags & (PFAI_PB_DOOMED | PFAI_PB_LENT)) || route_near_held(p, z, pb) ||
	    route_shared(p, z, pb))
		code = PFAI_ROUTE_SLOW;
	return (uint8_t)(z->id << PFAI_ROUTE_ZONE_SHIFT | code);
}

static inline void route_write(struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	size_t offset = pfai_offset_of_rel(z, pb << p->pb_order);
	pfai_store_relaxed(&p->routes[offset >> p->pb_order], pfai_zone_route_locked(p, z, pb));
}

/* The pageblock becomes, or no longer is, a CMA area's. Two areas side by side may have lent one block: where one has ended, the other
 * still wants what comes back of that. */
static void PFAI_COLD route_lend(struct pfa *p, struct pfai_zone *z, size_t pb, bool lent)
{
	bool near = false; /* is there another area's, which a block that a cache could hold may reach? */
	size_t first, end;
	pfai_zone_doom_group(p, z, pb << p->pb_order, &first, &end);
	for (size_t i = first; i < end; i++)
		near |= z->pb[i].code == PFAI_CODE_CMA;
	for (; first < end; first++) {
		const unsigned flags = z->pb[first].flags & ~PFAI_PB_LENT;
		if (first == pb || !near)
			z->pb[first].flags = (uint8_t)(near && !lent ? flags | PFAI_PB_LENT : flags);
		route_write(p, z, first);
	}
}

void pfai_zone_set_code_locked(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned code)
{
	const bool was = z->pb[pb].code == PFAI_CODE_CMA, lent = code == PFAI_CODE_CMA;
	z->pb[pb].code = (uint8_t)code;
	if (PFAI_UNLIKELY(lent != was))
		route_lend(p, z, pb, lent);
	else
		route_write(p, z, pb);
}

void pfai_zone_set_holder_locked(struct pfa *p, struct pfai_zone *z, size_t pb, uint32_t holder)
{
	size_t first, end;
	z->st->nr_held += holder ? (size_t)1 : (size_t)0 - 1;
	pfai_store_relaxed(&z->pb[pb].holder, holder);
	pfai_zone_doom_group(p, z, pb << p->pb_order, &first, &end);
	for (; first < end; first++)
		route_write(p, z, first);
}

void pfai_zone_route_doomed_locked(struct pfa *p, struct pfai_zone *z, size_t rel, bool doomed)
{
	size_t first, end;
	pfai_zone_doom_group(p, z, rel, &first, &end);
	if (!doomed && !pfai_map_is(z->doomed, first << p->pb_order, (end - first) << p->pb_order, false))
		return;
	for (size_t pb = first; pb < end; pb++) {
		unsigned flags = z->pb[pb].flags & ~PFAI_PB_DOOMED;
		z->pb[pb].flags = (uint8_t)(doomed ? flags | PFAI_PB_DOOMED : flags);
		pfai_zone_set_code_locked(p, z, pb, z->pb[pb].code);
	}
}

void pfai_zone_undoom_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames)
{
	for (size_t i = rel; z->st->nr_doomed && i < rel + nr_frames; i++) {
		if (!pfai_map_test(z->doomed, i))
			continue;
		pfai_map_fill(z->doomed, i, 1, false);
		z->st->nr_doomed--;
		pfai_zone_route_doomed_locked(p, z, i, false);
	}
}

void pfai_zone_lost_locked(struct pfa *p, struct pfai_zone *z, size_t pb)
{
	const size_t size = (size_t)1 << p->pb_order, first = pfai_offset_of_rel(z, pb << p->pb_order);
	if (z->pb[pb].code != PFAI_CODE_HIGHATOMIC || z->st->bad < size || z->st->reserved_high < size || size > p->span - first)
		return;
	/* From the end, where a block that comes back word by word arrives last. */
	for (size_t i = size; i--;)
		if (pfai_load_relaxed(&p->bytes[first + i]) != PFAI_BAD)
			return;
	pfai_zone_set_code_locked(p, z, pb, PFAI_CODE_MOVABLE);
	z->st->reserved_high -= size;
	z->st->events.unreserve++;
}
