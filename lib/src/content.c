/* SPDX-License-Identifier: MIT */
#include "content.h"

/* Frames are read and written through words of any type. */
typedef pfai_word __attribute__((may_alias)) content_word;

#define CONTENT_LINE_WORDS (PFAI_LINE / sizeof(pfai_word))

/* A keyed hash of a frame (and the number of a line in it). Two rounds of multiply and fold: neighbours have nothing in
 * common. Who reads a poisoned frame learns its pattern and no other. */
static inline pfai_word content_hash(const struct pfa *p, pfa_pfn pfn, size_t line)
{
	/* odd, with well mixed bits: the golden ratio, cut to a word */
	const pfai_word odd = (pfai_word)0x9E3779B97F4A7C15u;
	pfai_word h = ((pfai_word)pfn + p->content_key[0]) * odd;
	h = (h ^ h >> (PFAI_WORD_BITS / 2) ^ p->content_key[1]) * (odd ^ (pfai_word)line << 1);
	return h ^ h >> (PFAI_WORD_BITS / 2);
}

/* Never zero, so that zeroed memory is told from it. */
static inline pfai_word content_pattern(pfai_word hash)
{
	return hash | 1;
}

/* Lines of a frame that are written or looked at; the size of the part of the frame of which each is one. */
static inline size_t content_lines(const struct pfa *p)
{
	return p->frame_shift > PFAI_LINE_SHARE_SHIFT ? (size_t)1 << (p->frame_shift - PFAI_LINE_SHARE_SHIFT) : 1;
}

static inline content_word *content_line(const struct pfa *p, pfa_pfn pfn, size_t line, pfai_word hash)
{
	unsigned share = p->frame_shift < PFAI_LINE_SHARE_SHIFT ? p->frame_shift : PFAI_LINE_SHARE_SHIFT;
	/* The upper half of the hash is the better one, and the pattern does not tell all of it. */
	size_t at = (size_t)(hash >> (PFAI_WORD_BITS / 2)) & (((size_t)1 << (share - PFAI_LINE_SHIFT)) - 1);
	return (content_word *)(void *)(pfai_frame_at(p, pfn) + (line << share) + (at << PFAI_LINE_SHIFT));
}

static inline void content_fill(content_word *at, size_t nr_words, pfai_word value)
{
	for (size_t i = 0; i < nr_words; i++)
		at[i] = value;
}

static inline bool content_is(const content_word *at, size_t nr_words, pfai_word value)
{
	pfai_word other = 0;
	for (size_t i = 0; i < nr_words; i += CONTENT_LINE_WORDS) {
		for (size_t j = i; j < i + CONTENT_LINE_WORDS; j++)
			other |= at[j] ^ value;
		if (other)
			return false;
	}
	return true;
}

void pfai_content_zero(struct pfa *p, pfa_pfn pfn, size_t nr_frames)
{
	unsigned char *ptr = p->pool ? pfai_frame_at(p, pfn) : NULL;
	if (p->os.zero)
		p->os.zero(p->os.ctx, pfn, nr_frames, ptr);
	else
		memset(ptr, 0, nr_frames << p->frame_shift);
}

void pfai_content_freed(struct pfa *p, pfa_pfn pfn, size_t nr_frames)
{
	size_t words = ((size_t)1 << p->frame_shift) / sizeof(pfai_word);
	if (p->poison == PFA_POISON_ZERO) {
		pfai_content_zero(p, pfn, nr_frames);
		return;
	}
	for (pfa_pfn end = pfn + nr_frames; pfn < end; pfn++) {
		if (p->poison == PFA_POISON_ALL) {
			content_fill((content_word *)(void *)pfai_frame_at(p, pfn), words,
			             content_pattern(content_hash(p, pfn, 0)));
			continue;
		}
		for (size_t line = 0; line < content_lines(p); line++) {
			pfai_word hash = content_hash(p, pfn, line);
			content_fill(content_line(p, pfn, line, hash), CONTENT_LINE_WORDS, content_pattern(hash));
		}
	}
}

static bool content_frame_changed(const struct pfa *p, pfa_pfn pfn, bool every)
{
	size_t words = ((size_t)1 << p->frame_shift) / sizeof(pfai_word);
	bool zero = p->poison == PFA_POISON_ZERO;
	if (p->poison == PFA_POISON_ALL || (zero && every))
		return !content_is((const content_word *)(const void *)pfai_frame_at(p, pfn), words,
		                   zero ? 0 : content_pattern(content_hash(p, pfn, 0)));
	for (size_t line = 0; line < content_lines(p); line++) {
		pfai_word hash = content_hash(p, pfn, line);
		if (!content_is(content_line(p, pfn, line, hash), CONTENT_LINE_WORDS, zero ? 0 : content_pattern(hash)))
			return true;
	}
	return false;
}

size_t pfai_content_changed(const struct pfa *p, pfa_pfn pfn, size_t nr_frames, bool every)
{
	for (size_t i = 0; i < nr_frames; i++)
		if (PFAI_UNLIKELY(content_frame_changed(p, pfn + i, every)))
			return i;
	return PFAI_NONE;
}
