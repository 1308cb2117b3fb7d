/* SPDX-License-Identifier: MIT
 *
 * pfa/zstore.h - a compressed store: objects behind handles, compressed with LZ4, several in a frame.
 *
 * For what is kept in memory and rarely looked at: cold frames, caches, logs. Objects live in movable blocks in slots of
 * equal size; a block moves while objects in it are in use by other threads, and no handle changes by that. A block whose last
 * object goes is freed at once, also in the middle of a move.
 *
 * Needs the system's LZ4 (CMake component zstore), config.max_owners >= 1 and an addressable pool. No malloc: all but the
 * blocks is in the caller's memory. Any number of threads may call at once, unless stated; none of it inside an op of
 * movable.h. Calls of one object are ordered by their handle: a get that runs while the object is deleted gives all of it, or
 * PFA_EINVAL. Not for the child of a fork(), where another thread may have had its locks (harden.h): objects that it needs must be read
 * before.
 */
#ifndef PFA_ZSTORE_H
#define PFA_ZSTORE_H

#include <pfa/platform.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pfa_zstore;

/** An object. 0 is none. A handle is not used again before 2^32 objects more were put in its place. */
typedef uint64_t pfa_zobject;

struct pfa_zstore_config {
	size_t size; /**< sizeof(struct pfa_zstore_config); a larger struct's unknown tail must be zero */
	struct pfa *pfa;
	/** As the instance's own: wait and wake are used, both with ctx. Copied. */
	const struct pfa_platform *platform;
	uint32_t frame_shift; /**< as the instance's; default 12 */
	/** Objects are kept in blocks of 2^order frames, 0 .. max_order; together 64 .. 2^24 bytes. A larger block has slots of
	 *  more sizes, so that less is lost in them, but is given back later. */
	uint32_t order;
	uint32_t flags;       /**< of its requests; default PFA_MOVABLE */
	size_t max_objects;   /**< 1 .. 2^31 - 1 */
	size_t max_blocks;    /**< 1 .. 2^31 - 1 */
	uint32_t nr_scratch;  /**< threads that compress at once, 1 .. 1024 (more wait); default 4; 16 KiB and a block each */
};

/** Bytes for pfa_zstore_create(), aligned to 64: 24 an object, about 48 a block, the scratch. 0: not valid. @context any. */
PFA_API size_t pfa_zstore_bytes(const struct pfa_zstore_config *cfg);

/** The largest object, in bytes: a block. 0: not valid. @context any. */
PFA_API size_t pfa_zstore_max_bytes(const struct pfa_zstore_config *cfg);

/**
 * Makes an empty store, which is an owner.
 * @param memory  at least pfa_zstore_bytes(), aligned to 64; the store's until pfa_zstore_destroy()
 * @return PFA_OK; PFA_EINVAL: cfg or memory; as pfa_owner_create(): PFA_ENOTSUP, PFA_ENOMEM, PFA_EDEADLK.
 * @context no lock. @cost O(max_objects + max_blocks).
 */
PFA_NODISCARD PFA_API int pfa_zstore_create(void *memory, size_t bytes, const struct pfa_zstore_config *cfg,
                                            struct pfa_zstore **out);

/**
 * Deletes every object and ends the owner.
 * @return PFA_OK: the memory is the caller's; PFA_EMISUSE, PFA_ECORRUPT: a block could not be freed (as pfa_free()), the
 *         objects are gone, and only this call may be repeated; PFA_EDEADLK: inside an op, nothing changed.
 * @context no other call for this store may be in flight but moves, for which it waits.
 */
PFA_NODISCARD PFA_API int pfa_zstore_destroy(struct pfa_zstore *store);

/**
 * Puts an object in.
 * @param data   read during the call only
 * @param bytes  1 .. pfa_zstore_max_bytes()
 * @param out    its handle; untouched on failure
 * @return PFA_OK; PFA_EINVAL: bytes; PFA_ENOMEM: max_objects or max_blocks are in use, or no block; PFA_EAGAIN: as
 *         pfa_alloc() by the store's flags; PFA_ENOTSUP: the pool has no addresses; PFA_EDEADLK: inside an op; PFA_ECORRUPT.
 * @context waits for a scratch buffer, and as pfa_alloc(). Incompressible data is stored as it is.
 * @cost LZ4's compression of bytes, a copy of the result, some tens of ns; a block for every so many objects.
 */
PFA_NODISCARD PFA_API int pfa_zstore_put(struct pfa_zstore *store, const void *data, size_t bytes, pfa_zobject *out);

/**
 * Reads an object.
 * @param out, room  where to, and how much fits
 * @param out_bytes  NULL, or the object's size (also for PFA_ERANGE)
 * @return PFA_OK; PFA_EINVAL: no such object; PFA_ERANGE: room is too small, nothing was written (room 0 asks for the size);
 *         PFA_ECORRUPT: what is stored does not decompress to what was put, out's content is unspecified. Of an object that
 *         was deleted meanwhile the last read frees the block: where that fails it returns what pfa_zstore_delete() does then,
 *         which is no PFA_OK, although all was read.
 * @context waits while the block is being moved. @cost LZ4's decompression, some tens of ns.
 */
PFA_NODISCARD PFA_API int pfa_zstore_get(struct pfa_zstore *store, pfa_zobject object, void *out, size_t room,
                                         size_t *out_bytes);

/**
 * Deletes an object. Reads that are in it go on, and the last one frees what it took.
 * @return PFA_OK; PFA_EINVAL: no such object; PFA_EMISUSE, PFA_ECORRUPT: the object is gone, but its block could not be freed (as
 *         pfa_free()); pfa_zstore_destroy() tries again.
 * @context waits while the block is being moved, if it was the last object of it, and as pfa_free() of a movable block.
 * @cost O(1); a free of a block for every so many objects.
 */
PFA_NODISCARD PFA_API int pfa_zstore_delete(struct pfa_zstore *store, pfa_zobject object);

/** Sums; each is exact when nothing is in flight. */
struct pfa_zstore_stats {
	size_t objects;      /**< objects in the store, deleted ones that are still read included */
	size_t object_bytes; /**< what was put */
	size_t slot_bytes;   /**< the slots that it takes */
	size_t blocks;       /**< blocks that the store has */
	size_t moves;        /**< blocks moved so far (wraps) */
};
/** @context no lock. */
PFA_API void pfa_zstore_stats_get(const struct pfa_zstore *store, struct pfa_zstore_stats *out);

#ifdef __cplusplus
}
#endif
#endif
