/* SPDX-License-Identifier: MIT
 *
 * The walk over free memory: runs are collected under the zone's lock, a batch at a time, and visited without it. The map is read
 * by address, and what lies behind the cursor is not looked at again: so nothing that others do can make it longer.
 */
#include <pfa/walk.h>

#include "closed.h"
#include "damage.h"
#include "zone.h"

struct walk_batch {
	unsigned nr;
	size_t at; /* rels below are done */
	struct pfa_run runs[PFA_WALK_RUNS]; /* first: a rel */
};

/* The frames of one word that are in free blocks of 2^order, order < word. */
static inline pfai_word walk_blocks(pfai_word free, unsigned order)
{
	free = pfai_fold(free, order);
	for (unsigned o = 0; o < order; o++)
		free |= free << (1u << o);
	return free;
}

/* Adds [first, first + nr) to the batch. False: there is no room. */
static inline bool walk_add(struct walk_batch *b, size_t first, size_t nr)
{
	if (b->nr && b->runs[b->nr - 1].first + b->runs[b->nr - 1].nr_frames == first) {
		b->runs[b->nr - 1].nr_frames += nr;
		return true;
	}
	if (b->nr == PFA_WALK_RUNS)
		return false;
	b->runs[b->nr++] = (struct pfa_run){ first, nr };
	return true;
}

/* The runs of one word. False: the batch is full, and b->at says how far it got. */
static inline bool walk_word(struct walk_batch *b, size_t rel, pfai_word free)
{
	if (free == PFAI_ONES)
		return walk_add(b, rel, PFAI_WORD_BITS);
	if (free & 1) { /* the only one that may go on with what lies before the word */
		unsigned nr = pfai_ctz(~free);
		if (!walk_add(b, rel, nr))
			return false;
		free &= free + 1;
	}
	/* The frames that runs begin and end with, one of each a run: two short chains, where taking the runs off the word is a long one. */
	pfai_word firsts = free & ~(free << 1), lasts = free & ~(free >> 1);
	unsigned nr = pfai_popcount(firsts), room = PFA_WALK_RUNS - b->nr;
	struct pfa_run *run = b->runs + b->nr, *end = run + (nr < room ? nr : room);
	for (; run < end; run++) {
		unsigned first = pfai_ctz(firsts);
		*run = (struct pfa_run){ rel + first, pfai_ctz(lasts) - first + 1 };
		firsts &= firsts - 1;
		lasts &= lasts - 1;
	}
	b->nr = (unsigned)(end - b->runs);
	if (firsts)
		b->at = rel + pfai_ctz(firsts);
	return !firsts;
}

/* What is free, and what the reporter holds: told, and not free. */
static inline pfai_word walk_free(const struct pfai_zone *z, size_t word)
{
	pfai_word free = ~z->not_free[word];
	return PFAI_UNLIKELY(z->st->held_report != 0 && z->told) ? free | z->told[word] : free;
}

static inline bool walk_unit_free(const struct pfai_zone *z, size_t rel, size_t nr)
{
	if (PFAI_LIKELY(z->st->held_report == 0))
		return pfai_map_is(z->not_free, rel, nr, false);
	for (size_t word = rel >> PFAI_WORD_SHIFT; word < (rel + nr) >> PFAI_WORD_SHIFT; word++)
		if (walk_free(z, word) != PFAI_ONES)
			return false;
	return true;
}

/* Fills the batch from b->at on. */
static void walk_collect_locked(const struct pfai_zone *z, unsigned order, struct walk_batch *b)
{
	size_t step = order < PFAI_WORD_SHIFT ? PFAI_WORD_BITS : (size_t)1 << order;
	size_t limit = b->at > SIZE_MAX - PFA_WALK_FRAMES ? SIZE_MAX : b->at + PFA_WALK_FRAMES;
	b->nr = 0;
	while (b->at < z->nr_rel && b->at < limit) {
		size_t rel = b->at & ~(step - 1);
		if (order >= PFAI_WORD_SHIFT) {
			if (step <= z->nr_rel - rel && walk_unit_free(z, rel, step) && !walk_add(b, b->at, rel + step - b->at))
				return;
		} else {
			pfai_word free = walk_blocks(walk_free(z, rel >> PFAI_WORD_SHIFT), order);
			if (b->at != rel)
				free &= PFAI_ONES << (b->at - rel);
			if (!walk_word(b, rel, free))
				return;
		}
		b->at = step < z->nr_rel - rel ? rel + step : z->nr_rel;
	}
}

/* One batch of a zone: collected, then visited. *cursor is kept behind what was visited. */
static int walk_batch(struct pfa *p, struct pfai_zone *z, unsigned order, pfa_visitor *visit, void *ctx,
                      struct pfa_cursor *cursor)
{
	struct walk_batch b;
	b.at = cursor->next > z->start ? cursor->next - z->origin : z->start - z->origin;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	size_t from = b.at;
	walk_collect_locked(z, order, &b);
	pfai_zone_steps(z, ((b.at - from) >> PFAI_WORD_SHIFT) + b.nr + 1);
	pfai_zone_unlock(p, z);
	for (unsigned i = 0; i < b.nr; i++) {
		struct pfa_run run = { z->origin + b.runs[i].first, b.runs[i].nr_frames };
		cursor->next = run.first + run.nr_frames;
		if (visit(ctx, run))
			return PFA_ESTOP;
	}
	cursor->next = b.at < z->end - z->origin ? z->origin + b.at : z->end;
	return PFA_OK;
}

/* The rest of a zone. */
static int walk_zone(struct pfa *p, struct pfai_zone *z, unsigned order, pfa_visitor *visit, void *ctx,
                     struct pfa_cursor *cursor)
{
	int result = PFA_OK;
	while (result == PFA_OK && order <= z->top_order && cursor->next < z->end) {
		if (pfai_load_relaxed(&z->st->corrupt))
			return PFA_ECORRUPT;
		result = walk_batch(p, z, order, visit, ctx, cursor);
	}
	return result;
}

/* In the child of a fork() by a visitor nobody walks any more, though this walk goes on. */
static void walk_ends(struct pfa *p)
{
	uint32_t nr;
	do
		nr = pfai_load_relaxed(&p->st->nr_walks);
	while (nr && !pfai_cas32(&p->st->nr_walks, nr, nr - 1));
}

int pfa_walk_free(struct pfa *p, unsigned min_order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	struct pfa_cursor all = { 0, 0, 0 };
	int result = pfai_closed_or_inside(p, "pfa_walk_free");
	bool damaged = false;
	if (result != PFA_OK)
		return result;
	cursor = cursor ? cursor : &all;
	if (!visit || min_order > p->max_order || cursor->zone > p->nr_zones || cursor->reserved)
		return PFA_EINVAL;
	if (cursor->zone < p->nr_zones ? cursor->next > p->zones[cursor->zone].end : cursor->next != 0)
		return PFA_EINVAL;
	pfai_add_relaxed(&p->st->nr_walks, 1u);
	for (; cursor->zone < p->nr_zones; cursor->zone++, cursor->next = 0) {
		result = walk_zone(p, &p->zones[cursor->zone], min_order, visit, ctx, cursor);
		if (result == PFA_ECORRUPT)
			damaged = true;
		else if (result != PFA_OK)
			break;
	}
	walk_ends(p);
	if (result != PFA_ESTOP && result != PFA_EBUSY)
		result = damaged ? pfai_tell(p, "pfa_walk_free") : PFA_OK;
	return result;
}
