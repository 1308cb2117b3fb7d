/* SPDX-License-Identifier: MIT */
#include "hand.h"

#include "generation.h"
#include "movable.h"

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* What goes back in one section; frames of one word of the free map together. */
struct hand_word {
	size_t word;
	pfai_word mask;
	size_t frames; /* in all */
};

PFAI_ALWAYS_INLINE void hand_put_word_locked(struct pfa *p, struct pfai_zone *z, struct hand_word *w)
{
	if (w->mask)
		pfai_zone_put_word_locked(p, z, w->word, w->mask, 0);
	w->mask = 0;
}

/* A block that is FREEING goes back: with those before it, if they are of one word. */
PFAI_ALWAYS_INLINE void hand_put_locked(struct pfa *p, struct pfai_zone *z, struct hand_word *w, size_t offset, unsigned order)
{
	size_t rel = offset + z->delta, word = rel >> PFAI_WORD_SHIFT;
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
		return;
	}
	pfai_block_returns(p, offset, order);
	w->frames += (size_t)1 << order;
	if (PFAI_UNLIKELY(order >= PFAI_WORD_SHIFT)) {
		pfai_zone_put_locked(p, z, rel, order, false);
		return;
	}
	if (word != w->word)
		hand_put_word_locked(p, z, w);
	w->word = word;
	w->mask |= pfai_low_bits(1u << order) << (rel & PFAI_WORD_MASK);
}

/* They become free memory; in a zone that refuses they are nobody's, until it is repaired. */
static void hand_flush(struct pfa *p, struct pfai_hand *hand)
{
	struct pfai_zone *z = hand->from;
	struct hand_word w = { 0, 0, 0 };
	if (!hand->nr_moved)
		return;
	pfai_add_relaxed(&z->st->moves.migrated, hand->nr_moved);
	bool locked = pfai_zone_lock(p, z); /* it was lockable when each of them came, and so it is now */
	for (unsigned i = 0, nr = hand->nr_moved; i < nr; i++) {
		size_t offset = hand->moved[i];
		unsigned order = pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
		if (PFAI_LIKELY(locked && !pfai_load_relaxed(&z->st->corrupt)))
			hand_put_locked(p, z, &w, offset, order);
		else
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
	}
	if (locked) {
		hand_put_word_locked(p, z, &w);
		z->st->direct_frees += w.frames;
		pfai_zone_steps(z, hand->nr_moved);
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
	struct hand_word w = { 0, 0, 0 };
	if (hand->at == hand->n)
		return;
	bool locked = !pfai_load_relaxed(&z->st->corrupt) && pfai_zone_lock(p, z);
	for (; hand->at < hand->n; hand->at++) {
		size_t offset = hand->offset[hand->at];
		if (PFAI_UNLIKELY(pfai_load_relaxed(&p->bytes[offset]) != (PFAI_FREEING | hand->order)))
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		else if (PFAI_LIKELY(locked))
			hand_put_locked(p, z, &w, offset, hand->order);
		else
			pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | hand->order));
	}
	if (locked) {
		hand_put_word_locked(p, z, &w);
		z->st->direct_frees += w.frames;
		pfai_zone_unlock(p, z);
	}
}

bool PFAI_NOINLINE pfai_hand_refill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more,
                                    size_t *offset)
{
	struct pfai_request first = *rq;
	first.order = order;
	hand_flush(p, hand);
	if (hand->at < hand->n)
		more = 0; /* of another order, which may be wanted again */
	else
		hand->order = order, hand->at = hand->n = 0;
	/* Once a request was served by the zone that is asked first, more of its own memory can be had at once. */
	if (more && hand->zone == &p->zones[rq->first_zone] && !pfai_load_relaxed(&hand->zone->st->corrupt))
		hand_grab(p, hand, rq->code, more + 1);
	if (pfai_hand_has(hand, order)) {
		*offset = pfai_hand_take(p, hand);
		return true;
	}
	if (pfai_request_first(p, &first) != PFA_OK)
		return false;
	*offset = first.pfn - p->base;
	if (more) {
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
