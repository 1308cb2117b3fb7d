/* SPDX-License-Identifier: MIT
 *
 * sut_canary_parts.h - what sut_canary.c and sut_canary_movable.c share.
 */
#ifndef FUZZ_SUT_CANARY_PARTS_H
#define FUZZ_SUT_CANARY_PARTS_H

#include "sut_canary.h"

extern enum sut_canary canary_which;
extern struct pfa_config canary_cfg; /* of the last create; what it points to outlives the instance */
extern struct sut *canary_sut;

/* sut_canary_movable.c: an instance begins; and its functions come into the table. */
void canary_movable_begin(void);
void canary_movable_ops(struct sut_ops *ops);

#endif
