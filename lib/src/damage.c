/* SPDX-License-Identifier: MIT */
#include "damage.h"

#include "fault.h"
#include "pcpu.h"

int PFAI_COLD pfai_tell(struct pfa *p, const char *function)
{
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		if (!pfai_load_relaxed(&z->st->corrupt))
			continue;
		uint32_t damage = pfai_exchange32(&z->st->corrupt, PFAI_DAMAGE_TOLD);
		if (damage == PFAI_DAMAGE_TOLD)
			continue;
		pfai_cache_abandon(p, z);
		(void)pfai_fault(p, damage == PFAI_DAMAGE_CACHE ? PFA_FAULT_CORRUPT_CACHE : PFA_FAULT_CORRUPT_FREE,
		                 z->start, 0, function);
	}
	return PFA_ECORRUPT;
}
