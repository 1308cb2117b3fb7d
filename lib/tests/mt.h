/* SPDX-License-Identifier: MIT
 *
 * What the multithreaded tests share: an instance on platform/posix with a map of owners outside of it, and threads
 * that start together. Frames of a readable pool carry stamps, written without atomics: a sanitizer then sees every
 * grant that is not ordered after the free before it.
 */
#ifndef MT_H
#define MT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* barriers */
#endif

#include "rig.h"

#include <pfa/posix.h>

#include <pthread.h>

enum { MT_MAX_FRAMES = 1 << 15, MT_MAX_THREADS = 16 };

struct mt_block {
	pfa_pfn pfn;
	unsigned order;
};

/* Blocks on their way from the thread that took them to the one that frees them. */
struct mt_pool {
	pthread_mutex_t lock;
	size_t nr;
	struct mt_block blocks[1024];
};

struct mt {
	struct rig rig;
	_Atomic(uint8_t) owned[MT_MAX_FRAMES];
	struct mt_pool handed_over;
	pthread_barrier_t start;
	atomic_bool stop;
	bool wild_cpus; /* the cpu is said to be anything, also ids that are none (not without an op) */
	atomic_uint nr_faults;
};

struct mt_thread {
	struct mt *mt;
	unsigned index;
	struct rng rng;
	pthread_t thread;
	void (*body)(struct mt_thread *thread);
	struct mt_block mine[256];
	size_t nr_mine;
	size_t nr_granted, nr_refused;
};

/* As rig_init(), with platform/posix; fill in zones and the rest, then mt_start(). The ways to name the cpu: platform/posix's
 * op; all threads on cpu 0; a thread-local id, which mt_move() changes. */
void mt_init(struct mt *mt, bool wild_cpus, enum rig_cpu_way way);
void mt_start(struct mt *mt);
/* Everything handed over and not yet freed goes back; then check and fini. */
void mt_stop(struct mt *mt);

/* Runs the threads to their end. */
void mt_run(struct mt *mt, struct mt_thread threads[], unsigned nr, uint64_t seed);

/* The frames were nobody's and are ours now, stamped; or the reverse. */
void mt_own(struct mt *mt, pfa_pfn pfn, size_t nr);
void mt_disown(struct mt *mt, pfa_pfn pfn, size_t nr);

/* The thread is on another cpu from now on, if that is told by offset; now and then, where ids are not wild. */
void mt_move(struct mt *mt);

/* A request and a free with all this around it. mt_take: true if granted. */
bool mt_take(struct mt_thread *t, unsigned order, uint32_t flags);
void mt_give(struct mt_thread *t, size_t i); /* of t->mine */

/* Hands one of t's blocks over, or frees one that somebody handed over. */
void mt_hand_over(struct mt_thread *t);
void mt_free_foreign(struct mt_thread *t);

/* One of all the things that may be done at any time. alone: by the only thread of a forked child, which uses nothing that
 * a thread of its parent may hold. */
void mt_mix_step(struct mt_thread *t, unsigned round, bool alone);

/* --prot-none, --seed N, --rounds N; exits with 2 on anything else. */
struct mt_options {
	uint64_t seed;
	unsigned rounds;
};
struct mt_options mt_options(int argc, char **argv, unsigned rounds);

#endif
