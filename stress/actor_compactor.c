/* SPDX-License-Identifier: MIT
 *
 * Compaction: asked for in every mode, for a request that would fail otherwise, and in the background.
 */
#include "soak_movable.h"

#include <pfa/compact.h>

static void compactor_ask(struct soak_slot *slot)
{
	uint32_t zone = soak_chance(&slot->rng, 30) ? PFA_ALL_ZONES : soak_below(&slot->rng, soak.geo.config.nr_zones);
	unsigned order = soak_chance(&slot->rng, 40) ? PFA_COMPACT_ALL : soak_below(&slot->rng, soak.geo.config.max_order + 1);
	enum pfa_migrate_mode mode = (enum pfa_migrate_mode)soak_below(&slot->rng, PFA_MIGRATE_MODES);
	struct pfa_compact_stats stats = {0};
	bool wants = soak_chance(&slot->rng, 50);
	struct soak_record *record = soak_record(slot, SOAK_OP_compact, zone, order, mode);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_compact(soak.pfa, zone, order, mode, wants ? &stats : NULL);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (!soak.geo.config.max_owners)
		soak_expect(slot, "pfa_compact without an owner table", rc, PFA_ENOTSUP);
	else if (rc != PFA_OK && rc != PFA_EBUSY && (rc != PFA_ENOMEM || order == PFA_COMPACT_ALL))
		soak_fail("result", "pfa_compact of zone %u, order %u returned %s", zone, order, pfa_error_name(rc));
	if (rc != PFA_ENOTSUP && wants &&
	    (stats.size != sizeof(stats) || stats.index_before > 1000 || stats.index_after > 1000 ||
	     stats.met > soak.geo.config.nr_zones))
		soak_fail("result", "pfa_compact says index %u, then %u, and that %u zones were done", stats.index_before,
		          stats.index_after, stats.met);
	soak_count(&soak_tally(slot)->checks, 1);
}

static void compactor_step(struct soak_slot *slot, void *state)
{
	struct soak_grant grant;
	unsigned order;
	(void)state;
	switch (soak_below(&slot->rng, 3)) {
	case 0:
		compactor_ask(slot);
		break;
	case 1:
		soak_service(slot, 1 + soak_below(&slot->rng, 20));
		break;
	default:
		order = soak.geo.config.max_order - soak_below(&slot->rng, soak.geo.config.max_order);
		if (soak_take(slot, order, soak_flags(slot) | PFA_COMPACT, &grant))
			soak_give(slot, grant);
		break;
	}
}

const struct soak_actor soak_actor_compactor = {
	.name = "compactor",
	.weight = 8,
	.step = compactor_step,
};
