/* SPDX-License-Identifier: MIT
 *
 * exec_ops.c - the legal operations: what each does to the allocator and to the model, and what must come back.
 */
#include "exec_ops.h"

#include <string.h>

/* Buffers of bulk calls. */
static pfa_pfn ops_pfns[MODEL_FRAMES];

/* ---- handles ----------------------------------------------------------------------------------------------------- */

static void ops_append(struct exec_run *run, struct exec_handle *h, pfa_pfn pfn, unsigned order)
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

/* Takes the first block off a list. */
static uint32_t ops_pop(struct exec_run *run, struct exec_handle *h)
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

/* Moves nr blocks from position at on (fewer at the end) from a handle's list to another list. */
static struct exec_handle ops_cut(struct exec_run *run, struct exec_handle *h, uint32_t at, uint32_t nr)
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

/* ---- grants ------------------------------------------------------------------------------------------------------ */

static bool ops_granted(struct exec_run *run, struct exec_handle *h, const struct request *r, pfa_pfn pfn)
{
	const size_t nr = r->exact ? r->nr_frames : (size_t)1 << r->order;
	struct verdict v;
	size_t index;

	exec_touch(run, pfn, nr);
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
	run->asked.zone = model_zone_of(&run->m, pfn, &index);
	run->asked.granted = true;
	run->asked.nr_frames = nr;
	if (r->exact && nr < (size_t)1 << r->order)
		run->tracks_zero = false; /* the tail comes back as zero only if the whole block was */
	exec_owned(run, pfn, nr);
	if ((r->flags & PFA_ZERO) && !exec_verify_zero(run, pfn, nr))
		return false;
	const uint32_t generation = r->exact ? model_take_exact(&run->m, pfn, nr) : model_take(&run->m, pfn, r->order);
	if (!exec_stamp(run, pfn, nr, generation))
		return false;
	if (r->exact)
		for (size_t i = 0; i < nr; i++)
			ops_append(run, h, pfn + i, 0);
	else
		ops_append(run, h, pfn, r->order);
	run->r->grants++;
	return true;
}

/* Before a request: what the query says of it. Not while a cpu id is about to go wrong between the two. */
static void ops_ask_query(struct exec_run *run, const struct request *r)
{
	if (!run->ops->would_succeed || r->windowed || r->exact || run->fault[PROG_SITE_CPU].armed ||
	    run->p->config.check != PROG_CHECK_FULL)
		return;
	int code;
	EXEC_CALL(run, code, run->ops->would_succeed(run->sut, r->order, r->flags));
	run->asked.would_asked = code == PFA_OK || code == PFA_ENOMEM;
	run->asked.would_ok = code == PFA_OK;
}

static uint32_t ops_flags(const struct exec_run *run, uint64_t flags, uint64_t zone)
{
	const uint32_t all = prog_flags(flags, zone < run->m.nr_zones ? zone : 0);
	return run->ops->lacks & SUT_NO_FLAGS ? all & PFA_TYPE_MASK : all;
}

/* The steps that requests and frees of this size may take under one zone lock. */
static void ops_allow_steps(struct exec_run *run, size_t nr)
{
	if (nr > run->steps_bound)
		run->steps_bound = nr;
}

static int ops_call(struct exec_run *run, const struct request *r, bool by_pointer, pfa_pfn *out)
{
	int code;

	if (by_pointer) {
		void *ptr = &ops_pfns;
		EXEC_CALL(run, code, run->ops->alloc_ptr(run->sut, r->order, r->flags, &ptr));
		if (code != PFA_OK)
			*out = ptr == &ops_pfns ? *out : 0;
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

static bool ops_request(struct exec_run *run, struct exec_handle *h, const struct request *r, bool by_pointer)
{
	const pfa_pfn untouched = (pfa_pfn)0x5AA5F00Du;
	uint32_t codes = model_request_codes(&run->m, r);
	pfa_pfn pfn = untouched;

	if (by_pointer && !run->setup.cfg.pool)
		codes = MODEL_CODE(PFA_ENOTSUP) | (codes & MODEL_CODE(PFA_EINVAL));
	ops_ask_query(run, r);
	run->in_zero = (r->flags & PFA_ZERO) != 0;
	run->zeroed_nr = run->zeroed_again = 0;
	const int code = ops_call(run, r, by_pointer, &pfn);
	run->in_zero = false;
	run->step.code = code;
	if (code > 0 || code < PFA_ESTOP || !(codes & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code is none of those that may come back (set)", 0, codes,
		                 (size_t)(unsigned)-code);
	if (run->nr_told)
		return exec_fail(run, "contract fatal", "platform.fatal was told of a request", 0, 0, (size_t)run->told.kind);
	if (code != PFA_OK && pfn != untouched)
		return exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, untouched, pfn);
	run->asked.asked = true;
	run->asked.r = *r;
	run->asked.code = code;
	run->asked.single = true;
	if (r->exact)
		ops_allow_steps(run, r->nr_frames);
	if (code == PFA_OK)
		return ops_granted(run, h, r, pfn);
	run->r->refusals++;
	run->must_be_unchanged = code == PFA_EINVAL || code == PFA_ENOTSUP;
	return true;
}

static bool ops_bulk(struct exec_run *run, struct exec_handle *h, const struct request *r, size_t nr)
{
	const uint32_t codes = model_request_codes(&run->m, r);
	size_t got = SIZE_MAX;
	int code;

	memset(ops_pfns, 0xEE, nr * sizeof(ops_pfns[0]));
	run->in_zero = (r->flags & PFA_ZERO) != 0;
	EXEC_CALL(run, code, run->ops->alloc_bulk(run->sut, r->order, r->flags, nr, ops_pfns, &got));
	run->in_zero = false;
	run->step.code = code;
	run->step.value = got;
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
		if (!ops_granted(run, h, r, ops_pfns[i]))
			return false;
	return true;
}

/* ---- frees ------------------------------------------------------------------------------------------------------- */

/* The allocator took [pfn, nr) back. */
static void ops_released(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	exec_touch(run, pfn, nr);
	model_release_range(&run->m, pfn, nr);
	exec_unowned(run, pfn, nr);
}

void exec_drop_first(struct exec_run *run, struct exec_handle *h)
{
	const uint32_t node = ops_pop(run, h);
	ops_released(run, run->pfn_of[node], (size_t)1 << run->order_of[node]);
}

static bool ops_free_block(struct exec_run *run, uint32_t node, bool by_pointer)
{
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node];
	int code;

	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = (size_t)1 << order;
	if (!exec_verify_stamps(run, pfn, (size_t)1 << order))
		return false;
	if (by_pointer) {
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
	ops_released(run, pfn, (size_t)1 << order);
	return true;
}

static bool ops_free_list(struct exec_run *run, struct exec_handle *list, bool by_pointer)
{
	while (list->nr)
		if (!ops_free_block(run, ops_pop(run, list), by_pointer))
			return false;
	return true;
}

static bool ops_free_list_bulk(struct exec_run *run, struct exec_handle *list)
{
	while (list->nr) {
		const unsigned order = run->order_of[list->first];
		size_t nr = 0, done = SIZE_MAX;
		int code;
		while (list->nr && run->order_of[list->first] == order) {
			const pfa_pfn pfn = run->pfn_of[ops_pop(run, list)];
			if (!exec_verify_stamps(run, pfn, (size_t)1 << order))
				return false;
			ops_pfns[nr++] = pfn;
		}
		EXEC_CALL(run, code, run->ops->free_bulk(run->sut, order, nr, ops_pfns, &done));
		run->step.value = done;
		if (!exec_expect_code(run, PFA_OK, code))
			return false;
		if (done != nr)
			return exec_fail(run, "contract out", "not all were freed, though the result is OK", ops_pfns[0], nr, done);
		for (size_t i = 0; i < nr; i++)
			ops_released(run, ops_pfns[i], (size_t)1 << order);
	}
	return true;
}

static bool ops_free_list_range(struct exec_run *run, struct exec_handle *list)
{
	while (list->nr) {
		uint32_t node = ops_pop(run, list);
		const pfa_pfn first = run->pfn_of[node];
		pfa_pfn end = first + ((size_t)1 << run->order_of[node]);
		int code;
		while (list->nr && run->pfn_of[list->first] == end) {
			node = ops_pop(run, list);
			end += (size_t)1 << run->order_of[node];
		}
		if (!exec_verify_stamps(run, first, end - first))
			return false;
		ops_allow_steps(run, end - first);
		run->step.has_pfn = true;
		run->step.pfn = first;
		run->step.nr_frames = end - first;
		EXEC_CALL(run, code, run->ops->free_range(run->sut, first, end - first));
		if (!exec_expect(run, model_expect_range(&run->m, first, end - first), code, first, false))
			return false;
		ops_released(run, first, end - first);
	}
	return true;
}

static bool ops_split(struct exec_run *run, struct exec_handle *h, uint64_t at, uint64_t to)
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

/* ---- queries ----------------------------------------------------------------------------------------------------- */

/* Is nothing cached in any zone that the request may use? Then the model knows what the zones hold. */
static bool ops_nothing_cached(const struct exec_run *run, const struct request *r)
{
	const unsigned last = r->flags & PFA_EXACT_ZONE ? PFA_ZONE_OF(r->flags) + 1 : run->m.nr_zones;
	for (unsigned zone = PFA_ZONE_OF(r->flags); zone < last; zone++)
		if (run->now[zone].cached)
			return false;
	return run->have_stats;
}

static bool ops_largest_free(struct exec_run *run, uint32_t flags)
{
	const struct request r = request_block(0, flags);
	unsigned order = 99;
	int least, most, code;

	EXEC_CALL(run, code, run->ops->largest_free(run->sut, flags, &order));
	run->step.code = code;
	run->step.value = order;
	run->must_be_unchanged = true;
	if (code != PFA_OK && code != PFA_ENOMEM && !(model_request_codes(&run->m, &r) & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code may not come back", 0, 0, (size_t)(unsigned)-code);
	if (code != PFA_OK && code != PFA_ENOMEM)
		return true;
	if (!run->have_stats)
		return true;
	if (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	model_largest(&run->m, flags, run->now, &least, &most);
	const int found = code == PFA_OK ? (int)order : -1;
	if (ops_nothing_cached(run, &r))
		most = least;
	if (found < least || found > most)
		return exec_fail(run, "query largest", "the largest order that a request could get now", 0,
		                 (size_t)(found < least ? least : most), (size_t)found);
	return true;
}

static bool ops_would_succeed(struct exec_run *run, const struct request *r)
{
	int code;
	bool fits = false;

	EXEC_CALL(run, code, run->ops->would_succeed(run->sut, r->order, r->flags));
	run->step.code = code;
	run->must_be_unchanged = true;
	if (!((model_request_codes(&run->m, r) & ~MODEL_CODE(PFA_EAGAIN)) & MODEL_CODE(code)))
		return exec_fail(run, "model code", "the result code may not come back", 0, 0, (size_t)(unsigned)-code);
	if (!run->have_stats || (code != PFA_OK && code != PFA_ENOMEM))
		return true;
	if (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	const bool must = model_must_succeed(&run->m, r, true, run->now);
	for (unsigned zone = 0; zone < run->m.nr_zones && !fits; zone++) {
		pfa_pfn pfn;
		fits = model_fits(&run->m, r, zone, &pfn);
	}
	if (must && code != PFA_OK)
		return exec_fail(run, "query would", "a request that must succeed is said to fail", 0, 0, 1);
	if (code == PFA_OK && (!fits || (!must && ops_nothing_cached(run, r))))
		return exec_fail(run, "query would", "a request that must fail is said to succeed", 0, 1, 0);
	return true;
}

/* ---- caches, cpus, time ------------------------------------------------------------------------------------------ */

static bool ops_nothing_left_cached(struct exec_run *run)
{
	if (!exec_refresh(run))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++)
		if (run->now[zone].cached)
			return exec_fail(run, "I7 cached", "frames are still cached after all caches were drained", 0, 0,
			                 run->now[zone].cached);
	return true;
}

static bool ops_drain(struct exec_run *run, uint64_t arg)
{
	const uint32_t cpu = arg == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)arg;
	const bool bad = cpu != PFA_ALL_CPUS && cpu >= run->m.nr_cpus;
	int code;

	EXEC_CALL(run, code, run->ops->cache_drain(run->sut, cpu));
	if (!exec_expect_code(run, bad ? PFA_EINVAL : PFA_OK, code))
		return false;
	if (code != PFA_OK || (cpu != PFA_ALL_CPUS && run->m.nr_cpus > 1))
		return true;
	return ops_nothing_left_cached(run);
}

bool exec_purge(struct exec_run *run, pfa_pfn pfn)
{
	struct pfa_pageblock_info info;
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	size_t index, unowned = 0;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	int code;

	EXEC_CALL(run, code, run->ops->cache_purge(run->sut, pfn));
	if (!exec_expect_code(run, zone == run->m.nr_zones ? PFA_ERANGE : PFA_OK, code))
		return false;
	if (code != PFA_OK || !run->ops->pageblock_info)
		return true;
	if (run->ops->pageblock_info(run->sut, pfn, &info) != PFA_OK)
		return exec_fail(run, "model code", "pageblock_info of a pfn in a zone fails", pfn, 0, 1);
	for (pfa_pfn at = pfn / pb * pb; at < pfn / pb * pb + pb; at++)
		if (model_zone_of(&run->m, at, &index) == zone)
			unowned += run->m.state[index] == MODEL_FREE;
	if (info.free != unowned)
		return exec_fail(run, "I7 purge", "frames of a purged pageblock are not free", pfn, unowned, info.free);
	return true;
}

static bool ops_switch(struct exec_run *run, bool disable)
{
	int code;

	if (disable) {
		EXEC_CALL(run, code, run->ops->cache_disable(run->sut));
		if (!exec_expect_code(run, PFA_OK, code))
			return false;
		run->disabled++;
		return ops_nothing_left_cached(run);
	}
	EXEC_CALL(run, code, run->ops->cache_enable(run->sut));
	if (!exec_expect_code(run, run->disabled ? PFA_OK : PFA_EINVAL, code))
		return false;
	run->disabled -= code == PFA_OK;
	return true;
}

static bool ops_service(struct exec_run *run, unsigned budget)
{
	uint64_t next = 0;
	int code;

	EXEC_CALL(run, code, run->ops->service(run->sut, budget, budget & 1 ? &next : NULL));
	run->step.code = code;
	if (code != PFA_OK && code != PFA_EAGAIN)
		return exec_fail(run, "model code", "service may be idle or have more to do, nothing else", 0, 0,
		                 (size_t)(unsigned)-code);
	if (code == PFA_OK && (budget & 1) && next <= run->sim.now_ns)
		return exec_fail(run, "contract service", "idle, but the time of the next call is not in the future", 0,
		                 (size_t)run->sim.now_ns, (size_t)next);
	return true;
}

/* ---- content and faults ------------------------------------------------------------------------------------------ */

static bool ops_content(struct exec_run *run, const struct exec_handle *h, bool fill, uint64_t number)
{
	uint32_t node = h->first;

	for (uint32_t i = 0; i < h->nr; i++, node = run->next[node]) {
		const size_t nr = (size_t)1 << run->order_of[node];
		if (!exec_verify_stamps(run, run->pfn_of[node], nr))
			return false;
		if (fill && !exec_stamp(run, run->pfn_of[node], nr, (uint32_t)(0xF1110000u + number)))
			return false;
	}
	return true;
}

static void ops_fault(struct exec_run *run, const struct prog_op *op)
{
	const size_t site = (size_t)op->arg[0] % (sizeof(run->fault) / sizeof(run->fault[0]));

	run->fault[site].at = op->arg[1];
	run->fault[site].times = op->arg[2];
	run->fault[site].sticky = op->arg[2] == 0;
	run->fault[site].armed = true;
}

static bool ops_fini(struct exec_run *run)
{
	size_t owned = 0;
	int code;

	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		owned += run->m.zone[zone].owned;
	EXEC_CALL(run, code, run->ops->fini(run->sut));
	if (!exec_expect_code(run, owned ? PFA_EBUSY : PFA_OK, code))
		return false;
	if (owned)
		return true;
	run->ops->abandon(run->sut);
	run->sut = NULL;
	return exec_begin(run);
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
	case OP_CACHE_PURGE: return !o->cache_purge;
	case OP_CACHE_DISABLE: return !o->cache_disable;
	case OP_CACHE_ENABLE: return !o->cache_enable;
	case OP_SERVICE: return !o->service;
	default: return false;
	}
}

bool exec_skip(struct exec_run *run)
{
	run->step.skipped = true;
	return true;
}

struct pfa_run exec_run_of(const struct exec_run *run, uint64_t first, uint64_t nr)
{
	const pfa_pfn end = (pfa_pfn)prog_span_end(&run->p->config) + PROG_PFN_SLACK;
	if (nr == PROG_RUN_ALL || nr > end)
		nr = first < end ? end - first : 1;
	return (struct pfa_run){ (pfa_pfn)first, (size_t)nr };
}

/* Operations on the blocks of a handle that is not empty. */
static bool ops_on_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	struct exec_handle part;

	switch (op->kind) {
	case OP_FREE:
		return ops_free_list(run, h, false);
	case OP_FREE_BULK:
		return ops_free_list_bulk(run, h);
	case OP_FREE_RANGE:
		return ops_free_list_range(run, h);
	case OP_FREE_PTR:
		if (!run->setup.cfg.pool) /* no addresses: by pfn, so that the handle ends as it should */
			return ops_free_list(run, h, false);
		return ops_free_list(run, h, true);
	case OP_FREE_PART:
		part = ops_cut(run, h, (uint32_t)(op->arg[1] % h->nr), (uint32_t)op->arg[2]);
		return ops_free_list(run, &part, false);
	case OP_FREE_RANGE_PART:
		part = ops_cut(run, h, (uint32_t)(op->arg[1] % h->nr), (uint32_t)op->arg[2]);
		return ops_free_list_range(run, &part);
	case OP_SPLIT:
		return ops_split(run, h, op->arg[1], op->arg[2]);
	case OP_FILL:
		return ops_content(run, h, true, op->arg[1]);
	case OP_VERIFY:
		return ops_content(run, h, false, 0);
	default:
		return exec_misuse_handle(run, op, h);
	}
}

static bool ops_request_kind(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint64_t *a = op->arg;
	struct request r;

	switch (op->kind) {
	case OP_ALLOC:
	case OP_ALLOC_PTR:
		r = request_block((unsigned)a[0], ops_flags(run, a[1], a[2]));
		return ops_request(run, h, &r, op->kind == OP_ALLOC_PTR);
	case OP_ALLOC_BULK:
		r = request_block((unsigned)a[0], ops_flags(run, a[2], a[3]));
		return ops_bulk(run, h, &r, (size_t)a[1]);
	case OP_ALLOC_EXACT:
		r = request_exact((size_t)a[0], (unsigned)a[1], ops_flags(run, a[2], 0));
		return ops_request(run, h, &r, false);
	default:
		r = request_window((unsigned)a[0], ops_flags(run, a[1], a[2]), run->window);
		return ops_request(run, h, &r, false);
	}
}

bool exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index)
{
	const uint64_t *a = op->arg;
	const struct prog_kind_info *info = prog_kind(op->kind);
	struct exec_handle *h = &run->handle[index];

	if (ops_lacking(run->ops, op->kind))
		return exec_skip(run);
	if (info->yields)
		return ops_request_kind(run, op, h);
	if (op->ref != PROG_NO_REF) {
		h = &run->handle[op->ref];
		if (op->kind == OP_DOUBLE_FREE || op->kind == OP_SPLIT_DEAD)
			return exec_misuse_dead(run, op, h);
		return h->nr ? ops_on_handle(run, op, h) : exec_skip(run);
	}
	switch (op->kind) {
	case OP_WINDOW:
		run->window = exec_run_of(run, a[0], a[1]);
		return true;
	case OP_LARGEST_FREE:
		return ops_largest_free(run, ops_flags(run, a[0], a[1]));
	case OP_WOULD_SUCCEED: {
		const struct request r = request_block((unsigned)a[0], ops_flags(run, a[1], a[2]));
		return ops_would_succeed(run, &r);
	}
	case OP_CACHE_DRAIN:
		return ops_drain(run, a[0]);
	case OP_CACHE_PURGE:
		return exec_purge(run, (pfa_pfn)a[0]);
	case OP_CACHE_DISABLE:
	case OP_CACHE_ENABLE:
		return ops_switch(run, op->kind == OP_CACHE_DISABLE);
	case OP_SET_CPU: /* without effect where the allocator cannot learn of it */
		run->cpu[op->thread] = a[0] == PROG_CPU_ALL ? PFA_ALL_CPUS : (uint32_t)a[0];
		return true;
	case OP_SERVICE:
		return ops_service(run, (unsigned)a[0]);
	case OP_CLOCK_ADVANCE:
		pfa_sim_advance(&run->sim, a[0]);
		return true;
	case OP_FAULT:
		ops_fault(run, op);
		return true;
	case OP_FINI:
		return ops_fini(run);
	default:
		return exec_view(run, op);
	}
}
