/* SPDX-License-Identifier: MIT
 *
 * model.c - see model.h. Slow and obvious on purpose; shares no code with the library.
 */
#include "model.h"
#include "model_past.h"

#include <string.h>

/* A guarded block lies in a block so many orders larger, as its second quarter. */
#define MODEL_GUARD_ORDERS 2u

static bool model_say(struct verdict *v, const char *monitor, const char *what, unsigned zone, pfa_pfn pfn,
                      size_t expected, size_t actual)
{
	*v = (struct verdict){ monitor, what, zone, pfn, expected, actual };
	return false;
}

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

/* ---- the maps ---------------------------------------------------------------------------------------------------- */

static bool model_init_zone(struct model *m, struct model_zone *z, const struct pfa_zone_config *c,
                            const struct pfa_zone_config *previous)
{
	const size_t pb = model_pow2(m->pageblock_order);
	const struct model_zone *before = previous ? z - 1 : NULL;

	*z = (struct model_zone){ .start = c->start, .nr = c->nr_frames, .present = c->nr_frames,
	                          .mark = { c->mark_min, c->mark_low, c->mark_high },
	                          .highatomic_frames = c->highatomic_frames };
	z->base = before ? before->base + before->nr : 0;
	z->pb_base = before ? before->pb_base + before->nr_pb : 0;
	z->pb_first = c->start / pb;
	z->nr_pb = (c->start + c->nr_frames - 1) / pb - z->pb_first + 1;
	if (c->nr_frames > MODEL_FRAMES - z->base || z->nr_pb > MODEL_PAGEBLOCKS - z->pb_base)
		return false;
	m->nr_frames = z->base + z->nr;
	memset(m->state + z->base, MODEL_FREE, z->nr);
	memset(m->owner + z->base, 0, z->nr * sizeof(m->owner[0]));
	memset(m->order + z->base, 0, z->nr);
	memset(m->doomed + z->base, 0, z->nr);
	memset(m->freed_in + z->base, 0, z->nr * sizeof(m->freed_in[0]));
	memset(m->mobile + z->base, 0, z->nr);
	if (m->history) {
		memset(m->events + z->base, 0, z->nr * sizeof(m->events[0]));
		memset(m->last + z->base, 0, z->nr * sizeof(m->last[0]));
	}
	memset(m->type + z->pb_base, PFA_TYPE_MOVABLE, z->nr_pb);
	memset(m->owned_in + z->pb_base, 0, z->nr_pb * sizeof(m->owned_in[0]));
	memset(m->fewest_in + z->pb_base, 0, z->nr_pb * sizeof(m->fewest_in[0]));
	for (size_t i = 0; i < c->nr_holes; i++) {
		memset(m->state + z->base + (c->holes[i].first - c->start), MODEL_ABSENT, c->holes[i].nr_frames);
		z->present -= c->holes[i].nr_frames;
	}
	for (size_t i = 0; i < c->nr_cma && m->has_types; i++) {
		memset(m->type + z->pb_base + (c->cma[i].first / pb - z->pb_first), PFA_TYPE_CMA,
		       c->cma[i].nr_frames / pb);
		z->present_cma += c->cma[i].nr_frames;
	}
	return true;
}

bool model_init(struct model *m, const struct pfa_config *cfg)
{
	m->nr_zones = cfg->nr_zones;
	m->max_order = cfg->max_order ? cfg->max_order : 10;
	if (cfg->max_order == PFA_EXPLICIT_0)
		m->max_order = 0;
	m->pageblock_order = cfg->pageblock_order ? cfg->pageblock_order : 9;
	m->nr_cpus = cfg->nr_cpus ? cfg->nr_cpus : 1;
	m->can_zero = cfg->pool || (cfg->platform && cfg->platform->zero);
	m->has_types = true;
	m->generation = m->births = 0;
	m->can_guard = cfg->hardening >= 3;
	m->quarantine = cfg->quarantine == PFA_EXPLICIT_0 ? 0 : cfg->quarantine ? cfg->quarantine : cfg->hardening >= 3 ? 64 : 0;
	m->cpu = 0;
	m->rests = 1;
	memset(m->frees, 0, sizeof(m->frees));
	m->history = cfg->history <= PFA_HISTORY_LIMIT ? cfg->history : 0;
	m->nr_frames = 0;
	if (m->nr_zones == 0 || m->nr_zones > MODEL_ZONES)
		return false;
	for (unsigned i = 0; i < m->nr_zones; i++)
		if (!model_init_zone(m, &m->zone[i], &cfg->zones[i], i ? &cfg->zones[i - 1] : NULL))
			return false;
	memset(m->zero, (cfg->flags & PFA_CONFIG_ZEROED_POOL) ? 1 : 0, m->nr_frames);
	return true;
}

unsigned model_zone_of(const struct model *m, pfa_pfn pfn, size_t *out_index)
{
	for (unsigned i = 0; i < m->nr_zones; i++) {
		const struct model_zone *z = &m->zone[i];
		if (pfn >= z->start && pfn - z->start < z->nr) {
			*out_index = z->base + (pfn - z->start);
			return i;
		}
	}
	*out_index = 0;
	return m->nr_zones;
}

/* Of a pfn in the zone: where the arrays have its pageblock. */
static size_t model_pageblock(const struct model *m, unsigned zone, pfa_pfn pfn)
{
	const struct model_zone *z = &m->zone[zone];
	return z->pb_base + ((pfn >> m->pageblock_order) - z->pb_first);
}

enum pfa_type model_type_of(const struct model *m, unsigned zone, pfa_pfn pfn)
{
	return (enum pfa_type)m->type[model_pageblock(m, zone, pfn)];
}

/* Is [pfn, pfn + nr) inside of one zone? */
static unsigned model_run_zone(const struct model *m, pfa_pfn pfn, size_t nr, size_t *out_index)
{
	const unsigned zone = model_zone_of(m, pfn, out_index);
	if (zone < m->nr_zones && nr > m->zone[zone].nr - (pfn - m->zone[zone].start))
		return m->nr_zones;
	return zone;
}

/* The first byte of [at, at + nr) that is not `state`, or nr. */
static size_t model_same(const unsigned char *at, size_t nr, unsigned char state)
{
	size_t i = 0;
	while (i < nr && at[i] == state)
		i++;
	return i;
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
		if (m->state[index + i] == MODEL_BAD)
			return model_say(v, "I15 bad", "a granted frame is bad", zone, pfn + i, 0, 1);
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

/* ---- ownership --------------------------------------------------------------------------------------------------- */

static uint32_t model_own(struct model *m, pfa_pfn pfn, size_t nr)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	m->generation++;
	memset(m->zero + index, 0, nr); /* the program may write there from now on */
	for (size_t i = 0; i < nr; i++)
		m->owner[index + i] = m->generation;
	m->zone[zone].owned += nr;
	for (pfa_pfn at = pfn, next; at < pfn + nr; at = next) {
		const size_t in_pb = model_pow2(m->pageblock_order), pb = model_pageblock(m, zone, at);

		next = (at / in_pb + 1) * in_pb;
		if (next > pfn + nr)
			next = pfn + nr;
		m->owned_in[pb] += (uint32_t)(next - at);
		if (m->type[pb] == PFA_TYPE_CMA)
			m->zone[zone].owned_cma += next - at;
	}
	return m->generation;
}

uint32_t model_take(struct model *m, pfa_pfn pfn, unsigned order)
{
	const size_t nr = model_pow2(order);
	size_t index;

	(void)model_zone_of(m, pfn, &index);
	memset(m->state + index, MODEL_TAIL, nr);
	m->state[index] = MODEL_HEAD;
	m->order[index] = (unsigned char)order;
	m->born[index] = ++m->births;
	model_note(m, PFA_EVENT_ALLOC, index, 1, order);
	return model_own(m, pfn, nr);
}

uint32_t model_take_guarded(struct model *m, pfa_pfn pfn, unsigned order)
{
	const size_t nr = model_pow2(order);
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	(void)model_take(m, pfn, order);
	for (unsigned above = 0; above < 2; above++) {
		const size_t at = above ? index + nr : index - 1;
		m->state[at] = MODEL_GUARD;
		m->order[at] = (unsigned char)above;
		(void)model_own(m, above ? pfn + nr : pfn - 1, 1);
		m->zone[zone].guards++;
	}
	return m->owner[index];
}

uint32_t model_take_exact(struct model *m, pfa_pfn pfn, size_t nr_frames)
{
	size_t index;

	(void)model_zone_of(m, pfn, &index);
	memset(m->state + index, MODEL_HEAD, nr_frames);
	memset(m->order + index, 0, nr_frames);
	m->births++;
	for (size_t i = 0; i < nr_frames; i++)
		m->born[index + i] = m->births;
	model_note(m, PFA_EVENT_ALLOC, index, nr_frames, 0);
	return model_own(m, pfn, nr_frames);
}

/* An un-owned frame is out of use from now on. */
static void model_bad(struct model *m, unsigned zone, pfa_pfn pfn)
{
	struct model_zone *z = &m->zone[zone];
	const size_t index = z->base + (pfn - z->start);

	m->state[index] = MODEL_BAD;
	m->doomed[index] = 0;
	z->bad++;
	z->bad_cma += model_type_of(m, zone, pfn) == PFA_TYPE_CMA;
}

static void model_release_frames(struct model *m, pfa_pfn first, size_t nr_frames)
{
	const size_t in_pb = model_pow2(m->pageblock_order);

	for (pfa_pfn pfn = first, next; pfn < first + nr_frames; pfn = next) { /* a range may cross pageblocks and zones */
		size_t index, nr;
		const unsigned zone = model_zone_of(m, pfn, &index);
		const pfa_pfn zone_end = m->zone[zone].start + m->zone[zone].nr;
		const size_t pb = model_pageblock(m, zone, pfn);

		next = (pfn / in_pb + 1) * in_pb;
		if (next > zone_end)
			next = zone_end;
		if (next > first + nr_frames)
			next = first + nr_frames;
		nr = next - pfn;
		for (size_t i = 0; i < nr; i++) {
			if (m->state[index + i] == MODEL_GUARD) { /* at once into the zone */
				m->freed_in[index + i] = 0;
				m->zone[zone].guards--;
				if (m->doomed[index + i])
					m->doomed[index + i] = 3;
			}
			if (m->state[index + i] != MODEL_HEAD)
				continue;
			model_note(m, PFA_EVENT_FREE, index + i, 1, m->order[index + i]);
			if (m->quarantine)
				model_rest(m, index + i, model_pow2(m->order[index + i]));
		}
		memset(m->state + index, MODEL_FREE, nr);
		memset(m->owner + index, 0, nr * sizeof(m->owner[0]));
		m->zone[zone].owned -= nr;
		if (m->type[pb] == PFA_TYPE_CMA)
			m->zone[zone].owned_cma -= nr;
		m->owned_in[pb] -= (uint32_t)nr;
		if (m->owned_in[pb] < m->fewest_in[pb])
			m->fewest_in[pb] = m->owned_in[pb];
		for (size_t i = 0; i < nr; i++)
			if (m->doomed[index + i]) {
				const bool rests = m->quarantine && m->doomed[index + i] == 1;
				model_bad(m, zone, pfn + i);
				m->zone[zone].fading += rests;
				m->doomed[index + i] = rests ? 2 : 0;
			}
	}
}

void model_release_range(struct model *m, pfa_pfn first, size_t nr_frames)
{
	if (first && model_guard_at(m, first - 1, 0)) {
		first--;
		nr_frames++;
	}
	nr_frames += model_guard_at(m, first + nr_frames, 1);
	model_release_frames(m, first, nr_frames);
}

int model_mark_bad(struct model *m, pfa_pfn pfn)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	if (zone == m->nr_zones || m->state[index] == MODEL_ABSENT)
		return PFA_ERANGE;
	if (m->state[index] == MODEL_HEAD || m->state[index] == MODEL_TAIL || m->state[index] == MODEL_GUARD) {
		m->doomed[index] = 1;
		return PFA_EAGAIN;
	}
	if (m->state[index] != MODEL_BAD) {
		model_bad(m, zone, pfn);
		model_note(m, PFA_EVENT_BAD, index, 1, 0);
	}
	return PFA_OK;
}

void model_release(struct model *m, pfa_pfn pfn, unsigned order)
{
	model_release_range(m, pfn, model_pow2(order));
}

void model_release_past(struct model *m, pfa_pfn pfn, unsigned order)
{
	const uint32_t cpu = m->cpu;
	size_t index;

	(void)model_zone_of(m, pfn, &index);
	for (size_t i = index; i < index + model_pow2(order); i++)
		if (m->doomed[i])
			m->doomed[i] = 3;
	m->cpu = UINT32_MAX;
	model_release(m, pfn, order);
	m->cpu = cpu;
}

void model_split(struct model *m, pfa_pfn pfn, unsigned order, unsigned new_order)
{
	size_t index;

	(void)model_zone_of(m, pfn, &index);
	m->births++;
	for (size_t i = 0; i < model_pow2(order); i += model_pow2(new_order)) {
		m->state[index + i] = MODEL_HEAD;
		m->order[index + i] = (unsigned char)new_order;
		m->born[index + i] = m->births;
	}
	model_note(m, PFA_EVENT_SPLIT, index, model_pow2(order - new_order), new_order);
}

/* ---- what a free must answer ------------------------------------------------------------------------------------- */

#define MODEL_KIND(kind) (1u << PFA_FAULT_##kind)

struct expectation model_expect_free(const struct model *m, pfa_pfn pfn, unsigned order)
{
	struct expectation e = { PFA_OK, 0 };
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	if (order > m->max_order)
		e.kinds |= MODEL_KIND(ORDER_LIMIT);
	if (order < 8 * sizeof(pfn) && pfn % model_pow2(order))
		e.kinds |= MODEL_KIND(MISALIGNED);
	if (zone == m->nr_zones) {
		e.kinds |= MODEL_KIND(OUT_OF_RANGE);
	} else {
		switch ((enum model_state)m->state[index]) {
		case MODEL_FREE: /* it may lie in a cached block, and not be its head */
			e.kinds |= MODEL_KIND(DOUBLE_FREE) | MODEL_KIND(DOUBLE_FREE_CACHED) | MODEL_KIND(TAIL);
			if (m->quarantine)
				e.kinds |= MODEL_KIND(DOUBLE_FREE_QUARANTINED);
			break;
		case MODEL_ABSENT:
			e.kinds |= MODEL_KIND(HOLE);
			break;
		case MODEL_BAD:
			e.kinds |= MODEL_KIND(BAD);
			if (m->doomed[index] == 2)
				e.kinds |= MODEL_KIND(DOUBLE_FREE_QUARANTINED) | MODEL_KIND(TAIL);
			break;
		case MODEL_TAIL:
			e.kinds |= MODEL_KIND(TAIL);
			break;
		case MODEL_GUARD:
			e.kinds |= MODEL_KIND(GUARD);
			break;
		case MODEL_HEAD:
			if (m->order[index] != order)
				e.kinds |= MODEL_KIND(WRONG_ORDER);
			break;
		}
	}
	if (e.kinds)
		e.code = PFA_EMISUSE;
	return e;
}

struct expectation model_expect_free_checked(const struct model *m, pfa_pfn pfn, unsigned order, bool right)
{
	struct expectation e = model_expect_free(m, pfn, order);
	size_t index;

	if (right && e.code == PFA_OK)
		return e;
	e.code = PFA_EMISUSE;
	if (model_zone_of(m, pfn, &index) < m->nr_zones && order <= m->max_order)
		e.kinds |= MODEL_KIND(STALE_HANDLE);
	return e;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

bool model_judge_sums(const struct model *m, unsigned zone, const struct pfa_zone_stats *s, struct verdict *v)
{
	const struct model_zone *z = &m->zone[zone];
	const size_t sum = s->free + s->free_isolated + s->cached + s->allocated + s->held_report + s->held_move +
	                   s->quarantined + s->bad;

	if (s->present != z->present)
		return model_say(v, "I6 present", "present frames", zone, z->start, z->present, s->present);
	if (sum != s->present)
		return model_say(v, "I1 conservation", "the states of a zone do not add up to its frames", zone, z->start,
		                 s->present, sum);
	if (s->allocated != z->owned)
		return model_say(v, "I6 allocated", "allocated frames", zone, z->start, z->owned, s->allocated);
	if (s->bad > z->bad || s->bad + z->fading < z->bad || (s->quarantined == 0 && s->bad != z->bad))
		return model_say(v, "I6 bad", "bad frames", zone, z->start, z->bad, s->bad);
	if (s->free + s->cached + s->quarantined != z->present - z->owned - s->bad)
		return model_say(v, "I6 free", "free, cached and quarantined frames together", zone, z->start,
		                 z->present - z->owned - s->bad, s->free + s->cached + s->quarantined);
	if (s->free_isolated || s->held_report || s->held_move || (s->quarantined && !m->quarantine))
		return model_say(v, "I1 held", "frames are held though nothing holds any", zone, z->start, 0,
		                 s->free_isolated + s->held_report + s->held_move + s->quarantined);
	const size_t unowned_cma = z->present_cma - z->owned_cma - z->bad_cma; /* the quarantine may have some of them */
	if (m->has_types && (s->free_cma > unowned_cma || s->free_cma + s->quarantined < unowned_cma))
		return model_say(v, "I6 cma", "free CMA frames", zone, z->start, z->present_cma - z->owned_cma - z->bad_cma,
		                 s->free_cma);
	if (s->free_highatomic > s->reserved_highatomic || s->free_highatomic > s->free)
		return model_say(v, "I6 highatomic", "more free in the reserve than it has", zone, z->start,
		                 s->reserved_highatomic, s->free_highatomic);
	if (s->reserved_highatomic > z->highatomic_frames)
		return model_say(v, "I6 reserve", "the reserve is larger than configured", zone, z->start,
		                 z->highatomic_frames, s->reserved_highatomic);
	return true;
}

bool model_judge_itself(const struct model *m, struct verdict *v)
{
	for (unsigned zone = 0; zone < m->nr_zones; zone++) {
		const struct model_zone *z = &m->zone[zone];
		size_t owned = 0, guards = 0;
		for (size_t i = 0; i < z->nr; i++) {
			const unsigned char state = m->state[z->base + i];
			const bool is_owned = state == MODEL_HEAD || state == MODEL_TAIL || state == MODEL_GUARD;
			owned += is_owned;
			guards += state == MODEL_GUARD;
			if (is_owned != (m->owner[z->base + i] != 0))
				return model_say(v, "harness owner", "the model's maps disagree", zone, z->start + i, state,
				                 m->owner[z->base + i]);
		}
		if (owned != z->owned || guards != z->guards)
			return model_say(v, "harness sums", "the model's counts disagree", zone, z->start, owned, z->owned);
	}
	return true;
}

bool model_set_type(struct model *m, unsigned zone, size_t pageblock, enum pfa_type type, struct verdict *v)
{
	struct model_zone *z = &m->zone[zone];
	unsigned char *now = &m->type[z->pb_base + pageblock];
	const pfa_pfn pfn = (z->pb_first + pageblock) * model_pow2(m->pageblock_order);

	const size_t fewest = m->fewest_in[z->pb_base + pageblock], half = model_pow2(m->pageblock_order) / 2;

	m->fewest_in[z->pb_base + pageblock] = m->owned_in[z->pb_base + pageblock];
	if (!m->has_types || *now == (unsigned char)type)
		return true;
	if (*now == PFA_TYPE_CMA || type == PFA_TYPE_CMA)
		return model_say(v, "I3 cma type", "a CMA pageblock changed its type, or another one became CMA", zone, pfn,
		                 *now, type);
	if (type == PFA_TYPE_HIGHATOMIC && z->highatomic_frames == 0)
		return model_say(v, "I3 reserve", "a pageblock became HIGHATOMIC in a zone without a reserve", zone, pfn,
		                 *now, type);
	if ((unsigned)type >= PFA_TYPE_CMA)
		return model_say(v, "I3 type", "a pageblock has a type that nothing gave it", zone, pfn, *now, type);
	if (fewest > half && z->highatomic_frames == 0) /* the reserve takes pageblocks that are in use, and gives them up */
		return model_say(v, "I3 steal", "a pageblock changed its type though never half of it was free", zone, pfn,
		                 half, fewest);
	*now = (unsigned char)type;
	return true;
}
