/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include "content.h"
#include "history.h"

/* False: the platform could not. */
static bool guard_switch(struct pfa *p, size_t offset, bool on)
{
	return !p->os.guard || !p->pool ||
	       p->os.guard(p->os.ctx, p->base + offset, pfai_frame_at(p, p->base + offset), (size_t)1 << p->frame_shift, on) == PFA_OK;
}

/* One frame becomes a guard. What is known of its content stays known in the map, for its free, if it is verified then
 * at its next grant: its user may have written over the block's end. Zone lock held. */
static void guard_set_locked(struct pfa *p, struct pfai_zone *z, size_t offset, uint8_t byte, bool known)
{
	pfai_store_relaxed(&p->bytes[offset], byte);
	z->st->guards++;
	if (z->zero)
		pfai_map_fill(z->zero, offset + z->delta, 1, (known && (p->hooks & PFAI_HOOK_CONTENT)) != (p->zero_invert != 0));
}

int pfai_guard_carve(struct pfa *p, struct pfai_request *rq)
{
	struct pfai_zone *z = rq->zone;
	unsigned order = rq->order - PFAI_GUARD_ORDERS;
	size_t nr = (size_t)1 << order, whole = (size_t)1 << rq->order, offset = rq->pfn - p->base, at = offset + nr;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, rq->order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_zone_unlock(p, z);
		return PFA_ECORRUPT;
	}
	pfai_store_relaxed(&p->st->guarded, 1u); /* whoever frees the block got it from here */
	pfai_tail_fill(p, offset, nr - 1, PFAI_NOTHING);
	pfai_tail_fill(p, at + nr + 1, 2 * nr - 1, PFAI_NOTHING);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(PFAI_HEAD | order));
	guard_set_locked(p, z, at + nr, PFAI_GUARD_ABOVE, rq->zero);
	guard_set_locked(p, z, at - 1, PFAI_GUARD_BELOW, rq->zero);
	pfai_zone_put_run_locked(p, z, offset + z->delta, nr - 1, rq->zero);
	pfai_zone_put_run_locked(p, z, at + nr + 1 + z->delta, 2 * nr - 1, rq->zero);
	z->st->direct_frees += whole - nr - 2;
	pfai_zone_unlock(p, z);
	/* A guard that can be touched still stands apart, as where there is no op: no reason to fail. */
	(void)guard_switch(p, at - 1, true);
	(void)guard_switch(p, at + nr, true);
	rq->pfn += nr;
	rq->order = order;
	return PFA_OK;
}

/* A guard that stays untouchable: whoever got it would die of it. Zone lock held. */
static void PFAI_COLD guard_lose_locked(struct pfa *p, struct pfai_zone *z, size_t offset)
{
	pfai_store_release(&p->bytes[offset], PFAI_BAD);
	pfai_zone_undoom_locked(p, z, offset + z->delta, 1);
	z->st->bad++;
	pfai_zone_lost_locked(p, z, (offset + z->delta) >> p->pb_order);
}

/* A guard belongs to no block. One that some block covers is that block's tail, damaged by as little as one count. */
static bool guard_is_covered(const struct pfa *p, const struct pfai_zone *z, size_t offset)
{
	const size_t rel = offset + z->delta, first = z->start - p->base + z->delta;
	for (unsigned order = 1; order <= p->max_order; order++) {
		const size_t head = rel & ~(((size_t)1 << order) - 1);
		if (head < first)
			break;
		const unsigned byte = head == rel ? 0 : pfai_load_relaxed(&p->bytes[head - z->delta]);
		if ((byte & PFAI_STATE_MASK) && (byte & PFAI_ORDER_MASK) >= order)
			return true;
	}
	return false;
}

bool pfai_guard_released(struct pfa *p, struct pfai_zone *z, size_t offset, size_t nr_frames, uint32_t which)
{
	const size_t at[2] = { offset - 1, offset + nr_frames };
	uint32_t lost = 0;
	for (unsigned i = 0; i < 2; i++)
		if ((which >> i & 1) && PFAI_UNLIKELY(guard_is_covered(p, z, at[i]))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
			return false;
		}
	for (unsigned i = 0; i < 2; i++)
		if ((which >> i & 1) && !guard_switch(p, at[i], false))
			lost |= 1u << i;
	/* The caller knows that the lock can be had (pfai_zone_lockable). */
	if (!pfai_zone_lock(p, z))
		return true;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t byte = pfai_load_relaxed(&p->bytes[at[i]]);
		if (!(which >> i & 1) || (byte != PFAI_GUARD_BELOW && byte != PFAI_GUARD_ABOVE)) /* a repair gave it up */
			continue;
		z->st->direct_frees++;
		z->st->guards--;
		if (PFAI_UNLIKELY(lost >> i & 1)) {
			guard_lose_locked(p, z, at[i]);
			continue;
		}
		pfai_store_relaxed(&p->bytes[at[i]], PFAI_NOTHING);
		pfai_zone_put_locked(p, z, at[i] + z->delta, 0, pfai_zone_known_zero_locked(p, z, at[i] + z->delta, 1));
	}
	pfai_zone_unlock(p, z);
	for (unsigned i = 0; i < 2; i++)
		if ((lost >> i & 1) && (p->hooks & PFAI_HOOK_HISTORY))
			pfai_history_note(p, PFA_EVENT_BAD, at[i], 1, 0);
	return true;
}
