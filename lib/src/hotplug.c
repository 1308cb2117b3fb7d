/* SPDX-License-Identifier: MIT
 *
 * Frames that come and go. While a call holds the pageblocks of its range nobody else takes anything in them, so that frames which
 * are holes or offline stay what they are from one look to the next. Taking a range offline is taking it as a contiguous one, run by run
 * between what does not exist; only then its frames become OFFLINE, which nothing can stop any more.
 */
#include <pfa/hotplug.h>

#include "closed.h"
#include "contig.h"
#include "evacuate.h"
#include "shadow.h"

#define PLUG_FLAGS (PFA_TAKE_BAD | PFA_CMA | PFA_NOMIGRATE | PFA_NOWAIT)

struct plug {
	struct pfa *p;
	struct pfai_hold h;
	struct pfai_evacuation e;
	size_t lo, hi; /* rels */
};

static pfai_a8 *plug_byte(const struct plug *c, size_t rel)
{
	return &c->p->bytes[pfai_offset_of_rel(c->h.z, rel)];
}

/* The first frame of [rel, hi) that offlining has to take (want), or has not to; hi: there is none. */
static size_t plug_next(const struct plug *c, size_t rel, bool want)
{
	for (; rel < c->hi; rel++) {
		uint8_t byte = pfai_load_relaxed(plug_byte(c, rel));
		bool skip = pfai_byte_is_absent(byte) || (byte == PFAI_BAD && (c->e.flags & PFA_TAKE_BAD));
		if (skip != want)
			break;
	}
	return rel;
}

/* Is any frame there that is not a hole? */
static bool plug_exists(const struct plug *c)
{
	for (size_t rel = c->lo; rel < c->hi; rel++)
		if (pfai_load_relaxed(plug_byte(c, rel)) != PFAI_ABSENT)
			return true;
	return false;
}

/* What all four begin with. @return PFA_OK; else nothing is told. */
static int plug_valid(const struct pfa *p, pfa_pfn start, size_t nr_frames, uint32_t flags, const char *function)
{
	int result = pfai_closed_or_inside(p, function);
	if (result == PFA_OK && (!nr_frames || start + nr_frames < start || (flags & ~PLUG_FLAGS)))
		result = PFA_EINVAL;
	return result;
}

/* @return PFA_OK: it is a range of one zone. */
static int plug_begin(struct plug *c, struct pfa *p, pfa_pfn start, size_t nr_frames, uint32_t flags, const char *function)
{
	c->p = p;
	if (!pfai_hold_begin(p, &c->h, start, start + nr_frames))
		return PFA_ERANGE;
	c->lo = start - c->h.z->origin;
	c->hi = c->lo + nr_frames;
	c->e = (struct pfai_evacuation){ .p = p, .z = c->h.z, .flags = flags, .function = function };
	return pfai_load_relaxed(&c->h.z->st->corrupt) ? PFA_ECORRUPT : PFA_OK;
}

static int plug_holes_only(struct plug *c)
{
	c->h.why.reason = PFA_BLOCKER_RANGE;
	return PFA_ERANGE;
}

/* ---- one pageblock's part, with the zone's lock -------------------------------------------------------------------- */

typedef void plug_part(struct plug *c, size_t lo, size_t hi);

/* Does it to the range, a pageblock at a time. A lock that could be had once in this call can be had again. */
static void plug_each(struct plug *c, plug_part *part)
{
	for (size_t at = c->lo; at < c->hi && pfai_zone_lock(c->p, c->h.z);) {
		size_t stop = ((at >> c->p->pb_order) + 1) << c->p->pb_order;
		stop = stop < c->hi ? stop : c->hi;
		pfai_zone_steps(c->h.z, stop - at);
		part(c, at, stop);
		pfai_zone_unlock(c->p, c->h.z);
		at = stop;
	}
}

/* They were taken, or are bad. What is neither is misuse: damage, and left as it is. */
static void plug_offline(struct plug *c, size_t lo, size_t hi)
{
	struct pfai_zone *z = c->h.z;
	struct pfai_pb *pb = pfai_pb_at(c->p, z, lo);
	for (size_t rel = lo; rel < hi; rel++) {
		uint8_t byte = pfai_load_relaxed(plug_byte(c, rel));
		if (pfai_byte_is_absent(byte))
			continue;
		bool bad = byte == PFAI_BAD;
		/* or it became bad after it was taken */
		uint8_t gone = bad || pfai_map_test(z->doomed, rel) ? PFAI_OFFLINE_BAD : PFAI_OFFLINE;
		/* It can be freed, by somebody whose it is not: then it is not ours any more, whatever it is by now. */
		if (PFAI_UNLIKELY(!pfai_claim(plug_byte(c, rel), bad ? PFAI_BAD : PFAI_HEAD, gone))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
			continue;
		}
		z->st->bad -= bad;
		z->st->direct_frees += !bad;
		z->st->present--;
		z->st->offline++;
		pb->flags |= PFAI_PB_PARTIAL;
	}
	pfai_zone_undoom_locked(c->p, z, lo, hi - lo);
	if (pfai_pb_own_code(pb) == PFAI_CODE_HIGHATOMIC && (pb->flags & PFAI_PB_PARTIAL)) { /* it is held: nothing of it is on offer */
		pfai_zone_set_code_locked(c->p, z, lo >> c->p->pb_order, PFAI_CODE_MOVABLE);
		z->st->reserved_high -= (size_t)1 << c->p->pb_order;
		z->st->events.unreserve++;
	}
}

/* A pageblock is whole again once nothing of it is missing. */
static void plug_settle(struct plug *c, size_t rel)
{
	const struct pfai_zone *z = c->h.z;
	size_t first = rel >> c->p->pb_order << c->p->pb_order, end = first + ((size_t)1 << c->p->pb_order);
	if (first < z->start - z->origin || end > z->end - z->origin)
		return;
	for (size_t at = first; at < end; at++)
		if (pfai_byte_is_absent(pfai_load_relaxed(plug_byte(c, at))))
			return;
	pfai_pb_at(c->p, z, rel)->flags &= (uint8_t)~PFAI_PB_PARTIAL;
}

static void plug_online(struct plug *c, size_t lo, size_t hi)
{
	struct pfai_zone *z = c->h.z;
	for (size_t rel = lo; rel < hi;) {
		size_t end = rel;
		for (; end < hi && pfai_load_relaxed(plug_byte(c, end)) == PFAI_OFFLINE; end++)
			pfai_store_relaxed(plug_byte(c, end), PFAI_NOTHING);
		z->st->present += end - rel;
		z->st->offline -= end - rel;
		if (end > rel)
			pfai_zone_put_run_locked(c->p, z, rel, end - rel, false);
		if (end < hi && pfai_load_relaxed(plug_byte(c, end)) == PFAI_OFFLINE_BAD) {
			pfai_store_relaxed(plug_byte(c, end), PFAI_BAD);
			z->st->present++;
			z->st->offline--;
			z->st->bad++;
		}
		rel = end + 1;
	}
	plug_settle(c, lo);
}

/* What becomes a hole, or is one no more: the sanitizer's shadow leaves holes alone. */
static void plug_change(struct plug *c, size_t rel, uint8_t byte)
{
	pfai_store_relaxed(plug_byte(c, rel), byte);
	if (c->p->hooks & PFAI_HOOK_SHADOW)
		pfai_shadow_set(c->p, c->h.z->origin + rel, 1, byte != PFAI_ABSENT);
}

static void plug_add(struct plug *c, size_t lo, size_t hi)
{
	for (size_t rel = lo; rel < hi; rel++)
		plug_change(c, rel, PFAI_OFFLINE);
	c->h.z->st->offline += hi - lo;
}

static void plug_remove(struct plug *c, size_t lo, size_t hi)
{
	for (size_t rel = lo; rel < hi; rel++) {
		if (pfai_load_relaxed(plug_byte(c, rel)) == PFAI_ABSENT)
			continue;
		plug_change(c, rel, PFAI_ABSENT);
		c->h.z->st->offline--;
	}
}

/* ---- offline ------------------------------------------------------------------------------------------------------- */

/* One that has just become bad is not part of the run any more. */
static bool plug_became_bad(const struct plug *c, int result, unsigned *tries)
{
	return result == PFA_EBUSY && c->e.why.reason == PFA_BLOCKER_BAD && (c->e.flags & PFA_TAKE_BAD) && (*tries)++ < PFA_CONTIG_TRIES;
}

/* Is anything in the way that will not go? */
static int plug_look(struct plug *c)
{
	int result = PFA_OK;
	unsigned tries = 0;
	for (size_t at = plug_next(c, c->lo, true), end; at < c->hi && result == PFA_OK; at = plug_next(c, end, true)) {
		end = plug_next(c, at, false);
		result = pfai_evacuable(&c->e, at, end);
		if (plug_became_bad(c, result, &tries)) {
			c->e.why.reason = PFA_BLOCKER_NONE;
			result = PFA_OK;
			end = at;
		}
	}
	return result;
}

/* Takes all that exists in the range, or nothing. */
static int plug_take(struct plug *c)
{
	unsigned tries = 0;
	bool zero;
	size_t at = plug_next(c, c->lo, true);
	while (at < c->hi) {
		size_t end = plug_next(c, at, false);
		c->e.why = (struct pfa_blocker){ PFA_BLOCKER_BUSY, c->h.z->origin + at };
		int result = pfai_contig_empty(&c->e, &c->h, at, end, &zero);
		bool again = plug_became_bad(c, result, &tries);
		if (result != PFA_OK && !again) {
			for (size_t lo = plug_next(c, c->lo, true); lo < at; lo = plug_next(c, end, true)) {
				end = plug_next(c, lo, false);
				end = end < at ? end : at;
				pfai_contig_give_back(c->p, c->h.z, lo, end);
			}
			return result;
		}
		at = plug_next(c, again ? at : end, true);
	}
	return PFA_OK;
}

int pfa_offline_range(struct pfa *p, pfa_pfn start, size_t nr_frames, uint32_t flags, struct pfa_blocker *why)
{
	static const char function[] = "pfa_offline_range";
	struct plug c;
	int result = plug_valid(p, start, nr_frames, flags, function);
	if (result != PFA_OK)
		return result;
	result = plug_begin(&c, p, start, nr_frames, flags, function);
	if (result == PFA_ERANGE || result == PFA_ECORRUPT)
		return pfai_blocked(p, why, c.h.why, result, function);
	result = plug_exists(&c) ? plug_look(&c) : plug_holes_only(&c);
	if (c.e.why.reason)
		c.h.why = c.e.why;
	if (result == PFA_OK)
		result = pfai_hold(p, &c.h, flags & PFA_CMA);
	if (result == PFA_OK) {
		result = plug_take(&c);
		pfai_evacuation_end(&c.e);
		c.h.why = c.e.why;
		if (result == PFA_OK)
			plug_each(&c, plug_offline);
		result = pfai_unhold(p, &c.h, result);
	}
	return pfai_blocked(p, why, c.h.why, result, function);
}

/* ---- the others ---------------------------------------------------------------------------------------------------- */

/* The first frame that is present, or (holes) exists; hi: none. */
static size_t plug_first(const struct plug *c, bool holes)
{
	size_t rel = c->lo;
	for (; rel < c->hi; rel++) {
		uint8_t byte = pfai_load_relaxed(plug_byte(c, rel));
		if (byte != PFAI_ABSENT && (holes || !pfai_byte_is_absent(byte)))
			break;
	}
	return rel;
}

/* Holds the range, does it if nothing forbids it, and gives it up. must: all of it must be offline or holes (holes: those alone). */
static int plug_do(struct pfa *p, pfa_pfn start, size_t nr_frames, plug_part *part, bool must, bool holes, struct pfa_blocker *why,
                   const char *function)
{
	struct plug c;
	int result = plug_valid(p, start, nr_frames, 0, function);
	if (result != PFA_OK)
		return result;
	result = plug_begin(&c, p, start, nr_frames, 0, function);
	if (result == PFA_OK && !holes && !plug_exists(&c))
		result = plug_holes_only(&c);
	if (result == PFA_OK)
		result = pfai_hold(p, &c.h, true);
	if (result == PFA_OK) {
		size_t first = must ? plug_first(&c, holes) : c.hi;
		if (first < c.hi) {
			c.h.why = (struct pfa_blocker){ PFA_BLOCKER_PRESENT, c.h.z->origin + first };
			result = PFA_EBUSY;
		} else {
			plug_each(&c, part);
		}
		result = pfai_unhold(p, &c.h, result);
	}
	return pfai_blocked(p, why, c.h.why, result, function);
}

int pfa_online_range(struct pfa *p, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return plug_do(p, start, nr_frames, plug_online, false, false, why, "pfa_online_range");
}

int pfa_add_range(struct pfa *p, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return plug_do(p, start, nr_frames, plug_add, true, true, why, "pfa_add_range");
}

int pfa_remove_range(struct pfa *p, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return plug_do(p, start, nr_frames, plug_remove, true, false, why, "pfa_remove_range");
}
