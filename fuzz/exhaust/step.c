/* SPDX-License-Identifier: MIT
 *
 * step.c - the instance, the operations on it, and the oracles of a transition and of a state (exhaust.h).
 */
#include "exhaust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pfa/compact.h>
#include <pfa/config.h>
#include <pfa/contig.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/stats.h>

bool ex_broken(struct ex_machine *m, const char *what, size_t expected, size_t actual)
{
	if (!m->finding[0])
		snprintf(m->finding, sizeof(m->finding), "%s (expected %zu, actual %zu)", what, expected, actual);
	return false;
}

/* ---- the own map --------------------------------------------------------------------------------------------------- */

static bool ex_held(const struct ex_machine *m, unsigned at)
{
	for (unsigned i = 0; i < m->w.nr_holds; i++)
		if (at >= m->w.hold[i].start && at < m->w.hold[i].end)
			return true;
	return false;
}

static void map_set(struct ex_machine *m, unsigned at, unsigned order, unsigned kind)
{
	memset(m->w.frame + at, EX_INSIDE, (size_t)1 << order);
	m->w.frame[at] = (uint8_t)(kind | order);
}

void ex_clear(struct ex_machine *m, unsigned at)
{
	memset(m->w.frame + at, EX_NOBODY, (size_t)1 << (m->w.frame[at] & EX_ORDER));
}

bool ex_free(const struct ex_machine *m, unsigned at, unsigned nr, unsigned zone)
{
	for (unsigned i = at; i < at + nr; i++)
		if (i >= m->span || m->w.frame[i] != EX_NOBODY || m->zone_of[i] != zone || ex_held(m, i))
			return false;
	return true;
}

bool ex_grant(struct ex_machine *m, pfa_pfn pfn, unsigned order, unsigned least_zone, unsigned kind, bool movable)
{
	const unsigned at = (unsigned)(pfn - m->base), nr = 1u << order;

	if (pfn < m->base || pfn - m->base >= m->span || at + nr > m->span || pfn % nr)
		return ex_broken(m, "I15 a grant is outside, or not aligned", 0, (size_t)pfn);
	if (m->zone_of[at] < least_zone || !ex_free(m, at, nr, m->zone_of[at]))
		return ex_broken(m, "I15 a grant is somebody's, absent, isolated or of another zone", 0, (size_t)pfn);
	if (!movable && ex_in_area(m, at))
		return ex_broken(m, "I4 what is not movable is granted frames of an area", 0, (size_t)pfn);
	map_set(m, at, order, kind);
	m->granted = at;
	return true;
}

/* ---- the owner ----------------------------------------------------------------------------------------------------- */

static void owner_event(struct ex_machine *m, unsigned from, unsigned to)
{
	if (m->nr_events < EX_EVENTS_MAX)
		m->event[m->nr_events++] = (struct ex_event){ (uint16_t)from, (uint16_t)to };
	else
		ex_broken(m, "I13 an operation moves blocks without end", EX_EVENTS_MAX, m->nr_events);
}

static bool owner_knows(struct ex_machine *m, pfa_pfn head, unsigned order)
{
	const pfa_pfn at = head - m->base;

	return (at < m->span && m->w.frame[at] == (EX_OWNED | EX_HEAD | order)) ||
	       ex_broken(m, "I10 an op is called for what is no block of the owner's", order, (size_t)head);
}

static void owner_frees(struct ex_machine *m, pfa_pfn head, unsigned order)
{
	if (pfa_free(m->pfa, head, order) != PFA_OK)
		ex_broken(m, "I10 an owner cannot free its block inside of an op", 0, (size_t)head);
	ex_clear(m, (unsigned)(head - m->base));
	owner_event(m, (unsigned)(head - m->base), EX_SPAN_MAX);
}

static int owner_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct ex_machine *m = ctx;

	(void)mode;
	if (!owner_knows(m, head, order) || cookie != 1)
		return PFA_EBUSY;
	if (m->answer == EX_ISOLATE_FREES)
		owner_frees(m, head, order);
	return m->answer == EX_ISOLATE_BUSY ? PFA_EBUSY : m->answer == EX_ISOLATE_AGAIN ? PFA_EAGAIN : PFA_OK;
}

static int owner_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct ex_machine *m = ctx;
	const unsigned from = (unsigned)(src - m->base), to = (unsigned)(dst - m->base);

	(void)mode;
	(void)cookie;
	if (!owner_knows(m, src, order))
		return PFA_EBUSY;
	if (dst < m->base || to >= m->span || dst % (1u << order) || !ex_free(m, to, 1u << order, m->zone_of[to])) {
		ex_broken(m, "I10 a destination is somebody's, absent or isolated", 0, (size_t)dst);
		return PFA_EBUSY;
	}
	if (m->answer == EX_MIGRATE_FREES)
		owner_frees(m, src, order);
	if (m->answer == EX_MIGRATE_BUSY || m->answer == EX_MIGRATE_AGAIN)
		return m->answer == EX_MIGRATE_BUSY ? PFA_EBUSY : PFA_EAGAIN;
	if (m->answer != EX_MIGRATE_FREES) {
		ex_clear(m, from);
		map_set(m, to, order, EX_OWNED | EX_HEAD);
		owner_event(m, from, to);
	}
	return PFA_OK;
}

static void owner_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)cookie;
	(void)owner_knows(ctx, head, order);
}

/* ---- making it ----------------------------------------------------------------------------------------------------- */

static void machine_fatal(struct pfa_sim *sim, const struct pfa_fault *fault)
{
	struct ex_machine *m = sim->ctx;

	(void)fault;
	m->told = "platform.fatal was told of a legal call";
}

static bool machine_owner(struct ex_machine *m)
{
	static const struct pfa_owner_ops ops = { .size = sizeof(ops), .isolate = owner_isolate, .migrate = owner_migrate,
		                                  .putback = owner_putback };

	for (unsigned i = 0; i < m->p->nr_ops; i++)
		if (m->p->ops[i].kind != OP_OWNER_CREATE || m->owner || pfa_owner_create(m->pfa, &ops, m, &m->owner) != PFA_OK)
			return false;
	return !m->alphabet.owned || m->owner;
}

static bool machine_zones(struct ex_machine *m)
{
	const struct prog_config *c = &m->p->config;

	m->w.now_ns = PFA_SERVICE_IDLE_NS; /* at 0 a cache is noted as visited a moment later */
	m->base = prog_span_start(c);
	if (prog_span_end(c) - m->base > EX_SPAN_MAX || c->huge || m->base % (1u << c->pageblock_order) ||
	    prog_span_end(c) % (1u << c->pageblock_order))
		return false;
	m->span = prog_span_end(c) - (unsigned)m->base;
	memset(m->zone_of, UINT8_MAX, sizeof(m->zone_of));
	m->no_marks = true;
	for (unsigned zone = 0; zone < c->nr_zones; zone++) {
		const struct prog_zone *z = &c->zones[zone];
		memset(m->zone_of + (z->start - m->base), (int)zone, z->nr);
		for (unsigned hole = 0; hole < z->nr_holes; hole++)
			memset(m->zone_of + (z->holes[hole].start - m->base), UINT8_MAX, z->holes[hole].nr);
		m->no_marks &= !z->mark_high && !z->highatomic;
	}
	for (unsigned i = 0; i < m->span; i++)
		m->present += m->zone_of[i] != UINT8_MAX;
	return m->present <= EX_EVENTS_MAX;
}

bool ex_machine_make(struct ex_machine *m, const struct program *p, const struct ex_alphabet *a, const char **why)
{
	struct pfa_footprint need = { 0 };

	memset(m, 0, sizeof(*m));
	m->p = p;
	m->alphabet = *a;
	*why = "the zones: whole pageblocks, holes included, at most 512 frames in all, and 256 of them present";
	if (!machine_zones(m))
		return false;
	pfa_sim_init(&m->sim, p->config.seed);
	m->sim.ctx = m;
	m->sim.on_fatal = machine_fatal;
	pfa_sim_platform(&m->sim, &m->platform);
	setup_make(&m->setup, &p->config, 0, &m->platform);
	m->setup.cfg.cpu_offset = 0;
	m->setup.cfg.fatal_policy = PFA_FATAL_REPORT;
	m->setup.cfg.pool = NULL;
	m->setup.cfg.flags |= a->report ? PFA_CONFIG_REPORTING : 0;
	*why = "the configuration is refused";
	if (pfa_size(&m->setup.cfg, &need, NULL, NULL) != PFA_OK)
		return false;
	m->bytes = need.core_bytes;
	m->memory = aligned_alloc(need.align, (need.core_bytes + need.align - 1) / need.align * need.align);
	m->canon = malloc(need.core_bytes);
	m->sealed_copy = malloc(need.core_bytes);
	if (m->memory)
		memset(m->memory, 0, m->bytes); /* as meta=zeroed promises */
	if (!m->memory || !m->canon || !m->sealed_copy ||
	    pfa_init(m->memory, need.core_bytes, &m->setup.cfg, &m->pfa, NULL, NULL) != PFA_OK)
		return false;
	*why = "hardening level 3, history and generations have no finite set of states";
	if ((unsigned char *)m->pfa != m->memory || !ex_canon_can(m->pfa))
		return false;
	*why = "its only operation may be owner_create wrong=0, which owned= needs";
	if (!machine_owner(m))
		return false;
	*why = "one CMA area, and cma=, or none of both";
	if (!ex_area_find(m))
		return false;
	m->sealed = ex_sealed_bytes(m->pfa);
	memcpy(m->sealed_copy, m->memory, m->sealed);
	return true;
}

void ex_machine_drop(struct ex_machine *m)
{
	free(m->memory);
	free(m->canon);
	free(m->sealed_copy);
	m->memory = m->canon = m->sealed_copy = NULL;
}

/* ---- operations ---------------------------------------------------------------------------------------------------- */

/* Is there a free block that this request should have got? Types lend to each other, and what is cached is drained. */
static bool apply_must_alloc(const struct ex_machine *m, unsigned order, unsigned zone, bool movable)
{
	for (unsigned at = 0; at < m->span; at += 1u << order)
		for (unsigned z = zone; z < m->p->config.nr_zones; z++)
			if (ex_free(m, at, 1u << order, z) && (movable || !ex_in_area(m, at)))
				return true;
	return false;
}

static bool apply_alloc(struct ex_machine *m, struct ex_op op)
{
	const unsigned zone = op.arg >> 2 & 3;
	const bool owned = op.arg >> 4 & 1, movable = (op.arg & 3) == PFA_MOVABLE;
	pfa_pfn pfn = 0;

	m->code = pfa_alloc(m->pfa, op.nr, (op.arg & 3) | PFA_ZONE(zone), &pfn);
	if (m->code == PFA_ENOMEM)
		return !m->no_marks || !apply_must_alloc(m, op.nr, zone, movable) ||
		       ex_broken(m, "I12 liveness: a request is refused, and a block of its order is free", 0, op.nr);
	if (m->code != PFA_OK)
		return ex_broken(m, "a request's code", 0, (size_t)(unsigned)-m->code);
	if (!ex_grant(m, pfn, op.nr, zone, owned ? EX_OWNED | EX_HEAD : EX_HEAD, movable))
		return false;
	return !owned || pfa_movable_set(m->pfa, pfn, m->owner, 1) == PFA_OK || ex_broken(m, "pfa_movable_set() refuses", 0, 1);
}

static bool apply_free(struct ex_machine *m, struct ex_op op)
{
	m->code = pfa_free(m->pfa, m->base + op.at, m->w.frame[op.at] & EX_ORDER);
	if (m->code != PFA_OK)
		return ex_broken(m, "a legal free is refused", 0, (size_t)(unsigned)-m->code);
	if (m->w.frame[op.at] & EX_OWNED)
		owner_event(m, op.at, EX_SPAN_MAX);
	ex_clear(m, op.at);
	return true;
}

static bool apply_split(struct ex_machine *m, struct ex_op op)
{
	const unsigned order = m->w.frame[op.at] & EX_ORDER;

	m->code = pfa_split(m->pfa, m->base + op.at, order, op.nr);
	for (unsigned i = 0; i < 1u << order && m->code == PFA_OK; i += 1u << op.nr)
		map_set(m, op.at + i, op.nr, EX_HEAD);
	return m->code == PFA_OK || ex_broken(m, "a legal split is refused", 0, (size_t)(unsigned)-m->code);
}

/* A range was not had, and may not be: because of what is in the way, or for want of places to move it to; there is no other reason. */
static bool range_refused(struct ex_machine *m)
{
	return m->code == PFA_EBUSY || m->code == PFA_ENOMEM ||
	       ex_broken(m, "I11 a range is refused with another code than EBUSY, ENOMEM", 0, (size_t)(unsigned)-m->code);
}

static bool apply_isolate(struct ex_machine *m, struct ex_op op)
{
	const unsigned pb = 1u << m->p->config.pageblock_order;
	const unsigned start = op.at, end = op.at + op.nr * pb < m->span ? op.at + op.nr * pb : m->span;
	bool taken = false;
	pfa_token token = 0;
	unsigned i = m->w.nr_holds;

	for (unsigned at = start; at < end; at++)
		taken |= ex_held(m, at);
	m->code = pfa_isolate_range(m->pfa, m->base + start, m->base + end, 0, &token, NULL);
	if (m->code == PFA_OK && (taken || !token))
		return ex_broken(m, "I4 what is held is held again", 0, token);
	if (m->code != PFA_OK && (taken || m->answer || m->p->config.max_order > m->p->config.pageblock_order))
		return range_refused(m);
	if (m->code != PFA_OK)
		return ex_broken(m, "I11 what nothing is in the way of cannot be isolated", 0, (size_t)(unsigned)-m->code);
	for (; i && m->w.hold[i - 1].start > start; i--)
		m->w.hold[i] = m->w.hold[i - 1];
	m->w.hold[i] = (struct ex_hold){ (uint16_t)start, (uint16_t)end, token };
	m->w.nr_holds++;
	return true;
}

static bool apply_undo(struct ex_machine *m, struct ex_op op)
{
	unsigned i = 0;

	while (i < m->w.nr_holds && m->w.hold[i].start != op.at)
		i++;
	const struct ex_hold hold = m->w.hold[i];
	m->code = pfa_undo_isolate_range(m->pfa, m->base + hold.start, m->base + hold.end, hold.token);
	if (m->code != PFA_OK)
		return ex_broken(m, "I4 a hold cannot be given up", 0, (size_t)(unsigned)-m->code);
	for (m->w.nr_holds--; i < m->w.nr_holds; i++)
		m->w.hold[i] = m->w.hold[i + 1];
	memset(&m->w.hold[m->w.nr_holds], 0, sizeof(m->w.hold[0]));
	return true;
}

static bool apply_contig(struct ex_machine *m, struct ex_op op)
{
	const unsigned zone = m->zone_of[op.at];
	const bool must = ex_free(m, op.at, op.nr, zone);

	m->code = pfa_alloc_contig_range(m->pfa, m->base + op.at, m->base + op.at + op.nr, 0, NULL);
	if (m->code != PFA_OK)
		return must ? ex_broken(m, "I11 a range that is free cannot be had", 0, (size_t)(unsigned)-m->code) : range_refused(m);
	for (unsigned i = 0; i < op.nr; i++)
		if (!ex_grant(m, m->base + op.at + i, 0, zone, EX_HEAD, true))
			return false;
	m->granted = op.at;
	return true;
}

static bool apply_migrate(struct ex_machine *m, struct ex_op op)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	const pfa_pfn head = m->base + op.at;
	int result = PFA_EINVAL;

	m->code = pfa_migrate(m->pfa, &head, 1, &dest, &result);
	if (m->code != (result == PFA_OK ? PFA_OK : PFA_EAGAIN))
		return ex_broken(m, "pfa_migrate()'s code does not follow from its result", (size_t)(unsigned)-result,
		                 (size_t)(unsigned)-m->code);
	m->code = result;
	if ((result == PFA_OK) != (m->nr_events == 1 && m->event[0].to != EX_SPAN_MAX))
		return ex_broken(m, "I10 a block was moved, or was not, against the result", m->nr_events, (size_t)(unsigned)-result);
	return m->answer || result == PFA_OK || result == PFA_ENOMEM ||
	       ex_broken(m, "I10 a block whose owner agrees is not moved", 0, (size_t)(unsigned)-result);
}

static bool apply_service(struct ex_machine *m)
{
	m->w.now_ns += PFA_SERVICE_IDLE_NS;
	m->sim.now_ns = m->w.now_ns;
	m->code = pfa_service(m->pfa, 64, NULL);
	return m->code == PFA_OK || ex_broken(m, "a whole round of service has more to do", 0, (size_t)(unsigned)-m->code);
}

static bool apply_plain(struct ex_machine *m, struct ex_op op)
{
	switch (op.kind) {
	case EX_DRAIN: m->code = pfa_cache_drain(m->pfa, PFA_ALL_CPUS); break;
	case EX_DISABLE: m->code = pfa_cache_disable(m->pfa); break;
	case EX_ENABLE: m->code = pfa_cache_enable(m->pfa); break;
	default: m->code = pfa_compact(m->pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL);
	}
	if (op.kind == EX_DISABLE || op.kind == EX_ENABLE)
		m->w.disabled = op.kind == EX_DISABLE;
	return m->code == PFA_OK || ex_broken(m, "a call that cannot fail does", 0, (size_t)(unsigned)-m->code);
}

bool ex_apply(struct ex_machine *m, struct ex_op op)
{
	bool good;

	m->sim.cpu = op.cpu;
	m->sim.now_ns = m->w.now_ns;
	m->answer = (op.kind >= EX_ISOLATE && op.kind <= EX_COMPACT) || op.kind == EX_CMA_ALLOC ? op.arg : EX_SAYS_YES;
	m->device = op.kind >= EX_SERVICE && op.kind <= EX_FLUSH ? op.arg : EX_DEVICE_OK;
	m->batches = 0;
	m->granted = EX_SPAN_MAX;
	m->nr_events = 0;
	m->told = NULL;
	m->finding[0] = 0;
	if (m->plant)
		ex_plant(m, op.kind);
	switch (op.kind) {
	case EX_ALLOC: good = apply_alloc(m, op); break;
	case EX_FREE: good = apply_free(m, op); break;
	case EX_SPLIT: good = apply_split(m, op); break;
	case EX_ISOLATE: good = apply_isolate(m, op); break;
	case EX_UNDO: good = apply_undo(m, op); break;
	case EX_CONTIG: good = apply_contig(m, op); break;
	case EX_MIGRATE: good = apply_migrate(m, op); break;
	case EX_SERVICE: good = apply_service(m); break;
	case EX_CMA_ALLOC: good = ex_apply_cma_alloc(m, op); break;
	case EX_CMA_RELEASE: good = ex_apply_cma_release(m, op); break;
	case EX_DRAIN: case EX_DISABLE: case EX_ENABLE: case EX_COMPACT: good = apply_plain(m, op); break;
	default: good = ex_apply_device(m, op);
	}
	good = good && (!m->alphabet.report || ex_device_forget(m));
	if (good && m->told)
		return ex_broken(m, m->told, 0, 1);
	return good && !m->finding[0];
}

/* ---- the state ----------------------------------------------------------------------------------------------------- */

static bool judge_frame(struct ex_machine *m, unsigned at)
{
	const uint8_t own = m->w.frame[at];
	struct pfa_frame_info is = { .order = 99 };

	if (pfa_frame_info(m->pfa, m->base + at, &is) != PFA_OK)
		return ex_broken(m, "pfa_frame_info() fails", 0, at);
	if (own == EX_INSIDE)
		return is.state == PFA_FRAME_TAIL || ex_broken(m, "the state of a frame inside of a block", PFA_FRAME_TAIL, is.state);
	if (ex_is_run(own))
		return (is.state == PFA_FRAME_HEAD && is.order == 0) || ex_broken(m, "the state of a frame of a run", PFA_FRAME_HEAD, is.state);
	if (own != EX_NOBODY)
		return (is.state == PFA_FRAME_HEAD && is.order == (own & EX_ORDER)) ||
		       ex_broken(m, "the order of a live block (state x 32 + order)", PFA_FRAME_HEAD * 32u + (own & EX_ORDER),
		                 is.state * 32u + is.order);
	return is.state == PFA_FRAME_FREE || is.state == PFA_FRAME_CACHED || is.state == PFA_FRAME_TAIL ||
	       ex_broken(m, "the state of a frame that is nobody's", PFA_FRAME_FREE, is.state);
}

bool ex_judge_state(struct ex_machine *m)
{
	struct pfa_violation v = {0};
	struct pfa_zone_stats z;
	size_t owned = 0, allocated = 0, sum = 0;

	m->finding[0] = 0;
	m->sim.now_ns = m->w.now_ns;
	if (pfa_check(m->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		return ex_broken(m, v.what ? v.what : "pfa_check()", v.expected, v.actual);
	for (unsigned at = 0; at < m->span; at++) {
		owned += m->w.frame[at] != EX_NOBODY;
		if (m->zone_of[at] != UINT8_MAX && !judge_frame(m, at)) /* pfa_check() looks at the absent ones */
			return false;
	}
	for (unsigned zone = 0; zone < m->p->config.nr_zones; zone++) {
		if (pfa_zone_stats_get(m->pfa, zone, &z, sizeof(z)) != PFA_OK)
			return ex_broken(m, "pfa_zone_stats_get() fails", 0, zone);
		allocated += z.allocated;
		sum += z.free + z.free_isolated + z.cached + z.allocated;
	}
	if (allocated != owned || sum != m->present)
		return ex_broken(m, allocated != owned ? "I6 frames that are allocated" : "I1 frames that there are",
		                 allocated != owned ? owned : m->present, allocated != owned ? allocated : sum);
	if (!ex_judge_area(m) || (m->alphabet.report && !ex_judge_device(m)))
		return false;
	return memcmp(m->memory, m->sealed_copy, m->sealed) == 0 || ex_broken(m, "what is sealed was written", 0, 1);
}
