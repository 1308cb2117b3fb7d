/* SPDX-License-Identifier: MIT
 *
 * The library's own checker in its running mode, over everything and over random runs, while others work.
 */
#include "soak.h"

#include <string.h>

static void checker_judge(int rc, const struct pfa_violation *v, const char *what)
{
	if (rc != PFA_OK)
		soak_fail("check", "%s while running: %s: %s (I%u) in zone %u at pfn %zu: expected %zu, actual %zu",
		          what, pfa_error_name(rc), v->what ? v->what : "-", v->invariant, v->zone, v->pfn, v->expected,
		          v->actual);
}

static void checker_range(struct soak_slot *slot)
{
	struct pfa_violation v;
	struct pfa_run run;
	struct soak_record *record;
	unsigned z = soak_below(&slot->rng, soak.geo.config.nr_zones);
	const struct pfa_zone_config *zone = &soak.geo.zones[z];
	unsigned level = soak_chance(&slot->rng, 50) ? PFA_CHECK_FRAMES : 0;
	size_t at = soak_below(&slot->rng, (uint32_t)zone->nr_frames);
	int rc;
	memset(&v, 0, sizeof(v));
	run.first = zone->start + at;
	run.nr_frames = 1 + soak_below(&slot->rng, (uint32_t)(zone->nr_frames - at));
	record = soak_record(slot, SOAK_OP_check_range, run.first, run.nr_frames, level);
	rc = pfa_check_range(soak.pfa, run, level, &v);
	soak_recorded(record, rc);
	checker_judge(rc, &v, "pfa_check_range");
}

static void checker_all(struct soak_slot *slot)
{
	struct pfa_violation v;
	unsigned level = soak_chance(&slot->rng, 50) ? PFA_CHECK_FRAMES : 0;
	struct soak_record *record = soak_record(slot, SOAK_OP_check, level, 0, 0);
	int rc;
	memset(&v, 0, sizeof(v));
	rc = pfa_check(soak.pfa, level, &v);
	soak_recorded(record, rc);
	checker_judge(rc, &v, "pfa_check");
}

static void checker_step(struct soak_slot *slot, void *state)
{
	(void)state;
	if (soak_chance(&slot->rng, 80))
		checker_range(slot);
	else
		checker_all(slot);
	soak_count(&soak_tally(slot)->checks, 1);
}

const struct soak_actor soak_actor_checker = {
	.name = "checker",
	.weight = 5,
	.step = checker_step,
};
