/* SPDX-License-Identifier: MIT
 *
 * exec_migrate.c - pfa_migrate(): destinations by flags and by a policy that may be hostile, and what must come of a move, which
 * follows from what the ops and the policy said and did.
 */
#include <limits.h>
#include <string.h>

#include "exec_movable.h"

enum migrate_take {
	TAKE_BLOCK = 0, TAKE_NONE = 4, TAKE_FREES, TAKE_PINS, TAKE_LOCKS, TAKE_MOVES, TAKE_WRONG_ORDER, TAKE_FREE_FRAME, TAKE_OUTSIDE,
	TAKE_SOURCE, TAKE_MOVABLE, TAKE_TAIL, TAKE_CLEARS
};

void exec_mov_begin(struct exec_move *move, pfa_pfn src, enum pfa_migrate_mode mode)
{
	*move = (struct exec_move){ .outer = exec_mov.move, .slot = MODEL_NO_BLOCK, .src = src, .mode = mode };
	exec_mov.move = move;
}

void exec_mov_forget_dst(struct exec_run *run, struct exec_move *move)
{
	(move->compacts ? model_release_past : model_release)(&run->m, move->dst, move->order);
	exec_mov_unowned(run, move->dst, move->order);
	move->has_dst = false;
}

/* ---- the policy ---------------------------------------------------------------------------------------------------- */

static int migrate_take_block(struct exec_run *run, struct exec_move *move, unsigned order, pfa_pfn *out)
{
	const struct request r = request_block(order, PFA_MOVABLE | PFA_NORETRY);
	struct verdict v;
	const int code = run->ops->alloc(run->sut, order, r.flags, out);

	if (code == PFA_ECORRUPT && run->nr_written)
		exec_mov.broken |= !exec_corrupt(run, (size_t)1 << order);
	if (code != PFA_OK)
		return code;
	if (!model_judge_grant(&run->m, &r, *out, &v)) {
		exec_mov_fail(run, v.monitor, v.what, v.pfn, v.expected, v.actual);
		return PFA_ENOMEM;
	}
	exec_mov_owned(run, *out, order);
	move->has_dst = true;
	move->dst = *out;
	return PFA_OK;
}

/* A frame in this state, from the source on. */
static bool migrate_find(const struct exec_run *run, pfa_pfn from, enum model_state state, pfa_pfn *out)
{
	size_t index;

	for (pfa_pfn at = from; at < from + 512; at++)
		if (model_zone_of(&run->m, at, &index) < run->m.nr_zones && run->m.state[index] == state) {
			*out = at;
			return true;
		}
	return false;
}

static bool migrate_one(struct exec_run *run, pfa_pfn head, const struct pfa_dest *dest, struct exec_move *move);

static void migrate_other(struct exec_run *run)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	const unsigned other = model_movable_nth(&exec_mov.mm, exec_mov.dice = exec_mix(exec_mov.dice, 1));
	struct exec_move move;

	exec_mov_begin(&move, exec_mov.mm.block[other].pfn, PFA_MIGRATE_SYNC);
	move.flags = PFA_MOVABLE;
	if (!migrate_one(run, move.src, &dest, &move))
		exec_mov.broken = true;
	exec_mov.move = move.outer;
}

/* What is no destination. False: there is nothing of the kind. */
static bool migrate_lie(struct exec_run *run, struct exec_move *move, pfa_pfn *out)
{
	const struct model_movable *b = &exec_mov.mm.block[model_movable_nth(&exec_mov.mm, exec_mov.dice >> 3)];
	size_t index;

	switch ((enum migrate_take)move->take) {
	case TAKE_FREE_FRAME: return migrate_find(run, move->src, MODEL_FREE, out);
	case TAKE_TAIL: return migrate_find(run, move->src, MODEL_TAIL, out);
	case TAKE_OUTSIDE: *out = SIZE_MAX - 5; return true;
	case TAKE_SOURCE: *out = move->src; return true;
	case TAKE_MOVABLE: *out = b->pfn; return true;
	case TAKE_WRONG_ORDER:
		return migrate_find(run, move->src + 1, MODEL_HEAD, out) && model_zone_of(&run->m, *out, &index) < run->m.nr_zones &&
		       run->m.order[index] != move->order;
	default: return false;
	}
}

static int migrate_take(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	struct exec_run *run = ctx;
	struct exec_move *move = exec_mov.move;
	struct model_movable *b = &exec_mov.mm.block[move->slot == MODEL_NO_BLOCK ? 0 : move->slot];
	const unsigned told = run->nr_told;
	int code;

	exec_work(run);
	if (!move->isolated || move->took || src != move->src || order != move->order || exec_mov.inside) {
		exec_mov_fail(run, "I10 destination", "take() is called once, for the block that is isolated", src, 0, move->took);
		return PFA_ENOMEM;
	}
	move->took = true;
	switch ((enum migrate_take)move->take) {
	case TAKE_NONE:
		return PFA_ENOMEM;
	case TAKE_FREES:
		code = run->ops->free(run->sut, src, order);
		exec_mov_inside(run, model_expect_release(&exec_mov.mm, move->slot, exec_mov_self(run), false), code, told, src, "a free in take()");
		if (code == PFA_OK)
			exec_mov_freed(run, move->slot);
		break;
	case TAKE_PINS:
		code = run->ops->pin(run->sut, src);
		exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, src, "a pin in take()");
		b->pins += code == PFA_OK;
		break;
	case TAKE_LOCKS:
		code = run->ops->page_lock(run->sut, src);
		exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, src, "a page lock in take()");
		b->holder = exec_mov_self(run);
		move->left_locked = true;
		break;
	case TAKE_CLEARS:
		code = run->ops->movable_clear(run->sut, src);
		exec_mov_inside(run, (struct expectation){ PFA_EBUSY, 0 }, code, told, src, "a clear of the isolated source in take()");
		break;
	case TAKE_MOVES:
		if (!move->outer)
			migrate_other(run);
		break;
	default:
		if (move->take > TAKE_MOVES && exec_mov_hostile(run) && migrate_lie(run, move, out)) {
			move->take_lied = true;
			move->dst = *out;
			return PFA_OK;
		}
	}
	if (exec_mov.broken)
		return PFA_ENOMEM;
	return migrate_take_block(run, move, order, out);
}

static void migrate_give(void *ctx, pfa_pfn dst, unsigned order)
{
	struct exec_run *run = ctx;
	struct exec_move *move = exec_mov.move;
	const unsigned told = run->nr_told;

	exec_work(run);
	if (!move->has_dst || move->gave || move->moved || dst != move->dst || order != move->order || exec_mov.inside) {
		exec_mov_fail(run, "I10 destination", "give() is called once, for a destination that take() gave and that was not used", dst,
		              move->dst, move->gave);
		return;
	}
	move->gave = true;
	exec_mov_let_go(run, move); /* before this */
	/* "allocated as it was", and not movable */
	const int code = run->ops->free(run->sut, dst, order);
	exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, dst, "a free of the destination in give()");
	if (!exec_mov.broken)
		exec_mov_forget_dst(run, move);
}

/* ---- what must come of a move -------------------------------------------------------------------------------------- */

/* Of a block for which no op was called. */
static int migrate_refused(const struct exec_run *run, const struct exec_move *move, unsigned slot)
{
	size_t index;

	if (model_zone_of(&run->m, move->src, &index) == run->m.nr_zones)
		return PFA_ERANGE;
	if (slot == MODEL_NO_BLOCK || exec_mov.mm.block[slot].released)
		return PFA_EINVAL;
	const struct model_movable *b = &exec_mov.mm.block[slot];
	return b->holder || b->pins || b->isolated ? PFA_EBUSY : PFA_OK; /* OK: isolate() must be asked */
}

static int migrate_result(const struct exec_move *move)
{
	const bool garbage = move->said != PFA_OK && move->said != PFA_EAGAIN && move->said != PFA_EBUSY;

	if (move->moved)
		return PFA_OK;
	if (move->left_locked && !move->has_dst && !move->gave)
		return PFA_ENOMEM;
	if (move->left_locked && !(move->stopped && !move->putback))
		return PFA_EBUSY;
	if (move->stopped)
		return PFA_ESTOP;
	if (!move->isolated)
		return move->isolate_said == PFA_EAGAIN ? PFA_EAGAIN : PFA_EBUSY;
	if (move->take_lied)
		return PFA_EMISUSE;
	if (!move->has_dst && !move->gave)
		return move->corrupt ? PFA_ECORRUPT : PFA_ENOMEM;
	return move->tries == 0 || garbage ? PFA_EBUSY : move->said;
}

void exec_mov_let_go(struct exec_run *run, struct exec_move *move)
{
	struct model_movable *b = &exec_mov.mm.block[move->slot];

	if (!move->isolated || move->moved || !b->released || move->stopped)
		return;
	move->stopped = true;
	b->isolated = false;
	exec_mov_dropped(run, move->slot);
}

bool exec_mov_settle(struct exec_run *run, struct exec_move *move, int *expected)
{
	exec_mov_let_go(run, move);
	if (move->isolated && !move->moved && !move->putback && !move->stopped)
		return exec_fail(run, "I10 automaton", "a block was isolated, and neither moved, put back nor released", move->src, 1, 0);
	if (move->take_lied) {
		exec_mov.told++;
		exec_mov.kinds |= 1u << PFA_FAULT_DESTINATION;
	}
	if (move->dst_released && !move->moved) {
		exec_mov.told++;
		exec_mov.kinds |= 1u << PFA_FAULT_NOT_MOVED;
	}
	*expected = migrate_result(move);
	if (move->has_dst && !move->moved && move->gives) /* give() would have forgotten it */
		return exec_fail(run, "I10 destination", "a destination that was not used was not given back", move->dst, 1, 0);
	if (move->has_dst && !move->moved)
		exec_mov_forget_dst(run, move);
	return true;
}

bool exec_mov_judge_nomem(struct exec_run *run, struct exec_move *move)
{
	const struct request r = request_block(move->order, move->flags | (move->mode == PFA_MIGRATE_ASYNC ? PFA_NOWAIT : 0));
	struct verdict v;

	move->corrupt = run->nr_written != 0;
	if (!exec_judge_written(run))
		return false;
	if (move->corrupt || run->any_highatomic || !run->ops->zone_stats || (exec_mov.contig && (!exec_mov.contig->ranged || exec_mov.contig->may_hold || exec_mov.contig->parts)))
		return true;
	if (!exec_refresh(run))
		return false;
	return model_judge_refusal(&run->m, &r, PFA_EAGAIN, run->now, &v) || exec_say(run, &v);
}

static bool migrate_judge_result(struct exec_run *run, pfa_pfn head, int expected, int result)
{
	return result == expected || exec_fail(run, "I10 result", "the result for this block does not follow from what its owner did", head,
	                                       (size_t)(unsigned)-expected, (size_t)(unsigned)-result);
}

/* Moves one block: exact. */
static bool migrate_one(struct exec_run *run, pfa_pfn head, const struct pfa_dest *dest, struct exec_move *move)
{
	const unsigned slot = model_movable_at(&exec_mov.mm, head);
	const int refused = migrate_refused(run, move, slot);
	int result = INT_MAX, expected;

	const int code = run->ops->migrate(run->sut, &head, 1, dest, &result);
	if (exec_mov.broken)
		return false;
	run->step.code = result;
	if (code != (result == PFA_OK ? PFA_OK : PFA_EAGAIN))
		return exec_fail(run, "I10 result", "pfa_migrate() says OK if all were moved, else PFA_EAGAIN", head,
		                 result == PFA_OK ? 0 : (size_t)(unsigned)-PFA_EAGAIN, (size_t)(unsigned)-code);
	if (!move->asked)
		return (refused != PFA_OK && result == refused) ||
		       exec_fail(run, "I10 result", "a block was not asked about, and this is not why", head, (size_t)(unsigned)-refused,
		                 (size_t)(unsigned)-result);
	if (refused != PFA_OK)
		return exec_fail(run, "I10 automaton", "an op was called for a block that cannot be isolated", head,
		                 (size_t)(unsigned)-refused, 0);
	return exec_mov_settle(run, move, &expected) && migrate_judge_result(run, head, expected, result);
}

/* ---- several blocks in one call ------------------------------------------------------------------------------------ */

/* The move that ran last is over: what came of it follows from its ops. */
static bool list_settle(struct exec_run *run, struct exec_list *list)
{
	const bool fine = list->current == SIZE_MAX || exec_mov_settle(run, &list->move, &list->expected[list->current]);

	list->current = SIZE_MAX;
	exec_mov.broken |= !fine;
	return fine;
}

/* Up to the next block that can be isolated; those before it are refused. */
static void list_goes_on(struct exec_run *run, struct exec_list *list)
{
	for (; list->next < list->nr; list->next++) {
		const struct exec_move move = { .src = list->head[list->next] };
		const int refused = migrate_refused(run, &move, model_movable_at(&exec_mov.mm, move.src));
		if (refused == PFA_OK)
			return;
		list->expected[list->next] = refused;
	}
}

bool exec_list_begins(struct exec_run *run, pfa_pfn src)
{
	struct exec_list *list = exec_mov.list;

	if (!list || exec_mov.move != &list->move)
		return false;
	if (exec_mov.broken || !list_settle(run, list))
		return true;
	list_goes_on(run, list);
	if (list->next == list->nr || list->head[list->next] != src) {
		exec_mov_fail(run, "I10 list", "the next block of the list that can be isolated is another one (of the list)", src, list->nr,
		              list->next);
		return true;
	}
	list->current = list->next++;
	list->move = (struct exec_move){ .slot = MODEL_NO_BLOCK, .src = src, .mode = list->move.mode, .flags = list->move.flags,
		                         .by_take = list->by_take, .take = list->take, .gives = list->by_take };
	return true;
}

static bool list_run(struct exec_run *run, struct exec_list *list, const struct pfa_dest *dest)
{
	int results[EXEC_LIST], all = PFA_OK;

	for (size_t i = 0; i < list->nr; i++)
		results[i] = INT_MAX;
	const int code = run->ops->migrate(run->sut, list->head, list->nr, dest, results);
	if (exec_mov.broken || !list_settle(run, list))
		return false;
	list_goes_on(run, list);
	if (list->next < list->nr)
		return exec_fail(run, "I10 list", "a block of the list that can be isolated was not asked about (of the list)",
		                 list->head[list->next], list->nr, list->next);
	for (size_t i = 0; i < list->nr; i++) {
		if (!migrate_judge_result(run, list->head[i], list->expected[i], results[i]))
			return false;
		all = results[i] == PFA_OK ? all : PFA_EAGAIN;
	}
	run->step.code = code;
	return code == all || exec_fail(run, "I10 result", "pfa_migrate() says OK if all were moved, else PFA_EAGAIN", list->head[0],
	                                (size_t)(unsigned)-all, (size_t)(unsigned)-code);
}

/* list: NULL, or instead of head. */
static bool migrate_call(struct exec_run *run, pfa_pfn head, const struct pfa_dest *dest, struct exec_move *move,
                         struct exec_list *list)
{
	bool fine = false;

	run->step.has_pfn = true;
	run->step.pfn = head;
	run->step.nr_frames = 1;
	run->tracks_zero = false;
	run->nr_told = 0;
	run->work = 0;
	run->jump_armed = true;
	if (setjmp(run->jump) == 0)
		fine = list ? list_run(run, list, dest) : migrate_one(run, head, dest, move);
	else
		exec_mov_fail(run, "contract fatal", "a move told a fault that nobody caused", head, 0, (size_t)run->told.kind);
	run->jump_armed = false;
	exec_mov.move = NULL;
	exec_mov.list = NULL;
	exec_mov.inside = 0;
	return fine && exec_mov_call_ends(run);
}

/* ---- operations ---------------------------------------------------------------------------------------------------- */

/* nr blocks one by one: what each comes to follows from what the one before did. */
bool exec_migrate(struct exec_run *run, uint64_t at, uint64_t nr, uint64_t mode, uint32_t flags)
{
	/* the bits that a move may have */
	flags &= PFA_TYPE_MASK | PFA_NOWAIT | PFA_HIGH | PFA_NORETRY | PFA_EXACT_ZONE | 0xFF000000u;
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = (enum pfa_migrate_mode)(mode % PFA_MIGRATE_MODES), .flags = flags };

	if (!exec_mov.mm.nr)
		return exec_skip(run);
	for (uint64_t i = 0; i <= nr && exec_mov.mm.nr; i++) {
		struct exec_move move;
		exec_mov_begin(&move, exec_mov.mm.block[model_movable_nth(&exec_mov.mm, at + i)].pfn, dest.mode);
		move.flags = flags;
		if (!migrate_call(run, move.src, &dest, &move, NULL))
			return false;
	}
	return true;
}

bool exec_migrate_to(struct exec_run *run, const uint64_t *a)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = (enum pfa_migrate_mode)(a[1] % PFA_MIGRATE_MODES),
		                       .take = migrate_take, .give = a[3] ? migrate_give : NULL, .ctx = run };
	struct exec_move move;

	if (!exec_mov.mm.nr)
		return exec_skip(run);
	exec_mov_begin(&move, exec_mov.mm.block[model_movable_nth(&exec_mov.mm, a[0])].pfn, dest.mode);
	move.by_take = true;
	move.take = (unsigned)a[2];
	move.gives = a[3] != 0;
	return migrate_call(run, move.src, &dest, &move, NULL);
}

bool exec_migrate_list(struct exec_run *run, const uint64_t *a)
{
	static struct exec_list list;
	const bool odd = a[2] == 3;
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = odd ? PFA_MIGRATE_SYNC : (enum pfa_migrate_mode)a[2], .flags = PFA_MOVABLE,
		                       .take = a[3] ? migrate_take : NULL, .give = a[3] ? migrate_give : NULL, .ctx = run };

	if (!exec_mov.mm.nr)
		return exec_skip(run);
	list = (struct exec_list){ .current = SIZE_MAX, .by_take = a[3] != 0, .take = (unsigned)a[3] };
	for (uint64_t i = 0; i <= a[1]; i++) {
		const pfa_pfn head = exec_mov.mm.block[model_movable_nth(&exec_mov.mm, a[0] + i)].pfn;
		list.head[list.nr++] = head;
		if (odd) {
			list.head[list.nr++] = head + (pfa_pfn)i;
			list.head[list.nr++] = head;
			list.head[list.nr++] = i % 2 ? SIZE_MAX - (size_t)i : head + 1;
		}
	}
	exec_allow_steps(run, (size_t)2 * PFA_MIGRATE_HAND); /* destinations, and the leaves that they are from */
	exec_mov_begin(&list.move, list.head[0], dest.mode);
	list.move.flags = PFA_MOVABLE;
	exec_mov.list = &list;
	return migrate_call(run, list.head[0], &dest, &list.move, &list);
}

bool exec_migrate_raw(struct exec_run *run, const uint64_t *a)
{
	struct {
		struct pfa_dest dest;
		unsigned char tail[8];
	} odd = { .dest = { .size = sizeof(odd.dest), .flags = PFA_MOVABLE } };
	pfa_pfn head = (pfa_pfn)a[2];
	int result = INT_MAX, code, expected = PFA_EINVAL;
	struct exec_move move;

	switch (a[0]) {
	case 0: expected = PFA_OK; break;
	case 1: odd.dest.size -= (size_t)(1 + a[1]); break;
	case 2:
		odd.dest.size = sizeof(odd);
		memset(odd.tail, 0, sizeof(odd.tail));
		odd.tail[a[1]] = 1;
		break;
	case 3: odd.dest.mode = (enum pfa_migrate_mode)(PFA_MIGRATE_MODES + a[1]); break;
	case 4: odd.dest.flags |= a[1] & 1 ? PFA_ZERO : PFA_COMPACT; break;
	case 5: odd.dest.flags |= PFA_ZONE(run->m.nr_zones + a[1]); break;
	default:
		if (model_movable_at(&exec_mov.mm, head) != MODEL_NO_BLOCK)
			return exec_skip(run);
		exec_mov_begin(&move, head, PFA_MIGRATE_ASYNC);
		return migrate_call(run, head, &odd.dest, &move, NULL);
	}
	EXEC_CALL(run, code, run->ops->migrate(run->sut, &head, a[0] != 0, &odd.dest, &result));
	run->must_be_unchanged = true;
	if (result != INT_MAX)
		return exec_fail(run, "contract out", "a refused migration wrote a result", head, 0, (size_t)(unsigned)-result);
	return exec_expect_code(run, expected, code);
}
