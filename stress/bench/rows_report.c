/* SPDX-License-Identifier: MIT
 *
 * rows_report.c - what free page reporting costs beside the device: the books of a block, a pass with nothing to do, the device's own
 * calls; and the walk over free memory, a run at a time.
 *
 * Each row counts what its device, or its visitor, was told, and fails where that is not all that is free.
 */
#include "bench.h"

#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/report.h>
#include <pfa/stats.h>
#include <pfa/walk.h>

#include <string.h>
#include <sys/mman.h>

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)
#define DEVICE_FRAMES 65536u /* 256 MiB of memory */
#define DEVICE_RUNS 1024u

/* An instance with a device. */
struct told {
	const char *row;
	struct pfa_posix arena;
	size_t frames, runs;   /* told */
	char *pool;            /* NULL: the device does nothing */
	struct pfa_run run[DEVICE_RUNS];
};

static int told_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct told *t = ctx;

	(void)out_done;
	for (unsigned i = 0; i < nr; i++) {
		t->frames += runs[i].nr_frames;
		if (t->pool == NULL) {
			t->runs++;
			continue;
		}
		if (t->runs < DEVICE_RUNS)
			t->run[t->runs++] = runs[i];
		if (madvise(t->pool + runs[i].first * FRAME, runs[i].nr_frames * FRAME, MADV_DONTNEED) != 0)
			return PFA_EDEVICE;
	}
	return PFA_OK;
}

static bool told_open(struct told *t, const char *row, size_t frames, bool pool, bool device)
{
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = frames};
	const struct pfa_device d = {.size = sizeof(d), .report = told_report, .ctx = t, .min_order = 9, .discards = pool};
	struct pfa_config cfg;

	memset(t, 0, sizeof(*t));
	t->row = row;
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.cache_high = PFA_EXPLICIT_0;
	cfg.flags |= PFA_CONFIG_REPORTING;
	if (pfa_posix_create(&t->arena, &cfg, pool ? 0 : PFA_POSIX_NO_POOL) != PFA_OK)
		return bench_fail(row, "%s", t->arena.why);
	if (pool)
		t->pool = t->arena.pool.base;
	return !device || pfa_report_register(t->arena.pfa, &d) == PFA_OK || bench_fail(row, "no device");
}

static bool told_close(struct told *t, bool ok, bool device)
{
	if (device && pfa_report_unregister(t->arena.pfa) != PFA_OK)
		ok = bench_fail(t->row, "the device cannot be unregistered");
	if (pfa_posix_destroy(&t->arena) != PFA_OK)
		ok = bench_fail(t->row, "the instance does not end");
	return ok;
}

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

static bool told_flush(struct told *t, size_t frames, double *ns)
{
	t->frames = t->runs = 0;
	uint64_t start = bench_now();
	int result = pfa_report_flush(t->arena.pfa);
	*ns = (double)(bench_now() - start) - bench_clock_ns;
	if (result != PFA_OK || t->frames != frames)
		return bench_fail(t->row, "%zu frames of %zu were told", t->frames, frames);
	return true;
}

/* Everything is unknown again, each time: all of it is told to a device that does nothing. */
static bool report_block(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("report_block"), *idle = bench_series_new("report_idle_64g");
	struct told t;
	double ns;
	bool ok = told_open(&t, "report_block", o->frames_big, false, true);

	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		ok = told_flush(&t, o->frames_big, &ns);
		bench_series_add(s, ns / (double)t.runs, bench_cas() / BENCH_CAS);
		ok = ok && told_flush(&t, 0, &ns);
		bench_series_add(idle, ns, bench_cas() / BENCH_CAS);
		ok = ok && pfa_report_suspend(t.arena.pfa) == PFA_OK && pfa_report_resume(t.arena.pfa) == PFA_OK;
	}
	finish(s);
	finish(idle);
	return told_close(&t, ok, true);
}

/* The same blocks by madvise() alone, of memory that was touched again in between. */
static bool report_madvise(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("report_madvise");
	struct told t;
	double ns;
	bool ok = told_open(&t, "report_madvise", DEVICE_FRAMES, true, true);

	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		memset(t.pool, 1, DEVICE_FRAMES * FRAME);
		ok = told_flush(&t, DEVICE_FRAMES, &ns);
		memset(t.pool, 1, DEVICE_FRAMES * FRAME);
		uint64_t start = bench_now();
		for (size_t i = 0; ok && i < t.runs; i++)
			ok = madvise(t.pool + t.run[i].first * FRAME, t.run[i].nr_frames * FRAME, MADV_DONTNEED) == 0;
		double raw = (double)(bench_now() - start) - bench_clock_ns;
		bench_series_add(s, ns / (double)t.runs, raw / (double)t.runs);
		ok = ok && pfa_report_suspend(t.arena.pfa) == PFA_OK && pfa_report_resume(t.arena.pfa) == PFA_OK;
	}
	finish(s);
	return told_close(&t, ok, true);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

static int walk_count(void *ctx, struct pfa_run run)
{
	struct told *t = ctx;

	t->runs++;
	t->frames += run.nr_frames;
	return 0;
}

static bool walk_rounds(struct told *t, const struct bench_options *o, size_t free, struct bench_series *s)
{
	bool ok = true;

	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		t->frames = t->runs = 0;
		uint64_t start = bench_now();
		ok = pfa_walk_free(t->arena.pfa, 0, walk_count, t, NULL) == PFA_OK;
		double ns = (double)(bench_now() - start) - bench_clock_ns;
		ok = (ok && t->frames == free) || bench_fail(t->row, "%zu frames of %zu were visited", t->frames, free);
		bench_series_add(s, ns / (double)t->runs, bench_cas() / BENCH_CAS);
	}
	return ok;
}

static bool walk_half(const struct bench_options *o)
{
	const size_t frames = o->frames_small;
	struct bench_series *s = bench_series_new("walk_half");
	bench_block *taken = bench_array(frames * sizeof(*taken));
	uint64_t rng = o->seed;
	struct told t;
	size_t nr = 0;
	bool ok = told_open(&t, "walk_half", frames, false, false);

	while (ok && nr < frames && pfa_alloc(t.arena.pfa, 0, PFA_MOVABLE, &taken[nr]) == PFA_OK)
		nr++;
	bench_shuffle(taken, nr, &rng);
	for (size_t i = 0; ok && i < nr / 2; i++)
		ok = pfa_free(t.arena.pfa, taken[i], 0) == PFA_OK;
	ok = ok && walk_rounds(&t, o, frames - nr + nr / 2, s);
	for (size_t i = nr / 2; ok && i < nr; i++)
		ok = pfa_free(t.arena.pfa, taken[i], 0) == PFA_OK;
	finish(s);
	bench_array_free(taken, frames * sizeof(*taken));
	return told_close(&t, ok, false);
}

static bool walk_free(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("walk_free");
	struct told t;
	bool ok = told_open(&t, "walk_free", o->frames_small, false, false) && walk_rounds(&t, o, o->frames_small, s);

	finish(s);
	return told_close(&t, ok, false);
}

static const struct bench_workload workloads[] = {
	{"report_block", "report_block report_idle_64g", 0, report_block, NULL},
	{"report_madvise", "report_madvise", 0, report_madvise, NULL},
	{"walk_half", "walk_half", 0, walk_half, NULL},
	{"walk_free", "walk_free", 0, walk_free, NULL},
};

const struct bench_area bench_area_report = {
	.name = "report",
	.workloads = workloads,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
};
