/* SPDX-License-Identifier: MIT
 *
 * exec_owner.c - the owner of movable blocks that a program scripts. Each call of an op is checked against the contract of
 * pfa/movable.h: that it is due (owned -> isolated -> migrated | put back | released), on which block, with which page
 * locks; and what the op calls in turn must answer as the model says.
 */
#include <limits.h>
#include <string.h>

#include "exec_movable.h"

struct exec_movables exec_mov;

void exec_mov_fail(struct exec_run *run, const char *monitor, const char *what, pfa_pfn pfn, size_t expected, size_t actual)
{
	if (!exec_mov.broken)
		(void)exec_fail(run, monitor, what, pfn, expected, actual);
	exec_mov.broken = true;
}

void exec_mov_inside(struct exec_run *run, struct expectation e, int code, unsigned told, pfa_pfn pfn, const char *what)
{
	const bool tells = e.code == PFA_EMISUSE;

	if (code != e.code)
		exec_mov_fail(run, "I10 inside", what, pfn, (size_t)(unsigned)-e.code, (size_t)(unsigned)-code);
	else if (*exec_mov_nr_told(run) != told + tells || (tells && !(e.kinds >> run->told.kind & 1u)))
		exec_mov_fail(run, "I10 inside", "what a call from inside told to platform.fatal (times, kind)", pfn, told + tells,
		              (size_t)run->told.kind);
	exec_mov.told += tells;
	exec_mov.kinds |= e.kinds;
}

/* ---- what owners do inside of their ops --------------------------------------------------------------------------- */

static size_t owner_drains(const struct exec_run *run)
{
	struct pfa_stats all = { .nr_drain = 0 };

	if (run->ops->stats)
		(void)run->ops->stats(run->sut, &all, sizeof(all));
	return all.nr_drain;
}

void exec_mov_extra_alloc(struct exec_run *run)
{
	const struct request r = request_block(0, PFA_MOVABLE | PFA_NOWAIT);
	const unsigned told = *exec_mov_nr_told(run);
	struct verdict v;
	pfa_pfn pfn;

	if (exec_mov.nr_extra == EXEC_EXTRAS)
		return;
	const size_t drains = owner_drains(run);
	const int code = run->ops->alloc(run->sut, 0, PFA_MOVABLE, &pfn);
	run->asked.drains_inside += owner_drains(run) - drains;
	if (code == PFA_ENOMEM || code == PFA_EAGAIN) {
		run->asked.refused_inside++;
		return;
	}
	if (code == PFA_ECORRUPT && run->nr_written) {
		exec_mov.broken |= !exec_corrupt(run, 1);
		return;
	}
	exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, pfn, "an allocation inside of an op");
	if (exec_mov.broken)
		return;
	if (!model_judge_grant(&run->m, &r, pfn, &v)) {
		exec_mov_fail(run, v.monitor, v.what, v.pfn, v.expected, v.actual);
		return;
	}
	exec_mov_owned(run, pfn, 0);
	exec_mov.extra[exec_mov.nr_extra++] = pfn;
}

void exec_mov_extra_free(struct exec_run *run)
{
	const unsigned told = *exec_mov_nr_told(run);

	if (!exec_mov.nr_extra)
		return;
	const pfa_pfn pfn = exec_mov.extra[--exec_mov.nr_extra];
	if (!exec_verify_stamps(run, pfn, 1)) {
		exec_mov.broken = true;
		return;
	}
	const int code = run->ops->free(run->sut, pfn, 0);
	exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, pfn, "a free of an ordinary block inside of an op");
	if (exec_mov.broken)
		return;
	model_release(&run->m, pfn, 0);
	exec_mov_unowned(run, pfn, 0);
}

/* Has the mover locked this block, too? So it may do with several single frames that it moves one after the other to empty a range. */
static bool owner_in_cluster(const struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];
	struct pfa_movable_info info;

	return !b->holder && b->order == 0 && exec_mov.contig &&
	       run->ops->movable_info(run->sut, b->pfn, &info) == PFA_OK && info.locked;
}

/* pfa_free() of a movable block inside of an op. */
static void owner_release(struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];
	const struct expectation e = model_expect_release(&exec_mov.mm, slot, exec_mov_self(run), true);
	const unsigned told = *exec_mov_nr_told(run);
	const bool waits = owner_in_cluster(run, slot) && !b->pins && !b->isolated; /* it is free only when the mover lets go of it */
	size_t index;

	if (e.code == PFA_EMISUSE && !exec_mov_hostile(run))
		return;
	if (!exec_verify_stamps(run, b->pfn, (size_t)1 << b->order)) {
		exec_mov.broken = true;
		return;
	}
	const int code = run->ops->free(run->sut, b->pfn, b->order);
	exec_mov_inside(run, e, code, told, b->pfn, "a free of a movable block inside of an op");
	if (code != PFA_OK || exec_mov.broken)
		return;
	exec_mov.mm.moves[model_zone_of(&run->m, b->pfn, &index)].released += waits;
	exec_mov_freed(run, slot);
}

static void owner_release_dst(struct exec_run *run, struct exec_move *move)
{
	const unsigned told = *exec_mov_nr_told(run);
	size_t index;

	if (move->dst_released || !exec_mov_hostile(run)) /* if it is not taken after all, that is told */
		return;
	const int code = run->ops->free(run->sut, move->dst, move->order);
	exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, move->dst, "a free of the destination inside of migrate()");
	move->dst_released = true;
	exec_mov.mm.moves[model_zone_of(&run->m, move->dst, &index)].released++;
}

static void owner_forbidden(struct exec_run *run, pfa_pfn head, unsigned which)
{
	const struct sut_ops *o = run->ops;
	const struct pfa_dest dest = { .size = sizeof(dest), .flags = PFA_MOVABLE };
	const unsigned told = *exec_mov_nr_told(run);
	pfa_owner owner = 0;
	int code, results[1];

	switch (which % 16) {
	case 0: code = o->owner_create(run->sut, &exec_owner_ops, &exec_mov.owner[0], &owner); break;
	case 1: code = o->owner_destroy(run->sut, exec_mov.owner[0].handle); break;
	case 2: code = o->movable_set(run->sut, head, exec_mov.owner[0].handle, 1); break;
	case 3: code = o->movable_clear(run->sut, head); break;
	case 4: code = o->page_lock(run->sut, head); break;
	case 5: code = o->page_trylock(run->sut, head); break;
	case 6: code = o->page_unlock(run->sut, head); break;
	case 7: code = o->migrate(run->sut, &head, 1, &dest, results); break;
	case 8: code = o->mark_bad(run->sut, head); break;
	case 9: code = o->service(run->sut, 1, NULL); break;
	case 10: code = o->cache_drain(run->sut, 0); break;
	case 11: code = o->cache_purge(run->sut, head); break;
	case 12: code = o->cache_disable(run->sut); break;
	case 14: code = o->compact(run->sut, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_ASYNC, NULL); break;
	case 13: code = o->cache_enable(run->sut); break;
	default: code = o->fini(run->sut);
	}
	exec_mov_inside(run, (struct expectation){ PFA_EDEADLK, 0 }, code, told, head, "a call that is forbidden inside of ops");
}

static void owner_look(struct exec_run *run, pfa_pfn head, unsigned which)
{
	struct pfa_movable_info info;
	struct pfa_frame_info frame;
	struct pfa_zone_stats stats;
	const unsigned told = *exec_mov_nr_told(run);
	unsigned order;
	int code;

	switch (which % 4) {
	case 0: code = run->ops->movable_info(run->sut, head, &info); break;
	case 1: code = run->ops->frame_info(run->sut, head, &frame); break;
	case 2: code = run->ops->zone_stats(run->sut, 0, &stats, sizeof(stats)); break;
	default:
		code = run->ops->largest_free(run->sut, PFA_MOVABLE, &order);
		code = code == PFA_ENOMEM ? PFA_OK : code;
	}
	exec_mov_inside(run, (struct expectation){ PFA_OK, 0 }, code, told, head, "a look inside of an op");
}

static void owner_pin(struct exec_run *run, unsigned slot)
{
	struct expectation e = { model_expect_pin(&exec_mov.mm, slot, exec_mov_self(run), true), 0 };
	const unsigned told = *exec_mov_nr_told(run);
	struct model_movable *b = &exec_mov.mm.block[slot];

	if ((e.code == PFA_OK || e.code == PFA_EAGAIN) && owner_in_cluster(run, slot))
		e.code = PFA_EDEADLK;
	const int code = run->ops->pin(run->sut, b->pfn);

	exec_mov_inside(run, e, code, told, b->pfn, "a pin inside of an op");
	b->pins += code == PFA_OK;
}

static void owner_unpin(struct exec_run *run, unsigned slot)
{
	const struct expectation e = model_expect_unpin(&exec_mov.mm, slot);
	const unsigned told = *exec_mov_nr_told(run);
	struct model_movable *b = &exec_mov.mm.block[slot];

	if (e.code != PFA_OK && !exec_mov_hostile(run))
		return;
	const int code = run->ops->unpin(run->sut, b->pfn);
	exec_mov_inside(run, e, code, told, b->pfn, "an unpin inside of an op");
	if (code == PFA_OK && !exec_mov.broken) {
		b->pins--;
		exec_mov_dropped(run, slot);
	}
}

static void owner_does(struct exec_run *run, struct exec_owner *owner, unsigned op, unsigned slot)
{
	struct exec_move *move = exec_mov.move;
	unsigned does = owner->script[op].does;

	if (!owner->script[op].does_ever && owner->script[op].does_left-- == 0) {
		owner->script[op].does_left = 0;
		does = 0;
	}
	if (!does || !run->threads_known) /* who is inside is asked of the op self, which may have named another thread */
		return;
	exec_mov.pass.meddled |= does < 10;
	exec_mov.dice = exec_mix(exec_mov.dice, does);
	const unsigned other = model_movable_nth(&exec_mov.mm, exec_mov.dice >> 8);
	switch (does) {
	case 1: owner_release(run, slot); break;
	case 2:
		owner_release(run, slot);
		owner_release(run, slot);
		break;
	case 3:
		if (op == OWNER_MIGRATE)
			owner_release_dst(run, move);
		break;
	case 4: exec_mov_extra_alloc(run); break;
	case 5: exec_mov_extra_free(run); break;
	case 6: owner_release(run, other); break;
	case 7: owner_pin(run, other); break;
	case 8: owner_unpin(run, other); break;
	case 9: owner_pin(run, slot); break;
	case 10: case 11: owner_forbidden(run, move->src, (unsigned)exec_mov.calls[op]); break;
	case 12: exec_contig_inside(run, move->src, (unsigned)exec_mov.calls[op]); break;
	default: owner_look(run, move->src, (unsigned)exec_mov.calls[op]);
	}
}

/* ---- monitors ------------------------------------------------------------------------------------------------------ */

static int owner_says(struct exec_owner *owner, unsigned op, struct exec_run *run)
{
	static const int words[] = { PFA_OK, PFA_EAGAIN, PFA_EBUSY, 7, PFA_ENOMEM, INT_MIN, PFA_EMISUSE, INT_MAX };
	unsigned says = owner->script[op].says;

	if (!owner->script[op].says_ever && owner->script[op].says_left-- == 0) {
		owner->script[op].says_left = 0;
		says = 0;
	}
	if (op == OWNER_ISOLATE && exec_site_fails(run, PROG_SITE_ISOLATE))
		return PFA_EBUSY;
	if (op == OWNER_MIGRATE && exec_site_fails(run, PROG_SITE_MIGRATE))
		return PFA_EAGAIN;
	return words[says > 2 && !exec_mov_hostile(run) ? 2 : says];
}

/* What all three are told, and how the page lock is. The slot, or MODEL_NO_BLOCK after a finding. */
static unsigned owner_called(struct exec_owner *owner, unsigned op, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct exec_run *run = owner->run;
	const unsigned slot = model_movable_at(&exec_mov.mm, head);
	const struct model_movable *b = &exec_mov.mm.block[slot == MODEL_NO_BLOCK ? 0 : slot];
	struct exec_move *move = exec_mov.move;
	struct pfa_movable_info info = { .pins = UINT_MAX };

	exec_mov.calls[op]++;
	exec_work(run);
	if (!move || exec_mov.inside)
		exec_mov_fail(run, "I10 op", "an op is called while nothing is moved, or inside of an op", head, 0, op);
	else if (slot == MODEL_NO_BLOCK || b->released)
		exec_mov_fail(run, "I10 op", "an op is called for a block that is not movable, or was released (op)", head, 0, op);
	else if (!exec_mov.mm.registered[owner->index] || b->owner != owner->index)
		exec_mov_fail(run, "I10 op", "an op of another owner, or of a destroyed one, is called (owner)", head, b->owner,
		              owner->index);
	else if (b->order != order || b->cookie != cookie)
		exec_mov_fail(run, "I10 op", "an op is called with another order or cookie than the block's (cookie)", head,
		              (size_t)b->cookie, (size_t)cookie);
	else if (run->ops->movable_info(run->sut, head, &info) != PFA_OK || !info.locked)
		exec_mov_fail(run, "I10 lock", "an op is called without the page lock of its block", head, 1, 0);
	else if (b->holder && !(op == OWNER_PUTBACK && move->left_locked))
		exec_mov_fail(run, "I10 lock", "an op is called while somebody else has the page lock", head, 0, b->holder);
	else if (info.isolated != (op != OWNER_ISOLATE) || info.pins != b->pins || info.owner != owner->handle)
		exec_mov_fail(run, "I10 automaton", "a block is isolated from isolate() to putback() (op)", head, info.isolated, op);
	return exec_mov.broken ? MODEL_NO_BLOCK : slot;
}

/* Runs the script of an op, with the block locked. */
static void owner_acts(struct exec_owner *owner, unsigned op, unsigned slot)
{
	struct model_movable *b = &exec_mov.mm.block[slot];
	const unsigned holder = b->holder;

	b->holder = exec_mov_self(owner->run);
	exec_mov.inside++;
	owner_does(owner->run, owner, op, slot);
	exec_mov.inside--;
	b->holder = holder;
}

static int owner_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct exec_owner *owner = ctx;
	if (!exec_mov.inside)
		exec_compact_begins(owner->run, head, mode);
	const unsigned slot = owner_called(owner, OWNER_ISOLATE, head, order, cookie);
	struct exec_move *move = exec_mov.move;

	if (slot == MODEL_NO_BLOCK)
		return PFA_EBUSY;
	struct model_movable *b = &exec_mov.mm.block[slot];
	if (move->asked || b->isolated || b->pins || head != move->src || mode != move->mode) {
		exec_mov_fail(owner->run, "I10 automaton", "isolate() is called once a move, for a block that is neither isolated nor "
		              "pinned", head, move->asked, b->pins);
		return PFA_EBUSY;
	}
	move->asked = true;
	move->slot = slot;
	move->order = order;
	owner_acts(owner, OWNER_ISOLATE, slot);
	move->isolate_said = owner_says(owner, OWNER_ISOLATE, owner->run);
	if (b->released) {
		move->stopped = true;
		exec_mov_dropped(owner->run, slot);
	} else if (move->isolate_said == PFA_OK) {
		b->isolated = move->isolated = true;
	}
	if (move->isolate_said != PFA_OK && move->isolate_said != PFA_EAGAIN && move->isolate_said != PFA_EBUSY) {
		exec_mov.told++;
		exec_mov.kinds |= 1u << PFA_FAULT_OWNER_RESULT;
	}
	return move->isolate_said;
}

/* What may be written down of a destination at the first call of migrate(). */
static void owner_sees_dst(struct exec_run *run, struct exec_move *move, pfa_pfn dst)
{
	const struct request r = request_block(move->order, move->flags);
	const size_t nr = (size_t)1 << move->order;
	struct verdict v;

	if (move->by_take) {
		if (dst != move->dst || !move->took)
			exec_mov_fail(run, "I10 destination", "the destination is not the one that take() gave", dst, move->dst, dst);
		return;
	}
	if (!model_judge_grant(&run->m, &r, dst, &v)) {
		exec_mov_fail(run, v.monitor, v.what, v.pfn, v.expected, v.actual);
		return;
	}
	if (run->any_highatomic && !exec_refresh_types(run, dst, dst + nr)) {
		exec_mov.broken = true;
		return;
	}
	if (!model_judge_type(&run->m, &r, dst, &v)) {
		exec_mov_fail(run, v.monitor, v.what, v.pfn, v.expected, v.actual);
		return;
	}
	if (move->compacts && dst < move->src) {
		exec_mov_fail(run, "I10 compact", "compaction moves blocks up", move->src, move->src, dst);
		return;
	}
	exec_mov_owned(run, dst, move->order);
	move->has_dst = true;
	move->dst = dst;
}

/* The content moves: stamps are of the block, not of the frame. */
static void owner_copies(struct exec_run *run, pfa_pfn dst, pfa_pfn src, unsigned order)
{
	const size_t nr = (size_t)1 << order, bytes = run->setup.frame_bytes;
	size_t to, from;

	(void)model_zone_of(&run->m, dst, &to);
	(void)model_zone_of(&run->m, src, &from);
	for (size_t i = 0; i < nr && run->setup.content; i++) {
		unsigned char *d = exec_frame(run, dst + i);
		const unsigned char *s = exec_frame(run, src + i);
		memcpy(d, s, sizeof(uint64_t));
		memcpy(d + bytes - sizeof(uint64_t), s + bytes - sizeof(uint64_t), sizeof(uint64_t));
		run->stamp[to + i] = run->stamp[from + i];
	}
}

static bool owner_migrate_due(struct exec_owner *owner, pfa_pfn dst, unsigned slot, pfa_pfn src, enum pfa_migrate_mode mode)
{
	struct exec_run *run = owner->run;
	struct exec_move *move = exec_mov.move;
	const struct model_movable *b = &exec_mov.mm.block[slot];
	struct pfa_movable_info info = { .pins = UINT_MAX };

	if (!move->isolated || move->slot != slot || mode != move->mode || move->putback || move->moved || b->pins || move->left_locked)
		exec_mov_fail(run, "I10 automaton", "migrate() is called for a block that is isolated by this mover and not pinned", src,
		              0, b->pins);
	else if (++move->tries > 1 && (move->said != PFA_EAGAIN || dst != move->dst))
		exec_mov_fail(run, "I10 automaton", "migrate() is called again after PFA_EAGAIN alone, with the same destination", src,
		              move->dst, dst);
	else if (move->tries > run->ops->migrate_tries(mode))
		exec_mov_fail(run, "I13 tries", "migrate() is called more often than pfa_migrate_tries() says", src,
		              run->ops->migrate_tries(mode), move->tries);
	else if (move->tries == 1)
		owner_sees_dst(run, move, dst);
	if (!exec_mov.broken && (run->ops->movable_info(run->sut, dst, &info) != PFA_OK || !info.locked || !info.isolated || info.pins))
		exec_mov_fail(run, "I10 lock", "migrate() is called without the page lock of the destination", dst, 1, info.locked);
	return !exec_mov.broken;
}

static int owner_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct exec_owner *owner = ctx;
	struct exec_run *run = owner->run;
	const unsigned slot = owner_called(owner, OWNER_MIGRATE, src, order, cookie);
	struct exec_move *move = exec_mov.move;
	size_t index;

	if (slot == MODEL_NO_BLOCK || !owner_migrate_due(owner, dst, slot, src, mode))
		return PFA_EBUSY;
	struct model_movable *b = &exec_mov.mm.block[slot];
	if (!exec_verify_stamps(run, src, (size_t)1 << order)) {
		exec_mov.broken = true;
		return PFA_EBUSY;
	}
	owner_acts(owner, OWNER_MIGRATE, slot);
	move->said = owner_says(owner, OWNER_MIGRATE, run);
	if (exec_mov.broken)
		return PFA_EBUSY;
	exec_mov.mm.moves[model_zone_of(&run->m, src, &index)].again += move->said == PFA_EAGAIN;
	if (move->said != PFA_OK && move->said != PFA_EAGAIN && move->said != PFA_EBUSY) {
		exec_mov.told++;
		exec_mov.kinds |= 1u << PFA_FAULT_OWNER_RESULT;
	}
	if (b->released) {
		move->stopped = true;
		b->isolated = false;
		exec_mov_dropped(run, slot);
		if (move->compacts)
			exec_mov_forget_dst(run, move);
	} else if (move->said == PFA_OK) {
		owner_copies(run, dst, src, order);
		b->isolated = false;
		if (move->compacts)
			exec_compact_moves(run, b);
		model_movable_moved(&exec_mov.mm, &run->m, slot, dst);
		exec_mov_unowned(run, src, order);
		move->moved = true;
		b->released = move->dst_released;
		exec_mov_dropped(run, slot);
	} else if (run->setup.content && !move->dst_released) { /* half done, and undone: what is in dst is nobody's */
		exec_stamp(run, dst, (size_t)1 << order, (uint32_t)cookie | 1u);
	}
	return move->said;
}

static void owner_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct exec_owner *owner = ctx;
	const unsigned slot = owner_called(owner, OWNER_PUTBACK, head, order, cookie);
	struct exec_move *move = exec_mov.move;
	size_t index;

	if (slot == MODEL_NO_BLOCK)
		return;
	struct model_movable *b = &exec_mov.mm.block[slot];
	if (!move->isolated || move->slot != slot || move->putback || move->moved) {
		exec_mov_fail(owner->run, "I10 automaton", "putback() is called once for a block that is isolated and was not moved", head,
		              move->isolated, move->putback);
		return;
	}
	if (!move->by_take && !move->compacts && !move->has_dst && !exec_mov_judge_nomem(owner->run, move)) {
		exec_mov.broken = true;
		return;
	}
	owner_acts(owner, OWNER_PUTBACK, slot);
	move->putback = true;
	exec_mov.mm.moves[model_zone_of(&owner->run->m, head, &index)].putback++;
	b->isolated = false;
	move->stopped = b->released;
	exec_mov_dropped(owner->run, slot);
	if (move->compacts && move->has_dst)
		exec_mov_forget_dst(owner->run, move);
}

const struct pfa_owner_ops exec_owner_ops = {
	.size = sizeof(struct pfa_owner_ops), .isolate = owner_isolate, .migrate = owner_migrate, .putback = owner_putback
};
