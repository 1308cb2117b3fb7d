/* SPDX-License-Identifier: MIT
 *
 * jemalloc, by its aligned_alloc and free (Debian links it in place of malloc).
 * A block of order n is 4096 << n bytes, aligned to its size; nobody touches it.
 */
#include "bench.h"

#include <stdlib.h>

#define BA_NAME "jemalloc"
#include "alloc_malloc.h"

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	size_t size = (size_t)1 << (BENCH_FRAME_SHIFT + order);
	void *block = aligned_alloc(size, size);

	(void)a;
	*out = (bench_block)block;
	return block != NULL;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	(void)a;
	(void)order;
	free((void *)block);
	return true;
}
