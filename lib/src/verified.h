/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of hardening level 2, to which pfa_alloc() and pfa_free() hand over.
 */
#ifndef PFAI_VERIFIED_H
#define PFAI_VERIFIED_H

#include "pcpu.h"

/* Any order; flags name a common type and no more; c is that of the cpu that the caller runs on. No lock held. */
int pfai_alloc_verified(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out, struct pfai_cpu *c);

/* Takes over the held cache lock: the slot is empty, or not what it should be. Order and type as they were asked for,
 * whatever c->first says; not to keep them saves a register. */
int pfai_verified_miss(struct pfa *p, struct pfai_cpu *c, size_t slot, pfa_pfn *out);

/* Any order; the offset is in range. c and locks as above. */
int pfai_free_verified(struct pfa *p, size_t offset, unsigned order, struct pfai_cpu *c);

#endif
