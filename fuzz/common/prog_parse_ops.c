/* SPDX-License-Identifier: MIT
 *
 * prog_parse_ops.c - reads the operations.
 */
#include "prog_parse.h"

#include <inttypes.h>
#include <string.h>

static struct parse_name *parse_find_name(struct parser *s, struct word w)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < w.len; i++)
		hash = (hash ^ (uint8_t)w.at[i]) * 16777619u;
	for (uint32_t slot = hash;; slot++) {
		struct parse_name *n = &s->names[slot % PARSE_NAME_SLOTS];

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
	return w.len > 0 && w.len <= PARSE_NAME_LEN;
}

static bool parse_handle(struct parser *s, struct word w, enum prog_argkind kind, struct prog_op *op)
{
	struct parse_name *n;
	char found[40];

	if (!is_name(w))
		return parse_expected(s, w, "the name of a result");
	n = parse_find_name(s, w);
	if (!n->word.at)
		return parse_fail(s, w.at, "%s is no result of a line before this", parse_shown(w, found));
	if (n->ended != (kind == PROG_ARG_DEAD)) {
		if (n->ended)
			return parse_fail(s, w.at, "%s was given back by line %u", parse_shown(w, found),
			                  n->ended_line);
		return parse_fail(s, w.at, "expected a result that was given back, but %s lives",
		                  parse_shown(w, found));
	}
	op->ref = n->op;
	if (prog_live_byte(&s->live, kind, op->ref) < 0)
		return parse_fail(s, w.at, "%s is too old: there are more than %u newer ones", parse_shown(w, found),
		                  PROG_LIVE_MAX);
	if (kind == PROG_ARG_HANDLE_END) {
		n->ended = true;
		n->ended_line = s->line;
	}
	return true;
}

static bool parse_flags(struct parser *s, struct word value, uint64_t *out)
{
	static const char *const names[] = {"unmovable", "movable", "reclaimable", "zero", "nowait",
	                                    "high",      "compact", "noretry",     "exact"};
	bool typed = false;

	*out = 0;
	do {
		struct word w = parse_cut(&value, ',');
		size_t i = 0;

		while (i < 9 && !parse_is(w, names[i]))
			i++;
		if (parse_is(w, "none"))
			continue;
		if (i == 9)
			return parse_expected(
				s, w, "unmovable, movable, reclaimable, zero, nowait, high, compact, noretry or exact");
		if (i < 3 && typed)
			return parse_expected(s, w, "one migrate type only");
		typed |= i < 3;
		*out |= i < 3 ? i : UINT64_C(1) << (i - 1);
	} while (value.len);
	return true;
}

static bool parse_level(struct parser *s, struct word value, uint64_t *out)
{
	*out = 0;
	do {
		struct word w = parse_cut(&value, ',');

		if (parse_is(w, "quiescent"))
			*out |= 1;
		else if (parse_is(w, "frames"))
			*out |= 2;
		else if (!parse_is(w, "none"))
			return parse_expected(s, w, "none, quiescent or frames");
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
		if (parse_is(w, "all") ||
		    (parse_number_of(w, out) && *out <= 1984 && prog_arg_fix(c, arg, *out) == *out))
			return true;
		return parse_expected(s, w, "1..32, a multiple of 64 up to 1984, or all");
	case PROG_ARG_NS:
		if (parse_number_of(w, out) && prog_arg_fix(c, arg, *out) == *out)
			return true;
		return parse_expected(s, w, "nanoseconds: a number up to 4095 with up to nine zeros after it");
	default:
		*out = PROG_CPU_ALL;
		if (arg->kind == PROG_ARG_CPU && parse_is(w, "all"))
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
		w = parse_next(s);
		if (handle ? !parse_handle(s, w, k->args[i].kind, op) : !parse_value(s, w, &k->args[i], &op->arg[i]))
			return false;
	}
	while ((w = parse_next(s)).len) {
		unsigned i = 0;

		if (!parse_halves(w, &key, &value))
			return parse_expected(s, w, "key=value");
		while (i < k->nr_args && !(k->args[i].name[0] && parse_is(key, k->args[i].name)))
			i++;
		if (i == k->nr_args)
			return parse_fail(s, w.at, "%s has no argument of this name", k->name);
		if (seen >> i & 1)
			return parse_fail(s, w.at, "%s= is there twice", k->args[i].name);
		seen |= 1u << i;
		if (!parse_value(s, value, &k->args[i], &op->arg[i]))
			return false;
	}
	return true;
}

/* The word before '=': a new name. */
static bool parse_result(struct parser *s, struct word w, unsigned kind)
{
	struct parse_name *n;
	char found[40];

	if (!prog_kind(kind)->yields)
		return w.len == 0 ||
		       parse_fail(s, w.at, "%s yields nothing that could have a name", prog_kind(kind)->name);
	if (w.len == 0)
		return parse_fail(s, s->at, "expected 'name = %s ...'", prog_kind(kind)->name);
	n = parse_find_name(s, w);
	if (n->word.at)
		return parse_fail(s, w.at, "%s is the result of line %u already", parse_shown(w, found), n->line);
	*n = (struct parse_name){.word = w, .op = (uint16_t)s->p->nr_ops, .line = s->line};
	return true;
}

static bool parse_thread(struct parser *s, struct word *first, struct prog_op *op)
{
	uint64_t n;

	op->thread = 0;
	if (first->len < 2 || first->at[first->len - 1] != ':')
		return true;
	if (first->at[0] != 't')
		return parse_expected(s, *first, "a thread: t0: to t3:");
	if (!parse_number(s, (struct word){first->at + 1, first->len - 2}, "thread", 0, s->p->config.threads - 1, &n))
		return false;
	op->thread = (uint8_t)n;
	*first = parse_next(s);
	return true;
}

bool parse_op(struct parser *s, struct word first)
{
	struct prog_op *op = &s->p->ops[s->p->nr_ops];
	struct word name = {NULL, 0};
	char found[40];
	unsigned kind;

	if (!s->have_ops && !parse_zones_done(s))
		return false;
	s->have_ops = true;
	if (s->p->nr_ops == PROG_OPS_MAX)
		return parse_fail(s, first.at, "expected at most %u operations", PROG_OPS_MAX);
	op->ref = PROG_NO_REF;
	memset(op->arg, 0, sizeof(op->arg));
	if (!parse_thread(s, &first, op))
		return false;
	if (parse_is(parse_peek(s), "=")) {
		if (!is_name(first))
			return parse_expected(s, first, "a name: a letter, then letters, digits and _");
		name = first;
		parse_next(s);
		first = parse_next(s);
	}
	kind = prog_kind_find(first.at, first.len);
	if (kind == OP_NONE)
		return parse_fail(s, first.at, "expected an operation (see: pfa-trace ops), found %s",
		                  parse_shown(first, found));
	if (!prog_enabled(&s->p->config, kind))
		return parse_fail(s, first.at, "%s is not in config's swarm=, or not in this version",
		                  prog_kind(kind)->name);
	op->kind = (uint8_t)kind;
	if (!parse_args(s, prog_kind(kind), op) || !parse_result(s, name, kind))
		return false;
	prog_live_note(&s->live, op, s->p->nr_ops++);
	return true;
}
