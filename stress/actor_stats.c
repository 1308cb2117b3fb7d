/* SPDX-License-Identifier: MIT
 *
 * Reads statistics while everybody works: the conservation law holds in every snapshot, events only grow, and the
 * text forms keep to their contract.
 */
#include "soak.h"

#include <string.h>

/* Events lie in two runs, with what movable blocks there are between them. */
#define STATS_FIRST_EVENT offsetof(struct pfa_zone_stats, nr_refill)
#define STATS_NO_EVENT offsetof(struct pfa_zone_stats, movable)
#define STATS_SECOND_EVENT offsetof(struct pfa_zone_stats, nr_migrated)

struct stats {
	struct pfa_zone_stats zones[SOAK_ZONES_MAX];
	struct pfa_stats instance;
};

void soak_conservation(const struct pfa_zone_stats *s, unsigned zone)
{
	size_t sum = s->free + s->free_isolated + s->cached + s->allocated + s->held_report + s->held_move +
	             s->quarantined + s->bad;
	size_t present = 0;
	for (size_t i = 0; i < soak.geo.span; i++)
		present += soak.attr[i] != SOAK_ABSENT && (soak.attr[i] & ~SOAK_IN_CMA) == zone;
	/* what is away is a part of the geometry, too: how much that is is judged at rest */
	if (sum != s->present || s->present + s->offline > present)
		soak_fail("conservation",
		          "zone %u: free %zu + free_isolated %zu + cached %zu + allocated %zu + held_report %zu + "
		          "held_move %zu + quarantined %zu + bad %zu = %zu, present %zu, offline %zu, of %zu",
		          zone, s->free, s->free_isolated, s->cached, s->allocated, s->held_report, s->held_move,
		          s->quarantined, s->bad, sum, s->present, s->offline, present);
	if (s->free_cma > s->free || s->free_highatomic > s->free || s->free_highatomic > s->reserved_highatomic ||
	    s->mark_min != soak.geo.zones[zone].mark_min || s->mark_low != soak.geo.zones[zone].mark_low ||
	    s->mark_high != soak.geo.zones[zone].mark_high ||
	    s->reserved_highatomic > soak.geo.zones[zone].highatomic_frames)
		soak_fail("conservation",
		          "zone %u: free %zu, of it CMA %zu and highatomic %zu of %zu reserved, marks %zu/%zu/%zu",
		          zone, s->free, s->free_cma, s->free_highatomic, s->reserved_highatomic, s->mark_min,
		          s->mark_low, s->mark_high);
}

/* Events, all size_t, may not go down from one snapshot to the next. */
static void stats_monotonic(const char *what, const void *before, const void *now, size_t from, size_t bytes)
{
	for (size_t at = from; at < bytes; at += sizeof(size_t)) {
		size_t a, b;
		memcpy(&a, (const char *)before + at, sizeof(a));
		memcpy(&b, (const char *)now + at, sizeof(b));
		if (b < a)
			soak_fail("conservation", "%s: counter %zu went down from %zu to %zu", what,
			          at / sizeof(size_t), a, b);
	}
}

static void stats_zone(struct soak_slot *slot, struct stats *st, unsigned zone)
{
	struct pfa_zone_stats now;
	struct soak_record *record = soak_record(slot, SOAK_OP_stats, zone, 0, 0);
	int rc = pfa_zone_stats_get(soak.pfa, zone, &now, sizeof(now));
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_zone_stats_get", rc, PFA_OK);
	if (soak_canary(SOAK_CANARY_conserve))
		now.free++;
	soak_conservation(&now, zone);
	stats_monotonic("zone", &st->zones[zone], &now, STATS_FIRST_EVENT, STATS_NO_EVENT);
	stats_monotonic("zone", &st->zones[zone], &now, STATS_SECOND_EVENT, offsetof(struct pfa_zone_stats, held_pageblocks));
	stats_monotonic("zone", &st->zones[zone], &now, offsetof(struct pfa_zone_stats, nr_reported),
	                offsetof(struct pfa_zone_stats, offline));
	st->zones[zone] = now;
	soak_count(&soak_tally(slot)->checks, 1);
}

static void stats_instance(struct soak_slot *slot, struct stats *st)
{
	struct pfa_stats now;
	soak_expect(slot, "pfa_stats_get", pfa_stats_get(soak.pfa, &now, sizeof(now)), PFA_OK);
	if (now.nr_zones != soak.geo.config.nr_zones || now.nr_cpus != soak.geo.config.nr_cpus || now.nr_corrupt)
		soak_fail("conservation", "instance statistics: %zu zones, %zu cpus, %zu corruptions", now.nr_zones,
		          now.nr_cpus, now.nr_corrupt);
	stats_monotonic("instance", &st->instance, &now, 0, offsetof(struct pfa_stats, nr_owners));
	st->instance = now;
}

struct stats_text {
	size_t bytes, lines;
};

static void stats_write(void *ctx, const char *bytes, size_t nr)
{
	struct stats_text *text = ctx;
	if (nr > 128)
		soak_fail("result", "pfa_print wrote a piece of %zu bytes", nr);
	text->bytes += nr;
	for (size_t i = 0; i < nr; i++) {
		text->lines += bytes[i] == '\n';
		if (bytes[i] == 0)
			soak_fail("result", "pfa_print wrote a zero byte");
	}
}

static void stats_print(struct soak_slot *slot)
{
	struct stats_text text = {0, 0};
	enum pfa_print_what what = (enum pfa_print_what)soak_below(&slot->rng, PFA_PRINT_WHATS);
	struct soak_record *record = soak_record(slot, SOAK_OP_print, what, 0, 0);
	int rc = pfa_print(soak.pfa, what, stats_write, &text);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_print", rc, PFA_OK);
	if (what != PFA_PRINT_LIVE && (text.bytes == 0 || text.lines == 0)) /* where nothing lives there is nothing to say */
		soak_fail("result", "pfa_print of kind %d wrote %zu bytes and %zu lines", (int)what, text.bytes,
		          text.lines);
}

static void stats_step(struct soak_slot *slot, void *state)
{
	struct stats *st = state;
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++)
		stats_zone(slot, st, z);
	stats_instance(slot, st);
	if (soak_chance(&slot->rng, 5))
		stats_print(slot);
}

const struct soak_actor soak_actor_stats = {
	.name = "stats",
	.weight = 8,
	.state_bytes = sizeof(struct stats),
	.step = stats_step,
};
