/* SPDX-License-Identifier: MIT
 *
 * Isolation and contiguous ranges: each thread holds a pageblock range for a while, looks at it, and gives it up; takes ranges of
 * any place and length, and frees them in parts.
 *
 * What is judged while others work: of two holds that overlap the second is refused and says why; once pfa_test_isolated() has said
 * that a held range is free it stays so, and nobody owns a frame of it in the shadow (what is free could be granted to this
 * thread, whose double grant that would be); a call that fails names a reason that its result and its flags allow. At rest nothing
 * is held, and what is in the way of a range is there.
 */
#include "soak_movable.h"
#include "soak_ranges.h"

struct contig {
	pfa_pfn start, end; /* what is held; start == end: nothing */
	unsigned zone;      /* SOAK_ABSENT: it begins or ends in a hole, and this is not asked */
	pfa_token token;
	bool clear; /* all of it was free */
};

/* Do they have a pageblock in common? One that two zones share has a holder in each. */
static bool contig_overlap(const struct contig *c, const struct soak_range *r)
{
	return c->start < c->end && r->zone != SOAK_ABSENT && r->zone == c->zone &&
	       soak_floor(r->start) <= soak_floor(c->end - 1) && soak_floor(c->start) <= soak_floor(r->end - 1);
}

static uint32_t contig_flags(struct soak_slot *slot)
{
	uint32_t flags = soak_chance(&slot->rng, 15) ? PFA_NOMIGRATE : 0;
	return flags | (soak_chance(&slot->rng, 10) ? PFA_NOWAIT : 0);
}

/* ---- holds ------------------------------------------------------------------------------------------------------ */

/* All of it, or what lies before a border in it. */
static void contig_undo(struct soak_slot *slot, struct contig *c, bool all)
{
	pfa_pfn end = c->end, border = soak_floor(c->start) + ((pfa_pfn)1 << soak.geo.config.pageblock_order);
	struct soak_record *record;
	int rc;
	if (!all && border < c->end && soak.attr[border - soak.geo.base] != SOAK_ABSENT &&
	    soak.attr[border - 1 - soak.geo.base] != SOAK_ABSENT)
		end = border;
	record = soak_record(slot, SOAK_OP_undo_isolate, c->start, end, c->token);
	rc = pfa_undo_isolate_range(soak.pfa, c->start, end, c->token);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_undo_isolate_range by who holds it", rc, PFA_OK);
	c->start = end;
}

static void contig_hold(struct soak_slot *slot, struct contig *c)
{
	struct soak_range r = soak_range_pick(slot, 3u << soak.geo.config.pageblock_order);
	uint32_t flags = contig_flags(slot);
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record = soak_record(slot, SOAK_OP_isolate, r.start, r.end, flags);
	pfa_token token = 0;
	const bool overlaps = contig_overlap(c, &r);
	struct contig got;
	int rc;
	soak_may_move(slot, true);
	rc = pfa_isolate_range(soak.pfa, r.start, r.end, flags, &token, &why);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	soak_judge_range("pfa_isolate_range", &r, flags, rc, why);
	if (overlaps && (rc != PFA_EBUSY || why.reason != PFA_BLOCKER_HELD))
		soak_fail("isolation", "[%zu, %zu) is isolated though thread %u holds [%zu, %zu): %s, reason %d", r.start, r.end, slot->id,
		          c->start, c->end, pfa_error_name(rc), (int)why.reason);
	if (rc != PFA_OK)
		return;
	got = (struct contig){.start = r.start, .end = r.end, .zone = r.zone, .token = token};
	if (c->start == c->end)
		*c = got;
	else
		contig_undo(slot, &got, true);
}

static void contig_look(struct soak_slot *slot, struct contig *c)
{
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record = soak_record(slot, SOAK_OP_test_isolated, c->start, c->end, c->token);
	int rc = pfa_test_isolated(soak.pfa, c->start, c->end, c->token, &why);
	soak_recorded(record, rc);
	soak_count(&soak_tally(slot)->checks, 1);
	if (c->clear && soak_canary(SOAK_CANARY_held))
		rc = PFA_EBUSY;
	if (rc != PFA_OK && (c->clear || (rc != PFA_EBUSY && rc != PFA_ERANGE)))
		soak_fail("isolation", "[%zu, %zu), held by thread %u%s: %s, frame %zu, reason %d", c->start, c->end, slot->id,
		          c->clear ? ", was free" : "", pfa_error_name(rc), why.pfn, (int)why.reason);
	c->clear = rc == PFA_OK;
	for (pfa_pfn pfn = c->start; c->clear && pfn < c->end; pfn++)
		if (soak_shadow_tag(pfn))
			soak_fail("isolation", "frame %zu is free and held by thread %u, and belongs to %u:%u", pfn, slot->id,
			          soak_shadow_tag(pfn) >> 20, soak_shadow_tag(pfn) & 0xFFFFF);
}

/* ---- ranges ----------------------------------------------------------------------------------------------------- */

static void contig_had(struct soak_slot *slot, pfa_pfn first, uint32_t nr, uint32_t flags)
{
	struct soak_grant grant = {.first = first, .nr = nr, .order = 0};
	/* as a request that might have got these frames */
	soak_granted(slot, &grant, (flags & (PFA_ZERO | 0xFF000000u)) | (flags & PFA_CMA ? PFA_MOVABLE : PFA_UNMOVABLE), 0);
	soak_bag_put(slot, grant);
}

static void contig_take(struct soak_slot *slot)
{
	struct soak_range r = soak_range_pick(slot, (1u << soak.geo.config.pageblock_order) + 3);
	uint32_t flags = contig_flags(slot) | (soak_chance(&slot->rng, 50) ? PFA_CMA : 0) | (soak_chance(&slot->rng, 15) ? PFA_ZERO : 0);
	struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc_contig_range, r.start, r.end, flags);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_alloc_contig_range(soak.pfa, r.start, r.end, flags, &why);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	soak_judge_range("pfa_alloc_contig_range", &r, flags, rc, why);
	if (rc == PFA_OK) /* which looks for holes, and for CMA frames without the flag */
		contig_had(slot, r.start, (uint32_t)(r.end - r.start), flags);
}

static void contig_find(struct soak_slot *slot)
{
	const uint32_t nr = 1 + soak_below(&slot->rng, soak_chance(&slot->rng, 80) ? 40 : 2u << soak.geo.config.pageblock_order);
	const uint32_t align = 1u << soak_below(&slot->rng, 8);
	uint32_t flags = contig_flags(slot) | (soak_chance(&slot->rng, 50) ? PFA_CMA : 0) |
	                 PFA_ZONE(soak_below(&slot->rng, soak.geo.config.nr_zones));
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc_contig, nr, align, flags);
	pfa_pfn pfn = 0;
	int rc;
	soak_may_move(slot, true);
	rc = pfa_alloc_contig(soak.pfa, nr, align, flags, &pfn);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (rc != PFA_OK && rc != PFA_ENOMEM && (rc != PFA_EAGAIN || !(flags & (PFA_NOMIGRATE | PFA_NOWAIT))))
		soak_fail("isolation", "pfa_alloc_contig of %u frames, flags %#x: %s", nr, flags, pfa_error_name(rc));
	if (rc != PFA_OK)
		return;
	if (pfn & (align - 1))
		soak_fail("placement", "%u frames at %zu are not aligned to %u", nr, pfn, align);
	contig_had(slot, pfn, nr, flags);
}

/* The whole range by the call for it, or as anything else is freed. */
static void contig_free(struct soak_slot *slot)
{
	struct soak_grant grant = soak_bag_take(slot);
	struct soak_record *record;
	int rc;
	if (soak_chance(&slot->rng, 40)) {
		soak_give(slot, grant);
		return;
	}
	record = soak_record(slot, SOAK_OP_free_contig, grant.first, grant.nr, grant.tag);
	soak_release(slot, grant.first, grant.nr, grant.tag);
	rc = pfa_free_contig_range(soak.pfa, grant.first, grant.nr);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_free_contig_range of an own range", rc, PFA_OK);
	soak_count(&soak_tally(slot)->frees, 1);
}

/* ---- the actor -------------------------------------------------------------------------------------------------- */

static void contig_step(struct soak_slot *slot, void *state)
{
	struct contig *c = state;
	while (soak_bag(slot)->nr && (slot->held > soak.quota || soak_chance(&slot->rng, 40)))
		contig_free(slot);
	switch (soak_below(&slot->rng, 5)) {
	case 0:
		contig_find(slot);
		break;
	case 1:
	case 2:
		contig_take(slot);
		break;
	default:
		if (c->start == c->end) {
			contig_hold(slot, c);
			break;
		}
		if (soak_chance(&slot->rng, 30))
			contig_hold(slot, c);
		contig_look(slot, c);
		if (soak_chance(&slot->rng, 40))
			contig_undo(slot, c, soak_chance(&slot->rng, 60));
		break;
	}
}

static void contig_rest(struct soak_slot *slot, void *state)
{
	struct contig *c = state;
	if (c->start != c->end)
		contig_undo(slot, c, true);
}

/* Nothing is held. What is in the way of a range is in use, and not by somebody who is at work just now. */
static void contig_quiet(struct soak_slot *slot)
{
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		soak_expect(slot, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, z, &s, sizeof(s)), PFA_OK);
		if (s.held_pageblocks || s.free_isolated)
			soak_fail("isolation", "zone %u at rest: %zu pageblocks are held, %zu free frames isolated", z, s.held_pageblocks,
			          s.free_isolated);
	}
	for (unsigned i = 0; i < 20; i++) {
		struct soak_range r = soak_range_pick(slot, 1u << soak.geo.config.pageblock_order);
		struct pfa_blocker why = {PFA_BLOCKER_REASONS, 0};
		struct soak_grant grant = {.first = r.start, .nr = (uint32_t)(r.end - r.start)};
		int rc = pfa_alloc_contig_range(soak.pfa, r.start, r.end, PFA_CMA | PFA_NOMIGRATE, &why);
		struct pfa_movable_info info;
		soak_judge_range("pfa_alloc_contig_range at rest", &r, PFA_CMA | PFA_NOMIGRATE, rc, why);
		if (rc == PFA_OK) {
			soak_granted(slot, &grant, PFA_MOVABLE, 0);
			soak_give(slot, grant);
		} else if (why.reason == PFA_BLOCKER_HELD || why.reason == PFA_BLOCKER_BUSY ||
		           (why.reason == PFA_BLOCKER_UNMOVABLE && !soak_shadow_tag(why.pfn)) ||
		           (why.reason == PFA_BLOCKER_MOVABLE && pfa_movable_info(soak.pfa, why.pfn, &info) != PFA_OK)) {
			soak_fail("isolation", "[%zu, %zu) at rest: %s because of frame %zu, reason %d", r.start, r.end, pfa_error_name(rc),
			          why.pfn, (int)why.reason);
		}
		soak_count(&soak_tally(slot)->checks, 1);
	}
}

const struct soak_actor soak_actor_contig = {
	.name = "contig",
	.weight = 25,
	.bag_cap = 12,
	.state_bytes = sizeof(struct contig),
	.step = contig_step,
	.rest = contig_rest,
	.quiet = contig_quiet,
};
