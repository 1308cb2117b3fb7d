/* SPDX-License-Identifier: MIT
 *
 * Threads that allocate, free and write all the time, and stop when they are told to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOAD_HOT = 32 }; /* blocks that most writes go to: the ones that were taken last */

static uint64_t load_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static uint64_t *load_at(const struct load *l, pfa_pfn pfn)
{
	void *at = NULL;
	if (pfa_ptr(l->pfa, pfn, &at) != PFA_OK)
		abort();
	return at;
}

/* One block, filled or (one in 8) left as it is. */
static bool load_take(struct load_thread *t, unsigned order)
{
	const struct load *l = t->load;
	pfa_pfn pfn;
	if (t->nr == l->limit || pfa_alloc(l->pfa, order, PFA_MOVABLE, &pfn) != PFA_OK)
		return false;
	const size_t words = (l->frame_bytes << order) / sizeof(uint64_t);
	uint64_t *at = load_at(l, pfn), value = load_random(&t->random);
	for (size_t i = 0; i < words && value % 8; i++)
		at[i] = value + i;
	t->blocks[t->nr].pfn = pfn;
	t->blocks[t->nr++].order = order;
	t->nr_frames += (size_t)1 << order;
	return true;
}

static void load_give(struct load_thread *t, size_t i)
{
	if (pfa_free(t->load->pfa, t->blocks[i].pfn, t->blocks[i].order) != PFA_OK)
		abort();
	t->nr_frames -= (size_t)1 << t->blocks[i].order;
	memmove(&t->blocks[i], &t->blocks[i + 1], (--t->nr - i) * sizeof(t->blocks[0]));
}

/* A word of a block: mostly one that was taken lately, anywhere now and then. */
static void load_write(struct load_thread *t)
{
	const struct load *l = t->load;
	const uint64_t r = load_random(&t->random);
	const size_t hot = t->nr < LOAD_HOT ? t->nr : LOAD_HOT, back = (size_t)(r >> 8 & 0xFFFFFF) % (r % 256 ? hot : t->nr);
	const size_t i = t->nr - 1 - back, words = (l->frame_bytes << t->blocks[i].order) / sizeof(uint64_t);
	load_at(l, t->blocks[i].pfn)[(size_t)(r >> 32) % words] = r;
}

static void load_step(struct load_thread *t)
{
	const uint64_t r = load_random(&t->random);
	for (unsigned i = 0; i < 16 && t->nr; i++)
		load_write(t);
	if (r % 4 == 0 && t->nr_frames < t->load->frames_each)
		(void)load_take(t, (unsigned)(r >> 8) % 5);
	else if (r % 4 == 1 && t->nr > 1)
		load_give(t, t->nr - 1 - (size_t)((r >> 8) % (t->nr < LOAD_HOT ? t->nr : LOAD_HOT)));
	if (r % 16 == 0) {
		const struct timespec little = {0, 200000};
		(void)nanosleep(&little, NULL);
	}
}

static void load_rest(struct load *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->nr_resting++;
	(void)pthread_cond_broadcast(&l->changed);
	while (l->rest)
		(void)pthread_cond_wait(&l->changed, &l->mutex);
	l->nr_resting--;
	(void)pthread_mutex_unlock(&l->mutex);
}

static void *load_main(void *arg)
{
	struct load_thread *t = arg;
	struct load *l = t->load;
	/* More than half of the memory, then every fourth block of it back: free blocks of all sizes, everywhere. */
	while (t->nr_frames < l->frames_each && load_take(t, (unsigned)load_random(&t->random) % 7))
		;
	for (size_t i = t->nr; i > 4; i -= 4)
		load_give(t, i - 4);
	atomic_fetch_add_explicit(&l->nr_ready, 1, memory_order_relaxed);
	while (!atomic_load_explicit(&l->done, memory_order_relaxed)) {
		load_step(t);
		atomic_fetch_add_explicit(&l->nr_steps, 1, memory_order_relaxed);
		if (atomic_load_explicit(&l->asked, memory_order_relaxed))
			load_rest(l);
	}
	while (t->nr)
		load_give(t, t->nr - 1);
	return NULL;
}

bool load_start(struct load *l, struct pfa *pfa, size_t frame_bytes, size_t nr_frames, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->pfa = pfa;
	l->frame_bytes = frame_bytes;
	l->frames_each = nr_frames * 3 / 4 / LOAD_THREADS;
	l->limit = l->frames_each;
	if (pthread_mutex_init(&l->mutex, NULL) != 0 || pthread_cond_init(&l->changed, NULL) != 0)
		return false;
	for (unsigned i = 0; i < LOAD_THREADS; i++) {
		struct load_thread *t = &l->threads[i];
		t->load = l;
		t->random = seed * 1000 + i;
		t->blocks = calloc(l->limit, sizeof(t->blocks[0]));
		if (!t->blocks || pthread_create(&t->thread, NULL, load_main, t) != 0)
			return false;
	}
	while (atomic_load_explicit(&l->nr_ready, memory_order_relaxed) < LOAD_THREADS) {
		const struct timespec little = {0, 1000000};
		(void)nanosleep(&little, NULL);
	}
	return true;
}

void load_pause(struct load *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->rest = true;
	atomic_store_explicit(&l->asked, true, memory_order_relaxed);
	while (l->nr_resting < LOAD_THREADS)
		(void)pthread_cond_wait(&l->changed, &l->mutex);
	(void)pthread_mutex_unlock(&l->mutex);
}

void load_resume(struct load *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->rest = false;
	atomic_store_explicit(&l->asked, false, memory_order_relaxed);
	(void)pthread_cond_broadcast(&l->changed);
	(void)pthread_mutex_unlock(&l->mutex);
}

void load_stop(struct load *l)
{
	atomic_store_explicit(&l->done, true, memory_order_relaxed);
	for (unsigned i = 0; i < LOAD_THREADS; i++) {
		(void)pthread_join(l->threads[i].thread, NULL);
		free(l->threads[i].blocks);
	}
}
