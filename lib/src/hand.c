/* SPDX-License-Identifier: MIT */
#include "hand.h"

#include "movable.h"

/* Blocks of the type's own free memory, where there is plenty: the low mark is kept, and at most half of what is above it
 * is taken, so that what others ask for meanwhile is there. */
static unsigned hand_grab_locked(struct pfa *p, struct pfai_hand *hand, unsigned code, size_t more)
{
	struct pfai_zone *z = hand->zone;
	ptrdiff_t room = pfai_zone_room_locked(z, z->mark_low, false, false);
	if (!pfai_room_fits(room, hand->order))
		return 0;
	size_t allowed = (size_t)room >> hand->order >> 1, want = more < PFAI_HAND_BLOCKS ? more : PFAI_HAND_BLOCKS;
	return pfai_zone_grab_locked(p, z, code, hand->order, (unsigned)(want < allowed ? want : allowed), hand->offset);
}

/* Makes blocks of what was grabbed, the lowest last. */
static void hand_fill_locked(struct pfa *p, struct pfai_hand *hand, unsigned got)
{
	struct pfai_zone *z = hand->zone;
	for (unsigned i = 0, j = got; i + 1 < j; i++) {
		j--;
		uint32_t swap = hand->offset[i];
		hand->offset[i] = hand->offset[j];
		hand->offset[j] = swap;
	}
	hand->n = 0;
	for (unsigned i = 0; i < got; i++) {
		if (PFAI_UNLIKELY(!pfai_block_grantable(p, z, hand->offset[i], hand->order))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* somebody's, says its byte: whatever the map said */
			continue;
		}
		pfai_block_leaves(p, hand->offset[i], hand->order, PFAI_HEAD | hand->order);
		hand->offset[hand->n++] = hand->offset[i];
	}
	z->st->direct_allocs += (size_t)hand->n << hand->order;
	z->st->events.direct += hand->n;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static void hand_put_locked(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order)
{
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
		return;
	}
	pfai_block_returns(p, offset, order);
	pfai_zone_put_locked(p, z, offset + z->delta, order, false);
	z->st->direct_frees += (size_t)1 << order;
}

/* They become free memory; in a zone that refuses they are nobody's, until it is repaired. */
static void hand_flush(struct pfa *p, struct pfai_hand *hand)
{
	struct pfai_zone *z = hand->from;
	if (!hand->nr_moved)
		return;
	pfai_movable_count(z, 0, 0 - hand->moved_frames);
	pfai_add_relaxed(&z->st->moves.migrated, hand->nr_moved);
	bool locked = pfai_zone_lock(p, z); /* it was lockable when each of them came, and so it is now */
	for (unsigned i = 0; i < hand->nr_moved; i++) {
		size_t offset = hand->moved[i];
		unsigned order = pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
		if (PFAI_LIKELY(locked && !pfai_load_relaxed(&z->st->corrupt)))
			hand_put_locked(p, z, offset, order);
		else
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
	}
	if (locked) {
		pfai_zone_steps(z, hand->nr_moved);
		pfai_zone_unlock(p, z);
	}
	hand->nr_moved = 0;
	hand->moved_frames = 0;
}

void pfai_hand_put(struct pfa *p, struct pfai_hand *hand, struct pfai_zone *z, size_t offset, unsigned order)
{
	if (hand->nr_moved == PFAI_HAND_BLOCKS || (hand->nr_moved && hand->from != z))
		hand_flush(p, hand);
	hand->from = z;
	hand->moved[hand->nr_moved++] = (uint32_t)offset;
	hand->moved_frames += (size_t)1 << order;
}

/* ---- destinations ------------------------------------------------------------------------------------------------ */

/* There is none of this order: one block for now, and more with it. */
static int PFAI_NOINLINE hand_refill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more,
                                     size_t *offset)
{
	struct pfai_request first = *rq;
	first.order = order;
	hand_flush(p, hand);
	int result = pfai_request_first(p, &first);
	if (result != PFA_OK)
		return result;
	*offset = first.pfn - p->base;
	if (hand->n || !more || order >= p->pb_order || !pfai_zone_lock(p, first.zone))
		return PFA_OK;
	hand->zone = first.zone;
	hand->order = order;
	hand_fill_locked(p, hand, hand_grab_locked(p, hand, rq->code, more));
	pfai_zone_unlock(p, hand->zone);
	return PFA_OK;
}

int pfai_hand_take(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more, size_t *offset)
{
	if (!hand->n || hand->order != order)
		return hand_refill(p, hand, rq, order, more, offset);
	*offset = hand->offset[--hand->n];
	if (hand->n) /* its move is the next */
		pfai_prefetch(&p->table[hand->offset[hand->n - 1]]);
	return PFA_OK;
}

/* Destinations that were not used. Where the zone refuses they stay allocated. */
static void hand_drop(struct pfa *p, struct pfai_hand *hand)
{
	struct pfai_zone *z = hand->zone;
	if (!hand->n || pfai_load_relaxed(&z->st->corrupt) || !pfai_zone_lock(p, z))
		return;
	while (hand->n) {
		size_t offset = hand->offset[--hand->n];
		if (pfai_claim(&p->bytes[offset], PFAI_HEAD | hand->order, PFAI_FREEING | hand->order))
			hand_put_locked(p, z, offset, hand->order);
		else
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	}
	pfai_zone_unlock(p, z);
}

int pfai_hand_empty(struct pfa *p, struct pfai_hand *hand)
{
	hand_flush(p, hand);
	hand_drop(p, hand);
	bool sound = (!hand->zone || !pfai_load_relaxed(&hand->zone->st->corrupt)) &&
	             (!hand->from || !pfai_load_relaxed(&hand->from->st->corrupt));
	return sound ? PFA_OK : PFA_ECORRUPT;
}
