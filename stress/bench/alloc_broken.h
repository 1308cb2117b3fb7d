/* SPDX-License-Identifier: MIT
 *
 * The canary of the checked pass: the empty driver, but each 1009th request is given the block of the one before. A
 * bench that calls this fine checks nothing.
 */
#include "bench.h"

#define ba_alloc ba_sound_alloc
#include "alloc_empty.h"
#undef ba_alloc
#undef BA_NAME
#define BA_NAME "broken"

static inline bool ba_alloc(struct ba *a, unsigned order, bench_block *out)
{
	static bench_block last;
	static unsigned nr;

	if (++nr % 1009 == 0) {
		*out = last;
		return true;
	}
	if (!ba_sound_alloc(a, order, out))
		return false;
	last = *out;
	return true;
}
