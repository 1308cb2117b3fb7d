/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include <stdlib.h>
#include <string.h>

void blocks_start(struct blocks *b, const struct rig *rig, size_t nr_frames)
{
	MUST(nr_frames <= BLOCKS_FRAMES);
	memset(b, 0, sizeof(*b));
	b->max_order = rig->cfg.max_order;
	b->pageblock_order = rig->cfg.pageblock_order;
	b->nr_frames = nr_frames;
}

void blocks_mark(unsigned char map[], pfa_pfn first, pfa_pfn end, unsigned char value)
{
	while (first < end)
		map[first++] = value;
}

/* Is [at, at + nr) a free block of one kind? */
static bool blocks_one(const struct blocks *b, size_t at, size_t nr)
{
	if (nr > b->nr_frames - at)
		return false;
	for (size_t i = at; i < at + nr; i++)
		if (b->used[i] || b->held[i] != b->held[at])
			return false;
	return true;
}

/* The largest blocks that there are: [held][order]. */
static void blocks_expected(const struct blocks *b, size_t counts[2][PFA_ORDER_LIMIT + 1])
{
	memset(counts, 0, 2 * sizeof(counts[0]));
	for (size_t at = 0; at < b->nr_frames;) {
		unsigned order = b->max_order;
		if (b->used[at]) {
			at++;
			continue;
		}
		while (at % ((size_t)1 << order) || !blocks_one(b, at, (size_t)1 << order))
			order--;
		counts[b->held[at]][order]++;
		at += (size_t)1 << order;
	}
}

/* The counts of a line of PFA_PRINT_PAGETYPEINFO. */
static void blocks_line(const char *text, const char *type, unsigned max_order, size_t counts[])
{
	char head[32];
	snprintf(head, sizeof(head), "type %12s", type);
	const char *at = strstr(text, head);
	MUST(at != NULL);
	char *next = (char *)(uintptr_t)at + strlen(head);
	for (unsigned order = 0; order <= max_order; order++)
		counts[order] = strtoul(next, &next, 10);
	MUST(*next == '\n');
}

void blocks_compare_at(const struct blocks *b, struct rig *rig, const char *file, int line)
{
	size_t expected[2][PFA_ORDER_LIMIT + 1], actual[PFA_ORDER_LIMIT + 1], frames[2] = {0, 0}, pageblocks = 0;
	struct rig_text text = {NULL, 0, 0, 0};
	blocks_expected(b, expected);
	MUST_EQ(pfa_print(rig->pfa, PFA_PRINT_PAGETYPEINFO, rig_text_write, &text), PFA_OK);
	for (unsigned held = 0; held < 2; held++) {
		blocks_line(text.bytes, held ? "Isolate" : "Movable", b->max_order, actual);
		for (unsigned order = 0; order <= b->max_order; order++) {
			frames[held] += expected[held][order] << order;
			if (expected[held][order] != actual[order])
				rig_fail(file, line, "%zu free blocks of order %u%s, not %zu", actual[order], order, held ? ", held" : "",
				         expected[held][order]);
		}
	}
	rig_text_free(&text);
	for (size_t at = 0; at < b->nr_frames; at += (size_t)1 << b->pageblock_order)
		pageblocks += b->held[at];
	struct pfa_zone_stats s = rig_stats(rig, 0);
	MUST_EQ(s.free, frames[0]);
	MUST_EQ(s.free_isolated, frames[1]);
	MUST_EQ(s.held_pageblocks, pageblocks);
}
