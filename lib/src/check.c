/* SPDX-License-Identifier: MIT
 *
 * The checker: derives everything again from the free map and the frame bytes, and compares. It changes nothing, and of
 * the code that it checks it uses look-ups only, and the fold of a leaf, which has an exhaustive test of its own.
 */
#include <pfa/debug.h>

#include "check.h"
#include "check_cma.h"
#include "closed.h"
#include "leaf.h"
#include "mark.h"

struct check {
	struct pfa *p;
	struct pfai_zone *z;
	struct pfa_violation *out;
	bool quiescent;
	bool switched; /* nobody disables or enables caches meanwhile */
	/* derived */
	size_t counts[PFAI_PLANES][PFA_ORDER_LIMIT + 1];
	size_t free[PFAI_PLANES];
	size_t held, reserved, present, allocated, cached, quarantined, guards, bad, offline, doomed, told, reporter;
	size_t entries, entries_sum, entries_squares; /* of cached and quarantined blocks, by their offsets */
	size_t block_end; /* where the newest allocated block ends */
	struct pfai_check_movable moves;
};

/* The first broken invariant; always false, so that callers can return it. */
static bool check_broken(struct check *c, unsigned invariant, size_t rel, size_t expected, size_t actual, const char *what)
{
	*c->out = (struct pfa_violation){
		.invariant = invariant,
		.zone = c->z->id,
		.pfn = c->z->origin + rel,
		.expected = expected,
		.actual = actual,
		.what = what,
	};
	return false;
}

static bool check_equal(struct check *c, unsigned invariant, size_t expected, size_t actual, const char *what)
{
	return expected == actual || check_broken(c, invariant, c->z->start - c->z->origin, expected, actual, what);
}

/* ---- free map, pageblocks, leaves, index --------------------------------------------------------------------------- */

/* One block of leaf order or more that the free map holds: it must be on offer, as one. */
static bool check_block(struct check *c, unsigned code, unsigned order, size_t rel)
{
	if (!pfai_bitset_test(pfai_set_at(c->z, code, order), rel >> order))
		return check_broken(c, 2, rel, order, 0, "I2 a free block is not in the index at its full size");
	c->counts[code][order]++;
	return true;
}

/* Wholly free leaves [first, last) of one type: as blocks, the natural decomposition is the coalesced one. */
static bool check_whole_leaves(struct check *c, unsigned code, size_t first, size_t last)
{
	size_t rel = first << c->p->leaf_order, nr = (last - first) << c->p->leaf_order;
	while (nr) {
		unsigned order = pfai_natural_order(rel, nr, c->z->top_order);
		if (!check_block(c, code, order, rel))
			return false;
		rel += (size_t)1 << order;
		nr -= (size_t)1 << order;
	}
	return true;
}

/* One leaf: its value, and its class if it is not wholly free. *whole: it is. */
static bool check_leaf(struct check *c, unsigned code, size_t leaf, bool *whole)
{
	const struct pfa *p = c->p;
	const struct pfai_zone *z = c->z;
	int order = pfai_leaf_fold(pfai_leaf_at(p, z, leaf), pfai_leaf_words(p), z->leaf_top);
	unsigned value = order < 0 ? PFAI_LEAF_FULL : z->leaf_top - (unsigned)order;
	*whole = order == (int)p->leaf_order;
	if (z->leaf[leaf] != value)
		return check_broken(c, 2, leaf << p->leaf_order, value, z->leaf[leaf], "I2 a leaf's largest order");
	if (order < 0 || *whole)
		return true;
	if (!pfai_bitset_test(pfai_set_at(z, code, (unsigned)order), leaf))
		return check_broken(c, 2, leaf << p->leaf_order, (size_t)order, 0, "I2 a leaf is not in its class");
	c->counts[code][order]++;
	return true;
}

/* Doomed frames: in use, none unknown to the pageblock. */
static bool check_doomed(struct check *c, size_t pb)
{
	const struct pfai_zone *z = c->z;
	size_t first = pb << (c->p->pb_order - PFAI_WORD_SHIFT), end = (pb + 1) << (c->p->pb_order - PFAI_WORD_SHIFT);
	for (size_t i = first; i < end; i++) {
		pfai_word word = z->doomed[i];
		if (!word)
			continue;
		if ((word & ~z->not_free[i]) || !(z->pb[pb].flags & PFAI_PB_DOOMED))
			return check_broken(c, 3, i << PFAI_WORD_SHIFT, 0, word, "I3 a doomed frame");
		c->doomed += pfai_popcount(word);
	}
	return true;
}

/* Does a pageblock have absent frames? A hole is looked for only where the flag says so: where it does not, the frames
 * are counted one by one by check_used(). */
static bool check_has_absent(const struct check *c, size_t pb)
{
	const struct pfai_zone *z = c->z;
	size_t rel = pb << c->p->pb_order, end = rel + ((size_t)1 << c->p->pb_order);
	if (rel < z->start - z->origin || end > z->end - z->origin)
		return true;
	if (!(z->pb[pb].flags & PFAI_PB_PARTIAL))
		return false;
	while (rel < end && !pfai_byte_is_absent(pfai_load_relaxed(&c->p->bytes[pfai_offset_of_rel(z, rel)])))
		rel++;
	return rel < end;
}

/* Frames that the reporting device knows: free, and as many as the pageblock says; or held, of which the frame bytes tell. */
static bool check_told(struct check *c, size_t pb)
{
	const struct pfai_zone *z = c->z;
	size_t words = (size_t)1 << (c->p->pb_order - PFAI_WORD_SHIFT), told = 0;
	for (size_t i = pb * words; z->told && i < (pb + 1) * words; i++) {
		pfai_word word = z->told[i];
		if (!word)
			continue;
		told += pfai_popcount(word & ~z->not_free[i]);
		c->reporter -= pfai_popcount(word & z->not_free[i]);
	}
	c->told += told;
	if (told != z->pb[pb].marked)
		return check_broken(c, 9, pb << c->p->pb_order, told, z->pb[pb].marked, "I9 a pageblock's count of reported frames");
	bool noted = !z->resident || !z->st->reporting || !pfai_mark_is_resident(c->p, z, pb) || pfai_bitset_test(z->resident, pb);
	return noted || check_broken(c, 9, pb << c->p->pb_order, 1, 0, "I9 the set of pageblocks that requests take from first");
}

static bool check_pageblock(struct check *c, size_t pb)
{
	const struct pfa *p = c->p;
	const struct pfai_pb *rec = &c->z->pb[pb];
	size_t size = (size_t)1 << p->pb_order, used = 0, rel = pb << p->pb_order;
	const pfai_word *words = c->z->not_free + (rel >> PFAI_WORD_SHIFT);
	for (size_t i = 0; i < size >> PFAI_WORD_SHIFT; i++)
		used += words[i] == PFAI_ONES ? PFAI_WORD_BITS : words[i] ? pfai_popcount(words[i]) : 0;
	if (rec->used != used)
		return check_broken(c, 2, rel, used, rec->used, "I2 a pageblock's count of used frames");
	if (rec->code >= PFAI_CODES)
		return check_broken(c, 3, rel, PFAI_CODES, rec->code, "I3 a pageblock's type");
	uint32_t holder = pfai_pb_holder(rec);
	if (rec->used == 0 && !holder && pfai_code_reverts(rec->code))
		return check_broken(c, 5, rel, PFAI_CODE_MOVABLE, rec->code, "I5 an entirely free pageblock binds a type");
	if (rec->code == PFAI_CODE_HIGHATOMIC && (rec->flags & PFAI_PB_PARTIAL))
		return check_broken(c, 3, rel, 0, rec->code, "I3 a reserved pageblock has absent frames");
	if (holder && rel + size <= c->z->start - c->z->origin)
		return check_broken(c, 4, rel, 0, holder, "I4 a pageblock outside of the zone is held");
	c->held += holder != 0;
	if (!check_told(c, pb))
		return false;
	if (!(rec->flags & PFAI_PB_PARTIAL) != !check_has_absent(c, pb))
		return check_broken(c, 3, rel, 0, rec->flags, "I3 a pageblock's flag that frames are absent");
	c->free[pfai_pb_code(rec)] += size - used;
	if (rec->code == PFAI_CODE_HIGHATOMIC)
		c->reserved += size;
	/* The largest block's alignment may put pageblocks before the zone; they have no route here. */
	if (rel + size <= c->z->start - c->z->origin)
		return true;
	size_t route = pfai_load_relaxed(&p->routes[pfai_offset_of_rel(c->z, rel) >> p->pb_order]);
	size_t expected = pfai_zone_route_locked(p, c->z, pb);
	/* Of a pageblock that two zones share either may have written it. */
	bool other = (expected & (PFAI_ROUTE_CODES - 1)) == PFAI_ROUTE_SLOW &&
	             (route & (PFAI_ROUTE_CODES - 1)) == PFAI_ROUTE_SLOW && route >> PFAI_ROUTE_ZONE_SHIFT < p->nr_zones;
	if (route != expected && !other)
		return check_broken(c, 3, rel, expected, route, "I3 a pageblock's route");
	return true;
}

/* Sets and masks against what was counted. */
static bool check_sets(struct check *c)
{
	struct pfai_zone *z = c->z;
	for (unsigned code = 0; code < PFAI_PLANES; code++) {
		for (unsigned order = 0; order <= z->top_order; order++) {
			bool offered = z->st->nonempty[code] >> order & 1;
			size_t count = pfai_bitset_verify(pfai_set_at(z, code, order), pfai_set_bits(c->p, z, order));
			if (!check_equal(c, 2, c->counts[code][order], count, "I2 elements of an index set") ||
			    !check_equal(c, 2, count != 0, offered, "I2 the mask of orders on offer"))
				return false;
		}
		if (!check_equal(c, 2, 0, z->st->nonempty[code] >> z->top_order >> 1, "I2 the mask of orders on offer"))
			return false;
		if (!check_equal(c, 6, c->free[code], z->st->free[code], "I6 free frames of a type"))
			return false;
	}
	if (!check_equal(c, 9, c->told, z->st->told, "I9 reported frames") ||
	    !check_equal(c, 9, z->st->held_report, (size_t)0 - c->reporter, "I9 frames that the reporter holds"))
		return false;
	if (z->st->reporting > (z->told != NULL) || z->st->report_quiet)
		return check_broken(c, 9, 0, 0, z->st->reporting, "I9 whether a device is told of frees");
	if (z->pending && pfai_bitset_verify(z->pending, z->nr_leaves) == PFAI_NONE)
		return check_broken(c, 9, 0, 0, 0, "I9 the set of leaves that a pass has to look at");
	if (z->resident && pfai_bitset_verify(z->resident, z->nr_pb) == PFAI_NONE)
		return check_broken(c, 9, 0, 0, 0, "I9 the set of pageblocks that requests take from first");
	if (!check_equal(c, 6, c->doomed, z->st->nr_doomed, "I6 doomed frames") ||
	    !check_equal(c, 4, c->held, z->st->nr_held, "I4 held pageblocks"))
		return false;
	uint32_t common = z->st->nonempty[PFAI_CODE_MOVABLE] | z->st->nonempty[PFAI_CODE_UNMOVABLE] |
	                  z->st->nonempty[PFAI_CODE_RECLAIMABLE];
	return check_equal(c, 2, common, pfai_load_relaxed(&z->st->avail_common), "I2 the published orders on offer") &&
	       check_equal(c, 2, z->st->nonempty[PFAI_CODE_CMA], pfai_load_relaxed(&z->st->avail_cma), "I2 the published orders of CMA") &&
	       check_equal(c, 2, z->st->nonempty[PFAI_CODE_HIGHATOMIC], pfai_load_relaxed(&z->st->avail_high),
	                   "I2 the published orders of HIGHATOMIC") &&
	       check_equal(c, 6, c->reserved, z->st->reserved_high, "I6 reserved HIGHATOMIC frames");
}

static bool check_index(struct check *c)
{
	struct pfai_zone *z = c->z;
	unsigned shift = c->p->pb_order - c->p->leaf_order, run_code = 0;
	size_t run = PFAI_NONE; /* first leaf of the wholly free leaves seen just before */
	for (size_t pb = 0; pb < z->nr_pb; pb++) {
		if (!check_pageblock(c, pb) || !check_doomed(c, pb))
			return false;
		unsigned code = pfai_pb_code(&z->pb[pb]);
		for (size_t leaf = pb << shift; leaf < (pb + 1) << shift; leaf++) {
			bool whole;
			if (!check_leaf(c, code, leaf, &whole))
				return false;
			if (run != PFAI_NONE && (!whole || code != run_code)) {
				if (!check_whole_leaves(c, run_code, run, leaf))
					return false;
				run = PFAI_NONE;
			}
			if (whole && run == PFAI_NONE) {
				run = leaf;
				run_code = code;
			}
		}
	}
	if (run != PFAI_NONE && !check_whole_leaves(c, run_code, run, z->nr_leaves))
		return false;
	if (!pfai_map_is(z->not_free, 0, z->start - z->origin, true) ||
	    !pfai_map_is(z->not_free, z->end - z->origin, z->nr_rel - (z->end - z->origin), true))
		return check_broken(c, 2, 0, 1, 0, "I2 a frame outside the zone is free");
	return check_sets(c);
}

/* ---- frame bytes --------------------------------------------------------------------------------------------------- */

/* First of nr frame bytes that has another value, or nr. At quiescence by words. */
static size_t check_bytes(const struct check *c, size_t offset, size_t nr, uint8_t value)
{
	size_t i = 0;
	if (c->quiescent) {
		const unsigned char *bytes = (const unsigned char *)(uintptr_t)(c->p->bytes + offset);
		for (pfai_word word; i + sizeof(word) <= nr; i += sizeof(word)) {
			memcpy(&word, bytes + i, sizeof(word));
			if (word != PFAI_ONES / 255 * value)
				break;
		}
	}
	while (i < nr && pfai_load_acquire(&c->p->bytes[offset + i]) == value)
		i++;
	return i;
}

/* The bytes inside an allocated or cached block say nothing, or from level 2 on TAIL. */
static bool check_inside(struct check *c, size_t rel, size_t nr, uint8_t byte)
{
	uint8_t inside = pfai_level(c->p, 2) ? PFAI_TAIL : PFAI_NOTHING;
	size_t offset = pfai_offset_of_rel(c->z, rel), clean = check_bytes(c, offset + 1, nr - 1, inside);
	if (clean == nr - 1)
		return true;
	/* A split may have begun after the head was read; it claims the head before it writes inside. */
	if (!c->quiescent && pfai_load_acquire(&c->p->bytes[offset]) != byte)
		return true;
	return check_broken(c, 8, rel + 1 + clean, inside, pfai_load_relaxed(&c->p->bytes[offset + 1 + clean]),
	                    "I8 a byte inside a block");
}

/* A block that must be in a slot or a queue. */
static void check_expect_entry(struct check *c, size_t offset)
{
	c->entries++;
	c->entries_sum += offset;
	c->entries_squares += offset * offset;
}

static void check_met_entry(struct check *c, size_t offset)
{
	c->entries--;
	c->entries_sum -= offset;
	c->entries_squares -= offset * offset;
}

/* The head of a block at rel. *step: its frames. */
static bool check_head(struct check *c, size_t rel, uint8_t byte, size_t *step)
{
	unsigned order = byte & PFAI_ORDER_MASK, state = byte & PFAI_STATE_MASK;
	size_t offset = pfai_offset_of_rel(c->z, rel), nr = (size_t)1 << order;
	const char *what;
	*step = nr;
	if ((rel & (nr - 1)) || nr > c->z->end - c->z->origin - rel)
		return check_broken(c, 1, rel, order, byte, "I1 a block's order does not fit its place");
	if (!pfai_map_is(c->z->not_free, rel, nr, true))
		return check_broken(c, 1, rel, 0, byte, "I1 a block's frame is free as well");
	switch (state) {
	case PFAI_FREEING: /* allocated until it is put under the zone's lock; a split may be writing inside */
		c->allocated += nr;
		c->block_end = rel + nr;
		return !c->quiescent || check_broken(c, 1, rel, 0, byte, "I1 a free or split is in flight");
	case PFAI_HEAD:
	case PFAI_MOVABLE:
		c->allocated += nr;
		c->block_end = rel + nr;
		if ((what = pfai_check_movable_head(c->p, &c->moves, offset, byte, c->quiescent)) != NULL)
			return check_broken(c, 10, rel, 0, byte, what);
		if (c->quiescent && c->p->generations && (pfai_load_relaxed(&c->p->generations[offset]) & 1))
			return check_broken(c, 1, rel, 0, 1, "I1 an allocated block's generation says that it is not");
		return check_inside(c, rel, nr, byte);
	case PFAI_CACHED:
	case PFAI_CACHED_ZERO:
		c->cached += nr;
		check_expect_entry(c, offset);
		return check_inside(c, rel, nr, byte);
	case PFAI_HELD_REPORT:
		c->reporter += nr;
		if (c->quiescent || !c->z->told || !pfai_map_is(c->z->told, rel, nr, true))
			return check_broken(c, 9, rel, 0, byte, "I9 a block is held, and no batch has it");
		return check_inside(c, rel, nr, byte);
	case PFAI_QUARANTINE:
		c->quarantined += nr;
		check_expect_entry(c, offset);
		return check_inside(c, rel, nr, byte);
	default:
		return check_broken(c, 1, rel, 0, byte, "I1 a frame's state");
	}
}

/* A guard stands beside an allocated block. */
static bool check_guard(struct check *c, size_t rel, uint8_t byte)
{
	size_t offset = pfai_offset_of_rel(c->z, rel);
	bool beside = byte == PFAI_GUARD_ABOVE && c->block_end == rel;
	if (byte == PFAI_GUARD_BELOW && rel + 1 < c->z->end - c->z->origin) {
		unsigned next = pfai_load_acquire(&c->p->bytes[offset + 1]) & PFAI_STATE_MASK;
		beside = next == PFAI_HEAD || next == PFAI_MOVABLE || next == PFAI_FREEING;
	}
	c->allocated++;
	c->guards++;
	return beside || check_broken(c, 1, rel, 0, byte, "I1 a guard without a block");
}

/* A frame that is not free, at a place where a block must begin. */
static bool check_used(struct check *c, size_t rel, size_t *step)
{
	uint8_t byte = pfai_load_acquire(&c->p->bytes[pfai_offset_of_rel(c->z, rel)]);
	*step = 1;
	if (byte & PFAI_STATE_MASK)
		return check_head(c, rel, byte, step);
	if (byte == PFAI_GUARD_BELOW || byte == PFAI_GUARD_ABOVE)
		return check_guard(c, rel, byte);
	if (byte == PFAI_BAD) {
		c->bad++;
		return true;
	}
	if (pfai_byte_is_absent(byte) && !(pfai_pb_at(c->p, c->z, rel)->flags & PFAI_PB_PARTIAL))
		return check_broken(c, 3, rel, PFAI_PB_PARTIAL, 0, "I3 a pageblock's flag that frames are absent");
	if (!pfai_byte_is_absent(byte))
		return check_broken(c, 1, rel, 0, byte, "I1 a frame in no state");
	c->offline += byte != PFAI_ABSENT;
	c->present--;
	return true;
}

static bool check_frames(struct check *c)
{
	struct pfai_zone *z = c->z;
	size_t end = z->end - z->origin, step;
	c->present = z->end - z->start;
	c->block_end = PFAI_NONE;
	for (size_t rel = z->start - z->origin; rel < end; rel += step) {
		pfai_word word = z->not_free[rel >> PFAI_WORD_SHIFT] >> (rel & PFAI_WORD_MASK);
		if (word & 1) {
			if (!check_used(c, rel, &step))
				return false;
			continue;
		}
		step = word ? pfai_ctz(word) : PFAI_WORD_BITS - (rel & PFAI_WORD_MASK);
		if (step > end - rel)
			step = end - rel;
		size_t clean = check_bytes(c, pfai_offset_of_rel(z, rel), step, PFAI_NOTHING);
		if (clean != step)
			return check_broken(c, 1, rel + clean, 0,
			                    pfai_load_relaxed(&c->p->bytes[pfai_offset_of_rel(z, rel + clean)]),
			                    "I1 a free frame's byte");
	}
	return check_equal(c, 6, c->present, z->st->present, "I6 present frames") &&
	       check_equal(c, 6, c->offline, z->st->offline, "I6 offline frames");
}

/* ---- caches and sums ----------------------------------------------------------------------------------------------- */

/* Capacity and place of a slot. While caches are being switched some have a capacity already, or still. */
static bool check_slot_home(struct check *c, const struct pfai_cpu *cpu, size_t slot)
{
	const struct pfa *p = c->p;
	const struct pfai_slot *s = &cpu->slots[slot];
	bool corrupt = pfai_load_relaxed(&c->z->st->corrupt);
	bool closed = corrupt || (c->switched && p->st->disabled);
	if (s->start != p->homes[slot].start && !(corrupt && s->start == PFAI_SLOT_ABANDONED))
		return check_broken(c, 7, 0, p->homes[slot].start, s->start, "I7 where a slot's entries are");
	if (s->cap == (closed ? 0 : p->homes[slot].cap) || (!c->switched && (!s->cap || s->cap == p->homes[slot].cap)))
		return true;
	return check_broken(c, 7, 0, closed ? 0 : p->homes[slot].cap, s->cap, "I7 a slot's capacity");
}

static bool check_slot(struct check *c, const struct pfai_cpu *cpu, uint32_t id, size_t slot)
{
	const struct pfai_slot *s = &cpu->slots[slot];
	const uint32_t *entries = pfai_slot_sealed_entries(c->p, id, slot);
	unsigned order = pfai_slot_order(c->p, slot);
	if (s->n > s->cap)
		return check_broken(c, 7, 0, s->cap, s->n, "I7 a slot holds more than its capacity");
	if (s->n && !pfai_load_relaxed(&cpu->held))
		return check_broken(c, 7, 0, 1, 0, "I7 a cpu's cache holds blocks and says that it does not");
	for (unsigned i = 0; i < s->n; i++) {
		size_t offset = entries[i], pfn = c->p->base + offset;
		if (pfn < c->z->start || pfn >= c->z->end)
			return check_broken(c, 7, 0, c->z->id, offset, "I7 a cached block of another zone");
		uint8_t byte = pfai_load_relaxed(&c->p->bytes[offset]);
		if ((byte & ~(unsigned)PFAI_ZERO_BIT) != (PFAI_CACHED | order))
			return check_broken(c, 7, pfn - c->z->origin, PFAI_CACHED | order, byte, "I7 a cached block's byte");
		check_met_entry(c, offset);
	}
	return true;
}

/* The quarantine of one cpu: this zone's blocks in it. */
static bool check_quarantine(struct check *c, struct pfai_cpu *cpu)
{
	const struct pfa *p = c->p;
	struct pfai_full *f = pfai_full_of(p, cpu);
	const struct pfai_quarantined *q = &pfai_quarantined(f)[c->z->id];
	size_t frames = 0, cap = c->switched && p->st->disabled ? 0 : p->quarantine;
	if (f->cap != cap && (c->switched || f->cap))
		return check_broken(c, 7, 0, cap, f->cap, "I7 a quarantine's capacity");
	if (f->n > f->cap || (f->n && f->first >= p->quarantine))
		return check_broken(c, 7, 0, f->cap, f->n, "I7 a quarantine's length");
	if (f->n && !pfai_load_relaxed(&cpu->held))
		return check_broken(c, 7, 0, 1, 0, "I7 a cpu's quarantine holds blocks and says that it does not");
	for (uint32_t i = 0; i < f->n; i++) {
		size_t at = (size_t)f->first + i, offset;
		offset = pfai_quarantine_ring(p, f)[at < p->quarantine ? at : at - p->quarantine];
		if (offset >= p->span)
			return check_broken(c, 7, 0, p->span, offset, "I7 a quarantined block outside of all zones");
		if (p->base + offset < c->z->start || p->base + offset >= c->z->end)
			continue;
		uint8_t byte = pfai_load_relaxed(&p->bytes[offset]);
		if ((byte & PFAI_STATE_MASK) != PFAI_QUARANTINE)
			return check_broken(c, 7, offset + c->z->delta, PFAI_QUARANTINE, byte, "I7 a quarantined block's byte");
		frames += (size_t)1 << (byte & PFAI_ORDER_MASK);
		check_met_entry(c, offset);
	}
	return check_equal(c, 6, frames, q->in - q->out, "I6 frames in a cpu's quarantine");
}

static bool check_caches(struct check *c, bool frames)
{
	const struct pfa *p = c->p;
	if (c->switched && p->st->disabled > PFAI_DISABLED_LIMIT)
		return check_broken(c, 7, 0, PFAI_DISABLED_LIMIT, p->st->disabled, "I7 how often caches are disabled");
	for (uint32_t id = 0; id < p->nr_cpus; id++) {
		struct pfai_cpu *cpu = pfai_cpu_at(p, id);
		if (cpu->first >= pfai_slots_per_cpu(p) || (cpu->first & (pfai_slots_per_zone(p) - 1)))
			return check_broken(c, 7, 0, 0, cpu->first, "I7 the zone that served last");
		if (pfai_level(p, 3) && !check_quarantine(c, cpu))
			return false;
		size_t first = c->z->id * pfai_slots_per_zone(p);
		for (size_t slot = first; slot < first + pfai_slots_per_zone(p); slot++)
			if (!check_slot_home(c, cpu, slot) || (cpu->slots[slot].n && !check_slot(c, cpu, id, slot)))
				return false;
	}
	return !frames || (check_equal(c, 7, 0, c->entries, "I7 cached blocks and slot entries") &&
	                   check_equal(c, 7, 0, c->entries_sum, "I7 slot entries") &&
	                   check_equal(c, 7, 0, c->entries_squares, "I7 slot entries, each once"));
}

static bool check_sums(struct check *c, bool frames)
{
	struct pfa_zone_stats s;
	pfai_zone_stats_frozen(c->p, c->z, &s);
	size_t sum = s.free + s.free_isolated + s.cached + s.allocated + s.held_report + s.held_move + s.quarantined + s.bad;
	if (!check_equal(c, 6, s.present, sum, "I6 the conservation law"))
		return false;
	if (!frames)
		return true;
	return check_equal(c, 6, c->cached, s.cached, "I6 cached frames") &&
	       check_equal(c, 6, c->guards, c->z->st->guards, "I6 guard frames") &&
	       (!c->guards || pfai_load_relaxed(&c->p->st->guarded) || check_broken(c, 6, 0, 1, 0, "I6 frees do not look for guards")) &&
	       check_equal(c, 6, c->quarantined, s.quarantined, "I6 quarantined frames") &&
	       check_equal(c, 6, c->allocated, s.allocated, "I6 allocated frames") &&
	       check_equal(c, 6, c->bad, s.bad, "I6 bad frames") &&
	       check_equal(c, 9, 0, c->reporter, "I9 held blocks and the marks of their frames") &&
	       (!c->quiescent || (check_equal(c, 10, c->moves.movable, s.movable, "I10 movable frames") &&
	                          check_equal(c, 10, c->moves.isolated, s.isolated, "I10 isolated frames")));
}

/* Areas change without the zone's lock, so only at quiescence. */
static bool check_cma(struct check *c)
{
	size_t pb = c->quiescent ? pfai_check_cma(c->p, c->z) : PFAI_NONE;
	return pb == PFAI_NONE ||
	       check_broken(c, 3, pb << c->p->pb_order, PFAI_CODE_CMA, c->z->pb[pb].code, "I3 the type of a CMA area's pageblock");
}

/* ---- API ----------------------------------------------------------------------------------------------------------- */

static void check_prepare(struct check *c, struct pfa *p, struct pfai_zone *z, unsigned level, struct pfa_violation *out)
{
	memset(c, 0, sizeof(*c));
	c->p = p;
	c->z = z;
	c->out = out;
	c->quiescent = level & PFA_CHECK_QUIESCENT;
	/* The nesting count is the set lock's, which the checker does not take. */
	c->switched = c->quiescent || (level & PFAI_CHECK_SET_LOCKED);
}

bool pfai_check_frozen(struct pfa *p, struct pfai_zone *z, unsigned level, struct pfa_violation *out,
                       struct pfai_check_movable *moves)
{
	struct check c;
	bool frames = level & PFA_CHECK_FRAMES;
	check_prepare(&c, p, z, level, out);
	bool fine = check_index(&c) && (!frames || check_frames(&c)) && check_caches(&c, frames) && check_sums(&c, frames) && check_cma(&c);
	if (moves) {
		moves->owned += c.moves.owned;
		moves->live += c.moves.live;
	}
	return fine;
}

/* When all zones are through: what the owners say that they have. */
static bool check_owners(struct pfa *p, unsigned level, const struct pfai_check_movable *moves, struct pfa_violation *out)
{
	struct check c;
	const unsigned wanted = PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES;
	const char *what = (level & wanted) == wanted ? pfai_check_movable_owners(p, moves) : NULL;
	check_prepare(&c, p, &p->zones[0], level, out);
	return !what || check_broken(&c, 10, c.z->start - c.z->origin, 0, 0, what);
}

int pfa_check(struct pfa *p, unsigned level, struct pfa_violation *out)
{
	int closed = pfai_closed(p, "pfa_check");
	if (closed != PFA_OK)
		return closed;
	bool fine = true;
	struct pfai_check_movable moves = { 0, 0, 0, 0 };
	if (level & ~(PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES))
		return PFA_EINVAL;
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < p->nr_zones && fine; i++) {
		if (!pfai_zone_freeze(p, &p->zones[i]))
			return PFA_EBUSY;
		fine = pfai_check_frozen(p, &p->zones[i], level, out, &moves);
		if (fine && i + 1 == p->nr_zones)
			fine = check_owners(p, level, &moves, out);
		pfai_zone_thaw(p, &p->zones[i]);
	}
	return fine ? PFA_OK : PFA_ECORRUPT;
}

/* A wholly free leaf, without a walk: exactly one block holds it, and that block's buddy is not on offer as well. */
static bool check_whole_leaf(struct check *c, unsigned code, size_t rel)
{
	struct pfai_zone *z = c->z;
	unsigned found = 0, at = 0;
	for (unsigned order = c->p->leaf_order; order <= z->top_order; order++) {
		if (!pfai_bitset_test(pfai_set_at(z, code, order), rel >> order))
			continue;
		found++;
		at = order;
	}
	if (found != 1)
		return check_broken(c, 2, rel, 1, found, "I2 blocks in the index that hold a free leaf");
	size_t buddy = (rel >> at) ^ 1;
	if (at < z->top_order && buddy < pfai_set_bits(c->p, z, at) && pfai_bitset_test(pfai_set_at(z, code, at), buddy))
		return check_broken(c, 5, rel, at + 1, at, "I5 two free buddies are not one block");
	return true;
}

static bool check_pageblock_alone(struct check *c, size_t pb)
{
	unsigned shift = c->p->pb_order - c->p->leaf_order;
	if (!check_pageblock(c, pb) || !check_doomed(c, pb))
		return false;
	for (size_t leaf = pb << shift; leaf < (pb + 1) << shift; leaf++) {
		bool whole;
		unsigned code = pfai_pb_code(&c->z->pb[pb]);
		if (!check_leaf(c, code, leaf, &whole))
			return false;
		if (whole && !check_whole_leaf(c, code, leaf << c->p->leaf_order))
			return false;
	}
	return true;
}

/* Free frames of the run say NOTHING, from level 2 on the others something; full checks see whole blocks. */
static bool check_bytes_alone(struct check *c, size_t rel, size_t end)
{
	for (; rel < end; rel++) {
		uint8_t byte = pfai_load_relaxed(&c->p->bytes[pfai_offset_of_rel(c->z, rel)]);
		bool used = pfai_map_test(c->z->not_free, rel);
		if (byte != PFAI_NOTHING && !used)
			return check_broken(c, 1, rel, 0, byte, "I1 a free frame's byte");
		if (byte == PFAI_NOTHING && used && pfai_level(c->p, 2))
			return check_broken(c, 8, rel, PFAI_TAIL, byte, "I8 a byte inside a block");
	}
	return true;
}

bool pfai_check_pageblock_frozen(struct pfa *p, struct pfai_zone *z, size_t pb)
{
	struct pfa_violation v;
	struct check c;
	size_t size = (size_t)1 << p->pb_order, first = pb * size, end = first + size;
	size_t lo = z->start - z->origin, hi = z->end - z->origin;
	check_prepare(&c, p, z, PFA_CHECK_FRAMES, &v);
	return check_pageblock_alone(&c, pb) && check_bytes_alone(&c, first > lo ? first : lo, end < hi ? end : hi);
}

int pfa_check_range(struct pfa *p, struct pfa_run run, unsigned level, struct pfa_violation *out)
{
	int closed = pfai_closed(p, "pfa_check_range");
	if (closed != PFA_OK)
		return closed;
	struct pfai_zone *z = pfai_zone_of(p, run.first);
	bool fine = true;
	struct check c;
	if ((level & ~(PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES)) || !run.nr_frames)
		return PFA_EINVAL;
	if (!z)
		return PFA_ERANGE;
	memset(out, 0, sizeof(*out));
	check_prepare(&c, p, z, level, out);
	if (!pfai_zone_freeze(p, z))
		return PFA_EBUSY;
	size_t nr = run.nr_frames < z->end - run.first ? run.nr_frames : z->end - run.first;
	size_t first = run.first - z->origin, end = first + nr;
	for (size_t pb = first >> p->pb_order; pb <= (end - 1) >> p->pb_order && fine; pb++)
		fine = check_pageblock_alone(&c, pb);
	fine = fine && (!(level & PFA_CHECK_FRAMES) || check_bytes_alone(&c, first, end)) && check_caches(&c, false) &&
	       check_sums(&c, false);
	pfai_zone_thaw(p, z);
	return fine ? PFA_OK : PFA_ECORRUPT;
}
