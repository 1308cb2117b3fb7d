/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of hardening level 2, to which pfa_alloc() and pfa_free() hand over (pfa.alloc_path, free_path).
 */
#ifndef PFAI_VERIFIED_H
#define PFAI_VERIFIED_H

#include "pcpu.h"

/* No fast path. */
pfai_alloc_path pfai_alloc_by_slow;
pfai_free_path pfai_free_by_slow;

pfai_alloc_path pfai_alloc_verified;
pfai_free_path pfai_free_verified;

/* Takes over the held cache lock: the slot is empty, or not what it should be. Order and type as they were asked for,
 * whatever c->first says; not to keep them saves a register. */
int pfai_verified_miss(struct pfa *p, struct pfai_cpu *c, const struct pfai_slot *s, pfa_pfn *out);

#endif
