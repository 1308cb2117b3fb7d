/* SPDX-License-Identifier: MIT */
#include "isolate.h"

#include "closed.h"
#include "damage.h"
#include "evacuate.h"
#include "fault.h"

/* Pageblocks that are changed in one lock hold. */
#define ISOLATE_BATCH 64u

bool pfai_hold_begin(struct pfa *p, struct pfai_hold *h, pfa_pfn start, pfa_pfn end)
{
	*h = (struct pfai_hold){ .z = pfai_zone_of(p, start), .why = { PFA_BLOCKER_RANGE, start } };
	if (!h->z)
		return false;
	h->why.pfn = h->z->end;
	if (end > h->z->end)
		return false;
	h->first = (start - h->z->origin) >> p->pb_order;
	h->end = ((end - 1 - h->z->origin) >> p->pb_order) + 1;
	h->why = (struct pfa_blocker){ PFA_BLOCKER_NONE, start };
	return true;
}

/* The first frame of a pageblock that is in the zone. */
static pfa_pfn hold_pfn(const struct pfa *p, const struct pfai_hold *h, size_t pb)
{
	pfa_pfn pfn = h->z->origin + (pb << p->pb_order);
	return pfn > h->z->start ? pfn : h->z->start;
}

static int hold_blocked(const struct pfa *p, struct pfai_hold *h, size_t pb, enum pfa_blocker_reason reason)
{
	h->why = (struct pfa_blocker){ reason, hold_pfn(p, h, pb) };
	return PFA_EBUSY;
}

/* Gives up pageblocks [first, end) up to the first that the token does not hold (any more): returns that; end: there is none. A lock that
 * could be had once in this call can be had again (pfai_zone_lockable()). */
static size_t hold_drop(struct pfa *p, struct pfai_zone *z, size_t first, size_t end, uint32_t token)
{
	for (size_t pb = first; pb < end && pfai_zone_lock(p, z);) {
		size_t stop = end - pb > ISOLATE_BATCH ? pb + ISOLATE_BATCH : end;
		pfai_zone_steps(z, stop - pb);
		for (; pb < stop && pfai_pb_holder(&z->pb[pb]) == token; pb++)
			pfai_zone_unhold_locked(p, z, pb);
		pfai_zone_unlock(p, z);
		if (pb < stop)
			return pb;
	}
	return end;
}

/* The same, but what the token does not hold is passed over. */
static void hold_drop_own(struct pfa *p, struct pfai_zone *z, size_t first, size_t end, uint32_t token)
{
	while ((first = hold_drop(p, z, first, end, token)) < end)
		first++;
}

/* Holds [*pb, stop) as far as nobody else does. */
static int hold_batch_locked(struct pfa *p, struct pfai_hold *h, size_t *pb, size_t stop, bool cma)
{
	struct pfai_zone *z = h->z;
	pfai_zone_steps(z, stop - *pb);
	for (; *pb < stop; ++*pb) {
		if (pfai_pb_holder(&z->pb[*pb]))
			return hold_blocked(p, h, *pb, PFA_BLOCKER_HELD);
		if (!cma && pfai_pb_own_code(&z->pb[*pb]) == PFAI_CODE_CMA)
			return hold_blocked(p, h, *pb, PFA_BLOCKER_TYPE);
		pfai_zone_hold_locked(p, z, *pb, h->token);
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt))) {
			*pb += pfai_pb_holder(&z->pb[*pb]) != 0;
			return PFA_ECORRUPT;
		}
	}
	return PFA_OK;
}

int pfai_hold(struct pfa *p, struct pfai_hold *h, bool cma)
{
	size_t pb = h->first;
	int result = PFA_OK;
	do
		h->token = pfai_add32(&p->st->last_token, 1u);
	while (!h->token);
	while (pb < h->end && result == PFA_OK) {
		size_t stop = h->end - pb > ISOLATE_BATCH ? pb + ISOLATE_BATCH : h->end;
		if (!pfai_zone_lock(p, h->z)) {
			result = hold_blocked(p, h, pb, PFA_BLOCKER_BUSY);
			break;
		}
		result = hold_batch_locked(p, h, &pb, stop, cma);
		pfai_zone_unlock(p, h->z);
	}
	if (result == PFA_OK)
		return result;
	hold_drop_own(p, h->z, h->first, pb, h->token);
	return pfai_load_relaxed(&h->z->st->corrupt) ? PFA_ECORRUPT : result;
}

/* PFA_EAGAIN: a cache was skipped, which may grant what it has of them. */
static int hold_purge_all(struct pfa *p, const struct pfai_hold *h, bool wait)
{
	size_t size = (size_t)1 << p->pb_order;
	return pfai_cache_purge_run(p, h->z, h->first * size, (h->end - h->first) * size, wait);
}

int pfai_hold_purge(struct pfa *p, const struct pfai_hold *h, bool wait)
{
	int result = hold_purge_all(p, h, wait);
	return result == PFA_EAGAIN ? PFA_OK : result;
}

int pfai_unhold(struct pfa *p, const struct pfai_hold *h, int result)
{
	hold_drop_own(p, h->z, h->first, h->end, h->token);
	return pfai_load_relaxed(&h->z->st->corrupt) ? PFA_ECORRUPT : result;
}

/* ---- API --------------------------------------------------------------------------------------------------------- */

int pfai_blocked(struct pfa *p, struct pfa_blocker *why, struct pfa_blocker blocker, int result, const char *function)
{
	if (result == PFA_OK)
		blocker.reason = PFA_BLOCKER_NONE;
	else if (result == PFA_ECORRUPT)
		blocker.reason = PFA_BLOCKER_CORRUPT;
	if (why)
		*why = blocker;
	return pfai_told(p, result, function);
}

/* No used block reaches over the edges of what is held any more. */
static int isolate_clear_edges(struct pfa *p, struct pfai_hold *h, struct pfai_evacuation *e)
{
	size_t lo = h->first << p->pb_order, hi = h->end << p->pb_order;
	int result = PFA_EBUSY;
	for (unsigned tries = 0; tries < PFA_CONTIG_TRIES && result == PFA_EBUSY; tries++) {
		result = pfai_evacuate_edge(e, lo);
		if (result == PFA_OK)
			result = pfai_evacuate_edge(e, hi);
		if (result == PFA_OK) /* what was released instead of moved may wait for its last pin */
			result = pfai_edge_clear(e, lo);
		if (result == PFA_OK)
			result = pfai_edge_clear(e, hi);
		if (result == PFA_EBUSY && !e->may_end)
			break;
		if (result == PFA_EBUSY && pfai_hold_purge(p, h, !(e->flags & PFA_NOWAIT)) == PFA_ECORRUPT)
			result = PFA_ECORRUPT;
	}
	h->why = e->why;
	return result;
}

int pfa_isolate_range(struct pfa *p, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out, struct pfa_blocker *why)
{
	static const char function[] = "pfa_isolate_range";
	struct pfai_hold h;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (start >= end || (flags & ~(PFA_NOMIGRATE | PFA_NOWAIT)))
		return PFA_EINVAL;
	if (!pfai_hold_begin(p, &h, start, end))
		return pfai_blocked(p, why, h.why, PFA_ERANGE, function);
	struct pfai_evacuation e = { .p = p, .z = h.z, .flags = flags, .function = function };
	result = pfai_load_relaxed(&h.z->st->corrupt) ? PFA_ECORRUPT : pfai_hold(p, &h, true);
	if (result != PFA_OK)
		return pfai_blocked(p, why, h.why, result, function);
	result = hold_purge_all(p, &h, !(flags & PFA_NOWAIT));
	if (result == PFA_EBUSY || result == PFA_EAGAIN)
		h.why = (struct pfa_blocker){ PFA_BLOCKER_BUSY, start };
	if (result == PFA_OK)
		result = isolate_clear_edges(p, &h, &e);
	pfai_evacuation_end(&e);
	if (result == PFA_OK)
		*out = h.token;
	else
		result = pfai_unhold(p, &h, result);
	return pfai_blocked(p, why, h.why, result, function);
}

/* Does the token hold all of them? *pb: the first that it does not. */
static int isolate_verify(struct pfa *p, const struct pfai_hold *h, size_t *pb)
{
	for (*pb = h->first; *pb < h->end;) {
		size_t stop = h->end - *pb > ISOLATE_BATCH ? *pb + ISOLATE_BATCH : h->end;
		if (!pfai_zone_lock(p, h->z))
			return PFA_EBUSY;
		while (*pb < stop && h->token && pfai_pb_holder(&h->z->pb[*pb]) == h->token)
			++*pb;
		pfai_zone_unlock(p, h->z);
		if (*pb < stop)
			return PFA_EMISUSE;
	}
	return PFA_OK;
}

static int isolate_verified(struct pfa *p, const struct pfai_hold *h, const char *function)
{
	size_t pb;
	int result = isolate_verify(p, h, &pb);
	return result == PFA_EMISUSE ? pfai_fault(p, PFA_FAULT_NOT_HELD, hold_pfn(p, h, pb), 0, function) : result;
}

int pfa_undo_isolate_range(struct pfa *p, pfa_pfn start, pfa_pfn end, pfa_token token)
{
	static const char function[] = "pfa_undo_isolate_range";
	struct pfai_hold h;
	int result = pfai_closed(p, function);
	if (result != PFA_OK)
		return result;
	if (start >= end)
		return PFA_EINVAL;
	if (!pfai_hold_begin(p, &h, start, end))
		return PFA_ERANGE;
	h.token = token;
	result = isolate_verified(p, &h, function);
	if (result == PFA_OK) { /* since then others may have given them up: only the lock says */
		size_t pb = hold_drop(p, h.z, h.first, h.end, token);
		if (pb < h.end)
			result = pfai_fault(p, PFA_FAULT_NOT_HELD, hold_pfn(p, &h, pb), 0, function);
	}
	return result == PFA_OK && pfai_load_relaxed(&h.z->st->corrupt) ? pfai_tell(p, function) : result;
}

int pfa_test_isolated(struct pfa *p, pfa_pfn start, pfa_pfn end, pfa_token token, struct pfa_blocker *why)
{
	static const char function[] = "pfa_test_isolated";
	struct pfai_hold h;
	int result = pfai_closed(p, function);
	if (result != PFA_OK)
		return result;
	if (start >= end)
		return PFA_EINVAL;
	if (!pfai_hold_begin(p, &h, start, end))
		return pfai_blocked(p, why, h.why, PFA_ERANGE, function);
	h.token = token;
	result = isolate_verified(p, &h, function);
	if (result != PFA_OK)
		return result;
	struct pfai_evacuation e = { .p = p, .z = h.z, .flags = PFA_NOMIGRATE, .function = function };
	result = pfai_load_relaxed(&h.z->st->corrupt) ? PFA_ECORRUPT : pfai_evacuated(&e, start - h.z->origin, end - h.z->origin);
	h.why = e.why;
	if (result == PFA_EAGAIN) /* it would have to be moved */
		result = PFA_EBUSY;
	return pfai_blocked(p, why, h.why, result, function);
}
