/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include "generation.h"
#include "history.h"
#include "shadow.h"

/* The order: the shadow first, since the others touch the content; events last, since they tell what happened. */
int pfai_hooks_granted(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order)
{
	size_t offset = pfn - p->base;
	(void)rq;
	if (p->hooks & PFAI_HOOK_SHADOW)
		pfai_shadow_set(p, pfn, nr_frames, false);
	if (p->hooks & PFAI_HOOK_HISTORY)
		pfai_history_note(p, PFA_EVENT_ALLOC, offset, nr_frames >> order, order);
	if (p->hooks & PFAI_HOOK_GENERATION)
		for (size_t i = 0; i < nr_frames; i += (size_t)1 << order)
			pfai_generation_begin(p, offset + i);
	return PFA_OK;
}

/* The reverse order: the shadow last. The claim has already ended the generation. */
void pfai_hooks_freed(struct pfa *p, size_t offset, unsigned order, const char *function)
{
	(void)function;
	if (p->hooks & PFAI_HOOK_HISTORY)
		pfai_history_note(p, PFA_EVENT_FREE, offset, 1, order);
	if (p->hooks & PFAI_HOOK_SHADOW)
		pfai_shadow_set(p, p->base + offset, (size_t)1 << order, true);
}

void pfai_hooks_split(struct pfa *p, size_t offset, unsigned order, unsigned new_order)
{
	size_t nr = (size_t)1 << (order - new_order);
	if (p->hooks & PFAI_HOOK_HISTORY)
		pfai_history_note(p, PFA_EVENT_SPLIT, offset, nr, new_order);
	if (p->hooks & PFAI_HOOK_GENERATION)
		for (size_t i = 0; i < nr; i++)
			pfai_generation_begin(p, offset + (i << new_order));
}
