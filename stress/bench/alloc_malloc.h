/* SPDX-License-Identifier: MIT
 *
 * What the malloc-like peers have in common: nothing to open, no limit, real addresses.
 */
#define BA_PFNS 0
#define BA_PROVIDES BENCH_NEEDS_ORDERS

struct ba {
	double init_ns, meta_bytes;
};

static inline bool ba_open(struct ba *a, size_t frames, unsigned threads, bool fixed_cpu)
{
	(void)frames;
	(void)threads;
	(void)fixed_cpu;
	*a = (struct ba){0};
	return true;
}

static inline void ba_thread(struct ba *a, unsigned t)
{
	(void)a;
	(void)t;
}

static inline const char *ba_close(struct ba *a, bool check)
{
	(void)a;
	(void)check;
	return NULL;
}
