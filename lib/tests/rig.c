/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define RIG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RIG_ASAN 1
#endif
#endif
#ifdef RIG_ASAN
#include <sanitizer/asan_interface.h>
#endif

bool rig_prot_none;
enum rig_cpu_way rig_cpu_way = RIG_CPU_OP;
uint32_t rig_level;
const char *const rig_cpu_way_names[RIG_CPU_WAYS] = {"op", "none", "offset"};
void (*rig_fail_hook)(const char *file, int line, const char *message);

_Noreturn void rig_fail(const char *file, int line, const char *format, ...)
{
	char message[400];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fprintf(stderr, "%s:%d: %s\n", file, line, message);
	fflush(NULL);
	if (rig_fail_hook)
		rig_fail_hook(file, line, message);
	_exit(1);
}

/* ---- codes ------------------------------------------------------------------------------------------------------ */

#define MAX_PAIRS 512u

static struct {
	const char *function;
	int code;
} recorded[MAX_PAIRS];
static unsigned nr_recorded;

void rig_expect(const char *function, int expected, int actual, const char *file, int line)
{
	if (actual != expected)
		rig_fail(file, line, "%s returned %s instead of %s", function, pfa_error_name(actual),
		         pfa_error_name(expected));
	for (unsigned i = 0; i < nr_recorded; i++)
		if (recorded[i].code == actual && strcmp(recorded[i].function, function) == 0)
			return;
	if (nr_recorded == MAX_PAIRS)
		rig_fail(file, line, "more than %u pairs of function and code", MAX_PAIRS);
	recorded[nr_recorded].function = function;
	recorded[nr_recorded++].code = actual;
}

void rig_write_codes(const char *program)
{
	const char *dir = getenv("PFA_CODES_DIR");
	const char *base = strrchr(program, '/');
	char path[4096];
	if (!dir || rig_prot_none || rig_cpu_way != RIG_CPU_OP || rig_level > 1)
		return;
	snprintf(path, sizeof(path), "%s/%s.codes", dir, base ? base + 1 : program);
	FILE *f = fopen(path, "w");
	if (!f)
		rig_fail(__FILE__, __LINE__, "cannot write %s", path);
	for (unsigned i = 0; i < nr_recorded; i++)
		fprintf(f, "%s %s\n", recorded[i].function, pfa_error_name(recorded[i].code));
	if (fclose(f) != 0)
		rig_fail(__FILE__, __LINE__, "cannot write %s", path);
}

/* ---- random ----------------------------------------------------------------------------------------------------- */

uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9E3779B97F4A7C15u;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

size_t rng_below(struct rng *rng, size_t limit)
{
	return (size_t)(rng_next(rng) % limit);
}

/* ---- platform --------------------------------------------------------------------------------------------------- */

static uint32_t rig_op_cpu(void *ctx)
{
	return ((struct rig *)ctx)->cpu;
}

/* With an offset the op is not called. */
static uint32_t rig_op_not_asked(void *ctx)
{
	(void)ctx;
	rig_fail(__FILE__, __LINE__, "the cpu op was called though cpu_offset is set");
}

#if defined(__has_builtin) && !defined(PFA_SINGLE)
#if __has_builtin(__builtin_thread_pointer) && (defined(__x86_64__) || defined(__aarch64__))
#define RIG_HAVE_THREAD_POINTER 1
#endif
#endif

ptrdiff_t rig_cpu_offset(const uint32_t *id)
{
#ifdef RIG_HAVE_THREAD_POINTER
	return (ptrdiff_t)((uintptr_t)id - (uintptr_t)__builtin_thread_pointer());
#else
	(void)id;
	return 0;
#endif
}

bool rig_option(const char *arg)
{
	if (strcmp(arg, "--prot-none") == 0)
		return rig_prot_none = true;
	if (strncmp(arg, "--level=", 8) == 0 && arg[8] >= '1' && arg[8] <= '3' && !arg[9]) {
		rig_level = (uint32_t)(arg[8] - '0');
		return true;
	}
	for (unsigned way = 0; strncmp(arg, "--cpu=", 6) == 0 && way < RIG_CPU_WAYS; way++) {
		if (strcmp(arg + 6, rig_cpu_way_names[way]) != 0)
			continue;
		rig_cpu_way = (enum rig_cpu_way)way;
		if (way == RIG_CPU_OFFSET && !rig_cpu_offset(&(uint32_t){0}))
			puts("cpu=offset: no thread pointer here: the cpu op is used");
		return true;
	}
	return false;
}

static uint64_t rig_op_now(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static void rig_op_fatal(void *ctx, const struct pfa_fault *fault)
{
	struct rig_fault *seen = &((struct rig *)ctx)->fault;
	MUST_EQ(fault->size, sizeof(*fault));
	MUST(fault->message && fault->message[0] && !strchr(fault->message, '\n'));
	MUST(fault->function && strncmp(fault->function, "pfa_", 4) == 0);
	seen->nr++;
	seen->code = fault->code;
	seen->kind = fault->kind;
	seen->pfn = fault->pfn;
	seen->order = fault->order;
	snprintf(seen->message, sizeof(seen->message), "%s", fault->message);
	snprintf(seen->function, sizeof(seen->function), "%s", fault->function);
}

/* ---- instance --------------------------------------------------------------------------------------------------- */

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	pfa_config_init(&rig->cfg);
	rig->os.size = sizeof(rig->os);
	rig->os.ctx = rig;
	rig->os.cpu = rig_op_cpu;
	rig->os.now_ns = rig_op_now;
	rig->os.fatal = rig_op_fatal;
	rig->cfg.platform = &rig->os;
	rig->cfg.zones = rig->zones;
	rig->cfg.fatal_policy = PFA_FATAL_REPORT;
	rig->cfg.frame_shift = 6;
	rig->cfg.max_order = 8;
	rig->cfg.pageblock_order = 6;
	rig->cfg.seed = 1;
}

struct pfa_zone_config *rig_zone(struct rig *rig, pfa_pfn start, size_t nr_frames)
{
	struct pfa_zone_config *zone = &rig->zones[rig->cfg.nr_zones++];
	zone->size = sizeof(*zone);
	zone->start = start;
	zone->nr_frames = nr_frames;
	return zone;
}

static void map_pool(struct rig *rig)
{
	bool content = rig->pool_kind == RIG_POOL_CONTENT;
	if (rig->cfg.pool || rig->pool_kind == RIG_POOL_NEVER || (!content && !rig_prot_none))
		return;
	pfa_pfn first = SIZE_MAX, end = 0;
	for (unsigned i = 0; i < rig->cfg.nr_zones; i++) {
		const struct pfa_zone_config *z = &rig->zones[i];
		first = z->start < first ? z->start : first;
		end = z->start + z->nr_frames > end ? z->start + z->nr_frames : end;
	}
	unsigned shift = rig->cfg.frame_shift ? rig->cfg.frame_shift : 12;
	if (end - first > (SIZE_MAX / 4) >> shift)
		return; /* no address space for it */
	size_t bytes = (end - first) << shift;
	void *pool = mmap(NULL, bytes, content ? PROT_READ | PROT_WRITE : PROT_NONE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool == MAP_FAILED && !content)
		return;
	MUST(pool != MAP_FAILED);
	rig->pool = rig->cfg.pool = pool;
	rig->pool_bytes = rig->cfg.pool_bytes = bytes;
	rig->cfg.pool_pfn = first;
}

/* As rig_cpu_way says, unless the test has its own way. */
static void name_the_cpu(struct rig *rig)
{
	if (rig->os.cpu != rig_op_cpu || rig->cfg.cpu_offset)
		return;
	if (rig_cpu_way == RIG_CPU_NONE && rig->cfg.nr_cpus <= 1)
		rig->os.cpu = NULL;
	if (rig_cpu_way != RIG_CPU_OFFSET)
		return;
	rig->cfg.cpu_offset = rig_cpu_offset(&rig->cpu);
	if (rig->cfg.cpu_offset)
		rig->os.cpu = rig_op_not_asked;
}

void rig_start(struct rig *rig)
{
	struct pfa_footprint need;
	enum pfa_config_problem problem = PFA_CONFIG_FINE;
	unsigned index = 0;
	map_pool(rig);
	name_the_cpu(rig);
	if (!rig->cfg.hardening)
		rig->cfg.hardening = rig_level;
	/* Tests that know where a freed block is must ask for the quarantine, those with an untouchable pool cannot poison. */
	if (rig->cfg.hardening == 3 && !rig->cfg.quarantine)
		rig->cfg.quarantine = PFA_EXPLICIT_0;
	if (rig->cfg.hardening == 3 && !rig->cfg.poison && rig->pool_kind != RIG_POOL_CONTENT)
		rig->cfg.poison = PFA_POISON_NONE;
	int err = pfa_size(&rig->cfg, &need, &problem, &index);
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_size: %s: %s (%u)", pfa_error_name(err),
		         pfa_config_problem_text(problem), index);
	MUST(need.core_bytes > 0 && need.align > 0 && (need.align & (need.align - 1)) == 0);
	if (posix_memalign(&rig->memory, need.align < sizeof(void *) ? sizeof(void *) : need.align, need.core_bytes))
		rig_fail(__FILE__, __LINE__, "no memory for %zu bytes of metadata", need.core_bytes);
	rig->bytes = need.core_bytes;
	memset(rig->memory, rig->cfg.flags & PFA_CONFIG_ZEROED_META ? 0 : 0xA5, rig->bytes);
	err = pfa_init(rig->memory, rig->bytes, &rig->cfg, &rig->pfa, &problem, &index);
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_init: %s: %s (%u)", pfa_error_name(err),
		         pfa_config_problem_text(problem), index);
	MUST_EQ(problem, PFA_CONFIG_FINE);
	MUST((char *)rig->pfa >= (char *)rig->memory && (char *)rig->pfa < (char *)rig->memory + rig->bytes);
}

void rig_drop(struct rig *rig)
{
#ifdef RIG_ASAN
	if (rig->pool) /* an instance that did not end has left its poison */
		__asan_unpoison_memory_region(rig->pool, rig->pool_bytes);
#endif
	free(rig->memory);
	if (rig->pool)
		munmap(rig->pool, rig->pool_bytes);
	rig->memory = rig->pool = NULL;
	rig->pfa = NULL;
}

void rig_stop(struct rig *rig)
{
	rig_check(rig);
	int err = pfa_fini(rig->pfa);
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_fini: %s", pfa_error_name(err));
	rig_drop(rig);
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

size_t rig_sum(const struct pfa_zone_stats *s)
{
	return s->free + s->free_isolated + s->cached + s->allocated + s->held_report + s->held_move + s->quarantined +
	       s->bad;
}

struct pfa_zone_stats rig_stats(struct rig *rig, unsigned zone)
{
	struct pfa_zone_stats s;
	int err = pfa_zone_stats_get(rig->pfa, zone, &s, sizeof(s));
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_zone_stats_get(%u): %s", zone, pfa_error_name(err));
	return s;
}

struct pfa_stats rig_events(struct rig *rig)
{
	struct pfa_stats s;
	int err = pfa_stats_get(rig->pfa, &s, sizeof(s));
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_stats_get: %s", pfa_error_name(err));
	return s;
}

enum pfa_type rig_type(struct rig *rig, pfa_pfn pfn)
{
	struct pfa_pageblock_info info;
	int err = pfa_pageblock_info(rig->pfa, pfn, &info);
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_pageblock_info(%zu): %s", pfn, pfa_error_name(err));
	return info.type;
}

struct pfa_frame_info rig_info(struct rig *rig, pfa_pfn pfn)
{
	struct pfa_frame_info info;
	int err = pfa_frame_info(rig->pfa, pfn, &info);
	if (err)
		rig_fail(__FILE__, __LINE__, "pfa_frame_info(%zu): %s", pfn, pfa_error_name(err));
	return info;
}

void rig_check_at(struct rig *rig, const char *file, int line)
{
	struct pfa_violation v;
	int err = pfa_check(rig->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v);
	if (err)
		rig_fail(file, line, "pfa_check: %s: I%u \"%s\", zone %u, pfn %zu: expected %zu, actual %zu",
		         pfa_error_name(err), v.invariant, v.what ? v.what : "", v.zone, v.pfn, v.expected, v.actual);
	for (unsigned i = 0; i < rig->cfg.nr_zones; i++) {
		struct pfa_zone_stats s = rig_stats(rig, i);
		if (rig_sum(&s) != s.present)
			rig_fail(file, line, "zone %u: the sum is %zu, present %zu", i, rig_sum(&s), s.present);
	}
}

static void digest_region(void *ctx, const char *name, const void *start, size_t bytes)
{
	uint64_t *hash = ctx;
	(void)name;
	for (size_t i = 0; i < bytes; i++)
		*hash = (*hash ^ ((const unsigned char *)start)[i]) * 0x100000001B3u;
}

uint64_t rig_digest(const struct rig *rig)
{
	uint64_t hash = 0xCBF29CE484222325u;
	pfa_debug_regions(rig->pfa, digest_region, &hash);
	return hash;
}

struct wanted_region {
	const char *name;
	const void *start;
	size_t bytes;
};

static void match_region(void *ctx, const char *name, const void *start, size_t bytes)
{
	struct wanted_region *wanted = ctx;
	if (!wanted->start && strcmp(name, wanted->name) == 0) {
		wanted->start = start;
		wanted->bytes = bytes;
	}
}

void *rig_region(const struct rig *rig, const char *name, size_t *out_bytes)
{
	struct wanted_region wanted = {.name = name};
	pfa_debug_regions(rig->pfa, match_region, &wanted);
	if (out_bytes)
		*out_bytes = wanted.bytes;
	/* The regions lie in the memory that this rig owns and may write. */
	return wanted.start ? (char *)rig->memory + ((const char *)wanted.start - (const char *)rig->memory) : NULL;
}

unsigned char *rig_frame_byte(const struct rig *rig, pfa_pfn pfn)
{
	unsigned char *bytes = rig_region(rig, "frame_bytes", NULL);
	MUST(bytes);
	return bytes + pfn;
}

size_t rig_take_all(struct rig *rig, unsigned order, uint32_t flags, int end, pfa_pfn out[], size_t limit)
{
	for (size_t nr = 0;; nr++) {
		pfa_pfn pfn;
		int err = pfa_alloc(rig->pfa, order, flags, &pfn);
		if (err != PFA_OK) {
			rig_expect("pfa_alloc", end, err, __FILE__, __LINE__);
			return nr;
		}
		MUST(nr < limit);
		out[nr] = pfn;
	}
}

void rig_text_write(void *ctx, const char *bytes, size_t nr)
{
	struct rig_text *text = ctx;
	if (nr > text->largest_piece)
		text->largest_piece = nr;
	if (text->nr + nr + 1 > text->room) {
		text->room = 2 * (text->nr + nr + 1);
		text->bytes = realloc(text->bytes, text->room);
		MUST(text->bytes);
	}
	memcpy(text->bytes + text->nr, bytes, nr);
	text->nr += nr;
	text->bytes[text->nr] = 0;
}

void rig_text_free(struct rig_text *text)
{
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}
