/* SPDX-License-Identifier: MIT
 *
 * A storm of signals while threads do everything: each thread is interrupted at any instruction, also while it waits, and
 * its handler asks what may be asked from a handler (lib/docs/locking.md).
 */
#include "mt.h"

#include <pfa/harden.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { WORKERS = 3, THREADS = WORKERS + 1 };

static struct mt *storm_mt;
static struct mt_thread storm_threads[THREADS];
static atomic_bool ready[THREADS];
static atomic_size_t nr_steps;
static atomic_size_t nr_handled, nr_in_calls;
static unsigned nr_signals;
static _Thread_local volatile sig_atomic_t in_call; /* the thread is within a step */

static void count_region(void *ctx, const struct pfa_region *region)
{
	*(size_t *)ctx += region->bytes;
}

/* Only failures leave it: rig_fail() prints and ends the program. errno is the interrupted code's, as in every handler. */
static void on_signal(int signal)
{
	const int saved = errno;
	struct rig *rig = &storm_mt->rig;
	const struct pfa_zone_config *z = &rig->zones[1];
	struct pfa_stats stats;
	struct pfa_event events[4];
	char text[128];
	pfa_pfn pfn = z->start + z->nr_frames / 2, again;
	void *ptr;
	size_t nr = 0;
	(void)signal;
	MUST_EQ(pfa_stats_get(rig->pfa, &stats, sizeof(stats)), PFA_OK);
	MUST(stats.nr_zones == 2 && stats.nr_corrupt == 0);
	if (rig->pool_kind == RIG_POOL_CONTENT || rig_prot_none) {
		MUST_EQ(pfa_ptr(rig->pfa, pfn, &ptr), PFA_OK);
		MUST_EQ(pfa_pfn_of(rig->pfa, ptr, &again), PFA_OK);
		MUST_EQ(again, pfn);
	}
	MUST(pfa_frame_text(rig->pfa, pfn, text, sizeof(text)) > 5);
	int code = pfa_history(rig->pfa, pfn, events, 4, &nr);
	MUST_EQ(code, rig->cfg.history ? PFA_OK : PFA_ENOTSUP);
	for (size_t i = 0; i < nr; i++) {
		MUST(events[i].op > PFA_EVENT_NONE && events[i].op < PFA_EVENT_OPS);
		MUST(pfa_event_text(&events[i], text, sizeof(text)) > 5);
	}
	nr = 0;
	pfa_regions(rig->pfa, count_region, &nr);
	MUST(nr > 1000);
	MUST(strcmp(pfa_error_name(PFA_EBUSY), "PFA_EBUSY") == 0);
	(void)pfa_posix_set_tag(pfa_posix_set_tag(7));
	atomic_fetch_add_explicit(&nr_handled, 1, memory_order_relaxed);
	if (in_call)
		atomic_fetch_add_explicit(&nr_in_calls, 1, memory_order_relaxed);
	errno = saved;
}

static void work(struct mt_thread *t)
{
	atomic_store(&ready[t->index], true);
	for (unsigned round = 0; atomic_load(&nr_handled) < nr_signals; round++) {
		in_call = 1;
		mt_mix_step(t, round, false);
		in_call = 0;
		atomic_fetch_add(&nr_steps, 1);
	}
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
	/* Somebody may have been sent a signal, and must be there. */
	while (!atomic_load(&t->mt->stop))
		sched_yield();
}

/* As many as can be taken: what is sent while one is pending is lost. */
static void storm(struct mt_thread *t)
{
	for (unsigned i = 1; i < THREADS; i++)
		while (!atomic_load(&ready[i]))
			sched_yield();
	while (atomic_load(&nr_handled) < nr_signals) {
		for (unsigned i = 1; i < THREADS; i++)
			MUST_EQ(pthread_kill(storm_threads[i].thread, SIGUSR1), 0);
		if (rng_one_in(&t->rng, 4))
			sched_yield();
	}
	atomic_store(&t->mt->stop, true);
}

static void run(const struct mt_options *o, enum rig_cpu_way way)
{
	static struct mt mt;
	mt_init(&mt, way == RIG_CPU_OP, way);
	mt.rig.cfg.cache_high = 8;
	mt.rig.cfg.history = way == RIG_CPU_NONE ? 0 : 4;
	rig_zone(&mt.rig, 3, 3000)->highatomic_frames = 256;
	rig_zone(&mt.rig, 3003, 1500);
	mt_start(&mt);
	storm_mt = &mt;
	nr_signals = o->rounds / RIG_CPU_WAYS;
	atomic_store(&nr_steps, 0);
	atomic_store(&nr_handled, 0);
	atomic_store(&nr_in_calls, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		atomic_store(&ready[i], false);
		storm_threads[i] = (struct mt_thread){.body = i ? work : storm};
	}
	mt_run(&mt, storm_threads, THREADS, o->seed);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	size_t handled = atomic_load(&nr_handled), in_calls = atomic_load(&nr_in_calls);
	MUST(handled >= nr_signals && in_calls > 0);
	mt_stop(&mt);
	printf("cpu by %s: %zu signals handled, %zu of them within a call, during %zu steps of %d threads%s\n",
	       rig_cpu_way_names[way], handled, in_calls, atomic_load(&nr_steps), (int)WORKERS, rig_prot_none ? ", pool PROT_NONE" : "");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	const struct mt_options o = mt_options(argc, argv, 3000);
	MUST_EQ(sigemptyset(&action.sa_mask), 0);
	MUST_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
		run(&o, (enum rig_cpu_way)way);
	return 0;
}
