/* SPDX-License-Identifier: MIT
 *
 * fork() while another thread is inside a critical section, each of them in turn: the holder stops in the unlock hook, the
 * fork waits for its lock, and by that lets it go on. The child then does everything, without waiting once. And: frees
 * that the child finds half-way, frames that stay the parent's, instances that have ended.
 */
#define _GNU_SOURCE
#include "mt.h"

#include <pfa/harden.h>

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAMES = 1024, LARGE = 6, CHILD_SECONDS = 60 };

static struct {
	struct rig rig;
	struct pfa_platform posix;
	sem_t held, go, freeing, freed;
	const struct site *site;
	unsigned nth;             /* the holder stops at this release of a zone's lock */
	bool finished;            /* it had none */
	atomic_uint waits, wakes;
	_Atomic uint64_t skew;    /* of the instance's clock */
	pfa_pfn blocks[FRAMES];
	size_t nr_blocks;
} t;

static bool cannot_wait; /* of the next instance's platform */

static _Thread_local struct {
	bool forks;    /* its first wait lets the holder go */
	bool holds;
	bool stays;    /* its first wait ends after the fork */
	unsigned unlocks;
	uint32_t cpu;
} me;

static uint32_t op_cpu(void *ctx)
{
	(void)ctx;
	return me.cpu;
}

static uint64_t op_now(void *ctx)
{
	return t.posix.now_ns(ctx) + atomic_load(&t.skew);
}

static int op_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	atomic_fetch_add(&t.waits, 1);
	if (me.forks)
		MUST_EQ(sem_post(&t.go), 0);
	me.forks = false;
	if (me.stays) {
		me.stays = false;
		MUST_EQ(sem_post(&t.freeing), 0);
		MUST_EQ(sem_wait(&t.freed), 0);
	}
	return t.posix.wait(ctx, addr, value, until_ns == UINT64_MAX ? until_ns : until_ns - atomic_load(&t.skew));
}

static void op_wake(void *ctx, const void *addr)
{
	atomic_fetch_add(&t.wakes, 1);
	t.posix.wake(ctx, addr);
}

static void stop_here(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)pfa;
	(void)zone;
	if (!me.holds || me.unlocks++ != t.nth)
		return;
	MUST_EQ(sem_post(&t.held), 0);
	MUST_EQ(sem_wait(&t.go), 0);
}

/* A new instance: two zones, caches for small orders, some blocks of all kinds allocated, some cached. */
static void prepare(bool shared)
{
	struct rig *rig = &t.rig;
	rig_init(rig);
	pfa_posix_platform(&t.posix);
	rig->os.wait = cannot_wait ? NULL : op_wait;
	rig->os.wake = op_wake;
	rig->os.cpu = op_cpu;
	rig->os.self = t.posix.self;
	rig->os.now_ns = op_now;
	rig->cfg.nr_cpus = 2;
	rig->cfg.cache_high = 4;
	rig->cfg.cache_max_order = 2;
	rig_zone(rig, 0, FRAMES)->highatomic_frames = 128;
	rig_zone(rig, FRAMES, FRAMES);
	rig_start(rig);
	pfa_debug_on_unlock(rig->pfa, stop_here, NULL);
	MUST_EQ(pfa_posix_fork_safe(rig->pfa, shared), PFA_OK);
	MUST_EQ(pfa_posix_fork_safe(rig->pfa, shared), PFA_EINVAL);
	MUST_EQ(sem_init(&t.held, 0, 0), 0);
	MUST_EQ(sem_init(&t.go, 0, 0), 0);
	MUST_EQ(sem_init(&t.freeing, 0, 0), 0);
	MUST_EQ(sem_init(&t.freed, 0, 0), 0);
	for (t.nr_blocks = 0; t.nr_blocks < 40; t.nr_blocks++)
		MUST_EQ(pfa_alloc(rig->pfa, 0, PFA_MOVABLE, &t.blocks[t.nr_blocks]), PFA_OK);
	MUST_EQ(pfa_free(rig->pfa, t.blocks[--t.nr_blocks], 0), PFA_OK);
	atomic_store(&t.waits, 0);
	atomic_store(&t.wakes, 0);
}

static void finish(void)
{
	while (t.nr_blocks)
		MUST_EQ(pfa_free(t.rig.pfa, t.blocks[--t.nr_blocks], 0), PFA_OK);
	MUST_EQ(pfa_posix_fork_forget(t.rig.pfa), PFA_OK);
	MUST_EQ(pfa_posix_fork_forget(t.rig.pfa), PFA_EINVAL);
	rig_stop(&t.rig);
}

/* ---- sites -------------------------------------------------------------------------------------------------------- */

static void write_nothing(void *ctx, const char *bytes, size_t nr)
{
	(void)ctx;
	(void)bytes;
	(void)nr;
}

static void take_and_give(unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	MUST_EQ(pfa_alloc(t.rig.pfa, order, flags, &pfn), PFA_OK);
	MUST_EQ(pfa_free(t.rig.pfa, pfn, order), PFA_OK);
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
		atomic_fetch_add(&t.skew, 2u * PFA_SERVICE_IDLE_NS);
	}
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
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_check_range(p, (struct pfa_run){3, 100}, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_would_succeed(p, LARGE, PFA_MOVABLE), PFA_OK);
	MUST_EQ(pfa_largest_free(p, PFA_MOVABLE, &order), PFA_OK);
	for (unsigned what = 0; what < PFA_PRINT_WHATS; what++)
		MUST_EQ(pfa_print(p, (enum pfa_print_what)what, write_nothing, NULL), PFA_OK);
	MUST_EQ(pfa_fini(p), PFA_EBUSY);
}

static const struct site {
	const char *name;
	void (*call)(struct pfa *pfa);
	unsigned at_least; /* lock sites that it has */
} sites[] = {
	{"alloc_miss", site_alloc_miss, 1}, {"alloc_direct", site_alloc_direct, 2}, {"alloc_high", site_alloc_high, 2},
	{"bulk", site_bulk, 4},             {"exact", site_exact, 3},               {"window", site_window, 1},
	{"fail", site_fail, 100},           {"caches", site_caches, 4},             {"service", site_service, 1},
	{"look", site_look, 12},
};

static void *holder(void *arg)
{
	(void)arg;
	me.holds = true;
	me.unlocks = 0;
	me.cpu = 0;
	t.site->call(t.rig.pfa);
	if (me.unlocks <= t.nth) {
		t.finished = true;
		MUST_EQ(sem_post(&t.held), 0);
	}
	return NULL;
}

/* Everything, alone: nobody is there to wait for, or to wake. */
static void child_works(void)
{
	struct pfa *p = t.rig.pfa;
	struct pfa_violation v;
	pfa_pfn pfns[9];
	alarm(CHILD_SECONDS); /* a hang ends as a signal */
	atomic_store(&t.waits, 0);
	atomic_store(&t.wakes, 0);
	for (me.cpu = 0; me.cpu < 3; me.cpu++) {
		for (unsigned order = 0; order <= 8; order++)
			if (pfa_alloc(p, order, order % 3, &pfns[order]) != PFA_OK)
				pfns[order] = SIZE_MAX;
		MUST(pfns[0] != SIZE_MAX || t.site->at_least == 100);
		for (unsigned order = 0; order <= 8; order++)
			if (pfns[order] != SIZE_MAX)
				MUST_EQ(pfa_free(p, pfns[order], order), PFA_OK);
	}
	/* What this thread had before is still its own. */
	for (size_t i = 0; i < t.nr_blocks; i++)
		MUST_EQ(pfa_free(p, t.blocks[i], 0), PFA_OK);
	MUST_EQ(pfa_cache_drain(p, PFA_ALL_CPUS), PFA_OK);
	/* The holder may have been between disable and enable, or serving. */
	MUST_EQ(pfa_cache_disable(p), PFA_OK);
	MUST_EQ(pfa_cache_enable(p), PFA_OK);
	int code = pfa_service(p, 8, NULL);
	MUST(code == PFA_OK || code == PFA_EAGAIN);
	int err = pfa_check(p, PFA_CHECK_FRAMES, &v);
	if (err)
		rig_fail(__FILE__, __LINE__, "%s, site %u: pfa_check in the child: %s I%u %s", t.site->name, t.nth,
		         pfa_error_name(err), v.invariant, v.what);
	MUST_EQ(atomic_load(&t.waits), 0);
	MUST_EQ(atomic_load(&t.wakes), 0);
	_exit(0);
}

static void wait_for_child(pid_t pid, const char *what, unsigned nr)
{
	int status;
	MUST(pid > 0);
	MUST_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		rig_fail(__FILE__, __LINE__, "%s, %u: the child %s %d", what, nr,
		         WIFEXITED(status) ? "ended with" : "was killed by signal",
		         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* One fork at the nth release of a zone's lock in this site's calls. False: there are fewer. */
static bool fork_at(const struct site *site, unsigned nth)
{
	pthread_t thread;
	prepare(false);
	t.site = site;
	t.nth = nth;
	t.finished = false;
	MUST_EQ(pthread_create(&thread, NULL, holder, NULL), 0);
	MUST_EQ(sem_wait(&t.held), 0);
	me.cpu = 1;
	if (!t.finished) {
		me.forks = true;
		pid_t pid = fork();
		if (pid == 0)
			child_works();
		MUST(!me.forks); /* the fork did wait for the holder */
		wait_for_child(pid, site->name, nth);
	}
	MUST_EQ(pthread_join(thread, NULL), 0);
	finish();
	return !t.finished;
}

static void fork_at_each_site(void)
{
	unsigned total = 0;
	for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
		unsigned nr = 0;
		/* After the first dozen, the sites of one call are much like each other. */
		while (fork_at(&sites[i], nr < 16 ? nr : nr * 3))
			nr++;
		if (nr < (sites[i].at_least < 16 ? sites[i].at_least : 16))
			rig_fail(__FILE__, __LINE__, "%s: only %u lock sites", sites[i].name, nr);
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
	me.stays = true;
	MUST_EQ(pfa_free(t.rig.pfa, half_way, LARGE), PFA_OK);
	return NULL;
}

/* The block that a thread was freeing is nobody's: allocated for good, and said to be so. */
static void child_half_way(void)
{
	struct pfa *p = t.rig.pfa;
	struct pfa_zone_stats stats;
	struct pfa_violation v;
	pfa_pfn pfn;
	size_t nr = 0;
	alarm(CHILD_SECONDS);
	MUST_EQ(rig_info(&t.rig, half_way).state, PFA_FRAME_FREEING);
	MUST_EQ(pfa_free(p, half_way, LARGE), PFA_EMISUSE);
	MUST_EQ(t.rig.fault.kind, PFA_FAULT_DOUBLE_FREE_RACE);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v), PFA_ECORRUPT);
	MUST(v.invariant == 1 && v.pfn == half_way);
	while (t.nr_blocks)
		MUST_EQ(pfa_free(p, t.blocks[--t.nr_blocks], 0), PFA_OK);
	MUST_EQ(pfa_fini(p), PFA_EBUSY);
	stats = rig_stats(&t.rig, 0);
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
	static const struct site info = {"half-way", site_info, 1};
	pthread_t holding, freeing;
	prepare(false);
	MUST_EQ(pfa_alloc(t.rig.pfa, LARGE, PFA_MOVABLE | PFA_EXACT_ZONE, &half_way), PFA_OK);
	t.site = &info;
	t.nth = 0;
	MUST_EQ(pthread_create(&holding, NULL, holder, NULL), 0);
	MUST_EQ(sem_wait(&t.held), 0);
	MUST_EQ(pthread_create(&freeing, NULL, freer, NULL), 0);
	MUST_EQ(sem_wait(&t.freeing), 0);
	me.forks = true;
	pid_t pid = fork();
	if (pid == 0)
		child_half_way();
	MUST(!me.forks);
	wait_for_child(pid, "half-way", 0);
	MUST_EQ(sem_post(&t.freed), 0);
	MUST_EQ(pthread_join(holding, NULL), 0);
	MUST_EQ(pthread_join(freeing, NULL), 0);
	finish();
}

/* ---- closed ------------------------------------------------------------------------------------------------------- */

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
		me.cpu = rig->cpu;
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
	EXPECT(pfa_print, code, p, PFA_PRINT_JSON, write_nothing, NULL);
	EXPECT(pfa_frame_info, code, p, block, &info);
	EXPECT(pfa_pageblock_info, code, p, block, &pb);
	EXPECT(pfa_check, code, p, PFA_CHECK_FRAMES, &v);
	EXPECT(pfa_check_range, code, p, run, 0, &v);
	EXPECT(pfa_alloc_checked, code, p, 0, PFA_MOVABLE, &handle);
	EXPECT(pfa_handle_of, code, p, block, 0, &handle);
	EXPECT(pfa_free_checked, code, p, &handle);
	EXPECT(pfa_mark_bad, code, p, block);
	EXPECT(pfa_fork_prepare, code, p);
	EXPECT(pfa_fini, code, p);
}

/* The parent's frames: nothing may be done with them here, and nothing is changed or told. */
static void child_shared(void)
{
	uint64_t before = rig_digest(&t.rig);
	alarm(CHILD_SECONDS);
	expect_everywhere(&t.rig, t.blocks[0], PFA_ENOTSUP);
	MUST_EQ(t.rig.fault.nr, 0);
	MUST_EQ(atomic_load(&t.waits), 0);
	MUST(rig_digest(&t.rig) == before);
	pid_t pid = fork(); /* a child's child */
	if (pid == 0) {
		EXPECT(pfa_cache_disable, PFA_ENOTSUP, t.rig.pfa);
		_exit(0);
	}
	wait_for_child(pid, "shared, twice", 0);
	rig_write_codes("test_fork_shared");
	_exit(0);
}

static void fork_shared(void)
{
	const uint32_t saved = rig_level;
	for (unsigned level = 1; level <= 3; level++) {
		rig_level = level;
		prepare(true);
		pid_t pid = fork();
		if (pid == 0)
			child_shared();
		wait_for_child(pid, "shared", level);
		finish();
	}
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
	prepare(false);
	uint64_t before = rig_digest(&t.rig);
	EXPECT(pfa_fork_prepare, PFA_OK, t.rig.pfa);
	pfa_fork_parent(t.rig.pfa);
	MUST(rig_digest(&t.rig) == before);
	finish();
}

static void site_second_zone(struct pfa *p)
{
	struct pfa_frame_info info;
	MUST_EQ(pfa_frame_info(p, FRAMES, &info), PFA_OK);
}

/* On a platform that cannot wait, a busy lock refuses, and those taken before it are given back. */
static void prepare_busy(void)
{
	static const struct site second = {"busy", site_second_zone, 1};
	pthread_t thread;
	cannot_wait = true;
	prepare(false);
	cannot_wait = false;
	t.site = &second;
	t.nth = 0;
	MUST_EQ(pthread_create(&thread, NULL, holder, NULL), 0);
	MUST_EQ(sem_wait(&t.held), 0);
	EXPECT(pfa_fork_prepare, PFA_EBUSY, t.rig.pfa);
	MUST_EQ(pfa_cache_drain(t.rig.pfa, 1), PFA_OK);
	site_info(t.rig.pfa);
	MUST_EQ(sem_post(&t.go), 0);
	MUST_EQ(pthread_join(thread, NULL), 0);
	EXPECT(pfa_fork_prepare, PFA_OK, t.rig.pfa);
	pfa_fork_parent(t.rig.pfa);
	finish();
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
	wait_for_child(pid, "table", 0);
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
