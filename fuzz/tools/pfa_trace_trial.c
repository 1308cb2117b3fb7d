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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"

/* Shared with the child: what it got to. */
struct trial_state {
	volatile unsigned next_step;
	volatile bool done;
	struct exec_result result;
};

static struct trial_state *trial;

bool trace_exec_options(const struct trace_options *o, const struct program *p, struct exec_options *out)
{
	*out = (struct exec_options)EXEC_OPTIONS_ALL;
	exec_target_options(p->target, out);
	if (o->sut) {
		out->sut = sut_find(o->sut);
		if (!out->sut) {
			trace_complain("--sut: there is no allocator '%s'", o->sut);
			return false;
		}
	}
	return true;
}

enum exec_outcome trace_exec(const struct trace_options *o, const struct program *p, struct exec_result *out)
{
	struct exec_options options;

	if (!o->sut)
		return exec_target(p->target, p, out);
	if (!trace_exec_options(o, p, &options))
		return EXEC_REFUSED;
	return exec_run(p, &options, out);
}

static void child(const struct trace_options *o, const struct program *p, FILE *log, unsigned timeout_s)
{
	struct exec_options options;

	dup2(fileno(log), STDERR_FILENO);
	signal(SIGALRM, SIG_DFL);
	alarm(timeout_s);
	exec_install_callbacks();
	if (trace_exec(o, p, &trial->result) == EXEC_FINDING && trace_exec_options(o, p, &options)) {
		trial->done = true; /* the report is for people: the finding is known before it */
		exec_report(p, &options, &trial->result);
	}
	trial->done = true;
	fflush(stderr);
	_exit(0);
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

bool trace_try(const struct trace_options *o, const struct program *p, bool quiet, struct trace_trial *out)
{
	FILE *log = tmpfile();
	int status = 0;
	char *text;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	if (!trial)
		trial = mmap(NULL, sizeof(*trial), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!log || trial == MAP_FAILED) {
		trace_complain("cannot make a trial: %s", strerror(errno));
		trial = NULL;
		return false;
	}
	memset(trial, 0, sizeof(*trial));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(o, p, log, o->timeout_s);
	if (pid < 0 || !wait_for(pid, &status)) {
		trace_complain("fork: %s", strerror(errno));
		fclose(log);
		return false;
	}
	text = read_log(log);
	fclose(log);
	out->result = trial->result;
	if (trial->done) {
		out->found = trial->result.outcome == EXEC_FINDING;
		snprintf(out->id, sizeof(out->id), "%s", trial->result.finding.id);
		snprintf(out->text, sizeof(out->text), "%s", trial->result.finding.text);
		out->step = trial->result.finding.step;
	} else {
		out->found = true;
		identify(text ? text : "", status, out);
	}
	if (!quiet && text)
		fputs(text, stderr);
	free(text);
	return true;
}
