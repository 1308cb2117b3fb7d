/* SPDX-License-Identifier: MIT
 *
 * fuzz_owners.c - the three owners that ship (balloon, compressed store, mapped arena), up to two of each on one instance
 * beside the program's own blocks: compacted, migrated block by block, short of memory, refused by device and kernel. Who
 * holds which frame, and what each object and each unit of an arena must contain, is written down beside and compared.
 *
 * Programs are the common ones, of version 2. What is no owner's and is not carried out (exec_real_ops.c) is skipped.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .real = true };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
