/* SPDX-License-Identifier: MIT
 *
 * Layer 5: what a call that moves many blocks has in its hand between two sections of a zone's lock: destinations that were
 * taken in advance, and sources that have moved. Both are nobody else's meanwhile, so that there are few of them, and before
 * anything fails for want of memory the hand is emptied. Only for instances without hooks, below level 3: there a grant and
 * a free are more than the zone's lock.
 */
#ifndef PFAI_HAND_H
#define PFAI_HAND_H

#include <pfa/movable.h>

#include "alloc.h"

/* Of either kind. The lock's share of what a block costs is small then. */
#define PFAI_HAND_BLOCKS PFA_MIGRATE_HAND

struct pfai_hand {
	struct pfai_zone *zone; /* of all destinations */
	unsigned order, n;      /* they are HEAD | order */
	struct pfai_zone *from; /* of all sources */
	unsigned nr_moved;      /* they are FREEING | their order */
	size_t moved_frames;
	uint32_t offset[PFAI_HAND_BLOCKS]; /* destinations; the last one is used next */
	uint32_t moved[PFAI_HAND_BLOCKS];
};

static inline bool pfai_hand_possible(const struct pfa *p, const struct pfai_request *rq)
{
	return !p->hooks && !pfai_level(p, 3) && !(rq->flags & (PFA_HIGH | PFA_ZERO));
}

/* A block as pfai_request_first() gives it, but of this order. more: as many are wanted soon, and may be taken with it.
 * Tells nothing. @return as pfai_request_first(). */
int pfai_hand_take(struct pfa *p, struct pfai_hand *hand, const struct pfai_request *rq, unsigned order, size_t more, size_t *offset);

/* A source that has moved, which is FREEING, and still counts as isolated. The zone is lockable. */
void pfai_hand_put(struct pfa *p, struct pfai_hand *hand, struct pfai_zone *z, size_t offset, unsigned order);

/* Gives everything back. No lock held but page locks. @return PFA_OK; PFA_ECORRUPT: a zone that it had to do with refuses,
 * which is not told. */
int pfai_hand_empty(struct pfa *p, struct pfai_hand *hand);

#endif
