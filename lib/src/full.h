/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of hardening level 3, to which those of level 2 hand over.
 */
#ifndef PFAI_FULL_H
#define PFAI_FULL_H

#include "pcpu.h"

/* As pfai_alloc_verified() and pfai_free_verified(), of an order below pfa.full_orders. */
int pfai_alloc_full(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out, struct pfai_cpu *c);
int pfai_free_quarantined(struct pfa *p, size_t offset, unsigned order, struct pfai_cpu *c);

#endif
