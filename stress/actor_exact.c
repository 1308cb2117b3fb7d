/* SPDX-License-Identifier: MIT
 *
 * Exact numbers of frames, split blocks, and their return in any grouping.
 */
#include "soak.h"

static uint32_t exact_nr(struct soak_slot *slot)
{
	uint32_t most = 1u << soak.geo.config.max_order;
	if (soak_chance(&slot->rng, 90) && most > 40)
		most = 40;
	return 1 + soak_below(&slot->rng, most);
}

static void exact_step(struct soak_slot *slot, void *state)
{
	struct soak_bag *bag = soak_bag(slot);
	struct soak_grant grant;
	unsigned align = soak_chance(&slot->rng, 70) ? 0 : soak_below(&slot->rng, soak.geo.config.max_order + 1);
	bool granted;
	(void)state;

	while (bag->nr && (slot->held > soak.quota || bag->nr == bag->cap || soak_chance(&slot->rng, 45)))
		soak_give(slot, soak_bag_take(slot));
	if (soak_chance(&slot->rng, 50))
		granted = soak_take_exact(slot, exact_nr(slot), align, soak_flags(slot), &grant);
	else
		granted = soak_take(slot, soak_order(slot), soak_flags(slot), &grant);
	if (!granted)
		return;
	while (grant.order && soak_chance(&slot->rng, 70))
		soak_split(slot, &grant, soak_below(&slot->rng, grant.order + 1));
	if (soak_chance(&slot->rng, 30))
		soak_give(slot, grant);
	else
		soak_bag_put(slot, grant);
}

const struct soak_actor soak_actor_exact = {
	.name = "exact",
	.weight = 90,
	.bag_cap = 60,
	.step = exact_step,
};
