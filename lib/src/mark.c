/* SPDX-License-Identifier: MIT */
#include "mark.h"

#include "place.h"

void pfai_report_request(struct pfai_report *r)
{
	uint32_t state;
	do
		state = pfai_load_relaxed(&r->state);
	while (!(state & PFAI_REPORT_REQUESTED) && !pfai_cas32(&r->state, state, state | PFAI_REPORT_REQUESTED));
}

/* Is the unit free, and will the device be told of it? Part of it may lie outside of the zone's maps. */
static bool mark_is_news(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t unit)
{
	return unit <= z->nr_rel - rel && !pfai_mark_all_told_locked(p, z, rel, unit) && pfai_map_block_is(z->not_free, rel, unit, false) &&
	       pfai_mark_wanted(p, z, rel, unit);
}

bool pfai_mark_news_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr)
{
	size_t unit = pfai_unit(p), end = rel + nr;
	for (size_t at = rel & ~(unit - 1); at < end && at < z->nr_rel; at += unit)
		if (mark_is_news(p, z, at, unit))
			return true;
	return false;
}

/* Notes what of these pageblocks is resident. */
static void mark_resident(const struct pfa *p, struct pfai_zone *z, size_t rel, size_t end)
{
	for (size_t pb = rel >> p->pb_order; pb << p->pb_order < end && pb < z->nr_pb; pb++)
		if (pfai_mark_is_resident(p, z, pb))
			pfai_bitset_add(z->resident, z->nr_pb, pb);
}

void pfai_mark_freed_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr)
{
	struct pfai_report *r = p->report;
	if (PFAI_UNLIKELY(!r)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* nobody listens */
		return;
	}
	size_t unit = pfai_unit(p), end = rel + nr;
	bool news = false;
	for (size_t at = rel & ~(unit - 1); at < end && at < z->nr_rel; at += unit) {
		if (!mark_is_news(p, z, at, unit))
			continue;
		pfai_bitset_add(z->pending, z->nr_leaves, at >> p->leaf_order);
		news = true;
	}
	if (news && !z->st->report_quiet)
		pfai_report_request(r);
	mark_resident(p, z, rel, end);
}

void pfai_mark_joined_locked(struct pfa *p, struct pfai_zone *z, size_t pb)
{
	if (p->report && p->report->device.min_order > p->pb_order)
		pfai_mark_freed_locked(p, z, pb << p->pb_order, (size_t)1 << p->pb_order);
}

bool pfai_mark_has_told_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, unsigned order)
{
	size_t last = (rel + ((size_t)1 << order) - 1) >> p->pb_order;
	for (size_t pb = rel >> p->pb_order; pb <= last && pb < z->nr_pb; pb++)
		if (z->pb[pb].marked == (size_t)1 << p->pb_order)
			return true;
	return false;
}

/* The block of 2^order frames in, or around, a pageblock, if it is free and of this type and no pageblock of it is told. */
static size_t mark_block_in(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order, size_t pb)
{
	size_t rel = pb << p->pb_order;
	if (pfai_pb_code(&z->pb[pb]) != code)
		return PFAI_NONE;
	if (order <= p->pb_order)
		return z->pb[pb].used == 0 && order <= z->top_order
		           ? rel
		           : pfai_zone_first_in_locked(p, z, code, order, rel, rel + ((size_t)1 << p->pb_order));
	rel = rel >> order << order;
	return pfai_zone_containing_locked(p, z, code, rel) >= (int)order && !pfai_mark_has_told_locked(p, z, rel, order) ? rel : PFAI_NONE;
}

size_t pfai_mark_resident_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t from)
{
	size_t pb = from;
	for (unsigned looks = 0; looks < PFAI_MARK_LOOKS; looks++) {
		pb = pfai_bitset_next(z->resident, z->nr_pb, pb);
		if (pb >= z->nr_pb) {
			if (!from)
				break;
			from = pb = 0;
			continue;
		}
		if (!pfai_mark_is_resident(p, z, pb)) { /* not any more; it is noted again when it is */
			(void)pfai_bitset_del(z->resident, z->nr_pb, pb++);
			continue;
		}
		size_t found = mark_block_in(p, z, code, order, pb++);
		if (found != PFAI_NONE)
			return found;
	}
	return PFAI_NONE;
}

/* Counts frames of one word that become told (or no longer are) in the zone and in their pageblock. */
static void mark_count(const struct pfa *p, struct pfai_zone *z, size_t word, unsigned nr, bool told)
{
	struct pfai_pb *pb = pfai_pb_at(p, z, word << PFAI_WORD_SHIFT);
	if (told) {
		pb->marked += nr;
		z->st->told += nr;
		return;
	}
	(void)pfai_zone_must(p, z, nr <= pb->marked && nr <= z->st->told);
	pb->marked -= nr;
	z->st->told -= nr;
}

/* Does the run begin with a whole pageblock? */
static inline bool mark_begins_whole(const struct pfa *p, size_t rel, size_t nr)
{
	const size_t size = (size_t)1 << p->pb_order;
	return nr >= size && (rel & (size - 1)) == 0;
}

/* One word's part of [rel, rel + nr). *first: it is advanced. */
static pfai_word mark_mask(size_t *rel, size_t *nr)
{
	unsigned bit = (unsigned)(*rel & PFAI_WORD_MASK);
	size_t here = PFAI_WORD_BITS - bit < *nr ? PFAI_WORD_BITS - bit : *nr;
	*rel += here;
	*nr -= here;
	return pfai_low_bits((unsigned)here) << bit;
}

void pfai_mark_drop_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr)
{
	if (PFAI_UNLIKELY(!z->told)) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* nothing can be */
		return;
	}
	while (nr) {
		if (mark_begins_whole(p, rel, nr) && !pfai_pb_at(p, z, rel)->marked) {
			rel += (size_t)1 << p->pb_order;
			nr -= (size_t)1 << p->pb_order;
			continue;
		}
		size_t word = rel >> PFAI_WORD_SHIFT;
		pfai_word told = z->told[word] & mark_mask(&rel, &nr);
		if (!told)
			continue;
		z->told[word] &= ~told;
		mark_count(p, z, word, pfai_popcount(told), false);
	}
}

/* Of which some may be doomed, or which are no whole pageblocks: word by word. */
static void PFAI_NOINLINE mark_release_words(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr)
{
	while (nr) {
		size_t word = rel >> PFAI_WORD_SHIFT;
		pfai_word mask = mark_mask(&rel, &nr), bad = z->doomed[word] & mask; /* these do not become free */
		z->told[word] &= ~bad;
		mark_count(p, z, word, pfai_popcount(mask & ~bad), true);
	}
}

void pfai_mark_release_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr, bool told)
{
	z->st->held_report -= nr;
	if (!told) {
		pfai_map_fill(z->told, rel, nr, false);
		return;
	}
	if (z->st->nr_doomed || !pfai_mark_whole(p, rel, nr)) {
		mark_release_words(p, z, rel, nr);
		return;
	}
	for (size_t pb = rel >> p->pb_order, end = (rel + nr) >> p->pb_order; pb < end; pb++)
		z->pb[pb].marked += 1u << p->pb_order;
	z->st->told += nr;
}

size_t pfai_mark_all_pending_locked(struct pfa *p, struct pfai_zone *z, size_t first)
{
	unsigned order = p->report->device.min_order;
	size_t step = order > p->leaf_order ? (size_t)1 << (order - p->leaf_order) : 1;
	size_t chunk = step > PFAI_MARK_CHUNK ? step : PFAI_MARK_CHUNK; /* a multiple of the other, both ways */
	size_t last = z->nr_leaves - first > chunk ? first + chunk : z->nr_leaves;
	for (size_t leaf = first; leaf < last; leaf += step) {
		pfai_bitset_add(z->pending, z->nr_leaves, leaf);
		if (step > last - leaf)
			break;
	}
	mark_resident(p, z, first << p->leaf_order, last << p->leaf_order);
	return last;
}

size_t pfai_mark_forget_locked(struct pfa *p, struct pfai_zone *z, size_t first)
{
	size_t words = (size_t)1 << (p->pb_order - PFAI_WORD_SHIFT), chunk = PFAI_MARK_CHUNK >> (p->pb_order - PFAI_WORD_SHIFT);
	chunk = chunk ? chunk : 1;
	size_t last = z->nr_pb - first > chunk ? first + chunk : z->nr_pb;
	for (size_t pb = first; pb < last; pb++) {
		z->st->told -= z->pb[pb].marked;
		z->pb[pb].marked = 0;
		memset(z->told + pb * words, 0, words * sizeof(*z->told));
	}
	return last;
}
