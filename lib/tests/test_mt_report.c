/* SPDX-License-Identifier: MIT
 *
 * Free page reporting under threads: two that serve, some that allocate and free, one that registers, suspends, flushes and
 * unregisters. The device owns what it is told of while it is told, and writes to all of it without atomics: a frame that
 * somebody else has, or gets meanwhile, is seen by the map of owners, by its stamp, and by a sanitizer. No call comes after
 * unregister or suspend returned. And a fork() inside of a report: the child has no device, and all that was held.
 */
#include "mt.h"

#include <pfa/harden.h>
#include <pfa/report.h>

#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6, FRAMES = 6000 };

static struct mt mt;
static atomic_bool allowed; /* written by the manager alone: true before a call may come, false after none may */
static atomic_uint nr_calls;
static atomic_size_t nr_told;
static _Thread_local struct rng device_rng;

static int report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	static const int codes[] = { PFA_OK, PFA_OK, PFA_OK, PFA_EDEVICE };
	MUST(ctx == &mt);
	MUST(atomic_load(&allowed));
	atomic_fetch_add(&nr_calls, 1);
	for (unsigned i = 0; i < nr; i++)
		mt_own(&mt, runs[i].first, runs[i].nr_frames);
	if (rng_one_in(&device_rng, 4))
		sched_yield();
	for (unsigned i = 0; i < nr; i++)
		mt_disown(&mt, runs[i].first, runs[i].nr_frames);
	MUST(atomic_load(&allowed));
	int code = codes[rng_below(&device_rng, 4)];
	if (rng_one_in(&device_rng, 3))
		*out_done = (unsigned)rng_below(&device_rng, nr + 2);
	if (code == PFA_OK)
		atomic_fetch_add(&nr_told, nr);
	return code;
}

static void manager(struct mt_thread *t)
{
	struct pfa *p = mt.rig.pfa;
	for (size_t round = 0; round < t->nr_granted; round++) {
		const struct pfa_device device = {
			.size = sizeof(device), .report = report, .ctx = &mt, .delay_ns = PFA_EXPLICIT_0, .discards = 1,
			.capacity = 1 + (uint32_t)rng_below(&t->rng, 9), .min_order = 1 + (uint32_t)rng_below(&t->rng, 8),
		};
		int code;
		atomic_store(&allowed, true);
		while ((code = pfa_report_register(p, &device)) == PFA_EBUSY) /* a server looks whether there is anything to do */
			sched_yield();
		MUST_EQ(code, PFA_OK);
		for (unsigned i = 0; i < 4; i++) {
			code = pfa_report_flush(p);
			MUST(code == PFA_OK || code == PFA_EAGAIN || code == PFA_EDEVICE || code == PFA_EBUSY);
			sched_yield();
		}
		if (rng_one_in(&t->rng, 2)) {
			MUST_EQ(pfa_report_suspend(p), PFA_OK);
			atomic_store(&allowed, false);
			sched_yield();
			atomic_store(&allowed, true);
			while ((code = pfa_report_resume(p)) == PFA_EBUSY)
				sched_yield();
			MUST_EQ(code, PFA_OK);
		}
		sched_yield();
		MUST_EQ(pfa_report_unregister(p), PFA_OK);
		atomic_store(&allowed, false);
		struct pfa_violation v;
		if (pfa_check(p, PFA_CHECK_FRAMES, &v) != PFA_OK)
			rig_fail(__FILE__, __LINE__, "I%u %s, pfn %zu", v.invariant, v.what, v.pfn);
	}
	atomic_store(&mt.stop, true);
}

static void server(struct mt_thread *t)
{
	device_rng = t->rng;
	while (!atomic_load(&mt.stop)) {
		int code = pfa_service(mt.rig.pfa, 1 + (unsigned)rng_below(&t->rng, 8), NULL);
		MUST(code == PFA_OK || code == PFA_EAGAIN || code == PFA_EBUSY);
	}
}

static void churner(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		mt_move(&mt);
		if (rng_one_in(&t->rng, 2))
			(void)mt_take(t, rng_one_in(&t->rng, 3) ? (unsigned)rng_below(&t->rng, 9) : 0, (uint32_t)rng_below(&t->rng, 3));
		else if (t->nr_mine)
			mt_give(t, rng_below(&t->rng, t->nr_mine));
		if (rng_one_in(&t->rng, 100))
			MUST_EQ(pfa_cache_drain(mt.rig.pfa, PFA_ALL_CPUS), PFA_OK);
	}
	while (t->nr_mine)
		mt_give(t, 0);
}

/* ---- fork ---------------------------------------------------------------------------------------------------------- */

static pid_t child;
static unsigned nr_child_calls;

static int report_in_child(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)ctx, (void)runs, (void)out_done;
	nr_child_calls += nr;
	return PFA_OK;
}

static int fork_inside(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct pfa *p = mt.rig.pfa;
	struct pfa_violation v;
	struct pfa_zone_stats s;
	(void)ctx, (void)runs, (void)nr, (void)out_done;
	if (child)
		return PFA_OK;
	MUST_EQ(pfa_fork_prepare(p), PFA_OK);
	child = fork();
	MUST(child >= 0);
	if (child) {
		pfa_fork_parent(p);
		return PFA_OK;
	}
	pfa_fork_child(p, false);
	MUST_EQ(pfa_report_unregister(p), PFA_EINVAL);
	MUST_EQ(pfa_zone_stats_get(p, 0, &s, sizeof(s)), PFA_OK);
	MUST_EQ(s.held_report, 0);
	MUST_EQ(s.reported, 0);
	MUST_EQ(pfa_check(p, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v), PFA_OK);
	const struct pfa_device own = { .size = sizeof(own), .report = report_in_child };
	MUST_EQ(pfa_report_register(p, &own), PFA_OK);
	MUST_EQ(pfa_report_flush(p), PFA_OK);
	MUST(nr_child_calls > 0);
	MUST_EQ(pfa_report_unregister(p), PFA_OK);
	return PFA_OK; /* into the flush that the parent began */
}

static void forked(void)
{
	int status;
	child = 0;
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.flags = PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW; /* the device writes to frames that nobody has */
	rig_zone(&mt.rig, 0, FRAMES);
	mt_start(&mt);
	const struct pfa_device device = { .size = sizeof(device), .report = fork_inside, .capacity = 4 };
	MUST_EQ(pfa_report_register(mt.rig.pfa, &device), PFA_OK);
	int code = pfa_report_flush(mt.rig.pfa);
	if (child == 0) {
		struct pfa_violation v;
		MUST_EQ(pfa_check(mt.rig.pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v), PFA_OK);
		_exit(0);
	}
	MUST_EQ(code, PFA_OK);
	MUST_EQ(waitpid(child, &status, 0), child);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	MUST_EQ(pfa_report_unregister(mt.rig.pfa), PFA_OK);
	mt_stop(&mt);
}

/* ---- codes that take a second thread --------------------------------------------------------------------------------- */

static sem_t entered, leave;

static int block(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)ctx, (void)runs, (void)nr, (void)out_done;
	MUST_EQ(sem_post(&entered), 0);
	while (sem_wait(&leave))
		;
	return PFA_OK;
}

static void *flush(void *arg)
{
	struct pfa *p = arg;
	MUST_EQ(pfa_report_flush(p), PFA_OK);
	return NULL;
}

/* While a batch is out, where nothing can be waited for. */
static void busy(void)
{
	pthread_t thread;
	const struct pfa_device device = { .size = sizeof(device), .report = block, .capacity = PFA_REPORT_CAPACITY_LIMIT };
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.flags = PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW; /* the device writes to frames that nobody has */
	mt.rig.os.wait = NULL;
	rig_zone(&mt.rig, 0, 64); /* one batch */
	mt_start(&mt);
	struct pfa *p = mt.rig.pfa;
	MUST_EQ(sem_init(&entered, 0, 0), 0);
	MUST_EQ(sem_init(&leave, 0, 0), 0);
	EXPECT(pfa_report_register, PFA_OK, p, &device);
	MUST_EQ(pthread_create(&thread, NULL, flush, p), 0);
	while (sem_wait(&entered))
		;
	EXPECT(pfa_report_register, PFA_EBUSY, p, &device);
	EXPECT(pfa_report_flush, PFA_EBUSY, p);
	EXPECT(pfa_report_resume, PFA_EBUSY, p);
	EXPECT(pfa_report_suspend, PFA_EBUSY, p);
	EXPECT(pfa_report_unregister, PFA_EBUSY, p);
	MUST_EQ(pfa_service(p, 10, NULL), PFA_OK); /* somebody else does it */
	MUST_EQ(sem_post(&leave), 0);
	MUST_EQ(pthread_join(thread, NULL), 0);
	EXPECT(pfa_report_unregister, PFA_OK, p);
	mt_stop(&mt);
	rig_write_codes("test_mt_report");
}

int main(int argc, char **argv)
{
	static struct mt_thread threads[THREADS];
	static void (*const bodies[THREADS])(struct mt_thread *) = { manager, server, churner, churner, server, churner };
	const struct mt_options o = mt_options(argc, argv, 30);
	busy();
	forked();
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++) {
		mt_init(&mt, false, way);
		mt.rig.cfg.flags = PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW; /* the device writes to frames that nobody has */
		mt.rig.cfg.frame_shift = 8;
		rig_zone(&mt.rig, 7, FRAMES / 2);
		rig_zone(&mt.rig, 7 + FRAMES / 2, FRAMES / 2)->mark_low = 200;
		mt.rig.zones[1].mark_high = 300;
		mt_start(&mt);
		atomic_store(&allowed, false);
		atomic_store(&nr_told, 0);
		for (unsigned i = 0; i < THREADS; i++)
			threads[i] = (struct mt_thread){ .body = bodies[i], .nr_granted = o.rounds };
		mt_run(&mt, threads, THREADS, o.seed + way);
		MUST_EQ(atomic_load(&mt.nr_faults), 0);
		MUST(atomic_load(&nr_told) > 0);
		mt_stop(&mt);
	}
	printf("report: %u calls\n", atomic_load(&nr_calls));
	return 0;
}
