/* SPDX-License-Identifier: MIT
 *
 * lib_main.c - runs the programs of lib_programs.c under every strategy.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib_run.h"
#include "strategy.h"

/* The linker's. */
extern const char __executable_start[];

/* Fibers and the sanitizer's copies of stack frames do not go together. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

static const char usage[] =
	"usage: sched_lib [--runs N] [--seed N] [--program TEXT] [--strategy NAME] [--strong]\n"
	"                 [--no-races] [--first] [--hashes] [--reverse] [--help]\n"
	"\n"
	"Runs small programs of the library on 2 or 3 logical threads under chosen schedules, and checks them.\n"
	"\n"
	"  --runs N         of each program, strategy and memory model (default 300)\n"
	"  --seed N         of what is random (default 1)\n"
	"  --program TEXT   only programs whose name contains it\n"
	"  --strategy NAME  only this: default, random, pct, starve, all\n"
	"  --strong         no weak memory, which is on otherwise in every second exploration\n"
	"  --no-races       races are no findings\n"
	"  --first          stop at the first finding; in rounds of 200 runs of each program, so that none has to wait long\n"
	"  --hashes         print the hash of each run instead\n"
	"  --reverse        the programs in the other order: nothing may depend on it\n"
	"\n"
	"Exit code: 0 fine, 1 a finding, 2 usage or set-up.\n";

static struct {
	uint64_t runs, seed;
	const char *self, *program, *strategy;
	bool strong, no_races, first, hashes, reverse;
} args = { .runs = 300, .seed = 1 };

static union {
	struct sched_strategy base;
	struct sched_random random;
	struct sched_pct pct;
	struct sched_starve starve;
	struct sched_all all;
} chosen;

static const char *const strategies[] = { "default", "random", "pct", "starve", "all" };
#define STRATEGIES (sizeof(strategies) / sizeof(strategies[0]))

static struct sched_result result, again;
static uint64_t all_runs, all_accesses, all_steps;
static clock_t all_time; /* of exploring, not of shrinking what was found */

#define ROUND 200u

/* Rounds have other seeds, other bounds, and starve later. */
static struct sched_strategy *choose(unsigned i, unsigned round)
{
	switch (i) {
	case 0:
		sched_by_default(&chosen.base);
		break;
	case 1:
		sched_by_random(&chosen.random, args.seed + round);
		break;
	case 2:
		sched_by_pct(&chosen.pct, args.seed + round, 2 + round % 3);
		break;
	case 3:
		sched_by_starving(&chosen.starve);
		chosen.starve.from += round * ROUND;
		break;
	default:
		sched_by_all(&chosen.all, args.first ? round : 2);
		break;
	}
	return &chosen.base;
}

static void print_finding(const struct sched_program *program, const struct sched_options *options)
{
	static const char *const kinds[] = { "", "preempt to t", "migrate to cpu ", "older value by ", "goes on: t" };
	const size_t before = result.nr_events;
	struct sched_replay replay;

	sched_shrink(program, options, &result);
	printf("\n%s, %s, %s memory: %s\n  %s\n", program->name, chosen.base.name, options->weak ? "weak" : "strong",
	       sched_finding_name(result.finding), result.text);
	if (result.pc)
		printf("  addr2line -fie %s 0x%" PRIxPTR "\n", args.self, (uintptr_t)result.pc - (uintptr_t)__executable_start);
	printf("  %zu deviations from the default schedule, shrunk from %zu\n", result.nr_events, before);
	for (size_t i = 0; i < result.nr_events; i++)
		printf("  t%u at its point %" PRIu32 ": %s%u\n", result.events[i].thread, result.events[i].n,
		       kinds[result.events[i].kind], result.events[i].arg);
	sched_by_replay(&replay, result.events, result.nr_events);
	sched_run(program, &replay.base, options, &again);
	printf("  the replay finds %s\n",
	       again.hash == result.hash && again.finding == result.finding ? "the same" : "SOMETHING ELSE");
}

static bool run_one(const struct lib_program *which, unsigned strategy, bool weak, unsigned round, uint64_t runs)
{
	const struct sched_program *program = lib_program(which);
	const struct sched_options options = { .weak = weak, .no_races = args.no_races };
	const clock_t began = clock();
	struct sched_sum sum;

	bool found = sched_explore(program, choose(strategy, round), &options, strategy == 0 ? 1 : runs, &sum, &result);
	all_time += clock() - began;
	all_runs += sum.runs;
	all_accesses += sum.accesses;
	all_steps += sum.steps;
	if (found)
		print_finding(program, &options);
	return found;
}

static void print_hashes(const struct lib_program *which, unsigned strategy, bool weak)
{
	const struct sched_program *program = lib_program(which);
	const struct sched_options options = { .weak = weak };
	struct sched_strategy *s = choose(strategy, 1);

	for (uint64_t i = 0; i < (strategy ? args.runs : 1); i++) {
		sched_run(program, s, &options, &result);
		printf("%s, %s, %d, %" PRIu64 ": %016" PRIx64 " %" PRIu32 " %s\n", program->name, s->name, weak, i, result.hash,
		       result.steps, sched_finding_name(result.finding));
		if (s->end && !s->end(s, &result))
			break;
	}
}

static bool parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(a, "--strong"))
			args.strong = true;
		else if (!strcmp(a, "--no-races"))
			args.no_races = true;
		else if (!strcmp(a, "--first"))
			args.first = true;
		else if (!strcmp(a, "--hashes"))
			args.hashes = true;
		else if (!strcmp(a, "--reverse"))
			args.reverse = true;
		else if (!value)
			return false;
		else {
			i++;
			if (!strcmp(a, "--runs"))
				args.runs = strtoull(value, NULL, 10);
			else if (!strcmp(a, "--seed"))
				args.seed = strtoull(value, NULL, 10);
			else if (!strcmp(a, "--program"))
				args.program = value;
			else if (!strcmp(a, "--strategy"))
				args.strategy = value;
			else
				return false;
		}
	}
	return true;
}

static bool wanted(const struct lib_program *p, unsigned strategy)
{
	return (!args.program || strstr(p->name, args.program)) && (!args.strategy || !strcmp(strategies[strategy], args.strategy));
}

/* How much was found. */
static unsigned run_all(unsigned round, uint64_t runs)
{
	unsigned found = 0;

	for (unsigned i = 0; i < nr_lib_programs; i++)
		for (unsigned s = 0; s < STRATEGIES; s++) {
			const struct lib_program *p = &lib_programs[args.reverse ? nr_lib_programs - 1 - i : i];
			for (unsigned weak = 0; weak < (args.strong ? 1u : 2u) && wanted(p, s); weak++) {
				if (args.hashes)
					print_hashes(p, s, weak);
				else if (run_one(p, s, weak, round, runs))
					found++;
				if (found && args.first)
					return found;
			}
		}
	return found;
}

int main(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	args.self = argv[0];
	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	unsigned found = 0;
	uint64_t each = args.first && args.runs > ROUND ? ROUND : args.runs;
	for (unsigned round = 0; round * each < args.runs && !(found && args.first); round++)
		found += run_all(round, each);
	if (args.hashes)
		return 0;
	const double seconds = (double)all_time / CLOCKS_PER_SEC;
	printf("%" PRIu64 " runs, %" PRIu64 " points, %" PRIu64 " accesses in %.2f s: %.0f runs/s, %.1f M accesses/s; %u findings\n",
	       all_runs, all_steps, all_accesses, seconds, (double)all_runs / seconds, (double)all_accesses / seconds / 1e6, found);
	return found ? 1 : 0;
}
