/* SPDX-License-Identifier: MIT
 *
 * replay_main.c - main() of a fuzz target without a fuzzing engine: replays files and folders.
 *
 * All inputs run in a child that writes down in shared memory which one it is at. When the child dies (sanitizer
 * report, oracle, signal, time limit) the parent names that input and a new child goes on with the next one, so that
 * one bad input does not hide the others. --no-fork runs everything in this process, for debuggers.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum { EXIT_FINE = 0, EXIT_FINDING = 1, EXIT_SETUP = 2, REPLAY_MAX_BYTES = 1 << 22 };

struct replay_input {
	char *path;
	uint8_t *data;
	size_t size;
};

struct replay_set {
	struct replay_input *inputs;
	size_t nr, room;
};

struct replay_options {
	bool quiet, no_fork;
	unsigned timeout_s;
	unsigned repeat;
};

/* Written by the child, read by the parent after the child's death. */
struct replay_progress {
	volatile size_t at;
	volatile size_t done;
};

static void replay_help(FILE *to)
{
	fputs("usage: fuzz_<target> [--quiet] [--timeout S] [--repeat N] [--no-fork] FILE|FOLDER|-...\n"
	      "\n"
	      "Replays inputs through one fuzz target, without a fuzzing engine. Text programs (*.pfa.txt) are encoded,\n"
	      "anything else is taken as bytes; folders are searched for all files; - reads bytes from stdin.\n"
	      "\n"
	      "  --quiet      print nothing when all inputs pass\n"
	      "  --timeout S  seconds an input may take (default 60; 0: no limit)\n"
	      "  --repeat N   replay everything N times (default 1)\n"
	      "  --no-fork    run in this process, for debuggers: the first failure ends it\n"
	      "\n"
	      "Exit: 0 all inputs passed, 1 an input failed (its name is printed), 2 usage, unreadable file, no input.\n",
	      to);
}

static _Noreturn void replay_fail(const char *what, const char *path)
{
	fprintf(stderr, "replay: %s: %s%s%s\n", path, what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(EXIT_SETUP);
}

static bool replay_ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static uint8_t *replay_read(const char *path, size_t *out_size)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	uint8_t *data = malloc(REPLAY_MAX_BYTES + 1);
	size_t n;

	if (!f)
		replay_fail("cannot open", path);
	if (!data)
		replay_fail("no memory", path);
	n = fread(data, 1, REPLAY_MAX_BYTES + 1, f);
	if (ferror(f))
		replay_fail("cannot read", path);
	errno = 0;
	if (n > REPLAY_MAX_BYTES)
		replay_fail("larger than 4 MiB", path);
	if (f != stdin)
		fclose(f);
	*out_size = n;
	return data;
}

/* Turns a text program into bytes; names line and column if it cannot. */
static void replay_encode(struct replay_input *in)
{
	char why[256] = "";
	size_t size = 0;
	uint8_t *bytes = malloc(REPLAY_MAX_BYTES);

	if (!bytes)
		replay_fail("no memory", in->path);
	if (prog_text_to_bytes((const char *)in->data, in->size, bytes, REPLAY_MAX_BYTES, &size, why, sizeof(why))) {
		fprintf(stderr, "replay: %s:%s\n", in->path, why);
		exit(EXIT_SETUP);
	}
	free(in->data);
	in->data = bytes;
	in->size = size;
}

static void replay_add_file(struct replay_set *set, const char *path)
{
	struct replay_input in = { .path = strdup(path) };
	uint8_t *exact;

	if (set->nr == set->room) {
		set->room = set->room ? set->room * 2 : 64;
		set->inputs = realloc(set->inputs, set->room * sizeof(*set->inputs));
	}
	if (!in.path || !set->inputs)
		replay_fail("no memory", path);
	in.data = replay_read(path, &in.size);
	if (replay_ends_with(path, ".pfa.txt"))
		replay_encode(&in);
	/* Exactly as large as the input, so that a sanitizer sees a read past its end. */
	exact = malloc(in.size ? in.size : 1);
	if (!exact)
		replay_fail("no memory", path);
	if (in.size)
		memcpy(exact, in.data, in.size);
	free(in.data);
	in.data = exact;
	set->inputs[set->nr++] = in;
}

static int replay_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void replay_add(struct replay_set *set, const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (strcmp(path, "-") == 0) {
		replay_add_file(set, path);
		return;
	}
	if (stat(path, &st))
		replay_fail("cannot open", path);
	if (!S_ISDIR(st.st_mode)) {
		replay_add_file(set, path);
		return;
	}
	n = scandir(path, &names, replay_visible, alphasort);
	if (n < 0)
		replay_fail("cannot read the folder", path);
	for (int i = 0; i < n; i++) {
		char *child = malloc(strlen(path) + strlen(names[i]->d_name) + 2);

		if (!child)
			replay_fail("no memory", path);
		sprintf(child, "%s/%s", path, names[i]->d_name);
		replay_add(set, child);
		free(child);
		free(names[i]);
	}
	free(names);
}

static void replay_run(const struct replay_set *set, size_t from, const struct replay_options *opt,
                       struct replay_progress *progress)
{
	for (size_t i = from; i < set->nr; i++) {
		progress->at = i;
		alarm(opt->timeout_s);
		LLVMFuzzerTestOneInput(set->inputs[i].data, set->inputs[i].size);
		alarm(0);
		progress->done++;
	}
	progress->at = set->nr;
}

/* Says how the child ended; returns the input to go on with. */
static size_t replay_explain(const struct replay_set *set, int status, const struct replay_progress *progress)
{
	const char *path = progress->at < set->nr ? set->inputs[progress->at].path : "(after the last input)";

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("FAILED %s: timeout\n", path);
	else if (WIFSIGNALED(status))
		printf("FAILED %s: %s\n", path, strsignal(WTERMSIG(status)));
	else
		printf("FAILED %s: exit status %d\n", path, WEXITSTATUS(status));
	fflush(stdout);
	return progress->at + 1;
}

static size_t replay_fork_all(const struct replay_set *set, const struct replay_options *opt,
                              struct replay_progress *progress)
{
	size_t from = 0, failed = 0;

	while (from < set->nr) {
		int status = 0;
		pid_t child;

		fflush(NULL);
		child = fork();
		if (child < 0)
			replay_fail("cannot fork", set->inputs[from].path);
		if (child == 0) {
			replay_run(set, from, opt, progress);
			exit(EXIT_FINE); /* not _exit: leak checks and coverage files are made here */
		}
		while (waitpid(child, &status, 0) < 0)
			if (errno != EINTR)
				replay_fail("cannot wait", set->inputs[from].path);
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FINE && progress->at >= set->nr)
			break;
		failed++;
		from = replay_explain(set, status, progress);
	}
	return failed;
}

static unsigned replay_number(const char *option, const char *value)
{
	char *end = NULL;
	unsigned long n = value ? strtoul(value, &end, 10) : 0;

	if (!value || *value < '0' || *value > '9' || *end || n > 1000000) {
		fprintf(stderr, "replay: %s needs a number, not '%s'\n", option, value ? value : "");
		exit(EXIT_SETUP);
	}
	return (unsigned)n;
}

static void replay_parse(int argc, char **argv, struct replay_options *opt, struct replay_set *set)
{
	int first_path = argc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			replay_help(stdout);
			exit(EXIT_FINE);
		} else if (strcmp(argv[i], "--quiet") == 0) {
			opt->quiet = true;
		} else if (strcmp(argv[i], "--no-fork") == 0) {
			opt->no_fork = true;
		} else if (strcmp(argv[i], "--timeout") == 0) {
			opt->timeout_s = replay_number(argv[i], argv[i + 1]);
			i++;
		} else if (strcmp(argv[i], "--repeat") == 0) {
			opt->repeat = replay_number(argv[i], argv[i + 1]);
			i++;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			fprintf(stderr, "replay: unknown option %s (see --help)\n", argv[i]);
			exit(EXIT_SETUP);
		} else {
			first_path = i;
			break;
		}
	}
	for (int i = first_path; i < argc; i++)
		replay_add(set, argv[i]);
	if (set->nr == 0) {
		fprintf(stderr, "replay: no input (see --help)\n");
		exit(EXIT_SETUP);
	}
}

int main(int argc, char **argv)
{
	struct replay_options opt = { .timeout_s = 60, .repeat = 1 };
	struct replay_set set = { 0 };
	struct replay_progress *progress;
	struct timespec start, end;
	size_t failed = 0;
	double s;

	replay_parse(argc, argv, &opt, &set);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		replay_fail("no memory", argv[0]);
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned r = 0; r < opt.repeat; r++) {
		progress->at = 0;
		if (opt.no_fork)
			replay_run(&set, 0, &opt, progress);
		else
			failed += replay_fork_all(&set, &opt, progress);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	s = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	if (!opt.quiet || failed)
		printf("replayed %zu inputs, %zu passed, %zu failures, %.2f s\n", set.nr * opt.repeat, progress->done,
		       failed, s);
	fflush(NULL);
	/* The parent has nothing to add to coverage files, and must not overwrite the child's. */
	if (!opt.no_fork)
		_exit(failed ? EXIT_FINDING : EXIT_FINE);
	for (size_t i = 0; i < set.nr; i++) {
		free(set.inputs[i].data);
		free(set.inputs[i].path);
	}
	free(set.inputs);
	return EXIT_FINE;
}
