/* SPDX-License-Identifier: MIT
 *
 * Calls for background work, and the queries, whose answers are hints while others work but never nonsense.
 */
#include "soak.h"

static void service_query(struct soak_slot *slot)
{
	unsigned largest = 99, order = soak_order(slot);
	uint32_t flags = soak_flags(slot);
	struct soak_record *record = soak_record(slot, SOAK_OP_query, 0, order, flags);
	int rc = pfa_largest_free(soak.pfa, flags, &largest);
	soak_recorded(record, rc);
	if (rc != PFA_ENOMEM && (rc != PFA_OK || largest > soak.geo.config.max_order))
		soak_fail("result", "pfa_largest_free returned %s and order %u", pfa_error_name(rc), largest);
	record = soak_record(slot, SOAK_OP_query, 1, order, flags);
	rc = pfa_would_succeed(soak.pfa, order, flags);
	soak_recorded(record, rc);
	if (rc != PFA_OK && rc != PFA_ENOMEM)
		soak_fail("result", "pfa_would_succeed returned %s", pfa_error_name(rc));
}

/* A frame's state as its owner sees it: the head of a block of this order, and nobody can change that. */
static void service_info(struct soak_slot *slot)
{
	struct soak_grant grant;
	struct pfa_frame_info info;
	struct pfa_pageblock_info pb;
	struct soak_record *record;
	int rc;
	if (!soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
		return;
	record = soak_record(slot, SOAK_OP_info, grant.first, 0, 0);
	rc = pfa_frame_info(soak.pfa, grant.first, &info);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_frame_info", rc, PFA_OK);
	if (info.state != PFA_FRAME_HEAD || info.order != grant.order || info.known_zero ||
	    info.zone != (soak.attr[grant.first - soak.geo.base] & ~SOAK_IN_CMA))
		soak_fail("result", "frame %zu, held with order %u: state %d order %u zone %u known_zero %d",
		          grant.first, grant.order, (int)info.state, info.order, info.zone, (int)info.known_zero);
	soak_expect(slot, "pfa_pageblock_info", pfa_pageblock_info(soak.pfa, grant.first, &pb), PFA_OK);
	if (pb.free >= pb.present)
		soak_fail("result", "the pageblock of frame %zu, which is held: %zu free of %zu", grant.first, pb.free,
		          pb.present);
	soak_count(&soak_tally(slot)->checks, 1);
	soak_give(slot, grant);
}

static void service_step(struct soak_slot *slot, void *state)
{
	(void)state;
	switch (soak_below(&slot->rng, 3)) {
	case 0:
		soak_service(slot, 1 + soak_below(&slot->rng, 8));
		break;
	case 1:
		service_query(slot);
		break;
	default:
		service_info(slot);
		break;
	}
}

const struct soak_actor soak_actor_service = {
	.name = "service",
	.weight = 30,
	.step = service_step,
};
