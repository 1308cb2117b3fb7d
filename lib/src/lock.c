/* SPDX-License-Identifier: MIT */
#include "lock.h"

static int lock_wait(const struct pfa_platform *os, pfai_a32 *word, uint32_t value, uint64_t until_ns)
{
	return os->wait ? os->wait(os->ctx, (const void *)word, value, until_ns) : PFA_EDEADLK;
}

void pfai_lock_wake(const struct pfa_platform *os, struct pfai_lock *lock)
{
	if (os->wake)
		os->wake(os->ctx, (const void *)&lock->word);
}

bool pfai_sleep_lock_contended(const struct pfa_platform *os, struct pfai_lock *lock)
{
	for (unsigned i = 0; i < PFAI_SPINS; i++)
		if (pfai_load_relaxed(&lock->word) == 0 && pfai_cas32_acquire(&lock->word, 0, 1))
			return true;
	if (pfai_load_relaxed(&lock->word) == PFAI_LOCK_DEAD)
		return false;
	/* From here on the lock is taken as "with waiters": one wake too many at most, never one too few. */
	while (pfai_exchange32(&lock->word, 2) != 0)
		if (lock_wait(os, &lock->word, 2, UINT64_MAX) == PFA_EDEADLK)
			return false;
	return true;
}

bool pfai_try_lock_wait(const struct pfa_platform *os, struct pfai_lock *lock)
{
	for (unsigned i = 0; i < PFAI_SPINS; i++)
		if (pfai_load_relaxed(&lock->word) == 0 && pfai_try_lock(lock))
			return true;
	bool ok = true;
	if (pfai_load_relaxed(&lock->word) == PFAI_LOCK_DEAD)
		return false;
	pfai_add_relaxed(&lock->waiters, 1u);
	while (!pfai_try_lock(lock)) {
		uint64_t now = os->now_ns ? os->now_ns(os->ctx) : 0;
		if (lock_wait(os, &lock->word, 1, now + PFAI_TRY_WAIT_NS) == PFA_EDEADLK) {
			ok = false;
			break;
		}
	}
	pfai_sub_relaxed(&lock->waiters, 1u);
	return ok;
}
