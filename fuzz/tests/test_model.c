/* SPDX-License-Identifier: MIT
 *
 * test_model.c - the model judged by itself: for each judgement, a case that it must accept and cases that it must
 * refuse, with the monitor that says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../common/model.h"

static struct model m;
static struct verdict v;

static const struct pfa_run zone0_holes[] = { { 64, 4 }, { 100, 1 } };
static const struct pfa_run zone1_cma[] = { { 384, 64 } };

/* Zone 0: pfns 3..299, two holes. Zone 1: 300..515, shares pageblock 4 (256..319) with it; CMA at 384..447. */
static struct pfa_zone_config zones[2];
static struct pfa_config cfg;

static void zero_nothing(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	(void)ctx;
	(void)first;
	(void)nr_frames;
	(void)ptr;
}

static int setup(void **state)
{
	static struct pfa_platform platform = { .size = sizeof(platform), .zero = zero_nothing };

	(void)state;
	zones[0] = (struct pfa_zone_config){ .size = sizeof(zones[0]), .start = 3, .nr_frames = 297,
	                                     .holes = zone0_holes, .nr_holes = 2, .mark_min = 16, .mark_low = 32,
	                                     .mark_high = 40, .highatomic_frames = 64 };
	zones[1] = (struct pfa_zone_config){ .size = sizeof(zones[1]), .start = 300, .nr_frames = 216,
	                                     .cma = zone1_cma, .nr_cma = 1 };
	pfa_config_init(&cfg);
	cfg.platform = &platform;
	cfg.zones = zones;
	cfg.nr_zones = 2;
	cfg.max_order = 7;
	cfg.pageblock_order = 6;
	cfg.nr_cpus = 2;
	memset(&m, 0x5A, sizeof(m));
	memset(&v, 0, sizeof(v));
	return model_init(&m, &cfg) ? 0 : -1;
}

/* A zone's counters as a sound allocator with empty caches would show them. */
static struct pfa_zone_stats sound(unsigned zone)
{
	const struct model_zone *z = &m.zone[zone];
	struct pfa_zone_stats s = { .present = z->present, .allocated = z->owned, .free = z->present - z->owned };
	s.free_cma = z->present_cma - z->owned_cma;
	s.mark_min = z->mark[0];
	s.mark_low = z->mark[1];
	s.mark_high = z->mark[2];
	return s;
}

#define ASSERT_SAYS(call, name)                                                                                    \
	do {                                                                                                       \
		v.monitor = "";                                                                                    \
		assert_false(call);                                                                                \
		assert_string_equal(v.monitor, name);                                                              \
	} while (0)

static void test_init(void **state)
{
	size_t index;

	(void)state;
	assert_int_equal(m.zone[0].present, 292);
	assert_int_equal(m.zone[1].present, 216);
	assert_int_equal(m.zone[1].present_cma, 64);
	assert_int_equal(m.zone[0].nr_pb, 5);
	assert_int_equal(m.zone[1].nr_pb, 5);
	assert_int_equal(model_zone_of(&m, 2, &index), 2);
	assert_int_equal(model_zone_of(&m, 3, &index), 0);
	assert_int_equal(index, 0);
	assert_int_equal(model_zone_of(&m, 299, &index), 0);
	assert_int_equal(model_zone_of(&m, 300, &index), 1);
	assert_int_equal(index, 297);
	assert_int_equal(model_zone_of(&m, 515, &index), 1);
	assert_int_equal(model_zone_of(&m, 516, &index), 2);
	assert_int_equal(m.state[64 - 3], MODEL_ABSENT);
	assert_int_equal(m.state[68 - 3], MODEL_FREE);
	assert_int_equal(model_type_of(&m, 1, 384), PFA_TYPE_CMA);
	assert_int_equal(model_type_of(&m, 1, 383), PFA_TYPE_MOVABLE);
	assert_int_equal(model_type_of(&m, 1, 448), PFA_TYPE_MOVABLE);
	assert_true(model_judge_itself(&m, &v));
}

static void test_init_limits(void **state)
{
	(void)state;
	zones[1].nr_frames = MODEL_FRAMES;
	assert_false(model_init(&m, &cfg));
	zones[1].nr_frames = MODEL_FRAMES - 297;
	assert_true(model_init(&m, &cfg));
	cfg.nr_zones = 0;
	assert_false(model_init(&m, &cfg));
	cfg.nr_zones = MODEL_ZONES + 1;
	assert_false(model_init(&m, &cfg));
}

static void test_request_codes(void **state)
{
	const uint32_t fine = MODEL_CODE(PFA_OK) | MODEL_CODE(PFA_ENOMEM);
	struct request r = request_block(7, PFA_MOVABLE);

	(void)state;
	assert_int_equal(model_request_codes(&m, &r), fine);
	r = request_block(8, 0);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	for (uint32_t type = 3; type < 8; type++) {
		r = request_block(0, type);
		assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	}
	for (unsigned bit = 10; bit < 24; bit++) {
		r = request_block(0, 1u << bit);
		assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	}
	r = request_block(0, PFA_ZONE(2));
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_block(0, PFA_ZONE(1) | PFA_EXACT_ZONE | PFA_NOWAIT);
	assert_int_equal(model_request_codes(&m, &r), fine | MODEL_CODE(PFA_EAGAIN));
	m.can_zero = false;
	r = request_block(0, PFA_ZERO);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_ENOTSUP));
	r = request_block(9, PFA_ZERO);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_ENOTSUP) | MODEL_CODE(PFA_EINVAL));
	r = request_exact(0, 0, 0);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_exact(129, 0, 0);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_exact(128, 0, 0);
	assert_int_equal(model_request_codes(&m, &r), fine);
	assert_int_equal(r.order, 7);
	r = request_exact(3, 5, 0);
	assert_int_equal(r.order, 5);
	r = request_exact(3, 8, 0);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_window(0, 0, (struct pfa_run){ 5, 0 });
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_window(0, 0, (struct pfa_run){ SIZE_MAX - 3, 4 });
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
}

/* Guards: at level 3, for single blocks that fit into one four times as large. */
static void test_guard_codes(void **state)
{
	const uint32_t fine = MODEL_CODE(PFA_OK) | MODEL_CODE(PFA_ENOMEM);
	struct request r = request_block(5, PFA_GUARD);

	(void)state;
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_ENOTSUP));
	r = request_block(6, PFA_GUARD);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_ENOTSUP) | MODEL_CODE(PFA_EINVAL));
	m.can_guard = true;
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_block(5, PFA_GUARD | PFA_MOVABLE);
	assert_int_equal(model_request_codes(&m, &r), fine);
	r.no_guard = true;
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_exact(3, 0, PFA_GUARD);
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
	r = request_window(1, PFA_GUARD, (struct pfa_run){ 0, 64 });
	assert_int_equal(model_request_codes(&m, &r), MODEL_CODE(PFA_EINVAL));
}

/* Frees are counted on their cpu, and only as long as nothing is emptied. */
static void test_quarantine(void **state)
{
	(void)state;
	m.quarantine = 4;
	(void)model_take(&m, 8, 1);
	(void)model_take(&m, 16, 0);
	assert_int_equal(model_rested(&m, 8, 2), UINT32_MAX);
	assert_int_equal(model_mark_bad(&m, 9), PFA_EAGAIN);
	model_release(&m, 8, 1);
	assert_int_equal(model_rested(&m, 8, 2), 0);
	assert_int_equal(m.zone[0].fading, 1);
	const struct expectation e = model_expect_free(&m, 9, 0);
	assert_int_equal(e.kinds, 1u << PFA_FAULT_BAD | 1u << PFA_FAULT_DOUBLE_FREE_QUARANTINED | 1u << PFA_FAULT_TAIL);
	m.cpu = 1;
	model_release(&m, 16, 0);
	assert_int_equal(model_rested(&m, 8, 2), 0);
	assert_int_equal(model_rested(&m, 4, 16), 0);
	m.cpu = 0;
	(void)model_take(&m, 20, 0);
	model_release(&m, 20, 0);
	assert_int_equal(model_rested(&m, 8, 2), 1);
	assert_int_equal(model_rested(&m, 16, 1), 0);
	m.cpu = UINT32_MAX; /* past the caches */
	(void)model_take(&m, 24, 0);
	model_release(&m, 24, 0);
	assert_int_equal(model_rested(&m, 24, 1), UINT32_MAX);
	m.cpu = 0;
	(void)model_take(&m, 28, 1);
	assert_int_equal(model_mark_bad(&m, 29), PFA_EAGAIN);
	model_release_past(&m, 28, 1);
	assert_int_equal(model_rested(&m, 28, 2), UINT32_MAX);
	assert_int_equal(model_rested(&m, 8, 2), 1); /* and no free of this cpu */
	assert_int_equal(m.zone[0].fading, 1);
	assert_int_equal(model_expect_free(&m, 29, 0).kinds, 1u << PFA_FAULT_BAD);
	model_none_rests(&m, 0);
	assert_int_equal(m.zone[0].fading, 0);
	assert_int_equal(model_expect_free(&m, 9, 0).kinds, 1u << PFA_FAULT_BAD);
	model_forget_frees(&m);
	assert_int_equal(model_rested(&m, 8, 16), UINT32_MAX);
	assert_true(model_judge_itself(&m, &v));
}

static void test_grant_place(void **state)
{
	struct request r = request_block(2, PFA_MOVABLE);

	(void)state;
	assert_true(model_judge_grant(&m, &r, 4, &v));
	ASSERT_SAYS(model_judge_grant(&m, &r, 6, &v), "I15 alignment");
	ASSERT_SAYS(model_judge_grant(&m, &r, 0, &v), "I15 zone");
	ASSERT_SAYS(model_judge_grant(&m, &r, 516, &v), "I15 zone");
	ASSERT_SAYS(model_judge_grant(&m, &r, SIZE_MAX - 3, &v), "I15 zone");
	ASSERT_SAYS(model_judge_grant(&m, &r, 64, &v), "I15 hole");
	ASSERT_SAYS(model_judge_grant(&m, &r, 100, &v), "I15 hole");
	r = request_block(3, PFA_MOVABLE);
	ASSERT_SAYS(model_judge_grant(&m, &r, 296, &v), "I15 zone"); /* 296..303 crosses from zone 0 into zone 1 */
	r = request_block(0, PFA_ZONE(1));
	ASSERT_SAYS(model_judge_grant(&m, &r, 5, &v), "zone order");
	r = request_block(0, PFA_ZONE(0) | PFA_EXACT_ZONE);
	ASSERT_SAYS(model_judge_grant(&m, &r, 301, &v), "zone order");
	r = request_block(0, PFA_ZONE(0));
	assert_true(model_judge_grant(&m, &r, 301, &v));
}

static void test_grant_owner(void **state)
{
	struct request r = request_block(1, PFA_MOVABLE);

	(void)state;
	model_take(&m, 8, 2);
	assert_true(model_judge_itself(&m, &v));
	ASSERT_SAYS(model_judge_grant(&m, &r, 8, &v), "I15 owner");
	ASSERT_SAYS(model_judge_grant(&m, &r, 10, &v), "I15 owner");
	assert_true(model_judge_grant(&m, &r, 12, &v));
	model_release(&m, 8, 2);
	assert_true(model_judge_grant(&m, &r, 10, &v));
	assert_int_equal(m.zone[0].owned, 0);
	assert_true(model_judge_itself(&m, &v));
}

static void test_grant_window_and_exact(void **state)
{
	struct request r = request_window(2, 0, (struct pfa_run){ 9, 8 });

	(void)state;
	assert_true(model_judge_grant(&m, &r, 12, &v));
	ASSERT_SAYS(model_judge_grant(&m, &r, 8, &v), "window");
	ASSERT_SAYS(model_judge_grant(&m, &r, 16, &v), "window");
	ASSERT_SAYS(model_judge_grant(&m, &r, 20, &v), "window");
	r = request_exact(5, 2, 0);
	assert_true(model_judge_grant(&m, &r, 12, &v));
	ASSERT_SAYS(model_judge_grant(&m, &r, 10, &v), "I15 alignment");
	ASSERT_SAYS(model_judge_grant(&m, &r, 296, &v), "I15 zone");
	model_take_exact(&m, 12, 5);
	assert_int_equal(m.zone[0].owned, 5);
	assert_int_equal(model_expect_free(&m, 14, 0).code, PFA_OK);
	assert_int_equal(model_expect_range(&m, 12, 5).code, PFA_OK);
	assert_int_equal(model_expect_range(&m, 12, 6).code, PFA_EMISUSE);
}

static void test_types(void **state)
{
	struct request movable = request_block(0, PFA_MOVABLE), other = request_block(0, PFA_RECLAIMABLE);
	struct request high = request_block(0, PFA_HIGH);

	(void)state;
	assert_true(model_judge_type(&m, &movable, 384, &v));
	ASSERT_SAYS(model_judge_type(&m, &other, 384, &v), "I3 cma");
	ASSERT_SAYS(model_judge_type(&m, &high, 447, &v), "I3 cma");
	assert_true(model_judge_type(&m, &other, 448, &v));
	other = request_block(7, PFA_RECLAIMABLE); /* 384..511: only its first half is CMA */
	ASSERT_SAYS(model_judge_type(&m, &other, 384, &v), "I3 cma");
	assert_true(model_set_type(&m, 0, 1, PFA_TYPE_HIGHATOMIC, &v));
	ASSERT_SAYS(model_judge_type(&m, &movable, 70, &v), "I3 highatomic");
	assert_true(model_judge_type(&m, &high, 70, &v));
	ASSERT_SAYS(model_set_type(&m, 1, 2, PFA_TYPE_UNMOVABLE, &v), "I3 cma type");
	ASSERT_SAYS(model_set_type(&m, 1, 0, PFA_TYPE_CMA, &v), "I3 cma type");
	ASSERT_SAYS(model_set_type(&m, 1, 0, PFA_TYPE_HIGHATOMIC, &v), "I3 reserve");
	ASSERT_SAYS(model_set_type(&m, 1, 0, PFA_TYPE_ISOLATE, &v), "I3 type");
	assert_true(model_set_type(&m, 0, 1, PFA_TYPE_MOVABLE, &v));
	model_take(&m, 448, 5); /* half of the pageblock: may be stolen */
	assert_true(model_set_type(&m, 1, 3, PFA_TYPE_UNMOVABLE, &v));
	model_take(&m, 480, 0); /* could have come after it was stolen */
	assert_true(model_set_type(&m, 1, 3, PFA_TYPE_RECLAIMABLE, &v));
	ASSERT_SAYS(model_set_type(&m, 1, 3, PFA_TYPE_UNMOVABLE, &v), "I3 steal");
}

static void test_marks(void **state)
{
	struct request r = request_block(3, 0);
	struct pfa_zone_stats before = sound(0), after;

	(void)state;
	before.free = 24;
	after = before;
	after.free = 16;
	after.nr_direct++;
	assert_true(model_judge_marks(&m, &r, 0, &before, &after, &v));
	after.free = 15;
	ASSERT_SAYS(model_judge_marks(&m, &r, 0, &before, &after, &v), "I12 watermark");
	r = request_block(3, PFA_HIGH);
	assert_true(model_judge_marks(&m, &r, 0, &before, &after, &v));
	after.free = 7;
	ASSERT_SAYS(model_judge_marks(&m, &r, 0, &before, &after, &v), "I12 watermark");
	r = request_block(3, 0);
	after.free = before.free; /* nothing left the zone: a hit */
	after.nr_direct = before.nr_direct;
	after.free = 24;
	assert_true(model_judge_marks(&m, &r, 0, &before, &after, &v));
	after.free = 20; /* the reserve is not for this request */
	after.free_highatomic = 5;
	after.nr_refill++;
	ASSERT_SAYS(model_judge_marks(&m, &r, 0, &before, &after, &v), "I12 watermark");
	after.free_highatomic = 4;
	assert_true(model_judge_marks(&m, &r, 0, &before, &after, &v));
	after.free_cma = 1; /* nor is CMA, unless it is movable */
	ASSERT_SAYS(model_judge_marks(&m, &r, 0, &before, &after, &v), "I12 watermark");
	r = request_block(3, PFA_MOVABLE);
	assert_true(model_judge_marks(&m, &r, 0, &before, &after, &v));
	after.free = 3; /* more is set aside than is free: signed, so still refused */
	after.free_highatomic = 10;
	ASSERT_SAYS(model_judge_marks(&m, &r, 0, &before, &after, &v), "I12 watermark");
}

/* Owns every frame of a zone except [keep, keep + nr). */
static void own_all_but(unsigned zone, pfa_pfn keep, size_t nr)
{
	const struct model_zone *z = &m.zone[zone];
	for (pfa_pfn pfn = z->start; pfn < z->start + z->nr; pfn++)
		if ((pfn < keep || pfn >= keep + nr) && m.state[z->base + (pfn - z->start)] == MODEL_FREE)
			model_take(&m, pfn, 0);
}

static void test_refusal(void **state)
{
	struct pfa_zone_stats stats[2];
	struct request r = request_block(2, PFA_ZONE(1));
	pfa_pfn pfn = 0;

	(void)state;
	own_all_but(1, 321, 7); /* 321..327: 324..327 is the only block of order 2 */
	stats[0] = sound(0);
	stats[1] = sound(1);
	assert_true(model_fits(&m, &r, 1, &pfn));
	assert_int_equal(pfn, 324);
	ASSERT_SAYS(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v), "I12 liveness");
	assert_int_equal(v.pfn, 324);
	model_take(&m, 326, 0);
	stats[1] = sound(1);
	assert_true(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v));
	r = request_block(1, PFA_ZONE(1));
	assert_true(model_fits(&m, &r, 1, &pfn));
	assert_int_equal(pfn, 322);
	stats[1].cached = stats[1].free; /* all of it in caches: a plain request drains, NOWAIT need not */
	stats[1].free = 0;
	ASSERT_SAYS(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v), "I12 liveness");
	r.flags |= PFA_NOWAIT;
	assert_true(model_judge_refusal(&m, &r, PFA_EAGAIN, stats, &v));
	ASSERT_SAYS(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v), "I12 final");
	assert_int_equal(v.pfn, 322);
	stats[1] = sound(1);
	ASSERT_SAYS(model_judge_refusal(&m, &r, PFA_EAGAIN, stats, &v), "I12 liveness");
	stats[1].mark_min = 5; /* 6 are free, 2 wanted: the mark says no */
	assert_true(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v));
	stats[1].mark_min = 4;
	ASSERT_SAYS(model_judge_refusal(&m, &r, PFA_ENOMEM, stats, &v), "I12 liveness");
}

static void test_fits_classes(void **state)
{
	struct request r = request_block(6, PFA_ZONE(1));
	pfa_pfn pfn = 0;

	(void)state;
	own_all_but(1, 384, 128); /* 384..447 CMA, 448..511 MOVABLE */
	assert_true(model_fits(&m, &r, 1, &pfn));
	assert_int_equal(pfn, 448);
	r = request_block(6, PFA_MOVABLE);
	assert_true(model_fits(&m, &r, 1, &pfn));
	assert_int_equal(pfn, 384);
	r = request_block(7, PFA_MOVABLE); /* never one block: CMA does not merge with others */
	assert_false(model_fits(&m, &r, 1, &pfn));
	r = request_window(6, PFA_MOVABLE, (struct pfa_run){ 385, 127 });
	assert_true(model_fits(&m, &r, 1, &pfn));
	assert_int_equal(pfn, 448);
	r = request_window(6, PFA_MOVABLE, (struct pfa_run){ 385, 126 });
	assert_false(model_fits(&m, &r, 1, &pfn));
	m.zone[0].highatomic_frames = 64;
	assert_true(model_set_type(&m, 0, 2, PFA_TYPE_HIGHATOMIC, &v));
	own_all_but(0, 128, 64);
	r = request_block(0, 0);
	assert_false(model_fits(&m, &r, 0, &pfn));
	r = request_block(0, PFA_HIGH);
	assert_true(model_fits(&m, &r, 0, &pfn));
}

static void test_largest(void **state)
{
	struct pfa_zone_stats stats[2];
	int least, most;

	(void)state;
	own_all_but(0, 16, 16);
	own_all_but(1, 320, 4);
	stats[0] = sound(0);
	stats[1] = sound(1);
	model_largest(&m, PFA_ZONE(1), stats, &least, &most);
	assert_int_equal(least, 2);
	assert_int_equal(most, 2);
	model_largest(&m, 0, stats, &least, &most); /* zone 0 holds 16 frames, all below its mark */
	assert_int_equal(least, 2);
	assert_int_equal(most, 4);
	stats[1].cached = 1;
	stats[1].free--;
	model_largest(&m, PFA_ZONE(1), stats, &least, &most);
	assert_int_equal(least, -1);
	assert_int_equal(most, 2);
}

static void expect_kinds(struct expectation e, uint32_t kinds)
{
	assert_int_equal(e.code, kinds ? PFA_EMISUSE : PFA_OK);
	assert_int_equal(e.kinds, kinds);
}

#define K(kind) (1u << PFA_FAULT_##kind)

static void test_frees(void **state)
{
	(void)state;
	model_take(&m, 8, 2);
	expect_kinds(model_expect_free(&m, 8, 2), 0);
	expect_kinds(model_expect_free(&m, 8, 1), K(WRONG_ORDER));
	expect_kinds(model_expect_free(&m, 8, 4), K(WRONG_ORDER) | K(MISALIGNED));
	expect_kinds(model_expect_free(&m, 10, 1), K(TAIL));
	expect_kinds(model_expect_free(&m, 9, 1), K(TAIL) | K(MISALIGNED));
	expect_kinds(model_expect_free(&m, 12, 2), K(DOUBLE_FREE) | K(DOUBLE_FREE_CACHED) | K(TAIL));
	expect_kinds(model_expect_free(&m, 64, 0), K(HOLE));
	expect_kinds(model_expect_free(&m, 2, 0), K(OUT_OF_RANGE));
	expect_kinds(model_expect_free(&m, 516, 2), K(OUT_OF_RANGE));
	expect_kinds(model_expect_free(&m, 8, 8), K(ORDER_LIMIT) | K(WRONG_ORDER) | K(MISALIGNED));
	expect_kinds(model_expect_free(&m, 8, 200), K(ORDER_LIMIT) | K(WRONG_ORDER));
	model_split(&m, 8, 2, 1);
	expect_kinds(model_expect_free(&m, 8, 2), K(WRONG_ORDER));
	expect_kinds(model_expect_free(&m, 10, 1), 0);
	expect_kinds(model_expect_free(&m, 11, 0), K(TAIL));
	model_release(&m, 10, 1);
	expect_kinds(model_expect_free(&m, 10, 1), K(DOUBLE_FREE) | K(DOUBLE_FREE_CACHED) | K(TAIL));
	assert_int_equal(m.zone[0].owned, 2);
	assert_int_equal(model_expect_split(&m, 8, 1, 2).code, PFA_EINVAL);
	assert_int_equal(model_expect_split(&m, 8, 1, 0).code, PFA_OK);
	assert_int_equal(model_expect_split(&m, 8, 2, 0).code, PFA_EMISUSE);
}

static void test_free_range(void **state)
{
	(void)state;
	model_take(&m, 296, 2); /* up to the end of zone 0 */
	model_take(&m, 300, 2); /* from the start of zone 1 */
	expect_kinds(model_expect_range(&m, 296, 8), 0);
	expect_kinds(model_expect_range(&m, 296, 7), K(MIXED_RANGE));
	expect_kinds(model_expect_range(&m, 297, 7), K(MIXED_RANGE));
	expect_kinds(model_expect_range(&m, 296, 9), K(MIXED_RANGE));
	expect_kinds(model_expect_range(&m, 64, 1), K(MIXED_RANGE));
	assert_int_equal(model_expect_range(&m, 296, 0).code, PFA_EINVAL);
	assert_int_equal(model_expect_range(&m, SIZE_MAX, 2).code, PFA_EINVAL);
	model_release_range(&m, 296, 8);
	assert_int_equal(m.zone[0].owned, 0);
	assert_int_equal(m.zone[1].owned, 0);
	assert_true(model_judge_itself(&m, &v));
}

static void test_sums(void **state)
{
	struct pfa_zone_stats s;

	(void)state;
	model_take(&m, 384, 3);
	model_take(&m, 330, 0);
	s = sound(1);
	assert_true(model_judge_sums(&m, 1, &s, &v));
	s.cached = 7;
	s.free -= 7;
	assert_true(model_judge_sums(&m, 1, &s, &v));
	s.free++;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I1 conservation");
	s = sound(1);
	s.present--;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 present");
	s = sound(1);
	s.allocated--;
	s.free++;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 allocated");
	s = sound(1);
	s.quarantined = 1;
	s.free--;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I1 held");
	m.quarantine = 1;
	assert_true(model_judge_sums(&m, 1, &s, &v));
	s.free_cma--;
	assert_true(model_judge_sums(&m, 1, &s, &v));
	s.free_cma--;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 cma");
	m.quarantine = 0;
	s = sound(1);
	s.held_move = 1;
	s.free--;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 free");
	s = sound(1);
	s.free_isolated = 1;
	s.free--;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I4 free_isolated");
	s = sound(1);
	s.free_cma++;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 cma");
	s = sound(1);
	s.free_highatomic = 1;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 highatomic");
	s = sound(1);
	s.reserved_highatomic = 64;
	ASSERT_SAYS(model_judge_sums(&m, 1, &s, &v), "I6 reserve");
}

static void test_itself(void **state)
{
	(void)state;
	model_take(&m, 8, 2);
	assert_true(model_judge_itself(&m, &v));
	m.zone[0].owned++;
	ASSERT_SAYS(model_judge_itself(&m, &v), "harness sums");
	m.zone[0].owned--;
	m.owner[9 - 3] = 0;
	ASSERT_SAYS(model_judge_itself(&m, &v), "harness owner");
}

static void test_zero_shadow(void **state)
{
	(void)state;
	assert_int_equal(m.zero[0], 0);
	cfg.flags = PFA_CONFIG_ZEROED_POOL;
	assert_true(model_init(&m, &cfg));
	assert_int_equal(m.zero[0], 1);
	assert_int_equal(m.zero[297 + 215], 1);
	model_take(&m, 8, 1);
	assert_int_equal(m.zero[8 - 3], 0);
	assert_int_equal(m.zero[9 - 3], 0);
	assert_int_equal(m.zero[10 - 3], 1);
}

static void test_bad(void **state)
{
	const struct request r = request_block(2, PFA_MOVABLE);

	(void)state;
	assert_int_equal(model_mark_bad(&m, 2), PFA_ERANGE);
	assert_int_equal(model_mark_bad(&m, 64), PFA_ERANGE); /* a hole */
	assert_int_equal(model_mark_bad(&m, 9), PFA_OK);
	assert_int_equal(model_mark_bad(&m, 9), PFA_OK);
	assert_int_equal(m.zone[0].bad, 1);
	expect_kinds(model_expect_free(&m, 9, 0), K(BAD));
	assert_false(model_judge_grant(&m, &r, 8, &v));
	assert_string_equal(v.monitor, "I15 bad");
	model_take(&m, 16, 2);
	assert_int_equal(model_mark_bad(&m, 18), PFA_EAGAIN);
	assert_int_equal(model_mark_bad(&m, 18), PFA_EAGAIN);
	expect_kinds(model_expect_free(&m, 16, 2), 0);
	assert_int_equal(m.zone[0].bad, 1);
	model_release(&m, 16, 2);
	assert_int_equal(m.zone[0].bad, 2);
	expect_kinds(model_expect_free(&m, 18, 0), K(BAD));
	expect_kinds(model_expect_free(&m, 17, 0), K(DOUBLE_FREE) | K(DOUBLE_FREE_CACHED) | K(TAIL));
	assert_true(model_judge_itself(&m, &v));
}

/* A birth ends with the block, and with each split, even one into itself. */
static void test_births(void **state)
{
	(void)state;
	assert_int_equal(model_birth(&m, 8, 2), 0);
	model_take(&m, 8, 2);
	const uint32_t first = model_birth(&m, 8, 2);
	assert_int_not_equal(first, 0);
	assert_int_equal(model_birth(&m, 8, 1), 0);
	assert_int_equal(model_birth(&m, 9, 2), 0);
	model_split(&m, 8, 2, 2);
	const uint32_t second = model_birth(&m, 8, 2);
	assert_true(second != 0 && second != first);
	model_release(&m, 8, 2);
	assert_int_equal(model_birth(&m, 8, 2), 0);
	model_take(&m, 8, 2);
	assert_true(model_birth(&m, 8, 2) != first && model_birth(&m, 8, 2) != second);
	expect_kinds(model_expect_free_checked(&m, 8, 2, true), 0);
	expect_kinds(model_expect_free_checked(&m, 8, 2, false), K(STALE_HANDLE));
	expect_kinds(model_expect_free_checked(&m, 8, 1, true), K(STALE_HANDLE) | K(WRONG_ORDER));
	expect_kinds(model_expect_free_checked(&m, 2, 0, false), K(OUT_OF_RANGE));
}

static void expect_event(pfa_pfn pfn, enum pfa_event_op op, pfa_pfn head, unsigned order, uint32_t tag)
{
	struct pfa_event e;

	assert_true(model_newest_event(&m, pfn, &e));
	assert_int_equal(e.op, op);
	assert_int_equal(e.pfn, head);
	assert_int_equal(e.order, order);
	assert_int_equal(e.tag, tag);
}

static void test_events(void **state)
{
	struct pfa_event e;

	(void)state;
	assert_false(model_newest_event(&m, 8, &e)); /* no history */
	cfg.history = 2;
	assert_true(model_init(&m, &cfg));
	assert_false(model_newest_event(&m, 8, &e));
	m.tag = 1;
	model_take(&m, 8, 2);
	expect_event(11, PFA_EVENT_ALLOC, 8, 2, 1);
	m.tag = 2;
	model_split(&m, 8, 2, 1);
	expect_event(9, PFA_EVENT_SPLIT, 8, 1, 2);
	expect_event(11, PFA_EVENT_SPLIT, 10, 1, 2);
	m.tag = 3;
	model_release(&m, 10, 1);
	expect_event(11, PFA_EVENT_FREE, 10, 1, 3);
	model_take_exact(&m, 10, 1);
	expect_event(10, PFA_EVENT_ALLOC, 10, 0, 3);
	expect_event(11, PFA_EVENT_FREE, 10, 1, 3);
	model_release(&m, 10, 0); /* the second event at 10 since the one that 11 has */
	expect_event(10, PFA_EVENT_FREE, 10, 0, 3);
	assert_false(model_newest_event(&m, 11, &e));
	assert_false(model_newest_event(&m, 2, &e));
	m.tag = 4;
	assert_int_equal(model_mark_bad(&m, 9), PFA_EAGAIN); /* its owner has it */
	expect_event(9, PFA_EVENT_SPLIT, 8, 1, 2);
	assert_int_equal(model_mark_bad(&m, 20), PFA_OK);
	m.tag = 5;
	assert_int_equal(model_mark_bad(&m, 20), PFA_OK);
	expect_event(20, PFA_EVENT_BAD, 20, 0, 4);
	model_release(&m, 8, 1);
	expect_event(9, PFA_EVENT_FREE, 8, 1, 5);
	m.quarantine = 1;
	m.tag = 6;
	(void)model_take(&m, 24, 1);
	assert_int_equal(model_mark_bad(&m, 25), PFA_EAGAIN);
	assert_false(model_fades(&m, 25));
	model_release(&m, 24, 1);
	assert_true(model_fades(&m, 25) && !model_fades(&m, 24));
	assert_int_equal(model_mark_bad(&m, 25), PFA_OK); /* it may have left the quarantine, and then nothing happens */
	expect_event(25, PFA_EVENT_FREE, 24, 1, 6);
	model_mark_faded(&m, 25);
	expect_event(25, PFA_EVENT_BAD, 25, 0, 6);
	assert_false(model_fades(&m, 25));
	assert_true(model_judge_itself(&m, &v));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_init), TEST(test_init_limits), TEST(test_request_codes), TEST(test_grant_place),
		TEST(test_init), TEST(test_init_limits), TEST(test_guard_codes), TEST(test_grant_place),
		TEST(test_init), TEST(test_init_limits), TEST(test_quarantine), TEST(test_grant_place),
		TEST(test_grant_owner), TEST(test_grant_window_and_exact), TEST(test_types), TEST(test_marks),
		TEST(test_refusal), TEST(test_fits_classes), TEST(test_largest), TEST(test_frees), TEST(test_free_range),
		TEST(test_sums), TEST(test_itself), TEST(test_zero_shadow), TEST(test_bad),
		TEST(test_births), TEST(test_events),
	};
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
