/* SPDX-License-Identifier: MIT */
#include <pfa/pfa.h>

#include "alloc.h"
#include "closed.h"
#include "damage.h"
#include "fallback.h"

/* Does this cpu's cache hold a block for the request? */
static bool query_cached(struct pfa *p, const struct pfai_request *rq)
{
	bool held = false;
	if (rq->order >= p->cached_orders || (rq->flags & PFA_HIGH))
		return false;
	struct pfai_cpu *c = pfai_cpu_mine(p);
	if (!c)
		return false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++)
		if (!pfai_load_relaxed(&p->zones[i].st->corrupt) && c->slots[pfai_slot_of(p, i, rq->code, rq->order)].n)
			held = true;
	pfai_cpu_unlock(p, c);
	return held;
}

/* Could a zone serve the request above the lowest mark that applies? PFA_OK, PFA_ENOMEM, PFA_EBUSY, PFA_ECORRUPT. */
static int query_zones(struct pfa *p, const struct pfai_request *rq)
{
	bool high = rq->flags & PFA_HIGH, corrupt = false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++) {
		struct pfai_zone *z = &p->zones[i];
		if (pfai_load_relaxed(&z->st->corrupt)) {
			corrupt = true;
			continue;
		}
		if (!pfai_zone_lock(p, z))
			return PFA_EBUSY;
		size_t mark = high ? z->mark_min / 2 : z->mark_min;
		ptrdiff_t room = pfai_zone_room_locked(z, mark, high, rq->code == PFAI_CODE_MOVABLE);
		bool fits = pfai_room_fits(room, rq->order) && pfai_fallback_possible_locked(z, rq->code, rq->order, high);
		pfai_zone_unlock(p, z);
		if (fits)
			return PFA_OK;
	}
	return corrupt ? PFA_ECORRUPT : PFA_ENOMEM;
}

int pfa_would_succeed(struct pfa *p, unsigned order, uint32_t flags)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags, "pfa_would_succeed");
	if (result != PFA_OK)
		return result;
	return query_cached(p, &rq) ? PFA_OK : pfai_told(p, query_zones(p, &rq), "pfa_would_succeed");
}

int pfa_largest_free(struct pfa *p, uint32_t flags, unsigned *out_order)
{
	struct pfai_request rq;
	int result = flags & PFA_GUARD ? PFA_EINVAL
	                               : pfai_request_parse(p, &rq, p->max_order, flags & ~(uint32_t)PFA_ZERO, "pfa_largest_free");
	if (result != PFA_OK)
		return result;
	for (unsigned order = p->max_order + 1; order--;) {
		rq.order = order;
		result = query_cached(p, &rq) ? PFA_OK : query_zones(p, &rq);
		if (result == PFA_OK)
			*out_order = order;
		if (result == PFA_OK || result == PFA_EBUSY)
			return result;
	}
	return pfai_told(p, result, "pfa_largest_free");
}

int pfa_ptr(const struct pfa *p, pfa_pfn pfn, void **out)
{
	int closed = pfai_closed(p, "pfa_ptr");
	if (closed != PFA_OK)
		return closed;
	if (!p->pool)
		return PFA_ENOTSUP;
	if (!pfai_zone_of(p, pfn))
		return PFA_ERANGE;
	*out = p->pool + ((pfn - p->pool_pfn) << p->frame_shift);
	return PFA_OK;
}

int pfa_pfn_of(const struct pfa *p, const void *ptr, pfa_pfn *out)
{
	int closed = pfai_closed(p, "pfa_pfn_of");
	if (closed != PFA_OK)
		return closed;
	if (!p->pool)
		return PFA_ENOTSUP;
	/* An address below the pool becomes a huge frame number, which no zone has. */
	pfa_pfn pfn = p->pool_pfn + (((uintptr_t)ptr - (uintptr_t)p->pool) >> p->frame_shift);
	if ((uintptr_t)ptr < (uintptr_t)p->pool || !pfai_zone_of(p, pfn))
		return PFA_ERANGE;
	*out = pfn;
	return PFA_OK;
}
