/* SPDX-License-Identifier: MIT
 *
 * The calls on per-CPU caches: drain, purge, disable, enable.
 */
#include <pfa/pfa.h>

#include "closed.h"
#include "damage.h"
#include "quarantine.h"

int pfa_cache_drain(struct pfa *p, uint32_t cpu)
{
	int closed = pfai_closed_or_inside(p, "pfa_cache_drain");
	if (closed != PFA_OK)
		return closed;
	if (cpu == PFA_ALL_CPUS)
		return pfai_told(p, pfai_cache_drain_all(p), "pfa_cache_drain");
	if (cpu >= p->nr_cpus)
		return PFA_EINVAL;
	return pfai_told(p, pfai_cache_drain_cpu(p, cpu), "pfa_cache_drain");
}

int pfa_cache_purge(struct pfa *p, pfa_pfn pfn)
{
	int closed = pfai_closed_or_inside(p, "pfa_cache_purge");
	if (closed != PFA_OK)
		return closed;
	pfa_pfn first = pfn >> p->pb_order << p->pb_order, end = first + ((size_t)1 << p->pb_order);
	int result = pfai_zone_of(p, pfn) ? PFA_OK : PFA_ERANGE;
	/* All zones that share the pageblock. */
	for (uint32_t i = 0; i < p->nr_zones && result == PFA_OK; i++) {
		struct pfai_zone *z = &p->zones[i];
		if (z->start < end && z->end > first)
			result = pfai_cache_purge_pageblock(p, z, (first - z->origin) >> p->pb_order, true);
	}
	return pfai_told(p, result, "pfa_cache_purge");
}

static void cache_set_caps(struct pfa *p, struct pfai_cpu *c, bool disabled)
{
	for (size_t slot = 0; slot < pfai_slots_per_cpu(p); slot++) {
		bool none = disabled || pfai_load_relaxed(&p->zones[pfai_slot_zone(p, slot)].st->corrupt);
		c->slots[slot].cap = none ? 0 : (uint16_t)p->homes[slot].cap;
	}
	if (pfai_level(p, 3))
		pfai_quarantine_enable(p, c, !disabled);
}

/* All cpus, or none: on failure those before are set back. */
static int cache_switch(struct pfa *p, bool disabled)
{
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		int result = PFA_EBUSY;
		if (pfai_cpu_lock(p, c)) {
			result = disabled ? pfai_cache_drain_locked(p, c) : PFA_OK;
			if (result == PFA_OK)
				cache_set_caps(p, c, disabled);
			pfai_cpu_unlock(p, c);
		}
		if (result == PFA_OK)
			continue;
		while (cpu--) {
			c = pfai_cpu_at(p, cpu);
			if (pfai_cpu_lock(p, c)) {
				cache_set_caps(p, c, !disabled);
				pfai_cpu_unlock(p, c);
			}
		}
		return result;
	}
	return PFA_OK;
}

int pfa_cache_disable(struct pfa *p)
{
	int closed = pfai_closed_or_inside(p, "pfa_cache_disable");
	if (closed != PFA_OK)
		return closed;
	if (!pfai_set_lock(p))
		return PFA_EBUSY;
	int result = PFA_OK;
	if (p->st->disabled >= PFAI_DISABLED_LIMIT)
		result = PFA_EAGAIN;
	else if (p->st->disabled == 0)
		result = cache_switch(p, true);
	if (result == PFA_OK)
		p->st->disabled++;
	pfai_set_unlock(p);
	return pfai_told(p, result, "pfa_cache_disable");
}

int pfa_cache_enable(struct pfa *p)
{
	int closed = pfai_closed_or_inside(p, "pfa_cache_enable");
	if (closed != PFA_OK)
		return closed;
	if (!pfai_set_lock(p))
		return PFA_EBUSY;
	int result = PFA_EINVAL;
	if (p->st->disabled)
		result = p->st->disabled == 1 ? cache_switch(p, false) : PFA_OK;
	if (result == PFA_OK)
		p->st->disabled--;
	pfai_set_unlock(p);
	return result;
}
