/* SPDX-License-Identifier: MIT */
#include "check_movable.h"

/* The entry of a movable block while no call is in flight: nobody moves it, and if it was released, a pin or a user's page
 * lock is why it is still there. */
static const char *check_at_rest(const struct pfa *p, uint32_t w, uint32_t refs)
{
	uint32_t owner = refs >> PFAI_REF_OWNER_SHIFT, held = w & PFAI_ENTRY_SELF;
	if (refs & PFAI_REF_ISOLATED)
		return "I10 a block is isolated, and nobody moves it";
	if ((w & PFAI_ENTRY_RELEASED) && !held)
		return owner || !(refs & PFAI_REF_PINS) ? "I10 a released block that nobody holds" : NULL;
	if (!owner || owner > p->max_owners ||
	    (pfai_load_relaxed(&pfai_owner_at(p, owner)->state) & 0xFFFFu) != PFAI_OWNER_REGISTERED)
		return "I10 a movable block's owner";
	return NULL;
}

const char *pfai_check_movable_head(const struct pfa *p, struct pfai_check_movable *sums, size_t offset, uint8_t byte,
                                    bool quiescent)
{
	bool movable = (byte & PFAI_STATE_MASK) == PFAI_MOVABLE;
	if (!p->table)
		return movable ? "I10 a movable block without an owner table" : NULL;
	const struct pfai_entry *e = pfai_entry_at(p, offset);
	uint32_t w = pfai_load_acquire(&e->lock), refs = pfai_load_acquire(&e->refs);
	if (!movable)
		return quiescent && (w | refs) ? "I10 an ordinary block with an owner" : NULL;
	size_t nr = (size_t)1 << (byte & PFAI_ORDER_MASK);
	sums->movable += nr;
	sums->isolated += refs & PFAI_REF_ISOLATED ? nr : 0;
	sums->owned += refs >> PFAI_REF_OWNER_SHIFT != 0;
	sums->live += !(w & PFAI_ENTRY_RELEASED);
	if (!(w & PFAI_ENTRY_MOVABLE)) /* or it has just been freed */
		return quiescent || pfai_load_acquire(&p->bytes[offset]) == byte ? "I10 a movable block without an entry" : NULL;
	return quiescent ? check_at_rest(p, w, refs) : NULL;
}

const char *pfai_check_movable_owners(const struct pfa *p, const struct pfai_check_movable *sums)
{
	size_t owned = 0, live = 0;
	for (uint32_t owner = 1; owner <= p->max_owners; owner++) {
		owned += pfai_load_relaxed(&pfai_owner_at(p, owner)->total);
		live += pfai_load_relaxed(&pfai_owner_at(p, owner)->live);
	}
	if (owned != sums->owned)
		return "I10 entries that name an owner";
	return live != sums->live ? "I10 blocks that are movable for an owner" : NULL;
}
