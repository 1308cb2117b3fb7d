/* SPDX-License-Identifier: MIT
 *
 * The users of the round's scripted owner: movable blocks are made, written, freed, while others move them. At rest each
 * block is looked at, and what its owner agrees to must be possible.
 */
#include "soak_movable.h"

#include <pfa/compact.h>

#include <stdlib.h>

#define OWNER_CELLS 600u

static void owner_begin(struct soak_slot *slot)
{
	static struct soak_cell cells[OWNER_CELLS];
	soak_common = (struct soak_keeper){.id = SOAK_COMMON_ID, .cells = cells, .frames_max = soak.geo.present / 4 + 1};
	if (!soak.geo.config.max_owners)
		return;
	soak_common.nr_cells = soak.geo.present / 8 + 2 < OWNER_CELLS ? (uint32_t)soak.geo.present / 8 + 2 : OWNER_CELLS;
	if (!soak_keeper_create(slot, &soak_common))
		soak_fail("result", "pfa_owner_create refuses the first owner");
}

static void owner_end(struct soak_slot *slot)
{
	if (!soak_common.owner)
		return;
	soak_keeper_renew(&soak_common);
	for (uint32_t i = 0; i < soak_common.nr_cells; i++)
		while (soak_cell_at(&soak_common, i) != SOAK_NOWHERE)
			(void)soak_cell_free(slot, &soak_common, i);
	soak_keeper_destroy(slot, &soak_common);
}

/* Without an owner table there are no movable blocks. */
static void owner_none(struct soak_slot *slot)
{
	struct soak_grant grant;
	if (!soak_take(slot, 0, PFA_MOVABLE, &grant))
		return;
	soak_expect(slot, "pfa_movable_set without an owner table", pfa_movable_set(soak.pfa, grant.first, 1, 0),
	            PFA_ENOTSUP);
	soak_give(slot, grant);
}

static void owner_step(struct soak_slot *slot, void *state)
{
	uint32_t cell;
	(void)state;
	if (!soak_common.owner) {
		owner_none(slot);
		return;
	}
	cell = soak_below(&slot->rng, soak_common.nr_cells);
	switch (soak_below(&slot->rng, 8)) {
	case 0:
	case 1:
	case 2:
		(void)soak_cell_make(slot, &soak_common, cell);
		break;
	case 3:
	case 4:
		(void)soak_cell_free(slot, &soak_common, cell);
		break;
	default:
		soak_cell_write(slot, &soak_common, cell);
		break;
	}
}

static void owner_owned(struct soak_slot *slot, struct soak_owned *owned)
{
	if (!soak_common.owner)
		return;
	owned->owners++;
	soak_keeper_renew(&soak_common);
	for (uint32_t i = 0; i < soak_common.nr_cells; i++) {
		size_t at = soak_cell_at(&soak_common, i);
		struct pfa_movable_info info;
		if (at == SOAK_NOWHERE)
			continue;
		if (soak_canary(SOAK_CANARY_lost))
			continue;
		soak_cell_verify(slot, &soak_common, i, at);
		soak_expect(slot, "pfa_movable_info", pfa_movable_info(soak.pfa, soak_cell_place(at), &info), PFA_OK);
		if (info.owner != soak_common.owner || info.pins || info.locked || info.isolated || info.released)
			soak_fail("owner-op", "movable block %u at %zu at rest: owner %u, %u pins, locked %d, isolated %d, "
			          "released %d", i, soak_cell_place(at), info.owner, info.pins, info.locked, info.isolated,
			          info.released);
		owned->tracked[soak_zone_of(soak_cell_place(at))] += (size_t)1 << soak_cell_order(at);
		owned->movable += (size_t)1 << soak_cell_order(at);
	}
}

/* Nobody else at work, and the owner agrees: a block moves, or there is no place for it. And a whole pass of compaction. */
static void owner_quiet(struct soak_slot *slot)
{
	struct pfa_dest dest = {.size = sizeof(dest), .flags = PFA_MOVABLE};
	int rc;
	if (!soak_common.owner)
		return;
	soak_common.willing = true;
	for (unsigned i = 0; i < 20; i++) {
		uint32_t cell = soak_below(&slot->rng, soak_common.nr_cells);
		size_t at = soak_cell_at(&soak_common, cell);
		pfa_pfn head = soak_cell_place(at);
		int result = PFA_OK;
		dest.mode = (enum pfa_migrate_mode)soak_below(&slot->rng, PFA_MIGRATE_MODES);
		if (soak_cell_empty(at))
			continue;
		soak_migrate(slot, &head, 1, &dest, &result);
		if (result != PFA_ENOMEM)
			soak_expect(slot, "a move that its owner agrees to, at rest", result, PFA_OK);
		soak_cell_verify(slot, &soak_common, cell, soak_cell_at(&soak_common, cell));
	}
	soak_may_move(slot, true);
	rc = pfa_compact(soak.pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	soak_may_move(slot, false);
	soak_expect(slot, "pfa_compact at rest", rc, PFA_OK);
	soak_common.willing = false;
}

const struct soak_actor soak_actor_owner = {
	.name = "owner",
	.weight = 120,
	.begin = owner_begin,
	.end = owner_end,
	.step = owner_step,
	.owned = owner_owned,
	.quiet = owner_quiet,
};
