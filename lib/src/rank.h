/* SPDX-License-Identifier: MIT
 *
 * Layer 3: lock ranks, verified in PFA_DEBUG builds. Who holds what is kept in the locks themselves (by platform.self,
 * never thread-local), so that a check walks all locks of the instance.
 */
#ifndef PFAI_RANK_H
#define PFAI_RANK_H

#include "instance.h"

#if defined(PFA_STEPS)

/* lib/tests counts steps: what it provides is told of each lock. */
void pfai_steps_locked(const struct pfa *p, const struct pfai_lock *lock);
void pfai_steps_unlocked(const struct pfai_lock *lock);
#define pfai_rank_check(p, lock, rank) ((void)(p))
#define pfai_rank_note(p, lock) pfai_steps_locked((p), (lock))
#define pfai_rank_forget(lock) pfai_steps_unlocked(lock)

#elif defined(PFA_DEBUG)

/* Faults (PFA_FAULT_LOCK) if the caller holds a lock of a higher rank, or of this rank and not before this one. */
void pfai_rank_check(struct pfa *p, const struct pfai_lock *lock, enum pfai_rank rank);
/* The caller has it now; is about to give it up. */
void pfai_rank_note(const struct pfa *p, struct pfai_lock *lock);
void pfai_rank_forget(struct pfai_lock *lock);

#else

static inline void pfai_rank_check(const struct pfa *p, const struct pfai_lock *lock, enum pfai_rank rank)
{
	(void)p;
	(void)lock;
	(void)rank;
}

static inline void pfai_rank_note(const struct pfa *p, const struct pfai_lock *lock)
{
	(void)p;
	(void)lock;
}

static inline void pfai_rank_forget(const struct pfai_lock *lock)
{
	(void)lock;
}

#endif

#endif
