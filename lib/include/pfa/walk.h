/* SPDX-License-Identifier: MIT
 *
 * pfa/walk.h - the walk over free memory, for snapshots, dumps and live migration: what is free need not be copied.
 *
 * What is told are hints: a run may have been allocated again before the visitor hears of it. Two things hold:
 *   - a frame that is part of a free block of 2^min_order frames (or more) from before the walk until after it is visited;
 *     blocks that a reporting device is being told of count as free, so that they are not missed;
 *   - each frame that is visited was free at some instant during the walk.
 * A walk goes upward through the zones in configured order, and each zone by address; a frame is visited once at most. So it ends,
 * however fast others free and allocate behind it.
 *
 * Frames in per-CPU caches and in quarantine are not free to a walk (pfa_cache_drain() first makes them so).
 */
#ifndef PFA_WALK_H
#define PFA_WALK_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a walk is. All zero: at the beginning. It may be kept over anything that happens to the memory meanwhile. */
struct pfa_cursor {
	uint32_t zone;     /**< index of the zone; the number of zones: at the end */
	uint32_t reserved; /**< 0 */
	pfa_pfn next;      /**< frames of that zone below this one are done */
};

/**
 * Told of each run of free frames: as many whole blocks of 2^min_order frames, each naturally aligned, as lie side by side (where the
 * walk goes on inside of one, from a cursor of another order, its rest). A long
 * run may come in several pieces, cut at block borders. No lock is held: the visitor may call everything of this instance, also
 * another walk, but pfa_fini(), which returns PFA_EDEADLK as long as any walk runs.
 * @return 0: go on; anything else: stop
 */
typedef int pfa_visitor(void *ctx, struct pfa_run run);

/**
 * Visits the free memory of all zones.
 * @param min_order  0 .. max_order: smaller free blocks are passed by
 * @param ctx        handed to visit
 * @param cursor     NULL: everything; or where to go on, which then says how far the walk came: behind the last run visited
 * @return PFA_OK: to the end; PFA_ESTOP: the visitor said so; PFA_EINVAL: min_order, or the cursor is none of this instance;
 *         PFA_EDEADLK: inside an owner's op; PFA_ECORRUPT: to the end, but for zones that refuse (their frames are not visited).
 * @context takes the zone's lock for PFA_WALK_FRAMES frames at most at a time; none while visit runs.
 * @cost O(frames / word size + runs).
 */
PFA_NODISCARD PFA_API int pfa_walk_free(struct pfa *pfa, unsigned min_order, pfa_visitor *visit, void *ctx,
                                        struct pfa_cursor *cursor);

/** Frames that are looked at at once, and of a piece (or 2^min_order, if that is more). */
#define PFA_WALK_FRAMES 32768u

#ifdef __cplusplus
}
#endif
#endif
