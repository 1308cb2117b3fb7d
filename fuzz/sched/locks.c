/* SPDX-License-Identifier: MIT
 *
 * locks.c - the locks that a program names: in which order they are taken, what is called while they are held, and whether what
 * they guard is whole when they are given up.
 *
 * A lock is a word that is 0 where nobody holds it; place.c tells of its changes. Whether the code tried or would have waited
 * cannot be seen there, so that a try counts, too: a rule stricter than what deadlocks need. Orders are those of one run.
 */
#include "internal.h"

#include <string.h>

/* Also index 0, which is no lock. */
#define LOCK_NR (SCHED_LOCKS + 1)

static struct {
	const struct sched_program *program;
	unsigned nr;
	uint32_t held[SCHED_THREADS]; /* bit per lock, as in all masks */
	struct {
		unsigned kind, nr;
		const void *pc;       /* where it was taken last */
		uint32_t under;       /* locks that were held by who took it */
		uint32_t leads;       /* locks that were taken while it was held, or while one of these was, and so on */
		const void *under_pc[LOCK_NR];
	} all[LOCK_NR];
} locks;

void lock_begin(const struct sched_program *program)
{
	locks.program = program;
	locks.nr = 0;
	memset(locks.held, 0, sizeof(locks.held));
	sched_now.watch_bytes = 0;
	sched_now.touched = 0;
	sched_now.other = NULL;
}

void sched_is_lock(const void *word, unsigned kind, unsigned nr)
{
	if (locks.nr == SCHED_LOCKS) {
		sched_found(SCHED_LIMIT, "more than %u locks", SCHED_LOCKS);
		return;
	}
	const unsigned lock = ++locks.nr;
	locks.all[lock].kind = kind;
	locks.all[lock].nr = nr;
	locks.all[lock].under = locks.all[lock].leads = 0;
	place_is_lock((uintptr_t)word, lock);
}

void sched_watch(const void *start, size_t bytes, const uint32_t *bits)
{
	sched_now.watch_low = (uintptr_t)start;
	sched_now.watch_bytes = bytes;
	sched_now.watch_bits = bits;
}

void lock_touched(uintptr_t addr, size_t bytes)
{
	const uintptr_t from = addr - sched_now.watch_low, room = sched_now.watch_bytes - from;

	for (uintptr_t i = from >> 3; i <= (from + (bytes < room ? bytes : room) - 1) >> 3; i++)
		sched_now.touched |= sched_now.watch_bits[i];
}

static const char *lock_kind(unsigned lock)
{
	return locks.program->locks->kinds[locks.all[lock].kind];
}

/* ---- order ---- */

/* `lock` is taken where `held` is for the first time: who came from the one to the other before may not come back. */
static void lock_leads(unsigned held, unsigned lock)
{
	const uint32_t leads = locks.all[lock].leads | UINT32_C(1) << lock;

	locks.all[lock].under |= UINT32_C(1) << held;
	locks.all[lock].under_pc[held] = sched_now.pc;
	if (leads >> held & 1) {
		for (unsigned i = 1; i <= locks.nr; i++) /* the first step of a way back */
			if ((locks.all[i].under >> lock & 1) && (i == held || (locks.all[i].leads >> held & 1)))
				sched_now.other = locks.all[i].under_pc[lock];
		sched_found(SCHED_ORDER, "lock order: t%u takes %s %u while it holds %s %u, and somebody went the other way", sched_now.self,
		            lock_kind(lock), locks.all[lock].nr, lock_kind(held), locks.all[held].nr);
		return;
	}
	for (unsigned i = 1; i <= locks.nr; i++)
		if (i == held || (locks.all[i].leads >> held & 1))
			locks.all[i].leads |= leads;
}

void lock_taken(unsigned lock)
{
	const uint32_t held = locks.held[sched_now.self];

	for (uint32_t rest = held & ~locks.all[lock].under; rest; rest &= rest - 1)
		lock_leads((unsigned)__builtin_ctz(rest), lock);
	locks.held[sched_now.self] = held | UINT32_C(1) << lock;
	locks.all[lock].pc = sched_now.pc;
}

/* ---- what is called ---- */

void lock_called(const char *what, unsigned may_hold)
{
	for (uint32_t rest = locks.held[sched_now.self]; rest; rest &= rest - 1) {
		const unsigned lock = (unsigned)__builtin_ctz(rest);
		if (may_hold >> locks.all[lock].kind & 1)
			continue;
		sched_now.other = locks.all[lock].pc;
		sched_found(SCHED_CALL_OUT, "t%u calls %s while it holds %s %u", sched_now.self, what, lock_kind(lock), locks.all[lock].nr);
		return;
	}
}

void sched_called(const char *what, unsigned may_hold)
{
	if (sched_now.on && locks.held[sched_now.self])
		lock_called(what, may_hold);
}

/* ---- what is left ---- */

/* What the program says of it, unobserved: the code under test may be called there. */
static const char *lock_judged(unsigned lock)
{
	const uintptr_t low = sched_now.stack_low, bytes = sched_now.stack_bytes;

	sched_now.on = false;
	sched_now.stack_low = 0;
	sched_now.stack_bytes = UINTPTR_MAX;
	const char *what = locks.program->locks->released(locks.program->ctx, locks.all[lock].kind, locks.all[lock].nr, &sched_now.touched);
	sched_now.on = true;
	sched_now.stack_low = low;
	sched_now.stack_bytes = bytes;
	return what;
}

void lock_released(unsigned lock)
{
	const char *what = NULL;

	if (locks.program->locks->released)
		what = lock_judged(lock);
	if (what)
		sched_found(SCHED_INVARIANT, "t%u gives up %s %u: %s", sched_now.self, lock_kind(lock), locks.all[lock].nr, what);
	locks.held[sched_now.self] &= ~(UINT32_C(1) << lock);
}
