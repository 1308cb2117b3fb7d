/* SPDX-License-Identifier: MIT
 *
 * soak_ranges.h - what the actors of contiguous ranges share: which range is asked for, what a call may say of it, and marks for
 * frames that the geometry does not tell of: those in areas that come and go, and those that are away.
 *
 * A mark is set when the call that makes it so has returned, and taken off before the call that ends it; the frames are nobody's at
 * both moments. So a grant that its owner finds marked was made between the two.
 */
#ifndef SOAK_RANGES_H
#define SOAK_RANGES_H

#include "soak.h"

#include <pfa/contig.h>

#define SOAK_MARK_AREA 1u       /* in an area that was made by pfa_cma_create() */
#define SOAK_MARK_AWAY 2u       /* offline, or a hole that was none */
#define SOAK_MARK_MAYBE_AREA 4u /* was about to become that since the last rest: set before the call */
#define SOAK_MARK_MAYBE_AWAY 8u

void soak_mark(pfa_pfn first, size_t nr, uint8_t mark, bool on);
/* How many of them have it. */
size_t soak_marked(pfa_pfn first, size_t nr, uint8_t mark);
/* MAYBE where it is not so now is forgotten. Everybody is parked. */
void soak_marks_renew(void);

/* What a range is for a call. */
struct soak_range {
	pfa_pfn start, end;
	unsigned zone; /* of all its frames; SOAK_ABSENT: there is no such zone, or its ends are in holes */
	bool holes;
};

pfa_pfn soak_floor(pfa_pfn pfn); /* its pageblock's first frame */
struct soak_range soak_range_of(pfa_pfn start, pfa_pfn end);
/* 1..most frames, more at the end of a pageblock; mostly within a zone, at a pageblock's border or beside it, or anywhere. */
struct soak_range soak_range_pick(struct soak_slot *slot, uint32_t most);
/* A refusal's reason fits its result, the flags and the range. */
void soak_judge_range(const char *what, const struct soak_range *r, uint32_t flags, int rc, struct pfa_blocker why);

#endif
