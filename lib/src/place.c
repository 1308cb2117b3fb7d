/* SPDX-License-Identifier: MIT */
#include "place.h"

#include "leaf.h"
#include "mark.h"

/* The lowest element of the smallest set that fits; PFAI_NONE: there is none, or the index is damaged. */
static size_t place_first_element(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, unsigned *from)
{
	uint32_t fits = z->st->nonempty[code] >> order;
	if (!fits)
		return PFAI_NONE;
	*from = order + pfai_ctz32(fits);
	if (PFAI_LIKELY(*from <= z->top_order)) {
		unsigned shift = *from < p->leaf_order ? p->leaf_order : *from;
		size_t i = pfai_bitset_first(pfai_set_at(z, code, *from), pfai_set_bits(p, z, *from));
		if (PFAI_LIKELY(i < pfai_set_bits(p, z, *from) && (i + 1) << shift <= z->nr_rel))
			return i;
	}
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return PFAI_NONE;
}

/* Level 3: any element of the smallest set that fits, beginning to look at a random place. */
static size_t place_any_element(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, unsigned *from)
{
	size_t first = place_first_element(p, z, code, order, from);
	if (first == PFAI_NONE)
		return first;
	size_t bits = pfai_set_bits(p, z, *from), at = pfai_random_below_locked(p, z, (uint32_t)bits);
	unsigned shift = *from < p->leaf_order ? p->leaf_order : *from;
	size_t i = pfai_bitset_next(pfai_set_at(z, code, *from), bits, at);
	return i < bits && (i + 1) << shift <= z->nr_rel ? i : first;
}

/* Level 3: a random multiple of 2^order below 2^from. */
static size_t place_any_part(const struct pfa *p, struct pfai_zone *z, unsigned from, unsigned order)
{
	return from > order ? (size_t)pfai_random_bits_locked(p, z, from - order) << order : 0;
}

/* A told block is last in the order of use: rel, or the place of one that is not. */
static size_t place_prefer(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t rel)
{
	if (!pfai_mark_has_told_locked(p, z, rel, order))
		return rel;
	size_t from = pfai_level(p, 3) ? pfai_random_below_locked(p, z, (uint32_t)z->nr_pb) : 0;
	size_t better = pfai_mark_resident_locked(p, z, code, order, from);
	if (better == PFAI_NONE)
		return rel;
	bool whole = pfai_level(p, 3) && z->pb[better >> p->pb_order].used == 0;
	return whole ? better + place_any_part(p, z, p->pb_order, order) : better;
}

/* pfai_zone_first_locked() of level 3: any place will do. */
static size_t place_any(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order)
{
	unsigned from;
	size_t i = place_any_element(p, z, code, order, &from);
	if (i == PFAI_NONE)
		return i;
	if (from >= p->leaf_order)
		return (i << from) + place_any_part(p, z, from, order);
	unsigned at = (unsigned)place_any_part(p, z, p->leaf_order, order);
	int found = pfai_leaf_find(pfai_leaf_at(p, z, i), pfai_leaf_words(p), order, at);
	if (found < 0)
		found = pfai_leaf_find(pfai_leaf_at(p, z, i), pfai_leaf_words(p), order, 0);
	if (PFAI_LIKELY(found >= 0))
		return (i << p->leaf_order) + (unsigned)found;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* as in pfai_zone_first_locked() */
	return PFAI_NONE;
}

/* Below it: the lowest place of the best fit. */
static size_t place_lowest(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order)
{
	unsigned from;
	size_t i = place_first_element(p, z, code, order, &from);
	if (i == PFAI_NONE || from >= p->leaf_order)
		return i == PFAI_NONE ? i : i << from;
	int at = pfai_leaf_find(pfai_leaf_at(p, z, i), pfai_leaf_words(p), order, 0);
	if (PFAI_LIKELY(at >= 0))
		return (i << p->leaf_order) + (unsigned)at;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* the index promised a block that the map does not have */
	return PFAI_NONE;
}

size_t pfai_zone_first_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order)
{
	size_t rel = pfai_level(p, 3) ? place_any(p, z, code, order) : place_lowest(p, z, code, order);
	return pfai_zone_told_some(z) && rel != PFAI_NONE ? place_prefer(p, z, code, order, rel) : rel;
}

/* One element of a set: its lowest block of `order` inside [lo, hi). */
static size_t place_fit_in(const struct pfa *p, const struct pfai_zone *z, unsigned from, size_t i, unsigned order,
                          size_t lo, size_t hi)
{
	unsigned shift = from < p->leaf_order ? p->leaf_order : from;
	size_t first = i << shift, mask = ((size_t)1 << order) - 1, at = lo > first ? (lo + mask) & ~mask : first;
	if (at >= first + ((size_t)1 << shift))
		return PFAI_NONE;
	if (from < p->leaf_order) {
		int bit = pfai_leaf_find(pfai_leaf_at(p, z, i), pfai_leaf_words(p), order, (unsigned)(at - first));
		if (bit < 0)
			return PFAI_NONE;
		at = first + (unsigned)bit;
	}
	return at < hi && hi - at > mask ? at : PFAI_NONE;
}

size_t pfai_zone_first_in_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, unsigned order,
                                 size_t lo, size_t hi)
{
	uint32_t orders = z->st->nonempty[code] & ((2u << z->top_order) - 1); /* whatever else it says */
	for (uint32_t fits = orders >> order << order; fits; fits &= fits - 1) {
		unsigned from = pfai_ctz32(fits), shift = from < p->leaf_order ? p->leaf_order : from;
		size_t nbits = pfai_set_bits(p, z, from), i = lo >> shift;
		const pfai_word *set = pfai_set_at(z, code, from);
		/* Only the first element can fail for beginning too early, only the last for ending too late: three tries. */
		for (unsigned tries = 0; tries < 3; tries++) {
			i = pfai_bitset_next(set, nbits, i);
			if (i == PFAI_NONE || i << shift >= hi)
				break;
			size_t at = place_fit_in(p, z, from, i, order, lo, hi);
			if (at != PFAI_NONE)
				return at;
			i++;
		}
	}
	return PFAI_NONE;
}

size_t pfai_zone_next_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order)
{
	unsigned from;
	size_t i = pfai_level(p, 3) ? place_any_element(p, z, code, order, &from) : place_first_element(p, z, code, order, &from);
	if (i == PFAI_NONE)
		return i;
	size_t rel = i << (from > p->leaf_order ? from : p->leaf_order);
	if (pfai_level(p, 3))
		rel += place_any_part(p, z, from, order > p->leaf_order ? order : p->leaf_order);
	return pfai_zone_told_some(z) ? place_prefer(p, z, code, order, rel) : rel;
}

bool pfai_zone_is_free_locked(const struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order)
{
	size_t nr = (size_t)1 << order;
	if (rel < z->nr_rel && nr <= z->nr_rel - rel && pfai_map_block_is(z->not_free, rel, nr, false) &&
	    pfai_block_grantable(p, z, pfai_offset_of_rel(z, rel), order))
		return true;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return false;
}

bool pfai_zone_are_free_locked(const struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr)
{
	size_t end = rel + (nr << order);
	bool so = rel < z->nr_rel && end <= z->nr_rel && pfai_words_are(z->not_free, rel, end - rel, false);
	for (size_t at = rel; so && pfai_level(p, 2) && at < end; at += (size_t)1 << order)
		so = pfai_block_grantable(p, z, pfai_offset_of_rel(z, at), order);
	if (PFAI_UNLIKELY(!so))
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return so;
}
