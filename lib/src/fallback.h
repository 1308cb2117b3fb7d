/* SPDX-License-Identifier: MIT
 *
 * Layer 4: which free block serves a request, and what happens to types on the way.
 *
 * Order of preference within one zone, for a request of type T:
 *   1. free memory of T; MOVABLE: then CMA; HIGH requests: then HIGHATOMIC
 *   2. claim: an entirely free pageblock (it is MOVABLE, and binds no type) becomes T
 *   3. steal: from the other common types in their stated order, the pageblock with the largest fitting block, if at
 *      least half of its frames are free: it becomes T
 *   4. borrow: the smallest fitting block of those types, exactly, without changing the pageblock
 * Everything is decided before anything is moved.
 */
#ifndef PFAI_FALLBACK_H
#define PFAI_FALLBACK_H

#include "zone.h"

/* Makes ready for a request and returns the type from whose free memory it is to be served, or -1 if no block of this
 * zone can serve it. Claims and steals are done; the caller must then take a block. */
int pfai_fallback_prepare_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, bool high);

/* Without side effect: would prepare find something? */
bool pfai_fallback_possible_locked(const struct pfai_zone *z, unsigned code, unsigned order, bool high);

/* As prepare, but only blocks inside rels [lo, hi), without changing types. The block's first rel, or PFAI_NONE. */
size_t pfai_fallback_window_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order,
                                   bool high, size_t lo, size_t hi);

/* A block was granted to a request of type code: whole pageblocks in it become that type. */
void pfai_fallback_granted_locked(struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, unsigned order);

/* After a HIGH grant: may this pageblock be reserved? */
bool pfai_fallback_may_reserve_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order);

/* The block's pageblock becomes HIGHATOMIC. The caller purges it from the caches afterwards. */
void pfai_fallback_reserve_locked(struct pfa *p, struct pfai_zone *z, size_t rel);

/* Gives up the HIGHATOMIC pageblock (or the free pageblocks) of the largest free block; it becomes type code. False: there is none. */
bool pfai_fallback_unreserve_locked(struct pfa *p, struct pfai_zone *z, unsigned code);

#endif
