/* SPDX-License-Identifier: MIT
 *
 * shrink_targets.c - targets with findings whose smallest form is known: what pfa-trace shrink is tested with.
 *
 *   core    an alloc_exact of 5 frames or more that was granted, a cache_drain, then a free_range of that handle
 *   misuse  a free_tail: a segmentation fault
 *   config  a service: an endless loop
 *   text    bytes with "boom" in them
 *   diff    never
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"

int pfa_target_core(const uint8_t *data, size_t size);
int pfa_target_config(const uint8_t *data, size_t size);
int pfa_target_misuse(const uint8_t *data, size_t size);
int pfa_target_migrate(const uint8_t *data, size_t size);
int pfa_target_diff(const uint8_t *data, size_t size);
int pfa_target_text(const uint8_t *data, size_t size);
int pfa_target_repair(const uint8_t *data, size_t size);
int pfa_target_owners(const uint8_t *data, size_t size);
int pfa_target_contig(const uint8_t *data, size_t size);
int pfa_target_hotplug(const uint8_t *data, size_t size);

static struct program program;
static unsigned granted_at[PROG_OPS_MAX], drained_at;

static void on_step(void *ctx, const struct program *p, const struct exec_step *s)
{
	const struct prog_op *op = &p->ops[s->index];
	unsigned now = (unsigned)s->index + 1;

	(void)ctx;
	if (op->kind == OP_ALLOC_EXACT && s->code == PFA_OK && op->arg[0] >= 5)
		granted_at[s->index] = now;
	if (op->kind == OP_CACHE_DRAIN && s->code == PFA_OK)
		drained_at = now;
	if (op->kind == OP_FREE_RANGE && granted_at[op->ref] && drained_at > granted_at[op->ref]) {
		fprintf(stderr, "pfa-finding: id=5417e000 invariant=test op=free_range step=%zu message=the planted one\n", s->index);
		abort();
	}
}

int pfa_target_core(const uint8_t *data, size_t size)
{
	struct exec_options options = EXEC_OPTIONS_ALL;
	struct exec_result result;

	memset(granted_at, 0, sizeof(granted_at));
	drained_at = 0;
	options.on_step = on_step;
	prog_decode(data, size, &program);
	exec_run(&program, &options, &result);
	return 0;
}

static bool has_kind(const uint8_t *data, size_t size, unsigned kind)
{
	prog_decode(data, size, &program);
	for (unsigned i = 0; i < program.nr_ops; i++)
		if (program.ops[i].kind == kind)
			return true;
	return false;
}

int pfa_target_misuse(const uint8_t *data, size_t size)
{
	if (has_kind(data, size, OP_FREE_TAIL))
		raise(SIGSEGV);
	return 0;
}

int pfa_target_config(const uint8_t *data, size_t size)
{
	volatile bool forever = has_kind(data, size, OP_SERVICE);

	while (forever)
		;
	return 0;
}

int pfa_target_text(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i++)
		if (memcmp(data + i, "boom", 4) == 0)
			abort();
	return 0;
}

int pfa_target_diff(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_repair(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_owners(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_migrate(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_contig(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_hotplug(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_report(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}

int pfa_target_walk(const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	return 0;
}
