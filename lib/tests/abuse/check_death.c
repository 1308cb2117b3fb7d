/* SPDX-License-Identifier: MIT
 *
 * Judges one abuse program: it must print exactly the message that it promises and die of a trap,
 * however the instance learns the current cpu.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sanitizers must leave the trap alone: it is what we want to see. */
static void child_environment(void)
{
	static const char *const names[] = {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
	const struct rlimit none = {0, 0};
	char value[1024];
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *old = getenv(names[i]);
		snprintf(value, sizeof(value), "%s%shandle_sigill=0:handle_sigtrap=0:handle_abort=0", old ? old : "",
		         old ? ":" : "");
		setenv(names[i], value, 1);
	}
}

/* Runs program with one argument or two; keeps what it writes to `fd`. Returns its wait status, or -1. */
static int run(const char *program, const char *arg, const char *more, int fd, char *out, size_t room)
{
	int ends[2], status;
	size_t nr = 0;
	if (pipe(ends) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		child_environment();
		dup2(ends[1], fd);
		close(ends[0]);
		close(ends[1]);
		execl(program, program, arg, more, (char *)NULL);
		fprintf(stderr, "cannot run %s: %s\n", program, strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	for (;;) {
		ssize_t got = read(ends[0], out + nr, room - 1 - nr);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		nr += (size_t)got;
	}
	out[nr] = 0;
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

int main(int argc, char **argv)
{
	static const char *const ways[] = {"--cpu=op", "--cpu=none", "--cpu=offset"};
	char expected[512] = "libpfa: ", actual[4096];
	if (argc < 2 || argc > 3 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc == 2 ? stdout : stderr,
		        "usage: check_death PROGRAM [--prot-none]\n"
		        "Exit code 0: the program died of its misuse with the message that it promises.\n");
		return argc == 2 ? 0 : 2;
	}
	int status = run(argv[1], "--expect", NULL, STDOUT_FILENO, expected + 8, sizeof(expected) - 8);
	if (status != 0 || strlen(expected) < 10) {
		fprintf(stderr, "%s --expect: wait status %d\n", argv[1], status);
		return 2;
	}
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		status = run(argv[1], ways[i], argc == 3 ? argv[2] : NULL, STDERR_FILENO, actual, sizeof(actual));
		bool trapped = status != -1 && WIFSIGNALED(status) &&
		               (WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP || WTERMSIG(status) == SIGABRT);
		if (!trapped || strcmp(expected, actual) != 0) {
			fprintf(stderr, "%s %s: wait status 0x%x\nexpected: %sactual:   %s\n", argv[1], ways[i],
			        (unsigned)status, expected, actual);
			return 1;
		}
		printf("%s: died of signal %d: %s", ways[i], WTERMSIG(status), actual);
	}
	return 0;
}
