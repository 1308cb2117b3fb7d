/* SPDX-License-Identifier: MIT
 *
 * Layer 4: what the reporting device knows. A bit per frame, `told`: the device was told of it and it was not allocated since;
 * or the reporter holds it (then it is not free). So a walk finds what is free or held as ~not_free | told.
 * A set per zone, `pending`: the leaves in which a unit (2^min_order frames) that is not told may begin. It may promise too
 * much, never too little: a pass looks there only, so its work is proportional to what was freed.
 * A set per zone, `resident`: the entirely free pageblocks that are not wholly told, which requests take from first. It too may
 * promise too much.
 * All functions want the zone's lock.
 */
#ifndef PFAI_MARK_H
#define PFAI_MARK_H

#include "zone.h"

/* Bits of pfai_report.state. Who sets REQUESTED while ACTIVE gets another pass. */
#define PFAI_REPORT_REQUESTED 1u
#define PFAI_REPORT_ACTIVE 2u

/* Leaves, or words, that are gone through under one hold of the lock. */
#define PFAI_MARK_CHUNK 512u
/* Pageblocks that a request looks at for one that is not told. */
#define PFAI_MARK_LOOKS 256u

/* A pass is wanted. */
void pfai_report_request(struct pfai_report *r);

/* Of a zone whose device is active: [rel, rel + nr) is free now. Notes the units in it that the device does not know. */
void pfai_mark_freed_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr);

/* Is a pageblock of the block wholly told? */
bool pfai_mark_has_told_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order);

/* A free block of this order of which no pageblock is wholly told, in pageblocks that count as `code`: the first one by address from
 * pageblock `from` on, else from the beginning. PFAI_NONE: none, or not among the first PFAI_MARK_LOOKS. O(looks x orders). */
size_t pfai_mark_resident_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t from);

/* An entirely free pageblock counts as another type now: where units are larger they may have become one block by that. */
void pfai_mark_joined_locked(struct pfa *p, struct pfai_zone *z, size_t pb);

/* Are these frames in the range that the device is told of? */
static inline bool pfai_mark_wanted(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr)
{
	const struct pfa_run *only = &p->report->device.only;
	pfa_pfn first = z->origin + rel;
	return !only->nr_frames || (first >= only->first && nr <= only->nr_frames && first - only->first <= only->nr_frames - nr);
}

/* Does a unit that has frames of [rel, rel + nr) consist of free frames that the device is told of, and does not know all? */
bool pfai_mark_news_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr);

/* [rel, rel + nr) leaves the free memory: nothing is known of it any more. */
void pfai_mark_drop_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr);

/* [rel, rel + nr) is held by the reporter. */
static inline void pfai_mark_hold_locked(struct pfai_zone *z, size_t rel, size_t nr)
{
	if (nr >= PFAI_WORD_BITS)
		pfai_words_fill(z->told, rel, nr, true);
	else
		pfai_map_fill(z->told, rel, nr, true);
	z->st->held_report += nr;
}

/* It is about to be free again: told or not. */
void pfai_mark_release_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr, bool told);

/* Everything from leaf `first` on may be unknown. Returns the leaf to go on with; z->nr_leaves: that is all. */
size_t pfai_mark_all_pending_locked(struct pfa *p, struct pfai_zone *z, size_t first);

/* Nothing from pageblock `first` on is known. Returns the pageblock to go on with; z->nr_pb: that is all. */
size_t pfai_mark_forget_locked(struct pfa *p, struct pfai_zone *z, size_t first);

static inline size_t pfai_unit(const struct pfa *p)
{
	return (size_t)1 << (p->report->device.min_order & PFAI_ORDER_MASK); /* whatever it says */
}

/* Is something in this pageblock free and not told, so that requests should rather take from it? Entirely free ones count; where
 * blocks are smaller than pageblocks all, since the best fit does not take from partly used ones first then. */
static inline bool pfai_mark_is_resident(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	const struct pfai_pb *rec = &z->pb[pb];
	return (rec->used == 0 || z->top_order < p->pb_order) && rec->marked + rec->used < (size_t)1 << p->pb_order;
}

/* Whole pageblocks are known by their counts; else the map is read. */
static inline bool pfai_mark_whole(const struct pfa *p, size_t rel, size_t nr)
{
	return ((rel | nr) & (((size_t)1 << p->pb_order) - 1)) == 0;
}

/* Are all frames of the run, which is free, told? */
static inline bool pfai_mark_all_told_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr)
{
	if (!z->st->told || !pfai_mark_whole(p, rel, nr))
		return z->st->told && pfai_map_is(z->told, rel, nr, true);
	for (size_t pb = rel >> p->pb_order, end = (rel + nr) >> p->pb_order; pb < end; pb++)
		if (z->pb[pb].marked != (size_t)1 << p->pb_order)
			return false;
	return true;
}

/* Is any? */
static inline bool pfai_mark_any_told_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr)
{
	if (!z->st->told || !pfai_mark_whole(p, rel, nr))
		return z->st->told && !pfai_map_is(z->told, rel, nr, false);
	for (size_t pb = rel >> p->pb_order, end = (rel + nr) >> p->pb_order; pb < end; pb++)
		if (z->pb[pb].marked)
			return true;
	return false;
}

/* How many pageblocks, from the one of rel on, have no told frame, of `most` at most? */
static inline size_t pfai_mark_untold_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t most)
{
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	size_t nr = 0;
	while (nr < most && !pb[nr].marked)
		nr++;
	return nr;
}

#endif
