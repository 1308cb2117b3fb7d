/* SPDX-License-Identifier: MIT */
#include <pfa/pfa.h>

#include "check.h"
#include "closed.h"
#include "compact.h"
#include "damage.h"
#include "pcpu.h"
#include "report.h"

static uint64_t service_now(const struct pfa *p)
{
	return p->os.now_ns ? p->os.now_ns(p->os.ctx) : 0;
}

/* All that happened in this cache, ever. */
static size_t service_activity(const struct pfa *p, struct pfai_cpu *c)
{
	size_t sum = 0;
	for (size_t slot = 0; slot < pfai_slots_per_cpu(p); slot++)
		sum += c->slots[slot].allocs + c->slots[slot].frees;
	for (uint32_t zone = 0; pfai_level(p, 3) && zone < p->nr_zones; zone++)
		sum += pfai_quarantined(pfai_full_of(p, c))[zone].in;
	return sum;
}

/* Visits one cpu if its time has come: a cache that holds something and did nothing since the last visit is drained. */
static int service_visit(struct pfa *p, struct pfai_cpu *c, uint64_t now, uint64_t *next)
{
	int result = PFA_OK;
	if (!pfai_load_relaxed(&c->held))
		return PFA_OK;
	if (!pfai_cpu_lock(p, c))
		return PFA_EBUSY;
	uint64_t due = c->seen_ns + PFA_SERVICE_IDLE_NS;
	if (!c->seen_ns || now >= due) {
		size_t seen = service_activity(p, c);
		if (c->seen_ns && seen == c->seen)
			result = pfai_cache_drain_locked(p, c);
		c->seen = seen;
		/* 0 means never visited. */
		c->seen_ns = now ? now : 1;
		due = c->seen_ns + PFA_SERVICE_IDLE_NS;
	}
	if (pfai_load_relaxed(&c->held) && due < *next)
		*next = due;
	pfai_cpu_unlock(p, c);
	return result;
}

/* Looks at the next pageblocks of the round over all zones, all caches locked. Where nobody can wait for a lock: not now. */
static int service_scrub(struct pfa *p)
{
	struct pfai_state *st = p->st;
	if (st->scrub_zone >= p->nr_zones || st->scrub_pb >= p->zones[st->scrub_zone].nr_pb) {
		st->scrub_zone = st->scrub_zone + 1 < p->nr_zones ? st->scrub_zone + 1 : 0;
		st->scrub_pb = 0;
	}
	struct pfai_zone *z = &p->zones[st->scrub_zone];
	bool fine = true;
	if (pfai_load_relaxed(&z->st->corrupt) || !pfai_zone_freeze(p, z)) {
		st->scrub_pb = z->nr_pb;
		return PFA_OK;
	}
	size_t first = st->scrub_pb;
	for (; st->scrub_pb < z->nr_pb && st->scrub_pb < first + PFA_SCRUB_PAGEBLOCKS && fine; st->scrub_pb++)
		fine = pfai_check_pageblock_frozen(p, z, st->scrub_pb);
	pfai_zone_steps(z, (st->scrub_pb - first) << p->pb_order);
	if (!fine)
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	pfai_zone_thaw(p, z);
	return fine ? PFA_OK : PFA_ECORRUPT;
}

int pfa_service(struct pfa *p, unsigned budget_steps, uint64_t *out_next_ns)
{
	int closed = pfai_closed_or_inside(p, "pfa_service");
	if (closed != PFA_OK)
		return closed;
	if (pfai_report_inside(p))
		return PFA_EDEADLK;
	if (!budget_steps)
		return PFA_EINVAL;
	if (!pfai_cas32_acquire(&p->st->serving, 0, 1))
		return PFA_EBUSY;
	uint64_t now = service_now(p), next = UINT64_MAX;
	int result = PFA_OK;
	for (; budget_steps && p->st->next_served < p->nr_cpus && result == PFA_OK; budget_steps--)
		result = service_visit(p, pfai_cpu_at(p, p->st->next_served++), now, &next);
	if (result == PFA_OK && pfai_level(p, 2))
		result = service_scrub(p);
	bool more = result == PFA_OK && p->report && pfai_report_background(p, &budget_steps, now, &next);
	/* A round that was cut short has not seen every cpu, and what its earlier calls found may be due by now: in both
	 * cases there is more to do at once. */
	bool done = p->st->next_served >= p->nr_cpus;
	if (done)
		p->st->next_served = 0;
	if (next > p->st->service_next)
		next = p->st->service_next;
	p->st->service_next = done ? UINT64_MAX : next;
	done = done && next > now;
	if (result == PFA_OK && pfai_compact_background(p, &budget_steps))
		more = true;
	done = done && !more;
	pfai_store_release(&p->st->serving, 0u);
	if (result == PFA_ECORRUPT)
		return pfai_tell(p, "pfa_service");
	if (result == PFA_OK && out_next_ns)
		*out_next_ns = done ? next : now;
	return result == PFA_OK && !done ? PFA_EAGAIN : result;
}
