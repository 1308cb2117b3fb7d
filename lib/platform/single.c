/* SPDX-License-Identifier: MIT */
#include <pfa/single.h>

static uint32_t single_cpu(void *ctx)
{
	(void)ctx;
	return 0;
}

static uint32_t single_self(void *ctx)
{
	(void)ctx;
	return 1;
}

static int single_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	(void)ctx;
	(void)addr;
	(void)value;
	(void)until_ns;
	return PFA_EDEADLK;
}

static void single_wake(void *ctx, const void *addr)
{
	(void)ctx;
	(void)addr;
}

/* The core wants a clock where there is a wait. */
static uint64_t single_no_clock(void *ctx)
{
	(void)ctx;
	return 0;
}

void pfa_single_platform(struct pfa_platform *out, uint64_t (*now_ns)(void *ctx), void *ctx)
{
	/* One by one: an assignment of the whole struct may become a call of memset. */
	out->size = sizeof(*out);
	out->ctx = ctx;
	out->cpu = single_cpu;
	out->self = single_self;
	out->wait = single_wait;
	out->wake = single_wake;
	out->now_ns = now_ns ? now_ns : single_no_clock;
	out->zero = NULL;
	out->random = NULL;
	out->fatal = NULL;
	out->tag = NULL;
	out->log = NULL;
	out->backtrace = NULL;
	out->low_memory = NULL;
}
