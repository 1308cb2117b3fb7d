/* SPDX-License-Identifier: MIT
 *
 * pfa/report.h - free page reporting: a device (the host's kernel, a hypervisor) is told which blocks are free, so that it can take
 * their memory back until they are used again.
 *
 * Needs PFA_CONFIG_REPORTING, and a library that was not compiled with -DPFA_WITHOUT_REPORTING. Told are free blocks of the
 * device's min_order and more which have a frame that it was not told of since that frame was last allocated. That is known of
 * each frame, so merging and splitting make no second report; a unit of 2^min_order frames of which a part was used again is
 * told as a whole.
 *
 * A free of such a block, once it is part of free memory (not in a per-CPU cache or a quarantine), requests a pass. The pass begins
 * `delay_ns` after the first pfa_service() that sees the request, by the platform's clock, and goes once upward through all zones:
 * so it ends however fast others free, and what comes free behind it waits for the next pass, as long again.
 * A batch is taken out of the free memory of a zone (counted as held_report), told without any lock, and put back. It never takes
 * a zone below its low mark, nor more than a quarter of what is free there (or one unit). Then it is marked as known to the
 * device. A told block is last in the order of use: no grant is from a pageblock that is wholly told while another one of its zone
 * and type that fits is not. (Windows and contiguous ranges are taken where they were asked for; and a request looks at no more than 256
 * pageblocks.)
 *
 * Content. A device that discards makes told frames lose theirs: what level 3 poisoned is then not verified when such a frame is
 * granted, unless the device zeroes and so did the poison. With a zeroing device and known-zero tracking, PFA_ZERO does not zero told frames again.
 *
 * Inside report() the device may call pfa_alloc...(), pfa_free...(), queries, statistics, checks. pfa_service(), pfa_fini() and
 * everything here return PFA_EDEADLK there. With more than one thread platform.self is required.
 *
 * In the child of a fork() there is no device: it is the parent's. Nothing is marked there, and what was held is free.
 */
#ifndef PFA_REPORT_H
#define PFA_REPORT_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFA_REPORT_CAPACITY 32u           /**< default: ranges a batch */
#define PFA_REPORT_CAPACITY_LIMIT 256u
#define PFA_REPORT_DELAY_NS 2000000000u   /**< default */
#define PFA_REPORT_BACKOFF_LIMIT 6u       /**< after errors in a row a pass waits delay << 1, << 2, .. << this */
#define PFA_REPORT_RETRY_NS 1000000u      /**< what is shifted where the delay is shorter */

/** A device. Fields of 0 mean the default. */
struct pfa_device {
	size_t size;          /**< sizeof(struct pfa_device); a larger struct's unknown tail must be zero */
	/**
	 * Told of a batch: nr blocks, each of a power of two of frames, at least 2^min_order, naturally aligned, ascending. They are
	 * nobody's until it returns. No lock is held.
	 * @param out_done  to be set where not all were done: the first *out_done were
	 * @return PFA_OK: *out_done were told, all of them if it was not set; anything else is an error: none, or as many as it was
	 *         set to. More than nr: a broken promise, none counts. What was not told is free again, and told again later.
	 */
	int (*report)(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done);
	void *ctx;
	uint32_t capacity;    /**< ranges a batch, 1 .. PFA_REPORT_CAPACITY_LIMIT; default 32 */
	uint32_t min_order;   /**< default: the pageblock's, max_order at most; PFA_EXPLICIT_0: 0 */
	uint64_t delay_ns;    /**< default 2 s; PFA_EXPLICIT_0: none */
	uint32_t discards;    /**< 1: told frames lose their content */
	uint32_t zeroes;      /**< 1: and read as zero afterwards. Needs discards */
	struct pfa_run only;  /**< only blocks inside this range; nr_frames 0: all */
	uint64_t bytes_per_s; /**< at most so many bytes a second, on average over a second or one batch; up to 2^33; 0: no limit */
};

/**
 * Registers the device of this instance; every free block is unknown to it. A pass is requested.
 * @param device  copied
 * @return PFA_OK; PFA_EBUSY: there is one, or a pass or another of these calls runs just now; PFA_EINVAL: size, report, or a
 *         field; PFA_ENOTSUP: without PFA_CONFIG_REPORTING; PFA_EDEADLK: inside report(), an owner's op, or low_memory.
 * @context zone locks, for a bounded time each. @cost O(frames / 512).
 */
PFA_NODISCARD PFA_API int pfa_report_register(struct pfa *pfa, const struct pfa_device *device);

/**
 * Ends it: waits for a batch in flight, then report() is not called any more, and nothing is known of what it was told.
 * @return PFA_OK; PFA_EINVAL: there is none; PFA_EBUSY: a batch is in flight, and the platform cannot wait; PFA_ENOTSUP;
 *         PFA_EDEADLK as pfa_report_register().
 * @context waits for the device; zone locks. @cost O(frames / word).
 */
PFA_NODISCARD PFA_API int pfa_report_unregister(struct pfa *pfa);

/** As pfa_report_unregister(), but the device stays registered, and is told of nothing until pfa_report_resume().
 *  @return the same codes; PFA_EINVAL also: it is suspended. */
PFA_NODISCARD PFA_API int pfa_report_suspend(struct pfa *pfa);

/** Goes on, as if the device had just been registered. @return PFA_OK; PFA_EINVAL: there is none, or it is not suspended;
 *  PFA_EBUSY: another of these calls runs just now; PFA_ENOTSUP; PFA_EDEADLK as pfa_report_register(). */
PFA_NODISCARD PFA_API int pfa_report_resume(struct pfa *pfa);

/**
 * A pass now, whatever the delay and the rate. What caches and quarantines hold is not free (pfa_cache_drain()).
 * @return PFA_OK: everything was told that was free before the call; PFA_EAGAIN: but what a zone's low mark or its holder
 *         forbids, or what the device left of a batch; PFA_EDEVICE: the device told nothing of a batch (the other zones had
 *         their turn); PFA_EBUSY: a pass runs just now, or the device is being unregistered; PFA_EINVAL: there is no device, or it
 *         is suspended; PFA_ECORRUPT: a zone refuses (the others had their turn); PFA_ENOTSUP; PFA_EDEADLK as pfa_report_register().
 * @context zone locks; the device runs in this thread. @cost proportional to what is not told yet.
 */
PFA_NODISCARD PFA_API int pfa_report_flush(struct pfa *pfa);

#ifdef __cplusplus
}
#endif
#endif
