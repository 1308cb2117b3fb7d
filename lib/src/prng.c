/* SPDX-License-Identifier: MIT */
#include "prng.h"

/* The same word of four blocks: where the cpu has vectors, four cost hardly more than one. */
typedef uint32_t prng_lanes __attribute__((vector_size(16)));

#define PRNG_ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))

PFAI_ALWAYS_INLINE void prng_quarter(prng_lanes *a, prng_lanes *b, prng_lanes *c, prng_lanes *d)
{
	*a += *b;
	*d = PRNG_ROTATE(*d ^ *a, 16);
	*c += *d;
	*b = PRNG_ROTATE(*b ^ *c, 12);
	*a += *b;
	*d = PRNG_ROTATE(*d ^ *a, 8);
	*c += *d;
	*b = PRNG_ROTATE(*b ^ *c, 7);
}

void pfai_chacha8(const uint32_t key[PFAI_PRNG_KEY_WORDS], const uint32_t counter[2], const uint32_t nonce[2],
                  uint32_t out[16 * PFAI_PRNG_LANES])
{
	const uint32_t in[16] = {
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, /* "expand 32-byte k" */
		key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
		counter[0], counter[1], nonce[0], nonce[1],
	};
	prng_lanes x[16], begin[16];
	for (unsigned i = 0; i < 16; i++)
		begin[i] = (prng_lanes){ in[i], in[i], in[i], in[i] };
	for (unsigned lane = 1; lane < PFAI_PRNG_LANES; lane++) {
		begin[12][lane] = counter[0] + lane;
		begin[13][lane] = counter[1] + (counter[0] + lane < counter[0]);
	}
	memcpy(x, begin, sizeof(x));
	for (unsigned round = 0; round < 8; round += 2) {
		prng_quarter(&x[0], &x[4], &x[8], &x[12]);
		prng_quarter(&x[1], &x[5], &x[9], &x[13]);
		prng_quarter(&x[2], &x[6], &x[10], &x[14]);
		prng_quarter(&x[3], &x[7], &x[11], &x[15]);
		prng_quarter(&x[0], &x[5], &x[10], &x[15]);
		prng_quarter(&x[1], &x[6], &x[11], &x[12]);
		prng_quarter(&x[2], &x[7], &x[8], &x[13]);
		prng_quarter(&x[3], &x[4], &x[9], &x[14]);
	}
	for (unsigned i = 0; i < 16; i++)
		x[i] += begin[i];
	memcpy(out, x, sizeof(x));
}

void pfai_prng_refill(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner)
{
	uint32_t nonce[2] = { owner, 0 }, block[16 * PFAI_PRNG_LANES];
	pfai_chacha8(key, r->counter, nonce, block);
	memcpy(r->numbers, block, sizeof(block));
	r->counter[0] += PFAI_PRNG_LANES;
	if (r->counter[0] < PFAI_PRNG_LANES)
		r->counter[1]++;
	r->left = PFAI_PRNG_NUMBERS;
}
