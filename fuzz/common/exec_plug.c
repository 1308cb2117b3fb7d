/* SPDX-License-Identifier: MIT
 *
 * exec_plug.c - memory that comes and goes: what these calls answer, what they leave as it was, and that nobody touches a frame that
 * is not there. What is offline is somebody else's: it is overwritten, so that who believes to know its content is found out.
 */
#include "exec_plug.h"

/* ---- content ------------------------------------------------------------------------------------------------------- */

/* Frames may be poisoned for the sanitizer, whose memset() would say so. */
__attribute__((no_sanitize("address", "undefined"))) static void plug_overwrite(unsigned char *frame, size_t bytes, pfa_pfn pfn)
{
	volatile uint64_t *words = (volatile uint64_t *)(void *)frame;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = UINT64_C(0x0FF11E0FF11E0001) + pfn;
}

/* These frames have gone: what was known of their content is known no more. */
static void plug_gone(struct exec_run *run, pfa_pfn start, pfa_pfn end)
{
	size_t index;

	exec_unpoke(run, start, end - start, true);
	for (pfa_pfn at = start; at < end; at++) {
		(void)model_zone_of(&run->m, at, &index);
		if (run->m.state[index] != MODEL_OFFLINE)
			continue;
		run->content[index] = 0;
		if (run->setup.content)
			plug_overwrite(exec_frame(run, at), run->setup.frame_bytes, at);
	}
}

/* ---- the calls ----------------------------------------------------------------------------------------------------- */

static uint32_t plug_flags(uint64_t bits)
{
	return (bits & 1 ? PFA_NOMIGRATE : 0) | (bits & 2 ? PFA_NOWAIT : 0) | (bits & 4 ? PFA_CMA : 0) | (bits & 8 ? PFA_TAKE_BAD : 0);
}

bool exec_plug_offline(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits)
{
	const uint32_t flags = plug_flags(bits);
	struct exec_contig c = { .ranged = true, .start = start, .end = end, .fixed = model_fixed(flags), .takes_bad = (flags & PFA_TAKE_BAD) != 0, .parts = true };
	struct model_answer a = model_expect_offline(&run->m, start, end, flags);
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS }, *out_why = bits & 16 ? NULL : &why;
	struct contig_census census = { .nr = 0 };
	const bool mine = c.held = a.code == PFA_OK;
	pfa_pfn used;
	int code;

	if (run->p->config.abort_policy && run->nr_poked)
		return exec_skip(run);
	if (mine)
		a = model_expect_offline_left(&run->m, &exec_mov.mm, start, end, flags);
	if (mine && !exec_contig_count(run, start, end, &census))
		return false;
	if (mine)
		model_hold(&run->m, a.zone, start, end, MODEL_HELD_NOW);
	exec_contig_before(run, &c);
	EXEC_CALL(run, code, run->ops->offline_range(run->sut, start, end - start, flags, out_why));
	if (mine)
		model_hold(&run->m, a.zone, start, end, 0);
	if (!exec_contig_after(run, &c))
		return false;
	exec_contig_outcome(&c, &a);
	if (!exec_contig_judge(run, &c, &a, code, out_why))
		return false;
	if (a.zone == run->m.nr_zones || start >= end)
		return true;
	run->r->refusals += code != PFA_OK;
	if (code == PFA_OK) {
		if (!model_offline(&run->m, a.zone, start, end, &used))
			return exec_fail(run, "I11 result", "a range went offline of which a frame is in use", used, 0, 1);
		plug_gone(run, start, end);
	}
	return exec_contig_judge_census(run, a.zone, &census) && exec_contig_judge_around(run, a.zone, start, end);
}

static struct model_answer plug_expect(const struct model *m, unsigned kind, pfa_pfn start, pfa_pfn end)
{
	return kind == OP_ONLINE_RANGE ? model_expect_online(m, start, end)
	       : kind == OP_ADD_RANGE  ? model_expect_add(m, start, end)
	                               : model_expect_remove(m, start, end);
}

bool exec_plug_change(struct exec_run *run, unsigned kind, pfa_pfn start, pfa_pfn end, bool told)
{
	const struct sut_ops *o = run->ops;
	const struct model_answer a = plug_expect(&run->m, kind, start, end);
	struct exec_contig c = { .ranged = true, .start = start, .end = end, .fixed = true };
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS }, *out_why = told ? &why : NULL;
	struct contig_census census = { .nr = 0 };
	int code;

	if (a.code == PFA_OK && !exec_contig_count(run, start, end, &census))
		return false;
	exec_contig_before(run, &c);
	EXEC_CALL(run, code, (kind == OP_ONLINE_RANGE ? o->online_range : kind == OP_ADD_RANGE ? o->add_range : o->remove_range)(
	                             run->sut, start, end - start, out_why));
	if (!exec_contig_after(run, &c) || !exec_contig_judge(run, &c, &a, code, out_why))
		return false;
	run->must_be_unchanged = code == PFA_EINVAL || code == PFA_ERANGE; /* else holding is counted */
	if (a.zone == run->m.nr_zones || start >= end)
		return true;
	if (code == PFA_OK && kind == OP_ONLINE_RANGE)
		model_online(&run->m, a.zone, start, end);
	else if (code == PFA_OK && kind == OP_ADD_RANGE)
		model_change(&run->m, a.zone, start, end, MODEL_ABSENT, MODEL_OFFLINE);
	else if (code == PFA_OK)
		model_change(&run->m, a.zone, start, end, MODEL_OFFLINE, MODEL_ABSENT);
	if (code == PFA_OK && kind == OP_ADD_RANGE)
		plug_gone(run, start, end);
	return exec_contig_judge_census(run, a.zone, &census) && exec_contig_judge_around(run, a.zone, start, end);
}

/* ---- arguments, and what is illegal -------------------------------------------------------------------------------- */

/* Narrows the range to the first run of frames in this state, if it has one. */
static void plug_narrow(const struct exec_run *run, enum model_state state, pfa_pfn *start, pfa_pfn *end)
{
	size_t index;
	pfa_pfn at = *start;

	while (at < *end && (model_zone_of(&run->m, at, &index) == run->m.nr_zones || run->m.state[index] != (unsigned char)state))
		at++;
	if (at >= *end)
		return;
	*start = at;
	while (at < *end && model_zone_of(&run->m, at, &index) < run->m.nr_zones && run->m.state[index] == (unsigned char)state)
		at++;
	*end = at;
}

static int plug_raw_call(struct exec_run *run, uint64_t what, pfa_pfn start, size_t nr, size_t align, uint32_t flags)
{
	const struct sut_ops *o = run->ops;
	pfa_cma area = 0;
	pfa_pfn pfn = 0;
	int code;

	switch (what) {
	case 0: EXEC_CALL(run, code, o->offline_range(run->sut, start, nr, flags, NULL)); break;
	case 1: EXEC_CALL(run, code, o->online_range(run->sut, start, nr, NULL)); break;
	case 2: EXEC_CALL(run, code, o->add_range(run->sut, start, nr, NULL)); break;
	case 3: EXEC_CALL(run, code, o->remove_range(run->sut, start, nr, NULL)); break;
	case 4: EXEC_CALL(run, code, o->cma_create(run->sut, start, nr, flags, &area, NULL)); break;
	default: EXEC_CALL(run, code, o->cma_alloc(run->sut, run->m.area[0].handle, nr, align, flags, &pfn)); break;
	}
	return code;
}

static bool plug_raw(struct exec_run *run, const uint64_t *a)
{
	const struct model_zone *z = &run->m.zone[0];
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	pfa_pfn start = z->start;
	size_t nr = a[0] == 4 ? pb : 1, align = 1;
	uint32_t flags = 0;
	int expected = PFA_EINVAL;

	switch (a[1]) {
	case 0: nr = 0; break;
	case 1: start = (z->start / pb + 1) * pb; nr = (size_t)0 - pb; align = 0; break;
	case 2:
		if (a[0] >= 1 && a[0] <= 3)
			return exec_skip(run);
		flags = UINT32_C(1) << (a[2] % 3 == 0 ? 0 : a[2] % 3 == 1 ? 1 : 13 + a[2] % 11); /* bits that none of them has */
		break;
	case 3: start = exec_far(run, a[3]); align = 3; expected = PFA_ERANGE; break;
	case 4:
		start = (z->start + z->nr - 1) / pb * pb;
		start = a[0] == 4 && start > z->start ? start : z->start + z->nr - 1;
		nr = a[0] == 4 ? 2 * pb : run->m.nr_zones > 1 ? run->m.zone[1].start + 1 - start : 2;
		expected = PFA_ERANGE;
		break;
	case 5: start = (exec_contig_behind(run) + pb - 1) / pb * pb; expected = PFA_ERANGE; break;
	default: return exec_skip(run);
	}
	if (a[0] > 5 || (a[0] == 5 && a[1] > 3))
		return exec_skip(run);
	if (a[0] == 5)
		expected = PFA_EINVAL;
	else if (a[1] >= 3) {
		const struct model_answer in = model_expect_bounds(&run->m, start, start + nr);
		expected = in.code;
		if (in.code == PFA_OK) /* huge zones have it */
			return exec_skip(run);
		if (a[0] == 4 && ((start | nr) & (pb - 1)))
			expected = PFA_EINVAL;
	}
	run->must_be_unchanged = true;
	return exec_expect_code(run, expected, plug_raw_call(run, a[0], start, nr, align, flags));
}

void exec_plug_inside(struct exec_run *run, pfa_pfn head, unsigned which)
{
	const struct sut_ops *o = run->ops;
	const unsigned told = *exec_mov_nr_told(run);
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	pfa_cma area;
	pfa_pfn pfn;
	int code;

	if (!o->offline_range)
		return;
	switch (which) {
	case 0: code = o->offline_range(run->sut, head, 1, 0, NULL); break;
	case 1: code = o->online_range(run->sut, head, 1, NULL); break;
	case 2: code = o->add_range(run->sut, head, 1, NULL); break;
	case 3: code = o->remove_range(run->sut, head, 1, NULL); break;
	case 4: code = o->cma_create(run->sut, head / pb * pb, pb, 0, &area, NULL); break;
	case 5: code = o->cma_destroy(run->sut, run->m.area[0].handle); break;
	default: code = o->cma_alloc(run->sut, run->m.area[0].handle, 1, 1, 0, &pfn); break;
	}
	exec_mov_inside(run, (struct expectation){ PFA_EDEADLK, 0 }, code, told, head, "a call that is forbidden inside of ops");
}

/* ---- dispatch ------------------------------------------------------------------------------------------------------ */

/* The handle of an area: ops_plug.def. */
static uint32_t plug_area(const struct exec_run *run, uint64_t at, uint64_t whose)
{
	unsigned live = 0;

	for (unsigned i = 0; i < run->m.nr_areas; i++)
		live += run->m.area[i].live;
	if (whose == 1 || whose == 2)
		return whose == 1 ? exec_mov.stale_area : 0;
	if (!live)
		return 1;
	unsigned i = 0;
	for (unsigned skip = (unsigned)at % live; !run->m.area[i].live || skip--; i++)
		;
	return run->m.area[i].handle ^ (whose == 3 ? UINT32_C(1) << 24 : 0);
}

static bool plug_of_area(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	uint64_t args[4] = { op->arg[0], op->arg[1], op->arg[2], op->arg[3] };

	switch (op->kind) {
	case OP_CMA_DESTROY: return exec_cma_destroy(run, plug_area(run, args[0], args[1]));
	case OP_CMA_FIND: return exec_cma_find(run, (pfa_pfn)args[0]);
	case OP_CMA_ALLOC:
		args[0] = plug_area(run, args[0], args[2] & 4 ? 1 : 0);
		return exec_cma_alloc(run, h, args);
	case OP_CMA_RELEASE_RAW: return exec_cma_release_raw(run, (pfa_pfn)args[0], (size_t)args[1], args[2]);
	case OP_CMA_STATS:
		args[0] = plug_area(run, args[0], args[1]);
		return exec_cma_stats(run, args);
	default: break;
	}
	if (!h->nr)
		return exec_skip(run);
	const uint32_t at = (uint32_t)(args[1] % h->nr);
	struct exec_handle part = exec_cut(run, h, at, (uint32_t)args[2]);
	const bool fine = exec_free_list(run, &part, EXEC_BY_AREA);
	for (uint32_t next, node = part.first; fine && part.nr; part.nr--, node = next) { /* refused: still the handle's */
		next = run->next[node];
		exec_append(run, h, run->pfn_of[node], run->order_of[node]);
	}
	return fine;
}

bool exec_plug(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint64_t *a = op->arg;
	pfa_pfn start, end;

	if (!run->ops->offline_range || run->fault[PROG_SITE_SELF].armed) /* threads are not who they say they are */
		return exec_skip(run);
	if (run->stale && !exec_refresh(run))
		return false;
	if (op->kind == OP_PLUG_RAW)
		return plug_raw(run, a);
	if (op->kind > OP_CMA_CREATE)
		return plug_of_area(run, op, h);
	exec_contig_of(run, a, &start, &end);
	if (op->kind == OP_OFFLINE_RANGE)
		return exec_plug_offline(run, start, end, a[3]);
	if (op->kind == OP_CMA_CREATE)
		return exec_cma_create(run, start, end, a[3]);
	if (a[3] & 2)
		plug_narrow(run, op->kind == OP_ADD_RANGE ? MODEL_ABSENT : MODEL_OFFLINE, &start, &end);
	return exec_plug_change(run, op->kind, start, end, !(a[3] & 1));
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static bool plug_was_hole(const struct exec_run *run, unsigned zone, pfa_pfn pfn)
{
	const struct pfa_zone_config *c = &run->setup.cfg.zones[zone];

	for (size_t i = 0; i < c->nr_holes; i++)
		if (pfn - c->holes[i].first < c->holes[i].nr_frames)
			return true;
	return false;
}

/* What has to be done to the frame, so that it is again what it was in the beginning; 0: nothing. */
static unsigned plug_undoes(const struct exec_run *run, unsigned zone, pfa_pfn pfn)
{
	const struct model_zone *z = &run->m.zone[zone];
	const unsigned char state = run->m.state[z->base + (pfn - z->start)];

	if (plug_was_hole(run, zone, pfn))
		return state == MODEL_ABSENT ? 0 : state == MODEL_OFFLINE ? OP_REMOVE_RANGE : OP_OFFLINE_RANGE;
	return state == MODEL_ABSENT ? OP_ADD_RANGE : state == MODEL_OFFLINE ? OP_ONLINE_RANGE : 0;
}

static bool plug_undo_zone(struct exec_run *run, unsigned zone)
{
	const pfa_pfn end = run->m.zone[zone].start + run->m.zone[zone].nr;

	for (pfa_pfn at = run->m.zone[zone].start, stop; at < end; at = stop) {
		const unsigned kind = plug_undoes(run, zone, at);
		for (stop = at + 1; stop < end && plug_undoes(run, zone, stop) == kind;)
			stop++;
		if (kind == OP_OFFLINE_RANGE ? !exec_plug_offline(run, at, stop, 4 | 8) : kind && !exec_plug_change(run, kind, at, stop, true))
			return false;
		if (kind && run->step.code != PFA_OK)
			return exec_fail(run, "teardown", "frames do not go back to what they were", at, 0, (size_t)(unsigned)-run->step.code);
		if (kind && plug_undoes(run, zone, at))
			stop = at; /* not there yet */
	}
	return true;
}

bool exec_plug_end(struct exec_run *run, bool *same)
{
	const struct exec_step step = run->step;

	*same = true;
	if (!run->ops->offline_range)
		return true;
	for (unsigned i = 0; i < run->m.nr_areas; i++) {
		const struct model_area *area = &run->m.area[i];
		if (area->live && !area->configured && !area->granted && !exec_cma_destroy(run, area->handle))
			return false;
		*same = *same && (!area->live || area->configured);
	}
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		if (!plug_undo_zone(run, zone))
			return false;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct pfa_zone_config *c = &run->setup.cfg.zones[zone];
		for (size_t i = 0; i < c->nr_cma && run->m.has_types; i++) {
			if (model_area_at(&run->m, c->cma[i].first))
				continue;
			if (!exec_cma_create(run, c->cma[i].first, c->cma[i].first + c->cma[i].nr_frames, 0))
				return false;
			*same = *same && run->step.code == PFA_OK;
		}
	}
	run->must_be_unchanged = false;
	run->step = step;
	return true;
}
