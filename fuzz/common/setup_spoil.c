/* SPDX-License-Identifier: MIT
 *
 * setup_spoil.c - one thing wrong with a configuration that is otherwise valid, and the problem that must be named.
 */
#include "setup.h"

#include <string.h>

#include <pfa/harden.h>

#include "exec.h"

#define SPOIL_ZONES (PFA_ZONES_LIMIT + 2u)
#define SPOIL_FLAGS_KNOWN 6u /* PFA_CONFIG_*: the bits from here on are unknown */
#define SPOIL_WORDS(type, extra) ((sizeof(type) + (extra)) / sizeof(size_t))

/* Copies with room behind them for a tail, and for zones that are too many. */
static union { struct pfa_config c; size_t words[SPOIL_WORDS(struct pfa_config, 64)]; } spoil_cfg;
static union { struct pfa_platform p; size_t words[SPOIL_WORDS(struct pfa_platform, 64)]; } spoil_platform;
static struct pfa_zone_config spoil_zones[SPOIL_ZONES];
static union { struct pfa_zone_config z; size_t words[SPOIL_WORDS(struct pfa_zone_config, 64)]; } spoil_one_zone;
static struct pfa_run spoil_runs[2];
static struct pfa_footprint spoil_footprint;
static size_t spoil_memory[4096 / sizeof(size_t)];

static bool spoil_null(struct setup_spoilt *out, struct pfa_config *c, struct pfa_zone_config *z, unsigned variant)
{
	switch (variant % 5) {
	case 0: out->cfg = NULL; return true;
	case 1: c->zones = NULL; return true;
	case 2: out->footprint = NULL; return true;
	case 3: z->holes = NULL; z->nr_holes = 1; return true;
	default: z->cma = NULL; z->nr_cma = 1; return true;
	}
}

static bool spoil_size(struct pfa_config *c, struct pfa_zone_config *z, unsigned variant)
{
	switch (variant % 8) {
	case 0: c->size = 0; return true;
	case 1: c->size--; return true;
	case 2: /* a longer struct with something in it that this library does not know */
		c->size += sizeof(size_t);
		spoil_cfg.words[sizeof(*c) / sizeof(size_t)] = 1;
		return true;
	case 3: spoil_platform.p.size = sizeof(size_t); return true;
	case 4:
		spoil_platform.p.size += 2 * sizeof(size_t);
		spoil_platform.words[sizeof(struct pfa_platform) / sizeof(size_t) + 1] = (size_t)1 << (8 * sizeof(size_t) - 1);
		return true;
	case 5: z->size--; return true;
	case 6: z->size = 0; return true;
	default: /* the same of a zone */
		if (c->nr_zones != 1)
			return false;
		spoil_one_zone.z = *z;
		spoil_one_zone.z.size += sizeof(size_t);
		spoil_one_zone.words[sizeof(*z) / sizeof(size_t)] = 1;
		c->zones = &spoil_one_zone.z;
		return true;
	}
}

/* Two runs of which the second begins before the first ends: each of the ways in which intervals of up to three units
 * can lie in five, the second before, inside of, around and over the end of the first. */
static void spoil_pair(pfa_pfn start, size_t unit, unsigned which)
{
	const size_t first = which % 3, nr = 1 + which / 3 % 3;
	const size_t other = which / 9 % (first + nr), other_nr = 1 + which / 18 % 3;

	spoil_runs[0] = (struct pfa_run){ start + first * unit, nr * unit };
	spoil_runs[1] = (struct pfa_run){ start + other * unit, other_nr * unit };
}

static bool spoil_holes(struct pfa_zone_config *z, unsigned variant)
{
	spoil_runs[0] = (struct pfa_run){ z->start, 1 };
	z->holes = spoil_runs;
	z->nr_holes = 1;
	z->nr_cma = 0;
	switch (variant % 8) {
	case 0: spoil_runs[0].nr_frames = 0; return true;
	case 1: spoil_runs[0].nr_frames = z->nr_frames + 1; return true;
	case 2: spoil_runs[0].first = z->start + z->nr_frames; return true;
	case 3: spoil_runs[0].first = z->start - 1; return z->start > 0;
	case 4: spoil_runs[0].nr_frames = SIZE_MAX; return true;
	case 5: spoil_runs[0].first = SIZE_MAX; return true;
	default:
		z->nr_holes = 2;
		spoil_pair(z->start, 1, variant / 8 + 32 * (variant % 2));
		return z->nr_frames > 5;
	}
}

static bool spoil_cma(const struct pfa_config *c, struct pfa_zone_config *z, unsigned variant)
{
	const size_t pb = (size_t)1 << c->pageblock_order;
	const pfa_pfn first = (z->start + pb - 1) / pb * pb; /* the first whole pageblock */
	const bool whole = first + 2 * pb <= z->start + z->nr_frames;

	z->cma = spoil_runs;
	z->nr_cma = 1;
	z->nr_holes = 0;
	spoil_runs[0] = (struct pfa_run){ first, pb };
	switch (variant % 7) {
	case 0: spoil_runs[0].nr_frames = 0; return true;
	case 1: spoil_runs[0].nr_frames = pb / 2; return true;
	case 2: spoil_runs[0].first++; return true;
	case 3: spoil_runs[0].first = (z->start + z->nr_frames + pb - 1) / pb * pb; return true;
	case 4: spoil_runs[0].nr_frames = SIZE_MAX / pb * pb; return true;
	case 5:
		spoil_pair(first, pb, variant / 7);
		z->nr_cma = 2;
		return first + 5 * pb <= z->start + z->nr_frames;
	default: { /* over a hole */
		static struct pfa_run hole;
		hole = (struct pfa_run){ first + 1, 1 };
		z->holes = &hole;
		z->nr_holes = 1;
		return whole;
	}
	}
}

static bool spoil_marks(struct pfa_zone_config *z, unsigned variant)
{
	switch (variant % 3) {
	case 0: z->mark_min = z->mark_low + 1; return true;
	case 1: z->mark_low = z->mark_high + 1; z->mark_min = 0; return true;
	default: z->mark_min = SIZE_MAX; z->mark_low = 0; z->mark_high = 1; return true;
	}
}

static bool spoil_pool(struct pfa_config *c, const struct pfa_zone_config *z, unsigned variant)
{
	const size_t frame = (size_t)1 << c->frame_shift;

	if (!c->pool) { /* no pool, but a size: contradictory */
		c->pool_bytes = frame;
		return true;
	}
	switch (variant % 5) {
	case 0: c->pool = (char *)c->pool + 1; return true;
	case 1: c->pool_bytes -= 1; return true;
	case 2: c->pool_pfn += 1; return true;
	case 3: c->pool_bytes = SIZE_MAX; return true;
	default: c->pool_pfn = z->start + z->nr_frames; return true;
	}
}

static size_t spoil_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	(void)ctx;
	(void)out;
	(void)max;
	return 0;
}

static bool spoil_traces(struct pfa_config *c, unsigned variant)
{
	c->history = 1;
	c->nr_traces = 1;
	spoil_platform.p.backtrace = spoil_backtrace;
	switch (variant % 6) {
	case 0: c->nr_traces = 3; return true;
	case 1: c->nr_traces = UINT32_C(1) << 21; return true;
	case 2: c->nr_traces = 0xFFFFFFFEu; return true;
	case 3: c->trace_shift = 32 + variant / 6; return true;
	case 4: c->history = 0; return true; /* nothing that could have a backtrace */
	default: spoil_platform.p.backtrace = NULL; return true;
	}
}

/* What is there at level 3 only. */
static bool spoil_full(struct pfa_config *c, enum prog_spoil bad, unsigned variant)
{
	static const uint32_t below[] = { 1, 64, 65536, 65537, 0xFFFFFFFEu };
	static const uint32_t above[] = { 65537, 65538, 0x80000000u, 0xFFFFFFFEu };
	static const enum pfa_poison poisons[] = { PFA_POISON_LINES, PFA_POISON_ALL, PFA_POISON_ZERO };
	const bool full = c->hardening == 3;

	switch (bad) {
	case PROG_SPOIL_QUARANTINE:
		c->quarantine = full ? above[variant % 4] : below[variant % 5];
		return true;
	case PROG_SPOIL_POISON:
		c->poison = full && c->pool ? (enum pfa_poison)(PFA_POISON_ZERO + 1 + variant) : poisons[variant % 3];
		return true;
	default: /* PROG_SPOIL_POISON_ZERO */
		c->hardening = 3;
		c->poison = poisons[variant % 2];
		if (!(c->flags & (PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO)))
			c->flags |= variant / 2 % 2 ? PFA_CONFIG_ZEROED_POOL : PFA_CONFIG_TRACK_ZERO;
		return c->pool != NULL;
	}
}

/* The counts and orders: one past each end of what is allowed, and all ones less one (all ones means zero). */
static bool spoil_number(struct pfa_config *c, enum prog_spoil bad, unsigned variant)
{
	switch (bad) {
	case PROG_SPOIL_FLAGS:
		if (variant % 2)
			c->fatal_policy = (enum pfa_fatal_policy)2;
		else
			c->flags |= 1u << (SPOIL_FLAGS_KNOWN + variant / 2 % (32 - SPOIL_FLAGS_KNOWN));
		return true;
	case PROG_SPOIL_FRAME_SHIFT: {
		static const uint32_t values[] = { 1, 5, 31, 63, 64, 0xFFFFFFFEu, PFA_EXPLICIT_0 };
		c->frame_shift = values[variant % 7];
		return true;
	}
	case PROG_SPOIL_MAX_ORDER: {
		static const uint32_t values[] = { 32, 63, 64, 0x80000000u, 0xFFFFFFFEu };
		c->max_order = values[variant % 5];
		return true;
	}
	case PROG_SPOIL_PAGEBLOCK_ORDER: {
		static const uint32_t values[] = { 1, 5, 21, 64, 0xFFFFFFFEu, PFA_EXPLICIT_0 };
		c->pageblock_order = values[variant % 6];
		return true;
	}
	case PROG_SPOIL_HARDENING: {
		static const uint32_t values[] = { 4, 256, 0x80000001u, 0xFFFFFFFEu, PFA_EXPLICIT_0 };
		c->hardening = values[variant % 5];
		return true;
	}
	case PROG_SPOIL_HISTORY: {
		static const uint32_t values[] = { PFA_HISTORY_LIMIT + 1, 256, 0x80000001u, 0xFFFFFFFEu };
		c->history = values[variant % 4];
		return true;
	}
	case PROG_SPOIL_TRACES:
		return spoil_traces(c, variant);
	case PROG_SPOIL_GUARD: {
		static const uint32_t values[] = { 1, 2048, 4097, 0x80001000u, PFA_EXPLICIT_0 };
		c->guard_bytes = values[variant % 5];
		return true;
	}
	case PROG_SPOIL_OWNERS: {
		static const uint32_t values[] = { 65536, 65537, 0x80000000u, 0xFFFFFFFEu };
		c->max_owners = values[variant % 4];
		return true;
	}
	case PROG_SPOIL_CPUS: {
		static const uint32_t values[] = { 4097, 65536, 0x80000000u, 0xFFFFFFFEu, PFA_EXPLICIT_0 };
		c->nr_cpus = values[variant % 5];
		return true;
	}
	default: /* PROG_SPOIL_CACHE */
		if (variant % 2)
			c->cache_high = variant / 2 % 2 ? 32768 : 0xFFFFFFFEu;
		else
			c->cache_max_order = variant / 2 % 2 ? 10 : 0xFFFFFFFEu;
		return true;
	}
}

/* The zones as a whole. */
static bool spoil_zones_all(struct pfa_config *c, enum prog_spoil bad, unsigned variant)
{
	struct pfa_zone_config *z = &spoil_zones[variant % c->nr_zones];

	switch (bad) {
	case PROG_SPOIL_ZONES:
		c->nr_zones = variant % 2 ? PFA_ZONES_LIMIT + 1 + variant / 2 : 0;
		return true;
	case PROG_SPOIL_ZONE_EMPTY:
		z->nr_frames = 0;
		return true;
	case PROG_SPOIL_ZONE_OVERFLOW:
		if (variant % 2)
			z->start = SIZE_MAX - z->nr_frames + 2;
		else
			z->nr_frames = SIZE_MAX - z->start + 1 + (z->start == 0);
		return z->start + z->nr_frames < z->start;
	case PROG_SPOIL_ZONE_OVERLAP:
		spoil_zones[c->nr_zones] = spoil_zones[0];
		spoil_zones[c->nr_zones].nr_holes = spoil_zones[c->nr_zones].nr_cma = 0;
		if (variant % 2)
			spoil_zones[c->nr_zones].start += spoil_zones[0].nr_frames - 1;
		c->nr_zones++;
		return true;
	default: /* PROG_SPOIL_SPAN: one frame too far away for the instance; the pool does not matter any more */
		spoil_zones[c->nr_zones] = (struct pfa_zone_config){ .size = sizeof(*z), .nr_frames = 1,
		                                                     .start = spoil_zones[0].start + ((size_t)1 << 31) * 2 };
		if (SIZE_MAX == UINT32_MAX)
			spoil_zones[c->nr_zones].start = SIZE_MAX - 1;
		else if (variant % 2)
			spoil_zones[c->nr_zones].start = SIZE_MAX / 2;
		for (unsigned i = 0; i < c->nr_zones; i++)
			if (spoil_zones[i].start <= spoil_zones[c->nr_zones].start &&
			    spoil_zones[c->nr_zones].start - spoil_zones[i].start < spoil_zones[i].nr_frames)
				return false;
		c->nr_zones++;
		return true;
	}
}

static bool spoil_memory_of(struct setup_spoilt *out, unsigned variant)
{
	if (pfa_size(out->cfg, &spoil_footprint, NULL, NULL) != PFA_OK)
		return false;
	out->init_only = true;
	out->memory = spoil_memory;
	out->memory_bytes = spoil_footprint.core_bytes;
	switch (variant % 4) {
	case 0: out->memory = NULL; return true;
	case 1: out->memory = (char *)spoil_memory + 1; return true;
	case 2: out->memory_bytes = spoil_footprint.core_bytes - 1; return true;
	default: out->memory_bytes = 0; return true;
	}
}

/* Spoils keep their numbers for ever; those of the library's problems may move. */
static const enum pfa_config_problem spoil_problems[PROG_SPOILS] = {
#define PFA_CONFIG_NONE PFA_CONFIG_FINE
#define PFA_SPOIL(number, ID, name) [number] = PFA_CONFIG_##ID,
#include "spoils.def"
#undef PFA_SPOIL
#undef PFA_CONFIG_NONE
};

bool setup_spoil(const struct setup *s, enum prog_spoil bad, unsigned variant, struct setup_spoilt *out)
{
	struct pfa_config *c = &spoil_cfg.c;
	struct pfa_zone_config *z = spoil_zones;

	if (pfa_size(&s->cfg, &spoil_footprint, NULL, NULL) != PFA_OK)
		return false; /* not valid to begin with: pfns that a 32-bit instance cannot have */
	memset(&spoil_cfg, 0, sizeof(spoil_cfg));
	memset(&spoil_platform, 0, sizeof(spoil_platform));
	memset(&spoil_one_zone, 0, sizeof(spoil_one_zone));
	*c = s->cfg;
	spoil_platform.p = *s->platform;
	memcpy(spoil_zones, s->zones, sizeof(s->zones));
	c->zones = spoil_zones;
	c->platform = &spoil_platform.p;
	*out = (struct setup_spoilt){ .cfg = c, .footprint = &spoil_footprint,
	                              .problem = spoil_problems[bad] };
	z += variant / 8 % c->nr_zones;
	switch (bad) {
	case PROG_SPOIL_NULL: return spoil_null(out, c, z, variant);
	case PROG_SPOIL_SIZE: return spoil_size(c, spoil_zones, variant);
	case PROG_SPOIL_PLATFORM: c->platform = NULL; return true;
	case PROG_SPOIL_FLAGS:
	case PROG_SPOIL_FRAME_SHIFT:
	case PROG_SPOIL_MAX_ORDER:
	case PROG_SPOIL_PAGEBLOCK_ORDER:
	case PROG_SPOIL_CPUS:
	case PROG_SPOIL_HARDENING:
	case PROG_SPOIL_GUARD:
	case PROG_SPOIL_HISTORY:
	case PROG_SPOIL_TRACES:
	case PROG_SPOIL_OWNERS:
	case PROG_SPOIL_CACHE: return spoil_number(c, bad, variant);
	case PROG_SPOIL_ZONES:
	case PROG_SPOIL_ZONE_EMPTY:
	case PROG_SPOIL_ZONE_OVERFLOW:
	case PROG_SPOIL_ZONE_OVERLAP:
	case PROG_SPOIL_SPAN: return spoil_zones_all(c, bad, variant);
	case PROG_SPOIL_QUARANTINE:
	case PROG_SPOIL_POISON:
	case PROG_SPOIL_POISON_ZERO: return spoil_full(c, bad, variant);
	case PROG_SPOIL_HOLES: return spoil_holes(z, variant);
	case PROG_SPOIL_CMA: return spoil_cma(c, z, variant);
	case PROG_SPOIL_MARKS: return spoil_marks(z, variant);
	case PROG_SPOIL_POOL: return spoil_pool(c, spoil_zones, variant);
	case PROG_SPOIL_MEMORY: return spoil_memory_of(out, variant);
	default: return false; /* NONE; CPU_OFFSET: no such compiler here; FOOTPRINT: below 2^32 frames it fits a size_t */
	}
}

static bool spoil_say(struct verdict *v, const char *what, size_t expected, size_t actual)
{
	*v = (struct verdict){ .monitor = "config refusal", .what = what, .expected = expected, .actual = actual };
	return false;
}

bool exec_judge_spoilt(const struct setup_spoilt *spoilt, struct verdict *v)
{
	struct pfa *const untouched = (struct pfa *)(void *)spoil_memory;
	struct pfa *pfa = untouched;
	enum pfa_config_problem problem = PFA_CONFIG_PROBLEMS;
	unsigned index = 0;
	int code = pfa_size(spoilt->cfg, spoilt->footprint, &problem, &index);

	if (spoilt->init_only ? code != PFA_OK : code != PFA_EINVAL)
		return spoil_say(v, "pfa_size of a spoilt configuration (problem, code)", spoilt->problem,
		                 (size_t)(unsigned)-code);
	if (!spoilt->init_only && problem != spoilt->problem)
		return spoil_say(v, "pfa_size names another problem", spoilt->problem, problem);
	if (spoilt->init_only || spoilt->footprint) {
		void *memory = spoilt->init_only ? spoilt->memory : (void *)spoil_memory;
		const size_t bytes = spoilt->init_only ? spoilt->memory_bytes : sizeof(spoil_memory);
		code = pfa_init(memory, bytes, spoilt->cfg, &pfa, &problem, &index);
		if (code != PFA_EINVAL)
			return spoil_say(v, "pfa_init of a spoilt configuration (problem, code)", spoilt->problem,
			                 (size_t)(unsigned)-code);
		if (problem != spoilt->problem)
			return spoil_say(v, "pfa_init names another problem", spoilt->problem, problem);
		if (pfa != untouched)
			return spoil_say(v, "pfa_init wrote to out though it refused", 0, 1);
	}
	if (!pfa_config_problem_text(problem) || !*pfa_config_problem_text(problem))
		return spoil_say(v, "a problem without a message", 1, 0);
	code = pfa_size(spoilt->cfg, spoilt->footprint, NULL, NULL);
	return code == (spoilt->init_only ? PFA_OK : PFA_EINVAL) ||
	       spoil_say(v, "pfa_size answers otherwise when nobody asks for the problem", 1, (size_t)(unsigned)-code);
}
