/* SPDX-License-Identifier: MIT
 *
 * prog_parse_words.c - the words of a line, what is in them, and what is wrong with them.
 */
#include "prog_parse.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool parse_fail(struct parser *s, const char *at, const char *format, ...)
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
const char *parse_shown(struct word w, char out[40])
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

bool parse_expected(struct parser *s, struct word w, const char *what)
{
	char found[40];

	return parse_fail(s, w.at, "expected %s, found %s", what, parse_shown(w, found));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; empty at its end. */
struct word parse_next(struct parser *s)
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

struct word parse_peek(struct parser *s)
{
	const char *at = s->at;
	struct word w = parse_next(s);

	s->at = at;
	return w;
}

bool parse_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

/* "key=value" into its halves; false if there is no '='. */
bool parse_halves(struct word w, struct word *key, struct word *value)
{
	const char *equals = w.len ? memchr(w.at, '=', w.len) : NULL;

	if (!equals || equals == w.at)
		return false;
	*key = (struct word){w.at, (size_t)(equals - w.at)};
	*value = (struct word){equals + 1, w.len - key->len - 1};
	return true;
}

/* Cuts the part up to the separator off the front of *rest. Without a separator: all of it, and *rest is empty. */
struct word parse_cut(struct word *rest, char separator)
{
	const char *at = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
	struct word part = {rest->at, at ? (size_t)(at - rest->at) : rest->len};
	size_t gone = part.len + (at != NULL);

	rest->at += gone;
	rest->len -= gone;
	return part;
}

bool parse_number_of(struct word w, uint64_t *out)
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

bool parse_number(struct parser *s, struct word w, const char *what, uint64_t low, uint64_t high, uint64_t *out)
{
	char found[40];

	if (parse_number_of(w, out) && *out >= low && *out <= high)
		return true;
	return parse_fail(s, w.at, "%s: expected a number %" PRIu64 "..%" PRIu64 ", found %s", what, low, high,
	                  parse_shown(w, found));
}

/* Index of the word among names; shows the choices if it is none of them. */
bool parse_choice(struct parser *s, struct word w, const char *what, const char *(*name)(unsigned), uint64_t *out)
{
	char choices[96] = "", found[40];
	size_t len = 0;

	for (unsigned i = 0; name(i); i++) {
		if (parse_is(w, name(i))) {
			*out = i;
			return true;
		}
		if (len < sizeof(choices) - 24)
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, "%s%.16s", i ? ", " : "",
			                        name(i));
		else if (choices[len - 1] != '.')
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, ", ...");
	}
	return parse_fail(s, w.at, "%s: expected one of %s, found %s", what, choices, parse_shown(w, found));
}

/* "first..last" of pfns. */
bool parse_run(struct parser *s, struct word w, const char *what, struct prog_run *out)
{
	uint64_t first = 0, last = 0;
	size_t dots = 0;
	char found[40];

	while (dots + 1 < w.len && !(w.at[dots] == '.' && w.at[dots + 1] == '.'))
		dots++;
	if (dots + 1 >= w.len || !parse_number_of((struct word){w.at, dots}, &first) ||
	    !parse_number_of((struct word){w.at + dots + 2, w.len - dots - 2}, &last) || first > last ||
	    last >= UINT32_MAX)
		return parse_fail(s, w.at, "%s: expected first..last, two pfns below 4294967295, found %s", what,
		                  parse_shown(w, found));
	*out = (struct prog_run){(uint32_t)first, (uint32_t)(last - first + 1)};
	return true;
}
