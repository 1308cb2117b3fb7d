/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "fmt.h"
#include "zone.h"

/* One unique text per kind; "%" is where the pfn and the order go. */
static const char *const fault_text[PFA_FAULT_KINDS] = {
	[PFA_FAULT_NONE] = "no fault",
	[PFA_FAULT_DOUBLE_FREE] = "double free: the block is free already",
	[PFA_FAULT_DOUBLE_FREE_CACHED] = "double free: the block is in a per-CPU cache already",
	[PFA_FAULT_DOUBLE_FREE_RACE] = "double free: the block is being freed or split at this moment",
	[PFA_FAULT_WRONG_ORDER] = "wrong order: the block was allocated with another one",
	[PFA_FAULT_TAIL] = "not the first frame of a block",
	[PFA_FAULT_MISALIGNED] = "misaligned: the pfn is no multiple of the block's size",
	[PFA_FAULT_OUT_OF_RANGE] = "out of range: the pfn is in no zone",
	[PFA_FAULT_HOLE] = "the frame is in a hole",
	[PFA_FAULT_OFFLINE] = "the frame is offline",
	[PFA_FAULT_BAD] = "the frame was marked bad",
	[PFA_FAULT_HELD] = "the block is held by the allocator",
	[PFA_FAULT_ORDER_LIMIT] = "the order is above max_order",
	[PFA_FAULT_FOREIGN_POINTER] = "the pointer is not a frame of this instance",
	[PFA_FAULT_MIXED_RANGE] = "the range is not wholly the caller's blocks",
	[PFA_FAULT_CORRUPT_CACHE] = "corruption: a cached block's frame byte disagrees",
	[PFA_FAULT_CORRUPT_FREE] = "corruption: the free map disagrees with the index",
	[PFA_FAULT_LOCK] = "lock order violated",
};

int PFAI_COLD pfai_fault(struct pfa *p, enum pfa_fault_kind kind, pfa_pfn pfn, unsigned order, const char *function)
{
	bool corrupt = kind >= PFA_FAULT_CORRUPT_CACHE;
	char text[160];
	struct pfai_fmt f = { text, 0, sizeof(text) };
	pfai_fmt_str(&f, function);
	pfai_fmt_str(&f, ": ");
	pfai_fmt_str(&f, fault_text[kind]);
	pfai_fmt_str(&f, " (pfn ");
	pfai_fmt_dec(&f, pfn, 0);
	pfai_fmt_str(&f, ", order ");
	pfai_fmt_dec(&f, order, 0);
	pfai_fmt_char(&f, ')');
	struct pfa_fault fault = {
		.size = sizeof(fault),
		.code = corrupt ? PFA_ECORRUPT : PFA_EMISUSE,
		.kind = kind,
		.message = text,
		.pfn = pfn,
		.order = order,
		.function = function,
	};
	pfai_add_relaxed(corrupt ? &p->nr_corrupt : &p->nr_misuse, 1u);
	if (p->os.fatal)
		p->os.fatal(p->os.ctx, &fault);
	if (p->policy == PFA_FATAL_ABORT)
		__builtin_trap();
	return fault.code;
}

/* A byte that is NOTHING, and its frame is not free: the inside of a block, or (misplaced trust) nothing at all. */
static enum pfa_fault_kind fault_of_nothing(struct pfa *p, struct pfai_zone *z, pfa_pfn pfn)
{
	if (!pfai_zone_lock(p, z))
		return PFA_FAULT_DOUBLE_FREE_RACE;
	bool free = !pfai_map_test(z->not_free, pfn - z->origin);
	pfai_zone_unlock(p, z);
	return free ? PFA_FAULT_DOUBLE_FREE : PFA_FAULT_TAIL;
}

static enum pfa_fault_kind fault_of_block(struct pfa *p, pfa_pfn pfn, unsigned order)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z)
		return PFA_FAULT_OUT_OF_RANGE;
	if (order > p->max_order)
		return PFA_FAULT_ORDER_LIMIT;
	uint8_t byte = pfai_load_acquire(&p->bytes[pfn - p->base]);
	if (byte == PFAI_ABSENT)
		return PFA_FAULT_HOLE;
	if (byte == PFAI_OFFLINE)
		return PFA_FAULT_OFFLINE;
	if (byte == PFAI_BAD)
		return PFA_FAULT_BAD;
	if (pfn & (((size_t)1 << order) - 1))
		return PFA_FAULT_MISALIGNED;
	switch (byte & PFAI_STATE_MASK) {
	case PFAI_HEAD: /* with this very order: freed by another thread and granted again since the claim failed */
		return (byte & PFAI_ORDER_MASK) == order ? PFA_FAULT_DOUBLE_FREE_RACE : PFA_FAULT_WRONG_ORDER;
	case PFAI_CACHED:
	case PFAI_CACHED_ZERO:
		return PFA_FAULT_DOUBLE_FREE_CACHED;
	case 0:
		return byte == PFAI_FREEING ? PFA_FAULT_DOUBLE_FREE_RACE : fault_of_nothing(p, z, pfn);
	default:
		return PFA_FAULT_HELD;
	}
}

int PFAI_COLD pfai_refuse_block(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	return pfai_fault(p, fault_of_block(p, pfn, order), pfn, order, function);
}
