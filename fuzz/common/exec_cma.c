/* SPDX-License-Identifier: MIT
 *
 * exec_cma.c - CMA areas: what is granted of them, what they lend, and what they count.
 */
#include "exec_plug.h"

/* ---- areas --------------------------------------------------------------------------------------------------------- */

bool exec_cma_begin(struct exec_run *run)
{
	for (unsigned i = 0; i < run->m.nr_areas && run->ops->cma_find; i++) {
		struct model_area *area = &run->m.area[i];
		int code = PFA_OK;
		if (area->live)
			EXEC_CALL(run, code, run->ops->cma_find(run->sut, area->run.first, &area->handle));
		if (code != PFA_OK || (area->live && !area->handle))
			return exec_fail(run, "model code", "an area of the configuration is not found", area->run.first, 0, (size_t)(unsigned)-code);
	}
	return true;
}

/* A new area's handle is nobody else's. */
static bool cma_is_new(struct exec_run *run, uint32_t handle, pfa_pfn start)
{
	if (!handle || handle == exec_mov.stale_area || model_area_of(&run->m, handle))
		return exec_fail(run, "I4 area", "a handle of an area was given before", start, 0, handle);
	return true;
}

/* No room for another area: nothing is in the way, and no handle is given. */
static bool cma_judge_no_room(struct exec_run *run, pfa_pfn start, int code, bool given, const struct pfa_blocker *why)
{
	run->must_be_unchanged = true;
	if (!exec_expect_code(run, PFA_ENOMEM, code))
		return false;
	if (given)
		return exec_fail(run, "contract out", "a handle is given, and there is no room for an area", start, 0, 1);
	return !why || why->reason == PFA_BLOCKER_NONE ||
	       exec_fail(run, "I11 blocker", "something is in the way where there is no room for another area", start, PFA_BLOCKER_NONE, why->reason);
}

bool exec_cma_create(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits)
{
	const uint32_t flags = (bits & 1 ? PFA_NOMIGRATE : 0) | (bits & 2 ? PFA_NOWAIT : 0);
	struct exec_contig c = { .ranged = true, .start = start, .end = end, .fixed = flags != 0 };
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS }, *out_why = bits & 16 ? NULL : &why;
	struct contig_census census = { .nr = 0 };
	const pfa_cma untouched = 0x5AA5F00Du;
	pfa_cma handle = untouched;
	size_t index;
	int code;

	if (run->p->config.abort_policy && run->nr_poked)
		return exec_skip(run);
	struct model_answer a = model_expect_area(&run->m, &exec_mov.mm, start, end, flags, &c.held);
	if (c.held && !exec_contig_count(run, start, end, &census))
		return false;
	if (c.held)
		model_hold(&run->m, a.zone, start, end, MODEL_HELD_NOW);
	exec_contig_before(run, &c);
	EXEC_CALL(run, code, run->ops->cma_create(run->sut, start, end - start, flags, &handle, out_why));
	if (c.held)
		model_hold(&run->m, a.zone, start, end, 0);
	if (!exec_contig_after(run, &c))
		return false;
	exec_contig_outcome(&c, &a);
	if (a.code == PFA_ENOMEM && a.why.reason == PFA_BLOCKER_NONE && !c.nr)
		return cma_judge_no_room(run, start, code, handle != untouched, out_why);
	if (!exec_contig_judge(run, &c, &a, code, out_why))
		return false;
	if ((handle != untouched) != (code == PFA_OK))
		return exec_fail(run, "contract out", "a handle is given if and only if there is an area", start, code == PFA_OK, handle);
	if (a.zone == run->m.nr_zones || start >= end)
		return true;
	run->r->refusals += code != PFA_OK;
	if (code != PFA_OK)
		return exec_contig_judge_census(run, a.zone, &census) && exec_contig_judge_around(run, a.zone, start, end);
	for (pfa_pfn at = start; at < end; at++)
		if (model_zone_of(&run->m, at, &index) == run->m.nr_zones || run->m.state[index] != MODEL_FREE)
			return exec_fail(run, "I11 result", "an area begins with a frame that is in use", at, MODEL_FREE, run->m.state[index]);
	if (!cma_is_new(run, handle, start))
		return false;
	(void)model_area_begin(&run->m, a.zone, start, end, handle);
	return exec_contig_judge_around(run, a.zone, start, end);
}

bool exec_cma_destroy(struct exec_run *run, uint32_t handle)
{
	struct model_area *area = model_area_of(&run->m, handle);
	const struct model_answer a = model_expect_area_end(&run->m, area);
	struct exec_contig c = { .ranged = true, .fixed = true };
	int code;

	if (area) {
		c.start = area->run.first;
		c.end = c.start + area->run.nr_frames;
	}
	exec_contig_before(run, &c);
	EXEC_CALL(run, code, run->ops->cma_destroy(run->sut, handle));
	if (!exec_contig_after(run, &c) || !exec_expect_code(run, a.code, code))
		return false;
	run->must_be_unchanged = code == PFA_EINVAL || (area && area->granted);
	if (code != PFA_OK)
		return true;
	run->step.has_pfn = true;
	run->step.pfn = c.start;
	run->step.nr_frames = c.end - c.start;
	exec_mov.stale_area = handle;
	model_area_end(&run->m, area);
	return exec_contig_judge_around(run, a.zone, c.start, c.end);
}

bool exec_cma_find(struct exec_run *run, pfa_pfn pfn)
{
	const struct model_area *area = model_area_at(&run->m, pfn);
	const pfa_cma untouched = 0x5AA5F00Du;
	pfa_cma handle = untouched;
	int code;

	EXEC_CALL(run, code, run->ops->cma_find(run->sut, pfn, &handle));
	run->must_be_unchanged = true;
	if (!exec_expect_code(run, area ? PFA_OK : PFA_ERANGE, code))
		return false;
	return handle == (area ? area->handle : untouched) ||
	       exec_fail(run, "view area", "a frame is in another area", pfn, area ? area->handle : untouched, handle);
}

/* ---- runs ---------------------------------------------------------------------------------------------------------- */

/* What may be answered when no run was had. */
static bool cma_judge_refusal(struct exec_run *run, const struct exec_contig *c, struct model_area *area, int code, size_t nr, bool must,
                              uint32_t flags)
{
	const bool held = model_area_held(&run->m, area) && nr <= area->run.nr_frames;
	const bool corrupt = code == PFA_ECORRUPT && c->last_failed && c->last == PFA_ECORRUPT; /* a destination was written to */

	run->r->refusals++;
	area->nr_fail++;
	area->nr_wait += held && !(flags & PFA_NOWAIT) && code == PFA_EBUSY;
	if (held ? code != (flags & PFA_NOWAIT ? PFA_EAGAIN : PFA_EBUSY) : code != PFA_ENOMEM && !(code == PFA_EAGAIN && c->fixed))
		if (!corrupt)
			return exec_fail(run, "model code", "the result code may not come back", area->run.first, held ? (size_t)-PFA_EBUSY : (size_t)-PFA_ENOMEM,
			                 (size_t)(unsigned)-code);
	if (must && !c->failed && !corrupt && !exec_mov.pass.meddled)
		return exec_fail(run, "I11 must find", "nothing is in the way of a run of the area, and none is found", area->run.first, 0,
		                 (size_t)(unsigned)-code);
	return true;
}

bool exec_cma_alloc(struct exec_run *run, struct exec_handle *h, const uint64_t *a)
{
	const uint32_t flags = (a[2] & 1 ? PFA_NOMIGRATE : 0) | (a[2] & 2 ? PFA_NOWAIT : 0) | (a[2] & 8 ? PFA_ZERO : 0);
	const size_t nr = (size_t)a[3], align = (size_t)1 << a[1];
	struct model_area *area = model_area_of(&run->m, (uint32_t)a[0]);
	const pfa_pfn untouched = (pfa_pfn)0x5AA5F00Du;
	const bool zero = !(flags & PFA_ZERO) || run->m.can_zero;
	struct exec_contig c = { .fixed = model_fixed(flags) };
	pfa_pfn pfn = untouched;
	int code;

	if (run->p->config.abort_policy && run->nr_poked)
		return exec_skip(run);
	if (area) {
		c.start = area->run.first;
		c.end = c.start + area->run.nr_frames;
	}
	const bool must = area && model_area_has_run(&run->m, &exec_mov.mm, area, nr, align, flags);
	exec_contig_before(run, &c);
	run->in_zero = (flags & PFA_ZERO) != 0;
	EXEC_CALL(run, code, run->ops->cma_alloc(run->sut, (uint32_t)a[0], nr, align, flags, &pfn));
	run->in_zero = false;
	run->step.code = code;
	if (code != PFA_OK && pfn != untouched)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, untouched, pfn);
	if (exec_contig_settle(run, &c) && exec_contig_is_corrupt(run, &c, code)) {
		if (area)
			area->nr_fail++;
		return exec_corrupt(run, nr) && exec_contig_after(run, &c);
	}
	if (!exec_contig_after(run, &c))
		return false;
	if (!zero || !area)
		return exec_expect_code(run, zero ? PFA_EINVAL : PFA_ENOTSUP, code);
	if (code != PFA_OK)
		return cma_judge_refusal(run, &c, area, code, nr, must, flags) && exec_contig_judge_around(run, area->zone, c.start, c.end);
	if (pfn & (align - 1))
		return exec_fail(run, "I15 alignment", "a grant is not aligned", pfn, align, pfn);
	if (pfn - c.start >= c.end - c.start || nr > c.end - pfn)
		return exec_fail(run, "I15 area", "a grant lies outside of the area", pfn, c.start, pfn);
	area->granted += nr;
	area->nr_alloc++;
	return exec_contig_granted(run, h, pfn, nr, flags | PFA_CMA) && exec_contig_judge_around(run, area->zone, c.start, c.end);
}

bool exec_cma_release_raw(struct exec_run *run, pfa_pfn first, size_t nr, uint64_t whose)
{
	struct model_area *area = model_area_at(&run->m, first);
	const struct expectation none = { PFA_EINVAL, 0 };
	uint32_t handle = whose == 1 ? exec_mov.stale_area : 0;
	int code;

	for (unsigned i = 0; i < run->m.nr_areas && !area && whose == 0; i++)
		area = run->m.area[i].live ? &run->m.area[i] : NULL;
	if (whose == 3 && area)
		handle = area->handle ^ UINT32_C(1) << 24;
	if (whose == 0 && area)
		handle = area->handle;
	else
		area = NULL;
	const struct expectation e = area ? model_expect_cma_release(&run->m, area, first, nr) : none;
	if (e.code == PFA_OK || !exec_cma_may_misuse(run))
		return exec_skip(run);
	exec_allow_steps(run, nr);
	EXEC_CALL(run, code, run->ops->cma_release(run->sut, handle, first, nr));
	return exec_expect(run, e, code, first, false);
}

/* ---- views --------------------------------------------------------------------------------------------------------- */

bool exec_cma_stats(struct exec_run *run, const uint64_t *a)
{
	const struct model_area *area = model_area_of(&run->m, (uint32_t)a[0]);
	struct pfa_cma_stats s = { .size = sizeof(s) + (a[2] ? 8 : 0) };
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	size_t unowned = 0, held = 0;
	int code;

	EXEC_CALL(run, code, run->ops->cma_stats(run->sut, (uint32_t)a[0], &s));
	run->must_be_unchanged = true;
	if (!exec_expect_code(run, area && !a[2] ? PFA_OK : PFA_EINVAL, code) || code != PFA_OK)
		return code != PFA_OK && run->r->outcome == EXEC_FINE;
	const struct model_zone *z = &run->m.zone[area->zone];
	for (size_t i = 0; i < area->run.nr_frames; i++)
		unowned += run->m.state[z->base + (area->run.first + i - z->start)] == MODEL_FREE;
	for (pfa_pfn at = area->run.first; at < area->run.first + area->run.nr_frames; at += pb)
		held += run->m.held[z->pb_base + (at / pb - z->pb_first)] != 0;
	if (s.run.first != area->run.first || s.run.nr_frames != area->run.nr_frames || s.zone != area->zone)
		return exec_fail(run, "view area", "an area's frames and zone", area->run.first, area->run.nr_frames, s.run.nr_frames);
	if (s.granted != area->granted || s.nr_alloc != area->nr_alloc || s.nr_fail != area->nr_fail || s.nr_wait != area->nr_wait)
		return exec_fail(run, "view area", "what was granted of an area, and what was refused", area->run.first, area->granted, s.granted);
	if (s.held_pageblocks != held)
		return exec_fail(run, "view area", "held pageblocks of an area", area->run.first, held, s.held_pageblocks);
	if (s.free > unowned || s.free + run->now[area->zone].quarantined < unowned)
		return exec_fail(run, "view area", "free frames of an area", area->run.first, unowned, s.free);
	return true;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

bool exec_cma_release_all(struct exec_run *run)
{
	for (unsigned i = 0; i < run->m.nr_areas && run->ops->cma_release; i++) {
		struct model_area *area = &run->m.area[i];
		const pfa_pfn end = area->run.first + area->run.nr_frames;
		for (pfa_pfn at = area->run.first; area->live && area->granted && at < end; at++) {
			int code;
			if (model_expect_cma_release(&run->m, area, at, 1).code != PFA_OK)
				continue;
			EXEC_CALL(run, code, run->ops->cma_release(run->sut, area->handle, at, 1));
			if (code != PFA_OK)
				return exec_fail(run, "teardown", "a frame of an area cannot be released", at, 0, (size_t)(unsigned)-code);
			area->granted--;
			model_release(&run->m, at, 0);
			exec_unowned(run, at, 1);
		}
	}
	return true;
}
