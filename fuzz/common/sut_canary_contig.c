/* SPDX-License-Identifier: MIT
 *
 * sut_canary_contig.c - the canaries of isolation and contiguous ranges.
 */
#include "sut_canary_parts.h"

/* The isolation that was made last. */
static struct {
	pfa_pfn start, end;
	pfa_token token;
} canary_hold;
static bool canary_undone; /* something was given up */
static bool canary_ranges; /* pfa_alloc_contig_range() runs, */
static bool canary_asked;  /* and an owner has refused in it */

bool canary_asks_no_more(bool refused)
{
	const bool asked = canary_which == SUT_CANARY_RANGE_GIVES_UP && canary_ranges && canary_asked;

	canary_asked |= refused;
	return asked;
}

/* Grants a frame of what is held. */
int canary_alloc_held(struct sut *s, pfa_pfn *out)
{
	const struct pfa_run window = { canary_hold.start, canary_hold.end - canary_hold.start };
	struct pfa_blocker why;

	if (!canary_hold.token || sut_pfa.undo_isolate_range(s, canary_hold.start, canary_hold.end, canary_hold.token) != PFA_OK)
		return PFA_ENOMEM;
	const int code = sut_pfa.alloc_window(s, 0, PFA_MOVABLE, window, out);
	if (sut_pfa.isolate_range(s, canary_hold.start, canary_hold.end, 0, &canary_hold.token, &why) != PFA_OK)
		canary_hold.token = 0;
	return code == PFA_OK ? PFA_OK : PFA_ENOMEM;
}

static int canary_isolate_range(struct sut *s, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out, struct pfa_blocker *why)
{
	const pfa_token last = canary_hold.token;

	if (canary_which == SUT_CANARY_HOLDS_NOTHING && start < end) {
		*out = 77 + canary_hold.token++;
		if (why)
			why->reason = PFA_BLOCKER_NONE;
		return PFA_OK;
	}
	const int code = sut_pfa.isolate_range(s, start, end, flags, out, why);
	if (code != PFA_OK)
		return code;
	canary_hold.start = start;
	canary_hold.end = end;
	canary_hold.token = *out;
	if (canary_which == SUT_CANARY_HELD_TOKEN && last)
		*out = last;
	return code;
}

static int canary_undo_isolate_range(struct sut *s, pfa_pfn start, pfa_pfn end, pfa_token token)
{
	const int code = sut_pfa.undo_isolate_range(s, start, end, token);

	canary_undone |= code == PFA_OK;
	if (code == PFA_OK && token == canary_hold.token)
		canary_hold.token = 0;
	return code;
}

static int canary_range_lies(int code, pfa_pfn start, struct pfa_blocker *why)
{
	switch (canary_which) {
	case SUT_CANARY_RANGE_SAID:
		if (code == PFA_EBUSY && why)
			*why = (struct pfa_blocker){ PFA_BLOCKER_NONE, start };
		return code == PFA_EBUSY ? PFA_OK : code;
	case SUT_CANARY_RANGE_BLOCKER:
		if (code == PFA_EBUSY && why)
			why->pfn++;
		return code;
	default:
		return code;
	}
}

static int canary_alloc_contig_range(struct sut *s, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why)
{
	if (canary_which == SUT_CANARY_RANGE_REFUSED && start < end && end - start < 64 && !(flags & PFA_ZERO)) {
		if (why)
			*why = (struct pfa_blocker){ PFA_BLOCKER_UNMOVABLE, start };
		return PFA_EBUSY;
	}
	if (canary_which == SUT_CANARY_RANGE_MOVES_ALL && sut_pfa.compact(s, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL) == PFA_ECORRUPT)
		return PFA_ECORRUPT;
	canary_ranges = true;
	canary_asked = false;
	const int code = sut_pfa.alloc_contig_range(s, start, end, flags, why);
	canary_ranges = false;
	return canary_range_lies(code, start, why);
}

static int canary_alloc_contig(struct sut *s, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	if (canary_which == SUT_CANARY_SEARCH_FAILS && nr_frames && nr_frames < 64 && !(flags & PFA_ZERO))
		return PFA_ENOMEM;
	return sut_pfa.alloc_contig(s, nr_frames, align_frames, canary_which == SUT_CANARY_SEARCH_CMA ? flags | PFA_CMA : flags, out);
}

void canary_contig_lies(struct pfa_zone_stats *zone, struct pfa_pageblock_info *pageblock, struct pfa_frame_info *frame)
{
	if (zone && canary_which == SUT_CANARY_HELD_STATS) {
		zone->free += zone->free_isolated;
		zone->free_isolated = 0;
	}
	if (pageblock && canary_which == SUT_CANARY_UNDO_TYPE && canary_undone && pageblock->type == PFA_TYPE_MOVABLE)
		pageblock->type = PFA_TYPE_UNMOVABLE;
	if (frame && canary_which == SUT_CANARY_HELD_TYPE && frame->type == PFA_TYPE_ISOLATE)
		frame->type = PFA_TYPE_MOVABLE;
}

void canary_contig_begin(void)
{
	canary_hold.token = 0;
	canary_undone = false;
}

void canary_contig_ops(struct sut_ops *ops)
{
	ops->isolate_range = canary_isolate_range;
	ops->undo_isolate_range = canary_undo_isolate_range;
	ops->alloc_contig_range = canary_alloc_contig_range;
	ops->alloc_contig = canary_alloc_contig;
}
