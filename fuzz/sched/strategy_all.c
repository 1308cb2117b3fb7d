/* SPDX-License-Identifier: MIT
 *
 * strategy_all.c - see strategy.h: every schedule with a bounded number of deviations, depth first.
 *
 * A *slot* is a place where something else than the default could be done. A run is told by its deviations, (slot,
 * alternative) in ascending order; the run with one more deviation is the same up to that slot. So what was seen at the
 * slots of each prefix is kept, and each list of deviations comes exactly once.
 */
#include "strategy.h"

#include <string.h>

#define FREE 0x80u /* the alternatives cost nothing of the bound */

static void all_begin(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_all *a = (struct sched_all *)s;

	(void)view;
	a->slot = a->taken = 0;
	a->nr_slots[a->nr] = 0;
}

static uint32_t all_gap(struct sched_strategy *s, const struct sched_view *view)
{
	(void)s;
	(void)view;
	return 1;
}

/* Passes a slot: which alternative is due, 0 for the default. */
static unsigned all_slot(struct sched_all *a, unsigned alternatives, unsigned free)
{
	uint32_t slot = a->slot++;

	if (a->taken < a->nr && a->path[a->taken].slot == slot)
		return a->path[a->taken++].alternative;
	if (slot >= SCHED_SLOTS) {
		a->incomplete = true;
		return 0;
	}
	a->slots[a->nr][slot] = (uint8_t)(alternatives | free);
	a->nr_slots[a->nr] = slot + 1;
	return 0;
}

/* The k-th thread of a mask, from 1. */
static unsigned all_thread(unsigned mask, unsigned k)
{
	while (--k)
		mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

static struct sched_choice all_point(struct sched_strategy *s, const struct sched_view *view)
{
	if (!view->runnable)
		return (struct sched_choice){ SCHED_GO_ON, 0 };
	unsigned k = all_slot((struct sched_all *)s, (unsigned)__builtin_popcount(view->runnable), 0);
	return k ? (struct sched_choice){ SCHED_PREEMPT, all_thread(view->runnable, k) } :
	           (struct sched_choice){ SCHED_GO_ON, 0 };
}

static unsigned all_next(struct sched_strategy *s, const struct sched_view *view, unsigned default_)
{
	unsigned others = view->runnable & ~(1u << default_);
	unsigned k = all_slot((struct sched_all *)s, (unsigned)__builtin_popcount(others), FREE);

	return k ? all_thread(others, k) : default_;
}

static unsigned all_stale(struct sched_strategy *s, const struct sched_view *view, unsigned nr)
{
	(void)view;
	return all_slot((struct sched_all *)s, nr - 1, 0);
}

static unsigned all_cost(const struct sched_all *a, unsigned nr)
{
	unsigned cost = 0;

	for (unsigned i = 0; i < nr; i++)
		cost += !(a->slots[i][a->path[i].slot] & FREE);
	return cost;
}

/* The first deviation at or after this slot of the run with nr deviations. */
static bool all_extend(struct sched_all *a, unsigned nr, uint32_t from)
{
	unsigned left = a->bound - all_cost(a, nr);

	for (uint32_t slot = from; slot < a->nr_slots[nr]; slot++) {
		uint8_t what = a->slots[nr][slot];
		if (!(what & ~FREE) || (!(what & FREE) && !left))
			continue;
		if (nr == SCHED_DEPTH) {
			a->incomplete = true;
			return false;
		}
		a->path[nr].slot = slot;
		a->path[nr].alternative = 1;
		a->nr = nr + 1;
		return true;
	}
	return false;
}

static bool all_end(struct sched_strategy *s, const struct sched_result *result)
{
	struct sched_all *a = (struct sched_all *)s;
	unsigned nr = a->nr;

	(void)result;
	if (all_extend(a, nr, nr ? a->path[nr - 1].slot + 1 : 0))
		return true;
	while (nr--) {
		uint32_t slot = a->path[nr].slot;
		if (a->path[nr].alternative < (a->slots[nr][slot] & ~FREE)) {
			a->path[nr].alternative++;
			a->nr = nr + 1;
			return true;
		}
		if (all_extend(a, nr, slot + 1))
			return true;
	}
	return false;
}

void sched_by_all(struct sched_all *s, unsigned bound)
{
	memset(s, 0, offsetof(struct sched_all, nr_slots));
	s->base = (struct sched_strategy){ .name = "all", .begin = all_begin, .gap = all_gap, .point = all_point,
		                           .next = all_next, .stale = all_stale, .end = all_end };
	s->bound = bound;
}
