/* SPDX-License-Identifier: MIT
 *
 * exec_requests.c - the operations that are granted something: what is asked, what may come back, who owns it then.
 */
#include "exec_movable.h"

#include <string.h>

/* Buffer of bulk calls. */
static pfa_pfn requests_pfns[MODEL_FRAMES];

void exec_append(struct exec_run *run, struct exec_handle *h, pfa_pfn pfn, unsigned order)
{
	size_t index;

	(void)model_zone_of(&run->m, pfn, &index);
	run->pfn_of[index] = pfn;
	run->order_of[index] = (unsigned char)order;
	run->next[index] = EXEC_NONE;
	if (h->nr++ == 0)
		h->first = (uint32_t)index;
	else
		run->next[h->last] = (uint32_t)index;
	h->last = (uint32_t)index;
	if (!h->had) {
		h->had = true;
		h->had_pfn = pfn;
		h->had_order = order;
	}
}

/* ---- grants ------------------------------------------------------------------------------------------------------ */

/* Should a quarantine hold some of this still? That is judged once it is known whether it was emptied. */
static void request_too_soon(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	const uint32_t frees = run->m.quarantine && run->rests_known && !run->any_highatomic ? model_rested(&run->m, pfn, nr)
	                                                                                     : UINT32_MAX;

	if (frees >= run->m.quarantine || run->too_soon)
		return;
	run->too_soon = true;
	run->too_soon_pfn = pfn;
	run->too_soon_frees = frees;
}

bool exec_granted(struct exec_run *run, struct exec_handle *h, const struct request *r, pfa_pfn pfn)
{
	const size_t nr = r->exact ? r->nr_frames : (size_t)1 << r->order;
	struct verdict v;
	size_t index;

	const bool guarded = (r->flags & PFA_GUARD) != 0;
	exec_touch(run, pfn - guarded, nr + 2u * guarded);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = nr;
	if (!model_judge_grant(&run->m, r, pfn, &v))
		return exec_say(run, &v);
	/* CMA is as configured; only the reserve moves. */
	if (run->any_highatomic && !exec_refresh_types(run, pfn, pfn + nr))
		return false;
	if (!model_judge_type(&run->m, r, pfn, &v))
		return exec_say(run, &v);
	request_too_soon(run, pfn - guarded, nr + 2u * guarded);
	run->asked.zone = model_zone_of(&run->m, pfn, &index);
	run->asked.granted = true;
	run->asked.nr_frames = nr;
	if (r->exact && nr < (size_t)1 << r->order)
		run->tracks_zero = false; /* the tail comes back as zero only if the whole block was */
	exec_owned(run, pfn, nr);
	if (!exec_judge_content(run, r, pfn))
		return false;
	exec_unpoke(run, pfn, nr, false);
	if ((r->flags & PFA_ZERO) && !exec_verify_zero(run, pfn, nr))
		return false;
	const uint32_t generation = r->exact ? model_take_exact(&run->m, pfn, nr)
	                            : guarded ? model_take_guarded(&run->m, pfn, r->order)
	                                      : model_take(&run->m, pfn, r->order);
	if (!exec_stamp(run, pfn, nr, generation))
		return false;
	if (r->exact)
		for (size_t i = 0; i < nr; i++)
			exec_append(run, h, pfn + i, 0);
	else
		exec_append(run, h, pfn, r->order);
	run->r->grants++;
	return true;
}

/* Before a request: what the query says of it. Not while a cpu id is about to go wrong between the two. */
static void request_ask_query(struct exec_run *run, const struct request *r)
{
	if (!run->ops->would_succeed || r->windowed || r->exact || run->fault[PROG_SITE_CPU].armed ||
	    run->p->config.check != PROG_CHECK_FULL)
		return;
	int code;
	EXEC_CALL(run, code, run->ops->would_succeed(run->sut, r->order, r->flags));
	run->asked.would_asked = code == PFA_OK || code == PFA_ENOMEM;
	run->asked.would_ok = code == PFA_OK;
}

enum request_form { REQUEST_PFN, REQUEST_POINTER, REQUEST_CHECKED };

static int request_call(struct exec_run *run, const struct request *r, enum request_form form, pfa_pfn *out,
                        struct pfa_handle *handle)
{
	int code;

	if (form == REQUEST_CHECKED) {
		EXEC_CALL(run, code, run->ops->alloc_checked(run->sut, r->order, r->flags, handle));
		if (code == PFA_OK || handle->pfn != *out || handle->order != UINT32_MAX)
			*out = handle->pfn;
		return code;
	}
	if (form == REQUEST_POINTER) {
		void *ptr = &requests_pfns;
		EXEC_CALL(run, code, run->ops->alloc_ptr(run->sut, r->order, r->flags, &ptr));
		if (code != PFA_OK)
			*out = ptr == &requests_pfns ? *out : 0;
		else if (run->ops->pfn_of(run->sut, ptr, out) != PFA_OK)
			*out = SIZE_MAX; /* lies in no zone: the judgement of the grant says so */
		return code;
	}
	if (r->exact)
		EXEC_CALL(run, code, run->ops->alloc_exact(run->sut, r->nr_frames, r->align_order, r->flags, out));
	else if (r->windowed)
		EXEC_CALL(run, code, run->ops->alloc_window(run->sut, r->order, r->flags, r->window, out));
	else
		EXEC_CALL(run, code, run->ops->alloc(run->sut, r->order, r->flags, out));
	return code;
}

static bool request_one(struct exec_run *run, struct exec_handle *h, const struct request *r, enum request_form form)
{
	const pfa_pfn untouched = (pfa_pfn)0x5AA5F00Du;
	uint32_t codes = model_request_codes(&run->m, r);
	pfa_pfn pfn = untouched;
	struct pfa_handle handle = { untouched, 0, UINT32_MAX };

	if (form == REQUEST_POINTER && !run->setup.cfg.pool)
		codes = MODEL_CODE(PFA_ENOTSUP) | (codes & MODEL_CODE(PFA_EINVAL));
	if (form == REQUEST_CHECKED && !run->p->config.generations)
		codes = MODEL_CODE(PFA_ENOTSUP);
	request_ask_query(run, r);
	run->in_zero = (r->flags & PFA_ZERO) != 0;
	run->zeroed_nr = run->zeroed_again = 0;
	const int code = request_call(run, r, form, &pfn, &handle);
	run->in_zero = false;
	run->step.code = code;
	if (code == PFA_ECORRUPT && run->nr_poked && !run->nr_told && (codes & MODEL_CODE(PFA_OK)) && pfn == untouched)
		return exec_corrupt(run, r->exact ? r->nr_frames : (size_t)1 << r->order);
	if (code > 0 || code < PFA_ESTOP || !(codes & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code is none of those that may come back (set)", 0, codes,
		                 (size_t)(unsigned)-code);
	if (run->nr_told)
		return exec_fail(run, "contract fatal", "platform.fatal was told of a request", 0, 0, (size_t)run->told.kind);
	if (code != PFA_OK && pfn != untouched)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, untouched, pfn);
	if (form == REQUEST_CHECKED && code == PFA_OK && handle.order != r->order)
		return exec_fail(run, "contract out", "a handle is of another order", pfn, r->order, handle.order);
	run->asked.asked = code != PFA_ENOTSUP;
	run->asked.r = model_sought(r);
	run->asked.cut = r->exact || (r->flags & PFA_GUARD);
	run->asked.code = code;
	run->asked.single = true;
	if (r->exact)
		exec_allow_steps(run, r->nr_frames);
	if (r->flags & PFA_GUARD)
		exec_allow_steps(run, (size_t)4 << (r->order < 16 ? r->order : 16));
	if (code == PFA_OK && form == REQUEST_CHECKED)
		return exec_granted(run, h, r, pfn) && exec_keep_token(run, h, &handle);
	if (code == PFA_OK)
		return exec_granted(run, h, r, pfn);
	run->r->refusals++;
	run->must_be_unchanged = code == PFA_EINVAL || code == PFA_ENOTSUP;
	return true;
}

static bool request_many(struct exec_run *run, struct exec_handle *h, const struct request *r, size_t nr)
{
	const uint32_t codes = model_request_codes(&run->m, r);
	size_t got = SIZE_MAX;
	int code;

	exec_mov.pass.meddled = true; /* each block may be compacted for */
	memset(requests_pfns, 0xEE, nr * sizeof(requests_pfns[0]));
	run->in_zero = (r->flags & PFA_ZERO) != 0;
	EXEC_CALL(run, code, run->ops->alloc_bulk(run->sut, r->order, r->flags, nr, requests_pfns, &got));
	run->in_zero = false;
	run->step.code = code;
	run->step.value = got;
	if (code == PFA_ECORRUPT && run->nr_poked && !run->nr_told && got < nr) {
		if (!exec_corrupt(run, (size_t)1 << r->order))
			return false;
		for (size_t i = 0; i < got; i++)
			if (!exec_granted(run, h, r, requests_pfns[i]))
				return false;
		return true;
	}
	if (code > 0 || code < PFA_ESTOP || !(codes & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code is none of those that may come back (set)", 0, codes,
		                 (size_t)(unsigned)-code);
	if (run->nr_told)
		return exec_fail(run, "contract fatal", "platform.fatal was told of a request", 0, 0, (size_t)run->told.kind);
	if (code == PFA_OK ? got != nr : got >= nr)
		return exec_fail(run, "contract out", "the number of blocks does not go with the result code", 0, nr, got);
	run->asked.asked = true;
	run->asked.r = *r;
	run->asked.code = code;
	run->must_be_unchanged = code == PFA_EINVAL || code == PFA_ENOTSUP;
	if (run->must_be_unchanged && got)
		return exec_fail(run, "contract out", "blocks were handed out with this code", 0, 0, got);
	run->r->refusals += code != PFA_OK;
	for (size_t i = 0; i < got; i++)
		if (!exec_granted(run, h, r, requests_pfns[i]))
			return false;
	return true;
}

bool exec_request(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint64_t *a = op->arg;
	struct request r;

	switch (op->kind) {
	case OP_ALLOC:
	case OP_ALLOC_PTR:
		r = request_block((unsigned)a[0], exec_flags(run, a[1], a[2]));
		return request_one(run, h, &r, op->kind == OP_ALLOC_PTR ? REQUEST_POINTER : REQUEST_PFN);
	case OP_ALLOC_GUARDED:
		r = request_block((unsigned)a[0], exec_flags(run, a[1], a[2]) | PFA_GUARD);
		return request_one(run, h, &r, REQUEST_PFN);
	case OP_ALLOC_CHECKED:
		r = request_block((unsigned)a[0], exec_flags(run, a[1], a[2]));
		return request_one(run, h, &r, REQUEST_CHECKED);
	case OP_ALLOC_BULK:
		r = request_block((unsigned)a[0], exec_flags(run, a[2], a[3]));
		return request_many(run, h, &r, (size_t)a[1]);
	case OP_ALLOC_EXACT:
		r = request_exact((size_t)a[0], (unsigned)a[1], exec_flags(run, a[2], 0));
		return request_one(run, h, &r, REQUEST_PFN);
	default:
		r = request_window((unsigned)a[0], exec_flags(run, a[1], a[2]), run->window);
		return request_one(run, h, &r, REQUEST_PFN);
	}
}
