/* SPDX-License-Identifier: MIT
 *
 * rows_owners.c - what libpfa ships for owners of movable frames, each beside what it is made of: copying frames beside
 * memcpy(), the compressed store beside plain LZ4, moves in the mapped arena beside mremap().
 */
#include "bench.h"

#include <pfa/copy.h>
#include <pfa/mapped.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/zstore.h>

#include <lz4.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)
#define PHASE_NS 2000000000u

static bool open_arena(struct pfa_posix *arena, size_t frames, unsigned flags)
{
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = frames};
	struct pfa_config cfg;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_owners = 1;
	return pfa_posix_create(arena, &cfg, flags) == PFA_OK || bench_fail("open", "%s", arena->why);
}

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

/* ---- copying ------------------------------------------------------------------------------------------------------ */

#define COPY_FRAMES 65536u /* 256 MiB: beyond every cache */
#define COPY_CHUNK 128u

typedef void copy_fn(void *dst, const void *src, size_t bytes);

static void plain_copy(void *dst, const void *src, size_t bytes)
{
	memcpy(dst, src, bytes);
}

static double copy_chunk(copy_fn *copy, char *pool, uint64_t *rng)
{
	uint64_t start = bench_now();

	for (unsigned i = 0; i < COPY_CHUNK; i++) {
		size_t dst = bench_below(rng, COPY_FRAMES / 2), src = COPY_FRAMES / 2 + bench_below(rng, COPY_FRAMES / 2);
		copy(pool + dst * FRAME, pool + src * FRAME, FRAME);
	}
	return ((double)(bench_now() - start) - bench_clock_ns) / COPY_CHUNK;
}

/* Random frames, in chunks that take turns with memcpy()'s; frames are of the size that the pool has. */
static bool copy_frame(const struct bench_options *o)
{
	struct bench_series *s = bench_series_new("copy_frame");
	char *pool = bench_array(COPY_FRAMES * FRAME);
	copy_fn *volatile plain = plain_copy; /* as a call, like the other */
	uint64_t rng = o->seed, deadline = bench_now() + PHASE_NS;

	memset(pool, 1, COPY_FRAMES * FRAME);
	for (size_t done = 0; done < o->operations / 4 && bench_now() < deadline; done += COPY_CHUNK) {
		double ours = copy_chunk(pfa_copy_frames, pool, &rng);
		bench_series_add(s, ours, copy_chunk(plain, pool, &rng));
	}
	bench_array_free(pool, COPY_FRAMES * FRAME);
	finish(s);
	return true;
}

/* ---- the compressed store ------------------------------------------------------------------------------------------ */

#define STORE_OBJECTS 4096u
#define STORE_CHUNK 16u
#define STORE_FRAMES (2u * STORE_OBJECTS)

struct store_bench {
	struct pfa_posix arena;
	struct pfa_zstore *store;
	void *memory, *state;
	size_t bytes;
	char *pages;  /* what is put */
	char *packed; /* a frame for each: what plain LZ4 makes of it */
	int packed_bytes[STORE_OBJECTS];
	pfa_zobject objects[STORE_OBJECTS];
};

/* Words of a small dictionary: LZ4 makes about half of it. */
static void fill_page(char *page, uint64_t *rng)
{
	for (size_t at = 0; at < FRAME;) {
		uint64_t word = (uint64_t)bench_below(rng, 700) * 0x9E3779B97F4A7C15u;
		size_t nr = 3 + word % 6;
		for (size_t i = 0; i < nr && at < FRAME; i++)
			page[at++] = (char)(word >> (8 * i));
	}
}

static bool store_open(struct store_bench *b, uint64_t seed)
{
	struct pfa_platform os;
	uint64_t rng = seed;

	pfa_posix_platform(&os);
	if (!open_arena(&b->arena, STORE_FRAMES, PFA_POSIX_ANON))
		return false;
	const struct pfa_zstore_config cfg = {.size = sizeof(cfg), .pfa = b->arena.pfa, .platform = &os,
	                                      .max_objects = STORE_OBJECTS, .max_blocks = STORE_FRAMES};
	b->bytes = pfa_zstore_bytes(&cfg);
	b->memory = bench_array(b->bytes);
	b->state = bench_array((size_t)LZ4_sizeofState());
	b->pages = bench_array(STORE_OBJECTS * FRAME);
	b->packed = bench_array(STORE_OBJECTS * FRAME);
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		fill_page(b->pages + i * FRAME, &rng);
	memset(b->packed, 1, STORE_OBJECTS * FRAME);
	return pfa_zstore_create(b->memory, b->bytes, &cfg, &b->store) == PFA_OK || bench_fail("zstore", "no store");
}

static bool store_close(struct store_bench *b)
{
	bool ok = pfa_zstore_destroy(b->store) == PFA_OK && pfa_posix_destroy(&b->arena) == PFA_OK;

	bench_array_free(b->memory, b->bytes);
	bench_array_free(b->state, (size_t)LZ4_sizeofState());
	bench_array_free(b->pages, STORE_OBJECTS * FRAME);
	bench_array_free(b->packed, STORE_OBJECTS * FRAME);
	return ok || bench_fail("zstore", "the store was not ended");
}

/* ns an object. Who comes second finds the pages in the cache: so they take turns at being first. */
static bool store_pair(struct store_bench *b, const size_t which[], bool first,
                       bool (*ours)(struct store_bench *b, const size_t which[]),
                       bool (*plain)(struct store_bench *b, const size_t which[]), struct bench_series *s)
{
	uint64_t start = bench_now(), middle, end;
	bool ok = (first ? ours : plain)(b, which);

	middle = bench_now();
	ok = (first ? plain : ours)(b, which) && ok;
	end = bench_now();
	double one = ((double)(middle - start) - bench_clock_ns) / STORE_CHUNK;
	double two = ((double)(end - middle) - bench_clock_ns) / STORE_CHUNK;
	bench_series_add(s, first ? one : two, first ? two : one);
	return ok || bench_fail("zstore", "an object was refused");
}

static bool put_ours(struct store_bench *b, const size_t which[])
{
	bool ok = true;

	for (size_t i = 0; i < STORE_CHUNK; i++)
		ok = pfa_zstore_put(b->store, b->pages + which[i] * FRAME, FRAME, &b->objects[which[i]]) == PFA_OK && ok;
	return ok;
}

static bool put_plain(struct store_bench *b, const size_t which[])
{
	bool ok = true;

	for (size_t i = 0; i < STORE_CHUNK; i++) {
		int nr = LZ4_compress_fast_extState(b->state, b->pages + which[i] * FRAME, b->packed + which[i] * FRAME,
		                                    (int)FRAME, (int)FRAME, 1);
		b->packed_bytes[which[i]] = nr;
		ok = ok && nr > 0;
	}
	return ok;
}

static char store_out[(size_t)1 << BENCH_FRAME_SHIFT];

static bool get_ours(struct store_bench *b, const size_t which[])
{
	bool ok = true;

	for (size_t i = 0; i < STORE_CHUNK; i++)
		ok = pfa_zstore_get(b->store, b->objects[which[i]], store_out, FRAME, NULL) == PFA_OK && ok;
	return ok;
}

static bool get_plain(struct store_bench *b, const size_t which[])
{
	bool ok = true;

	for (size_t i = 0; i < STORE_CHUNK; i++)
		ok = LZ4_decompress_safe(b->packed + which[i] * FRAME, store_out, b->packed_bytes[which[i]], (int)FRAME) ==
		     (int)FRAME && ok;
	return ok;
}

static bool zstore(const struct bench_options *o)
{
	static struct store_bench b;
	struct bench_series *put = bench_series_new("zstore_put"), *get = bench_series_new("zstore_get");
	size_t which[STORE_CHUNK];
	uint64_t rng = o->seed;
	bool ok = store_open(&b, o->seed);

	for (unsigned round = 0; ok && round < 1 + o->rounds; round++) {
		for (size_t i = 0; ok && i < STORE_OBJECTS; i += STORE_CHUNK) {
			for (size_t k = 0; k < STORE_CHUNK; k++)
				which[k] = i + k;
			ok = store_pair(&b, which, i / STORE_CHUNK % 2, put_ours, put_plain, put);
		}
		if (round == 0)
			put->nr = 0; /* frames were touched for the first time */
		for (size_t i = 0; ok && i < 4 * STORE_OBJECTS; i += STORE_CHUNK) {
			for (size_t k = 0; k < STORE_CHUNK; k++)
				which[k] = bench_below(&rng, STORE_OBJECTS);
			ok = store_pair(&b, which, i / STORE_CHUNK % 2, get_ours, get_plain, get);
		}
		for (size_t i = 0; ok && i < STORE_OBJECTS; i++)
			ok = pfa_zstore_delete(b.store, b.objects[i]) == PFA_OK;
	}
	ok = ok && store_close(&b);
	finish(put);
	finish(get);
	return ok;
}

/* ---- the mapped arena ------------------------------------------------------------------------------------------------ */

#define MAPPED_UNITS 1024u
#define MAPPED_CHUNK 64u

/* ns a page: mremap() of single pages to and fro. */
static double mremap_chunk(char *pages, char *elsewhere)
{
	uint64_t start = bench_now();

	for (size_t i = 0; i < MAPPED_CHUNK; i++) {
		char *a = pages + i * FRAME, *b = elsewhere + i * FRAME;
		if (mremap(a, FRAME, FRAME, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b ||
		    mremap(b, FRAME, FRAME, MREMAP_MAYMOVE | MREMAP_FIXED, a) != a)
			return -1;
	}
	return ((double)(bench_now() - start) - bench_clock_ns) / (2 * MAPPED_CHUNK);
}

/* ns a unit, one by one or in a batch. */
static double move_chunk(struct pfa_posix *arena, struct pfa_mapped *mapped, char *memory, bool batch)
{
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
	uint64_t start = bench_now();
	pfa_pfn head;
	int result;

	if (batch && pfa_mapped_move(mapped, memory, MAPPED_CHUNK * FRAME, &dest, NULL) != PFA_OK)
		return -1;
	for (size_t i = 0; i < MAPPED_CHUNK && !batch; i++)
		if (pfa_mapped_head(mapped, memory + i * FRAME, &head) != PFA_OK ||
		    pfa_migrate(arena->pfa, &head, 1, &dest, &result) != PFA_OK)
			return -1;
	return ((double)(bench_now() - start) - bench_clock_ns) / MAPPED_CHUNK;
}

static bool mapped_way(const struct bench_options *o, enum pfa_mapped_way way, const char *row, const char *batch_row)
{
	struct bench_series *one = bench_series_new(row), *many = bench_series_new(batch_row);
	struct pfa_posix arena;
	struct pfa_platform os;
	struct pfa_mapped *mapped;
	void *memory = NULL;
	char *pages = bench_array(MAPPED_CHUNK * FRAME), *elsewhere = bench_array(MAPPED_CHUNK * FRAME);
	bool ok = open_arena(&arena, 4 * MAPPED_UNITS, PFA_POSIX_MEMFD);

	pfa_posix_platform(&os);
	const struct pfa_mapped_config cfg = {.size = sizeof(cfg), .pfa = arena.pfa, .platform = &os, .fd = arena.pool.fd,
	                                      .pool_pfn = arena.pool_pfn, .nr_units = MAPPED_UNITS, .way = way};
	ok = ok && (pfa_mapped_create(&cfg, &mapped) == PFA_OK || bench_fail(row, "no arena"));
	ok = ok && (pfa_mapped_alloc(mapped, MAPPED_UNITS * FRAME, PFA_MOVABLE, &memory) == PFA_OK ||
	            bench_fail(row, "no memory"));
	memset(pages, 1, MAPPED_CHUNK * FRAME);
	for (unsigned round = 0; ok && round < (1 + o->rounds) * MAPPED_UNITS / MAPPED_CHUNK; round++) {
		char *at = (char *)memory + round % (MAPPED_UNITS / MAPPED_CHUNK) * MAPPED_CHUNK * FRAME;
		memset(at, (int)round, MAPPED_CHUNK * FRAME); /* pages are there, and writable */
		double a = move_chunk(&arena, mapped, at, false);
		memset(at, (int)round, MAPPED_CHUNK * FRAME);
		double b = move_chunk(&arena, mapped, at, true), base = mremap_chunk(pages, elsewhere);
		ok = (a > 0 && b > 0) || bench_fail(row, "a unit was not moved");
		ok = ok && (base > 0 || bench_fail(row, "mremap() fails"));
		if (round < MAPPED_UNITS / MAPPED_CHUNK)
			continue; /* the pool's frames were touched for the first time */
		bench_series_add(one, a, base);
		bench_series_add(many, b, base);
	}
	ok = ok && pfa_mapped_free(mapped, memory, MAPPED_UNITS * FRAME) == PFA_OK && pfa_mapped_destroy(mapped) == PFA_OK &&
	     pfa_posix_destroy(&arena) == PFA_OK;
	bench_array_free(pages, MAPPED_CHUNK * FRAME);
	bench_array_free(elsewhere, MAPPED_CHUNK * FRAME);
	finish(one);
	finish(many);
	return ok;
}

static bool mapped(const struct bench_options *o)
{
	return mapped_way(o, PFA_MAPPED_SIGNAL, "mapped_move", "mapped_move_batch");
}

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

static const struct bench_workload workloads[] = {
	{"copy_frame", "copy_frame", BENCH_NEEDS_OWNERS, copy_frame, NULL},
	{"zstore", "zstore_put zstore_get", BENCH_NEEDS_OWNERS, zstore, NULL},
	{"mapped", "mapped_move mapped_move_batch", BENCH_NEEDS_OWNERS, mapped, NULL},
};

const struct bench_area bench_area_owners = {
	.name = "owners", .workloads = workloads, .nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
};
