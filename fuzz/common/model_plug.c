/* SPDX-License-Identifier: MIT
 *
 * model_plug.c - see model_plug.h.
 */
#include "model_plug.h"
#include "model_internal.h"

/* ---- frames that come and go --------------------------------------------------------------------------------------- */

/* What offlining passes over. */
static unsigned plug_passed(uint32_t flags)
{
	return 1u << MODEL_ABSENT | 1u << MODEL_OFFLINE | (flags & PFA_TAKE_BAD ? 1u << MODEL_BAD : 0u);
}

/* Of one zone, and does any frame exist? */
static struct model_answer plug_bounds(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	const struct model_answer a = model_expect_bounds(m, start, end);

	if (a.code == PFA_OK && model_first(m, a.zone, start, end, 1u << MODEL_ABSENT, false) == end)
		return model_blocked(a.zone, PFA_ERANGE, PFA_BLOCKER_RANGE, start);
	return a;
}

struct model_answer model_expect_offline(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	const struct model_answer a = plug_bounds(m, start, end);

	return a.code == PFA_OK ? model_expect_emptied(m, a.zone, start, end, flags, plug_passed(flags)) : a;
}

struct model_answer model_expect_offline_left(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	const unsigned zone = model_expect_bounds(m, start, end).zone, passed = plug_passed(flags);
	struct model_answer a = model_blocked(zone, PFA_OK, PFA_BLOCKER_NONE, start);

	for (pfa_pfn at = model_first(m, zone, start, end, passed, false); at < end && a.code == PFA_OK;) {
		const pfa_pfn stop = model_first(m, zone, at, end, passed, true);
		a = model_expect_left(m, mm, at, stop);
		at = model_first(m, zone, stop, end, passed, false);
	}
	return a;
}

struct model_answer model_expect_online(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	const struct model_answer a = plug_bounds(m, start, end);

	return a.code == PFA_OK ? model_holders(m, a.zone, start, end, true) : a;
}

/* All of it must be in one of these states. */
static struct model_answer plug_only(const struct model *m, struct model_answer a, pfa_pfn start, pfa_pfn end, unsigned states)
{
	if (a.code == PFA_OK)
		a = model_holders(m, a.zone, start, end, true);
	if (a.code == PFA_OK) {
		const pfa_pfn first = model_first(m, a.zone, start, end, states, false);
		if (first < end)
			return model_blocked(a.zone, PFA_EBUSY, PFA_BLOCKER_PRESENT, first);
	}
	return a;
}

struct model_answer model_expect_add(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	return plug_only(m, model_expect_bounds(m, start, end), start, end, 1u << MODEL_ABSENT);
}

struct model_answer model_expect_remove(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	return plug_only(m, plug_bounds(m, start, end), start, end, 1u << MODEL_ABSENT | 1u << MODEL_OFFLINE);
}

bool model_offline(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, pfa_pfn *pfn)
{
	struct model_zone *z = &m->zone[zone];

	for (*pfn = start; *pfn < end; ++*pfn) {
		const size_t index = z->base + (*pfn - z->start);
		const bool cma = m->type[model_pageblock(m, zone, *pfn)] == PFA_TYPE_CMA, bad = m->state[index] == MODEL_BAD;
		if (m->state[index] == MODEL_ABSENT || m->state[index] == MODEL_OFFLINE)
			continue;
		if (m->state[index] != MODEL_FREE && !bad)
			return false;
		z->fading -= m->doomed[index] == 2;
		z->bad -= bad;
		z->bad_cma -= bad && cma;
		z->present--;
		z->present_cma -= cma;
		m->state[index] = MODEL_OFFLINE;
		m->doomed[index] = bad;
		m->zero[index] = 0;
		m->freed_in[index] = 0;
	}
	return true;
}

void model_online(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end)
{
	struct model_zone *z = &m->zone[zone];

	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const size_t index = z->base + (pfn - z->start);
		if (m->state[index] != MODEL_OFFLINE)
			continue;
		z->present++;
		z->present_cma += m->type[model_pageblock(m, zone, pfn)] == PFA_TYPE_CMA;
		m->state[index] = MODEL_FREE;
		if (m->doomed[index])
			model_bad(m, zone, pfn);
	}
}

void model_change(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, enum model_state from, enum model_state to)
{
	const struct model_zone *z = &m->zone[zone];

	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const size_t index = z->base + (pfn - z->start);
		if (m->state[index] != (unsigned char)from)
			continue;
		m->state[index] = (unsigned char)to;
		m->doomed[index] = 0;
	}
}

/* ---- areas --------------------------------------------------------------------------------------------------------- */

static bool area_overlaps(const struct model *m, pfa_pfn start, pfa_pfn end)
{
	for (unsigned i = 0; i < m->nr_areas; i++)
		if (m->area[i].live && m->area[i].run.first < end && start < m->area[i].run.first + m->area[i].run.nr_frames)
			return true;
	return false;
}

static unsigned area_place(const struct model *m)
{
	unsigned i = 0;

	while (i < m->nr_areas && m->area[i].live)
		i++;
	return i;
}

struct model_answer model_expect_area(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end, uint32_t flags,
                                      bool *holds)
{
	struct model_answer a = model_expect_bounds(m, start, end);

	*holds = false;
	if (a.code == PFA_EINVAL || ((start | end) & (model_pow2(m->pageblock_order) - 1)))
		return model_blocked(a.zone, PFA_EINVAL, PFA_BLOCKER_NONE, start);
	if (a.code != PFA_OK)
		return a;
	if (area_place(m) == m->nr_areas)
		return model_blocked(a.zone, PFA_ENOMEM, PFA_BLOCKER_NONE, start);
	a = model_holders(m, a.zone, start, end, true);
	if (a.code != PFA_OK)
		return a;
	if (area_overlaps(m, start, end))
		return model_blocked(a.zone, PFA_EBUSY, PFA_BLOCKER_TYPE, start);
	*holds = true;
	const unsigned zone = a.zone;
	for (pfa_pfn at = start, next; at < end; at = next) {
		a = model_look(m, zone, at, model_fixed(flags), &next);
		a.loose = false; /* caches and quarantines were emptied before */
		if (a.code != PFA_OK)
			return a;
	}
	return model_expect_left(m, mm, start, end);
}

/* The pageblocks of the run are of this type. */
static void area_retype(struct model *m, unsigned zone, struct pfa_run run, enum pfa_type type)
{
	struct model_zone *z = &m->zone[zone];

	for (pfa_pfn at = run.first; at < run.first + run.nr_frames; at++) {
		const size_t index = z->base + (at - z->start), pb = model_pageblock(m, zone, at);
		const unsigned char state = m->state[index];
		const size_t present = state != MODEL_ABSENT && state != MODEL_OFFLINE, bad = state == MODEL_BAD;
		if (type == PFA_TYPE_CMA) {
			z->present_cma += present;
			z->bad_cma += bad;
			z->owned_cma += m->owner[index] != 0;
		} else {
			z->present_cma -= present;
			z->bad_cma -= bad;
			z->owned_cma -= m->owner[index] != 0;
		}
		m->type[pb] = (unsigned char)type;
	}
}

struct model_area *model_area_begin(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t handle)
{
	struct model_area *area = &m->area[area_place(m)];

	*area = (struct model_area){ .live = true, .zone = zone, .run = { start, end - start }, .handle = handle };
	area_retype(m, zone, area->run, PFA_TYPE_CMA);
	return area;
}

void model_area_end(struct model *m, struct model_area *area)
{
	area->live = false;
	area_retype(m, area->zone, area->run, PFA_TYPE_MOVABLE);
}

struct model_area *model_area_at(struct model *m, pfa_pfn pfn)
{
	for (unsigned i = 0; i < m->nr_areas; i++)
		if (m->area[i].live && pfn - m->area[i].run.first < m->area[i].run.nr_frames)
			return &m->area[i];
	return NULL;
}

struct model_area *model_area_of(struct model *m, uint32_t handle)
{
	for (unsigned i = 0; i < m->nr_areas; i++)
		if (m->area[i].live && m->area[i].handle == handle)
			return &m->area[i];
	return NULL;
}

struct model_answer model_expect_area_end(const struct model *m, const struct model_area *area)
{
	if (!area)
		return model_blocked(m->nr_zones, PFA_EINVAL, PFA_BLOCKER_NONE, 0);
	if (area->granted)
		return model_blocked(area->zone, PFA_EBUSY, PFA_BLOCKER_NONE, area->run.first);
	return model_holders(m, area->zone, area->run.first, area->run.first + area->run.nr_frames, true);
}

bool model_area_held(const struct model *m, const struct model_area *area)
{
	return model_holders(m, area->zone, area->run.first, area->run.first + area->run.nr_frames, true).code != PFA_OK;
}

/* The first frame of [at, at + nr) that will be bad once its block has moved; at + nr: none will. */
static pfa_pfn area_doomed(const struct model *m, const struct model_area *area, pfa_pfn at, size_t nr)
{
	const struct model_zone *z = &m->zone[area->zone];
	pfa_pfn end = at + nr;

	while (at < end && !m->doomed[z->base + (at - z->start)])
		at++;
	return at;
}

bool model_area_has_run(const struct model *m, const struct model_movables *mm, const struct model_area *area, size_t nr, size_t align,
                        uint32_t flags)
{
	const pfa_pfn end = area->run.first + area->run.nr_frames;

	for (pfa_pfn at = area->run.first;; at++) {
		at = (at + (align - 1)) & ~(pfa_pfn)(align - 1);
		if (at < area->run.first || at >= end || nr > end - at)
			return false;
		struct model_answer a = model_expect_contig(m, at, at + nr, flags | PFA_CMA);
		if (a.code == PFA_OK && !a.loose)
			a = model_expect_left(m, mm, at, at + nr);
		if (a.code == PFA_OK && !a.loose) {
			const pfa_pfn doomed = area_doomed(m, area, at, nr);
			if (doomed == at + nr)
				return true;
			a.why.pfn = doomed;
		}
		if (a.why.pfn > at && a.why.reason != PFA_BLOCKER_HELD && !a.loose)
			at = a.why.pfn;
	}
}

struct expectation model_expect_cma_release(const struct model *m, const struct model_area *area, pfa_pfn start, size_t nr)
{
	if (!area || !nr || start - area->run.first >= area->run.nr_frames || nr > area->run.nr_frames - (start - area->run.first))
		return (struct expectation){ PFA_EINVAL, 0 };
	if (nr > area->granted)
		return (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_MIXED_RANGE };
	return model_expect_range(m, start, nr);
}
