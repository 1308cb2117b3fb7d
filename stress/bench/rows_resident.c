/* SPDX-License-Identifier: MIT
 *
 * rows_resident.c - what free page reporting is for: resident memory over time under a load that comes in bursts, with a device that
 * calls madvise(MADV_DONTNEED) and without one, and the faults that it adds.
 *
 * The schedule is the bench's own, by a clock of its own: a burst of 10 s takes a random share of the memory in blocks of all orders,
 * writes to them, keeps them, gives them back, and is idle, so that a pass comes after the device's default delay. A small part of the
 * memory is in use all the time. Both runs do the same, from the same seed.
 */
#include "bench.h"

#include <pfa/devices.h>
#include <pfa/pfa.h>
#include <pfa/report.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)
#define TICK_NS 250000000u
#define TICKS 40u /* of a burst: it grows, */
#define GROWN 8u  /* stays, */
#define KEPT 12u  /* shrinks, */
#define GONE 16u  /* and the rest is idle */
#define BURSTS_MAX 32u
#define ORDERS 10u

struct block {
	pfa_pfn pfn;
	unsigned order;
};

struct load {
	const char *row;
	struct pfa *pfa;
	void *meta;
	size_t meta_bytes;
	char *pool;
	size_t frames;
	unsigned char *in; /* of mincore() */
	struct block *blocks;
	size_t nr, held;   /* blocks, and frames of them */
	uint64_t rng, now;
	double *trace;     /* MiB at each tick */
};

static uint64_t load_now(void *ctx)
{
	return ((struct load *)ctx)->now;
}

static bool load_open(struct load *l, const struct bench_options *o)
{
	const struct pfa_platform os = {.size = sizeof(os), .ctx = l, .now_ns = load_now};
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = l->frames};
	struct pfa_footprint need;
	struct pfa_config cfg;

	pfa_config_init(&cfg);
	cfg.platform = &os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.cache_high = PFA_EXPLICIT_0;
	cfg.flags |= PFA_CONFIG_REPORTING;
	l->rng = o->seed;
	l->pool = mmap(NULL, l->frames * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l->pool == MAP_FAILED)
		return bench_fail(l->row, "no memory");
	(void)madvise(l->pool, l->frames * FRAME, MADV_NOHUGEPAGE); /* a kernel may not know it */
	cfg.pool = l->pool;
	cfg.pool_bytes = l->frames * FRAME;
	if (pfa_size(&cfg, &need, NULL, NULL) != PFA_OK)
		return bench_fail(l->row, "no size");
	l->meta_bytes = need.core_bytes;
	l->meta = bench_array(need.core_bytes);
	return pfa_init(l->meta, need.core_bytes, &cfg, &l->pfa, NULL, NULL) == PFA_OK || bench_fail(l->row, "no instance");
}

static bool load_give(struct load *l, size_t at)
{
	const struct block b = l->blocks[at];
	l->blocks[at] = l->blocks[--l->nr];
	l->held -= (size_t)1 << b.order;
	return pfa_free(l->pfa, b.pfn, b.order) == PFA_OK || bench_fail(l->row, "a free fails");
}

static bool load_close(struct load *l, bool ok)
{
	while (ok && l->nr)
		ok = load_give(l, l->nr - 1);
	if (l->pfa && ok && pfa_fini(l->pfa) != PFA_OK)
		ok = bench_fail(l->row, "the instance does not end");
	if (l->meta)
		bench_array_free(l->meta, l->meta_bytes);
	if (l->pool != MAP_FAILED)
		(void)munmap(l->pool, l->frames * FRAME);
	return ok;
}

/* Until so many frames are in use, all of them written to. */
static bool load_grow(struct load *l, size_t held)
{
	while (l->held < held) {
		struct block b = {.order = (unsigned)bench_below(&l->rng, ORDERS)};
		if (pfa_alloc(l->pfa, b.order, PFA_MOVABLE, &b.pfn) != PFA_OK)
			return bench_fail(l->row, "no block of order %u with %zu frames of %zu in use", b.order, l->held, l->frames);
		memset(l->pool + b.pfn * FRAME, 1, FRAME << b.order);
		l->blocks[l->nr++] = b;
		l->held += (size_t)1 << b.order;
	}
	return true;
}

static bool load_shrink(struct load *l, size_t held)
{
	bool ok = true;
	while (ok && l->held > held)
		ok = load_give(l, bench_below(&l->rng, l->nr));
	return ok;
}

static bool load_resident(struct load *l, double *mib)
{
	size_t pages = 0;
	if (mincore(l->pool, l->frames * FRAME, l->in) != 0)
		return bench_fail(l->row, "mincore fails");
	for (size_t i = 0; i < l->frames; i++)
		pages += l->in[i] & 1;
	*mib = (double)(pages * FRAME) / (1 << 20);
	return true;
}

/* One burst: its faults, and the mean of what is resident. */
static bool load_burst(struct load *l, double *mean, double *faults)
{
	const size_t base = l->frames / 16, peak = l->frames / 4 + bench_below(&l->rng, l->frames / 2);
	struct rusage before, after;
	bool ok = getrusage(RUSAGE_SELF, &before) == 0;

	*mean = 0;
	for (unsigned tick = 0; ok && tick < TICKS; tick++) {
		if (tick < GROWN)
			ok = load_grow(l, base + (peak - base) * (tick + 1) / GROWN);
		else if (tick >= KEPT && tick < GONE)
			ok = load_shrink(l, peak - (peak - base) * (tick + 1 - KEPT) / (GONE - KEPT));
		l->now += TICK_NS;
		while (ok && pfa_service(l->pfa, 64, NULL) == PFA_EAGAIN)
			;
		ok = ok && load_resident(l, l->trace);
		*mean += *l->trace++ / TICKS;
	}
	ok = ok && getrusage(RUSAGE_SELF, &after) == 0;
	*faults = ok ? (double)(after.ru_minflt - before.ru_minflt) : 0;
	return ok;
}

/* All bursts, with a device or without. */
static bool load_run(const struct bench_options *o, struct load *l, unsigned bursts, bool reports, double means[], double faults[])
{
	struct pfa_discard_config cfg = {.size = sizeof(cfg), .way = PFA_DISCARD_DONTNEED, .pool_bytes = l->frames * FRAME, .fd = -1};
	struct pfa_discard_stats stats = {.bytes = 0};
	struct pfa_discard discard;
	struct pfa_device device;
	bool ok = load_open(l, o), registered = false;

	cfg.pool = l->pool;
	if (ok && reports) {
		ok = pfa_discard_init(&discard, &cfg) == PFA_OK || bench_fail(l->row, "no device");
		if (ok) {
			pfa_discard_device(&discard, &device);
			ok = registered = pfa_report_register(l->pfa, &device) == PFA_OK || bench_fail(l->row, "not registered");
		}
	}
	for (unsigned i = 0; ok && i < bursts; i++)
		ok = load_burst(l, &means[i], &faults[i]);
	if (registered) {
		pfa_discard_stats_get(&discard, &stats);
		if (stats.bytes == 0 || stats.errors)
			ok = bench_fail(l->row, "the device was told of %zu bytes, with %zu errors", stats.bytes, stats.errors);
		if (pfa_report_unregister(l->pfa) != PFA_OK)
			ok = bench_fail(l->row, "the device cannot be unregistered");
	}
	return load_close(l, ok);
}

static bool burst_resident(const struct bench_options *o)
{
	const size_t frames = o->rounds > 1 ? 65536 : 16384; /* 256 MiB; 64 MiB where it has only to work */
	const unsigned bursts = 4 * o->rounds + 1 < BURSTS_MAX ? 4 * o->rounds + 1 : BURSTS_MAX, ticks = bursts * TICKS;
	struct bench_series *resident = bench_series_new("burst_resident"), *added = bench_series_new("burst_faults");
	double means[2][BURSTS_MAX], faults[2][BURSTS_MAX], *trace = bench_array(2 * ticks * sizeof(*trace));
	struct block *blocks = bench_array(frames * sizeof(*blocks));
	unsigned char *in = bench_array(frames);
	bool ok = true;

	for (unsigned on = 0; ok && on < 2; on++) {
		struct load l = {.row = "burst_resident", .frames = frames, .in = in, .blocks = blocks, .trace = trace + on * ticks, .pool = MAP_FAILED};
		ok = load_run(o, &l, bursts, on, means[on], faults[on]);
	}
	for (unsigned i = 1; ok && i < bursts; i++) { /* in the first all memory is new */
		bench_series_add(resident, means[1][i], means[0][i]);
		bench_series_add(added, faults[1][i] - faults[0][i], 0);
	}
	for (unsigned i = 0; ok && i < ticks; i++)
		printf("trace burst_resident %g %.6g %.6g\n", (i + 1) * (TICK_NS / 1e9), trace[ticks + i], trace[i]);
	bench_series_print(resident);
	bench_series_print(added);
	bench_series_free(resident);
	bench_series_free(added);
	bench_array_free(trace, 2 * ticks * sizeof(*trace));
	bench_array_free(blocks, frames * sizeof(*blocks));
	bench_array_free(in, frames);
	return ok;
}

static const struct bench_workload workloads[] = {
	{"burst_resident", "burst_resident burst_faults", 0, burst_resident, NULL},
};

const struct bench_area bench_area_resident = {
	.name = "resident",
	.workloads = workloads,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
};
