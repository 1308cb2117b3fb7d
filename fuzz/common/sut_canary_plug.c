/* SPDX-License-Identifier: MIT
 *
 * sut_canary_plug.c - the canaries of memory that comes and goes, and of CMA areas.
 */
#include "sut_canary_parts.h"

static pfa_pfn canary_gone;   /* the first frame of the range that went offline last, */
static bool canary_has_gone;  /* if one did */
static pfa_cma canary_area;   /* the area that was made last */

void canary_plug_begin(void)
{
	canary_has_gone = false;
	canary_area = 0;
}

void canary_plug_spoil(unsigned order, pfa_pfn *out)
{
	if (canary_which == SUT_CANARY_PLUG_OFFERS && order == 0 && canary_has_gone)
		*out = canary_gone;
}

void canary_plug_lies(struct pfa_zone_stats *zone, struct pfa_frame_info *frame)
{
	if (zone && canary_which == SUT_CANARY_PLUG_PRESENT)
		zone->present += zone->offline;
	if (frame && canary_which == SUT_CANARY_PLUG_ZERO && frame->state == PFA_FRAME_OFFLINE)
		frame->known_zero = true;
}

/* ---- ranges -------------------------------------------------------------------------------------------------------- */

static int canary_offline_range(struct sut *s, pfa_pfn start, size_t nr_frames, uint32_t flags, struct pfa_blocker *why)
{
	struct pfa_frame_info f;

	if (canary_which == SUT_CANARY_PLUG_REFUSED && nr_frames - 1 < 64) {
		if (why)
			*why = (struct pfa_blocker){ PFA_BLOCKER_UNMOVABLE, start };
		return PFA_EBUSY;
	}
	int code = sut_pfa.offline_range(s, start, nr_frames, flags, why);
	if (code == PFA_OK && canary_which == SUT_CANARY_PLUG_NOTHING && sut_pfa.online_range(s, start, nr_frames, NULL) == PFA_ECORRUPT)
		return PFA_ECORRUPT;
	if (code == PFA_OK && sut_pfa.frame_info(s, start, &f) == PFA_OK && f.state == PFA_FRAME_OFFLINE) {
		canary_gone = start;
		canary_has_gone = true;
	}
	if (code == PFA_EBUSY && canary_which == SUT_CANARY_PLUG_BLOCKER && why)
		why->pfn++;
	if (code == PFA_EBUSY && canary_which == SUT_CANARY_PLUG_SAID) {
		if (why)
			why->reason = PFA_BLOCKER_NONE;
		code = PFA_OK;
	}
	return code;
}

static int canary_online_range(struct sut *s, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	const int code = sut_pfa.online_range(s, start, nr_frames, why);

	canary_has_gone = canary_has_gone && (code != PFA_OK || canary_gone - start >= nr_frames);
	return code;
}

/* Removes also what is present, if it can be had. */
static int canary_remove_range(struct sut *s, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	int code = sut_pfa.remove_range(s, start, nr_frames, why);

	if (canary_which == SUT_CANARY_PLUG_REMOVES && code == PFA_EBUSY && sut_pfa.offline_range(s, start, nr_frames, PFA_TAKE_BAD, NULL) == PFA_OK)
		code = sut_pfa.remove_range(s, start, nr_frames, why);
	return code;
}

/* ---- areas --------------------------------------------------------------------------------------------------------- */

static int canary_cma_create(struct sut *s, pfa_pfn start, size_t nr_frames, uint32_t flags, pfa_cma *out, struct pfa_blocker *why)
{
	const pfa_cma last = canary_area;
	const int code = sut_pfa.cma_create(s, start, nr_frames, flags, out, why);

	if (code == PFA_OK)
		canary_area = *out;
	if (code == PFA_OK && last && canary_which == SUT_CANARY_AREA_HANDLE)
		*out = last;
	return code;
}

static int canary_cma_destroy(struct sut *s, pfa_cma area)
{
	struct pfa_cma_stats stats = { .size = sizeof(stats) };

	if (canary_which == SUT_CANARY_AREA_STAYS && sut_pfa.cma_stats(s, area, &stats) == PFA_OK && !stats.granted && !stats.held_pageblocks)
		return PFA_OK;
	return sut_pfa.cma_destroy(s, area);
}

static int canary_cma_find(struct sut *s, pfa_pfn pfn, pfa_cma *out)
{
	const int code = sut_pfa.cma_find(s, pfn, out);

	if (code == PFA_OK && canary_which == SUT_CANARY_AREA_FOUND && canary_area)
		++*out;
	return code;
}

static int canary_cma_alloc(struct sut *s, pfa_cma area, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	struct pfa_cma_stats stats = { .size = sizeof(stats) };

	if (nr_frames - 1 < 64 && !(flags & PFA_ZERO) && sut_pfa.cma_stats(s, area, &stats) == PFA_OK && !stats.held_pageblocks) {
		if (canary_which == SUT_CANARY_AREA_FAILS)
			return PFA_ENOMEM;
		if (canary_which == SUT_CANARY_AREA_OUTSIDE)
			return sut_pfa.alloc_contig(s, nr_frames, align_frames, flags, out);
	}
	return sut_pfa.cma_alloc(s, area, nr_frames, align_frames, flags, out);
}

static int canary_cma_release(struct sut *s, pfa_cma area, pfa_pfn start, size_t nr_frames)
{
	const int code = sut_pfa.cma_release(s, area, start, nr_frames);

	return code == PFA_EINVAL && canary_which == SUT_CANARY_AREA_RELEASE ? PFA_OK : code;
}

static int canary_cma_stats(struct sut *s, pfa_cma area, struct pfa_cma_stats *out)
{
	const int code = sut_pfa.cma_stats(s, area, out);

	if (code == PFA_OK && canary_which == SUT_CANARY_AREA_COUNTS)
		out->granted++;
	return code;
}

void canary_plug_ops(struct sut_ops *ops)
{
	ops->offline_range = canary_offline_range;
	ops->online_range = canary_online_range;
	ops->remove_range = canary_remove_range;
	ops->cma_create = canary_cma_create;
	ops->cma_destroy = canary_cma_destroy;
	ops->cma_find = canary_cma_find;
	ops->cma_alloc = canary_cma_alloc;
	ops->cma_release = canary_cma_release;
	ops->cma_stats = canary_cma_stats;
}
