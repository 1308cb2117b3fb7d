/* SPDX-License-Identifier: MIT
 *
 * lib_calls.c - see lib_run.h: what callers own, and their calls.
 */
#include "lib_internal.h"

#include <string.h>

/* ---- what callers own ---- */

/* An owner's access to all of it, before which everybody else's must be over. Each frame's ends stand for it: who reads or writes content
 * does so with whole frames. */
static void lib_content(const struct lib_block *b)
{
	unsigned char *at = lib.content + ((size_t)(b->pfn - lib.base) << LIB_SHIFT);
	const size_t bytes = (size_t)1 << (b->order + LIB_SHIFT);

	for (size_t i = 0; i < bytes; i += (size_t)1 << LIB_SHIFT) {
		sched_touch(at + i, sizeof(uint64_t), true);
		sched_touch(at + i + (1u << LIB_SHIFT) - sizeof(uint64_t), sizeof(uint64_t), true);
	}
	memset(at, (int)(0xA0 + b->order), bytes);
}

static bool lib_is_there(const struct lib_block *b)
{
	if (b->pfn >= lib.base && b->pfn - lib.base + (UINT64_C(1) << b->order) <= lib.frames)
		return true;
	sched_fail("frame %u, order %u is granted, which there is not", b->pfn, b->order);
	return false;
}

bool lib_is_held(pfa_pfn pfn)
{
	const uint32_t held = pfn < lib.base || pfn - lib.base >= lib.frames ? 0 : lib.now.held[(pfn - lib.base) >> 6];

	return held && lib.now.began[sched_sim()->self - 1] > held;
}

void lib_not_held(pfa_pfn pfn)
{
	if (lib_is_held(pfn))
		sched_fail("frame %zu is granted, and its pageblock is isolated", pfn);
}

void lib_own(unsigned self, const struct lib_block *b)
{
	if (!lib_is_there(b))
		return;
	for (uint32_t i = 0; i < UINT32_C(1) << b->order; i++) {
		uint8_t *owner = &lib.now.owner[b->pfn - lib.base + i];
		if (*owner == LIB_DEVICE)
			sched_fail("frame %u is granted to t%u while the device is told of it", b->pfn + i, self);
		else if (*owner != LIB_NOBODY)
			sched_fail("frame %u is granted to t%u and belongs to t%u", b->pfn + i, self, *owner - 1u);
		*owner = (uint8_t)(self + 1);
		lib.now.told[b->pfn - lib.base + i] = false;
		lib.now.since[b->pfn - lib.base + i] = lib.now.time;
	}
	lib.now.time++;
	lib_content(b);
}

void lib_disown(const struct lib_block *b)
{
	lib_content(b);
	memset(&lib.now.owner[b->pfn - lib.base], LIB_NOBODY, (size_t)1 << b->order);
}

static bool lib_has_room(const struct lib_handle *h)
{
	if (h->nr == LIB_BLOCKS)
		sched_fail("a result has more than %u blocks", LIB_BLOCKS);
	return h->nr < LIB_BLOCKS;
}

void lib_keep(unsigned self, struct lib_handle *h, pfa_pfn pfn, unsigned order)
{
	const struct lib_block b = { (uint32_t)pfn, order };

	lib_own(self, &b);
	if (lib_has_room(h))
		h->blocks[h->nr++] = b;
}

/* The same, of what a request gives. */
static void lib_grant(unsigned self, struct lib_handle *h, pfa_pfn pfn, unsigned order)
{
	lib_not_held(pfn);
	lib_keep(self, h, pfn, order);
}

bool lib_take(struct lib_handle *h, unsigned nth, struct lib_block *out)
{
	if (!h->nr)
		return false;
	nth %= h->nr;
	*out = h->blocks[nth];
	memmove(&h->blocks[nth], &h->blocks[nth + 1], (--h->nr - nth) * sizeof(h->blocks[0]));
	return true;
}

/* ---- requests ---- */

void lib_expect(const char *call, int code, bool legal)
{
	if (!legal)
		sched_fail("%s returned %d", call, code);
}

bool lib_granted(const char *call, int code, uint32_t flags)
{
	const bool none = code == PFA_ENOMEM || (code == PFA_EAGAIN && (flags & (PFA_NORETRY | PFA_NOWAIT | PFA_COMPACT)));

	lib_expect(call, code, code == PFA_OK || (none && (lib.lenient || lib.contested)));
	return code == PFA_OK;
}

void lib_alloc(unsigned self, struct lib_handle *h, unsigned order, uint32_t flags, bool checked)
{
	pfa_pfn pfn;
	int code;

	if (order > lib.max_order)
		return;
	if (checked && (lib.program->config.generations)) {
		code = pfa_alloc_checked(lib.pfa, order, flags, &h->token);
		pfn = h->token.pfn;
		h->has_token = code == PFA_OK;
	} else {
		code = pfa_alloc(lib.pfa, order, flags, &pfn);
	}
	if (lib_granted("pfa_alloc", code, flags))
		lib_grant(self, h, pfn, order);
}

void lib_bulk(unsigned self, struct lib_handle *h, unsigned order, unsigned nr, uint32_t flags)
{
	pfa_pfn pfns[LIB_BLOCKS];
	size_t got = 0;

	if (order > lib.max_order)
		return;
	int code = pfa_alloc_bulk(lib.pfa, order, flags, nr < LIB_BLOCKS ? nr : LIB_BLOCKS, pfns, &got);
	lib_granted("pfa_alloc_bulk", code, flags);
	for (size_t i = 0; i < got; i++)
		lib_grant(self, h, pfns[i], order);
}

void lib_exact(unsigned self, struct lib_handle *h, unsigned nr, unsigned align, uint32_t flags)
{
	pfa_pfn pfn;

	if (nr > LIB_BLOCKS || nr > 1u << lib.max_order || align > lib.max_order)
		return;
	int code = pfa_alloc_exact(lib.pfa, nr, align, flags, &pfn);
	if (lib_granted("pfa_alloc_exact", code, flags))
		for (unsigned i = 0; i < nr; i++)
			lib_grant(self, h, pfn + i, 0);
}

/* ---- frees ---- */

static int lib_free_block(enum prog_kind how, const struct lib_block *b)
{
	const pfa_pfn pfn = b->pfn;
	struct pfa_handle token;
	size_t nr;
	int code;

	switch (how) {
	case OP_FREE_BULK:
		return pfa_free_bulk(lib.pfa, b->order, 1, &pfn, &nr);
	case OP_FREE_RANGE:
	case OP_FREE_RANGE_PART:
		return pfa_free_range(lib.pfa, pfn, (size_t)1 << b->order);
	case OP_FREE_CHECKED:
		if (!lib.program->config.generations)
			return pfa_free(lib.pfa, pfn, b->order);
		code = pfa_handle_of(lib.pfa, pfn, b->order, &token);
		return code == PFA_OK ? pfa_free_checked(lib.pfa, &token) : code;
	default:
		return pfa_free(lib.pfa, pfn, b->order);
	}
}

void lib_free(enum prog_kind how, struct lib_handle *h, unsigned nth, unsigned nr)
{
	struct lib_block b;

	while (nr-- && lib_take(h, nth, &b)) {
		lib_disown(&b);
		const int code = lib_free_block(how, &b);
		lib_expect("a free", code, code == PFA_OK);
	}
}

void lib_split(unsigned self, struct lib_handle *h, unsigned nth, unsigned to)
{
	struct lib_block b;

	if (!h->nr)
		return;
	to %= h->blocks[nth % h->nr].order + 1;
	if ((1u << (h->blocks[nth % h->nr].order - to)) + h->nr - 1 > LIB_BLOCKS || !lib_take(h, nth, &b))
		return;
	h->has_token = false;
	int code = pfa_split(lib.pfa, b.pfn, b.order, to);
	lib_expect("pfa_split", code, code == PFA_OK);
	lib_disown(&b);
	for (uint32_t i = 0; i < UINT32_C(1) << b.order; i += UINT32_C(1) << to)
		lib_keep(self, h, b.pfn + i, to);
}

/* ---- one block, many that end it ---- */

void lib_token(struct lib_handle *h)
{
	if (!h->nr || h->contested || !lib.program->config.generations)
		return;
	const int code = pfa_handle_of(lib.pfa, h->blocks[0].pfn, h->blocks[0].order, &h->token);
	lib_expect("pfa_handle_of", code, code == PFA_OK);
	h->has_token = true;
}

/* Exactly one of those who free or split it wins; the others are told. They all own it, and none touches its content. */
void lib_win(unsigned self, struct lib_handle *h, enum prog_kind kind)
{
	int code;

	if ((kind == OP_FREE_CHECKED_RACE && !h->has_token) || (!h->contested && !h->nr))
		return;
	const struct lib_block b = h->contested ? h->race : h->blocks[0];
	if ((kind == OP_SPLIT_RACE && (b.order == 0 || (1u << b.order) + h->nr > LIB_BLOCKS)) ||
	    (kind == OP_FREE_CHECKED_RACE && b.pfn != h->token.pfn))
		return;
	if (!h->contested) {
		lib_take(h, 0, &h->race);
		memset(&lib.now.owner[b.pfn - lib.base], LIB_NOBODY, (size_t)1 << b.order);
		h->contested = true; /* from here on the frames may be somebody's */
	}
	if (kind == OP_SPLIT_RACE)
		code = pfa_split(lib.pfa, b.pfn, b.order, 0);
	else if (kind == OP_FREE_CHECKED_RACE)
		code = pfa_free_checked(lib.pfa, &h->token);
	else
		code = pfa_free(lib.pfa, b.pfn, b.order);
	lib_expect("a call on a block that others end too", code, code == PFA_OK || code == PFA_EMISUSE);
	if (code != PFA_OK)
		return;
	if (h->won)
		sched_fail("a block was freed or split twice, and both were told that it went well");
	h->won = true;
	for (unsigned i = 0; kind == OP_SPLIT_RACE && i < 1u << b.order; i++)
		lib_keep(self, h, b.pfn + i, 0);
}

/* ---- history ---- */

/* Whether an event says what the operation that its tag names can have done. */
static bool lib_is_event(const struct pfa_event *e)
{
	const unsigned thread = e->tag >> 16, line = e->tag & 0xFFFF;

	if (e->number >= LIB_EVENTS) /* more than are written down */
		return true;
	if (e->number > lib.now.nr_tags || lib.now.tags[e->number] != e->tag || thread != e->thread)
		return false;
	if (line >= lib.nr_lines)
		return true;
	const struct prog_op *op = lib.lines[line].op;
	/* A request that may compact moves blocks of others; at level 3 it may find one that was written to after its free. */
	if (op->kind != OP_ALLOC || (prog_flags(op->arg[1], 0) & PFA_COMPACT) || lib.program->config.hardening == 3)
		return true;
	return e->op == PFA_EVENT_ALLOC && e->order == op->arg[0];
}

/* An event's tag says which line of which thread it was of, and the number which tag that was: all must fit. */
void lib_read_history(pfa_pfn pfn, unsigned max)
{
	struct pfa_event events[4];
	size_t nr = 0;

	if (!lib.program->config.history || pfn < lib.base || pfn >= lib.base + lib.frames)
		return;
	int code = pfa_history(lib.pfa, pfn, events, max < 4 ? max : 4, &nr);
	lib_expect("pfa_history", code, code == PFA_OK);
	for (size_t i = 0; i < nr; i++) {
		const struct pfa_event *e = &events[i];
		if (!lib_is_event(e))
			sched_fail("frame %zu has an event that was not: op %d of order %u by t%u, and its tag is %u", pfn, (int)e->op,
			           e->order, e->thread - 1u, e->tag);
		if (i && events[i - 1].number <= e->number)
			sched_fail("frame %zu has events out of order", pfn);
	}
}
