/* SPDX-License-Identifier: MIT
 *
 * A device for the tests of free page reporting, the blocks that live beside it, and a model that knows of each frame whether the
 * device was told of it since it was last allocated.
 */
#ifndef REPORT_SCENE_H
#define REPORT_SCENE_H

#include "live_blocks.h"
#include "unit.h"

#include <pfa/report.h>

enum { FRAMES = 4096, NOT_SET = -1 };

/* The device, and what it was told of. */
extern struct host {
	struct rig *rig;
	struct pfa_device device;
	bool told[FRAMES]; /* since the frame was last allocated */
	bool exact;        /* nothing leaves the free memory but by take() */
	/* how report() behaves: its result, and its count */
	int says, counts;
	void (*inside)(const struct pfa_run *runs, unsigned nr);
	unsigned nr_calls, nr_runs, most_runs;
	size_t nr_frames, most_frames;
} host;

extern struct live live;

extern struct rig *inside_rig; /* for what host.inside does */

/* A configuration with room for a device, without caches, and a device that takes all; fill in zones and the rest, then start(). */
void base(struct rig *rig, unsigned max_order, unsigned pageblock_order);
void start(struct rig *rig);
void stop(struct rig *rig);

bool take(struct rig *rig, unsigned order, uint32_t flags);
void give(struct rig *rig, size_t i);
void give_all(struct rig *rig);

/* What the library says of each frame against the model. complete: every unit that may be told is. */
void look(struct rig *rig, bool complete);

/* Until there is nothing more to do now. */
void serve(struct rig *rig, uint64_t *next);

#endif
