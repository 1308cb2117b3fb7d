/* SPDX-License-Identifier: MIT
 *
 * What the tests of fork() at a chosen moment share: an instance, a thread that does something and stops inside of it, and
 * what a child does after such a fork.
 */
#ifndef FORK_SCENES_H
#define FORK_SCENES_H

#include "mt.h"

#include <semaphore.h>

enum { FRAMES = 1024, LARGE = 6, CHILD_SECONDS = 60 };

/* Calls of the library, to be stopped within. */
struct site {
	const char *name;
	void (*call)(struct pfa *pfa);
	unsigned at_least; /* releases of a zone's lock in it */
	enum {
		SITE_PLAIN,
		SITE_FILLS,  /* takes everything: there may be nothing left */
		SITE_DAMAGES /* the instance is damaged from then on */
	} kind;
};
extern const struct site scene_sites[];
extern const unsigned scene_nr_sites;

/* Of the next instance. */
struct scene_options {
	bool cannot_wait; /* the platform */
	bool offset;      /* the cpu is told by offset, not by the op: fast paths are taken */
	uint32_t flags, hardening;
};
extern struct scene_options scene_options;

extern struct scene {
	struct rig rig;
	struct pfa_platform posix;
	sem_t held, go, freeing, freed;
	const struct site *site;
	unsigned nth;             /* the holder stops at this release of a zone's lock */
	bool finished;            /* it had none */
	atomic_uint waits, wakes;
	_Atomic uint64_t skew;    /* of the instance's clock */
	pfa_pfn blocks[FRAMES];
	size_t nr_blocks;
} scene;

extern _Thread_local struct scene_me {
	bool forks;    /* its first wait lets the holder go */
	bool holds;
	bool stays;    /* its first wait ends after the fork */
	unsigned unlocks;
	uint32_t cpu;
} scene_me;

/* A new instance: two zones, caches for small orders, some blocks of all kinds allocated, some cached. finish() ends it. */
void scene_prepare(bool shared);
void scene_finish(void);

/* A thread that makes the calls of scene.site, as cpu 0, and stops at the release scene.nth. It says so by scene.held, also
 * where there is none (scene.finished), and waits for scene.go. */
void *scene_holder(void *arg);
/* The thread says that it has stopped, and waits. */
void scene_stop(void);

/* All that a child does: everything, alone, without waiting once. Then it ends with 0. */
_Noreturn void scene_child(void);
/* ... which is verified here. */
void scene_wait_for(pid_t pid, const char *what, unsigned nr);

void scene_write_nothing(void *ctx, const char *bytes, size_t nr);

#endif
