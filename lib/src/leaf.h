/* SPDX-License-Identifier: MIT
 *
 * Layer 3: blocks inside one leaf of the free map. Pure functions on the leaf's words (set bit: not free).
 */
#ifndef PFAI_LEAF_H
#define PFAI_LEAF_H

#include "bits.h"

/* The largest order of a free block in the leaf, at most limit; -1: nothing is free. O(words x orders). */
int pfai_leaf_fold(const pfai_word *words, unsigned nr_words, unsigned limit);

/* Adds to counts[o] how many maximal free blocks of order o <= limit the leaf has. O(words x orders). */
void pfai_leaf_count(const pfai_word *words, unsigned nr_words, unsigned limit, size_t counts[]);

/* The first frame of the lowest free block of an order that begins in [from, nr_words * word bits); -1: none. */
int pfai_leaf_find(const pfai_word *words, unsigned nr_words, unsigned order, unsigned from);

/* Takes up to want free blocks of an order, lowest first; out[i] = base + their first frame. Returns how many. */
unsigned pfai_leaf_grab(pfai_word *words, unsigned nr_words, unsigned order, unsigned want, uint32_t base,
                        uint32_t out[]);

/* The order of the largest free aligned block around frame `at`, given that the block of `order` there is free. */
unsigned pfai_leaf_grow(const pfai_word *words, unsigned at, unsigned order, unsigned limit);

#endif
