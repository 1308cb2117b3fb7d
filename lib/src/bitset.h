/* SPDX-License-Identifier: MIT
 *
 * Layer 2: a set of small integers as a bitmap with summary levels: level 0 is the set, each bit of level k+1 says
 * that a word of level k is not zero, the last level is one word. All levels lie one after the other.
 * Pure functions on words; the caller locks. Each is O(levels): at most 7 for 2^31 elements.
 */
#ifndef PFAI_BITSET_H
#define PFAI_BITSET_H

#include "bits.h"

#define PFAI_NONE SIZE_MAX

/* Words of all levels together for a set over 0 .. nbits-1, nbits >= 1. */
size_t pfai_bitset_words(size_t nbits);

static inline bool pfai_bitset_test(const pfai_word *set, size_t i)
{
	return pfai_map_test(set, i);
}

/* What is to be done above level 0, whose word became not zero; or zero: true if the set is empty now. */
void pfai_bitset_added(pfai_word *set, size_t nbits, size_t i);
bool pfai_bitset_deleted(pfai_word *set, size_t nbits, size_t i);

static inline void pfai_bitset_add(pfai_word *set, size_t nbits, size_t i)
{
	pfai_word *word = &set[i >> PFAI_WORD_SHIFT], old = *word;
	*word = old | (pfai_word)1 << (i & PFAI_WORD_MASK);
	if (!old)
		pfai_bitset_added(set, nbits, i);
}

/* Takes i out; true if the set is empty now. */
static inline bool pfai_bitset_del(pfai_word *set, size_t nbits, size_t i)
{
	pfai_word *word = &set[i >> PFAI_WORD_SHIFT], left = *word & ~((pfai_word)1 << (i & PFAI_WORD_MASK));
	*word = left;
	return !left && pfai_bitset_deleted(set, nbits, i);
}

/* [first, first + nr) */
static inline void pfai_bitset_add_run(pfai_word *set, size_t nbits, size_t first, size_t nr)
{
	for (size_t end = first + nr; first < end; first = (first | PFAI_WORD_MASK) + 1) {
		size_t here = end - first < PFAI_WORD_BITS ? end - first : PFAI_WORD_BITS; /* bits beyond the word are shifted out of it */
		pfai_word *word = &set[first >> PFAI_WORD_SHIFT], old = *word;
		*word = old | pfai_low_bits((unsigned)here) << (first & PFAI_WORD_MASK);
		if (!old)
			pfai_bitset_added(set, nbits, first);
	}
}

/* Takes out what is there of [first, first + nr); true if the set is empty by that. */
static inline bool pfai_bitset_del_run(pfai_word *set, size_t nbits, size_t first, size_t nr)
{
	bool empty = false;
	for (size_t end = first + nr; first < end; first = (first | PFAI_WORD_MASK) + 1) {
		size_t here = end - first < PFAI_WORD_BITS ? end - first : PFAI_WORD_BITS; /* as above */
		pfai_word *word = &set[first >> PFAI_WORD_SHIFT], old = *word;
		pfai_word left = old & ~(pfai_low_bits((unsigned)here) << (first & PFAI_WORD_MASK));
		*word = left;
		if (old && !left)
			empty = pfai_bitset_deleted(set, nbits, first);
	}
	return empty;
}

/* The smallest element; PFAI_NONE if there is none, or if the summary levels promise one that the set does not have. */
size_t pfai_bitset_first(const pfai_word *set, size_t nbits);

/* The smallest element >= from, or PFAI_NONE as above. */
size_t pfai_bitset_next(const pfai_word *set, size_t nbits, size_t from);

/* How many elements, or PFAI_NONE if the summary levels do not agree with the set. O(nbits / word bits). */
size_t pfai_bitset_verify(const pfai_word *set, size_t nbits);

#endif
