/* SPDX-License-Identifier: MIT
 *
 * test_canary.c - oracles that cannot fire are none. For each broken allocator of sut_canary.h: the seeds of a
 * folder and then random programs are run against it until an oracle fires, which must be the one that the canary is for, within a bounded number of
 * programs; and on those same programs the sound allocator must be silent. Without argument: all, a line each.
 *
 *   test_canary [NAME [FOLDER]]
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "sut_canary.h"

#define CANARY_PROGRAMS 3000u /* a few hundred are enough today; see what is printed */
#define CANARY_OPS 96u
#define CANARY_MUTATIONS 24u

static const struct {
	const char *name, *monitor, *doc;
} canaries[] = {
#define CANARY_ROW(name, monitor, doc) { #name, monitor, doc },
	SUT_CANARIES(CANARY_ROW)
#undef CANARY_ROW
};

static struct program program;
static struct dirent **canary_seeds;
static unsigned canary_nr_seeds;
static const char *canary_folder;
static struct exec_result result, again;

static uint64_t canary_random(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static int canary_is_seed(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name);
	return len > 8 && strcmp(entry->d_name + len - 8, ".pfa.txt") == 0;
}

static void canary_seed(const char *name)
{
	static char text[PROG_TEXT_MAX], path[4096];
	struct prog_error error;

	snprintf(path, sizeof(path), "%s/%s", canary_folder, name);
	FILE *file = fopen(path, "rb");
	const size_t nr = file ? fread(text, 1, sizeof(text), file) : 0;
	if (!file || fclose(file) != 0 || prog_parse(text, nr, &program, NULL, NULL, &error) != PROG_TEXT_PROGRAM) {
		fprintf(stderr, "test_canary: %s is no program\n", path);
		exit(2);
	}
}

static void canary_program(unsigned number)
{
	if (number < canary_nr_seeds) {
		canary_seed(canary_seeds[number]->d_name);
		return;
	}
	static uint8_t bytes[PROG_HEADER_BYTES + PROG_OP_BYTES * CANARY_OPS];
	uint64_t state = number;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)canary_random(&state);
	bytes[0] = 0;
	prog_decode(bytes, sizeof(bytes), &program);
	for (unsigned i = 0; number % 2 && i < CANARY_MUTATIONS; i++) /* as engines make them: arguments near edges, chains */
		prog_mutate(&program, PROG_HEADER_BYTES + PROG_OP_BYTES * CANARY_OPS * 2, canary_random(&state));
}

/* Those of movable blocks are looked for as fuzz_migrate does. */
static unsigned canary_moves(enum sut_canary which)
{
	return which >= SUT_CANARY_OP_COOKIE && which <= SUT_CANARY_AREA_COUNTS ? 3 : 0;
}

/* Those of holds and ranges as fuzz_contig does. */
static bool canary_contig(enum sut_canary which)
{
	return which >= SUT_CANARY_HELD_STATS && which <= SUT_CANARY_SEARCH_FAILS;
}

/* Those of memory that comes and goes, and of areas, as fuzz_hotplug does. */
static bool canary_plug(enum sut_canary which)
{
	return which >= SUT_CANARY_PLUG_OFFERS && which <= SUT_CANARY_AREA_COUNTS;
}

/* Does the oracle for this canary fire? Other oracles may fire before it on other programs: a lie shows in more than
 * one way. It is enough, and necessary, that the one that is named fires on some program. */
static bool canary_fires(enum sut_canary which, unsigned *programs, unsigned *others)
{
	const struct exec_options broken = { .sut = sut_canary(which), .stop_before = SIZE_MAX, .moves = canary_moves(which),
	                                    .contig = canary_contig(which), .plug = canary_plug(which) };

	*others = 0;
	for (unsigned i = 0; i < CANARY_PROGRAMS; i++) {
		*programs = i + 1;
		canary_program(i);
		const enum exec_outcome outcome = exec_run(&program, &broken, &result);
		exec_drop();
		if (which == SUT_CANARY_RANDOM) {
			if (outcome == EXEC_FINE && exec_run(&program, &broken, &again) == EXEC_FINE &&
			    again.trace_hash != result.trace_hash)
				return true;
			exec_drop();
			continue;
		}
		if (outcome != EXEC_FINDING)
			continue;
		if (strcmp(result.finding.verdict.monitor, canaries[which].monitor) == 0)
			return true;
		++*others;
	}
	return false;
}

/* The sound allocator is silent on the programs that were needed, and comes to the same twice. */
static bool canary_sound(unsigned programs, unsigned moves, bool contig, bool plug)
{
	const struct exec_options sound = { .stop_before = SIZE_MAX, .moves = moves, .contig = contig, .plug = plug };

	for (unsigned i = 0; i < programs; i++) {
		canary_program(i);
		if (exec_run(&program, &sound, &result) == EXEC_FINDING) {
			exec_report(&program, &sound, &result);
			return false;
		}
		(void)exec_run(&program, &sound, &again);
		if (again.trace_hash != result.trace_hash) {
			fprintf(stderr, "program %u: two runs, two traces\n", i);
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned silent = 0, most = 0, tried = 0, moves = 0;
	bool contig = false, plug = false;

	if (argc > 2) {
		const int nr = scandir(canary_folder = argv[2], &canary_seeds, canary_is_seed, alphasort);
		if (nr <= 0) {
			fprintf(stderr, "test_canary: no seeds in %s\n", canary_folder);
			return 2;
		}
		canary_nr_seeds = (unsigned)nr;
	}
	for (unsigned i = 0; i < SUT_CANARY_NR; i++) {
		unsigned programs = 0, others = 0;
		if (argc > 1 && *argv[1] && strcmp(argv[1], canaries[i].name) != 0)
			continue;
		const bool fires = canary_fires((enum sut_canary)i, &programs, &others);
		printf("%-20s %-20s %s after %u programs (%u others)  %s\n", canaries[i].name, canaries[i].monitor,
		       fires ? "fires" : "SILENT", programs, others, canaries[i].doc);
		silent += !fires;
		tried++;
		moves |= canary_moves((enum sut_canary)i);
		contig |= canary_contig((enum sut_canary)i);
		plug |= canary_plug((enum sut_canary)i);
		if (fires && programs > most)
			most = programs;
	}
	if (!tried) {
		fprintf(stderr, "test_canary: no canary has this name\n");
		return 2;
	}
	printf("%u canaries, %u silent\n", tried, silent);
	return silent || !canary_sound(most, moves, contig, plug) ? 1 : 0;
}
