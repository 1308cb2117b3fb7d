/* SPDX-License-Identifier: MIT
 *
 * What hardening level 2 adds: the inside of every block that is not free says TAIL, so that a frame whose bit in the
 * free map was lost is not granted a second time, and a block whose inside was overwritten does not go back. All of it
 * at level 2 and 3; the damage is done through pfa_debug_regions().
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 1024, TAIL = 4 };
static pfa_pfn pfns[FRAMES];

/* One zone of FRAMES frames from 0, and a second one that is never damaged. */
static void base(struct rig *rig, uint32_t level, uint32_t high)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
	rig_zone(rig, FRAMES, FRAMES);
	rig->cfg.hardening = level;
	rig->cfg.cache_high = high;
	rig->cfg.nr_cpus = 2;
	rig_start(rig);
}

static void clear_bit(struct rig *rig, pfa_pfn pfn)
{
	unsigned char *map = rig_region(rig, "not_free", NULL);
	MUST(map && map[pfn / 8] >> pfn % 8 & 1);
	map[pfn / 8] = (unsigned char)(map[pfn / 8] & ~(1u << pfn % 8));
}

/* The inside of [pfn, 2^order) says TAIL, at level 1 NOTHING; or it is free and says NOTHING. */
static void inside_says(struct rig *rig, pfa_pfn pfn, unsigned order, unsigned value)
{
	for (pfa_pfn at = pfn + 1; at < pfn + ((pfa_pfn)1 << order); at++)
		if (*rig_frame_byte(rig, at) != value)
			rig_fail(__FILE__, __LINE__, "frame %zu of block %zu says %u instead of %u", at, pfn, *rig_frame_byte(rig, at), value);
}

static void told(struct rig *rig, enum pfa_fault_kind kind, const char *function)
{
	assert_int_equal(rig->fault.nr, 1);
	assert_int_equal(rig->fault.code, PFA_ECORRUPT);
	assert_int_equal(rig->fault.kind, kind);
	assert_string_equal(rig->fault.function, function);
}

/* In the caller's hands, in a cache, split, trimmed: wherever a block is that is not free. */
static void test_tails_follow_the_block(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level++) {
		const unsigned tail = level >= 2 ? TAIL : 0;
		for (unsigned order = 0; order <= 8; order++) {
			struct rig rig;
			pfa_pfn pfn, exact;
			base(&rig, level, 8);
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &pfn);
			inside_says(&rig, pfn, order, tail);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
			inside_says(&rig, pfn, order, rig_info(&rig, pfn).state == PFA_FRAME_CACHED ? tail : 0);
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
			inside_says(&rig, pfn, order, 0);
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, order, PFA_MOVABLE, ((struct pfa_run){512, 256}), &pfn);
			inside_says(&rig, pfn, order, tail);
			EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, order, order / 2);
			for (pfa_pfn at = pfn; at < pfn + ((pfa_pfn)1 << order); at += (pfa_pfn)1 << order / 2)
				inside_says(&rig, at, order / 2, tail);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, (size_t)1 << order);
			inside_says(&rig, pfn, order, 0);
			EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, ((size_t)1 << order) - order / 2, 0, PFA_MOVABLE, &exact);
			inside_says(&rig, exact + ((pfa_pfn)1 << order) - order / 2 - 1, order / 4, 0);
			rig_check(&rig);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, exact, ((size_t)1 << order) - order / 2);
			rig_stop(&rig);
		}
	}
}

/* The checker knows what the inside must say, in both ways. */
static void test_checker_sees_tails(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level++) {
		struct rig rig;
		struct pfa_violation v;
		pfa_pfn pfn;
		base(&rig, level, 8);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, PFA_MOVABLE, &pfn);
		for (pfa_pfn at = pfn + 1; at < pfn + 16; at++) {
			unsigned char *byte = rig_frame_byte(&rig, at), good = *byte;
			*byte = good ? 0 : TAIL;
			for (unsigned how = 0; how < 2; how++) {
				EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_FRAMES | (how ? PFA_CHECK_QUIESCENT : 0), &v);
				assert_int_equal(v.invariant, 8);
				assert_int_equal(v.pfn, at);
			}
			if (level >= 2)
				EXPECT(pfa_check_range, PFA_ECORRUPT, rig.pfa, ((struct pfa_run){at, 1}), PFA_CHECK_FRAMES, &v);
			*byte = good;
		}
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
		rig_stop(&rig);
	}
}

/* The map says that one frame of a block in use is free: whatever is asked for, nobody gets a frame of that block. */
static void lost_bit(uint32_t level, uint32_t high, unsigned order, size_t in_block, unsigned asked, bool cached)
{
	const uint32_t only0 = PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(0);
	struct rig rig;
	pfa_pfn victim, pfn;
	base(&rig, level, high);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &victim);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[0]);
	if (cached) {
		EXPECT(pfa_free, PFA_OK, rig.pfa, victim, order);
		assert_int_equal(rig_info(&rig, victim).state, PFA_FRAME_CACHED);
		rig.cpu = 1; /* from where the cache of cpu 0 is not used */
	}
	clear_bit(&rig, victim + in_block);
	int err = PFA_OK;
	size_t got = 0;
	while (got < FRAMES && (err = pfa_alloc(rig.pfa, asked, only0, &pfn)) == PFA_OK) {
		if (!cached && pfn < victim + ((size_t)1 << order) && victim < pfn + ((size_t)1 << asked))
			rig_fail(__FILE__, __LINE__, "level %u: frames of the block at %zu were granted again", level, victim);
		if (cached && pfn != victim && pfn < victim + ((size_t)1 << order) && victim < pfn + ((size_t)1 << asked))
			rig_fail(__FILE__, __LINE__, "level %u: frames of the cached block at %zu were granted", level, victim);
		got++;
	}
	if (err == PFA_ECORRUPT) {
		told(&rig, PFA_FAULT_CORRUPT_FREE, "pfa_alloc");
	} else {
		/* Nobody came across it: the checker does. */
		struct pfa_violation v;
		EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_FRAMES, &v);
	}
	rig_drop(&rig);
}

static void test_lost_bit_is_not_granted(void **state)
{
	(void)state;
	for (uint32_t level = 2; level <= 3; level++)
		for (unsigned order = 0; order <= 6; order += 2)
			for (unsigned place = 0; place < 3; place++)
				for (unsigned asked = 0; asked <= 4; asked++)
					for (unsigned way = 0; way < 4; way++) {
						size_t nr = (size_t)1 << order, in_block = place == 0 ? 0 : place == 1 ? nr / 2 : nr - 1;
						bool cached = way == 3;
						if (cached && order > 4)
							continue; /* has no slot */
						lost_bit(level, way % 2 ? 8 : PFA_EXPLICIT_0, order, in_block, asked, cached);
					}
}

/* A byte inside a block was overwritten: the block does not go back, and stays the caller's. */
static void test_damaged_inside_is_not_freed(void **state)
{
	(void)state;
	const unsigned char values[] = {0, 0x20, 0x43, 0x84, 1, 0xFF};
	for (uint32_t level = 2; level <= 3; level++) {
		for (unsigned way = 0; way < 4; way++) {
			for (unsigned i = 0; i < sizeof(values); i++) {
				struct rig rig;
				pfa_pfn pfn;
				size_t nr;
				base(&rig, level, PFA_EXPLICIT_0);
				EXPECT(pfa_alloc, PFA_OK, rig.pfa, 5, PFA_MOVABLE, &pfn);
				const pfa_pfn at = pfn + (i % 3 == 0 ? 1 : i % 3 == 1 ? 16 : 31);
				*rig_frame_byte(&rig, at) = values[i];
				switch (way) {
				case 0:
					EXPECT(pfa_free, PFA_ECORRUPT, rig.pfa, pfn, 5);
					told(&rig, PFA_FAULT_CORRUPT_FREE, "pfa_free");
					break;
				case 1:
					EXPECT(pfa_free_bulk, PFA_ECORRUPT, rig.pfa, 5, 1, &pfn, &nr);
					told(&rig, PFA_FAULT_CORRUPT_FREE, "pfa_free_bulk");
					assert_int_equal(nr, 0);
					break;
				case 2:
					EXPECT(pfa_free_range, PFA_ECORRUPT, rig.pfa, pfn, 32);
					told(&rig, PFA_FAULT_CORRUPT_FREE, "pfa_free_range");
					break;
				default:
					EXPECT(pfa_split, PFA_ECORRUPT, rig.pfa, pfn, 5, 2);
					told(&rig, PFA_FAULT_CORRUPT_FREE, "pfa_split");
				}
				assert_int_equal(*rig_frame_byte(&rig, pfn), 0x25);
				assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_HEAD);
				rig_drop(&rig);
			}
		}
	}
}

/* The same for blocks that a cache gives back. */
static void test_damaged_inside_is_not_flushed(void **state)
{
	(void)state;
	for (uint32_t level = 2; level <= 3; level++) {
		struct rig rig;
		pfa_pfn pfn, other;
		base(&rig, level, 8);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &pfn);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
		assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_CACHED);
		*rig_frame_byte(&rig, pfn + 7) = 0;
		EXPECT(pfa_cache_drain, PFA_ECORRUPT, rig.pfa, PFA_ALL_CPUS);
		told(&rig, PFA_FAULT_CORRUPT_CACHE, "pfa_cache_drain");
		/* The other zone goes on. */
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &other);
		assert_true(other >= FRAMES);
		rig_drop(&rig);
	}
}

/* Tail and free are told apart without the zone's lock, as a caller in an interrupt that holds it would need. */
static void test_tail_and_free_are_told_apart(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level++) {
		struct rig rig;
		pfa_pfn pfn;
		base(&rig, level, PFA_EXPLICIT_0);
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 4, PFA_MOVABLE, &pfn);
		for (unsigned order = 0; order < 4; order++) {
			EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn + 8, order);
			assert_int_equal(rig.fault.kind, PFA_FAULT_TAIL);
			assert_int_equal(rig_info(&rig, pfn + 8).state, PFA_FRAME_TAIL);
		}
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 4);
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn + 8, 2);
		assert_int_equal(rig.fault.kind, PFA_FAULT_DOUBLE_FREE);
		assert_int_equal(rig_info(&rig, pfn + 8).state, PFA_FRAME_FREE);
		rig_stop(&rig);
	}
}

static const struct unit_test tests[] = {
	TEST(test_tails_follow_the_block), TEST(test_checker_sees_tails), TEST(test_lost_bit_is_not_granted),
	TEST(test_damaged_inside_is_not_freed), TEST(test_damaged_inside_is_not_flushed),
	TEST(test_tail_and_free_are_told_apart),
};
UNIT_MAIN(tests)
