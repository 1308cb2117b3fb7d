/* SPDX-License-Identifier: MIT
 *
 * test_report_canary.c - the oracles of fuzz_report and fuzz_walk can fire: see real_canary.h.
 *
 *   test_report_canary FOLDER     that of fuzz_report, or that of fuzz_walk
 */
#include <string.h>

#include "real_canary.h"

#define sound real_sound

/* ---- the device ------------------------------------------------------------------------------------------------------- */

static struct pfa_run shifted[PFA_REPORT_CAPACITY_LIMIT];

static int report_shifts(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	memcpy(shifted, runs, nr * sizeof(runs[0]));
	shifted[0].first++;
	return sound.report(ctx, shifted, nr, out_done);
}

/* One that lies in what is isolated. */
static int report_isolated(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	memcpy(shifted, runs, nr * sizeof(runs[0]));
	if (real_one.told.token)
		shifted[0].first = real_one.told.held_at & ~(pfa_pfn)(runs[0].nr_frames - 1);
	return sound.report(ctx, shifted, nr, out_done);
}

/* The library is told that it worked. */
static int report_lies(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	const int code = sound.report(ctx, runs, nr, out_done);
	*out_done = nr;
	return code;
}

/* It is told that it did not. */
static int report_denies(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)sound.report(ctx, runs, nr, out_done);
	*out_done = 0;
	return PFA_EDEVICE;
}

static int report_scribbles(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	void *at;
	const int code = sound.report(ctx, runs, nr, out_done);
	if (pfa_ptr(real_one.pfa, runs[nr - 1].first, &at) == PFA_OK)
		*(unsigned char *)at ^= 4;
	return code;
}

/* Not told, but everything seen as told. */
static int report_knows(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	for (unsigned i = 0; i < nr; i++)
		for (size_t k = 0; k < runs[i].nr_frames; k++)
			real_one.told.known[real_index(&real_one, runs[i].first + k)] = 1;
	return sound.report(ctx, runs, nr, out_done);
}

static int flush_nothing(struct pfa *pfa)
{
	return real_one.told.registered && !real_one.told.suspended ? PFA_OK : sound.flush(pfa);
}

static int flush_wrong(struct pfa *pfa)
{
	const int code = sound.flush(pfa);
	return code == PFA_OK ? PFA_EBUSY : code;
}

/* Frees and takes something before each: so there is always something to tell. */
static int flush_twice(struct pfa *pfa)
{
	pfa_pfn pfn;
	const unsigned order = real_one.told.device.min_order;
	if (pfa_alloc(pfa, order, PFA_MOVABLE, &pfn) == PFA_OK &&
	    (!told_taken(&real_one, pfn, (size_t)1 << order) || pfa_free(pfa, pfn, order) != PFA_OK))
		return PFA_EINVAL;
	return sound.flush(pfa);
}

/* The clock that it reads is far ahead, or stands still. */
static int service_early(struct pfa *pfa, unsigned budget, uint64_t *out_next_ns)
{
	real_one.sim.now_ns += UINT64_C(400000000000);
	const int code = sound.service(pfa, budget, out_next_ns);
	real_one.sim.now_ns -= UINT64_C(400000000000);
	return code;
}

static int service_late(struct pfa *pfa, unsigned budget, uint64_t *out_next_ns)
{
	const uint64_t now = real_one.sim.now_ns;
	if (real_one.told.pace.most)
		real_one.sim.now_ns = 0;
	const int code = sound.service(pfa, budget, out_next_ns);
	real_one.sim.now_ns = now;
	return code;
}

/* It goes on. */
static int unregister_not(struct pfa *pfa)
{
	const int code = sound.unregister(pfa);
	const struct pfa_device d = { .size = sizeof(d), .report = sound.report, .ctx = &real_one, .delay_ns = PFA_EXPLICIT_0 };
	return code == PFA_OK ? pfa_report_register(pfa, &d) : code;
}

/* ---- the library ------------------------------------------------------------------------------------------------------ */

/* From a told pageblock, where there is one. */
static int alloc_told(struct pfa *pfa, unsigned order, uint32_t flags, pfa_pfn *out)
{
	const struct pfa_config *cfg = &real_one.run->setup.cfg;
	const size_t size = (size_t)1 << real_one.run->p->config.pageblock_order;
	struct pfa_frame_info f;
	for (pfa_pfn at = cfg->zones[0].start & ~(pfa_pfn)(size - 1); at < cfg->zones[0].start + cfg->zones[0].nr_frames; at += size)
		if (pfa_frame_info(pfa, at, &f) == PFA_OK && f.reported &&
		    pfa_alloc_window(pfa, order, flags, (struct pfa_run){ at, size }, out) == PFA_OK)
			return PFA_OK;
	return sound.alloc(pfa, order, flags, out);
}

static int alloc_dirty(struct pfa *pfa, unsigned order, uint32_t flags, pfa_pfn *out)
{
	void *at;
	const int code = sound.alloc(pfa, order, flags, out);
	if (code == PFA_OK && pfa_ptr(pfa, *out, &at) == PFA_OK)
		*(unsigned char *)at = 1;
	return code;
}

static int frame_info_forgets(struct pfa *pfa, pfa_pfn pfn, struct pfa_frame_info *out)
{
	const int code = sound.frame_info(pfa, pfn, out);
	out->reported &= pfn % 64 != 9;
	return code;
}

static int frame_info_marks(struct pfa *pfa, pfa_pfn pfn, struct pfa_frame_info *out)
{
	const int code = sound.frame_info(pfa, pfn, out);
	out->reported |= pfn % 64 == 9;
	return code;
}

static int zone_stats_held(struct pfa *pfa, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	const int code = sound.zone_stats(pfa, zone, out, size);
	out->reported += out->reported != 0;
	return code;
}

static int zone_stats_low(struct pfa *pfa, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	const int code = sound.zone_stats(pfa, zone, out, size);
	if (out->held_report)
		out->free = 3;
	return code;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------- */

static struct {
	pfa_visitor *visit;
	void *ctx;
	unsigned visits;
} real_walker;

static int visit_skips(void *ctx, struct pfa_run run)
{
	(void)ctx;
	return real_walker.visits++ == 1 ? 0 : real_walker.visit(real_walker.ctx, run);
}

static int visit_again(void *ctx, struct pfa_run run)
{
	(void)ctx;
	const int code = real_walker.visit(real_walker.ctx, run);
	return code ? code : real_walker.visit(real_walker.ctx, run);
}

static int visit_more(void *ctx, struct pfa_run run)
{
	(void)ctx;
	run.nr_frames *= 2;
	return real_walker.visit(real_walker.ctx, run);
}

static int visit_odd(void *ctx, struct pfa_run run)
{
	(void)ctx;
	run.nr_frames = 0;
	return real_walker.visit(real_walker.ctx, run);
}

static int walk_by(pfa_visitor *by, struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	if (!visit)
		return sound.walk(pfa, order, visit, ctx, cursor);
	real_walker.visit = visit;
	real_walker.ctx = ctx;
	real_walker.visits = 0;
	return sound.walk(pfa, order, by, NULL, cursor);
}

#define WALK_BY(name, visitor)                                                                                       \
	static int name(struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)    \
	{                                                                                                            \
		return walk_by(visitor, pfa, order, visit, ctx, cursor);                                             \
	}
WALK_BY(walk_skips, visit_skips)
WALK_BY(walk_again, visit_again)
WALK_BY(walk_more, visit_more)
WALK_BY(walk_odd, visit_odd)

static int walk_said(struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	const int code = sound.walk(pfa, order, visit, ctx, cursor);
	return code == PFA_ESTOP ? PFA_OK : code;
}

static int walk_cursor(struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	const int code = sound.walk(pfa, order, visit, ctx, cursor);
	if (code == PFA_ESTOP && cursor)
		cursor->next++;
	return code;
}

static int walk_not_held(struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	return real_one.depth ? PFA_OK : sound.walk(pfa, order, visit, ctx, cursor);
}

/* ---- which ------------------------------------------------------------------------------------------------------------- */

static const struct real_canary reporting[] = {
	{ "report_shifts", "I9 batch", { .report = report_shifts } },
	{ "report_isolated", "I9 isolated", { .report = report_isolated } },
	{ "report_lies", "I9 code", { .report = report_lies } },
	{ "report_denies", "I9 forgotten", { .report = report_denies } },
	{ "report_scribbles", "I9 content", { .report = report_scribbles } },
	{ "report_knows", "I9 twice", { .report = report_knows } },
	{ "flush_nothing", "I9 complete", { .flush = flush_nothing } },
	{ "flush_wrong", "owners code", { .flush = flush_wrong } },
	{ "flush_twice", "I13 report", { .flush = flush_twice } },
	{ "service_early", "I9 early", { .service = service_early } },
	{ "service_late", "I9 late", { .service = service_late } },
	{ "unregister_not", "I9 after", { .unregister = unregister_not } },
	{ "alloc_told", "I9 order", { .alloc = alloc_told } },
	{ "alloc_dirty", "I9 zero", { .alloc = alloc_dirty } },
	{ "frame_info_forgets", "I9 forgotten", { .frame_info = frame_info_forgets } },
	{ "frame_info_marks", "I9 marked", { .frame_info = frame_info_marks } },
	{ "zone_stats_held", "I9 sums", { .zone_stats = zone_stats_held } },
	{ "zone_stats_low", "I12 report", { .zone_stats = zone_stats_low } },
	{ "walk_not_held", "walk held", { .walk = walk_not_held } },
};

static const struct real_canary walking[] = {
	{ "walk_skips", "walk missed", { .walk = walk_skips } },
	{ "walk_again", "walk twice", { .walk = walk_again } },
	{ "walk_more", "walk free", { .walk = walk_more } },
	{ "walk_odd", "walk run", { .walk = walk_odd } },
	{ "walk_said", "owners code", { .walk = walk_said } },
	{ "walk_cursor", "walk cursor", { .walk = walk_cursor } },
};

int main(int argc, char **argv)
{
	const char *walks = argc == 2 ? strstr(argv[1], "walk") : NULL;
	return walks ? real_canaries(argc, argv, walking, sizeof(walking) / sizeof(walking[0]))
	             : real_canaries(argc, argv, reporting, sizeof(reporting) / sizeof(reporting[0]));
}
