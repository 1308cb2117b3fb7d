/* SPDX-License-Identifier: MIT
 *
 * internal.h - what the parts of the runtime share: the running thread, vector clocks, checks, points.
 */
#ifndef SCHED_INTERNAL_H
#define SCHED_INTERNAL_H

#include "sched.h"

/* A vector clock. A thread's own entry counts its releases, from 1; an epoch is one value of it. 0: never. */
struct clock {
	uint32_t at[SCHED_THREADS];
};

static inline void clock_join(struct clock *to, const struct clock *from)
{
	for (unsigned i = 0; i < SCHED_THREADS; i++)
		to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

static inline bool clock_is_zero(const struct clock *c)
{
	return !(c->at[0] | c->at[1] | c->at[2] | c->at[3]);
}

static inline bool clock_before(const struct clock *a, const struct clock *b)
{
	unsigned later = 0;
	for (unsigned i = 0; i < SCHED_THREADS; i++)
		later |= a->at[i] > b->at[i];
	return !later;
}

enum sched_access {
	SCHED_READ,
	SCHED_WRITE,
	SCHED_ATOMIC_READ,
	SCHED_ATOMIC_WRITE
};

/* What happens at a point, for the hash. */
enum sched_step {
	SCHED_STEP_LOAD = 1,
	SCHED_STEP_STORE,
	SCHED_STEP_CHANGE, /* read-modify-write, also one that fails */
	SCHED_STEP_CPU,
	SCHED_STEP_NOW,
	SCHED_STEP_ZERO,
	SCHED_STEP_WAIT,
	SCHED_STEP_WAKE,
	SCHED_STEP_PLAIN
};

struct sched_running {
	/* The running thread's stack, which needs no checks. Outside of runs everything: one comparison tells both. */
	uintptr_t stack_low, stack_bytes;
	/* The program's own constants. */
	uintptr_t constant_low, constant_bytes;
	unsigned self;
	bool on;             /* a logical thread runs */
	bool weak, races, all_points;
	uint32_t generation; /* of the run; tables are emptied by counting it up */
	uint64_t hash;
	uint64_t accesses;
	struct clock clocks[SCHED_THREADS];
	const void *pc;      /* of the instrumented code's last call in */
	const void *other;   /* for sched_result */
	/* What sched_watch() was told. */
	uintptr_t watch_low, watch_bytes;
	const uint32_t *watch_bits;
	uint32_t touched;
};
extern struct sched_running sched_now;

static inline void sched_mix(uint64_t value)
{
	uint64_t h = (sched_now.hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	sched_now.hash = h ^ (h >> 29);
}

/* A point: others may run before it returns. What is done at the point must be read from memory after it. */
void sched_point(enum sched_step what);
/* How far back to read, of nr possible values. */
unsigned sched_choose_stale(unsigned nr);
/* A finding: ends the run if a thread runs. */
void sched_found(enum sched_finding finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* locks.c. A lock is numbered from 1 on; 0 is none. */
void lock_begin(const struct sched_program *program);
void lock_taken(unsigned lock);
void lock_released(unsigned lock); /* before others can see it */
void lock_called(const char *what, unsigned may_hold);
/* A plain write to what is watched. */
void lock_touched(uintptr_t addr, size_t bytes);

void race_begin(void);
/* Notes and checks an access of the running thread. */
void race_access(uintptr_t addr, size_t bytes, enum sched_access access);

void place_begin(void);
/* Before the threads: the word of 4 bytes is this lock. */
void place_is_lock(uintptr_t addr, unsigned lock);
uint64_t place_load(uintptr_t addr, unsigned bytes, int order);
void place_store(uintptr_t addr, unsigned bytes, uint64_t value, int order);
/* Read-modify-write: the old value; the new one is change(old, operand). */
uint64_t place_change(uintptr_t addr, unsigned bytes, uint64_t (*change)(uint64_t old, uint64_t operand), uint64_t operand,
                      int order);
/* True: it was `expected` and is `desired` now. *old: what was read. */
bool place_exchange_if(uintptr_t addr, unsigned bytes, uint64_t expected, uint64_t desired, int order, int fail_order,
                       uint64_t *old);

#endif
