/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_shrink.c - makes the program of a finding smaller while its identity stays: fewer operations by delta
 * debugging, then a plainer configuration, then plainer arguments, until nothing changes any more.
 */
#include "pfa_trace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNS_MAX 6000u
#define TIMEOUT_RUNS_MAX 400u /* each costs the whole timeout */

struct shrinker {
	const struct trace_options *o;
	struct program best, candidate;
	struct trace_input in; /* the candidate, or raw bytes */
	char id[24];
	unsigned runs, most_runs;
	bool broken; /* a trial could not be made */
};

/* Does the candidate have the same finding? Then it is the best. */
static bool accept(struct shrinker *s)
{
	struct trace_trial trial;

	prog_canonicalise(&s->candidate);
	if (prog_equal(&s->candidate, &s->best) || s->runs >= s->most_runs || s->broken)
		return false;
	s->runs++;
	s->in.program = &s->candidate;
	if (!trace_try(s->o, &s->in, true, &trial)) {
		s->broken = true;
		return false;
	}
	if (!trial.found || strcmp(trial.id, s->id) != 0)
		return false;
	s->best = s->candidate;
	return true;
}

/* Leaves out [at, at + nr); what depends on it goes as well. */
static bool without(struct shrinker *s, unsigned at, unsigned nr)
{
	bool keep[PROG_OPS_MAX];

	for (unsigned i = 0; i < s->best.nr_ops; i++)
		keep[i] = i < at || i >= at + nr;
	s->candidate = s->best;
	prog_select(&s->candidate, keep);
	return accept(s);
}

static bool fewer_operations(struct shrinker *s)
{
	unsigned before = s->best.nr_ops;

	for (unsigned step = (s->best.nr_ops + 1) / 2; step; step /= 2)
		for (unsigned end = s->best.nr_ops; end > 0 && s->runs < s->most_runs;) {
			unsigned at = end > step ? end - step : 0;

			/* from the back: what is needed tends to stand at the front */
			without(s, at, end - at);
			end = at < s->best.nr_ops ? at : s->best.nr_ops;
		}
	return s->best.nr_ops < before;
}

/* An operation that yields a handle, together with the one that gives it back: neither goes alone. */
static bool fewer_pairs(struct shrinker *s)
{
	bool any = false;

	for (unsigned i = s->best.nr_ops; i-- > 0;)
		for (unsigned k = i + 1; k < s->best.nr_ops && k < i + 40; k++) {
			bool keep[PROG_OPS_MAX];

			if (s->best.ops[k].ref == i)
				continue; /* goes with it anyway */
			for (unsigned n = 0; n < s->best.nr_ops; n++)
				keep[n] = n != i && n != k;
			s->candidate = s->best;
			prog_select(&s->candidate, keep);
			if (accept(s)) {
				any = true;
				break;
			}
		}
	return any;
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

/* Way number way to make the configuration plainer; false if there is no such way. No two ways undo each other, else
 * there would be no end. */
static bool plainer(struct prog_config *c, unsigned way)
{
	bool caches = c->cache_high != PROG_CACHE_NONE;

	switch (way) {
	case 0: c->swarm = 0; return true;
	case 1: c->threads = 1; return true;
	case 2: c->cache_high = PROG_CACHE_NONE; return true;
	case 3: c->cpus = 1; return true;
	case 4: c->cache_high = caches ? 0 : PROG_CACHE_NONE; return true;
	case 5: c->cache_batch = 0; return true;
	case 6: c->cache_max_order = 0; return true;
	case 7: c->hardening = 0; return true;
	case 8: c->abort_policy = false; return true;
	case 9: c->zeroed_meta = false; return true;
	case 10: c->zeroed_pool = c->track_zero = false; return true;
	case 11: c->track_zero = false; return true;
	case 12: c->zeroed_pool = false; return true;
	case 13: c->pool = PROG_POOL_ABSENT; return true;
	case 14: c->pool = c->pool == PROG_POOL_ABSENT ? c->pool : PROG_POOL_NONE; return true;
	case 15: c->check = PROG_CHECK_TOUCHED; return true;
	case 16: c->seed = 0; return true;
	case 17: c->pageblock_order = 6; return true;
	case 18: c->max_order = c->pageblock_order; return true;
	case 19: c->frame_shift = 6; return true;
	case 20: c->bad_variant = 0; return true;
	case 21: c->cpu_way = PROG_CPU_OP; return true;
	case 22: c->huge = 0; return true;
	case 23: c->quarantine = 0; return true;
	case 24: c->quarantine /= 2; return true;
	case 25: c->poison = PROG_POISON_NONE; return true;
	default: return false;
	}
}

/* The same for zone i: way number way. */
static bool plainer_zone(struct prog_config *c, unsigned i, unsigned way)
{
	struct prog_zone *z = &c->zones[i];

	switch (way) {
	case 0:
		for (unsigned k = i; k + 1 < c->nr_zones; k++)
			c->zones[k] = c->zones[k + 1];
		c->nr_zones -= c->nr_zones > 1;
		return true;
	case 1: z->nr_holes = 0; return true;
	case 2: z->nr_holes -= z->nr_holes > 0; return true;
	case 3: z->cma.nr = 0; return true;
	case 4: z->highatomic = 0; return true;
	case 5: z->mark_min = z->mark_low = z->mark_high = 0; return true;
	case 6: z->start = 0; return true;
	case 7: z->start = z->start >> c->pageblock_order << c->pageblock_order; return true;
	case 8: z->nr = (z->nr + 1) / 2; return true;
	case 9: z->nr -= z->nr / 4; return true;
	case 10: z->nr -= z->nr > 1; return true;
	default: return false;
	}
}

static bool plainer_configuration(struct shrinker *s)
{
	bool any = false;

	s->candidate = s->best;
	if (s->best.nr_schedule) {
		s->candidate.nr_schedule = 0;
		any |= accept(s);
	}
	for (unsigned way = 0; s->candidate = s->best, plainer(&s->candidate.config, way); way++)
		any |= accept(s);
	for (unsigned i = 0; i < s->best.config.nr_zones; i++)
		for (unsigned way = 0;
		     s->candidate = s->best, i < s->best.config.nr_zones && plainer_zone(&s->candidate.config, i, way); way++)
			any |= accept(s);
	return any;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

static bool try_arg(struct shrinker *s, unsigned op, unsigned arg, uint64_t value)
{
	if (s->best.ops[op].arg[arg] == value)
		return false;
	s->candidate = s->best;
	s->candidate.ops[op].arg[arg] = value;
	return accept(s);
}

static bool plainer_argument(struct shrinker *s, unsigned op, unsigned arg)
{
	enum prog_argkind kind = prog_kind(s->best.ops[op].kind)->args[arg].kind;
	uint64_t value = s->best.ops[op].arg[arg];
	bool any = false;

	if (kind == PROG_ARG_FLAGS) {
		for (unsigned bit = 8; bit-- > 0;)
			if (s->best.ops[op].arg[arg] >> bit & 1)
				any |= try_arg(s, op, arg, s->best.ops[op].arg[arg] & ~(UINT64_C(1) << bit));
		return any;
	}
	if (kind == PROG_ARG_PFN || value == 0)
		return false; /* places have no plainer neighbours */
	if (try_arg(s, op, arg, kind == PROG_ARG_NR || kind == PROG_ARG_NR_EXACT || kind == PROG_ARG_RUN))
		return true;
	if (try_arg(s, op, arg, value / 2))
		return true;
	return value <= 64 && try_arg(s, op, arg, value - 1);
}

static bool plainer_arguments(struct shrinker *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->best.nr_ops; i++) {
		const struct prog_kind_info *k = prog_kind(s->best.ops[i].kind);

		if (s->best.ops[i].thread) {
			s->candidate = s->best;
			s->candidate.ops[i].thread = 0;
			any |= accept(s);
		}
		for (unsigned arg = 0; arg < k->nr_args; arg++)
			any |= plainer_argument(s, i, arg);
	}
	return any;
}

/* ---- bytes that are no program ------------------------------------------------------------------------------------ */

static bool accept_raw(struct shrinker *s, const uint8_t *bytes, size_t nr)
{
	static struct trace_input other;
	struct trace_trial trial;

	if (s->runs >= s->most_runs || s->broken)
		return false;
	s->runs++;
	other = s->in;
	memcpy(other.raw, bytes, nr);
	other.nr_raw = nr;
	s->broken = !trace_try(s->o, &other, true, &trial);
	if (s->broken || !trial.found || strcmp(trial.id, s->id) != 0)
		return false;
	s->in = other;
	return true;
}

static void shrink_raw(struct shrinker *s)
{
	static uint8_t bytes[PROG_BYTES_MAX];

	for (size_t step = s->in.nr_raw; step; step /= 2)
		for (size_t at = 0; at < s->in.nr_raw;) {
			size_t nr = s->in.nr_raw - at < step ? s->in.nr_raw - at : step;

			memcpy(bytes, s->in.raw, at);
			memcpy(bytes + at, s->in.raw + at + nr, s->in.nr_raw - at - nr);
			if (!accept_raw(s, bytes, s->in.nr_raw - nr))
				at += step;
		}
	for (size_t at = 0; at < s->in.nr_raw; at++) {
		memcpy(bytes, s->in.raw, s->in.nr_raw);
		bytes[at] = strcmp(s->in.program->target, "text") == 0 ? ' ' : 0;
		if (bytes[at] != s->in.raw[at])
			accept_raw(s, bytes, s->in.nr_raw);
	}
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

static void shrink(struct shrinker *s, size_t failing_step)
{
	unsigned most = failing_step < s->best.nr_ops ? (unsigned)failing_step + 1 : s->best.nr_ops;

	without(s, most, s->best.nr_ops - most);
	fewer_operations(s);
	plainer_configuration(s);
	for (bool again = true; again && s->runs < s->most_runs && !s->broken;) {
		again = fewer_operations(s);
		again |= plainer_arguments(s);
		again |= plainer_configuration(s);
		if (!again && s->best.nr_ops <= 60)
			again = fewer_pairs(s);
	}
}

/* A sanitizer's report takes a second to get its names: thousands of runs do without, and places identify. The options
 * of sanitizers are read at the start, hence a new one. */
static void restart_without_names(void)
{
	static const char *const options[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "MSAN_OPTIONS" };
	char value[1024];

	if (getenv("PFA_TRACE_SHRINK"))
		return;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *old = getenv(options[i]);

		snprintf(value, sizeof(value), "%s%ssymbolize=0:detect_leaks=0", old ? old : "", old ? ":" : "");
		setenv(options[i], value, 1);
	}
	setenv("PFA_TRACE_SHRINK", "1", 1);
	execv("/proc/self/exe", trace_argv); /* where this fails it is only slower */
}

int trace_shrink(const struct trace_options *o)
{
	static struct shrinker s;
	static char text[PROG_TEXT_MAX];
	struct program *loaded;
	struct trace_trial trial;
	size_t before, nr;

	restart_without_names();
	if (!trace_load(o, o->inputs[0], &s.in))
		return TRACE_USAGE;
	s.o = o;
	loaded = s.in.program;
	s.best = *loaded;
	if (!trace_try(o, &s.in, true, &trial))
		return TRACE_USAGE;
	if (!trial.found)
		return trace_complain("%s: no finding: nothing to shrink", o->inputs[0]);
	memcpy(s.id, trial.id, sizeof(s.id));
	s.most_runs = strncmp(trial.text, "timeout", 7) == 0 ? TIMEOUT_RUNS_MAX : RUNS_MAX;
	before = s.in.is_raw ? s.in.nr_raw : s.best.nr_ops;
	if (s.in.is_raw)
		shrink_raw(&s);
	else
		shrink(&s, trial.step);
	fprintf(stderr, "shrink: finding %s, %zu -> %zu %s in %u runs\n", s.id, before,
	        s.in.is_raw ? s.in.nr_raw : s.best.nr_ops, s.in.is_raw ? "bytes" : "operations", s.runs);
	if (s.in.is_raw)
		nr = prog_print_raw(loaded->target, s.in.raw, s.in.nr_raw, text, sizeof(text));
	else
		nr = prog_print(&s.best, text, sizeof(text));
	free(loaded);
	return !s.broken && trace_write(o->output, text, nr) ? TRACE_FINE : TRACE_USAGE;
}
