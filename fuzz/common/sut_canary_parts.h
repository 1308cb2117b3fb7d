/* SPDX-License-Identifier: MIT
 *
 * sut_canary_parts.h - what sut_canary.c, sut_canary_movable.c, sut_canary_contig.c and sut_canary_plug.c share.
 */
#ifndef FUZZ_SUT_CANARY_PARTS_H
#define FUZZ_SUT_CANARY_PARTS_H

#include "sut_canary.h"

extern enum sut_canary canary_which;
extern struct pfa_config canary_cfg; /* of the last create; what it points to outlives the instance */
extern struct sut *canary_sut;

/* sut_canary_contig.c: likewise; what views lie of holds; a frame of what is held; and does an owner not hear of it, that it is asked
 * again? refused: it has just said no. */
void canary_contig_begin(void);
void canary_contig_ops(struct sut_ops *ops);
void canary_contig_lies(struct pfa_zone_stats *zone, struct pfa_pageblock_info *pageblock, struct pfa_frame_info *frame);
int canary_alloc_held(struct sut *s, pfa_pfn *out);
bool canary_asks_no_more(bool refused);
/* sut_canary_plug.c: likewise; and a grant that is spoilt. */
void canary_plug_begin(void);
void canary_plug_ops(struct sut_ops *ops);
void canary_plug_lies(struct pfa_zone_stats *zone, struct pfa_frame_info *frame);
void canary_plug_spoil(unsigned order, pfa_pfn *out);
/* sut_canary_movable.c: an instance begins; and its functions come into the table. */
void canary_movable_begin(void);
void canary_movable_ops(struct sut_ops *ops);

#endif
