/* SPDX-License-Identifier: MIT
 *
 * History: events of frames, what a fault brings along, live blocks by tag, backtraces. A model remembers every event.
 */
#include "unit.h"

#include <pfa/harden.h>

#include <stdlib.h>
#include <string.h>

enum { START = 64, FRAMES = 512, KEPT = 4 };

static struct {
	uint32_t tag, self;
	uintptr_t trace[3 * PFA_TRACE_DEPTH];
	size_t trace_nr;
	char log[64][256];
	size_t nr_log;
	struct pfa_event fault_history[PFA_HISTORY_LIMIT];
	size_t fault_nr;
} world;

static uint32_t op_tag(void *ctx)
{
	(void)ctx;
	return world.tag;
}

static uint32_t op_self(void *ctx)
{
	(void)ctx;
	return world.self;
}

static size_t op_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	(void)ctx;
	assert_int_equal(max, PFA_TRACE_DEPTH);
	for (size_t i = 0; i < world.trace_nr && i < max; i++)
		out[i] = world.trace[i];
	return world.trace_nr; /* more than there was room for is cut by the library */
}

static void op_log(void *ctx, const char *text)
{
	(void)ctx;
	MUST(world.nr_log < 64 && !strchr(text, '\n'));
	snprintf(world.log[world.nr_log++], sizeof(world.log[0]), "%s", text);
}

static void op_fatal(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	world.fault_nr = fault->nr_history;
	MUST(fault->nr_history <= PFA_HISTORY_LIMIT && !fault->history == !fault->nr_history);
	if (fault->nr_history)
		memcpy(world.fault_history, fault->history, fault->nr_history * sizeof(fault->history[0]));
}

static const struct pfa_run hole = {500, 4};

static void start(struct rig *rig, uint32_t history)
{
	memset(&world, 0, sizeof(world));
	world.self = 1;
	rig_init(rig);
	rig_zone(rig, START, FRAMES)->holes = &hole;
	rig->zones[0].nr_holes = 1;
	rig->os.tag = op_tag;
	rig->os.self = op_self;
	rig->os.log = op_log;
	rig->cfg.cache_high = 8;
	rig->cfg.history = history;
}

static size_t history_of(struct rig *rig, pfa_pfn pfn, struct pfa_event out[], size_t max)
{
	size_t nr = 99;
	EXPECT(pfa_history, PFA_OK, rig->pfa, pfn, out, max, &nr);
	MUST(nr <= max);
	return nr;
}

#define MUST_BE(event, number_, op_, pfn_, order_, tag_)                                    \
	do {                                                                                \
		const struct pfa_event *must_e = &(event);                                  \
		MUST_EQ(must_e->number, number_);                                           \
		MUST_EQ(must_e->op, op_);                                                   \
		MUST_EQ(must_e->pfn, pfn_);                                                 \
		MUST_EQ(must_e->order, order_);                                             \
		MUST_EQ(must_e->tag, tag_);                                                 \
	} while (0)

static pfa_pfn take(struct rig *rig, unsigned order, pfa_pfn at)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc_window(rig->pfa, order, PFA_MOVABLE, (struct pfa_run){at, (size_t)1 << order}, &pfn), PFA_OK);
	MUST_EQ(pfn, at);
	return pfn;
}

static void test_off(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_event e;
	size_t nr = 7;
	start(&rig, 0);
	rig.os.fatal = op_fatal;
	rig_start(&rig);
	EXPECT(pfa_history, PFA_ENOTSUP, rig.pfa, START, &e, 1, &nr);
	assert_int_equal(nr, 0);
	EXPECT(pfa_trace, PFA_ENOTSUP, rig.pfa, 1, NULL, 0, &nr);
	world.fault_nr = 9;
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, START, 0);
	assert_int_equal(world.fault_nr, 0);
	MUST(!rig_region(&rig, "history", NULL) && !rig_region(&rig, "traces", NULL));
	rig_stop(&rig);
}

static void test_last_events(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_event e[16];
	size_t nr;
	start(&rig, KEPT);
	rig_start(&rig);
	assert_int_equal(history_of(&rig, 128, e, 16), 0);
	world.tag = 7;
	world.self = 3;
	take(&rig, 3, 128);
	world.tag = 8;
	MUST_EQ(pfa_free(rig.pfa, 128, 3), PFA_OK);
	assert_int_equal(history_of(&rig, 128, e, 16), 2);
	MUST_BE(e[0], 2, PFA_EVENT_FREE, 128, 3, 8);
	MUST_BE(e[1], 1, PFA_EVENT_ALLOC, 128, 3, 7);
	assert_int_equal(e[0].thread, 3);
	/* A frame inside of it knows, too; the frames around it do not. */
	assert_int_equal(history_of(&rig, 135, e, 16), 2);
	MUST_BE(e[0], 2, PFA_EVENT_FREE, 128, 3, 8);
	assert_int_equal(history_of(&rig, 127, e, 16), 0);
	assert_int_equal(history_of(&rig, 136, e, 16), 0);
	/* Only the last ones are kept, and the frame's own ones are between those of larger blocks. */
	for (unsigned i = 0; i < 3; i++) {
		take(&rig, 0, 130);
		MUST_EQ(pfa_free(rig.pfa, 130, 0), PFA_OK);
		MUST_EQ(pfa_cache_drain(rig.pfa, PFA_ALL_CPUS), PFA_OK);
	}
	take(&rig, 1, 130);
	take(&rig, 1, 128);
	assert_int_equal(history_of(&rig, 130, e, 16), 6);
	MUST_BE(e[0], 9, PFA_EVENT_ALLOC, 130, 1, 8);
	MUST_BE(e[1], 8, PFA_EVENT_FREE, 130, 0, 8);
	MUST_BE(e[3], 6, PFA_EVENT_FREE, 130, 0, 8);
	MUST_BE(e[4], 2, PFA_EVENT_FREE, 128, 3, 8);
	MUST_BE(e[5], 1, PFA_EVENT_ALLOC, 128, 3, 7);
	/* The newest of them, if there is less room. */
	assert_int_equal(history_of(&rig, 130, e, 2), 2);
	MUST_BE(e[1], 8, PFA_EVENT_FREE, 130, 0, 8);
	assert_int_equal(history_of(&rig, 130, e, 0), 0);
	EXPECT(pfa_history, PFA_ERANGE, rig.pfa, START - 1, e, 16, &nr);
	EXPECT(pfa_history, PFA_ERANGE, rig.pfa, START + FRAMES, e, 16, &nr);
	EXPECT(pfa_history, PFA_ERANGE, rig.pfa, SIZE_MAX, e, 16, &nr);
	assert_int_equal(history_of(&rig, 500, e, 16), 0); /* the hole */
	MUST_EQ(pfa_free(rig.pfa, 130, 1), PFA_OK);
	MUST_EQ(pfa_free(rig.pfa, 128, 1), PFA_OK);
	rig_stop(&rig);
}

/* Each function that grants or gives back leaves its event, and what is refused leaves none. */
static void test_every_function(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_event e[16];
	pfa_pfn pfns[4], pfn;
	void *ptr;
	size_t nr;
	start(&rig, KEPT);
	rig.pool_kind = RIG_POOL_CONTENT;
	rig_start(&rig);
	struct pfa *pfa = rig.pfa;
	MUST_EQ(pfa_alloc_bulk(pfa, 1, PFA_MOVABLE, 4, pfns, &nr), PFA_OK); /* 1..4 */
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(history_of(&rig, pfns[i] + 1, e, 1), 1);
		MUST_BE(e[0], i + 1, PFA_EVENT_ALLOC, pfns[i], 1, 0);
	}
	MUST_EQ(pfa_free_bulk(pfa, 1, 4, pfns, &nr), PFA_OK); /* 5..8 */
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(history_of(&rig, pfns[i], e, 1), 1);
		MUST_BE(e[0], i + 5, PFA_EVENT_FREE, pfns[i], 1, 0);
	}
	MUST_EQ(pfa_alloc_exact(pfa, 5, 0, PFA_MOVABLE, &pfn), PFA_OK); /* 9: one event of all five */
	for (unsigned i = 0; i < 8; i++) {
		nr = history_of(&rig, pfn + i, e, 1);
		if (i < 5)
			MUST_BE(e[0], 9, PFA_EVENT_ALLOC, pfn + i, 0, 0);
		else
			MUST(!nr || e[0].number < 9); /* the rest was not granted */
	}
	MUST_EQ(pfa_free_range(pfa, pfn, 5), PFA_OK); /* 10..14 */
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(history_of(&rig, pfn + i, e, 1), 1);
		MUST_BE(e[0], 10 + i, PFA_EVENT_FREE, pfn + i, 0, 0);
	}
	take(&rig, 3, 256);                             /* 15 */
	MUST_EQ(pfa_split(pfa, 256, 3, 1), PFA_OK);     /* 16 */
	assert_int_equal(history_of(&rig, 260, e, 16), 2);
	MUST_BE(e[0], 16, PFA_EVENT_SPLIT, 260, 1, 0);
	MUST_BE(e[1], 15, PFA_EVENT_ALLOC, 256, 3, 0);
	EXPECT(pfa_free_range, PFA_EMISUSE, pfa, 256, 16); /* not wholly ours */
	EXPECT(pfa_free, PFA_EMISUSE, pfa, 256, 3);
	EXPECT(pfa_split, PFA_EMISUSE, pfa, 256, 3, 0);
	MUST_EQ(pfa_free_range(pfa, 256, 8), PFA_OK);   /* 17..20 */
	MUST_EQ(pfa_alloc_ptr(pfa, 2, PFA_MOVABLE | PFA_ZERO, &ptr), PFA_OK); /* 21 */
	MUST_EQ(pfa_pfn_of(pfa, ptr, &pfn), PFA_OK);
	assert_int_equal(history_of(&rig, pfn, e, 1), 1);
	MUST_BE(e[0], 21, PFA_EVENT_ALLOC, pfn, 2, 0);
	MUST_EQ(pfa_free_ptr(pfa, ptr, 2), PFA_OK);     /* 22 */
	assert_int_equal(history_of(&rig, pfn, e, 1), 1);
	MUST_BE(e[0], 22, PFA_EVENT_FREE, pfn, 2, 0);
	rig_stop(&rig);
}

/* Free or cached: bad at once. In use: its owner's events stay the last ones, to the end. */
static void test_marked_bad(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_event e[4];
	pfa_pfn pfn;
	start(&rig, KEPT);
	rig_start(&rig);
	world.tag = 3;
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 200);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 200); /* bad before */
	assert_int_equal(history_of(&rig, 200, e, 4), 1);
	MUST_BE(e[0], 1, PFA_EVENT_BAD, 200, 0, 3);
	MUST_EQ(pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_free(rig.pfa, pfn, 0), PFA_OK);
	EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, pfn); /* it was in a cache */
	assert_int_equal(history_of(&rig, pfn, e, 4), 3);
	MUST_BE(e[0], 4, PFA_EVENT_BAD, pfn, 0, 3);
	take(&rig, 2, 128);
	EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, 130);
	assert_int_equal(history_of(&rig, 130, e, 4), 1);
	MUST_EQ(pfa_free(rig.pfa, 128, 2), PFA_OK);
	assert_int_equal(history_of(&rig, 130, e, 4), 2);
	MUST_BE(e[0], 6, PFA_EVENT_FREE, 128, 2, 3);
	rig_stop(&rig);
}

/* Recorded while it was in use, the frame is not yet bad in quarantine: the second mark takes it out of use, the third does
 * not. One that leaves quarantine by itself has no event of that, since no call was about it. */
static void test_marked_bad_in_quarantine(void **state)
{
	(void)state;
	for (unsigned marked = 0; marked < 2; marked++) {
		struct rig rig;
		struct pfa_event e[KEPT];
		struct pfa_frame_info f;
		start(&rig, KEPT);
		rig.cfg.hardening = 3;
		rig.cfg.quarantine = 4;
		rig_start(&rig);
		world.tag = 3;
		take(&rig, 1, 128);
		EXPECT(pfa_mark_bad, PFA_EAGAIN, rig.pfa, 129);
		MUST_EQ(pfa_free(rig.pfa, 128, 1), PFA_OK);
		EXPECT(pfa_frame_info, PFA_OK, rig.pfa, 128, &f);
		assert_int_equal(f.state, PFA_FRAME_QUARANTINE);
		world.tag = 4;
		if (marked)
			EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 129);
		else
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		EXPECT(pfa_frame_info, PFA_OK, rig.pfa, 129, &f);
		assert_int_equal(f.state, PFA_FRAME_BAD);
		EXPECT(pfa_mark_bad, PFA_OK, rig.pfa, 129);
		assert_int_equal(history_of(&rig, 129, e, KEPT), 2 + marked);
		MUST_BE(e[marked], 2, PFA_EVENT_FREE, 128, 1, 3);
		if (marked)
			MUST_BE(e[0], 3, PFA_EVENT_BAD, 129, 0, 4);
		rig_stop(&rig);
	}
}

/* A block whose content was written to after its free is bad from then on, and says so; the fault still knows who freed it. */
static void test_written_after_free(void **state)
{
	(void)state;
	static const unsigned orders[] = {0, 2};
	for (unsigned i = 0; i < 2; i++) {
		const unsigned order = orders[i];
		struct rig rig;
		struct pfa_event e[4];
		pfa_pfn pfn;
		start(&rig, i ? KEPT : 1);
		rig.cfg.hardening = 3;
		rig.cfg.poison = PFA_POISON_ALL;
		rig.cfg.quarantine = PFA_EXPLICIT_0;
		rig.cfg.flags |= PFA_CONFIG_NO_SHADOW;
		rig.pool_kind = RIG_POOL_CONTENT;
		rig.os.fatal = op_fatal;
		rig_start(&rig);
		world.tag = 4;
		pfn = take(&rig, order, 128);
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		((unsigned char *)rig.pool)[(pfn + (i ? 3 : 0) - rig.cfg.pool_pfn) << rig.cfg.frame_shift] ^= 1;
		world.tag = 9;
		if (i) {
			EXPECT(pfa_alloc_window, PFA_ECORRUPT, rig.pfa, order, PFA_MOVABLE, ((struct pfa_run){128, 4}), &pfn);
			assert_int_equal(history_of(&rig, 130, e, 4), 3);
			MUST_BE(e[0], 3, PFA_EVENT_BAD, 128, order, 9);
			MUST_BE(e[1], 2, PFA_EVENT_FREE, 128, order, 4);
		} else {
			EXPECT(pfa_alloc_window, PFA_ECORRUPT, rig.pfa, 0, PFA_MOVABLE, ((struct pfa_run){128, 1}), &pfn);
			assert_int_equal(history_of(&rig, 128, e, 4), 1);
			MUST_BE(e[0], 3, PFA_EVENT_BAD, 128, 0, 9);
		}
		assert_true(world.fault_nr >= 1);
		MUST_BE(world.fault_history[0], 2, PFA_EVENT_FREE, 128, order, 4);
		rig_drop(&rig);
	}
}

static void test_faults_bring_it(void **state)
{
	(void)state;
	struct rig rig;
	start(&rig, 2);
	rig.os.fatal = op_fatal;
	rig_start(&rig);
	world.tag = 5;
	take(&rig, 2, 200);
	MUST_EQ(pfa_free(rig.pfa, 200, 2), PFA_OK);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 200, 2);
	assert_int_equal(world.fault_nr, 2);
	MUST_BE(world.fault_history[0], 2, PFA_EVENT_FREE, 200, 2, 5);
	MUST_BE(world.fault_history[1], 1, PFA_EVENT_ALLOC, 200, 2, 5);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 203, 0);
	assert_int_equal(world.fault_nr, 2);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, 5000, 0);
	assert_int_equal(world.fault_nr, 0);
	rig_stop(&rig);
}

static void test_texts(void **state)
{
	(void)state;
	struct rig rig;
	char text[120];
	const char *const expected = "#4294967295 split off, order 3, pfn 128, thread 77, tag 42";
	struct pfa_event e = {.number = 4294967295u, .pfn = 128, .op = PFA_EVENT_SPLIT, .order = 3, .tag = 42, .thread = 77};
	assert_int_equal(pfa_event_text(&e, text, sizeof(text)), strlen(expected));
	assert_string_equal(text, expected);
	assert_int_equal(pfa_event_text(&e, text, 8), 7);
	assert_string_equal(text, "#429496");
	assert_int_equal(pfa_event_text(&e, text, 1), 0);
	assert_string_equal(text, "");
	e.op = PFA_EVENT_OPS;
	pfa_event_text(&e, text, sizeof(text));
	assert_non_null(strstr(text, " unknown, "));
	e = (struct pfa_event){.number = 1, .op = PFA_EVENT_BAD};
	pfa_event_text(&e, text, sizeof(text));
	assert_string_equal(text, "#1 marked bad, order 0, pfn 0, thread 0, tag 0");

	start(&rig, 0);
	rig_start(&rig);
	take(&rig, 3, 128);
	const struct {
		pfa_pfn pfn;
		const char *text;
	} frames[] = {
		{133, "pfn 133: in an allocated block (pfn 128, order 3)"}, {136, "pfn 136: free"},
		{502, "pfn 502: in a hole"}, {3, "pfn 3: in no zone"},
	};
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		assert_int_equal(pfa_frame_text(rig.pfa, frames[i].pfn, text, sizeof(text)), strlen(frames[i].text));
		assert_string_equal(text, frames[i].text);
	}
	MUST_EQ(pfa_free(rig.pfa, 128, 3), PFA_OK);
	pfa_frame_text(rig.pfa, 129, text, sizeof(text));
	assert_string_equal(text, "pfn 129: in a free block, in a per-CPU cache (pfn 128, order 3)");
	rig_stop(&rig);
}

static void test_thread_ids_are_cut(void **state)
{
	(void)state;
	struct rig rig;
	struct pfa_event e;
	start(&rig, 1);
	world.self = (1u << 28) - 1;
	world.tag = UINT32_MAX;
	rig_start(&rig);
	take(&rig, 7, 256);
	assert_int_equal(history_of(&rig, 256 + 127, &e, 1), 1);
	MUST_BE(e, 1, PFA_EVENT_ALLOC, 256, 7, UINT32_MAX);
	assert_int_equal(e.thread, (1u << 23) - 1);
	MUST_EQ(pfa_free(rig.pfa, 256, 7), PFA_OK);
	rig_stop(&rig);
}

/* ---- live blocks --------------------------------------------------------------------------------------------------- */

static void expect_live(struct rig *rig, const char *expected)
{
	struct rig_text text = {0};
	EXPECT(pfa_print, PFA_OK, rig->pfa, PFA_PRINT_LIVE, rig_text_write, &text);
	assert_string_equal(text.bytes ? text.bytes : "", expected);
	MUST(text.largest_piece <= 128);
	rig_text_free(&text);
}

static void test_fini_lists_what_lives(void **state)
{
	(void)state;
	struct rig rig;
	start(&rig, 1);
	rig_start(&rig);
	expect_live(&rig, "");
	const struct {
		uint32_t tag;
		unsigned order;
		pfa_pfn at;
	} blocks[] = {{9, 0, 70}, {4, 2, 80}, {9, 3, 96}, {4000000000u, 0, 71}, {9, 0, 72}};
	for (size_t i = 0; i < 5; i++) {
		world.tag = blocks[i].tag;
		take(&rig, blocks[i].order, blocks[i].at);
	}
	MUST_EQ(pfa_free(rig.pfa, 70, 0), PFA_OK); /* in the cache: does not live; the oldest of tag 9 is another one now */
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	assert_int_equal(world.nr_log, 3);
	assert_string_equal(world.log[0], "pfa_fini: still live: tag 4: 1 block, 4 frames; oldest: "
	                                  "#2 allocated, order 2, pfn 80, thread 1, tag 4");
	assert_string_equal(world.log[1], "pfa_fini: still live: tag 9: 2 blocks, 9 frames; oldest: "
	                                  "#3 allocated, order 3, pfn 96, thread 1, tag 9");
	assert_string_equal(world.log[2], "pfa_fini: still live: tag 4000000000: 1 block, 1 frame; oldest: "
	                                  "#4 allocated, order 0, pfn 71, thread 1, tag 4000000000");
	expect_live(&rig, "tag 4: 1 block, 4 frames; oldest: #2 allocated, order 2, pfn 80, thread 1, tag 4\n"
	                  "tag 9: 2 blocks, 9 frames; oldest: #3 allocated, order 3, pfn 96, thread 1, tag 9\n"
	                  "tag 4000000000: 1 block, 1 frame; oldest: "
	                  "#4 allocated, order 0, pfn 71, thread 1, tag 4000000000\n");
	for (size_t i = 1; i < 5; i++)
		MUST_EQ(pfa_free(rig.pfa, blocks[i].at, blocks[i].order), PFA_OK);
	world.nr_log = 0;
	rig_stop(&rig);
	assert_int_equal(world.nr_log, 0);
}

static void test_live_without_history(void **state)
{
	(void)state;
	struct rig rig;
	start(&rig, 0);
	rig_start(&rig);
	take(&rig, 1, 90);
	take(&rig, 0, 80);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	assert_int_equal(world.nr_log, 1);
	assert_string_equal(world.log[0], "pfa_fini: still live: 2 blocks, 3 frames; first: pfn 80, order 0");
	MUST_EQ(pfa_free(rig.pfa, 90, 1), PFA_OK);
	MUST_EQ(pfa_free(rig.pfa, 80, 0), PFA_OK);
	rig_stop(&rig);
	/* Nobody has to listen. */
	start(&rig, 0);
	rig.os.log = NULL;
	rig_start(&rig);
	take(&rig, 1, 90);
	EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
	MUST_EQ(pfa_free(rig.pfa, 90, 1), PFA_OK);
	rig_stop(&rig);
}

/* More tags than one walk over the frames has room for, in an order that makes rows give way. */
static void test_many_tags(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = {5};
	char expected[8192];
	uint32_t tags[61], blocks[61] = {0}, frames[61] = {0};
	size_t first[61] = {0}, nr = 0, taken = 0;
	pfa_pfn pfns[200];
	start(&rig, 2);
	rig_start(&rig);
	for (unsigned i = 0; i < 61; i++)
		tags[i] = i == 60 ? UINT32_MAX : i * 3 + 1;
	for (unsigned i = 0; i < 200; i++) {
		const size_t t = i < 61 ? 60 - i : rng_below(&rng, 61);
		world.tag = tags[t];
		MUST_EQ(pfa_alloc(rig.pfa, i % 2, PFA_MOVABLE, &pfns[taken++]), PFA_OK);
		if (!blocks[t]++)
			first[t] = i;
		frames[t] += 1 + i % 2;
	}
	for (unsigned t = 0; t < 61; t++)
		nr += (size_t)snprintf(expected + nr, sizeof(expected) - nr,
		                       "tag %u: %u %s, %u %s; oldest: #%zu allocated, order %zu, pfn %zu, thread 1, tag %u\n",
		                       tags[t], blocks[t], blocks[t] == 1 ? "block" : "blocks", frames[t],
		                       frames[t] == 1 ? "frame" : "frames", first[t] + 1, first[t] % 2, pfns[first[t]], tags[t]);
	MUST(nr < sizeof(expected));
	expect_live(&rig, expected);
	for (unsigned i = 0; i < 200; i++)
		MUST_EQ(pfa_free(rig.pfa, pfns[i], i % 2), PFA_OK);
	rig_stop(&rig);
}

/* ---- backtraces ---------------------------------------------------------------------------------------------------- */

static void test_traces(void **state)
{
	(void)state;
	struct rig rig;
	uintptr_t out[PFA_TRACE_DEPTH];
	size_t nr;
	start(&rig, 1);
	rig.os.backtrace = op_backtrace;
	rig.cfg.nr_traces = 4;
	rig.cfg.trace_shift = 1;
	rig_start(&rig);
	for (size_t i = 1; i <= 20; i++) { /* event i's backtrace is i, i + 100, ...: i % 3 of them */
		for (size_t at = 0; at < 3 * PFA_TRACE_DEPTH; at++)
			world.trace[at] = i + 100 * at;
		world.trace_nr = i == 18 ? 3 * PFA_TRACE_DEPTH : i % 3;
		if (i % 2)
			take(&rig, 0, 100);
		else
			MUST_EQ(pfa_free(rig.pfa, 100, 0), PFA_OK);
		if (i % 2 == 0)
			MUST_EQ(pfa_cache_drain(rig.pfa, PFA_ALL_CPUS), PFA_OK);
	}
	for (size_t i = 0; i <= 22; i++) {
		memset(out, 0, sizeof(out));
		if (i < 14 || i > 20 || i % 2) { /* the last four of the even ones */
			EXPECT(pfa_trace, PFA_ERANGE, rig.pfa, i, out, PFA_TRACE_DEPTH, &nr);
			assert_int_equal(nr, 0);
			continue;
		}
		EXPECT(pfa_trace, PFA_OK, rig.pfa, i, out, PFA_TRACE_DEPTH, &nr);
		assert_int_equal(nr, i == 18 ? PFA_TRACE_DEPTH : i % 3);
		for (size_t at = 0; at < nr; at++)
			assert_int_equal(out[at], i + 100 * at);
	}
	EXPECT(pfa_trace, PFA_OK, rig.pfa, 18, out, 3, &nr);
	assert_int_equal(nr, 3);
	rig_stop(&rig);
}

/* ---- model --------------------------------------------------------------------------------------------------------- */

enum { MODEL_STEPS = 4000, MODEL_EVENTS = 40000 };

static struct {
	struct pfa_event events[MODEL_EVENTS];
	size_t nr_events, number;
	struct {
		pfa_pfn pfn;
		unsigned order;
	} live[FRAMES];
	size_t nr_live;
} model;

static void model_event(enum pfa_event_op op, pfa_pfn pfn, unsigned order, size_t number)
{
	MUST(model.nr_events < MODEL_EVENTS);
	model.number = number;
	model.events[model.nr_events++] = (struct pfa_event){number, pfn, op, order, world.tag, world.self};
}

/* What pfa_history() must say: of each frame's own events the last ones, of these the ones whose block held pfn. */
static size_t model_history(pfa_pfn pfn, size_t kept, struct pfa_event out[], size_t max)
{
	static size_t own[START + FRAMES];
	size_t nr = 0;
	memset(own, 0, sizeof(own));
	for (size_t i = model.nr_events; i-- && nr < max;) {
		const struct pfa_event *e = &model.events[i];
		if (own[e->pfn]++ < kept && pfn >= e->pfn && pfn < e->pfn + ((size_t)1 << e->order))
			out[nr++] = *e;
	}
	return nr;
}

static void model_step(struct rig *rig, struct rng *rng)
{
	const size_t what = rng_below(rng, 8), i = model.nr_live ? rng_below(rng, model.nr_live) : 0;
	unsigned order = (unsigned)rng_below(rng, 5);
	pfa_pfn pfn;
	world.tag = (uint32_t)rng_below(rng, 50);
	world.self = 1 + (uint32_t)rng_below(rng, 5);
	if (what < 4 || !model.nr_live) {
		if (pfa_alloc(rig->pfa, order, PFA_MOVABLE, &pfn) != PFA_OK)
			return;
		model_event(PFA_EVENT_ALLOC, pfn, order, model.number + 1);
		model.live[model.nr_live].pfn = pfn;
		model.live[model.nr_live++].order = order;
		return;
	}
	pfn = model.live[i].pfn;
	order = model.live[i].order;
	model.live[i] = model.live[--model.nr_live];
	if (what < 7) {
		MUST_EQ(pfa_free(rig->pfa, pfn, order), PFA_OK);
		model_event(PFA_EVENT_FREE, pfn, order, model.number + 1);
		return;
	}
	const unsigned to = (unsigned)rng_below(rng, order + 1);
	const size_t number = model.number + 1;
	MUST_EQ(pfa_split(rig->pfa, pfn, order, to), PFA_OK);
	for (pfa_pfn at = pfn; at < pfn + ((size_t)1 << order); at += (size_t)1 << to) {
		model_event(PFA_EVENT_SPLIT, at, to, number);
		model.live[model.nr_live].pfn = at;
		model.live[model.nr_live++].order = to;
	}
}

static void test_model(void **state)
{
	(void)state;
	for (uint32_t kept = 1; kept <= PFA_HISTORY_LIMIT; kept += 5) {
		struct rig rig;
		struct rng rng = {kept};
		struct pfa_event expected[40], actual[40];
		memset(&model, 0, sizeof(model));
		start(&rig, kept);
		rig_start(&rig);
		for (unsigned step = 0; step < MODEL_STEPS; step++) {
			model_step(&rig, &rng);
			if (step % 16)
				continue;
			const pfa_pfn pfn = START + rng_below(&rng, FRAMES);
			const size_t max = 1 + rng_below(&rng, 40), nr = model_history(pfn, kept, expected, max);
			MUST_EQ(history_of(&rig, pfn, actual, max), nr);
			for (size_t i = 0; i < nr; i++) {
				MUST_BE(actual[i], expected[i].number, expected[i].op, expected[i].pfn, expected[i].order,
				        expected[i].tag);
				MUST_EQ(actual[i].thread, expected[i].thread);
			}
		}
		while (model.nr_live--)
			MUST_EQ(pfa_free(rig.pfa, model.live[model.nr_live].pfn, model.live[model.nr_live].order), PFA_OK);
		rig_stop(&rig);
	}
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		TEST(test_off), TEST(test_last_events),
		TEST_CONTENT(test_every_function, "pointers and zeroing"),
		TEST(test_marked_bad), TEST(test_marked_bad_in_quarantine),
		TEST_CONTENT(test_written_after_free, "it writes into freed frames"),
		TEST(test_faults_bring_it), TEST(test_texts), TEST(test_thread_ids_are_cut),
		TEST(test_fini_lists_what_lives), TEST(test_live_without_history), TEST(test_many_tags),
		TEST(test_traces), TEST(test_model),
	};
	return unit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
