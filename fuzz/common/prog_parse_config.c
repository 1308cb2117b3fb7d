/* SPDX-License-Identifier: MIT
 *
 * prog_parse_config.c - reads the lines before the operations: header, configuration and zones.
 */
#include "prog_parse.h"

#include <inttypes.h>
#include <string.h>

static bool parse_target(struct parser *s, struct word w)
{
	bool good = w.len > 0 && w.len < sizeof(s->p->target);

	for (size_t i = 0; good && i < w.len; i++)
		good = (w.at[i] >= 'a' && w.at[i] <= 'z') || (w.at[i] >= '0' && w.at[i] <= '9') || w.at[i] == '_';
	if (!good)
		return parse_expected(s, w, "a target's name: 1 to 15 of a-z, 0-9 and _");
	memcpy(s->p->target, w.at, w.len);
	return true;
}

bool parse_header(struct parser *s, struct word first)
{
	struct word w, key, value;
	uint64_t n;

	if (!parse_is(first, "pfa-trace"))
		return parse_expected(s, first, "the first line 'pfa-trace 1 target=... seed=...'");
	w = parse_next(s);
	if (!parse_number(s, w, "version", 1, PROG_VERSION, &n))
		return false;
	s->p->config.version = (unsigned)n;
	while ((w = parse_next(s)).len) {
		if (!parse_halves(w, &key, &value) || !(parse_is(key, "target") || parse_is(key, "seed")))
			return parse_expected(s, w, "target= or seed=");
		if (parse_is(key, "target")) {
			memset(s->p->target, 0, sizeof(s->p->target));
			if (!parse_target(s, value))
				return false;
		} else {
			if (!parse_number(s, value, "seed", 0, 255, &n))
				return false;
			s->p->config.seed = (unsigned)n;
		}
	}
	s->have_header = true;
	return true;
}

static bool parse_cache(struct parser *s, struct word value)
{
	struct prog_config *c = &s->p->config;
	struct word batch = parse_cut(&value, '/');
	uint64_t n = 0;

	if (!parse_is(batch, "default") && !parse_number(s, batch, "cache batch (or default)", 1, 63, &n))
		return false;
	c->cache_batch = (unsigned)n;
	n = 0;
	if (parse_is(value, "none"))
		n = PROG_CACHE_NONE;
	else if (!parse_is(value, "default") &&
	         !parse_number(s, value, "cache=batch/high: high (or default, none)", 1, PROG_CACHE_NONE - 1, &n))
		return false;
	c->cache_high = (unsigned)n;
	return true;
}

static bool parse_swarm(struct parser *s, struct word value)
{
	uint64_t group;

	s->p->config.swarm = 0;
	do {
		if (!parse_choice(s, parse_cut(&value, ','), "swarm", prog_group_name, &group))
			return false;
		s->p->config.swarm |= UINT32_C(1) << group;
	} while (value.len);
	return true;
}

static bool parse_bad(struct parser *s, struct word value)
{
	struct word name = parse_cut(&value, ':');
	uint64_t spoil, variant = 0;

	if (!parse_choice(s, name, "bad", prog_spoil_name, &spoil))
		return false;
	if (value.len && !parse_number(s, value, "bad=...:variant", 0, spoil ? 255 : 0, &variant))
		return false;
	s->p->config.bad = (enum prog_spoil)spoil;
	s->p->config.bad_variant = (unsigned)variant;
	return true;
}

static const char *pool_name(unsigned i)
{
	static const char *const names[] = {"content", "absent", "none", "zero_op", NULL};

	return names[i];
}

static const char *zero_name(unsigned i)
{
	static const char *const names[] = {"none", "pool", "track", "both", NULL};

	return names[i];
}

static const char *meta_name(unsigned i)
{
	static const char *const names[] = {"dirty", "zeroed", NULL};

	return names[i];
}

static const char *generations_name(unsigned i)
{
	static const char *const names[] = {"off", "on", NULL};

	return names[i];
}

static const char *policy_name(unsigned i)
{
	static const char *const names[] = {"report", "abort", NULL};

	return names[i];
}

static const char *check_name(unsigned i)
{
	static const char *const names[] = {"touched", "full", NULL};

	return names[i];
}

static const char *cpu_way_name(unsigned i)
{
	static const char *const names[] = {"op", "offset", "none", NULL};

	return names[i];
}

/* The words that stand for a number. *known is false if the key is none of them. */
static bool parse_config_word(struct parser *s, struct word key, struct word value, bool *known)
{
	struct prog_config *c = &s->p->config;
	uint64_t n = 0;
	bool good;

	*known = true;
	if (parse_is(key, "pool")) {
		good = parse_choice(s, value, "pool", pool_name, &n);
		c->pool = (enum prog_pool)n;
	} else if (parse_is(key, "zero")) {
		good = parse_choice(s, value, "zero", zero_name, &n);
		c->zeroed_pool = n & 1;
		c->track_zero = n >> 1 & 1;
	} else if (parse_is(key, "meta")) {
		good = parse_choice(s, value, "meta", meta_name, &n);
		c->zeroed_meta = n;
	} else if (parse_is(key, "policy")) {
		good = parse_choice(s, value, "policy", policy_name, &n);
		c->abort_policy = n;
	} else if (parse_is(key, "poison")) {
		good = parse_choice(s, value, "poison", prog_poison_name, &n);
		c->poison = (enum prog_poison)n;
	} else if (parse_is(key, "quarantine") && parse_is(value, "default")) {
		good = true;
		c->quarantine = PROG_QUARANTINE_DEFAULT;
	} else if (parse_is(key, "generations")) {
		good = parse_choice(s, value, "generations", generations_name, &n);
		c->generations = n;
	} else if (parse_is(key, "cpu_way")) {
		good = parse_choice(s, value, "cpu_way", cpu_way_name, &n);
		c->cpu_way = (enum prog_cpu_way)n;
	} else if (parse_is(key, "check")) {
		good = parse_choice(s, value, "check", check_name, &n);
		c->check = (enum prog_check)n;
	} else {
		good = true;
		*known = false;
	}
	return good;
}

static bool parse_config_number(struct parser *s, struct word key, struct word value, bool *known)
{
	struct prog_config *c = &s->p->config;
	const struct {
		const char *name;
		unsigned *field, low, high;
	} fields[] = {
		{"frame_shift", &c->frame_shift, 6, 16},         {"max_order", &c->max_order, 0, 31},
		{"pageblock_order", &c->pageblock_order, 6, 20}, {"cpus", &c->cpus, 1, 16},
		{"cache_order", &c->cache_max_order, 0, 9},      {"hardening", &c->hardening, 0, 3},
		{"quarantine", &c->quarantine, 0, PROG_QUARANTINE_DEFAULT - 1},
		{"threads", &c->threads, 1, PROG_THREADS_MAX},   {"huge", &c->huge, 0, 1},
		{"history", &c->history, 0, 16},                 {"traces", &c->traces, 0, PROG_TRACES_MAX},
		{"owners", &c->owners, 0, PROG_OWNERS_MAX},
	};
	uint64_t n;

	*known = true;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!parse_is(key, fields[i].name))
			continue;
		if (!parse_number(s, value, fields[i].name, fields[i].low, fields[i].high, &n))
			return false;
		*fields[i].field = (unsigned)n;
		if (fields[i].field == &c->cache_max_order && n == 0)
			c->cache_max_order = PROG_CACHE_ORDER_0;
		if (fields[i].field == &c->cache_max_order) {
			s->order_line = s->line;
			s->order_start = s->line_start;
			s->order_at = value.at;
		}
		return true;
	}
	*known = false;
	return true;
}

bool parse_config(struct parser *s)
{
	struct word w, key, value;

	while ((w = parse_next(s)).len) {
		bool good, known = true;

		if (!parse_halves(w, &key, &value))
			return parse_expected(s, w, "key=value");
		if (parse_is(key, "cache")) {
			good = parse_cache(s, value);
		} else if (parse_is(key, "swarm")) {
			good = parse_swarm(s, value);
		} else if (parse_is(key, "bad")) {
			good = parse_bad(s, value);
		} else {
			good = parse_config_word(s, key, value, &known);
			if (!known)
				good = parse_config_number(s, key, value, &known);
		}
		if (!known)
			return parse_expected(
				s, key, "a key of config (frame_shift, max_order, pageblock_order, cpus, cache, ...)");
		if (!good)
			return false;
	}
	return true;
}

/* ---- zones -------------------------------------------------------------------------------------------------------- */

static bool parse_marks(struct parser *s, struct word value, struct prog_zone *z)
{
	struct word low_word = value, high_word, min_word = parse_cut(&low_word, '/');
	uint64_t min, low, high;

	high_word = low_word;
	low_word = parse_cut(&high_word, '/');
	if (!parse_number(s, min_word, "marks=min/low/high: min", 0, 127, &min) ||
	    !parse_number(s, low_word, "marks=min/low/high: low", min, min + 127, &low) ||
	    !parse_number(s, high_word, "marks=min/low/high: high", low, low + 127, &high))
		return false;
	z->mark_min = (uint32_t)min;
	z->mark_low = (uint32_t)low;
	z->mark_high = (uint32_t)high;
	return true;
}

/* Long holes become several, as the binary form has them. */
static bool parse_hole(struct parser *s, struct word value, struct prog_zone *z)
{
	struct prog_run hole;
	uint32_t from = z->start;

	if (!parse_run(s, value, "hole", &hole))
		return false;
	if (z->nr_holes)
		from = z->holes[z->nr_holes - 1].start + z->holes[z->nr_holes - 1].nr;
	if (hole.start < from || hole.start - z->start > z->nr || hole.nr > z->nr - (hole.start - z->start))
		return parse_fail(s, value.at,
		                  "hole: expected frames of %" PRIu32 "..%" PRIu32 ", after the hole before it", from,
		                  z->start + z->nr - 1);
	while (hole.nr) {
		uint32_t nr = hole.nr < PROG_HOLE_MAX ? hole.nr : PROG_HOLE_MAX;

		if (s->nr_holes++ == PROG_HOLES_MAX)
			return parse_fail(s, value.at,
			                  "too many holes: %u of up to %u frames are possible in all zones together",
			                  PROG_HOLES_MAX, PROG_HOLE_MAX);
		z->holes[z->nr_holes++] = (struct prog_run){hole.start, nr};
		hole.start += nr;
		hole.nr -= nr;
	}
	return true;
}

static bool parse_zone_key(struct parser *s, struct word key, struct word value, struct prog_zone *z, struct word *cma)
{
	uint64_t n;

	if (parse_is(key, "hole"))
		return parse_hole(s, value, z);
	if (parse_is(key, "marks"))
		return parse_marks(s, value, z);
	if (parse_is(key, "cma")) {
		*cma = value;
		return parse_run(s, value, "cma", &z->cma);
	}
	if (!parse_is(key, "highatomic"))
		return parse_expected(s, key, "hole=, cma=, marks= or highatomic=");
	if (!parse_number(s, value, "highatomic", 0, 127 * 32, &n))
		return false;
	if (n % 32)
		return parse_expected(s, value, "a multiple of 32 frames");
	z->highatomic = (uint32_t)n;
	return true;
}

bool parse_zone(struct parser *s)
{
	struct prog_config *c = &s->p->config;
	struct word index = parse_next(s), w, key, value;
	struct prog_zone *z = &c->zones[c->nr_zones];
	struct prog_run run;
	uint64_t n;

	if (s->have_ops)
		return parse_fail(s, s->line_start, "expected zones before the first operation");
	if (c->nr_zones == PROG_ZONES_MAX)
		return parse_fail(s, index.at, "expected at most %u zones", PROG_ZONES_MAX);
	if (!parse_number(s, index, "zone (they are numbered in order)", c->nr_zones, c->nr_zones, &n))
		return false;
	w = parse_next(s);
	if (!parse_halves(w, &key, &value) || !parse_is(key, "pfn"))
		return parse_expected(s, w, "pfn=first..last");
	if (!parse_run(s, value, "pfn", &run))
		return false;
	if (run.nr > PROG_FRAMES_MAX)
		return parse_fail(s, value.at, "pfn: expected at most %u frames in a zone", PROG_FRAMES_MAX);
	z->start = run.start;
	z->nr = run.nr;
	s->zone_words[c->nr_zones] = value;
	s->zone_lines[c->nr_zones] = s->line;
	s->zone_starts[c->nr_zones] = s->line_start;
	while ((w = parse_next(s)).len) {
		if (!parse_halves(w, &key, &value))
			return parse_expected(s, w, "key=value");
		if (!parse_zone_key(s, key, value, z, &s->cma_words[c->nr_zones]))
			return false;
	}
	c->nr_zones++;
	return true;
}

static bool fail_zone(struct parser *s, unsigned zone, struct word at, const char *message)
{
	s->line = s->zone_lines[zone];
	s->line_start = s->zone_starts[zone];
	return parse_fail(s, at.at ? at.at : s->zone_words[zone].at, "zone %u: %s", zone, message);
}

/* Before the first operation: is the configuration one that the format can hold? */
bool parse_zones_done(struct parser *s)
{
	struct prog_config *c = &s->p->config, fixed;
	unsigned order[PROG_ZONES_MAX];
	uint32_t total = 0, end = 0;

	if (c->nr_zones == 0)
		return parse_fail(s, s->line_start, "expected a line 'zone 0 pfn=first..last' before this");
	prog_zone_order(c, order);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		const struct prog_zone *z = &c->zones[order[i]];

		total += z->nr;
		if (i && z->start < end)
			return fail_zone(s, order[i], s->zone_words[order[i]],
			                 "expected no frame that another zone has");
		if (i && z->start - end > PROG_GAP_MAX)
			return fail_zone(s, order[i], s->zone_words[order[i]],
			                 "expected at most 8191 pfns between two zones");
		if (!i && z->start % (UINT32_C(1) << 26) > PROG_GAP_MAX)
			return fail_zone(s, order[i], s->zone_words[order[i]],
			                 "expected the lowest zone to start at 0..8191 above a multiple of 2^26");
		end = z->start + z->nr;
	}
	if (total > PROG_FRAMES_TOTAL)
		return fail_zone(s, 0, s->zone_words[0], "expected at most 16384 frames in all zones together");
	fixed = *c;
	prog_config_canonicalise(&fixed);
	for (unsigned i = 0; i < c->nr_zones; i++)
		if (fixed.zones[i].cma.nr != c->zones[i].cma.nr || fixed.zones[i].cma.start != c->zones[i].cma.start)
			return fail_zone(s, i, s->cma_words[i],
			                 "cma: expected 1..7 whole pageblocks without holes among the zone's first 16");
	if (fixed.cache_max_order != c->cache_max_order) {
		s->line = s->order_line;
		s->line_start = s->order_start;
		return parse_fail(s, s->order_at, "cache_order: expected at most max_order, %u", c->max_order);
	}
	*c = fixed;
	return true;
}
