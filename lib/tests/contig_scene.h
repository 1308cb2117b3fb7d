/* SPDX-License-Identifier: MIT
 *
 * A zone of which a test knows each frame: free, fixed, in a movable block, in a run. What must come of a call that takes a range
 * follows from that.
 */
#ifndef CONTIG_SCENE_H
#define CONTIG_SCENE_H

#include "scripted.h"

#include <pfa/contig.h>

enum { PB = 64, PAGEBLOCKS = 24, FRAMES = PAGEBLOCKS * PB };

/* What the test knows of a frame. */
enum kind { FREE, FIXED, MOVES, PINNED, RUN, BAD };

extern struct scripted s;
extern struct rig rig;
extern enum kind kinds[FRAMES];

/* An instance, and its owner. */
void base(uint32_t cache_high, size_t nr_frames);
void note(pfa_pfn at, unsigned order, enum kind kind);
/* Where everything is now: movable blocks may have moved. */
void look(void);
/* Takes all in blocks of random orders below `orders`, some of them for good, and frees some. */
void fill(struct rng *rng, unsigned percent_fixed, unsigned percent_free, unsigned orders);
/* Frees everything. */
void done(void);
/* One call of pfa_alloc_contig_range(), against what must come of it. Its result. */
int try_range(pfa_pfn start, pfa_pfn end, uint32_t flags);

/* A block that stays where it is until done(). */
void fix(pfa_pfn at, unsigned order);
/* These frames were granted: each was free, and is a block of its own now. */
void granted(pfa_pfn start, pfa_pfn end);

/* The zone before a call; and that nothing has changed by it but what was granted, or is offline, where it worked on [start, end). */
struct scene_before {
	enum pfa_type types[PAGEBLOCKS];
	struct pfa_zone_stats stats;
};
void before(struct scene_before *b);
void after(const struct scene_before *b, pfa_pfn start, pfa_pfn end, size_t granted, size_t offline);

/* What must be in the way in [start, end), and (not NULL) the frame behind it; NONE: all of it is free or movable. What a call says then. */
enum pfa_blocker_reason blocker(pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_pfn *behind);
int result_of(enum pfa_blocker_reason reason);
/* Is there no place for the movable block at head, outside of the pageblocks of [start, end)? */
bool no_room(pfa_pfn head, pfa_pfn start, pfa_pfn end);

#endif
