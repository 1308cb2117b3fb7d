/* SPDX-License-Identifier: MIT */
#include "misuse_scene.h"

#include <stdlib.h>
#include <string.h>

#include "instance.h"

const char *const residence_names[RESIDENCES] = {
	[AT_FRESH] = "free, fresh",
	[AT_ZONE] = "free, in the zone",
	[AT_CACHE] = "cached, this cpu",
	[AT_OTHER_CACHE] = "cached, other cpu",
	[AT_FULL_CACHE] = "cached, full slot",
	[AT_OWNER] = "allocated",
	[AT_OWNER_FULL] = "allocated, slot full",
	[AT_OWNER_UNCACHED] = "allocated, no caches",
	[AT_OWNER_AGAIN] = "allocated again",
	[AT_OWNER_DOOMED] = "allocated, bad later",
	[AT_BAD] = "bad",
	[AT_OFFLINE] = "offline",
	[AT_REPORTER] = "held by the reporter",
	[AT_QUARANTINE] = "in quarantine",
	[AT_GUARDED] = "allocated, with guards",
};

/* Blocks larger than pageblocks, and the reverse of the usual sizes. Two zones with a gap, a hole in the first. */
const struct geometry geometries[GEOMETRIES] = {
	{ .max_order = 8, .pageblock_order = 6, .start = { 256, 2048 }, .nr_frames = { 1536, 512 },
	  .hole = { 1290, 20 }, .block = 512, .filler = 768 },
	{ .max_order = 10, .pageblock_order = 9, .start = { 1024, 7168 }, .nr_frames = { 5120, 777 },
	  .hole = { 5200, 70 }, .block = 2048, .filler = 3072 },
};

static void scene_know(struct scene *s, pfa_pfn pfn, unsigned order, enum place first, enum place rest)
{
	for (size_t i = 0; i < (size_t)1 << order; i++) {
		s->place[pfn + i] = (uint8_t)(i ? rest : first);
		s->orders[pfn + i] = (uint8_t)(i ? 0 : order);
	}
}

static void scene_know_geometry(struct scene *s)
{
	const struct geometry *g = s->geometry;
	memset(s->place, PLACE_OUTSIDE, sizeof(s->place));
	memset(s->orders, 0, sizeof(s->orders));
	for (unsigned i = 0; i < 2; i++)
		memset(s->place + g->start[i], PLACE_FRESH, g->nr_frames[i]);
	memset(s->place + g->hole.first, PLACE_HOLE, g->hole.nr_frames);
}

static void scene_take(struct scene *s, pfa_pfn pfn, unsigned order)
{
	pfa_pfn got;
	const struct pfa_run window = { pfn, (size_t)1 << order };
	MUST_EQ(pfa_alloc_window(s->rig.pfa, order, PFA_MOVABLE, window, &got), PFA_OK);
	MUST_EQ(got, pfn);
	scene_know(s, pfn, order, PLACE_OWNED, PLACE_INSIDE);
}

/* Gives the block to its zone. */
static void scene_give(struct scene *s)
{
	MUST_EQ(pfa_free(s->rig.pfa, s->block, s->order), PFA_OK);
	MUST_EQ(pfa_cache_drain(s->rig.pfa, PFA_ALL_CPUS), PFA_OK);
	scene_know(s, s->block, s->order, PLACE_FREE, PLACE_FREE);
	s->stale = s->hooked;
}

/* Frees into the current cpu's cache. */
static void scene_cache(struct scene *s, pfa_pfn pfn, unsigned order)
{
	MUST_EQ(pfa_free(s->rig.pfa, pfn, order), PFA_OK);
	MUST_EQ(rig_info(&s->rig, pfn).state, PFA_FRAME_CACHED);
	scene_know(s, pfn, order, PLACE_CACHED, PLACE_INSIDE);
	if (pfn == s->block)
		s->stale = s->hooked;
}

static const struct pfai_slot *scene_slot(const struct scene *s)
{
	const struct pfa *p = s->rig.pfa;
	return &pfai_cpu_at(p, 0)->slots[pfai_slot_of(p, 0, PFAI_CODE_MOVABLE, s->order)];
}

/* The slot of the block's order on cpu 0 holds `nr` less than it can. False: there is no slot. */
static bool scene_fill_slot(struct scene *s, unsigned nr)
{
	if (s->order >= s->rig.pfa->cached_orders || scene_slot(s)->cap < nr)
		return false;
	unsigned want = scene_slot(s)->cap - nr;
	pfa_pfn at = s->geometry->filler;
	for (s->nr_fillers = 0; s->nr_fillers < want; s->nr_fillers++, at += (size_t)1 << s->order) {
		scene_take(s, at, s->order);
		s->fillers[s->nr_fillers] = at;
	}
	for (unsigned i = 0; i < want; i++)
		scene_cache(s, s->fillers[i], s->order);
	return true;
}

/* Writes over the frame bytes of the block, which is allocated. */
static void scene_overwrite(struct scene *s, uint8_t first, uint8_t rest)
{
	struct pfa *p = s->rig.pfa;
	size_t offset = s->block - p->base;
	for (size_t i = 0; i < (size_t)1 << s->order; i++) {
		s->saved[i] = pfai_load_relaxed(&p->bytes[offset + i]);
		pfai_store_relaxed(&p->bytes[offset + i], i ? (rest ? rest : s->saved[i]) : first);
	}
}

static void scene_write_back(struct scene *s)
{
	struct pfa *p = s->rig.pfa;
	for (size_t i = 0; i < (size_t)1 << s->order; i++)
		pfai_store_relaxed(&p->bytes[s->block - p->base + i], s->saved[i]);
	scene_know(s, s->block, s->order, PLACE_OWNED, PLACE_INSIDE);
}

/* All frames of the block, which is free. */
static void scene_make_bad(struct scene *s)
{
	for (size_t i = 0; i < (size_t)1 << s->order; i++)
		MUST_EQ(pfa_mark_bad(s->rig.pfa, s->block + i), PFA_OK);
	scene_know(s, s->block, s->order, PLACE_BAD, PLACE_BAD);
}

/* An allocated block between two guards, wherever it lands. False: no such thing. */
static bool scene_guard(struct scene *s)
{
	size_t nr = (size_t)1 << s->order;
	if (s->level < 3 || s->order + 2 > s->geometry->max_order)
		return false;
	MUST_EQ(pfa_cache_disable(s->rig.pfa), PFA_OK);
	MUST_EQ(pfa_alloc(s->rig.pfa, s->order, PFA_MOVABLE | PFA_GUARD, &s->block), PFA_OK);
	MUST_EQ(pfa_cache_enable(s->rig.pfa), PFA_OK);
	scene_know(s, s->block - nr, s->order + 2, PLACE_FREE, PLACE_FREE); /* the rest went back */
	scene_know(s, s->block, s->order, PLACE_OWNED, PLACE_INSIDE);
	scene_know(s, s->block - 1, 0, PLACE_GUARD, PLACE_GUARD);
	scene_know(s, s->block + nr, 0, PLACE_GUARD, PLACE_GUARD);
	if (s->hooked)
		MUST_EQ(pfa_handle_of(s->rig.pfa, s->block, s->order, &s->handle), PFA_OK);
	return true;
}

/* Below level 3 there is none: the test writes the byte. */
static void scene_quarantine(struct scene *s)
{
	if (s->level < 3) {
		scene_overwrite(s, (uint8_t)(PFAI_QUARANTINE | s->order), 0);
	} else {
		MUST_EQ(pfa_free(s->rig.pfa, s->block, s->order), PFA_OK);
		MUST_EQ(rig_info(&s->rig, s->block).state, PFA_FRAME_QUARANTINE);
		s->stale = s->hooked;
	}
	scene_know(s, s->block, s->order, PLACE_QUARANTINED, PLACE_INSIDE);
}

static bool scene_place_block(struct scene *s)
{
	pfa_pfn block = s->block;
	unsigned order = s->order;
	bool cached = order < s->rig.pfa->cached_orders;
	if (s->residence == AT_FRESH || s->residence == AT_BAD) {
		if (s->residence == AT_BAD)
			scene_make_bad(s);
		return true;
	}
	if (s->residence == AT_GUARDED)
		return scene_guard(s);
	if (s->residence == AT_OWNER_FULL && !scene_fill_slot(s, 0))
		return false;
	if (s->residence == AT_FULL_CACHE && !scene_fill_slot(s, 1))
		return false;
	scene_take(s, block, order);
	if (s->hooked)
		MUST_EQ(pfa_handle_of(s->rig.pfa, block, order, &s->handle), PFA_OK);
	switch (s->residence) {
	case AT_ZONE:
		scene_give(s);
		return true;
	case AT_OWNER_AGAIN:
		scene_give(s);
		scene_take(s, block, order);
		return s->hooked;
	case AT_OTHER_CACHE:
		if (!cached || s->rig.cfg.nr_cpus < 2)
			return false;
		s->rig.cpu = 1;
		scene_cache(s, block, order);
		s->rig.cpu = 0;
		return true;
	case AT_CACHE:
	case AT_FULL_CACHE:
		if (cached)
			scene_cache(s, block, order);
		return cached && (s->residence == AT_CACHE || scene_slot(s)->n == scene_slot(s)->cap);
	case AT_OWNER_UNCACHED:
		MUST_EQ(pfa_cache_disable(s->rig.pfa), PFA_OK);
		return true;
	case AT_OWNER_DOOMED:
		MUST_EQ(pfa_mark_bad(s->rig.pfa, block + ((size_t)1 << order) - 1), PFA_EAGAIN);
		return true;
	case AT_OFFLINE:
		scene_overwrite(s, PFAI_OFFLINE, PFAI_OFFLINE);
		scene_know(s, block, order, PLACE_OFFLINE, PLACE_OFFLINE);
		return true;
	case AT_REPORTER:
		scene_overwrite(s, (uint8_t)(PFAI_HELD_REPORT | order), 0);
		scene_know(s, block, order, PLACE_HELD, PLACE_INSIDE);
		return true;
	case AT_QUARANTINE:
		scene_quarantine(s);
		return true;
	default:
		return true;
	}
}

static int scene_op_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	struct scene *s = ctx;
	(void)value;
	(void)until_ns;
	if (!s->on_wait)
		return PFA_EDEADLK;
	s->on_wait(s, (uint32_t *)(uintptr_t)addr);
	return PFA_OK;
}

static uint32_t scene_op_self(void *ctx)
{
	struct scene *s = ctx;
	const struct pfa *p = s->rig.pfa;
	if (p && s->on_freeing && (p->bytes[s->block - p->base] & PFAI_STATE_MASK) == PFAI_FREEING) {
		void (*call)(struct scene *) = s->on_freeing;
		s->on_freeing = NULL;
		call(s);
	}
	return 1;
}

bool scene_start(struct scene *s, const struct geometry *g, unsigned level, bool hooked, unsigned order,
                 enum residence residence)
{
	memset(s, 0, sizeof(*s));
	s->geometry = g;
	s->block = g->block;
	s->level = level;
	s->order = order;
	s->residence = residence;
	rig_init(&s->rig);
	s->hooked = hooked;
	s->rig.os.wait = scene_op_wait;
	s->rig.os.self = scene_op_self;
	s->rig.cfg.history = hooked ? 1 : 0;
	/* The test looks at all of the pool. */
	s->rig.cfg.flags = PFA_CONFIG_NO_SHADOW | (hooked ? PFA_CONFIG_GENERATIONS : 0);
	s->rig.pool_kind = RIG_POOL_CONTENT;
	for (unsigned i = 0; i < 2; i++)
		rig_zone(&s->rig, g->start[i], g->nr_frames[i]);
	s->rig.zones[0].holes = &g->hole;
	s->rig.zones[0].nr_holes = 1;
	s->rig.cfg.max_order = g->max_order;
	s->rig.cfg.pageblock_order = g->pageblock_order;
	s->rig.cfg.hardening = level;
	s->rig.cfg.quarantine = level == 3 && residence == AT_QUARANTINE ? 2 : 0;
	s->rig.cfg.cache_high = 4;
	s->rig.cfg.nr_cpus = rig_cpu_way == RIG_CPU_NONE ? 1 : 2;
	rig_start(&s->rig);
	s->before = malloc(s->rig.bytes);
	s->pool_before = malloc(s->rig.pool_bytes);
	MUST(s->before && s->pool_before);
	memset(s->rig.pool, 0x5A, s->rig.pool_bytes);
	scene_know_geometry(s);
	bool exists = scene_place_block(s);
	if (!exists)
		scene_stop(s);
	return exists;
}

void scene_stop(struct scene *s)
{
	struct pfa *p = s->rig.pfa;
	pfa_pfn block = s->block;
	if (scene_place(s, block) == PLACE_OFFLINE || scene_place(s, block) == PLACE_HELD ||
	    (scene_place(s, block) == PLACE_QUARANTINED && s->level < 3))
		scene_write_back(s);
	if (scene_place(s, block) == PLACE_OWNED)
		MUST_EQ(pfa_free(p, block, s->order), PFA_OK);
	rig_stop(&s->rig);
	free(s->before);
	free(s->pool_before);
}

void scene_lock_zone(struct scene *s)
{
	pfai_store_relaxed(&s->rig.pfa->zones[0].st->lock.word, 1u);
}

void scene_freed(struct scene *s)
{
	scene_know(s, s->block, s->order, PLACE_FREE, PLACE_FREE);
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

void scene_keep(struct scene *s)
{
	memcpy(s->before, s->rig.memory, s->rig.bytes);
	memcpy(s->pool_before, s->rig.pool, s->rig.pool_bytes);
	s->misuses = pfai_load_relaxed(&s->rig.pfa->st->nr_misuse);
}

struct difference {
	const struct scene *s;
	const char *name;
};

static void scene_compare(void *ctx, const char *name, const void *start, size_t bytes)
{
	struct difference *d = ctx;
	size_t at = (size_t)((const char *)start - (const char *)d->s->rig.memory);
	if (!d->name[0] && memcmp(start, d->s->before + at, bytes) != 0)
		d->name = name;
}

const char *scene_changed(struct scene *s)
{
	/* The one event that a misuse is. */
	pfai_aword *count = &s->rig.pfa->st->nr_misuse;
	size_t at = (size_t)((char *)count - (char *)s->rig.memory);
	memcpy(s->before + at, (const void *)(uintptr_t)count, sizeof(*count));
	if (memcmp(s->before, s->rig.memory, s->rig.bytes) == 0)
		return "";
	struct difference d = { s, "" };
	pfa_debug_regions(s->rig.pfa, scene_compare, &d);
	return d.name[0] ? d.name : "between the regions";
}

bool scene_pool_changed(const struct scene *s)
{
	return memcmp(s->pool_before, s->rig.pool, s->rig.pool_bytes) != 0;
}

/* ---- what must be answered ------------------------------------------------------------------------------------- */

enum pfa_fault_kind scene_judge(const struct scene *s, pfa_pfn pfn, unsigned order)
{
	enum place place = scene_place(s, pfn);
	if (place == PLACE_OUTSIDE)
		return PFA_FAULT_OUT_OF_RANGE;
	if (order > s->geometry->max_order)
		return PFA_FAULT_ORDER_LIMIT;
	if (place == PLACE_HOLE)
		return PFA_FAULT_HOLE;
	if (place == PLACE_OFFLINE)
		return PFA_FAULT_OFFLINE;
	if (place == PLACE_BAD)
		return PFA_FAULT_BAD;
	if (place == PLACE_GUARD)
		return PFA_FAULT_GUARD;
	if (pfn % ((size_t)1 << order))
		return PFA_FAULT_MISALIGNED;
	switch (place) {
	case PLACE_OWNED: return s->orders[pfn] == order ? PFA_FAULT_NONE : PFA_FAULT_WRONG_ORDER;
	case PLACE_INSIDE: return PFA_FAULT_TAIL;
	case PLACE_CACHED: return PFA_FAULT_DOUBLE_FREE_CACHED;
	case PLACE_QUARANTINED: return PFA_FAULT_DOUBLE_FREE_QUARANTINED;
	case PLACE_HELD: return PFA_FAULT_HELD;
	default: return PFA_FAULT_DOUBLE_FREE;
	}
}

enum pfa_fault_kind scene_judge_range(const struct scene *s, pfa_pfn first, size_t nr_frames, pfa_pfn *offender)
{
	const struct geometry *g = s->geometry;
	pfa_pfn end = g->start[1] + g->nr_frames[1], at = first;
	*offender = first;
	if (first > end || nr_frames > end - first)
		return PFA_FAULT_MIXED_RANGE;
	while (at < first + nr_frames) {
		size_t left = first + nr_frames - at, block = (size_t)1 << s->orders[at];
		*offender = at;
		if (scene_place(s, at) != PLACE_OWNED || block > left)
			return PFA_FAULT_MIXED_RANGE;
		at += block;
	}
	return PFA_FAULT_NONE;
}
