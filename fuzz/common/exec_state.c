/* SPDX-License-Identifier: MIT
 *
 * exec_state.c - the operations on the instance as a whole: queries, caches, time, content, faults and its end.
 */
#include "exec_ops.h"
#include "model_contig.h"

/* ---- queries ----------------------------------------------------------------------------------------------------- */

/* Is nothing cached in any zone that the request may use? Then the model knows what the zones hold. */
static bool state_nothing_cached(const struct exec_run *run, const struct request *r)
{
	const unsigned last = r->flags & PFA_EXACT_ZONE ? PFA_ZONE_OF(r->flags) + 1 : run->m.nr_zones;
	for (unsigned zone = PFA_ZONE_OF(r->flags); zone < last; zone++)
		if (run->now[zone].cached || run->now[zone].quarantined)
			return false;
	return run->have_stats;
}

bool exec_largest_free(struct exec_run *run, uint32_t flags)
{
	const struct request r = request_block(0, flags);
	unsigned order = 99;
	int least, most, code;

	EXEC_CALL(run, code, run->ops->largest_free(run->sut, flags, &order));
	run->step.code = code;
	run->step.value = order;
	run->must_be_unchanged = true;
	if (code != PFA_OK && code != PFA_ENOMEM && !(model_request_codes(&run->m, &r) & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code may not come back", 0, 0, (size_t)(unsigned)-code);
	if (code != PFA_OK && code != PFA_ENOMEM)
		return true;
	if (!run->have_stats)
		return true;
	if (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	model_largest(&run->m, flags, run->now, &least, &most);
	const int found = code == PFA_OK ? (int)order : -1;
	if (state_nothing_cached(run, &r))
		most = least;
	if (found < least || found > most)
		return exec_fail(run, "query largest", "the largest order that a request could get now", 0,
		                 (size_t)(found < least ? least : most), (size_t)found);
	return true;
}

bool exec_would_succeed(struct exec_run *run, const struct request *r)
{
	int code;
	bool fits = false;

	EXEC_CALL(run, code, run->ops->would_succeed(run->sut, r->order, r->flags));
	run->step.code = code;
	run->must_be_unchanged = true;
	if (!((model_request_codes(&run->m, r) & ~MODEL_CODE(PFA_EAGAIN)) & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code may not come back", 0, 0, (size_t)(unsigned)-code);
	if (!run->have_stats || (code != PFA_OK && code != PFA_ENOMEM))
		return true;
	if (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	const bool must = model_must_succeed(&run->m, r, true, run->now);
	for (unsigned zone = 0; zone < run->m.nr_zones && !fits; zone++) {
		pfa_pfn pfn;
		fits = model_fits(&run->m, r, zone, &pfn);
	}
	if (must && code != PFA_OK)
		return exec_fail(run, "query would", "a request that must succeed is said to fail", 0, 0, 1);
	if (code == PFA_OK && (!fits || (!must && state_nothing_cached(run, r))))
		return exec_fail(run, "query would", "a request that must fail is said to succeed", 0, 1, 0);
	return true;
}

/* ---- caches, cpus, time ------------------------------------------------------------------------------------------ */

static bool state_nothing_left_cached(struct exec_run *run)
{
	if (!exec_refresh(run))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++)
		if (run->now[zone].cached || run->now[zone].quarantined)
			return exec_fail(run, "I7 cached", "frames are still cached or in quarantine after all caches were drained", 0, 0,
			                 run->now[zone].cached + run->now[zone].quarantined);
	return true;
}

bool exec_drain(struct exec_run *run, uint64_t arg)
{
	const uint32_t cpu = arg == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)arg;
	const bool bad = cpu != PFA_ALL_CPUS && cpu >= run->m.nr_cpus;
	int code;

	model_forget_frees(&run->m);
	EXEC_CALL(run, code, run->ops->cache_drain(run->sut, cpu));
	if (!exec_expect_code(run, bad ? PFA_EINVAL : PFA_OK, code))
		return false;
	if (code != PFA_OK)
		return true;
	run->cpus_filled &= cpu == PFA_ALL_CPUS ? 0 : ~(UINT32_C(1) << cpu);
	return run->cpus_filled || state_nothing_left_cached(run); /* other cpus may hold something */
}

bool exec_purge(struct exec_run *run, pfa_pfn pfn)
{
	struct pfa_pageblock_info info;
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	size_t index, unowned = 0;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	int code;

	model_forget_frees(&run->m);
	EXEC_CALL(run, code, run->ops->cache_purge(run->sut, pfn));
	if (!exec_expect_code(run, zone == run->m.nr_zones ? PFA_ERANGE : PFA_OK, code))
		return false;
	if (code != PFA_OK || !run->ops->pageblock_info)
		return true;
	if (run->ops->pageblock_info(run->sut, pfn, &info) != PFA_OK)
		return exec_fail(run, "model code", "pageblock_info of a pfn in a zone fails", pfn, 0, 1);
	for (pfa_pfn at = pfn / pb * pb; at < pfn / pb * pb + pb; at++)
		if (model_zone_of(&run->m, at, &index) == zone)
			unowned += run->m.state[index] == MODEL_FREE;
	if (info.free != unowned)
		return exec_fail(run, "I7 purge", "frames of a purged pageblock are not free", pfn, unowned, info.free);
	return true;
}

bool exec_switch(struct exec_run *run, bool disable)
{
	int code;

	model_forget_frees(&run->m);
	if (disable) {
		EXEC_CALL(run, code, run->ops->cache_disable(run->sut));
		if (!exec_expect_code(run, PFA_OK, code))
			return false;
		run->disabled++;
		run->cpus_filled = 0;
		return state_nothing_left_cached(run);
	}
	EXEC_CALL(run, code, run->ops->cache_enable(run->sut));
	if (!exec_expect_code(run, run->disabled ? PFA_OK : PFA_EINVAL, code))
		return false;
	run->disabled -= code == PFA_OK;
	return true;
}

static unsigned state_ones(uint32_t set)
{
	unsigned nr = 0;
	for (; set; set &= set - 1)
		nr++;
	return nr;
}

/* Service gives back what idle cpus hold: not what was used since the last visit, which was at the last call or before;
 * and all of it after two visits to a cpu that did nothing. */
static bool state_judge_service(struct exec_run *run, unsigned budget, int code, size_t drains)
{
	const uint32_t may = run->cpus_used & ~run->cpus_active;
	const bool whole = code == PFA_OK && budget >= run->m.nr_cpus;
	const bool first = run->quiet_broken;

	run->cpus_active = 0;
	run->quiet_broken = !whole;
	if (drains > state_ones(may))
		return exec_fail(run, "I7 service", "caches were drained whose cpus were active (drains, at most)", 0, state_ones(may),
		                 drains);
	if (!whole || (!first && run->sim.now_ns - run->quiet_ns <= PFA_SERVICE_IDLE_NS))
		return true;
	/* The first round of a quiet time may meet visits that are not due; each that follows comes when all are. */
	run->quiet = first ? 0 : run->quiet + 1;
	run->quiet_ns = run->sim.now_ns;
	if (run->quiet < 2 || !exec_refresh(run))
		return run->r->outcome == EXEC_FINE;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		if (run->now[zone].cached || run->now[zone].quarantined)
			return exec_fail(run, "I7 service", "frames are cached or in quarantine after two whole rounds in which all cpus were idle",
			                 0, 0, run->now[zone].cached + run->now[zone].quarantined);
	return true;
}

bool exec_service(struct exec_run *run, unsigned budget)
{
	struct pfa_stats was = { .nr_drain = 0 }, is = was;
	uint64_t next = 0;
	int code;

	if (run->ops->stats && run->ops->stats(run->sut, &was, sizeof(was)) != PFA_OK)
		return exec_fail(run, "model code", "stats of an instance fails", 0, 0, 1);
	if (run->p->config.hardening >= 2) /* the scrubber's share */
		exec_allow_steps(run, (size_t)PFA_SCRUB_PAGEBLOCKS << run->setup.cfg.pageblock_order);
	model_forget_frees(&run->m);
	EXEC_CALL(run, code, run->ops->service(run->sut, budget, budget & 1 ? &next : NULL));
	run->step.code = code;
	if (code != PFA_OK && code != PFA_EAGAIN)
		return exec_fail(run, "model code", "service may be idle or have more to do, nothing else", 0, 0,
		                 (size_t)(unsigned)-code);
	if (code == PFA_OK && (budget & 1) && next <= run->sim.now_ns)
		return exec_fail(run, "contract service", "idle, but the time of the next call is not in the future", 0,
		                 (size_t)run->sim.now_ns, (size_t)next);
	if (!run->ops->stats || !run->have_stats)
		return true;
	if (run->ops->stats(run->sut, &is, sizeof(is)) != PFA_OK)
		return exec_fail(run, "model code", "stats of an instance fails", 0, 0, 1);
	return state_judge_service(run, budget, code, is.nr_drain - was.nr_drain - run->asked.drains_inside);
}

/* ---- content and faults ------------------------------------------------------------------------------------------ */

bool exec_content(struct exec_run *run, const struct exec_handle *h, bool fill, uint64_t number)
{
	uint32_t node = h->first;

	for (uint32_t i = 0; i < h->nr; i++, node = run->next[node]) {
		const size_t nr = (size_t)1 << run->order_of[node];
		if (!exec_verify_stamps(run, run->pfn_of[node], nr))
			return false;
		if (fill && !exec_stamp(run, run->pfn_of[node], nr, (uint32_t)(0xF1110000u + number)))
			return false;
	}
	return true;
}

void exec_fault(struct exec_run *run, const struct prog_op *op)
{
	const size_t site = (size_t)op->arg[0] % (sizeof(run->fault) / sizeof(run->fault[0]));

	run->fault[site].at = op->arg[1];
	run->fault[site].times = op->arg[2];
	run->fault[site].sticky = op->arg[2] == 0;
	run->fault[site].armed = true;
	run->rests_known = false; /* on which cpu a free is meant to be is not known any more */
	run->threads_known &= site != PROG_SITE_SELF;
}

bool exec_fini(struct exec_run *run)
{
	size_t owned = 0;
	int code;

	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		owned += run->m.zone[zone].owned;
	run->logged = run->logged_frames = 0;
	run->in_fini = true;
	EXEC_CALL(run, code, run->ops->fini(run->sut));
	run->in_fini = false;
	const bool held = model_any_held(&run->m);
	if (!exec_expect_code(run, owned || held ? PFA_EBUSY : PFA_OK, code) || !exec_judge_logged(run, owned))
		return false;
	if (owned || held)
		return true;
	run->ops->abandon(run->sut);
	run->sut = NULL;
	for (unsigned i = 0; i < run->p->nr_ops; i++) /* the next instance's generations begin anew */
		run->handle[i].has_token = false;
	return exec_begin(run);
}
