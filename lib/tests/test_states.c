/* SPDX-License-Identifier: MIT
 *
 * The states of lib/docs/states.md against the code, both ways: every change of a frame byte, of a pageblock's type and of
 * a route that a long random run shows is in the document's tables, under the calls that did it; and everything that
 * the tables say was seen.
 */
#include <pfa/harden.h>

#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "rig.h"

/* ---- what is seen ------------------------------------------------------------------------------------------------ */

enum section { BYTE, ENTRY, TYPE, ROUTE, HOLDER, REPORTER, SECTIONS };
static const char *const headings[SECTIONS] = { "## Frame byte", "## Entry of a movable block", "## Type of a pageblock",
	                                        "## Route of a pageblock", "## Holder", "## Reporter" };

enum { LABELS = 16, LEVELS = 4, LABEL_MOVABLE = 11 };
static const char *const labels[SECTIONS][LABELS] = {
	/* 0-4 are the special values of state 0, then the states */
	[BYTE] = { "NOTHING", "ABSENT", "OFFLINE", "BAD", "TAIL", "GUARD_BELOW", "GUARD_ABOVE", "HEAD", "CACHED", "CACHED_ZERO",
	           "HELD_REPORT", "MOVABLE", "QUARANTINE", "FREEING", "OFFLINE_BAD", "other" },
	[ENTRY] = { "NONE", "OWNED", "ISOLATED", "RELEASED", "LEAVING" },
	[TYPE] = { [PFAI_CODE_MOVABLE] = "MOVABLE", [PFAI_CODE_UNMOVABLE] = "UNMOVABLE", [PFAI_CODE_HIGHATOMIC] = "HIGHATOMIC",
	           [PFAI_CODE_RECLAIMABLE] = "RECLAIMABLE", [PFAI_CODE_CMA] = "CMA" },
	[ROUTE] = { [PFAI_CODE_MOVABLE] = "MOVABLE", [PFAI_CODE_UNMOVABLE] = "UNMOVABLE", [PFAI_ROUTE_SLOW] = "SLOW",
	            [PFAI_CODE_RECLAIMABLE] = "RECLAIMABLE" },
	[HOLDER] = { "NOBODY", "HELD" },
	[REPORTER] = { "NONE", "IDLE", "REQUESTED", "ACTIVE", "AGAIN", "SUSPENDED" },
};

enum caller { BY_INIT, BY_REQUEST, BY_FREE, BY_SPLIT, BY_DRAIN, BY_MARK_BAD, BY_MOVE, BY_REGISTER, BY_UNREGISTER, BY_SUSPEND, BY_RESUME,
	      BY_FLUSH, BY_LEAVE, BY_RANGE, BY_PLUG, BY_QUERY, CALLERS };
static const char *const callers[CALLERS] = { "init", "request", "free", "split", "drain", "mark_bad", "move", "register",
	                                     "unregister", "suspend", "resume", "flush", "leave", "range", "plug", "query" };

static bool seen[LEVELS][SECTIONS][LABELS][LABELS][CALLERS], said[LEVELS][SECTIONS][LABELS][LABELS][CALLERS];

enum { FRAMES_LIMIT = 4096, PAGEBLOCKS_LIMIT = 256, ENTRY_PARTS = 16 };
static struct rig rig;
static struct pfa *watched; /* NULL: nothing is */
static unsigned level;
static enum caller now;
static uint32_t holders[2][PAGEBLOCKS_LIMIT];
static uint8_t bytes[FRAMES_LIMIT], routes[PAGEBLOCKS_LIMIT], types[2][PAGEBLOCKS_LIMIT], entries[FRAMES_LIMIT];

static unsigned byte_label(uint8_t byte)
{
	if (byte & PFAI_STATE_MASK)
		return 6u + (byte >> 5);
	return byte <= 6 ? byte : byte == PFAI_OFFLINE_BAD ? 14 : 15;
}

static void note(enum section section, unsigned from, unsigned to)
{
	/* Requests and pfa_service() may move blocks, too. */
	bool moves = now == BY_MOVE || (now != BY_FREE && pfai_load_relaxed(&watched->st->nr_movers));
	/* One code for both, and what they do to a batch is rare. */
	bool leaves = section != REPORTER && (now == BY_UNREGISTER || now == BY_SUSPEND);
	seen[level][section][from][to][moves ? BY_MOVE : leaves ? BY_LEAVE : now] = true;
}

static void look_at_byte(size_t offset)
{
	uint8_t byte = pfai_load_relaxed(&watched->bytes[offset]);
	if (byte == bytes[offset])
		return;
	/* The same state with another order: only ever a smaller one. */
	if (byte_label(byte) == byte_label(bytes[offset]))
		MUST((byte & PFAI_ORDER_MASK) < (bytes[offset] & PFAI_ORDER_MASK));
	note(BYTE, byte_label(bytes[offset]), byte_label(byte));
	bytes[offset] = byte;
}

static void look_at_route(size_t i)
{
	uint8_t route = pfai_load_relaxed(&watched->routes[i]);
	if ((route & 3) != (routes[i] & 3))
		note(ROUTE, routes[i] & 3, route & 3);
	routes[i] = route;
}

/* What two words say: a released block that a mover has isolated is LEAVING. */
static unsigned entry_label(const struct pfai_entry *e)
{
	uint32_t w = pfai_load_relaxed(&e->lock), isolated = pfai_load_relaxed(&e->refs) & PFAI_REF_ISOLATED;
	if (!(w & PFAI_ENTRY_MOVABLE))
		return 0;
	return (w & PFAI_ENTRY_RELEASED ? 3u : 1u) + (isolated ? 1u : 0u);
}

static void look_at_entry(size_t offset)
{
	unsigned label = entry_label(&watched->table[offset]);
	if (label != entries[offset])
		note(ENTRY, entries[offset], label);
	entries[offset] = (uint8_t)label;
}

void pfai_watch(const volatile void *at, size_t nr);
void pfai_watch(const volatile void *at, size_t nr)
{
	if (!watched)
		return;
	size_t offset = (size_t)((uintptr_t)at - (uintptr_t)watched->bytes);
	size_t route = (size_t)((uintptr_t)at - (uintptr_t)watched->routes);
	for (size_t i = 0; offset < watched->span && i < nr; i++)
		look_at_byte(offset + i);
	if (route <= watched->span >> watched->pb_order)
		look_at_route(route);
	size_t entry = (size_t)((uintptr_t)at - (uintptr_t)watched->table) / sizeof(struct pfai_entry);
	if (watched->table && entry < watched->span)
		look_at_entry(entry);
}

/* Pageblock records are plain memory: looked at whenever their zone is unlocked. */
static void look_at_types(void *ctx, struct pfa *p, unsigned zone)
{
	const struct pfai_zone *z = &p->zones[zone];
	(void)ctx;
	for (size_t i = 0; i < z->nr_pb; i++) {
		const uint32_t holder = z->pb[i].holder;
		MUST(!holder || !holders[zone][i] || holder == holders[zone][i]); /* it is given up first */
		if (holder != holders[zone][i])
			note(HOLDER, holders[zone][i] != 0, holder != 0);
		holders[zone][i] = holder;
		if (z->pb[i].code != types[zone][i])
			note(TYPE, types[zone][i], z->pb[i].code);
		types[zone][i] = z->pb[i].code;
	}
}

static void look_at_reporter(void);

/* After the call: what a store did that was not shown would differ here. */
static void look_at_all(void)
{
	static unsigned turn;
	MUST(memcmp((const void *)(uintptr_t)watched->bytes, bytes, watched->span) == 0);
	/* An entry is looked at for longer than a byte: one of a part of them after each call, all of them in turn. */
	for (size_t i = turn++ % ENTRY_PARTS; watched->table && i < watched->span; i += ENTRY_PARTS)
		MUST_EQ(entry_label(&watched->table[i]), entries[i]);
	MUST(memcmp((const void *)(uintptr_t)watched->routes, routes, (watched->span >> watched->pb_order) + 1) == 0);
	for (unsigned i = 0; i < 2; i++)
		look_at_types(NULL, watched, i);
	look_at_reporter();
}

/* A call under watch: its name's kind, then the call. */
static int result;
#define CALL(by, function, ...)                   \
	do {                                      \
		now = (by);                       \
		result = function(__VA_ARGS__);   \
		look_at_all();                    \
		now = BY_QUERY;                   \
	} while (0)

/* ---- a world ----------------------------------------------------------------------------------------------------- */

static struct rng rng;
static struct {
	pfa_pfn pfn;
	unsigned order;
} live[FRAMES_LIMIT];
static size_t nr_live;
static unsigned nr_bad, nr_guards_off;
static bool guards;

enum { PAGEBLOCK = 64, ZONE_FRAMES = 1024 };
enum { WORLDS = 16, WORLDS_LIMIT = 400 }; /* of each kind: more as long as something that is documented was not seen */

/* Now and then a guard cannot be made accessible again. */
static int guard_op(void *ctx, pfa_pfn pfn, void *ptr, size_t nr_bytes, bool on)
{
	(void)ctx;
	(void)pfn;
	(void)ptr;
	(void)nr_bytes;
	return !on && ++nr_guards_off % 3 == 0 && ++nr_bad < 64 ? PFA_ENOMEM : PFA_OK;
}

static bool without_cpu; /* worlds that take the fast paths */
static bool with_owner;  /* worlds in which blocks move */
static bool with_device; /* worlds in which a device is told of free blocks */
static bool with_ranges; /* worlds in which pageblocks are held, and memory comes and goes */

static void moving_start(void);

static void world_start(unsigned variant)
{
	bool zeroed = variant & 1, full = level == 3 && (variant & 2);
	static const struct pfa_run hole = { 200, 9 }, cma = { ZONE_FRAMES + 512, 128 };
	watched = NULL;
	rig_init(&rig);
	rig_zone(&rig, 0, ZONE_FRAMES - 16)->holes = &hole; /* the zones share no pageblock, and one is cut off */
	rig.zones[0].nr_holes = 1;
	rig.zones[0].highatomic_frames = 256;
	rig_zone(&rig, ZONE_FRAMES, ZONE_FRAMES)->cma = &cma;
	rig.zones[1].nr_cma = 1;
	rig.cfg.hardening = level;
	rig.cfg.flags = (zeroed ? PFA_CONFIG_ZEROED_POOL : 0u) | (with_device ? PFA_CONFIG_REPORTING : 0u);
	/* Without a cpu op the fast paths are taken, level 3's, too. */
	rig_cpu_way = full && without_cpu ? RIG_CPU_NONE : RIG_CPU_OP;
	rig.cfg.nr_cpus = rig_cpu_way == RIG_CPU_NONE ? 1 : 2;
	rig.cfg.cache_high = 6;
	rig.cfg.max_owners = with_owner;
	if (full) {
		rig.pool_kind = RIG_POOL_CONTENT;
		rig.cfg.flags |= PFA_CONFIG_NO_SHADOW;
		rig.cfg.poison = zeroed ? PFA_POISON_ZERO : variant & 4 ? PFA_POISON_LINES : PFA_POISON_NONE;
		rig.cfg.quarantine = variant & 8 ? 0 : 8;
		rig.os.guard = guard_op;
	}
	rig_start(&rig);
	/* Memory of an instance is zero before it is made. */
	memset(bytes, 0, sizeof(bytes));
	memset(routes, 0, sizeof(routes));
	memset(types, 0, sizeof(types));
	memset(entries, 0, sizeof(entries));
	memset(holders, 0, sizeof(holders));
	watched = rig.pfa;
	now = BY_INIT;
	pfai_watch((const void *)(uintptr_t)watched->bytes, watched->span);
	for (size_t i = 0; i <= watched->span >> watched->pb_order; i++)
		look_at_route(i);
	look_at_all();
	now = BY_QUERY;
	pfa_debug_on_unlock(watched, look_at_types, NULL);
	nr_live = nr_bad = 0;
	guards = full;
	if (with_owner)
		moving_start();
}

static void keep(pfa_pfn pfn, unsigned order)
{
	MUST(nr_live < FRAMES_LIMIT);
	live[nr_live].pfn = pfn;
	live[nr_live++].order = order;
}

/* As if an interrupt had come while the locks of the zones were held: nothing can wait. */
static void zones_busy(bool busy)
{
	for (unsigned i = 0; i < 2; i++)
		pfai_store_relaxed(&watched->zones[i].st->lock.word, busy);
}

#include "states_movable.h"
#include "states_ranges.h"

static void step_request(unsigned order)
{
	static const uint32_t extra[] = { 0, 0, PFA_COMPACT, PFA_HIGH, PFA_ZONE(1), PFA_NOWAIT, PFA_NORETRY, PFA_HIGH };
	uint32_t flags = (uint32_t)rng_below(&rng, 3) | extra[rng_below(&rng, 8)];
	struct pfa_run window = { rng_below(&rng, 2 * ZONE_FRAMES), 1 + rng_below(&rng, 300) };
	size_t nr = 1 + rng_below(&rng, (size_t)1 << order);
	pfa_pfn pfn, list[8];
	switch (rng_below(&rng, 8)) {
	case 0:
		CALL(BY_REQUEST, pfa_alloc_window, watched, order, flags, window, &pfn);
		break;
	case 1:
		CALL(BY_REQUEST, pfa_alloc_exact, watched, nr, 0, flags, &pfn);
		for (size_t i = 0; result == PFA_OK && i < nr; i++)
			keep(pfn + i, 0);
		return;
	case 2:
		CALL(BY_REQUEST, pfa_alloc_bulk, watched, order & 3, flags, 8, list, &nr);
		while (nr--)
			keep(list[nr], order & 3);
		return;
	default:
		if (guards && rng_one_in(&rng, 4))
			flags |= PFA_GUARD;
		CALL(BY_REQUEST, pfa_alloc, watched, order, flags, &pfn);
	}
	if (result == PFA_OK)
		keep(pfn, order);
}

static void step_free(bool busy)
{
	if (!nr_live)
		return;
	size_t i = rng_below(&rng, nr_live), nr;
	pfa_pfn pfn = live[i].pfn;
	unsigned order = live[i].order;
	zones_busy(busy);
	switch (rng_below(&rng, 4)) {
	case 0:
		CALL(BY_FREE, pfa_free_range, watched, pfn, (size_t)1 << order);
		break;
	case 1:
		CALL(BY_FREE, pfa_free_bulk, watched, order, 1, &pfn, &nr);
		break;
	default:
		CALL(BY_FREE, pfa_free, watched, pfn, order);
	}
	zones_busy(false);
	MUST(result == PFA_OK || (busy && result == PFA_EBUSY));
	if (result == PFA_OK)
		live[i] = live[--nr_live];
}

/* A run whose second half is not the caller's: claimed, and given up. */
static void step_misuse(void)
{
	if (!nr_live)
		return;
	size_t i = rng_below(&rng, nr_live);
	if (live[i].pfn + 1 - ranges.run < ranges.nr_run)
		return; /* it would count as granted for ever */
	CALL(BY_FREE, pfa_free, watched, live[i].pfn + 1, live[i].order);
	if (result != PFA_EMISUSE) { /* the next block was the caller's, too, and of this order */
		MUST_EQ(result, PFA_OK);
		for (size_t k = 0; k < nr_live; k++)
			if (live[k].pfn == live[i].pfn + 1) {
				live[k] = live[--nr_live];
				return;
			}
		moving_taken(live[i].pfn + 1);
		return;
	}
	CALL(BY_FREE, pfa_free_range, watched, live[i].pfn, FRAMES_LIMIT / 2);
	MUST_EQ(result, PFA_EMISUSE);
}

static void step_split(void)
{
	if (!nr_live)
		return;
	size_t i = rng_below(&rng, nr_live);
	unsigned from = live[i].order, to = (unsigned)rng_below(&rng, from + 1u);
	pfa_pfn pfn = live[i].pfn;
	CALL(BY_SPLIT, pfa_split, watched, pfn, from, to);
	MUST_EQ(result, PFA_OK);
	live[i] = live[--nr_live];
	for (size_t at = 0; at < (size_t)1 << from; at += (size_t)1 << to)
		keep(pfn + at, to);
}

static void step_drain(void)
{
	switch (rng_below(&rng, 4)) {
	case 0:
		CALL(BY_DRAIN, pfa_cache_drain, watched, PFA_ALL_CPUS);
		break;
	case 1:
		CALL(BY_DRAIN, pfa_cache_purge, watched, rng_below(&rng, 2 * ZONE_FRAMES));
		break;
	case 2:
		CALL(BY_DRAIN, pfa_cache_disable, watched);
		step_free(false);
		CALL(BY_DRAIN, pfa_cache_enable, watched);
		break;
	default:
		rig.now_ns += PFA_SERVICE_IDLE_NS;
		CALL(BY_DRAIN, pfa_service, watched, 4, NULL);
		zones_busy(false); /* a device may have made them so */
	}
}

static void step_query(void)
{
	unsigned order;
	CALL(BY_QUERY, pfa_would_succeed, watched, 3, PFA_MOVABLE);
	CALL(BY_QUERY, pfa_largest_free, watched, PFA_MOVABLE, &order);
	if (!watched->report || !watched->report->nr) /* else a batch waits for a zone that was busy: the instance is not at rest */
		rig_check(&rig);
	look_at_all();
}

/* Of any frame, free, cached or allocated. A few a world, so that large blocks remain. */
static void step_mark_bad(void)
{
	if (++nr_bad < 16)
		CALL(BY_MARK_BAD, pfa_mark_bad, watched, rng_below(&rng, 2 * ZONE_FRAMES));
}

/* To a frame that is nobody's: found when it is granted, and its block is bad then. */
static void step_write_after_free(void)
{
	size_t offset = rng_below(&rng, 2 * ZONE_FRAMES);
	unsigned state = pfai_load_relaxed(&watched->bytes[offset]);
	if (rig.pool_kind == RIG_POOL_CONTENT && (state == PFAI_NOTHING || state >= PFAI_CACHED) && ++nr_bad < 16)
		memset((char *)rig.pool + (offset << rig.cfg.frame_shift), 0x11, (size_t)1 << rig.cfg.frame_shift);
}

static unsigned label_of(enum section section, const char *name, const char *line)
{
	for (unsigned i = 0; i < LABELS; i++)
		if (labels[section][i] && strcmp(labels[section][i], name) == 0)
			return i;
	rig_fail(__FILE__, __LINE__, "unknown state %s: %s", name, line);
}

#include "states_report.h"

static void world_end(void)
{
	reporter_stop();
	if (with_ranges)
		ranges_stop();
	if (with_owner)
		moving_stop();
	while (nr_live)
		step_free(false);
	now = BY_DRAIN;
	MUST_EQ(pfa_fini(watched), PFA_OK);
	watched = NULL;
	rig_drop(&rig);
}

#include "states_scenes.h"

static void world_run(unsigned variant, unsigned steps)
{
	world_start(variant);
	if (with_device)
		batch_that_waits();
	for (unsigned i = 0; i < steps; i++) {
		unsigned what = (unsigned)rng_below(&rng, 100), fill = i / 200 % 2 ? 60 : 30;
		unsigned order = (unsigned)rng_below(&rng, rng_one_in(&rng, 3) ? 9 : 3);
		rig.cpu = rng_one_in(&rng, 10) ? 9 : (uint32_t)rng_below(&rng, 2);
		if (with_ranges && (what < 20 || (what >= 74 && what < 78)))
			step_range();
		else if (what < fill && nr_live < FRAMES_LIMIT / 4)
			step_request(order);
		else if (what < 88 && with_owner && what >= 78)
			step_movable();
		else if (what < 88 && with_device && what >= 70)
			step_report();
		else if (what < 88)
			step_free(false);
		else if (what < 90)
			step_free(true);
		else if (what < 92)
			step_split();
		else if (what < 95)
			step_drain();
		else if (what < 97)
			step_misuse();
		else if (what < 98)
			step_query();
		else if (rng_one_in(&rng, 3))
			step_mark_bad();
		else if (rng_one_in(&rng, 3))
			step_write_after_free();
	}
	world_end();
}

/* ---- what the document says -------------------------------------------------------------------------------------- */

/* | `FROM` | `TO` | caller caller | first level - last level | how | */
static void read_row(enum section section, const char *line)
{
	char from[40], to[40], by[80];
	unsigned first, last;
	if (sscanf(line, "| `%39[A-Z_]` | `%39[A-Z_]` | %79[a-z_ ] | %u-%u |", from, to, by, &first, &last) != 5 || first < 1 ||
	    last > 3)
		rig_fail(__FILE__, __LINE__, "not a row of transitions: %s", line);
	unsigned a = label_of(section, from, line), b = label_of(section, to, line);
	for (char *name = strtok(by, " "); name; name = strtok(NULL, " ")) {
		unsigned who = 0;
		while (who < CALLERS && strcmp(callers[who], name) != 0)
			who++;
		if (who == CALLERS)
			rig_fail(__FILE__, __LINE__, "unknown caller %s: %s", name, line);
		for (unsigned i = first; i <= last; i++)
			said[i][section][a][b][who] = true;
	}
}

static void read_document(const char *path)
{
	char line[1000];
	enum section section = SECTIONS;
	FILE *f = fopen(path, "r");
	if (!f)
		rig_fail(__FILE__, __LINE__, "cannot read %s", path);
	while (fgets(line, sizeof(line), f)) {
		for (unsigned i = 0; i < SECTIONS; i++)
			if (strncmp(line, headings[i], strlen(headings[i])) == 0)
				section = (enum section)i;
		if (section != SECTIONS && strncmp(line, "| `", 3) == 0)
			read_row(section, line);
		else if (section == REPORTER)
			read_answers(line);
	}
	fclose(f);
}

/* What a move does to other frames than those that are MOVABLE is what requests, frees and drains do: their rows. What memory that goes and
 * comes does is what ranges do, too. */
static bool is_others(unsigned l, enum section section, unsigned from, unsigned to, enum caller by)
{
	if (by == BY_PLUG)
		return said[l][section][from][to][BY_RANGE];
	if (by != BY_MOVE)
		return false;
	bool any = false;
	for (unsigned who = 0; who < CALLERS; who++)
		any |= said[l][section][from][to][who];
	return any && section != ENTRY && !(section == BYTE && (from == LABEL_MOVABLE || to == LABEL_MOVABLE));
}

/* Is anything that the document has for this level still to be seen? */
static bool is_missing(void)
{
	const bool *want = &said[level][0][0][0][0], *have = &seen[level][0][0][0][0];
	for (size_t i = 0; i < sizeof(said[level]); i++)
		if (want[i] && !have[i])
			return true;
	return false;
}

static unsigned compare(void)
{
	unsigned nr = 0, differences = 0;
	for (unsigned l = 1; l <= PFA_HARDENING; l++)
		for (unsigned s = 0; s < SECTIONS; s++)
			for (unsigned i = 0; i < LABELS * LABELS * CALLERS; i++) {
				unsigned from = i / CALLERS / LABELS, to = i / CALLERS % LABELS, by = i % CALLERS;
				bool was = seen[l][s][from][to][by], is_said = said[l][s][from][to][by];
				if (was && !is_said && is_others(l, (enum section)s, from, to, (enum caller)by))
					continue;
				nr += was && is_said;
				differences += was != is_said;
				if (was != is_said)
					fprintf(stderr, "%s: | `%s` | `%s` | %s | level %u: %s\n", headings[s], labels[s][from],
					        labels[s][to], callers[by], l,
					        was ? "happens, and is not in the document" : "is in the document, and never happened");
			}
	printf("%u transitions seen and documented, at levels 1..%d\n", nr, PFA_HARDENING);
	return differences;
}

/* One of each kind, in all ways to configure it after 16. */
static void worlds(unsigned variant)
{
	enum kind { PLAIN, WITHOUT_CPU, OWNER, DEVICE, RANGES, KINDS };
	for (unsigned kind = PLAIN; kind < KINDS; kind++) {
		if (kind == WITHOUT_CPU && level < 3)
			continue;
		without_cpu = kind == WITHOUT_CPU;
		with_owner = kind == OWNER || (kind == RANGES && variant % 3 == 0);
		with_device = kind == DEVICE;
		with_ranges = kind == RANGES;
		rng.state = 1000 * kind + variant;
		world_run(variant, 4000);
	}
	without_cpu = with_owner = with_device = with_ranges = false;
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc == 2 ? stdout : stderr,
		        "usage: test_states lib/docs/states.md\n"
		        "Compares the transitions that happen with the tables of the document; exit code 1 if they differ.\n");
		return argc == 2 ? 0 : 2;
	}
	read_document(argv[1]);
	for (level = 1; level <= PFA_HARDENING; level++) {
		scenes();
		for (unsigned i = 0; i < WORLDS || (i < WORLDS_LIMIT && is_missing()); i++)
			worlds(i);
	}
	return compare() + compare_answers() ? 1 : 0;
}
