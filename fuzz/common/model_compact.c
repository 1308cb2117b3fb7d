/* SPDX-License-Identifier: MIT
 *
 * model_compact.c - what compaction may tell, and what must be true when it is done (model_movable.h). From the map of frames
 * alone: un-owned frames count as free, so the caller sees to it that nothing is cached or in quarantine.
 */
#include "model_movable.h"
#include "model_internal.h"
#include "model_past.h"

static bool compact_is_free(const struct model *m, const struct model_zone *z, pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (m->state[z->base + (pfn - z->start) + i] != MODEL_FREE)
			return false;
	return true;
}

unsigned model_fragmentation(const struct model *m, unsigned first, unsigned end, unsigned order)
{
	const size_t nr = model_pow2(order);
	uint64_t free = 0, fit = 0;

	for (unsigned i = first; i < end; i++) {
		const struct model_zone *z = &m->zone[i];
		const pfa_pfn last = z->start + z->nr;
		for (pfa_pfn pfn = z->start; pfn < last; pfn++) {
			free += compact_is_free(m, z, pfn, 1);
			if (pfn % nr == 0 && nr <= last - pfn && compact_is_free(m, z, pfn, nr))
				fit += nr;
		}
	}
	return free ? (unsigned)((free - fit) * 1000 / free) : 0;
}

/* The one order of the zone's movable blocks, which all may move; UINT_MAX: it is not so. */
static unsigned compact_only_order(const struct model_movables *mm, const struct model *m, unsigned zone)
{
	unsigned order = UINT32_MAX;
	size_t index;

	for (unsigned i = 0; i < MODEL_MOVABLES; i++) {
		const struct model_movable *b = &mm->block[i];
		if (!b->used || model_zone_of(m, b->pfn, &index) != zone)
			continue;
		if (b->pins || b->holder || b->released || (order != UINT32_MAX && b->order != order))
			return UINT32_MAX;
		order = b->order;
	}
	return order < m->pageblock_order ? order : UINT32_MAX;
}

bool model_judge_compacted(const struct model_movables *mm, const struct model *m, unsigned zone, struct verdict *v)
{
	const unsigned order = compact_only_order(mm, m, zone);
	const struct model_zone *z = &m->zone[zone];
	pfa_pfn lowest = SIZE_MAX;
	size_t index;

	if (order == UINT32_MAX)
		return true;
	const size_t nr = model_pow2(order);
	for (unsigned i = 0; i < MODEL_MOVABLES; i++)
		if (mm->block[i].used && mm->block[i].pfn < lowest && model_zone_of(m, mm->block[i].pfn, &index) == zone)
			lowest = mm->block[i].pfn;
	for (pfa_pfn pfn = lowest + nr; pfn < z->start + z->nr && nr <= z->start + z->nr - pfn; pfn += nr) {
		if (model_type_of(m, zone, pfn) != PFA_TYPE_MOVABLE || !compact_is_free(m, z, pfn, nr))
			continue;
		*v = (struct verdict){ "I10 compacted", "compaction to the end leaves a place that is free above a block that could move there "
			               "(block)", zone, pfn, 0, lowest };
		return false;
	}
	return true;
}
