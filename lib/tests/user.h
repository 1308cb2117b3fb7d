/* SPDX-License-Identifier: MIT
 *
 * A user of a small instance whose metadata somebody damages: makes legitimate calls only, at random, and knows which frames
 * are its own. What it is granted twice, or from outside, has escaped.
 */
#ifndef USER_H
#define USER_H

#include "rig.h"

enum { USER_FRAMES = 512, USER_BLOCKS = 64, USER_STEPS = 160 };

struct user {
	struct rig rig; /* first */
	bool rich;      /* history, generations, known-zero frames; at level 3 a quarantine and guards: with all arrays */
	struct rng rng;
	/* Must not return. */
	void (*escaped)(const struct user *user, const char *what, pfa_pfn pfn);
	unsigned char owned[2 * USER_FRAMES];
	struct {
		pfa_pfn pfn;
		unsigned order;
	} blocks[USER_BLOCKS];
	unsigned nr_blocks;
};

/* Two zones, two cpus, a hole, CMA, a reserve; half of USER_STEPS are made. */
void user_start(struct user *user, uint32_t level, uint64_t seed);

/* One call. Blocks whose free is refused as misuse stay the user's for ever. */
void user_step(struct user *user);

/* To be called after pfa_repair(). */
void user_repaired(struct user *user);

#endif
