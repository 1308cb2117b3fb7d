/* SPDX-License-Identifier: MIT
 *
 * Layer 5: holding pageblocks. Taken under the zone's lock, lowest first, so that of calls that overlap one goes on; then what caches
 * have of them is purged. What is freed there afterwards goes to the zone, where it stays off offer.
 */
#ifndef PFAI_ISOLATE_H
#define PFAI_ISOLATE_H

#include <pfa/contig.h>

#include "pcpu.h"

/* Pageblocks of one zone that one call holds, or wants to. */
struct pfai_hold {
	struct pfai_zone *z;
	size_t first, end; /* pageblocks */
	uint32_t token;
	struct pfa_blocker why;
};

/* The pageblocks of [start, end), which is not empty; nothing is held yet. False: not of one zone. */
bool pfai_hold_begin(struct pfa *p, struct pfai_hold *h, pfa_pfn start, pfa_pfn end);

/* Holds all of them, or none; cma: CMA pageblocks, too. @return PFA_OK; PFA_EBUSY (h->why says why), PFA_ECORRUPT. */
int pfai_hold(struct pfa *p, struct pfai_hold *h, bool cma);

/* What caches have of them goes back. wait: for a cache that is in use; else that is left alone, which is for those who need the frames to
 * be free. @return PFA_OK, PFA_EBUSY, PFA_ECORRUPT. */
int pfai_hold_purge(struct pfa *p, const struct pfai_hold *h, bool wait);

/* Gives them up. @return result; PFA_ECORRUPT: there is damage in the zone, which may have been met only now. */
int pfai_unhold(struct pfa *p, const struct pfai_hold *h, int result);

/* The end of a call: *why (NULL: not of interest) says what was in the way, and damage is told. Returns result. */
int pfai_blocked(struct pfa *p, struct pfa_blocker *why, struct pfa_blocker blocker, int result, const char *function);

#endif
