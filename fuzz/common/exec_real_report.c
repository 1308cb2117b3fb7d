/* SPDX-License-Identifier: MIT
 *
 * exec_real_report.c - the reporting device of fuzz_report: a host that overwrites what it is told of, and a model that knows of each
 * frame whether the host was told of it since it was last allocated.
 *
 * The model sees allocations of the program and of callbacks. What owners and caches take is noticed after the step, from the states of
 * the frames; so what must be marked is judged only where there are neither (`exact`). What must not be is judged always: a frame
 * that was used since has lost what the host wrote there.
 */
#include "exec_real_report.h"

#include <string.h>

/* ---- frames ------------------------------------------------------------------------------------------------------------ */

size_t told_frames(const struct real_run *r)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	size_t nr = 0;
	for (unsigned i = 0; i < cfg->nr_zones; i++)
		nr += cfg->zones[i].nr_frames;
	return nr;
}

enum pfa_frame_state told_state(struct real_run *r, pfa_pfn pfn)
{
	struct pfa_frame_info f;
	return real_calls.frame_info(r->pfa, pfn, &f) == PFA_OK ? f.state : PFA_FRAME_STATES;
}

static unsigned char *told_bytes(struct real_run *r, pfa_pfn pfn)
{
	void *at;
	return r->addresses && pfa_ptr(r->pfa, pfn, &at) == PFA_OK ? at : NULL;
}

bool told_content(struct real_run *r, pfa_pfn pfn, size_t index, bool all)
{
	const size_t bytes = (size_t)1 << r->run->setup.cfg.frame_shift;
	const unsigned char *at = r->told.left[index] ? told_bytes(r, pfn) : NULL;
	const unsigned char byte = (unsigned char)r->told.left[index];
	for (size_t i = 0; at && i < bytes; i += all ? 1 : bytes - 1)
		if (at[i] != byte)
			return real_fail(r, "I9 content", "a frame that the device was told of was written to, and is not allocated", pfn, byte, at[i]);
	return true;
}

bool told_taken(struct real_run *r, pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const size_t at = real_index(r, pfn + i);
		if (r->told.in_batch[at])
			return real_fail(r, "I9 batch", "a frame that the device is being told of was granted", pfn + i, 0, 1);
		r->told.known[at] = 0;
		r->told.left[at] = 0;
	}
	return true;
}

bool told_whole(const struct real_run *r, pfa_pfn first, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!r->told.known[real_index(r, first + i)])
			return false;
	return true;
}

unsigned told_zone(const struct real_run *r, pfa_pfn pfn, size_t nr)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	unsigned i = 0;
	while (i < cfg->nr_zones && !(pfn >= cfg->zones[i].start && pfn - cfg->zones[i].start < cfg->zones[i].nr_frames &&
	                              nr <= cfg->zones[i].nr_frames - (pfn - cfg->zones[i].start)))
		i++;
	return i;
}

/* ---- the host ---------------------------------------------------------------------------------------------------------- */

static bool told_judge_run(struct real_run *r, const struct pfa_run *run, pfa_pfn behind)
{
	const size_t unit = (size_t)1 << r->told.device.min_order, pb = (size_t)1 << r->run->p->config.pageblock_order;
	const struct pfa_run *only = &r->told.device.only;
	struct pfa_pageblock_info info;

	if (run->nr_frames < unit || (run->nr_frames & (run->nr_frames - 1)) || run->first % run->nr_frames || run->first < behind)
		return real_fail(r, "I9 batch", "a block of the batch has no size or place that a device is promised", run->first, unit, run->nr_frames);
	if (told_zone(r, run->first, run->nr_frames) == r->run->setup.cfg.nr_zones)
		return real_fail(r, "I9 batch", "a block of the batch lies in no zone", run->first, unit, run->nr_frames);
	if (only->nr_frames && (run->first < only->first || run->first + run->nr_frames > only->first + only->nr_frames))
		return real_fail(r, "I9 batch", "a block of the batch lies outside of the device's range", run->first, only->first, only->nr_frames);
	for (pfa_pfn at = run->first; at < run->first + run->nr_frames; at = (at / pb + 1) * pb)
		if (pfa_pageblock_info(r->pfa, at, &info) == PFA_OK && info.holder)
			return real_fail(r, "I9 isolated", "a block of the batch is isolated", at, 0, info.holder);
	if (told_state(r, run->first) != PFA_FRAME_HELD_REPORT)
		return real_fail(r, "I9 batch", "a block of the batch is not held by the reporter", run->first, PFA_FRAME_HELD_REPORT,
		                 told_state(r, run->first));
	for (size_t i = 0; i < run->nr_frames; i++) {
		const size_t at = real_index(r, run->first + i);
		if (r->holder[at] || r->told.in_batch[at] || told_state(r, run->first + i) == PFA_FRAME_FREE)
			return real_fail(r, "I9 batch", "a frame of the batch is somebody's, or on offer", run->first + i, REAL_NOBODY, r->holder[at]);
	}
	for (size_t i = 0; r->told.exact && i < run->nr_frames; i += unit)
		if (told_whole(r, run->first + i, unit))
			return real_fail(r, "I9 twice", "the device is told what it knows", run->first + i, 0, 1);
	return true;
}

/* Never below the low mark, nor more than a quarter of what is free. Zones with areas of their own count otherwise. */
static bool told_judge_room(struct real_run *r, const struct pfa_run *runs, size_t frames)
{
	const unsigned zone = told_zone(r, runs[0].first, 1);
	const struct pfa_zone_config *z = &r->run->setup.cfg.zones[zone];
	const size_t unit = (size_t)1 << r->told.device.min_order;
	struct pfa_zone_stats s;

	if (real_calls.zone_stats(r->pfa, zone, &s, sizeof(s)) != PFA_OK)
		return real_fail(r, "owners code", "a zone's sums cannot be had", runs[0].first, 0, zone);
	if (s.held_report != frames)
		return real_fail(r, "I9 sums", "frames that the reporter holds are not those of the batch", runs[0].first, frames, s.held_report);
	if (z->nr_cma || z->highatomic_frames || r->told.token)
		return true;
	if (s.free < z->mark_low)
		return real_fail(r, "I12 report", "a batch takes a zone below its low mark", runs[0].first, z->mark_low, s.free);
	if (frames > unit && frames > (s.free + frames) / 4)
		return real_fail(r, "I12 report", "a batch has more than a quarter of what is free", runs[0].first, (s.free + frames) / 4, frames);
	return true;
}

static int told_never(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct real_run *r = ctx;
	(void)runs, (void)nr, (void)out_done;
	(void)real_fail(r, "I9 after", "a device is called that was refused", 0, 0, 1);
	return PFA_OK;
}

/* What must not be called inside of report(). */
static void told_forbidden(struct real_run *r)
{
	const struct pfa_device d = { .size = sizeof(d), .report = told_never, .ctx = r };
	const int codes[] = { pfa_service(r->pfa, 1, NULL),       pfa_fini(r->pfa),           real_calls.flush(r->pfa),
		              pfa_report_register(r->pfa, &d),    real_calls.unregister(r->pfa), pfa_report_suspend(r->pfa),
		              pfa_report_resume(r->pfa) };
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] != PFA_EDEADLK)
			(void)real_fail(r, "I9 code", "inside of report() a call that is forbidden there is not refused (which)", 0, i, (size_t)(unsigned)-codes[i]);
}

void told_takes_and_gives(struct real_run *r)
{
	const size_t had = r->nr_extra;
	for (unsigned i = 0; i < 16 && real_extra_take(r); i++)
		;
	while (r->nr_extra > had && real_extra_give(r))
		;
}

static int told_count(void *ctx, struct pfa_run run)
{
	struct real_run *r = ctx;
	for (size_t i = 0; i < run.nr_frames; i++) {
		const size_t at = real_index(r, run.first + i);
		r->told.walked += at < sizeof(r->told.in_batch) && r->told.in_batch[at]; /* a walk may visit what is not there */
	}
	return 0;
}

static void told_inside(struct real_run *r, const struct pfa_run *runs, size_t frames)
{
	struct pfa_violation v;

	r->depth++;
	r->acted += r->told.does != 0 && r->told.does != 4 && r->told.does != 5 && r->told.does != 7;
	switch (r->told.does) {
	case 1: (void)real_extra_take(r); break;
	case 2: (void)real_extra_give(r); break;
	case 3: (void)real_extra_take(r), (void)real_extra_give(r); break;
	case 4: told_forbidden(r); break;
	case 5:
		r->told.walked = 0;
		if (real_calls.walk(r->pfa, r->told.device.min_order, told_count, r, NULL) != PFA_OK || r->told.walked != frames)
			(void)real_fail(r, "walk held", "frames that the reporter holds do not count as free to a walk", runs[0].first, frames,
			                r->told.walked);
		if (pfa_check(r->pfa, PFA_CHECK_FRAMES, &v) != PFA_OK)
			(void)real_fail(r, "owners check", v.what, v.pfn, v.expected, v.actual);
		break;
	case 6: (void)real_may(r, pfa_mark_bad(r->pfa, runs[0].first + runs[0].nr_frames / 2), UINT32_MAX, "pfa_mark_bad()"); break;
	case 7: pfa_sim_advance(&r->sim, UINT64_C(10000000000)); break;
	case 8: (void)real_may(r, pfa_cache_drain(r->pfa, PFA_ALL_CPUS), REAL_MAY(PFA_OK), "pfa_cache_drain()"); break;
	case 9: (void)real_core_free_one(r); break;
	case 10: told_takes_and_gives(r); break;
	default: break;
	}
	r->depth--;
}

/* The blocks are overwritten before anything else happens, and must be so still when report() returns. */
static void told_overwrite(struct real_run *r, const struct pfa_run *run, bool in_batch)
{
	const size_t bytes = (size_t)1 << r->run->setup.cfg.frame_shift;
	for (size_t i = 0; i < run->nr_frames; i++) {
		const size_t at = real_index(r, run->first + i);
		unsigned char *to = r->told.device.discards ? told_bytes(r, run->first + i) : NULL;
		r->told.in_batch[at] = in_batch;
		if (!in_batch) {
			(void)told_content(r, run->first + i, at, false);
			continue;
		}
		r->told.left[at] = 0;
		if (to) {
			r->told.left[at] = r->told.device.zeroes ? 0x100 : 0x1DD;
			memset(to, (unsigned char)r->told.left[at], bytes);
		}
	}
}

/* What a zeroing device did not do may contain anything. */
static void told_spoil(struct real_run *r, const struct pfa_run *run)
{
	for (size_t i = 0; i < run->nr_frames; i++) {
		unsigned char *to = told_bytes(r, run->first + i);
		if (to)
			memset(to, 0xE7, (size_t)1 << r->run->setup.cfg.frame_shift);
		r->told.left[real_index(r, run->first + i)] = 0;
	}
}

int real_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	static const int codes[] = { PFA_OK, PFA_EDEVICE, PFA_EAGAIN, -77, 5 };
	struct real_run *r = ctx;
	struct real_told *t = &r->told;
	size_t frames = 0;
	pfa_pfn behind = 0;

	if (!t->registered || t->suspended)
		(void)real_fail(r, "I9 after", "the device is called though there is none, or it is suspended", runs[0].first, 0, nr);
	if (!nr || nr > t->device.capacity)
		(void)real_fail(r, "I9 batch", "blocks of a batch: at least one, at most the capacity", runs[0].first, t->device.capacity, nr);
	for (unsigned i = 0; i < nr && !r->failed; i++) {
		if (!told_judge_run(r, &runs[i], behind))
			break;
		frames += runs[i].nr_frames;
		behind = runs[i].first + runs[i].nr_frames;
	}
	if (r->failed || !told_judge_room(r, runs, frames) || !pace_batch(r, runs[0].first))
		return PFA_EDEVICE;
	t->calls++;
	t->frames += frames;
	for (unsigned i = 0; i < nr; i++)
		told_overwrite(r, &runs[i], true);
	told_inside(r, runs, frames);
	const int says = codes[t->says % 5];
	size_t done = says == PFA_OK ? nr : 0;
	if (t->count != 15) {
		*out_done = t->count == 14 ? nr + 1 : t->count % (nr + 1);
		done = *out_done <= nr ? *out_done : 0;
	}
	for (unsigned i = 0; i < nr; i++) {
		told_overwrite(r, &runs[i], false);
		if (i >= done && t->device.zeroes)
			told_spoil(r, &runs[i]);
		for (size_t k = 0; k < runs[i].nr_frames; k++)
			t->known[real_index(r, runs[i].first + k)] = i < done;
	}
	t->failed |= done < nr;
	if (!done)
		pace_failed(r, runs[0].first);
	if (t->times && --t->times == 0)
		t->says = 0, t->count = 15, t->does = 0;
	return says;
}

/* ---- operations -------------------------------------------------------------------------------------------------------- */

static void told_forget(struct real_run *r)
{
	memset(r->told.known, 0, sizeof(r->told.known));
}

static bool told_register(struct real_run *r, const uint64_t *a)
{
	static const uint64_t delays[] = { 0, PFA_EXPLICIT_0, 1000, 1000000 };
	const struct prog_config *c = &r->run->p->config;
	const struct pfa_zone_config *z = &r->run->setup.cfg.zones[0];
	const unsigned bits = (unsigned)a[2], wrong = (unsigned)a[3];
	const uint64_t frame = (uint64_t)1 << c->frame_shift, rates[] = { 0, 64 * frame, 4096 * frame, UINT64_C(1) << 33 };
	struct {
		struct pfa_device d;
		size_t tail;
	} in = { { .size = sizeof(in.d), .report = real_calls.report, .ctx = r }, 0 };
	struct pfa_device *d = &in.d;

	d->min_order = a[0] == 31 ? 0 : a[0] ? (uint32_t)a[0] : (uint32_t)PFA_EXPLICIT_0;
	d->capacity = a[1] == 31 ? PFA_REPORT_CAPACITY_LIMIT : (uint32_t)a[1];
	d->discards = bits & 1;
	d->zeroes = bits >> 1 & 1;
	d->delay_ns = delays[bits >> 2 & 3];
	d->bytes_per_s = rates[bits >> 4 & 3];
	switch (bits >> 6) {
	case 1: d->only = (struct pfa_run){ z->start + z->nr_frames / 2, z->nr_frames }; break;
	case 2: d->only = (struct pfa_run){ z->start + 7, z->nr_frames / 3 + 1 }; break;
	case 3: d->only = (struct pfa_run){ z->start >> c->pageblock_order << c->pageblock_order, (size_t)1 << c->pageblock_order }; break;
	default: break;
	}
	const struct pfa_device right = *d;
	switch (wrong) {
	case 1: d->size--; break;
	case 2: d->size = sizeof(in), in.tail = 1; break;
	case 3: d->report = NULL; break;
	case 4: d->capacity = PFA_REPORT_CAPACITY_LIMIT + 1; break;
	case 5: d->min_order = c->max_order + 1; break;
	case 6: d->discards = 2; break;
	case 7: d->only = (struct pfa_run){ 2, SIZE_MAX }; break;
	default: break;
	}
	int expected = PFA_OK;
	if (!r->told.has)
		expected = PFA_ENOTSUP;
	else if (wrong || (a[0] != 31 && a[0] > c->max_order) || right.zeroes > right.discards)
		expected = PFA_EINVAL;
	else if (r->told.registered)
		expected = PFA_EBUSY;
	if (!real_may(r, pfa_report_register(r->pfa, d), REAL_MAY(expected), "pfa_report_register()") || expected != PFA_OK)
		return !r->failed;
	r->told.device = right;
	r->told.device.min_order = (uint32_t)a[0];
	if (a[0] == 31)
		r->told.device.min_order = c->pageblock_order < c->max_order ? c->pageblock_order : c->max_order;
	r->told.device.capacity = right.capacity ? right.capacity : PFA_REPORT_CAPACITY;
	r->told.registered = true;
	r->told.suspended = false;
	told_forget(r);
	pace_begins(r);
	return true;
}

bool told_leave(struct real_run *r, bool suspend)
{
	const bool there = r->told.registered && !(suspend && r->told.suspended);
	const int expected = !r->told.has ? PFA_ENOTSUP : there ? PFA_OK : PFA_EINVAL;
	if (!real_may(r, suspend ? pfa_report_suspend(r->pfa) : real_calls.unregister(r->pfa), REAL_MAY(expected), "ending, or suspending, a device"))
		return false;
	if (there) {
		r->told.registered = suspend;
		r->told.suspended = suspend;
		told_forget(r);
	}
	return true;
}

bool told_resume(struct real_run *r)
{
	const bool there = r->told.registered && r->told.suspended;
	if (!real_may(r, pfa_report_resume(r->pfa), REAL_MAY(!r->told.has ? PFA_ENOTSUP : there ? PFA_OK : PFA_EINVAL), "pfa_report_resume()"))
		return false;
	r->told.suspended &= !there;
	if (there)
		pace_begins(r);
	return true;
}

/* The events of all zones: looks of passes. */
static size_t told_steps(struct real_run *r)
{
	struct pfa_zone_stats s;
	size_t steps = 0;
	for (unsigned i = 0; i < r->run->setup.cfg.nr_zones; i++)
		if (real_calls.zone_stats(r->pfa, i, &s, sizeof(s)) == PFA_OK)
			steps += s.nr_report_steps;
	return steps;
}

bool told_flush(struct real_run *r)
{
	struct real_told *t = &r->told;
	const bool there = t->registered && !t->suspended;
	const size_t frames = t->frames;
	const unsigned acted = r->acted;

	t->failed = false;
	int code = pace_flush(r);
	if (!t->has || !there)
		return real_may(r, code, REAL_MAY(t->has ? PFA_EINVAL : PFA_ENOTSUP), "pfa_report_flush() without a device");
	if (!real_may(r, code, REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN) | (t->failed ? REAL_MAY(PFA_EDEVICE) : 0), "pfa_report_flush()"))
		return false;
	if (t->failed && code == PFA_OK)
		return real_fail(r, "I9 code", "a flush says that all was told, and the device failed", 0, (size_t)-PFA_EAGAIN, PFA_OK);
	if (t->frames - frames > told_frames(r))
		return real_fail(r, "I13 report", "a pass tells more frames than there are", 0, told_frames(r), t->frames - frames);
	if (code != PFA_OK || r->acted != acted)
		return true;
	if (!told_complete(r, "I9 complete"))
		return false;
	const size_t steps = told_steps(r), told = t->calls;
	code = pace_flush(r);
	if (t->calls != told || told_steps(r) != steps)
		return real_fail(r, "I13 report", "a second pass at once is not free: it looks at, or tells, something", 0, 0,
		                 told_steps(r) - steps + t->calls - told);
	return real_may(r, code, REAL_MAY(PFA_OK), "a second flush");
}

static bool told_serve(struct real_run *r)
{
	int code = PFA_EAGAIN;
	for (unsigned i = 0; i < 4096 && code == PFA_EAGAIN; i++) {
		code = told_service(r, 64);
		if (!real_may(r, code, REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN), "pfa_service()"))
			return false;
	}
	return code == PFA_OK || real_fail(r, "I13 report", "the background work does not come to an end", 0, PFA_OK, 1);
}

bool told_can_end(const struct real_run *r)
{
	const struct real_told *t = &r->told;
	for (unsigned i = 0; i < r->run->setup.cfg.nr_zones; i++)
		if (r->run->setup.cfg.zones[i].mark_low)
			return false;
	return t->exact && t->registered && !t->suspended && !t->device.bytes_per_s && !t->token;
}

static bool told_settle(struct real_run *r)
{
	struct real_told *t = &r->told;

	t->says = t->times = t->does = 0;
	t->count = 15;
	for (unsigned i = 0; i < 6; i++) {
		pfa_sim_advance(&r->sim, UINT64_C(400000000000)); /* more than any delay and back-off */
		if (!told_serve(r))
			return false;
	}
	if (!told_can_end(r))
		return true;
	const size_t calls = t->calls;
	pfa_sim_advance(&r->sim, UINT64_C(400000000000));
	return told_serve(r) && told_complete(r, "I9 complete") &&
	       (calls == t->calls || real_fail(r, "I9 complete", "at rest there is still something to tell", 0, 0, t->calls - calls));
}

bool told_hold(struct real_run *r, pfa_pfn pfn, bool undo)
{
	struct real_told *t = &r->told;
	struct pfa_blocker why;
	if (t->token) {
		if (!real_may(r, pfa_undo_isolate_range(r->pfa, t->held_at, t->held_at + 1, t->token), REAL_MAY(PFA_OK), "pfa_undo_isolate_range()"))
			return false;
		t->token = 0;
	}
	if (undo || told_zone(r, pfn, 1) == r->run->setup.cfg.nr_zones)
		return true;
	const int code = pfa_isolate_range(r->pfa, pfn, pfn + 1, PFA_NOMIGRATE, &t->token, &why);
	t->token = code == PFA_OK ? t->token : 0;
	t->held_at = pfn;
	return real_may(r, code, REAL_MAY(PFA_OK) | REAL_MAY(PFA_EBUSY) | REAL_MAY(PFA_EAGAIN) | REAL_MAY(PFA_ENOMEM) | REAL_MAY(PFA_ERANGE),
	                "pfa_isolate_range()");
}

bool real_report_op(struct real_run *r, const struct prog_op *op)
{
	const uint64_t *a = op->arg;
	if (!r->run->o->tells)
		return exec_skip(r->run);
	switch (op->kind) {
	case OP_DEVICE_REGISTER: return told_register(r, a);
	case OP_DEVICE_UNREGISTER: return told_leave(r, false);
	case OP_DEVICE_SUSPEND: return told_leave(r, true);
	case OP_DEVICE_RESUME: return told_resume(r);
	case OP_DEVICE_FLUSH: return told_flush(r);
	case OP_DEVICE_SAYS:
		r->told.says = (unsigned)a[0];
		r->told.count = (unsigned)a[1];
		r->told.times = (unsigned)a[2];
		r->told.does = (unsigned)a[3];
		return true;
	case OP_DEVICE_SETTLE: return told_settle(r);
	case OP_DEVICE_HOLD:
		return told_hold(r, r->run->setup.cfg.zones[0].start + ((size_t)a[0] << r->run->p->config.pageblock_order), a[1] != 0);
	default: return real_walk(r, a);
	}
}

bool told_register_any(struct real_run *r, uint32_t seed)
{
	const unsigned max = r->run->p->config.max_order;
	const uint64_t a[4] = { seed % 3 == 0 ? 31 : seed / 3 % (max + 1), seed % 7, seed % 5 == 0 ? 5 : seed % 5 == 1 ? 7 : 4 | (seed & 3 & (seed >> 1)), 0 };
	return told_register(r, a);
}

/* ---- begin, made up, end ----------------------------------------------------------------------------------------------- */

bool real_report_begin(struct real_run *r, const struct program *p)
{
	r->told.made = true;
	r->told.exact = true;
	r->told.count = 15;
	for (unsigned i = 0; i < p->nr_ops; i++)
		r->told.made &= prog_kind(p->ops[i].kind)->group != PROG_GROUP_TELL;
	return !r->told.made || p->config.seed % 8 == 7 || told_register_any(r, p->config.seed);
}

bool real_report_made(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const unsigned max = r->run->p->config.max_order;
	uint32_t hash = (index + 1) * 2654435761u ^ op->kind * 40503u;

	for (unsigned i = 0; i < PROG_ARGS_MAX; i++)
		hash = (hash ^ (uint32_t)op->arg[i]) * 16777619u;
	hash ^= hash >> 15;
	r->acted = 0;
	if (r->run->o->tells == EXEC_WALKS) {
		const uint64_t a[4] = { hash % 3 ? hash % 7 % (max + 1) : hash % (max + 1), hash >> 8 & 15, hash >> 12 & 7, hash >> 16 & 1 ? 0 : hash >> 17 & 3 };
		if (!real_walk(r, a))
			return false;
	}
	switch (hash >> 20 & 15) {
	case 0: case 1: case 2:
		if (!told_flush(r))
			return false;
		break;
	case 3: case 4: case 5:
		pfa_sim_advance(&r->sim, UINT64_C(3000000000));
		if (!real_may(r, told_service(r, 1 + (hash & 31)), REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN), "pfa_service()"))
			return false;
		break;
	case 6: case 7:
		r->told.says = hash & 7;
		r->told.count = hash >> 3 & 1 ? 15 : hash >> 4 & 15;
		r->told.times = 1 + (hash >> 8 & 3);
		r->told.does = hash >> 10 & 15;
		break;
	case 8:
		if (!told_hold(r, r->run->setup.cfg.zones[0].start + ((hash & 15) << r->run->p->config.pageblock_order), hash & 16))
			return false;
		break;
	case 9:
		if (!(r->told.registered ? told_leave(r, hash & 1) : told_register_any(r, hash)) || (r->told.suspended && !told_resume(r)))
			return false;
		break;
	case 10:
		if (!pace_retries(r))
			return false;
		break;
	default: return true;
	}
	return real_look(r, false);
}

bool real_report_end(struct real_run *r)
{
	if (!told_hold(r, 0, true) || !told_settle(r) || !real_look(r, true))
		return false;
	return !r->told.registered || told_leave(r, false);
}
