/* SPDX-License-Identifier: MIT
 *
 * Configuration: every problem by name, growable structs, the size query, and that a refusal builds nothing. What is wrong
 * with zones is in config_zones.c.
 */
#include "config_scene.h"

#include <stdlib.h>
#include <string.h>

static void test_scalars(void **state)
{
	(void)state;
	struct rig rig;
	struct {
		size_t offset;
		uint32_t least, most; /* the bounds; one below and one above is refused */
		enum pfa_config_problem problem;
	} fields[] = {
		{offsetof(struct pfa_config, frame_shift), 6, 30, PFA_CONFIG_FRAME_SHIFT},
		{offsetof(struct pfa_config, max_order), 1, 31, PFA_CONFIG_MAX_ORDER},
		{offsetof(struct pfa_config, pageblock_order), 6, 20, PFA_CONFIG_PAGEBLOCK_ORDER},
		{offsetof(struct pfa_config, nr_cpus), 1, 4096, PFA_CONFIG_CPUS},
		{offsetof(struct pfa_config, cache_high), 1, 32767, PFA_CONFIG_CACHE},
		{offsetof(struct pfa_config, cache_max_order), 1, 8, PFA_CONFIG_CACHE},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		base(&rig);
		uint32_t *field = (uint32_t *)(void *)((char *)&rig.cfg + fields[i].offset);
		*field = 0; /* default */
		ACCEPT(&rig);
		*field = fields[i].least;
		ACCEPT(&rig);
		*field = fields[i].most;
		ACCEPT(&rig);
		*field = fields[i].most + 1;
		REFUSE(&rig, fields[i].problem, 0);
		*field = UINT32_MAX - 1;
		REFUSE(&rig, fields[i].problem, 0);
		if (fields[i].least > 1) {
			*field = fields[i].least - 1;
			REFUSE(&rig, fields[i].problem, 0);
		}
	}
	base(&rig);
	rig.cfg.max_order = PFA_EXPLICIT_0;
	rig.cfg.cache_max_order = PFA_EXPLICIT_0;
	ACCEPT(&rig);
	rig.cfg.cache_max_order = 1; /* above max_order */
	REFUSE(&rig, PFA_CONFIG_CACHE, 0);
	base(&rig);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	ACCEPT(&rig);
	rig.cfg.max_order = 20;
	rig.cfg.cache_max_order = 10; /* caches end at order 9 */
	REFUSE(&rig, PFA_CONFIG_CACHE, 0);
	rig.cfg.cache_max_order = 9;
	rig.cfg.cache_high = 4;
	rig.cfg.cache_batch = 1000; /* cut to the bound */
	ACCEPT(&rig);
	rig.cfg.cache_batch = PFA_EXPLICIT_0; /* nothing would ever move */
	REFUSE(&rig, PFA_CONFIG_CACHE, 0);
}

static void test_flags_and_policy(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	rig.cfg.flags = PFA_CONFIG_ZEROED_META | PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_GENERATIONS |
	                PFA_CONFIG_NO_SHADOW | PFA_CONFIG_REPORTING;
	ACCEPT(&rig);
	rig.cfg.flags = PFA_CONFIG_REPORTING << 1;
	REFUSE(&rig, PFA_CONFIG_FLAGS, 0);
	rig.cfg.flags = 1u << 31;
	REFUSE(&rig, PFA_CONFIG_FLAGS, 0);
	rig.cfg.flags = 0;
	rig.cfg.fatal_policy = (enum pfa_fatal_policy)2;
	REFUSE(&rig, PFA_CONFIG_FLAGS, 0);
}

static void test_null(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint need;
	struct pfa *pfa;
	enum pfa_config_problem why = PFA_CONFIG_FINE;
	unsigned char memory[1];
	EXPECT(pfa_size, PFA_EINVAL, NULL, &need, &why, NULL);
	assert_int_equal(why, PFA_CONFIG_NULL);
	EXPECT(pfa_init, PFA_EINVAL, memory, sizeof(memory), NULL, &pfa, &why, NULL);
	assert_int_equal(why, PFA_CONFIG_NULL);
	base(&rig);
	why = PFA_CONFIG_FINE;
	EXPECT(pfa_size, PFA_EINVAL, &rig.cfg, NULL, &why, NULL);
	assert_int_equal(why, PFA_CONFIG_NULL);
	why = PFA_CONFIG_FINE;
	EXPECT(pfa_init, PFA_EINVAL, memory, sizeof(memory), &rig.cfg, NULL, &why, NULL);
	assert_int_equal(why, PFA_CONFIG_NULL);
	rig.cfg.zones = NULL;
	REFUSE(&rig, PFA_CONFIG_NULL, 0);
	base(&rig);
	rig_zone(&rig, 1024, 64)->nr_holes = 1;
	REFUSE(&rig, PFA_CONFIG_NULL, 1);
	base(&rig);
	rig.zones[0].nr_cma = 1;
	REFUSE(&rig, PFA_CONFIG_NULL, 0);
	base(&rig);
	rig.cfg.platform = NULL;
	REFUSE(&rig, PFA_CONFIG_PLATFORM, 0);
}

/* Structs as a later version might have them: longer by a tail that this library does not know. */
struct longer_config {
	struct pfa_config cfg;
	uint64_t tail[4];
};
struct longer_platform {
	struct pfa_platform os;
	void *tail[2];
};
struct longer_zone {
	struct pfa_zone_config zone;
	uint64_t tail;
};

static void test_growable(void **state)
{
	(void)state;
	struct rig rig;
	struct longer_config cfg;
	struct longer_platform os;
	struct longer_zone zones[2];
	struct pfa_footprint need;
	enum pfa_config_problem why;
	unsigned index;

	base(&rig);
	memset(&cfg, 0, sizeof(cfg));
	memset(&os, 0, sizeof(os));
	memset(zones, 0, sizeof(zones));
	os.os = rig.os;
	os.os.size = sizeof(os);
	for (unsigned i = 0; i < 2; i++) {
		zones[i].zone = rig.zones[0];
		zones[i].zone.size = sizeof(zones[i]);
		zones[i].zone.start = i * 4096;
	}
	cfg.cfg = rig.cfg;
	cfg.cfg.size = sizeof(cfg);
	cfg.cfg.platform = &os.os;
	cfg.cfg.zones = &zones[0].zone;
	cfg.cfg.nr_zones = 2;
	EXPECT(pfa_size, PFA_OK, &cfg.cfg, &need, &why, &index);

	unsigned char *tails[] = {(unsigned char *)cfg.tail, (unsigned char *)&cfg.tail[3] + 7,
	                          (unsigned char *)os.tail, (unsigned char *)&zones[0].tail,
	                          (unsigned char *)&zones[1].tail + 7};
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		*tails[i] = 1;
		EXPECT(pfa_size, PFA_EINVAL, &cfg.cfg, &need, &why, &index);
		assert_int_equal(why, PFA_CONFIG_SIZE);
		*tails[i] = 0;
		EXPECT(pfa_size, PFA_OK, &cfg.cfg, &need, &why, &index);
	}
	problem_seen[PFA_CONFIG_SIZE] = true;

	/* An instance made from such structs works, with the stride of the longer zones. */
	void *memory = aligned_alloc(64, (need.core_bytes + 63) / 64 * 64);
	struct pfa *pfa;
	pfa_pfn pfn;
	assert_non_null(memory);
	EXPECT(pfa_init, PFA_OK, memory, need.core_bytes, &cfg.cfg, &pfa, NULL, NULL);
	EXPECT(pfa_alloc, PFA_OK, pfa, 3, PFA_EXACT_ZONE | PFA_ZONE(1), &pfn);
	assert_true(pfn >= 4096 && pfn < 4096 + 1024);
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 3);
	EXPECT(pfa_fini, PFA_OK, pfa);
	free(memory);
}

static void test_sizes_too_small(void **state)
{
	(void)state;
	struct rig rig;
	const size_t bad[] = {0, 1, sizeof(size_t)};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		base(&rig);
		rig.cfg.size = bad[i];
		REFUSE(&rig, PFA_CONFIG_SIZE, 0);
		base(&rig);
		rig.os.size = bad[i];
		REFUSE(&rig, PFA_CONFIG_SIZE, 0);
		base(&rig);
		rig.zones[0].size = bad[i];
		REFUSE(&rig, PFA_CONFIG_SIZE, 0);
	}
	base(&rig);
	rig_zone(&rig, 2048, 64)->size += 8; /* not the stride of the first */
	REFUSE(&rig, PFA_CONFIG_SIZE, 1);
}

/* The stride of an array of zones that are longer than ours keeps each aligned. */
static void test_misaligned_zone_size(void **state)
{
	(void)state;
	static unsigned char bytes[2 * sizeof(struct pfa_zone_config) + 64]
		__attribute__((aligned(_Alignof(struct pfa_zone_config))));
	struct rig rig;
	base(&rig);
	rig.cfg.nr_zones = 1;
	for (size_t more = 1; more <= _Alignof(struct pfa_zone_config); more++) {
		struct pfa_zone_config zone = rig.zones[0];
		zone.size += more;
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, &zone, sizeof(zone));
		rig.cfg.zones = (const struct pfa_zone_config *)(const void *)bytes;
		if (more < _Alignof(struct pfa_zone_config))
			REFUSE(&rig, PFA_CONFIG_SIZE, 0);
		else
			ACCEPT(&rig);
	}
}

static int waits(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	(void)ctx;
	(void)addr;
	(void)value;
	(void)until_ns;
	return 0;
}

/* Waits are bounded by the clock: who can wait has one. */
static void test_wait_needs_a_clock(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	rig.os.wait = waits;
	ACCEPT(&rig);
	rig.os.now_ns = NULL;
	REFUSE(&rig, PFA_CONFIG_PLATFORM, 0);
	rig.os.wait = NULL;
	ACCEPT(&rig);
}

static void test_pool(void **state)
{
	(void)state;
	static unsigned char pool[1100 * 64] __attribute__((aligned(64)));
	struct rig rig;
	base(&rig);
	rig.zones[0].start = 100;
	rig.zones[0].nr_frames = 1000;
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = 1100 * 64;
	ACCEPT(&rig);
	rig.cfg.pool_pfn = 100;
	rig.cfg.pool_bytes = 1000 * 64;
	ACCEPT(&rig);
	rig.cfg.pool_bytes--;
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool_bytes = 0;
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool_bytes = 1000 * 64;
	rig.cfg.pool_pfn = 101;
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool_pfn = 99;
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool_pfn = 100;
	rig.cfg.pool = pool + 8;
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = SIZE_MAX; /* the end wraps around */
	REFUSE(&rig, PFA_CONFIG_POOL, 0);
	rig.cfg.pool_bytes = 1000 * 64;
	rig_zone(&rig, 2000, 10); /* the second zone is not covered */
	REFUSE(&rig, PFA_CONFIG_POOL, 1);
}

static void test_cpu_offset(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint need;
	enum pfa_config_problem why;
	base(&rig);
	rig.cfg.cpu_offset = 64;
	int err = pfa_size(&rig.cfg, &need, &why, NULL);
	if (err == PFA_OK)
		assert_int_equal(why, PFA_CONFIG_FINE);
	else
		REFUSE(&rig, PFA_CONFIG_CPU_OFFSET, 0);
#if defined(__i386__) || defined(__arm__)
	assert_int_equal(err, PFA_EINVAL);
#endif
	problem_seen[PFA_CONFIG_CPU_OFFSET] = true; /* produced on 32-bit builds; here the compiler has the builtin */
}

static void test_hardening(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (uint32_t level = 1; level <= 3; level++) {
		struct pfa_footprint need;
		rig.cfg.hardening = level;
		assert_int_equal(pfa_size(&rig.cfg, &need, NULL, NULL), PFA_OK);
	}
	rig.cfg.hardening = 4;
	REFUSE(&rig, PFA_CONFIG_HARDENING, 0);
	rig.cfg.hardening = PFA_EXPLICIT_0; /* level 0 is a way to build, and cannot be asked for */
	REFUSE(&rig, PFA_CONFIG_HARDENING, 0);
}

static size_t no_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	(void)ctx;
	(void)out;
	(void)max;
	return 0;
}

static void test_history(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint none, some;
	base(&rig);
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &none, NULL, NULL);
	rig.cfg.history = PFA_EXPLICIT_0;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &some, NULL, NULL);
	assert_int_equal(some.core_bytes, none.core_bytes);
	rig.cfg.history = 16;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &some, NULL, NULL);
	assert_int_equal(some.core_bytes - none.core_bytes, 1024 * 16 * (sizeof(void *) + 8));
	rig.cfg.history = 17;
	REFUSE(&rig, PFA_CONFIG_HISTORY, 0);
	rig.cfg.history = 1;
	rig.cfg.nr_traces = 8;
	REFUSE(&rig, PFA_CONFIG_TRACES, 0); /* no op */
	rig.os.backtrace = no_backtrace;
	ACCEPT(&rig);
	rig.cfg.nr_traces = 12;
	REFUSE(&rig, PFA_CONFIG_TRACES, 0);
	rig.cfg.nr_traces = 1u << 20;
	rig.cfg.trace_shift = 31;
	ACCEPT(&rig);
	rig.cfg.nr_traces = 1u << 21;
	REFUSE(&rig, PFA_CONFIG_TRACES, 0);
	rig.cfg.nr_traces = 1;
	ACCEPT(&rig);
	rig.cfg.trace_shift = 32;
	REFUSE(&rig, PFA_CONFIG_TRACES, 0);
	rig.cfg.trace_shift = 0;
	rig.cfg.history = 0;
	REFUSE(&rig, PFA_CONFIG_TRACES, 0);
	base(&rig);
	rig.cfg.flags = PFA_CONFIG_GENERATIONS;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &some, NULL, NULL);
	assert_int_equal(some.core_bytes - none.core_bytes, 1024 * 4);
}

/* The table is at the end, and only where it is wanted. */
static void test_owners(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint plain, with;
	base(&rig);
	rig.cfg.hardening = rig_level;
	rig.cfg.quarantine = PFA_EXPLICIT_0;
	assert_int_equal(pfa_size(&rig.cfg, &plain, NULL, NULL), PFA_OK);
	assert_int_equal(plain.owner_bytes, 0);
	rig.cfg.max_owners = 65536;
	REFUSE(&rig, PFA_CONFIG_OWNERS, 0);
	rig.cfg.max_owners = PFA_EXPLICIT_0;
	assert_int_equal(pfa_size(&rig.cfg, &with, NULL, NULL), PFA_OK);
	assert_memory_equal(&with, &plain, sizeof(with));
	rig.cfg.max_owners = 65535;
	ACCEPT(&rig);
	rig.cfg.max_owners = 3;
	assert_int_equal(pfa_size(&rig.cfg, &with, NULL, NULL), PFA_OK);
	assert_int_equal(with.owner_bytes, 1024 * 16);
	assert_true(with.core_bytes > plain.core_bytes + with.owner_bytes);
	assert_true(with.core_bytes < plain.core_bytes + with.owner_bytes + 1024);
	rig_start(&rig);
	size_t bytes;
	assert_ptr_equal((char *)rig_region(&rig, "owner_table", &bytes) + bytes, (char *)rig.memory + with.core_bytes);
	assert_int_equal(bytes, with.owner_bytes);
	rig_stop(&rig);
}

static void test_guard(void **state)
{
	(void)state;
	static const uint32_t bad[] = { 1, 64, 2048, 4095, 6144, 0x80001000u, PFA_EXPLICIT_0 };
	struct rig rig;
	struct pfa_footprint plain, guarded;
	base(&rig);
	assert_int_equal(pfa_size(&rig.cfg, &plain, NULL, NULL), PFA_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig.cfg.guard_bytes = bad[i];
		REFUSE(&rig, PFA_CONFIG_GUARD, 0);
	}
	rig.cfg.guard_bytes = 8192;
	assert_int_equal(pfa_size(&rig.cfg, &guarded, NULL, NULL), PFA_OK);
	assert_int_equal(guarded.align, 8192);
	assert_true(guarded.core_bytes % 8192 == 0 && guarded.core_bytes > plain.core_bytes + 16 * 8192);
	rig_start(&rig);
	assert_int_equal((uintptr_t)rig.pfa % 8192, 0);
	assert_ptr_equal((char *)rig.pfa, (char *)rig.memory + 8192);
	rig_stop(&rig);
}

static void test_full(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	rig.cfg.quarantine = 65537, rig.cfg.hardening = 3;
	REFUSE(&rig, PFA_CONFIG_QUARANTINE, 0);
	rig.cfg.poison = PFA_POISON_LINES;
	REFUSE(&rig, PFA_CONFIG_POISON, 0); /* no pool */
	rig.cfg.pool = (void *)64;
	rig.cfg.pool_bytes = 1024 * 64;
	rig.cfg.flags = PFA_CONFIG_TRACK_ZERO;
	REFUSE(&rig, PFA_CONFIG_POISON_ZERO, 0);
}

static void test_memory(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint need;
	enum pfa_config_problem why = PFA_CONFIG_FINE;
	base(&rig);
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &need, NULL, NULL);
	unsigned char *memory = aligned_alloc(64, (need.core_bytes + 127) / 64 * 64);
	struct pfa *const untouched = (struct pfa *)(void *)&rig;
	struct pfa *pfa = untouched;
	assert_non_null(memory);
	const struct {
		unsigned char *at;
		size_t bytes;
	} bad[] = {{NULL, need.core_bytes}, {memory + 8, need.core_bytes}, {memory, need.core_bytes - 1}, {memory, 0}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = PFA_CONFIG_FINE;
		EXPECT(pfa_init, PFA_EINVAL, bad[i].at, bad[i].bytes, &rig.cfg, &pfa, &why, NULL);
		assert_int_equal(why, PFA_CONFIG_MEMORY);
		assert_ptr_equal(pfa, untouched);
	}
	problem_seen[PFA_CONFIG_MEMORY] = true;
	EXPECT(pfa_init, PFA_OK, memory, need.core_bytes + 32, &rig.cfg, &pfa, &why, NULL);
	EXPECT(pfa_fini, PFA_OK, pfa);
	EXPECT(pfa_init, PFA_OK, memory, need.core_bytes, &rig.cfg, &pfa, &why, NULL); /* the same memory again */
	EXPECT(pfa_fini, PFA_OK, pfa);
	free(memory);
}

/* The configuration is not kept: an instance goes on after its config structs are scribbled over. */
static void test_not_kept(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_run hole = {10, 10};
	pfa_pfn pfns[1024];
	base(&rig);
	rig.zones[0].holes = &hole;
	rig.zones[0].nr_holes = 1;
	rig_start(&rig);
	struct pfa_platform os = rig.os;
	memset(&rig.zones, 0xEE, sizeof(rig.zones));
	memset(&rig.os, 0xEE, sizeof(rig.os));
	memset(&hole, 0xEE, sizeof(hole));
	uint32_t nr_zones = rig.cfg.nr_zones;
	memset(&rig.cfg, 0xEE, sizeof(rig.cfg));
	rig.cfg.nr_zones = nr_zones;
	assert_int_equal(rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, 1024), 1014);
	for (size_t i = 0; i < 1014; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
	rig.os = os;
	rig_stop(&rig);
}

/* Zeroed metadata and rubbish make the same instance. */
static void test_zeroed_meta(void **state)
{
	(void)state;
	const struct pfa_run holes[] = {{0, 3}, {130, 70}, {1000, 24}}, cma = {256, 128};
	pfa_pfn a[2][1024];
	size_t nr[2];
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		base(&rig);
		rig.zones[0].holes = holes;
		rig.zones[0].nr_holes = 3;
		rig.zones[0].cma = &cma;
		rig.zones[0].nr_cma = 1;
		rig.cfg.flags = i ? PFA_CONFIG_ZEROED_META : 0;
		rig_start(&rig);
		rig_check(&rig);
		nr[i] = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, a[i], 1024);
		assert_int_equal(nr[i], 1024 - 97);
		for (size_t k = 0; k < nr[i]; k++)
			EXPECT(pfa_free, PFA_OK, rig.pfa, a[i][k], 0);
		rig_stop(&rig);
	}
	assert_int_equal(nr[0], nr[1]);
	assert_memory_equal(a[0], a[1], nr[0] * sizeof(a[0][0]));
}

static void test_footprint_grows(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_footprint one, two;
	base(&rig);
	rig.cfg.cache_high = 1;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &one, NULL, NULL);
	rig.cfg.nr_cpus = 8;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &two, NULL, NULL);
	assert_true(two.core_bytes > one.core_bytes);
	rig.cfg.cache_high = 32;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &one, NULL, NULL);
	assert_true(one.core_bytes > two.core_bytes); /* caches are counted */
	rig.zones[0].nr_frames = 100000;
	EXPECT(pfa_size, PFA_OK, &rig.cfg, &two, NULL, NULL);
	assert_true(two.core_bytes > one.core_bytes + 100000 - 1024);
}

static void test_texts(void **state)
{
	(void)state;
	for (int i = 0; i < PFA_CONFIG_PROBLEMS; i++) {
		const char *text = pfa_config_problem_text((enum pfa_config_problem)i);
		assert_non_null(text);
		assert_true(strlen(text) > 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(text, pfa_config_problem_text((enum pfa_config_problem)k));
	}
	assert_non_null(pfa_config_problem_text(PFA_CONFIG_PROBLEMS));
	assert_non_null(pfa_config_problem_text((enum pfa_config_problem)1000));
	assert_int_equal(pfa_version(), PFA_VERSION_MAJOR << 16 | PFA_VERSION_MINOR << 8 | PFA_VERSION_PATCH);

	static const struct {
		int code;
		const char *name;
	} names[] = {{0, "PFA_OK"},        {-1, "PFA_ENOMEM"},  {-2, "PFA_EAGAIN"},   {-3, "PFA_EBUSY"},
	             {-4, "PFA_ERANGE"},   {-5, "PFA_EINVAL"},  {-6, "PFA_EDEADLK"},  {-7, "PFA_EMISUSE"},
	             {-8, "PFA_ECORRUPT"}, {-9, "PFA_ENOTSUP"}, {-10, "PFA_EDEVICE"}, {-11, "PFA_ESTOP"},
	             {1, "PFA_E?"},        {-12, "PFA_E?"},     {INT32_MAX, "PFA_E?"}, {INT32_MIN, "PFA_E?"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(pfa_error_name(names[i].code), names[i].name);
}

static void test_every_problem_was_produced(void **state)
{
	(void)state;
	for (int i = 0; i < PFA_CONFIG_PROBLEMS; i++)
		if (!problem_seen[i])
			rig_fail(__FILE__, __LINE__, "never produced: %s",
			         pfa_config_problem_text((enum pfa_config_problem)i));
}

static const struct unit_test tests[] = {
	TEST(test_scalars), TEST(test_flags_and_policy), TEST(test_null), TEST(test_growable), TEST(test_sizes_too_small),
	TEST(test_misaligned_zone_size), TEST(test_wait_needs_a_clock), TEST(test_zones), TEST(test_overlap),
	TEST(test_span), TEST(test_holes), TEST(test_cma), TEST(test_marks),
	TEST(test_pool), TEST(test_cpu_offset), TEST(test_hardening), TEST(test_history), TEST(test_owners), TEST(test_guard),
	TEST(test_full), TEST(test_memory), TEST(test_not_kept), TEST(test_zeroed_meta),
	TEST(test_footprint_grows), TEST(test_texts), TEST(test_every_problem_was_produced),
};
UNIT_MAIN(tests)
