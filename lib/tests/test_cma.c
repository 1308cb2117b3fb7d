/* SPDX-License-Identifier: MIT
 *
 * CMA areas with one thread: a run is had exactly where there is one, against a model that looks at every place; types never change by
 * it; areas come and go; what is said of them.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/cma.h>
#include <pfa/harden.h>

#include <string.h>

enum { PB = 64, PBS = 28, FRAMES = PBS * PB, AREAS = 3 };

/* What the test knows of a frame. */
enum kind { FREE, FIXED, MOVES, PINNED, RUN };

static struct scripted s;
static struct rig rig;
static enum kind kinds[FRAMES];
static pfa_cma areas[AREAS];
static struct pfa_run runs[AREAS];
static const struct pfa_run configured[2] = {{4 * PB, 3 * PB}, {7 * PB, 2 * PB}}; /* they touch */
static size_t granted[AREAS];

static void base(uint32_t cache_high)
{
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.cfg.cache_high = cache_high;
	struct pfa_zone_config *z = rig_zone(&rig, 0, FRAMES);
	z->cma = configured;
	z->nr_cma = 2;
	z->highatomic_frames = PB;
	rig_start(&rig);
	scripted_start(&s, &rig);
	memset(kinds, 0, sizeof(kinds));
	memset(granted, 0, sizeof(granted));
	for (unsigned i = 0; i < 2; i++) {
		runs[i] = configured[i];
		EXPECT(pfa_cma_find, PFA_OK, rig.pfa, runs[i].first + PB, &areas[i]);
	}
	assert_int_not_equal(areas[0], areas[1]);
	runs[2] = (struct pfa_run){14 * PB, 5 * PB};
}

static void create_third(void)
{
	struct pfa_blocker why;
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, runs[2].first, runs[2].nr_frames, 0, &areas[2], &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NONE);
}

static void look(void)
{
	for (pfa_pfn at = 0; at < FRAMES; at++)
		if (kinds[at] == MOVES || kinds[at] == PINNED)
			kinds[at] = FREE;
	for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++) {
		if (s.blocks[i].state != BLOCK_OWNED)
			continue;
		enum kind kind = scripted_info(&s, i).pins ? PINNED : MOVES;
		for (pfa_pfn at = s.blocks[i].at; at < s.blocks[i].at + ((pfa_pfn)1 << s.blocks[i].order); at++)
			kinds[at] = kind;
	}
}

/* The types are what the areas say, and nothing of them was lost. */
static void look_at_types(bool third)
{
	size_t free_cma = 0;
	for (pfa_pfn at = 0; at < FRAMES; at += PB) {
		bool in = false;
		for (unsigned i = 0; i < AREAS; i++)
			in |= (i < 2 || third) && at - runs[i].first < runs[i].nr_frames;
		assert_int_equal(rig_type(&rig, at) == PFA_TYPE_CMA, in);
	}
	for (unsigned i = 0; i < (third ? 3u : 2u); i++) {
		struct pfa_cma_stats stats = {.size = sizeof(stats)};
		size_t free = 0;
		EXPECT(pfa_cma_stats, PFA_OK, rig.pfa, areas[i], &stats);
		assert_int_equal(stats.run.first, runs[i].first);
		assert_int_equal(stats.run.nr_frames, runs[i].nr_frames);
		assert_int_equal(stats.granted, granted[i]);
		assert_int_equal(stats.held_pageblocks, 0);
		for (pfa_pfn at = runs[i].first; at < runs[i].first + runs[i].nr_frames; at++)
			free += kinds[at] == FREE;
		if (rig_level < 3) /* else some may be in quarantine */
			assert_int_equal(stats.free, free);
		free_cma += stats.free;
	}
	assert_int_equal(rig_stats(&rig, 0).free_cma, free_cma);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
}

/* Is there a run that can be had? */
static bool model_has(unsigned area, size_t nr, size_t align, uint32_t flags)
{
	pfa_pfn end = runs[area].first + runs[area].nr_frames;
	bool fixed = flags & (PFA_NOMIGRATE | PFA_NOWAIT);
	for (pfa_pfn start = (runs[area].first + align - 1) / align * align; start + nr <= end; start += align) {
		size_t i = 0;
		while (i < nr && (kinds[start + i] == FREE || (kinds[start + i] == MOVES && !fixed)))
			i++;
		if (i == nr)
			return true;
	}
	return false;
}

/* Every place with what is not movable in it, so that the search has to find the one that is left. */
static void fill_area(struct rng *rng, unsigned area, pfa_pfn plain[], unsigned *nr_plain)
{
	for (unsigned i = 0; i < runs[area].nr_frames / 24; i++) {
		pfa_pfn at = runs[area].first + rng_below(rng, runs[area].nr_frames), pfn;
		int result = pfa_alloc_window(rig.pfa, 0, PFA_MOVABLE, (struct pfa_run){at, 1}, &pfn);
		if (result != PFA_OK)
			continue;
		unsigned cookie = 0;
		while (s.blocks[cookie].state != BLOCK_NONE)
			cookie++;
		if (rng_one_in(rng, 4)) {
			kinds[pfn] = FIXED;
			plain[(*nr_plain)++] = pfn;
			continue;
		}
		scripted_adopt(&s, cookie, pfn, 0);
		if (rng_one_in(rng, 8))
			EXPECT(pfa_pin, PFA_OK, rig.pfa, pfn);
	}
	look();
}

static void take(struct rng *rng, unsigned area)
{
	static const uint32_t ways[] = {0, 0, 0, PFA_NOMIGRATE, PFA_NOWAIT};
	size_t nr = 1 + rng_below(rng, rng_one_in(rng, 2) ? 20 : 2 * PB);
	size_t align = (size_t)1 << rng_below(rng, 8);
	uint32_t flags = ways[rng_below(rng, 5)];
	bool fixed = flags != 0, has = model_has(area, nr, align, flags);
	pfa_pfn pfn = FRAMES;
	int result = pfa_cma_alloc(rig.pfa, areas[area], nr, align, flags, &pfn);
	look();
	int expected = has ? PFA_OK : PFA_ENOMEM;
	if (!has && fixed && result == PFA_EAGAIN) /* something movable was in the way */
		expected = PFA_EAGAIN;
	rig_expect("pfa_cma_alloc", expected, result, __FILE__, __LINE__);
	if (result != PFA_OK)
		return;
	assert_int_equal(pfn % align, 0);
	assert_true(pfn >= runs[area].first && pfn + nr <= runs[area].first + runs[area].nr_frames);
	for (pfa_pfn at = pfn; at < pfn + nr; at++) {
		struct pfa_frame_info info = rig_info(&rig, at);
		assert_int_equal(kinds[at], FREE);
		assert_int_equal(info.state, PFA_FRAME_HEAD);
		assert_int_equal(info.order, 0);
		kinds[at] = RUN;
	}
	granted[area] += nr;
}

/* Some of what was taken goes back, in any parts. */
static void release(struct rng *rng, unsigned area, unsigned one_in)
{
	pfa_pfn end = runs[area].first + runs[area].nr_frames;
	for (pfa_pfn at = runs[area].first; at < end; at++) {
		size_t nr = 0, limit = 1 + rng_below(rng, 2 * PB);
		while (at + nr < end && nr < limit && kinds[at + nr] == RUN)
			nr++;
		if (!nr || !rng_one_in(rng, one_in))
			continue;
		EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[area], at, nr);
		for (size_t i = 0; i < nr; i++)
			kinds[at + i] = FREE;
		granted[area] -= nr;
	}
}

static void test_against_model(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 40; seed++) {
		struct rng rng = {seed};
		pfa_pfn plain[FRAMES];
		unsigned nr_plain = 0;
		base(seed % 2 ? 0 : PFA_EXPLICIT_0);
		create_third();
		for (unsigned round = 0; round < 4; round++) {
			for (unsigned area = 0; area < AREAS; area++)
				fill_area(&rng, area, plain, &nr_plain);
			for (unsigned i = 0; i < 40; i++) {
				unsigned area = (unsigned)rng_below(&rng, AREAS);
				take(&rng, area);
				if (rng_one_in(&rng, 3))
					release(&rng, area, 1 + (unsigned)rng_below(&rng, 4));
			}
			look_at_types(true);
			rig_check(&rig);
			for (unsigned i = 0; i < nr_plain; i++) {
				EXPECT(pfa_free, PFA_OK, rig.pfa, plain[i], 0);
				kinds[plain[i]] = FREE;
			}
			nr_plain = 0;
		}
		for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
			while (s.blocks[i].state == BLOCK_OWNED && scripted_info(&s, i).pins)
				EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[i].at);
		for (unsigned area = 0; area < AREAS; area++) {
			if (granted[area])
				EXPECT(pfa_cma_destroy, PFA_EBUSY, rig.pfa, areas[area]);
			release(&rng, area, 1);
			assert_int_equal(granted[area], 0);
		}
		EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, areas[2]);
		look();
		look_at_types(false);
		scripted_stop(&s);
		rig_check(&rig);
		/* nothing was lost: each area can be had as a whole */
		for (unsigned area = 0; area < 2; area++) {
			pfa_pfn pfn;
			EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[area], runs[area].nr_frames, 1, 0, &pfn);
			assert_int_equal(pfn, runs[area].first);
			EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[area], pfn, runs[area].nr_frames);
		}
		rig_stop(&rig);
	}
}

/* What an attempt moves before it fails makes a window cheaper than one that was tried, and it is tried all the same. */
static void test_cheaper_meanwhile(void **state)
{
	enum { IN_AREA = 20, WINDOW = 5 };
	const struct pfa_run run = {4 * PB, IN_AREA * PB};
	pfa_cma area;
	pfa_pfn pfn;
	unsigned cookies = 0;
	(void)state;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	struct pfa_zone_config *z = rig_zone(&rig, 0, 32 * PB);
	z->cma = &run;
	z->nr_cma = 1;
	rig_start(&rig);
	scripted_start(&s, &rig);
	EXPECT(pfa_cma_find, PFA_OK, rig.pfa, run.first, &area);
	/* Two pageblocks are wanted, and only these can go away. Seven windows are cheaper: in one of them some blocks can move,
	 * before one that is pinned; the eighth costs two frames less than the right one, as that does at first, and one more afterwards. */
	for (unsigned pb = 0; pb < IN_AREA; pb++) {
		const bool moves = pb == WINDOW || pb == WINDOW + 1 || pb == WINDOW + 2;
		const unsigned nr = pb == WINDOW ? 20 : pb == WINDOW + 1 ? 3 : pb == WINDOW - 1 || (pb > WINDOW + 1 && pb < WINDOW + 9) ? 1 : 24;
		for (unsigned i = 0; i < nr; i++) {
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){run.first + (pb + 1) * PB - 1 - i, 1}), &pfn);
			if (moves)
				scripted_adopt(&s, cookies++, pfn, 0);
			if (pb == WINDOW + 2)
				EXPECT(pfa_pin, PFA_OK, rig.pfa, pfn);
		}
	}
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, area, 2 * PB, PB, 0, &pfn);
	assert_int_equal(pfn, run.first + WINDOW * PB);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, area, pfn, 2 * PB);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, run.first + (WINDOW + 3) * PB - 1);
	scripted_stop(&s);
	rig_check(&rig);
	rig_drop(&rig);
}

/* At the upper end of what pfns there are no multiple of the alignment may be left. */
static void test_align_beyond(void **state)
{
	const pfa_pfn half = ~(SIZE_MAX >> 1);
	(void)state;
	for (unsigned first = 0; first < 2 && sizeof(pfa_pfn) > 4; first++) {
		const struct pfa_run run = {half + 2 * PB, 4 * PB};
		pfa_cma area;
		pfa_pfn pfn = 7;
		rig_init(&rig);
		rig.cfg.max_owners = 1;
		rig.cfg.cache_high = PFA_EXPLICIT_0;
		struct pfa_zone_config *z = rig_zone(&rig, half + first * PB, 8 * PB);
		z->cma = &run;
		z->nr_cma = 1;
		rig_start(&rig);
		EXPECT(pfa_cma_find, PFA_OK, rig.pfa, run.first, &area);
		EXPECT(pfa_cma_alloc, PFA_ENOMEM, rig.pfa, area, 1, half, 0, &pfn);
		EXPECT(pfa_alloc_contig, first ? PFA_ENOMEM : PFA_OK, rig.pfa, 1, half, 0, &pfn);
		if (!first) {
			assert_int_equal(pfn, half);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
		}
		rig_drop(&rig);
	}
}

/* Lent to movable requests and nobody else, and taken back. */
static void test_lent(void **state)
{
	static pfa_pfn pfns[FRAMES], rest[FRAMES];
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0);
	create_third();
	size_t nr = rig_take_all(&rig, 0, PFA_UNMOVABLE, PFA_ENOMEM, pfns, FRAMES);
	assert_int_equal(nr, FRAMES - 10 * PB);
	size_t lent = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, rest, FRAMES);
	assert_int_equal(lent, 10 * PB);
	for (size_t i = 0; i < lent; i++)
		scripted_adopt(&s, i, rest[i], 0);
	look();
	EXPECT(pfa_cma_alloc, PFA_ENOMEM, rig.pfa, areas[0], PB, PB, 0, &pfn); /* nowhere to go */
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	for (unsigned area = 0; area < AREAS; area++) {
		EXPECT(pfa_cma_alloc, PFA_EAGAIN, rig.pfa, areas[area], runs[area].nr_frames, 1, PFA_NOMIGRATE, &pfn);
		EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[area], runs[area].nr_frames, 1, 0, &pfn);
		assert_int_equal(pfn, runs[area].first);
		EXPECT(pfa_cma_alloc, PFA_ENOMEM, rig.pfa, areas[area], 1, 1, 0, &pfn);
		EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[area], pfn, runs[area].nr_frames);
	}
	scripted_stop(&s);
	rig_stop(&rig);
}

/* A block larger than a pageblock, lent by two areas side by side: when one of them has ended, each half is freed as its own pageblock's
 * type is. */
static void test_lent_by_two(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const unsigned ends = i % 2;
		const struct pfa_run both = {8 * PB, 2 * PB};
		const pfa_pfn halves[2] = {both.first, both.first + PB};
		pfa_pfn pfn;
		rig_init(&rig);
		rig.cfg.cache_high = i / 2 ? 8 : PFA_EXPLICIT_0; /* a cache has room for such blocks, but is not for what is CMA's */
		rig.cpu = 0;
		rig_zone(&rig, 0, FRAMES);
		rig_start(&rig);
		for (unsigned half = 0; half < 2; half++)
			EXPECT(pfa_cma_create, PFA_OK, rig.pfa, halves[half], PB, 0, &areas[half], NULL);
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 7, PFA_MOVABLE, both, &pfn);
		EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, areas[ends]);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 7);
		assert_int_equal(rig_stats(&rig, 0).cached, 0);
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS); /* level 3: out of the quarantine */
		assert_int_equal(rig_type(&rig, halves[ends]), PFA_TYPE_MOVABLE);
		assert_int_equal(rig_type(&rig, halves[!ends]), PFA_TYPE_CMA);
		assert_int_equal(rig_stats(&rig, 0).free_cma, PB);
		rig_check(&rig);
		for (unsigned half = 0; half < 2; half++) {
			const struct pfa_run run = {halves[half], PB};
			EXPECT(pfa_alloc_window, half == ends ? PFA_OK : PFA_ENOMEM, rig.pfa, 6, PFA_UNMOVABLE, run, &pfn);
		}
		EXPECT(pfa_free, PFA_OK, rig.pfa, halves[ends], 6);
		rig_stop(&rig);
	}
}

/* An area of pageblocks of any type, in which something is in use. */
static void test_create(void **state)
{
	struct pfa_blocker why;
	pfa_pfn pfn, movable, high;
	pfa_cma area, more[PFA_CMA_MORE];
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_cma_create, PFA_EINVAL, rig.pfa, 0, 0, 0, &area, &why);
	EXPECT(pfa_cma_create, PFA_EINVAL, rig.pfa, 0, PB + 1, 0, &area, &why);
	EXPECT(pfa_cma_create, PFA_EINVAL, rig.pfa, 1, PB, 0, &area, &why);
	EXPECT(pfa_cma_create, PFA_EINVAL, rig.pfa, 0, PB, PFA_ZERO, &area, &why);
	EXPECT(pfa_cma_create, PFA_ERANGE, rig.pfa, FRAMES - PB, 2 * PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_RANGE);
	EXPECT(pfa_cma_create, PFA_EBUSY, rig.pfa, 8 * PB, 4 * PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_TYPE);
	/* what is in use */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 4, PFA_UNMOVABLE, ((struct pfa_run){10 * PB + 16, 16}), &pfn);
	EXPECT(pfa_cma_create, PFA_EBUSY, rig.pfa, 10 * PB, 2 * PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_UNMOVABLE);
	assert_int_equal(why.pfn, pfn);
	assert_int_equal(rig_type(&rig, 11 * PB), PFA_TYPE_MOVABLE);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){10 * PB + 16, 16}), &movable);
	scripted_adopt(&s, 0, movable, 2);
	EXPECT(pfa_cma_create, PFA_EAGAIN, rig.pfa, 10 * PB, 2 * PB, PFA_NOMIGRATE, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_MOVABLE);
	static pfa_pfn rest[FRAMES];
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, rest, FRAMES);
	for (size_t i = 0; i < nr; i++) /* the other frames of these pageblocks are free again */
		if (rest[i] / PB == 10 || rest[i] / PB == 11)
			EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	EXPECT(pfa_cma_create, PFA_ENOMEM, rig.pfa, 10 * PB, 2 * PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NOMEM);
	for (size_t i = 0; i < nr; i++)
		if (rest[i] / PB != 10 && rest[i] / PB != 11)
			EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	/* a reserved pageblock is one no more */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_UNMOVABLE | PFA_HIGH, &high);
	assert_int_equal(rig_type(&rig, high), PFA_TYPE_HIGHATOMIC);
	EXPECT(pfa_free, PFA_OK, rig.pfa, high, 2);
	assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, PB);
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, high / PB * PB, PB, 0, &area, NULL);
	assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, 0);
	assert_int_equal(rig_type(&rig, high), PFA_TYPE_CMA);
	rig_check(&rig);
	EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, area);
	assert_int_equal(rig_type(&rig, high), PFA_TYPE_MOVABLE);
	EXPECT(pfa_cma_destroy, PFA_EINVAL, rig.pfa, area);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, area, 1, 1, 0, &pfn);
	/* moved out of the way */
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, 10 * PB, 2 * PB, 0, &area, &why);
	assert_true(s.blocks[0].at < 10 * PB || s.blocks[0].at >= 12 * PB);
	rig_check(&rig);
	for (unsigned i = 1; i < PFA_CMA_MORE; i++)
		EXPECT(pfa_cma_create, PFA_OK, rig.pfa, (13 + i) * PB, PB, 0, &more[i], NULL);
	EXPECT(pfa_cma_create, PFA_ENOMEM, rig.pfa, 24 * PB, PB, 0, &more[0], &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NONE);
	/* one that is in use ends, and what was lent stays */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){15 * PB, 1}), &pfn);
	EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, more[2]);
	assert_int_equal(rig_type(&rig, 15 * PB), PFA_TYPE_MOVABLE);
	EXPECT(pfa_cma_find, PFA_ERANGE, rig.pfa, 15 * PB, &area);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, 24 * PB, PB, 0, &more[0], &why);
	assert_int_not_equal(more[0], more[2]);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_holes_and_bad(void **state)
{
	const struct pfa_run hole = {2 * PB + 5, 1};
	struct pfa_blocker why;
	pfa_pfn pfn;
	pfa_cma area;
	(void)state;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	struct pfa_zone_config *z = rig_zone(&rig, 0, 6 * PB);
	z->holes = &hole;
	z->nr_holes = 1;
	rig_start(&rig);
	scripted_start(&s, &rig);
	for (unsigned i = 0; i < 2; i++) { /* before what can never go: nothing is to be moved in vain */
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){(i ? 3 : 1) * PB + 7, 1}), &pfn);
		scripted_adopt(&s, i, pfn, 0);
	}
	EXPECT(pfa_cma_create, PFA_ERANGE, rig.pfa, PB, 2 * PB, 0, &area, &why);
	assert_int_equal(why.pfn, hole.first);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 4 * PB + 1);
	EXPECT(pfa_cma_create, PFA_EBUSY, rig.pfa, 3 * PB, 3 * PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_BAD);
	assert_int_equal(s.blocks[0].at, PB + 7);
	assert_int_equal(s.blocks[1].at, 3 * PB + 7);
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, 3 * PB, PB, 0, &area, &why);
	assert_true(s.blocks[1].at < 3 * PB || s.blocks[1].at >= 4 * PB);
	assert_int_equal(rig_stats(&rig, 0).free_cma, PB);
	rig_check(&rig);
	EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, area);
	scripted_stop(&s);
	rig_drop(&rig);
}

/* Pageblocks that somebody else holds are passed by; where there are no others, nobody waits for him. */
static void test_held(void **state)
{
	pfa_token token, other;
	pfa_pfn pfn;
	struct pfa_cma_stats stats = {.size = sizeof(stats)};
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 4 * PB, 6 * PB, 0, &token, NULL);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], 5, 1, 0, &pfn);
	assert_true(pfn >= 6 * PB);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn, 5);
	EXPECT(pfa_cma_alloc, PFA_EBUSY, rig.pfa, areas[0], PB + 1, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EAGAIN, rig.pfa, areas[0], PB + 1, 1, PFA_NOWAIT, &pfn);
	EXPECT(pfa_cma_stats, PFA_OK, rig.pfa, areas[0], &stats);
	assert_int_equal(stats.held_pageblocks, 2);
	assert_int_equal(stats.nr_alloc, 1);
	assert_int_equal(stats.nr_fail, 2);
	assert_int_equal(stats.free, 3 * PB);
	EXPECT(pfa_cma_destroy, PFA_EBUSY, rig.pfa, areas[0]);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 2);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 14 * PB, 15 * PB, 0, &other, NULL);
	struct pfa_blocker why;
	EXPECT(pfa_cma_create, PFA_EBUSY, rig.pfa, 13 * PB, 3 * PB, 0, &areas[2], &why);
	assert_int_equal(why.reason, PFA_BLOCKER_HELD);
	assert_int_equal(why.pfn, 14 * PB);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 14 * PB, 15 * PB, other);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 4 * PB, 6 * PB, token);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], PB + 1, 1, 0, &pfn);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn, PB + 1);
	look_at_types(false);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_refused(void **state)
{
	pfa_pfn pfn, other;
	struct pfa_cma_stats stats = {.size = sizeof(stats) - 1};
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, areas[0], 0, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, areas[0], 1, 0, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, areas[0], 1, 6, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, areas[0], 1, 1, PFA_CMA, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, 0, 1, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, 3, 1, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_EINVAL, rig.pfa, areas[0] + (1u << 24), 1, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_ENOMEM, rig.pfa, areas[0], 3 * PB + 1, 1, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_ENOMEM, rig.pfa, areas[0], 1, 2048, 0, &pfn);
	EXPECT(pfa_cma_stats, PFA_EINVAL, rig.pfa, areas[0], &stats);
	stats.size = sizeof(stats);
	EXPECT(pfa_cma_stats, PFA_EINVAL, rig.pfa, 0, &stats);
	EXPECT(pfa_cma_destroy, PFA_EINVAL, rig.pfa, 77);
	EXPECT(pfa_cma_find, PFA_ERANGE, rig.pfa, 3 * PB, &areas[2]);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], 8, 8, 0, &pfn);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[1], 8, 8, 0, &other);
	EXPECT(pfa_cma_release, PFA_EINVAL, rig.pfa, areas[0], pfn, 0);
	EXPECT(pfa_cma_release, PFA_EINVAL, rig.pfa, areas[0], other, 8);
	EXPECT(pfa_cma_release, PFA_EINVAL, rig.pfa, areas[0], 6 * PB, PB + 1);
	EXPECT(pfa_cma_release, PFA_EINVAL, rig.pfa, areas[0], 3 * PB, 8);
	EXPECT(pfa_cma_release, PFA_EINVAL, rig.pfa, 99, pfn, 8);
	EXPECT(pfa_cma_release, PFA_EMISUSE, rig.pfa, areas[0], pfn, 9); /* more than is granted */
	assert_int_equal(rig.fault.kind, PFA_FAULT_MIXED_RANGE);
	EXPECT(pfa_cma_release, PFA_EMISUSE, rig.pfa, areas[0], pfn + 1, 8); /* one is free */
	assert_int_equal(rig.fault.kind, PFA_FAULT_MIXED_RANGE);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn + 4, 4);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn, 4);
	EXPECT(pfa_cma_release, PFA_EMISUSE, rig.pfa, areas[0], pfn, 4);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[1], other, 8);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	pfa_cma area;
	pfa_pfn pfn;
	(void)sc, (void)op, (void)cookie, (void)dst, (void)src;
	EXPECT(pfa_cma_alloc, PFA_EDEADLK, rig.pfa, areas[1], 1, 1, 0, &pfn);
	EXPECT(pfa_cma_create, PFA_EDEADLK, rig.pfa, 0, PB, 0, &area, NULL);
	EXPECT(pfa_cma_destroy, PFA_EDEADLK, rig.pfa, areas[1]);
}

static void test_inside(void **state)
{
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){4 * PB, 1}), &pfn);
	scripted_adopt(&s, 0, pfn, 0);
	s.inside = inside;
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], 3 * PB, 1, 0, &pfn);
	assert_int_equal(s.calls[OP_MIGRATE], 1);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn, 3 * PB);
	s.inside = NULL;
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_damaged(void **state)
{
	struct pfa_blocker why;
	pfa_cma area;
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, s.owner);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], 8, 1, 0, &pfn);
	*rig_frame_byte(&rig, 9 * PB) = 0x20;
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, 9 * PB);
	EXPECT(pfa_cma_create, PFA_ECORRUPT, rig.pfa, 14 * PB, PB, 0, &area, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
	EXPECT(pfa_cma_release, PFA_ECORRUPT, rig.pfa, areas[0], pfn, 8);
	EXPECT(pfa_cma_alloc, PFA_ECORRUPT, rig.pfa, areas[1], 8, 1, 0, &pfn);
	EXPECT(pfa_cma_destroy, PFA_ECORRUPT, rig.pfa, areas[1]);
	rig_drop(&rig);
}

/* A pageblock of an area that lost its type is found, and gets it back. */
static void test_repaired(void **state)
{
	struct pfa_repair out;
	struct pfa_violation v;
	pfa_pfn pfn;
	size_t bytes;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, areas[0], 3 * PB, 1, 0, &pfn); /* no free frame tells the type */
	unsigned char *pageblocks = rig_region(&rig, "pageblocks", &bytes);
	pageblocks[5 * (bytes / PBS) + 4] = 0; /* struct pfai_pb.code: MOVABLE */
	EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_QUIESCENT, &v);
	EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &out);
	assert_int_equal(rig_type(&rig, 5 * PB), PFA_TYPE_CMA);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, areas[0], pfn, 3 * PB);
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_zeroed(void **state)
{
	unsigned char *bytes;
	pfa_cma area;
	pfa_pfn pfn;
	void *at;
	(void)state;
	rig_init(&rig);
	rig.pool_kind = RIG_POOL_CONTENT;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	EXPECT(pfa_cma_create, PFA_OK, rig.pfa, 2 * PB, 2 * PB, 0, &area, NULL);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, area, 100, 1, 0, &pfn);
	EXPECT(pfa_ptr, PFA_OK, rig.pfa, pfn, &at);
	memset(at, 0xA5, (size_t)100 << rig.cfg.frame_shift);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, area, pfn, 100);
	EXPECT(pfa_cma_alloc, PFA_OK, rig.pfa, area, 2 * PB, 1, PFA_ZERO, &pfn);
	EXPECT(pfa_ptr, PFA_OK, rig.pfa, pfn, &at);
	bytes = at;
	for (size_t i = 0; i < (size_t)2 * PB << rig.cfg.frame_shift; i++)
		assert_int_equal(bytes[i], 0);
	EXPECT(pfa_cma_release, PFA_OK, rig.pfa, area, pfn, 2 * PB);
	rig_stop(&rig);
	base(0);
	if (!rig_prot_none) /* else there is a pool, and a zero op */
		EXPECT(pfa_cma_alloc, PFA_ENOTSUP, rig.pfa, areas[0], 1, 1, PFA_ZERO, &pfn);
	scripted_stop(&s);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_against_model),
	TEST(test_cheaper_meanwhile),
	TEST(test_align_beyond),
	TEST(test_lent),
	TEST(test_lent_by_two),
	TEST(test_create),
	TEST(test_holes_and_bad),
	TEST(test_held),
	TEST(test_refused),
	TEST(test_inside),
	TEST(test_damaged),
	TEST(test_repaired),
	TEST_CONTENT(test_zeroed, "zeroing"),
};
UNIT_MAIN(tests)
