/* SPDX-License-Identifier: MIT
 *
 * Many blocks of one order at once, given back at once, in part, or one by one.
 */
#include "soak.h"

#define BULK_MOST 64u

static void bulk_give(struct soak_slot *slot, struct soak_grant grants[], size_t nr)
{
	size_t keep = 0;
	for (size_t i = nr; i > 1; i--) {
		size_t j = soak_below(&slot->rng, (uint32_t)i);
		struct soak_grant other = grants[j];
		grants[j] = grants[i - 1];
		grants[i - 1] = other;
	}
	if (nr && soak_chance(&slot->rng, 30))
		keep = soak_below(&slot->rng, (uint32_t)nr);
	soak_give_bulk(slot, grants + keep, nr - keep);
	for (size_t i = 0; i < keep; i++) {
		if (soak_chance(&slot->rng, 50))
			soak_give(slot, grants[i]);
		else
			soak_bag_put(slot, grants[i]);
	}
}

static void bulk_step(struct soak_slot *slot, void *state)
{
	struct soak_grant grants[BULK_MOST];
	unsigned order = soak_order(slot);
	size_t nr = soak_below(&slot->rng, BULK_MOST + 1), got;
	(void)state;
	while (soak_bag(slot)->nr && (slot->held > soak.quota || soak_chance(&slot->rng, 60)))
		soak_give(slot, soak_bag_take(slot));
	while (nr && (nr << order) > soak.quota / 2 + 1)
		nr /= 2;
	got = soak_take_bulk(slot, order, soak_flags(slot), nr, grants);
	bulk_give(slot, grants, got);
}

const struct soak_actor soak_actor_bulk = {
	.name = "bulk",
	.weight = 70,
	.bag_cap = 100,
	.step = bulk_step,
};
