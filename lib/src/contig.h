/* SPDX-License-Identifier: MIT
 *
 * Layer 5: one contiguous range.
 */
#ifndef PFAI_CONTIG_H
#define PFAI_CONTIG_H

#include "isolate.h"

/* Takes [start, end) of one zone as pfa_alloc_contig_range() does; its frames are HEAD then, and nobody knows it yet. *zero: their
 * content is known. @return as there, damage is not told yet; *why says what was in the way. */
int pfai_contig_take(struct pfa *p, pfa_pfn start, pfa_pfn end, uint32_t flags, bool *zero, struct pfa_blocker *why,
                     const char *function);

#endif
