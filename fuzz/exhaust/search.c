/* SPDX-License-Identifier: MIT
 *
 * search.c - breadth first over the states (exhaust.h). A state is 32 bytes: the key, the state that it was first reached from,
 * and the operation. States lie in the order in which they were found, so that the array is the queue, too.
 */
#define _DEFAULT_SOURCE
#include "exhaust.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define SEARCH_HANG_S 20 /* of cpu time, for one state and all that follow on it: some milliseconds are usual */

struct node {
	struct ex_key key;
	uint32_t parent;
	struct ex_op op;
	uint32_t depth;
	uint32_t spare; /* the same size everywhere */
};

struct search {
	struct ex_machine *m;
	const struct ex_limits *limits;
	struct ex_result *r;
	struct node *node;
	size_t room;             /* of it */
	uint32_t *table;         /* 1 + index; open addressing */
	size_t slots;
	unsigned char *root, *parent, *state, *other; /* saved: the first one; the one being expanded's parent, itself; of a pair */
	size_t of_parent;        /* which one `parent` is */
	size_t merged;           /* transitions that led to what was known */
	struct ex_op path[EX_PATH_MAX];
};

/* A signal inside of an operation, or a call that does not end. */
static sigjmp_buf search_jump;
static volatile sig_atomic_t search_armed;

static void search_signal(int number)
{
	if (search_armed)
		siglongjmp(search_jump, number);
	signal(number, SIG_DFL);
	raise(number);
}

static void search_signals(bool on)
{
	static const int numbers[] = { SIGVTALRM, SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE };
	const struct itimerval none = { .it_value = { 0, 0 } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], on ? search_signal : SIG_DFL);
	if (!on)
		setitimer(ITIMER_VIRTUAL, &none, NULL);
}

/* ---- states -------------------------------------------------------------------------------------------------------- */

static bool search_grow(struct search *s)
{
	const size_t room = s->room ? s->room * 2 : 4096, slots = room * 2;
	const size_t need = room * sizeof(*s->node) + slots * sizeof(*s->table);

	if (room > UINT32_MAX / 2 || (s->limits->bytes && need > s->limits->bytes)) {
		s->r->stopped = "memory";
		return false;
	}
	struct node *node = realloc(s->node, room * sizeof(*node));
	if (node)
		s->node = node;
	uint32_t *table = node ? calloc(slots, sizeof(*table)) : NULL;
	if (!table) {
		s->r->stopped = "memory";
		return false;
	}
	for (size_t i = 0; i < s->r->states; i++) {
		size_t at = (size_t)s->node[i].key.a & (slots - 1);
		while (table[at])
			at = (at + 1) & (slots - 1);
		table[at] = (uint32_t)i + 1;
	}
	free(s->table);
	s->table = table;
	s->slots = slots;
	s->room = room;
	return true;
}

/* The index of a state, and whether it is new; SIZE_MAX: there is no room. */
static size_t search_find(struct search *s, struct ex_key key, bool *is_new)
{
	*is_new = false;
	if (s->r->states == s->room && !search_grow(s))
		return SIZE_MAX;
	size_t at = (size_t)key.a & (s->slots - 1);
	for (; s->table[at]; at = (at + 1) & (s->slots - 1)) {
		const struct node *n = &s->node[s->table[at] - 1];
		if (n->key.a == key.a && n->key.b == key.b)
			return s->table[at] - 1;
	}
	*is_new = true;
	s->table[at] = (uint32_t)s->r->states + 1;
	s->node[s->r->states].key = key;
	return s->r->states++;
}

/* The operations that lead to a state. */
static unsigned search_path(const struct search *s, size_t index, struct ex_op path[EX_PATH_MAX])
{
	const unsigned depth = s->node[index].depth;

	for (unsigned i = depth; i; i--) {
		path[i - 1] = s->node[index].op;
		index = s->node[index].parent;
	}
	return depth;
}

/* ---- findings ------------------------------------------------------------------------------------------------------ */

static bool search_found(struct search *s, size_t index, const struct ex_op *op, const char *what)
{
	struct ex_result *r = s->r;

	if (r->outcome == EX_FOUND)
		return false;
	r->outcome = EX_FOUND;
	r->nr_path = search_path(s, index, r->path);
	if (op && r->nr_path < EX_PATH_MAX)
		r->path[r->nr_path++] = *op;
	snprintf(r->finding, sizeof(r->finding), "%s", what);
	return false;
}

static bool search_fails(struct search *s, const char *why)
{
	s->r->outcome = EX_FAILED;
	s->r->stopped = why;
	return false;
}

static bool search_crashed(struct search *s, size_t index, const struct ex_op *op, int number)
{
	char what[64];

	if (number == SIGVTALRM)
		snprintf(what, sizeof(what), "I13 a call does not end");
	else
		snprintf(what, sizeof(what), "signal %d", number);
	s->r->crashed = true;
	return search_found(s, index, op, what);
}

/* ---- the model ----------------------------------------------------------------------------------------------------- */

/* The state's program, in the harness proper. The instance is left somewhere on the way. */
static bool search_model(struct search *s, size_t index, const struct ex_op *op)
{
	static struct program program;
	static struct exec_result result;
	const struct exec_options options = ex_model_options(s->m);
	unsigned nr = search_path(s, index, s->path);
	char what[224];

	if (op)
		s->path[nr++] = *op;
	if (!ex_write(s->m, s->root, s->path, nr, false, &program))
		return search_fails(s, "a path is longer than a program can be");
	s->r->modelled++;
	if (exec_run(&program, &options, &result) == EXEC_FINE && result.skipped == 0)
		return true;
	snprintf(what, sizeof(what), "%s", result.outcome == EXEC_FINDING ? result.finding.text : "the program skips an operation");
	return search_found(s, index, op, what);
}

/* ---- merged pairs -------------------------------------------------------------------------------------------------- */

/* Puts the machine into a state, from the first one on. */
static bool search_again(struct search *s, size_t index)
{
	const unsigned nr = search_path(s, index, s->path);

	ex_restore(s->m, s->root);
	for (unsigned i = 0; i < nr; i++)
		if (!ex_apply(s->m, s->path[i]))
			return search_fails(s, "an operation that was fine is not when it is repeated: something outlives an instance");
	return true;
}

/* s->other is a state that was taken for `known`: do all operations do the same in both? */
static bool search_pair(struct search *s, size_t known, size_t index, struct ex_op by)
{
	static struct ex_op op[EX_CHOICES_MAX];
	unsigned char *first = malloc(ex_state_bytes(s->m));
	struct ex_machine *m = s->m;
	bool good = first && search_again(s, known);

	if (good)
		ex_save(m, first);
	const unsigned nr = good ? ex_choices(m, op) : 0;
	if (good && memcmp(first, s->other, ex_state_bytes(m)) == 0)
		s->r->same_bytes++;
	else
		s->r->pairs++;
	for (unsigned i = 0; i < nr && good; i++) {
		ex_restore(m, first);
		const bool fine = ex_apply(m, op[i]);
		const int code = m->code;
		const struct ex_key key = ex_canonical(m);
		ex_restore(m, s->other);
		if (ex_apply(m, op[i]) != fine || m->code != code)
			good = search_found(s, index, &by, "two states of one canonical form answer differently: it leaves out what matters");
		const struct ex_key other = ex_canonical(m);
		if (good && (other.a != key.a || other.b != key.b))
			good = search_found(s, index, &by, "two states of one canonical form have different successors: it leaves out what matters");
	}
	free(first);
	return good;
}

/* ---- expansion ----------------------------------------------------------------------------------------------------- */

/* s->state becomes the state of this index. */
static bool search_make(struct search *s, size_t index)
{
	const struct node *n = &s->node[index];

	if (index == 0) {
		memcpy(s->state, s->root, ex_state_bytes(s->m));
		return true;
	}
	if (s->of_parent != n->parent) {
		if (!search_again(s, n->parent))
			return false;
		ex_save(s->m, s->parent);
		s->of_parent = n->parent;
	}
	ex_restore(s->m, s->parent);
	if (!ex_apply(s->m, n->op))
		return search_fails(s, "an operation that was fine is not when it is repeated: something outlives an instance");
	ex_save(s->m, s->state);
	const struct ex_key key = ex_canonical(s->m);
	return (key.a == n->key.a && key.b == n->key.b) ||
	       search_fails(s, "a path leads to another state when it is repeated: something outlives an instance");
}

/* The transition was fine; m is in the state that it leads to. */
static bool search_arrive(struct search *s, size_t index, struct ex_op op)
{
	const struct ex_limits *l = s->limits;
	struct ex_result *r = s->r;
	bool is_new;
	const size_t to = search_find(s, ex_canonical(s->m), &is_new);

	if (to == SIZE_MAX)
		return false;
	if (!is_new) {
		if (to == index || !l->merged || ++s->merged % l->merged)
			return true;
		ex_save(s->m, s->other);
		return search_pair(s, to, index, op);
	}
	s->node[to].parent = (uint32_t)index;
	s->node[to].op = op;
	s->node[to].depth = s->node[index].depth + 1;
	r->depth = s->node[to].depth;
	if (r->depth >= EX_PATH_MAX - 1)
		return search_fails(s, "a path is longer than a program can be");
	if (!ex_judge_state(s->m))
		return search_found(s, index, &op, s->m->finding);
	if (l->model && r->states % l->model == 0 && !search_model(s, index, &op))
		return false;
	if (l->states && r->states > l->states) {
		r->stopped = "states";
		return false;
	}
	return true;
}

static bool search_expand(struct search *s, size_t index)
{
	static struct ex_op op[EX_CHOICES_MAX];
	static volatile unsigned i;
	const struct itimerval limit = { .it_value = { SEARCH_HANG_S, 0 } };
	static unsigned nr;

	setitimer(ITIMER_VIRTUAL, &limit, NULL);
	if (!search_make(s, index))
		return false;
	nr = ex_choices(s->m, op);
	if (nr == EX_CHOICES_MAX)
		return search_fails(s, "a state has more operations than are tried");
	for (i = 0; i < nr; i++) {
		ex_restore(s->m, s->state);
		const int number = sigsetjmp(search_jump, 1);
		search_armed = number == 0;
		if (number)
			return search_crashed(s, index, &op[i], number);
		const bool fine = ex_apply(s->m, op[i]);
		search_armed = 0;
		s->r->transitions++;
		s->r->refused += s->m->code != PFA_OK;
		if (!fine)
			return search_found(s, index, &op[i], s->m->finding);
		if (!search_arrive(s, index, op[i]))
			return false;
	}
	s->r->expanded++;
	return true;
}

static bool search_begin(struct search *s)
{
	const size_t bytes = ex_state_bytes(s->m);
	bool is_new;

	s->root = malloc(bytes);
	s->parent = malloc(bytes);
	s->state = malloc(bytes);
	s->other = malloc(bytes);
	s->of_parent = SIZE_MAX;
	s->r->state_bytes = bytes;
	if (!s->root || !s->parent || !s->state || !s->other)
		return search_fails(s, "out of memory");
	ex_save(s->m, s->root);
	if (search_find(s, ex_canonical(s->m), &is_new) != 0)
		return search_fails(s, "out of memory");
	s->node[0].parent = 0;
	s->node[0].depth = 0;
	return ex_judge_state(s->m) || search_found(s, 0, NULL, s->m->finding);
}

static bool search_late(const struct search *s, const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return s->limits->seconds && now.tv_sec - began->tv_sec >= (time_t)s->limits->seconds;
}

void ex_search(struct ex_machine *m, const struct ex_limits *limits, struct ex_result *r)
{
	static struct search s;
	struct timespec began;

	memset(r, 0, sizeof(*r));
	s = (struct search){ .m = m, .limits = limits, .r = r };
	clock_gettime(CLOCK_MONOTONIC, &began);
	search_signals(true);
	bool good = search_begin(&s);
	while (good && r->expanded < r->states) {
		if (r->expanded % 256 == 255 && search_late(&s, &began)) {
			r->stopped = "time";
			good = false;
		} else {
			good = search_expand(&s, r->expanded);
		}
	}
	search_signals(false);
	if (!good && r->outcome == EX_COMPLETE)
		r->outcome = EX_STOPPED;
	if (s.root)
		ex_restore(m, s.root);
	free(s.node);
	free(s.table);
	free(s.root);
	free(s.parent);
	free(s.state);
	free(s.other);
}
