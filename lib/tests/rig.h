/* SPDX-License-Identifier: MIT
 *
 * What every test program stands on: an instance under test with its platform, its pool and its memory, without any
 * test framework. Failures print what happened and end the program; unit.h adds cmocka.
 */
#ifndef RIG_H
#define RIG_H

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>

#include <stdatomic.h>
#include <stdio.h>

/* Prints and ends the program, unless a framework has set its own way to fail. */
extern void (*rig_fail_hook)(const char *file, int line, const char *message);
_Noreturn void rig_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define MUST(cond)                                                        \
	do {                                                              \
		if (!(cond))                                              \
			rig_fail(__FILE__, __LINE__, "not true: %s", #cond); \
	} while (0)

#define MUST_EQ(a, b)                                                                                   \
	do {                                                                                            \
		const long long must_a = (long long)(a), must_b = (long long)(b);                       \
		if (must_a != must_b)                                                                   \
			rig_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a, must_a, #b, must_b); \
	} while (0)

/* Calls function(...), which must return code, and records that (function, code) was produced (see test_codes.c). */
#define EXPECT(function, code, ...) \
	rig_expect(#function, (code), function(__VA_ARGS__), __FILE__, __LINE__)
void rig_expect(const char *function, int expected, int actual, const char *file, int line);

/* Writes the recorded pairs to $PFA_CODES_DIR/<program>.codes, if that is set. */
void rig_write_codes(const char *program);

/* A small generator (splitmix64): equal seeds, equal runs, on every machine. */
struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *rng);
size_t rng_below(struct rng *rng, size_t limit); /* 0 .. limit-1 */
static inline bool rng_one_in(struct rng *rng, size_t n)
{
	return rng_below(rng, n) == 0;
}

enum rig_pool {
	RIG_POOL_DEFAULT, /* none, or PROT_NONE where the program runs with --prot-none */
	RIG_POOL_NEVER,   /* none: frames have no addresses */
	RIG_POOL_CONTENT, /* readable and writable, freshly mapped */
};

/* Set by --prot-none: instances get a pool that cannot be touched. */
/* Is misuse refused? Not by a library without hardening, where it is undefined. */
#if defined(PFA_HARDENING) && PFA_HARDENING == 0
#define RIG_HARDENED 0
#else
#define RIG_HARDENED 1
#endif

extern bool rig_prot_none;

/* How the instances under test learn the current cpu. The fast paths of alloc and free are taken only without an op. */
enum rig_cpu_way {
	RIG_CPU_OP,     /* platform.cpu */
	RIG_CPU_NONE,   /* neither op nor offset: one cpu; instances with more keep the op */
	RIG_CPU_OFFSET, /* config.cpu_offset; the op where the compiler offers no thread pointer */
	RIG_CPU_WAYS,
};
extern enum rig_cpu_way rig_cpu_way; /* of all instances that rig_start() makes from now on */
extern const char *const rig_cpu_way_names[RIG_CPU_WAYS];

/* Hardening level of all instances that rig_start() makes from now on, unless the test chooses one; 0: the library's
 * default. Set by --level=N. */
extern uint32_t rig_level;

/* Offset of an id from the calling thread's pointer, for config.cpu_offset; 0 where there is no such thing. */
ptrdiff_t rig_cpu_offset(const uint32_t *id);

/* Takes --prot-none, --cpu=op|none|offset and --level=1|2|3; false: it is none of them. */
bool rig_option(const char *arg);

struct rig_fault {
	unsigned nr; /* faults told so far; the rest is the last one */
	int code;
	enum pfa_fault_kind kind;
	char message[200];
	char function[40];
	pfa_pfn pfn;
	unsigned order;
};

/* An instance and everything around it. Fill in between rig_init() and rig_start(). */
struct rig {
	struct pfa *pfa;
	struct pfa_config cfg;
	struct pfa_platform os;
	struct pfa_zone_config zones[PFA_ZONES_LIMIT];
	enum rig_pool pool_kind;

	/* driven by the test, read by the platform's ops, or past them (cpu_offset: by the starting thread only) */
	uint32_t cpu;
	uint64_t now_ns;

	/* what the ops saw */
	struct rig_fault fault;
	size_t nr_zero_calls, nr_zeroed;

	/* set by rig_start() */
	void *memory;
	size_t bytes;
	void *pool;
	size_t pool_bytes;
};

/* A configuration with policy REPORT, 64-byte frames, max_order 8, pageblock_order 6, one cpu, no zones yet. */
void rig_init(struct rig *rig);
struct pfa_zone_config *rig_zone(struct rig *rig, pfa_pfn start, size_t nr_frames);
void rig_start(struct rig *rig); /* pfa_size, memory of exactly that size filled with rubbish, pfa_init */
void rig_stop(struct rig *rig);  /* check, pfa_fini (which must succeed), and everything is given back */
void rig_drop(struct rig *rig);  /* gives the memory back without pfa_fini, for instances that were damaged */

/* The quiescent check on all frames, and the conservation law of every zone. */
#define rig_check(rig) rig_check_at((rig), __FILE__, __LINE__)
void rig_check_at(struct rig *rig, const char *file, int line);

struct pfa_zone_stats rig_stats(struct rig *rig, unsigned zone);
struct pfa_stats rig_events(struct rig *rig);
size_t rig_sum(const struct pfa_zone_stats *s); /* left side of the conservation law */
enum pfa_type rig_type(struct rig *rig, pfa_pfn pfn);
struct pfa_frame_info rig_info(struct rig *rig, pfa_pfn pfn);

/* A hash of every byte of the instance's metadata. */
uint64_t rig_digest(const struct rig *rig);

/* A region of the metadata by name; NULL if there is none of that name. */
void *rig_region(const struct rig *rig, const char *name, size_t *out_bytes);
/* The byte of a frame of an instance whose zones lie without a gap from pfn 0 on. */
unsigned char *rig_frame_byte(const struct rig *rig, pfa_pfn pfn);

/* Takes blocks of one order until the first refusal, which must be `end`; returns how many. */
size_t rig_take_all(struct rig *rig, unsigned order, uint32_t flags, int end, pfa_pfn out[], size_t limit);

/* Collects what pfa_print() writes, as a string. */
struct rig_text {
	char *bytes;
	size_t nr, room, largest_piece;
};
void rig_text_write(void *ctx, const char *bytes, size_t nr);
void rig_text_free(struct rig_text *text);

#endif
