/* SPDX-License-Identifier: MIT
 *
 * planted.c - targets with one planted failure each (PLANT), by which fuzz/tests/runner_test proves that fuzz/run
 * reports what it should. Two bytes stand before the failure, so that the engine has to look for it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLANT_CLEAN 0
#define PLANT_ORACLE 1
#define PLANT_OVERFLOW 2
#define PLANT_HANG 3
#define PLANT_MEMORY 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((noinline)) static int plant_fail(const uint8_t *data, size_t size)
{
	volatile uint8_t sink = data[0];

#if PLANT == PLANT_ORACLE
	fprintf(stderr, "pfa-finding: invariant=I6 op=free step=%zu message=free count is 3, model says 4\n", size);
	fprintf(stderr, "step %zu: free a order=3\nmap: ....####....\n", size);
	abort();
#elif PLANT == PLANT_OVERFLOW
	sink = data[size + (size_t)data[0] - 'P'];
#elif PLANT == PLANT_HANG
	while (data[0] == 'P')
		sleep(1);
#elif PLANT == PLANT_MEMORY
	/* One request above the limit: noticed at once, while a growing process would also run into the time limit. */
	char *p = malloc((size_t)1 << 30);

	sink = p ? (uint8_t)((uintptr_t)p >> 12) : 0;
	free(p);
#else
	sink = (uint8_t)size;
#endif
	return sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 && data[0] == 'P' && data[1] == 'F')
		plant_fail(data, size);
	return 0;
}
