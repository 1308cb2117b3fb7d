/* SPDX-License-Identifier: MIT
 *
 * Part of test_bounds.c: the situations of pfa/movable.h and pfa/compact.h, with an owner whose ops do next to nothing.
 */
#ifndef BOUNDS_MOVABLE_H
#define BOUNDS_MOVABLE_H

#include <pfa/compact.h>

#include "pagelock.h"

enum { BOUNDS_OWNERS = 4, MOVING_LIMIT = 1 << 17 };

/* Blocks that are movable, by cookie. */
static struct {
	pfa_owner owner;
	int says;     /* migrate() */
	unsigned again, asked; /* so often it says PFA_EAGAIN before each move */
	pfa_pfn stay; /* blocks at frames with all of these bits refuse to move; 0: none does */
	size_t nr;
	struct {
		pfa_pfn at;
		unsigned order;
	} block[MOVING_LIMIT];
} moving;

static int moving_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)order, (void)mode;
	MUST_EQ(moving.block[cookie].at, head);
	return PFA_OK;
}

static int moving_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)order, (void)mode;
	if (moving.stay && (src & moving.stay) == moving.stay)
		return PFA_EAGAIN;
	if (moving.asked++ < moving.again)
		return PFA_EAGAIN;
	moving.asked = 0;
	if (moving.says == PFA_OK)
		moving.block[cookie].at = dst;
	return moving.says;
}

static void moving_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx, (void)head, (void)order, (void)cookie;
}

/* As many owners as there may be, and one more; one of them stays. */
static void moving_owners(void)
{
	static const struct pfa_owner_ops ops = { sizeof(ops), moving_isolate, moving_migrate, moving_putback };
	pfa_owner owner[BOUNDS_OWNERS + 1];
	for (unsigned i = 0; i <= BOUNDS_OWNERS; i++) {
		MEASURE(pfa_owner_create, BOUNDS_OWNERS, 1, rig.pfa, &ops, NULL, &owner[i]);
		MUST_EQ(result, i < BOUNDS_OWNERS ? PFA_OK : PFA_ENOMEM);
	}
	for (unsigned i = 1; i < BOUNDS_OWNERS; i++)
		MEASURE(pfa_owner_destroy, 1, 1, rig.pfa, owner[i]);
	moving.owner = owner[0];
	moving.says = PFA_OK;
	moving.stay = moving.again = moving.asked = 0;
	moving.nr = 0;
}

static void moving_set(pfa_pfn pfn, unsigned order)
{
	MUST(moving.nr < MOVING_LIMIT);
	moving.block[moving.nr].at = pfn;
	moving.block[moving.nr].order = order;
	MEASURE(pfa_movable_set, 1, (size_t)1 << order, rig.pfa, pfn, moving.owner, moving.nr);
	MUST_EQ(result, PFA_OK);
	moving.nr++;
}

/* A block of the crowd becomes movable. */
static void moving_adopt(void)
{
	nr_live--;
	moving_set(live[nr_live].pfn, live[nr_live].order);
}

static bool moving_take(unsigned order)
{
	if (!take_one(order, PFA_MOVABLE))
		return false;
	moving_adopt();
	return true;
}

static void moving_free(void)
{
	size_t i = --moving.nr, frames = (size_t)1 << moving.block[i].order;
	MEASURE(pfa_free, 1, frames, rig.pfa, moving.block[i].at, moving.block[i].order);
	MUST_EQ(result, PFA_OK);
}

static void moving_migrated(enum pfa_migrate_mode mode, int says)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = mode, .flags = PFA_MOVABLE };
	size_t i = moving.nr - 1, frames = (size_t)1 << moving.block[i].order;
	int moved;
	moving.says = says;
	MEASURE(pfa_migrate, 1, frames, rig.pfa, &moving.block[i].at, 1, &dest, &moved);
	moving.says = PFA_OK;
}

/* Each function, on blocks of each order; also where it is the one that frees the block. */
static void moving_one(unsigned order)
{
	size_t frames = (size_t)1 << order;
	struct pfa_movable_info info;
	for (unsigned way = 0; way < 3 && moving_take(order); way++) {
		pfa_pfn at = moving.block[moving.nr - 1].at;
		MEASURE(pfa_movable_info, 1, frames, rig.pfa, at, &info);
		MEASURE(pfa_pin, 1, frames, rig.pfa, at);
		MEASURE(pfa_page_trylock, 1, frames, rig.pfa, at);
		MEASURE(pfa_page_unlock, 1, frames, rig.pfa, at);
		MEASURE(pfa_unpin, 1, frames, rig.pfa, at);
		MUST_EQ(result, PFA_OK);
		MEASURE(pfa_movable_clear, 1, frames, rig.pfa, at);
		MUST_EQ(result, PFA_OK);
		moving.nr--;
		moving_set(at, order);
		for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++) {
			moving_migrated(mode, PFA_OK);
			moving_migrated(mode, PFA_EAGAIN);
		}
		at = moving.block[moving.nr - 1].at;
		if (way == 0)
			MEASURE(pfa_page_lock, 1, frames, rig.pfa, at);
		if (way == 1)
			MEASURE(pfa_pin, 1, frames, rig.pfa, at);
		moving_free();
		if (way == 0)
			MEASURE(pfa_page_unlock, 1, frames, rig.pfa, at);
		if (way == 1)
			MEASURE(pfa_unpin, 1, frames, rig.pfa, at);
		MUST_EQ(result, PFA_OK);
	}
}

/* Full slots, so that the frame that an unlock or an unpin frees flushes one of them; and one frame a largest block, which merges. */
static void moving_into_full_slots(void)
{
	for (unsigned order = 0; order < rig.pfa->cached_orders; order++) {
		size_t want = 3 * H((size_t)1 << order);
		for (size_t i = 0; i < want && moving_take(order); i++)
			;
		for (unsigned way = 0; moving.nr; way++) {
			size_t frames = (size_t)1 << order;
			pfa_pfn at = moving.block[moving.nr - 1].at;
			if (way & 1)
				MEASURE(pfa_page_lock, 1, frames, rig.pfa, at);
			else
				MEASURE(pfa_pin, 1, frames, rig.pfa, at);
			moving_free();
			if (way & 1)
				MEASURE(pfa_page_unlock, 1, frames, rig.pfa, at);
			else
				MEASURE(pfa_unpin, 1, frames, rig.pfa, at);
		}
	}
}

/* The destination is what the caches hold, and has to be drained out of them. */
static void moving_last_resort(unsigned order)
{
	MUST(moving_take(order));
	fill_caches();
	while (take_one(rig.pfa->max_order, PFA_UNMOVABLE | PFA_NORETRY))
		;
	moving_migrated(PFA_MIGRATE_SYNC, PFA_OK);
	moving_migrated(PFA_MIGRATE_SYNC, PFA_OK);
	moving_free();
	give_all();
}

/* Movable blocks fill the lower half, or are every other one; what is above or between is free. */
static void moving_fill(unsigned order, bool mixed)
{
	while (take_one(order, PFA_MOVABLE))
		;
	for (size_t i = 0, nr = nr_live; i < nr && nr_live; i++) {
		pfa_pfn pfn = live[nr_live - 1].pfn;
		bool stays = mixed ? pfn >> order & 1 : pfn < rig.zones[Z - 1].start + rig.zones[Z - 1].nr_frames / 2;
		if (stays && moving.nr < MOVING_LIMIT)
			moving_adopt();
		else
			give(nr_live - 1);
	}
	MEASURE(pfa_cache_drain, 0, 1, rig.pfa, PFA_ALL_CPUS);
}

static void moving_compacted(unsigned order, bool mixed)
{
	struct pfa_compact_stats stats;
	moving_fill(order, mixed);
	MEASURE(pfa_compact, 1, (size_t)1 << order, rig.pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &stats);
	MUST_EQ(result, PFA_OK);
	MUST(stats.moved > 0 || order >= rig.pfa->pb_order);
	while (moving.nr)
		moving_free();
	moving_fill(order, mixed);
	MEASURE(pfa_compact, 1, (size_t)1 << order, rig.pfa, 0, rig.pfa->max_order, PFA_MIGRATE_ASYNC, NULL);
	while (moving.nr)
		moving_free();
}

/* What compacts on the way takes a compaction more than its row says, and one try. */
static void moving_judged(enum function id, size_t F, struct meter m)
{
	struct bound own = bound_of(id, F), more = bound_of(ID_pfa_compact, F);
	for (unsigned part = 0; part < METER_PARTS; part++) {
		size_t most = part == METER_CALL ? own.steps[part] + more.steps[part] + alloc(F) : MAX(own.steps[part], more.steps[part]);
		if (m.steps[part] > most)
			rig_fail(__FILE__, __LINE__, "%s with compaction (%zu frames): %s: %zu steps, %zu are stated; level %u",
			         functions[id].name, F, part_names[part], m.steps[part], most, level);
	}
}

/* For a request, and after one that has failed. */
static void moving_for_a_request(void)
{
	const unsigned order = MIN(rig.pfa->pb_order, rig.zones[0].nr_frames > PB ? rig.pfa->max_order : 1u);
	struct pfa_zone_stats before, after;
	pfa_pfn pfn;
	moving_fill(0, true);
	MEASURE(pfa_alloc, 1, (size_t)1 << order, rig.pfa, order, PFA_MOVABLE, &pfn);
	MUST_EQ(result, PFA_ENOMEM);
	before = rig_stats(&rig, 0);
	N = 8;
	meter_begin();
	result = pfa_service(rig.pfa, 8, NULL);
	moving_judged(ID_pfa_service, (size_t)1 << order, meter_end());
	after = rig_stats(&rig, 0);
	MUST(after.nr_compact_moved > before.nr_compact_moved);
	N = 1;
	meter_begin();
	result = pfa_alloc(rig.pfa, order, PFA_UNMOVABLE | PFA_COMPACT, &pfn);
	moving_judged(ID_pfa_alloc, (size_t)1 << order, meter_end());
	MUST_EQ(result, PFA_OK);
	keep(pfn, order);
	while (moving.nr)
		moving_free();
	give_all();
}

static void movable_blocks(void)
{
	uint32_t slot;
	/* Somebody moves blocks all the time: who must not be inside of an op looks at all that might be. */
	MUST(pfai_mover_begin(rig.pfa, &slot));
	moving_owners();
	for (unsigned order = 0; order <= rig.pfa->max_order; order++)
		moving_one(order);
	moving_into_full_slots();
	moving_last_resort(0);
	moving_last_resort(rig.pfa->max_order - 1u);
	if (V <= 1 << 14) { /* it is a long way in larger ones, and no other */
		moving_compacted(0, false);
		moving_compacted(0, true);
		moving_compacted(MIN(rig.pfa->pb_order / 2u, rig.pfa->max_order), true);
		moving_for_a_request();
	}
	MEASURE(pfa_owner_destroy, 1, 1, rig.pfa, moving.owner);
	MUST_EQ(result, PFA_OK);
	pfai_mover_end(rig.pfa, slot);
}

#endif
