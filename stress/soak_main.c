/* SPDX-License-Identifier: MIT
 *
 * soak - many threads against one instance at a time, judged by monitors outside of the library. See soak.h.
 *
 * A run is a series of rounds, each with an instance of another shape; within a round the threads are parked now and
 * then, so that everything can be judged exactly.
 */
#include "soak.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct soak soak;
_Thread_local struct soak_slot *soak_self;

/* ---- canaries --------------------------------------------------------------------------------------------------- */

static const char *const main_canaries[] = {
#define SOAK_X(name) #name,
	SOAK_CANARIES(SOAK_X)
#undef SOAK_X
};

/* A defect that needs a running load first comes at the 50th occasion, one of a rare occasion sooner. Not in the child of a fork, which has
 * the count of calls, and no run around it. */
bool soak_canary(enum soak_canary which)
{
	uint32_t nth = 50;
	if (which != soak.opt.canary || soak.in_child)
		return false;
	switch (which) {
	case SOAK_CANARY_sum:
	case SOAK_CANARY_check:
	case SOAK_CANARY_coalesce:
	case SOAK_CANARY_fini:
	case SOAK_CANARY_leak:
	case SOAK_CANARY_marks:
	case SOAK_CANARY_liveness:
	case SOAK_CANARY_fork:
	case SOAK_CANARY_inherit:
	case SOAK_CANARY_closed:
	case SOAK_CANARY_lost:
	case SOAK_CANARY_area:
	case SOAK_CANARY_plugged:
		nth = 0;
		break;
	case SOAK_CANARY_accepted:
	case SOAK_CANARY_dest:
	case SOAK_CANARY_away:
	case SOAK_CANARY_missed:
	case SOAK_CANARY_unvisited:
		nth = 5;
		break;
	default:
		break;
	}
	return atomic_fetch_add_explicit(&soak.canary_calls, 1, memory_order_relaxed) == nth;
}

static unsigned main_race;

static void main_canaries_of_worker(void)
{
	if (soak_canary(SOAK_CANARY_stall))
		for (;;)
			pause();
	if (soak.opt.canary == SOAK_CANARY_race)
		main_race++;
}

/* ---- workers ---------------------------------------------------------------------------------------------------- */

/* Each thread and each time between two rests has weights of its own; about one actor in four sits out. */
static void worker_weights(struct soak_slot *slot)
{
	slot->weights_sum = 0;
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		uint32_t w = soak_actors[a]->weight;
		if (soak.opt.canary == SOAK_CANARY_none && soak_chance(&slot->rng, 25))
			w = 0;
		else
			w = w * (1 + soak_below(&slot->rng, 8)) * 2;
		slot->weights[a] = w;
		slot->weights_sum += w;
	}
	if (slot->weights_sum == 0) {
		slot->weights[0] = 1;
		slot->weights_sum = 1;
	}
}

static void worker_pick(struct soak_slot *slot)
{
	uint32_t at = soak_below(&slot->rng, slot->weights_sum);
	unsigned a = 0;
	while (at >= slot->weights[a])
		at -= slot->weights[a++];
	slot->actor = a;
}

static void worker_rest(struct soak_slot *slot)
{
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		slot->actor = a;
		if (soak_actors[a]->rest)
			soak_actors[a]->rest(slot, slot->actor_state[a]);
	}
}

static void worker_park(struct soak_slot *slot)
{
	worker_rest(slot);
	soak_recorded(soak_record(slot, SOAK_OP_park, atomic_load(&soak.epoch), 0, 0), PFA_OK);
	pthread_mutex_lock(&soak.park_mutex);
	atomic_store(&slot->state, SOAK_SLOT_PARKED);
	soak.nr_parked++;
	pthread_cond_broadcast(&soak.park_cond);
	while (atomic_load(&soak.command) == SOAK_PARK)
		pthread_cond_wait(&soak.park_cond, &soak.park_mutex);
	soak.nr_parked--;
	atomic_store(&slot->state, SOAK_SLOT_RUNNING);
	pthread_cond_broadcast(&soak.park_cond);
	pthread_mutex_unlock(&soak.park_mutex);
	worker_weights(slot);
}

static void worker_end(struct soak_slot *slot)
{
	worker_rest(slot);
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		slot->actor = a;
		if (soak_actors[a]->fini)
			soak_actors[a]->fini(slot, slot->actor_state[a]);
		if (slot->bags[a].nr && soak_canary(SOAK_CANARY_leak))
			slot->bags[a].nr--;
		soak_bag_empty(slot, a);
	}
	atomic_store(&slot->state, SOAK_SLOT_GONE);
}

static void *worker_main(void *arg)
{
	struct soak_slot *slot = arg;
	soak_self = slot;
	worker_weights(slot);
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		slot->actor = a;
		if (soak_actors[a]->init)
			soak_actors[a]->init(slot, slot->actor_state[a]);
	}
	for (;;) {
		uint32_t command = atomic_load_explicit(&soak.command, memory_order_relaxed);
		if (command == SOAK_END)
			break;
		if (command == SOAK_PARK) {
			worker_park(slot);
			continue;
		}
		worker_pick(slot);
		main_canaries_of_worker();
		soak_actors[slot->actor]->step(slot, slot->actor_state[slot->actor]);
		soak_count(&soak_tally(slot)->steps, 1);
	}
	worker_end(slot);
	return NULL;
}

/* ---- a round ---------------------------------------------------------------------------------------------------- */

static _Noreturn void main_give_up(const char *what)
{
	fprintf(stderr, "soak: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *main_calloc(size_t nr, size_t bytes)
{
	void *p = calloc(nr ? nr : 1, bytes ? bytes : 1);
	if (!p)
		main_give_up("no memory");
	return p;
}

static void main_slots_make(void)
{
	soak.nr_slots = 1 + 2 * soak.opt.threads;
	soak.slots = main_calloc(soak.nr_slots, sizeof(*soak.slots));
	soak.mail = main_calloc(soak.opt.threads, sizeof(*soak.mail));
	soak.nr_workers = soak.opt.threads;
	for (unsigned i = 0; i < soak.nr_workers; i++)
		pthread_mutex_init(&soak.mail[i].mutex, NULL);
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		struct soak_slot *slot = &soak.slots[i];
		slot->id = i;
		for (unsigned a = 0; a < soak_nr_actors; a++) {
			slot->actor_state[a] = main_calloc(1, soak_actors[a]->state_bytes);
			slot->bags[a].cap = soak_actors[a]->bag_cap;
			slot->bags[a].grants = main_calloc(slot->bags[a].cap, sizeof(struct soak_grant));
		}
	}
	soak_self = &soak.slots[0];
	atomic_store(&soak.slots[0].state, SOAK_SLOT_RUNNING);
}

static void main_slots_unmake(void)
{
	for (unsigned i = 0; i < soak.nr_slots; i++)
		for (unsigned a = 0; a < soak_nr_actors; a++) {
			free(soak.slots[i].actor_state[a]);
			free(soak.slots[i].bags[a].grants);
		}
	free(soak.slots);
	free(soak.mail);
}

static void main_workers_start(void)
{
	sigset_t stop, before;
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop, &before); /* the main thread is who hears Ctrl-C */
	atomic_store(&soak.command, SOAK_RUN);
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		struct soak_slot *slot = &soak.slots[i];
		slot->rng.state = soak_mix(soak.opt.seed) ^ soak_mix((uint64_t)soak.round << 32 | i);
		slot->cpu = i % soak.geo.config.nr_cpus;
		slot->held = 0;
		for (unsigned a = 0; a < soak_nr_actors; a++)
			memset(slot->actor_state[a], 0, soak_actors[a]->state_bytes);
	}
	for (unsigned i = 0; i < soak.nr_workers; i++) {
		struct soak_slot *slot = soak_worker(i);
		atomic_store(&slot->state, SOAK_SLOT_RUNNING);
		errno = pthread_create(&slot->thread, NULL, worker_main, slot);
		if (errno)
			main_give_up("cannot start a thread");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Main sleeps most of the time; its heart beats so that the watchdog can tell that from a hang. */
static void main_sleep(double s)
{
	struct timespec nap = {0, (long)(s * 1e9)};
	soak_count(&soak.slots[0].progress, 1);
	nanosleep(&nap, NULL);
}

static void main_rest(void)
{
	unsigned epoch = atomic_load(&soak.epoch) + 1;
	struct soak_slot *slot = &soak.slots[0];
	atomic_store(&soak.epoch, epoch);
	slot->actor = 0;
	soak_recorded(soak_record(slot, SOAK_OP_park, epoch, 0, 0), PFA_OK);
	pthread_mutex_lock(&soak.park_mutex);
	atomic_store(&soak.command, SOAK_PARK);
	atomic_store(&slot->state, SOAK_SLOT_PARKED); /* whoever does not arrive is the one that hangs */
	while (soak.nr_parked < soak.nr_workers)
		pthread_cond_wait(&soak.park_cond, &soak.park_mutex);
	atomic_store(&slot->state, SOAK_SLOT_RUNNING);
	pthread_mutex_unlock(&soak.park_mutex);

	soak_quiet_check();

	pthread_mutex_lock(&soak.park_mutex);
	atomic_store(&soak.command, SOAK_RUN);
	pthread_cond_broadcast(&soak.park_cond);
	while (soak.nr_parked > 0)
		pthread_cond_wait(&soak.park_cond, &soak.park_mutex);
	pthread_mutex_unlock(&soak.park_mutex);
}

static double main_now_s(void)
{
	return (double)(soak_now_ns() - soak.start_ns) / 1e9;
}

static void main_actors(bool begin)
{
	struct soak_slot *slot = &soak.slots[0];
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		void (*call)(struct soak_slot *) = begin ? soak_actors[a]->begin : soak_actors[a]->end;
		slot->actor = a;
		if (call)
			call(slot);
	}
	slot->actor = 0;
}

/* One instance's life: at least two rests, until_s permitting or not. */
static void main_round(double until_s)
{
	double length = until_s - main_now_s(), pause_s = length / 4;
	unsigned rests = 0;
	if (pause_s > 5)
		pause_s = 5;
	soak_geometry_make(&soak.geo, soak.opt.seed, soak.round, soak.opt.frames);
	soak_instance_make();
	atomic_store(&soak.epoch, soak.round << 16);
	soak_start_census();
	main_actors(true);
	main_workers_start();
	while (!soak.interrupted && (main_now_s() < until_s || rests < 2)) {
		double next_s = main_now_s() + pause_s;
		do
			main_sleep(0.01);
		while (!soak.interrupted && main_now_s() < next_s);
		main_rest();
		rests++;
	}
	atomic_store(&soak.command, SOAK_END);
	for (unsigned i = 0; i < soak.nr_workers; i++) {
		atomic_store(&soak.slots[0].state, SOAK_SLOT_PARKED);
		pthread_join(soak_worker(i)->thread, NULL);
		atomic_store(&soak.slots[0].state, SOAK_SLOT_RUNNING);
	}
	main_actors(false);
	soak_end_check();
	soak_instance_unmap();
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static const char main_usage[] =
	"usage: soak [--time T] [--threads N] [--seed S] [--frames N] [--json FILE] [--findings DIR] [--round N]\n"
	"            [--round-time T] [--watchdog T] [--command TEXT] [--commit TEXT]\n"
	"Threads against libpfa, watched by monitors outside of it. stress/run builds and starts this program.\n"
	"  --time T        seconds, or with s, m, h; 0: until Ctrl-C (default 60)\n"
	"  --threads N     1..256 (default: twice the processors, at least 4)\n"
	"  --seed S        decides all geometries and each thread's random numbers (default: from the clock)\n"
	"  --frames N      frames of every instance, 64..4194304 (default: by the seed, 128..32768)\n"
	"  --round N       begin with this round's geometry\n"
	"  --round-time T  length of a round (default: an eighth of the time, 1 to 30 s)\n"
	"  --watchdog T    a thread without a call for so long is a finding (default 60)\n"
	"  --json FILE     write pfa-run/1\n"
	"  --findings DIR  where a failure's report goes: DIR/<seed>/report.txt (default stress-findings)\n"
	"Exit: 0 no finding, 1 finding, 2 usage or set-up. Ctrl-C ends with the summary so far.\n";

static _Noreturn void main_usage_error(const char *what, const char *value)
{
	fprintf(stderr, "soak: %s: '%s'\n%s", what, value, main_usage);
	exit(2);
}

static uint64_t main_number(const char *what, const char *text, uint64_t low, uint64_t high)
{
	char *end = NULL;
	unsigned long long n;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || text[0] == '-' || n < low || n > high)
		main_usage_error(what, text);
	return n;
}

static double main_seconds(const char *what, const char *text)
{
	char *end = NULL;
	double s = strtod(text, &end);
	if (end == text || !(s >= 0 && s < 1e9))
		main_usage_error(what, text);
	if (*end == 'm' || *end == 'h')
		s *= *end == 'm' ? 60 : 3600;
	if (*end && (end[1] || !strchr("smh", *end)))
		main_usage_error(what, text);
	return s;
}

static enum soak_canary main_canary(const char *name)
{
	for (unsigned i = 1; i < SOAK_CANARY_COUNT; i++)
		if (strcmp(name, main_canaries[i]) == 0)
			return (enum soak_canary)i;
	main_usage_error("unknown canary", name);
}

static void main_defaults(struct soak_options *o)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	o->time_s = 60;
	o->threads = cores < 2 ? 4 : cores > 16 ? 32 : (unsigned)cores * 2;
	o->seed = soak_mix((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + (uint64_t)getpid()) >> 32;
	o->watchdog_s = 60;
	o->findings = "stress-findings";
	o->command = "soak";
	o->commit = "";
}

static void main_option(struct soak_options *o, int c, const char *arg)
{
	switch (c) {
	case 't':
		o->time_s = main_seconds("bad time", arg);
		break;
	case 'n':
		o->threads = (unsigned)main_number("bad number of threads", arg, 1, SOAK_THREADS_MAX);
		break;
	case 's':
		o->seed = main_number("bad seed", arg, 0, UINT64_MAX);
		break;
	case 'f':
		o->frames = (size_t)main_number("bad number of frames", arg, 64, 4194304);
		break;
	case 'r':
		o->first_round = (unsigned)main_number("bad round", arg, 0, 65535);
		break;
	case 'R':
		o->round_s = main_seconds("bad round time", arg);
		o->round_given = true;
		break;
	case 'w':
		o->watchdog_s = main_seconds("bad watchdog time", arg);
		break;
	case 'j':
		o->json = arg;
		break;
	case 'd':
		o->findings = arg;
		break;
	case 'C':
		o->command = arg;
		break;
	case 'g':
		o->commit = arg;
		break;
	case 'y':
		o->canary = main_canary(arg);
		break;
	case 'h':
		fputs(main_usage, stdout);
		exit(0);
	default:
		fputs(main_usage, stderr);
		exit(2);
	}
}

static void main_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"time", required_argument, NULL, 't'},     {"threads", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},     {"frames", required_argument, NULL, 'f'},
		{"round", required_argument, NULL, 'r'},    {"round-time", required_argument, NULL, 'R'},
		{"watchdog", required_argument, NULL, 'w'}, {"json", required_argument, NULL, 'j'},
		{"findings", required_argument, NULL, 'd'}, {"command", required_argument, NULL, 'C'},
		{"commit", required_argument, NULL, 'g'},   {"canary", required_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
	};
	struct soak_options *o = &soak.opt;
	int c;
	main_defaults(o);
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		main_option(o, c, optarg);
	if (optind != argc)
		main_usage_error("unknown argument", argv[optind]);
	if (!o->round_given) {
		o->round_s = o->time_s / 8;
		o->round_s = o->round_s < 1 ? 1 : o->round_s > 30 || o->time_s == 0 ? 30 : o->round_s;
	}
}

int main(int argc, char **argv)
{
	double end_s;
	int rc;
	main_options(argc, argv);
	soak_report_init();
	soak.start_ns = soak_now_ns();
	soak.round = soak.opt.first_round;
	printf("seed %" PRIu64 "\nrepeat with: %s\n", soak.opt.seed, soak_repeat_command());
	fflush(stdout);
	pthread_mutex_init(&soak.park_mutex, NULL);
	pthread_cond_init(&soak.park_cond, NULL);
	main_slots_make();
	soak_signals();
	soak_watch_start();
	end_s = soak.opt.time_s > 0 ? soak.opt.time_s : 1e18;
	for (;;) {
		double until_s = main_now_s() + soak.opt.round_s;
		if (until_s > end_s - soak.opt.round_s / 2)
			until_s = end_s;
		main_round(until_s);
		if (soak.interrupted || main_now_s() >= end_s || soak.round == 65535)
			break;
		soak.round++;
	}
	soak_watch_stop();
	soak_summary(soak_say);
	rc = soak_json(NULL);
	main_slots_unmake();
	puts(rc == 0 ? "no finding" : "no finding, but the report could not be written");
	return rc;
}
