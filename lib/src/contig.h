/* SPDX-License-Identifier: MIT
 *
 * Layer 5: one contiguous range.
 */
#ifndef PFAI_CONTIG_H
#define PFAI_CONTIG_H

#include "evacuate.h"
#include "isolate.h"

struct pfai_contig {
	pfa_pfn start, end;
	uint32_t flags;
	struct pfai_cma *area; /* that takes it; NULL: none */
	const char *function;
	/* results */
	bool zero;             /* the content is known */
	unsigned nr_holds;     /* times that pageblocks were held, or found to be, for the area */
	struct pfa_blocker why;
};

/* Takes [start, end) of one zone as pfa_alloc_contig_range() does; its frames are HEAD then, and nobody knows it yet. @return as there,
 * damage is not told yet; c->why says what was in the way. */
int pfai_contig_take(struct pfa *p, struct pfai_contig *c);

/* Rels [lo, hi), whose pageblocks h holds, are emptied and taken, all of them or none, within PFA_CONTIG_TRIES. *zero as above. The caller
 * ends the evacuation. */
int pfai_contig_empty(struct pfai_evacuation *e, const struct pfai_hold *h, size_t lo, size_t hi, bool *zero);

/* Rels [lo, hi), which were taken, go back. */
void pfai_contig_give_back(struct pfa *p, struct pfai_zone *z, size_t lo, size_t hi);

#endif
