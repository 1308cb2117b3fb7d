/* SPDX-License-Identifier: MIT
 *
 * pfa/devices.h - devices for free page reporting (pfa/report.h): the memory of free frames goes back to this system's kernel,
 * until it is used again. And a host made of nothing, for tests, which destroys what it is told of and checks the library.
 *
 * The real ones are Linux only; elsewhere they answer PFA_ENOTSUP. No malloc, no thread, no lock of their own. The library calls
 * a device from one thread at a time.
 *
 *     struct pfa_discard discard;                    // must stay where it is as long as the device is registered
 *     struct pfa_device device;
 *     if (pfa_discard_init(&discard, &cfg) == PFA_OK) {
 *             pfa_discard_device(&discard, &device);
 *             code = pfa_report_register(pfa, &device);
 *     }
 */
#ifndef PFA_DEVICES_H
#define PFA_DEVICES_H

#include <pfa/report.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory back to the kernel ---- */

enum pfa_discard_way {
	/** madvise(MADV_DONTNEED): the memory is gone at once, and reads as zero. Private anonymous pools. */
	PFA_DISCARD_DONTNEED = 0,
	/** madvise(MADV_FREE): the kernel takes it when it is short of memory; what is written to before that is kept, without a
	 *  fault. So it costs least where memory is used again soon, and resident memory does not fall until somebody needs it. The
	 *  content may be lost or not: nothing reads as zero for that. Private anonymous pools. */
	PFA_DISCARD_FREE = 1,
	/** fallocate(PUNCH_HOLE): gone at once, for everyone who maps the file, and reads as zero. Pools in a memfd (or in a file of a
	 *  file system that can do it). */
	PFA_DISCARD_PUNCH = 2
};

/** As struct iovec. */
struct pfa_discard_range {
	void *at;
	size_t bytes;
};

/** The system calls, for tests of their failures and for sandboxes. Each returns as the system call does, and sets errno. */
struct pfa_discard_calls {
	int (*advise)(void *ctx, void *at, size_t bytes, int advice);
	/** process_madvise() for the calling process. @return bytes done, all of the first ranges; -1. NULL: there is none. */
	ptrdiff_t (*advise_many)(void *ctx, const struct pfa_discard_range ranges[], unsigned nr, int advice);
	int (*punch)(void *ctx, int fd, uint64_t offset, uint64_t bytes);
	void *ctx;
};

struct pfa_discard_config {
	size_t size; /**< sizeof(struct pfa_discard_config); a larger struct's unknown tail must be zero */
	enum pfa_discard_way way;
	void *pool;           /**< where frame pool_pfn is; at a page of the system */
	size_t pool_bytes;    /**< whole frames */
	pfa_pfn pool_pfn;     /**< as the instance's */
	uint32_t frame_shift; /**< as the instance's; default 12 */
	/** The pool's file with PFA_DISCARD_PUNCH; -1 with the others, which a shared mapping keeps its content under. */
	int fd;
	uint64_t fd_offset;   /**< where frame pool_pfn is in it, a multiple of the system's page size */
	uint32_t one_by_one;  /**< 1: no process_madvise() */
	const struct pfa_discard_calls *calls; /**< NULL: this system's. Copied. */
};

/** A device. Nothing in it is to be used directly. */
struct pfa_discard {
	struct pfa_discard_config cfg;
	struct pfa_discard_calls calls;
	size_t page_bytes;
	uint32_t many; /* is advise_many used? */
	/* atomic */
	uint32_t err;
	size_t nr_calls, nr_ranges, nr_bytes, nr_errors;
};

/**
 * Makes a device, and tries out on a page of its own, or behind the file's end, whether the way works here. MADV_DONTNEED and
 * MADV_FREE of several ranges are one process_madvise() where that is possible (tried out, too: Linux 6.13 and later, if no
 * filter of system calls forbids it).
 * @param out  need not be initialised
 * @return PFA_OK; PFA_EINVAL: cfg, among them a pool that is a shared mapping with any way but PUNCH; PFA_ENOTSUP: the way does
 *         not work here; PFA_ENOMEM: no page to try it out.
 * @context any thread. @cost some system calls.
 */
PFA_NODISCARD PFA_API int pfa_discard_init(struct pfa_discard *out, const struct pfa_discard_config *cfg);

/**
 * Describes it, for pfa_report_register(): report, ctx, discards, zeroes (DONTNEED, PUNCH), all else default. min_order may be
 * lowered as far as a block is still whole pages of the system, naturally aligned in memory, too; where it is not, and where the
 * pool does not have a frame, report() fails with EINVAL.
 *
 * A system call that fails is an error of the device, whatever errno says: ENOMEM, EAGAIN, EPERM, EINTR (nothing is tried again at
 * once), EINVAL (locked memory, say). What was done before it counts as told, nothing behind it does; a call that did only a part
 * of its ranges likewise. The library tells the rest again later.
 */
PFA_API void pfa_discard_device(struct pfa_discard *discard, struct pfa_device *out);

/** Events so far; they wrap. */
struct pfa_discard_stats {
	size_t calls;  /**< system calls */
	size_t ranges; /**< ranges given to them: blocks side by side are one */
	size_t bytes;  /**< that were given back */
	size_t errors; /**< system calls that failed, or did only a part */
	int err;       /**< errno of the last one of these; 0: none, or it did only a part */
	bool many;     /**< process_madvise() is used for several ranges */
};
/** @context any thread; no lock. */
PFA_API void pfa_discard_stats_get(const struct pfa_discard *discard, struct pfa_discard_stats *out);

/* ---- a host for tests ---- */

struct pfa_host_config {
	size_t size; /**< sizeof(struct pfa_host_config); a larger struct's unknown tail must be zero */
	struct pfa *pfa;      /**< with a pool that can be written to; where sanitizers know free frames, PFA_CONFIG_NO_SHADOW */
	pfa_pfn first;        /**< the frames of the pool, holes included */
	size_t nr_frames;
	uint32_t frame_shift; /**< as the instance's; default 12 */
	uint32_t capacity, min_order; /**< of the device, as in struct pfa_device; min_order must be set (PFA_EXPLICIT_0: 0) */
	uint32_t zeroes;      /**< 1: what it destroys reads as zero. 0: as a pattern that is another one in each frame. */
};

/** A host. The fields before `broken` may be read, and those that say how it behaves set, while no pass runs. */
struct pfa_host {
	/* how report() behaves; default: all is done */
	int result;      /**< what it returns */
	uint32_t done;   /**< *out_done; PFA_HOST_NOT_SET: stays as it is */
	void (*inside)(void *ctx, const struct pfa_run runs[], unsigned nr); /**< called while the frames are the host's; NULL */
	void *inside_ctx;
	/* what it saw */
	size_t nr_calls, nr_runs, nr_frames_told;
	/** The first promise that was broken: one line, static; NULL: none. */
	const char *broken;
	pfa_pfn broken_pfn;
	/* nothing else is to be used directly */
	struct pfa_host_config cfg;
	unsigned char *told;
};
#define PFA_HOST_NOT_SET UINT32_MAX

/** Bytes of memory for pfa_host_init(): one a frame. 0: the configuration is not valid. @context any. */
PFA_API size_t pfa_host_bytes(const struct pfa_host_config *cfg);

/** Makes a host that was told of nothing. @param memory  the host's as long as it is used
 *  @return PFA_OK; PFA_EINVAL: cfg, or too few bytes. @context one thread. @cost O(nr_frames). */
PFA_NODISCARD PFA_API int pfa_host_init(struct pfa_host *out, const struct pfa_host_config *cfg, void *memory, size_t bytes);

/**
 * Describes it, for pfa_report_register(), without delay.
 *
 * Its report() looks at what report.h promises of a batch (number, order of size and of address, alignment, range; each frame
 * held, none told twice without a grant in between that pfa_host_granted() knows of), overwrites all of it, and finds it
 * unchanged after `inside` returned. Frames of blocks that it does not accept (result, done) are destroyed as well.
 */
PFA_API void pfa_host_device(struct pfa_host *host, struct pfa_device *out);

/**
 * To be called for each block after it was granted, before it is written to, or a frame of it freed, where one thread does all of
 * it: the content is what the host has left there, if it was told.
 * @param zeroed  it was asked for with PFA_ZERO: all of it reads as zero
 * @return PFA_OK; PFA_EINVAL: not frames of the host's; PFA_ECORRUPT: host->broken says what. @cost a pass over the frames.
 */
PFA_NODISCARD PFA_API int pfa_host_granted(struct pfa_host *host, struct pfa_run run, bool zeroed);

/** Everything that the library holds for told is free and was told. @return PFA_OK; PFA_ECORRUPT: host->broken says what.
 *  @context no other call may be in flight. @cost O(nr_frames). */
PFA_NODISCARD PFA_API int pfa_host_check(struct pfa_host *host);

/** The host forgets all: to be called with pfa_report_unregister() or _suspend(). @cost O(nr_frames). */
PFA_API void pfa_host_forget(struct pfa_host *host);

#ifdef __cplusplus
}
#endif
#endif
