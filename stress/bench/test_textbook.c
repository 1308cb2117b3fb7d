/* SPDX-License-Identifier: MIT
 *
 * test_textbook.c - the textbook buddy against a byte map, over spaces that begin and end anywhere.
 */
#include "textbook.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FRAMES 700u
#define CHECK(what, condition)                                                                                      \
	do {                                                                                                        \
		if (!(condition)) {                                                                                 \
			fprintf(stderr, "test_textbook: seed %llu: %s\n", (unsigned long long)seed, what);          \
			exit(1);                                                                                    \
		}                                                                                                   \
	} while (0)

static uint64_t seed;

struct live {
	size_t pfn;
	unsigned order;
};

static unsigned draw(uint64_t *state, unsigned bound)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((*state >> 33) % bound);
}

/* Could a block of this order be free, by the byte map alone? */
static int model_fits(const uint8_t *used, size_t first, size_t nr, unsigned order)
{
	for (size_t at = 0; at < nr; at++) {
		size_t end = at;
		if (((first + at) & (((size_t)1 << order) - 1)) != 0)
			continue;
		while (end < nr && end - at < (size_t)1 << order && !used[end])
			end++;
		if (end - at == (size_t)1 << order)
			return 1;
	}
	return 0;
}

static void misuse(struct textbook *tb, const struct live *l, unsigned max_order, size_t first, size_t nr)
{
	CHECK("wrong order accepted", textbook_free(tb, l->pfn, l->order ^ 1u) == TEXTBOOK_EMISUSE);
	CHECK("order above the limit accepted", textbook_free(tb, l->pfn, max_order + 1) == TEXTBOOK_EMISUSE);
	CHECK("pfn after the end accepted", textbook_free(tb, first + nr, 0) == TEXTBOOK_EMISUSE);
	CHECK("pfn before the start accepted", textbook_free(tb, first - 1, 0) == TEXTBOOK_EMISUSE);
	if (l->order > 0)
		CHECK("tail accepted", textbook_free(tb, l->pfn + 1, 0) == TEXTBOOK_EMISUSE);
}

static void run(void)
{
	uint64_t rng = seed;
	size_t first = 1 + draw(&rng, 2000), nr = 1 + draw(&rng, MOST_FRAMES), nr_live = 0, nr_used = 0;
	unsigned max_order = draw(&rng, 11);
	size_t bytes = textbook_size(nr, max_order);
	void *memory = aligned_alloc(64, bytes);
	static struct live live[MOST_FRAMES];
	static uint8_t used[MOST_FRAMES];
	struct textbook *tb;

	memset(memory, 0xA5, bytes);
	memset(used, 0, sizeof(used));
	CHECK("too little memory accepted", textbook_create(memory, bytes - 1, first, nr, max_order, &tb) != TEXTBOOK_OK);
	CHECK("create", textbook_create(memory, bytes, first, nr, max_order, &tb) == TEXTBOOK_OK);
	for (unsigned step = 0; step < 600 || nr_live > 0; step++) {
		const char *wrong = textbook_check(tb);
		CHECK(wrong, wrong == NULL);
		if (step < 600 && draw(&rng, 5) < 3) {
			unsigned order = draw(&rng, max_order + 1);
			size_t pfn = 0;
			int rc = textbook_alloc(tb, order, &pfn);
			CHECK("granted or refused wrongly", (rc == TEXTBOOK_OK) == model_fits(used, first, nr, order));
			if (rc != TEXTBOOK_OK)
				continue;
			CHECK("outside or misaligned", pfn >= first && pfn - first + ((size_t)1 << order) <= nr &&
			                                       pfn % ((size_t)1 << order) == 0);
			for (size_t i = 0; i < (size_t)1 << order; i++)
				CHECK("given twice", !used[pfn - first + i]++);
			live[nr_live++] = (struct live){pfn, order};
			nr_used += (size_t)1 << order;
		} else if (nr_live > 0) {
			size_t i = draw(&rng, (unsigned)nr_live);
			struct live l = live[i];
			misuse(tb, &l, max_order, first, nr);
			CHECK("destroyed though live", textbook_destroy(tb) == TEXTBOOK_EBUSY);
			CHECK("free", textbook_free(tb, l.pfn, l.order) == TEXTBOOK_OK);
			CHECK("double free accepted", textbook_free(tb, l.pfn, l.order) == TEXTBOOK_EMISUSE);
			memset(used + (l.pfn - first), 0, (size_t)1 << l.order);
			live[i] = live[--nr_live];
			nr_used -= (size_t)1 << l.order;
		}
		CHECK("count", textbook_free_frames(tb) == nr - nr_used);
	}
	for (int order = (int)max_order; order >= 0; order--)
		if (model_fits(used, first, nr, (unsigned)order)) {
			CHECK("not merged at the end", textbook_largest_free(tb) == order);
			break;
		}
	CHECK("destroy", textbook_destroy(tb) == TEXTBOOK_OK);
	free(memory);
}

int main(void)
{
	for (seed = 1; seed <= 200; seed++)
		run();
	printf("textbook: 200 spaces fine\n");
	return 0;
}
