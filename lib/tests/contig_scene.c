/* SPDX-License-Identifier: MIT */
#include "contig_scene.h"

#include <string.h>

struct scripted s;
struct rig rig;
enum kind kinds[FRAMES];
static pfa_pfn fixed[FRAMES]; /* unmovable blocks */
static unsigned fixed_order[FRAMES], nr_fixed;

void base(uint32_t cache_high, size_t nr_frames)
{
	rig_init(&rig);
	rig.cfg.max_owners = 2;
	rig.cfg.cache_high = cache_high;
	rig_zone(&rig, 0, nr_frames);
	rig_start(&rig);
	scripted_start(&s, &rig);
	memset(kinds, 0, sizeof(kinds));
	nr_fixed = 0;
}

void note(pfa_pfn at, unsigned order, enum kind kind)
{
	for (pfa_pfn end = at + ((pfa_pfn)1 << order); at < end; at++)
		kinds[at] = kind;
}

void look(void)
{
	for (pfa_pfn at = 0; at < FRAMES; at++)
		if (kinds[at] == MOVES || kinds[at] == PINNED)
			kinds[at] = FREE;
	for (unsigned i = 0; i < SCRIPTED_BLOCKS; i++)
		if (s.blocks[i].state == BLOCK_OWNED)
			note(s.blocks[i].at, s.blocks[i].order, scripted_info(&s, i).pins ? PINNED : MOVES);
}

void fix(pfa_pfn at, unsigned order)
{
	MUST(nr_fixed < FRAMES);
	note(at, order, FIXED);
	fixed[nr_fixed] = at;
	fixed_order[nr_fixed++] = order;
}

void fill(struct rng *rng, unsigned percent_fixed, unsigned percent_free, unsigned orders)
{
	uint64_t cookies[SCRIPTED_BLOCKS];
	pfa_pfn pfns[FRAMES], pfn;
	unsigned of[FRAMES], nr = 0, nr_cookies = 0;
	for (unsigned cookie = 0; cookie < SCRIPTED_BLOCKS;) {
		unsigned order = (unsigned)rng_below(rng, orders);
		bool stays = rng_below(rng, 100) < percent_fixed;
		if (pfa_alloc(rig.pfa, order, stays ? PFA_UNMOVABLE : PFA_MOVABLE, &pfn) != PFA_OK)
			break;
		if (stays) {
			of[nr] = order;
			pfns[nr++] = pfn;
			continue;
		}
		scripted_adopt(&s, cookie, pfn, order);
		cookies[nr_cookies++] = cookie++;
	}
	for (unsigned i = 0; i < nr_cookies; i++)
		if (rng_below(rng, 100) < percent_free)
			scripted_free(&s, cookies[i]);
	for (unsigned i = 0; i < nr; i++) {
		if (rng_below(rng, 100) < percent_free) {
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], of[i]);
			continue;
		}
		fix(pfns[i], of[i]);
	}
	look();
}

void done(void)
{
	for (pfa_pfn at = 0; at < FRAMES; at++)
		if (kinds[at] == RUN)
			EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, at, 1);
	for (unsigned i = 0; i < nr_fixed; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, fixed[i], fixed_order[i]);
	scripted_stop(&s);
	rig_stop(&rig);
}

static void census(enum pfa_type types[PAGEBLOCKS])
{
	for (pfa_pfn at = 0; at < FRAMES; at += PB) {
		struct pfa_pageblock_info info;
		EXPECT(pfa_pageblock_info, PFA_OK, rig.pfa, at, &info);
		types[at / PB] = info.type;
		MUST_EQ(info.holder, 0);
		/* entirely free ones bind no type */
		if (info.free == PB && info.type != PFA_TYPE_CMA)
			types[at / PB] = PFA_TYPES;
	}
}

void before(struct scene_before *b)
{
	census(b->types);
	b->stats = rig_stats(&rig, 0);
}

void after(const struct scene_before *b, pfa_pfn start, pfa_pfn end, size_t granted, size_t offline)
{
	enum pfa_type types[PAGEBLOCKS];
	const struct pfa_zone_stats now = rig_stats(&rig, 0);
	MUST_EQ(now.allocated, b->stats.allocated + granted);
	MUST_EQ(now.offline, offline);
	MUST_EQ(now.present, FRAMES - offline);
	MUST_EQ(now.free + now.cached + now.quarantined + now.allocated, FRAMES - offline);
	MUST_EQ(now.movable, b->stats.movable);
	MUST_EQ(now.held_pageblocks, 0);
	census(types);
	for (unsigned i = 0; i < PAGEBLOCKS; i++) {
		/* elsewhere a place for what is moved may be taken out of a pageblock of another type, which becomes movable then */
		bool stolen = types[i] == PFA_TYPE_MOVABLE && (i < start / PB || i > (end - 1) / PB) && b->types[i] != PFA_TYPE_CMA;
		MUST(b->types[i] == types[i] || b->types[i] == PFA_TYPES || types[i] == PFA_TYPES || stolen);
	}
}

enum pfa_blocker_reason blocker(pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_pfn *behind)
{
	enum pfa_blocker_reason reason = PFA_BLOCKER_NONE;
	pfa_pfn at;
	for (at = start; at < end && reason == PFA_BLOCKER_NONE; at++) {
		if (kinds[at] == FIXED || kinds[at] == RUN)
			reason = PFA_BLOCKER_UNMOVABLE;
		else if (kinds[at] == MOVES && (flags & (PFA_NOMIGRATE | PFA_NOWAIT)))
			reason = PFA_BLOCKER_MOVABLE;
	}
	if (behind)
		*behind = at;
	return reason;
}

int result_of(enum pfa_blocker_reason reason)
{
	return reason == PFA_BLOCKER_NONE ? PFA_OK : reason == PFA_BLOCKER_MOVABLE ? PFA_EAGAIN : PFA_EBUSY;
}

bool no_room(pfa_pfn head, pfa_pfn start, pfa_pfn end)
{
	const size_t nr = (size_t)1 << rig_info(&rig, head).order;
	for (pfa_pfn at = 0, i; at + nr <= FRAMES; at += nr) {
		for (i = at; i < at + nr; i++)
			if (kinds[i] != FREE || (i >= start / PB * PB && i < (end + PB - 1) / PB * PB))
				break;
		if (i == at + nr)
			return false;
	}
	return true;
}

void granted(pfa_pfn start, pfa_pfn end)
{
	for (pfa_pfn at = start; at < end; at++) {
		struct pfa_frame_info info = rig_info(&rig, at);
		MUST_EQ(kinds[at], FREE);
		MUST_EQ(info.state, PFA_FRAME_HEAD);
		MUST_EQ(info.order, 0);
		kinds[at] = RUN;
	}
}

int try_range(pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct scene_before was;
	pfa_pfn at;
	const enum pfa_blocker_reason reason = blocker(start, end, flags, &at);
	before(&was);
	int result = pfa_alloc_contig_range(rig.pfa, start, end, flags, &why);
	look();
	if (result == PFA_ENOMEM && reason == PFA_BLOCKER_NONE && why.reason == PFA_BLOCKER_NOMEM) {
		MUST(no_room(why.pfn, start, end));
		after(&was, start, end, 0, 0);
		return result;
	}
	rig_expect("pfa_alloc_contig_range", result_of(reason), result, __FILE__, __LINE__);
	MUST_EQ(why.reason, reason);
	if (result != PFA_OK)
		MUST(why.pfn < at && why.pfn + 256 > at - 1);
	if (result == PFA_OK)
		granted(start, end);
	after(&was, start, end, result == PFA_OK ? end - start : 0, 0);
	return result;
}
