/* SPDX-License-Identifier: MIT
 *
 * pfa/cma.h - CMA areas: pageblocks that are kept for contiguous runs, and lent to movable requests meanwhile.
 *
 * Pageblocks of type CMA serve PFA_MOVABLE requests that find nothing in MOVABLE ones, and nobody else. pfa_cma_alloc() takes a run
 * back from them: as pfa_alloc_contig_range() does, by moving away what is movable. So what is lent can be had back as far as its
 * owners make it movable (pfa_movable_set()); a block that was asked for with PFA_MOVABLE and stays an ordinary one is in the way until
 * it is freed. CMA pageblocks stay CMA, whatever comes of a call.
 *
 * Areas are those of the configuration (pfa_zone_config.cma), each run one, and those that pfa_cma_create() makes. Callers that take
 * runs of one area at the same time hold different pageblocks; where all are held by other calls of pfa_cma_alloc(), they wait.
 */
#ifndef PFA_CMA_H
#define PFA_CMA_H

#include <pfa/contig.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An area; never 0. One that was destroyed is not known any more; its handle may mean another area after 256 others. */
typedef uint32_t pfa_cma;

/** Areas that an instance has room for, besides those of its configuration. */
#define PFA_CMA_MORE 8u

/** How often a call waits for other calls in its area before it gives up. */
#define PFA_CMA_TURNS 64u

/** An area, as it was at some instant of the call. */
struct pfa_cma_stats {
	size_t size;            /**< sizeof(struct pfa_cma_stats), to be filled in by the caller */
	struct pfa_run run;     /**< its frames */
	unsigned zone;
	size_t free;            /**< frames that are free, those of held pageblocks included */
	size_t granted;         /**< frames that pfa_cma_alloc() gave and pfa_cma_release() did not take back; the rest is lent */
	size_t held_pageblocks; /**< a count of pageblocks */
	size_t nr_alloc, nr_fail; /**< events: calls of pfa_cma_alloc() that succeeded; that found no run */
	size_t nr_wait;         /**< events: one waited for others */
};

/**
 * Makes an area of pageblocks. What is movable in them is moved away, so that all of it is free when the area begins; the pageblocks are
 * of type CMA from then on, whatever they were.
 * @param start, nr_frames  whole pageblocks of one zone, without holes and bad frames
 * @param flags  PFA_NOMIGRATE: nothing is moved; PFA_NOWAIT: nor is a cache waited for that somebody uses
 * @param out    the area
 * @param why    what was in the way; NULL: not of interest
 * @return PFA_OK. Else no type has changed, but blocks may have been moved, though none while there is what can never go
 *         (but for the guard of a block beside the range): PFA_EBUSY:
 *         something is in the way, or in another area (PFA_BLOCKER_TYPE), or the platform cannot wait; PFA_EAGAIN: the flags forbid
 *         what would help; PFA_ENOMEM: no room for another area (PFA_BLOCKER_NONE), or no place for a block that has to be moved;
 *         PFA_ERANGE: not in one zone, or a hole; PFA_EINVAL: not whole pageblocks, none, or other flags; PFA_EDEADLK: inside an op;
 *         PFA_ECORRUPT: damage was met, there is no such area (but pageblocks of it may count as CMA ones).
 * @context as pfa_alloc_contig_range(). @cost O(frames), and the moves; PFA_CONTIG_TRIES times at most.
 */
PFA_NODISCARD PFA_API int pfa_cma_create(struct pfa *pfa, pfa_pfn start, size_t nr_frames, uint32_t flags, pfa_cma *out,
                                         struct pfa_blocker *why);

/**
 * Ends an area: its pageblocks are MOVABLE, and what was lent stays where it is.
 * @return PFA_OK; PFA_EBUSY: some of it is granted, another call is in it, a pageblock is held, or the platform cannot wait;
 *         PFA_EINVAL: no such area; PFA_EDEADLK: inside an op; PFA_ECORRUPT: damage was met; met last, the area has ended
 *         (the handle is PFA_EINVAL then).
 * @context as pfa_isolate_range(), but nothing is moved. @cost O(pageblocks).
 */
PFA_NODISCARD PFA_API int pfa_cma_destroy(struct pfa *pfa, pfa_cma area);

/** The area that a frame is in: how those of the configuration are found. @return PFA_OK; PFA_ERANGE: it is in none.
 *  @context no lock. @cost O(areas). */
PFA_NODISCARD PFA_API int pfa_cma_find(struct pfa *pfa, pfa_pfn pfn, pfa_cma *out);

/**
 * Finds a run in an area and takes it, as pfa_alloc_contig_range() does: frames of order 0, to be given back by pfa_cma_release(), in
 * any parts. (One that is freed in another way, or declared movable, stays counted as granted.)
 *
 * Where: a free block of the area that the run fits into; else the PFA_CONTIG_WINDOWS windows of its pageblocks with the fewest frames in
 * use, the fewest first, then each window from the lowest; in each each place, from what is in the way to behind it. It succeeds where any run could be had by pfa_alloc_contig_range(), as
 * long as nobody else holds pageblocks of the area or brings in what cannot be moved.
 * @param nr_frames     1 or more
 * @param align_frames  a power of two: *out is a multiple of it
 * @param flags         PFA_ZERO; PFA_NOMIGRATE: only what is free; PFA_NOWAIT: so, and nobody is waited for
 * @return PFA_OK; PFA_ENOMEM: no run; PFA_EAGAIN: so, too, but the flags forbade what might have helped; PFA_EBUSY: somebody else holds
 *         pageblocks, and calls in this area did so PFA_CMA_TURNS times, or the platform cannot wait; PFA_EINVAL: no such area, a size,
 *         or other flags; PFA_ENOTSUP, PFA_EDEADLK, PFA_ECORRUPT: as pfa_alloc_contig_range().
 * @context as pfa_alloc_contig_range(); may wait for other calls in the area. @cost O(orders) where a free block fits; else
 *          O(pageblocks^2 of the area) at worst, and the attempts.
 */
PFA_NODISCARD PFA_API int pfa_cma_alloc(struct pfa *pfa, pfa_cma area, size_t nr_frames, size_t align_frames, uint32_t flags,
                                        pfa_pfn *out);

/**
 * Frees frames that pfa_cma_alloc() gave: all of them, or any part.
 * @return PFA_OK; PFA_EINVAL: no such area, or not frames of it; PFA_EMISUSE: as pfa_free_contig_range(), or more than is granted
 *         (PFA_FAULT_MIXED_RANGE): none is freed; PFA_ECORRUPT.
 * @context as pfa_free_range(). @cost O(nr_frames).
 */
PFA_NODISCARD PFA_API int pfa_cma_release(struct pfa *pfa, pfa_cma area, pfa_pfn start, size_t nr_frames);

/** @return PFA_OK; PFA_EINVAL: no such area, or out->size is not that of the struct; PFA_EBUSY: the platform cannot wait, and the
 *  zone's lock is busy. @context the zone's lock, for 64 pageblocks at a time. @cost O(pageblocks). */
PFA_NODISCARD PFA_API int pfa_cma_stats(struct pfa *pfa, pfa_cma area, struct pfa_cma_stats *out);

#ifdef __cplusplus
}
#endif
#endif
