/* SPDX-License-Identifier: MIT
 *
 * exec_made.c - operations made up between those of the program, from the state that each left: what fuzz_migrate and fuzz_contig do
 * beside it.
 */
#include "exec_movable.h"
#include "prog_internal.h"

#include <string.h>

/* The newest handle that has blocks, or one near it; NULL: there is none. */
static struct exec_handle *made_newest(struct exec_run *run, uint64_t dice)
{
	unsigned skip = (unsigned)(dice >> 40) % 4;

	for (unsigned i = (unsigned)run->step.index; i-- > 0;)
		if (run->handle[i].nr && skip-- == 0)
			return &run->handle[i];
	return NULL;
}

/* An operation made up from the state and a number. */
static bool made_volley(struct exec_run *run, uint64_t number)
{
	static const uint8_t kinds[] = {
		OP_MIGRATE, OP_MIGRATE_LIST, OP_MIGRATE, OP_MIGRATE_TO, OP_MIGRATE_TO, OP_OWNER_SAYS, OP_OWNER_DOES, OP_MOVABLE_SET, OP_MOVABLE_SET,
		OP_MOVABLE_SET_ALL, OP_OWNER_CREATE, OP_MOVABLE_FREE, OP_PIN, OP_UNPIN, OP_UNPIN, OP_PAGE_LOCK, OP_PAGE_UNLOCK, OP_PAGE_UNLOCK,
		OP_COMPACT, OP_MOVABLE_CLEAR, OP_OWNER_DESTROY, OP_MOVABLE_CUT, OP_MOVABLE_PFN, OP_PAGE_TRYLOCK, OP_MIGRATE
	};
	static const uint8_t contig_kinds[] = {
		OP_ISOLATE_RANGE, OP_ISOLATE_RANGE, OP_UNDO_HOLD, OP_UNDO_HOLD, OP_UNDO_HOLD, OP_UNDO_ISOLATE, OP_TEST_ISOLATED, OP_CONTIG_RANGE,
		OP_CONTIG_RANGE, OP_CONTIG_RANGE, OP_CONTIG_RANGE, OP_CONTIG_RANGE, OP_ALLOC_CONTIG, OP_ALLOC_CONTIG, OP_FREE_CONTIG, OP_FREE_CONTIG,
		OP_FREE_CONTIG_RAW, OP_CONTIG_RAW, OP_OWNER_SAYS, OP_OWNER_DOES, OP_MOVABLE_SET, OP_MOVABLE_SET_ALL, OP_MOVABLE_SET_ALL,
		OP_OWNER_CREATE, OP_MOVABLE_FREE, OP_PIN, OP_UNPIN, OP_UNPIN, OP_PAGE_LOCK, OP_PAGE_UNLOCK, OP_PAGE_UNLOCK, OP_MIGRATE, OP_COMPACT
	};
	static const uint8_t plug_kinds[] = {
		OP_OFFLINE_RANGE, OP_OFFLINE_RANGE, OP_OFFLINE_RANGE, OP_OFFLINE_RANGE, OP_ONLINE_RANGE, OP_ONLINE_RANGE, OP_ONLINE_RANGE, OP_ADD_RANGE,
		OP_ADD_RANGE, OP_REMOVE_RANGE, OP_REMOVE_RANGE, OP_CMA_CREATE, OP_CMA_CREATE, OP_CMA_DESTROY, OP_CMA_FIND, OP_CMA_ALLOC, OP_CMA_ALLOC,
		OP_CMA_ALLOC, OP_CMA_RELEASE, OP_CMA_RELEASE, OP_CMA_RELEASE_RAW, OP_CMA_STATS, OP_PLUG_RAW, OP_ISOLATE_RANGE, OP_UNDO_HOLD,
		OP_CONTIG_RANGE, OP_FREE_CONTIG, OP_OWNER_SAYS, OP_OWNER_DOES, OP_MOVABLE_SET, OP_MOVABLE_SET_ALL, OP_MOVABLE_SET_ALL,
		OP_OWNER_CREATE, OP_MOVABLE_FREE, OP_PIN, OP_UNPIN, OP_UNPIN, OP_PAGE_LOCK, OP_PAGE_UNLOCK, OP_PAGE_UNLOCK, OP_MIGRATE, OP_COMPACT
	};
	const uint8_t *list = run->o->plug ? plug_kinds : run->o->contig ? contig_kinds : kinds;
	const size_t nr_kinds = run->o->plug ? sizeof(plug_kinds) : run->o->contig ? sizeof(contig_kinds) : sizeof(kinds);
	uint64_t dice = exec_mix(run->r->trace_hash, number + 77);
	struct prog_op op = { .kind = list[dice % nr_kinds], .ref = PROG_NO_REF };
	const struct prog_kind_info *info = prog_kind(op.kind);

	if (!exec_mov.mm.max_owners && info->group == PROG_GROUP_MOVE)
		return true;
	for (unsigned i = 0; i < info->nr_args; i++) {
		dice = exec_mix(dice, i);
		op.arg[i] = dice >> 8 & ((UINT64_C(1) << info->args[i].width) - 1);
		if (info->args[i].kind == PROG_ARG_RUN || info->args[i].kind == PROG_ARG_NR)
			op.arg[i] = prog_arg_from_raw(&run->p->config, &info->args[i], (uint32_t)op.arg[i]);
		if (info->args[i].kind == PROG_ARG_FLAGS)
			op.arg[i] = (op.arg[i] & 0xFC) | (op.arg[i] & 3) % 3;
		if (info->args[i].kind == PROG_ARG_PFN)
			op.arg[i] = prog_span_start(&run->p->config) + op.arg[i] % (prog_span_end(&run->p->config) - prog_span_start(&run->p->config));
	}
	if (op.kind == OP_COMPACT)
		run->events_known = false;
	if (op.kind == OP_PIN)
		op.arg[1] = op.arg[1] == 15 ? 15 : op.arg[1] & 1; /* now and then as often as it can be */
	if (op.kind == OP_OWNER_CREATE && op.arg[0] > 8)
		op.arg[0] = 0;
	if (prog_handle_arg(op.kind) >= 0) {
		const struct exec_handle *newest = made_newest(run, dice);
		if (!newest)
			return true;
		op.ref = (uint16_t)(newest - run->handle);
	}
	run->nr_told = 0;
	run->step.skipped = false;
	struct exec_made *made = &exec_mov.made[exec_mov.nr_made++ % EXEC_MADE];
	*made = (struct exec_made){ .op = op, .after = run->step.index };
	struct exec_handle own = { .nr = 0 }, *h = info->yields ? made_newest(run, dice) : &run->handle[op.ref == PROG_NO_REF ? 0 : op.ref];
	if (!h)
		h = &own;
	if (!(info->group == PROG_GROUP_CONTIG ? exec_contig(run, &op, h) : info->group == PROG_GROUP_PLUG ? exec_plug(run, &op, h) : exec_movable(run, &op)) ||
	    (own.nr && !exec_free_list(run, &own, op.kind == OP_CMA_ALLOC ? EXEC_BY_AREA : EXEC_BY_CONTIG)))
		return false;
	made->ended = true;
	made->skipped = run->step.skipped;
	made->code = run->step.code;
	if (!run->step.skipped)
		run->r->trace_hash = exec_mix(run->r->trace_hash, (uint64_t)op.kind << 32 | (uint32_t)run->step.code);
	return true;
}

bool exec_made_volleys(struct exec_run *run)
{
	const struct exec_step step = run->step;

	run->made = true;
	for (unsigned i = 0; i < run->o->moves; i++) {
		run->asked.asked = run->asked.granted = run->must_be_unchanged = run->have_digest = false;
		run->touched_first = SIZE_MAX;
		run->touched_end = 0;
		run->quiet_broken = true;
		exec_at_cpu(run); /* the step may have changed it */
		run->cpus_filled |= exec_cpu_bit(run);
		exec_pass_begins();
		if (!made_volley(run, i) || !exec_after_step(run, (unsigned)step.index, false))
			return false;
		memcpy(run->before, run->now, sizeof(run->now[0]) * run->m.nr_zones);
		run->step = step;
	}
	run->made = false;
	return true;
}
