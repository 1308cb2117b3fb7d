/* SPDX-License-Identifier: MIT
 *
 * lib_calls.c - see lib_run.h: what callers own, and their calls.
 */
#include "lib_internal.h"

#include <pfa/contig.h>
#include <pfa/debug.h>
#include <pfa/stats.h>
#include <pfa/walk.h>

#include <string.h>

/* ---- what callers own ---- */

static void lib_content(const struct lib_block *b, bool write)
{
	unsigned char *at = lib.content + ((b->pfn - LIB_BASE) << LIB_SHIFT);
	const size_t bytes = (size_t)1 << (b->order + LIB_SHIFT);

	sched_touch(at, bytes, write);
	if (write)
		memset(at, (int)(0xA0 + b->order), bytes);
}

/* Who began to ask after a pageblock was isolated gets nothing of it. */
static void lib_not_held(const struct lib_block *b)
{
	const uint32_t held = lib.now.held[(b->pfn - LIB_BASE) >> LIB_PB_SHIFT];

	if (held && lib.now.began[sched_sim()->self - 1] > held)
		sched_fail("frame %zu is granted, and its pageblock is isolated", b->pfn);
}

void lib_own(unsigned self, const struct lib_block *b)
{
	lib_not_held(b);
	for (size_t i = 0; i < (size_t)1 << b->order; i++) {
		uint8_t *owner = &lib.now.owner[b->pfn - LIB_BASE + i];
		if (*owner != LIB_NOBODY)
			sched_fail("frame %zu is granted to t%u and belongs to t%u", b->pfn + i, self, *owner - 1u);
		*owner = (uint8_t)(self + 1);
		lib.now.since[b->pfn - LIB_BASE + i] = lib.now.time;
	}
	lib.now.time++;
	lib_content(b, true);
}

void lib_disown(const struct lib_block *b)
{
	lib_content(b, false);
	lib_content(b, true);
	memset(&lib.now.owner[b->pfn - LIB_BASE], LIB_NOBODY, (size_t)1 << b->order);
}

void lib_keep(unsigned self, pfa_pfn pfn, unsigned order)
{
	const struct lib_block b = { pfn, order };

	lib_own(self, &b);
	if (lib.now.nr_live[self] == LIB_LIVE) {
		sched_fail("the program holds more blocks than there is room for");
		return;
	}
	lib.now.live[self][lib.now.nr_live[self]++] = b;
}

bool lib_take(unsigned self, unsigned nth, struct lib_block *out)
{
	unsigned nr = lib.now.nr_live[self];

	if (!nr)
		return false;
	*out = lib.now.live[self][nth % nr];
	lib.now.live[self][nth % nr] = lib.now.live[self][nr - 1];
	lib.now.nr_live[self]--;
	return true;
}

/* ---- calls ---- */

void lib_expect(const char *call, int code, bool legal)
{
	if (!legal)
		sched_fail("%s returned %d", call, code);
}

bool lib_granted(const char *call, int code, uint32_t flags)
{
	bool short_of = code == PFA_ENOMEM || (code == PFA_EAGAIN && (flags & (PFA_NORETRY | PFA_NOWAIT)));

	lib_expect(call, code, code == PFA_OK || (short_of && (lib.program->flags & LIB_TIGHT)));
	return code == PFA_OK;
}

void lib_free(const struct lib_block *b)
{
	lib_disown(b);
	int code = pfa_free(lib.pfa, b->pfn, b->order);
	lib_expect("pfa_free", code, code == PFA_OK);
}

void lib_bulk(unsigned self, unsigned nr)
{
	pfa_pfn pfns[LIB_LIVE];
	size_t got = 0;
	int code = pfa_alloc_bulk(lib.pfa, 0, PFA_MOVABLE, nr, pfns, &got);

	lib_granted("pfa_alloc_bulk", code, 0);
	for (size_t i = 0; i < got; i++)
		lib_keep(self, pfns[i], 0);
}

void lib_exact(unsigned self, unsigned nr)
{
	pfa_pfn pfn;
	int code = pfa_alloc_exact(lib.pfa, nr, 0, PFA_MOVABLE, &pfn);

	if (lib_granted("pfa_alloc_exact", code, 0))
		for (unsigned i = 0; i < nr; i++)
			lib_keep(self, pfn + i, 0);
}

void lib_split(unsigned self, unsigned nth)
{
	struct lib_block b;

	if (!lib_take(self, nth, &b))
		return;
	int code = pfa_split(lib.pfa, b.pfn, b.order, 0);
	lib_expect("pfa_split", code, code == PFA_OK);
	lib_disown(&b);
	for (size_t i = 0; i < (size_t)1 << b.order; i++)
		lib_keep(self, b.pfn + i, 0);
}

void lib_give(unsigned self, unsigned nth)
{
	struct lib_block b;

	if (lib.now.nr_shared == LIB_SHARED || !lib_take(self, nth, &b))
		return;
	lib_content(&b, true);
	sched_order(&lib.now.published);
	lib.now.shared[lib.now.nr_shared++] = b;
}

void lib_take_free(void)
{
	sched_order(&lib.now.published);
	if (lib.now.nr_shared) {
		const struct lib_block b = lib.now.shared[--lib.now.nr_shared];
		lib_free(&b);
	}
}

/* Exactly one of those who free or split it wins; the others are told. They all own it, and none touches its content. */
void lib_win(unsigned self, enum lib_op_kind kind)
{
	const struct lib_block b = lib.now.shared[0];
	int code;

	if (!lib.now.contested)
		memset(&lib.now.owner[b.pfn - LIB_BASE], LIB_NOBODY, (size_t)1 << b.order);
	lib.now.contested = true; /* from here on the frames may be somebody's */
	if (kind == LIB_SPLIT_SHARED)
		code = pfa_split(lib.pfa, b.pfn, b.order, 0);
	else if (kind == LIB_FREE_HANDLE)
		code = pfa_free_checked(lib.pfa, &lib.now.handle);
	else
		code = pfa_free(lib.pfa, b.pfn, b.order);
	lib_expect("a call on a shared block", code, code == PFA_OK || code == PFA_EMISUSE);
	if (code != PFA_OK)
		return;
	if (lib.now.won)
		sched_fail("a block was freed or split twice, and both were told that it went well");
	lib.now.won = true;
	for (size_t i = 0; kind == LIB_SPLIT_SHARED && i < (size_t)1 << b.order; i++)
		lib_keep(self, b.pfn + i, 0);
}

/* An event's tag says which operation of which thread it was of, and the number which tag that was: all must fit. */
void lib_read_history(unsigned nr_frames)
{
	struct pfa_event events[4];
	size_t nr = 0;

	for (pfa_pfn pfn = LIB_BASE; pfn < LIB_BASE + nr_frames; pfn++) {
		int code = pfa_history(lib.pfa, pfn, events, 4, &nr);
		lib_expect("pfa_history", code, code == PFA_OK);
		for (size_t i = 0; i < nr; i++) {
			const struct pfa_event *e = &events[i];
			const unsigned thread = e->tag / 100, step = e->tag % 100;
			const struct lib_op *op = step ? &lib.program->threads[thread - 1][step - 1] : NULL;
			if (e->number >= LIB_EVENTS || e->number > lib.now.nr_tags || lib.now.tags[e->number] != e->tag || thread != e->thread ||
			    (op && (e->op == PFA_EVENT_ALLOC) != (op->kind == LIB_ALLOC)) || (op && op->kind == LIB_ALLOC && e->order != op->a))
				sched_fail("frame %zu has an event that was not: op %d of order %u by t%u, and its tag is %u", pfn, (int)e->op,
				           e->order, e->thread - 1u, e->tag);
			if (i && events[i - 1].number <= e->number)
				sched_fail("frame %zu has events out of order", pfn);
		}
	}
}

void lib_look(void)
{
	struct pfa_stats stats;
	struct pfa_zone_stats zone;
	struct pfa_frame_info frame;
	struct pfa_pageblock_info pageblock;
	unsigned order;
	int code = pfa_stats_get(lib.pfa, &stats, sizeof(stats));

	lib_expect("pfa_stats_get", code, code == PFA_OK);
	code = pfa_zone_stats_get(lib.pfa, 0, &zone, sizeof(zone));
	lib_expect("pfa_zone_stats_get", code, code == PFA_OK);
	code = pfa_frame_info(lib.pfa, LIB_BASE, &frame);
	lib_expect("pfa_frame_info", code, code == PFA_OK);
	code = pfa_pageblock_info(lib.pfa, LIB_BASE, &pageblock);
	lib_expect("pfa_pageblock_info", code, code == PFA_OK);
	code = pfa_largest_free(lib.pfa, PFA_MOVABLE, &order);
	lib_expect("pfa_largest_free", code, code == PFA_OK || code == PFA_ENOMEM);
	code = pfa_would_succeed(lib.pfa, 0, PFA_MOVABLE);
	lib_expect("pfa_would_succeed", code, code == PFA_OK || code == PFA_ENOMEM || code == PFA_EAGAIN);
}

struct lib_walk {
	unsigned self;
	uint32_t began;
	pfa_pfn next; /* frames below are done */
};

/* What belonged to a caller from before the walk until now was at no instant free. */
static int lib_visit(void *ctx, struct pfa_run run)
{
	struct lib_walk *walk = ctx;

	if (run.first < walk->next || run.nr_frames == 0 || run.first + run.nr_frames > LIB_BASE + LIB_FRAMES) {
		sched_fail("a walk visits %zu frames at %zu after those below %zu", run.nr_frames, run.first, walk->next);
		return 1;
	}
	walk->next = run.first + run.nr_frames;
	for (pfa_pfn pfn = run.first; pfn < walk->next; pfn++)
		if (lib.now.owner[pfn - LIB_BASE] != LIB_NOBODY && lib.now.since[pfn - LIB_BASE] < walk->began)
			sched_fail("frame %zu belongs to t%u since before the walk that visits it", pfn, lib.now.owner[pfn - LIB_BASE] - 1u);
	const struct lib_op alloc = { LIB_ALLOC, 0, PFA_MOVABLE };
	lib_op(walk->self, &alloc);
	const struct lib_op drop = { LIB_FREE, (uint8_t)(lib.now.nr_live[walk->self] - 1), 0 };
	lib_op(walk->self, &drop);
	return 0;
}

void lib_walk(unsigned self, unsigned order)
{
	struct lib_walk walk = { .self = self, .began = lib.now.time++ };
	int code = pfa_walk_free(lib.pfa, order, lib_visit, &walk, NULL);

	lib_expect("pfa_walk_free", code, code == PFA_OK);
}

void lib_check(unsigned level)
{
	struct pfa_violation v;
	int code = pfa_check(lib.pfa, level, &v);

	if (code != PFA_OK)
		sched_fail("pfa_check: %s at frame %zu: %zu, not %zu", v.what ? v.what : "?", v.pfn, v.actual, v.expected);
}

/* ---- ranges ---- */

static void lib_test_isolated(pfa_pfn start, pfa_token token)
{
	int first = pfa_test_isolated(lib.pfa, start, start + LIB_RANGE, token, NULL);

	lib_expect("pfa_test_isolated", first, first == PFA_OK || first == PFA_EBUSY);
	int again = pfa_test_isolated(lib.pfa, start, start + LIB_RANGE, token, NULL);
	/* What is free stays free. */
	lib_expect("pfa_test_isolated once more", again, again == PFA_OK || (again == PFA_EBUSY && first == PFA_EBUSY));
}

void lib_isolate(unsigned at)
{
	const pfa_pfn start = LIB_BASE + 8 * at, end = start + LIB_RANGE;
	const size_t first = 8 * at >> LIB_PB_SHIFT, last = (8 * at + LIB_RANGE - 1) >> LIB_PB_SHIFT;
	pfa_token token;
	int code = pfa_isolate_range(lib.pfa, start, end, 0, &token, NULL);

	lib_expect("pfa_isolate_range", code, code == PFA_OK || code == PFA_EBUSY || code == PFA_ENOMEM);
	if (code != PFA_OK)
		return;
	for (size_t pb = first; pb <= last; pb++) {
		if (lib.now.held[pb])
			sched_fail("a pageblock is isolated by two");
		lib.now.held[pb] = ++lib.now.time;
	}
	lib_test_isolated(start, token);
	for (size_t pb = first; pb <= last; pb++)
		lib.now.held[pb] = 0;
	code = pfa_undo_isolate_range(lib.pfa, start, end, token);
	lib_expect("pfa_undo_isolate_range", code, code == PFA_OK);
}

void lib_contig(unsigned self, unsigned at)
{
	const pfa_pfn start = LIB_BASE + 8 * at, end = start + LIB_RANGE;
	int code = pfa_alloc_contig_range(lib.pfa, start, end, 0, NULL);

	lib_expect("pfa_alloc_contig_range", code, code == PFA_OK || code == PFA_EBUSY || code == PFA_ENOMEM);
	if (code != PFA_OK)
		return;
	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const struct lib_block b = { pfn, 0 };
		lib_own(self, &b);
	}
	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const struct lib_block b = { pfn, 0 };
		lib_disown(&b);
	}
	code = pfa_free_contig_range(lib.pfa, start, LIB_RANGE);
	lib_expect("pfa_free_contig_range", code, code == PFA_OK);
}
