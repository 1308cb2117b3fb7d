/* SPDX-License-Identifier: MIT
 *
 * lib_run.c - see lib_run.h: operations, and a run.
 */
#include "lib_internal.h"

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

struct lib lib;

static void lib_caches(const struct lib_op *op)
{
	static const char *const names[] = { "pfa_cache_drain", "pfa_cache_purge", "pfa_cache_disable", "pfa_cache_enable" };
	int code;

	switch (op->kind) {
	case LIB_DRAIN:
		code = pfa_cache_drain(lib.pfa, op->a == LIB_ALL ? PFA_ALL_CPUS : op->a);
		break;
	case LIB_PURGE:
		code = pfa_cache_purge(lib.pfa, LIB_BASE + op->a);
		break;
	case LIB_DISABLE:
		code = pfa_cache_disable(lib.pfa);
		break;
	default:
		code = pfa_cache_enable(lib.pfa);
		break;
	}
	lib_expect(names[op->kind - LIB_DRAIN], code, code == PFA_OK);
}

void lib_op(unsigned self, const struct lib_op *op)
{
	struct lib_block b;
	pfa_pfn pfn;
	uint64_t next;
	int code;

	switch ((enum lib_op_kind)op->kind) {
	case LIB_ALLOC:
		code = pfa_alloc(lib.pfa, op->a, op->flags, &pfn);
		if (lib_granted("pfa_alloc", code, op->flags))
			lib_keep(self, pfn, op->a);
		break;
	case LIB_FREE:
		if (lib_take(self, op->a, &b))
			lib_free(&b);
		break;
	case LIB_BULK:
		lib_bulk(self, op->a);
		break;
	case LIB_EXACT:
		lib_exact(self, op->a);
		break;
	case LIB_SPLIT:
		lib_split(self, op->a);
		break;
	case LIB_GIVE:
		lib_give(self, op->a);
		break;
	case LIB_TAKE_FREE:
		lib_take_free();
		break;
	case LIB_FREE_TWICE:
	case LIB_SPLIT_SHARED:
	case LIB_FREE_HANDLE:
		lib_win(self, (enum lib_op_kind)op->kind);
		break;
	case LIB_HANDLE:
		b = lib.now.shared[0];
		code = pfa_handle_of(lib.pfa, b.pfn, b.order, &lib.now.handle);
		lib_expect("pfa_handle_of", code, code == PFA_OK);
		break;
	case LIB_READ_HISTORY:
		lib_read_history(op->a);
		break;
	case LIB_DRAIN:
	case LIB_PURGE:
	case LIB_DISABLE:
	case LIB_ENABLE:
		lib_caches(op);
		break;
	case LIB_SERVICE:
		code = pfa_service(lib.pfa, 16, &next);
		lib_expect("pfa_service", code, code == PFA_OK || code == PFA_EAGAIN || code == PFA_EBUSY);
		break;
	case LIB_STATS:
		lib_look();
		break;
	case LIB_WALK:
		lib_walk(self, op->a);
		break;
	case LIB_CHECK:
		lib_check(PFA_CHECK_FRAMES);
		break;
	case LIB_LATER:
		pfa_sim_advance(sched_sim(), op->a * UINT64_C(1000000000));
		break;
	case LIB_ISOLATE:
		lib_isolate(op->a);
		break;
	case LIB_CONTIG:
		lib_contig(self, op->a);
		break;
	case LIB_MOVABLE:
		lib_movable(self, op->a);
		break;
	case LIB_FREE_MOVABLE:
		lib_free_movable();
		break;
	case LIB_PIN:
		lib_pin(op->a);
		break;
	case LIB_MIGRATE:
		lib_migrate();
		break;
	case LIB_COMPACT:
		lib_compact();
		break;
	case LIB_DESTROY:
		lib_destroy(op->a);
		break;
	case LIB_END:
	case LIB_KINDS:
		break;
	}
}

/* ---- a run ---- */

/* Asked once for each event. Between the event's number and this question there is no point: so they come in one order. */
static uint32_t lib_tag(void *ctx)
{
	const unsigned self = sched_sim()->self;
	const uint32_t tag = self * 100 + lib.now.step[self - 1];

	(void)ctx;
	if (++lib.now.nr_tags < LIB_EVENTS)
		lib.now.tags[lib.now.nr_tags] = tag;
	return tag;
}
static void lib_fatal(struct pfa_sim *sim, const struct pfa_fault *fault)
{
	(void)sim;
	/* Which misuse a racing double free is told as depends on what the loser sees. */
	if ((lib.program->flags & LIB_CONTESTED) && fault->code == PFA_EMISUSE)
		return;
	sched_fail("%s: %s (frame %zu, order %u)", fault->function ? fault->function : "?", fault->message, fault->pfn,
	           fault->order);
}

static void lib_make(void)
{
	const struct lib_program *program = lib.program;
	const struct pfa_zone_config zone = { .size = sizeof(zone), .start = LIB_BASE, .nr_frames = LIB_FRAMES };
	struct pfa_platform platform;
	struct pfa_footprint need;
	struct pfa_config cfg;
	enum pfa_config_problem problem;
	unsigned index;

	pfa_sim_platform(sched_sim(), &platform);
	sched_sim()->frame_shift = LIB_SHIFT;
	pfa_config_init(&cfg);
	cfg.platform = &platform;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.frame_shift = LIB_SHIFT;
	cfg.max_order = 6;
	cfg.pageblock_order = LIB_PB_SHIFT;
	cfg.nr_cpus = program->nr_cpus;
	cfg.cache_high = program->cache_high ? program->cache_high : PFA_EXPLICIT_0;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	cfg.hardening = program->hardening;
	cfg.max_owners = 1;
	cfg.flags = program->flags & LIB_HANDLES ? PFA_CONFIG_GENERATIONS : 0;
	cfg.history = program->flags & LIB_HISTORY ? 2 : 0;
	platform.tag = lib_tag;
	if (program->hardening == 3)
		cfg.quarantine = 4;
	cfg.pool = lib.content;
	cfg.pool_pfn = LIB_BASE;
	cfg.pool_bytes = LIB_FRAMES << LIB_SHIFT;
	int code = pfa_size(&cfg, &need, &problem, &index);
	if (code == PFA_OK) {
		lib.bytes = need.core_bytes;
		lib.memory = arena_metadata(need.core_bytes, false);
		code = pfa_init(lib.memory, need.core_bytes, &cfg, &lib.pfa, &problem, &index);
	}
	if (code == PFA_OK)
		code = lib_make_owner();
	if (code != PFA_OK) {
		fprintf(stderr, "sched: %s: the instance cannot be made: %d (%s)\n", program->name, code,
		        pfa_config_problem_text(problem));
		exit(2);
	}
	memset(&lib.now, 0, sizeof(lib.now));
	for (unsigned i = 0; i < LIB_OPS; i++)
		lib_op(0, &program->setup[i]);
}

/* An instance lives in the caller's memory alone: it is made once, and copied back for each run. */
static void lib_setup(void *ctx)
{
	struct pfa_sim *sim = sched_sim();

	(void)ctx;
	sim->on_fatal = lib_fatal;
	if (lib.made) {
		memcpy(lib.memory, lib.first_memory, lib.bytes);
		memcpy(lib.content, lib.first_content, sizeof(lib.first_content));
		lib.now = lib.first;
		sim->now_ns = lib.first_sim.now_ns;
		sim->random_state = lib.first_sim.random_state;
		sim->frame_shift = LIB_SHIFT;
		return;
	}
	lib_make();
	free(lib.first_memory);
	lib.first_memory = malloc(lib.bytes);
	if (!lib.first_memory) {
		perror("sched: malloc");
		exit(2);
	}
	memcpy(lib.first_memory, lib.memory, lib.bytes);
	memcpy(lib.first_content, lib.content, sizeof(lib.first_content));
	lib.first = lib.now;
	lib.first_sim = *sim;
	lib.made = true;
}

static void lib_thread(void *ctx, unsigned self)
{
	(void)ctx;
	for (unsigned i = 0; i < LIB_OPS && lib.program->threads[self][i].kind != LIB_END; i++) {
		lib.now.step[self] = i + 1;
		lib.now.began[self] = ++lib.now.time;
		lib_op(self, &lib.program->threads[self][i]);
	}
}

static void lib_finish(void *ctx)
{
	struct lib_block b;
	struct pfa_zone_stats zone;

	(void)ctx;
	lib_check(PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT);
	for (unsigned t = 0; t < SCHED_THREADS; t++)
		while (lib_take(t, 0, &b))
			lib_free(&b);
	if (!(lib.program->flags & LIB_CONTESTED))
		while (lib.now.nr_shared)
			lib_take_free();
	for (unsigned slot = 0; slot < LIB_MOVERS; slot++)
		lib_free_movable();
	int code = pfa_cache_drain(lib.pfa, PFA_ALL_CPUS);
	lib_expect("pfa_cache_drain", code, code == PFA_OK);
	lib_check(PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT);
	code = pfa_zone_stats_get(lib.pfa, 0, &zone, sizeof(zone));
	lib_expect("pfa_zone_stats_get", code, code == PFA_OK);
	if (zone.free != LIB_FRAMES)
		sched_fail("%zu frames are free in the end, of %u", zone.free, LIB_FRAMES);
	lib_destroy(1);
	if (!lib.now.destroyed)
		sched_fail("the owner has no blocks, and cannot be ended");
	code = pfa_fini(lib.pfa);
	lib_expect("pfa_fini", code, code == PFA_OK);
}

const struct sched_program *lib_program(const struct lib_program *program)
{
	if (!lib.content) {
		lib.content = arena_pool_content(LIB_FRAMES << LIB_SHIFT);
		arena_pool_wipe(LIB_FRAMES << LIB_SHIFT, false);
	}
	lib.program = program;
	lib.made = false;
	lib.run = (struct sched_program){
		.name = program->name,
		.nr_threads = program->nr_threads,
		.nr_cpus = program->nr_cpus,
		.setup = lib_setup,
		.finish = lib_finish,
		.thread = lib_thread,
	};
	return &lib.run;
}
