/* SPDX-License-Identifier: MIT
 *
 * The stage of the misuse matrix: an instance with one block in a known place, what the test itself knows about each frame
 * (never asked from the allocator), what has to be answered to a free of anything, and a copy of all memory of the
 * instance, with which each refusal is compared.
 */
#ifndef MISUSE_SCENE_H
#define MISUSE_SCENE_H

#include <pfa/harden.h>

#include "rig.h"

/* Where the block of a scene is. */
enum residence {
	AT_FRESH,        /* free, never allocated */
	AT_ZONE,         /* allocated, freed, in its zone again */
	AT_CACHE,        /* freed into the cache of cpu 0 */
	AT_OTHER_CACHE,  /* freed into the cache of cpu 1 */
	AT_FULL_CACHE,   /* in the full slot of cpu 0 */
	AT_OWNER,        /* allocated */
	AT_OWNER_FULL,   /* allocated, the slot that it would go to is full */
	AT_OWNER_UNCACHED, /* allocated, caches disabled */
	AT_OWNER_AGAIN,  /* freed, and granted again: what was known of the first block is stale */
	AT_OWNER_DOOMED, /* allocated, its last frame will be bad */
	AT_BAD,          /* every frame of it was free and is marked bad */
	AT_OFFLINE,      /* nothing puts frames offline yet: the test writes the bytes */
	AT_REPORTER,     /* held: likewise */
	AT_QUARANTINE,   /* at level 3; below it likewise */
	AT_GUARDED,      /* allocated between two guards; level 3 */
	RESIDENCES
};
extern const char *const residence_names[RESIDENCES];

/* What the test knows about one frame. */
enum place {
	PLACE_OUTSIDE, PLACE_HOLE, PLACE_FRESH, PLACE_FREE, PLACE_OWNED, PLACE_INSIDE, PLACE_CACHED, PLACE_QUARANTINED, PLACE_HELD, PLACE_OFFLINE,
	PLACE_BAD, PLACE_GUARD,
};

struct geometry {
	unsigned max_order, pageblock_order;
	pfa_pfn start[2];     /* of the zones, multiples of the largest block */
	size_t nr_frames[2];
	struct pfa_run hole;  /* in zone 0 */
	pfa_pfn block;        /* of the scenes but AT_GUARDED; a multiple of the largest block */
	pfa_pfn filler;       /* blocks to fill a slot with come from here on */
};
extern const struct geometry geometries[];
enum { GEOMETRIES = 2, FRAMES_LIMIT = 8192 };

struct scene {
	struct rig rig; /* first: the ops' ctx */
	const struct geometry *geometry;
	unsigned level, order;
	enum residence residence;
	pfa_pfn block;
	uint8_t place[FRAMES_LIMIT]; /* enum place */
	uint8_t orders[FRAMES_LIMIT]; /* of the blocks that begin there */
	unsigned char *before;       /* all memory of the instance as it must stay */
	unsigned char *pool_before;
	size_t misuses;              /* counted before */
	uint8_t saved[FRAMES_LIMIT]; /* frame bytes that the test has written over */
	pfa_pfn fillers[64];
	unsigned nr_fillers;
	bool hooked;                 /* generations and history: no fast paths */
	bool stale;                  /* the block was freed since `handle` was made */
	struct pfa_handle handle;    /* of the block's first grant, if hooked */
	void (*on_wait)(struct scene *s, uint32_t *word); /* a lock is busy; NULL: that is a deadlock */
	void (*on_freeing)(struct scene *s);              /* the block is claimed, and an op is called */
};

/* False: this residence does not exist for the order, with hooks or without, or for the way the cpu is named. */
bool scene_start(struct scene *s, const struct geometry *g, unsigned level, bool hooked, unsigned order,
                 enum residence residence);
void scene_stop(struct scene *s); /* everything back, checked, ended */

void scene_lock_zone(struct scene *s); /* as if another thread held the lock of zone 0 */
void scene_freed(struct scene *s);     /* the block has been freed */

/* Takes the copy; compares with it (the count of misuse apart): "" or the name of the region that differs. */
void scene_keep(struct scene *s);
const char *scene_changed(struct scene *s);
bool scene_pool_changed(const struct scene *s);

static inline enum place scene_place(const struct scene *s, pfa_pfn pfn)
{
	return pfn < FRAMES_LIMIT ? (enum place)s->place[pfn] : PLACE_OUTSIDE;
}

/* What must be answered to a free or split of (pfn, order): a kind, or NONE where it is legitimate. */
enum pfa_fault_kind scene_judge(const struct scene *s, pfa_pfn pfn, unsigned order);

/* The same for a range; *offender: the pfn that must be named. */
enum pfa_fault_kind scene_judge_range(const struct scene *s, pfa_pfn first, size_t nr_frames, pfa_pfn *offender);

#endif
