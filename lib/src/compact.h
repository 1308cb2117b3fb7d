/* SPDX-License-Identifier: MIT
 *
 * Layer 5: compaction.
 */
#ifndef PFAI_COMPACT_H
#define PFAI_COMPACT_H

#include "migrate.h"

/* A request failed: background compaction may be of use. */
void pfai_compact_wanted(struct pfa *p, const struct pfai_request *rq);

/* Background work, *budget pageblocks at most. True: there is more to do. */
bool pfai_compact_background(struct pfa *p, unsigned *budget);

#endif
