/* SPDX-License-Identifier: MIT
 *
 * Bad frames: taken out of use for good. One that somebody has is recorded in its zone's map `doomed` and becomes bad
 * the moment it comes back to its zone (pfai_zone_put_locked); until then its pageblock's frees go past the caches.
 */
#include <pfa/harden.h>

#include "closed.h"
#include "damage.h"
#include "history.h"
#include "hook.h"
#include "pcpu.h"

/* Records a frame that is in use. The caller has the zone's lock. */
static void bad_doom_locked(struct pfa *p, struct pfai_zone *z, size_t rel)
{
	if (pfai_map_test(z->doomed, rel))
		return;
	pfai_map_fill(z->doomed, rel, 1, true);
	z->st->nr_doomed++;
	pfai_zone_route_doomed_locked(p, z, rel, true);
}

/* *fresh: it was not bad before.
 * @return PFA_OK: it is bad; PFA_EAGAIN: recorded; PFA_ERANGE: there is no such frame; PFA_ECORRUPT: damage was met. */
static int bad_mark_locked(struct pfa *p, struct pfai_zone *z, size_t rel, bool *fresh)
{
	pfai_a8 *byte = &p->bytes[pfai_offset_of_rel(z, rel)];
	uint8_t value = pfai_load_relaxed(byte);
	if (value == PFAI_BAD)
		return PFA_OK;
	if (pfai_byte_is_absent(value))
		return PFA_ERANGE;
	if (pfai_map_test(z->not_free, rel)) {
		bad_doom_locked(p, z, rel);
		return PFA_EAGAIN;
	}
	if (value != PFAI_NOTHING) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* free, says the map; not so, says the byte */
		return PFA_ECORRUPT;
	}
	pfai_zone_take_locked(p, z, rel, 0);
	pfai_store_relaxed(byte, PFAI_BAD);
	z->st->bad++;
	pfai_zone_lost_locked(p, z, rel >> p->pb_order);
	*fresh = true;
	return pfai_load_relaxed(&z->st->corrupt) ? PFA_ECORRUPT : PFA_OK;
}

static int bad_mark(struct pfa *p, struct pfai_zone *z, size_t rel, bool *fresh)
{
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	int result = bad_mark_locked(p, z, rel, fresh);
	pfai_zone_unlock(p, z);
	return result;
}

/* It is recorded; if a cache holds it, it becomes bad on its way back. PFA_EBUSY: a cache could not be locked. */
static int bad_purge(struct pfa *p, struct pfai_zone *z, size_t rel)
{
	size_t first, end;
	int result = PFA_OK;
	pfai_zone_doom_group(p, z, rel, &first, &end);
	for (size_t pb = first; pb < end && result == PFA_OK; pb++)
		result = pfai_cache_purge_pageblock(p, z, pb, true);
	return result;
}

int pfa_mark_bad(struct pfa *p, pfa_pfn pfn)
{
	int closed = pfai_closed_or_inside(p, "pfa_mark_bad");
	if (closed != PFA_OK)
		return closed;
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z)
		return PFA_ERANGE;
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, "pfa_mark_bad");
	bool fresh = false;
	int result = bad_mark(p, z, pfn - z->origin, &fresh);
	if (result == PFA_EAGAIN && bad_purge(p, z, pfn - z->origin) == PFA_OK) {
		int again = bad_mark(p, z, pfn - z->origin, &fresh);
		if (again != PFA_EBUSY) /* it is recorded all the same */
			result = again;
		fresh |= again == PFA_OK; /* a cache had it */
	}
	/* A frame in use has its owner's events only: the list of what lives goes by the last one. */
	if (fresh && (p->hooks & PFAI_HOOK_HISTORY))
		pfai_history_note(p, PFA_EVENT_BAD, pfn - p->base, 1, 0);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, "pfa_mark_bad");
	return result;
}
