/* SPDX-License-Identifier: MIT */
#include "leaf.h"

/* Largest aligned run of entirely free words: bit i of whole says that word i is free. */
static unsigned leaf_fold_words(uint32_t whole, unsigned nr_words, unsigned limit)
{
	unsigned order = PFAI_WORD_SHIFT;
	for (unsigned step = 1; step < nr_words && order < limit; step <<= 1) {
		uint32_t pairs = whole & whole >> step, aligned = 0;
		for (unsigned i = 0; i < nr_words; i += 2 * step)
			aligned |= 1u << i;
		whole = pairs & aligned;
		if (!whole)
			break;
		order++;
	}
	return order;
}

int pfai_leaf_fold(const pfai_word *words, unsigned nr_words, unsigned limit)
{
	pfai_word blocks[PFAI_WORD_BITS / 2];
	uint32_t whole = 0;
	pfai_word any = 0;
	for (unsigned i = 0; i < nr_words; i++) {
		blocks[i] = ~words[i];
		any |= blocks[i];
		whole |= (uint32_t)(words[i] == 0) << i;
	}
	if (!any)
		return -1;
	if (whole && limit >= PFAI_WORD_SHIFT)
		return (int)leaf_fold_words(whole, nr_words, limit);
	for (unsigned order = 0; order < limit; order++) {
		any = 0;
		for (unsigned i = 0; i < nr_words; i++) {
			blocks[i] = pfai_fold_step(blocks[i], order);
			any |= blocks[i];
		}
		if (!any)
			return (int)order;
		if (order + 1 == PFAI_WORD_SHIFT - 1)
			return (int)(order + 1 < limit ? order + 1 : limit);
	}
	return (int)limit;
}

void pfai_leaf_count(const pfai_word *words, unsigned nr_words, unsigned limit, size_t counts[])
{
	pfai_word wholes = 0; /* one bit a word: it is entirely free */
	for (unsigned i = 0; i < nr_words; i++) {
		pfai_word blocks = ~words[i];
		if (words[i] == 0 && limit >= PFAI_WORD_SHIFT) {
			wholes |= (pfai_word)1 << i;
			continue;
		}
		for (unsigned order = 0; blocks; order++) {
			bool last = order == limit || order + 1 == PFAI_WORD_SHIFT;
			pfai_word larger = last ? 0 : pfai_fold_step(blocks, order);
			counts[order] += pfai_popcount(blocks) - 2 * pfai_popcount(larger);
			blocks = larger;
		}
	}
	for (unsigned order = 0; wholes; order++) {
		bool last = order + PFAI_WORD_SHIFT == limit || order + 1 == PFAI_WORD_SHIFT;
		pfai_word larger = last ? 0 : pfai_fold_step(wholes, order);
		counts[order + PFAI_WORD_SHIFT] += pfai_popcount(wholes) - 2 * pfai_popcount(larger);
		wholes = larger;
	}
}

static inline bool leaf_words_free(const pfai_word *words, unsigned nr)
{
	pfai_word used = 0;
	for (unsigned i = 0; i < nr; i++)
		used |= words[i];
	return !used;
}

int pfai_leaf_find(const pfai_word *words, unsigned nr_words, unsigned order, unsigned from)
{
	if (order >= PFAI_WORD_SHIFT) {
		unsigned step = 1u << (order - PFAI_WORD_SHIFT);
		unsigned first = (from + (step << PFAI_WORD_SHIFT) - 1) >> order << (order - PFAI_WORD_SHIFT);
		for (unsigned i = first; i < nr_words; i += step)
			if (leaf_words_free(words + i, step))
				return (int)(i << PFAI_WORD_SHIFT);
		return -1;
	}
	for (unsigned i = from >> PFAI_WORD_SHIFT; i < nr_words; i++) {
		pfai_word blocks = pfai_fold(~words[i], order);
		if (i == from >> PFAI_WORD_SHIFT)
			blocks &= PFAI_ONES << (from & PFAI_WORD_MASK);
		if (blocks)
			return (int)(i << PFAI_WORD_SHIFT | pfai_ctz(blocks));
	}
	return -1;
}

unsigned pfai_leaf_grab(pfai_word *words, unsigned nr_words, unsigned order, unsigned want, uint32_t base,
                        uint32_t out[])
{
	unsigned got = 0;
	if (order >= PFAI_WORD_SHIFT) {
		unsigned step = 1u << (order - PFAI_WORD_SHIFT);
		for (unsigned i = 0; i < nr_words && got < want; i += step) {
			if (!leaf_words_free(words + i, step))
				continue;
			for (unsigned j = 0; j < step; j++)
				words[i + j] = PFAI_ONES;
			out[got++] = base + (i << PFAI_WORD_SHIFT);
		}
		return got;
	}
	pfai_word block = pfai_low_bits(1u << order);
	/* Often the leaf is full but for a frame: where that is nobody can predict, so no branch asks. */
	uint32_t open = 0;
	for (unsigned i = 0; i < nr_words; i++)
		open |= (uint32_t)(words[i] != PFAI_ONES) << i;
	for (; open && got < want; open &= open - 1) {
		unsigned i = pfai_ctz32(open);
		pfai_word used = words[i];
		uint32_t at = base + (i << PFAI_WORD_SHIFT);
		pfai_word blocks = pfai_fold(~used, order);
		while (blocks && got < want) {
			unsigned bit = pfai_ctz(blocks);
			blocks &= blocks - 1;
			used |= block << bit;
			out[got++] = at + bit;
		}
		words[i] = used;
	}
	return got;
}

unsigned pfai_leaf_grow(const pfai_word *words, unsigned at, unsigned order, unsigned limit)
{
	pfai_word word = words[at >> PFAI_WORD_SHIFT];
	unsigned bit = at & PFAI_WORD_MASK;
	while (order < limit && order < PFAI_WORD_SHIFT) {
		unsigned parent = bit & ~((2u << order) - 1);
		if (word & pfai_low_bits(2u << order) << parent)
			return order;
		bit = parent;
		order++;
	}
	while (order < limit) {
		unsigned step = 1u << (order - PFAI_WORD_SHIFT), parent = at >> (order + 1) << (order + 1);
		if (!leaf_words_free(words + (parent >> PFAI_WORD_SHIFT), 2 * step))
			return order;
		order++;
	}
	return order;
}
