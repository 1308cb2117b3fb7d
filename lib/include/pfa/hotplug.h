/* SPDX-License-Identifier: MIT
 *
 * pfa/hotplug.h - memory that comes and goes on a running instance.
 *
 * A frame of a zone is a hole, offline, or present (everything else). pfa_offline_range() empties a range and takes it out of use;
 * pfa_online_range() brings it back, free. pfa_remove_range() makes offline frames holes; pfa_add_range() makes holes offline frames.
 *
 *     hole --add--> offline --online--> present --offline--> offline --remove--> hole
 *
 * The metadata for every frame of a zone's span is the caller's from pfa_init() on (pfa_size() counts holes, too): so what is to be added
 * later is configured as a hole, and an instance does not grow beyond its zones. Metadata of holes is not touched, but for a byte and a bit a
 * frame, and what there is of pageblocks: with PFA_CONFIG_ZEROED_META a hole of 64 GiB (frames of 4 KiB) beside 1 GiB takes 19.5 MB of
 * memory, of the 22 MB at level 1, or the 295 MB at level 3 with owners, that are set aside for it. pfa_add_range() takes no more, and
 * pfa_online_range() 8 KiB; owners, and level 3, take what they need as frames are used (unit.hotplug, test_metadata).
 *
 * Frames that are offline or in a hole are not counted as present, and are not anybody's: not granted, walked over, reported, moved or
 * zeroed. Frees of them are refused (PFA_FAULT_OFFLINE, PFA_FAULT_HOLE), queries say so. Their content is not known when they are online
 * again. Whoever keeps the number of such a frame may pass it to any function of the library; only the memory itself must not be
 * used any more. A walk's visitor may hear of a run that is offline meanwhile, as of one that was allocated.
 *
 * Ranges begin and end at any frame; holes may lie in them, and are passed over (pfa_add_range: must make up all of it). A call holds the
 * pageblocks of its range (pfa/contig.h): of calls that overlap the later ones get PFA_EBUSY. Pageblocks keep their types, but for
 * reserved ones, of which none may have frames offline: those become MOVABLE. Locks: as pfa_isolate_range().
 */
#ifndef PFA_HOTPLUG_H
#define PFA_HOTPLUG_H

#include <pfa/contig.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Takes all frames of the range offline: movable blocks are moved away, what is free is taken. Frames that are offline already stay so.
 * @param start, nr_frames  of one zone; blocks that reach over an end are moved as a whole
 * @param flags  PFA_TAKE_BAD: bad frames go offline, too (and are bad again when they are online, unless they were removed); PFA_CMA: frames
 *               of CMA pageblocks, too; PFA_NOMIGRATE: nothing is moved; PFA_NOWAIT: that, and caches in use are left alone
 * @param why    what was in the way; NULL: not of interest
 * @return PFA_OK. Else nothing has gone offline, but blocks may have been moved: PFA_EBUSY: something is in the way after PFA_CONTIG_TRIES
 *         tries, or the platform cannot wait; PFA_EAGAIN: the flags forbid what would help; PFA_ENOMEM: no place for a block that has to be
 *         moved; PFA_ERANGE: not in one zone, or nothing but holes; PFA_EINVAL: no frames, or other flags; PFA_EDEADLK: inside an op;
 *         PFA_ECORRUPT: damage was met. Where it was met last, as the pageblocks were given up, the range is what it was to be
 *         (pfa_frame_info() says), but for frames that somebody freed who had no right to, meanwhile; the zone refuses until pfa_repair().
 * @context as pfa_alloc_contig_range(). @cost O(frames), and the moves; caches are drained of the range at each try.
 */
PFA_NODISCARD PFA_API int pfa_offline_range(struct pfa *pfa, pfa_pfn start, size_t nr_frames, uint32_t flags, struct pfa_blocker *why);

/**
 * Brings all offline frames of the range back: free, or bad. What is present already stays as it is.
 * @return PFA_OK; PFA_EBUSY: a pageblock is held (why: PFA_BLOCKER_HELD), or the platform cannot wait; PFA_ERANGE, PFA_EINVAL, PFA_EDEADLK,
 *         PFA_ECORRUPT: as pfa_offline_range(). But for PFA_OK and PFA_ECORRUPT nothing has changed.
 * @context no owner is called. @cost O(frames).
 */
PFA_NODISCARD PFA_API int pfa_online_range(struct pfa *pfa, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);

/**
 * Makes holes offline frames: the memory behind them is there, and may be used once it is online. It must be part of the configured pool,
 * if there is one.
 * @return PFA_OK; PFA_EBUSY: a frame exists already (PFA_BLOCKER_PRESENT), a pageblock is held, or the platform cannot wait; PFA_ERANGE: not in
 *         one zone; PFA_EINVAL: no frames; PFA_EDEADLK: inside an op; PFA_ECORRUPT, as
 *         pfa_offline_range(). But for these two nothing has changed.
 * @context, @cost as pfa_online_range().
 */
PFA_NODISCARD PFA_API int pfa_add_range(struct pfa *pfa, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);

/**
 * Makes offline frames holes: the library will never touch their memory, nor know of it (a bad frame is forgotten).
 * @return PFA_OK; PFA_EBUSY: a frame is present (PFA_BLOCKER_PRESENT), a pageblock is held, or the platform cannot wait; PFA_ERANGE: not in one
 *         zone, or nothing but holes; PFA_EINVAL: no frames; PFA_EDEADLK: inside an op; PFA_ECORRUPT, as
 *         pfa_offline_range(). But for these two nothing has changed.
 * @context, @cost as pfa_online_range().
 */
PFA_NODISCARD PFA_API int pfa_remove_range(struct pfa *pfa, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);

#ifdef __cplusplus
}
#endif
#endif
