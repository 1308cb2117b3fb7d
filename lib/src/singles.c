/* SPDX-License-Identifier: MIT */
#include "singles.h"

/* From one leaf. *rest: the words of it that still have some. */
PFAI_ALWAYS_INLINE unsigned singles_of_leaf(pfai_word *words, unsigned nr_words, unsigned want, uint32_t base, uint32_t out[],
                                            uint32_t *rest)
{
	uint32_t open = 0;
	unsigned got = 0;
	/* Where the frame is nobody can predict, so no branch asks; a leaf has 1, 2, or a multiple of 4 words. */
	const pfai_word *at = words + nr_words;
	for (; at - words >= 4; at -= 4) {
		unsigned high = 2u * (at[-1] != PFAI_ONES) + (at[-2] != PFAI_ONES);
		unsigned low = 2u * (at[-3] != PFAI_ONES) + (at[-4] != PFAI_ONES);
		open = open << 4 | high << 2 | low;
	}
	while (at > words)
		open += open + (*--at != PFAI_ONES);
	while (open && got < want) {
		unsigned i = pfai_ctz32(open);
		pfai_word used = words[i];
		unsigned bit = pfai_ctz(~used);
		used |= (pfai_word)1 << bit;
		words[i] = used;
		out[got++] = base + (i << PFAI_WORD_SHIFT) + bit;
		open &= used == PFAI_ONES ? open - 1 : open;
	}
	*rest = open;
	return got;
}

/* From the leaves of one word of the set, of which these have not been looked at. *got grows. Returns those that are empty now. */
PFAI_ALWAYS_INLINE pfai_word singles_of_word(struct pfa *p, struct pfai_zone *z, unsigned code, size_t first, pfai_word left,
                                             unsigned want, uint32_t out[], unsigned *got)
{
	pfai_word empty = 0;
	unsigned nr_words = pfai_leaf_words(p);
	for (; left && *got < want; left &= left - 1) {
		unsigned bit = pfai_ctz(left);
		size_t leaf = first + bit, rel = leaf << p->leaf_order;
		uint32_t rest;
		if (PFAI_UNLIKELY(leaf >= z->nr_leaves || z->leaf[leaf] != z->leaf_top))
			break;
		unsigned n = singles_of_leaf(pfai_leaf_at(p, z, leaf), nr_words, want - *got, (uint32_t)pfai_offset_of_rel(z, rel),
		                             out + *got, &rest);
		if (PFAI_UNLIKELY(!n))
			break;
		*got += n;
		pfai_zone_count_out_locked(p, z, code, pfai_pb_at(p, z, rel), n);
		if (rest)
			break;
		z->leaf[leaf] = PFAI_LEAF_FULL;
		empty |= (pfai_word)1 << bit;
	}
	return empty;
}

unsigned pfai_singles_grab_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned want, uint32_t out[])
{
	size_t nbits = pfai_set_bits(p, z, 0);
	pfai_word *set = pfai_set_at(z, code, 0);
	unsigned got = 0;
	while (got < want && z->st->nonempty[code] & 1) {
		size_t leaf = pfai_bitset_first(set, nbits);
		if (leaf >= nbits)
			break;
		size_t at = leaf >> PFAI_WORD_SHIFT;
		pfai_word empty = singles_of_word(p, z, code, at << PFAI_WORD_SHIFT, set[at], want, out, &got);
		if (!empty)
			break;
		/* All but the last without a look at the levels above. */
		set[at] &= ~(empty & (empty - 1));
		pfai_index_del(p, z, code, 0, at << PFAI_WORD_SHIFT | pfai_ctz(empty));
	}
	return got;
}
