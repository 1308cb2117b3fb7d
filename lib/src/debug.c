/* SPDX-License-Identifier: MIT */
#include <pfa/debug.h>

#include "zone.h"

static enum pfa_frame_state debug_state(const struct pfai_zone *z, pfa_pfn pfn, uint8_t byte)
{
	switch (byte & PFAI_STATE_MASK) {
	case PFAI_HEAD: return PFA_FRAME_HEAD;
	case PFAI_CACHED:
	case PFAI_CACHED_ZERO: return PFA_FRAME_CACHED;
	case PFAI_HELD_REPORT: return PFA_FRAME_HELD_REPORT;
	case PFAI_HELD_MOVE: return PFA_FRAME_HELD_MOVE;
	case PFAI_QUARANTINE: return PFA_FRAME_QUARANTINE;
	case PFAI_FREEING: return PFA_FRAME_FREEING;
	default: break;
	}
	switch (byte) {
	case PFAI_ABSENT: return PFA_FRAME_ABSENT;
	case PFAI_OFFLINE: return PFA_FRAME_OFFLINE;
	case PFAI_BAD: return PFA_FRAME_BAD;
	case PFAI_TAIL: return PFA_FRAME_TAIL;
	default: return pfai_map_test(z->not_free, pfn - z->origin) ? PFA_FRAME_TAIL : PFA_FRAME_FREE;
	}
}

int pfa_frame_info(struct pfa *p, pfa_pfn pfn, struct pfa_frame_info *out)
{
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
	out->type = (enum pfa_type)pfai_type_of_code(pfai_pb_at(p, z, pfn - z->origin)->code);
	out->known_zero = out->state == PFA_FRAME_FREE && pfai_zone_known_zero_locked(p, z, pfn - z->origin, 1);
	pfai_zone_unlock(p, z);
	return PFA_OK;
}

int pfa_pageblock_info(struct pfa *p, pfa_pfn pfn, struct pfa_pageblock_info *out)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z)
		return PFA_ERANGE;
	size_t rel = (pfn - z->origin) >> p->pb_order << p->pb_order;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	const struct pfai_pb *pb = pfai_pb_at(p, z, rel);
	*out = (struct pfa_pageblock_info){
		.type = (enum pfa_type)pfai_type_of_code(pb->code),
		.holder = pb->holder,
		.free = ((size_t)1 << p->pb_order) - pb->used,
	};
	pfa_pfn at = z->origin + rel, end = at + ((size_t)1 << p->pb_order);
	if (!(pb->flags & PFAI_PB_PARTIAL)) {
		out->present = end - at;
	} else {
		for (at = at > z->start ? at : z->start; at < end && at < z->end; at++) {
			uint8_t byte = pfai_load_relaxed(&p->bytes[at - p->base]);
			out->present += byte != PFAI_ABSENT && byte != PFAI_OFFLINE;
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

void pfa_debug_regions(const struct pfa *p, void (*visit)(void *ctx, const char *name, const void *start, size_t bytes),
                       void *ctx)
{
	visit(ctx, "root", p, sizeof(*p));
	visit(ctx, "zones", p->zones, p->nr_zones * sizeof(*p->zones));
	visit(ctx, "caps", p->caps, (size_t)p->nr_zones << p->slot_shift << 1);
	visit(ctx, "starts", p->starts, pfai_slots_per_cpu(p) * sizeof(*p->starts));
	visit(ctx, "state", p->st, sizeof(*p->st));
	visit(ctx, "zone_states", p->zones[0].st, p->nr_zones * sizeof(*p->zones[0].st));
	visit(ctx, "cpus", p->cpus, p->nr_cpus * p->cpu_bytes);
	visit(ctx, "routes", (const void *)(uintptr_t)p->routes, (p->span >> p->pb_order) + 1);
	visit(ctx, "frame_bytes", (const void *)(uintptr_t)p->bytes, p->span);
	if (p->generations)
		visit(ctx, "generations", (const void *)(uintptr_t)p->generations, p->span * sizeof(*p->generations));
	if (p->history)
		visit(ctx, "history", p->history, p->span * p->nr_history * sizeof(*p->history));
	if (p->traces)
		visit(ctx, "traces", p->traces, p->nr_traces * sizeof(*p->traces));
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		const struct pfai_zone *z = &p->zones[i];
		size_t map_bytes = z->nr_rel / 8;
		visit(ctx, "not_free", z->not_free, map_bytes);
		if (z->zero)
			visit(ctx, "zero", z->zero, map_bytes);
		visit(ctx, "doomed", z->doomed, map_bytes);
		visit(ctx, "pageblocks", z->pb, z->nr_pb * sizeof(*z->pb));
		visit(ctx, "leaves", z->leaf, z->nr_leaves);
		visit(ctx, "sets", z->sets, z->set_words * PFAI_CODES * sizeof(pfai_word));
	}
}
