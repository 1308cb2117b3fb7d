/* SPDX-License-Identifier: MIT
 *
 * Isolation with one thread: who holds what, what is on offer meanwhile, what caches have of it, blocks across the edges, zone
 * borders and holes, and what is said of misuse.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/cma.h>
#include <pfa/contig.h>
#include <pfa/harden.h>
#include <pfa/hotplug.h>

#include <string.h>

enum { PB = 64, PAGEBLOCKS = 16, FRAMES = PB * PAGEBLOCKS };

static struct scripted s;

static void base(struct rig *rig, uint32_t cache_high)
{
	rig_init(rig);
	rig->cfg.max_owners = 2;
	rig->cfg.cache_high = cache_high;
	rig->cfg.quarantine = rig_level == 3 && cache_high != PFA_EXPLICIT_0 ? 40 : 0;
	rig_zone(rig, 0, FRAMES);
	rig_start(rig);
}

static struct pfa_pageblock_info pageblock(struct rig *rig, pfa_pfn pfn)
{
	struct pfa_pageblock_info info;
	EXPECT(pfa_pageblock_info, PFA_OK, rig->pfa, pfn, &info);
	return info;
}

static size_t nr_held(struct rig *rig)
{
	size_t nr = 0;
	for (pfa_pfn at = 0; at < FRAMES; at += PB)
		nr += pageblock(rig, at).holder != 0;
	MUST_EQ(nr, rig_stats(rig, 0).held_pageblocks);
	return nr;
}

static pfa_token hold(struct rig *rig, pfa_pfn start, pfa_pfn end)
{
	struct pfa_blocker why = {PFA_BLOCKER_CORRUPT, 0};
	pfa_token token = 0;
	EXPECT(pfa_isolate_range, PFA_OK, rig->pfa, start, end, 0, &token, &why);
	MUST(token != 0 && why.reason == PFA_BLOCKER_NONE);
	return token;
}

/* Of two calls that overlap the second gets nothing, and takes nothing from the first. */
static void test_holders(void **state)
{
	struct rig rig;
	struct pfa_blocker why;
	pfa_token token = 0;
	(void)state;
	base(&rig, 0);
	const pfa_token first = hold(&rig, 5 * PB + 3, 8 * PB + 1);
	assert_int_equal(nr_held(&rig), 4);
	for (pfa_pfn lo = 0; lo < FRAMES; lo += PB) {
		for (pfa_pfn hi = lo + PB; hi <= FRAMES; hi += PB) {
			bool overlaps = lo < 9 * PB && hi > 5 * PB;
			int result = pfa_isolate_range(rig.pfa, lo, hi, 0, &token, &why);
			rig_expect("pfa_isolate_range", overlaps ? PFA_EBUSY : PFA_OK, result, __FILE__, __LINE__);
			if (!overlaps) {
				assert_int_not_equal(token, first);
				EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, lo, hi, token);
			} else {
				assert_int_equal(why.reason, PFA_BLOCKER_HELD);
				assert_int_equal(why.pfn, lo > 5 * PB ? lo : 5 * PB);
			}
			assert_int_equal(nr_held(&rig), 4);
		}
	}
	rig_check(&rig);
	for (pfa_pfn at = 5 * PB; at < 9 * PB; at += PB)
		assert_int_equal(pageblock(&rig, at).holder, first);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 6 * PB, 7 * PB, first); /* a part */
	assert_int_equal(nr_held(&rig), 3);
	const pfa_token second = hold(&rig, 6 * PB, 7 * PB);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 5 * PB, 6 * PB, first);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 7 * PB, 9 * PB, first);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 6 * PB, 7 * PB, second);
	assert_int_equal(nr_held(&rig), 0);
	rig_stop(&rig);
}

static void refused(struct rig *rig, pfa_pfn start, pfa_pfn end, pfa_token token, pfa_pfn at)
{
	const size_t held = nr_held(rig);
	const unsigned nr = rig->fault.nr;
	EXPECT(pfa_undo_isolate_range, PFA_EMISUSE, rig->pfa, start, end, token);
	assert_int_equal(rig->fault.nr, nr + 1);
	assert_int_equal(rig->fault.kind, PFA_FAULT_NOT_HELD);
	assert_int_equal(rig->fault.pfn, at);
	EXPECT(pfa_test_isolated, PFA_EMISUSE, rig->pfa, start, end, token, NULL);
	assert_int_equal(rig->fault.nr, nr + 2);
	assert_int_equal(nr_held(rig), held);
	rig_check(rig);
}

static void test_misuse(void **state)
{
	struct rig rig;
	(void)state;
	base(&rig, 0);
	const pfa_token a = hold(&rig, PB, 3 * PB), b = hold(&rig, 3 * PB, 4 * PB);
	refused(&rig, PB, 4 * PB, a, 3 * PB);      /* more than it holds */
	refused(&rig, 0, 3 * PB, a, 0);
	refused(&rig, PB, 3 * PB, b, PB);          /* another's */
	refused(&rig, PB, 3 * PB, a + 77, PB);
	refused(&rig, 8 * PB, 9 * PB, 0, 8 * PB);  /* nobody's */
	assert_int_equal(nr_held(&rig), 3);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, PB, 3 * PB, a);
	refused(&rig, PB, 3 * PB, a, PB);          /* twice */
	refused(&rig, 2 * PB, 2 * PB + 1, a, 2 * PB);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 3 * PB, 4 * PB, b);
	EXPECT(pfa_undo_isolate_range, PFA_EINVAL, rig.pfa, PB, PB, a);
	EXPECT(pfa_undo_isolate_range, PFA_ERANGE, rig.pfa, PB, FRAMES + 1, a);
	EXPECT(pfa_undo_isolate_range, PFA_ERANGE, rig.pfa, FRAMES, FRAMES + 1, a);
	pfa_token token;
	struct pfa_blocker why;
	EXPECT(pfa_isolate_range, PFA_EINVAL, rig.pfa, PB, PB, 0, &token, &why);
	EXPECT(pfa_isolate_range, PFA_EINVAL, rig.pfa, 0, PB, PFA_ZERO, &token, &why);
	EXPECT(pfa_isolate_range, PFA_ERANGE, rig.pfa, 0, FRAMES + 1, 0, &token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_RANGE);
	assert_int_equal(why.pfn, FRAMES);
	EXPECT(pfa_isolate_range, PFA_ERANGE, rig.pfa, FRAMES, FRAMES + 1, 0, &token, NULL);
	EXPECT(pfa_test_isolated, PFA_EINVAL, rig.pfa, 7, 7, a, &why);
	EXPECT(pfa_test_isolated, PFA_ERANGE, rig.pfa, 7, FRAMES + 7, a, &why);
	rig_stop(&rig);
}

/* Types stay, whatever is held and given up, in whatever state. */
static void test_types(void **state)
{
	struct rig rig;
	pfa_pfn pfns[3];
	const struct pfa_run cma = {8 * PB, 2 * PB};
	(void)state;
	rig_init(&rig);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	struct pfa_zone_config *z = rig_zone(&rig, 0, FRAMES);
	z->cma = &cma;
	z->nr_cma = 1;
	z->highatomic_frames = PB;
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 1, PFA_UNMOVABLE | PFA_HIGH, &pfns[2]);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_UNMOVABLE, &pfns[0]);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_RECLAIMABLE, &pfns[1]);
	enum pfa_type before[PAGEBLOCKS];
	unsigned seen[PFA_TYPES] = {0};
	for (unsigned i = 0; i < PAGEBLOCKS; i++)
		seen[before[i] = pageblock(&rig, i * PB).type]++;
	assert_true(seen[PFA_TYPE_UNMOVABLE] && seen[PFA_TYPE_RECLAIMABLE] && seen[PFA_TYPE_HIGHATOMIC] && seen[PFA_TYPE_CMA] == 2);
	struct pfa_zone_stats stats = rig_stats(&rig, 0);
	for (unsigned lo = 0; lo < PAGEBLOCKS; lo++) {
		for (unsigned hi = lo + 1; hi <= PAGEBLOCKS; hi++) {
			pfa_token token = hold(&rig, lo * PB, hi * PB);
			for (unsigned i = lo; i < hi; i++) {
				assert_int_equal(pageblock(&rig, i * PB).type, before[i]);
				assert_int_equal(rig_info(&rig, i * PB).type, PFA_TYPE_ISOLATE);
			}
			struct pfa_zone_stats held = rig_stats(&rig, 0);
			assert_int_equal(held.free + held.free_isolated, stats.free);
			assert_int_equal(held.reserved_highatomic, stats.reserved_highatomic);
			EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, lo * PB, hi * PB, token);
		}
	}
	for (unsigned i = 0; i < PAGEBLOCKS; i++)
		assert_int_equal(pageblock(&rig, i * PB).type, before[i]);
	struct pfa_zone_stats after = rig_stats(&rig, 0);
	assert_int_equal(after.free, stats.free);
	assert_int_equal(after.free_cma, stats.free_cma);
	assert_int_equal(after.free_highatomic, stats.free_highatomic);
	rig_check(&rig);
	/* What becomes free while it is held: only then, at the end, it binds no type any more. */
	pfa_token token = hold(&rig, pfns[0], pfns[0] + 1);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[0], 0);
	assert_int_equal(pageblock(&rig, pfns[0]).type, PFA_TYPE_UNMOVABLE);
	rig_check(&rig);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, pfns[0], pfns[0] + 1, token);
	assert_int_equal(pageblock(&rig, pfns[0]).type, PFA_TYPE_MOVABLE);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[1], 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[2], 1);
	rig_stop(&rig);
}

/* Nothing of a held pageblock is granted, nor counted by the marks, nor cached; what caches had of it has gone back. */
static void test_nothing_on_offer(void **state)
{
	struct rig rig;
	pfa_pfn pfns[FRAMES];
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		base(&rig, 0);
		size_t nr = 0;
		while (nr < (size_t)200 >> order && pfa_alloc(rig.pfa, order, PFA_MOVABLE, &pfns[nr]) == PFA_OK)
			nr++;
		for (size_t i = 0; i < nr; i += 2)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order); /* into the cache, or quarantine */
		pfa_token token = hold(&rig, 0, 4 * PB);
		for (pfa_pfn at = 0; at < 4 * PB; at++) {
			enum pfa_frame_state is = rig_info(&rig, at).state;
			assert_true(is == PFA_FRAME_FREE || is == PFA_FRAME_HEAD || is == PFA_FRAME_TAIL);
		}
		for (size_t i = 1; i < nr; i += 2) {
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order);
			if (pfns[i] < 4 * PB)
				assert_int_equal(rig_info(&rig, pfns[i]).state, PFA_FRAME_FREE);
		}
		assert_int_equal(rig_stats(&rig, 0).free_isolated, 4 * PB);
		EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, 0, 4 * PB, token, NULL);
		rig_check(&rig);
		nr = rig_take_all(&rig, order, PFA_MOVABLE | PFA_HIGH, PFA_ENOMEM, pfns, FRAMES);
		assert_int_equal(nr << order, FRAMES - 4 * PB);
		for (size_t i = 0; i < nr; i++)
			assert_true(pfns[i] >= 4 * PB);
		EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 0, 4 * PB, token);
		pfa_pfn pfn;
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &pfn);
		assert_true(pfn < 4 * PB);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
		for (size_t i = 0; i < nr; i++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order);
		rig_stop(&rig);
	}
}

/* Blocks above the pageblock are cached, too: neither such a block that has a held pageblock, nor one that is freed later. */
static void test_large_blocks_in_caches(void **state)
{
	struct rig rig;
	(void)state;
	rig_init(&rig);
	rig_zone(&rig, 0, 1 << 16);
	rig_start(&rig);
	pfa_pfn pfn, other;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, PFA_MOVABLE, &pfn);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, PFA_MOVABLE, &other);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 8);
	assert_int_not_equal(rig_info(&rig, pfn).state, PFA_FRAME_FREE);
	pfa_token token = hold(&rig, pfn + 2 * PB, pfn + 3 * PB);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, pfn + 2 * PB, pfn + 3 * PB, token, NULL);
	assert_int_equal(rig_stats(&rig, 0).free_isolated, PB);
	rig_check(&rig);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, pfn + 2 * PB, pfn + 3 * PB, token);
	token = hold(&rig, other, other + 4 * PB);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, other, other + 3 * PB, token);
	EXPECT(pfa_free, PFA_OK, rig.pfa, other, 8); /* its first pageblock is not held, its last one is */
	assert_int_equal(rig_stats(&rig, 0).free_isolated, PB);
	assert_int_equal(rig_info(&rig, other).state, PFA_FRAME_FREE);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, other + 3 * PB, other + 4 * PB, token, NULL);
	rig_check(&rig);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, other + 3 * PB, other + 4 * PB, token);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Blocks across the edges: movable ones are moved, others are in the way; one that ends at the edge is not. */
static void test_edges(void **state)
{
	struct rig rig;
	struct pfa_blocker why;
	pfa_token token = 0;
	(void)state;
	base(&rig, PFA_EXPLICIT_0);
	scripted_start(&s, &rig);
	pfa_pfn pfns[4];
	for (unsigned i = 0; i < 4; i++)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 7, PFA_MOVABLE, &pfns[i]); /* two pageblocks each */
	assert_int_equal(pfns[0], 0);
	assert_int_equal(pfns[3], 6 * PB);
	for (pfa_pfn lo = 0; lo < 8; lo++) {
		for (pfa_pfn hi = lo + 1; hi <= 8; hi++) {
			bool crosses = lo % 2 || hi % 2;
			int result = pfa_isolate_range(rig.pfa, lo * PB, hi * PB, 0, &token, &why);
			rig_expect("pfa_isolate_range", crosses ? PFA_EBUSY : PFA_OK, result, __FILE__, __LINE__);
			if (!crosses) {
				EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, lo * PB, hi * PB, token);
				continue;
			}
			assert_int_equal(why.reason, PFA_BLOCKER_UNMOVABLE);
			assert_int_equal(why.pfn, lo % 2 ? (lo - 1) * PB : (hi - 1) * PB);
			assert_int_equal(nr_held(&rig), 0);
		}
	}
	scripted_adopt(&s, 1, pfns[1], 7);
	EXPECT(pfa_isolate_range, PFA_EAGAIN, rig.pfa, 3 * PB, 4 * PB, PFA_NOMIGRATE, &token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_MOVABLE);
	assert_int_equal(why.pfn, pfns[1]);
	EXPECT(pfa_isolate_range, PFA_EAGAIN, rig.pfa, 2 * PB, 3 * PB, PFA_NOWAIT, &token, NULL);
	EXPECT(pfa_pin, PFA_OK, rig.pfa, pfns[1]);
	EXPECT(pfa_isolate_range, PFA_EBUSY, rig.pfa, 3 * PB, 4 * PB, 0, &token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_PINNED);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, pfns[1]);
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	pfa_pfn rest[FRAMES];
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, rest, FRAMES);
	EXPECT(pfa_isolate_range, PFA_ENOMEM, rig.pfa, 3 * PB, 4 * PB, 0, &token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NOMEM);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	assert_int_equal(nr_held(&rig), 0);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 3 * PB, 4 * PB, 0, &token, &why);
	assert_int_equal(s.calls[OP_MIGRATE], 1);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, 3 * PB, 4 * PB, token, &why);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 3 * PB, 4 * PB, token);
	scripted_stop(&s);
	for (unsigned i = 0; i < 4; i++)
		if (i != 1)
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 7);
	rig_stop(&rig);
}

static void free_inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)dst, (void)src;
	if (op == OP_ISOLATE)
		scripted_free(sc, cookie);
}

/* A block across an edge that its owner gives up is gone only when it is free: not while a pin or a quarantine keeps it. Blocks of
 * this size go into no cache: no pageblock but that in which they begin tells a free that something is held. */
static void test_edges_released(void **state)
{
	struct rig rig;
	struct pfa_blocker why;
	pfa_token token = 0;
	(void)state;
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.cfg.cache_max_order = PFA_EXPLICIT_0;
	rig.cfg.quarantine = rig_level == 3 ? 8 : 0;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	scripted_start(&s, &rig);
	pfa_pfn pinned = s.blocks[scripted_take(&s, 7)].at, freed = s.blocks[scripted_take(&s, 7)].at;
	EXPECT(pfa_pin, PFA_OK, rig.pfa, pinned);
	scripted_free(&s, 0);
	for (unsigned half = 0; half < 2; half++) {
		EXPECT(pfa_isolate_range, PFA_EBUSY, rig.pfa, pinned + half * PB, pinned + (half + 1) * PB, 0, &token, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_PINNED);
		assert_int_equal(why.pfn, pinned);
		assert_int_equal(nr_held(&rig), 0);
	}
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, pinned);
	s.inside = free_inside;
	token = hold(&rig, freed + PB, freed + 2 * PB);
	assert_int_equal(s.calls[OP_ISOLATE], 1);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, freed + PB, freed + 2 * PB, token, NULL);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, freed + PB, freed + 2 * PB, token);
	token = hold(&rig, pinned + PB, pinned + 2 * PB);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, pinned + PB, pinned + 2 * PB, token, NULL);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, pinned + PB, pinned + 2 * PB, token);
	scripted_stop(&s);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Zones that begin and end anywhere, share a pageblock, and have holes: everything that is held is given up. */
static void test_borders(void **state)
{
	struct rig rig;
	struct pfa_blocker why;
	const struct pfa_run hole = {3 * PB, 20};
	(void)state;
	rig_init(&rig);
	struct pfa_zone_config *z = rig_zone(&rig, 37, 5 * PB);
	z->holes = &hole;
	z->nr_holes = 1;
	rig_zone(&rig, 37 + 5 * PB, 5 * PB);
	rig_start(&rig);
	const pfa_pfn seam = 37 + 5 * PB;
	for (pfa_pfn at = 37; at < seam; at += 11) {
		pfa_token token = 0, other = hold(&rig, seam, seam + 1);
		EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, at, seam, 0, &token, &why);
		rig_check(&rig);
		bool holed = at < hole.first + hole.nr_frames;
		int result = pfa_test_isolated(rig.pfa, at, seam, token, &why);
		rig_expect("pfa_test_isolated", holed ? PFA_ERANGE : PFA_OK, result, __FILE__, __LINE__);
		if (holed)
			assert_int_equal(why.pfn, at > hole.first ? at : hole.first);
		EXPECT(pfa_isolate_range, PFA_ERANGE, rig.pfa, at, seam + 1, 0, &token, NULL);
		EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, seam, seam + 1, other);
		assert_int_equal(rig_stats(&rig, 1).held_pageblocks, 0);
		EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, at, seam, token);
		assert_int_equal(rig_stats(&rig, 0).held_pageblocks, 0);
	}
	rig_stop(&rig);
}

static void test_test_isolated(void **state)
{
	struct rig rig;
	struct pfa_blocker why;
	pfa_pfn pfn;
	(void)state;
	base(&rig, PFA_EXPLICIT_0);
	scripted_start(&s, &rig);
	pfa_token token = hold(&rig, 0, FRAMES);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, 1, FRAMES - 1, token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NONE);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 200);
	EXPECT(pfa_test_isolated, PFA_EBUSY, rig.pfa, 0, FRAMES, token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_BAD);
	assert_int_equal(why.pfn, 200);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 0, FRAMES, token);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &pfn);
	token = hold(&rig, pfn, pfn + 1);
	EXPECT(pfa_test_isolated, PFA_EBUSY, rig.pfa, pfn + 5, pfn + 6, token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_UNMOVABLE);
	assert_int_equal(why.pfn, pfn);
	scripted_adopt(&s, 0, pfn, 3);
	EXPECT(pfa_test_isolated, PFA_EBUSY, rig.pfa, pfn, pfn + 1, token, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_MOVABLE);
	EXPECT(pfa_test_isolated, PFA_OK, rig.pfa, pfn ^ 32, (pfn ^ 32) + 1, token, &why);
	rig_check(&rig);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, pfn, pfn + 1, token);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* ---- damage that is met late ---- */

/* What a call does whose pageblocks are damaged while it holds them: at its nth unlock `used` of each that is held is more than it has. */
static struct {
	struct {
		uint32_t used, type, holder, marked;
	} *pbs;
	unsigned countdown;
	bool done;
} late;

static void damage_late(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)pfa;
	(void)zone;
	if (!late.countdown || --late.countdown)
		return;
	for (size_t pb = 0; pb < PAGEBLOCKS; pb++) {
		if (!late.pbs[pb].holder)
			continue;
		late.pbs[pb].used = PB * 77;
		late.done = true;
	}
}

enum late_call { LATE_ISOLATE, LATE_ISOLATE_IN_VAIN, LATE_UNDO, LATE_RANGE, LATE_CONTIG, LATE_CMA_CREATE, LATE_CMA_ALLOC, LATE_CMA_DESTROY,
	LATE_OFFLINE, LATE_ONLINE, LATE_ADD, LATE_REMOVE, LATE_CALLS };

static int late_call(struct rig *rig, enum late_call call, unsigned nth)
{
	struct pfa *pfa = rig->pfa;
	struct pfa_blocker why;
	pfa_token token = 0;
	pfa_pfn pfn = 0;
	pfa_cma area = 0;
	if (call == LATE_UNDO)
		token = hold(rig, 2 * PB, 4 * PB);
	if (call == LATE_CMA_ALLOC || call == LATE_CMA_DESTROY)
		EXPECT(pfa_cma_create, PFA_OK, pfa, 2 * PB, 2 * PB, 0, &area, &why);
	if (call == LATE_ONLINE || call == LATE_ADD || call == LATE_REMOVE)
		EXPECT(pfa_offline_range, PFA_OK, pfa, 2 * PB, 2 * PB, 0, &why);
	if (call == LATE_ADD)
		EXPECT(pfa_remove_range, PFA_OK, pfa, 2 * PB, 2 * PB, &why);
	if (call == LATE_ISOLATE_IN_VAIN) { /* a block over the edge */
		EXPECT(pfa_alloc_window, PFA_OK, pfa, 7, PFA_MOVABLE, ((struct pfa_run){2 * PB, 2 * PB}), &pfn);
	}
	late.countdown = nth;
	switch (call) {
	case LATE_ISOLATE: return pfa_isolate_range(pfa, 2 * PB, 4 * PB, 0, &token, &why);
	case LATE_ISOLATE_IN_VAIN: return pfa_isolate_range(pfa, 3 * PB, 5 * PB, 0, &token, &why);
	case LATE_UNDO: return pfa_undo_isolate_range(pfa, 2 * PB, 4 * PB, token);
	case LATE_RANGE: return pfa_alloc_contig_range(pfa, 2 * PB + 3, 4 * PB - 3, 0, &why);
	case LATE_CONTIG: return pfa_alloc_contig(pfa, 2 * PB - 6, 1, 0, &pfn);
	case LATE_CMA_CREATE: return pfa_cma_create(pfa, 2 * PB, 2 * PB, 0, &area, &why);
	case LATE_CMA_ALLOC: return pfa_cma_alloc(pfa, area, 2 * PB - 6, 1, 0, &pfn);
	case LATE_CMA_DESTROY: return pfa_cma_destroy(pfa, area);
	case LATE_OFFLINE: return pfa_offline_range(pfa, 2 * PB + 3, 2 * PB - 6, 0, &why);
	case LATE_ONLINE: return pfa_online_range(pfa, 2 * PB, 2 * PB, &why);
	case LATE_ADD: return pfa_add_range(pfa, 2 * PB, 2 * PB, &why);
	default: return pfa_remove_range(pfa, 2 * PB, 2 * PB, &why);
	}
}

/* Wherever it is met, also in the end, where the pageblocks are given up: the call says so, and it is told. After the repair nothing is
 * in use that a call has not granted. */
static void test_damaged_while_held(void **state)
{
	(void)state;
	for (enum late_call call = 0; call < LATE_CALLS; call++) {
		unsigned met = 0;
		bool damaged = true;
		for (unsigned nth = 1; nth < 40; nth++) {
			struct rig rig;
			rig_init(&rig);
			rig.cfg.cache_high = PFA_EXPLICIT_0;
			rig_zone(&rig, 0, FRAMES);
			rig_start(&rig);
			size_t bytes;
			late.pbs = rig_region(&rig, "pageblocks", &bytes);
			MUST(bytes >= PAGEBLOCKS * sizeof(late.pbs[0]));
			late.done = false;
			pfa_debug_on_unlock(rig.pfa, damage_late, NULL);
			int code = late_call(&rig, call, nth);
			damaged = late.done;
			late.countdown = 0;
			const unsigned faults = rig.fault.nr;
			struct pfa_repair repaired = {.size = sizeof(repaired)};
			if (code == PFA_ECORRUPT) {
				met++;
				MUST_EQ(faults, 1);
				MUST_EQ(rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
			} else if (faults || pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &(pfa_pfn){0}) == PFA_ECORRUPT) {
				rig_fail(__FILE__, __LINE__, "call %d, damaged at unlock %u: %d, and there is damage", (int)call, nth, code);
			}
			if (code == PFA_ECORRUPT) {
				EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &repaired);
				rig_check(&rig);
				MUST_EQ(rig_stats(&rig, 0).allocated, call == LATE_ISOLATE_IN_VAIN ? 2 * PB : 0);
			}
			rig_drop(&rig);
			if (!damaged && nth > 20)
				break;
		}
		MUST((met > 0) == (call != LATE_ISOLATE)); /* what it holds it does not look at again */
	}
}

static const struct unit_test tests[] = {
	TEST(test_holders),
	TEST(test_misuse),
	TEST(test_types),
	TEST(test_nothing_on_offer),
	TEST(test_large_blocks_in_caches),
	TEST(test_edges),
	TEST(test_edges_released),
	TEST(test_borders),
	TEST(test_test_isolated),
	TEST(test_damaged_while_held),
};
UNIT_MAIN(tests)
