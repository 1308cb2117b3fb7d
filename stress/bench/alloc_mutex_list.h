/* SPDX-License-Identifier: MIT
 *
 * A free list under a mutex, one for each order, with an out-of-line link array; nothing is merged. Each order's list
 * holds the whole space when it is first asked for, so that a workload may use one order only.
 */
#include "bench.h"

#define BA_NAME "mutex_list"
#define BA_PFNS 1
#define BA_PROVIDES 0u
#define BA_ORDERS 11u
#define BA_NIL UINT32_MAX

struct ba {
	pthread_mutex_t mutex;
	uint32_t *next;
	size_t frames;
	uint32_t head;
	unsigned order; /* BA_ORDERS: no order is in use yet */
	double init_ns, meta_bytes;
};

static inline bool ba_open(struct ba *a, size_t frames, unsigned threads, bool fixed_cpu)
{
	(void)threads;
	(void)fixed_cpu;
	*a = (struct ba){.frames = frames, .order = BA_ORDERS, .head = BA_NIL};
	a->next = bench_array(frames * sizeof(uint32_t));
	return pthread_mutex_init(&a->mutex, NULL) == 0;
}

static inline void ba_thread(struct ba *a, unsigned t)
{
	(void)a;
	(void)t;
}

/* The first request decides the order of all blocks. */
static __attribute__((noinline)) bool ba_fill(struct ba *a, unsigned order)
{
	if (a->order != BA_ORDERS)
		return false;
	a->order = order;
	for (size_t at = a->frames; at > 0;) {
		at -= (size_t)1 << order;
		a->next[at] = a->head;
		a->head = (uint32_t)at;
	}
	return true;
}

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	uint32_t at;

	pthread_mutex_lock(&a->mutex);
	if (a->head == BA_NIL && !ba_fill(a, order)) {
		pthread_mutex_unlock(&a->mutex);
		return false;
	}
	at = a->head;
	a->head = a->next[at];
	pthread_mutex_unlock(&a->mutex);
	*out = BENCH_FIRST_PFN + at;
	return true;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	uint32_t at = (uint32_t)(block - BENCH_FIRST_PFN);

	(void)order;
	pthread_mutex_lock(&a->mutex);
	a->next[at] = a->head;
	a->head = at;
	pthread_mutex_unlock(&a->mutex);
	return true;
}

static inline const char *ba_close(struct ba *a, bool check)
{
	size_t nr = 0;

	for (uint32_t at = a->head; check && at != BA_NIL && nr <= a->frames; at = a->next[at])
		nr++;
	bench_array_free(a->next, a->frames * sizeof(uint32_t));
	pthread_mutex_destroy(&a->mutex);
	return !check || a->order == BA_ORDERS || nr == a->frames >> a->order ? NULL : "the list lost blocks";
}
