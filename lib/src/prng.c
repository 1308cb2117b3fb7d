/* SPDX-License-Identifier: MIT */
#include "prng.h"

static inline uint32_t prng_rotate(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static inline void prng_quarter(uint32_t x[16], unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = prng_rotate(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = prng_rotate(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = prng_rotate(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = prng_rotate(x[b] ^ x[c], 7);
}

void pfai_chacha8(const uint32_t key[PFAI_PRNG_KEY_WORDS], const uint32_t counter[2], const uint32_t nonce[2],
                  uint32_t out[16])
{
	uint32_t in[16] = {
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, /* "expand 32-byte k" */
		key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
		counter[0], counter[1], nonce[0], nonce[1],
	};
	memcpy(out, in, sizeof(in));
	for (unsigned round = 0; round < 8; round += 2) {
		for (unsigned i = 0; i < 4; i++)
			prng_quarter(out, i, 4 + i, 8 + i, 12 + i);
		for (unsigned i = 0; i < 4; i++)
			prng_quarter(out, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
	}
	for (unsigned i = 0; i < 16; i++)
		out[i] += in[i];
}

void pfai_prng_refill(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner)
{
	uint32_t nonce[2] = { owner, 0 };
	pfai_chacha8(key, r->counter, nonce, r->block);
	if (!++r->counter[0])
		r->counter[1]++;
	r->left = 32;
}
