/* SPDX-License-Identifier: MIT
 *
 * Layer 5: owners of movable blocks. An owner's ops are called under a page lock of one of its blocks, which counts in `live`
 * or at least in `total` as long as the lock is held: so pfa_owner_destroy() has to look at two counters only.
 */
#ifndef PFAI_OWNER_H
#define PFAI_OWNER_H

#include "pagelock.h"

/* Index + 1 of a registered owner, as the owner table has it; 0: there is none of this handle. */
uint32_t pfai_owner_of_handle(const struct pfa *p, pfa_owner handle);

/* The handle of an owner of the table; 0 for 0. */
pfa_owner pfai_owner_handle(const struct pfa *p, uint32_t owner);

static inline struct pfai_owner *pfai_owner_at(const struct pfa *p, uint32_t owner)
{
	return &p->owners[owner - 1];
}

/* One entry more names the owner. There are less than 2^32 entries. */
static inline void pfai_owner_gain(struct pfa *p, uint32_t owner)
{
	(void)pfai_add32(&pfai_owner_at(p, owner)->total, 1u);
}

/* One entry less names it. What the caller did for the owner is known to whoever sees that it has no block. */
void pfai_owner_lose(struct pfa *p, uint32_t owner);

#endif
