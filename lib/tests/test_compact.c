/* SPDX-License-Identifier: MIT
 *
 * Compaction with one thread: asked for, for a request, in the background. What it moves and where to, when it stops, how many
 * steps it takes at most.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/compact.h>

#include <string.h>

static struct scripted s;
static unsigned moves[SCRIPTED_BLOCKS]; /* by cookie, since the last count_moves() */

static void count_move(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	if (op != OP_MIGRATE || sc->says[OP_MIGRATE] != PFA_OK)
		return;
	MUST(dst > src);
	moves[cookie]++;
}

static void base(struct rig *rig, pfa_pfn start, size_t nr_frames)
{
	rig_init(rig);
	rig->cfg.max_owners = 2;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig->now_ns = 1;
	rig_zone(rig, start, nr_frames);
	rig_start(rig);
	scripted_start(&s, rig);
	s.inside = count_move;
	memset(moves, 0, sizeof(moves));
}

static void done(struct rig *rig)
{
	s.inside = NULL;
	scripted_stop(&s);
	rig_check(rig);
	rig_stop(rig);
}

/* Movable blocks of orders below `orders` up to the zone's end, then every other one is freed. */
static void fragment(struct rig *rig, struct rng *rng, unsigned orders)
{
	uint64_t cookies[SCRIPTED_BLOCKS];
	unsigned nr = 0;
	pfa_pfn pfn;
	for (unsigned cookie = 0; cookie < SCRIPTED_BLOCKS; cookie++) {
		unsigned order = (unsigned)rng_below(rng, orders);
		if (s.blocks[cookie].state != BLOCK_NONE)
			continue;
		if (pfa_alloc(rig->pfa, order, PFA_MOVABLE, &pfn) != PFA_OK)
			break;
		scripted_adopt(&s, cookie, pfn, order);
		cookies[nr++] = cookie;
	}
	for (unsigned i = 0; i < nr; i++)
		if (rng_one_in(rng, 2))
			scripted_free(&s, cookies[i]);
	rig_check(rig);
}

static size_t bound(size_t frames, size_t moved_blocks)
{
	const size_t pageblocks = (frames >> 6) + 2;
	return frames + 7 * pageblocks + moved_blocks;
}

/* No free frame lies above the lowest block that could be moved. */
static void packed(struct rig *rig, pfa_pfn start, pfa_pfn end)
{
	bool seen = false;
	for (pfa_pfn at = start; at < end; at++) {
		struct pfa_frame_info info = rig_info(rig, at);
		struct pfa_movable_info m;
		if (info.state == PFA_FRAME_FREE && seen)
			rig_fail(__FILE__, __LINE__, "frame %zu is free, and a movable block lies below", at);
		if (info.state == PFA_FRAME_HEAD && pfa_movable_info(rig->pfa, at, &m) == PFA_OK && !m.pins)
			seen = true;
	}
}

/* Single frames, at zone borders of any kind: packed afterwards, each moved at most once, pinned ones not at all. */
static void test_packs(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 24; seed++) {
		struct rig rig;
		struct rng rng = { seed };
		struct pfa_compact_stats stats, again;
		pfa_pfn start = seed % 3 == 0 ? 0 : 64 + seed, end = start + 300 + 37 * (seed % 8);
		unsigned nr_pins = 0, nr_moved = 0;
		base(&rig, start, end - start);
		fragment(&rig, &rng, 1);
		uint64_t pinned[8];
		while (nr_pins < seed % 8) {
			uint64_t cookie = rng_below(&rng, 200);
			if (s.blocks[cookie].state != BLOCK_OWNED || scripted_info(&s, cookie).pins)
				continue;
			EXPECT(pfa_pin, PFA_OK, rig.pfa, s.blocks[cookie].at);
			pinned[nr_pins++] = cookie;
		}
		EXPECT(pfa_compact, PFA_OK, rig.pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, seed % PFA_MIGRATE_MODES, &stats);
		for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++) {
			MUST(moves[i] <= 1);
			nr_moved += moves[i];
		}
		for (unsigned i = 0; i < nr_pins; i++)
			assert_int_equal(moves[pinned[i]], 0);
		assert_true(nr_moved > 20);
		assert_int_equal(stats.size, sizeof(stats));
		assert_int_equal(stats.moved, nr_moved);
		assert_true(stats.failed <= nr_pins);
		assert_int_equal(stats.met, 1);
		assert_true(stats.index_before > 800 && stats.index_after <= stats.index_before);
		assert_true(nr_pins || stats.index_after < stats.index_before);
		assert_true(stats.scanned <= end - start);
		assert_true(stats.steps <= bound(end - start, nr_moved));
		packed(&rig, start, end);
		rig_check(&rig);
		struct pfa_zone_stats z = rig_stats(&rig, 0);
		assert_int_equal(z.nr_compact_moved, stats.moved);
		assert_int_equal(z.nr_compact_failed, stats.failed);
		assert_int_equal(z.nr_compact_scanned, stats.scanned);
		assert_int_equal(z.nr_compact_steps, stats.steps);
		EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &again);
		assert_int_equal(again.moved, 0);
		for (unsigned i = 0; i < nr_pins; i++)
			EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[pinned[i]].at);
		done(&rig);
	}
}

/* All orders: each block moves at most once, and the free memory is in fewer pieces. */
static void test_mixed_orders(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 24; seed++) {
		struct rig rig;
		struct rng rng = { seed };
		struct pfa_compact_stats stats;
		base(&rig, 0, 2048);
		fragment(&rig, &rng, 2 + seed % 7);
		EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, seed % PFA_MIGRATE_MODES, &stats);
		unsigned nr_moved = 0;
		size_t frames = 0;
		for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++) {
			MUST(moves[i] <= 1);
			MUST(!moves[i] || s.blocks[i].order < 6);
			frames += (size_t)moves[i] << s.blocks[i].order;
			nr_moved += moves[i];
		}
		assert_true(nr_moved > 0);
		assert_int_equal(stats.moved, frames);
		assert_true(stats.index_after <= stats.index_before);
		assert_true(stats.steps <= bound(2048, nr_moved));
		rig_check(&rig);
		done(&rig);
	}
}

static void test_stops_at_the_order(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 5 };
	struct pfa_compact_stats some, all;
	pfa_pfn pfn;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 6, PFA_MOVABLE, &pfn);
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, 6, PFA_MIGRATE_SYNC, &some);
	assert_int_equal(some.met, 0);
	assert_int_equal(rig_info(&rig, 0).state, PFA_FRAME_FREE);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 6, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, 6, PFA_MIGRATE_SYNC, &all);
	assert_int_equal(all.steps, 0); /* it is there */
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &all);
	assert_int_equal(all.met, 1);
	assert_true(all.moved > some.moved);
	done(&rig);
	/* none can be made */
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	s.says[OP_ISOLATE] = PFA_EBUSY;
	EXPECT(pfa_compact, PFA_ENOMEM, rig.pfa, 0, 6, PFA_MIGRATE_SYNC, &all);
	assert_true(all.met == 1 && all.failed > 300 && !all.moved);
	done(&rig);
}

static void test_arguments(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, 0, 1024);
	EXPECT(pfa_compact, PFA_EINVAL, rig.pfa, 1, 0, PFA_MIGRATE_SYNC, NULL);
	EXPECT(pfa_compact, PFA_EINVAL, rig.pfa, 0, 9, PFA_MIGRATE_SYNC, NULL);
	EXPECT(pfa_compact, PFA_EINVAL, rig.pfa, 0, 0, PFA_MIGRATE_MODES, NULL);
	unsigned char *map = rig_region(&rig, "not_free", NULL);
	memset(map, 0xFF, 1024 / 8);
	EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 8, PFA_MOVABLE, &pfn);
	EXPECT(pfa_compact, PFA_ECORRUPT, rig.pfa, 0, 0, PFA_MIGRATE_SYNC, NULL);
	rig_drop(&rig);
}

/* Told of an owner's garbage while its zone is compacted. */
static struct rig *busy_rig;
static unsigned busy_told;
static void fatal_compacts(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	MUST_EQ(fault->kind, PFA_FAULT_OWNER_RESULT);
	EXPECT(pfa_compact, PFA_EBUSY, busy_rig->pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	busy_told++;
}

static void test_busy(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 1 };
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.os.fatal = fatal_compacts;
	rig_zone(&rig, 0, 512);
	rig_start(&rig);
	busy_rig = &rig;
	scripted_start(&s, &rig);
	fragment(&rig, &rng, 1);
	s.says[OP_ISOLATE] = 12345;
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	assert_true(busy_told > 0);
	done(&rig);
}

/* Not into pageblocks of other types, nor into or out of held ones. */
static void test_keeps_out(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 9 };
	struct { uint32_t used; uint8_t code, flags; uint16_t spare; uint32_t holder, marked; } *pb;
	pfa_pfn unmovable;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	pb = rig_region(&rig, "pageblocks", NULL);
	/* the highest free frame belongs to an unmovable request: its pageblock stays as it is, since it cannot be stolen */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_UNMOVABLE, ((struct pfa_run){ 960, 64 }), &unmovable);
	pb[15].code = 1; /* unmovable, below the index's notice */
	pb[14].holder = 77;
	pb[2].holder = 77;
	size_t used_15 = pb[15].used, used_14 = pb[14].used, used_2 = pb[2].used;
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	assert_int_equal(pb[14].used, used_14);
	assert_int_equal(pb[2].used, used_2);
	assert_true(pb[15].used <= used_15);
	assert_int_equal(pb[13].used, 64);
	for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
		if (moves[i])
			assert_true(s.blocks[i].at < 896 || s.blocks[i].at >= 1024);
	pb[15].code = 0;
	pb[14].holder = pb[2].holder = 0;
	EXPECT(pfa_free, PFA_OK, rig.pfa, unmovable, 0);
	done(&rig);
}

/* ---- for a request ----------------------------------------------------------------------------------------------- */

static size_t direct_fails;

static void direct_inside(struct scripted *owner, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)op;
	(void)cookie;
	(void)dst;
	(void)src;
	direct_fails = rig_events(owner->rig).nr_fail;
}

static void test_direct(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 3 };
	pfa_pfn pfn;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	size_t fails = rig_events(&rig).nr_fail;
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 5, PFA_MOVABLE, &pfn);
	assert_int_equal(pfa_alloc(rig.pfa, 5, PFA_MOVABLE | PFA_COMPACT | PFA_NOWAIT, &pfn), PFA_ENOMEM);
	assert_int_equal(rig_events(&rig).nr_fail, fails + 2);
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	s.inside = direct_inside;
	for (unsigned type = 0; type < 3; type++) {
		struct pfa_zone_stats before = rig_stats(&rig, 0);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 5, type | PFA_COMPACT, &pfn);
		assert_int_equal(pfn % 32, 0);
		struct pfa_zone_stats after = rig_stats(&rig, 0);
		assert_int_equal(after.allocated, before.allocated + 32);
		assert_int_equal(after.movable, before.movable);
		assert_int_equal(s.mode, PFA_MIGRATE_SYNC_LIGHT);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 5);
		assert_int_equal(direct_fails, fails + 2); /* nor for a while */
	}
	s.inside = NULL;
	assert_int_equal(rig_events(&rig).nr_fail, fails + 2);
	/* alloc_exact goes the same way */
	fragment(&rig, &rng, 1);
	EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, 17, 0, PFA_MOVABLE | PFA_COMPACT, &pfn);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, 17);
	done(&rig);
}

/* The block that becomes whole is the requester's before anybody else is asked: no frame of it is ever on offer as that block.
 * The mark goes before. */
static void steal_it(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	pfa_pfn pfn;
	count_move(sc, op, cookie, dst, src);
	if (op == OP_ISOLATE)
		MUST_EQ(pfa_alloc(sc->rig->pfa, 4, PFA_MOVABLE, &pfn), PFA_ENOMEM);
}

static void test_capture(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 3 };
	pfa_pfn pfn;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 4, PFA_MOVABLE, &pfn);
	s.inside = steal_it;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, PFA_MOVABLE | PFA_COMPACT, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	done(&rig);
}

/* What becomes whole in a CMA area is not for a request that may not have it. */
static void test_capture_not_from_cma(void **state)
{
	(void)state;
	static const struct pfa_run area = { 0, 256 };
	struct rig rig;
	struct rng rng = { 3 };
	pfa_pfn pfn;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_zone(&rig, 0, 1024);
	rig.zones[0].cma = &area;
	rig.zones[0].nr_cma = 1;
	rig_start(&rig);
	scripted_start(&s, &rig);
	fragment(&rig, &rng, 1);
	for (unsigned type = 0; type < 3; type += 2) {
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, type | PFA_COMPACT, &pfn);
		assert_true(pfn >= 256);
		assert_int_not_equal(rig_type(&rig, pfn), PFA_TYPE_CMA);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
	}
	done(&rig);
}

static void test_deferred(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 4 };
	pfa_pfn pfn;
	unsigned tried = 0, expected = 0;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	s.says[OP_ISOLATE] = PFA_EBUSY;
	for (unsigned i = 0, gap = 1, next = 0; i < 200; i++) {
		unsigned calls = s.calls[OP_ISOLATE];
		EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 6, PFA_MOVABLE | PFA_COMPACT, &pfn);
		tried += s.calls[OP_ISOLATE] != calls;
		if (i == next) {
			expected++;
			gap = gap < 64 ? gap * 2 : gap;
			next += gap;
		}
		assert_int_equal(tried, expected);
	}
	/* a smaller order is not deferred, and success ends it */
	s.says[OP_ISOLATE] = PFA_OK;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 5, PFA_MOVABLE | PFA_COMPACT, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 5);
	for (unsigned i = 0; i < 64 && pfa_alloc(rig.pfa, 6, PFA_MOVABLE | PFA_COMPACT, &pfn) != PFA_OK; i++)
		;
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 6);
	rig_check(&rig);
	done(&rig);
}

static void test_background(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = { 8 };
	pfa_pfn pfn;
	uint64_t next;
	unsigned calls = 0;
	base(&rig, 0, 1024);
	fragment(&rig, &rng, 1);
	EXPECT(pfa_service, PFA_OK, rig.pfa, 100, &next); /* nobody has asked */
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 7, PFA_MOVABLE, &pfn);
	while (pfa_service(rig.pfa, 2, &next) == PFA_EAGAIN) {
		unsigned isolated = s.calls[OP_ISOLATE];
		assert_true(isolated <= (calls + 1) * 2 * 64);
		assert_true(++calls < 100);
		rig_check(&rig);
	}
	assert_true(calls >= 1);
	assert_int_equal(s.mode, PFA_MIGRATE_ASYNC);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 7, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 7);
	unsigned isolated = s.calls[OP_ISOLATE];
	EXPECT(pfa_service, PFA_OK, rig.pfa, 100, &next);
	assert_int_equal(s.calls[OP_ISOLATE], isolated);
	for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
		MUST(moves[i] <= 1);
	done(&rig);
}

/* Owners that refuse, say "again", free inside the op or lie: nothing is lost, and the pass ends. */
static unsigned mood;
static void any_mood(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)dst, (void)src;
	mood = mood * 1103515245u + 12345u;
	unsigned m = mood >> 16 & 15;
	sc->says[OP_ISOLATE] = m == 0 ? PFA_EBUSY : m == 1 ? PFA_EAGAIN : m == 2 ? 99 : PFA_OK;
	sc->says[OP_MIGRATE] = m == 3 ? PFA_EBUSY : m == 4 ? PFA_EAGAIN : m == 5 ? -99 : PFA_OK;
	if (m != 6 || sc->blocks[cookie].state == BLOCK_RELEASED || sc->blocks[cookie].state == BLOCK_NONE)
		return;
	scripted_free(sc, cookie);
	sc->blocks[cookie].state = op == OP_PUTBACK ? BLOCK_NONE : BLOCK_RELEASED;
}

static void test_hostile(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 60; seed++) {
		struct rig rig;
		struct rng rng = { seed };
		base(&rig, 0, 1024);
		fragment(&rig, &rng, 1 + seed % 3);
		s.inside = any_mood;
		mood = seed;
		for (unsigned i = 0; i < 4; i++) {
			(void)!pfa_compact(rig.pfa, 0, seed & 1 ? 6 : PFA_COMPACT_ALL, i % PFA_MIGRATE_MODES, NULL);
			rig_check(&rig);
		}
		memset(s.says, 0, sizeof(s.says));
		done(&rig);
	}
}

/* Blocks larger than a pageblock are scanned once. */
static void test_scans_large_blocks_once(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_compact_stats did;
	pfa_pfn pfn;
	base(&rig, 0, 512);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, PFA_UNMOVABLE, &pfn);
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &did);
	assert_int_equal(did.scanned, 512);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 8);
	done(&rig);
}

/* The only place above the block was written after its free: it is told and bad, the block stays, and compaction goes on. */
static void test_written_destination(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_compact_stats did;
	pfa_pfn frames[64];
	size_t nr;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.hardening = 3;
	rig.cfg.flags = PFA_CONFIG_NO_SHADOW; /* a use after free is what this is about */
	rig.cfg.poison = PFA_POISON_ALL;
	rig.pool_kind = RIG_POOL_CONTENT;
	rig_zone(&rig, 0, 64);
	rig_start(&rig);
	scripted_start(&s, &rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 0, PFA_MOVABLE, 64, frames, &nr);
	for (size_t i = 0; i < 64; i++) {
		if (frames[i] == 1)
			scripted_adopt(&s, 0, 1, 0);
		else if (frames[i] == 9)
			scripted_adopt(&s, 1, 9, 0);
		else
			EXPECT(pfa_free, PFA_OK, rig.pfa, frames[i], 0);
	}
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
	((unsigned char *)rig.pool)[63 << rig.cfg.frame_shift] ^= 1;
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &did);
	assert_int_equal(rig.fault.nr, 1);
	assert_int_equal(rig.fault.kind, PFA_FAULT_WRITTEN_AFTER_FREE);
	assert_int_equal(rig.fault.pfn, 63);
	assert_string_equal(rig.fault.function, "pfa_compact");
	assert_int_equal(rig_info(&rig, 63).state, PFA_FRAME_BAD);
	assert_int_equal(rig_stats(&rig, 0).bad, 1);
	assert_int_equal(s.blocks[0].at, 1);
	assert_int_equal(s.blocks[1].at, 62);
	assert_int_equal(did.moved, 1);
	scripted_stop(&s);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Blocks of words and more, in pageblocks of 512 frames, and several zones, each of which keeps its own. */
static void test_large_blocks(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 9; order++) {
		struct rig rig;
		struct pfa_compact_stats stats;
		const size_t nr = (size_t)1 << order;
		pfa_pfn at;
		rig_init(&rig);
		rig.cfg.max_owners = 1;
		rig.cfg.cache_high = PFA_EXPLICIT_0;
		rig.cfg.max_order = 9;
		rig.cfg.pageblock_order = 9;
		for (unsigned zone = 0; zone < 2; zone++)
			rig_zone(&rig, zone * 8192, 8192);
		rig_start(&rig);
		scripted_start(&s, &rig);
		s.inside = count_move;
		memset(moves, 0, sizeof(moves));
		unsigned nr_blocks = 0, nr_moved = 0;
		for (unsigned zone = 0; zone < 2; zone++)
			for (unsigned i = 0; i < 8; i++, nr_blocks++) {
				const struct pfa_run window = { zone * 8192 + i * 512u + (i & 1) * (512 - nr), nr };
				EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, order, PFA_MOVABLE, window, &at);
				scripted_adopt(&s, nr_blocks, at, order);
			}
		EXPECT(pfa_compact, PFA_OK, rig.pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, order % PFA_MIGRATE_MODES, &stats);
		for (unsigned i = 0; i < nr_blocks; i++) {
			MUST(moves[i] <= 1);
			nr_moved += moves[i];
			/* At the top of its zone, one behind the other. */
			pfa_pfn end = i < 8 ? 8192 : 16384;
			assert_true(s.blocks[i].at < end && s.blocks[i].at >= end - 8 * nr);
		}
		assert_int_equal(nr_moved, nr_blocks);
		assert_int_equal(stats.moved, nr_moved * nr);
		assert_int_equal(stats.met, 2);
		assert_true(stats.index_before > 0);
		assert_true(order < 6 || stats.index_after == 0); /* 8 blocks of 64 are a pageblock */
		EXPECT(pfa_compact, PFA_OK, rig.pfa, 1, 3, PFA_MIGRATE_SYNC, &stats); /* is there */
		assert_true(stats.index_after < 10);
		rig_check(&rig);
		done(&rig);
	}
}

/* When the block is looked at, and when it is locked: it was freed in between, and is the first part of a larger one. */
static struct rig *changed_rig;
static bool place_taken;
static void see_place_taken(void *ctx, struct pfa *pfa, unsigned zone)
{
	const unsigned char *bytes = ctx;
	(void)pfa, (void)zone;
	place_taken = bytes[511] != 0;
}

static uint32_t change_self(void *ctx)
{
	struct rig *rig = changed_rig;
	(void)ctx;
	if (!rig || !place_taken)
		return 1;
	changed_rig = NULL;
	pfa_pfn at = s.blocks[0].at, got;
	EXPECT(pfa_free, PFA_OK, rig->pfa, at, 0);
	s.blocks[0].state = BLOCK_NONE;
	EXPECT(pfa_alloc_window, PFA_OK, rig->pfa, 1, PFA_MOVABLE, ((struct pfa_run){ at, 2 }), &got);
	scripted_adopt(&s, 0, got, 1);
	return 1;
}

static void test_another_block(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn at;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig.os.self = change_self;
	rig_zone(&rig, 0, 512);
	rig_start(&rig);
	scripted_start(&s, &rig);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){ 2, 1 }), &at);
	scripted_adopt(&s, 0, at, 0);
	changed_rig = &rig;
	place_taken = false;
	pfa_debug_on_unlock(rig.pfa, see_place_taken, rig_region(&rig, "frame_bytes", NULL));
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	pfa_debug_on_unlock(rig.pfa, NULL, NULL);
	assert_null(changed_rig);
	assert_int_equal(s.calls[OP_ISOLATE], 1);
	assert_int_equal(s.calls[OP_PUTBACK], 1);
	assert_int_equal(s.calls[OP_MIGRATE], 0);
	assert_int_equal(rig_stats(&rig, 0).allocated, 2);
	rig_check(&rig);
	EXPECT(pfa_compact, PFA_OK, rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	assert_int_equal(s.blocks[0].at, 510);
	done(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_packs), TEST(test_mixed_orders), TEST(test_stops_at_the_order), TEST(test_arguments), TEST(test_busy),
	TEST(test_keeps_out), TEST(test_direct), TEST(test_capture), TEST(test_capture_not_from_cma), TEST(test_deferred), TEST(test_background), TEST(test_hostile),
	TEST(test_scans_large_blocks_once),
	TEST_CONTENT(test_written_destination, "it writes to frames"),
	TEST(test_large_blocks), TEST(test_another_block),
};
UNIT_MAIN(tests)
