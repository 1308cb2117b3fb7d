/* SPDX-License-Identifier: MIT */
#include "rank.h"

#ifdef PFA_DEBUG

#include "fault.h"

static uint32_t rank_self(const struct pfa *p)
{
	return p->os.self ? p->os.self(p->os.ctx) : 1;
}

static bool rank_broken(const struct pfai_lock *held, enum pfai_rank held_rank, uint32_t self,
                        const struct pfai_lock *lock, enum pfai_rank rank)
{
	if (pfai_load_relaxed(&held->owner) != self)
		return false;
	return held_rank > rank || (held_rank == rank && held >= lock);
}

void pfai_rank_check(struct pfa *p, const struct pfai_lock *lock, enum pfai_rank rank)
{
	uint32_t self = rank_self(p);
	bool broken = rank_broken(&p->st->set_lock, PFAI_RANK_SET, self, lock, rank);
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
		broken |= rank_broken(&pfai_cpu_at(p, cpu)->lock, PFAI_RANK_CPU, self, lock, rank);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		broken |= rank_broken(&p->zones[i].st->lock, PFAI_RANK_ZONE, self, lock, rank);
	if (broken)
		(void)pfai_fault(p, PFA_FAULT_LOCK, p->base, 0, "lock");
}

void pfai_rank_note(const struct pfa *p, struct pfai_lock *lock)
{
	pfai_store_relaxed(&lock->owner, rank_self(p));
}

void pfai_rank_forget(struct pfai_lock *lock)
{
	pfai_store_relaxed(&lock->owner, 0u);
}

#else

/* An empty file is no C file. */
extern const char pfai_rank_unused;

#endif
