/* SPDX-License-Identifier: MIT
 *
 * Breaks the caller's promises on purpose: each misuse must be refused, told to platform.fatal once and by its right
 * name, and leave everything as it was. The misuser holds the victims itself, so that the outcome does not depend on
 * other threads; double frees, whose victim somebody else could have been granted meanwhile, are tried while all
 * others are parked.
 */
#include "soak.h"

#include <sched.h>

#define FAULT(kind) (1u << PFA_FAULT_##kind)

/* Returns the library's code; MISUSE_SKIP where the case needs something that is not there. */
#define MISUSE_SKIP 2

typedef int misuse_call(struct soak_slot *slot, const struct soak_grant *victim);

static pfa_pfn misuse_absent(struct soak_slot *slot)
{
	for (unsigned tries = 0; tries < 200; tries++) {
		size_t rel = soak_below(&slot->rng, (uint32_t)soak.geo.span);
		if (soak.attr[rel] == SOAK_ABSENT)
			return soak.geo.base + rel;
	}
	return SIZE_MAX;
}

/* ---- wrong frees ------------------------------------------------------------------------------------------------ */

static int misuse_order_above(struct soak_slot *slot, const struct soak_grant *v)
{
	(void)slot;
	if (v->order == soak.geo.config.max_order)
		return MISUSE_SKIP;
	return pfa_free(soak.pfa, v->first, v->order + 1);
}

static int misuse_order_below(struct soak_slot *slot, const struct soak_grant *v)
{
	return v->order ? pfa_free(soak.pfa, v->first, soak_below(&slot->rng, v->order)) : MISUSE_SKIP;
}

static int misuse_order_limit(struct soak_slot *slot, const struct soak_grant *v)
{
	return pfa_free(soak.pfa, v->first, soak.geo.config.max_order + 1 + soak_below(&slot->rng, 100));
}

static int misuse_tail(struct soak_slot *slot, const struct soak_grant *v)
{
	if (!v->order)
		return MISUSE_SKIP;
	return pfa_free(soak.pfa, v->first + 1 + soak_below(&slot->rng, v->nr - 1), 0);
}

static int misuse_misaligned(struct soak_slot *slot, const struct soak_grant *v)
{
	if (!v->order)
		return MISUSE_SKIP;
	return pfa_free(soak.pfa, v->first + 1 + soak_below(&slot->rng, v->nr - 1), v->order);
}

static int misuse_outside(struct soak_slot *slot, const struct soak_grant *v)
{
	(void)v;
	if (soak_chance(&slot->rng, 30))
		return pfa_free(soak.pfa, SIZE_MAX - soak_below(&slot->rng, 3), 0);
	if (soak_chance(&slot->rng, 50) || soak.geo.base == 0)
		return pfa_free(soak.pfa, soak.geo.base + soak.geo.span + soak_below(&slot->rng, 1000), 0);
	return pfa_free(soak.pfa, soak_below(&slot->rng, (uint32_t)soak.geo.base), 0);
}

static int misuse_hole(struct soak_slot *slot, const struct soak_grant *v)
{
	pfa_pfn pfn = misuse_absent(slot);
	(void)v;
	return pfn == SIZE_MAX ? MISUSE_SKIP : pfa_free(soak.pfa, pfn, 0);
}

static int misuse_foreign_pointer(struct soak_slot *slot, const struct soak_grant *v)
{
	unsigned char *frame = soak_frame(v->first);
	switch (soak_below(&slot->rng, 4)) {
	case 0:
		return pfa_free_ptr(soak.pfa, slot, v->order);
	case 1:
		return pfa_free_ptr(soak.pfa, frame + 1 + soak_below(&slot->rng, 60), v->order);
	case 2:
		return pfa_free_ptr(soak.pfa, soak.pool + soak.pool_bytes, 0);
	default:
		return pfa_free_ptr(soak.pfa, NULL, 0);
	}
}

static int misuse_pointer_order(struct soak_slot *slot, const struct soak_grant *v)
{
	return v->order ? pfa_free_ptr(soak.pfa, soak_frame(v->first), soak_below(&slot->rng, v->order)) : MISUSE_SKIP;
}

/* A part of a block, from its head or not. */
static int misuse_range_part(struct soak_slot *slot, const struct soak_grant *v)
{
	uint32_t from;
	if (!v->order)
		return MISUSE_SKIP;
	from = soak_below(&slot->rng, v->nr);
	return pfa_free_range(soak.pfa, v->first + from, from ? v->nr - from : v->nr - 1);
}

static int misuse_range_absent(struct soak_slot *slot, const struct soak_grant *v)
{
	pfa_pfn pfn = misuse_absent(slot);
	(void)v;
	return pfn == SIZE_MAX ? MISUSE_SKIP : pfa_free_range(soak.pfa, pfn, 1);
}

static int misuse_split_order(struct soak_slot *slot, const struct soak_grant *v)
{
	(void)slot;
	return v->order ? pfa_split(soak.pfa, v->first, v->order - 1, 0) : MISUSE_SKIP;
}

static int misuse_split_tail(struct soak_slot *slot, const struct soak_grant *v)
{
	(void)slot;
	return v->order ? pfa_split(soak.pfa, v->first + 1, 0, 0) : MISUSE_SKIP;
}

/* A block of its own, then a tail, then another: the first is freed, the call stops at the second. */
static int misuse_bulk(struct soak_slot *slot, const struct soak_grant *v)
{
	struct soak_grant good;
	pfa_pfn pfns[3];
	size_t freed = 99;
	int rc;
	if (!v->order || !soak_take(slot, 0, PFA_MOVABLE, &good))
		return MISUSE_SKIP;
	pfns[0] = good.first;
	pfns[1] = v->first + 1;
	pfns[2] = v->first;
	soak_release(slot, good.first, 1, good.tag);
	rc = pfa_free_bulk(soak.pfa, 0, 3, pfns, &freed);
	if (freed != 1)
		soak_fail("accepted", "pfa_free_bulk with an offender at 1 freed %zu blocks", freed);
	return rc;
}

/* ---- wrong arguments: EINVAL, and nothing is told --------------------------------------------------------------- */

static int misuse_request(struct soak_slot *slot, const struct soak_grant *v)
{
	const struct pfa_config *c = &soak.geo.config;
	struct pfa_run nothing = {v->first, 0}, overflow = {SIZE_MAX - 2, 4};
	pfa_pfn pfn;
	switch (soak_below(&slot->rng, 10)) {
	case 9: /* guards are for pfa_alloc() alone */
		return pfa_alloc_exact(soak.pfa, 1, 0, PFA_MOVABLE | PFA_GUARD, &pfn);
	case 0:
		return pfa_alloc(soak.pfa, c->max_order + 1, PFA_MOVABLE, &pfn);
	case 1:
		return pfa_alloc(soak.pfa, 0, 3 + soak_below(&slot->rng, 5), &pfn);
	case 2:
		return pfa_alloc(soak.pfa, 0, PFA_MOVABLE | PFA_ZONE(c->nr_zones), &pfn);
	case 3:
		return pfa_alloc(soak.pfa, 0, PFA_MOVABLE | 1u << (10 + soak_below(&slot->rng, 14)), &pfn);
	case 4:
		return pfa_alloc_window(soak.pfa, 0, PFA_MOVABLE, nothing, &pfn);
	case 5:
		return pfa_alloc_window(soak.pfa, 0, PFA_MOVABLE, overflow, &pfn);
	case 6:
		return pfa_alloc_exact(soak.pfa, 0, 0, PFA_MOVABLE, &pfn);
	case 7:
		return pfa_alloc_exact(soak.pfa, ((size_t)1 << c->max_order) + 1, 0, PFA_MOVABLE, &pfn);
	default:
		return pfa_alloc_exact(soak.pfa, 1, c->max_order + 1, PFA_MOVABLE, &pfn);
	}
}

static int misuse_argument(struct soak_slot *slot, const struct soak_grant *v)
{
	const struct pfa_config *c = &soak.geo.config;
	struct pfa_zone_stats stats;
	struct pfa_violation violation;
	switch (soak_below(&slot->rng, 6)) {
	case 0:
		return pfa_free_range(soak.pfa, v->first, 0);
	case 1:
		return pfa_split(soak.pfa, v->first, v->order, v->order + 1);
	case 2:
		return pfa_cache_drain(soak.pfa, c->nr_cpus);
	case 3:
		return pfa_zone_stats_get(soak.pfa, c->nr_zones, &stats, sizeof(stats));
	case 4:
		return pfa_check(soak.pfa, 1u << 30, &violation);
	default:
		return pfa_service(soak.pfa, 0, NULL);
	}
}

static int misuse_canary(struct soak_slot *slot, const struct soak_grant *v)
{
	(void)slot;
	(void)v;
	return soak_canary(SOAK_CANARY_accepted) ? PFA_OK : MISUSE_SKIP;
}

static const struct misuse_case {
	const char *name;
	misuse_call *call;
	int code;
	uint32_t faults; /* one of these is told; 0: nothing */
} misuse_cases[] = {
	{"order above", misuse_order_above, PFA_EMISUSE, FAULT(WRONG_ORDER) | FAULT(MISALIGNED)},
	{"order below", misuse_order_below, PFA_EMISUSE, FAULT(WRONG_ORDER)},
	{"order over the limit", misuse_order_limit, PFA_EMISUSE, FAULT(ORDER_LIMIT)},
	{"tail", misuse_tail, PFA_EMISUSE, FAULT(TAIL)},
	{"misaligned", misuse_misaligned, PFA_EMISUSE, FAULT(MISALIGNED)},
	{"outside", misuse_outside, PFA_EMISUSE, FAULT(OUT_OF_RANGE)},
	{"hole", misuse_hole, PFA_EMISUSE, FAULT(HOLE) | FAULT(OUT_OF_RANGE)},
	{"foreign pointer", misuse_foreign_pointer, PFA_EMISUSE, FAULT(FOREIGN_POINTER)},
	{"pointer, wrong order", misuse_pointer_order, PFA_EMISUSE, FAULT(WRONG_ORDER)},
	{"part of a block as range", misuse_range_part, PFA_EMISUSE, FAULT(MIXED_RANGE)},
	{"absent frame as range", misuse_range_absent, PFA_EMISUSE,
         FAULT(MIXED_RANGE) | FAULT(HOLE) | FAULT(OUT_OF_RANGE)},
	{"split, wrong order", misuse_split_order, PFA_EMISUSE, FAULT(WRONG_ORDER)},
	{"split of a tail", misuse_split_tail, PFA_EMISUSE, FAULT(TAIL)},
	{"bulk with an offender", misuse_bulk, PFA_EMISUSE, FAULT(TAIL)},
	{"request", misuse_request, PFA_EINVAL, 0},
	{"argument", misuse_argument, PFA_EINVAL, 0},
	{"canary", misuse_canary, PFA_EMISUSE, FAULT(DOUBLE_FREE)},
};

/* ---- the actor -------------------------------------------------------------------------------------------------- */

static void misuse_judge(struct soak_slot *slot, const char *name, int rc, int code, uint32_t faults)
{
	if (rc == PFA_OK)
		soak_fail("accepted", "misuse '%s' by thread %u was accepted", name, slot->id);
	if (rc != code)
		soak_fail("result", "misuse '%s' returned %s, expected %s", name, pfa_error_name(rc),
		          pfa_error_name(code));
	if (slot->nr_faults != (faults ? 1 : 0) || (faults && !(faults >> slot->fault & 1)))
		soak_fail("result", "misuse '%s' was told %u times, last as kind %d", name, slot->nr_faults,
		          (int)slot->fault);
	soak_count(&soak_tally(slot)->refused, 1);
}

static void misuser_step(struct soak_slot *slot, void *state)
{
	unsigned i = soak_below(&slot->rng, sizeof(misuse_cases) / sizeof(misuse_cases[0]));
	const struct misuse_case *c = &misuse_cases[i];
	struct soak_grant victim;
	struct soak_record *record;
	int rc;
	(void)state;
	if (!soak_take(slot, soak_order(slot), soak_flags(slot), &victim))
		return;
	record = soak_record(slot, SOAK_OP_misuse, i, victim.first, victim.order);
	slot->nr_faults = 0;
	slot->expect_misuse = true;
	rc = c->call(slot, &victim);
	slot->expect_misuse = false;
	soak_recorded(record, rc == MISUSE_SKIP ? PFA_OK : rc);
	if (rc != MISUSE_SKIP)
		misuse_judge(slot, c->name, rc, c->code, c->faults);
	soak_verify(slot, &victim);
	soak_give(slot, victim);
}

/* ---- while all others are parked: frees of what is already free ------------------------------------------------- */

#define MISUSE_FREED (FAULT(DOUBLE_FREE) | FAULT(DOUBLE_FREE_CACHED) | FAULT(DOUBLE_FREE_QUARANTINED))
#define MISUSE_DOUBLE (MISUSE_FREED | FAULT(DOUBLE_FREE_RACE))

static void misuse_double_free(struct soak_slot *slot, struct soak_grant victim)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_misuse, 100, victim.first, victim.order);
	int rc;
	soak_release(slot, victim.first, victim.nr, victim.tag);
	soak_expect(slot, "a free of a live block", pfa_free(soak.pfa, victim.first, victim.order), PFA_OK);
	slot->nr_faults = 0;
	slot->expect_misuse = true;
	rc = pfa_free(soak.pfa, victim.first, victim.order);
	slot->expect_misuse = false;
	soak_recorded(record, rc);
	misuse_judge(slot, "double free", rc, PFA_EMISUSE, MISUSE_FREED);
}

/*
 * Two threads free one block at once, many times over. turn is odd while a race is on; the main thread starts it, and
 * each side waits a few steps of its own, so that they meet at different instructions.
 */
struct misuse_race {
	struct soak_slot *slots[2];
	_Atomic uint32_t turn;
	bool stop;
	struct soak_grant victim;
	bool as_range[2];
	unsigned delay[2];
	int rc[2];
};

static void misuse_spin(const struct misuse_race *race, uint32_t odd)
{
	for (unsigned i = 1; (atomic_load_explicit(&race->turn, memory_order_acquire) & 1) != odd; i++)
		if (i % 1000 == 0)
			sched_yield();
}

static void misuse_race_one(struct misuse_race *race, unsigned side)
{
	struct soak_slot *slot = race->slots[side];
	const struct soak_grant *v = &race->victim;
	struct soak_record *record = soak_record(slot, SOAK_OP_misuse, 101, v->first, v->order);
	slot->nr_faults = 0;
	slot->expect_misuse = true;
	for (volatile unsigned i = 0; i < race->delay[side]; i++)
		;
	race->rc[side] = race->as_range[side] ? pfa_free_range(soak.pfa, v->first, v->nr)
	                                      : pfa_free(soak.pfa, v->first, v->order);
	slot->expect_misuse = false;
	soak_recorded(record, race->rc[side]);
}

static void *misuse_racer_main(void *arg)
{
	struct misuse_race *race = arg;
	soak_self = race->slots[1];
	for (;;) {
		misuse_spin(race, 1);
		if (race->stop)
			return NULL;
		misuse_race_one(race, 1);
		atomic_fetch_add_explicit(&race->turn, 1, memory_order_release);
	}
}

static void misuse_race_judge(const struct misuse_race *race)
{
	unsigned loser = race->rc[0] == PFA_OK;
	if ((race->rc[0] == PFA_OK) + (race->rc[1] == PFA_OK) != 1)
		soak_fail("accepted", "two frees of block %zu order %u at once returned %s and %s", race->victim.first,
		          race->victim.order, pfa_error_name(race->rc[0]), pfa_error_name(race->rc[1]));
	misuse_judge(race->slots[loser], "free that lost a race", race->rc[loser], PFA_EMISUSE,
	             race->as_range[loser] ? MISUSE_DOUBLE | FAULT(MIXED_RANGE) : MISUSE_DOUBLE);
}

static void misuse_free_races(struct soak_slot *slot, unsigned nr)
{
	struct misuse_race race = {.slots = {slot, soak_visitor(soak_worker(0))}};
	pthread_t thread;
	race.slots[1]->actor = slot->actor;
	if (pthread_create(&thread, NULL, misuse_racer_main, &race) != 0)
		return;
	while (nr--) {
		unsigned kind = soak_below(&slot->rng, 4);
		if (!soak_take(slot, soak_order(slot), soak_flags(slot), &race.victim))
			continue;
		race.as_range[0] = kind == 0;
		race.as_range[1] = kind == 1;
		race.delay[0] = soak_below(&slot->rng, 120);
		race.delay[1] = soak_below(&slot->rng, 40);
		soak_release(slot, race.victim.first, race.victim.nr, race.victim.tag);
		atomic_fetch_add_explicit(&race.turn, 1, memory_order_release);
		misuse_race_one(&race, 0);
		misuse_spin(&race, 0);
		misuse_race_judge(&race);
	}
	race.stop = true;
	atomic_fetch_add_explicit(&race.turn, 1, memory_order_release);
	pthread_join(thread, NULL);
}

static void misuser_quiet(struct soak_slot *slot)
{
	for (unsigned i = 0; i < 12; i++) {
		struct soak_grant victim;
		if (soak_take(slot, soak_order(slot), soak_flags(slot), &victim))
			misuse_double_free(slot, victim);
	}
	misuse_free_races(slot, 200);
}

const struct soak_actor soak_actor_misuser = {
	.name = "misuser",
	.weight = 40,
	.step = misuser_step,
	.quiet = misuser_quiet,
};
