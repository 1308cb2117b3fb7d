/* SPDX-License-Identifier: MIT
 *
 * pfa_sched.c - the explorer as a program: runs programs of several threads (.pfa.txt) under chosen schedules.
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib_file.h"
#include "strategy.h"

/* Fibers and the sanitizer's copies of stack frames do not go together. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

static const char usage[] =
	"usage: pfa-sched [explore] [--runs N] [--seed N] [--seconds N] [--strategy NAME] [--strong] [--no-races] [--no-shrink] [--all-points] [--first]\n"
	"                 [--hashes] [--reverse] [--out DIR] [--quiet] FILE|DIR...\n"
	"       pfa-sched bound [--bound N] [--most N] [--threads N] [--first] FILE|DIR...\n"
	"       pfa-sched run [--all-points] [--quiet] FILE|DIR...\n"
	"       pfa-sched shrink [--out DIR] FILE...\n"
	"\n"
	"Runs programs of several threads (.pfa.txt) on the library, under chosen schedules, and checks them.\n"
	"explore: all strategies. bound: each schedule with up to N deviations (default 2), and how many there are. run: as the file's\n"
	"schedule says (none: each thread until it waits or ends), shown with a column for each thread. shrink: the fewest operations and\n"
	"deviations with the same finding.\n"
	"\n"
	"  --runs N         of each program, strategy and memory model (default 300)\n"
	"  --seed N         of what is random (default 1)\n"
	"  --seconds N      of exploring, on one core, and no more (default: no limit)\n"
	"  --strategy NAME  only this: default, random, pct, starve, all; or order, which preempts nobody: what it finds needs no concurrency\n"
	"  --strong         no weak memory, which is on otherwise in every second exploration\n"
	"  --no-races       races are no findings\n"
	"  --no-shrink      findings are printed as they were found\n"
	"  --all-points     another thread may go on at plain accesses, too; what is found so is repeated and shrunk with this option only\n"
	"  --first          stop at the first finding; in rounds of 200 runs of each program, so that none has to wait long\n"
	"  --hashes         print the hash of each run instead\n"
	"  --reverse        the programs in the other order: nothing may depend on it\n"
	"  --out DIR        where findings are written as files that `run` repeats (default: not)\n"
	"  --most N         of one bound, so many schedules at most (default: all, and less than all is an error)\n"
	"  --threads N      only programs with so many threads at most\n"
	"  --kinds          an operation for several threads that no program carries out is an error\n"
	"  --lenient        a request may always find no memory, as in fuzz_sched\n"
	"  --quiet          no listing\n"
	"\n"
	"Exit code: 0 fine, 1 a finding, 2 usage or set-up.\n";

static struct {
	uint64_t runs, seed, bound, most, threads, seconds;
	const char *strategy, *out;
	bool strong, no_races, no_shrink, all_points, first, hashes, reverse, quiet, lenient, kinds;
} args = { .runs = 300, .seed = 1, .bound = 2, .most = UINT64_MAX, .threads = SCHED_THREADS, .seconds = UINT64_MAX };

/* The programs, and the name of each: that of its file. */
#define FILES 512u
static struct {
	struct program *program;
	char name[64];
} files[FILES];
static unsigned nr_files;

static union sched_any chosen;

static const char *const strategies[] = { "default", "random", "pct", "starve", "all", "order" };
#define STRATEGIES (sizeof(strategies) / sizeof(strategies[0]))
#define ON_REQUEST 5u /* it finds what needs no concurrency: for whoever wants to know that */

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
	case ON_REQUEST:
		sched_by_order(&chosen.random, args.seed + round);
		break;
	default:
		sched_by_all(&chosen.all, args.first ? round : 2);
		break;
	}
	return &chosen.base;
}

static void write_finding(const struct program *p, const char *name)
{
	static char text[PROG_TEXT_MAX];
	static unsigned nr;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s-%u.pfa.txt", args.out, name, ++nr);
	prog_print(p, text, sizeof(text));
	FILE *file = fopen(path, "w");
	if (!file || fprintf(file, "# %s: %s\n%s", sched_finding_name(result.finding), result.text, text) < 0 || fclose(file) != 0) {
		perror(path);
		exit(2);
	}
	printf("  written to %s\n", path);
}

static void print_finding(unsigned which, const struct sched_options *options)
{
	static struct program small;
	static char text[PROG_TEXT_MAX];
	const size_t before = result.nr_events;
	char where[100];

	small = *files[which].program;
	if (args.no_shrink)
		lib_set_schedule(&small, &result);
	else
		lib_shrink(&small, args.lenient, options, &result);
	printf("\n%s, %s, %s memory: %s\n  %s\n", files[which].name, chosen.base.name, options->weak ? "weak" : "strong",
	       sched_finding_name(result.finding), result.text);
	for (unsigned i = 0; i < 2; i++) {
		const void *pc = i ? result.other : result.pc;
		if (pc) {
			lib_where(pc, where, sizeof(where));
			printf("  %s %s\n", i ? "and" : "at", where);
		}
	}
	printf("  %u operations of %u, %zu deviations from the default schedule, shrunk from %zu\n", small.nr_ops,
	       files[which].program->nr_ops, result.nr_events, before);
	prog_print(&small, text, sizeof(text));
	printf("%s", text);
	lib_replay(&small, args.lenient, args.all_points, NULL, &again);
	printf("  the replay finds %s\n",
	       again.hash == result.hash && again.finding == result.finding ? "the same" : "SOMETHING ELSE");
	if (args.out)
		write_finding(&small, files[which].name);
}

static bool run_one(unsigned which, unsigned strategy, bool weak, unsigned round, uint64_t runs)
{
	const struct sched_program *program = lib_program(files[which].program, args.lenient);
	const struct sched_options options = { .weak = weak, .no_races = args.no_races, .all_points = args.all_points };
	const clock_t began = clock();
	struct sched_sum sum;

	bool found = sched_explore(program, choose(strategy, round), &options, strategy == 0 ? 1 : runs, &sum, &result);
	all_time += clock() - began;
	all_runs += sum.runs;
	all_accesses += sum.accesses;
	all_steps += sum.steps;
	if (found)
		print_finding(which, &options);
	return found;
}

static void print_hashes(unsigned which, unsigned strategy, bool weak)
{
	const struct sched_program *program = lib_program(files[which].program, args.lenient);
	const struct sched_options options = { .weak = weak, .all_points = args.all_points };
	struct sched_strategy *s = choose(strategy, 1);

	for (uint64_t i = 0; i < (strategy ? args.runs : 1); i++) {
		sched_run(program, s, &options, &result);
		printf("%s, %s, %d, %" PRIu64 ": %016" PRIx64 " %" PRIu32 " %s\n", files[which].name, s->name, weak, i, result.hash,
		       result.steps, sched_finding_name(result.finding));
		if (s->end && !s->end(s, &result))
			break;
	}
}

/* ---- what to do ---- */

static bool add_file(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (nr_files == FILES) {
		fprintf(stderr, "pfa-sched: more than %u programs\n", FILES);
		return false;
	}
	struct program *p = malloc(sizeof(*p));
	if (!p || !lib_read(path, p))
		return false;
	files[nr_files].program = p;
	snprintf(files[nr_files].name, sizeof(files[0].name), "%s", slash ? slash + 1 : path);
	char *dot = strstr(files[nr_files].name, ".pfa.txt");
	if (dot)
		*dot = 0;
	nr_files++;
	return true;
}

static int is_text(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name);

	return len > 8 && strcmp(entry->d_name + len - 8, ".pfa.txt") == 0;
}

static bool add(const char *path)
{
	struct dirent **names;
	const int nr = scandir(path, &names, is_text, alphasort);
	bool fine = true;

	if (nr < 0)
		return add_file(path);
	for (int i = 0; i < nr; i++) {
		char whole[4096];
		snprintf(whole, sizeof(whole), "%s/%s", path, names[i]->d_name);
		fine = fine && add_file(whole);
		free(names[i]);
	}
	free(names);
	return fine;
}

static bool parse_flag(const char *a)
{
	static const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "--strong", &args.strong }, { "--no-races", &args.no_races }, { "--no-shrink", &args.no_shrink },
		      { "--all-points", &args.all_points }, { "--first", &args.first }, { "--hashes", &args.hashes },
		      { "--reverse", &args.reverse }, { "--quiet", &args.quiet }, { "--lenient", &args.lenient }, { "--kinds", &args.kinds } };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(a, flags[i].name))
			return *flags[i].flag = true;
	return false;
}

static bool parse_value(const char *a, const char *value)
{
	static const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = { { "--runs", &args.runs }, { "--seed", &args.seed }, { "--bound", &args.bound }, { "--most", &args.most },
		        { "--threads", &args.threads }, { "--seconds", &args.seconds } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(a, numbers[i].name)) {
			*numbers[i].number = strtoull(value, NULL, 10);
			return true;
		}
	if (!strcmp(a, "--strategy"))
		args.strategy = value;
	else if (!strcmp(a, "--out"))
		args.out = value;
	else
		return false;
	return true;
}

static bool parse(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (!add(argv[i]))
				return false;
		} else if (!parse_flag(argv[i])) {
			if (i + 1 == argc || !parse_value(argv[i], argv[i + 1]))
				return false;
			i++;
		}
	}
	return nr_files != 0;
}

static bool wanted(unsigned which, unsigned strategy)
{
	return files[which].program->config.threads <= args.threads &&
	       (args.strategy ? !strcmp(strategies[strategy], args.strategy) : strategy != ON_REQUEST);
}

static bool explored_long(void)
{
	return (uint64_t)(all_time / CLOCKS_PER_SEC) >= args.seconds;
}

/* How much was found. */
static unsigned run_all(unsigned round, uint64_t runs)
{
	unsigned found = 0;

	for (unsigned i = 0; i < nr_files; i++)
		for (unsigned s = 0; s < STRATEGIES; s++) {
			const unsigned p = args.reverse ? nr_files - 1 - i : i;
			for (unsigned weak = 0; weak < (args.strong ? 1u : 2u) && wanted(p, s); weak++) {
				if (args.hashes)
					print_hashes(p, s, weak);
				else if (run_one(p, s, weak, round, runs))
					found++;
				if ((found && args.first) || explored_long())
					return found;
			}
		}
	return found;
}

static int explore(void)
{
	unsigned found = 0;
	uint64_t each = args.first && args.runs > ROUND ? ROUND : args.runs;

	for (unsigned round = 0; round * each < args.runs && !(found && args.first) && !explored_long(); round++)
		found += run_all(round, each);
	if (args.hashes)
		return 0;
	const double seconds = (double)all_time / CLOCKS_PER_SEC;
	printf("%" PRIu64 " runs, %" PRIu64 " points, %" PRIu64 " accesses in %.2f s: %.0f runs/s, %.1f M accesses/s; %u findings\n",
	       all_runs, all_steps, all_accesses, seconds, (double)all_runs / seconds, (double)all_accesses / seconds / 1e6, found);
	return found ? 1 : 0;
}

/* ---- bounds ---- */

/* All schedules of a program with up to so many deviations, weak memory off. False: a finding. */
static bool bound_one(unsigned which, unsigned bound, uint64_t *out_runs, bool *out_done)
{
	const struct sched_options options = { .no_races = args.no_races, .all_points = args.all_points };
	struct sched_sum sum;

	sched_by_all(&chosen.all, bound);
	bool found = sched_explore(lib_program(files[which].program, args.lenient), &chosen.base, &options, args.most, &sum, &result);
	*out_runs = sum.runs;
	*out_done = sum.done && !chosen.all.incomplete;
	if (found)
		print_finding(which, &options);
	return !found;
}

static int bounds(void)
{
	unsigned found = 0, complete = 0, programs = 0;
	uint64_t runs, all = 0;
	const clock_t began = clock();

	for (unsigned which = 0; which < nr_files && !(found && args.first); which++) {
		const struct program *p = files[which].program;
		if (p->config.threads > args.threads || p->config.threads < 2)
			continue;
		bool done = false;
		programs++;
		printf("%-44s t=%u", files[which].name, p->config.threads);
		for (unsigned bound = 0; bound <= args.bound; bound++) {
			found += !bound_one(which, bound, &runs, &done);
			all += runs;
			printf("  %u: %" PRIu64 "%s", bound, runs, done ? "" : "+");
		}
		complete += done;
		printf("\n");
		fflush(stdout);
	}
	printf("%u of %u programs complete with up to %" PRIu64 " deviations; %" PRIu64 " schedules, %.1f s, %u findings\n", complete, programs,
	       args.bound, all, (double)(clock() - began) / CLOCKS_PER_SEC, found);
	if (found)
		return 1;
	return programs && (complete == programs || args.most != UINT64_MAX) ? 0 : 2;
}

static int replay(void)
{
	unsigned found = 0;

	for (unsigned which = 0; which < nr_files; which++) {
		lib_replay(files[which].program, args.lenient, args.all_points, args.quiet ? NULL : stdout, &result);
		printf("%s: %s%s%s, %" PRIu32 " points, hash %016" PRIx64 "\n", files[which].name, sched_finding_name(result.finding),
		       result.text[0] ? ": " : "", result.text, result.steps, result.hash);
		if (result.finding == SCHED_NOTHING)
			continue;
		found++;
		lib_tell(files[which].program, &result, stderr);
	}
	return found ? 1 : 0;
}

static bool all_kinds(void)
{
	const uint8_t *kinds;
	const unsigned nr = prog_kinds(&kinds);
	bool all = true;

	for (unsigned i = 0; i < nr; i++)
		if (prog_kind(kinds[i])->group == PROG_GROUP_THREADS && kinds[i] != OP_START && !lib_was_done(kinds[i])) {
			fprintf(stderr, "pfa-sched: %s: no program carries it out\n", prog_kind(kinds[i])->name);
			all = false;
		}
	return all;
}

/* Each finding's program with as few operations and deviations as show the same, printed. */
static int shrink(void)
{
	const struct sched_options options = { .weak = true, .all_points = args.all_points };
	static char text[PROG_TEXT_MAX];
	unsigned found = 0;

	for (unsigned which = 0; which < nr_files; which++) {
		lib_replay(files[which].program, args.lenient, args.all_points, NULL, &result);
		if (result.finding == SCHED_NOTHING)
			continue;
		found++;
		lib_shrink(files[which].program, args.lenient, &options, &result);
		prog_print(files[which].program, text, sizeof(text));
		printf("# %s: %s\n%s", sched_finding_name(result.finding), result.text, text);
		if (args.out)
			write_finding(files[which].program, files[which].name);
	}
	if (found < nr_files)
		fprintf(stderr, "pfa-sched: %u of the programs have no finding, and are not printed\n", nr_files - found);
	return found ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} commands[] = { { "explore", explore }, { "bound", bounds }, { "run", replay }, { "shrink", shrink } };
	int (*run)(void) = explore;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(usage, stdout);
			return 0;
		}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && argc > 1; i++)
		if (!strcmp(argv[1], commands[i].name)) {
			run = commands[i].run;
			argc--;
			argv++;
			break;
		}
	if (!parse(argc - 1, argv + 1)) {
		fputs(usage, stderr);
		return 2;
	}
	int code = run();
	return args.kinds && code == 0 && !all_kinds() ? 2 : code;
}
