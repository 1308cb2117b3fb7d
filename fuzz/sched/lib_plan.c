/* SPDX-License-Identifier: MIT
 *
 * lib_plan.c - see lib_internal.h: what each line of a program waits for; and the configuration that the explorer makes of a
 * program's.
 */
#include "lib_internal.h"

#include <pfa/config.h>
#include <pfa/report.h>

#include <string.h>

/* ---- the configuration ---- */

static uint32_t plan_most(uint32_t value, uint32_t most)
{
	return value < most ? value : most;
}

static void plan_sizes(const struct prog_config *c)
{
	const uint32_t frames = plan_most(c->zones[0].nr, LIB_FRAMES);

	lib.base = c->zones[0].start ? c->zones[0].start : 64; /* so that no block is frame 0 */
	lib.frames = frames < 64 ? 64 : frames;
	lib.pageblock_order = plan_most(c->pageblock_order, LIB_ORDERS);
	lib.max_order = plan_most(c->max_order, LIB_ORDERS);
}

void lib_configure(const struct prog_config *from, struct pfa_zone_config *zone, struct pfa_config *to)
{
	*zone = (struct pfa_zone_config){ .size = sizeof(*zone), .start = lib.base, .nr_frames = lib.frames };
	pfa_config_init(to);
	to->zones = zone;
	to->nr_zones = 1;
	to->frame_shift = LIB_SHIFT;
	to->max_order = lib.max_order ? lib.max_order : PFA_EXPLICIT_0;
	to->pageblock_order = lib.pageblock_order;
	to->nr_cpus = plan_most(from->cpus, LIB_CPUS);
	/* Small ones, that run over and dry. */
	to->cache_high = from->cache_high == PROG_CACHE_NONE ? PFA_EXPLICIT_0 : from->cache_high ? plan_most(from->cache_high, 8) : 4;
	to->cache_batch = plan_most(from->cache_batch, to->cache_high == PFA_EXPLICIT_0 ? 0 : to->cache_high);
	to->fatal_policy = PFA_FATAL_REPORT;
	to->hardening = from->hardening;
	if (from->hardening == 3)
		to->quarantine = from->quarantine ? plan_most(from->quarantine, 8) : PFA_EXPLICIT_0;
	to->max_owners = 1;
	to->history = plan_most(from->history, 4);
	to->flags = PFA_CONFIG_REPORTING | (from->generations ? PFA_CONFIG_GENERATIONS : 0) | (from->track_zero ? PFA_CONFIG_TRACK_ZERO : 0);
	to->seed = from->seed;
	to->pool = lib.content;
	to->pool_pfn = lib.base;
	to->pool_bytes = (size_t)lib.frames << LIB_SHIFT;
}

/* ---- lines ---- */

bool lib_is_race(unsigned kind)
{
	return kind == OP_FREE_RACE || kind == OP_SPLIT_RACE || kind == OP_FREE_CHECKED_RACE;
}

static void plan_lines(const struct program *p)
{
	uint8_t handle[PROG_OPS_MAX]; /* of what the operation yields */

	lib.nr_lines = lib.nr_handles = lib.first = 0;
	for (unsigned i = 0; i < p->nr_ops && lib.nr_lines < LIB_LINES; i++) {
		const struct prog_op *op = &p->ops[i];
		struct lib_line *line = &lib.lines[lib.nr_lines++];

		*line = (struct lib_line){ .op = op, .yields = LIB_HANDLES, .uses = LIB_HANDLES };
		if (op->ref != PROG_NO_REF)
			line->uses = handle[op->ref];
		if (prog_kind(op->kind)->yields && lib.nr_handles < LIB_HANDLES)
			line->yields = (uint8_t)lib.nr_handles++;
		handle[i] = line->yields;
		if (op->kind == OP_START)
			lib.first = lib.nr_lines;
	}
}

/* Whether line i has to wait for line k before it. */
static bool plan_waits(unsigned i, unsigned k, unsigned barrier)
{
	const struct lib_line *line = &lib.lines[i], *before = &lib.lines[k];

	if (before->op->thread == line->op->thread)
		return false;
	if (k < barrier || (line->op->kind == OP_JOIN && line->op->arg[0] == before->op->thread))
		return true;
	if (line->uses == LIB_HANDLES)
		return false;
	return before->yields == line->uses ||
	       (before->uses == line->uses && !(lib_is_race(line->op->kind) && lib_is_race(before->op->kind)));
}

static void plan_order(void)
{
	unsigned barrier = 0;

	for (unsigned i = lib.first; i < lib.nr_lines; i++) {
		if (lib.lines[i].op->kind == OP_BARRIER)
			barrier = i + 1;
		for (unsigned k = lib.first; k < i; k++)
			if (plan_waits(i, k, barrier)) {
				lib.lines[i].waits |= UINT64_C(1) << k;
				lib.lines[k].awaited = true;
			}
	}
}

/* How many frames a line asks for, at most. */
static uint64_t plan_asks(const struct prog_op *op)
{
	switch (op->kind) {
	case OP_ALLOC:
	case OP_ALLOC_CHECKED:
		return UINT64_C(1) << op->arg[0];
	case OP_ALLOC_BULK:
		return op->arg[1] << op->arg[0];
	case OP_ALLOC_EXACT:
		return op->arg[1] > 4 ? LIB_FRAMES : 2 * op->arg[0];
	default:
		return 0;
	}
}

/* Where little is asked for, in small pieces, and nobody holds or takes ranges, there is memory at every instant. */
static bool plan_is_tight(void)
{
	uint64_t asks = 0;

	for (unsigned i = 0; i < lib.nr_lines; i++) {
		const uint64_t one = plan_asks(lib.lines[i].op);
		asks += one;
		if (one > 16 || lib.lines[i].op->kind == OP_ISOLATE || lib.lines[i].op->kind == OP_CONTIG || lib.lines[i].op->kind == OP_DEVICE_REGISTER)
			return true;
	}
	return asks > lib.frames / 3 || lib.frames < 128 || lib.max_order < 4;
}

void lib_plan(const struct program *program, bool lenient)
{
	lib.program = program;
	plan_sizes(&program->config);
	plan_lines(program);
	plan_order();
	lib.contested = lib.unprotected = false;
	for (unsigned i = 0; i < lib.nr_lines; i++) {
		const unsigned kind = lib.lines[i].op->kind;
		lib.contested |= lib_is_race(kind);
		lib.unprotected |= kind == OP_FREE_RACE || kind == OP_SPLIT_RACE;
	}
	lib.lenient = lenient || plan_is_tight();
}
