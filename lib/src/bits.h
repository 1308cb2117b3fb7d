/* SPDX-License-Identifier: MIT
 *
 * Layer 0: bits of one word. Without compiler library calls on any target (no __popcountdi2).
 */
#ifndef PFAI_BITS_H
#define PFAI_BITS_H

#include "compiler.h"

static inline unsigned pfai_ctz(pfai_word w)
{
	return PFAI_WORD_SHIFT == 6 ? (unsigned)__builtin_ctzll(w) : (unsigned)__builtin_ctz((unsigned)w);
}

static inline unsigned pfai_ctz32(uint32_t w)
{
	return (unsigned)__builtin_ctz(w);
}

static inline unsigned pfai_log2(pfai_word w) /* of the highest set bit; w != 0 */
{
	return PFAI_WORD_SHIFT == 6 ? 63u - (unsigned)__builtin_clzll(w) : 31u - (unsigned)__builtin_clz((unsigned)w);
}

static inline unsigned pfai_log2_32(uint32_t w)
{
	return 31u - (unsigned)__builtin_clz(w);
}

/* Sideways addition: baseline x86-64 has no popcnt, and libgcc's helper is an external. */
static inline unsigned pfai_popcount(pfai_word w)
{
	w -= (w >> 1) & (PFAI_ONES / 3);
	w = (w & (PFAI_ONES / 5)) + ((w >> 2) & (PFAI_ONES / 5));
	w = (w + (w >> 4)) & (PFAI_ONES / 17);
	return (unsigned)((pfai_word)(w * (PFAI_ONES / 255)) >> (PFAI_WORD_BITS - 8));
}

/* nr low bits set; 0 <= nr <= word bits. */
static inline pfai_word pfai_low_bits(unsigned nr)
{
	return nr >= PFAI_WORD_BITS ? PFAI_ONES : ((pfai_word)1 << nr) - 1;
}

/* One step of the fold: from "block of order starts here" to the same for order + 1. */
static inline pfai_word pfai_fold_step(pfai_word blocks, unsigned order)
{
	static const pfai_word aligned[6] = {
		PFAI_ONES / 3, PFAI_ONES / 15, PFAI_ONES / 255, PFAI_ONES / 65535,
		PFAI_WORD_SHIFT == 6 ? PFAI_ONES / 0xFFFFFFFFu : 1, 1,
	};
	return blocks & (blocks >> (1u << order)) & aligned[order];
}

/* The aligned blocks of 2^order set bits in w, marked at their first bit; order < word shift. */
static inline pfai_word pfai_fold(pfai_word w, unsigned order)
{
	for (unsigned o = 0; o < order; o++)
		w = pfai_fold_step(w, o);
	return w;
}

/* The order of the largest aligned block of set bits in w, which are neither none nor all. Whether there are pairs is much the same for
 * all words of a zone that is nearly full, or nearly empty; beyond that no branch asks, since where it ends cannot be predicted. */
static inline unsigned pfai_fold_order(pfai_word w)
{
	pfai_word pairs = pfai_fold_step(w, 0);
	if (!pairs)
		return 0;
	pfai_word fours = pfai_fold_step(pairs, 1), eights = pfai_fold_step(fours, 2);
	pfai_word sixteens = pfai_fold_step(eights, 3), rest = PFAI_WORD_SHIFT == 6 ? pfai_fold_step(sixteens, 4) : 0;
	return 1u + (fours != 0) + (eights != 0) + (sixteens != 0) + (rest != 0);
}

/* Sets or clears bits [first, first + nr) of a map. O(nr / word bits). */
static inline void pfai_map_fill(pfai_word *map, size_t first, size_t nr, bool value)
{
	while (nr) {
		unsigned bit = (unsigned)(first & PFAI_WORD_MASK);
		size_t here = PFAI_WORD_BITS - bit;
		if (here > nr)
			here = nr;
		pfai_word mask = pfai_low_bits((unsigned)here) << bit;
		if (value)
			map[first >> PFAI_WORD_SHIFT] |= mask;
		else
			map[first >> PFAI_WORD_SHIFT] &= ~mask;
		first += here;
		nr -= here;
	}
}

/* Are all bits [first, first + nr) equal to value? */
static inline bool pfai_map_is(const pfai_word *map, size_t first, size_t nr, bool value)
{
	while (nr) {
		unsigned bit = (unsigned)(first & PFAI_WORD_MASK);
		size_t here = PFAI_WORD_BITS - bit;
		if (here > nr)
			here = nr;
		pfai_word mask = pfai_low_bits((unsigned)here) << bit;
		if ((map[first >> PFAI_WORD_SHIFT] & mask) != (value ? mask : 0))
			return false;
		first += here;
		nr -= here;
	}
	return true;
}

/* The same for whole words: first and nr are multiples of a word's bits. */
static inline void pfai_words_fill(pfai_word *map, size_t first, size_t nr, bool value)
{
	size_t words = nr >> PFAI_WORD_SHIFT;
	pfai_word *at = map + (first >> PFAI_WORD_SHIFT), *end = at + words, word = value ? PFAI_ONES : 0;
	if (words >= 64) {
		memset(at, value ? 0xFF : 0, words * sizeof(*at));
		return;
	}
	/* By four: too few for a call, which a plain loop becomes. */
	for (; end - at >= 4; at += 4)
		at[0] = at[1] = at[2] = at[3] = word;
	while (at < end)
		*at++ = word;
}

static inline bool pfai_words_are(const pfai_word *map, size_t first, size_t nr, bool value)
{
	size_t rest = nr >> PFAI_WORD_SHIFT & 7;
	const pfai_word *at = map + (first >> PFAI_WORD_SHIFT), *end = at + (nr >> PFAI_WORD_SHIFT) - rest;
	pfai_word all = value ? PFAI_ONES : 0;
	for (; at != end; at += 8) {
		pfai_word here = value ? at[0] & at[1] & at[2] & at[3] : at[0] | at[1] | at[2] | at[3];
		all = value ? all & here & (at[4] & at[5] & at[6] & at[7]) : all | here | (at[4] | at[5] | at[6] | at[7]);
	}
	for (; rest; rest--, at++)
		all = value ? all & *at : all | *at;
	return all == (value ? PFAI_ONES : 0);
}

/* pfai_map_is() of a block: its first is a multiple of nr, which is a power of two. */
static inline bool pfai_map_block_is(const pfai_word *map, size_t first, size_t nr, bool value)
{
	if (nr >= PFAI_WORD_BITS)
		return pfai_words_are(map, first, nr, value);
	pfai_word mask = pfai_low_bits((unsigned)nr) << (first & PFAI_WORD_MASK);
	return (map[first >> PFAI_WORD_SHIFT] & mask) == (value ? mask : 0);
}

static inline bool pfai_map_test(const pfai_word *map, size_t i)
{
	return map[i >> PFAI_WORD_SHIFT] >> (i & PFAI_WORD_MASK) & 1;
}

/* The largest order that pfn is a multiple of and that fits into nr frames: one step of the natural decomposition. */
static inline unsigned pfai_natural_order(size_t pfn, size_t nr, unsigned limit)
{
	unsigned order = pfai_log2(nr);
	if (pfn && pfai_ctz(pfn) < order)
		order = pfai_ctz(pfn);
	return order < limit ? order : limit;
}

#endif
