/* SPDX-License-Identifier: MIT
 *
 * exec_real_walk.c - pfa_walk_free() with visitors that change what is walked over, and the two things that hold then: what is free in
 * a block of the order from before until after is visited, and what is visited was free at some instant.
 */
#include "exec_real_report.h"

#include <string.h>

/* One walk runs at a time but for those that visitors make, which are not judged. */
static struct walking {
	unsigned order, does, after, visits, zone;
	pfa_pfn behind;            /* in that zone, frames below are done */
	bool stopped;
	unsigned char free[REAL_FRAMES];  /* all the time so far; */
	unsigned char ever[REAL_FRAMES];  /* at some instant since; */
	unsigned char seen[REAL_FRAMES];  /* visited */
} walking;

/* What the reporter holds counts as free. */
static void walk_observe(struct real_run *r, bool first)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	size_t at = 0;
	for (unsigned i = 0; i < cfg->nr_zones; i++)
		for (size_t k = 0; k < cfg->zones[i].nr_frames; k++, at++) {
			const bool free = told_state(r, cfg->zones[i].start + k) == PFA_FRAME_FREE;
			walking.free[at] = free && (first || walking.free[at]);
			walking.ever[at] = free || (!first && walking.ever[at]);
		}
}

static int walk_nothing(void *ctx, struct pfa_run run)
{
	(void)ctx;
	return run.nr_frames == 0;
}

static bool walk_judge_run(struct real_run *r, struct pfa_run run)
{
	const size_t unit = (size_t)1 << walking.order;
	const unsigned zone = told_zone(r, run.first, run.nr_frames);

	/* The first may be the rest of one that the cursor lies in. */
	const bool rest = walking.visits == 1 && zone == walking.zone && run.first == walking.behind;

	if (zone == r->run->setup.cfg.nr_zones || !run.nr_frames || (run.first % unit && !rest) || (run.first + run.nr_frames) % unit)
		return real_fail(r, "walk run", "what is visited is not whole blocks of a zone", run.first, unit, run.nr_frames);
	if (zone < walking.zone || (zone == walking.zone && run.first < walking.behind))
		return real_fail(r, "walk twice", "the walk goes back, or visits a frame again", run.first, walking.behind, zone);
	walking.zone = zone;
	walking.behind = run.first + run.nr_frames;
	for (size_t i = 0; i < run.nr_frames; i++) {
		const size_t at = real_index(r, run.first + i);
		if (!walking.ever[at])
			return real_fail(r, "walk free", "a frame is visited that was not free at any time since the walk began", run.first + i, 1, 0);
		walking.seen[at] = 1;
	}
	return true;
}

static void walk_does(struct real_run *r, struct pfa_run run)
{
	static const uint32_t any = UINT32_MAX;
	r->acted++;
	r->depth++;
	switch (walking.does) {
	case 2: (void)real_extra_take(r); break;
	case 3: (void)real_extra_give(r); break;
	case 4: (void)real_core_free_one(r); break;
	case 5: (void)real_may(r, pfa_walk_free(r->pfa, 0, walk_nothing, NULL, NULL), REAL_MAY(PFA_OK), "a walk inside of a walk"); break;
	case 6: (void)told_flush(r); break;
	case 7: (void)told_leave(r, false); break;
	case 8: (void)(r->told.suspended ? told_resume(r) : told_leave(r, true)); break;
	case 9: (void)real_may(r, pfa_fini(r->pfa), REAL_MAY(PFA_EDEADLK), "pfa_fini() inside of a walk"); break;
	case 10: (void)told_hold(r, run.first, r->told.token != 0); break;
	case 11: (void)real_may(r, pfa_cache_drain(r->pfa, PFA_ALL_CPUS), REAL_MAY(PFA_OK), "pfa_cache_drain()"); break;
	case 12: (void)real_may(r, told_service(r, 3), REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN), "pfa_service()"); break;
	case 13: (void)real_may(r, pfa_mark_bad(r->pfa, run.first), any, "pfa_mark_bad()"); break;
	case 14:
		if (!r->told.registered)
			(void)told_register_any(r, (uint32_t)run.first);
		break;
	case 15: told_takes_and_gives(r); break;
	default: break;
	}
	r->depth--;
	walk_observe(r, false);
}

static int walk_visit(void *ctx, struct pfa_run run)
{
	struct real_run *r = ctx;
	const unsigned visit = walking.visits++;

	if (visit > told_frames(r))
		(void)real_fail(r, "walk end", "more visits than there are frames", run.first, told_frames(r), visit);
	if (r->failed || !walk_judge_run(r, run))
		return 1;
	if (visit % (walking.after + 1) != walking.after || !walking.does)
		return 0;
	if (walking.does == 1) {
		walking.stopped = true;
		return 7;
	}
	walk_does(r, run);
	return r->failed;
}

/* Each unit that was free all the time, between where the walk began and where it ended. */
static bool walk_judge_missed(struct real_run *r, const struct pfa_cursor *from, const struct pfa_cursor *to)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const size_t unit = (size_t)1 << walking.order;

	for (unsigned i = from->zone; i < cfg->nr_zones && i <= to->zone; i++) {
		const pfa_pfn start = cfg->zones[i].start, end = start + cfg->zones[i].nr_frames;
		pfa_pfn at = i == from->zone && from->next > start ? from->next : start;
		const pfa_pfn stop = i == to->zone ? to->next : end;
		for (at = (at + unit - 1) & ~(pfa_pfn)(unit - 1); at < stop && unit <= end - at && at + unit <= stop; at += unit) {
			size_t free = 0, seen = 0;
			for (size_t k = 0; k < unit; k++) {
				free += walking.free[real_index(r, at + k)];
				seen += walking.seen[real_index(r, at + k)];
			}
			if (free == unit && seen != unit)
				return real_fail(r, "walk missed", "a block was free all the time, and was not visited", at, unit, seen);
		}
	}
	return true;
}

bool real_walk(struct real_run *r, const uint64_t *a)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const unsigned how = (unsigned)a[3];
	struct pfa_cursor from = { 0, 0, 0 }, to, *cursor = how ? &to : NULL;

	if (r->told.walks)
		return true;
	if (how == 2)
		from = r->told.cursor;
	to = from;
	if (how == 3)
		to.zone = cfg->nr_zones + 1;
	if (how == 4)
		to.reserved = 1;
	if (how == 5)
		to.next = cfg->zones[0].start + cfg->zones[0].nr_frames + 1;
	memset(&walking, 0, sizeof(walking));
	walking.order = (unsigned)a[0];
	walking.does = (unsigned)a[1];
	walking.after = (unsigned)a[2];
	walking.zone = from.zone;
	walking.behind = from.next;
	walk_observe(r, true);
	const bool wrong = (how >= 3 && how <= 6) || walking.order > r->run->p->config.max_order;
	r->told.walks = true;
	const int code = real_calls.walk(r->pfa, walking.order, how == 6 ? NULL : walk_visit, r, cursor);
	r->told.walks = false;
	if (r->failed || !real_may(r, code, REAL_MAY(wrong ? PFA_EINVAL : walking.stopped ? PFA_ESTOP : PFA_OK), "pfa_walk_free()"))
		return false;
	r->run->step.value = walking.visits;
	if (wrong)
		return true;
	if (!walking.stopped) {
		const struct pfa_cursor end = { cfg->nr_zones, 0, 0 };
		if (cursor && (to.zone != end.zone || to.next))
			return real_fail(r, "walk cursor", "the cursor of a walk that came to the end says something else", to.next, end.zone, to.zone);
		to = end;
	} else if (!cursor) {
		to = (struct pfa_cursor){ walking.zone, 0, walking.behind };
	} else if (to.zone != walking.zone || to.next != walking.behind) {
		return real_fail(r, "walk cursor", "the cursor is not behind what was visited last", to.next, walking.behind, to.zone);
	}
	r->told.cursor = to.zone < cfg->nr_zones ? to : (struct pfa_cursor){ 0, 0, 0 };
	walk_observe(r, false);
	return walk_judge_missed(r, &from, &to);
}
