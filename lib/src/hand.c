/* SPDX-License-Identifier: MIT */
#include "hand.h"

#include "generation.h"
#include "movable.h"

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* A block leaves the hand for the free memory. True: it is a single frame, which says so now, and is put back with others. */
PFAI_ALWAYS_INLINE bool hand_put_locked(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, size_t *frames)
{
	const bool ours = pfai_load_relaxed(&p->bytes[offset]) == (PFAI_FREEING | order);
	if (PFAI_UNLIKELY(!ours || !pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		if (ours)
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
		return false;
	}
	pfai_block_returns(p, offset, order);
	*frames += (size_t)1 << order;
	if (PFAI_UNLIKELY(order))
		pfai_zone_put_locked(p, z, offset + z->delta, order, false);
	return !order;
}

/* What was put back is counted, and the single frames among it follow. */
static void hand_put_singles_locked(struct pfa *p, struct pfai_zone *z, const uint32_t singles[], unsigned nr, size_t frames)
{
	pfai_zone_put_frames_locked(p, z, singles, nr);
	z->st->direct_frees += frames;
}

/* They become free memory; in a zone that refuses they are nobody's, until it is repaired. */
static void hand_flush(struct pfa *p, struct pfai_hand *hand)
{
	struct pfai_zone *z = hand->from;
	unsigned nr = hand->nr_moved, singles = 0;
	size_t frames = 0;
	if (!nr)
		return;
	pfai_add_relaxed(&z->st->moves.migrated, nr);
	bool locked = pfai_zone_lock(p, z); /* it was lockable when each of them came, and so it is now */
	for (unsigned i = 0; i < nr; i++) {
		size_t offset = hand->moved[i];
		unsigned order = pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
		if (PFAI_UNLIKELY(!locked || pfai_load_relaxed(&z->st->corrupt)))
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
		else if (hand_put_locked(p, z, offset, order, &frames))
			hand->moved[singles++] = (uint32_t)offset;
	}
	if (locked) {
		hand_put_singles_locked(p, z, hand->moved, singles, frames);
		pfai_zone_steps(z, nr);
		pfai_zone_unlock(p, z);
	}
	hand->nr_moved = 0;
}

void PFAI_NOINLINE pfai_hand_change(struct pfa *p, struct pfai_hand *hand, struct pfai_zone *z)
{
	hand_flush(p, hand);
	hand->from = z;
}

/* ---- destinations ------------------------------------------------------------------------------------------------ */

/* Blocks of the type's own free memory, where there is plenty: the low mark is kept, and at most half of what is above it
 * is taken, so that what others ask for meanwhile is there. Behind what the hand has. */
static void hand_grab_locked(struct pfa *p, struct pfai_hand *hand, unsigned code, size_t more)
{
	struct pfai_zone *z = hand->zone;
	ptrdiff_t room = pfai_zone_room_locked(z, z->mark_low, false, false);
	if (!pfai_room_fits(room, hand->order))
		return;
	size_t allowed = (size_t)room >> hand->order >> 1, want = PFAI_HAND_BLOCKS - hand->n;
	want = more < want ? more : want;
	unsigned got = pfai_zone_grab_locked(p, z, code, hand->order, (unsigned)(want < allowed ? want : allowed), hand->offset + hand->n);
	unsigned first = hand->n, byte = PFAI_FREEING | hand->order;
	for (unsigned i = first; i < first + got; i++) {
		size_t offset = hand->offset[i];
		if (PFAI_UNLIKELY(!pfai_block_grantable(p, z, offset, hand->order))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* somebody's, says its byte: whatever the map said */
			continue;
		}
		pfai_block_leaves(p, offset, hand->order, byte);
		hand->offset[hand->n++] = (uint32_t)offset;
	}
	z->st->direct_allocs += (size_t)(hand->n - first) << hand->order;
	z->st->events.direct += hand->n - first;
}

/* `more` blocks from the zone that the hand has, behind what is in it. */
static void hand_grab(struct pfa *p, struct pfai_hand *hand, unsigned code, size_t more)
{
	if (!more || hand->order >= p->pb_order || !pfai_zone_lock(p, hand->zone))
		return;
	hand_grab_locked(p, hand, code, more);
	pfai_zone_unlock(p, hand->zone);
}

/* Destinations that were not used. Where the zone refuses they stay allocated. */
static void hand_drop(struct pfa *p, struct pfai_hand *hand)
{
	struct pfai_zone *z = hand->zone;
	unsigned singles = 0;
	size_t frames = 0;
	if (hand->at == hand->n)
		return;
	bool locked = !pfai_load_relaxed(&z->st->corrupt) && pfai_zone_lock(p, z);
	for (; hand->at < hand->n; hand->at++) {
		size_t offset = hand->offset[hand->at];
		if (PFAI_UNLIKELY(!locked))
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | hand->order));
		else if (hand_put_locked(p, z, offset, hand->order, &frames))
			hand->offset[singles++] = (uint32_t)offset;
	}
	if (locked) {
		hand_put_singles_locked(p, z, hand->offset, singles, frames);
		pfai_zone_unlock(p, z);
	}
}

void PFAI_NOINLINE pfai_hand_fill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t nr)
{
	hand_flush(p, hand);
	if (hand->at < hand->n)
		return;
	hand->order = order;
	hand->at = hand->n = 0;
	if (hand->zone == &p->zones[rq->first_zone] && !pfai_load_relaxed(&hand->zone->st->corrupt))
		hand_grab(p, hand, rq->code, nr);
}

bool PFAI_NOINLINE pfai_hand_refill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more,
                                    size_t *offset)
{
	struct pfai_request first = *rq;
	first.order = order;
	pfai_hand_fill(p, hand, rq, order, more ? more + 1 : 0);
	if (pfai_hand_has(hand, order)) {
		*offset = pfai_hand_take(p, hand);
		return true;
	}
	if (pfai_request_first(p, &first) != PFA_OK)
		return false;
	*offset = first.pfn - p->base;
	if (more && hand->at == hand->n) { /* else they are of another order, which may be wanted again */
		hand->zone = first.zone;
		hand_grab(p, hand, rq->code, more);
	}
	return pfai_claim_block(p, *offset, order);
}

int pfai_hand_empty(struct pfa *p, struct pfai_hand *hand)
{
	hand_flush(p, hand);
	hand_drop(p, hand);
	bool sound = (!hand->zone || !pfai_load_relaxed(&hand->zone->st->corrupt)) &&
	             (!hand->from || !pfai_load_relaxed(&hand->from->st->corrupt));
	return sound ? PFA_OK : PFA_ECORRUPT;
}
