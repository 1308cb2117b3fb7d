/* SPDX-License-Identifier: MIT
 *
 * textbook.h - the buddy allocator of the textbooks: free lists by order, one mutex, eager coalescing.
 *
 * A yardstick, not a product: the bench measures against it, and a harness that is meant for any frame allocator
 * proves with it that it does not only know libpfa. It works on pfns alone and never touches the frames. The link
 * arrays lie outside of the frames; everything lives in the caller's memory; there are no globals.
 *
 * Each frame has a next link, a previous link (u32 each) and a state byte, of which only that of a block's first
 * frame counts. Blocks are naturally aligned by absolute pfn, so that the space may begin and end anywhere.
 */
#ifndef PFA_BENCH_TEXTBOOK_H
#define PFA_BENCH_TEXTBOOK_H

#include <stddef.h>

#define TEXTBOOK_ORDER_LIMIT 31u

enum textbook_error {
	TEXTBOOK_OK = 0,
	TEXTBOOK_ENOMEM = -1,  /**< no free block of this order or above */
	TEXTBOOK_EINVAL = -2,  /**< an argument is out of range, or the memory is too small or misaligned */
	TEXTBOOK_EMISUSE = -3, /**< not the first frame of an allocated block of this order; nothing changed */
	TEXTBOOK_EBUSY = -4    /**< blocks are still allocated */
};

struct textbook;

/** Bytes that textbook_create() needs, alignment 64; 0 if the arguments are out of range (1 <= nr_frames < 2^32 - 1). */
size_t textbook_size(size_t nr_frames, unsigned max_order);

/**
 * Makes an allocator of frames [first, first + nr_frames), all free. memory may hold anything.
 * @return TEXTBOOK_OK; TEXTBOOK_EINVAL. @cost O(nr_frames): the state bytes are cleared.
 */
int textbook_create(void *memory, size_t bytes, size_t first, size_t nr_frames, unsigned max_order,
                    struct textbook **out);

/** Ends it; the memory is the caller's again. @return TEXTBOOK_OK; TEXTBOOK_EBUSY: blocks are live, it goes on. */
int textbook_destroy(struct textbook *tb);

/** Takes one block. Any thread. @return TEXTBOOK_OK; TEXTBOOK_ENOMEM; TEXTBOOK_EINVAL: order. */
int textbook_alloc(struct textbook *tb, unsigned order, size_t *out_pfn);

/** Gives one block back and merges it as far as it goes. Any thread. @return TEXTBOOK_OK; TEXTBOOK_EMISUSE. */
int textbook_free(struct textbook *tb, size_t pfn, unsigned order);

/** Free frames at this moment. Any thread. */
size_t textbook_free_frames(struct textbook *tb);

/** The largest order that textbook_alloc() would grant at this moment, or -1. Any thread. */
int textbook_largest_free(struct textbook *tb);

/**
 * Walks everything: blocks tile the space, lists hold exactly the free blocks, no two mergeable buddies are both free,
 * the count of free frames is right.
 * @return NULL, or what is wrong (static text). @cost O(nr_frames), under the mutex.
 */
const char *textbook_check(struct textbook *tb);

#endif
