/* SPDX-License-Identifier: MIT
 *
 * test_program.c - the operation language: round trips, the canonical fixpoint, errors with their place, the mutator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "prog_internal.h"

#include <pfa/types.h>
#include <pfa/config.h>

#ifndef PROGRAM_ROUNDS
#define PROGRAM_ROUNDS 4000u
#endif
#define ROUNDS (PROGRAM_ROUNDS * 5)

static struct program first, second, third;
static uint8_t bytes[PROG_BYTES_MAX + 64], encoded[PROG_BYTES_MAX], again[PROG_BYTES_MAX];
static char text[PROG_TEXT_MAX];
static uint64_t state;

static size_t random_bytes(size_t most)
{
	size_t nr = (size_t)(prog_random(&state) % (most + 1));

	for (size_t i = 0; i < nr; i++)
		bytes[i] = (uint8_t)prog_random(&state);
	return nr;
}

static void parse_good(const char *source, size_t len, struct program *out)
{
	struct prog_error error;

	if (prog_parse(source, len, out, NULL, NULL, &error) != PROG_TEXT_PROGRAM)
		fail_msg("%u:%u: %s\n%.*s", error.line, error.column, error.message, (int)len, source);
}

/* Everything that program.h promises of a canonical program. */
static void assert_canonical(const struct program *p)
{
	struct prog_live live = { .nr_live = 0, .nr_dead = 0 };
	uint64_t total = 0;

	assert_in_range(p->config.nr_zones, 1, PROG_ZONES_MAX);
	assert_in_range(p->nr_ops, 0, PROG_OPS_MAX);
	for (unsigned i = 0; i < p->config.nr_zones; i++) {
		const struct prog_zone *z = &p->config.zones[i];

		total += z->nr;
		assert_in_range(z->nr, 1, PROG_FRAMES_MAX);
		assert_true(z->mark_min <= z->mark_low && z->mark_low <= z->mark_high);
		for (unsigned k = 0; k < p->config.nr_zones; k++) {
			const struct prog_zone *other = &p->config.zones[k];

			assert_true(k == i || z->start + z->nr <= other->start || other->start + other->nr <= z->start);
		}
		for (unsigned k = 0; k < z->nr_holes; k++) {
			assert_true(z->holes[k].nr > 0 && z->holes[k].start >= z->start);
			assert_true(z->holes[k].start + z->holes[k].nr <= z->start + z->nr);
			assert_true(k == 0 || z->holes[k - 1].start + z->holes[k - 1].nr <= z->holes[k].start);
			assert_true(z->cma.nr == 0 || z->holes[k].start >= z->cma.start + z->cma.nr ||
			            z->holes[k].start + z->holes[k].nr <= z->cma.start);
		}
		assert_int_equal((z->cma.start | z->cma.nr) & ((1u << p->config.pageblock_order) - 1), 0);
		assert_true(z->cma.nr == 0 || (z->cma.start >= z->start && z->cma.start + z->cma.nr <= z->start + z->nr));
	}
	assert_in_range(total, 1, PROG_FRAMES_TOTAL);
	for (unsigned i = 0; i < p->nr_ops; i++) {
		const struct prog_op *op = &p->ops[i];
		int handle = prog_handle_arg(op->kind);

		assert_true(prog_enabled(&p->config, op->kind));
		assert_in_range(op->thread, 0, p->config.threads - 1);
		assert_int_equal(handle < 0, op->ref == PROG_NO_REF);
		if (handle >= 0)
			assert_true(prog_live_byte(&live, prog_kind(op->kind)->args[handle].kind, op->ref) >= 0);
		for (unsigned a = 0; a < prog_kind(op->kind)->nr_args; a++)
			assert_int_equal(prog_arg_fix(&p->config, &prog_kind(op->kind)->args[a], op->arg[a]), op->arg[a]);
		prog_live_note(&live, op, i);
	}
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static void table_is_sound(void **unused)
{
	const uint8_t *kinds;
	unsigned nr = prog_kinds(&kinds);

	(void)unused;
	assert_in_range(nr, 30, 255);
	for (unsigned i = 0; i < nr; i++) {
		const struct prog_kind_info *k = prog_kind(kinds[i]);
		uint32_t used = 0;

		assert_int_equal(k->number, kinds[i]);
		assert_int_equal(prog_kind_find(k->name, strlen(k->name)), kinds[i]);
		assert_true(prog_has_call(kinds[i]));
		assert_in_range(k->since, 1, PROG_VERSION);
		assert_true(strlen(k->doc) > 2);
		for (unsigned a = 0; a < k->nr_args; a++) {
			uint32_t mask = ((UINT32_C(1) << k->args[a].width) - 1) << k->args[a].low;

			assert_int_equal(used & mask, 0); /* arguments do not share bits */
			assert_true(mask < UINT32_C(1) << 22);
			used |= mask;
			if (prog_arg_is_handle(k->args[a].kind)) {
				assert_int_equal(k->args[a].width, 8);
				assert_int_equal(a, 0);
			}
			for (unsigned b = 0; b < a; b++)
				assert_string_not_equal(k->args[a].name, k->args[b].name);
		}
	}
	assert_int_equal(PROG_SPOILS, PFA_CONFIG_PROBLEMS); /* one spoil for each problem */
	assert_string_equal(prog_spoil_name(PROG_SPOIL_ZONE_OVERLAP), "zone_overlap");
	assert_string_equal(prog_spoil_name(PROG_SPOIL_MEMORY), "memory");
	assert_int_equal(prog_flags(1 | 4 | 128, 2), PFA_MOVABLE | PFA_ZERO | PFA_EXACT_ZONE | PFA_ZONE(2));
	assert_int_equal(prog_flags(2 | 8 | 16 | 32 | 64, 0),
	                 PFA_RECLAIMABLE | PFA_NOWAIT | PFA_HIGH | PFA_COMPACT | PFA_NORETRY);
}

/* Every byte means some kind in every swarm, and each kind means itself where it is enabled. */
static void every_byte_is_a_kind(void **unused)
{
	struct prog_config c = { .version = 1 };

	(void)unused;
	for (unsigned swarm = 0; swarm <= PROG_GROUPS; swarm++) {
		c.swarm = swarm ? 1u << (swarm - 1) | 1u << PROG_GROUP_BLOCK : 0;
		for (unsigned byte = 0; byte < 256; byte++) {
			unsigned kind = prog_kind_of_byte(&c, (uint8_t)byte);

			assert_true(prog_enabled(&c, kind));
			if (prog_enabled(&c, byte))
				assert_int_equal(kind, byte);
		}
	}
}

/* ---- round trips -------------------------------------------------------------------------------------------------- */

static void bytes_round_trip(void **unused)
{
	unsigned large = 0, unaligned = 0, shared = 0, gap = 0, holes = 0, cma = 0, single = 0, tiny_cache = 0, whole = 0;
	unsigned relation[7] = { 0 }, ways[PROG_CPU_WAYS] = { 0 };

	(void)unused;
	state = 1;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t nr = random_bytes(round % 100 ? 300 : sizeof(bytes)), nr_first, nr_second;
		const struct prog_config *c = &first.config;
		unsigned order[PROG_ZONES_MAX];
		uint32_t frames = 0;

		prog_decode(bytes, nr, &first);
		nr_first = prog_encode(&first, encoded, sizeof(encoded));
		assert_int_not_equal(nr_first, 0);
		prog_decode(encoded, nr_first, &second);
		assert_true(prog_equal(&first, &second));
		nr_second = prog_encode(&second, again, sizeof(again));
		assert_int_equal(nr_first, nr_second);
		assert_memory_equal(encoded, again, nr_first);
		third = first;
		prog_canonicalise(&third);
		assert_true(prog_equal(&first, &third));
		if (round % 16 == 0)
			assert_canonical(&first);
		if (nr < PROG_HEADER_BYTES)
			continue;
		whole++;
		prog_zone_order(c, order);
		for (unsigned i = 0; i < c->nr_zones; i++) {
			const struct prog_zone *z = &c->zones[order[i]];

			frames += z->nr;
			unaligned += (z->start & ((1u << c->pageblock_order) - 1)) != 0;
			holes += z->nr_holes > 0;
			cma += z->cma.nr > 0;
			if (i) {
				const struct prog_zone *below = &c->zones[order[i - 1]];
				uint32_t end = below->start + below->nr;

				gap += z->start > end;
				shared += (end - 1) >> c->pageblock_order == z->start >> c->pageblock_order;
			}
		}
		large += frames >= 1024;
		single += c->max_order == 0;
		tiny_cache += c->cache_high == 1;
		ways[c->cpu_way]++;
		if (c->max_order + 3 >= c->pageblock_order && c->max_order <= c->pageblock_order + 3)
			relation[c->max_order + 3 - c->pageblock_order]++;
	}
	print_message("of %u configurations: %u large, %u unaligned, %u shared, %u with a gap, %u holes, %u CMA\n", whole,
	              large, unaligned, shared, gap, holes, cma);
	assert_true(large * 10 >= whole * 3);
	assert_true(unaligned > whole / 10 && shared > whole / 20 && gap > whole / 20 && holes > whole / 10);
	assert_true(cma > whole / 50 && single > whole / 100 && tiny_cache > whole / 100);
	for (unsigned i = 0; i < 7; i++)
		assert_true(relation[i] > whole / 20);
	for (unsigned i = 0; i < PROG_CPU_WAYS; i++)
		assert_true(ways[i] > whole / 4);
}

static void text_round_trip(void **unused)
{
	(void)unused;
	state = 2;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t nr = random_bytes(round % 1000 ? 200 : sizeof(bytes)), len;

		prog_decode(bytes, nr, &first);
		memcpy(first.target, "misuse", 7);
		len = prog_print(&first, text, sizeof(text));
		assert_in_range(len, 1, sizeof(text) - 1);
		assert_int_equal(strlen(text), len);
		parse_good(text, len, &second);
		assert_true(prog_equal(&first, &second));
		assert_string_equal(second.target, "misuse");
	}
}

/* No text makes the parser do more than refuse; what it refuses, it refuses at a place. */
static void damaged_text_is_refused_or_read(void **unused)
{
	unsigned refused = 0, read = 0;

	(void)unused;
	state = 3;
	for (unsigned round = 0; round < PROGRAM_ROUNDS; round++) {
		size_t nr = random_bytes(160), len;
		struct prog_error error;
		enum prog_text_kind kind;
		char *copy;

		prog_decode(bytes, nr, &first);
		len = prog_print(&first, text, sizeof(text));
		for (unsigned i = (unsigned)prog_random(&state) % 4; i > 0; i--)
			text[prog_random(&state) % len] = (char)prog_random(&state);
		len = prog_random(&state) % 2 ? len : (size_t)(prog_random(&state) % (len + 1));
		copy = malloc(len + 1); /* so that a sanitizer sees a read past the end */
		assert_non_null(copy);
		memcpy(copy, text, len);
		kind = prog_parse(copy, len, &second, NULL, NULL, &error);
		free(copy);
		if (kind == PROG_TEXT_PROGRAM) {
			read++;
			assert_canonical(&second);
		} else {
			refused++;
			assert_in_range(error.line, 1, len + 2);
			assert_true(error.column >= 1 && error.message[0]);
		}
	}
	assert_true(refused > PROGRAM_ROUNDS / 20 && read > PROGRAM_ROUNDS / 20);
}

static void raw_round_trip(void **unused)
{
	static uint8_t raw[4096];
	struct prog_error error;

	(void)unused;
	state = 4;
	for (unsigned round = 0; round < 500; round++) {
		size_t nr = random_bytes(sizeof(raw)), nr_raw = sizeof(raw), len;

		len = prog_print_raw("text", bytes, nr, text, sizeof(text));
		assert_int_equal(prog_parse(text, len, &first, raw, &nr_raw, &error), PROG_TEXT_RAW);
		assert_int_equal(nr, nr_raw);
		assert_memory_equal(raw, bytes, nr);
		assert_string_equal(first.target, "text");
		assert_int_equal(prog_parse(text, len, &first, NULL, NULL, &error), PROG_TEXT_ERROR);
	}
}

/* ---- what a text means -------------------------------------------------------------------------------------------- */

static void example_is_read(void **unused)
{
	static const char source[] =
		"# a comment\n"
		"pfa-trace 1 target=misuse seed=7\n"
		"\n"
		"config frame_shift=12 max_order=8 pageblock_order=6 cpus=2 cache=4/16 threads=2\r\n"
		"zone 0 pfn=3..514 hole=64..71 marks=8/16/24 cma=128..255 highatomic=96\n"
		"zone 1 pfn=515..600\n"
		"fault wait at=2 times=1 result=edeadlk   # the second\n"
		"first = alloc order=3 flags=movable,zero zone=1   #= ok pfn=128\n"
		"second = alloc\n"
		"t1: split first at=0 to=1\n"
		"free first\n"
		"double_free first\n"
		"clock_advance ns=2000000000\n"
		"schedule raw=0c01ff\n";

	(void)unused;
	parse_good(source, strlen(source), &first);
	assert_string_equal(first.target, "misuse");
	assert_int_equal(first.config.seed, 7);
	assert_int_equal(first.config.cache_batch, 4);
	assert_int_equal(first.config.cache_high, 16);
	assert_int_equal(first.config.zones[0].start, 3);
	assert_int_equal(first.config.zones[0].nr, 512);
	assert_int_equal(first.config.zones[0].holes[0].start, 64);
	assert_int_equal(first.config.zones[0].holes[0].nr, 8);
	assert_int_equal(first.config.zones[0].cma.nr, 128);
	assert_int_equal(first.config.zones[0].highatomic, 96);
	assert_int_equal(first.config.zones[0].mark_low, 16);
	assert_int_equal(first.nr_ops, 7);
	assert_int_equal(first.ops[0].kind, OP_FAULT);
	assert_int_equal(first.ops[0].arg[0], PROG_SITE_WAIT);
	assert_int_equal(first.ops[0].arg[1], 2);
	assert_int_equal(first.ops[1].arg[0], 3);
	assert_int_equal(prog_flags(first.ops[1].arg[1], first.ops[1].arg[2]), PFA_MOVABLE | PFA_ZERO | PFA_ZONE(1));
	assert_int_equal(first.ops[2].arg[0], 0);
	assert_int_equal(first.ops[3].thread, 1);
	assert_int_equal(first.ops[3].ref, 1);
	assert_int_equal(first.ops[5].kind, OP_DOUBLE_FREE);
	assert_int_equal(first.ops[5].ref, 1);
	assert_int_equal(first.ops[6].arg[0], UINT64_C(2000000000));
	assert_int_equal(first.nr_schedule, 3);
	assert_int_equal(first.schedule[0], 0x0c);
	assert_canonical(&first);
	prog_print_op(&first, 3, text, sizeof(text));
	assert_string_equal(text, "t1: split a at=0 to=1");
	/* the schedule's first byte is the last of the binary form */
	assert_int_not_equal(prog_encode(&first, encoded, sizeof(encoded)), 0);
	assert_int_equal(encoded[PROG_HEADER_BYTES + 7 * PROG_OP_BYTES + 2], 0x0c);
}

#define HEAD "pfa-trace 1 target=core\nconfig max_order=8\nzone 0 pfn=0..511\n"

static const struct {
	const char *source;
	unsigned line, column;
	const char *says;
} refusals[] = {
	{ "", 1, 1, "pfa-trace 1" },
	{ "hello\n", 1, 1, "found 'hello'" },
	{ "pfa-trace 9\n", 1, 11, "version: expected a number 1..3" },
	{ "pfa-trace 1 target=Core\n", 1, 20, "target's name" },
	{ "pfa-trace 1 seed=256\n", 1, 18, "0..255" },
	{ "pfa-trace 1\n", 2, 1, "expected a line 'zone 0" },
	{ "pfa-trace 1\nconfig cpu=2\n", 2, 8, "key of config" },
	{ "pfa-trace 1\nconfig cpus\n", 2, 8, "key=value" },
	{ "pfa-trace 1\nconfig max_order=32\n", 2, 18, "0..31" },
	{ "pfa-trace 1\nconfig pool=stone\n", 2, 13, "content, absent" },
	{ "pfa-trace 1\nconfig cache=0/4\n", 2, 14, "1..63" },
	{ "pfa-trace 1\nconfig swarm=block,nonsense\n", 2, 20, "found 'nonsense'" },
	{ "pfa-trace 1\nconfig max_order=3 cache_order=4\nzone 0 pfn=0..9\n", 2, 32, "at most max_order, 3" },
	{ "pfa-trace 1\nzone 1 pfn=0..9\n", 2, 6, "numbered in order" },
	{ "pfa-trace 1\nzone 0 pfn=9\n", 2, 12, "first..last" },
	{ "pfa-trace 1\nzone 0 pfn=9..3\n", 2, 12, "first..last" },
	{ "pfa-trace 1\nzone 0 pfn=0..9000\n", 2, 12, "at most 8191 frames" },
	{ "pfa-trace 1\nzone 0 pfn=0..99 hole=90..100\n", 2, 23, "hole: expected frames of 0..99" },
	{ "pfa-trace 1\nzone 0 pfn=0..99 marks=8/4/9\n", 2, 26, "low: expected a number 8..135" },
	{ "pfa-trace 1\nzone 0 pfn=0..99 highatomic=33\n", 2, 29, "multiple of 32" },
	{ "pfa-trace 1\nzone 0 pfn=0..99\nzone 1 pfn=50..60\n", 3, 12, "that another zone has" },
	{ "pfa-trace 1\nzone 0 pfn=0..99 cma=0..63\n", 2, 22, "whole pageblocks" },
	{ "pfa-trace 1\nzone 0 pfn=9000..9001\n", 2, 12, "multiple of 2^26" },
	{ HEAD "a = alloc order=9\n", 4, 17, "order: expected a number 0..8, found '9'" },
	{ HEAD "  a = alloc order=1 order=2\n", 4, 21, "order= is there twice" },
	{ HEAD "a = alloc size=1\n", 4, 11, "no argument of this name" },
	{ HEAD "a = alloc flags=moveable\n", 4, 17, "movable" },
	{ HEAD "a = alloc flags=movable,unmovable\n", 4, 25, "one migrate type" },
	{ HEAD "alloc order=1\n", 4, 14, "expected 'name = alloc" },
	{ HEAD "a = free b\n", 4, 10, "'b' is no result" },
	{ HEAD "a = alloc\nfree a\nfree a\n", 6, 6, "'a' was given back by line 5" },
	{ HEAD "a = alloc\ndouble_free a\n", 5, 13, "'a' lives" },
	{ HEAD "a = alloc\na = alloc\n", 5, 1, "result of line 4 already" },
	{ HEAD "9a = alloc\n", 4, 1, "expected a name" },
	{ HEAD "x = cache_drain\n", 4, 1, "yields nothing" },
	{ HEAD "free\n", 4, 5, "end of the line" },
	{ HEAD "frobnicate\n", 4, 1, "expected an operation" },
	{ HEAD "t1: cache_disable\n", 4, 2, "thread: expected a number 0..0" },
	{ HEAD "free_pfn pfn=576\n", 4, 14, "pfn: expected a number 0..575" },
	{ HEAD "check_range nr=33\n", 4, 16, "multiple of 64" },
	{ HEAD "clock_advance ns=12345\n", 4, 18, "nanoseconds" },
	{ HEAD "clock_advance ns=99999999999999999999\n", 4, 18, "nanoseconds" },
	{ HEAD "fault disk\n", 4, 7, "site: expected one of cpu, wait" },
	{ HEAD "check level=loud\n", 4, 13, "quiescent" },
	{ HEAD "cache_disable\nzone 1 pfn=600..700\n", 5, 1, "before the first operation" },
	{ HEAD "schedule raw=0\n", 4, 14, "pairs of hex digits" },
	{ HEAD "schedule raw=00\nschedule raw=00\n", 5, 1, "one schedule only" },
	{ HEAD "config cpus=1\n", 4, 1, "before the zones" },
	{ HEAD "\x01\x02\n", 4, 1, "found '?" },
};

static void errors_name_their_place(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct prog_error error;

		if (prog_parse(refusals[i].source, strlen(refusals[i].source), &first, NULL, NULL, &error) != PROG_TEXT_ERROR)
			fail_msg("was accepted: %s", refusals[i].source);
		if (error.line != refusals[i].line || error.column != refusals[i].column ||
		    !strstr(error.message, refusals[i].says))
			fail_msg("%sexpected %u:%u ...%s..., found %u:%u %s", refusals[i].source, refusals[i].line,
			         refusals[i].column, refusals[i].says, error.line, error.column, error.message);
	}
}

/* A schedule is a list of switches, or bytes that are none. */
static void schedules(void **unused)
{
	static const char head[] = "pfa-trace 3 target=sched seed=0\nconfig frame_shift=6 max_order=6 pageblock_order=6 cpus=2 threads=3\n"
	                           "zone 0 pfn=64..191\n";
	static const struct {
		const char *line;
		unsigned switches; /* 0: bytes */
	} rows[] = {
		{ "schedule t0@1=preempt:1 t2@65535=older:7 t1@40=cpu:1 t1@41=next:2\n", 4 },
		{ "schedule t0@1=preempt:1 t1@0=next:2\n", 2 },  /* t1 ends, or waits, before its first point */
		{ "schedule raw=ff\n", 0 },
		{ "schedule raw=fff001000400ff\n", 0 },       /* bytes that follow the last switch */
		{ "schedule raw=fff000000400\n", 0 },         /* point 0, where nobody is asked */
		{ "schedule raw=fff001001400\n", 0 },         /* of no kind */
	};
	static struct program p, q;
	static char in[1024], out[PROG_TEXT_MAX];
	struct prog_error error;

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int nr = snprintf(in, sizeof(in), "%s%s", head, rows[i].line);
		assert_int_equal(prog_parse(in, (size_t)nr, &p, NULL, NULL, &error), PROG_TEXT_PROGRAM);
		assert_int_equal(prog_switches(&p, NULL), rows[i].switches);
		prog_print(&p, out, sizeof(out));
		assert_string_equal(out, in);
		prog_decode(bytes, prog_encode(&p, bytes, sizeof(bytes)), &q);
		assert_true(prog_equal(&p, &q));
	}
	static const char *const bad[] = { "schedule t4@1=preempt:0", "schedule t0@0=preempt:0", "schedule t0@1=jump:0", "schedule t0=preempt:0" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int nr = snprintf(in, sizeof(in), "%s%s\n", head, bad[i]);
		assert_int_equal(prog_parse(in, (size_t)nr, &p, NULL, NULL, &error), PROG_TEXT_ERROR);
		assert_int_equal(error.line, 4);
	}
}

static void long_holes_become_several(void **unused)
{
	static const char source[] = "pfa-trace 1\nzone 0 pfn=0..999 hole=100..499\n";
	static const char many[] = "pfa-trace 1\nzone 0 pfn=0..999 hole=100..900\n";
	struct prog_error error;

	(void)unused;
	parse_good(source, strlen(source), &first);
	assert_int_equal(first.config.zones[0].nr_holes, 3);
	assert_int_equal(first.config.zones[0].holes[2].start + first.config.zones[0].holes[2].nr, 500);
	assert_int_equal(prog_parse(many, strlen(many), &first, NULL, NULL, &error), PROG_TEXT_ERROR);
	assert_int_equal(error.line, 2);
}

static void handles_beyond_a_byte(void **unused)
{
	struct prog_error error;
	size_t len = (size_t)snprintf(text, sizeof(text), "pfa-trace 1\nzone 0 pfn=0..511\nold = alloc\n");

	(void)unused;
	for (unsigned i = 0; i < PROG_LIVE_MAX - 1; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "x%u = alloc\n", i);
	snprintf(text + len, sizeof(text) - len, "free old\n");
	parse_good(text, strlen(text), &first);
	assert_int_equal(first.ops[first.nr_ops - 1].ref, 0);
	snprintf(text + len, sizeof(text) - len, "y = alloc\nfree old\n");
	assert_int_equal(prog_parse(text, strlen(text), &first, NULL, NULL, &error), PROG_TEXT_ERROR);
	assert_non_null(strstr(error.message, "too old"));
	assert_int_equal(error.column, 6);
}

static void text_to_bytes(void **unused)
{
	static const char source[] = HEAD "a = alloc\nfree a\n";
	static const char raw[] = "pfa-trace 1 target=text\nraw 0102\nraw ff\n";
	char error[200];
	size_t nr;

	(void)unused;
	assert_int_equal(prog_text_to_bytes(source, strlen(source), encoded, sizeof(encoded), &nr, error, sizeof(error)), 0);
	assert_int_equal(nr, PROG_HEADER_BYTES + 2 * PROG_OP_BYTES);
	assert_int_equal(prog_text_to_bytes(raw, strlen(raw), encoded, sizeof(encoded), &nr, error, sizeof(error)), 0);
	assert_int_equal(nr, 3);
	assert_int_equal(encoded[2], 0xff);
	assert_int_equal(prog_text_to_bytes(source, strlen(source), encoded, 70, &nr, error, sizeof(error)), -1);
	assert_non_null(strstr(error, "more than 70 bytes"));
	assert_int_equal(prog_text_to_bytes("x", 1, encoded, sizeof(encoded), &nr, error, sizeof(error)), -1);
	assert_int_equal(strncmp(error, "1:1: expected", 13), 0);
}

/* Leaving out what yields a handle leaves out what uses it, and nothing else changes its meaning. */
static void selection_keeps_references(void **unused)
{
	static const char source[] = HEAD "a = alloc order=1\nb = alloc order=2\nc = alloc order=3\nfree a\nfill c stamp=1\n"
	                                  "double_free a\nfree b\nfree c\n";
	bool keep[8] = { true, false, true, true, true, true, true, true };

	(void)unused;
	parse_good(source, strlen(source), &first);
	prog_select(&first, keep);
	assert_int_equal(first.nr_ops, 6);
	assert_int_equal(first.ops[3].kind, OP_FILL);
	assert_int_equal(first.ops[3].ref, 1);
	assert_int_equal(first.ops[5].kind, OP_FREE);
	assert_int_equal(first.ops[5].ref, 1);
	assert_canonical(&first);
	memcpy(keep, (bool[]){ true, true, false, true, true, true, true, true }, sizeof(keep));
	prog_select(&first, keep); /* without "free a": the double free of a has nothing to be a double of */
	assert_int_equal(first.nr_ops, 4);
	for (unsigned i = 0; i < first.nr_ops; i++)
		assert_int_not_equal(first.ops[i].kind, OP_DOUBLE_FREE);
}

/* ---- mutator ------------------------------------------------------------------------------------------------------ */

static struct program pool[32];

static void mutants_are_canonical(void **unused)
{
	uint64_t kinds_seen = 0;
	bool seen[OP_KINDS] = { false };
	const uint8_t *kinds;
	unsigned nr_kinds = prog_kinds(&kinds);

	(void)unused;
	state = 5;
	for (unsigned i = 0; i < 32; i++)
		prog_decode(bytes, random_bytes(200), &pool[i]);
	for (unsigned round = 0; round < PROGRAM_ROUNDS * 3 / 2; round++) {
		unsigned at = (unsigned)(prog_random(&state) % 32), other = (unsigned)(prog_random(&state) % 32);
		uint64_t seed = prog_random(&state);
		size_t max = prog_random(&state) % 2 ? 4096 : PROG_HEADER_BYTES + (size_t)(prog_random(&state) % 400), nr;

		first = second = pool[at];
		if (round % 4) {
			prog_mutate(&first, max, seed);
			prog_mutate(&second, max, seed);
		} else {
			prog_crossover(&pool[at], &pool[other], &first, max, seed);
			prog_crossover(&pool[at], &pool[other], &second, max, seed);
		}
		assert_true(prog_equal(&first, &second)); /* the seed alone decides */
		if (round % 8 == 0)
			assert_canonical(&first);
		nr = prog_encode(&first, encoded, max);
		assert_int_not_equal(nr, 0);
		prog_decode(encoded, nr, &third);
		assert_true(prog_equal(&first, &third));
		for (unsigned i = 0; i < first.nr_ops; i++)
			seen[first.ops[i].kind] = true;
		if (first.nr_ops > 500 || round % 16 == 0) /* some kinds come from fresh ones alone */
			prog_decode(bytes, random_bytes(200), &first);
		pool[at] = first;
	}
	for (unsigned i = 0; i < nr_kinds; i++)
		kinds_seen += seen[kinds[i]];
	assert_int_equal(kinds_seen, nr_kinds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(every_byte_is_a_kind),
		cmocka_unit_test(bytes_round_trip),
		cmocka_unit_test(text_round_trip),
		cmocka_unit_test(damaged_text_is_refused_or_read),
		cmocka_unit_test(raw_round_trip),
		cmocka_unit_test(example_is_read),
		cmocka_unit_test(errors_name_their_place),
		cmocka_unit_test(schedules), cmocka_unit_test(long_holes_become_several),
		cmocka_unit_test(handles_beyond_a_byte),
		cmocka_unit_test(text_to_bytes),
		cmocka_unit_test(selection_keeps_references),
		cmocka_unit_test(mutants_are_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
