/* SPDX-License-Identifier: MIT
 *
 * exec.c - see exec.h. The world that an instance lives in (platform ops with their contracts), its beginning and end,
 * and the loop over the steps.
 */
#include "exec_contig.h"
#include "exec_movable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

struct exec_run exec_one;

/* ---- findings ---------------------------------------------------------------------------------------------------- */

static uint32_t exec_hash_text(uint32_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

static const char *exec_op_name(const struct exec_run *run)
{
	if (!run->p || run->step.index == SIZE_MAX)
		return "init";
	if (run->step.index >= run->p->nr_ops)
		return "teardown";
	return prog_kind(run->p->ops[run->step.index].kind)->name;
}

bool exec_say(struct exec_run *run, const struct verdict *v)
{
	static const struct verdict overran = { .monitor = "I13 work", .expected = EXEC_WORK_MAX, .actual = EXEC_WORK_MAX + 1u,
	                                        .what = "a call does not end: locks taken and questions asked in it" };
	struct finding *f = &run->r->finding;

	if (run->overran) /* whatever else is said follows from it */
		v = &overran;
	run->r->outcome = EXEC_FINDING;
	f->verdict = *v;
	f->step = run->step.index;
	f->op = exec_op_name(run);
	snprintf(f->text, sizeof(f->text), "%s: %s (pfn %zu, expected %zu, actual %zu)", v->monitor, v->what,
	         (size_t)v->pfn, v->expected, v->actual);
	const uint32_t hash = exec_hash_text(exec_hash_text(exec_hash_text(2166136261u, v->monitor), "/"), f->op);
	snprintf(f->id, sizeof(f->id), "%08x", (unsigned)hash);
	return false;
}

bool exec_fail(struct exec_run *run, const char *monitor, const char *what, pfa_pfn pfn, size_t expected,
               size_t actual)
{
	size_t index;
	const struct verdict v = { monitor, what, model_zone_of(&run->m, pfn, &index), pfn, expected, actual };

	return exec_say(run, &v);
}

/* ---- the platform ------------------------------------------------------------------------------------------------ */

static uint32_t exec_cpu(const struct exec_run *run)
{
	return run->p->config.cpu_way == PROG_CPU_NONE ? 0 : run->cpu[run->thread];
}

uint32_t exec_cpu_bit(const struct exec_run *run)
{
	const uint32_t cpu = exec_cpu(run);
	return cpu < run->m.nr_cpus ? UINT32_C(1) << cpu : 0;
}

void exec_work(struct exec_run *run)
{
	if (++run->work <= EXEC_WORK_MAX || !run->jump_armed)
		return;
	run->overran = true;
	run->contract = "a call does not end";
	run->told.code = PFA_ESTOP;
	longjmp(run->jump, 1);
}

bool exec_site_fails(struct exec_run *run, enum prog_site site)
{
	if (!run->fault[site].armed)
		return false;
	if (run->fault[site].at > 1) {
		run->fault[site].at--;
		return false;
	}
	if (!run->fault[site].sticky && --run->fault[site].times == 0)
		run->fault[site].armed = false;
	return true;
}

static uint32_t exec_platform_cpu(void *ctx)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;

	exec_work(run);
	if (run->setup.cfg.cpu_offset)
		run->contract = "the cpu op was called though config.cpu_offset is set";
	return exec_site_fails(run, PROG_SITE_CPU) ? run->m.nr_cpus + 7u : run->cpu[run->thread];
}

static uint32_t exec_platform_self(void *ctx)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;

	return run->thread + (exec_site_fails(run, PROG_SITE_SELF) ? 100u : 1u);
}

/* One thread: whoever waits, waits for ever. */
static int exec_on_wait(struct pfa_sim *sim, const void *addr, uint32_t value, uint64_t until_ns)
{
	(void)sim;
	(void)addr;
	(void)value;
	(void)until_ns;
	return PFA_EDEADLK;
}

static int exec_platform_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	struct pfa_sim *sim = ctx;
	(void)value;
	exec_work(sim->ctx);
	return exec_site_fails(sim->ctx, PROG_SITE_WAIT) ? PFA_EDEADLK : exec_on_wait(sim, addr, value, until_ns);
}

static void exec_platform_zero(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;
	const struct setup *s = &run->setup;

	if (exec_mov.contig) /* it has what it wants: its last move has ended */
		(void)exec_contig_settle(run, exec_mov.contig);
	run->zeroed_first = first;
	run->zeroed_nr = nr_frames;
	if (!run->in_zero)
		run->contract = "the zero op was called though no request for zeroed frames is in flight";
	const uintptr_t expected = s->cfg.pool ? (uintptr_t)s->cfg.pool + (first - s->cfg.pool_pfn) * s->frame_bytes : 0;
	if ((uintptr_t)ptr != expected)
		run->contract = "the zero op was told another address than the first frame's";
	for (size_t i = 0; i < nr_frames; i++) {
		size_t index;
		if (model_zone_of(&run->m, first + i, &index) == run->m.nr_zones || run->m.state[index] != MODEL_FREE) {
			run->contract = "the zero op was told of a frame that is not being granted";
			return;
		}
		run->zeroed_again += run->m.zero[index];
		run->m.zero[index] = 1;
	}
	if (s->content && !run->contract) {
		arena_unpoison(ptr, nr_frames * s->frame_bytes);
		memset(ptr, 0, nr_frames * s->frame_bytes);
	}
}

static void exec_platform_fatal(void *ctx, const struct pfa_fault *fault)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;

	if (fault->kind == PFA_FAULT_WRITTEN_AFTER_FREE && run->nr_written < EXEC_POKES) {
		/* may be met by what compacts for a call, too, which then tells nothing else of it */
		run->written[run->nr_written].pfn = fault->pfn;
		run->written[run->nr_written++].order = fault->order;
	} else {
		++*exec_mov_nr_told(run);
		run->told = *fault;
	}
	if (fault->size != sizeof(*fault) || !fault->message || !*fault->message || strchr(fault->message, '\n') ||
	    !fault->function || strncmp(fault->function, "pfa_", 4) != 0 || fault->kind <= PFA_FAULT_NONE ||
	    fault->kind >= PFA_FAULT_KINDS)
		run->contract = "a fault is not fully told: size, kind, one-line message and function";
	if (fault->code == PFA_ECORRUPT && (fault->kind != PFA_FAULT_WRITTEN_AFTER_FREE || !exec_is_poked(run, fault->pfn)))
		run->contract = "corruption was met";
	exec_judge_told(run, fault);
	run->told.message = NULL; /* valid during this call only */
	run->told.function = NULL;
	run->told.history = NULL;
	if (run->p->config.abort_policy && run->jump_armed)
		longjmp(run->jump, 1);
}

/* ---- begin, end -------------------------------------------------------------------------------------------------- */

bool exec_begin(struct exec_run *run)
{
	const struct pfa_config *cfg = &run->setup.cfg;
	enum pfa_config_problem problem = PFA_CONFIG_PROBLEMS;
	unsigned index = 0;

	run->disabled = 0;
	run->have_stats = false;
	run->contract = NULL;
	run->cpus_used = run->cpus_active = run->cpus_filled = 0;
	run->quiet = 0;
	run->quiet_broken = true;
	run->nr_tokens = 0;
	run->events_known = true;
	run->too_soon = false;
	run->guards_on = 0;
	run->nr_poked = run->nr_written = 0;
	run->corrupt = 0;
	setup_wipe_pool(&run->setup);
	exec_movable_begin(run);
	if (!model_init(&run->m, cfg))
		return exec_fail(run, "harness", "the configuration does not fit the model", 0, 0, 1);
	memset(run->content, 0, run->m.nr_frames);
	memset(run->guarded, 0, run->m.nr_frames);
	run->m.has_types = !(run->ops->lacks & SUT_NO_TYPES);
	const int code = run->ops->create(cfg, &run->sut, &problem, &index);
	const bool too_high = SIZE_MAX == UINT32_MAX && code == PFA_EINVAL && problem == PFA_CONFIG_SPAN;
	if (code == PFA_ENOTSUP || too_high) {
		/* Larger than the harness cares to give memory for; or pfns beyond what a 32-bit instance can have. */
		run->r->outcome = EXEC_REFUSED;
		run->sut = NULL;
		return false;
	}
	if (code != PFA_OK || problem != PFA_CONFIG_FINE) {
		run->sut = NULL;
		return exec_fail(run, "model config", "a valid configuration is refused (code, problem)", 0,
		                 (size_t)(unsigned)-code, problem);
	}
	if (!exec_cma_begin(run))
		return false;
	if (run->ops->on_unlock)
		run->ops->on_unlock(run->sut, exec_unlocked, run);
	memset(&run->totals, 0, sizeof(run->totals));
	run->told_misuses = 0;
	if (!exec_refresh(run))
		return false;
	memcpy(run->before, run->now, sizeof(run->now[0]) * run->m.nr_zones);
	if (run->p->config.check != PROG_CHECK_FULL)
		return true; /* the checks that follow see what is wrong from the beginning */
	run->initial_hash = exec_census(run);
	return exec_check_full(run);
}

static void exec_prepare(struct exec_run *run, const struct program *p, const struct exec_options *o,
                         struct exec_result *out)
{
	memset(out, 0, sizeof(*out));
	run->p = p;
	run->o = o;
	run->r = out;
	run->ops = o->sut ? o->sut : &sut_pfa;
	run->sut = NULL;
	run->thread = 0;
	setup_cpu = 0;
	run->in_zero = run->jump_armed = run->must_be_unchanged = run->overran = false;
	run->any_highatomic = run->stale = run->made = false;
	run->unlocks = 0;
	run->threads_known = true;
	run->in_fini = false;
	run->step = (struct exec_step){ .index = SIZE_MAX };
	memset(&run->asked, 0, sizeof(run->asked));
	memset(run->cpu, 0, sizeof(run->cpu));
	memset(run->fault, 0, sizeof(run->fault));
	memset(run->handle, 0, sizeof(run->handle[0]) * p->nr_ops);
	pfa_sim_init(&run->sim, p->config.seed);
	pfa_sim_platform(&run->sim, &run->platform);
	run->sim.ctx = run;
	run->platform.cpu = exec_platform_cpu;
	run->platform.self = exec_platform_self;
	run->platform.wait = exec_platform_wait;
	run->platform.zero = exec_platform_zero;
	run->platform.fatal = exec_platform_fatal;
	exec_harden_prepare(run);
	setup_make(&run->setup, &p->config, run->ops->lacks, &run->platform);
	if (o->moves && !p->config.owners && !p->config.huge && p->config.seed % 16 != 15)
		run->setup.cfg.max_owners = 1 + p->config.seed % PROG_OWNERS_MAX;
	for (unsigned i = 0; i < run->setup.cfg.nr_zones; i++)
		run->any_highatomic |= run->setup.zones[i].highatomic_frames != 0;
	run->window.first = prog_span_start(&p->config);
	run->window.nr_frames = prog_span_end(&p->config) - prog_span_start(&p->config);
	run->tracks_zero = p->config.zeroed_pool && p->config.cache_high == PROG_CACHE_NONE && !p->config.quarantine &&
	                   !p->config.poison;
	run->rests_known = true;
	/* The longest loops under a zone lock are over what is moved between a cache and its zone; those over whole runs
	 * of frames add theirs when they are called. */
	run->steps_bound = (p->config.cache_high && p->config.cache_high != PROG_CACHE_NONE ? p->config.cache_high : 512) + 2;
	if (p->config.hardening == 3) /* a slot is filled up by more than a batch, and each block may be in another leaf */
		run->steps_bound *= 2;
	run->steps_bound += p->config.quarantine ? 64 + 16 : 0; /* the longest here, and what it may hold besides (config.h) */
}

/* Illegal calls from the state that a step left. The state is then as it was. */
static bool exec_volleys(struct exec_run *run)
{
	const struct exec_step step = run->step;

	if (run->stale) {
		if (!exec_refresh(run))
			return false;
		memcpy(run->before, run->now, sizeof(run->now[0]) * run->m.nr_zones);
	}
	if (!run->have_digest || !run->must_be_unchanged) /* else it was just compared, and is that of the state now */
		run->digest = exec_digest(run);
	run->have_digest = true;
	run->asked.asked = false;
	for (unsigned i = 0; i < run->o->volley; i++) {
		run->nr_told = 0;
		if (!exec_volley(run, i))
			return false;
	}
	if (run->contract)
		return exec_fail(run, "contract platform", run->contract, 0, 0, 1);
	if (!exec_refresh(run) || !exec_unchanged(run) || !exec_judge_totals(run))
		return false;
	run->step = step;
	return true;
}

/* What a step asks of the oracles when only the touched is checked. */
enum exec_weight {
	EXEC_NOTHING, /* no call into the allocator */
	EXEC_FREES,   /* its counters are looked at with the next step that needs them */
	EXEC_ALL
};

static enum exec_weight exec_weigh(const struct exec_run *run, unsigned kind, unsigned index)
{
	if (run->o->moves || run->p->config.check == PROG_CHECK_FULL || index % 16 == 15 || run->disabled || run->contract)
		return EXEC_ALL;
	switch (kind) {
	case OP_SET_CPU: case OP_WINDOW: case OP_WINDOW_DEAD: case OP_CLOCK_ADVANCE: case OP_FAULT: case OP_FILL: case OP_VERIFY: case OP_NAMES:
	case OP_PTR_OF: case OP_REGIONS: case OP_ON_UNLOCK:
		return EXEC_NOTHING;
	case OP_FREE: case OP_FREE_BULK: case OP_FREE_PART: case OP_FREE_PTR: case OP_FREE_CHECKED: case OP_SPLIT:
		return EXEC_FREES;
	default:
		return EXEC_ALL;
	}
}

/* May this operation put something into the cache of its cpu? */
static bool exec_may_fill(unsigned kind)
{
	switch (prog_kind(kind)->group) {
	case PROG_GROUP_QUERY: case PROG_GROUP_CACHE: case PROG_GROUP_CPU: case PROG_GROUP_SERVICE: case PROG_GROUP_CONTENT:
	case PROG_GROUP_FAULT: case PROG_GROUP_CHECK:
		return false;
	default:
		return true;
	}
}

void exec_at_cpu(struct exec_run *run)
{
	setup_cpu = run->cpu[run->thread];
	run->m.cpu = run->disabled ? UINT32_MAX : exec_cpu(run);
	run->cpus_used |= exec_cpu_bit(run);
}

bool exec_step_counts(struct exec_run *run, const struct prog_op *op)
{
	uint64_t hash = run->r->trace_hash;

	if (run->o->on_step)
		run->o->on_step(run->o->ctx, run->p, &run->step);
	if (run->step.skipped) {
		run->r->skipped++;
		return false;
	}
	run->r->steps++;
	hash = exec_mix(hash, (uint64_t)op->kind << 32 | (uint32_t)run->step.code);
	hash = exec_mix(hash, run->step.has_pfn ? run->step.pfn : 0);
	run->r->trace_hash = exec_mix(hash, (uint64_t)run->step.value << 8 | (uint64_t)run->step.fault);
	return true;
}

static bool exec_step_one(struct exec_run *run, unsigned index)
{
	const struct prog_op *op = &run->p->ops[index];
	const enum exec_weight weight = exec_weigh(run, op->kind, index);

	run->step = (struct exec_step){ .index = index };
	run->asked.compacted = false;
	exec_pass_begins();
	run->asked.refused_inside = run->asked.drains_inside = 0;
	run->asked.asked = run->asked.granted = run->asked.single = run->asked.would_asked = false;
	run->must_be_unchanged = false;
	run->touched_first = SIZE_MAX;
	run->touched_end = 0;
	run->nr_told = 0;
	run->quiet_broken |= op->kind != OP_SERVICE && op->kind != OP_CLOCK_ADVANCE;
	run->thread = op->thread;
	run->m.tag = index + 1;
	run->m.thread = op->thread + 1u;
	exec_at_cpu(run);
	run->too_soon = false;
	if (exec_may_fill(op->kind) || (op->kind == OP_SERVICE && run->setup.cfg.max_owners)) /* owners free what they like */
		run->cpus_filled |= exec_cpu_bit(run);
	run->have_digest = run->o->prove_unchanged && op->kind >= OP_FREE_WRONG_ORDER;
	if (run->have_digest)
		run->digest = exec_digest(run);
	if (weight == EXEC_ALL && run->stale) {
		if (!exec_refresh(run))
			return false;
		memcpy(run->before, run->now, sizeof(run->now[0]) * run->m.nr_zones);
	}
	if (!exec_operation(run, op, index))
		return false;
	if (!exec_step_counts(run, op))
		return true;
	if (weight == EXEC_NOTHING)
		return true;
	if (weight == EXEC_FREES && run->ops->check_range) {
		run->stale = true;
		return exec_check_touched(run) && (run->o->volley == 0 || exec_volleys(run));
	}
	if (!exec_after_step(run, index, false))
		return false;
	memcpy(run->before, run->now, sizeof(run->now[0]) * run->m.nr_zones);
	return (run->o->volley == 0 || exec_volleys(run)) && exec_made_volleys(run);
}

static void exec_end(struct exec_run *run)
{
	if (run->sut)
		run->ops->abandon(run->sut);
	run->sut = NULL;
	real_drop();
	if (run->setup.content && run->setup.zero == SETUP_ZERO_OP)
		arena_unpoison(run->setup.content, run->setup.content_bytes);
}

enum exec_outcome exec_run(const struct program *p, const struct exec_options *o, struct exec_result *out)
{
	struct exec_run *run = &exec_one;
	bool fine;

	if (o->real)
		return real_exec_run(run, p, o, out);
	exec_prepare(run, p, o, out);
	fine = exec_begin(run);
	for (unsigned i = 0; fine && i < p->nr_ops && i < o->stop_before; i++)
		fine = exec_step_one(run, i);
	if (o->keep)
		return out->outcome;
	if (fine) {
		run->step = (struct exec_step){ .index = p->nr_ops };
		run->must_be_unchanged = false;
		run->asked.asked = false;
		fine = exec_after_step(run, p->nr_ops, true) && exec_teardown(run);
	}
	if (run->have_stats)
		for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
			out->trace_hash = exec_mix(out->trace_hash, run->now[zone].nr_direct + (run->now[zone].nr_refill << 20) +
			                                            ((uint64_t)run->now[zone].nr_flush << 40));
	exec_count_steps(out->steps);
	/* A finding's instance stays for exec_report(); the next run, or exec_drop(), ends it. */
	if (out->outcome != EXEC_FINDING)
		exec_end(run);
	return out->outcome;
}

void exec_drop(void)
{
	exec_end(&exec_one);
}
