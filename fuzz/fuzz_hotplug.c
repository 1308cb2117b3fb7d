/* SPDX-License-Identifier: MIT
 *
 * fuzz_hotplug.c - memory that comes and goes, and CMA areas, beside everything else. Between the operations of the program there are
 * others, made up from the state: ranges go offline and come back, holes are made and filled, areas begin and end and give runs, at and
 * beside the borders of pageblocks and zones, while owners refuse, stall, lie, free and call back, and others hold pageblocks.
 *
 * Programs without an owner table get one (exec_options.moves), but for each 16th, in which only what is free can be had.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .moves = 3, .plug = true };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
