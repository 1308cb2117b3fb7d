/* SPDX-License-Identifier: MIT
 *
 * exec_contig.c - isolation and contiguous ranges: what these calls answer, the moves that they make, and what they leave as it was.
 *
 * Until an owner's op meddles, what comes of a call follows from the maps and from what the ops said: it is exact. After that it
 * must only keep everything else: conservation, ownership, holders, types, content.
 */
#include "exec_contig.h"

/* ---- the moves that a call makes ----------------------------------------------------------------------------------- */

bool exec_contig_settle(struct exec_run *run, struct exec_contig *c)
{
	int result;

	if (!c->moves)
		return true;
	c->moves = false;
	if (exec_mov.broken) /* a finding was made in the middle of it */
		return false;
	if (!exec_mov_settle(run, &c->move, &result)) {
		exec_mov.broken = true;
		return false;
	}
	c->last_failed = result != PFA_OK && result != PFA_ESTOP;
	c->failed += c->last_failed;
	c->last = result == PFA_ENOMEM || result == PFA_ECORRUPT ? result : PFA_EBUSY;
	c->why = (struct pfa_blocker){ PFA_BLOCKER_REFUSED, c->move.src };
	if (result == PFA_ENOMEM)
		c->why.reason = PFA_BLOCKER_NOMEM;
	else if (result == PFA_ECORRUPT)
		c->why.reason = PFA_BLOCKER_CORRUPT;
	return true;
}

/* Has this block to be moved for the call? */
static bool contig_in_the_way(const struct exec_run *run, const struct exec_contig *c, const struct model_movable *b)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	const pfa_pfn end = b->pfn + ((size_t)1 << b->order), lo = c->start / pb * pb, hi = (c->end + pb - 1) / pb * pb;

	if (!c->edges)
		return b->pfn < c->end && end > c->start;
	return (b->pfn < lo && end > lo) || (b->pfn < hi && end > hi);
}

void exec_contig_begins(struct exec_run *run, pfa_pfn src, enum pfa_migrate_mode mode)
{
	struct exec_contig *c = exec_mov.contig;
	const unsigned slot = model_movable_at(&exec_mov.mm, src);
	size_t index;

	if (exec_mov.broken || !exec_contig_settle(run, c))
		return;
	if (slot == MODEL_NO_BLOCK || mode != PFA_MIGRATE_SYNC || c->fixed || ((c->ranged || c->end) && !contig_in_the_way(run, c, &exec_mov.mm.block[slot])))
		exec_mov_fail(run, "I11 moves", "a block is moved that is not in the way, or though the flags forbid it", src, c->fixed, slot);
	if (++c->nr > (size_t)PFA_CONTIG_TRIES * MODEL_MOVABLES && c->ranged)
		exec_mov_fail(run, "I13 contig", "a range is gone over again and again", src, PFA_CONTIG_TRIES, c->nr);
	c->moves = true;
	exec_mov.move = NULL;
	exec_mov_begin(&c->move, src, mode);
	c->move.flags = PFA_MOVABLE | PFA_ZONE(model_zone_of(&run->m, src, &index)); /* to its own zone, or one after it */
}

void exec_contig_before(struct exec_run *run, struct exec_contig *c)
{
	if (exec_mov.mm.max_owners)
		run->events_known = false; /* destinations are taken that are then not used */
	run->tracks_zero = false;
	run->rests_known = false; /* what is freed into held pageblocks rests nowhere */
	model_forget_frees(&run->m);
	exec_mov.move = NULL;
	exec_mov.contig = c;
	if (c->ranged)
		exec_allow_steps(run, 4 * (c->end - c->start) + ((size_t)8 << run->m.pageblock_order) + 64);
	else
		exec_allow_steps(run, (size_t)4 * MODEL_FRAMES);
}

bool exec_contig_after(struct exec_run *run, struct exec_contig *c)
{
	const bool fine = exec_contig_settle(run, c);

	exec_mov.move = NULL;
	exec_mov.contig = NULL;
	exec_mov.inside = 0;
	return fine && exec_mov_call_ends(run) && exec_judge_written(run);
}

static bool contig_has_hole(const struct exec_run *run, const struct exec_contig *c)
{
	size_t index;

	for (pfa_pfn at = c->start; at < c->end; at++)
		if (model_zone_of(&run->m, at, &index) == run->m.nr_zones || run->m.state[index] == MODEL_ABSENT || run->m.state[index] == MODEL_OFFLINE)
			return true;
	return false;
}

/* Has the range a bad frame now? It had none in the beginning: one that was marked while it was used is bad as soon as it is free. */
static bool contig_spoilt(const struct exec_run *run, const struct exec_contig *c)
{
	size_t index;

	for (pfa_pfn at = c->start; at < c->end; at++)
		if (model_zone_of(&run->m, at, &index) < run->m.nr_zones && run->m.state[index] == MODEL_BAD)
			return true;
	return false;
}

static bool contig_judge_spoilt(struct exec_run *run, const struct exec_contig *c, int code, const struct pfa_blocker *why)
{
	size_t index;

	if (code == PFA_OK)
		return exec_fail(run, "I11 result", "a range with a bad frame was had", c->start, (size_t)(unsigned)-PFA_EBUSY, 0);
	if (why && why->reason == PFA_BLOCKER_BAD &&
	    (model_zone_of(&run->m, why->pfn, &index) == run->m.nr_zones || run->m.state[index] != MODEL_BAD))
		return exec_fail(run, "I11 blocker", "a frame is named as bad that is not", why->pfn, MODEL_BAD, run->m.state[index]);
	return true;
}

void exec_contig_outcome(const struct exec_contig *c, struct model_answer *a)
{
	if (!c->last_failed)
		return;
	a->code = c->last;
	a->why = c->why;
}

bool exec_contig_judge(struct exec_run *run, const struct exec_contig *c, const struct model_answer *a, int code,
                         const struct pfa_blocker *why)
{
	run->step.code = code;
	run->step.value = why ? why->reason : 0;
	run->step.has_pfn = true;
	run->step.pfn = c->start;
	run->step.nr_frames = c->end - c->start;
	if (exec_mov.pass.meddled && a->code != PFA_EINVAL && a->code != PFA_ENOTSUP && a->code != PFA_ERANGE) {
		/* What was in the way may have gone, so that what cannot go is met. */
		if (code != PFA_OK && code != PFA_EBUSY && code != PFA_ENOMEM && code != PFA_ECORRUPT && code != PFA_EAGAIN &&
		    !(code == PFA_ERANGE && contig_has_hole(run, c)))
			return exec_fail(run, "model code", "the result code may not come back", c->start, 0, (size_t)(unsigned)-code);
	} else if (a->loose || (c->held && !c->takes_bad && a->code != PFA_ENOTSUP && contig_spoilt(run, c))) {
		return contig_judge_spoilt(run, c, code, why);
	} else if (code != a->code) {
		return exec_fail(run, a->code == PFA_OK ? "I11 must succeed" : "I11 result",
		                 a->code == PFA_OK ? "nothing is in the way, and the call fails" : "the result does not follow from what is in the way",
		                 c->start, (size_t)(unsigned)-a->code, (size_t)(unsigned)-code);
	} else if (why && code != PFA_EINVAL && code != PFA_ENOTSUP &&
	           (why->reason != a->why.reason || (code != PFA_OK && why->pfn != a->why.pfn))) {
		return exec_fail(run, "I11 blocker", why->reason == a->why.reason ? "another frame is named as in the way"
		                                                                  : "another reason is named for what is in the way",
		                 a->why.pfn, why->reason == a->why.reason ? a->why.pfn : a->why.reason,
		                 why->reason == a->why.reason ? why->pfn : why->reason);
	}
	if (c->last_failed && code == PFA_EBUSY && !exec_mov.pass.meddled && c->failed < PFA_CONTIG_TRIES)
		return exec_fail(run, "I13 contig", "a call gives up before it has tried as often as it says", c->start, PFA_CONTIG_TRIES, c->failed);
	return !why || (code == PFA_OK) == (why->reason == PFA_BLOCKER_NONE) || code == PFA_EINVAL || code == PFA_ENOTSUP ||
	       exec_fail(run, "I11 blocker", "a reason is told if and only if the call fails", c->start, code == PFA_OK, why->reason);
}

/* ---- isolation ----------------------------------------------------------------------------------------------------- */

static uint32_t contig_flags(uint64_t bits)
{
	return (bits & 1 ? PFA_NOMIGRATE : 0) | (bits & 2 ? PFA_NOWAIT : 0) | (bits & 4 ? PFA_CMA : 0) | (bits & 8 ? PFA_ZERO : 0);
}

bool exec_contig_isolate(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits)
{
	const uint32_t flags = contig_flags(bits & 3);
	struct exec_contig c = { .ranged = true, .start = start, .end = end, .edges = true, .fixed = flags != 0 };
	struct model_answer a = model_expect_isolate(&run->m, &exec_mov.mm, start, end, flags);
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS }, *out_why = bits & 16 ? NULL : &why;
	struct exec_holds *holds = &exec_mov.holds;
	struct contig_census census = { .nr = 0 };
	const bool mine = a.code != PFA_EINVAL && a.code != PFA_ERANGE && a.why.reason != PFA_BLOCKER_HELD;
	pfa_token token = 0;
	struct verdict v;
	int code;

	if (holds->nr == EXEC_TOKENS_KEPT || (run->p->config.abort_policy && run->nr_poked))
		return exec_skip(run);
	if (mine && !exec_contig_count(run, start, end, &census))
		return false;
	if (mine)
		model_hold(&run->m, a.zone, start, end, MODEL_HELD_NOW);
	exec_contig_before(run, &c);
	EXEC_CALL(run, code, run->ops->isolate_range(run->sut, start, end, flags, &token, out_why));
	const bool fine = exec_contig_after(run, &c);
	exec_contig_outcome(&c, &a);
	if (mine)
		model_hold(&run->m, a.zone, start, end, code == PFA_OK ? token : 0);
	if (!fine || !exec_contig_judge(run, &c, &a, code, out_why))
		return false;
	if (a.zone == run->m.nr_zones || start >= end)
		return true;
	if ((token != 0) != (code == PFA_OK))
		return exec_fail(run, "contract out", "a token is given if and only if the pageblocks are held", start, code == PFA_OK, token);
	for (unsigned i = 0; i < holds->nr && code == PFA_OK; i++)
		if (token == holds->token[i] || token == holds->stale)
			return exec_fail(run, "I4 token", "a token was given before", start, 0, token);
	if (code == PFA_OK) {
		holds->token[holds->nr++] = token;
		if (!model_judge_edges(&run->m, a.zone, start, end, &v))
			return exec_say(run, &v);
	}
	return (code == PFA_OK || exec_contig_judge_census(run, a.zone, &census)) && exec_contig_judge_around(run, a.zone, start, end);
}

void exec_contig_forget(struct exec_run *run)
{
	struct exec_holds *holds = &exec_mov.holds;
	unsigned kept = 0;
	pfa_pfn start, end;

	for (unsigned i = 0; i < holds->nr; i++) {
		if (model_held_span(&run->m, holds->token[i], &start, &end))
			holds->token[kept++] = holds->token[i];
		else
			holds->stale = holds->token[i];
	}
	holds->nr = kept;
}

/* A call whose answer may be misuse. */
static bool contig_told(struct exec_run *run, const struct model_answer *a, int code)
{
	const struct expectation e = { a->code, a->code == PFA_EMISUSE ? 1u << PFA_FAULT_NOT_HELD : 0 };

	return exec_expect(run, e, code, a->why.pfn, true);
}

/* The step is about this range. False: the call would be misuse, which the system under test does not tell. */
static bool contig_named(struct exec_run *run, const struct model_answer *a, pfa_pfn start, pfa_pfn end)
{
	if (a->code == PFA_EMISUSE && (run->ops->lacks & SUT_NO_MISUSE))
		return false;
	run->step.has_pfn = true;
	run->step.pfn = start;
	run->step.nr_frames = end - start;
	return true;
}

bool exec_contig_undo(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token)
{
	const struct model_answer a = model_expect_undo(&run->m, start, end, token);
	struct contig_census census = { .nr = 0 };
	int code;

	if (!contig_named(run, &a, start, end))
		return exec_skip(run);
	if (a.code == PFA_OK && !exec_contig_count(run, start, end, &census))
		return false;
	exec_allow_steps(run, 4 * (end - start) + ((size_t)8 << run->m.pageblock_order) + 64);
	EXEC_CALL(run, code, run->ops->undo_isolate_range(run->sut, start, end, token));
	if (!contig_told(run, &a, code))
		return false;
	if (code != PFA_OK)
		return a.zone == run->m.nr_zones || start >= end || exec_contig_judge_around(run, a.zone, start, end);
	model_hold(&run->m, a.zone, start, end, 0);
	exec_contig_forget(run);
	return exec_contig_judge_census(run, a.zone, &census) && exec_contig_judge_around(run, a.zone, start, end);
}

bool exec_contig_test(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token)
{
	const struct model_answer a = model_expect_test(&run->m, start, end, token);
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS };
	int code;

	if (!contig_named(run, &a, start, end))
		return exec_skip(run);
	exec_allow_steps(run, end > start ? end - start : 1);
	EXEC_CALL(run, code, run->ops->test_isolated(run->sut, start, end, token, &why));
	run->must_be_unchanged = true;
	if (!contig_told(run, &a, code))
		return false;
	if ((code == PFA_OK || code == PFA_EBUSY || code == PFA_ERANGE) &&
	    (why.reason != a.why.reason || (code != PFA_OK && why.pfn != a.why.pfn)))
		return exec_fail(run, "I11 blocker", "what is in use of isolated pageblocks (pfn, reason)", a.why.pfn, a.why.reason, why.reason);
	return true;
}

/* ---- ranges -------------------------------------------------------------------------------------------------------- */

bool exec_contig_granted(struct exec_run *run, struct exec_handle *h, pfa_pfn start, size_t nr, uint32_t flags)
{
	const struct request r = request_exact(nr, 0, PFA_MOVABLE | PFA_HIGH | (flags & PFA_ZERO));

	if (!exec_granted(run, h, &r, start))
		return false;
	for (pfa_pfn at = start; at < start + nr; at++) {
		size_t index;
		const unsigned zone = model_zone_of(&run->m, at, &index);
		const struct model_zone *z = &run->m.zone[zone];
		if (!(flags & PFA_CMA) && run->m.type[z->pb_base + ((at >> run->m.pageblock_order) - z->pb_first)] == PFA_TYPE_CMA)
			return exec_fail(run, "I11 cma", "a CMA pageblock was taken without PFA_CMA", at, 0, 1);
	}
	return true;
}

bool exec_contig_is_corrupt(const struct exec_run *run, const struct exec_contig *c, int code)
{
	/* What failed before may have been in another place. A destination that was written to says so by itself. */
	return code == PFA_ECORRUPT && run->nr_written && !(c->last_failed && c->last == PFA_ECORRUPT);
}

bool exec_contig_range(struct exec_run *run, struct exec_handle *h, pfa_pfn start, pfa_pfn end, uint64_t bits)
{
	const uint32_t flags = contig_flags(bits);
	struct exec_contig c = { .ranged = true, .start = start, .end = end,
		                 .fixed = (flags & (PFA_NOMIGRATE | PFA_NOWAIT)) != 0 };
	struct model_answer a = model_expect_contig(&run->m, start, end, flags);
	struct pfa_blocker why = { .reason = PFA_BLOCKER_REASONS }, *out_why = bits & 16 ? NULL : &why;
	struct contig_census census = { .nr = 0 };
	const bool mine = c.held = a.code == PFA_OK;
	int code;

	c.may_hold = !mine && a.loose;
	if (run->p->config.abort_policy && run->nr_poked)
		return exec_skip(run);
	if (a.code != PFA_EINVAL && (flags & PFA_ZERO) && !run->m.can_zero)
		a.code = PFA_ENOTSUP;
	if (a.code == PFA_OK)
		a = model_expect_left(&run->m, &exec_mov.mm, start, end);
	if (mine && !exec_contig_count(run, start, end, &census))
		return false;
	if (mine)
		model_hold(&run->m, a.zone, start, end, MODEL_HELD_NOW);
	exec_contig_before(run, &c);
	run->in_zero = (flags & PFA_ZERO) != 0;
	EXEC_CALL(run, code, run->ops->alloc_contig_range(run->sut, start, end, flags, out_why));
	run->in_zero = false;
	if (mine)
		model_hold(&run->m, a.zone, start, end, 0);
	run->step.code = code;
	if (exec_contig_settle(run, &c) && exec_contig_is_corrupt(run, &c, code))
		return exec_corrupt(run, end - start) && exec_contig_after(run, &c);
	if (!exec_contig_after(run, &c))
		return false;
	exec_contig_outcome(&c, &a);
	if (!exec_contig_judge(run, &c, &a, code, out_why))
		return false;
	if (a.zone == run->m.nr_zones || start >= end)
		return true;
	if (code == PFA_OK && !exec_contig_granted(run, h, start, end - start, flags))
		return false;
	run->r->refusals += code != PFA_OK;
	return exec_contig_judge_census(run, a.zone, &census) && exec_contig_judge_around(run, a.zone, start, end);
}

bool exec_contig_search(struct exec_run *run, struct exec_handle *h, const uint64_t *a)
{
	const uint32_t flags = contig_flags(a[1]) | PFA_ZONE((a[2] & 7) % run->m.nr_zones) | (a[2] & 8 ? PFA_EXACT_ZONE : 0);
	const size_t nr = (size_t)a[3], align = (size_t)1 << a[0];
	struct exec_contig c = { .fixed = (flags & (PFA_NOMIGRATE | PFA_NOWAIT)) != 0 };
	const pfa_pfn untouched = (pfa_pfn)0x5AA5F00Du;
	const bool must = run->have_stats && !run->stale && model_must_find(&run->m, nr, align, flags, run->now);
	const struct pfa_zone_stats *s = &run->now[PFA_ZONE_OF(flags)];
	const bool empty = run->have_stats && !run->stale && !s->cached && !s->quarantined && !run->nr_poked &&
	                   model_empty_window(&run->m, PFA_ZONE_OF(flags), nr, align, flags);
	pfa_pfn pfn = untouched;
	int code;

	if (run->p->config.abort_policy && run->nr_poked)
		return exec_skip(run);
	exec_contig_before(run, &c);
	run->in_zero = (flags & PFA_ZERO) != 0;
	EXEC_CALL(run, code, run->ops->alloc_contig(run->sut, nr, align, flags, &pfn));
	run->in_zero = false;
	run->step.code = code;
	if (code != PFA_OK && pfn != untouched)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, untouched, pfn);
	const bool moved = c.nr != 0;
	if (moved && empty)
		return exec_fail(run, "I11 moves", "a search moves blocks, though there is an empty window", pfn, 0, c.nr);
	if (exec_contig_settle(run, &c) && exec_contig_is_corrupt(run, &c, code))
		return exec_corrupt(run, nr) && exec_contig_after(run, &c);
	if (!exec_contig_after(run, &c))
		return false;
	const bool zero = !(flags & PFA_ZERO) || run->m.can_zero;
	const bool corrupt = code == PFA_ECORRUPT && c.last_failed && c.last == PFA_ECORRUPT; /* a destination was written to */
	if (zero ? code != PFA_OK && code != PFA_ENOMEM && !(code == PFA_EAGAIN && c.fixed) && !corrupt : code != PFA_ENOTSUP)
		return exec_fail(run, "model code", "the result code may not come back", 0, zero ? PFA_OK : (size_t)-PFA_ENOTSUP,
		                 (size_t)(unsigned)-code);
	if (code != PFA_OK) {
		run->r->refusals++;
		return !must || moved || !zero || exec_fail(run, "I11 must find", "a run is free, and none is found", 0, 0, (size_t)(unsigned)-code);
	}
	if (pfn & (align - 1))
		return exec_fail(run, "I15 alignment", "a grant is not aligned", pfn, align, pfn);
	size_t index;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	if (zone < PFA_ZONE_OF(flags) || ((flags & PFA_EXACT_ZONE) && zone != PFA_ZONE_OF(flags)))
		return exec_fail(run, "zone order", "a grant comes from a zone that the request excludes", pfn, PFA_ZONE_OF(flags), zone);
	return exec_contig_granted(run, h, pfn, nr, flags) && exec_contig_judge_around(run, zone, pfn, pfn + nr);
}
