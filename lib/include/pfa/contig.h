/* SPDX-License-Identifier: MIT
 *
 * pfa/contig.h - isolation of pageblocks, and contiguous ranges: runs of any length at any place, taken out of use by moving away
 * what is movable in them.
 *
 * A pageblock is *held* by one isolation at a time, which is told by its token. While it is held nothing of it is granted, its free
 * frames are not on offer and count as free_isolated, and frees of its frames go past the caches. Its type is not changed, so that
 * giving it up restores nothing: the pageblock counts as its type again. (What became entirely free binds no type, as ever: an
 * unmovable or reclaimable pageblock is movable then.)
 *
 * Of calls whose ranges, rounded to whole pageblocks, overlap, the first one to hold the lowest pageblock that both want goes on,
 * the others get PFA_EBUSY and give up only what they themselves held. Zones may share a pageblock; each has a holder of its own.
 *
 * What these calls, and those of pfa/cma.h and pfa/hotplug.h, move is moved as by one call of pfa_migrate(): up to PFA_MIGRATE_HAND
 * destinations that are not used yet, and as many blocks that have moved, are in use meanwhile, too.
 *
 * All of these take zone and per-CPU cache locks, one after the other, a zone's for at most 64 pageblocks (or the frames of one) at
 * a time. pfa_fini() refuses while a pageblock is held. In the child of a fork() what a call of another thread held stays held.
 */
#ifndef PFA_CONTIG_H
#define PFA_CONTIG_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An isolation. Never 0; not used again before 2^32 others. */
typedef uint32_t pfa_token;

/** Why a range could not be had. */
enum pfa_blocker_reason {
	PFA_BLOCKER_NONE = 0,
	PFA_BLOCKER_RANGE,     /**< a hole, an offline frame, or the end of the zone */
	PFA_BLOCKER_HELD,      /**< the pageblock has another holder */
	PFA_BLOCKER_TYPE,      /**< a CMA pageblock, and the flags do not say PFA_CMA */
	PFA_BLOCKER_BAD,       /**< a bad frame */
	PFA_BLOCKER_UNMOVABLE, /**< allocated and not movable, or a guard */
	PFA_BLOCKER_MOVABLE,   /**< movable, and the flags forbid to move it */
	PFA_BLOCKER_PINNED,    /**< movable, and pinned */
	PFA_BLOCKER_REFUSED,   /**< movable, and its owner refused each time */
	PFA_BLOCKER_BUSY,      /**< being freed, moved or cached by somebody else just now; or 64 threads move blocks already */
	PFA_BLOCKER_NOMEM,     /**< movable, and there is no place for it */
	PFA_BLOCKER_CORRUPT,   /**< damage was met */
	PFA_BLOCKER_PRESENT,   /**< a frame that is there and must not be (pfa/hotplug.h) */
	PFA_BLOCKER_REASONS
};

/** The first frame that was in the way, and why. Where somebody else allocates meanwhile that is a hint. */
struct pfa_blocker {
	enum pfa_blocker_reason reason;
	pfa_pfn pfn;
};

/** How often a range is gone over before a call gives up because of what may end by itself: blocks that are pinned, refused or in
 *  flight. In each of these a block's migrate() is called up to pfa_migrate_tries(PFA_MIGRATE_SYNC) times. */
#define PFA_CONTIG_TRIES 5u

/**
 * Holds all pageblocks that [start, end) has frames of, or none. What caches have of them goes back to the zone. A used block that
 * reaches over either edge of the pageblocks is moved away, so that none does when this returns. Everything else in use stays; it
 * may be freed (or moved away) later, and is not on offer then.
 * @param start, end  any frames of one zone, start < end; holes may lie between them
 * @param flags       PFA_NOMIGRATE: no block is moved; PFA_NOWAIT: nor is a cache waited for that somebody uses: nothing is held then
 * @param out         the token
 * @param why         what was in the way; NULL: not of interest
 * @return PFA_OK; PFA_EBUSY: something is in the way, or the platform cannot wait; PFA_EAGAIN: the flags forbid what would help
 *         (with PFA_NOWAIT also PFA_BLOCKER_BUSY: some cpu's cache was in use, whatever is in it); PFA_ENOMEM: no place for a block that
 *         has to be moved; PFA_ERANGE: start or the frame before end is in no zone, or they are in different ones; PFA_EINVAL: start
 *         >= end, or other flags; PFA_EDEADLK: inside an op; PFA_ECORRUPT.
 * @context as pfa_migrate(), where a block has to be moved. @cost O(pageblocks + cpus x slots), whatever is free in them.
 */
PFA_NODISCARD PFA_API int pfa_isolate_range(struct pfa *pfa, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out,
                                            struct pfa_blocker *why);

/**
 * Gives up all pageblocks that [start, end) has frames of: all that the token holds, or some of them.
 * @return PFA_OK; PFA_EMISUSE: one of them is not held, or by another token (PFA_FAULT_NOT_HELD; none is given up, unless another call
 *         with this token gives up the one that is told meanwhile: then those before it are; of two such calls with the same range one
 *         gives up all, the other none);
 *         PFA_ERANGE, PFA_EINVAL as above; PFA_EBUSY: the platform cannot wait and the zone's lock is busy; PFA_ECORRUPT.
 * @context also inside an op. @cost O(pageblocks).
 */
PFA_NODISCARD PFA_API int pfa_undo_isolate_range(struct pfa *pfa, pfa_pfn start, pfa_pfn end, pfa_token token);

/**
 * Is every frame of [start, end) free, and held by this token? As long as it is so nobody else can change it.
 * @param why  the first frame that is not; NULL: not of interest
 * @return PFA_OK; PFA_EBUSY: a frame is in use (a bad one is), or the platform cannot wait; PFA_EMISUSE: a pageblock is not held by
 *         this token (PFA_FAULT_NOT_HELD); PFA_ERANGE: as above, or a hole; PFA_EINVAL: start >= end; PFA_ECORRUPT.
 * @cost O(frames / word).
 */
PFA_NODISCARD PFA_API int pfa_test_isolated(struct pfa *pfa, pfa_pfn start, pfa_pfn end, pfa_token token,
                                            struct pfa_blocker *why);

/**
 * Takes exactly [start, end), as frames of order 0 that are the caller's: each may be freed by pfa_free(), any part of them by
 * pfa_free_contig_range() or pfa_free_range(), and declared movable. No other frame changes hands. Movable blocks that reach into
 * the range are moved away, to their own zone or one after it, above its low or min mark; what lies beside the range in its first
 * and last pageblock may be in use. The frames themselves are taken whatever the marks say.
 *
 * It succeeds if all frames are free (in a cache, too) or in movable blocks that are not pinned and whose owners move them, nobody
 * else frees, moves or holds anything in its pageblocks meanwhile, and there is a place for each block that is moved.
 * @param start, end  any frames of one zone without holes between them, start < end
 * @param flags       PFA_ZERO; PFA_CMA: also from CMA pageblocks; PFA_NOMIGRATE: no owner is called: only what is free can be had;
 *                    PFA_NOWAIT: that, and caches that somebody uses are left alone. No type: pageblocks keep theirs
 * @param why         what was in the way; NULL: not of interest
 * @return PFA_OK. Else nothing is the caller's, no pageblock is held by this call and none of the range has another type, but blocks
 *         may have been moved, as if to what a request was granted: PFA_EBUSY: something is in the way, or the platform cannot
 *         wait; PFA_EAGAIN: the flags forbid what would help; PFA_ENOMEM: no place for a block that has to be moved; PFA_ERANGE:
 *         start or the frame before end is in no zone, they are in different ones, or a hole is between them; PFA_EINVAL:
 *         start >= end, or other flags; PFA_ENOTSUP: PFA_ZERO and no way to; PFA_EDEADLK: inside an op; PFA_ECORRUPT: damage was
 *         met (what was taken so far is free again once pfa_repair() has repaired the zone, which refuses until then), or a frame was
 *         written to after its free: as pfa_alloc().
 * @context as pfa_migrate(). @cost O(frames), and the moves; PFA_CONTIG_TRIES times at most.
 */
PFA_NODISCARD PFA_API int pfa_alloc_contig_range(struct pfa *pfa, pfa_pfn start, pfa_pfn end, uint32_t flags,
                                                 struct pfa_blocker *why);

/** At most so many windows of a zone does pfa_alloc_contig() try, and so many places in each. */
#define PFA_CONTIG_WINDOWS 64u
#define PFA_CONTIG_PLACES 8u

/**
 * Finds a run and takes it, as pfa_alloc_contig_range() does.
 *
 * Where: in each zone in turn, a free block that the run fits into, in a reclaimable, an unmovable, or at last a movable pageblock,
 * chosen as for a request of that type; else the window of pageblocks with the fewest
 * frames in use, lowest first, those in pageblocks of unmovable, reclaimable or reserved memory counted twice; where something is in
 * the way there, behind it, and then the next best window. So it may fail where a run could be had, after PFA_CONTIG_WINDOWS x
 * PFA_CONTIG_PLACES attempts in a zone.
 * @param nr_frames     1 or more
 * @param align_frames  a power of two: *out is a multiple of it
 * @param flags         as pfa_alloc_contig_range(), and PFA_ZONE(n), PFA_EXACT_ZONE: as pfa_alloc()
 * @return PFA_OK; PFA_ENOMEM: no run was found; PFA_EAGAIN: so, too, but the flags forbade what might have helped; PFA_EINVAL: a size,
 *         or other flags; PFA_EBUSY: the platform cannot wait, and a zone's lock is busy; PFA_ENOTSUP, PFA_EDEADLK, PFA_ECORRUPT: as
 *         pfa_alloc_contig_range().
 * @context as pfa_alloc_contig_range(). @cost O(orders) where a free block fits; else O(pageblocks), and the attempts: what is in the way
 *          for good is seen before anything is held or moved (but for the guard of a block beside the run).
 */
PFA_NODISCARD PFA_API int pfa_alloc_contig(struct pfa *pfa, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out);

/**
 * Frees frames that pfa_alloc_contig_range() gave: all of them, or any part. As pfa_free_range(), which also may be called.
 * @return PFA_OK; PFA_EINVAL: nr_frames is 0 or too large; PFA_EMISUSE: not all of these are allocated blocks that lie wholly in
 *         the range (PFA_FAULT_MIXED_RANGE), or one is movable (PFA_FAULT_MOVABLE): none is freed; PFA_ECORRUPT.
 * @context as pfa_free_range(). @cost O(nr_frames).
 */
PFA_NODISCARD PFA_API int pfa_free_contig_range(struct pfa *pfa, pfa_pfn start, size_t nr_frames);

#ifdef __cplusplus
}
#endif
#endif
