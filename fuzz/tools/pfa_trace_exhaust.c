/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_exhaust.c - pfa-trace exhaust: every state of a small instance (../exhaust/exhaust.h).
 */
#include "exhaust.h"
#include "pfa_trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
	"usage: pfa-trace exhaust [OPTION...] FILE...\n"
	"Explores every state that the operations of a file (corpus/exhaust, fuzz/README.md) can bring its instance into.\n"
	"  --states N    stop after so many states          --seconds N   stop after so much time\n"
	"  --memory N    MiB for states (default 1024)      --model N     each Nth state through the model; 0: none (default: the file's)\n"
	"  --merged N    expand both of each Nth merged pair; 0: none (default: the file's)\n"
	"  -o FILE       the program of a finding goes there (default: standard output)\n"
	"  --forget W    leave out of the canonical form what it must not: order, types, due. Must be found out (for tests)\n"
	"  --plant W     a bug: drain, holder, news, release (for tests)\n"
	"Exit: 0 complete, or stopped by an option, without a finding; 1 a finding, or other counts than the file says; 2 usage.\n";

struct exhaust_options {
	struct ex_limits limits;
	bool model_given, merged_given;
	enum ex_forget forget;
	enum ex_plant plant;
	const char *output;
};

static bool word_of(const char *value, const char *const words[], unsigned nr, unsigned *out)
{
	for (*out = 1; *out <= nr; ++*out)
		if (strcmp(value, words[*out - 1]) == 0)
			return true;
	return false;
}

static bool option(struct exhaust_options *o, const char *name, const char *value)
{
	static const char *const forgets[] = { "order", "types", "due" }, *const plants[] = { "drain", "holder", "news", "release" };
	char *end;
	unsigned word;

	if (strcmp(name, "-o") == 0) {
		o->output = value;
		return true;
	}
	if (strcmp(name, "--forget") == 0 && word_of(value, forgets, 3, &word)) {
		o->forget = (enum ex_forget)word;
		return true;
	}
	if (strcmp(name, "--plant") == 0 && word_of(value, plants, 4, &word)) {
		o->plant = (enum ex_plant)word;
		return true;
	}
	const unsigned long n = strtoul(value, &end, 10);
	if (*end || end == value || n > 1u << 30)
		return false;
	if (strcmp(name, "--states") == 0)
		o->limits.states = n;
	else if (strcmp(name, "--seconds") == 0)
		o->limits.seconds = (unsigned)n;
	else if (strcmp(name, "--memory") == 0 && n < 4096)
		o->limits.bytes = (size_t)n << 20;
	else if (strcmp(name, "--model") == 0)
		o->limits.model = (unsigned)n, o->model_given = true;
	else if (strcmp(name, "--merged") == 0)
		o->limits.merged = (unsigned)n, o->merged_given = true;
	else
		return false;
	return true;
}

/* ---- what came of it ----------------------------------------------------------------------------------------------- */

static int put_finding(const struct exhaust_options *o, struct ex_machine *m, const struct ex_result *r, const char *path)
{
	static struct program program;
	static struct exec_result again;
	static char text[PROG_TEXT_MAX];
	const struct exec_options options = ex_model_options(m);
	void *root = malloc(r->state_bytes);
	FILE *f = root ? trace_open(o->output) : NULL;

	if (!f)
		return TRACE_USAGE;
	ex_save(m, root);
	printf("%s: FOUND after %u operations: %s\n", path, r->nr_path, r->finding);
	fflush(stdout);
	if (!ex_write(m, root, r->path, r->nr_path, r->crashed, &program))
		printf("%s: its program is too long\n", path);
	free(root);
	prog_print(&program, text, sizeof(text));
	fprintf(f, "# pfa-trace exhaust %s: %s\n%s", path, r->finding, text);
	if (!trace_close(f, o->output))
		return TRACE_USAGE;
	if (!r->crashed) {
		exec_run(&program, &options, &again);
		printf("%s: pfa-trace run of it: %s\n", path, again.outcome == EXEC_FINDING ? again.finding.text : "fine");
	}
	return TRACE_FINDING;
}

/* The counts that the file promises, for 64 and for 32 bits. */
static int put_counts(const char *text, const char *path, const struct ex_result *r)
{
	const struct {
		const char *word;
		size_t is;
	} counts[] = { { "states", r->states }, { "transitions", r->transitions }, { "depth", r->depth } };
	int code = TRACE_FINE;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const uint64_t expected = ex_setting(text, counts[i].word);
		if (!expected || expected == counts[i].is)
			continue;
		printf("%s: %s: the file says %llu\n", path, counts[i].word, (unsigned long long)expected);
		code = TRACE_FINDING;
	}
	return code;
}

static int put_result(const struct exhaust_options *o, struct ex_machine *m, const struct ex_result *r, const char *text,
                      const char *path, double seconds)
{
	printf("%s: %zu states, %zu transitions (%zu refused), depth %u; %zu through the model, %zu merged pairs expanded, "
	       "%zu the same; %zu bytes a state; %.1f s: ", path, r->states, r->transitions, r->refused, r->depth, r->modelled,
	       r->pairs, r->same_bytes, r->state_bytes, seconds);
	switch (r->outcome) {
	case EX_COMPLETE: printf("complete\n"); return put_counts(text, path, r);
	case EX_STOPPED: printf("stopped: %s, %zu states not expanded\n", r->stopped, r->states - r->expanded); return TRACE_FINE;
	case EX_FOUND: printf("stopped: a finding\n"); return put_finding(o, m, r, path);
	default: printf("failed: %s\n", r->stopped); return TRACE_FINDING;
	}
}

static int exhaust_one(const struct exhaust_options *given, const char *path)
{
	static struct ex_machine m;
	static struct ex_result r;
	const struct trace_options none = { .timeout_s = 10, .at = -1 };
	struct exhaust_options o = *given;
	struct trace_input in;
	struct ex_alphabet alphabet;
	struct timespec began, ended;
	const char *why;
	size_t nr;
	char *text = trace_read(path, &nr);
	int code = TRACE_USAGE;

	if (!text || !trace_load(&none, path, &in)) {
		free(text);
		return TRACE_USAGE;
	}
	text[nr] = 0;
	if (!o.model_given)
		o.limits.model = (unsigned)ex_setting(text, "model");
	if (!o.merged_given)
		o.limits.merged = (unsigned)ex_setting(text, "merged");
	if (!ex_alphabet_read(text, &alphabet, &why) || !ex_machine_make(&m, in.program, &alphabet, &why)) {
		trace_complain("%s: %.*s", path, (int)strcspn(why, "\n"), why);
	} else {
		m.forget = o.forget;
		m.plant = o.plant;
		clock_gettime(CLOCK_MONOTONIC, &began);
		ex_search(&m, &o.limits, &r);
		clock_gettime(CLOCK_MONOTONIC, &ended);
		code = put_result(&o, &m, &r, text, path, (double)(ended.tv_sec - began.tv_sec) +
		                                              (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
	}
	ex_machine_drop(&m);
	free(in.program);
	free(text);
	return code;
}

int trace_exhaust(int argc, char **argv)
{
	struct exhaust_options o = { .limits = { .bytes = (size_t)1024 << 20 } };
	int code = TRACE_FINE, files = 0;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return TRACE_FINE;
		}
		if (argv[i][0] != '-') {
			files++;
			continue;
		}
		if (i + 1 == argc || !option(&o, argv[i], argv[i + 1]))
			return trace_complain("exhaust: %s: no such option, or not with this value (pfa-trace exhaust --help)", argv[i]);
		i++;
	}
	if (!files)
		return trace_complain("usage: pfa-trace exhaust [OPTION...] FILE... (--help)");
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] == '-') {
			i++;
			continue;
		}
		const int one = exhaust_one(&o, argv[i]);
		code = one > code ? one : code;
		fflush(stdout);
	}
	return code;
}
