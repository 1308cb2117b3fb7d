/* SPDX-License-Identifier: MIT
 *
 * Many blocks in one call of pfa_migrate(): what it keeps to itself between two of them, and that it gives all of it back,
 * before it fails and when it ends.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/contig.h>

enum { NR = 3 * PFA_MIGRATE_HAND + 5, FRAMES = 512, PB_ORDER = 6, PB = 1 << PB_ORDER };

static struct scripted s;
static size_t most_away; /* frames that are allocated, and nobody's */

static void base(struct rig *rig)
{
	rig_init(rig);
	rig->cfg.max_owners = 1;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig_zone(rig, 0, FRAMES);
	rig_zone(rig, FRAMES, FRAMES);
	rig_start(rig);
	scripted_start(&s, rig);
	most_away = 0;
}

static size_t allocated(struct rig *rig)
{
	return rig_stats(rig, 0).allocated + rig_stats(rig, 1).allocated;
}

static void done(struct rig *rig)
{
	s.inside = NULL;
	rig_check(rig);
	scripted_stop(&s);
	assert_int_equal(allocated(rig), 0);
	for (unsigned zone = 0; zone < 2; zone++)
		assert_int_equal(rig_stats(rig, zone).movable + rig_stats(rig, zone).isolated, 0);
	rig_check(rig);
	rig_stop(rig);
}

/* Statistics take the zone's lock: it is free. */
static void see_what_is_away(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	size_t mine = sc->calls[OP_MIGRATE] ? NR : 0, all = allocated(sc->rig);
	(void)op, (void)cookie, (void)dst, (void)src;
	MUST(rig_stats(sc->rig, 0).isolated <= 1); /* none of those that wait in the hand */
	if (mine && all - mine > most_away)
		most_away = all - mine;
}

/* All blocks, in one call. How many were moved; each other one has this result. */
static unsigned move_all(struct rig *rig, enum pfa_migrate_mode mode, uint32_t flags, unsigned nr, int other)
{
	struct pfa_dest dest = { .size = sizeof(dest), .mode = mode, .flags = flags };
	pfa_pfn heads[NR] = {0}, before[NR];
	int results[NR];
	unsigned moved = 0;
	for (unsigned i = 0; i < nr; i++)
		before[i] = heads[i] = s.blocks[i].at;
	int all = pfa_migrate(rig->pfa, heads, nr, &dest, results);
	for (unsigned i = 0; i < nr; i++) {
		MUST_EQ(results[i], s.blocks[i].at != before[i] ? PFA_OK : other);
		moved += results[i] == PFA_OK;
	}
	MUST_EQ(all, moved == nr ? PFA_OK : PFA_EAGAIN);
	return moved;
}

static void test_gives_back(void **state)
{
	(void)state;
	struct rig rig;
	for (unsigned order = 0; order < 3; order++) {
		base(&rig);
		for (unsigned i = 0; i < NR; i++)
			(void)scripted_take(&s, order ? i % (order + 1) : 0);
		size_t mine = allocated(&rig);
		s.inside = order ? NULL : see_what_is_away;
		assert_int_equal(move_all(&rig, PFA_MIGRATE_SYNC, PFA_MOVABLE, NR, PFA_OK), NR);
		assert_int_equal(allocated(&rig), mine);
		assert_int_equal(rig_stats(&rig, 0).nr_migrated, NR);
		assert_int_equal(rig_stats(&rig, 0).isolated, 0);
		assert_true(most_away <= 1 + 2 * PFA_MIGRATE_HAND);
		rig_check(&rig);
		/* Fewer than it has taken destinations for: one of them is no movable block. (A free frame might become one meanwhile.) */
		pfa_pfn plain;
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &plain);
		pfa_pfn second = s.blocks[1].at;
		s.blocks[1].at = plain;
		mine = allocated(&rig);
		assert_int_equal(move_all(&rig, PFA_MIGRATE_ASYNC, PFA_MOVABLE, 2, PFA_EINVAL), 1);
		assert_int_equal(allocated(&rig), mine);
		s.blocks[1].at = second;
		EXPECT(pfa_free, PFA_OK, rig.pfa, plain, 0);
		done(&rig);
	}
}

/* No more than this many frames are free: each source must be free again before the next block finds nothing. */
static void test_last_frames(void **state)
{
	(void)state;
	static pfa_pfn all[FRAMES];
	for (unsigned left = 0; left < 4; left++) {
		struct rig rig;
		base(&rig);
		for (unsigned i = 0; i < NR; i++)
			(void)scripted_take(&s, 0);
		uint32_t flags = PFA_MOVABLE | PFA_EXACT_ZONE;
		size_t nr = rig_take_all(&rig, 0, flags, PFA_ENOMEM, all, FRAMES);
		for (unsigned i = 0; i < left; i++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
		for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++)
			assert_int_equal(move_all(&rig, mode, flags, NR, PFA_ENOMEM), left ? NR : 0);
		assert_int_equal(s.calls[OP_PUTBACK], left ? 0 : PFA_MIGRATE_MODES * NR);
		assert_int_equal(rig_stats(&rig, 0).free, left);
		while (nr)
			EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
		done(&rig);
	}
}

enum { MARK = 40 };

static void see_mark_kept(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)op, (void)cookie, (void)dst, (void)src;
	MUST(rig_stats(sc->rig, 0).free >= MARK);
}

/* What is taken in advance is above the mark, too. */
static void test_mark(void **state)
{
	(void)state;
	static pfa_pfn all[FRAMES];
	struct rig rig;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	struct pfa_zone_config *zone = rig_zone(&rig, 0, FRAMES);
	zone->mark_min = zone->mark_low = zone->mark_high = MARK;
	rig_zone(&rig, FRAMES, FRAMES);
	rig_start(&rig);
	scripted_start(&s, &rig);
	uint32_t flags = PFA_MOVABLE | PFA_EXACT_ZONE;
	for (unsigned i = 0; i < NR; i++)
		(void)scripted_take(&s, 0);
	size_t nr = rig_take_all(&rig, 0, flags, PFA_ENOMEM, all, FRAMES);
	assert_int_equal(rig_stats(&rig, 0).free, MARK);
	for (unsigned left = 0; left < 2 * PFA_MIGRATE_HAND; left += 5) {
		s.inside = see_mark_kept;
		assert_int_equal(move_all(&rig, PFA_MIGRATE_SYNC, flags, NR, PFA_ENOMEM), left ? NR : 0);
		for (unsigned i = 0; i < 5; i++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
	}
	while (nr)
		EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
	done(&rig);
}

/* Owners that refuse: nothing moves, and nothing is lost. */
static void test_refused(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned i = 0; i < NR; i++)
		(void)scripted_take(&s, 0);
	s.says[OP_MIGRATE] = PFA_EBUSY;
	assert_int_equal(move_all(&rig, PFA_MIGRATE_SYNC, PFA_MOVABLE, NR, PFA_EBUSY), 0);
	assert_int_equal(s.calls[OP_PUTBACK], NR);
	assert_int_equal(allocated(&rig), NR);
	rig_check(&rig);
	s.says[OP_MIGRATE] = PFA_OK;
	s.says_after[OP_MIGRATE] = PFA_EBUSY;
	s.after[OP_MIGRATE] = s.calls[OP_MIGRATE] + 5;
	assert_int_equal(move_all(&rig, PFA_MIGRATE_SYNC, PFA_MOVABLE, NR, PFA_EBUSY), 5);
	assert_int_equal(allocated(&rig), NR);
	s.says_after[OP_MIGRATE] = PFA_OK;
	done(&rig);
}

/* From two zones into one of them: each counts its own. */
static void test_two_zones(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned i = 0; i < NR; i++) {
		pfa_pfn at;
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_ZONE(i % 2), &at);
		scripted_adopt(&s, i, at, 0);
	}
	assert_int_equal(move_all(&rig, PFA_MIGRATE_SYNC, PFA_MOVABLE | PFA_ZONE(1), NR, PFA_OK), NR);
	assert_int_equal(rig_stats(&rig, 0).movable, 0);
	assert_int_equal(rig_stats(&rig, 1).movable, NR);
	assert_int_equal(rig_stats(&rig, 0).isolated + rig_stats(&rig, 1).isolated, 0);
	assert_int_equal(rig_stats(&rig, 0).nr_migrated, (NR + 1) / 2);
	assert_int_equal(rig_stats(&rig, 1).nr_migrated, NR / 2);
	assert_int_equal(rig_stats(&rig, 0).allocated, 0);
	done(&rig);
}

/* ---- clusters: several single frames whose page locks the mover has at once ---------------------------------------- */

/* What one of the ops does, or says, for one block. */
static struct {
	enum scripted_op op;
	unsigned cookie, other;
	int said; /* of pfa_pin(), pfa_free() */
	enum { MEDDLE_SAY, MEDDLE_FREE, MEDDLE_PIN, MEDDLE_FREE_SOURCE } how;
	pfa_pfn source; /* where `other` was */
	bool done;
} meddle;

static void meddle_inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)dst, (void)src;
	if (op == meddle.op && sc->calls[op] > sc->after[op])
		sc->says_after[op] = 0; /* said once */
	if (meddle.done || op != meddle.op || cookie != meddle.cookie)
		return;
	meddle.done = true;
	switch (meddle.how) {
	case MEDDLE_FREE: scripted_free(sc, meddle.other); break;
	case MEDDLE_PIN: meddle.said = pfa_pin(sc->rig->pfa, sc->blocks[meddle.other].at); break;
	case MEDDLE_FREE_SOURCE: meddle.said = pfa_free(sc->rig->pfa, meddle.source, 0); break;
	default: break;
	}
}

/* Empties and takes the range that all blocks are in, and gives it back. Nothing stays locked or isolated. */
static int empty_meddled(struct rig *rig, int expected)
{
	pfa_pfn heads[NR], lo = FRAMES, hi = 0;
	for (unsigned i = 0; i < NR; i++) {
		heads[i] = s.blocks[i].at;
		lo = heads[i] < lo ? heads[i] : lo;
		hi = heads[i] > hi ? heads[i] : hi;
	}
	lo &= ~(pfa_pfn)(PB - 1);
	hi = (hi | (PB - 1)) + 1;
	meddle.source = heads[meddle.other];
	meddle.done = false;
	s.inside = meddle_inside;
	int result = pfa_alloc_contig_range(rig->pfa, lo, hi, 0, NULL);
	s.inside = NULL;
	assert_true(result == PFA_OK || result == expected);
	assert_int_equal(rig_stats(rig, 0).isolated + rig_stats(rig, 1).isolated, 0);
	for (unsigned i = 0; i < NR; i++) {
		if (meddle.how == MEDDLE_FREE && i == meddle.other)
			continue;
		assert_int_equal(s.blocks[i].state, BLOCK_OWNED);
		assert_false(scripted_info(&s, i).locked);
		assert_true(s.blocks[i].at != heads[i] || result != PFA_OK);
	}
	if (result == PFA_OK)
		EXPECT(pfa_free_contig_range, PFA_OK, rig->pfa, lo, hi - lo);
	rig_check(rig);
	return result;
}

static void base_of_singles(struct rig *rig)
{
	rig_init(rig);
	rig->cfg.max_owners = 1;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig->cfg.pageblock_order = PB_ORDER;
	rig->cfg.flags |= PFA_CONFIG_NO_SHADOW; /* what looks at each frame takes no destinations ahead */
	rig_zone(rig, 0, FRAMES);
	rig_zone(rig, FRAMES, FRAMES);
	rig_start(rig);
	scripted_start(&s, rig);
	for (unsigned i = 0; i < NR; i++) {
		pfa_pfn at;
		EXPECT(pfa_alloc, PFA_OK, rig->pfa, 0, PFA_MOVABLE | PFA_ZONE(0), &at);
		scripted_adopt(&s, i, at, 0);
	}
}

static unsigned most_locked, nr_alone;

static void count_locked(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	unsigned locked = 0;
	(void)cookie, (void)dst, (void)src;
	for (unsigned i = 0; op == OP_MIGRATE && i < NR; i++) /* one that has moved is locked where it is now */
		locked += scripted_info(sc, i).locked;
	nr_alone += locked == 1;
	most_locked = locked > most_locked ? locked : most_locked;
}

/* The hand is filled before a cluster, not by the first block of it: only the first of the call goes alone, which shows where
 * destinations are. */
static void test_clusters_are_full(void **state)
{
	(void)state;
	struct rig rig;
	base_of_singles(&rig);
	nr_alone = most_locked = 0;
	s.inside = count_locked;
	const pfa_pfn lo = s.blocks[0].at & ~(pfa_pfn)(PB - 1);
	EXPECT(pfa_alloc_contig_range, PFA_OK, rig.pfa, lo, lo + PB, 0, NULL);
	s.inside = NULL;
	assert_int_equal(s.calls[OP_MIGRATE], NR);
	assert_int_equal(most_locked, rig_level == 3 ? 1 : PFA_MIGRATE_HAND);
	assert_int_equal(nr_alone, rig_level == 3 ? NR : 1);
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, lo, PB);
	done(&rig);
}

/* One block in the middle is refused once, or moves at the second try: all move in the end, and it is put back if it must. */
static void test_one_is_refused(void **state)
{
	(void)state;
	static const int words[] = { PFA_EAGAIN, PFA_EBUSY, 7 };
	struct rig rig;
	base_of_singles(&rig);
	for (unsigned i = 0; i < 3 * (PFA_MIGRATE_HAND + 3) * 2; i++) {
		const enum scripted_op op = i % 2 ? OP_ISOLATE : OP_MIGRATE;
		const int word = words[i / 2 % 3];
		const unsigned faults = rig.fault.nr, which = i / 6, putbacks = s.calls[OP_PUTBACK];
		meddle.op = op;
		meddle.how = MEDDLE_SAY;
		meddle.cookie = NR;
		s.says_after[op] = word;
		s.after[op] = s.calls[op] + which;
		assert_int_equal(empty_meddled(&rig, PFA_OK), PFA_OK);
		assert_int_equal(rig.fault.nr, faults + (word == 7));
		assert_int_equal(s.calls[OP_PUTBACK], putbacks + (op == OP_MIGRATE && word != PFA_EAGAIN));
		assert_int_equal(allocated(&rig), NR);
	}
	done(&rig);
}

/* An op frees a block that comes later, that moves just now, or that has moved. */
static void test_freed_from_inside(void **state)
{
	(void)state;
	struct rig rig;
	for (unsigned i = 0; i < 2 * 5 * 4; i++) {
		base_of_singles(&rig);
		meddle.op = i % 2 ? OP_ISOLATE : OP_MIGRATE;
		meddle.cookie = 2 + i / 8 * 4;
		meddle.other = meddle.cookie + 1 - i / 2 % 4; /* the next; itself; those before it */
		meddle.how = MEDDLE_FREE;
		assert_int_equal(empty_meddled(&rig, PFA_OK), PFA_OK);
		assert_true(meddle.done);
		assert_int_equal(allocated(&rig), NR - 1);
		done(&rig);
	}
}

/* An op pins a block that comes later: the mover has its page lock already, or it stays. */
static void test_pinned_from_inside(void **state)
{
	(void)state;
	struct rig rig;
	unsigned together = 0;
	base_of_singles(&rig);
	for (unsigned i = 0; i < NR; i++) {
		meddle.how = MEDDLE_PIN;
		meddle.op = OP_MIGRATE;
		meddle.cookie = i * 7 % NR; /* at another place among the others each time */
		meddle.other = (meddle.cookie + 1) % NR;
		const int result = empty_meddled(&rig, PFA_EBUSY);
		assert_true(meddle.said == PFA_OK || meddle.said == PFA_EDEADLK);
		together += meddle.said == PFA_EDEADLK;
		if (meddle.said == PFA_OK)
			EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[meddle.other].at);
		if (result != PFA_OK) {
			meddle.cookie = NR;
			assert_int_equal(empty_meddled(&rig, PFA_OK), PFA_OK);
		}
	}
	assert_true(rig_level == 3 ? !together : together > NR / 2);
	done(&rig);
}

/* An owner frees what it was told is no more its own, while the mover still has its lock: told, and nothing else. */
static void test_source_freed_again(void **state)
{
	(void)state;
	struct rig rig;
	if (rig_level == 3) /* there it is free memory at once */
		return;
	base_of_singles(&rig);
	for (unsigned i = 1; i < NR; i++) {
		const unsigned faults = rig.fault.nr;
		meddle.how = MEDDLE_FREE_SOURCE;
		meddle.op = i % 2 ? OP_ISOLATE : OP_MIGRATE;
		meddle.cookie = i;
		meddle.other = i - 1;
		assert_int_equal(empty_meddled(&rig, PFA_OK), PFA_OK);
		assert_int_equal(rig.fault.nr, faults + 1);
		assert_int_equal(rig_stats(&rig, 0).movable, NR);
		assert_int_equal(allocated(&rig), NR);
	}
	done(&rig);
}

/* What is in the hand becomes somebody's, says its byte: the next destination, or (source) a block that has moved. */
static bool spoil_source;

static void spoil(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)cookie, (void)dst;
	if (op != OP_MIGRATE || meddle.done || sc->calls[OP_MIGRATE] < 3)
		return;
	for (pfa_pfn at = 0; at < FRAMES && !meddle.done; at++)
		if (rig_info(sc->rig, at).state == PFA_FRAME_FREEING && (at < src) == spoil_source) {
			*rig_frame_byte(sc->rig, at) = 0x20;
			meddle.done = true;
		}
}

static void test_spoilt_in_the_hand(void **state)
{
	(void)state;
	struct rig rig;
	if (rig_level == 0 || rig_level == 3) /* nobody looks; there is no hand */
		return;
	for (unsigned way = 0; way < 4; way++) {
		base_of_singles(&rig);
		meddle.done = false;
		spoil_source = way & 1;
		s.inside = spoil;
		const pfa_pfn lo = s.blocks[0].at & ~(pfa_pfn)(PB - 1);
		const unsigned faults = rig.fault.nr;
		if (way & 2) {
			struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
			pfa_pfn heads[NR];
			int results[NR];
			for (unsigned i = 0; i < NR; i++)
				heads[i] = s.blocks[i].at;
			const int result = pfa_migrate(rig.pfa, heads, NR, &dest, results);
			assert_int_equal(results[2], PFA_OK);
			assert_int_equal(result, PFA_EAGAIN);
			assert_int_equal(results[NR - 1], PFA_ECORRUPT);
		} else {
			EXPECT(pfa_alloc_contig_range, PFA_ECORRUPT, rig.pfa, lo, lo + PB, 0, NULL);
		}
		s.inside = NULL;
		assert_true(meddle.done);
		assert_int_equal(rig.fault.nr, faults + 1);
		assert_int_equal(rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
		rig_drop(&rig);
	}
}

static const struct unit_test tests[] = {
	TEST(test_gives_back), TEST(test_last_frames), TEST(test_mark), TEST(test_refused), TEST(test_two_zones),
	TEST(test_one_is_refused), TEST(test_freed_from_inside), TEST(test_pinned_from_inside), TEST(test_source_freed_again),
	TEST(test_clusters_are_full), TEST(test_spoilt_in_the_hand),
};
UNIT_MAIN(tests)
