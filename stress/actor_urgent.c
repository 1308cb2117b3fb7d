/* SPDX-License-Identifier: MIT
 *
 * Requests at the marks: a burst that fills what is left, with high priority, without waiting, out of the CMA areas
 * (MOVABLE only), and then lets all of it go.
 */
#include "soak.h"

static void urgent_step(struct soak_slot *slot, void *state)
{
	static const uint32_t kinds[] = {
		PFA_UNMOVABLE | PFA_HIGH,
		PFA_MOVABLE | PFA_HIGH | PFA_NOWAIT,
		PFA_MOVABLE,
		PFA_MOVABLE | PFA_NOWAIT,
		PFA_RECLAIMABLE | PFA_NOWAIT | PFA_NORETRY,
		PFA_UNMOVABLE | PFA_NORETRY,
		PFA_RECLAIMABLE | PFA_HIGH | PFA_NORETRY,
	};
	struct soak_bag *bag = soak_bag(slot);
	uint32_t flags = kinds[soak_below(&slot->rng, sizeof(kinds) / sizeof(kinds[0]))];
	unsigned order = soak_chance(&slot->rng, 60) ? 0 : soak_order(slot);
	unsigned misses = 0;
	(void)state;

	if (soak_chance(&slot->rng, 30))
		flags |= PFA_ZONE(soak_below(&slot->rng, soak.geo.config.nr_zones)) | PFA_EXACT_ZONE;
	for (unsigned i = 0; i < 24 && bag->nr < bag->cap && misses < 3; i++) {
		struct soak_grant grant;
		if (soak_take(slot, order, flags, &grant))
			soak_bag_put(slot, grant);
		else
			misses++;
	}
	if (bag->nr == bag->cap || misses || soak_chance(&slot->rng, 20))
		for (unsigned i = soak_below(&slot->rng, bag->nr + 1); i > 0; i--)
			soak_give(slot, soak_bag_take(slot));
}

static void urgent_rest(struct soak_slot *slot, void *state)
{
	(void)state;
	if (soak_chance(&slot->rng, 50))
		soak_bag_empty(slot, slot->actor);
}

const struct soak_actor soak_actor_urgent = {
	.name = "urgent",
	.weight = 40,
	.bag_cap = 200,
	.step = urgent_step,
	.rest = urgent_rest,
};
