/* SPDX-License-Identifier: MIT */
#include "bitset.h"

static inline size_t bitset_level_words(size_t nbits)
{
	return (nbits >> PFAI_WORD_SHIFT) + ((nbits & PFAI_WORD_MASK) != 0);
}

size_t pfai_bitset_words(size_t nbits)
{
	size_t words = 0, level;
	do {
		level = bitset_level_words(nbits);
		words += level;
		nbits = level;
	} while (level > 1);
	return words;
}

void pfai_bitset_added(pfai_word *set, size_t nbits, size_t i)
{
	for (;;) {
		size_t level = bitset_level_words(nbits);
		if (level == 1)
			return;
		set += level;
		nbits = level;
		i >>= PFAI_WORD_SHIFT;
		pfai_word *word = &set[i >> PFAI_WORD_SHIFT], old = *word;
		*word = old | (pfai_word)1 << (i & PFAI_WORD_MASK);
		if (old)
			return; /* the levels above know already */
	}
}

bool pfai_bitset_deleted(pfai_word *set, size_t nbits, size_t i)
{
	for (;;) {
		size_t level = bitset_level_words(nbits);
		if (level == 1)
			return true;
		set += level;
		nbits = level;
		i >>= PFAI_WORD_SHIFT;
		pfai_word *word = &set[i >> PFAI_WORD_SHIFT];
		*word &= ~((pfai_word)1 << (i & PFAI_WORD_MASK));
		if (*word)
			return false;
	}
}

/* Where the levels of a set begin. 2^31 bits make 6 levels of 64-bit words and 7 of 32-bit words. */
struct bitset_levels {
	const pfai_word *start[8];
	size_t words[8];
	unsigned nr;
};

static inline void bitset_find_levels(const pfai_word *set, size_t nbits, struct bitset_levels *levels)
{
	levels->nr = 0;
	do {
		nbits = bitset_level_words(nbits);
		levels->start[levels->nr] = set;
		levels->words[levels->nr] = nbits;
		levels->nr++;
		set += nbits;
	} while (nbits > 1);
}

/* From an element of level `level` (a non-empty word below) down to the smallest element of the set under it. */
static inline size_t bitset_descend(const struct bitset_levels *levels, unsigned level, size_t i)
{
	while (level--) {
		if (PFAI_UNLIKELY(i >= levels->words[level] || !levels->start[level][i]))
			return PFAI_NONE; /* damaged */
		i = i << PFAI_WORD_SHIFT | pfai_ctz(levels->start[level][i]);
	}
	return i;
}

size_t pfai_bitset_first(const pfai_word *set, size_t nbits)
{
	struct bitset_levels levels;
	bitset_find_levels(set, nbits, &levels);
	return bitset_descend(&levels, levels.nr, 0);
}

size_t pfai_bitset_next(const pfai_word *set, size_t nbits, size_t from)
{
	struct bitset_levels levels;
	if (from >= nbits)
		return PFAI_NONE;
	pfai_word near = set[from >> PFAI_WORD_SHIFT] & PFAI_ONES << (from & PFAI_WORD_MASK);
	if (near) /* often, where many are gone through in turn */
		return (from & ~(size_t)PFAI_WORD_MASK) | pfai_ctz(near);
	bitset_find_levels(set, nbits, &levels);
	for (unsigned level = 0; level < levels.nr; level++) {
		size_t at = from >> PFAI_WORD_SHIFT;
		if (at >= levels.words[level])
			return PFAI_NONE;
		pfai_word rest = levels.start[level][at] & PFAI_ONES << (from & PFAI_WORD_MASK);
		if (rest)
			return bitset_descend(&levels, level, at << PFAI_WORD_SHIFT | pfai_ctz(rest));
		from = at + 1; /* nothing in this word: the next one, seen from the level above */
	}
	return PFAI_NONE;
}

size_t pfai_bitset_verify(const pfai_word *set, size_t nbits)
{
	struct bitset_levels levels;
	size_t count = 0;
	bitset_find_levels(set, nbits, &levels);
	for (unsigned level = 0; level < levels.nr; level++) {
		for (size_t i = 0; i < levels.words[level]; i++) {
			pfai_word word = levels.start[level][i];
			if (level == 0)
				count += pfai_popcount(word);
			if (level + 1 < levels.nr && pfai_map_test(levels.start[level + 1], i) != (word != 0))
				return PFAI_NONE;
		}
	}
	return count;
}
