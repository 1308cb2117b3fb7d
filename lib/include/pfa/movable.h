/* SPDX-License-Identifier: MIT
 *
 * pfa/movable.h - movable blocks: owners, page locks, pins, migration.
 *
 * An *owner* (a balloon, a compressed store, an arena whose users are remapped) declares allocated blocks movable. From
 * then on the library may ask it to move their content, so that runs can be freed. Each movable block follows
 *
 *     owned -> isolated -> exactly one of   migrated | put back | released
 *
 * and the library alone keeps that state. Of several movers that want to isolate one block one wins, the others get
 * PFA_EBUSY.
 *
 * config.max_owners == 0: there is no owner table, and every function here but pfa_migrate_tries() returns PFA_ENOTSUP.
 * Else the metadata has 16 bytes a frame more, at its end (footprint.owner_bytes), written only where movable blocks are.
 * More than one thread: platform.self is required.
 *
 * The page lock is a lock of each movable block. Who holds one may take a second one only with pfa_page_trylock(). While
 * an op runs, the calling thread of the library holds the page lock of the block, and for migrate() of both. Hence: what
 * waits for a page lock (said below) must not be called with a lock held that an op waits for. An op that needs such a
 * lock tries it, and returns PFA_EAGAIN. The calls that empty a range (pfa/contig.h, pfa/cma.h, pfa/hotplug.h) have the page
 * locks of up to PFA_MIGRATE_HAND single frames, and of as many destinations, at once, while they call the ops for these one
 * after the other: nor may an op wait for what another thread does that needs the page lock of any block.
 *
 * What an op may call, on this instance, besides queries, statistics and text:
 *   pfa_alloc...()      behaves as with PFA_NOWAIT
 *   pfa_free...(), pfa_split(), pfa_free_range()   of blocks that are not movable: as ever. pfa_free() of the op's own block
 *                       releases it: it is free when the mover lets go, and no op is called for it any more. pfa_free() of
 *                       another movable block: as ever, but never waits; an op of that block that runs in another thread
 *                       may still run on.
 *   pfa_pin()           of other blocks: PFA_EBUSY where it would wait, PFA_EDEADLK where the mover has the page lock, too.
 *                       pfa_unpin() of any.
 *   pfa_movable_info()
 * Everything else here, and pfa_fini(), pfa_service(), pfa_mark_bad() and pfa_cache_...(), returns PFA_EDEADLK.
 */
#ifndef PFA_MOVABLE_H
#define PFA_MOVABLE_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How much a move may cost. The op is told, and behaves accordingly. */
enum pfa_migrate_mode {
	PFA_MIGRATE_ASYNC = 0,      /**< nothing waits: a busy page lock is a reason to skip; ops must not block */
	PFA_MIGRATE_SYNC_LIGHT = 1, /**< page locks are waited for; ops may wait for short critical sections */
	PFA_MIGRATE_SYNC = 2,       /**< ops may block */
	PFA_MIGRATE_MODES
};

/** How often migrate() is called for one block, at most: again after each PFA_EAGAIN, at once, the source's page lock being
 *  let go for a moment. Async 1, sync-light 3, sync 10; 0 for a value that is no mode. @context any. */
PFA_API unsigned pfa_migrate_tries(enum pfa_migrate_mode mode);

/** A registered owner; never 0. A handle is not used again before 2^16 owners more were made in its place. */
typedef uint32_t pfa_owner;

/**
 * What an owner does. All are required. ctx and cookie are the owner's own; order is the block's. Any other result than
 * those listed is a broken promise: it is told (PFA_FAULT_OWNER_RESULT), and treated as PFA_EBUSY.
 */
struct pfa_owner_ops {
	size_t size; /**< sizeof(struct pfa_owner_ops); a larger struct's unknown tail must be zero */
	/** May this block be moved? From PFA_OK until migrate() or putback() the owner should not free, move or pin it by itself
	 *  more than it must. Page lock of head held; it is not pinned. @return PFA_OK; PFA_EBUSY: no; PFA_EAGAIN: not now. */
	int (*isolate)(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode);
	/** Copy the content of src to dst, and make everything that says src say dst. Page locks of both held; src is isolated
	 *  and not pinned. dst may be freed from the moment that it is known to others (it is free when the mover lets go).
	 *  @return PFA_OK: dst is the owner's, movable, with this cookie, and src must not be used any more; PFA_EAGAIN:
	 *          nothing changed, try again; PFA_EBUSY: nothing changed, give up. If src was released before this returned,
	 *          that counts, and dst goes back whatever is returned. */
	int (*migrate)(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode);
	/** The block is not moved, and no longer isolated when this returns. Page lock of head held. Called once for each
	 *  isolate() that said PFA_OK, unless the block was migrated or released. */
	void (*putback)(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie);
};

/**
 * Registers an owner.
 * @param ops  copied
 * @param ctx  handed to every op
 * @return PFA_OK; PFA_ENOTSUP: no owner table; PFA_EINVAL: size, or an op is missing; PFA_ENOMEM: max_owners are
 *         registered; PFA_EDEADLK: inside an op.
 * @context no lock. @cost O(max_owners).
 */
PFA_NODISCARD PFA_API int pfa_owner_create(struct pfa *pfa, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out);

/**
 * Ends an owner whose blocks are all freed, or no longer movable. Waits until movers have let go of blocks that were
 * released; no op of this owner is called or running any more when it returns PFA_OK. A block that was freed and is still
 * pinned does not count: it needs its owner no more.
 * @return PFA_OK; PFA_EBUSY: a block is still movable for this owner, or in the child of a fork() is half-way for good
 *         (harden.h); PFA_EINVAL: no such owner; PFA_ENOTSUP; PFA_EDEADLK: inside an op. Nothing changed in all but the first.
 * @context waits for page locks. Not at once with another call that names this owner.
 */
PFA_NODISCARD PFA_API int pfa_owner_destroy(struct pfa *pfa, pfa_owner owner);

/**
 * Declares an allocated block movable.
 * @param head    its first frame; the block is the caller's, any order
 * @param cookie  handed to the ops of this block, wherever it moves
 * @return PFA_OK; PFA_EINVAL: no such owner, or no allocated block begins at head; PFA_EBUSY: it is movable already, or a
 *         free of it is in flight; PFA_ERANGE: head in no zone; PFA_ENOTSUP; PFA_EDEADLK: inside an op.
 * @context no lock. @cost O(1).
 */
PFA_NODISCARD PFA_API int pfa_movable_set(struct pfa *pfa, pfa_pfn head, pfa_owner owner, uint64_t cookie);

/**
 * The block is an ordinary allocated one again. (pfa_free() of a movable block needs no such call before it. It waits for
 * the page lock; a block that is isolated or pinned is released: pfa_free() says PFA_OK, no op is called for it any more,
 * and it is free when the last pin and the mover are gone. pfa_split() and pfa_free_range() refuse movable blocks.)
 * @return PFA_OK; PFA_EBUSY: isolated or pinned; PFA_EINVAL: no movable block begins at head, or it was released;
 *         PFA_ERANGE; PFA_ENOTSUP; PFA_EDEADLK: inside an op, or the caller holds this page lock.
 * @context waits for the page lock.
 */
PFA_NODISCARD PFA_API int pfa_movable_clear(struct pfa *pfa, pfa_pfn head);

/**
 * One more reference: as long as there is one the block stays where it is, and its frames are not used again even if its
 * owner frees it. The caller may hold the page lock.
 * @return PFA_OK; PFA_EINVAL: no movable block begins at head, or it was released; PFA_EAGAIN: 32767 pins; PFA_EBUSY:
 *         inside an op, and the page lock is busy; PFA_EDEADLK: inside an op of this block, or of one that is moved
 *         together with it; PFA_ERANGE; PFA_ENOTSUP.
 * @context waits for the page lock (so for an op of this block that is running).
 */
PFA_NODISCARD PFA_API int pfa_pin(struct pfa *pfa, pfa_pfn head);

/**
 * One reference less. The last one of a released block frees it.
 * @return PFA_OK; PFA_EMISUSE: the block is not pinned (PFA_FAULT_NOT_PINNED); PFA_ERANGE; PFA_ENOTSUP;
 *         PFA_ECORRUPT as pfa_free().
 * @context never waits for a page lock.
 */
PFA_NODISCARD PFA_API int pfa_unpin(struct pfa *pfa, pfa_pfn head);

/**
 * Takes the page lock of a movable block: no op of it runs, and none begins, until it is given up. Free of the block by
 * the holder completes at the unlock.
 * @return PFA_OK; PFA_EINVAL: no movable block begins at head, or it was released; PFA_EDEADLK: the caller holds it, or is
 *         inside an op; PFA_ERANGE; PFA_ENOTSUP.
 * @context waits for the page lock.
 */
PFA_NODISCARD PFA_API int pfa_page_lock(struct pfa *pfa, pfa_pfn head);
/** The same, without waiting. @return as pfa_page_lock(); PFA_EBUSY: somebody else holds it. */
PFA_NODISCARD PFA_API int pfa_page_trylock(struct pfa *pfa, pfa_pfn head);

/**
 * Gives the page lock up.
 * @return PFA_OK; PFA_EMISUSE: the caller does not hold it (PFA_FAULT_PAGE_LOCK); PFA_EDEADLK: inside an op; PFA_ERANGE;
 *         PFA_ENOTSUP; PFA_ECORRUPT as pfa_free(), for a block that was released meanwhile.
 */
PFA_NODISCARD PFA_API int pfa_page_unlock(struct pfa *pfa, pfa_pfn head);

/** What a movable block is at the moment. */
struct pfa_movable_info {
	pfa_owner owner; /**< 0: released, and the owner's no more */
	unsigned pins;
	bool locked, isolated, released;
};

/** A hint as soon as it is returned. @return PFA_OK; PFA_EINVAL: no movable block begins at head; PFA_ERANGE; PFA_ENOTSUP.
 *  @context no lock. */
PFA_NODISCARD PFA_API int pfa_movable_info(struct pfa *pfa, pfa_pfn head, struct pfa_movable_info *out);

/** Where moved blocks go. */
struct pfa_dest {
	size_t size;                /**< sizeof(struct pfa_dest); a larger struct's unknown tail must be zero */
	enum pfa_migrate_mode mode;
	/** Without take: the request for each destination: type (usually PFA_MOVABLE) | PFA_NOWAIT | _HIGH | _NORETRY |
	 *  _EXACT_ZONE | PFA_ZONE(n). Caches are not used for it. */
	uint32_t flags;
	/** Or the caller's choice: *out is an allocated block of this order that is the caller's and not movable. Called with no
	 *  lock held, while src is isolated; may call all but pfa_owner_destroy() and pfa_fini().
	 *  @return PFA_OK; anything else: none (the result for src is PFA_ENOMEM). */
	int (*take)(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out);
	/** With take: gets a block back that was not used, once, allocated as it was. No lock held. NULL: it is freed. */
	void (*give)(void *ctx, pfa_pfn dst, unsigned order);
	void *ctx;
};

/** Of several blocks in one call pfa_migrate() may keep so many moved sources, and so many destinations that it has not used
 *  yet, to itself: nobody gets these frames meanwhile. It gives them back before it finds that there is no destination, and
 *  before it returns. So do the calls that empty a range (pfa/contig.h, pfa/cma.h, pfa/hotplug.h), but not
 *  pfa_compact(). A block that is moved without its page lock being let go never counts in statistics as isolated. Not with take(),
 *  PFA_HIGH, or hardening that does more at each grant (level 3, handles, history). */
#define PFA_MIGRATE_HAND 16u

/**
 * Moves blocks, one after the other.
 * @param heads        first frames of movable blocks
 * @param dest         where to
 * @param out_results  nr results, each one of
 *                     PFA_OK: moved. The source is free, the destination is the owner's;
 *                     PFA_EBUSY: not moved: refused, pinned, isolated by somebody else, an op broke its promise, 64
 *                     threads move already, or (async) the page lock was busy;
 *                     PFA_EAGAIN: not moved: the owner said so (each time);
 *                     PFA_ENOMEM: not moved: no destination;
 *                     PFA_ESTOP: released by its owner meanwhile: free, when its last pin is gone;
 *                     PFA_EINVAL: no movable block begins there; PFA_ERANGE: in no zone;
 *                     PFA_EMISUSE: not moved: what take() gave is no such block (told, and left alone);
 *                     PFA_ECORRUPT: not moved: damage was met.
 * @return PFA_OK: all moved (also for nr == 0); PFA_EAGAIN: see out_results; PFA_EINVAL: dest; PFA_ENOTSUP;
 *         PFA_EDEADLK: inside an op. Nothing was done in the last three.
 * @context page lock of the source, then of the destination; waits for them unless async (a block that it has isolated
 *          itself it waits for in any mode, while somebody has the page lock). In between zone and cache locks.
 * @cost O(nr), pfa_migrate_tries() calls of migrate() each at most.
 */
PFA_NODISCARD PFA_API int pfa_migrate(struct pfa *pfa, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest,
                                      int out_results[]);

#ifdef __cplusplus
}
#endif
#endif
