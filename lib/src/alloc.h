/* SPDX-License-Identifier: MIT
 *
 * Layer 5: requests.
 */
#ifndef PFAI_ALLOC_H
#define PFAI_ALLOC_H

#include "pcpu.h"

/* A request, checked and taken apart. */
struct pfai_request {
	unsigned order, code;
	uint32_t flags;
	unsigned first_zone, last_zone;
	bool windowed;
	struct pfa_run window;
	/* results */
	pfa_pfn pfn;
	bool zero;               /* known to be zero */
	struct pfai_zone *zone;  /* PFA_OK: that served it */
	struct pfai_zone *reserved; /* the zone in which the block's pageblock became HIGHATOMIC: purge it */
	bool met_corrupt;        /* a zone refused because of damage */
	bool failed;             /* as things are it fails, and is to be counted */
	const char *function;    /* for faults */
};

/* PFA_OK, PFA_EINVAL, PFA_ENOTSUP. */
int pfai_request_parse(const struct pfa *p, struct pfai_request *rq, unsigned order, uint32_t flags,
                       const char *function);

/* Serves it from the zones, draining caches before it fails. No lock held. The block is HEAD | order. */
int pfai_request_serve(struct pfa *p, struct pfai_request *rq);

/* [rel, ..) was freed just now: if the block of the request's order around it is free, the request gets it (rq->zone is set then).
 * Never from CMA, HIGHATOMIC or held pageblocks. */
void pfai_request_capture_locked(struct pfa *p, struct pfai_zone *z, struct pfai_request *rq, size_t rel);

/* The last resort of a request with PFA_COMPACT (compact.c). @return PFA_OK; PFA_ENOMEM, ... as pfai_request_serve(). */
int pfai_request_compact(struct pfa *p, struct pfai_request *rq);

/* Tries all zones as a request does at first, past the caches, and no more. @return as below. */
int pfai_request_first(struct pfa *p, struct pfai_request *rq);

/* Tries all zones once more, past the caches. @return PFA_OK, PFA_ENOMEM, PFA_EBUSY, PFA_ECORRUPT (not told). */
int pfai_request_again(struct pfa *p, struct pfai_request *rq);

/* What remains after nr_frames frames were got, as blocks of `order`: hooks and zeroing. No lock held. PFA_OK, or
 * PFA_ECORRUPT: the frames are bad, which was told. */
int pfai_request_finish(struct pfa *p, const struct pfai_request *rq, pfa_pfn pfn, size_t nr_frames, unsigned order);

/* The ends of pfa_alloc()'s fast paths. */

/* Everything but the plain hit. No lock held. */
int pfai_alloc_slow(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out);

/* Takes over the held cache lock: the slot is empty, or not what it should be. */
int pfai_alloc_miss(struct pfa *p, struct pfai_cpu *c, unsigned order, uint32_t flags, pfa_pfn *out);

/* Takes over the held cache lock: the top of a slot is damaged. The block is dropped, the zone that served last
 * refuses. */
int pfai_alloc_damaged(struct pfa *p, struct pfai_cpu *c);

/* The block that was served is freed again, since something else was refused with `result`: that, or why not. No lock held. */
int pfai_request_undo(struct pfa *p, const struct pfai_request *rq, int result);

#endif
