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

#define LIB_FRAMES 256u   /* most */
#define LIB_SHIFT 6u      /* small frames: their content is watched */
#define LIB_ORDERS 7u     /* largest order, and largest pageblock */
#define LIB_CPUS 4u
#define LIB_HANDLES 32u   /* results of a program */
#define LIB_BLOCKS 8u     /* of a result */
#define LIB_NOBODY 0u
#define LIB_DEVICE 255u
#define LIB_EVENTS 256u   /* of a program with a history */
#define LIB_MOVERS 8u
#define LIB_TRIES 64u     /* of a caller that follows a moving block */

struct lib_block {
	uint32_t pfn, order;
};

/* What an operation was granted, and others use. */
struct lib_handle {
	uint32_t nr;
	struct lib_block blocks[LIB_BLOCKS];
	struct lib_block race;    /* the block that several free or split at once */
	struct pfa_handle token;  /* of the first block */
	bool contested, won;      /* somebody frees or splits that; and has done so */
	bool has_token;
};

/* All that is restored before a run, besides the instance and its frames. */
struct lib_state {
	struct lib_handle handles[LIB_HANDLES];
	uint64_t done;                  /* lines that have ended */
	uint32_t progress;              /* changes with it: what lines that wait for others wait for */
	uint32_t line[SCHED_THREADS];   /* that a thread is at; LIB_LINES: none */
	uint32_t op_time;               /* points of owners' ops and of the device */
	uint32_t tags[LIB_EVENTS];      /* what lib_tag() said, by the number of the event, from 1 */
	uint32_t nr_tags;
	uint32_t declaring, destroying; /* threads that make a block movable, or end the owner */
	uint32_t naming;                /* orders calls that name the owner */
	uint32_t disables;              /* of the caches, not yet taken back */
	bool destroyed;                 /* the owner of movable blocks is no more */
	bool device;                    /* one may be told something */
	uint32_t releases;              /* blocks that isolate() is still to free */
	struct lib_block movers[LIB_MOVERS];
	bool movable[LIB_MOVERS];       /* the slot is in use, and nobody is freeing its block */
	bool claimed[LIB_MOVERS];       /* somebody waits for the page lock to free it */
	uint8_t pins[LIB_FRAMES];       /* of the block that begins there, by callers whose pfa_pin() has returned */
	uint8_t owner[LIB_FRAMES];      /* 1 + thread, LIB_NOBODY */
	uint32_t since[LIB_FRAMES];     /* time of the last grant */
	bool told[LIB_FRAMES];          /* the device was, since the last grant */
	unsigned unit;                  /* order of the smallest block that it wants to be told of */
	uint32_t time;                  /* counts grants, walks, operations and what is held */
	uint32_t began[SCHED_THREADS];  /* time of each thread's operation */
	uint32_t held[LIB_FRAMES >> 6]; /* time at which a pageblock was isolated; 0: it is not */
};

/* A line of the program, and what it has to do with others. */
struct lib_line {
	const struct prog_op *op;
	uint64_t waits;         /* for these lines to end */
	bool awaited;           /* by other threads */
	uint8_t yields, uses;   /* handles; LIB_HANDLES: none */
};

struct lib {
	const struct program *program;
	struct sched_program run;
	struct lib_line lines[LIB_LINES];
	unsigned nr_lines, nr_handles, first; /* first: after the set-up */
	bool lenient;           /* a request may find no memory */
	bool contested;         /* several threads may end one block */
	bool unprotected;       /* and it has no token: whoever is granted its frames could lose them. So nobody is, after the set-up */
	uint32_t base, frames, pageblock_order, max_order;
	struct pfa *pfa;
	pfa_owner mover;
	unsigned char *memory, *content;
	size_t bytes;
	struct lib_state now, first_state;
	struct pfa_sim first_sim;
	unsigned char *first_memory;
	unsigned char first_content[LIB_FRAMES << LIB_SHIFT];
	bool made;
};
extern struct lib lib;

/* ---- lib_plan.c: what lines wait for, and what the configuration becomes ---- */

void lib_plan(const struct program *program, bool lenient);
/* An operation that ends a block that others end at once. In the set-up it does nothing. */
bool lib_is_race(unsigned kind);
struct pfa_config;
struct pfa_zone_config;
void lib_configure(const struct prog_config *from, struct pfa_zone_config *zone, struct pfa_config *to);

/* ---- lib_calls.c ---- */

/* A grant: the frames are nobody's, and their content can be written. And its end, before the call that gives it back. */
void lib_own(unsigned self, const struct lib_block *b);
void lib_disown(const struct lib_block *b);
/* The frame's pageblock was isolated before the running thread's operation began: who began to ask then gets nothing of it. */
bool lib_is_held(pfa_pfn pfn);
void lib_not_held(pfa_pfn pfn);
/* Adds a block that was granted; takes the nth of them, counted round and round: false if there is none. */
void lib_keep(unsigned self, struct lib_handle *h, pfa_pfn pfn, unsigned order);
bool lib_take(struct lib_handle *h, unsigned nth, struct lib_block *out);
/* A finding unless the code is legal. */
void lib_expect(const char *call, int code, bool legal);
/* The same, of a request: whether it was granted. */
bool lib_granted(const char *call, int code, uint32_t flags);
/* Requests; what is granted becomes the handle's. */
void lib_alloc(unsigned self, struct lib_handle *h, unsigned order, uint32_t flags, bool checked);
void lib_bulk(unsigned self, struct lib_handle *h, unsigned order, unsigned nr, uint32_t flags);
void lib_exact(unsigned self, struct lib_handle *h, unsigned nr, unsigned align, uint32_t flags);
/* Frees blocks of a handle as the operation of this kind does. */
void lib_free(enum prog_kind how, struct lib_handle *h, unsigned nth, unsigned nr);
void lib_split(unsigned self, struct lib_handle *h, unsigned nth, unsigned to);
void lib_win(unsigned self, struct lib_handle *h, enum prog_kind kind);
void lib_token(struct lib_handle *h);
void lib_read_history(pfa_pfn pfn, unsigned max);

/* ---- lib_locks.c ---- */

extern const struct sched_locks lib_locks;
/* Once an instance is made; and before each run of it. */
void lib_find_locks(void);
void lib_name_locks(void);
/* The library calls us, and may hold no lock then but the reporter's. */
void lib_called(const char *what);

/* ---- lib_looks.c ---- */

void lib_look(void);
void lib_walk(unsigned self, unsigned order);
void lib_check(unsigned level);
void lib_repair(void);
void lib_isolate(pfa_pfn first, size_t nr);
void lib_contig(unsigned self, pfa_pfn first, size_t nr);
void lib_report(enum prog_kind kind, unsigned order);
/* In the end: a device, if there is one, comes to know of all that is free. */
void lib_all_told(void);

/* ---- lib_movers.c: movable blocks, whose cookie is their slot ---- */

int lib_make_owner(void);
void lib_movable(struct lib_handle *h, unsigned nth);
void lib_free_movable(unsigned nth);
void lib_pin(unsigned nth);
void lib_migrate(void);
void lib_compact(unsigned order);
void lib_destroy(unsigned tries);
/* Before an op or the device returns: others may go on. */
void lib_takes_time(void);

#endif
