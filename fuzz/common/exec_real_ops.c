/* SPDX-License-Identifier: MIT
 *
 * exec_real_ops.c - operations of fuzz_owners that are no owner's: the program's own blocks, caches, compaction, moves, and
 * what callbacks do.
 */
#include "exec_real_report.h"

#include <string.h>

/* ---- the program's own blocks ----------------------------------------------------------------------------------------- */

static bool core_add(struct real_run *r, pfa_pfn pfn, unsigned order, unsigned handle)
{
	struct real_core *c = &r->core[r->nr_core];
	if (!real_hold(r, pfn, (size_t)1 << order, REAL_NOBODY, REAL_CORE))
		return false;
	*c = (struct real_core){ pfn, (uint16_t)handle, (uint8_t)order, ++r->seed };
	r->nr_core++;
	r->core_frames += (size_t)1 << order;
	return real_core_stamp(r, c, false);
}

static bool core_drop(struct real_run *r, size_t at)
{
	const struct real_core c = r->core[at];
	if (!real_core_stamp(r, &r->core[at], true) || !real_hold(r, c.pfn, (size_t)1 << c.order, REAL_CORE, REAL_NOBODY))
		return false;
	r->core[at] = r->core[--r->nr_core];
	r->core_frames -= (size_t)1 << c.order;
	return real_may(r, pfa_free(r->pfa, c.pfn, c.order), REAL_MAY(PFA_OK), "a free of the program's own block");
}

bool real_core_free_one(struct real_run *r)
{
	return !r->nr_core || core_drop(r, r->seed % r->nr_core);
}

static uint32_t core_codes(uint32_t flags)
{
	return REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM) | (flags & (PFA_NORETRY | PFA_NOWAIT) ? REAL_MAY(PFA_EAGAIN) : 0) |
	       (flags & PFA_ZERO ? REAL_MAY(PFA_ENOTSUP) : 0);
}

static bool core_alloc(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const uint32_t flags = prog_flags(op->arg[1], op->arg[2]);
	pfa_pfn pfn = 0;
	const int code = real_calls.alloc(r->pfa, (unsigned)op->arg[0], flags, &pfn);
	if (!real_may(r, code, core_codes(flags), "pfa_alloc()"))
		return false;
	r->run->r->grants += code == PFA_OK;
	if (code == PFA_OK && !told_judge_grant(r, pfn, (unsigned)op->arg[0], flags))
		return false;
	return code == PFA_OK ? core_add(r, pfn, (unsigned)op->arg[0], index)
	                      : real_really_full(r, code, (unsigned)op->arg[0], flags);
}

static bool core_alloc_bulk(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const struct prog_kind_info *info = prog_kind(OP_ALLOC_BULK);
	pfa_pfn pfns[256];
	uint64_t a[4] = { 0 }; /* order, flags, number, zone */
	size_t got = 0;
	for (unsigned i = 0; i < info->nr_args && i < 4; i++) {
		const enum prog_argkind kind = info->args[i].kind;
		a[kind == PROG_ARG_ORDER ? 0 : kind == PROG_ARG_FLAGS ? 1 : kind == PROG_ARG_NR ? 2 : 3] = op->arg[i];
	}
	const uint32_t flags = prog_flags(a[1], a[3]);
	const size_t nr = a[2] < 256 ? (size_t)a[2] : 256;
	const int code = pfa_alloc_bulk(r->pfa, (unsigned)a[0], flags, nr, pfns, &got);
	if (!real_may(r, code, core_codes(flags), "pfa_alloc_bulk()"))
		return false;
	if (got > nr || (code == PFA_OK) != (got == nr))
		return real_fail(r, "owners code", "a bulk was granted another number than it says", 0, nr, got);
	r->run->step.value = got;
	for (size_t i = 0; i < got; i++)
		if (!told_judge_zero(r, pfns[i], (unsigned)a[0], flags) || !core_add(r, pfns[i], (unsigned)a[0], index))
			return false;
	return true;
}

/* Every (each + 1)th block of the handle. */
static bool core_free(struct real_run *r, unsigned handle, unsigned each)
{
	unsigned nr = 0;
	for (size_t i = r->nr_core; i-- > 0;)
		if (r->core[i].handle == handle && nr++ % (each + 1) == 0 && !core_drop(r, i))
			return false;
	if (!nr)
		return exec_skip(r->run);
	return true;
}

static bool hog(struct real_run *r, size_t leave, unsigned order)
{
	struct pfa_zone_stats now;
	size_t left = 0;
	for (unsigned zone = 0; zone < r->run->setup.cfg.nr_zones; zone++)
		if (pfa_zone_stats_get(r->pfa, zone, &now, sizeof(now)) == PFA_OK)
			left += now.free + now.cached;
	const unsigned times = r->hook_times;
	r->hook_times = 0; /* they are for the others */
	for (pfa_pfn pfn; left > leave && left >= (size_t)1 << order && r->nr_core < REAL_FRAMES; left -= (size_t)1 << order)
		if (pfa_alloc(r->pfa, order, PFA_MOVABLE, &pfn) != PFA_OK)
			break;
		else if (!core_add(r, pfn, order, REAL_HOGGED))
			return false;
	r->hook_times = times;
	return true;
}

/* ---- what callbacks do ------------------------------------------------------------------------------------------------ */

bool real_extra_take(struct real_run *r)
{
	pfa_pfn pfn;
	if (r->nr_extra == REAL_EXTRAS || pfa_alloc(r->pfa, 0, PFA_MOVABLE | PFA_NOWAIT, &pfn) != PFA_OK)
		return false;
	r->extra[r->nr_extra++] = pfn;
	return real_hold(r, pfn, 1, REAL_NOBODY, REAL_EXTRA);
}

bool real_extra_give(struct real_run *r)
{
	if (!r->nr_extra)
		return false;
	const pfa_pfn pfn = r->extra[--r->nr_extra];
	r->gave = true;
	return real_hold(r, pfn, 1, REAL_EXTRA, REAL_NOBODY) &&
	       real_may(r, pfa_free(r->pfa, pfn, 0), REAL_MAY(PFA_OK), "a free inside of a callback");
}

static void does_to_store(struct real_run *r, unsigned what)
{
	for (unsigned i = 0; i < REAL_EACH; i++) {
		struct real_zstore *z = &r->zstore[i];
		if (!z->it)
			continue;
		if (what == 6 && !z->putting)
			(void)real_zstore_put(r, z, r->seed % 8, 1 + r->seed * 97u % z->most);
		else if (what == 2 && z->nr)
			(void)real_zstore_delete(r, z, 0);
		else if (what == 5 && z->nr)
			(void)real_zstore_get(r, z, r->seed % z->nr, 0);
	}
}

static void does_to_arena(struct real_run *r, unsigned what)
{
	for (unsigned i = 0; i < REAL_EACH; i++) {
		struct real_mapped *a = &r->mapped[i];
		if (!a->it || !a->nr)
			continue;
		const size_t at = ++r->seed * 7u % a->nr;
		if (what == 7)
			real_mapped_write(r, a, at, r->seed % 8, 1 + r->seed % 20);
		else if (what == 8)
			(void)real_mapped_free(r, a, at, 1, false);
		else
			(void)real_mapped_pin(r, a, at, 1, what == 9);
	}
}

static void does_move(struct real_run *r)
{
	static pfa_pfn heads[REAL_FRAMES];
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC_LIGHT, .flags = PFA_MOVABLE };
	const size_t nr = real_movables(r, heads);
	int result;
	if (nr)
		(void)real_may(r, pfa_migrate(r->pfa, &heads[++r->seed % nr], 1, &dest, &result), REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN),
		               "pfa_migrate() inside of take()");
}

size_t real_does(struct real_run *r, unsigned what, bool hook)
{
	const struct exec_step step = r->run->step;
	size_t freed = 0;

	if (what == 0 || r->depth || (hook && what > 4 && what != 15))
		return 0;
	r->depth++;
	r->acted++;
	switch (what) {
	case 1: freed = real_deflate_some(r, 2); break;
	case 3: (void)real_extra_take(r); break;
	case 4: freed = real_extra_give(r); break;
	case 2: case 5: case 6: does_to_store(r, what); break;
	case 7: case 8: case 9: case 10: does_to_arena(r, what); break;
	case 11: (void)real_inflate(r, &r->balloon[r->seed % REAL_EACH], 1); break;
	case 12: does_move(r); break;
	case 13:
		(void)real_may(r, pfa_compact(r->pfa, PFA_ALL_ZONES, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, NULL),
		               REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM) | REAL_MAY(PFA_EBUSY), "pfa_compact() inside of take()");
		break;
	case 15:
		freed = real_deflate_some(r, SIZE_MAX);
		does_to_store(r, 2);
		if (!hook)
			does_to_arena(r, 8);
		break;
	default:
		break;
	}
	r->depth--;
	r->run->step = step;
	if (hook && what == 2) /* whether a block became free with it is not known: try again */
		freed = 1;
	return freed;
}

/* ---- moves ------------------------------------------------------------------------------------------------------------ */

/* What take() does and gives; one at a time. */
static struct {
	unsigned does;
	size_t out;
} taker;

static int take(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	struct real_run *r = ctx;
	(void)src;
	(void)real_does(r, taker.does, false);
	if (taker.does == 14)
		return PFA_ENOMEM;
	const int code = pfa_alloc(r->pfa, order, PFA_MOVABLE, out);
	taker.out += code == PFA_OK;
	return code;
}

static void give(void *ctx, pfa_pfn dst, unsigned order)
{
	struct real_run *r = ctx;
	taker.out--;
	(void)real_may(r, pfa_free(r->pfa, dst, order), REAL_MAY(PFA_OK), "a destination is given back");
}

struct pfa_dest real_dest(struct real_run *r, unsigned mode, bool with_take, bool with_give, unsigned does)
{
	taker.does = does;
	taker.out = 0;
	return (struct pfa_dest){ .size = sizeof(struct pfa_dest), .mode = (enum pfa_migrate_mode)(mode % PFA_MIGRATE_MODES),
		                  .flags = with_take ? 0 : PFA_MOVABLE, .take = with_take ? take : NULL,
		                  .give = with_take && with_give ? give : NULL, .ctx = r };
}

/* Why may this block refuse? */
static bool may_refuse(const struct real_run *r, pfa_pfn head)
{
	pfa_pfn at;
	for (unsigned i = 0; i < REAL_EACH; i++) {
		const struct real_mapped *a = &r->mapped[i];
		for (size_t k = 0; k < a->nr; k++)
			if (a->units[k].pins && pfa_mapped_head(a->it, a->units[k].at, &at) == PFA_OK && at == head)
				return true;
	}
	return r->balloon[0].refused || r->balloon[1].refused || r->kernel_failed || r->acted;
}

static bool move_judge(struct real_run *r, pfa_pfn head, int result, bool alone)
{
	struct pfa_frame_info f;
	switch (result) {
	case PFA_OK:
		/* where one block moved its frames are nobody's now */
		if (alone && !r->acted && (pfa_frame_info(r->pfa, head, &f) != PFA_OK || f.state == PFA_FRAME_HEAD || f.state == PFA_FRAME_TAIL))
			return real_fail(r, "owners move", "a block was moved, and its old place is not free (state)", head, PFA_FRAME_FREE, f.state);
		return true;
	case PFA_ENOMEM:
		return true;
	case PFA_EBUSY:
		if (may_refuse(r, head))
			return true;
		return real_fail(r, "owners liveness", "a block is not moved, though nothing is in its way", head, PFA_OK, (size_t)-result);
	case PFA_ESTOP: case PFA_EINVAL: /* freed meanwhile */
		if (r->acted)
			return true;
		break;
	default:
		break;
	}
	return real_fail(r, "owners code", "a result of pfa_migrate() that nothing here explains", head, PFA_OK, (size_t)(unsigned)-result);
}

static bool move_blocks(struct real_run *r, const struct prog_op *op)
{
	static pfa_pfn all[REAL_FRAMES];
	const size_t found = real_movables(r, all);
	int results[8];
	size_t nr = 1 + (op->arg[2] & 7), ok = 0;
	bool fine = true;

	if (!found)
		return exec_skip(r->run);
	const size_t at = (size_t)op->arg[0] % found;
	if (nr > found - at)
		nr = found - at;
	const struct pfa_dest dest = real_dest(r, (unsigned)op->arg[1], op->arg[2] >> 3 & 1, !(op->arg[2] >> 4 & 1), (unsigned)op->arg[3]);
	const int code = real_calls.migrate(r->pfa, all + at, nr, &dest, results);
	if (!real_may(r, code, REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN), "pfa_migrate()"))
		return false;
	for (size_t i = 0; i < nr && fine; i++) {
		ok += results[i] == PFA_OK;
		fine = move_judge(r, all[at + i], results[i], nr == 1);
	}
	if (fine && (code == PFA_OK) != (ok == nr))
		fine = real_fail(r, "owners code", "pfa_migrate() counts otherwise than its results", 0, nr, ok);
	if (fine && dest.give && taker.out != ok && !r->acted)
		fine = real_fail(r, "owners move", "destinations that were taken, and not given back, are as many as moves", 0, ok, taker.out);
	r->run->step.has_pfn = true;
	r->run->step.pfn = all[at];
	r->run->step.value = ok;
	return fine;
}

static bool compact(struct real_run *r, const struct prog_op *op)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const uint32_t zone = op->arg[0] == 7 ? PFA_ALL_ZONES : (uint32_t)op->arg[0];
	const unsigned order = op->arg[1] == 63 ? PFA_COMPACT_ALL : (unsigned)op->arg[1];
	const unsigned most = cfg->max_order == PFA_EXPLICIT_0 ? 0 : cfg->max_order;
	struct pfa_compact_stats stats;
	const int code = pfa_compact(r->pfa, zone, order, (enum pfa_migrate_mode)op->arg[2], op->arg[3] ? &stats : NULL);
	uint32_t allowed = REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM);
	if (!cfg->max_owners)
		allowed = REAL_MAY(PFA_ENOTSUP);
	else if ((zone != PFA_ALL_ZONES && zone >= cfg->nr_zones) || (order != PFA_COMPACT_ALL && order > most) || op->arg[2] > 2)
		allowed = REAL_MAY(PFA_EINVAL);
	return real_may(r, code, allowed, "pfa_compact()");
}

/* ---- dispatch --------------------------------------------------------------------------------------------------------- */

static bool op_of_the_core(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const uint64_t *a = op->arg;
	const uint32_t fine = REAL_MAY(PFA_OK);
	switch (op->kind) {
	case OP_ALLOC: return core_alloc(r, op, index);
	case OP_ALLOC_BULK: return core_alloc_bulk(r, op, index);
	case OP_FREE: case OP_FREE_BULK: case OP_FREE_RANGE: return core_free(r, op->ref, 0);
	case OP_FREE_PART: return core_free(r, op->ref, 1);
	case OP_CACHE_DRAIN:
		return real_may(r, pfa_cache_drain(r->pfa, a[0] == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)a[0]), fine | REAL_MAY(PFA_EINVAL),
		                "pfa_cache_drain()");
	case OP_CACHE_DISABLE: return real_may(r, pfa_cache_disable(r->pfa), fine, "pfa_cache_disable()");
	case OP_CACHE_ENABLE: return real_may(r, pfa_cache_enable(r->pfa), fine | REAL_MAY(PFA_EINVAL), "pfa_cache_enable()");
	case OP_SET_CPU:
		r->sim.cpu = setup_cpu = a[0] == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)a[0];
		return true;
	case OP_CLOCK_ADVANCE: pfa_sim_advance(&r->sim, a[0]); return true;
	case OP_SERVICE: return real_may(r, told_service(r, 1 + (unsigned)a[0]), fine | REAL_MAY(PFA_EAGAIN), "pfa_service()");
	case OP_MARK_BAD: return real_may(r, pfa_mark_bad(r->pfa, (pfa_pfn)a[0]), UINT32_MAX, "pfa_mark_bad()");
	case OP_COMPACT: return compact(r, op);
	default: return exec_skip(r->run);
	}
}

bool real_operation(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const uint64_t *a = op->arg;
	if (op->kind >= OP_BALLOON_CREATE && op->kind <= OP_DEVICE)
		return real_balloon_op(r, op);
	if (op->kind >= OP_ZSTORE_CREATE && op->kind <= OP_Z_DEAD)
		return real_zstore_op(r, op);
	if (op->kind >= OP_MAPPED_CREATE && op->kind <= OP_M_BATCH)
		return real_mapped_op(r, op);
	if (prog_kind(op->kind)->group == PROG_GROUP_TELL)
		return real_report_op(r, op);
	switch (op->kind) {
	case OP_MOVE_BLOCK: return move_blocks(r, op);
	case OP_HOOK:
		r->hook_does = (unsigned)a[0];
		r->hook_times = (unsigned)a[1];
		return true;
	case OP_HOG: return hog(r, (size_t)a[0], (unsigned)a[1]);
	case OP_UNHOG: return core_free(r, REAL_HOGGED, (unsigned)a[0]);
	case OP_KERNEL:
		r->kernel_after = (unsigned)a[0];
		r->kernel_times = (unsigned)a[1];
		return true;
	case OP_LOOK: return real_look(r, true);
	default: return op_of_the_core(r, op, index);
	}
}
