/* SPDX-License-Identifier: MIT
 *
 * exec_views.c - the operations that only look: checker, statistics, text, frames, regions.
 */
#include "exec_ops.h"

#include <string.h>

struct views_text {
	struct exec_run *run;
	size_t nr, pieces;
	bool long_piece, has_zero, nest, nest_failed;
	char last;
	size_t number, frames; /* the digits read last; the sum of what stood before " frame" */
	unsigned matched;
};

/* Adds up N of each "N frame". */
static void views_count(struct views_text *t, char c)
{
	static const char word[] = " frame";

	if (c >= '0' && c <= '9') {
		t->number = (t->matched ? 0 : t->number * 10) + (size_t)(c - '0');
		t->matched = 0;
		return;
	}
	t->matched = c == word[t->matched] ? t->matched + 1 : 0;
	if (!t->matched)
		t->number = 0;
	if (word[t->matched] == 0) {
		t->frames += t->number;
		t->matched = 0;
		t->number = 0;
	}
}

static void views_write(void *ctx, const char *bytes, size_t nr)
{
	struct views_text *t = ctx;

	t->nr += nr;
	t->pieces++;
	t->long_piece |= nr > 128;
	t->has_zero |= memchr(bytes, 0, nr) != NULL;
	if (nr)
		t->last = bytes[nr - 1];
	for (size_t i = 0; i < nr; i++)
		views_count(t, bytes[i]);
	if (t->nest) { /* no lock is held here: the writer may allocate and free */
		pfa_pfn pfn = 0;
		t->run->tracks_zero = t->run->events_known = t->run->rests_known = false; /* a frame was the writer's, which the model does not know */
		if (t->run->ops->alloc(t->run->sut, 0, PFA_MOVABLE, &pfn) == PFA_OK)
			t->nest_failed |= t->run->ops->free(t->run->sut, pfn, 0) != PFA_OK;
	}
}

static bool views_print(struct exec_run *run, enum pfa_print_what what, bool nest)
{
	struct views_text t = { .run = run, .nest = nest && !run->nr_poked };
	size_t owned = 0;
	int code;

	if (!run->ops->print)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->print(run->sut, what, views_write, &t));
	run->step.value = t.nr;
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	if (t.long_piece || t.has_zero)
		return exec_fail(run, "contract print", "a piece is longer than 128 bytes, or holds a zero", 0, 0, t.pieces);
	for (unsigned zone = 0; zone < run->m.nr_zones && what == PFA_PRINT_LIVE; zone++)
		owned += run->m.zone[zone].owned - run->m.zone[zone].guards;
	if (what == PFA_PRINT_LIVE && t.frames != owned)
		return exec_fail(run, "view live", "frames of the allocated blocks, as listed", 0, owned, t.frames);
	if (what == PFA_PRINT_LIVE && !owned) /* nothing to list */
		return t.nr == 0 || exec_fail(run, "view live", "text about blocks that there are not", 0, 0, t.nr);
	if (t.nr == 0 || t.last != '\n')
		return exec_fail(run, "contract print", "text is whole lines", 0, '\n', (unsigned char)t.last);
	if (t.nest_failed)
		return exec_fail(run, "contract print", "the writer could not free what it was granted", 0, 0, 1);
	return true;
}

static bool views_check(struct exec_run *run, unsigned level)
{
	struct pfa_violation violation = { .invariant = 99 };
	int code;

	if (!run->ops->check)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->check(run->sut, level, &violation));
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	return violation.invariant == 0 || exec_fail(run, "contract check", "OK with a violation", violation.pfn, 0,
	                                             violation.invariant);
}

/* In how many zones do frames of the run lie, and does it lie in one wholly? */
static unsigned views_zones_of(const struct model *m, struct pfa_run run, bool *wholly)
{
	unsigned nr = 0;

	*wholly = false;
	for (unsigned i = 0; i < m->nr_zones; i++) {
		const struct model_zone *z = &m->zone[i];
		const bool meets = run.first < z->start + z->nr && z->start < run.first + run.nr_frames;
		nr += meets;
		*wholly |= meets && run.first >= z->start && run.first + run.nr_frames <= z->start + z->nr;
	}
	return nr;
}

static bool views_check_range(struct exec_run *run, struct pfa_run range)
{
	struct pfa_violation violation = { .invariant = 99 };
	bool wholly;
	const unsigned zones = views_zones_of(&run->m, range, &wholly);
	int code;

	if (!run->ops->check_range)
		return exec_skip(run);
	EXEC_CALL(run, code,
	          run->ops->check_range(run->sut, range, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation));
	if (zones && !wholly && code == PFA_ERANGE) {
		run->step.code = code;
		return true; /* it crosses a zone's end: either answer */
	}
	return exec_expect_code(run, zones ? PFA_OK : PFA_ERANGE, code);
}

static bool views_stats(struct exec_run *run, unsigned zone)
{
	struct pfa_zone_stats s;
	struct pfa_stats all;
	int code;

	if (!run->ops->zone_stats || !run->ops->stats || zone >= run->m.nr_zones)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->zone_stats(run->sut, zone, &s, sizeof(s)));
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	EXEC_CALL(run, code, run->ops->stats(run->sut, &all, sizeof(all)));
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	if (all.nr_zones != run->m.nr_zones || all.nr_cpus != run->m.nr_cpus)
		return exec_fail(run, "view stats", "zones and cpus as configured", 0, run->m.nr_cpus, all.nr_cpus);
	if (s.mark_min != run->m.zone[zone].mark[0] || s.mark_low != run->m.zone[zone].mark[1] ||
	    s.mark_high != run->m.zone[zone].mark[2])
		return exec_fail(run, "view stats", "watermarks as configured", 0, run->m.zone[zone].mark[0], s.mark_min);
	if (all.nr_corrupt != run->corrupt)
		return exec_fail(run, "view stats", "corruption that was met", 0, run->corrupt, all.nr_corrupt);
	return true;
}

bool exec_judge_frame(struct exec_run *run, pfa_pfn pfn, const struct pfa_frame_info *f)
{
	size_t index;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	const unsigned char state = zone < run->m.nr_zones ? run->m.state[index] : MODEL_ABSENT;
	bool fits;

	switch ((enum model_state)state) {
	case MODEL_HEAD:
		fits = f->state == PFA_FRAME_HEAD && f->order == run->m.order[index];
		break;
	case MODEL_TAIL:
		fits = f->state == PFA_FRAME_TAIL;
		break;
	case MODEL_GUARD:
		fits = f->state == PFA_FRAME_GUARD;
		break;
	case MODEL_ABSENT:
		fits = f->state == PFA_FRAME_ABSENT;
		break;
	case MODEL_OFFLINE:
		fits = f->state == PFA_FRAME_OFFLINE;
		break;
	case MODEL_BAD:
		fits = f->state == PFA_FRAME_BAD || (run->m.doomed[index] == 2 && (f->state == PFA_FRAME_QUARANTINE ||
		                                                                  f->state == PFA_FRAME_TAIL));
		break;
	default: /* free, or, unless it is held, in a cache or quarantine: there a block has tails too */
		if (f->type == PFA_TYPE_ISOLATE) {
			fits = f->state == PFA_FRAME_FREE;
			break;
		}
		fits = f->state == PFA_FRAME_FREE || f->state == PFA_FRAME_CACHED || f->state == PFA_FRAME_TAIL ||
		       (f->state == PFA_FRAME_QUARANTINE && run->m.quarantine);
		break;
	}
	if (!fits)
		return exec_fail(run, "view frame", "a frame's state is another one (expected: model, actual: library)", pfn,
		                 state, f->state);
	if (f->zone != (zone < run->m.nr_zones ? zone : PFA_ZONES_LIMIT))
		return exec_fail(run, "view frame", "a frame's zone is another one", pfn, zone, f->zone);
	if (f->known_zero && state != MODEL_FREE)
		return exec_fail(run, "view zero", "a frame that is not free is known to be zero", pfn, 0, 1);
	if (f->known_zero && run->setup.zero == SETUP_ZERO_SHADOW && !run->m.zero[index])
		return exec_fail(run, "view zero", "a frame that was written is known to be zero", pfn, 0, 1);
	if (f->known_zero && run->setup.zero == SETUP_ZERO_LIBRARY && run->setup.content && !exec_is_poked(run, pfn))
		return exec_verify_zero(run, pfn, 1);
	return true;
}

static bool views_frame(struct exec_run *run, pfa_pfn pfn)
{
	struct pfa_frame_info f;
	int code;

	if (!run->ops->frame_info)
		return exec_skip(run);
	memset(&f, 0, sizeof(f));
	EXEC_CALL(run, code, run->ops->frame_info(run->sut, pfn, &f));
	run->step.value = f.state;
	return exec_expect_code(run, PFA_OK, code) && exec_judge_frame(run, pfn, &f);
}

static bool views_pageblock(struct exec_run *run, pfa_pfn pfn)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	size_t index, present = 0, unowned = 0;
	const unsigned zone = model_zone_of(&run->m, pfn, &index);
	struct pfa_pageblock_info info;
	struct verdict v;
	int code;

	if (!run->ops->pageblock_info)
		return exec_skip(run);
	EXEC_CALL(run, code, run->ops->pageblock_info(run->sut, pfn, &info));
	if (!exec_expect_code(run, zone < run->m.nr_zones ? PFA_OK : PFA_ERANGE, code))
		return false;
	if (zone == run->m.nr_zones)
		return true;
	const struct model_zone *z = &run->m.zone[zone];
	for (size_t i = 0; i < z->nr; i++) {
		if ((z->start + i) / pb != pfn / pb)
			continue;
		present += run->m.state[z->base + i] != MODEL_ABSENT && run->m.state[z->base + i] != MODEL_OFFLINE;
		unowned += run->m.state[z->base + i] == MODEL_FREE;
	}
	const uint32_t holder = run->m.held[z->pb_base + (pfn / pb - z->pb_first)];
	if (info.holder != holder)
		return exec_fail(run, "I4 holder", "a pageblock has another holder", pfn, holder, info.holder);
	if (info.present != present)
		return exec_fail(run, "view pageblock", "present frames of a pageblock", pfn, present, info.present);
	if (info.free > unowned)
		return exec_fail(run, "view pageblock", "more free frames in a pageblock than nobody owns", pfn, unowned,
		                 info.free);
	return model_set_type(&run->m, zone, pfn / pb - z->pb_first, info.type, &v) || exec_say(run, &v);
}

static bool views_ptr(struct exec_run *run, pfa_pfn pfn, uint64_t offset)
{
	size_t index;
	const bool inside = model_zone_of(&run->m, pfn, &index) < run->m.nr_zones;
	const struct setup *s = &run->setup;
	void *ptr = NULL;
	pfa_pfn back = 0;
	int code;

	EXEC_CALL(run, code, run->ops->ptr(run->sut, pfn, &ptr));
	if (!exec_expect_code(run, !s->cfg.pool ? PFA_ENOTSUP : inside ? PFA_OK : PFA_ERANGE, code) || code != PFA_OK)
		return run->r->outcome == EXEC_FINE;
	const uintptr_t expected = (uintptr_t)s->cfg.pool + (pfn - s->cfg.pool_pfn) * s->frame_bytes;
	if ((uintptr_t)ptr != expected)
		return exec_fail(run, "model ptr", "the address of a frame", pfn, expected, (uintptr_t)ptr);
	EXEC_CALL(run, code,
	          run->ops->pfn_of(run->sut, (const void *)(expected + (size_t)offset * s->frame_bytes / 64u), &back));
	if (!exec_expect_code(run, PFA_OK, code))
		return false;
	return back == pfn || exec_fail(run, "model ptr", "the frame at an address", pfn, pfn, back);
}

static bool views_names(struct exec_run *run, unsigned number)
{
	const char *name = pfa_error_name(-(int)number);
	const char *text = pfa_config_problem_text((enum pfa_config_problem)number);

	if (!name || !*name || !text || !*text)
		return exec_fail(run, "contract names", "names and messages are never NULL or empty", 0, 1, number);
	if (number > 11 && strcmp(name, "PFA_E?") != 0)
		return exec_fail(run, "contract names", "a value that is no code has the name PFA_E?", 0, 0, number);
	if (pfa_version() !=
	    ((uint32_t)PFA_VERSION_MAJOR << 16 | (uint32_t)PFA_VERSION_MINOR << 8 | (uint32_t)PFA_VERSION_PATCH))
		return exec_fail(run, "contract names", "the version is that of the headers", 0, 1, pfa_version());
	return true;
}

struct views_regions {
	struct { uintptr_t start, end; } seen[64];
	unsigned nr;
	bool bad_name;
};

static void views_region(void *ctx, const char *name, const void *start, size_t bytes)
{
	struct views_regions *v = ctx;

	v->bad_name |= !name || !*name;
	if (v->nr < 64) {
		v->seen[v->nr].start = (uintptr_t)start;
		v->seen[v->nr].end = (uintptr_t)start + bytes;
	}
	v->nr++;
}

static bool views_all_regions(struct exec_run *run)
{
	struct views_regions v = { .nr = 0 };
	const void *memory;
	size_t bytes;

	if (!run->ops->regions || !run->ops->memory)
		return exec_skip(run);
	run->ops->memory(run->sut, &memory, &bytes);
	run->ops->regions(run->sut, views_region, &v);
	run->step.value = v.nr;
	if (v.nr == 0 || v.bad_name)
		return exec_fail(run, "view regions", "there are regions, and each has a name", 0, 1, v.nr);
	for (unsigned i = 0; i < v.nr && i < 64; i++) {
		if (v.seen[i].start < (uintptr_t)memory || v.seen[i].end > (uintptr_t)memory + bytes)
			return exec_fail(run, "view regions", "a region lies outside of the caller's memory", 0, i, v.seen[i].end);
		for (unsigned j = 0; j < i; j++)
			if (v.seen[i].start < v.seen[j].end && v.seen[j].start < v.seen[i].end)
				return exec_fail(run, "view regions", "two regions overlap", 0, i, j);
	}
	return true;
}

/* The hook is a leaf that only reads; what can be said of it is that it is called, with a zone that exists. It is set
 * from the beginning, and away only while the operation looks. */
void exec_unlocked(void *ctx, struct pfa *pfa, unsigned zone)
{
	struct exec_run *run = ctx;

	(void)pfa;
	run->unlocks++;
	if (zone >= run->m.nr_zones)
		run->contract = "the on-unlock hook was told of a zone that there is not";
	exec_work(run);
}

static bool views_on_unlock(struct exec_run *run, bool on)
{
	struct pfa_frame_info f;
	const size_t was = run->unlocks;

	if (!run->ops->on_unlock || !run->ops->frame_info)
		return exec_skip(run);
	run->ops->on_unlock(run->sut, on ? exec_unlocked : NULL, run);
	if (run->ops->frame_info(run->sut, run->m.zone[0].start, &f) != PFA_OK)
		return exec_fail(run, "model code", "frame_info of a pfn in a zone fails", run->m.zone[0].start, 0, 1);
	if ((run->unlocks != was) != on)
		return exec_fail(run, "view unlock", "the on-unlock hook is called exactly while it is set", 0, on,
		                 run->unlocks - was);
	run->ops->on_unlock(run->sut, exec_unlocked, run);
	return true;
}

bool exec_view(struct exec_run *run, const struct prog_op *op)
{
	const uint64_t *a = op->arg;

	switch (op->kind) {
	case OP_CHECK:
		return views_check(run, (unsigned)a[0] & (PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES));
	case OP_CHECK_RANGE:
		return views_check_range(run, exec_run_of(run, a[0], a[1]));
	case OP_STATS:
		return views_stats(run, (unsigned)a[0]);
	case OP_PRINT:
		return views_print(run, (enum pfa_print_what)a[0], a[1] != 0);
	case OP_FRAME_INFO:
		return views_frame(run, (pfa_pfn)a[0]);
	case OP_PAGEBLOCK_INFO:
		return views_pageblock(run, (pfa_pfn)a[0]);
	case OP_PTR_OF:
		return views_ptr(run, (pfa_pfn)a[0], a[1]);
	case OP_NAMES:
		return views_names(run, (unsigned)a[0]);
	case OP_REGIONS:
		return views_all_regions(run);
	case OP_ON_UNLOCK:
		return views_on_unlock(run, a[0] != 0);
	default:
		return exec_misuse(run, op);
	}
}
