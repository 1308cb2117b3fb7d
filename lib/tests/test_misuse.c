/* SPDX-License-Identifier: MIT
 *
 * Misuse under policy REPORT: each kind is refused, told once with a message of its own, and changes nothing.
 */
#include "unit.h"

#include <string.h>

enum { FRAMES = 1024 };

static char messages[PFA_FAULT_KINDS][200];

static const struct pfa_run hole = {900, 10};

static void base(struct rig *rig)
{
	rig_init(rig);
	rig_zone(rig, 64, FRAMES)->holes = &hole;
	rig->zones[0].nr_holes = 1;
	rig->cfg.nr_cpus = 2;
	rig->cfg.cache_high = 8;
	rig_start(rig);
}

/* The state that a misuse must not change: everything but the count of misuse. */
struct picture {
	struct pfa_zone_stats stats;
	enum pfa_frame_state states[FRAMES + 128];
	unsigned orders[FRAMES + 128];
};

static void take_picture(struct rig *rig, struct picture *picture)
{
	memset(picture, 0, sizeof(*picture));
	picture->stats = rig_stats(rig, 0);
	for (pfa_pfn at = 0; at < FRAMES + 128; at++) {
		struct pfa_frame_info info = rig_info(rig, at);
		picture->states[at] = info.state;
		picture->orders[at] = info.order;
	}
}

static struct picture before, after;

static void start_misuse(struct rig *rig)
{
	take_picture(rig, &before);
	memset(&rig->fault, 0, sizeof(rig->fault));
}

/* "function: text (pfn ...)": keeps the text, which must be the same at every place. */
static void keep_message(enum pfa_fault_kind kind, const char *message, const char *function, int line)
{
	char text[200];
	const size_t skip = strlen(function) + 2;
	if (strncmp(message, function, skip - 2) != 0 || strncmp(message + skip - 2, ": ", 2) != 0 ||
	    !strstr(message, " (pfn "))
		rig_fail(__FILE__, line, "message \"%s\"", message);
	snprintf(text, sizeof(text), "%s", message + skip);
	*strstr(text, " (pfn ") = 0;
	if (messages[kind][0] && strcmp(messages[kind], text) != 0)
		rig_fail(__FILE__, line, "two messages for one kind: \"%s\", \"%s\"", messages[kind], text);
	memcpy(messages[kind], text, sizeof(text));
}

static void end_misuse(struct rig *rig, enum pfa_fault_kind kind, const char *function, int line)
{
	take_picture(rig, &after);
	if (memcmp(&before, &after, sizeof(before)) != 0)
		rig_fail(__FILE__, line, "something changed");
	if (rig->fault.nr != 1 || rig->fault.kind != kind || rig->fault.code != PFA_EMISUSE ||
	    strcmp(rig->fault.function, function) != 0)
		rig_fail(__FILE__, line, "%u faults, kind %d, %s, in %s: \"%s\"", rig->fault.nr, rig->fault.kind,
		         pfa_error_name(rig->fault.code), rig->fault.function, rig->fault.message);
	keep_message(kind, rig->fault.message, function, line);
	rig_check_at(rig, __FILE__, line);
}

#define MISUSE(rig, kind, function, ...)                              \
	do {                                                          \
		start_misuse(rig);                                    \
		EXPECT(function, PFA_EMISUSE, __VA_ARGS__);           \
		end_misuse((rig), (kind), #function, __LINE__);       \
	} while (0)

static pfa_pfn take(struct rig *rig, unsigned order)
{
	pfa_pfn pfn;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE, &pfn);
	return pfn;
}

static void test_double_free(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned order = 0; order <= 8; order++) {
		pfa_pfn pfn = take(&rig, order);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
		if (rig_info(&rig, pfn).state == PFA_FRAME_CACHED) {
			MISUSE(&rig, PFA_FAULT_DOUBLE_FREE_CACHED, pfa_free, rig.pfa, pfn, order);
			rig.cpu = 1; /* also from another cpu */
			MISUSE(&rig, PFA_FAULT_DOUBLE_FREE_CACHED, pfa_free, rig.pfa, pfn, order);
			rig.cpu = 9;
			MISUSE(&rig, PFA_FAULT_DOUBLE_FREE_CACHED, pfa_free, rig.pfa, pfn, order);
			MISUSE(&rig, PFA_FAULT_DOUBLE_FREE_CACHED, pfa_split, rig.pfa, pfn, order, 0);
			rig.cpu = 0;
		}
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		MISUSE(&rig, PFA_FAULT_DOUBLE_FREE, pfa_free, rig.pfa, pfn, order);
	}
	MISUSE(&rig, PFA_FAULT_DOUBLE_FREE, pfa_free, rig.pfa, 512, 0); /* never allocated: the same to us */
	rig_stop(&rig);
}

static void test_wrong_order(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned order = 0; order <= 8; order++) {
		pfa_pfn pfn = take(&rig, order);
		for (unsigned wrong = 0; wrong <= 8; wrong++)
			if (wrong != order && pfn % (1u << wrong) == 0)
				MISUSE(&rig, PFA_FAULT_WRONG_ORDER, pfa_free, rig.pfa, pfn, wrong);
		for (unsigned wrong = 9; wrong < 70; wrong += 11)
			MISUSE(&rig, PFA_FAULT_ORDER_LIMIT, pfa_free, rig.pfa, pfn, wrong);
		MISUSE(&rig, PFA_FAULT_ORDER_LIMIT, pfa_free, rig.pfa, pfn, UINT32_MAX);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
	}
	rig_stop(&rig);
}

static void test_tail_and_misaligned(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned order = 1; order <= 8; order++) {
		pfa_pfn pfn = take(&rig, order);
		for (size_t at = 1; at < (size_t)1 << order; at = at * 2 + 1) {
			MISUSE(&rig, PFA_FAULT_TAIL, pfa_free, rig.pfa, pfn + at, 0);
			MISUSE(&rig, PFA_FAULT_MISALIGNED, pfa_free, rig.pfa, pfn + at, order);
		}
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
	}
	rig_stop(&rig);
}

static void test_places(void **state)
{
	(void)state;
	struct rig rig, other;
	base(&rig);
	const pfa_pfn outside[] = {0, 63, 64 + FRAMES, 64 + FRAMES + 1, 4096, 1u << 31, SIZE_MAX};
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		MISUSE(&rig, PFA_FAULT_OUT_OF_RANGE, pfa_free, rig.pfa, outside[i], 0);
	MISUSE(&rig, PFA_FAULT_OUT_OF_RANGE, pfa_split, rig.pfa, 4096, 2, 0);
	for (pfa_pfn at = hole.first; at < hole.first + hole.nr_frames; at++)
		MISUSE(&rig, PFA_FAULT_HOLE, pfa_free, rig.pfa, at, 0);
	/* A block of another instance: refused where this one has no such block. */
	rig_init(&other);
	rig_zone(&other, 64, FRAMES);
	rig_start(&other);
	pfa_pfn pfn = take(&other, 3);
	MISUSE(&rig, PFA_FAULT_DOUBLE_FREE, pfa_free, rig.pfa, pfn, 3);
	EXPECT(pfa_free, PFA_OK, other.pfa, pfn, 3);
	rig_stop(&other);
	rig_stop(&rig);
}

static void test_ranges(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	pfa_pfn pfns[200];
	base(&rig);
	EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 2, PFA_MOVABLE, 8, pfns, &nr);
	pfa_pfn first = pfns[0];
	for (size_t i = 0; i < nr; i++)
		first = pfns[i] < first ? pfns[i] : first;
	MISUSE(&rig, PFA_FAULT_MIXED_RANGE, pfa_free_range, rig.pfa, 64, FRAMES);
	MISUSE(&rig, PFA_FAULT_MIXED_RANGE, pfa_free_range, rig.pfa, first, 3); /* cuts a block */
	MISUSE(&rig, PFA_FAULT_MIXED_RANGE, pfa_free_range, rig.pfa, first + 1, 3);
	/* a bulk with a duplicate stops there */
	pfns[5] = pfns[1];
	memset(&rig.fault, 0, sizeof(rig.fault));
	EXPECT(pfa_free_bulk, PFA_EMISUSE, rig.pfa, 2, 6, pfns, &nr);
	assert_int_equal(nr, 5);
	assert_int_equal(rig.fault.nr, 1);
	assert_string_equal(rig.fault.function, "pfa_free_bulk");
	/* Level 3 chooses at random which block a full slot gives back. */
	if (rig_level < 3 || rig.fault.kind != PFA_FAULT_DOUBLE_FREE)
		assert_int_equal(rig.fault.kind, PFA_FAULT_DOUBLE_FREE_CACHED);
	rig_check(&rig);
	rig_drop(&rig);
}

static void test_pointers(void **state)
{
	(void)state;
	static unsigned char elsewhere[64];
	static unsigned char pool[(64 + FRAMES) * 64] __attribute__((aligned(64)));
	struct rig rig;
	void *ptr;
	rig_init(&rig);
	rig_zone(&rig, 64, FRAMES);
	rig.cfg.pool = pool; /* also covers frames 0..63, which are in no zone */
	rig.cfg.pool_bytes = sizeof(pool);
	rig_start(&rig);
	EXPECT(pfa_alloc_ptr, PFA_OK, rig.pfa, 1, PFA_MOVABLE, &ptr);
	unsigned char *p = ptr;
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, p + 1, 1);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, p + 63, 1);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, elsewhere, 0);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, NULL, 0);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, pool, 0);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, pool + sizeof(pool), 0);
	MISUSE(&rig, PFA_FAULT_FOREIGN_POINTER, pfa_free_ptr, rig.pfa, (void *)((uintptr_t)pool - 64), 0);
	/* From here on it is pfa_free's business, and told in its name. */
	start_misuse(&rig);
	EXPECT(pfa_free_ptr, PFA_EMISUSE, rig.pfa, p + 64, 0);
	end_misuse(&rig, PFA_FAULT_TAIL, "pfa_free", __LINE__);
	start_misuse(&rig);
	EXPECT(pfa_free_ptr, PFA_EMISUSE, rig.pfa, p, 0);
	end_misuse(&rig, PFA_FAULT_WRONG_ORDER, "pfa_free", __LINE__);
	EXPECT(pfa_free_ptr, PFA_OK, rig.pfa, p, 1);
	rig_stop(&rig);
}

static void test_counted(void **state)
{
	(void)state;
	struct rig rig;
	base(&rig);
	for (unsigned i = 1; i <= 5; i++) {
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 500, 0);
		assert_int_equal(rig.fault.nr, i);
		assert_int_equal(rig_events(&rig).nr_misuse, i);
	}
	assert_int_equal(rig_events(&rig).nr_corrupt, 0);
	rig_stop(&rig);
	/* policy REPORT without a fatal op: silence */
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.os.fatal = NULL;
	rig_start(&rig);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 500, 0);
	assert_int_equal(rig_events(&rig).nr_misuse, 1);
	rig_stop(&rig);
}

/* fatal may print and read statistics: no lock is held. */
static void calls_back(void *ctx, const struct pfa_fault *fault)
{
	struct rig *rig = ctx;
	struct rig_text text = {0};
	(void)fault;
	rig_check(rig);
	for (int what = 0; what < PFA_PRINT_WHATS; what++)
		MUST_EQ(pfa_print(rig->pfa, (enum pfa_print_what)what, rig_text_write, &text), PFA_OK);
	MUST(text.nr > 0);
	rig_text_free(&text);
	rig->fault.nr++;
}

static void test_fatal_may_look(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	rig_init(&rig);
	rig_zone(&rig, 0, FRAMES);
	rig.os.fatal = calls_back;
	rig_start(&rig);
	pfa_pfn pfn = take(&rig, 2), list[2] = {pfn, pfn};
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn, 1);
	EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, pfn, 8);
	EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, pfn + 1, 0, 0);
	EXPECT(pfa_free_bulk, PFA_EMISUSE, rig.pfa, 2, 2, list, &nr);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn, 2);
	assert_int_equal(rig.fault.nr, 5);
	rig_stop(&rig);
}

static void test_messages_are_unique(void **state)
{
	(void)state;
	unsigned nr = 0;
	for (int i = 0; i < PFA_FAULT_KINDS; i++) {
		nr += messages[i][0] != 0;
		for (int k = 0; k < i && messages[i][0]; k++)
			assert_string_not_equal(messages[i], messages[k]);
	}
	/* All that one thread can do without later capabilities (offline, bad, held). */
	assert_int_equal(nr, 10);
}

static const struct unit_test tests[] = {
	TEST(test_double_free), TEST(test_wrong_order), TEST(test_tail_and_misaligned), TEST(test_places),
	TEST(test_ranges), TEST(test_pointers), TEST(test_counted), TEST(test_fatal_may_look),
	TEST(test_messages_are_unique),
};
UNIT_MAIN(tests)
