/* SPDX-License-Identifier: MIT
 *
 * fuzz_walk.c - the walk over free memory, by visitors that stop, allocate, free, isolate, unregister the device and walk themselves,
 * beside the program's blocks, the owners that ship, and a reporting device (exec_real.h): what stays free is visited, and what is
 * visited was free.
 *
 * After each operation of the program there is a walk, made up from it; and programs without a device get one.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .real = true, .tells = EXEC_WALKS };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
