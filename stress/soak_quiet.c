/* SPDX-License-Identifier: MIT
 *
 * What can be judged exactly: while every worker is parked, and when a round has given everything back.
 */
#include "soak_ranges.h"

#include <pfa/movable.h>

#include <stdlib.h>
#include <string.h>

static void quiet_violation(const char *when)
{
	struct pfa_violation v;
	struct soak_record *record;
	int rc;
	memset(&v, 0, sizeof(v));
	record = soak_record(soak_self, SOAK_OP_check, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, 0, 0);
	rc = pfa_check(soak.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v);
	soak_recorded(record, rc);
	if (rc != PFA_OK)
		soak_fail("check", "%s: %s: %s (I%u) in zone %u at pfn %zu: expected %zu, actual %zu", when,
		          pfa_error_name(rc), v.what ? v.what : "-", v.invariant, v.zone, v.pfn, v.expected, v.actual);
	soak_count(&soak_tally(soak_self)->checks, 1);
}

static void quiet_zone_stats(unsigned zone, struct pfa_zone_stats *out)
{
	soak_expect(soak_self, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, zone, out, sizeof(*out)), PFA_OK);
	soak_conservation(out, zone);
}

/* ---- what the threads hold -------------------------------------------------------------------------------------- */

static void quiet_add(const struct soak_grant *grant, size_t sums[SOAK_ZONES_MAX])
{
	soak_verify(soak_self, grant);
	sums[soak.attr[grant->first - soak.geo.base] & ~SOAK_IN_CMA] += grant->nr;
}

/* Frames of the zone that are in allocated blocks and not in the shadow: each block must be a movable one. */
static size_t quiet_hidden(unsigned zone)
{
	size_t nr = 0;
	for (size_t rel = 0; rel < soak.geo.span; rel++) {
		pfa_pfn pfn = soak.geo.base + rel;
		struct pfa_frame_info info;
		struct pfa_movable_info movable;
		if (soak.attr[rel] == SOAK_ABSENT || soak_zone_of(pfn) != zone || soak_shadow_tag(pfn))
			continue;
		soak_expect(soak_self, "pfa_frame_info", pfa_frame_info(soak.pfa, pfn, &info), PFA_OK);
		if (info.state != PFA_FRAME_HEAD)
			continue;
		soak_expect(soak_self, "pfa_movable_info of a block that is nobody's in the shadow",
		            pfa_movable_info(soak.pfa, pfn, &movable), PFA_OK);
		nr += (size_t)1 << info.order;
	}
	return nr;
}

/* What owners have, by their own account, is what the library counts as movable. */
static void quiet_owners(const struct soak_owned *owned)
{
	struct pfa_stats instance;
	size_t movable = 0, isolated = 0;
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats stats;
		quiet_zone_stats(z, &stats);
		movable += stats.movable;
		isolated += stats.isolated;
	}
	soak_expect(soak_self, "pfa_stats_get", pfa_stats_get(soak.pfa, &instance, sizeof(instance)), PFA_OK);
	for (unsigned s = 0; s < soak.nr_slots; s++)
		if (soak.slots[s].nr_nonsense != soak.slots[s].nr_nonsense_told)
			soak_fail("owners", "thread %u's ops said %u times what no op may say, and it was told %u times", s,
			          soak.slots[s].nr_nonsense, soak.slots[s].nr_nonsense_told);
	if (movable != owned->movable || isolated || instance.nr_owners != owned->owners)
		soak_fail("owners", "%zu frames of %zu owners: the library counts %zu movable, %zu isolated, %zu owners",
		          owned->movable, owned->owners, movable, isolated, instance.nr_owners);
}

/* Every grant is intact, and grants, shadow and the library's count agree. */
static void quiet_sums(void)
{
	struct soak_owned owned = {.hidden = 0};
	size_t *sums = owned.tracked, hidden = 0;
	for (unsigned s = 0; s < soak.nr_slots; s++)
		for (unsigned a = 0; a < soak_nr_actors; a++)
			for (unsigned i = 0; i < soak.slots[s].bags[a].nr; i++)
				quiet_add(&soak.slots[s].bags[a].grants[i], sums);
	for (unsigned w = 0; w < soak.nr_workers; w++)
		for (unsigned i = 0; i < soak.mail[w].nr; i++)
			quiet_add(&soak.mail[w].grants[i], sums);
	for (unsigned a = 0; a < soak_nr_actors; a++)
		if (soak_actors[a]->owned)
			soak_actors[a]->owned(soak_self, &owned);
	quiet_owners(&owned);
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats stats;
		size_t shadow = soak_shadow_count(z), unknown = owned.hidden ? quiet_hidden(z) : 0;
		hidden += unknown;
		quiet_zone_stats(z, &stats);
		if (soak_canary(SOAK_CANARY_sum))
			stats.allocated++;
		sums[z] += atomic_load(&soak.nr_guards[z]);
		if (shadow != sums[z])
			soak_fail("leak", "zone %u: %zu frames are held or guard one that is, the shadow knows %zu", z,
			          sums[z], shadow);
		if (shadow + unknown != stats.allocated)
			soak_fail("sum",
			          "zone %u: %zu frames are owned, and %zu by owners that do not say which; the library "
			          "counts %zu as allocated",
			          z, shadow, unknown, stats.allocated);
	}
	if (hidden != owned.hidden)
		soak_fail("owners", "owners have %zu frames, and %zu are found", owned.hidden, hidden);
}

/* The library's view of single frames against the shadow. */
static void quiet_frames(struct soak_slot *slot)
{
	uint32_t nr = soak.geo.span < 512 ? (uint32_t)soak.geo.span : 512;
	for (uint32_t i = 0; i < nr; i++) {
		size_t rel = soak_below(&slot->rng, (uint32_t)soak.geo.span);
		uint32_t owner = atomic_load_explicit(&soak.shadow[rel], memory_order_relaxed);
		bool guards = owner >> 20 == SOAK_GUARD_ID, owned = owner != 0;
		struct pfa_movable_info movable;
		bool absent = soak.attr[rel] == SOAK_ABSENT;
		struct pfa_frame_info info;
		if (soak_marked(soak.geo.base + rel, 1, SOAK_MARK_AWAY)) /* actor_hotplug.c looks at them all */
			continue;
		soak_expect(slot, "pfa_frame_info", pfa_frame_info(soak.pfa, soak.geo.base + rel, &info), PFA_OK);
		if (absent   ? info.state != PFA_FRAME_ABSENT
		    : guards ? info.state != PFA_FRAME_GUARD
		    : owned  ? info.state != PFA_FRAME_HEAD && info.state != PFA_FRAME_TAIL
		             : info.state != PFA_FRAME_FREE && info.state != PFA_FRAME_CACHED &&
		                       info.state != PFA_FRAME_QUARANTINE && info.state != PFA_FRAME_TAIL &&
		                       pfa_movable_info(soak.pfa, soak.geo.base + rel, &movable) != PFA_OK)
			soak_fail("shadow", "frame %zu is %s, and the library says state %d", soak.geo.base + rel,
			          absent   ? "absent"
			          : guards ? "a guard"
			          : owned  ? "owned"
			                   : "not owned",
			          (int)info.state);
	}
}

/* ---- what must succeed, and what must not ----------------------------------------------------------------------- */

/* With nobody else at work, the queries are no hints: what they promise is given, and nothing larger. */
static void quiet_liveness_query(struct soak_slot *slot, uint32_t flags)
{
	unsigned largest = 0, order;
	struct soak_grant grant;
	int rc = pfa_largest_free(soak.pfa, flags, &largest);
	order = rc == PFA_OK ? largest + 1 : 0;
	if (rc != PFA_OK)
		soak_expect(slot, "pfa_largest_free", rc, PFA_ENOMEM);
	if (order <= soak.geo.config.max_order) {
		soak_expect(slot, "pfa_would_succeed of more than the largest",
		            pfa_would_succeed(soak.pfa, order, flags), PFA_ENOMEM);
		if (soak_take(slot, order, flags | PFA_NORETRY, &grant))
			soak_fail("liveness",
			          "pfa_largest_free says %s, order %u, and order %u was granted (flags %#x)",
			          pfa_error_name(rc), largest, order, flags);
	}
	if (rc != PFA_OK)
		return;
	soak_expect(slot, "pfa_would_succeed of the largest", pfa_would_succeed(soak.pfa, largest, flags), PFA_OK);
	if (!soak_take(slot, largest, flags, &grant))
		soak_fail("liveness", "order %u should have been granted (flags %#x)", largest, flags);
	soak_give(slot, grant);
}

/* Frames of a zone that a plain MOVABLE order-0 request may count on: it empties caches and quarantines before it fails. */
static bool quiet_movable_fits(unsigned zone)
{
	struct pfa_zone_stats s;
	quiet_zone_stats(zone, &s);
	return s.free + s.cached + s.quarantined > s.free_highatomic + s.mark_min;
}

static void quiet_liveness_zone(struct soak_slot *slot, unsigned zone)
{
	struct soak_grant grant;
	bool fits = quiet_movable_fits(zone);
	bool granted = soak_take(slot, 0, PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone), &grant);
	if (granted)
		soak_give(slot, grant);
	if (soak_canary(SOAK_CANARY_liveness))
		granted = false;
	if (fits && !granted)
		soak_fail("liveness", "zone %u has a frame above its marks, and refuses a MOVABLE one", zone);
}

/*
 * The watermarks, decision by decision: a request past the caches (with a window), for this zone only, that may
 * neither drain nor take from the reserve, against the signed predicate on the exact counters of the instant before.
 */
static bool quiet_predicate(unsigned zone, unsigned order, uint32_t flags)
{
	struct pfa_zone_stats s;
	intptr_t room;
	soak_expect(soak_self, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, zone, &s, sizeof(s)), PFA_OK);
	room = (intptr_t)s.free - (intptr_t)(flags & PFA_HIGH ? s.mark_min / 2 : s.mark_min);
	if (!(flags & PFA_HIGH))
		room -= (intptr_t)s.free_highatomic;
	if ((flags & PFA_TYPE_MASK) != PFA_MOVABLE)
		room -= (intptr_t)s.free_cma;
	/* a wrong answer is always seen for single frames only */
	return (room >= (intptr_t)1 << order) != (order == 0 && soak_canary(SOAK_CANARY_marks));
}

#define QUIET_MARKS 300u

/* Takes until the marks say no, in ever smaller blocks, and gives it all back. */
static void quiet_marks(struct soak_slot *slot, unsigned zone)
{
	static struct soak_grant grants[QUIET_MARKS];
	const struct pfa_run window = {soak.geo.zones[zone].start, soak.geo.zones[zone].nr_frames};
	uint32_t flags = soak_below(&slot->rng, 3) | PFA_EXACT_ZONE | PFA_ZONE(zone) | PFA_NORETRY;
	unsigned order = soak.geo.config.max_order, nr = 0, refused = 0;
	if (soak_chance(&slot->rng, 25))
		flags |= PFA_HIGH;
	while (nr < QUIET_MARKS && refused < 3) {
		bool room = quiet_predicate(zone, order, flags);
		bool granted = soak_take_window(slot, order, flags, window, &grants[nr]);
		/* an order above 0 may lack a block though there is room */
		if (granted ? !room : room && order == 0)
			soak_fail("marks", "zone %u, order %u, flags %#x: %s, and the marks say %s", zone, order, flags,
			          granted ? "granted" : "refused", room ? "yes" : "no");
		nr += granted;
		if (!granted && order)
			order--;
		else if (!granted)
			refused++;
	}
	quiet_liveness_zone(slot, zone); /* what is left may be in the caches of other cpus only */
	while (nr)
		soak_give(slot, grants[--nr]);
}

/* The canary of the checker: one wrong bit in the map of what is free. */
static void quiet_corrupt(void *ctx, const char *name, const void *start, size_t bytes)
{
	bool *done = ctx;
	if (*done || strcmp(name, "not_free") != 0)
		return;
	((unsigned char *)(uintptr_t)start)[bytes / 2] ^= 1;
	*done = true;
}

void soak_quiet_check(void)
{
	struct soak_slot *slot = soak_self;
	slot->actor = 0;
	soak_recorded(soak_record(slot, SOAK_OP_phase, 1, 0, 0), PFA_OK);
	if (soak_canary(SOAK_CANARY_check)) {
		bool done = false;
		pfa_debug_regions(soak.pfa, quiet_corrupt, &done);
	}
	quiet_violation("at rest");
	quiet_sums();
	quiet_frames(slot);
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++)
		quiet_liveness_zone(slot, z);
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++)
		quiet_marks(slot, z);
	if (soak.geo.cpu_mode != SOAK_CPU_RSEQ)
		for (unsigned i = 0; i < 6; i++)
			quiet_liveness_query(slot, soak_flags(slot) & ~(uint32_t)(PFA_NORETRY | PFA_COMPACT)); /* that makes larger ones */
	for (unsigned a = 0; a < soak_nr_actors; a++) {
		slot->actor = a;
		if (soak_actors[a]->quiet)
			soak_actors[a]->quiet(slot);
	}
	slot->actor = 0;
	soak_marks_renew();
	quiet_violation("after the trials at rest");
	quiet_sums();
	atomic_fetch_add_explicit(&soak.nr_quiesced, 1, memory_order_relaxed);
}

/* ---- the end of a round ----------------------------------------------------------------------------------------- */

#define QUIET_TEXT 16384u

struct quiet_text {
	char bytes[QUIET_TEXT];
	size_t nr;
};

static struct quiet_text quiet_start, quiet_end;

static void quiet_write(void *ctx, const char *bytes, size_t nr)
{
	struct quiet_text *text = ctx;
	if (nr > sizeof(text->bytes) - text->nr)
		soak_fail("result", "pfa_print wrote more than %u bytes", QUIET_TEXT);
	memcpy(text->bytes + text->nr, bytes, nr);
	text->nr += nr;
}

static void quiet_census(struct quiet_text *text)
{
	text->nr = 0;
	soak_expect(soak_self, "pfa_print", pfa_print(soak.pfa, PFA_PRINT_BUDDYINFO, quiet_write, text), PFA_OK);
}

void soak_start_census(void)
{
	quiet_violation("at the start");
	quiet_census(&quiet_start);
}

/* A plain request that fails gives up the HIGHATOMIC reserve: takes all that there is, and gives it back. */
static void quiet_unreserve(struct soak_slot *slot, unsigned zone)
{
	struct soak_grant *grants = calloc(soak.geo.span, sizeof(*grants));
	struct pfa_zone_stats stats;
	size_t nr = 0;
	if (!grants)
		exit(2);
	while (soak_take(slot, 0, PFA_UNMOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone), &grants[nr]))
		nr++;
	while (nr)
		soak_give(slot, grants[--nr]);
	free(grants);
	quiet_zone_stats(zone, &stats);
	if (stats.reserved_highatomic)
		soak_fail("coalesce", "zone %u keeps %zu frames in reserve after a request failed for want of them",
		          zone, stats.reserved_highatomic);
}

static void quiet_must_coalesce(struct soak_slot *slot)
{
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		quiet_zone_stats(z, &s);
		if (s.reserved_highatomic)
			quiet_unreserve(slot, z);
	}
	soak_expect(slot, "pfa_cache_drain", pfa_cache_drain(soak.pfa, PFA_ALL_CPUS), PFA_OK);
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		quiet_zone_stats(z, &s);
		if (s.free != s.present)
			soak_fail("sum", "zone %u at the end: %zu of %zu frames are free, %zu cached, %zu quarantined, %zu "
			          "allocated", z,
			          s.free, s.present, s.cached, s.quarantined, s.allocated);
	}
	quiet_census(&quiet_end);
	if (soak_canary(SOAK_CANARY_coalesce))
		quiet_end.bytes[quiet_end.nr - 2] ^= 1;
	if (quiet_start.nr != quiet_end.nr || memcmp(quiet_start.bytes, quiet_end.bytes, quiet_end.nr) != 0)
		soak_fail("coalesce",
		          "everything is free again, but not in the blocks of the start:\n%.*s    now:\n%.*s",
		          (int)quiet_start.nr, quiet_start.bytes, (int)quiet_end.nr, quiet_end.bytes);
}

/* All workers have ended: what is in the mailboxes goes back, and the instance must be as at its start. */
void soak_end_check(void)
{
	struct soak_slot *slot = soak_self;
	struct soak_grant grant;
	int rc;
	slot->actor = 0;
	soak_recorded(soak_record(slot, SOAK_OP_phase, 2, 0, 0), PFA_OK);
	for (unsigned w = 0; w < soak.nr_workers; w++)
		while (soak.mail[w].nr)
			soak_give(slot, soak.mail[w].grants[--soak.mail[w].nr]);
	quiet_sums();
	if (soak_take(slot, 0, PFA_MOVABLE, &grant)) {
		size_t lines = atomic_load(&soak.nr_log_lines);
		soak_expect(slot, "pfa_fini while a block is held", pfa_fini(soak.pfa), PFA_EBUSY);
		if (atomic_load(&soak.nr_log_lines) == lines)
			soak_fail("result", "pfa_fini refused, and did not say what lives");
		if (soak_canary(SOAK_CANARY_fini))
			soak_expect(slot, "pfa_fini", pfa_fini(soak.pfa), PFA_OK);
		soak_give(slot, grant);
	}
	quiet_must_coalesce(slot);
	quiet_violation("at the end");
	soak_expect(slot, "pfa_posix_fork_forget", pfa_posix_fork_forget(soak.pfa), PFA_OK);
	rc = pfa_fini(soak.pfa);
	soak_recorded(soak_record(slot, SOAK_OP_fini, 0, 0, 0), rc);
	soak_expect(slot, "pfa_fini when all is free", rc, PFA_OK);
}
