/* SPDX-License-Identifier: MIT
 *
 * What the owners share: locks of one word that wait through the platform, so that the same owner runs on threads, on the
 * fibers of platform/sim, and where there is but one context.
 *
 * An op of an owner runs with page locks held. It may wait for these locks (not in async mode), since who holds one never
 * waits for a page lock: it calls nothing of the library that might.
 */
#ifndef PFAI_OWNER_LOCK_H
#define PFAI_OWNER_LOCK_H

#include <pfa/platform.h>

#include <stdatomic.h>

/* ---- exclusive: 0 free, 1 held, 2 held and somebody waits ---- */

struct pfai_owner_lock {
	_Atomic(uint32_t) word;
};

static inline void pfai_owner_wait(const struct pfa_platform *os, const _Atomic(uint32_t) *word, uint32_t value)
{
	/* Where waiting can never end there is but one context, and then nobody else holds the lock. */
	if (os->wait)
		(void)os->wait(os->ctx, (const void *)word, value, UINT64_MAX);
}

static inline void pfai_owner_wake(const struct pfa_platform *os, const _Atomic(uint32_t) *word)
{
	if (os->wake)
		os->wake(os->ctx, (const void *)word);
}

static inline bool pfai_owner_trylock(struct pfai_owner_lock *lock)
{
	uint32_t expected = 0;
	return atomic_compare_exchange_strong_explicit(&lock->word, &expected, 1, memory_order_acquire,
	                                               memory_order_relaxed);
}

static inline void pfai_owner_lock(const struct pfa_platform *os, struct pfai_owner_lock *lock)
{
	if (pfai_owner_trylock(lock))
		return;
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		pfai_owner_wait(os, &lock->word, 2);
}

static inline void pfai_owner_unlock(const struct pfa_platform *os, struct pfai_owner_lock *lock)
{
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
		pfai_owner_wake(os, &lock->word);
}

/* ---- shared or exclusive; who wants it exclusively is let in before more readers are ---- */

#define PFAI_SHARE_WRITER 0x80000000u  /* held exclusively, or about to be: no more readers */
#define PFAI_SHARE_WAITING 0x40000000u /* only with WRITER: somebody waits for a change */
#define PFAI_SHARE_READERS 0x3FFFFFFFu

struct pfai_share_lock {
	_Atomic(uint32_t) word;
};

/* Waits until the word is another one than w, which has WRITER. */
static inline void pfai_share_wait(const struct pfa_platform *os, struct pfai_share_lock *lock, uint32_t w)
{
	if (!(w & PFAI_SHARE_WAITING) &&
	    !atomic_compare_exchange_strong_explicit(&lock->word, &w, w | PFAI_SHARE_WAITING, memory_order_relaxed,
	                                             memory_order_relaxed))
		return;
	pfai_owner_wait(os, &lock->word, w | PFAI_SHARE_WAITING);
}

static inline void pfai_share_lock(const struct pfa_platform *os, struct pfai_share_lock *lock)
{
	uint32_t w = atomic_load_explicit(&lock->word, memory_order_relaxed);
	for (;;) {
		if (!(w & PFAI_SHARE_WRITER)) {
			if (atomic_compare_exchange_weak_explicit(&lock->word, &w, w + 1, memory_order_acquire,
			                                          memory_order_relaxed))
				return;
			continue;
		}
		pfai_share_wait(os, lock, w);
		w = atomic_load_explicit(&lock->word, memory_order_relaxed);
	}
}

static inline void pfai_share_unlock(const struct pfa_platform *os, struct pfai_share_lock *lock)
{
	uint32_t w = atomic_fetch_sub_explicit(&lock->word, 1, memory_order_release);
	if ((w & PFAI_SHARE_READERS) == 1 && (w & PFAI_SHARE_WAITING))
		pfai_owner_wake(os, &lock->word);
}

static inline bool pfai_share_try_exclusive(struct pfai_share_lock *lock)
{
	uint32_t expected = 0;
	return atomic_compare_exchange_strong_explicit(&lock->word, &expected, PFAI_SHARE_WRITER, memory_order_acquire,
	                                               memory_order_relaxed);
}

static inline void pfai_share_exclusive(const struct pfa_platform *os, struct pfai_share_lock *lock)
{
	uint32_t w = atomic_load_explicit(&lock->word, memory_order_relaxed);
	while ((w & PFAI_SHARE_WRITER) ||
	       !atomic_compare_exchange_weak_explicit(&lock->word, &w, w | PFAI_SHARE_WRITER, memory_order_acquire,
	                                              memory_order_relaxed)) {
		if (w & PFAI_SHARE_WRITER) {
			pfai_share_wait(os, lock, w);
			w = atomic_load_explicit(&lock->word, memory_order_relaxed);
		}
	}
	while ((w = atomic_load_explicit(&lock->word, memory_order_acquire)) & PFAI_SHARE_READERS)
		pfai_share_wait(os, lock, w);
}

static inline void pfai_share_unlock_exclusive(const struct pfa_platform *os, struct pfai_share_lock *lock)
{
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) & PFAI_SHARE_WAITING)
		pfai_owner_wake(os, &lock->word);
}

/* ---- configurations ---- */

/* Is a struct that begins with its size one that this library knows? */
static inline bool pfai_owner_config_fits(const void *cfg, size_t size, size_t known)
{
	const unsigned char *bytes = cfg;
	if (size < known)
		return false;
	for (size_t i = known; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

#endif
