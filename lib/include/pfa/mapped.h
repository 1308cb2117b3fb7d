/* SPDX-License-Identifier: MIT
 *
 * pfa/mapped.h - a mapped arena: memory behind plain pointers, whose frames move while threads read and write it.
 *
 * The instance's pool lies in a memfd; the arena is another mapping of it, in an order of its own. Where a frame moves,
 * its place in the arena is mapped to the new one, so that every pointer stays valid. Linux only.
 *
 * How a unit (one block) is moved, and what is promised to other threads meanwhile:
 *   1. The unit is made read-only: by mprotect(), or by UFFDIO_WRITEPROTECT (see pfa_mapped_way). When that call returns no
 *      processor can write to the old frames through the arena any more. Who tries faults and waits; readers read on.
 *   2. The content is copied, through the pool's own mapping.
 *   3. mmap(MAP_SHARED | MAP_FIXED) puts the new frames in the place of the old ones, readable and writable. Linux does that
 *      under the lock that page faults take: an access finds the old frames, the new ones, or waits; never nothing.
 *   4. Who waited goes on, its instruction is executed again, on the new frames.
 * Hence a load gives what was stored last (old and new frames are equal from 1 to 3), a store or an atomic operation happens
 * once, before the copy or after it, also one that crosses units; no thread sees a mixture or a fault. This is for accesses of the
 * program's own threads. What others do:
 *   - System calls that write into the arena (read(), recv()): with PFA_MAPPED_UFFD they wait as threads do. With
 *     PFA_MAPPED_SIGNAL they fail with EFAULT while their unit is read-only: pin the range before.
 *   - Whatever holds on to physical frames (direct I/O, io_uring's registered buffers, RDMA, vmsplice(), ptrace(), kvm): pin
 *     the range before, or the old frames are written. A pinned range refuses moves.
 *   - The pool's own mapping, and other mappings of the memfd: not to be written to for frames that are in the arena.
 *   - fork(): a child has the same frames, but is not followed by moves: it must not use the arena.
 *   - mprotect(), madvise(), mlock() of the arena by the program: undone by the next move.
 * With PFA_MAPPED_SIGNAL the waiting is done in a handler of SIGSEGV, which the first arena installs for the process, and which
 * hands all other faults to the action that was there before. Threads that write to the arena must not block SIGSEGV, and
 * who installs another handler later must call the old one. A handler that ran on the way (SA_ONSTACK) waits for at most
 * one move.
 * A handler of an asynchronous signal must not write to the arena where it may interrupt a call of the library: it would wait for
 * the move that it has interrupted.
 * Each stretch of units that is not contiguous in the memfd is a mapping of the kernel's: beyond its limit
 * (vm.max_map_count, 65530 by default) allocations say PFA_ENOMEM, and moves are refused.
 *
 * Needs config.max_owners >= 1, the pool of pfa_posix_create(PFA_POSIX_MEMFD) or one like it, and frames of whole system
 * pages. No malloc: what it needs it maps. Any number of threads may call at once, unless stated; none of it inside an op
 * of movable.h.
 */
#ifndef PFA_MAPPED_H
#define PFA_MAPPED_H

#include <pfa/movable.h>
#include <pfa/platform.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pfa_mapped;

/** How writers are held back during a move. */
enum pfa_mapped_way {
	PFA_MAPPED_AUTO = 0,   /**< UFFD if it works here (tried out at creation), else SIGNAL */
	PFA_MAPPED_SIGNAL = 1, /**< mprotect(), and a handler of SIGSEGV that waits */
	PFA_MAPPED_UFFD = 2    /**< userfaultfd write protection of shared memory (Linux 5.19, and the right to it) */
};

struct pfa_mapped_config {
	size_t size; /**< sizeof(struct pfa_mapped_config); a larger struct's unknown tail must be zero */
	struct pfa *pfa;
	/** As the instance's own: wait and wake are used, both with ctx, also in the handler of SIGSEGV, so they must be
	 *  async-signal-safe, as those of platform/posix are. Copied. */
	const struct pfa_platform *platform;
	int fd;               /**< the pool's memfd; must stay open as long as the arena */
	uint64_t fd_offset;   /**< where frame pool_pfn is in it, a multiple of the frame size */
	pfa_pfn pool_pfn;     /**< as the instance's */
	uint32_t frame_shift; /**< as the instance's; default 12 */
	uint32_t order;       /**< units are blocks of 2^order frames, 0 .. max_order: one protection and one mapping each */
	size_t nr_units;      /**< addresses for this many, 1 .. 2^31 - 1 */
	enum pfa_mapped_way way;
};

/**
 * Makes an empty arena, which is an owner.
 * @return PFA_OK; PFA_EINVAL: cfg; PFA_ENOTSUP: UFFD was asked for and does not work here, or as pfa_owner_create();
 *         PFA_ENOMEM: no addresses, 64 arenas exist, or as pfa_owner_create(); PFA_EDEADLK: inside an op;
 *         PFA_EDEVICE: another system call failed.
 * @context any thread. @cost O(nr_units) of memory, 16 bytes each, touched where used.
 */
PFA_NODISCARD PFA_API int pfa_mapped_create(const struct pfa_mapped_config *cfg, struct pfa_mapped **out);

/**
 * Ends an empty arena.
 * @return PFA_OK; PFA_EBUSY: something is still allocated in it; PFA_EDEADLK: inside an op. Nothing changed in the last two.
 * @context no other call for this arena may be in flight but moves, for which it waits.
 */
PFA_NODISCARD PFA_API int pfa_mapped_destroy(struct pfa_mapped *arena);

/** How this arena holds writers back: PFA_MAPPED_SIGNAL or PFA_MAPPED_UFFD. @context any. */
PFA_API enum pfa_mapped_way pfa_mapped_way_of(const struct pfa_mapped *arena);

/**
 * Takes memory.
 * @param bytes  >= 1, rounded up to whole units
 * @param flags  of the requests for frames: type (usually PFA_MOVABLE), PFA_ZERO and others of pfa_alloc()
 * @param out    where it is: whole units, contiguous here, in any frames
 * @return PFA_OK; PFA_EINVAL: bytes or flags; PFA_ENOMEM: no addresses, no frames, or too many mappings; PFA_EAGAIN,
 *         PFA_ENOTSUP, PFA_ECORRUPT: as pfa_alloc(); PFA_EDEADLK: inside an op. Nothing changed on failure; but where the
 *         kernel refuses to undo what it did of it, these addresses are not given again before the arena ends.
 * @context as pfa_alloc(). @cost O(units), and a search for addresses of O(nr_units); a system call for each run of frames.
 */
PFA_NODISCARD PFA_API int pfa_mapped_alloc(struct pfa_mapped *arena, size_t bytes, uint32_t flags, void **out);

/**
 * Gives memory back: whole units, not necessarily all that one call took. Nobody may use it any more.
 * @return PFA_OK; PFA_EINVAL: not allocated units of this arena, nothing changed; PFA_EBUSY: some of it is pinned, nothing
 *         changed; PFA_ENOMEM: the kernel has no room for the change, nothing changed; PFA_ECORRUPT, PFA_EMISUSE: as
 *         pfa_free(), the memory is gone from here.
 * @context waits for moves of these units. @cost O(units), one system call.
 */
PFA_NODISCARD PFA_API int pfa_mapped_free(struct pfa_mapped *arena, void *ptr, size_t bytes);

/**
 * From now on no unit that overlaps [ptr, ptr + bytes) moves. Nests, 65535 deep for each unit.
 * @return PFA_OK: a move that was in flight is over; PFA_EINVAL: not allocated; PFA_EAGAIN: too deep. Nothing changed on
 *         failure.
 * @context waits for a move in flight. @cost O(units).
 */
PFA_NODISCARD PFA_API int pfa_mapped_pin(struct pfa_mapped *arena, const void *ptr, size_t bytes);

/** Undoes one pfa_mapped_pin() of the same range. @return PFA_OK; PFA_EINVAL: not allocated, or not pinned; nothing changed. */
PFA_NODISCARD PFA_API int pfa_mapped_unpin(struct pfa_mapped *arena, const void *ptr, size_t bytes);

/** The block that a pointer's unit is in now. A hint, unless it is pinned. @return PFA_OK; PFA_EINVAL: not allocated. */
PFA_NODISCARD PFA_API int pfa_mapped_head(struct pfa_mapped *arena, const void *ptr, pfa_pfn *out);

/**
 * Between these two calls moves may make several units read-only at once, those that follow in the arena included: one system
 * call less for each. Writers to such a unit end that early (PFA_MAPPED_UFFD: at the next move, or at the end). To be
 * put around pfa_migrate() or pfa_compact() of many blocks, and to be ended soon. Nests.
 * @context waits for a move in flight.
 */
PFA_API void pfa_mapped_batch_begin(struct pfa_mapped *arena);
PFA_API void pfa_mapped_batch_end(struct pfa_mapped *arena); /**< The other end of it. */

/**
 * Moves the units that overlap [ptr, ptr + bytes), as one batch.
 * @param dest       where to, as for pfa_migrate()
 * @param out_moved  NULL, or how many units were moved
 * @return PFA_OK: all; PFA_EAGAIN: some were not (pinned, no destination, ...); PFA_EINVAL: not allocated, or dest;
 *         PFA_EDEADLK: inside an op.
 * @context as pfa_migrate(). @cost O(units), a few us each.
 */
PFA_NODISCARD PFA_API int pfa_mapped_move(struct pfa_mapped *arena, const void *ptr, size_t bytes,
                                          const struct pfa_dest *dest, size_t *out_moved);

/** Events so far; they wrap. */
struct pfa_mapped_stats {
	size_t moves;    /**< units moved */
	size_t protects; /**< system calls that made units read-only */
	size_t waits;    /**< faults of writers that had to wait, or ended a batch (PFA_MAPPED_UFFD: only the latter) */
	size_t refused;  /**< moves that were begun, and refused by the kernel */
};
/** @context no lock. */
PFA_API void pfa_mapped_stats_get(const struct pfa_mapped *arena, struct pfa_mapped_stats *out);

#ifdef __cplusplus
}
#endif
#endif
