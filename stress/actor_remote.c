/* SPDX-License-Identifier: MIT
 *
 * Blocks that one thread takes and another frees: whole blocks, and ranges in pieces.
 */
#include "soak.h"

static void remote_receive(struct soak_slot *slot)
{
	struct soak_grant grant;
	for (unsigned i = 0; i < 4 && soak_fetch(slot, &grant); i++) {
		/* what another thread took is split here, and freed here or further on */
		if (grant.order && soak_chance(&slot->rng, 10))
			soak_split(slot, &grant, soak_below(&slot->rng, grant.order));
		if (soak_chance(&slot->rng, 15))
			soak_bag_put(slot, grant);
		else
			soak_give(slot, grant);
	}
}

static void remote_step(struct soak_slot *slot, void *state)
{
	struct soak_grant grant;
	(void)state;
	remote_receive(slot);
	if (soak_bag(slot)->nr && soak_chance(&slot->rng, 30))
		soak_post(slot, soak_bag_take(slot));
	if (slot->held > soak.quota)
		return;
	for (unsigned i = soak_below(&slot->rng, 4); i < 4; i++)
		if (soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
			soak_post(slot, grant);
}

const struct soak_actor soak_actor_remote = {
	.name = "remote",
	.weight = 150,
	.bag_cap = 32,
	.step = remote_step,
};
