/* SPDX-License-Identifier: MIT
 *
 * The division of free blocks, exhaustively: blocks of every order up to the pageblock's + 3, cut at every offset, from either
 * side; held in part, in every way; freed while part of them is held. Pieces and counters against a naive model.
 */
#include "blocks.h"
#include "unit.h"

#include <pfa/contig.h>

#include <string.h>

enum { PB_ORDER = 6, PB = 1 << PB_ORDER, TOP = PB_ORDER + 3, FRAMES = 4 << TOP };

static struct blocks b;

/* A zone of which all is used, frame by frame. */
static void base(struct rig *rig, unsigned max_order, size_t nr_frames)
{
	pfa_pfn pfn;
	rig_init(rig);
	rig->cfg.max_order = max_order;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig_zone(rig, 0, nr_frames);
	rig_start(rig);
	blocks_start(&b, rig, nr_frames);
	for (size_t i = 0; i < nr_frames; i++)
		MUST_EQ(pfa_alloc(rig->pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
	blocks_mark(b.used, 0, nr_frames, 1);
	blocks_compare(&b, rig);
}

static void release(struct rig *rig, pfa_pfn first, pfa_pfn end)
{
	MUST_EQ(pfa_free_contig_range(rig->pfa, first, end - first), PFA_OK);
	blocks_mark(b.used, first, end, 0);
}

static void take(struct rig *rig, pfa_pfn first, pfa_pfn end)
{
	struct pfa_blocker why;
	MUST_EQ(pfa_alloc_contig_range(rig->pfa, first, end, PFA_NOMIGRATE, &why), PFA_OK);
	MUST_EQ(why.reason, PFA_BLOCKER_NONE);
	blocks_mark(b.used, first, end, 1);
}

static pfa_token hold(struct rig *rig, pfa_pfn first, pfa_pfn end)
{
	pfa_token token;
	EXPECT(pfa_isolate_range, PFA_OK, rig->pfa, first, end, 0, &token, NULL);
	blocks_mark(b.held, first / PB * PB, (end + PB - 1) / PB * PB, 1);
	return token;
}

static void undo(struct rig *rig, pfa_pfn first, pfa_pfn end, pfa_token token)
{
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig->pfa, first, end, token);
	blocks_mark(b.held, first / PB * PB, (end + PB - 1) / PB * PB, 0);
}

static void done(struct rig *rig)
{
	pfa_pfn at = 0;
	for (; at < b.nr_frames; at++)
		if (b.used[at])
			MUST_EQ(pfa_free(rig->pfa, at, 0), PFA_OK);
	rig_stop(rig);
}

/* One free block, in two places; cut at every offset, the one or the other part being taken. */
static void cut(struct rig *rig, pfa_pfn at, unsigned order)
{
	const pfa_pfn end = at + ((pfa_pfn)1 << order);
	release(rig, at, end);
	blocks_compare(&b, rig);
	for (pfa_pfn offset = at + 1; offset < end; offset++) {
		take(rig, at, offset);
		blocks_compare(&b, rig);
		take(rig, offset, end);
		blocks_compare(&b, rig);
		release(rig, at, offset);
		blocks_compare(&b, rig);
		release(rig, offset, end);
		blocks_compare(&b, rig);
	}
	rig_check(rig);
	take(rig, at, end);
}

static void test_cut_at_every_offset(void **state)
{
	struct rig rig;
	(void)state;
	base(&rig, TOP, FRAMES);
	for (unsigned order = 0; order <= TOP; order++) {
		cut(&rig, 0, order);
		cut(&rig, FRAMES - ((pfa_pfn)1 << order), order);
		cut(&rig, (pfa_pfn)3 << order, order);
	}
	done(&rig);
}

/* The free block [at, end) is held in part, from pageblock to pageblock, in every way. What is around it stays used. */
static void hold_parts(struct rig *rig, pfa_pfn at, pfa_pfn end)
{
	for (pfa_pfn first = at / PB * PB; first < end; first += PB) {
		for (pfa_pfn last = first + PB; last < end + PB; last += PB) {
			pfa_token token = hold(rig, first, last);
			blocks_compare(&b, rig);
			rig_check(rig);
			undo(rig, first, last, token);
			blocks_compare(&b, rig);
		}
	}
	rig_check(rig);
}

/* A used block is freed while a part of it is held. */
static void free_held_parts(struct rig *rig, pfa_pfn at, unsigned order)
{
	const pfa_pfn end = at + ((pfa_pfn)1 << order);
	pfa_pfn pfn;
	for (pfa_pfn first = at; first < end; first += PB) {
		for (pfa_pfn last = first + PB; last <= end; last += PB) {
			release(rig, at, end);
			EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE, &pfn);
			MUST_EQ(pfn, at);
			blocks_mark(b.used, at, end, 1);
			/* It reaches over the edges: so one call cannot hold just this, but a range call does while it runs. Here: the whole
			 * is held, and the rest given up. */
			pfa_token token = hold(rig, at, end);
			if (first > at)
				undo(rig, at, first, token);
			if (last < end)
				undo(rig, last, end, token);
			EXPECT(pfa_free, PFA_OK, rig->pfa, pfn, order);
			blocks_mark(b.used, at, end, 0);
			blocks_compare(&b, rig);
			rig_check(rig);
			undo(rig, first, last, token);
			blocks_compare(&b, rig);
			rig_check(rig);
			take(rig, at, end);
		}
	}
}

static void test_hold_parts(void **state)
{
	struct rig rig;
	(void)state;
	for (unsigned max_order = PB_ORDER - 2; max_order <= TOP; max_order++) {
		base(&rig, max_order, FRAMES);
		for (unsigned order = 0; order <= max_order; order++) {
			pfa_pfn at = (pfa_pfn)2 << TOP, end = at + ((pfa_pfn)1 << order);
			release(&rig, at, end);
			hold_parts(&rig, at, end);
			take(&rig, at, end);
			if (order > PB_ORDER)
				free_held_parts(&rig, at, order);
		}
		done(&rig);
	}
}

/* Everything is free: the pageblock before and the one after every boundary is held, and both, by different callers. */
static void test_around_every_boundary(void **state)
{
	struct rig rig;
	(void)state;
	for (unsigned max_order = PB_ORDER - 1; max_order <= TOP; max_order++) {
		base(&rig, max_order, FRAMES - 17);
		release(&rig, 0, FRAMES - 17);
		blocks_compare(&b, &rig);
		for (pfa_pfn at = PB; at < FRAMES; at += PB) {
			pfa_pfn end = at + PB < FRAMES - 17 ? at + PB : FRAMES - 17;
			pfa_token before = hold(&rig, at - PB, at);
			blocks_compare(&b, &rig);
			pfa_token after = hold(&rig, at, end);
			MUST(before != after);
			blocks_compare(&b, &rig);
			undo(&rig, at - PB, at, before);
			blocks_compare(&b, &rig);
			undo(&rig, at, end, after);
			blocks_compare(&b, &rig);
		}
		rig_check(&rig);
		rig_stop(&rig);
	}
}

/* Some frames of each pageblock are used: held and given up, whatever is free in it stays where it was. */
static void test_hold_what_is_partly_used(void **state)
{
	struct rig rig;
	struct rng rng = {5};
	(void)state;
	base(&rig, PB_ORDER + 1, FRAMES);
	for (unsigned round = 0; round < 200; round++) {
		pfa_pfn at = rng_below(&rng, FRAMES), end = at + 1 + rng_below(&rng, 3 * PB);
		end = end < FRAMES ? end : FRAMES;
		for (unsigned i = 0; i < 40; i++) {
			pfa_pfn frame = rng_below(&rng, FRAMES);
			if (b.used[frame])
				release(&rig, frame, frame + 1);
			else
				take(&rig, frame, frame + 1);
		}
		pfa_token token = hold(&rig, at, end);
		blocks_compare(&b, &rig);
		for (unsigned i = 0; i < 20; i++) {
			pfa_pfn frame = at + rng_below(&rng, end - at);
			if (b.used[frame])
				release(&rig, frame, frame + 1);
		}
		blocks_compare(&b, &rig);
		rig_check(&rig);
		undo(&rig, at, end, token);
		blocks_compare(&b, &rig);
	}
	done(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_cut_at_every_offset),
	TEST(test_hold_parts),
	TEST(test_around_every_boundary),
	TEST(test_hold_what_is_partly_used),
};
UNIT_MAIN(tests)
