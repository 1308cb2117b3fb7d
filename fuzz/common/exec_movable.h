/* SPDX-License-Identifier: MIT
 *
 * exec_movable.h - what exec_movable.c (operations on movable blocks), exec_migrate.c (moves) and exec_owner.c (the scripted
 * owner, which watches every call of its ops) share. There is one, set up anew with each instance.
 */
#ifndef FUZZ_EXEC_MOVABLE_H
#define FUZZ_EXEC_MOVABLE_H

#include "exec_ops.h"
#include "model_contig.h"
#include "model_movable.h"
#include "model_past.h"

enum { OWNER_ISOLATE, OWNER_MIGRATE, OWNER_PUTBACK, OWNER_OPS };

struct exec_owner {
	struct exec_run *run;
	unsigned index;
	pfa_owner handle;
	struct {
		unsigned says, says_left, does, does_left;
		bool says_ever, does_ever;
	} script[OWNER_OPS];
};

/* One attempt to move one block, from the call of isolate() on. */
struct exec_move {
	struct exec_move *outer;  /* moves nest: a destination policy may move blocks */
	unsigned slot;            /* MODEL_NO_BLOCK: isolate() was not called yet */
	pfa_pfn src;
	unsigned order;
	enum pfa_migrate_mode mode;
	uint32_t flags;           /* where to, unless by callback: */
	bool by_take;
	unsigned take;
	bool take_lied;           /* the callback gave what is no destination */
	bool gives;               /* there is a give() */
	bool took, gave;
	int isolate_said;
	bool asked, isolated;
	unsigned tries;
	int said;                 /* by migrate() last */
	bool has_dst, dst_released;
	pfa_pfn dst;
	bool moved, putback, stopped; /* stopped: released while it was the mover's */
	bool left_locked;
	bool corrupt;             /* the destination was written after its free */
	bool compacts;            /* begun by the library: compaction */
};

/* The moves that compaction began since the step, or what is made up after it, began. */
struct exec_pass {
	size_t number;                    /* of the step */
	bool meddled;                     /* ops freed, allocated or pinned something meanwhile; or there was more than one pass */
	size_t blocks, frames;            /* moved */
	size_t refused, refused_frames;   /* by their owner */
};

#define EXEC_LIST 64u

/* Blocks that are moved in one call of pfa_migrate(): which of them the next move is of shows when its isolate() is called. */
struct exec_list {
	pfa_pfn head[EXEC_LIST];
	int expected[EXEC_LIST];
	size_t nr, next;       /* from here on nothing is known yet */
	size_t current;        /* whose move it is that runs, if any does */
	bool by_take;
	unsigned take;
	struct exec_move move;
};

/* A call of pfa/contig.h, and the moves that it makes. Which block each is of shows when its isolate() is called. */
struct exec_contig {
	bool ranged;              /* which pageblocks it holds is known; else (end 0: anywhere) it looks in these: */
	unsigned zone;
	pfa_pfn start, end;
	bool edges;               /* what reaches over their edges is to be moved; else what has a frame of the range */
	bool fixed;               /* nothing is */
	bool held;                /* nothing was in the way for good: the call holds them */
	bool may_hold;            /* that is not known: what is bad may be so only once caches and quarantines are empty */
	bool takes_bad;           /* bad frames are in nobody's way */
	bool parts;               /* it takes part after part: what it took is nobody's, and allocated, until it ends */
	struct exec_move move;
	bool moves;               /* that one runs, or ran last */
	size_t nr, failed;        /* moves; those that came to nothing; */
	bool last_failed;         /* and the last one: */
	int last;
	struct pfa_blocker why;
};

#define EXEC_TOKENS_KEPT 16u

/* Isolations that the program has, oldest first. */
struct exec_holds {
	pfa_token token[EXEC_TOKENS_KEPT];
	unsigned nr;
	pfa_token stale;
};

#define EXEC_EXTRAS 32u
#define EXEC_MADE 16u

/* An operation that was made up between the steps. */
struct exec_made {
	struct prog_op op;
	size_t after;             /* this step */
	bool ended, skipped;
	int code;
};

struct exec_movables {
	struct model_movables mm;
	struct exec_owner owner[MODEL_OWNERS];
	pfa_owner stale;
	struct exec_move *move;       /* innermost */
	struct exec_list *list;       /* NULL: no such call */
	struct exec_contig *contig;   /* likewise */
	struct exec_holds holds;
	struct exec_move compacting;  /* the one that compaction began last */
	struct exec_pass pass;
	unsigned inside;              /* ops that are running */
	bool broken;                  /* a finding was made inside of a call */
	unsigned told;                /* faults that the current call, or move of compaction, must tell; */
	unsigned nr_told;             /* and that such a move has told */
	uint32_t kinds;
	uint32_t stale_area;          /* handle of the CMA area that was destroyed last; 0: none was */
	pfa_pfn extra[EXEC_EXTRAS];   /* single frames that owners allocated inside of ops */
	unsigned nr_extra;
	uint64_t dice;                /* deterministic choices of what owners do */
	size_t calls[OWNER_OPS];
	struct exec_made made[EXEC_MADE]; /* the last ones */
	size_t nr_made;               /* ever */
};

extern struct exec_movables exec_mov;
extern const struct pfa_owner_ops exec_owner_ops;

/* Within a call into the allocator: keeps the first finding; exec_movable_call_ends() returns false then. */
void exec_mov_fail(struct exec_run *run, const char *monitor, const char *what, pfa_pfn pfn, size_t expected, size_t actual);
/* After a call: what it told is what it had to tell. */
bool exec_mov_call_ends(struct exec_run *run);
/* A call from inside of another one answered as it must. told: run->nr_told before it. */
void exec_mov_inside(struct exec_run *run, struct expectation e, int code, unsigned told, pfa_pfn pfn, const char *what);
/* The source that the mover has was released between two ops, and he lets go of it. */
void exec_mov_let_go(struct exec_run *run, struct exec_move *move);
/* Frames that were freed. */
void exec_mov_unowned(struct exec_run *run, pfa_pfn pfn, unsigned order);
/* A block was freed with the answer OK. */
void exec_mov_freed(struct exec_run *run, unsigned slot);
/* Somebody let go of it. */
void exec_mov_dropped(struct exec_run *run, unsigned slot);
/* The thread that runs, as holders of page locks are counted. */
static inline unsigned exec_mov_self(const struct exec_run *run)
{
	return run->thread + 1u;
}
/* Hostile: owners and policies break promises that are told to platform.fatal. Not under policy ABORT: the call would be
 * left by longjmp from the middle of it. */
static inline bool exec_mov_hostile(const struct exec_run *run)
{
	return !run->p->config.abort_policy && !(run->ops->lacks & SUT_NO_MISUSE);
}
/* Where the faults that are told now are counted: those of compaction apart from those of the call that it is done for. */
static inline unsigned *exec_mov_nr_told(struct exec_run *run)
{
	return exec_mov.move && exec_mov.move->compacts ? &exec_mov.nr_told : &run->nr_told;
}
/* A single frame more, or less, that belongs to the owners. */
void exec_mov_extra_alloc(struct exec_run *run);
void exec_mov_extra_free(struct exec_run *run);

void exec_mov_begin(struct exec_move *move, pfa_pfn src, enum pfa_migrate_mode mode);
/* exec_compact.c: a move that compaction begins, and ends; it is successful, with the block still at its source. */
void exec_compact_begins(struct exec_run *run, pfa_pfn src, enum pfa_migrate_mode mode);
bool exec_compact_ends(struct exec_run *run);
void exec_compact_moves(struct exec_run *run, struct model_movable *b);
void exec_pass_begins(void);
/* A destination, or another block, is an owner's from now on. */
void exec_mov_owned(struct exec_run *run, pfa_pfn pfn, unsigned order);
bool exec_compact(struct exec_run *run, const uint64_t *a);
/* A refusal for want of a destination, before the owner's putback() can free anything: was there really none? */
bool exec_mov_judge_nomem(struct exec_run *run, struct exec_move *move);
/* The destination of a move is nobody's again. */
void exec_mov_forget_dst(struct exec_run *run, struct exec_move *move);
bool exec_migrate(struct exec_run *run, uint64_t at, uint64_t nr, uint64_t mode, uint32_t flags);
bool exec_migrate_to(struct exec_run *run, const uint64_t *a);
bool exec_migrate_list(struct exec_run *run, const uint64_t *a);
/* The move of the list that begins now. False: none does, it is another's. */
bool exec_list_begins(struct exec_run *run, pfa_pfn src);
/* Everything that must be true once the mover has let go; then the model lets go, too. What the result must be. */
bool exec_mov_settle(struct exec_run *run, struct exec_move *move, int *expected);
/* exec_contig.c: the move that a call of pfa/contig.h begins now. */
void exec_contig_begins(struct exec_run *run, pfa_pfn src, enum pfa_migrate_mode mode);
/* Calls of pfa/contig.h that are forbidden inside of ops, and one that is not. */
void exec_contig_inside(struct exec_run *run, pfa_pfn head, unsigned which);
/* exec_plug.c: calls of pfa/hotplug.h and pfa/cma.h that are forbidden inside of ops. */
void exec_plug_inside(struct exec_run *run, pfa_pfn head, unsigned which);
bool exec_migrate_raw(struct exec_run *run, const uint64_t *a);

#endif
