/* SPDX-License-Identifier: MIT
 *
 * The table of corruption: each field of what changes in the metadata x kinds of damage x levels. Each trial damages an
 * instance under a user that goes on, then checks it, repairs it and uses it again. A trial runs in a process of its own,
 * which may crash or hang. What is said of it:
 *   detected   a call told it, or the checker named it
 *   harmless   neither, and nothing came of it
 *   escaped    a frame was granted twice or from outside, a crash, a hang, or PFA_OK where a repair failed
 *   repaired   of those detected: the repair was followed by a clean check, and by more use without an escape
 *   refused    of those detected: the instance takes itself for ended, and refuses the repair like everything else
 *   failed     of those detected: the repair failed, or the check after it
 * Gate, at the level of --gate (2) and up: damage of a single word does not escape, and whatever is detected is repaired.
 */
#define _DEFAULT_SOURCE
#include "user.h"

#include <pfa/harden.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pcpu.h"

#define AFTER_LOCK(type, field) offsetof(struct type, field) - sizeof(struct pfai_lock), sizeof(((struct type *)0)->field)
#define PB(field) offsetof(struct pfai_pb, field), sizeof(((struct pfai_pb *)0)->field), sizeof(struct pfai_pb)
#define SLOT(field)                                                                                                  \
	offsetof(struct pfai_cpu, slots) + offsetof(struct pfai_slot, field) - sizeof(struct pfai_lock),             \
		sizeof(((struct pfai_slot *)0)->field), sizeof(struct pfai_slot)
#define RECORD(field) offsetof(struct pfai_record, field), sizeof(((struct pfai_record *)0)->field), sizeof(struct pfai_record)
#define FULL(field) offsetof(struct pfai_full, field), sizeof(((struct pfai_full *)0)->field)
#define QUARANTINED(field)                                                                     \
	offsetof(struct pfai_quarantined, field), sizeof(((struct pfai_quarantined *)0)->field), \
		sizeof(struct pfai_quarantined)

/* Field at `start` of a region, of `width` bytes, again every `stride` (0: once). An array counts as many of its words. */
static const struct field {
	const char *region, *name;
	size_t start, width, stride;
	size_t word; /* of an array within the struct; 0: the field is one word */
	enum needs { ANY, RICH, LEVEL3 } needs; /* which instances have it (struct user) */
} fields[] = {
	{"state", "disabled", AFTER_LOCK(pfai_state, disabled), 0, 0, ANY},
	{"state", "closed", AFTER_LOCK(pfai_state, closed), 0, 0, ANY},
	{"state", "next_served", AFTER_LOCK(pfai_state, next_served), 0, 0, ANY},
	{"state", "scrub_zone", AFTER_LOCK(pfai_state, scrub_zone), 0, 0, ANY},
	{"state", "scrub_pb", AFTER_LOCK(pfai_state, scrub_pb), 0, 0, ANY},
	{"state", "service_next", AFTER_LOCK(pfai_state, service_next), 0, 0, ANY},
	{"state", "starving", AFTER_LOCK(pfai_state, starving), 0, 0, ANY},
	{"state", "nr_records", AFTER_LOCK(pfai_state, nr_records), 0, 0, RICH},
	{"state", "events", AFTER_LOCK(pfai_state, nr_fail), 0, 0, ANY},
	{"zone_states", "avail_common", AFTER_LOCK(pfai_zone_state, avail_common), 0, 0, ANY},
	{"zone_states", "avail_cma", AFTER_LOCK(pfai_zone_state, avail_cma), 0, 0, ANY},
	{"zone_states", "avail_high", AFTER_LOCK(pfai_zone_state, avail_high), 0, 0, ANY},
	{"zone_states", "corrupt", AFTER_LOCK(pfai_zone_state, corrupt), 0, 0, ANY},
	{"zone_states", "nonempty", AFTER_LOCK(pfai_zone_state, nonempty), 0, 4, ANY},
	{"zone_states", "present", AFTER_LOCK(pfai_zone_state, present), 0, 0, ANY},
	{"zone_states", "nr_doomed", AFTER_LOCK(pfai_zone_state, nr_doomed), 0, 0, ANY},
	{"zone_states", "free", AFTER_LOCK(pfai_zone_state, free), 0, sizeof(size_t), ANY},
	{"zone_states", "reserved_high", AFTER_LOCK(pfai_zone_state, reserved_high), 0, 0, ANY},
	{"zone_states", "direct_allocs", AFTER_LOCK(pfai_zone_state, direct_allocs), 0, 0, ANY},
	{"zone_states", "direct_frees", AFTER_LOCK(pfai_zone_state, direct_frees), 0, 0, ANY},
	{"zone_states", "bad", AFTER_LOCK(pfai_zone_state, bad), 0, 0, ANY},
	{"zone_states", "guards", AFTER_LOCK(pfai_zone_state, guards), 0, 0, LEVEL3},
	{"zone_states", "random", AFTER_LOCK(pfai_zone_state, random), 0, 4, LEVEL3},
	{"zone_states", "events", AFTER_LOCK(pfai_zone_state, events), 0, sizeof(size_t), ANY},
	{"cpus", "held", AFTER_LOCK(pfai_cpu, held), 0, 0, ANY},
	{"cpus", "first", AFTER_LOCK(pfai_cpu, first), 0, 0, ANY},
	{"cpus", "seen", AFTER_LOCK(pfai_cpu, seen), 0, 0, ANY},
	{"cpus", "seen_ns", AFTER_LOCK(pfai_cpu, seen_ns), 0, 0, ANY},
	{"cpus", "slot.n", SLOT(n), 0, ANY},
	{"cpus", "slot.cap", SLOT(cap), 0, ANY},
	{"cpus", "slot.start", SLOT(start), 0, ANY},
	{"cpus", "slot.allocs", SLOT(allocs), 0, ANY},
	{"cpus", "slot.frees", SLOT(frees), 0, ANY},
	{"entries", "entry", 0, 4, 4, 0, ANY},
	{"not_free", "word", 0, sizeof(pfai_word), sizeof(pfai_word), 0, ANY},
	{"doomed", "word", 0, sizeof(pfai_word), sizeof(pfai_word), 0, ANY},
	{"pageblocks", "used", PB(used), 0, ANY},
	{"pageblocks", "code", PB(code), 0, ANY},
	{"pageblocks", "flags", PB(flags), 0, ANY},
	{"pageblocks", "spare", PB(spare), 0, ANY},
	{"pageblocks", "holder", PB(holder), 0, ANY},
	{"pageblocks", "marked", PB(marked), 0, ANY},
	{"leaves", "leaf", 0, 1, 1, 0, ANY},
	{"sets", "word", 0, sizeof(pfai_word), sizeof(pfai_word), 0, ANY},
	{"routes", "route", 0, 1, 1, 0, ANY},
	{"frame_bytes", "byte", 0, 1, 1, 0, ANY},
	{"zero", "word", 0, sizeof(pfai_word), sizeof(pfai_word), 0, RICH},
	{"generations", "generation", 0, 4, 4, 0, RICH},
	{"history", "number", RECORD(number), 0, RICH},
	{"history", "tag", RECORD(tag), 0, RICH},
	{"history", "what", RECORD(what), 0, RICH},
	{"full", "random", offsetof(struct pfai_full, random), sizeof(struct pfai_prng), 0, 4, LEVEL3},
	{"full", "first", FULL(first), 0, 0, LEVEL3},
	{"full", "n", FULL(n), 0, 0, LEVEL3},
	{"full", "cap", FULL(cap), 0, 0, LEVEL3},
	{"quarantined", "in", QUARANTINED(in), 0, LEVEL3},
	{"quarantined", "out", QUARANTINED(out), 0, LEVEL3},
	{"quarantine", "entry", 0, 4, 4, 0, LEVEL3},
};
enum { NR_FIELDS = sizeof(fields) / sizeof(fields[0]) };

enum kind { ZERO, ONES, PLUS, MINUS, FLIP, NEIGHBOUR, RANDOM, DIRECTED, SWAPPED = DIRECTED, STALE, ZERO_PAGE, RANDOM_PAGE, FLIPS, KINDS };
static const char *const kind_names[] = {"single word", "swapped words", "stale copy", "zeroed page", "random page", "random flips"};
enum { GROUPS = KINDS - DIRECTED + 1 }; /* all directed kinds are one */

static unsigned group_of(unsigned kind)
{
	return kind < DIRECTED ? 0 : kind - DIRECTED + 1;
}

enum { PAGE = 256, NR_FLIPS = 8, HANG_SECONDS = 60 }; /* regions here are a few hundred bytes: a "page" is a part of one */

enum outcome { NOT_RUN, TOLD, NAMED, HARMLESS, REFUSES, REPAIR_FAILED, CRASHED, OUTCOMES };

struct trial {
	uint32_t level;
	unsigned field, kind;
	uint64_t seed;
};

static struct user u;
static bool loud;
static const char *phase; /* of the trial */

static void escaped(const struct user *user, const char *what, pfa_pfn pfn)
{
	(void)user;
	if (loud)
		fprintf(stderr, "%s, frame %zu, %s\n", what, pfn, phase);
	_exit(3);
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

struct target {
	unsigned char *region;
	size_t bytes;
};

/* What lies behind a cpu's slots: the entries, and at level 3 what only that level has, in three parts. */
static struct target part_of(struct target t, const char *name)
{
	const struct pfa *p = u.rig.pfa;
	if (!p->full_offset)
		return t;
	const size_t entries = p->full_offset - sizeof(struct pfai_cpu) - p->nr_slots * sizeof(struct pfai_slot);
	const size_t ends[] = {0, entries, entries + sizeof(struct pfai_full),
	                       entries + sizeof(struct pfai_full) + p->nr_zones * sizeof(struct pfai_quarantined), 0};
	static const char *const names[] = {"entries", "full", "quarantined", "quarantine"};
	for (unsigned i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return (struct target){t.region + ends[i], (i < 3 ? ends[i + 1] : ends[i] + p->quarantine * sizeof(uint32_t)) - ends[i]};
	return t;
}

struct matches {
	const char *name;
	size_t nr;
	struct target of[8];
};

static void match(void *ctx, const char *name, const void *start, size_t bytes)
{
	struct matches *m = ctx;
	if (strcmp(m->name, name) != 0)
		return;
	MUST(m->nr < 8);
	m->of[m->nr++] = (struct target){(unsigned char *)u.rig.memory + ((const unsigned char *)start - (unsigned char *)u.rig.memory), bytes};
}

/* Of some zone or cpu. */
static struct target target_of(const char *name)
{
	const bool behind = strcmp(name, "full") == 0 || strncmp(name, "quarantine", 10) == 0;
	struct matches m = {.name = behind ? "entries" : name};
	pfa_debug_regions(u.rig.pfa, match, &m);
	return m.nr ? part_of(m.of[rng_below(&u.rng, m.nr)], name) : (struct target){NULL, 0};
}

/* Where the field is once, at random, and its width. */
static size_t pick(const struct field *f, const struct target *t, size_t *width)
{
	size_t at = f->start;
	*width = f->word ? f->word : f->width;
	if (f->word)
		at += rng_below(&u.rng, f->width / f->word) * f->word;
	if (f->stride)
		at += rng_below(&u.rng, (t->bytes - f->start - f->width) / f->stride + 1) * f->stride;
	MUST(at + *width <= t->bytes);
	return at;
}

static void fill(unsigned char *at, size_t bytes, bool random)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = random ? (unsigned char)rng_next(&u.rng) : 0;
}

static void damage_word(unsigned char *at, size_t width, const unsigned char *neighbour, unsigned kind)
{
	uint64_t word = 0;
	memcpy(&word, at, width);
	switch (kind) {
	case ZERO: word = 0; break;
	case ONES: word = UINT64_MAX; break;
	case PLUS: word++; break;
	case MINUS: word--; break;
	case FLIP: word ^= (uint64_t)1 << rng_below(&u.rng, 8 * width); break;
	case NEIGHBOUR: memcpy(&word, neighbour, width); break;
	default: word = rng_next(&u.rng);
	}
	memcpy(at, &word, width);
}

static void damage_flips(void)
{
	for (unsigned i = 0; i < NR_FLIPS; i++) {
		struct target t = target_of(fields[rng_below(&u.rng, NR_FIELDS)].region);
		if (t.bytes)
			t.region[rng_below(&u.rng, t.bytes)] ^= (unsigned char)(1u << rng_below(&u.rng, 8));
	}
}

/* stale: the memory as it was some steps ago. */
static void damage(const struct trial *trial, const unsigned char *stale)
{
	const struct field *f = &fields[trial->field];
	struct target t = target_of(f->region);
	size_t width, other_width, at = pick(f, &t, &width), other = pick(f, &t, &other_width);
	size_t page = at / PAGE * PAGE, page_bytes = t.bytes - page < PAGE ? t.bytes - page : PAGE;
	unsigned char kept[8];
	switch (trial->kind) {
	case SWAPPED:
		memcpy(kept, t.region + at, width);
		memcpy(t.region + at, t.region + other, width);
		memcpy(t.region + other, kept, width);
		break;
	case STALE:
		memcpy(t.region + at, stale + (t.region + at - (unsigned char *)u.rig.memory), width);
		break;
	case ZERO_PAGE:
	case RANDOM_PAGE:
		fill(t.region + page, page_bytes, trial->kind == RANDOM_PAGE);
		break;
	case FLIPS:
		damage_flips();
		break;
	default:
		damage_word(t.region + at, width, t.region + other, trial->kind);
	}
}

/* ---- one trial ------------------------------------------------------------------------------------------------------ */

static enum outcome run(const struct trial *trial)
{
	struct pfa_violation v;
	enum outcome outcome = HARMLESS;
	phase = "before the repair";
	u.rich = fields[trial->field].needs != ANY || (trial->seed & 1);
	user_start(&u, trial->level, trial->seed);
	unsigned char *stale = malloc(u.rig.bytes);
	MUST(stale);
	memcpy(stale, u.rig.memory, u.rig.bytes);
	for (unsigned i = 0; i < 20; i++)
		user_step(&u);
	damage(trial, stale);
	free(stale);
	for (unsigned i = 0; i < USER_STEPS; i++)
		user_step(&u);
	if (u.rig.fault.nr)
		outcome = TOLD;
	else if (pfa_check(u.rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		outcome = NAMED;
	phase = "after the repair";
	int err = pfa_repair(u.rig.pfa, PFA_REPAIR_QUIESCENT, NULL);
	user_repaired(&u);
	/* The word that says that an instance has ended has no second witness: such an instance answers nothing any more. */
	if (err == PFA_EMISUSE || err == PFA_ENOTSUP)
		outcome = REFUSES;
	else if (outcome != HARMLESS && (err || pfa_check(u.rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)) {
		if (loud)
			fprintf(stderr, "repair: %s; %s: pfn %zu, expected %zu, actual %zu\n", pfa_error_name(err), err ? "" : v.what, v.pfn,
			        v.expected, v.actual);
		outcome = REPAIR_FAILED;
	}
	for (unsigned i = 0; i < USER_STEPS && outcome != REPAIR_FAILED; i++)
		user_step(&u);
	rig_drop(&u.rig);
	return outcome;
}

/* Runs trials [first, nr) in a child, which may end early; returns how many it finished. */
static size_t run_some(const struct trial trials[], unsigned char outcomes[], size_t first, size_t nr)
{
	int status;
	pid_t child = fork();
	MUST(child >= 0);
	if (!child) {
		for (size_t i = first; i < nr; i++) {
			alarm(HANG_SECONDS);
			outcomes[i] = (unsigned char)run(&trials[i]);
		}
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	while (first < nr && outcomes[first] != NOT_RUN)
		first++;
	if (first < nr)
		outcomes[first] = CRASHED;
	return first < nr ? first + 1 : nr;
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

struct counts {
	size_t by[OUTCOMES];
};

static void print_row(const char *first, const char *second, const struct counts *c)
{
	const size_t *by = c->by, detected = by[TOLD] + by[NAMED] + by[REFUSES] + by[REPAIR_FAILED];
	const size_t nr = detected + by[HARMLESS] + by[CRASHED];
	if (nr)
		printf("%-13s %-14s %7zu %8zu %8zu %8zu %8zu %8zu %8zu\n", first, second, nr, detected, by[HARMLESS], by[CRASHED],
		       by[TOLD] + by[NAMED], by[REFUSES], by[REPAIR_FAILED]);
}

static const char columns[] = "                              trials detected harmless  escaped repaired  refused   failed";

static size_t make_trials(struct trial out[], size_t per_kind, uint64_t seed)
{
	size_t nr = 0;
	for (uint32_t level = 1; level <= 3 && level <= PFA_HARDENING; level++)
		for (unsigned field = 0; field < NR_FIELDS; field++)
			for (unsigned kind = 0; kind < KINDS && (level == 3 || fields[field].needs != LEVEL3); kind++)
				for (size_t i = 0; i < per_kind; i++, nr++)
					if (out)
						out[nr] = (struct trial){level, field, kind, seed * 1000003 + nr};
	return nr;
}

static void *shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(memory != MAP_FAILED);
	return memory;
}

/* Tells those that the gate is about again, loudly. Returns how many of these there are. */
static size_t judge(const struct trial trials[], const unsigned char outcomes[], size_t nr, uint32_t gate)
{
	size_t bad = 0;
	for (size_t i = 0; i < nr; i++) {
		const struct trial *t = &trials[i];
		if (t->level < gate || (outcomes[i] != REPAIR_FAILED && (outcomes[i] != CRASHED || t->kind >= DIRECTED)))
			continue;
		if (++bad > 10)
			continue;
		printf("%s: level %u, %s.%s, kind %u, seed %llu\n", outcomes[i] == CRASHED ? "escaped" : "not repaired", t->level,
		       fields[t->field].region, fields[t->field].name, t->kind, (unsigned long long)t->seed);
		fflush(stdout);
		static unsigned char again[1];
		loud = true;
		(void)run_some(t, again, 0, 1);
		loud = false;
	}
	return bad;
}

static void print_tables(const struct trial trials[], const unsigned char outcomes[], size_t nr)
{
	static struct counts by_field[4][NR_FIELDS], by_group[4][GROUPS];
	for (size_t i = 0; i < nr; i++) {
		by_group[trials[i].level][group_of(trials[i].kind)].by[outcomes[i]]++;
		if (trials[i].kind < DIRECTED)
			by_field[trials[i].level][trials[i].field].by[outcomes[i]]++;
	}
	for (uint32_t level = 1; level <= 3 && level <= PFA_HARDENING; level++) {
		printf("\nlevel %u, by kind\n%s\n", level, columns);
		for (unsigned i = 0; i < GROUPS; i++)
			print_row(kind_names[i], "", &by_group[level][i]);
		printf("level %u, single words by field\n%s\n", level, columns);
		for (unsigned i = 0; i < NR_FIELDS; i++)
			print_row(fields[i].region, fields[i].name, &by_field[level][i]);
	}
}

static int usage(void)
{
	fputs("usage: test_corruption [--long] [--seed N] [--gate LEVEL] [--trials N]\n"
	      "--gate: from which level on no single word may escape, and no repair fail (2). --trials: of each field, kind and level (4).\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long long seed = 1, per_kind = 4, gate = 2;
	for (int i = 1; i < argc; i++) {
		if (rig_option(argv[i]))
			continue;
		if (strcmp(argv[i], "--long") == 0) {
			per_kind = 100;
			continue;
		}
		unsigned long long *value = strcmp(argv[i], "--gate") == 0     ? &gate :
		                            strcmp(argv[i], "--seed") == 0     ? &seed :
		                            strcmp(argv[i], "--trials") == 0   ? &per_kind : NULL;
		if (!value || ++i == argc || !(*value = strtoull(argv[i], NULL, 0)))
			return usage();
	}
	size_t nr = make_trials(NULL, (size_t)per_kind, seed);
	struct trial *trials = calloc(nr, sizeof(*trials));
	unsigned char *outcomes = shared(nr);
	MUST(trials);
	make_trials(trials, (size_t)per_kind, seed);
	u.escaped = escaped;
	fflush(stdout);
	for (size_t done = 0; done < nr;)
		done = run_some(trials, outcomes, done, nr);
	print_tables(trials, outcomes, nr);
	size_t bad = judge(trials, outcomes, nr, (uint32_t)gate);
	printf("\n%zu trials; from level %llu on: %zu single words that escaped, or repairs that failed\n", nr, gate, bad);
	free(trials);
	return bad != 0;
}
