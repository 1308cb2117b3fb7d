/* SPDX-License-Identifier: MIT
 *
 * A snapshot of an arena, while threads go on allocating, freeing and writing; then it is restored elsewhere and compared.
 *
 *     pfa_example_snapshot --mib 1024 FILE         writes FILE, and restores it
 *     pfa_example_snapshot --restore FILE          is it whole?
 *
 * What is free is skipped, as pfa_walk_free() tells it. That is a hint; so in rounds what was written to since it was copied is copied
 * again (track.c), until there is little of it. Then the threads rest for the final pass: what is still dirty, what was free
 * when it would have been copied and is not now (also if nobody has written to it), and the map of what is free. What is in the file
 * then is the memory at that moment. A frame is read through the pool's memfd, beside the mapping that the threads use.
 *
 * In a program with a reporting device, pfa_report_suspend() belongs around it: a frame that is given back, and granted again,
 * changes its content without a write.
 */
#include "snapshot.h"

#include "load.h"

#include <pfa/posix.h>
#include <pfa/walk.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 8, INTERRUPTED = 130 };

static struct options {
	size_t mib, mib_per_s, max_file_kib, seed;
	enum track_way way;
	bool restore;
	const char *file;
} options = {.mib = 1024, .seed = 1};

struct job {
	struct pfa_posix arena;
	size_t frame, nr_frames;
	struct load load;
	struct track track;
	struct image image;
	unsigned char *free_map, *buffer; /* a byte a frame; a chunk */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static double now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the snapshot ---- */

static int visit(void *ctx, struct pfa_run run)
{
	struct job *j = ctx;
	memset(j->free_map + (run.first - j->arena.pool_pfn), 1, run.nr_frames);
	return 0;
}

static const char *look_what_is_free(struct job *j)
{
	memset(j->free_map, 0, j->nr_frames);
	/* What the caches hold is not free to a walk. */
	if (pfa_cache_drain(j->arena.pfa, PFA_ALL_CPUS) != PFA_OK || pfa_walk_free(j->arena.pfa, 0, visit, j, NULL) != PFA_OK)
		return "the walk failed";
	return NULL;
}

static bool read_frames(const struct job *j, size_t first, size_t nr, unsigned char *to)
{
	return pread(j->arena.pool.fd, to, nr * j->frame, (off_t)(first * j->frame)) == (ssize_t)(nr * j->frame);
}

/* The frames of a chunk that are wanted: not free, and (missing) not in the file either. One that was free when the walk came by may
 * be in use again, and written to: whatever the file has of it is old, and the final pass must find it missing. */
static const char *copy_chunk(struct job *j, size_t chunk, bool missing)
{
	const size_t nr = j->track.chunk / j->frame, begin = chunk * nr, end = begin + nr;
	for (size_t first = begin, next; first < end; first = next) {
		next = first + 1;
		if (j->free_map[first])
			image_leave_out(&j->image, first);
		if (j->free_map[first] || (missing && j->image.sums[first]))
			continue;
		while (next < end && !j->free_map[next] && !(missing && j->image.sums[next]))
			next++;
		if (!read_frames(j, first, next - first, j->buffer))
			return "cannot read the pool";
		const char *wrong = image_put(&j->image, first, next - first, j->buffer);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* Copies what is dirty, while the threads are at work. */
static const char *copy_round(struct job *j)
{
	const char *wrong = look_what_is_free(j);
	for (size_t chunk = 0; chunk < j->track.nr_chunks && !wrong; chunk++) {
		if (interrupted)
			return "interrupted";
		if (!track_take(&j->track, chunk))
			continue;
		wrong = copy_chunk(j, chunk, false);
		if (options.mib_per_s) {
			const uint64_t ns = (uint64_t)j->track.chunk * 1000000000 / ((uint64_t)options.mib_per_s << 20);
			const struct timespec wait = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
			(void)nanosleep(&wait, NULL);
		}
	}
	return wrong;
}

/* The threads are at rest. */
static const char *copy_rest(struct job *j)
{
	const char *wrong = look_what_is_free(j);
	for (size_t chunk = 0; chunk < j->track.nr_chunks && !wrong && !interrupted; chunk++)
		wrong = copy_chunk(j, chunk, !track_is_dirty(&j->track, chunk));
	return wrong || !interrupted ? wrong : "interrupted";
}

static const char *rounds(struct job *j)
{
	size_t before = SIZE_MAX, dirty = j->track.nr_chunks;
	const char *wrong = NULL;
	/* Until little is dirty, or it does not become less. */
	for (unsigned round = 0; round < ROUNDS && dirty > j->track.nr_chunks / 256 && dirty < before - before / 8 && !wrong; round++) {
		const uint64_t written = j->image.bytes_written;
		const double start = now();
		before = dirty;
		wrong = copy_round(j);
		dirty = track_nr_dirty(&j->track);
		printf("round %u: %8.1f MiB in %6.2f s; %.1f MiB were written to meanwhile\n", round + 1,
		       (double)(j->image.bytes_written - written) / (1 << 20), now() - start,
		       (double)(dirty * j->track.chunk) / (1 << 20));
		(void)fflush(stdout);
	}
	return wrong;
}

/* Leaves the threads at rest, whatever is returned. */
static const char *take(struct job *j)
{
	load_pause(&j->load); /* also: nobody writes while tracking begins */
	const char *wrong = track_start(&j->track, options.way, j->arena.pool.base, j->arena.pool.bytes, j->arena.pool.fd);
	if (wrong)
		return wrong;
	j->buffer = malloc(j->track.chunk);
	load_resume(&j->load);
	const size_t steps = atomic_load(&j->load.nr_steps);
	wrong = j->buffer ? image_create(&j->image, options.file, j->frame, j->nr_frames) : "no memory";
	if (!wrong)
		wrong = rounds(j);
	const size_t steps_made = atomic_load(&j->load.nr_steps) - steps;
	const double ask = now();
	load_pause(&j->load);
	const double rest = now();
	const uint64_t written = j->image.bytes_written;
	if (!wrong)
		wrong = copy_rest(j);
	const double end = now();
	track_stop(&j->track);
	if (wrong)
		return wrong;
	printf("pause:   %8.1f MiB in %6.2f ms, and %.2f ms until all threads rested (%s)\n",
	       (double)(j->image.bytes_written - written) / (1 << 20), (end - rest) * 1e3, (rest - ask) * 1e3,
	       j->track.way == TRACK_UFFD ? "userfaultfd" : "mprotect");
	if ((wrong = image_finish(&j->image)))
		return wrong;
	const double whole = (double)j->nr_frames * (double)j->frame;
	printf("written: %8.1f MiB of an arena of %.1f, of which %.1f were in use: %.2f of the arena. %zu steps of %u threads meanwhile\n",
	       (double)j->image.bytes_written / (1 << 20), whole / (1 << 20),
	       (double)j->image.header.nr_used * (double)j->frame / (1 << 20), (double)j->image.bytes_written / whole, steps_made,
	       (unsigned)LOAD_THREADS);
	return NULL;
}

/* ---- the other way ---- */

/* The threads rest since the final pass: the arena is what the file must contain. */
static const char *compare(struct job *j)
{
	struct image restored;
	unsigned char *memory;
	const char *wrong = image_load(&restored, options.file, &memory);
	size_t equal = 0;
	if (wrong) {
		image_close(&restored);
		return wrong;
	}
	wrong = look_what_is_free(j);
	for (size_t i = 0; i < j->nr_frames && !wrong; i++) {
		if (j->free_map[i])
			continue;
		if (!restored.sums[i])
			wrong = "a frame in use is not in the file";
		else if (!read_frames(j, i, 1, j->buffer))
			wrong = "cannot read the pool";
		else if (memcmp(j->buffer, memory + i * j->frame, j->frame) != 0)
			wrong = "a frame is another one";
		else
			equal++;
	}
	errno = 0;
	if (!wrong)
		printf("restored: %zu frames in use, all equal\n", equal);
	(void)munmap(memory, j->nr_frames * j->frame);
	image_close(&restored);
	return wrong;
}

static int restore(void)
{
	struct image image;
	unsigned char *memory;
	const char *wrong = image_load(&image, options.file, &memory);
	if (wrong) {
		fprintf(stderr, "%s: %s%s%s\n", options.file, wrong, errno ? ": " : "", errno ? strerror(errno) : "");
	} else {
		printf("%s is whole: %llu of %llu frames of %llu bytes are in use\n", options.file,
		       (unsigned long long)image.header.nr_used, (unsigned long long)image.header.nr_frames,
		       (unsigned long long)image.header.frame_bytes);
		(void)munmap(memory, (size_t)(image.header.nr_frames * image.header.frame_bytes));
	}
	image_close(&image);
	return wrong ? 1 : 0;
}

/* ---- the program ---- */

static int create_arena(struct job *j)
{
	struct pfa_zone_config zone = {.size = sizeof(zone)};
	struct pfa_config cfg;
	pfa_config_init(&cfg);
	while ((j->frame = (size_t)1 << ++cfg.frame_shift) < (size_t)sysconf(_SC_PAGESIZE))
		;
	zone.nr_frames = j->nr_frames = (options.mib << 20) / j->frame;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	if (pfa_posix_create(&j->arena, &cfg, PFA_POSIX_MEMFD) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", j->arena.why), 1;
	j->free_map = malloc(j->nr_frames);
	if (!j->free_map || !load_start(&j->load, j->arena.pfa, j->frame, j->nr_frames, options.seed))
		return fputs("no memory, or no threads\n", stderr), 1;
	return 0;
}

static int snapshot(void)
{
	static struct job j;
	j.image.fd = -1;
	if (create_arena(&j) != 0)
		return 1;
	const struct rlimit limit = {(rlim_t)options.max_file_kib << 10, (rlim_t)options.max_file_kib << 10};
	if (options.max_file_kib && setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return fputs("cannot limit the size of files\n", stderr), 1;
	errno = 0;
	const char *wrong = take(&j);
	const int err = errno;
	image_abort(&j.image);
	if (!wrong)
		wrong = compare(&j);
	else
		errno = err;
	if (wrong && interrupted)
		fprintf(stderr, "%s: interrupted, nothing was written\n", options.file);
	else if (wrong)
		fprintf(stderr, "%s: %s%s%s\n", options.file, wrong, errno ? ": " : "", errno ? strerror(errno) : "");
	load_resume(&j.load);
	load_stop(&j.load);
	free(j.buffer);
	free(j.free_map);
	if (pfa_posix_destroy(&j.arena) != PFA_OK)
		return fputs("the arena is not empty\n", stderr), 1;
	return !wrong ? 0 : interrupted ? INTERRUPTED : 1;
}

static bool number(const char *text, size_t *out)
{
	char *end;
	if (!text || *text < '0' || *text > '9')
		return false;
	*out = strtoul(text, &end, 10);
	return *end == 0 && *out <= 1 << 20;
}

static bool way(const char *value)
{
	static const char *const names[] = {"auto", "uffd", "mprotect"};
	for (unsigned i = 0; i < 3; i++)
		if (value && strcmp(value, names[i]) == 0)
			return (options.way = (enum track_way)i, true);
	return false;
}

static bool option(const char *name, const char *value)
{
	if (strcmp(name, "--mib") == 0)
		return number(value, &options.mib);
	if (strcmp(name, "--mib-per-s") == 0)
		return number(value, &options.mib_per_s);
	if (strcmp(name, "--max-file-kib") == 0)
		return number(value, &options.max_file_kib);
	if (strcmp(name, "--seed") == 0)
		return number(value, &options.seed);
	return strcmp(name, "--way") == 0 && way(value);
}

static bool parse(int argc, char **argv)
{
	int i = 1;
	while (i < argc) {
		if (strcmp(argv[i], "--restore") == 0) {
			options.restore = true;
		} else if (argv[i][0] != '-' && !options.file) {
			options.file = argv[i];
		} else {
			if (!option(argv[i], argv[i + 1]))
				return false;
			i++;
		}
		i++;
	}
	return options.file && options.mib >= 4;
}

int main(int argc, char **argv)
{
	const bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	if (help || !parse(argc, argv)) {
		fputs("usage: pfa_example_snapshot [options] FILE\n"
		      "       pfa_example_snapshot --restore FILE\n"
		      "  --mib N            size of the arena, 4 at least (1024)\n"
		      "  --way WAY          how writes are seen: uffd (userfaultfd), mprotect, auto: what works (auto)\n"
		      "  --mib-per-s N      looks through so much a second while the threads are at work (no limit)\n"
		      "  --max-file-kib N   no file larger than this\n"
		      "  --seed N           of what the threads do\n", help ? stdout : stderr);
		return help ? 0 : 2;
	}
	struct sigaction action = {.sa_handler = on_signal};
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error as any other */
	return options.restore ? restore() : snapshot();
}
