/* SPDX-License-Identifier: MIT
 *
 * exec_frees.c - the operations that give blocks back, or cut them: lists of blocks, and what each free must answer.
 */
#include "exec_movable.h"
#include "model_plug.h"

/* Buffer of bulk calls. */
static pfa_pfn frees_pfns[MODEL_FRAMES];

/* ---- handles ----------------------------------------------------------------------------------------------------- */

/* Takes the first block off a list. */
static uint32_t frees_pop(struct exec_run *run, struct exec_handle *h)
{
	const uint32_t node = h->first;
	h->first = run->next[node];
	h->nr--;
	return node;
}

uint32_t exec_nth(struct exec_run *run, const struct exec_handle *h, uint64_t at)
{
	uint32_t node = h->first;
	for (uint64_t i = at % h->nr; i > 0; i--)
		node = run->next[node];
	return node;
}

struct exec_handle exec_cut(struct exec_run *run, struct exec_handle *h, uint32_t at, uint32_t nr)
{
	struct exec_handle cut = { .nr = 0 };
	uint32_t before = EXEC_NONE, node = h->first;

	for (uint32_t i = 0; i < at; i++) {
		before = node;
		node = run->next[node];
	}
	if (nr > h->nr - at)
		nr = h->nr - at;
	cut.first = node;
	cut.nr = nr;
	for (uint32_t i = 0; i < nr; i++) {
		cut.last = node;
		node = run->next[node];
	}
	if (before == EXEC_NONE)
		h->first = node;
	else
		run->next[before] = node;
	if (at + nr == h->nr)
		h->last = before;
	h->nr -= nr;
	return cut;
}

/* ---- frees ------------------------------------------------------------------------------------------------------- */

/* The allocator took [pfn, nr) back. */
static void frees_released(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	exec_touch(run, pfn, nr);
	model_release_range(&run->m, pfn, nr);
	exec_unowned(run, pfn, nr);
}

void exec_drop_first(struct exec_run *run, struct exec_handle *h)
{
	const uint32_t node = frees_pop(run, h);
	frees_released(run, run->pfn_of[node], (size_t)1 << run->order_of[node]);
}

enum frees_form { FREES_PFN, FREES_POINTER, FREES_CHECKED };

static bool frees_block(struct exec_run *run, const struct exec_handle *h, uint32_t node, enum frees_form form)
{
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node];
	int code;

	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = (size_t)1 << order;
	if (!exec_verify_stamps(run, pfn, (size_t)1 << order))
		return false;
	if (form == FREES_CHECKED) {
		if (!exec_free_checked(run, pfn, order, h))
			return false;
		frees_released(run, pfn, (size_t)1 << order);
		return true;
	}
	if (form == FREES_POINTER) {
		void *ptr = NULL;
		EXEC_CALL(run, code, run->ops->ptr(run->sut, pfn, &ptr));
		if (!exec_expect_code(run, PFA_OK, code))
			return false;
		EXEC_CALL(run, code, run->ops->free_ptr(run->sut, ptr, order));
	} else {
		EXEC_CALL(run, code, run->ops->free(run->sut, pfn, order));
	}
	if (!exec_expect(run, model_expect_free(&run->m, pfn, order), code, pfn, true))
		return false;
	frees_released(run, pfn, (size_t)1 << order);
	return true;
}

static bool frees_list(struct exec_run *run, struct exec_handle *list, enum frees_form form)
{
	while (list->nr)
		if (!frees_block(run, list, frees_pop(run, list), form))
			return false;
	return true;
}

static bool frees_list_bulk(struct exec_run *run, struct exec_handle *list)
{
	while (list->nr) {
		const unsigned order = run->order_of[list->first];
		size_t nr = 0, done = SIZE_MAX;
		int code;
		while (list->nr && run->order_of[list->first] == order) {
			const pfa_pfn pfn = run->pfn_of[frees_pop(run, list)];
			if (!exec_verify_stamps(run, pfn, (size_t)1 << order))
				return false;
			frees_pfns[nr++] = pfn;
		}
		EXEC_CALL(run, code, run->ops->free_bulk(run->sut, order, nr, frees_pfns, &done));
		run->step.value = done;
		if (!exec_expect_code(run, PFA_OK, code))
			return false;
		if (done != nr)
			return exec_fail(run, "contract out", "not all were freed, though the result is OK", frees_pfns[0], nr, done);
		for (size_t i = 0; i < nr; i++)
			frees_released(run, frees_pfns[i], (size_t)1 << order);
	}
	return true;
}

/* The area of a stretch that is released; NULL: this is not done by area, or the frames are in none. */
static struct model_area *frees_area(struct exec_run *run, enum exec_free_way way, pfa_pfn first)
{
	return way == EXEC_BY_AREA ? model_area_at(&run->m, first) : NULL;
}

/* One contiguous stretch. *kept: it was refused, as it had to be. */
static bool frees_stretch(struct exec_run *run, enum exec_free_way way, pfa_pfn first, size_t nr, bool *kept)
{
	struct model_area *area = frees_area(run, way, first);
	const struct expectation e = way == EXEC_BY_AREA ? model_expect_cma_release(&run->m, area, first, nr) : model_expect_range(&run->m, first, nr);
	int code;

	*kept = e.code != PFA_OK;
	if (!exec_verify_stamps(run, first, nr))
		return false;
	if (*kept && way == EXEC_BY_AREA && !exec_cma_may_misuse(run))
		return true;
	exec_allow_steps(run, nr);
	run->step.has_pfn = true;
	run->step.pfn = first;
	run->step.nr_frames = nr;
	if (way == EXEC_BY_AREA)
		EXEC_CALL(run, code, run->ops->cma_release(run->sut, area ? area->handle : exec_mov.stale_area, first, nr));
	else
		EXEC_CALL(run, code, (way == EXEC_BY_CONTIG ? run->ops->free_contig_range : run->ops->free_range)(run->sut, first, nr));
	if (!exec_expect(run, e, code, first, false))
		return false;
	if (*kept)
		return way == EXEC_BY_AREA || exec_fail(run, "harness", "a block of the program is not its own", first, 0, (size_t)(unsigned)-code);
	if (area)
		area->granted -= nr;
	frees_released(run, first, nr);
	return true;
}

bool exec_free_list(struct exec_run *run, struct exec_handle *list, enum exec_free_way way)
{
	struct exec_handle kept = { .nr = 0 };
	bool any = false; /* was taken back */

	while (list->nr) {
		const struct exec_handle all = *list;
		uint32_t node = frees_pop(run, list), nr = 1;
		const pfa_pfn first = run->pfn_of[node];
		pfa_pfn end = first + ((size_t)1 << run->order_of[node]);
		bool keep;
		for (; list->nr && run->pfn_of[list->first] == end; nr++) {
			node = frees_pop(run, list);
			end += (size_t)1 << run->order_of[node];
		}
		uint32_t at = all.first;
		if (!frees_stretch(run, way, first, end - first, &keep))
			return false;
		any |= !keep;
		for (uint32_t next; keep && nr--; at = next) {
			next = run->next[at];
			exec_append(run, &kept, run->pfn_of[at], run->order_of[at]);
		}
	}
	run->must_be_unchanged &= !any;
	list->first = kept.first;
	list->last = kept.last;
	list->nr = kept.nr;
	return true;
}

static bool frees_split(struct exec_run *run, struct exec_handle *h, uint64_t at, uint64_t to)
{
	const uint32_t node = exec_nth(run, h, at);
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node], new_order = (unsigned)(to % (order + 1u));
	uint32_t after = run->next[node], last = node;
	const bool was_last = h->last == node;
	int code;

	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = (size_t)1 << order;
	run->step.value = new_order;
	EXEC_CALL(run, code, run->ops->split(run->sut, pfn, order, new_order));
	if (!exec_expect(run, model_expect_split(&run->m, pfn, order, new_order), code, pfn, true))
		return false;
	exec_touch(run, pfn, (size_t)1 << order);
	model_split(&run->m, pfn, order, new_order);
	run->order_of[node] = (unsigned char)new_order;
	for (size_t i = (size_t)1 << new_order; i < (size_t)1 << order; i += (size_t)1 << new_order) {
		const uint32_t piece = node + (uint32_t)i;
		run->pfn_of[piece] = pfn + i;
		run->order_of[piece] = (unsigned char)new_order;
		run->next[last] = piece;
		last = piece;
		h->nr++;
	}
	run->next[last] = was_last ? EXEC_NONE : after;
	if (was_last)
		h->last = last;
	return true;
}

/* Operations on the blocks of a handle that is not empty. */
bool exec_on_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	struct exec_handle part;

	switch (op->kind) {
	case OP_FREE:
		return frees_list(run, h, FREES_PFN);
	case OP_FREE_BULK:
		return frees_list_bulk(run, h);
	case OP_FREE_RANGE:
		return exec_free_list(run, h, EXEC_BY_RANGE);
	case OP_FREE_PTR:
		if (!run->setup.cfg.pool) /* no addresses: by pfn, so that the handle ends as it should */
			return frees_list(run, h, FREES_PFN);
		return frees_list(run, h, FREES_POINTER);
	case OP_FREE_PART:
		part = exec_cut(run, h, (uint32_t)(op->arg[1] % h->nr), (uint32_t)op->arg[2]);
		return frees_list(run, &part, FREES_PFN);
	case OP_FREE_RANGE_PART:
		part = exec_cut(run, h, (uint32_t)(op->arg[1] % h->nr), (uint32_t)op->arg[2]);
		return exec_free_list(run, &part, EXEC_BY_RANGE);
	case OP_SPLIT:
		return frees_split(run, h, op->arg[1], op->arg[2]);
	case OP_MARK_BAD_OF:
		return exec_mark_bad_of(run, op, h);
	case OP_HANDLE_OF:
		return exec_handle_of(run, op, h);
	case OP_FREE_CHECKED:
		return frees_list(run, h, run->p->config.generations ? FREES_CHECKED : FREES_PFN);
	case OP_FREE_FORGED:
		return exec_free_forged(run, op, h);
	case OP_FILL:
		return exec_content(run, h, true, op->arg[1]);
	case OP_VERIFY:
		return exec_content(run, h, false, 0);
	default:
		return exec_misuse_handle(run, op, h);
	}
}
