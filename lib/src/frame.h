/* SPDX-License-Identifier: MIT
 *
 * Layer 2: the frame byte. One byte a frame; only the first byte of a block says something, the others are NONE.
 * Bits 5-7 are the state, bits 0-4 the block's order (or, in state 0, one of the special values).
 *
 *   NONE --grant--> HEAD --pfa_free--> CACHED --pfa_alloc--> HEAD          under the cpu's cache lock
 *   NONE --refill-> CACHED / CACHED_ZERO --flush, drain--> NONE            under cache lock and zone lock
 *   HEAD --pfa_free, past the cache--> FREEING --put--> NONE               claim without lock, put under the zone lock
 *   HEAD --pfa_split--> FREEING --> HEAD (smaller)                         without lock: the claim is the lock
 *
 * Who moves a byte out of HEAD does so by compare-exchange; so of two racing frees exactly one wins.
 */
#ifndef PFAI_FRAME_H
#define PFAI_FRAME_H

#include "atomic.h"

enum pfai_frame_byte {
	PFAI_NOTHING = 0, /* free, or not the first frame of a block */
	PFAI_ABSENT = 1,  /* a hole */
	PFAI_OFFLINE = 2,
	PFAI_BAD = 3,

	PFAI_HEAD = 1 << 5,
	PFAI_CACHED = 2 << 5,
	PFAI_CACHED_ZERO = 3 << 5, /* CACHED and known to be zero */
	PFAI_HELD_REPORT = 4 << 5,
	PFAI_HELD_MOVE = 5 << 5,
	PFAI_QUARANTINE = 6 << 5,
	PFAI_FREEING = 7 << 5, /* claimed by a free, a range or a split in flight */

	PFAI_STATE_MASK = 7 << 5,
	PFAI_ORDER_MASK = 31,
	PFAI_ZERO_BIT = PFAI_CACHED ^ PFAI_CACHED_ZERO,
};

#endif
