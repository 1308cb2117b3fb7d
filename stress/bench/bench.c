/* SPDX-License-Identifier: MIT
 *
 * bench.c - one allocator's bench program: runs workloads and prints samples. ci/bench runs it and makes the table.
 */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct bench_area *const areas[] = {
	&bench_area_core,
#ifdef BENCH_MOVABLE
	&bench_area_movable,
	&bench_area_contig,
	&bench_area_report,
#endif
#ifdef BENCH_DEVICES
	&bench_area_resident,
#endif
#ifdef BENCH_OWNERS
	&bench_area_owners,
#endif
};
#define NR_AREAS (sizeof(areas) / sizeof(areas[0]))

double bench_clock_ns;
static bool checking; /* the checked pass has nothing to say about time */

/* ---- samples ---------------------------------------------------------------------------------------------------- */

void *bench_array(size_t bytes)
{
	void *array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (array == MAP_FAILED) {
		fprintf(stderr, "bench: no memory for %zu bytes: %s\n", bytes, strerror(errno));
		exit(2);
	}
	return array;
}

void bench_array_free(void *array, size_t bytes)
{
	munmap(array, bytes);
}

struct bench_series *bench_series_new(const char *row)
{
	struct bench_series *s = bench_array(sizeof(*s));

	memset(s, 0, sizeof(*s)); /* touched now, so that no chunk pays for it */
	s->row = row;
	return s;
}

void bench_series_free(struct bench_series *s)
{
	bench_array_free(s, sizeof(*s));
}

void bench_series_add(struct bench_series *s, double value, double base)
{
	if (s->nr == BENCH_SAMPLES)
		return;
	s->value[s->nr] = value;
	s->base[s->nr] = base;
	s->nr++;
}

void bench_series_print(const struct bench_series *s)
{
	for (size_t i = 0; i < s->nr && !checking; i++)
		printf("sample %s %.5g %.5g\n", s->row, s->value[i], s->base[i]);
	fflush(stdout);
}

double bench_cas(void)
{
	static _Thread_local _Alignas(64) _Atomic uint32_t word;
	uint32_t seen = atomic_load(&word);
	uint64_t start = bench_now();

	for (unsigned i = 0; i < BENCH_CAS; i++)
		if (atomic_compare_exchange_strong(&word, &seen, seen + 1))
			seen++;
	return (double)(bench_now() - start) - bench_clock_ns;
}

static void calibrate_clock(void)
{
	double least = 1e9;

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t a = bench_now(), b = bench_now();
		if ((double)(b - a) < least)
			least = (double)(b - a);
	}
	bench_clock_ns = least;
}

void bench_shuffle(bench_block *blocks, size_t nr, uint64_t *state)
{
	for (size_t i = nr; i > 1; i--) {
		size_t j = bench_below(state, i);
		bench_block swap = blocks[i - 1];
		blocks[i - 1] = blocks[j];
		blocks[j] = swap;
	}
}

bool bench_fail(const char *row, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "bench: %s: %s: ", bench_allocator, row);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

/* ---- ownership -------------------------------------------------------------------------------------------------- */

/* 2^47 bytes of address space in frames; as pfns, 2^35 frames. */
#define OWNER_BITS ((size_t)1 << 35)

static struct {
	_Atomic uint64_t *map;
	_Atomic size_t taken; /* frames */
	size_t pfn_frames;
} owner;

void bench_owner_reset(size_t pfn_frames)
{
	if (owner.map != NULL)
		bench_array_free((void *)owner.map, OWNER_BITS / 8);
	owner.map = bench_array(OWNER_BITS / 8);
	owner.pfn_frames = pfn_frames;
	atomic_store(&owner.taken, 0);
}

size_t bench_owner_frames(void)
{
	return atomic_load(&owner.taken);
}

/* Turns a block into its first frame; false if it cannot be a block at all. */
static bool owner_frame(bench_block block, unsigned order, size_t *out_frame)
{
	size_t frame = owner.pfn_frames != 0 ? block : block >> BENCH_FRAME_SHIFT;
	size_t nr = (size_t)1 << order;

	if (frame % nr != 0)
		return bench_fail("check", "block %#zx of order %u is not aligned to its size", (size_t)block, order);
	if (owner.pfn_frames == 0 && (block & (((bench_block)1 << BENCH_FRAME_SHIFT) - 1)) != 0)
		return bench_fail("check", "block %#zx does not begin at a frame", (size_t)block);
	if (frame > OWNER_BITS - nr ||
	    (owner.pfn_frames != 0 && (frame < BENCH_FIRST_PFN || frame - BENCH_FIRST_PFN > owner.pfn_frames - nr)))
		return bench_fail("check", "block %#zx of order %u lies outside of the space", (size_t)block, order);
	*out_frame = frame;
	return true;
}

bool bench_owner_take(bench_block block, unsigned order)
{
	size_t frame, nr = (size_t)1 << order;

	if (!owner_frame(block, order, &frame))
		return false;
	for (size_t at = frame; at < frame + nr; at += 64) {
		uint64_t bits = (nr >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << nr) - 1) << at % 64;
		if ((atomic_fetch_or(&owner.map[at / 64], bits) & bits) != 0)
			return bench_fail("check", "block %#zx of order %u was handed out while it is owned",
			                  (size_t)block, order);
	}
	atomic_fetch_add(&owner.taken, nr);
	return true;
}

bool bench_owner_give(bench_block block, unsigned order)
{
	size_t frame, nr = (size_t)1 << order;

	if (!owner_frame(block, order, &frame))
		return false;
	for (size_t at = frame; at < frame + nr; at += 64) {
		uint64_t bits = (nr >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << nr) - 1) << at % 64;
		if ((atomic_fetch_and(&owner.map[at / 64], ~bits) & bits) != bits)
			return bench_fail("check", "block %#zx of order %u is given back but not owned", (size_t)block,
			                  order);
	}
	atomic_fetch_sub(&owner.taken, nr);
	return true;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static cpu_set_t allowed_cpus; /* of the process, before anything was pinned */

bool bench_pin(unsigned nth)
{
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;
		if (!CPU_ISSET(cpu, &allowed_cpus) || nth-- != 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		return sched_setaffinity(0, sizeof(one), &one) == 0;
	}
	return false;
}

struct thread_start {
	bool (*fn)(void *arg);
	void *arg;
	unsigned nth;
	bool ok;
};

static void *thread_main(void *arg)
{
	struct thread_start *start = arg;

	start->ok = bench_pin(start->nth);
	start->ok = start->fn(start->arg) && start->ok;
	return NULL;
}

bool bench_threads(unsigned nr, bool (*fn)(void *arg), void *args, size_t stride)
{
	struct thread_start starts[BENCH_THREADS];
	pthread_t threads[BENCH_THREADS];
	bool ok = true;

	for (unsigned i = 0; i < nr; i++) {
		starts[i] = (struct thread_start){.fn = fn, .arg = (char *)args + i * stride, .nth = i};
		if (pthread_create(&threads[i], NULL, thread_main, &starts[i]) != 0) {
			fprintf(stderr, "bench: cannot create a thread\n");
			exit(2);
		}
	}
	for (unsigned i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		ok = ok && starts[i].ok;
	}
	return ok;
}

/* ---- program ----------------------------------------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fprintf(to,
	        "usage: bench_%s [--check] [--quick] [--only NAME] [--seed N] [--list]\n"
	        "       bench_%s --instr NAME N\n"
	        "Runs the workloads of the bench on one allocator (%s), each in a process of its own, and prints\n"
	        "  sample <row> <value> <base>     one line a chunk\n"
	        "  --check    the untimed pass: the same workloads, with every block's ownership checked\n"
	        "  --quick    small spaces and operation counts, whatever the rows say\n"
	        "  --only     one workload (--list names them)\n"
	        "  --instr    N operations of one kind, untimed, to be run under callgrind twice\n"
	        "ci/bench runs this for every allocator and makes the table.\n"
	        "exit: 0 fine, 1 the allocator misbehaved, 2 usage or set-up\n",
	        bench_allocator, bench_allocator, bench_allocator);
}

static unsigned provided(void)
{
	return bench_provides | (CPU_COUNT(&allowed_cpus) >= 2 ? BENCH_NEEDS_2CPUS : 0);
}

static int list_workloads(void)
{
	for (size_t a = 0; a < NR_AREAS; a++) {
		for (size_t i = 0; i < areas[a]->nr_workloads; i++)
			if ((areas[a]->workloads[i].needs & ~provided()) == 0)
				printf("workload %s: %s\n", areas[a]->workloads[i].name, areas[a]->workloads[i].rows);
		for (size_t i = 0; i < areas[a]->nr_instrs; i++)
			if ((areas[a]->instrs[i].needs & ~provided()) == 0)
				printf("instr %s\n", areas[a]->instrs[i].name);
	}
	return 0;
}

static int run_instr(const struct bench_options *o, const char *name, const char *count)
{
	char *end;
	unsigned long n = strtoul(count, &end, 10);

	if (*end != 0 || n == 0) {
		fprintf(stderr, "bench: \"%s\" is no number of operations\n", count);
		return 2;
	}
	for (size_t a = 0; a < NR_AREAS; a++)
		for (size_t i = 0; i < areas[a]->nr_instrs; i++)
			if (strcmp(areas[a]->instrs[i].name, name) == 0)
				return areas[a]->instrs[i].run(o, n) ? 0 : 1;
	fprintf(stderr, "bench: no operation \"%s\" to count (--list)\n", name);
	return 2;
}

/* A process for each workload: none sees what another did to the heap, and a crash is contained. */
static int run_apart(const struct bench_workload *w, const struct bench_options *o)
{
	bool (*fn)(const struct bench_options *) = o->check ? w->checked : w->timed;
	int status;
	pid_t pid;

	if (fn == NULL)
		return 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		bool ok = bench_pin(0) && fn(o);
		fflush(stdout);
		_exit(ok ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "bench: cannot start a process\n");
		return 2;
	}
	if (WIFSIGNALED(status)) {
		bench_fail(w->name, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		return 1;
	}
	return WEXITSTATUS(status);
}

static int run_workloads(const struct bench_options *o, const char *only)
{
	int worst = 0;
	bool any = false;

	for (size_t a = 0; a < NR_AREAS; a++)
		for (size_t i = 0; i < areas[a]->nr_workloads; i++) {
			const struct bench_workload *w = &areas[a]->workloads[i];
			int rc;
			if ((w->needs & ~provided()) != 0 || (only != NULL && strcmp(only, w->name) != 0))
				continue;
			any = true;
			rc = run_apart(w, o);
			worst = rc > worst ? rc : worst;
		}
	if (!any) {
		fprintf(stderr, "bench: no workload \"%s\" for this allocator (--list)\n", only);
		return 2;
	}
	return worst;
}

int main(int argc, char **argv)
{
	struct bench_options o = {
		.frames_small = (size_t)1 << (31 - BENCH_FRAME_SHIFT),
		.frames_big = (size_t)1 << (36 - BENCH_FRAME_SHIFT),
		.operations = 1000000,
		.rounds = 3,
		.seed = 1,
	};
	const char *only = NULL;

	sched_getaffinity(0, sizeof(allowed_cpus), &allowed_cpus);
	calibrate_clock();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return 0;
		} else if (strcmp(argv[i], "--list") == 0) {
			return list_workloads();
		} else if (strcmp(argv[i], "--check") == 0) {
			o.check = true;
		} else if (strcmp(argv[i], "--quick") == 0) {
			o.operations = 100000;
			o.rounds = 1;
			o.frames_small /= 4;
			o.frames_big /= 16;
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			only = argv[++i];
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			o.seed = strtoull(argv[++i], NULL, 0);
		} else if (strcmp(argv[i], "--instr") == 0 && i + 2 < argc) {
			return run_instr(&o, argv[i + 1], argv[i + 2]);
		} else {
			fprintf(stderr, "bench: what is \"%s\"?\n", argv[i]);
			usage(stderr);
			return 2;
		}
	}
	checking = o.check;
	return run_workloads(&o, only);
}
