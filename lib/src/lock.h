/* SPDX-License-Identifier: MIT
 *
 * Layer 1: the two kinds of lock, built from atomic words so that the platform only has to wait and wake.
 *
 * Ranks, outermost first: zone set (cache disable) < per-CPU cache < zone. Locks of one rank are taken
 * in index order. A PFA_DEBUG build verifies this with platform.self.
 *
 * A *sleep lock* (zones, zone set) is 0 free, 1 held, 2 held with waiters; its unlock is an exchange.
 * A *try lock* (per-CPU caches) is released by a plain store, because a read-modify-write there would cost the hot
 * pair a third more. A waiter announces itself in `waiters`; the releaser may miss that announcement (store and load
 * are not ordered), hence waiters wait at most PFAI_TRY_WAIT_NS at a time.
 */
#ifndef PFAI_LOCK_H
#define PFAI_LOCK_H

#include <pfa/platform.h>

#include "atomic.h"

enum pfai_rank { PFAI_RANK_SET = 1, PFAI_RANK_CPU = 2, PFAI_RANK_ZONE = 3 };

struct pfai_lock {
	pfai_a32 word;
	pfai_a32 waiters; /* try locks only */
#ifdef PFA_DEBUG
	pfai_a32 owner; /* self() of the holder */
#endif
};

/* Neither free nor held, and never again: every try and every wait fails (see closed.h). */
#define PFAI_LOCK_DEAD 3u

/* Long enough to cost nothing, short enough that a missed wake-up is not noticed. */
#define PFAI_TRY_WAIT_NS 100000u
/* Tries before waiting: about the length of one critical section (a flush of 64 blocks is 0.5 us). */
#define PFAI_SPINS 64u

/* The slow halves. False: the platform says that waiting can never end, or the lock is dead. */
bool pfai_sleep_lock_contended(const struct pfa_platform *os, struct pfai_lock *lock);
bool pfai_try_lock_wait(const struct pfa_platform *os, struct pfai_lock *lock);
void pfai_lock_wake(const struct pfa_platform *os, struct pfai_lock *lock);

/* Sets a lock whatever it was. Only while no other thread exists for it: after fork(), at the end of an instance. */
static inline void pfai_lock_set(struct pfai_lock *lock, uint32_t word)
{
	pfai_store_relaxed(&lock->word, word);
	pfai_store_relaxed(&lock->waiters, 0u);
#ifdef PFA_DEBUG
	pfai_store_relaxed(&lock->owner, 0u);
#endif
}

static inline bool pfai_sleep_lock(const struct pfa_platform *os, struct pfai_lock *lock)
{
	if (PFAI_LIKELY(pfai_cas32_acquire(&lock->word, 0, 1)))
		return true;
	return pfai_sleep_lock_contended(os, lock);
}

static inline void pfai_sleep_unlock(const struct pfa_platform *os, struct pfai_lock *lock)
{
	if (PFAI_UNLIKELY(pfai_exchange32(&lock->word, 0) == 2))
		pfai_lock_wake(os, lock);
}

static inline bool pfai_try_lock(struct pfai_lock *lock)
{
	return pfai_cas32_acquire(&lock->word, 0, 1);
}

static inline void pfai_try_unlock(const struct pfa_platform *os, struct pfai_lock *lock)
{
	pfai_store_release(&lock->word, 0);
	if (PFAI_UNLIKELY(pfai_load_relaxed(&lock->waiters)))
		pfai_lock_wake(os, lock);
}

#endif
