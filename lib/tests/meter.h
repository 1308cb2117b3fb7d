/* SPDX-License-Identifier: MIT
 *
 * Steps of one call of the core: in all, and the most under one hold of each kind of lock. See steps.h.
 */
#ifndef METER_H
#define METER_H

#include "rig.h"

enum meter_part {
	METER_CALL, /* the whole call */
	METER_ZONE, /* the longest hold of a zone's lock */
	METER_CPU,  /* the longest hold of a per-CPU cache's lock */
	METER_PARTS
};

struct meter {
	size_t steps[METER_PARTS];
};

/* Nothing is counted outside of a begin and its end; one call at a time. */
void meter_begin(void);
struct meter meter_end(void);

#endif
