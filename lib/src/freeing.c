/* SPDX-License-Identifier: MIT */
#include "freeing.h"

#include "damage.h"
#include "generation.h"
#include "movable.h"
#include "guard.h"
#include "quarantine.h"
#include "refuse.h"

/* A block that is FREEING goes back to its zone, and what it is part of then may go to a request. No lock held. */
static int freeing_put(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, struct pfai_request *capture)
{
	if (!pfai_zone_lock(p, z)) {
		pfai_unclaim_block(p, offset, order);
		return PFA_EBUSY;
	}
	if (PFAI_LIKELY(pfai_block_returnable(p, z, offset, order))) {
		pfai_block_returns(p, offset, order);
		pfai_zone_put_locked(p, z, offset + z->delta, order, p->hooks & PFAI_HOOK_CONTENT);
		z->st->direct_frees += (size_t)1 << order;
		if (capture)
			pfai_request_capture_locked(p, z, capture, offset + z->delta);
	} else {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_unclaim_block(p, offset, order); /* it stays the caller's */
	}
	pfai_zone_unlock(p, z);
	return PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)) ? PFA_ECORRUPT : PFA_OK;
}

/* A block that is FREEING goes into this cpu's cache. Cache lock held. False: there is no room. */
static bool freeing_push(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	if (order >= p->cached_orders)
		return false;
	size_t slot = pfai_slot_by_route(p, offset, order);
	if (PFAI_UNLIKELY(slot == PFAI_NONE || !pfai_slot_sound(p, c, slot)))
		return false;
	struct pfai_slot *s = &c->slots[slot];
	struct pfai_zone *z = &p->zones[pfai_slot_zone(p, slot)];
	if (!s->cap)
		return false;
	if (s->n == s->cap) {
		if (!pfai_zone_lock(p, z))
			return false;
		bool ok = pfai_slot_flush_locked(p, c, z, slot, pfai_slot_batch(p, slot));
		pfai_zone_unlock(p, z);
		if (!ok)
			return false;
	}
	unsigned state = p->hooks & PFAI_HOOK_CONTENT ? PFAI_CACHED_ZERO : PFAI_CACHED;
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(state | order));
	if (pfai_level(p, 3))
		pfai_slot_insert(p, c, s->start, s->n, (uint32_t)offset);
	else
		pfai_entries_at(c, s->start)[s->n] = (uint32_t)offset;
	s->n++;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return true;
}

/* The zone's lock is busy and cannot be waited for: can the block be freed without it? As things are, says a look; what
 * interrupts can put in between here is a free that is refused with PFA_EBUSY after its hooks were run. */
static bool PFAI_COLD freeing_has_room(struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	struct pfai_cpu *c = pfai_cpu_mine(p);
	bool room = false;
	if (!c)
		return false;
	size_t slot = order < p->cached_orders ? pfai_slot_by_route(p, offset, order) : PFAI_NONE;
	if (slot != PFAI_NONE)
		room = c->slots[slot].n < c->slots[slot].cap;
	if (pfai_level(p, 3)) {
		const struct pfai_full *f = pfai_full_of(p, c);
		room = f->n < f->cap || (!f->cap && room);
		room = room && !pfai_guard_of(p, z, offset, (size_t)1 << order);
	}
	pfai_cpu_unlock(p, c);
	return room;
}

/* A block that is FREEING goes where it belongs: quarantine, cache or zone. No lock held. */
static int freeing_place(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order)
{
	struct pfai_cpu *c = pfai_cpu_mine_or_wait(p);
	int result = PFA_EAGAIN;
	if (c && pfai_level(p, 3))
		result = pfai_quarantine_put(p, c, z, offset, order);
	if (c && result == PFA_EAGAIN && freeing_push(p, c, offset, order))
		result = PFA_OK;
	if (c)
		pfai_cpu_unlock(p, c);
	return result == PFA_EAGAIN ? freeing_put(p, z, offset, order, NULL) : result;
}

bool pfai_range_quarantined(struct pfa *p, size_t offset, size_t nr_frames, int *result)
{
	struct pfai_cpu *c = p->quarantine ? pfai_cpu_mine_or_wait(p) : NULL;
	size_t end = offset + nr_frames;
	if (!c)
		return false;
	bool queued = pfai_full_of(p, c)->cap != 0;
	while (queued && offset < end) {
		struct pfai_zone *z = pfai_zone_of(p, p->base + offset);
		unsigned order = pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
		int code = pfai_quarantine_put(p, c, z, offset, order);
		/* No room, since a zone is busy: what the caller has to wait for could not be waited for either. */
		if (code == PFA_EAGAIN)
			code = freeing_put(p, z, offset, order, NULL);
		if (code != PFA_OK)
			*result = code;
		offset += (size_t)1 << order;
	}
	pfai_cpu_unlock(p, c);
	return queued;
}

int pfai_free_hooked(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	size_t offset = pfn - p->base;
	if (!z || order > p->max_order)
		return pfai_refuse_block(p, pfn, order, function);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, function);
	if (!pfai_claim_block(p, offset, order))
		return pfai_free_other(p, pfn, order, function);
	return pfai_free_claimed(p, z, offset, order, function);
}

/* Before a claimed block goes anywhere. */
static int freeing_begin(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function)
{
	if (PFAI_UNLIKELY(!pfai_zone_lockable(p, z)) && !freeing_has_room(p, z, offset, order)) {
		pfai_unclaim_block(p, offset, order);
		return PFA_EBUSY;
	}
	/* The content of as much as the byte said is about to be overwritten. */
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_unclaim_block(p, offset, order); /* it stays the caller's */
		return pfai_tell(p, function);
	}
	if (pfai_level(p, 3) && PFAI_UNLIKELY(!pfai_guard_release(p, z, offset, (size_t)1 << order))) {
		pfai_unclaim_block(p, offset, order); /* as above */
		return pfai_tell(p, function);
	}
	pfai_hook_freed(p, offset, order, function);
	return PFA_OK;
}

int pfai_free_claimed_past(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, struct pfai_request *capture,
                           const char *function)
{
	int result = freeing_begin(p, z, offset, order, function);
	return result == PFA_OK ? pfai_told(p, freeing_put(p, z, offset, order, capture), function) : result;
}

int pfai_free_claimed(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function)
{
	int result = freeing_begin(p, z, offset, order, function);
	return result == PFA_OK ? pfai_told(p, freeing_place(p, z, offset, order), function) : result;
}
