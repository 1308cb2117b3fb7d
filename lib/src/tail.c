/* SPDX-License-Identifier: MIT */
#include "tail.h"

/* Frame bytes are atomic bytes that others may look at meanwhile; here whole words of them are read and written, each
 * in one access, by the only one who may write them. */
typedef pfai_aword __attribute__((may_alias)) tail_word;

#define TAIL_STEP sizeof(tail_word)
#define TAIL_REPEAT(value) (PFAI_ONES / 255 * (value))

static inline tail_word *tail_word_at(const struct pfa *p, size_t offset)
{
	return (tail_word *)(uintptr_t)(p->bytes + offset);
}

size_t pfai_tail_verify(const struct pfa *p, size_t offset, size_t nr, uint8_t value)
{
	size_t i = 0;
	while (i < nr) {
		if (!((offset + i) & (TAIL_STEP - 1)) && nr - i >= TAIL_STEP &&
		    pfai_load_relaxed(tail_word_at(p, offset + i)) == TAIL_REPEAT(value)) {
			i += TAIL_STEP;
			continue;
		}
		if (pfai_load_relaxed(&p->bytes[offset + i]) != value)
			return i;
		i++;
	}
	return nr;
}

void pfai_tail_fill(struct pfa *p, size_t offset, size_t nr, uint8_t value)
{
	size_t i = 0;
	while (i < nr) {
		if (!((offset + i) & (TAIL_STEP - 1)) && nr - i >= TAIL_STEP) {
			pfai_store_relaxed(tail_word_at(p, offset + i), TAIL_REPEAT(value));
			i += TAIL_STEP;
			continue;
		}
		pfai_store_relaxed(&p->bytes[offset + i], value);
		i++;
	}
}

bool pfai_tail_all_free(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	size_t nr = (size_t)1 << order;
	return pfai_tail_in_zone(p, z, offset, order) && pfai_tail_verify(p, offset, nr, PFAI_NOTHING) == nr;
}

bool pfai_tail_inside_sound(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	size_t nr = ((size_t)1 << order) - 1;
	return pfai_tail_in_zone(p, z, offset, order) && pfai_tail_verify(p, offset + 1, nr, PFAI_TAIL) == nr;
}
