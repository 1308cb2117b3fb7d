/* SPDX-License-Identifier: MIT
 *
 * From within: each check of level 2 and 3 has a word that it alone distrusts. That word is damaged, and the very call that
 * comes across it must tell, or go on as if nothing was; also on the paths without a cpu op, which have checks of their own.
 */
#include "unit.h"

#include <string.h>

#include "quarantine.h"

enum { FRAMES = 1024, CAP = 8, QUARANTINE = 4 };

static struct {
	struct rig rig;
	struct pfa *p;
	struct pfai_cpu *c;
	struct pfai_zone *z; /* the first one, where the damage is */
	const char *way;
	uint32_t level;
} t;

/* Two zones of FRAMES frames from 0, one cpu. */
static void start(uint32_t level, enum rig_cpu_way way, uint32_t high)
{
	rig_cpu_way = way;
	rig_init(&t.rig);
	rig_zone(&t.rig, 0, FRAMES);
	rig_zone(&t.rig, FRAMES, FRAMES);
	t.rig.cfg.hardening = level;
	t.rig.cfg.cache_high = high;
	t.rig.cfg.quarantine = level == 3 ? QUARANTINE : 0;
	t.rig.cfg.pageblock_order = 7;
	rig_start(&t.rig);
	t.p = t.rig.pfa;
	t.c = pfai_cpu_at(t.p, 0);
	t.z = &t.p->zones[0];
	t.way = rig_cpu_way_names[way];
	t.level = level;
}

static void each(uint32_t high, void (*body)(void))
{
	const enum rig_cpu_way was = rig_cpu_way;
	for (uint32_t level = 2; level <= PFA_HARDENING; level++)
		for (int way = 0; way < RIG_CPU_WAYS; way++) {
			start(level, (enum rig_cpu_way)way, high);
			body();
			rig_drop(&t.rig);
		}
	rig_cpu_way = was;
}

/* Damage was met: told once, as the fault of this call. */
static void told(enum pfa_fault_kind kind, const char *function)
{
	if (t.rig.fault.nr != 1 || t.rig.fault.kind != kind || strcmp(t.rig.fault.function, function) != 0)
		rig_fail(__FILE__, __LINE__, "level %u, cpu by %s: %u faults, the last of kind %d by %s", t.level, t.way, t.rig.fault.nr,
		         (int)t.rig.fault.kind, t.rig.fault.function);
}

static pfa_pfn grant(unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, t.p, order, flags, &pfn);
	return pfn;
}

static size_t slot_of(unsigned zone, unsigned code, unsigned order)
{
	return pfai_slot_of(t.p, zone, code, order);
}

static uint32_t *entries(size_t slot)
{
	return pfai_entries_at(t.c, t.p->homes[slot].start);
}

/* The slot of single movable frames is full, so that each path takes from it at once. */
static struct pfai_slot *fill(unsigned zone)
{
	static pfa_pfn pfns[FRAMES / 4];
	struct pfai_slot *s = &t.c->slots[slot_of(zone, PFAI_CODE_MOVABLE, 0)];
	size_t nr = 0;
	while (nr < FRAMES / 4)
		pfns[nr++] = grant(0, PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone));
	while (s->n < t.p->homes[s - t.c->slots].cap) {
		MUST(nr);
		EXPECT(pfa_free, PFA_OK, t.p, pfns[--nr], 0);
	}
	t.c->first = (uint32_t)slot_of(zone, 0, 0);
	return s;
}

/* ---- the fast paths' own checks --------------------------------------------------------------------------------- */

/* The row that served last is a hint: a wrong one costs time only. */
static void row(void)
{
	static const uint32_t firsts[] = {1, 2, 1u << 30, UINT32_MAX};
	for (unsigned i = 0; i < 4 + 2; i++) {
		const unsigned shift = t.p->slot_shift;
		t.c->first = i < 4 ? firsts[i] : (i - 3) << shift; /* one type too far, two */
		const pfa_pfn pfn = grant(0, i % 2 ? PFA_MOVABLE : PFA_RECLAIMABLE);
		assert_int_equal(rig_info(&t.rig, pfn).state, PFA_FRAME_HEAD);
		assert_int_equal(rig_info(&t.rig, pfn).order, 0);
		assert_int_equal(rig_type(&t.rig, pfn), i % 2 ? PFA_TYPE_MOVABLE : PFA_TYPE_RECLAIMABLE);
		assert_int_equal(t.c->first, 0);
	}
	assert_int_equal(t.rig.fault.nr, 0);
	rig_check(&t.rig);
}

/* A slot says that it holds more than it can; behind its part lies the entry of a cached block that another slot has. */
static void count(uint32_t flags)
{
	pfa_pfn pfn;
	(void)grant(0, PFA_UNMOVABLE);
	const size_t other = slot_of(0, PFAI_CODE_UNMOVABLE, 0);
	struct pfai_slot *s = fill(0);
	MUST(t.c->slots[other].n);
	entries((size_t)(s - t.c->slots))[s->cap] = entries(other)[0];
	s->n++;
	EXPECT(pfa_alloc, PFA_ECORRUPT, t.p, 0, PFA_MOVABLE | flags, &pfn);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_alloc");
}

static void count_exact(void) /* past the fast paths */
{
	count(PFA_EXACT_ZONE);
}

static void count_any(void)
{
	count(0);
}

/* A slot says that its entries are where another one's are. The fast paths do not ask it. */
static void start_elsewhere(void)
{
	pfa_pfn pfn;
	(void)grant(0, PFA_UNMOVABLE);
	const size_t other = slot_of(0, PFAI_CODE_UNMOVABLE, 0);
	struct pfai_slot *s = fill(0);
	MUST(t.c->slots[other].n);
	s->start = t.p->homes[other].start;
	s->n = t.c->slots[other].n;
	EXPECT(pfa_alloc, PFA_ECORRUPT, t.p, 0, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_alloc");
}

/* A slot's entry names a cached block of the other zone, which has it in its own slot. */
static void entry(void)
{
	pfa_pfn pfn;
	const struct pfai_slot *other = fill(1);
	struct pfai_slot *s = fill(0);
	const uint32_t foreign = entries((size_t)(other - t.c->slots))[0];
	MUST(other->n);
	entries((size_t)(s - t.c->slots))[s->n - 1] = foreign;
	EXPECT(pfa_alloc, PFA_ECORRUPT, t.p, 0, PFA_MOVABLE, &pfn);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_alloc");
	assert_int_equal(rig_info(&t.rig, foreign).state, PFA_FRAME_CACHED);
}

static void entry_beyond(void)
{
	pfa_pfn pfn;
	struct pfai_slot *s = fill(0);
	entries((size_t)(s - t.c->slots))[s->n - 1] = UINT32_MAX;
	EXPECT(pfa_alloc, PFA_ECORRUPT, t.p, 0, PFA_MOVABLE, &pfn);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_alloc");
}

/* Met by a drain, which gives the foreign block back into the wrong zone's map otherwise. */
static void entry_drained(void)
{
	const struct pfai_slot *other = fill(1);
	struct pfai_slot *s = fill(0);
	const uint32_t foreign = entries((size_t)(other - t.c->slots))[0];
	MUST(other->n);
	entries((size_t)(s - t.c->slots))[0] = foreign;
	entries((size_t)(s - t.c->slots))[1] = UINT32_MAX;
	EXPECT(pfa_cache_drain, PFA_ECORRUPT, t.p, 0);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_cache_drain");
	assert_int_equal(t.p->zones[1].st->corrupt, PFAI_DAMAGE_NONE);
}

/* A block's byte is another one than its slot's: another order, or somebody's. */
static void cached_byte(void)
{
	pfa_pfn pfn;
	struct pfai_slot *s = fill(0);
	t.p->bytes[entries((size_t)(s - t.c->slots))[s->n - 1]] = t.level == 2 ? PFAI_HEAD : PFAI_CACHED | 1;
	EXPECT(pfa_alloc, PFA_ECORRUPT, t.p, 0, PFA_MOVABLE, &pfn);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_alloc");
}

/* ---- frees -------------------------------------------------------------------------------------------------------- */

/* A route into the other zone, or behind all slots. Level 3 asks when the block leaves the quarantine. */
static void route_says(unsigned route)
{
	const pfa_pfn pfn = grant(0, PFA_MOVABLE);
	const uint8_t was = t.p->routes[pfn >> t.p->pb_order];
	struct pfai_full *f = t.level == 3 ? pfai_full_of(t.p, t.c) : NULL;
	t.p->routes[pfn >> t.p->pb_order] = (uint8_t)route;
	if (t.level == 2) {
		EXPECT(pfa_free, PFA_ECORRUPT, t.p, pfn, 0);
		told(PFA_FAULT_CORRUPT_CACHE, "pfa_free");
		assert_int_equal(rig_info(&t.rig, pfn).state, PFA_FRAME_HEAD);
		return;
	}
	EXPECT(pfa_free, PFA_OK, t.p, pfn, 0);
	assert_int_equal(rig_info(&t.rig, pfn).state, PFA_FRAME_QUARANTINE);
	assert_int_equal(pfai_quarantined(f)[0].in, 1);
	assert_int_equal(pfai_quarantined(f)[1].in, 0);
	t.p->routes[pfn >> t.p->pb_order] = was;
	rig_check(&t.rig);
}

static void route_other_zone(void)
{
	route_says(1u << PFAI_ROUTE_ZONE_SHIFT | PFAI_CODE_MOVABLE);
}

static void route_beyond(void)
{
	route_says(0xFF);
}

/* What the slot says of itself, met by the block that goes into it: n too large, start, cap. At level 3 that is the one that
 * leaves the quarantine. */
static void slot_says(unsigned what)
{
	pfa_pfn pfns[QUARANTINE + 2];
	int err = PFA_OK;
	for (unsigned i = 0; i < QUARANTINE + 2; i++)
		pfns[i] = grant(0, PFA_MOVABLE);
	struct pfai_slot *s = &t.c->slots[slot_of(0, PFAI_CODE_MOVABLE, 0)];
	if (what == 0)
		s->n = (uint16_t)(t.p->homes[s - t.c->slots].cap + 1);
	else if (what == 1)
		s->start += 2;
	else
		s->cap = (uint16_t)(s->cap + 3);
	for (unsigned i = 0; i < QUARANTINE + 2 && err == PFA_OK; i++)
		err = pfa_free(t.p, pfns[i], 0);
	if (err == PFA_OK) /* the fast paths take start and cap from what is constant */
		err = pfa_cache_drain(t.p, 0);
	MUST_EQ(err, PFA_ECORRUPT);
	assert_int_equal(t.rig.fault.kind, PFA_FAULT_CORRUPT_CACHE);
	assert_int_equal(t.rig.fault.nr, 1);
}

static void slot_n(void)
{
	slot_says(0);
}

static void slot_start(void)
{
	slot_says(1);
}

static void slot_cap(void)
{
	slot_says(2);
}

/* ---- a zone's free memory: no caches between ------------------------------------------------------------------------- */

static void zone_tells(int err, const char *function)
{
	MUST_EQ(err, PFA_ECORRUPT);
	told(PFA_FAULT_CORRUPT_FREE, function);
}

/* The index offers the buddy, which is somebody's: the block that comes back does not merge with it. */
static void merge(void)
{
	const unsigned order = t.p->leaf_order;
	const size_t frames = (size_t)1 << order;
	pfa_pfn first, second;
	EXPECT(pfa_alloc_window, PFA_OK, t.p, order, PFA_MOVABLE, ((struct pfa_run){0, frames}), &first);
	EXPECT(pfa_alloc_window, PFA_OK, t.p, order, PFA_MOVABLE, ((struct pfa_run){frames, frames}), &second);
	pfai_bitset_add(pfai_set_at(t.z, PFAI_CODE_MOVABLE, order), pfai_set_bits(t.p, t.z, order), 1);
	int err = pfa_free(t.p, first, order);
	if (t.level == 3 && err == PFA_OK)
		err = pfa_cache_drain(t.p, 0);
	zone_tells(err, t.level == 3 ? "pfa_cache_drain" : "pfa_free");
}

/* A pageblock's type that does not exist: neither an index, nor believed. */
static void code(void)
{
	const pfa_pfn pfn = grant(3, PFA_MOVABLE);
	t.z->pb[pfn >> t.p->pb_order].code = PFAI_CODES;
	int err = pfa_free(t.p, pfn, 3);
	if (err == PFA_OK)
		err = pfa_cache_drain(t.p, 0);
	MUST_EQ(err, PFA_ECORRUPT);
	/* CMA is the last type; its counter is the last in its array, and its sets are the last of the zone. */
	assert_int_equal(t.z->st->free[PFAI_CODE_CMA], 0);
	assert_int_equal(t.z->st->reserved_high, 0);
	assert_int_equal(t.z->st->nonempty[PFAI_CODE_CMA], 0);
}

static void leaf(void)
{
	const pfa_pfn pfn = grant(3, PFA_MOVABLE);
	t.z->leaf[pfn >> t.p->leaf_order] = (uint8_t)(t.z->leaf_top + 1);
	int err = pfa_free(t.p, pfn, 3);
	if (err == PFA_OK)
		err = pfa_cache_drain(t.p, 0);
	MUST_EQ(err, PFA_ECORRUPT);
	assert_int_equal(t.rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
}

/* Counters that would go below zero, or beyond what there is. */
static void counter(unsigned what)
{
	pfa_pfn pfn = grant(3, PFA_MOVABLE);
	struct pfai_pb *pb = &t.z->pb[pfn >> t.p->pb_order];
	int err = PFA_OK;
	if (what == 0)
		pb->used = 0;
	else if (what == 1)
		t.z->st->free[PFAI_CODE_MOVABLE] = t.z->st->present;
	else
		pb->used = (1u << t.p->pb_order) - 1;
	if (what == 2)
		for (unsigned i = 0; i < FRAMES && err == PFA_OK; i++)
			err = pfa_alloc(t.p, 3, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn);
	else
		err = pfa_free(t.p, pfn, 3);
	if (err == PFA_OK)
		err = pfa_cache_drain(t.p, 0);
	MUST_EQ(err, PFA_ECORRUPT);
	assert_int_equal(t.rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
	assert_int_equal(t.rig.fault.nr, 1);
}

static void used_below_zero(void)
{
	counter(0);
}

static void free_beyond(void)
{
	counter(1);
}

static void used_beyond(void)
{
	counter(2);
}

/* An index set has lost a leaf that is in it, or has one already that is about to join it. */
static void index_element(bool there)
{
	pfa_pfn pfn = grant(3, PFA_MOVABLE);
	const size_t at = pfn >> t.p->leaf_order, frames = (size_t)1 << t.p->leaf_order;
	const unsigned order = t.z->leaf_top - t.z->leaf[at]; /* what it offers: its class */
	int err = PFA_OK;
	MUST(t.z->leaf[at] != PFAI_LEAF_FULL && order > 0 && order < t.p->leaf_order);
	if (there) {
		pfai_bitset_add(pfai_set_at(t.z, PFAI_CODE_MOVABLE, order - 1), pfai_set_bits(t.p, t.z, order - 1), at);
		err = pfa_alloc_window(t.p, order, PFA_MOVABLE, (struct pfa_run){at * frames, frames}, &pfn);
	} else {
		(void)pfai_bitset_del(pfai_set_at(t.z, PFAI_CODE_MOVABLE, order), pfai_set_bits(t.p, t.z, order), at);
		err = pfa_free(t.p, pfn, 3);
		if (err == PFA_OK)
			err = pfa_cache_drain(t.p, 0);
	}
	MUST_EQ(err, PFA_ECORRUPT);
	assert_int_equal(t.rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
}

static void index_lost(void)
{
	index_element(false);
}

static void index_double(void)
{
	index_element(true);
}

/* ---- level 3's queue -------------------------------------------------------------------------------------------------- */

/* The queue's own figures, met by the next free: nothing is written outside of the ring, and the zone refuses. */
static void queue(unsigned what)
{
	if (t.level < 3)
		return;
	struct pfai_full *f = pfai_full_of(t.p, t.c);
	const pfa_pfn pfn = grant(0, PFA_MOVABLE), next = grant(0, PFA_MOVABLE);
	EXPECT(pfa_free, PFA_OK, t.p, pfn, 0);
	assert_int_equal(f->n, 1);
	const uint32_t behind = pfai_quarantine_ring(t.p, f)[-1];
	if (what == 0)
		f->first = t.p->quarantine;
	else if (what == 1)
		f->n = t.p->quarantine + 1;
	else
		f->first = UINT32_MAX;
	EXPECT(pfa_free, PFA_ECORRUPT, t.p, next, 0);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_free");
	assert_int_equal(pfai_quarantine_ring(t.p, f)[-1], behind);
	MUST(f->n <= t.p->quarantine && f->first < t.p->quarantine);
}

static void queue_first(void)
{
	queue(0);
}

static void queue_n(void)
{
	queue(1);
}

static void queue_first_wraps(void)
{
	queue(2);
}

/* An entry of the queue that names no block in quarantine: HEAD, or one of another order's alignment. */
static void queue_entry(void)
{
	if (t.level < 3)
		return;
	struct pfai_full *f = pfai_full_of(t.p, t.c);
	const pfa_pfn pfn = grant(0, PFA_MOVABLE), live = grant(0, PFA_MOVABLE);
	EXPECT(pfa_free, PFA_OK, t.p, pfn, 0);
	pfai_quarantine_ring(t.p, f)[f->first] = (uint32_t)live;
	EXPECT(pfa_cache_drain, PFA_ECORRUPT, t.p, 0);
	told(PFA_FAULT_CORRUPT_CACHE, "pfa_cache_drain");
	assert_int_equal(rig_info(&t.rig, live).state, PFA_FRAME_HEAD);
}

/* While a request is about to fail nothing joins the queue: what it drains could wander on behind its back. */
static void starving(void)
{
	if (t.level < 3)
		return;
	const pfa_pfn pfn = grant(0, PFA_MOVABLE), other = grant(4, PFA_MOVABLE);
	t.p->st->starving = 1;
	EXPECT(pfa_free, PFA_OK, t.p, pfn, 0);
	EXPECT(pfa_free, PFA_OK, t.p, other, 4);
	assert_int_equal(rig_stats(&t.rig, 0).quarantined, 0);
	t.p->st->starving = 0;
	rig_check(&t.rig);
}

/* ---- what level 3 is about, on every path ----------------------------------------------------------------------------- */

/* As long as there is memory, a grant leaves enough in the slot to choose from. */
static void choice(void)
{
	const struct pfai_slot *s = &t.c->slots[slot_of(0, PFAI_CODE_MOVABLE, 0)];
	for (unsigned i = 0; i < FRAMES / 4 && t.level == 3; i++) {
		(void)grant(0, PFA_MOVABLE);
		MUST(s->n >= t.p->homes[s - t.c->slots].keep);
	}
}

/* Each part of a guarded block that was split has one of the guards, and takes it along. */
static void guards(void)
{
	if (t.level < 3)
		return;
	for (unsigned upper_first = 0; upper_first < 2; upper_first++) {
		const pfa_pfn pfn = grant(1, PFA_MOVABLE | PFA_GUARD);
		assert_int_equal(t.z->st->guards, 2);
		EXPECT(pfa_split, PFA_OK, t.p, pfn, 1, 0);
		EXPECT(pfa_free, PFA_OK, t.p, pfn + upper_first, 0);
		assert_int_equal(t.z->st->guards, 1);
		rig_check(&t.rig);
		EXPECT(pfa_free, PFA_OK, t.p, pfn + !upper_first, 0);
		assert_int_equal(t.z->st->guards, 0);
		rig_check(&t.rig);
	}
}

/* Half of each leaf is free: which one is served first is left to chance. */
static void places(void)
{
	enum { LEAVES = FRAMES >> 7 };
	pfa_pfn pfns[2 * LEAVES], last = 0;
	unsigned falls = 0;
	if (t.level < 3)
		return;
	assert_int_equal(t.p->leaf_order, 7);
	for (unsigned i = 0; i < 2 * LEAVES; i++)
		EXPECT(pfa_alloc_window, PFA_OK, t.p, 6, PFA_MOVABLE, ((struct pfa_run){64 * i, 64}), &pfns[i]);
	for (unsigned i = 0; i < 2 * LEAVES; i += 2)
		EXPECT(pfa_free, PFA_OK, t.p, pfns[i], 6);
	EXPECT(pfa_cache_drain, PFA_OK, t.p, 0);
	for (unsigned i = 0; i < LEAVES; i++) {
		const pfa_pfn pfn = grant(6, PFA_MOVABLE | PFA_EXACT_ZONE);
		falls += pfn < last;
		last = pfn;
	}
	MUST(falls > 0);
}

/* ---- */

#define EACH(name, high)                     \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		each(high, name);             \
	}
EACH(row, CAP)
EACH(count_exact, CAP)
EACH(count_any, CAP)
EACH(start_elsewhere, CAP)
EACH(entry, CAP)
EACH(entry_beyond, CAP)
EACH(entry_drained, CAP)
EACH(cached_byte, CAP)
EACH(route_other_zone, CAP)
EACH(route_beyond, CAP)
EACH(slot_n, CAP)
EACH(slot_start, CAP)
EACH(slot_cap, CAP)
EACH(merge, PFA_EXPLICIT_0)
EACH(code, PFA_EXPLICIT_0)
EACH(leaf, PFA_EXPLICIT_0)
EACH(used_below_zero, PFA_EXPLICIT_0)
EACH(free_beyond, PFA_EXPLICIT_0)
EACH(used_beyond, PFA_EXPLICIT_0)
EACH(index_lost, PFA_EXPLICIT_0)
EACH(index_double, PFA_EXPLICIT_0)
EACH(queue_first, CAP)
EACH(queue_n, CAP)
EACH(queue_first_wraps, CAP)
EACH(queue_entry, CAP)
EACH(starving, CAP)
EACH(choice, CAP)
EACH(guards, CAP)
EACH(places, PFA_EXPLICIT_0)

static const struct unit_test tests[] = {
	TEST(test_row), TEST(test_count_exact), TEST(test_count_any), TEST(test_start_elsewhere), TEST(test_entry), TEST(test_entry_beyond), TEST(test_entry_drained),
	TEST(test_cached_byte), TEST(test_route_other_zone), TEST(test_route_beyond), TEST(test_slot_n), TEST(test_slot_start),
	TEST(test_slot_cap), TEST(test_merge), TEST(test_code), TEST(test_leaf), TEST(test_used_below_zero), TEST(test_free_beyond),
	TEST(test_used_beyond), TEST(test_index_lost), TEST(test_index_double), TEST(test_queue_first), TEST(test_queue_n),
	TEST(test_queue_first_wraps), TEST(test_queue_entry), TEST(test_starving), TEST(test_choice), TEST(test_guards), TEST(test_places),
};
UNIT_MAIN(tests)
