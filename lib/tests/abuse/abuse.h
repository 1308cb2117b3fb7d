/* SPDX-License-Identifier: MIT
 *
 * One misuse a program: ABUSE("message") { body } runs the body on an instance under policy ABORT, which must end the
 * program with "libpfa: <message>" on standard error and a trap. check_death.c judges; with --expect the program only
 * prints its message.
 *
 * The instance: frames 64 .. 1087 but the hole 900 .. 909, max_order 8, pageblock_order 6, one cpu, caches of 8 blocks.
 */
#ifndef ABUSE_H
#define ABUSE_H

#define _GNU_SOURCE
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void abuse_body(struct pfa *pfa);
extern const char abuse_expected[];

#define ABUSE(message)                          \
	const char abuse_expected[] = message; \
	static void abuse_body(struct pfa *pfa)

#ifndef ABUSE_LEVEL
#define ABUSE_LEVEL 0 /* the default; a program that needs another one says so before it includes this */
#endif

#ifndef ABUSE_FLAGS
#define ABUSE_FLAGS 0 /* of the configuration, */
#endif
#ifndef ABUSE_HISTORY
#define ABUSE_HISTORY 0 /* and config.history: the same */
#endif

enum { ABUSE_FIRST = 64, ABUSE_FRAMES = 1024, ABUSE_SHIFT = 6 };

static bool abuse_prot_none;
static const char *abuse_way = "op"; /* how the cpu is named: op, none, offset */
static uint32_t abuse_cpu_id;

/* What is not the misuse itself must work; exit code 2 says that the program is wrong. */
static inline void must(int code)
{
	if (code == PFA_OK)
		return;
	fprintf(stderr, "set-up: %s\n", pfa_error_name(code));
	exit(2);
}

static uint32_t abuse_cpu(void *ctx)
{
	(void)ctx;
	return abuse_cpu_id;
}

static inline ptrdiff_t abuse_cpu_offset(void)
{
#if defined(__has_builtin)
#if __has_builtin(__builtin_thread_pointer) && (defined(__x86_64__) || defined(__aarch64__))
	return (ptrdiff_t)((uintptr_t)&abuse_cpu_id - (uintptr_t)__builtin_thread_pointer());
#endif
#endif
	return 0; /* the op is asked */
}

static inline struct pfa *abuse_instance(void)
{
	static const struct pfa_run hole = {900, 10};
	struct pfa_platform os;
	struct pfa_zone_config zone = {.size = sizeof(zone), .start = ABUSE_FIRST, .nr_frames = ABUSE_FRAMES,
	                               .holes = &hole, .nr_holes = 1};
	struct pfa_config cfg;
	struct pfa_footprint need;
	struct pfa *pfa;
	pfa_posix_platform(&os);
	os.cpu = strcmp(abuse_way, "none") == 0 ? NULL : abuse_cpu;
	pfa_config_init(&cfg);
	if (strcmp(abuse_way, "offset") == 0)
		cfg.cpu_offset = abuse_cpu_offset();
	cfg.platform = &os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.frame_shift = ABUSE_SHIFT;
	cfg.max_order = 8;
	cfg.pageblock_order = 6;
	cfg.cache_high = 8;
	cfg.seed = 1;
	cfg.flags = ABUSE_FLAGS;
	cfg.history = ABUSE_HISTORY;
	cfg.hardening = ABUSE_LEVEL;
	if (ABUSE_LEVEL == 3 && abuse_prot_none)
		cfg.poison = PFA_POISON_NONE;
	cfg.pool_bytes = (size_t)ABUSE_FRAMES << ABUSE_SHIFT;
	cfg.pool_pfn = ABUSE_FIRST;
	cfg.pool = mmap(NULL, cfg.pool_bytes, abuse_prot_none ? PROT_NONE : PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cfg.pool == MAP_FAILED)
		must(PFA_ENOMEM);
	must(pfa_size(&cfg, &need, NULL, NULL));
	void *memory = aligned_alloc(need.align, (need.core_bytes + need.align - 1) / need.align * need.align);
	must(memory ? PFA_OK : PFA_ENOMEM);
	must(pfa_init(memory, need.core_bytes, &cfg, &pfa, NULL, NULL));
	return pfa;
}

/* An allocated block at this very place. */
static inline void take_at(struct pfa *pfa, pfa_pfn pfn, unsigned order)
{
	pfa_pfn got;
	must(pfa_alloc_window(pfa, order, PFA_MOVABLE, (struct pfa_run){pfn, (size_t)1 << order}, &got));
	must(got == pfn ? PFA_OK : PFA_ERANGE);
}

/* The misuse itself: reports what came back if the program survives it. */
static inline void misuse(int code)
{
	fprintf(stderr, "survived: %s\n", pfa_error_name(code));
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--expect") == 0) {
		puts(abuse_expected);
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--prot-none") == 0) {
			abuse_prot_none = true;
		} else if (strcmp(argv[i], "--cpu=op") == 0 || strcmp(argv[i], "--cpu=none") == 0 ||
		           strcmp(argv[i], "--cpu=offset") == 0) {
			abuse_way = argv[i] + 6;
		} else {
			fprintf(stderr, "usage: %s [--expect | [--prot-none] [--cpu=op|none|offset]]\n", argv[0]);
			return 2;
		}
	}
	abuse_body(abuse_instance());
	return 1;
}

#endif
