/* SPDX-License-Identifier: MIT
 *
 * Instances of many shapes, each a function of (seed, round), and the memory around them.
 */
#include "soak.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if SOAK_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* The library's clock runs faster than ours, so that what waits for a second of idleness happens in short runs. */
#define SOAK_CLOCK_FACTOR 50u

static const char *const geometry_cpu_modes[SOAK_CPU_MODES] = {"slot", "random", "hostile", "one", "rseq"};

/* ---- platform ops ----------------------------------------------------------------------------------------------- */

static struct pfa_platform geometry_posix;

/* Any cpu id is allowed at any time; the modes differ in how unkind they are to the caches. */
static uint32_t geometry_cpu(void *ctx)
{
	struct soak_slot *slot = soak_self;
	uint32_t cpus = soak.geo.config.nr_cpus;
	(void)ctx;
	switch (soak.geo.cpu_mode) {
	case SOAK_CPU_RANDOM:
		return slot->id ? soak_below(&slot->rng, cpus) : 0;
	case SOAK_CPU_HOSTILE:
		return slot->id ? soak_below(&slot->rng, cpus + 2) : 0;
	case SOAK_CPU_ONE:
		return 0;
	default:
		return slot->cpu;
	}
}

static uint64_t geometry_now(void *ctx)
{
	(void)ctx;
	return soak_now_ns() * SOAK_CLOCK_FACTOR;
}

static int geometry_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	(void)ctx;
	return geometry_posix.wait(geometry_posix.ctx, addr, value,
	                           until_ns == UINT64_MAX ? until_ns : until_ns / SOAK_CLOCK_FACTOR);
}

/* The list of what lives, which pfa_fini() gives when it refuses. */
static void geometry_log(void *ctx, const char *text)
{
	(void)ctx;
	if (text && text[0])
		atomic_fetch_add_explicit(&soak.nr_log_lines, 1, memory_order_relaxed);
}

#if SOAK_ASAN
/* Frames that nobody owns are poisoned: whatever but this op touches them is caught. */
static void geometry_zero(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	(void)ctx;
	(void)first;
	ASAN_UNPOISON_MEMORY_REGION(ptr, nr_frames * soak.frame_bytes);
	memset(ptr, 0, nr_frames * soak.frame_bytes);
}
#endif

/* Whom a guard frame belongs to: nobody else may be granted it while it guards. Now and then it cannot be made untouchable. */
static int geometry_guard(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on)
{
	struct soak_slot *slot = soak_self;
	(void)ctx;
	soak_guarded(slot, pfn, on);
#if SOAK_ASAN
	if (on)
		ASAN_POISON_MEMORY_REGION(ptr, bytes);
	else
		ASAN_UNPOISON_MEMORY_REGION(ptr, bytes);
#else
	(void)ptr;
	(void)bytes;
#endif
	return on && soak_chance(&slot->rng, 5) ? PFA_EDEVICE : PFA_OK;
}

static void geometry_platform(struct pfa_platform *out)
{
	pfa_posix_platform(&geometry_posix);
	*out = geometry_posix;
	out->cpu = geometry_cpu;
	out->wait = geometry_wait;
	out->now_ns = geometry_now;
	out->random = NULL; /* equal seeds, equal keys */
	out->guard = geometry_guard;
	out->low_memory = soak_low_memory;
	out->fatal = soak_fatal_op;
	out->log = geometry_log;
#if SOAK_ASAN
	out->zero = geometry_zero;
#endif
}

/* ---- shapes ----------------------------------------------------------------------------------------------------- */

static size_t geometry_log_uniform(struct soak_rng *rng, unsigned low_log2, unsigned high_log2)
{
	unsigned shift = low_log2 + soak_below(rng, high_log2 - low_log2);
	return ((size_t)1 << shift) + soak_below(rng, 1u << shift);
}

static void geometry_holes(struct soak_rng *rng, struct pfa_zone_config *zone, struct pfa_run *holes)
{
	size_t part, nr = soak_chance(rng, 50) ? soak_below(rng, SOAK_HOLES_MAX) : 0;
	if (nr == 0 || zone->nr_frames < 64 * nr)
		return;
	part = zone->nr_frames / nr;
	for (size_t i = 0; i < nr; i++) {
		size_t most = part / 4 < 200 ? part / 4 : 200;
		size_t bytes = 1 + soak_below(rng, (uint32_t)most);
		holes[i].first = zone->start + i * part + soak_below(rng, (uint32_t)(part - bytes - 1));
		holes[i].nr_frames = bytes;
	}
	zone->holes = holes;
	zone->nr_holes = nr;
}

/* One CMA area: the first run of 1..3 whole pageblocks, from a random one on, that no hole touches. */
static void geometry_cma(struct soak_rng *rng, struct pfa_zone_config *zone, struct pfa_run *cma, unsigned pb_order)
{
	size_t pb = (size_t)1 << pb_order, first = (zone->start + pb - 1) & ~(pb - 1);
	size_t end = zone->start + zone->nr_frames, nr = (1 + soak_below(rng, 3)) * pb;
	if (!soak_chance(rng, 50))
		return;
	first += pb * soak_below(rng, 4);
	for (; first + nr <= end; first += pb) {
		bool clear = true;
		for (size_t i = 0; i < zone->nr_holes; i++)
			clear = clear && (zone->holes[i].first >= first + nr ||
			                  zone->holes[i].first + zone->holes[i].nr_frames <= first);
		if (!clear)
			continue;
		cma->first = first;
		cma->nr_frames = nr;
		zone->cma = cma;
		zone->nr_cma = 1;
		return;
	}
}

static void geometry_zone(struct soak_rng *rng, struct soak_geometry *geo, unsigned z, pfa_pfn start, size_t nr)
{
	struct pfa_zone_config *zone = &geo->zones[z];
	unsigned pb_order = geo->config.pageblock_order;
	zone->size = sizeof(*zone);
	zone->start = start;
	zone->nr_frames = nr;
	geometry_holes(rng, zone, geo->holes[z]);
	geometry_cma(rng, zone, geo->cma[z], pb_order);
	if (soak_chance(rng, 50)) {
		zone->mark_min = soak_below(rng, (uint32_t)(nr / 32 + 1));
		zone->mark_low = zone->mark_min + soak_below(rng, (uint32_t)(nr / 32 + 1));
		zone->mark_high = zone->mark_low + soak_below(rng, (uint32_t)(nr / 32 + 1));
	}
	if (soak_chance(rng, 40))
		zone->highatomic_frames = (size_t)(1 + soak_below(rng, 3)) << pb_order;
	geo->present += nr;
	for (size_t i = 0; i < zone->nr_holes; i++)
		geo->present -= zone->holes[i].nr_frames;
}

static void geometry_caches(struct soak_rng *rng, struct pfa_config *config)
{
	static const uint32_t highs[] = {0, 0, PFA_EXPLICIT_0, 1, 2, 7, 32, 400};
	config->nr_cpus = 1 + soak_below(rng, soak_chance(rng, 70) ? 6 : 24);
	config->cache_high = highs[soak_below(rng, sizeof(highs) / sizeof(highs[0]))];
	if (soak_chance(rng, 40) && config->cache_high != PFA_EXPLICIT_0)
		config->cache_batch = 1 + soak_below(rng, 16);
	if (soak_chance(rng, 25))
		config->cache_max_order = PFA_EXPLICIT_0;
	else if (soak_chance(rng, 25))
		config->cache_max_order = config->max_order < 3 ? config->max_order : 3;
}

/* What only level 3 has. */
static void geometry_full(struct soak_rng *rng, struct soak_geometry *geo)
{
	static const enum pfa_poison poisons[] = {PFA_POISON_DEFAULT, PFA_POISON_NONE, PFA_POISON_ZERO, PFA_POISON_LINES,
	                                          PFA_POISON_ALL};
	static const uint32_t queues[] = {0, 0, PFA_EXPLICIT_0, 1, 5, 30, 2000};
	struct pfa_config *config = &geo->config;
	bool zero = config->flags & (PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO);
	config->poison = poisons[soak_below(rng, zero ? 3 : 5)];
	config->quarantine = queues[soak_below(rng, sizeof(queues) / sizeof(queues[0]))];
	geo->guards = soak_chance(rng, 60);
}

/* What an instance remembers and verifies besides. */
static void geometry_hardening(struct soak_rng *rng, struct soak_geometry *geo)
{
	struct pfa_config *config = &geo->config;
	config->hardening = 1 + soak_below(rng, 3);
	if (config->hardening == 3)
		geometry_full(rng, geo);
	if (soak_chance(rng, 50))
		config->flags |= PFA_CONFIG_NO_SHADOW;
	if (soak_chance(rng, 30))
		config->flags |= PFA_CONFIG_GENERATIONS;
	if (soak_chance(rng, 70))
		return;
	config->history = 1 + soak_below(rng, 8);
	if (soak_chance(rng, 50) && geometry_posix.backtrace) {
		config->nr_traces = 64;
		config->trace_shift = 4 + soak_below(rng, 8);
	}
}

/* Frames that a mapped arena can have: whole pages of the system, in a memfd; not too many, since they are touched. */
static void geometry_mapped(struct soak_rng *rng, struct soak_geometry *geo, size_t *frames)
{
	bool asked = soak.opt.canary == SOAK_CANARY_arena;
	if (!SOAK_MAPPED || (!soak_chance(rng, 15) && !asked))
		return;
	geo->mapped = true;
	geo->config.frame_shift = 12;
	while ((long)1 << geo->config.frame_shift < sysconf(_SC_PAGESIZE))
		geo->config.frame_shift++;
	if (*frames > 8192)
		*frames = 8192;
}

/* A reporting device may be registered: it writes to frames that are nobody's. */
static void geometry_reporting(struct soak_geometry *geo, uint64_t seed, unsigned round)
{
	/* its own numbers: the other shapes of a seed stay what they were */
	struct soak_rng rng = {soak_mix(seed) ^ soak_mix(round + UINT64_C(0x7e11))};
	if (soak_chance(&rng, 60))
		geo->config.flags |= PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW;
}

void soak_geometry_make(struct soak_geometry *geo, uint64_t seed, unsigned round, size_t frames)
{
	struct soak_rng rng = {soak_mix(seed) ^ soak_mix(round + UINT64_C(0x5051))};
	struct pfa_config *config = &geo->config;
	unsigned nr_zones = 1 + soak_below(&rng, 3);
	size_t total = geometry_log_uniform(&rng, 7, 15);
	pfa_pfn at = soak_below(&rng, 20000);

	memset(geo, 0, sizeof(*geo));
	if (frames)
		total = frames;
	pfa_config_init(config);
	geometry_platform(&geo->platform);
	config->seed = soak_next(&rng);
	config->fatal_policy = PFA_FATAL_REPORT;
	config->frame_shift = 6 + soak_below(&rng, 4);
	config->pageblock_order = 6 + soak_below(&rng, 4);
	config->max_order = 3 + soak_below(&rng, 9);
	geo->cpu_mode = (enum soak_cpu_mode)soak_below(&rng, SOAK_CPU_MODES);
	geo->pressure = 20 + soak_below(&rng, 110);
	config->flags = PFA_CONFIG_ZEROED_META;
	if (soak_chance(&rng, 60))
		config->flags |= soak_chance(&rng, 50) ? PFA_CONFIG_ZEROED_POOL : PFA_CONFIG_TRACK_ZERO;
	geometry_caches(&rng, config);
	if (soak_chance(&rng, 75) || soak.opt.canary == SOAK_CANARY_arena)
		config->max_owners = 4 + soak_below(&rng, 12);
	if (config->max_owners)
		geometry_mapped(&rng, geo, &total);
	if (!config->max_owners || soak_chance(&rng, 30))
		geo->platform.low_memory = NULL;
	geo->base = at;
	for (unsigned z = 0; z < nr_zones; z++) {
		size_t nr = z + 1 == nr_zones ? total : total / 4 + soak_below(&rng, (uint32_t)(total / 2 + 1));
		if (nr == 0)
			nr = 1;
		geometry_zone(&rng, geo, z, at, nr);
		total -= nr < total ? nr : total;
		at += nr;
		geo->span = at - geo->base;
		if (total == 0) {
			nr_zones = z + 1;
			break;
		}
		if (soak_chance(&rng, 50))
			at += soak_below(&rng, 600);
	}
	config->nr_zones = nr_zones;
	geometry_hardening(&rng, geo);
	geometry_reporting(geo, seed, round);
}

/* Pointers into the geometry itself: set once it lies where it stays. */
static void geometry_link(struct soak_geometry *geo)
{
	for (unsigned z = 0; z < geo->config.nr_zones; z++) {
		if (geo->zones[z].nr_holes)
			geo->zones[z].holes = geo->holes[z];
		if (geo->zones[z].nr_cma)
			geo->zones[z].cma = geo->cma[z];
	}
	geo->config.zones = geo->zones;
	geo->config.platform = &geo->platform;
}

/* The present geometry as text. Two places, used in turn: whoever reports a failure may be reading the older one. */
#define GEOMETRY_TEXT 2048u
static char geometry_texts[2][GEOMETRY_TEXT];
static _Atomic(const char *) geometry_text;

const char *soak_geometry_text(void)
{
	const char *text = atomic_load_explicit(&geometry_text, memory_order_acquire);
	return text ? text : "  none yet\n";
}

static void geometry_put(char *text, size_t *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void geometry_put(char *text, size_t *at, const char *fmt, ...)
{
	va_list args;
	int n;
	va_start(args, fmt);
	n = vsnprintf(text + *at, GEOMETRY_TEXT - *at, fmt, args);
	va_end(args);
	*at += n > 0 && (size_t)n < GEOMETRY_TEXT - *at ? (size_t)n : 0;
}

static void geometry_describe(const struct soak_geometry *geo)
{
	char *text = geometry_texts[soak.round % 2];
	const struct pfa_config *c = &geo->config;
	size_t at = 0;
	geometry_put(text, &at,
	             "  frame_shift=%u max_order=%u pageblock_order=%u nr_cpus=%u cache_high=%d cache_batch=%u "
	             "cache_max_order=%d flags=%u cpu_mode=%s pressure=%u%% hardening=%u history=%u nr_traces=%u poison=%d quarantine=%d "
	             "guards=%d max_owners=%u mapped=%d low_memory=%d\n",
	             c->frame_shift, c->max_order, c->pageblock_order, c->nr_cpus, (int)c->cache_high, c->cache_batch,
	             (int)c->cache_max_order, c->flags, geometry_cpu_modes[geo->cpu_mode], geo->pressure,
	             c->hardening, c->history, c->nr_traces, (int)c->poison, (int)c->quarantine, geo->guards, c->max_owners,
	             geo->mapped, geo->platform.low_memory != NULL);
	for (unsigned z = 0; z < c->nr_zones; z++) {
		const struct pfa_zone_config *zone = &geo->zones[z];
		geometry_put(text, &at, "  zone %u: pfn %zu..%zu marks %zu/%zu/%zu highatomic %zu", z, zone->start,
		             zone->start + zone->nr_frames - 1, zone->mark_min, zone->mark_low, zone->mark_high,
		             zone->highatomic_frames);
		for (size_t i = 0; i < zone->nr_holes; i++)
			geometry_put(text, &at, " hole %zu+%zu", zone->holes[i].first, zone->holes[i].nr_frames);
		for (size_t i = 0; i < zone->nr_cma; i++)
			geometry_put(text, &at, " cma %zu+%zu", zone->cma[i].first, zone->cma[i].nr_frames);
		geometry_put(text, &at, "\n");
	}
	atomic_store_explicit(&geometry_text, text, memory_order_release);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static _Noreturn void geometry_give_up(const char *what, int code)
{
	fprintf(stderr, "soak: %s (%s)\n", what, pfa_error_name(code));
	exit(2);
}

static void *geometry_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		geometry_give_up("no memory", PFA_ENOMEM);
	return p;
}

/* All of it reads as zero. */
static void geometry_pool(const struct soak_geometry *geo)
{
	struct pfa_posix_region region;
	int rc;
	if (!geo->mapped) {
		soak.pool = geometry_map(soak.pool_bytes);
		return;
	}
	rc = pfa_posix_map(&region, soak.pool_bytes, 0, PFA_POSIX_MEMFD);
	if (rc != PFA_OK)
		geometry_give_up("no memfd", rc);
	soak.pool = region.base;
	soak.pool_fd = region.fd;
}

static void geometry_attributes(const struct soak_geometry *geo, unsigned char *attr)
{
	memset(attr, SOAK_ABSENT, geo->span);
	for (unsigned z = 0; z < geo->config.nr_zones; z++) {
		const struct pfa_zone_config *zone = &geo->zones[z];
		memset(attr + (zone->start - geo->base), (int)z, zone->nr_frames);
		for (size_t i = 0; i < zone->nr_holes; i++)
			memset(attr + (zone->holes[i].first - geo->base), SOAK_ABSENT, zone->holes[i].nr_frames);
		for (size_t i = 0; i < zone->nr_cma; i++)
			memset(attr + (zone->cma[i].first - geo->base), (int)(z | SOAK_IN_CMA), zone->cma[i].nr_frames);
	}
}

static int geometry_init(enum pfa_config_problem *problem, unsigned *index)
{
	struct pfa_footprint need;
	int rc = pfa_size(&soak.geo.config, &need, problem, index);
	if (rc != PFA_OK)
		return rc;
	soak.meta_bytes = need.core_bytes;
	soak.meta = geometry_map(need.core_bytes);
	return pfa_init(soak.meta, need.core_bytes, &soak.geo.config, &soak.pfa, problem, index);
}

/* Makes soak.pfa out of soak.geo. A refusal is a defect of the geometry above: exit 2. */
void soak_instance_make(void)
{
	struct soak_geometry *geo = &soak.geo;
	enum pfa_config_problem problem = PFA_CONFIG_FINE;
	unsigned index = 0;
	int rc;

	geometry_link(geo);
	geometry_describe(geo);
	if (geo->cpu_mode == SOAK_CPU_RSEQ)
		geo->config.cpu_offset = pfa_posix_cpu_offset();
	soak.frame_bytes = (size_t)1 << geo->config.frame_shift;
	soak.pool_bytes = geo->span * soak.frame_bytes;
	geometry_pool(geo);
	geo->config.pool = soak.pool;
	geo->config.pool_bytes = soak.pool_bytes;
	geo->config.pool_pfn = geo->base;
	soak.attr = geometry_map(geo->span);
	soak.shadow = geometry_map(geo->span * sizeof(*soak.shadow));
	soak.moving = geometry_map(geo->span);
	soak.marks = geometry_map(geo->span);
	geometry_attributes(geo, soak.attr);
	if (!(geo->config.flags & PFA_CONFIG_ZEROED_POOL))
		memset(soak.pool, 0x5A, soak.pool_bytes);
	rc = geometry_init(&problem, &index);
	if (rc == PFA_EINVAL && problem == PFA_CONFIG_OWNERS) { /* not built in */
		geo->config.max_owners = 0;
		rc = geometry_init(&problem, &index);
	}
	while (rc == PFA_EINVAL && problem == PFA_CONFIG_HARDENING && geo->config.hardening > 1) {
		geo->config.hardening--; /* more is not built in */
		geo->config.poison = PFA_POISON_DEFAULT;
		geo->config.quarantine = 0;
		geo->guards = false;
		rc = geometry_init(&problem, &index);
	}
	if (rc != PFA_OK) {
		fprintf(stderr, "soak: the library refuses this geometry: problem %d, index %u\n", (int)problem, index);
		geometry_give_up("no instance", rc);
	}
	rc = pfa_posix_fork_safe(soak.pfa, geo->mapped);
	if (rc != PFA_OK)
		geometry_give_up("no fork handlers", rc);
	/* Not where the library writes to frames that are nobody's, nor where owners do not say which ones they have. */
	soak.poisons = SOAK_ASAN && (geo->config.flags & PFA_CONFIG_NO_SHADOW) && !geo->config.max_owners &&
	               (geo->config.hardening < 3 || geo->config.poison == PFA_POISON_NONE);
	soak_shadow_poison(geo->base, geo->span, true);
	soak.quota = geo->present * geo->pressure / 100 / soak.opt.threads;
}

void soak_instance_unmap(void)
{
#if SOAK_ASAN
	ASAN_UNPOISON_MEMORY_REGION(soak.pool, soak.pool_bytes);
#endif
	munmap(soak.pool, soak.pool_bytes);
	if (soak.geo.mapped)
		close(soak.pool_fd);
	munmap(soak.meta, soak.meta_bytes);
	munmap(soak.attr, soak.geo.span);
	munmap((void *)soak.moving, soak.geo.span);
	munmap((void *)soak.marks, soak.geo.span);
	munmap((void *)soak.shadow, soak.geo.span * sizeof(*soak.shadow));
	soak.pfa = NULL;
	soak.pool = NULL;
}
