/* SPDX-License-Identifier: MIT
 *
 * Page locks that are held for a while, and pins: as long as there is one the block stays where it is, and its frames are
 * nobody else's, even after its owner has freed it.
 */
#include "soak_movable.h"

#include <sched.h>

/* Still the cell's, or nobody's. */
static void pinner_look(struct soak_slot *slot, uint32_t cell, size_t at)
{
	uint32_t tag = soak_cell_tag(&soak_common, cell);
	struct pfa_movable_info info;
	soak_expect(slot, "pfa_movable_info of a pinned block", pfa_movable_info(soak.pfa, soak_cell_place(at), &info),
	            PFA_OK);
	for (size_t i = 0; i < (size_t)1 << soak_cell_order(at); i++) {
		uint32_t owner = soak_shadow_tag(soak_cell_place(at) + i);
		if (soak_canary(SOAK_CANARY_pin))
			owner = slot->id << 20;
		if ((owner && owner != tag) || info.pins == 0)
			soak_fail("pin", "frame %zu of movable block %u, which is pinned %u times, belongs to %u:%u",
			          soak_cell_place(at) + i, cell, info.pins, owner >> 20, owner & 0xFFFFF);
	}
	soak_count(&soak_tally(slot)->checks, 1);
}

static void pinner_pin(struct soak_slot *slot, uint32_t cell)
{
	size_t at = soak_cell_lock(slot, &soak_common, cell, true);
	unsigned most = 1 + soak_below(&slot->rng, 3), pins = 0, looks = 1 + soak_below(&slot->rng, 40);
	if (at == SOAK_NOWHERE)
		return;
	while (pins < most && soak_cell_pin(slot, &soak_common, cell, at))
		pins++;
	soak_cell_unlock(slot, at);
	for (unsigned i = 0; pins && i < looks; i++) {
		pinner_look(slot, cell, at);
		if (i == looks / 2 && soak_chance(&slot->rng, 30))
			(void)soak_cell_free(slot, &soak_common, cell);
		if (i % 8 == 7)
			sched_yield();
	}
	while (pins--) {
		struct soak_record *record = soak_record(slot, SOAK_OP_unpin, soak_cell_place(at), cell, 0);
		int rc = pfa_unpin(soak.pfa, soak_cell_place(at));
		soak_recorded(record, rc);
		soak_expect(slot, "pfa_unpin", rc, PFA_OK);
	}
}

/* Held for long: the block is where it was all the time. */
static void pinner_lock(struct soak_slot *slot, uint32_t cell)
{
	size_t at = soak_cell_lock(slot, &soak_common, cell, soak_chance(&slot->rng, 70));
	int rc;
	if (at == SOAK_NOWHERE)
		return;
	for (unsigned i = soak_below(&slot->rng, 4); i < 4; i++) {
		soak_cell_verify(slot, &soak_common, cell, at);
		sched_yield();
	}
	rc = pfa_page_trylock(soak.pfa, soak_cell_place(at));
	if (rc != PFA_EINVAL || !soak_cell_retires(soak_cell_at(&soak_common, cell)))
		soak_expect(slot, "a second page lock of the holder", rc, PFA_EDEADLK);
	soak_cell_unlock(slot, at);
}

static void pinner_step(struct soak_slot *slot, void *state)
{
	uint32_t cell;
	(void)state;
	if (!soak_common.owner)
		return;
	cell = soak_below(&slot->rng, soak_common.nr_cells);
	if (soak_chance(&slot->rng, 60))
		pinner_pin(slot, cell);
	else
		pinner_lock(slot, cell);
}

const struct soak_actor soak_actor_pinner = {
	.name = "pinner",
	.weight = 20,
	.step = pinner_step,
};
