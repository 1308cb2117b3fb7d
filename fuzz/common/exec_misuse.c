/* SPDX-License-Identifier: MIT
 *
 * exec_misuse.c - the illegal operations: each is refused for a reason that is true, and changes nothing. A call that
 * would be legal, by the model, is not made: its effect would be that of another operation.
 */
#include "exec_ops.h"

#include <string.h>

#include "arena.h"

static unsigned char misuse_elsewhere[256]; /* stands for the pool of another instance */

pfa_pfn exec_far(const struct exec_run *run, uint64_t far)
{
	const size_t start = prog_span_start(&run->p->config), end = prog_span_end(&run->p->config);

	switch ((enum prog_far)far) {
	case PROG_FAR_MAX: return SIZE_MAX;
	case PROG_FAR_MAX_MINUS_1: return SIZE_MAX - 1;
	case PROG_FAR_HALF: return SIZE_MAX / 2 + 1;
	case PROG_FAR_U32: return start + (size_t)UINT32_MAX + 1u;
	case PROG_FAR_BELOW: return start - 65536u;
	case PROG_FAR_ABOVE: return end + 65535u;
	case PROG_FAR_SIGN: return (size_t)1 << 31;
	default: return (size_t)0 - ((size_t)1 << run->m.max_order);
	}
}

static const void *misuse_foreign(const struct exec_run *run, uint64_t which, const void *stack)
{
	const unsigned char *pool = run->setup.cfg.pool;
	const void *memory = NULL;
	size_t bytes = 0;

	switch ((enum prog_foreign)which) {
	case PROG_FOREIGN_NULL: return NULL;
	case PROG_FOREIGN_STACK: return stack;
	case PROG_FOREIGN_HEAP: return prog_kind(OP_ALLOC);
	case PROG_FOREIGN_BEFORE: return (const void *)((uintptr_t)pool - 1);
	case PROG_FOREIGN_AFTER: return (const void *)((uintptr_t)pool + run->setup.cfg.pool_bytes);
	case PROG_FOREIGN_INSIDE:
		if (run->ops->memory)
			run->ops->memory(run->sut, &memory, &bytes);
		return memory;
	default: return misuse_elsewhere;
	}
}

/* ---- frees ------------------------------------------------------------------------------------------------------- */

static bool misuse_free(struct exec_run *run, pfa_pfn pfn, unsigned order)
{
	const struct expectation e = model_expect_free(&run->m, pfn, order);
	int code;

	if (e.code == PFA_OK)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free(run->sut, pfn, order));
	return exec_expect(run, e, code, pfn, true);
}

static bool misuse_split(struct exec_run *run, pfa_pfn pfn, unsigned order, unsigned to)
{
	const struct expectation e = model_expect_split(&run->m, pfn, order, to);
	int code;

	if (e.code == PFA_OK || !run->ops->split)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->split(run->sut, pfn, order, to));
	return exec_expect(run, e, code, pfn, true);
}

static bool misuse_free_range(struct exec_run *run, pfa_pfn first, size_t nr)
{
	const struct expectation e = model_expect_range(&run->m, first, nr);
	int code;

	if (e.code == PFA_OK || !run->ops->free_range)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = first;
	run->step.nr_frames = nr;
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free_range(run->sut, first, nr));
	return exec_expect(run, e, code, first, false);
}

/* Some good blocks, then a pfn past the last zone: the good ones are freed. */
static bool misuse_free_bulk(struct exec_run *run, struct exec_handle *h, uint64_t good)
{
	pfa_pfn pfns[17];
	const unsigned order = run->order_of[h->first];
	uint32_t node = h->first;
	size_t nr = 0, done = SIZE_MAX;
	int code;

	if (!run->ops->free_bulk)
		return exec_skip(run);
	for (; nr < good && nr < 16 && nr < h->nr && run->order_of[node] == order; node = run->next[node])
		pfns[nr++] = run->pfn_of[node];
	pfns[nr] = (pfa_pfn)prog_span_end(&run->p->config) + 1000u;
	for (size_t i = 0; i < nr; i++)
		if (!exec_verify_stamps(run, pfns[i], (size_t)1 << order))
			return false;
	const struct expectation e = model_expect_free(&run->m, pfns[nr], order);
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free_bulk(run->sut, order, nr + 1, pfns, &done));
	run->step.value = done;
	if (!exec_expect(run, e, code, pfns[nr], true))
		return false;
	if (done != nr && run->p->config.abort_policy == false)
		return exec_fail(run, "contract out", "the number of blocks freed before the offender", pfns[nr], nr, done);
	run->must_be_unchanged = nr == 0;
	for (size_t i = 0; i < nr; i++)
		exec_drop_first(run, h);
	return true;
}

static bool misuse_ptr(struct exec_run *run, const void *ptr, unsigned order)
{
	const struct expectation e = { run->setup.cfg.pool ? PFA_EMISUSE : PFA_ENOTSUP, 1u << PFA_FAULT_FOREIGN_POINTER };
	int code;

	if (!run->ops->free_ptr)
		return exec_skip(run);
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free_ptr(run->sut, (void *)(uintptr_t)ptr, order));
	run->must_be_unchanged = true;
	return exec_expect(run, e, code, 0, false);
}

static bool misuse_pfn_of(struct exec_run *run, const void *ptr)
{
	pfa_pfn pfn = 0;
	int code;

	if (!run->ops->pfn_of)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->pfn_of(run->sut, ptr, &pfn));
	run->must_be_unchanged = true;
	return exec_expect_code(run, run->setup.cfg.pool ? PFA_ERANGE : PFA_ENOTSUP, code);
}

bool exec_misuse_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint64_t *a = op->arg;
	const uint32_t node = exec_nth(run, h, op->kind == OP_FREE_BULK_BAD || op->kind == OP_FREE_PTR_INSIDE ? 0 : a[1]);
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node];

	if (run->ops->lacks & SUT_NO_MISUSE)
		return exec_skip(run);
	switch (op->kind) {
	case OP_FREE_WRONG_ORDER:
		return misuse_free(run, pfn, (unsigned)a[2]);
	case OP_FREE_TAIL:
		if (order == 0)
			return exec_skip(run);
		return misuse_free(run, pfn + 1 + (size_t)a[2] % (((size_t)1 << order) - 1), (unsigned)a[3]);
	case OP_FREE_BULK_BAD:
		return misuse_free_bulk(run, h, a[1]);
	case OP_FREE_RANGE_OFF:
		return misuse_free_range(run, pfn - ((size_t)a[2] & 7u),
		                         ((size_t)1 << order) + ((size_t)a[2] & 7u) + ((size_t)(a[2] >> 3) & 7u));
	case OP_SPLIT_BAD:
		return misuse_split(run, pfn, (unsigned)a[2], (unsigned)a[3]);
	default: { /* OP_FREE_PTR_INSIDE */
		const size_t inside = ((size_t)(a[1] % 63u) + 1u) * run->setup.frame_bytes / 64u;
		const uintptr_t frame = (uintptr_t)run->setup.cfg.pool +
		                        (pfn - run->setup.cfg.pool_pfn) * run->setup.frame_bytes;
		return misuse_ptr(run, (const void *)(frame + inside), order);
	}
	}
}

bool exec_misuse_dead(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	if (!h->had || (run->ops->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	if (op->kind == OP_SPLIT_DEAD)
		return misuse_split(run, h->had_pfn, h->had_order, 0);
	return misuse_free(run, h->had_pfn, h->had_order);
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static bool misuse_codes(struct exec_run *run, uint32_t codes, int code)
{
	run->step.code = code;
	run->must_be_unchanged = true;
	if (code > 0 || code < PFA_ESTOP || !(codes & MODEL_CODE(code)))
		return exec_fail(run, "model code", "an illegal argument is refused with a code of this set", 0, codes,
		                 (size_t)(unsigned)-code);
	if (run->nr_told)
		return exec_fail(run, "contract fatal", "an illegal argument is no misuse", 0, 0, (size_t)run->told.kind);
	return true;
}

/* The calls that know no guards, with flags that may ask for some. */
static bool misuse_bulk(struct exec_run *run, struct request r)
{
	pfa_pfn pfn = 77;
	size_t got = 88;
	int code;

	r.no_guard = true;
	EXEC_CALL(run, code, run->ops->alloc_bulk(run->sut, r.order, r.flags, 1, &pfn, &got));
	if (!misuse_codes(run, model_request_codes(&run->m, &r), code))
		return false;
	return (got == 0 && pfn == 77) || exec_fail(run, "contract out", "a refusal handed something out", pfn, 0, got);
}

static bool misuse_largest(struct exec_run *run, struct request r)
{
	unsigned largest = 99;
	int code;

	r.order = 0;
	r.no_guard = true;
	const uint32_t codes = model_request_codes(&run->m, &r);
	if (codes & (MODEL_CODE(PFA_OK) | MODEL_CODE(PFA_ENOTSUP)))
		return true;
	EXEC_CALL(run, code, run->ops->largest_free(run->sut, r.flags, &largest));
	if (!misuse_codes(run, codes, code))
		return false;
	return largest == 99 || exec_fail(run, "contract out", "a refusal wrote to the out parameter", 0, 99, largest);
}

static bool misuse_alloc_raw(struct exec_run *run, const uint64_t *a)
{
	const uint32_t flags = (uint32_t)a[1] | 1u << a[2] | PFA_ZONE(a[3]);
	const struct request r = request_block((unsigned)a[0], flags);
	const uint32_t codes = model_request_codes(&run->m, &r);
	pfa_pfn pfn = 77;
	int code;

	if (codes & MODEL_CODE(PFA_OK))
		return flags & PFA_GUARD ? misuse_bulk(run, r) && misuse_largest(run, r) : exec_skip(run);
	EXEC_CALL(run, code, run->ops->alloc(run->sut, r.order, flags, &pfn));
	if (!misuse_codes(run, codes, code))
		return false;
	if (pfn != 77)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, 77, pfn);
	EXEC_CALL(run, code, run->ops->would_succeed(run->sut, r.order, flags));
	if (!misuse_codes(run, codes, code))
		return false;
	if (!misuse_bulk(run, r))
		return false;
	if (run->ops->alloc_ptr) {
		void *ptr = &pfn;
		EXEC_CALL(run, code, run->ops->alloc_ptr(run->sut, r.order, flags, &ptr));
		if (!misuse_codes(run, run->setup.cfg.pool ? codes : codes | MODEL_CODE(PFA_ENOTSUP), code))
			return false;
		if (ptr != &pfn)
			return exec_fail(run, "contract out", "a refusal wrote to the out parameter", 0, 0, 1);
	}
	if (run->ops->alloc_checked) {
		struct pfa_handle handle = { 77, 78, 79 };
		EXEC_CALL(run, code, run->ops->alloc_checked(run->sut, r.order, flags, &handle));
		if (!misuse_codes(run, run->p->config.generations ? codes : MODEL_CODE(PFA_ENOTSUP), code))
			return false;
		if (handle.pfn != 77 || handle.generation != 78 || handle.order != 79)
			return exec_fail(run, "contract out", "a refusal wrote to the out parameter", 0, 77, handle.pfn);
	}
	return misuse_largest(run, r);
}

static bool misuse_request(struct exec_run *run, const struct request *r)
{
	const uint32_t codes = model_request_codes(&run->m, r);
	pfa_pfn pfn = 77;
	int code;

	if ((codes & MODEL_CODE(PFA_OK)) || (r->exact ? !run->ops->alloc_exact : !run->ops->alloc_window))
		return exec_skip(run);
	if (r->exact)
		EXEC_CALL(run, code, run->ops->alloc_exact(run->sut, r->nr_frames, r->align_order, r->flags, &pfn));
	else
		EXEC_CALL(run, code, run->ops->alloc_window(run->sut, r->order, r->flags, r->window, &pfn));
	if (!misuse_codes(run, codes, code))
		return false;
	if (pfn != 77)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, 77, pfn);
	return true;
}

static bool misuse_views_far(struct exec_run *run, pfa_pfn pfn)
{
	struct pfa_frame_info frame;
	struct pfa_pageblock_info pageblock;
	void *ptr = NULL;
	size_t index;
	const bool inside = model_zone_of(&run->m, pfn, &index) < run->m.nr_zones;
	int code;

	if (inside || !run->ops->ptr || !run->ops->frame_info || !run->ops->pageblock_info)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->ptr(run->sut, pfn, &ptr));
	if (!exec_expect_code(run, run->setup.cfg.pool ? PFA_ERANGE : PFA_ENOTSUP, code))
		return false;
	EXEC_CALL(run, code, run->ops->pageblock_info(run->sut, pfn, &pageblock));
	if (!exec_expect_code(run, PFA_ERANGE, code))
		return false;
	EXEC_CALL(run, code, run->ops->frame_info(run->sut, pfn, &frame));
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	if (frame.state != PFA_FRAME_ABSENT || frame.zone != PFA_ZONES_LIMIT)
		return exec_fail(run, "view frame", "a pfn in no zone is absent", pfn, PFA_FRAME_ABSENT, frame.state);
	run->must_be_unchanged = true;
	return exec_purge(run, pfn);
}

static bool misuse_stats(struct exec_run *run, unsigned zone, size_t size)
{
	union {
		struct pfa_zone_stats zone;
		struct pfa_stats all;
		unsigned char bytes[256 + sizeof(struct pfa_zone_stats)];
	} out;
	int code;

	if (!run->ops->zone_stats || !run->ops->stats)
		return exec_skip(run);
	run->must_be_unchanged = true;
	memset(&out, 0xD7, sizeof(out));
	EXEC_CALL(run, code, run->ops->zone_stats(run->sut, zone, &out.zone, size));
	run->step.code = code;
	if (code != PFA_OK && code != PFA_EINVAL)
		return exec_fail(run, "model code", "statistics of any size", 0, PFA_OK, (size_t)(unsigned)-code);
	if ((zone >= run->m.nr_zones || size > sizeof(out.zone) || size == 0) != (code == PFA_EINVAL) &&
	    (size == 0 || size >= sizeof(out.zone)))
		return exec_fail(run, "model code", "statistics of a wrong zone or size", 0, size, (size_t)(unsigned)-code);
	for (size_t i = code == PFA_OK ? size : 0; i < sizeof(out); i++)
		if (out.bytes[i] != 0xD7)
			return exec_fail(run, "contract out", "statistics were written past the size given", 0, size, i);
	memset(&out, 0xD7, sizeof(out));
	EXEC_CALL(run, code, run->ops->stats(run->sut, &out.all, size));
	if (code != PFA_OK && code != PFA_EINVAL)
		return exec_fail(run, "model code", "statistics of any size", 0, PFA_OK, (size_t)(unsigned)-code);
	if ((size == 0 || size > sizeof(out.all)) && code == PFA_OK)
		return exec_fail(run, "model code", "statistics of a size that is none", 0, 0, size);
	for (size_t i = code == PFA_OK ? size : 0; i < sizeof(out); i++)
		if (out.bytes[i] != 0xD7)
			return exec_fail(run, "contract out", "statistics were written past the size given", 0, size, i);
	return true;
}

static bool misuse_check(struct exec_run *run, unsigned level)
{
	struct pfa_violation violation;
	const struct pfa_run all = { run->m.zone[0].start, run->m.zone[0].nr };
	int code;

	if (!(level & ~(PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES)) || !run->ops->check || !run->ops->check_range)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->check(run->sut, level, &violation));
	if (!exec_expect_code(run, PFA_EINVAL, code))
		return false;
	EXEC_CALL(run, code, run->ops->check_range(run->sut, all, level, &violation));
	return exec_expect_code(run, PFA_EINVAL, code);
}

static void misuse_write(void *ctx, const char *bytes, size_t nr)
{
	(void)bytes;
	*(size_t *)ctx += nr;
}

static bool misuse_print(struct exec_run *run, unsigned what)
{
	size_t written = 0;
	int code;

	if (what < PFA_PRINT_WHATS || !run->ops->print)
		return exec_skip(run);
	const enum pfa_print_what as = what == 255 ? PFA_PRINT_BUDDYINFO : (enum pfa_print_what)what;
	EXEC_CALL(run, code, run->ops->print(run->sut, as, what == 255 ? NULL : misuse_write, &written));
	if (!exec_expect_code(run, PFA_EINVAL, code))
		return false;
	return !written || exec_fail(run, "contract out", "a refused print wrote something", 0, 0, written);
}

static bool misuse_service(struct exec_run *run)
{
	uint64_t next = 77;
	int code;

	if (!run->ops->service)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->service(run->sut, 0, &next));
	return exec_expect_code(run, PFA_EINVAL, code);
}

/* A second instance with a spoilt configuration: refused for the right reason, and the live one does not notice. */
static bool misuse_init(struct exec_run *run, unsigned bad, unsigned variant)
{
	struct setup_spoilt spoilt;
	struct verdict v;

	if (!setup_spoil(&run->setup, (enum prog_spoil)(bad % PROG_SPOILS), variant, &spoilt))
		return exec_skip(run);
	run->must_be_unchanged = true;
	return exec_judge_spoilt(&spoilt, &v) || exec_say(run, &v);
}

bool exec_misuse(struct exec_run *run, const struct prog_op *op)
{
	const uint64_t *a = op->arg;
	struct request r;
	unsigned char here = 0;

	if (op->kind < OP_ALLOC_RAW ? run->ops->lacks & SUT_NO_MISUSE : run->ops->lacks & SUT_NO_ARGS)
		return exec_skip(run);
	switch (op->kind) {
	case OP_FREE_PFN:
		return misuse_free(run, (pfa_pfn)a[0], (unsigned)a[1]);
	case OP_FREE_FAR:
		return misuse_free(run, exec_far(run, a[0]), (unsigned)a[1]);
	case OP_FREE_RANGE_RAW: {
		const struct pfa_run range = exec_run_of(run, a[0], a[1]);
		return misuse_free_range(run, range.first, range.nr_frames);
	}
	case OP_FREE_RANGE_FAR:
		return misuse_free_range(run, exec_far(run, a[0]), (size_t)a[1]);
	case OP_SPLIT_PFN:
		return misuse_split(run, (pfa_pfn)a[0], (unsigned)a[1], 0);
	case OP_FREE_PTR_FOREIGN:
		return misuse_ptr(run, misuse_foreign(run, a[0], &here), (unsigned)a[1]);
	case OP_PFN_OF_FOREIGN:
		return misuse_pfn_of(run, misuse_foreign(run, a[0], &here));
	case OP_PTR_FAR:
		return misuse_views_far(run, exec_far(run, a[0]));
	case OP_ALLOC_RAW:
		return misuse_alloc_raw(run, a);
	case OP_EXACT_RAW:
		r = request_exact((size_t)a[0], (unsigned)a[1], 0);
		return misuse_request(run, &r);
	case OP_WINDOW_RAW:
		r = request_window((unsigned)a[2], 0, (struct pfa_run){ exec_far(run, a[0]), (size_t)a[1] });
		return misuse_request(run, &r);
	case OP_CHECK_RAW:
		return misuse_check(run, (unsigned)a[0]);
	case OP_PRINT_RAW:
		return misuse_print(run, (unsigned)a[0]);
	case OP_STATS_RAW:
		return misuse_stats(run, (unsigned)a[0], (size_t)a[1]);
	case OP_SERVICE_RAW:
		return misuse_service(run);
	case OP_INIT_RAW:
		return misuse_init(run, (unsigned)a[0], (unsigned)a[1]);
	default:
		return exec_skip(run);
	}
}

/* ---- volleys ----------------------------------------------------------------------------------------------------- */

/* A frame in the state that the dice say, from pfn on; pfn if there is none near. */
static pfa_pfn volley_pick(const struct exec_run *run, pfa_pfn pfn, uint64_t dice)
{
	static const unsigned char wanted[] = { MODEL_FREE, MODEL_HEAD, MODEL_TAIL, MODEL_ABSENT, MODEL_BAD, MODEL_HEAD,
		                                MODEL_TAIL, MODEL_GUARD };
	const unsigned char state = wanted[dice % sizeof(wanted)];
	size_t index;

	for (pfa_pfn at = pfn; at < pfn + 256; at++)
		if (model_zone_of(&run->m, at, &index) < run->m.nr_zones && (run->m.state[index] == state || (state == MODEL_ABSENT && run->m.state[index] == MODEL_OFFLINE)))
			return at;
	return pfn;
}

bool exec_volley(struct exec_run *run, uint64_t number)
{
	const uint64_t dice = exec_mix(run->r->trace_hash, number);
	const pfa_pfn start = prog_span_start(&run->p->config), end = prog_span_end(&run->p->config);
	const pfa_pfn pfn = start - 2 + (pfa_pfn)(dice >> 24) % (end - start + 4);
	const unsigned order = (unsigned)(dice >> 16) % (run->m.max_order + 2u);
	struct prog_op op = { .ref = PROG_NO_REF };

	if (run->ops->lacks & (SUT_NO_MISUSE | SUT_NO_ARGS))
		return true;
	if (dice >> 61 == 0 && run->p->config.generations && run->nr_tokens)
		return exec_stale_volley(run, dice >> 8);
	switch (dice % 8) {
	case 0:
		return misuse_free(run, pfn, order);
	case 1:
		return misuse_free(run, volley_pick(run, pfn, dice >> 40), (dice >> 32) % 2 ? 0 : order);
	case 2:
		return misuse_split(run, volley_pick(run, pfn, dice >> 40), (unsigned)(dice >> 32) % 4, 0);
	case 3:
		return misuse_split(run, pfn, order, order ? (unsigned)(dice >> 8) % (order + 1u) : 0);
	case 4:
		return misuse_free_range(run, pfn, (size_t)(dice >> 8) % 70u);
	case 5:
		op.kind = OP_ALLOC_RAW;
		op.arg[0] = dice >> 32 & 63;
		op.arg[1] = dice >> 40 & 7;
		op.arg[2] = dice >> 48 & 31;
		op.arg[3] = dice >> 56 & 3;
		return exec_misuse(run, &op);
	case 6: /* aligned, so that the frame's state is what is wrong */
		return misuse_free(run, order < 32 ? pfn >> order << order : pfn, order);
	default:
		op.kind = (uint8_t)(dice >> 16 & 1 ? OP_FREE_PTR_FOREIGN : OP_FREE_FAR);
		op.arg[0] = dice >> 8 & 7;
		if (op.kind == OP_FREE_PTR_FOREIGN)
			op.arg[0] %= PROG_FOREIGNS;
		op.arg[1] = order <= run->m.max_order ? order : 0;
		return exec_misuse(run, &op);
	}
}
