/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fork_scenes.h"

#include <pfa/cma.h>
#include <pfa/contig.h>
#include <pfa/hotplug.h>
#include <pfa/harden.h>
#include <pfa/walk.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene scene;
struct scene_options scene_options;
_Thread_local struct scene_me scene_me;

/* Asked by ThreadSanitizer alone. A thread that ended at the moment of the fork was not joined by the child: no leak. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0";
}

/* What a thread was writing without a lock (it served) is written anew in the child, where that thread is not. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pfa_fork_child";
}

static uint32_t op_cpu(void *ctx)
{
	(void)ctx;
	return scene_me.cpu;
}

static uint64_t op_now(void *ctx)
{
	return scene.posix.now_ns(ctx) + atomic_load(&scene.skew);
}

static int op_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	atomic_fetch_add(&scene.waits, 1);
	if (scene_me.forks)
		MUST_EQ(sem_post(&scene.go), 0);
	scene_me.forks = false;
	if (scene_me.stays) {
		scene_me.stays = false;
		MUST_EQ(sem_post(&scene.freeing), 0);
		MUST_EQ(sem_wait(&scene.freed), 0);
	}
	return scene.posix.wait(ctx, addr, value, until_ns == UINT64_MAX ? until_ns : until_ns - atomic_load(&scene.skew));
}

static void op_wake(void *ctx, const void *addr)
{
	atomic_fetch_add(&scene.wakes, 1);
	scene.posix.wake(ctx, addr);
}

static void stop_here(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)pfa;
	(void)zone;
	if (scene_me.holds && scene_me.unlocks++ == scene.nth)
		scene_stop();
}

void scene_stop(void)
{
	MUST_EQ(sem_post(&scene.held), 0);
	MUST_EQ(sem_wait(&scene.go), 0);
}

void scene_prepare(bool shared)
{
	struct rig *rig = &scene.rig;
	rig_init(rig);
	pfa_posix_platform(&scene.posix);
	rig->os.wait = scene_options.cannot_wait ? NULL : op_wait;
	rig->os.wake = op_wake;
	rig->os.cpu = op_cpu;
	if (scene_options.offset && rig_cpu_offset(&scene_me.cpu)) {
		rig->os.cpu = NULL;
		rig->cfg.cpu_offset = rig_cpu_offset(&scene_me.cpu);
	}
	rig->cfg.flags |= scene_options.flags;
	rig->cfg.hardening = scene_options.hardening;
	rig->os.self = scene.posix.self;
	rig->os.now_ns = op_now;
	if (scene_options.hardening == 3) {
		rig->pool_kind = RIG_POOL_CONTENT;
		rig->cfg.poison = rig->cfg.cpu_offset ? PFA_POISON_LINES : PFA_POISON_ALL; /* lines: level 3's fast paths */
		rig->cfg.quarantine = 4;
	}
	rig->cfg.nr_cpus = 2;
	rig->cfg.cache_high = 4;
	rig->cfg.cache_max_order = 2;
	rig->cfg.flags |= PFA_CONFIG_NO_SHADOW; /* with hooks, frees wait before they claim */
	rig_zone(rig, 0, FRAMES)->highatomic_frames = 128;
	rig_zone(rig, FRAMES, FRAMES);
	rig_start(rig);
	pfa_debug_on_unlock(rig->pfa, stop_here, NULL);
	MUST_EQ(pfa_posix_fork_safe(rig->pfa, shared), PFA_OK);
	MUST_EQ(pfa_posix_fork_safe(rig->pfa, shared), PFA_EINVAL);
	MUST_EQ(sem_init(&scene.held, 0, 0), 0);
	MUST_EQ(sem_init(&scene.go, 0, 0), 0);
	MUST_EQ(sem_init(&scene.freeing, 0, 0), 0);
	MUST_EQ(sem_init(&scene.freed, 0, 0), 0);
	for (scene.nr_blocks = 0; scene.nr_blocks < 40; scene.nr_blocks++)
		MUST_EQ(pfa_alloc(rig->pfa, 0, PFA_MOVABLE, &scene.blocks[scene.nr_blocks]), PFA_OK);
	MUST_EQ(pfa_free(rig->pfa, scene.blocks[--scene.nr_blocks], 0), PFA_OK);
	atomic_store(&scene.waits, 0);
	atomic_store(&scene.wakes, 0);
}

void scene_finish(void)
{
	while (scene.nr_blocks)
		MUST_EQ(pfa_free(scene.rig.pfa, scene.blocks[--scene.nr_blocks], 0), PFA_OK);
	MUST_EQ(pfa_posix_fork_forget(scene.rig.pfa), PFA_OK);
	MUST_EQ(pfa_posix_fork_forget(scene.rig.pfa), PFA_EINVAL);
	rig_stop(&scene.rig);
}

/* ---- sites -------------------------------------------------------------------------------------------------------- */

void scene_write_nothing(void *ctx, const char *bytes, size_t nr)
{
	(void)ctx;
	(void)bytes;
	(void)nr;
}

static void take_and_give(unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc(scene.rig.pfa, order, flags, &pfn), PFA_OK);
	MUST_EQ(pfa_free(scene.rig.pfa, pfn, order), PFA_OK);
}

static void site_alloc_miss(struct pfa *p)
{
	(void)p;
	take_and_give(1, PFA_UNMOVABLE);
}

static void site_alloc_direct(struct pfa *p)
{
	(void)p;
	take_and_give(LARGE, PFA_MOVABLE);
}

static void site_alloc_high(struct pfa *p)
{
	(void)p;
	take_and_give(1, PFA_UNMOVABLE | PFA_HIGH);
}

static void site_alloc_high_nowait(struct pfa *p)
{
	(void)p;
	take_and_give(1, PFA_UNMOVABLE | PFA_HIGH | PFA_NOWAIT);
}

static void site_bulk(struct pfa *p)
{
	pfa_pfn pfns[20];
	size_t nr;
	MUST_EQ(pfa_alloc_bulk(p, 0, PFA_RECLAIMABLE, 20, pfns, &nr), PFA_OK);
	MUST_EQ(pfa_free_bulk(p, 0, 20, pfns, &nr), PFA_OK);
}

static void site_exact(struct pfa *p)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc_exact(p, 21, 0, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_split(p, pfn, 0, 0), PFA_OK);
	MUST_EQ(pfa_free_range(p, pfn, 21), PFA_OK);
}

static void site_window(struct pfa *p)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc_window(p, 2, PFA_MOVABLE, (struct pfa_run){FRAMES, 256}, &pfn), PFA_OK);
	MUST_EQ(pfa_free(p, pfn, 2), PFA_OK);
}

/* Nothing left: caches are drained, the reserve is given up, zone by zone. */
static void site_fail(struct pfa *p)
{
	static pfa_pfn pfns[2 * FRAMES];
	size_t nr = 0, freed;
	take_and_give(1, PFA_UNMOVABLE | PFA_HIGH);
	while (pfa_alloc(p, 0, PFA_MOVABLE, &pfns[nr]) == PFA_OK)
		nr++;
	MUST(nr > FRAMES);
	MUST_EQ(pfa_free(p, pfns[--nr], 0), PFA_OK);
	/* Drains the own cache, unless the fork holds it. */
	int code = pfa_alloc(p, 1, PFA_MOVABLE | PFA_NOWAIT, &pfns[nr]);
	MUST(code == PFA_ENOMEM || code == PFA_EAGAIN);
	MUST_EQ(pfa_free_bulk(p, 0, nr, pfns, &freed), PFA_OK);
}

static void site_caches(struct pfa *p)
{
	MUST_EQ(pfa_cache_drain(p, PFA_ALL_CPUS), PFA_OK);
	take_and_give(0, PFA_MOVABLE);
	MUST_EQ(pfa_cache_purge(p, 5), PFA_OK);
	take_and_give(0, PFA_MOVABLE);
	MUST_EQ(pfa_cache_disable(p), PFA_OK);
	take_and_give(0, PFA_MOVABLE);
	MUST_EQ(pfa_cache_enable(p), PFA_OK);
}

static void site_service(struct pfa *p)
{
	for (unsigned i = 0; i < 4; i++) {
		int code = pfa_service(p, 1, NULL);
		MUST(code == PFA_OK || code == PFA_EAGAIN);
		atomic_fetch_add(&scene.skew, 2u * PFA_SERVICE_IDLE_NS);
	}
}

static int visit_all(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	return 0;
}

static void site_look(struct pfa *p)
{
	struct pfa_zone_stats stats;
	struct pfa_frame_info info;
	struct pfa_pageblock_info pb;
	struct pfa_violation v;
	unsigned order;
	MUST_EQ(pfa_zone_stats_get(p, 1, &stats, sizeof(stats)), PFA_OK);
	MUST_EQ(pfa_frame_info(p, 3, &info), PFA_OK);
	MUST_EQ(pfa_pageblock_info(p, 3, &pb), PFA_OK);
	MUST_EQ(pfa_walk_free(p, 0, visit_all, NULL, NULL), PFA_OK);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_check_range(p, (struct pfa_run){3, 100}, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_would_succeed(p, LARGE, PFA_MOVABLE), PFA_OK);
	MUST_EQ(pfa_would_succeed(p, 0, PFA_MOVABLE), PFA_OK);
	MUST_EQ(pfa_largest_free(p, PFA_MOVABLE, &order), PFA_OK);
	MUST_EQ(pfa_repair(p, 0, NULL), PFA_OK);
	for (unsigned what = 0; what < PFA_PRINT_WHATS; what++)
		MUST_EQ(pfa_print(p, (enum pfa_print_what)what, scene_write_nothing, NULL), PFA_OK);
	MUST_EQ(pfa_fini(p), PFA_EBUSY);
}

/* Refusals that must look into the zone first, and claims that are taken back. */
static void site_misuse(struct pfa *p)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc(p, 4, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_free(p, pfn + 1, 0), PFA_EMISUSE);
	MUST_EQ(pfa_free(p, pfn, 3), PFA_EMISUSE);
	MUST_EQ(pfa_free_range(p, pfn, 17), PFA_EMISUSE);
	MUST_EQ(pfa_free(p, pfn, 4), PFA_OK);
	MUST_EQ(pfa_free(p, pfn, 4), PFA_EMISUSE);
}

/* Bad at once out of a free block, out of a cache, and when a block comes back. */
static void site_bad(struct pfa *p)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_mark_bad(p, FRAMES + 700), PFA_OK);
	take_and_give(0, PFA_MOVABLE);
	MUST_EQ(pfa_alloc(p, 0, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_mark_bad(p, pfn), PFA_EAGAIN);
	MUST_EQ(pfa_free(p, pfn, 0), PFA_OK);
	MUST_EQ(pfa_alloc(p, 1, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_free(p, pfn, 1), PFA_OK);
	MUST_EQ(pfa_mark_bad(p, pfn), PFA_OK);
}

static void site_repair(struct pfa *p)
{
	MUST_EQ(pfa_repair(p, 0, NULL), PFA_OK);
}

/* Held, looked at, given up; and a frame that is free, taken as a range. */
static void site_ranges(struct pfa *p)
{
	struct pfa_frame_info info;
	pfa_token token;
	pfa_pfn pfn = 2 * FRAMES;
	do
		MUST_EQ(pfa_frame_info(p, --pfn, &info), PFA_OK);
	while (info.state != PFA_FRAME_FREE);
	MUST_EQ(pfa_isolate_range(p, pfn, pfn + 1, 0, &token, NULL), PFA_OK);
	MUST_EQ(pfa_test_isolated(p, pfn, pfn + 1, token, NULL), PFA_OK);
	MUST_EQ(pfa_undo_isolate_range(p, pfn, pfn + 1, token), PFA_OK);
	MUST_EQ(pfa_alloc_contig_range(p, pfn, pfn + 1, 0, NULL), PFA_OK);
	MUST_EQ(pfa_free_contig_range(p, pfn, 1), PFA_OK);
	for (size_t nr = 8; nr < FRAMES; nr = nr * 5)
		if (pfa_alloc_contig(p, nr, 1, PFA_NOMIGRATE, &pfn) == PFA_OK)
			MUST_EQ(pfa_free_contig_range(p, pfn, nr), PFA_OK);
}

enum { PB = 64 };

/* A pageblock that is free becomes an area, is taken from, looked at, and is none any more. */
static void site_cma(struct pfa *p)
{
	struct pfa_cma_stats stats = {.size = sizeof(stats)};
	struct pfa_pageblock_info info;
	pfa_pfn pfn = 2 * FRAMES;
	pfa_cma area;
	do {
		MUST(pfn >= PB);
		pfn -= PB;
		MUST_EQ(pfa_pageblock_info(p, pfn, &info), PFA_OK);
	} while (info.free != PB);
	MUST_EQ(pfa_cma_create(p, pfn, PB, 0, &area, NULL), PFA_OK);
	MUST_EQ(pfa_cma_alloc(p, area, 3, 1, 0, &pfn), PFA_OK);
	MUST_EQ(pfa_cma_stats(p, area, &stats), PFA_OK);
	MUST_EQ(pfa_cma_release(p, area, pfn, 3), PFA_OK);
	MUST_EQ(pfa_cma_destroy(p, area), PFA_OK);
}

/* A frame that is free goes, and comes back. */
static void site_plug(struct pfa *p)
{
	struct pfa_frame_info info;
	pfa_pfn pfn = 2 * FRAMES;
	do
		MUST_EQ(pfa_frame_info(p, --pfn, &info), PFA_OK);
	while (info.state != PFA_FRAME_FREE);
	MUST_EQ(pfa_offline_range(p, pfn, 1, 0, NULL), PFA_OK);
	MUST_EQ(pfa_remove_range(p, pfn, 1, NULL), PFA_OK);
	MUST_EQ(pfa_add_range(p, pfn, 1, NULL), PFA_OK);
	MUST_EQ(pfa_online_range(p, pfn, 1, NULL), PFA_OK);
}

const struct site scene_sites[] = {
	{"alloc_miss", site_alloc_miss, 1, SITE_PLAIN},
	{"alloc_direct", site_alloc_direct, 2, SITE_PLAIN},
	{"alloc_high", site_alloc_high, 2, SITE_PLAIN},
	{"alloc_high_nowait", site_alloc_high_nowait, 1, SITE_PLAIN},
	{"bulk", site_bulk, 4, SITE_PLAIN},
	{"exact", site_exact, 3, SITE_PLAIN},
	{"window", site_window, 1, SITE_PLAIN},
	{"fail", site_fail, 100, SITE_FILLS},
	{"caches", site_caches, 4, SITE_PLAIN},
	{"service", site_service, 1, SITE_PLAIN},
	{"look", site_look, 12, SITE_PLAIN},
	{"misuse", site_misuse, 0, SITE_PLAIN},
	{"bad", site_bad, 2, SITE_PLAIN},
	{"repair", site_repair, 2, SITE_PLAIN},
	{"ranges", site_ranges, 6, SITE_PLAIN},
	{"cma", site_cma, 6, SITE_PLAIN},
	{"plug", site_plug, 6, SITE_PLAIN},
};
enum { NR_SITES = sizeof(scene_sites) / sizeof(scene_sites[0]) };
const unsigned scene_nr_sites = NR_SITES;

void *scene_holder(void *arg)
{
	(void)arg;
	scene_me.holds = true;
	scene_me.unlocks = 0;
	scene_me.cpu = 0;
	scene.site->call(scene.rig.pfa);
	if (scene_me.unlocks <= scene.nth) {
		scene.finished = true;
		MUST_EQ(sem_post(&scene.held), 0);
	}
	return NULL;
}

/* A damaged instance does not hang either. Whether it was done or met before the fork is not known. */
static _Noreturn void child_of_damage(void)
{
	struct pfa *p = scene.rig.pfa;
	struct pfa_violation v;
	pfa_pfn pfn;
	alarm(CHILD_SECONDS);
	for (scene_me.cpu = 0; scene_me.cpu < 3; scene_me.cpu++)
		for (unsigned order = 0; order <= 8; order++) {
			int code = pfa_alloc(p, order, order % 3, &pfn);
			if (code == PFA_OK)
				code = pfa_free(p, pfn, order);
			MUST(code == PFA_OK || code == PFA_ECORRUPT || code == PFA_ENOMEM);
		}
	int code = pfa_cache_drain(p, PFA_ALL_CPUS);
	MUST(code == PFA_OK || code == PFA_ECORRUPT);
	code = pfa_cache_disable(p);
	MUST(code == PFA_OK || code == PFA_ECORRUPT);
	code = pfa_check(p, PFA_CHECK_FRAMES, &v);
	MUST(code == PFA_OK || code == PFA_ECORRUPT);
	_exit(0);
}

/* Everything, alone: nobody is there to wait for, or to wake. */
_Noreturn void scene_child(void)
{
	if (scene.site->kind == SITE_DAMAGES)
		child_of_damage();
	struct pfa *p = scene.rig.pfa;
	struct pfa_violation v;
	pfa_pfn pfns[9];
	alarm(CHILD_SECONDS); /* a hang ends as a signal */
	atomic_store(&scene.waits, 0);
	atomic_store(&scene.wakes, 0);
	for (scene_me.cpu = 0; scene_me.cpu < 3; scene_me.cpu++) {
		for (unsigned order = 0; order <= 8; order++)
			if (pfa_alloc(p, order, order % 3, &pfns[order]) != PFA_OK)
				pfns[order] = SIZE_MAX;
		MUST(pfns[0] != SIZE_MAX || scene.site->kind == SITE_FILLS);
		for (unsigned order = 0; order <= 8; order++)
			if (pfns[order] != SIZE_MAX)
				MUST_EQ(pfa_free(p, pfns[order], order), PFA_OK);
	}
	/* What this thread had before is still its own. */
	for (size_t i = 0; i < scene.nr_blocks; i++)
		MUST_EQ(pfa_free(p, scene.blocks[i], 0), PFA_OK);
	MUST_EQ(pfa_cache_drain(p, PFA_ALL_CPUS), PFA_OK);
	/* The holder may have been between disable and enable, or serving. */
	MUST_EQ(pfa_cache_disable(p), PFA_OK);
	MUST_EQ(pfa_cache_enable(p), PFA_OK);
	int code = pfa_service(p, 8, NULL);
	MUST(code == PFA_OK || code == PFA_EAGAIN);
	int err = pfa_check(p, PFA_CHECK_FRAMES, &v);
	if (err)
		rig_fail(__FILE__, __LINE__, "%s, site %u: pfa_check in the child: %s I%u %s", scene.site->name, scene.nth,
		         pfa_error_name(err), v.invariant, v.what);
	MUST_EQ(atomic_load(&scene.waits), 0);
	MUST_EQ(atomic_load(&scene.wakes), 0);
	_exit(0);
}

void scene_wait_for(pid_t pid, const char *what, unsigned nr)
{
	int status;
	MUST(pid > 0);
	MUST_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		rig_fail(__FILE__, __LINE__, "%s, %u: the child %s %d", what, nr,
		         WIFEXITED(status) ? "ended with" : "was killed by signal",
		         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}
