/* SPDX-License-Identifier: MIT
 *
 * CMA areas. Which frames of one are free is said by the zone's maps, and which pageblocks are being taken just now by their
 * holders; the area itself only counts. So calls in one area pick different pageblocks by looking, and need no lock of its own: who
 * finds nothing because of what others hold waits until one of them ends.
 */
#include <pfa/cma.h>

#include "closed.h"
#include "contig.h"
#include "damage.h"
#include "evacuate.h"
#include "fault.h"
#include "freeing.h"
#include "search.h"

#define CMA_FLAGS (PFA_ZERO | PFA_NOWAIT | PFA_NOMIGRATE)
#define CMA_BATCH 64u /* pageblocks in one lock hold */
#define CMA_GENERATION_SHIFT 24u

/* ---- areas ------------------------------------------------------------------------------------------------------- */

static pfa_cma cma_handle(const struct pfa *p, const struct pfai_cma *a, uint32_t use)
{
	return (use >> CMA_GENERATION_SHIFT << CMA_GENERATION_SHIFT) | ((uint32_t)(a - p->cma) + 1);
}

/* Begins a call in the area if it is live (handle 0: whichever it is). */
static bool cma_enter(struct pfa *p, struct pfai_cma *a, pfa_cma handle)
{
	for (;;) {
		uint32_t use = pfai_load_relaxed(&a->use);
		if (!(use & PFAI_CMA_LIVE) || (use & PFAI_CMA_CALLS) == PFAI_CMA_CALLS || (handle && handle != cma_handle(p, a, use)))
			return false;
		if (pfai_cas32(&a->use, use, use + 1))
			return true;
	}
}

static void cma_leave(struct pfai_cma *a)
{
	(void)pfai_add32(&a->use, UINT32_MAX);
}

/* The area of a handle, entered; NULL: there is none. */
static struct pfai_cma *cma_begin(struct pfa *p, pfa_cma handle)
{
	uint32_t i = (handle & PFAI_CMA_LIMIT) - 1;
	return i < p->nr_cma && cma_enter(p, &p->cma[i], handle) ? &p->cma[i] : NULL;
}

/* Is any frame of [start, end) in a live area? The caller holds its pageblocks, so that none begins there meanwhile. */
static bool cma_overlaps(struct pfa *p, pfa_pfn start, pfa_pfn end)
{
	bool overlaps = false;
	for (uint32_t i = 0; i < p->nr_cma && !overlaps; i++) {
		struct pfai_cma *a = &p->cma[i];
		if (!cma_enter(p, a, 0))
			continue;
		overlaps = a->run.first < end && start < a->run.first + a->run.nr_frames;
		cma_leave(a);
	}
	return overlaps;
}

int pfa_cma_find(struct pfa *p, pfa_pfn pfn, pfa_cma *out)
{
	int result = pfai_closed(p, "pfa_cma_find");
	if (result != PFA_OK)
		return result;
	for (uint32_t i = 0; i < p->nr_cma; i++) {
		struct pfai_cma *a = &p->cma[i];
		if (!cma_enter(p, a, 0))
			continue;
		bool here = pfn - a->run.first < a->run.nr_frames;
		if (here)
			*out = cma_handle(p, a, pfai_load_relaxed(&a->use));
		cma_leave(a);
		if (here)
			return PFA_OK;
	}
	return PFA_ERANGE;
}

/* The pageblocks that the call holds, and in which nothing is free on offer, are of this type from now on. */
static void cma_retype(struct pfa *p, const struct pfai_hold *h, unsigned code)
{
	for (size_t pb = h->first; pb < h->end && pfai_zone_lock(p, h->z);) {
		size_t stop = h->end - pb > CMA_BATCH ? pb + CMA_BATCH : h->end;
		pfai_zone_steps(h->z, stop - pb);
		for (; pb < stop; pb++) {
			if (pfai_pb_own_code(&h->z->pb[pb]) == PFAI_CODE_HIGHATOMIC) {
				h->z->st->reserved_high -= (size_t)1 << p->pb_order;
				h->z->st->events.unreserve++;
			}
			pfai_zone_set_code_locked(p, h->z, pb, code);
		}
		pfai_zone_unlock(p, h->z);
	}
}

/* Everything in the held pageblocks becomes free, within so many tries. */
static int cma_empty(struct pfai_evacuation *e, const struct pfai_hold *h)
{
	size_t lo = h->first << e->p->pb_order, hi = h->end << e->p->pb_order;
	int result = PFA_EBUSY;
	for (unsigned tries = 0; tries < PFA_CONTIG_TRIES; tries++) {
		e->why = (struct pfa_blocker){ PFA_BLOCKER_BUSY, h->z->origin + lo };
		result = pfai_hold_purge(e->p, h, !(e->flags & PFA_NOWAIT));
		if (result == PFA_OK) /* nothing is moved in vain */
			result = pfai_evacuable(e, lo, hi);
		if (result == PFA_OK)
			result = pfai_evacuate(e, lo, hi);
		if (result == PFA_OK)
			result = pfai_evacuated(e, lo, hi);
		if (result != PFA_EBUSY || !e->may_end)
			break;
	}
	pfai_evacuation_end(e);
	return result;
}

/* The area's run is set: its pageblocks become its own. */
static int cma_make(struct pfa *p, struct pfai_cma *a, struct pfai_hold *h, uint32_t flags, const char *function)
{
	struct pfai_evacuation e = { .p = p, .z = h->z, .flags = flags, .function = function, .may_end = true };
	int result = pfai_load_relaxed(&h->z->st->corrupt) ? PFA_ECORRUPT : pfai_hold(p, h, true);
	if (result != PFA_OK)
		return result;
	if (cma_overlaps(p, a->run.first, a->run.first + a->run.nr_frames)) {
		e.why = (struct pfa_blocker){ PFA_BLOCKER_TYPE, a->run.first };
		result = PFA_EBUSY;
	} else {
		result = cma_empty(&e, h);
	}
	h->why = e.why;
	if (result == PFA_OK) {
		cma_retype(p, h, PFAI_CODE_CMA);
		pfai_store_release(&a->use, (pfai_load_relaxed(&a->use) & ~PFAI_CMA_BUSY) | PFAI_CMA_LIVE);
	}
	return pfai_unhold(p, h, result);
}

/* An unused place, BUSY from now on; NULL: there is none. */
static struct pfai_cma *cma_place(struct pfa *p)
{
	for (uint32_t i = 0; i < p->nr_cma; i++) {
		uint32_t use = pfai_load_relaxed(&p->cma[i].use);
		if (!(use & (PFAI_CMA_LIVE | PFAI_CMA_BUSY)) && pfai_cas32(&p->cma[i].use, use, use | PFAI_CMA_BUSY))
			return &p->cma[i];
	}
	return NULL;
}

int pfa_cma_create(struct pfa *p, pfa_pfn start, size_t nr_frames, uint32_t flags, pfa_cma *out, struct pfa_blocker *why)
{
	static const char function[] = "pfa_cma_create";
	const size_t mask = ((size_t)1 << p->pb_order) - 1;
	struct pfai_hold h;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (!nr_frames || ((start | nr_frames) & mask) || start + nr_frames < start || (flags & ~(PFA_NOMIGRATE | PFA_NOWAIT)))
		return PFA_EINVAL;
	if (!pfai_hold_begin(p, &h, start, start + nr_frames))
		return pfai_blocked(p, why, h.why, PFA_ERANGE, function);
	struct pfai_cma *a = cma_place(p);
	if (!a)
		return pfai_blocked(p, why, h.why, PFA_ENOMEM, function);
	a->run = (struct pfa_run){ start, nr_frames };
	pfai_store_relaxed(&a->granted, 0u);
	pfai_store_relaxed(&a->allocs, 0u);
	pfai_store_relaxed(&a->failed, 0u);
	pfai_store_relaxed(&a->waits, 0u);
	uint32_t generation = pfai_load_relaxed(&a->use) & ~(PFAI_CMA_BUSY | PFAI_CMA_LIVE);
	result = cma_make(p, a, &h, flags, function);
	if (result == PFA_OK)
		*out = cma_handle(p, a, generation);
	else
		pfai_store_release(&a->use, generation);
	return pfai_blocked(p, why, h.why, result, function);
}

/* Ends an area that the caller has entered, as the only one. @return PFA_OK: it is entered no more; else nothing has changed. */
static int cma_unmake(struct pfa *p, struct pfai_cma *a)
{
	const uint32_t generation = pfai_load_relaxed(&a->use) >> CMA_GENERATION_SHIFT << CMA_GENERATION_SHIFT;
	const uint32_t alone = generation | PFAI_CMA_LIVE | 1u;
	struct pfai_hold h;
	if (pfai_load_relaxed(&a->use) != alone || pfai_load_relaxed(&a->granted))
		return PFA_EBUSY; /* before its pageblocks are held, which those who use it would meet */
	if (!pfai_hold_begin(p, &h, a->run.first, a->run.first + a->run.nr_frames))
		return PFA_ECORRUPT;
	int result = pfai_load_relaxed(&h.z->st->corrupt) ? PFA_ECORRUPT : pfai_hold(p, &h, true);
	if (result != PFA_OK)
		return result;
	/* While all of it is held nobody is granted anything, so the area is live until it is all but certain that it ends. A release that is
	 * refused counts its frames again, so what is granted is looked at once more when nobody can come in. */
	if (pfai_load_relaxed(&a->granted) || !pfai_cas32(&a->use, alone, generation | PFAI_CMA_BUSY)) {
		result = PFA_EBUSY;
	} else if (pfai_load_relaxed(&a->granted)) {
		pfai_store_release(&a->use, alone);
		result = PFA_EBUSY;
	} else {
		cma_retype(p, &h, PFAI_CODE_MOVABLE);
	}
	(void)pfai_unhold(p, &h, result); /* damage is the caller's to ask for: the area has ended all the same */
	if (result == PFA_OK)
		pfai_store_release(&a->use, generation + (1u << CMA_GENERATION_SHIFT));
	return result;
}

int pfa_cma_destroy(struct pfa *p, pfa_cma area)
{
	static const char function[] = "pfa_cma_destroy";
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	struct pfai_cma *a = cma_begin(p, area);
	if (!a)
		return PFA_EINVAL;
	const struct pfai_zone *z = pfai_zone_of(p, a->run.first);
	result = cma_unmake(p, a);
	if (result != PFA_OK)
		cma_leave(a);
	if (z && pfai_load_relaxed(&z->st->corrupt))
		result = PFA_ECORRUPT;
	return pfai_told(p, result, function);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* Until a call that holds something in the area ends. False: none does, or waiting does not end. */
static bool cma_wait(struct pfa *p, struct pfai_cma *a, uint32_t ended)
{
	bool ok = true;
	pfai_add_relaxed(&a->waits, 1u);
	(void)pfai_add32(&a->waiters, 1u);
	while (ok && pfai_load_acquire(&a->ended) == ended) {
		/* For a bounded time, since a wake-up may be missed, as that of a cache's lock (lock.h). */
		uint64_t now = p->os.now_ns ? p->os.now_ns(p->os.ctx) : 0;
		ok = pfai_load_acquire(&a->takers) && p->os.wait &&
		     p->os.wait(p->os.ctx, (const void *)(uintptr_t)&a->ended, ended, now + PFAI_TRY_WAIT_NS) != PFA_EDEADLK;
	}
	(void)pfai_add32(&a->waiters, UINT32_MAX);
	return ok || pfai_load_acquire(&a->ended) != ended; /* the last of them may have ended in between */
}

/* Looks, and looks again after others have ended. */
static int cma_search(struct pfa *p, struct pfai_cma *a, struct pfai_search *s)
{
	uint32_t flags = s->flags;
	for (unsigned turn = 0;; turn++) {
		uint32_t ended = pfai_load_acquire(&a->ended);
		s->result = PFA_ENOMEM;
		s->met_held = false;
		s->nr_holds = 0;
		if (pfai_search(s) || s->met_corrupt || !s->met_held)
			break;
		if (flags & PFA_NOWAIT) {
			s->result = PFA_EAGAIN;
			break;
		}
		s->result = PFA_EBUSY;
		if (turn == PFA_CMA_TURNS || !cma_wait(p, a, ended + s->nr_holds))
			break;
	}
	return s->met_corrupt ? PFA_ECORRUPT : s->result;
}

int pfa_cma_alloc(struct pfa *p, pfa_cma area, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	static const char function[] = "pfa_cma_alloc";
	struct pfai_request rq;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (!nr_frames || !align_frames || (align_frames & (align_frames - 1)) || (flags & ~CMA_FLAGS))
		return PFA_EINVAL;
	result = pfai_request_parse(p, &rq, 0, flags & PFA_ZERO, function);
	if (result != PFA_OK)
		return result;
	struct pfai_cma *a = cma_begin(p, area);
	if (!a)
		return PFA_EINVAL;
	struct pfai_search s = { .p = p, .z = pfai_zone_of(p, a->run.first), .lo = a->run.first, .hi = a->run.first + a->run.nr_frames,
	                         .area = a, .nr = nr_frames, .align = align_frames, .flags = flags | PFA_CMA, .function = function };
	result = s.z && s.hi <= s.z->end ? cma_search(p, a, &s) : PFA_ECORRUPT;
	if (result == PFA_OK) {
		rq.zone = s.z;
		rq.zero = s.zero;
		result = pfai_request_finish(p, &rq, s.found, nr_frames, 0);
	} else {
		result = pfai_told(p, result, function);
	}
	if (result == PFA_OK) {
		(void)pfai_add32(&a->granted, (uint32_t)nr_frames);
		*out = s.found;
	}
	pfai_add_relaxed(result == PFA_OK ? &a->allocs : &a->failed, 1u);
	cma_leave(a);
	return result;
}

/* nr frames fewer are granted. False: so many are not. */
static bool cma_ungrant(struct pfai_cma *a, size_t nr)
{
	for (;;) {
		uint32_t granted = pfai_load_relaxed(&a->granted);
		if (nr > granted)
			return false;
		if (pfai_cas32(&a->granted, granted, granted - (uint32_t)nr))
			return true;
	}
}

int pfa_cma_release(struct pfa *p, pfa_cma area, pfa_pfn start, size_t nr_frames)
{
	static const char function[] = "pfa_cma_release";
	int result = pfai_closed(p, function);
	if (result != PFA_OK)
		return result;
	struct pfai_cma *a = cma_begin(p, area);
	if (!a)
		return PFA_EINVAL;
	if (!nr_frames || start - a->run.first >= a->run.nr_frames || nr_frames > a->run.nr_frames - (start - a->run.first)) {
		result = PFA_EINVAL;
	} else if (!cma_ungrant(a, nr_frames)) {
		result = pfai_fault(p, PFA_FAULT_MIXED_RANGE, start, 0, function);
	} else {
		result = pfai_range_free(p, start, nr_frames, function);
		if (result != PFA_OK)
			(void)pfai_add32(&a->granted, (uint32_t)nr_frames);
	}
	cma_leave(a);
	return result;
}

int pfa_cma_stats(struct pfa *p, pfa_cma area, struct pfa_cma_stats *out)
{
	int result = pfai_closed(p, "pfa_cma_stats");
	if (result != PFA_OK)
		return result;
	struct pfai_cma *a = out->size == sizeof(*out) ? cma_begin(p, area) : NULL;
	if (!a)
		return PFA_EINVAL;
	struct pfai_hold h;
	*out = (struct pfa_cma_stats){ .size = sizeof(*out), .run = a->run, .granted = pfai_load_relaxed(&a->granted),
	                               .nr_alloc = pfai_load_relaxed(&a->allocs), .nr_fail = pfai_load_relaxed(&a->failed),
	                               .nr_wait = pfai_load_relaxed(&a->waits) };
	size_t pb = 0;
	h.end = 0;
	if (pfai_hold_begin(p, &h, a->run.first, a->run.first + a->run.nr_frames)) {
		out->zone = h.z->id;
		pb = h.first;
	}
	while (pb < h.end && pfai_zone_lock(p, h.z)) {
		for (unsigned i = 0; i < CMA_BATCH && pb < h.end; i++, pb++) {
			out->free += ((size_t)1 << p->pb_order) - h.z->pb[pb].used;
			out->held_pageblocks += pfai_pb_holder(&h.z->pb[pb]) != 0;
		}
		pfai_zone_unlock(p, h.z);
	}
	cma_leave(a);
	return pb < h.end ? PFA_EBUSY : PFA_OK;
}
