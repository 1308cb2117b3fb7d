/* SPDX-License-Identifier: MIT
 *
 * Layer 7: what CMA areas say of pageblocks, for the checker and the repair. Only while no call is in flight: areas come and go
 * without the zones' locks.
 */
#ifndef PFAI_CHECK_CMA_H
#define PFAI_CHECK_CMA_H

#include "instance.h"

/* Does the pageblock belong to an area? O(areas). */
bool pfai_cma_covers(const struct pfa *p, const struct pfai_zone *z, size_t pb);

/* The first pageblock of the zone that belongs to an area and is not of type CMA; PFAI_NONE: there is none. */
size_t pfai_check_cma(const struct pfa *p, const struct pfai_zone *z);

#endif
