/* SPDX-License-Identifier: MIT
 *
 * model_past.h - what the model remembers of blocks: the events of their frames, and the frees since they rest in quarantine.
 */
#ifndef FUZZ_MODEL_PAST_H
#define FUZZ_MODEL_PAST_H

#include "model.h"

/* An event of nr_blocks blocks side by side from the frame with this index. */
void model_note(struct model *m, enum pfa_event_op op, size_t index, size_t nr_blocks, unsigned order);
/* The block at index is given back. */
void model_rest(struct model *m, size_t index, size_t nr);
/* Does a guard of the block that begins (above: ended) beside pfn lie there? */
bool model_guard_at(const struct model *m, pfa_pfn pfn, unsigned above);

#endif
