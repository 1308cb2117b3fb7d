/* SPDX-License-Identifier: MIT
 *
 * fuzz_speed - how many programs of 64 random operations a second one core runs with every oracle, by frames and check
 * mode. What fuzz_core costs without the engine's own work. Prints a table.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "exec.h"

#define SPEED_OPS 64u
#define SPEED_SECONDS 1.0

static struct program speed_program;
static struct exec_result speed_result;
static uint8_t speed_bytes[PROG_BYTES_MAX];

static double speed_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A plain configuration: one zone, two cpus with small caches, content in the pool. Returns the bytes of the program. */
static size_t speed_base(uint32_t frames, enum prog_check check)
{
	struct prog_config *c = &speed_program.config;
	memset(&speed_program, 0, sizeof(speed_program));
	prog_decode(speed_bytes, 0, &speed_program);
	c->frame_shift = 6;
	c->pageblock_order = 6;
	c->max_order = 8;
	c->cpus = 2;
	c->cache_high = 4;
	c->cache_batch = 2;
	c->pool = PROG_POOL_CONTENT;
	c->check = check;
	c->nr_zones = 1;
	c->zones[0] = (struct prog_zone){ .start = 0, .nr = frames };
	speed_program.nr_ops = SPEED_OPS;
	for (unsigned i = 0; i < SPEED_OPS; i++)
		speed_program.ops[i] = (struct prog_op){ .kind = OP_CACHE_ENABLE, .ref = PROG_NO_REF };
	return prog_encode(&speed_program, speed_bytes, sizeof(speed_bytes));
}

static int speed_row(uint32_t frames, enum prog_check check, double *out)
{
	const struct exec_options options = EXEC_OPTIONS_ALL;
	size_t nr = speed_base(frames, check), programs = 0, steps = 0;
	uint64_t random = 0x9E3779B97F4A7C15u;
	double start = speed_now(), now = start;
	while (now - start < SPEED_SECONDS) {
		for (size_t i = PROG_HEADER_BYTES; i < PROG_HEADER_BYTES + PROG_OP_BYTES * SPEED_OPS; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			speed_bytes[i] = (uint8_t)(random >> 32);
		}
		prog_decode(speed_bytes, nr, &speed_program);
		if (exec_run(&speed_program, &options, &speed_result) == EXEC_FINDING) {
			exec_report(&speed_program, &options, &speed_result);
			return 1;
		}
		programs++;
		steps += speed_result.steps;
		now = speed_now();
	}
	*out = (double)programs / (now - start);
	printf("%6u frames, %-26s %9.0f programs/s %11.0f steps/s\n", frames,
	       check == PROG_CHECK_FULL ? "full check each step" : "touched pageblocks + 1/16", *out,
	       (double)steps / (now - start));
	return 0;
}

static const uint32_t speed_frames[] = { 256, 1024, 4096 };
static const char *const speed_checks[] = { [PROG_CHECK_TOUCHED] = "touched", [PROG_CHECK_FULL] = "full" };

/* One row, chosen by the words FRAMES and CHECK; or all. */
static bool speed_wanted(int argc, char **argv, uint32_t frames, unsigned check)
{
	char number[16];
	snprintf(number, sizeof(number), "%u", (unsigned)frames);
	return argc < 3 || (!strcmp(argv[1], number) && !strcmp(argv[2], speed_checks[check]));
}

int main(int argc, char **argv)
{
	unsigned rows = 0;
	double speed;
	if (argc != 1 && argc != 3) {
		printf("usage: fuzz_speed [FRAMES touched|full]\n"
		       "Programs of %u random operations a second of cpu time, by frames and check mode.\n", SPEED_OPS);
		return argc > 1 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	for (unsigned i = 0; i < sizeof(speed_frames) / sizeof(speed_frames[0]); i++) {
		for (unsigned check = 0; check < PROG_CHECKS; check++) {
			if (!speed_wanted(argc, argv, speed_frames[i], check))
				continue;
			rows++;
			if (speed_row(speed_frames[i], (enum prog_check)check, &speed))
				return 1;
		}
	}
	return rows ? 0 : 2;
}
