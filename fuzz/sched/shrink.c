/* SPDX-License-Identifier: MIT
 *
 * shrink.c - see strategy.h: the fewest deviations that still show the same.
 */
#include <string.h>

#include "strategy.h"

/* Of one bound: what takes longer is left to the deletion of single deviations. */
#define SHRINK_RUNS 5000u

static struct sched_all shrink_all;
static struct sched_result shrink_now;

static bool shrink_same(const struct sched_result *a, const struct sched_result *b)
{
	return a->finding == b->finding && strcmp(a->text, b->text) == 0;
}

/* The exhaustive strategy, at the lowest bound at which it finds the same. */
static bool shrink_exhaustively(const struct sched_program *program, const struct sched_options *options,
                                struct sched_result *result)
{
	for (unsigned bound = 0; bound <= 3 && bound < result->nr_events; bound++) {
		sched_by_all(&shrink_all, bound);
		for (unsigned i = 0; i < SHRINK_RUNS; i++) {
			sched_run(program, &shrink_all.base, options, &shrink_now);
			if (shrink_same(&shrink_now, result) && shrink_now.nr_events < result->nr_events) {
				*result = shrink_now;
				return true;
			}
			if (!shrink_all.base.end(&shrink_all.base, &shrink_now))
				break;
		}
	}
	return false;
}

/* Without deviation i, and without j unless it is i. */
static bool shrink_without(const struct sched_program *program, const struct sched_options *options,
                           struct sched_result *result, size_t i, size_t j)
{
	static struct sched_event events[SCHED_EVENTS];
	struct sched_replay replay;
	size_t nr = 0;

	for (size_t k = 0; k < result->nr_events; k++)
		if (k != i && k != j)
			events[nr++] = result->events[k];
	sched_by_replay(&replay, events, nr);
	sched_run(program, &replay.base, options, &shrink_now);
	/* A deviation less may make room for others, which the replay has not; so it has at most as many. */
	if (!shrink_same(&shrink_now, result) || shrink_now.nr_events >= result->nr_events)
		return false;
	*result = shrink_now;
	return true;
}

/* Pairs too, since a switch away is of no use without the switch back. */
static bool shrink_some(const struct sched_program *program, const struct sched_options *options, struct sched_result *result)
{
	for (size_t i = 0; i < result->nr_events; i++)
		if (shrink_without(program, options, result, i, i))
			return true;
	for (size_t i = 0; i < result->nr_events; i++)
		for (size_t j = i + 1; j < result->nr_events && j < i + 32; j++)
			if (shrink_without(program, options, result, i, j))
				return true;
	return false;
}

void sched_shrink(const struct sched_program *program, const struct sched_options *options, struct sched_result *result)
{
	if (result->finding == SCHED_NOTHING || shrink_exhaustively(program, options, result))
		return;
	while (shrink_some(program, options, result))
		;
	shrink_exhaustively(program, options, result);
}
