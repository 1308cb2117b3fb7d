/* SPDX-License-Identifier: MIT
 *
 * Memory that comes and goes: each thread takes a range of its own offline, makes it a hole and back, and brings it online again,
 * while all others use what is left. Ranges of threads have no frame in common, but pageblocks.
 *
 * What is judged while others work: each call's result, which the range's state leaves no choice in but for what is in the way; frames
 * that are away are what their last call made them, are refused, and keep what was written into them meanwhile (where a sanitizer
 * lets one look); what others are granted is not away (soak_shadow.c, by the marks). At rest the library counts as offline and
 * as present what these ranges say.
 */
#include "soak_ranges.h"

#include <pfa/hotplug.h>

#include <string.h>

enum hotplug_state { HOTPLUG_NONE, HOTPLUG_ONLINE, HOTPLUG_OFFLINE, HOTPLUG_REMOVED };

/* A thread's range. The other threads look at claimed, first and nr, which change under hotplug_mutex; the rest is the thread's. */
struct hotplug {
	bool claimed;
	enum hotplug_state state;
	pfa_pfn first;
	size_t nr;
	size_t absent; /* frames in holes of the geometry */
	uint32_t tag;  /* of the content; 0: nothing was written */
};

static struct hotplug hotplugs[1 + 2 * SOAK_THREADS_MAX]; /* by slot */
static pthread_mutex_t hotplug_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool hotplug_absent(pfa_pfn pfn)
{
	return soak.attr[pfn - soak.geo.base] == SOAK_ABSENT;
}

/* A range of a zone of which no other thread has a frame. All together have a quarter of the instance at most, so that the rest goes
 * on. */
static bool hotplug_claim(struct soak_slot *slot, struct hotplug *h)
{
	const struct pfa_zone_config *zone = &soak.geo.zones[soak_below(&slot->rng, soak.geo.config.nr_zones)];
	const uint32_t pb = 1u << soak.geo.config.pageblock_order;
	uint32_t at = soak_below(&slot->rng, (uint32_t)zone->nr_frames), nr = 1 + soak_below(&slot->rng, soak_chance(&slot->rng, 60) ? 24 : 2 * pb);
	struct hotplug want = {.claimed = true, .state = HOTPLUG_ONLINE};
	size_t all;
	bool meets = false;
	if (soak_chance(&slot->rng, 30) && soak_floor(zone->start + at) >= zone->start) {
		at = (uint32_t)(soak_floor(zone->start + at) - zone->start);
		nr = (nr + pb - 1) & ~(pb - 1);
	}
	want.first = zone->start + at;
	want.nr = nr < zone->nr_frames - at ? nr : zone->nr_frames - at;
	for (size_t i = 0; i < want.nr; i++)
		want.absent += hotplug_absent(want.first + i);
	all = want.nr;
	pthread_mutex_lock(&hotplug_mutex);
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		const struct hotplug *o = &hotplugs[i];
		if (!o->claimed)
			continue;
		all += o->nr;
		meets = meets || (o->first < want.first + want.nr && want.first < o->first + o->nr);
	}
	meets = meets || all > soak.geo.span / 4;
	if (!meets)
		*h = want;
	pthread_mutex_unlock(&hotplug_mutex);
	return !meets;
}

static void hotplug_unclaim(struct hotplug *h)
{
	h->state = HOTPLUG_NONE;
	pthread_mutex_lock(&hotplug_mutex);
	h->claimed = false;
	pthread_mutex_unlock(&hotplug_mutex);
}

static void hotplug_mark(const struct hotplug *h, uint8_t mark, bool on)
{
	for (size_t i = 0; i < h->nr; i++)
		if (!hotplug_absent(h->first + i))
			soak_mark(h->first + i, 1, mark, on);
}

/* ---- content ---------------------------------------------------------------------------------------------------- */

/* AddressSanitizer lets nobody touch the library's free and offline frames; holes are not the library's. */
static void hotplug_write(struct soak_slot *slot, struct hotplug *h)
{
	if (SOAK_ASAN && h->state != HOTPLUG_REMOVED)
		return;
	soak_shadow_poison(h->first, h->nr, false);
	slot->generation = (slot->generation + 1) & 0xFFFFF;
	h->tag = SOAK_PLUG_ID << 20 | slot->generation;
	for (size_t i = 0; i < h->nr; i++)
		if (!hotplug_absent(h->first + i))
			soak_stamp(h->first + i, h->tag);
}

static void hotplug_verify(const struct hotplug *h)
{
	if (!h->tag)
		return;
	for (size_t i = 0; i < h->nr; i++) {
		if (hotplug_absent(h->first + i))
			continue;
		if (soak_canary(SOAK_CANARY_away))
			*(uint64_t *)soak_frame(h->first + i) ^= 1;
		if (!soak_stamped(h->first + i, h->tag))
			soak_fail("hotplug", "frame %zu was written to while it was %s", h->first + i,
			          h->state == HOTPLUG_REMOVED ? "a hole" : "offline");
	}
}

/* The frames are the library's from the next call on. */
static void hotplug_let_go(struct hotplug *h)
{
	hotplug_verify(h);
	if (h->tag && SOAK_ASAN)
		soak_shadow_poison(h->first, h->nr, true);
	h->tag = 0;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* The result that there must be; or PFA_EBUSY, where somebody holds a pageblock just now. */
static void hotplug_expect(const char *what, const struct hotplug *h, int rc, struct pfa_blocker why, int wanted,
                           enum pfa_blocker_reason reason)
{
	bool held = rc == PFA_EBUSY && why.reason == PFA_BLOCKER_HELD && wanted != PFA_ERANGE;
	if (!held && (rc != wanted || why.reason != reason))
		soak_fail("hotplug", "%s of [%zu, +%zu), state %d: %s, reason %d at %zu; expected %s, reason %d", what, h->first, h->nr,
		          (int)h->state, pfa_error_name(rc), (int)why.reason, why.pfn, pfa_error_name(wanted), (int)reason);
}

static void hotplug_offline(struct soak_slot *slot, struct hotplug *h)
{
	uint32_t flags = (soak_chance(&slot->rng, 15) ? PFA_NOMIGRATE : 0) | (soak_chance(&slot->rng, 10) ? PFA_NOWAIT : 0) |
	                 (soak_chance(&slot->rng, 60) ? PFA_CMA : 0) | (soak_chance(&slot->rng, 30) ? PFA_TAKE_BAD : 0);
	struct soak_range r = soak_range_of(h->first, h->first + h->nr);
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record;
	int rc;
	hotplug_mark(h, SOAK_MARK_MAYBE_AWAY, true);
	record = soak_record(slot, SOAK_OP_offline, h->first, h->nr, flags);
	soak_may_move(slot, true);
	rc = pfa_offline_range(soak.pfa, h->first, h->nr, flags, &why);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (h->absent == h->nr || rc == PFA_ERANGE)
		hotplug_expect("pfa_offline_range", h, rc, why, h->absent == h->nr ? PFA_ERANGE : PFA_OK, PFA_BLOCKER_RANGE);
	else
		soak_judge_range("pfa_offline_range", &r, flags, rc, why);
	if (rc != PFA_OK) {
		hotplug_unclaim(h);
		return;
	}
	for (size_t i = 0; i < h->nr; i++)
		if (soak_shadow_tag(h->first + i))
			soak_fail("hotplug", "frame %zu is offline, and belongs to %u:%u", h->first + i, soak_shadow_tag(h->first + i) >> 20,
			          soak_shadow_tag(h->first + i) & 0xFFFFF);
	hotplug_mark(h, SOAK_MARK_AWAY, true);
	h->state = HOTPLUG_OFFLINE;
	hotplug_write(slot, h);
}

static void hotplug_online(struct soak_slot *slot, struct hotplug *h)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record;
	const bool removed = h->state == HOTPLUG_REMOVED;
	int rc;
	if (!removed) {
		hotplug_let_go(h);
		hotplug_mark(h, SOAK_MARK_AWAY, false);
	}
	record = soak_record(slot, SOAK_OP_online, h->first, h->nr, 0);
	rc = pfa_online_range(soak.pfa, h->first, h->nr, &why);
	soak_recorded(record, rc);
	hotplug_expect("pfa_online_range", h, rc, why, removed ? PFA_ERANGE : PFA_OK, removed ? PFA_BLOCKER_RANGE : PFA_BLOCKER_NONE);
	if (rc == PFA_OK)
		hotplug_unclaim(h);
	else if (!removed)
		hotplug_mark(h, SOAK_MARK_AWAY, true);
}

static void hotplug_add(struct soak_slot *slot, struct hotplug *h)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record;
	const bool removed = h->state == HOTPLUG_REMOVED;
	int rc;
	if (removed)
		hotplug_let_go(h);
	record = soak_record(slot, SOAK_OP_add, h->first, h->nr, 0);
	rc = pfa_add_range(soak.pfa, h->first, h->nr, &why);
	soak_recorded(record, rc);
	hotplug_expect("pfa_add_range", h, rc, why, removed ? PFA_OK : PFA_EBUSY, removed ? PFA_BLOCKER_NONE : PFA_BLOCKER_PRESENT);
	if (rc == PFA_OK)
		h->state = HOTPLUG_OFFLINE;
	hotplug_write(slot, h);
}

/* Not where there are holes: what is added must be one. */
static void hotplug_remove(struct soak_slot *slot, struct hotplug *h)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record;
	const bool removed = h->state == HOTPLUG_REMOVED;
	int rc;
	if (h->absent)
		return;
	record = soak_record(slot, SOAK_OP_remove, h->first, h->nr, 0);
	rc = pfa_remove_range(soak.pfa, h->first, h->nr, &why);
	soak_recorded(record, rc);
	hotplug_expect("pfa_remove_range", h, rc, why, removed ? PFA_ERANGE : PFA_OK, removed ? PFA_BLOCKER_RANGE : PFA_BLOCKER_NONE);
	if (rc != PFA_OK || removed)
		return;
	hotplug_verify(h);
	h->state = HOTPLUG_REMOVED;
	hotplug_write(slot, h);
}

/* ---- what is seen of it ------------------------------------------------------------------------------------------ */

/* A free of a frame that is away is refused by its right name. */
static void hotplug_misuse(struct soak_slot *slot, const struct hotplug *h, pfa_pfn pfn)
{
	const enum pfa_fault_kind kind = h->state == HOTPLUG_REMOVED ? PFA_FAULT_HOLE : PFA_FAULT_OFFLINE;
	int rc;
	slot->nr_faults = 0;
	slot->expect_misuse = true;
	rc = pfa_free(soak.pfa, pfn, 0);
	slot->expect_misuse = false;
	if (rc != PFA_EMISUSE || slot->nr_faults != 1 || slot->fault != kind)
		soak_fail("hotplug", "a free of frame %zu, which is away: %s, told %u times, as kind %d", pfn, pfa_error_name(rc),
		          slot->nr_faults, (int)slot->fault);
	soak_count(&soak_tally(slot)->refused, 1);
}

/* Nothing of it can be taken: part of the range, where all of it is away. */
static void hotplug_take(struct soak_slot *slot, const struct hotplug *h)
{
	pfa_pfn start = h->first + soak_below(&slot->rng, (uint32_t)h->nr);
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	int rc = pfa_alloc_contig_range(soak.pfa, start, h->first + h->nr, PFA_CMA | PFA_NOMIGRATE, &why);
	if (rc != PFA_ERANGE || why.reason != PFA_BLOCKER_RANGE || why.pfn != start)
		soak_fail("hotplug", "pfa_alloc_contig_range of [%zu, %zu), which is away: %s, reason %d at %zu", start, h->first + h->nr,
		          pfa_error_name(rc), (int)why.reason, why.pfn);
}

static void hotplug_look(struct soak_slot *slot, const struct hotplug *h)
{
	for (unsigned i = 0; i < 4; i++) {
		pfa_pfn pfn = h->first + soak_below(&slot->rng, (uint32_t)h->nr);
		struct soak_record *record = soak_record(slot, SOAK_OP_info, pfn, 0, 0);
		bool hole = hotplug_absent(pfn) || h->state == HOTPLUG_REMOVED;
		struct pfa_frame_info info;
		int rc = pfa_frame_info(soak.pfa, pfn, &info);
		soak_recorded(record, rc);
		if (rc != PFA_OK || info.state != (hole ? PFA_FRAME_ABSENT : PFA_FRAME_OFFLINE))
			soak_fail("hotplug", "frame %zu, %s: %s, state %d", pfn, hole ? "a hole" : "offline", pfa_error_name(rc),
			          (int)info.state);
		if (!hotplug_absent(pfn) && soak_chance(&slot->rng, 30))
			hotplug_misuse(slot, h, pfn);
	}
	if (soak_chance(&slot->rng, 30))
		hotplug_take(slot, h);
	hotplug_verify(h);
	soak_count(&soak_tally(slot)->checks, 1);
}

static void hotplug_step(struct soak_slot *slot, void *state)
{
	struct hotplug *h = &hotplugs[slot->id];
	(void)state;
	if (h->state == HOTPLUG_NONE) {
		if (hotplug_claim(slot, h))
			hotplug_offline(slot, h);
		return;
	}
	hotplug_look(slot, h);
	switch (soak_below(&slot->rng, 5)) {
	case 0:
		hotplug_remove(slot, h);
		break;
	case 1:
		hotplug_add(slot, h);
		break;
	case 2:
	case 3:
		hotplug_online(slot, h);
		break;
	default:
		break;
	}
}

/* ---- begin, rest, end ------------------------------------------------------------------------------------------- */

static void hotplug_begin(struct soak_slot *slot)
{
	(void)slot;
	memset(hotplugs, 0, sizeof(hotplugs));
}

static void hotplug_quiet(struct soak_slot *slot)
{
	size_t offline[SOAK_ZONES_MAX] = {0}, away[SOAK_ZONES_MAX] = {0}, all[SOAK_ZONES_MAX] = {0};
	for (size_t i = 0; i < soak.geo.span; i++)
		if (soak.attr[i] != SOAK_ABSENT)
			all[soak_zone_of(soak.geo.base + i)]++;
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		struct hotplug *h = &hotplugs[i];
		unsigned zone = 0;
		if (h->state == HOTPLUG_NONE)
			continue;
		hotplug_look(slot, h);
		while (h->first - soak.geo.zones[zone].start >= soak.geo.zones[zone].nr_frames)
			zone++;
		away[zone] += h->nr - h->absent;
		offline[zone] += h->state == HOTPLUG_OFFLINE ? h->nr - h->absent : 0;
	}
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		soak_expect(slot, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, z, &s, sizeof(s)), PFA_OK);
		if (soak_canary(SOAK_CANARY_plugged))
			s.offline++;
		if (s.offline != offline[z] || s.present + away[z] != all[z])
			soak_fail("hotplug", "zone %u at rest: %zu frames are offline and %zu present: true are %zu and %zu", z, s.offline,
			          s.present, offline[z], all[z] - away[z]);
	}
}

/* Nobody else is at work: nothing is in the way. */
static void hotplug_end(struct soak_slot *slot)
{
	for (unsigned i = 0; i < soak.nr_slots; i++) {
		struct hotplug *h = &hotplugs[i];
		if (h->state == HOTPLUG_REMOVED)
			hotplug_add(slot, h);
		if (h->state == HOTPLUG_OFFLINE)
			hotplug_online(slot, h);
		if (h->state != HOTPLUG_NONE)
			soak_fail("hotplug", "[%zu, +%zu) does not come back, and nobody else is at work", h->first, h->nr);
	}
}

const struct soak_actor soak_actor_hotplug = {
	.name = "hotplug",
	.weight = 12,
	.begin = hotplug_begin,
	.step = hotplug_step,
	.quiet = hotplug_quiet,
	.end = hotplug_end,
};
