/* SPDX-License-Identifier: MIT
 *
 * pfa/posix.h - platform/posix: a hosted process. Ops, mapped memory, one-call set-up, a background worker.
 *
 * Everything here is optional: the ops can be taken alone (pfa_posix_platform()), or the mappings, or all
 * of it at once (pfa_posix_create()). Written for Linux, where waiting is a futex, the cpu id comes from
 * rseq or sched_getcpu(), and pools may lie in a memfd; elsewhere (or built with PFA_POSIX_PLAIN) plain
 * POSIX.1-2008 is used: waiting is a short sleep, the cpu id is spread from the thread's id, memfd pools
 * answer PFA_ENOTSUP.
 *
 * Not promised yet:
 * - fork() of an instance that pfa_posix_fork_safe() does not know: the child of a process with several threads must not
 *   call libpfa on it (a thread that does not exist in the child may hold a lock); exec and _exit are fine. Nor may a
 *   child use an instance whose pool it shares with its parent, unless it was said to be shared.
 * - a worker in the child: there is none. Its struct may be given to pfa_posix_worker_start() again, not to _stop().
 * - signal handlers: no function here may be called from one, except where its @context says so (pfa_posix_explain(),
 *   pfa_posix_set_tag(), the op fatal). Of the core: lib/docs/locking.md, "Signal handlers".
 * - several processes on one instance: metadata is private to a process (futexes are private, ids are per
 *   process).
 * - vfork(), and clone() without the C library: the handlers of fork do not run.
 * - unloading: code that was linked into a dlopen()ed object must not be unloaded while threads that used
 *   it live.
 *
 * Errors of system calls become results thus, with errno kept beside them (field err, and failed names the
 * call): ENOMEM, EAGAIN, EMFILE, ENFILE, ENOSPC, EFBIG, EOVERFLOW: PFA_ENOMEM. EINVAL, EBADF: PFA_EINVAL.
 * ENOSYS, EOPNOTSUPP, ENODEV, EPERM, EACCES: PFA_ENOTSUP. EDEADLK: PFA_EDEADLK. Anything else: PFA_EDEVICE.
 */
#ifndef PFA_POSIX_H
#define PFA_POSIX_H

#include <pfa/config.h>
#include <pfa/platform.h>
#include <pfa/types.h>

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- ops ---- */

/**
 * Fills *out with the ops of this process: cpu, self, wait, wake, now_ns, random, guard, fatal, tag, log, and where
 * the C library has backtrace() that too; zero is left to the default (memset). Single ops may be replaced afterwards; ctx is not used by them.
 * - self: a small id that no other live thread has, taken at a thread's first call and given back when it
 *   ends.
 * - wait, now_ns: CLOCK_MONOTONIC.
 * - random: getrandom(), else /dev/urandom, else a mix of clocks, ids and addresses.
 * - guard: mprotect() of frames that are whole system pages, PROT_NONE and back to readable and writable (whatever it was
 *   before: where a pool is PFA_POSIX_RESERVE, a guard's frame is committed from then on); smaller frames stay touchable.
 *   Each guard adds two mappings, of which a process may have only so many (Linux: vm.max_map_count, 65530 where nobody
 *   changed it: about 16000 guarded blocks). Beyond that further guards can be touched, and nothing fails here; but other
 *   mappings of the process do. Keeps errno.
 * - fatal: writes one line "libpfa: <message>" to standard error with one write() (longer than 500 bytes:
 *   cut), then a line for each event of the fault's history, keeps errno, and returns. Async-signal-safe.
 * - tag: what the thread has set with pfa_posix_set_tag().
 * - log: a line "libpfa: <text>" as above.
 * - backtrace: glibc's backtrace(), which may call malloc() the first time. Says nothing in the child of a process that had
 *   threads, where unwinding could wait for a thread that is not there (pfa_posix_fork_safe()'s handlers tell it).
 * @context any thread, any time.
 */
PFA_API void pfa_posix_platform(struct pfa_platform *out);

/** Cpus that this system may ever have, 1 .. 4096: the natural config.nr_cpus. @cost reads files; not for
 * hot paths. */
PFA_API uint32_t pfa_posix_nr_cpus(void);

/**
 * Where the C library keeps the cpu id that the kernel maintains (rseq), for config.cpu_offset.
 * @return the offset from the thread pointer; 0 where there is none: no registration for the calling thread
 *         (old libc, valgrind, qemu-user), or no thread pointer for this compiler and processor (x86-64 and
 *         aarch64 have one). A thread that is not registered though this one is reads an id out of range,
 *         and its calls go past the caches.
 * @context any thread.
 */
PFA_API ptrdiff_t pfa_posix_cpu_offset(void);

/**
 * Sets the calling thread's tag, which the history (config.history) notes with each grant and free: 0 at first.
 * @return the tag before. @context any thread; async-signal-safe where thread-local variables are.
 */
PFA_API uint32_t pfa_posix_set_tag(uint32_t tag);

/* ---- addresses explained ---- */

/**
 * Adds an instance to those that pfa_posix_explain() knows; pfa_posix_create() does it for instances with an
 * addressable pool. In builds with AddressSanitizer, its reports on an address in the pool of such an instance are
 * followed by that explanation (this takes over its error report callback).
 * @return PFA_OK; PFA_ENOMEM: 64 are watched already.
 * @context any thread. pfa_posix_unwatch() must be called before the instance's memory goes away.
 */
PFA_API int pfa_posix_watch(struct pfa *pfa);

/** Takes it away again, once; nothing happens if it is not there. @context any thread. */
PFA_API void pfa_posix_unwatch(struct pfa *pfa);

/**
 * Writes to standard error, if ptr points into the pool of a watched instance, the frame's state as
 * pfa_frame_text() gives it, and its history where there is one: the newest event first, one line each.
 * @return PFA_OK; PFA_ERANGE: in no watched instance's zones, nothing was written.
 * @context any, also signal handlers (of SIGSEGV, say); the instance's memory must stay meanwhile.
 */
PFA_API int pfa_posix_explain(const void *ptr);

/* ---- mapped memory ---- */

#define PFA_POSIX_ANON 0u             /**< private anonymous memory; reads as zero, takes room when touched */
#define PFA_POSIX_MEMFD (1u << 0)     /**< shared mapping of a memfd (region.fd); reads as zero */
#define PFA_POSIX_RESERVE (1u << 1)   /**< addresses only (PROT_NONE) until pfa_posix_commit() */
#define PFA_POSIX_HUGE (1u << 2)      /**< base aligned to 2 MiB; asks for huge pages if it can */
/* for pfa_posix_create() only */
#define PFA_POSIX_NO_POOL (1u << 8)   /**< frames have no addresses: map no pool */
#define PFA_POSIX_NO_RSEQ (1u << 9)   /**< ask the op for the cpu id even where rseq is registered */
#define PFA_POSIX_GUARD (1u << 10)    /**< inaccessible memory around each array of the metadata, constants read-only */
#define PFA_POSIX_SEAL (1u << 11)     /**< with GUARD: for good (mseal). Never undone: see pfa_posix_create() */
#define PFA_POSIX_FORK (1u << 12)     /**< pfa_posix_fork_safe(), shared if the pool is a memfd made here */

/** Memory that pfa_posix_map() made. Zero-filled: none. */
struct pfa_posix_region {
	void *base;         /**< NULL: none */
	size_t bytes;       /**< as asked for; the mapping is rounded up to whole system pages */
	size_t map_bytes;
	int fd;             /**< the memfd, close-on-exec; -1: none */
	unsigned flags;     /**< as given */
	int err;            /**< errno of the call that failed last, 0: none */
	const char *failed; /**< its name ("mmap"), NULL: none */
};

/**
 * Maps bytes of zeroes. Nothing is touched, and memory is not reserved where the kernel lets one choose:
 * pools may be larger than the machine's memory.
 * @param out    filled in; on failure only err and failed mean something, and nothing stays mapped or open
 * @param bytes  >= 1
 * @param align  0, or a power of two: base is a multiple of it (of the system's page size in any case)
 * @param flags  PFA_POSIX_ANON or _MEMFD | _RESERVE | _HUGE
 * @return PFA_OK; PFA_EINVAL: bytes, align or flags; PFA_ENOMEM, PFA_ENOTSUP, PFA_EDEVICE as in the table
 *         above.
 * @context any thread.
 */
PFA_NODISCARD PFA_API int pfa_posix_map(struct pfa_posix_region *out, size_t bytes, size_t align,
                                        unsigned flags);

/**
 * Makes [offset, offset + bytes) of a region readable and writable; what was not committed before reads
 * as zero.
 * @param offset, bytes  multiples of the system's page size, inside map_bytes; bytes >= 1
 * @return PFA_OK; PFA_EINVAL; PFA_ENOMEM and others as in the table above: a part may be committed.
 * @context any thread; calls on overlapping ranges are the caller's to order.
 */
PFA_NODISCARD PFA_API int pfa_posix_commit(struct pfa_posix_region *region, size_t offset, size_t bytes);

/**
 * Gives the memory of [offset, offset + bytes) back to the system; the addresses stay reserved (PROT_NONE).
 * @return as pfa_posix_commit(); on failure the content is kept.
 */
PFA_NODISCARD PFA_API int pfa_posix_decommit(struct pfa_posix_region *region, size_t offset, size_t bytes);

/**
 * Unmaps and closes, and leaves *region zero-filled but for fd (-1), err and failed. A region of nothing
 * is fine.
 * @return PFA_OK; PFA_EINVAL or PFA_EDEVICE: a call failed (see err). After a failed munmap() the region is
 *         as before; after a failed close() it is gone.
 */
PFA_NODISCARD PFA_API int pfa_posix_unmap(struct pfa_posix_region *region);

/* ---- an instance in one call ---- */

/** An instance with its memory. May be moved (copied) between calls; no worker must run then. */
struct pfa_posix {
	struct pfa *pfa;                 /**< NULL: none */
	struct pfa_posix_region meta;    /**< the instance's metadata */
	struct pfa_posix_region pool;    /**< zero-filled if the caller brought the pool, or wanted none */
	pfa_pfn pool_pfn;                /**< the frame at pool.base */
	enum pfa_config_problem problem; /**< what was wrong with the configuration, if anything */
	unsigned index;                  /**< which zone */
	int err;                         /**< errno of the system call that failed, 0: none */
	const char *why;                 /**< what failed: one line, static; set by pfa_posix_create() */
	void *sealed;                    /**< what no one can unmap or change before the process ends; NULL: nothing */
	size_t sealed_bytes;
};

/**
 * Maps metadata and a pool, and makes an instance. Of the configuration, these fields are filled in where
 * they are zero: platform (pfa_posix_platform()), nr_cpus (pfa_posix_nr_cpus()), cpu_offset
 * (pfa_posix_cpu_offset(), only with the platform filled in too), pool, pool_bytes and pool_pfn (a pool
 * from the lowest to the highest frame of the zones, holes included). PFA_CONFIG_ZEROED_META is set, and
 * PFA_CONFIG_ZEROED_POOL too for a pool that is mapped and committed here. With PFA_POSIX_HUGE, blocks of
 * up to 2 MiB are aligned to their size in the address space too.
 *
 * PFA_POSIX_GUARD: config.guard_bytes is filled in where it is zero (the system's page size). The unit before and the one
 * after each array of the metadata are inaccessible, so that what runs off its end dies there. An array is padded to
 * whole units: the first byte before it is guarded, and the first byte after its padding. What pfa_init() alone writes
 * (root with the ops, zones' shapes, capacities: "sealed" in pfa_regions()) is read-only from then on, so
 * pfa_debug_on_unlock() cannot be used. Costs address space and two to three units of memory an array.
 * PFA_POSIX_SEAL as well: the kernel is told to refuse any later change of what is read-only and of the guards around it,
 * even by this process (mseal(), Linux 6.10, 64 bits). That can never be undone, by nobody: pfa_posix_destroy() leaves this
 * part (arena.sealed_bytes, some tens of KiB) mapped until the process ends or execs. Not for programs that make and destroy
 * instances all the time. Refused where it cannot be done; see pfa_posix_can_seal().
 * @param out    filled in, also on failure (err, why, problem, index); nothing stays mapped or open then
 * @param cfg    read, not kept
 * @param flags  PFA_POSIX_*
 * @return PFA_OK; PFA_EINVAL: the configuration (see problem; PFA_CONFIG_GUARD also for guard_bytes that are no multiple of
 *         the page size), or flags (PFA_CONFIG_FLAGS); PFA_ENOTSUP: SEAL, and the kernel cannot; others as
 *         pfa_posix_map().
 * @context any thread. @cost as pfa_init() with PFA_CONFIG_ZEROED_META.
 */
PFA_NODISCARD PFA_API int pfa_posix_create(struct pfa_posix *out, const struct pfa_config *cfg,
                                           unsigned flags);

/** Does this kernel have mseal(), and may the process call it? @context any. @cost a system call. */
PFA_API bool pfa_posix_can_seal(void);

/**
 * Ends the instance and unmaps what pfa_posix_create() mapped, but for what is sealed; *arena is zero-filled afterwards
 * (fds: -1). In a child that shares the pool with its parent (PFA_POSIX_FORK) it only unmaps.
 * @return PFA_OK (also for an arena in which nothing is); PFA_EBUSY, PFA_ECORRUPT as pfa_fini(): the
 *         instance goes on; as pfa_posix_unmap(): the instance has ended, and the call may be repeated for
 *         what is still mapped.
 * @context no other call may be in flight, and no worker may run.
 */
PFA_NODISCARD PFA_API int pfa_posix_destroy(struct pfa_posix *arena);

/* ---- fork ---- */

/** Instances that pfa_posix_fork_safe() can know at one time. */
#define PFA_POSIX_FORK_LIMIT 256u

/**
 * From now on fork() takes all locks of this instance first, so that the child finds it in order: see pfa/harden.h for
 * what that means, and for what happens to calls that other threads are in. The handlers (pthread_atfork()) are the
 * process's: every thread's fork() waits for the instances' critical sections. Children inherit it.
 * @param shared  the frames are shared with the child (MAP_SHARED, a device): there the instance answers PFA_ENOTSUP
 * @return PFA_OK; PFA_EINVAL: pfa NULL, or known already; PFA_ENOMEM: PFA_POSIX_FORK_LIMIT instances are known, or as
 *         pthread_atfork() said.
 * @context any thread, not from an op. fork() may not be called from an op or a hook that holds locks.
 */
PFA_NODISCARD PFA_API int pfa_posix_fork_safe(struct pfa *pfa, bool shared);

/** Takes it back; to be called before pfa_fini() (pfa_posix_destroy() does it). @return PFA_OK; PFA_EINVAL: not known. */
PFA_NODISCARD PFA_API int pfa_posix_fork_forget(struct pfa *pfa);

/* ---- the worker ---- */

/** The longest sleep of a worker. It bounds "no need" (UINT64_MAX) too, since no one tells the worker of new
 * work. */
#define PFA_POSIX_WORKER_SLEEP_NS 10000000000u

/** A thread that calls pfa_service(). Must not move while it runs. */
struct pfa_posix_worker {
	pthread_t thread;
	struct pfa *pfa;       /**< NULL: not running */
	unsigned budget_steps;
	uint32_t signal;       /**< atomic: bit 0 stop, the rest counts kicks */
	uint32_t nr_calls;     /**< atomic: calls of pfa_service() so far (wraps) */
	int err;               /**< errno of a failed start or stop */
};

/**
 * Starts a thread, with all signals blocked but those of faults, that calls pfa_service() and sleeps
 * until the time that it names, or for PFA_SERVICE_IDLE_NS after PFA_EBUSY and PFA_ECORRUPT. The instance's
 * clock must be that of pfa_posix_platform().
 * @param out           need not be initialised
 * @param budget_steps  >= 1, steps for each call
 * @return PFA_OK; PFA_EINVAL: pfa NULL or budget_steps == 0; what pthread_create() said, as in the table
 *         above.
 * @context any thread.
 */
PFA_NODISCARD PFA_API int pfa_posix_worker_start(struct pfa_posix_worker *out, struct pfa *pfa,
                                                 unsigned budget_steps);

/** Wakes a running worker for one more round now. @context any thread, while it runs. */
PFA_API void pfa_posix_worker_kick(struct pfa_posix_worker *worker);

/**
 * Ends the thread after the call of pfa_service() that it is in, and joins it.
 * @return PFA_OK; PFA_EINVAL: not running; PFA_EDEADLK: called by the worker's own thread; nothing changed
 *         in both.
 * @context one thread.
 */
PFA_NODISCARD PFA_API int pfa_posix_worker_stop(struct pfa_posix_worker *worker);

#ifdef __cplusplus
}
#endif
#endif
