/* SPDX-License-Identifier: MIT
 *
 * Threads that come and go: each worker may have one visitor at a time, which works for a while on a slot of its own,
 * hands on what it still holds, and ends. Its cpu's cache stays behind for the service to find.
 */
#include "soak.h"

#include <stdlib.h>
#include <string.h>

struct transient {
	bool running;
	pthread_t thread;
};

static void *transient_main(void *arg)
{
	struct soak_slot *slot = arg;
	unsigned steps;
	soak_self = slot;
	steps = 20 + soak_below(&slot->rng, 400);
	for (unsigned i = 0; i < steps; i++) {
		struct soak_grant grant;
		if (slot->held < soak.quota / 2 + 8 && soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
			soak_bag_put(slot, grant);
		if (soak_bag(slot)->nr && soak_chance(&slot->rng, 50))
			soak_give(slot, soak_bag_take(slot));
		soak_count(&soak_tally(slot)->steps, 1);
	}
	while (soak_bag(slot)->nr)
		soak_post(slot, soak_bag_take(slot));
	return NULL;
}

static void transient_join(struct soak_slot *slot, struct transient *t)
{
	struct soak_slot *visitor = soak_visitor(slot);
	if (!t->running)
		return;
	soak_recorded(soak_record(slot, SOAK_OP_thread, visitor->id, 0, 0), pthread_join(t->thread, NULL));
	atomic_store_explicit(&visitor->state, SOAK_SLOT_GONE, memory_order_relaxed);
	t->running = false;
}

static void transient_step(struct soak_slot *slot, void *state)
{
	struct transient *t = state;
	struct soak_slot *visitor = soak_visitor(slot);
	transient_join(slot, t);
	visitor->actor = slot->actor;
	visitor->cpu = soak_below(&slot->rng, soak.geo.config.nr_cpus + 1);
	visitor->rng.state = soak_next(&slot->rng);
	atomic_store_explicit(&visitor->state, SOAK_SLOT_RUNNING, memory_order_relaxed);
	if (pthread_create(&t->thread, NULL, transient_main, visitor) == 0)
		t->running = true;
	else
		atomic_store_explicit(&visitor->state, SOAK_SLOT_GONE, memory_order_relaxed);
}

static void transient_rest(struct soak_slot *slot, void *state)
{
	transient_join(slot, state);
}

const struct soak_actor soak_actor_transient = {
	.name = "transient",
	.weight = 3,
	.bag_cap = 64,
	.state_bytes = sizeof(struct transient),
	.step = transient_step,
	.rest = transient_rest,
};
