/* SPDX-License-Identifier: MIT */
#include "field.h"

#include <pfa/copy.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>

#include <string.h>

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
	f->trace[f->nr_moves].cookie = cookie;
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

bool field_open(struct field *f, const char *row, size_t frames, bool copies)
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

bool field_mix(struct field *f, uint64_t *rng)
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

bool field_sound(struct field *f)
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

bool field_free(struct field *f)
{
	for (size_t i = 0; i < f->live; i++)
		if (pfa_free(f->arena.pfa, f->at[i], 0) != PFA_OK)
			return bench_fail(f->row, "a frame could not be freed");
	f->live = 0;
	return true;
}

bool field_close(struct field *f, bool ok)
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

double field_copy_again(const struct field *f, char *pool)
{
	uint64_t start = bench_now();

	for (size_t i = 0; i < f->nr_moves; i++)
		pfa_copy_frames(pool + f->trace[i].dst * FRAME, pool + f->trace[i].src * FRAME, FRAME);
	return (double)(bench_now() - start) - bench_clock_ns;
}

/* ---- the owner alone ----------------------------------------------------------------------------------------------- */

void field_mirror_open(struct field_mirror *m, const struct field *f, bool elsewhere)
{
	*m = (struct field_mirror){.f = {.row = f->row, .frames = f->frames, .pool = f->pool}};
	m->f.at = bench_array(f->frames * sizeof(*f->at));
	m->f.trace = bench_array(f->frames * sizeof(*f->trace));
	memset(m->f.trace, 0, f->frames * sizeof(*f->trace));
	if (elsewhere) {
		m->f.pool = m->memory = bench_array(f->frames * FRAME);
		memset(m->memory, 1, f->frames * FRAME);
	}
}

void field_mirror_mix(struct field_mirror *m, const struct field *f)
{
	m->f.live = f->live;
	memcpy(m->f.at, f->at, f->live * sizeof(*f->at));
}

double field_mirror_moves(struct field_mirror *m, const struct field *f)
{
	m->f.nr_moves = 0;
	uint64_t start = bench_now();

	for (size_t i = 0; i < f->nr_moves; i++)
		(void)field_migrate(&m->f, f->trace[i].dst, f->trace[i].src, 0, f->trace[i].cookie, PFA_MIGRATE_SYNC);
	double ns = (double)(bench_now() - start) - bench_clock_ns;
	return m->f.wrong ? 0 : ns;
}

void field_mirror_close(struct field_mirror *m)
{
	if (m->memory != NULL)
		bench_array_free(m->memory, m->f.frames * FRAME);
	bench_array_free(m->f.at, m->f.frames * sizeof(*m->f.at));
	bench_array_free(m->f.trace, m->f.frames * sizeof(*m->f.trace));
}
