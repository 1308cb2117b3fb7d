/* SPDX-License-Identifier: MIT
 *
 * CMA areas: those of the geometry and some that come and go, all of them shared by all threads. Runs are taken from them and given
 * back in parts, and anybody tries to end any area at any time, while the other actors' movable requests borrow what is free.
 *
 * What is judged while others work: a run lies in the area that it was asked of; an area that runs are granted of is found, and
 * takes them back; areas do not overlap; only one call ends an area, and only that area's calls are told that there is none; what an
 * area has is granted to nobody who is not movable (soak_shadow.c, by the marks). At rest an area's own account is exact, a free frame
 * of it can be had, and every frame is found in its area or in none.
 */
#include "soak_ranges.h"

#include <pfa/cma.h>

#include <string.h>

#define CMA_PLACES (SOAK_ZONES_MAX + PFA_CMA_MORE) /* the geometry's first */
/* After 256 areas in one place a handle means another one: so no area is begun while a call is at work that is older than this many. */
#define CMA_STALE 200u
#define CMA_FLIGHTS (2u * SOAK_THREADS_MAX + 1u) /* slots at most */

/* Guard: cma_mutex, which is not held over calls. */
struct cma_area {
	bool used;  /* it is being made, lives, or is being ended */
	bool live;  /* no call has ended it yet */
	bool fixed; /* the geometry's */
	unsigned enders; /* calls that are trying to end it; its marks are off meanwhile */
	pfa_cma handle;
	struct pfa_run run;
	size_t allocs;
};

static struct cma_area cma_areas[CMA_PLACES];
static unsigned cma_begun, cma_ending; /* calls that may make an area, or end one, so far */
static unsigned cma_flights[CMA_FLIGHTS]; /* of each thread: cma_begun + 1 as its call began to look at areas; 0: it is at none */
static pthread_mutex_t cma_mutex = PTHREAD_MUTEX_INITIALIZER;

/* An area as a call found it. */
struct cma_sight {
	struct cma_area *area;
	pfa_cma handle;
	struct pfa_run run;
	unsigned ending;
	bool ends; /* somebody is about to end it */
};

static bool cma_see(struct soak_slot *slot, bool fixed, struct cma_sight *s)
{
	unsigned nr = 0;
	pthread_mutex_lock(&cma_mutex);
	for (unsigned i = 0; i < CMA_PLACES; i++) {
		struct cma_area *a = &cma_areas[i];
		if (a->used && a->live && (fixed || !a->fixed) && soak_below(&slot->rng, ++nr) == 0)
			*s = (struct cma_sight){a, a->handle, a->run, cma_ending, a->enders != 0};
	}
	cma_flights[slot->id] = nr ? cma_begun + 1 : 0;
	pthread_mutex_unlock(&cma_mutex);
	return nr != 0;
}

/* What was seen is not used any more. */
static void cma_seen(struct soak_slot *slot)
{
	pthread_mutex_lock(&cma_mutex);
	cma_flights[slot->id] = 0;
	pthread_mutex_unlock(&cma_mutex);
}

/* May a call for it have been told that there is no such area? */
static bool cma_may_be_gone(const struct cma_sight *s)
{
	bool gone;
	pthread_mutex_lock(&cma_mutex);
	gone = s->ends || (!s->area->fixed && cma_ending != s->ending);
	pthread_mutex_unlock(&cma_mutex);
	return gone;
}

/* ---- areas that come and go ------------------------------------------------------------------------------------- */

static bool cma_runs_meet(const struct pfa_run *a, const struct pfa_run *b)
{
	return a->first < b->first + b->nr_frames && b->first < a->first + a->nr_frames;
}

/* A place for an area of this run; *meets: it has frames of others that were there before; *others: areas are being made or ended. */
static struct cma_area *cma_reserve(const struct pfa_run *run, bool *meets, bool *others, unsigned *begun)
{
	struct cma_area *place = NULL;
	bool waits = false;
	pthread_mutex_lock(&cma_mutex);
	*meets = *others = false;
	for (unsigned i = 0; i < CMA_FLIGHTS; i++)
		waits = waits || (cma_flights[i] && cma_begun + 1 - cma_flights[i] >= CMA_STALE);
	for (unsigned i = 0; i < CMA_PLACES; i++) {
		struct cma_area *a = &cma_areas[i];
		*others = *others || (a->used && !a->live);
		*meets = *meets || (a->used && cma_runs_meet(&a->run, run));
		if (!place && !waits && !a->used && i >= SOAK_ZONES_MAX)
			place = a;
	}
	if (place)
		*place = (struct cma_area){.used = true, .run = *run};
	cma_begun += place != NULL;
	*begun = cma_begun;
	pthread_mutex_unlock(&cma_mutex);
	return place;
}

static void cma_judge_create(const struct soak_range *r, uint32_t flags, int rc, struct pfa_blocker why, bool meets, bool others, unsigned begun)
{
	if (rc == PFA_ENOMEM && why.reason == PFA_BLOCKER_NONE) {
		/* There is a place, since this actor has one for it; but while it is looked for other calls may take it and leave another. */
		pthread_mutex_lock(&cma_mutex);
		others = others || cma_begun != begun;
		pthread_mutex_unlock(&cma_mutex);
		if (!others)
			soak_fail("cma", "[%zu, %zu) became no area for want of a place, and no other call makes one", r->start, r->end);
		return;
	}
	if (rc == PFA_EBUSY && why.reason == PFA_BLOCKER_TYPE) {
		pthread_mutex_lock(&cma_mutex);
		meets = meets || cma_begun != begun;
		pthread_mutex_unlock(&cma_mutex);
		if (!meets)
			soak_fail("cma", "[%zu, %zu) is said to be in an area, and is in none", r->start, r->end);
		return;
	}
	soak_judge_range("pfa_cma_create", r, flags, rc, why);
}

/* Whole pageblocks, in a zone or not. */
static bool cma_pick(struct soak_slot *slot, struct soak_range *out)
{
	const pfa_pfn pb = (pfa_pfn)1 << soak.geo.config.pageblock_order, end = soak.geo.base + soak.geo.span;
	struct soak_range r = soak_range_pick(slot, 1);
	pfa_pfn start = soak_floor(r.start), nr = pb * (1 + soak_below(&slot->rng, 3));
	if (start < soak.geo.base)
		start += pb;
	while (nr && start + nr > end)
		nr -= pb;
	if (nr)
		*out = soak_range_of(start, start + nr);
	return nr != 0;
}

static void cma_create(struct soak_slot *slot)
{
	uint32_t flags = soak_chance(&slot->rng, 25) ? PFA_NOMIGRATE : soak_chance(&slot->rng, 10) ? PFA_NOWAIT : 0;
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record;
	struct soak_range r;
	struct cma_area *a;
	struct pfa_run run;
	pfa_cma handle = 0;
	unsigned begun;
	bool meets, others;
	int rc;
	if (!cma_pick(slot, &r))
		return;
	run = (struct pfa_run){r.start, r.end - r.start};
	a = cma_reserve(&run, &meets, &others, &begun);
	if (!a)
		return;
	soak_mark(run.first, run.nr_frames, SOAK_MARK_MAYBE_AREA, true);
	record = soak_record(slot, SOAK_OP_cma_create, run.first, run.nr_frames, flags);
	soak_may_move(slot, true);
	rc = pfa_cma_create(soak.pfa, run.first, run.nr_frames, flags, &handle, &why);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	cma_judge_create(&r, flags, rc, why, meets, others, begun);
	if (rc == PFA_OK) {
		bool reserved = soak_marked(run.first, run.nr_frames, SOAK_MARK_AREA) != 0;
		for (size_t i = 0; i < run.nr_frames; i++)
			reserved = reserved || (soak.attr[run.first + i - soak.geo.base] & SOAK_IN_CMA);
		if (reserved)
			soak_fail("cma", "[%zu, %zu) became an area, and has frames of another one", r.start, r.end);
		soak_mark(run.first, run.nr_frames, SOAK_MARK_AREA, true);
	}
	pthread_mutex_lock(&cma_mutex);
	a->handle = handle;
	a->used = a->live = rc == PFA_OK;
	pthread_mutex_unlock(&cma_mutex);
}

/* Begins to end the area that was seen, if it is still that; its marks are off from now on. */
static bool cma_enders_begin(const struct cma_sight *s)
{
	bool here;
	pthread_mutex_lock(&cma_mutex);
	here = s->area->used && s->area->live && s->area->handle == s->handle;
	if (here && s->area->enders++ == 0)
		soak_mark(s->run.first, s->run.nr_frames, SOAK_MARK_AREA, false);
	cma_ending += here;
	pthread_mutex_unlock(&cma_mutex);
	return here;
}

static void cma_enders_end(const struct cma_sight *s, int rc)
{
	struct cma_area *a = s->area;
	bool twice, none;
	pthread_mutex_lock(&cma_mutex);
	twice = rc == PFA_OK && !a->live;
	none = rc == PFA_EINVAL && a->live && a->enders == 1;
	if (rc == PFA_OK)
		a->live = false;
	if (--a->enders == 0) {
		if (a->live)
			soak_mark(s->run.first, s->run.nr_frames, SOAK_MARK_AREA, true);
		else
			a->used = false;
	}
	pthread_mutex_unlock(&cma_mutex);
	if (twice || none)
		soak_fail("cma", "area %#x: %s, and %s", s->handle, twice ? "ended twice" : "it is said that there is none",
		          twice ? "no other was made there" : "nobody has ended it");
}

static void cma_destroy(struct soak_slot *slot, const struct cma_sight *s)
{
	struct soak_record *record;
	int rc;
	if (!cma_enders_begin(s))
		return;
	record = soak_record(slot, SOAK_OP_cma_destroy, s->handle, 0, 0);
	rc = pfa_cma_destroy(soak.pfa, s->handle);
	soak_recorded(record, rc);
	if (rc != PFA_OK && rc != PFA_EBUSY && rc != PFA_EINVAL)
		soak_fail("result", "pfa_cma_destroy of area %#x returned %s", s->handle, pfa_error_name(rc));
	cma_enders_end(s, rc);
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

static void cma_judge_alloc(const struct cma_sight *s, uint32_t nr, uint32_t flags, int rc)
{
	bool fits = rc == PFA_OK || rc == PFA_ENOMEM || (rc == PFA_EAGAIN && (flags & (PFA_NOMIGRATE | PFA_NOWAIT))) ||
	            (rc == PFA_EBUSY && !(flags & PFA_NOWAIT)) || (rc == PFA_EINVAL && cma_may_be_gone(s));
	if (!fits)
		soak_fail("cma", "pfa_cma_alloc of %u frames from area %#x, flags %#x: %s", nr, s->handle, flags, pfa_error_name(rc));
}

static void cma_alloc(struct soak_slot *slot, const struct cma_sight *s)
{
	const uint32_t most = soak_chance(&slot->rng, 80) && s->run.nr_frames > 40 ? 40 : (uint32_t)s->run.nr_frames;
	struct soak_grant grant = {.nr = 1 + soak_below(&slot->rng, most), .order = 0};
	const uint32_t align = 1u << soak_below(&slot->rng, 8);
	uint32_t flags = (soak_chance(&slot->rng, 20) ? PFA_NOMIGRATE : 0) | (soak_chance(&slot->rng, 15) ? PFA_NOWAIT : 0) |
	                 (soak_chance(&slot->rng, 15) ? PFA_ZERO : 0);
	struct soak_record *record = soak_record(slot, SOAK_OP_cma_alloc, s->handle, grant.nr, flags);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_cma_alloc(soak.pfa, s->handle, grant.nr, align, flags, &grant.first);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	cma_judge_alloc(s, grant.nr, flags, rc);
	if (rc != PFA_OK)
		return;
	soak_granted(slot, &grant, (flags & PFA_ZERO) | PFA_MOVABLE, 0);
	soak_bag_put(slot, grant);
	if (grant.first & (align - 1) || grant.first < s->run.first || grant.first + grant.nr > s->run.first + s->run.nr_frames)
		soak_fail("cma", "%u frames at %zu, aligned to %u, are none of area %#x, [%zu, %zu)", grant.nr, grant.first, align,
		          s->handle, s->run.first, s->run.first + s->run.nr_frames);
}

/* The area of a frame that was granted by one, so that nobody can end it. */
static pfa_cma cma_of(struct soak_slot *slot, pfa_pfn pfn)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_cma_find, pfn, 0, 0);
	pfa_cma handle = 0;
	int rc = pfa_cma_find(soak.pfa, pfn, &handle);
	bool known = false;
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_cma_find of a frame that an area gave", rc, PFA_OK);
	pthread_mutex_lock(&cma_mutex);
	for (unsigned i = 0; i < CMA_PLACES; i++)
		known = known || (cma_areas[i].used && cma_areas[i].live && cma_areas[i].handle == handle &&
		                  pfn - cma_areas[i].run.first < cma_areas[i].run.nr_frames);
	pthread_mutex_unlock(&cma_mutex);
	if (!known)
		soak_fail("cma", "frame %zu is said to be in area %#x, which is none that has it", pfn, handle);
	return handle;
}

/* A run, whole or in two parts. */
static void cma_release(struct soak_slot *slot)
{
	struct soak_grant grant = soak_bag_take(slot);
	while (grant.nr) {
		uint32_t part = soak_chance(&slot->rng, 70) ? grant.nr : 1 + soak_below(&slot->rng, grant.nr);
		pfa_cma handle = cma_of(slot, grant.first);
		struct soak_record *record = soak_record(slot, SOAK_OP_cma_release, handle, grant.first, part);
		int rc;
		soak_release(slot, grant.first, part, grant.tag);
		rc = pfa_cma_release(soak.pfa, handle, grant.first, part);
		soak_recorded(record, rc);
		soak_expect(slot, "pfa_cma_release of what an area gave", rc, PFA_OK);
		grant.first += part;
		grant.nr -= part;
	}
	soak_count(&soak_tally(slot)->frees, 1);
}

/* ---- the area's own account ------------------------------------------------------------------------------------- */

static bool cma_account(struct soak_slot *slot, const struct cma_sight *s, struct pfa_cma_stats *out)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_cma_stats, s->handle, 0, 0);
	int rc;
	*out = (struct pfa_cma_stats){.size = sizeof(*out)};
	rc = pfa_cma_stats(soak.pfa, s->handle, out);
	soak_recorded(record, rc);
	if (rc == PFA_EINVAL && cma_may_be_gone(s))
		return false;
	soak_expect(slot, "pfa_cma_stats", rc, PFA_OK);
	if (out->run.first != s->run.first || out->run.nr_frames != s->run.nr_frames || out->zone != soak_zone_of(s->run.first) ||
	    out->free > s->run.nr_frames || out->granted > s->run.nr_frames)
		soak_fail("cma", "area %#x, [%zu, +%zu): its account says [%zu, +%zu) in zone %u, %zu free, %zu granted", s->handle,
		          s->run.first, s->run.nr_frames, out->run.first, out->run.nr_frames, out->zone, out->free, out->granted);
	soak_count(&soak_tally(slot)->checks, 1);
	return true;
}

static void cma_step(struct soak_slot *slot, void *state)
{
	struct soak_bag *bag = soak_bag(slot);
	struct cma_sight sight;
	struct pfa_cma_stats stats;
	(void)state;
	while (bag->nr && (slot->held > soak.quota || bag->nr == bag->cap || soak_chance(&slot->rng, 50)))
		cma_release(slot);
	switch (soak_below(&slot->rng, 8)) {
	case 0:
		cma_create(slot);
		break;
	case 1:
		if (cma_see(slot, false, &sight))
			cma_destroy(slot, &sight);
		break;
	case 2:
		if (cma_see(slot, true, &sight))
			(void)cma_account(slot, &sight, &stats);
		break;
	default:
		if (cma_see(slot, true, &sight))
			cma_alloc(slot, &sight);
		break;
	}
	cma_seen(slot);
}

/* ---- begin, rest, end ------------------------------------------------------------------------------------------- */

static void cma_begin(struct soak_slot *slot)
{
	memset(cma_areas, 0, sizeof(cma_areas));
	memset(cma_flights, 0, sizeof(cma_flights));
	cma_begun = cma_ending = 0;
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct cma_area *a = &cma_areas[z];
		if (!soak.geo.zones[z].nr_cma)
			continue;
		*a = (struct cma_area){.used = true, .live = true, .fixed = true, .run = soak.geo.cma[z][0]};
		soak_expect(slot, "pfa_cma_find of a configured area", pfa_cma_find(soak.pfa, a->run.first, &a->handle), PFA_OK);
	}
}

/* Frames of the run that all threads' bags of this actor have; and how many of its frames are free. */
static size_t cma_in_bags(struct soak_slot *slot, const struct pfa_run *run)
{
	size_t nr = 0;
	for (unsigned s = 0; s < soak.nr_slots; s++) {
		const struct soak_bag *bag = &soak.slots[s].bags[slot->actor];
		for (unsigned i = 0; i < bag->nr; i++)
			nr += bag->grants[i].first - run->first < run->nr_frames ? bag->grants[i].nr : 0;
	}
	return nr;
}

static size_t cma_free_frames(struct soak_slot *slot, const struct pfa_run *run)
{
	size_t nr = 0;
	for (size_t i = 0; i < run->nr_frames; i++) {
		struct pfa_frame_info info;
		soak_expect(slot, "pfa_frame_info", pfa_frame_info(soak.pfa, run->first + i, &info), PFA_OK);
		nr += info.state == PFA_FRAME_FREE;
	}
	return nr;
}

static void cma_quiet_area(struct soak_slot *slot, struct cma_area *a)
{
	const struct cma_sight s = {a, a->handle, a->run, cma_ending, false};
	size_t granted = cma_in_bags(slot, &a->run), nr_free = cma_free_frames(slot, &a->run);
	struct soak_grant grant = {.nr = 1, .order = 0};
	struct pfa_cma_stats stats;
	int rc;
	(void)cma_account(slot, &s, &stats);
	if (soak_canary(SOAK_CANARY_area))
		stats.granted++;
	if (stats.granted != granted || stats.free != nr_free || stats.held_pageblocks)
		soak_fail("cma", "area %#x at rest: it says that %zu frames are granted, %zu free, %zu pageblocks held: true are %zu and %zu",
		          a->handle, stats.granted, stats.free, stats.held_pageblocks, granted, nr_free);
	rc = pfa_cma_alloc(soak.pfa, a->handle, 1, 1, PFA_NOMIGRATE, &grant.first);
	if (rc != PFA_OK) {
		if (nr_free || (rc != PFA_ENOMEM && rc != PFA_EAGAIN))
			soak_fail("cma", "area %#x at rest: %zu frames are free, and one is refused: %s", a->handle, nr_free,
			          pfa_error_name(rc));
		return;
	}
	soak_granted(slot, &grant, PFA_MOVABLE, 0);
	soak_release(slot, grant.first, 1, grant.tag);
	soak_expect(slot, "pfa_cma_release", pfa_cma_release(soak.pfa, a->handle, grant.first, 1), PFA_OK);
}

static void cma_quiet(struct soak_slot *slot)
{
	for (unsigned i = 0; i < CMA_PLACES; i++)
		if (cma_areas[i].used)
			cma_quiet_area(slot, &cma_areas[i]);
	for (unsigned i = 0; i < 50; i++) {
		size_t rel = soak_below(&slot->rng, (uint32_t)soak.geo.span);
		bool area = soak.attr[rel] != SOAK_ABSENT &&
		            ((soak.attr[rel] & SOAK_IN_CMA) || soak_marked(soak.geo.base + rel, 1, SOAK_MARK_AREA));
		pfa_cma handle;
		soak_expect(slot, "pfa_cma_find at rest", pfa_cma_find(soak.pfa, soak.geo.base + rel, &handle), area ? PFA_OK : PFA_ERANGE);
	}
}

static void cma_fini(struct soak_slot *slot, void *state)
{
	(void)state;
	while (soak_bag(slot)->nr)
		cma_release(slot);
}

static void cma_end(struct soak_slot *slot)
{
	for (unsigned i = SOAK_ZONES_MAX; i < CMA_PLACES; i++) {
		struct cma_area *a = &cma_areas[i];
		if (!a->used)
			continue;
		soak_mark(a->run.first, a->run.nr_frames, SOAK_MARK_AREA, false);
		soak_expect(slot, "pfa_cma_destroy of an area that nothing is granted of", pfa_cma_destroy(soak.pfa, a->handle), PFA_OK);
	}
}

const struct soak_actor soak_actor_cma = {
	.name = "cma",
	.weight = 20,
	.bag_cap = 6,
	.begin = cma_begin,
	.step = cma_step,
	.quiet = cma_quiet,
	.fini = cma_fini,
	.end = cma_end,
};
