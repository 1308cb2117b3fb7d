/* SPDX-License-Identifier: MIT
 *
 * Part of test_states.c: what random runs show too rarely. Each scene makes a few changes certain, at each level.
 */
#ifndef STATES_SCENES_H
#define STATES_SCENES_H

enum { PAGEBLOCK_ORDER = 6, SCENE_TYPES = 3 };
static const uint32_t scene_types[SCENE_TYPES] = { PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE };

/* A pageblock of the second zone that is of this type, since it was granted whole; in blocks of an order. */
static pfa_pfn scene_pageblock(uint32_t flags, unsigned order)
{
	pfa_pfn pfn;
	CALL(BY_REQUEST, pfa_alloc, watched, PAGEBLOCK_ORDER, flags | PFA_ZONE(1), &pfn);
	MUST_EQ(result, PFA_OK);
	CALL(BY_SPLIT, pfa_split, watched, pfn, PAGEBLOCK_ORDER, order);
	MUST_EQ(result, PFA_OK);
	return pfn;
}

static void scene_free(pfa_pfn pfn, unsigned order)
{
	CALL(BY_FREE, pfa_free, watched, pfn, order);
	MUST_EQ(result, PFA_OK);
}

static void scene_drain(void)
{
	CALL(BY_DRAIN, pfa_cache_drain, watched, PFA_ALL_CPUS);
}

static void scene_movable(size_t cookie, pfa_pfn pfn, unsigned order)
{
	keep(pfn, order);
	moving_set_block(cookie, nr_live - 1);
}

/* An area where a pageblock is of another type: by a movable block in it, or by the reserve. */
static void scene_area(pfa_pfn pfn)
{
	pfa_cma area;
	CALL(BY_RANGE, pfa_cma_create, watched, pfn, PAGEBLOCK, 0, &area, NULL);
	MUST_EQ(result, PFA_OK);
	CALL(BY_RANGE, pfa_cma_destroy, watched, area);
	MUST_EQ(result, PFA_OK);
}

static pfa_pfn scene_reserve(void)
{
	pfa_pfn pfn;
	CALL(BY_REQUEST, pfa_alloc, watched, 1, PFA_UNMOVABLE | PFA_HIGH, &pfn);
	MUST(result == PFA_OK && watched->zones[0].pb[pfn >> PAGEBLOCK_ORDER].code == PFAI_CODE_HIGHATOMIC);
	scene_free(pfn, 1);
	return pfn >> PAGEBLOCK_ORDER << PAGEBLOCK_ORDER;
}

static void scene_areas(void)
{
	const unsigned order = 3, half = PAGEBLOCK / 2;
	for (unsigned i = 0; i < SCENE_TYPES; i++) {
		pfa_pfn pfn = scene_pageblock(scene_types[i], order);
		for (unsigned at = 0; at < half; at += 1u << order)
			scene_free(pfn + at, order);
		for (unsigned at = half, k = 0; at < PAGEBLOCK; at += 1u << order, k++)
			scene_movable(i * 8 + k, pfn + at, order);
		scene_area(pfn);
	}
	scene_area(scene_reserve());
}

/* A pageblock becomes empty by what is freed while it is held, or by what a call takes out of the caches. */
static void scene_emptied(void)
{
	for (unsigned i = 0; i < SCENE_TYPES; i++) {
		pfa_token token;
		pfa_pfn pfn = scene_pageblock(scene_types[i], 5);
		scene_free(pfn, 5);
		CALL(BY_RANGE, pfa_isolate_range, watched, pfn, pfn + 1, 0, &token, NULL);
		MUST_EQ(result, PFA_OK);
		scene_free(pfn + 32, 5);
		CALL(BY_RANGE, pfa_undo_isolate_range, watched, pfn, pfn + 1, token);
		MUST_EQ(result, PFA_OK);
		/* The marked frame comes out of a cache, and makes its group's routes what they were; then all of the next pageblock does. */
		CALL(BY_REQUEST, pfa_alloc, watched, PAGEBLOCK_ORDER + 1, scene_types[i] | PFA_ZONE(1), &pfn);
		MUST_EQ(result, PFA_OK);
		CALL(BY_SPLIT, pfa_split, watched, pfn, PAGEBLOCK_ORDER + 1, 3);
		for (unsigned at = 8; at < 2 * PAGEBLOCK - 8; at += 8) {
			if (at < PAGEBLOCK)
				keep(pfn + at, 3);
			else
				scene_free(pfn + at, 3);
		}
		scene_drain();
		scene_free(pfn, 3);
		scene_free(pfn + 2 * PAGEBLOCK - 8, 3);
		CALL(BY_MARK_BAD, pfa_mark_bad, watched, pfn);
		MUST(result == PFA_OK && bytes[pfn] == PFAI_BAD);
	}
}

/* Bad frames go and come, or go for good; what was taken already goes back since something behind it stays: here a pinned block. */
static void scene_plug(void)
{
	const pfa_pfn bad = 300, behind_hole = 210;
	pfa_pfn pfn = behind_hole;
	CALL(BY_MARK_BAD, pfa_mark_bad, watched, bad);
	for (unsigned removed = 0; removed < 2; removed++) {
		CALL(BY_PLUG, pfa_offline_range, watched, bad, 1, PFA_TAKE_BAD, NULL);
		MUST_EQ(result, PFA_OK);
		if (removed) {
			CALL(BY_PLUG, pfa_remove_range, watched, bad, 1, NULL);
			MUST_EQ(result, PFA_OK);
			CALL(BY_PLUG, pfa_add_range, watched, bad, 1, NULL);
			MUST_EQ(result, PFA_OK);
		}
		CALL(BY_PLUG, pfa_online_range, watched, bad, 1, NULL);
		MUST(result == PFA_OK && bytes[bad] == (removed ? PFAI_NOTHING : PFAI_BAD));
	}
	CALL(BY_RANGE, pfa_alloc_contig_range, watched, pfn, pfn + 1, 0, NULL);
	MUST_EQ(result, PFA_OK);
	scene_movable(MOVING_BLOCKS - 1, pfn, 0);
	CALL(BY_MOVE, pfa_pin, watched, pfn);
	moving[MOVING_BLOCKS - 1].pins++;
	CALL(BY_PLUG, pfa_offline_range, watched, pfn - 20, 30, 0, NULL);
	MUST_EQ(result, PFA_EBUSY);
}

static int device_frees(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	pfa_pfn *rest = ctx;
	enum caller outside = now;
	(void)runs, (void)nr, (void)out_done;
	look_at_reporter();
	if (*rest)
		scene_free(*rest, 5);
	scene_drain();
	*rest = 0;
	now = outside;
	return PFA_OK;
}

static void scene_told(pfa_pfn pfn, int (*report)(void *, const struct pfa_run *, unsigned, unsigned *), void *ctx)
{
	const struct pfa_device device = { .size = sizeof(device), .report = report, .ctx = ctx, .min_order = 3,
		                           .capacity = PFA_REPORT_CAPACITY_LIMIT, .delay_ns = PFA_EXPLICIT_0,
		                           .only = { pfn, PAGEBLOCK } };
	scene_free(pfn, 5);
	scene_drain();
	CALL(BY_REGISTER, pfa_report_register, watched, &device);
	CALL(BY_FLUSH, pfa_report_flush, watched);
	zones_busy(false);
}

/* A device has half of a pageblock, and the rest of it comes free, or a frame of it is marked as bad: what goes back then makes it empty, or
 * bad, in a flush or when the device leaves. */
static void scene_leave(void)
{
	bool busy = true;
	for (unsigned i = 0; i < SCENE_TYPES; i++) {
		pfa_pfn pfn = scene_pageblock(scene_types[i], 5), rest = pfn + PAGEBLOCK / 2;
		scene_told(pfn, device_frees, &rest);
		CALL(BY_UNREGISTER, pfa_report_unregister, watched);
		for (unsigned marked = 0; marked < 2; marked++) {
			pfn = scene_pageblock(scene_types[i], 5);
			scene_told(pfn, device_leaves_busy, &busy);
			MUST_EQ(held_by_reporter(), PAGEBLOCK / 2);
			if (marked) {
				keep(pfn + PAGEBLOCK / 2, 5);
				CALL(BY_MARK_BAD, pfa_mark_bad, watched, pfn);
				MUST_EQ(result, PFA_EAGAIN);
			} else {
				scene_free(pfn + PAGEBLOCK / 2, 5);
				scene_drain();
			}
			CALL(BY_UNREGISTER, pfa_report_unregister, watched);
			MUST_EQ(result, PFA_OK);
		}
	}
}

/* A guard is in the way, whose block is outside: nothing was to be moved. */
static void scene_guard_in_the_way(void)
{
	pfa_pfn pfn = 0;
	for (unsigned i = 0; i < 8; i++) {
		CALL(BY_REQUEST, pfa_alloc, watched, 0, PFA_MOVABLE | PFA_GUARD | PFA_ZONE(1), &pfn);
		MUST(result == PFA_OK && bytes[pfn - 1] == PFAI_GUARD_BELOW);
		keep(pfn, 0);
		if (!bytes[pfn - 2] && !bytes[pfn - 3] && !bytes[pfn - 4])
			break;
	}
	CALL(BY_MARK_BAD, pfa_mark_bad, watched, pfn - 3);
	MUST_EQ(result, PFA_OK);
	CALL(BY_PLUG, pfa_offline_range, watched, pfn - 4, 4, PFA_TAKE_BAD, NULL);
	MUST_EQ(result, PFA_EBUSY);
}

static void scene_write(void)
{
	for (size_t i = 0; i < watched->span; i++)
		if (!bytes[i])
			memset((char *)rig.pool + (i << rig.cfg.frame_shift), 0x11, (size_t)1 << rig.cfg.frame_shift);
}

/* All that is free was written to: what is granted is bad, and its guards are freed, or stay untouchable (guard_op()). */
static void scene_guard_of_bad(void)
{
	pfa_pfn pfn;
	scene_write();
	for (unsigned i = 0; i < 6; i++) {
		CALL(BY_REQUEST, pfa_alloc, watched, 1, PFA_MOVABLE | PFA_GUARD, &pfn);
		MUST_EQ(result, PFA_ECORRUPT);
	}
}

static void scene_bad_reserve(void)
{
	pfa_pfn pfn = scene_reserve();
	scene_write();
	CALL(BY_RANGE, pfa_alloc_contig_range, watched, pfn, pfn + PAGEBLOCK, 0, NULL);
	MUST_EQ(result, PFA_ECORRUPT);
}

static void scene(unsigned variant, bool owner, bool device, void (*play)(void))
{
	with_owner = owner;
	with_device = device;
	moving_obeys = true;
	world_start(variant);
	play();
	world_end();
	moving_obeys = with_owner = with_device = false;
}

static void scenes(void)
{
	enum { FULL = 2, ZEROED = 1, NO_QUARANTINE = 8 };
	scene(0, true, false, scene_areas);
	scene(0, false, false, scene_emptied);
	scene(0, true, false, scene_plug);
	scene(0, false, true, scene_leave);
	if (level == 3) {
		scene(FULL | NO_QUARANTINE, false, false, scene_guard_in_the_way);
		scene(FULL | ZEROED | NO_QUARANTINE, false, false, scene_guard_of_bad);
		scene(FULL | ZEROED | NO_QUARANTINE, false, false, scene_bad_reserve);
	}
}

#endif
