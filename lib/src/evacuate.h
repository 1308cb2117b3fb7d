/* SPDX-License-Identifier: MIT
 *
 * Layer 5: emptying a run of held frames: who is in it, and moving away what can be moved. No lock is held between two blocks, and
 * what is seen of a frame byte is a hint: pfai_evacuated(), under the zone's lock, says how it is.
 */
#ifndef PFAI_EVACUATE_H
#define PFAI_EVACUATE_H

#include <pfa/contig.h>

#include "migrate.h"

/* So many blocks at most are found before the first of them is moved: its move asks for the content of the next, and for places
 * for all. */
#define PFAI_EVACUATION_GROUP 64u

struct pfai_evacuation {
	struct pfa *p;
	struct pfai_zone *z;
	uint32_t flags;       /* PFA_NOMIGRATE, PFA_NOWAIT: nothing is moved */
	const char *function; /* for faults */
	/* after anything but PFA_OK: */
	struct pfa_blocker why;
	bool may_end;         /* what is in the way may go by itself */
	/* own */
	bool moves;           /* `call` is prepared */
	struct pfa_dest dest;
	struct pfai_migration call;
	pfa_pfn heads[PFAI_EVACUATION_GROUP]; /* to be moved, lowest first */
	unsigned nr_heads;
};

/* Is there anything in rels [lo, hi) that will not go, and cannot be moved? Nothing is moved yet. @return as pfai_evacuate(). */
int pfai_evacuable(struct pfai_evacuation *e, size_t lo, size_t hi);

/* Moves away all blocks that have a frame in rels [lo, hi), lowest first, up to the first that stays. @return PFA_OK; PFA_EBUSY,
 * PFA_EAGAIN (the flags), PFA_ENOMEM, PFA_ERANGE (a hole): e->why; PFA_ECORRUPT. */
int pfai_evacuate(struct pfai_evacuation *e, size_t lo, size_t hi);

/* The same for the block that has the frames on both sides of rel, if there is one. */
int pfai_evacuate_edge(struct pfai_evacuation *e, size_t rel);

/* Is there none? @return PFA_OK; PFA_EBUSY: e->why. */
int pfai_edge_clear(struct pfai_evacuation *e, size_t rel);

/* Are all of rels [lo, hi) free? @return as pfai_evacuate(). Takes the zone's lock, for a pageblock at a time. */
int pfai_evacuated(struct pfai_evacuation *e, size_t lo, size_t hi);

/* To be called after all of these. */
void pfai_evacuation_end(struct pfai_evacuation *e);

#endif
