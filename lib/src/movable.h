/* SPDX-License-Identifier: MIT
 *
 * Layer 5: movable blocks as their owners and users see them: declared, locked, pinned, freed.
 *
 * A free marks the block as RELEASED. From then on nobody can take its page lock; whoever holds it goes on, and takes the
 * owner out of the references when he gives it up. What is left are pins and the mover's reference; the last of all frees
 * the block. So nobody waits for anybody but for the page lock.
 */
#ifndef PFAI_MOVABLE_H
#define PFAI_MOVABLE_H

#include "alloc.h"
#include "owner.h"

/* Does a movable block of this order begin at offset, says the frame byte? */
static inline bool pfai_movable_at(const struct pfa *p, size_t offset, unsigned order)
{
	return pfai_load_acquire(&p->bytes[offset]) == (PFAI_MOVABLE | order);
}

/* The entry of pfn. @return PFA_OK; PFA_ENOTSUP; PFA_ERANGE; or that the instance is closed. */
int pfai_movable_begin(const struct pfa *p, pfa_pfn pfn, const char *function, struct pfai_entry **out);

/* A free of pfn did not find HEAD: it is a movable block of this order, and is released; or the free is refused. No lock
 * held. */
int pfai_free_other(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function);

/* Counts frames of movable and isolated blocks of the zone; nr is negative for those that are no more. */
static inline void pfai_movable_count(struct pfai_zone *z, size_t nr, size_t nr_isolated)
{
	if (nr)
		pfai_add_relaxed(&z->st->moves.movable, nr);
	if (nr_isolated)
		pfai_add_relaxed(&z->st->moves.isolated, nr_isolated);
}

/* The block was released, and its lock is given up: takes `what` (the owner, REF_ISOLATED) out of its references, and frees it if
 * nothing is left. @return as pfa_free(). */
int pfai_movable_drop(struct pfa *p, size_t offset, uint32_t what, const char *function);

/* The block has moved, and was released by its mover, who has the page lock and the only reference: frees it past the caches, so
 * that its frames become part of larger blocks at once. It is counted as movable no more. capture: as pfai_free_claimed_past(). */
int pfai_movable_moved(struct pfa *p, size_t offset, struct pfai_request *capture, const char *function);

/* The block was released while its lock was held, and the lock is given up: the owner goes. @return as pfa_free(). */
int pfai_movable_lose_owner(struct pfa *p, size_t offset, const char *function);

/* Gives the page lock up, and does what is due if the block was released. @return as pfa_free(). */
static inline int pfai_movable_unlock(struct pfa *p, size_t offset, const char *function)
{
	return pfai_page_unlock(p, pfai_entry_at(p, offset)) ? pfai_movable_lose_owner(p, offset, function) : PFA_OK;
}

#endif
