/* SPDX-License-Identifier: MIT
 *
 * model.c - see model.h: the maps, ownership, and what a free must answer; model_request.c judges requests. Slow and obvious on
 * purpose; shares no code with the library.
 */
#include "model_internal.h"
#include "model_past.h"

#include <string.h>

bool model_say(struct verdict *v, const char *monitor, const char *what, unsigned zone, pfa_pfn pfn,
                      size_t expected, size_t actual)
{
	*v = (struct verdict){ monitor, what, zone, pfn, expected, actual };
	return false;
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
	memset(m->held + z->pb_base, 0, z->nr_pb * sizeof(m->held[0]));
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
		if (m->nr_areas < MODEL_ZONES)
			m->area[m->nr_areas++] = (struct model_area){ .live = true, .configured = true, .zone = (unsigned)(z - m->zone), .run = c->cma[i] };
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
	m->nr_areas = 0;
	if (m->nr_zones == 0 || m->nr_zones > MODEL_ZONES)
		return false;
	for (unsigned i = 0; i < m->nr_zones; i++)
		if (!model_init_zone(m, &m->zone[i], &cfg->zones[i], i ? &cfg->zones[i - 1] : NULL))
			return false;
	for (unsigned i = 0; i < 8; i++)
		m->area[m->nr_areas++] = (struct model_area){ .live = false };
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

size_t model_pageblock(const struct model *m, unsigned zone, pfa_pfn pfn)
{
	const struct model_zone *z = &m->zone[zone];
	return z->pb_base + ((pfn >> m->pageblock_order) - z->pb_first);
}

enum pfa_type model_type_of(const struct model *m, unsigned zone, pfa_pfn pfn)
{
	const size_t pb = model_pageblock(m, zone, pfn);
	return m->held[pb] ? PFA_TYPE_ISOLATE : (enum pfa_type)m->type[pb];
}

unsigned model_run_zone(const struct model *m, pfa_pfn pfn, size_t nr, size_t *out_index)
{
	const unsigned zone = model_zone_of(m, pfn, out_index);
	if (zone < m->nr_zones && nr > m->zone[zone].nr - (pfn - m->zone[zone].start))
		return m->nr_zones;
	return zone;
}

size_t model_same(const unsigned char *at, size_t nr, unsigned char state)
{
	size_t i = 0;
	while (i < nr && at[i] == state)
		i++;
	return i;
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

void model_bad(struct model *m, unsigned zone, pfa_pfn pfn)
{
	struct model_zone *z = &m->zone[zone];
	const size_t index = z->base + (pfn - z->start);

	m->state[index] = MODEL_BAD;
	m->doomed[index] = 0;
	z->bad++;
	z->bad_cma += m->type[model_pageblock(m, zone, pfn)] == PFA_TYPE_CMA;
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

	if (zone == m->nr_zones || m->state[index] == MODEL_ABSENT || m->state[index] == MODEL_OFFLINE)
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
		case MODEL_OFFLINE:
			e.kinds |= MODEL_KIND(OFFLINE);
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
	size_t isolated_cma;
	const size_t isolated = model_isolated(m, zone, &isolated_cma);
	if (s->free_isolated != isolated)
		return model_say(v, "I4 free_isolated", "free frames of held pageblocks", zone, z->start, isolated, s->free_isolated);
	const size_t rest = z->present - z->owned - s->bad - isolated;
	if (s->free + s->cached + s->quarantined != rest)
		return model_say(v, "I6 free", "free, cached and quarantined frames together", zone, z->start, rest,
		                 s->free + s->cached + s->quarantined);
	if (s->held_report || s->held_move || (s->quarantined && !m->quarantine))
		return model_say(v, "I1 held", "frames are held though nothing holds any", zone, z->start, 0,
		                 s->held_report + s->held_move + s->quarantined);
	/* the quarantine may have some of them */
	const size_t unowned_cma = z->present_cma - z->owned_cma - z->bad_cma - isolated_cma;
	if (m->has_types && (s->free_cma > unowned_cma || s->free_cma + s->quarantined < unowned_cma))
		return model_say(v, "I6 cma", "free CMA frames", zone, z->start, unowned_cma, s->free_cma);
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
		size_t owned = 0, guards = 0, present_cma = 0, owned_cma = 0;
		for (size_t i = 0; i < z->nr; i++) {
			const unsigned char state = m->state[z->base + i];
			const bool is_owned = state == MODEL_HEAD || state == MODEL_TAIL || state == MODEL_GUARD;
			owned += is_owned;
			guards += state == MODEL_GUARD;
			const bool cma = m->type[model_pageblock(m, zone, z->start + i)] == PFA_TYPE_CMA;
			present_cma += cma && state != MODEL_ABSENT && state != MODEL_OFFLINE;
			owned_cma += cma && is_owned;
			if (is_owned != (m->owner[z->base + i] != 0))
				return model_say(v, "harness owner", "the model's maps disagree", zone, z->start + i, state,
				                 m->owner[z->base + i]);
		}
		if (present_cma != z->present_cma || owned_cma != z->owned_cma)
			return model_say(v, "harness sums", "the model's counts of CMA frames disagree", zone, z->start, owned_cma, z->owned_cma);
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
