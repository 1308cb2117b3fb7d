/* SPDX-License-Identifier: MIT
 *
 * From within: the summarised bitset against an array of bools, exhaustive for small sizes.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "bitset.h"

enum { MAX_BITS = 70000 };
static bool naive[MAX_BITS];

static pfai_word *new_set(size_t nbits)
{
	pfai_word *set = calloc(pfai_bitset_words(nbits), sizeof(*set));
	assert_non_null(set);
	memset(naive, 0, sizeof(naive));
	return set;
}

static size_t naive_next(size_t nbits, size_t from)
{
	while (from < nbits && !naive[from])
		from++;
	return from < nbits ? from : PFAI_NONE;
}

static size_t naive_count(size_t nbits)
{
	size_t count = 0;
	for (size_t i = 0; i < nbits; i++)
		count += naive[i];
	return count;
}

static void compare(const pfai_word *set, size_t nbits, size_t from)
{
	assert_int_equal(pfai_bitset_next(set, nbits, from), naive_next(nbits, from));
	size_t first = naive_next(nbits, 0);
	if (first != PFAI_NONE)
		assert_int_equal(pfai_bitset_first(set, nbits), first);
}

/* Every size up to a few words and around the borders of the levels, every pair of elements. */
static void test_pairs(void **state)
{
	(void)state;
	for (size_t nbits = 1; nbits <= 200; nbits += nbits < 70 || nbits > 126 ? 1 : 7) {
		pfai_word *set = new_set(nbits);
		for (size_t a = 0; a < nbits; a++) {
			pfai_bitset_add(set, nbits, a);
			naive[a] = true;
			for (size_t b = a; b < nbits; b += 1 + nbits / 16) {
				pfai_bitset_add(set, nbits, b);
				naive[b] = true;
				for (size_t from = 0; from <= nbits; from += 1 + nbits / 9)
					compare(set, nbits, from);
				assert_int_equal(pfai_bitset_verify(set, nbits), a == b ? 1 : 2);
				if (a != b)
					assert_false(pfai_bitset_del(set, nbits, b));
				naive[b] = a == b;
			}
			assert_true(pfai_bitset_del(set, nbits, a));
			naive[a] = false;
			assert_int_equal(pfai_bitset_next(set, nbits, 0), PFAI_NONE);
			assert_int_equal(pfai_bitset_verify(set, nbits), 0);
		}
		free(set);
	}
}

static void test_random(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 63, 64, 65, 1023, 1024, 1025, 4095, 4096, 4097, 32769, MAX_BITS};
	struct rng rng = {3};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		const size_t nbits = sizes[s];
		pfai_word *set = new_set(nbits);
		for (unsigned step = 0; step < 4000; step++) {
			size_t i = rng_below(&rng, nbits);
			if (step % 1000 < 600 ? rng_one_in(&rng, 4) : !rng_one_in(&rng, 4)) {
				naive[i] = false;
				/* emptiness is what the last level says */
				bool empty = pfai_bitset_del(set, nbits, i);
				if (step % 16 == 0 || nbits < 100)
					assert_int_equal(empty, naive_count(nbits) == 0);
			} else {
				pfai_bitset_add(set, nbits, i);
				naive[i] = true;
			}
			assert_int_equal(pfai_bitset_test(set, i), naive[i]);
			if (step % 16 == 0)
				compare(set, nbits, rng_below(&rng, nbits + 1));
			if (step % 100 == 99) { /* a run, wherever it begins and ends */
				const size_t nr = rng_below(&rng, nbits - i < 300 ? nbits - i + 1 : 300);
				const size_t before = naive_count(nbits);
				const bool add = step % 200 == 199;
				bool empty = false;
				if (add)
					pfai_bitset_add_run(set, nbits, i, nr);
				else
					empty = pfai_bitset_del_run(set, nbits, i, nr);
				memset(naive + i, add, nr * sizeof(naive[0]));
				assert_int_equal(pfai_bitset_verify(set, nbits), naive_count(nbits));
				assert_int_equal(empty, before > 0 && naive_count(nbits) == 0);
			}
		}
		assert_int_equal(pfai_bitset_verify(set, nbits), naive_count(nbits));
		free(set);
	}
}

/* A wrong bit in a summary is seen. */
static void test_verify_sees(void **state)
{
	(void)state;
	const size_t nbits = 5000, words = pfai_bitset_words(nbits), level0 = (nbits + PFAI_WORD_BITS - 1) / PFAI_WORD_BITS;
	pfai_word *set = new_set(nbits);
	size_t seen = 0;
	for (size_t i = 0; i < nbits; i += 100)
		pfai_bitset_add(set, nbits, i);
	assert_int_equal(pfai_bitset_verify(set, nbits), 50);
	for (size_t w = level0; w < words; w++) {
		for (unsigned bit = 0; bit < PFAI_WORD_BITS; bit++) {
			if ((w - level0) * PFAI_WORD_BITS + bit >= level0 && w == level0)
				continue; /* past the words of the level below: it stands for nothing */
			set[w] ^= (pfai_word)1 << bit;
			if ((w - level0) * PFAI_WORD_BITS + bit < level0) {
				assert_int_equal(pfai_bitset_verify(set, nbits), PFAI_NONE);
				seen++;
			}
			set[w] ^= (pfai_word)1 << bit;
		}
	}
	assert_int_equal(pfai_bitset_verify(set, nbits), 50);
	assert_int_equal(seen, level0); /* each bit of the first summary */
	free(set);
}

/* Bits of one word: the arithmetic that everything rests on. */
static void test_bits(void **state)
{
	(void)state;
	struct rng rng = {9};
	for (unsigned i = 0; i < 20000; i++) {
		pfai_word w = (pfai_word)rng_next(&rng) & (pfai_word)rng_next(&rng);
		unsigned count = 0, low = PFAI_WORD_BITS, high = 0;
		for (unsigned bit = 0; bit < PFAI_WORD_BITS; bit++) {
			if (!(w >> bit & 1))
				continue;
			count++;
			high = bit;
			low = low == PFAI_WORD_BITS ? bit : low;
		}
		assert_int_equal(pfai_popcount(w), count);
		if (w) {
			assert_int_equal(pfai_ctz(w), low);
			assert_int_equal(pfai_log2(w), high);
		}
		for (unsigned order = 0; order < PFAI_WORD_SHIFT; order++) {
			pfai_word expected = 0;
			for (unsigned bit = 0; bit < PFAI_WORD_BITS; bit += 1u << order) {
				pfai_word mask = pfai_low_bits(1u << order) << bit;
				if ((w & mask) == mask)
					expected |= (pfai_word)1 << bit;
			}
			assert_true(pfai_fold(w, order) == expected);
		}
	}
	assert_true(pfai_low_bits(0) == 0 && pfai_low_bits(PFAI_WORD_BITS) == PFAI_ONES);
}

/* Runs cut into blocks: the natural decomposition, for every start and length. */
static void test_natural_order(void **state)
{
	(void)state;
	for (size_t start = 0; start < 130; start++) {
		for (size_t nr = 1; nr < 130; nr++) {
			for (unsigned limit = 0; limit < 8; limit++) {
				unsigned order = 0;
				while (order < limit && start % (2u << order) == 0 && (2u << order) <= nr)
					order++;
				assert_int_equal(pfai_natural_order(start, nr, limit), order);
			}
		}
	}
}

static const struct unit_test tests[] = {
	TEST(test_pairs), TEST(test_random), TEST(test_verify_sees), TEST(test_bits), TEST(test_natural_order),
};
UNIT_MAIN(tests)
