/* SPDX-License-Identifier: MIT
 *
 * Layer 2: the frame byte. One byte a frame; the first byte of a block says what it is, the others NOTHING, or at
 * hardening level 2 and up TAIL as long as the block is not free (tail.h).
 * Bits 5-7 are the state, bits 0-4 the block's order (or, in state 0, one of the special values).
 *
 *   NOTHING --grant--> HEAD --pfa_free--> CACHED --pfa_alloc--> HEAD       under the cpu's cache lock
 *   NOTHING --refill-> CACHED / CACHED_ZERO --flush, drain--> NOTHING      under cache lock and zone lock
 *   HEAD --pfa_free, past the cache--> FREEING --put--> NOTHING            claim without lock, put under the zone lock
 *   HEAD --pfa_free, level 3--> QUARANTINE --> CACHED or NOTHING           under the cpu's cache lock (perhaps FREEING first)
 *   HEAD --pfa_split--> FREEING --> HEAD (smaller)                         without lock: the claim is the lock
 *   HEAD --pfa_movable_set--> FREEING --> MOVABLE         without lock: the claim is the lock
 *   MOVABLE --pfa_free, pfa_movable_clear, moved--> FREEING --> as above, or HEAD     by who took its entry away
 *   NOTHING --taken in advance by pfa_migrate--> FREEING --> MOVABLE or NOTHING       under the zone lock, then by the mover
 *   inside, level 2: NOTHING --grant, refill--> TAIL --put, flush--> NOTHING    under the zone lock
 *                    TAIL --pfa_split, pfa_alloc_exact--> HEAD             the block is the caller's
 *
 *   HEAD, BAD --offline--> OFFLINE, OFFLINE_BAD --online--> NOTHING, BAD     under the zone lock, in held pageblocks
 *   OFFLINE, OFFLINE_BAD --remove--> ABSENT --add--> OFFLINE               as well
 *
 * Who moves a byte out of HEAD does so by compare-exchange; so of two racing frees exactly one wins.
 */
#ifndef PFAI_FRAME_H
#define PFAI_FRAME_H

#include "atomic.h"

enum pfai_frame_byte {
	PFAI_NOTHING = 0, /* free; below level 2 also the inside of a block */
	PFAI_ABSENT = 1,  /* a hole */
	PFAI_OFFLINE = 2,
	PFAI_BAD = 3,
	PFAI_TAIL = 4,    /* level 2: inside a block that is not free */
	PFAI_GUARD_BELOW = 5, /* allocated for a PFA_GUARD request: the block that it guards begins after it, */
	PFAI_GUARD_ABOVE = 6, /* or ended before it */
	PFAI_OFFLINE_BAD = 7, /* OFFLINE, and BAD when it is online again */

	PFAI_HEAD = 1 << 5,
	PFAI_CACHED = 2 << 5,
	PFAI_CACHED_ZERO = 3 << 5, /* CACHED and known to be zero */
	PFAI_HELD_REPORT = 4 << 5,
	PFAI_MOVABLE = 5 << 5, /* HEAD, and its owner table entry says more (pagelock.h) */
	PFAI_QUARANTINE = 6 << 5,
	PFAI_FREEING = 7 << 5, /* claimed by a free, a range or a split in flight */

	PFAI_STATE_MASK = 7 << 5,
	PFAI_ORDER_MASK = 31,
	PFAI_ZERO_BIT = PFAI_CACHED ^ PFAI_CACHED_ZERO,
};

/* A frame that is not present: a hole, or offline. */
static inline bool pfai_byte_is_absent(uint8_t byte)
{
	return byte == PFAI_ABSENT || byte == PFAI_OFFLINE || byte == PFAI_OFFLINE_BAD;
}

/* Claims a frame byte for its mover; false: it says something else. Level 0 believes whoever calls. */
static inline bool pfai_claim(pfai_a8 *byte, unsigned from, unsigned to)
{
	if (PFA_HARDENING)
		return pfai_cas8(byte, (uint8_t)from, (uint8_t)to);
	pfai_store_relaxed(byte, (uint8_t)to);
	return true;
}

#endif
