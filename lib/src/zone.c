/* SPDX-License-Identifier: MIT */
#include "zone.h"

#include "leaf.h"
#include "mark.h"
#include "place.h"
#include "singles.h"

bool PFAI_COLD pfai_zone_locks(struct pfa *p, struct pfai_zone *z)
{
	if (!pfai_zone_lock(p, z))
		return false;
	pfai_zone_unlock(p, z);
	return true;
}

void pfai_zone_unlock(struct pfa *p, struct pfai_zone *z)
{
	uint32_t common = z->st->nonempty[PFAI_CODE_MOVABLE] | z->st->nonempty[PFAI_CODE_UNMOVABLE] |
	                  z->st->nonempty[PFAI_CODE_RECLAIMABLE];
	if (pfai_load_relaxed(&z->st->avail_common) != common)
		pfai_store_relaxed(&z->st->avail_common, common);
	if (pfai_load_relaxed(&z->st->avail_cma) != z->st->nonempty[PFAI_CODE_CMA])
		pfai_store_relaxed(&z->st->avail_cma, z->st->nonempty[PFAI_CODE_CMA]);
	if (pfai_load_relaxed(&z->st->avail_high) != z->st->nonempty[PFAI_CODE_HIGHATOMIC])
		pfai_store_relaxed(&z->st->avail_high, z->st->nonempty[PFAI_CODE_HIGHATOMIC]);
	if (PFAI_UNLIKELY(p->on_unlock != NULL))
		p->on_unlock(p->on_unlock_ctx, p, z->id);
	pfai_rank_forget(&z->st->lock);
	pfai_sleep_unlock(&p->os, &z->st->lock);
}

void pfai_zone_mark_corrupt(struct pfai_zone *z, enum pfai_damage damage)
{
	(void)pfai_cas32_acquire(&z->st->corrupt, PFAI_DAMAGE_NONE, (uint32_t)damage);
}

/* ---- index ----------------------------------------------------------------------------------------------------- */

static inline void index_add(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i)
{
	if (pfai_level(p, 2))
		(void)pfai_zone_must(p, z, !pfai_bitset_test(pfai_set_at(z, code, order), i));
	pfai_bitset_add(pfai_set_at(z, code, order), pfai_set_bits(p, z, order), i);
	z->st->nonempty[code] |= 1u << order;
}

void pfai_index_add(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i)
{
	index_add(p, z, code, order, i);
}

static inline void index_del(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i)
{
	if (pfai_level(p, 2))
		(void)pfai_zone_must(p, z, pfai_bitset_test(pfai_set_at(z, code, order), i));
	if (pfai_bitset_del(pfai_set_at(z, code, order), pfai_set_bits(p, z, order), i))
		z->st->nonempty[code] &= ~(1u << order);
}

void pfai_index_del(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i)
{
	index_del(p, z, code, order, i);
}

/* The same of nr blocks that lie side by side. */
static inline void index_add_run(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t first, size_t nr)
{
	for (size_t i = first; pfai_level(p, 2) && i < first + nr; i++)
		(void)pfai_zone_must(p, z, !pfai_bitset_test(pfai_set_at(z, code, order), i));
	pfai_bitset_add_run(pfai_set_at(z, code, order), pfai_set_bits(p, z, order), first, nr);
	z->st->nonempty[code] |= 1u << order;
}

static inline void index_del_run(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t first, size_t nr)
{
	for (size_t i = first; pfai_level(p, 2) && i < first + nr; i++)
		(void)pfai_zone_must(p, z, pfai_bitset_test(pfai_set_at(z, code, order), i));
	if (pfai_bitset_del_run(pfai_set_at(z, code, order), pfai_set_bits(p, z, order), first, nr))
		z->st->nonempty[code] &= ~(1u << order);
}

static inline bool index_has(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order, size_t i)
{
	return i < pfai_set_bits(p, z, order) && pfai_bitset_test(pfai_set_at(z, code, order), i);
}

int pfai_zone_containing_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, size_t rel)
{
	uint32_t orders = z->st->nonempty[code] & ((2u << z->top_order) - 1); /* whatever else it says */
	for (orders = orders >> p->leaf_order << p->leaf_order; orders; orders &= orders - 1) {
		unsigned order = pfai_ctz32(orders);
		if (pfai_bitset_test(pfai_set_at(z, code, order), rel >> order))
			return (int)order;
	}
	return -1;
}

/* The block of order `from` around rel has left the index: what is not the block of order `to` around rel returns. */
static void zone_split_down(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, unsigned from,
                            unsigned to)
{
	while (from > to) {
		from--;
		pfai_index_add(p, z, code, from, (rel >> from) ^ 1);
	}
}

/* Leaf value for an order; order < 0: full. */
static inline uint8_t leaf_value(const struct pfai_zone *z, int order)
{
	return order < 0 ? PFAI_LEAF_FULL : (uint8_t)(z->leaf_top - (unsigned)order);
}

/* A value that says nothing counts as full. */
static inline int leaf_order_of(struct pfai_zone *z, size_t leaf)
{
	unsigned value = z->leaf[leaf];
	if (PFAI_LIKELY(value <= z->leaf_top))
		return (int)(z->leaf_top - value);
	if (PFAI_UNLIKELY(value != PFAI_LEAF_FULL))
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return -1;
}

int pfai_zone_fold_leaf_locked(const struct pfa *p, struct pfai_zone *z, size_t leaf)
{
	int order = pfai_leaf_fold(pfai_leaf_at(p, z, leaf), pfai_leaf_words(p), z->leaf_top);
	z->leaf[leaf] = leaf_value(z, order);
	return order;
}

/* Moves a leaf that is not wholly free from its old class to a new one. */
static inline void leaf_reclass(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t leaf, int from, int to)
{
	if (from == to)
		return;
	if (from >= 0)
		pfai_index_del(p, z, code, (unsigned)from, leaf);
	if (to >= 0)
		pfai_index_add(p, z, code, (unsigned)to, leaf);
	z->leaf[leaf] = leaf_value(z, to);
}

/* ---- counters -------------------------------------------------------------------------------------------------- */

/* Level 2: are there so many to take, or to give back? */
static void PFAI_NOINLINE zone_verify_counts(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, size_t nr, bool take)
{
	const size_t size = (size_t)1 << p->pb_order;
	(void)pfai_zone_must(p, z, take ? nr <= z->st->free[code] : nr <= z->st->present - z->st->free[code]);
	for (const struct pfai_pb *pb = pfai_pb_at(p, z, rel); nr; pb++) {
		size_t left = size - (rel & (size - 1)), here = nr < left ? nr : left;
		(void)pfai_zone_must(p, z, here <= (take ? size - pb->used : pb->used));
		rel += here;
		nr -= here;
	}
}

/* The block [rel, rel + nr) leaves (or joins) the free memory of type code. */
static inline void zone_account(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, size_t nr, bool take)
{
	const size_t size = (size_t)1 << p->pb_order;
	const uint32_t each = (uint32_t)(nr < size ? nr : size);
	if (pfai_level(p, 2))
		zone_verify_counts(p, z, code, rel, nr, take);
	z->st->free[code] += take ? 0 - nr : nr;
	struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	for (size_t left = nr; left; left -= each, pb++)
		pb->used += take ? each : 0 - each;
}

bool pfai_zone_known_zero_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr_frames)
{
	return z->zero && pfai_map_is(z->zero, rel, nr_frames, !p->zero_invert);
}

/* ---- taking ---------------------------------------------------------------------------------------------------- */

/* A wholly free leaf leaves its block: afterwards the leaf is in no set, and the rest of its block is. */
static void zone_open_leaf(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t leaf)
{
	size_t rel = leaf << p->leaf_order;
	int order = pfai_zone_containing_locked(p, z, code, rel);
	z->leaf[leaf] = PFAI_LEAF_FULL; /* in no class, as a full one */
	if (PFAI_UNLIKELY(order < 0)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		return;
	}
	pfai_index_del(p, z, code, (unsigned)order, rel >> order);
	zone_split_down(p, z, code, rel, (unsigned)order, p->leaf_order);
}

static inline bool zone_leaf_is_whole(const struct pfa *p, const struct pfai_zone *z, size_t leaf)
{
	return z->leaf[leaf] == 0 && z->leaf_top == p->leaf_order;
}

static void zone_take_in_leaf(struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel, unsigned order)
{
	size_t leaf = rel >> p->leaf_order;
	int top = (int)p->leaf_order - 1; /* of a leaf that was whole: one half at least is untouched */
	bool whole = zone_leaf_is_whole(p, z, leaf);
	if (whole)
		zone_open_leaf(p, z, code, leaf);
	/* Where the leaf has more than what the block is part of, its class stays, and is not looked for. */
	unsigned at = (unsigned)(rel & (((size_t)1 << p->leaf_order) - 1));
	bool smaller = !whole && (int)pfai_leaf_grow(pfai_leaf_at(p, z, leaf), at, order, z->leaf_top) < leaf_order_of(z, leaf);
	pfai_map_fill(z->not_free, rel, (size_t)1 << order, true);
	if (smaller)
		return;
	if (!whole)
		top = pfai_leaf_fold(pfai_leaf_at(p, z, leaf), pfai_leaf_words(p), z->leaf_top);
	leaf_reclass(p, z, code, leaf, leaf_order_of(z, leaf), top);
}

void pfai_zone_take_blocks_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr, int from)
{
	unsigned code = pfai_zone_code_locked(z, pfai_pb_at(p, z, rel));
	size_t nr_frames = nr << order;
	zone_account(p, z, code, rel, nr_frames, true);
	if (PFAI_LIKELY(from >= (int)order)) {
		index_del_run(p, z, code, (unsigned)from, rel >> from, nr);
		zone_split_down(p, z, code, rel, (unsigned)from, order);
	} else {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	}
	pfai_words_fill(z->not_free, rel, nr_frames, true);
	memset(z->leaf + (rel >> p->leaf_order), PFAI_LEAF_FULL, nr_frames >> p->leaf_order);
}

void pfai_zone_take_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order)
{
	unsigned code = pfai_zone_code_locked(z, pfai_pb_at(p, z, rel));
	if (pfai_zone_told_some(z) && (order < p->pb_order || pfai_mark_any_told_locked(p, z, rel, (size_t)1 << order)))
		pfai_mark_drop_locked(p, z, rel, (size_t)1 << order);
	if (order >= p->leaf_order) {
		pfai_zone_take_blocks_locked(p, z, rel, order, 1, pfai_zone_containing_locked(p, z, code, rel));
		return;
	}
	zone_account(p, z, code, rel, (size_t)1 << order, true);
	zone_take_in_leaf(p, z, code, rel, order);
}

/* From one leaf that has something of this order. It is in its class, or wholly free. */
static unsigned zone_grab_in_leaf(struct pfa *p, struct pfai_zone *z, unsigned code, size_t leaf, unsigned order,
                                  unsigned want, uint32_t out[])
{
	pfai_word *words = pfai_leaf_at(p, z, leaf);
	size_t rel = leaf << p->leaf_order;
	if (zone_leaf_is_whole(p, z, leaf))
		zone_open_leaf(p, z, code, leaf);
	unsigned got = pfai_leaf_grab(words, pfai_leaf_words(p), order, want,
	                              (uint32_t)pfai_offset_of_rel(z, rel), out);
	pfai_zone_count_out_locked(p, z, code, pfai_pb_at(p, z, rel), got << order);
	for (unsigned i = 0; pfai_zone_told_some(z) && i < got; i++)
		pfai_mark_drop_locked(p, z, out[i] + z->delta, (size_t)1 << order);
	/* Of single frames there are none left, if these were not enough. */
	leaf_reclass(p, z, code, leaf, leaf_order_of(z, leaf),
	             order || got == want ? pfai_leaf_fold(words, pfai_leaf_words(p), z->leaf_top) : -1);
	return got;
}

unsigned pfai_zone_grab_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, unsigned want,
                               uint32_t out[])
{
	unsigned got = order || pfai_level(p, 3) || pfai_zone_told_some(z) ? 0 : pfai_singles_grab_locked(p, z, code, want, out);
	size_t steps = got; /* a leaf for each at most */
	while (got < want) {
		size_t rel = pfai_zone_next_locked(p, z, code, order);
		if (rel == PFAI_NONE)
			break;
		if (order >= p->leaf_order) {
			if (!pfai_zone_is_free_locked(p, z, rel, order))
				break;
			out[got++] = (uint32_t)pfai_offset_of_rel(z, rel);
			pfai_zone_take_locked(p, z, rel, order);
		} else {
			unsigned more = zone_grab_in_leaf(p, z, code, rel >> p->leaf_order, order, want - got, out + got);
			got += more;
			if (!more) {
				pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* as in pfai_zone_first_locked() */
				break;
			}
		}
		steps++;
	}
	pfai_zone_steps(z, steps + got);
	return got;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

/* Does a block that the index offers look free at both ends, and is it in the zone? */
static inline bool zone_looks_free(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order)
{
	size_t last = rel + ((size_t)1 << order) - 1, offset = pfai_offset_of_rel(z, rel);
	return rel >= z->start - z->origin && last < z->end - z->origin && !pfai_map_test(z->not_free, rel) &&
	       !pfai_map_test(z->not_free, last) && pfai_load_relaxed(&p->bytes[offset]) == PFAI_NOTHING;
}

/* The wholly free block (rel, order >= leaf order) joins the index, with every buddy of its type that is free. */
static void zone_merge_up(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order)
{
	struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	unsigned code;
	for (;;) {
		code = pfai_zone_code_locked(z, pb);
		/* A common pageblock that became entirely free binds no type: it goes back to MOVABLE. */
		if (order == p->pb_order && pfai_code_reverts(code)) {
			z->st->free[code] -= (size_t)1 << order;
			z->st->free[PFAI_CODE_MOVABLE] += (size_t)1 << order;
			pfai_zone_set_code_locked(p, z, rel >> p->pb_order, PFAI_CODE_MOVABLE);
			code = PFAI_CODE_MOVABLE;
		}
		size_t buddy = (rel >> order) ^ 1;
		if (order >= z->top_order || !index_has(p, z, code, order, buddy))
			break;
		if (PFAI_UNLIKELY(!pfai_zone_must(p, z, zone_looks_free(p, z, buddy << order, order))))
			break;
		pfai_index_del(p, z, code, order, buddy);
		rel &= ~((size_t)1 << order);
		/* Below the pageblock both halves are in one pageblock; from there on both are of pb's type. */
		pb = pfai_pb_at(p, z, rel);
		order++;
	}
	index_add(p, z, code, order, rel >> order);
}

/* The leaf has gained a free block of this order: reclass, or hand it on if it is wholly free now. Never refolds. */
static inline void zone_leaf_gained(struct pfa *p, struct pfai_zone *z, unsigned code, size_t leaf, unsigned order)
{
	int old = leaf_order_of(z, leaf);
	if ((int)order <= old)
		return;
	if (order < p->leaf_order) {
		leaf_reclass(p, z, code, leaf, old, (int)order);
		return;
	}
	if (old >= 0)
		pfai_index_del(p, z, code, (unsigned)old, leaf);
	z->leaf[leaf] = 0;
	zone_merge_up(p, z, leaf << p->leaf_order, p->leaf_order);
}

/* A common pageblock that became entirely free binds no type. Where blocks are smaller than pageblocks no merge tells
 * that it did, but its count does. */
static inline void zone_emptied(struct pfa *p, struct pfai_zone *z, size_t pb)
{
	if (z->pb[pb].used == 0 && z->top_order < p->pb_order && pfai_code_reverts(pfai_zone_code_locked(z, &z->pb[pb])))
		pfai_zone_retype_locked(p, z, pb, PFAI_CODE_MOVABLE);
}

static inline void zone_set_zero(const struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero)
{
	if (z->zero)
		z->zero[word] = (z->zero[word] & ~mask) | ((zero ^ p->zero_invert) & mask);
}

/* Frames of one word come back: those that were doomed become bad instead. Returns the others. */
static pfai_word PFAI_NOINLINE zone_drop_doomed(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask)
{
	pfai_word bad = z->doomed[word] & mask;
	size_t rel = word << PFAI_WORD_SHIFT;
	if (!bad)
		return mask;
	z->doomed[word] &= ~bad;
	for (pfai_word rest = bad; rest; rest &= rest - 1)
		pfai_store_relaxed(&p->bytes[pfai_offset_of_rel(z, rel + pfai_ctz(rest))], PFAI_BAD);
	z->st->bad += pfai_popcount(bad);
	z->st->nr_doomed -= pfai_popcount(bad);
	pfai_zone_route_doomed_locked(p, z, rel, false);
	pfai_zone_lost_locked(p, z, rel >> p->pb_order);
	return mask & ~bad;
}

/* Which of these frames of a word come back: not the doomed ones, and none where damage was met. */
static inline pfai_word zone_word_comes(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask)
{
	if (PFAI_UNLIKELY((z->not_free[word] & mask) != mask)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* given back, and free already: the frames are dropped */
		return 0;
	}
	return PFAI_UNLIKELY(z->st->nr_doomed != 0) ? zone_drop_doomed(p, z, word, mask) : mask;
}

/* nr frames of a pageblock come back. Returns its type. */
static inline unsigned zone_count_back(struct pfa *p, struct pfai_zone *z, struct pfai_pb *pb, unsigned nr)
{
	unsigned code = pfai_zone_code_locked(z, pb);
	if (pfai_level(p, 2))
		(void)pfai_zone_must(p, z, nr <= pb->used && nr <= z->st->present - z->st->free[code]);
	pb->used -= nr;
	z->st->free[code] += nr;
	return code;
}

/* Frames of a word of which none is free or doomed. */
PFAI_ALWAYS_INLINE void zone_put_word(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero)
{
	size_t rel = word << PFAI_WORD_SHIFT, leaf = rel >> p->leaf_order;
	struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	pfai_word used = z->not_free[word] & ~mask;
	z->not_free[word] = used;
	zone_set_zero(p, z, word, mask, zero);
	unsigned code = zone_count_back(p, z, pb, mask & (mask - 1) ? pfai_popcount(mask) : 1), order = 0;
	int old = leaf_order_of(z, leaf);
	if (!used) {
		order = pfai_leaf_grow(pfai_leaf_at(p, z, leaf), (unsigned)(rel & ((1u << p->leaf_order) - 1)),
		                       PFAI_WORD_SHIFT < z->leaf_top ? PFAI_WORD_SHIFT : z->leaf_top, z->leaf_top);
	} else if (old < (int)PFAI_WORD_SHIFT - 1) {
		/* Is there a block in this word that is larger than any in the leaf before? */
		order = pfai_fold_order(~used);
		order = order < z->leaf_top ? order : z->leaf_top;
	}
	if ((int)order > old)
		zone_leaf_gained(p, z, code, leaf, order);
	if (!pb->used)
		zone_emptied(p, z, rel >> p->pb_order);
}

/* The same where some may be, or a device is to be told: a function of its own, so that the other has nothing to keep for it. */
static void PFAI_NOINLINE zone_put_word_heeded(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero)
{
	size_t rel = word << PFAI_WORD_SHIFT;
	mask = zone_word_comes(p, z, word, mask);
	if (!mask)
		return;
	zone_put_word(p, z, word, mask, zero);
	if (pfai_zone_listens(z))
		pfai_mark_freed_locked(p, z, rel + pfai_ctz(mask), pfai_log2(mask) - pfai_ctz(mask) + 1);
}

PFAI_ALWAYS_INLINE void zone_put_any_word(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero)
{
	size_t heed = z->st->nr_doomed | (PFAI_REPORTING ? z->st->reporting : 0);
	if (PFAI_UNLIKELY((z->not_free[word] & mask) != mask || heed))
		zone_put_word_heeded(p, z, word, mask, zero);
	else
		zone_put_word(p, z, word, mask, zero);
}

void pfai_zone_put_word_locked(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero)
{
	zone_put_any_word(p, z, word, mask, zero);
}

void pfai_zone_put_frames_locked(struct pfa *p, struct pfai_zone *z, const uint32_t offsets[], unsigned nr)
{
	for (unsigned i = 0; i < nr;) {
		size_t rel = offsets[i] + z->delta, word = rel >> PFAI_WORD_SHIFT;
		pfai_word mask = (pfai_word)1 << (rel & PFAI_WORD_MASK);
		while (++i < nr && (rel = offsets[i] + z->delta) >> PFAI_WORD_SHIFT == word)
			mask |= (pfai_word)1 << (rel & PFAI_WORD_MASK);
		zone_put_any_word(p, z, word, mask, 0);
	}
}

/* The largest order that a leaf offers, of whose words these gained something; `old`: that it offered before. */
static unsigned zone_words_offer(const struct pfa *p, const struct pfai_zone *z, size_t leaf, uint32_t words, int old)
{
	const pfai_word *map = pfai_leaf_at(p, z, leaf);
	unsigned order = old < 0 ? 0 : (unsigned)old;
	for (; words; words &= words - 1) {
		pfai_word used = map[pfai_ctz32(words)];
		if (!used)
			return (unsigned)pfai_leaf_fold(map, pfai_leaf_words(p), z->leaf_top);
		while (order + 1 < PFAI_WORD_SHIFT && order < z->leaf_top && pfai_fold(~used, order + 1))
			order++;
	}
	return order;
}

void pfai_zone_put_leaf_locked(struct pfa *p, struct pfai_zone *z, size_t leaf, uint32_t words, const pfai_word masks[], bool zero)
{
	size_t rel = leaf << p->leaf_order, first = rel >> PFAI_WORD_SHIFT;
	unsigned nr = 0;
	for (uint32_t rest = words; rest; rest &= rest - 1) {
		unsigned i = pfai_ctz32(rest);
		pfai_word mask = zone_word_comes(p, z, first + i, masks[i]);
		z->not_free[first + i] &= ~mask;
		zone_set_zero(p, z, first + i, mask, zero ? mask : 0);
		nr += pfai_popcount(mask);
	}
	if (PFAI_UNLIKELY(!nr))
		return;
	unsigned code = zone_count_back(p, z, pfai_pb_at(p, z, rel), nr);
	zone_leaf_gained(p, z, code, leaf, zone_words_offer(p, z, leaf, words, leaf_order_of(z, leaf)));
	zone_emptied(p, z, rel >> p->pb_order);
	if (pfai_zone_listens(z))
		pfai_mark_freed_locked(p, z, rel, (size_t)1 << p->leaf_order);
}

void pfai_zone_put_blocks_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr_blocks, bool zero)
{
	if (order < PFAI_WORD_SHIFT) {
		pfai_word mask = pfai_low_bits(1u << order) << (rel & PFAI_WORD_MASK);
		pfai_zone_put_word_locked(p, z, rel >> PFAI_WORD_SHIFT, mask, zero ? mask : 0);
		return;
	}
	size_t nr = nr_blocks << order;
	unsigned code = pfai_zone_code_locked(z, pfai_pb_at(p, z, rel));
	if (PFAI_UNLIKELY(!pfai_words_are(z->not_free, rel, nr, true))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		return;
	}
	if (PFAI_UNLIKELY(z->st->nr_doomed != 0) && !pfai_map_is(z->doomed, rel, nr, false)) {
		pfai_word zeros = zero ? PFAI_ONES : 0;
		for (size_t word = rel >> PFAI_WORD_SHIFT; word < (rel + nr) >> PFAI_WORD_SHIFT; word++)
			pfai_zone_put_word_locked(p, z, word, PFAI_ONES, zeros);
		return;
	}
	pfai_words_fill(z->not_free, rel, nr, false);
	if (z->zero)
		pfai_words_fill(z->zero, rel, nr, zero != (p->zero_invert != 0));
	zone_account(p, z, code, rel, nr, false);
	if (pfai_zone_listens(z))
		pfai_mark_freed_locked(p, z, rel, nr);
	if (order < p->leaf_order) {
		size_t leaf = rel >> p->leaf_order;
		unsigned at = (unsigned)(rel & ((1u << p->leaf_order) - 1));
		zone_leaf_gained(p, z, code, leaf, pfai_leaf_grow(pfai_leaf_at(p, z, leaf), at, order, z->leaf_top));
		zone_emptied(p, z, rel >> p->pb_order);
		return;
	}
	memset(z->leaf + (rel >> p->leaf_order), 0, nr >> p->leaf_order);
	/* Every pageblock in it is entirely free. */
	if (order >= p->pb_order && pfai_code_reverts(code)) {
		z->st->free[code] -= nr;
		z->st->free[PFAI_CODE_MOVABLE] += nr;
		for (size_t i = 0; i < nr >> p->pb_order; i++)
			pfai_zone_set_code_locked(p, z, (rel >> p->pb_order) + i, PFAI_CODE_MOVABLE);
		code = PFAI_CODE_MOVABLE;
	}
	if (order < z->top_order)
		zone_merge_up(p, z, rel, order);
	else
		index_add_run(p, z, code, order, rel >> order, nr_blocks);
	zone_emptied(p, z, rel >> p->pb_order);
}

/* Are the pageblocks of a block larger than one of types that do not merge? Some of them may be held, or have been in a CMA area that
 * ended. */
static bool zone_straddles(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order)
{
	size_t pb = rel >> p->pb_order, end = pb + ((size_t)1 << (order - p->pb_order));
	unsigned code = pfai_pb_code(&z->pb[pb]);
	while (++pb < end) {
		unsigned other = pfai_pb_code(&z->pb[pb]);
		if ((other == PFAI_CODE_ISOLATE) != (code == PFAI_CODE_ISOLATE) || (other == PFAI_CODE_CMA) != (code == PFAI_CODE_CMA))
			return true;
	}
	return false;
}

void pfai_zone_put_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, bool zero)
{
	if (order > p->pb_order && zone_straddles(p, z, rel, order))
		pfai_zone_put_run_locked(p, z, rel, (size_t)1 << order, zero);
	else
		pfai_zone_put_blocks_locked(p, z, rel, order, 1, zero);
}

void pfai_zone_put_run_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames, bool zero)
{
	while (nr_frames) {
		/* Never across pageblocks of different types: a piece of a pageblock at most, where it is not one block. */
		unsigned order = pfai_natural_order(rel, nr_frames, z->top_order);
		if (order > p->pb_order)
			order = p->pb_order;
		pfai_zone_put_blocks_locked(p, z, rel, order, 1, zero);
		rel += (size_t)1 << order;
		nr_frames -= (size_t)1 << order;
	}
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

/* What a pageblock counts as is about to change: its free memory leaves what it was kept by, but for what joins the other at once.
 * False: damage was met, nothing is to be changed. *block: it is entirely free, and has been taken out as one. */
static bool zone_change_begin(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned old, unsigned code, bool *block)
{
	size_t rel = pb << p->pb_order, size = (size_t)1 << p->pb_order;
	*block = z->pb[pb].used == 0 && z->top_order >= p->pb_order;
	if (PFAI_UNLIKELY(z->pb[pb].used > size)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		return false;
	}
	(void)pfai_zone_must(p, z, size - z->pb[pb].used <= z->st->free[old]);
	z->st->free[old] -= size - z->pb[pb].used;
	z->st->free[code] += size - z->pb[pb].used;
	if (!*block)
		return true;
	/* Entirely free, perhaps as part of something larger: it leaves that, changes, and merges again. */
	int from = pfai_zone_containing_locked(p, z, old, rel);
	if (PFAI_UNLIKELY(from < (int)p->pb_order)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		return false;
	}
	pfai_index_del(p, z, old, (unsigned)from, rel >> from);
	zone_split_down(p, z, old, rel, (unsigned)from, p->pb_order);
	return true;
}

/* It counts as `code` now: its free memory joins what that is kept by. */
static void zone_change_end(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned old, unsigned code, bool block)
{
	size_t rel = pb << p->pb_order, end = rel + ((size_t)1 << p->pb_order);
	/* An entirely free pageblock binds a common type only while a request is about to use it: no merging then. */
	if (block && pfai_code_reverts(code))
		pfai_index_add(p, z, code, p->pb_order, pb);
	else if (block)
		zone_merge_up(p, z, rel, p->pb_order);
	if (block && pfai_zone_listens(z))
		pfai_mark_joined_locked(p, z, pb);
	if (block)
		return;
	for (size_t at = rel; at < end;) {
		size_t leaf = at >> p->leaf_order;
		int order = leaf_order_of(z, leaf);
		if (zone_leaf_is_whole(p, z, leaf))
			order = pfai_zone_containing_locked(p, z, old, at);
		(void)pfai_zone_must(p, z, order >= 0 || z->leaf[leaf] == PFAI_LEAF_FULL);
		size_t i = order > (int)p->leaf_order ? at >> order : leaf;
		if (order >= 0) {
			pfai_index_del(p, z, old, (unsigned)order, i);
			pfai_index_add(p, z, code, (unsigned)order, i);
		}
		at += (size_t)1 << (order > (int)p->leaf_order ? (unsigned)order : p->leaf_order);
	}
}

void pfai_zone_retype_locked(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned code)
{
	unsigned old = pfai_zone_code_locked(z, &z->pb[pb]);
	bool block;
	if (old == code || !zone_change_begin(p, z, pb, old, code, &block))
		return;
	pfai_zone_set_code_locked(p, z, pb, code);
	zone_change_end(p, z, pb, old, code, block);
}

void pfai_zone_hold_locked(struct pfa *p, struct pfai_zone *z, size_t pb, uint32_t token)
{
	unsigned old = pfai_zone_code_locked(z, &z->pb[pb]);
	bool block;
	if (!zone_change_begin(p, z, pb, old, PFAI_CODE_ISOLATE, &block))
		return;
	pfai_zone_set_holder_locked(p, z, pb, token);
	zone_change_end(p, z, pb, old, PFAI_CODE_ISOLATE, block);
}

void pfai_zone_unhold_locked(struct pfa *p, struct pfai_zone *z, size_t pb)
{
	struct pfai_pb *rec = &z->pb[pb];
	bool block;
	/* What became entirely free while it was held binds no type. */
	if (rec->used == 0 && pfai_code_reverts(pfai_pb_own_code(rec)))
		rec->code = PFAI_CODE_MOVABLE;
	unsigned code = pfai_pb_own_code(rec);
	bool sound = zone_change_begin(p, z, pb, PFAI_CODE_ISOLATE, code, &block);
	pfai_zone_set_holder_locked(p, z, pb, 0); /* also where damage was met: nobody holds it until the repair */
	if (sound)
		zone_change_end(p, z, pb, PFAI_CODE_ISOLATE, code, block);
}
