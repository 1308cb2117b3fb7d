/* SPDX-License-Identifier: MIT
 *
 * Layer 5: what a call that moves many blocks has in its hand between two sections of a zone's lock: destinations that were
 * taken in advance, and sources that have moved. Both are FREEING, nobody else's, so that there are few of them, and before
 * anything fails for want of memory the hand is emptied. Only for instances without hooks, below level 3: there a grant and
 * a free are more than the zone's lock.
 */
#ifndef PFAI_HAND_H
#define PFAI_HAND_H

#include <pfa/movable.h>

#include "alloc.h"
#include "content.h"

/* Of either kind. The lock's share of what a block costs is small then. */
#define PFAI_HAND_BLOCKS PFA_MIGRATE_HAND

struct pfai_hand {
	struct pfai_zone *zone;    /* of all destinations */
	unsigned order, at, n;     /* they are FREEING | order; offset[at] is used next, those before it were */
	struct pfai_zone *from;    /* of all sources */
	unsigned nr_moved;         /* they are FREEING | their order */
	uint32_t offset[PFAI_HAND_BLOCKS]; /* lowest first */
	uint32_t moved[PFAI_HAND_BLOCKS];
};

static inline bool pfai_hand_possible(const struct pfa *p, const struct pfai_request *rq)
{
	return !p->hooks && !pfai_level(p, 3) && !(rq->flags & (PFA_HIGH | PFA_ZERO));
}

/* Is there a destination of this order? */
static inline bool pfai_hand_has(const struct pfai_hand *hand, unsigned order)
{
	return hand->at < hand->n && hand->order == order;
}

/* Takes up to nr destinations in advance, where the hand has none and the last came from the zone that is asked first: then more of that
 * zone's own memory can be had at once. No lock held but page locks. Tells nothing. */
void pfai_hand_fill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t nr);

/* There is none: one as pfai_request_first() finds it, but of this order; FREEING. more: as many are wanted soon, and may be taken
 * with it. False: there is none. Tells nothing. */
bool pfai_hand_refill(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more,
                      size_t *offset);

/* The next destination, which is there. */
static inline size_t pfai_hand_take(const struct pfa *p, struct pfai_hand *hand)
{
	size_t offset = hand->offset[hand->at++];
	if (hand->at < hand->n) /* its move is the next */
		pfai_prefetch(&p->table[hand->offset[hand->at]]);
	return offset;
}

/* Gives the sources back; the next are of zone z. */
void pfai_hand_change(struct pfa *p, struct pfai_hand *hand, struct pfai_zone *z);

/* A source that has moved, which is FREEING. Its zone is lockable. */
static inline void pfai_hand_put(struct pfa *p, struct pfai_hand *hand, struct pfai_zone *z, size_t offset)
{
	if (hand->from != z || hand->nr_moved == PFAI_HAND_BLOCKS)
		pfai_hand_change(p, hand, z);
	hand->moved[hand->nr_moved++] = (uint32_t)offset;
}

/* Gives everything back. No lock held but page locks. @return PFA_OK; PFA_ECORRUPT: a zone that it had to do with refuses,
 * which is not told. */
int pfai_hand_empty(struct pfa *p, struct pfai_hand *hand);

#endif
