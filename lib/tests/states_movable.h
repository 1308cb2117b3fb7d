/* SPDX-License-Identifier: MIT
 *
 * Part of test_states.c: movable blocks of its world, and an owner that refuses, asks for another try, and frees its blocks and
 * destinations inside of its ops.
 */
#ifndef STATES_MOVABLE_H
#define STATES_MOVABLE_H

#include <pfa/compact.h>

enum { MOVING_BLOCKS = 64 };

static pfa_owner moving_owner;
static bool moving_obeys; /* scenes: the owner does all that it is asked for */
static struct {
	pfa_pfn at;
	unsigned order, pins;
	bool used, locked, released;
} moving[MOVING_BLOCKS]; /* by cookie */

/* Inside of an op. */
static void moving_frees(uint64_t cookie, pfa_pfn at)
{
	enum caller outside = now;
	now = BY_FREE;
	MUST_EQ(pfa_free(watched, at, moving[cookie].order), PFA_OK);
	now = outside;
	moving[cookie].used = false; /* it is neither pinned nor locked by a user */
}

static int moving_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)mode;
	MUST(moving[cookie].used && moving[cookie].at == head && moving[cookie].order == order && !moving[cookie].pins);
	if (moving_obeys)
		return PFA_OK;
	if (rng_one_in(&rng, 8))
		return PFA_EBUSY;
	if (rng_one_in(&rng, 16))
		moving_frees(cookie, head);
	return PFA_OK;
}

static int moving_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)order, (void)mode;
	MUST(moving[cookie].used && moving[cookie].at == src);
	switch (moving_obeys ? 16 : rng_below(&rng, 16)) {
	case 0:
		return PFA_EBUSY;
	case 1:
	case 2:
		return PFA_EAGAIN;
	case 3:
		moving_frees(cookie, src);
		return PFA_OK;
	case 4:
		moving_frees(cookie, src);
		return PFA_EBUSY;
	case 5:
		moving_frees(cookie, dst);
		return PFA_OK;
	default:
		moving[cookie].at = dst;
		return PFA_OK;
	}
}

static void moving_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx, (void)order;
	MUST(moving[cookie].used && moving[cookie].at == head);
	if (!moving_obeys && rng_one_in(&rng, 8))
		moving_frees(cookie, head);
}

static void moving_start(void)
{
	static const struct pfa_owner_ops ops = { sizeof(ops), moving_isolate, moving_migrate, moving_putback };
	memset(moving, 0, sizeof(moving));
	CALL(BY_MOVE, pfa_owner_create, watched, &ops, NULL, &moving_owner);
	MUST_EQ(result, PFA_OK);
}

/* The last of what kept a released block. */
static void moving_gone(size_t i)
{
	if (moving[i].released && !moving[i].pins && !moving[i].locked)
		moving[i].used = false;
}

static void moving_free(size_t i)
{
	CALL(BY_FREE, pfa_free, watched, moving[i].at, moving[i].order);
	MUST_EQ(result, PFA_OK);
	moving[i].released = true;
	moving_gone(i);
}

static void moving_unlock(size_t i)
{
	CALL(BY_MOVE, pfa_page_unlock, watched, moving[i].at);
	MUST_EQ(result, PFA_OK);
	moving[i].locked = false;
	moving_gone(i);
}

static void moving_unpin(size_t i)
{
	CALL(BY_MOVE, pfa_unpin, watched, moving[i].at);
	MUST_EQ(result, PFA_OK);
	moving[i].pins--;
	moving_gone(i);
}

static void moving_set_block(size_t i, size_t which)
{
	CALL(BY_MOVE, pfa_movable_set, watched, live[which].pfn, moving_owner, i);
	MUST_EQ(result, PFA_OK);
	moving[i].at = live[which].pfn;
	moving[i].order = live[which].order;
	moving[i].pins = 0;
	moving[i].locked = moving[i].released = false;
	moving[i].used = true;
	live[which] = live[--nr_live];
}

static void moving_set(size_t i)
{
	if (nr_live)
		moving_set_block(i, rng_below(&rng, nr_live));
}

static void moving_clear(size_t i)
{
	CALL(BY_MOVE, pfa_movable_clear, watched, moving[i].at);
	if (result != PFA_OK)
		return;
	moving[i].used = false;
	keep(moving[i].at, moving[i].order);
}

static void moving_migrated(size_t i)
{
	struct pfa_dest dest = { .size = sizeof(dest), .mode = (enum pfa_migrate_mode)rng_below(&rng, PFA_MIGRATE_MODES),
		                 .flags = (uint32_t)rng_below(&rng, 3) | (rng_one_in(&rng, 2) ? PFA_ZONE(1) : 0) };
	int moved;
	CALL(BY_MOVE, pfa_migrate, watched, &moving[i].at, 1, &dest, &moved);
}

static void step_movable(void)
{
	size_t i = rng_below(&rng, MOVING_BLOCKS);
	if (!moving[i].used) {
		moving_set(i);
		return;
	}
	switch (rng_below(&rng, 10)) {
	case 0:
		if (!moving[i].released)
			moving_free(i);
		break;
	case 1:
		CALL(BY_MOVE, pfa_page_trylock, watched, moving[i].at);
		moving[i].locked |= result == PFA_OK;
		break;
	case 2:
		CALL(BY_MOVE, pfa_pin, watched, moving[i].at);
		moving[i].pins += result == PFA_OK;
		break;
	case 3:
	case 4:
		if (moving[i].locked)
			moving_unlock(i);
		else if (moving[i].pins)
			moving_unpin(i);
		break;
	case 5:
		moving_clear(i);
		break;
	case 6:
		CALL(BY_MOVE, pfa_compact, watched, PFA_ALL_ZONES, rng_one_in(&rng, 2) ? PFA_COMPACT_ALL : 4,
		     (enum pfa_migrate_mode)rng_below(&rng, PFA_MIGRATE_MODES), NULL);
		break;
	default:
		moving_migrated(i);
	}
}

/* A frame that a misuse has freed, since a block began there. */
static void moving_taken(pfa_pfn at)
{
	for (size_t i = 0; i < MOVING_BLOCKS; i++)
		if (moving[i].used && moving[i].at == at) {
			moving[i].released = true;
			moving_gone(i);
		}
}

static void moving_stop(void)
{
	for (size_t i = 0; i < MOVING_BLOCKS; i++) {
		if (moving[i].used && !moving[i].released)
			moving_free(i);
		while (moving[i].used && moving[i].pins)
			moving_unpin(i);
		if (moving[i].used)
			moving_unlock(i);
	}
	CALL(BY_MOVE, pfa_owner_destroy, watched, moving_owner);
	MUST_EQ(result, PFA_OK);
}

#endif
