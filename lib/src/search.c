/* SPDX-License-Identifier: MIT
 *
 * Where a contiguous run costs least: first a free block that it fits into, by the index; else windows of pageblocks, by the frames
 * that are in use there, counted twice where the pageblock is not one for movable blocks. What is counted is a hint: it is read a few
 * pageblocks at a time.
 */
#include <pfa/contig.h>

#include "closed.h"
#include "contig.h"
#include "damage.h"
#include "hook.h"
#include "place.h"
#include "search.h"

#define SEARCH_FLAGS (PFA_ZERO | PFA_NOWAIT | PFA_NOMIGRATE | PFA_CMA | PFA_EXACT_ZONE | 0xFF000000u)
#define SEARCH_BATCH 64u /* pageblocks that are looked at in one lock hold */
#define SEARCH_BEST 8u   /* windows that are remembered in one pass */

/* A window: pageblocks that a run which begins in the first of them needs at least. */
struct search_window {
	size_t cost, pb;
};

/* The frame behind the block at pfn, which was in the way; but not before start + 1. */
static pfa_pfn search_behind(const struct pfai_search *s, pfa_pfn pfn, pfa_pfn start)
{
	uint8_t byte = pfai_zone_of(s->p, pfn) == s->z ? pfai_load_relaxed(&s->p->bytes[pfn - s->p->base]) : 0;
	unsigned order = byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0;
	pfa_pfn end = pfn + ((pfa_pfn)1 << (order <= s->z->top_order ? order : 0));
	return end > start ? end : start + 1;
}

/* One attempt. True: that was it, one way or the other. *next: the first frame that is not known to be in the way. */
static bool search_try(struct pfai_search *s, pfa_pfn start, pfa_pfn *next)
{
	struct pfai_contig c = { .start = start, .end = start + s->nr, .flags = s->flags & ~(PFA_EXACT_ZONE | 0xFF000000u),
	                         .area = s->area, .function = s->function };
	int result = pfai_contig_take(s->p, &c);
	s->found = start;
	s->zero = c.zero;
	s->met_held |= c.why.reason == PFA_BLOCKER_HELD;
	s->nr_holds += c.nr_holds;
	*next = search_behind(s, c.why.pfn, start);
	if (result == PFA_EAGAIN) /* flags: without them there might be a way */
		s->result = result;
	if (result != PFA_OK && result != PFA_ECORRUPT)
		return false;
	s->result = result;
	return true;
}

/* The first multiple of the alignment from pfn on; PFAI_NONE: there is none. */
static pfa_pfn search_align(const struct pfai_search *s, pfa_pfn pfn)
{
	const pfa_pfn last = pfn + (s->align - 1);
	return last < pfn ? PFAI_NONE : last & ~(pfa_pfn)(s->align - 1);
}

/* A free block of some type (of an area: in it) that the run fits into, best fit. PFAI_NONE: none. */
static size_t search_free_locked(const struct pfai_search *s, unsigned order)
{
	static const uint8_t codes[] = { PFAI_CODE_CMA, PFAI_CODE_RECLAIMABLE, PFAI_CODE_UNMOVABLE, PFAI_CODE_MOVABLE };
	size_t best = PFAI_NONE;
	if (s->area)
		return pfai_zone_first_in_locked(s->p, s->z, PFAI_CODE_CMA, order, s->lo - s->z->origin, s->hi - s->z->origin);
	for (unsigned i = s->flags & PFA_CMA ? 0 : 1; i < sizeof(codes) && best == PFAI_NONE; i++)
		if (s->z->st->nonempty[codes[i]] >> order)
			best = pfai_zone_first_locked(s->p, s->z, codes[i], order);
	return best;
}

static bool search_free(struct pfai_search *s)
{
	unsigned order = 0;
	pfa_pfn next;
	while (order <= s->z->top_order && ((size_t)1 << order < s->nr || (size_t)1 << order < s->align))
		order++;
	if (order > s->z->top_order || !pfai_zone_lock(s->p, s->z))
		return false;
	size_t rel = search_free_locked(s, order);
	pfai_zone_unlock(s->p, s->z);
	return rel != PFAI_NONE && search_try(s, s->z->origin + rel, &next);
}

/* Frames of a pageblock that are in use. Those that lie outside of the zone count as such in its record, but are in nobody's way. */
static size_t search_used(const struct pfai_search *s, size_t pb)
{
	const struct pfai_zone *z = s->z;
	pfa_pfn begin = z->origin + (pb << s->p->pb_order), end = begin + ((size_t)1 << s->p->pb_order);
	size_t used = z->pb[pb].used, outside = (begin < z->start ? z->start - begin : 0) + (end > z->end ? end - z->end : 0);
	return used > outside ? used - outside : 0;
}

/* What a pageblock costs; SIZE_MAX / 4: it cannot be had. */
static size_t search_cost(const struct pfai_search *s, size_t pb)
{
	const struct pfai_pb *rec = &s->z->pb[pb];
	unsigned code = pfai_pb_code(rec);
	if (code == PFAI_CODE_ISOLATE || (code == PFAI_CODE_CMA && !(s->flags & PFA_CMA)))
		return SIZE_MAX / 4;
	return code == PFAI_CODE_MOVABLE || code == PFAI_CODE_CMA ? search_used(s, pb) : 2 * search_used(s, pb);
}

static bool search_before(const struct search_window *a, const struct search_window *b)
{
	return a->cost < b->cost || (a->cost == b->cost && a->pb < b->pb);
}

/* The first place in a pageblock at which a run may begin; at its end or behind: there is none. */
static pfa_pfn search_place(const struct pfai_search *s, size_t pb)
{
	const pfa_pfn begin = s->z->origin + (pb << s->p->pb_order);
	return search_align(s, begin > s->lo ? begin : s->lo);
}

/* The window joins the best ones, if it is one. */
static void search_remember(struct search_window best[SEARCH_BEST], unsigned *n, struct search_window w)
{
	unsigned at = *n < SEARCH_BEST ? (*n)++ : SEARCH_BEST;
	if (at == SEARCH_BEST) {
		if (!search_before(&w, &best[SEARCH_BEST - 1]))
			return;
		at--;
	}
	for (; at && search_before(&w, &best[at - 1]); at--)
		best[at] = best[at - 1];
	best[at] = w;
}

/* The best windows after `last` (NULL: of all), in their order; one that costs nothing ends the pass. in_order: the next ones, whatever they
 * cost. Returns how many. */
static unsigned search_pass(struct pfai_search *s, const struct search_window *last, bool in_order, struct search_window best[SEARCH_BEST])
{
	const size_t pb_order = s->p->pb_order, width = ((s->nr - 1) >> pb_order) + 1;
	size_t first = in_order && last ? last->pb + 1 : (s->lo - s->z->origin) >> pb_order;
	size_t stop = ((s->hi - 1 - s->z->origin) >> pb_order) + 1, end = first, cost = 0;
	unsigned n = 0;
	while (end < stop && !(in_order && n == SEARCH_BEST)) {
		if (!pfai_zone_lock(s->p, s->z))
			return n;
		for (unsigned i = 0; i < SEARCH_BATCH && end < stop; i++) {
			size_t more = search_cost(s, end++);
			cost = more < SIZE_MAX / 4 ? cost + more : 0;
			if (more == SIZE_MAX / 4) {
				first = end; /* no window has it */
				s->met_held |= pfai_pb_holder(&s->z->pb[end - 1]) != 0;
			}
			if (end - first < width)
				continue;
			struct search_window w = { in_order ? 1 : cost, first };
			bool place = search_place(s, first) < s->z->origin + ((first + 1) << pb_order);
			if (place && (!last || search_before(last, &w)))
				search_remember(best, &n, w);
			size_t less = search_cost(s, first++);
			cost = less < cost ? cost - less : 0;
		}
		pfai_zone_unlock(s->p, s->z);
		if (n && !best[0].cost) /* nothing is better */
			return n;
	}
	return n;
}

/* Tries the places in the window's first pageblock at which a run may begin, from each thing in the way to behind it. */
static bool search_window(struct pfai_search *s, const struct search_window *w)
{
	const pfa_pfn stop = s->z->origin + ((w->pb + 1) << s->p->pb_order);
	pfa_pfn at = search_place(s, w->pb);
	for (size_t tries = 0; (s->area || tries < PFA_CONTIG_PLACES) && at < stop && at < s->hi && s->nr <= s->hi - at; tries++) {
		if (search_try(s, at, &at))
			return true;
		at = search_align(s, at);
	}
	return false;
}

/* Tries the windows that so many passes find. */
static bool search_windows(struct pfai_search *s, size_t passes, bool in_order)
{
	struct search_window best[SEARCH_BEST], last;
	const struct search_window *after = NULL;
	for (; passes; passes--) {
		unsigned n = search_pass(s, after, in_order, best);
		for (unsigned i = 0; i < n; i++)
			if (search_window(s, &best[i]))
				return true;
		if (!n)
			break;
		last = best[n - 1];
		after = &last;
	}
	return false;
}

bool pfai_search(struct pfai_search *s)
{
	if (s->nr > s->hi - s->lo)
		return false;
	if (pfai_load_relaxed(&s->z->st->corrupt)) {
		s->met_corrupt = true;
		return false;
	}
	if (!pfai_zone_lockable(s->p, s->z)) {
		s->result = PFA_EBUSY;
		return true;
	}
	if (search_free(s) || search_windows(s, PFA_CONTIG_WINDOWS / SEARCH_BEST, false))
		return true;
	/* Of an area none is left out. What an attempt moves before it fails changes what others cost, so that by their costs it cannot be told
	 * which were tried. */
	return s->area && search_windows(s, ((s->hi - s->lo) >> s->p->pb_order) + 1, true);
}

int pfa_alloc_contig(struct pfa *p, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	static const char function[] = "pfa_alloc_contig";
	struct pfai_request rq;
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (!nr_frames || !align_frames || (align_frames & (align_frames - 1)) || (flags & ~SEARCH_FLAGS))
		return PFA_EINVAL;
	result = pfai_request_parse(p, &rq, 0, flags & (PFA_ZERO | PFA_EXACT_ZONE | 0xFF000000u), function);
	if (result != PFA_OK)
		return result;
	struct pfai_search s = { .p = p, .nr = nr_frames, .align = align_frames, .flags = flags, .function = function, .result = PFA_ENOMEM };
	bool done = false;
	for (unsigned i = rq.first_zone; i <= rq.last_zone && !done; i++) {
		s.z = &p->zones[i];
		s.lo = s.z->start;
		s.hi = s.z->end;
		done = pfai_search(&s);
	}
	if (s.result == PFA_ENOMEM && s.met_corrupt)
		s.result = PFA_ECORRUPT;
	if (s.result != PFA_OK)
		return pfai_told(p, s.result, function);
	rq.zone = s.z;
	rq.zero = s.zero;
	result = pfai_request_finish(p, &rq, s.found, nr_frames, 0);
	if (result == PFA_OK)
		*out = s.found;
	return result;
}
