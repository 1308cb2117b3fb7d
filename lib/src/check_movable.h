/* SPDX-License-Identifier: MIT
 *
 * Layer 7: the part of pfa_check() that looks at the owner table (I10).
 */
#ifndef PFAI_CHECK_MOVABLE_H
#define PFAI_CHECK_MOVABLE_H

#include "owner.h"

/* What a walk over the frame bytes found. */
struct pfai_check_movable {
	size_t movable, isolated; /* frames of one zone */
	size_t owned, live;       /* entries of all zones */
};

/* An allocated block, ordinary or movable, and its entry. NULL: fine; else what is wrong with it. */
const char *pfai_check_movable_head(const struct pfa *p, struct pfai_check_movable *sums, size_t offset, uint8_t byte,
                                    bool quiescent);

/* The owners' counters against the entries of all zones, at quiescence. NULL: fine. */
const char *pfai_check_movable_owners(const struct pfa *p, const struct pfai_check_movable *sums);

#endif
