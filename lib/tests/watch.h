/* SPDX-License-Identifier: MIT
 *
 * Included before anything else into the core when lib/tests/test_states.c is built: each store to an atomic is shown to the
 * test, so that no change of a frame byte, of an entry of the owner table or of a route can happen unseen, however short it lasts.
 */
#ifndef WATCH_H
#define WATCH_H

#include "atomic.h"

/* These bytes may have changed. */
void pfai_watch(const volatile void *at, size_t bytes);

static inline bool watch_claim(bool done, const volatile void *at)
{
	if (done)
		pfai_watch(at, 1);
	return done;
}

#ifdef PFA_SINGLE
#error "the usual atomics are meant"
#endif
#undef pfai_store_relaxed
#undef pfai_store_release
#define pfai_store_relaxed(p, v) \
	(atomic_store_explicit((p), (v), memory_order_relaxed), pfai_watch((p), sizeof(*(p))))
#define pfai_store_release(p, v) \
	(atomic_store_explicit((p), (v), memory_order_release), pfai_watch((p), sizeof(*(p))))
static inline uint32_t watch_exchanged(uint32_t was, const volatile void *at)
{
	pfai_watch(at, sizeof(was));
	return was;
}

#define pfai_cas32(p, from, to) watch_claim((pfai_cas32)((p), (from), (to)), (p))
#define pfai_exchange32(p, v) watch_exchanged((pfai_exchange32)((p), (v)), (p))
#define pfai_cas8(p, from, to) watch_claim((pfai_cas8)((p), (from), (to)), (p))

#endif
