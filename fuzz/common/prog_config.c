/* SPDX-License-Identifier: MIT
 *
 * prog_config.c - brings any configuration into the ranges that program.h states.
 */
#include "prog_internal.h"

#define CMA_FIRST_MAX 15u
#define CMA_NR_MAX 7u
#define FAR_STEP (UINT32_C(1) << 26)

static uint32_t bounded(uint32_t value, uint32_t low, uint32_t high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

void prog_zone_order(const struct prog_config *c, unsigned out[PROG_ZONES_MAX])
{
	for (unsigned i = 0; i < c->nr_zones; i++) {
		unsigned at = i;

		for (; at > 0 && c->zones[out[at - 1]].start > c->zones[i].start; at--)
			out[at] = out[at - 1];
		out[at] = i;
	}
}

uint32_t prog_span_start(const struct prog_config *c)
{
	uint32_t start = c->zones[0].start;

	for (unsigned i = 1; i < c->nr_zones; i++)
		if (c->zones[i].start < start)
			start = c->zones[i].start;
	return start;
}

uint32_t prog_span_end(const struct prog_config *c)
{
	uint32_t end = 0;

	for (unsigned i = 0; i < c->nr_zones; i++)
		if (c->zones[i].start + c->zones[i].nr > end)
			end = c->zones[i].start + c->zones[i].nr;
	return end;
}

/* Zones: not empty, not too large together, disjoint, with bounded gaps, near a multiple of FAR_STEP. */
static void place_zones(struct prog_config *c)
{
	uint32_t left = PROG_FRAMES_TOTAL, end = 0;
	unsigned order[PROG_ZONES_MAX];

	for (unsigned i = 0; i < c->nr_zones; i++) {
		uint32_t most = left - (c->nr_zones - 1 - i);

		c->zones[i].nr = bounded(c->zones[i].nr, 1, most < PROG_FRAMES_MAX ? most : PROG_FRAMES_MAX);
		left -= c->zones[i].nr;
	}
	prog_zone_order(c, order);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		struct prog_zone *z = &c->zones[order[i]];

		if (i == 0)
			z->start = z->start / FAR_STEP * FAR_STEP + bounded(z->start % FAR_STEP, 0, PROG_GAP_MAX);
		else
			z->start = end + bounded(z->start > end ? z->start - end : 0, 0, PROG_GAP_MAX);
		end = z->start + z->nr;
	}
}

/* Holes: inside the zone, ascending, not overlapping, at most as many as there is room for. */
static void place_holes(struct prog_zone *z, unsigned *room)
{
	struct prog_run kept[PROG_HOLES_MAX];
	unsigned nr = 0;
	uint32_t end = z->start + z->nr;

	for (unsigned i = 0; i < z->nr_holes && i < PROG_HOLES_MAX; i++) {
		struct prog_run hole = z->holes[i];
		unsigned at = nr;

		if (hole.start < z->start || hole.start >= end || hole.nr == 0 || nr == *room)
			continue;
		hole.nr = bounded(hole.nr, 1, bounded(end - hole.start, 1, PROG_HOLE_MAX));
		for (; at > 0 && kept[at - 1].start > hole.start; at--)
			;
		if (at > 0 && kept[at - 1].start + kept[at - 1].nr > hole.start)
			continue;
		if (at < nr && hole.start + hole.nr > kept[at].start)
			hole.nr = kept[at].start - hole.start;
		if (hole.nr == 0)
			continue;
		for (unsigned k = nr++; k > at; k--)
			kept[k] = kept[k - 1];
		kept[at] = hole;
	}
	for (unsigned i = 0; i < nr; i++)
		z->holes[i] = kept[i];
	z->nr_holes = nr;
	*room -= nr;
}

/* CMA: a few whole pageblocks without holes. */
static void place_cma(const struct prog_config *c, struct prog_zone *z)
{
	uint32_t size = UINT32_C(1) << c->pageblock_order;
	uint32_t first = z->start / size + (z->start % size != 0), last = (z->start + z->nr) / size;
	uint32_t from = z->cma.start / size, nr = z->cma.nr / size;

	z->cma.start = z->cma.start % size ? UINT32_MAX : z->cma.start;
	if (nr == 0 || z->cma.start == UINT32_MAX || from < first || from >= last || from - first > CMA_FIRST_MAX) {
		z->cma = (struct prog_run){ 0, 0 };
		return;
	}
	nr = bounded(nr, 1, bounded(last - from, 1, CMA_NR_MAX));
	for (unsigned i = 0; i < z->nr_holes; i++) {
		uint32_t hole_end = z->holes[i].start + z->holes[i].nr;

		if (hole_end > from * size && z->holes[i].start < (from + nr) * size)
			nr = z->holes[i].start > from * size ? (z->holes[i].start / size - from) : 0;
	}
	z->cma = nr ? (struct prog_run){ from * size, nr * size } : (struct prog_run){ 0, 0 };
}

static void fix_marks(struct prog_zone *z)
{
	z->mark_min = bounded(z->mark_min, 0, 127);
	z->mark_low = bounded(z->mark_low, z->mark_min, z->mark_min + 127);
	z->mark_high = bounded(z->mark_high, z->mark_low, z->mark_low + 127);
	z->highatomic = bounded(z->highatomic, 0, 127 * 32) / 32 * 32;
}

void prog_config_canonicalise(struct prog_config *c)
{
	unsigned most_cached, room = PROG_HOLES_MAX;

	c->version = bounded(c->version, 1, PROG_VERSION);
	c->swarm &= prog_swarm_all();
	if (c->swarm)
		c->swarm |= 1u << PROG_GROUP_BLOCK;
	if (c->swarm == prog_swarm_all())
		c->swarm = 0;
	c->frame_shift = bounded(c->frame_shift, 6, 16);
	c->pageblock_order = bounded(c->pageblock_order, 6, 20);
	c->max_order = bounded(c->max_order, 0, 31);
	c->cpus = bounded(c->cpus, 1, 16);
	c->cache_high = bounded(c->cache_high, 0, PROG_CACHE_NONE);
	c->cache_batch = bounded(c->cache_batch, 0, 63);
	most_cached = bounded(c->max_order, 0, 9);
	if (c->cache_max_order != PROG_CACHE_ORDER_0)
		c->cache_max_order = bounded(c->cache_max_order, 0, most_cached);
	if (c->pool >= PROG_POOLS)
		c->pool = PROG_POOL_CONTENT;
	if (c->cpu_way >= PROG_CPU_WAYS)
		c->cpu_way = PROG_CPU_OP;
	if (c->check >= PROG_CHECKS)
		c->check = PROG_CHECK_TOUCHED;
	c->hardening = bounded(c->hardening, 0, 3);
	c->huge = bounded(c->huge, 0, 1);
	c->owners = bounded(c->owners, 0, PROG_OWNERS_MAX);
	c->history = bounded(c->history, 0, 16);
	c->traces = c->history ? bounded(c->traces, 0, PROG_TRACES_MAX) : 0;
	if (c->huge) /* the full walk would take longer than all else */
		c->check = PROG_CHECK_TOUCHED;
	if (c->huge) { /* and maps of so many frames */
		c->history = c->traces = 0;
		c->generations = false;
		c->owners = 0;
	}
	if (c->hardening < 3 || c->huge) {
		c->quarantine = 0;
		c->poison = PROG_POISON_NONE;
	}
	c->quarantine = bounded(c->quarantine, 0, PROG_QUARANTINE_DEFAULT);
	if (c->poison >= PROG_POISONS || c->pool != PROG_POOL_CONTENT)
		c->poison = PROG_POISON_NONE;
	if (c->poison == PROG_POISON_LINES || c->poison == PROG_POISON_ALL) /* such frames are never known to be zero */
		c->zeroed_pool = c->track_zero = false;
	c->threads = bounded(c->threads, 1, PROG_THREADS_MAX);
	c->seed = bounded(c->seed, 0, 255);
	if (c->bad >= PROG_SPOILS)
		c->bad = PROG_SPOIL_NONE;
	c->bad_variant = c->bad == PROG_SPOIL_NONE ? 0 : bounded(c->bad_variant, 0, 255);
	c->nr_zones = bounded(c->nr_zones, 1, PROG_ZONES_MAX);
	place_zones(c);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		place_holes(&c->zones[i], &room);
		place_cma(c, &c->zones[i]);
		fix_marks(&c->zones[i]);
	}
}
