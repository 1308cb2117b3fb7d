/* SPDX-License-Identifier: MIT
 *
 * From within: blocks inside one leaf of the free map against the definition, for all patterns of 16 frames and for
 * random leaves of every size.
 */
#include "unit.h"

#include <string.h>

#include "leaf.h"

enum { MAX_WORDS = 512 / PFAI_WORD_BITS };

/* Is [at, at + 2^order) free? */
static bool naive_free(const pfai_word *words, unsigned at, unsigned order)
{
	for (unsigned i = at; i < at + (1u << order); i++)
		if (pfai_map_test(words, i))
			return false;
	return true;
}

static int naive_find(const pfai_word *words, unsigned frames, unsigned order, unsigned from)
{
	for (unsigned at = 0; at + (1u << order) <= frames; at += 1u << order)
		if (at >= from && naive_free(words, at, order))
			return (int)at;
	return -1;
}

static int naive_fold(const pfai_word *words, unsigned frames, unsigned limit)
{
	for (int order = (int)limit; order >= 0; order--)
		if ((1u << order) <= frames && naive_find(words, frames, (unsigned)order, 0) >= 0)
			return order;
	return -1;
}

static unsigned naive_grow(const pfai_word *words, unsigned frames, unsigned at, unsigned order, unsigned limit)
{
	while (order < limit && (2u << order) <= frames && naive_free(words, at & ~((2u << order) - 1), order + 1))
		order++;
	return order;
}

static void naive_count(const pfai_word *words, unsigned frames, unsigned limit, size_t counts[10])
{
	for (unsigned at = 0; at < frames;) {
		unsigned order = 0;
		if (!naive_free(words, at, 0)) {
			at++;
			continue;
		}
		while (order < limit && at % (2u << order) == 0 && at + (2u << order) <= frames &&
		       naive_free(words, at, order + 1))
			order++;
		counts[order]++;
		at += 1u << order;
	}
}

static void compare(const pfai_word *words, unsigned nr_words, unsigned limit)
{
	const unsigned frames = nr_words * PFAI_WORD_BITS;
	size_t counts[10] = {0}, expected[10] = {0};
	assert_int_equal(pfai_leaf_fold(words, nr_words, limit), naive_fold(words, frames, limit));
	pfai_leaf_count(words, nr_words, limit, counts);
	naive_count(words, frames, limit, expected);
	assert_memory_equal(counts, expected, sizeof(counts));
	for (unsigned order = 0; order <= limit; order++) {
		int at = pfai_leaf_find(words, nr_words, order, 0);
		assert_int_equal(at, naive_find(words, frames, order, 0));
		if (at >= 0) {
			assert_int_equal(pfai_leaf_grow(words, (unsigned)at, order, limit),
			                 naive_grow(words, frames, (unsigned)at, order, limit));
			unsigned from = (unsigned)at + (1u << order);
			if (from < frames)
				assert_int_equal(pfai_leaf_find(words, nr_words, order, from),
				                 naive_find(words, frames, order, from));
		}
	}
}

static unsigned leaf_order_of_words(unsigned nr_words)
{
	unsigned order = PFAI_WORD_SHIFT;
	while (1u << (order - PFAI_WORD_SHIFT) < nr_words)
		order++;
	return order;
}

static void test_all_patterns_of_16(void **state)
{
	(void)state;
	const unsigned nr_words = 64 / PFAI_WORD_BITS;
	for (unsigned pattern = 0; pattern < 65536; pattern++) {
		pfai_word words[MAX_WORDS];
		const unsigned shift = pattern * 16 % PFAI_WORD_BITS, word = pattern % nr_words;
		memset(words, 0xFF, sizeof(words));
		words[word] = ~((pfai_word)pattern << shift);
		compare(words, nr_words, 6);
		if (pattern % 8 == 0)
			compare(words, nr_words, pattern / 8 % 6);
	}
}

static void random_leaf(struct rng *rng, pfai_word words[MAX_WORDS], unsigned nr_words)
{
	const unsigned frames = nr_words * PFAI_WORD_BITS;
	memset(words, rng_one_in(rng, 2) ? 0 : 0xFF, nr_words * sizeof(words[0]));
	for (size_t i = rng_below(rng, 12); i--;) {
		unsigned order = (unsigned)rng_below(rng, 9);
		while (1u << order > frames)
			order--;
		pfai_map_fill(words, rng_below(rng, frames >> order) << order, (size_t)1 << order, rng_one_in(rng, 2));
	}
}

static void test_random_leaves(void **state)
{
	(void)state;
	struct rng rng = {11};
	for (unsigned nr_words = 64 / PFAI_WORD_BITS; nr_words <= MAX_WORDS; nr_words *= 2) {
		for (unsigned i = 0; i < 4000; i++) {
			pfai_word words[MAX_WORDS];
			random_leaf(&rng, words, nr_words);
			compare(words, nr_words, leaf_order_of_words(nr_words) - (unsigned)rng_below(&rng, 3));
		}
	}
}

static void test_grab(void **state)
{
	(void)state;
	struct rng rng = {12};
	for (unsigned nr_words = 64 / PFAI_WORD_BITS; nr_words <= MAX_WORDS; nr_words *= 2) {
		const unsigned frames = nr_words * PFAI_WORD_BITS, leaf_order = leaf_order_of_words(nr_words);
		for (unsigned i = 0; i < 4000; i++) {
			pfai_word words[MAX_WORDS], expected[MAX_WORDS];
			uint32_t out[512];
			const unsigned order = (unsigned)rng_below(&rng, leaf_order + 1);
			const unsigned want = 1 + (unsigned)rng_below(&rng, frames >> order);
			random_leaf(&rng, words, nr_words);
			memcpy(expected, words, sizeof(words));
			unsigned got = pfai_leaf_grab(words, nr_words, order, want, 1000, out), nr = 0;
			int at;
			while (nr < want && (at = naive_find(expected, frames, order, 0)) >= 0) {
				assert_true(nr < got);
				assert_int_equal(out[nr++], 1000 + (unsigned)at);
				pfai_map_fill(expected, (size_t)at, (size_t)1 << order, true);
			}
			assert_int_equal(got, nr);
			assert_memory_equal(words, expected, nr_words * sizeof(words[0]));
		}
	}
}

static const struct unit_test tests[] = {
	TEST(test_all_patterns_of_16), TEST(test_random_leaves), TEST(test_grab),
};
UNIT_MAIN(tests)
