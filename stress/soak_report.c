/* SPDX-License-Identifier: MIT
 *
 * What people and programs see: the live line, the summary, JSON (pfa-run/1). And the watchdog, since it looks at the
 * same counters.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

uint64_t soak_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double report_elapsed_s(void)
{
	return (double)(soak_now_ns() - soak.start_ns) / 1e9;
}

void soak_say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	fflush(stdout);
}

/* The command that repeats this run from a round on. */
static const char *report_command(unsigned round)
{
	static char text[1024];
	const struct soak_options *o = &soak.opt;
	int n = snprintf(text, sizeof(text), "%s --seed %" PRIu64 " --threads %u --time %g", o->command, o->seed,
	                 o->threads, o->time_s);
	if (o->frames && n > 0 && (size_t)n < sizeof(text))
		n += snprintf(text + n, sizeof(text) - (size_t)n, " --frames %zu", o->frames);
	if (o->round_given && n > 0 && (size_t)n < sizeof(text))
		n += snprintf(text + n, sizeof(text) - (size_t)n, " --round-time %g", o->round_s);
	if (round && n > 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, " --round %u", round);
	return text;
}

/* The command that comes straight to the present round. */
const char *soak_repeat_command(void)
{
	return report_command(soak.round);
}

/* ---- sums over the threads -------------------------------------------------------------------------------------- */

struct report_sums {
#define SOAK_X(name) size_t name;
	SOAK_TALLY(SOAK_X)
#undef SOAK_X
};

static void report_sum(unsigned actor, struct report_sums *sums)
{
	for (unsigned s = 0; soak.slots && s < soak.nr_slots; s++) {
		struct soak_tally *t = &soak.slots[s].tally[actor];
#define SOAK_X(name) sums->name += atomic_load_explicit(&t->name, memory_order_relaxed);
		SOAK_TALLY(SOAK_X)
#undef SOAK_X
	}
}

static struct report_sums report_total(void)
{
	struct report_sums sums = {0};
	for (unsigned a = 0; a < soak_nr_actors; a++)
		report_sum(a, &sums);
	return sums;
}

static size_t report_calls(void)
{
	size_t nr = 0;
	for (unsigned s = 0; soak.slots && s < soak.nr_slots; s++)
		nr += atomic_load_explicit(&soak.slots[s].progress, memory_order_relaxed);
	return nr;
}

void soak_summary(void (*print)(const char *fmt, ...))
{
	struct report_sums total = report_total();
	double s = report_elapsed_s();
	print("\n%-10s %10s %10s %10s %12s %9s %8s %10s %12s %8s %8s %8s\n", "actor", "steps", "requests", "grants",
	      "frames", "ENOMEM", "EAGAIN", "frees", "stamps", "checks", "refused", "moves");
	for (unsigned a = 0; a <= soak_nr_actors; a++) {
		struct report_sums t = {0};
		if (a < soak_nr_actors)
			report_sum(a, &t);
		else
			t = total;
		print("%-10s %10zu %10zu %10zu %12zu %9zu %8zu %10zu %12zu %8zu %8zu %8zu\n",
		      a < soak_nr_actors ? soak_actors[a]->name : "all", t.steps, t.calls, t.grants, t.frames, t.enomem,
		      t.eagain, t.frees, t.stamps, t.checks, t.refused, t.moves);
	}
	print("%.1f s, %u threads, %u rounds, %zu rests, %zu operations (%.0f/s)%s\n", s, soak.opt.threads,
	      soak.round - soak.opt.first_round + 1, atomic_load_explicit(&soak.nr_quiesced, memory_order_relaxed),
	      report_calls(), (double)report_calls() / s, soak.interrupted ? ", interrupted" : "");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* Without stdio's streams: a failure may be reported from a signal handler. */
static struct {
	int fd;
	bool bad;
	char cpu[128];
} report_file;

static void report_put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void report_put(const char *fmt, ...)
{
	char piece[1024];
	va_list args;
	int n;
	va_start(args, fmt);
	n = vsnprintf(piece, sizeof(piece), fmt, args);
	va_end(args);
	if (n < 0 || n >= (int)sizeof(piece)) {
		report_file.bad = true;
		return;
	}
	for (int done = 0; done < n;) {
		ssize_t w = write(report_file.fd, piece + done, (size_t)(n - done));
		if (w < 0 && errno != EINTR) {
			report_file.bad = true;
			return;
		}
		done += w > 0 ? (int)w : 0;
	}
}

static void report_key(const char *before, const char *key, const char *value)
{
	report_put("%s\"%s\":\"", before, key);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		if (c == '"' || c == '\\')
			report_put("\\%c", c);
		else if (c < 0x20)
			report_put("\\u%04x", c);
		else
			report_put("%c", c);
	}
	report_put("\"");
}

/* The processor's name as the system says it, else the kind of machine. Before any thread. */
void soak_report_init(void)
{
	char line[256], *value = NULL;
	struct utsname u;
	FILE *info = fopen("/proc/cpuinfo", "r");
	memset(&u, 0, sizeof(u));
	uname(&u);
	while (info && !value && fgets(line, sizeof(line), info))
		if (strncmp(line, "model name", 10) == 0 && (value = strchr(line, ':')) != NULL)
			value[strcspn(value, "\n")] = 0;
	if (info)
		fclose(info);
	snprintf(report_file.cpu, sizeof(report_file.cpu), "%s",
	         value ? value + 1 + strspn(value + 1, " ") : u.machine);
}

static void report_json_env(void)
{
	struct utsname u;
	memset(&u, 0, sizeof(u));
	uname(&u);
	report_put(",\"env\":{\"cores\":%ld", sysconf(_SC_NPROCESSORS_ONLN));
	report_key(",", "cpu", report_file.cpu);
	report_key(",", "kernel", u.release);
#ifdef __VERSION__
	report_key(",", "compiler", __VERSION__);
#endif
	report_put(",\"package_versions\":{");
#ifdef __GLIBC__
	report_key("", "glibc", gnu_get_libc_version());
#endif
	report_put("}}");
}

static void report_json_actors(void)
{
	report_put(",\"rows\":[],\"extra\":{\"actors\":[");
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		struct report_sums t = {0};
		report_sum(a, &t);
		report_key(a ? ",{" : "{", "name", soak_actors[a]->name);
#define SOAK_X(field) report_put(",\"%s\":%zu", #field, t.field);
		SOAK_TALLY(SOAK_X)
#undef SOAK_X
		report_put("}");
	}
	report_put("],\"threads\":%u,\"first_round\":%u,\"last_round\":%u,\"rests\":%zu,\"interrupted\":%s}",
	           soak.opt.threads, soak.opt.first_round, soak.round,
	           atomic_load_explicit(&soak.nr_quiesced, memory_order_relaxed), soak.interrupted ? "true" : "false");
}

static void report_json_finding(size_t calls, const struct soak_finding *finding)
{
	char id[16];
	snprintf(id, sizeof(id), "%08" PRIx32, finding->id);
	report_key("{", "id", id);
	report_key(",", "target", "soak");
	report_key(",", "invariant", finding->monitor);
	report_key(",", "message", finding->message);
	report_put(",\"step\":%zu", calls);
	report_key(",", "input", "");
	report_key(",", "text", finding->report);
	report_key(",", "replay", soak_repeat_command());
	report_put("}");
}

/* Writes opt.json, if asked for. finding NULL: none. 0, or 2 if it cannot be written. */
int soak_json(const struct soak_finding *finding)
{
	double s = report_elapsed_s();
	size_t calls = report_calls();
	unsigned rounds = soak.round - soak.opt.first_round + 1;
	if (!soak.opt.json)
		return 0;
	report_file.fd = open(soak.opt.json, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (report_file.fd < 0) {
		fprintf(stderr, "soak: cannot write %s: %s\n", soak.opt.json, strerror(errno));
		return 2;
	}
	report_key("{", "schema", "pfa-run/1");
	report_key(",", "tool", "stress/run");
	report_key(",", "command", report_command(soak.opt.first_round));
	report_key(",", "commit", soak.opt.commit);
	report_put(",\"seed\":%" PRIu64, soak.opt.seed);
	report_json_env();
	report_put(",\"wall_s\":%.3f,\"exit\":%d", s, finding ? 1 : 0);
	report_key(",", "verdict", finding ? "finding" : "pass");
	report_key(",\"targets\":[{", "name", "soak");
	report_key(",", "engine", "threads");
	report_key(",", "sanitizers", SOAK_SANITIZE);
	report_put(",\"execs\":%u,\"execs_per_s\":%.3f,\"steps\":%zu,\"steps_per_s\":%.0f,\"edges\":0,"
	           "\"new_inputs\":0,\"findings\":%d}],\"findings\":[",
	           rounds, rounds / s, calls, (double)calls / s, finding ? 1 : 0);
	if (finding)
		report_json_finding(calls, finding);
	report_put("]");
	report_json_actors();
	report_put("}\n");
	if (close(report_file.fd) != 0 || report_file.bad) {
		fprintf(stderr, "soak: cannot write %s\n", soak.opt.json);
		return 2;
	}
	return 0;
}

/* ---- the watchdog, and the live line ----------------------------------------------------------------------------- */

static struct {
	pthread_t thread;
	_Atomic uint32_t stop;
	size_t progress[1 + 2 * SOAK_THREADS_MAX];
	uint64_t since_ns[1 + 2 * SOAK_THREADS_MAX];
	bool tty;
	double next_line_s;
	size_t last_calls;
	double last_s;
} watch;

/* A hang detector and nothing else: time decides only after a very long time without a single call. */
static void watch_slots(uint64_t now_ns)
{
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		struct soak_slot *slot = &soak.slots[i];
		size_t progress = atomic_load_explicit(&slot->progress, memory_order_relaxed);
		uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
		if (state != SOAK_SLOT_RUNNING || progress != watch.progress[i] || watch.since_ns[i] == 0) {
			watch.progress[i] = progress;
			watch.since_ns[i] = now_ns;
		} else if ((double)(now_ns - watch.since_ns[i]) / 1e9 > soak.opt.watchdog_s) {
			soak_self = slot; /* the report begins with it */
			soak_fail("watchdog", "thread %u has made no call for %.0f s", i, soak.opt.watchdog_s);
		}
	}
}

static void watch_line(void)
{
	double s = report_elapsed_s(), period = watch.tty ? 0.5 : 10;
	struct report_sums t;
	size_t calls, live = 0;
	if (s < watch.next_line_s)
		return;
	t = report_total();
	calls = report_calls();
	for (size_t i = 0; i < soak.nr_slots; i++)
		live += atomic_load_explicit(&soak.slots[i].state, memory_order_relaxed) == SOAK_SLOT_RUNNING;
	printf("%s%6.0f s  round %u  %9.0f ops/s  %zu frames granted  %zu stamps  %zu checks  %zu running%s",
	       watch.tty ? "\r" : "", s, atomic_load_explicit(&soak.epoch, memory_order_relaxed) >> 16,
	       (double)(calls - watch.last_calls) / (s - watch.last_s), t.frames, t.stamps, t.checks, live,
	       watch.tty ? "\033[K" : "\n");
	fflush(stdout);
	watch.last_calls = calls;
	watch.last_s = s;
	watch.next_line_s = s + period;
}

static void *watch_main(void *arg)
{
	(void)arg;
	while (!atomic_load_explicit(&watch.stop, memory_order_relaxed)) {
		struct timespec nap = {0, 50000000};
		nanosleep(&nap, NULL);
		watch_slots(soak_now_ns());
		watch_line();
	}
	if (watch.tty)
		printf("\r\033[K");
	return NULL;
}

void soak_watch_start(void)
{
	sigset_t all, before;
	sigfillset(&all);
	watch.tty = isatty(STDOUT_FILENO);
	watch.next_line_s = watch.tty ? 0.5 : 10;
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&watch.thread, NULL, watch_main, NULL) != 0)
		watch.thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void soak_watch_stop(void)
{
	atomic_store(&watch.stop, 1);
	if (!pthread_equal(watch.thread, pthread_self()))
		pthread_join(watch.thread, NULL);
}
