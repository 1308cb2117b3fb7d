/* SPDX-License-Identifier: MIT
 *
 * lib_looks.c - see lib_run.h: calls that look, and those that hold or tell of free memory.
 */
#include "lib_internal.h"

#include <pfa/contig.h>
#include <pfa/debug.h>
#include <pfa/report.h>
#include <pfa/stats.h>
#include <pfa/walk.h>

#include <string.h>

static void lib_written(void *ctx, const char *text, size_t nr)
{
	(void)ctx;
	(void)text;
	(void)nr;
	lib_called("the writer");
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
	code = pfa_frame_info(lib.pfa, lib.base, &frame);
	lib_expect("pfa_frame_info", code, code == PFA_OK);
	code = pfa_pageblock_info(lib.pfa, lib.base, &pageblock);
	lib_expect("pfa_pageblock_info", code, code == PFA_OK);
	code = pfa_largest_free(lib.pfa, PFA_MOVABLE, &order);
	lib_expect("pfa_largest_free", code, code == PFA_OK || code == PFA_ENOMEM);
	code = pfa_would_succeed(lib.pfa, 0, PFA_MOVABLE);
	lib_expect("pfa_would_succeed", code, code == PFA_OK || code == PFA_ENOMEM || code == PFA_EAGAIN);
	code = pfa_print(lib.pfa, PFA_PRINT_BUDDYINFO, lib_written, NULL);
	lib_expect("pfa_print", code, code == PFA_OK);
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

	lib_called("a visitor");
	if (run.first < walk->next || run.nr_frames == 0 || run.first + run.nr_frames > lib.base + lib.frames) {
		sched_fail("a walk visits %zu frames at %zu after those below %zu", run.nr_frames, run.first, walk->next);
		return 1;
	}
	walk->next = run.first + run.nr_frames;
	for (pfa_pfn pfn = run.first; pfn < walk->next; pfn++)
		if (lib.now.owner[pfn - lib.base] != LIB_NOBODY && lib.now.owner[pfn - lib.base] != LIB_DEVICE &&
		    lib.now.since[pfn - lib.base] < walk->began)
			sched_fail("frame %zu belongs to t%u since before the walk that visits it", pfn, lib.now.owner[pfn - lib.base] - 1u);
	struct lib_handle own = { .nr = 0 };
	if (!lib.unprotected)
		lib_alloc(walk->self, &own, 0, PFA_MOVABLE, false);
	lib_free(OP_FREE, &own, 0, 1);
	return 0;
}

void lib_walk(unsigned self, unsigned order)
{
	struct lib_walk walk = { .self = self, .began = lib.now.time++ };

	if (order > lib.max_order)
		return;
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

/* Of an instance that nobody damaged it repairs nothing. */
void lib_repair(void)
{
	struct pfa_repair did = { .size = sizeof(did) };
	int code = pfa_repair(lib.pfa, 0, &did);

	lib_expect("pfa_repair", code, code == PFA_OK);
	if (did.zones || did.given_up || did.changed_blocks)
		sched_fail("something was repaired that nobody damaged");
}

/* ---- ranges ---- */

static void lib_test_isolated(pfa_pfn start, pfa_pfn end, pfa_token token)
{
	int first = pfa_test_isolated(lib.pfa, start, end, token, NULL);

	lib_expect("pfa_test_isolated", first, first == PFA_OK || first == PFA_EBUSY);
	int again = pfa_test_isolated(lib.pfa, start, end, token, NULL);
	/* What is free stays free. */
	lib_expect("pfa_test_isolated once more", again, again == PFA_OK || (again == PFA_EBUSY && first == PFA_EBUSY));
}

/* Any numbers become a range in the zone, of at most 32 frames. */
static pfa_pfn lib_range(pfa_pfn first, size_t nr, pfa_pfn *end)
{
	const size_t offset = first < lib.base ? 0 : (first - lib.base) % lib.frames, most = lib.frames - offset;

	nr = nr < 32 ? nr : 32;
	*end = lib.base + offset + (nr < most ? nr : most);
	return lib.base + offset;
}

void lib_isolate(pfa_pfn first, size_t nr)
{
	pfa_pfn end;
	const pfa_pfn start = lib_range(first, nr, &end);
	/* A pageblock is at least 64 frames, and the zone begins where one does, or what it holds is not looked at. */
	const bool watched = lib.pageblock_order == 6 && lib.base % 64 == 0;
	const size_t low = (start - lib.base) >> 6, high = (end - 1 - lib.base) >> 6;
	pfa_token token;
	int code = pfa_isolate_range(lib.pfa, start, end, 0, &token, NULL);

	lib_expect("pfa_isolate_range", code, code == PFA_OK || code == PFA_EBUSY || code == PFA_EAGAIN || code == PFA_ENOMEM);
	if (code != PFA_OK)
		return;
	for (size_t pb = low; pb <= high && watched; pb++) {
		if (lib.now.held[pb])
			sched_fail("a pageblock is isolated by two");
		lib.now.held[pb] = ++lib.now.time;
	}
	lib_test_isolated(start, end, token);
	for (size_t pb = low; pb <= high && watched; pb++)
		lib.now.held[pb] = 0;
	code = pfa_undo_isolate_range(lib.pfa, start, end, token);
	lib_expect("pfa_undo_isolate_range", code, code == PFA_OK);
}

void lib_contig(unsigned self, pfa_pfn first, size_t nr)
{
	pfa_pfn end;
	const pfa_pfn start = lib_range(first, nr, &end);
	int code = pfa_alloc_contig_range(lib.pfa, start, end, 0, NULL);

	lib_expect("pfa_alloc_contig_range", code, code == PFA_OK || code == PFA_EBUSY || code == PFA_EAGAIN || code == PFA_ENOMEM);
	if (code != PFA_OK)
		return;
	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const struct lib_block b = { (uint32_t)pfn, 0 };
		lib_own(self, &b);
	}
	for (pfa_pfn pfn = start; pfn < end; pfn++) {
		const struct lib_block b = { (uint32_t)pfn, 0 };
		lib_disown(&b);
	}
	code = pfa_free_contig_range(lib.pfa, start, end - start);
	lib_expect("pfa_free_contig_range", code, code == PFA_OK);
}

/* ---- the device ---- */

static void lib_told(const struct pfa_run *run, uint8_t from, uint8_t to)
{
	if (run->first < lib.base || run->first - lib.base + run->nr_frames > lib.frames) {
		sched_fail("the device is told of %zu frames at %zu", run->nr_frames, run->first);
		return;
	}
	for (size_t i = 0; i < run->nr_frames; i++) {
		uint8_t *owner = &lib.now.owner[run->first - lib.base + i];
		if (*owner != from)
			sched_fail("the device is told of frame %zu, which is somebody's", run->first + i);
		if (from == LIB_NOBODY && lib_is_held(run->first + i))
			sched_fail("the device is told of frame %zu, and its pageblock is isolated", run->first + i);
		*owner = to;
		lib.now.told[run->first - lib.base + i] = to == LIB_NOBODY; /* once it has said so */
	}
}

static int lib_device(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)ctx;
	(void)out_done;
	lib_called("the device");
	if (!lib.now.device)
		sched_fail("a device is told something after it was unregistered");
	for (unsigned i = 0; i < nr; i++)
		lib_told(&runs[i], LIB_NOBODY, LIB_DEVICE);
	lib_takes_time();
	if (!lib.now.device)
		sched_fail("a device is unregistered while it is told something");
	for (unsigned i = 0; i < nr; i++)
		lib_told(&runs[i], LIB_DEVICE, LIB_NOBODY);
	return PFA_OK;
}

void lib_report(enum prog_kind kind, unsigned order)
{
	const struct pfa_device device = { .size = sizeof(device), .report = lib_device, .capacity = 2, .delay_ns = PFA_EXPLICIT_0,
		                           .min_order = order && order <= lib.max_order ? order : PFA_EXPLICIT_0 };
	int code;

	switch (kind) {
	case OP_DEVICE_REGISTER:
		if (lib.now.device)
			return;
		lib.now.device = true; /* from here on: who else registers one would be refused */
		lib.now.unit = order && order <= lib.max_order ? order : 0;
		memset(lib.now.told, 0, sizeof(lib.now.told));
		code = pfa_report_register(lib.pfa, &device);
		lib_expect("pfa_report_register", code, code == PFA_OK || code == PFA_EBUSY);
		if (code != PFA_OK)
			lib.now.device = false;
		return;
	case OP_DEVICE_UNREGISTER:
		code = pfa_report_unregister(lib.pfa);
		lib_expect("pfa_report_unregister", code, code == PFA_OK || code == PFA_EINVAL || code == PFA_EBUSY);
		if (code == PFA_OK)
			lib.now.device = false;
		return;
	default:
		code = pfa_report_flush(lib.pfa);
		lib_expect("pfa_report_flush", code, code == PFA_OK || code == PFA_EAGAIN || code == PFA_EBUSY || code == PFA_EINVAL);
	}
}

/* Whether this unit is free, of which the device was not told. */
static bool lib_is_news(pfa_pfn first)
{
	bool told = true;

	for (pfa_pfn pfn = first; pfn < first + (UINT64_C(1) << lib.now.unit); pfn++) {
		struct pfa_frame_info frame;
		int code = pfa_frame_info(lib.pfa, pfn, &frame);
		lib_expect("pfa_frame_info", code, code == PFA_OK);
		if (frame.state != PFA_FRAME_FREE)
			return false;
		told = told && lib.now.told[pfn - lib.base];
	}
	return !told;
}

/* Before anything else is freed: that would ask for a pass, and hide that one was forgotten. */
void lib_all_told(void)
{
	const pfa_pfn unit = (pfa_pfn)1 << lib.now.unit, end = lib.base + lib.frames;
	int code = PFA_EAGAIN;

	if (!lib.now.device)
		return;
	for (unsigned i = 0; i < 2 * LIB_FRAMES && code == PFA_EAGAIN; i++) {
		uint64_t next;
		pfa_sim_advance(sched_sim(), 2 * PFA_REPORT_RETRY_NS); /* less than what makes a service drain caches */
		code = pfa_service(lib.pfa, 64, &next);
		lib_expect("pfa_service", code, code == PFA_OK || code == PFA_EAGAIN);
	}
	for (pfa_pfn pfn = (lib.base + unit - 1) & ~(unit - 1); end - pfn >= unit && pfn < end; pfn += unit)
		if (lib_is_news(pfn))
			sched_fail("frame %zu is free, and the device is never told of it", pfn);
}
