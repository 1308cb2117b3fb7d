/* SPDX-License-Identifier: MIT
 *
 * test_seeds.c - all committed programs, run by the harness itself:
 *
 *   test_seeds determinism DIR...   each one twice, with another one between: the same trace hash, and no finding
 *   test_seeds textbook DIR...      each one on the textbook allocator, with the operations that it has: no finding
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"

static struct program program, other;
static struct exec_result result, again;
static size_t seeds_nr, seeds_steps, seeds_refused;

static bool seeds_read(const char *path)
{
	static char text[PROG_TEXT_MAX];
	static uint8_t bytes[PROG_BYTES_MAX];
	struct prog_error error;
	FILE *file = fopen(path, "rb");

	if (!file) {
		perror(path);
		exit(2);
	}
	const size_t nr = fread(text, 1, sizeof(text), file);
	fclose(file);
	size_t raw = sizeof(bytes);
	switch (prog_parse(text, nr, &program, bytes, &raw, &error)) {
	case PROG_TEXT_ERROR:
		fprintf(stderr, "%s:%u:%u: %s\n", path, error.line, error.column, error.message);
		exit(2);
	case PROG_TEXT_RAW:
		return false; /* for another kind of target */
	default:
		program.config.bad = PROG_SPOIL_NONE;
		return true;
	}
}

static bool seeds_one(const char *path, const struct sut_ops *sut)
{
	struct exec_options options = { .sut = sut, .stop_before = SIZE_MAX };

	if (!seeds_read(path))
		return true;
	seeds_nr++;
	/* as fuzz_owners.c, fuzz_report.c, fuzz_walk.c */
	options.tells = strcmp(program.target, "report") == 0 ? EXEC_TELLS : strcmp(program.target, "walk") == 0 ? EXEC_WALKS : EXEC_SILENT;
	options.real = sut == &sut_pfa && (options.tells || strcmp(program.target, "owners") == 0);
	if (exec_run(&program, &options, &result) == EXEC_FINDING) {
		fprintf(stderr, "%s:\n", path);
		exec_report(&program, &options, &result);
		return false;
	}
	seeds_steps += result.steps;
	seeds_refused += result.outcome == EXEC_REFUSED;
	prog_decode((const uint8_t *)path, strlen(path), &other);
	(void)exec_run(&other, &options, &again);
	exec_drop();
	if (exec_run(&program, &options, &again) == EXEC_FINDING || again.trace_hash != result.trace_hash ||
	    again.steps != result.steps) {
		fprintf(stderr, "%s: two runs, two traces (%016llx, %016llx)\n", path, (unsigned long long)result.trace_hash,
		        (unsigned long long)again.trace_hash);
		return false;
	}
	return true;
}

static bool seeds_all(const char *dir, const struct sut_ops *sut)
{
	struct dirent **names;
	bool fine = true;
	const int nr = scandir(dir, &names, NULL, alphasort);

	if (nr < 0) {
		perror(dir);
		exit(2);
	}
	for (int i = 0; i < nr; i++) {
		char path[4096];
		const size_t len = strlen(names[i]->d_name);
		if (len > 8 && strcmp(names[i]->d_name + len - 8, ".pfa.txt") == 0) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			fine &= seeds_one(path, sut);
		}
		free(names[i]);
	}
	free(names);
	return fine;
}

int main(int argc, char **argv)
{
	bool fine = true;

	if (argc < 3 || (strcmp(argv[1], "determinism") && strcmp(argv[1], "textbook"))) {
		fprintf(stderr, "usage: test_seeds determinism|textbook DIR...\n");
		return 2;
	}
	exec_install_callbacks();
	for (int i = 2; i < argc; i++)
		fine &= seeds_all(argv[i], strcmp(argv[1], "textbook") == 0 ? &sut_textbook : &sut_pfa);
	printf("%zu programs, %zu steps, %zu refused\n", seeds_nr, seeds_steps, seeds_refused);
	if (!seeds_nr || !seeds_steps) {
		fprintf(stderr, "test_seeds: no programs, so that nothing was tested\n");
		return 2;
	}
	return fine ? 0 : 1;
}
