/* SPDX-License-Identifier: MIT */
#include "alloc.h"

#include <pfa/pfa.h>

#include "fallback.h"
#include "fault.h"

#define ALLOC_FLAGS                                                                                              \
	(PFA_TYPE_MASK | PFA_ZERO | PFA_NOWAIT | PFA_HIGH | PFA_COMPACT | PFA_NORETRY | PFA_EXACT_ZONE | 0xFF000000u)

int pfai_request_parse(const struct pfa *p, struct pfai_request *rq, unsigned order, uint32_t flags)
{
	unsigned type = flags & PFA_TYPE_MASK;
	if (order > p->max_order || (flags & ~ALLOC_FLAGS) || type > PFA_RECLAIMABLE || PFA_ZONE_OF(flags) >= p->nr_zones)
		return PFA_EINVAL;
	if ((flags & PFA_ZERO) && !p->os.zero && !p->pool)
		return PFA_ENOTSUP;
	*rq = (struct pfai_request){
		.order = order,
		.code = pfai_code_of_type(type),
		.flags = flags,
		.first_zone = PFA_ZONE_OF(flags),
		.last_zone = flags & PFA_EXACT_ZONE ? PFA_ZONE_OF(flags) : p->nr_zones - 1,
	};
	return PFA_OK;
}

void pfai_request_finish(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames)
{
	if (!(rq->flags & PFA_ZERO))
		return;
	if (rq->zero) {
		pfai_add_relaxed(&p->nr_zero_skipped, nr_frames);
		return;
	}
	unsigned char *ptr = p->pool ? p->pool + ((pfn - p->pool_pfn) << p->frame_shift) : NULL;
	if (p->os.zero)
		p->os.zero(p->os.ctx, pfn, nr_frames, ptr);
	else
		memset(ptr, 0, nr_frames << p->frame_shift);
	pfai_add_relaxed(&p->nr_zeroed, nr_frames);
}

/* ---- one zone -------------------------------------------------------------------------------------------------- */

static inline size_t request_mark(const struct pfai_zone *z, const struct pfai_request *rq, bool low)
{
	if (rq->flags & PFA_HIGH)
		return z->mark_min / 2;
	return low ? z->mark_low : z->mark_min;
}

/* Without lock: could this zone have a fitting block? What was freed before the call is seen. */
static inline bool request_hint(const struct pfai_zone *z, const struct pfai_request *rq)
{
	uint32_t orders = pfai_load_relaxed(&z->avail_common);
	if (rq->code == PFAI_CODE_MOVABLE)
		orders |= pfai_load_relaxed(&z->avail_cma);
	if (rq->flags & PFA_HIGH)
		orders |= pfai_load_relaxed(&z->avail_high);
	return orders >> rq->order != 0;
}

static size_t request_place_window(const struct pfa *p, const struct pfai_zone *z, const struct pfai_request *rq)
{
	pfa_pfn lo = rq->window.first, hi = lo + rq->window.nr_frames;
	lo = lo > z->start ? lo : z->start;
	hi = hi < z->end ? hi : z->end;
	if (lo >= hi)
		return PFAI_NONE;
	return pfai_fallback_window_locked(p, z, rq->code, rq->order, rq->flags & PFA_HIGH, lo - z->origin, hi - z->origin);
}

static size_t request_slot(const struct pfa *p, const struct pfai_zone *z, const struct pfai_request *rq)
{
	return ((((size_t)z->id << PFAI_ROUTE_ZONE_SHIFT) + rq->code) << p->slot_shift) + rq->order;
}

/* May this cpu's cache serve the request, or be filled for it? */
static inline bool request_cacheable(const struct pfa *p, const struct pfai_cpu *c, const struct pfai_request *rq)
{
	/* HIGH requests may have to reserve a pageblock, which a cached block cannot tell. */
	return c && rq->order < p->cached_orders && !rq->windowed && !(rq->flags & PFA_HIGH);
}

/* Takes the newest block of the zone's slot. False: its byte was wrong; it is dropped, the zone refuses. */
static bool request_pop(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, struct pfai_request *rq)
{
	size_t slot = request_slot(p, z, rq), offset;
	bool fine = pfai_slot_pop(p, c, &c->slots[slot], rq->order, &offset, &rq->zero);
	rq->zone = z;
	rq->pfn = p->base + offset;
	c->first = (uint32_t)((size_t)z->id << PFAI_ROUTE_ZONE_SHIFT << p->slot_shift);
	if (!fine) {
		rq->fault = PFA_FAULT_CORRUPT_CACHE;
		pfai_zone_mark_corrupt(z);
	}
	return fine;
}

/* The free block at rel becomes the request's, past the caches. */
static void request_grant_locked(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq, size_t rel)
{
	size_t offset = pfai_offset_of_rel(z, rel), nr = (size_t)1 << rq->order;
	rq->zero = pfai_zone_known_zero_locked(p, z, rel, nr);
	pfai_zone_take_locked(p, z, rel, rq->order);
	pfai_fallback_granted_locked(p, z, rq->code, rel, rq->order);
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(PFAI_HEAD | rq->order));
	rq->pfn = p->base + offset;
	rq->zone = z;
	z->direct_allocs += nr;
	z->events.direct++;
	if ((rq->flags & PFA_HIGH) && pfai_fallback_may_reserve_locked(p, z, rel, rq->order)) {
		pfai_fallback_reserve_locked(p, z, rel);
		rq->reserved = z;
	}
}

/* Fills the slot from the zone's own memory of the type, as far as the mark allows without CMA. */
static bool request_refill_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, const struct pfai_request *rq,
                                  bool low)
{
	size_t slot = request_slot(p, z, rq), want = pfai_slot_batch(p, &c->slots[slot]);
	ptrdiff_t room = pfai_zone_room_locked(z, request_mark(z, rq, low), false, false);
	if (!c->slots[slot].cap || room < (ptrdiff_t)1 << rq->order)
		return false;
	/* At most half of what the mark allows, so that the last frames are not all parked in one cache. */
	size_t allowed = (size_t)room >> rq->order >> 1;
	if (want > allowed)
		want = allowed ? allowed : 1;
	return pfai_slot_refill_locked(p, c, z, slot, (unsigned)want) != 0;
}

/* Nothing was got from a zone: because there is nothing, or because damage was met. */
static int request_nothing(struct pfai_zone *z, struct pfai_request *rq)
{
	if (PFAI_LIKELY(!pfai_load_relaxed(&z->corrupt)))
		return PFA_ENOMEM;
	rq->fault = PFA_FAULT_CORRUPT_FREE;
	rq->pfn = z->start;
	return PFA_ECORRUPT;
}

/* One block from one zone; c: this cpu's cache, locked, to be filled on the way, or NULL.
 * @return PFA_OK, PFA_ENOMEM, PFA_ECORRUPT (with rq->fault). */
static int request_take_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, struct pfai_request *rq, bool low)
{
	bool high = rq->flags & PFA_HIGH;
	ptrdiff_t room = pfai_zone_room_locked(z, request_mark(z, rq, low), high, rq->code == PFAI_CODE_MOVABLE);
	size_t rel = PFAI_NONE;
	if (room < (ptrdiff_t)1 << rq->order)
		return PFA_ENOMEM;
	if (rq->windowed) {
		rel = request_place_window(p, z, rq);
	} else {
		int from = pfai_fallback_prepare_locked(p, z, rq->code, rq->order, high);
		if (from < 0)
			return request_nothing(z, rq);
		if (from == (int)rq->code && request_cacheable(p, c, rq) && request_refill_locked(p, c, z, rq, low))
			return request_pop(p, c, z, rq) ? PFA_OK : PFA_ECORRUPT;
		rel = pfai_zone_first_locked(p, z, (unsigned)from, rq->order);
	}
	if (rel == PFAI_NONE || !pfai_zone_is_free_locked(z, rel, rq->order))
		return request_nothing(z, rq);
	request_grant_locked(p, z, rq, rel);
	return PFA_OK;
}

/* Is there a point in trying first above the low marks? */
static bool request_low_pass(const struct pfa *p, const struct pfai_request *rq)
{
	if (rq->flags & PFA_HIGH)
		return false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++)
		if (p->zones[i].mark_low != p->zones[i].mark_min)
			return true;
	return false;
}

/* One zone: its slot in this cpu's cache, then the zone itself. */
static int request_try_zone(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, struct pfai_request *rq, bool low)
{
	if (PFAI_UNLIKELY(pfai_load_relaxed(&z->corrupt))) {
		rq->met_corrupt = true;
		return PFA_ENOMEM;
	}
	if (request_cacheable(p, c, rq) && c->slots[request_slot(p, z, rq)].n)
		return request_pop(p, c, z, rq) ? PFA_OK : PFA_ECORRUPT;
	if (!request_hint(z, rq))
		return PFA_ENOMEM;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	int result = request_take_locked(p, c, z, rq, low);
	pfai_zone_unlock(p, z);
	return result;
}

/* All zones, low marks first (min marks only, where final). */
static int request_try(struct pfa *p, struct pfai_cpu *c, struct pfai_request *rq, bool final)
{
	for (unsigned low = !final && request_low_pass(p, rq);; low--) {
		for (unsigned i = rq->first_zone; i <= rq->last_zone; i++) {
			int result = request_try_zone(p, c, &p->zones[i], rq, low);
			if (result != PFA_ENOMEM)
				return result;
		}
		if (!low)
			return PFA_ENOMEM;
	}
}

/* ---- before failing -------------------------------------------------------------------------------------------- */

static bool request_reserve_left(const struct pfa *p, const struct pfai_request *rq)
{
	if (rq->flags & PFA_HIGH)
		return false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++)
		if (pfai_load_relaxed(&p->zones[i].avail_high))
			return true;
	return false;
}

/* Gives up HIGHATOMIC pageblocks of one zone until the request succeeds there. Bounded by the reserve. */
static int request_unreserve(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq)
{
	int result = PFA_ENOMEM;
	if (!pfai_load_relaxed(&z->avail_high) || pfai_load_relaxed(&z->corrupt))
		return PFA_ENOMEM;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	while (result == PFA_ENOMEM && pfai_fallback_unreserve_locked(p, z, rq->code))
		result = request_take_locked(p, NULL, z, rq, false);
	pfai_zone_unlock(p, z);
	return result;
}

static int request_failed(struct pfa *p, const struct pfai_request *rq, int code)
{
	pfai_add_relaxed(&p->nr_fail, 1u);
	return rq->met_corrupt ? PFA_ECORRUPT : code;
}

static int request_drain_own(struct pfa *p)
{
	uint32_t cpu = pfai_this_cpu(p);
	if (cpu >= p->nr_cpus || !pfai_cpu_try_lock(p, pfai_cpu_at(p, cpu)))
		return PFA_OK;
	int result = pfai_cache_drain_locked(p, pfai_cpu_at(p, cpu));
	pfai_cpu_unlock(p, pfai_cpu_at(p, cpu));
	return result;
}

/* The first try failed: caches are drained, then the reserve is given up, as far as the flags allow. */
static int PFAI_NOINLINE request_last_resort(struct pfa *p, struct pfai_request *rq)
{
	if (!pfai_cache_any_held(p) && !request_reserve_left(p, rq))
		return request_failed(p, rq, PFA_ENOMEM);
	if (rq->flags & PFA_NORETRY)
		return request_failed(p, rq, PFA_EAGAIN);
	int drained = rq->flags & PFA_NOWAIT ? request_drain_own(p) : pfai_cache_drain_all(p);
	int result = request_try(p, NULL, rq, true);
	for (unsigned i = rq->first_zone; i <= rq->last_zone && result == PFA_ENOMEM && !(rq->flags & PFA_HIGH); i++)
		result = request_unreserve(p, &p->zones[i], rq);
	if (drained == PFA_ECORRUPT)
		rq->met_corrupt = true;
	if (result != PFA_ENOMEM)
		return result;
	if ((rq->flags & PFA_NOWAIT) && pfai_cache_any_held(p))
		return request_failed(p, rq, PFA_EAGAIN);
	return request_failed(p, rq, PFA_ENOMEM);
}

/* Serves the request; c: this cpu's cache, locked, or NULL. It is unlocked on return. */
static int request_serve(struct pfa *p, struct pfai_cpu *c, struct pfai_request *rq)
{
	int result = request_try(p, c, rq, false);
	if (c)
		pfai_cpu_unlock(p, c);
	if (result == PFA_ENOMEM)
		result = request_last_resort(p, rq);
	if (PFAI_UNLIKELY(rq->fault != PFA_FAULT_NONE))
		return pfai_fault(p, rq->fault, rq->pfn, rq->order, "pfa_alloc");
	if (result == PFA_OK && PFAI_UNLIKELY(rq->reserved != NULL)) {
		/* Blocks of the reserved pageblock in caches would still go to anybody. */
		size_t pb = (rq->pfn - rq->reserved->origin) >> p->pb_order;
		if (pfai_cache_purge_pageblock(p, rq->reserved, pb, !(rq->flags & PFA_NOWAIT)) == PFA_ECORRUPT)
			(void)pfai_fault(p, PFA_FAULT_CORRUPT_CACHE, rq->pfn, rq->order, "pfa_alloc");
	}
	return result;
}

int pfai_request_serve(struct pfa *p, struct pfai_request *rq)
{
	return request_serve(p, NULL, rq);
}

/* Any request for one block: served and zeroed. */
static int request_alloc(struct pfa *p, struct pfai_cpu *c, struct pfai_request *rq)
{
	int result = request_serve(p, c, rq);
	if (result == PFA_OK)
		pfai_request_finish(p, rq, rq->pfn, (size_t)1 << rq->order);
	return result;
}

/* Everything but the plain hit. */
static int PFAI_NOINLINE alloc_slow(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags);
	if (result != PFA_OK)
		return result;
	uint32_t cpu = pfai_this_cpu(p);
	struct pfai_cpu *c = cpu < p->nr_cpus ? pfai_cpu_at(p, cpu) : NULL;
	if (c && !pfai_cpu_try_lock(p, c))
		c = NULL;
	result = request_alloc(p, c, &rq);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

/* Takes over the held cache lock of an empty slot. */
static int PFAI_NOINLINE alloc_miss(struct pfa *p, struct pfai_cpu *c, unsigned order, uint32_t flags, pfa_pfn *out)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags);
	PFAI_ASSERT(result == PFA_OK);
	result = request_alloc(p, c, &rq);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

/* Takes over the held cache lock: the top of a slot is damaged. The block is dropped, its zone refuses. */
static int PFAI_COLD alloc_damaged(struct pfa *p, struct pfai_cpu *c, struct pfai_slot *s, size_t offset)
{
	size_t slot = (size_t)(s - c->slots);
	pfai_cpu_unlock(p, c);
	pfai_zone_mark_corrupt(&p->zones[pfai_slot_zone(p, slot)]);
	return pfai_fault(p, PFA_FAULT_CORRUPT_CACHE, p->base + offset, pfai_slot_order(p, slot), "pfa_alloc");
}

/* A leaf function: all that is rare is a tail call, and nothing lives longer than it must, so that no register has to
 * be saved. CI looks at the disassembly. */
int pfa_alloc(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out)
{
	uint32_t cpu = pfai_fast_cpu(p);
	if (PFAI_UNLIKELY(flags > PFA_RECLAIMABLE || order >= p->cached_orders || cpu >= p->nr_cpus))
		return alloc_slow(p, order, flags, out);
	struct pfai_cpu *c = pfai_cpu_at(p, cpu);
	if (PFAI_UNLIKELY(!pfai_cpu_try_lock(p, c)))
		return alloc_slow(p, order, flags, out);
	/* flags ^ 1: pfai_code_of_type() of a common type */
	struct pfai_slot *s = &c->slots[(size_t)c->first + ((size_t)(flags ^ 1) << p->slot_shift) + order];
	if (PFAI_UNLIKELY(!s->n))
		return alloc_miss(p, c, order, flags, out);
	s->n--;
	size_t at = c->entries[s->start + s->n];
	unsigned byte = pfai_load_relaxed(&p->bytes[at]) & ~(unsigned)PFAI_ZERO_BIT;
	if (PFAI_UNLIKELY(byte != (PFAI_CACHED | order)))
		return alloc_damaged(p, c, s, at);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(byte ^ (PFAI_CACHED ^ PFAI_HEAD)));
	s->allocs++;
	*out = p->base + at;
	return pfai_cpu_unlock_tail(p, c);
}

/* ---- bulk, window, pointer --------------------------------------------------------------------------------------- */

/* Pops what the slot that served last holds, up to nr. Cache lock held. Stops at a damaged block. */
static size_t bulk_pop(struct pfa *p, struct pfai_cpu *c, const struct pfai_request *rq, size_t nr, pfa_pfn out[])
{
	unsigned row = c->first >> p->slot_shift >> PFAI_ROUTE_ZONE_SHIFT;
	struct pfai_slot *s = &c->slots[c->first + (rq->code << p->slot_shift) + rq->order];
	size_t got = 0, at;
	bool zero;
	if (row < rq->first_zone || row > rq->last_zone || (rq->flags & (PFA_ZERO | PFA_HIGH)) || rq->order >= p->cached_orders)
		return 0;
	if (pfai_load_relaxed(&p->zones[row].corrupt))
		return 0;
	while (got < nr && s->n) {
		if (!pfai_slot_pop(p, c, s, rq->order, &at, &zero)) {
			s->n++; /* left for the single request, which reports it */
			break;
		}
		out[got++] = p->base + at;
	}
	return got;
}

int pfa_alloc_bulk(struct pfa *p, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[], size_t *out_nr)
{
	struct pfai_request rq;
	size_t got = 0;
	int result = pfai_request_parse(p, &rq, order, flags);
	*out_nr = 0;
	if (result != PFA_OK)
		return result;
	while (got < nr) {
		uint32_t cpu = pfai_this_cpu(p);
		struct pfai_cpu *c = cpu < p->nr_cpus ? pfai_cpu_at(p, cpu) : NULL;
		if (c && !pfai_cpu_try_lock(p, c))
			c = NULL;
		if (c)
			got += bulk_pop(p, c, &rq, nr - got, out + got);
		if (got == nr) {
			pfai_cpu_unlock(p, c);
			break;
		}
		result = request_alloc(p, c, &rq);
		if (result != PFA_OK)
			break;
		rq.reserved = NULL;
		out[got++] = rq.pfn;
	}
	*out_nr = got;
	return result;
}

int pfa_alloc_window(struct pfa *p, unsigned order, uint32_t flags, struct pfa_run window, pfa_pfn *out)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags);
	if (result != PFA_OK)
		return result;
	if (!window.nr_frames || window.first + window.nr_frames < window.first)
		return PFA_EINVAL;
	rq.windowed = true;
	rq.window = window;
	result = pfai_request_serve(p, &rq);
	if (result != PFA_OK)
		return result;
	pfai_request_finish(p, &rq, rq.pfn, (size_t)1 << order);
	*out = rq.pfn;
	return PFA_OK;
}

int pfa_alloc_ptr(struct pfa *p, unsigned order, uint32_t flags, void **out)
{
	pfa_pfn pfn = 0;
	if (!p->pool)
		return PFA_ENOTSUP;
	int result = pfa_alloc(p, order, flags, &pfn);
	if (result == PFA_OK)
		*out = p->pool + ((pfn - p->pool_pfn) << p->frame_shift);
	return result;
}
