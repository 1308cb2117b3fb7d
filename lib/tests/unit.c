/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static void unit_fail_in_cmocka(const char *file, int line, const char *message)
{
	(void)message;
	_fail(file, line);
}

static int unit_usage(const char *program, FILE *f, int code)
{
	fprintf(f,
	        "usage: %s [--prot-none] [--cpu=op|none|offset] [--level=1|2|3] [--help]\n"
	        "  --prot-none  map the pool PROT_NONE; leaves out the tests that need the content of frames\n"
	        "  --cpu=WAY    the current cpu comes from the platform's op (default), is always 0 (instances of several\n"
	        "               cpus keep the op), or is read at cpu_offset\n"
	        "  --level=N    hardening level of the instances whose test chooses none\n",
	        program);
	return code;
}

int unit_main(int argc, char **argv, const struct unit_test tests[], size_t nr)
{
	for (int i = 1; i < argc; i++) {
		if (rig_option(argv[i]))
			continue;
		if (strcmp(argv[i], "--help") == 0)
			return unit_usage(argv[0], stdout, 0);
		return unit_usage(argv[0], stderr, 2);
	}
	rig_fail_hook = unit_fail_in_cmocka;
	struct CMUnitTest *run = calloc(nr, sizeof(*run));
	size_t nr_run = 0;
	if (!run)
		return 2;
	for (size_t i = 0; i < nr; i++) {
		if (rig_prot_none && tests[i].needs_content) {
			printf("prot-none: left out %s: %s\n", tests[i].name, tests[i].needs_content);
			continue;
		}
		run[nr_run].name = tests[i].name;
		run[nr_run++].test_func = tests[i].run;
	}
	if (rig_prot_none)
		printf("prot-none: %zu of %zu tests run with an untouchable pool, %zu left out\n", nr_run, nr,
		       nr - nr_run);
	fflush(stdout);
	int failed = nr_run ? _cmocka_run_group_tests(argv[0], run, nr_run, NULL, NULL) : 0;
	free(run);
	rig_write_codes(argv[0]);
	return failed ? 1 : 0;
}
