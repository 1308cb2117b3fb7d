/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_trial.c - one run of a program in a process of its own: a sanitizer's report, an abort, a hang and a
 * finding of the oracles all become an identity and a line of text.
 */
#include "pfa_trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The targets' own functions (CMakeLists.txt compiles fuzz_<name>.c again, with these names). */
int pfa_target_core(const uint8_t *data, size_t size);
int pfa_target_config(const uint8_t *data, size_t size);
int pfa_target_migrate(const uint8_t *data, size_t size);
int pfa_target_misuse(const uint8_t *data, size_t size);
int pfa_target_contig(const uint8_t *data, size_t size);
int pfa_target_hotplug(const uint8_t *data, size_t size);
int pfa_target_diff(const uint8_t *data, size_t size);
int pfa_target_text(const uint8_t *data, size_t size);
int pfa_target_owners(const uint8_t *data, size_t size);
int pfa_target_report(const uint8_t *data, size_t size);
int pfa_target_walk(const uint8_t *data, size_t size);
int pfa_target_repair(const uint8_t *data, size_t size);

static const struct {
	const char *name;
	int (*run)(const uint8_t *data, size_t size);
} targets[] = {
	{ "core", pfa_target_core }, { "config", pfa_target_config }, { "misuse", pfa_target_misuse },
	{ "diff", pfa_target_diff }, { "text", pfa_target_text },
	{ "repair", pfa_target_repair }, { "migrate", pfa_target_migrate }, { "contig", pfa_target_contig }, { "hotplug", pfa_target_hotplug }, { "owners", pfa_target_owners },
	{ "report", pfa_target_report }, { "walk", pfa_target_walk },
};

bool trace_exec_options(const struct trace_options *o, const struct program *p, struct exec_options *out)
{
	*out = (struct exec_options)EXEC_OPTIONS_ALL;
	if (strcmp(p->target, "misuse") == 0) { /* as fuzz_misuse.c */
		out->prove_unchanged = true;
		out->volley = 6;
	}
	if (strcmp(p->target, "migrate") == 0) /* as fuzz_migrate.c */
		out->moves = 3;
	if (strcmp(p->target, "contig") == 0) { /* as fuzz_contig.c */
		out->moves = 3;
		out->contig = true;
	}
	if (strcmp(p->target, "hotplug") == 0) { /* as fuzz_hotplug.c */
		out->moves = 3;
		out->plug = true;
	}
	if (strcmp(p->target, "owners") == 0) /* as fuzz_owners.c */
		out->real = true;
	if (strcmp(p->target, "report") == 0 || strcmp(p->target, "walk") == 0) { /* as fuzz_report.c and fuzz_walk.c */
		out->real = true;
		out->tells = p->target[0] == 'w' ? EXEC_WALKS : EXEC_TELLS;
	}
	if (o->sut) {
		out->sut = sut_find(o->sut);
		if (!out->sut) {
			trace_complain("--sut: there is no allocator '%s'", o->sut);
			return false;
		}
	}
	return true;
}

/* On another allocator there are no targets, only programs. */
static void run_on_sut(const struct trace_options *o, const struct trace_input *in)
{
	struct exec_options options;

	if (!in->is_raw && trace_exec_options(o, in->program, &options))
		exec_or_abort(in->program, &options);
}

static void child(const struct trace_options *o, const struct trace_input *in, FILE *log)
{
	static uint8_t bytes[PROG_BYTES_MAX];
	size_t nr = in->is_raw ? in->nr_raw : prog_encode(in->program, bytes, sizeof(bytes));
	const char *target = in->program->target;
	int status = 2;

	dup2(fileno(log), STDERR_FILENO);
	signal(SIGALRM, SIG_DFL);
	alarm(o->timeout_s);
	exec_install_callbacks();
	if (o->sut) {
		run_on_sut(o, in);
		status = 0;
	}
	if (!o->sut && strcmp(target, "sched") == 0)
		status = trace_sched_one(in->program);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]) && !o->sut; i++)
		if (strcmp(targets[i].name, target) == 0) {
			targets[i].run(in->is_raw ? in->raw : bytes, nr);
			status = 0;
		}
	if (status)
		fprintf(stderr, "pfa-trace: there is no target %s\n", target);
	fflush(stderr);
	_exit(status);
}

static uint32_t hash_text(const char *text, size_t len, uint32_t hash)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 16777619u;
	return hash;
}

/* The rest of the line that begins with the word; empty if there is none. */
static void line_after(const char *log, const char *word, char *out, size_t capacity)
{
	const char *at = strstr(log, word);
	size_t len;

	out[0] = 0;
	if (!at)
		return;
	at += strlen(word);
	len = strcspn(at, "\n");
	len = len < capacity ? len : capacity - 1;
	memcpy(out, at, len);
	out[len] = 0;
}

/* A death: what kind, in which function, during which operation. Addresses and line numbers do not count. */
static void identify(const char *log, int status, struct trace_trial *out)
{
	char summary[160], context[80], op[40] = "", *in;
	uint32_t hash = 2166136261u;

	line_after(log, "SUMMARY: ", summary, sizeof(summary));
	line_after(log, "pfa-context: ", context, sizeof(context));
	sscanf(context, "op=%39s step=%zu", op, &out->step);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(summary, sizeof(summary), "timeout");
	else if (!summary[0] && WIFSIGNALED(status))
		snprintf(summary, sizeof(summary), "signal %d", WTERMSIG(status));
	else if (!summary[0])
		snprintf(summary, sizeof(summary), "exit status %d", WEXITSTATUS(status));
	hash = hash_text(summary, strcspn(summary, "/("), hash);
	in = strstr(summary, " in ");
	if (in)
		hash = hash_text(in, strlen(in), hash);
	hash = hash_text(op, strlen(op), hash);
	snprintf(out->id, sizeof(out->id), "%08x", hash);
	snprintf(out->text, sizeof(out->text), "%s, operation %s (step %zu)", summary, op[0] ? op : "?", out->step);
}

static char *read_log(FILE *log)
{
	char *text = calloc(1, 65536);

	rewind(log);
	if (text && fread(text, 1, 65535, log) == 0)
		text[0] = 0;
	return text;
}

static bool wait_for(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

/* What the oracles say: the line that report prints first. False if there is none. */
static bool read_finding(const char *log, struct trace_trial *out)
{
	char line[400], op[40] = "?";
	const char *message;

	line_after(log, "pfa-finding: ", line, sizeof(line));
	if (sscanf(line, "id=%23s invariant=%*s op=%39s step=%zu", out->id, op, &out->step) < 1)
		return false;
	message = strstr(line, "message=");
	snprintf(out->text, sizeof(out->text), "%.200s", message ? message + 8 : line);
	return true;
}

bool trace_try(const struct trace_options *o, const struct trace_input *in, bool quiet, struct trace_trial *out)
{
	FILE *log = tmpfile();
	int status = 0;
	char *text;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	if (!log) {
		trace_complain("cannot make a temporary file: %s", strerror(errno));
		return false;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(o, in, log);
	if (pid < 0 || !wait_for(pid, &status)) {
		trace_complain("fork: %s", strerror(errno));
		fclose(log);
		return false;
	}
	text = read_log(log);
	fclose(log);
	if (!text)
		return trace_complain("out of memory") == TRACE_FINE;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2 && strncmp(text, "pfa-trace: ", 11) == 0) {
		fputs(text, stderr);
		free(text);
		return false;
	}
	out->found = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	if (out->found && !read_finding(text, out))
		identify(text, status, out);
	if (!quiet)
		fputs(text, stderr);
	free(text);
	return true;
}
