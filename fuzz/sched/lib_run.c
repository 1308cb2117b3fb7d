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
void (*lib_on_line)(unsigned self, const struct program *program, unsigned op);
static bool lib_done_kinds[OP_KINDS];

bool lib_was_done(unsigned kind)
{
	return lib_done_kinds[kind % OP_KINDS];
}

/* ---- operations ---- */

static void lib_disable(bool enable)
{
	int code;

	if (enable && !lib.now.disables)
		return;
	if (enable) {
		lib.now.disables--;
		code = pfa_cache_enable(lib.pfa);
	} else {
		code = pfa_cache_disable(lib.pfa);
		lib.now.disables++;
	}
	lib_expect(enable ? "pfa_cache_enable" : "pfa_cache_disable", code, code == PFA_OK);
}

static void lib_drain(const struct prog_op *op)
{
	const bool all = op->arg[0] == PROG_CPU_ALL;
	int code;

	if (op->kind == OP_CACHE_DRAIN)
		code = pfa_cache_drain(lib.pfa, all ? PFA_ALL_CPUS : (uint32_t)(op->arg[0] % lib.run.nr_cpus));
	else
		code = pfa_cache_purge(lib.pfa, lib.base + (pfa_pfn)(op->arg[0] % lib.frames));
	lib_expect("a drain", code, code == PFA_OK);
}

static void lib_service(unsigned budget)
{
	uint64_t next;
	int code = pfa_service(lib.pfa, budget < 64 ? budget : 64, &next);

	lib_expect("pfa_service", code, code == PFA_OK || code == PFA_EAGAIN || code == PFA_EBUSY);
}

/* Whether the operation may be granted frames; in set-up it may, since nothing is contested yet. */
static bool lib_grants(const struct prog_op *op)
{
	switch (op->kind) {
	case OP_MOVABLE_SET:
	case OP_ISOLATE:
	case OP_CONTIG:
	case OP_MIGRATE:
	case OP_COMPACT:
	case OP_DEVICE_REGISTER:
	case OP_DEVICE_FLUSH:
		return true;
	default:
		return prog_kind(op->kind)->yields;
	}
}

static void lib_request(unsigned self, const struct prog_op *op, struct lib_handle *h)
{
	const uint64_t *a = op->arg;

	switch (op->kind) {
	case OP_ALLOC:
	case OP_ALLOC_CHECKED:
		lib_alloc(self, h, (unsigned)a[0], prog_flags(a[1], 0), op->kind == OP_ALLOC_CHECKED);
		break;
	case OP_ALLOC_BULK:
		lib_bulk(self, h, (unsigned)a[0], (unsigned)a[1], prog_flags(a[2], 0));
		break;
	case OP_ALLOC_EXACT:
		lib_exact(self, h, (unsigned)a[0], (unsigned)a[1], prog_flags(a[2], 0));
		break;
	default:
		lib_done_kinds[op->kind] = false;
	}
}

/* An operation on what another one was granted. */
static void lib_use(unsigned self, const struct prog_op *op, struct lib_handle *h)
{
	const unsigned a = (unsigned)op->arg[1], b = (unsigned)op->arg[2];

	switch (op->kind) {
	case OP_FREE:
	case OP_FREE_BULK:
	case OP_FREE_RANGE:
	case OP_FREE_CHECKED:
		lib_free((enum prog_kind)op->kind, h, 0, LIB_BLOCKS);
		break;
	case OP_FREE_PART:
	case OP_FREE_RANGE_PART:
		lib_free((enum prog_kind)op->kind, h, a, b);
		break;
	case OP_SPLIT:
		lib_split(self, h, a, b);
		break;
	case OP_HANDLE_OF:
		lib_token(h);
		break;
	case OP_FREE_RACE:
	case OP_SPLIT_RACE:
	case OP_FREE_CHECKED_RACE:
		lib_win(self, h, (enum prog_kind)op->kind);
		break;
	case OP_MOVABLE_SET:
		lib_movable(h, a);
		break;
	default:
		lib_done_kinds[op->kind] = false;
	}
}

static void lib_other(unsigned self, const struct prog_op *op)
{
	const unsigned a = (unsigned)op->arg[0], b = (unsigned)op->arg[1];

	switch (op->kind) {
	case OP_CACHE_DRAIN:
	case OP_CACHE_PURGE:
		lib_drain(op);
		break;
	case OP_CACHE_DISABLE:
	case OP_CACHE_ENABLE:
		lib_disable(op->kind == OP_CACHE_ENABLE);
		break;
	case OP_SERVICE:
		lib_service(a);
		break;
	case OP_CLOCK_ADVANCE:
		pfa_sim_advance(sched_sim(), op->arg[0]);
		break;
	case OP_STATS:
		lib_look();
		break;
	case OP_WALK:
		lib_walk(self, a);
		break;
	case OP_CHECK:
		lib_check(PFA_CHECK_FRAMES);
		break;
	case OP_REPAIR:
		lib_repair();
		break;
	case OP_HISTORY:
		lib_read_history((pfa_pfn)op->arg[0], b);
		break;
	case OP_ISOLATE:
		lib_isolate((pfa_pfn)op->arg[0], (size_t)op->arg[1]);
		break;
	case OP_CONTIG:
		lib_contig(self, (pfa_pfn)op->arg[0], (size_t)op->arg[1]);
		break;
	case OP_DEVICE_REGISTER:
	case OP_DEVICE_UNREGISTER:
	case OP_DEVICE_FLUSH:
		lib_report((enum prog_kind)op->kind, a);
		break;
	case OP_MOVABLE_FREE:
		lib_free_movable(a);
		break;
	case OP_PIN:
		lib_pin(a);
		break;
	case OP_MIGRATE:
		lib_migrate();
		break;
	case OP_COMPACT:
		lib_compact(b);
		break;
	case OP_OWNER_DESTROY:
		lib_destroy(3);
		break;
	case OP_OWNER_DOES: /* only: isolate() frees its block, so often */
		lib.now.releases = op->arg[1] == 0 && op->arg[2] == 1 ? (uint32_t)op->arg[3] : 0;
		break;
	case OP_START:
	case OP_BARRIER:
	case OP_JOIN:
		break;
	default:
		lib_done_kinds[op->kind] = false;
	}
}

static void lib_op(unsigned self, unsigned at)
{
	const struct lib_line *line = &lib.lines[at];
	const struct prog_op *op = line->op;

	if (at < lib.first ? lib_is_race(op->kind) : lib.unprotected && lib_grants(op))
		return;
	lib_done_kinds[op->kind] = true;
	if (lib_on_line && at >= lib.first)
		lib_on_line(self, lib.program, at);
	lib.now.line[self] = at;
	lib.now.began[self] = ++lib.now.time;
	if (line->yields != LIB_HANDLES)
		lib_request(self, op, &lib.now.handles[line->yields]);
	else if (line->uses != LIB_HANDLES)
		lib_use(self, op, &lib.now.handles[line->uses]);
	else if (op->ref == PROG_NO_REF && !prog_kind(op->kind)->yields)
		lib_other(self, op);
	lib.now.line[self] = LIB_LINES;
}

/* ---- a run ---- */

/* Asked once for each event. Between the event's number and this question there is no point: so they come in one order. */
static uint32_t lib_tag(void *ctx)
{
	const unsigned self = sched_sim()->self;
	const uint32_t tag = self << 16 | lib.now.line[self - 1];

	(void)ctx;
	if (++lib.now.nr_tags < LIB_EVENTS)
		lib.now.tags[lib.now.nr_tags] = tag;
	return tag;
}

static void lib_fatal(struct pfa_sim *sim, const struct pfa_fault *fault)
{
	(void)sim;
	if (fault->kind != PFA_FAULT_LOCK)
		lib_called("fatal");
	/* Which misuse a racing double free is told as depends on what the loser sees. */
	if (lib.contested && fault->code == PFA_EMISUSE)
		return;
	sched_fail("%s: %s (frame %zu, order %u)", fault->function ? fault->function : "?", fault->message, fault->pfn,
	           fault->order);
}

/* Where the world says which cpu the running thread is on; 0, which leaves the cpu op in use, where the library cannot look there. */
static ptrdiff_t lib_cpu_offset(void)
{
#if defined(__has_builtin) && (defined(__x86_64__) || defined(__aarch64__))
#if __has_builtin(__builtin_thread_pointer)
	return (ptrdiff_t)((uintptr_t)&sched_sim()->cpu - (uintptr_t)__builtin_thread_pointer());
#endif
#endif
	return 0;
}

static void lib_make(void)
{
	struct pfa_zone_config zone;
	struct pfa_platform platform;
	struct pfa_footprint need;
	struct pfa_config cfg;
	enum pfa_config_problem problem;
	unsigned index;

	lib_configure(&lib.program->config, &zone, &cfg);
	pfa_sim_platform(sched_sim(), &platform);
	platform.tag = lib_tag;
	cfg.platform = &platform;
	/* The library's fast paths call no op: they are taken with these only. */
	if (lib.program->config.cpu_way == PROG_CPU_OFFSET)
		cfg.cpu_offset = lib_cpu_offset();
	if (lib.program->config.cpu_way == PROG_CPU_NONE)
		platform.cpu = NULL;
	sched_sim()->frame_shift = LIB_SHIFT;
	int code = pfa_size(&cfg, &need, &problem, &index);
	if (code == PFA_OK) {
		lib.bytes = need.core_bytes;
		lib.memory = arena_metadata(need.core_bytes, false);
		code = pfa_init(lib.memory, need.core_bytes, &cfg, &lib.pfa, &problem, &index);
	}
	if (code == PFA_OK)
		code = lib_make_owner();
	if (code != PFA_OK) {
		fprintf(stderr, "sched: the instance cannot be made: %d (%s)\n", code, pfa_config_problem_text(problem));
		exit(2);
	}
	memset(&lib.now, 0, sizeof(lib.now));
	for (unsigned t = 0; t < SCHED_THREADS; t++)
		lib.now.line[t] = LIB_LINES;
	for (unsigned i = 0; i < lib.first; i++)
		lib_op(0, i);
}

/* An instance lives in the caller's memory alone: it is made once, and copied back for each run. */
static void lib_setup(void *ctx)
{
	static size_t room;
	struct pfa_sim *sim = sched_sim();

	(void)ctx;
	sim->on_fatal = lib_fatal;
	if (lib.made) {
		memcpy(lib.memory, lib.first_memory, lib.bytes);
		memcpy(lib.content, lib.first_content, (size_t)lib.frames << LIB_SHIFT);
		lib.now = lib.first_state;
		sim->now_ns = lib.first_sim.now_ns;
		sim->random_state = lib.first_sim.random_state;
		sim->frame_shift = LIB_SHIFT;
		lib_name_locks();
		return;
	}
	lib_make();
	if (lib.bytes > room) {
		room = lib.bytes;
		free(lib.first_memory);
		lib.first_memory = malloc(room);
	}
	if (!lib.first_memory) {
		perror("sched: malloc");
		exit(2);
	}
	memcpy(lib.first_memory, lib.memory, lib.bytes);
	memcpy(lib.first_content, lib.content, (size_t)lib.frames << LIB_SHIFT);
	lib.first_state = lib.now;
	lib.first_sim = *sim;
	lib.made = true;
	lib_find_locks();
	lib_name_locks();
}

/* Lines wait for lines before them only, so some line can always go on. */
static void lib_wait(const struct lib_line *line)
{
	if (!line->waits)
		return;
	while (line->waits & ~lib.now.done)
		sched_wait(&lib.now.progress, lib.now.progress, UINT64_MAX);
	sched_order(&lib.now.progress);
}

static void lib_ended(unsigned at)
{
	if (lib.lines[at].awaited)
		sched_order(&lib.now.progress); /* before it counts as done: who sees that knows all that it did */
	lib.now.done |= UINT64_C(1) << at;
	if (lib.lines[at].awaited)
		sched_wake(&lib.now.progress);
}

static void lib_thread(void *ctx, unsigned self)
{
	(void)ctx;
	for (unsigned i = lib.first; i < lib.nr_lines; i++) {
		if (lib.lines[i].op->thread != self)
			continue;
		lib_wait(&lib.lines[i]);
		lib_op(self, i);
		lib_ended(i);
	}
}

static void lib_give_all_back(void)
{
	for (unsigned i = 0; i < lib.nr_handles; i++) {
		struct lib_handle *h = &lib.now.handles[i];
		if (h->contested && !h->won)
			sched_fail("frame %u was freed or split by several, and none of them was told that it went well", h->race.pfn);
		lib_free(OP_FREE, h, 0, LIB_BLOCKS);
	}
	for (unsigned slot = 0; slot < LIB_MOVERS; slot++)
		lib_free_movable(slot);
	while (lib.now.disables)
		lib_disable(true);
	if (lib.now.device)
		lib_report(OP_DEVICE_UNREGISTER, 0);
}

static void lib_finish(void *ctx)
{
	struct pfa_zone_stats zone;

	(void)ctx;
	lib_check(PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT);
	lib_all_told();
	lib_give_all_back();
	int code = pfa_cache_drain(lib.pfa, PFA_ALL_CPUS);
	lib_expect("pfa_cache_drain", code, code == PFA_OK);
	lib_check(PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT);
	code = pfa_zone_stats_get(lib.pfa, 0, &zone, sizeof(zone));
	lib_expect("pfa_zone_stats_get", code, code == PFA_OK);
	if (zone.free != lib.frames)
		sched_fail("%zu frames are free in the end, of %u", zone.free, lib.frames);
	lib_destroy(1);
	if (!lib.now.destroyed)
		sched_fail("the owner has no blocks, and cannot be ended");
	code = pfa_fini(lib.pfa);
	lib_expect("pfa_fini", code, code == PFA_OK);
}

const struct sched_program *lib_program(const struct program *program, bool lenient)
{
	lib_plan(program, lenient);
	lib.content = arena_pool_content((size_t)LIB_FRAMES << LIB_SHIFT);
	arena_pool_wipe((size_t)LIB_FRAMES << LIB_SHIFT, false);
	lib.made = false;
	lib.run = (struct sched_program){
		.name = "program",
		.nr_threads = program->config.threads,
		.nr_cpus = program->config.cpus < LIB_CPUS ? program->config.cpus : LIB_CPUS,
		.setup = lib_setup,
		.finish = lib_finish,
		.locks = &lib_locks,
		.thread = lib_thread,
	};
	return &lib.run;
}
