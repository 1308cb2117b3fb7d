/* SPDX-License-Identifier: MIT
 *
 * Layer 3: the last events of each frame. A frame has the events of the blocks that began there; config.history records of
 * each, of which a new one replaces the oldest. No lock: records are written by whoever the block belongs to, and read by
 * anyone at any time, in signal handlers too. A record's number is 0 while it is written, as in a sequence lock.
 */
#ifndef PFAI_HISTORY_H
#define PFAI_HISTORY_H

#include "instance.h"

/* One event of nr_blocks blocks of an order, side by side from offset. Takes the backtrace that is due. No lock held. */
void pfai_history_note(struct pfa *p, enum pfa_event_op op, size_t offset, size_t nr_blocks, unsigned order);

/* As pfa_history(), for any pfn; 0 where there is no history, or no such frame. */
size_t pfai_history_read(const struct pfa *p, pfa_pfn pfn, struct pfa_event out[], size_t max);

/* The newest event of the blocks that began at offset. False: there is none. */
bool pfai_history_newest(const struct pfa *p, size_t offset, struct pfa_event *out);

#endif
