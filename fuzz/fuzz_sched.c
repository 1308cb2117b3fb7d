/* SPDX-License-Identifier: MIT
 *
 * fuzz_sched.c - programs of several threads, on the instrumented library, under the schedule that the input's last bytes say: see
 * fuzz/sched/README.md. One input, one run.
 *
 * A finding is printed as a program with a list of switches, which pfa-trace --sched shows and shrinks.
 */
#include "lib_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fibers and the sanitizer's copies of stack frames do not go together. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static struct sched_result result;

	prog_decode(data, size, &program);
	lib_replay(&program, true, false, NULL, &result);
	if (result.finding != SCHED_NOTHING) {
		lib_tell(&program, &result, stderr);
		abort();
	}
	return 0;
}
