/* SPDX-License-Identifier: MIT
 *
 * Memory that comes and goes, with one thread: what is offline against a model of each frame, what is in the way, and that pageblocks'
 * types, holders and all sums are as they must be before and after.
 */
#define _GNU_SOURCE

#include "scripted.h"
#include "unit.h"

#include <pfa/cma.h>
#include <pfa/harden.h>
#include <pfa/hotplug.h>
#include <pfa/walk.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PB = 64, PBS = 20, FIRST = 5, FRAMES = PBS * PB };

enum kind { FREE, FIXED, MOVES, PINNED, BAD, HOLE, OFFLINE, OFFLINE_BAD };

static struct scripted s;
static struct rig rig;
static enum kind kinds[FRAMES];
static const struct pfa_run holes[] = {{3 * PB, 9}, {8 * PB - 3, PB + 6}, {12 * PB + 1, 1}}, cma = {15 * PB, PB};

static void base(uint32_t cache_high)
{
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.cfg.cache_high = cache_high;
	struct pfa_zone_config *z = rig_zone(&rig, FIRST, FRAMES - FIRST - 7);
	z->holes = holes;
	z->nr_holes = 3;
	z->cma = &cma;
	z->nr_cma = 1;
	z->highatomic_frames = PB;
	rig_start(&rig);
	scripted_start(&s, &rig);
	memset(kinds, 0, sizeof(kinds));
	for (unsigned i = 0; i < 3; i++)
		for (pfa_pfn at = holes[i].first; at < holes[i].first + holes[i].nr_frames; at++)
			kinds[at] = HOLE;
}

static void look(void)
{
	for (pfa_pfn at = FIRST; at < FRAMES - 7; at++)
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

/* Every frame is what the model says, and so are the sums. */
static void compare(void)
{
	size_t present = 0, offline = 0, bad = 0, used = 0;
	struct pfa_zone_stats now = rig_stats(&rig, 0);
	for (pfa_pfn at = FIRST; at < FRAMES - 7; at++) {
		enum pfa_frame_state state = rig_info(&rig, at).state;
		bool gone = kinds[at] == HOLE || kinds[at] == OFFLINE || kinds[at] == OFFLINE_BAD;
		assert_int_equal(state == PFA_FRAME_ABSENT, kinds[at] == HOLE);
		assert_int_equal(state == PFA_FRAME_OFFLINE, gone && kinds[at] != HOLE);
		assert_int_equal(state == PFA_FRAME_BAD, kinds[at] == BAD);
		present += !gone;
		offline += gone && kinds[at] != HOLE;
		bad += kinds[at] == BAD;
		used += kinds[at] == FIXED || kinds[at] == MOVES || kinds[at] == PINNED;
	}
	assert_int_equal(now.present, present);
	assert_int_equal(now.offline, offline);
	assert_int_equal(now.bad, bad);
	assert_int_equal(now.allocated, used);
	assert_int_equal(now.held_pageblocks, 0);
	assert_int_equal(rig_sum(&now), present);
	for (pfa_pfn at = 0; at < FRAMES; at += PB) {
		struct pfa_pageblock_info info;
		size_t here = 0;
		EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, at < FIRST ? FIRST : at, &info);
		for (pfa_pfn i = at < FIRST ? FIRST : at; i < at + PB && i < FRAMES - 7; i++)
			here += kinds[i] < HOLE;
		assert_int_equal(info.present, here);
		assert_int_equal(info.holder, 0);
		assert_int_equal(info.type == PFA_TYPE_CMA, at == cma.first);
	}
}

static enum pfa_blocker_reason in_the_way(pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	enum pfa_blocker_reason reason = PFA_BLOCKER_NONE;
	for (pfa_pfn at = start; at < end && !reason; at++) {
		if (kinds[at] == FIXED)
			reason = PFA_BLOCKER_UNMOVABLE;
		else if (kinds[at] == BAD && !(flags & PFA_TAKE_BAD))
			reason = PFA_BLOCKER_BAD;
		else if ((kinds[at] == MOVES || kinds[at] == PINNED) && (flags & (PFA_NOMIGRATE | PFA_NOWAIT)))
			reason = PFA_BLOCKER_MOVABLE;
	}
	/* looked at first; then the pageblocks are held, then emptied */
	bool in_cma = start < cma.first + PB && end > cma.first;
	if (!reason && in_cma && !(flags & PFA_CMA))
		return PFA_BLOCKER_TYPE;
	for (pfa_pfn at = start; at < end && !reason; at++)
		if (kinds[at] == PINNED)
			reason = PFA_BLOCKER_PINNED;
	return reason;
}

static bool only_holes(pfa_pfn start, pfa_pfn end)
{
	while (start < end && kinds[start] == HOLE)
		start++;
	return start == end;
}

static void try_offline(struct rng *rng, pfa_pfn start, pfa_pfn end)
{
	static const uint32_t ways[] = {0, 0, PFA_NOMIGRATE, PFA_NOWAIT};
	uint32_t flags = ways[rng_below(rng, 4)] | (rng_one_in(rng, 2) ? PFA_TAKE_BAD : 0) | (rng_one_in(rng, 2) ? PFA_CMA : 0);
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	enum pfa_blocker_reason reason = in_the_way(start, end, flags);
	int expected = only_holes(start, end) ? PFA_ERANGE : !reason ? PFA_OK : reason == PFA_BLOCKER_MOVABLE ? PFA_EAGAIN : PFA_EBUSY;
	int result = pfa_offline_range(rig.pfa, start, end - start, flags, &why);
	look();
	if (result == PFA_ENOMEM && !reason) /* what is moved finds no place: the rest may be offline */
		expected = result;
	rig_expect("pfa_offline_range", expected, result, __FILE__, __LINE__);
	if (expected != PFA_ENOMEM)
		assert_int_equal(why.reason, expected == PFA_ERANGE ? PFA_BLOCKER_RANGE : reason);
	for (pfa_pfn at = start; at < end && result == PFA_OK; at++) {
		assert_true(kinds[at] == FREE || kinds[at] >= BAD);
		if (kinds[at] == FREE)
			kinds[at] = OFFLINE;
		else if (kinds[at] == BAD)
			kinds[at] = OFFLINE_BAD;
	}
}

static void try_others(struct rng *rng, pfa_pfn start, pfa_pfn end)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	bool exists = !only_holes(start, end), present = false, all_holes = !exists;
	for (pfa_pfn at = start; at < end; at++)
		present |= kinds[at] < HOLE;
	switch (rng_below(rng, 3)) {
	case 0:
		EXPECT(pfa_online_range, exists ? PFA_OK : PFA_ERANGE, rig.pfa, start, end - start, &why);
		for (pfa_pfn at = start; at < end; at++)
			kinds[at] = kinds[at] == OFFLINE ? FREE : kinds[at] == OFFLINE_BAD ? BAD : kinds[at];
		break;
	case 1:
		EXPECT(pfa_remove_range, !exists ? PFA_ERANGE : present ? PFA_EBUSY : PFA_OK, rig.pfa, start, end - start, &why);
		assert_int_equal(why.reason, !exists ? PFA_BLOCKER_RANGE : present ? PFA_BLOCKER_PRESENT : PFA_BLOCKER_NONE);
		for (pfa_pfn at = start; at < end && !present; at++)
			kinds[at] = HOLE;
		break;
	default:
		EXPECT(pfa_add_range, all_holes ? PFA_OK : PFA_EBUSY, rig.pfa, start, end - start, &why);
		for (pfa_pfn at = start; at < end && all_holes; at++)
			kinds[at] = OFFLINE;
	}
}

/* Something that is in use, or bad. */
static void use(struct rng *rng, pfa_pfn fixed[], unsigned *nr_fixed)
{
	pfa_pfn at = FIRST + rng_below(rng, FRAMES - FIRST - 7), pfn;
	unsigned cookie = 0;
	if (rng_one_in(rng, 12)) {
		int expected = kinds[at] >= HOLE ? PFA_ERANGE : kinds[at] == FREE || kinds[at] == BAD ? PFA_OK : PFA_EAGAIN;
		if (expected == PFA_EAGAIN)
			return;
		EXPECT(pfa_mark_bad, expected, rig.pfa, at);
		kinds[at] = expected == PFA_OK ? BAD : kinds[at];
		return;
	}
	while (s.blocks[cookie].state != BLOCK_NONE)
		cookie++;
	unsigned order = (unsigned)rng_below(rng, 4);
	bool fix = rng_one_in(rng, 3);
	if (pfa_alloc_window(rig.pfa, order, fix ? PFA_UNMOVABLE : PFA_MOVABLE, (struct pfa_run){at, 8}, &pfn) != PFA_OK)
		return;
	for (pfa_pfn i = pfn; i < pfn + ((pfa_pfn)1 << order); i++) {
		assert_int_equal(kinds[i], FREE);
		kinds[i] = FIXED;
	}
	if (fix) {
		EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, order, 0);
		for (unsigned i = 0; i < 1u << order; i++)
			fixed[(*nr_fixed)++] = pfn + i;
		return;
	}
	scripted_adopt(&s, cookie, pfn, order);
	if (rng_one_in(rng, 10))
		EXPECT(pfa_pin, PFA_OK, rig.pfa, pfn);
	look();
}

static void test_against_model(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 40; seed++) {
		struct rng rng = {seed};
		pfa_pfn fixed[FRAMES];
		unsigned nr_fixed = 0;
		base(seed % 2 ? 0 : PFA_EXPLICIT_0);
		for (unsigned i = 0; i < 150; i++) {
			pfa_pfn start = FIRST + rng_below(&rng, FRAMES - FIRST - 7), end;
			end = start + 1 + rng_below(&rng, rng_one_in(&rng, 3) ? 3 * PB : 20);
			if (rng_one_in(&rng, 4)) {
				start = start / PB * PB > FIRST ? start / PB * PB : FIRST;
				end = end / PB * PB > start ? end / PB * PB : start + PB;
			}
			end = end < FRAMES - 7 ? end : FRAMES - 7;
			if (rng_one_in(&rng, 3))
				use(&rng, fixed, &nr_fixed);
			else if (rng_one_in(&rng, 2))
				try_offline(&rng, start, end);
			else
				try_others(&rng, start, end);
			if (nr_fixed && rng_one_in(&rng, 2)) {
				unsigned j = (unsigned)rng_below(&rng, nr_fixed);
				EXPECT(pfa_free, PFA_OK, rig.pfa, fixed[j], 0);
				kinds[fixed[j]] = FREE;
				fixed[j] = fixed[--nr_fixed];
			}
			if (i % 10 == 0) {
				compare();
				rig_check(&rig);
			}
		}
		while (nr_fixed) {
			EXPECT(pfa_free, PFA_OK, rig.pfa, fixed[--nr_fixed], 0);
			kinds[fixed[nr_fixed]] = FREE;
		}
		for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
			while (s.blocks[i].state == BLOCK_OWNED && scripted_info(&s, i).pins)
				EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[i].at);
		scripted_stop(&s);
		look();
		compare();
		rig_check(&rig);
		/* all of it goes, and comes back */
		EXPECT(pfa_offline_range, PFA_OK, rig.pfa, FIRST, FRAMES - FIRST - 7, PFA_TAKE_BAD | PFA_CMA, NULL);
		assert_int_equal(rig_stats(&rig, 0).present, 0);
		rig_check(&rig);
		EXPECT(pfa_remove_range, PFA_OK, rig.pfa, FIRST, FRAMES - FIRST - 7, NULL);
		EXPECT(pfa_add_range, PFA_OK, rig.pfa, FIRST, FRAMES - FIRST - 7, NULL);
		EXPECT(pfa_online_range, PFA_OK, rig.pfa, FIRST, FRAMES - FIRST - 7, NULL);
		assert_int_equal(rig_stats(&rig, 0).free, FRAMES - FIRST - 7);
		rig_stop(&rig);
	}
}

static int visit(void *ctx, struct pfa_run run)
{
	for (pfa_pfn at = run.first; at < run.first + run.nr_frames; at++)
		assert_int_equal(kinds[at], FREE);
	*(size_t *)ctx += run.nr_frames;
	return 0;
}

/* What others say of such frames. */
static void test_seen(void **state)
{
	struct pfa_blocker why;
	struct pfa_repair out;
	pfa_token token;
	pfa_pfn pfn;
	size_t walked = 0;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 105);
	kinds[105] = OFFLINE_BAD;
	EXPECT(pfa_offline_range, PFA_OK, rig.pfa, 100, 150 - 100, PFA_TAKE_BAD, &why);
	for (pfa_pfn at = 100; at < 150; at++)
		kinds[at] = at == 105 ? OFFLINE_BAD : OFFLINE;
	compare();
	if (RIG_HARDENED) {
		for (pfa_pfn at = 105; at < 107; at++) {
			EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, 0);
			assert_int_equal(rig.fault.kind, PFA_FAULT_OFFLINE);
		}
		EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, 100, 20);
	}
	EXPECT(pfa_mark_bad, PFA_ERANGE, rig.pfa, 105);
	EXPECT(pfa_mark_bad, PFA_ERANGE, rig.pfa, 110);
	EXPECT(pfa_alloc_contig_range, PFA_ERANGE, rig.pfa, 90, 101, 0, &why);
	assert_int_equal(why.pfn, 100);
	EXPECT(pfa_isolate_range, PFA_OK, rig.pfa, 90, 160, 0, &token, &why);
	EXPECT(pfa_test_isolated, PFA_ERANGE, rig.pfa, 90, 160, token, &why);
	EXPECT(pfa_offline_range, PFA_EBUSY, rig.pfa, 64, 1, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_HELD);
	EXPECT(pfa_online_range, PFA_EBUSY, rig.pfa, 100, 1, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_HELD);
	EXPECT(pfa_undo_isolate_range, PFA_OK, rig.pfa, 90, 160, token);
	EXPECT(pfa_walk_free, PFA_OK, rig.pfa, 0, visit, &walked, NULL);
	assert_int_equal(walked, rig_stats(&rig, 0).present);
	EXPECT(pfa_movable_set, PFA_EINVAL, rig.pfa, 110, s.owner, 1);
	/* a repair knows them */
	unsigned char *pageblocks = rig_region(&rig, "pageblocks", &walked);
	pageblocks[2 * (walked / PBS)] ^= 1; /* struct pfai_pb.used */
	EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &out);
	assert_int_equal(out.zones, 1);
	compare();
	rig_check(&rig);
	EXPECT(pfa_online_range, PFA_OK, rig.pfa, 100, 50, &why);
	for (pfa_pfn at = 100; at < 150; at++)
		kinds[at] = at == 105 ? BAD : FREE;
	compare();
	rig_check(&rig);
	/* a reserved pageblock is none any more */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_UNMOVABLE | PFA_HIGH, &pfn);
	assert_int_equal(rig_type(&rig, pfn), PFA_TYPE_HIGHATOMIC);
	EXPECT(pfa_offline_range, PFA_OK, rig.pfa, pfn + 6, 1, 0, &why);
	assert_int_equal(rig_type(&rig, pfn), PFA_TYPE_MOVABLE);
	assert_int_equal(rig_stats(&rig, 0).reserved_highatomic, 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 2);
	rig_check(&rig);
	EXPECT(pfa_online_range, PFA_OK, rig.pfa, pfn + 6, 1, &why);
	scripted_stop(&s);
	rig_drop(&rig); /* the bad frame stays */
}

static void test_refused(void **state)
{
	struct pfa_blocker why;
	pfa_pfn pfn, rest[FRAMES];
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_offline_range, PFA_EINVAL, rig.pfa, 10, 0, 0, &why);
	EXPECT(pfa_offline_range, PFA_EINVAL, rig.pfa, 10, SIZE_MAX, 0, &why);
	EXPECT(pfa_offline_range, PFA_EINVAL, rig.pfa, 10, 1, PFA_ZERO, &why);
	EXPECT(pfa_online_range, PFA_EINVAL, rig.pfa, 10, 0, &why);
	EXPECT(pfa_add_range, PFA_EINVAL, rig.pfa, 10, 0, &why);
	EXPECT(pfa_remove_range, PFA_EINVAL, rig.pfa, 10, 0, &why);
	EXPECT(pfa_offline_range, PFA_ERANGE, rig.pfa, 0, 10, 0, &why);
	EXPECT(pfa_online_range, PFA_ERANGE, rig.pfa, 0, 10, &why);
	EXPECT(pfa_add_range, PFA_ERANGE, rig.pfa, FRAMES - 8, 2, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_RANGE);
	assert_int_equal(why.pfn, FRAMES - 7);
	EXPECT(pfa_remove_range, PFA_ERANGE, rig.pfa, FRAMES - 8, 2, &why);
	/* no place for what has to be moved */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){PB, 4}), &pfn);
	scripted_adopt(&s, 0, pfn, 2);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, rest, FRAMES);
	EXPECT(pfa_offline_range, PFA_ENOMEM, rig.pfa, pfn, 4, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_NOMEM);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, rest[i], 0);
	/* an owner that refuses is asked again and again, and no more */
	s.says[OP_MIGRATE] = PFA_EAGAIN;
	s.calls[OP_PUTBACK] = 0;
	EXPECT(pfa_offline_range, PFA_EBUSY, rig.pfa, pfn - 9, 20, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_REFUSED);
	assert_int_equal(why.pfn, pfn);
	assert_int_equal(s.calls[OP_PUTBACK], PFA_CONTIG_TRIES);
	s.says[OP_MIGRATE] = PFA_OK;
	look();
	compare(); /* what had been taken before it is back */
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)sc, (void)op, (void)cookie, (void)dst;
	EXPECT(pfa_offline_range, PFA_EDEADLK, rig.pfa, src, 1, 0, NULL);
	EXPECT(pfa_online_range, PFA_EDEADLK, rig.pfa, src, 1, NULL);
	EXPECT(pfa_add_range, PFA_EDEADLK, rig.pfa, src, 1, NULL);
	EXPECT(pfa_remove_range, PFA_EDEADLK, rig.pfa, src, 1, NULL);
}

static void test_inside(void **state)
{
	struct pfa_blocker why;
	pfa_pfn pfn;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){PB + 20, 1}), &pfn);
	scripted_adopt(&s, 0, pfn, 0);
	s.inside = inside;
	EXPECT(pfa_offline_range, PFA_OK, rig.pfa, PB, PB, PFA_TAKE_BAD, &why);
	s.inside = NULL;
	assert_int_equal(rig_stats(&rig, 0).offline, PB);
	EXPECT(pfa_online_range, PFA_OK, rig.pfa, PB, PB, &why);
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_damaged(void **state)
{
	struct pfa_blocker why;
	(void)state;
	base(PFA_EXPLICIT_0);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, s.owner);
	EXPECT(pfa_offline_range, PFA_OK, rig.pfa, PB, 4, 0, &why);
	size_t bytes;
	unsigned char *frames = rig_region(&rig, "frame_bytes", &bytes);
	frames[5 * PB] = 0x20; /* the span begins at a pageblock */
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, 5 * PB);
	EXPECT(pfa_offline_range, PFA_ECORRUPT, rig.pfa, 2 * PB, 4, 0, &why);
	assert_int_equal(why.reason, PFA_BLOCKER_CORRUPT);
	EXPECT(pfa_online_range, PFA_ECORRUPT, rig.pfa, PB, 4, &why);
	EXPECT(pfa_remove_range, PFA_ECORRUPT, rig.pfa, PB, 4, &why);
	EXPECT(pfa_add_range, PFA_ECORRUPT, rig.pfa, 3 * PB, 9, &why);
	rig_drop(&rig);
}

/* What comes back is not known to be zero, whatever it was before. */
static void test_content(void **state)
{
	void *at;
	pfa_pfn pfn;
	(void)state;
	rig_init(&rig);
	rig.pool_kind = RIG_POOL_CONTENT;
	rig.cfg.flags |= PFA_CONFIG_ZEROED_POOL;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
	EXPECT(pfa_ptr, PFA_OK, rig.pfa, 3 * PB, &at);
	EXPECT(pfa_offline_range, PFA_OK, rig.pfa, 3 * PB, PB, 0, NULL);
	EXPECT(pfa_remove_range, PFA_OK, rig.pfa, 3 * PB, PB, NULL);
	memset(at, 0xA5, (size_t)PB << rig.cfg.frame_shift); /* it is not the library's */
	EXPECT(pfa_add_range, PFA_OK, rig.pfa, 3 * PB, PB, NULL);
	EXPECT(pfa_online_range, PFA_OK, rig.pfa, 3 * PB, PB, NULL);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 6, PFA_MOVABLE | PFA_ZERO, ((struct pfa_run){3 * PB, PB}), &pfn);
	for (size_t i = 0; i < (size_t)PB << rig.cfg.frame_shift; i++)
		assert_int_equal(((unsigned char *)at)[i], 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
	rig_stop(&rig);
}

/* Bytes of the pages of [at, at + bytes) that are in memory. */
static size_t resident(void *at, size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), nr = (bytes + page - 1) / page;
	unsigned char *in = calloc(nr, 1);
	size_t pages = 0;
	assert_non_null(in);
	assert_int_equal(mincore(at, bytes, in), 0);
	for (size_t i = 0; i < nr; i++)
		pages += in[i] & 1;
	free(in);
	return pages * page;
}

/* Pages that had to be read back, of this process. */
static long read_back(void)
{
	struct rusage usage;
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_majflt;
}

/* 64 GiB that are to come: what their metadata takes before, and when they are there. Not judged where the kernel is short of memory and
 * takes pages away meanwhile: then fewer are resident than were written to, and some come back that the library did not make. Nor where
 * mincore() calls resident what nobody has touched, as sandboxes do. */
static void test_metadata(void **state)
{
	enum { MIB = 1 << 20, SLACK = 1 << 20 };
	const size_t nr = (size_t)16 * MIB, here = MIB / 4; /* frames of 4 KiB */
	const struct pfa_run hole = {here / 2, nr};
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = here + nr, .holes = &hole, .nr_holes = 1};
	struct pfa_config cfg;
	struct pfa_footprint need;
	struct pfa *pfa;
	(void)state;
	rig_init(&rig);
	pfa_config_init(&cfg);
	cfg.platform = &rig.os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.hardening = rig_level;
	cfg.poison = rig_level == 3 ? PFA_POISON_NONE : PFA_POISON_DEFAULT; /* there is no pool */
	cfg.max_owners = sizeof(void *) == 8; /* with 32 bits there may be no room for their table */
	cfg.flags = PFA_CONFIG_ZEROED_META;
	EXPECT(pfa_size, PFA_OK, &cfg, &need, NULL, NULL);
	void *meta = mmap(NULL, need.core_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(meta != MAP_FAILED);
	(void)madvise(meta, need.core_bytes, MADV_NOHUGEPAGE);
	const bool untold = resident(meta, need.core_bytes) != 0;
	const long reads = read_back();
	EXPECT(pfa_init, PFA_OK, meta, need.core_bytes, &cfg, &pfa, NULL, NULL);
	const size_t before = resident(meta, need.core_bytes);
	EXPECT(pfa_add_range, PFA_OK, pfa, hole.first, nr, NULL);
	const size_t added = resident(meta, need.core_bytes);
	EXPECT(pfa_online_range, PFA_OK, pfa, hole.first, MIB / 4, NULL); /* 1 GiB of it */
	const size_t online = resident(meta, need.core_bytes);
	const bool taken_away = before < nr || added < before || online < added || read_back() != reads;
	EXPECT(pfa_fini, PFA_OK, pfa);
	assert_int_equal(munmap(meta, need.core_bytes), 0);
	if (taken_away || untold)
		skip();
	assert_true(before <= (here + nr) / 8 * 9 + SLACK);
	if (cfg.max_owners)
		assert_true(need.core_bytes > 10 * before);
	assert_int_equal(added, before);
	assert_true(online <= added + SLACK / 8);
}

static const struct unit_test tests[] = {
	TEST(test_against_model),
	TEST(test_seen),
	TEST(test_refused),
	TEST(test_inside),
	TEST(test_damaged),
	TEST(test_metadata),
	TEST_CONTENT(test_content, "zeroing"),
};
UNIT_MAIN(tests)
