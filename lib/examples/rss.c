/* SPDX-License-Identifier: MIT
 *
 * Resident memory with and without free page reporting: a pool is used, freed, watched, and used again.
 *
 *     pfa_example_rss --mib 1024 --svg rss.svg
 *
 * Fails (exit code 1) if memory stays though it was reported, goes though it was not, or does not come back.
 */
#define _GNU_SOURCE
#include <pfa/devices.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ORDER = 6, SAMPLES = 200 };

static size_t mib = 1024, watch_ms = 3000, step_ms = 250, delay_ms = 500, rate_mib = 512;
static const char *svg;

struct series {
	const char *what[SAMPLES];
	double seconds[SAMPLES], mib[SAMPLES];
	unsigned nr;
	double ns_first, ns_again; /* a frame's first write, and that after it was freed */
	double full, told, used;
	struct pfa_discard_stats stats;
};

static struct pfa_posix arena;
static size_t frame;

static double now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void nap(size_t ms)
{
	const struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
	(void)nanosleep(&t, NULL);
}

static double resident_mib(void)
{
	char text[128] = "", *end = text;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || !fgets(text, sizeof(text), f))
		exit((fputs("cannot read /proc/self/statm\n", stderr), 2));
	(void)fclose(f);
	(void)strtoul(text, &end, 10);
	return (double)strtoul(end, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static double sample(struct series *s, const char *what, double start)
{
	if (s->nr < SAMPLES) {
		s->what[s->nr] = what;
		s->seconds[s->nr] = now() - start;
		s->mib[s->nr++] = resident_mib();
	}
	return s->mib[s->nr - 1];
}

/* Takes all blocks up to `limit` and writes to them; returns how many there are. */
static size_t use(pfa_pfn blocks[], size_t nr, size_t limit)
{
	for (; nr < limit && pfa_alloc(arena.pfa, ORDER, PFA_MOVABLE, &blocks[nr]) == PFA_OK; nr++) {
		void *at;
		if (pfa_ptr(arena.pfa, blocks[nr], &at) == PFA_OK)
			memset(at, 1, frame << ORDER);
	}
	return nr;
}

static bool give_all(const pfa_pfn blocks[], size_t nr)
{
	while (nr)
		if (pfa_free(arena.pfa, blocks[--nr], ORDER) != PFA_OK)
			return false;
	return pfa_cache_drain(arena.pfa, PFA_ALL_CPUS) == PFA_OK;
}

/* Nothing is in use. What the device has just now is neither reported nor unreported. */
static bool everything_told(void)
{
	struct pfa_zone_stats stats;
	return pfa_zone_stats_get(arena.pfa, 0, &stats, sizeof(stats)) == PFA_OK && stats.reported == stats.present;
}

static bool run(struct series *s, bool on)
{
	struct pfa_zone_config zone = { .size = sizeof(zone) };
	struct pfa_posix_worker worker;
	struct pfa_discard discard;
	struct pfa_device device;
	struct pfa_config cfg;

	pfa_config_init(&cfg);
	while ((frame = (size_t)1 << ++cfg.frame_shift) < (size_t)sysconf(_SC_PAGESIZE))
		;
	zone.nr_frames = ((mib << 20) / frame) >> ORDER << ORDER;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.flags = on ? PFA_CONFIG_REPORTING : 0;
	if (pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", arena.why), false;
	const struct pfa_discard_config discard_cfg = { .size = sizeof(discard_cfg), .way = PFA_DISCARD_DONTNEED,
	                                                .pool = arena.pool.base, .pool_bytes = arena.pool.bytes,
	                                                .pool_pfn = arena.pool_pfn, .frame_shift = cfg.frame_shift, .fd = -1 };
	if (pfa_discard_init(&discard, &discard_cfg) != PFA_OK)
		return fputs("madvise(MADV_DONTNEED) does not work here\n", stderr), false;
	pfa_discard_device(&discard, &device);
	device.delay_ns = delay_ms ? (uint64_t)delay_ms * 1000000 : PFA_EXPLICIT_0;
	device.bytes_per_s = (uint64_t)rate_mib << 20;
	device.min_order = ORDER;
	if (on && pfa_report_register(arena.pfa, &device) != PFA_OK)
		return fputs("not registered\n", stderr), false;
	const size_t limit = zone.nr_frames >> ORDER;
	pfa_pfn *blocks = calloc(limit, sizeof(*blocks));
	if (!blocks || pfa_posix_worker_start(&worker, arena.pfa, 64) != PFA_OK)
		return fputs("no memory, or no thread\n", stderr), false;

	double start = now(), at;
	sample(s, "empty", start);
	at = now();
	size_t nr = use(blocks, 0, limit);
	s->ns_first = (now() - at) * 1e9 / (double)(nr << ORDER);
	s->full = sample(s, "all used", start);
	if (nr == 0 || !give_all(blocks, nr))
		return fputs("not freed\n", stderr), false;
	pfa_posix_worker_kick(&worker);
	sample(s, "freed", start);
	for (size_t ms = step_ms; ms <= watch_ms; ms += step_ms) {
		nap(step_ms);
		sample(s, "", start);
	}
	while (on && !everything_told()) {
		pfa_discard_stats_get(&discard, &s->stats);
		if (s->stats.errors)
			return fprintf(stderr, "madvise: %s\n", strerror(s->stats.err)), false;
		pfa_posix_worker_kick(&worker);
		nap(1);
	}
	s->told = sample(s, "watched", start);
	if (pfa_posix_worker_stop(&worker) != PFA_OK)
		return false;
	at = now();
	nr = use(blocks, 0, limit / 2);
	sample(s, "half used", start);
	nr = use(blocks, nr, limit);
	s->ns_again = (now() - at) * 1e9 / (double)(nr << ORDER);
	s->used = sample(s, "all used", start);
	pfa_discard_stats_get(&discard, &s->stats);
	bool fine = give_all(blocks, nr) && (!on || pfa_report_unregister(arena.pfa) == PFA_OK) &&
	            pfa_posix_destroy(&arena) == PFA_OK;
	free(blocks);
	return fine;
}

static void table(const struct series *off, const struct series *on)
{
	printf("%7s %10s %10s   resident MiB; pool of %zu MiB\n", "s", "reporter", "reporter", mib);
	printf("%7s %10s %10s\n", "", "off", "on");
	for (unsigned i = 0; i < on->nr && i < off->nr; i++)
		printf("%7.2f %10.1f %10.1f   %s\n", on->seconds[i], off->mib[i], on->mib[i], on->what[i]);
	printf("first write: %.0f ns a frame; again, off: %.0f, on: %.0f. %zu system calls for %zu MiB\n", on->ns_first,
	       off->ns_again, on->ns_again, on->stats.calls, on->stats.bytes >> 20);
}

static bool picture(const struct series *const both[2])
{
	FILE *f = popen("gnuplot", "w");
	if (!f)
		return false;
	fprintf(f, "set terminal svg size 700,380\nset output '%s'\nset xlabel 's'\nset ylabel 'resident MiB'\nset yrange [0:*]\n"
	           "plot '-' with linespoints title 'reporter off', '-' with linespoints title 'reporter on'\n", svg);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < both[k]->nr; i++)
			fprintf(f, "%f %f\n", both[k]->seconds[i], both[k]->mib[i]);
		fputs("e\n", f);
	}
	return pclose(f) == 0;
}

static bool option(const char *name, const char *value)
{
	static const struct {
		const char *name;
		size_t *value;
	} numbers[] = { { "--mib", &mib }, { "--watch-ms", &watch_ms }, { "--step-ms", &step_ms }, { "--delay-ms", &delay_ms },
		        { "--rate-mib", &rate_mib } };
	char *end;
	if (strcmp(name, "--svg") == 0)
		return (svg = value) != NULL;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			*numbers[i].value = value ? strtoul(value, &end, 10) : 0;
			return value && *value >= '0' && *value <= '9' && *end == 0 && *numbers[i].value <= 1 << 20;
		}
	return false;
}

int main(int argc, char **argv)
{
	static struct series off, on;
	bool usage = argc == 2 && strcmp(argv[1], "--help") == 0, right = usage;

	for (int i = 1; i < argc && !usage; i += 2)
		right = option(argv[i], argv[i + 1]);
	if ((argc > 1 && !right) || usage || mib < 16 || step_ms == 0) {
		fputs("usage: pfa_example_rss [--mib N] [--watch-ms N] [--step-ms N] [--delay-ms N] [--rate-mib N] [--svg FILE]\n"
		      "  --mib       size of the pool, 16 at least (1024)\n"
		      "  --watch-ms, --step-ms   how long freed memory is watched, and how often it is looked at (3000, 250)\n"
		      "  --delay-ms, --rate-mib  the reporter's delay, and MiB a second; 0: no limit (500, 512)\n"
		      "  --svg       draw it, with gnuplot\n", usage ? stdout : stderr);
		return usage ? 0 : 2;
	}
	if (!run(&off, false) || !run(&on, true))
		return 1;
	table(&off, &on);
	if (svg && !picture((const struct series *const[]){ &off, &on }))
		return fputs("no picture: is gnuplot there?\n", stderr), 1;
	/* Against what it was before: a sanitizer's shadow is resident, too. */
	const double most = (double)mib * 3 / 4;
	if (off.full - off.told > (double)mib - most)
		return fputs("memory has gone that was not reported\n", stderr), 1;
	if (on.full - on.told < most)
		return fputs("memory has stayed that was reported\n", stderr), 1;
	return on.used - on.told < most ? fputs("memory has not come back\n", stderr), 1 : 0;
}
