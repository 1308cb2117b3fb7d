/* SPDX-License-Identifier: MIT
 *
 * Part of test_bounds.c: contiguous runs where movable frames lie at random, and caches are full: what is in the way is drained, moved,
 * or refuses to move.
 */
#ifndef BOUNDS_CONTIG_H
#define BOUNDS_CONTIG_H

#include <pfa/contig.h>

/* Every frame of the lower half, and one of four of the rest at random, is a movable block of its own; what is free is in the caches
 * as far as it fits. */
static void contig_crowd(void)
{
	while (take_one(0, PFA_MOVABLE))
		;
	for (size_t nr = nr_live; nr; nr--) {
		if ((moving.stay && (live[nr_live - 1].pfn & moving.stay) == moving.stay) ||
		    live[nr_live - 1].pfn < rig.zones[0].nr_frames / 2 || rng_one_in(&rng, 4))
			moving_adopt();
		else
			give(nr_live - 1);
	}
	fill_caches();
}

static void contig_leave(void)
{
	while (moving.nr)
		moving_free();
	give_all();
}

static void contig_range(pfa_pfn start, size_t nr, size_t frames)
{
	MEASURE(pfa_alloc_contig_range, nr, frames, rig.pfa, start, start + frames, 0, NULL);
	if (result != PFA_OK)
		return;
	MEASURE(pfa_free_range, frames, 1, rig.pfa, start, frames);
	MUST_EQ(result, PFA_OK);
}

static void contig_isolated(pfa_pfn start, size_t nr)
{
	pfa_token token;
	MEASURE(pfa_isolate_range, nr, nr * PB, rig.pfa, start, start + nr * PB, 0, &token, NULL);
	if (result == PFA_OK)
		MUST_EQ(pfa_undo_isolate_range(rig.pfa, start, start + nr * PB, token), PFA_OK);
}

static void contig_offlined(pfa_pfn start, size_t nr)
{
	MEASURE(pfa_offline_range, nr, nr * PB, rig.pfa, start, nr * PB, 0, NULL);
	if (result == PFA_OK)
		MUST_EQ(pfa_online_range(rig.pfa, start, nr * PB, NULL), PFA_OK);
}

static void contig_area(pfa_pfn start, size_t nr)
{
	pfa_cma area;
	MEASURE(pfa_cma_create, nr, nr * PB, rig.pfa, start, nr * PB, 0, &area, NULL);
	if (result == PFA_OK)
		MUST_EQ(pfa_cma_destroy(rig.pfa, area), PFA_OK);
}

/* Frames of an area: each of them is a movable block that refuses; and none is in use. */
static void contig_in_area(size_t nr, size_t frames, bool refuse)
{
	const pfa_pfn start = rig.zones[0].start + PB;
	pfa_pfn pfn;
	pfa_cma area;
	MUST_EQ(pfa_cma_create(rig.pfa, start, nr * PB, 0, &area, NULL), PFA_OK);
	for (unsigned i = 0; i < 8; i++) /* where something could move to */
		(void)take_one(0, PFA_UNMOVABLE);
	while (refuse && moving_take(0))
		;
	give_all();
	moving.says = refuse ? PFA_EAGAIN : PFA_OK;
	MEASURE(pfa_cma_alloc, nr, frames, rig.pfa, area, frames, 1, 0, &pfn);
	MUST(refuse == (result != PFA_OK));
	moving.says = PFA_OK;
	if (!refuse)
		MUST_EQ(pfa_cma_release(rig.pfa, area, pfn, frames), PFA_OK);
	contig_leave();
	MUST_EQ(pfa_cma_destroy(rig.pfa, area), PFA_OK);
}

static void contig_searched(size_t frames, size_t align)
{
	pfa_pfn pfn;
	MEASURE(pfa_alloc_contig, align < frames ? (frames - 1) / PB + 2 : 1, frames, rig.pfa, frames, align, 0, &pfn);
	if (result == PFA_OK) {
		MEASURE(pfa_free_range, frames, 1, rig.pfa, pfn, frames);
		MUST_EQ(result, PFA_OK);
	}
}

static void contig_each(size_t nr, unsigned way)
{
	const pfa_pfn start = rig.zones[0].start + PB;
	contig_crowd();
	if (way == 0)
		contig_range(start, nr, nr * PB);
	if (way == 1)
		contig_isolated(start, nr);
	if (way == 2)
		contig_offlined(start, nr);
	if (way == 3)
		contig_area(start, nr);
	if (way == 4)
		contig_searched(nr * PB, 1);
	contig_leave();
}

/* Blocks across both edges, which move or refuse. */
static void contig_edges(void)
{
	for (unsigned way = 0; rig.pfa->max_order > rig.pfa->pb_order && way < 2; way++) {
		while (moving_take(rig.pfa->max_order))
			;
		for (unsigned i = 0; i < 2 && moving.nr; i++)
			moving_free();
		moving.says = way ? PFA_EAGAIN : PFA_OK;
		for (unsigned i = 0; i < 4; i++)
			contig_isolated(rig.zones[0].start + PB + i * ((size_t)1 << rig.pfa->max_order), 1);
		moving.says = PFA_OK;
		contig_leave();
	}
}

static void contig_world(void)
{
	uint32_t slot;
	const size_t all = rig.zones[0].nr_frames / PB - 2;
	MUST(pfai_mover_begin(rig.pfa, &slot));
	moving_owners();
	moving.again = pfa_migrate_tries(PFA_MIGRATE_SYNC) - 1;
	for (unsigned way = 0; way < 5; way++)
		for (size_t nr = 1; nr < all; nr = nr * 8 < all ? nr * 8 : nr + all / 2)
			contig_each(nr, way);
	contig_edges();
	contig_in_area(1, 1, true);
	contig_in_area(all / 2, all / 2 * PB, false);
	moving.stay = 7; /* each place of a window, with as many as are tried, has one that refuses, at its end */
	for (unsigned way = 0; way < 5; way++)
		contig_each(1, way);
	contig_crowd();
	contig_searched(8, 8);
	contig_leave();
	moving.stay = 0;
	MEASURE(pfa_owner_destroy, 1, 1, rig.pfa, moving.owner);
	pfai_mover_end(rig.pfa, slot);
}

static void contig_worlds(void)
{
	static const struct {
		unsigned zones, max_order, pageblock_order;
		size_t frames;
		unsigned caches;
		uint32_t history;
	} worlds[] = { { 1, 6, 6, 1 << 12, NO_CACHES, 0 }, { 1, 6, 6, 1 << 12, SMALL, 0 }, { 1, 8, 6, 1 << 12, SMALL, 0 }, { 1, 8, 6, 1 << 12, LARGE, 0 },
		       { 2, 5, 8, 1 << 11, LARGE, 1 } };
	for (unsigned i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
		rng.state = i + 1;
		caches = worlds[i].caches;
		begin(worlds[i].zones, worlds[i].frames, worlds[i].max_order, worlds[i].pageblock_order, worlds[i].history,
		      caches == LARGE ? 16 : PFA_EXPLICIT_0);
		contig_world();
		end();
	}
	caches = LARGE;
}

#endif
