/* SPDX-License-Identifier: MIT */
#include "fallback.h"

#include "place.h"

/* Lenders to each common type, in order. Unmovable and reclaimable memory stays apart from movable memory as long as
 * possible, since one unmovable frame keeps a whole pageblock from ever being emptied. */
static const uint8_t fallback_lenders[4][2] = {
	[PFAI_CODE_UNMOVABLE] = { PFAI_CODE_RECLAIMABLE, PFAI_CODE_MOVABLE },
	[PFAI_CODE_RECLAIMABLE] = { PFAI_CODE_UNMOVABLE, PFAI_CODE_MOVABLE },
	[PFAI_CODE_MOVABLE] = { PFAI_CODE_RECLAIMABLE, PFAI_CODE_UNMOVABLE },
};

static inline bool fallback_has(const struct pfai_zone *z, unsigned code, unsigned order)
{
	return z->st->nonempty[code] >> order != 0;
}

bool pfai_fallback_possible_locked(const struct pfai_zone *z, unsigned code, unsigned order, bool high)
{
	return fallback_has(z, PFAI_CODE_MOVABLE, order) || fallback_has(z, PFAI_CODE_UNMOVABLE, order) ||
	       fallback_has(z, PFAI_CODE_RECLAIMABLE, order) ||
	       (code == PFAI_CODE_MOVABLE && fallback_has(z, PFAI_CODE_CMA, order)) ||
	       (high && fallback_has(z, PFAI_CODE_HIGHATOMIC, order));
}

/* Is the block's pageblock of the type from whose index it came? False: the zone is marked. */
static inline bool fallback_is(const struct pfa *p, struct pfai_zone *z, size_t rel, unsigned code)
{
	if (PFAI_LIKELY(pfai_pb_code(pfai_pb_at(p, z, rel)) == code))
		return true;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return false;
}

/* Turns the lowest entirely free pageblock of the smallest fitting block into code. */
static bool fallback_claim(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order)
{
	unsigned at_least = order > p->pb_order ? order : p->pb_order;
	if (code == PFAI_CODE_MOVABLE || !fallback_has(z, PFAI_CODE_MOVABLE, at_least))
		return false;
	if (order <= p->pb_order) {
		size_t rel = pfai_zone_first_locked(p, z, PFAI_CODE_MOVABLE, at_least);
		if (rel == PFAI_NONE || !fallback_is(p, z, rel, PFAI_CODE_MOVABLE))
			return false;
		pfai_zone_retype_locked(p, z, rel >> p->pb_order, code);
	}
	z->st->events.claim++;
	return true;
}

/* Turns the pageblock of the lender's largest block into code, if half of it is free. */
static bool fallback_steal(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, unsigned lender)
{
	if (!fallback_has(z, lender, order))
		return false;
	unsigned largest = pfai_log2_32(z->st->nonempty[lender]);
	size_t rel = pfai_zone_first_locked(p, z, lender, largest);
	if (rel == PFAI_NONE || !fallback_is(p, z, rel, lender))
		return false;
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	size_t size = (size_t)1 << p->pb_order;
	if (largest > p->pb_order || size - pb->used < size / 2)
		return false;
	z->st->events.steal++;
	pfai_zone_retype_locked(p, z, rel >> p->pb_order, code);
	return true;
}

int pfai_fallback_prepare_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, bool high)
{
	if (fallback_has(z, code, order))
		return (int)code;
	if (code == PFAI_CODE_MOVABLE && fallback_has(z, PFAI_CODE_CMA, order))
		return PFAI_CODE_CMA;
	if (high && fallback_has(z, PFAI_CODE_HIGHATOMIC, order))
		return PFAI_CODE_HIGHATOMIC;
	if (fallback_claim(p, z, code, order))
		return order <= p->pb_order ? (int)code : PFAI_CODE_MOVABLE;
	for (unsigned i = 0; i < 2; i++)
		if (fallback_steal(p, z, code, order, fallback_lenders[code][i]))
			return (int)code;
	for (unsigned i = 0; i < 2; i++) {
		if (fallback_has(z, fallback_lenders[code][i], order)) {
			z->st->events.borrow++;
			return fallback_lenders[code][i];
		}
	}
	return -1;
}

size_t pfai_fallback_window_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order,
                                   bool high, size_t lo, size_t hi)
{
	size_t rel = pfai_zone_first_in_locked(p, z, code, order, lo, hi);
	if (rel == PFAI_NONE && code == PFAI_CODE_MOVABLE)
		rel = pfai_zone_first_in_locked(p, z, PFAI_CODE_CMA, order, lo, hi);
	if (rel == PFAI_NONE && high)
		rel = pfai_zone_first_in_locked(p, z, PFAI_CODE_HIGHATOMIC, order, lo, hi);
	for (unsigned i = 0; i < 2 && rel == PFAI_NONE; i++)
		rel = pfai_zone_first_in_locked(p, z, fallback_lenders[code][i], order, lo, hi);
	return rel;
}

void pfai_fallback_granted_locked(struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, unsigned order)
{
	if (order < p->pb_order || !pfai_code_is_common(pfai_zone_code_locked(z, pfai_pb_at(p, z, rel))))
		return;
	size_t first = rel >> p->pb_order, nr = (size_t)1 << (order - p->pb_order);
	for (size_t i = first; i < first + nr; i++)
		if (z->pb[i].code != code)
			pfai_zone_set_code_locked(p, z, i, code);
}

/* ---- HIGHATOMIC ------------------------------------------------------------------------------------------------ */

bool pfai_fallback_may_reserve_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order)
{
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	size_t size = (size_t)1 << p->pb_order;
	return order >= 1 && order <= p->pb_order && pfai_code_is_common(pfai_pb_code(pb)) && !(pb->flags & PFAI_PB_PARTIAL) &&
	       z->highatomic_limit >= size && z->st->reserved_high <= z->highatomic_limit - size;
}

void pfai_fallback_reserve_locked(struct pfa *p, struct pfai_zone *z, size_t rel)
{
	pfai_zone_retype_locked(p, z, rel >> p->pb_order, PFAI_CODE_HIGHATOMIC);
	z->st->reserved_high += (size_t)1 << p->pb_order;
	z->st->events.reserve++;
}

bool pfai_fallback_unreserve_locked(struct pfa *p, struct pfai_zone *z, unsigned code)
{
	uint32_t orders = z->st->nonempty[PFAI_CODE_HIGHATOMIC];
	if (!orders)
		return false;
	/* The one with the largest block: most likely to serve the request that is about to fail. */
	size_t rel = pfai_zone_first_locked(p, z, PFAI_CODE_HIGHATOMIC, pfai_log2_32(orders));
	size_t nr = 1;
	if (rel == PFAI_NONE || !fallback_is(p, z, rel, PFAI_CODE_HIGHATOMIC))
		return false; /* else giving up what is not reserved would never end */
	if (pfai_log2_32(orders) > p->pb_order)
		nr = (size_t)1 << (pfai_log2_32(orders) - p->pb_order);
	for (size_t i = 0; i < nr; i++) {
		size_t pb = (rel >> p->pb_order) + i;
		if (PFAI_UNLIKELY(!pfai_zone_must(p, z, z->st->reserved_high >> p->pb_order && z->pb[pb].code == PFAI_CODE_HIGHATOMIC)))
			return false;
		/* An entirely free pageblock binds no type. */
		pfai_zone_retype_locked(p, z, pb, z->pb[pb].used ? code : PFAI_CODE_MOVABLE);
		z->st->reserved_high -= (size_t)1 << p->pb_order;
		z->st->events.unreserve++;
	}
	return true;
}
