/* SPDX-License-Identifier: MIT */
#include <pfa/debug.h>

#include "closed.h"
#include "zone.h"

static enum pfa_frame_state debug_state(const struct pfai_zone *z, pfa_pfn pfn, uint8_t byte)
{
	switch (byte & PFAI_STATE_MASK) {
	case PFAI_MOVABLE:
	case PFAI_HEAD: return PFA_FRAME_HEAD;
	case PFAI_CACHED:
	case PFAI_CACHED_ZERO: return PFA_FRAME_CACHED;
	case PFAI_HELD_REPORT: return PFA_FRAME_HELD_REPORT;
	case PFAI_QUARANTINE: return PFA_FRAME_QUARANTINE;
	case PFAI_FREEING: return PFA_FRAME_FREEING;
	default: break;
	}
	switch (byte) {
	case PFAI_ABSENT: return PFA_FRAME_ABSENT;
	case PFAI_OFFLINE:
	case PFAI_OFFLINE_BAD: return PFA_FRAME_OFFLINE;
	case PFAI_BAD: return PFA_FRAME_BAD;
	case PFAI_TAIL: return PFA_FRAME_TAIL;
	case PFAI_GUARD_BELOW:
	case PFAI_GUARD_ABOVE: return PFA_FRAME_GUARD;
	default: return pfai_map_test(z->not_free, pfn - z->origin) ? PFA_FRAME_TAIL : PFA_FRAME_FREE;
	}
}

int pfa_frame_info(struct pfa *p, pfa_pfn pfn, struct pfa_frame_info *out)
{
	int closed = pfai_closed(p, "pfa_frame_info");
	if (closed != PFA_OK)
		return closed;
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	*out = (struct pfa_frame_info){ .state = PFA_FRAME_ABSENT, .zone = PFA_ZONES_LIMIT, .type = PFA_TYPE_MOVABLE };
	if (!z)
		return PFA_OK;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	uint8_t byte = pfai_load_relaxed(&p->bytes[pfn - p->base]);
	out->state = debug_state(z, pfn, byte);
	if (byte & PFAI_STATE_MASK)
		out->order = byte & PFAI_ORDER_MASK;
	out->zone = z->id;
	out->type = (enum pfa_type)pfai_type_of_code(pfai_pb_code(pfai_pb_at(p, z, pfn - z->origin)));
	out->known_zero = out->state == PFA_FRAME_FREE && pfai_known_is_zero(p) &&
	                  pfai_zone_known_zero_locked(p, z, pfn - z->origin, 1);
	out->reported = z->told && pfai_map_test(z->told, pfn - z->origin) && out->state == PFA_FRAME_FREE;
	pfai_zone_unlock(p, z);
	return PFA_OK;
}

int pfa_pageblock_info(struct pfa *p, pfa_pfn pfn, struct pfa_pageblock_info *out)
{
	int closed = pfai_closed(p, "pfa_pageblock_info");
	if (closed != PFA_OK)
		return closed;
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z)
		return PFA_ERANGE;
	size_t rel = (pfn - z->origin) >> p->pb_order << p->pb_order;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	*out = (struct pfa_pageblock_info){
		.type = (enum pfa_type)pfai_type_of_code(pfai_pb_own_code(pb)),
		.holder = pfai_pb_holder(pb),
		.free = ((size_t)1 << p->pb_order) - pb->used,
	};
	pfa_pfn at = z->origin + rel, end = at + ((size_t)1 << p->pb_order);
	if (!(pb->flags & PFAI_PB_PARTIAL)) {
		out->present = end - at;
	} else {
		for (at = at > z->start ? at : z->start; at < end && at < z->end; at++) {
			uint8_t byte = pfai_load_relaxed(&p->bytes[at - p->base]);
			out->present += !pfai_byte_is_absent(byte);
		}
	}
	pfai_zone_unlock(p, z);
	return PFA_OK;
}

void pfa_debug_on_unlock(struct pfa *p, void (*hook)(void *ctx, struct pfa *pfa, unsigned zone), void *ctx)
{
	p->on_unlock = hook;
	p->on_unlock_ctx = ctx;
}

/* ---- regions ------------------------------------------------------------------------------------------------------- */

struct debug_visitor {
	void (*visit)(void *ctx, const struct pfa_region *region);
	void *ctx;
};

static void debug_visit(const struct debug_visitor *v, const char *name, const volatile void *start, size_t nr, size_t each,
                        bool sealed)
{
	if (nr && each)
		v->visit(v->ctx, &(struct pfa_region){ name, (const void *)(uintptr_t)start, nr * each, sealed });
}

static void debug_visit_zone(const struct debug_visitor *v, const struct pfai_zone *z)
{
	debug_visit(v, "not_free", z->not_free, z->nr_rel / 8, 1, false);
	if (z->zero)
		debug_visit(v, "zero", z->zero, z->nr_rel / 8, 1, false);
	debug_visit(v, "doomed", z->doomed, z->nr_rel / 8, 1, false);
	if (z->told) {
		debug_visit(v, "told", z->told, z->nr_rel / 8, 1, false);
		debug_visit(v, "pending", z->pending, pfai_bitset_words(z->nr_leaves), sizeof(pfai_word), false);
		debug_visit(v, "resident", z->resident, pfai_bitset_words(z->nr_pb), sizeof(pfai_word), false);
	}
	debug_visit(v, "pageblocks", z->pb, z->nr_pb, sizeof(*z->pb), false);
	debug_visit(v, "leaves", z->leaf, z->nr_leaves, 1, false);
	debug_visit(v, "sets", z->sets, z->set_words * PFAI_PLANES, sizeof(pfai_word), false);
}

/* In the order of pfai_layout(). A test adds the regions up: what is missing here is missed there. */
void pfa_regions(const struct pfa *p, void (*visit)(void *ctx, const struct pfa_region *region), void *ctx)
{
	const struct debug_visitor v = { visit, ctx };
	debug_visit(&v, "root", p, 1, sizeof(*p) + pfai_slots_per_cpu(p) * sizeof(*p->homes), true);
	debug_visit(&v, "zones", p->zones, p->nr_zones, sizeof(*p->zones), true);
	debug_visit(&v, "state", p->st, 1, sizeof(*p->st), false);
	debug_visit(&v, "zone_states", p->zones[0].st, p->nr_zones, sizeof(*p->zones[0].st), false);
	debug_visit(&v, "cpus", p->cpus, p->nr_cpus, p->cpu_bytes, false);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		debug_visit_zone(&v, &p->zones[i]);
	debug_visit(&v, "routes", p->routes, (p->span >> p->pb_order) + 1, 1, false);
	debug_visit(&v, "frame_bytes", p->bytes, p->span, 1, false);
	if (p->generations)
		debug_visit(&v, "generations", p->generations, p->span, sizeof(*p->generations), false);
	if (p->history)
		debug_visit(&v, "history", p->history, p->span * p->nr_history, sizeof(*p->history), false);
	if (p->traces)
		debug_visit(&v, "traces", p->traces, p->nr_traces, sizeof(*p->traces), false);
	if (p->report)
		debug_visit(&v, "report", p->report, 1, sizeof(*p->report), false);
	debug_visit(&v, "cma", p->cma, p->nr_cma, sizeof(*p->cma), false);
	if (p->table) {
		debug_visit(&v, "owners", p->owners, p->max_owners, sizeof(*p->owners), false);
		debug_visit(&v, "owner_table", p->table, p->span, sizeof(*p->table), false);
	}
}

struct debug_plain {
	const struct pfa *pfa;
	void (*visit)(void *ctx, const char *name, const void *start, size_t bytes);
	void *ctx;
};

/* A struct that begins with its lock: that is a region of its own. */
static void debug_visit_locked(const struct debug_plain *v, const char *name, const void *start, size_t bytes)
{
	v->visit(v->ctx, "lock", start, sizeof(struct pfai_lock));
	v->visit(v->ctx, name, (const unsigned char *)start + sizeof(struct pfai_lock), bytes - sizeof(struct pfai_lock));
}

/* The entries behind a cpu's slots are a region, too. */
static void debug_visit_cpu(const struct debug_plain *v, const char *name, const unsigned char *start)
{
	size_t bytes = sizeof(struct pfai_cpu) + v->pfa->nr_slots * sizeof(struct pfai_slot);
	debug_visit_locked(v, name, start, bytes);
	if (v->pfa->cpu_bytes > bytes)
		v->visit(v->ctx, "entries", start + bytes, v->pfa->cpu_bytes - bytes);
}

static void debug_visit_plain(void *ctx, const struct pfa_region *region)
{
	const struct debug_plain *v = ctx;
	const struct pfa *p = v->pfa;
	const void *start = region->start;
	if (start == p->st)
		debug_visit_locked(v, region->name, start, region->bytes);
	else if (start == p->zones[0].st)
		for (uint32_t i = 0; i < p->nr_zones; i++)
			debug_visit_locked(v, region->name, p->zones[i].st, sizeof(*p->zones[i].st));
	else if (start == p->cpus)
		for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
			debug_visit_cpu(v, region->name, (const unsigned char *)pfai_cpu_at(p, cpu));
	else
		v->visit(v->ctx, region->name, start, region->bytes);
}

void pfa_debug_regions(const struct pfa *p, void (*visit)(void *ctx, const char *name, const void *start, size_t bytes),
                       void *ctx)
{
	struct debug_plain plain = { p, visit, ctx };
	pfa_regions(p, debug_visit_plain, &plain);
}
