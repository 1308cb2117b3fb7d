/* SPDX-License-Identifier: MIT
 *
 * Layer 5: what is done at every grant and every free of an instance that asked for it: content (poison), history,
 * generations, the shadow of sanitizers. pfa.hooks says which; where it is not 0, fast_orders is 0, so that the fast
 * paths need no test.
 *
 * Both sides run without any lock, while the block is nobody else's: a grant's block is HEAD and not handed out yet, a
 * freed block is FREEING. So a hook may write the block's content, and its own records of the frames.
 */
#ifndef PFAI_HOOK_H
#define PFAI_HOOK_H

#include "alloc.h"

/* nr_frames frames from pfn are about to be handed out, as blocks of `order` (0 for pfa_alloc_exact, else they are one
 * block). Called before they are zeroed for PFA_ZERO. PFA_OK, or PFA_ECORRUPT: the content was written to after the
 * free; the fault was told, and the frames are bad now. */
int pfai_hooks_granted(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order);

/* The block was granted, and is about to be freed instead of being handed out. */
void pfai_hooks_undone(struct pfa *p, pfa_pfn pfn, unsigned order);

/* The block was claimed for a free that cannot fail any more. */
void pfai_hooks_freed(struct pfa *p, size_t offset, unsigned order, const char *function);

/* The block has become blocks of new_order, all HEAD. */
void pfai_hooks_split(struct pfa *p, size_t offset, unsigned order, unsigned new_order);

static inline int pfai_hook_granted(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames,
                                    unsigned order)
{
	return PFAI_UNLIKELY(p->hooks) ? pfai_hooks_granted(p, rq, pfn, nr_frames, order) : PFA_OK;
}

static inline void pfai_hook_freed(struct pfa *p, size_t offset, unsigned order, const char *function)
{
	if (PFAI_UNLIKELY(p->hooks))
		pfai_hooks_freed(p, offset, order, function);
}

static inline void pfai_hook_split(struct pfa *p, size_t offset, unsigned order, unsigned new_order)
{
	if (PFAI_UNLIKELY(p->hooks))
		pfai_hooks_split(p, offset, order, new_order);
}

#endif
