/* SPDX-License-Identifier: MIT
 *
 * Layer 5: what happens on damage. Under a lock it is only noted (pfai_zone_mark_corrupt): the zone refuses from then on.
 * Every call that met it, or that comes to a zone which refuses, ends with pfai_tell().
 */
#ifndef PFAI_DAMAGE_H
#define PFAI_DAMAGE_H

#include "instance.h"

/* What is not told yet is told now, once a zone, and the zone's cached blocks are abandoned, so that the fast paths do
 * not serve from it either. No lock held. Always PFA_ECORRUPT. */
int pfai_tell(struct pfa *p, const char *function);

/* pfai_tell() if result is PFA_ECORRUPT; returns result. */
static inline int pfai_told(struct pfa *p, int result, const char *function)
{
	return result == PFA_ECORRUPT ? pfai_tell(p, function) : result;
}

#endif
