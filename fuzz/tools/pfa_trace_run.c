/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_run.c - run, explain, map, diff.
 */
#include "pfa_trace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct trace_input input;

static bool load_program(const struct trace_options *o, const char *path)
{
	if (!trace_load(o, path, &input))
		return false;
	if (!input.is_raw)
		return true;
	trace_complain("%s: these bytes are no program: they are for fuzz_%s itself", path, input.program->target);
	free(input.program);
	return false;
}

/* ---- run ---------------------------------------------------------------------------------------------------------- */

/* What a run came to that had no finding: the program once more, for its numbers. */
static void put_fine(const struct trace_options *o, const char *path)
{
	struct exec_options options;
	struct exec_result r;

	if (input.is_raw || !trace_exec_options(o, input.program, &options))
		printf("%s: fine\n", path);
	else if (exec_run(input.program, &options, &r) == EXEC_REFUSED)
		printf("%s: fine: the configuration is refused, as it must be\n", path);
	else
		printf("%s: fine: %zu operations, %zu skipped, %u grants, %u refusals, %u misuses, trace %016llx\n", path, r.steps,
		       r.skipped, (unsigned)r.grants, (unsigned)r.refusals, (unsigned)r.misuses,
		       (unsigned long long)r.trace_hash);
}

static int run_one(const struct trace_options *o, const char *path)
{
	struct trace_trial trial;
	bool good;

	if (!trace_load(o, path, &input))
		return TRACE_USAGE;
	good = trace_try(o, &input, o->quiet, &trial);
	if (good && trial.found)
		printf("%s: finding %s at step %zu: %s\n", path, trial.id, trial.step, trial.text);
	else if (good && !o->quiet)
		put_fine(o, path);
	free(input.program);
	return !good ? TRACE_USAGE : trial.found ? TRACE_FINDING : TRACE_FINE;
}

int trace_run(const struct trace_options *o)
{
	int code = TRACE_FINE;

	for (int i = 0; i < o->nr_inputs; i++) {
		int one = run_one(o, o->inputs[i]);

		code = one > code ? one : code;
	}
	return code;
}

/* ---- explain ------------------------------------------------------------------------------------------------------ */

static const char *fault_name(enum pfa_fault_kind kind)
{
	static const char *const names[PFA_FAULT_KINDS] = {
		[PFA_FAULT_NONE] = "none",
		[PFA_FAULT_DOUBLE_FREE] = "double free",
		[PFA_FAULT_DOUBLE_FREE_CACHED] = "double free of a cached block",
		[PFA_FAULT_DOUBLE_FREE_QUARANTINED] = "double free of a block in quarantine",
		[PFA_FAULT_GUARD] = "a guard",
		[PFA_FAULT_WRITTEN_AFTER_FREE] = "written after its free",
		[PFA_FAULT_DOUBLE_FREE_RACE] = "double free in a race",
		[PFA_FAULT_WRONG_ORDER] = "wrong order",
		[PFA_FAULT_TAIL] = "tail",
		[PFA_FAULT_MISALIGNED] = "misaligned",
		[PFA_FAULT_OUT_OF_RANGE] = "out of range",
		[PFA_FAULT_HOLE] = "hole",
		[PFA_FAULT_OFFLINE] = "offline",
		[PFA_FAULT_BAD] = "bad frame",
		[PFA_FAULT_HELD] = "held",
		[PFA_FAULT_ORDER_LIMIT] = "order limit",
		[PFA_FAULT_FOREIGN_POINTER] = "foreign pointer",
		[PFA_FAULT_MIXED_RANGE] = "mixed range",
		[PFA_FAULT_STALE_HANDLE] = "stale handle",
		[PFA_FAULT_ENDED] = "instance ended",
		[PFA_FAULT_MOVABLE] = "movable",
		[PFA_FAULT_RELEASED] = "double free of a block that is held",
		[PFA_FAULT_NOT_PINNED] = "not pinned",
		[PFA_FAULT_PAGE_LOCK] = "page lock",
		[PFA_FAULT_OWNER_RESULT] = "owner's result",
		[PFA_FAULT_DESTINATION] = "destination",
		[PFA_FAULT_NOT_MOVED] = "not moved",
		[PFA_FAULT_NOT_HELD] = "not held",
		[PFA_FAULT_CORRUPT_CACHE] = "corrupt cache",
		[PFA_FAULT_CORRUPT_FREE] = "corrupt free",
		[PFA_FAULT_LOCK] = "lock",
	};

	return (unsigned)kind < PFA_FAULT_KINDS && names[kind] ? names[kind] : "?";
}

/* "PFA_ENOMEM" -> "enomem" */
static void put_code(FILE *f, int code)
{
	const char *name = pfa_error_name(code);

	for (name += strncmp(name, "PFA_", 4) == 0 ? 4 : 0; *name; name++)
		fputc(tolower((unsigned char)*name), f);
}

static void put_step(FILE *f, const struct program *p, const struct exec_step *s)
{
	const struct prog_kind_info *k = prog_kind(p->ops[s->index].kind);
	char text[256];

	prog_print_op(p, (unsigned)s->index, text, sizeof(text));
	fprintf(f, "%-56s #= ", text);
	if (s->skipped) {
		fprintf(f, "skipped\n");
		return;
	}
	put_code(f, s->code);
	if (s->fault != PFA_FAULT_NONE)
		fprintf(f, " (%s)", fault_name(s->fault));
	if (s->has_pfn && s->nr_frames > 1)
		fprintf(f, " pfn=%zu..%zu", s->pfn, s->pfn + s->nr_frames - 1);
	else if (s->has_pfn)
		fprintf(f, " pfn=%zu", s->pfn);
	if (k->number == OP_LARGEST_FREE && s->code == PFA_OK)
		fprintf(f, " order=%zu", s->value);
	else if (k->number == OP_ALLOC_BULK || k->number == OP_FREE_BULK || k->number == OP_FREE_BULK_BAD)
		fprintf(f, " blocks=%zu", s->value);
	fprintf(f, "\n");
}

static void on_step(void *ctx, const struct program *p, const struct exec_step *s)
{
	put_step(ctx, p, s);
	fflush(ctx);
}

static void put_head(FILE *f, const struct program *p)
{
	static struct program head;
	static char text[PROG_TEXT_MAX];

	head = *p;
	head.nr_ops = head.nr_schedule = 0;
	prog_print(&head, text, sizeof(text));
	fputs(text, f);
}

static void put_map(FILE *f, pfa_pfn pfn, const char *prefix)
{
	static char map[65536];

	exec_map(map, sizeof(map), pfn);
	for (char *line = map, *end; *line; line = end) {
		end = line + strcspn(line, "\n");
		fprintf(f, "%s%.*s\n", prefix, (int)(end - line), line);
		end += *end == '\n';
	}
}

static int explain(const struct trace_options *o, FILE *f)
{
	struct exec_options options;
	struct exec_result result;

	if (!trace_exec_options(o, input.program, &options))
		return TRACE_USAGE;
	options.keep = o->map;
	options.on_step = on_step;
	options.ctx = f;
	put_head(f, input.program);
	fflush(f);
	exec_run(input.program, &options, &result);
	if (result.outcome == EXEC_FINDING)
		fprintf(f, "# finding %s at step %zu: %s\n", result.finding.id, result.finding.step, result.finding.text);
	else if (result.outcome == EXEC_REFUSED)
		fprintf(f, "# the configuration is refused, as it must be\n");
	else
		fprintf(f, "# fine: %zu operations, trace %016llx\n", result.steps, (unsigned long long)result.trace_hash);
	if (o->map && result.outcome != EXEC_REFUSED) {
		put_map(f, result.outcome == EXEC_FINDING ? (pfa_pfn)result.finding.verdict.pfn
		                                          : (pfa_pfn)prog_span_start(&input.program->config), "# ");
		exec_drop();
	}
	return result.outcome == EXEC_FINDING ? TRACE_FINDING : TRACE_FINE;
}

/* In a child, so that what was shown before a crash stays, and the exit code says finding. */
int trace_explain(const struct trace_options *o)
{
	FILE *f;
	int status = 0;
	pid_t pid;

	if (!load_program(o, o->inputs[0]))
		return TRACE_USAGE;
	f = trace_open(o->output);
	if (!f)
		return TRACE_USAGE;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return trace_complain("cannot fork");
	if (pid == 0) {
		int code;

		exec_install_callbacks();
		code = explain(o, f);
		_exit(trace_close(f, o->output) ? code : TRACE_USAGE);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	free(input.program);
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "pfa-trace: died of signal %d in the operation after the last one shown\n", WTERMSIG(status));
		return TRACE_FINDING;
	}
	return WEXITSTATUS(status) > TRACE_USAGE ? TRACE_FINDING : WEXITSTATUS(status);
}

int trace_map(const struct trace_options *o)
{
	struct exec_options options;
	struct exec_result result;
	FILE *f;

	if (!load_program(o, o->inputs[0]) || !trace_exec_options(o, input.program, &options))
		return TRACE_USAGE;
	options.keep = true;
	if (o->at >= 0)
		options.stop_before = (size_t)o->at;
	f = trace_open(o->output);
	if (!f)
		return TRACE_USAGE;
	if (exec_run(input.program, &options, &result) == EXEC_REFUSED) {
		fprintf(f, "the configuration is refused: there is no map\n");
	} else {
		put_map(f, prog_span_start(&input.program->config), "");
		exec_drop();
	}
	free(input.program);
	return trace_close(f, o->output) ? TRACE_FINE : TRACE_USAGE;
}

/* ---- diff --------------------------------------------------------------------------------------------------------- */

struct record {
	struct exec_step step[PROG_OPS_MAX];
	bool seen[PROG_OPS_MAX];
};

static struct record records[2];

static void on_record(void *ctx, const struct program *p, const struct exec_step *s)
{
	struct record *r = ctx;

	(void)p;
	r->step[s->index] = *s;
	r->seen[s->index] = true;
}

static void put_side(FILE *f, const char *name, const struct exec_step *s, bool seen)
{
	fprintf(f, "    %-10s ", name);
	if (!seen)
		fprintf(f, "did not get here");
	else if (s->skipped)
		fprintf(f, "skipped");
	else
		put_code(f, s->code);
	if (seen && s->has_pfn)
		fprintf(f, " pfn=%zu frames=%zu", s->pfn, s->nr_frames);
	fprintf(f, "\n");
}

int trace_diff(const struct trace_options *o)
{
	const char *names[2] = { "pfa", o->sut ? o->sut : "textbook" };
	unsigned differences = 0;
	FILE *f;

	if (!load_program(o, o->inputs[0]))
		return TRACE_USAGE;
	for (unsigned side = 0; side < 2; side++) {
		struct trace_options with = *o;
		struct exec_options options;
		struct exec_result result;

		with.sut = names[side];
		if (!trace_exec_options(&with, input.program, &options))
			return TRACE_USAGE;
		options.on_step = on_record;
		options.ctx = &records[side];
		exec_run(input.program, &options, &result);
		if (result.outcome == EXEC_FINDING)
			fprintf(stderr, "%s: finding %s at step %zu: %s\n", names[side], result.finding.id, result.finding.step,
			        result.finding.text);
	}
	f = trace_open(o->output);
	if (!f)
		return TRACE_USAGE;
	for (unsigned i = 0; i < input.program->nr_ops; i++) {
		const struct exec_step *a = &records[0].step[i], *b = &records[1].step[i];
		char text[256];

		if (records[0].seen[i] == records[1].seen[i] && a->skipped == b->skipped && a->code == b->code)
			continue;
		prog_print_op(input.program, i, text, sizeof(text));
		fprintf(f, "%u: %s\n", i, text);
		put_side(f, names[0], a, records[0].seen[i]);
		put_side(f, names[1], b, records[1].seen[i]);
		differences++;
	}
	fprintf(f, "%u of %u operations differ in their result\n", differences, input.program->nr_ops);
	free(input.program);
	return !trace_close(f, o->output) ? TRACE_USAGE : differences ? TRACE_FINDING : TRACE_FINE;
}
