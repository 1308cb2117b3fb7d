/* SPDX-License-Identifier: MIT
 *
 * Requests that must be served from a window of pfns: inside a zone, over its edge, over holes, over nothing at all.
 */
#include "soak.h"

static struct pfa_run window_pick(struct soak_slot *slot, unsigned order)
{
	const struct soak_geometry *geo = &soak.geo;
	struct pfa_run run;
	uint32_t span = (uint32_t)geo->span;
	switch (soak_below(&slot->rng, 4)) {
	case 0: /* tight around one place */
		run.nr_frames = ((size_t)1 << order) + soak_below(&slot->rng, 3);
		run.first = geo->base + soak_below(&slot->rng, span);
		run.first &= ~(((size_t)1 << order) - 1);
		break;
	case 1: /* from below the instance to beyond it */
		run.first = geo->base / 2;
		run.nr_frames = geo->span + geo->base;
		break;
	default:
		run.first = geo->base + soak_below(&slot->rng, span);
		run.nr_frames = 1 + soak_below(&slot->rng, span / 2 + 1);
		break;
	}
	return run;
}

static void window_step(struct soak_slot *slot, void *state)
{
	struct soak_grant grant;
	unsigned order = soak_order(slot);
	(void)state;
	while (soak_bag(slot)->nr && (slot->held > soak.quota || soak_chance(&slot->rng, 40)))
		soak_give(slot, soak_bag_take(slot));
	if (soak_take_window(slot, order, soak_flags(slot), window_pick(slot, order), &grant))
		soak_bag_put(slot, grant);
}

const struct soak_actor soak_actor_window = {
	.name = "window",
	.weight = 50,
	.bag_cap = 40,
	.step = window_step,
};
