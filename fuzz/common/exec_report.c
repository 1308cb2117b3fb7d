/* SPDX-License-Identifier: MIT
 *
 * exec_report.c - one screen for a finding: what is wrong, where, the last steps, the map before and after, the
 * history of the frame, and the commands to go on with. Prints to stderr, machine-readable line first.
 */
#define _DEFAULT_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec_movable.h"

#define REPORT_STEPS 8u
#define REPORT_HISTORY 8u
#define REPORT_MAP 4096u

/* ---- the map ----------------------------------------------------------------------------------------------------- */

struct report_text {
	char *at;
	size_t nr, capacity;
};

static void report_put(struct report_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report_put(struct report_text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int nr = vsnprintf(t->at + t->nr, t->capacity - t->nr, format, args);
	va_end(args);
	if (nr > 0)
		t->nr = t->nr + (size_t)nr < t->capacity ? t->nr + (size_t)nr : t->capacity - 1;
}

static char report_frame_letter(struct exec_run *run, pfa_pfn pfn)
{
	static const char letters[] = { '.', 'H', 't', 'c', ' ', 'o', 'b', 'r', 'm', 'q', 'f', 'g' };
	struct pfa_frame_info f;
	size_t index;

	_Static_assert(sizeof(letters) == PFA_FRAME_STATES, "a letter for each state");
	if (run->ops->frame_info && run->ops->frame_info(run->sut, pfn, &f) == PFA_OK && f.state < PFA_FRAME_STATES)
		return letters[f.state];
	if (model_zone_of(&run->m, pfn, &index) == run->m.nr_zones)
		return ' ';
	return ".Htg ob"[run->m.state[index] % 7];
}

/* One line a pageblock of the zone, at most three around the pfn, 64 frames a line at most four lines each. */
static void report_frames(struct exec_run *run, struct report_text *t, unsigned zone, pfa_pfn pfn)
{
	static const char types[] = "UMRHCI?";
	const struct model_zone *z = &run->m.zone[zone];
	pfa_pfn first = pfn / 64 * 64;

	first = first >= 128 ? first - 128 : 0;
	for (unsigned line = 0; line < 5; line++, first += 64) {
		struct pfa_pageblock_info info = { .type = PFA_TYPES };
		if (first + 64 <= z->start || first >= z->start + z->nr)
			continue;
		const pfa_pfn inside = first > z->start ? first : z->start;
		if (run->ops->pageblock_info && run->ops->pageblock_info(run->sut, inside, &info) != PFA_OK)
			info.type = PFA_TYPES;
		report_put(t, "  %10zu %c |", (size_t)first, types[info.type > 6 ? 6 : info.type]);
		for (pfa_pfn at = first; at < first + 64; at++)
			report_put(t, "%c", at >= z->start && at < z->start + z->nr ? report_frame_letter(run, at) : ' ');
		report_put(t, "|%s\n", pfn >= first && pfn < first + 64 ? " <" : "");
	}
}

size_t exec_map(char *text, size_t capacity, pfa_pfn pfn)
{
	struct exec_run *run = &exec_one;
	struct report_text t = { text, 0, capacity };
	size_t index;

	if (!capacity)
		return 0;
	text[0] = 0;
	if (!run->sut)
		return real_map(text, capacity);
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		struct pfa_zone_stats s = { .present = 0 };
		if (run->ops->zone_stats && run->ops->zone_stats(run->sut, zone, &s, sizeof(s)) == PFA_OK)
			report_put(&t, "  zone %u: pfn %zu..%zu present %zu free %zu (cma %zu, highatomic %zu) cached %zu allocated %zu\n",
			           zone, (size_t)z->start, (size_t)(z->start + z->nr - 1), s.present, s.free, s.free_cma,
			           s.free_highatomic, s.cached, s.allocated);
	}
	unsigned zone = model_zone_of(&run->m, pfn, &index);
	if (zone == run->m.nr_zones) {
		zone = 0;
		pfn = run->m.zone[0].start;
	}
	report_frames(run, &t, zone, pfn);
	return t.nr;
}

/* ---- the screen -------------------------------------------------------------------------------------------------- */

struct report_history {
	pfa_pfn pfn;
	struct { size_t step; int code; pfa_pfn first; size_t nr; } entry[REPORT_HISTORY];
	size_t nr;
};

static void report_note(void *ctx, const struct program *p, const struct exec_step *s)
{
	struct report_history *h = ctx;

	(void)p;
	if (!s->has_pfn || h->pfn < s->pfn || h->pfn - s->pfn >= (s->nr_frames ? s->nr_frames : 1))
		return;
	h->entry[h->nr % REPORT_HISTORY].step = s->index;
	h->entry[h->nr % REPORT_HISTORY].code = s->code;
	h->entry[h->nr % REPORT_HISTORY].first = s->pfn;
	h->entry[h->nr % REPORT_HISTORY].nr = s->nr_frames;
	h->nr++;
}

static void report_print_step(const struct program *p, size_t step)
{
	char line[256];

	if (step >= p->nr_ops)
		return;
	(void)prog_print_op(p, (unsigned)step, line, sizeof(line));
	fprintf(stderr, "  %4zu  %s\n", step, line);
}

static void report_last_steps(const struct program *p, size_t step)
{
	const size_t end = step < p->nr_ops ? step + 1 : p->nr_ops;
	const size_t first = end > REPORT_STEPS ? end - REPORT_STEPS : 0;

	fprintf(stderr, "last steps (of %u):\n", p->nr_ops);
	for (size_t i = first; i < end; i++)
		report_print_step(p, i);
}

/* What was made up between the steps (exec_options.moves), each shown as if it were the step before it. */
static void report_made(const struct program *p, const struct exec_made last[EXEC_MADE], size_t nr)
{
	static struct program shown;
	char line[256];

	if (nr)
		fprintf(stderr, "made up between the steps (%zu in all):\n", nr);
	for (size_t i = nr > EXEC_MADE ? nr - EXEC_MADE : 0; i < nr; i++) {
		const struct exec_made *made = &last[i % EXEC_MADE];
		if (made->skipped || made->after >= p->nr_ops)
			continue;
		shown = *p;
		shown.ops[made->after] = made->op;
		(void)prog_print_op(&shown, (unsigned)made->after, line, sizeof(line));
		fprintf(stderr, "  after %zu  %s  %s\n", made->after, line, made->ended ? pfa_error_name(made->code) : "<");
	}
}

/* "I12 liveness" -> "I12"; others as they are, spaces closed up, since a key's value is one word. */
static void report_invariant(const char *monitor, char out[32])
{
	size_t i = 0;

	for (; monitor[i] && i < 31; i++)
		out[i] = (char)(monitor[i] == ' ' ? '-' : monitor[i]);
	out[i] = 0;
}

void exec_report(const struct program *p, const struct exec_options *o, const struct exec_result *r)
{
	static char after[REPORT_MAP], before[REPORT_MAP];
	static struct exec_result again;
	const struct finding f = r->finding;
	struct report_history history = { .pfn = f.verdict.pfn };
	struct exec_options up_to = *o;
	struct exec_made made[EXEC_MADE];
	const size_t nr_made = exec_mov.nr_made;
	char invariant[32];

	report_invariant(f.verdict.monitor, invariant);
	fprintf(stderr, "pfa-finding: id=%s invariant=%s op=%s step=%zu message=%s\n", f.id, invariant, f.op,
	        f.step == SIZE_MAX ? 0 : f.step, f.text);
	(void)exec_map(after, sizeof(after), f.verdict.pfn);
	memcpy(made, exec_mov.made, sizeof(made));
	exec_drop();
	up_to.stop_before = f.step == SIZE_MAX ? 0 : f.step;
	up_to.keep = true;
	up_to.on_step = report_note;
	up_to.ctx = &history;
	if (f.step != SIZE_MAX && exec_run(p, &up_to, &again) == EXEC_FINE)
		(void)exec_map(before, sizeof(before), f.verdict.pfn);
	exec_drop();
	fprintf(stderr, "\n%s %s\n  expected %zu (%#zx), actual %zu (%#zx), pfn %zu, zone %u, step %zu (%s)\n\n",
	        f.verdict.monitor, f.verdict.what, f.verdict.expected, f.verdict.expected, f.verdict.actual,
	        f.verdict.actual, (size_t)f.verdict.pfn, f.verdict.zone, f.step == SIZE_MAX ? 0 : f.step, f.op);
	report_last_steps(p, f.step);
	report_made(p, made, nr_made);
	fprintf(stderr, "history of the frame:%s\n", history.nr ? "" : " none");
	for (size_t i = history.nr > REPORT_HISTORY ? history.nr - REPORT_HISTORY : 0; i < history.nr; i++)
		fprintf(stderr, "  step %zu: pfn %zu, %zu frames, %s\n", history.entry[i % REPORT_HISTORY].step,
		        (size_t)history.entry[i % REPORT_HISTORY].first, history.entry[i % REPORT_HISTORY].nr,
		        pfa_error_name(history.entry[i % REPORT_HISTORY].code));
	fprintf(stderr, "before the step (. free, H head, t tail, c cached, q quarantine, g guard; letter: type of the pageblock):\n%s", before);
	fprintf(stderr, "after the step:\n%s", after);
	fprintf(stderr, "replay: fuzz/run --repro FILE    explain: pfa-trace explain FILE    shrink: pfa-trace shrink FILE\n");
}

void exec_or_abort(const struct program *p, const struct exec_options *o)
{
	static struct exec_result r;

	if (exec_run(p, o, &r) != EXEC_FINDING)
		return;
	exec_report(p, o, &r);
	abort();
}

/* ---- when a sanitizer speaks first ------------------------------------------------------------------------------- */

static void report_context(void)
{
	const struct exec_run *run = &exec_one;
	char line[256];

	if (!run->p || run->step.index == SIZE_MAX || run->step.index >= run->p->nr_ops)
		return;
	const int nr = snprintf(line, sizeof(line), "pfa-context: op=%s step=%zu\n",
	                        prog_kind(run->p->ops[run->step.index].kind)->name, run->step.index);
	if (nr > 0 && write(STDERR_FILENO, line, (size_t)nr) < 0)
		return;
	report_last_steps(run->p, run->step.index);
}

/* Weak: there only under the sanitizers. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void report_stats_at_exit(void);
static uint64_t report_steps;

static void report_stats_at_exit(void)
{
	fprintf(stderr, "pfa-stats: steps=%llu\n", (unsigned long long)report_steps);
}

void exec_count_steps(size_t steps)
{
	report_steps += steps;
}

void exec_install_callbacks(void)
{
	static bool installed;

	if (installed)
		return;
	installed = true;
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(report_context);
	const char *wanted = getenv("PFA_FUZZ_STATS");
	if (wanted && strcmp(wanted, "1") == 0)
		(void)atexit(report_stats_at_exit);
}
