/* SPDX-License-Identifier: MIT
 *
 * Part of test_states.c: pageblocks that are held, contiguous ranges, areas, and memory that comes and goes.
 */
#ifndef STATES_RANGES_H
#define STATES_RANGES_H

#include <pfa/cma.h>
#include <pfa/hotplug.h>

static struct {
	pfa_token token; /* 0: nothing is held */
	pfa_pfn start, end;
	pfa_cma area; /* 0: none */
	pfa_pfn run;
	size_t nr_run; /* 0: the area gave nothing */
	struct pfa_run hole; /* nr_frames 0: none was made */
} ranges;

static void ranges_hold(void)
{
	pfa_pfn start = rng_below(&rng, 2 * ZONE_FRAMES), end = start + 1 + rng_below(&rng, 3 * PAGEBLOCK);
	if (ranges.token) {
		CALL(BY_RANGE, pfa_undo_isolate_range, watched, ranges.start, ranges.end, ranges.token);
		MUST_EQ(result, PFA_OK);
		ranges.token = 0;
		return;
	}
	CALL(BY_RANGE, pfa_isolate_range, watched, start, end, rng_one_in(&rng, 3) ? PFA_NOMIGRATE : 0, &ranges.token, NULL);
	if (result != PFA_OK)
		ranges.token = 0;
	ranges.start = start;
	ranges.end = end;
}

/* Half of them where a range is likely to be free. */
static void ranges_take(void)
{
	const size_t nr = 1 + rng_below(&rng, 80);
	pfa_pfn start = rng_below(&rng, 2 * ZONE_FRAMES);
	uint32_t flags = (rng_one_in(&rng, 2) ? PFA_CMA : 0) | (rng_one_in(&rng, 4) ? PFA_NOMIGRATE : 0);
	if (rng_one_in(&rng, 2)) {
		CALL(BY_RANGE, pfa_alloc_contig, watched, nr, 1, flags | (rng_one_in(&rng, 2) ? PFA_ZONE(1) : 0), &start);
	} else {
		CALL(BY_RANGE, pfa_alloc_contig_range, watched, start, start + nr, flags, NULL);
	}
	if (result != PFA_OK)
		return;
	if (rng_one_in(&rng, 2)) {
		CALL(BY_FREE, pfa_free_contig_range, watched, start, nr);
		MUST_EQ(result, PFA_OK);
		return;
	}
	for (size_t i = 0; i < nr; i++)
		keep(start + i, 0);
}

static void ranges_area(void)
{
	if (!ranges.area) {
		pfa_pfn start = rng_below(&rng, 2 * ZONE_FRAMES / PAGEBLOCK) * PAGEBLOCK;
		CALL(BY_RANGE, pfa_cma_create, watched, start, PAGEBLOCK * (1 + rng_below(&rng, 2)), 0, &ranges.area, NULL);
		if (result != PFA_OK)
			ranges.area = 0;
		return;
	}
	if (ranges.nr_run) {
		CALL(BY_FREE, pfa_cma_release, watched, ranges.area, ranges.run, ranges.nr_run);
		MUST_EQ(result, PFA_OK);
		ranges.nr_run = 0;
	} else if (rng_one_in(&rng, 3)) {
		CALL(BY_RANGE, pfa_cma_destroy, watched, ranges.area);
		ranges.area = result == PFA_OK ? 0 : ranges.area;
	} else {
		const size_t nr = 1 + rng_below(&rng, 40);
		CALL(BY_RANGE, pfa_cma_alloc, watched, ranges.area, nr, 1, 0, &ranges.run);
		ranges.nr_run = result == PFA_OK ? nr : 0;
	}
}

static void ranges_plug(void)
{
	static const uint32_t flags[] = { 0, PFA_CMA, PFA_TAKE_BAD, PFA_CMA | PFA_TAKE_BAD | PFA_NOMIGRATE };
	pfa_pfn start = rng_below(&rng, 2 * ZONE_FRAMES);
	const size_t nr = 1 + rng_below(&rng, rng_one_in(&rng, 2) ? 40 : 4), room = start < ZONE_FRAMES ? ZONE_FRAMES - 16 : 2 * ZONE_FRAMES;
	switch (rng_below(&rng, 4)) {
	case 0:
		CALL(BY_PLUG, pfa_online_range, watched, start, start < room ? room - start : 1, NULL);
		break;
	case 1:
		if (ranges.hole.nr_frames) {
			CALL(BY_PLUG, pfa_add_range, watched, ranges.hole.first, ranges.hole.nr_frames, NULL);
			ranges.hole.nr_frames = result == PFA_OK ? 0 : ranges.hole.nr_frames;
			break;
		}
		CALL(BY_PLUG, pfa_offline_range, watched, start, nr, flags[3], NULL);
		if (result != PFA_OK || (start <= 209 && start + nr >= 200)) /* beside the hole of the zone */
			break;
		CALL(BY_PLUG, pfa_remove_range, watched, start, nr, NULL);
		ranges.hole = (struct pfa_run){ start, result == PFA_OK ? nr : 0 };
		break;
	default:
		CALL(BY_PLUG, pfa_offline_range, watched, start, nr, flags[rng_below(&rng, 4)], NULL);
		break;
	}
}

static void step_range(void)
{
	switch (rng_below(&rng, 4)) {
	case 0:
		ranges_hold();
		break;
	case 1:
		ranges_take();
		break;
	case 2:
		ranges_area();
		break;
	default:
		ranges_plug();
	}
	MUST(result != PFA_ECORRUPT || level == 3); /* step_write_after_free() */
}

/* Everything is given back, and the zones are whole again. */
static void ranges_stop(void)
{
	if (ranges.token)
		ranges_hold();
	if (ranges.hole.nr_frames) {
		CALL(BY_PLUG, pfa_add_range, watched, ranges.hole.first, ranges.hole.nr_frames, NULL);
		MUST_EQ(result, PFA_OK);
	}
	for (unsigned zone = 0; zone < 2; zone++) {
		CALL(BY_PLUG, pfa_online_range, watched, rig.zones[zone].start, rig.zones[zone].nr_frames, NULL);
		MUST_EQ(result, PFA_OK);
	}
	if (ranges.nr_run)
		ranges_area();
	if (ranges.area) {
		CALL(BY_RANGE, pfa_cma_destroy, watched, ranges.area);
		MUST_EQ(result, PFA_OK);
	}
	memset(&ranges, 0, sizeof(ranges));
}

#endif
