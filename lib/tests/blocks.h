/* SPDX-License-Identifier: MIT
 *
 * Which free blocks a zone must have, as naively as possible: a frame at a time, from what a test says is free and held. And which
 * it says it has.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "rig.h"

enum { BLOCKS_FRAMES = 4096 };

struct blocks {
	unsigned max_order, pageblock_order;
	size_t nr_frames; /* of the zone, from pfn 0 on; it is the only one */
	unsigned char used[BLOCKS_FRAMES];
	unsigned char held[BLOCKS_FRAMES]; /* by frame; all of a pageblock */
};

void blocks_start(struct blocks *b, const struct rig *rig, size_t nr_frames);

/* Sets or clears some frames. */
void blocks_mark(unsigned char map[], pfa_pfn first, pfa_pfn end, unsigned char value);

/* Free memory, as blocks by order and whether they are held, and counters: the zone's must be the model's. All of it is movable. */
#define blocks_compare(b, rig) blocks_compare_at((b), (rig), __FILE__, __LINE__)
void blocks_compare_at(const struct blocks *b, struct rig *rig, const char *file, int line);

#endif
