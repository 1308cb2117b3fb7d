/* SPDX-License-Identifier: MIT
 *
 * Layer 5: what the reporting device is told of at once: blocks that leave the free memory of a zone, and return.
 */
#ifndef PFAI_BATCH_H
#define PFAI_BATCH_H

#include "zone.h"

/* Fills the batch from rel r->at on. False: the zone is through, with what is in the batch. */
bool pfai_batch_pull_locked(struct pfa *p, struct pfai_zone *z);

/* The batch is free again, the first `told` blocks as known. False: the zone's lock cannot be had, nothing was done. */
bool pfai_batch_return(struct pfa *p, unsigned told);

#endif
