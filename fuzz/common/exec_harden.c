/* SPDX-License-Identifier: MIT
 *
 * exec_harden.c - the operations of pfa/harden.h: bad frames, repair, handles that go stale, history; and what the platform does
 * for them: tags, backtraces, the log.
 */
#include "exec_movable.h"

#include <string.h>

/* ---- bad frames -------------------------------------------------------------------------------------------------- */

/* Recorded while it was in use, and not yet bad: the library alone knows how long its quarantine keeps it. */
static bool harden_fades(struct exec_run *run, pfa_pfn pfn)
{
	struct pfa_frame_info f;

	return model_fades(&run->m, pfn) && run->ops->frame_info(run->sut, pfn, &f) == PFA_OK && f.state != PFA_FRAME_BAD;
}

bool exec_mark_bad(struct exec_run *run, pfa_pfn pfn)
{
	int code;

	if (!run->ops->mark_bad)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = 1;
	model_forget_frees(&run->m);
	const bool fades = harden_fades(run, pfn);
	EXEC_CALL(run, code, run->ops->mark_bad(run->sut, pfn));
	const int expected = model_mark_bad(&run->m, pfn);
	if (fades)
		model_mark_faded(&run->m, pfn);
	if (expected != PFA_ERANGE)
		exec_touch(run, pfn, 1);
	run->must_be_unchanged = expected == PFA_ERANGE;
	return exec_expect_code(run, expected, code);
}

bool exec_mark_bad_of(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	const uint32_t node = exec_nth(run, h, op->arg[1]);

	return exec_mark_bad(run, run->pfn_of[node] + (size_t)op->arg[2] % ((size_t)1 << run->order_of[node]));
}

/* ---- writes after the free --------------------------------------------------------------------------------------- */

bool exec_is_poked(const struct exec_run *run, pfa_pfn pfn)
{
	size_t index;

	for (unsigned i = 0; i < run->nr_poked; i++)
		if (run->poked[i].pfn == pfn)
			return model_zone_of(&run->m, pfn, &index) < run->m.nr_zones && run->m.state[index] == MODEL_FREE;
	return false;
}

void exec_unpoke(struct exec_run *run, pfa_pfn pfn, size_t nr, bool restore)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < run->nr_poked; i++) {
		if (run->poked[i].pfn - pfn >= nr)
			run->poked[kept++] = run->poked[i];
		else if (restore)
			exec_frame(run, run->poked[i].pfn)[run->poked[i].at] ^= 0x5A;
	}
	run->nr_poked = kept;
}

bool exec_poke(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	const pfa_pfn pfn = h->had_pfn + (size_t)op->arg[1] % ((size_t)1 << h->had_order);
	const size_t at = (size_t)op->arg[1] * 37 % run->setup.frame_bytes;
	size_t index;

	if (!h->had || run->setup.cfg.poison == PFA_POISON_NONE || run->p->config.abort_policy || run->nr_poked == EXEC_POKES ||
	    exec_is_poked(run, pfn))
		return exec_skip(run);
	(void)model_zone_of(&run->m, pfn, &index);
	if (run->m.state[index] != MODEL_FREE)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->poked[run->nr_poked].value = exec_frame(run, pfn)[at] ^= 0x5A;
	run->poked[run->nr_poked].pfn = pfn;
	run->poked[run->nr_poked++].at = at;
	return true;
}

/* Frames of [pfn, pfn + nr), of one zone, in one block of the largest order, of which this zone has [at, end). */
static void harden_freed(struct exec_run *run, const struct model_zone *z, pfa_pfn at, pfa_pfn end, pfa_pfn pfn, size_t nr)
{
	bool known = true;

	for (pfa_pfn i = at; i < end && known; i++) {
		const size_t index = z->base + (i - z->start);
		known = i - pfn < nr || run->content[index] ||
		        (run->m.state[index] != MODEL_FREE && run->m.state[index] != MODEL_GUARD);
	}
	for (pfa_pfn i = at > pfn ? at : pfn; i < end && i < pfn + nr; i++)
		run->content[z->base + (i - z->start)] = known;
}

/* A cache may take a frame as a part of a block, and forgets what is known of it if not all of that is. So there must be no
 * other frame around of which nothing is known, and that is nobody's or may become so. */
void exec_content_freed(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	const pfa_pfn size = (pfa_pfn)1 << run->m.max_order;

	if (run->setup.cfg.poison == PFA_POISON_NONE)
		return;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		const pfa_pfn last = z->start + z->nr, from = pfn > z->start ? pfn : z->start, to = pfn + nr < last ? pfn + nr : last;
		for (pfa_pfn at = from & ~(size - 1); from < to && at < to; at += size)
			harden_freed(run, z, at > z->start ? at : z->start, last - at < size ? last : at + size, pfn, nr);
	}
}

/* The library compares the content of a block if it knows that of each frame of it: then what is cut off stays known, too.
 * Blocks that it takes for itself on behalf of movers are not followed. A byte that has another value by now was overwritten
 * by such a free as a request does that fails. */
bool exec_judge_content(struct exec_run *run, const struct request *r, pfa_pfn pfn)
{
	const struct request whole = model_sought(r);
	const size_t nr = r->exact ? r->nr_frames : (size_t)1 << r->order, all = (size_t)1 << whole.order;
	const enum pfa_poison poison = run->setup.cfg.poison;
	const bool lines = run->setup.frame_bytes > 64 && (poison == PFA_POISON_LINES || !(r->flags & PFA_ZERO));
	size_t index;

	if (poison == PFA_POISON_NONE || run->setup.cfg.max_owners)
		return true;
	if (model_zone_of(&run->m, pfn - (r->flags & PFA_GUARD ? (size_t)1 << r->order : 0), &index) == run->m.nr_zones)
		return true; /* as the judgement of its guards says */
	if (memchr(run->content + index, 0, all)) {
		memset(run->content + index, 0, all);
		return true;
	}
	for (unsigned i = 0; i < run->nr_poked; i++)
		if (run->poked[i].pfn - pfn < nr && (poison == PFA_POISON_ALL || !lines) &&
		    exec_frame(run, run->poked[i].pfn)[run->poked[i].at] == run->poked[i].value)
			return exec_fail(run, "I15 poison", "a block is granted that was written to after its free (byte)", run->poked[i].pfn, 0,
			                 run->poked[i].at);
	return true;
}

/* Exactly one block of nr frames in which this one lies is bad now. */
static bool harden_written(struct exec_run *run, pfa_pfn told, size_t nr)
{
	size_t found = 0;
	bool among = false;

	run->corrupt++;
	exec_allow_steps(run, nr); /* each of its frames becomes bad */
	run->events_known = false;
	for (pfa_pfn pfn = told - (told < nr ? told : nr); pfn < told + nr; pfn++) {
		struct pfa_frame_info f;
		size_t index;
		if (model_zone_of(&run->m, pfn, &index) == run->m.nr_zones || run->m.state[index] != MODEL_FREE)
			continue;
		if (run->ops->frame_info(run->sut, pfn, &f) != PFA_OK || f.state != PFA_FRAME_BAD)
			continue;
		(void)model_mark_bad(&run->m, pfn);
		exec_touch(run, pfn, 1);
		exec_unpoke(run, pfn, 1, false);
		among |= pfn == told;
		found++;
	}
	return (found == nr && among) ||
	       exec_fail(run, "I15 poison", "frames of the block that are bad, since one was written after its free", told, nr, found);
}

bool exec_corrupt(struct exec_run *run, size_t nr)
{
	if (!run->nr_written)
		return exec_fail(run, "I15 poison", "corruption that nobody made", run->told.pfn, PFA_FAULT_WRITTEN_AFTER_FREE,
		                 (size_t)run->told.kind);
	const pfa_pfn last = run->written[--run->nr_written].pfn; /* the request's own */
	return exec_judge_written(run) && harden_written(run, last, nr);
}

bool exec_judge_written(struct exec_run *run)
{
	if (run->nr_written && !run->setup.cfg.max_owners)
		return exec_fail(run, "I15 poison", "corruption is told, and the call does not say so", run->written[0].pfn, 0,
		                 run->nr_written);
	for (unsigned i = 0; i < run->nr_written; i++)
		if (!harden_written(run, run->written[i].pfn, (size_t)1 << run->written[i].order))
			return false;
	run->nr_written = 0;
	return true;
}

/* ---- repair ------------------------------------------------------------------------------------------------------ */

/* Of an instance that nobody damaged: it finds nothing to do. */
bool exec_repair(struct exec_run *run, unsigned flags, bool out)
{
	const struct pfa_repair nothing = { .size = sizeof(nothing) };
	struct pfa_repair did = nothing;
	int code;

	EXEC_CALL(run, code, run->ops->repair(run->sut, flags, out ? &did : NULL));
	run->must_be_unchanged = true;
	if (!exec_expect_code(run, flags & ~PFA_REPAIR_QUIESCENT ? PFA_EINVAL : PFA_OK, code))
		return false;
	return memcmp(&did, &nothing, sizeof(did)) == 0 ||
	       exec_fail(run, "view repair", "zones were rebuilt that nobody damaged (zones, given up)", 0, 0, did.zones);
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

bool exec_keep_token(struct exec_run *run, struct exec_handle *h, const struct pfa_handle *handle)
{
	h->token = (struct exec_token){ *handle, model_birth(&run->m, handle->pfn, handle->order) };
	h->has_token = true;
	run->tokens[run->nr_tokens++ % EXEC_TOKENS] = h->token;
	return true;
}

/* pfa_handle_of() of any pfn and order: a block that is owned has a handle, nothing else has. */
static bool harden_handle_of(struct exec_run *run, pfa_pfn pfn, unsigned order, struct pfa_handle *out)
{
	const struct pfa_handle untouched = { 77, 78, 79 };
	const struct expectation none = { PFA_ENOTSUP, 0 };
	int code;

	*out = untouched;
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	EXEC_CALL(run, code, run->ops->handle_of(run->sut, pfn, order, out));
	run->must_be_unchanged = true;
	if (!exec_expect(run, run->p->config.generations ? model_expect_free(&run->m, pfn, order) : none, code, pfn, true))
		return false;
	if (code != PFA_OK)
		return memcmp(out, &untouched, sizeof(untouched)) == 0 ||
		       exec_fail(run, "contract out", "a refusal wrote to the out parameter", pfn, 77, out->pfn);
	return (out->pfn == pfn && out->order == order) ||
	       exec_fail(run, "contract out", "a handle names another block", pfn, pfn, out->pfn);
}

bool exec_handle_of(struct exec_run *run, const struct prog_op *op, struct exec_handle *h)
{
	const uint32_t node = exec_nth(run, h, op->arg[1]);
	struct pfa_handle handle;

	if (!harden_handle_of(run, run->pfn_of[node], run->order_of[node], &handle))
		return false;
	return run->step.code != PFA_OK || exec_keep_token(run, h, &handle);
}

bool exec_handle_of_pfn(struct exec_run *run, pfa_pfn pfn, unsigned order)
{
	struct pfa_handle handle;

	if (run->p->config.generations && model_expect_free(&run->m, pfn, order).code == PFA_OK)
		return exec_skip(run);
	run->r->misuses += run->p->config.generations;
	return harden_handle_of(run, pfn, order, &handle);
}

/* A block that is owned. Its handle is what it was when it was made, unless the block was split or freed since. */
bool exec_free_checked(struct exec_run *run, pfa_pfn pfn, unsigned order, const struct exec_handle *h)
{
	struct pfa_handle handle;
	int code;

	if (!harden_handle_of(run, pfn, order, &handle))
		return false;
	run->must_be_unchanged = false;
	const struct exec_token *t = &h->token;
	const bool same = h->has_token && t->handle.pfn == pfn && t->birth == model_birth(&run->m, pfn, order);
	if (same && memcmp(&t->handle, &handle, sizeof(handle)) != 0)
		return exec_fail(run, "I15 handle", "a block's handle changed though it was neither freed nor split", pfn,
		                 t->handle.generation, handle.generation);
	EXEC_CALL(run, code, run->ops->free_checked(run->sut, &handle));
	return exec_expect(run, model_expect_free(&run->m, pfn, order), code, pfn, true);
}

/* The handle of a block that was freed or split since: refused as stale, whatever is there now. */
static bool harden_free_stale(struct exec_run *run, const struct exec_token *t)
{
	const struct expectation stale = { PFA_EMISUSE, 1u << PFA_FAULT_STALE_HANDLE };
	int code;

	if (t->birth == model_birth(&run->m, t->handle.pfn, t->handle.order))
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = t->handle.pfn;
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free_checked(run->sut, &t->handle));
	if (code == PFA_OK)
		return exec_fail(run, "I15 handle", "a stale handle freed a block", t->handle.pfn, t->handle.generation, t->birth);
	return exec_expect(run, stale, code, t->handle.pfn, true);
}

bool exec_free_stale(struct exec_run *run, const struct exec_handle *h)
{
	if (!h->has_token || (run->ops->lacks & SUT_NO_MISUSE))
		return exec_skip(run);
	return harden_free_stale(run, &h->token);
}

bool exec_stale_volley(struct exec_run *run, uint64_t dice)
{
	const unsigned nr = run->nr_tokens < EXEC_TOKENS ? run->nr_tokens : EXEC_TOKENS;

	return harden_free_stale(run, &run->tokens[dice % nr]);
}

bool exec_free_forged(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	const uint32_t node = exec_nth(run, h, op->arg[1]);
	const pfa_pfn pfn = run->pfn_of[node];
	const unsigned order = run->order_of[node];
	struct pfa_handle handle;
	int code;

	if (run->ops->lacks & SUT_NO_MISUSE)
		return exec_skip(run);
	if (!harden_handle_of(run, pfn, order, &handle))
		return false;
	handle.pfn += op->arg[3] & 7;
	handle.order ^= (uint32_t)op->arg[2];
	handle.generation += (uint32_t)op->arg[3] >> 3;
	const bool right = handle.pfn == pfn && op->arg[3] >> 3 == 0;
	if (handle.pfn != pfn && model_expect_free(&run->m, handle.pfn, handle.order).code == PFA_OK)
		return true; /* another block that is owned, whose generation this may be by chance */
	struct expectation e = model_expect_free_checked(&run->m, handle.pfn, handle.order, right);
	if (!run->p->config.generations)
		e = (struct expectation){ PFA_ENOTSUP, 0 };
	if (e.code == PFA_OK)
		return true; /* nothing was changed in it: the handle is right */
	run->r->misuses++;
	EXEC_CALL(run, code, run->ops->free_checked(run->sut, &handle));
	if (code == PFA_OK && !right)
		return exec_fail(run, "I15 handle", "a forged handle freed a block", handle.pfn, 1, handle.generation);
	return exec_expect(run, e, code, handle.pfn, true);
}

/* ---- history ----------------------------------------------------------------------------------------------------- */

static uint32_t harden_tag(void *ctx)
{
	return ((struct exec_run *)((struct pfa_sim *)ctx)->ctx)->m.tag;
}

/* A backtrace that says which tag it was taken under. */
static size_t harden_depth(uint32_t tag)
{
	return 1 + tag % PFA_TRACE_DEPTH;
}

static size_t harden_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	const uint32_t tag = harden_tag(ctx);
	size_t i = 0;

	for (; i < harden_depth(tag) && i < max; i++)
		out[i] = (uintptr_t)tag * PFA_TRACE_DEPTH + i;
	return i;
}

static void harden_log(void *ctx, const char *text)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;
	const char *at = text ? strstr(text, " frame") : NULL;
	size_t number = 0, scale = 1;

	if (!text || !*text || strchr(text, '\n'))
		run->contract = "the log is told one line at a time, without its end";
	if (!run->in_fini)
		run->contract = "the log was told something though nothing happened that it should know";
	for (; at && at > text && at[-1] >= '0' && at[-1] <= '9'; at--, scale *= 10)
		number += (size_t)(at[-1] - '0') * scale;
	run->logged++;
	run->logged_frames += number;
}

/* A guard comes to be in free memory that is being granted, and ends once; told where the frame is. It may end while the
 * model knows of none: in the call that made it, if its block is refused, since that was written to after its free; or with
 * a block that moves, which is the owner's no more by then. */
static int harden_guard(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on)
{
	struct exec_run *run = ((struct pfa_sim *)ctx)->ctx;
	const struct setup *s = &run->setup;
	size_t index;
	const bool inside = model_zone_of(&run->m, pfn, &index) < run->m.nr_zones;

	if (!s->cfg.pool || (uintptr_t)ptr != (uintptr_t)s->cfg.pool + (pfn - s->cfg.pool_pfn) * s->frame_bytes ||
	    bytes != s->frame_bytes)
		run->contract = "the guard op was told another address than the frame's";
	if (!inside || run->guarded[index] == on || (on && run->m.state[index] != MODEL_FREE))
		run->contract = "the guard op was told of a frame that becomes no guard, or was none";
	if (inside)
		run->guarded[index] = on;
	run->guards_on += on ? 1u : SIZE_MAX;
	return PFA_OK;
}

/* As many as the model knows, where frames have addresses. */
bool exec_judge_guards(struct exec_run *run)
{
	size_t guards = 0;

	for (unsigned zone = 0; zone < run->m.nr_zones && run->setup.cfg.pool; zone++)
		guards += run->m.zone[zone].guards;
	return guards == run->guards_on || !run->setup.platform->guard ||
	       exec_fail(run, "contract guards", "frames that the guard op was told to guard", 0, guards, run->guards_on);
}

void exec_harden_prepare(struct exec_run *run)
{
	run->platform.guard = harden_guard;
	run->platform.tag = harden_tag;
	run->platform.backtrace = harden_backtrace;
	run->platform.log = harden_log;
}

/* fini lists what lives, all of it. */
bool exec_judge_logged(struct exec_run *run, size_t owned)
{
	if (!run->ops->history)
		return true;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) /* which are part of no block */
		owned -= run->m.zone[zone].guards;
	if (run->logged_frames != owned || (run->logged != 0) != (owned != 0))
		return exec_fail(run, "view log", "frames of the allocated blocks, as the log was told at the end", 0, owned,
		                 run->logged_frames);
	return true;
}

static bool harden_event_fits(const struct pfa_event *e, pfa_pfn pfn)
{
	return e->op > PFA_EVENT_NONE && e->op < PFA_EVENT_OPS && e->order <= PFA_ORDER_LIMIT && e->number &&
	       e->pfn % ((size_t)1 << e->order) == 0 && e->pfn <= pfn && (pfn - e->pfn) >> e->order == 0;
}

static bool harden_event_text(struct exec_run *run, const struct pfa_event *e)
{
	char text[128], small[8];
	const size_t len = pfa_event_text(e, text, sizeof(text)), cut = pfa_event_text(e, small, sizeof(small));

	if (len >= sizeof(text) || strlen(text) != len || !strstr(text, ", pfn ") || cut >= sizeof(small) ||
	    strlen(small) != cut || memcmp(text, small, cut) != 0)
		return exec_fail(run, "view event", "the text of an event, whole and cut to 8 bytes", e->pfn, len, cut);
	return true;
}

/* The backtrace of an event: gone, or the one that was taken for it. */
static bool harden_event_trace(struct exec_run *run, const struct pfa_event *e)
{
	uintptr_t at[PFA_TRACE_DEPTH];
	size_t nr = 99;
	const size_t depth = harden_depth(e->tag);
	const int code = run->ops->trace(run->sut, e->number, at, PFA_TRACE_DEPTH, &nr);

	if (!run->setup.cfg.nr_traces || e->number % ((size_t)1 << run->setup.cfg.trace_shift))
		return (code == (run->setup.cfg.nr_traces ? PFA_ERANGE : PFA_ENOTSUP) && nr == 0) ||
		       exec_fail(run, "view trace", "a backtrace of an event that has none", e->pfn, 0, e->number);
	if (code == PFA_ERANGE && nr == 0)
		return true;
	if (code != PFA_OK || nr != depth)
		return exec_fail(run, "view trace", "depth of a backtrace", e->pfn, depth, nr);
	for (size_t i = 0; i < nr; i++)
		if (at[i] != (uintptr_t)e->tag * PFA_TRACE_DEPTH + i)
			return exec_fail(run, "view trace", "a backtrace is another event's", e->pfn, e->tag, at[i] / PFA_TRACE_DEPTH);
	return true;
}

/* The events of a frame: newest first, each of a block that it was in; and the newest is the one that the model knows. */
bool exec_judge_events(struct exec_run *run, pfa_pfn pfn, size_t max)
{
	static struct pfa_event events[64];
	struct pfa_event newest;
	size_t nr = 99, index;
	const bool inside = model_zone_of(&run->m, pfn, &index) < run->m.nr_zones;

	if (!run->ops->history)
		return true;
	const int code = run->ops->history(run->sut, pfn, events, max, &nr);
	run->history_code = code;
	const int expected = !run->m.history ? PFA_ENOTSUP : inside ? PFA_OK : PFA_ERANGE;
	if (code != expected || nr > max || (code != PFA_OK && nr))
		return exec_fail(run, "model code", "history of a frame", pfn, (size_t)(unsigned)-expected, (size_t)(unsigned)-code);
	for (size_t i = 0; i < nr; i++) {
		if (!harden_event_fits(&events[i], pfn) || (i && events[i].number >= events[i - 1].number))
			return exec_fail(run, "view history", "events are of blocks that the frame was in, the newest first", pfn, i,
			                 events[i].number);
		if (!harden_event_text(run, &events[i]) || (run->events_known && !harden_event_trace(run, &events[i])))
			return false;
	}
	if (code != PFA_OK || max == 0 || !run->events_known || !model_newest_event(&run->m, pfn, &newest))
		return true;
	if (nr == 0 || events[0].pfn != newest.pfn || events[0].op != newest.op || events[0].order != newest.order ||
	    events[0].tag != newest.tag || (run->threads_known && events[0].thread != newest.thread))
		return exec_fail(run, "view history", "the last event of a frame (expected tag, actual)", pfn, newest.tag,
		                 nr ? events[0].tag : 0);
	return true;
}

/* A fault brings what pfa_history() says of its frame. */
void exec_judge_told(struct exec_run *run, const struct pfa_fault *fault)
{
	struct pfa_event events[PFA_HISTORY_LIMIT];
	size_t nr = 0;

	if ((fault->history != NULL) != (fault->nr_history != 0) || fault->nr_history > run->m.history) {
		run->contract = "a fault's history is not what it says it is";
		return;
	}
	if (!run->m.history || !run->ops->history || !run->sut)
		return;
	if (run->ops->history(run->sut, fault->pfn, events, run->m.history, &nr) != PFA_OK)
		nr = 0;
	if (nr != fault->nr_history || (nr && memcmp(events, fault->history, nr * sizeof(events[0])) != 0))
		run->contract = "a fault's history is not that of its frame";
}

bool exec_history(struct exec_run *run, pfa_pfn pfn, size_t max)
{
	char text[128], start[48];
	size_t index;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);

	run->must_be_unchanged = true;
	if (!exec_judge_events(run, pfn, max))
		return false;
	run->step.code = run->history_code;
	const size_t len = run->ops->frame_text(run->sut, pfn, text, sizeof(text));
	const size_t nr = run->ops->frame_text(run->sut, pfn, start, 1);
	if (len >= sizeof(text) || strlen(text) != len || strncmp(text, "pfn ", 4) != 0 || nr || start[0])
		return exec_fail(run, "view text", "the text of a frame, whole and cut to nothing", pfn, 0, len);
	const unsigned char state = zone < run->m.nr_zones ? run->m.state[index] : MODEL_ABSENT;
	const bool owned = state == MODEL_HEAD || state == MODEL_TAIL;
	if ((strstr(text, "in an allocated ") != NULL) != owned || ((strstr(text, ": bad") != NULL) != (state == MODEL_BAD) && run->m.doomed[index] != 2) ||
	    (strstr(text, "in no zone") != NULL) != (zone == run->m.nr_zones) ||
	    (strstr(text, "offline") != NULL) != (zone < run->m.nr_zones && state == MODEL_OFFLINE) ||
	    (strstr(text, "in a hole") != NULL) != (zone < run->m.nr_zones && state == MODEL_ABSENT))
		return exec_fail(run, "view text", "the text of a frame says another state than the model", pfn, state, len);
	return true;
}

bool exec_trace(struct exec_run *run, size_t number, size_t max)
{
	uintptr_t at[64];
	size_t nr = 99;
	int code;

	EXEC_CALL(run, code, run->ops->trace(run->sut, number, at, max, &nr));
	run->step.code = code;
	run->step.value = nr;
	run->must_be_unchanged = true;
	if (run->setup.cfg.nr_traces ? code != PFA_OK && code != PFA_ERANGE : code != PFA_ENOTSUP)
		return exec_fail(run, "model code", "backtrace of an event", 0, 0, (size_t)(unsigned)-code);
	if (nr > max || nr > PFA_TRACE_DEPTH || (code != PFA_OK && nr) ||
	    (code == PFA_OK && number % ((size_t)1 << run->setup.cfg.trace_shift)))
		return exec_fail(run, "view trace", "a backtrace of an event that has none, or too long", 0, max, nr);
	for (size_t i = 0; i < nr; i++)
		if (at[i] != at[0] + i || at[0] % PFA_TRACE_DEPTH)
			return exec_fail(run, "view trace", "a backtrace is not one that was taken", 0, at[0] + i, at[i]);
	return true;
}
