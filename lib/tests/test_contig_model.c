/* SPDX-License-Identifier: MIT
 *
 * That a contiguous range is had, or taken offline, and a run of a CMA area is had, whenever it can be, and that a search finds the
 * place that its policy names: random zones and ranges, each call against what must come of it. After each call the frames of the zone
 * are counted, and the types of its pageblocks compared.
 *
 *   test_contig_model [--seed N] [--seeds N] [--calls N] [--cpu=op|none|offset] [--level=1|2|3]
 *
 * Each seed is a zone of its own, with so many ranges, and an eighth as many of each of the others. Ends at the first call of which something
 * else came.
 */
#include "contig_scene.h"

#include <pfa/cma.h>
#include <pfa/hotplug.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls of which it is known what must come: granted, or there was no room for what had to move, where all is free or movable; else refused. */
struct tally {
	size_t granted, no_room, refused;
};

static void count(struct tally *t, int result)
{
	*(result == PFA_OK ? &t->granted : result == PFA_ENOMEM ? &t->no_room : &t->refused) += 1;
}

static void any_range(struct rng *rng, pfa_pfn *start, pfa_pfn *end)
{
	do {
		*start = rng_below(rng, FRAMES);
		*end = *start + 1 + rng_below(rng, rng_one_in(rng, 2) ? PB / 2 : 4 * PB);
		if (rng_one_in(rng, 3))
			*start = *start / PB * PB;
		if (rng_one_in(rng, 3))
			*end = *end / PB * PB;
	} while (*start >= *end || *end > FRAMES);
}

static void a_range(struct rng *rng, struct tally *t)
{
	pfa_pfn start, end;
	any_range(rng, &start, &end);
	int result = try_range(start, end, rng_one_in(rng, 4) ? PFA_NOMIGRATE : 0);
	count(t, result);
	if (result != PFA_OK)
		return;
	if (rng_one_in(rng, 4))
		rig_check(&rig);
	for (pfa_pfn at = start; at < end;) { /* in parts */
		size_t nr = 1 + rng_below(rng, end - at);
		EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, at, nr);
		while (nr--)
			kinds[at++] = FREE;
	}
}

/* The same frames go offline, and come back. */
static void an_offline(struct rng *rng, struct tally *t)
{
	const uint32_t flags = rng_one_in(rng, 4) ? PFA_NOMIGRATE : 0;
	struct pfa_blocker why;
	struct scene_before was;
	pfa_pfn start, end;
	any_range(rng, &start, &end);
	const enum pfa_blocker_reason reason = blocker(start, end, flags, NULL);
	before(&was);
	int result = pfa_offline_range(rig.pfa, start, end - start, flags, &why);
	look();
	count(t, result);
	if (result == PFA_ENOMEM && reason == PFA_BLOCKER_NONE)
		MUST(why.reason == PFA_BLOCKER_NOMEM && no_room(why.pfn, start, end));
	else
		rig_expect("pfa_offline_range", result_of(reason), result, __FILE__, __LINE__);
	after(&was, start, end, 0, result == PFA_OK ? end - start : 0);
	if (result != PFA_OK)
		return;
	for (pfa_pfn at = start; at < end; at++)
		MUST(kinds[at] == FREE && rig_info(&rig, at).state == PFA_FRAME_OFFLINE);
	before(&was);
	EXPECT(pfa_online_range, PFA_OK, rig.pfa, start, end - start, NULL);
	after(&was, start, end, 0, 0);
	for (pfa_pfn at = start; at < end; at++)
		MUST_EQ(rig_info(&rig, at).state, PFA_FRAME_FREE);
}

/* The frame behind the block that has this one. */
static pfa_pfn behind_block(pfa_pfn pfn)
{
	for (unsigned order = 0; (size_t)1 << order <= FRAMES; order++) {
		const pfa_pfn head = pfn >> order << order;
		const struct pfa_frame_info info = rig_info(&rig, head);
		if (info.state == PFA_FRAME_HEAD && pfn - head < (pfa_pfn)1 << info.order)
			return head + ((pfa_pfn)1 << info.order);
	}
	return pfn + 1;
}

/* Is there room for all blocks together that must move out of [start, end), however places are chosen? It is certain where there are as
 * many free blocks as large as the largest of them, in other pageblocks: none takes more than one of these. */
static bool has_room(pfa_pfn start, pfa_pfn end)
{
	const pfa_pfn lo = start / PB * PB, hi = (end + PB - 1) / PB * PB;
	size_t need = 0, has = 0, run = 0, size = 1;
	for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++) {
		const size_t nr = (size_t)1 << s.blocks[i].order;
		if (s.blocks[i].state != BLOCK_OWNED || s.blocks[i].at >= end || s.blocks[i].at + nr <= start)
			continue;
		need++;
		size = nr > size ? nr : size;
	}
	for (pfa_pfn at = 0; at < FRAMES; at++) {
		run = at % size == 0 ? 0 : run;
		run += kinds[at] == FREE && (at < lo || at >= hi);
		has += run == size;
	}
	return has >= need;
}

/* What a search may find of a window of pageblocks, and what it counts. */
struct window {
	size_t cost, pb;
	pfa_pfn place; /* FRAMES: none */
};

static int by_cost(const void *a, const void *b)
{
	const struct window *l = a, *r = b;
	return l->cost != r->cost ? (l->cost < r->cost ? -1 : 1) : l->pb < r->pb ? -1 : l->pb > r->pb;
}

/* As pfa_alloc_contig()'s docstring says it: the windows, that with the fewest frames in use first. */
static size_t windows_by_cost(size_t nr, size_t align, uint32_t flags, struct window out[PAGEBLOCKS])
{
	const size_t width = (nr + PB - 1) / PB;
	size_t n = 0;
	for (size_t pb = 0; pb + width <= PAGEBLOCKS; pb++) {
		struct window w = {0, pb, FRAMES};
		for (size_t i = pb; i < pb + width; i++) {
			struct pfa_pageblock_info info;
			EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, i * PB, &info);
			w.cost += (PB - info.free) * (info.type == PFA_TYPE_MOVABLE ? 1 : 2);
		}
		pfa_pfn at = (pb * PB + align - 1) / align * align, end;
		if (at >= (pb + 1) * PB)
			continue;
		for (unsigned i = 0; i < PFA_CONTIG_PLACES && at < (pb + 1) * PB && at + nr <= FRAMES && w.place == FRAMES; i++) {
			if (blocker(at, at + nr, flags, &end) == PFA_BLOCKER_NONE)
				w.place = at;
			else
				at = (behind_block(end - 1) + align - 1) / align * align;
		}
		out[n++] = w;
	}
	qsort(out, n, sizeof(out[0]), by_cost);
	return n;
}

/* Frames of the free block that begins here, if one does: the largest that is free as a whole. */
static size_t free_block(pfa_pfn at)
{
	size_t size = (size_t)1 << rig.cfg.max_order;
	for (; size; size /= 2) {
		pfa_pfn i = at / size * size;
		const pfa_pfn head = i;
		while (i < FRAMES && i < head + size && kinds[i] == FREE)
			i++;
		if (i == head + size)
			return head == at ? size : 0;
	}
	return 0;
}

/* Of free blocks that a run fits into, those in pageblocks of the lowest rank are taken. */
static unsigned rank_of(pfa_pfn at)
{
	static const unsigned ranks[PFA_TYPES] = {[PFA_TYPE_UNMOVABLE] = 1, [PFA_TYPE_MOVABLE] = 2};
	struct pfa_pageblock_info info;
	EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, at, &info);
	return ranks[info.type];
}

static bool drained(struct rng *rng)
{
	if (rng_one_in(rng, 2))
		return false;
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
	return true;
}

/* cached: free frames may lie in caches, so that it is not known which blocks are free, and what windows cost. */
static void a_search(struct rng *rng, bool cached, struct tally *t)
{
	const size_t nr = 1 + rng_below(rng, rng_one_in(rng, 2) ? PB : 10 * PB), align = (size_t)1 << rng_below(rng, 8);
	const uint32_t flags = rng_one_in(rng, 4) ? PFA_NOMIGRATE : 0;
	struct window windows[PAGEBLOCKS], *first = windows;
	const size_t n = windows_by_cost(nr, align, flags, windows);
	enum kind was_kind[FRAMES];
	struct scene_before was;
	pfa_pfn pfn = FRAMES;
	while (first < windows + n && first->place == FRAMES)
		first++;
	const pfa_pfn best = first < windows + n ? first->place : FRAMES;
	const bool room = best == FRAMES || has_room(best, best + nr);
	unsigned ranks[FRAMES], fits = PFA_TYPES; /* the lowest rank of these blocks; PFA_TYPES: there is none */
	for (pfa_pfn at = 0; at < FRAMES; at++) {
		const size_t size = free_block(at);
		ranks[at] = rank_of(at);
		if (size >= nr && size >= align && ranks[at] < fits)
			fits = ranks[at];
	}
	memcpy(was_kind, kinds, sizeof(kinds));
	before(&was);
	int result = pfa_alloc_contig(rig.pfa, nr, align, flags, &pfn);
	look();
	if (result == PFA_OK) {
		MUST(pfn % align == 0 && pfn + nr <= FRAMES);
		for (pfa_pfn at = pfn; at < pfn + nr; at++)
			MUST(was_kind[at] == FREE || (was_kind[at] == MOVES && !flags && (cached || fits == PFA_TYPES)));
		granted(pfn, pfn + nr);
	} else {
		MUST(result == PFA_ENOMEM || (result == PFA_EAGAIN && flags));
		MUST(pfn == FRAMES);
	}
	if (!cached && fits < PFA_TYPES)
		MUST(pfn < FRAMES && ranks[pfn] == fits);
	else if (!cached && room) /* else there were attempts in vain, and what they moved is elsewhere */
		MUST(pfn == best);
	count(t, best != FRAMES || result == PFA_OK ? result : PFA_EBUSY);
	if (result == PFA_OK && !cached && room)
		after(&was, pfn, pfn + nr, nr, 0);
	else
		after(&was, FRAMES, FRAMES + 1, result == PFA_OK ? nr : 0, 0);
	if (result != PFA_OK)
		return;
	EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, pfn, nr);
	memset(&kinds[pfn], 0, nr * sizeof(kinds[0])); /* FREE */
}

/* The first place from `at` on at which a run of the area could be had; FRAMES: there is none. */
static pfa_pfn place(struct pfa_run area, pfa_pfn at, size_t nr, size_t align, uint32_t flags)
{
	for (at = (at + align - 1) / align * align; at + nr <= area.first + area.nr_frames; at += align)
		if (blocker(at, at + nr, flags, NULL) == PFA_BLOCKER_NONE)
			return at;
	return FRAMES;
}

/* At each place there is something that had to move, and no room for it. */
static void must_lack_room(struct pfa_run area, size_t nr, size_t align)
{
	for (pfa_pfn start = area.first; (start = place(area, start, nr, align, 0)) != FRAMES; start++) {
		bool lacks = false;
		for (unsigned i = 0; i < SCRIPTED_BLOCKS && !lacks; i++) {
			const pfa_pfn head = s.blocks[i].at;
			lacks = s.blocks[i].state == BLOCK_OWNED && head < start + nr && head + ((pfa_pfn)1 << s.blocks[i].order) > start &&
			        no_room(head, start, start + nr);
		}
		MUST(lacks);
	}
}

static void a_run(struct rng *rng, pfa_cma id, struct pfa_run area, struct tally *t)
{
	const size_t nr = 1 + rng_below(rng, rng_one_in(rng, 2) ? 20 : PB + PB / 2), align = (size_t)1 << rng_below(rng, 7);
	const uint32_t flags = rng_one_in(rng, 4) ? PFA_NOMIGRATE : 0;
	const bool has = place(area, area.first, nr, align, flags) != FRAMES;
	struct scene_before was;
	pfa_pfn pfn = 0;
	before(&was);
	int result = pfa_cma_alloc(rig.pfa, id, nr, align, flags, &pfn);
	look();
	if (has && result == PFA_ENOMEM)
		must_lack_room(area, nr, align);
	else if (has)
		rig_expect("pfa_cma_alloc", PFA_OK, result, __FILE__, __LINE__);
	else
		MUST(result == PFA_ENOMEM || (result == PFA_EAGAIN && flags));
	count(t, has || result != PFA_ENOMEM ? result : PFA_EBUSY);
	if (result == PFA_OK) {
		MUST(pfn % align == 0 && pfn >= area.first && pfn + nr <= area.first + area.nr_frames);
		granted(pfn, pfn + nr);
	}
	after(&was, area.first, area.first + area.nr_frames, result == PFA_OK ? nr : 0, 0);
}

/* Some of what was had goes back, in any parts. all: all of it. */
static void runs_back(struct rng *rng, pfa_cma id, struct pfa_run area, bool all)
{
	for (pfa_pfn at = area.first, end = at + area.nr_frames; at < end; at++) {
		size_t nr = 0, limit = 1 + rng_below(rng, PB);
		while (at + nr < end && nr < limit && kinds[at + nr] == RUN)
			nr++;
		if (!nr || !(all || rng_one_in(rng, 3)))
			continue;
		EXPECT(pfa_cma_release, PFA_OK, rig.pfa, id, at, nr);
		memset(&kinds[at], 0, nr * sizeof(kinds[0])); /* FREE */
	}
}

/* Single frames of the area are lent: to an owner, or to somebody who keeps them. */
static void lend(struct rng *rng, struct pfa_run area)
{
	for (unsigned i = 0; i < area.nr_frames / 24; i++) {
		unsigned cookie = 0;
		pfa_pfn pfn;
		if (pfa_alloc_window(rig.pfa, 0, PFA_MOVABLE, (struct pfa_run){area.first + rng_below(rng, area.nr_frames), 1}, &pfn) != PFA_OK)
			continue;
		while (cookie < SCRIPTED_BLOCKS && s.blocks[cookie].state != BLOCK_NONE)
			cookie++;
		if (cookie == SCRIPTED_BLOCKS || rng_one_in(rng, 4))
			fix(pfn, 0);
		else
			scripted_adopt(&s, cookie, pfn, 0);
	}
	look();
}

static void an_area(struct rng *rng, size_t calls, struct tally *t)
{
	struct pfa_run area = {rng_below(rng, PAGEBLOCKS - 5) * PB, (1 + rng_below(rng, 5)) * PB};
	const enum pfa_blocker_reason reason = blocker(area.first, area.first + area.nr_frames, 0, NULL);
	pfa_cma id;
	int result = pfa_cma_create(rig.pfa, area.first, area.nr_frames, 0, &id, NULL);
	look();
	MUST(result == result_of(reason) || result == PFA_ENOMEM);
	if (result != PFA_OK)
		return;
	lend(rng, area);
	for (size_t i = 0; i < calls; i++) {
		a_run(rng, id, area, t);
		if (rng_one_in(rng, 3))
			runs_back(rng, id, area, false);
	}
	runs_back(rng, id, area, true);
	EXPECT(pfa_cma_destroy, PFA_OK, rig.pfa, id);
}

enum { RANGE, OFFLINE, SEARCH, AREA, KINDS };

static void a_zone(uint64_t seed, size_t calls, struct tally t[KINDS])
{
	struct rng rng = {seed};
	base(seed % 2 ? 0 : PFA_EXPLICIT_0, FRAMES);
	rig.cpu = 0;
	fill(&rng, seed % 4 * 2, 70, seed % 3 == 0 ? 1 : seed % 3 == 1 ? 5 : 9);
	rig_check(&rig);
	for (size_t i = 0; i < calls; i++) {
		a_range(&rng, &t[RANGE]);
		if (i % 8 == 0)
			an_offline(&rng, &t[OFFLINE]);
		if (i % 8 == 4)
			a_search(&rng, seed % 2 && !drained(&rng), &t[SEARCH]);
	}
	/* Where something stays there is no area: another place, then. */
	for (size_t i = 0; i < 4; i++)
		an_area(&rng, (calls + 7) / 8, &t[AREA]);
	rig_check(&rig);
	done();
}

static int usage(FILE *f, const char *name, int code)
{
	fprintf(f, "usage: %s [--seed N] [--seeds N] [--calls N] [--cpu=op|none|offset] [--level=1|2|3] [--help]\n", name);
	return code;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1000, seeds = 40, calls = 100;
	static const char *const names[KINDS] = {"pfa_alloc_contig_range", "pfa_offline_range", "pfa_alloc_contig", "pfa_cma_alloc"};
	struct tally tally[KINDS] = {{0}};
	size_t sum = 0;
	for (int i = 1; i < argc; i++) {
		const char *option = argv[i];
		uint64_t *value = strcmp(option, "--seed") == 0 ? &seed : strcmp(option, "--seeds") == 0 ? &seeds :
		                  strcmp(option, "--calls") == 0 ? &calls : NULL;
		if (rig_option(option))
			continue;
		if (strcmp(option, "--help") == 0)
			return usage(stdout, argv[0], 0);
		if (!value || ++i == argc)
			return usage(stderr, argv[0], 2);
		*value = strtoull(argv[i], NULL, 10);
	}
	for (uint64_t i = 0; i < seeds; i++)
		a_zone(seed + i, (size_t)calls, tally);
	for (unsigned i = 0; i < KINDS; i++) {
		const struct tally *t = &tally[i];
		const size_t could = t->granted + t->no_room, all = could + t->refused;
		printf("%s: %zu calls; all is free or movable: %zu, of which %zu succeed, %zu have no room for what must move (looked up); refused: %zu\n",
		       names[i], all, could, t->granted, t->no_room, t->refused);
		sum += all;
		if (!t->granted || !t->refused)
			return 1;
	}
	printf("%zu times: %u frames, none lost or doubled; %u pageblocks, no type changed\n", sum, FRAMES, PAGEBLOCKS);
	return 0;
}
