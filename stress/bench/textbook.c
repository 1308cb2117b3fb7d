/* SPDX-License-Identifier: MIT */
#include "textbook.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define NIL UINT32_MAX
#define ALIGNMENT ((size_t)64)

/* State byte of a block's first frame; 0 elsewhere. */
#define STATE_INSIDE 0x00u
#define STATE_FREE 0x20u
#define STATE_USED 0x40u
#define STATE_ORDER 0x1Fu

struct textbook {
	pthread_mutex_t mutex; /* guards everything below that changes */
	size_t first;
	size_t nr_frames;
	size_t nr_free;
	unsigned max_order;
	uint32_t nonempty; /* bit n: list n has a block */
	uint32_t head[TEXTBOOK_ORDER_LIMIT + 1u];
	uint32_t *next; /* by frame, counted from first */
	uint32_t *prev;
	uint8_t *state;
};

static size_t textbook_round_up(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

size_t textbook_size(size_t nr_frames, unsigned max_order)
{
	if (nr_frames == 0 || nr_frames >= NIL || max_order > TEXTBOOK_ORDER_LIMIT)
		return 0;
	if (nr_frames > (SIZE_MAX - 4 * ALIGNMENT - sizeof(struct textbook)) / (2 * sizeof(uint32_t) + 1))
		return 0;
	return textbook_round_up(sizeof(struct textbook)) + 2 * textbook_round_up(nr_frames * sizeof(uint32_t)) +
	       textbook_round_up(nr_frames);
}

static void textbook_push(struct textbook *tb, uint32_t frame, unsigned order)
{
	uint32_t old = tb->head[order];

	tb->next[frame] = old;
	tb->prev[frame] = NIL;
	if (old != NIL)
		tb->prev[old] = frame;
	tb->head[order] = frame;
	tb->nonempty |= 1u << order;
	tb->state[frame] = (uint8_t)(STATE_FREE | order);
}

static void textbook_unlink(struct textbook *tb, uint32_t frame, unsigned order)
{
	uint32_t next = tb->next[frame], prev = tb->prev[frame];

	if (prev != NIL)
		tb->next[prev] = next;
	else
		tb->head[order] = next;
	if (next != NIL)
		tb->prev[next] = prev;
	if (tb->head[order] == NIL)
		tb->nonempty &= ~(1u << order);
	tb->state[frame] = STATE_INSIDE;
}

/* The largest order at which a block may begin at this pfn and end by the end of the space. */
static unsigned textbook_order_at(const struct textbook *tb, size_t frame)
{
	unsigned order = 0;

	while (order < tb->max_order && ((tb->first + frame) >> order & 1u) == 0 &&
	       ((size_t)2 << order) <= tb->nr_frames - frame)
		order++;
	return order;
}

int textbook_create(void *memory, size_t bytes, size_t first, size_t nr_frames, unsigned max_order,
                    struct textbook **out)
{
	size_t need = textbook_size(nr_frames, max_order);
	size_t links = textbook_round_up(nr_frames * sizeof(uint32_t));
	struct textbook *tb = memory;
	unsigned char *at = memory;

	if (need == 0 || memory == NULL || bytes < need || (uintptr_t)memory % ALIGNMENT != 0 ||
	    first > SIZE_MAX - nr_frames)
		return TEXTBOOK_EINVAL;
	memset(tb, 0, sizeof(*tb));
	if (pthread_mutex_init(&tb->mutex, NULL) != 0)
		return TEXTBOOK_EINVAL;
	at += textbook_round_up(sizeof(*tb));
	tb->next = (uint32_t *)(void *)at;
	tb->prev = (uint32_t *)(void *)(at + links);
	tb->state = at + 2 * links;
	memset(tb->state, STATE_INSIDE, nr_frames);
	tb->first = first;
	tb->nr_frames = nr_frames;
	tb->nr_free = nr_frames;
	tb->max_order = max_order;
	for (unsigned order = 0; order <= TEXTBOOK_ORDER_LIMIT; order++)
		tb->head[order] = NIL;

	/* Low pfns are granted first: push the blocks from the last one down. */
	for (size_t end = nr_frames; end > 0;) {
		unsigned order = 0;
		while (order < max_order && ((first + end) >> order & 1u) == 0 && ((size_t)2 << order) <= end)
			order++;
		end -= (size_t)1 << order;
		textbook_push(tb, (uint32_t)end, order);
	}
	*out = tb;
	return TEXTBOOK_OK;
}

int textbook_destroy(struct textbook *tb)
{
	if (textbook_free_frames(tb) != tb->nr_frames)
		return TEXTBOOK_EBUSY;
	pthread_mutex_destroy(&tb->mutex);
	return TEXTBOOK_OK;
}

int textbook_alloc(struct textbook *tb, unsigned order, size_t *out_pfn)
{
	uint32_t fits, frame;
	unsigned from;

	if (order > tb->max_order)
		return TEXTBOOK_EINVAL;
	pthread_mutex_lock(&tb->mutex);
	fits = tb->nonempty >> order;
	if (fits == 0) {
		pthread_mutex_unlock(&tb->mutex);
		return TEXTBOOK_ENOMEM;
	}
	from = order + (unsigned)__builtin_ctz(fits);
	frame = tb->head[from];
	textbook_unlink(tb, frame, from);
	while (from > order) {
		from--;
		textbook_push(tb, frame + ((uint32_t)1 << from), from);
	}
	tb->state[frame] = (uint8_t)(STATE_USED | order);
	tb->nr_free -= (size_t)1 << order;
	pthread_mutex_unlock(&tb->mutex);
	*out_pfn = tb->first + frame;
	return TEXTBOOK_OK;
}

int textbook_free(struct textbook *tb, size_t pfn, unsigned order)
{
	size_t frame = pfn - tb->first;
	size_t merged = order;

	if (order > tb->max_order || frame >= tb->nr_frames)
		return TEXTBOOK_EMISUSE;
	pthread_mutex_lock(&tb->mutex);
	if (tb->state[frame] != (STATE_USED | order)) {
		pthread_mutex_unlock(&tb->mutex);
		return TEXTBOOK_EMISUSE;
	}
	tb->state[frame] = STATE_INSIDE;
	for (; merged < tb->max_order; merged++) {
		/* A buddy before the space wraps around and is refused like one after it. */
		size_t buddy = ((tb->first + frame) ^ (size_t)1 << merged) - tb->first;
		if (buddy >= tb->nr_frames || tb->state[buddy] != (STATE_FREE | merged))
			break;
		textbook_unlink(tb, (uint32_t)buddy, (unsigned)merged);
		if (buddy < frame)
			frame = buddy;
	}
	textbook_push(tb, (uint32_t)frame, (unsigned)merged);
	tb->nr_free += (size_t)1 << order;
	pthread_mutex_unlock(&tb->mutex);
	return TEXTBOOK_OK;
}

size_t textbook_free_frames(struct textbook *tb)
{
	size_t nr;

	pthread_mutex_lock(&tb->mutex);
	nr = tb->nr_free;
	pthread_mutex_unlock(&tb->mutex);
	return nr;
}

int textbook_largest_free(struct textbook *tb)
{
	uint32_t mask;

	pthread_mutex_lock(&tb->mutex);
	mask = tb->nonempty;
	pthread_mutex_unlock(&tb->mutex);
	return mask == 0 ? -1 : 31 - __builtin_clz(mask);
}

/* Counts the blocks on each list, and checks that each is free, of that order, and properly linked. */
static const char *textbook_check_lists(const struct textbook *tb, size_t listed[])
{
	for (unsigned order = 0; order <= tb->max_order; order++) {
		uint32_t prev = NIL;
		if ((tb->head[order] != NIL) != ((tb->nonempty >> order & 1u) != 0))
			return "the mask of non-empty lists is wrong";
		for (uint32_t at = tb->head[order]; at != NIL; prev = at, at = tb->next[at]) {
			if (at >= tb->nr_frames || tb->state[at] != (STATE_FREE | order))
				return "a list holds what is not a free block of its order";
			if (tb->prev[at] != prev)
				return "a list's links do not agree";
			if (++listed[order] > tb->nr_frames)
				return "a list is a circle";
		}
	}
	return NULL;
}

static const char *textbook_check_tiles(const struct textbook *tb, size_t listed[])
{
	size_t nr_free = 0;

	for (size_t frame = 0; frame < tb->nr_frames;) {
		unsigned state = tb->state[frame], order = state & STATE_ORDER;
		size_t nr = (size_t)1 << order;
		size_t buddy = ((tb->first + frame) ^ nr) - tb->first;
		if ((state & ~STATE_ORDER) != STATE_FREE && (state & ~STATE_ORDER) != STATE_USED)
			return "a block begins where none is";
		if (order > textbook_order_at(tb, frame))
			return "a block is misaligned, too large or sticks out";
		for (size_t inside = 1; inside < nr; inside++)
			if (tb->state[frame + inside] != STATE_INSIDE)
				return "two blocks overlap";
		if ((state & STATE_FREE) != 0) {
			if (order < tb->max_order && buddy < tb->nr_frames && tb->state[buddy] == state)
				return "two free buddies are not merged";
			if (listed[order]-- == 0)
				return "a free block is on no list";
			nr_free += nr;
		}
		frame += nr;
	}
	for (unsigned order = 0; order <= tb->max_order; order++)
		if (listed[order] != 0)
			return "a list holds a block twice";
	return nr_free == tb->nr_free ? NULL : "the count of free frames is wrong";
}

const char *textbook_check(struct textbook *tb)
{
	size_t listed[TEXTBOOK_ORDER_LIMIT + 1u] = {0};
	const char *what;

	pthread_mutex_lock(&tb->mutex);
	what = textbook_check_lists(tb, listed);
	if (what == NULL)
		what = textbook_check_tiles(tb, listed);
	pthread_mutex_unlock(&tb->mutex);
	return what;
}
