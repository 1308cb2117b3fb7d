/* SPDX-License-Identifier: MIT
 *
 * pfa/sim.h - platform/sim: a world made of variables. Time, cpu, thread, waiting, zeroing and randomness
 * are what the driver says; every call is counted. For tests, fuzzers, simulators and replay.
 *
 * A struct pfa_sim is driven by one thread (logical threads are fibers, or a plain variable: set self and
 * cpu when changing from one to the other). No globals, no malloc, no libc: equal seeds and equal drivers
 * give equal runs. The fields may be read and set directly at any time between calls, and inside hooks.
 * Hooks follow the rules of platform.h: they must not call libpfa on the instance, except by switching to
 * another fiber that does.
 */
#ifndef PFA_SIM_H
#define PFA_SIM_H

#include <pfa/platform.h>
#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Faults that are kept: the last PFA_SIM_FAULTS. */
#define PFA_SIM_FAULTS 8u
/** Room for a fault's message and function, terminating zero included; longer ones are cut. */
#define PFA_SIM_TEXT 160u

/** Which op was called, for pfa_sim.on_op. */
enum pfa_sim_op {
	PFA_SIM_CPU = 0,
	PFA_SIM_SELF,
	PFA_SIM_WAIT,
	PFA_SIM_WAKE,
	PFA_SIM_NOW,
	PFA_SIM_ZERO,
	PFA_SIM_RANDOM,
	PFA_SIM_FATAL,
	PFA_SIM_TAG,
	PFA_SIM_LOG,
	PFA_SIM_BACKTRACE,
	PFA_SIM_OPS
};

/** A copy of a struct pfa_fault. */
struct pfa_sim_fault {
	int code;
	enum pfa_fault_kind kind;
	pfa_pfn pfn;
	unsigned order;
	char message[PFA_SIM_TEXT];
	char function[PFA_SIM_TEXT]; /**< empty if the fault named none */
};

struct pfa_sim {
	/* ---- the world, set by the driver ---- */
	uint64_t now_ns;            /**< what the clock says */
	uint64_t tick_ns;           /**< added to now_ns after each reading of the clock; default 0 */
	uint32_t self;              /**< the current thread's id; default 1 */
	uint32_t tag;               /**< what the op tag says */
	/** What the op backtrace says. NULL: nothing. */
	const uintptr_t *trace;
	size_t trace_nr;
	uint32_t cpu;               /**< the current cpu, any value, also out of range */
	/** Not NULL: each call of the cpu op sets cpu to the next of these, round and round: a thread that
	 *  migrates all the time. */
	const uint32_t *cpu_script;
	size_t cpu_script_nr;       /**< 0: as if cpu_script were NULL */
	size_t cpu_script_at;       /**< index of the next; out of range: 0 is */
	uint64_t random_state;      /**< splitmix64 */

	/* ---- zeroing ---- */
	uint32_t frame_shift;       /**< as in the configuration; 0 (default): zero only counts */
	/** Not NULL: here the frames lie, whatever address the core names (none, if config.pool is NULL).
	 *  Frames outside are not zeroed but counted in nr_zero_outside. NULL: the core's address is used. */
	unsigned char *pool;
	size_t pool_bytes;
	pfa_pfn pool_pfn;           /**< the frame at pool */

	/* ---- hooks, each may be NULL ---- */
	void *ctx;                  /**< for the driver */
	/** Before each op takes effect: a scheduling point. May change anything here, or switch fibers. */
	void (*on_op)(struct pfa_sim *sim, enum pfa_sim_op op);
	/**
	 * The u32 at addr equals value: the caller would block until a wake on addr or until_ns. The
	 * driver may advance the clock, run another fiber, or just return (a spurious wake). Returns what
	 * wait returns: PFA_OK or PFA_EDEADLK. NULL: if until_ns is finite the clock is advanced to it
	 * (PFA_OK, nr_timeout); else it is a deadlock, since nobody else runs (PFA_EDEADLK, nr_deadlock).
	 */
	int (*on_wait)(struct pfa_sim *sim, const void *addr, uint32_t value, uint64_t until_ns);
	/** Every waiter on addr is to be woken. */
	void (*on_wake)(struct pfa_sim *sim, const void *addr);
	/** The fault is recorded. May leave by longjmp (policy ABORT); if it returns, the op returns. */
	void (*on_fatal)(struct pfa_sim *sim, const struct pfa_fault *fault);

	/* ---- what happened ---- */
	size_t nr_ops[PFA_SIM_OPS]; /**< calls of each op */
	size_t nr_wait_mismatch;    /**< waits that returned at once: the value was another one */
	size_t nr_timeout;          /**< waits that the default policy ended by advancing the clock */
	size_t nr_deadlock;         /**< waits that the default policy refused */
	size_t nr_zero_frames;      /**< frames that the zero op was asked for */
	size_t nr_zero_outside;     /**< of these, frames outside pool */
	struct pfa_run last_zero;   /**< the last run that the zero op was asked for */
	char last_log[PFA_SIM_TEXT]; /**< the last line that was logged, cut to fit */
	size_t nr_faults;           /**< since pfa_sim_init() or pfa_sim_forget(); see pfa_sim_fault() */
	struct pfa_sim_fault faults[PFA_SIM_FAULTS];
};

/** Fills *sim with zeroes, self 1, and the seed. @context any. */
PFA_API void pfa_sim_init(struct pfa_sim *sim, uint64_t seed);

/** Fills *out with ops on *sim (ctx), which must stay where it is while they are in use. Ops may be replaced
 * or set to NULL afterwards. */
PFA_API void pfa_sim_platform(struct pfa_sim *sim, struct pfa_platform *out);

/** Advances the clock; it stops at UINT64_MAX - 1 (UINT64_MAX means "never"). */
PFA_API void pfa_sim_advance(struct pfa_sim *sim, uint64_t ns);

/** A recorded fault: 0 is the last, 1 the one before. NULL: none, or no longer kept. */
PFA_API const struct pfa_sim_fault *pfa_sim_fault(const struct pfa_sim *sim, size_t back);

/** Forgets the faults and zeroes all counters; the world and the hooks stay. */
PFA_API void pfa_sim_forget(struct pfa_sim *sim);

#ifdef __cplusplus
}
#endif
#endif
