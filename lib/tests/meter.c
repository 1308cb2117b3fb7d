/* SPDX-License-Identifier: MIT */
#include "meter.h"

#include "pcpu.h"

/* Locks held at once: all cpus' and one zone's, in the statistics. */
enum { LOCKS_LIMIT = 64 };

static struct {
	bool running;
	size_t steps;
	unsigned nr;
	struct {
		const struct pfai_lock *lock;
		enum meter_part part;
		size_t since;
	} held[LOCKS_LIMIT];
	struct meter max;
} now;

int pfai_step(void);
void pfai_step_bytes(size_t bytes);

int pfai_step(void)
{
	now.steps++;
	return 1;
}

void pfai_step_bytes(size_t bytes)
{
	now.steps += (bytes + 63) / 64;
}

void pfai_steps_locked(const struct pfa *p, const struct pfai_lock *lock)
{
	enum meter_part part = METER_CPU;
	MUST(now.nr < LOCKS_LIMIT);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		if (lock == &p->zones[i].st->lock)
			part = METER_ZONE;
	if (lock == &p->st->set_lock)
		part = METER_CALL;
	now.held[now.nr].lock = lock;
	now.held[now.nr].part = part;
	now.held[now.nr++].since = now.steps;
}

void pfai_steps_unlocked(const struct pfai_lock *lock)
{
	unsigned i = 0;
	while (i < now.nr && now.held[i].lock != lock)
		i++;
	MUST(i < now.nr);
	size_t steps = now.steps - now.held[i].since;
	if (steps > now.max.steps[now.held[i].part])
		now.max.steps[now.held[i].part] = steps;
	now.held[i] = now.held[--now.nr];
}

void meter_begin(void)
{
	MUST(!now.running && !now.nr);
	now.running = true;
	now.steps = 0;
	now.max = (struct meter){{0}};
}

struct meter meter_end(void)
{
	MUST(now.running && !now.nr); /* no lock is held on return */
	now.running = false;
	now.max.steps[METER_CALL] = now.steps;
	return now.max;
}
