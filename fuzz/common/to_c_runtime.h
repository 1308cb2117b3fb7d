/* SPDX-License-Identifier: MIT */
/* What the calls below need: the instance, handles (lists of blocks) and a printer. Needs libpfa and POSIX mmap. */
#define _DEFAULT_SOURCE
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef NR_HANDLES
#define NR_HANDLES 0
#endif
#define HELPER __attribute__((unused)) static

struct block {
	pfa_pfn pfn;
	unsigned order;
};

struct handle {
	struct block *blocks, first; /* first: as granted, for operations on what was given back */
	size_t nr;
	struct pfa_handle token;     /* of pfa_alloc_checked() or pfa_handle_of() */
	int has_token;
};

/* The result of a step: of its last call. */
struct outcome {
	int code;
	unsigned calls;
	pfa_pfn pfn;
	int has_pfn;
};

static struct pfa *pfa;
static struct pfa_config cfg;
static struct pfa_footprint footprint;
static unsigned char *memory;
static unsigned span_first, span_end, pool_frames, step_number, thread, cpu_of[4], bad_cpu_at, bad_cpu_times, cpu_calls;
__attribute__((unused)) static size_t unlocks;
static int readable; /* the pool has content */
static uint64_t now;
static struct pfa_run window;
static struct outcome out;
static jmp_buf jump;
static volatile int jump_armed;
static struct handle handles[NR_HANDLES + 1];
static const size_t nr_handles = NR_HANDLES;

#define CALL(call)                                                                                                   \
	do {                                                                                                         \
		jump_armed = 1;                                                                                      \
		out.calls++;                                                                                         \
		out.code = setjmp(jump) ? PFA_EMISUSE : (call);                                                      \
		jump_armed = 0;                                                                                      \
	} while (0)

/* ---- the platform ---- */

static _Thread_local uint32_t current_cpu;

/* For config.cpu_offset: where current_cpu lies, or 0 where the compiler does not say. */
HELPER ptrdiff_t cpu_offset(void)
{
#if defined(__has_builtin) && (defined(__x86_64__) || defined(__aarch64__))
#if __has_builtin(__builtin_thread_pointer)
	return (ptrdiff_t)((uintptr_t)&current_cpu - (uintptr_t)__builtin_thread_pointer());
#endif
#endif
	return 0;
}

HELPER uint32_t cpu_id(void)
{
	return cpu_of[thread] == 255 ? 0xFFFFFFFFu : cpu_of[thread];
}

HELPER uint32_t platform_cpu(void *ctx)
{
	(void)ctx;
	cpu_calls++;
	if (bad_cpu_at && cpu_calls >= bad_cpu_at && (!bad_cpu_times || cpu_calls < bad_cpu_at + bad_cpu_times))
		return 0x7FFFFFFFu;
	return cpu_id();
}

HELPER uint32_t platform_self(void *ctx)
{
	(void)ctx;
	return thread + 1;
}

HELPER uint64_t platform_now(void *ctx)
{
	(void)ctx;
	return now;
}

HELPER uint32_t platform_tag(void *ctx)
{
	(void)ctx;
	return step_number + 1;
}

HELPER size_t platform_backtrace(void *ctx, uintptr_t at[], size_t max)
{
	(void)ctx;
	if (max)
		at[0] = step_number + 1;
	return max != 0;
}

HELPER void platform_zero(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	(void)first;
	if (ctx && ptr)
		memset(ptr, 0, nr_frames << cfg.frame_shift);
}

HELPER void platform_fatal(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	printf("    # %s\n", fault->message);
	if (cfg.fatal_policy == PFA_FATAL_ABORT && jump_armed)
		longjmp(jump, 1);
}

/* ---- printing ---- */

HELPER void step(unsigned index, unsigned in_thread, const char *text)
{
	printf("%u: %s\n", index, text);
	fflush(stdout);
	step_number = index;
	thread = in_thread;
	current_cpu = cpu_id();
	out.calls = 0;
	out.has_pfn = 0;
}

HELPER void result(void)
{
	if (out.calls && out.has_pfn && out.code == PFA_OK)
		printf("    #= %s pfn=%zu\n", pfa_error_name(out.code), out.pfn);
	else
		printf("    #= %s\n", out.calls ? pfa_error_name(out.code) : "skipped");
	fflush(stdout);
}

HELPER void print_bytes(void *ctx, const char *bytes, size_t nr)
{
	pfa_pfn pfn;

	fwrite(bytes, 1, nr, stdout);
	if (ctx && pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn) == PFA_OK && pfa_free(pfa, pfn, 0) != PFA_OK)
		printf("    # the writer could not give back frame %zu\n", pfn);
}

/* ---- handles ---- */

HELPER void append(struct handle *h, pfa_pfn pfn, unsigned order)
{
	struct block *more = realloc(h->blocks, (h->nr + 1) * sizeof(*more));

	if (!more) {
		perror("realloc");
		exit(2);
	}
	h->blocks = more;
	if (h->nr == 0)
		h->first = (struct block){ pfn, order };
	h->blocks[h->nr++] = (struct block){ pfn, order };
	out.pfn = pfn;
	out.has_pfn = 1;
}

HELPER void forget(struct handle *h, size_t at, size_t nr)
{
	memmove(&h->blocks[at], &h->blocks[at + nr], (h->nr - at - nr) * sizeof(h->blocks[0]));
	h->nr -= nr;
}

/* The live block at pfn, of any handle. */
HELPER const struct block *block_at(pfa_pfn pfn)
{
	for (size_t i = 0; i < nr_handles; i++)
		for (size_t k = 0; k < handles[i].nr; k++)
			if (handles[i].blocks[k].pfn == pfn)
				return &handles[i].blocks[k];
	return NULL;
}

HELPER int is_block(pfa_pfn pfn, unsigned order)
{
	const struct block *b = block_at(pfn);

	return b && b->order == order;
}

HELPER int is_tiled(pfa_pfn first, size_t nr)
{
	pfa_pfn at = first;

	while (at - first < nr) {
		const struct block *b = block_at(at);

		if (!b)
			return 0;
		at += (size_t)1 << b->order;
	}
	return nr && at - first == nr;
}

/* ---- operations: legal ---- */

HELPER void alloc(struct handle *h, unsigned order, uint32_t flags)
{
	pfa_pfn pfn = 0;

	CALL(pfa_alloc(pfa, order, flags, &pfn));
	if (out.code == PFA_OK)
		append(h, pfn, order);
}

HELPER void alloc_bulk(struct handle *h, unsigned order, uint32_t flags, size_t nr)
{
	pfa_pfn pfns[64];
	size_t got = 0;

	CALL(pfa_alloc_bulk(pfa, order, flags, nr, pfns, &got));
	for (size_t i = 0; i < got; i++)
		append(h, pfns[i], order);
}

HELPER void alloc_exact(struct handle *h, size_t nr, unsigned align, uint32_t flags)
{
	pfa_pfn pfn = 0;

	CALL(pfa_alloc_exact(pfa, nr, align, flags, &pfn));
	for (size_t i = 0; out.code == PFA_OK && i < nr; i++)
		append(h, pfn + i, 0);
	out.pfn = pfn;
}

HELPER void alloc_window(struct handle *h, unsigned order, uint32_t flags)
{
	pfa_pfn pfn = 0;

	CALL(pfa_alloc_window(pfa, order, flags, window, &pfn));
	if (out.code == PFA_OK)
		append(h, pfn, order);
}

HELPER void alloc_ptr(struct handle *h, unsigned order, uint32_t flags)
{
	void *ptr = NULL;
	pfa_pfn pfn = 0;

	CALL(pfa_alloc_ptr(pfa, order, flags, &ptr));
	if (out.code == PFA_OK && pfa_pfn_of(pfa, ptr, &pfn) == PFA_OK)
		append(h, pfn, order);
}

/* nr blocks from block at on, with pfa_free, or with pfa_free_ptr. */
HELPER void free_blocks(struct handle *h, size_t at, size_t nr, int by_pointer)
{
	nr = h->nr == 0 ? 0 : nr < h->nr - at % h->nr ? nr : h->nr - at % h->nr;
	at = h->nr ? at % h->nr : 0;
	for (size_t i = at; i < at + nr; i++) {
		void *ptr = NULL;

		out.pfn = h->blocks[i].pfn;
		out.has_pfn = 1;
		if (!by_pointer || !cfg.pool) {
			CALL(pfa_free(pfa, h->blocks[i].pfn, h->blocks[i].order));
		} else {
			CALL(pfa_ptr(pfa, h->blocks[i].pfn, &ptr));
			CALL(pfa_free_ptr(pfa, ptr, h->blocks[i].order));
		}
	}
	if (nr)
		forget(h, at, nr);
}

HELPER void free_bulk(struct handle *h)
{
	while (h->nr) {
		pfa_pfn *pfns = calloc(h->nr, sizeof(*pfns));
		size_t nr = 0, done = 0;
		unsigned order = h->blocks[0].order;

		for (; pfns && nr < h->nr && h->blocks[nr].order == order; nr++)
			pfns[nr] = h->blocks[nr].pfn;
		CALL(pfa_free_bulk(pfa, order, nr, pfns, &done));
		forget(h, 0, pfns ? nr : h->nr);
		free(pfns);
	}
}

/* nr blocks from block at on, with pfa_free_range for each stretch of blocks that follow one another. */
HELPER void free_ranges(struct handle *h, size_t at, size_t nr)
{
	size_t left = h->nr == 0 ? 0 : nr < h->nr - at % h->nr ? nr : h->nr - at % h->nr;

	at = h->nr ? at % h->nr : 0;
	while (left) {
		size_t blocks = 0, frames = 0;
		pfa_pfn first = h->blocks[at].pfn;

		for (; blocks < left && h->blocks[at + blocks].pfn == first + frames; blocks++)
			frames += (size_t)1 << h->blocks[at + blocks].order;
		CALL(pfa_free_range(pfa, first, frames));
		out.pfn = first;
		out.has_pfn = 1;
		forget(h, at, blocks);
		left -= blocks;
	}
}

HELPER void split(struct handle *h, size_t at, unsigned to)
{
	struct block b;
	size_t pieces;

	if (h->nr == 0)
		return;
	at %= h->nr;
	b = h->blocks[at];
	to %= b.order + 1;
	pieces = (size_t)1 << (b.order - to);
	CALL(pfa_split(pfa, b.pfn, b.order, to));
	out.pfn = b.pfn;
	out.has_pfn = 1;
	if (out.code != PFA_OK)
		return;
	for (size_t i = 1; i < pieces; i++)
		append(h, 0, to);
	memmove(&h->blocks[at + pieces], &h->blocks[at + 1], (h->nr - at - pieces) * sizeof(b));
	for (size_t i = 0; i < pieces; i++)
		h->blocks[at + i] = (struct block){ b.pfn + (i << to), to };
	out.pfn = b.pfn;
}

/* A number in every 64th part of a frame's block; verified, or written. */
HELPER void content(struct handle *h, int number)
{
	for (size_t i = 0; i < h->nr; i++) {
		void *ptr = NULL;

		if (number >= 0 && readable && pfa_ptr(pfa, h->blocks[i].pfn, &ptr) == PFA_OK)
			memset(ptr, number, (size_t)1 << (h->blocks[i].order + cfg.frame_shift));
	}
	if (h->nr)
		CALL(PFA_OK);
}

HELPER void set_window(pfa_pfn first, size_t nr)
{
	size_t most = span_end + 64 - first;

	window = (struct pfa_run){ first, nr < most ? nr : most };
	CALL(PFA_OK);
}

/* Call number at (from now on) of the cpu op, and times - 1 after it, answer an id that is not configured. Other
 * sites have no effect in one thread. */
HELPER void fail_site(unsigned site, unsigned at, unsigned times)
{
	if (site == 0) {
		bad_cpu_at = cpu_calls + at;
		bad_cpu_times = times;
	}
	CALL(PFA_OK);
}

HELPER void ptr_of(pfa_pfn pfn, size_t offset)
{
	void *ptr = NULL;
	pfa_pfn back = 0;

	CALL(pfa_ptr(pfa, pfn, &ptr));
	if (out.code == PFA_OK)
		CALL(pfa_pfn_of(pfa, (char *)ptr + (offset << cfg.frame_shift) / 64, &back));
}

HELPER void largest_free(uint32_t flags)
{
	unsigned order = 0;

	CALL(pfa_largest_free(pfa, flags, &order));
	printf("    # order %u\n", order);
}

HELPER void service(unsigned budget)
{
	uint64_t next = 0;

	CALL(pfa_service(pfa, budget, budget & 1 ? &next : NULL));
}

HELPER void show_violation(const struct pfa_violation *v)
{
	if (v->invariant)
		printf("    # %s: zone %u pfn %zu expected %zu actual %zu\n", v->what, v->zone, v->pfn, v->expected, v->actual);
}

HELPER void check(unsigned level)
{
	struct pfa_violation v = { 0 };

	CALL(pfa_check(pfa, level, &v));
	show_violation(&v);
}

HELPER void check_range(pfa_pfn first, size_t nr, unsigned level)
{
	struct pfa_violation v = { 0 };
	size_t most = span_end + 64 - first;
	struct pfa_run run = { first, nr < most ? nr : most };

	CALL(pfa_check_range(pfa, run, level, &v));
	show_violation(&v);
}

HELPER void stats(unsigned zone, size_t all_size, size_t zone_size)
{
	static union {
		struct pfa_stats all;
		struct pfa_zone_stats zone;
		char bytes[4096];
	} s;

	CALL(pfa_stats_get(pfa, &s.all, all_size));
	CALL(pfa_zone_stats_get(pfa, zone, &s.zone, zone_size));
	if (out.code == PFA_OK && zone_size == sizeof(s.zone))
		printf("    # free %zu cached %zu allocated %zu of %zu\n", s.zone.free, s.zone.cached, s.zone.allocated,
		       s.zone.present);
}

HELPER void frame_info(pfa_pfn pfn)
{
	struct pfa_frame_info f = { 0 };

	CALL(pfa_frame_info(pfa, pfn, &f));
	printf("    # state %d order %u zone %u type %d zero %d\n", (int)f.state, f.order, f.zone, (int)f.type, f.known_zero);
}

HELPER void pageblock_info(pfa_pfn pfn)
{
	struct pfa_pageblock_info b = { 0 };

	CALL(pfa_pageblock_info(pfa, pfn, &b));
	printf("    # type %d holder %u present %zu free %zu\n", (int)b.type, (unsigned)b.holder, b.present, b.free);
}

HELPER void region(void *ctx, const char *name, const void *start, size_t bytes)
{
	(void)ctx;
	printf("    # region %s at +%zu, %zu bytes\n", name, (size_t)((const unsigned char *)start - memory), bytes);
}

HELPER void on_unlock(void *ctx, struct pfa *instance, unsigned zone)
{
	(void)instance;
	(void)zone;
	++*(size_t *)ctx;
}

/* ---- operations: illegal. What would be legal is not done. ---- */

HELPER pfa_pfn far_pfn(unsigned which)
{
	switch (which) {
	case 0: return SIZE_MAX;
	case 1: return SIZE_MAX - 1;
	case 2: return SIZE_MAX / 2 + 1;
	case 3: return (size_t)span_first + UINT32_MAX + 1u;
	case 4: return (size_t)span_first - 65536u;
	case 5: return (size_t)span_end + 65535u;
	case 6: return (size_t)1 << 31;
	default: return (size_t)0 - ((size_t)1 << (cfg.max_order == PFA_EXPLICIT_0 ? 0 : cfg.max_order));
	}
}

HELPER void *foreign_ptr(unsigned which)
{
	static unsigned char elsewhere[256];
	volatile uintptr_t stack = (uintptr_t)&which;

	switch (which) {
	case 0: return NULL;
	case 1: return (void *)stack;
	case 2: return &cfg;
	case 3: return (void *)((uintptr_t)cfg.pool - 1);
	case 4: return (void *)((uintptr_t)cfg.pool + cfg.pool_bytes);
	case 5: return memory;
	default: return elsewhere;
	}
}

HELPER void bad_free(pfa_pfn pfn, unsigned order)
{
	if (!is_block(pfn, order))
		CALL(pfa_free(pfa, pfn, order));
}

HELPER const struct block *block_of(const struct handle *h, size_t at)
{
	return &h->blocks[at % h->nr];
}

HELPER int had(const struct handle *h);

/* The block that an ended handle had, begun lead - 4 frames early, ended trail - 4 late. */
HELPER void window_near(const struct handle *h, unsigned lead, unsigned trail)
{
	pfa_pfn end = h->first.pfn + ((pfa_pfn)1 << h->first.order) + trail;

	if (h->first.pfn + 4 >= lead && end >= 4 && h->first.pfn + 4 - lead < end - 4)
		set_window(h->first.pfn + 4 - lead, end - 4 - (h->first.pfn + 4 - lead));
}

HELPER int had(const struct handle *h)
{
	return h->blocks != NULL;
}

HELPER void free_tail(const struct handle *h, size_t at, size_t tail, unsigned order)
{
	const struct block *b = h->nr ? block_of(h, at) : NULL;

	if (b && b->order)
		bad_free(b->pfn + 1 + tail % (((size_t)1 << b->order) - 1), order);
}

HELPER void bad_split(pfa_pfn pfn, unsigned order, unsigned to)
{
	if (!is_block(pfn, order) || to > order)
		CALL(pfa_split(pfa, pfn, order, to));
}

HELPER void bad_range(pfa_pfn first, size_t nr)
{
	if (!is_tiled(first, nr))
		CALL(pfa_free_range(pfa, first, nr));
}

HELPER void clipped_range(pfa_pfn first, size_t nr)
{
	size_t most = span_end + 64 - first;

	bad_range(first, nr < most ? nr : most);
}

HELPER void range_off(const struct handle *h, size_t at, unsigned skew)
{
	const struct block *b = h->nr ? block_of(h, at) : NULL;

	if (b)
		bad_range(b->pfn - (skew & 7), ((size_t)1 << b->order) + (skew & 7) + (skew >> 3 & 7));
}

HELPER void free_ptr_inside(const struct handle *h, size_t offset)
{
	size_t inside = (offset % 63 + 1) * ((size_t)1 << cfg.frame_shift) / 64;

	if (h->nr)
		CALL(pfa_free_ptr(pfa, (char *)cfg.pool + ((h->blocks[0].pfn - cfg.pool_pfn) << cfg.frame_shift) + inside,
		                  h->blocks[0].order));
}

HELPER void bad_bulk(struct handle *h, size_t good)
{
	pfa_pfn pfns[17];
	size_t nr = 0, done = 0;

	if (h->nr == 0)
		return;
	for (; nr < good && nr < 16 && nr < h->nr && h->blocks[nr].order == h->blocks[0].order; nr++)
		pfns[nr] = h->blocks[nr].pfn;
	pfns[nr] = (pfa_pfn)span_end + 1000;
	CALL(pfa_free_bulk(pfa, h->blocks[0].order, nr + 1, pfns, &done));
	forget(h, 0, nr);
}

HELPER void bad_request(unsigned order, uint32_t flags)
{
	unsigned max_order = cfg.max_order == PFA_EXPLICIT_0 ? 0 : cfg.max_order, largest;
	int legal = (flags & 7) < 3 && !(flags & 0x00FFFC00u) && flags >> 24 < cfg.nr_zones;
	int guard = (flags & PFA_GUARD) != 0, guarded = !guard || (cfg.hardening == 3 && order + 2 <= max_order);
	int no_zero = (flags & PFA_ZERO) && !cfg.platform->zero && !cfg.pool;
	pfa_pfn pfn = 0;
	size_t got = 0;
	void *ptr = NULL;
	struct pfa_handle handle;

	if (legal && order <= max_order && !no_zero && guarded) {
		if (guard) { /* these know no guards */
			CALL(pfa_alloc_bulk(pfa, order, flags, 1, &pfn, &got));
			CALL(pfa_largest_free(pfa, flags, &largest));
		}
		return;
	}
	CALL(pfa_alloc(pfa, order, flags, &pfn));
	CALL(pfa_would_succeed(pfa, order, flags));
	CALL(pfa_alloc_bulk(pfa, order, flags, 1, &pfn, &got));
	CALL(pfa_alloc_ptr(pfa, order, flags, &ptr));
	CALL(pfa_alloc_checked(pfa, order, flags, &handle));
	if (!legal || guard)
		CALL(pfa_largest_free(pfa, flags, &largest));
}

HELPER void bad_exact(size_t nr, unsigned align)
{
	unsigned max_order = cfg.max_order == PFA_EXPLICIT_0 ? 0 : cfg.max_order;
	pfa_pfn pfn;

	if (nr == 0 || nr > (size_t)1 << max_order || align > max_order)
		CALL(pfa_alloc_exact(pfa, nr, align, PFA_UNMOVABLE, &pfn));
}

HELPER void bad_window(pfa_pfn first, size_t nr, unsigned order)
{
	struct pfa_run run = { first, nr };
	pfa_pfn pfn;

	if (nr == 0 || first + nr < first)
		CALL(pfa_alloc_window(pfa, order, PFA_UNMOVABLE, run, &pfn));
}

HELPER void bad_check(unsigned level)
{
	if (!(level & ~(PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES)))
		return;
	check(level);
	check_range(span_first, 1, level);
}

HELPER void bad_views(pfa_pfn pfn)
{
	void *ptr;

	if (pfn >= span_first && pfn < span_end)
		return;
	CALL(pfa_ptr(pfa, pfn, &ptr));
	pageblock_info(pfn);
	frame_info(pfn);
	CALL(pfa_cache_purge(pfa, pfn));
}

/* ---- the instance ---- */

HELPER void begin(void)
{
	enum pfa_config_problem problem;
	int code = pfa_init(memory, footprint.core_bytes, &cfg, &pfa, &problem, NULL);

	if (code != PFA_OK) {
		printf("pfa_init: %s: %s\n", pfa_error_name(code), pfa_config_problem_text(problem));
		exit(1);
	}
	window = (struct pfa_run){ span_first, span_end - span_first };
}

/* pool: 0 readable and writable, 1 none, 2 mapped without access, 3 none but for a zero op. */
HELPER void setup(struct pfa_platform *platform, int pool, int zero_op)
{
	enum pfa_config_problem problem;
	size_t frame = (size_t)1 << cfg.frame_shift, bytes = (size_t)pool_frames << cfg.frame_shift;
	int code;

	if (pool == 0 && bytes > (size_t)64 << 20)
		pool = 2; /* too large for content: addresses only */
	if (pool == 0 || pool == 2) {
		unsigned char *at = mmap(NULL, bytes + frame, pool == 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
		                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (at == MAP_FAILED) {
			perror("memory");
			exit(2);
		}
		cfg.pool = at + (frame - (uintptr_t)at % frame) % frame;
		cfg.pool_bytes = bytes;
		cfg.pool_pfn = span_first;
		if (pool == 0)
			memset(cfg.pool, cfg.flags & PFA_CONFIG_ZEROED_POOL ? 0 : 0xC5, bytes);
	}
	readable = pool == 0;
	platform->zero = pool == 2 || pool == 3 || (pool == 0 && zero_op) ? platform_zero : NULL;
	platform->ctx = pool == 0 ? &cfg : NULL; /* the zero op writes only where there is content */
	if (pool != 0)
		cfg.poison = PFA_POISON_NONE;
	if (cfg.poison != PFA_POISON_NONE)
		platform->zero = NULL;
	code = pfa_size(&cfg, &footprint, &problem, NULL);
	if (code != PFA_OK) {
		printf("pfa_size: %s: %s\n", pfa_error_name(code), pfa_config_problem_text(problem));
		exit(1);
	}
	memory = aligned_alloc(footprint.align, (footprint.core_bytes + footprint.align - 1) / footprint.align * footprint.align);
	if (!memory) {
		perror("memory");
		exit(2);
	}
	memset(memory, cfg.flags & PFA_CONFIG_ZEROED_META ? 0 : 0xA5, footprint.core_bytes);
	begin();
}

HELPER void fini(void)
{
	CALL(pfa_fini(pfa));
	if (out.code != PFA_OK)
		return;
	for (size_t i = 0; i < nr_handles; i++)
		handles[i].has_token = 0;
	memset(memory, cfg.flags & PFA_CONFIG_ZEROED_META ? 0 : 0xA5, footprint.core_bytes);
	begin();
}

HELPER int finish(void)
{
	struct pfa_violation v = { 0 };
	int code;

	for (size_t i = 0; i < nr_handles; i++)
		free_blocks(&handles[i], 0, handles[i].nr, 0);
	code = pfa_check(pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v);
	printf("check: %s\n", pfa_error_name(code));
	show_violation(&v);
	if (code == PFA_OK) {
		code = pfa_fini(pfa);
		printf("fini: %s\n", pfa_error_name(code));
	}
	return code == PFA_OK ? 0 : 1;
}
