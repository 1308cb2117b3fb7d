/* SPDX-License-Identifier: MIT
 *
 * Layer 7: looking at a zone while nobody changes it.
 */
#ifndef PFAI_STATS_H
#define PFAI_STATS_H

#include "pcpu.h"

/* Takes every cache lock, in order, and the zone's lock: everything about the zone stands still, but claims of frame
 * bytes. False: the platform cannot wait; nothing is locked. */
bool pfai_zone_freeze(struct pfa *p, struct pfai_zone *z);
void pfai_zone_thaw(struct pfa *p, struct pfai_zone *z);

/* All figures of a frozen zone. */
void pfai_zone_stats_frozen(struct pfa *p, struct pfai_zone *z, struct pfa_zone_stats *out);

#endif
