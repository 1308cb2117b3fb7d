/* SPDX-License-Identifier: MIT
 *
 * fuzz_report.c - free page reporting: a device that overwrites what it is told of, fails, does a part, counts wrongly, takes its time
 * and calls back, registered and unregistered at any point, beside the program's blocks and the owners that ship (exec_real.h).
 * The model knows of each frame whether the device was told of it since it was last allocated.
 *
 * Between the operations of the program there are others of the device, made up from them; and programs without a device get one.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .real = true, .tells = EXEC_TELLS };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
