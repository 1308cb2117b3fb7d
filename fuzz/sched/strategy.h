/* SPDX-License-Identifier: MIT
 *
 * strategy.h - who chooses the schedule; and how the schedule of a finding is made short.
 */
#ifndef SCHED_STRATEGY_H
#define SCHED_STRATEGY_H

#include "sched.h"

/* Each thread runs until it blocks or ends; then the next one in turn. */
void sched_by_default(struct sched_strategy *s);

/* What another run chose, or an edited list of it. Events that do not apply (the thread never gets there, the target cannot
 * run) are passed over. */
struct sched_replay {
	struct sched_strategy base;
	const struct sched_event *events;
	size_t nr;
	size_t at[SCHED_THREADS]; /* each thread's next */
};
void sched_by_replay(struct sched_replay *s, const struct sched_event *events, size_t nr);

/* Bytes of a fuzzer, from the end of the input: a gap, then what to do there. Missing and zero bytes change nothing. */
struct sched_bytes {
	struct sched_strategy base;
	const uint8_t *data;
	size_t left;
	uint32_t next; /* in points of all threads */
	unsigned stale, stale_left; /* of the next so many loads that could: none waits for ever for what was stored */
};
void sched_by_bytes(struct sched_bytes *s, const uint8_t *data, size_t size);

/* Random gaps, whose mean (4, 16, 64) changes from run to run. */
struct sched_random {
	struct sched_strategy base;
	uint64_t state;
	uint32_t mean, next;
};
void sched_by_random(struct sched_random *s, uint64_t seed);

/* Random order, and nobody is preempted: a random thread begins, and where one waits or ends a random one goes on. What this finds
 * needs no concurrency. Reads the newest values only. */
void sched_by_order(struct sched_random *s, uint64_t seed);

/* Probabilistic concurrency testing: random priorities, and depth - 1 points at which the running thread gets the lowest one.
 * A bug of that depth is found by a run with a probability of at least 1 / (threads * steps^(depth - 1)). */
#define SCHED_PCT_DEPTH 8u
struct sched_pct {
	struct sched_strategy base;
	uint64_t state;
	unsigned depth;
	uint32_t steps; /* of the last run that ended by itself */
	uint32_t changes[SCHED_PCT_DEPTH];
	int priority[SCHED_THREADS];
	int lowest;
};
void sched_by_pct(struct sched_pct *s, uint64_t seed, unsigned depth);
double sched_pct_bound(const struct sched_pct *s, unsigned nr_threads);

/* One thread goes on only where no other one can, from its n-th point on; n and the thread change from run to run, until each
 * thread was starved at each of its points. */
struct sched_starve {
	struct sched_strategy base;
	unsigned victim;
	uint32_t from;
	bool reached; /* in this run */
	unsigned nr_threads;
};
void sched_by_starving(struct sched_starve *s);

/* All schedules with at most `bound` deviations: preemptions, older values read. Who runs where several can and the running one
 * cannot go on is tried out freely. Starts with the default; `end` says when all were run. */
#define SCHED_DEPTH 10u
#define SCHED_SLOTS (1u << 15)
struct sched_all {
	struct sched_strategy base;
	unsigned bound;
	bool incomplete; /* a run had more slots, or a schedule more deviations, than there is room for */
	unsigned nr;     /* deviations of this run */
	unsigned taken;  /* of these, so far */
	uint32_t slot;   /* places for a deviation that were passed in this run */
	struct {
		uint32_t slot;
		uint8_t alternative;
	} path[SCHED_DEPTH];
	uint32_t nr_slots[SCHED_DEPTH + 1];
	/* For the run with the first i deviations: how many alternatives each slot has; top bit: they are free. */
	uint8_t slots[SCHED_DEPTH + 1][SCHED_SLOTS];
};
void sched_by_all(struct sched_all *s, unsigned bound);

/* For whoever uses one after the other. */
union sched_any {
	struct sched_strategy base;
	struct sched_replay replay;
	struct sched_bytes bytes;
	struct sched_random random;
	struct sched_pct pct;
	struct sched_starve starve;
	struct sched_all all;
};

/* Replaces a result with a finding by one with as few deviations as can be found soon, that finds the same (the finding and its
 * text). With the options, budget included, under which it was found. */
void sched_shrink(const struct sched_program *program, const struct sched_options *options, struct sched_result *result);

#endif
