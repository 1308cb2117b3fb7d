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

/* What happens once in a process: the handler of SIGSEGV is installed, the pool is mapped. Before any input, so that what inputs
 * cover does not depend on which is the first. */
static void first_arena(struct program *program, const struct exec_options *options)
{
	static const char text[] = "pfa-trace 2 target=owners\nconfig frame_shift=12 max_order=6 owners=1\nzone 0 pfn=0..63\n"
	                           "mapped_create which=0 order=0 units=3\nm_alloc which=0 units=2 less=0 flags=movable\n"
	                           "m_batch which=0 on=1\nm_move which=0 at=0 nr=0 does=0\nm_write which=0 at=1 off=0 nr=7\n";
	static bool done;
	struct exec_result result;
	struct prog_error error;

	if (!done && prog_parse(text, sizeof(text) - 1, program, NULL, NULL, &error) == PROG_TEXT_PROGRAM)
		(void)exec_run(program, options, &result);
	done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .real = true };

	exec_install_callbacks();
	first_arena(&program, &options);
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
