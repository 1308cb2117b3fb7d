/* SPDX-License-Identifier: MIT
 *
 * The shipped mapped arena, in instances whose pool is a memfd: each thread has memory of its own there, and all threads count in
 * one place, by plain stores and atomic operations, while the frames behind are moved. No store is lost, and none is doubled.
 */
#include "soak.h"

#include <pfa/mapped.h>

#include <string.h>
#include <unistd.h>

#define MAPPED_RUNS 6u
#define MAPPED_UNITS 5u /* most of one allocation */

/* Memory of one thread: each word says where it lies, and how often all of it was written. */
struct mapped_run {
	uint64_t *words; /* NULL: none */
	size_t units;
	uint64_t version;
	unsigned pins;
};

struct mapped {
	struct mapped_run runs[MAPPED_RUNS];
	size_t counted; /* in the common counters */
};

static struct {
	struct pfa_mapped *arena; /* NULL: none */
	unsigned order;
	size_t unit;
	_Atomic uint32_t *counters; /* a unit; NULL: none */
	unsigned self;              /* this actor's number */
} mapped;

static uint64_t mapped_word(const struct mapped_run *run, size_t i)
{
	return soak_mix(run->version ^ (uint64_t)(uintptr_t)run->words) + i;
}

static void mapped_verify(struct soak_slot *slot, const struct mapped_run *run)
{
	size_t nr = run->units * mapped.unit / sizeof(uint64_t);
	uint64_t first = mapped_word(run, 0);
	if (soak_canary(SOAK_CANARY_arena))
		run->words[nr / 16 * 8]++;
	for (size_t i = 0; i < nr; i += 8)
		if (run->words[i] != first + i)
			soak_fail("arena", "word %zu of %zu in the arena at %p is %#llx, expected %#llx", i, nr, (void *)run->words,
			          (unsigned long long)run->words[i], (unsigned long long)(first + i));
	soak_count(&soak_tally(slot)->stamps, run->units);
}

/* One word of each cache line; in an order that is not that of the units. */
static void mapped_write(struct mapped_run *run)
{
	size_t nr = run->units * mapped.unit / sizeof(uint64_t);
	uint64_t first;
	run->version++;
	first = mapped_word(run, 0);
	for (size_t part = 0; part < 16; part++)
		for (size_t i = part * 8; i < nr; i += 128)
			run->words[i] = first + i;
}

static void mapped_take(struct soak_slot *slot, struct mapped_run *run)
{
	uint32_t flags = (soak_flags(slot) & ~PFA_TYPE_MASK) | PFA_MOVABLE;
	size_t units = 1 + soak_below(&slot->rng, MAPPED_UNITS), bytes = units * mapped.unit - soak_below(&slot->rng, 100);
	void *ptr = NULL;
	struct soak_record *record = soak_record(slot, SOAK_OP_arena_alloc, bytes, flags, 0);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_mapped_alloc(mapped.arena, bytes, flags, &ptr);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (rc == PFA_ENOMEM || (rc == PFA_EAGAIN && (flags & (PFA_NOWAIT | PFA_NORETRY))))
		return;
	soak_expect(slot, "pfa_mapped_alloc", rc, PFA_OK);
	*run = (struct mapped_run){.words = ptr, .units = units, .version = soak_next(&slot->rng)};
	for (size_t i = 0; (flags & PFA_ZERO) && i < units * mapped.unit / sizeof(uint64_t); i++)
		if (run->words[i])
			soak_fail("zero", "word %zu of zeroed memory in the arena is %#llx", i, (unsigned long long)run->words[i]);
	mapped_write(run);
}

static void mapped_unpin(struct soak_slot *slot, struct mapped_run *run)
{
	for (; run->pins; run->pins--)
		soak_expect(slot, "pfa_mapped_unpin",
		            pfa_mapped_unpin(mapped.arena, run->words, run->units * mapped.unit), PFA_OK);
}

static void mapped_give(struct soak_slot *slot, struct mapped_run *run)
{
	struct soak_record *record;
	int rc;
	mapped_verify(slot, run);
	if (run->pins)
		soak_expect(slot, "pfa_mapped_free of what is pinned",
		            pfa_mapped_free(mapped.arena, run->words, run->units * mapped.unit), PFA_EBUSY);
	mapped_unpin(slot, run);
	record = soak_record(slot, SOAK_OP_arena_free, run->units, 0, 0);
	rc = pfa_mapped_free(mapped.arena, run->words, run->units * mapped.unit);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_mapped_free", rc, PFA_OK);
	run->words = NULL;
}

/* Pinned memory stays; other moves, or is in somebody's way. */
static void mapped_move(struct soak_slot *slot, struct mapped_run *run)
{
	struct pfa_dest dest = {.size = sizeof(dest), .flags = PFA_MOVABLE};
	size_t moved = SIZE_MAX;
	struct soak_record *record;
	int rc;
	dest.mode = (enum pfa_migrate_mode)soak_below(&slot->rng, PFA_MIGRATE_MODES);
	record = soak_record(slot, SOAK_OP_arena_move, run->units, run->pins, dest.mode);
	soak_may_move(slot, true);
	rc = pfa_mapped_move(mapped.arena, run->words, run->units * mapped.unit, &dest, &moved);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if ((rc != PFA_OK && rc != PFA_EAGAIN) || moved > run->units || (moved && run->pins))
		soak_fail("result", "pfa_mapped_move of %zu units, pinned %u times: %s, %zu moved", run->units, run->pins,
		          pfa_error_name(rc), moved);
	soak_count(&soak_tally(slot)->moves, moved);
}

static void mapped_pin(struct soak_slot *slot, struct mapped_run *run)
{
	pfa_pfn before = 0, after = 0;
	soak_expect(slot, "pfa_mapped_pin", pfa_mapped_pin(mapped.arena, run->words, run->units * mapped.unit), PFA_OK);
	run->pins++;
	soak_expect(slot, "pfa_mapped_head", pfa_mapped_head(mapped.arena, run->words, &before), PFA_OK);
	mapped_verify(slot, run);
	mapped_write(run);
	soak_expect(slot, "pfa_mapped_head", pfa_mapped_head(mapped.arena, run->words, &after), PFA_OK);
	if (before != after)
		soak_fail("pin", "pinned memory of the arena moved from frame %zu to %zu", before, after);
	if (run->pins > 2)
		mapped_unpin(slot, run);
}

/* Threads' own counters side by side in one unit, and one for all. */
static void mapped_count(struct soak_slot *slot, struct mapped *m)
{
	unsigned nr = 1 + soak_below(&slot->rng, 200);
	for (unsigned i = 0; i < nr; i++) {
		atomic_fetch_add_explicit(&mapped.counters[0], 1, memory_order_relaxed);
		atomic_store_explicit(&mapped.counters[slot->id], (uint32_t)++m->counted, memory_order_relaxed);
	}
}

static void mapped_step(struct soak_slot *slot, void *state)
{
	struct mapped *m = state;
	struct mapped_run *run = &m->runs[soak_below(&slot->rng, MAPPED_RUNS)];
	if (!mapped.arena)
		return;
	if (mapped.counters)
		mapped_count(slot, m);
	soak_recorded(soak_record(slot, SOAK_OP_arena_use, run->units, run->pins, 0), PFA_OK);
	if (!run->words) {
		mapped_take(slot, run);
		return;
	}
	switch (soak_below(&slot->rng, 8)) {
	case 0:
		mapped_give(slot, run);
		break;
	case 1:
		mapped_move(slot, run);
		break;
	case 2:
		mapped_pin(slot, run);
		break;
	case 3:
		mapped_unpin(slot, run);
		break;
	default:
		mapped_verify(slot, run);
		mapped_write(run);
		break;
	}
}

static void mapped_begin(struct soak_slot *slot)
{
	struct pfa_mapped_config cfg = {.size = sizeof(cfg), .pfa = soak.pfa, .platform = &soak.geo.platform};
	unsigned max = soak.geo.config.max_order < 2 ? soak.geo.config.max_order : 2;
	void *counters = NULL;
	int rc;
	mapped.arena = NULL;
	mapped.counters = NULL;
	mapped.self = slot->actor;
	if (!soak.geo.mapped)
		return;
	cfg.order = mapped.order = soak_below(&slot->rng, max + 1);
	mapped.unit = soak.frame_bytes << cfg.order;
	cfg.fd = soak.pool_fd;
	cfg.pool_pfn = soak.geo.base;
	cfg.frame_shift = soak.geo.config.frame_shift;
	cfg.nr_units = (soak.geo.present / 5 >> cfg.order) + 1;
	cfg.way = soak_chance(&slot->rng, 50) ? PFA_MAPPED_AUTO : PFA_MAPPED_SIGNAL;
	soak_expect(slot, "pfa_mapped_create", pfa_mapped_create(&cfg, &mapped.arena), PFA_OK);
	rc = pfa_mapped_alloc(mapped.arena, mapped.unit, PFA_MOVABLE | PFA_ZERO, &counters);
	if (rc == PFA_OK)
		mapped.counters = counters;
	else
		soak_expect(slot, "pfa_mapped_alloc", rc, PFA_ENOMEM);
}

static void mapped_owned(struct soak_slot *slot, struct soak_owned *owned)
{
	size_t units = mapped.counters != NULL;
	uint32_t all = 0;
	if (!mapped.arena)
		return;
	for (unsigned s = 0; s < soak.nr_slots; s++) {
		const struct mapped *m = soak.slots[s].actor_state[mapped.self];
		for (unsigned i = 0; i < MAPPED_RUNS; i++) {
			if (!m->runs[i].words)
				continue;
			mapped_verify(slot, &m->runs[i]);
			units += m->runs[i].units;
		}
		all += (uint32_t)m->counted;
		if (s && mapped.counters && mapped.counters[s] != (uint32_t)m->counted)
			soak_fail("arena", "thread %u has counted to %u in the arena, where %u is", s, (unsigned)m->counted,
			          mapped.counters[s]);
	}
	if (mapped.counters && mapped.counters[0] != all)
		soak_fail("arena", "all threads have counted to %u in the arena, where %u is", all, mapped.counters[0]);
	owned->hidden += units << mapped.order;
	owned->movable += units << mapped.order;
	owned->owners++;
}

static void mapped_fini(struct soak_slot *slot, void *state)
{
	struct mapped *m = state;
	for (unsigned i = 0; i < MAPPED_RUNS; i++)
		if (m->runs[i].words)
			mapped_give(slot, &m->runs[i]);
}

static void mapped_end(struct soak_slot *slot)
{
	if (!mapped.arena)
		return;
	if (mapped.counters) {
		soak_expect(slot, "pfa_mapped_destroy of an arena in use", pfa_mapped_destroy(mapped.arena), PFA_EBUSY);
		soak_expect(slot, "pfa_mapped_free",
		            pfa_mapped_free(mapped.arena, (void *)(uintptr_t)mapped.counters, mapped.unit), PFA_OK);
	}
	soak_expect(slot, "pfa_mapped_destroy", pfa_mapped_destroy(mapped.arena), PFA_OK);
	mapped.arena = NULL;
}

const struct soak_actor soak_actor_mapped = {
	.name = "mapped",
	.weight = 60,
	.state_bytes = sizeof(struct mapped),
	.begin = mapped_begin,
	.end = mapped_end,
	.step = mapped_step,
	.fini = mapped_fini,
	.owned = mapped_owned,
};
