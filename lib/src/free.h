/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the ends of pfa_free()'s fast paths.
 */
#ifndef PFAI_FREE_H
#define PFAI_FREE_H

#include "pcpu.h"

/* No lock held: the order has no slot, the cpu is unknown or its cache busy, or the pfn is out of range. */
int pfai_free_slow(struct pfa *p, pfa_pfn pfn, unsigned order);

/* Takes over the held cache lock: the slot of this block is full, or it has none (slow route, caches disabled), or it is
 * not what it should be. */
int pfai_free_full(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order);

/* Takes over the held cache lock: the claim failed. */
int pfai_free_refused(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order);

#endif
