/* SPDX-License-Identifier: MIT
 *
 * A zone of which a test knows each frame: free, fixed, in a movable block, in a run. What must come of a call that takes a range
 * follows from that.
 */
#ifndef CONTIG_SCENE_H
#define CONTIG_SCENE_H

#include "scripted.h"

#include <pfa/contig.h>

enum { PB = 64, FRAMES = 24 * PB };

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

/* Random zones and ranges: so many calls for each of the seeds, freed in parts. */
struct contig_tally {
	size_t calls, granted, refused, no_room;
};
void contig_try_seed(uint64_t seed, unsigned calls, struct contig_tally *tally);

#endif
