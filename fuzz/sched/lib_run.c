/* SPDX-License-Identifier: MIT
 *
 * lib_run.c - see lib_run.h.
 */
#include "lib_run.h"

#include <pfa/compact.h>
#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>
#include <pfa/walk.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define LIB_BASE 64u      /* the first frame: not 0, so that offsets and pfns differ */
#define LIB_SHIFT 6u      /* small frames: every byte of the content is watched */
#define LIB_NOBODY 0u
#define LIB_SHARED 4u     /* slots of shared and movable blocks */
#define LIB_MOVERS 8u
#define LIB_TRIES 64u     /* of a caller that follows a moving block */

struct lib_block {
	pfa_pfn pfn;
	unsigned order;
};

/* All that is restored before a run, besides the instance and its frames. */
struct lib_state {
	struct lib_block live[SCHED_THREADS][LIB_LIVE];
	unsigned nr_live[SCHED_THREADS];
	struct lib_block shared[LIB_SHARED];
	unsigned nr_shared;
	uint32_t published;             /* what orders a hand-over */
	uint32_t op_time;               /* points of owners' ops */
	bool won;                       /* somebody has freed or split the shared block */
	bool destroyed;                 /* the owner of movable blocks is no more */
	struct lib_block movers[LIB_MOVERS];
	bool movable[LIB_MOVERS];       /* the slot is in use, and nobody is freeing its block */
	uint8_t owner[LIB_FRAMES];      /* 1 + thread, LIB_NOBODY */
	uint32_t since[LIB_FRAMES];     /* time of the last grant */
	uint32_t time;                  /* counts grants and walks */
};

static struct lib {
	const struct lib_program *program;
	struct sched_program run;
	struct pfa *pfa;
	pfa_owner mover;
	unsigned char *memory, *content;
	size_t bytes;
	struct lib_state now, first;
	struct pfa_sim first_sim;
	unsigned char *first_memory;
	unsigned char first_content[LIB_FRAMES << LIB_SHIFT];
	bool made;
} lib;

static void lib_op(unsigned self, const struct lib_op *op);

/* ---- what callers own ---- */

static void lib_content(const struct lib_block *b, bool write)
{
	unsigned char *at = lib.content + ((b->pfn - LIB_BASE) << LIB_SHIFT);
	const size_t bytes = (size_t)1 << (b->order + LIB_SHIFT);

	sched_touch(at, bytes, write);
	if (write)
		memset(at, (int)(0xA0 + b->order), bytes);
}

static void lib_own(unsigned self, const struct lib_block *b)
{
	for (size_t i = 0; i < (size_t)1 << b->order; i++) {
		uint8_t *owner = &lib.now.owner[b->pfn - LIB_BASE + i];
		if (*owner != LIB_NOBODY)
			sched_fail("frame %zu is granted to t%u and belongs to t%u", b->pfn + i, self, *owner - 1u);
		*owner = (uint8_t)(self + 1);
		lib.now.since[b->pfn - LIB_BASE + i] = lib.now.time;
	}
	lib.now.time++;
	lib_content(b, true);
}

static void lib_disown(const struct lib_block *b)
{
	lib_content(b, false);
	lib_content(b, true);
	memset(&lib.now.owner[b->pfn - LIB_BASE], LIB_NOBODY, (size_t)1 << b->order);
}

static void lib_keep(unsigned self, pfa_pfn pfn, unsigned order)
{
	const struct lib_block b = { pfn, order };

	lib_own(self, &b);
	if (lib.now.nr_live[self] == LIB_LIVE) {
		sched_fail("the program holds more blocks than there is room for");
		return;
	}
	lib.now.live[self][lib.now.nr_live[self]++] = b;
}

static bool lib_take(unsigned self, unsigned nth, struct lib_block *out)
{
	unsigned nr = lib.now.nr_live[self];

	if (!nr)
		return false;
	*out = lib.now.live[self][nth % nr];
	lib.now.live[self][nth % nr] = lib.now.live[self][nr - 1];
	lib.now.nr_live[self]--;
	return true;
}

/* ---- calls ---- */

static void lib_expect(const char *call, int code, bool legal)
{
	if (!legal)
		sched_fail("%s returned %d", call, code);
}

static bool lib_granted(const char *call, int code, uint32_t flags)
{
	bool short_of = code == PFA_ENOMEM || (code == PFA_EAGAIN && (flags & (PFA_NORETRY | PFA_NOWAIT)));

	lib_expect(call, code, code == PFA_OK || (short_of && lib.program->tight));
	return code == PFA_OK;
}

static void lib_free(const struct lib_block *b)
{
	lib_disown(b);
	int code = pfa_free(lib.pfa, b->pfn, b->order);
	lib_expect("pfa_free", code, code == PFA_OK);
}

static void lib_bulk(unsigned self, unsigned nr)
{
	pfa_pfn pfns[LIB_LIVE];
	size_t got = 0;
	int code = pfa_alloc_bulk(lib.pfa, 0, PFA_MOVABLE, nr, pfns, &got);

	lib_granted("pfa_alloc_bulk", code, 0);
	for (size_t i = 0; i < got; i++)
		lib_keep(self, pfns[i], 0);
}

static void lib_exact(unsigned self, unsigned nr)
{
	pfa_pfn pfn;
	int code = pfa_alloc_exact(lib.pfa, nr, 0, PFA_MOVABLE, &pfn);

	if (lib_granted("pfa_alloc_exact", code, 0))
		for (unsigned i = 0; i < nr; i++)
			lib_keep(self, pfn + i, 0);
}

static void lib_split(unsigned self, unsigned nth)
{
	struct lib_block b;

	if (!lib_take(self, nth, &b))
		return;
	int code = pfa_split(lib.pfa, b.pfn, b.order, 0);
	lib_expect("pfa_split", code, code == PFA_OK);
	lib_disown(&b);
	for (size_t i = 0; i < (size_t)1 << b.order; i++)
		lib_keep(self, b.pfn + i, 0);
}

static void lib_give(unsigned self, unsigned nth)
{
	struct lib_block b;

	if (lib.now.nr_shared == LIB_SHARED || !lib_take(self, nth, &b))
		return;
	lib_content(&b, true);
	sched_order(&lib.now.published);
	lib.now.shared[lib.now.nr_shared++] = b;
}

static void lib_take_free(void)
{
	sched_order(&lib.now.published);
	if (lib.now.nr_shared) {
		const struct lib_block b = lib.now.shared[--lib.now.nr_shared];
		lib_free(&b);
	}
}

/* Exactly one of those who free or split it wins; the others are told. They all own it, and none touches its content. */
static void lib_win(unsigned self, bool split)
{
	const struct lib_block b = lib.now.shared[0];

	if (!lib.now.won)
		memset(&lib.now.owner[b.pfn - LIB_BASE], LIB_NOBODY, (size_t)1 << b.order);
	int code = split ? pfa_split(lib.pfa, b.pfn, b.order, 0) : pfa_free(lib.pfa, b.pfn, b.order);
	lib_expect("a call on a shared block", code, code == PFA_OK || code == PFA_EMISUSE);
	if (code != PFA_OK)
		return;
	if (lib.now.won)
		sched_fail("a block was freed or split twice, and both were told that it went well");
	lib.now.won = true;
	for (size_t i = 0; split && i < (size_t)1 << b.order; i++)
		lib_keep(self, b.pfn + i, 0);
}

static void lib_look(void)
{
	struct pfa_stats stats;
	struct pfa_zone_stats zone;
	struct pfa_frame_info frame;
	struct pfa_pageblock_info pageblock;
	unsigned order;
	int code = pfa_stats_get(lib.pfa, &stats, sizeof(stats));

	lib_expect("pfa_stats_get", code, code == PFA_OK);
	code = pfa_zone_stats_get(lib.pfa, 0, &zone, sizeof(zone));
	lib_expect("pfa_zone_stats_get", code, code == PFA_OK);
	code = pfa_frame_info(lib.pfa, LIB_BASE, &frame);
	lib_expect("pfa_frame_info", code, code == PFA_OK);
	code = pfa_pageblock_info(lib.pfa, LIB_BASE, &pageblock);
	lib_expect("pfa_pageblock_info", code, code == PFA_OK);
	code = pfa_largest_free(lib.pfa, PFA_MOVABLE, &order);
	lib_expect("pfa_largest_free", code, code == PFA_OK || code == PFA_ENOMEM);
	code = pfa_would_succeed(lib.pfa, 0, PFA_MOVABLE);
	lib_expect("pfa_would_succeed", code, code == PFA_OK || code == PFA_ENOMEM || code == PFA_EAGAIN);
}

struct lib_walk {
	unsigned self;
	uint32_t began;
	pfa_pfn next; /* frames below are done */
};

/* What belonged to a caller from before the walk until now was at no instant free. */
static int lib_visit(void *ctx, struct pfa_run run)
{
	struct lib_walk *walk = ctx;

	if (run.first < walk->next || run.nr_frames == 0 || run.first + run.nr_frames > LIB_BASE + LIB_FRAMES) {
		sched_fail("a walk visits %zu frames at %zu after those below %zu", run.nr_frames, run.first, walk->next);
		return 1;
	}
	walk->next = run.first + run.nr_frames;
	for (pfa_pfn pfn = run.first; pfn < walk->next; pfn++)
		if (lib.now.owner[pfn - LIB_BASE] != LIB_NOBODY && lib.now.since[pfn - LIB_BASE] < walk->began)
			sched_fail("frame %zu belongs to t%u since before the walk that visits it", pfn, lib.now.owner[pfn - LIB_BASE] - 1u);
	const struct lib_op alloc = { LIB_ALLOC, 0, PFA_MOVABLE };
	lib_op(walk->self, &alloc);
	const struct lib_op drop = { LIB_FREE, (uint8_t)(lib.now.nr_live[walk->self] - 1), 0 };
	lib_op(walk->self, &drop);
	return 0;
}

static void lib_walk(unsigned self, unsigned order)
{
	struct lib_walk walk = { .self = self, .began = lib.now.time++ };
	int code = pfa_walk_free(lib.pfa, order, lib_visit, &walk, NULL);

	lib_expect("pfa_walk_free", code, code == PFA_OK);
}

static void lib_check(unsigned level)
{
	struct pfa_violation v;
	int code = pfa_check(lib.pfa, level, &v);

	if (code != PFA_OK)
		sched_fail("pfa_check: %s at frame %zu: %zu, not %zu", v.what ? v.what : "?", v.pfn, v.actual, v.expected);
}

/* ---- movable blocks: the cookie is the slot ---- */

/* What an op may believe. It takes its time, as an owner's does. */
static void lib_in_op(const char *op, pfa_pfn head, uint64_t cookie)
{
	for (unsigned i = 0; i < 2; i++) {
		if (lib.now.destroyed)
			sched_fail("%s is called, or goes on, for an owner that is no more", op);
		sched_order(&lib.now.op_time);
	}
	if (lib.now.movers[cookie].pfn != head)
		sched_fail("%s is told of frame %zu, which is not that block", op, head);
}

static int lib_op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx;
	(void)mode;
	lib_in_op("isolate", head, cookie);
	if (!lib.program->released)
		return PFA_OK;
	const struct lib_block b = { head, order };
	lib.now.movable[cookie] = false;
	lib_free(&b);
	lib_in_op("isolate", head, cookie); /* the owner may not be destroyed before it returns */
	lib.now.movers[cookie].pfn = 0;
	return PFA_OK;
}

static int lib_op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct lib_block *b = &lib.now.movers[cookie];
	const struct lib_block to = { dst, order };

	(void)ctx;
	(void)mode;
	lib_in_op("migrate", src, cookie);
	lib_disown(b);
	lib_own((unsigned)cookie % SCHED_THREADS, &to);
	b->pfn = dst;
	return PFA_OK;
}

static void lib_op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx;
	(void)order;
	lib_in_op("putback", head, cookie);
}

static void lib_movable(unsigned self, unsigned order)
{
	for (unsigned slot = 0; slot < LIB_MOVERS; slot++) {
		struct lib_block *b = &lib.now.movers[slot];
		if (b->pfn)
			continue;
		b->pfn = 1; /* taken */
		pfa_pfn pfn;
		int code = pfa_alloc(lib.pfa, order, PFA_MOVABLE, &pfn);
		if (!lib_granted("pfa_alloc", code, 0)) {
			b->pfn = 0;
			return;
		}
		*b = (struct lib_block){ pfn, order };
		lib_own(self, b);
		lib.now.movable[slot] = true; /* from here on others may move it */
		code = pfa_movable_set(lib.pfa, pfn, lib.mover, slot);
		lib_expect("pfa_movable_set", code, code == PFA_OK);
		return;
	}
}

/* A block may move as long as nobody has its page lock: look, lock, look again. */
static bool lib_lock(unsigned slot)
{
	for (unsigned i = 0; i < LIB_TRIES; i++) {
		pfa_pfn head = lib.now.movers[slot].pfn;
		int code = pfa_page_lock(lib.pfa, head);
		lib_expect("pfa_page_lock", code, code == PFA_OK || code == PFA_EINVAL);
		if (code != PFA_OK)
			continue;
		if (lib.now.movers[slot].pfn == head)
			return true;
		code = pfa_page_unlock(lib.pfa, head);
		lib_expect("pfa_page_unlock", code, code == PFA_OK);
	}
	return false;
}

static void lib_free_movable(void)
{
	for (unsigned slot = 0; slot < LIB_MOVERS; slot++) {
		if (!lib.now.movable[slot])
			continue;
		lib.now.movable[slot] = false; /* nobody else frees or pins it from here on */
		if (!lib_lock(slot)) {
			lib.now.movable[slot] = true;
			return;
		}
		struct lib_block *b = &lib.now.movers[slot];
		const pfa_pfn head = b->pfn;
		lib_disown(b);
		int code = pfa_free(lib.pfa, head, b->order);
		lib_expect("pfa_free of a movable block", code, code == PFA_OK);
		code = pfa_page_unlock(lib.pfa, head);
		lib_expect("pfa_page_unlock", code, code == PFA_OK);
		b->pfn = 0;
		return;
	}
}

static void lib_pin(unsigned nth)
{
	for (unsigned i = 0; i < LIB_MOVERS; i++) {
		unsigned slot = (nth + i) % LIB_MOVERS;
		if (!lib.now.movable[slot])
			continue;
		const pfa_pfn head = lib.now.movers[slot].pfn;
		int code = pfa_pin(lib.pfa, head); /* it may have moved meanwhile, or been freed */
		lib_expect("pfa_pin", code, code == PFA_OK || code == PFA_EINVAL);
		if (code == PFA_OK) {
			code = pfa_unpin(lib.pfa, head);
			lib_expect("pfa_unpin", code, code == PFA_OK);
		}
		return;
	}
}

static void lib_migrate(void)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	pfa_pfn heads[LIB_MOVERS];
	int results[LIB_MOVERS];
	size_t nr = 0;

	for (unsigned slot = 0; slot < LIB_MOVERS; slot++)
		if (lib.now.movable[slot])
			heads[nr++] = lib.now.movers[slot].pfn;
	int code = pfa_migrate(lib.pfa, heads, nr, &dest, results);
	lib_expect("pfa_migrate", code, code == PFA_OK || code == PFA_EAGAIN);
}

static void lib_compact(void)
{
	struct pfa_compact_stats stats = { .size = sizeof(stats) };
	int code = pfa_compact(lib.pfa, 0, 3, PFA_MIGRATE_SYNC, &stats);

	lib_expect("pfa_compact", code, code != PFA_ECORRUPT && code != PFA_EMISUSE && code != PFA_EINVAL && code != PFA_EDEADLK);
}

/* From then on no op is called, which the ops themselves watch. */
static void lib_destroy(unsigned tries)
{
	for (unsigned i = 0; i < tries && !lib.now.destroyed; i++) {
		int code = pfa_owner_destroy(lib.pfa, lib.mover);
		lib_expect("pfa_owner_destroy", code, code == PFA_OK || code == PFA_EBUSY);
		lib.now.destroyed = code == PFA_OK;
	}
}

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

static void lib_op(unsigned self, const struct lib_op *op)
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
		lib_win(self, op->kind == LIB_SPLIT_SHARED);
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

static void lib_fatal(struct pfa_sim *sim, const struct pfa_fault *fault)
{
	(void)sim;
	if (lib.program->contested && (fault->kind == PFA_FAULT_DOUBLE_FREE || fault->kind == PFA_FAULT_DOUBLE_FREE_CACHED ||
	                               fault->kind == PFA_FAULT_DOUBLE_FREE_RACE || fault->kind == PFA_FAULT_WRONG_ORDER))
		return;
	sched_fail("%s: %s (frame %zu, order %u)", fault->function ? fault->function : "?", fault->message, fault->pfn,
	           fault->order);
}

static void lib_make(void)
{
	const struct lib_program *program = lib.program;
	const struct pfa_owner_ops ops = { .size = sizeof(ops), .isolate = lib_op_isolate, .migrate = lib_op_migrate,
		                           .putback = lib_op_putback };
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
	cfg.pageblock_order = 6;
	cfg.nr_cpus = program->nr_cpus;
	cfg.cache_high = program->cache_high ? program->cache_high : PFA_EXPLICIT_0;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	cfg.hardening = program->hardening;
	cfg.max_owners = 1;
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
		code = pfa_owner_create(lib.pfa, &ops, NULL, &lib.mover);
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
	for (unsigned i = 0; i < LIB_OPS && lib.program->threads[self][i].kind != LIB_END; i++)
		lib_op(self, &lib.program->threads[self][i]);
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
	if (!lib.program->contested)
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
