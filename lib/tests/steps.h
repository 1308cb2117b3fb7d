/* SPDX-License-Identifier: MIT
 *
 * Included before anything else into the core when lib/tests/test_bounds.c is built: counts the steps of every loop, so that
 * no loop can be forgotten. A step is one iteration of any loop, or 64 bytes begun of a memcpy, memset or memmove.
 */
#ifndef STEPS_H
#define STEPS_H

/* Before the keywords change their meaning. */
#include "atomic.h"
#include "compiler.h"

#include <pfa/config.h>

/* 1, always. */
int pfai_step(void);
void pfai_step_bytes(size_t bytes);

/* Nobody's else can get lost: the loop's body is the else of the `if`. */
#define for(...) for (__VA_ARGS__) if (!pfai_step()) {} else
/* Iterations, not looks at the condition; and do { } while (0) is none. */
#define while(...) while ((__VA_ARGS__) && pfai_step())

#define memcpy(to, from, nr) (pfai_step_bytes(nr), (memcpy)((to), (from), (nr)))
#define memmove(to, from, nr) (pfai_step_bytes(nr), (memmove)((to), (from), (nr)))
#define memset(to, byte, nr) (pfai_step_bytes(nr), (memset)((to), (byte), (nr)))

#endif
