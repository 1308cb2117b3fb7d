/* SPDX-License-Identifier: MIT
 *
 * Many blocks in one call of pfa_migrate(): what it keeps to itself between two of them, and that it gives all of it back,
 * before it fails and when it ends.
 */
#include "scripted.h"
#include "unit.h"

enum { NR = 3 * PFA_MIGRATE_HAND + 5, FRAMES = 512 };

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

static const struct unit_test tests[] = {
	TEST(test_gives_back), TEST(test_last_frames), TEST(test_mark), TEST(test_refused), TEST(test_two_zones),
};
UNIT_MAIN(tests)
