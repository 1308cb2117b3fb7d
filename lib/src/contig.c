/* SPDX-License-Identifier: MIT
 *
 * Contiguous ranges: hold the pageblocks, move away what is movable, take exactly the range, give the pageblocks up. While they are
 * held nobody else can take a frame of them, so that a range that was found free stays so; only a frame that is marked bad is
 * still taken out, which is met when the range is taken.
 */
#include <pfa/contig.h>

#include "closed.h"
#include "contig.h"
#include "evacuate.h"
#include "hook.h"

#define CONTIG_FLAGS (PFA_ZERO | PFA_NOWAIT | PFA_NOMIGRATE | PFA_CMA)

/* Rels [lo, hi) of one pageblock become frames of order 0. False: one is not free; nothing was taken. */
static bool contig_take_locked(struct pfa *p, struct pfai_zone *z, size_t lo, size_t hi, bool *zero)
{
	size_t nr = hi - lo, offset = pfai_offset_of_rel(z, lo);
	if (!pfai_map_is(z->not_free, lo, nr, false))
		return false;
	*zero = *zero && pfai_zone_known_zero_locked(p, z, lo, nr);
	for (size_t at = lo; at < hi;) {
		unsigned order = pfai_natural_order(at, hi - at, z->top_order);
		if (!pfai_zone_is_free_locked(p, z, at, order))
			return false; /* damage */
		pfai_zone_take_locked(p, z, at, order);
		at += (size_t)1 << order;
	}
	for (size_t i = 0; i < nr; i++)
		pfai_store_relaxed(&p->bytes[offset + i], PFAI_HEAD);
	z->st->direct_allocs += nr;
	pfai_zone_steps(z, nr);
	return true;
}

/* Rels [lo, hi), which were taken, go back. */
static void contig_give_back(struct pfa *p, struct pfai_zone *z, size_t lo, size_t hi)
{
	while (lo < hi) {
		size_t stop = ((lo >> p->pb_order) + 1) << p->pb_order;
		stop = stop < hi ? stop : hi;
		if (!pfai_zone_lock(p, z))
			return; /* cannot be: it could be had before (pfai_zone_lockable()) */
		for (size_t rel = lo; rel < stop; rel++)
			pfai_store_relaxed(&p->bytes[pfai_offset_of_rel(z, rel)], PFAI_NOTHING);
		pfai_zone_put_run_locked(p, z, lo, stop - lo, false);
		z->st->direct_frees += stop - lo;
		pfai_zone_unlock(p, z);
		lo = stop;
	}
}

/* Takes all of rels [lo, hi), or none. @return PFA_OK; as pfai_evacuate(). */
static int contig_take(struct pfai_evacuation *e, size_t lo, size_t hi, bool *zero)
{
	struct pfa *p = e->p;
	struct pfai_zone *z = e->z;
	int result = pfai_evacuated(e, lo, hi);
	*zero = true;
	for (size_t at = lo; at < hi && result == PFA_OK;) {
		size_t stop = ((at >> p->pb_order) + 1) << p->pb_order;
		stop = stop < hi ? stop : hi;
		bool taken = pfai_zone_lock(p, z);
		if (taken) {
			taken = contig_take_locked(p, z, at, stop, zero);
			pfai_zone_unlock(p, z);
		}
		if (!taken)
			result = PFA_EBUSY;
		else
			at = stop;
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
			return PFA_ECORRUPT;
		if (!taken) {
			contig_give_back(p, z, lo, at);
			result = pfai_evacuated(e, lo, hi);
			return result == PFA_OK ? PFA_EBUSY : result;
		}
	}
	return result;
}

/* The held pageblocks' range is emptied and taken, within so many tries. */
static int contig_empty(struct pfai_evacuation *e, const struct pfai_hold *h, size_t lo, size_t hi, bool *zero)
{
	int result = PFA_EBUSY;
	for (unsigned tries = 0; tries < PFA_CONTIG_TRIES; tries++) {
		result = pfai_hold_purge(e->p, h, !(e->flags & PFA_NOWAIT));
		if (result == PFA_OK)
			result = pfai_evacuate(e, lo, hi);
		if (result == PFA_OK)
			result = contig_take(e, lo, hi, zero);
		if (result != PFA_EBUSY || !e->may_end)
			break;
	}
	return result;
}

/* A range of one zone; e and h are prepared. @return PFA_OK: its frames are HEAD, and nobody knows it yet. */
static int contig_range(struct pfai_evacuation *e, struct pfai_hold *h, size_t lo, size_t hi, bool *zero)
{
	int result = pfai_load_relaxed(&h->z->st->corrupt) ? PFA_ECORRUPT : pfai_evacuable(e, lo, hi);
	h->why = e->why;
	if (result != PFA_OK)
		return result;
	result = pfai_hold(e->p, h, e->flags & PFA_CMA);
	if (result != PFA_OK)
		return result;
	e->why = (struct pfa_blocker){ PFA_BLOCKER_BUSY, h->z->origin + lo };
	result = contig_empty(e, h, lo, hi, zero);
	pfai_evacuation_end(e);
	pfai_unhold(e->p, h);
	h->why = e->why;
	return result;
}

int pfai_contig_take(struct pfa *p, pfa_pfn start, pfa_pfn end, uint32_t flags, bool *zero, struct pfa_blocker *why,
                     const char *function)
{
	struct pfai_hold h;
	int result = PFA_ERANGE;
	if (pfai_hold_begin(p, &h, start, end)) {
		struct pfai_evacuation e = { .p = p, .z = h.z, .flags = flags, .function = function, .why = { PFA_BLOCKER_NONE, start } };
		result = contig_range(&e, &h, start - h.z->origin, end - h.z->origin, zero);
	}
	*why = h.why;
	return result;
}

int pfa_alloc_contig_range(struct pfa *p, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why)
{
	static const char function[] = "pfa_alloc_contig_range";
	struct pfa_blocker blocker;
	struct pfai_request rq;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (start >= end || (flags & ~CONTIG_FLAGS))
		return PFA_EINVAL;
	result = pfai_request_parse(p, &rq, 0, flags & PFA_ZERO, function);
	if (result != PFA_OK)
		return result;
	result = pfai_contig_take(p, start, end, flags, &rq.zero, &blocker, function);
	if (result != PFA_OK)
		return pfai_blocked(p, why, blocker, result, function);
	rq.zone = pfai_zone_of(p, start);
	result = pfai_request_finish(p, &rq, start, end - start, 0);
	if (why)
		*why = (struct pfa_blocker){ result == PFA_OK ? PFA_BLOCKER_NONE : PFA_BLOCKER_CORRUPT, start };
	return result;
}
