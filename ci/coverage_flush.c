/* SPDX-License-Identifier: MIT
 *
 * Linked into the library in coverage builds only. A process that dies by a trap or an abort, as the tests of misuse do,
 * would take its counters with it: write them first.
 */
#include <signal.h>
#include <stddef.h>

int __llvm_profile_write_file(void);

/* Named by the linker option -u, so that this file is taken out of the archive. */
int pfai_coverage_flush;

static void flush_and_die(int number)
{
	pfai_coverage_flush = __llvm_profile_write_file();
	raise(number); /* the handler was reset on entry */
}

__attribute__((constructor)) static void install_flush(void)
{
	static const int deadly[] = {SIGILL, SIGTRAP, SIGABRT};

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
		struct sigaction action = {0};

		action.sa_handler = flush_and_die;
		action.sa_flags = (int)SA_RESETHAND | SA_NODEFER;
		sigaction(deadly[i], &action, NULL);
	}
}
