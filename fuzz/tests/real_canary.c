/* SPDX-License-Identifier: MIT
 *
 * real_canary.c - see real_canary.h.
 */
#define _DEFAULT_SOURCE
#include "real_canary.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct real_calls real_sound;

static void break_calls(const struct real_calls *breaks)
{
	real_calls = real_sound;
#define BREAK(call) real_calls.call = breaks && breaks->call ? breaks->call : real_sound.call
	BREAK(inflate);
	BREAK(tell);
	BREAK(z_put);
	BREAK(z_get);
	BREAK(z_delete);
	BREAK(m_free);
	BREAK(m_move);
	BREAK(migrate);
	BREAK(check);
	BREAK(alloc);
	BREAK(frame_info);
	BREAK(zone_stats);
	BREAK(report);
	BREAK(flush);
	BREAK(service);
	BREAK(unregister);
	BREAK(walk);
#undef BREAK
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

static bool run_seed(const char *folder, const char *name, struct exec_result *result)
{
	struct exec_options options = { .stop_before = SIZE_MAX, .real = true };
	static struct program program;
	static char text[PROG_TEXT_MAX], path[4096];
	struct prog_error error;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	const size_t nr = file ? fread(text, 1, sizeof(text), file) : 0;
	if (!file || fclose(file) != 0 || prog_parse(text, nr, &program, NULL, NULL, &error) != PROG_TEXT_PROGRAM) {
		fprintf(stderr, "%s is no program\n", path);
		exit(2);
	}
	options.tells = strcmp(program.target, "walk") == 0 ? EXEC_WALKS : strcmp(program.target, "report") == 0 ? EXEC_TELLS : EXEC_SILENT;
	return exec_run(&program, &options, result) == EXEC_FINDING;
}

static int is_seed(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name);
	return len > 8 && strcmp(entry->d_name + len - 8, ".pfa.txt") == 0;
}

int real_canaries(int argc, char **argv, const struct real_canary canaries[], size_t nr_canaries)
{
	struct dirent **names;
	struct exec_result result;
	unsigned silent = 0;
	const int nr = argc == 2 ? scandir(argv[1], &names, is_seed, alphasort) : -1;

	if (nr <= 0) {
		fprintf(stderr, "usage: %s FOLDER   (with programs in it)\n", argv[0]);
		return 2;
	}
	real_sound = real_calls;
	for (size_t c = 0; c < nr_canaries; c++) {
		int seed = 0;
		break_calls(&canaries[c].breaks);
		while (seed < nr && !(run_seed(argv[1], names[seed]->d_name, &result) &&
		                      strcmp(result.finding.verdict.monitor, canaries[c].monitor) == 0))
			seed++;
		printf("%-22s %-16s %s %s\n", canaries[c].name, canaries[c].monitor, seed < nr ? "fires on" : "SILENT",
		       seed < nr ? names[seed]->d_name : "");
		silent += seed == nr;
	}
	break_calls(NULL);
	for (int seed = 0; seed < nr; seed++)
		if (run_seed(argv[1], names[seed]->d_name, &result)) {
			printf("%s: a finding without a canary: %s\n", names[seed]->d_name, result.finding.text);
			silent++;
		}
	for (int seed = 0; seed < nr; seed++)
		free(names[seed]);
	free(names);
	return silent ? 1 : 0;
}
