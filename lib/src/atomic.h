/* SPDX-License-Identifier: MIT
 *
 * Layer 0: the three atomic widths that the core uses. No standalone fences; every order is stated at the call.
 * PFA_SINGLE makes them plain, for cores without compare-exchange and one thread (interrupts must not call in).
 */
#ifndef PFAI_ATOMIC_H
#define PFAI_ATOMIC_H

#include "compiler.h"

#ifdef PFA_SINGLE

typedef volatile uint8_t pfai_a8;
typedef volatile uint32_t pfai_a32;
typedef volatile uintptr_t pfai_aword;

#define pfai_load_relaxed(p) (*(p))
#define pfai_load_acquire(p) (*(p))
#define pfai_store_relaxed(p, v) ((void)(*(p) = (v)))
#define pfai_store_release(p, v) ((void)(*(p) = (v)))
#define pfai_add_relaxed(p, v) ((void)(*(p) += (v)))
#define pfai_sub_relaxed(p, v) ((void)(*(p) -= (v)))

static inline bool pfai_cas8(pfai_a8 *p, uint8_t from, uint8_t to)
{
	if (*p != from)
		return false;
	*p = to;
	return true;
}

static inline bool pfai_cas32_acquire(pfai_a32 *p, uint32_t from, uint32_t to)
{
	if (*p != from)
		return false;
	*p = to;
	return true;
}

static inline bool pfai_cas32(pfai_a32 *p, uint32_t from, uint32_t to)
{
	return pfai_cas32_acquire(p, from, to);
}

static inline uintptr_t pfai_next_relaxed(pfai_aword *p)
{
	return ++*p;
}

static inline uint32_t pfai_exchange32(pfai_a32 *p, uint32_t to)
{
	uint32_t old = *p;
	*p = to;
	return old;
}

#else

#include <stdatomic.h>

typedef _Atomic uint8_t pfai_a8;
typedef _Atomic uint32_t pfai_a32;
typedef _Atomic uintptr_t pfai_aword;

#define pfai_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define pfai_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define pfai_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define pfai_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define pfai_add_relaxed(p, v) ((void)atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define pfai_sub_relaxed(p, v) ((void)atomic_fetch_sub_explicit((p), (v), memory_order_relaxed))

/* Claims a frame byte: acquire, since the claimer goes on to read what the last owner wrote; release, since what the
 * claimer did before (the user's last writes to the frame) must be seen by whoever gets the frame next. */
static inline bool pfai_cas8(pfai_a8 *p, uint8_t from, uint8_t to)
{
	return atomic_compare_exchange_strong_explicit(p, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static inline bool pfai_cas32_acquire(pfai_a32 *p, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(p, &from, to, memory_order_acquire, memory_order_relaxed);
}

/* As pfai_cas8(), and for the same reasons. */
static inline bool pfai_cas32(pfai_a32 *p, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(p, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

/* Counts up; the new value. */
static inline uintptr_t pfai_next_relaxed(pfai_aword *p)
{
	return atomic_fetch_add_explicit(p, 1u, memory_order_relaxed) + 1;
}

static inline uint32_t pfai_exchange32(pfai_a32 *p, uint32_t to)
{
	return atomic_exchange_explicit(p, to, memory_order_acq_rel);
}

#endif

#endif
