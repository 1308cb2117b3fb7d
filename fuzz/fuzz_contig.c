/* SPDX-License-Identifier: MIT
 *
 * fuzz_contig.c - isolation and contiguous ranges, with owners that refuse, stall, lie, free and call back. Between the operations of
 * the program there are others, made up from the state: pageblocks are held and given up, ranges are taken and freed, at and beside
 * the borders of pageblocks and zones, and blocks become movable, are pinned and locked.
 *
 * Programs without an owner table get one (exec_options.moves), but for each 16th, in which only what is free can be had.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .moves = 3, .contig = true };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
