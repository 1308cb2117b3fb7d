/* SPDX-License-Identifier: MIT
 *
 * Repair by brute force: on a small instance in which every kind of frame occurs, every byte of the frame bytes and of the
 * free map is given every value, and every byte of everything else that changes some values; each time the instance is
 * repaired, checked and used up. Against a shadow of who owns what: no frame has two owners, and what was not damaged is
 * still there.
 */
#include "unit.h"

#include <pfa/harden.h>

#include <stdlib.h>
#include <string.h>

enum { FRAMES = 192, FIRST = 64, OWNED = 24, LIMIT = 65536 /* of pfa_cache_disable */ };

static struct {
	struct rig rig;
	unsigned char *image; /* the metadata before the damage */
	struct block {
		pfa_pfn pfn;
		unsigned order;
	} owned[OWNED];
	unsigned nr_owned;
	size_t free;
} t;

static unsigned char shadow[FIRST + FRAMES + 64];

static void own(unsigned order, uint32_t flags)
{
	struct block *b = &t.owned[t.nr_owned++];
	MUST(t.nr_owned <= OWNED);
	b->order = order;
	EXPECT(pfa_alloc, PFA_OK, t.rig.pfa, order, flags, &b->pfn);
}

/* Blocks of several orders and types, cached ones, a hole, bad and doomed frames, split ones, a reserve, CMA. */
static void build(uint32_t level)
{
	static const struct pfa_run hole = {FIRST + 150, 2}, cma = {FIRST + 64, 64};
	memset(&t, 0, sizeof(t));
	rig_init(&t.rig);
	struct pfa_zone_config *z = rig_zone(&t.rig, FIRST, FRAMES - 5);
	z->holes = &hole;
	z->nr_holes = 1;
	z->cma = &cma;
	z->nr_cma = 1;
	z->highatomic_frames = 64;
	t.rig.cfg.max_order = 7;
	t.rig.cfg.nr_cpus = 2;
	t.rig.cfg.cache_high = 4;
	t.rig.cfg.hardening = level;
	t.rig.cfg.flags = PFA_CONFIG_TRACK_ZERO;
	rig_start(&t.rig);
	for (unsigned order = 0; order <= 4; order++) {
		own(order, PFA_UNMOVABLE);
		own(order, PFA_MOVABLE);
	}
	own(0, PFA_MOVABLE);
	own(0, PFA_MOVABLE);
	own(1, PFA_MOVABLE);
	struct block *b = &t.owned[t.nr_owned - 1];
	EXPECT(pfa_split, PFA_OK, t.rig.pfa, b->pfn, 1, 0);
	b->order = 0;
	t.owned[t.nr_owned++] = (struct block){b->pfn + 1, 0};
	EXPECT(pfa_mark_bad, PFA_OK, t.rig.pfa, FIRST + FRAMES - 10);
	/* Of a pageblock with such a frame nothing is cached: not of that of the movable ones. */
	EXPECT(pfa_mark_bad, PFA_EAGAIN, t.rig.pfa, t.owned[4].pfn + 1);
	for (unsigned cpu = 0; cpu < 2; cpu++) { /* one of each goes to each cpu's cache */
		t.rig.cpu = cpu;
		for (unsigned order = 0; order < 2; order++) {
			pfa_pfn pfn;
			EXPECT(pfa_alloc_window, PFA_OK, t.rig.pfa, order, PFA_MOVABLE,
			       ((struct pfa_run){FIRST + 128, FRAMES - 133}), &pfn);
			EXPECT(pfa_free, PFA_OK, t.rig.pfa, pfn, order);
			unsigned in = rig_info(&t.rig, pfn).state;
			MUST(in == PFA_FRAME_CACHED || in == PFA_FRAME_QUARANTINE);
		}
	}
	t.rig.cpu = 0;
	rig_check(&t.rig);
	t.free = rig_stats(&t.rig, 0).free + rig_stats(&t.rig, 0).cached;
	t.image = malloc(t.rig.bytes);
	MUST(t.image);
	memcpy(t.image, t.rig.memory, t.rig.bytes);
}

static void drop(void)
{
	free(t.image);
	rig_drop(&t.rig);
}

static void mark_owned(void)
{
	memset(shadow, 0, sizeof(shadow));
	for (unsigned i = 0; i < t.nr_owned; i++)
		memset(shadow + t.owned[i].pfn, 1, (size_t)1 << t.owned[i].order);
}

/* Takes all there is, in falling orders; nothing of it may be somebody's. Returns the frames. */
static size_t use_up(const char *region, size_t at, unsigned value, bool give_back)
{
	static struct block got[FRAMES];
	size_t nr = 0, frames = 0;
	for (unsigned order = 8; order--;) {
		pfa_pfn pfn;
		int err = PFA_OK;
		while ((err = pfa_alloc(t.rig.pfa, order, nr % 2 ? PFA_MOVABLE : PFA_UNMOVABLE, &pfn)) == PFA_OK ||
		       (err = pfa_alloc(t.rig.pfa, order, PFA_MOVABLE, &pfn)) == PFA_OK) {
			if (pfn < FIRST || pfn + ((size_t)1 << order) > FIRST + FRAMES - 5)
				rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: frames outside were granted", region, at, value);
			for (size_t i = 0; i < (size_t)1 << order; i++)
				if (shadow[pfn + i]++)
					rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: frame %zu was granted twice", region, at, value,
					         pfn + i);
			frames += (size_t)1 << order;
			got[nr++] = (struct block){pfn, order};
			MUST(nr < FRAMES);
		}
		if (err != PFA_ENOMEM)
			rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: %s after the repair", region, at, value, pfa_error_name(err));
	}
	while (give_back && nr--) {
		EXPECT(pfa_free, PFA_OK, t.rig.pfa, got[nr].pfn, got[nr].order);
		memset(shadow + got[nr].pfn, 0, (size_t)1 << got[nr].order);
	}
	return frames;
}

/* One byte is damaged; repaired, checked, and everything used up before and after the owners give back what they have. */
static void one(const char *region, unsigned char *bytes, size_t at, unsigned value, bool must_keep)
{
	struct pfa_repair said;
	struct pfa_violation v;
	unsigned refused = 0;
	memcpy(t.rig.memory, t.image, t.rig.bytes);
	t.rig.fault.nr = 0;
	bytes[at] = (unsigned char)value;
	EXPECT(pfa_repair, PFA_OK, t.rig.pfa, PFA_REPAIR_QUIESCENT, &said);
	if (pfa_check(t.rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v))
		rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: %s (pfn %zu, expected %zu, actual %zu)", region, at, value, v.what, v.pfn,
		         v.expected, v.actual);
	mark_owned();
	size_t before = use_up(region, at, value, true);
	/* Besides, a byte can claim a hole, or the block of at most two frames that it was of for somebody. */
	if (must_keep && before + said.given_up + 2 < t.free)
		rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: %zu of %zu free frames are left, %zu given up", region, at, value, before,
		         t.free, said.given_up);
	for (unsigned i = 0; i < t.nr_owned; i++) {
		int err = pfa_free(t.rig.pfa, t.owned[i].pfn, t.owned[i].order);
		if (err == PFA_OK)
			memset(shadow + t.owned[i].pfn, 0, (size_t)1 << t.owned[i].order);
		else
			MUST_EQ(err, PFA_EMISUSE);
		refused += err != PFA_OK;
	}
	/* A damaged byte is at most two blocks' matter: the one that it is of, and one that it claims. */
	if (must_keep && refused > 2)
		rig_fail(__FILE__, __LINE__, "%s[%zu] = %u: %u owners were refused", region, at, value, refused);
	use_up(region, at, value, false);
}

static void every_byte(uint32_t level, const char *region, bool all, bool must_keep)
{
	static const unsigned char flips[] = {0xFF, 0x01, 0x80, 0x24};
	size_t nr;
	build(level);
	unsigned char *bytes = rig_region(&t.rig, region, &nr);
	MUST(bytes && nr);
	for (size_t at = 0; at < nr; at++) {
		unsigned char was = t.image[(size_t)(bytes + at - (unsigned char *)t.rig.memory)];
		for (unsigned i = 0; i < (all ? 256 : sizeof(flips)); i++)
			one(region, bytes, at, all ? i : (unsigned)(was ^ flips[i]), must_keep);
	}
	drop();
}

static void test_frame_bytes(void **state)
{
	(void)state;
	every_byte(1, "frame_bytes", true, false);
	every_byte(2, "frame_bytes", true, true);
}

static void test_free_map(void **state)
{
	(void)state;
	every_byte(1, "not_free", true, false);
	every_byte(2, "not_free", true, false);
}

static void test_derived(void **state)
{
	(void)state;
	static const char *const regions[] = {"routes", "leaves", "sets", "pageblocks", "doomed", "zero", "entries", "cpus", "zone_states"};
	for (uint32_t level = 1; level <= 2; level++)
		for (unsigned i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
			every_byte(level, regions[i], false, false);
}

/* Calls of service until damage is told; limit: it was not. Each holds the zone's lock for a stated number of steps. */
static unsigned scrub(unsigned limit)
{
	unsigned nr = 0;
	size_t pageblock = (size_t)1 << t.rig.cfg.pageblock_order, before = rig_stats(&t.rig, 0).max_lock_steps;
	int err = PFA_OK;
	for (; nr < limit && err != PFA_ECORRUPT; nr++) {
		err = pfa_service(t.rig.pfa, 1, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN || err == PFA_ECORRUPT);
	}
	size_t steps = rig_stats(&t.rig, 0).max_lock_steps;
	MUST(steps <= (before > PFA_SCRUB_PAGEBLOCKS * pageblock ? before : PFA_SCRUB_PAGEBLOCKS * pageblock));
	return nr;
}

/* The second pageblock from the zone's origin, which is 0 here, has the zone's first frames. Of the bytes: a free frame's;
 * whether the order of a block is right only a full check can say. */
static size_t scrubbed_place(const char *region, const unsigned char *bytes, size_t nr)
{
	size_t at = 0;
	if (strcmp(region, "pageblocks") == 0)
		return nr / 4;
	if (strcmp(region, "frame_bytes") == 0)
		while (bytes[at])
			at++;
	return strcmp(region, "not_free") == 0 ? 8 : strcmp(region, "leaves") == 0 ? 1 : at;
}

/* Nobody comes to a damaged place: service does, in one round, from level 2 on. */
static void test_scrubber(void **state)
{
	(void)state;
	static const char *const regions[] = {"leaves", "routes", "pageblocks", "not_free", "frame_bytes"};
	enum { ROUND = 2 + FRAMES / 64 / PFA_SCRUB_PAGEBLOCKS + 2 };
	pfa_pfn pfn;
	for (uint32_t level = 1; level <= 2; level++) {
		for (unsigned i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
			size_t nr;
			build(level);
			EXPECT(pfa_cache_drain, PFA_OK, t.rig.pfa, PFA_ALL_CPUS);
			assert_int_equal(scrub(ROUND), ROUND); /* nothing is wrong yet */
			unsigned char *bytes = rig_region(&t.rig, regions[i], &nr);
			MUST(bytes);
			bytes[scrubbed_place(regions[i], bytes, nr)] ^= 2;
			bool found = scrub(ROUND) < ROUND;
			if (found != (level >= 2))
				rig_fail(__FILE__, __LINE__, "level %u: damage of %s was%s found", level, regions[i], found ? "" : " not");
			if (found) {
				assert_int_equal(t.rig.fault.kind, PFA_FAULT_CORRUPT_FREE);
				EXPECT(pfa_alloc, PFA_ECORRUPT, t.rig.pfa, 0, PFA_MOVABLE, &pfn);
				EXPECT(pfa_repair, PFA_OK, t.rig.pfa, 0, NULL);
				EXPECT(pfa_alloc, PFA_OK, t.rig.pfa, 0, PFA_MOVABLE, &pfn);
				assert_int_equal(scrub(ROUND), ROUND);
			}
			drop();
		}
	}
}

/* What a quarantine still knows goes back, and nothing is given up. */
static void test_quarantine(void **state)
{
	(void)state;
	enum { QUARANTINE = 8, NR = 5 };
	struct pfa_repair out;
	struct rig rig;
	pfa_pfn pfns[NR];
	size_t bytes;
	if (rig_level < 3)
		return;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.cfg.hardening = 3;
	rig.cfg.quarantine = QUARANTINE;
	rig_start(&rig);
	for (unsigned i = 0; i < NR; i++)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, i % 3, PFA_MOVABLE, &pfns[i]);
	for (unsigned i = 0; i < NR; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], i % 3);
	MUST(rig_stats(&rig, 0).quarantined > 0);
	unsigned char *leaves = rig_region(&rig, "leaves", &bytes);
	leaves[0] ^= 2;
	EXPECT(pfa_repair, PFA_OK, rig.pfa, 0, &out);
	assert_int_equal(out.zones, 1);
	assert_int_equal(out.given_up, 0);
	MUST(out.uncached >= NR);
	assert_int_equal(out.free, FRAMES);
	rig_check(&rig);
	rig_stop(&rig);
}

/* Frames that caches keep of a block that is freed. */
static size_t caches(void)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc_window, PFA_OK, t.rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){FIRST + 128, FRAMES - 133}), &pfn);
	EXPECT(pfa_free, PFA_OK, t.rig.pfa, pfn, 0);
	return rig_stats(&t.rig, 0).cached + rig_stats(&t.rig, 0).quarantined;
}

/* How often caches are disabled has the slots' capacities for witnesses: what a repair leaves of it agrees with them, and
 * caches are switched as before. */
static void switched(uint32_t level, unsigned nested, uint32_t value, unsigned flags)
{
	size_t bytes;
	build(level);
	for (unsigned i = 0; i < nested; i++)
		EXPECT(pfa_cache_disable, PFA_OK, t.rig.pfa);
	uint32_t *disabled = rig_region(&t.rig, "state", &bytes);
	MUST(disabled && *disabled == nested); /* the region's first word, behind the lock */
	*disabled = value;
	EXPECT(pfa_repair, PFA_OK, t.rig.pfa, flags, NULL);
	/* How often has no other witness, but no such nesting as is not let through is believed. */
	assert_int_equal(*disabled, !nested ? 0 : value && value <= LIMIT ? value : 1);
	rig_check(&t.rig);
	while (pfa_cache_enable(t.rig.pfa) == PFA_OK) {}
	rig_check(&t.rig);
	EXPECT(pfa_cache_disable, PFA_OK, t.rig.pfa);
	rig_check(&t.rig);
	assert_int_equal(caches(), 0);
	EXPECT(pfa_cache_enable, PFA_OK, t.rig.pfa);
	rig_check(&t.rig);
	MUST(caches() > 0);
	drop();
}

static void test_disabled(void **state)
{
	(void)state;
	static const uint32_t values[] = {0, 1, 2, LIMIT, LIMIT + 1, 0x80000000u, UINT32_MAX};
	for (uint32_t level = 1; level <= 3; level++)
		for (unsigned nested = 0; nested < 2; nested++)
			for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
				for (unsigned flags = 0; flags <= PFA_REPAIR_QUIESCENT; flags += PFA_REPAIR_QUIESCENT)
					switched(level, nested, values[i], flags);
}

static unsigned char *region(const char *name)
{
	unsigned char *bytes = rig_region(&t.rig, name, NULL);
	MUST(bytes);
	return bytes;
}

/* A pageblock's type has three witnesses: where one says something else, the others are believed. */
static void test_types(void **state)
{
	(void)state;
	enum { RECORD = 16, CODE = 4 }; /* bytes of a pageblock's record, and where its type is */
	for (uint32_t level = 1; level <= 3; level++) {
		for (unsigned code = 0; code < 8; code++) {
			for (unsigned route = 0; route < 2; route++) {
				struct pfa_repair said;
				build(level);
				const pfa_pfn pfn = FIRST + 128; /* of the movable blocks; the first ones are unmovable */
				const enum pfa_type first = rig_type(&t.rig, FIRST), type = rig_type(&t.rig, pfn);
				size_t bytes;
				(void)rig_region(&t.rig, "pageblocks", &bytes);
				MUST(bytes % RECORD == 0 && first == PFA_TYPE_UNMOVABLE && type == PFA_TYPE_MOVABLE);
				unsigned char *at = route ? region("routes") + (pfn - FIRST) / 64 : region("pageblocks") + pfn / 64 * RECORD + CODE;
				MUST(*at == 0); /* movable, and as a route in zone 0 */
				*at = (unsigned char)code;
				EXPECT(pfa_repair, PFA_OK, t.rig.pfa, PFA_REPAIR_QUIESCENT, &said);
				assert_int_equal(said.zones, code != 0);
				assert_int_equal(rig_type(&t.rig, pfn), type);
				assert_int_equal(rig_type(&t.rig, FIRST), first);
				rig_check(&t.rig);
				drop();
			}
		}
	}
}

/* What is known of the content of free frames is forgotten: it was free in a map that was not to be believed. */
static void test_content_is_forgotten(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level++) {
		size_t nr;
		build(level);
		unsigned char *known = rig_region(&t.rig, "zero", &nr);
		MUST(known);
		memset(known, 0xFF, nr);
		EXPECT(pfa_cache_drain, PFA_OK, t.rig.pfa, PFA_ALL_CPUS);
		*region("leaves") ^= 2;
		EXPECT(pfa_repair, PFA_OK, t.rig.pfa, PFA_REPAIR_QUIESCENT, NULL);
		for (pfa_pfn pfn = FIRST; pfn < FIRST + FRAMES; pfn++)
			assert_int_equal(rig_info(&t.rig, pfn).known_zero, 0);
		drop();
	}
}

/* A frame that was to become bad with its block, and which nobody's block has any more: bad, and no longer to become so. */
static void test_doomed(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level++) {
		build(level);
		const pfa_pfn pfn = t.owned[4].pfn; /* its second frame is recorded */
		const size_t bad = rig_stats(&t.rig, 0).bad;
		assert_int_equal(*region("routes"), 2);
		memset(region("frame_bytes") + (pfn - FIRST), 0, 4); /* from the first pageblock on */
		EXPECT(pfa_repair, PFA_OK, t.rig.pfa, PFA_REPAIR_QUIESCENT, NULL);
		assert_int_equal(rig_info(&t.rig, pfn + 1).state, PFA_FRAME_BAD);
		assert_int_equal(rig_stats(&t.rig, 0).bad, bad + 4);
		MUST(*region("routes") != 2); /* SLOW: as long as there is one that is to become so */
		rig_check(&t.rig);
		drop();
	}
}

/* Of two neighbours the second one's only byte says that it is the guard of the first. Who frees the first one must not give the
 * second away: neither where there never were guards, nor where there are. Guards that are as many as they were stay. */
static void test_guards(void **state)
{
	(void)state;
	enum { GUARD_ABOVE = 6, FULL = FRAMES / 64 * 64 }; /* in the frame byte */
	for (unsigned round = 0; round < 4 && rig_level >= 3; round++) {
		const bool guarded = round & 1, made = round & 2;
		struct pfa_repair said;
		struct rig rig;
		pfa_pfn pfn, of_guards = 0;
		size_t bytes, nr = 0;
		rig_init(&rig);
		rig_zone(&rig, 0, FULL);
		rig.cfg.cache_high = PFA_EXPLICIT_0;
		rig.cfg.hardening = 3;
		rig_start(&rig);
		if (guarded)
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_GUARD, &of_guards);
		while (pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK)
			nr++;
		assert_int_equal(nr, FULL - (guarded ? 3 : 0));
		const pfa_pfn second = of_guards > 32 ? 8 : FULL - 8;
		if (made)
			*rig_frame_byte(&rig, second) = GUARD_ABOVE;
		unsigned char *leaves = rig_region(&rig, "leaves", &bytes);
		leaves[0] ^= 2;
		EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, &said);
		assert_int_equal(said.zones, 1);
		assert_int_equal(said.given_up, made ? (guarded ? 3 : 1) : 0);
		rig_check(&rig);
		EXPECT(pfa_free, PFA_OK, rig.pfa, second - 1, 0);
		if (guarded)
			EXPECT(pfa_free, PFA_OK, rig.pfa, of_guards, 0);
		assert_int_equal(rig_stats(&rig, 0).free, 1 + (guarded ? made ? 1 : 3 : 0));
		while (pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK)
			assert_int_not_equal(pfn, second);
		rig_check(&rig);
		rig_drop(&rig);
	}
}

static void test_arguments(void **state)
{
	(void)state;
	struct pfa_repair said;
	build(1);
	EXPECT(pfa_repair, PFA_EINVAL, t.rig.pfa, 2, &said);
	EXPECT(pfa_repair, PFA_OK, t.rig.pfa, 0, &said); /* nothing is wrong: nothing is done */
	assert_int_equal(said.zones, 0);
	assert_memory_equal(t.image, t.rig.memory, t.rig.bytes);
	EXPECT(pfa_repair, PFA_OK, t.rig.pfa, 0, NULL);
	drop();
}

static const struct unit_test tests[] = {
	TEST(test_frame_bytes), TEST(test_free_map), TEST(test_derived), TEST(test_scrubber), TEST(test_quarantine), TEST(test_disabled),
	TEST(test_types), TEST(test_content_is_forgotten), TEST(test_doomed), TEST(test_guards), TEST(test_arguments),
};
UNIT_MAIN(tests)
