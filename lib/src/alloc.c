/* SPDX-License-Identifier: MIT */
#include "alloc.h"

#include <pfa/pfa.h>

#include "basic.h"
#include "closed.h"
#include "compact.h"
#include "damage.h"
#include "content.h"
#include "fallback.h"
#include "guard.h"
#include "hook.h"
#include "pagelock.h"
#include "place.h"
#include "verified.h"

#define ALLOC_FLAGS                                                                                              \
	(PFA_TYPE_MASK | PFA_ZERO | PFA_NOWAIT | PFA_HIGH | PFA_COMPACT | PFA_NORETRY | PFA_EXACT_ZONE | PFA_GUARD |      \
	 0xFF000000u)

int pfai_request_parse(const struct pfa *p, struct pfai_request *rq, unsigned order, uint32_t flags,
                       const char *function)
{
	unsigned type = flags & PFA_TYPE_MASK;
	int closed = pfai_closed(p, function);
	if (closed != PFA_OK)
		return closed;
	if (order > p->max_order || (flags & ~ALLOC_FLAGS) || type > PFA_RECLAIMABLE || PFA_ZONE_OF(flags) >= p->nr_zones)
		return PFA_EINVAL;
	if ((flags & PFA_ZERO) && !p->os.zero && !p->pool)
		return PFA_ENOTSUP;
	if (pfai_op_inside(p)) /* what is waited for might wait for the op */
		flags |= PFA_NOWAIT;
	if (flags & PFA_GUARD) {
		if (!pfai_level(p, 3))
			return PFA_ENOTSUP;
		order += PFAI_GUARD_ORDERS;
		if (order > p->max_order)
			return PFA_EINVAL;
	}
	*rq = (struct pfai_request){
		.order = order,
		.code = pfai_code_of_type(type),
		.flags = flags,
		.first_zone = PFA_ZONE_OF(flags),
		.last_zone = flags & PFA_EXACT_ZONE ? PFA_ZONE_OF(flags) : p->nr_zones - 1,
		.function = function,
	};
	return PFA_OK;
}

int pfai_request_undo(struct pfa *p, const struct pfai_request *rq, int result)
{
	if (p->hooks)
		pfai_hooks_undone(p, rq->pfn, rq->order);
	int undone = pfa_free(p, rq->pfn, rq->order);
	return undone == PFA_OK ? result : undone;
}

int pfai_request_finish(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order)
{
	int result = pfai_hook_granted(p, rq, pfn, nr_frames, order);
	if (result != PFA_OK || !(rq->flags & PFA_ZERO))
		return result;
	if (rq->zero && pfai_known_is_zero(p)) {
		pfai_add_relaxed(&p->st->nr_zero_skipped, nr_frames);
		return PFA_OK;
	}
	pfai_content_zero(p, pfn, nr_frames);
	pfai_add_relaxed(&p->st->nr_zeroed, nr_frames);
	return PFA_OK;
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
	uint32_t orders = pfai_load_relaxed(&z->st->avail_common);
	if (rq->code == PFAI_CODE_MOVABLE)
		orders |= pfai_load_relaxed(&z->st->avail_cma);
	if (rq->flags & PFA_HIGH)
		orders |= pfai_load_relaxed(&z->st->avail_high);
	return orders >> rq->order != 0;
}

/* The part of the window in this zone, as rels. False: no block of the order lies in it. */
static bool request_window(const struct pfai_zone *z, const struct pfai_request *rq, size_t *lo, size_t *hi)
{
	pfa_pfn first = rq->window.first, end = first + rq->window.nr_frames, mask = ((size_t)1 << rq->order) - 1;
	first = first > z->start ? first : z->start;
	end = end < z->end ? end : z->end;
	*lo = first - z->origin;
	*hi = end - z->origin;
	pfa_pfn aligned = (first + mask) & ~mask;
	return aligned < end && end - aligned > mask;
}

/* Could the zone serve the request if all of its memory were free? */
static bool request_possible(const struct pfai_zone *z, const struct pfai_request *rq)
{
	size_t lo, hi;
	return rq->order <= z->top_order && (!rq->windowed || request_window(z, rq, &lo, &hi));
}

static size_t request_place_window(const struct pfa *p, const struct pfai_zone *z, const struct pfai_request *rq)
{
	size_t lo, hi;
	if (!request_window(z, rq, &lo, &hi))
		return PFAI_NONE;
	return pfai_fallback_window_locked(p, z, rq->code, rq->order, rq->flags & PFA_HIGH, lo, hi);
}

static size_t request_slot(const struct pfa *p, const struct pfai_zone *z, const struct pfai_request *rq)
{
	return pfai_slot_of(p, z->id, rq->code, rq->order);
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
	bool fine = pfai_slot_pop(p, c, slot, &offset, &rq->zero);
	rq->zone = z;
	rq->pfn = p->base + offset;
	c->first = (uint32_t)pfai_slot_of(p, z->id, 0, 0);
	if (!fine)
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_CACHE);
	return fine;
}

/* The free block at rel becomes the request's, past the caches. */
static void request_grant_locked(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq, size_t rel)
{
	size_t offset = pfai_offset_of_rel(z, rel), nr = (size_t)1 << rq->order;
	rq->zero = pfai_zone_known_zero_locked(p, z, rel, nr);
	pfai_zone_take_locked(p, z, rel, rq->order);
	pfai_fallback_granted_locked(p, z, rq->code, rel, rq->order);
	pfai_block_leaves(p, offset, rq->order, PFAI_HEAD | rq->order);
	rq->pfn = p->base + offset;
	rq->zone = z;
	z->st->direct_allocs += nr;
	z->st->events.direct++;
	if ((rq->flags & PFA_HIGH) && pfai_fallback_may_reserve_locked(p, z, rel, rq->order)) {
		pfai_fallback_reserve_locked(p, z, rel);
		rq->reserved = z;
	}
}

/* How much a slot is filled up: by a batch as far as there is room, and at level 3 until there is enough to choose from,
 * unless others starve. (Somebody may begin to at any time: so the slot is not empty then.) */
static size_t request_want(const struct pfa *p, const struct pfai_slot *s, size_t slot)
{
	size_t want = pfai_slot_batch(p, slot), keep = p->homes[slot].keep;
	if (pfai_level(p, 3)) {
		size_t room = s->cap > s->n ? (size_t)(s->cap - s->n) : 0;
		if (s->n < keep && !pfai_load_relaxed(&p->st->starving))
			want += keep - s->n;
		if (want > room)
			want = room;
	}
	return want;
}

void pfai_request_capture_locked(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq, size_t rel)
{
	size_t at = rel >> rq->order << rq->order, nr = (size_t)1 << rq->order;
	bool high = rq->flags & PFA_HIGH;
	if (rq->zone || z->id < rq->first_zone || z->id > rq->last_zone || pfai_load_relaxed(&z->st->corrupt) ||
	    at < z->start - z->origin || nr > z->end - z->origin - at)
		return;
	for (size_t pb = at >> p->pb_order; pb <= (at + nr - 1) >> p->pb_order; pb++)
		if (!pfai_code_is_common(pfai_pb_code(&z->pb[pb])))
			return;
	ptrdiff_t room = pfai_zone_room_locked(z, request_mark(z, rq, false), high, rq->code == PFAI_CODE_MOVABLE);
	if (!pfai_room_fits(room, rq->order) || !pfai_map_is(z->not_free, at, nr, false) ||
	    !pfai_zone_is_free_locked(p, z, at, rq->order))
		return;
	request_grant_locked(p, z, rq, at);
}

/* Fills the slot from the zone's own memory of the type, as far as the mark allows without CMA. */
static bool request_refill_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, const struct pfai_request *rq,
                                  bool low)
{
	size_t slot = request_slot(p, z, rq), want = request_want(p, &c->slots[slot], slot);
	ptrdiff_t room = pfai_zone_room_locked(z, request_mark(z, rq, low), false, false);
	if (!c->slots[slot].cap || !pfai_room_fits(room, rq->order))
		return false;
	/* At most half of what the mark allows, so that the last frames are not all parked in one cache. */
	size_t allowed = (size_t)room >> rq->order >> 1;
	if (want > allowed)
		want = allowed ? allowed : 1;
	return want && pfai_slot_refill_locked(p, c, z, slot, (unsigned)want) != 0;
}

/* Level 3: a slot that holds something, but not enough to choose from, is filled up from free memory of its type. */
static void request_top_up(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, const struct pfai_request *rq, bool low)
{
	const size_t slot = request_slot(p, z, rq), n = c->slots[slot].n;
	if (!n || n > p->homes[slot].keep || pfai_load_relaxed(&p->st->starving) || !request_hint(z, rq) ||
	    !pfai_zone_lock(p, z))
		return;
	(void)request_refill_locked(p, c, z, rq, low);
	pfai_zone_unlock(p, z);
}

/* Nothing was got from a zone: because there is nothing, or because damage was met. */
static int request_nothing(const struct pfai_zone *z)
{
	return pfai_load_relaxed(&z->st->corrupt) ? PFA_ECORRUPT : PFA_ENOMEM;
}

/* A block was got, and if damage was met on the way it is lost all the same: the zone refuses. */
static int request_sound(const struct pfai_zone *z)
{
	return PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)) ? PFA_ECORRUPT : PFA_OK;
}

/* One block from one zone; c: this cpu's cache, locked, to be filled on the way, or NULL.
 * @return PFA_OK, PFA_ENOMEM, PFA_ECORRUPT (damage was met just now). */
static int request_take_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, struct pfai_request *rq, bool low)
{
	bool high = rq->flags & PFA_HIGH;
	ptrdiff_t room = pfai_zone_room_locked(z, request_mark(z, rq, low), high, rq->code == PFAI_CODE_MOVABLE);
	size_t rel = PFAI_NONE;
	if (!pfai_room_fits(room, rq->order))
		return PFA_ENOMEM;
	if (rq->windowed) {
		rel = request_place_window(p, z, rq);
	} else {
		int from = pfai_fallback_prepare_locked(p, z, rq->code, rq->order, high);
		if (from < 0)
			return request_nothing(z);
		if (from == (int)rq->code && request_cacheable(p, c, rq)) {
			if (request_refill_locked(p, c, z, rq, low))
				return request_pop(p, c, z, rq) ? request_sound(z) : PFA_ECORRUPT;
			if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
				return PFA_ECORRUPT;
		}
		rel = pfai_zone_first_locked(p, z, (unsigned)from, rq->order);
	}
	if (rel == PFAI_NONE || !pfai_zone_is_free_locked(p, z, rel, rq->order))
		return request_nothing(z);
	request_grant_locked(p, z, rq, rel);
	return request_sound(z);
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
	if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt))) {
		rq->met_corrupt = true;
		return PFA_ENOMEM;
	}
	if (request_cacheable(p, c, rq)) {
		size_t slot = request_slot(p, z, rq);
		if (PFAI_UNLIKELY(!pfai_slot_sound(p, c, slot)))
			return PFA_ECORRUPT;
		if (pfai_level(p, 3))
			request_top_up(p, c, z, rq, low);
		if (c->slots[slot].n)
			return request_pop(p, c, z, rq) ? PFA_OK : PFA_ECORRUPT;
	}
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

/* Is there a HIGHATOMIC reserve that could be given up for this request? */
static bool request_reserve_left(const struct pfa *p, const struct pfai_request *rq)
{
	if (rq->flags & PFA_HIGH)
		return false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++)
		if (request_possible(&p->zones[i], rq) && pfai_load_relaxed(&p->zones[i].st->avail_high))
			return true;
	return false;
}

/* Could any zone ever serve it? *hint: some zone says that it has a fitting block now. */
static bool request_any_possible(const struct pfa *p, const struct pfai_request *rq, bool *hint)
{
	bool possible = false;
	*hint = false;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++) {
		if (!request_possible(&p->zones[i], rq))
			continue;
		possible = true;
		*hint |= request_hint(&p->zones[i], rq);
	}
	return possible;
}

/* Gives up HIGHATOMIC pageblocks of one zone until the request succeeds there. Bounded by the reserve. */
static int request_unreserve(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq)
{
	int result = PFA_ENOMEM;
	if (!request_possible(z, rq) || !pfai_load_relaxed(&z->st->avail_high) || pfai_load_relaxed(&z->st->corrupt))
		return PFA_ENOMEM;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	while (result == PFA_ENOMEM && pfai_fallback_unreserve_locked(p, z, rq->code))
		result = request_take_locked(p, NULL, z, rq, false);
	pfai_zone_unlock(p, z);
	return result;
}

/* Will compaction be tried before the request fails? */
static bool request_compacts(const struct pfa *p, const struct pfai_request *rq)
{
	return p->table && (rq->flags & (PFA_COMPACT | PFA_NOWAIT)) == PFA_COMPACT && rq->order && !rq->windowed;
}

static int request_failed(struct pfa *p, struct pfai_request *rq, int code)
{
	if (p->table)
		pfai_compact_wanted(p, rq);
	rq->failed = true;
	return rq->met_corrupt ? PFA_ECORRUPT : code;
}

static int request_drain_own(struct pfa *p)
{
	struct pfai_cpu *c = pfai_cpu_mine(p);
	if (!c)
		return PFA_OK;
	int result = pfai_cache_drain_locked(p, c);
	pfai_cpu_unlock(p, c);
	return result;
}

/* The first try failed: caches are drained, then the reserve is given up, as far as the flags allow. */
static int PFAI_NOINLINE request_last_resort(struct pfa *p, struct pfai_request *rq)
{
	bool nowait = rq->flags & PFA_NOWAIT, hint;
	/* In this order: what a drain takes out of a cache before `held` is read shows in the hints that are read after. */
	bool held = pfai_cache_any_held(p), possible = request_any_possible(p, rq, &hint);
	if (!possible || (!held && !hint && !request_reserve_left(p, rq)))
		return request_failed(p, rq, PFA_ENOMEM);
	if ((rq->flags & PFA_NORETRY) && (held || request_reserve_left(p, rq)))
		return request_failed(p, rq, PFA_EAGAIN);
	int result = PFA_OK;
	if (held)
		result = nowait ? request_drain_own(p) : pfai_cache_drain_all(p);
	if (result != PFA_ECORRUPT)
		result = request_try(p, NULL, rq, true);
	for (unsigned i = rq->first_zone; i <= rq->last_zone && result == PFA_ENOMEM && !(rq->flags & PFA_HIGH); i++)
		result = request_unreserve(p, &p->zones[i], rq);
	if (result != PFA_ENOMEM)
		return result;
	return request_failed(p, rq, nowait && held && pfai_cache_any_held(p) ? PFA_EAGAIN : PFA_ENOMEM);
}

/* Level 3: a request that may wait fails only after it has emptied every quarantine, and kept it empty from then on. */
static int PFAI_NOINLINE request_starve(struct pfa *p, struct pfai_request *rq)
{
	bool hint;
	if (!request_any_possible(p, rq, &hint) || (rq->flags & (PFA_NOWAIT | PFA_NORETRY)))
		return request_last_resort(p, rq);
	pfai_add_relaxed(&p->st->starving, 1u);
	int result = pfai_cache_visit_all(p);
	if (result != PFA_ECORRUPT)
		result = request_last_resort(p, rq);
	pfai_sub_relaxed(&p->st->starving, 1u);
	return result;
}

static int request_retry(struct pfa *p, struct pfai_request *rq)
{
	return pfai_level(p, 3) ? request_starve(p, rq) : request_last_resort(p, rq);
}

/* The request is about to fail: asks for memory, and tries again. It is no failure until nobody has any to give. */
static int PFAI_NOINLINE request_low_memory(struct pfa *p, struct pfai_request *rq)
{
	int result = PFA_ENOMEM;
	bool hint;
	uint32_t slot;
	if ((rq->flags & (PFA_NOWAIT | PFA_NORETRY)) || !request_any_possible(p, rq, &hint))
		return result;
	for (unsigned i = 0; i < PFA_LOW_MEMORY_TRIES && result == PFA_ENOMEM && pfai_mover_begin(p, &slot); i++) {
		pfai_op_enter(p, slot, pfai_self(p));
		size_t given = p->os.low_memory(p->os.ctx, rq->order, rq->flags);
		pfai_op_leave(p, slot);
		pfai_mover_end(p, slot);
		if (given == 0)
			break;
		rq->failed = false;
		result = request_retry(p, rq);
	}
	return result;
}

/* Serves the request; c: this cpu's cache, locked, or NULL. It is unlocked on return. */
static int request_serve(struct pfa *p, struct pfai_cpu *c, struct pfai_request *rq)
{
	rq->failed = false;
	int result = request_try(p, c, rq, false);
	if (c)
		pfai_cpu_unlock(p, c);
	if (result == PFA_ENOMEM)
		result = request_retry(p, rq);
	if (PFAI_UNLIKELY(result == PFA_ENOMEM && request_compacts(p, rq)))
		result = pfai_request_compact(p, rq);
	if (result == PFA_ENOMEM && p->os.low_memory)
		result = request_low_memory(p, rq);
	if (rq->failed) /* not before: what is counted cannot be taken back */
		pfai_add_relaxed(&p->st->nr_fail, 1u);
	if (PFAI_UNLIKELY(result == PFA_ECORRUPT))
		return pfai_tell(p, rq->function);
	if (result == PFA_OK && PFAI_UNLIKELY(rq->reserved != NULL)) {
		/* Blocks of the reserved pageblock in caches would still go to anybody. */
		size_t pb = (rq->pfn - rq->reserved->origin) >> p->pb_order;
		int purged = pfai_cache_purge_pageblock(p, rq->reserved, pb, !(rq->flags & PFA_NOWAIT));
		(void)pfai_told(p, purged, rq->function); /* the block is good all the same */
	}
	return result;
}

int pfai_request_first(struct pfa *p, struct pfai_request *rq)
{
	return request_try(p, NULL, rq, false);
}

int pfai_request_again(struct pfa *p, struct pfai_request *rq)
{
	return request_try(p, NULL, rq, true);
}

int pfai_request_serve(struct pfa *p, struct pfai_request *rq)
{
	return request_serve(p, NULL, rq);
}

/* Any request for one block: served and zeroed. */
static int request_alloc(struct pfa *p, struct pfai_cpu *c, struct pfai_request *rq)
{
	int result = request_serve(p, c, rq);
	bool guarded = result == PFA_OK && pfai_level(p, 3) && (rq->flags & PFA_GUARD);
	if (guarded)
		result = pfai_guard_carve(p, rq);
	if (guarded && result != PFA_OK)
		return result == PFA_EBUSY ? pfai_request_undo(p, rq, result) : pfai_tell(p, rq->function);
	if (result == PFA_OK)
		result = pfai_request_finish(p, rq, rq->pfn, (size_t)1 << rq->order, rq->order);
	/* The block is bad: nobody will free it. */
	if (guarded && result != PFA_OK && pfai_zone_lockable(p, rq->zone))
		(void)pfai_guard_release(p, rq->zone, rq->pfn - p->base, (size_t)1 << rq->order);
	return result;
}

int PFAI_NOINLINE pfai_alloc_slow(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags, "pfa_alloc");
	if (result != PFA_OK)
		return result;
	result = request_alloc(p, pfai_cpu_mine_or_wait(p), &rq);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

int PFAI_NOINLINE pfai_alloc_miss(struct pfa *p, struct pfai_cpu *c, unsigned order, uint32_t flags, pfa_pfn *out)
{
	struct pfai_request rq;
	int result = pfai_request_parse(p, &rq, order, flags, "pfa_alloc");
	if (PFAI_UNLIKELY(result != PFA_OK)) { /* closed, by an unlocked cache: damage */
		pfai_cpu_unlock(p, c);
		return result;
	}
	result = request_alloc(p, c, &rq);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

int PFAI_COLD pfai_alloc_damaged(struct pfa *p, struct pfai_cpu *c)
{
	unsigned zone = pfai_slot_zone(p, c->first);
	pfai_cpu_unlock(p, c);
	pfai_zone_mark_corrupt(&p->zones[zone < p->nr_zones ? zone : 0], PFAI_DAMAGE_CACHE);
	return pfai_tell(p, "pfa_alloc");
}

/* A leaf function: all that is rare is a tail call, and nothing lives longer than it must, so that no register has to
 * be saved. CI looks at the disassembly. */
int pfa_alloc(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out)
{
	uint32_t cpu = pfai_fast_cpu(p);
	if (PFAI_UNLIKELY(flags > PFA_RECLAIMABLE || cpu >= p->nr_cpus))
		return pfai_alloc_slow(p, order, flags, out);
	struct pfai_cpu *c = pfai_cpu_at(p, cpu);
	if (PFAI_UNLIKELY(order >= p->fast_orders))
		return PFA_HARDENING < 2 ? pfai_alloc_slow(p, order, flags, out) : p->alloc_path(p, c, out, order, flags);
	if (PFAI_UNLIKELY(!pfai_cpu_try_lock(p, c)))
		return pfai_alloc_slow(p, order, flags, out);
	return PFAI_INSIDE_VERIFIED ? pfai_verified_alloc(p, c, out, order, flags) : pfai_basic_alloc(p, c, out, order, flags);
}

/* ---- bulk, window, pointer --------------------------------------------------------------------------------------- */

/* Pops what the zone that served last holds for the request, up to nr. Cache lock held. Stops at a damaged block. */
static size_t bulk_pop(struct pfa *p, struct pfai_cpu *c, const struct pfai_request *rq, size_t nr, pfa_pfn out[])
{
	unsigned zone = pfai_slot_zone(p, c->first);
	size_t got = 0, at;
	bool zero;
	/* Zeroing and hooks are for when the cache is unlocked. */
	if (zone < rq->first_zone || zone > rq->last_zone || (rq->flags & PFA_ZERO) || p->hooks || pfai_level(p, 3) ||
	    !request_cacheable(p, c, rq) || pfai_load_relaxed(&p->zones[zone].st->corrupt))
		return 0;
	size_t slot = pfai_slot_of(p, zone, rq->code, rq->order);
	struct pfai_slot *s = &c->slots[slot];
	while (got < nr && pfai_slot_sound(p, c, slot) && s->n) {
		if (!pfai_slot_pop(p, c, slot, &at, &zero)) {
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
	int result = flags & PFA_GUARD ? PFA_EINVAL : pfai_request_parse(p, &rq, order, flags, "pfa_alloc_bulk");
	*out_nr = 0;
	if (result != PFA_OK)
		return result;
	while (got < nr) {
		struct pfai_cpu *c = pfai_cpu_mine(p);
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
	int result = flags & PFA_GUARD ? PFA_EINVAL : pfai_request_parse(p, &rq, order, flags, "pfa_alloc_window");
	if (result != PFA_OK)
		return result;
	if (!window.nr_frames || window.first + window.nr_frames < window.first)
		return PFA_EINVAL;
	rq.windowed = true;
	rq.window = window;
	result = pfai_request_serve(p, &rq);
	if (result != PFA_OK)
		return result;
	result = pfai_request_finish(p, &rq, rq.pfn, (size_t)1 << order, order);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

int pfa_alloc_ptr(struct pfa *p, unsigned order, uint32_t flags, void **out)
{
	pfa_pfn pfn = 0;
	int closed = pfai_closed(p, "pfa_alloc_ptr");
	if (closed != PFA_OK)
		return closed;
	if (!p->pool)
		return PFA_ENOTSUP;
	int result = pfa_alloc(p, order, flags, &pfn);
	if (result == PFA_OK)
		*out = p->pool + ((pfn - p->pool_pfn) << p->frame_shift);
	return result;
}
