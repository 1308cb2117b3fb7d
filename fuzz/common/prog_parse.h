/* SPDX-License-Identifier: MIT
 *
 * prog_parse.h - the state of a text that is being read, and what its readers have in common.
 */
#ifndef FUZZ_PROG_PARSE_H
#define FUZZ_PROG_PARSE_H

#include "prog_internal.h"

#define PARSE_NAME_LEN 31u
#define PARSE_NAME_SLOTS 4096u /* a power of two, twice the operations */

struct word {
	const char *at;
	size_t len;
};

struct parse_name {
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
	struct parse_name *names;
	uint8_t *raw;
	size_t raw_capacity, nr_raw;
};

/* ---- words (prog_parse_words.c) ----------------------------------------------------------------------------------- */

/* Notes the error, of this line and the column of at. Always false. */
__attribute__((format(printf, 3, 4))) bool parse_fail(struct parser *s, const char *at, const char *format, ...);
bool parse_expected(struct parser *s, struct word w, const char *what);
/* What was found, fit to be shown: short and printable. */
const char *parse_shown(struct word w, char out[40]);

/* The next word of the line; empty at its end. */
struct word parse_next(struct parser *s);
struct word parse_peek(struct parser *s);
bool parse_is(struct word w, const char *text);
/* "key=value" into its halves; false if there is no '='. */
bool parse_halves(struct word w, struct word *key, struct word *value);
/* Cuts the part up to the separator off the front of *rest. Without a separator: all of it, and *rest is empty. */
struct word parse_cut(struct word *rest, char separator);
bool parse_number_of(struct word w, uint64_t *out);

/* What the word means; these note an error if it is nothing of the kind. */
bool parse_number(struct parser *s, struct word w, const char *what, uint64_t low, uint64_t high, uint64_t *out);
bool parse_choice(struct parser *s, struct word w, const char *what, const char *(*name)(unsigned), uint64_t *out);
bool parse_run(struct parser *s, struct word w, const char *what, struct prog_run *out);

/* ---- lines -------------------------------------------------------------------------------------------------------- */

/* prog_parse_config.c */
bool parse_header(struct parser *s, struct word first);
bool parse_config(struct parser *s);
bool parse_zone(struct parser *s);
/* Before the first operation: is the configuration one that the format can hold? */
bool parse_zones_done(struct parser *s);

/* prog_parse_ops.c */
bool parse_op(struct parser *s, struct word first);

#endif
