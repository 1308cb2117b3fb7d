/* SPDX-License-Identifier: MIT
 *
 * Layer 4: where a request is served: of the free blocks of one type that hold what is asked for the smallest, of these the lowest;
 * at level 3 any; and what the reporting device was not told of goes before what it was.
 * All functions want the zone's lock. Where the index is damaged they mark the zone, and find nothing.
 */
#ifndef PFAI_PLACE_H
#define PFAI_PLACE_H

#include "zone.h"

/* The lowest free block of this type that holds one of `order`, from the smallest such; its first rel. PFAI_NONE: none,
 * or the index is damaged (then the zone is marked). */
size_t pfai_zone_first_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order);

/* As above, only blocks inside rels [lo, hi). O(orders) look-ups. */
size_t pfai_zone_first_in_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order,
                                 size_t lo, size_t hi);

/* For who takes several: where to begin. With orders below the leaf order: in the leaf of this rel, which has something of this order. */
size_t pfai_zone_next_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order);

/* The last look before a grant: is [rel, 2^order) inside the zone and free, says the map, and from level 2 on every
 * frame's byte? False: the zone is marked as damaged. */
bool pfai_zone_is_free_locked(const struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order);

/* The same of several blocks, of a map's word or more, that lie side by side. */
bool pfai_zone_are_free_locked(const struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr);

#endif
