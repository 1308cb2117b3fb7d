/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include "content.h"
#include "fault.h"
#include "generation.h"
#include "history.h"
#include "shadow.h"

/* Frames that were granted and are not handed out: nobody gets them any more. */
static void hook_give_up(struct pfa *p, struct pfai_zone *z, pfa_pfn pfn, size_t nr_frames)
{
	/* Where the lock is busy and cannot be waited for they stay allocated, which is as far away. */
	if (!pfai_zone_lock(p, z))
		return;
	for (size_t i = nr_frames; i--;)
		pfai_store_release(&p->bytes[pfn - p->base + i], PFAI_BAD);
	pfai_zone_undoom_locked(p, z, pfn - z->origin, nr_frames);
	z->st->bad += nr_frames;
	for (size_t pb = (pfn - z->origin) >> p->pb_order; pb << p->pb_order < pfn - z->origin + nr_frames; pb++)
		pfai_zone_lost_locked(p, z, pb);
	z->st->direct_frees += nr_frames;
	pfai_zone_steps(z, nr_frames);
	pfai_zone_unlock(p, z);
}

/* The order: the shadow first, since the others touch the content; events last, since they tell what happened. */
int pfai_hooks_granted(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order)
{
	size_t offset = pfn - p->base;
	if (p->hooks & PFAI_HOOK_SHADOW)
		pfai_shadow_set(p, pfn, nr_frames, false);
	if ((p->hooks & PFAI_HOOK_CONTENT) && rq->zero) {
		size_t at = pfai_content_changed(p, pfn, nr_frames, rq->flags & PFA_ZERO);
		if (PFAI_UNLIKELY(at != PFAI_NONE)) {
			if (p->hooks & PFAI_HOOK_SHADOW)
				pfai_shadow_set(p, pfn, nr_frames, true);
			hook_give_up(p, rq->zone, pfn, nr_frames);
			int result = pfai_fault(p, PFA_FAULT_WRITTEN_AFTER_FREE, pfn + at, order, rq->function);
			/* After the fault, which shows who freed it last: there may be room for one event only. */
			if (p->hooks & PFAI_HOOK_HISTORY)
				pfai_history_note(p, PFA_EVENT_BAD, offset, nr_frames >> order, order);
			return result;
		}
	}
	if (p->hooks & PFAI_HOOK_HISTORY)
		pfai_history_note(p, PFA_EVENT_ALLOC, offset, nr_frames >> order, order);
	if (p->hooks & PFAI_HOOK_GENERATION)
		for (size_t i = 0; i < nr_frames; i += (size_t)1 << order)
			pfai_generation_begin(p, offset + i);
	return PFA_OK;
}

void pfai_hooks_undone(struct pfa *p, pfa_pfn pfn, unsigned order)
{
	/* What a free finds: the content accessible, and the block free to be claimed. */
	if (p->hooks & PFAI_HOOK_SHADOW)
		pfai_shadow_set(p, pfn, (size_t)1 << order, false);
	if (p->hooks & PFAI_HOOK_GENERATION)
		pfai_generation_begin(p, pfn - p->base);
}

/* The reverse order: the shadow last. The claim has already ended the generation. */
void pfai_hooks_freed(struct pfa *p, size_t offset, unsigned order, const char *function)
{
	(void)function;
	if (p->hooks & PFAI_HOOK_HISTORY)
		pfai_history_note(p, PFA_EVENT_FREE, offset, 1, order);
	if (p->hooks & PFAI_HOOK_CONTENT)
		pfai_content_freed(p, p->base + offset, (size_t)1 << order);
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
