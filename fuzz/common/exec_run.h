/* SPDX-License-Identifier: MIT
 *
 * exec_run.h - one run of a program: what exec.c, exec_ops.c, exec_oracle.c and exec_report.c share.
 *
 * There is one struct exec_run; it is large, static, and set up anew for each run. Functions that judge return false
 * after they have filled in run->finding, and everybody above them returns false at once.
 */
#ifndef FUZZ_EXEC_RUN_H
#define FUZZ_EXEC_RUN_H

#include <setjmp.h>

#include <pfa/sim.h>

#include "exec.h"
#include "setup.h"

#define EXEC_NONE UINT32_MAX
/* I13: no call takes more locks and asks the platform more often than this. The most comes from draining the caches of
 * 16 cpus block by block, and from giving back a bulk of all frames: some for each frame that there can be. */
#define EXEC_WORK_MAX (1u << 17)

/* The blocks that an operation was granted, in order, less those freed since: a list through exec_run.next, whose
 * nodes are named by the model's frame index of the block's head. */
struct exec_handle {
	uint32_t first, last, nr;
	bool had;            /* it was granted something */
	unsigned had_order;  /* its first block, for operations on ended handles */
	pfa_pfn had_pfn;
	bool has_token;      /* of pfa_alloc_checked() or pfa_handle_of() */
	struct exec_token {
		struct pfa_handle handle;
		uint32_t birth;  /* of the block, as the model counts */
	} token;
};

#define EXEC_TOKENS 16u
#define EXEC_POKES 16u

/* A request that was made in this step, for the judgements that need the counters after it. */
struct exec_asked {
	bool asked;
	struct request r;
	bool cut; /* granted out of a larger block */
	int code;
	bool granted;        /* at least one block */
	unsigned zone;       /* of the grant, if there was one only */
	bool single;
	size_t nr_frames;    /* of the grant, if there was one only */
	bool would_ok;       /* pfa_would_succeed said so before */
	bool would_asked;
	bool compacted;      /* owners' ops were called in it, which may free what the request does not see */
	size_t refused_inside; /* requests that owners made there, in vain; */
	size_t drains_inside;  /* and what these drained before */
};

struct exec_run {
	const struct program *p;
	const struct exec_options *o;
	struct exec_result *r;
	const struct sut_ops *ops;
	struct sut *sut;
	struct setup setup;
	struct pfa_sim sim;
	struct pfa_platform platform;
	struct model m;
	struct pfa_zone_stats now[MODEL_ZONES], before[MODEL_ZONES];
	struct pfa_stats totals;             /* of the instance, as they were last read */
	uint32_t told_misuses;               /* calls refused as misuse since then */
	bool have_stats;
	bool stale;          /* frees were made since `now` was read */
	struct exec_handle handle[PROG_OPS_MAX];
	struct exec_token tokens[EXEC_TOKENS]; /* the last ones made */
	unsigned nr_tokens;                    /* ever made */
	int history_code;                      /* what pfa_history() answered last */
	bool events_known;                     /* the model knows of each event */
	bool threads_known;                    /* and under which thread's id it is */
	size_t logged, logged_frames;          /* lines that platform.log was told, and frames that they speak of */
	uint32_t next[MODEL_FRAMES];
	pfa_pfn pfn_of[MODEL_FRAMES];
	unsigned char order_of[MODEL_FRAMES];
	uint64_t stamp[MODEL_FRAMES];
	struct pfa_run window;
	struct exec_step step;
	struct exec_asked asked;
	pfa_pfn touched_first, touched_end;  /* frames that this step granted or freed; empty if first >= end */
	bool must_be_unchanged;              /* an illegal call was made: nothing may have changed */
	bool any_highatomic;
	bool made;                           /* the step is over; what runs is made up (exec_made.c) */
	size_t steps_bound;                  /* most steps under a lock that this run may have caused */
	unsigned disabled;                   /* nesting of cache_disable */
	uint32_t initial_hash;               /* of the text of buddyinfo after init */
	bool have_digest;                    /* o->prove_unchanged, and the operation is an illegal one: */
	uint64_t digest;                     /* of the state before the step */

	/* what platform.fatal was told during the current call */
	jmp_buf jump;
	bool jump_armed;
	unsigned nr_told;
	struct pfa_fault told;
	/* the cpu of the thread, and the fault plan */
	uint32_t cpu[PROG_THREADS_MAX];
	unsigned thread;
	struct { uint64_t at, times; bool armed, sticky; } fault[8];
	bool tracks_zero;                    /* fresh frames are known to be zero, and no cache can forget it */
	bool in_zero;                        /* a request with PFA_ZERO is in flight: the zero op may be called */
	pfa_pfn zeroed_first;
	size_t zeroed_nr, zeroed_again;      /* frames that the zero op was told of; of these, already zero */
	size_t unlocks;
	size_t work;                         /* of the current call: zone locks taken, and questions to the platform */
	bool overran;                        /* it was more than EXEC_WORK_MAX: the call was left */
	/* what service may and must do */
	uint32_t cpus_used, cpus_active;     /* bit cpu: it made requests or frees; it did so since service was last called */
	uint32_t cpus_filled;                /* bit cpu: its cache may hold something */
	unsigned quiet;                      /* whole rounds of service, each due, since anything else was done */
	uint64_t quiet_ns;                   /* when the last of them was */
	bool quiet_broken;                   /* something else was done, or a round was cut short */
	bool rests_known;                    /* the model knows of each free, and of what empties quarantines */
	bool too_soon;                       /* this step was granted a frame that should be in quarantine: unless that was emptied */
	pfa_pfn too_soon_pfn;
	size_t too_soon_frees;               /* on its cpu since it was given back */
	size_t guards_on;                    /* as the guard op was told: so many, */
	bool guarded[MODEL_FRAMES];          /* and which */
	/* bytes that were changed after their free, and not yet found */
	struct { pfa_pfn pfn; size_t at; unsigned char value; } poked[EXEC_POKES];
	unsigned nr_poked;
	unsigned char content[MODEL_FRAMES]; /* 1: the library must know the frame's content */
	size_t corrupt;                      /* grants that were refused because of one */
	struct { pfa_pfn pfn; unsigned order; } written[EXEC_POKES]; /* the blocks that were, as told: not yet bad in the model */
	unsigned nr_written;
	bool in_fini;                        /* platform.log may be told what lives */
	const char *contract;                /* a platform op was called in a way that its contract forbids */
};

extern struct exec_run exec_one;

/* Records a finding; returns false. */
bool exec_say(struct exec_run *run, const struct verdict *v);
bool exec_fail(struct exec_run *run, const char *monitor, const char *what, pfa_pfn pfn, size_t expected,
               size_t actual);

/* A call into the allocator: clears what fatal was told; under policy ABORT fatal leaves the call by longjmp. */
#define EXEC_CALL(run, code, call)                                                                                 \
	do {                                                                                                       \
		(run)->nr_told = 0;                                                                                \
		(run)->work = 0;                                                                                   \
		(run)->jump_armed = true;                                                                          \
		if (setjmp((run)->jump) == 0)                                                                      \
			(code) = (call);                                                                           \
		else                                                                                               \
			(code) = (run)->told.code;                                                                 \
		(run)->jump_armed = false;                                                                         \
	} while (0)

/* What is done next is done on the cpu on which the thread is now. */
void exec_at_cpu(struct exec_run *run);
/* The cpu that the thread runs on, as a set; empty: past the caches. */
uint32_t exec_cpu_bit(const struct exec_run *run);
/* Does this call of a fallible site fail? */
bool exec_site_fails(struct exec_run *run, enum prog_site site);
/* A step of work inside of a call; leaves a call that does not end. */
void exec_work(struct exec_run *run);
/* The hook that counts unlocks: exec_views.c. */
void exec_unlocked(void *ctx, struct pfa *pfa, unsigned zone);

/* exec_harden.c */
void exec_harden_prepare(struct exec_run *run);      /* the ops of the platform */
void exec_judge_told(struct exec_run *run, const struct pfa_fault *fault);
bool exec_judge_events(struct exec_run *run, pfa_pfn pfn, size_t max);
/* Is a change of this frame not yet found? And it is nobody's. */
bool exec_is_poked(const struct exec_run *run, pfa_pfn pfn);
/* The frames are the program's now, or (restore) as they were. */
void exec_unpoke(struct exec_run *run, pfa_pfn pfn, size_t nr, bool restore);
bool exec_judge_guards(struct exec_run *run);
/* These frames were given back. */
void exec_content_freed(struct exec_run *run, pfa_pfn pfn, size_t nr);
/* Should a block that is granted have been refused, since one of its frames was written to after its free? */
bool exec_judge_content(struct exec_run *run, const struct request *r, pfa_pfn pfn);
/* What was told as written after its free is bad: exactly its blocks. */
bool exec_judge_written(struct exec_run *run);
bool exec_judge_logged(struct exec_run *run, size_t owned);
bool exec_stale_volley(struct exec_run *run, uint64_t dice);

/* exec_movable.c */
void exec_movable_begin(struct exec_run *run);
bool exec_judge_movable(struct exec_run *run);
bool exec_movable_end(struct exec_run *run);
bool exec_made_volleys(struct exec_run *run);         /* exec_made.c: those of exec_options.moves */
bool exec_contig_end(struct exec_run *run);          /* every hold is given up */

/* exec_plug.c, exec_cma.c: the areas of the configuration are known; what is granted of areas is released; and, when all is free, areas and
 * frames are again those of the configuration (*same: or nearly, since something cannot be had back). */
bool exec_cma_begin(struct exec_run *run);
bool exec_cma_release_all(struct exec_run *run);
bool exec_plug_end(struct exec_run *run, bool *same);

/* exec_ops.c: carries out one operation. */
bool exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index);

/* exec_misuse.c: one illegal call, made up from the state and a number. */
bool exec_volley(struct exec_run *run, uint64_t number);

/* exec_oracle.c */
bool exec_refresh(struct exec_run *run);             /* counters, and I1/I6 on them */
bool exec_refresh_types(struct exec_run *run, pfa_pfn first, pfa_pfn end);
bool exec_unchanged(struct exec_run *run);            /* since `before` and `digest` were taken */
bool exec_judge_totals(struct exec_run *run);
bool exec_after_step(struct exec_run *run, unsigned index, bool last);
bool exec_check_full(struct exec_run *run);
bool exec_check_touched(struct exec_run *run);
bool exec_stamp(struct exec_run *run, pfa_pfn pfn, size_t nr, uint32_t generation);
bool exec_verify_stamps(struct exec_run *run, pfa_pfn pfn, size_t nr);
bool exec_verify_all_stamps(struct exec_run *run);
bool exec_verify_zero(struct exec_run *run, pfa_pfn pfn, size_t nr);
void exec_owned(struct exec_run *run, pfa_pfn pfn, size_t nr);   /* legal to access from now on */
void exec_unowned(struct exec_run *run, pfa_pfn pfn, size_t nr); /* and no more */
void exec_touch(struct exec_run *run, pfa_pfn pfn, size_t nr);
uint64_t exec_digest(struct exec_run *run);
uint32_t exec_census(struct exec_run *run);
bool exec_teardown(struct exec_run *run);
unsigned char *exec_frame(struct exec_run *run, pfa_pfn pfn);

/* exec_real.c: the run of exec_options.real */
enum exec_outcome real_exec_run(struct exec_run *run, const struct program *p, const struct exec_options *o,
                                struct exec_result *out);
/* The picture of its pageblocks, as long as it is kept; 0: there is none. And its end. */
size_t real_map(char *text, size_t capacity);
void real_drop(void);

/* exec.c: makes the instance and everything that goes with it; ends it. */
bool exec_begin(struct exec_run *run);

uint64_t exec_mix(uint64_t hash, uint64_t value);
/* run->step is whole: it is told, counted, and goes into the hash of the trace. False: it was skipped. */
bool exec_step_counts(struct exec_run *run, const struct prog_op *op);

#endif
