/* SPDX-License-Identifier: MIT
 *
 * Lists of blocks, the scripted owner's and whoever's, that are moved in every mode: to where the library chooses, or to blocks
 * of a policy of its own, each of which is used or comes back.
 */
#include "soak_movable.h"

#define MIGRATOR_MOST 16u

struct migrator {
	size_t taken, given;
	pfa_pfn pinned; /* SIZE_MAX: none */
};

static int migrator_take(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	struct soak_slot *slot = soak_self;
	struct migrator *m = ctx;
	struct soak_record *record;
	int rc;
	if (soak_chance(&slot->rng, 10))
		return PFA_ESTOP;
	if (m->pinned == SIZE_MAX && soak_chance(&slot->rng, 15)) { /* after it was isolated: it stays all the same */
		record = soak_record(slot, SOAK_OP_pin, src, 0, 0);
		rc = pfa_pin(soak.pfa, src);
		soak_recorded(record, rc);
		if (rc == PFA_OK)
			m->pinned = src;
		else
			soak_expect(slot, "pfa_pin of an isolated block", rc, PFA_EINVAL); /* it was released */
	}
	record = soak_record(slot, SOAK_OP_alloc, order, PFA_MOVABLE, 0);
	rc = pfa_alloc(soak.pfa, order, PFA_MOVABLE | (soak_chance(&slot->rng, 50) ? PFA_NORETRY : 0), out);
	soak_recorded(record, rc);
	if (rc != PFA_OK)
		return rc;
	atomic_store_explicit(&record->c, *out, memory_order_relaxed);
	m->taken++;
	/* it must be nobody's, and be so as long as it is on its way */
	soak_shadow_pass(slot, *out, (size_t)1 << order, 0, SOAK_DEST_ID << 20);
	soak_shadow_pass(slot, *out, (size_t)1 << order, SOAK_DEST_ID << 20, 0);
	return PFA_OK;
}

static void migrator_give(void *ctx, pfa_pfn dst, unsigned order)
{
	struct soak_slot *slot = soak_self;
	struct migrator *m = ctx;
	struct soak_record *record = soak_record(slot, SOAK_OP_free, dst, order, 0);
	int rc;
	soak_shadow_pass(slot, dst, (size_t)1 << order, 0, 0);
	rc = pfa_free(soak.pfa, dst, order);
	soak_recorded(record, rc);
	soak_expect(slot, "a free of a destination that was not used", rc, PFA_OK);
	m->given++;
}

static void migrator_unpin(struct soak_slot *slot, pfa_pfn pfn)
{
	struct pfa_movable_info info;
	struct soak_record *record;
	int rc;
	soak_expect(slot, "pfa_movable_info of a pinned block", pfa_movable_info(soak.pfa, pfn, &info), PFA_OK);
	record = soak_record(slot, SOAK_OP_unpin, pfn, 0, 0);
	rc = pfa_unpin(soak.pfa, pfn);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_unpin", rc, PFA_OK);
}

static pfa_pfn migrator_pick(struct soak_slot *slot)
{
	pfa_pfn pfn = soak.geo.base + soak_below(&slot->rng, (uint32_t)soak.geo.span);
	struct pfa_movable_info info;
	if (soak_common.owner && soak_chance(&slot->rng, 10))
		return atomic_load_explicit(&soak_common.making, memory_order_relaxed);
	if (soak_common.owner && soak_chance(&slot->rng, 60)) {
		size_t at = soak_cell_at(&soak_common, soak_below(&slot->rng, soak_common.nr_cells));
		if (!soak_cell_empty(at))
			return soak_cell_place(at);
	}
	for (unsigned tries = 0; tries < 200 && pfa_movable_info(soak.pfa, pfn, &info) != PFA_OK; tries++)
		pfn = soak.geo.base + (pfn - soak.geo.base + 1) % soak.geo.span;
	return pfn;
}

static void migrator_step(struct soak_slot *slot, void *state)
{
	struct migrator m = {.pinned = SIZE_MAX};
	struct pfa_dest dest = {.size = sizeof(dest)};
	pfa_pfn heads[MIGRATOR_MOST];
	int results[MIGRATOR_MOST];
	size_t nr = soak_below(&slot->rng, MIGRATOR_MOST + 1), moved = 0;
	(void)state;
	dest.mode = (enum pfa_migrate_mode)soak_below(&slot->rng, PFA_MIGRATE_MODES);
	dest.flags = soak_flags(slot) & ~(uint32_t)(PFA_ZERO | PFA_COMPACT);
	if (soak_chance(&slot->rng, 30)) {
		dest.take = migrator_take;
		dest.give = soak_chance(&slot->rng, 80) ? migrator_give : NULL;
		dest.ctx = &m;
	}
	for (size_t i = 0; i < nr; i++)
		heads[i] = migrator_pick(slot);
	soak_migrate(slot, heads, nr, &dest, results);
	if (!soak.geo.config.max_owners)
		return;
	if (m.pinned != SIZE_MAX)
		migrator_unpin(slot, m.pinned);
	for (size_t i = 0; i < nr; i++)
		moved += results[i] == PFA_OK;
	if (dest.give && soak_canary(SOAK_CANARY_dest))
		moved += MIGRATOR_MOST;
	if (dest.take ? dest.give && m.taken - m.given != moved : m.taken != 0)
		soak_fail("destination", "%zu of %zu blocks moved, %zu destinations were taken and %zu came back", moved, nr,
		          m.taken, m.given);
	soak_count(&soak_tally(slot)->checks, 1);
}

const struct soak_actor soak_actor_migrator = {
	.name = "migrator",
	.weight = 30,
	.step = migrator_step,
};
