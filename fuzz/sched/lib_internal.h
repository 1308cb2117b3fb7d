/* SPDX-License-Identifier: MIT
 *
 * lib_internal.h - what the parts of lib_run.h share: the instance, what its callers own, their calls.
 */
#ifndef SCHED_LIB_INTERNAL_H
#define SCHED_LIB_INTERNAL_H

#include "lib_run.h"

#include <pfa/harden.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>

#define LIB_BASE 64u      /* the first frame: not 0, so that offsets and pfns differ */
#define LIB_SHIFT 6u      /* small frames: every byte of the content is watched */
#define LIB_PB_SHIFT 6u
#define LIB_PAGEBLOCKS (LIB_FRAMES >> LIB_PB_SHIFT)
#define LIB_NOBODY 0u
#define LIB_EVENTS 64u    /* of a program with a history */
#define LIB_RANGE 16u     /* frames that are isolated, or taken as a range, at once */
#define LIB_SHARED 4u     /* slots of shared and movable blocks */
#define LIB_MOVERS 8u
#define LIB_TRIES 64u     /* of a caller that follows a moving block */

struct lib_block {
	pfa_pfn pfn;
	unsigned order;
};

/* All that is restored before a run, besides the instance and its frames. */
struct lib_state {
	struct lib_block live[SCHED_THREADS][LIB_LIVE];
	unsigned nr_live[SCHED_THREADS];
	struct lib_block shared[LIB_SHARED];
	unsigned nr_shared;
	unsigned step[SCHED_THREADS];   /* the operation that a thread is at, from 1; 0: set-up */
	uint32_t published;             /* what orders a hand-over */
	uint32_t op_time;               /* points of owners' ops */
	uint32_t tags[LIB_EVENTS];      /* what lib_tag() said, by the number of the event, from 1 */
	uint32_t nr_tags;
	struct pfa_handle handle;       /* of the shared block */
	bool contested, won;            /* somebody frees or splits the shared block; and has done so */
	bool destroyed;                 /* the owner of movable blocks is no more */
	struct lib_block movers[LIB_MOVERS];
	bool movable[LIB_MOVERS];       /* the slot is in use, and nobody is freeing its block */
	uint8_t pins[LIB_FRAMES];       /* of the block that begins there, by callers whose pfa_pin() has returned */
	uint8_t owner[LIB_FRAMES];      /* 1 + thread, LIB_NOBODY */
	uint32_t since[LIB_FRAMES];     /* time of the last grant */
	uint32_t time;                  /* counts grants, walks, operations and what is held */
	uint32_t began[SCHED_THREADS];  /* time of each thread's operation */
	uint32_t held[LIB_PAGEBLOCKS];  /* time at which a pageblock was isolated; 0: it is not */
};

struct lib {
	const struct lib_program *program;
	struct sched_program run;
	struct pfa *pfa;
	pfa_owner mover;
	unsigned char *memory, *content;
	size_t bytes;
	struct lib_state now, first;
	struct pfa_sim first_sim;
	unsigned char *first_memory;
	unsigned char first_content[LIB_FRAMES << LIB_SHIFT];
	bool made;
};
extern struct lib lib;

/* Does what an operation says. */
void lib_op(unsigned self, const struct lib_op *op);

/* ---- lib_calls.c ---- */

/* A grant: the frames are nobody's, and their content can be written. And its end, before the call that gives it back. */
void lib_own(unsigned self, const struct lib_block *b);
void lib_disown(const struct lib_block *b);
/* The thread's live blocks. lib_take: false if it has none. */
void lib_keep(unsigned self, pfa_pfn pfn, unsigned order);
bool lib_take(unsigned self, unsigned nth, struct lib_block *out);
/* A finding unless the code is legal. */
void lib_expect(const char *call, int code, bool legal);
/* The same, of a request: whether it was granted. */
bool lib_granted(const char *call, int code, uint32_t flags);
/* The operations of the same names. */
void lib_free(const struct lib_block *b);
void lib_bulk(unsigned self, unsigned nr);
void lib_exact(unsigned self, unsigned nr);
void lib_split(unsigned self, unsigned nth);
void lib_give(unsigned self, unsigned nth);
void lib_take_free(void);
void lib_win(unsigned self, enum lib_op_kind kind);
void lib_read_history(unsigned nr_frames);
void lib_look(void);
void lib_walk(unsigned self, unsigned order);
void lib_check(unsigned level);
void lib_isolate(unsigned at);
void lib_contig(unsigned self, unsigned at);

/* ---- lib_movers.c: movable blocks, whose cookie is their slot ---- */

int lib_make_owner(void);
void lib_movable(unsigned self, unsigned order);
void lib_free_movable(void);
void lib_pin(unsigned nth);
void lib_migrate(void);
void lib_compact(void);
void lib_destroy(unsigned tries);

#endif
