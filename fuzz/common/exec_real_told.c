/* SPDX-License-Identifier: MIT
 *
 * exec_real_told.c - the oracles of fuzz_report: which frames are marked, which must be, and where requests take from.
 */
#include "exec_real_report.h"

/* Owners and compaction take frames that the model does not see go, and so do caches. */
static void told_exactly(struct real_run *r)
{
	r->told.exact &= !r->nr_owners && r->run->setup.cfg.cache_high == PFA_EXPLICIT_0;
	for (unsigned i = 0; i < REAL_EACH; i++)
		r->told.exact &= !r->balloon[i].it && !r->zstore[i].it && !r->mapped[i].it;
}

bool real_told_look(struct real_run *r, bool all)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	struct real_told *t = &r->told;
	struct pfa_zone_stats s;
	size_t at = 0;

	told_exactly(r);
	for (unsigned i = 0; i < cfg->nr_zones; i++) {
		size_t reported = 0;
		for (size_t k = 0; k < cfg->zones[i].nr_frames; k++, at++) {
			const pfa_pfn pfn = cfg->zones[i].start + k;
			struct pfa_frame_info f;
			if (real_calls.frame_info(r->pfa, pfn, &f) != PFA_OK)
				return real_fail(r, "owners frames", "a frame cannot be asked about", pfn, 0, 1);
			reported += f.reported;
			if (f.reported && (f.state != PFA_FRAME_FREE || !t->known[at]))
				return real_fail(r, "I9 marked", "a frame is marked that is not free, or was not told since it was allocated", pfn, t->known[at],
				                 f.state);
			if (t->exact && f.state == PFA_FRAME_FREE && t->known[at] && !f.reported)
				return real_fail(r, "I9 forgotten", "a frame was told, is free since, and is not marked", pfn, 1, 0);
			if (f.reported && !told_content(r, pfn, at, all))
				return false;
			if (f.state != PFA_FRAME_FREE)
				t->known[at] = 0, t->left[at] = 0;
		}
		if (real_calls.zone_stats(r->pfa, i, &s, sizeof(s)) != PFA_OK)
			return real_fail(r, "owners code", "a zone's sums cannot be had", 0, 0, i);
		if (s.reported != reported || s.held_report)
			return real_fail(r, "I9 sums", "frames counted as marked, and as held by the reporter between two steps", cfg->zones[i].start, reported,
			                 s.held_report ? s.held_report : s.reported);
	}
	return true;
}

/* Is the unit one that must be marked, and is not? */
static bool told_misses(struct real_run *r, pfa_pfn first, size_t unit)
{
	const size_t pb = (size_t)1 << r->run->p->config.pageblock_order;
	const struct pfa_run *only = &r->told.device.only;
	enum pfa_type type = PFA_TYPES;
	size_t marked = 0;

	if (only->nr_frames && (first < only->first || first + unit > only->first + only->nr_frames))
		return false;
	for (pfa_pfn pfn = first; pfn < first + unit; pfn++) {
		struct pfa_frame_info f;
		struct pfa_pageblock_info info;
		if (real_calls.frame_info(r->pfa, pfn, &f) != PFA_OK || f.state != PFA_FRAME_FREE)
			return false;
		marked += f.reported;
		if (pfn != first && pfn % pb)
			continue;
		if (pfa_pageblock_info(r->pfa, pfn, &info) != PFA_OK || info.holder || (type != PFA_TYPES && info.type != type))
			return false;
		type = info.type;
	}
	return marked != unit;
}

bool told_complete(struct real_run *r, const char *monitor)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const size_t unit = (size_t)1 << r->told.device.min_order;
	for (unsigned i = 0; i < cfg->nr_zones; i++) {
		const pfa_pfn start = cfg->zones[i].start, end = start + cfg->zones[i].nr_frames;
		for (pfa_pfn at = (start + unit - 1) & ~(pfa_pfn)(unit - 1); at < end && unit <= end - at; at += unit)
			if (told_misses(r, at, unit))
				return real_fail(r, monitor, "a unit is free, and the device was not told of it", at, unit, 0);
	}
	return true;
}

/* ---- where requests take from ------------------------------------------------------------------------------------------ */

/* A block of a pageblock that was wholly told: then none of its zone and type is entirely free and is not. */
static bool told_order_of_use(struct real_run *r, pfa_pfn pfn, unsigned order)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const size_t size = (size_t)1 << r->run->p->config.pageblock_order;
	const unsigned zone = told_zone(r, pfn, 1);
	struct pfa_pageblock_info info;

	if (zone == cfg->nr_zones)
		return true;
	const struct pfa_zone_config *z = &cfg->zones[zone];
	const pfa_pfn block = pfn & ~(pfa_pfn)(size - 1), end = z->start + z->nr_frames;
	if (!r->told.exact || order > r->run->p->config.pageblock_order || block < z->start || size > end - block || z->nr_cma || z->highatomic_frames ||
	    !told_whole(r, block, size))
		return true;
	for (pfa_pfn at = (z->start + size - 1) & ~(pfa_pfn)(size - 1); at < end && size <= end - at; at += size)
		if (at != block && !told_whole(r, at, size) && pfa_pageblock_info(r->pfa, at, &info) == PFA_OK && info.free == size && !info.holder)
			return real_fail(r, "I9 order", "a told pageblock is taken from, and another one is free and was not told", pfn, at, block);
	return true;
}

bool told_judge_zero(struct real_run *r, pfa_pfn pfn, unsigned order, uint32_t flags)
{
	const size_t bytes = (size_t)1 << (r->run->setup.cfg.frame_shift + order);
	void *at;
	if (r->run->o->tells && (flags & PFA_ZERO) && r->addresses && pfa_ptr(r->pfa, pfn, &at) == PFA_OK)
		for (size_t i = 0; i < bytes; i++)
			if (((unsigned char *)at)[i])
				return real_fail(r, "I9 zero", "a block that was asked for as zero is not", pfn, 0, ((unsigned char *)at)[i]);
	return true;
}

bool told_judge_grant(struct real_run *r, pfa_pfn pfn, unsigned order, uint32_t flags)
{
	return told_judge_zero(r, pfn, order, flags) && (!r->run->o->tells || (flags & PFA_COMPACT) || told_order_of_use(r, pfn, order));
}
