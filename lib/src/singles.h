/* SPDX-License-Identifier: MIT
 *
 * Layer 4: single frames from leaves that have nothing larger. Best fit leaves many of them, with a frame or two each: so the
 * set is not asked anew for each, nor is a leaf folded that has been emptied, or still has single frames.
 */
#ifndef PFAI_SINGLES_H
#define PFAI_SINGLES_H

#include "zone.h"

/* Takes up to want of them, lowest first, offsets in out. Below level 3, and where the device was told of nothing. Ends early where
 * the index is not what it should be: who looks for the next frame then meets the damage.
 * Zone lock held. O(want) leaves. */
unsigned pfai_singles_grab_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned want, uint32_t out[]);

#endif
