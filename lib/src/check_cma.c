/* SPDX-License-Identifier: MIT */
#include "check_cma.h"

/* The area's pageblocks in this zone; false: it has none there, or is no area (or says nonsense). */
static bool check_cma_run(const struct pfa *p, const struct pfai_zone *z, uint32_t i, size_t *first, size_t *end)
{
	const struct pfai_cma *a = &p->cma[i];
	const size_t mask = ((size_t)1 << p->pb_order) - 1;
	if (!(pfai_load_acquire(&a->use) & PFAI_CMA_LIVE) || ((a->run.first | a->run.nr_frames) & mask) || a->run.first < z->start ||
	    a->run.first >= z->end || a->run.nr_frames > z->end - a->run.first)
		return false;
	*first = (a->run.first - z->origin) >> p->pb_order;
	*end = *first + (a->run.nr_frames >> p->pb_order);
	return true;
}

bool pfai_cma_covers(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	size_t first, end;
	for (uint32_t i = 0; i < p->nr_cma; i++)
		if (check_cma_run(p, z, i, &first, &end) && pb >= first && pb < end)
			return true;
	return false;
}

size_t pfai_check_cma(const struct pfa *p, const struct pfai_zone *z)
{
	size_t pb, end;
	for (uint32_t i = 0; i < p->nr_cma; i++)
		for (bool any = check_cma_run(p, z, i, &pb, &end); any && pb < end; pb++)
			if (pfai_pb_own_code(&z->pb[pb]) != PFAI_CODE_CMA)
				return pb;
	return PFAI_NONE;
}
