/* SPDX-License-Identifier: MIT
 *
 * exec.h - runs a program against a system under test, with every oracle after every step.
 *
 * One instance, one thread, nothing kept between runs except memory that is wiped before use: the same program gives
 * the same trace hash, always.
 */
#ifndef FUZZ_EXEC_H
#define FUZZ_EXEC_H

#include "model.h"
#include "program.h"
#include "sut.h"

/* What one step did; what pfa-trace explain prints. */
struct exec_step {
	size_t index;        /* of the operation in the program */
	bool skipped;        /* nothing to do it to (no live block, ...), or the allocator lacks it */
	int code;            /* result code */
	bool has_pfn;
	pfa_pfn pfn;         /* the block or range in question */
	size_t nr_frames;    /* its size */
	size_t value;        /* other number: bulk count, order of largest_free, ... */
	enum pfa_fault_kind fault; /* what platform.fatal was told, if anything */
};

/* A broken promise: what identifies it, where, and what was expected. */
struct finding {
	struct verdict verdict;
	char text[192];      /* one line */
	char id[9];          /* hash of monitor and operation kind */
	const char *op;      /* name of the operation kind; "init", "teardown" outside of steps */
	size_t step;
};

struct exec_options {
	const struct sut_ops *sut; /* NULL: sut_pfa */
	size_t stop_before;        /* steps to run at most; SIZE_MAX: all */
	bool prove_unchanged;      /* illegal calls: compare a digest of every frame and counter before and after */
	unsigned volley;           /* illegal calls made after each step, from the state that it left */
	unsigned moves;            /* operations on movable blocks made up after each step, from the state that it left; and
	                            * programs without an owner table get one */
	bool contig;               /* of these, many that isolate pageblocks and take ranges */
	bool plug;                 /* likewise, many that take frames offline and bring them back, and of CMA areas */
	enum { EXEC_SILENT, EXEC_TELLS, EXEC_WALKS } tells; /* real: with a reporting device, and programs that have no
	                            * operation of it get some: mostly of the device, or walks */
	bool real;                 /* the owners of lib/owners, as exec_real.h has it: other operations, another model */
	bool keep;                 /* leave the instance as it is after the last step: no teardown (for exec_map()) */
	/* After each step, before its oracles. NULL: none. */
	void (*on_step)(void *ctx, const struct program *p, const struct exec_step *s);
	void *ctx;
};

enum exec_outcome {
	EXEC_FINE = 0,
	EXEC_FINDING = 1,
	EXEC_REFUSED = 2 /* the configuration was refused, correctly: nothing ran */
};

struct exec_result {
	enum exec_outcome outcome;
	uint64_t trace_hash;       /* over every result of every step */
	size_t steps;              /* operations carried out */
	size_t skipped;
	uint32_t grants, refusals, misuses;
	struct finding finding;    /* if outcome is EXEC_FINDING */
};

#define EXEC_OPTIONS_ALL { .sut = NULL, .stop_before = SIZE_MAX }

/* Runs it. Never aborts by itself (a sanitizer may). Returns out->outcome. */
enum exec_outcome exec_run(const struct program *p, const struct exec_options *o, struct exec_result *out);

/* The picture of the pageblocks and, around pfn, of the frames, of the instance left by exec_run(.keep). Writes text,
 * zero-terminated; returns its length. */
size_t exec_map(char *text, size_t capacity, pfa_pfn pfn);

/* Gives back what exec_run(.keep) left. */
void exec_drop(void);

/* Prints the screen for a finding to stderr: the machine-readable line first. Runs the program again up to the step
 * for the map before it. */
void exec_report(const struct program *p, const struct exec_options *o, const struct exec_result *r);

/* For fuzz targets: runs, and reports and aborts on a finding. */
void exec_or_abort(const struct program *p, const struct exec_options *o);

/* A spoilt configuration (setup.h) must be refused by pfa_size() or pfa_init(), with its problem and nothing built. */
struct setup_spoilt;
bool exec_judge_spoilt(const struct setup_spoilt *spoilt, struct verdict *v);

/* Adds to what is printed as pfa-stats at the end. */
void exec_count_steps(size_t steps);

/* For fuzz targets: a sanitizer's report or a signal says which operation was running. Idempotent. */
void exec_install_callbacks(void);

#endif
