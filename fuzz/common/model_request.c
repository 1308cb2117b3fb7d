/* SPDX-License-Identifier: MIT
 *
 * model_request.c - requests as data, and what the model says of grants and refusals. See model.h.
 */
#include "model_internal.h"
#include "model_past.h"

/* ---- requests as data -------------------------------------------------------------------------------------------- */

struct request request_block(unsigned order, uint32_t flags)
{
	return (struct request){ .order = order, .flags = flags };
}

struct request request_window(unsigned order, uint32_t flags, struct pfa_run window)
{
	return (struct request){ .order = order, .flags = flags, .windowed = true, .window = window };
}

struct request request_exact(size_t nr_frames, unsigned align_order, uint32_t flags)
{
	unsigned order = 0;
	while (order < PFA_ORDER_LIMIT && model_pow2(order) < nr_frames)
		order++;
	if (align_order > order)
		order = align_order;
	return (struct request){ .order = order, .flags = flags, .exact = true, .nr_frames = nr_frames,
	                         .align_order = align_order };
}

struct request model_sought(const struct request *r)
{
	struct request sought = *r;

	if (r->flags & PFA_GUARD) {
		sought.order += MODEL_GUARD_ORDERS;
		sought.flags &= ~(uint32_t)PFA_GUARD;
	}
	return sought;
}

static bool model_is_movable(const struct request *r)
{
	return (r->flags & PFA_TYPE_MASK) == PFA_MOVABLE;
}

static bool model_is_high(const struct request *r)
{
	return (r->flags & PFA_HIGH) != 0;
}

/* First and last zone (exclusive) that the request may be served from. */
static unsigned model_first_zone(const struct request *r)
{
	return PFA_ZONE_OF(r->flags);
}

static unsigned model_last_zone(const struct model *m, const struct request *r)
{
	return (r->flags & PFA_EXACT_ZONE) ? PFA_ZONE_OF(r->flags) + 1 : m->nr_zones;
}

/* ---- judging a grant --------------------------------------------------------------------------------------------- */

uint32_t model_request_codes(const struct model *m, const struct request *r)
{
	const uint32_t known = PFA_TYPE_MASK | PFA_ZERO | PFA_NOWAIT | PFA_HIGH | PFA_COMPACT | PFA_NORETRY |
	                       PFA_EXACT_ZONE | PFA_GUARD | PFA_ZONE(0xFF);
	uint32_t codes = MODEL_CODE(PFA_OK) | MODEL_CODE(PFA_ENOMEM);
	uint32_t bad = 0;

	if (r->order > m->max_order || (r->flags & ~known) || (r->flags & PFA_TYPE_MASK) > PFA_RECLAIMABLE ||
	    PFA_ZONE_OF(r->flags) >= m->nr_zones)
		bad |= MODEL_CODE(PFA_EINVAL);
	if (r->exact && (r->nr_frames == 0 || r->nr_frames > model_pow2(m->max_order) ||
	                 r->align_order > m->max_order))
		bad |= MODEL_CODE(PFA_EINVAL);
	if (r->windowed && (r->window.nr_frames == 0 || r->window.first > SIZE_MAX - r->window.nr_frames))
		bad |= MODEL_CODE(PFA_EINVAL);
	if ((r->flags & PFA_ZERO) && !m->can_zero)
		bad |= MODEL_CODE(PFA_ENOTSUP);
	if ((r->flags & PFA_GUARD) && (r->exact || r->windowed || r->no_guard))
		return MODEL_CODE(PFA_EINVAL);
	if (r->flags & PFA_GUARD)
		bad |= (m->can_guard ? 0 : MODEL_CODE(PFA_ENOTSUP)) |
		       (r->order + MODEL_GUARD_ORDERS > m->max_order ? MODEL_CODE(PFA_EINVAL) : 0);
	if (bad)
		return bad;
	if (r->flags & (PFA_NOWAIT | PFA_NORETRY))
		codes |= MODEL_CODE(PFA_EAGAIN);
	return codes;
}

bool model_judge_grant(const struct model *m, const struct request *r, pfa_pfn pfn, struct verdict *v)
{
	if (r->flags & PFA_GUARD) { /* the second quarter of a block that was free */
		const struct request sought = model_sought(r);
		if (pfn % model_pow2(r->order) || pfn < model_pow2(r->order))
			return model_say(v, "I15 alignment", "a grant is not aligned", 0, pfn, 0, pfn % model_pow2(r->order));
		return model_judge_grant(m, &sought, pfn - model_pow2(r->order), v);
	}
	const size_t nr = r->exact ? r->nr_frames : model_pow2(r->order);
	const size_t align = r->exact ? model_pow2(r->align_order) : nr;
	size_t index;
	const unsigned zone = model_run_zone(m, pfn, nr, &index);

	if (zone == m->nr_zones)
		return model_say(v, "I15 zone", "a grant lies in no zone, or crosses its end", zone, pfn, nr, 0);
	if (pfn % align)
		return model_say(v, "I15 alignment", "a grant is not aligned", zone, pfn, 0, pfn % align);
	for (size_t i = 0; i < nr; i++) {
		if (m->state[index + i] == MODEL_ABSENT)
			return model_say(v, "I15 hole", "a granted frame lies in a hole", zone, pfn + i, 0, 1);
		if (m->state[index + i] == MODEL_OFFLINE)
			return model_say(v, "I15 offline", "a granted frame is offline", zone, pfn + i, 0, 1);
		if (m->state[index + i] == MODEL_BAD)
			return model_say(v, "I15 bad", "a granted frame is bad", zone, pfn + i, 0, 1);
		if (m->state[index + i] == MODEL_FREE && m->held[model_pageblock(m, zone, pfn + i)])
			return model_say(v, "I4 grant", "a granted frame lies in a held pageblock (token)", zone, pfn + i, 0,
			                 m->held[model_pageblock(m, zone, pfn + i)]);
		if (m->state[index + i] != MODEL_FREE)
			return model_say(v, "I15 owner", "a granted frame is already owned (generation)", zone, pfn + i, 0,
			                 m->owner[index + i]);
	}
	if (zone < model_first_zone(r) || zone >= model_last_zone(m, r))
		return model_say(v, "zone order", "a grant comes from a zone that the request excludes", zone, pfn,
		                 model_first_zone(r), zone);
	if (r->windowed && (pfn < r->window.first || pfn - r->window.first > r->window.nr_frames ||
	                    nr > r->window.nr_frames - (pfn - r->window.first)))
		return model_say(v, "window", "a grant lies outside of the window", zone, pfn, r->window.first, pfn);
	return true;
}

bool model_judge_type(const struct model *m, const struct request *r, pfa_pfn pfn, struct verdict *v)
{
	const size_t nr = r->exact ? r->nr_frames : model_pow2(r->order);
	const size_t pb = model_pow2(m->pageblock_order);
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	for (pfa_pfn at = pfn; at < pfn + nr; at = (at / pb + 1) * pb) {
		const enum pfa_type type = model_type_of(m, zone, at);
		if (type == PFA_TYPE_CMA && !model_is_movable(r))
			return model_say(v, "I3 cma", "a frame of a CMA pageblock went to a request that is not movable",
			                 zone, at, PFA_TYPE_MOVABLE, r->flags & PFA_TYPE_MASK);
		if (type == PFA_TYPE_HIGHATOMIC && !model_is_high(r))
			return model_say(v, "I3 highatomic", "a frame of the reserve went to a request without PFA_HIGH", zone,
			                 at, PFA_HIGH, r->flags);
	}
	return true;
}

/* What a request may use of a zone's free frames, signed. */
static long long model_usable(const struct request *r, const struct pfa_zone_stats *s)
{
	long long usable = (long long)s->free;
	if (!model_is_high(r))
		usable -= (long long)s->free_highatomic;
	if (!model_is_movable(r))
		usable -= (long long)s->free_cma;
	return usable;
}

static long long model_mark(const struct request *r, const struct pfa_zone_stats *s, unsigned mark)
{
	if (mark == 1)
		return (long long)s->mark_low;
	return (long long)(model_is_high(r) ? s->mark_min / 2 : s->mark_min);
}

bool model_above_mark(const struct request *r, const struct pfa_zone_stats *s, unsigned order, unsigned mark)
{
	return model_usable(r, s) - model_mark(r, s, mark) >= (long long)model_pow2(order);
}

bool model_judge_marks(const struct model *m, const struct request *r, unsigned zone,
                       const struct pfa_zone_stats *before, const struct pfa_zone_stats *after, struct verdict *v)
{
	const long long left = model_usable(r, after);
	const long long mark = model_mark(r, after, 0);

	if (after->nr_refill == before->nr_refill && after->nr_direct == before->nr_direct &&
	    after->free >= before->free)
		return true; /* nothing left the zone: a cache hit, which makes no watermark decision */
	if (left < mark)
		return model_say(v, "I12 watermark", "a grant left the zone below the request's mark", zone,
		                 m->zone[zone].start, (size_t)mark, (size_t)left);
	return true;
}

/* ---- liveness ---------------------------------------------------------------------------------------------------- */

/* The class of a frame for merging: un-owned frames of different classes are never one block. 0: the request may
 * not have it. */
static unsigned model_class(const struct model *m, const struct request *r, unsigned zone, pfa_pfn pfn)
{
	const enum pfa_type type = model_type_of(m, zone, pfn);
	if (type == PFA_TYPE_CMA)
		return model_is_movable(r) ? 2 : 0;
	if (type == PFA_TYPE_HIGHATOMIC)
		return model_is_high(r) ? 3 : 0;
	return type == PFA_TYPE_ISOLATE ? 0 : 1;
}

static bool model_one_class(const struct model *m, const struct request *r, unsigned zone, pfa_pfn pfn, size_t nr)
{
	const size_t pb = model_pow2(m->pageblock_order);
	const unsigned class = model_class(m, r, zone, pfn);

	for (pfa_pfn at = pfn; at < pfn + nr; at = (at / pb + 1) * pb)
		if (model_class(m, r, zone, at) != class)
			return false;
	return class != 0;
}

/* The part of the zone in which the request's block may lie; false: too small for any. */
static bool model_range(const struct model *m, const struct request *r, unsigned zone, pfa_pfn *first, pfa_pfn *last)
{
	const struct model_zone *z = &m->zone[zone];
	const size_t nr = model_pow2(r->order);

	*first = z->start;
	*last = z->start + z->nr;
	if (r->windowed && r->window.first > *first)
		*first = r->window.first;
	if (r->windowed && r->window.first + r->window.nr_frames < *last)
		*last = r->window.first + r->window.nr_frames;
	if (*first > *last || *first > SIZE_MAX - nr)
		return false;
	*first = (*first + nr - 1) / nr * nr;
	return true;
}

bool model_fits(const struct model *m, const struct request *r, unsigned zone, pfa_pfn *out)
{
	const struct model_zone *z = &m->zone[zone];
	const size_t nr = model_pow2(r->order);
	pfa_pfn pfn, last;

	if (!model_range(m, r, zone, &pfn, &last))
		return false;
	for (; pfn < last && nr <= last - pfn; pfn += nr) {
		if (model_same(m->state + z->base + (pfn - z->start), nr, MODEL_FREE) == nr &&
		    model_one_class(m, r, zone, pfn, nr)) {
			*out = pfn;
			return true;
		}
	}
	return false;
}

/* No hole or bad frame in it, and not CMA in part: it would be one block if all of it were free. */
static bool model_is_place(const struct model *m, unsigned zone, pfa_pfn pfn, size_t nr)
{
	const struct model_zone *z = &m->zone[zone];
	const bool cma = model_type_of(m, zone, pfn) == PFA_TYPE_CMA;

	for (pfa_pfn at = pfn; at < pfn + nr; at++)
		if (m->state[z->base + (at - z->start)] >= MODEL_ABSENT || (model_type_of(m, zone, at) == PFA_TYPE_CMA) != cma)
			return false;
	return true;
}

bool model_has_place(const struct model *m, const struct request *r, unsigned zone)
{
	const size_t nr = model_pow2(r->order);
	pfa_pfn pfn, last;

	if (!model_range(m, r, zone, &pfn, &last))
		return false;
	for (; pfn < last && nr <= last - pfn; pfn += nr)
		if (model_is_place(m, zone, pfn, nr))
			return true;
	return false;
}

/* A zone's counters as they would be if its caches were empty. */
static struct pfa_zone_stats model_drained(const struct pfa_zone_stats *s)
{
	struct pfa_zone_stats drained = *s;
	drained.free += drained.cached + drained.quarantined; /* CMA and HIGHATOMIC frames are never cached */
	drained.cached = drained.quarantined = 0;
	return drained;
}

bool model_must_succeed(const struct model *m, const struct request *r, bool from_zone,
                        const struct pfa_zone_stats stats[])
{
	for (unsigned zone = model_first_zone(r); zone < model_last_zone(m, r); zone++) {
		const struct pfa_zone_stats drained = model_drained(&stats[zone]);
		pfa_pfn pfn;
		if (from_zone && (stats[zone].cached || stats[zone].quarantined))
			continue; /* what the caches hold is not told apart from what the zone holds */
		if (model_above_mark(r, &drained, r->order, 0) && model_fits(m, r, zone, &pfn))
			return true;
	}
	return false;
}

bool model_judge_refusal(const struct model *m, const struct request *r, int code,
                         const struct pfa_zone_stats after[], struct verdict *v)
{
	const bool drains = !(r->flags & (PFA_NOWAIT | PFA_NORETRY));

	for (unsigned zone = model_first_zone(r); zone < model_last_zone(m, r); zone++) {
		const struct pfa_zone_stats drained = model_drained(&after[zone]);
		pfa_pfn pfn;
		const bool in_caches = !drains && (after[zone].cached || after[zone].quarantined); /* then a block may be refused for now: EAGAIN */
		if (in_caches && code != PFA_ENOMEM)
			continue;
		if (!model_above_mark(r, &drained, r->order, 0) || !model_fits(m, r, zone, &pfn))
			continue;
		if (in_caches)
			return model_say(v, "I12 final", "refused for good, but a drain of the caches would help: EAGAIN", zone,
			                 pfn, (size_t)(unsigned)-PFA_EAGAIN, (size_t)(unsigned)-code);
		return model_say(v, "I12 liveness", "refused, but the predicate grants and this block is free", zone,
		                 pfn, (size_t)PFA_OK, (size_t)(unsigned)-code);
	}
	return true;
}

void model_largest(const struct model *m, uint32_t flags, const struct pfa_zone_stats stats[], int *least, int *most)
{
	*least = *most = -1;
	for (unsigned order = 0; order <= m->max_order; order++) {
		const struct request r = request_block(order, flags);
		if (model_must_succeed(m, &r, true, stats))
			*least = (int)order;
		for (unsigned zone = model_first_zone(&r); zone < model_last_zone(m, &r); zone++) {
			pfa_pfn pfn;
			if (model_fits(m, &r, zone, &pfn))
				*most = (int)order;
		}
	}
}
