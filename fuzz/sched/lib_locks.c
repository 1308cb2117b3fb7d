/* SPDX-License-Identifier: MIT
 *
 * lib_locks.c - see lib_run.h: the instance's locks, what may be called under them (lib/docs/locking.md), and whether what a lock
 * guards is whole when it is given up.
 *
 * It reads the library's own structures, as exhaust/canon.c does: calls of the library cannot look while a lock is held. Of a
 * zone only pageblocks are looked at whose maps or records were written to, and what its counters say of all of them.
 */
#include "lib_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leaf.h"
#include "zone.h"

enum lib_lock { LIB_SET, LIB_CPU, LIB_ZONE, LIB_REPORTER };

/* All maps and records of a zone of LIB_FRAMES frames, in units of 8 bytes; they lie one after the other. */
#define LIB_WATCHED 1024u

static struct {
	const unsigned char *start;
	size_t bytes;
	uint32_t bits[LIB_WATCHED]; /* bit per pageblock */
} watched;

static char text[120];

/* ---- a zone ---- */

static const char *zone_broken(size_t pb, size_t expected, size_t actual, const char *what)
{
	snprintf(text, sizeof(text), "%s: %zu, not %zu (pageblock %zu)", what, actual, expected, pb);
	return text;
}

/* The blocks in the index that hold a leaf which is free as a whole. */
static unsigned zone_blocks_around(const struct pfa *p, const struct pfai_zone *z, unsigned code, size_t leaf)
{
	unsigned nr = 0;

	for (unsigned order = p->leaf_order; order <= z->top_order; order++)
		nr += pfai_bitset_test(pfai_set_at(z, code, order), leaf << p->leaf_order >> order);
	return nr;
}

static const char *zone_leaf(const struct pfa *p, const struct pfai_zone *z, size_t pb, size_t leaf)
{
	const unsigned code = pfai_pb_code(&z->pb[pb]);
	const int order = pfai_leaf_fold(pfai_leaf_at(p, z, leaf), pfai_leaf_words(p), z->leaf_top);
	const unsigned value = order < 0 ? PFAI_LEAF_FULL : z->leaf_top - (unsigned)order;

	if (z->leaf[leaf] != value)
		return zone_broken(pb, value, z->leaf[leaf], "a leaf's largest order");
	if (order < 0)
		return NULL;
	const unsigned found = order == (int)p->leaf_order ? zone_blocks_around(p, z, code, leaf) :
	                       pfai_bitset_test(pfai_set_at(z, code, (unsigned)order), leaf);
	return found == 1 ? NULL : zone_broken(pb, 1, found, "places in the index that offer a free leaf");
}

/* Frames that are free say nothing. */
static const char *zone_bytes(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	const size_t first = pb << p->pb_order, end = first + ((size_t)1 << p->pb_order);

	for (size_t word = first >> PFAI_WORD_SHIFT; word < end >> PFAI_WORD_SHIFT; word++)
		for (pfai_word rest = ~z->not_free[word]; rest; rest &= rest - 1) {
			const size_t rel = (word << PFAI_WORD_SHIFT) + pfai_ctz(rest);
			const uint8_t byte = pfai_load_relaxed(&p->bytes[pfai_offset_of_rel(z, rel)]);
			if (byte != PFAI_NOTHING)
				return zone_broken(pb, 0, byte, "a free frame's byte");
		}
	return NULL;
}

static const char *zone_pageblock(const struct pfa *p, const struct pfai_zone *z, size_t pb)
{
	const size_t first = pb << p->pb_order >> PFAI_WORD_SHIFT, nr = (size_t)1 << (p->pb_order - PFAI_WORD_SHIFT);
	const unsigned leaves = 1u << (p->pb_order - p->leaf_order);
	const char *what = NULL;
	size_t used = 0, told = 0;

	for (size_t word = first; word < first + nr; word++) {
		used += pfai_popcount(z->not_free[word]);
		told += z->told ? pfai_popcount(z->told[word] & ~z->not_free[word]) : 0;
	}
	if (z->pb[pb].used != used)
		return zone_broken(pb, used, z->pb[pb].used, "frames in use");
	if (z->pb[pb].marked != told)
		return zone_broken(pb, told, z->pb[pb].marked, "frames known to the device");
	for (size_t leaf = pb * leaves; leaf < (pb + 1) * leaves && !what; leaf++)
		what = zone_leaf(p, z, pb, leaf);
	return what ? what : zone_bytes(p, z, pb);
}

/* What the pageblocks' records add up to. */
static const char *zone_counts(const struct pfa *p, const struct pfai_zone *z)
{
	size_t free[PFAI_PLANES] = { 0 }, held = 0, told = 0;

	for (size_t pb = 0; pb < z->nr_pb; pb++) {
		free[pfai_pb_code(&z->pb[pb])] += ((size_t)1 << p->pb_order) - z->pb[pb].used;
		held += pfai_pb_holder(&z->pb[pb]) != 0;
		told += z->pb[pb].marked;
	}
	for (unsigned code = 0; code < PFAI_PLANES; code++)
		if (free[code] != z->st->free[code])
			return zone_broken(0, free[code], z->st->free[code], "free frames of a type, in all pageblocks");
	if (held != z->st->nr_held)
		return zone_broken(0, held, z->st->nr_held, "held pageblocks");
	return told == z->st->told ? NULL : zone_broken(0, told, z->st->told, "frames known to the device, in all pageblocks");
}

static const char *zone_released(const struct pfa *p, uint32_t touched)
{
	const char *what = NULL;

	if (!touched)
		return NULL;
	for (uint32_t rest = touched; rest && !what; rest &= rest - 1)
		what = zone_pageblock(p, &p->zones[0], (size_t)__builtin_ctz(rest));
	return what ? what : zone_counts(p, &p->zones[0]);
}

/* ---- a cpu's cache ---- */

static const char *cpu_broken(size_t at, const char *what)
{
	snprintf(text, sizeof(text), "%s (%zu)", what, at);
	return text;
}

static const char *cpu_slot(const struct pfa *p, struct pfai_cpu *c, size_t slot)
{
	const struct pfai_slot *s = &c->slots[slot];

	if (s->start == PFAI_SLOT_ABANDONED)
		return NULL;
	if (s->n > s->cap)
		return cpu_broken(s->n, "a slot holds more than it can");
	const uint32_t *entries = pfai_entries_at(c, s->start);
	for (unsigned i = 0; i < s->n; i++) {
		if (entries[i] >= p->span)
			return cpu_broken(entries[i], "a cached block outside of the zone");
		const uint8_t byte = pfai_load_relaxed(&p->bytes[entries[i]]);
		if ((byte & ~(unsigned)PFAI_ZERO_BIT) != (PFAI_CACHED | pfai_slot_order(p, slot)))
			return cpu_broken(byte, "a cached block's byte");
		for (unsigned k = 0; k < i; k++)
			if (entries[k] == entries[i])
				return cpu_broken(entries[i], "a block is cached twice");
	}
	return NULL;
}

static const char *cpu_quarantine(const struct pfa *p, struct pfai_cpu *c)
{
	struct pfai_full *f = pfai_full_of(p, c);
	const struct pfai_quarantined *q = &pfai_quarantined(f)[0];
	size_t frames = 0;

	if (f->n > f->cap)
		return cpu_broken(f->n, "a quarantine holds more than it can");
	for (uint32_t i = 0; i < f->n; i++) {
		const uint32_t at = pfai_quarantine_ring(p, f)[(f->first + i) % p->quarantine];
		const uint8_t byte = at < p->span ? pfai_load_relaxed(&p->bytes[at]) : PFAI_NOTHING;
		if ((byte & PFAI_STATE_MASK) != PFAI_QUARANTINE)
			return cpu_broken(byte, "a quarantined block's byte");
		frames += (size_t)1 << (byte & PFAI_ORDER_MASK);
	}
	return frames == q->in - q->out ? NULL : cpu_broken(q->in - q->out, "frames in a quarantine");
}

static const char *cpu_released(const struct pfa *p, struct pfai_cpu *c)
{
	const char *what = NULL;
	size_t held = 0;

	for (size_t slot = 0; slot < pfai_slots_per_cpu(p) && !what; slot++) {
		held += c->slots[slot].n;
		what = c->slots[slot].n ? cpu_slot(p, c, slot) : NULL;
	}
	if (!what && pfai_level(p, 3)) {
		held += pfai_full_of(p, c)->n;
		what = cpu_quarantine(p, c);
	}
	if (!what && held && !pfai_load_relaxed(&c->held))
		what = cpu_broken(held, "a cpu's cache says that it holds nothing");
	return what;
}

static const char *lib_released(void *ctx, unsigned kind, unsigned nr, uint32_t *touched)
{
	const struct pfa *p = lib.pfa;
	const uint32_t seen = *touched;

	(void)ctx;
	if (kind == LIB_CPU)
		return cpu_released(p, pfai_cpu_at(p, nr));
	if (kind != LIB_ZONE)
		return NULL;
	*touched = 0;
	return zone_released(p, seen);
}

/* ---- the program's locks ---- */

/* Nothing runs then: what is not watched is not looked at, and nobody would see that. */
static void lib_laid_out_otherwise(void)
{
	fprintf(stderr, "sched: the library lays a zone out in another way than lib_locks.c knows\n");
	exit(2);
}

/* Equal parts of the map belong to the zone's pageblocks. */
static void lib_watch_map(const void *map, size_t bytes, size_t nr_pb)
{
	const size_t from = (size_t)((uintptr_t)map - (uintptr_t)watched.start);

	if (from > watched.bytes || bytes > watched.bytes - from)
		lib_laid_out_otherwise();
	for (size_t i = 0; i < bytes; i++)
		watched.bits[(from + i) >> 3] |= UINT32_C(1) << (i * nr_pb / bytes);
}

void lib_find_locks(void)
{
	const struct pfai_zone *z = &lib.pfa->zones[0];

	memset(&watched, 0, sizeof(watched));
	watched.start = (const unsigned char *)z->not_free;
	watched.bytes = (size_t)((uintptr_t)z->leaf + z->nr_leaves - (uintptr_t)watched.start);
	if (watched.bytes > 8 * LIB_WATCHED || z->nr_pb > 32)
		lib_laid_out_otherwise();
	lib_watch_map(z->not_free, z->nr_rel / 8, z->nr_pb);
	if (z->told)
		lib_watch_map(z->told, z->nr_rel / 8, z->nr_pb);
	lib_watch_map(z->pb, z->nr_pb * sizeof(*z->pb), z->nr_pb);
	lib_watch_map(z->leaf, z->nr_leaves, z->nr_pb);
}

void lib_name_locks(void)
{
	const struct pfa *p = lib.pfa;

	sched_is_lock((const void *)&p->st->set_lock.word, LIB_SET, 0);
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
		sched_is_lock((const void *)&pfai_cpu_at(p, cpu)->lock.word, LIB_CPU, cpu);
	sched_is_lock((const void *)&p->zones[0].st->lock.word, LIB_ZONE, 0);
	if (p->report)
		sched_is_lock((const void *)&p->report->busy.word, LIB_REPORTER, 0);
	sched_watch(watched.start, watched.bytes, watched.bits);
}

/* Whatever a device calls runs under the reporter's lock. */
#define LIB_ANYWHERE (1u << LIB_REPORTER)
#define LIB_OUTER (LIB_ANYWHERE | 1u << LIB_SET | 1u << LIB_CPU)

void lib_called(const char *what)
{
	sched_called(what, LIB_ANYWHERE);
}

static const char *const kinds[] = {
	[LIB_SET] = "the set's lock",
	[LIB_CPU] = "the lock of cpu",
	[LIB_ZONE] = "the lock of zone",
	[LIB_REPORTER] = "the reporter's lock",
};

/* platform.fatal: see lib_fatal(), since what it is told of decides. */
const struct sched_locks lib_locks = {
	.kinds = kinds,
	.may_hold = { [PFA_SIM_CPU] = LIB_ANYWHERE,  [PFA_SIM_SELF] = UINT8_MAX,     [PFA_SIM_WAIT] = LIB_OUTER,
	              [PFA_SIM_WAKE] = LIB_OUTER,    [PFA_SIM_NOW] = LIB_OUTER,      [PFA_SIM_ZERO] = LIB_ANYWHERE,
	              [PFA_SIM_FATAL] = UINT8_MAX,   [PFA_SIM_TAG] = LIB_ANYWHERE,   [PFA_SIM_BACKTRACE] = LIB_ANYWHERE },
	.released = lib_released,
};
