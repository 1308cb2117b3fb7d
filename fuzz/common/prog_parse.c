/* SPDX-License-Identifier: MIT
 *
 * prog_parse.c - reads the text form. Any bytes are accepted as input; what is not a program is refused with the line,
 * the column and what was expected there.
 */
#include "prog_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
			return parse_expected(s, (struct word){w.at + i, w.len - i}, "pairs of hex digits");
		if (*nr == capacity)
			return parse_fail(s, w.at + i, "expected at most %zu bytes", capacity);
		out[(*nr)++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* "t1@40=preempt:0" */
static bool parse_switch(struct parser *s, struct word w, struct prog_switch *out)
{
	struct word where, what = w, kind;
	uint64_t thread, n, arg, k = PROG_SWITCH_PREEMPT;

	if (!parse_halves(w, &where, &what) || where.len < 4 || where.at[0] != 't')
		return parse_expected(s, w, "raw=<hex digits>, or t<thread>@<point>=<what>:<number>");
	where.at++;
	where.len--;
	const struct word t = parse_cut(&where, '@');
	kind = parse_cut(&what, ':');
	while (k < PROG_SWITCHES && !parse_is(kind, prog_switch_name((unsigned)k)))
		k++;
	if (k == PROG_SWITCHES)
		return parse_expected(s, kind, "preempt, cpu, older or next");
	if (!parse_number(s, t, "thread", 0, PROG_THREADS_MAX - 1, &thread) ||
	    !parse_number(s, where, "point", k == PROG_SWITCH_NEXT ? 0 : 1, UINT16_MAX, &n) ||
	    !parse_number(s, what, "number", 0, 255, &arg))
		return false;
	*out = (struct prog_switch){ .n = (uint16_t)n, .thread = (uint8_t)thread, .kind = (uint8_t)k, .arg = (uint8_t)arg };
	return true;
}

static bool parse_switches(struct parser *s, struct word w)
{
	struct prog_switch switches[PROG_SWITCHES_MAX];
	unsigned nr = 0;

	for (; w.len; w = parse_next(s)) {
		if (nr == PROG_SWITCHES_MAX)
			return parse_fail(s, w.at, "expected at most %u switches", PROG_SWITCHES_MAX);
		if (!parse_switch(s, w, &switches[nr++]))
			return false;
	}
	return prog_set_switches(s->p, switches, nr);
}

static bool parse_schedule(struct parser *s)
{
	struct word w = parse_next(s), key, value;
	size_t nr = 0;

	if (s->have_schedule)
		return parse_fail(s, s->line_start, "expected one schedule only");
	s->have_schedule = true;
	if (!parse_halves(w, &key, &value) || !parse_is(key, "raw"))
		return parse_switches(s, w);
	if (!parse_hex(s, value, s->p->schedule, PROG_SCHEDULE_MAX, &nr))
		return false;
	s->p->nr_schedule = (unsigned)nr;
	w = parse_next(s);
	return w.len == 0 || parse_expected(s, w, "the end of the line");
}

static bool parse_raw(struct parser *s, struct word first)
{
	struct word w;

	if (!s->raw)
		return parse_fail(s, first.at, "expected a program, found raw bytes");
	if (s->have_ops || s->p->config.nr_zones || s->have_schedule)
		return parse_fail(s, first.at, "expected nothing but raw lines in a text that has one");
	s->have_raw = true;
	while ((w = parse_next(s)).len)
		if (!parse_hex(s, w, s->raw, s->raw_capacity, &s->nr_raw))
			return false;
	return true;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

static bool parse_line(struct parser *s)
{
	struct word first = parse_next(s);

	if (first.len == 0)
		return true;
	if (!s->have_header)
		return parse_header(s, first);
	if (parse_is(first, "raw"))
		return parse_raw(s, first);
	if (s->have_raw)
		return parse_expected(s, first, "nothing but raw lines in a text that has one");
	if (parse_is(first, "config")) {
		if (s->have_ops || s->p->config.nr_zones)
			return parse_fail(s, first.at, "expected config before the zones");
		return parse_config(s);
	}
	if (parse_is(first, "zone"))
		return parse_zone(s);
	if (parse_is(first, "schedule"))
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
		return parse_fail(
			s, s->at,
			"expected the first line 'pfa-trace 1 target=... seed=...', found the end of the text");
	return s->have_raw || s->have_ops || parse_zones_done(s);
}

static void parse_defaults(struct program *p)
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
		s->names = calloc(PARSE_NAME_SLOTS, sizeof(*s->names));
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
	parse_defaults(out);
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
	struct prog_error why = {0, 0, "out of memory"};
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
