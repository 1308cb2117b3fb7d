/* SPDX-License-Identifier: MIT
 *
 * cmocka programs: a table of tests, each saying whether it needs the content of frames, run by unit_main().
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

struct unit_test {
	const char *name;
	void (*run)(void **state);
	const char *needs_content; /* why it cannot run with an untouchable pool; NULL: it can */
};

#define TEST(function) {#function, function, NULL}
#define TEST_CONTENT(function, why) {#function, function, why}

/* Runs all tests; with --prot-none those that need no content, with an untouchable pool, and says how many were not. */
int unit_main(int argc, char **argv, const struct unit_test tests[], size_t nr);

#define UNIT_MAIN(tests)                                                             \
	int main(int argc, char **argv)                                              \
	{                                                                            \
		return unit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0])); \
	}

#endif
