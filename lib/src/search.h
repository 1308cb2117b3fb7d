/* SPDX-License-Identifier: MIT
 *
 * Layer 5: where a contiguous run costs least.
 */
#ifndef PFAI_SEARCH_H
#define PFAI_SEARCH_H

#include "contig.h"

struct pfai_search {
	struct pfa *p;
	struct pfai_zone *z;
	pfa_pfn lo, hi;        /* of the zone: where to look, not empty */
	struct pfai_cma *area; /* NULL, or: that this is. Then all windows and places of it are tried */
	size_t nr, align;      /* frames; align: a power of two */
	uint32_t flags;        /* as pfa_alloc_contig() */
	const char *function;
	/* results */
	bool zero, met_corrupt, met_held; /* held: pageblocks that another call holds */
	unsigned nr_holds;     /* as struct pfai_contig */
	int result;            /* PFA_ENOMEM at first, and as long as nothing better is known */
	pfa_pfn found;
};

/* Looks in [lo, hi) and takes what it finds. True: that was it, one way or the other: s->result. PFA_OK: the run is HEAD, and nobody
 * knows it yet. */
bool pfai_search(struct pfai_search *s);

#endif
