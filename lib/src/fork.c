/* SPDX-License-Identifier: MIT
 *
 * Layer 6: fork(). With every lock held nothing is half-way but what lies between two locks, and that is harmless: see
 * pfa/harden.h.
 */
#include <pfa/harden.h>

#include "closed.h"
#include "report.h"

/* Gives up the zones below nr_zones, the caches below nr_cpus, and the set lock. */
static void fork_release(struct pfa *p, uint32_t nr_cpus, uint32_t nr_zones)
{
	while (nr_zones--)
		pfai_zone_unlock(p, &p->zones[nr_zones]);
	while (nr_cpus--)
		pfai_cpu_unlock(p, pfai_cpu_at(p, nr_cpus));
	pfai_set_unlock(p);
}

int pfa_fork_prepare(struct pfa *p)
{
	uint32_t cpu = 0, zone = 0;
	int closed = pfai_closed(p, "pfa_fork_prepare");
	if (closed != PFA_OK)
		return closed;
	if (!pfai_set_lock(p))
		return PFA_EBUSY;
	while (cpu < p->nr_cpus && pfai_cpu_lock(p, pfai_cpu_at(p, cpu)))
		cpu++;
	while (cpu == p->nr_cpus && zone < p->nr_zones && pfai_zone_lock(p, &p->zones[zone]))
		zone++;
	if (zone == p->nr_zones)
		return PFA_OK;
	fork_release(p, cpu, zone);
	return PFA_EBUSY;
}

void pfa_fork_parent(struct pfa *p)
{
	fork_release(p, p->nr_cpus, p->nr_zones);
}

/* Did another thread move blocks? Then their owners' ops were half-way. Page locks that users held are free again: whoever
 * held them is not here, or (the thread that forked) has forgotten. A block that was just being made movable, or ordinary, is
 * FREEING for good, and must not be found by its entry. */
static bool fork_movers(struct pfa *p)
{
	for (unsigned i = 0; i < PFAI_OPS_LIMIT; i++)
		if (pfai_load_relaxed(&p->st->op_self[i]))
			return true;
	for (size_t offset = 0; offset < p->span;) {
		uint8_t byte = pfai_load_relaxed(&p->bytes[offset]);
		struct pfai_entry *e = pfai_entry_at(p, offset);
		if ((byte & PFAI_STATE_MASK) == PFAI_FREEING)
			(void)pfai_entry_clear(p, e);
		else if ((byte & PFAI_STATE_MASK) == PFAI_MOVABLE)
			pfai_store_relaxed(&e->lock, pfai_load_relaxed(&e->lock) & ~(PFAI_ENTRY_SELF | PFAI_ENTRY_WAITERS));
		offset += byte & PFAI_STATE_MASK ? (size_t)1 << (byte & PFAI_ORDER_MASK) : 1;
	}
	return false;
}

void pfa_fork_child(struct pfa *p, bool shared)
{
	/* Not unlocked but made anew: who waited for them stayed in the parent. */
	pfai_lock_set(&p->st->set_lock, 0);
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
		pfai_lock_set(&pfai_cpu_at(p, cpu)->lock, 0);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		pfai_lock_set(&p->zones[i].st->lock, 0);
	pfai_store_relaxed(&p->st->starving, 0u); /* and who starved */
	pfai_store_relaxed(&p->st->nr_walks, 0u); /* or walked */
	/* So did who served. The round begins again; nothing depends on where it was. */
	p->st->next_served = 0;
	p->st->service_next = UINT64_MAX;
	pfai_store_relaxed(&p->st->serving, 0u);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		pfai_store_relaxed(&p->zones[i].st->compaction.busy, 0u);
	for (uint32_t i = 0; i < p->nr_cma; i++) { /* who was in an area; what they held stays held */
		struct pfai_cma *a = &p->cma[i];
		pfai_store_relaxed(&a->use, pfai_load_relaxed(&a->use) & ~PFAI_CMA_CALLS);
		pfai_store_relaxed(&a->takers, 0u);
		pfai_store_relaxed(&a->waiters, 0u);
	}
	if (p->table) {
		pfai_store_relaxed(&p->st->orphaned, 1u);
		shared |= fork_movers(p);
	}
	if (p->report && !shared)
		pfai_report_child(p);
	if (shared)
		pfai_close(p, PFAI_FORKED);
}
