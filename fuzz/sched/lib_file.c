/* SPDX-License-Identifier: MIT
 *
 * lib_file.c - see lib_file.h: files, schedules, listings.
 */
#define _DEFAULT_SOURCE
#include "lib_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strategy.h"

/* The linker's. */
extern const char __executable_start[] __attribute__((weak));

bool lib_read(const char *path, struct program *out)
{
	static char text[PROG_TEXT_MAX];
	struct prog_error error;
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");

	if (!file) {
		perror(path);
		return false;
	}
	const size_t nr = fread(text, 1, sizeof(text), file);
	if (file != stdin)
		fclose(file);
	if (prog_parse(text, nr, out, NULL, NULL, &error) == PROG_TEXT_PROGRAM)
		return true;
	fprintf(stderr, "%s:%u:%u: %s\n", path, error.line, error.column, error.message);
	return false;
}

/* ---- schedules ---- */

bool lib_set_schedule(struct program *p, const struct sched_result *result)
{
	struct prog_switch switches[PROG_SWITCHES_MAX];
	bool fits = result->nr_events <= PROG_SWITCHES_MAX;

	p->nr_schedule = 0;
	for (size_t i = 0; i < result->nr_events && fits; i++) {
		const struct sched_event *e = &result->events[i];
		fits = e->n <= UINT16_MAX;
		switches[i] = (struct prog_switch){ .n = (uint16_t)e->n, .thread = e->thread, .kind = e->kind, .arg = e->arg };
	}
	return fits && prog_set_switches(p, switches, (unsigned)result->nr_events);
}

size_t lib_schedule(const struct program *p, struct sched_event events[SCHED_EVENTS])
{
	struct prog_switch switches[PROG_SWITCHES_MAX];
	const unsigned nr = prog_switches(p, switches);

	if (nr == 0 && p->nr_schedule)
		return SIZE_MAX;
	for (unsigned i = 0; i < nr; i++)
		events[i] = (struct sched_event){ .n = switches[i].n, .thread = switches[i].thread, .kind = switches[i].kind,
			                          .arg = switches[i].arg };
	return nr;
}

/* ---- where ---- */

void lib_where(const void *pc, char *out, size_t room)
{
	char self[512], command[700], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const uintptr_t at = (uintptr_t)pc - (__executable_start ? (uintptr_t)__executable_start : 0);

	snprintf(out, room, "0x%" PRIxPTR, at);
	if (!pc || len <= 0)
		return;
	self[len] = 0;
	snprintf(command, sizeof(command), "addr2line -i -e '%s' 0x%" PRIxPTR " 2>/dev/null", self, at - 1);
	FILE *from = popen(command, "r");
	/* Innermost first. That an atomic is inlined from atomic.h says nothing. */
	while (from && fgets(command, sizeof(command), from) && command[0] != '?') {
		command[strcspn(command, " \n")] = 0;
		slash = strrchr(command, '/');
		snprintf(out, room, "%s", slash ? slash + 1 : command);
		if (strncmp(out, "atomic.h:", 9) != 0)
			break;
	}
	if (from)
		pclose(from);
}

/* ---- listings ---- */

#define SHOW_ROWS 2000u
#define SHOW_WIDTH 46

static struct {
	struct row {
		unsigned thread;
		char text[100];
		const void *pc; /* NULL: nothing to say of it */
	} rows[SHOW_ROWS];
	unsigned nr;
} show;

static struct row *show_row(unsigned thread)
{
	if (show.nr == SHOW_ROWS)
		return &show.rows[SHOW_ROWS - 1];
	show.rows[show.nr] = (struct row){ .thread = thread };
	return &show.rows[show.nr++];
}

static void show_line(unsigned self, const struct program *p, unsigned at)
{
	char text[208];

	prog_print_op(p, at, text, sizeof(text));
	const char *bare = p->ops[at].thread ? text + 4 : text; /* "t1: " */
	snprintf(show_row(self)->text, sizeof(show.rows[0].text), "%.*s", SHOW_WIDTH - 2, bare);
}

static void show_event(enum sched_watched what, unsigned thread, uint32_t n, unsigned arg, const void *pc)
{
	static const char *const texts[] = { "@%u switch to t%u", "@%u waits, t%u goes on", "@%u ends, t%u goes on", "@%u on cpu %u from here on",
		                             "@%u reads an older value, by %u" };
	struct row *row = show_row(thread);

	row->pc = what == SCHED_SEE_END ? NULL : pc;
	snprintf(row->text, sizeof(row->text), texts[what], (unsigned)n, arg);
}

static void show_print(const struct program *p, FILE *out)
{
	for (unsigned t = 0; t < p->config.threads; t++)
		fprintf(out, t + 1 < p->config.threads ? "t%u%*s| " : "t%u", t, SHOW_WIDTH - 2, "");
	fputc('\n', out);
	for (unsigned i = 0; i < show.nr; i++) {
		const struct row *row = &show.rows[i];
		char text[208], where[100];
		snprintf(text, sizeof(text), "%s", row->text);
		if (row->pc) {
			lib_where(row->pc, where, sizeof(where));
			snprintf(text, sizeof(text), "  %s (%s)", row->text, where);
		}
		for (unsigned t = 0; t < row->thread; t++)
			fprintf(out, "%-*s| ", SHOW_WIDTH, "");
		fprintf(out, "%s\n", text);
	}
}

static union sched_any chosen;

static void replay_choose(const struct program *p)
{
	static struct sched_event events[SCHED_EVENTS];
	static uint8_t bytes[PROG_SCHEDULE_MAX];
	const size_t nr = lib_schedule(p, events);

	if (nr != SIZE_MAX) {
		sched_by_replay(&chosen.replay, events, nr);
		return;
	}
	for (unsigned i = 0; i < p->nr_schedule; i++) /* they are used from the end */
		bytes[p->nr_schedule - 1 - i] = p->schedule[i];
	sched_by_bytes(&chosen.bytes, bytes, p->nr_schedule);
}

void lib_replay(const struct program *p, bool lenient, bool all_points, FILE *out, struct sched_result *result)
{
	/* Weak memory changes nothing where the schedule reads no older values. */
	const struct sched_options options = { .weak = true, .all_points = all_points, .watch = out ? show_event : NULL };

	show.nr = 0;
	lib_on_line = out ? show_line : NULL;
	replay_choose(p);
	sched_run(lib_program(p, lenient), &chosen.base, &options, result);
	lib_on_line = NULL;
	if (out)
		show_print(p, out);
}

unsigned lib_replay_and(const struct program *p, unsigned more, struct sched_result *result)
{
	const struct sched_options options = { .weak = true };
	const struct sched_program *program = lib_program(p, true);
	struct sched_sum sum;
	uint64_t seed = 1;

	replay_choose(p);
	sched_run(program, &chosen.base, &options, result);
	if (result->finding != SCHED_NOTHING || prog_switches(p, NULL) || result->steps > LIB_SHORT)
		return 1;
	for (unsigned i = 0; i < p->nr_schedule; i++)
		seed = (seed ^ p->schedule[i]) * UINT64_C(0x100000001B3);
	sched_by_random(&chosen.random, seed);
	bool found = sched_explore(program, &chosen.base, &options, more / 2, &sum, result);
	unsigned nr = 1 + (unsigned)sum.runs;
	if (!found) {
		sched_by_pct(&chosen.pct, seed, 3);
		chosen.pct.steps = result->steps ? result->steps : 1;
		found = sched_explore(program, &chosen.base, &options, more - more / 2, &sum, result);
		nr += (unsigned)sum.runs;
	}
	if (found && result->finding == SCHED_LIMIT) /* a random schedule may have more deviations than are kept */
		result->finding = SCHED_NOTHING;
	return nr;
}

/* Its name in one word. */
static const char *tell_word(enum sched_finding finding)
{
	switch (finding) {
	case SCHED_LOST_WAKE:
		return "lost-wake";
	case SCHED_POISONED:
		return "poisoned";
	case SCHED_CALL_OUT:
		return "call-out";
	case SCHED_ORDER:
		return "lock-order";
	default:
		return sched_finding_name(finding);
	}
}

void lib_tell(const struct program *p, const struct sched_result *result, FILE *out)
{
	static struct program shown;
	static char text[PROG_TEXT_MAX];
	char where[100];
	uint32_t id = 2166136261u ^ (uint32_t)result->finding;

	for (const char *c = result->text; *c; c++)
		if (*c < '0' || *c > '9')
			id = (id ^ (uint8_t)*c) * 16777619u;
	fprintf(out, "pfa-finding: id=%08" PRIx32 " invariant=%s op=threads step=%" PRIu32 " message=%s\n", id, tell_word(result->finding),
	        result->steps, result->text);
	lib_where(result->pc, where, sizeof(where));
	shown = *p;
	if (!lib_set_schedule(&shown, result)) /* too long a list: as it was */
		shown = *p;
	prog_print(&shown, text, sizeof(text));
	fprintf(out, "\n%s at %s", result->text, result->pc ? where : "the end");
	if (result->other) {
		lib_where(result->other, where, sizeof(where));
		fprintf(out, " and %s", where);
	}
	fprintf(out, "\n%s", text);
	fflush(out);
}
