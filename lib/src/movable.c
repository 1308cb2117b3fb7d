/* SPDX-License-Identifier: MIT */
#include "movable.h"

#include "closed.h"
#include "damage.h"
#include "fault.h"
#include "freeing.h"
#include "generation.h"
#include "refuse.h"

int pfai_movable_begin(const struct pfa *p, pfa_pfn pfn, const char *function, struct pfai_entry **out)
{
	int closed = pfai_closed(p, function);
	if (closed != PFA_OK)
		return closed;
	if (!p->table)
		return PFA_ENOTSUP;
	if (!pfai_zone_of(p, pfn))
		return PFA_ERANGE;
	*out = pfai_entry_at(p, pfn - p->base);
	return PFA_OK;
}

static inline unsigned movable_order(const struct pfa *p, size_t offset)
{
	return pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
}

/* ---- the end of a movable block ---------------------------------------------------------------------------------- */

/* Nothing refers to the block any more. */
static int movable_end(struct pfa *p, size_t offset, bool moved, struct pfai_request *capture, const char *function)
{
	struct pfai_zone *z = pfai_zone_of(p, p->base + offset);
	unsigned order = movable_order(p, offset);
	bool claimed = pfai_claim_movable(p, offset, order);
	(void)pfai_entry_clear(p, pfai_entry_at(p, offset));
	if (!moved)
		pfai_movable_count(z, 0 - ((size_t)1 << order), 0);
	if (PFAI_UNLIKELY(!claimed))
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	else if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
		pfai_unclaim_block(p, offset, order); /* nobody's, until the zone is repaired */
	else if (moved)
		return pfai_free_claimed_past(p, z, offset, order, capture, function);
	else
		return pfai_free_claimed(p, z, offset, order, function);
	return pfai_tell(p, function);
}

static bool movable_drop(struct pfa *p, size_t offset, uint32_t what)
{
	bool last = pfai_refs_drop(pfai_entry_at(p, offset), what);
	if (what >> PFAI_REF_OWNER_SHIFT)
		pfai_owner_lose(p, what >> PFAI_REF_OWNER_SHIFT);
	return last;
}

int pfai_movable_drop(struct pfa *p, size_t offset, uint32_t what, const char *function)
{
	return movable_drop(p, offset, what) ? movable_end(p, offset, false, NULL, function) : PFA_OK;
}

int pfai_movable_moved(struct pfa *p, size_t offset, struct pfai_request *capture, const char *function)
{
	return movable_end(p, offset, true, capture, function);
}

int pfai_movable_lose_owner(struct pfa *p, size_t offset, const char *function)
{
	uint32_t refs = pfai_load_acquire(&pfai_entry_at(p, offset)->refs);
	return pfai_movable_drop(p, offset, refs & ~(PFAI_REF_PINS | PFAI_REF_ISOLATED), function);
}

/* ---- free -------------------------------------------------------------------------------------------------------- */

static int movable_free(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function)
{
	struct pfai_entry *e = pfai_entry_at(p, offset);
	/* Before the release: afterwards it is the lock's holder who takes the owner out. */
	uint32_t owner = pfai_load_relaxed(&e->refs) >> PFAI_REF_OWNER_SHIFT;
	int result = pfai_page_release(p, e, !pfai_op_inside(p));
	if (result == PFA_EMISUSE)
		return pfai_fault(p, PFA_FAULT_RELEASED, p->base + offset, order, function);
	if (result == PFA_EINVAL) /* it has just become an ordinary block, or is just being freed */
		return pfai_fault(p, PFA_FAULT_DOUBLE_FREE_RACE, p->base + offset, order, function);
	if (result == PFA_EBUSY)
		return PFA_EBUSY;
	if (owner)
		(void)pfai_add32(&pfai_owner_at(p, owner)->live, UINT32_MAX);
	if (result == PFA_EAGAIN || (pfai_load_relaxed(&e->refs) & (PFAI_REF_PINS | PFAI_REF_ISOLATED)))
		pfai_add_relaxed(&z->st->moves.released, 1u);
	return result == PFA_OK ? pfai_movable_lose_owner(p, offset, function) : PFA_OK;
}

int PFAI_COLD pfai_free_other(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	struct pfai_zone *z = p->table && order <= p->max_order ? pfai_zone_of(p, pfn) : NULL;
	if (!z || !pfai_movable_at(p, pfn - p->base, order))
		return pfai_refuse_block(p, pfn, order, function);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, function);
	if (!pfai_zone_lockable(p, z))
		return PFA_EBUSY;
	return movable_free(p, z, pfn - p->base, order, function);
}

/* ---- declared movable, and back ---------------------------------------------------------------------------------- */

int pfa_movable_set(struct pfa *p, pfa_pfn head, pfa_owner handle, uint64_t cookie)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_movable_set", &e);
	if (result != PFA_OK)
		return result;
	if (pfai_op_inside(p))
		return PFA_EDEADLK;
	size_t offset = head - p->base;
	uint32_t owner = pfai_owner_of_handle(p, handle);
	uint8_t byte = pfai_load_acquire(&p->bytes[offset]);
	unsigned order = byte & PFAI_ORDER_MASK;
	if ((byte & PFAI_STATE_MASK) == PFAI_MOVABLE || (byte & PFAI_STATE_MASK) == PFAI_FREEING)
		return PFA_EBUSY;
	if (!owner || (byte & PFAI_STATE_MASK) != PFAI_HEAD)
		return PFA_EINVAL;
	pfai_owner_gain(p, owner);
	if (!pfai_claim_block(p, offset, order)) {
		pfai_owner_lose(p, owner);
		return PFA_EBUSY;
	}
	(void)pfai_add32(&pfai_owner_at(p, owner)->live, 1u);
	/* Locked, until the byte says MOVABLE: a mover that came before that would not know the order, nor could it free. */
	pfai_entry_make(e, owner, 0, cookie, pfai_self(p));
	pfai_movable_count(pfai_zone_of(p, head), (size_t)1 << order, 0);
	pfai_unclaim_as(p, offset, PFAI_MOVABLE | order);
	(void)pfai_movable_unlock(p, offset, "pfa_movable_set"); /* an op of another thread may have freed it already */
	return PFA_OK;
}

/* The block is locked by the caller, and has no reference but its owner's. */
static int movable_clear(struct pfa *p, size_t offset)
{
	struct pfai_entry *e = pfai_entry_at(p, offset);
	unsigned order = movable_order(p, offset);
	uint32_t owner = pfai_load_relaxed(&e->refs) >> PFAI_REF_OWNER_SHIFT;
	/* As if freed, so that a free that comes now is refused; only an op of another block can have been faster. */
	if (pfai_page_release_held(e) & PFAI_ENTRY_RELEASED) {
		int freed = pfai_movable_unlock(p, offset, "pfa_movable_clear");
		return freed == PFA_OK ? PFA_EINVAL : freed;
	}
	bool claimed = pfai_claim_movable(p, offset, order);
	(void)pfai_entry_clear(p, e);
	pfai_movable_count(pfai_zone_of(p, p->base + offset), 0 - ((size_t)1 << order), 0);
	if (claimed)
		pfai_unclaim_block(p, offset, order);
	(void)pfai_add32(&pfai_owner_at(p, owner)->live, UINT32_MAX);
	pfai_owner_lose(p, owner);
	return PFA_OK;
}

int pfa_movable_clear(struct pfa *p, pfa_pfn head)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_movable_clear", &e);
	if (result != PFA_OK)
		return result;
	if (pfai_op_inside(p))
		return PFA_EDEADLK;
	result = pfai_page_lock(p, e, true);
	if (result != PFA_OK)
		return result;
	if (!(pfai_load_relaxed(&e->refs) & (PFAI_REF_PINS | PFAI_REF_ISOLATED)))
		return movable_clear(p, head - p->base);
	result = pfai_movable_unlock(p, head - p->base, "pfa_movable_clear");
	return result == PFA_OK ? PFA_EBUSY : result;
}

/* ---- pins -------------------------------------------------------------------------------------------------------- */

/* One pin more, while nobody can take the block away. */
static int movable_pin(struct pfai_entry *e)
{
	for (;;) {
		uint32_t refs = pfai_load_relaxed(&e->refs);
		if ((refs & PFAI_REF_PINS) == PFAI_REF_PINS)
			return PFA_EAGAIN;
		if (pfai_cas32(&e->refs, refs, refs + 1))
			return PFA_OK;
	}
}

int pfa_pin(struct pfa *p, pfa_pfn head)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_pin", &e);
	if (result != PFA_OK)
		return result;
	bool inside = pfai_op_inside(p);
	result = pfai_page_lock(p, e, !inside);
	if (result == PFA_EDEADLK && !inside)
		return movable_pin(e);
	if (result != PFA_OK)
		return result;
	int pinned = movable_pin(e);
	result = pfai_movable_unlock(p, head - p->base, "pfa_pin");
	return result == PFA_OK ? pinned : result;
}

int pfa_unpin(struct pfa *p, pfa_pfn head)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_unpin", &e);
	if (result != PFA_OK)
		return result;
	for (;;) {
		uint32_t refs = pfai_load_relaxed(&e->refs);
		if (!(refs & PFAI_REF_PINS))
			return pfai_fault(p, PFA_FAULT_NOT_PINNED, head, 0, "pfa_unpin");
		if (refs == 1 && !pfai_zone_lockable(p, pfai_zone_of(p, head)))
			return PFA_EBUSY;
		if (pfai_cas32(&e->refs, refs, refs - 1))
			return refs == 1 ? movable_end(p, head - p->base, false, NULL, "pfa_unpin") : PFA_OK;
	}
}

/* ---- the page lock ----------------------------------------------------------------------------------------------- */

static int movable_lock(struct pfa *p, pfa_pfn head, bool wait, const char *function)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, function, &e);
	if (result != PFA_OK)
		return result;
	return pfai_op_inside(p) ? PFA_EDEADLK : pfai_page_lock(p, e, wait);
}

int pfa_page_lock(struct pfa *p, pfa_pfn head)
{
	return movable_lock(p, head, true, "pfa_page_lock");
}

int pfa_page_trylock(struct pfa *p, pfa_pfn head)
{
	return movable_lock(p, head, false, "pfa_page_trylock");
}

int pfa_page_unlock(struct pfa *p, pfa_pfn head)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_page_unlock", &e);
	if (result != PFA_OK)
		return result;
	if (pfai_op_inside(p))
		return PFA_EDEADLK;
	if (pfai_entry_holder(e) != pfai_self(p))
		return pfai_fault(p, PFA_FAULT_PAGE_LOCK, head, 0, "pfa_page_unlock");
	if (!pfai_zone_lockable(p, pfai_zone_of(p, head)))
		return PFA_EBUSY;
	return pfai_movable_unlock(p, head - p->base, "pfa_page_unlock");
}

int pfa_movable_info(struct pfa *p, pfa_pfn head, struct pfa_movable_info *out)
{
	struct pfai_entry *e;
	int result = pfai_movable_begin(p, head, "pfa_movable_info", &e);
	if (result != PFA_OK)
		return result;
	uint32_t w = pfai_load_acquire(&e->lock), refs = pfai_load_relaxed(&e->refs);
	if (!(w & PFAI_ENTRY_MOVABLE))
		return PFA_EINVAL;
	*out = (struct pfa_movable_info){
		.owner = w & PFAI_ENTRY_RELEASED ? 0 : pfai_owner_handle(p, refs >> PFAI_REF_OWNER_SHIFT),
		.pins = refs & PFAI_REF_PINS,
		.locked = w & PFAI_ENTRY_SELF,
		.isolated = refs & PFAI_REF_ISOLATED,
		.released = w & PFAI_ENTRY_RELEASED,
	};
	return PFA_OK;
}
