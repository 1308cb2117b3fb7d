/* SPDX-License-Identifier: MIT
 *
 * fork() at any moment of the others' work. The child has the instance, the frames and the oracles as they were, and none of
 * the other threads: it goes on alone, is judged like everybody, and ends. What it finds is a finding of its own; a parent
 * whose child does not end, or dies, has one too.
 */
#include "soak.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKER_STEPS 40u

/* Its own blocks, new ones, and the whole instance. Mailboxes are left alone: another thread may hold their mutex. */
static void forker_work(struct soak_slot *slot)
{
	struct pfa_violation v;
	struct pfa_zone_stats stats;
	for (unsigned i = 0; i < FORKER_STEPS; i++) {
		struct soak_grant grant;
		slot->cpu = soak_below(&slot->rng, soak.geo.config.nr_cpus + 1);
		if (soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
			soak_bag_put(slot, grant);
		if (soak_bag(slot)->nr && soak_chance(&slot->rng, 60))
			soak_give(slot, soak_bag_take(slot));
	}
	for (unsigned a = 0; a < soak_nr_actors; a++)
		soak_bag_empty(slot, a);
	soak_expect(slot, "pfa_cache_disable in a child", pfa_cache_disable(soak.pfa), PFA_OK);
	soak_expect(slot, "pfa_cache_enable in a child", pfa_cache_enable(soak.pfa), PFA_OK);
	memset(&v, 0, sizeof(v));
	if (pfa_check(soak.pfa, PFA_CHECK_FRAMES, &v) != PFA_OK)
		soak_fail("check", "in a child: %s (I%u) in zone %u at pfn %zu: expected %zu, actual %zu", v.what, v.invariant,
		          v.zone, v.pfn, v.expected, v.actual);
	for (unsigned zone = 0; zone < soak.geo.config.nr_zones; zone++) {
		soak_expect(slot, "pfa_zone_stats_get in a child",
		            pfa_zone_stats_get(soak.pfa, zone, &stats, sizeof(stats)), PFA_OK);
		soak_conservation(&stats, zone);
	}
}

static _Noreturn void forker_child(struct soak_slot *slot, bool hangs, bool spoils)
{
	double limit_s = soak.opt.watchdog_s / 2;
	alarm(limit_s < 1 ? 1 : (unsigned)limit_s); /* before the watchdog sees that the parent waits */
	for (unsigned i = 0; i < soak.nr_slots; i++)
		if (&soak.slots[i] != slot)
			atomic_store(&soak.slots[i].state, SOAK_SLOT_GONE);
	while (hangs)
		pause();
	if (spoils && soak_bag(slot)->nr)
		*(unsigned char *)soak_frame(soak_bag(slot)->grants[0].first) ^= 1;
	forker_work(slot);
	_exit(0);
}

static void forker_wait(struct soak_slot *slot, pid_t pid)
{
	int status = 0;
	pid_t got;
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got != pid)
		soak_fail("fork", "waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		soak_fail("fork", "the child of thread %u was killed by signal %d%s", slot->id, WTERMSIG(status),
		          WTERMSIG(status) == SIGALRM ? ": it did not end" : "");
	if (WEXITSTATUS(status) == 1)
		_exit(1); /* it has reported */
	if (WEXITSTATUS(status) != 0)
		soak_fail("fork", "the child of thread %u ended with %d", slot->id, WEXITSTATUS(status));
}

static void forker_step(struct soak_slot *slot, void *state)
{
	bool hangs = soak_canary(SOAK_CANARY_fork), spoils;
	struct soak_grant grant;
	struct soak_record *record;
	pid_t pid;
	(void)state;
	/* something of its own to lose */
	if (soak_take(slot, soak_order(slot), soak_flags(slot), &grant))
		soak_bag_put(slot, grant);
	spoils = soak_bag(slot)->nr && soak_canary(SOAK_CANARY_inherit);
	record = soak_record(slot, SOAK_OP_fork, 0, 0, 0);
	pid = fork();
	if (pid == 0)
		forker_child(slot, hangs, spoils);
	if (pid < 0) {
		soak_recorded(record, PFA_ENOMEM);
		return;
	}
	atomic_store_explicit(&record->a, (uintptr_t)pid, memory_order_relaxed);
	forker_wait(slot, pid);
	soak_recorded(record, PFA_OK);
	soak_count(&soak_tally(slot)->checks, 1);
}

const struct soak_actor soak_actor_forker = {
	.name = "forker",
	.weight = 1,
	.bag_cap = 16,
	.step = forker_step,
};
