/* SPDX-License-Identifier: MIT
 *
 * sched.c - see sched.h: one run, from set-up to the last thread's end.
 */
#include <sys/mman.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "internal.h"

#define SCHED_STACK ((size_t)256 << 10)
#define SCHED_BUDGET 1000000u

enum sched_state { SCHED_READY, SCHED_WAITS, SCHED_ENDED };

struct sched_thread {
	struct fiber fiber;
	enum sched_state state;
	uint32_t n;    /* points so far */
	uint32_t cpu;
	/* waiting for */
	const void *addr;
	uint32_t value;
	uint64_t until_ns;
};

struct sched_running sched_now = { .stack_bytes = UINTPTR_MAX };

static struct {
	const struct sched_program *program;
	struct sched_strategy *strategy;
	struct sched_result *result;
	struct pfa_sim sim;
	struct fiber main;
	struct sched_thread threads[SCHED_THREADS];
	unsigned char *stacks;
	const struct sched_options *options;
	uint32_t budget;
	uint32_t ask_in; /* points until the strategy is asked; SCHED_NEVER */
} run;

/* ---- what the strategy sees ---- */

static struct sched_view run_view(void)
{
	struct sched_view view = {
		.nr_threads = run.program->nr_threads,
		.nr_cpus = run.program->nr_cpus ? run.program->nr_cpus : 1,
		.self = sched_now.self,
		.n = run.threads[sched_now.self].n,
		.steps = run.result->steps,
		.cpu = run.threads[sched_now.self].cpu,
	};

	for (unsigned t = 0; t < view.nr_threads; t++) {
		if (t == sched_now.self)
			continue;
		if (run.threads[t].state == SCHED_READY)
			view.runnable |= 1u << t;
		else if (run.threads[t].state == SCHED_WAITS)
			view.waiting |= 1u << t;
	}
	return view;
}

static void run_arm(void)
{
	const struct sched_view view = run_view();
	uint32_t gap = run.strategy->gap(run.strategy, &view);

	run.ask_in = gap ? gap : 1;
}

static void run_watch(enum sched_watched what, unsigned arg)
{
	if (run.options->watch)
		run.options->watch(what, sched_now.self, run.threads[sched_now.self].n, arg, sched_now.pc);
}

static void run_note(enum sched_kind kind, unsigned arg)
{
	struct sched_result *r = run.result;

	if (r->nr_events == SCHED_EVENTS) {
		sched_found(SCHED_LIMIT, "more than %u choices in one run", SCHED_EVENTS);
		return;
	}
	r->events[r->nr_events++] = (struct sched_event){
		.n = run.threads[sched_now.self].n,
		.thread = (uint8_t)sched_now.self,
		.kind = (uint8_t)kind,
		.arg = (uint8_t)arg,
	};
	sched_mix((uint64_t)0xE << 60 | (uint64_t)kind << 8 | arg);
}

/* ---- switches ---- */

static void run_outside(void)
{
	sched_now.on = false;
	sched_now.stack_low = 0;
	sched_now.stack_bytes = UINTPTR_MAX;
}

/* Makes t the running thread, in all but the fact. */
static void run_inside(unsigned t)
{
	sched_now.on = true;
	sched_now.self = t;
	sched_now.stack_low = (uintptr_t)run.threads[t].fiber.stack;
	sched_now.stack_bytes = SCHED_STACK;
	run.sim.self = t + 1;
	run.sim.cpu = run.threads[t].cpu;
	sched_mix((uint64_t)0xF << 60 | t);
	run_arm();
}

static void run_switch(unsigned to)
{
	const enum sched_state state = run.threads[sched_now.self].state;
	struct fiber *from = &run.threads[sched_now.self].fiber;

	run_watch(state == SCHED_READY ? SCHED_SEE_SWITCH : state == SCHED_WAITS ? SCHED_SEE_WAIT : SCHED_SEE_END, to);
	run_inside(to);
	fiber_switch(from, &run.threads[to].fiber);
}

static void run_leave(void)
{
	struct fiber *from = &run.threads[sched_now.self].fiber;

	run_outside();
	fiber_switch(from, &run.main);
}

void sched_found(enum sched_finding finding, const char *format, ...)
{
	struct sched_result *r = run.result;
	va_list args;

	if (r->finding == SCHED_NOTHING) {
		r->finding = finding;
		va_start(args, format);
		vsnprintf(r->text, sizeof(r->text), format, args);
		va_end(args);
		r->pc = sched_now.on ? sched_now.pc : NULL;
		r->other = sched_now.other;
	}
	if (sched_now.on)
		run_leave();
}

void sched_fail(const char *format, ...)
{
	char text[SCHED_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sched_found(SCHED_FAILED, "%s", text);
}

/* Nobody can go on, and no time will end a wait. */
static void run_stuck(void)
{
	for (unsigned t = 0; t < run.program->nr_threads; t++) {
		const struct sched_thread *w = &run.threads[t];
		if (w->state == SCHED_WAITS && *(const volatile uint32_t *)w->addr != w->value)
			sched_found(SCHED_LOST_WAKE, "t%u waits for a word that has changed, and nobody wakes it", t);
	}
	sched_found(SCHED_DEADLOCK, "deadlock: every thread that has not ended waits");
}

/* The thread whose time comes first; SCHED_THREADS: there is none. */
static unsigned run_timer(void)
{
	unsigned first = SCHED_THREADS;

	for (unsigned t = 0; t < run.program->nr_threads; t++)
		if (run.threads[t].state == SCHED_WAITS && run.threads[t].until_ns != UINT64_MAX &&
		    (first == SCHED_THREADS || run.threads[t].until_ns < run.threads[first].until_ns))
			first = t;
	return first;
}

/* The running thread cannot go on: who does? SCHED_THREADS: all have ended. Does not return where nobody can. */
static unsigned run_next(void)
{
	struct sched_view view = run_view();
	unsigned t = sched_now.self, ended = 0;

	if (run.threads[t].state == SCHED_READY)
		view.runnable |= 1u << t; /* woken before it went to sleep: cannot be, but costs nothing */
	for (unsigned i = 0; i < view.nr_threads; i++)
		ended += run.threads[i].state == SCHED_ENDED;
	if (ended == view.nr_threads)
		return SCHED_THREADS;
	if (!view.runnable) {
		t = run_timer();
		if (t == SCHED_THREADS)
			run_stuck();
		if (run.sim.now_ns < run.threads[t].until_ns)
			run.sim.now_ns = run.threads[t].until_ns;
		run.threads[t].state = SCHED_READY;
		return t;
	}
	do
		t = (t + 1) % view.nr_threads;
	while (!(view.runnable >> t & 1));
	if (!(view.runnable & (view.runnable - 1)) || !run.strategy->next)
		return t;
	unsigned chosen = run.strategy->next(run.strategy, &view, t);
	if (chosen == t || chosen >= view.nr_threads || !(view.runnable >> chosen & 1))
		return t;
	run_note(SCHED_RUN, chosen);
	return chosen;
}

/* ---- points ---- */

static void run_ask(void)
{
	const struct sched_view view = run_view();
	struct sched_choice c = run.strategy->point(run.strategy, &view);

	if (c.kind == SCHED_PREEMPT && c.arg < view.nr_threads && ((view.runnable | view.waiting) >> c.arg & 1)) {
		run_note(c.kind, c.arg);
		run.threads[c.arg].state = SCHED_READY;
		run_switch(c.arg);
		return;
	}
	if (c.kind == SCHED_MIGRATE && c.arg < view.nr_cpus && c.arg != view.cpu) {
		run_note(c.kind, c.arg);
		run_watch(SCHED_SEE_MIGRATE, c.arg);
		run.threads[sched_now.self].cpu = c.arg;
		run.sim.cpu = c.arg;
	}
	run_arm();
}

void sched_point(enum sched_step what)
{
	struct sched_thread *t = &run.threads[sched_now.self];

	t->n++;
	if (++run.result->steps > run.budget)
		sched_found(SCHED_LIVELOCK, "t%u: %u points are not enough for it to end", sched_now.self, run.budget);
	if (what >= SCHED_STEP_CPU) /* the others are mixed in with their place and value */
		sched_mix((uint64_t)what << 56);
	if (run.ask_in != SCHED_NEVER && --run.ask_in == 0)
		run_ask();
}

unsigned sched_choose_stale(unsigned nr)
{
	if (!run.strategy->stale)
		return 0;
	const struct sched_view view = run_view();
	unsigned back = run.strategy->stale(run.strategy, &view, nr);
	if (back == 0 || back >= nr)
		return 0;
	run_note(SCHED_STALE, back);
	run_watch(SCHED_SEE_STALE, back);
	return back;
}

/* ---- the world ---- */

struct pfa_sim *sched_sim(void)
{
	return &run.sim;
}

static void run_on_op(struct pfa_sim *sim, enum pfa_sim_op op)
{
	static const char *const ops[PFA_SIM_OPS] = {
		[PFA_SIM_CPU] = "cpu",       [PFA_SIM_SELF] = "self",     [PFA_SIM_WAIT] = "wait", [PFA_SIM_WAKE] = "wake",
		[PFA_SIM_NOW] = "now_ns",    [PFA_SIM_ZERO] = "zero",     [PFA_SIM_RANDOM] = "random",
		[PFA_SIM_FATAL] = "fatal",   [PFA_SIM_TAG] = "tag",       [PFA_SIM_LOG] = "log",
		[PFA_SIM_BACKTRACE] = "backtrace",
	};

	(void)sim;
	if (!sched_now.on)
		return;
	if (run.program->locks)
		lock_called(ops[op], run.program->locks->may_hold[op]);
	switch (op) {
	case PFA_SIM_CPU:
		sched_point(SCHED_STEP_CPU);
		break;
	case PFA_SIM_NOW:
		sched_point(SCHED_STEP_NOW);
		break;
	case PFA_SIM_ZERO:
		sched_point(SCHED_STEP_ZERO);
		break;
	case PFA_SIM_WAIT:
		sched_point(SCHED_STEP_WAIT);
		break;
	case PFA_SIM_WAKE:
		sched_point(SCHED_STEP_WAKE);
		break;
	default: /* of no interest to other threads */
		break;
	}
}

static int run_on_wait(struct pfa_sim *sim, const void *addr, uint32_t value, uint64_t until_ns)
{
	struct sched_thread *t = &run.threads[sched_now.self];

	(void)sim;
	if (!sched_now.on) { /* set-up and teardown are alone */
		sched_found(SCHED_DEADLOCK, "a wait where no other thread runs");
		return PFA_EDEADLK;
	}
	t->state = SCHED_WAITS;
	t->addr = addr;
	t->value = value;
	t->until_ns = until_ns;
	unsigned next = run_next();
	if (next != sched_now.self)
		run_switch(next);
	return PFA_OK;
}

static void run_on_wake(struct pfa_sim *sim, const void *addr)
{
	(void)sim;
	for (unsigned t = 0; t < run.program->nr_threads; t++)
		if (run.threads[t].state == SCHED_WAITS && run.threads[t].addr == addr) {
			run.threads[t].state = SCHED_READY;
			if (run.strategy->ask_on_wake)
				run.ask_in = 1;
		}
}

void sched_wait(const void *addr, uint32_t value, uint64_t until_ns)
{
	run_on_op(&run.sim, PFA_SIM_WAIT);
	if (*(const volatile uint32_t *)addr == value)
		run_on_wait(&run.sim, addr, value, until_ns);
}

void sched_wake(const void *addr)
{
	run_on_op(&run.sim, PFA_SIM_WAKE);
	run_on_wake(&run.sim, addr);
}

/* ---- a run ---- */

static void run_thread(void *arg)
{
	run.program->thread(run.program->ctx, (unsigned)(uintptr_t)arg);
	run.threads[sched_now.self].state = SCHED_ENDED;
	unsigned next = run_next();
	if (next == SCHED_THREADS)
		run_leave();
	run_switch(next);
	abort(); /* nobody switches to a thread that has ended */
}

/* Where the program's own constants lie: no thread writes to them. Both symbols are the linker's. */
static void run_find_constants(void)
{
#if defined(__linux__)
	extern const char __executable_start[] __attribute__((weak)), __init_array_start[] __attribute__((weak));
	if (__executable_start && __init_array_start) {
		sched_now.constant_low = (uintptr_t)__executable_start;
		sched_now.constant_bytes = (uintptr_t)__init_array_start - (uintptr_t)__executable_start;
	}
#endif
}

static void run_begin(const struct sched_options *options)
{
	if (!run.stacks) {
		run.stacks = mmap(NULL, SCHED_THREADS * SCHED_STACK, PROT_READ | PROT_WRITE,
		                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (run.stacks == MAP_FAILED) {
			perror("sched: mmap");
			exit(2);
		}
		run_find_constants();
	}
	sched_now.weak = options->weak;
	sched_now.races = !options->no_races;
	sched_now.all_points = options->all_points;
	sched_now.generation++; /* comes round after 2^32 runs: days, and then a table would have to be full of the first */
	sched_now.hash = 0;
	sched_now.accesses = 0;
	memset(sched_now.clocks, 0, sizeof(sched_now.clocks));
	race_begin();
	place_begin();
	lock_begin(run.program);
	pfa_sim_init(&run.sim, 1);
	run.sim.on_op = run_on_op;
	run.sim.on_wait = run_on_wait;
	run.sim.on_wake = run_on_wake;
}

void sched_run(const struct sched_program *program, struct sched_strategy *strategy, const struct sched_options *options,
               struct sched_result *out)
{
	const unsigned nr = program->nr_threads < SCHED_THREADS ? program->nr_threads : SCHED_THREADS;
	const uint32_t nr_cpus = program->nr_cpus ? program->nr_cpus : 1;

	memset(out, 0, offsetof(struct sched_result, events));
	run.program = program;
	run.strategy = strategy;
	run.result = out;
	run.options = options;
	run.budget = options->budget ? options->budget : SCHED_BUDGET;
	run_begin(options);
	for (unsigned t = 0; t < nr; t++) {
		sched_now.clocks[t].at[t] = 1;
		run.threads[t].state = SCHED_READY;
		run.threads[t].n = 0;
		run.threads[t].cpu = t % nr_cpus;
		fiber_make(&run.threads[t].fiber, run.stacks + t * SCHED_STACK, SCHED_STACK, run_thread, (void *)(uintptr_t)t);
	}
	if (program->setup)
		program->setup(program->ctx);
	sched_now.self = 0;
	if (out->finding == SCHED_NOTHING) {
		const struct sched_view view = run_view();
		if (strategy->begin)
			strategy->begin(strategy, &view);
		run_inside(0);
		fiber_switch(&run.main, &run.threads[0].fiber);
	}
	out->hash = sched_now.hash;
	out->accesses = sched_now.accesses;
	for (unsigned t = 0; t < SCHED_THREADS; t++)
		out->points[t] = t < nr ? run.threads[t].n : 0;
	if (program->finish && out->finding == SCHED_NOTHING)
		program->finish(program->ctx);
}

bool sched_explore(const struct sched_program *program, struct sched_strategy *strategy,
                   const struct sched_options *options, uint64_t max_runs, struct sched_sum *sum,
                   struct sched_result *last)
{
	struct sched_options each = *options;

	*sum = (struct sched_sum){ 0 };
	while (sum->runs < max_runs) {
		sched_run(program, strategy, &each, last);
		sum->runs++;
		sum->steps += last->steps;
		sum->accesses += last->accesses;
		if (last->finding != SCHED_NOTHING)
			return true;
		if (last->steps > sum->longest) {
			sum->longest = last->steps;
			if (!options->budget)
				each.budget = 20 * sum->longest + 1000;
		}
		if (strategy->end && !strategy->end(strategy, last)) {
			sum->done = true;
			return false;
		}
	}
	return false;
}

const char *sched_finding_name(enum sched_finding finding)
{
	static const char *const names[] = {
		[SCHED_NOTHING] = "nothing",   [SCHED_RACE] = "race",         [SCHED_DEADLOCK] = "deadlock",
		[SCHED_LOST_WAKE] = "lost wake-up", [SCHED_LIVELOCK] = "livelock", [SCHED_POISONED] = "poisoned memory",
		[SCHED_FAILED] = "failed",     [SCHED_CALL_OUT] = "lock held at a call",
		[SCHED_ORDER] = "lock order",  [SCHED_INVARIANT] = "invariant", [SCHED_LIMIT] = "limit",
	};

	return names[finding];
}
