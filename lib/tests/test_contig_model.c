/* SPDX-License-Identifier: MIT
 *
 * That a contiguous range is had whenever it can be: random zones and ranges, each call against what must come of it.
 *
 *   test_contig_model [--seed N] [--seeds N] [--calls N] [--cpu=op|none|offset] [--level=1|2|3]
 *
 * Each seed is a zone of its own. Ends at the first call of which something else came.
 */
#include "contig_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *f, const char *name, int code)
{
	fprintf(f, "usage: %s [--seed N] [--seeds N] [--calls N] [--cpu=op|none|offset] [--level=1|2|3] [--help]\n", name);
	return code;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1000, seeds = 30, calls = 100;
	struct contig_tally tally = {0};
	for (int i = 1; i < argc; i++) {
		const char *option = argv[i];
		uint64_t *value = strcmp(option, "--seed") == 0 ? &seed : strcmp(option, "--seeds") == 0 ? &seeds :
		                  strcmp(option, "--calls") == 0 ? &calls : NULL;
		if (rig_option(option))
			continue;
		if (strcmp(option, "--help") == 0)
			return usage(stdout, argv[0], 0);
		if (!value || ++i == argc)
			return usage(stderr, argv[0], 2);
		*value = strtoull(argv[i], NULL, 10);
	}
	for (uint64_t i = 0; i < seeds; i++)
		contig_try_seed(seed + i, (unsigned)calls, &tally);
	printf("%zu calls, each with the result that it must have: %zu granted, %zu refused, %zu without room for what had to move\n",
	       tally.calls, tally.granted, tally.refused, tally.no_room);
	return tally.granted && tally.refused ? 0 : 1;
}
