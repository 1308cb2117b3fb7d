/* SPDX-License-Identifier: MIT
 *
 * Drains, purges, and times without caches. While this thread holds them disabled, they must stay empty.
 */
#include "soak.h"

struct caches {
	unsigned disabled; /* how often by this thread */
};

static void caches_must_be_empty(struct soak_slot *slot)
{
	struct pfa_zone_stats stats;
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct soak_record *record = soak_record(slot, SOAK_OP_stats, z, 0, 0);
		int rc = pfa_zone_stats_get(soak.pfa, z, &stats, sizeof(stats));
		soak_recorded(record, rc);
		soak_expect(slot, "pfa_zone_stats_get", rc, PFA_OK);
		if (soak_canary(SOAK_CANARY_disabled))
			stats.cached++;
		if (stats.cached + stats.quarantined != 0)
			soak_fail("disabled-caches",
			          "zone %u has %zu cached and %zu quarantined frames while caches are disabled", z,
			          stats.cached, stats.quarantined);
		soak_count(&soak_tally(slot)->checks, 1);
	}
}

static void caches_disable(struct soak_slot *slot, struct caches *c)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_disable, 0, 0, 0);
	int rc = pfa_cache_disable(soak.pfa);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_cache_disable", rc, PFA_OK);
	c->disabled++;
	caches_must_be_empty(slot);
}

static void caches_enable(struct soak_slot *slot, struct caches *c)
{
	struct soak_record *record;
	int rc;
	caches_must_be_empty(slot);
	record = soak_record(slot, SOAK_OP_enable, 0, 0, 0);
	rc = pfa_cache_enable(soak.pfa);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_cache_enable", rc, PFA_OK);
	c->disabled--;
}

static void caches_drain(struct soak_slot *slot)
{
	uint32_t cpu = soak_chance(&slot->rng, 30) ? PFA_ALL_CPUS : soak_below(&slot->rng, soak.geo.config.nr_cpus);
	struct soak_record *record = soak_record(slot, SOAK_OP_drain, cpu, 0, 0);
	int rc = pfa_cache_drain(soak.pfa, cpu);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_cache_drain", rc, PFA_OK);
}

static void caches_purge(struct soak_slot *slot)
{
	size_t rel = soak_below(&slot->rng, (uint32_t)soak.geo.span);
	pfa_pfn pfn = soak.geo.base + rel;
	struct soak_record *record = soak_record(slot, SOAK_OP_purge, pfn, 0, 0);
	int rc = pfa_cache_purge(soak.pfa, pfn);
	soak_recorded(record, rc);
	/* a frame in a hole lies in its zone's span, one in a gap between zones does not */
	if (soak.attr[rel] != SOAK_ABSENT || rc != PFA_ERANGE)
		soak_expect(slot, "pfa_cache_purge", rc, PFA_OK);
}

static void caches_step(struct soak_slot *slot, void *state)
{
	struct caches *c = state;
	unsigned what = soak_below(&slot->rng, 100);
	if (c->disabled && what < 60)
		caches_enable(slot, c);
	else if (what < 20 && c->disabled < 3)
		caches_disable(slot, c);
	else if (what < 60)
		caches_purge(slot);
	else
		caches_drain(slot);
}

static void caches_rest(struct soak_slot *slot, void *state)
{
	struct caches *c = state;
	while (c->disabled)
		caches_enable(slot, c);
}

const struct soak_actor soak_actor_caches = {
	.name = "caches",
	.weight = 20,
	.state_bytes = sizeof(struct caches),
	.step = caches_step,
	.rest = caches_rest,
};
