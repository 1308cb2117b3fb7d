/* SPDX-License-Identifier: MIT
 *
 * pfa/platform.h - the outside world as one table. The core calls nothing else (but memcpy, memset, memmove).
 *
 * Every op may be NULL unless it says "required"; then the stated default applies. Each op states where it may be
 * called from. "Leaf" means: the core may hold its own locks during the call, so that the op must not block for long
 * and must not call into libpfa. No op may call back into libpfa unless it says so.
 */
#ifndef PFA_PLATFORM_H
#define PFA_PLATFORM_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What pfa_platform.fatal is told. The text is complete by itself; the other fields are for programs. */
enum pfa_fault_kind {
	PFA_FAULT_NONE = 0,
	/* misuse: the caller broke a promise; nothing was changed (code PFA_EMISUSE) */
	PFA_FAULT_DOUBLE_FREE,        /**< the block is already free in its zone */
	PFA_FAULT_DOUBLE_FREE_CACHED, /**< the block is already free, in a per-CPU cache */
	PFA_FAULT_DOUBLE_FREE_RACE,   /**< another thread is freeing or splitting this very block now */
	PFA_FAULT_WRONG_ORDER,        /**< the block was allocated with another order */
	PFA_FAULT_TAIL,               /**< the frame lies inside an allocated or cached block and is not its head */
	PFA_FAULT_MISALIGNED,         /**< the pfn is no multiple of 2^order */
	PFA_FAULT_OUT_OF_RANGE,       /**< the pfn lies in no zone of this instance */
	PFA_FAULT_HOLE,               /**< the pfn lies in a hole of its zone */
	PFA_FAULT_OFFLINE,            /**< the frame is offline */
	PFA_FAULT_BAD,                /**< the frame was marked bad */
	PFA_FAULT_HELD,               /**< the frame is held by the allocator itself (reporter, isolation, migration) */
	PFA_FAULT_ORDER_LIMIT,        /**< the order is above max_order */
	PFA_FAULT_FOREIGN_POINTER,    /**< the pointer is not one of this instance's frames, or not at a frame's start */
	PFA_FAULT_MIXED_RANGE,        /**< pfa_free_range over something that is not wholly the caller's */
	PFA_FAULT_STALE_HANDLE,       /**< the handle's block was freed or split since */
	PFA_FAULT_ENDED,              /**< the instance was ended by pfa_fini() (told while its memory is untouched) */
	PFA_FAULT_MOVABLE,            /**< pfa_split or pfa_free_range of a movable block */
	PFA_FAULT_RELEASED,           /**< the movable block was freed already, and somebody still holds it */
	PFA_FAULT_NOT_PINNED,         /**< pfa_unpin of a block without a pin */
	PFA_FAULT_PAGE_LOCK,          /**< pfa_page_unlock without holding the page lock */
	PFA_FAULT_OWNER_RESULT,       /**< an owner's op returned something that is not among its results */
	PFA_FAULT_DESTINATION,        /**< what a destination policy gave is no allocated block of that order, or is movable */
	PFA_FAULT_NOT_MOVED,          /**< a destination was freed, though the owner's migrate did not take it */
	PFA_FAULT_DOUBLE_FREE_QUARANTINED, /**< the block is already free, in quarantine */
	PFA_FAULT_NOT_HELD,           /**< pfa_undo_isolate_range or pfa_test_isolated of a pageblock that this token does not hold */
	PFA_FAULT_GUARD,              /**< the frame guards a block of a PFA_GUARD request */
	/* corruption: metadata does not agree with itself (code PFA_ECORRUPT) */
	PFA_FAULT_CORRUPT_CACHE,      /**< a cached block's frame byte does not say so */
	PFA_FAULT_CORRUPT_FREE,       /**< a frame that the index offers is not free, or the reverse */
	PFA_FAULT_WRITTEN_AFTER_FREE, /**< a frame was written to after its free; its block is bad from now on */
	PFA_FAULT_LOCK,               /**< lock rank or ownership violated (debug builds) */
	PFA_FAULT_KINDS
};

struct pfa_event;

struct pfa_fault {
	size_t size;                /**< sizeof(struct pfa_fault) */
	int code;                   /**< PFA_EMISUSE or PFA_ECORRUPT */
	enum pfa_fault_kind kind;
	const char *message;        /**< one line, unique per kind, zero-terminated, valid during the call only */
	pfa_pfn pfn;                /**< the pfn in question */
	unsigned order;             /**< the order that the caller gave */
	const char *function;       /**< the API function ("pfa_free") */
	/** The frame's last events, newest first (pfa/harden.h); valid during the call only. At most config.history;
	 *  NULL and 0: there are none. */
	const struct pfa_event *history;
	size_t nr_history;
};

/** Calls of pfa_platform.low_memory for one request, at most. */
#define PFA_LOW_MEMORY_TRIES 3u

struct pfa_platform {
	size_t size; /**< sizeof(struct pfa_platform); a larger struct's unknown tail must be zero */
	void *ctx;   /**< handed to every op */

	/** The current cpu, 0-based; may be stale at once. An id >= config.nr_cpus sends the call past the caches.
	 *  NULL: always 0. Leaf. Not called where config.cpu_offset is set. */
	uint32_t (*cpu)(void *ctx);
	/** The calling thread's id, 1 .. 2^28-1, unique among live threads. NULL: always 1. Leaf. */
	uint32_t (*self)(void *ctx);
	/** Futex-like wait: if the u32 at addr (accessed atomically) equals value, block until a wake on addr, until
	 *  now_ns() >= until_ns (UINT64_MAX: no limit), or spuriously. Returns PFA_OK, or PFA_EDEADLK where waiting can
	 *  never end (platform/single); the core then backs out with PFA_EBUSY or PFA_EDEADLK.
	 *  NULL: as platform/single. May be called with lower-ranked library locks held. */
	int (*wait)(void *ctx, const void *addr, uint32_t value, uint64_t until_ns);
	/** Wakes every waiter on addr. NULL: nothing to wake. Leaf. */
	void (*wake)(void *ctx, const void *addr);
	/** A monotonic clock in ns. NULL: always 0, and then wait must be NULL too. Leaf. */
	uint64_t (*now_ns)(void *ctx);
	/** Makes nr_frames frames from first read as zero. ptr is their address where the pool is addressable, else NULL.
	 *  NULL: memset, or PFA_ENOTSUP for PFA_ZERO where the pool is not addressable. No lock is held. */
	void (*zero)(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr);
	/** 64 random bits, for the keys of level 3, which ask for them three times. NULL: config.seed is used alone. Leaf; init
	 *  only. */
	uint64_t (*random)(void *ctx);
	/** Makes a frame (pfn, bytes at ptr) untouchable (on), or accessible again with its content as it was: the guards of
	 *  PFA_GUARD requests. Called only where the pool is addressable. PFA_OK, or any other code: it could not. A guard that
	 *  could not be made untouchable stands apart all the same, and is switched off as any other; one that could not be
	 *  made accessible becomes a bad frame, and its block's free goes on. NULL: guards can be touched. No lock is held. */
	int (*guard)(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on);
	/** Told of each misuse and corruption. No lock is held, so that statistics and printing may be called; allocation
	 *  and free may not. Except PFA_FAULT_LOCK (PFA_DEBUG builds): it is told under the caller's locks, and nothing that
	 *  takes one may be called. With policy ABORT it must not return (if it does, the core traps). NULL: trap under ABORT,
	 *  silence under REPORT. */
	void (*fatal)(void *ctx, const struct pfa_fault *fault);
	/** What the calling thread wants written beside its grants and frees in the history: a subsystem's number, say.
	 *  NULL: 0. Leaf; no lock is held. Called only with config.history. */
	uint32_t (*tag)(void *ctx);
	/** A line for a human, without newline; valid during the call only. No lock is held, and it may call anything. NULL:
	 *  nobody wants to know. */
	void (*log)(void *ctx, const char *text);
	/** Return addresses of the calling thread, innermost first, at most max; returns how many. No lock is held; it must not
	 *  allocate from or free to this instance. NULL: there are none, and config.nr_traces must be 0. */
	size_t (*backtrace)(void *ctx, uintptr_t out[], size_t max);
	/** Memory is short: a request of 2^order frames by these flags is about to fail, though caches were drained and the reserve
	 *  was given up. May free something (a balloon's frames: pfa_balloon_low_memory(); a cache's), and returns how many frames
	 *  that is; unless 0 the request is tried again, and so on up to PFA_LOW_MEMORY_TRIES calls. Not called for requests with
	 *  PFA_NOWAIT or PFA_NORETRY, nor inside an owner's op, nor for requests that no zone could ever serve. No lock is
	 *  held. May call what an op of movable.h may: what it requests itself is as with PFA_NOWAIT. Needs self, where there
	 *  is more than one thread; when 64 calls of ops and of this one run at once, no more are made. NULL: there is
	 *  nothing to give. */
	size_t (*low_memory)(void *ctx, unsigned order, uint32_t flags);
};

#ifdef __cplusplus
}
#endif
#endif
