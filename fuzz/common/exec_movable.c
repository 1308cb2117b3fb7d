/* SPDX-License-Identifier: MIT
 *
 * exec_movable.c - the operations on owners and movable blocks, but for moves (exec_migrate.c); and what is judged of movable
 * blocks after each step.
 */
#include "exec_movable.h"

#include <string.h>

void exec_mov_unowned(struct exec_run *run, pfa_pfn pfn, unsigned order)
{
	exec_touch(run, pfn, (size_t)1 << order);
	exec_unowned(run, pfn, (size_t)1 << order);
}

void exec_mov_owned(struct exec_run *run, pfa_pfn pfn, unsigned order)
{
	const size_t nr = (size_t)1 << order;

	exec_touch(run, pfn, nr);
	exec_owned(run, pfn, nr);
	exec_unpoke(run, pfn, nr, false);
	exec_stamp(run, pfn, nr, model_take(&run->m, pfn, order));
}

void exec_mov_dropped(struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];

	if (!b->released || b->pins || b->holder || b->isolated)
		return;
	if (model_movable_drop(&exec_mov.mm, &run->m, slot))
		exec_mov_unowned(run, b->pfn, b->order);
}

void exec_mov_freed(struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];

	exec_touch(run, b->pfn, (size_t)1 << b->order);
	if (model_movable_free(&exec_mov.mm, &run->m, slot))
		exec_mov_unowned(run, b->pfn, b->order);
}

bool exec_mov_call_ends(struct exec_run *run)
{
	const unsigned told = exec_mov.told;
	const uint32_t kinds = exec_mov.kinds;

	exec_mov.told = 0;
	exec_mov.kinds = 0;
	if (exec_mov.broken)
		return false;
	run->told_misuses += told;
	if (run->nr_told != told || (told && !(kinds >> run->told.kind & 1u)))
		return exec_fail(run, "contract fatal", "what a move must tell platform.fatal (times, kind)", 0, told,
		                 run->nr_told != told ? run->nr_told : (size_t)run->told.kind);
	run->step.fault = told ? run->told.kind : PFA_FAULT_NONE;
	return true;
}

/* The nth registered owner; NULL: there is none. */
static struct exec_owner *movable_owner(uint64_t n)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_OWNERS; i++)
		nr += exec_mov.mm.registered[i];
	if (!nr)
		return NULL;
	n %= nr;
	for (unsigned i = 0;; i++)
		if (exec_mov.mm.registered[i] && n-- == 0)
			return &exec_mov.owner[i];
}

/* ---- owners -------------------------------------------------------------------------------------------------------- */

static bool movable_owner_create(struct exec_run *run, uint64_t wrong)
{
	struct {
		struct pfa_owner_ops ops;
		unsigned char tail[8];
	} odd = { .ops = exec_owner_ops };
	const pfa_owner untouched = 0x5AA5F00Du;
	pfa_owner handle = untouched;
	unsigned index = 0;
	int code, expected = PFA_EINVAL;

	while (index < exec_mov.mm.max_owners && exec_mov.mm.registered[index])
		index++;
	switch (wrong) {
	case 1: case 2: case 3: case 4: odd.ops.size -= (size_t)wrong * 2; break;
	case 5:
		odd.ops.size = sizeof(odd);
		memset(odd.tail, 0, sizeof(odd.tail));
		odd.tail[7] = 1;
		break;
	case 6: odd.ops.isolate = NULL; break;
	case 7: odd.ops.migrate = NULL; break;
	case 8: odd.ops.putback = NULL; break;
	default: expected = index < exec_mov.mm.max_owners ? PFA_OK : PFA_ENOMEM;
	}
	struct exec_owner *o = &exec_mov.owner[index % MODEL_OWNERS];
	EXEC_CALL(run, code, run->ops->owner_create(run->sut, &odd.ops, o, &handle));
	if (!exec_expect_code(run, expected, code))
		return false;
	if ((code != PFA_OK && handle != untouched) || (code == PFA_OK && handle == 0))
		return exec_fail(run, "contract out", "the handle of an owner", 0, untouched, handle);
	if (code == PFA_OK) {
		*o = (struct exec_owner){ .run = run, .index = index, .handle = handle };
		exec_mov.mm.registered[index] = true;
	}
	return true;
}

static bool movable_owner_destroy(struct exec_run *run, uint64_t n, uint64_t stale)
{
	struct exec_owner *o = movable_owner(n);
	int code, expected = PFA_EINVAL;

	if (stale == 0 && !o)
		return exec_skip(run);
	const pfa_owner handle = stale == 0 ? o->handle : stale == 1 ? exec_mov.stale : 0xFFFF0000u | (uint32_t)n;
	for (unsigned i = 0; i < MODEL_OWNERS && stale; i++)
		if (exec_mov.mm.registered[i] && exec_mov.owner[i].handle == handle)
			return exec_skip(run);
	if (stale == 0)
		expected = model_expect_destroy(&exec_mov.mm, o->index);
	EXEC_CALL(run, code, run->ops->owner_destroy(run->sut, handle));
	if (!exec_expect_code(run, expected, code))
		return false;
	if (code == PFA_OK) {
		exec_mov.mm.registered[o->index] = false;
		exec_mov.stale = handle;
	}
	return true;
}

static bool movable_script(struct exec_run *run, const struct prog_op *op)
{
	struct exec_owner *o = movable_owner(op->arg[0]);
	const unsigned which = (unsigned)op->arg[1] % OWNER_OPS, what = (unsigned)op->arg[2], times = (unsigned)op->arg[3];

	if (!o)
		return exec_skip(run);
	if (op->kind == OP_OWNER_SAYS) {
		o->script[which].says = what;
		o->script[which].says_left = times;
		o->script[which].says_ever = times == 0;
	} else {
		o->script[which].does = what;
		o->script[which].does_left = times;
		o->script[which].does_ever = times == 0;
	}
	return true;
}

/* ---- movable blocks ------------------------------------------------------------------------------------------------ */

/* Block number at of the handle. */
static bool movable_set(struct exec_run *run, struct exec_handle *h, uint32_t at, const struct exec_owner *o, unsigned handle)
{
	const uint32_t node = exec_nth(run, h, at);
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node];
	int code;

	const unsigned slot = model_movable_make(&exec_mov.mm, &run->m, pfn, order, o->index, handle);
	if (slot == MODEL_NO_BLOCK)
		return true;
	(void)exec_cut(run, h, at % h->nr, 1);
	exec_touch(run, pfn, (size_t)1 << order);
	EXEC_CALL(run, code, run->ops->movable_set(run->sut, pfn, o->handle, exec_mov.mm.block[slot].cookie));
	return exec_expect_code(run, PFA_OK, code);
}

static bool movable_set_op(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const struct exec_owner *o = movable_owner(op->arg[2]);
	const uint32_t but = op->kind == OP_MOVABLE_SET_ALL ? (uint32_t)op->arg[1] : 0, nr = h->nr;

	if (!o || !h->nr || exec_mov.mm.nr == MODEL_MOVABLES)
		return exec_skip(run);
	if (op->kind == OP_MOVABLE_SET)
		return movable_set(run, h, (uint32_t)op->arg[1], o, op->ref);
	for (uint32_t i = 0, at = 0; i < nr && exec_mov.mm.nr < MODEL_MOVABLES; i++) {
		if (but && i % (but + 1) == but) {
			at++;
			continue;
		}
		if (!movable_set(run, h, at, o, op->ref))
			return false;
	}
	return true;
}

static bool movable_clear(struct exec_run *run, unsigned slot)
{
	const struct model_movable b = exec_mov.mm.block[slot];
	int code;

	EXEC_CALL(run, code, run->ops->movable_clear(run->sut, b.pfn));
	if (!exec_expect_code(run, model_expect_clear(&exec_mov.mm, slot, exec_mov_self(run)), code))
		return false;
	exec_touch(run, b.pfn, (size_t)1 << b.order);
	if (code == PFA_OK) {
		model_movable_unmake(&exec_mov.mm, &run->m, slot);
		exec_append(run, &run->handle[b.handle], b.pfn, b.order);
	}
	return true;
}

static bool movable_free(struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];
	const struct expectation e = model_expect_release(&exec_mov.mm, slot, exec_mov_self(run), false);
	int code;

	if (e.code == PFA_EMISUSE && (run->ops->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	if (!exec_verify_stamps(run, b->pfn, (size_t)1 << b->order)) /* before: what is free may be poisoned */
		return false;
	EXEC_CALL(run, code, run->ops->free(run->sut, b->pfn, b->order));
	if (!exec_expect(run, e, code, b->pfn, true))
		return false;
	if (code == PFA_OK)
		exec_mov_freed(run, slot);
	return !exec_mov.broken;
}

static bool movable_pin(struct exec_run *run, unsigned slot, uint64_t times)
{
	struct model_movable *b = &exec_mov.mm.block[slot];
	int code = PFA_OK;

	for (uint64_t i = 0; i < times && code == PFA_OK; i++) {
		const int expected = model_expect_pin(&exec_mov.mm, slot, exec_mov_self(run), false);
		EXEC_CALL(run, code, run->ops->pin(run->sut, b->pfn));
		if (!exec_expect_code(run, expected, code))
			return false;
		b->pins += code == PFA_OK;
	}
	return true;
}

static bool movable_unpin(struct exec_run *run, unsigned slot, bool all)
{
	struct model_movable *b = &exec_mov.mm.block[slot];
	const pfa_pfn pfn = b->pfn;
	int code;

	if (!exec_verify_stamps(run, pfn, (size_t)1 << b->order))
		return false;
	do {
		const struct expectation e = model_expect_unpin(&exec_mov.mm, slot);
		if (e.code == PFA_EMISUSE && (run->ops->lacks & SUT_NO_MISUSE))
			return exec_skip(run);
		EXEC_CALL(run, code, run->ops->unpin(run->sut, pfn));
		if (!exec_expect(run, e, code, pfn, true))
			return false;
		b->pins -= code == PFA_OK;
		exec_mov_dropped(run, slot);
	} while (all && b->used && b->pins && !exec_mov.broken);
	exec_touch(run, pfn, (size_t)1 << b->order);
	return !exec_mov.broken;
}

static bool movable_lock(struct exec_run *run, unsigned slot, bool wait)
{
	struct model_movable *b = &exec_mov.mm.block[slot];
	int code;

	EXEC_CALL(run, code, (wait ? run->ops->page_lock : run->ops->page_trylock)(run->sut, b->pfn));
	if (!exec_expect_code(run, model_expect_lock(&exec_mov.mm, slot, exec_mov_self(run)), code))
		return false;
	if (code == PFA_OK)
		b->holder = exec_mov_self(run);
	return true;
}

static bool movable_unlock(struct exec_run *run, unsigned slot)
{
	struct model_movable *b = &exec_mov.mm.block[slot];
	const struct expectation e = model_expect_unlock(&exec_mov.mm, slot, exec_mov_self(run));
	int code;

	if (e.code == PFA_EMISUSE && (run->ops->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	if (!exec_verify_stamps(run, b->pfn, (size_t)1 << b->order))
		return false;
	exec_touch(run, b->pfn, (size_t)1 << b->order);
	EXEC_CALL(run, code, run->ops->page_unlock(run->sut, b->pfn));
	if (!exec_expect(run, e, code, b->pfn, true))
		return false;
	if (code == PFA_OK) {
		b->holder = 0;
		exec_mov_dropped(run, slot);
	}
	return !exec_mov.broken;
}

static bool movable_judge_info(struct exec_run *run, unsigned slot)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];
	const struct pfa_movable_info e = model_movable_info(&exec_mov.mm, slot);
	struct pfa_movable_info is = { .pins = 0 };
	const int code = run->ops->movable_info(run->sut, b->pfn, &is);

	if (code != PFA_OK)
		return exec_fail(run, "I10 view", "a movable block is not shown as one", b->pfn, 0, (size_t)(unsigned)-code);
	if (is.pins != e.pins || is.locked != e.locked || is.isolated != e.isolated || is.released != e.released ||
	    is.owner != (b->released ? 0 : exec_mov.owner[b->owner].handle))
		return exec_fail(run, "I10 view", "a movable block's pins (1 = locked, 2 = isolated, 4 = released above them), or owner", b->pfn,
		                 e.pins * 8 + e.locked + e.isolated * 2u + e.released * 4u,
		                 is.pins * 8 + is.locked + is.isolated * 2u + is.released * 4u);
	return true;
}

static bool movable_info(struct exec_run *run, unsigned slot)
{
	run->must_be_unchanged = true;
	run->step.value = exec_mov.mm.block[slot].pins;
	return movable_judge_info(run, slot);
}

static bool movable_cut(struct exec_run *run, unsigned slot, uint64_t how)
{
	const struct model_movable *b = &exec_mov.mm.block[slot];
	const struct expectation e = { PFA_EMISUSE, 1u << PFA_FAULT_MOVABLE };
	int code;

	if (how > 1) {
		EXEC_CALL(run, code, run->ops->movable_set(run->sut, b->pfn, exec_mov.owner[b->owner].handle, 0));
		return exec_expect_code(run, PFA_EBUSY, code);
	}
	if (run->ops->lacks & SUT_NO_MISUSE)
		return exec_skip(run);
	if (how == 1)
		EXEC_CALL(run, code, run->ops->free_range(run->sut, b->pfn, (size_t)1 << b->order));
	else
		EXEC_CALL(run, code, run->ops->split(run->sut, b->pfn, b->order, 0));
	return exec_expect(run, e, code, b->pfn, false);
}

/* Each function, of a pfn where no movable block begins. */
static bool movable_of_pfn(struct exec_run *run, pfa_pfn pfn, uint64_t what)
{
	const struct sut_ops *o = run->ops;
	const struct exec_owner *owner = movable_owner(what);
	struct expectation e = { PFA_EINVAL, 0 };
	struct pfa_movable_info info;
	size_t index;
	int code;

	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	if (model_movable_at(&exec_mov.mm, pfn) != MODEL_NO_BLOCK || (what == 0 && zone < run->m.nr_zones && owner && run->m.state[index] == MODEL_HEAD))
		return exec_skip(run);
	if (what == 3 || what == 6)
		e = (struct expectation){ PFA_EMISUSE, 1u << (what == 3 ? PFA_FAULT_NOT_PINNED : PFA_FAULT_PAGE_LOCK) };
	if (e.code == PFA_EMISUSE && (o->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	if (zone == run->m.nr_zones)
		e = (struct expectation){ PFA_ERANGE, 0 };
	switch (what) {
	case 0: EXEC_CALL(run, code, o->movable_set(run->sut, pfn, owner ? owner->handle : 1, 0)); break;
	case 1: EXEC_CALL(run, code, o->movable_clear(run->sut, pfn)); break;
	case 2: EXEC_CALL(run, code, o->pin(run->sut, pfn)); break;
	case 3: EXEC_CALL(run, code, o->unpin(run->sut, pfn)); break;
	case 4: EXEC_CALL(run, code, o->page_lock(run->sut, pfn)); break;
	case 5: EXEC_CALL(run, code, o->page_trylock(run->sut, pfn)); break;
	case 6: EXEC_CALL(run, code, o->page_unlock(run->sut, pfn)); break;
	default: EXEC_CALL(run, code, o->movable_info(run->sut, pfn, &info));
	}
	run->must_be_unchanged = true;
	return exec_expect(run, e, code, pfn, true);
}

/* ---- dispatch ------------------------------------------------------------------------------------------------------ */

/* Without an owner table everything says so. */
static bool movable_none(struct exec_run *run, unsigned kind)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .flags = PFA_MOVABLE };
	const struct sut_ops *o = run->ops;
	const pfa_pfn pfn = run->m.zone[0].start;
	struct pfa_movable_info info;
	pfa_owner owner;
	int code, result;

	switch (kind) {
	case OP_OWNER_CREATE: EXEC_CALL(run, code, o->owner_create(run->sut, &exec_owner_ops, NULL, &owner)); break;
	case OP_OWNER_DESTROY: EXEC_CALL(run, code, o->owner_destroy(run->sut, 1)); break;
	case OP_MOVABLE_SET: EXEC_CALL(run, code, o->movable_set(run->sut, pfn, 1, 0)); break;
	case OP_MOVABLE_CLEAR: EXEC_CALL(run, code, o->movable_clear(run->sut, pfn)); break;
	case OP_PIN: EXEC_CALL(run, code, o->pin(run->sut, pfn)); break;
	case OP_UNPIN: EXEC_CALL(run, code, o->unpin(run->sut, pfn)); break;
	case OP_PAGE_LOCK: EXEC_CALL(run, code, o->page_lock(run->sut, pfn)); break;
	case OP_PAGE_TRYLOCK: EXEC_CALL(run, code, o->page_trylock(run->sut, pfn)); break;
	case OP_PAGE_UNLOCK: EXEC_CALL(run, code, o->page_unlock(run->sut, pfn)); break;
	case OP_MOVABLE_INFO: EXEC_CALL(run, code, o->movable_info(run->sut, pfn, &info)); break;
	case OP_MIGRATE: EXEC_CALL(run, code, o->migrate(run->sut, &pfn, 1, &dest, &result)); break;
	case OP_COMPACT: EXEC_CALL(run, code, o->compact(run->sut, 0, 0, PFA_MIGRATE_ASYNC, NULL)); break;
	default: return exec_skip(run);
	}
	run->must_be_unchanged = true;
	return exec_expect_code(run, PFA_ENOTSUP, code);
}

static bool movable_on_block(struct exec_run *run, const struct prog_op *op)
{
	const uint64_t *a = op->arg;

	if (!exec_mov.mm.nr)
		return exec_skip(run);
	const unsigned slot = model_movable_nth(&exec_mov.mm, a[0]);
	run->step.has_pfn = true;
	run->step.pfn = exec_mov.mm.block[slot].pfn;
	run->step.nr_frames = (size_t)1 << exec_mov.mm.block[slot].order;
	switch (op->kind) {
	case OP_MOVABLE_CLEAR: return movable_clear(run, slot);
	case OP_MOVABLE_FREE: return movable_free(run, slot);
	case OP_PIN: return movable_pin(run, slot, UINT64_C(1) << a[1]);
	case OP_UNPIN: return movable_unpin(run, slot, a[1] != 0);
	case OP_PAGE_LOCK: return movable_lock(run, slot, true);
	case OP_PAGE_TRYLOCK: return movable_lock(run, slot, false);
	case OP_PAGE_UNLOCK: return movable_unlock(run, slot);
	case OP_MOVABLE_INFO: return movable_info(run, slot);
	default: return movable_cut(run, slot, a[1]);
	}
}

bool exec_movable(struct exec_run *run, const struct prog_op *op)
{
	const uint64_t *a = op->arg;

	if (!run->ops->migrate || run->fault[PROG_SITE_SELF].armed) /* threads are not who they say they are */
		return exec_skip(run);
	if (!exec_mov.mm.max_owners)
		return movable_none(run, op->kind);
	switch (op->kind) {
	case OP_OWNER_CREATE: return movable_owner_create(run, a[0]);
	case OP_OWNER_DESTROY: return movable_owner_destroy(run, a[0], a[1]);
	case OP_OWNER_SAYS:
	case OP_OWNER_DOES: return movable_script(run, op);
	case OP_MOVABLE_SET:
	case OP_MOVABLE_SET_ALL: return movable_set_op(run, op, &run->handle[op->ref]);
	case OP_MIGRATE: return exec_migrate(run, a[0], a[1], a[2], prog_flags(a[3], 0));
	case OP_MIGRATE_TO: return exec_migrate_to(run, a);
	case OP_MIGRATE_LIST: return exec_migrate_list(run, a);
	case OP_MIGRATE_RAW: return exec_migrate_raw(run, a);
	case OP_COMPACT: return exec_compact(run, a);
	case OP_MOVABLE_PFN: return movable_of_pfn(run, (pfa_pfn)a[0], a[1]);
	case OP_MOVABLE_FAR: return movable_of_pfn(run, exec_far(run, a[0]), a[1]);
	default: return movable_on_block(run, op);
	}
}

/* ---- every step, and the end --------------------------------------------------------------------------------------- */

void exec_movable_begin(struct exec_run *run)
{
	model_movables_init(&exec_mov.mm, run->ops->migrate ? run->setup.cfg.max_owners : 0);
	memset(exec_mov.owner, 0, sizeof(exec_mov.owner));
	exec_mov.stale = 0;
	exec_mov.stale_area = 0;
	exec_mov.move = NULL;
	exec_mov.list = NULL;
	exec_mov.contig = NULL;
	exec_mov.holds = (struct exec_holds){ .nr = 0 };
	exec_mov.inside = exec_mov.told = exec_mov.nr_told = exec_mov.nr_extra = 0;
	exec_mov.nr_made = 0;
	exec_mov.kinds = 0;
	exec_mov.broken = false;
	exec_mov.dice = run->p->config.seed;
	memset(exec_mov.calls, 0, sizeof(exec_mov.calls));
}

bool exec_judge_movable(struct exec_run *run)
{
	struct verdict v;

	if (!exec_compact_ends(run))
		return false;
	if (!exec_mov.mm.max_owners)
		return true;
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++)
		if (!model_judge_movable_sums(&exec_mov.mm, &run->m, zone, &run->now[zone], &v))
			return exec_say(run, &v);
	for (unsigned i = 0; i < MODEL_MOVABLES && exec_mov.mm.nr; i++)
		if (exec_mov.mm.block[i].used && !movable_judge_info(run, i))
			return false;
	return true;
}

/* Everything is let go and freed, and the owners end. */
bool exec_movable_end(struct exec_run *run)
{
	const unsigned thread = run->thread;

	run->fault[PROG_SITE_SELF].armed = false;
	for (unsigned i = 0; i < MODEL_MOVABLES; i++) {
		struct model_movable *b = &exec_mov.mm.block[i];
		run->thread = b->used && b->holder ? b->holder - 1 : thread;
		if ((b->used && b->holder && !movable_unlock(run, i)) || (b->used && b->pins && !movable_unpin(run, i, true)) ||
		    (b->used && !movable_free(run, i)))
			return false;
		if (b->used)
			return exec_fail(run, "teardown", "a movable block is not free after all have let go of it", b->pfn, 0, 1);
	}
	run->thread = thread;
	for (unsigned i = 0; i < MODEL_OWNERS; i++)
		if (exec_mov.mm.registered[i] && !movable_owner_destroy(run, 0, 0))
			return false;
	return true;
}
