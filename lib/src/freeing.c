/* SPDX-License-Identifier: MIT */
#include "freeing.h"

#include "damage.h"
#include "generation.h"
#include "movable.h"
#include "refuse.h"

bool pfai_zone_lockable(struct pfa *p, struct pfai_zone *z)
{
	if (PFAI_LIKELY(!pfai_load_relaxed(&z->st->lock.word)))
		return true;
	if (!pfai_zone_lock(p, z))
		return false;
	pfai_zone_unlock(p, z);
	return true;
}

/* A block that is FREEING goes back to its zone. No lock held. */
static int freeing_put(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order)
{
	if (!pfai_zone_lock(p, z)) {
		pfai_unclaim_block(p, offset, order);
		return PFA_EBUSY;
	}
	pfai_block_returns(p, offset, order);
	pfai_zone_put_locked(p, z, offset + z->delta, order, false);
	z->st->direct_frees += (size_t)1 << order;
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
		bool ok = pfai_slot_flush_locked(p, c, z, slot, pfai_slot_batch(p, s));
		pfai_zone_unlock(p, z);
		if (!ok)
			return false;
	}
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(PFAI_CACHED | order));
	pfai_entries_at(c, s->start)[s->n] = (uint32_t)offset;
	s->n++;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return true;
}

int pfai_free_hooked(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	size_t offset = pfn - p->base;
	if (!z || order > p->max_order)
		return pfai_refuse_block(p, pfn, order, function);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, function);
	if (!pfai_zone_lockable(p, z))
		return PFA_EBUSY;
	if (!pfai_claim_block(p, offset, order))
		return pfai_free_other(p, pfn, order, function);
	return pfai_free_claimed(p, z, offset, order, function);
}

int pfai_free_claimed(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function)
{
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_unclaim_block(p, offset, order); /* it stays the caller's */
		return pfai_tell(p, function);
	}
	pfai_hook_freed(p, offset, order, function);
	struct pfai_cpu *c = pfai_cpu_mine(p);
	bool pushed = c && freeing_push(p, c, offset, order);
	if (c)
		pfai_cpu_unlock(p, c);
	return pushed ? PFA_OK : pfai_told(p, freeing_put(p, z, offset, order), function);
}
