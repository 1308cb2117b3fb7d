/* SPDX-License-Identifier: MIT
 *
 * Movers inside of movers, as many as there may be; and what others may do to a block while its mover keeps the page lock.
 */
#include "scripted.h"
#include "unit.h"

#include <pfa/compact.h>

static struct scripted s;

static void base(struct rig *rig, size_t nr_frames)
{
	rig_init(rig);
	rig->cfg.max_owners = 1;
	rig_zone(rig, 0, nr_frames);
	rig_zone(rig, nr_frames, 512);
	rig_start(rig);
	scripted_start(&s, rig);
}

static void done(struct rig *rig)
{
	scripted_stop(&s);
	rig_check(rig);
	rig_stop(rig);
}

/* take() may move blocks itself: each such call is one mover more, and there may be 64. */
enum { MOVERS = 64 };
static unsigned movers;

static int moves_another(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	struct pfa_dest dest = { sizeof(dest), PFA_MIGRATE_ASYNC, 0, moves_another, NULL, ctx };
	struct rig *rig = ctx;
	int result;
	(void)src;
	const bool last = ++movers == MOVERS;
	const int all = pfa_migrate(rig->pfa, &s.blocks[movers + 2].at, 1, &dest, &result);
	assert_int_equal(all, last ? PFA_EAGAIN : PFA_OK);
	if (last) {
		assert_int_equal(result, PFA_EBUSY);
		EXPECT(pfa_compact, PFA_EBUSY, rig->pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
		EXPECT(pfa_alloc, PFA_ENOMEM, rig->pfa, 8, PFA_MOVABLE | PFA_COMPACT, out);
		movers++;
	}
	return pfa_alloc(rig->pfa, order, PFA_MOVABLE, out);
}

static void test_movers_at_once(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 256);
	for (unsigned i = 0; i < MOVERS + 3; i++)
		MUST_EQ(scripted_take(&s, i < 2 ? 8 : 0), i);
	struct pfa_dest dest = { sizeof(dest), PFA_MIGRATE_ASYNC, 0, moves_another, NULL, &rig };
	int result;
	movers = 0;
	EXPECT(pfa_migrate, PFA_OK, rig.pfa, &s.blocks[2].at, 1, &dest, &result);
	assert_int_equal(movers, MOVERS + 1);
	assert_int_equal(s.calls[OP_MIGRATE], MOVERS);
	rig_check(&rig);
	done(&rig);
}

/* Freed by another thread, as it were, while the mover takes a destination under the page lock. */
static void free_at_unlock(void *ctx, struct pfa *pfa, unsigned zone)
{
	if (zone != 1)
		return; /* the ops look at frames of zone 0 */
	pfa_debug_on_unlock(pfa, NULL, NULL);
	scripted_free(ctx, 0);
	s.blocks[0].state = BLOCK_RELEASED;
}

static void test_released_while_held(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 9; order++) {
		struct rig rig;
		base(&rig, 512);
		MUST_EQ(scripted_take(&s, order), 0);
		pfa_debug_on_unlock(rig.pfa, free_at_unlock, &s);
		assert_int_equal(scripted_move(&s, 0, order % PFA_MIGRATE_MODES, PFA_MOVABLE | PFA_ZONE(1)), PFA_ESTOP);
		assert_int_equal(s.calls[OP_ISOLATE], 1);
		assert_int_equal(s.calls[OP_MIGRATE] + s.calls[OP_PUTBACK], 0);
		assert_int_equal(rig_stats(&rig, 0).allocated + rig_stats(&rig, 1).allocated, 0);
		s.blocks[0].state = BLOCK_NONE;
		done(&rig);
	}
}

static const struct unit_test tests[] = {
	TEST(test_movers_at_once), TEST(test_released_while_held),
};
UNIT_MAIN(tests)
