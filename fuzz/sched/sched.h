/* SPDX-License-Identifier: MIT
 *
 * sched.h - the explorer: runs 2 to 4 logical threads of instrumented code under a schedule that somebody chooses, and
 * watches them.
 *
 * The code under test is compiled with -fsanitize=thread and linked with tsan.c instead of the sanitizer's runtime. Its
 * atomics, and its calls of the platform (platform/sim, whose hooks are the scheduler's), are *points*: there, and only
 * there, another thread may go on. Plain accesses are checked for races, which makes points of them unnecessary: a race is
 * a finding by itself. fuzz/sched/README.md says what is modelled and what is not.
 *
 * One run at a time, one operating system thread. Equal programs and equal choices give equal runs: nothing depends on
 * addresses, time or what ran before.
 */
#ifndef SCHED_H
#define SCHED_H

#include <pfa/sim.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_THREADS 4u
/* Choices that one run may deviate from the default in, and that are kept to replay it. */
#define SCHED_EVENTS 4096u
#define SCHED_TEXT 240u
#define SCHED_NEVER UINT32_MAX

enum sched_kind {
	SCHED_GO_ON,   /* the default: not kept */
	SCHED_PREEMPT, /* arg: the thread that goes on; one that waits is woken without a reason */
	SCHED_MIGRATE, /* arg: the thread's cpu from here on */
	SCHED_STALE,   /* arg: how many stores before the newest one the load reads; 1 .. */
	SCHED_RUN      /* arg: the thread that goes on, where this one cannot */
};

/* One deviation from the default: at the thread's n-th point (from 1). */
struct sched_event {
	uint32_t n;
	uint8_t thread, kind, arg;
};

enum sched_finding {
	SCHED_NOTHING,
	SCHED_RACE,      /* two accesses, one of them a write and one of them plain, and no order between them */
	SCHED_DEADLOCK,  /* nobody can go on */
	SCHED_LOST_WAKE, /* the same, and one waits for a word that has changed since */
	SCHED_LIVELOCK,  /* more points than the budget allows */
	SCHED_POISONED,  /* an access to what AddressSanitizer has poisoned */
	SCHED_FAILED,    /* sched_fail() */
	SCHED_CALL_OUT,  /* the code calls somebody else while it holds a lock that it may not hold then */
	SCHED_ORDER,     /* locks are taken in several orders */
	SCHED_INVARIANT, /* a lock is given up, and what it guards is not whole */
	SCHED_LIMIT      /* more threads, places or events than this runtime has room for; or a standalone fence */
};

#define SCHED_LOCKS 16u

/* What is checked of the locks that setup() names by sched_is_lock(). A kind is a number below 8. */
struct sched_locks {
	const char *const *kinds;        /* their names */
	uint8_t may_hold[PFA_SIM_OPS];   /* mask of the kinds that may be held where the code calls this op of the platform */
	/* The running thread is about to give the lock up: what is broken, as text, or NULL. *touched collects what sched_watch() says,
	 * and is 0 at first; who has looked at that clears it. Runs unobserved, and may call the code under test. NULL: nothing to check. */
	const char *(*released)(void *ctx, unsigned kind, unsigned nr, uint32_t *touched);
};

struct sched_program {
	const char *name;
	unsigned nr_threads; /* 1 .. SCHED_THREADS */
	uint32_t nr_cpus;    /* thread t begins on cpu t % nr_cpus; 0 is 1 */
	void *ctx;
	const struct sched_locks *locks; /* NULL: there are none to check */
	/* Before the threads and after all of them ended, in that order with them; not scheduled, not checked. */
	void (*setup)(void *ctx);
	void (*finish)(void *ctx);
	void (*thread)(void *ctx, unsigned self);
};

/* What happened at a thread's n-th point, for those who want to see it. */
enum sched_watched {
	SCHED_SEE_SWITCH,  /* arg goes on instead */
	SCHED_SEE_WAIT,    /* it waits, and arg goes on */
	SCHED_SEE_END,     /* it has ended, and arg goes on */
	SCHED_SEE_MIGRATE, /* it is on cpu arg now */
	SCHED_SEE_STALE    /* a load reads what was stored arg stores before the newest */
};

struct sched_options {
	void (*watch)(enum sched_watched what, unsigned thread, uint32_t n, unsigned arg, const void *pc);
	bool weak;       /* loads may read older values than the newest one */
	bool no_races;   /* races are no findings: to see what else comes of one */
	bool all_points; /* plain accesses of instrumented code are points, too */
	uint32_t budget; /* points of a run, at most; 0: 1,000,000 */
};

struct sched_result {
	enum sched_finding finding;
	char text[SCHED_TEXT];
	const void *pc;       /* where it was found; NULL: not in instrumented code */
	const void *other;    /* of CALL_OUT where the lock was taken, of ORDER where they were taken in the other order; else NULL */
	uint64_t hash;        /* of the run: which thread did what at which point, and what it read */
	uint32_t steps;       /* points of all threads */
	uint64_t accesses;    /* plain and atomic ones that were checked */
	uint32_t points[SCHED_THREADS];
	size_t nr_events;
	struct sched_event events[SCHED_EVENTS]; /* in the order in which they took effect */
};

/* What a strategy may look at. */
struct sched_view {
	unsigned nr_threads;
	uint32_t nr_cpus;
	unsigned self;     /* the thread that is at a point, or cannot go on */
	uint32_t n;        /* its points so far, this one included */
	uint32_t steps;    /* points of all threads so far */
	unsigned runnable; /* mask of other threads that can go on */
	unsigned waiting;  /* mask of other threads that wait for a word */
	uint32_t cpu;      /* of self */
};

struct sched_choice {
	enum sched_kind kind; /* GO_ON, PREEMPT or MIGRATE; what does not apply is GO_ON */
	unsigned arg;
};

/* All but `point` and `gap` may be NULL: then the default is chosen. */
struct sched_strategy {
	const char *name;
	bool ask_on_wake; /* `point` is asked at the next point after a thread became runnable */
	void (*begin)(struct sched_strategy *s, const struct sched_view *view);
	/* In how many points (1 ..) `point` wants to be asked; SCHED_NEVER. Asked for after every change of the thread and
	 * after every `point`. */
	uint32_t (*gap)(struct sched_strategy *s, const struct sched_view *view);
	struct sched_choice (*point)(struct sched_strategy *s, const struct sched_view *view);
	/* self cannot go on: one of view->runnable, of which there are several. default_: what "as always" would be. */
	unsigned (*next)(struct sched_strategy *s, const struct sched_view *view, unsigned default_);
	/* A load may read one of nr values, 0 the newest. */
	unsigned (*stale)(struct sched_strategy *s, const struct sched_view *view, unsigned nr);
	/* After each run. False: there is nothing more to try. */
	bool (*end)(struct sched_strategy *s, const struct sched_result *result);
};

/* One run. */
void sched_run(const struct sched_program *program, struct sched_strategy *strategy, const struct sched_options *options,
               struct sched_result *out);

/* Runs until something is found, the strategy has nothing more, or max runs. */
struct sched_sum {
	uint64_t runs, steps, accesses;
	uint32_t longest;  /* points of the longest run that ended by itself */
	bool done;         /* the strategy had nothing more */
};
/* The budget of each run is 20 times the longest so far, and 1000; of the first it is that of options. True: found. */
bool sched_explore(const struct sched_program *program, struct sched_strategy *strategy,
                   const struct sched_options *options, uint64_t max_runs, struct sched_sum *sum,
                   struct sched_result *last);

const char *sched_finding_name(enum sched_finding finding);

/* ---- for the code that is run ---- */

/* The world of the current run: setup() takes its platform from here. Only the hooks on_op, on_wait and on_wake, self, cpu
 * and now_ns are the scheduler's. */
struct pfa_sim *sched_sim(void);
/* A promise was broken. Does not return in a thread; in setup and finish it does, and the first one counts. */
void sched_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As the platform's ops; usable by code that has no platform. */
void sched_wait(const void *addr, uint32_t value, uint64_t until_ns);
void sched_wake(const void *addr);
/* For setup(): the word is lock nr of this kind, and 0 where nobody holds it. */
void sched_is_lock(const void *word, unsigned kind, unsigned nr);
/* For setup(): a plain write of instrumented code to the i-th 8 bytes from start adds bits[i] to what `released` is told. */
void sched_watch(const void *start, size_t bytes, const uint32_t *bits);
/* The code under test calls somebody, who is `what`: of these kinds of locks it may hold any, of others none. */
void sched_called(const char *what, unsigned may_hold);
/* A plain access by code that is not instrumented, checked as if it were. */
void sched_touch(const void *addr, size_t bytes, bool write);
/* Everything before each call with this word is ordered with what comes after every later one: how code that is not
 * instrumented hands something over. A point. */
void sched_order(uint32_t *word);

#endif
