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
#include "place.h"

#define CONTIG_FLAGS (PFA_ZERO | PFA_NOWAIT | PFA_NOMIGRATE | PFA_CMA)

/* Rels [lo, hi) of one pageblock become frames of order 0. False: one is not free, or damage was met; nothing was taken. */
static bool contig_take_locked(struct pfa *p, struct pfai_zone *z, size_t lo, size_t hi, bool *zero)
{
	size_t nr = hi - lo, offset = pfai_offset_of_rel(z, lo);
	if (!pfai_map_is(z->not_free, lo, nr, false))
		return false;
	*zero = *zero && pfai_zone_known_zero_locked(p, z, lo, nr);
	for (size_t at = lo; at < hi;) {
		unsigned order = pfai_natural_order(at, hi - at, z->top_order);
		if (pfai_zone_is_free_locked(p, z, at, order))
			pfai_zone_take_locked(p, z, at, order);
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt))) {
			pfai_map_fill(z->not_free, lo, nr, false); /* as pfai_contig_give_back(); the bytes are as they were */
			return false;
		}
		at += (size_t)1 << order;
	}
	pfai_tail_fill(p, offset, nr, PFAI_HEAD);
	z->st->direct_allocs += nr;
	pfai_zone_steps(z, nr);
	return true;
}

void pfai_contig_give_back(struct pfa *p, struct pfai_zone *z, size_t lo, size_t hi)
{
	while (lo < hi) {
		size_t stop = ((lo >> p->pb_order) + 1) << p->pb_order;
		stop = stop < hi ? stop : hi;
		if (!pfai_zone_lock(p, z))
			return; /* cannot be: it could be had before (pfai_zone_lockable()) */
		pfai_tail_fill(p, pfai_offset_of_rel(z, lo), stop - lo, PFAI_NOTHING);
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
			pfai_map_fill(z->not_free, lo, stop - lo, false); /* for a repair, which derives the rest: the zone refuses meanwhile */
		else
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
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt))) {
			pfai_contig_give_back(p, z, lo, at);
			return PFA_ECORRUPT;
		}
		if (!taken) {
			pfai_contig_give_back(p, z, lo, at);
			result = pfai_evacuated(e, lo, hi);
			return result == PFA_OK ? PFA_EBUSY : result;
		}
	}
	return result;
}

int pfai_contig_empty(struct pfai_evacuation *e, const struct pfai_hold *h, size_t lo, size_t hi, bool *zero)
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

/* Whoever waits for pageblocks of the area may look again. One that announces itself too late for this waits for a bounded time. */
static void contig_taker_ends(const struct pfa *p, struct pfai_contig *c)
{
	(void)pfai_add32(&c->area->ended, 1u); /* first: who finds no taker looks whether one has ended (cma_wait()) */
	(void)pfai_add32(&c->area->takers, UINT32_MAX);
	c->nr_holds++;
	if (pfai_load_relaxed(&c->area->waiters) && p->os.wake)
		p->os.wake(p->os.ctx, (const void *)(uintptr_t)&c->area->ended);
}

/* The range, which is in one zone, while its pageblocks are held. @return PFA_OK: its frames are HEAD, and nobody knows it yet. */
static int contig_held(struct pfai_evacuation *e, struct pfai_hold *h, struct pfai_contig *c)
{
	int result = pfai_hold(e->p, h, c->flags & PFA_CMA);
	if (result != PFA_OK) {
		e->why = h->why;
		return result;
	}
	e->why = (struct pfa_blocker){ PFA_BLOCKER_BUSY, c->start };
	result = pfai_contig_empty(e, h, c->start - h->z->origin, c->end - h->z->origin, &c->zero);
	pfai_evacuation_end(e);
	int held = result;
	result = pfai_unhold(e->p, h, held);
	if (PFAI_UNLIKELY(result != held) && held == PFA_OK) /* free again for the repair: the zone refuses meanwhile */
		pfai_contig_give_back(e->p, h->z, c->start - h->z->origin, c->end - h->z->origin);
	return result;
}

int pfai_contig_take(struct pfa *p, struct pfai_contig *c)
{
	struct pfai_hold h;
	if (!pfai_hold_begin(p, &h, c->start, c->end)) {
		c->why = h.why;
		return PFA_ERANGE;
	}
	struct pfai_evacuation e = { .p = p, .z = h.z, .flags = c->flags, .function = c->function, .why = { PFA_BLOCKER_NONE, c->start } };
	int result = pfai_load_relaxed(&h.z->st->corrupt)
	                     ? PFA_ECORRUPT
	                     : pfai_evacuable(&e, c->start - h.z->origin, c->end - h.z->origin);
	if (result == PFA_OK) {
		if (c->area)
			(void)pfai_add32(&c->area->takers, 1u);
		result = contig_held(&e, &h, c);
		if (c->area)
			contig_taker_ends(p, c);
	}
	c->why = e.why;
	return result;
}

int pfa_alloc_contig_range(struct pfa *p, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why)
{
	static const char function[] = "pfa_alloc_contig_range";
	struct pfai_contig c = { .start = start, .end = end, .flags = flags, .function = function };
	struct pfai_request rq;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (start >= end || (flags & ~CONTIG_FLAGS))
		return PFA_EINVAL;
	result = pfai_request_parse(p, &rq, 0, flags & PFA_ZERO, function);
	if (result != PFA_OK)
		return result;
	result = pfai_contig_take(p, &c);
	if (result != PFA_OK)
		return pfai_blocked(p, why, c.why, result, function);
	rq.zero = c.zero;
	rq.zone = pfai_zone_of(p, start);
	result = pfai_request_finish(p, &rq, start, end - start, 0);
	if (why)
		*why = (struct pfa_blocker){ result == PFA_OK ? PFA_BLOCKER_NONE : PFA_BLOCKER_CORRUPT, start };
	return result;
}
