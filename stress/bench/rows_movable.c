/* SPDX-License-Identifier: MIT
 *
 * rows_movable.c - what moving frames costs beyond copying them: single frames by pfa_migrate(), a whole zone by pfa_compact().
 *
 * The owner here knows where each of its frames is, so every row can tell whether what it timed was done: that each frame is
 * where it was moved to, with its content, and was moved once.
 */
#include "bench.h"

#include <pfa/compact.h>
#include <pfa/copy.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/stats.h>

#include <stdlib.h>
#include <string.h>

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)
#define MOVE_CHUNK 128u
#define MOVE_FRAMES 65536u /* 256 MiB: beyond every cache */
#define MOVE_NS 4000000000u /* no more chunks after that */
#define PINNED 64u

/* A zone of single frames, half of them movable, at random places. */
struct field {
	const char *row;
	struct pfa_posix arena;
	pfa_owner owner;
	size_t frames, live;
	char *pool;           /* NULL: the owner copies nothing */
	pfa_pfn *at;          /* of each movable frame, by its cookie */
	unsigned char *moves; /* how often it was moved since field_mix(); NULL: nobody asks */
	size_t nr_moves;
	struct {
		pfa_pfn dst, src;
	} *trace; /* of each move since nr_moves was 0 */
	bool wrong;
};

/* ---- the owner ----------------------------------------------------------------------------------------------------- */

static int field_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)head, (void)order, (void)cookie, (void)mode;
	return PFA_OK;
}

static int field_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct field *f = ctx;

	(void)mode;
	f->wrong |= order != 0 || cookie >= f->live || f->at[cookie] != src || f->nr_moves == f->frames;
	if (f->wrong)
		return PFA_EBUSY;
	if (f->pool != NULL)
		pfa_copy_frames(f->pool + dst * FRAME, f->pool + src * FRAME, FRAME);
	f->at[cookie] = dst;
	if (f->moves != NULL)
		f->moves[cookie]++;
	f->trace[f->nr_moves].dst = dst;
	f->trace[f->nr_moves++].src = src;
	return PFA_OK;
}

static void field_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct field *f = ctx;

	(void)head, (void)order, (void)cookie;
	f->wrong = true; /* nothing ever stands in the way of a move */
}

/* ---- the zone ------------------------------------------------------------------------------------------------------ */

static bool field_open(struct field *f, const char *row, size_t frames, bool copies)
{
	static const struct pfa_owner_ops ops = {
		.size = sizeof(ops), .isolate = field_isolate, .migrate = field_migrate, .putback = field_putback};
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = frames};
	struct pfa_config cfg;

	*f = (struct field){.row = row, .frames = frames};
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_owners = 1;
	f->at = bench_array(frames * sizeof(*f->at));
	f->trace = bench_array(frames * sizeof(*f->trace));
	memset(f->trace, 0, frames * sizeof(*f->trace));
	if (pfa_posix_create(&f->arena, &cfg, copies ? 0 : PFA_POSIX_NO_POOL) != PFA_OK)
		return bench_fail(row, "%s", f->arena.why);
	if (copies) {
		f->pool = f->arena.pool.base;
		memset(f->pool, 1, frames * FRAME); /* touched */
	}
	return pfa_owner_create(f->arena.pfa, &ops, f, &f->owner) == PFA_OK || bench_fail(row, "no owner");
}

/* What a frame's two ends say. */
static uint64_t field_stamp(uint64_t cookie, size_t at)
{
	return (cookie + 1) * 0x9E3779B97F4A7C15u + at;
}

static void field_write(struct field *f, uint64_t cookie)
{
	char *frame = f->pool + f->at[cookie] * FRAME;
	const uint64_t ends[2] = {field_stamp(cookie, 0), field_stamp(cookie, 1)};

	memcpy(frame, &ends[0], sizeof(ends[0]));
	memcpy(frame + FRAME - sizeof(ends[1]), &ends[1], sizeof(ends[1]));
}

/* All frames of the zone are taken, and a random half of them freed; the others become movable. */
static bool field_mix(struct field *f, uint64_t *rng)
{
	bench_block *taken = bench_array(f->frames * sizeof(*taken));
	size_t nr = 0;
	bool ok = true;

	while (nr < f->frames && pfa_alloc(f->arena.pfa, 0, PFA_MOVABLE, &taken[nr]) == PFA_OK)
		nr++;
	bench_shuffle(taken, nr, rng);
	f->live = f->frames / 2 - 101; /* packed, they begin within a pageblock, and within a word of its map */
	ok = nr > f->live;
	for (size_t i = f->live; ok && i < nr; i++)
		ok = pfa_free(f->arena.pfa, taken[i], 0) == PFA_OK;
	for (size_t i = 0; ok && i < f->live; i++) {
		f->at[i] = taken[i];
		ok = pfa_movable_set(f->arena.pfa, taken[i], f->owner, i) == PFA_OK;
		if (f->pool != NULL)
			field_write(f, i);
	}
	bench_array_free(taken, f->frames * sizeof(*taken));
	ok = ok && pfa_cache_drain(f->arena.pfa, PFA_ALL_CPUS) == PFA_OK;
	if (f->moves != NULL)
		memset(f->moves, 0, f->live);
	f->nr_moves = 0;
	return ok || bench_fail(f->row, "the zone could not be filled");
}

/* Every frame is where the owner says that it is, with its content, and nobody else's. */
static bool field_sound(struct field *f)
{
	struct pfa_violation violation = {0};
	struct pfa_movable_info info;

	if (f->wrong)
		return bench_fail(f->row, "the owner was asked for something that it does not have");
	for (size_t i = 0; i < f->live; i++) {
		const char *frame = f->pool != NULL ? f->pool + f->at[i] * FRAME : NULL;
		uint64_t ends[2];
		if (pfa_movable_info(f->arena.pfa, f->at[i], &info) != PFA_OK || info.owner != f->owner || info.isolated)
			return bench_fail(f->row, "frame %zu is not where it was moved to", i);
		if (frame == NULL)
			continue;
		memcpy(&ends[0], frame, sizeof(ends[0]));
		memcpy(&ends[1], frame + FRAME - sizeof(ends[1]), sizeof(ends[1]));
		if (ends[0] != field_stamp(i, 0) || ends[1] != field_stamp(i, 1))
			return bench_fail(f->row, "frame %zu has lost its content", i);
	}
	return pfa_check(f->arena.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation) == PFA_OK ||
	       bench_fail(f->row, "%s", violation.what);
}

static bool field_free(struct field *f)
{
	for (size_t i = 0; i < f->live; i++)
		if (pfa_free(f->arena.pfa, f->at[i], 0) != PFA_OK)
			return bench_fail(f->row, "a frame could not be freed");
	f->live = 0;
	return true;
}

static bool field_close(struct field *f, bool ok)
{
	ok = ok && field_free(f);
	if (ok)
		ok = (pfa_owner_destroy(f->arena.pfa, f->owner) == PFA_OK && pfa_posix_destroy(&f->arena) == PFA_OK) ||
		     bench_fail(f->row, "something is still live");
	bench_array_free(f->at, f->frames * sizeof(*f->at));
	if (f->moves != NULL)
		bench_array_free(f->moves, f->frames);
	bench_array_free(f->trace, f->frames * sizeof(*f->trace));
	return ok;
}

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

/* ns of copying what was moved once more, in the same order; into and out of `pool`. */
static double copy_again(const struct field *f, char *pool)
{
	uint64_t start = bench_now();

	for (size_t i = 0; i < f->nr_moves; i++)
		pfa_copy_frames(pool + f->trace[i].dst * FRAME, pool + f->trace[i].src * FRAME, FRAME);
	return (double)(bench_now() - start) - bench_clock_ns;
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

/* Random frames, again and again. mirror: as large as the pool; each chunk's copies are made there once more. */
static bool move_rounds(struct field *f, const struct bench_options *o, char *mirror, struct bench_series *s)
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
			bench_series_add(s, ns / MOVE_CHUNK, copy_again(f, mirror) / MOVE_CHUNK);
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
	bool ok = field_open(&f, "migrate_books", MOVE_FRAMES, false) && move_rounds(&f, o, NULL, s);

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
	bool ok = field_open(&f, "migrate", MOVE_FRAMES, false) && move_rounds(&f, &all, NULL, none);
	bench_series_free(none);
	return ok;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The same with the content; what is left when the copies are taken off is given once a process, since one chunk's difference
 * says nothing. */
static bool migrate_copy(const struct bench_options *o)
{
	static double over[BENCH_SAMPLES];
	struct bench_series *s = bench_series_new("migrate_copy"), *left = bench_series_new("migrate_frame_ns");
	char *mirror = bench_array(MOVE_FRAMES * FRAME);
	struct field f;

	memset(mirror, 1, MOVE_FRAMES * FRAME);
	bool ok = field_open(&f, "migrate_copy", MOVE_FRAMES, true) && move_rounds(&f, o, mirror, s);
	for (size_t i = 0; i < s->nr; i++)
		over[i] = s->value[i] - s->base[i];
	qsort(over, s->nr, sizeof(over[0]), by_size);
	if (s->nr != 0)
		bench_series_add(left, over[s->nr / 2], 0);
	finish(s);
	finish(left);
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
		bench_series_add(time, pass.ns / 1e6, copy_again(&f, f.pool) / 1e6);
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
