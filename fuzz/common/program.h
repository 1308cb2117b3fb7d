/* SPDX-License-Identifier: MIT
 *
 * program.h - a program of the operation language: configuration, operations, schedule; and its three forms.
 *
 *   bytes    what engines mutate: every byte string is one (64 bytes of header, 4 bytes an operation, schedule)
 *   struct   what everything else works on; always *canonical*: every value is in its range, every reference resolves
 *   text     what people read and write (.pfa.txt), lossless against the struct
 *
 * bytes -> struct -> bytes is canonical: a fixpoint after one round. The binary layout is in prog_bytes.c.
 */
#ifndef FUZZ_PROGRAM_H
#define FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROG_VERSION 3u          /* the newest version of the format; 2 has the operations of fuzz_owners, 3 those of fuzz_sched */
#define PROG_HEADER_BYTES 64u
#define PROG_OP_BYTES 4u
#define PROG_OPS_MAX 2048u
#define PROG_SCHEDULE_MAX 1024u
#define PROG_BYTES_MAX (PROG_HEADER_BYTES + PROG_OP_BYTES * PROG_OPS_MAX + PROG_SCHEDULE_MAX)
#define PROG_ZONES_MAX 3u
#define PROG_HOLES_MAX 4u        /* in all zones together */
#define PROG_FRAMES_MAX 8191u    /* in one zone */
#define PROG_FRAMES_TOTAL 16384u /* in all zones together, holes included */
#define PROG_GAP_MAX 8191u       /* between two zones in address order */
#define PROG_HOLE_MAX 191u       /* longest hole; longer ones are several adjacent holes */
/* config huge=1: the highest zone goes on behind a hole of so many frames. More leaves than 64 * 64, so that index sets
 * have a third level. */
#define PROG_HUGE_HOLE (UINT32_C(1) << 18)
#define PROG_HUGE_TAIL 192u
#define PROG_THREADS_MAX 4u
#define PROG_OWNERS_MAX 7u
#define PROG_ARGS_MAX 4u
#define PROG_LIVE_MAX 256u       /* handles that a byte can name, the newest first */
#define PROG_PFN_SLACK 64u       /* how far outside of the zones pfn arguments reach */
#define PROG_NO_REF UINT16_MAX
#define PROG_RUN_ALL 0xFFFFFFFFu /* value of a RUN argument: to the end of everything */
#define PROG_CPU_ALL 255u        /* value of a CPU argument: PFA_ALL_CPUS for drain, id 0xFFFFFFFF for set_cpu */

enum prog_group {
#define PFA_GROUP(bit, ID, name, doc) PROG_GROUP_##ID = (bit),
#include "groups.def"
#undef PFA_GROUP
	PROG_GROUPS
};

enum prog_argkind {
#define PFA_ARGKIND(ID, doc) PROG_ARG_##ID,
#include "args.def"
#undef PFA_ARGKIND
	PROG_ARGKINDS
};

/* Kinds of operations: OP_ALLOC = 1, ... */
#define PFA_NO_ARGS
#define PFA_ARG(...)
enum prog_kind {
	OP_NONE = 0,
#define PFA_OP(number, ID, name, group, since, result, doc, ...) OP_##ID = (number),
#include "ops.def"
#undef PFA_OP
	OP_KINDS = 256
};
#undef PFA_ARG
#undef PFA_NO_ARGS

enum prog_site {
#define PFA_SITE(number, ID, name, doc) PROG_SITE_##ID = (number),
#include "sites.def"
#undef PFA_SITE
	PROG_SITES
};

enum prog_result {
#define PFA_RESULT(number, ID, name) PROG_RESULT_##ID = (number),
#include "results.def"
#undef PFA_RESULT
	PROG_RESULTS
};

/* What config.bad spoils; the numbers are those of enum pfa_config_problem. */
enum prog_spoil {
#define PFA_SPOIL(number, ID, name) PROG_SPOIL_##ID = (number),
#include "spoils.def"
#undef PFA_SPOIL
	PROG_SPOILS
};

enum prog_foreign {
	PROG_FOREIGN_NULL, PROG_FOREIGN_STACK, PROG_FOREIGN_HEAP,
	PROG_FOREIGN_BEFORE,  /* the byte before the pool */
	PROG_FOREIGN_AFTER,   /* the first byte after the pool */
	PROG_FOREIGN_INSIDE,  /* inside the metadata of this instance */
	PROG_FOREIGN_OTHER,   /* a frame of another instance's pool */
	PROG_FOREIGNS
};

enum prog_far {
	PROG_FAR_MAX,         /* SIZE_MAX */
	PROG_FAR_MAX_MINUS_1,
	PROG_FAR_HALF,        /* SIZE_MAX / 2 + 1 */
	PROG_FAR_U32,         /* 2^32 above the first zone, modulo SIZE_MAX + 1 */
	PROG_FAR_BELOW,       /* 65536 below the first zone, modulo */
	PROG_FAR_ABOVE,       /* 65536 above the last */
	PROG_FAR_SIGN,        /* 2^31 */
	PROG_FAR_ZERO_MINUS_BLOCK, /* 0 - 2^max_order, modulo */
	PROG_FARS
};

enum prog_pool {
	PROG_POOL_CONTENT,    /* readable and writable */
	PROG_POOL_ABSENT,     /* config.pool is NULL: frames have no addresses */
	PROG_POOL_NONE,       /* mapped PROT_NONE; no zeroing, no stamps */
	PROG_POOL_ZERO_OP,    /* absent, and platform.zero is supplied */
	PROG_POOLS
};

enum prog_check {
	PROG_CHECK_TOUCHED,   /* the touched pageblocks after each step, the full walk each 16th step and at the end */
	PROG_CHECK_FULL,      /* the full walk after each step */
	PROG_CHECKS
};

enum prog_cpu_way {
	PROG_CPU_OP,          /* the platform's cpu op */
	PROG_CPU_OFFSET,      /* config.cpu_offset: a variable of the thread; as PROG_CPU_OP where there is none */
	PROG_CPU_NONE,        /* neither: always cpu 0 */
	PROG_CPU_WAYS
};

/* [start, start + nr) */
struct prog_run {
	uint32_t start, nr;
};

struct prog_zone {
	uint32_t start, nr;
	uint32_t mark_min, mark_low, mark_high; /* absolute, min <= low <= high */
	uint32_t highatomic;                    /* frames, a multiple of 32 */
	struct prog_run cma;                    /* whole pageblocks without holes; nr == 0: none */
	struct prog_run holes[PROG_HOLES_MAX];  /* ascending, inside the zone, not overlapping, not empty */
	unsigned nr_holes;
};

enum prog_poison {
	PROG_POISON_NONE, PROG_POISON_LINES, PROG_POISON_ALL, PROG_POISON_ZERO,
	PROG_POISONS
};

struct prog_config {
	unsigned version;
	uint32_t swarm;            /* enabled groups, bit i = group i; 0: all */
	unsigned frame_shift;      /* 6..16 */
	unsigned pageblock_order;  /* 6..20 */
	unsigned max_order;        /* 0..31 */
	unsigned cpus;             /* 1..16 */
	enum prog_cpu_way cpu_way; /* how the allocator learns which cpu it runs on */
	unsigned cache_high;       /* 0: default, 1..62, PROG_CACHE_NONE */
	unsigned cache_batch;      /* 0: default, 1..63 */
	unsigned cache_max_order;  /* 0: default, 1..min(9, max_order), PROG_CACHE_ORDER_0 */
	bool zeroed_meta;          /* PFA_CONFIG_ZEROED_META */
	bool zeroed_pool;          /* PFA_CONFIG_ZEROED_POOL */
	bool track_zero;           /* PFA_CONFIG_TRACK_ZERO */
	bool abort_policy;         /* PFA_FATAL_ABORT; else REPORT */
	enum prog_pool pool;
	enum prog_check check;
	unsigned hardening;        /* 0..3 */
	unsigned quarantine;       /* config.quarantine, at level 3: 0 (none) .. 58, or PROG_QUARANTINE_DEFAULT */
	enum prog_poison poison;   /* config.poison, at level 3 and with pool=content */
	bool generations;          /* PFA_CONFIG_GENERATIONS */
	unsigned history;          /* config.history, 0..16 */
	unsigned traces;           /* 0: none; else nr_traces and trace_shift, with history only: prog_nr_traces() */
	unsigned owners;           /* config.max_owners, 0..7 */
	unsigned threads;          /* logical threads, 1..4 */
	unsigned huge;             /* 1: the highest zone goes on behind a hole (PROG_HUGE_HOLE) */
	unsigned seed;             /* config.seed, 0..255 */
	enum prog_spoil bad;       /* what to spoil before init (init is then tried, and must refuse) */
	unsigned bad_variant;      /* 0..255 */
	unsigned nr_zones;         /* 1..3 */
	struct prog_zone zones[PROG_ZONES_MAX]; /* in order of preference; in address order disjoint, any gap */
};
#define PROG_CACHE_NONE 63u    /* cache_high = PFA_EXPLICIT_0 */
#define PROG_QUARANTINE_DEFAULT 59u /* 0 in the configuration: 64 blocks */
#define PROG_CACHE_ORDER_0 15u /* cache_max_order = PFA_EXPLICIT_0 */

struct prog_op {
	uint8_t kind;                /* enum prog_kind */
	uint8_t thread;              /* < config.threads */
	uint16_t ref;                /* the operation whose handle this one uses (handle arguments), or PROG_NO_REF */
	uint64_t arg[PROG_ARGS_MAX]; /* in the order of ops.def; a handle argument's place holds 0 */
};

struct program {
	char target[16];             /* of the text's first line: core, misuse, ...; not part of the binary form */
	struct prog_config config;
	unsigned nr_ops;
	struct prog_op ops[PROG_OPS_MAX];
	unsigned nr_schedule;        /* bytes, in the order in which they are used (the reverse of the binary form) */
	uint8_t schedule[PROG_SCHEDULE_MAX];
};

/* config traces=1..3: 1 backtrace of each event; 4 of each second; 64 of each eighth. */
#define PROG_TRACES_MAX 3u
static inline unsigned prog_nr_traces(unsigned traces)
{
	return traces == 0 ? 0 : traces == 1 ? 1 : traces == 2 ? 4 : 64;
}
static inline unsigned prog_trace_shift(unsigned traces)
{
	return traces < 2 ? 0 : traces == 2 ? 1 : 3;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

struct prog_arg_info {
	enum prog_argkind kind;
	const char *name;            /* "" for handles and sites: written bare */
	uint8_t low, width;          /* bits of the operand word */
};

struct prog_kind_info {
	const char *name;            /* NULL: no such kind */
	const char *id;              /* "ALLOC" */
	const char *doc;
	uint8_t number, group, since, nr_args;
	bool yields;                 /* a handle */
	struct prog_arg_info args[PROG_ARGS_MAX];
};

/* NULL if there is no such kind. */
const struct prog_kind_info *prog_kind(unsigned kind);
/* "alloc" -> OP_ALLOC; OP_NONE if there is none. */
unsigned prog_kind_find(const char *name, size_t len);
/* The kind numbers in use, ascending. */
unsigned prog_kinds(const uint8_t **out);
const char *prog_group_name(unsigned group);
const char *prog_group_doc(unsigned group);
/* "PFN", and what it means. */
const char *prog_argkind_name(enum prog_argkind kind);
const char *prog_argkind_doc(enum prog_argkind kind);
/* Index of the handle argument (HANDLE, HANDLE_END, DEAD), or -1; and whether the operation ends it. */
int prog_handle_arg(unsigned kind);
bool prog_ends_handle(unsigned kind);
/* Is the kind in the version, and its group switched on? */
bool prog_enabled(const struct prog_config *cfg, unsigned kind);
/* Request flags of a FLAGS argument value and a zone: PFA_MOVABLE | PFA_ZERO | PFA_ZONE(zone) ... */
uint32_t prog_flags(uint64_t flags, uint64_t zone);
/* Names of enumerators ("null", "max", "cpu", "enomem", "zone_overlap"); NULL past the end. */
const char *prog_foreign_name(unsigned value);
const char *prog_far_name(unsigned value);
const char *prog_site_name(unsigned value);
const char *prog_result_name(unsigned value);
const char *prog_spoil_name(unsigned value);
const char *prog_poison_name(unsigned value);
const char *prog_what_name(unsigned value);

/* First pfn of the lowest zone, and the pfn after the highest. */
uint32_t prog_span_start(const struct prog_config *cfg);
uint32_t prog_span_end(const struct prog_config *cfg);

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

/* Every byte string is a program; missing bytes are zero, bytes past PROG_BYTES_MAX are ignored. target is "core". */
void prog_decode(const uint8_t *bytes, size_t nr, struct program *out);
/* The canonical bytes of a canonical program; returns how many, 0 if they do not fit in capacity. */
size_t prog_encode(const struct program *p, uint8_t *out, size_t capacity);

/* Makes any struct canonical: values outside their range are brought into it, operations that cannot be (no handle
 * to refer to, not enabled, too many) are left out. Decode, mutators and the shrinker end with this. */
void prog_canonicalise(struct program *p);
/* Removes the operations whose keep[i] is false, and those that then have no handle. */
void prog_select(struct program *p, const bool keep[]);
/* Equal in all that the binary form holds. */
bool prog_equal(const struct program *a, const struct program *b);

/* ---- text ------------------------------------------------------------------------------------------------------- */

struct prog_error {
	unsigned line, column;       /* from 1 */
	char message[160];           /* what was expected, what was found */
};

/* What a text holds. */
enum prog_text_kind {
	PROG_TEXT_ERROR = -1,        /* *error says where and what */
	PROG_TEXT_PROGRAM = 0,
	PROG_TEXT_RAW = 1            /* a `raw` line: bytes that are no program; the target says for whom */
};

/* Parses text[0 .. len), which may hold any bytes. Canonical on success. For PROG_TEXT_RAW the bytes go to raw (at
 * most *raw_len, on return how many) and only out->target is filled in; with raw NULL a raw line is an error. */
enum prog_text_kind prog_parse(const char *text, size_t len, struct program *out, uint8_t *raw, size_t *raw_len,
                               struct prog_error *error);
/* Text of a program; returns its length without the final zero, and writes at most capacity bytes, always ended by
 * a zero. PROG_TEXT_MAX is always enough. */
size_t prog_print(const struct program *p, char *out, size_t capacity);
/* One operation as prog_print() shows it ("t1: a = alloc order=3 flags=movable"), without line end. */
size_t prog_print_op(const struct program *p, unsigned index, char *out, size_t capacity);
/* The name of the handle that operation index yields ("a", "b", ... "z", "aa", ...), or "". */
void prog_handle_name(const struct program *p, unsigned index, char out[8]);
/* A `raw` text for bytes that are no program. */
size_t prog_print_raw(const char *target, const uint8_t *bytes, size_t nr, char *out, size_t capacity);
#define PROG_TEXT_MAX (8192u + 128u * PROG_OPS_MAX + 3u * PROG_SCHEDULE_MAX)

/* .pfa.txt -> program bytes, `raw` lines included. 0, or -1 and error is "line:column: message". */
int prog_text_to_bytes(const char *text, size_t len, uint8_t *out, size_t capacity, size_t *out_len, char *error,
                       size_t error_len);

/* ---- schedules ---------------------------------------------------------------------------------------------------- */

/* A schedule is bytes, run lengths with targets (fuzz/sched/strategy.h), or a list of what differs from the default: at the thread's
 * n-th point, from 1, or for `next` from 0: it may end or wait before its first. */
enum prog_switch_kind {
	PROG_SWITCH_PREEMPT = 1, /* arg: the thread that goes on */
	PROG_SWITCH_CPU,         /* arg: the thread's cpu from here on */
	PROG_SWITCH_OLDER,       /* arg: how many stores before the newest one a load reads */
	PROG_SWITCH_NEXT,        /* arg: the thread that goes on, where this one cannot */
	PROG_SWITCHES
};
struct prog_switch {
	uint16_t n;
	uint8_t thread, kind, arg;
};
#define PROG_SWITCHES_MAX ((PROG_SCHEDULE_MAX - 2) / 4)
/* How many switches the schedule has; 0: it is bytes. out may be NULL. */
unsigned prog_switches(const struct program *p, struct prog_switch out[PROG_SWITCHES_MAX]);
/* False: too many, or they cannot be said (and then p is as before). None: an empty schedule. */
bool prog_set_switches(struct program *p, const struct prog_switch *switches, unsigned nr);
/* "preempt", "cpu", "older", "next"; NULL past the end. */
const char *prog_switch_name(unsigned kind);

/* ---- mutation ---------------------------------------------------------------------------------------------------- */

/* Deterministic from (input, seed). Both end canonical and within max bytes when encoded. */
void prog_mutate(struct program *p, size_t max_bytes, uint64_t seed);
void prog_crossover(const struct program *a, const struct program *b, struct program *out, size_t max_bytes,
                    uint64_t seed);

/* For bytes that are no program. At least one is left. Returns how many there are then. */
size_t prog_mutate_bytes(uint8_t *bytes, size_t nr, size_t most, uint64_t seed);

/* ---- C ----------------------------------------------------------------------------------------------------------- */

/* A stand-alone C program that makes the same calls and prints their results; origin is named in its first comment.
 * Needs an installed libpfa alone. Errors of the file are left to the caller (ferror). */
void prog_to_c(const struct program *p, const char *origin, FILE *out);

#endif
