/* SPDX-License-Identifier: MIT */
#include "hook.h"

/* The order: the shadow first, since the others touch the content; events last, since they tell what happened. */
int pfai_hooks_granted(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order)
{
	(void)p;
	(void)rq;
	(void)pfn;
	(void)nr_frames;
	(void)order;
	return PFA_OK;
}

/* The reverse order: the shadow last. */
void pfai_hooks_freed(struct pfa *p, size_t offset, unsigned order, const char *function)
{
	(void)p;
	(void)offset;
	(void)order;
	(void)function;
}

void pfai_hooks_split(struct pfa *p, size_t offset, unsigned order, unsigned new_order)
{
	(void)p;
	(void)offset;
	(void)order;
	(void)new_order;
}
