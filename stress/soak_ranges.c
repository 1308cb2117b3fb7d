/* SPDX-License-Identifier: MIT */
#include "soak_ranges.h"

/* ---- marks ------------------------------------------------------------------------------------------------------ */

void soak_mark(pfa_pfn first, size_t nr, uint8_t mark, bool on)
{
	_Atomic uint8_t *marks = soak.marks + (first - soak.geo.base);
	for (size_t i = 0; i < nr; i++) {
		if (on)
			atomic_fetch_or_explicit(&marks[i], mark, memory_order_relaxed);
		else
			atomic_fetch_and_explicit(&marks[i], (uint8_t)~mark, memory_order_relaxed);
	}
}

size_t soak_marked(pfa_pfn first, size_t nr, uint8_t mark)
{
	size_t rel = first - soak.geo.base, marked = 0;
	for (size_t i = 0; i < nr; i++)
		marked += (atomic_load_explicit(&soak.marks[rel + i], memory_order_relaxed) & mark) != 0;
	return marked;
}

void soak_marks_renew(void)
{
	for (size_t i = 0; i < soak.geo.span; i++) {
		uint8_t mark = atomic_load_explicit(&soak.marks[i], memory_order_relaxed);
		mark &= SOAK_MARK_AREA | SOAK_MARK_AWAY;
		mark |= mark & SOAK_MARK_AREA ? SOAK_MARK_MAYBE_AREA : 0;
		mark |= mark & SOAK_MARK_AWAY ? SOAK_MARK_MAYBE_AWAY : 0;
		atomic_store_explicit(&soak.marks[i], mark, memory_order_relaxed);
	}
}

/* ---- ranges ----------------------------------------------------------------------------------------------------- */

pfa_pfn soak_floor(pfa_pfn pfn)
{
	return pfn >> soak.geo.config.pageblock_order << soak.geo.config.pageblock_order;
}

struct soak_range soak_range_of(pfa_pfn start, pfa_pfn end)
{
	struct soak_range r = {.start = start, .end = end, .zone = SOAK_ABSENT};
	size_t from = start - soak.geo.base, to = end - soak.geo.base;
	if (soak.attr[from] != SOAK_ABSENT && soak.attr[to - 1] != SOAK_ABSENT && soak_zone_of(start) == soak_zone_of(end - 1))
		r.zone = soak_zone_of(start);
	for (size_t i = from; i < to; i++)
		r.holes = r.holes || soak.attr[i] == SOAK_ABSENT;
	return r;
}

struct soak_range soak_range_pick(struct soak_slot *slot, uint32_t most)
{
	const uint32_t pb = 1u << soak.geo.config.pageblock_order, span = (uint32_t)soak.geo.span;
	uint32_t rel = soak_below(&slot->rng, span), nr = 1 + soak_below(&slot->rng, most);
	pfa_pfn start = soak.geo.base + rel;
	if (soak_chance(&slot->rng, 50) && soak_floor(start) >= soak.geo.base) {
		start = soak_floor(start);
		nr = soak_chance(&slot->rng, 70) ? (nr + pb - 1) & ~(pb - 1) : nr;
	}
	rel = (uint32_t)(start - soak.geo.base);
	nr = nr < span - rel ? nr : span - rel;
	return soak_range_of(start, start + nr);
}

/* Is a frame reserved for contiguous runs, or has it been since the last rest? It is the first one of its pageblock in the zone. */
static bool range_reserved(pfa_pfn pfn)
{
	size_t rel = pfn - soak.geo.base;
	return rel < soak.geo.span && soak.attr[rel] != SOAK_ABSENT &&
	       ((soak.attr[rel] & SOAK_IN_CMA) || soak_marked(pfn, 1, SOAK_MARK_MAYBE_AREA));
}

static bool range_reason_fits(const struct soak_range *r, uint32_t flags, int rc, struct pfa_blocker why)
{
	const bool fixed = flags & (PFA_NOMIGRATE | PFA_NOWAIT);
	switch (rc) {
	case PFA_OK:
		return why.reason == PFA_BLOCKER_NONE;
	case PFA_EBUSY:
		if (why.reason == PFA_BLOCKER_TYPE)
			return !(flags & PFA_CMA) && range_reserved(why.pfn);
		return why.reason == PFA_BLOCKER_HELD || why.reason == PFA_BLOCKER_UNMOVABLE || why.reason == PFA_BLOCKER_PINNED ||
		       why.reason == PFA_BLOCKER_REFUSED || why.reason == PFA_BLOCKER_BUSY;
	case PFA_EAGAIN:
		return fixed && (why.reason == PFA_BLOCKER_MOVABLE || why.reason == PFA_BLOCKER_BUSY);
	case PFA_ENOMEM:
		return !fixed && why.reason == PFA_BLOCKER_NOMEM;
	case PFA_ERANGE:
		return why.reason == PFA_BLOCKER_RANGE &&
		       (r->holes || r->zone == SOAK_ABSENT || soak_marked(r->start, r->end - r->start, SOAK_MARK_MAYBE_AWAY));
	default:
		return false;
	}
}

void soak_judge_range(const char *what, const struct soak_range *r, uint32_t flags, int rc, struct pfa_blocker why)
{
	if (!range_reason_fits(r, flags, rc, why))
		soak_fail("isolation", "%s of [%zu, %zu), flags %#x: %s because of frame %zu, reason %d", what, r->start, r->end, flags,
		          pfa_error_name(rc), why.pfn, (int)why.reason);
}
