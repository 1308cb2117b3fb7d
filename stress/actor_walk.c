/* SPDX-License-Identifier: MIT
 *
 * Walks over free memory, and the two things that walk.h promises while others work.
 *
 * Each frame that is visited was free at some instant during the walk: a grant's tag is never used twice for a frame, so a frame that
 * bears the tag of a thread when its visit comes, and bore it before the walk, was not free between. A frame that is free
 * all the time is visited: nobody can take what lies in pageblocks that are held and free, so that a walk over them visits each
 * frame once, however often it is stopped and goes on. At rest a walk visits what the library counts as free, and nothing else.
 */
#include "soak.h"

#include <pfa/contig.h>
#include <pfa/walk.h>

#include <stdlib.h>

#define WALK_STOPS 5u /* in a walk, at most */

struct walk {
	struct soak_slot *slot;
	uint32_t *tags; /* of the shadow, before; NULL: not looked at */
	unsigned order, stops;
	bool pieces;        /* stops now and then */
	pfa_pfn start, end; /* visited frames of it are counted; behind it the walk ends */
	pfa_pfn done;       /* below it all was visited, in this zone */
	unsigned zone;
	size_t counted, frames;
};

struct walk_state {
	uint32_t *tags;
};

/* Has the frame belonged to one grant of a thread since before the walk? */
static bool walk_was_owned(const struct walk *w, size_t rel)
{
	uint32_t tag = atomic_load_explicit(&soak.shadow[rel], memory_order_relaxed);
	return tag && tag == w->tags[rel] && tag >> 20 < soak.nr_slots;
}

/* The canary: instead of a frame that is visited one that this thread has owned since before the walk. */
static size_t walk_frame(const struct walk *w, size_t rel)
{
	if (soak.opt.canary != SOAK_CANARY_visited)
		return rel;
	for (size_t own = 0; own < soak.geo.span; own++)
		if (w->tags[own] >> 20 == w->slot->id && walk_was_owned(w, own))
			return soak_canary(SOAK_CANARY_visited) ? own : rel;
	return rel;
}

static void walk_judge(struct walk *w, struct pfa_run run)
{
	const size_t unit = ((size_t)1 << w->order) - 1, rel = run.first - soak.geo.base;
	unsigned zone;
	if (run.nr_frames == 0 || run.first < soak.geo.base || rel >= soak.geo.span || run.nr_frames > soak.geo.span - rel)
		soak_fail("walk", "a visit of [%zu, +%zu), outside of the instance", run.first, run.nr_frames);
	if ((run.first | run.nr_frames) & unit)
		soak_fail("walk", "a visit of [%zu, +%zu), which are no blocks of order %u", run.first, run.nr_frames, w->order);
	zone = soak.attr[rel] & ~SOAK_IN_CMA;
	if (zone == w->zone ? run.first < w->done : zone < w->zone)
		soak_fail("walk", "[%zu, +%zu) of zone %u is visited after frame %zu of zone %u", run.first, run.nr_frames, zone, w->done - 1,
		          w->zone);
	for (size_t i = 0; i < run.nr_frames; i++) {
		if ((soak.attr[rel + i] & ~SOAK_IN_CMA) != zone)
			soak_fail("walk", "frame %zu is visited with zone %u, and is not of it", run.first + i, zone);
		if (!w->tags)
			continue;
		const size_t at = walk_frame(w, rel + i);
		if (walk_was_owned(w, at))
			soak_fail("walk", "frame %zu is visited as free, and has belonged to %u:%u since before the walk", soak.geo.base + at,
			          w->tags[at] >> 20, w->tags[at] & 0xFFFFF);
	}
	w->zone = zone;
	w->done = run.first + run.nr_frames;
	w->frames += run.nr_frames;
}

static int walk_visit(void *ctx, struct pfa_run run)
{
	struct walk *w = ctx;
	pfa_pfn from = run.first > w->start ? run.first : w->start, last = run.first + run.nr_frames, to = last < w->end ? last : w->end;
	walk_judge(w, run);
	if (from < to && !soak_canary(SOAK_CANARY_unvisited)) /* the canary: one visit is lost */
		w->counted += to - from;
	if (w->start < w->end && last >= w->end)
		return 1;
	if (w->pieces && w->stops < WALK_STOPS && soak_chance(&w->slot->rng, 10)) {
		w->stops++;
		return 2;
	}
	return 0;
}

/* From the cursor to the end of what is wanted, in as many pieces as the visitor makes of it. */
static void walk_go(struct walk *w, struct pfa_cursor cursor)
{
	int rc;
	do {
		struct soak_record *record = soak_record(w->slot, SOAK_OP_walk, w->order, cursor.zone, cursor.next);
		unsigned stops = w->stops;
		rc = pfa_walk_free(soak.pfa, w->order, walk_visit, w, &cursor);
		soak_recorded(record, rc);
		if (rc == PFA_ESTOP && (cursor.zone != w->zone || cursor.next != w->done))
			soak_fail("walk", "a walk that was stopped behind frame %zu goes on at %zu", w->done - 1, cursor.next);
		if (rc == PFA_ESTOP && w->stops == stops)
			break;
		if (rc != PFA_ESTOP)
			soak_expect(w->slot, "pfa_walk_free", rc, PFA_OK);
	} while (rc == PFA_ESTOP);
	soak_count(&soak_tally(w->slot)->checks, 1);
}

static void walk_all(struct soak_slot *slot, struct walk_state *state)
{
	struct walk w = {.slot = slot, .tags = state->tags, .pieces = soak_chance(&slot->rng, 50)};
	w.order = soak_below(&slot->rng, soak_chance(&slot->rng, 60) ? 3 : soak.geo.config.max_order + 1);
	w.order = w.order < soak.geo.config.max_order ? w.order : soak.geo.config.max_order;
	for (size_t rel = 0; rel < soak.geo.span; rel++)
		state->tags[rel] = atomic_load_explicit(&soak.shadow[rel], memory_order_relaxed);
	walk_go(&w, (struct pfa_cursor){0, 0, 0});
}

/* Some whole pageblocks of a zone without holes. False: there are none where it was looked. */
static bool walk_pick(struct soak_slot *slot, pfa_pfn *start, pfa_pfn *end, unsigned *zone)
{
	const size_t pb = (size_t)1 << soak.geo.config.pageblock_order, nr = (1 + soak_below(&slot->rng, 3)) * pb;
	const struct pfa_zone_config *z;
	*zone = soak_below(&slot->rng, soak.geo.config.nr_zones);
	z = &soak.geo.zones[*zone];
	*start = (z->start + soak_below(&slot->rng, (uint32_t)z->nr_frames)) & ~(pb - 1);
	*end = *start + nr;
	if (*start < z->start || *end > z->start + z->nr_frames)
		return false;
	for (pfa_pfn pfn = *start; pfn < *end; pfn++)
		if (soak.attr[pfn - soak.geo.base] == SOAK_ABSENT)
			return false;
	return true;
}

/* Over what nobody can take. */
static void walk_held(struct soak_slot *slot)
{
	const struct pfa_config *c = &soak.geo.config;
	struct walk w = {.slot = slot, .pieces = soak_chance(&slot->rng, 50)};
	struct soak_record *record;
	pfa_token token = 0;
	int rc;
	if (!walk_pick(slot, &w.start, &w.end, &w.zone))
		return;
	record = soak_record(slot, SOAK_OP_isolate, w.start, w.end, PFA_NOMIGRATE | PFA_NOWAIT);
	soak_may_move(slot, true);
	rc = pfa_isolate_range(soak.pfa, w.start, w.end, PFA_NOMIGRATE | PFA_NOWAIT, &token, NULL);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (rc != PFA_OK)
		return;
	soak_expect(slot, "pfa_cache_drain", pfa_cache_drain(soak.pfa, PFA_ALL_CPUS), PFA_OK);
	w.order = soak_below(&slot->rng, (c->pageblock_order < c->max_order ? c->pageblock_order : c->max_order) + 1);
	w.done = w.start;
	if (pfa_test_isolated(soak.pfa, w.start, w.end, token, NULL) == PFA_OK) {
		walk_go(&w, (struct pfa_cursor){w.zone, 0, w.start});
		if (w.counted != w.end - w.start)
			soak_fail("walk", "of [%zu, %zu), which is held and free, a walk of order %u visits %zu frames", w.start, w.end, w.order,
			          w.counted);
	}
	record = soak_record(slot, SOAK_OP_undo_isolate, w.start, w.end, token);
	rc = pfa_undo_isolate_range(soak.pfa, w.start, w.end, token);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_undo_isolate_range by who holds it", rc, PFA_OK);
}

static void walk_init(struct soak_slot *slot, void *state)
{
	struct walk_state *s = state;
	(void)slot;
	s->tags = calloc(soak.geo.span, sizeof(*s->tags));
	if (!s->tags)
		exit(2);
}

static void walk_fini(struct soak_slot *slot, void *state)
{
	struct walk_state *s = state;
	(void)slot;
	free(s->tags);
	s->tags = NULL;
}

static void walk_step(struct soak_slot *slot, void *state)
{
	if (soak_chance(&slot->rng, 60))
		walk_all(slot, state);
	else
		walk_held(slot);
}

/* As many frames as are free; no more in larger blocks. */
static void walk_quiet(struct soak_slot *slot)
{
	const unsigned top = soak.geo.config.max_order < soak.geo.config.pageblock_order ? soak.geo.config.max_order : soak.geo.config.pageblock_order;
	size_t free_frames = 0;
	struct walk all = {.slot = slot};
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		soak_expect(slot, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, z, &s, sizeof(s)), PFA_OK);
		free_frames += s.free + s.free_isolated;
	}
	walk_go(&all, (struct pfa_cursor){0, 0, 0});
	if (all.frames != free_frames)
		soak_fail("walk", "a walk at rest visits %zu frames, and %zu are free", all.frames, free_frames);
	for (unsigned order = 1; order <= top; order++) {
		struct walk w = {.slot = slot, .order = order, .pieces = true};
		walk_go(&w, (struct pfa_cursor){0, 0, 0});
		if (w.frames > all.frames)
			soak_fail("walk", "a walk at rest visits %zu frames in blocks of order %u, and of order 0 %zu", w.frames, order, all.frames);
	}
}

const struct soak_actor soak_actor_walk = {
	.name = "walk",
	.weight = 8,
	.state_bytes = sizeof(struct walk_state),
	.init = walk_init,
	.step = walk_step,
	.quiet = walk_quiet,
	.fini = walk_fini,
};
