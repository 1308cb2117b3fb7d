/* SPDX-License-Identifier: MIT
 *
 * Layer 3: what the routes say. They follow from the pageblocks' records, and all of these write both.
 */
#ifndef PFAI_ROUTE_H
#define PFAI_ROUTE_H

#include "instance.h"

/* Writes the pageblock's type, and the routes that go by it, only: for pageblocks without a free frame. */
void pfai_zone_set_code_locked(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned code);

/* Writes the pageblock's holder (0: none), counts it, and writes the routes that go by it; its free memory is the caller's affair. */
void pfai_zone_set_holder_locked(struct pfa *p, struct pfai_zone *z, size_t pb, uint32_t holder);

/* The pageblocks [*first, *end) in which a block that a cache could hold and that has this frame may begin. */
void pfai_zone_doom_group(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t *first, size_t *end);

/* These frames have become bad without coming back. O(nr_frames). */
void pfai_zone_undoom_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames);

/* A frame of this group was doomed, or became bad: frees of blocks there go past the caches, or may use them again. */
void pfai_zone_route_doomed_locked(struct pfa *p, struct pfai_zone *z, size_t rel, bool doomed);
/* Frames of this pageblock have become bad. One whose frames are all bad is no longer HIGHATOMIC: nobody will ever be served from it,
 * and its share of the reserve may be another's. O(pageblock). */
void pfai_zone_lost_locked(struct pfa *p, struct pfai_zone *z, size_t pb);

/* The route that this pageblock must have. One that is shared has that of either zone: both are SLOW. */
uint8_t pfai_zone_route_locked(const struct pfa *p, const struct pfai_zone *z, size_t pb);

#endif
