/* SPDX-License-Identifier: MIT
 *
 * The copy helper: every size of a few lines and around its limits, at every place of a larger buffer, and nothing beside.
 */
#include "unit.h"

#include <pfa/copy.h>

#include <stdlib.h>
#include <string.h>

enum { LINE = 64, LINES = 3 * PFA_COPY_STREAM_BYTES / LINE };

static void fill(unsigned char *bytes, size_t nr, uint64_t seed)
{
	struct rng rng = {seed};
	for (size_t i = 0; i < nr; i++)
		bytes[i] = (unsigned char)rng_next(&rng);
}

static void test_exactly_the_range(void **state)
{
	static _Alignas(64) unsigned char from[LINES * LINE], to[LINES * LINE], before[LINES * LINE];
	struct rng rng = {7};
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		size_t lines = rng_one_in(&rng, 4) ? PFA_COPY_STREAM_BYTES / LINE - 1 + rng_below(&rng, 3) : rng_below(&rng, LINES + 1);
		size_t bytes = lines * LINE;
		size_t src = rng_below(&rng, LINES - lines + 1) * LINE, dst = rng_below(&rng, LINES - lines + 1) * LINE;
		fill(from, sizeof(from), i);
		fill(to, sizeof(to), ~(uint64_t)i);
		memcpy(before, to, sizeof(to));
		pfa_copy_frames(to + dst, from + src, bytes);
		assert_memory_equal(to + dst, from + src, bytes);
		assert_memory_equal(to, before, dst);
		assert_memory_equal(to + dst + bytes, before + dst + bytes, sizeof(to) - dst - bytes);
	}
}

static void test_large_blocks(void **state)
{
	const size_t bytes = (size_t)2 << 20;
	unsigned char *from = aligned_alloc(64, bytes), *to = aligned_alloc(64, bytes + 64);
	(void)state;
	assert_non_null(from);
	assert_non_null(to);
	fill(from, bytes, 1);
	memset(to, 0x5a, bytes + 64);
	pfa_copy_frames(to, from, bytes);
	assert_memory_equal(to, from, bytes);
	for (size_t i = bytes; i < bytes + 64; i++)
		assert_int_equal(to[i], 0x5a);
	free(from);
	free(to);
}

static const struct unit_test tests[] = {
	TEST(test_exactly_the_range),
	TEST(test_large_blocks),
};
UNIT_MAIN(tests)
