/* SPDX-License-Identifier: MIT
 *
 * Owners that live briefly, while movers run: no op may come after pfa_owner_destroy() has returned, and the owner's memory is
 * gone then.
 */
#include "soak_movable.h"

#include <stdlib.h>
#include <string.h>

#define BRIEF_CELLS 6u

struct brief {
	struct soak_keeper *keeper; /* NULL: none */
};

static void brief_create(struct soak_slot *slot, struct brief *b)
{
	struct soak_keeper *k = calloc(1, sizeof(*k));
	struct soak_cell *cells = calloc(BRIEF_CELLS, sizeof(*cells));
	if (!k || !cells)
		abort();
	*k = (struct soak_keeper){.id = SOAK_BRIEF_ID, .first = slot->id * BRIEF_CELLS, .nr_cells = BRIEF_CELLS, .cells = cells,
	                          .frames_max = soak.quota / 4 + 8};
	if (soak_keeper_create(slot, k)) {
		b->keeper = k;
		return;
	}
	free(cells);
	free(k);
}

/* Pins a block, which then outlives its owner. SIZE_MAX: none. */
static pfa_pfn brief_pin(struct soak_slot *slot, struct soak_keeper *k)
{
	size_t at = soak_cell_lock(slot, k, 0, true);
	bool pinned;
	if (at == SOAK_NOWHERE)
		return SIZE_MAX;
	pinned = soak_cell_pin(slot, k, 0, at);
	soak_cell_unlock(slot, at);
	return pinned ? soak_cell_place(at) : SIZE_MAX;
}

static void brief_destroy(struct soak_slot *slot, struct brief *b)
{
	struct soak_keeper *k = b->keeper;
	pfa_pfn pinned = soak_chance(&slot->rng, 30) ? brief_pin(slot, k) : SIZE_MAX;
	/* a pinned block cannot be cleared: another way is taken then */
	for (uint32_t i = 0; i < BRIEF_CELLS; i++)
		while (soak_cell_at(k, i) != SOAK_NOWHERE && soak_cell_at(k, i) != SOAK_RETIRED)
			(void)soak_cell_free(slot, k, i);
	soak_keeper_destroy(slot, k);
	memset(k->cells, 0xDD, BRIEF_CELLS * sizeof(*k->cells));
	free(k->cells);
	memset(k, 0xDD, sizeof(*k));
	free(k);
	b->keeper = NULL;
	if (pinned != SIZE_MAX)
		soak_expect(slot, "pfa_unpin of a block whose owner is gone", pfa_unpin(soak.pfa, pinned), PFA_OK);
}

static void brief_step(struct soak_slot *slot, void *state)
{
	struct brief *b = state;
	uint32_t cell = soak_below(&slot->rng, BRIEF_CELLS);
	if (!soak.geo.config.max_owners)
		return;
	if (!b->keeper) {
		brief_create(slot, b);
		return;
	}
	switch (soak_below(&slot->rng, 8)) {
	case 0:
		brief_destroy(slot, b);
		break;
	case 1:
	case 2:
	case 3:
		(void)soak_cell_make(slot, b->keeper, cell);
		break;
	case 4:
		(void)soak_cell_free(slot, b->keeper, cell);
		break;
	default:
		soak_cell_write(slot, b->keeper, cell);
		break;
	}
}

static void brief_rest(struct soak_slot *slot, void *state)
{
	struct brief *b = state;
	if (b->keeper)
		brief_destroy(slot, b);
}

const struct soak_actor soak_actor_brief = {
	.name = "brief",
	.weight = 40,
	.state_bytes = sizeof(struct brief),
	.step = brief_step,
	.rest = brief_rest,
};
