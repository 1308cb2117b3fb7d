/* SPDX-License-Identifier: MIT
 *
 * The threads that use the arena while it is written.
 */
#ifndef LOAD_H
#define LOAD_H

#include <pfa/pfa.h>

#include <pthread.h>
#include <stdatomic.h>

enum { LOAD_THREADS = 3 };

struct load;

struct load_thread {
	struct load *load;
	pthread_t thread;
	uint64_t random;
	struct load_block {
		pfa_pfn pfn;
		unsigned order;
	} *blocks;
	size_t nr, nr_frames;
};

struct load {
	struct pfa *pfa;
	size_t frame_bytes, frames_each, limit;
	struct load_thread threads[LOAD_THREADS];
	atomic_bool asked, done;
	atomic_size_t nr_ready, nr_steps;
	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t changed;
	bool rest;
	unsigned nr_resting;
};

/* Returns when all are at work. */
bool load_start(struct load *l, struct pfa *pfa, size_t frame_bytes, size_t nr_frames, uint64_t seed);
/* Returns when no thread writes any more; until load_resume(). */
void load_pause(struct load *l);
void load_resume(struct load *l);
void load_stop(struct load *l); /* also frees everything; not in a pause */

#endif
