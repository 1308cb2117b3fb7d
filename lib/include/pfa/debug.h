/* SPDX-License-Identifier: MIT
 *
 * pfa/debug.h - the checker, and read-only views for tests and harnesses.
 */
#ifndef PFA_DEBUG_H
#define PFA_DEBUG_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** State of one frame, from its frame byte and the free map. */
enum pfa_frame_state {
	PFA_FRAME_FREE = 0,
	PFA_FRAME_HEAD,        /**< first frame of an allocated block */
	PFA_FRAME_TAIL,        /**< another frame of an allocated, cached or held block */
	PFA_FRAME_CACHED,      /**< first frame of a block in a per-CPU cache */
	PFA_FRAME_ABSENT,      /**< hole, or no zone */
	PFA_FRAME_OFFLINE,
	PFA_FRAME_BAD,
	PFA_FRAME_HELD_REPORT,
	PFA_FRAME_HELD_MOVE,
	PFA_FRAME_QUARANTINE,
	PFA_FRAME_FREEING,     /**< a free or split of this block is in flight */
	PFA_FRAME_GUARD,       /**< guards the block before or after it (PFA_GUARD) */
	PFA_FRAME_STATES
};

struct pfa_frame_info {
	enum pfa_frame_state state;
	unsigned order;           /**< of the block, for HEAD, CACHED, HELD_*, QUARANTINE; else 0 */
	unsigned zone;            /**< zone index; PFA_ZONES_LIMIT for none */
	enum pfa_type type;       /**< effective type of the pageblock; MOVABLE where there is no zone */
	bool known_zero;          /**< free and known to be zero */
	bool reported;            /**< free, and known to the reporting device (report.h) */
};

/** @return PFA_OK (also for a pfn in no zone: ABSENT); PFA_EBUSY: lock busy on a platform that cannot wait.
 *  @context takes the zone's lock. @cost O(zones + orders). */
PFA_NODISCARD PFA_API int pfa_frame_info(struct pfa *pfa, pfa_pfn pfn, struct pfa_frame_info *out);

struct pfa_pageblock_info {
	enum pfa_type type;       /**< own type, also while held */
	uint32_t holder;          /**< 0: not held */
	size_t present, free;     /**< frames of this zone in this pageblock */
};

/** The pageblock of pfn as its zone sees it. @return PFA_OK; PFA_ERANGE: pfn in no zone; PFA_EBUSY as above. */
PFA_NODISCARD PFA_API int pfa_pageblock_info(struct pfa *pfa, pfa_pfn pfn, struct pfa_pageblock_info *out);

/** The first invariant found broken. */
struct pfa_violation {
	unsigned invariant;   /**< 1..15 as in lib/docs/invariants.md; 0: none */
	unsigned zone;
	pfa_pfn pfn;          /**< where, if it has a place; else the zone's start */
	size_t expected, actual;
	const char *what;     /**< "I6 free count", static text */
};

#define PFA_CHECK_QUIESCENT (1u << 0) /**< no other call is in flight: also nothing may be half-way */
#define PFA_CHECK_FRAMES (1u << 1)    /**< also every frame byte; without it maps, index, counters and caches only */

/**
 * Re-derives everything from the free map and the frame bytes, zone by zone, and names the first broken invariant.
 * Locks what it reads; without PFA_CHECK_QUIESCENT other threads may go on.
 * @return PFA_OK: *out is {0}; PFA_ECORRUPT: *out says what; PFA_EINVAL: unknown level; PFA_EBUSY as above. Never calls fatal.
 * @context holds all cache locks and one zone lock for O(frames) time. @cost about 1 ns a frame with FRAMES.
 */
PFA_NODISCARD PFA_API int pfa_check(struct pfa *pfa, unsigned level, struct pfa_violation *out);

/** pfa_check() for the zone and pageblocks of one run only: index, maps and bytes there, and that zone's counters where
 *  they need no walk. @return as pfa_check(); PFA_ERANGE: no zone. @cost O(pageblocks touched). */
PFA_NODISCARD PFA_API int pfa_check_range(struct pfa *pfa, struct pfa_run run, unsigned level,
                                          struct pfa_violation *out);

/** Called with the zone's lock held, just before each release of it. Leaf: it may only read. NULL takes it away.
 *  @context set it before threads use the instance, and before what is sealed is made read-only. */
PFA_API void pfa_debug_on_unlock(struct pfa *pfa, void (*hook)(void *ctx, struct pfa *pfa, unsigned zone), void *ctx);

/** An array of the metadata. */
struct pfa_region {
	const char *name;  /**< "root", "frame_bytes"; zones have their own of some names */
	const void *start;
	size_t bytes;      /**< >= 1; not padded: see config.guard_bytes */
	bool sealed;       /**< never written after pfa_init(), not even by pfa_fini(): may be made read-only */
};

/** Where the metadata lies: calls visit for each array, in the order of the addresses. Together they are all of it. Goes on
 *  to work after pfa_fini(), while the memory is there. @context any; visit may not call this instance. @cost O(zones). */
PFA_API void pfa_regions(const struct pfa *pfa, void (*visit)(void *ctx, const struct pfa_region *region), void *ctx);

/** As pfa_regions(), without the kind, for tools that dump or corrupt it: locks are regions of their own, named "lock", since
 *  nobody can wait for what is damaged there. "root" and "zones" are sealed. @context any. */
PFA_API void pfa_debug_regions(const struct pfa *pfa,
                               void (*visit)(void *ctx, const char *name, const void *start, size_t bytes), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
