/* SPDX-License-Identifier: MIT
 *
 * Layer 1: random numbers that cannot be told from those before: ChaCha with 8 rounds, the count of rounds that is taken
 * where it has to be fast and that no attack comes near to. Pure functions on their state; the caller locks.
 */
#ifndef PFAI_PRNG_H
#define PFAI_PRNG_H

#include "compiler.h"

#define PFAI_PRNG_KEY_WORDS 8u
#define PFAI_PRNG_LANES 4u                      /* blocks that are made at once */
#define PFAI_PRNG_NUMBERS (32u * PFAI_PRNG_LANES) /* 16-bit numbers in them */

struct pfai_prng {
	/* The newest blocks of the key stream, in any order. */
	uint16_t numbers[PFAI_PRNG_NUMBERS];
	uint32_t counter[2];
	uint32_t left;        /* numbers that were not drawn yet */
};

/* Blocks counter, counter + 1, .. of the key stream, as in D. J. Bernstein's paper: 64 bits of counter, 64 bits of nonce.
 * out: word by word, PFAI_PRNG_LANES of each. */
void pfai_chacha8(const uint32_t key[PFAI_PRNG_KEY_WORDS], const uint32_t counter[2], const uint32_t nonce[2],
                  uint32_t out[16 * PFAI_PRNG_LANES]);

/* The next blocks of the stream of this owner. */
void pfai_prng_refill(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner);

/* 16 random bits. A state of zeros is the begin of the stream; owner: which of the instance's streams it is. */
static inline uint32_t pfai_prng_16(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner)
{
	if (PFAI_UNLIKELY(r->left - 1u >= PFAI_PRNG_NUMBERS)) /* empty, or damaged */
		pfai_prng_refill(r, key, owner);
	return r->numbers[--r->left];
}

/* The next nr numbers, at most PFAI_PRNG_NUMBERS, for who draws many. */
static inline const uint16_t *pfai_prng_some(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner,
                                             uint32_t nr)
{
	if (PFAI_UNLIKELY(r->left - nr > PFAI_PRNG_NUMBERS - nr)) /* fewer, or damaged */
		pfai_prng_refill(r, key, owner);
	r->left -= nr;
	return r->numbers + r->left;
}

/* 0 .. n-1, 1 <= n <= 65536. No number is more likely than 1 in n by more than 2^-16. */
static inline uint32_t pfai_prng_below(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner,
                                       uint32_t n)
{
	return pfai_prng_16(r, key, owner) * n >> 16;
}

/* 32 random bits. */
static inline uint32_t pfai_prng_32(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner)
{
	uint32_t high = pfai_prng_16(r, key, owner);
	return high << 16 | pfai_prng_16(r, key, owner);
}

/* As pfai_prng_below(), for any n that fits 32 bits. */
static inline uint32_t pfai_prng_below_32(struct pfai_prng *r, const uint32_t key[PFAI_PRNG_KEY_WORDS], uint32_t owner,
                                          uint32_t n)
{
	return (uint32_t)((uint64_t)pfai_prng_32(r, key, owner) * n >> 32);
}

#endif
