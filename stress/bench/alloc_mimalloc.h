/* SPDX-License-Identifier: MIT
 *
 * mimalloc, by mi_malloc_aligned and mi_free.
 * A block of order n is 4096 << n bytes, aligned to its size; nobody touches it.
 */
#include "bench.h"

#include <mimalloc.h>

#define BA_NAME "mimalloc"
#include "alloc_malloc.h"

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	size_t size = (size_t)1 << (BENCH_FRAME_SHIFT + order);
	void *block = mi_malloc_aligned(size, size);

	(void)a;
	*out = (bench_block)block;
	return block != NULL;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	(void)a;
	(void)order;
	mi_free((void *)block);
	return true;
}
