/* SPDX-License-Identifier: MIT
 *
 * The worst case in steps. Situations made for it, and long random runs; each call of each function stays within the bound
 * that lib/docs/bounds.md states for this configuration and this request, and no bound is so wide that nothing comes near.
 */
#include "meter.h"

#include <pfa/contig.h>
#include <pfa/harden.h>
#include <pfa/walk.h>

#include <stdlib.h>
#include <string.h>

#include "pcpu.h"
#include "zone.h"

/* ---- the letters of bounds.def ----------------------------------------------------------------------------------- */

static struct rig rig;
static size_t C, Z, O, M, L, W, w, G, P, PB, E, S, A, R, U, V, K, X, SB, J, Q, Y, I;
static size_t N, D; /* of the request; at this moment */

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static size_t slots_of_order(size_t F)
{
	unsigned order = pfai_log2(F);
	return order < rig.pfa->cached_orders ? rig.pfa->homes[order].cap : 0;
}

static size_t H(size_t F)
{
	return slots_of_order(F);
}

static size_t B(size_t F)
{
	return H(F) ? pfai_slot_batch(rig.pfa, pfai_log2(F)) : 1;
}

static size_t T(size_t F)
{
	return pfai_level(rig.pfa, 2) ? MIN(F, 8 * F / w + w / 4) : 0;
}

#define UNIT(name, steps) static size_t name(size_t F);
#include "bounds.def"

/* The longest flush of any slot. */
static size_t flush_any(size_t F)
{
	size_t max = 0;
	(void)F;
	for (unsigned order = 0; order < rig.pfa->cached_orders; order++)
		max = MAX(max, flush((size_t)1 << order));
	return max;
}

/* All slots of one zone in one cpu's cache. */
static size_t drain(size_t F)
{
	size_t sum = S + queue(F);
	for (unsigned order = 0; order < rig.pfa->cached_orders; order++)
		sum += 3 * slot((size_t)1 << order);
	return sum;
}

/* What can lie in one pageblock: of the slot that takes longest; of all slots of one zone in one cpu's cache. */
static size_t purged_of(size_t frames)
{
	size_t nr = MIN(H(frames), MAX(PB / frames, 1)), merging = frames < G ? MIN(nr, MAX(PB / G, 1)) : nr;
	return nr * (returns(frames) + 1) - (nr - merging) * (indexed(frames) - 2 * L) + MIN(D, nr) * doomed(frames) + H(frames) / 16 + 10 + J * 32;
}

static size_t purged_slot(size_t F)
{
	size_t max = 0;
	(void)F;
	for (unsigned order = 0; order < rig.pfa->cached_orders; order++)
		max = MAX(max, purged_of((size_t)1 << order));
	return max;
}

static size_t purged(size_t F)
{
	size_t sum = 0, nr = MIN(A, PB);
	(void)F;
	for (unsigned order = 0; order < rig.pfa->cached_orders; order++)
		sum += 3 * purged_of((size_t)1 << order);
	/* Each of them has a frame of it at least; what is linear in a block's frames is so in the pageblock's. */
	const size_t largest = MAX(PB, (size_t)1 << rig.pfa->cached_orders);
	return MIN(sum, nr * (returns(w) + 1) + returns(largest) + MIN(D, nr) * doomed(largest) + A / 16 + 2 * S);
}

#define UNIT(name, steps)          \
	static size_t name(size_t F) \
	{                            \
		(void)F;             \
		return (steps);      \
	}
#include "bounds.def"

static void letters(void)
{
	const struct pfa *p = rig.pfa;
	C = p->nr_cpus;
	Z = p->nr_zones;
	w = PFAI_WORD_BITS;
	G = (size_t)1 << p->leaf_order;
	W = pfai_leaf_words(p);
	PB = (size_t)1 << p->pb_order;
	P = PB / G;
	S = pfai_slots_per_zone(p);
	K = p->nr_history;
	X = p->nr_history || p->generations;
	SB = pfai_level(p, 2) ? PFA_SCRUB_PAGEBLOCKS : 0;
	O = M = L = A = R = E = V = 0;
	for (uint32_t i = 0; i < Z; i++) {
		const struct pfai_zone *z = &p->zones[i];
		size_t levels = 0;
		O = MAX(O, z->top_order + 1u);
		for (size_t bits = z->nr_leaves; levels == 0 || bits > 1; levels++)
			bits = (bits + w - 1) / w;
		L = MAX(L, levels);
		R = MAX(R, z->highatomic_limit / PB);
		M = MAX(M, z->top_order < p->leaf_order ? 0 : z->top_order - p->leaf_order + 1u);
		E |= z->top_order < p->pb_order;
		V = MAX(V, z->nr_rel);
	}
	J = pfai_level(p, 3);
	I = p->table ? PFAI_OPS_LIMIT : 0;
	Q = p->quarantine;
	Y = (size_t)1 << (O - 1);
	U = MAX(PB, MIN((size_t)1 << p->cached_orders, (size_t)2 << p->max_order) / 2);
	for (unsigned order = 0; order < p->cached_orders; order++)
		A += 3 * H((size_t)1 << order);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

enum function {
#define BOUND(function, call, zone, cpu) ID_##function,
#include "bounds.def"
	FUNCTIONS
};

struct bound {
	size_t steps[METER_PARTS];
};

enum { LEVELS = PFA_HARDENING > 2 ? 3 : PFA_HARDENING > 1 ? 2 : 1 };
static unsigned level; /* 1 .. LEVELS; in a build without hardening 1 is that */

static struct bound bound_of(enum function id, size_t F)
{
	switch (id) {
#define BOUND(function, call, zone, cpu) \
	case ID_##function: return (struct bound){ { (call), (zone), (cpu) } };
#include "bounds.def"
	default: return (struct bound){ { 0 } };
	}
}

static const struct {
	const char *name, *text[METER_PARTS];
} functions[FUNCTIONS] = {
#define BOUND(function, call, zone, cpu) { #function, { #call, #zone, #cpu } },
#include "bounds.def"
};

static const char *const part_names[METER_PARTS] = { "call", "zone", "cpu" };

/* Of all calls, that with the largest part of its bound. */
static struct {
	size_t steps, bound;
} nearest[LEVELS + 1][FUNCTIONS][METER_PARTS];

static void judge(enum function id, size_t F, struct meter m)
{
	struct bound b = bound_of(id, F);
	for (unsigned part = 0; part < METER_PARTS; part++) {
		size_t steps = m.steps[part], bound = b.steps[part];
		if (steps > bound)
			rig_fail(__FILE__, __LINE__,
			         "%s (%zu frames, %zu): %s: %zu steps, %zu are stated; level %u, max_order %u, pageblock %zu, history %zu",
			         functions[id].name, F, N, part_names[part], steps, bound, level, rig.pfa->max_order, PB, K);
		size_t *was = &nearest[level][id][part].steps, *of = &nearest[level][id][part].bound;
		if (bound && (double)steps * (double)*of >= (double)*was * (double)bound) {
			*was = steps;
			*of = bound;
		}
	}
}

/* Frames that become bad when they come back. The call in question may itself be what records one. */
static size_t doomed_now(enum function id)
{
	size_t nr = id == ID_pfa_mark_bad;
	for (uint32_t i = 0; i < Z; i++)
		nr += rig.pfa->zones[i].st->nr_doomed;
	return nr;
}

/* Calls function(...), which concerns blocks of F frames, N of them (or N frames). */
static int result;
#define MEASURE(function, nr, frames, ...)                     \
	do {                                                   \
		N = (nr);                                      \
		D = doomed_now(ID_##function);                 \
		meter_begin();                                 \
		result = function(__VA_ARGS__);                \
		judge(ID_##function, (frames), meter_end());   \
	} while (0)

/* ---- a crowd of blocks ------------------------------------------------------------------------------------------- */

enum { LIVE_LIMIT = 1 << 20 };
static struct {
	pfa_pfn pfn;
	unsigned order;
} live[LIVE_LIMIT];
static size_t nr_live;
static struct rng rng;
static enum { LARGE, SMALL, NO_CACHES } caches; /* but LARGE: and no reserve */

static void keep(pfa_pfn pfn, unsigned order)
{
	MUST(nr_live < LIVE_LIMIT);
	live[nr_live].pfn = pfn;
	live[nr_live++].order = order;
}

static bool take_one(unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	MEASURE(pfa_alloc, 1, (size_t)1 << order, rig.pfa, order, flags, &pfn);
	if (result == PFA_OK)
		keep(pfn, order);
	return result == PFA_OK;
}

static bool take_at(pfa_pfn pfn, unsigned order)
{
	pfa_pfn got;
	const struct pfa_run run = { pfn, (size_t)1 << order };
	MEASURE(pfa_alloc_window, 1, (size_t)1 << order, rig.pfa, order, PFA_MOVABLE, run, &got);
	if (result == PFA_OK)
		keep(pfn, order);
	return result == PFA_OK;
}

static void give(size_t i)
{
	pfa_pfn pfn = live[i].pfn;
	unsigned order = live[i].order;
	live[i] = live[--nr_live];
	MEASURE(pfa_free, 1, (size_t)1 << order, rig.pfa, pfn, order);
	MUST_EQ(result, PFA_OK);
}

static void give_all(void)
{
	while (nr_live)
		give(nr_live - 1);
	MEASURE(pfa_cache_drain, 0, 1, rig.pfa, PFA_ALL_CPUS);
}

static void begin(unsigned zones, size_t frames, unsigned max_order, unsigned pageblock_order, uint32_t history,
                  uint32_t quarantine)
{
	static struct pfa_run holes[4];
	rig_init(&rig);
	rig.cfg.flags = PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_REPORTING | (history ? PFA_CONFIG_GENERATIONS : 0u);
	rig.cfg.history = history;
	rig.cfg.hardening = PFA_HARDENING ? level : 0;
	rig.cfg.quarantine = level == 3 ? quarantine : 0;
	for (unsigned i = 0; i < zones; i++) {
		struct pfa_zone_config *zone = rig_zone(&rig, i * frames, frames);
		zone->highatomic_frames = caches != LARGE || frames > 1 << 16 ? 0 : frames / 8;
		zone->holes = &holes[i];
		zone->nr_holes = 1;
		holes[i] = (struct pfa_run){ (i + 1) * frames - 4, 2 };
	}
	rig.cfg.max_order = max_order;
	rig.cfg.pageblock_order = pageblock_order;
	rig.cfg.nr_cpus = caches == LARGE ? 3 : caches == SMALL ? 1 : 48;
	rig.cfg.cache_high = caches == LARGE ? 64 : caches == SMALL ? 1 : PFA_EXPLICIT_0;
	rig.cfg.cache_max_order = caches == LARGE ? 0 : PFA_EXPLICIT_0;
	rig.cfg.max_owners = 4; /* BOUNDS_OWNERS */
	rig_start(&rig);
	letters();
	nr_live = 0;
}

/* All the same with damage that a check would find, and with such that none has: a repair puts every zone right. */
static void damage_and_repair(void)
{
	struct pfa_violation violation;
	struct pfa_repair out;
	MEASURE(pfa_check, 0, 1, rig.pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &violation);
	MUST_EQ(result, PFA_OK);
	MEASURE(pfa_check, 0, 1, rig.pfa, PFA_CHECK_FRAMES, &violation);
	for (unsigned way = 0; way < (PFA_HARDENING ? 4 : 1); way++) {
		for (uint32_t i = 0; i < Z; i++) {
			struct pfai_zone *z = &rig.pfa->zones[i];
			size_t first = z->start - rig.pfa->base;
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
			for (unsigned n = 0; way == 1 && n < 64; n++)
				pfai_store_relaxed(&rig.pfa->bytes[first + rng_below(&rng, z->end - z->start)], (uint8_t)rng_next(&rng));
			for (unsigned n = 0; way == 2 && n < 64; n++)
				z->not_free[rng_below(&rng, z->nr_rel / w)] = (pfai_word)rng_next(&rng);
			if (way == 3)
				memset((void *)(uintptr_t)&rig.pfa->bytes[first], PFAI_TAIL, z->end - z->start);
		}
		MEASURE(pfa_repair, 0, 1, rig.pfa, PFA_REPAIR_QUIESCENT, &out);
		MUST_EQ(result, PFA_OK);
		MUST_EQ(out.zones, Z);
		MEASURE(pfa_check, 0, 1, rig.pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &violation);
		if (result != PFA_OK)
			rig_fail(__FILE__, __LINE__, "repaired (%u): %s, pfn %zu", way, violation.what, violation.pfn);
	}
	nr_live = 0;
}

static void end(void)
{
	give_all();
	while (nr_live < 1000 && take_one((unsigned)rng_below(&rng, rig.pfa->max_order + 1u), PFA_MOVABLE))
		;
	damage_and_repair();
	rig_drop(&rig);
}

/* ---- situations -------------------------------------------------------------------------------------------------- */

/* One free frame in each leaf: a refill finds each of its blocks in another one. */
static void one_frame_a_leaf(void)
{
	MEASURE(pfa_cache_disable, 0, 1, rig.pfa);
	while (take_one(0, PFA_MOVABLE))
		;
	for (size_t i = nr_live; i--;)
		if (live[i].pfn % G == G - 1)
			give(i);
	MEASURE(pfa_cache_enable, 0, 1, rig.pfa);
	pfa_pfn pfn;
	size_t got;
	MEASURE(pfa_alloc_bulk, 1, 1, rig.pfa, 0, PFA_MOVABLE, 1, &pfn, &got);
	if (got)
		keep(pfn, 0);
	while (take_one(0, PFA_MOVABLE))
		;
	give_all();
}

/* Cached blocks that lie each in a largest block of its own, which is free else: each of them merges all the way. */
static void one_frame_a_block(unsigned order)
{
	size_t largest = (size_t)1 << rig.pfa->max_order;
	for (pfa_pfn at = 0; at < rig.zones[0].nr_frames && take_at(at, order); at += largest)
		;
	while (nr_live)
		give(nr_live - 1);
	for (uint32_t cpu = 0; cpu < C; cpu++)
		MEASURE(pfa_cache_drain, 0, 1, rig.pfa, cpu);
	for (pfa_pfn at = 0; at < rig.zones[0].nr_frames && take_at(at, order); at += largest)
		;
	while (nr_live) {
		pfa_pfn list[64];
		size_t nr = 0, freed;
		while (nr < 64 && nr_live)
			list[nr++] = live[--nr_live].pfn;
		MEASURE(pfa_free_bulk, nr, (size_t)1 << order, rig.pfa, order, nr, list, &freed);
	}
	MEASURE(pfa_cache_drain, 0, 1, rig.pfa, 0);
}

/* Cached frames of one pageblock, each in another word of the map than the one before. */
static void one_pageblock(bool bad)
{
	for (size_t i = 0, first = nr_live; i < PB; i++) {
		(void)take_at(PB + (i * w + i * w / PB) % PB, 0);
		if (nr_live - first < H(1) && i + 1 < PB)
			continue;
		for (; nr_live > first; nr_live--)
			MEASURE(pfa_free, 1, 1, rig.pfa, live[nr_live - 1].pfn, 0);
		rig.cpu = (rig.cpu + 1) % (uint32_t)C;
	}
	rig.cpu = 0;
	if (bad)
		MEASURE(pfa_mark_bad, 1, 1, rig.pfa, PB + w);
	else
		MEASURE(pfa_cache_purge, 0, 1, rig.pfa, PB);
}

/* Every slot of every cpu is full, then something has to come out of them. */
static void fill_caches(void)
{
	static const uint32_t types[3] = { PFA_UNMOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE };
	for (unsigned type = 0; type < 3; type++) {
		for (unsigned order = 0; order < rig.pfa->cached_orders; order++) {
			size_t want = C * H((size_t)1 << order);
			while (want-- && take_one(order, types[type]))
				;
		}
	}
	for (size_t i = 0; nr_live; i++) {
		rig.cpu = (uint32_t)(i % C);
		give(rng_below(&rng, nr_live));
	}
	rig.cpu = 0;
}

/* Nothing is left but what the caches hold: a request has to empty them all before it fails. */
static void last_resort(unsigned way)
{
	const unsigned order = rig.pfa->max_order;
	const size_t nr = (size_t)1 << order;
	pfa_pfn pfn;
	size_t got = 0;
	while (take_one(order, PFA_UNMOVABLE | PFA_NORETRY))
		;
	if (way == 0)
		(void)take_one(order, PFA_UNMOVABLE);
	if (way == 1)
		MEASURE(pfa_alloc_bulk, 1, nr, rig.pfa, order, PFA_UNMOVABLE, 1, &pfn, &got);
	if (got)
		keep(pfn, order);
	if (way == 2) {
		MEASURE(pfa_alloc_exact, nr - 1, nr, rig.pfa, nr - 1, 0, PFA_MOVABLE, &pfn);
		if (result == PFA_OK)
			MEASURE(pfa_free_range, nr - 1, nr, rig.pfa, pfn, nr - 1);
	}
	if (way == 3)
		(void)take_at(0, order);
}

static void full_caches(void)
{
	struct pfa_zone_stats stats;
	for (unsigned way = 0; way < 8; way++) {
		unsigned order;
		fill_caches();
		MEASURE(pfa_zone_stats_get, 0, 1, rig.pfa, 0, &stats, sizeof(stats));
		MEASURE(pfa_would_succeed, 0, 1, rig.pfa, rig.pfa->max_order, PFA_MOVABLE);
		MEASURE(pfa_largest_free, 0, 1, rig.pfa, PFA_MOVABLE, &order);
		if (way < 4)
			last_resort(way);
		if (way == 4)
			MEASURE(pfa_cache_disable, 0, 1, rig.pfa);
		if (way == 4)
			MEASURE(pfa_cache_enable, 0, 1, rig.pfa);
		for (pfa_pfn at = 0; way == 5 && at < rig.zones[0].nr_frames; at += PB)
			MEASURE(pfa_cache_purge, 0, 1, rig.pfa, at);
		for (unsigned i = 0; way == 6 && i < 3 * C; i++) {
			rig.now_ns += PFA_SERVICE_IDLE_NS;
			MEASURE(pfa_service, i % 4 + 1, 1, rig.pfa, i % 4 + 1, NULL);
		}
		if (way == 7)
			MEASURE(pfa_cache_drain, 0, 1, rig.pfa, PFA_ALL_CPUS);
		give_all();
	}
}

/* The reserve is full of small pieces, and given up block by block. */
static void reserve(bool windowed)
{
	const unsigned order = rig.pfa->max_order < rig.pfa->pb_order ? rig.pfa->max_order : rig.pfa->pb_order;
	while (take_one(order, PFA_UNMOVABLE))
		;
	for (size_t i = 0; i < nr_live; i += 2)
		give(i);
	for (size_t i = 0; i < 2 * R; i++)
		(void)take_one(1, PFA_MOVABLE | PFA_HIGH);
	while (take_one(0, PFA_MOVABLE | PFA_NORETRY))
		;
	if (windowed)
		(void)take_at(0, order);
	else
		(void)take_one(order, PFA_RECLAIMABLE);
	give_all();
}

/* Guarded blocks, which come out of blocks four times as large, and go back with their guards. */
static void guarded(void)
{
	pfa_pfn pfn;
	for (unsigned order = 0; J && order + 2 <= rig.pfa->max_order; order++) {
		for (unsigned i = 0; i < 20; i++) {
			MEASURE(pfa_alloc, 1, (size_t)4 << order, rig.pfa, order, PFA_MOVABLE | PFA_GUARD, &pfn);
			if (result == PFA_OK)
				MEASURE(pfa_free, 1, (size_t)1 << order, rig.pfa, pfn, order);
		}
	}
}

/* Handles, also stale ones, and frees that are refused: each tells a fault with the history of its frame. */
static void handles(void)
{
	struct pfa_handle handle, stale;
	struct pfa_event events[3 * PFA_HISTORY_LIMIT];
	size_t nr;
	for (unsigned i = 0; rig.pfa->generations && i < 2000; i++) {
		unsigned order = (unsigned)rng_below(&rng, rig.pfa->max_order + 1u);
		size_t frames = (size_t)1 << order;
		MEASURE(pfa_alloc_checked, 1, frames, rig.pfa, order, PFA_MOVABLE, &handle);
		if (result != PFA_OK)
			continue;
		stale = handle;
		MEASURE(pfa_handle_of, 1, frames, rig.pfa, handle.pfn, order, &handle);
		MEASURE(pfa_history, 3 * PFA_HISTORY_LIMIT, frames, rig.pfa, handle.pfn + frames - 1, events, 3 * PFA_HISTORY_LIMIT, &nr);
		MEASURE(pfa_free_checked, 1, frames, rig.pfa, &handle);
		MUST_EQ(result, PFA_OK);
		if (!PFA_HARDENING)
			continue; /* the rest is misuse */
		MEASURE(pfa_free_checked, 1, frames, rig.pfa, &stale);
		MUST_EQ(result, PFA_EMISUSE);
		MEASURE(pfa_handle_of, 1, frames, rig.pfa, stale.pfn, order, &handle);
		MUST_EQ(result, PFA_EMISUSE);
		MEASURE(pfa_free, 1, frames, rig.pfa, stale.pfn, order);
		MUST_EQ(result, PFA_EMISUSE);
	}
}

/* The same with all slots full, so that frees by handle flush, and with the reserve and the caches to be emptied. */
static void full_by_handle(void)
{
	struct pfa_handle list[64];
	for (unsigned order = 0; rig.pfa->generations && order < rig.pfa->cached_orders; order++) {
		size_t nr = 0, frames = (size_t)1 << order;
		for (; nr < 64; nr++) {
			MEASURE(pfa_alloc_checked, 1, frames, rig.pfa, order, PFA_MOVABLE, &list[nr]);
			if (result != PFA_OK)
				break;
		}
		while (nr--)
			MEASURE(pfa_free_checked, 1, frames, rig.pfa, &list[nr]);
	}
	fill_caches();
	while (rig.pfa->generations) {
		const unsigned order = rig.pfa->max_order;
		MEASURE(pfa_alloc_checked, 1, (size_t)1 << order, rig.pfa, order, PFA_UNMOVABLE, list);
		if (result != PFA_OK)
			break;
		keep(list->pfn, order);
	}
	give_all();
}

/* Free, cached and allocated frames become bad; blocks with recorded ones come back. */
static void bad_frames(void)
{
	one_pageblock(true);
	fill_caches();
	for (unsigned i = 0; i < 12; i++)
		MEASURE(pfa_mark_bad, 1, 1, rig.pfa, rng_below(&rng, rig.zones[0].nr_frames));
	for (unsigned order = 0; order <= rig.pfa->max_order; order++) {
		if (!take_one(order, PFA_MOVABLE))
			continue;
		for (unsigned i = 0; i < 2; i++)
			MEASURE(pfa_mark_bad, 1, 1, rig.pfa, live[nr_live - 1].pfn + rng_below(&rng, (size_t)1 << order));
	}
	give_all();
	for (unsigned way = 0; way < 2 && take_one(rig.pfa->max_order < 8 ? rig.pfa->max_order : 8, PFA_MOVABLE); way++) {
		size_t frames = (size_t)1 << live[--nr_live].order;
		MEASURE(pfa_split, frames, frames, rig.pfa, live[nr_live].pfn, live[nr_live].order, 0);
		for (unsigned i = 0; i < 3; i++)
			MEASURE(pfa_mark_bad, 1, 1, rig.pfa, live[nr_live].pfn + i * w / 2);
		MEASURE(pfa_free_range, frames, 1, rig.pfa, live[nr_live].pfn, frames);
	}
}

static void random_step(void)
{
	unsigned what = (unsigned)rng_below(&rng, 20), order = (unsigned)rng_below(&rng, rig.pfa->max_order + 1u);
	size_t frames = (size_t)1 << order, nr = 1 + rng_below(&rng, 80), got;
	struct pfa_run run = { rng_below(&rng, rig.zones[0].nr_frames), 1 + rng_below(&rng, 4 * frames) };
	struct pfa_frame_info frame;
	struct pfa_pageblock_info pageblock;
	pfa_pfn pfn, list[80];
	rig.cpu = (uint32_t)rng_below(&rng, C + 1);
	if (what == 0) {
		MEASURE(pfa_alloc_bulk, nr, 1, rig.pfa, 0, PFA_MOVABLE, nr, list, &got);
		MEASURE(pfa_free_bulk, got, 1, rig.pfa, 0, got, list, &nr);
	} else if (what == 1) {
		nr = 1 + rng_below(&rng, frames);
		MEASURE(pfa_alloc_exact, nr, frames, rig.pfa, nr, 0, PFA_RECLAIMABLE, &pfn);
		if (result == PFA_OK)
			MEASURE(pfa_free_range, nr, 1, rig.pfa, pfn, nr);
	} else if (what == 2) {
		MEASURE(pfa_alloc_window, 1, frames, rig.pfa, order, PFA_UNMOVABLE, run, &pfn);
		if (result == PFA_OK)
			keep(pfn, order);
	} else if (what == 3 && nr_live && live[nr_live - 1].order) {
		nr_live--;
		frames = (size_t)1 << live[nr_live].order;
		MEASURE(pfa_split, frames, frames, rig.pfa, live[nr_live].pfn, live[nr_live].order, 0);
		MEASURE(pfa_free_range, frames, 1, rig.pfa, live[nr_live].pfn, frames);
	} else if (what == 4) {
		MEASURE(pfa_frame_info, 1, 1, rig.pfa, run.first, &frame);
		MEASURE(pfa_pageblock_info, 1, 1, rig.pfa, run.first, &pageblock);
		MEASURE(pfa_pageblock_info, 1, 1, rig.pfa, rig.zones[Z - 1].start + rig.zones[Z - 1].nr_frames - 1, &pageblock);
	} else if (what < 12) {
		const uint32_t types[] = { PFA_MOVABLE, PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH };
		(void)take_one(rng_one_in(&rng, 2) ? order : 0, types[rng_below(&rng, 4)]);
	} else if (nr_live) {
		give(rng_below(&rng, nr_live));
	}
}

#include "bounds_ranges.h"
#include "bounds_movable.h"
#include "bounds_report.h"
#include "bounds_contig.h"

static int visit(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	return 0;
}

static void walks(void)
{
	for (unsigned order = 0; order <= rig.pfa->max_order; order++)
		MEASURE(pfa_walk_free, 1, (size_t)1 << order, rig.pfa, order, visit, NULL, NULL);
}

static void situations(void)
{
	held_ranges();
	one_frame_a_leaf();
	for (unsigned order = 0; order < rig.pfa->max_order; order += 3)
		one_frame_a_block(order);
	one_pageblock(false);
	full_caches();
	reserve(false);
	reserve(true);
	for (unsigned i = 0; i < 20000; i++)
		random_step();
	walks();
	guarded();
	handles();
	full_by_handle();
	reported_blocks();
	bad_frames();
	movable_blocks();
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static char *document;

static void must_say(const char *line)
{
	if (!strstr(document, line))
		rig_fail(__FILE__, __LINE__, "the document does not say\n%s", line);
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 17);
	if (!f || !text || !fread(text, 1, (1 << 17) - 1, f))
		rig_fail(__FILE__, __LINE__, "cannot read %s", path);
	fclose(f);
	return text;
}

/* Every function of these headers has a row, or is named where the document says what it does not state. */
static void compare_headers(const char *dir)
{
	static const char *const headers[] = { "pfa.h", "harden.h", "stats.h", "debug.h", "movable.h", "compact.h", "walk.h", "contig.h", "cma.h", "hotplug.h", "report.h" };
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		char path[4096], name[64], quoted[80];
		snprintf(path, sizeof(path), "%s/%s", dir, headers[i]);
		char *text = read_file(path);
		unsigned found = 0;
		for (char *at = text; (at = strstr(at, "PFA_API ")) != NULL; at++) {
			char *open = strchr(at, '('), *begin = open;
			while (begin > at && strchr(" *", begin[-1]) == NULL)
				begin--;
			snprintf(name, sizeof(name), "%.*s", (int)(open - begin), begin);
			snprintf(quoted, sizeof(quoted), "`%s`", name);
			must_say(quoted);
			found++;
		}
		free(text);
		if (!found)
			rig_fail(__FILE__, __LINE__, "no function in %s", path);
	}
}

static void compare_document(void)
{
	char line[2000];
#define UNIT(name, steps)                                                       \
	snprintf(line, sizeof(line), "| `%s` | `%s` |", #name, #steps); \
	must_say(line);
#include "bounds.def"
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		snprintf(line, sizeof(line), "| `%s` | `%s` | `%s` | `%s` |", functions[i].name, functions[i].text[0],
		         functions[i].text[1], functions[i].text[2]);
		must_say(line);
	}
	unsigned rows = 0;
	for (const char *at = document; (at = strstr(at, "\n| `pfa_")) != NULL; at++)
		rows++;
	if (rows != FUNCTIONS)
		rig_fail(__FILE__, __LINE__, "the document has %u functions, bounds.def %u", rows, (unsigned)FUNCTIONS);
}

/* No bound is so wide that it says nothing: each is met to this part at least. The widest is that of a frame that becomes bad while
 * a large quarantine holds its pageblock: the bound counts each block by itself, what happens goes by leaf. */
enum { WIDEST = 24 };

/* Returns how many bounds nothing came near. */
static unsigned measure_level(void)
{
	static const struct {
		unsigned zones, max_order, pageblock_order;
		size_t frames;
		uint32_t history, quarantine;
	} configs[] = {
		{ 1, 10, 9, 1 << 16, 0, 64 }, { 1, 14, 6, 1 << 17, 0, PFA_EXPLICIT_0 }, { 2, 8, 6, 1 << 12, 0, 16 },
		{ 1, 4, 9, 1 << 14, 0, 300 }, { 1, 3, 10, 1 << 13, 0, 64 }, { 3, 12, 9, 1 << 14, 0, 5 },
		{ 1, 12, 6, 1 << 17, 1, 8 }, { 2, 8, 6, 1 << 12, PFA_HISTORY_LIMIT, 1 },
	};
	unsigned wide = 0;
	for (unsigned i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		rng.state = i + 1;
		begin(configs[i].zones, configs[i].frames, configs[i].max_order, configs[i].pageblock_order,
		      configs[i].history, configs[i].quarantine);
		situations();
		end();
	}
	contig_worlds();
	printf("level %u: steps measured / bound there, where they come nearest\n", level);
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		printf("%-20s", functions[i].name);
		for (unsigned part = 0; part < METER_PARTS; part++) {
			size_t steps = nearest[level][i][part].steps, bound = nearest[level][i][part].bound;
			printf("  %s %7zu / %7zu%s", part_names[part], steps, bound, steps * WIDEST < bound ? "!" : " ");
			wide += PFA_HARDENING && steps * WIDEST < bound; /* without, nothing is refused */
		}
		puts("");
	}
	return wide;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	if (argc != 3) {
		fprintf(help ? stdout : stderr, "usage: test_bounds lib/docs/bounds.md lib/include/pfa\n"
		        "Measures steps against the bounds of the document, and the document against bounds.def and the headers.\n");
		return help ? 0 : 2;
	}
	document = read_file(argv[1]);
	compare_document();
	compare_headers(argv[2]);
	free(document);
	for (level = 1; level <= LEVELS; level++)
		failed += measure_level();
	if (failed)
		rig_fail(__FILE__, __LINE__, "%u bounds are more than %u times what was ever measured", failed, WIDEST);
	return 0;
}
