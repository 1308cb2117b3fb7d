/* SPDX-License-Identifier: MIT
 *
 * toys.h - small programs for the explorer's own tests: with a known bug each, or known to have none.
 *
 * toys.c and litmus.c are compiled with -fsanitize=thread, as the library is; what uses them is not.
 */
#ifndef SCHED_TOYS_H
#define SCHED_TOYS_H

#include "sched.h"

#include <stdatomic.h>

struct toy {
	struct sched_program program;
	enum sched_finding finding; /* what is wrong with it */
	bool weak_only;             /* it shows only if loads may read old values */
	unsigned deviations;        /* that are enough to see it */
	bool no_races;              /* it has a race besides, which is not what it is about */
	bool all_points;            /* it shows only if plain accesses are points */
};
extern const struct toy toys[];
extern const unsigned nr_toys;

/* Litmus tests: `finding` is FAILED where the outcome that is asked about may be seen. */
extern const struct toy litmus[];
extern const unsigned nr_litmus;

/* How both are written down. */
#define LOAD(p, order) atomic_load_explicit(&(p), memory_order_##order)
#define STORE(p, value, order) atomic_store_explicit(&(p), (value), memory_order_##order)
#define ADD(p, value, order) atomic_fetch_add_explicit(&(p), (value), memory_order_##order)
#define PROGRAM(text, nr, setup_, thread_, finish_) \
	.program = { .name = text, .nr_threads = nr, .setup = setup_, .thread = thread_, .finish = finish_ }

/* nr_threads threads of toy_steps atomic additions each; nothing is wrong with it. */
extern struct sched_program toy_steps_program;
extern unsigned toy_steps;

#endif
