/* SPDX-License-Identifier: MIT
 *
 * lib_shrink.c - see lib_file.h: takes operations away, as long as some schedule with few deviations still finds the same.
 */
#include "lib_file.h"

#include <ctype.h>
#include <string.h>

#include "strategy.h"

/* Of one bound, for each operation. */
#define SHRINK_RUNS 2000u
#define SHRINK_BOUND 3u

static struct sched_all every;
static struct sched_result now;
static struct program smaller;

/* The same finding: its text without its numbers. */
static bool shrink_same(const struct sched_result *x, const struct sched_result *y)
{
	const char *a = x->text, *b = y->text;

	if (x->finding != y->finding)
		return false;
	for (;; a++, b++) {
		while (isdigit((unsigned char)*a))
			a++;
		while (isdigit((unsigned char)*b))
			b++;
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

static bool shrink_finds(const struct program *p, bool lenient, const struct sched_options *options, const struct sched_result *what)
{
	const struct sched_program *program = lib_program(p, lenient);

	for (unsigned bound = 0; bound <= SHRINK_BOUND && bound <= what->nr_events; bound++) {
		sched_by_all(&every, bound);
		for (unsigned i = 0; i < SHRINK_RUNS; i++) {
			sched_run(program, &every.base, options, &now);
			if (shrink_same(&now, what))
				return true;
			if (!every.base.end(&every.base, &now))
				break;
		}
	}
	return false;
}

/* Without operation i, and without those that need what it yields. */
static bool shrink_without(struct program *p, unsigned i, bool lenient, const struct sched_options *options, struct sched_result *result)
{
	bool keep[PROG_OPS_MAX];

	smaller = *p;
	for (unsigned k = 0; k < p->nr_ops; k++)
		keep[k] = k != i;
	prog_select(&smaller, keep);
	if (!shrink_finds(&smaller, lenient, options, result))
		return false;
	*p = smaller;
	*result = now;
	return true;
}

void lib_shrink(struct program *p, bool lenient, const struct sched_options *options, struct sched_result *result)
{
	struct sched_options each = *options;

	/* Runs that have no end are the exception: a budget, unless that is what was found. */
	if (result->finding != SCHED_LIVELOCK)
		each.budget = 4 * result->steps + 2000;
	sched_shrink(lib_program(p, lenient), &each, result);
	for (bool again = true; again;) {
		again = false;
		for (unsigned i = p->nr_ops; i-- > 0;)
			if (i < p->nr_ops && p->ops[i].kind != OP_START)
				again |= shrink_without(p, i, lenient, &each, result);
	}
	sched_shrink(lib_program(p, lenient), &each, result);
	lib_set_schedule(p, result);
}
