/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "fmt.h"
#include "history.h"

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
	[PFA_FAULT_STALE_HANDLE] = "stale handle: its block was freed or split since",
	[PFA_FAULT_ENDED] = "the instance has ended",
	[PFA_FAULT_MOVABLE] = "the block is movable: it can be freed, but not as a part of something, nor split",
	[PFA_FAULT_RELEASED] = "double free: the movable block was freed already, and is still held",
	[PFA_FAULT_NOT_PINNED] = "the block is not pinned",
	[PFA_FAULT_PAGE_LOCK] = "the caller does not hold this page lock",
	[PFA_FAULT_OWNER_RESULT] = "an owner's op returned what is no result of it",
	[PFA_FAULT_DESTINATION] = "the destination is no allocated block of this order, or is movable",
	[PFA_FAULT_NOT_MOVED] = "the destination was freed, but the owner has not taken it",
	[PFA_FAULT_DOUBLE_FREE_QUARANTINED] = "double free: the block is in quarantine already",
	[PFA_FAULT_NOT_HELD] = "this token does not hold the pageblock",
	[PFA_FAULT_GUARD] = "the frame guards a block",
	[PFA_FAULT_CORRUPT_CACHE] = "corruption: a cached block's frame byte disagrees",
	[PFA_FAULT_CORRUPT_FREE] = "corruption: the free map disagrees with the index",
	[PFA_FAULT_WRITTEN_AFTER_FREE] = "the frame was written to after its free",
	[PFA_FAULT_LOCK] = "lock order violated",
};

int PFAI_COLD pfai_fault(struct pfa *p, enum pfa_fault_kind kind, pfa_pfn pfn, unsigned order, const char *function)
{
	bool corrupt = kind >= PFA_FAULT_CORRUPT_CACHE;
	char text[160];
	struct pfa_event history[PFA_HISTORY_LIMIT];
	size_t nr_history = pfai_history_read(p, pfn, history, p->nr_history);
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
		.history = nr_history ? history : NULL,
		.nr_history = nr_history,
	};
	pfai_add_relaxed(corrupt ? &p->st->nr_corrupt : &p->st->nr_misuse, 1u);
	if (p->os.fatal)
		p->os.fatal(p->os.ctx, &fault);
	if (p->policy == PFA_FATAL_ABORT)
		__builtin_trap();
	return fault.code;
}
