/* SPDX-License-Identifier: MIT */
#include "closed.h"

#include "fault.h"

void pfai_close(struct pfa *p, enum pfai_closed why)
{
	pfai_store_relaxed(&p->st->closed, (uint32_t)why);
	pfai_lock_set(&p->st->set_lock, PFAI_LOCK_DEAD);
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
		pfai_lock_set(&pfai_cpu_at(p, cpu)->lock, PFAI_LOCK_DEAD);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		pfai_lock_set(&p->zones[i].st->lock, PFAI_LOCK_DEAD);
}

int PFAI_COLD pfai_closed_code(const struct pfa *p, const char *function)
{
	if (pfai_load_relaxed(&p->st->closed) == PFAI_FORKED)
		return PFA_ENOTSUP;
	/* Telling a fault changes counters only, none of them in the root. */
	return pfai_fault((struct pfa *)(uintptr_t)p, PFA_FAULT_ENDED, p->base, 0, function);
}
