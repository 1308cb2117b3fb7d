/* SPDX-License-Identifier: MIT
 *
 * fork() at each place in the core that takes a lock: just before, with what the thread holds by then, and just after. The
 * places are read from the sources (argument: lib/src), and each of them must have been forked at, or be excused by name
 * below: a lock that is added later cannot be missed. The core is compiled into this file, so that it can be stopped there.
 */
#define _GNU_SOURCE
#include "fork_scenes.h"

#include <pfa/harden.h>

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pcpu.h"

/* ---- probes: every call of a function that takes a lock, but those within other such functions ----------------------- */

static bool probe(const char *file, unsigned line, const char *lock, bool after);

#define pfai_zone_lock(p, z)                                                                    \
	(probe(__FILE__, __LINE__, "pfai_zone_lock", false) && (pfai_zone_lock)((p), (z)) &&    \
	 probe(__FILE__, __LINE__, "pfai_zone_lock", true))
#define pfai_cpu_lock(p, c)                                                                     \
	(probe(__FILE__, __LINE__, "pfai_cpu_lock", false) && (pfai_cpu_lock)((p), (c)) &&      \
	 probe(__FILE__, __LINE__, "pfai_cpu_lock", true))
#define pfai_cpu_try_lock(p, c)                                                                 \
	(probe(__FILE__, __LINE__, "pfai_cpu_try_lock", false) && (pfai_cpu_try_lock)((p), (c)) && \
	 probe(__FILE__, __LINE__, "pfai_cpu_try_lock", true))
#define pfai_set_lock(p)                                                                        \
	(probe(__FILE__, __LINE__, "pfai_set_lock", false) && (pfai_set_lock)(p) &&             \
	 probe(__FILE__, __LINE__, "pfai_set_lock", true))
#define pfai_cpu_mine(p) probe_mine((p), __FILE__, __LINE__)

static struct pfai_cpu *probe_mine(struct pfa *p, const char *file, unsigned line)
{
	(void)probe(file, line, "pfai_cpu_mine", false);
	struct pfai_cpu *c = (pfai_cpu_mine)(p);
	if (c)
		(void)probe(file, line, "pfai_cpu_mine", true);
	return c;
}

#include "pfa_unity.c"

/* ---- the places ------------------------------------------------------------------------------------------------------ */

/* Functions that take locks: calls of the first are probed, the others may be used by them alone. */
static const char *const probed[] = {"pfai_zone_lock", "pfai_cpu_lock", "pfai_cpu_try_lock", "pfai_set_lock", "pfai_cpu_mine"};
static const char *const inner[] = {"pfai_sleep_lock", "pfai_try_lock", "pfai_sleep_lock_contended", "pfai_try_lock_wait"};
static const char *const makers[] = {"lock.h", "lock.c", "zone.h", "pcpu.h", "report.h"};
enum { NR_PROBED = 5, NR_INNER = 4, NR_MAKERS = 5, MAX_PLACES = 128 };

#define COMPACTS "the scenes have no movers: the child of a fork while blocks are moved is closed, whatever the locks are"

#define REPORTS "the scenes have no device; test_mt_report.c forks inside of one, and the child undoes the rest whatever it was"

static const struct {
	const char *function, *why;
} excused[] = {
	{"pfa_fork_prepare", "the fork itself"},
	{"pfa_init", "before anyone else can know of the instance"},
	{"freeing_has_room", "where a zone's lock cannot be waited for, so that there is no other thread"},
	{"pfai_contig_give_back", "where another thread marks a frame bad while its range is being taken"},
	{"hand_grab", COMPACTS},
	{"hand_drop", COMPACTS},
	{"compact_take", COMPACTS},
	{"compact_skips", COMPACTS},
	{"compact_hint", COMPACTS},
	{"compact_index_zone", COMPACTS},
	{"compact_has_room", COMPACTS},
	{"report_batch", REPORTS},
	{"pfai_batch_return", REPORTS},
	{"report_switch", REPORTS},
};
enum { NR_EXCUSED = sizeof(excused) / sizeof(excused[0]) };

static struct place {
	char file[32], function[64];
	unsigned line;
	const char *lock;
	atomic_uint passed[2]; /* before, after: in this call of a scene */
	unsigned forks[2];
} places[MAX_PLACES];
static unsigned nr_places;

/* Where the holder stops: at this pass of it. NULL: nowhere. */
static struct place *stop_at;
static bool stop_after;
static unsigned stop_pass;

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool probe(const char *file, unsigned line, const char *lock, bool after)
{
	if (!scene_me.holds)
		return true;
	for (unsigned i = 0; i < nr_places; i++) {
		struct place *place = &places[i];
		if (place->line != line || strcmp(place->file, base_name(file)) != 0 || strcmp(place->lock, lock) != 0)
			continue;
		unsigned pass = atomic_fetch_add(&place->passed[after], 1);
		if (place == stop_at && after == stop_after && pass == stop_pass)
			scene_stop();
		return true;
	}
	rig_fail(__FILE__, __LINE__, "%s:%u calls %s, and it was not found in the sources", file, line, lock);
}

/* The only place in a function. */
static struct place *place_in(const char *function)
{
	struct place *found = NULL;
	for (unsigned i = 0; i < nr_places; i++)
		if (strcmp(places[i].function, function) == 0) {
			MUST(!found);
			found = &places[i];
		}
	MUST(found);
	return found;
}

static const char *calls(const char *text, const char *function)
{
	size_t length = strlen(function);
	for (const char *at = text; (at = strstr(at, function)); at += length) {
		bool whole = at == text || !(at[-1] == '_' || (at[-1] >= 'a' && at[-1] <= 'z'));
		if (whole && at[length] == '(')
			return at;
	}
	return NULL;
}

static bool is_maker(const char *file)
{
	for (unsigned i = 0; i < NR_MAKERS; i++)
		if (strcmp(file, makers[i]) == 0)
			return true;
	return false;
}

static void read_line(const char *file, const char *function, const char *text, unsigned line)
{
	for (unsigned i = 0; i < NR_INNER; i++)
		if (calls(text, inner[i]))
			rig_fail(__FILE__, __LINE__, "%s:%u takes a lock by %s, which no probe sees", file, line, inner[i]);
	for (unsigned i = 0; i < NR_PROBED; i++) {
		if (!calls(text, probed[i]))
			continue;
		if (strchr(file, '.')[1] == 'h')
			rig_fail(__FILE__, __LINE__, "%s:%u takes a lock in a header, which no probe sees", file, line);
		if (calls(calls(text, probed[i]) + 1, probed[i]))
			rig_fail(__FILE__, __LINE__, "%s:%u: two calls of %s in a line", file, line, probed[i]);
		MUST(nr_places < MAX_PLACES);
		struct place *place = &places[nr_places++];
		snprintf(place->file, sizeof(place->file), "%s", file);
		snprintf(place->function, sizeof(place->function), "%s", function);
		place->line = line;
		place->lock = probed[i];
	}
}

/* A line that begins a function names it; comments are skipped by their first characters. */
static void read_source(const char *dir, const char *file)
{
	char path[4096], text[512], function[64] = "";
	unsigned line = 0;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	FILE *f = fopen(path, "r");
	if (!f)
		rig_fail(__FILE__, __LINE__, "cannot read %s", path);
	while (fgets(text, sizeof(text), f)) {
		char *parenthesis = strchr(text, '(');
		line++;
		if (text[0] >= 'A' && parenthesis) {
			char *name = parenthesis;
			while (name > text && (name[-1] == '_' || (name[-1] >= 'a' && name[-1] <= 'z') ||
			                       (name[-1] >= '0' && name[-1] <= '9')))
				name--;
			snprintf(function, sizeof(function), "%.*s", (int)(parenthesis - name), name);
		} else if (text[0] == '\t' && !strstr(text, "/* ")) {
			read_line(file, function, text, line);
		}
	}
	fclose(f);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_sources(const char *dir)
{
	char *files[128];
	unsigned nr = 0;
	DIR *d = opendir(dir);
	if (!d)
		rig_fail(__FILE__, __LINE__, "cannot read %s", dir);
	for (struct dirent *e; (e = readdir(d));) {
		const char *dot = strrchr(e->d_name, '.');
		if (!dot || (strcmp(dot, ".c") != 0 && strcmp(dot, ".h") != 0) || is_maker(e->d_name))
			continue;
		MUST(nr < sizeof(files) / sizeof(files[0]));
		files[nr++] = strdup(e->d_name);
	}
	closedir(d);
	qsort(files, nr, sizeof(files[0]), by_name);
	for (unsigned i = 0; i < nr; i++) {
		read_source(dir, files[i]);
		free(files[i]);
	}
	MUST(nr > 30 && nr_places > 25);
}

/* ---- two more scenes --------------------------------------------------------------------------------------------------- */

/* What this thread finds damaged: cpu 1's cache holds a block whose byte is wrong. Its drain fails half-way through the
 * cpus, which is taken back, and what is cached of the zone is abandoned everywhere. */
static void site_damage(struct pfa *p)
{
	pfa_pfn pfn;
	unsigned state;
	for (scene_me.cpu = 0; scene_me.cpu < 2; scene_me.cpu++)
		do { /* past the cache while the fork holds it */
			MUST_EQ(pfa_alloc(p, 0, PFA_MOVABLE, &pfn), PFA_OK);
			MUST_EQ(pfa_free(p, pfn, 0), PFA_OK);
			state = pfai_load_relaxed(&p->bytes[pfn - p->base]) & PFAI_STATE_MASK;
		} while (state != PFAI_CACHED && state != PFAI_CACHED_ZERO && state != PFAI_QUARANTINE);
	scene_me.cpu = 0;
	pfai_store_relaxed(&p->bytes[pfn - p->base], PFAI_HEAD | 0u);
	MUST_EQ(pfa_cache_disable(p), PFA_ECORRUPT);
}

/* Instances with hooks see to it that a zone's lock can be had before they claim: only where it is busy. So a second
 * thread has it until the holder is there. */
static sem_t busy_locked;
static struct place *busy_place;

static void *busy_thread(void *arg)
{
	struct pfa *p = arg;
	MUST((pfai_zone_lock)(p, &p->zones[0]));
	MUST_EQ(sem_post(&busy_locked), 0);
	while (!atomic_load(&busy_place->passed[0]))
		sched_yield();
	pfai_zone_unlock(p, &p->zones[0]);
	return NULL;
}

static void site_busy(struct pfa *p)
{
	pthread_t thread;
	pfa_pfn pfn;
	if (!p->hooks)
		return;
	busy_place = place_in("pfai_zone_locks");
	MUST_EQ(sem_init(&busy_locked, 0, 0), 0);
	MUST_EQ(pfa_alloc(p, LARGE, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn), PFA_OK);
	MUST_EQ(pthread_create(&thread, NULL, busy_thread, p), 0);
	MUST_EQ(sem_wait(&busy_locked), 0);
	MUST_EQ(pfa_free(p, pfn, LARGE), PFA_OK);
	MUST_EQ(pthread_join(thread, NULL), 0);
}

/* What only level 3 has: guards, and content that was written to after the free. */
static void site_full(struct pfa *p)
{
	pfa_pfn pfn;
	if (!pfai_level(p, 3))
		return;
	MUST_EQ(pfa_alloc(p, 1, PFA_MOVABLE | PFA_GUARD, &pfn), PFA_OK);
	MUST_EQ(pfa_free(p, pfn, 1), PFA_OK);
	MUST_EQ(pfa_alloc(p, LARGE, PFA_MOVABLE | PFA_EXACT_ZONE, &pfn), PFA_OK);
	MUST_EQ(pfa_free(p, pfn, LARGE), PFA_OK);
	MUST_EQ(pfa_cache_drain(p, PFA_ALL_CPUS), PFA_OK);
	void *at;
	MUST_EQ(pfa_ptr(p, pfn, &at), PFA_OK);
	*(unsigned char *)at ^= 1; /* poison of every byte */
	MUST_EQ(pfa_alloc_window(p, LARGE, PFA_MOVABLE, (struct pfa_run){pfn, 1u << LARGE}, &pfn), PFA_ECORRUPT);
}

/* A child may meet the frame that was written to, and be refused. */
static const struct site full = {"full", site_full, 0, SITE_FILLS};
static const struct site busy = {"busy", site_busy, 0, SITE_PLAIN};
static const struct site damage = {"damage", site_damage, 1, SITE_DAMAGES};

/* ---- forks ------------------------------------------------------------------------------------------------------------- */

static void passes_forget(void)
{
	for (unsigned i = 0; i < nr_places; i++)
		for (unsigned after = 0; after < 2; after++)
			atomic_store(&places[i].passed[after], 0);
}

/* The whole scene, with one fork in it; none where stop_at is NULL. */
static void play(const struct site *site, unsigned variant)
{
	pthread_t thread;
	scene_prepare(false);
	passes_forget();
	scene.site = site;
	scene.nth = UINT_MAX;
	scene.finished = false;
	MUST_EQ(pthread_create(&thread, NULL, scene_holder, NULL), 0);
	MUST_EQ(sem_wait(&scene.held), 0);
	scene_me.cpu = 1;
	if (stop_at && scene.finished)
		rig_fail(__FILE__, __LINE__, "%s, variant %u: %s:%u was not passed again", site->name, variant, stop_at->file,
		         stop_at->line);
	if (stop_at) {
		scene_me.forks = true;
		pid_t pid = fork();
		if (pid == 0)
			scene_child();
		/* Somebody who is just past a lock holds it, and was waited for. */
		if (scene_me.forks && stop_after)
			rig_fail(__FILE__, __LINE__, "%s, variant %u: the fork did not wait for the lock of %s:%u (%s)", site->name,
			         variant, stop_at->file, stop_at->line, stop_at->function);
		if (scene_me.forks)
			MUST_EQ(sem_post(&scene.go), 0);
		scene_me.forks = false;
		scene_wait_for(pid, stop_at->function, stop_at->line);
		stop_at->forks[stop_after]++;
	}
	MUST_EQ(pthread_join(thread, NULL), 0);
	if (site->kind != SITE_DAMAGES) {
		scene_finish();
		return;
	}
	MUST_EQ(pfa_posix_fork_forget(scene.rig.pfa), PFA_OK);
	rig_drop(&scene.rig);
}

/* Where does this scene lead? Then it is played again for each place: fork at its first and at its last pass. */
static void play_all(const struct site *site, unsigned variant)
{
	static unsigned passed[MAX_PLACES][2];
	stop_at = NULL;
	play(site, variant);
	for (unsigned i = 0; i < nr_places; i++)
		for (unsigned after = 0; after < 2; after++)
			passed[i][after] = atomic_load(&places[i].passed[after]);
	for (unsigned i = 0; i < nr_places; i++)
		for (unsigned after = 0; after < 2; after++) {
			stop_at = &places[i];
			stop_after = after;
			for (unsigned round = 0; round < 2 && round < passed[i][after]; round++) {
				stop_pass = round ? passed[i][after] - 1 : 0;
				play(site, variant);
			}
		}
	stop_at = NULL;
}

/* The fast paths' tries; they are entered where the cpu is found by an offset from the thread pointer. */
static bool is_fast(const struct place *place)
{
	static const char *const functions[] = {"pfa_alloc", "pfa_free", "pfai_alloc_outside", "pfai_free_outside",
	                                        "full_alloc", "full_free"};
	for (unsigned i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcmp(functions[i], place->function) == 0)
			return strcmp(place->lock, "pfai_cpu_try_lock") == 0;
	return false;
}

static bool is_excused(const struct place *place)
{
	if (!rig_cpu_offset(&(uint32_t){0}) && is_fast(place))
		return true;
	for (unsigned i = 0; i < NR_EXCUSED; i++)
		if (strcmp(excused[i].function, place->function) == 0)
			return true;
	return false;
}

static void all_places_forked_at(void)
{
	unsigned missing = 0, forks = 0, nr_excused = 0;
	for (unsigned i = 0; i < nr_places; i++) {
		const struct place *place = &places[i];
		bool none = !place->forks[0] || !place->forks[1];
		forks += place->forks[0] + place->forks[1];
		nr_excused += is_excused(place);
		if (none == is_excused(place))
			continue;
		fprintf(stderr, "%s:%u: %s by %s: %u forks before it, %u after it%s\n", place->file, place->line, place->lock,
		        place->function, place->forks[0], place->forks[1], none ? "" : ", and it is excused");
		missing++;
	}
	if (missing)
		rig_fail(__FILE__, __LINE__, "%u of %u places with locks", missing, nr_places);
	printf("%u forks at %u places that take locks, %u more are excused\n", forks, nr_places - nr_excused, nr_excused);
}

int main(int argc, char **argv)
{
	static const struct scene_options variants[] = {
		{false, false, 0, 1}, {false, true, 0, 1}, {false, false, PFA_CONFIG_GENERATIONS, 2},
		{false, true, 0, 2}, {false, false, 0, 3}, {false, true, 0, 3}};
	MUST(argc >= 2);
	read_sources(argv[1]);
	(void)mt_options(argc - 1, argv + 1, 0);
	for (unsigned variant = 0; variant < sizeof(variants) / sizeof(variants[0]); variant++) {
		scene_options = variants[variant];
		if (scene_options.hardening > PFA_HARDENING)
			scene_options.hardening = PFA_HARDENING;
		for (unsigned i = 0; i < scene_nr_sites; i++)
			play_all(&scene_sites[i], variant);
		play_all(&busy, variant);
		play_all(&full, variant);
		play_all(&damage, variant);
	}
	all_places_forked_at();
	return 0;
}
