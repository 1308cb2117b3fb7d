/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include "closed.h"
#include "fallback.h"

static void stats_unlock_cpus(struct pfa *p, uint32_t nr)
{
	while (nr--)
		pfai_cpu_unlock(p, pfai_cpu_at(p, nr));
}

bool pfai_zone_freeze(struct pfa *p, struct pfai_zone *z)
{
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		if (!pfai_cpu_lock(p, pfai_cpu_at(p, cpu))) {
			stats_unlock_cpus(p, cpu);
			return false;
		}
	}
	if (pfai_zone_lock(p, z))
		return true;
	stats_unlock_cpus(p, p->nr_cpus);
	return false;
}

void pfai_zone_thaw(struct pfa *p, struct pfai_zone *z)
{
	pfai_zone_unlock(p, z);
	stats_unlock_cpus(p, p->nr_cpus);
}

void pfai_zone_stats_frozen(struct pfa *p, struct pfai_zone *z, struct pfa_zone_stats *out)
{
	size_t cached = 0, allocated = 0, quarantined = 0;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		if (pfai_level(p, 3)) {
			const struct pfai_quarantined *q = &pfai_quarantined(pfai_full_of(p, c))[z->id];
			quarantined += q->in - q->out;
			allocated -= q->in;
		}
		for (unsigned code = 0; code < PFAI_ROUTE_CODES; code++) {
			const struct pfai_slot *s = &c->slots[pfai_slot_of(p, z->id, code, 0)];
			for (unsigned order = 0; code != PFAI_ROUTE_SLOW && order < p->cached_orders; order++, s++) {
				cached += (size_t)s->n << order;
				/* One cpu frees what another took: only the sum over all cpus means something. */
				allocated += (s->allocs - s->frees) << order;
			}
		}
	}
	*out = (struct pfa_zone_stats){
		.present = z->st->present,
		.free = (size_t)pfai_zone_room_locked(z, 0, true, true),
		.free_isolated = z->st->free[PFAI_CODE_ISOLATE],
		.cached = cached,
		.allocated = allocated + z->st->direct_allocs - z->st->direct_frees,
		.quarantined = quarantined,
		.bad = z->st->bad,
		.free_cma = z->st->free[PFAI_CODE_CMA],
		.free_highatomic = z->st->free[PFAI_CODE_HIGHATOMIC],
		.reserved_highatomic = z->st->reserved_high,
		.mark_min = z->mark_min,
		.mark_low = z->mark_low,
		.mark_high = z->mark_high,
		.nr_refill = z->st->events.refill,
		.nr_flush = z->st->events.flush,
		.nr_direct = z->st->events.direct,
		.nr_claim = z->st->events.claim,
		.nr_steal = z->st->events.steal,
		.nr_borrow = z->st->events.borrow,
		.nr_reserve = z->st->events.reserve,
		.nr_unreserve = z->st->events.unreserve,
		.movable = pfai_load_relaxed(&z->st->moves.movable),
		.isolated = pfai_load_relaxed(&z->st->moves.isolated),
		.nr_migrated = pfai_load_relaxed(&z->st->moves.migrated),
		.nr_putback = pfai_load_relaxed(&z->st->moves.putback),
		.nr_released = pfai_load_relaxed(&z->st->moves.released),
		.nr_again = pfai_load_relaxed(&z->st->moves.again),
		.nr_compact_scanned = pfai_load_relaxed(&z->st->compaction.scanned),
		.nr_compact_moved = pfai_load_relaxed(&z->st->compaction.moved),
		.nr_compact_failed = pfai_load_relaxed(&z->st->compaction.failed),
		.nr_compact_steps = pfai_load_relaxed(&z->st->compaction.steps),
		.held_pageblocks = z->st->nr_held,
		.held_report = z->st->held_report,
		.reported = z->st->told,
		.nr_reported = z->st->reports.told,
		.nr_report_batches = z->st->reports.batches,
		.nr_report_errors = z->st->reports.errors,
		.nr_report_steps = z->st->reports.steps,
		.offline = z->st->offline,
		.max_lock_steps = z->st->events.lock_steps,
	};
	out->unreported = out->free + out->free_isolated - out->reported;
}

int pfa_zone_stats_get(struct pfa *p, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	int closed = pfai_closed(p, "pfa_zone_stats_get");
	if (closed != PFA_OK)
		return closed;
	struct pfa_zone_stats all;
	if (zone >= p->nr_zones || size > sizeof(all) || size % sizeof(size_t) || !size)
		return PFA_EINVAL;
	if (!pfai_zone_freeze(p, &p->zones[zone]))
		return PFA_EBUSY;
	pfai_zone_stats_frozen(p, &p->zones[zone], &all);
	pfai_zone_thaw(p, &p->zones[zone]);
	memcpy(out, &all, size);
	return PFA_OK;
}

int pfa_stats_get(struct pfa *p, struct pfa_stats *out, size_t size)
{
	int closed = pfai_closed(p, "pfa_stats_get");
	if (closed != PFA_OK)
		return closed;
	if (size > sizeof(*out) || size % sizeof(size_t) || !size)
		return PFA_EINVAL;
	struct pfa_stats all = {
		.nr_zones = p->nr_zones,
		.nr_cpus = p->nr_cpus,
		.nr_fail = pfai_load_relaxed(&p->st->nr_fail),
		.nr_drain = pfai_load_relaxed(&p->st->nr_drain),
		.nr_misuse = pfai_load_relaxed(&p->st->nr_misuse),
		.nr_corrupt = pfai_load_relaxed(&p->st->nr_corrupt),
		.nr_zeroed = pfai_load_relaxed(&p->st->nr_zeroed),
		.nr_zero_skipped = pfai_load_relaxed(&p->st->nr_zero_skipped),
		.nr_owners = pfai_load_relaxed(&p->st->nr_owners),
	};
	memcpy(out, &all, size);
	return PFA_OK;
}
