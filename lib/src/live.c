/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "fmt.h"
#include "history.h"

/* Tags that one walk over the frames collects: the rows lie on the stack. */
#define LIVE_ROWS 16u

struct live_rows {
	struct pfai_live row[LIVE_ROWS]; /* ascending by tag */
	unsigned nr;
	bool more; /* there are larger tags */
};

/* The row of a tag, made if there is room, or if a larger one can make room. NULL: left for the next walk. */
static struct pfai_live *live_row(struct live_rows *rows, uint32_t tag)
{
	unsigned at = 0;
	while (at < rows->nr && rows->row[at].tag < tag)
		at++;
	if (at < rows->nr && rows->row[at].tag == tag)
		return &rows->row[at];
	if (rows->nr == LIVE_ROWS) {
		rows->more = true;
		if (at == LIVE_ROWS)
			return NULL;
		rows->nr--;
	}
	for (unsigned i = rows->nr++; i > at; i--)
		rows->row[i] = rows->row[i - 1];
	rows->row[at] = (struct pfai_live){ .tag = tag };
	return &rows->row[at];
}

static void live_block(const struct pfa *p, struct live_rows *rows, uint32_t least, size_t offset, unsigned order)
{
	struct pfa_event e;
	if (!pfai_history_newest(p, offset, &e))
		e = (struct pfa_event){ .pfn = p->base + offset, .order = order };
	if (e.tag < least)
		return;
	struct pfai_live *live = live_row(rows, e.tag);
	if (!live)
		return;
	if (!live->nr_blocks || e.number < live->oldest.number)
		live->oldest = e;
	live->nr_blocks++;
	live->nr_frames += (size_t)1 << order;
}

/* All tags from least on, as far as there are rows. */
static void live_walk(const struct pfa *p, struct live_rows *rows, uint32_t least)
{
	rows->nr = 0;
	rows->more = false;
	for (size_t offset = 0; offset < p->span;) {
		uint8_t byte = pfai_load_relaxed(&p->bytes[offset]);
		unsigned order = byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0;
		if ((byte & PFAI_STATE_MASK) == PFAI_HEAD || (byte & PFAI_STATE_MASK) == PFAI_MOVABLE)
			live_block(p, rows, least, offset, order);
		offset += (size_t)1 << order;
	}
}

void pfai_live_visit(const struct pfa *p, void (*visit)(void *ctx, const struct pfai_live *live), void *ctx)
{
	struct live_rows rows = { .more = true };
	for (uint32_t least = 0; rows.more;) {
		live_walk(p, &rows, least);
		for (unsigned i = 0; i < rows.nr; i++)
			visit(ctx, &rows.row[i]);
		if (rows.nr)
			least = rows.row[rows.nr - 1].tag + 1; /* if there are more, it is no overflow */
	}
}

void pfai_live_text(const struct pfa *p, const struct pfai_live *live, char out[], size_t room)
{
	struct pfai_fmt f = { out, 0, room };
	if (p->history) {
		pfai_fmt_str(&f, "tag ");
		pfai_fmt_dec(&f, live->tag, 0);
		pfai_fmt_str(&f, ": ");
	}
	pfai_fmt_dec(&f, live->nr_blocks, 0);
	pfai_fmt_str(&f, live->nr_blocks == 1 ? " block, " : " blocks, ");
	pfai_fmt_dec(&f, live->nr_frames, 0);
	pfai_fmt_str(&f, live->nr_frames == 1 ? " frame; " : " frames; ");
	if (live->oldest.number) {
		pfai_fmt_str(&f, "oldest: ");
		f.n += pfa_event_text(&live->oldest, out + f.n, room - f.n);
		return;
	}
	pfai_fmt_str(&f, "first: pfn ");
	pfai_fmt_dec(&f, live->oldest.pfn, 0);
	pfai_fmt_str(&f, ", order ");
	pfai_fmt_dec(&f, live->oldest.order, 0);
}
