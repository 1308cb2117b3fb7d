/* SPDX-License-Identifier: MIT
 *
 * Free page reporting: what a device may call, the codes of the functions, what becomes of content, bad frames, damage and
 * repair while a batch is out.
 */
#include "report_scene.h"

#include <pfa/harden.h>
#include <pfa/walk.h>

#include <string.h>

/* ---- inside report() ----------------------------------------------------------------------------------------------- */

static int never(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)ctx, (void)runs, (void)nr, (void)out_done;
	rig_fail(__FILE__, __LINE__, "a device was called that is not registered");
	return PFA_OK;
}

static const struct pfa_device other = { .size = sizeof(other), .report = never };
static size_t walked;

static int walk(void *ctx, struct pfa_run run)
{
	(void)ctx;
	walked += run.nr_frames;
	return 0;
}

static void call_everything(const struct pfa_run *runs, unsigned nr)
{
	struct pfa *p = inside_rig->pfa;
	pfa_pfn pfn;
	(void)nr;
	EXPECT(pfa_service, PFA_EDEADLK, p, 1, NULL);
	EXPECT(pfa_fini, PFA_EDEADLK, p);
	EXPECT(pfa_report_flush, PFA_EDEADLK, p);
	EXPECT(pfa_report_register, PFA_EDEADLK, p, &other);
	EXPECT(pfa_report_unregister, PFA_EDEADLK, p);
	EXPECT(pfa_report_suspend, PFA_EDEADLK, p);
	EXPECT(pfa_report_resume, PFA_EDEADLK, p);
	MUST(take(inside_rig, 2, PFA_MOVABLE));
	MUST(live.block[live.nr - 1].pfn < runs[0].first || live.block[live.nr - 1].pfn >= runs[0].first + runs[0].nr_frames);
	give(inside_rig, live.nr - 1);
	walked = 0;
	MUST_EQ(pfa_walk_free(p, 0, walk, NULL, NULL), PFA_OK); /* what is held counts as free */
	MUST_EQ(walked, 2048);
	struct pfa_violation v;
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	if (RIG_HARDENED) {
		EXPECT(pfa_free, PFA_EMISUSE, p, runs[0].first, 6);
		MUST_EQ(inside_rig->fault.kind, PFA_FAULT_HELD);
	}
	/* It cannot be got either. */
	MUST(pfa_alloc_window(p, 0, PFA_MOVABLE, runs[0], &pfn) == PFA_ENOMEM);
}

static void test_inside(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	host.exact = false;
	rig_zone(&rig, 0, 2048);
	start(&rig);
	inside_rig = &rig;
	host.inside = call_everything;
	EXPECT(pfa_report_flush, PFA_OK, rig.pfa);
	assert_true(host.nr_calls > 2);
	host.inside = NULL;
	rig.now_ns += 2 * PFA_REPORT_RETRY_NS;
	serve(&rig, NULL);
	look(&rig, true);
	stop(&rig);
}

static size_t low_memory(void *ctx, unsigned order, uint32_t flags)
{
	struct rig *rig = ctx;
	(void)order, (void)flags;
	EXPECT(pfa_report_register, PFA_EDEADLK, rig->pfa, &other);
	EXPECT(pfa_report_unregister, PFA_EDEADLK, rig->pfa);
	EXPECT(pfa_report_suspend, PFA_EDEADLK, rig->pfa);
	EXPECT(pfa_report_resume, PFA_EDEADLK, rig->pfa);
	EXPECT(pfa_report_flush, PFA_EDEADLK, rig->pfa);
	return 0;
}

static void test_codes(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	rig.os.low_memory = low_memory;
	rig_zone(&rig, 0, 512);
	rig_start(&rig);
	pfa_pfn pfn;
	EXPECT(pfa_report_unregister, PFA_EINVAL, rig.pfa);
	EXPECT(pfa_report_suspend, PFA_EINVAL, rig.pfa);
	EXPECT(pfa_report_resume, PFA_EINVAL, rig.pfa);
	EXPECT(pfa_report_flush, PFA_EINVAL, rig.pfa);
	for (unsigned way = 0; way < 9; way++) {
		struct {
			struct pfa_device d;
			size_t tail;
		} d = { host.device, 0 };
		switch (way) {
		case 0: d.d.size--; break;
		case 1: d.d.size = sizeof(d), d.tail = 1; break;
		case 2: d.d.report = NULL; break;
		case 3: d.d.capacity = PFA_REPORT_CAPACITY_LIMIT + 1; break;
		case 4: d.d.min_order = 9; break;
		case 5: d.d.zeroes = 1; break;
		case 6: d.d.discards = 2; break;
		case 7: d.d.bytes_per_s = ((uint64_t)1 << 33) + 1; break;
		default: d.d.only = (struct pfa_run){ 2, SIZE_MAX }; break;
		}
		EXPECT(pfa_report_register, PFA_EINVAL, rig.pfa, &d.d);
	}
	struct {
		struct pfa_device d;
		size_t tail;
	} newer = { host.device, 0 };
	newer.d.size = sizeof(newer);
	EXPECT(pfa_report_register, PFA_OK, rig.pfa, &newer.d);
	EXPECT(pfa_report_register, PFA_EBUSY, rig.pfa, &other);
	EXPECT(pfa_report_resume, PFA_EINVAL, rig.pfa);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	EXPECT(pfa_report_suspend, PFA_OK, rig.pfa);
	EXPECT(pfa_report_suspend, PFA_EINVAL, rig.pfa);
	EXPECT(pfa_report_flush, PFA_EINVAL, rig.pfa);
	assert_int_equal(host.nr_calls, 0);
	EXPECT(pfa_report_resume, PFA_OK, rig.pfa);
	EXPECT(pfa_report_flush, PFA_OK, rig.pfa);
	while (pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK)
		;
	MUST_EQ(pfa_free_range(rig.pfa, 0, 512), PFA_OK);
	memset(host.told, 0, sizeof(host.told));
	stop(&rig);
	/* Without room for it. */
	base(&rig, 8, 6);
	rig.cfg.flags = 0;
	rig_zone(&rig, 0, 512);
	rig_start(&rig);
	EXPECT(pfa_report_register, PFA_ENOTSUP, rig.pfa, &other);
	EXPECT(pfa_report_unregister, PFA_ENOTSUP, rig.pfa);
	EXPECT(pfa_report_suspend, PFA_ENOTSUP, rig.pfa);
	EXPECT(pfa_report_resume, PFA_ENOTSUP, rig.pfa);
	EXPECT(pfa_report_flush, PFA_ENOTSUP, rig.pfa);
	rig_stop(&rig);
}

/* ---- content, bad frames, damage ----------------------------------------------------------------------------------- */

static void discard(const struct pfa_run *runs, unsigned nr)
{
	const size_t bytes = (size_t)1 << inside_rig->cfg.frame_shift;
	for (unsigned i = 0; i < nr && host.device.discards; i++)
		memset((char *)inside_rig->pool + (runs[i].first - inside_rig->cfg.pool_pfn) * bytes,
		       host.device.zeroes && (host.counts == NOT_SET || (int)i < host.counts) ? 0 : 0xDD, runs[i].nr_frames * bytes);
}

/* Devices that keep, discard and zero, against every poison and known-zero tracking: no false fault, and PFA_ZERO is true. */
static void test_content(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3 * 6; way++) {
		static const enum pfa_poison poisons[] = { PFA_POISON_LINES, PFA_POISON_ALL, PFA_POISON_ZERO, PFA_POISON_NONE };
		struct rig rig;
		base(&rig, 8, 6);
		const unsigned content = way / 3;
		if (content < 3 && rig_level < 3)
			continue;
		rig.pool_kind = RIG_POOL_CONTENT;
		rig.cfg.poison = rig_level == 3 ? poisons[content < 3 ? content : 3] : PFA_POISON_DEFAULT;
		rig.cfg.flags |= PFA_CONFIG_NO_SHADOW; /* the device writes to frames that nobody has */
		rig.cfg.flags |= content == 4 ? PFA_CONFIG_ZEROED_POOL : content == 5 ? PFA_CONFIG_TRACK_ZERO : 0;
		rig_zone(&rig, 0, 1024);
		host.device.discards = way % 3 != 0;
		host.device.zeroes = way % 3 == 2;
		host.inside = discard;
		start(&rig);
		inside_rig = &rig;
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < 60; i++) {
				const uint32_t zero = i % 2 ? PFA_ZERO : 0;
				if (!take(&rig, i % 6, PFA_MOVABLE | zero))
					continue;
				const size_t nr = (size_t)1 << (live.block[live.nr - 1].order + 6);
				unsigned char *at = (unsigned char *)rig.pool + (live.block[live.nr - 1].pfn - rig.cfg.pool_pfn) * 64;
				for (size_t k = 0; zero && k < nr; k++)
					MUST_EQ(at[k], 0);
				memset(at, 0x77, nr);
			}
			give_all(&rig);
			if (round == 1)
				host.counts = 1; /* a part */
			MUST(pfa_report_flush(rig.pfa) != PFA_EDEVICE);
			host.counts = NOT_SET;
		}
		MUST_EQ(rig.fault.nr, 0);
		MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
		const size_t zeroed = rig_events(&rig).nr_zeroed;
		MUST(take(&rig, 6, PFA_MOVABLE | PFA_ZERO));
		/* Told to a device that zeroes: not zeroed again. (A poison with a pattern is not tracked as zero.) */
		if (host.device.zeroes && content >= 2 && content != 3)
			assert_int_equal(rig_events(&rig).nr_zeroed, zeroed);
		else if (host.device.discards && !host.device.zeroes)
			assert_int_equal(rig_events(&rig).nr_zeroed, zeroed + 64);
		give_all(&rig);
		stop(&rig);
	}
}

static pfa_pfn bad;

static void make_bad(const struct pfa_run *runs, unsigned nr)
{
	(void)nr;
	if (bad)
		return;
	bad = runs[0].first + 3;
	MUST_EQ(pfa_mark_bad(inside_rig->pfa, bad), PFA_EAGAIN);
}

static void test_bad_while_held(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 1024);
	start(&rig);
	inside_rig = &rig;
	bad = 0;
	host.inside = make_bad;
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	assert_int_equal(rig_info(&rig, bad).state, PFA_FRAME_BAD);
	assert_int_equal(rig_stats(&rig, 0).reported, 1023);
	host.told[bad] = false;
	look(&rig, true);
	stop(&rig);
}

/* Every bit of the marks, and what a repair makes of it. */
static void test_damaged_marks(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_violation v;
	size_t bytes;
	if (!RIG_HARDENED)
		return;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 512);
	start(&rig);
	MUST(take(&rig, 4, PFA_MOVABLE));
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	unsigned char *told = rig_region(&rig, "told", &bytes);
	for (size_t bit = 0; bit < bytes * 8; bit++) {
		told[bit / 8] ^= (unsigned char)(1u << bit % 8);
		EXPECT(pfa_check, PFA_ECORRUPT, rig.pfa, PFA_CHECK_FRAMES, &v);
		MUST_EQ(v.invariant, 9);
		told[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	told[bytes / 2] ^= 1;
	MUST_EQ(pfa_repair(rig.pfa, PFA_REPAIR_QUIESCENT, NULL), PFA_OK);
	memset(host.told, 0, sizeof(host.told));
	look(&rig, false);
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK); /* all of it again */
	look(&rig, true);
	give_all(&rig);
	memset(host.told, 0, 16);
	stop(&rig);
}

static void repair_inside(const struct pfa_run *runs, unsigned nr)
{
	size_t bytes;
	unsigned char *leaves = rig_region(inside_rig, "leaves", &bytes);
	(void)runs, (void)nr;
	leaves[0] ^= 1;
	MUST_EQ(pfa_repair(inside_rig->pfa, 0, NULL), PFA_OK);
	struct pfa_violation v;
	MUST_EQ(pfa_check(inside_rig->pfa, PFA_CHECK_FRAMES, &v), PFA_OK);
	memset(host.told, 0, sizeof(host.told));
	host.inside = NULL;
}

/* A repair while a batch is out: its blocks come back all the same. */
static void test_repair_while_held(void **state)
{
	(void)state;
	struct rig rig;
	if (!RIG_HARDENED)
		return;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 512);
	start(&rig);
	inside_rig = &rig;
	host.inside = repair_inside;
	MUST(pfa_report_flush(rig.pfa) != PFA_EDEVICE);
	assert_int_equal(rig_stats(&rig, 0).bad, 0);
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	look(&rig, true);
	stop(&rig);
}

/* A zone that refuses is left alone, the others have their turn. */
static void test_damaged_zone(void **state)
{
	(void)state;
	struct rig rig;
	if (!RIG_HARDENED)
		return;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 256);
	rig_zone(&rig, 256, 256);
	start(&rig);
	MUST(take(&rig, 3, PFA_MOVABLE));
	unsigned char *map = rig_region(&rig, "not_free", NULL);
	map[live.block[0].pfn / 8] = 0; /* free, and somebody's */
	MUST_EQ(pfa_free(rig.pfa, live.block[0].pfn, 3), PFA_ECORRUPT);
	EXPECT(pfa_report_flush, PFA_ECORRUPT, rig.pfa);
	assert_int_equal(host.nr_frames, 256);
	assert_true(host.told[256] && !host.told[0]);
	rig_drop(&rig);
}

/* The index offers a block that goes on behind the zone: it is damage, whatever stands there in the place of pageblocks. */
static void test_damaged_index(void **state)
{
	(void)state;
	struct rig rig;
	size_t bytes;
	if (!RIG_HARDENED)
		return;
	base(&rig, 8, 6);
	rig_zone(&rig, 0, 1024 + 64);
	start(&rig);
	MUST_EQ(pfa_report_flush(rig.pfa), PFA_OK);
	MUST(take(&rig, 6, PFA_MOVABLE)); /* the one that is left over */
	MUST_EQ(live.block[0].pfn, 1024);
	give_all(&rig);
	unsigned char *pb = rig_region(&rig, "pageblocks", &bytes), *behind = pb + bytes;
	MUST(behind + 16 <= (unsigned char *)rig_region(&rig, "leaves", NULL)); /* what is there is nobody's */
	memset(behind, 1, 16);
	uintptr_t *sets = rig_region(&rig, "sets", &bytes);
	unsigned moved = 0;
	for (size_t i = 0; i < bytes / sizeof(*sets); i++)
		if (sets[i] == 0xF) {
			sets[i] = 0x1F; /* a fifth block of the largest order */
			moved++;
		} else if (sets[i] == 1u << 16) {
			sets[i] = 0; /* instead of a pageblock */
			moved++;
		}
	MUST_EQ(moved, 2);
	EXPECT(pfa_report_flush, PFA_ECORRUPT, rig.pfa);
	rig_drop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_inside),
	TEST(test_codes),
	TEST_CONTENT(test_content, "what a device does to content"),
	TEST(test_bad_while_held),
	TEST(test_damaged_marks),
	TEST(test_repair_while_held),
	TEST(test_damaged_zone),
	TEST(test_damaged_index),
};

UNIT_MAIN(tests)
