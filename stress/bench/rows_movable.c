/* SPDX-License-Identifier: MIT
 *
 * rows_movable.c - what moving frames costs beyond copying them: single frames by pfa_migrate(), a whole zone by pfa_compact().
 */
#include "field.h"

#include <pfa/compact.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>

#include <stdlib.h>
#include <string.h>

#define MOVE_CHUNK 128u
#define MOVE_FRAMES 65536u /* 256 MiB: beyond every cache */
#define MOVE_NS 4000000000u /* no more chunks after that */
#define PINNED 64u

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

/* ---- pfa_migrate() ------------------------------------------------------------------------------------------------- */

/* Moves the frames of the next cookies, in the order of `cookies`. */
static bool move_chunk(struct field *f, const bench_block *cookies, struct bench_timer *timer, double *ns)
{
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
	pfa_pfn heads[MOVE_CHUNK];
	int results[MOVE_CHUNK];

	for (size_t i = 0; i < MOVE_CHUNK; i++)
		heads[i] = f->at[cookies[i]];
	f->nr_moves = 0;
	bench_chunk_begin(timer);
	int result = pfa_migrate(f->arena.pfa, heads, MOVE_CHUNK, &dest, results);
	*ns = (double)(bench_now() - timer->start) - bench_clock_ns;
	bench_chunk_end(timer, MOVE_CHUNK);
	for (size_t i = 0; i < MOVE_CHUNK; i++)
		if (f->at[cookies[i]] == heads[i])
			return bench_fail(f->row, "a frame was not moved");
	return (result == PFA_OK && f->nr_moves == MOVE_CHUNK) || bench_fail(f->row, "a frame was not moved");
}

/* ns of mere copies between frames of which none is moved now, from those of the cookies to free ones, in the pool and in the mirror:
 * by where their memory lies the two differ by as much as half a move costs, either way. */
static bool copy_places(struct field *f, char *mirror, const bench_block *cookies, uint64_t *rng, struct bench_series *places)
{
	struct pfa_frame_info info;
	double ns[2];

	for (f->nr_moves = 0; f->nr_moves < MOVE_CHUNK; f->nr_moves++) {
		pfa_pfn dst;
		do {
			dst = bench_below(rng, f->frames);
			if (pfa_frame_info(f->arena.pfa, dst, &info) != PFA_OK)
				return bench_fail(f->row, "frame %zu cannot be looked at", (size_t)dst);
		} while (info.state != PFA_FRAME_FREE); /* every second one is */
		f->trace[f->nr_moves].src = f->at[cookies[f->nr_moves]];
		f->trace[f->nr_moves].dst = dst;
	}
	for (size_t i = 0; i < 2; i++) { /* in turn */
		size_t which = (i + places->nr) & 1;
		ns[which] = field_copy_again(f, which == 0 ? f->pool : mirror);
	}
	bench_series_add(places, ns[0] / MOVE_CHUNK, ns[1] / MOVE_CHUNK);
	return true;
}

/* Random frames, again and again. mirror: as large as the pool; each chunk's copies are made there once more. */
static bool move_rounds(struct field *f, const struct bench_options *o, char *mirror, struct bench_series *s, struct bench_series *places)
{
	struct bench_timer timer = {.series = mirror == NULL ? s : NULL};
	uint64_t rng = o->seed;
	bench_block *cookies = bench_array(f->frames * sizeof(*cookies));
	size_t next = 0;
	bool ok = field_mix(f, &rng);

	for (size_t i = 0; i < f->live; i++)
		cookies[i] = i;
	bench_shuffle(cookies, f->live, &rng);
	for (uint64_t done = 0, deadline = bench_now() + MOVE_NS; ok && done < o->operations && bench_now() < deadline; done += MOVE_CHUNK) {
		double ns;
		ok = move_chunk(f, &cookies[next], &timer, &ns);
		if (ok && mirror != NULL)
			bench_series_add(s, ns / MOVE_CHUNK, field_copy_again(f, mirror) / MOVE_CHUNK);
		if (ok && mirror != NULL)
			ok = copy_places(f, mirror, &cookies[(next + f->live / 2) % (f->live - MOVE_CHUNK)], &rng, places);
		next += MOVE_CHUNK;
		if (next + MOVE_CHUNK > f->live) { /* what was moved one after the other lies side by side: no longer random */
			bench_shuffle(cookies, f->live, &rng);
			next = 0;
		}
	}
	bench_array_free(cookies, f->frames * sizeof(*cookies));
	return ok && field_sound(f);
}

static bool migrate_books(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("migrate_books");
	struct field f;
	bool ok = field_open(&f, "migrate_books", MOVE_FRAMES, false) && move_rounds(&f, o, NULL, s, NULL);

	finish(s);
	return field_close(&f, ok);
}

/* The same for callgrind. */
static bool instr_migrate(const struct bench_options *o, size_t n)
{
	struct bench_options all = *o;
	struct bench_series *none = bench_series_new("migrate");
	struct field f;

	all.operations = n;
	bool ok = field_open(&f, "migrate", MOVE_FRAMES, false) && move_rounds(&f, &all, NULL, none, NULL);
	bench_series_free(none);
	return ok;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of what the values are above their bases. */
static double median_over(const struct bench_series *s)
{
	static double over[BENCH_SAMPLES];

	for (size_t i = 0; i < s->nr; i++)
		over[i] = s->value[i] - s->base[i];
	qsort(over, s->nr, sizeof(over[0]), by_size);
	return s->nr != 0 ? over[s->nr / 2] : 0;
}

/* The same with the content; what is left when the copies are taken off, and what the places differ by, is given once a process,
 * since one chunk's difference says nothing. */
static bool migrate_copy(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("migrate_copy"), *left = bench_series_new("migrate_frame_ns");
	struct bench_series *places = bench_series_new("places");
	char *mirror = bench_array(MOVE_FRAMES * FRAME);
	struct field f;

	memset(mirror, 1, MOVE_FRAMES * FRAME);
	bool ok = field_open(&f, "migrate_copy", MOVE_FRAMES, true) && move_rounds(&f, o, mirror, s, places);
	if (s->nr != 0)
		bench_series_add(left, median_over(s) - median_over(places), 0);
	finish(s);
	finish(left);
	bench_series_free(places);
	bench_array_free(mirror, MOVE_FRAMES * FRAME);
	return field_close(&f, ok);
}

/* ---- pfa_compact() ------------------------------------------------------------------------------------------------- */

struct pass {
	double ns;
	size_t least; /* frames that have to be moved, so that the free ones become one run */
	struct pfa_compact_stats stats;
};

/* Pinned frames are those of the first cookies. Above all that could be moved nothing is free, below it all but what is pinned. */
static bool packed(struct field *f, size_t nr_pinned)
{
	size_t in_use_below = 0, free_above = 0, lowest = f->frames;

	for (size_t i = nr_pinned; i < f->live; i++)
		lowest = f->at[i] < lowest ? f->at[i] : lowest;
	for (size_t i = 0; i < nr_pinned; i++)
		if (f->moves[i] != 0)
			return bench_fail(f->row, "a pinned frame was moved");
	for (pfa_pfn pfn = 0; pfn < f->frames; pfn++) {
		struct pfa_frame_info info;
		if (pfa_frame_info(f->arena.pfa, pfn, &info) != PFA_OK)
			return bench_fail(f->row, "frame %zu cannot be looked at", (size_t)pfn);
		in_use_below += pfn < lowest && info.state != PFA_FRAME_FREE;
		free_above += pfn > lowest && info.state == PFA_FRAME_FREE;
	}
	for (size_t i = 0; i < nr_pinned; i++)
		in_use_below -= f->at[i] < lowest;
	return (in_use_below == 0 && free_above == 0) ||
	       bench_fail(f->row, "%zu frames are in the way of free ones, %zu free ones are left behind", in_use_below, free_above);
}

/* What the pass says of itself is so. */
static bool pass_true(struct field *f, const struct pass *pass)
{
	size_t most = f->frames + 11 * (f->frames / 512 + 1) + f->nr_moves; /* see pfa/compact.h: the default's pageblocks */

	for (size_t i = 0; i < f->live; i++)
		if (f->moves[i] > 1)
			return bench_fail(f->row, "a frame was moved %u times", f->moves[i]);
	if (pass->stats.moved != f->nr_moves || pass->stats.met != 1 || pass->stats.failed > PINNED)
		return bench_fail(f->row, "%zu moves are reported, %zu were made", pass->stats.moved, f->nr_moves);
	return pass->stats.steps <= most || bench_fail(f->row, "%zu steps", pass->stats.steps);
}

static bool compact_pass(struct field *f, uint64_t *rng, size_t nr_pinned, struct pass *pass)
{
	bool ok = field_mix(f, rng);

	for (size_t i = 0; ok && i < nr_pinned; i++)
		ok = pfa_pin(f->arena.pfa, f->at[i]) == PFA_OK;
	pass->least = 0;
	for (size_t i = 0; i < f->live; i++)
		pass->least += f->at[i] < f->frames - f->live;
	uint64_t start = bench_now();
	ok = ok && pfa_compact(f->arena.pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &pass->stats) == PFA_OK;
	pass->ns = (double)(bench_now() - start) - bench_clock_ns;
	ok = ok || bench_fail(f->row, "pfa_compact() has refused");
	ok = ok && pass_true(f, pass) && packed(f, nr_pinned) && field_sound(f);
	for (size_t i = 0; ok && i < nr_pinned; i++)
		ok = pfa_unpin(f->arena.pfa, f->at[i]) == PFA_OK;
	return ok;
}

/* Passes over one zone, each of them over what is mixed anew; the last one with pinned frames, which is not timed. */
static bool compact_1g(const struct bench_options *o)
{
	struct bench_series *time = bench_series_new("compact_1g"), *moves = bench_series_new("compact_1g_moves");
	struct bench_series *steps = bench_series_new("compact_1g_steps");
	uint64_t rng = o->seed;
	struct field f;
	struct pass pass;
	bool ok = field_open(&f, "compact_1g", o->frames_small / 2, true);

	f.moves = bench_array(f.frames);
	for (unsigned round = 0; ok && round < o->rounds; round++) {
		ok = compact_pass(&f, &rng, 0, &pass);
		/* The sources are free now, but nobody has written into them. */
		bench_series_add(time, pass.ns / 1e6, field_copy_again(&f, f.pool) / 1e6);
		bench_series_add(moves, (double)pass.stats.moved, (double)pass.least);
		bench_series_add(steps, (double)pass.stats.steps, (double)f.frames);
		ok = ok && field_free(&f);
	}
	ok = ok && compact_pass(&f, &rng, PINNED, &pass);
	finish(time);
	finish(moves);
	finish(steps);
	return field_close(&f, ok);
}

static bool compact_books(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("compact_books");
	uint64_t rng = o->seed;
	struct field f;
	struct pass pass;
	bool ok = field_open(&f, "compact_books", o->frames_small / 2, false);

	f.moves = bench_array(f.frames);
	for (unsigned round = 0; ok && round < 4 * o->rounds; round++) {
		ok = compact_pass(&f, &rng, 0, &pass);
		bench_series_add(s, pass.ns / (double)pass.stats.moved, bench_cas() / BENCH_CAS);
		ok = ok && field_free(&f);
	}
	finish(s);
	return field_close(&f, ok);
}

/* ---- tables -------------------------------------------------------------------------------------------------------- */

static const struct bench_workload workloads[] = {
	{"migrate_books", "migrate_books", 0, migrate_books, NULL},
	{"migrate_copy", "migrate_copy migrate_frame_ns", 0, migrate_copy, NULL},
	{"compact_books", "compact_books", 0, compact_books, NULL},
	{"compact_1g", "compact_1g compact_1g_moves compact_1g_steps", 0, compact_1g, NULL},
};

static const struct bench_instr instrs[] = {
	{"migrate_books", 0, instr_migrate},
};

const struct bench_area bench_area_movable = {
	.name = "movable",
	.workloads = workloads,
	.instrs = instrs,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
	.nr_instrs = sizeof(instrs) / sizeof(instrs[0]),
};
