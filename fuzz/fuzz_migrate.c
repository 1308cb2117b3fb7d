/* SPDX-License-Identifier: MIT
 *
 * fuzz_migrate.c - movable blocks and hostile owners. Between the operations of the program there are others, made up from
 * the state: blocks become movable, are pinned, locked, freed and moved, and what the owners' ops say and do is scripted. Each
 * call of an op is checked against the contract, and content must survive every move.
 *
 * Programs without an owner table get one (exec_options.moves), so that nothing that an engine makes is wasted; but for each
 * 16th, which shows what the functions say then.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .moves = 3 };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
