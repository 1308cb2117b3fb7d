/* SPDX-License-Identifier: MIT
 *
 * pfa_trace.h - what the commands of pfa-trace share.
 */
#ifndef FUZZ_PFA_TRACE_H
#define FUZZ_PFA_TRACE_H

#include "exec.h"
#include "program.h"

/* Exit codes of every command. */
enum { TRACE_FINE = 0, TRACE_FINDING = 1, TRACE_USAGE = 2 };

/* Options, in any place of the command line; what is left are the inputs. */
struct trace_options {
	const char *output;       /* -o */
	const char *target;       /* --target, NULL: what the input says */
	const char *sut;          /* --sut */
	unsigned timeout_s;       /* --timeout */
	long at;                  /* --at, -1: none */
	bool map, text, quiet;    /* --map, --text, --quiet */
	const char **inputs;
	int nr_inputs;
};

/* An input as a program, or as bytes that are none. */
struct trace_input {
	struct program *program;  /* canonical */
	uint8_t raw[PROG_BYTES_MAX];
	size_t nr_raw;
	bool is_raw;
};

/* The command line as it was. */
extern char **trace_argv;

/* Says what is wrong on stderr; returns TRACE_USAGE. */
__attribute__((format(printf, 1, 2))) int trace_complain(const char *format, ...);
/* Reads a file, or stdin for "-". NULL after a complaint. The caller frees it. */
char *trace_read(const char *path, size_t *nr);
/* A binary or text input, told apart by its content. False after a complaint. The target option wins. */
bool trace_load(const struct trace_options *o, const char *path, struct trace_input *in);
/* The file to write to: path, or stdout for NULL and "-". NULL after a complaint. */
FILE *trace_open(const char *path);
/* False, after a complaint, if something could not be written. */
bool trace_close(FILE *f, const char *path);
bool trace_write(const char *path, const void *bytes, size_t nr);

/* What came of a run in a process of its own. */
struct trace_trial {
	bool found;
	char id[24];              /* identity of the finding */
	char text[256];           /* what was found, one line */
	size_t step;
};

/* Runs an input as its target does, in a process of its own, for at most timeout_s seconds. False after a complaint. */
bool trace_try(const struct trace_options *o, const struct trace_input *in, bool quiet, struct trace_trial *out);
/* The options that the program's target runs with. False after a complaint (no such allocator). */
bool trace_exec_options(const struct trace_options *o, const struct program *p, struct exec_options *out);

int trace_decode(const struct trace_options *o);
int trace_encode(const struct trace_options *o);
int trace_to_c(const struct trace_options *o);
int trace_run(const struct trace_options *o);
int trace_explain(const struct trace_options *o);
int trace_map(const struct trace_options *o);
int trace_diff(const struct trace_options *o);
int trace_shrink(const struct trace_options *o);
int trace_coverage(const struct trace_options *o);
/* Goes on as pfa-sched, the explorer, which has another build of the library: with the words after `sched`, or run and those after
 * --sched. */
int trace_sched(int argc, char **argv);
/* The same for one program, which is written to standard input. */
int trace_sched_one(const struct program *p);
/* Every state of a small instance; with the words after `exhaust`. */
int trace_exhaust(int argc, char **argv);
int trace_ops(const struct trace_options *o);
int trace_dict(const struct trace_options *o);

#endif
