/* SPDX-License-Identifier: MIT
 *
 * Layer 6: what is still allocated, by who says so.
 */
#ifndef PFAI_LIVE_H
#define PFAI_LIVE_H

#include "instance.h"

/* Allocated blocks of one tag; without history all of them. */
struct pfai_live {
	uint32_t tag;
	size_t nr_blocks, nr_frames;
	struct pfa_event oldest; /* how the oldest came to be; number 0: not known, then it is just the first one */
};

/* Calls visit for each tag, ascending. No lock is held: blocks that come and go meanwhile are counted or not. O(frames) for
 * every LIVE_ROWS tags. */
void pfai_live_visit(const struct pfa *p, void (*visit)(void *ctx, const struct pfai_live *live), void *ctx);

/* "tag 42: 3 blocks, 17 frames; oldest: #12 allocated, order 3, pfn 128, thread 1, tag 42"; PFAI_LIVE_TEXT is room enough. */
#define PFAI_LIVE_TEXT 256u
void pfai_live_text(const struct pfa *p, const struct pfai_live *live, char out[], size_t room);

#endif
