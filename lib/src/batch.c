/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include "leaf.h"
#include "mark.h"
#include "place.h"

/* Pending leaves that are looked at under one hold of the zone's lock. */
#define BATCH_LEAVES 64u

/* ---- pulling ----------------------------------------------------------------------------------------------------- */

enum batch_step { BATCH_ON, BATCH_FULL };

static inline size_t batch_base(size_t rel, unsigned order)
{
	return rel >> order << order;
}

/* Order of the largest free block around rel, where a unit begins; -1: the unit is not free. */
static int batch_block_at(const struct pfa *p, struct pfai_zone *z, unsigned code, size_t rel)
{
	unsigned unit = p->report->device.min_order;
	size_t leaf = rel >> p->leaf_order, nr = (size_t)1 << unit;
	if (z->leaf[leaf] == 0 && z->leaf_top == p->leaf_order) {
		int order = pfai_zone_containing_locked(p, z, code, rel);
		if (order < (int)unit)
			return -1;
		if (PFAI_LIKELY((size_t)1 << order <= z->nr_rel - batch_base(rel, (unsigned)order)))
			return order;
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* not all of it is in the zone */
		return -1;
	}
	if (unit >= p->leaf_order || !pfai_map_block_is(z->not_free, rel, nr, false))
		return -1;
	unsigned at = (unsigned)(rel & (((size_t)1 << p->leaf_order) - 1));
	unsigned order = pfai_leaf_grow(pfai_leaf_at(p, z, leaf), at, unit, z->leaf_top);
	if (PFAI_LIKELY(order < p->leaf_order))
		return (int)order;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* all of it is free, and it does not say so */
	return -1;
}

/* Frames that may leave the zone now: never below the low mark. */
static inline ptrdiff_t batch_room(const struct pfai_zone *z, unsigned code)
{
	bool common = pfai_code_is_common(code);
	return pfai_zone_room_locked(z, z->mark_low, !common, !common);
}

/* Frames that a batch may hold: a quarter of what is free, or one unit. */
static size_t batch_share(const struct pfai_report *r, const struct pfai_zone *z)
{
	size_t held = z->st->held_report, share = ((size_t)pfai_zone_room_locked(z, 0, true, true) + held) / 4;
	size_t left = share > held ? share - held : 0, unit = (size_t)1 << r->device.min_order;
	return r->nr || left > unit ? left : unit;
}

/* Blocks side by side, each a part, or all, of a free block of order `from`. told: the device may know some of it. */
static inline void batch_take_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr, int from, bool told)
{
	struct pfai_report *r = p->report;
	if (order >= p->leaf_order && !told)
		pfai_zone_take_blocks_locked(p, z, rel, order, nr, from);
	else
		pfai_zone_take_locked(p, z, rel, order);
	pfai_mark_hold_locked(z, rel, nr << order);
	/* Nothing is left in the leaves that they cover; who looks at a leaf that is one block knows of that one. */
	if (order > p->leaf_order || nr > 1)
		pfai_bitset_del_run(z->pending, z->nr_leaves, rel >> p->leaf_order, nr << (order - p->leaf_order));
	r->batch_zone = z->id;
	size_t end = rel + (nr << order);
	for (size_t at = rel; at < end; at += (size_t)1 << order)
		pfai_block_leaves(p, pfai_offset_of_rel(z, at), order, PFAI_HELD_REPORT | order);
	for (unsigned i = r->nr; rel < end; i++, rel += (size_t)1 << order) {
		r->held[i] = (struct pfai_held){ rel, order };
		r->runs[i] = (struct pfa_run){ z->origin + rel, (size_t)1 << order };
	}
	r->nr += (unsigned)nr;
}

/* A block of the largest order joins the batch: how many may that begin with it and lie side by side, `most` at most. */
static size_t PFAI_NOINLINE batch_beside_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, size_t rel,
                                                size_t most)
{
	const unsigned order = z->top_order;
	const size_t fit = (z->nr_rel - rel) >> order;
	most = most < fit ? most : fit;
	while (most > 1 && !pfai_mark_wanted(p, z, rel, most << order))
		most--;
	most = pfai_mark_untold_locked(p, z, rel, most << (order - p->pb_order)) >> (order - p->pb_order);
	const pfai_word *set = pfai_set_at(z, code, order);
	size_t nr = 1;
	/* What is about to be read and written of each is asked for before any is waited for. Here, and not by a function: of one that does
	 * nothing else a compiler may think that it has no effects. */
	for (; nr < most && pfai_bitset_test(set, (rel >> order) + nr); nr++) {
		const size_t at = rel + (nr << order);
		const pfai_word *map = &z->not_free[at >> PFAI_WORD_SHIFT];
		pfai_prefetch((const void *)(uintptr_t)&p->bytes[pfai_offset_of_rel(z, at)]);
		pfai_prefetch(map);
		pfai_prefetch(map + ((size_t)1 << order >> (PFAI_WORD_SHIFT + 1)));
	}
	return nr;
}

/* The unit at *rel: its block, as large as may be, joins the batch, or it is passed by. *rel goes on. FULL: not now. */
static enum batch_step batch_unit_locked(struct pfa *p, struct pfai_zone *z, size_t *rel)
{
	struct pfai_report *r = p->report;
	unsigned unit = r->device.min_order, code = pfai_zone_code_locked(z, pfai_pb_at(p, z, *rel));
	int around = batch_block_at(p, z, code, *rel);
	if (around < 0 || pfai_mark_all_told_locked(p, z, *rel, (size_t)1 << unit) ||
	    !pfai_mark_wanted(p, z, *rel, (size_t)1 << unit)) {
		*rel += (size_t)1 << unit;
		return BATCH_ON;
	}
	ptrdiff_t room = batch_room(z, code);
	if (r->nr && !pfai_room_fits(room, unit))
		return BATCH_FULL; /* with what the batch holds; not necessarily without */
	if (z->pb[*rel >> p->pb_order].holder || !pfai_room_fits(room, unit)) {
		r->left = true; /* it stays pending: neither of these tells when it ends */
		*rel += (size_t)1 << unit;
		return BATCH_FULL;
	}
	unsigned order = (unsigned)around;
	size_t share = batch_share(r, z);
	/* What lies before *rel had its turn in this pass. */
	while (order > unit && (batch_base(*rel, order) < *rel || !pfai_mark_wanted(p, z, batch_base(*rel, order), (size_t)1 << order) ||
	                        (size_t)1 << order > share || !pfai_room_fits(room, order) ||
	                        pfai_mark_any_told_locked(p, z, batch_base(*rel, order), (size_t)1 << order)))
		order--;
	if ((size_t)1 << order > share)
		return BATCH_FULL;
	size_t base = batch_base(*rel, order), nr = 1;
	bool told = order == unit && pfai_mark_any_told_locked(p, z, base, (size_t)1 << order); /* a larger one has nothing told */
	if (order == z->top_order && order >= p->pb_order && !told) {
		size_t most = r->device.capacity - r->nr, fits = ((size_t)room < share ? (size_t)room : share) >> order;
		nr = batch_beside_locked(p, z, code, base, most < fits ? most : fits);
	}
	*rel = base + (nr << order);
	z->st->reports.steps += nr - 1;
	if (PFAI_UNLIKELY(nr > 1 ? !pfai_zone_are_free_locked(p, z, base, order, nr) : !pfai_zone_is_free_locked(p, z, base, order)))
		return BATCH_FULL;
	batch_take_locked(p, z, base, order, nr, around, told);
	return BATCH_ON;
}

/* The units that begin in one pending leaf, from r->at on. FULL: it stays pending. */
static enum batch_step batch_leaf_locked(struct pfa *p, struct pfai_zone *z, size_t leaf)
{
	struct pfai_report *r = p->report;
	size_t unit = pfai_unit(p), first = leaf << p->leaf_order, end = first + ((size_t)1 << p->leaf_order);
	r->at = r->at > first ? r->at : first;
	r->at = (r->at + unit - 1) & ~(unit - 1);
	/* What was passed by under an earlier hold may be news again. */
	bool stays = r->at > first && pfai_mark_news_locked(p, z, first, (r->at < end ? r->at : end) - first);
	while (r->at < end && !pfai_load_relaxed(&z->st->corrupt)) {
		size_t from = r->at;
		if (r->nr == r->device.capacity || unit > z->nr_rel - from)
			break;
		z->st->reports.steps++;
		if (batch_unit_locked(p, z, &r->at) == BATCH_ON)
			continue;
		stays = true;
		if (r->at == from) /* the batch is full */
			return BATCH_FULL;
	}
	if (r->at < end && unit <= z->nr_rel - r->at)
		return BATCH_FULL;
	if (!stays && pfai_bitset_test(z->pending, leaf)) /* often gone with a block */
		(void)pfai_bitset_del(z->pending, z->nr_leaves, leaf);
	r->at = r->at > end ? r->at : end;
	return BATCH_ON;
}

bool pfai_batch_pull_locked(struct pfa *p, struct pfai_zone *z)
{
	struct pfai_report *r = p->report;
	size_t steps = z->st->reports.steps;
	bool more = true;
	for (unsigned i = 0; more && i < BATCH_LEAVES && r->nr < r->device.capacity && !pfai_load_relaxed(&z->st->corrupt); i++) {
		size_t leaf = pfai_bitset_next(z->pending, z->nr_leaves, r->at >> p->leaf_order);
		more = leaf < z->nr_leaves;
		if (more && batch_leaf_locked(p, z, leaf) == BATCH_FULL)
			break;
	}
	pfai_zone_steps(z, z->st->reports.steps - steps + BATCH_LEAVES);
	return more;
}

/* ---- putting back ------------------------------------------------------------------------------------------------ */

/* What is known of the content of blocks, whose bits in z->zero nobody has touched while they were held. */
static void batch_return_content(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr, bool told)
{
	const struct pfa_device *d = &p->report->device;
	if (!z->zero || d->discards) {
		bool zero = told && d->zeroes && pfai_known_is_zero(p);
		pfai_zone_put_blocks_locked(p, z, rel, order, nr, zero);
	} else if (order < PFAI_WORD_SHIFT) {
		size_t word = rel >> PFAI_WORD_SHIFT;
		pfai_zone_put_word_locked(p, z, word, pfai_low_bits(1u << order) << (rel & PFAI_WORD_MASK), z->zero[word] ^ p->zero_invert);
	} else {
		for (size_t word = rel >> PFAI_WORD_SHIFT; word < (rel + (nr << order)) >> PFAI_WORD_SHIFT; word++)
			pfai_zone_put_word_locked(p, z, word, PFAI_ONES, z->zero[word] ^ p->zero_invert);
	}
}

/* Do all pageblocks of blocks that are larger count as the same? */
static bool batch_uniform(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr)
{
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel), *end = pb + (nr >> p->pb_order);
	unsigned code = pfai_pb_code(pb);
	while (++pb < end)
		if (pfai_pb_code(pb) != code)
			return false;
	return true;
}

/* Is the first block of these still the reporter's, and how many are that lie beside it, of the largest order, of `most` at most? Where
 * its byte says something else a block was decided about (by a repair), or there is damage. */
static unsigned batch_still_held(const struct pfa *p, struct pfai_zone *z, const struct pfai_held *h, unsigned most)
{
	const unsigned order = h->order;
	size_t rel = h->rel;
	most = order >= p->pb_order && order == z->top_order ? most : 1;
	unsigned nr = 0;
	for (; nr < most && h[nr].order == order && h[nr].rel == rel; nr++, rel += (size_t)1 << order) {
		size_t offset = pfai_offset_of_rel(z, rel);
		if (pfai_load_relaxed(&p->bytes[offset]) != (PFAI_HELD_REPORT | order))
			break;
		if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
			break;
		}
	}
	return nr;
}

/* One block of the batch, or several as above. Returns how many are done with. */
static unsigned batch_return_locked(struct pfa *p, struct pfai_zone *z, const struct pfai_held *h, unsigned most, bool told)
{
	const unsigned order = h->order, nr = batch_still_held(p, z, h, most);
	const bool whole = order >= p->pb_order;
	const uint32_t reporting = z->st->reporting;
	if (!nr)
		return 1;
	size_t nr_frames = (size_t)nr << order;
	for (size_t rel = h->rel; rel < h->rel + nr_frames; rel += (size_t)1 << order)
		pfai_block_returns(p, pfai_offset_of_rel(z, rel), order);
	pfai_mark_release_locked(p, z, h->rel, nr_frames, told);
	if (told && whole)
		z->st->reporting = 0; /* nothing in them is news, or resident */
	/* Piece by piece where pageblocks have become such as do not merge. */
	if (!whole || batch_uniform(p, z, h->rel, nr_frames)) {
		batch_return_content(p, z, h->rel, order, nr, told);
	} else {
		for (size_t rel = h->rel; rel < h->rel + nr_frames; rel += (size_t)1 << p->pb_order)
			batch_return_content(p, z, rel, p->pb_order, 1, told);
	}
	z->st->reporting = reporting;
	return nr;
}

bool pfai_batch_return(struct pfa *p, unsigned told)
{
	struct pfai_report *r = p->report;
	struct pfai_zone *z = &p->zones[r->batch_zone];
	size_t frames = 0;
	if (!pfai_zone_lock(p, z))
		return false;
	z->st->report_quiet = 1;
	for (unsigned i = 0; i < r->nr;)
		i += batch_return_locked(p, z, &r->held[i], (i < told ? told : r->nr) - i, i < told);
	for (unsigned i = 0; i < told; i++)
		frames += r->runs[i].nr_frames;
	z->st->report_quiet = 0;
	z->st->reports.told += frames;
	z->st->reports.batches++;
	z->st->reports.errors += told < r->nr;
	pfai_zone_steps(z, r->nr);
	r->nr = 0;
	pfai_zone_unlock(p, z);
	return true;
}
