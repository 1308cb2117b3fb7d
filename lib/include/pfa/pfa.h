/* SPDX-License-Identifier: MIT
 *
 * pfa/pfa.h - libpfa: a hardened page-frame allocator. Allocation, free, caches, queries, service.
 *
 * Common to all functions here. pfa must be an initialised instance and out pointers must be valid (not checked in
 * the functions that say @hot). Any number of threads may call concurrently, unless stated. No function calls
 * malloc. Misuse is told to platform.fatal and, under policy REPORT, returned as PFA_EMISUSE with nothing changed.
 * "ECORRUPT" is returned by everything that meets damaged metadata, and by every request that could only be served
 * from a zone in which damage was met. PFA_EBUSY, with nothing changed, is returned besides what is listed by everything
 * that takes a lock, where the lock is busy and the platform cannot wait (platform/single, entered from an interrupt).
 *
 * Inside an owner's op (movable.h), pfa_fini(), pfa_service(), the calls on caches and pfa_mark_bad() return PFA_EDEADLK;
 * so does pfa_fini() as long as a walk runs (walk.h), and so do pfa_fini() and pfa_service() inside a reporting device (report.h).
 *
 * An instance is closed by pfa_fini(), and in the child of a fork() where its frames are the parent's (harden.h). Every
 * function that returns a code then answers, and does nothing else: PFA_EMISUSE (PFA_FAULT_ENDED) after pfa_fini(), as
 * long as the caller has left the memory alone; PFA_ENOTSUP in such a child. This is not repeated below. (pfa_history()
 * and pfa_trace(), for reports, go on to work.)
 */
#ifndef PFA_PFA_H
#define PFA_PFA_H

#include <pfa/config.h>
#include <pfa/platform.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFA_VERSION_MAJOR 0
#define PFA_VERSION_MINOR 1
#define PFA_VERSION_PATCH 0

/** The library's version as (major << 16 | minor << 8 | patch). */
PFA_API uint32_t pfa_version(void);

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/**
 * Takes one block. @hot
 * A plain request (type only) first takes what this cpu's cache holds of the zone that served last. Else
 * zones are tried in order, each first above its low mark, then above its min mark; within a zone the request's own type first (MOVABLE: then CMA; HIGH: then HIGHATOMIC), then the fallback policy of lib/docs/architecture.md.
 * Before it fails it drains the caches, gives up the HIGHATOMIC reserve, and asks platform.low_memory (without a lock).
 * @param order  0 .. max_order
 * @param flags  type | PFA_ZERO | _NOWAIT | _HIGH | _COMPACT | _NORETRY | _EXACT_ZONE | PFA_ZONE(n)
 * @param out    the block's first pfn, a multiple of 2^order
 * @return PFA_OK; PFA_ENOMEM; PFA_EAGAIN (only with NOWAIT or NORETRY); PFA_EINVAL: order, type, flags or zone;
 *         PFA_ENOTSUP: PFA_ZERO without a way to zero; PFA_ECORRUPT.
 * @context takes a cpu's cache lock and at most one zone lock; waits for other threads' short critical sections
 *          (not for other cpus' caches with NOWAIT). Zeroing happens without locks.
 * @cost from the cache O(1); a refill O(batch); a failure O(zones) unless caches must be drained.
 */
PFA_NODISCARD PFA_API int pfa_alloc(struct pfa *pfa, unsigned order, uint32_t flags, pfa_pfn *out);

/**
 * Gives one block back. @hot
 * @param pfn, order  as allocated (or as pfa_split() left it); the recorded order is compared, not trusted
 * @return PFA_OK; PFA_EMISUSE: one of the free faults of platform.h, nothing changed; PFA_ECORRUPT: damage was met, and whether
 *         the block went back is open: the caller has no part in it any more, as if freed. pfa_repair() decides.
 *         Of concurrent frees of one block exactly one succeeds.
 * @context as pfa_alloc(). @cost into the cache O(1); a flush O(batch).
 */
PFA_NODISCARD PFA_API int pfa_free(struct pfa *pfa, pfa_pfn pfn, unsigned order);

/**
 * Takes up to nr blocks of one order.
 * @param out, out_nr  the blocks, and how many: out[0 .. *out_nr) are the caller's whatever is returned
 * @return PFA_OK: all nr (also for nr == 0); PFA_ENOMEM, PFA_EAGAIN, PFA_ECORRUPT: fewer; PFA_EINVAL, PFA_ENOTSUP: none.
 * @context as pfa_alloc(). @cost O(nr) with one cache lock for many blocks.
 */
PFA_NODISCARD PFA_API int pfa_alloc_bulk(struct pfa *pfa, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[],
                                         size_t *out_nr);

/**
 * Gives back pfns[0 .. nr), all of one order, in this order, and stops at the first refusal.
 * @param out_nr  how many were freed; pfns[*out_nr] is the offender unless all were
 * @return PFA_OK: all; PFA_EMISUSE, PFA_ECORRUPT as pfa_free() for pfns[*out_nr].
 * @context as pfa_free(). @cost O(nr).
 */
PFA_NODISCARD PFA_API int pfa_free_bulk(struct pfa *pfa, unsigned order, size_t nr, const pfa_pfn pfns[],
                                        size_t *out_nr);

/**
 * Takes exactly nr_frames contiguous frames as order-0 blocks, freed one by one, in any grouping with
 * pfa_free_range(). A block of order max(ceil(log2 nr), align_order) is taken and its tail given back at once.
 * @param nr_frames    1 .. 2^max_order
 * @param align_order  0 .. max_order: *out is a multiple of 2^align_order (at least)
 * @return as pfa_alloc(); PFA_EINVAL also for nr_frames or align_order.
 * @context one zone lock at a time; before it fails, also the caches' locks, as pfa_alloc(). @cost O(nr_frames) byte writes.
 */
PFA_NODISCARD PFA_API int pfa_alloc_exact(struct pfa *pfa, size_t nr_frames, unsigned align_order, uint32_t flags,
                                          pfa_pfn *out);

/**
 * Takes one block that lies wholly in [window.first, window.first + window.nr_frames). Slow path: caches are not
 * used, but are drained before a failure, as in pfa_alloc().
 * @return as pfa_alloc(); PFA_EINVAL also for a window that is empty or overflows.
 * @context as pfa_alloc(). @cost bounded: O(zones x types x orders) index look-ups, independent of the zone's size.
 */
PFA_NODISCARD PFA_API int pfa_alloc_window(struct pfa *pfa, unsigned order, uint32_t flags, struct pfa_run window,
                                           pfa_pfn *out);

/**
 * Turns one allocated block into 2^(order - new_order) allocated blocks of new_order, freed one by one.
 * @return PFA_OK; PFA_EINVAL: new_order > order; PFA_EMISUSE: not such a block, as pfa_free();
 *         PFA_ECORRUPT: from level 2 on, the block's inside is damaged; nothing changed.
 * @context no lock. @cost O(2^(order - new_order)).
 */
PFA_NODISCARD PFA_API int pfa_split(struct pfa *pfa, pfa_pfn pfn, unsigned order, unsigned new_order);

/**
 * Gives back every block in [first, first + nr_frames): all or nothing. The range must be tiled exactly by allocated
 * blocks of any orders, and may cross pageblocks and adjacent zones, but no hole.
 * A concurrent free of one of these blocks (misuse) loses, even where this call then refuses because of another.
 * @return PFA_OK; PFA_EINVAL: nr_frames == 0 or overflow; PFA_EMISUSE: nothing changed; PFA_ECORRUPT.
 * @context zone locks one at a time. @cost O(nr_frames).
 */
PFA_NODISCARD PFA_API int pfa_free_range(struct pfa *pfa, pfa_pfn first, size_t nr_frames);

/* ---- pointers -------------------------------------------------------------------------------------------------- */

/**
 * Address of a frame.
 * @return PFA_OK; PFA_ERANGE: pfn in no zone; PFA_ENOTSUP: no pool.
 * @context no lock; also signal handlers. @cost O(zones). Says nothing about the frame's state.
 */
PFA_NODISCARD PFA_API int pfa_ptr(const struct pfa *pfa, pfa_pfn pfn, void **out);

/**
 * The frame at an address (which may point inside the frame).
 * @return PFA_OK; PFA_ERANGE: not in this instance's zones; PFA_ENOTSUP: no pool.
 */
PFA_NODISCARD PFA_API int pfa_pfn_of(const struct pfa *pfa, const void *ptr, pfa_pfn *out);

/** pfa_alloc() with an address as result. @return as pfa_alloc(); PFA_ENOTSUP: no pool. */
PFA_NODISCARD PFA_API int pfa_alloc_ptr(struct pfa *pfa, unsigned order, uint32_t flags, void **out);

/** pfa_free() by the address that pfa_alloc_ptr() gave; faults of the free itself name pfa_free. @return as pfa_free();
 *  PFA_EMISUSE (FOREIGN_POINTER) for an address outside the pool's zones or not at a frame's start; PFA_ENOTSUP: no pool. */
PFA_NODISCARD PFA_API int pfa_free_ptr(struct pfa *pfa, void *ptr, unsigned order);

/* ---- queries, without side effect ------------------------------------------------------------------------------- */

/**
 * The largest order that a request with these flags could get now. Counts the zones and, for orders that it caches,
 * the calling cpu's cache; other cpus' caches do not count. A hint as soon as it is returned.
 * @return PFA_OK; PFA_ENOMEM: not even order 0; PFA_EINVAL: flags; PFA_ECORRUPT.
 * @context takes each eligible zone's lock in turn, and tries this cpu's cache lock. @cost O(zones x types).
 */
PFA_NODISCARD PFA_API int pfa_largest_free(struct pfa *pfa, uint32_t flags, unsigned *out_order);

/**
 * Would pfa_alloc(order, flags) succeed now, without draining any cache or releasing the HIGHATOMIC reserve?
 * @return PFA_OK: yes; PFA_ENOMEM: no (a plain request may still succeed by draining); PFA_EINVAL; PFA_ENOTSUP;
 *         PFA_ECORRUPT. @context, @cost as pfa_largest_free().
 */
PFA_NODISCARD PFA_API int pfa_would_succeed(struct pfa *pfa, unsigned order, uint32_t flags);

/* ---- per-CPU caches --------------------------------------------------------------------------------------------- */

/**
 * Gives every cached block of a cpu back to its zone.
 * @param cpu  0 .. nr_cpus-1 or PFA_ALL_CPUS
 * @return PFA_OK; PFA_EINVAL: cpu; PFA_ECORRUPT; PFA_EBUSY: a lock was busy on a platform that cannot wait.
 * @context takes the cpus' cache locks one at a time and zone locks; waits. @cost O(blocks cached).
 */
PFA_NODISCARD PFA_API int pfa_cache_drain(struct pfa *pfa, uint32_t cpu);

/**
 * Gives back, from every cpu's cache, the blocks that overlap the pageblock of pfn.
 * @return PFA_OK; PFA_ERANGE: pfn in no zone; PFA_ECORRUPT; PFA_EBUSY as pfa_cache_drain().
 * @context as pfa_cache_drain(). @cost O(blocks cached).
 */
PFA_NODISCARD PFA_API int pfa_cache_purge(struct pfa *pfa, pfa_pfn pfn);

/**
 * Drains all caches and keeps them empty until pfa_cache_enable() has been called as often. Nests (2^16 deep).
 * @return PFA_OK; PFA_EAGAIN: nested too deep; PFA_EBUSY, PFA_ECORRUPT as pfa_cache_drain() (not disabled then).
 */
PFA_NODISCARD PFA_API int pfa_cache_disable(struct pfa *pfa);

/** @return PFA_OK; PFA_EINVAL: not disabled; PFA_EBUSY as pfa_cache_drain(). */
PFA_NODISCARD PFA_API int pfa_cache_enable(struct pfa *pfa);

/* ---- background work -------------------------------------------------------------------------------------------- */

/**
 * One bounded piece of background work. Call it from any thread, now and then. Today's work: the cache of a cpu that
 * has done nothing since it was last visited (threads that went away) is drained, one cpu a step; visits to one cpu are
 * at least PFA_SERVICE_IDLE_NS apart by the platform's clock. From hardening level 2 on each call also scrubs: the next
 * PFA_SCRUB_PAGEBLOCKS pageblocks of a round over all zones are checked as by pfa_check_range(); damage is told, and the zone
 * refuses until pfa_repair(). That has no influence on *out_next_ns: call as often as damage is to be found early.
 * @param budget_steps  >= 1
 * @param out_next_ns   NULL, or when to call again (platform clock; UINT64_MAX: no need)
 * @return PFA_OK: idle until *out_next_ns; PFA_EAGAIN: more to do now; PFA_EBUSY: another thread serves;
 *         PFA_EINVAL: budget_steps == 0; PFA_ECORRUPT.
 * @context as pfa_cache_drain(); scrubbing also locks all caches at once. @cost O(budget x blocks of one cpu's cache); for
 *          scrubbing O(frames of PFA_SCRUB_PAGEBLOCKS pageblocks), all under these locks and one zone's.
 */
PFA_NODISCARD PFA_API int pfa_service(struct pfa *pfa, unsigned budget_steps, uint64_t *out_next_ns);
#define PFA_SERVICE_IDLE_NS 1000000000u
#define PFA_SCRUB_PAGEBLOCKS 2u /* a call: few, since everybody waits meanwhile */

#ifdef __cplusplus
}
#endif
#endif
