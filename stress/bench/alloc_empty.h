/* SPDX-License-Identifier: MIT
 *
 * The empty driver: what the workloads cost by themselves. A stack of pfns for each order and thread, filled from a
 * bump pointer; nothing is merged, checked or shared. The cheapest thing that satisfies the workloads.
 *
 * This file also tells what an adapter provides (all static inline, so that the workloads call directly):
 *   BA_NAME       its name
 *   BA_PROVIDES   BENCH_NEEDS_* that it can serve; BA_PFNS 1: blocks are pfns from BENCH_FIRST_PFN, 0: addresses
 *   struct ba     an instance; fields init_ns and meta_bytes are set by ba_open() if BENCH_NEEDS_META is provided
 *   ba_open(a, frames, threads, fixed_cpu)  makes one; fixed_cpu: behave as if on cpu 0 (there is no cpu id under callgrind)
 *   ba_thread(a, t)           thread t (0-based) begins to use it
 *   ba_alloc(a, order, out)   true: a block
 *   ba_free(a, block, order)  true: given back
 *   ba_close(a, check)        everything was freed; NULL, or what is wrong (check: look closely)
 */
#include "bench.h"

#define BA_NAME "empty"
#define BA_PFNS 1
#define BA_PROVIDES (BENCH_NEEDS_ORDERS | BENCH_NEEDS_PFNS)
#define BA_ORDERS 11u

struct ba_stack {
	uint32_t *blocks;
	size_t nr;
};

struct ba_part {
	struct ba_stack stacks[BA_ORDERS];
	size_t bump, end; /* frames, counted from the first */
};

struct ba {
	struct ba_part parts[BENCH_THREADS];
	size_t frames;
	double init_ns, meta_bytes;
};

static _Thread_local unsigned ba_self;

static inline bool ba_open(struct ba *a, size_t frames, unsigned threads, bool fixed_cpu)
{
	(void)fixed_cpu;
	*a = (struct ba){.frames = frames};
	for (unsigned t = 0; t < BENCH_THREADS; t++) {
		a->parts[t].bump = frames / threads * (t < threads ? t : threads);
		a->parts[t].end = t < threads ? a->parts[t].bump + frames / threads : a->parts[t].bump;
		for (unsigned order = 0; order < BA_ORDERS; order++)
			a->parts[t].stacks[order].blocks = bench_array((frames >> order) * sizeof(uint32_t));
	}
	return true;
}

static inline void ba_thread(struct ba *a, unsigned t)
{
	(void)a;
	ba_self = t;
}

/* Apart, so that the common path stays small. */
static __attribute__((noinline)) bool ba_bump(struct ba_part *p, unsigned order, bench_block *out)
{
	size_t nr = (size_t)1 << order, at = (p->bump + nr - 1) & ~(nr - 1);

	if (at + nr > p->end)
		return false;
	p->bump = at + nr;
	*out = BENCH_FIRST_PFN + at;
	return true;
}

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	struct ba_part *p = &a->parts[ba_self];
	struct ba_stack *s = &p->stacks[order];

	if (s->nr == 0)
		return ba_bump(p, order, out);
	*out = s->blocks[--s->nr];
	return true;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	struct ba_stack *s = &a->parts[ba_self].stacks[order];

	s->blocks[s->nr++] = (uint32_t)block;
	return true;
}

static inline const char *ba_close(struct ba *a, bool check)
{
	(void)check;
	for (unsigned t = 0; t < BENCH_THREADS; t++)
		for (unsigned order = 0; order < BA_ORDERS; order++)
			bench_array_free(a->parts[t].stacks[order].blocks, (a->frames >> order) * sizeof(uint32_t));
	return NULL;
}
