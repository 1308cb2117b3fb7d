/* SPDX-License-Identifier: MIT
 *
 * model_contig.h - which pageblocks are held, and what each function of pfa/contig.h must answer.
 *
 * Who holds a pageblock is in struct model, since nobody is granted anything of it. Here is what is in the way of a call before any
 * owner is asked; what owners say and do meanwhile is for the caller to know.
 */
#ifndef FUZZ_MODEL_CONTIG_H
#define FUZZ_MODEL_CONTIG_H

#include <pfa/contig.h>

#include "model_movable.h"

/* The token of a call that is running: it holds until it returns, and nobody knows its token. */
#define MODEL_HELD_NOW UINT32_MAX

/* What a call must answer. */
struct model_answer {
	int code;
	struct pfa_blocker why;
	bool loose;    /* a bad frame may still be in quarantine: the call fails, but on which frame is not known */
	unsigned zone; /* of the range; nr_zones: it is in none */
};

/* What the answers are made of. The frame at pfn, as far as one look at the maps goes (*next: behind its block); who holds its pageblocks,
 * and, unless they may be, are they CMA? Do the flags forbid to move anything? And the next pageblock's first frame. */
struct model_answer model_blocked(unsigned zone, int code, enum pfa_blocker_reason reason, pfa_pfn pfn);
struct model_answer model_look(const struct model *m, unsigned zone, pfa_pfn pfn, bool fixed, pfa_pfn *next);
struct model_answer model_holders(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, bool cma);
bool model_fixed(uint32_t flags);
/* The first frame of [at, end), which is in the zone, in one of these states (a set of enum model_state), or in none; end: there is none. */
pfa_pfn model_first(const struct model *m, unsigned zone, pfa_pfn at, pfa_pfn end, unsigned states, bool in);
/* What is in the way of emptying a range of the zone for good, but for frames in the states that are passed over; then who holds it. */
struct model_answer model_expect_emptied(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t flags, unsigned passed);
pfa_pfn model_next_pb(const struct model *m, pfa_pfn pfn);
/* Is the range one of a zone? */
struct model_answer model_expect_bounds(const struct model *m, pfa_pfn start, pfa_pfn end);
/* Whatever owners say: what is in the way of pfa_isolate_range() with these flags. */
struct model_answer model_expect_isolate(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end,
                                         uint32_t flags);
/* And of pfa_alloc_contig_range(): first what is in the way for good, then, where that is nothing, what of movable blocks and guards. */
struct model_answer model_expect_contig(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t flags);
struct model_answer model_expect_left(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end);
/* pfa_undo_isolate_range(); code EMISUSE: with PFA_FAULT_NOT_HELD of why.pfn. */
struct model_answer model_expect_undo(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t token);
struct model_answer model_expect_test(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t token);
/* Must pfa_alloc_contig() find a run, if it moves nothing? Where a free block is that the run fits into and nothing is cached, or
 * where an entirely un-owned run begins at the first place of a pageblock, or behind what is in the way there, in a zone of so few
 * pageblocks that it tries all of them. */
bool model_must_find(const struct model *m, size_t nr, size_t align, uint32_t flags, const struct pfa_zone_stats stats[]);
/* Has the zone a window of entirely un-owned pageblocks in which the first place will do? Nothing is better, if nothing is cached. */
bool model_empty_window(const struct model *m, unsigned zone, size_t nr, size_t align, uint32_t flags);

/* Why the movable block in this slot is not moved, if its owner is not the reason; NONE: it could be. */
enum pfa_blocker_reason model_unmoving(const struct model_movables *mm, unsigned slot);
/* Head of the block that has the frame (or the frame itself), and the slot of it, if it is movable; else MODEL_NO_BLOCK. */
pfa_pfn model_head(const struct model *m, const struct model_movables *mm, pfa_pfn pfn, unsigned *slot);

/* The pageblocks of [start, end), which is in the zone, are held; token 0: no more. */
void model_hold(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t token);
bool model_any_held(const struct model *m);
/* The first and, behind it, the end of the pageblocks that the token holds. False: it holds none. */
bool model_held_span(const struct model *m, uint32_t token, pfa_pfn *start, pfa_pfn *end);
/* No used block reaches over the edges of the range's pageblocks. */
bool model_judge_edges(const struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, struct verdict *v);
/* What was held keeps its type, unless it was entirely free meanwhile. was: before. */
bool model_judge_census(const struct model *m, unsigned zone, pfa_pfn pfn, enum pfa_type was, enum pfa_type is, struct verdict *v);

#endif
