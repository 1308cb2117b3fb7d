/* SPDX-License-Identifier: MIT
 *
 * exec_contig_ops.c - the operations of ops_contig.def: which range is meant, illegal calls, and giving up what is left at the end.
 */
#include "exec_contig.h"

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

/* One end of a range: ops_contig.def. */
static pfa_pfn contig_end_of(const struct exec_run *run, pfa_pfn at, uint64_t how, bool last)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	const pfa_pfn inside = last && at ? at - 1 : at;
	size_t index;
	unsigned zone;

	switch (how) {
	case 1: return at + 1;
	case 2: return at ? at - 1 : 0;
	case 3: return at + pb / 2;
	case 4: return at > pb / 2 ? at - pb / 2 : 0;
	case 5: return at + 3;
	case 6: return at + pb - 1;
	case 7:
		zone = model_zone_of(&run->m, inside, &index);
		if (zone == run->m.nr_zones)
			return at;
		return last ? run->m.zone[zone].start + run->m.zone[zone].nr : run->m.zone[zone].start;
	default: return at;
	}
}

void exec_contig_of(const struct exec_run *run, const uint64_t *a, pfa_pfn *start, pfa_pfn *end)
{
	const unsigned order = run->m.pageblock_order;
	const size_t low = prog_span_start(&run->p->config) >> order, high = (prog_span_end(&run->p->config) - 1) >> order;
	const size_t first = low ? low - 1 : 0, pb = first + (size_t)a[0] % (high + 2 - first);

	*start = contig_end_of(run, pb << order, a[2] & 7, false);
	*end = contig_end_of(run, (pb + (size_t)a[1]) << order, a[2] >> 3, true);
}

static pfa_token contig_whose(const struct exec_run *run, uint64_t whose, pfa_pfn start)
{
	const struct exec_holds *holds = &exec_mov.holds;
	size_t index;
	const unsigned zone = model_zone_of(&run->m, start, &index);
	const struct model_zone *z = &run->m.zone[zone < run->m.nr_zones ? zone : 0];
	const pfa_token right = zone < run->m.nr_zones ? run->m.held[z->pb_base + ((start >> run->m.pageblock_order) - z->pb_first)] : 0;

	if (whose == 0)
		return right;
	for (unsigned i = 0; i < holds->nr && whose == 1; i++)
		if (holds->token[i] != right)
			return holds->token[i];
	return whose == 2 ? holds->stale : whose == 1 ? right + 1 : 0;
}

static bool contig_undo_hold(struct exec_run *run, uint64_t at, uint64_t part)
{
	const struct exec_holds *holds = &exec_mov.holds;
	pfa_pfn start, end;

	if (!holds->nr)
		return exec_skip(run);
	const pfa_token token = holds->token[at % holds->nr];
	(void)model_held_span(&run->m, token, &start, &end);
	if (part == 1)
		end = start + 1;
	else if (part == 2)
		start = end - 1;
	else if (part == 3)
		end++;
	return exec_contig_undo(run, start, end, token);
}

/* ---- illegal ones -------------------------------------------------------------------------------------------------- */

pfa_pfn exec_contig_behind(const struct exec_run *run)
{
	pfa_pfn end = 0;

	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		if (end < run->m.zone[zone].start + run->m.zone[zone].nr)
			end = run->m.zone[zone].start + run->m.zone[zone].nr;
	return end;
}

static bool contig_raw(struct exec_run *run, const uint64_t *a)
{
	const struct sut_ops *o = run->ops;
	const struct model_zone *z = &run->m.zone[0];
	const uint32_t odd = UINT32_C(1) << (a[2] % 3 == 0 ? 0 : a[2] % 3 == 1 ? 1 : 12 + a[2] % 12); /* bits that none of them has */
	struct pfa_blocker why;
	pfa_pfn start = z->start, end = z->start + 1, pfn = 0;
	pfa_token token = 0;
	uint32_t flags = 0;
	size_t nr = 1, align = 1;
	int code, expected = PFA_EINVAL;

	switch (a[1]) {
	case 0: end = start; nr = 0; break;
	case 1: end = start; start++; align = 0; break;
	case 2: flags = odd; break;
	case 3: start = exec_far(run, a[3]); end = start + 1; align = 3; break;
	case 4:
		start = z->start + z->nr - 1;
		end = run->m.nr_zones > 1 ? run->m.zone[1].start + 1 : start + 2;
		flags = a[0] == 4 ? PFA_ZONE(run->m.nr_zones + a[2]) : 0;
		break;
	case 5: start = exec_contig_behind(run); end = start + 1; nr = SIZE_MAX; break;
	default: return exec_skip(run);
	}
	if ((a[1] == 2 && (a[0] == 1 || a[0] == 2 || a[0] == 5)) || (a[0] == 5 && a[1] != 0 && a[1] != 5) || a[0] > 5)
		return exec_skip(run);
	const struct model_answer in = model_expect_bounds(&run->m, start, end);
	if (a[1] >= 3 && a[0] <= 3 && in.code == PFA_OK) /* huge zones have it */
		return exec_skip(run);
	if (a[1] >= 3)
		expected = in.code;
	switch (a[0]) {
	case 0: EXEC_CALL(run, code, o->isolate_range(run->sut, start, end, flags, &token, &why)); break;
	case 1: EXEC_CALL(run, code, o->undo_isolate_range(run->sut, start, end, 1)); break;
	case 2: EXEC_CALL(run, code, o->test_isolated(run->sut, start, end, 1, &why)); break;
	case 3: EXEC_CALL(run, code, o->alloc_contig_range(run->sut, start, end, flags, NULL)); break;
	case 4:
		EXEC_CALL(run, code, o->alloc_contig(run->sut, nr, align, flags, &pfn));
		expected = a[1] == 5 ? PFA_ENOMEM : PFA_EINVAL;
		break;
	default:
		EXEC_CALL(run, code, o->free_contig_range(run->sut, a[1] == 5 ? z->start + 1 : z->start, nr));
		expected = PFA_EINVAL;
	}
	run->must_be_unchanged = a[0] != 4 || a[1] != 5;
	return exec_expect_code(run, expected, code);
}

static bool contig_free_raw(struct exec_run *run, const uint64_t *a)
{
	const struct pfa_run range = exec_run_of(run, a[0], a[1]);
	const struct expectation e = model_expect_range(&run->m, range.first, range.nr_frames);
	int code;

	if (e.code == PFA_OK || (run->ops->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	exec_allow_steps(run, range.nr_frames);
	EXEC_CALL(run, code, run->ops->free_contig_range(run->sut, range.first, range.nr_frames));
	return exec_expect(run, e, code, range.first, false);
}

void exec_contig_inside(struct exec_run *run, pfa_pfn head, unsigned which)
{
	const struct sut_ops *o = run->ops;
	const unsigned told = *exec_mov_nr_told(run);
	struct pfa_blocker why;
	pfa_token token;
	pfa_pfn pfn;
	int code;

	if (!o->isolate_range)
		return;
	if (which % 10 >= 3) {
		exec_plug_inside(run, head, which % 10 - 3);
		return;
	}
	switch (which % 10) {
	case 0: code = o->isolate_range(run->sut, head, head + 1, 0, &token, &why); break;
	case 1: code = o->alloc_contig_range(run->sut, head, head + 1, PFA_NOMIGRATE, &why); break;
	default: code = o->alloc_contig(run->sut, 1, 1, PFA_NOWAIT, &pfn); break;
	}
	exec_mov_inside(run, (struct expectation){ PFA_EDEADLK, 0 }, code, told, head, "a call that is forbidden inside of ops");
}

/* ---- dispatch, and the end ----------------------------------------------------------------------------------------- */

bool exec_contig(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint64_t *a = op->arg;
	pfa_pfn start = 0, end = 0;

	if (!run->ops->isolate_range || run->fault[PROG_SITE_SELF].armed) /* threads are not who they say they are */
		return exec_skip(run);
	if (run->stale && !exec_refresh(run))
		return false;
	if (op->kind == OP_ISOLATE_RANGE || op->kind == OP_UNDO_ISOLATE || op->kind == OP_TEST_ISOLATED || op->kind == OP_CONTIG_RANGE)
		exec_contig_of(run, a, &start, &end);
	switch (op->kind) {
	case OP_ISOLATE_RANGE: return exec_contig_isolate(run, start, end, a[3]);
	case OP_UNDO_ISOLATE: return exec_contig_undo(run, start, end, contig_whose(run, a[3], start));
	case OP_UNDO_HOLD: return contig_undo_hold(run, a[0], a[1]);
	case OP_TEST_ISOLATED: return exec_contig_test(run, start, end, contig_whose(run, a[3], start));
	case OP_CONTIG_RANGE: return exec_contig_range(run, h, start, end, a[3]);
	case OP_CONTIG_WINDOW: return exec_contig_range(run, h, run->window.first, run->window.first + run->window.nr_frames, a[0]);
	case OP_ALLOC_CONTIG: return exec_contig_search(run, h, a);
	case OP_FREE_CONTIG_RAW: return contig_free_raw(run, a);
	case OP_CONTIG_RAW: return contig_raw(run, a);
	default: break;
	}
	if (!h->nr)
		return exec_skip(run);
	struct exec_handle part = exec_cut(run, h, (uint32_t)(a[1] % h->nr), (uint32_t)a[2]);
	return exec_free_list(run, &part, EXEC_BY_CONTIG);
}

bool exec_contig_end(struct exec_run *run)
{
	pfa_pfn start, end;
	int code;

	while (exec_mov.holds.nr) {
		const pfa_token token = exec_mov.holds.token[0];
		size_t index;
		if (!model_held_span(&run->m, token, &start, &end))
			return exec_fail(run, "harness holds", "a token holds nothing", 0, 0, token);
		const unsigned zone = model_zone_of(&run->m, start, &index);
		for (pfa_pfn at = start; at < end; at = (at | (((pfa_pfn)1 << run->m.pageblock_order) - 1)) + 1) {
			if (model_expect_undo(&run->m, at, at + 1, token).code != PFA_OK)
				continue; /* some of them were given up */
			EXEC_CALL(run, code, run->ops->undo_isolate_range(run->sut, at, at + 1, token));
			if (code != PFA_OK)
				return exec_fail(run, "teardown", "a hold cannot be given up", at, 0, (size_t)(unsigned)-code);
			model_hold(&run->m, zone, at, at + 1, 0);
		}
		exec_contig_forget(run);
	}
	return true;
}
