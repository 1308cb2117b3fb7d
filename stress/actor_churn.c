/* SPDX-License-Identifier: MIT
 *
 * Threads that come and go: each worker may have one visitor at a time, which works for a while on a slot of its own, and
 * ends. What it holds then is freed and handed on by a destructor of thread-specific data, as programs do; its cpu's cache
 * stays behind, loaded, for the service to find.
 */
#include "soak.h"

#include <stdlib.h>
#include <string.h>

struct churn {
	bool running;
	pthread_t thread;
};

static pthread_key_t churn_key;
static pthread_once_t churn_once = PTHREAD_ONCE_INIT;

static void churn_exit(void *value)
{
	struct soak_slot *slot = value;
	while (soak_bag(slot)->nr)
		if (soak_chance(&slot->rng, 50))
			soak_give(slot, soak_bag_take(slot));
		else
			soak_post(slot, soak_bag_take(slot));
}

static void churn_make_key(void)
{
	if (pthread_key_create(&churn_key, churn_exit) != 0)
		abort();
}

static void *churn_main(void *arg)
{
	struct soak_slot *slot = arg;
	unsigned steps;
	soak_self = slot;
	if (pthread_once(&churn_once, churn_make_key) != 0 || pthread_setspecific(churn_key, slot) != 0)
		abort();
	steps = 20 + soak_below(&slot->rng, 400);
	for (unsigned i = 0; i < steps; i++) {
		struct soak_grant grant;
		if (slot->held < soak.quota / 2 + 8 && soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
			soak_bag_put(slot, grant);
		if (soak_bag(slot)->nr && soak_chance(&slot->rng, 50))
			soak_give(slot, soak_bag_take(slot));
		soak_count(&soak_tally(slot)->steps, 1);
	}
	return NULL;
}

static void churn_join(struct soak_slot *slot, struct churn *t)
{
	struct soak_slot *visitor = soak_visitor(slot);
	if (!t->running)
		return;
	soak_recorded(soak_record(slot, SOAK_OP_thread, visitor->id, 0, 0), pthread_join(t->thread, NULL));
	atomic_store_explicit(&visitor->state, SOAK_SLOT_GONE, memory_order_relaxed);
	t->running = false;
}

static void churn_step(struct soak_slot *slot, void *state)
{
	struct churn *t = state;
	struct soak_slot *visitor = soak_visitor(slot);
	churn_join(slot, t);
	visitor->actor = slot->actor;
	visitor->cpu = soak_below(&slot->rng, soak.geo.config.nr_cpus + 1);
	visitor->rng.state = soak_next(&slot->rng);
	atomic_store_explicit(&visitor->state, SOAK_SLOT_RUNNING, memory_order_relaxed);
	if (pthread_create(&t->thread, NULL, churn_main, visitor) == 0)
		t->running = true;
	else
		atomic_store_explicit(&visitor->state, SOAK_SLOT_GONE, memory_order_relaxed);
}

static void churn_rest(struct soak_slot *slot, void *state)
{
	churn_join(slot, state);
}

const struct soak_actor soak_actor_churn = {
	.name = "churn",
	.weight = 6,
	.bag_cap = 64,
	.state_bytes = sizeof(struct churn),
	.step = churn_step,
	.rest = churn_rest,
};
