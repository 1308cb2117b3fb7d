/* SPDX-License-Identifier: MIT
 *
 * fuzz_config.c - pfa_size and pfa_init with anything, then a little use.
 *
 * Inputs whose first byte is below 128 are programs: their configuration is spoilt as config.bad says, which must be
 * refused with that problem, and so must some other ways to spoil it, which the input's hash chooses; then it is run as
 * it was. Others are configurations field by field, each from a boundary value or from raw bytes: accepted or refused,
 * but the answer must be specific, the same twice, from both functions, and what was accepted must work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pfa/harden.h>

#include "arena.h"
#include "exec.h"
#include "setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONFIG_ZONES 4u
#define CONFIG_RUNS 3u
#define CONFIG_SPOILS 8u /* tried with each program besides its own: a refusal takes a millionth of a second */

struct config_input {
	const uint8_t *data;
	size_t nr;
};

static struct program config_program;
static struct pfa_config config_cfg;
static struct pfa_zone_config config_zones[PFA_ZONES_LIMIT + 2u];
static struct pfa_run config_holes[CONFIG_ZONES][CONFIG_RUNS], config_cma[CONFIG_ZONES][CONFIG_RUNS];
static bool config_wild; /* cpu_offset leads anywhere: the answer is judged, the instance not used */

static size_t config_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	(void)ctx;
	if (max)
		out[0] = 1;
	return max != 0;
}

static struct pfa_platform config_platform = { .size = sizeof(struct pfa_platform), .backtrace = config_backtrace };
static struct pfa_platform config_plain = { .size = sizeof(struct pfa_platform) };

static void config_fail(const char *what, size_t expected, size_t actual)
{
	fprintf(stderr, "pfa-finding: id=c0f1%04x invariant=config op=init step=0 message=%s (expected %zu, actual %zu)\n",
	        (unsigned)strlen(what) & 0xFFFFu, what, expected, actual);
	fprintf(stderr, "\ncpu_offset %td hardening %u history %u traces %u/%u guard %u\n", config_cfg.cpu_offset,
	        config_cfg.hardening, config_cfg.history, config_cfg.nr_traces, config_cfg.trace_shift, config_cfg.guard_bytes);
	fprintf(stderr, "quarantine %u poison %u\n", config_cfg.quarantine, (unsigned)config_cfg.poison);
	fprintf(stderr, "frame_shift %u max_order %u pageblock_order %u cpus %u cache %u/%u/%u flags %x policy %d\n",
	        config_cfg.frame_shift, config_cfg.max_order, config_cfg.pageblock_order, config_cfg.nr_cpus,
	        config_cfg.cache_high, config_cfg.cache_batch, config_cfg.cache_max_order, config_cfg.flags,
	        (int)config_cfg.fatal_policy);
	fprintf(stderr, "pool %p, %zu bytes, pfn %zu\n", config_cfg.pool, config_cfg.pool_bytes, (size_t)config_cfg.pool_pfn);
	for (unsigned i = 0; i < config_cfg.nr_zones && i < CONFIG_ZONES; i++) {
		const struct pfa_zone_config *z = &config_zones[i];
		fprintf(stderr, "zone %u: pfn %zu, %zu frames, marks %zu/%zu/%zu, highatomic %zu\n", i, (size_t)z->start,
		        z->nr_frames, z->mark_min, z->mark_low, z->mark_high, z->highatomic_frames);
		for (size_t k = 0; k < z->nr_holes; k++)
			fprintf(stderr, "  hole %zu + %zu\n", (size_t)z->holes[k].first, z->holes[k].nr_frames);
		for (size_t k = 0; k < z->nr_cma; k++)
			fprintf(stderr, "  cma %zu + %zu\n", (size_t)z->cma[k].first, z->cma[k].nr_frames);
	}
	abort();
}

/* ---- values from bytes ------------------------------------------------------------------------------------------- */

static uint8_t config_byte(struct config_input *in)
{
	if (!in->nr)
		return 0;
	in->nr--;
	return *in->data++;
}

static uint64_t config_bytes(struct config_input *in, unsigned nr)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < nr; i++)
		value = value << 8 | config_byte(in);
	return value;
}

/* A number that is usually small and near a bound, sometimes anything. */
static uint64_t config_value(struct config_input *in, uint64_t least, uint64_t most)
{
	const uint8_t how = config_byte(in);

	switch (how & 15) {
	case 0: return 0;
	case 1: return least;
	case 2: return most;
	case 3: return least - 1;
	case 4: return most + 1;
	case 5: return PFA_EXPLICIT_0;
	case 6: return PFA_EXPLICIT_0 - 1u;
	case 7: return config_bytes(in, 8);
	default: return least + config_bytes(in, 2) % (most - least + 1);
	}
}

static size_t config_frames(struct config_input *in, uint64_t scale)
{
	switch (config_byte(in) & 7) {
	case 0: return 0;
	case 1: return (size_t)config_bytes(in, 8);
	case 2: return (size_t)1 << (config_byte(in) % (8 * sizeof(size_t)));
	case 3: return SIZE_MAX - config_byte(in);
	default: return (size_t)(config_bytes(in, 2) % scale);
	}
}

static size_t config_runs(struct config_input *in, struct pfa_run runs[], const struct pfa_zone_config *z, size_t grain)
{
	const size_t nr = config_byte(in) % (CONFIG_RUNS + 2u);
	pfa_pfn at = (z->start + grain - 1) / grain * grain;

	for (size_t i = 0; i < nr && i < CONFIG_RUNS; i++) {
		const uint8_t how = config_byte(in);
		at += (how >> 4) * grain;
		if (how >> 4 == 15) /* before the end of the one before, or at its beginning */
			at = i ? runs[i - 1].first + (how >> 2 & 1u) * grain : at;
		runs[i] = (struct pfa_run){ at, ((how >> 2 & 3u) + 1) * grain };
		if ((how & 3) == 1)
			runs[i].first = config_frames(in, 1024);
		if ((how & 3) == 2)
			runs[i].nr_frames = config_frames(in, 256);
		at = runs[i].first + runs[i].nr_frames;
	}
	return nr < CONFIG_RUNS ? nr : CONFIG_RUNS;
}

static void config_zone(struct config_input *in, unsigned i)
{
	struct pfa_zone_config *z = &config_zones[i];
	const uint8_t what = config_byte(in);

	*z = (struct pfa_zone_config){ .size = sizeof(*z) };
	z->start = config_frames(in, 1024);
	z->nr_frames = config_frames(in, 1024);
	if (i && !(what & 1)) /* right after the zone before, so that some are disjoint */
		z->start = config_zones[i - 1].start + config_zones[i - 1].nr_frames;
	if (what & 2) {
		z->mark_min = config_frames(in, 64);
		z->mark_low = z->mark_min + config_frames(in, 16);
		z->mark_high = z->mark_low + config_frames(in, 16);
	}
	if (what & 4)
		z->highatomic_frames = config_frames(in, 512);
	if (what & 8) {
		z->holes = config_holes[i];
		z->nr_holes = config_runs(in, config_holes[i], z, 1);
	}
	if (what & 16) {
		z->cma = config_cma[i];
		z->nr_cma = config_runs(in, config_cma[i], z, (size_t)1 << (config_cfg.pageblock_order % 21));
	}
	if (what & 32)
		z->name = "named";
}

static void config_decode(struct config_input *in)
{
	struct pfa_config *c = &config_cfg;

	pfa_config_init(c);
	c->platform = &config_platform;
	c->zones = config_zones;
	c->nr_zones = (uint32_t)config_value(in, 1, CONFIG_ZONES);
	c->flags = config_byte(in) & 15u;
	c->frame_shift = (uint32_t)config_value(in, 6, 30);
	c->max_order = (uint32_t)config_value(in, 1, 31);
	c->pageblock_order = (uint32_t)config_value(in, 6, 20);
	c->nr_cpus = (uint32_t)config_value(in, 1, 16);
	c->cache_high = (uint32_t)config_value(in, 1, 64);
	c->cache_batch = (uint32_t)config_value(in, 1, 64);
	c->cache_max_order = (uint32_t)config_value(in, 1, 9);
	c->fatal_policy = (enum pfa_fatal_policy)(config_byte(in) % 4);
	c->seed = config_bytes(in, 1);
	const unsigned real = c->nr_zones <= PFA_ZONES_LIMIT ? c->nr_zones : PFA_ZONES_LIMIT;
	for (unsigned i = 0; i < real && i < CONFIG_ZONES; i++)
		config_zone(in, i);
	for (unsigned i = CONFIG_ZONES; i < real; i++) /* many: one frame each, after the others */
		config_zones[i] = (struct pfa_zone_config){ .size = sizeof(config_zones[i]), .nr_frames = 1,
		                                            .start = config_zones[i - 1].start + config_zones[i - 1].nr_frames };
	if (config_byte(in) & 1) {
		c->pool = (void *)(uintptr_t)((uint64_t)config_bytes(in, 2) << (config_byte(in) % 48));
		c->pool_bytes = config_frames(in, 65536);
		c->pool_pfn = config_frames(in, 1024);
		c->flags |= PFA_CONFIG_NO_SHADOW; /* there is nothing at such addresses */
	}
	/* Fields that came later; where the bytes have ended they are 0, so that older inputs keep their meaning. */
	const uint8_t cpu = config_byte(in);
	setup_cpu = cpu >> 2;
	config_wild = (cpu & 3) == 2;
	c->cpu_offset = (cpu & 3) == 1 ? setup_cpu_offset() : config_wild ? (ptrdiff_t)config_bytes(in, 8) : 0;
	if (config_byte(in) & 1)
		c->hardening = (uint32_t)config_value(in, 1, 3);
	const uint8_t more = config_byte(in);
	if (more & 1)
		c->history = (uint32_t)config_value(in, 1, PFA_HISTORY_LIMIT);
	if (more & 2) {
		c->nr_traces = more & 16 ? 1u << (config_byte(in) % 24) : (uint32_t)config_value(in, 1, 64);
		c->trace_shift = (uint32_t)config_value(in, 0, 31);
	}
	if (more & 4)
		c->guard_bytes = more & 8 ? PFA_GUARD_BYTES_MIN : (uint32_t)config_value(in, PFA_GUARD_BYTES_MIN, 65536);
	if (more & 64)
		c->platform = &config_plain; /* it has no backtraces */
	const uint8_t full = config_byte(in);
	if (full & 1)
		c->quarantine = (uint32_t)config_value(in, 1, 65536);
	c->poison = (enum pfa_poison)(full >> 1 & 7);
	if (c->hardening == 3 && c->pool && c->poison != PFA_POISON_NONE)
		config_wild = true; /* what is freed would be written to */
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static void config_use(struct pfa *pfa)
{
	struct pfa_violation violation;
	struct pfa_zone_stats s;
	pfa_pfn pfn[8];
	unsigned got = 0;
	int code;

	if (pfa_check(pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation) != PFA_OK)
		config_fail(violation.what ? violation.what : "the checker fails after init", violation.expected, violation.actual);
	for (unsigned i = 0; i < 8; i++) {
		code = pfa_alloc(pfa, 0, i % 3, &pfn[got]);
		if (code != PFA_OK && code != PFA_ENOMEM)
			config_fail("a request is neither granted nor refused", 0, (size_t)(unsigned)-code);
		got += code == PFA_OK;
	}
	for (unsigned i = 0; i < got; i++)
		for (unsigned j = 0; j < i; j++)
			if (pfn[i] == pfn[j])
				config_fail("a frame was granted twice", pfn[i], i);
	for (unsigned i = 0; i < got; i++)
		if (pfa_free(pfa, pfn[i], 0) != PFA_OK)
			config_fail("a frame cannot be freed", pfn[i], i);
	if (pfa_cache_drain(pfa, PFA_ALL_CPUS) != PFA_OK)
		config_fail("the caches cannot be drained", 0, 1);
	size_t free = 0, present = 0, configured = 0;
	for (unsigned i = 0; i < config_cfg.nr_zones; i++) {
		if (pfa_zone_stats_get(pfa, i, &s, sizeof(s)) != PFA_OK)
			config_fail("no statistics of a zone", i, 1);
		free += s.free;
		present += s.present;
		configured += config_zones[i].nr_frames;
		for (size_t k = 0; k < config_zones[i].nr_holes; k++)
			configured -= config_zones[i].holes[k].nr_frames;
	}
	if (present != configured || free != present)
		config_fail("present and free frames are not those configured", configured, present == configured ? free : present);
	if (pfa_fini(pfa) != PFA_OK)
		config_fail("the end is refused though nothing is live", 0, 1);
}

static void config_judge(void)
{
	struct pfa_footprint need = { 0 };
	enum pfa_config_problem problem = PFA_CONFIG_PROBLEMS, again = PFA_CONFIG_PROBLEMS;
	unsigned index = 0;
	struct pfa *pfa = NULL;
	int code = pfa_size(&config_cfg, &need, &problem, &index);

	if (code != PFA_OK && code != PFA_EINVAL)
		config_fail("pfa_size answers with another code", PFA_OK, (size_t)(unsigned)-code);
	if ((code == PFA_OK) != (problem == PFA_CONFIG_FINE) || problem >= PFA_CONFIG_PROBLEMS ||
	    problem == PFA_CONFIG_MEMORY)
		config_fail("pfa_size names no specific problem", (size_t)(unsigned)-code, problem);
	if (!*pfa_config_problem_text(problem) || (problem && index >= config_cfg.nr_zones && index))
		config_fail("a problem without a message, or in a zone that there is not", problem, index);
	if (code == PFA_OK && (need.align == 0 || (need.align & (need.align - 1)) || need.core_bytes == 0))
		config_fail("the footprint is none", need.align, need.core_bytes);
	if (code == PFA_OK && need.core_bytes > ARENA_METADATA_MAX / 8)
		return;
	/* the arena's end is a page's: what needs more is not tried */
	if (code == PFA_OK && need.align > PFA_GUARD_BYTES_MIN)
		return;
	void *memory = arena_metadata(code == PFA_OK ? need.core_bytes : 4096, (config_cfg.flags & PFA_CONFIG_ZEROED_META) != 0);
	const int init = pfa_init(memory, code == PFA_OK ? need.core_bytes : 4096, &config_cfg, &pfa, &again, &index);
	if (init != code || again != problem)
		config_fail("pfa_init and pfa_size disagree about the problem", problem, again);
	if (init == PFA_OK && !config_wild)
		config_use(pfa);
	else if (init != PFA_OK && pfa)
		config_fail("out was written though init refused", 0, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct setup setup;
	static struct pfa_platform platform;
	static const struct exec_options options = EXEC_OPTIONS_ALL;
	struct setup_spoilt spoilt;
	struct verdict v;

	exec_install_callbacks();
	if (size && data[0] >= 128) {
		struct config_input in = { data + 1, size - 1 };
		config_decode(&in);
		config_judge();
		return 0;
	}
	prog_decode(data, size, &config_program);
	platform = (struct pfa_platform){ .size = sizeof(platform), .backtrace = config_backtrace };
	setup_make(&setup, &config_program.config, 0, &platform);
	uint64_t dice = size;
	for (size_t i = 0; i < size; i++)
		dice = (dice ^ data[i]) * 0x9E3779B97F4A7C15u;
	for (unsigned i = 0; i <= CONFIG_SPOILS; i++, dice = dice * 0xD6E8FEB86659FD93u + 1) {
		const enum prog_spoil bad = i ? (enum prog_spoil)(1 + (dice >> 40) % (PROG_SPOILS - 1u)) : config_program.config.bad;
		const unsigned variant = i ? (unsigned)(dice >> 56) : config_program.config.bad_variant;
		if (!setup_spoil(&setup, bad, variant, &spoilt) || exec_judge_spoilt(&spoilt, &v))
			continue;
		config_cfg = setup.cfg;
		memcpy(config_zones, setup.zones, sizeof(setup.zones));
		fprintf(stderr, "config bad=%s:%u\n", prog_spoil_name(bad), variant);
		config_fail(v.what, v.expected, v.actual);
	}
	if (config_program.nr_ops > 32)
		config_program.nr_ops = 32;
	prog_canonicalise(&config_program);
	exec_or_abort(&config_program, &options);
	return 0;
}
