/* SPDX-License-Identifier: MIT */
#include "evacuate.h"

static uint8_t evac_byte(const struct pfai_evacuation *e, size_t rel)
{
	return pfai_load_acquire(&e->p->bytes[pfai_offset_of_rel(e->z, rel)]);
}

static bool evac_fixed(const struct pfai_evacuation *e)
{
	return e->flags & (PFA_NOMIGRATE | PFA_NOWAIT);
}

static int evac_blocked(struct pfai_evacuation *e, size_t rel, enum pfa_blocker_reason reason, int result)
{
	e->why = (struct pfa_blocker){ reason, e->z->origin + rel };
	e->may_end = reason == PFA_BLOCKER_BUSY || reason == PFA_BLOCKER_PINNED || reason == PFA_BLOCKER_REFUSED;
	return result;
}

/* The first frame of the block that has this frame; the frame itself, where it is in none. A block lies at a multiple of its size:
 * so it begins at one of a few places. */
static size_t evac_head(const struct pfai_evacuation *e, size_t rel)
{
	size_t first = e->z->start - e->z->origin;
	for (unsigned order = 0; order <= e->z->top_order; order++) {
		size_t at = rel >> order << order;
		if (at < first)
			break;
		uint8_t byte = evac_byte(e, at);
		if ((byte & PFAI_STATE_MASK) && rel - at < (size_t)1 << (byte & PFAI_ORDER_MASK))
			return at;
	}
	return rel;
}

/* Why the movable block at rel was not moved: what there is to see of it now. */
static enum pfa_blocker_reason evac_reason(const struct pfai_evacuation *e, size_t rel)
{
	const struct pfai_entry *entry = pfai_entry_at(e->p, pfai_offset_of_rel(e->z, rel));
	uint32_t refs = pfai_load_relaxed(&entry->refs);
	if ((evac_byte(e, rel) & PFAI_STATE_MASK) != PFAI_MOVABLE)
		return PFA_BLOCKER_BUSY;
	if (refs & PFAI_REF_PINS)
		return PFA_BLOCKER_PINNED;
	return (refs & PFAI_REF_ISOLATED) || pfai_entry_holder(entry) ? PFA_BLOCKER_BUSY : PFA_BLOCKER_REFUSED;
}

/* Destinations: from the block's own zone on, so that who asked for memory of a later zone still has it there. */
static int evac_prepare(struct pfai_evacuation *e)
{
	if (e->moves)
		return PFA_OK;
	e->dest = (struct pfa_dest){ .size = sizeof(e->dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE | PFA_ZONE(e->z->id) };
	e->call = (struct pfai_migration){ .dest = &e->dest, .move.function = e->function };
	int result = pfai_request_parse(e->p, &e->call.rq, 0, e->dest.flags, e->function);
	e->moves = result == PFA_OK && pfai_migration_begin(e->p, &e->call, true);
	return e->moves ? PFA_OK : PFA_EBUSY;
}

void pfai_evacuation_end(struct pfai_evacuation *e)
{
	if (e->moves)
		pfai_mover_end(e->p, e->call.move.slot);
	e->moves = false;
}

/* The block at rel is not to be moved. It may be gone since it was found, with what was moved before it. */
static int evac_stays(struct pfai_evacuation *e, size_t rel)
{
	switch (evac_byte(e, rel) & PFAI_STATE_MASK) {
	case PFAI_MOVABLE:
		return evac_blocked(e, rel, evac_reason(e, rel), PFA_EBUSY);
	case PFAI_HEAD:
		return evac_blocked(e, rel, PFA_BLOCKER_UNMOVABLE, PFA_EBUSY);
	default:
		return PFA_OK; /* free, or soon: the last look will see */
	}
}

/* The blocks from *at on, one or several: *at is behind them then. What stays is the last of them. */
static int evac_move(struct pfai_evacuation *e, unsigned *at, unsigned nr)
{
	int result;
	if (evac_prepare(e) != PFA_OK)
		return evac_blocked(e, e->heads[*at] - e->z->origin, PFA_BLOCKER_BUSY, PFA_EBUSY);
	*at += (unsigned)pfai_migrate_blocks(e->p, e->heads + *at, nr - *at, &e->call, &result);
	size_t rel = e->heads[*at - 1] - e->z->origin;
	switch (result) {
	case PFA_OK:
	case PFA_ESTOP: /* released: free, or as soon as its last pin is gone, which the last look will see */
		return PFA_OK;
	case PFA_ENOMEM:
		return evac_blocked(e, rel, PFA_BLOCKER_NOMEM, PFA_ENOMEM);
	case PFA_ECORRUPT:
		return evac_blocked(e, rel, PFA_BLOCKER_CORRUPT, PFA_ECORRUPT);
	case PFA_EAGAIN:
		return evac_blocked(e, rel, PFA_BLOCKER_REFUSED, PFA_EBUSY);
	default:
		return evac_stays(e, rel);
	}
}

/* Moves what was found, up to the first that stays; what has moved is free then. */
static int evac_group(struct pfai_evacuation *e)
{
	unsigned nr = e->nr_heads;
	int result = PFA_OK;
	e->nr_heads = 0;
	for (unsigned at = 0; at < nr && result == PFA_OK;)
		result = evac_move(e, &at, nr);
	/* After each group: who empties another range meanwhile does not meet its places for long. What the free of a source met is not in
	 * the result of its move. */
	bool sound = !e->moves || pfai_hand_empty(e->p, &e->call.hand) == PFA_OK;
	if (PFAI_UNLIKELY(nr && (!sound || pfai_load_relaxed(&e->z->st->corrupt))))
		return evac_blocked(e, e->heads[0] - e->z->origin, PFA_BLOCKER_CORRUPT, PFA_ECORRUPT);
	return result;
}

/* A walk has ended so: what it found last is moved, too. What stays of that lies before what ended it. */
static int evac_finish(struct pfai_evacuation *e, int result)
{
	int moved = evac_group(e);
	return moved != PFA_OK ? moved : result;
}

/* The frame at rel, where a block begins or none is. look: nothing is to be moved; else what can be is moved, or will be with others. */
static int evac_one(struct pfai_evacuation *e, size_t rel, uint8_t byte, bool look)
{
	bool fixed = evac_fixed(e);
	switch (byte & PFAI_STATE_MASK) {
	case PFAI_MOVABLE:
		if (fixed)
			return evac_blocked(e, rel, PFA_BLOCKER_MOVABLE, PFA_EAGAIN);
		if (look)
			return PFA_OK;
		e->heads[e->nr_heads++] = e->z->origin + rel;
		return PFA_OK;
	case PFAI_HEAD:
		return evac_blocked(e, rel, PFA_BLOCKER_UNMOVABLE, PFA_EBUSY);
	case 0:
		break;
	default: /* cached, quarantined, being freed */
		return look ? PFA_OK : evac_blocked(e, rel, PFA_BLOCKER_BUSY, fixed ? PFA_EAGAIN : PFA_EBUSY);
	}
	if (byte == PFAI_BAD)
		return evac_blocked(e, rel, PFA_BLOCKER_BAD, PFA_EBUSY);
	if (pfai_byte_is_absent(byte))
		return evac_blocked(e, rel, PFA_BLOCKER_RANGE, PFA_ERANGE);
	return PFA_OK; /* free, inside of a block, or a guard, which goes with its block */
}

/* Several frame bytes, read in one access. */
typedef pfai_aword __attribute__((may_alias)) evac_word;

#define EVAC_STEP sizeof(evac_word)

/* The frames from rel on whose bytes are one word, if each is free, or a movable block by itself: most are, and which of the two
 * no branch asks, since nobody can predict it. False: they are to be looked at one by one. */
static bool evac_step(struct pfai_evacuation *e, size_t rel, size_t hi, bool look)
{
	const pfai_a8 *at = e->p->bytes + pfai_offset_of_rel(e->z, rel);
	if (((uintptr_t)at & (EVAC_STEP - 1)) || hi - rel < EVAC_STEP)
		return false;
	pfai_word bytes = pfai_load_relaxed((const evac_word *)(uintptr_t)at);
	pfai_word used = bytes >> 7 & PFAI_ONES / 255; /* the highest bit of each byte: a movable block's has it, a free frame's has none */
	if (bytes != used * PFAI_MOVABLE || (used && evac_fixed(e)))
		return false;
	if (look || !used)
		return true;
	pfa_pfn pfn = e->z->origin + rel, *heads = e->heads + e->nr_heads;
	for (size_t i = 0; i < EVAC_STEP; i++) {
		*heads = pfn + i;
		heads += pfai_load_relaxed(&at[i]) == PFAI_MOVABLE;
	}
	e->nr_heads = (unsigned)(heads - e->heads);
	return true;
}

static int evac_walk(struct pfai_evacuation *e, size_t lo, size_t hi, bool look)
{
	int result = PFA_OK;
	for (size_t rel = evac_head(e, lo); rel < hi && result == PFA_OK;) {
		if (evac_step(e, rel, hi, look)) {
			rel += EVAC_STEP;
		} else {
			uint8_t byte = evac_byte(e, rel);
			unsigned order = byte & PFAI_STATE_MASK ? byte & PFAI_ORDER_MASK : 0;
			result = evac_one(e, rel, byte, look);
			rel += (size_t)1 << (order <= e->z->top_order ? order : 0);
		}
		if (result == PFA_OK && e->nr_heads > PFAI_EVACUATION_GROUP - EVAC_STEP) /* another step may find so many */
			result = evac_group(e);
	}
	return result;
}

int pfai_evacuable(struct pfai_evacuation *e, size_t lo, size_t hi)
{
	return evac_walk(e, lo, hi, true);
}

int pfai_evacuate(struct pfai_evacuation *e, size_t lo, size_t hi)
{
	return evac_finish(e, evac_walk(e, lo, hi, false));
}

/* Where the block begins that has the frames on both sides of rel; rel: there is none. */
static size_t evac_edge(const struct pfai_evacuation *e, size_t rel)
{
	if (rel <= e->z->start - e->z->origin || rel >= e->z->end - e->z->origin)
		return rel;
	size_t head = evac_head(e, rel);
	return evac_byte(e, head) & PFAI_STATE_MASK ? head : rel;
}

int pfai_evacuate_edge(struct pfai_evacuation *e, size_t rel)
{
	size_t head = evac_edge(e, rel);
	return head < rel ? evac_finish(e, evac_one(e, head, evac_byte(e, head), false)) : PFA_OK;
}

/* A frame that is not free after all that could be done. */
static int evac_left(struct pfai_evacuation *e, size_t rel)
{
	size_t head = evac_head(e, rel);
	uint8_t byte = evac_byte(e, head);
	int result = evac_one(e, head, byte, true);
	if (result != PFA_OK)
		return result;
	if (byte == PFAI_GUARD_BELOW || byte == PFAI_GUARD_ABOVE)
		return evac_blocked(e, rel, PFA_BLOCKER_UNMOVABLE, PFA_EBUSY);
	bool movable = (byte & PFAI_STATE_MASK) == PFAI_MOVABLE;
	return evac_blocked(e, head, movable ? evac_reason(e, head) : PFA_BLOCKER_BUSY, PFA_EBUSY);
}

int pfai_edge_clear(struct pfai_evacuation *e, size_t rel)
{
	return evac_edge(e, rel) < rel ? evac_left(e, rel) : PFA_OK;
}

/* The first frame of rels [lo, hi) that is not free, or hi. */
static size_t evac_first_used(const struct pfai_zone *z, size_t lo, size_t hi)
{
	while (lo < hi) {
		pfai_word used = z->not_free[lo >> PFAI_WORD_SHIFT] >> (lo & PFAI_WORD_MASK);
		if (used) {
			lo += pfai_ctz(used);
			return lo < hi ? lo : hi;
		}
		lo = (lo | PFAI_WORD_MASK) + 1;
	}
	return hi;
}

int pfai_evacuated(struct pfai_evacuation *e, size_t lo, size_t hi)
{
	struct pfa *p = e->p;
	while (lo < hi) {
		size_t stop = ((lo >> p->pb_order) + 1) << p->pb_order;
		stop = stop < hi ? stop : hi;
		if (!pfai_zone_lock(p, e->z))
			return evac_blocked(e, lo, PFA_BLOCKER_BUSY, PFA_EBUSY);
		size_t used = evac_first_used(e->z, lo, stop);
		pfai_zone_unlock(p, e->z);
		if (used < stop)
			return evac_left(e, used);
		lo = stop;
	}
	return PFA_OK;
}
