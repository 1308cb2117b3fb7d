/* SPDX-License-Identifier: MIT
 *
 * Repair: everything about a damaged zone is derived again from its frame bytes. lib/docs/repair.md has the rules and why
 * they never offer what may be somebody's. In short: a first byte that says HEAD keeps its frames from everybody else,
 * whatever the free map says; what no block covers is offered only if its byte says NOTHING and the map says free.
 *
 * The zone is frozen; but owners may move their first bytes from HEAD to FREEING at any time (free, split, range). So a
 * HEAD is changed by compare-exchange only, and what is FREEING is left to its mover, unless nobody can be one.
 */
#include <pfa/harden.h>

#include "check.h"
#include "check_cma.h"
#include "closed.h"
#include "generation.h"
#include "mark.h"
#include "owner.h"
#include "quarantine.h"
#include "tail.h"

struct repair {
	struct pfa *p;
	struct pfai_zone *z;
	struct pfa_repair *out;
	bool tails, quiescent;
	size_t first, end; /* rels of the zone's frames */
	size_t disputed;   /* below this, free frames lie in a block that may be somebody's */
	size_t allocated, bad, absent, offline, guards, movable, held;
	size_t block_end;  /* of the last block that is somebody's */
};

static inline pfai_a8 *repair_byte(const struct repair *r, size_t rel)
{
	return &r->p->bytes[pfai_offset_of_rel(r->z, rel)];
}

/* How many of nr frames from rel on look like the inside of a block. */
static inline size_t repair_inside(const struct repair *r, size_t rel, size_t nr)
{
	return pfai_tail_verify(r->p, pfai_offset_of_rel(r->z, rel), nr, r->tails ? PFAI_TAIL : PFAI_NOTHING);
}

static inline bool repair_fits(const struct repair *r, size_t rel, unsigned order)
{
	return order <= r->z->top_order && !(rel & (((size_t)1 << order) - 1)) && (size_t)1 << order <= r->end - rel;
}

static inline bool repair_used(const struct repair *r, size_t rel, unsigned order)
{
	return pfai_map_is(r->z->not_free, rel, (size_t)1 << order, true);
}

/* ---- decisions on frames ------------------------------------------------------------------------------------------- */

/* Nobody can say whose it is: it is never offered again. */
static void repair_give_up(struct repair *r, size_t rel)
{
	pfai_store_relaxed(repair_byte(r, rel), PFAI_BAD);
	pfai_map_fill(r->z->not_free, rel, 1, true);
	r->bad++;
	r->out->given_up++;
}

static size_t repair_keep(struct repair *r, size_t rel, unsigned order, bool changed)
{
	size_t nr = (size_t)1 << order;
	pfai_map_fill(r->z->not_free, rel, nr, true);
	r->allocated += nr;
	if (r->p->generations && r->quiescent)
		pfai_generation_begin(r->p, pfai_offset_of_rel(r->z, rel)); /* its owner can free it */
	if (changed)
		r->out->changed_blocks++;
	else
		r->out->kept_blocks++;
	r->block_end = rel + nr;
	return nr;
}

/* A guard beside a block that may be somebody's: it is released with that. */
static bool repair_guard(struct repair *r, size_t rel, uint8_t byte)
{
	bool beside = byte == PFAI_GUARD_ABOVE && r->block_end == rel;
	if (byte == PFAI_GUARD_BELOW && rel + 1 < r->end) {
		uint8_t first = pfai_load_acquire(repair_byte(r, rel + 1));
		unsigned next = first & PFAI_STATE_MASK;
		beside = (next == PFAI_HEAD || next == PFAI_MOVABLE || next == PFAI_FREEING) &&
		         repair_fits(r, rel + 1, first & PFAI_ORDER_MASK);
	}
	if (!beside)
		return false;
	pfai_map_fill(r->z->not_free, rel, 1, true);
	r->allocated++;
	r->guards++;
	return true;
}

/* There are more guards than there were: one of them, nobody knows which, was made by damage, and is somebody's frame. None is
 * released with its block, as a guard would be. */
static void repair_forsake_guards(struct repair *r)
{
	for (size_t rel = r->first; rel < r->end;) {
		uint8_t byte = pfai_load_acquire(repair_byte(r, rel));
		if (byte == PFAI_GUARD_ABOVE || byte == PFAI_GUARD_BELOW)
			repair_give_up(r, rel);
		rel += (size_t)1 << (byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0);
	}
	r->allocated -= r->guards;
	r->guards = 0;
}

/* Cached, quarantined or held, says its first byte, and nobody who could give it back knows it. Returns its frames. */
static size_t repair_orphan(struct repair *r, size_t rel, unsigned order, size_t clean)
{
	size_t nr = (size_t)1 << (clean < (size_t)1 << order ? pfai_log2(clean) : order);
	for (size_t i = rel; i < rel + nr; i++)
		if (i == rel || pfai_map_test(r->z->not_free, i) || pfai_load_relaxed(repair_byte(r, i)) != PFAI_NOTHING)
			repair_give_up(r, i);
	return nr;
}

/* A batch that is told just now may have it; then its frames' marks agree. 0: not so. */
static size_t repair_reporters(struct repair *r, size_t rel, unsigned order, size_t clean)
{
	size_t nr = (size_t)1 << order;
	if (r->quiescent || !r->z->told || clean < nr || !pfai_map_is(r->z->told, rel, nr, true))
		return 0;
	pfai_map_fill(r->z->not_free, rel, nr, true);
	r->held += nr;
	return nr;
}

static bool repair_is_single(uint8_t byte)
{
	return pfai_byte_is_absent(byte) || byte == PFAI_BAD;
}

/* The byte at rel + at is the only one inside of [rel, 2^order) that does not look so. Is it the one that is wrong, and
 * not the order of the whole? */
static bool repair_blames_inside(const struct repair *r, size_t rel, unsigned order, size_t at)
{
	size_t nr = (size_t)1 << order;
	uint8_t byte = pfai_load_relaxed(repair_byte(r, rel + at));
	bool block = (byte & PFAI_STATE_MASK) && repair_fits(r, rel + at, byte & PFAI_ORDER_MASK);
	if (repair_inside(r, rel + at + 1, nr - at - 1) != nr - at - 1)
		return false;
	if (!r->tails)
		return !block && !repair_is_single(byte);
	/* A larger order than the true one takes in the buddy, and a block or frame that is the buddy begins there. */
	if (at != nr / 2)
		return true;
	if (block)
		return (byte & PFAI_ORDER_MASK) + 1u != order;
	return order > 1 || (!repair_is_single(byte) && repair_used(r, rel + at, 0));
}

/* What a block that somebody has says in its first byte: MOVABLE where the owner table knows it. */
static unsigned repair_state(const struct repair *r, size_t rel, unsigned state)
{
	struct pfai_entry *e = r->p->table ? pfai_entry_at(r->p, pfai_offset_of_rel(r->z, rel)) : NULL;
	if (e && (pfai_load_acquire(&e->lock) & PFAI_ENTRY_MOVABLE))
		return r->quiescent ? PFAI_MOVABLE : state;
	if (e && r->quiescent)
		(void)pfai_entry_clear(r->p, e);
	return PFAI_HEAD;
}

/* Takes a block out of its owner's reach, as a free would. False: the owner moves it just now. */
static bool repair_claim(struct repair *r, size_t rel, uint8_t byte, unsigned order)
{
	size_t offset = pfai_offset_of_rel(r->z, rel);
	if (r->p->generations && !r->quiescent)
		return pfai_claim_generation_of(r->p, offset, byte, pfai_load_acquire(&r->p->generations[offset]));
	return pfai_cas8(&r->p->bytes[offset], byte, (uint8_t)(PFAI_FREEING | order));
}

/* Changes an owner's first byte, and one byte inside (at 0: none), unless the owner moves it just now. */
static bool repair_rewrite(struct repair *r, size_t rel, uint8_t byte, unsigned state, unsigned order, size_t at)
{
	if (!repair_claim(r, rel, byte, order))
		return false;
	if (at)
		pfai_store_relaxed(repair_byte(r, rel + at), r->tails ? PFAI_TAIL : PFAI_NOTHING);
	if (r->p->generations && !r->quiescent)
		pfai_unclaim_as(r->p, pfai_offset_of_rel(r->z, rel), state | order);
	else
		pfai_store_release(repair_byte(r, rel), (uint8_t)(state | order));
	return true;
}

/* HEAD, MOVABLE, or FREEING and nobody frees. clean: 1 + how many frames after the first look like its inside. */
static size_t repair_owned(struct repair *r, size_t rel, uint8_t byte, size_t clean)
{
	unsigned order = byte & PFAI_ORDER_MASK, to = order, state = repair_state(r, rel, byte & PFAI_STATE_MASK);
	size_t nr = (size_t)1 << order, at = 0;
	if (clean < nr && repair_blames_inside(r, rel, order, clean)) {
		at = clean;
	} else if (clean < nr) {
		to = pfai_log2(clean);
		if (!r->tails) {
			/* What lies between the blocks inside of it may be its own: not offered. */
			while (to && !repair_used(r, rel, to))
				to--;
			r->disputed = rel + nr > r->disputed ? rel + nr : r->disputed;
		}
	} else if (r->tails) {
		while (repair_fits(r, rel, to + 1) && repair_inside(r, rel + ((size_t)1 << to), (size_t)1 << to) == (size_t)1 << to)
			to++;
	}
	r->movable += state == PFAI_MOVABLE ? (size_t)1 << to : 0;
	if (!at && to == order && byte == (state | order))
		return repair_keep(r, rel, order, false);
	if (!repair_rewrite(r, rel, byte, state, to, at))
		return repair_keep(r, rel, order, false); /* its owner knows the order */
	return repair_keep(r, rel, to, true);
}

/* A first byte is lost, and the TAILs after it are not. 0: not so. */
static size_t repair_headless(struct repair *r, size_t rel)
{
	size_t left = r->end - rel, limit = (size_t)1 << r->z->top_order;
	size_t nr = 1 + repair_inside(r, rel + 1, (left < limit ? left : limit) - 1);
	unsigned order = pfai_log2(nr);
	while (order && (!repair_fits(r, rel, order) || !repair_used(r, rel, order)))
		order--;
	if (!order)
		return 0;
	pfai_store_relaxed(repair_byte(r, rel), (uint8_t)(PFAI_HEAD | order));
	return repair_keep(r, rel, order, true);
}

/* No block begins at rel, and none covers it. Returns the frames that were decided. */
static size_t repair_single(struct repair *r, size_t rel, uint8_t byte)
{
	bool used = pfai_map_test(r->z->not_free, rel);
	if (byte == PFAI_NOTHING && !used && rel >= r->disputed)
		return 1;
	if (pfai_level(r->p, 3) && repair_guard(r, rel, byte))
		return 1;
	if (r->tails && byte != PFAI_TAIL) {
		size_t nr = repair_headless(r, rel);
		if (nr)
			return nr;
	}
	if (pfai_byte_is_absent(byte) && used) {
		pfai_pb_at(r->p, r->z, rel)->flags |= PFAI_PB_PARTIAL;
		r->absent++;
		r->offline += byte != PFAI_ABSENT;
	} else if (byte == PFAI_BAD) {
		pfai_map_fill(r->z->not_free, rel, 1, true);
		r->bad++;
	} else {
		repair_give_up(r, rel);
	}
	return 1;
}

static size_t repair_frame(struct repair *r, size_t rel)
{
	uint8_t byte = pfai_load_acquire(repair_byte(r, rel));
	unsigned order = byte & PFAI_ORDER_MASK, state = byte & PFAI_STATE_MASK;
	if (!state || !repair_fits(r, rel, order))
		return repair_single(r, rel, byte);
	if (state == PFAI_FREEING && !r->quiescent)
		return repair_keep(r, rel, order, false); /* and whatever a split may be writing into it */
	size_t clean = 1 + repair_inside(r, rel + 1, ((size_t)1 << order) - 1);
	if (state == PFAI_HEAD || state == PFAI_FREEING || state == PFAI_MOVABLE)
		return repair_owned(r, rel, byte, clean);
	size_t nr = state == PFAI_HELD_REPORT ? repair_reporters(r, rel, order, clean) : 0;
	return nr ? nr : repair_orphan(r, rel, order, clean);
}

/* ---- caches -------------------------------------------------------------------------------------------------------- */

/* A block that a slot or a quarantine has, and whose bytes say so, goes back. Everything else is left to the walk. */
static void repair_uncache(struct repair *r, size_t offset, unsigned state, unsigned order)
{
	pfa_pfn pfn = r->p->base + offset;
	size_t rel = pfn - r->z->origin, nr = (size_t)1 << order;
	if (pfn < r->z->start || pfn >= r->z->end || !repair_fits(r, rel, order) || !repair_used(r, rel, order))
		return;
	uint8_t byte = pfai_load_relaxed(repair_byte(r, rel));
	if ((byte & ~(unsigned)(state == PFAI_CACHED ? PFAI_ZERO_BIT : 0)) != (state | order) || repair_inside(r, rel + 1, nr - 1) != nr - 1)
		return;
	pfai_tail_fill(r->p, offset, nr, PFAI_NOTHING);
	pfai_map_fill(r->z->not_free, rel, nr, false);
	r->out->uncached++;
}

static uint32_t *repair_queued(const struct repair *r, struct pfai_full *f, uint32_t i)
{
	uint32_t at = f->first + i, size = r->p->quarantine;
	return &pfai_quarantine_ring(r->p, f)[at < size ? at : at - size];
}

/* Of the ring only what is in use: another entry may name what is somebody's by now, and whose first byte is damaged. */
static void repair_quarantine(struct repair *r, struct pfai_cpu *c)
{
	struct pfai_full *f = pfai_full_of(r->p, c);
	uint32_t size = r->p->quarantine, kept = 0;
	bool sound = f->first < size && f->n <= size;
	for (uint32_t i = 0; sound && i < f->n; i++) {
		uint32_t offset = *repair_queued(r, f, i);
		struct pfai_zone *z = offset < r->p->span ? pfai_zone_of(r->p, r->p->base + offset) : NULL;
		if (z && z != r->z)
			*repair_queued(r, f, kept++) = offset;
		else if (z)
			repair_uncache(r, offset, PFAI_QUARANTINE, pfai_load_relaxed(&r->p->bytes[offset]) & PFAI_ORDER_MASK);
	}
	if (sound)
		f->n = kept;
	pfai_quarantine_reset(r->p, c, r->z);
}

static void repair_caches(struct repair *r)
{
	struct pfa *p = r->p;
	size_t slots = pfai_slots_per_zone(p), first = r->z->id * slots;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		if (c->first >= pfai_slots_per_cpu(p) || c->first % slots)
			c->first = 0;
		pfai_store_relaxed(&c->held, 1u);
		if (pfai_level(p, 3))
			repair_quarantine(r, c);
		for (size_t slot = first; slot < first + slots; slot++) {
			struct pfai_slot *s = &c->slots[slot];
			unsigned cap = pfai_slot_sealed_cap(p, slot);
			/* Where the zone was abandoned, its slots' entries were kept. */
			unsigned nr = s->start == PFAI_SLOT_ABANDONED || s->n > cap ? cap : s->n;
			const uint32_t *entries = pfai_slot_sealed_entries(p, cpu, slot);
			for (unsigned i = 0; i < nr; i++)
				repair_uncache(r, entries[i], PFAI_CACHED, pfai_slot_order(p, slot));
			s->n = 0;
			s->cap = p->st->disabled ? 0 : (uint16_t)cap;
			s->start = p->homes[slot].start;
		}
	}
}

/* How often caches are disabled is one word; whether they are, each slot of a sound zone knows: it has a capacity, or none. Most
 * of them decide. All cache locks and the set lock are held. */
static void repair_disabled(struct pfa *p)
{
	size_t open = 0, closed = 0;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		for (size_t slot = 0; slot < pfai_slots_per_cpu(p); slot++) {
			if (!pfai_slot_sealed_cap(p, slot) || pfai_load_relaxed(&p->zones[pfai_slot_zone(p, slot)].st->corrupt))
				continue;
			if (pfai_cpu_at(p, cpu)->slots[slot].cap)
				open++;
			else
				closed++;
		}
	}
	bool possible = p->st->disabled <= PFAI_DISABLED_LIMIT;
	if (open > closed || (!possible && open == closed))
		p->st->disabled = 0;
	else if (closed > open && (!possible || !p->st->disabled))
		p->st->disabled = 1;
}

/* ---- pageblocks ---------------------------------------------------------------------------------------------------- */

/* Was some free frame of this pageblock on offer as this type? */
static bool repair_offered_as(const struct repair *r, size_t pb, unsigned code)
{
	const struct pfa *p = r->p;
	unsigned shift = p->pb_order - p->leaf_order;
	for (size_t leaf = pb << shift; leaf < (pb + 1) << shift; leaf++) {
		for (unsigned order = 0; order <= r->z->top_order; order++) {
			size_t i = order > p->leaf_order ? leaf >> (order - p->leaf_order) : leaf;
			if (pfai_bitset_test(pfai_set_at(r->z, code, order), i))
				return true;
		}
	}
	return false;
}

/* Two of three decide: the record, the route, and the index as it was. Without a majority: the record, or where that is
 * no type, CMA, which is lent to those only that can give it back. */
static unsigned repair_code(const struct repair *r, size_t pb)
{
	const struct pfai_pb *rec = &r->z->pb[pb];
	size_t offset = pfai_offset_of_rel(r->z, pb << r->p->pb_order);
	unsigned route = pfai_load_relaxed(&r->p->routes[offset >> r->p->pb_order]), code = rec->code;
	bool routed = (route & (PFAI_ROUTE_CODES - 1)) != PFAI_ROUTE_SLOW && route >> PFAI_ROUTE_ZONE_SHIFT == r->z->id;
	unsigned by_route = route & (PFAI_ROUTE_CODES - 1);
	if (code < PFAI_CODES && (routed ? by_route == code : !pfai_code_is_common(code)))
		return code;
	if (routed && (code >= PFAI_CODES || repair_offered_as(r, pb, by_route)))
		return by_route;
	if (code < PFAI_CODES && repair_offered_as(r, pb, code))
		return code;
	for (unsigned other = 0; other < PFAI_CODES; other++)
		if (repair_offered_as(r, pb, other))
			return other;
	return code < PFAI_CODES ? code : PFAI_CODE_CMA;
}

/* Is its holder true? The index decides, as it was; where that says nothing, since no frame was free, the route. */
static bool repair_held(const struct repair *r, size_t pb)
{
	if (!pfai_pb_holder(&r->z->pb[pb]) || (pb + 1) << r->p->pb_order <= r->first)
		return false;
	if (repair_offered_as(r, pb, PFAI_CODE_ISOLATE))
		return true;
	for (unsigned code = 0; code < PFAI_CODES; code++)
		if (repair_offered_as(r, pb, code))
			return false;
	size_t offset = pfai_offset_of_rel(r->z, pb << r->p->pb_order);
	return pfai_load_relaxed(&r->p->routes[offset >> r->p->pb_order]) % PFAI_ROUTE_CODES == PFAI_ROUTE_SLOW;
}

/* The record of a pageblock, but for its type and its holder. */
static void repair_record(struct repair *r, size_t pb)
{
	struct pfai_zone *z = r->z;
	struct pfai_pb *rec = &z->pb[pb];
	size_t words = (size_t)1 << (r->p->pb_order - PFAI_WORD_SHIFT), used = 0;
	for (size_t i = pb * words; i < (pb + 1) * words; i++)
		used += pfai_popcount(z->not_free[i]);
	rec->used = (uint32_t)used;
	rec->marked = 0;
	rec->spare = 0;
}

static void repair_type(struct repair *r, size_t pb)
{
	struct pfai_zone *z = r->z;
	struct pfai_pb *rec = &z->pb[pb];
	size_t size = (size_t)1 << r->p->pb_order;
	unsigned code = (pb + 1) * size <= r->first ? PFAI_CODE_MOVABLE : repair_code(r, pb);
	bool partial = rec->flags & PFAI_PB_PARTIAL;
	if (r->quiescent && pfai_cma_covers(r->p, z, pb))
		code = PFAI_CODE_CMA;
	if (code == PFAI_CODE_HIGHATOMIC && z->st->reserved_high + size > z->highatomic_limit)
		code = PFAI_CODE_MOVABLE;
	if ((partial && code == PFAI_CODE_HIGHATOMIC) || (!rec->used && !pfai_pb_holder(rec) && pfai_code_reverts(code)))
		code = PFAI_CODE_MOVABLE;
	if (code == PFAI_CODE_HIGHATOMIC)
		z->st->reserved_high += size;
	r->out->retyped += code != rec->code;
	rec->code = (uint8_t)code;
	z->st->free[pfai_pb_code(rec)] += size - rec->used;
}

/* Frames that were to become bad when they come back: they still are, if they are in use. */
static void repair_doomed(struct repair *r)
{
	struct pfai_zone *z = r->z;
	z->st->nr_doomed = 0;
	for (size_t word = 0; word < z->nr_rel >> PFAI_WORD_SHIFT; word++) {
		pfai_word doomed = z->doomed[word], rel = word << PFAI_WORD_SHIFT;
		/* The record has to agree, lest a damaged map makes half of the zone bad. */
		if (!(pfai_pb_at(r->p, z, rel)->flags & PFAI_PB_DOOMED))
			doomed = 0;
		for (pfai_word rest = doomed; rest; rest &= rest - 1) {
			size_t at = rel + pfai_ctz(rest);
			bool outside = at < r->first || at >= r->end;
			if (!outside && !pfai_map_test(z->not_free, at))
				repair_give_up(r, at);
			if (outside || repair_is_single(pfai_load_relaxed(repair_byte(r, at))))
				doomed &= ~((pfai_word)1 << (at & PFAI_WORD_MASK));
		}
		z->doomed[word] = doomed;
		z->st->nr_doomed += pfai_popcount(doomed);
	}
}

/* ---- index --------------------------------------------------------------------------------------------------------- */

/* Wholly free leaves [first, last) of one type go on offer. */
static void repair_offer(struct repair *r, unsigned code, size_t first, size_t last)
{
	size_t rel = first << r->p->leaf_order, nr = (last - first) << r->p->leaf_order;
	while (nr) {
		unsigned order = pfai_natural_order(rel, nr, r->z->top_order);
		pfai_index_add(r->p, r->z, code, order, rel >> order);
		rel += (size_t)1 << order;
		nr -= (size_t)1 << order;
	}
}

static void repair_index(struct repair *r)
{
	const struct pfa *p = r->p;
	struct pfai_zone *z = r->z;
	unsigned shift = p->pb_order - p->leaf_order, run_code = 0;
	size_t run = PFAI_NONE;
	memset(z->sets, 0, z->set_words * PFAI_PLANES * sizeof(*z->sets));
	memset(z->st->nonempty, 0, sizeof(z->st->nonempty));
	for (size_t leaf = 0; leaf < z->nr_leaves; leaf++) {
		unsigned code = pfai_pb_code(&z->pb[leaf >> shift]);
		int order = pfai_zone_fold_leaf_locked(p, z, leaf);
		bool whole = order == (int)p->leaf_order;
		if (run != PFAI_NONE && (!whole || code != run_code)) {
			repair_offer(r, run_code, run, leaf);
			run = PFAI_NONE;
		}
		if (whole && run == PFAI_NONE) {
			run = leaf;
			run_code = code;
		}
		if (order >= 0 && !whole)
			pfai_index_add(p, z, code, (unsigned)order, leaf);
	}
	if (run != PFAI_NONE)
		repair_offer(r, run_code, run, z->nr_leaves);
}

/* ---- a zone -------------------------------------------------------------------------------------------------------- */

static void repair_pageblocks(struct repair *r)
{
	struct pfai_zone *z = r->z;
	size_t first = r->first >> r->p->pb_order;
	memset(z->st->free, 0, sizeof(z->st->free));
	z->st->reserved_high = z->st->nr_held = 0;
	repair_doomed(r);
	for (size_t pb = 0; pb < z->nr_pb; pb++) {
		repair_record(r, pb);
		if (!repair_held(r, pb))
			pfai_store_relaxed(&z->pb[pb].holder, 0u);
		z->st->nr_held += pfai_pb_holder(&z->pb[pb]) != 0;
		repair_type(r, pb);
	}
	for (size_t pb = 0; pb < z->nr_pb; pb++)
		z->pb[pb].flags &= (uint8_t)~PFAI_PB_DOOMED;
	for (size_t pb = first; pb < z->nr_pb; pb++)
		pfai_zone_set_code_locked(r->p, z, pb, z->pb[pb].code);
	for (size_t word = 0; word < z->nr_rel >> PFAI_WORD_SHIFT; word++)
		if (z->doomed[word])
			pfai_zone_route_doomed_locked(r->p, z, word << PFAI_WORD_SHIFT, true);
}

/* The device is told of everything again, but for what it is being told of now. Every block of the zone was decided about. */
static void repair_told(struct repair *r)
{
	struct pfai_zone *z = r->z;
	z->st->told = 0;
	z->st->held_report = r->held;
	z->st->report_quiet = 0;
	z->st->reporting = z->told && z->st->reporting;
	if (!z->told)
		return;
	memset(z->told, 0, (z->nr_rel >> PFAI_WORD_SHIFT) * sizeof(*z->told));
	for (size_t rel = r->first, nr; r->held && rel < r->end; rel += nr) {
		uint8_t byte = pfai_load_relaxed(repair_byte(r, rel));
		nr = (size_t)1 << (byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0);
		if ((byte & PFAI_STATE_MASK) == PFAI_HELD_REPORT)
			pfai_map_fill(z->told, rel, nr, true);
	}
	if (r->quiescent)
		z->st->reporting = r->p->report->registered && !r->p->report->suspended;
	memset(z->pending, 0, pfai_bitset_words(z->nr_leaves) * sizeof(*z->pending));
	memset(z->resident, 0, pfai_bitset_words(z->nr_pb) * sizeof(*z->resident));
	for (size_t leaf = 0; z->st->reporting && leaf < z->nr_leaves;)
		leaf = pfai_mark_all_pending_locked(r->p, z, leaf);
	if (z->st->reporting)
		pfai_report_request(r->p->report);
}

static void repair_zone(struct repair *r)
{
	struct pfai_zone *z = r->z;
	size_t pb_size = (size_t)1 << r->p->pb_order;
	struct pfa_zone_stats s;
	pfai_map_fill(z->not_free, 0, r->first, true);
	pfai_map_fill(z->not_free, r->end, z->nr_rel - r->end, true);
	for (size_t pb = 0; pb < z->nr_pb; pb++) {
		bool inside = pb * pb_size >= r->first && (pb + 1) * pb_size <= r->end;
		z->pb[pb].flags = (uint8_t)((z->pb[pb].flags & (PFAI_PB_DOOMED | PFAI_PB_LENT)) | (inside ? 0 : PFAI_PB_PARTIAL));
	}
	repair_caches(r);
	for (size_t rel = r->first; rel < r->end;)
		rel += repair_frame(r, rel);
	if (r->guards > z->st->guards)
		repair_forsake_guards(r);
	repair_pageblocks(r);
	repair_index(r);
	if (z->zero) /* what was free is not known to have been so all the time */
		memset(z->zero, r->p->zero_invert ? 0xFF : 0, (z->nr_rel >> PFAI_WORD_SHIFT) * sizeof(*z->zero));
	repair_told(r);
	z->st->present = r->end - r->first - r->absent;
	z->st->offline = r->offline;
	z->st->bad = r->bad;
	if (r->quiescent) { /* nobody moves */
		pfai_store_relaxed(&z->st->moves.movable, r->movable);
		pfai_store_relaxed(&z->st->moves.isolated, 0u);
	}
	z->st->guards = r->guards;
	if (r->guards) /* that there are some is known in one word, which may be damaged, too */
		pfai_store_relaxed(&r->p->st->guarded, 1u);
	pfai_zone_stats_frozen(r->p, z, &s);
	z->st->direct_allocs += r->allocated - s.allocated;
	pfai_zone_steps(z, r->end - r->first);
	pfai_store_relaxed(&z->st->corrupt, PFAI_DAMAGE_NONE);
	r->out->zones++;
	r->out->free += s.free;
}

int pfa_repair(struct pfa *p, unsigned flags, struct pfa_repair *out)
{
	struct pfa_repair sums;
	struct pfa_violation v;
	unsigned level = PFA_CHECK_FRAMES | PFAI_CHECK_SET_LOCKED | (flags & PFA_REPAIR_QUIESCENT ? PFA_CHECK_QUIESCENT : 0);
	int result = pfai_closed(p, "pfa_repair");
	if (result != PFA_OK)
		return result;
	if (flags & ~PFA_REPAIR_QUIESCENT)
		return PFA_EINVAL;
	memset(&sums, 0, sizeof(sums));
	sums.size = sizeof(sums);
	if (!pfai_set_lock(p))
		return PFA_EBUSY;
	for (uint32_t i = 0; i < p->nr_zones && result == PFA_OK; i++) {
		struct pfai_zone *z = &p->zones[i];
		struct repair r = {
			.p = p, .z = z, .out = &sums, .tails = pfai_level(p, 2), .quiescent = flags & PFA_REPAIR_QUIESCENT,
			.first = z->start - z->origin, .end = z->end - z->origin,
			.block_end = PFAI_NONE,
		};
		if (!pfai_zone_freeze(p, z)) {
			result = PFA_EBUSY;
			break;
		}
		if (i == 0)
			repair_disabled(p);
		if (pfai_load_relaxed(&z->st->corrupt) || !pfai_check_frozen(p, z, level, &v, NULL))
			repair_zone(&r);
		pfai_zone_thaw(p, z);
	}
	pfai_set_unlock(p);
	if (out)
		*out = sums;
	return result;
}
