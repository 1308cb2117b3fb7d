/* SPDX-License-Identifier: MIT
 *
 * Forks at random moments while other threads do everything. The child does everything, too, on what it inherited, and is
 * checked; one that hangs is killed by its alarm, and that is a failure.
 */
#include "mt.h"

#include <pfa/harden.h>

#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, CHILD_SECONDS = 120, CHILD_STEPS = 60 };

/* Asked by ThreadSanitizer alone: what a thread was writing without a lock (it served) is written anew in the child, where
 * that thread is not. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pfa_fork_child";
}

static unsigned nr_forks;
static unsigned nr_half_way; /* children that found a block being freed or split */

/* Exit code 0, or 1 where something was half-way. */
static _Noreturn void child(struct mt_thread *t)
{
	struct pfa *p = t->mt->rig.pfa;
	struct pfa_violation v;
	alarm(CHILD_SECONDS);
	/* Freed blocks and such that are being granted are nobody's in the map of owners, so that whatever is granted here
	 * and has an owner was granted twice. */
	for (unsigned i = 0; i < CHILD_STEPS; i++)
		mt_mix_step(t, i, true);
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
	MUST_EQ(pfa_cache_disable(p), PFA_OK);
	int err = pfa_check(p, PFA_CHECK_FRAMES, &v);
	if (err)
		rig_fail(__FILE__, __LINE__, "in the child: %s, pfn %zu: expected %zu, actual %zu", v.what, v.pfn, v.expected,
		         v.actual);
	MUST_EQ(pfa_cache_enable(p), PFA_OK);
	MUST_EQ(atomic_load(&t->mt->nr_faults), 0);
	err = pfa_check(p, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v);
	MUST(err == PFA_OK || v.invariant == 1);
	_exit(err == PFA_OK ? 0 : 3);
}

static void forks(struct mt_thread *t)
{
	for (unsigned i = 0; i < nr_forks; i++) {
		int status;
		for (size_t steps = rng_below(&t->rng, 20); steps; steps--)
			mt_mix_step(t, i, false);
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0)
			child(t);
		MUST_EQ(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3))
			rig_fail(__FILE__, __LINE__, "fork %u: the child %s %d", i,
			         WIFEXITED(status) ? "ended with" : "was killed by signal",
			         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		nr_half_way += WEXITSTATUS(status) == 3;
	}
	atomic_store(&t->mt->stop, true);
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
}

static void load(struct mt_thread *t)
{
	for (unsigned round = 0; !atomic_load(&t->mt->stop); round++)
		mt_mix_step(t, round, false);
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
}

static void run(const struct mt_options *o, enum rig_cpu_way way)
{
	static struct mt mt;
	static struct mt_thread threads[THREADS];
	size_t granted = 0;
	mt_init(&mt, way == RIG_CPU_OP, way);
	mt.rig.cfg.cache_high = 8;
	rig_zone(&mt.rig, 3, 3000)->highatomic_frames = 256;
	rig_zone(&mt.rig, 3003, 1500);
	mt_start(&mt);
	MUST_EQ(pfa_posix_fork_safe(mt.rig.pfa, false), PFA_OK);
	nr_forks = o->rounds / RIG_CPU_WAYS;
	nr_half_way = 0;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = (struct mt_thread){.body = i ? load : forks};
	mt_run(&mt, threads, THREADS, o->seed);
	for (unsigned i = 0; i < THREADS; i++)
		granted += threads[i].nr_granted;
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	MUST(granted > nr_forks);
	MUST_EQ(pfa_posix_fork_forget(mt.rig.pfa), PFA_OK);
	mt_stop(&mt);
	printf("%u forks, cpu by %s, while %zu blocks were granted; %u children found a block half-way%s\n", nr_forks,
	       rig_cpu_way_names[way], granted, nr_half_way, rig_prot_none ? ", pool PROT_NONE" : "");
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 450);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
		run(&o, (enum rig_cpu_way)way);
	return 0;
}
