/* SPDX-License-Identifier: MIT
 *
 * pfa/stats.h - counters, the conservation law, and text.
 */
#ifndef PFA_STATS_H
#define PFA_STATS_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Per-zone statistics, one X(name, meaning) a field; all size_t, in frames unless said otherwise. Fields are only ever
 * appended. The conservation law, exact at every snapshot (pfa_stats_get() stops each zone while it reads):
 *
 *   free + free_isolated + cached + allocated + held_report + held_move + quarantined + bad == present
 *
 * Each summand has a counter of its own: "allocated" is the sum of what each cpu and each direct grant counted, not
 * what is left over.
 */
#define PFA_ZONE_STATS(X)                                                                                           \
	X(present, "frames of the zone that are neither holes nor offline")                                         \
	X(free, "free and on offer")                                                                                \
	X(free_isolated, "free in held pageblocks: not on offer")                                                   \
	X(cached, "in per-CPU caches")                                                                              \
	X(allocated, "allocated")                                                                                   \
	X(held_report, "with the reporter")                                                                         \
	X(held_move, "held for migration or a range")                                                               \
	X(quarantined, "in quarantine")                                                                             \
	X(bad, "marked bad")                                                                                        \
	X(free_cma, "free in CMA pageblocks (part of free)")                                                        \
	X(free_highatomic, "free in HIGHATOMIC pageblocks (part of free)")                                          \
	X(reserved_highatomic, "frames of HIGHATOMIC pageblocks, free or not")                                      \
	X(mark_min, "watermark")                                                                                    \
	X(mark_low, "watermark")                                                                                    \
	X(mark_high, "watermark")                                                                                   \
	X(nr_refill, "events: a cache was filled from the zone")                                                    \
	X(nr_flush, "events: a cache gave blocks back")                                                             \
	X(nr_direct, "events: a block was taken past the caches")                                                   \
	X(nr_claim, "events: an entirely free pageblock changed type for a request")                                \
	X(nr_steal, "events: a pageblock, half free at least, changed type for a request")                                   \
	X(nr_borrow, "events: a block was taken from another type without changing it")                             \
	X(nr_reserve, "events: a pageblock became HIGHATOMIC")                                                      \
	X(nr_unreserve, "events: a HIGHATOMIC pageblock was given up")                                              \
	X(max_lock_steps, "longest loop under the zone lock, in steps")                                             \
	X(movable, "in movable blocks (part of allocated; a destination in use counts already)")                    \
	X(isolated, "in movable blocks that a mover has isolated (part of movable)")                                \
	X(nr_migrated, "events: a block was moved out of this zone")                                                \
	X(nr_putback, "events: an isolated block was put back")                                                     \
	X(nr_released, "events: a movable block was freed while it was isolated, locked or pinned")                 \
	X(nr_again, "events: an owner said that a move should be tried again")                                     \
	X(nr_compact_scanned, "frames that compaction's migrate scanner looked at")                                 \
	X(nr_compact_moved, "frames that compaction moved")                                                         \
	X(nr_compact_failed, "frames that compaction wanted to move and could not")                                 \
	X(nr_compact_steps, "steps of compaction")                                                                  \
	X(held_pageblocks, "pageblocks that are held (pfa/contig.h): a count of pageblocks, not of frames")             \
	X(reported, "free and known to the reporting device (part of free and free_isolated)")                      \
	X(unreported, "free and not known to it; without a device all that is free")                                \
	X(nr_reported, "frames that the device was told of")                                                        \
	X(nr_report_batches, "events: the device was told of a batch")                                              \
	X(nr_report_errors, "events: the device did not take a batch, or not all of it")                            \
	X(nr_report_steps, "units of the device's min_order that passes looked at")                                 \
	X(offline, "offline (pfa/hotplug.h): not part of present")

struct pfa_zone_stats {
#define PFA_X(name, meaning) size_t name;
	PFA_ZONE_STATS(PFA_X)
#undef PFA_X
};

/** Instance-wide events. Same rules. */
#define PFA_INSTANCE_STATS(X)                                                                                       \
	X(nr_zones, "zones")                                                                                        \
	X(nr_cpus, "per-CPU caches")                                                                                \
	X(nr_fail, "events: requests refused with ENOMEM or EAGAIN after a full try")                               \
	X(nr_drain, "events: a cpu's cache was drained")                                                            \
	X(nr_misuse, "events: misuse refused")                                                                      \
	X(nr_corrupt, "events: corruption met")                                                                     \
	X(nr_zeroed, "frames zeroed for PFA_ZERO")                                                                  \
	X(nr_zero_skipped, "frames known to be zero and not zeroed again")                                          \
	X(nr_owners, "owners registered")

struct pfa_stats {
#define PFA_X(name, meaning) size_t name;
	PFA_INSTANCE_STATS(PFA_X)
#undef PFA_X
};

/** Instance-wide events. @return PFA_OK; PFA_EINVAL: size is no known size of the struct. @context no lock;
 *  also signal handlers. */
PFA_NODISCARD PFA_API int pfa_stats_get(struct pfa *pfa, struct pfa_stats *out, size_t size);

/**
 * A consistent snapshot of one zone.
 * @param size  sizeof(struct pfa_zone_stats) as the caller knows it (an older, shorter one is filled as far as it goes)
 * @return PFA_OK; PFA_EINVAL: zone or size; PFA_EBUSY: a lock was busy on a platform that cannot wait.
 * @context takes all cache locks and the zone's lock at once. @cost O(cpus x slots).
 */
PFA_NODISCARD PFA_API int pfa_zone_stats_get(struct pfa *pfa, unsigned zone, struct pfa_zone_stats *out, size_t size);

/** What pfa_print() writes. */
enum pfa_print_what {
	PFA_PRINT_BUDDYINFO = 0,    /**< free blocks per order, in the format of /proc/buddyinfo */
	PFA_PRINT_PAGETYPEINFO = 1, /**< free blocks per type and order, and pageblocks per type, as /proc/pagetypeinfo */
	PFA_PRINT_JSON = 2,         /**< all statistics: {"schema":"pfa-stats/1", ...}, one line */
	PFA_PRINT_MAP = 3,          /**< one character a pageblock, 64 a line; the legend is the first line */
	/** Allocated blocks by tag, ascending, one line each: "tag 42: 3 blocks, 17 frames; oldest: #12 allocated, order 3, pfn
	 *  128, thread 1, tag 42". The oldest is the one with the smallest number. Without config.history there are no tags:
	 *  "3 blocks, 17 frames; first: pfn 128, order 3". Takes no lock: blocks that come and go meanwhile may be missed.
	 *  Cost: O(frames) for every 16 tags. */
	PFA_PRINT_LIVE = 4,
	PFA_PRINT_WHATS
};

/**
 * Writes text through write(ctx, bytes, nr), in pieces of at most 128 bytes, no terminating zero.
 * @return PFA_OK; PFA_EINVAL: what or write; PFA_EBUSY as pfa_zone_stats_get().
 * @context no lock is held while write is called (it may allocate and free); figures of different zones are from
 *          different instants. Counting free blocks holds a zone's lock for at most 64 pageblocks at a time.
 * @cost O(frames / word size) for the first two and the map.
 */
PFA_NODISCARD PFA_API int pfa_print(struct pfa *pfa, enum pfa_print_what what,
                                    void (*write)(void *ctx, const char *bytes, size_t nr), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
