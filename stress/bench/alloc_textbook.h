/* SPDX-License-Identifier: MIT
 *
 * The textbook buddy of textbook.h.
 */
#include "bench.h"
#include "textbook.h"

#define BA_NAME "textbook"
#define BA_PFNS 1
#define BA_PROVIDES (BENCH_NEEDS_ORDERS | BENCH_NEEDS_PFNS | BENCH_NEEDS_META | BENCH_NEEDS_LIMIT)
#define BA_MAX_ORDER 10u

struct ba {
	struct textbook *tb;
	void *memory;
	size_t bytes;
	double init_ns, meta_bytes;
};

static inline bool ba_open(struct ba *a, size_t frames, unsigned threads, bool fixed_cpu)
{
	uint64_t start;
	int rc;

	(void)threads;
	(void)fixed_cpu;
	a->bytes = textbook_size(frames, BA_MAX_ORDER);
	a->memory = bench_array(a->bytes);
	start = bench_now();
	rc = textbook_create(a->memory, a->bytes, BENCH_FIRST_PFN, frames, BA_MAX_ORDER, &a->tb);
	a->init_ns = (double)(bench_now() - start);
	a->meta_bytes = (double)a->bytes;
	return rc == TEXTBOOK_OK;
}

static inline void ba_thread(struct ba *a, unsigned t)
{
	(void)a;
	(void)t;
}

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	return textbook_alloc(a->tb, order, out) == TEXTBOOK_OK;
}

static inline bool ba_free(struct ba *a, bench_block block, unsigned order)
{
	return textbook_free(a->tb, block, order) == TEXTBOOK_OK;
}

static inline const char *ba_close(struct ba *a, bool check)
{
	const char *what = check ? textbook_check(a->tb) : NULL;

	if (what == NULL && textbook_destroy(a->tb) != TEXTBOOK_OK)
		what = "frames are missing at the end";
	bench_array_free(a->memory, a->bytes);
	return what;
}
