/* SPDX-License-Identifier: MIT
 *
 * mutator_libfuzzer.c - the mutator and crossover as libFuzzer wants them.
 */
#include "prog_internal.h"

#include <string.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define MUTATOR_WRITTEN(bytes, nr) __msan_unpoison(bytes, nr)
#endif
#endif
#ifndef MUTATOR_WRITTEN
#define MUTATOR_WRITTEN(bytes, nr) ((void)(bytes), (void)(nr))
#endif

/* Weak: other engines that know custom mutators lack it. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out,
                                 size_t max_size, unsigned seed);

/* Wiped by each decode: nothing is carried from call to call. */
static struct program first, second, crossed;

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint64_t state = seed;
	uint8_t raw[PROG_BYTES_MAX];
	size_t nr;

	if ((size && data[0] >= 128) || max_size < PROG_HEADER_BYTES) {
		/* for fuzz_config no program but a configuration by fields; or no whole header fits */
		nr = LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : prog_mutate_bytes(data, size, max_size, seed);
		if (nr && max_size >= PROG_HEADER_BYTES && prog_random(&state) % 64)
			data[0] |= 128;
		return nr;
	}
	if (prog_random(&state) % 16 == 0 && LLVMFuzzerMutate) {
		/* the engine knows the constants that the code compares with; its result is made canonical below */
		size_t most = max_size < sizeof(raw) ? max_size : sizeof(raw);

		nr = size < most ? size : most;
		memcpy(raw, data, nr);
		nr = LLVMFuzzerMutate(raw, nr, most);
		MUTATOR_WRITTEN(raw, nr); /* the engine is not instrumented: MemorySanitizer did not see it write */
		prog_decode(raw, nr, &first);
	} else {
		prog_decode(data, size, &first);
		prog_mutate(&first, max_size, prog_random(&state));
	}
	nr = prog_encode(&first, data, max_size);
	return nr;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out,
                                 size_t max_size, unsigned seed)
{
	prog_decode(data1, size1, &first);
	prog_decode(data2, size2, &second);
	prog_crossover(&first, &second, &crossed, max_size, seed);
	return prog_encode(&crossed, out, max_size);
}
