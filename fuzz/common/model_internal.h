/* SPDX-License-Identifier: MIT
 *
 * model_internal.h - what the files of the model share.
 */
#ifndef FUZZ_MODEL_INTERNAL_H
#define FUZZ_MODEL_INTERNAL_H

#include "model.h"

/* A guarded block lies in a block so many orders larger, as its second quarter. */
#define MODEL_GUARD_ORDERS 2u

static inline size_t model_pow2(unsigned order)
{
	return (size_t)1 << order;
}

/* Writes the verdict. Always false. */
bool model_say(struct verdict *v, const char *monitor, const char *what, unsigned zone, pfa_pfn pfn, size_t expected,
               size_t actual);
/* Of a pfn in the zone: where the arrays have its pageblock. */
size_t model_pageblock(const struct model *m, unsigned zone, pfa_pfn pfn);
/* The zone that all of [pfn, pfn + nr) is in, or nr_zones. */
unsigned model_run_zone(const struct model *m, pfa_pfn pfn, size_t nr, size_t *out_index);
/* Un-owned frames of the zone's held pageblocks; *cma: of these, in CMA ones. model_contig.c. */
size_t model_isolated(const struct model *m, unsigned zone, size_t *cma);
/* An un-owned frame is out of use from now on. */
void model_bad(struct model *m, unsigned zone, pfa_pfn pfn);
/* The first byte of [at, at + nr) that is not `state`, or nr. */
size_t model_same(const unsigned char *at, size_t nr, unsigned char state);

#endif
