/* SPDX-License-Identifier: MIT
 *
 * pfa_migrate with one thread: every result, every way of an owner or a destination policy to answer, and blocks that are freed
 * at each point of a move. The scripted owner checks the contract of each op.
 */
#include "scripted.h"
#include "unit.h"

#include <string.h>

static struct scripted s;

static void base(struct rig *rig, size_t nr_frames)
{
	rig_init(rig);
	rig->cfg.max_owners = 2;
	rig->cfg.cache_high = 4;
	rig_zone(rig, 0, nr_frames);
	rig_zone(rig, nr_frames, 512);
	rig_start(rig);
	scripted_start(&s, rig);
}

static void done(struct rig *rig)
{
	s.inside = NULL;
	scripted_stop(&s);
	rig_check(rig);
	assert_int_equal(rig_stats(rig, 0).movable + rig_stats(rig, 0).isolated, 0);
	rig_stop(rig);
}

static void told(struct rig *rig, enum pfa_fault_kind kind)
{
	assert_int_equal(rig->fault.nr, 1);
	assert_int_equal(rig->fault.kind, kind);
	assert_string_equal(rig->fault.function, "pfa_migrate");
	rig->fault.nr = 0;
}

static void test_tries(void **state)
{
	(void)state;
	assert_int_equal(pfa_migrate_tries(PFA_MIGRATE_ASYNC), 1);
	assert_int_equal(pfa_migrate_tries(PFA_MIGRATE_SYNC_LIGHT), 3);
	assert_int_equal(pfa_migrate_tries(PFA_MIGRATE_SYNC), 10);
	assert_int_equal(pfa_migrate_tries(PFA_MIGRATE_MODES), 0);
}

static void test_arguments(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_dest dest = { .size = sizeof(dest), .flags = PFA_MOVABLE };
	struct { struct pfa_dest dest; size_t more; } longer = { .dest = { .flags = PFA_MOVABLE } };
	int result = 77;
	base(&rig, 512);
	pfa_pfn head = s.blocks[scripted_take(&s, 0)].at;
	EXPECT(pfa_migrate, PFA_OK, rig.pfa, NULL, 0, &dest, NULL);
	dest.size--;
	EXPECT(pfa_migrate, PFA_EINVAL, rig.pfa, &head, 1, &dest, &result);
	dest.size++;
	dest.mode = PFA_MIGRATE_MODES;
	EXPECT(pfa_migrate, PFA_EINVAL, rig.pfa, &head, 1, &dest, &result);
	dest.mode = PFA_MIGRATE_SYNC;
	const uint32_t bad[] = { PFA_MOVABLE | PFA_ZERO, PFA_MOVABLE | PFA_COMPACT, 3, PFA_MOVABLE | PFA_ZONE(2), 1u << 12 };
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dest.flags = bad[i];
		EXPECT(pfa_migrate, PFA_EINVAL, rig.pfa, &head, 1, &dest, &result);
	}
	longer.dest.size = sizeof(longer);
	longer.more = 1;
	EXPECT(pfa_migrate, PFA_EINVAL, rig.pfa, &head, 1, &longer.dest, &result);
	assert_int_equal(result, 77);
	longer.more = 0;
	EXPECT(pfa_migrate, PFA_OK, rig.pfa, &head, 1, &longer.dest, &result);
	assert_int_equal(result, PFA_OK);
	done(&rig);
}

/* Any order, any mode, into any zone; the frames of the source are free, the destination is the owner's. */
static void test_moves(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1024);
	unsigned moves = 0;
	for (unsigned order = 0; order <= 8; order++) {
		uint64_t cookie = scripted_take(&s, order);
		for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++) {
			pfa_pfn from = s.blocks[cookie].at;
			size_t in_zone_1 = rig_stats(&rig, 1).movable;
			uint32_t zone = order & 1 ? PFA_ZONE(1) | PFA_EXACT_ZONE : 0;
			assert_int_equal(scripted_move(&s, cookie, mode, PFA_MOVABLE | zone), PFA_OK);
			assert_int_equal(s.mode, mode);
			assert_int_not_equal(s.blocks[cookie].at, from);
			assert_true(!zone || s.blocks[cookie].at >= 1024);
			assert_true(rig_stats(&rig, 1).movable >= in_zone_1);
			assert_true(rig_info(&rig, from).state == PFA_FRAME_FREE || rig_info(&rig, from).state == PFA_FRAME_CACHED);
			struct pfa_movable_info info = scripted_info(&s, cookie);
			assert_true(info.owner == s.owner && !info.locked && !info.isolated && !info.pins && !info.released);
			rig_check(&rig);
			moves++;
		}
		scripted_free(&s, cookie);
	}
	assert_int_equal(rig_stats(&rig, 0).nr_migrated + rig_stats(&rig, 1).nr_migrated, moves);
	assert_int_equal(s.calls[OP_ISOLATE], moves);
	assert_int_equal(s.calls[OP_MIGRATE], moves);
	assert_int_equal(s.calls[OP_PUTBACK], 0);
	assert_int_equal(rig.fault.nr, 0);
	done(&rig);
}

static void test_many_at_once(void **state)
{
	(void)state;
	struct rig rig;
	enum { NR = 40 };
	struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	pfa_pfn heads[NR + 3];
	int results[NR + 3];
	base(&rig, 1024);
	for (unsigned i = 0; i < NR; i++)
		heads[i] = s.blocks[scripted_take(&s, i % 3)].at;
	heads[NR] = heads[0];       /* moved already */
	heads[NR + 1] = 1024 + 512; /* in no zone */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &heads[NR + 2]);
	EXPECT(pfa_migrate, PFA_EAGAIN, rig.pfa, heads, NR + 3, &dest, results);
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(results[i], PFA_OK);
	assert_true(results[NR] == PFA_EINVAL || results[NR] == PFA_OK); /* its place may have been taken by another one */
	assert_int_equal(results[NR + 1], PFA_ERANGE);
	assert_int_equal(results[NR + 2], PFA_EINVAL);
	EXPECT(pfa_free, PFA_OK, rig.pfa, heads[NR + 2], 0);
	done(&rig);
}

static void test_owner_says_no(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 512);
	uint64_t cookie = scripted_take(&s, 1);
	pfa_pfn at = s.blocks[cookie].at;
	s.says[OP_ISOLATE] = PFA_EBUSY;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	s.says[OP_ISOLATE] = PFA_EAGAIN;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EAGAIN);
	assert_int_equal(s.calls[OP_ISOLATE], 2);
	assert_int_equal(s.calls[OP_PUTBACK], 0);
	s.says[OP_ISOLATE] = PFA_OK;
	s.says[OP_MIGRATE] = PFA_EBUSY;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	assert_int_equal(s.calls[OP_MIGRATE], 1);
	assert_int_equal(s.calls[OP_PUTBACK], 1);
	assert_int_equal(rig.fault.nr, 0);
	assert_int_equal(s.blocks[cookie].at, at);
	assert_int_equal(rig_stats(&rig, 0).nr_putback, 1);
	assert_int_equal(rig_stats(&rig, 0).allocated, 2);
	rig_check(&rig);
	/* it can be moved all the same, later */
	s.says[OP_MIGRATE] = PFA_OK;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_ASYNC, PFA_MOVABLE), PFA_OK);
	done(&rig);
}

static void test_again_is_bounded(void **state)
{
	(void)state;
	struct rig rig;
	unsigned again = 0;
	base(&rig, 512);
	uint64_t cookie = scripted_take(&s, 0);
	for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++) {
		unsigned tries = pfa_migrate_tries(mode);
		memset(s.calls, 0, sizeof(s.calls));
		s.says[OP_MIGRATE] = PFA_EAGAIN;
		s.says_after[OP_MIGRATE] = 0;
		assert_int_equal(scripted_move(&s, cookie, mode, PFA_MOVABLE), PFA_EAGAIN);
		assert_int_equal(s.calls[OP_ISOLATE], 1);
		assert_int_equal(s.calls[OP_MIGRATE], tries);
		assert_int_equal(s.calls[OP_PUTBACK], 1);
		again += tries;
		assert_int_equal(rig_stats(&rig, 0).nr_again, again);
		assert_int_equal(rig_stats(&rig, 0).allocated, 1);
		rig_check(&rig);
		/* what is refused the last time is refused */
		memset(s.calls, 0, sizeof(s.calls));
		s.says_after[OP_MIGRATE] = PFA_EBUSY;
		s.after[OP_MIGRATE] = tries - 1;
		assert_int_equal(scripted_move(&s, cookie, mode, PFA_MOVABLE), PFA_EBUSY);
		again += tries - 1;
	}
	s.says[OP_MIGRATE] = PFA_OK;
	done(&rig);
}

static void test_garbage(void **state)
{
	(void)state;
	struct rig rig;
	const int garbage[] = { 1, -12, PFA_ENOMEM, PFA_ESTOP, INT32_MAX, INT32_MIN };
	base(&rig, 512);
	uint64_t cookie = scripted_take(&s, 0);
	for (unsigned i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		s.says[OP_ISOLATE] = garbage[i];
		assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
		told(&rig, PFA_FAULT_OWNER_RESULT);
		assert_int_equal(s.calls[OP_PUTBACK], i);
		s.says[OP_ISOLATE] = PFA_OK;
		s.says[OP_MIGRATE] = garbage[i];
		assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
		told(&rig, PFA_FAULT_OWNER_RESULT);
		assert_int_equal(s.calls[OP_MIGRATE], i + 1);
		assert_int_equal(s.calls[OP_PUTBACK], i + 1);
		rig_check(&rig);
	}
	s.says[OP_MIGRATE] = PFA_OK;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
	done(&rig);
}

static void test_no_destination(void **state)
{
	(void)state;
	struct rig rig;
	static pfa_pfn all[2048];
	base(&rig, 512);
	uint64_t cookie = scripted_take(&s, 0);
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, all, 2048);
	for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++)
		assert_int_equal(scripted_move(&s, cookie, mode, PFA_MOVABLE), PFA_ENOMEM);
	assert_int_equal(s.calls[OP_PUTBACK], 3);
	assert_int_equal(s.calls[OP_MIGRATE], 0);
	rig_check(&rig);
	EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
	while (nr)
		EXPECT(pfa_free, PFA_OK, rig.pfa, all[--nr], 0);
	done(&rig);
}

/* ---- released ---------------------------------------------------------------------------------------------------- */

static enum scripted_op free_in;
static bool free_dst;

/* The op's own block is freed inside the op; or the destination, after it became known. */
static void free_inside(struct scripted *sc, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	(void)src;
	if (op != free_in)
		return;
	if (!free_dst) {
		scripted_free(sc, cookie);
		if (op == OP_ISOLATE)
			sc->blocks[cookie].state = BLOCK_RELEASED;
		EXPECT(pfa_free, PFA_EMISUSE, sc->rig->pfa, sc->blocks[cookie].at, sc->blocks[cookie].order);
		MUST_EQ(sc->rig->fault.kind, PFA_FAULT_RELEASED);
		sc->rig->fault.nr = 0;
		return;
	}
	if (sc->says[OP_MIGRATE] == PFA_OK)
		sc->blocks[cookie].state = BLOCK_RELEASED;
	EXPECT(pfa_free, PFA_OK, sc->rig->pfa, dst, sc->blocks[cookie].order);
}

static void test_released_inside(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 512);
	s.inside = free_inside;
	free_dst = false;
	for (int op = 0; op < OPS; op++) {
		/* whatever the op says: released is released */
		for (int says = PFA_OK; says >= PFA_EBUSY; says--) {
			if (says == PFA_ENOMEM || (op == OP_PUTBACK && says == PFA_OK))
				continue;
			uint64_t cookie = scripted_take(&s, 2);
			free_in = (enum scripted_op)op;
			memset(s.says, 0, sizeof(s.says));
			s.says[op == OP_PUTBACK ? OP_MIGRATE : op] = says;
			pfa_pfn at = s.blocks[cookie].at;
			assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_ESTOP);
			assert_true(rig_info(&rig, at).state == PFA_FRAME_FREE || rig_info(&rig, at).state == PFA_FRAME_CACHED);
			s.blocks[cookie].state = BLOCK_NONE;
			assert_int_equal(rig_stats(&rig, 0).allocated + rig_stats(&rig, 0).movable, 0);
			rig_check(&rig);
		}
	}
	assert_int_equal(rig.fault.nr, 0);
	assert_int_equal(rig_stats(&rig, 0).nr_migrated, 0);
	memset(s.says, 0, sizeof(s.says));
	done(&rig);
}

static void test_destination_freed_inside(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 512);
	s.inside = free_inside;
	free_dst = true;
	free_in = OP_MIGRATE;
	uint64_t cookie = scripted_take(&s, 2);
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
	s.blocks[cookie].state = BLOCK_NONE;
	assert_int_equal(rig_stats(&rig, 0).allocated + rig_stats(&rig, 0).movable, 0);
	assert_int_equal(rig_stats(&rig, 0).nr_migrated, 1);
	assert_int_equal(rig.fault.nr, 0);
	rig_check(&rig);
	/* not taken, but freed: a broken promise */
	cookie = scripted_take(&s, 2);
	s.says[OP_MIGRATE] = PFA_EBUSY;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	told(&rig, PFA_FAULT_NOT_MOVED);
	assert_int_equal(rig_stats(&rig, 0).allocated, 4);
	rig_check(&rig);
	/* two broken promises at once: each is told, that of the destination last */
	s.says[OP_MIGRATE] = 1;
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	assert_int_equal(rig.fault.nr, 2);
	rig.fault.nr = 1;
	told(&rig, PFA_FAULT_NOT_MOVED);
	assert_int_equal(rig_stats(&rig, 0).allocated, 4);
	rig_check(&rig);
	EXPECT(pfa_owner_destroy, PFA_EBUSY, rig.pfa, s.owner);
	done(&rig);
}

/* ---- the caller's destinations ----------------------------------------------------------------------------------- */

enum { TAKE_BLOCK, TAKE_NOTHING, TAKE_GARBAGE, TAKE_FREE, TAKE_MOVABLE, TAKE_WRONG_ORDER, TAKES };

static struct {
	unsigned what;
	void (*before)(pfa_pfn src);
	unsigned taken, given;
	pfa_pfn last;
	struct rig *rig;
} policy;

static int policy_take(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	MUST(ctx == &policy);
	MUST(scripted_info(&s, 0).isolated || s.blocks[0].state != BLOCK_ISOLATED);
	if (policy.before)
		policy.before(src);
	if (policy.what == TAKE_NOTHING)
		return PFA_EBUSY;
	policy.taken++;
	*out = 0xFFFFFF;
	if (policy.what != TAKE_GARBAGE)
		EXPECT(pfa_alloc, PFA_OK, policy.rig->pfa, order + (policy.what == TAKE_WRONG_ORDER), PFA_MOVABLE, out);
	policy.last = *out;
	if (policy.what == TAKE_FREE)
		EXPECT(pfa_free, PFA_OK, policy.rig->pfa, *out, order);
	if (policy.what == TAKE_MOVABLE)
		EXPECT(pfa_movable_set, PFA_OK, policy.rig->pfa, *out, s.owner, 999);
	return PFA_OK;
}

static void policy_give(void *ctx, pfa_pfn dst, unsigned order)
{
	MUST(ctx == &policy);
	MUST_EQ(dst, policy.last);
	policy.given++;
	EXPECT(pfa_free, PFA_OK, policy.rig->pfa, dst, order);
}

static int policy_move(uint64_t cookie, enum pfa_migrate_mode mode, bool give)
{
	struct pfa_dest dest = { sizeof(dest), mode, 0, policy_take, give ? policy_give : NULL, &policy };
	int result;
	const int all = pfa_migrate(policy.rig->pfa, &s.blocks[cookie].at, 1, &dest, &result);
	MUST_EQ(all, result == PFA_OK ? PFA_OK : PFA_EAGAIN);
	return result;
}

static void policy_start(struct rig *rig)
{
	base(rig, 512);
	memset(&policy, 0, sizeof(policy));
	policy.rig = rig;
	MUST_EQ(scripted_take(&s, 1), 0);
}

static void test_policy(void **state)
{
	(void)state;
	struct rig rig;
	policy_start(&rig);
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_OK);
	assert_int_equal(s.blocks[0].at, policy.last);
	for (unsigned give = 0; give < 2; give++) {
		s.says[OP_MIGRATE] = PFA_EBUSY;
		assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, give), PFA_EBUSY);
		s.says[OP_MIGRATE] = PFA_EAGAIN;
		assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, give), PFA_EAGAIN);
		assert_int_equal(policy.given, give * 2);
		assert_int_equal(rig_stats(&rig, 0).allocated, 2);
		rig_check(&rig);
	}
	policy.what = TAKE_NOTHING;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_ENOMEM);
	assert_int_equal(policy.given, 2);
	assert_int_equal(s.calls[OP_PUTBACK], 5);
	done(&rig);
}

static void test_policy_gives_rubbish(void **state)
{
	(void)state;
	struct rig rig;
	policy_start(&rig);
	for (unsigned what = TAKE_GARBAGE; what < TAKES; what++) {
		policy.what = what;
		assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_EMISUSE);
		told(&rig, PFA_FAULT_DESTINATION);
		assert_int_equal(policy.given, 0);
		assert_int_equal(scripted_info(&s, 0).isolated, 0);
		rig_check(&rig);
		if (what == TAKE_MOVABLE)
			EXPECT(pfa_free, PFA_OK, rig.pfa, policy.last, 1);
		if (what == TAKE_WRONG_ORDER)
			EXPECT(pfa_free, PFA_OK, rig.pfa, policy.last, 2);
	}
	done(&rig);
}

static void pin_it(pfa_pfn src)
{
	EXPECT(pfa_pin, PFA_OK, policy.rig->pfa, src);
}

static void lock_it(pfa_pfn src)
{
	EXPECT(pfa_page_lock, PFA_OK, policy.rig->pfa, src);
}

static void free_it(pfa_pfn src)
{
	MUST_EQ(s.blocks[0].at, src);
	scripted_free(&s, 0);
}

static void pin_and_free_it(pfa_pfn src)
{
	pin_it(src);
	free_it(src);
}

/* Between isolate and migrate, when nothing is locked. */
static void test_between(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_zone_stats stats;
	policy_start(&rig);
	policy.before = pin_it;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_EBUSY);
	assert_int_equal(policy.given, 1);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[0].at);
	policy.before = lock_it;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_EBUSY);
	assert_int_equal(policy.given, 2);
	assert_int_equal(s.calls[OP_PUTBACK], 2);
	assert_int_equal(s.calls[OP_MIGRATE], 0);
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, s.blocks[0].at);
	rig_check(&rig);
	policy.before = free_it;
	pfa_pfn at = s.blocks[0].at;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_ESTOP);
	assert_int_equal(policy.given, 3);
	assert_true(rig_info(&rig, at).state == PFA_FRAME_FREE || rig_info(&rig, at).state == PFA_FRAME_CACHED);
	s.blocks[0].state = BLOCK_NONE;
	rig_check(&rig);
	MUST_EQ(scripted_take(&s, 1), 0);
	policy.before = pin_and_free_it;
	at = s.blocks[0].at;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_ESTOP);
	stats = rig_stats(&rig, 0);
	assert_int_equal(stats.movable, 2);
	assert_int_equal(stats.isolated, 0);
	rig_check(&rig);
	s.blocks[0].state = BLOCK_NONE;
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, at);
	assert_int_equal(s.calls[OP_PUTBACK], 2);
	done(&rig);
}

/* A block that is isolated cannot be isolated again. */
static void move_it_too(pfa_pfn src)
{
	struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	int result;
	EXPECT(pfa_migrate, PFA_EAGAIN, policy.rig->pfa, &src, 1, &dest, &result);
	MUST_EQ(result, PFA_EBUSY);
	EXPECT(pfa_movable_clear, PFA_EBUSY, policy.rig->pfa, src);
}

static void test_isolated_once(void **state)
{
	(void)state;
	struct rig rig;
	policy_start(&rig);
	policy.before = move_it_too;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_OK);
	assert_int_equal(s.calls[OP_ISOLATE], 1);
	assert_int_equal(rig_stats(&rig, 0).nr_migrated, 1);
	done(&rig);
}

/* The source's zone is damaged. */
static void test_damaged(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, 512);
	uint64_t cookie = scripted_take(&s, 0), pinned = scripted_take(&s, 0), locked = scripted_take(&s, 0);
	EXPECT(pfa_pin, PFA_OK, rig.pfa, s.blocks[pinned].at);
	scripted_free(&s, pinned);
	EXPECT(pfa_page_lock, PFA_OK, rig.pfa, s.blocks[locked].at);
	scripted_free(&s, locked);
	unsigned char *map = rig_region(&rig, "not_free", NULL);
	for (pfa_pfn at = 0; at < 512 / 8; at++)
		map[at] = 0xFF; /* the index offers what the map does not have */
	EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 8, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn);
	assert_int_equal(scripted_move(&s, cookie, PFA_MIGRATE_SYNC, PFA_MOVABLE | PFA_ZONE(1)), PFA_ECORRUPT);
	EXPECT(pfa_free, PFA_ECORRUPT, rig.pfa, s.blocks[cookie].at, 0);
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	EXPECT(pfa_pin, PFA_OK, rig.pfa, s.blocks[cookie].at);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[cookie].at);
	/* what was released before is nobody's when the last lets go, and is lost with its zone */
	EXPECT(pfa_unpin, PFA_ECORRUPT, rig.pfa, s.blocks[pinned].at);
	EXPECT(pfa_page_unlock, PFA_ECORRUPT, rig.pfa, s.blocks[locked].at);
	assert_int_equal(rig_info(&rig, s.blocks[pinned].at).state, PFA_FRAME_HEAD);
	rig_drop(&rig);
}

static uint32_t nobody_waits_as = 1;
static uint32_t op_self(void *ctx)
{
	(void)ctx;
	return nobody_waits_as;
}

/* One zone; who calls is who op_self() says. */
static void base_with_self(struct rig *rig)
{
	rig_init(rig);
	rig->cfg.max_owners = 1;
	rig->os.self = op_self;
	rig_zone(rig, 0, 512);
	rig_start(rig);
	scripted_start(&s, rig);
}

/* Async passes by a block whose lock is taken; the others would wait, which this platform cannot. */
static void test_busy_lock(void **state)
{
	(void)state;
	struct rig rig;
	base_with_self(&rig);
	uint64_t cookie = scripted_take(&s, 0);
	nobody_waits_as = 2;
	EXPECT(pfa_page_lock, PFA_OK, rig.pfa, s.blocks[cookie].at);
	nobody_waits_as = 1;
	for (unsigned mode = 0; mode < PFA_MIGRATE_MODES; mode++)
		assert_int_equal(scripted_move(&s, cookie, mode, PFA_MOVABLE), PFA_EBUSY);
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	assert_int_equal(pfa_free(rig.pfa, s.blocks[cookie].at, 0), PFA_EBUSY);
	EXPECT(pfa_movable_clear, PFA_EBUSY, rig.pfa, s.blocks[cookie].at);
	nobody_waits_as = 2;
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, s.blocks[cookie].at);
	nobody_waits_as = 1;
	done(&rig);
}

/* Released and no destination: what is put back is nobody's any more. And a lock that another thread has taken, on a platform that
 * cannot wait: the mover gives up without telling the owner, and the block is as it was. */
static void lock_as_another(pfa_pfn src)
{
	nobody_waits_as = 2;
	EXPECT(pfa_page_lock, PFA_OK, policy.rig->pfa, src);
	nobody_waits_as = 1;
}

static void unlock_as_another(struct rig *rig)
{
	nobody_waits_as = 2;
	EXPECT(pfa_page_unlock, PFA_OK, rig->pfa, s.blocks[0].at);
	nobody_waits_as = 1;
}

static void test_no_way_back(void **state)
{
	(void)state;
	struct rig rig;
	policy_start(&rig);
	policy.what = TAKE_NOTHING;
	policy.before = free_it;
	assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC, true), PFA_ESTOP);
	assert_int_equal(s.calls[OP_PUTBACK], 0);
	s.blocks[0].state = BLOCK_NONE;
	assert_int_equal(rig_stats(&rig, 0).allocated, 0);
	done(&rig);
	for (unsigned what = TAKE_BLOCK; what <= TAKE_NOTHING; what++) {
		base_with_self(&rig);
		memset(&policy, 0, sizeof(policy));
		policy.rig = &rig;
		policy.what = what;
		policy.before = lock_as_another;
		MUST_EQ(scripted_take(&s, 1), 0);
		assert_int_equal(policy_move(0, PFA_MIGRATE_SYNC_LIGHT, true), what == TAKE_NOTHING ? PFA_ENOMEM : PFA_EBUSY);
		assert_int_equal(policy.given, policy.taken);
		assert_int_equal(s.calls[OP_MIGRATE] + s.calls[OP_PUTBACK], 0);
		struct pfa_movable_info info = scripted_info(&s, 0);
		assert_true(info.locked && !info.isolated && info.owner == s.owner);
		unlock_as_another(&rig);
		s.blocks[0].state = BLOCK_OWNED;
		rig_check(&rig);
		assert_int_equal(scripted_move(&s, 0, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
		scripted_stop(&s);
		rig_stop(&rig);
	}
}

static const struct unit_test tests[] = {
	TEST(test_tries), TEST(test_arguments), TEST(test_moves), TEST(test_many_at_once), TEST(test_owner_says_no),
	TEST(test_again_is_bounded), TEST(test_garbage), TEST(test_no_destination), TEST(test_released_inside),
	TEST(test_destination_freed_inside), TEST(test_policy), TEST(test_policy_gives_rubbish), TEST(test_between),
	TEST(test_isolated_once), TEST(test_damaged), TEST(test_busy_lock), TEST(test_no_way_back),
};
UNIT_MAIN(tests)
