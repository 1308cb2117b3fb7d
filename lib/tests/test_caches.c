/* SPDX-License-Identifier: MIT
 *
 * Per-CPU caches: sizes down to one entry, refill and flush, drain, purge, disable and enable, cpu ids, service.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 4096 };
static pfa_pfn pfns[FRAMES], more[FRAMES];

static void base(struct rig *rig, uint32_t cpus, uint32_t high)
{
	rig_init(rig);
	rig_zone(rig, 0, FRAMES);
	rig->cfg.nr_cpus = cpus;
	rig->cfg.cache_high = high;
}

static void cycle(struct rig *rig, unsigned order, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE, &pfns[i]);
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[i], order);
}

static void test_bound(void **state)
{
	(void)state;
	const uint32_t highs[] = {PFA_EXPLICIT_0, 1, 2, 3, 7, 64, 128, 200, 32767};
	for (size_t i = 0; i < sizeof(highs) / sizeof(highs[0]); i++) {
		for (unsigned order = 0; order <= 8; order++) {
			struct rig rig;
			base(&rig, 1, highs[i]);
			rig_start(&rig);
			cycle(&rig, order, (FRAMES / 2) >> order);
			struct pfa_zone_stats s = rig_stats(&rig, 0);
			assert_int_equal(s.allocated, 0);
			size_t blocks = s.cached >> order;
			if (highs[i] == PFA_EXPLICIT_0)
				assert_int_equal(blocks, 0);
			else
				assert_true(blocks <= highs[i]);
			/* never more of a zone in one slot, but for a single block of an order that is asked for; twice that at level 3 */
			assert_true(s.cached <= FRAMES / (rig_level == 3 ? 16 : 32) || blocks == 1);
			if (highs[i] != PFA_EXPLICIT_0 && order <= 5)
				assert_true(blocks >= 1); /* but something */
			rig_check(&rig);
			rig_stop(&rig);
		}
	}
}

static void test_single_entry(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1, 1);
	rig_start(&rig);
	pfa_pfn pfn, again;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	assert_int_equal(rig_stats(&rig, 0).cached, 1);
	assert_int_equal(rig_info(&rig, pfn).state, PFA_FRAME_CACHED);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &again);
	assert_int_equal(again, pfn); /* the one entry comes back */
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	for (unsigned i = 0; i < 100; i++) {
		cycle(&rig, 0, 1 + i % 5);
		rig_check(&rig);
		assert_true(rig_stats(&rig, 0).cached <= 1);
	}
	rig_stop(&rig);
}

static void test_refill_and_flush_count(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1, 32);
	rig.cfg.cache_batch = 8;
	if (rig_level == 3)
		rig.cfg.hardening = 2; /* level 3 fills slots up, see test_full */
	rig_start(&rig);
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	struct pfa_zone_stats s = rig_stats(&rig, 0);
	assert_int_equal(s.nr_refill, 1);
	assert_int_equal(s.cached, 7); /* a batch less the one that was asked for */
	for (unsigned i = 0; i < 7; i++)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[i]);
	assert_int_equal(rig_stats(&rig, 0).nr_refill, 1);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[7]);
	assert_int_equal(rig_stats(&rig, 0).nr_refill, 2);
	for (unsigned i = 8; i < 64; i++)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[i]);
	size_t cached = rig_stats(&rig, 0).cached, flushes = 0;
	for (unsigned i = 0; i < 64; i++) {
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
		s = rig_stats(&rig, 0);
		if (s.nr_flush != flushes) {
			assert_int_equal(s.nr_flush, flushes + 1);
			assert_int_equal(s.cached, cached + 1 - 8); /* one in, a batch out */
			flushes++;
		} else {
			assert_int_equal(s.cached, cached + 1);
		}
		cached = s.cached;
		assert_true(cached <= 32);
	}
	assert_true(flushes >= 3);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	rig_stop(&rig);
}

static void test_max_cached_order(void **state)
{
	(void)state;
	for (uint32_t max = 0; max <= 8; max++) {
		struct rig rig;
		base(&rig, 1, 4);
		rig.zones[0].nr_frames = 65536; /* so that 1/32 of it is a block of the largest order and more */
		rig.cfg.cache_max_order = max ? max : PFA_EXPLICIT_0;
		rig_start(&rig);
		for (unsigned order = 0; order <= 8; order++) {
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
			cycle(&rig, order, 2);
			assert_int_equal(rig_stats(&rig, 0).cached > 0, order <= max);
		}
		rig_stop(&rig);
	}
}

static void test_drain(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 3, 16);
	rig_start(&rig);
	for (uint32_t cpu = 0; cpu < 3; cpu++) {
		rig.cpu = cpu;
		for (unsigned order = 0; order <= 3; order++)
			cycle(&rig, order, 8);
	}
	size_t cached = rig_stats(&rig, 0).cached, drains = rig_events(&rig).nr_drain;
	assert_true(cached > 0);
	EXPECT(pfa_cache_drain, PFA_EINVAL, rig.pfa, 3);
	EXPECT(pfa_cache_drain, PFA_EINVAL, rig.pfa, PFA_ALL_CPUS - 1);
	assert_int_equal(rig_stats(&rig, 0).cached, cached);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 1);
	assert_true(rig_stats(&rig, 0).cached < cached && rig_stats(&rig, 0).cached > 0);
	assert_int_equal(rig_events(&rig).nr_drain, drains + 1);
	rig_check(&rig);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
	assert_int_equal(rig_stats(&rig, 0).cached, 0);
	assert_int_equal(rig_stats(&rig, 0).free, FRAMES);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS); /* nothing there: fine */
	rig_stop(&rig);
}

static void test_purge(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 2, 64);
	rig_start(&rig);
	/* Cached on two cpus: blocks of several orders, in many pageblocks and over more than one. */
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		rig.cpu = cpu;
		for (unsigned order = 0; order <= 7; order += 1)
			cycle(&rig, order, 2);
	}
	EXPECT(pfa_cache_purge, PFA_ERANGE, rig.pfa, FRAMES);
	EXPECT(pfa_cache_purge, PFA_ERANGE, rig.pfa, SIZE_MAX);
	unsigned purged = 0;
	/* From the top, so that a block over two pageblocks is met in its second one first. */
	for (pfa_pfn pb = FRAMES; pb;) {
		bool here = false;
		pb -= 64;
		for (pfa_pfn at = 0; at < FRAMES; at++) {
			struct pfa_frame_info info = rig_info(&rig, at);
			if (info.state == PFA_FRAME_CACHED && at < pb + 64 && at + ((size_t)1 << info.order) > pb)
				here = true;
		}
		size_t cached = rig_stats(&rig, 0).cached;
		EXPECT(pfa_cache_purge, PFA_OK, rig.pfa, pb + pb / 64 % 64);
		if (here)
			assert_true(rig_stats(&rig, 0).cached < cached);
		else
			assert_int_equal(rig_stats(&rig, 0).cached, cached); /* other pageblocks keep theirs */
		purged += here;
		for (pfa_pfn at = 0; at < FRAMES; at++) {
			struct pfa_frame_info info = rig_info(&rig, at);
			if (info.state == PFA_FRAME_CACHED)
				assert_true(at >= pb + 64 || at + ((size_t)1 << info.order) <= pb);
		}
		rig_check(&rig);
	}
	assert_true(purged > 0);
	assert_int_equal(rig_stats(&rig, 0).cached, 0);
	rig_stop(&rig);
}

static void test_disable_nests(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 2, 16);
	rig_start(&rig);
	EXPECT(pfa_cache_enable, PFA_EINVAL, rig.pfa);
	cycle(&rig, 0, 10);
	assert_true(rig_stats(&rig, 0).cached > 0);
	for (unsigned depth = 0; depth < 3; depth++) {
		EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
		assert_int_equal(rig_stats(&rig, 0).cached, 0);
		for (unsigned order = 0; order <= 5; order++)
			cycle(&rig, order, 10);
		assert_int_equal(rig_stats(&rig, 0).cached, 0);
		rig_check(&rig);
	}
	for (unsigned depth = 0; depth < 3; depth++) {
		cycle(&rig, 0, 10);
		assert_int_equal(rig_stats(&rig, 0).cached, 0);
		EXPECT(pfa_cache_enable, PFA_OK, rig.pfa);
	}
	EXPECT(pfa_cache_enable, PFA_EINVAL, rig.pfa);
	cycle(&rig, 0, 10);
	assert_true(rig_stats(&rig, 0).cached > 0);
	rig_stop(&rig);
}

static void test_disable_nests_65536_deep(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1, 4);
	rig_start(&rig);
	for (unsigned i = 0; i < 65536; i++)
		EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
	EXPECT(pfa_cache_disable, PFA_EAGAIN, rig.pfa);
	for (unsigned i = 0; i < 65536; i++)
		EXPECT(pfa_cache_enable, PFA_OK, rig.pfa);
	EXPECT(pfa_cache_enable, PFA_EINVAL, rig.pfa);
	cycle(&rig, 0, 10);
	assert_true(rig_stats(&rig, 0).cached > 0);
	rig_stop(&rig);
}

/* An id that is no cpu of ours goes past the caches, and works. */
static void test_cpu_ids_out_of_range(void **state)
{
	(void)state;
	struct rig rig;
	const uint32_t ids[] = {2, 3, 4096, 0x7FFFFFFF, 0x80000000u, UINT32_MAX - 1, UINT32_MAX};
	base(&rig, 2, 16);
	rig_start(&rig);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		rig.cpu = ids[i];
		for (unsigned order = 0; order <= 8; order++)
			cycle(&rig, order, 3);
		assert_int_equal(rig_stats(&rig, 0).cached, 0);
		rig_check(&rig);
	}
	rig_stop(&rig);
}

/* What one cpu frees another one can get: not at once, but before a plain request fails. */
static void test_other_cpus_blocks_are_found(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 2, 64);
	rig_start(&rig);
	assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES), FRAMES);
	rig.cpu = 1;
	for (unsigned i = 0; i < 64; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, i, 0);
	assert_int_equal(rig_stats(&rig, 0).cached, 64);
	rig.cpu = 0;
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_EAGAIN, rig.pfa, 6, PFA_UNMOVABLE | PFA_NOWAIT, &pfn);
	assert_int_equal(rig_stats(&rig, 0).cached, 64);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 6, PFA_UNMOVABLE, &pfn); /* merged from what was drained */
	assert_int_equal(pfn, 0);
	EXPECT(pfa_free, PFA_OK, rig.pfa, 0, 6);
	EXPECT(pfa_free_range, PFA_OK, rig.pfa, 64, FRAMES - 64);
	rig_stop(&rig);
}

/* A block larger than any zone: no cache is drained for it, and a second try will not help either. */
static void test_the_impossible_drains_nothing(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, 1, 64);
	rig.cfg.max_order = 20;
	rig_start(&rig);
	cycle(&rig, 0, 20);
	const size_t cached = rig_stats(&rig, 0).cached, drains = rig_events(&rig).nr_drain;
	assert_true(cached > 0);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 20, PFA_MOVABLE | PFA_NORETRY, &pfn);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 20, PFA_MOVABLE | PFA_NOWAIT, &pfn);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 20, PFA_MOVABLE, &pfn);
	EXPECT(pfa_alloc, PFA_ENOMEM, rig.pfa, 13, PFA_MOVABLE, &pfn);
	assert_int_equal(rig_stats(&rig, 0).cached, cached);
	assert_int_equal(rig_events(&rig).nr_drain, drains);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 12, PFA_MOVABLE, &pfn); /* all of the zone, what was cached included */
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 12);
	rig_stop(&rig);
}

/* Types stay apart in the caches, and a cached block goes back to its pageblock's type of that moment. */
static void test_types_in_caches(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig, 1, 64);
	rig_start(&rig);
	for (unsigned i = 0; i < 30; i++) {
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, i % 3, &pfns[i]);
		assert_int_equal(rig_type(&rig, pfns[i]), i % 3);
	}
	for (unsigned i = 0; i < 30; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	for (unsigned i = 0; i < 30; i++) {
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, i % 3, &more[i]);
		assert_int_equal(rig_type(&rig, more[i]), i % 3);
	}
	rig_check(&rig);
	for (unsigned i = 0; i < 30; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, more[i], 0);
	rig_stop(&rig);
}

static void test_service_drains_idle_cpus(void **state)
{
	(void)state;
	struct rig rig;
	uint64_t next = 0;
	base(&rig, 3, 16);
	rig.now_ns = 1;
	rig_start(&rig);
	EXPECT(pfa_service, PFA_EINVAL, rig.pfa, 0, &next);
	for (uint32_t cpu = 0; cpu < 3; cpu++) {
		rig.cpu = cpu;
		cycle(&rig, 0, 10);
	}
	bool more_to_do = false;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 100; i++) {
			int err = pfa_service(rig.pfa, 1, &next);
			if (err == PFA_OK)
				break;
			rig_expect("pfa_service", PFA_EAGAIN, err, __FILE__, __LINE__);
			more_to_do = true;
			assert_true(i < 99);
		}
		rig_check(&rig);
		assert_true(rig_stats(&rig, 0).cached > 0); /* cpu 0 has worked since it was last visited: it keeps its blocks */
		rig.cpu = 0; /* this one stays busy */
		cycle(&rig, 0, 10);
		rig.now_ns += PFA_SERVICE_IDLE_NS;
	}
	assert_true(more_to_do); /* three cpus do not fit into one step */
	size_t cached = rig_stats(&rig, 0).cached;
	assert_true(cached > 0 && cached <= 16); /* cpu 0 only */
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 1);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 2);
	assert_int_equal(rig_stats(&rig, 0).cached, cached);
	/* left alone long enough it is drained as well */
	for (unsigned i = 0; i < 20; i++) {
		int err = pfa_service(rig.pfa, 10, NULL);
		assert_true(err == PFA_OK || err == PFA_EAGAIN);
		rig.now_ns += PFA_SERVICE_IDLE_NS;
	}
	assert_int_equal(rig_stats(&rig, 0).cached, 0);
	rig_stop(&rig);
}

/* A visit to a cpu is not repeated before its time, and the time to come back is stated. */
static void test_service_says_when(void **state)
{
	(void)state;
	struct rig rig;
	uint64_t next = 0;
	base(&rig, 2, 16);
	rig.now_ns = 5;
	rig_start(&rig);
	cycle(&rig, 0, 10);
	while (pfa_service(rig.pfa, 4, &next) == PFA_EAGAIN)
		;
	size_t cached = rig_stats(&rig, 0).cached;
	for (unsigned i = 0; i < 10; i++)
		EXPECT(pfa_service, PFA_OK, rig.pfa, 100, &next);
	assert_int_equal(rig_stats(&rig, 0).cached, cached);
	assert_true(next > rig.now_ns && next <= rig.now_ns + PFA_SERVICE_IDLE_NS);
	rig.now_ns = next;
	for (unsigned i = 0; i < 10 && rig_stats(&rig, 0).cached; i++) {
		int err = pfa_service(rig.pfa, 4, &next);
		assert_true(err == PFA_OK || err == PFA_EAGAIN);
		rig.now_ns += PFA_SERVICE_IDLE_NS;
	}
	assert_int_equal(rig_stats(&rig, 0).cached, 0);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_bound), TEST(test_single_entry), TEST(test_refill_and_flush_count), TEST(test_max_cached_order),
	TEST(test_drain), TEST(test_purge), TEST(test_disable_nests), TEST(test_disable_nests_65536_deep),
	TEST(test_cpu_ids_out_of_range), TEST(test_other_cpus_blocks_are_found), TEST(test_types_in_caches),
	TEST(test_service_drains_idle_cpus), TEST(test_service_says_when), TEST(test_the_impossible_drains_nothing),
};
UNIT_MAIN(tests)
