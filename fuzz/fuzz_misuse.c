/* SPDX-License-Identifier: MIT
 *
 * fuzz_misuse.c - mostly illegal operations: after each step of the program a volley of illegal calls is made from
 * the state that it left (frees and splits of every kind of frame, ranges, pointers, arguments). Each is refused for a
 * reason that is true, and a digest of every frame, pageblock and counter proves that nothing changed.
 */
#include "exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program program;
	static const struct exec_options options = { .stop_before = SIZE_MAX, .prove_unchanged = true, .volley = 6 };

	exec_install_callbacks();
	prog_decode(data, size, &program);
	exec_or_abort(&program, &options);
	return 0;
}
