/* SPDX-License-Identifier: MIT */
#include "report_scene.h"

#include <string.h>

struct host host;
struct live live;
struct rig *inside_rig;

static bool wholly_told(pfa_pfn first, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!host.told[first + i])
			return false;
	return true;
}

static int report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	const size_t unit = (size_t)1 << host.device.min_order;
	size_t frames = 0;
	MUST(ctx == &host && nr && nr <= host.device.capacity);
	for (unsigned i = 0; i < nr; i++) {
		const size_t size = runs[i].nr_frames;
		MUST(size >= unit && (size & (size - 1)) == 0 && runs[i].first % size == 0 && runs[i].first + size <= FRAMES);
		MUST(i == 0 || runs[i].first >= runs[i - 1].first + runs[i - 1].nr_frames);
		MUST_EQ(rig_info(host.rig, runs[i].first).state, PFA_FRAME_HELD_REPORT);
		for (size_t k = 0; k < size; k++)
			MUST(rig_info(host.rig, runs[i].first + k).state != PFA_FRAME_FREE);
		for (size_t k = 0; host.exact && k < size; k += unit)
			MUST(!wholly_told(runs[i].first + k, unit));
		frames += size;
	}
	host.nr_calls++;
	host.nr_runs += nr;
	host.nr_frames += frames;
	host.most_runs = nr > host.most_runs ? nr : host.most_runs;
	host.most_frames = frames > host.most_frames ? frames : host.most_frames;
	if (host.inside)
		host.inside(runs, nr);
	size_t done = host.says == PFA_OK ? nr : 0;
	if (host.counts != NOT_SET) {
		*out_done = (unsigned)host.counts;
		done = (unsigned)host.counts <= nr ? (unsigned)host.counts : 0;
	}
	for (size_t i = 0; i < nr; i++) /* a frame that was known and is not taken now is not known any more */
		for (size_t k = 0; k < runs[i].nr_frames; k++)
			host.told[runs[i].first + k] = i < done;
	return host.says;
}

void base(struct rig *rig, unsigned max_order, unsigned pageblock_order)
{
	rig_init(rig);
	rig->cfg.flags = PFA_CONFIG_REPORTING;
	rig->cfg.max_order = max_order;
	rig->cfg.pageblock_order = pageblock_order;
	rig->cfg.cache_high = PFA_EXPLICIT_0;
	rig->cfg.quarantine = rig_level == 3 ? PFA_EXPLICIT_0 : 0;
	rig->now_ns = 1000;
	live.nr = 0;
	memset(&host, 0, sizeof(host));
	host.rig = rig;
	host.counts = NOT_SET;
	host.exact = true;
	host.device = (struct pfa_device){ .size = sizeof(host.device), .report = report, .ctx = &host, .delay_ns = PFA_EXPLICIT_0,
		                               .capacity = 8, .min_order = pageblock_order };
}

void start(struct rig *rig)
{
	rig_start(rig);
	struct pfa_device given = host.device;
	if (!given.min_order)
		given.min_order = PFA_EXPLICIT_0;
	EXPECT(pfa_report_register, PFA_OK, rig->pfa, &given);
}

void stop(struct rig *rig)
{
	EXPECT(pfa_report_unregister, PFA_OK, rig->pfa);
	const unsigned calls = host.nr_calls;
	MUST(pfa_service(rig->pfa, 100, NULL) != PFA_EDEADLK);
	assert_int_equal(host.nr_calls, calls);
	for (unsigned i = 0; i < rig->cfg.nr_zones; i++)
		assert_int_equal(rig_stats(rig, i).reported, 0);
	rig_stop(rig);
}

/* ---- the model ----------------------------------------------------------------------------------------------------- */

/* A granted block's pageblock was wholly told: then none of this zone is free and is not. */
static void judge_order_of_use(struct rig *rig, pfa_pfn pfn, unsigned order)
{
	const size_t size = (size_t)1 << rig->cfg.pageblock_order;
	const struct pfa_zone_config *z = rig->zones;
	if (order > rig->cfg.pageblock_order)
		return;
	while (pfn < z->start || pfn - z->start >= z->nr_frames)
		z++;
	const pfa_pfn block = pfn & ~(size - 1), begin = (z->start + size - 1) & ~(size - 1), end = z->start + z->nr_frames;
	if (block < z->start || block + size > end || !wholly_told(block, size))
		return;
	for (pfa_pfn at = begin; at + size <= end; at += size) {
		struct pfa_pageblock_info info;
		MUST_EQ(pfa_pageblock_info(rig->pfa, at, &info), PFA_OK);
		if (at != block && info.free == size && !wholly_told(at, size))
			rig_fail(__FILE__, __LINE__, "block %zu of order %u was told, and pageblock %zu is free and was not", pfn, order, at);
	}
}

bool take(struct rig *rig, unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	if (live.nr == LIVE || pfa_alloc(rig->pfa, order, flags, &pfn) != PFA_OK)
		return false;
	if (host.exact)
		judge_order_of_use(rig, pfn, order);
	memset(host.told + pfn, 0, (size_t)1 << order);
	live.block[live.nr].pfn = pfn;
	live.block[live.nr++].order = order;
	return true;
}

void give(struct rig *rig, size_t i)
{
	MUST_EQ(pfa_free(rig->pfa, live.block[i].pfn, live.block[i].order), PFA_OK);
	live.block[i] = live.block[--live.nr];
}

void give_all(struct rig *rig)
{
	while (live.nr)
		give(rig, live.nr - 1);
}

void look(struct rig *rig, bool complete)
{
	const size_t unit = (size_t)1 << host.device.min_order;
	for (unsigned i = 0; i < rig->cfg.nr_zones; i++) {
		const pfa_pfn first = rig->zones[i].start, end = first + rig->zones[i].nr_frames;
		size_t reported = 0, free = 0;
		for (pfa_pfn pfn = first; pfn < end; pfn++) {
			struct pfa_frame_info info = rig_info(rig, pfn);
			free += info.state == PFA_FRAME_FREE;
			reported += info.reported;
			if (info.reported && (info.state != PFA_FRAME_FREE || !host.told[pfn]))
				rig_fail(__FILE__, __LINE__, "frame %zu is marked, and was not told", pfn);
			if (host.exact && info.state == PFA_FRAME_FREE && info.reported != host.told[pfn])
				rig_fail(__FILE__, __LINE__, "frame %zu was told, and is not marked", pfn);
		}
		struct pfa_zone_stats s = rig_stats(rig, i);
		assert_int_equal(s.reported, reported);
		assert_int_equal(s.unreported, free - reported);
		for (pfa_pfn at = (first + unit - 1) & ~(unit - 1); complete && at + unit <= end; at += unit) {
			size_t is_free = 0, is_told = 0;
			for (size_t k = 0; k < unit; k++) {
				is_free += rig_info(rig, at + k).state == PFA_FRAME_FREE;
				is_told += rig_info(rig, at + k).reported;
			}
			if (is_free == unit && is_told != unit)
				rig_fail(__FILE__, __LINE__, "unit %zu of order %u is free, and was not told (%zu)", at, host.device.min_order, is_told);
		}
	}
	rig_check(rig);
}

void serve(struct rig *rig, uint64_t *next)
{
	unsigned tries = 0;
	while (pfa_service(rig->pfa, 3, next) == PFA_EAGAIN)
		MUST(tries++ < 1000);
}
