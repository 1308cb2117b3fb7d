/* SPDX-License-Identifier: MIT
 *
 * Part of test_bounds.c: pageblocks that are held, and memory that goes and comes back, of which all is free.
 */
#ifndef BOUNDS_RANGES_H
#define BOUNDS_RANGES_H

#include <pfa/cma.h>
#include <pfa/hotplug.h>

/* N is pageblocks, F frames of the range. */
static void gone_and_back(pfa_pfn start, size_t frames, size_t nr)
{
	MUST_EQ(pfa_offline_range(rig.pfa, start, frames, 0, NULL), PFA_OK);
	MEASURE(pfa_remove_range, nr, frames, rig.pfa, start, frames, NULL);
	MUST_EQ(result, PFA_OK);
	MEASURE(pfa_add_range, nr, frames, rig.pfa, start, frames, NULL);
	MUST_EQ(result, PFA_OK);
	MEASURE(pfa_online_range, nr, frames, rig.pfa, start, frames, NULL);
	MUST_EQ(result, PFA_OK);
}

static void area_ends(pfa_pfn start, size_t nr)
{
	struct pfa_cma_stats stats = { .size = sizeof(stats) };
	pfa_cma area;
	MUST_EQ(pfa_cma_create(rig.pfa, start, nr * PB, 0, &area, NULL), PFA_OK);
	MEASURE(pfa_cma_stats, nr, PB, rig.pfa, area, &stats);
	MUST_EQ(result, PFA_OK);
	MEASURE(pfa_cma_destroy, nr, PB, rig.pfa, area);
	MUST_EQ(result, PFA_OK);
}

/* Everything is free, as the largest blocks: held from one pageblock to all, asked about, given up; and one by one, from the
 * middle of a block. */
static void held_ranges(void)
{
	const pfa_pfn first = rig.zones[0].start, end = first + rig.zones[0].nr_frames;
	const size_t all = (end - 1) / PB - first / PB + 1;
	for (size_t nr = 1; nr <= all; nr = nr < all && nr * 8 > all ? all : nr * 8) {
		pfa_pfn start = nr == 1 ? first + (end - first) / 2 / PB * PB : first, last = nr == all ? end : (start / PB + nr) * PB;
		pfa_token token;
		MUST_EQ(pfa_isolate_range(rig.pfa, start, last, 0, &token, NULL), PFA_OK);
		MEASURE(pfa_test_isolated, nr, last - start, rig.pfa, start, last, token, NULL);
		const bool whole = result == PFA_OK; /* else there is a hole */
		MUST(whole || result == PFA_ERANGE);
		MEASURE(pfa_undo_isolate_range, nr, PB, rig.pfa, start, last, token);
		MUST_EQ(result, PFA_OK);
		if (whole) {
			MUST_EQ(pfa_alloc_contig_range(rig.pfa, start, last, PFA_NOMIGRATE, NULL), PFA_OK);
			MEASURE(pfa_free_range, last - start, 1, rig.pfa, start, last - start);
			MUST_EQ(result, PFA_OK);
			MEASURE(pfa_cache_drain, 0, 1, rig.pfa, PFA_ALL_CPUS);
			gone_and_back(start, last - start, nr);
			area_ends(start, nr);
		}
		if (nr == all)
			break;
	}
}

#endif
