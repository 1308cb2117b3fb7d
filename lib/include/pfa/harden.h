/* SPDX-License-Identifier: MIT
 *
 * pfa/harden.h - what an instance can remember about its frames, and what follows from it: history and tags, live blocks,
 * handles that go stale; bad frames and repair; fork.
 *
 * History and handles are off unless configured, and then costs nothing but a test that is there anyway. Instances with either
 * do without the fast paths of pfa_alloc() and pfa_free().
 */
#ifndef PFA_HARDEN_H
#define PFA_HARDEN_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- bad frames -------------------------------------------------------------------------------------------------- */

/**
 * Takes one frame out of use for good (a memory error). A free frame, or one in a cache or quarantine, is bad at once. A
 * frame that is in use is recorded, and becomes bad when its block comes back: from a quarantine once that lets go of it,
 * or when it is marked again. The rest of the block is free then as ever. A bad frame is counted (statistics field `bad`)
 * and never offered again; freeing it is misuse (PFA_FAULT_BAD).
 * @param pfn  the frame
 * @return PFA_OK: it is bad, now or before; PFA_EAGAIN: in use and recorded, now or before (where a cache could not be
 *         locked: perhaps in it, and then it may be granted once more before it becomes bad); PFA_ERANGE: in no zone, or a
 *         hole; PFA_ECORRUPT.
 * @context as pfa_cache_purge(). @cost O(orders); for a frame that is not free also O(blocks cached). Until the last
 *          recorded frame of a pageblock is bad, frees of blocks there go past the caches.
 */
PFA_NODISCARD PFA_API int pfa_mark_bad(struct pfa *pfa, pfa_pfn pfn);

/* ---- repair ------------------------------------------------------------------------------------------------------ */

#define PFA_REPAIR_QUIESCENT (1u << 0) /**< no other call is in flight: a free or split that is half-way is damage */

/** What a repair decided, in sums over the zones that it rebuilt. */
struct pfa_repair {
	size_t size;          /**< sizeof(struct pfa_repair) as the library knows it */
	size_t zones;         /**< zones that were rebuilt */
	size_t kept_blocks;   /**< allocated blocks that stay their owners' as they were */
	size_t changed_blocks;/**< allocated blocks whose order or first byte was put right from the TAIL bytes (level 2) */
	size_t uncached;      /**< cached and quarantined blocks that went back to their zones */
	size_t given_up;      /**< frames that became bad since nobody can say whose they are */
	size_t free;          /**< frames on offer afterwards */
	size_t retyped;       /**< pageblocks whose type was put right, or guessed */
};

/**
 * Rebuilds, in each zone in which damage was met or that pfa_check() would refuse, everything that can be derived: free
 * map, index, counters, routes, caches. The frame bytes are the authority: a frame is offered only if its byte says
 * nothing, no block covers it and the free map says so too, or if its cached block is in a slot and says so. What may be
 * somebody's is never offered; what nobody can be proven to own becomes bad. Zones without damage are not touched.
 * lib/docs/repair.md has the rules. Caches of a repaired zone are empty afterwards.
 * @param flags  PFA_REPAIR_*
 * @param out    NULL, or told what was decided
 * @return PFA_OK: no zone refuses any more; PFA_EINVAL: flags; PFA_EBUSY: a lock was busy on a platform that cannot
 *         wait (zones before it are repaired).
 * @context other threads may go on, unless the instance's locks themselves are damaged; an owner's free of a block whose
 *          own bytes are damaged may be refused while they are put right. Holds all cache locks and one zone lock.
 * @cost O(frames) under those locks, about ten times pfa_check().
 */
PFA_NODISCARD PFA_API int pfa_repair(struct pfa *pfa, unsigned flags, struct pfa_repair *out);
/* ---- history ----------------------------------------------------------------------------------------------------- */

/** What happened to a block. */
enum pfa_event_op {
	PFA_EVENT_NONE = 0,
	PFA_EVENT_ALLOC, /**< granted, by any of the functions that do */
	PFA_EVENT_FREE,  /**< given back, by any of the functions that do */
	PFA_EVENT_SPLIT, /**< it came to be by pfa_split() of a larger one */
	PFA_EVENT_BAD,   /**< taken out of use, while nobody had it: by pfa_mark_bad(); or since its content was written to
	                  *   after its free; or it was a guard that platform.guard could not make accessible again */
	PFA_EVENT_OPS
};

/** One event. An instance with config.history keeps that many of each frame: those of the blocks that began there. */
struct pfa_event {
	size_t number;        /**< 1 is the instance's first event; grows with time; wraps with size_t */
	pfa_pfn pfn;          /**< the block's first frame */
	enum pfa_event_op op;
	unsigned order;       /**< the block's order */
	uint32_t tag;         /**< what platform.tag said; 0 without it */
	uint32_t thread;      /**< what platform.self said, modulo 2^23; 1 without it */
};

#define PFA_HISTORY_LIMIT 16u /**< largest config.history */

/**
 * The last events of a frame, the newest first: of all blocks that it was in, whether they began there or before it. Events
 * of a block that began elsewhere are there as long as that frame still has them.
 * @param out, max, out_nr  room for max events; *out_nr were filled in
 * @return PFA_OK (*out_nr may be 0); PFA_ERANGE: pfn in no zone; PFA_ENOTSUP: config.history is 0.
 * @context any, also signal handlers and platform.fatal: no lock, no op is called. What other threads do meanwhile is seen
 *          or not; an event that is just being written is left out. @cost O(max_order x config.history x max).
 */
PFA_NODISCARD PFA_API int pfa_history(const struct pfa *pfa, pfa_pfn pfn, struct pfa_event out[], size_t max,
                                      size_t *out_nr);

/**
 * Text of an event: "#12 freed, order 3, pfn 128, thread 1, tag 42".
 * @param out, room  room >= 1 bytes; the text is cut to fit and always ends with a zero
 * @return the text's length. @context any, also signal handlers.
 */
PFA_API size_t pfa_event_text(const struct pfa_event *event, char out[], size_t room);

/**
 * Text of a frame's state, from the frame bytes alone: "pfn 130: in an allocated block (pfn 128, order 3)".
 * @return the text's length; out and room as in pfa_event_text().
 * @context any, also signal handlers: no lock is taken, so that pfa_frame_info() is the better question while the
 *          process is well. @cost O(max_order).
 */
PFA_API size_t pfa_frame_text(const struct pfa *pfa, pfa_pfn pfn, char out[], size_t room);

#define PFA_TRACE_DEPTH 16u /**< most return addresses of a backtrace */

/**
 * The backtrace of an event. Every 2^config.trace_shift-th event of the instance has one, and the last config.nr_traces
 * of these are kept.
 * @param number  of the event
 * @param out, max, out_nr  room for max addresses, innermost first; *out_nr were filled in
 * @return PFA_OK; PFA_ERANGE: that event has none, or no longer; PFA_ENOTSUP: config.nr_traces is 0.
 * @context as pfa_history(). @cost O(max).
 */
PFA_NODISCARD PFA_API int pfa_trace(const struct pfa *pfa, size_t number, uintptr_t out[], size_t max, size_t *out_nr);

/* ---- handles ----------------------------------------------------------------------------------------------------- */

/** An allocated block as it was at one time: a later block at the same place has another generation. */
struct pfa_handle {
	pfa_pfn pfn;
	uint32_t generation;
	uint32_t order;
};

/**
 * pfa_alloc() with a handle as result.
 * @return as pfa_alloc() (whose name faults bear); PFA_ENOTSUP also without PFA_CONFIG_GENERATIONS.
 * @context, @cost as pfa_alloc().
 */
PFA_NODISCARD PFA_API int pfa_alloc_checked(struct pfa *pfa, unsigned order, uint32_t flags, struct pfa_handle *out);

/**
 * The handle of a block that the caller owns, however it was got: as long as it is neither freed nor split.
 * @return PFA_OK; PFA_EMISUSE: not such a block, faults as of pfa_free(); PFA_ENOTSUP: without PFA_CONFIG_GENERATIONS.
 * @context no lock. @cost O(1).
 */
PFA_NODISCARD PFA_API int pfa_handle_of(struct pfa *pfa, pfa_pfn pfn, unsigned order, struct pfa_handle *out);

/**
 * pfa_free() of exactly the block that the handle was made for. A stale handle is refused (PFA_FAULT_STALE_HANDLE) also
 * where its frames have been granted again meanwhile, and does not disturb the new owner in the least: a free by that
 * owner at the same moment succeeds. A frame's generations repeat after 2^31 blocks that began there.
 * @return as pfa_free(); PFA_ENOTSUP: without PFA_CONFIG_GENERATIONS.
 * @context, @cost as pfa_free().
 */
PFA_NODISCARD PFA_API int pfa_free_checked(struct pfa *pfa, const struct pfa_handle *handle);

/* ---- fork ------------------------------------------------------------------------------------------------------ */

/*
 * A process that forks while other threads are inside libpfa would leave its child locks that nobody gives up. These three
 * are the handlers of pthread_atfork() and its like; platform/posix installs them: pfa_posix_fork_safe().
 *
 * What the child finds: the parent's instance as of the fork, with all locks free, in memory of its own. Every invariant
 * holds. What other threads were about is not finished, since they do not exist in the child:
 * - a block that such a thread was being granted is allocated, and nobody knows of it;
 * - a block that it was freeing past the caches, or splitting, stays PFA_FRAME_FREEING: a free of it is refused, pfa_check()
 *   with PFA_CHECK_QUIESCENT names it. It counts as allocated, and pfa_fini() answers PFA_EBUSY, until pfa_repair();
 * - a piece of pfa_service() begins again.
 *
 * Movable blocks (movable.h). If another thread was moving blocks (pfa_migrate(), pfa_compact(), a request with PFA_COMPACT, compaction in
 * pfa_service()) or was in platform.low_memory, the child's instance is closed as below: ops were half-way. Else:
 * - page locks are free, also those of the thread that forked; pins are there, and are undone by pfa_unpin() as ever;
 * - a block that another thread was freeing, or had freed with its page lock held, stays released and allocated; one that was just being
 *   made movable or ordinary is PFA_FRAME_FREEING. pfa_owner_destroy() of their owner answers PFA_EBUSY;
 * - the content is what the other thread had written so far, under its page lock;
 * - locks of an owner's own are the owner's affair. Those that ship (balloon.h, zstore.h, mapped.h) are not to be used in a child, nor
 *   their blocks to be moved there but in async mode, in which no op waits: no PFA_COMPACT, no balloon in platform.low_memory.
 *   pfa_service() moves in async mode only.
 *
 * Where parent and child share the frames themselves (a pool in a memfd, a device), only one of them can go on: shared
 * makes that the parent. Every function then answers PFA_ENOTSUP in the child, pfa_fini() too, and nothing is told or
 * changed; the memory may be unmapped.
 */

/**
 * Takes all locks, in the order of their ranks, and returns with them held.
 * @return PFA_OK; PFA_EBUSY: a lock was busy on a platform that cannot wait, nothing is held; PFA_ENOTSUP, PFA_EMISUSE as every
 *         function (pfa.h, "closed"): nothing is held.
 * @context before fork(), by the thread that forks; not from an op or a hook that is called with locks held. Waits for other
 *          threads' critical sections. @cost O(cpus + zones).
 */
PFA_NODISCARD PFA_API int pfa_fork_prepare(struct pfa *pfa);

/** Gives the locks back. @context after fork(), in the parent, or where it failed; the thread that prepared. */
PFA_API void pfa_fork_parent(struct pfa *pfa);

/** Makes all locks free. @param shared  the frames are the parent's: the instance answers PFA_ENOTSUP from now on.
 *  @context after fork(), in the child, before any other call. @cost O(cpus + zones). */
PFA_API void pfa_fork_child(struct pfa *pfa, bool shared);

#ifdef __cplusplus
}
#endif
#endif
