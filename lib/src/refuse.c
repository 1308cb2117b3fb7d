/* SPDX-License-Identifier: MIT */
#include "refuse.h"

#include "fault.h"
#include "zone.h"

/* A byte that is NOTHING, and its frame is not free: the inside of a block, or (misplaced trust) nothing at all. */
static enum pfa_fault_kind refuse_of_nothing(struct pfa *p, struct pfai_zone *z, pfa_pfn pfn)
{
	if (!pfai_zone_lock(p, z))
		return PFA_FAULT_DOUBLE_FREE_RACE;
	bool free = !pfai_map_test(z->not_free, pfn - z->origin);
	pfai_zone_unlock(p, z);
	return free ? PFA_FAULT_DOUBLE_FREE : PFA_FAULT_TAIL;
}

static enum pfa_fault_kind refuse_of_block(struct pfa *p, pfa_pfn pfn, unsigned order)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z)
		return PFA_FAULT_OUT_OF_RANGE;
	if (order > p->max_order)
		return PFA_FAULT_ORDER_LIMIT;
	uint8_t byte = pfai_load_acquire(&p->bytes[pfn - p->base]);
	if (byte == PFAI_ABSENT)
		return PFA_FAULT_HOLE;
	if (byte == PFAI_OFFLINE || byte == PFAI_OFFLINE_BAD)
		return PFA_FAULT_OFFLINE;
	if (byte == PFAI_BAD)
		return PFA_FAULT_BAD;
	if (byte == PFAI_GUARD_BELOW || byte == PFAI_GUARD_ABOVE)
		return PFA_FAULT_GUARD;
	if (pfn & (((size_t)1 << order) - 1))
		return PFA_FAULT_MISALIGNED;
	switch (byte & PFAI_STATE_MASK) {
	case PFAI_HEAD: /* with this very order: freed by another thread and granted again since the claim failed */
		return (byte & PFAI_ORDER_MASK) == order ? PFA_FAULT_DOUBLE_FREE_RACE : PFA_FAULT_WRONG_ORDER;
	case PFAI_MOVABLE: /* a free that knows the order does not come here, but where it is movable since the claim failed */
		return (byte & PFAI_ORDER_MASK) == order ? PFA_FAULT_MOVABLE : PFA_FAULT_WRONG_ORDER;
	case PFAI_CACHED:
	case PFAI_CACHED_ZERO:
		return PFA_FAULT_DOUBLE_FREE_CACHED;
	case PFAI_QUARANTINE:
		return PFA_FAULT_DOUBLE_FREE_QUARANTINED;
	case PFAI_FREEING:
		return PFA_FAULT_DOUBLE_FREE_RACE;
	case 0:
		if (byte == PFAI_TAIL)
			return PFA_FAULT_TAIL;
		/* From level 2 on the inside of a block says so: no lock is needed to tell. */
		return pfai_level(p, 2) ? PFA_FAULT_DOUBLE_FREE : refuse_of_nothing(p, z, pfn);
	default:
		return PFA_FAULT_HELD;
	}
}

int PFAI_COLD pfai_refuse_block(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	return pfai_fault(p, refuse_of_block(p, pfn, order), pfn, order, function);
}
