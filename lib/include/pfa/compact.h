/* SPDX-License-Identifier: MIT
 *
 * pfa/compact.h - compaction: movable blocks are moved to the top of their zone, so that its free memory becomes large blocks.
 *
 * Two scanners: one goes up and finds movable blocks (pfa/movable.h), one goes down and finds free places for them; where they
 * meet a pass ends. A block is moved once in a pass at most, unless something above it is freed meanwhile, and never into a
 * pageblock of another type than MOVABLE or one that is held. It stays in its zone. Blocks as large as a pageblock or larger
 * stay where they are.
 *
 * It runs when asked for (pfa_compact()); for a request with PFA_COMPACT that would fail otherwise (unless NOWAIT), which
 * gets the first block of its order that becomes whole, before anybody else can; and in pfa_service(), after a request failed
 * though the zone had enough free frames. The latter two are deferred where they were in vain: then only every 2nd, 4th, ..
 * 64th such request tries again.
 */
#ifndef PFA_COMPACT_H
#define PFA_COMPACT_H

#include <pfa/movable.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFA_ALL_ZONES 0xFFFFFFFFu
#define PFA_COMPACT_ALL 0xFFFFFFFFu /**< an order: go on until the scanners meet */
#define PFA_INDEX_UNKNOWN 0xFFFFFFFFu /**< an index that could not be counted: a zone's lock was busy, and could not be waited for */

struct pfa_compact_stats {
	size_t size;    /**< set by the library: sizeof(struct pfa_compact_stats) */
	size_t scanned; /**< frames that the migrate scanner looked at */
	size_t moved;   /**< frames that were moved */
	size_t failed;  /**< frames of movable blocks that could not be moved: refused, pinned, busy */
	/** Steps: frames (or blocks) that the migrate scanner went over, and pageblocks that the free scanner looked into. In a
	 *  pass at most frames + (orders up to the pageblock's + 1) x pageblocks + moves, of a zone. */
	size_t steps;
	/** Free frames of the zones that are not in blocks of the order (PFA_COMPACT_ALL: of a pageblock, or the zone's largest)
	 *  or larger, per mille of all free frames there: 0 is not fragmented. Counted a few pageblocks at a time.
	 *  PFA_INDEX_UNKNOWN only where the platform cannot wait. */
	unsigned index_before, index_after;
	unsigned met;   /**< zones in which the scanners met */
};

/**
 * Compacts.
 * @param zone   index, or PFA_ALL_ZONES: one after the other
 * @param order  stop in a zone when a block of this order is on offer there, 0 .. max_order; or PFA_COMPACT_ALL
 * @param mode   how much it may cost, as in pfa_migrate(). SYNC also looks again at pageblocks where nothing could be moved
 * @param out    what was done, and by how much it helped; NULL: not of interest (the index then costs nothing)
 * @return PFA_OK: in each zone the scanners met, or a block of the order is on offer; PFA_ENOMEM: in none of the zones there
 *         is one now (not with PFA_COMPACT_ALL); PFA_EBUSY: another thread compacts the zone, or the platform cannot wait and
 *         the zone's lock is busy (zones before it were done, *out says what), or 64 threads move already (*out is left alone);
 *         PFA_EINVAL: zone, order or mode; PFA_ENOTSUP: no owner table; PFA_EDEADLK: inside an op; PFA_ECORRUPT.
 * @context as pfa_migrate(). Zone locks for O(pageblock / word) time. @cost a pass: O(frames) byte reads, and the moves.
 */
PFA_NODISCARD PFA_API int pfa_compact(struct pfa *pfa, uint32_t zone, unsigned order, enum pfa_migrate_mode mode,
                                      struct pfa_compact_stats *out);

#ifdef __cplusplus
}
#endif
#endif
