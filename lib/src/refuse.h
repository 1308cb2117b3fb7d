/* SPDX-License-Identifier: MIT
 *
 * Layer 5: why a free or a split was refused.
 */
#ifndef PFAI_REFUSE_H
#define PFAI_REFUSE_H

#include "instance.h"

/* A claim of (pfn, order) was refused: finds out why, and faults. No lock held. */
int pfai_refuse_block(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function);

#endif
