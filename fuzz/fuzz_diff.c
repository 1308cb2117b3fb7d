/* SPDX-License-Identifier: MIT
 *
 * fuzz_diff.c - the same program on instances that are configured otherwise, and on another allocator, must be granted
 * and refused the same.
 *
 * What must agree, and why. Which frame is granted is the allocator's business, so that after a while fragmentation
 * differs between any two instances; a refusal that depends on fragmentation may differ too. It does not depend on it
 * if all blocks of a program have one order k and each request names its zone exactly: then
 *
 *   - the number of free aligned 2^k blocks of a zone follows from the number of those that are owned;
 *   - every plain request drains the caches before it fails, so that what is cached counts as free;
 *   - what leaves a zone leaves it above its min mark, hence a cache hit, which asks no mark, is only possible where
 *     the zone would grant: un-owned - min mark >= 2^k exactly if the request succeeds.
 *
 * So each program is first brought into this normal form: orders become k; zones exact; flags only type and zero; no
 * CMA and no HIGHATOMIC (they are for some requests only); no exact sizes, splits, windows, misuse and queries. Then
 * for every operation the result code and the number of blocks granted must be the same
 *
 *   - without caches, with the smallest caches, with more cpus, with each way to know the cpu;
 *   - with other gaps between max_order and pageblock_order, in both directions;
 *   - with the other kinds of pool, and with known-zero tracking;
 *   - at each hardening level, with and without history and generations, with quarantine and poison;
 *   - for the textbook buddy allocator, where the configuration has one zone, no holes and no marks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an operation came to. */
struct diff_outcome {
	int code;
	size_t granted;
	bool skipped;
};

struct diff_log {
	size_t nr;
	struct diff_outcome outcome[PROG_OPS_MAX];
};

static struct program diff_program, diff_variant;
static struct diff_log diff_base, diff_other;
static struct exec_result diff_result;

static void diff_note(void *ctx, const struct program *p, const struct exec_step *s)
{
	struct diff_log *log = ctx;
	struct diff_outcome *o = &log->outcome[log->nr++];
	const struct prog_kind_info *info = prog_kind(p->ops[s->index].kind);

	*o = (struct diff_outcome){ .skipped = s->skipped };
	if (s->skipped)
		return;
	/* How much of a round is left depends on the number of cpus; whether there is a history, on the configuration. */
	if (p->ops[s->index].kind != OP_SERVICE && p->ops[s->index].kind != OP_HISTORY)
		o->code = s->code;
	if (info->yields)
		o->granted = p->ops[s->index].kind == OP_ALLOC_BULK ? s->value : s->code == PFA_OK;
}

/* Operations whose outcome follows from how many blocks each zone has given. */
static bool diff_keeps(unsigned kind)
{
	switch (kind) {
	case OP_ALLOC: case OP_FREE: case OP_ALLOC_BULK: case OP_FREE_BULK: case OP_FREE_RANGE: case OP_FREE_PART:
	case OP_FREE_RANGE_PART: case OP_CACHE_DRAIN: case OP_CACHE_DISABLE: case OP_CACHE_ENABLE: case OP_SET_CPU:
	case OP_SERVICE: case OP_CLOCK_ADVANCE: case OP_FAULT: case OP_FILL: case OP_VERIFY: case OP_CHECK: case OP_STATS:
	case OP_PRINT: case OP_FINI: case OP_FREE_CHECKED: case OP_HISTORY:
		return true;
	default:
		return false;
	}
}

static void diff_normalise(struct program *p)
{
	static bool keep[PROG_OPS_MAX];
	const uint64_t exact = 1u << 7, type_and_zero = 7u;
	const unsigned limit = p->config.max_order < 9 ? p->config.max_order : 9;
	const unsigned order = p->config.seed % (limit + 1);

	p->config.bad = PROG_SPOIL_NONE;
	p->config.swarm = 0;
	p->config.huge = 0; /* eight runs of these would take too long */
	for (unsigned i = 0; i < p->config.nr_zones; i++) {
		p->config.zones[i].cma.nr = 0;
		p->config.zones[i].highatomic = 0;
	}
	for (unsigned i = 0; i < p->nr_ops; i++) {
		struct prog_op *op = &p->ops[i];
		keep[i] = diff_keeps(op->kind);
		if (op->kind == OP_ALLOC) {
			op->arg[0] = order;
			op->arg[1] = (op->arg[1] & type_and_zero) | exact;
		} else if (op->kind == OP_ALLOC_BULK) {
			op->arg[0] = order;
			op->arg[2] = (op->arg[2] & type_and_zero) | exact;
		} else if (op->kind == OP_CACHE_DRAIN) {
			op->arg[0] = PROG_CPU_ALL; /* which cpus there are is one of the differences */
		} else if (op->kind == OP_PRINT) {
			op->arg[1] = 0; /* a nested request might take what others need, or not */
		}
	}
	prog_select(p, keep);
	prog_canonicalise(p);
}

static void diff_fail(const char *how, size_t step, const struct diff_outcome *a, const struct diff_outcome *b)
{
	char line[256] = "";

	if (step < diff_program.nr_ops)
		(void)prog_print_op(&diff_program, (unsigned)step, line, sizeof(line));
	fprintf(stderr, "pfa-finding: id=%08x invariant=diff op=%s step=%zu message=%s: %s %zu against %s %zu\n",
	        0xD1FF0000u + (unsigned)strlen(how), step < diff_program.nr_ops ? prog_kind(diff_program.ops[step].kind)->name
	                                                                       : "end",
	        step, how, pfa_error_name(a->code), a->granted, pfa_error_name(b->code), b->granted);
	fprintf(stderr, "\nThe same program (normal form), %s, came to something else.\n  step %zu: %s\n", how, step, line);
	fprintf(stderr, "  as configured: %s, %zu blocks; %s: %s, %zu blocks\n\n", pfa_error_name(a->code), a->granted, how,
	        pfa_error_name(b->code), b->granted);
	static char text[PROG_TEXT_MAX];
	(void)prog_print(&diff_program, text, sizeof(text));
	fprintf(stderr, "%s", text);
	abort();
}

static void diff_run(const struct program *p, const struct sut_ops *sut, struct diff_log *log)
{
	const struct exec_options options = { .sut = sut, .stop_before = SIZE_MAX, .on_step = diff_note, .ctx = log };

	log->nr = 0;
	if (exec_run(p, &options, &diff_result) == EXEC_FINDING) {
		exec_report(p, &options, &diff_result);
		abort();
	}
}

static void diff_compare(const char *how, const struct sut_ops *sut)
{
	diff_run(&diff_variant, sut, &diff_other);
	if (diff_result.outcome == EXEC_REFUSED)
		return;
	for (size_t i = 0; i < diff_base.nr; i++) {
		const struct diff_outcome *a = &diff_base.outcome[i], *b = &diff_other.outcome[i];
		if (a->skipped != b->skipped && sut)
			continue; /* an operation that the other allocator lacks */
		if (a->code != b->code || a->granted != b->granted || a->skipped != b->skipped)
			diff_fail(how, i, a, b);
	}
	diff_variant = diff_program;
}

/* Does the textbook allocator know everything in this program? Freeing in ranges and by handles it does not. */
static bool diff_textbook(const struct program *p)
{
	const struct prog_zone *z = &p->config.zones[0];

	if (p->config.nr_zones != 1 || z->nr_holes || z->mark_high || p->config.pool != PROG_POOL_ZERO_OP)
		return false;
	for (unsigned i = 0; i < p->nr_ops; i++)
		if (p->ops[i].kind == OP_FREE_RANGE || p->ops[i].kind == OP_FREE_RANGE_PART || p->ops[i].kind == OP_FREE_CHECKED)
			return false;
	return true;
}

static void diff_orders(void)
{
	struct prog_config *c = &diff_variant.config;

	if (c->pageblock_order < 10) {
		c->pageblock_order++;
		diff_compare("with larger pageblocks", NULL);
	}
	if (c->pageblock_order > 6) {
		c->pageblock_order = 6;
		diff_compare("with pageblocks of 64 frames", NULL);
	}
	if (c->max_order < 12) {
		c->max_order += 2;
		diff_compare("with a higher max_order", NULL);
	}
}

/* What an instance remembers and verifies decides nothing about what it grants. */
static void diff_levels(void)
{
	static const char *const how[] = { NULL, "at hardening level 1", "at hardening level 2", "at hardening level 3" };
	struct prog_config *c = &diff_variant.config;
	const unsigned own = c->hardening ? c->hardening : 1;

	for (unsigned level = 1; level <= 3; level++) {
		if (level == own)
			continue;
		c->hardening = level;
		c->generations = (level + own) % 2 ? !c->generations : c->generations;
		c->history = c->history ? 0 : level;
		c->traces = c->history ? c->traces : 0;
		c->quarantine = level < 3 ? 0 : 1 + c->seed % PROG_QUARANTINE_DEFAULT;
		c->poison = level < 3 || c->pool != PROG_POOL_CONTENT ? PROG_POISON_NONE : PROG_POISON_ZERO;
		diff_compare(how[level], NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prog_config *c = &diff_variant.config;

	exec_install_callbacks();
	prog_decode(data, size, &diff_program);
	diff_normalise(&diff_program);
	diff_run(&diff_program, NULL, &diff_base);
	if (diff_result.outcome == EXEC_REFUSED)
		return 0;
	diff_variant = diff_program;
	const enum prog_cpu_way way = c->cpu_way;
	c->cache_high = PROG_CACHE_NONE;
	c->cpu_way = (enum prog_cpu_way)((way + 1u) % PROG_CPU_WAYS);
	diff_compare("without caches", NULL);
	c->cache_high = c->cache_batch = 1;
	c->cpus = c->cpus % 4 + 1;
	c->cpu_way = (enum prog_cpu_way)((way + 1u) % PROG_CPU_WAYS);
	diff_compare("with caches of one block, on other cpus", NULL);
	diff_orders();
	diff_levels();
	c->cpu_way = (enum prog_cpu_way)((way + 2u) % PROG_CPU_WAYS);
	c->pool = c->pool == PROG_POOL_ABSENT ? c->pool : c->pool == PROG_POOL_CONTENT ? PROG_POOL_ZERO_OP : PROG_POOL_CONTENT;
	c->track_zero = !c->track_zero;
	c->poison = PROG_POISON_NONE;
	c->abort_policy = !c->abort_policy;
	diff_compare("with another pool", NULL);
	if (diff_textbook(&diff_program))
		diff_compare("by the textbook allocator", &sut_textbook);
	return 0;
}
