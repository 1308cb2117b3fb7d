/* SPDX-License-Identifier: MIT
 *
 * Layer 4: who may take a block out of HEAD. Without generations that is a compare-exchange of the frame byte. With them
 * it is one of the generation of the frame that the block begins at: even while such a block is granted, odd while it is
 * not. Each grant and each split makes it another even number, so a claim that knows the number of a block that was
 * freed can never meet the one that was granted there since, and leaves no trace when it is refused.
 *
 * The byte says HEAD before the generation becomes even, and only who made it odd writes the byte. So a byte that is read
 * after the generation belongs to it, if the compare-exchange finds that generation.
 */
#ifndef PFAI_GENERATION_H
#define PFAI_GENERATION_H

#include "instance.h"

/* Claims the block of this generation, whose byte is HEAD or MOVABLE with its order: it becomes FREEING. False: nothing
 * changed. */
static inline bool pfai_claim_generation_of(struct pfa *p, size_t offset, unsigned from, uint32_t generation)
{
	pfai_a8 *byte = &p->bytes[offset];
	if ((generation & 1) || pfai_load_acquire(byte) != from || !pfai_cas32(&p->generations[offset], generation, generation + 1))
		return false;
	pfai_store_relaxed(byte, (uint8_t)(PFAI_FREEING | (from & PFAI_ORDER_MASK)));
	return true;
}

static inline bool pfai_claim_generation(struct pfa *p, size_t offset, unsigned order, uint32_t generation)
{
	return pfai_claim_generation_of(p, offset, PFAI_HEAD | order, generation);
}

/* Claims the block at offset, whatever its generation. */
static inline bool pfai_claim_block(struct pfa *p, size_t offset, unsigned order)
{
	if (PFAI_UNLIKELY(p->generations != NULL))
		return pfai_claim_generation(p, offset, order, pfai_load_acquire(&p->generations[offset]));
	return pfai_claim(&p->bytes[offset], PFAI_HEAD | order, PFAI_FREEING | order);
}

/* The same for a movable one. */
static inline bool pfai_claim_movable(struct pfa *p, size_t offset, unsigned order)
{
	if (PFAI_UNLIKELY(p->generations != NULL))
		return pfai_claim_generation_of(p, offset, PFAI_MOVABLE | order, pfai_load_acquire(&p->generations[offset]));
	return pfai_claim(&p->bytes[offset], PFAI_MOVABLE | order, PFAI_FREEING | order);
}

/* The same where the caller alone may take the block's entry away, so that nobody else moves its byte, and there are no generations. */
static inline bool pfai_claim_movable_alone(struct pfa *p, size_t offset, unsigned order)
{
	PFAI_ASSERT(!p->generations);
	if (PFA_HARDENING && PFAI_UNLIKELY(pfai_load_relaxed(&p->bytes[offset]) != (PFAI_MOVABLE | order)))
		return false;
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(PFAI_FREEING | order));
	return true;
}

/* The claimed block is what it was before, or becomes HEAD or MOVABLE with the same generation. */
static inline void pfai_unclaim_as(struct pfa *p, size_t offset, unsigned byte)
{
	pfai_store_release(&p->bytes[offset], (uint8_t)byte);
	if (PFAI_UNLIKELY(p->generations != NULL))
		pfai_store_release(&p->generations[offset], pfai_load_relaxed(&p->generations[offset]) - 1);
}

static inline void pfai_unclaim_block(struct pfa *p, size_t offset, unsigned order)
{
	pfai_unclaim_as(p, offset, PFAI_HEAD | order);
}

/* The block at offset, which is HEAD and nobody else's, may be claimed from now on. */
static inline void pfai_generation_begin(struct pfa *p, size_t offset)
{
	uint32_t generation = pfai_load_relaxed(&p->generations[offset]);
	pfai_store_release(&p->generations[offset], generation + (generation & 1));
}

#endif
