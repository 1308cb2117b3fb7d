/* SPDX-License-Identifier: MIT
 *
 * fork() at any moment of the others' work. The child has the instance, the frames and the oracles as they were, and none of
 * the other threads: it goes on alone, is judged like everybody, and ends. What it finds is a finding of its own; a parent
 * whose child does not end, or dies, has one too.
 */
#include "soak_movable.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKER_STEPS 40u

/* Movable blocks: page locks are free, whoever held them; the blocks can be moved and freed. Their content is not looked at, since a
 * thread that is not here may have been writing. */
static void forker_movable(struct soak_slot *slot)
{
	struct pfa_dest dest = {.size = sizeof(dest), .flags = PFA_MOVABLE};
	for (pfa_pfn pfn = soak.geo.base; pfn < soak.geo.base + soak.geo.span; pfn++) {
		struct pfa_movable_info info;
		if (pfa_movable_info(soak.pfa, pfn, &info) != PFA_OK || info.released)
			continue;
		soak_expect(slot, "pfa_page_lock in a child", pfa_page_lock(soak.pfa, pfn), PFA_OK);
		soak_cell_unlock(slot, pfn << 4);
	}
	for (uint32_t i = 0; soak_common.owner && i < soak_common.nr_cells; i++) {
		size_t at = soak_cell_at(&soak_common, i);
		pfa_pfn head = soak_cell_place(at);
		int result = PFA_OK;
		if (soak_cell_empty(at))
			continue;
		dest.mode = (enum pfa_migrate_mode)soak_below(&slot->rng, PFA_MIGRATE_MODES);
		soak_migrate(slot, &head, 1, &dest, &result);
		at = soak_cell_at(&soak_common, i);
		if (soak_cell_empty(at)) /* freed by an op */
			continue;
		soak_shadow_pass(slot, soak_cell_place(at), (size_t)1 << soak_cell_order(at), soak_cell_tag(&soak_common, i), 0);
		atomic_store(&soak_common.cells[i].at, SOAK_NOWHERE);
		soak_expect(slot, "a free of a movable block in a child",
		            pfa_free(soak.pfa, soak_cell_place(at), soak_cell_order(at)), PFA_OK);
	}
}

/* Its own blocks, new ones, and the whole instance. Mailboxes are left alone: another thread may hold their mutex. */
static void forker_work(struct soak_slot *slot)
{
	struct pfa_violation v;
	struct pfa_zone_stats stats;
	for (unsigned i = 0; i < FORKER_STEPS; i++) {
		struct soak_grant grant;
		slot->cpu = soak_below(&slot->rng, soak.geo.config.nr_cpus + 1);
		/* nothing may move but the scripted owner's blocks: other owners' locks may be those of threads that are not here */
		if (soak_take(slot, soak_order(slot), soak_flags(slot) & ~PFA_COMPACT, &grant))
			soak_bag_put(slot, grant);
		if (soak_bag(slot)->nr && soak_chance(&slot->rng, 60))
			soak_give(slot, soak_bag_take(slot));
	}
	forker_movable(slot);
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

/* Is the instance closed here? It must be if its frames are the parent's, or a thread that is not here was moving blocks, and only then. The counts are of calls that
 * may move: nobody can tell from outside whether they were about to. */
static bool forker_closed(struct soak_slot *slot, bool lies)
{
	struct pfa_stats stats;
	bool may = soak.geo.mapped, must = soak.geo.mapped;
	pfa_pfn pfn = 0;
	int rc = pfa_stats_get(soak.pfa, &stats, sizeof(stats));
	for (unsigned i = 0; i < soak.nr_slots; i++)
		may = may || (&soak.slots[i] != slot && atomic_load(&soak.slots[i].may_move));
	if (lies)
		rc = PFA_EBUSY;
	if (rc == PFA_OK && !must)
		return false;
	if (rc != PFA_ENOTSUP || !may)
		soak_fail("fork", "a child is told %s, and %s may have been moving blocks", pfa_error_name(rc),
		          may ? "another thread" : "nobody");
	soak_expect(slot, "pfa_alloc in a closed child", pfa_alloc(soak.pfa, 0, PFA_MOVABLE, &pfn), PFA_ENOTSUP);
	soak_expect(slot, "pfa_fini in a closed child", pfa_fini(soak.pfa), PFA_ENOTSUP);
	return true;
}

static _Noreturn void forker_child(struct soak_slot *slot, bool hangs, bool spoils, bool lies)
{
	double limit_s = soak.opt.watchdog_s / 2;
	alarm(limit_s < 1 ? 1 : (unsigned)limit_s); /* before the watchdog sees that the parent waits */
	soak.in_child = true;
	for (unsigned i = 0; i < soak.nr_slots; i++)
		if (&soak.slots[i] != slot)
			atomic_store(&soak.slots[i].state, SOAK_SLOT_GONE);
	soak_report_child();
	while (hangs)
		pause();
	if (spoils && soak_bag(slot)->nr)
		*(unsigned char *)soak_frame(soak_bag(slot)->grants[0].first) ^= 1;
	if (!forker_closed(slot, lies))
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
	bool hangs = soak_canary(SOAK_CANARY_fork), lies = soak_canary(SOAK_CANARY_closed), spoils;
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
		forker_child(slot, hangs, spoils, lies);
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
