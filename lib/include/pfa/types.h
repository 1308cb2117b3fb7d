/* SPDX-License-Identifier: MIT
 *
 * pfa/types.h - the nouns of libpfa: error codes, migrate types, request flags, runs.
 *
 * Words used everywhere: a *frame* is the smallest unit of memory (config.frame_shift); a *pfn* is a frame's
 * number; a *block* is 2^order naturally aligned frames; a *pageblock* is 2^pageblock_order frames, the grain of
 * migrate types; a *zone* is a span of pfns with one lock, holes allowed; a *run* is any contiguous frames.
 */
#ifndef PFA_TYPES_H
#define PFA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PFA_BUILD_SHARED) && defined(__GNUC__)
#define PFA_API __attribute__((visibility("default")))
#else
#define PFA_API
#endif

#if defined(__GNUC__)
#define PFA_NODISCARD __attribute__((warn_unused_result))
#else
#define PFA_NODISCARD
#endif

/** An allocator instance. Opaque; lives wholly in the memory given to pfa_init(). */
struct pfa;

/** A page frame number. Instances may start at any pfn; an instance spans less than 2^32 frames. */
typedef size_t pfa_pfn;

/** Orders are inclusive: 0 <= order <= max_order <= PFA_ORDER_LIMIT. */
#define PFA_ORDER_LIMIT 31u
/** Zones per instance. The limit comes from the one-byte route (6 bits of zone). */
#define PFA_ZONES_LIMIT 62u

/**
 * Result codes. Every function that can fail returns an int that is one of these; their values never change.
 * On failure nothing has changed, unless the function says otherwise.
 */
enum pfa_error {
	PFA_OK = 0,
	PFA_ENOMEM = -1,   /**< refusal: no fitting free block above the marks */
	PFA_EAGAIN = -2,   /**< refusal: NOWAIT or NORETRY stopped where a plain request would have gone on */
	PFA_EBUSY = -3,    /**< refusal: somebody else holds it, or something is still live */
	PFA_ERANGE = -4,   /**< refusal: outside every zone, across a zone, or over a hole */
	PFA_EINVAL = -5,   /**< caller error: an argument or a configuration field is not valid */
	PFA_EDEADLK = -6,  /**< caller error: this call is not allowed in this context (it would wait for itself) */
	PFA_EMISUSE = -7,  /**< broken promise, contained: double free, wrong order, foreign frame, ... */
	PFA_ECORRUPT = -8, /**< broken promise: metadata is damaged; the zone refuses until it is repaired */
	PFA_ENOTSUP = -9,  /**< caller error: this instance or platform was not configured for it */
	PFA_EDEVICE = -10, /**< a device callback failed */
	PFA_ESTOP = -11    /**< a visitor asked to stop */
};

/**
 * Migrate types of pageblocks. ISOLATE is an effective type: a held pageblock keeps its own type underneath.
 * An entirely free unmovable or reclaimable pageblock goes back to MOVABLE (it binds no type).
 */
enum pfa_type {
	PFA_TYPE_UNMOVABLE = 0,
	PFA_TYPE_MOVABLE = 1,
	PFA_TYPE_RECLAIMABLE = 2,
	PFA_TYPE_HIGHATOMIC = 3, /**< reserve for PFA_HIGH requests */
	PFA_TYPE_CMA = 4,        /**< lent to MOVABLE requests only */
	PFA_TYPE_ISOLATE = 5,    /**< held; nothing in it is on offer */
	PFA_TYPES = 6
};

/*
 * Request flags. Bits 0-2 are the migrate type of the request, the rest is or-ed in. 0 is a plain UNMOVABLE request.
 */
#define PFA_UNMOVABLE 0u
#define PFA_MOVABLE 1u
#define PFA_RECLAIMABLE 2u
#define PFA_TYPE_MASK 7u
#define PFA_ZERO (1u << 3)    /**< the block's bytes are zero on return; needs an addressable pool or a zero op */
#define PFA_NOWAIT (1u << 4)  /**< never wait: other cpus' caches are left alone, EAGAIN where that may be why */
#define PFA_HIGH (1u << 5)    /**< high priority: half the min mark, and the HIGHATOMIC reserve */
#define PFA_COMPACT (1u << 6) /**< may compact before failing (compact.h; without NOWAIT, and where there is an owner table) */
#define PFA_NORETRY (1u << 7) /**< one try: no draining of caches, no release of the reserve; EAGAIN where those could help */
#define PFA_EXACT_ZONE (1u << 8) /**< only the zone of PFA_ZONE(n), no fallback to the zones after it */
#define PFA_GUARD (1u << 9)      /**< pfa_alloc only, hardening level 3: the frames before and after the block are guards */
#define PFA_NOMIGRATE (1u << 10) /**< ranges only (contig.h): nothing is moved, no owner is called */
#define PFA_CMA (1u << 11)       /**< ranges only: CMA pageblocks may be taken, too */
#define PFA_TAKE_BAD (1u << 12)  /**< pfa_offline_range() only: bad frames go offline, too */
/** Zones are tried in configured order, beginning at n (default 0); zones before n are never used. */
#define PFA_ZONE(n) ((uint32_t)(n) << 24)
#define PFA_ZONE_OF(flags) ((flags) >> 24)

/** A run of frames: [first, first + nr). */
struct pfa_run {
	pfa_pfn first;
	size_t nr_frames;
};

/** "Zero is meant": for configuration fields in which 0 would select the default. */
#define PFA_EXPLICIT_0 0xFFFFFFFFu

/** A cpu argument that means every cpu. */
#define PFA_ALL_CPUS 0xFFFFFFFFu

/** The name of a result code ("PFA_ENOMEM"); "PFA_E?" for a value that is none. Never NULL. @cost a table look-up. */
PFA_API const char *pfa_error_name(int code);

#ifdef __cplusplus
}
#endif
#endif
