/* SPDX-License-Identifier: MIT
 *
 * Layer 7: the checker, for those who hold a zone frozen (pfai_zone_freeze).
 */
#ifndef PFAI_CHECK_H
#define PFAI_CHECK_H

#include <pfa/debug.h>

#include "check_movable.h"
#include "stats.h"

/* With PFA_CHECK_*: the caller has the set lock, so that either all caches are disabled, or none. */
#define PFAI_CHECK_SET_LOCKED (1u << 31)

/* Everything that pfa_check() looks at in a zone. Reads nothing outside of the metadata, however damaged. moves: adds what the
 * frame bytes say of movable blocks; may be NULL. */
bool pfai_check_frozen(struct pfa *p, struct pfai_zone *z, unsigned level, struct pfa_violation *out,
                       struct pfai_check_movable *moves);

/* What pfa_check_range() looks at in one pageblock of a zone: its record, route, leaves, index, frame bytes. */
bool pfai_check_pageblock_frozen(struct pfa *p, struct pfai_zone *z, size_t pb);

#endif
