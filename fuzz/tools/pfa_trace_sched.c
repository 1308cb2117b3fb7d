/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_sched.c - programs of several threads: done by fuzz/sched's pfa-sched, which lies beside pfa-trace.
 */
#define _DEFAULT_SOURCE
#include "pfa_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int sched_go_on(char *const argv[])
{
	char path[4096];
	const ssize_t nr = readlink("/proc/self/exe", path, sizeof(path) - sizeof("pfa-sched"));

	path[nr > 0 ? nr : 0] = 0;
	char *slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, "pfa-sched");
	execv(path, argv);
	return trace_complain("%s: %s (this build has no explorer: see fuzz/sched/CMakeLists.txt)", path, strerror(errno));
}

int trace_sched(int argc, char **argv)
{
	static char name[] = "pfa-sched", run[] = "run";
	char **words = calloc((size_t)argc + 2, sizeof(*words));
	unsigned nr = 0;

	if (!words)
		return trace_complain("out of memory");
	words[nr++] = name;
	if (strcmp(argv[1], "--sched") == 0)
		words[nr++] = run;
	for (int i = 2; i < argc; i++)
		words[nr++] = argv[i];
	const int code = sched_go_on(words);
	free(words);
	return code;
}

int trace_sched_one(const struct program *p)
{
	static char text[PROG_TEXT_MAX];
	static char name[] = "pfa-sched", run[] = "run", quiet[] = "--quiet", lenient[] = "--lenient", in[] = "-";
	char *const words[] = { name, run, quiet, lenient, in, NULL };
	FILE *file = tmpfile();
	const size_t nr = prog_print(p, text, sizeof(text));

	if (!file || fwrite(text, 1, nr, file) != nr || fflush(file) != 0 || fseek(file, 0, SEEK_SET) != 0 ||
	    dup2(fileno(file), STDIN_FILENO) < 0)
		return trace_complain("cannot make a temporary file: %s", strerror(errno));
	dup2(STDERR_FILENO, STDOUT_FILENO);
	return sched_go_on(words);
}
