/* SPDX-License-Identifier: MIT
 *
 * exec_contig_judge.c - what calls of pfa/contig.h leave as it was: see exec_contig.h.
 */
#include "exec_contig.h"

/* First and end of the pageblocks of the zone that are looked at around a range. */
static void contig_around(const struct exec_run *run, unsigned zone, pfa_pfn *start, pfa_pfn *end)
{
	const struct model_zone *z = &run->m.zone[zone];
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	pfa_pfn first = *start / pb * pb, last = (*end + pb - 1) / pb * pb + pb;

	first = first > pb ? first - pb : 0;
	*start = first > z->start ? first : z->start;
	*end = last < z->start + z->nr ? last : z->start + z->nr;
	if (*end > *start && *end - *start > 4096) /* of long ranges one end */
		*start = run->step.index % 2 ? *end - 4096 : *start, *end = *start + 4096;
}

bool exec_contig_judge_around(struct exec_run *run, unsigned zone, pfa_pfn start, pfa_pfn end)
{
	const struct model_zone *z = &run->m.zone[zone];
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	struct pfa_pageblock_info info;
	struct pfa_frame_info f;

	contig_around(run, zone, &start, &end);
	exec_touch(run, start, end - start);
	for (pfa_pfn at = start; at < end && run->ops->pageblock_info; at = (at / pb + 1) * pb) {
		const uint32_t held = run->m.held[z->pb_base + (at / pb - z->pb_first)];
		if (run->ops->pageblock_info(run->sut, at, &info) != PFA_OK || info.holder != held)
			return exec_fail(run, "I4 holder", "a pageblock has another holder", at, held, info.holder);
	}
	for (pfa_pfn at = start; at < end && run->ops->frame_info; at++)
		if (run->ops->frame_info(run->sut, at, &f) != PFA_OK || !exec_judge_frame(run, at, &f))
			return run->r->outcome != EXEC_FINE ? false : exec_fail(run, "model code", "frame_info of a frame fails", at, 0, 1);
	return exec_refresh_types(run, start, end) && exec_verify_all_stamps(run);
}

bool exec_contig_count(struct exec_run *run, pfa_pfn start, pfa_pfn end, struct contig_census *census)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	struct pfa_pageblock_info info;

	census->nr = 0;
	if (!run->ops->pageblock_info || run->any_highatomic) /* the reserve takes pageblocks, and gives them up, meanwhile */
		return true;
	if (!exec_refresh_types(run, start, end)) /* what is least free of each is counted from now on */
		return false;
	for (pfa_pfn at = start; at < end && census->nr < CONTIG_CENSUS; at = (at / pb + 1) * pb) {
		if (run->ops->pageblock_info(run->sut, at, &info) != PFA_OK)
			return exec_fail(run, "model code", "pageblock_info of a pfn in a zone fails", at, 0, 1);
		census->at[census->nr] = at;
		census->type[census->nr++] = info.type;
	}
	return true;
}

bool exec_contig_judge_census(struct exec_run *run, unsigned zone, const struct contig_census *census)
{
	struct pfa_pageblock_info info;
	struct verdict v;

	for (size_t i = 0; i < census->nr; i++)
		if (run->ops->pageblock_info(run->sut, census->at[i], &info) != PFA_OK ||
		    !model_judge_census(&run->m, zone, census->at[i], census->type[i], info.type, &v))
			return exec_say(run, &v);
	return true;
}
