/* SPDX-License-Identifier: MIT */
#include "compact.h"

#include <pfa/compact.h>

#include "closed.h"
#include "damage.h"
#include "freeing.h"
#include "generation.h"
#include "hook.h"
#include "place.h"

#define COMPACT_NO_ORDER 32u /* until the scanners meet */

/* One run over one zone. */
struct compact {
	struct pfa *p;
	struct pfai_zone *z;
	struct pfai_compaction *st;
	struct pfai_request *capture; /* NULL, or who wants the block */
	unsigned order;
	enum pfa_migrate_mode mode;
	uint32_t slot;
	const char *function;
	bool moved_any;
	size_t scanned, moved, failed, steps;
	size_t hand[PFA_ORDER_LIMIT + 1]; /* free places that were taken and are not used yet: rel + 1, by order; 0: none */
};

static bool compact_done(const struct compact *c)
{
	if (pfai_load_relaxed(&c->z->st->corrupt) || (c->capture && c->capture->zone))
		return true;
	return c->order < COMPACT_NO_ORDER && pfai_load_relaxed(&c->z->st->avail_common) >> c->order;
}

/* ---- the free scanner -------------------------------------------------------------------------------------------- */

/* The highest free block of the order inside rels [lo, hi), PFAI_NONE: none. Highest first, so that what was moved here has no
 * place above it, and is not moved again when the other scanner comes by. */
static size_t compact_highest(const struct pfai_zone *z, unsigned order, size_t lo, size_t hi)
{
	size_t nr = (size_t)1 << order;
	for (size_t word = hi >> PFAI_WORD_SHIFT; order < PFAI_WORD_SHIFT && word-- > lo >> PFAI_WORD_SHIFT;) {
		size_t first = word << PFAI_WORD_SHIFT;
		pfai_word free = ~z->not_free[word];
		if (lo > first)
			free &= ~pfai_low_bits((unsigned)(lo - first));
		free = pfai_fold(free, order);
		if (free)
			return first + pfai_log2(free);
	}
	for (size_t at = hi; order >= PFAI_WORD_SHIFT && at >= lo + nr;) {
		at -= nr;
		if (pfai_map_is(z->not_free, at, nr, false))
			return at;
	}
	return PFAI_NONE;
}

/* Takes a free block of rq->order of this pageblock, above rel `lo`, out of the free memory. */
static size_t compact_take_locked(struct compact *c, struct pfai_request *rq, size_t pb, size_t lo)
{
	unsigned order = rq->order;
	struct pfa *p = c->p;
	struct pfai_zone *z = c->z;
	size_t first = pb << p->pb_order, hi = first + ((size_t)1 << p->pb_order);
	if (pfai_pb_code(&z->pb[pb]) != PFAI_CODE_MOVABLE)
		return PFAI_NONE;
	size_t rel = compact_highest(z, order, lo > first ? lo : first, hi);
	if (rel == PFAI_NONE || !pfai_zone_is_free_locked(p, z, rel, order))
		return PFAI_NONE;
	rq->zero = pfai_zone_known_zero_locked(p, z, rel, (size_t)1 << order);
	pfai_zone_take_locked(p, z, rel, order);
	pfai_block_leaves(p, pfai_offset_of_rel(z, rel), order, PFAI_HEAD | order);
	z->st->direct_allocs += (size_t)1 << order;
	return rel;
}

/* A free block above rel `lo` comes into c->hand. False: there is none. */
static bool compact_take(struct compact *c, unsigned order, size_t lo)
{
	struct pfai_request rq = { .order = order, .zone = c->z, .function = c->function };
	size_t *dst = &c->st->dst[order], lowest = lo >> c->p->pb_order;
	for (; *dst > lowest && *dst <= c->z->nr_pb; --*dst) {
		if (!pfai_zone_lock(c->p, c->z))
			return false;
		size_t rel = compact_take_locked(c, &rq, *dst - 1, lo);
		pfai_zone_unlock(c->p, c->z);
		c->steps++;
		if (rel == PFAI_NONE)
			continue;
		if (pfai_hook_granted(c->p, &rq, c->z->origin + rel, (size_t)1 << order, order) != PFA_OK)
			return false; /* the frames are bad now */
		c->hand[order] = rel + 1;
		return true;
	}
	return false;
}

/* What is in the hand goes back. */
static void compact_drop(struct compact *c, unsigned order)
{
	size_t offset = pfai_offset_of_rel(c->z, c->hand[order] - 1);
	if (c->hand[order] && pfai_claim_block(c->p, offset, order))
		(void)pfai_free_claimed_past(c->p, c->z, offset, order, c->capture, c->function);
	c->hand[order] = 0;
}

/* ---- the migrate scanner ----------------------------------------------------------------------------------------- */

/* The block at rel, which was movable a moment ago. */
static void compact_block(struct compact *c, size_t rel, unsigned order)
{
	size_t nr = (size_t)1 << order;
	struct pfai_move m = { .src = pfai_offset_of_rel(c->z, rel), .zone = c->z, .to = c->z, .mode = c->mode, .capture = c->capture,
		               .ahead = PFAI_NONE, .slot = c->slot, .function = c->function };
	if (c->hand[order] && c->hand[order] <= rel + nr)
		compact_drop(c, order);
	if (!c->hand[order] && !compact_take(c, order, rel + nr))
		return;
	m.self = pfai_self(c->p);
	int result = pfai_move_isolate(c->p, &m);
	if (result == PFA_OK && m.order != order) { /* another block than a moment ago */
		(void)pfai_move_putback(c->p, &m);
		return;
	}
	if (result == PFA_OK) {
		m.dst = pfai_offset_of_rel(c->z, c->hand[order] - 1);
		result = pfai_move_to(c->p, &m);
	}
	if (result == PFA_OK) {
		c->hand[order] = 0;
		c->moved += nr;
		c->moved_any = true;
	} else if (result == PFA_EBUSY || result == PFA_EAGAIN) {
		c->failed += nr;
	}
}

static void compact_pageblock(struct compact *c, size_t pb)
{
	const struct pfa *p = c->p;
	size_t rel = pb << p->pb_order, end = rel + ((size_t)1 << p->pb_order);
	size_t first = c->z->start - c->z->origin, last = c->z->end - c->z->origin;
	rel = rel > first ? rel : first;
	end = end < last ? end : last;
	while (rel < end && !compact_done(c)) {
		uint8_t byte = pfai_load_acquire(&p->bytes[pfai_offset_of_rel(c->z, rel)]);
		unsigned order = byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0;
		if ((byte & PFAI_STATE_MASK) == PFAI_MOVABLE && order < p->pb_order)
			compact_block(c, rel, order);
		size_t left = end - rel; /* what lies in further pageblocks is scanned there */
		c->scanned += (size_t)1 << order < left ? (size_t)1 << order : left;
		c->steps++;
		rel += (size_t)1 << order;
	}
}

/* May this pageblock be passed by? Held, or nothing could be moved last time. */
static bool compact_skips(struct compact *c, size_t pb)
{
	if (!pfai_zone_lock(c->p, c->z))
		return true;
	bool skip = pfai_pb_holder(&c->z->pb[pb]) ||
	            (c->mode != PFA_MIGRATE_SYNC && pb < c->st->hint_end && (c->z->pb[pb].flags & PFAI_PB_SKIP));
	pfai_zone_unlock(c->p, c->z);
	return skip;
}

/* Nothing could be moved out of it, or something could. */
static void compact_hint(struct compact *c, size_t pb)
{
	struct pfai_pb *rec = &c->z->pb[pb];
	if (!pfai_zone_lock(c->p, c->z))
		return;
	rec->flags = (uint8_t)((rec->flags & ~PFAI_PB_SKIP) | (c->moved_any ? 0 : PFAI_PB_SKIP));
	pfai_zone_unlock(c->p, c->z);
	if (pb >= c->st->hint_end)
		c->st->hint_end = pb + 1;
}

static void compact_count(struct compact *c)
{
	pfai_add_relaxed(&c->st->scanned, c->scanned);
	pfai_add_relaxed(&c->st->moved, c->moved);
	pfai_add_relaxed(&c->st->failed, c->failed);
	pfai_add_relaxed(&c->st->steps, c->steps);
}

static void compact_begin(struct compact *c)
{
	c->st->running = true;
	c->st->order = c->order;
	c->st->src = (c->z->start - c->z->origin) >> c->p->pb_order;
	for (unsigned order = 0; order <= PFA_ORDER_LIMIT; order++)
		c->st->dst[order] = c->z->nr_pb;
}

/* Goes on with the zone's pass, *budget pageblocks at most. The zone's busy word is the caller's. True: the scanners met. */
static bool compact_run(struct compact *c, size_t *budget)
{
	struct pfai_compaction *st = c->st;
	bool met = false;
	if (!st->running || st->order != c->order)
		compact_begin(c);
	while (!met && *budget && !compact_done(c)) {
		/* dst[0] is the end of where single frames may still be free. */
		met = st->src >= st->dst[0] || st->src >= c->z->nr_pb;
		if (met)
			break;
		--*budget;
		c->moved_any = false;
		if (!compact_skips(c, st->src)) {
			compact_pageblock(c, st->src);
			if (!compact_done(c))
				compact_hint(c, st->src);
		}
		st->src++;
	}
	for (unsigned order = 0; order < c->p->pb_order; order++)
		if (c->hand[order])
			compact_drop(c, order);
	if (met || compact_done(c))
		st->running = false;
	if (met)
		st->hint_end = 0; /* the next pass looks again */
	compact_count(c);
	return met;
}

/* ---- asked for --------------------------------------------------------------------------------------------------- */

struct compact_index {
	size_t free, fit; /* frames: free; in blocks of the order */
};

/* Free frames of one zone, and those in blocks of 2^order. False: a lock is busy. */
static bool compact_index_zone(struct pfa *p, struct pfai_zone *z, unsigned order, struct compact_index *sum)
{
	size_t nr = (size_t)1 << order, chunk = (size_t)1 << (order > p->pb_order ? order : p->pb_order);
	for (size_t at = 0; at < z->nr_rel; at += chunk) {
		size_t end = at + chunk < z->nr_rel ? at + chunk : z->nr_rel;
		if (!pfai_zone_lock(p, z))
			return false;
		for (size_t word = at >> PFAI_WORD_SHIFT; word < end >> PFAI_WORD_SHIFT; word++) {
			sum->free += pfai_popcount(~z->not_free[word]);
			if (order < PFAI_WORD_SHIFT)
				sum->fit += (size_t)pfai_popcount(pfai_fold(~z->not_free[word], order)) << order;
		}
		for (size_t rel = at; order >= PFAI_WORD_SHIFT && rel + nr <= end; rel += nr)
			sum->fit += pfai_map_is(z->not_free, rel, nr, false) ? nr : 0;
		pfai_zone_unlock(p, z);
	}
	return true;
}

/* Per mille of the free frames that are in smaller blocks. Not 0 where a lock is busy: that would say that there are none. */
static unsigned compact_index(struct pfa *p, uint32_t first, uint32_t last, unsigned order)
{
	struct compact_index sum = { 0, 0 };
	for (uint32_t i = first; i <= last; i++) {
		struct pfai_zone *z = &p->zones[i];
		unsigned most = p->pb_order < z->top_order ? p->pb_order : z->top_order;
		if (!compact_index_zone(p, z, order < COMPACT_NO_ORDER ? order : most, &sum))
			return PFA_INDEX_UNKNOWN;
	}
	while (sum.free >= 1u << 20) { /* the products below fit 32 bits then */
		sum.free >>= 1;
		sum.fit >>= 1;
	}
	/* Division bit by bit, since not every core has one. */
	uint32_t free = (uint32_t)sum.free, rest = (free - (uint32_t)sum.fit) * 1000u, mille = 0;
	for (uint32_t bit = 512; bit && free; bit >>= 1)
		if ((mille | bit) * free <= rest)
			mille |= bit;
	return mille;
}

/* One zone of pfa_compact(). */
static int compact_zone(struct compact *c, struct pfa_compact_stats *out)
{
	size_t budget = SIZE_MAX;
	if (pfai_load_relaxed(&c->z->st->corrupt))
		return PFA_ECORRUPT;
	if (!pfai_zone_lockable(c->p, c->z) || !pfai_cas32_acquire(&c->st->busy, 0, 1))
		return PFA_EBUSY;
	c->st->running = false;
	out->met += compact_run(c, &budget);
	bool offered = c->order < COMPACT_NO_ORDER && pfai_load_relaxed(&c->z->st->avail_common) >> c->order;
	pfai_store_release(&c->st->busy, 0u);
	out->scanned += c->scanned;
	out->moved += c->moved;
	out->failed += c->failed;
	out->steps += c->steps;
	if (pfai_load_relaxed(&c->z->st->corrupt))
		return PFA_ECORRUPT;
	return offered || c->order == COMPACT_NO_ORDER ? PFA_OK : PFA_ENOMEM;
}

int pfa_compact(struct pfa *p, uint32_t zone, unsigned order, enum pfa_migrate_mode mode, struct pfa_compact_stats *out)
{
	struct pfa_compact_stats sums = { .size = sizeof(sums) };
	uint32_t slot, first = zone == PFA_ALL_ZONES ? 0 : zone;
	int result = pfai_closed_or_inside(p, "pfa_compact"), best = PFA_ENOMEM;
	if (result != PFA_OK)
		return result;
	if (!p->table)
		return PFA_ENOTSUP;
	if (first >= p->nr_zones || (order > p->max_order && order != PFA_COMPACT_ALL) || !pfa_migrate_tries(mode))
		return PFA_EINVAL;
	uint32_t last = zone == PFA_ALL_ZONES ? p->nr_zones - 1 : zone;
	unsigned goal = order == PFA_COMPACT_ALL ? COMPACT_NO_ORDER : order;
	if (!pfai_mover_begin(p, &slot))
		return PFA_EBUSY;
	if (out)
		sums.index_before = compact_index(p, first, last, goal);
	for (uint32_t i = first; i <= last && result != PFA_ECORRUPT && result != PFA_EBUSY; i++) {
		struct compact c = { .p = p, .z = &p->zones[i], .st = &p->zones[i].st->compaction, .order = goal, .mode = mode,
			             .slot = slot, .function = "pfa_compact" };
		result = compact_zone(&c, &sums);
		if (result == PFA_OK)
			best = PFA_OK;
	}
	if (out) {
		sums.index_after = compact_index(p, first, last, goal);
		*out = sums;
	}
	pfai_mover_end(p, slot);
	return result == PFA_EBUSY ? result : pfai_told(p, result == PFA_ECORRUPT ? result : best, "pfa_compact");
}

/* ---- for a request, and in the background ------------------------------------------------------------------------ */

/* Was compaction for this order in vain just now? Then only every 2^shift th caller tries again. */
static bool compact_deferred(struct pfai_compaction *st, unsigned order)
{
	uint32_t shift = pfai_load_relaxed(&st->defer_shift);
	if (!shift || order < pfai_load_relaxed(&st->defer_order))
		return false;
	uint32_t n = pfai_load_relaxed(&st->deferred) + 1;
	pfai_store_relaxed(&st->deferred, n >> shift ? 0 : n);
	return !(n >> shift);
}

static void compact_judge(struct pfai_compaction *st, unsigned order, bool success)
{
	uint32_t shift = pfai_load_relaxed(&st->defer_shift), least = pfai_load_relaxed(&st->defer_order);
	pfai_store_relaxed(&st->deferred, 0u);
	if (success && order >= least) {
		pfai_store_relaxed(&st->defer_shift, 0u);
	} else if (!success) {
		pfai_store_relaxed(&st->defer_order, shift && least < order ? least : order);
		pfai_store_relaxed(&st->defer_shift, shift < PFAI_COMPACT_SHIFT_LIMIT ? shift + 1 : shift);
	}
}

/* Would the request be granted if the zone's free frames were one block? */
static bool compact_has_room(struct pfa *p, struct pfai_zone *z, unsigned order)
{
	if (order > z->top_order || pfai_load_relaxed(&z->st->corrupt) || !pfai_zone_lock(p, z))
		return false;
	bool room = pfai_room_fits(pfai_zone_room_locked(z, z->mark_min, false, false), order);
	pfai_zone_unlock(p, z);
	return room;
}

int pfai_request_compact(struct pfa *p, struct pfai_request *rq)
{
	uint32_t slot;
	rq->zone = NULL;
	bool mover = pfai_mover_begin(p, &slot);
	for (unsigned i = rq->first_zone; mover && i <= rq->last_zone && !rq->zone; i++) {
		struct pfai_zone *z = &p->zones[i];
		struct compact c = { .p = p, .z = z, .st = &z->st->compaction, .order = rq->order, .mode = PFA_MIGRATE_SYNC_LIGHT,
			             .slot = slot, .capture = rq, .function = rq->function };
		size_t budget = SIZE_MAX;
		if (!compact_has_room(p, z, rq->order) || compact_deferred(c.st, rq->order) ||
		    !pfai_cas32_acquire(&c.st->busy, 0, 1))
			continue;
		c.st->running = false;
		bool met = compact_run(&c, &budget);
		if (met || rq->zone)
			compact_judge(c.st, rq->order, rq->zone != NULL);
		pfai_store_release(&c.st->busy, 0u);
	}
	if (mover)
		pfai_mover_end(p, slot);
	int result = rq->zone ? PFA_OK : pfai_request_again(p, rq);
	rq->failed = result == PFA_ENOMEM;
	return result;
}

void pfai_compact_wanted(struct pfa *p, const struct pfai_request *rq)
{
	if (!rq->order || rq->windowed)
		return;
	for (unsigned i = rq->first_zone; i <= rq->last_zone; i++)
		if (rq->order <= p->zones[i].top_order)
			pfai_store_relaxed(&p->zones[i].st->compaction.wanted, rq->order + 1);
}

/* A piece of one zone's pass. True: there is more to do. */
static bool compact_step(struct pfa *p, struct pfai_zone *z, uint32_t slot, unsigned order, unsigned *budget)
{
	struct compact c = { .p = p, .z = z, .st = &z->st->compaction, .order = order, .mode = PFA_MIGRATE_ASYNC, .slot = slot,
		             .function = "pfa_service" };
	size_t left = *budget;
	if (compact_done(&c) || !compact_has_room(p, z, order) || !pfai_cas32_acquire(&c.st->busy, 0, 1))
		return false;
	bool more = c.st->running || !compact_deferred(c.st, order);
	if (more) {
		bool met = compact_run(&c, &left), done = compact_done(&c);
		if (met || done)
			compact_judge(c.st, order, done);
		*budget = (unsigned)left;
		more = !met && !done;
	}
	pfai_store_release(&c.st->busy, 0u);
	return more;
}

bool pfai_compact_background(struct pfa *p, unsigned *budget)
{
	uint32_t slot;
	bool more = false;
	if (!p->table || !*budget)
		return false;
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		uint32_t wanted = pfai_load_relaxed(&z->st->compaction.wanted);
		if (!wanted)
			continue;
		if (!*budget || !pfai_mover_begin(p, &slot))
			return true;
		if (compact_step(p, z, slot, wanted - 1, budget))
			more = true;
		else
			(void)pfai_cas32(&z->st->compaction.wanted, wanted, 0);
		pfai_mover_end(p, slot);
	}
	return more;
}
