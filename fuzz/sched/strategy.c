/* SPDX-License-Identifier: MIT
 *
 * strategy.c - see strategy.h: all but the exhaustive one.
 */
#include "strategy.h"

#include <string.h>

static const struct sched_choice go_on = { SCHED_GO_ON, 0 };

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((next_random(state) >> 32) * bound >> 32);
}

/* The k-th thread of a mask, counted round and round. */
static unsigned one_of(unsigned mask, unsigned k)
{
	k %= (unsigned)__builtin_popcount(mask);
	while (k--)
		mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

/* ---- by default ---- */

static uint32_t default_gap(struct sched_strategy *s, const struct sched_view *view)
{
	(void)s;
	(void)view;
	return SCHED_NEVER;
}

static struct sched_choice default_point(struct sched_strategy *s, const struct sched_view *view)
{
	(void)s;
	(void)view;
	return go_on;
}

void sched_by_default(struct sched_strategy *s)
{
	*s = (struct sched_strategy){ .name = "default", .gap = default_gap, .point = default_point };
}

/* ---- replay ---- */

static size_t replay_skip(const struct sched_replay *r, size_t at, unsigned thread)
{
	while (at < r->nr && r->events[at].thread != thread)
		at++;
	return at;
}

static void replay_begin(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_replay *r = (struct sched_replay *)s;

	for (unsigned t = 0; t < view->nr_threads; t++)
		r->at[t] = replay_skip(r, 0, t);
}

/* The thread's event of this point and kind. What it passes over on the way does not apply. */
static const struct sched_event *replay_take(struct sched_replay *r, const struct sched_view *view, unsigned kinds)
{
	size_t at = r->at[view->self];

	while (at < r->nr && r->events[at].n < view->n)
		at = replay_skip(r, at + 1, view->self);
	r->at[view->self] = at;
	while (at < r->nr && r->events[at].n == view->n) {
		const struct sched_event *e = &r->events[at];
		at = replay_skip(r, at + 1, view->self);
		if (kinds >> e->kind & 1) {
			r->at[view->self] = at;
			return e;
		}
	}
	return NULL;
}

static uint32_t replay_gap(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_replay *r = (struct sched_replay *)s;
	size_t at = r->at[view->self];

	/* What comes without being asked for (a stale value, a run) is not what to stop for, but harmless. */
	while (at < r->nr && r->events[at].n <= view->n)
		at = replay_skip(r, at + 1, view->self);
	return at < r->nr ? r->events[at].n - view->n : SCHED_NEVER;
}

static struct sched_choice replay_point(struct sched_strategy *s, const struct sched_view *view)
{
	const struct sched_event *e =
		replay_take((struct sched_replay *)s, view, 1u << SCHED_PREEMPT | 1u << SCHED_MIGRATE);

	return e ? (struct sched_choice){ (enum sched_kind)e->kind, e->arg } : go_on;
}

static unsigned replay_next(struct sched_strategy *s, const struct sched_view *view, unsigned default_)
{
	const struct sched_event *e = replay_take((struct sched_replay *)s, view, 1u << SCHED_RUN);

	return e ? e->arg : default_;
}

static unsigned replay_stale(struct sched_strategy *s, const struct sched_view *view, unsigned nr)
{
	const struct sched_event *e = replay_take((struct sched_replay *)s, view, 1u << SCHED_STALE);

	(void)nr;
	return e ? e->arg : 0;
}

void sched_by_replay(struct sched_replay *s, const struct sched_event *events, size_t nr)
{
	*s = (struct sched_replay){
		.base = { .name = "replay", .begin = replay_begin, .gap = replay_gap, .point = replay_point,
		          .next = replay_next, .stale = replay_stale },
		.events = events,
		.nr = nr,
	};
}

/* ---- bytes ---- */

static unsigned bytes_take(struct sched_bytes *b)
{
	return b->left ? b->data[--b->left] : 0;
}

/* Every point of all threads counts, whoever runs; a zero gap is a long one. */
static void bytes_plan(struct sched_bytes *b, uint32_t steps)
{
	if (!b->left) {
		b->next = SCHED_NEVER;
		return;
	}
	unsigned gap = bytes_take(b);
	b->next = steps + (gap ? gap : 256);
}

static void bytes_begin(struct sched_strategy *s, const struct sched_view *view)
{
	bytes_plan((struct sched_bytes *)s, view->steps);
}

static uint32_t bytes_gap(struct sched_strategy *s, const struct sched_view *view)
{
	const struct sched_bytes *b = (const struct sched_bytes *)s;

	return b->next == SCHED_NEVER ? SCHED_NEVER : b->next > view->steps ? b->next - view->steps : 1;
}

/* Bits 0-1: which thread, none for 0. Bits 2-3: how old the values of the next loads are, up to the next such byte. Bits 4-6, all set:
 * the cpu changes instead. Bit 7: a thread that waits may be chosen. */
static struct sched_choice bytes_point(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_bytes *b = (struct sched_bytes *)s;
	unsigned what = bytes_take(b), mask = view->runnable | (what & 0x80 ? view->waiting : 0);

	bytes_plan(b, view->steps);
	b->stale = what >> 2 & 3;
	b->stale_left = 8;
	if ((what & 3) == 0)
		return go_on;
	if ((what & 0x70) == 0x70)
		return (struct sched_choice){ SCHED_MIGRATE, (view->cpu + (what & 3)) % view->nr_cpus };
	return mask ? (struct sched_choice){ SCHED_PREEMPT, one_of(mask, (what & 3) - 1) } : go_on;
}

static unsigned bytes_stale(struct sched_strategy *s, const struct sched_view *view, unsigned nr)
{
	struct sched_bytes *b = (struct sched_bytes *)s;

	(void)view;
	if (!b->stale_left)
		return 0;
	b->stale_left--;
	return b->stale < nr ? b->stale : nr - 1;
}

void sched_by_bytes(struct sched_bytes *s, const uint8_t *data, size_t size)
{
	*s = (struct sched_bytes){
		.base = { .name = "bytes", .begin = bytes_begin, .gap = bytes_gap, .point = bytes_point, .stale = bytes_stale },
		.data = data,
		.left = size,
	};
}

/* ---- random ---- */

static void random_begin(struct sched_strategy *s, const struct sched_view *view)
{
	static const uint8_t means[] = { 4, 16, 64 };
	struct sched_random *r = (struct sched_random *)s;

	r->mean = means[below(&r->state, 3)];
	r->next = view->steps + 1 + below(&r->state, 2 * r->mean);
}

static uint32_t random_gap(struct sched_strategy *s, const struct sched_view *view)
{
	const struct sched_random *r = (const struct sched_random *)s;

	return r->next > view->steps ? r->next - view->steps : 1;
}

static struct sched_choice random_point(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_random *r = (struct sched_random *)s;
	unsigned what = below(&r->state, 16), which = below(&r->state, 256);

	r->next = view->steps + 1 + below(&r->state, 2 * r->mean);
	if (what == 0 && view->nr_cpus > 1)
		return (struct sched_choice){ SCHED_MIGRATE, which % view->nr_cpus };
	if (what == 1 && view->waiting)
		return (struct sched_choice){ SCHED_PREEMPT, one_of(view->waiting, which) };
	return view->runnable ? (struct sched_choice){ SCHED_PREEMPT, one_of(view->runnable, which) } : go_on;
}

static unsigned random_next(struct sched_strategy *s, const struct sched_view *view, unsigned default_)
{
	(void)default_;
	return one_of(view->runnable, below(&((struct sched_random *)s)->state, 256));
}

static unsigned random_stale(struct sched_strategy *s, const struct sched_view *view, unsigned nr)
{
	struct sched_random *r = (struct sched_random *)s;

	(void)view;
	return below(&r->state, 4) ? 0 : below(&r->state, nr);
}

void sched_by_random(struct sched_random *s, uint64_t seed)
{
	*s = (struct sched_random){
		.base = { .name = "random", .begin = random_begin, .gap = random_gap, .point = random_point,
		          .next = random_next, .stale = random_stale },
		.state = seed,
	};
}

/* ---- order ---- */

/* The first point of all: whoever is at it has done nothing yet. */
static uint32_t order_gap(struct sched_strategy *s, const struct sched_view *view)
{
	(void)s;
	return view->steps == 0 ? 1 : SCHED_NEVER;
}

static struct sched_choice order_point(struct sched_strategy *s, const struct sched_view *view)
{
	const unsigned mask = view->runnable | 1u << view->self;
	const unsigned first = one_of(mask, below(&((struct sched_random *)s)->state, 256));

	return first == view->self ? go_on : (struct sched_choice){ SCHED_PREEMPT, first };
}

void sched_by_order(struct sched_random *s, uint64_t seed)
{
	*s = (struct sched_random){
		.base = { .name = "order", .gap = order_gap, .point = order_point, .next = random_next },
		.state = seed,
	};
}

/* ---- PCT ---- */

static void pct_begin(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_pct *p = (struct sched_pct *)s;

	for (unsigned t = 0; t < view->nr_threads; t++)
		p->priority[t] = (int)t + 1;
	for (unsigned t = view->nr_threads; t > 1; t--) {
		unsigned k = below(&p->state, t);
		int kept = p->priority[k];
		p->priority[k] = p->priority[t - 1];
		p->priority[t - 1] = kept;
	}
	p->lowest = 0;
	for (unsigned i = 0; i + 1 < p->depth; i++)
		p->changes[i] = 1 + below(&p->state, p->steps);
}

static unsigned pct_highest(const struct sched_pct *p, unsigned mask)
{
	unsigned best = (unsigned)__builtin_ctz(mask);

	for (unsigned t = best; mask >> t; t++)
		if ((mask >> t & 1) && p->priority[t] > p->priority[best])
			best = t;
	return best;
}

/* The next change; and the first point of all, where the highest priority takes over. */
static uint32_t pct_gap(struct sched_strategy *s, const struct sched_view *view)
{
	const struct sched_pct *p = (const struct sched_pct *)s;
	uint32_t gap = view->steps == 0 ? 1 : SCHED_NEVER;

	for (unsigned i = 0; i + 1 < p->depth; i++)
		if (p->changes[i] > view->steps && p->changes[i] - view->steps < gap)
			gap = p->changes[i] - view->steps;
	return gap;
}

static struct sched_choice pct_point(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_pct *p = (struct sched_pct *)s;

	for (unsigned i = 0; i + 1 < p->depth; i++)
		if (p->changes[i] == view->steps)
			p->priority[view->self] = --p->lowest;
	unsigned best = pct_highest(p, view->runnable | 1u << view->self);
	return best == view->self ? go_on : (struct sched_choice){ SCHED_PREEMPT, best };
}

static unsigned pct_next(struct sched_strategy *s, const struct sched_view *view, unsigned default_)
{
	(void)default_;
	return pct_highest((const struct sched_pct *)s, view->runnable);
}

static unsigned pct_stale(struct sched_strategy *s, const struct sched_view *view, unsigned nr)
{
	struct sched_pct *p = (struct sched_pct *)s;

	(void)view;
	return below(&p->state, 4) ? 0 : below(&p->state, nr);
}

static bool pct_end(struct sched_strategy *s, const struct sched_result *result)
{
	if (result->steps)
		((struct sched_pct *)s)->steps = result->steps;
	return true;
}

void sched_by_pct(struct sched_pct *s, uint64_t seed, unsigned depth)
{
	*s = (struct sched_pct){
		.base = { .name = "pct", .ask_on_wake = true, .begin = pct_begin, .gap = pct_gap, .point = pct_point,
		          .next = pct_next, .stale = pct_stale, .end = pct_end },
		.state = seed,
		.depth = depth < 1 ? 1 : depth > SCHED_PCT_DEPTH ? SCHED_PCT_DEPTH : depth,
		.steps = 100,
	};
}

double sched_pct_bound(const struct sched_pct *s, unsigned nr_threads)
{
	double bound = 1.0 / nr_threads;

	for (unsigned i = 1; i < s->depth; i++)
		bound /= s->steps;
	return bound;
}

/* ---- starving ---- */

static void starve_begin(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_starve *v = (struct sched_starve *)s;

	v->reached = false;
	v->nr_threads = view->nr_threads;
}

static uint32_t starve_gap(struct sched_strategy *s, const struct sched_view *view)
{
	const struct sched_starve *v = (const struct sched_starve *)s;

	if (view->self != v->victim)
		return SCHED_NEVER;
	return view->n < v->from ? v->from - view->n : SCHED_NEVER; /* then a wake asks */
}

static struct sched_choice starve_point(struct sched_strategy *s, const struct sched_view *view)
{
	struct sched_starve *v = (struct sched_starve *)s;

	if (view->self != v->victim || view->n < v->from)
		return go_on;
	v->reached = true;
	return view->runnable ? (struct sched_choice){ SCHED_PREEMPT, one_of(view->runnable, 0) } : go_on;
}

static unsigned starve_next(struct sched_strategy *s, const struct sched_view *view, unsigned default_)
{
	const struct sched_starve *v = (const struct sched_starve *)s;

	if (!v->reached || default_ != v->victim)
		return default_;
	return one_of(view->runnable & ~(1u << v->victim), 0);
}

static bool starve_end(struct sched_strategy *s, const struct sched_result *result)
{
	struct sched_starve *v = (struct sched_starve *)s;

	(void)result;
	v->from++;
	if (v->reached)
		return true;
	v->from = 1;
	return ++v->victim < v->nr_threads;
}

void sched_by_starving(struct sched_starve *s)
{
	*s = (struct sched_starve){
		.base = { .name = "starve", .ask_on_wake = true, .begin = starve_begin, .gap = starve_gap,
		          .point = starve_point, .next = starve_next, .end = starve_end },
		.from = 1,
	};
}
