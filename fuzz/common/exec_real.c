/* SPDX-License-Identifier: MIT
 *
 * exec_real.c - a program of fuzz_owners from its configuration to the end: instance, platform, steps, teardown.
 *
 * The configuration is the common one, made smaller: at most REAL_FRAMES frames of at most 4 KiB, no spoilt ones. Frames lie
 * in a memfd, so that arenas can map them.
 */
#define _GNU_SOURCE
#include "exec_real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pfa/posix.h>

#include "arena.h"

#define REAL_POOL_BYTES (((size_t)REAL_FRAMES + 4 * REAL_GAP) << 12)
#define REAL_WAITS_MAX 1000u

struct real_run real_one;
struct real_calls real_calls = {
	.inflate = pfa_balloon_inflate, .deflate = pfa_balloon_deflate, .tell = real_device,
#ifdef FUZZ_ZSTORE
	.z_put = pfa_zstore_put, .z_get = pfa_zstore_get, .z_delete = pfa_zstore_delete,
#endif
	.m_free = pfa_mapped_free, .m_move = pfa_mapped_move, .migrate = pfa_migrate, .check = pfa_check,
	.alloc = pfa_alloc, .frame_info = pfa_frame_info, .zone_stats = pfa_zone_stats_get, .report = real_report,
	.flush = pfa_report_flush, .service = pfa_service, .unregister = pfa_report_unregister, .walk = pfa_walk_free,
};

/* ---- findings ------------------------------------------------------------------------------------------------------- */

bool real_fail(struct real_run *r, const char *monitor, const char *what, pfa_pfn pfn, size_t expected, size_t actual)
{
	if (!r->failed)
		(void)exec_fail(r->run, monitor, what, pfn, expected, actual);
	r->failed = true;
	return false;
}

bool real_may(struct real_run *r, int code, uint32_t allowed, const char *what)
{
	r->run->step.code = code;
	if (code <= 0 && code > -32 && (allowed & REAL_MAY(code)))
		return !r->failed;
	return real_fail(r, "owners code", what, 0, allowed, (size_t)(unsigned)-code);
}

bool real_really_full(struct real_run *r, int code, unsigned order, uint32_t flags)
{
	if (code != PFA_ENOMEM || r->acted || r->gave || r->kernel_failed || r->depth)
		return true;
	if (pfa_would_succeed(r->pfa, order, flags & ~(PFA_COMPACT | PFA_NORETRY | PFA_NOWAIT)) != PFA_OK)
		return true;
	return real_fail(r, "owners liveness", "no memory was found, but a request for it would succeed", 0, PFA_OK,
	                 (size_t)-PFA_ENOMEM);
}

/* ---- frames --------------------------------------------------------------------------------------------------------- */

size_t real_index(const struct real_run *r, pfa_pfn pfn)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	size_t base = 0;
	for (unsigned i = 0; i < cfg->nr_zones; base += cfg->zones[i++].nr_frames)
		if (pfn >= cfg->zones[i].start && pfn - cfg->zones[i].start < cfg->zones[i].nr_frames)
			return base + (pfn - cfg->zones[i].start);
	return SIZE_MAX;
}

bool real_hold(struct real_run *r, pfa_pfn pfn, size_t nr, enum real_holder from, enum real_holder to)
{
	for (size_t i = 0; i < nr; i++) {
		const size_t at = real_index(r, pfn + i);
		if (at == SIZE_MAX)
			return real_fail(r, "owners frames", "a frame in no zone was given, or taken back", pfn + i, to, 0);
		if (r->holder[at] != from)
			return real_fail(r, "owners frames", "a frame changes hands that is somebody else's", pfn + i, from, r->holder[at]);
		r->holder[at] = (unsigned char)to;
	}
	return to == REAL_NOBODY || told_taken(r, pfn, nr);
}

uint32_t real_flags(uint64_t value)
{
	return prog_flags(value, 0);
}

/* ---- the platform --------------------------------------------------------------------------------------------------- */

static int real_wait(void *ctx, const void *at, uint32_t value, uint64_t until_ns)
{
	struct real_run *r = ((struct pfa_sim *)ctx)->ctx;
	(void)at;
	(void)value;
	(void)until_ns;
	/* One thread: whoever holds the lock never lets it go. */
	if (++r->waits > REAL_WAITS_MAX) {
		(void)real_fail(r, "owners wait", "a lock is waited for that nobody will give up", 0, 0, r->waits);
		longjmp(r->jump, 1);
	}
	return PFA_EDEADLK;
}

static void real_fatal(struct pfa_sim *sim, const struct pfa_fault *fault)
{
	struct real_run *r = sim->ctx;
	r->run->step.fault = fault->kind;
	(void)real_fail(r, "owners fault", "platform.fatal was told something (kind)", fault->pfn, PFA_FAULT_NONE, fault->kind);
}

static size_t real_low_memory(void *ctx, unsigned order, uint32_t flags)
{
	struct real_run *r = ((struct pfa_sim *)ctx)->ctx;
	(void)order;
	(void)flags;
	if (!r->hook_times)
		return 0;
	r->hook_times--;
	return real_does(r, r->hook_does, true);
}

static void real_platform(struct real_run *r, const struct prog_config *c)
{
	pfa_sim_init(&r->sim, c->seed);
	pfa_sim_platform(&r->sim, &r->os);
	r->sim.ctx = r;
	r->sim.on_fatal = real_fatal;
	r->os.wait = real_wait;
	r->os.low_memory = real_low_memory;
	r->os.zero = NULL;
	setup_cpu = 0;
}

/* ---- the pool ------------------------------------------------------------------------------------------------------- */

static struct pfa_posix_region real_pool;

/* The memfd that all runs share; each makes it anew. False: there is none here. */
static bool real_pool_map(void)
{
	static bool tried;
	if (!tried && pfa_posix_map(&real_pool, REAL_POOL_BYTES, (size_t)1 << 16, PFA_POSIX_MEMFD) != PFA_OK) {
		real_pool.base = NULL;
		fprintf(stderr, "fuzz_owners: no memory that can be mapped twice (%s: %s): the mapped arena is left out\n",
		        real_pool.failed ? real_pool.failed : "memfd", strerror(real_pool.err));
	}
	tried = true;
	return real_pool.base != NULL;
}

static void real_pool_wipe(unsigned char *at, size_t bytes, bool zeroed)
{
	if (at == real_pool.base && fallocate(real_pool.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)REAL_POOL_BYTES) != 0)
		memset(at, 0, bytes);
	/* Who forgets to write zeroes is noticed where frames are small, and where they were used before. */
	if (!zeroed && bytes <= (size_t)1 << 18)
		memset(at, 0xC5, bytes);
}

static void real_pool_make(struct real_run *r, const struct prog_config *c)
{
	struct setup *s = &r->run->setup;
	const size_t first = prog_span_start(c), bytes = (size_t)(prog_span_end(c) - first) << c->frame_shift;
	unsigned char *at = NULL;

	r->fd = -1;
	r->addresses = c->pool == PROG_POOL_CONTENT || c->pool == PROG_POOL_NONE;
	r->os.zero = NULL;
	s->cfg.pool = NULL;
	s->cfg.pool_bytes = 0;
	if (!r->addresses)
		return;
	if (real_pool_map() && bytes <= REAL_POOL_BYTES) {
		at = real_pool.base;
		r->fd = real_pool.fd;
	} else {
		at = arena_pool_content(bytes);
		arena_pool_wipe(bytes, true);
	}
	real_pool_wipe(at, bytes, c->zeroed_pool);
	s->cfg.pool = at;
	s->cfg.pool_bytes = bytes;
	s->cfg.pool_pfn = first;
}

/* ---- begin ---------------------------------------------------------------------------------------------------------- */

/* As the program says, only smaller. */
static void real_smaller(struct program *p)
{
	struct prog_config *c = &p->config;
	uint32_t end = 0;

	c->bad = PROG_SPOIL_NONE;
	c->huge = 0;
	c->abort_policy = false;
	if (c->frame_shift > 12)
		c->frame_shift = 12;
	for (unsigned n = 0; n < c->nr_zones; n++) {
		struct prog_zone *z = NULL; /* the lowest one from end on */
		for (unsigned i = 0; i < c->nr_zones; i++)
			if ((n == 0 || c->zones[i].start >= end) && (!z || c->zones[i].start < z->start))
				z = &c->zones[i];
		if (!z)
			return;
		const uint32_t old_end = z->start + z->nr;
		if (z->nr > REAL_FRAMES / c->nr_zones)
			z->nr = REAL_FRAMES / c->nr_zones;
		/* what comes after it keeps its distance, or less */
		const uint32_t less = old_end - (z->start + z->nr);
		for (unsigned i = 0; i < c->nr_zones; i++)
			if (c->zones[i].start >= old_end)
				c->zones[i].start -= less;
		end = z->start + z->nr;
		uint32_t gap = UINT32_MAX;
		for (unsigned i = 0; i < c->nr_zones; i++)
			if (c->zones[i].start >= end && c->zones[i].start - end < gap)
				gap = c->zones[i].start - end;
		for (unsigned i = 0; i < c->nr_zones && gap != UINT32_MAX && gap > REAL_GAP; i++)
			if (c->zones[i].start >= end)
				c->zones[i].start -= gap - REAL_GAP;
	}
}

static void real_prepare(struct real_run *r, struct exec_run *run)
{
	r->run = run;
	run->m.nr_zones = 0; /* exec_fail() asks it */
	run->sut = NULL;
	run->overran = false;
	run->step = (struct exec_step){ .index = SIZE_MAX };
}

/* False: there is no such instance. */
static bool real_begin(struct real_run *r, const struct program *p)
{
	const struct prog_config *c = &p->config;
	struct setup *s = &r->run->setup;
	struct pfa_footprint need;

	real_platform(r, c);
	setup_make(s, c, 0, &r->os);
	r->os.zero = NULL;
	if (!c->owners && c->seed % 16 != 15) /* so that little of what an engine makes is wasted */
		s->cfg.max_owners = 1 + c->seed % PROG_OWNERS_MAX;
	real_pool_make(r, c);
	if (!r->addresses)
		s->cfg.poison = PFA_POISON_NONE;
	/* The device writes to frames that nobody has. */
	r->told.has = r->run->o->tells && c->seed % 16 != 15;
	if (r->told.has)
		s->cfg.flags |= PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW;
	if (pfa_size(&s->cfg, &need, NULL, NULL) != PFA_OK)
		return false;
	void *memory = arena_metadata(need.core_bytes, c->zeroed_meta);
	return memory && (uintptr_t)memory % need.align == 0 &&
	       pfa_init(memory, need.core_bytes, &s->cfg, &r->pfa, NULL, NULL) == PFA_OK;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

static bool real_step(struct real_run *r, const struct program *p, unsigned index)
{
	const struct prog_op *op = &p->ops[index];
	struct exec_run *run = r->run;

	run->step = (struct exec_step){ .index = index };
	run->thread = op->thread;
	r->acted = r->kernel_failed = r->waits = 0;
	r->gave = false;
	for (unsigned i = 0; i < REAL_EACH; i++)
		r->balloon[i].refused = false;
	if (setjmp(r->jump) != 0 || !real_operation(r, op, index) || r->failed)
		return false;
	if (!exec_step_counts(run, op))
		return true;
	return real_look(r, p->config.check == PROG_CHECK_FULL || index % 16 == 15) && (!r->told.made || real_report_made(r, op, index));
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

static bool real_end_cores(struct real_run *r)
{
	for (size_t i = 0; i < r->nr_core; i++) {
		if (!real_core_stamp(r, &r->core[i], true))
			return false;
		if (!real_may(r, pfa_free(r->pfa, r->core[i].pfn, r->core[i].order), REAL_MAY(PFA_OK), "a block is freed at the end"))
			return false;
	}
	r->nr_core = r->core_frames = 0;
	while (r->nr_extra)
		if (!real_extra_give(r))
			return false;
	return true;
}

static bool real_end(struct real_run *r)
{
	struct pfa_zone_stats now;
	struct pfa_violation v;
	size_t left = 0;

	if (!real_look(r, true) || (r->run->o->tells && !real_report_end(r)))
		return false;
	r->kernel_times = r->hook_times = 0;
	for (unsigned i = 0; i < REAL_EACH; i++) {
		r->balloon[i].times = 0;
		if ((r->mapped[i].it && !real_mapped_end(r, &r->mapped[i])) || (r->zstore[i].it && !real_zstore_end(r, &r->zstore[i])) ||
		    (r->balloon[i].it && !real_balloon_end(r, &r->balloon[i])))
			return false;
	}
	if (!real_look(r, true) || !real_end_cores(r))
		return false;
	while (pfa_cache_enable(r->pfa) == PFA_OK)
		;
	for (unsigned zone = 0; zone < r->run->setup.cfg.nr_zones; zone++)
		if (pfa_zone_stats_get(r->pfa, zone, &now, sizeof(now)) == PFA_OK)
			left += now.allocated;
	if (left)
		return real_fail(r, "owners end", "frames are allocated after everybody has ended", 0, 0, left);
	if (!real_may(r, pfa_cache_drain(r->pfa, PFA_ALL_CPUS), REAL_MAY(PFA_OK), "draining at the end"))
		return false;
	if (real_calls.check(r->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		return real_fail(r, "owners check", v.what, v.pfn, v.expected, v.actual);
	return real_may(r, pfa_fini(r->pfa), REAL_MAY(PFA_OK), "pfa_fini() at the end");
}

/* ---- what is left ----------------------------------------------------------------------------------------------------- */

void real_drop(void)
{
	struct real_run *r = &real_one;
	if (!r->run)
		return;
	r->kernel_times = 0;
	for (unsigned i = 0; i < REAL_EACH; i++) {
		struct real_mapped *a = &r->mapped[i];
		if (a->it && !r->failed) /* else it is not to be trusted, and stays */
			(void)real_mapped_end(r, a);
		for (size_t k = 0; k < a->nr; k++)
			free(a->units[k].mirror);
		free(r->balloon[i].memory);
		free(r->zstore[i].memory);
	}
	memset(r, 0, offsetof(struct real_run, jump));
}

enum exec_outcome real_exec_run(struct exec_run *run, const struct program *p, const struct exec_options *o,
                                struct exec_result *out)
{
	static struct program smaller;
	struct real_run *r = &real_one;
	bool fine = true;

	memset(out, 0, sizeof(*out));
	smaller = *p;
	real_smaller(&smaller);
	prog_canonicalise(&smaller);
	real_drop();
	real_prepare(r, run);
	run->p = p;
	run->o = o;
	run->r = out;
	if (!real_begin(r, &smaller))
		return out->outcome = EXEC_REFUSED;
	if (o->tells)
		fine = real_report_begin(r, &smaller);
	for (unsigned i = 0; fine && i < smaller.nr_ops && i < o->stop_before && i < REAL_STEPS; i++)
		fine = real_step(r, &smaller, i);
	if (fine && !o->keep) {
		run->step = (struct exec_step){ .index = p->nr_ops };
		fine = setjmp(r->jump) == 0 && real_end(r);
	}
	if (fine && !o->keep)
		real_drop();
	exec_count_steps(out->steps);
	return out->outcome;
}
