/* SPDX-License-Identifier: MIT
 *
 * ChaCha8 against published vectors (draft-strombergson-chacha-test-vectors-01, 8 rounds, 256 bits of key), and the numbers
 * that are drawn from it.
 */
#include "unit.h"

#include <string.h>

#include "prng.h"

static void stream(const uint32_t key[8], const uint32_t nonce[2], uint32_t nr_blocks, uint8_t out[])
{
	for (uint32_t i = 0; i < nr_blocks; i++) {
		const uint32_t counter[2] = {i, 0};
		uint32_t blocks[16 * PFAI_PRNG_LANES], block[16];
		/* each of the blocks that are made at once says the same about its number */
		const uint32_t lane = i % PFAI_PRNG_LANES, begin[2] = {i - lane, 0};
		pfai_chacha8(key, counter, nonce, blocks);
		for (unsigned k = 0; k < 16; k++)
			block[k] = blocks[PFAI_PRNG_LANES * k];
		pfai_chacha8(key, begin, nonce, blocks);
		for (unsigned k = 0; k < 16; k++)
			assert_int_equal(block[k], blocks[PFAI_PRNG_LANES * k + lane]);
		for (unsigned k = 0; k < 64; k++)
			out[64 * i + k] = (uint8_t)(block[k / 4] >> (8 * (k % 4)));
	}
}

static const struct {
	uint32_t key0;
	const char *stream;
} vectors[] = {
	{0, "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e"
	    "984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42"
	    "d2aefa0deaa5c151bf0adb6c01f2a5adc0fd581259f9a2aadcf20f8fd566a26b"
	    "5032ec38bbc5da98ee0c6f568b872a65a08abf251deb21bb4b56e5d8821e68aa"},
	{1, "cf5ee9a0494aa9613e05d5ed725b804b12f4a465ee635acc3a311de8740489ea"
	    "289d04f43c7518db56eb4433e498a1238cd8464d3763ddbb9222ee3bd8fae3c8"
	    "b4355a7d93dd8867089ee643558b95754efa2bd1a8a1e2d75bcdb32015542638"
	    "291941feb49965587c4fdfe219cf0ec132a6cd4dc067392e67982fe53278c0b4"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const uint32_t key[8] = {vectors[i].key0}, nonce[2] = {0};
		uint8_t out[128];
		char text[257];
		stream(key, nonce, 2, out);
		for (unsigned k = 0; k < 128; k++)
			snprintf(text + 2 * k, 3, "%02x", out[k]);
		assert_string_equal(text, vectors[i].stream);
	}
}

/* The stream's 16-bit numbers come out each once, blocks after blocks, and the counter carries: within what is made at once,
 * and after it. */
static void test_draws(void **state)
{
	(void)state;
	const uint32_t key[8] = {7, 1, 2, 3, 4, 5, 6, 8}, nonce[2] = {42, 0};
	for (uint32_t before = 0; before <= PFAI_PRNG_LANES; before++) {
		struct pfai_prng r = {.counter = {0u - before, 0}};
		for (unsigned turn = 0; turn < 3; turn++) {
			uint32_t expected[16 * PFAI_PRNG_LANES], low = PFAI_PRNG_LANES * turn - before;
			const uint32_t counter[2] = {low, PFAI_PRNG_LANES * turn >= before && before};
			pfai_chacha8(key, counter, nonce, expected);
			for (uint32_t lane = 0; lane < PFAI_PRNG_LANES; lane++) {
				uint32_t alone[16 * PFAI_PRNG_LANES];
				const uint32_t one[2] = {low + lane, PFAI_PRNG_LANES * turn + lane >= before && before};
				pfai_chacha8(key, one, nonce, alone);
				for (unsigned k = 0; k < 16; k++)
					assert_int_equal(expected[PFAI_PRNG_LANES * k + lane], alone[PFAI_PRNG_LANES * k]);
			}
			for (unsigned i = PFAI_PRNG_NUMBERS; i--;)
				assert_int_equal(pfai_prng_16(&r, key, 42), expected[i / 2] >> (16 * (i % 2)) & 0xFFFF);
		}
		assert_int_equal(r.counter[0], 3 * PFAI_PRNG_LANES - before);
		assert_int_equal(r.counter[1], before > 0);
		/* a damaged count reads nothing outside the blocks */
		r.left = 999;
		(void)pfai_prng_16(&r, key, 42);
		assert_int_equal(r.left, PFAI_PRNG_NUMBERS - 1);
	}
}

/* No value is drawn more often than its share by more than chance allows, whatever the limit. */
static void test_below(void **state)
{
	(void)state;
	static const uint32_t limits[] = {1, 2, 3, 7, 256, 257, 300, 512};
	static unsigned count[512];
	const uint32_t key[8] = {1};
	struct pfai_prng r = {0};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const unsigned each = 2000;
		memset(count, 0, sizeof(count));
		for (unsigned k = 0; k < each * limits[i]; k++) {
			uint32_t value = i % 2 ? pfai_prng_below_32(&r, key, 0, limits[i]) : pfai_prng_below(&r, key, 0, limits[i]);
			assert_true(value < limits[i]);
			count[value]++;
		}
		for (unsigned v = 0; v < limits[i]; v++) /* six standard deviations */
			assert_true(count[v] > each - 270 && count[v] < each + 270);
	}
}

static const struct unit_test tests[] = {TEST(test_vectors), TEST(test_draws), TEST(test_below)};
UNIT_MAIN(tests)
