/* SPDX-License-Identifier: MIT
 *
 * exec_ops.c - which code carries out an operation, and what all of them need: answers, arguments.
 */
#include "exec_ops.h"

/* ---- what must come back ----------------------------------------------------------------------------------------- */

bool exec_expect(struct exec_run *run, struct expectation e, int code, pfa_pfn pfn, bool pfn_known)
{
	run->step.code = code;
	if (code != e.code)
		return exec_fail(run, "model code", "the result code is not the one that must come back", pfn,
		                 (size_t)(unsigned)-e.code, (size_t)(unsigned)-code);
	if (code == PFA_EINVAL || code == PFA_EMISUSE)
		run->must_be_unchanged = true;
	run->told_misuses += code == PFA_EMISUSE;
	if (code == PFA_EMISUSE && !(run->ops->lacks & SUT_NO_KINDS)) {
		run->step.fault = run->nr_told ? run->told.kind : PFA_FAULT_NONE;
		if (run->nr_told != 1)
			return exec_fail(run, "contract fatal", "misuse is told to platform.fatal exactly once", pfn, 1,
			                 run->nr_told);
		if (!(e.kinds >> run->told.kind & 1u))
			return exec_fail(run, "model fault", "the kind of fault is not true of this call (set of true kinds)", pfn,
			                 e.kinds, (size_t)run->told.kind);
		if (pfn_known && run->told.pfn != pfn)
			return exec_fail(run, "contract fatal", "the fault names another pfn", pfn, pfn, run->told.pfn);
		return true;
	}
	if (run->nr_told)
		return exec_fail(run, "contract fatal", "platform.fatal was told of a call that was right (kind)", pfn, 0,
		                 (size_t)run->told.kind);
	return true;
}

bool exec_expect_code(struct exec_run *run, int expected, int code)
{
	return exec_expect(run, (struct expectation){ expected, 0 }, code, 0, false);
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

uint32_t exec_flags(const struct exec_run *run, uint64_t flags, uint64_t zone)
{
	const uint32_t all = prog_flags(flags, zone < run->m.nr_zones ? zone : 0);
	return run->ops->lacks & SUT_NO_FLAGS ? all & PFA_TYPE_MASK : all;
}

/* The steps that requests and frees of this size may take under one zone lock. */
void exec_allow_steps(struct exec_run *run, size_t nr)
{
	if (nr > run->steps_bound)
		run->steps_bound = nr;
}

struct pfa_run exec_run_of(const struct exec_run *run, uint64_t first, uint64_t nr)
{
	const pfa_pfn end = (pfa_pfn)prog_span_end(&run->p->config) + PROG_PFN_SLACK;
	if (nr == PROG_RUN_ALL || nr > end)
		nr = first < end ? end - first : 1;
	return (struct pfa_run){ (pfa_pfn)first, (size_t)nr };
}

bool exec_skip(struct exec_run *run)
{
	run->step.skipped = true;
	return true;
}

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

/* Has the allocator not the function that an operation is about? */
static bool ops_lacking(const struct sut_ops *o, unsigned kind)
{
	switch (kind) {
	case OP_ALLOC_BULK: return !o->alloc_bulk;
	case OP_FREE_BULK: return !o->free_bulk;
	case OP_ALLOC_EXACT: return !o->alloc_exact;
	case OP_FREE_RANGE:
	case OP_FREE_RANGE_PART: return !o->free_range;
	case OP_SPLIT: return !o->split;
	case OP_ALLOC_WINDOW: return !o->alloc_window;
	case OP_ALLOC_PTR: return !o->alloc_ptr || !o->pfn_of;
	case OP_FREE_PTR: return !o->free_ptr || !o->ptr;
	case OP_PTR_OF: return !o->ptr || !o->pfn_of;
	case OP_LARGEST_FREE: return !o->largest_free;
	case OP_WOULD_SUCCEED: return !o->would_succeed;
	case OP_CACHE_DRAIN: return !o->cache_drain;
	case OP_CACHE_PURGE:
	case OP_PURGE_DEAD: return !o->cache_purge;
	case OP_CACHE_DISABLE: return !o->cache_disable;
	case OP_CACHE_ENABLE: return !o->cache_enable;
	case OP_SERVICE: return !o->service;
	case OP_ALLOC_CHECKED: return !o->alloc_checked;
	case OP_ALLOC_GUARDED: return (o->lacks & SUT_NO_FLAGS) != 0;
	case OP_HANDLE_OF:
	case OP_HANDLE_OF_PFN: return !o->handle_of;
	case OP_FREE_CHECKED:
	case OP_FREE_STALE:
	case OP_FREE_FORGED: return !o->handle_of || !o->free_checked;
	case OP_HISTORY:
	case OP_HISTORY_FAR: return !o->history || !o->frame_text;
	case OP_TRACE: return !o->trace;
	case OP_REPAIR: return !o->repair;
	default: return false;
	}
}

/* Where a block was that its owner gave back: its pageblocks are where caches hold something, its frames where windows
 * begin and end in the middle of what is free. */
static bool exec_near_dead(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	const size_t nr = h->had ? (size_t)1 << h->had_order : 0;

	if (!h->had)
		return exec_skip(run);
	if (op->kind == OP_PURGE_DEAD)
		return exec_purge(run, h->had_pfn + (nr * (size_t)op->arg[1] >> 6));
	const pfa_pfn first = h->had_pfn + 4 - (size_t)op->arg[1], end = h->had_pfn + nr + (size_t)op->arg[2] - 4;
	if (h->had_pfn + 4 < op->arg[1] || h->had_pfn + nr + op->arg[2] < 4 || first >= end)
		return exec_skip(run);
	run->window = (struct pfa_run){ first, end - first };
	return true;
}

static bool exec_may_compact(const struct exec_run *run, const struct prog_op *op)
{
	const struct prog_kind_info *info = prog_kind(op->kind);

	for (unsigned i = 0; i < info->nr_args; i++)
		if (info->args[i].kind == PROG_ARG_FLAGS && (prog_flags(op->arg[i], 0) & PFA_COMPACT))
			return run->setup.cfg.max_owners != 0;
	return (op->kind == OP_SERVICE || op->kind == OP_COMPACT) && run->setup.cfg.max_owners != 0;
}

bool exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index)
{
	const uint64_t *a = op->arg;
	const struct prog_kind_info *info = prog_kind(op->kind);
	struct exec_handle *h = &run->handle[index];

	if (ops_lacking(run->ops, op->kind))
		return exec_skip(run);
	if (exec_may_compact(run, op))
		run->events_known = false; /* compaction takes destinations that it then does not use */
	if (info->group == PROG_GROUP_OWNERS || info->group == PROG_GROUP_TELL || info->group == PROG_GROUP_THREADS)
		return exec_skip(run); /* exec_real.h; fuzz/sched */
	if (info->group == PROG_GROUP_MOVE)
		return exec_movable(run, op);
	if (info->group == PROG_GROUP_CONTIG)
		return exec_contig(run, op, info->yields || op->ref == PROG_NO_REF ? h : &run->handle[op->ref]);
	if (info->group == PROG_GROUP_PLUG)
		return exec_plug(run, op, info->yields || op->ref == PROG_NO_REF ? h : &run->handle[op->ref]);
	if (info->yields)
		return exec_request(run, op, h);
	if (op->ref != PROG_NO_REF) {
		h = &run->handle[op->ref];
		if (op->kind == OP_PURGE_DEAD || op->kind == OP_WINDOW_DEAD)
			return exec_near_dead(run, op, h);
		if (op->kind == OP_POKE)
			return exec_poke(run, op, h);
		if (op->kind == OP_FREE_STALE)
			return exec_free_stale(run, h);
		if (op->kind == OP_DOUBLE_FREE || op->kind == OP_SPLIT_DEAD)
			return exec_misuse_dead(run, op, h);
		return h->nr ? exec_on_handle(run, op, h) : exec_skip(run);
	}
	switch (op->kind) {
	case OP_WINDOW:
		run->window = exec_run_of(run, a[0], a[1]);
		return true;
	case OP_LARGEST_FREE:
		return exec_largest_free(run, exec_flags(run, a[0], a[1]));
	case OP_WOULD_SUCCEED: {
		const struct request r = request_block((unsigned)a[0], exec_flags(run, a[1], a[2]));
		return exec_would_succeed(run, &r);
	}
	case OP_CACHE_DRAIN:
		return exec_drain(run, a[0]);
	case OP_CACHE_PURGE:
		return exec_purge(run, (pfa_pfn)a[0]);
	case OP_CACHE_DISABLE:
	case OP_CACHE_ENABLE:
		return exec_switch(run, op->kind == OP_CACHE_DISABLE);
	case OP_SET_CPU: /* without effect where the allocator cannot learn of it */
		run->cpu[op->thread] = a[0] == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)a[0];
		return true;
	case OP_MARK_BAD:
		return exec_mark_bad(run, (pfa_pfn)a[0]);
	case OP_MARK_BAD_FAR: {
		const pfa_pfn pfn = exec_far(run, a[0]);
		return exec_mark_bad(run, pfn);
	}
	case OP_HANDLE_OF_PFN:
		return exec_handle_of_pfn(run, (pfa_pfn)a[0], (unsigned)a[1]);
	case OP_HISTORY:
		return exec_history(run, (pfa_pfn)a[0], (size_t)a[1]);
	case OP_HISTORY_FAR:
		return exec_history(run, exec_far(run, a[0]), 1);
	case OP_REPAIR:
		return exec_repair(run, (unsigned)a[0], a[1] != 0);
	case OP_TRACE:
		return exec_trace(run, (size_t)a[0], (size_t)a[1]);
	case OP_SERVICE:
		return exec_service(run, (unsigned)a[0]);
	case OP_CLOCK_ADVANCE:
		pfa_sim_advance(&run->sim, a[0]);
		return true;
	case OP_FAULT:
		exec_fault(run, op);
		return true;
	case OP_FINI:
		return exec_fini(run);
	default:
		return exec_view(run, op);
	}
}
