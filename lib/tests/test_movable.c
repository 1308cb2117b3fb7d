/* SPDX-License-Identifier: MIT
 *
 * Movable blocks without movers: owners, declaring, page locks, pins, frees; and what may not be called inside an op.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/compact.h>
#include <pfa/harden.h>

#include <string.h>

static void base(struct rig *rig, uint32_t max_owners)
{
	rig_init(rig);
	rig->cfg.max_owners = max_owners;
	rig->cfg.cache_high = 4;
	rig_zone(rig, 64, 1024);
	rig_zone(rig, 1088, 512);
	rig_start(rig);
}

static void told(struct rig *rig, enum pfa_fault_kind kind, const char *function)
{
	assert_int_equal(rig->fault.nr, 1);
	assert_int_equal(rig->fault.kind, kind);
	assert_int_equal(rig->fault.code, PFA_EMISUSE);
	assert_string_equal(rig->fault.function, function);
	rig->fault.nr = 0;
}

static int say_ok(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)head, (void)order, (void)cookie, (void)mode;
	return PFA_OK;
}

static int move_ok(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)dst, (void)src, (void)order, (void)cookie, (void)mode;
	return PFA_OK;
}

static void back(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx, (void)head, (void)order, (void)cookie;
}

static const struct pfa_owner_ops good = { sizeof(good), say_ok, move_ok, back };

/* Without a table nothing works, and everything is as it was. */
static void test_not_configured(void **state)
{
	(void)state;
	struct rig rig;
	pfa_owner owner;
	pfa_pfn pfn;
	struct pfa_movable_info info;
	struct pfa_dest dest = { .size = sizeof(dest) };
	int result;
	base(&rig, 0);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_MOVABLE, &pfn);
	EXPECT(pfa_owner_create, PFA_ENOTSUP, rig.pfa, &good, NULL, &owner);
	EXPECT(pfa_owner_destroy, PFA_ENOTSUP, rig.pfa, 1);
	EXPECT(pfa_movable_set, PFA_ENOTSUP, rig.pfa, pfn, 1, 0);
	EXPECT(pfa_movable_clear, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_pin, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_unpin, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_page_lock, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_page_trylock, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_page_unlock, PFA_ENOTSUP, rig.pfa, pfn);
	EXPECT(pfa_movable_info, PFA_ENOTSUP, rig.pfa, pfn, &info);
	EXPECT(pfa_migrate, PFA_ENOTSUP, rig.pfa, &pfn, 1, &dest, &result);
	EXPECT(pfa_compact, PFA_ENOTSUP, rig.pfa, 0, 1, PFA_MIGRATE_ASYNC, NULL);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 2);
	rig_stop(&rig);
}

static void test_owners(void **state)
{
	(void)state;
	struct rig rig;
	pfa_owner owners[3], first;
	struct pfa_owner_ops ops = good;
	struct { struct pfa_owner_ops ops; size_t more; } longer = { good, 0 };
	base(&rig, 3);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(pfa_owner_create, PFA_OK, rig.pfa, &good, NULL, &owners[i]);
	assert_true(owners[0] != owners[1] && owners[1] != owners[2] && owners[0] != owners[2]);
	assert_int_equal(rig_events(&rig).nr_owners, 3);
	EXPECT(pfa_owner_create, PFA_ENOMEM, rig.pfa, &good, NULL, &first);
	first = owners[1];
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, owners[1]);
	EXPECT(pfa_owner_destroy, PFA_EINVAL, rig.pfa, owners[1]);
	EXPECT(pfa_owner_create, PFA_OK, rig.pfa, &good, NULL, &owners[1]);
	assert_int_not_equal(owners[1], first); /* the place is the same, the handle is not */
	EXPECT(pfa_owner_destroy, PFA_EINVAL, rig.pfa, first);
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_movable_set, PFA_EINVAL, rig.pfa, pfn, first, 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	EXPECT(pfa_owner_destroy, PFA_EINVAL, rig.pfa, 0);
	EXPECT(pfa_owner_destroy, PFA_EINVAL, rig.pfa, 4);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, owners[0]);
	ops.isolate = NULL;
	EXPECT(pfa_owner_create, PFA_EINVAL, rig.pfa, &ops, NULL, &first);
	ops = good;
	ops.migrate = NULL;
	EXPECT(pfa_owner_create, PFA_EINVAL, rig.pfa, &ops, NULL, &first);
	ops = good;
	ops.putback = NULL;
	EXPECT(pfa_owner_create, PFA_EINVAL, rig.pfa, &ops, NULL, &first);
	ops = good;
	ops.size--;
	EXPECT(pfa_owner_create, PFA_EINVAL, rig.pfa, &ops, NULL, &first);
	longer.ops.size = sizeof(longer);
	longer.more = 1;
	EXPECT(pfa_owner_create, PFA_EINVAL, rig.pfa, &longer.ops, NULL, &first);
	longer.more = 0;
	EXPECT(pfa_owner_create, PFA_OK, rig.pfa, &longer.ops, NULL, &first);
	rig_check(&rig);
	rig_stop(&rig); /* owners without blocks do not keep an instance alive */
}

static void test_set_and_clear(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	pfa_pfn plain, hole_like = 64 + 1024 + 512;
	struct pfa_movable_info info;
	base(&rig, 2);
	scripted_start(&s, &rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &plain);
	EXPECT(pfa_movable_info, PFA_EINVAL, rig.pfa, plain, &info);
	EXPECT(pfa_movable_clear, PFA_EINVAL, rig.pfa, plain);
	EXPECT(pfa_pin, PFA_EINVAL, rig.pfa, plain);
	EXPECT(pfa_page_lock, PFA_EINVAL, rig.pfa, plain);
	EXPECT(pfa_page_trylock, PFA_EINVAL, rig.pfa, plain);
	EXPECT(pfa_movable_set, PFA_EINVAL, rig.pfa, plain, s.owner + 1, 0);
	EXPECT(pfa_movable_set, PFA_EINVAL, rig.pfa, plain + 1, s.owner, 0);
	EXPECT(pfa_movable_set, PFA_ERANGE, rig.pfa, hole_like, s.owner, 0);
	EXPECT(pfa_movable_set, PFA_ERANGE, rig.pfa, 0, s.owner, 0);
	EXPECT(pfa_movable_clear, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_pin, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_unpin, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_page_lock, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_page_trylock, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_page_unlock, PFA_ERANGE, rig.pfa, hole_like);
	EXPECT(pfa_movable_info, PFA_ERANGE, rig.pfa, hole_like, &info);
	scripted_adopt(&s, 7, plain, 3);
	assert_int_equal(rig_stats(&rig, 0).movable, 8);
	info = scripted_info(&s, 7);
	assert_true(info.owner == s.owner && !info.pins && !info.locked && !info.isolated && !info.released);
	EXPECT(pfa_movable_set, PFA_EBUSY, rig.pfa, plain, s.owner, 8);
	EXPECT(pfa_owner_destroy, PFA_EBUSY, rig.pfa, s.owner);
	rig_check(&rig);
	EXPECT(pfa_movable_clear, PFA_OK, rig.pfa, plain);
	assert_int_equal(rig_stats(&rig, 0).movable, 0);
	EXPECT(pfa_movable_clear, PFA_EINVAL, rig.pfa, plain);
	EXPECT(pfa_split, PFA_OK, rig.pfa, plain, 3, 2); /* an ordinary block again */
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, plain, 8);
	EXPECT(pfa_movable_set, PFA_EINVAL, rig.pfa, plain, s.owner, 0); /* free */
	s.blocks[7].state = BLOCK_NONE;
	scripted_stop(&s);
	rig_stop(&rig);
}

/* Every order, also above the pageblock; in caches or not; the block is an allocated one for every sum. */
static void test_frees(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	base(&rig, 1);
	scripted_start(&s, &rig);
	struct pfa_zone_stats before = rig_stats(&rig, 0);
	for (unsigned order = 0; order <= 8; order++) {
		uint64_t cookie = scripted_take(&s, order);
		pfa_pfn at = s.blocks[cookie].at;
		assert_int_equal(rig_stats(&rig, 0).movable, (size_t)1 << order);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, order + 1);
		rig.fault.nr = 0;
		if (order) {
			EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, order - 1);
			told(&rig, PFA_FAULT_WRONG_ORDER, "pfa_free");
			EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, at, order, 0);
			told(&rig, PFA_FAULT_MOVABLE, "pfa_split");
		}
		EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, at, (size_t)1 << order);
		told(&rig, PFA_FAULT_MOVABLE, "pfa_free_range");
		scripted_free(&s, cookie);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, order);
		assert_true(rig.fault.kind == PFA_FAULT_DOUBLE_FREE || rig.fault.kind == PFA_FAULT_DOUBLE_FREE_CACHED);
		rig.fault.nr = 0;
	}
	uint64_t cookie = scripted_take(&s, 1);
	size_t nr;
	s.blocks[cookie].state = BLOCK_NONE;
	EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 1, 1, &s.blocks[cookie].at, &nr);
	assert_int_equal(rig_stats(&rig, 0).movable, 0);
	assert_int_equal(rig_stats(&rig, 0).allocated, before.allocated);
	assert_int_equal(rig_stats(&rig, 0).nr_released, 0);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_page_lock(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	base(&rig, 1);
	scripted_start(&s, &rig);
	uint64_t a = scripted_take(&s, 0), b = scripted_take(&s, 4);
	pfa_pfn at = s.blocks[a].at;
	EXPECT(pfa_page_unlock, PFA_EMISUSE, rig.pfa, at);
	told(&rig, PFA_FAULT_PAGE_LOCK, "pfa_page_unlock");
	EXPECT(pfa_page_lock, PFA_OK, rig.pfa, at);
	assert_true(scripted_info(&s, a).locked);
	rig_check(&rig);
	EXPECT(pfa_page_lock, PFA_EDEADLK, rig.pfa, at);
	EXPECT(pfa_page_trylock, PFA_EDEADLK, rig.pfa, at);
	EXPECT(pfa_movable_clear, PFA_EDEADLK, rig.pfa, at);
	EXPECT(pfa_page_trylock, PFA_OK, rig.pfa, s.blocks[b].at);
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, s.blocks[b].at);
	assert_int_equal(scripted_move(&s, a, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	/* a free by the holder waits for the unlock */
	scripted_free(&s, a);
	assert_true(scripted_info(&s, a).released && !scripted_info(&s, a).owner);
	assert_int_equal(rig_stats(&rig, 0).nr_released, 1);
	rig_check(&rig);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, 0);
	told(&rig, PFA_FAULT_RELEASED, "pfa_free");
	EXPECT(pfa_page_lock, PFA_EINVAL, rig.pfa, at);
	EXPECT(pfa_pin, PFA_EINVAL, rig.pfa, at);
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, at);
	assert_int_equal(rig_stats(&rig, 0).movable, 16);
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void test_pins(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	base(&rig, 1);
	scripted_start(&s, &rig);
	uint64_t a = scripted_take(&s, 2);
	pfa_pfn at = s.blocks[a].at;
	EXPECT(pfa_unpin, PFA_EMISUSE, rig.pfa, at);
	told(&rig, PFA_FAULT_NOT_PINNED, "pfa_unpin");
	EXPECT(pfa_pin, PFA_OK, rig.pfa, at);
	EXPECT(pfa_page_lock, PFA_OK, rig.pfa, at);
	EXPECT(pfa_pin, PFA_OK, rig.pfa, at); /* by who has the lock */
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, at);
	assert_int_equal(scripted_info(&s, a).pins, 2);
	EXPECT(pfa_movable_clear, PFA_EBUSY, rig.pfa, at);
	assert_int_equal(scripted_move(&s, a, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	assert_int_equal(s.calls[OP_ISOLATE], 0);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, at);
	rig_check(&rig);
	/* freed while pinned: the owner may go, the frames may not */
	scripted_free(&s, a);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, at, 2);
	told(&rig, PFA_FAULT_RELEASED, "pfa_free");
	EXPECT(pfa_movable_set, PFA_EBUSY, rig.pfa, at, s.owner, 1);
	EXPECT(pfa_movable_clear, PFA_EINVAL, rig.pfa, at);
	assert_int_equal(scripted_move(&s, a, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EINVAL);
	scripted_stop(&s);
	assert_int_equal(rig_stats(&rig, 0).movable, 4);
	assert_int_equal(rig_stats(&rig, 0).allocated, 4);
	rig_check(&rig);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	EXPECT(pfa_unpin, PFA_OK, rig.pfa, at);
	assert_int_equal(rig_stats(&rig, 0).movable, 0);
	assert_int_equal(rig_stats(&rig, 0).allocated, 0);
	rig_stop(&rig);
}

static void test_most_pins(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	base(&rig, 1);
	scripted_start(&s, &rig);
	uint64_t a = scripted_take(&s, 0);
	for (unsigned i = 0; i < 32767; i++)
		EXPECT(pfa_pin, PFA_OK, rig.pfa, s.blocks[a].at);
	EXPECT(pfa_pin, PFA_EAGAIN, rig.pfa, s.blocks[a].at);
	assert_int_equal(scripted_info(&s, a).pins, 32767);
	for (unsigned i = 0; i < 32767; i++)
		EXPECT(pfa_unpin, PFA_OK, rig.pfa, s.blocks[a].at);
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* A frame of a movable block is to become bad: it does when the block is freed. Handles follow, too. */
static void test_with_the_others(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	struct pfa_handle handle, again;
	rig_init(&rig);
	rig.cfg.max_owners = 1;
	rig.cfg.flags = PFA_CONFIG_GENERATIONS;
	rig.cfg.history = 4;
	rig_zone(&rig, 0, 512);
	rig_start(&rig);
	scripted_start(&s, &rig);
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &handle);
	scripted_adopt(&s, 0, handle.pfn, 3);
	EXPECT(pfa_handle_of, PFA_OK, rig.pfa, handle.pfn, 3, &again);
	assert_memory_equal(&handle, &again, sizeof(handle));
	EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, handle.pfn + 5);
	rig_check(&rig);
	EXPECT(pfa_free_checked, PFA_OK, rig.pfa, &handle);
	s.blocks[0].state = BLOCK_NONE;
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &handle);
	told(&rig, PFA_FAULT_STALE_HANDLE, "pfa_free_checked");
	assert_int_equal(rig_stats(&rig, 0).bad, 1);
	rig_check(&rig);
	/* what was moved away is stale */
	EXPECT(pfa_alloc_checked, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &handle);
	scripted_adopt(&s, 1, handle.pfn, 0);
	assert_int_equal(scripted_move(&s, 1, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
	EXPECT(pfa_free_checked, PFA_EMISUSE, rig.pfa, &handle);
	told(&rig, PFA_FAULT_STALE_HANDLE, "pfa_free_checked");
	rig_check(&rig);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* ---- inside an op ------------------------------------------------------------------------------------------------ */

/* What may not be called there says EDEADLK, what may works. */
static void everything(struct scripted *s, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src)
{
	struct pfa *p = s->rig->pfa;
	const struct scripted *other = s->user;
	struct pfa_dest dest = { .size = sizeof(dest) };
	struct pfa_owner_ops ops = good;
	pfa_owner owner;
	pfa_pfn pfn;
	int result;
	(void)op, (void)cookie, (void)dst;
	EXPECT(pfa_owner_create, PFA_EDEADLK, p, &ops, NULL, &owner);
	EXPECT(pfa_owner_destroy, PFA_EDEADLK, p, s->owner);
	EXPECT(pfa_movable_set, PFA_EDEADLK, p, src, s->owner, 0);
	EXPECT(pfa_movable_clear, PFA_EDEADLK, p, src);
	EXPECT(pfa_page_lock, PFA_EDEADLK, p, src);
	EXPECT(pfa_page_trylock, PFA_EDEADLK, p, src);
	EXPECT(pfa_page_unlock, PFA_EDEADLK, p, src);
	EXPECT(pfa_pin, PFA_EDEADLK, p, src);
	EXPECT(pfa_migrate, PFA_EDEADLK, p, &src, 1, &dest, &result);
	EXPECT(pfa_compact, PFA_EDEADLK, p, 0, 1, PFA_MIGRATE_ASYNC, NULL);
	EXPECT(pfa_fini, PFA_EDEADLK, p);
	EXPECT(pfa_service, PFA_EDEADLK, p, 1, NULL);
	EXPECT(pfa_mark_bad, PFA_EDEADLK, p, src);
	EXPECT(pfa_cache_drain, PFA_EDEADLK, p, PFA_ALL_CPUS);
	EXPECT(pfa_cache_purge, PFA_EDEADLK, p, src);
	EXPECT(pfa_cache_disable, PFA_EDEADLK, p);
	EXPECT(pfa_cache_enable, PFA_EDEADLK, p);
	EXPECT(pfa_alloc, PFA_OK, p, 3, PFA_MOVABLE, &pfn);
	EXPECT(pfa_split, PFA_OK, p, pfn, 3, 1);
	EXPECT(pfa_free, PFA_OK, p, pfn, 1);
	EXPECT(pfa_free_range, PFA_OK, p, pfn + 2, 6);
	EXPECT(pfa_pin, PFA_OK, p, other->blocks[0].at);
	EXPECT(pfa_unpin, PFA_OK, p, other->blocks[0].at);
	EXPECT(pfa_pin, PFA_EBUSY, p, other->blocks[1].at); /* its page lock is somebody's */
}

static uint32_t self_now = 1;
static uint32_t op_self(void *ctx)
{
	(void)ctx;
	return self_now;
}

static void test_inside(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s, other;
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.os.self = op_self;
	rig_zone(&rig, 0, 1024);
	rig_start(&rig);
	scripted_start(&s, &rig);
	scripted_start(&other, &rig);
	uint64_t a = scripted_take(&s, 2);
	MUST_EQ(scripted_take(&other, 0), 0);
	MUST_EQ(scripted_take(&other, 0), 1);
	self_now = 2;
	EXPECT(pfa_page_lock, PFA_OK, rig.pfa, other.blocks[1].at);
	self_now = 1;
	EXPECT(pfa_page_trylock, PFA_EBUSY, rig.pfa, other.blocks[1].at);
	EXPECT(pfa_page_unlock, PFA_EMISUSE, rig.pfa, other.blocks[1].at);
	told(&rig, PFA_FAULT_PAGE_LOCK, "pfa_page_unlock");
	s.inside = everything;
	s.user = &other;
	assert_int_equal(scripted_move(&s, a, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_OK);
	s.says[OP_MIGRATE] = PFA_EBUSY;
	assert_int_equal(scripted_move(&s, a, PFA_MIGRATE_SYNC, PFA_MOVABLE), PFA_EBUSY);
	assert_int_equal(s.calls[OP_PUTBACK], 1);
	self_now = 2;
	EXPECT(pfa_page_unlock, PFA_OK, rig.pfa, other.blocks[1].at);
	self_now = 1;
	rig_check(&rig);
	scripted_stop(&other);
	scripted_stop(&s);
	rig_stop(&rig);
}

/* The checker sees each kind of damage to an entry. */
static void test_check_sees_the_table(void **state)
{
	(void)state;
	struct rig rig;
	static struct scripted s;
	struct pfa_violation v;
	base(&rig, 1);
	scripted_start(&s, &rig);
	uint64_t a = scripted_take(&s, 1);
	pfa_pfn plain;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &plain);
	size_t bytes;
	uint32_t *table = rig_region(&rig, "owner_table", &bytes); /* lock, references, cookie */
	unsigned char *bytes_at = rig_region(&rig, "frame_bytes", NULL);
	const struct {
		pfa_pfn at;
		unsigned word;
		uint32_t flip;
	} damage[] = { { s.blocks[a].at, 0, 1u << 29 },  { s.blocks[a].at, 0, 1u << 30 }, { s.blocks[a].at, 1, 1u << 15 },
		       { s.blocks[a].at, 1, 2u << 16 }, { s.blocks[a].at, 1, 1u << 16 }, { plain, 0, 1 }, { plain, 1, 1u << 16 } };
	assert_int_equal(bytes, (1024 + 512) * 16);
	rig_check(&rig);
	for (unsigned i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		uint32_t *word = &table[(damage[i].at - 64) * 4 + damage[i].word];
		*word ^= damage[i].flip;
		assert_int_equal(pfa_check(rig.pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v), PFA_ECORRUPT);
		assert_int_equal(v.invariant, 10);
		*word ^= damage[i].flip;
		rig_check(&rig);
	}
	bytes_at[plain - 64] ^= 0xA0 ^ 0x20; /* movable, says the byte */
	assert_int_equal(pfa_check(rig.pfa, PFA_CHECK_FRAMES, &v), PFA_ECORRUPT);
	assert_int_equal(v.invariant, 10);
	bytes_at[plain - 64] ^= 0xA0 ^ 0x20;
	EXPECT(pfa_free, PFA_OK, rig.pfa, plain, 0);
	scripted_stop(&s);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_not_configured), TEST(test_owners), TEST(test_set_and_clear), TEST(test_frees), TEST(test_page_lock),
	TEST(test_pins), TEST(test_most_pins), TEST(test_with_the_others), TEST(test_inside), TEST(test_check_sees_the_table),
};
UNIT_MAIN(tests)
