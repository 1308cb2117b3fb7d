/* SPDX-License-Identifier: MIT
 *
 * Order-mixed allocation with a distribution of lifetimes: most blocks go after a few steps, some stay for long.
 */
#include "soak.h"

#include <stdlib.h>

#define MIXED_YOUNG 24u

struct mixed {
	struct soak_grant young[MIXED_YOUNG]; /* first in, first out; at rest they are in the bag */
	unsigned head, nr;
};

static struct soak_grant mixed_oldest(struct mixed *m)
{
	struct soak_grant grant = m->young[m->head];
	m->head = (m->head + 1) % MIXED_YOUNG;
	m->nr--;
	return grant;
}

/* The oldest of the young: one in eight grows old in the bag, the others are done. */
static void mixed_age(struct soak_slot *slot, struct mixed *m)
{
	struct soak_grant grant = mixed_oldest(m);
	if (soak_chance(&slot->rng, 12))
		soak_bag_put(slot, grant);
	else
		soak_give(slot, grant);
}

/* Not NULL, which UBSan would see before the fault; and nothing that a compiler knows. */
static volatile uintptr_t nobodys_address = 64;

static void mixed_canaries(const struct soak_grant *grant)
{
	static const struct pfa_fault corruption = {.size = sizeof(corruption),
	                                            .code = PFA_ECORRUPT,
	                                            .kind = PFA_FAULT_CORRUPT_FREE,
	                                            .message = "canary",
	                                            .function = "none"};
	if (soak_canary(SOAK_CANARY_corruption))
		soak_fatal_op(NULL, &corruption);
	if (soak_canary(SOAK_CANARY_stamp))
		*(unsigned char *)soak_frame(grant->first) ^= 0x10;
	if (soak_canary(SOAK_CANARY_fatal) && pfa_free(soak.pfa, grant->first, grant->order + 1) == PFA_OK)
		soak_fail("accepted", "a free with a wrong order was accepted");
	if (soak_canary(SOAK_CANARY_segv))
		*(volatile int *)nobodys_address = 1;
	if (soak_canary(SOAK_CANARY_abort))
		abort();
}

static void mixed_step(struct soak_slot *slot, void *state)
{
	struct mixed *m = state;
	struct soak_bag *bag = soak_bag(slot);
	struct soak_grant grant;
	unsigned order = soak_order(slot);
	uint32_t flags = soak_flags(slot);
	bool guarded = soak.geo.guards && order + 2 <= soak.geo.config.max_order && soak_chance(&slot->rng, 8);

	if (m->nr == MIXED_YOUNG || (m->nr && soak_chance(&slot->rng, 30)))
		mixed_age(slot, m);
	while (slot->held + ((size_t)1 << order) > soak.quota && (m->nr || bag->nr)) {
		if (m->nr && (!bag->nr || soak_chance(&slot->rng, 70)))
			soak_give(slot, mixed_oldest(m));
		else
			soak_give(slot, soak_bag_take(slot));
	}
	if (soak_chance(&slot->rng, 90) ? !soak_take(slot, order, flags | (guarded ? PFA_GUARD : 0), &grant)
	                                : !soak_take_ptr(slot, order, flags, &grant)) {
		if (bag->nr && soak_chance(&slot->rng, 50))
			soak_give(slot, soak_bag_take(slot));
		return;
	}
	mixed_canaries(&grant);
	if (soak_chance(&slot->rng, 20)) {
		soak_give(slot, grant);
		return;
	}
	m->young[(m->head + m->nr++) % MIXED_YOUNG] = grant;
	if (bag->nr && soak_chance(&slot->rng, 5))
		soak_verify(slot, &bag->grants[soak_below(&slot->rng, bag->nr)]);
}

static void mixed_rest(struct soak_slot *slot, void *state)
{
	struct mixed *m = state;
	while (m->nr)
		soak_bag_put(slot, mixed_oldest(m));
}

const struct soak_actor soak_actor_mixed = {
	.name = "mixed",
	.weight = 420,
	.bag_cap = 600,
	.state_bytes = sizeof(struct mixed),
	.step = mixed_step,
	.rest = mixed_rest,
};
