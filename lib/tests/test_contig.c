/* SPDX-License-Identifier: MIT
 *
 * Contiguous ranges with one thread: that they are had exactly where nothing is in the way, what is said of what is, and that nothing
 * else changes, either way. Random zones and ranges: test_contig_model.
 */
#include "contig_scene.h"
#include "unit.h"

#include <pfa/harden.h>

#include <string.h>

/* All of a zone's lower half, larger than any block, full of movable blocks of any order; and again what was just freed in parts. */
static void test_gigantic(void **state)
{
	(void)state;
	struct rng rng = {1};
	base(0, FRAMES);
	fill(&rng, 0, 80, 4);
	assert_int_equal(try_range(13, FRAMES / 2 + 13, 0), PFA_OK);
	rig_check(&rig);
	/* its frames are ordinary ones: can be movable, and moved away for the next */
	for (unsigned i = 0; i < 100; i++) {
		unsigned cookie = 0;
		while (s.blocks[cookie].state != BLOCK_NONE)
			cookie++;
		scripted_adopt(&s, cookie, 100 + i, 0);
		kinds[100 + i] = MOVES;
	}
	EXPECT(pfa_free_contig_range, PFA_EMISUSE, rig.pfa, 13, 200);
	assert_int_equal(rig.fault.kind, PFA_FAULT_MOVABLE);
	EXPECT(pfa_free_contig_range, PFA_EINVAL, rig.pfa, 13, 0);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 13, 87);
	for (pfa_pfn at = 13; at < 100; at++)
		kinds[at] = FREE;
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 200, 500);
	for (pfa_pfn at = 200; at < 700; at++)
		kinds[at] = FREE;
	assert_int_equal(try_range(64, 256, 0), PFA_OK);
	done();
}

/* What is in the way, each alone in the middle of the range. */
static void test_blockers(void **state)
{
	struct pfa_blocker why;
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0, FRAMES);
	EXPECT(pfa_alloc_contig_range, PFA_EINVAL, rig.pfa, 5, 5, 0, &why);
	EXPECT(pfa_alloc_contig_range, PFA_EINVAL, rig.pfa, 5, 6, PFA_MOVABLE, &why);
	EXPECT(pfa_alloc_contig_range, PFA_ERANGE, rig.pfa, 5, FRAMES + 1, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_RANGE);
	EXPECT(pfa_alloc_contig_range, PFA_ERANGE, rig.pfa, FRAMES, FRAMES + 1, 0, NULL);
	pfa_token token;
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 3 * PB, 4 * PB, 0, &token, NULL);
	EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, PB + 1, 3 * PB + 1, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_HELD);
	assert_int_equal(why.pfn, 3 * PB);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 1);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 3 * PB, 4 * PB, token);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 20);
	EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, 1, 30, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_BAD);
	assert_int_equal(why.pfn, 20);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 21, 30, 0, &why);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 21, 9);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_MOVABLE, ((struct pfa_run){80, 8}), &pfn);
	scripted_adopt(&s, 0, pfn, 3);
	for (pfa_pfn start = 70; start < 88; start++) {
		for (pfa_pfn end = 81; end < 96; end++) {
			if (start >= end)
				continue;
			EXPECT(pfa_pin, PFA_OK, rig.pfa, pfn);
			EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, start, end, 0, &why);
			assert_int_equal(why.reason, PFA_BLOCKER_PINNED);
			assert_int_equal(why.pfn, 80);
			EXPECT(pfa_unpin, PFA_OK, rig.pfa, pfn);
			s.says[OP_ISOLATE] = PFA_EBUSY;
			EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, start, end, 0, &why);
			assert_int_equal(why.reason, PFA_BLOCKER_REFUSED);
			s.says[OP_ISOLATE] = PFA_OK;
		}
	}
	s.says[OP_MIGRATE] = PFA_EAGAIN;
	s.calls[OP_MIGRATE] = s.calls[OP_PUTBACK] = 0;
	EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, 64, 100, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_REFUSED);
	assert_int_equal(s.calls[OP_MIGRATE], PFA_CONTIG_TRIES * pfa_migrate_tries(PFA_MIGRATE_SYNC));
	assert_int_equal(s.calls[OP_PUTBACK], PFA_CONTIG_TRIES);
	s.says[OP_MIGRATE] = PFA_OK;
	pfa_pfn rest[FRAMES];
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, rest, FRAMES);
	EXPECT(pfa_alloc_contig_range, PFA_ENOMEM, rig.pfa, 80, 88, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NOMEM);
	assert_int_equal(why.pfn, 80);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	EXPECT(pfa_alloc_contig_range, PFA_EAGAIN, rig.pfa, 64, 100, PFA_NOWAIT, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_MOVABLE);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
	rig_check(&rig);
	scripted_stop(&s);
	rig_drop(&rig); /* the bad frame stays */
}

/* Types and holes. */
static void test_zones(void **state)
{
	struct pfa_blocker why;
	const struct pfa_run cma = {4 * PB, 2 * PB}, hole = {10 * PB + 5, 3};
	(void)state;
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 0, 12 * PB + 9);
	z->cma = &cma;
	z->nr_cma = 1;
	z->holes = &hole;
	z->nr_holes = 1;
	rig_zone(&rig, 12 * PB + 9, PB);
	rig_start(&rig);
	EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, 3 * PB, 4 * PB + 1, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_TYPE);
	assert_int_equal(why.pfn, 4 * PB);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
	size_t free_cma = rig_stats(&rig, 0).free_cma;
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 3 * PB, 5 * PB, PFA_CMA, &why);
	assert_int_equal(rig_stats(&rig, 0).free_cma, free_cma - PB);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 3 * PB, 2 * PB);
	assert_int_equal(rig_stats(&rig, 0).free_cma, free_cma);
	EXPECT(pfa_alloc_contig_range, PFA_ERANGE, rig.pfa, 10 * PB, 11 * PB, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_RANGE);
	assert_int_equal(why.pfn, hole.first);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 10 * PB + 8, 12 * PB + 9, 0, &why);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 10 * PB + 8, 2 * PB + 1);
	EXPECT(pfa_alloc_contig_range, PFA_ERANGE, rig.pfa, 12 * PB, 12 * PB + 10, 0, &why);
	assert_int_equal(why.pfn, 12 * PB + 9);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 12 * PB + 9, 13 * PB, 0, &why);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 12 * PB + 1, 12 * PB + 9, 0, &why); /* the same pageblock, of the other zone */
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 12 * PB + 1, PB - 1);
	rig_stop(&rig);
}

/* What is moved stays in its zone, or goes to a later one: never to one before. */
static void test_zones_of_moved(void **state)
{
	struct pfa_blocker why;
	pfa_pfn rest[4 * PB];
	(void)state;
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	for (unsigned i = 0; i < 3; i++)
		rig_zone(&rig, i * 4 * PB, 4 * PB);
	rig_start(&rig);
	scripted_start(&s, &rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_MOVABLE | PFA_ZONE(2), &rest[0]);
	scripted_adopt(&s, 0, rest[0], 2);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_ZONE(2), PFA_ENOMEM, rest, 4 * PB);
	EXPECT(pfa_alloc_contig_range, PFA_ENOMEM, rig.pfa, s.blocks[0].at, s.blocks[0].at + 1, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NOMEM);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_MOVABLE | PFA_ZONE(1), &rest[0]);
	scripted_adopt(&s, 1, rest[0], 2);
	nr = rig_take_all(&rig, 0, PFA_MOVABLE | PFA_ZONE(1) | PFA_EXACT_ZONE, PFA_ENOMEM, rest, 4 * PB);
	const pfa_pfn at = s.blocks[1].at;
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, at + 1, at + 2, 0, &why);
	assert_true(s.blocks[1].at >= 8 * PB);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, at + 1, 1);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* Inside of an op: the block that is moved, or another one of the range, is freed. */
static void free_inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	struct pfa_blocker why;
	pfa_token token;
	(void)dst;
	EXPECT(pfa_alloc_contig_range, PFA_EDEADLK, rig.pfa, src, src + 1, 0, &why);
	EXPECT(pfa_isolate_range, PFA_EDEADLK, rig.pfa, src, src + 1, 0, &token, &why);
	pfa_pfn pfn;
	EXPECT(pfa_alloc_contig, PFA_EDEADLK, rig.pfa, 1, 1, 0, &pfn);
	if (op == OP_MIGRATE && cookie % 3 == 1)
		scripted_free(sc, cookie);
	if (op == OP_MIGRATE && cookie % 3 == 2 && sc->blocks[cookie + 1].state == BLOCK_OWNED)
		scripted_free(sc, cookie + 1);
}

static void test_freed_meanwhile(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		base(0, FRAMES);
		for (unsigned i = 0; i < 300u >> order; i++)
			(void)scripted_take(&s, order);
		s.inside = free_inside;
		EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 10, 280, 0, NULL);
		s.inside = NULL;
		/* what its owner freed while it moved it was released */
		for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
			if (s.blocks[i].state == BLOCK_RELEASED)
				s.blocks[i].state = BLOCK_NONE;
		EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 10, 270);
		rig_check(&rig);
		done();
	}
}

/* A pin that goes away while the call runs, and a block that its owner lets go at the last try. */
static void unpin_inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)cookie;
	(void)dst;
	(void)src;
	if (op == OP_ISOLATE && sc->user) {
		sc->user = NULL;
		EXPECT(pfa_unpin, PFA_OK, rig.pfa, sc->blocks[1].at);
	}
}

static void test_ends_by_itself(void **state)
{
	(void)state;
	base(PFA_EXPLICIT_0, FRAMES);
	for (unsigned i = 0; i < 4; i++) {
		pfa_pfn pfn;
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){0, 16}), &pfn);
		scripted_adopt(&s, i, pfn, 2);
	}
	EXPECT(pfa_pin, PFA_OK, rig.pfa, s.blocks[1].at);
	s.inside = unpin_inside;
	s.user = &s;
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 0, 16, 0, NULL);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 0, 16);
	s.inside = NULL;
	const pfa_pfn at = s.blocks[2].at;
	s.calls[OP_MIGRATE] = 0;
	s.says[OP_MIGRATE] = PFA_EAGAIN;
	EXPECT(pfa_alloc_contig_range, PFA_EBUSY, rig.pfa, at, at + 4, 0, NULL);
	s.says[OP_MIGRATE] = PFA_OK;
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, at, at + 4, 0, NULL);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, at, 4);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_zeroed(void **state)
{
	unsigned char *bytes;
	void *at;
	(void)state;
	rig_init(&rig);
	rig.pool_kind = RIG_POOL_CONTENT;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	EXPECT(pfa_ptr, PFA_OK, rig.pfa, 100, &at);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 100, 250, 0, NULL);
	memset(at, 0xA5, (size_t)150 << rig.cfg.frame_shift);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 100, 150);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 100, 300, PFA_ZERO, NULL);
	bytes = at;
	for (size_t i = 0; i < (size_t)200 << rig.cfg.frame_shift; i++)
		assert_int_equal(bytes[i], 0);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 100, 200);
	rig_stop(&rig);
	rig_init(&rig);
	rig.pool_kind = RIG_POOL_NEVER;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	EXPECT(pfa_alloc_contig_range, PFA_ENOTSUP, rig.pfa, 100, 300, PFA_ZERO, NULL);
	rig_stop(&rig);
}

/* A run that was found: its frames are now the test's, and nothing else has changed hands. */
static void found(pfa_pfn start, size_t nr, size_t align)
{
	assert_int_equal(start % align, 0);
	look();
	for (pfa_pfn at = start; at < start + nr; at++) {
		assert_int_equal(kinds[at], FREE);
		assert_int_equal(rig_info(&rig, at).state, PFA_FRAME_HEAD);
	}
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, start, nr);
}

/* Half full of movable frames: runs of any length are had, as long as there is room for what is moved. */
static void test_search(void **state)
{
	pfa_pfn pfn;
	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		struct rng rng = {seed};
		base(seed % 2 ? 0 : PFA_EXPLICIT_0, FRAMES);
		EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, FRAMES, 1, 0, &pfn);
		found(pfn, FRAMES, FRAMES);
		EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, FRAMES + 1, 1, 0, &pfn);
		EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 1, 512, 0, &pfn);
		found(pfn, 1, 512);
		fill(&rng, 0, 60, 1);
		EXPECT(pfa_alloc_contig, PFA_EAGAIN, rig.pfa, FRAMES * 2 / 5, 1, PFA_NOMIGRATE, &pfn);
		for (size_t nr = 1; nr < FRAMES / 3; nr += 1 + nr / 3) {
			size_t align = (size_t)1 << rng_below(&rng, 10); /* up to 8 pageblocks */
			EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, nr, align, 0, &pfn);
			found(pfn, nr, align);
		}
		rig_check(&rig);
		done();
	}
}

/* Where it costs least, and behind what is in the way. */
static void test_search_places(void **state)
{
	pfa_pfn pfn, pfns[FRAMES];
	(void)state;
	base(PFA_EXPLICIT_0, FRAMES);
	for (pfa_pfn at = 0; at < FRAMES; at += PB) { /* 16 movable frames a pageblock; in one there are four */
		for (unsigned i = 0; i < (at == 5 * PB ? 4 : 16); i++) {
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){at + 3 * i + 1, 1}), &pfn);
			unsigned cookie = 0;
			while (s.blocks[cookie].state != BLOCK_NONE)
				cookie++;
			scripted_adopt(&s, cookie, pfn, 0);
		}
	}
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, PB, PB, 0, &pfn);
	assert_int_equal(pfn, 5 * PB);
	assert_int_equal(s.calls[OP_MIGRATE], 4);
	found(pfn, PB, PB);
	scripted_stop(&s);
	scripted_start(&s, &rig);
	for (pfa_pfn at = 0; at < FRAMES; at += PB) /* a block of 8 at frame 8, and one at 40 */
		for (unsigned i = 0; i < 2; i++)
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_UNMOVABLE, ((struct pfa_run){at + 8 + 32 * i, 8}), &pfns[at / PB * 2 + i]);
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 24, 1, PFA_NOMIGRATE, &pfn);
	assert_int_equal(pfn % PB, 16);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, 24);
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 21, 1, 0, &pfn);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, 21);
	EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, 25, 1, 0, &pfn);
	EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, 24, 32, 0, &pfn);
	for (unsigned i = 0; i < 2 * FRAMES / PB; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 3);
	EXPECT(pfa_alloc_contig, PFA_EINVAL, rig.pfa, 0, 1, 0, &pfn);
	EXPECT(pfa_alloc_contig, PFA_EINVAL, rig.pfa, 1, 3, 0, &pfn);
	EXPECT(pfa_alloc_contig, PFA_EINVAL, rig.pfa, 1, 0, 0, &pfn);
	EXPECT(pfa_alloc_contig, PFA_EINVAL, rig.pfa, 1, 1, PFA_MOVABLE, &pfn);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* There are more windows that cost less than are tried, and the run may begin in none of them. */
static void test_search_aligned(void **state)
{
	enum { WIDE = 4 * PFA_CONTIG_WINDOWS };
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0, (size_t)WIDE * PB);
	for (unsigned pb = 0, cookie = 0; pb < WIDE; pb++) {
		for (unsigned i = 0; i < (pb % (WIDE / 2) ? 1 : 3); i++) {
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){(pfa_pfn)pb * PB + 5 * i, 1}), &pfn);
			scripted_adopt(&s, cookie++, pfn, 0);
		}
	}
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, PB, (size_t)WIDE / 2 * PB, 0, &pfn);
	assert_int_equal(pfn % (WIDE / 2 * PB), 0);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, PB);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* Zones in their order; CMA only where it is asked for; holes are behind nothing. */
static void test_search_zones(void **state)
{
	pfa_pfn pfn, all;
	const struct pfa_run cma = {0, 4 * PB}, holes[] = {{8 * PB + 7, 1}, {9 * PB + 7, 1}};
	(void)state;
	rig_init(&rig);
	rig.pool_kind = RIG_POOL_NEVER;
	struct pfa_zone_config *z = rig_zone(&rig, 0, 4 * PB);
	z->cma = &cma;
	z->nr_cma = 1;
	z = rig_zone(&rig, 8 * PB, 2 * PB);
	z->holes = holes;
	z->nr_holes = 2;
	rig_start(&rig);
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 8, 1, 0, &pfn);
	assert_true(pfn >= 8 * PB);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, 8);
	EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, 8, 1, PFA_EXACT_ZONE, &pfn);
	EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, 70, 1, 0, &pfn);
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 63, 1, 0, &pfn); /* between the holes */
	assert_int_equal(pfn, 8 * PB + 8);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, 63);
	EXPECT(pfa_alloc_contig, PFA_OK, rig.pfa, 70, 1, PFA_CMA, &all);
	assert_true(all < 4 * PB);
	EXPECT(pfa_alloc_contig, PFA_ENOMEM, rig.pfa, 70, 1, PFA_CMA | PFA_ZONE(1), &pfn);
	EXPECT(pfa_alloc_contig, PFA_ENOTSUP, rig.pfa, 8, 1, PFA_ZERO, &pfn);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, all, 70);
	rig_stop(&rig);
}

/* A zone in which damage was met refuses; what was held is given up all the same. */
static void test_damaged(void **state)
{
	struct pfa_blocker why;
	pfa_token token, other;
	(void)state;
	base(PFA_EXPLICIT_0, FRAMES);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, s.owner);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 0, PB, 0, &token, NULL);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, PB, 2 * PB, 0, &why);
	*rig_frame_byte(&rig, 9 * PB) = 0x20;
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, 9 * PB);
	EXPECT(pfa_isolate_range, PFA_ECORRUPT, rig.pfa, 3 * PB, 4 * PB, 0, &other, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
	EXPECT(pfa_alloc_contig_range, PFA_ECORRUPT, rig.pfa, 3 * PB, 4 * PB, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
	pfa_pfn pfn;
	EXPECT(pfa_alloc_contig, PFA_ECORRUPT, rig.pfa, 4, 1, 0, &pfn);
	EXPECT(pfa_test_isolated, PFA_ECORRUPT, rig.pfa, 0, PB, token, &why);
	EXPECT(pfa_free_contig_range, PFA_ECORRUPT, rig.pfa, PB, PB);
	EXPECT(pfa_undo_isolate_range, PFA_ECORRUPT, rig.pfa, 0, PB, token);
	assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
	rig_drop(&rig);
}

/* Damage that is met when a part is taken already: that part is nobody's, and is free again when the zone has been repaired. */
static void test_damaged_midway(void **state)
{
	struct pfa_blocker why;
	struct pfa_repair out;
	(void)state;
	if (rig_level < 2) /* which does not look at it */
		return;
	for (unsigned at = 0; at < 2; at++) { /* a pageblock's first frame, or one in it */
		base(PFA_EXPLICIT_0, FRAMES);
		EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, s.owner);
		const size_t nr_free = rig_stats(&rig, 0).free;
		const pfa_pfn bad = 5 * PB + (at ? PB / 2 : 0);
		*rig_frame_byte(&rig, bad) = 0x0F; /* which no frame has */
		/* from the middle of a pageblock, so that each is taken in pieces */
		EXPECT(pfa_alloc_contig_range, PFA_ECORRUPT, rig.pfa, 3 * PB + 1, 6 * PB - 1, 0, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
		EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &out);
		struct pfa_zone_stats now = rig_stats(&rig, 0);
		assert_int_equal(now.allocated, 0);
		assert_int_equal(now.free + now.bad, nr_free);
		assert_true(now.bad <= 1);
		rig_check(&rig);
		EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, 3 * PB + 1, 5 * PB, 0, &why);
		EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, 3 * PB + 1, 2 * PB - 1);
		rig_drop(&rig);
	}
}

/* Damage that is met when what was moved away is freed: told as such, with a hand or, as at level 3, without. */
static void test_damaged_moved(void **state)
{
	struct pfa_blocker why;
	(void)state;
	if (rig_level < 2) /* which does not look at it */
		return;
	base(PFA_EXPLICIT_0, FRAMES);
	const pfa_pfn at = s.blocks[scripted_take(&s, 2)].at;
	*rig_frame_byte(&rig, at + 1) = 0; /* as if free, in the midst of the block */
	EXPECT(pfa_alloc_contig_range, PFA_ECORRUPT, rig.pfa, at, at + 4, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
	rig_drop(&rig);
}

/* Who holds what outlives a repair: the index knows it, or the route; a holder that neither knows does not. */
static void test_repaired(void **state)
{
	struct pfa_repair out;
	struct pfa_pageblock_info info;
	pfa_token token;
	(void)state;
	base(PFA_EXPLICIT_0, FRAMES);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, s.owner);
	pfa_pfn pfns[PB];
	for (unsigned i = 0; i < PB; i++)
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){4 * PB, PB}), &pfns[i]);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 3 * PB, 5 * PB, 0, &token, NULL); /* one is free, one is full */
	size_t bytes;
	unsigned char *pageblocks = rig_region(&rig, "pageblocks", &bytes);
	const size_t each = bytes / (FRAMES / PB);
	memcpy(pageblocks + 7 * each + 8, &(uint32_t){99}, 4);  /* struct pfai_pb.holder */
	struct pfa_violation v;
	EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_QUIESCENT, &v);
	EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &out);
	assert_int_equal(out.zones, 1);
	rig_check(&rig);
	for (pfa_pfn at = 0; at < FRAMES; at += PB) {
		EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, at, &info);
		assert_int_equal(info.holder, at == 3 * PB || at == 4 * PB ? token : 0);
	}
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 3 * PB, 5 * PB, token);
	for (unsigned i = 0; i < PB; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_gigantic),
	TEST(test_blockers),
	TEST(test_zones),
	TEST(test_zones_of_moved),
	TEST(test_freed_meanwhile),
	TEST(test_ends_by_itself),
	TEST(test_search),
	TEST(test_search_places),
	TEST(test_search_aligned),
	TEST(test_search_zones),
	TEST(test_damaged),
	TEST(test_damaged_midway),
	TEST(test_damaged_moved),
	TEST(test_repaired),
	TEST_CONTENT(test_zeroed, "zeroing"),
};
UNIT_MAIN(tests)
