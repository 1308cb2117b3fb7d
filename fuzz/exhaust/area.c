/* SPDX-License-Identifier: MIT
 *
 * area.c - the CMA area (exhaust.h): what it grants and takes back. What it lends are requests like all others.
 */
#include "exhaust.h"

#include <string.h>

unsigned ex_area_unit(const struct ex_machine *m)
{
	unsigned k = 0;

	while (k < 8 && !(m->alphabet.cma >> k & 1))
		k++;
	return k;
}

bool ex_area_find(struct ex_machine *m)
{
	const struct prog_config *c = &m->p->config;

	for (unsigned i = 0; i < c->nr_zones; i++) {
		if (!c->zones[i].cma.nr)
			continue;
		if (m->area || pfa_cma_find(m->pfa, c->zones[i].cma.start, &m->area) != PFA_OK || !m->area)
			return false;
		m->area_first = c->zones[i].cma.start - (unsigned)m->base;
		m->area_end = m->area_first + c->zones[i].cma.nr;
	}
	return !m->area == !m->alphabet.cma;
}

unsigned ex_area_piece(const struct ex_machine *m, unsigned at)
{
	unsigned nr = 1;

	while (at + nr < m->area_end && ex_is_run(m->w.frame[at + nr]) && m->w.frame[at + nr] != EX_RUN)
		nr++;
	return nr;
}

/* Is a run of so many frames free, with the pageblocks that it is in? */
static bool area_has(const struct ex_machine *m, unsigned nr, unsigned align)
{
	for (unsigned at = m->area_first; at + nr <= m->area_end; at += align)
		if (ex_free(m, at, nr, m->zone_of[m->area_first]))
			return true;
	return false;
}

bool ex_apply_cma_alloc(struct ex_machine *m, struct ex_op op)
{
	const unsigned unit = 1u << ex_area_unit(m);
	const bool must = area_has(m, op.nr, unit);
	pfa_pfn pfn = 0;

	m->code = pfa_cma_alloc(m->pfa, m->area, op.nr, unit, 0, &pfn);
	if (m->code == PFA_ENOMEM || (m->code == PFA_EBUSY && m->w.nr_holds))
		return !must || ex_broken(m, "I11 a run of the area is free, and is not found", 0, op.nr);
	if (m->code != PFA_OK)
		return ex_broken(m, "the code of pfa_cma_alloc()", 0, (size_t)(unsigned)-m->code);
	const unsigned at = (unsigned)(pfn - m->base);
	if (pfn - m->base >= m->area_end || at < m->area_first || op.nr > m->area_end - at || pfn % unit)
		return ex_broken(m, "I15 a run is outside of its area, or not aligned", 0, (size_t)pfn);
	if (!ex_free(m, at, op.nr, m->zone_of[at]))
		return ex_broken(m, "I15 a run is somebody's, or isolated", 0, (size_t)pfn);
	memset(m->w.frame + at, EX_RUN_INSIDE, op.nr);
	for (unsigned i = 0; i < op.nr; i += unit)
		m->w.frame[at + i] = i ? EX_RUN_UNIT : EX_RUN;
	m->granted = at;
	return true;
}

bool ex_apply_cma_release(struct ex_machine *m, struct ex_op op)
{
	const unsigned behind = op.at + op.nr;

	m->code = pfa_cma_release(m->pfa, m->area, m->base + op.at, op.nr);
	if (m->code != PFA_OK)
		return ex_broken(m, "a legal release is refused", 0, (size_t)(unsigned)-m->code);
	memset(m->w.frame + op.at, EX_NOBODY, op.nr);
	if (behind < m->area_end && m->w.frame[behind] == EX_RUN_UNIT) /* the rest of the same grant */
		m->w.frame[behind] = EX_RUN;
	return true;
}

bool ex_judge_area(struct ex_machine *m)
{
	struct pfa_cma_stats s = { .size = sizeof(s) };
	size_t granted = 0, nobodys = 0;

	if (!m->area)
		return true;
	for (unsigned at = m->area_first; at < m->area_end; at++) {
		granted += ex_is_run(m->w.frame[at]);
		nobodys += m->w.frame[at] == EX_NOBODY;
	}
	if (pfa_cma_stats(m->pfa, m->area, &s) != PFA_OK)
		return ex_broken(m, "pfa_cma_stats() fails", 0, 1);
	if (s.granted != granted)
		return ex_broken(m, "I4 frames that the area granted", granted, s.granted);
	return s.free == nobodys || ex_broken(m, "I4 frames of the area that are free", nobodys, s.free);
}
