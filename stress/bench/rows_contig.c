/* SPDX-License-Identifier: MIT
 *
 * rows_contig.c - contiguous ranges in a zone half full of movable frames at random: what emptying and taking one costs, and how often
 * it succeeds; what it costs to hold a pageblock and give it up; how long the answer takes that there is no range; the same for CMA areas; memory that
 * goes and comes back.
 */
#include "field.h"

#include <pfa/cma.h>
#include <pfa/hotplug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>

#define PAGEBLOCK 512u /* the default's */
#define RUNS 32u
#define HOLDS 64u /* in a chunk */
#define PLUGS 16u
#define GIB 1073741824.0
#define NO_RUN ((pfa_pfn)-1)

/* The time and the throughput of those that were had; the requests that each of them took are given once a process.
 * They are beside the owner's op alone, not beside mere copies: the op also looks up and notes where its frame is, at random in memory. That
 * is not the allocator's, but in what is timed, and is a fifth of all that is there beside the copies. */
struct ranges {
	struct field_mirror mirror;
	struct bench_series *time, *tries, *rate;
	size_t nr_tried, nr_refused;
};

/* Takes a run, and knows that nothing was moved but what lay in it: all the rest of the zone is free or can be moved. */
static bool range_take(struct field *f, size_t nr, struct ranges *r, pfa_pfn *out)
{
	f->nr_moves = 0;
	uint64_t start = bench_now();
	int result = pfa_alloc_contig(f->arena.pfa, nr, nr, 0, out);
	double ns = (double)(bench_now() - start) - bench_clock_ns;

	r->nr_tried++;
	if (result == PFA_ENOMEM) {
		r->nr_refused++;
		*out = NO_RUN;
		field_mirror_mix(&r->mirror, f); /* something may have been moved for it */
		return true;
	}
	if (result != PFA_OK)
		return bench_fail(f->row, "pfa_alloc_contig() says %s", pfa_error_name(result));
	for (size_t i = 0; i < f->nr_moves; i++)
		if (f->trace[i].src < *out || f->trace[i].src - *out >= nr || (f->trace[i].dst >= *out && f->trace[i].dst - *out < nr))
			return bench_fail(f->row, "frame %zu was moved to %zu for the run at %zu", (size_t)f->trace[i].src,
			                  (size_t)f->trace[i].dst, (size_t)*out);
	if (f->nr_moves == 0)
		return true;
	/* The sources are ours now, but nobody has written into them. */
	const double alone = field_mirror_moves(&r->mirror, f), bytes = (double)(f->nr_moves * FRAME);
	bench_series_add(r->time, ns / 1e6, alone / 1e6);
	bench_series_add(r->rate, bytes / GIB / (ns / 1e9), bytes / GIB / (alone / 1e9));
	return !r->mirror.f.wrong || bench_fail(f->row, "the owner alone did something else");
}

/* Runs that fill a quarter of the zone, but one at least; then everything is freed. */
static bool range_round(struct field *f, size_t nr, uint64_t *rng, struct ranges *r)
{
	size_t runs = f->frames / 4 / nr, got = 0;
	pfa_pfn at[RUNS];
	bool ok = field_mix(f, rng);

	field_mirror_mix(&r->mirror, f);
	runs = runs < 1 ? 1 : runs < RUNS ? runs : RUNS;
	for (size_t i = 0; ok && i < runs; i++) {
		ok = range_take(f, nr, r, &at[got]);
		got += ok && at[got] != NO_RUN;
	}
	ok = ok && field_sound(f);
	while (got > 0)
		ok = pfa_free_contig_range(f->arena.pfa, at[--got], nr) == PFA_OK && ok;
	return ok && field_free(f);
}

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

static bool ranges(const struct bench_options *o, const char *const rows[3], size_t frames, size_t nr, unsigned rounds,
                   bool elsewhere)
{
	struct ranges r = {.time = bench_series_new(rows[0]), .tries = bench_series_new(rows[1]), .rate = bench_series_new(rows[2])};
	uint64_t rng = o->seed;
	struct field f;
	bool ok = field_open(&f, rows[0], frames, true);

	field_mirror_open(&r.mirror, &f, elsewhere);
	for (unsigned round = 0; ok && round < rounds; round++)
		ok = range_round(&f, nr, &rng, &r);
	field_mirror_close(&r.mirror);
	if (r.nr_tried > r.nr_refused)
		bench_series_add(r.tries, (double)r.nr_tried / (double)(r.nr_tried - r.nr_refused), 0);
	finish(r.time);
	finish(r.tries);
	finish(r.rate);
	return field_close(&f, ok);
}

static bool contig_2m(const struct bench_options *o)
{
	static const char *const rows[] = {"contig_2m", "contig_2m_tries", "contig_2m_rate"};

	return ranges(o, rows, o->frames_small / 2, PAGEBLOCK, o->rounds, true);
}

static bool contig_64m(const struct bench_options *o)
{
	static const char *const rows[] = {"contig_64m", "contig_64m_tries", "contig_64m_rate"};

	return ranges(o, rows, o->frames_small / 2, o->frames_small / 32, o->rounds, true);
}

static bool contig_1g(const struct bench_options *o)
{
	static const char *const rows[] = {"contig_1g", "contig_1g_tries", "contig_1g_rate"};

	return ranges(o, rows, o->frames_small, o->frames_small / 2, 1, false);
}

/* One pageblock after the other, in a zone whose frames stay where they are: a random half of them is in use, or none. */
static bool isolate(const struct bench_options *o, const char *row, bool half)
{
	struct bench_series *s = bench_series_new(row);
	uint64_t rng = o->seed;
	struct field f;
	bool ok = field_open(&f, row, o->frames_small / 2, false) && (!half || field_mix(&f, &rng));
	struct bench_timer timer = {.series = s};

	for (size_t done = 0; ok && done < o->operations / 16; done += HOLDS) {
		bench_chunk_begin(&timer);
		for (unsigned i = 0; ok && i < HOLDS; i++) {
			pfa_pfn at = bench_below(&rng, f.frames / PAGEBLOCK) * PAGEBLOCK;
			pfa_token token;
			ok = pfa_isolate_range(f.arena.pfa, at, at + PAGEBLOCK, 0, &token, NULL) == PFA_OK &&
			     pfa_undo_isolate_range(f.arena.pfa, at, at + PAGEBLOCK, token) == PFA_OK;
		}
		bench_chunk_end(&timer, HOLDS);
	}
	ok = (ok && f.nr_moves == 0 && field_sound(&f)) || bench_fail(f.row, "a pageblock could not be held and given up");
	finish(s);
	return field_close(&f, ok);
}

static bool isolate_pageblock(const struct bench_options *o)
{
	return isolate(o, "isolate_pageblock", true);
}

static bool isolate_free(const struct bench_options *o)
{
	return isolate(o, "isolate_free", false);
}

/* One pageblock after the other goes and comes back, in a zone in which all is free. */
static bool offline_online(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("offline_online");
	uint64_t rng = o->seed;
	struct field f;
	bool ok = field_open(&f, "offline_online", o->frames_small / 2, false);
	struct bench_timer timer = {.series = s};

	for (size_t done = 0; ok && done < o->operations / 128; done += PLUGS) {
		bench_chunk_begin(&timer);
		for (unsigned i = 0; ok && i < PLUGS; i++) {
			pfa_pfn at = bench_below(&rng, f.frames / PAGEBLOCK) * PAGEBLOCK;
			ok = pfa_offline_range(f.arena.pfa, at, PAGEBLOCK, 0, NULL) == PFA_OK &&
			     pfa_online_range(f.arena.pfa, at, PAGEBLOCK, NULL) == PFA_OK;
		}
		bench_chunk_end(&timer, PLUGS);
	}
	ok = (ok && field_sound(&f)) || bench_fail(f.row, "a pageblock did not go and come back");
	finish(s);
	return field_close(&f, ok);
}

/* An area of half the zone, in which movable frames are as everywhere: runs of a pageblock that are taken back from them, and released.
 * Beside the owner's op alone, as above. */
static bool cma_round(struct field *f, pfa_cma area, struct field_mirror *mirror, struct bench_series *alloc, struct bench_series *release)
{
	pfa_pfn at[RUNS];
	bool ok = true;

	field_mirror_mix(mirror, f);
	for (size_t i = 0; ok && i < RUNS; i++) {
		f->nr_moves = 0;
		uint64_t start = bench_now();
		ok = pfa_cma_alloc(f->arena.pfa, area, PAGEBLOCK, PAGEBLOCK, 0, &at[i]) == PFA_OK;
		double ns = (double)(bench_now() - start) - bench_clock_ns;
		if (ok && f->nr_moves > 0)
			bench_series_add(alloc, ns / 1e6, field_mirror_moves(mirror, f) / 1e6);
	}
	ok = (ok && !mirror->f.wrong && field_sound(f)) || bench_fail(f->row, "a run was not taken back");
	for (size_t i = 0; ok && i < RUNS; i++) {
		uint64_t start = bench_now();
		ok = pfa_cma_release(f->arena.pfa, area, at[i], PAGEBLOCK) == PFA_OK;
		bench_series_add(release, ((double)(bench_now() - start) - bench_clock_ns) / 1e3, 0);
	}
	return ok;
}

static bool cma_2m(const struct bench_options *o)
{
	struct bench_series *alloc = bench_series_new("cma_alloc_2m"), *release = bench_series_new("cma_release_2m");
	const size_t frames = o->frames_small / 2;
	uint64_t rng = o->seed;
	pfa_cma area;
	struct field f;
	struct field_mirror mirror;
	bool ok = field_open(&f, "cma_alloc_2m", frames, true);

	field_mirror_open(&mirror, &f, true);
	ok = ok && (pfa_cma_create(f.arena.pfa, frames / 2, frames / 2, 0, &area, NULL) == PFA_OK || bench_fail(f.row, "no area"));
	for (unsigned round = 0; ok && round < o->rounds; round++)
		ok = field_mix(&f, &rng) && cma_round(&f, area, &mirror, alloc, release) && field_free(&f);
	ok = ok && (pfa_cma_destroy(f.arena.pfa, area) == PFA_OK || bench_fail(f.row, "the area is in use"));
	field_mirror_close(&mirror);
	finish(alloc);
	finish(release);
	return field_close(&f, ok);
}

/* One movable frame of each pageblock is movable no longer. */
static bool nail(struct field *f)
{
	unsigned char *nailed = bench_array(f->frames / PAGEBLOCK);
	size_t nr = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < f->live; i++) {
		size_t pb = f->at[i] / PAGEBLOCK;
		if (nailed[pb])
			continue;
		nailed[pb] = 1;
		nr++;
		ok = pfa_movable_clear(f->arena.pfa, f->at[i]) == PFA_OK;
	}
	bench_array_free(nailed, f->frames / PAGEBLOCK);
	return (ok && nr == f->frames / PAGEBLOCK) || bench_fail(f->row, "a pageblock has no movable frame");
}

/* There is no run as long as two pageblocks that can be emptied, wherever it begins. */
static bool contig_fail(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("contig_fail");
	uint64_t rng = o->seed;
	struct field f;
	bool ok = field_open(&f, "contig_fail", o->frames_small / 2, false) && field_mix(&f, &rng) && nail(&f);

	for (unsigned i = 0; ok && i < 16 * o->rounds; i++) {
		pfa_pfn out;
		uint64_t start = bench_now();
		ok = pfa_alloc_contig(f.arena.pfa, 2 * PAGEBLOCK, 1, 0, &out) == PFA_ENOMEM;
		bench_series_add(s, ((double)(bench_now() - start) - bench_clock_ns) / 1e3, 0);
	}
	ok = (ok && f.nr_moves == 0) || bench_fail(f.row, "a run was found, or looked for in vain by moving frames");
	finish(s);
	return field_close(&f, ok);
}

/* ---- tables -------------------------------------------------------------------------------------------------------- */

static const struct bench_workload workloads[] = {
	{"contig_2m", "contig_2m contig_2m_tries contig_2m_rate", 0, contig_2m, NULL},
	{"contig_64m", "contig_64m contig_64m_tries contig_64m_rate", 0, contig_64m, NULL},
	{"contig_1g", "contig_1g contig_1g_tries contig_1g_rate", 0, contig_1g, NULL},
	{"isolate_pageblock", "isolate_pageblock", 0, isolate_pageblock, NULL},
	{"isolate_free", "isolate_free", 0, isolate_free, NULL},
	{"contig_fail", "contig_fail", 0, contig_fail, NULL},
	{"cma_alloc_2m", "cma_alloc_2m cma_release_2m", 0, cma_2m, NULL},
	{"offline_online", "offline_online", 0, offline_online, NULL},
};

const struct bench_area bench_area_contig = {
	.name = "contig",
	.workloads = workloads,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
};
