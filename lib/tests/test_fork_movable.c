/* SPDX-License-Identifier: MIT
 *
 * fork() while another thread holds page locks and pins, has released a block that it still has locked, or is inside of an
 * owner's op: what the child finds (pfa/harden.h).
 */
#include "mt.h"

#include <pfa/compact.h>
#include <pfa/harden.h>
#include <pfa/movable.h>

#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAMES = 512, CHILD_SECONDS = 20, LOCKED = 0, RELEASED, PINNED, PINNED_FREED, PLAIN, BLOCKS };

/* Asked by ThreadSanitizer alone: as in test_mt_fork.c. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pfa_fork_child";
}

static struct mt mt;
static pfa_owner owner, other;
static pfa_pfn blocks[BLOCKS];
static bool stops; /* inside of the next isolate() */
static sem_t there, go;

static void stop_here(void)
{
	MUST_EQ(sem_post(&there), 0);
	MUST_EQ(sem_wait(&go), 0);
}

static int op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
	(void)mode;
	if (stops) {
		stops = false;
		stop_here();
	}
	return PFA_OK;
}

static int op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx;
	(void)src;
	(void)order;
	(void)mode;
	blocks[cookie] = dst;
	return PFA_OK;
}

static void op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
}

static int move(pfa_pfn head)
{
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
	int result = PFA_OK, all = pfa_migrate(mt.rig.pfa, &head, 1, &dest, &result);
	return all == PFA_OK || all == PFA_EAGAIN ? result : all;
}

static void start(void)
{
	static const struct pfa_owner_ops ops = {sizeof(ops), op_isolate, op_migrate, op_putback};
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.max_owners = 2;
	rig_zone(&mt.rig, 0, FRAMES);
	mt_start(&mt);
	MUST_EQ(pfa_posix_fork_safe(mt.rig.pfa, false), PFA_OK);
	MUST_EQ(pfa_owner_create(mt.rig.pfa, &ops, NULL, &owner), PFA_OK);
	MUST_EQ(pfa_owner_create(mt.rig.pfa, &ops, NULL, &other), PFA_OK);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		MUST_EQ(pfa_alloc(mt.rig.pfa, 1, PFA_MOVABLE, &blocks[i]), PFA_OK);
		MUST_EQ(pfa_movable_set(mt.rig.pfa, blocks[i], i == PLAIN ? other : owner, i), PFA_OK);
	}
}

/* What is still a block of the test's is freed, and the owners end. */
static void stop(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i != RELEASED && i != PINNED_FREED)
			MUST_EQ(pfa_free(mt.rig.pfa, blocks[i], 1), PFA_OK);
	MUST_EQ(pfa_owner_destroy(mt.rig.pfa, owner), PFA_OK);
	MUST_EQ(pfa_owner_destroy(mt.rig.pfa, other), PFA_OK);
	MUST_EQ(pfa_posix_fork_forget(mt.rig.pfa), PFA_OK);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	mt_stop(&mt);
}

static void forked(void (*child)(void), void *(*thread)(void *))
{
	pthread_t holder;
	int status;
	MUST_EQ(sem_init(&there, 0, 0), 0);
	MUST_EQ(sem_init(&go, 0, 0), 0);
	MUST_EQ(pthread_create(&holder, NULL, thread, NULL), 0);
	MUST_EQ(sem_wait(&there), 0);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECONDS);
		child();
		_exit(0);
	}
	MUST_EQ(waitpid(pid, &status, 0), pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	MUST_EQ(sem_post(&go), 0);
	MUST_EQ(pthread_join(holder, NULL), 0);
}

/* ---- locks and pins ---------------------------------------------------------------------------------------------- */

static void *hold(void *arg)
{
	struct pfa *p = mt.rig.pfa;
	(void)arg;
	MUST_EQ(pfa_page_lock(p, blocks[LOCKED]), PFA_OK);
	MUST_EQ(pfa_page_trylock(p, blocks[RELEASED]), PFA_OK);
	MUST_EQ(pfa_free(p, blocks[RELEASED], 1), PFA_OK);
	MUST_EQ(pfa_pin(p, blocks[PINNED]), PFA_OK);
	MUST_EQ(pfa_pin(p, blocks[PINNED_FREED]), PFA_OK);
	MUST_EQ(pfa_free(p, blocks[PINNED_FREED], 1), PFA_OK);
	stop_here();
	MUST_EQ(pfa_page_unlock(p, blocks[LOCKED]), PFA_OK);
	MUST_EQ(pfa_page_unlock(p, blocks[RELEASED]), PFA_OK);
	MUST_EQ(pfa_unpin(p, blocks[PINNED]), PFA_OK);
	MUST_EQ(pfa_unpin(p, blocks[PINNED_FREED]), PFA_OK);
	return NULL;
}

static void child_of_holder(void)
{
	struct pfa *p = mt.rig.pfa;
	struct pfa_violation v;
	struct pfa_movable_info info;
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	/* page locks are free */
	MUST_EQ(move(blocks[LOCKED]), PFA_OK);
	MUST_EQ(pfa_page_lock(p, blocks[LOCKED]), PFA_OK);
	MUST_EQ(pfa_page_unlock(p, blocks[LOCKED]), PFA_OK);
	/* pins are there */
	MUST_EQ(move(blocks[PINNED]), PFA_EBUSY);
	MUST_EQ(pfa_unpin(p, blocks[PINNED]), PFA_OK);
	MUST_EQ(move(blocks[PINNED]), PFA_OK);
	MUST_EQ(pfa_unpin(p, blocks[PINNED_FREED]), PFA_OK);
	/* a release that was cut off is not finished, and its owner cannot be ended; it is told, and nobody waits */
	MUST_EQ(pfa_page_lock(p, blocks[RELEASED]), PFA_EINVAL);
	MUST_EQ(pfa_movable_info(p, blocks[RELEASED], &info), PFA_OK);
	MUST(info.released);
	MUST_EQ(pfa_free(p, blocks[LOCKED], 1), PFA_OK);
	MUST_EQ(pfa_free(p, blocks[PINNED], 1), PFA_OK);
	MUST_EQ(pfa_free(p, blocks[PLAIN], 1), PFA_OK);
	MUST_EQ(pfa_owner_destroy(p, owner), PFA_EBUSY);
	MUST_EQ(pfa_owner_destroy(p, other), PFA_OK);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES, &v), PFA_OK);
	MUST_EQ(rig_stats(&mt.rig, 0).allocated, 2);
}

/* ---- a move ------------------------------------------------------------------------------------------------------- */

static void *mover(void *arg)
{
	(void)arg;
	MUST_EQ(move(blocks[PLAIN]), PFA_OK);
	return NULL;
}

static void *compactor(void *arg)
{
	(void)arg;
	MUST_EQ(pfa_compact(mt.rig.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL), PFA_OK);
	return NULL;
}

static void child_of_mover(void)
{
	struct pfa *p = mt.rig.pfa;
	struct pfa_stats stats;
	pfa_pfn pfn;
	MUST_EQ(pfa_stats_get(p, &stats, sizeof(stats)), PFA_ENOTSUP);
	MUST_EQ(pfa_alloc(p, 0, PFA_MOVABLE, &pfn), PFA_ENOTSUP);
	MUST_EQ(pfa_free(p, blocks[LOCKED], 1), PFA_ENOTSUP);
	MUST_EQ(pfa_page_lock(p, blocks[LOCKED]), PFA_ENOTSUP);
	MUST_EQ(pfa_owner_destroy(p, other), PFA_ENOTSUP);
	MUST_EQ(pfa_fini(p), PFA_ENOTSUP);
}

int main(int argc, char **argv)
{
	(void)mt_options(argc, argv, 0);
	start();
	forked(child_of_holder, hold);
	stop();

	for (unsigned i = 0; i < 2; i++) {
		start();
		MUST_EQ(pfa_free(mt.rig.pfa, blocks[RELEASED], 1), PFA_OK);
		MUST_EQ(pfa_free(mt.rig.pfa, blocks[PINNED_FREED], 1), PFA_OK);
		stops = true;
		forked(child_of_mover, i ? compactor : mover);
		MUST(!stops);
		stop();
	}
	puts("fork: page locks, pins and moves of other threads");
	return 0;
}
