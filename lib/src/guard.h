/* SPDX-License-Identifier: MIT
 *
 * Layer 5: guard frames (level 3). A PFA_GUARD request for 2^order frames is served from a block four times as large: the
 * second quarter is the caller's, the frame before it and the frame after it are guards, and the rest goes back. A guard
 * says whom it guards: GUARD_BELOW the block that begins right after it, GUARD_ABOVE the one that ended right before it;
 * so a free finds its guards whatever became of the block. Guards count as allocated.
 */
#ifndef PFAI_GUARD_H
#define PFAI_GUARD_H

#include "alloc.h"

/* A guarded block is taken from one of this much larger order. */
#define PFAI_GUARD_ORDERS 2u

/* The block rq->pfn of rq->order + 2, HEAD and the caller's alone, becomes a guarded block; *rq is that one's. PFA_OK;
 * PFA_EBUSY, PFA_ECORRUPT: nothing changed. No lock held. */
int pfai_guard_carve(struct pfa *p, struct pfai_request *rq);

/* Gives back the guards of a block that is being freed (FREEING). False: one of them is a frame of another block; the zone
 * is marked corrupt, and nothing else changed. No lock held. */
bool pfai_guard_released(struct pfa *p, struct pfai_zone *z, size_t offset, size_t nr_frames, uint32_t which);

enum { PFAI_GUARD_HAS_BELOW = 1, PFAI_GUARD_HAS_ABOVE = 2 };

/* Which guards does this block of z have? A read of two neighbouring bytes. */
static inline uint32_t pfai_guard_of(const struct pfa *p, const struct pfai_zone *z, size_t offset, size_t nr_frames)
{
	uint32_t which = 0;
	if (p->base + offset > z->start && pfai_load_relaxed(&p->bytes[offset - 1]) == PFAI_GUARD_BELOW)
		which |= PFAI_GUARD_HAS_BELOW;
	if (p->base + offset + nr_frames < z->end &&
	    pfai_load_relaxed(&p->bytes[offset + nr_frames]) == PFAI_GUARD_ABOVE)
		which |= PFAI_GUARD_HAS_ABOVE;
	return which;
}

static inline bool pfai_guard_release(struct pfa *p, struct pfai_zone *z, size_t offset, size_t nr_frames)
{
	uint32_t which = pfai_guard_of(p, z, offset, nr_frames);
	return !PFAI_UNLIKELY(which) || pfai_guard_released(p, z, offset, nr_frames, which);
}

#endif
