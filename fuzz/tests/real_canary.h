/* SPDX-License-Identifier: MIT
 *
 * real_canary.h - canaries of the oracles of exec_real.h: each breaks a call of an owner, of a device or of the library. On the seeds of
 * a folder the oracle that is named must be what is found first on one of them, and the same seeds are fine without a canary.
 */
#ifndef FUZZ_REAL_CANARY_H
#define FUZZ_REAL_CANARY_H

#include "exec_real.h"

struct real_canary {
	const char *name, *monitor;
	struct real_calls breaks;  /* what is not NULL */
};

/* The calls as they are. */
extern struct real_calls real_sound;

/* Runs them all over argv[1]. What main() returns. */
int real_canaries(int argc, char **argv, const struct real_canary canaries[], size_t nr_canaries);

#endif
