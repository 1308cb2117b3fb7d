/* SPDX-License-Identifier: MIT
 *
 * prog_parse.c - reads the text form. Any bytes are accepted as input; what is not a program is refused with the line,
 * the column and what was expected there.
 */
#include "prog_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 31u
#define NAME_SLOTS 4096u /* a power of two, twice the operations */

struct word {
	const char *at;
	size_t len;
};

struct name {
	struct word word;
	uint16_t op;
	bool ended;
	unsigned line, ended_line;
};

struct parser {
	const char *at, *line_start, *line_end, *end; /* line_end: before the comment */
	unsigned line;
	struct program *p;
	struct prog_error *error;
	bool have_header, have_schedule, have_raw, have_ops;
	struct word zone_words[PROG_ZONES_MAX], cma_words[PROG_ZONES_MAX];
	unsigned zone_lines[PROG_ZONES_MAX];
	const char *zone_starts[PROG_ZONES_MAX];
	unsigned order_line; /* where cache_order= is */
	const char *order_start, *order_at;
	unsigned nr_holes;
	struct prog_live live;
	struct name *names;
	uint8_t *raw;
	size_t raw_capacity, nr_raw;
};

/* ---- errors and words --------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool fail(struct parser *s, const char *at, const char *format, ...)
{
	va_list args;

	s->error->line = s->line;
	s->error->column = (unsigned)(at - s->line_start) + 1;
	va_start(args, format);
	vsnprintf(s->error->message, sizeof(s->error->message), format, args);
	va_end(args);
	return false;
}

/* What was found, fit to be shown: short and printable. */
static const char *shown(struct word w, char out[40])
{
	size_t at = 0;

	if (w.len == 0)
		return "the end of the line";
	out[at++] = '\'';
	for (size_t i = 0; i < w.len && at < 32; i++)
		out[at++] = w.at[i] >= 32 && w.at[i] < 127 ? w.at[i] : '?';
	memcpy(out + at, w.len > 31 ? "...'" : "'", w.len > 31 ? 5 : 2);
	return out;
}

static bool expected(struct parser *s, struct word w, const char *what)
{
	char found[40];

	return fail(s, w.at, "expected %s, found %s", what, shown(w, found));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; empty at its end. */
static struct word next_word(struct parser *s)
{
	struct word w;

	while (s->at < s->line_end && is_blank(*s->at))
		s->at++;
	w.at = s->at;
	while (s->at < s->line_end && !is_blank(*s->at))
		s->at++;
	w.len = (size_t)(s->at - w.at);
	return w;
}

static struct word peek_word(struct parser *s)
{
	const char *at = s->at;
	struct word w = next_word(s);

	s->at = at;
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

/* "key=value" into its halves; false if there is no '='. */
static bool halves(struct word w, struct word *key, struct word *value)
{
	const char *equals = w.len ? memchr(w.at, '=', w.len) : NULL;

	if (!equals || equals == w.at)
		return false;
	*key = (struct word){ w.at, (size_t)(equals - w.at) };
	*value = (struct word){ equals + 1, w.len - key->len - 1 };
	return true;
}

/* Cuts the part up to the separator off the front of *rest. Without a separator: all of it, and *rest is empty. */
static struct word cut(struct word *rest, char separator)
{
	const char *at = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
	struct word part = { rest->at, at ? (size_t)(at - rest->at) : rest->len };
	size_t gone = part.len + (at != NULL);

	rest->at += gone;
	rest->len -= gone;
	return part;
}

static bool number_of(struct word w, uint64_t *out)
{
	uint64_t value = 0;

	if (w.len == 0)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		unsigned digit = (unsigned)(w.at[i] - '0');

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

static bool parse_number(struct parser *s, struct word w, const char *what, uint64_t low, uint64_t high, uint64_t *out)
{
	char found[40];

	if (number_of(w, out) && *out >= low && *out <= high)
		return true;
	return fail(s, w.at, "%s: expected a number %" PRIu64 "..%" PRIu64 ", found %s", what, low, high, shown(w, found));
}

/* Index of the word among names; shows the choices if it is none of them. */
static bool parse_choice(struct parser *s, struct word w, const char *what, const char *(*name)(unsigned), uint64_t *out)
{
	char choices[96] = "", found[40];
	size_t len = 0;

	for (unsigned i = 0; name(i); i++) {
		if (word_is(w, name(i))) {
			*out = i;
			return true;
		}
		if (len < sizeof(choices) - 24)
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, "%s%.16s", i ? ", " : "", name(i));
		else if (choices[len - 1] != '.')
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, ", ...");
	}
	return fail(s, w.at, "%s: expected one of %s, found %s", what, choices, shown(w, found));
}

/* "first..last" of pfns. */
static bool parse_run(struct parser *s, struct word w, const char *what, struct prog_run *out)
{
	uint64_t first = 0, last = 0;
	size_t dots = 0;
	char found[40];

	while (dots + 1 < w.len && !(w.at[dots] == '.' && w.at[dots + 1] == '.'))
		dots++;
	if (dots + 1 >= w.len || !number_of((struct word){ w.at, dots }, &first) ||
	    !number_of((struct word){ w.at + dots + 2, w.len - dots - 2 }, &last) || first > last || last >= UINT32_MAX)
		return fail(s, w.at, "%s: expected first..last, two pfns below 4294967295, found %s", what, shown(w, found));
	*out = (struct prog_run){ (uint32_t)first, (uint32_t)(last - first + 1) };
	return true;
}

/* ---- header and configuration ------------------------------------------------------------------------------------- */

static bool parse_target(struct parser *s, struct word w)
{
	bool good = w.len > 0 && w.len < sizeof(s->p->target);

	for (size_t i = 0; good && i < w.len; i++)
		good = (w.at[i] >= 'a' && w.at[i] <= 'z') || (w.at[i] >= '0' && w.at[i] <= '9') || w.at[i] == '_';
	if (!good)
		return expected(s, w, "a target's name: 1 to 15 of a-z, 0-9 and _");
	memcpy(s->p->target, w.at, w.len);
	return true;
}

static bool parse_header(struct parser *s, struct word first)
{
	struct word w, key, value;
	uint64_t n;

	if (!word_is(first, "pfa-trace"))
		return expected(s, first, "the first line 'pfa-trace 1 target=... seed=...'");
	w = next_word(s);
	if (!parse_number(s, w, "version", 1, PROG_VERSION, &n))
		return false;
	s->p->config.version = (unsigned)n;
	while ((w = next_word(s)).len) {
		if (!halves(w, &key, &value) || !(word_is(key, "target") || word_is(key, "seed")))
			return expected(s, w, "target= or seed=");
		if (word_is(key, "target")) {
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
	struct word batch = cut(&value, '/');
	uint64_t n = 0;

	if (!word_is(batch, "default") && !parse_number(s, batch, "cache batch (or default)", 1, 63, &n))
		return false;
	c->cache_batch = (unsigned)n;
	n = 0;
	if (word_is(value, "none"))
		n = PROG_CACHE_NONE;
	else if (!word_is(value, "default") &&
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
		if (!parse_choice(s, cut(&value, ','), "swarm", prog_group_name, &group))
			return false;
		s->p->config.swarm |= UINT32_C(1) << group;
	} while (value.len);
	return true;
}

static bool parse_bad(struct parser *s, struct word value)
{
	struct word name = cut(&value, ':');
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
	static const char *const names[] = { "content", "absent", "none", "zero_op", NULL };

	return names[i];
}

static const char *zero_name(unsigned i)
{
	static const char *const names[] = { "none", "pool", "track", "both", NULL };

	return names[i];
}

static const char *meta_name(unsigned i)
{
	static const char *const names[] = { "dirty", "zeroed", NULL };

	return names[i];
}

static const char *policy_name(unsigned i)
{
	static const char *const names[] = { "report", "abort", NULL };

	return names[i];
}

static const char *check_name(unsigned i)
{
	static const char *const names[] = { "touched", "full", NULL };

	return names[i];
}

/* The words that stand for a number. *known is false if the key is none of them. */
static bool parse_config_word(struct parser *s, struct word key, struct word value, bool *known)
{
	struct prog_config *c = &s->p->config;
	uint64_t n = 0;
	bool good;

	*known = true;
	if (word_is(key, "pool")) {
		good = parse_choice(s, value, "pool", pool_name, &n);
		c->pool = (enum prog_pool)n;
	} else if (word_is(key, "zero")) {
		good = parse_choice(s, value, "zero", zero_name, &n);
		c->zeroed_pool = n & 1;
		c->track_zero = n >> 1 & 1;
	} else if (word_is(key, "meta")) {
		good = parse_choice(s, value, "meta", meta_name, &n);
		c->zeroed_meta = n;
	} else if (word_is(key, "policy")) {
		good = parse_choice(s, value, "policy", policy_name, &n);
		c->abort_policy = n;
	} else if (word_is(key, "check")) {
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
		{ "frame_shift", &c->frame_shift, 6, 16 },         { "max_order", &c->max_order, 0, 31 },
		{ "pageblock_order", &c->pageblock_order, 6, 20 }, { "cpus", &c->cpus, 1, 16 },
		{ "cache_order", &c->cache_max_order, 0, 9 },      { "hardening", &c->hardening, 0, 3 },
		{ "threads", &c->threads, 1, PROG_THREADS_MAX },
	};
	uint64_t n;

	*known = true;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!word_is(key, fields[i].name))
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

static bool parse_config(struct parser *s)
{
	struct word w, key, value;

	while ((w = next_word(s)).len) {
		bool good, known = true;

		if (!halves(w, &key, &value))
			return expected(s, w, "key=value");
		if (word_is(key, "cache")) {
			good = parse_cache(s, value);
		} else if (word_is(key, "swarm")) {
			good = parse_swarm(s, value);
		} else if (word_is(key, "bad")) {
			good = parse_bad(s, value);
		} else {
			good = parse_config_word(s, key, value, &known);
			if (!known)
				good = parse_config_number(s, key, value, &known);
		}
		if (!known)
			return expected(s, key, "a key of config (frame_shift, max_order, pageblock_order, cpus, cache, ...)");
		if (!good)
			return false;
	}
	return true;
}

/* ---- zones -------------------------------------------------------------------------------------------------------- */

static bool parse_marks(struct parser *s, struct word value, struct prog_zone *z)
{
	struct word low_word = value, high_word, min_word = cut(&low_word, '/');
	uint64_t min, low, high;

	high_word = low_word;
	low_word = cut(&high_word, '/');
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
		return fail(s, value.at, "hole: expected frames of %" PRIu32 "..%" PRIu32 ", after the hole before it", from,
		            z->start + z->nr - 1);
	while (hole.nr) {
		uint32_t nr = hole.nr < PROG_HOLE_MAX ? hole.nr : PROG_HOLE_MAX;

		if (s->nr_holes++ == PROG_HOLES_MAX)
			return fail(s, value.at, "too many holes: %u of up to %u frames are possible in all zones together",
			            PROG_HOLES_MAX, PROG_HOLE_MAX);
		z->holes[z->nr_holes++] = (struct prog_run){ hole.start, nr };
		hole.start += nr;
		hole.nr -= nr;
	}
	return true;
}

static bool parse_zone_key(struct parser *s, struct word key, struct word value, struct prog_zone *z, struct word *cma)
{
	uint64_t n;

	if (word_is(key, "hole"))
		return parse_hole(s, value, z);
	if (word_is(key, "marks"))
		return parse_marks(s, value, z);
	if (word_is(key, "cma")) {
		*cma = value;
		return parse_run(s, value, "cma", &z->cma);
	}
	if (!word_is(key, "highatomic"))
		return expected(s, key, "hole=, cma=, marks= or highatomic=");
	if (!parse_number(s, value, "highatomic", 0, 127 * 32, &n))
		return false;
	if (n % 32)
		return expected(s, value, "a multiple of 32 frames");
	z->highatomic = (uint32_t)n;
	return true;
}

static bool parse_zone(struct parser *s)
{
	struct prog_config *c = &s->p->config;
	struct word index = next_word(s), w, key, value;
	struct prog_zone *z = &c->zones[c->nr_zones];
	struct prog_run run;
	uint64_t n;

	if (s->have_ops)
		return fail(s, s->line_start, "expected zones before the first operation");
	if (c->nr_zones == PROG_ZONES_MAX)
		return fail(s, index.at, "expected at most %u zones", PROG_ZONES_MAX);
	if (!parse_number(s, index, "zone (they are numbered in order)", c->nr_zones, c->nr_zones, &n))
		return false;
	w = next_word(s);
	if (!halves(w, &key, &value) || !word_is(key, "pfn"))
		return expected(s, w, "pfn=first..last");
	if (!parse_run(s, value, "pfn", &run))
		return false;
	if (run.nr > PROG_FRAMES_MAX)
		return fail(s, value.at, "pfn: expected at most %u frames in a zone", PROG_FRAMES_MAX);
	z->start = run.start;
	z->nr = run.nr;
	s->zone_words[c->nr_zones] = value;
	s->zone_lines[c->nr_zones] = s->line;
	s->zone_starts[c->nr_zones] = s->line_start;
	while ((w = next_word(s)).len) {
		if (!halves(w, &key, &value))
			return expected(s, w, "key=value");
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
	return fail(s, at.at ? at.at : s->zone_words[zone].at, "zone %u: %s", zone, message);
}

/* Before the first operation: is the configuration one that the format can hold? */
static bool check_zones(struct parser *s)
{
	struct prog_config *c = &s->p->config, fixed;
	unsigned order[PROG_ZONES_MAX];
	uint32_t total = 0, end = 0;

	if (c->nr_zones == 0)
		return fail(s, s->line_start, "expected a line 'zone 0 pfn=first..last' before this");
	prog_zone_order(c, order);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		const struct prog_zone *z = &c->zones[order[i]];

		total += z->nr;
		if (i && z->start < end)
			return fail_zone(s, order[i], s->zone_words[order[i]], "expected no frame that another zone has");
		if (i && z->start - end > PROG_GAP_MAX)
			return fail_zone(s, order[i], s->zone_words[order[i]], "expected at most 8191 pfns between two zones");
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
		return fail(s, s->order_at, "cache_order: expected at most max_order, %u", c->max_order);
	}
	*c = fixed;
	return true;
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

static struct name *find_name(struct parser *s, struct word w)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < w.len; i++)
		hash = (hash ^ (uint8_t)w.at[i]) * 16777619u;
	for (uint32_t slot = hash;; slot++) {
		struct name *n = &s->names[slot % NAME_SLOTS];

		if (n->word.at == NULL || (n->word.len == w.len && memcmp(n->word.at, w.at, w.len) == 0))
			return n;
	}
}

static bool is_name(struct word w)
{
	for (size_t i = 0; i < w.len; i++) {
		char c = w.at[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!letter && !(i && c >= '0' && c <= '9'))
			return false;
	}
	return w.len > 0 && w.len <= NAME_MAX_LEN;
}

static bool parse_handle(struct parser *s, struct word w, enum prog_argkind kind, struct prog_op *op)
{
	struct name *n;
	char found[40];

	if (!is_name(w))
		return expected(s, w, "the name of a result");
	n = find_name(s, w);
	if (!n->word.at)
		return fail(s, w.at, "%s is no result of a line before this", shown(w, found));
	if (n->ended != (kind == PROG_ARG_DEAD)) {
		if (n->ended)
			return fail(s, w.at, "%s was given back by line %u", shown(w, found), n->ended_line);
		return fail(s, w.at, "expected a result that was given back, but %s lives", shown(w, found));
	}
	op->ref = n->op;
	if (prog_live_byte(&s->live, kind, op->ref) < 0)
		return fail(s, w.at, "%s is too old: there are more than %u newer ones", shown(w, found), PROG_LIVE_MAX);
	if (kind == PROG_ARG_HANDLE_END) {
		n->ended = true;
		n->ended_line = s->line;
	}
	return true;
}

static bool parse_flags(struct parser *s, struct word value, uint64_t *out)
{
	static const char *const names[] = { "unmovable", "movable", "reclaimable", "zero",    "nowait",
		                             "high",      "compact", "noretry",     "exact" };
	bool typed = false;

	*out = 0;
	do {
		struct word w = cut(&value, ',');
		size_t i = 0;

		while (i < 9 && !word_is(w, names[i]))
			i++;
		if (word_is(w, "none"))
			continue;
		if (i == 9)
			return expected(s, w, "unmovable, movable, reclaimable, zero, nowait, high, compact, noretry or exact");
		if (i < 3 && typed)
			return expected(s, w, "one migrate type only");
		typed |= i < 3;
		*out |= i < 3 ? i : UINT64_C(1) << (i - 1);
	} while (value.len);
	return true;
}

static bool parse_level(struct parser *s, struct word value, uint64_t *out)
{
	*out = 0;
	do {
		struct word w = cut(&value, ',');

		if (word_is(w, "quiescent"))
			*out |= 1;
		else if (word_is(w, "frames"))
			*out |= 2;
		else if (!word_is(w, "none"))
			return expected(s, w, "none, quiescent or frames");
	} while (value.len);
	return true;
}

static bool parse_value(struct parser *s, struct word w, const struct prog_arg_info *arg, uint64_t *out)
{
	const struct prog_config *c = &s->p->config;
	const char *what = arg->name[0] ? arg->name : "site";
	uint64_t low, high;

	switch (arg->kind) {
	case PROG_ARG_FLAGS:
		return parse_flags(s, w, out);
	case PROG_ARG_LEVEL:
		return parse_level(s, w, out);
	case PROG_ARG_WHAT:
		return parse_choice(s, w, what, prog_what_name, out);
	case PROG_ARG_SITE:
		return parse_choice(s, w, what, prog_site_name, out);
	case PROG_ARG_RESULT:
		return parse_choice(s, w, what, prog_result_name, out);
	case PROG_ARG_FOREIGN:
		return parse_choice(s, w, what, prog_foreign_name, out);
	case PROG_ARG_FAR:
		return parse_choice(s, w, what, prog_far_name, out);
	case PROG_ARG_RUN:
		*out = PROG_RUN_ALL;
		if (word_is(w, "all") || (number_of(w, out) && *out <= 1984 && prog_arg_fix(c, arg, *out) == *out))
			return true;
		return expected(s, w, "1..32, a multiple of 64 up to 1984, or all");
	case PROG_ARG_NS:
		if (number_of(w, out) && prog_arg_fix(c, arg, *out) == *out)
			return true;
		return expected(s, w, "nanoseconds: a number up to 4095 with up to nine zeros after it");
	default:
		*out = PROG_CPU_ALL;
		if (arg->kind == PROG_ARG_CPU && word_is(w, "all"))
			return true;
		prog_arg_range(c, arg, &low, &high);
		return parse_number(s, w, what, low, high, out);
	}
}

/* The words after the kind: bare ones first, then key=value in any order. */
static bool parse_args(struct parser *s, const struct prog_kind_info *k, struct prog_op *op)
{
	unsigned seen = 0;
	struct word w, key, value;

	for (unsigned i = 0; i < k->nr_args; i++) {
		bool handle = prog_arg_is_handle(k->args[i].kind);

		op->arg[i] = handle ? 0 : prog_arg_default(&s->p->config, &k->args[i]);
		if (k->args[i].name[0])
			continue;
		w = next_word(s);
		if (handle ? !parse_handle(s, w, k->args[i].kind, op) : !parse_value(s, w, &k->args[i], &op->arg[i]))
			return false;
	}
	while ((w = next_word(s)).len) {
		unsigned i = 0;

		if (!halves(w, &key, &value))
			return expected(s, w, "key=value");
		while (i < k->nr_args && !(k->args[i].name[0] && word_is(key, k->args[i].name)))
			i++;
		if (i == k->nr_args)
			return fail(s, w.at, "%s has no argument of this name", k->name);
		if (seen >> i & 1)
			return fail(s, w.at, "%s= is there twice", k->args[i].name);
		seen |= 1u << i;
		if (!parse_value(s, value, &k->args[i], &op->arg[i]))
			return false;
	}
	return true;
}

/* The word before '=': a new name. */
static bool parse_result(struct parser *s, struct word w, unsigned kind)
{
	struct name *n;
	char found[40];

	if (!prog_kind(kind)->yields)
		return w.len == 0 || fail(s, w.at, "%s yields nothing that could have a name", prog_kind(kind)->name);
	if (w.len == 0)
		return fail(s, s->at, "expected 'name = %s ...'", prog_kind(kind)->name);
	n = find_name(s, w);
	if (n->word.at)
		return fail(s, w.at, "%s is the result of line %u already", shown(w, found), n->line);
	*n = (struct name){ .word = w, .op = (uint16_t)s->p->nr_ops, .line = s->line };
	return true;
}

static bool parse_thread(struct parser *s, struct word *first, struct prog_op *op)
{
	uint64_t n;

	op->thread = 0;
	if (first->len < 2 || first->at[first->len - 1] != ':')
		return true;
	if (first->at[0] != 't')
		return expected(s, *first, "a thread: t0: to t3:");
	if (!parse_number(s, (struct word){ first->at + 1, first->len - 2 }, "thread", 0, s->p->config.threads - 1, &n))
		return false;
	op->thread = (uint8_t)n;
	*first = next_word(s);
	return true;
}

static bool parse_op(struct parser *s, struct word first)
{
	struct prog_op *op = &s->p->ops[s->p->nr_ops];
	struct word name = { NULL, 0 };
	char found[40];
	unsigned kind;

	if (!s->have_ops && !check_zones(s))
		return false;
	s->have_ops = true;
	if (s->p->nr_ops == PROG_OPS_MAX)
		return fail(s, first.at, "expected at most %u operations", PROG_OPS_MAX);
	op->ref = PROG_NO_REF;
	memset(op->arg, 0, sizeof(op->arg));
	if (!parse_thread(s, &first, op))
		return false;
	if (word_is(peek_word(s), "=")) {
		if (!is_name(first))
			return expected(s, first, "a name: a letter, then letters, digits and _");
		name = first;
		next_word(s);
		first = next_word(s);
	}
	kind = prog_kind_find(first.at, first.len);
	if (kind == OP_NONE)
		return fail(s, first.at, "expected an operation (see: pfa-trace ops), found %s", shown(first, found));
	if (!prog_enabled(&s->p->config, kind))
		return fail(s, first.at, "%s is not in config's swarm=, or not in this version", prog_kind(kind)->name);
	op->kind = (uint8_t)kind;
	if (!parse_args(s, prog_kind(kind), op) || !parse_result(s, name, kind))
		return false;
	prog_live_note(&s->live, op, s->p->nr_ops++);
	return true;
}

/* ---- hex lines ---------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_hex(struct parser *s, struct word w, uint8_t *out, size_t capacity, size_t *nr)
{
	for (size_t i = 0; i < w.len; i += 2) {
		int high = hex_digit(w.at[i]), low = i + 1 < w.len ? hex_digit(w.at[i + 1]) : -1;

		if (high < 0 || low < 0)
			return expected(s, (struct word){ w.at + i, w.len - i }, "pairs of hex digits");
		if (*nr == capacity)
			return fail(s, w.at + i, "expected at most %zu bytes", capacity);
		out[(*nr)++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool parse_schedule(struct parser *s)
{
	struct word w = next_word(s), key, value;
	size_t nr = 0;

	if (s->have_schedule)
		return fail(s, s->line_start, "expected one schedule only");
	s->have_schedule = true;
	if (!halves(w, &key, &value) || !word_is(key, "raw"))
		return expected(s, w, "raw=<hex digits>");
	if (!parse_hex(s, value, s->p->schedule, PROG_SCHEDULE_MAX, &nr))
		return false;
	s->p->nr_schedule = (unsigned)nr;
	w = next_word(s);
	return w.len == 0 || expected(s, w, "the end of the line");
}

static bool parse_raw(struct parser *s, struct word first)
{
	struct word w;

	if (!s->raw)
		return fail(s, first.at, "expected a program, found raw bytes");
	if (s->have_ops || s->p->config.nr_zones || s->have_schedule)
		return fail(s, first.at, "expected nothing but raw lines in a text that has one");
	s->have_raw = true;
	while ((w = next_word(s)).len)
		if (!parse_hex(s, w, s->raw, s->raw_capacity, &s->nr_raw))
			return false;
	return true;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

static bool parse_line(struct parser *s)
{
	struct word first = next_word(s);

	if (first.len == 0)
		return true;
	if (!s->have_header)
		return parse_header(s, first);
	if (word_is(first, "raw"))
		return parse_raw(s, first);
	if (s->have_raw)
		return expected(s, first, "nothing but raw lines in a text that has one");
	if (word_is(first, "config")) {
		if (s->have_ops || s->p->config.nr_zones)
			return fail(s, first.at, "expected config before the zones");
		return parse_config(s);
	}
	if (word_is(first, "zone"))
		return parse_zone(s);
	if (word_is(first, "schedule"))
		return parse_schedule(s);
	return parse_op(s, first);
}

static bool parse_lines(struct parser *s)
{
	while (s->at < s->end) {
		const char *comment, *end = memchr(s->at, '\n', (size_t)(s->end - s->at));

		s->line++;
		s->line_start = s->at;
		end = end ? end : s->end;
		comment = memchr(s->at, '#', (size_t)(end - s->at));
		s->line_end = comment ? comment : end;
		if (!parse_line(s))
			return false;
		s->at = end < s->end ? end + 1 : end;
	}
	s->line_start = s->line_end = s->at;
	s->line++;
	if (!s->have_header)
		return fail(s, s->at, "expected the first line 'pfa-trace 1 target=... seed=...', found the end of the text");
	return s->have_raw || s->have_ops || check_zones(s);
}

static void init_program(struct program *p)
{
	memset(&p->config, 0, sizeof(p->config));
	memset(p->target, 0, sizeof(p->target));
	memcpy(p->target, "core", 4);
	p->config.frame_shift = 12;
	p->config.max_order = 10;
	p->config.pageblock_order = 9;
	p->config.cpus = p->config.threads = 1;
	p->nr_ops = p->nr_schedule = 0;
}

enum prog_text_kind prog_parse(const char *text, size_t len, struct program *out, uint8_t *raw, size_t *raw_len,
                               struct prog_error *error)
{
	struct parser *s = calloc(1, sizeof(*s));
	enum prog_text_kind kind = PROG_TEXT_ERROR;

	memset(error, 0, sizeof(*error));
	if (s)
		s->names = calloc(NAME_SLOTS, sizeof(*s->names));
	if (!s || !s->names) {
		snprintf(error->message, sizeof(error->message), "out of memory");
		free(s);
		return PROG_TEXT_ERROR;
	}
	s->at = s->line_start = text;
	s->end = text + len;
	s->p = out;
	s->error = error;
	s->raw = raw;
	s->raw_capacity = raw ? *raw_len : 0;
	init_program(out);
	if (parse_lines(s))
		kind = s->have_raw ? PROG_TEXT_RAW : PROG_TEXT_PROGRAM;
	if (raw)
		*raw_len = s->nr_raw;
	free(s->names);
	free(s);
	return kind;
}

int prog_text_to_bytes(const char *text, size_t len, uint8_t *out, size_t capacity, size_t *out_len, char *error,
                       size_t error_len)
{
	struct program *p = malloc(sizeof(*p));
	struct prog_error why = { 0, 0, "out of memory" };
	enum prog_text_kind kind = PROG_TEXT_ERROR;

	*out_len = capacity;
	if (p)
		kind = prog_parse(text, len, p, out, out_len, &why);
	if (kind == PROG_TEXT_PROGRAM) {
		*out_len = prog_encode(p, out, capacity);
		if (*out_len == 0) {
			kind = PROG_TEXT_ERROR;
			snprintf(why.message, sizeof(why.message), "the program has more than %zu bytes", capacity);
		}
	}
	if (kind == PROG_TEXT_ERROR)
		snprintf(error, error_len, "%u:%u: %s", why.line, why.column, why.message);
	free(p);
	return kind == PROG_TEXT_ERROR ? -1 : 0;
}
