/* SPDX-License-Identifier: MIT
 *
 * rows_report.c - what free page reporting costs beside the device: the books of a block, a pass with nothing to do, the device's own
 * calls; and the walk over free memory, a run at a time.
 *
 * Each row counts what its device, or its visitor, was told, and fails where that is not all that is free.
 */
#include "bench.h"

#ifdef BENCH_DEVICES
#include <pfa/devices.h>
#endif
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/report.h>
#include <pfa/stats.h>
#include <pfa/walk.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#define PIDFD_SELF (-10000) /* Linux 6.13 and later; the calling process */

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)
#define DEVICE_FRAMES 65536u /* 256 MiB of memory */
#define DEVICE_RUNS 1024u

/* An instance with a device. */
struct told {
	const char *row;
	struct pfa_posix arena;
	size_t frames, runs;   /* told */
	struct pfa_device inner; /* report is NULL: the device does nothing */
	char *pool;            /* what it returns to the kernel */
	struct pfa_run run[DEVICE_RUNS];
};

static int told_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct told *t = ctx;

	for (unsigned i = 0; i < nr; i++) {
		t->frames += runs[i].nr_frames;
		if (t->inner.report == NULL)
			t->runs++;
		else if (t->runs < DEVICE_RUNS)
			t->run[t->runs++] = runs[i];
	}
	return t->inner.report == NULL ? PFA_OK : t->inner.report(t->inner.ctx, runs, nr, out_done);
}

static bool told_open(struct told *t, const char *row, size_t frames, bool device)
{
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = frames};
	const struct pfa_device d = {.size = sizeof(d), .report = told_report, .ctx = t, .min_order = 9};
	struct pfa_config cfg;

	memset(t, 0, sizeof(*t));
	t->row = row;
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.cache_high = PFA_EXPLICIT_0;
	cfg.flags |= PFA_CONFIG_REPORTING;
	if (pfa_posix_create(&t->arena, &cfg, PFA_POSIX_NO_POOL) != PFA_OK)
		return bench_fail(row, "%s", t->arena.why);
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

/* Everything is unknown again, each time: all of it is told to a device that does nothing. idle: a second pass each time, or NULL. */
static bool told_rounds(struct told *t, const struct bench_options *o, size_t free, struct bench_series *s, struct bench_series *idle)
{
	bool ok = true;
	double ns;

	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		ok = told_flush(t, free, &ns);
		bench_series_add(s, ns / (double)t->runs, bench_cas() / BENCH_CAS);
		ok = ok && told_flush(t, 0, &ns);
		if (idle != NULL)
			bench_series_add(idle, ns, bench_cas() / BENCH_CAS);
		ok = ok && pfa_report_suspend(t->arena.pfa) == PFA_OK && pfa_report_resume(t->arena.pfa) == PFA_OK;
	}
	return ok;
}

static bool report_block(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("report_block"), *idle = bench_series_new("report_idle_64g");
	struct told t;
	bool ok = told_open(&t, "report_block", o->frames_big, true) && told_rounds(&t, o, o->frames_big, s, idle);

	finish(s);
	finish(idle);
	return told_close(&t, ok, true);
}

static bool report_block_2g(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("report_block_2g");
	struct told t;
	bool ok = told_open(&t, "report_block_2g", o->frames_small, true) && told_rounds(&t, o, o->frames_small, s, NULL);

	finish(s);
	return told_close(&t, ok, true);
}

/* Every second block is in use: nothing merges, and none goes with one beside it. Each time all of the others were used since. */
static bool report_lone(const struct bench_options *o)
{
	const unsigned order = 9;
	const size_t nr = o->frames_big >> order;
	struct bench_series *s = bench_series_new("report_lone");
	bench_block *taken = bench_array(nr * sizeof(*taken));
	struct told t;
	size_t free = 0; /* blocks; those in use follow them */
	double ns;
	bool ok = told_open(&t, "report_lone", o->frames_big, true);

	for (size_t i = 0; ok && i < nr; i++)
		ok = pfa_alloc(t.arena.pfa, order, PFA_MOVABLE, &taken[i]) == PFA_OK || bench_fail(t.row, "no block");
	for (size_t i = 0; ok && i < nr; i++)
		if ((taken[i] >> order) % 2 == 0) {
			bench_block block = taken[i];
			taken[i] = taken[free];
			taken[free++] = block;
		}
	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		for (size_t i = 0; ok && i < free; i++)
			ok = pfa_free(t.arena.pfa, taken[i], order) == PFA_OK;
		ok = ok && told_flush(&t, free << order, &ns);
		bench_series_add(s, ns / (double)t.runs, bench_cas() / BENCH_CAS);
		for (size_t i = 0; ok && i < free; i++)
			ok = pfa_alloc(t.arena.pfa, order, PFA_MOVABLE, &taken[i]) == PFA_OK;
	}
	for (size_t i = 0; ok && i < nr; i++)
		ok = pfa_free(t.arena.pfa, taken[i], order) == PFA_OK;
	finish(s);
	bench_array_free(taken, nr * sizeof(*taken));
	return told_close(&t, ok, true);
}

/* ---- the devices of pfa/devices.h ---------------------------------------------------------------------------------- */

#ifdef BENCH_DEVICES

#define DEVICE_BYTES (DEVICE_FRAMES * FRAME)
#define HUGE_PAGE ((size_t)2 << 20)
#define DEVICE_BATCH 32u /* ranges of a call: the capacity of a device */

/* What is returned to the kernel, and how. */
struct way {
	const char *row;
	enum pfa_discard_way way;
	bool many, huge;
};

/* The memory: at a huge page, so that it can consist of them. */
static bool pool_open(struct told *t, const struct way *w, void **map, int *fd)
{
	*fd = w->way == PFA_DISCARD_PUNCH ? (int)syscall(SYS_memfd_create, "bench", 0u) : -1;
	if (w->way == PFA_DISCARD_PUNCH && (*fd < 0 || ftruncate(*fd, (off_t)DEVICE_BYTES) != 0))
		return bench_fail(w->row, "no memfd");
	*map = mmap(NULL, DEVICE_BYTES + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*map == MAP_FAILED)
		return bench_fail(w->row, "no memory");
	char *at = (char *)*map + (HUGE_PAGE - (uintptr_t)*map % HUGE_PAGE) % HUGE_PAGE;
	int kind = *fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	if (mmap(at, DEVICE_BYTES, PROT_READ | PROT_WRITE, kind | MAP_FIXED, *fd, 0) == MAP_FAILED)
		return bench_fail(w->row, "no memory");
	if (*fd < 0)
		(void)madvise(at, DEVICE_BYTES, w->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a kernel may know neither */
	t->pool = at;
	return true;
}

/* The blocks of the last pass, without the library. */
static bool raw_calls(const struct told *t, const struct way *w, int fd, bool many)
{
	int advice = w->way == PFA_DISCARD_FREE ? MADV_FREE : MADV_DONTNEED;
	struct iovec iov[DEVICE_BATCH];
	size_t nr = 0, bytes = 0;

	for (size_t i = 0; i < t->runs; i++) {
		void *at = t->pool + t->run[i].first * FRAME;
		size_t size = t->run[i].nr_frames * FRAME;
		if (w->way == PFA_DISCARD_PUNCH) {
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(t->run[i].first * FRAME), (off_t)size) != 0)
				return false;
			continue;
		}
		if (!many) {
			if (madvise(at, size, advice) != 0)
				return false;
			continue;
		}
		iov[nr++] = (struct iovec){at, size};
		bytes += size;
		if (nr < DEVICE_BATCH && i + 1 < t->runs)
			continue;
		if (syscall(SYS_process_madvise, PIDFD_SELF, iov, nr, advice, 0u) != (long)bytes)
			return false;
		nr = bytes = 0;
	}
	return true;
}

static bool way_rounds(const struct bench_options *o, struct told *t, const struct way *w, int fd, bool many, struct bench_series *s)
{
	double ns = 0, raw = 0;
	bool ok = true;

	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		bool second = round % 2 == 0; /* by turns: the first pass tells what the blocks are */
		for (unsigned turn = 0; ok && turn < 2; turn++) {
			memset(t->pool, 1, DEVICE_BYTES);
			if ((turn == 1) != second) {
				ok = told_flush(t, DEVICE_FRAMES, &ns);
				continue;
			}
			uint64_t start = bench_now();
			ok = raw_calls(t, w, fd, many) || bench_fail(w->row, "the calls fail");
			raw = (double)(bench_now() - start) - bench_clock_ns;
		}
		bench_series_add(s, ns / (double)t->runs, raw / (double)t->runs);
		ok = ok && pfa_report_suspend(t->arena.pfa) == PFA_OK && pfa_report_resume(t->arena.pfa) == PFA_OK;
	}
	return ok;
}

/* Blocks told to a device, and the same calls alone, of memory that was touched again in between. */
static bool report_way(const struct bench_options *o, const struct way *w)
{
	struct pfa_discard_config cfg = {.size = sizeof(cfg), .way = w->way, .pool_bytes = DEVICE_BYTES, .fd = -1, .one_by_one = !w->many};
	struct bench_series *s = bench_series_new(w->row);
	struct pfa_discard_stats stats = {.many = false};
	struct pfa_discard discard;
	struct pfa_device device;
	struct told t;
	void *map = MAP_FAILED;
	bool ok = told_open(&t, w->row, DEVICE_FRAMES, false), registered = false;

	ok = ok && pool_open(&t, w, &map, &cfg.fd);
	cfg.pool = t.pool;
	ok = ok && (pfa_discard_init(&discard, &cfg) == PFA_OK || bench_fail(w->row, "no device"));
	if (ok) {
		pfa_discard_stats_get(&discard, &stats);
		pfa_discard_device(&discard, &device);
		t.inner = device;
		device.report = told_report;
		device.ctx = &t;
		ok = registered = pfa_report_register(t.arena.pfa, &device) == PFA_OK || bench_fail(w->row, "not registered");
	}
	ok = ok && way_rounds(o, &t, w, cfg.fd, stats.many, s);
	finish(s);
	ok = told_close(&t, ok, registered);
	if (map != MAP_FAILED)
		(void)munmap(map, DEVICE_BYTES + HUGE_PAGE);
	if (cfg.fd >= 0)
		(void)close(cfg.fd);
	return ok;
}

#define WAY(name, how, in_batches, of_huge_pages)                                                                     \
	static bool name(const struct bench_options *o)                                                               \
	{                                                                                                             \
		static const struct way w = {#name, how, in_batches, of_huge_pages};                                  \
		return report_way(o, &w);                                                                             \
	}
WAY(report_madvise, PFA_DISCARD_DONTNEED, false, false)
WAY(report_madvise_huge, PFA_DISCARD_DONTNEED, false, true)
WAY(report_lazy, PFA_DISCARD_FREE, false, false)
WAY(report_lazy_huge, PFA_DISCARD_FREE, false, true)
WAY(report_batch, PFA_DISCARD_DONTNEED, true, false)
WAY(report_batch_huge, PFA_DISCARD_DONTNEED, true, true)
WAY(report_punch, PFA_DISCARD_PUNCH, false, false)

#endif

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
	bool ok = told_open(&t, "walk_half", frames, false);

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
	bool ok = told_open(&t, "walk_free", o->frames_small, false) && walk_rounds(&t, o, o->frames_small, s);

	finish(s);
	return told_close(&t, ok, false);
}

static const struct bench_workload workloads[] = {
	{"report_block", "report_block report_idle_64g", 0, report_block, NULL},
	{"report_block_2g", "report_block_2g", 0, report_block_2g, NULL},
	{"report_lone", "report_lone", 0, report_lone, NULL},
#ifdef BENCH_DEVICES
	{"report_madvise", "report_madvise", 0, report_madvise, NULL},
	{"report_madvise_huge", "report_madvise_huge", 0, report_madvise_huge, NULL},
	{"report_lazy", "report_lazy", 0, report_lazy, NULL},
	{"report_lazy_huge", "report_lazy_huge", 0, report_lazy_huge, NULL},
	{"report_batch", "report_batch", 0, report_batch, NULL},
	{"report_batch_huge", "report_batch_huge", 0, report_batch_huge, NULL},
	{"report_punch", "report_punch", 0, report_punch, NULL},
#endif
	{"walk_half", "walk_half", 0, walk_half, NULL},
	{"walk_free", "walk_free", 0, walk_free, NULL},
};

const struct bench_area bench_area_report = {
	.name = "report",
	.workloads = workloads,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
};
