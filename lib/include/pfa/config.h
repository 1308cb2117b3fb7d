/* SPDX-License-Identifier: MIT
 *
 * pfa/config.h - what an instance is made of, and how it is made: size query -> caller's memory -> init.
 *
 * Structs begin with their size and may grow; zero means default in every field; a longer struct than this library
 * knows is accepted only if its unknown tail is zero. The configuration is read during the call and not kept, except
 * for the platform's ops (copied) and the names (pointers).
 */
#ifndef PFA_CONFIG_H
#define PFA_CONFIG_H

#include <pfa/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One zone: frames [start, start + nr_frames) less its holes. Zones must not overlap; they may share a pageblock. */
struct pfa_zone_config {
	size_t size;                  /**< sizeof(struct pfa_zone_config); equal in all zones, it is the array's stride */
	const char *name;             /**< for printing; NULL: "zoneN"; must outlive the instance */
	pfa_pfn start;                /**< any pfn; the zone's end must stay 2^32 (32-bit targets: 2^31) below SIZE_MAX */
	size_t nr_frames;             /**< >= 1 */
	const struct pfa_run *holes;  /**< absent frames: inside the zone, ascending, not overlapping, not empty */
	size_t nr_holes;
	const struct pfa_run *cma;    /**< CMA areas: whole pageblocks without holes, ascending, not overlapping */
	size_t nr_cma;
	/** Watermarks in frames, min <= low <= high <= PTRDIFF_MAX. A grant leaves at least min free frames (low while another zone can
	 *  serve the request); PFA_HIGH requests min/2. high is where background work stops. Default 0. */
	size_t mark_min, mark_low, mark_high;
	/** Most frames that may be reserved as HIGHATOMIC pageblocks, rounded down to whole pageblocks. Default 0: none. */
	size_t highatomic_frames;
};

/** What happens on misuse and corruption, after platform.fatal was told. */
enum pfa_fatal_policy {
	PFA_FATAL_ABORT = 0, /**< trap */
	PFA_FATAL_REPORT = 1 /**< misuse: PFA_EMISUSE, nothing changed. Corruption: PFA_ECORRUPT, that zone refuses */
};

/** What happens to the content of freed frames (hardening level 3, lib/docs/hardening.md). A line is 64 bytes, and there is one
 *  for each 4 KiB of a frame (one at least), at a place that only the instance's key tells. */
enum pfa_poison {
	PFA_POISON_DEFAULT = 0, /**< at level 3 with an addressable pool ZERO, else NONE */
	PFA_POISON_NONE = 1,    /**< it is left alone; frames may be untouchable */
	PFA_POISON_LINES = 2,   /**< the frame's lines are overwritten with a keyed pattern, and verified when it is granted */
	PFA_POISON_ALL = 3,     /**< so is every byte */
	/** It is zeroed, and its lines are verified when it is granted: every byte for PFA_ZERO, which then zeroes no more. */
	PFA_POISON_ZERO = 4
};

#define PFA_CONFIG_ZEROED_META (1u << 0) /**< the memory given to pfa_init() is all zero: init touches only what is not */
#define PFA_CONFIG_ZEROED_POOL (1u << 1) /**< fresh frames read as zero: track it, PFA_ZERO does not zero them again */
#define PFA_CONFIG_TRACK_ZERO (1u << 2)  /**< track known-zero frames though the pool is not zero at init */
#define PFA_CONFIG_GENERATIONS (1u << 3) /**< handles that go stale (pfa/harden.h), for 4 bytes a frame */
/** Builds with AddressSanitizer: frames that are not granted are poisoned in its shadow, where the pool is addressable and
 *  at most PFA_SHADOW_LIMIT bytes long. This flag: the shadow is left alone. Other builds ignore it. */
#define PFA_CONFIG_NO_SHADOW (1u << 4)
/** Room for a reporting device (pfa/report.h): a bit a frame, and a bit a leaf. A library that was compiled with
 *  -DPFA_WITHOUT_REPORTING refuses it (PFA_CONFIG_FLAGS). */
#define PFA_CONFIG_REPORTING (1u << 5)
#define PFA_SHADOW_LIMIT ((size_t)1 << 30)

struct pfa_config {
	size_t size;                            /**< sizeof(struct pfa_config) */
	const struct pfa_platform *platform;    /**< required; copied */
	const struct pfa_zone_config *zones;    /**< in order of preference */
	uint32_t nr_zones;                      /**< 1 .. PFA_ZONES_LIMIT */
	uint32_t flags;                         /**< PFA_CONFIG_* */
	uint32_t frame_shift;                   /**< log2 of the frame size in bytes, 6..30; default 12 */
	uint32_t max_order;                     /**< largest order of a block, 0..31 inclusive; default 10 */
	uint32_t pageblock_order;               /**< 6..20; may exceed max_order; default 9 */
	uint32_t nr_cpus;                       /**< per-CPU caches, 1..4096; default 1 */
	uint32_t cache_high;                    /**< blocks a cache slot may hold, 1..32767; default by zone size, 512 at most;
	                                             never over 1/32 of the zone a slot (one block of up to 1/4 of the zone,
	                                             where it is given); level 3: up to 16 blocks more, for those that leave the
	                                             quarantine at once, and 1/16; PFA_EXPLICIT_0: no caches */
	uint32_t cache_batch;                   /**< blocks moved at once between slot and zone, 1 .. (high+1)/2;
	                                             default high/2, at least 1; a larger value is cut to the bound */
	uint32_t cache_max_order;               /**< largest cached order, <= min(9, max_order), which is the default */
	enum pfa_fatal_policy fatal_policy;
	/** Offset in bytes from the thread pointer to a u32 that holds the cpu id (rseq's; pfa_posix fills it in);
	 *  0: ask platform.cpu. Only where the compiler offers a thread pointer, else EINVAL. */
	ptrdiff_t cpu_offset;
	/** The pool: address of frame pool_pfn, aligned to the frame size, pool_bytes long; must cover every zone.
	 *  NULL: frames have no addresses; only the pfn forms work. */
	void *pool;
	size_t pool_bytes;
	pfa_pfn pool_pfn;
	/** For the keys of level 3, together with platform.random. Without that op this is all there is: equal seeds then give
	 *  equal choices, which is meant for tests. */
	uint64_t seed;
	/** Hardening level, 1..3 (lib/docs/hardening.md): 1 basic, 2 moderate, 3 full. Default: PFA_HARDENING_DEFAULT as the
	 *  library was built (1). A level above PFA_HARDENING, the highest that was built in, is refused: an instance never has
	 *  less than it asked for. */
	uint32_t hardening;
	/** Events to keep of each frame (pfa/harden.h), 0 .. PFA_HISTORY_LIMIT; 16 bytes each (32-bit targets: 12). Default 0. */
	uint32_t history;
	/** Backtraces to keep of events, 0 or a power of two up to 2^20, 144 bytes each (32-bit targets: 72). Needs history and
	 *  platform.backtrace. Default 0. */
	uint32_t nr_traces;
	uint32_t trace_shift;                   /**< every 2^trace_shift-th event has a backtrace; 0..31, default 0: each one */
	/** Room for guards: 0, or a power of two of at least PFA_GUARD_BYTES_MIN, normally the system's page size. Each array
	 *  of the metadata then begins at a multiple of it, is padded to whole multiples, and has one multiple that is never
	 *  used before it and one after it, which the caller may make inaccessible, as it may make read-only what
	 *  pfa_regions() calls sealed (pfa_posix_create() does both with PFA_POSIX_GUARD). Default 0: arrays lie side by side. */
	uint32_t guard_bytes;
	/** Owners of movable blocks that may be registered at once (movable.h), 0 .. 65535. Default 0: no movable blocks, and no
	 *  owner table. Libraries built with PFA_HARDENING 0 know only 0. */
	uint32_t max_owners;
	/** Level 3: what happens to freed content. Other than DEFAULT and NONE it needs that level and a pool that is readable
	 *  and writable. LINES and ALL go neither with ZEROED_POOL nor with TRACK_ZERO. */
	enum pfa_poison poison;
	/** Level 3: blocks of any order that each cpu's quarantine holds, 1..65536: a block is granted again only after so many
	 *  further frees on its cpu, unless something drains the caches. It holds up to half as many and at most 32 more, so
	 *  that several leave at once. What a move has left (movable.h, compact.h) passes it, and is free at once. Default 64
	 *  at level 3, else 0 (and nothing else there); PFA_EXPLICIT_0: none. */
	uint32_t quarantine;
};

#define PFA_GUARD_BYTES_MIN 4096u

/** Fills *cfg with zeros and its size. */
static inline void pfa_config_init(struct pfa_config *cfg)
{
	unsigned char *bytes = (unsigned char *)cfg;
	for (size_t i = 0; i < sizeof(*cfg); i++)
		bytes[i] = 0;
	cfg->size = sizeof(*cfg);
}

/** How much memory an instance needs. */
struct pfa_footprint {
	size_t core_bytes; /**< for pfa_init(): everything, caches included */
	size_t align;      /**< required alignment of that memory, a power of two: 64, or guard_bytes */
	size_t owner_bytes; /**< of these, at the end: the owner table, touched only where movable blocks are */
};

/** Why a configuration was refused. Each kind has a message; index says which zone, hole or area, where it applies. */
enum pfa_config_problem {
	PFA_CONFIG_FINE = 0,
	PFA_CONFIG_NULL,            /**< cfg, out or a required pointer is NULL */
	PFA_CONFIG_SIZE,            /**< a size field is too small, a zone's no multiple of its alignment, or an unknown tail
	                                 is not zero */
	PFA_CONFIG_PLATFORM,        /**< platform is missing, or has wait without now_ns */
	PFA_CONFIG_FLAGS,           /**< unknown flags or policy; reporting in a library without it */
	PFA_CONFIG_FRAME_SHIFT,
	PFA_CONFIG_MAX_ORDER,
	PFA_CONFIG_PAGEBLOCK_ORDER,
	PFA_CONFIG_CPUS,
	PFA_CONFIG_CACHE,
	PFA_CONFIG_CPU_OFFSET,
	PFA_CONFIG_HARDENING,       /**< the level is not one that the library was built with */
	PFA_CONFIG_HISTORY,         /**< history is over PFA_HISTORY_LIMIT */
	PFA_CONFIG_TRACES,          /**< nr_traces or trace_shift is out of range, or something that traces need is missing */
	PFA_CONFIG_GUARD,           /**< guard_bytes is no power of two, or too small */
	PFA_CONFIG_OWNERS,          /**< max_owners is too large, or movable blocks are not built in */
	PFA_CONFIG_POISON,          /**< unknown, below level 3, or without a pool */
	PFA_CONFIG_POISON_ZERO,     /**< LINES or ALL together with ZEROED_POOL or TRACK_ZERO */
	PFA_CONFIG_QUARANTINE,      /**< over 65536, or below level 3 */
	PFA_CONFIG_ZONES,           /**< none, or too many */
	PFA_CONFIG_ZONE_EMPTY,
	PFA_CONFIG_ZONE_OVERFLOW,   /**< start + nr_frames overflows */
	PFA_CONFIG_ZONE_OVERLAP,    /**< two zones overlap */
	PFA_CONFIG_SPAN,            /**< the zones together span 2^32 frames or more */
	PFA_CONFIG_HOLES,           /**< a hole is empty, outside its zone, out of order or overlapping */
	PFA_CONFIG_CMA,             /**< a CMA area is empty, not whole pageblocks, out of order, over a hole or outside */
	PFA_CONFIG_MARKS,           /**< not min <= low <= high */
	PFA_CONFIG_POOL,            /**< misaligned, overflowing, or it does not cover every zone */
	PFA_CONFIG_FOOTPRINT,       /**< the metadata's size overflows */
	PFA_CONFIG_MEMORY,          /**< pfa_init only: memory NULL, misaligned or too small */
	PFA_CONFIG_PROBLEMS
};

/** A message for a problem ("a hole is empty, ..."). Never NULL. */
PFA_API const char *pfa_config_problem_text(enum pfa_config_problem problem);

/**
 * Computes the memory that pfa_init() needs for cfg, and checks cfg completely.
 * @param out          filled in on success
 * @param out_problem  NULL, or told what is wrong (PFA_CONFIG_FINE on success)
 * @param out_index    NULL, or told which zone (or 0)
 * @return PFA_OK; PFA_EINVAL with the problem.
 * @context any. @cost O(zones^2 + holes).
 */
PFA_NODISCARD PFA_API int pfa_size(const struct pfa_config *cfg, struct pfa_footprint *out,
                                   enum pfa_config_problem *out_problem, unsigned *out_index);

/**
 * Makes an instance in the caller's memory. All present frames are free and MOVABLE (or CMA) afterwards.
 * @param memory  at least footprint.core_bytes, aligned; it belongs to the instance until pfa_fini()
 * @param bytes   its size
 * @param out     the instance (it points into memory); untouched on failure
 * @return PFA_OK; PFA_EINVAL with the problem: nothing was built and memory's content is unspecified.
 * @context any; not concurrently on the same memory.
 * @cost with PFA_CONFIG_ZEROED_META one byte a pageblock, a few ns a block of the largest order, the holes' frames; else a
 *       memset of memory as well.
 */
PFA_NODISCARD PFA_API int pfa_init(void *memory, size_t bytes, const struct pfa_config *cfg, struct pfa **out,
                                   enum pfa_config_problem *out_problem, unsigned *out_index);

/**
 * Ends an instance: drains the caches and refuses while anything is live. Afterwards the memory is the caller's. What is
 * sealed (pfa_regions()) is not written.
 * @return PFA_OK; PFA_EBUSY: blocks are still allocated or held, or a reporting device is registered, the instance goes on, and
 *         platform.log is told of the allocated ones, a line a tag (pfa/harden.h); PFA_ECORRUPT: the sums of a
 *         zone disagree, the instance goes on.
 * @context no other call may be in flight. @cost a drain of all caches.
 */
PFA_NODISCARD PFA_API int pfa_fini(struct pfa *pfa);

#ifdef __cplusplus
}
#endif
#endif
