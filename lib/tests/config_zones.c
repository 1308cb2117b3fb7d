/* SPDX-License-Identifier: MIT
 *
 * Configuration of zones: their place, span, holes, CMA areas and marks. A part of test_config.c.
 */
#include "config_scene.h"

#include <string.h>

void test_zones(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	REFUSE(&rig, PFA_CONFIG_ZONES, 0);
	for (unsigned i = 0; i < PFA_ZONES_LIMIT; i++)
		rig_zone(&rig, i * 100, 100);
	ACCEPT(&rig);
	struct pfa_zone_config many[PFA_ZONES_LIMIT + 1];
	memcpy(many, rig.zones, sizeof(rig.zones));
	many[PFA_ZONES_LIMIT] = many[0];
	many[PFA_ZONES_LIMIT].start = 50000;
	rig.cfg.zones = many;
	rig.cfg.nr_zones = PFA_ZONES_LIMIT + 1;
	REFUSE(&rig, PFA_CONFIG_ZONES, 0);

	base(&rig);
	rig_zone(&rig, 5000, 0);
	REFUSE(&rig, PFA_CONFIG_ZONE_EMPTY, 1);
	rig.zones[1].nr_frames = SIZE_MAX - 4998;
	REFUSE(&rig, PFA_CONFIG_ZONE_OVERFLOW, 1);
	rig.zones[1].start = SIZE_MAX;
	rig.zones[1].nr_frames = 2;
	REFUSE(&rig, PFA_CONFIG_ZONE_OVERFLOW, 1);
}

void test_overlap(void **state)
{
	(void)state;
	struct rig rig;
	const struct {
		pfa_pfn start;
		size_t nr;
		bool overlaps;
	} other[] = {{0, 1024, true},   {1023, 1, true},   {500, 10, true},  {500, 5000, true},
	             {1024, 1, false},  {99999, 1, false}, {0, 1, true},     {1000, 100, true}};
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		base(&rig);
		rig_zone(&rig, other[i].start, other[i].nr);
		if (!other[i].overlaps) {
			ACCEPT(&rig);
			continue;
		}
		struct pfa_footprint need;
		enum pfa_config_problem why;
		unsigned where = 99;
		EXPECT(pfa_size, PFA_EINVAL, &rig.cfg, &need, &why, &where);
		assert_int_equal(why, PFA_CONFIG_ZONE_OVERLAP);
		assert_true(where <= 1);
	}
	problem_seen[PFA_CONFIG_ZONE_OVERLAP] = true;
}

void test_span(void **state)
{
	(void)state;
	struct rig rig;
#if SIZE_MAX > 0xFFFFFFFFu
	const pfa_pfn far = (pfa_pfn)1 << 50;
	base(&rig);
	rig_zone(&rig, far, 1024);
	REFUSE(&rig, PFA_CONFIG_SPAN, 0);
	rig.zones[0].start = far - 100000; /* far away alone is fine */
	ACCEPT(&rig);
	rig_init(&rig);
	rig_zone(&rig, far, (size_t)1 << 33);
	REFUSE(&rig, PFA_CONFIG_SPAN, 0);
	problem_seen[PFA_CONFIG_FOOTPRINT] = true; /* a span below 2^32 frames cannot overflow a 64-bit size */
#else
	rig_init(&rig);
	rig_zone(&rig, 0, 0xF0000000u);
	REFUSE(&rig, PFA_CONFIG_SPAN, 0);
	rig.zones[0].nr_frames = 1u << 30; /* a byte a frame, and far too large caches */
	rig.cfg.nr_cpus = 4096;
	rig.cfg.cache_high = 32767;
	REFUSE(&rig, PFA_CONFIG_FOOTPRINT, 0);
#endif
	/* The last pfns of all are not for use. */
	base(&rig);
	rig.zones[0].start = SIZE_MAX - 1024;
	REFUSE(&rig, PFA_CONFIG_SPAN, 0);
}

void test_holes(void **state)
{
	(void)state;
	struct rig rig;
	const struct {
		struct pfa_run runs[2];
		size_t nr;
		bool fine;
	} cases[] = {
		{{{1010, 5}}, 1, true},
		{{{1000, 1}}, 1, true},
		{{{1999, 1}}, 1, true},
		{{{1010, 5}, {1015, 1}}, 2, true}, /* touching is not overlapping */
		{{{1010, 0}}, 1, false},
		{{{999, 2}}, 1, false},
		{{{1999, 2}}, 1, false},
		{{{2000, 1}}, 1, false},
		{{{5, 3}}, 1, false},
		{{{1010, SIZE_MAX - 1000}}, 1, false},
		{{{1010, 5}, {1014, 5}}, 2, false},
		{{{1020, 5}, {1010, 5}}, 2, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_init(&rig);
		rig_zone(&rig, 0, 64);
		struct pfa_zone_config *z = rig_zone(&rig, 1000, 1000);
		z->holes = cases[i].runs;
		z->nr_holes = cases[i].nr;
		if (cases[i].fine)
			ACCEPT(&rig);
		else
			REFUSE(&rig, PFA_CONFIG_HOLES, 1);
	}
}

void test_cma(void **state)
{
	(void)state;
	struct rig rig;
	const struct pfa_run hole = {700, 10};
	const struct {
		struct pfa_run runs[2];
		size_t nr;
		bool fine;
	} cases[] = {
		{{{64, 64}}, 1, true},
		{{{64, 64}, {128, 128}}, 2, true},
		{{{0, 64}}, 1, false},    /* outside: the zone begins at 10 */
		{{{64, 0}}, 1, false},
		{{{64, 63}}, 1, false},
		{{{65, 64}}, 1, false},
		{{{1024, 64}}, 1, false}, /* the zone ends at 1034, in this pageblock */
		{{{640, 128}}, 1, false}, /* over the hole */
		{{{128, 64}, {64, 64}}, 2, false},
		{{{64, 128}, {128, 64}}, 2, false},
		{{{64, (SIZE_MAX >> 1) + 1}}, 1, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_init(&rig);
		struct pfa_zone_config *z = rig_zone(&rig, 10, 1024);
		z->holes = &hole;
		z->nr_holes = 1;
		z->cma = cases[i].runs;
		z->nr_cma = cases[i].nr;
		if (cases[i].fine)
			ACCEPT(&rig);
		else
			REFUSE(&rig, PFA_CONFIG_CMA, 0);
	}
}

void test_marks(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 4096, 1024);
	z->mark_min = z->mark_low = z->mark_high = 5000; /* more than the zone has: allowed, and nothing is granted */
	ACCEPT(&rig);
	z->mark_low = 4999;
	REFUSE(&rig, PFA_CONFIG_MARKS, 1);
	z->mark_low = 5001;
	REFUSE(&rig, PFA_CONFIG_MARKS, 1);
	z->mark_min = z->mark_low = z->mark_high = PTRDIFF_MAX;
	ACCEPT(&rig);
	z->mark_high = (size_t)PTRDIFF_MAX + 1; /* marks are compared as signed numbers */
	REFUSE(&rig, PFA_CONFIG_MARKS, 1);
	z->mark_high = PTRDIFF_MAX - 1;
	REFUSE(&rig, PFA_CONFIG_MARKS, 1);
}
