/* SPDX-License-Identifier: MIT
 *
 * setup.c - see setup.h.
 */
#include "setup.h"

#include "arena.h"

_Thread_local uint32_t setup_cpu;

ptrdiff_t setup_cpu_offset(void)
{
#if defined(__has_builtin) && (defined(__x86_64__) || defined(__aarch64__))
#if __has_builtin(__builtin_thread_pointer)
	return (ptrdiff_t)((uintptr_t)&setup_cpu - (uintptr_t)__builtin_thread_pointer());
#endif
#endif
	return 0;
}

static uint32_t setup_or_explicit_0(unsigned value)
{
	return value ? value : PFA_EXPLICIT_0;
}

static void setup_zone(struct setup *s, unsigned i, const struct prog_zone *z, uint32_t lacks)
{
	struct pfa_zone_config *to = &s->zones[i];

	*to = (struct pfa_zone_config){ .size = sizeof(*to), .start = z->start, .nr_frames = z->nr };
	if (!(lacks & SUT_NO_MARKS)) {
		to->mark_min = z->mark_min;
		to->mark_low = z->mark_low;
		to->mark_high = z->mark_high;
	}
	if (!(lacks & SUT_NO_HOLES)) {
		for (unsigned h = 0; h < z->nr_holes; h++)
			s->holes[i][h] = (struct pfa_run){ z->holes[h].start, z->holes[h].nr };
		to->holes = z->nr_holes ? s->holes[i] : NULL;
		to->nr_holes = z->nr_holes;
	}
	if (!(lacks & SUT_NO_TYPES)) {
		to->highatomic_frames = z->highatomic;
		if (z->cma.nr) {
			s->cma[i][0] = (struct pfa_run){ z->cma.start, z->cma.nr };
			to->cma = s->cma[i];
			to->nr_cma = 1;
		}
	}
}

/* The highest zone goes on behind a hole. */
static void setup_huge(struct setup *s)
{
	struct pfa_zone_config *z = &s->zones[0];

	for (unsigned i = 1; i < s->cfg.nr_zones; i++)
		if (s->zones[i].start > z->start)
			z = &s->zones[i];
	struct pfa_run *holes = s->holes[z - s->zones];
	holes[z->nr_holes++] = (struct pfa_run){ z->start + z->nr_frames, PROG_HUGE_HOLE };
	z->holes = holes;
	z->nr_frames += PROG_HUGE_HOLE + PROG_HUGE_TAIL;
}

/* Chooses where frames have addresses, and who zeroes. A pool too large for content is only addresses. */
static void setup_pool(struct setup *s, const struct prog_config *c)
{
	pfa_pfn first = SIZE_MAX, end = 0;
	enum prog_pool pool = c->pool;

	for (unsigned i = 0; i < s->cfg.nr_zones; i++) {
		if (s->zones[i].start < first)
			first = s->zones[i].start;
		if (s->zones[i].start + s->zones[i].nr_frames > end)
			end = s->zones[i].start + s->zones[i].nr_frames;
	}
	const size_t frames = end - first;
	const bool fits = frames <= (SIZE_MAX >> c->frame_shift);
	const size_t bytes = fits ? frames << c->frame_shift : 0;
	if (pool == PROG_POOL_CONTENT && fits) {
		s->cfg.pool = arena_pool_content(bytes);
		s->content = s->cfg.pool;
		s->content_bytes = s->content ? bytes : 0;
		s->content_pfn = first;
		s->zero = c->seed & 1 ? SETUP_ZERO_OP : SETUP_ZERO_LIBRARY;
	}
	if ((pool == PROG_POOL_CONTENT || pool == PROG_POOL_NONE) && !s->content) {
		s->cfg.pool = fits ? arena_pool_none(bytes, c->frame_shift) : NULL;
		s->zero = SETUP_ZERO_SHADOW;
	}
	if (pool == PROG_POOL_ZERO_OP)
		s->zero = SETUP_ZERO_SHADOW;
	if (s->cfg.pool) {
		s->cfg.pool_bytes = bytes;
		s->cfg.pool_pfn = first;
	}
}

/* Only content can be poisoned; and by the library, since the arena's poison would forbid it to look. */
static void setup_poison(struct setup *s, const struct prog_config *c, uint32_t lacks)
{
	static const enum pfa_poison poisons[PROG_POISONS] = { PFA_POISON_NONE, PFA_POISON_LINES, PFA_POISON_ALL,
		                                                PFA_POISON_ZERO };

	s->cfg.poison = s->content && !(lacks & SUT_NO_POISON) ? poisons[c->poison] : PFA_POISON_NONE;
	if (s->cfg.poison != PFA_POISON_NONE)
		s->zero = SETUP_ZERO_LIBRARY;
}

void setup_make(struct setup *s, const struct prog_config *c, uint32_t lacks, struct pfa_platform *platform)
{
	s->platform = platform;
	s->content = NULL;
	s->content_bytes = 0;
	s->zero = SETUP_ZERO_NONE;
	s->frame_bytes = (size_t)1 << c->frame_shift;
	pfa_config_init(&s->cfg);
	s->cfg.platform = platform;
	s->cfg.zones = s->zones;
	s->cfg.nr_zones = lacks & SUT_NO_ZONES ? 1 : c->nr_zones;
	for (unsigned i = 0; i < s->cfg.nr_zones; i++)
		setup_zone(s, i, &c->zones[i], lacks);
	if (c->huge && !(lacks & SUT_NO_HOLES))
		setup_huge(s);
	/* The arena poisons what is nobody's by itself, and the library's shadow hook would go round the fast paths. */
	s->cfg.flags = PFA_CONFIG_NO_SHADOW | (c->zeroed_meta ? PFA_CONFIG_ZEROED_META : 0) |
	               (c->zeroed_pool ? PFA_CONFIG_ZEROED_POOL : 0) | (c->track_zero ? PFA_CONFIG_TRACK_ZERO : 0);
	s->cfg.flags |= c->generations ? PFA_CONFIG_GENERATIONS : 0;
	s->cfg.history = c->history;
	s->cfg.max_owners = c->owners;
	s->cfg.nr_traces = prog_nr_traces(c->traces);
	s->cfg.trace_shift = prog_trace_shift(c->traces);
	s->cfg.frame_shift = c->frame_shift;
	s->cfg.max_order = setup_or_explicit_0(c->max_order);
	s->cfg.pageblock_order = c->pageblock_order;
	s->cfg.nr_cpus = c->cpus;
	if (c->cpu_way == PROG_CPU_OFFSET)
		s->cfg.cpu_offset = setup_cpu_offset();
	if (c->cpu_way == PROG_CPU_NONE)
		platform->cpu = NULL;
	s->cfg.cache_high = c->cache_high == PROG_CACHE_NONE ? PFA_EXPLICIT_0 : c->cache_high;
	s->cfg.cache_batch = c->cache_batch;
	s->cfg.cache_max_order = c->cache_max_order == PROG_CACHE_ORDER_0 ? PFA_EXPLICIT_0 : c->cache_max_order;
	s->cfg.fatal_policy = c->abort_policy ? PFA_FATAL_ABORT : PFA_FATAL_REPORT;
	s->cfg.seed = c->seed;
	s->cfg.hardening = c->hardening;
	if (c->hardening == 3 && c->quarantine != PROG_QUARANTINE_DEFAULT)
		s->cfg.quarantine = setup_or_explicit_0(c->quarantine);
	setup_pool(s, c);
	setup_poison(s, c, lacks);
	if (s->zero == SETUP_ZERO_NONE || s->zero == SETUP_ZERO_LIBRARY)
		platform->zero = NULL;
}

void setup_wipe_pool(struct setup *s)
{
	if (!s->content)
		return;
	arena_pool_wipe(s->content_bytes, (s->cfg.flags & PFA_CONFIG_ZEROED_POOL) != 0);
	if (s->zero == SETUP_ZERO_OP)
		arena_poison(s->content, s->content_bytes);
}
