/* SPDX-License-Identifier: MIT
 *
 * lib_run.h - programs of the real library for the explorer: a small instance in an arena, and threads that use it as legal
 * callers do.
 *
 * Checked while it runs: no frame has two owners; content is ordered from one owner to the next (the race detector sees the
 * owners' accesses); nothing is told to platform.fatal; calls answer what they may. Afterwards: everything freed and drained,
 * pfa_check(), and nothing is missing.
 */
#ifndef SCHED_LIB_RUN_H
#define SCHED_LIB_RUN_H

#include "sched.h"

#define LIB_FRAMES 128u
#define LIB_OPS 12u
#define LIB_LIVE 16u

enum lib_op_kind {
	LIB_END,
	LIB_ALLOC,       /* a block of order a */
	LIB_FREE,        /* the thread's a-th live block, counted round and round; none: nothing */
	LIB_BULK,        /* a blocks of order 0 */
	LIB_EXACT,       /* a frames */
	LIB_SPLIT,       /* the thread's a-th live block into frames */
	LIB_GIVE,        /* the thread's a-th live block to all threads */
	LIB_TAKE_FREE,   /* frees one of those */
	LIB_FREE_TWICE,  /* frees the shared block, which everybody does: one of them wins */
	LIB_SPLIT_SHARED, /* splits it instead, which is one more to win or lose against those */
	LIB_HANDLE,      /* makes the shared block's handle */
	LIB_FREE_HANDLE, /* frees the shared block by that, which everybody does, whatever is granted meanwhile */
	LIB_READ_HISTORY, /* of the first a frames that were granted */
	LIB_DRAIN,       /* cpu a's cache; LIB_ALL: all */
	LIB_PURGE,       /* the caches of the pageblock of frame a */
	LIB_DISABLE,
	LIB_ENABLE,
	LIB_SERVICE,
	LIB_STATS,       /* reads all that there is to read */
	LIB_WALK,        /* over free blocks of order a; the visitor allocates and frees a frame */
	LIB_CHECK,       /* pfa_check() while the others go on */
	LIB_LATER,       /* a seconds go by */
	LIB_ISOLATE,     /* holds the pageblocks of 16 frames from the 8 a-th on, looks, and gives them up */
	LIB_CONTIG,      /* takes those frames, and frees them */
	LIB_MOVABLE,     /* a movable block of order a */
	LIB_FREE_MOVABLE, /* under its page lock, wherever it is */
	LIB_PIN,         /* pins and unpins a movable block of any thread */
	LIB_MIGRATE,     /* all movable blocks of all threads */
	LIB_COMPACT,
	LIB_DESTROY,     /* ends the owner of movable blocks, if it has none any more; a times tried */
	LIB_KINDS
};
#define LIB_ALL 255u

struct lib_op {
	uint8_t kind, a;
	uint32_t flags;
};

#define LIB_TIGHT (1u << 0)     /* PFA_ENOMEM may be right */
#define LIB_CONTESTED (1u << 1) /* the threads free or split one block at once */
#define LIB_RELEASED (1u << 2)  /* isolate() frees the block that it is asked about */
#define LIB_HANDLES (1u << 3)   /* blocks have generations */
#define LIB_HISTORY (1u << 4)   /* each frame's last two events are kept */

struct lib_program {
	const char *name;
	unsigned nr_threads;
	unsigned nr_cpus;
	unsigned hardening;
	unsigned cache_high; /* 0: no caches */
	unsigned flags;      /* LIB_TIGHT .. */
	struct lib_op setup[LIB_OPS];
	struct lib_op threads[3][LIB_OPS];
};

extern const struct lib_program lib_programs[];
extern const unsigned nr_lib_programs;

/* Valid until the next call: the program, ready to be run. */
const struct sched_program *lib_program(const struct lib_program *program);

#endif
