/* SPDX-License-Identifier: MIT
 *
 * fork() while another thread is inside a critical section, each of them in turn: the holder stops in the unlock hook, the
 * fork waits for its lock, and by that lets it go on. The child then does everything, without waiting once. And: frees
 * that the child finds half-way, frames that stay the parent's, instances that have ended.
 */
#define _GNU_SOURCE
#include "fork_scenes.h"

#include <pfa/compact.h>
#include <pfa/report.h>
#include <pfa/walk.h>
#include <pfa/cma.h>
#include <pfa/contig.h>
#include <pfa/hotplug.h>
#include <pfa/harden.h>
#include <pfa/movable.h>

#include <string.h>
#include <unistd.h>

/* ---- sites -------------------------------------------------------------------------------------------------------- */

/* One fork at the nth release of a zone's lock in this site's calls. False: there are fewer. */
static bool fork_at(const struct site *site, unsigned nth)
{
	pthread_t thread;
	scene_prepare(false);
	scene.site = site;
	scene.nth = nth;
	scene.finished = false;
	MUST_EQ(pthread_create(&thread, NULL, scene_holder, NULL), 0);
	MUST_EQ(sem_wait(&scene.held), 0);
	scene_me.cpu = 1;
	if (!scene.finished) {
		scene_me.forks = true;
		pid_t pid = fork();
		if (pid == 0)
			scene_child();
		MUST(!scene_me.forks); /* the fork did wait for the holder */
		scene_wait_for(pid, site->name, nth);
	}
	MUST_EQ(pthread_join(thread, NULL), 0);
	scene_finish();
	return !scene.finished;
}

static void fork_at_each_site(void)
{
	unsigned total = 0;
	for (size_t i = 0; i < scene_nr_sites; i++) {
		unsigned nr = 0;
		/* After the first dozen, the sites of one call are much like each other. */
		while (fork_at(&scene_sites[i], nr < 16 ? nr : nr * 3))
			nr++;
		if (nr < (scene_sites[i].at_least < 16 ? scene_sites[i].at_least : 16))
			rig_fail(__FILE__, __LINE__, "%s: only %u lock sites", scene_sites[i].name, nr);
		total += nr;
	}
	printf("%u forks at lock sites\n", total);
}

/* ---- half-way ----------------------------------------------------------------------------------------------------- */

static pfa_pfn half_way;

static void site_info(struct pfa *p)
{
	struct pfa_frame_info info;
	MUST_EQ(pfa_frame_info(p, 0, &info), PFA_OK);
}

static void *freer(void *arg)
{
	(void)arg;
	scene_me.stays = true;
	MUST_EQ(pfa_free(scene.rig.pfa, half_way, LARGE), PFA_OK);
	return NULL;
}

/* The block that a thread was freeing is nobody's: allocated for good, and said to be so. */
static void child_half_way(void)
{
	struct pfa *p = scene.rig.pfa;
	struct pfa_zone_stats stats;
	struct pfa_violation v;
	pfa_pfn pfn;
	size_t nr = 0;
	alarm(CHILD_SECONDS);
	MUST_EQ(rig_info(&scene.rig, half_way).state, PFA_FRAME_FREEING);
	MUST_EQ(pfa_free(p, half_way, LARGE), PFA_EMISUSE);
	MUST_EQ(scene.rig.fault.kind, PFA_FAULT_DOUBLE_FREE_RACE);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v), PFA_ECORRUPT);
	MUST(v.invariant == 1 && v.pfn == half_way);
	while (scene.nr_blocks)
		MUST_EQ(pfa_free(p, scene.blocks[--scene.nr_blocks], 0), PFA_OK);
	MUST_EQ(pfa_fini(p), PFA_EBUSY);
	stats = rig_stats(&scene.rig, 0);
	MUST_EQ(stats.allocated, 1u << LARGE);
	while (pfa_alloc(p, 0, PFA_MOVABLE, &pfn) == PFA_OK) {
		MUST(pfn < half_way || pfn >= half_way + (1u << LARGE));
		nr++;
	}
	MUST_EQ(nr, 2 * FRAMES - (1u << LARGE));
	_exit(0);
}

static void fork_during_free(void)
{
	static const struct site info = {"half-way", site_info, 1, SITE_PLAIN};
	pthread_t holding, freeing;
	scene_prepare(false);
	MUST_EQ(pfa_alloc(scene.rig.pfa, LARGE, PFA_MOVABLE | PFA_EXACT_ZONE, &half_way), PFA_OK);
	scene.site = &info;
	scene.nth = 0;
	MUST_EQ(pthread_create(&holding, NULL, scene_holder, NULL), 0);
	MUST_EQ(sem_wait(&scene.held), 0);
	MUST_EQ(pthread_create(&freeing, NULL, freer, NULL), 0);
	MUST_EQ(sem_wait(&scene.freeing), 0);
	scene_me.forks = true;
	pid_t pid = fork();
	if (pid == 0)
		child_half_way();
	MUST(!scene_me.forks);
	scene_wait_for(pid, "half-way", 0);
	MUST_EQ(sem_post(&scene.freed), 0);
	MUST_EQ(pthread_join(holding, NULL), 0);
	MUST_EQ(pthread_join(freeing, NULL), 0);
	scene_finish();
}

/* ---- closed ------------------------------------------------------------------------------------------------------- */

static void expect_movable(struct pfa *p, pfa_pfn block, int code)
{
	struct pfa_owner_ops ops = { .size = sizeof(ops) };
	struct pfa_dest dest = { .size = sizeof(dest), .flags = PFA_MOVABLE };
	struct pfa_movable_info info;
	pfa_owner owner;
	int result;
	EXPECT(pfa_owner_create, code, p, &ops, NULL, &owner);
	EXPECT(pfa_owner_destroy, code, p, 1);
	EXPECT(pfa_movable_set, code, p, block, 1, 0);
	EXPECT(pfa_movable_clear, code, p, block);
	EXPECT(pfa_pin, code, p, block);
	EXPECT(pfa_unpin, code, p, block);
	EXPECT(pfa_page_lock, code, p, block);
	EXPECT(pfa_page_trylock, code, p, block);
	EXPECT(pfa_page_unlock, code, p, block);
	EXPECT(pfa_movable_info, code, p, block, &info);
	EXPECT(pfa_migrate, code, p, &block, 1, &dest, &result);
	EXPECT(pfa_compact, code, p, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_ASYNC, NULL);
}

static int visit(void *ctx, struct pfa_run run)
{
	(void)ctx, (void)run;
	return 1;
}

static void expect_contig(struct pfa *p, int code)
{
	struct pfa_blocker why = {PFA_BLOCKER_NONE, 7};
	pfa_token token = 7;
	EXPECT(pfa_isolate_range, code, p, 0, 64, 0, &token, &why);
	EXPECT(pfa_undo_isolate_range, code, p, 0, 64, 1);
	EXPECT(pfa_test_isolated, code, p, 0, 64, 1, &why);
	EXPECT(pfa_alloc_contig_range, code, p, 0, 64, 0, &why);
	EXPECT(pfa_free_contig_range, code, p, 0, 64);
	pfa_pfn found;
	EXPECT(pfa_alloc_contig, code, p, 64, 1, 0, &found);
	struct pfa_cma_stats stats = {.size = sizeof(stats)};
	pfa_cma area = 7;
	EXPECT(pfa_cma_create, code, p, 0, 64, 0, &area, &why);
	EXPECT(pfa_cma_find, code, p, 0, &area);
	EXPECT(pfa_cma_alloc, code, p, 1, 1, 1, 0, &found);
	EXPECT(pfa_cma_release, code, p, 1, 0, 1);
	EXPECT(pfa_cma_stats, code, p, 1, &stats);
	EXPECT(pfa_cma_destroy, code, p, 1);
	EXPECT(pfa_offline_range, code, p, 0, 64, 0, &why);
	EXPECT(pfa_online_range, code, p, 0, 64, &why);
	EXPECT(pfa_add_range, code, p, 0, 64, &why);
	EXPECT(pfa_remove_range, code, p, 0, 64, &why);
	MUST(token == 7 && why.pfn == 7 && area == 7);
}

/* Every function that returns a code, with arguments that were fine before. */
static void expect_everywhere(struct rig *rig, pfa_pfn block, int code)
{
	struct pfa *p = rig->pfa;
	struct pfa_stats events;
	struct pfa_zone_stats stats;
	struct pfa_frame_info info;
	struct pfa_pageblock_info pb;
	struct pfa_violation v;
	struct pfa_run run = {0, 64};
	struct pfa_handle handle = {block, 0, 0};
	pfa_pfn pfn = 7, pfns[4];
	size_t nr = 9;
	unsigned order;
	void *ptr = rig->pool;
	for (rig->cpu = 0; rig->cpu < 3; rig->cpu++) {
		scene_me.cpu = rig->cpu;
		for (order = 0; order <= 8; order++) {
			EXPECT(pfa_alloc, code, p, order, PFA_MOVABLE, &pfn);
			EXPECT(pfa_free, code, p, block, order);
		}
	}
	MUST_EQ(pfn, 7);
	EXPECT(pfa_alloc_bulk, code, p, 0, PFA_MOVABLE, 4, pfns, &nr);
	EXPECT(pfa_alloc_bulk, code, p, 0, PFA_MOVABLE, 0, pfns, &nr);
	EXPECT(pfa_free_bulk, code, p, 0, 1, &block, &nr);
	EXPECT(pfa_free_bulk, code, p, 0, 0, &block, &nr);
	MUST_EQ(nr, 0);
	EXPECT(pfa_alloc_exact, code, p, 3, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_alloc_window, code, p, 0, PFA_MOVABLE, run, &pfn);
	EXPECT(pfa_split, code, p, block, 0, 0);
	EXPECT(pfa_free_range, code, p, block, 1);
	EXPECT(pfa_ptr, code, p, block, &ptr);
	EXPECT(pfa_pfn_of, code, p, ptr, &pfn);
	EXPECT(pfa_alloc_ptr, code, p, 0, PFA_MOVABLE, &ptr);
	EXPECT(pfa_free_ptr, code, p, ptr, 0);
	EXPECT(pfa_largest_free, code, p, PFA_MOVABLE, &order);
	EXPECT(pfa_would_succeed, code, p, 0, PFA_MOVABLE);
	EXPECT(pfa_cache_drain, code, p, PFA_ALL_CPUS);
	EXPECT(pfa_cache_purge, code, p, 0);
	EXPECT(pfa_cache_disable, code, p);
	EXPECT(pfa_cache_enable, code, p);
	EXPECT(pfa_service, code, p, 1, NULL);
	EXPECT(pfa_stats_get, code, p, &events, sizeof(events));
	EXPECT(pfa_zone_stats_get, code, p, 0, &stats, sizeof(stats));
	EXPECT(pfa_print, code, p, PFA_PRINT_JSON, scene_write_nothing, NULL);
	EXPECT(pfa_frame_info, code, p, block, &info);
	EXPECT(pfa_pageblock_info, code, p, block, &pb);
	EXPECT(pfa_walk_free, code, p, 0, visit, NULL, NULL);
	const struct pfa_device device = { .size = sizeof(device) };
	EXPECT(pfa_report_register, code, p, &device);
	EXPECT(pfa_report_unregister, code, p);
	EXPECT(pfa_report_suspend, code, p);
	EXPECT(pfa_report_resume, code, p);
	EXPECT(pfa_report_flush, code, p);
	EXPECT(pfa_check, code, p, PFA_CHECK_FRAMES, &v);
	EXPECT(pfa_check_range, code, p, run, 0, &v);
	EXPECT(pfa_repair, code, p, 0, NULL);
	EXPECT(pfa_alloc_checked, code, p, 0, PFA_MOVABLE, &handle);
	EXPECT(pfa_handle_of, code, p, block, 0, &handle);
	EXPECT(pfa_free_checked, code, p, &handle);
	EXPECT(pfa_mark_bad, code, p, block);
	EXPECT(pfa_fork_prepare, code, p);
	expect_movable(p, block, code);
	expect_contig(p, code);
	EXPECT(pfa_fini, code, p);
}

/* The parent's frames: nothing may be done with them here, and nothing is changed or told. */
static void child_shared(void)
{
	uint64_t before = rig_digest(&scene.rig);
	alarm(CHILD_SECONDS);
	expect_everywhere(&scene.rig, scene.blocks[0], PFA_ENOTSUP);
	MUST_EQ(scene.rig.fault.nr, 0);
	MUST_EQ(atomic_load(&scene.waits), 0);
	MUST(rig_digest(&scene.rig) == before);
	pid_t pid = fork(); /* a child's child */
	if (pid == 0) {
		EXPECT(pfa_cache_disable, PFA_ENOTSUP, scene.rig.pfa);
		_exit(0);
	}
	scene_wait_for(pid, "shared, twice", 0);
	rig_write_codes("test_fork_shared");
	_exit(0);
}

static void fork_shared(void)
{
	const uint32_t saved = rig_level;
	for (unsigned i = 0; i < 6; i++) {
		const unsigned level = 1 + i % 3;
		rig_level = level;
		scene_options.offset = i >= 3; /* fast paths, with a loaded cache */
		scene_prepare(true);
		pid_t pid = fork();
		if (pid == 0)
			child_shared();
		scene_wait_for(pid, "shared", level);
		scene_finish();
	}
	scene_options.offset = false;
	rig_level = saved;
}

/* The memory of an instance that has ended is untouched for a while: then each call is misuse. */
static void ended(void)
{
	const uint32_t saved = rig_level;
	for (unsigned level = 1; level <= 3; level++) {
		struct rig rig;
		pfa_pfn block, kept;
		rig_level = level;
		rig_init(&rig);
		rig.cfg.nr_cpus = 2;
		rig_zone(&rig, 0, FRAMES);
		rig_start(&rig);
		/* What lives stops it, in whatever state: the instance goes on. */
		MUST_EQ(pfa_alloc(rig.pfa, 3, PFA_MOVABLE, &kept), PFA_OK);
		MUST_EQ(pfa_alloc(rig.pfa, 0, PFA_MOVABLE, &block), PFA_OK);
		EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
		MUST_EQ(pfa_split(rig.pfa, kept, 3, 1), PFA_OK);
		MUST_EQ(pfa_free(rig.pfa, block, 0), PFA_OK);
		EXPECT(pfa_fini, PFA_EBUSY, rig.pfa);
		MUST_EQ(pfa_free_range(rig.pfa, kept, 8), PFA_OK);
		rig_check(&rig);
		EXPECT(pfa_fini, PFA_OK, rig.pfa);
		rig.fault.nr = 0;
		expect_everywhere(&rig, block, PFA_EMISUSE);
		MUST(rig.fault.nr > 80);
		MUST_EQ(rig.fault.kind, PFA_FAULT_ENDED);
		MUST(strcmp(rig.fault.function, "pfa_fini") == 0);
		rig_drop(&rig);
	}
	rig_level = saved;
}

/* ---- core --------------------------------------------------------------------------------------------------------- */

/* Prepared and given back, without a fork: nothing changed. */
static void prepare_and_back(void)
{
	scene_prepare(false);
	uint64_t before = rig_digest(&scene.rig);
	EXPECT(pfa_fork_prepare, PFA_OK, scene.rig.pfa);
	pfa_fork_parent(scene.rig.pfa);
	MUST(rig_digest(&scene.rig) == before);
	scene_finish();
}

static void site_second_zone(struct pfa *p)
{
	struct pfa_frame_info info;
	MUST_EQ(pfa_frame_info(p, FRAMES, &info), PFA_OK);
}

/* On a platform that cannot wait, a busy lock refuses, and those taken before it are given back. */
static void prepare_busy(void)
{
	static const struct site second = {"busy", site_second_zone, 1, SITE_PLAIN};
	pthread_t thread;
	scene_options.cannot_wait = true;
	scene_prepare(false);
	scene_options.cannot_wait = false;
	scene.site = &second;
	scene.nth = 0;
	MUST_EQ(pthread_create(&thread, NULL, scene_holder, NULL), 0);
	MUST_EQ(sem_wait(&scene.held), 0);
	EXPECT(pfa_fork_prepare, PFA_EBUSY, scene.rig.pfa);
	MUST_EQ(pfa_cache_drain(scene.rig.pfa, 1), PFA_OK);
	site_info(scene.rig.pfa);
	MUST_EQ(sem_post(&scene.go), 0);
	MUST_EQ(pthread_join(thread, NULL), 0);
	EXPECT(pfa_fork_prepare, PFA_OK, scene.rig.pfa);
	pfa_fork_parent(scene.rig.pfa);
	scene_finish();
}

/* More instances than the table holds, and places that are free again. */
static void table_is_bounded(void)
{
	static struct rig rigs[PFA_POSIX_FORK_LIMIT + 1];
	for (unsigned i = 0; i <= PFA_POSIX_FORK_LIMIT; i++) {
		rig_init(&rigs[i]);
		rig_zone(&rigs[i], 0, 64);
		rig_start(&rigs[i]);
		MUST_EQ(pfa_posix_fork_safe(rigs[i].pfa, false), i < PFA_POSIX_FORK_LIMIT ? PFA_OK : PFA_ENOMEM);
	}
	pid_t pid = fork();
	if (pid == 0) {
		pfa_pfn pfn;
		for (unsigned i = 0; i < PFA_POSIX_FORK_LIMIT; i++)
			MUST_EQ(pfa_alloc(rigs[i].pfa, 0, 0, &pfn), PFA_OK);
		_exit(0);
	}
	scene_wait_for(pid, "table", 0);
	MUST_EQ(pfa_posix_fork_forget(rigs[3].pfa), PFA_OK);
	MUST_EQ(pfa_posix_fork_safe(rigs[PFA_POSIX_FORK_LIMIT].pfa, false), PFA_OK);
	MUST_EQ(pfa_posix_fork_safe(NULL, false), PFA_EINVAL);
	MUST_EQ(pfa_posix_fork_forget(NULL), PFA_EINVAL);
	for (unsigned i = 0; i <= PFA_POSIX_FORK_LIMIT; i++) {
		MUST_EQ(pfa_posix_fork_forget(rigs[i].pfa), i == 3 ? PFA_EINVAL : PFA_OK);
		rig_stop(&rigs[i]);
	}
}

int main(int argc, char **argv)
{
	(void)mt_options(argc, argv, 0);
	prepare_and_back();
	prepare_busy();
	table_is_bounded();
	fork_at_each_site();
	fork_during_free();
	fork_shared();
	ended();
	rig_write_codes(argv[0]);
	return 0;
}