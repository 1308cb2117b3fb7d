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

void fill(struct rng *rng, unsigned percent_fixed, unsigned percent_free, unsigned orders)
{
	uint64_t cookies[SCRIPTED_BLOCKS];
	pfa_pfn pfns[FRAMES], pfn;
	unsigned of[FRAMES], nr = 0, nr_cookies = 0;
	for (unsigned cookie = 0; cookie < SCRIPTED_BLOCKS;) {
		unsigned order = (unsigned)rng_below(rng, orders);
		bool fix = rng_below(rng, 100) < percent_fixed;
		if (pfa_alloc(rig.pfa, order, fix ? PFA_UNMOVABLE : PFA_MOVABLE, &pfn) != PFA_OK)
			break;
		if (fix) {
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
		note(pfns[i], of[i], FIXED);
		fixed[nr_fixed] = pfns[i];
		fixed_order[nr_fixed++] = of[i];
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

static void census(enum pfa_type types[FRAMES / PB])
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

/* Is there no place for the movable block at head, outside of the pageblocks of [start, end)? */
static bool no_room(pfa_pfn head, pfa_pfn start, pfa_pfn end)
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

int try_range(pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	enum pfa_type before[FRAMES / PB], after[FRAMES / PB];
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct pfa_zone_stats old = rig_stats(&rig, 0), now;
	enum pfa_blocker_reason reason = PFA_BLOCKER_NONE;
	pfa_pfn at;
	for (at = start; at < end && reason == PFA_BLOCKER_NONE; at++) {
		if (kinds[at] == FIXED || kinds[at] == RUN)
			reason = PFA_BLOCKER_UNMOVABLE;
		else if (kinds[at] == MOVES && (flags & (PFA_NOMIGRATE | PFA_NOWAIT)))
			reason = PFA_BLOCKER_MOVABLE;
	}
	census(before);
	int result = pfa_alloc_contig_range(rig.pfa, start, end, flags, &why);
	look();
	if (result == PFA_ENOMEM && reason == PFA_BLOCKER_NONE && why.reason == PFA_BLOCKER_NOMEM) {
		MUST(no_room(why.pfn, start, end));
		MUST_EQ(rig_stats(&rig, 0).held_pageblocks, 0);
		return result;
	}
	rig_expect("pfa_alloc_contig_range", reason == PFA_BLOCKER_NONE ? PFA_OK : reason == PFA_BLOCKER_MOVABLE ? PFA_EAGAIN : PFA_EBUSY,
	           result, __FILE__, __LINE__);
	MUST_EQ(why.reason, reason);
	if (result != PFA_OK)
		MUST(why.pfn < at && why.pfn + 256 > at - 1);
	if (result == PFA_OK) {
		for (at = start; at < end; at++) {
			struct pfa_frame_info info = rig_info(&rig, at);
			MUST_EQ(kinds[at], FREE);
			MUST_EQ(info.state, PFA_FRAME_HEAD);
			MUST_EQ(info.order, 0);
			kinds[at] = RUN;
		}
	}
	now = rig_stats(&rig, 0);
	MUST_EQ(now.allocated, old.allocated + (result == PFA_OK ? end - start : 0));
	MUST_EQ(now.free + now.cached + now.quarantined + now.allocated, FRAMES);
	MUST_EQ(now.movable, old.movable);
	MUST_EQ(now.held_pageblocks, 0);
	census(after);
	for (unsigned i = 0; i < FRAMES / PB; i++) {
		/* elsewhere a place for what is moved may be taken out of a pageblock of another type, which becomes movable then */
		bool stolen = after[i] == PFA_TYPE_MOVABLE && (i < start / PB || i > (end - 1) / PB);
		MUST(before[i] == after[i] || before[i] == PFA_TYPES || after[i] == PFA_TYPES || stolen);
	}
	return result;
}

void contig_try_seed(uint64_t seed, unsigned calls, struct contig_tally *tally)
{
	struct rng rng = {seed};
	base(seed % 2 ? 0 : PFA_EXPLICIT_0, FRAMES);
	rig.cpu = 0;
	fill(&rng, seed % 4 * 2, 70, seed % 3 == 0 ? 1 : seed % 3 == 1 ? 5 : 9);
	rig_check(&rig);
	for (unsigned i = 0; i < calls;) {
		pfa_pfn start = rng_below(&rng, FRAMES), end;
		size_t span = rng_one_in(&rng, 2) ? PB / 2 : 4 * PB;
		end = start + 1 + rng_below(&rng, span);
		if (rng_one_in(&rng, 3))
			start = start / PB * PB;
		if (rng_one_in(&rng, 3))
			end = end / PB * PB;
		if (start >= end || end > FRAMES)
			continue;
		i++;
		int result = try_range(start, end, rng_one_in(&rng, 4) ? PFA_NOMIGRATE : 0);
		tally->calls++;
		*(result == PFA_OK ? &tally->granted : result == PFA_ENOMEM ? &tally->no_room : &tally->refused) += 1;
		if (result != PFA_OK)
			continue;
		if (rng_one_in(&rng, 4))
			rig_check(&rig);
		for (pfa_pfn at = start; at < end;) { /* in parts */
			size_t nr = 1 + rng_below(&rng, end - at);
			EXPECT(pfa_free_contig_range, PFA_OK, rig.pfa, at, nr);
			while (nr--)
				kinds[at++] = FREE;
		}
	}
	rig_check(&rig);
	done();
}
