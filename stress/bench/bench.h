/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the workloads share: clock, samples, random numbers, ownership map, threads.
 *
 * One program is compiled per allocator: -DBENCH_ALLOC="alloc_x.h" names an adapter of static inline functions, so
 * that every call of the allocator is direct. What an adapter provides is told in alloc_empty.h.
 *
 * Time is taken in chunks of operations; each chunk is followed by 1,000 uncontended compare-exchanges, and a sample
 * is the pair (ns an operation, ns a compare-exchange), so that a noisy machine's drift cancels in the ratio.
 */
#ifndef PFA_BENCH_H
#define PFA_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define BENCH_CHUNK 8192u       /* operations between two looks at the clock */
#define BENCH_CHUNK_LARGE 2048u /* the same where blocks are large */
#define BENCH_CAS 1000u
#define BENCH_THREADS 2u
#define BENCH_FIRST_PFN ((uintptr_t)1 << 18) /* where a pfn allocator's space begins */
#define BENCH_FRAME_SHIFT 12u                /* frames of the malloc-like peers */

/** A block: a pfn, or an address, as the adapter has it. */
typedef uintptr_t bench_block;

struct bench_options {
	size_t frames_small; /* 2 GiB of frames */
	size_t frames_big;   /* 64 GiB */
	size_t operations;   /* of the workloads that repeat one thing */
	unsigned rounds;     /* of the workloads that use up the space */
	bool check;          /* the untimed pass that checks ownership at each step */
	uint64_t seed;
};

/* ---- samples ---------------------------------------------------------------------------------------------------- */

#define BENCH_SAMPLES 4096u

struct bench_series {
	const char *row;
	size_t nr;
	double value[BENCH_SAMPLES]; /* ns an operation, or what the row's unit is */
	double base[BENCH_SAMPLES];  /* ns a compare-exchange, or what the row is a ratio to; 0: nothing */
};

/** A zeroed series in memory of its own. Never NULL: the program ends if there is no memory. */
struct bench_series *bench_series_new(const char *row);
void bench_series_free(struct bench_series *s);
void bench_series_add(struct bench_series *s, double value, double base);
/** Prints "sample <row> <value> <base>" lines. */
void bench_series_print(const struct bench_series *s);
/** Zeroed memory for the driver's own arrays, not from any malloc. Ends the program if there is none. */
void *bench_array(size_t bytes);
void bench_array_free(void *array, size_t bytes);

static inline uint64_t bench_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/** What reading the clock costs, in ns; measured at start. */
extern double bench_clock_ns;

/** ns of BENCH_CAS compare-exchanges on a word of this thread. */
double bench_cas(void);

/** A stretch of operations being timed. count == NULL: always record. */
struct bench_timer {
	struct bench_series *series;
	const _Atomic unsigned *finished; /* stop recording once another thread is through with the phase */
	uint64_t start;
};

static inline void bench_chunk_begin(struct bench_timer *t)
{
	t->start = bench_now();
}

static inline void bench_chunk_end(struct bench_timer *t, unsigned operations)
{
	double ns = (double)(bench_now() - t->start) - bench_clock_ns;
	double cas = bench_cas();

	if (t->series != NULL && (t->finished == NULL || atomic_load(t->finished) == 0))
		bench_series_add(t->series, ns / operations, cas / BENCH_CAS);
}

/* ---- random numbers: a multiplicative congruential step, high bits ------------------------------------------------ */

static inline uint32_t bench_random(uint64_t *state)
{
	*state = *state * 0xD1342543DE82EF95u + 0x9E3779B97F4A7C15u;
	return (uint32_t)(*state >> 32);
}

static inline size_t bench_below(uint64_t *state, size_t bound)
{
	return (size_t)((uint64_t)bench_random(state) * bound >> 32);
}

void bench_shuffle(bench_block *blocks, size_t nr, uint64_t *state);

/* ---- ownership, for the checked pass: a bit for each frame that there can be, touched lazily ---------------------- */

/** Whether blocks are pfns within a space (its size in frames), or addresses (0). Forgets all ownership. */
void bench_owner_reset(size_t pfn_frames);
/** The allocator handed this block out: it must be aligned, in the space, and nobody's. Any thread.
 *  @return true, or false after having printed what is wrong. */
bool bench_owner_take(bench_block block, unsigned order);
/** The block goes back: it must have been taken. */
bool bench_owner_give(bench_block block, unsigned order);
/** Frames taken at this moment. */
size_t bench_owner_frames(void);

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/** Binds the calling thread to the nth cpu that the process may use. @return false: there is no such cpu. */
bool bench_pin(unsigned nth);
/** Runs fn on nr pinned threads (arg + i * stride each) and waits. @return false if one of them returned false. */
bool bench_threads(unsigned nr, bool (*fn)(void *arg), void *args, size_t stride);

/** Prints "row: message" to stderr; returns false, for `return bench_fail(...)`. */
bool bench_fail(const char *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- workloads --------------------------------------------------------------------------------------------------- */

#define BENCH_NEEDS_ORDERS (1u << 0) /* blocks of different orders out of one space */
#define BENCH_NEEDS_PFNS (1u << 1)   /* too much space for an allocator that has real memory */
#define BENCH_NEEDS_META (1u << 2)   /* knows how much metadata it needs, and makes an instance */
#define BENCH_NEEDS_LIMIT (1u << 3)  /* can run out of space */
#define BENCH_NEEDS_2CPUS (1u << 4)
#define BENCH_NEEDS_OWNERS (1u << 5) /* libpfa with its owners of movable frames */

struct bench_workload {
	const char *name; /* what --only selects; the rows begin with it or are told in rows */
	const char *rows;
	unsigned needs;
	bool (*timed)(const struct bench_options *o);
	bool (*checked)(const struct bench_options *o); /* the same with every step checked; NULL: nothing to check */
};

/** One operation kind for callgrind: what is left of run(n2) - run(n1) is n2 - n1 operations. */
struct bench_instr {
	const char *name; /* the row is <name>.instructions */
	unsigned needs;
	bool (*run)(const struct bench_options *o, size_t operations);
};

/** One file of rows. Adding an area: a file rows_<area>.c, a line in bench.c's table, lines in rows.tsv. */
struct bench_area {
	const char *name;
	const struct bench_workload *workloads;
	const struct bench_instr *instrs;
	size_t nr_workloads, nr_instrs;
};

extern const struct bench_area bench_area_core;
extern const struct bench_area bench_area_movable; /* where BENCH_MOVABLE is defined */
extern const struct bench_area bench_area_contig;  /* there, too */
extern const struct bench_area bench_area_report;  /* as well */
extern const struct bench_area bench_area_resident; /* where BENCH_DEVICES is defined */
extern const struct bench_area bench_area_owners;  /* where BENCH_OWNERS is defined */

/** What the adapter can do (BENCH_NEEDS_*), and its name; rows_core.c knows the adapter. */
extern const unsigned bench_provides;
extern const char bench_allocator[];

#endif
