/* SPDX-License-Identifier: MIT
 *
 * pfa/balloon.h - a balloon: takes frames out of use on request, and gives them back on request or when memory is short.
 *
 * For programs that lend memory to somebody else (a hypervisor's host, another pool) and may want it back. What lies in the
 * balloon is allocated and movable, so that it is in nobody's way: compaction and contiguous ranges move it. Its content
 * means nothing and is not copied. A device may be told of each frame that goes in or out, or moves.
 *
 * Needs config.max_owners >= 1 of the instance. No malloc: memory comes from the caller. No thread of its own. Freestanding.
 * Any number of threads may call at once, unless stated. Not for the child of a fork(), where another thread may have had its lock
 * (harden.h): there its frames stay in it.
 */
#ifndef PFA_BALLOON_H
#define PFA_BALLOON_H

#include <pfa/platform.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pfa_balloon;

/** What a device is told. */
enum pfa_balloon_event {
	PFA_BALLOON_INFLATED = 0, /**< these frames are in the balloon now: they are the device's */
	PFA_BALLOON_DEFLATED = 1  /**< these frames are about to leave it: they must be usable when this returns */
};

struct pfa_balloon_config {
	size_t size; /**< sizeof(struct pfa_balloon_config); a larger struct's unknown tail must be zero */
	struct pfa *pfa;
	/** As the instance's own: wait and wake are used, both with ctx. Copied. */
	const struct pfa_platform *platform;
	size_t max_blocks; /**< most blocks in the balloon, 1 .. 2^31 - 1 */
	unsigned order;    /**< frames go in and out as blocks of 2^order; 0 .. max_order */
	/** Of its requests; default PFA_MOVABLE | PFA_NORETRY: only memory that nobody else is near to needing. */
	uint32_t flags;
	/**
	 * The device; NULL: none. Called in the order in which things happen to a frame: INFLATED once, later DEFLATED once.
	 * A move is INFLATED for the destination, then DEFLATED for the source. No lock of the balloon is held, but in a move
	 * page locks are: it may not wait for a thread that calls libpfa, nor call anything here, and of the library only what
	 * movable.h allows to an op.
	 * @param runs  nr >= 1 runs of whole blocks; valid during the call only
	 * @return PFA_OK; else INFLATED is refused: the frames go back, no DEFLATED follows. For DEFLATED the result is ignored, and
	 *         for INFLATED of frames that had just left and could not be freed.
	 */
	int (*tell)(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr);
	void *ctx;
};

/** Most runs that a device is told of at once. */
#define PFA_BALLOON_BATCH 32u

/** Bytes for pfa_balloon_create(), aligned to 16: 16 a block and a little. 0: the configuration is not valid. @context any. */
PFA_API size_t pfa_balloon_bytes(const struct pfa_balloon_config *cfg);

/**
 * Makes an empty balloon, which is an owner.
 * @param memory  at least pfa_balloon_bytes(), aligned to 16; the balloon's until pfa_balloon_destroy()
 * @return PFA_OK; PFA_EINVAL: cfg or memory; as pfa_owner_create(): PFA_ENOTSUP, PFA_ENOMEM, PFA_EDEADLK.
 * @context no lock. @cost O(max_blocks).
 */
PFA_NODISCARD PFA_API int pfa_balloon_create(void *memory, size_t bytes, const struct pfa_balloon_config *cfg,
                                             struct pfa_balloon **out);

/**
 * Deflates, and ends the owner.
 * @return PFA_OK: the memory is the caller's; PFA_EMISUSE, PFA_ECORRUPT: as pfa_balloon_deflate(), the balloon goes on;
 *         PFA_EDEADLK: inside an op, nothing changed.
 * @context no other call for this balloon may be in flight but moves, for which it waits.
 */
PFA_NODISCARD PFA_API int pfa_balloon_destroy(struct pfa_balloon *balloon);

/**
 * Takes frames out of use.
 * @param nr_frames   rounded up to whole blocks
 * @param out_frames  NULL, or how many went in, whatever is returned
 * @return PFA_OK: all; PFA_ENOMEM: the balloon is full, or no block above the marks; PFA_EAGAIN: as pfa_alloc() with
 *         PFA_NORETRY; PFA_EDEVICE: the device refused; PFA_EINVAL: order or flags; PFA_ECORRUPT; PFA_EDEADLK: inside an op.
 * @context as pfa_alloc(). @cost O(nr_frames), in batches of PFA_BALLOON_BATCH blocks.
 */
PFA_NODISCARD PFA_API int pfa_balloon_inflate(struct pfa_balloon *balloon, size_t nr_frames, size_t *out_frames);

/**
 * Gives frames back, the last ones first.
 * @param nr_frames   rounded up to whole blocks; SIZE_MAX: all
 * @param out_frames  NULL, or how many came out, whatever is returned
 * @return PFA_OK: all of them, or the balloon is empty; PFA_EMISUSE, PFA_ECORRUPT: as pfa_free(); what could not be
 *         freed is in the balloon again (the device is told so), and so is the rest.
 * @context as pfa_free() of movable blocks: waits for page locks. Inside an op it does not wait. @cost O(nr_frames).
 */
PFA_NODISCARD PFA_API int pfa_balloon_deflate(struct pfa_balloon *balloon, size_t nr_frames, size_t *out_frames);

/**
 * For low-memory hooks (pfa_platform.low_memory): deflates 2^order frames, and as many again for those that come next.
 * @return how many frames came out: 0 means that trying again is of no use.
 * @context as pfa_balloon_deflate().
 */
PFA_API size_t pfa_balloon_low_memory(struct pfa_balloon *balloon, unsigned order);

/** Frames in the balloon. A hint as soon as it is returned. @context no lock. */
PFA_API size_t pfa_balloon_frames(const struct pfa_balloon *balloon);

/** Moves of its blocks so far (wraps). @context no lock. */
PFA_API size_t pfa_balloon_moves(const struct pfa_balloon *balloon);

#ifdef __cplusplus
}
#endif
#endif
