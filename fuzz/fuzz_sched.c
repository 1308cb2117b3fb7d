/* SPDX-License-Identifier: MIT
 *
 * fuzz_sched.c - programs of several threads, on the instrumented library, under the schedule that the input's last bytes say, and
 * others beside it: see fuzz/sched/README.md. An instance is made once for each input, and what the engine does around it costs as much
 * as several schedules.
 *
 * A finding is printed as a program with a list of switches, which pfa-trace --sched shows and shrinks.
 */
#include "lib_file.h"

#include <stdlib.h>
#include <string.h>

#define SCHEDULES 8u /* that an input is run under, its own included; one that is a list of switches is the only one */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fibers and the sanitizer's copies of stack frames do not go together. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

static uint64_t schedules;

/* What fuzz/run counts as steps. */
static void stats_at_exit(void)
{
	fprintf(stderr, "pfa-stats: steps=%llu\n", (unsigned long long)schedules);
}

static void stats_install(void)
{
	static bool installed;
	const char *wanted = getenv("PFA_FUZZ_STATS");

	if (!installed && wanted && strcmp(wanted, "1") == 0)
		(void)atexit(stats_at_exit);
	installed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static struct sched_result result;

	stats_install();
	prog_decode(data, size, &program);
	schedules += lib_replay_and(&program, SCHEDULES - 1, &result);
	if (result.finding != SCHED_NOTHING) {
		lib_tell(&program, &result, stderr);
		abort();
	}
	return 0;
}
