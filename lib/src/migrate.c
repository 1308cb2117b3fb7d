/* SPDX-License-Identifier: MIT */
#include "migrate.h"

#include "alloc.h"
#include "closed.h"
#include "content.h"
#include "damage.h"
#include "fault.h"
#include "freeing.h"
#include "generation.h"

/* Looks at a lock that cannot be waited for, before its block is given up on: whoever has it is another thread that runs. */
#define MIGRATE_SPINS (1u << 20)

/* Blocks between the one that is moved and the one whose metadata is asked for: one move takes longer than memory does. */
#define MIGRATE_AHEAD 1u

/* So much of the next block's content is asked for while the copy of this one is on its way to memory: as long as that takes
 * nothing else is done, and the processor would not begin with the next copy by itself. */
#define MIGRATE_AHEAD_BYTES 1024u
#define MIGRATE_LINE 64u

unsigned pfa_migrate_tries(enum pfa_migrate_mode mode)
{
	switch (mode) {
	case PFA_MIGRATE_ASYNC: return 1;
	case PFA_MIGRATE_SYNC_LIGHT: return 3;
	case PFA_MIGRATE_SYNC: return 10;
	default: return 0;
	}
}

static inline struct pfai_owner *move_owner(const struct pfa *p, const struct pfai_entry *src)
{
	return pfai_owner_at(p, pfai_load_relaxed(&src->refs) >> PFAI_REF_OWNER_SHIFT);
}

static inline size_t move_frames(const struct pfai_move *m)
{
	return (size_t)1 << m->order;
}

/* The mover gives the page lock of the block that it has isolated up. Most blocks move before that, and are not counted: two
 * additions less that all cpus see. */
static void move_count(struct pfai_move *m)
{
	if (!m->counted)
		pfai_movable_count(m->zone, 0, move_frames(m));
	m->counted = true;
}

/* It is isolated no longer. */
static inline void move_uncount(struct pfai_move *m)
{
	if (PFAI_UNLIKELY(m->counted))
		pfai_movable_count(m->zone, 0, 0 - move_frames(m));
	m->counted = false;
}

static void move_wrong_dst(struct pfai_move *m, enum pfa_fault_kind kind)
{
	m->dst_fault = kind;
	m->dst_fault_at = m->dst;
}

/* What an op said, if it may say that; else it is told later, and counts as a refusal. */
static int move_said(struct pfai_move *m, int said)
{
	if (said == PFA_OK || said == PFA_EAGAIN || said == PFA_EBUSY)
		return said;
	m->said_wrong = true;
	return PFA_EBUSY;
}

static void PFAI_COLD move_tell(struct pfa *p, struct pfai_move *m)
{
	if (m->said_wrong)
		(void)pfai_fault(p, PFA_FAULT_OWNER_RESULT, p->base + m->src, m->order, m->function);
	if (m->dst_fault != PFA_FAULT_NONE)
		(void)pfai_fault(p, m->dst_fault, p->base + m->dst_fault_at, m->order, m->function);
	m->said_wrong = false;
	m->dst_fault = PFA_FAULT_NONE;
}

/* Nothing is locked by the mover any more: tells what there is to tell. */
static inline int move_told(struct pfa *p, struct pfai_move *m, int result)
{
	if (PFAI_UNLIKELY(m->said_wrong || m->dst_fault != PFA_FAULT_NONE))
		move_tell(p, m);
	return result;
}

/* Gives up the page lock of a source that is not, or no longer isolated. A release that came meanwhile goes before any result. */
static int move_unlock(struct pfa *p, struct pfai_move *m, int result)
{
	bool released = pfai_load_relaxed(&pfai_entry_at(p, m->src)->lock) & PFAI_ENTRY_RELEASED;
	int freed = pfai_movable_unlock(p, m->src, m->function);
	if (freed != PFA_OK)
		result = freed;
	else if (released)
		result = PFA_ESTOP;
	return move_told(p, m, result);
}

/* ---- isolate ----------------------------------------------------------------------------------------------------- */

static inline int move_ask(struct pfa *p, struct pfai_move *m, const struct pfai_entry *src)
{
	const struct pfai_owner *o = m->owner = move_owner(p, src);
	pfai_op_enter(p, m->slot, m->self);
	int said = o->ops.isolate(o->ctx, p->base + m->src, m->order, src->cookie, m->mode);
	pfai_op_leave(p, m->slot);
	return move_said(m, said);
}

PFAI_ALWAYS_INLINE int move_isolate(struct pfa *p, struct pfai_move *m)
{
	struct pfai_entry *src = pfai_entry_at(p, m->src);
	m->said_wrong = false;
	m->dst_fault = PFA_FAULT_NONE;
	int result = pfai_page_take(src, m->self) ? PFA_OK : pfai_page_lock(p, src, m->mode != PFA_MIGRATE_ASYNC);
	if (result != PFA_OK)
		return result == PFA_EINVAL ? PFA_EINVAL : PFA_EBUSY;
	m->order = pfai_load_relaxed(&p->bytes[m->src]) & PFAI_ORDER_MASK;
	if (pfai_load_relaxed(&src->refs) & (PFAI_REF_PINS | PFAI_REF_ISOLATED))
		result = PFA_EBUSY;
	else
		result = move_ask(p, m, src);
	bool released = pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED;
	if (result != PFA_OK || released)
		return move_unlock(p, m, result);
	/* A plain store: without a pin nobody but the lock's holder changes the references. */
	pfai_store_relaxed(&src->refs, pfai_load_relaxed(&src->refs) | PFAI_REF_ISOLATED);
	m->held = true;
	m->counted = false;
	return PFA_OK;
}

int pfai_move_isolate(struct pfa *p, struct pfai_move *m)
{
	return move_isolate(p, m);
}

int pfai_move_unlock(struct pfa *p, struct pfai_move *m)
{
	m->held = false;
	move_count(m);
	return pfai_movable_unlock(p, m->src, m->function);
}

/* ---- put back ---------------------------------------------------------------------------------------------------- */

/* Locks the isolated block, whoever else wants it. PFA_OK; PFA_ESTOP: it was released; PFA_EDEADLK: the caller has it, from a
 * destination policy that has left it locked; PFA_EBUSY: the platform cannot wait, and the holder does not end. */
static int PFAI_COLD move_lock(struct pfa *p, const struct pfai_move *m)
{
	int result = PFA_EBUSY;
	for (uint32_t tries = 0; tries < MIGRATE_SPINS && result == PFA_EBUSY; tries++)
		result = pfai_page_lock(p, pfai_entry_at(p, m->src), true);
	return result == PFA_EINVAL ? PFA_ESTOP : result;
}

/* The same where the mover may have kept the lock since it isolated the block. */
static inline int move_lock_again(struct pfa *p, struct pfai_move *m)
{
	if (!m->held)
		return move_lock(p, m);
	m->held = false;
	if (!(pfai_load_relaxed(&pfai_entry_at(p, m->src)->lock) & PFAI_ENTRY_RELEASED))
		return PFA_OK;
	(void)pfai_movable_unlock(p, m->src, m->function); /* takes the owner out; the mover's reference is left */
	return PFA_ESTOP;
}

/* The block was released: the mover's reference goes. */
static int move_let_go(struct pfa *p, struct pfai_move *m)
{
	move_uncount(m);
	int freed = pfai_movable_drop(p, m->src, PFAI_REF_ISOLATED, m->function);
	return move_told(p, m, freed == PFA_OK ? PFA_ESTOP : freed);
}

/* The isolated block's page lock is the caller's. unlock: he wants to be rid of it. */
static int move_putback_locked(struct pfa *p, struct pfai_move *m, bool unlock, int result)
{
	struct pfai_entry *src = pfai_entry_at(p, m->src);
	const struct pfai_owner *o = move_owner(p, src);
	if (!(pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED)) {
		pfai_op_enter(p, m->slot, m->self);
		o->ops.putback(o->ctx, p->base + m->src, m->order, src->cookie);
		pfai_op_leave(p, m->slot);
		pfai_add_relaxed(&m->zone->st->moves.putback, 1u);
	}
	(void)pfai_refs_drop(src, PFAI_REF_ISOLATED); /* never the last: the owner is taken out after the unlock */
	move_uncount(m);
	return unlock ? move_unlock(p, m, result) : move_told(p, m, result);
}

static int move_putback(struct pfa *p, struct pfai_move *m, int result)
{
	int locked = move_lock_again(p, m);
	if (locked == PFA_ESTOP)
		return move_let_go(p, m);
	if (locked == PFA_EBUSY) { /* not told that it is put back: there is no way to */
		move_uncount(m);
		int freed = pfai_movable_drop(p, m->src, PFAI_REF_ISOLATED, m->function);
		return move_told(p, m, freed == PFA_OK ? result : freed);
	}
	return move_putback_locked(p, m, locked == PFA_OK, result);
}

int pfai_move_putback(struct pfa *p, struct pfai_move *m)
{
	return move_putback(p, m, PFA_OK);
}

/* ---- migrate ----------------------------------------------------------------------------------------------------- */

/* Is the destination the mover's alone? */
static inline bool move_claim(struct pfa *p, struct pfai_move *m)
{
	if (!m->taken)
		return pfai_claim_block(p, m->dst, m->order);
	m->taken = false; /* no claim to win, but the byte is to say what was written */
	return !PFA_HARDENING || pfai_load_relaxed(&p->bytes[m->dst]) == (PFAI_FREEING | m->order);
}

/* The destination becomes a movable block of the source's owner, locked and isolated by the mover. Source locked. The owner's
 * total and the zones' statistics count both as one, since one of them will remain. */
PFAI_ALWAYS_INLINE int move_prepare(struct pfa *p, struct pfai_move *m, const struct pfai_entry *src, struct pfai_entry *dst)
{
	uint32_t owner = pfai_load_relaxed(&src->refs) >> PFAI_REF_OWNER_SHIFT;
	if (PFAI_UNLIKELY(!move_claim(p, m))) {
		move_wrong_dst(m, PFA_FAULT_DESTINATION);
		m->dst = PFAI_NONE;
		return PFA_EMISUSE;
	}
	pfai_entry_make(dst, owner, PFAI_REF_ISOLATED, src->cookie, m->self);
	pfai_unclaim_as(p, m->dst, PFAI_MOVABLE | m->order);
	return PFA_OK;
}

/* The destination was not taken: it is the caller's again. */
static void PFAI_COLD move_unprepare(struct pfa *p, struct pfai_move *m)
{
	struct pfai_entry *dst = pfai_entry_at(p, m->dst);
	uint32_t owner = pfai_load_relaxed(&dst->refs) >> PFAI_REF_OWNER_SHIFT;
	/* As if freed: who frees it from now on is told so, and nobody can lock it. */
	bool freed = pfai_page_release_held(dst) & PFAI_ENTRY_RELEASED;
	bool claimed = pfai_claim_movable(p, m->dst, m->order);
	(void)pfai_entry_clear(p, dst);
	if (freed) {
		(void)pfai_add32(&pfai_owner_at(p, owner)->live, 1u);
		move_wrong_dst(m, PFA_FAULT_NOT_MOVED);
	}
	if (claimed)
		pfai_unclaim_block(p, m->dst, m->order);
}

/* The source has moved, and is nobody's but the mover's. word: its lock's, before the mover released it. */
PFAI_ALWAYS_INLINE void move_source(struct pfa *p, struct pfai_move *m, struct pfai_entry *src, uint32_t word)
{
	move_uncount(m);
	if (m->hand && pfai_claim_movable_alone(p, m->src, m->order)) {
		pfai_entry_clear_held(p, src, word);
		pfai_hand_put(p, m->hand, m->zone, m->src);
		return;
	}
	pfai_store_relaxed(&src->refs, PFAI_REF_ISOLATED);
	pfai_add_relaxed(&m->zone->st->moves.migrated, 1u);
	(void)pfai_movable_moved(p, m->src, m->capture, m->function);
}

/* The content has moved. The source is released by the mover, unless its owner was faster: then false. Both locked. */
PFAI_ALWAYS_INLINE bool move_done(struct pfa *p, struct pfai_move *m, struct pfai_entry *src, struct pfai_entry *dst)
{
	uint32_t owner = pfai_load_relaxed(&src->refs) & ~(PFAI_REF_PINS | PFAI_REF_ISOLATED);
	uint32_t word = pfai_page_release_held(src);
	if (PFAI_UNLIKELY(word & PFAI_ENTRY_RELEASED))
		return false;
	if (PFAI_UNLIKELY(m->to != m->zone)) {
		pfai_movable_count(m->to, move_frames(m), 0);
		pfai_movable_count(m->zone, 0 - move_frames(m), 0);
	}
	pfai_store_relaxed(&dst->refs, owner);
	if (PFAI_UNLIKELY(pfai_page_unlock(p, dst)))
		(void)pfai_movable_lose_owner(p, m->dst, m->function);
	move_source(p, m, src, word);
	return true;
}

/* An op has just copied. */
PFAI_ALWAYS_INLINE void move_ahead(const struct pfa *p, const struct pfai_move *m)
{
	if (m->ahead == PFAI_NONE || !p->pool)
		return;
	const unsigned char *next = pfai_frame_at(p, p->base + m->ahead);
	size_t frame = (size_t)1 << p->frame_shift, bytes = frame < MIGRATE_AHEAD_BYTES ? frame : MIGRATE_AHEAD_BYTES;
	for (size_t at = 0; at < bytes; at += MIGRATE_LINE)
		pfai_prefetch_once(next + at);
}

/* Calls migrate() once. Both are locked. */
PFAI_ALWAYS_INLINE int move_once(struct pfa *p, struct pfai_move *m, const struct pfai_entry *src)
{
	const struct pfai_owner *o = m->owner;
	pfai_op_enter(p, m->slot, m->self);
	int said = o->ops.migrate(o->ctx, p->base + m->dst, p->base + m->src, m->order, src->cookie, m->mode);
	pfai_op_leave(p, m->slot);
	move_ahead(p, m);
	if (said == PFA_EAGAIN)
		pfai_add_relaxed(&m->zone->st->moves.again, 1u);
	return move_said(m, said);
}

/* A try ends without a move. prepared: dst is movable; locked: what move_lock_again() said. */
static int PFAI_COLD move_failed(struct pfa *p, struct pfai_move *m, bool prepared, int locked, int result)
{
	if (prepared)
		move_unprepare(p, m);
	if (locked == PFA_ESTOP)
		return move_let_go(p, m);
	if (locked == PFA_OK || locked == PFA_EDEADLK)
		return move_putback_locked(p, m, locked == PFA_OK, result);
	return move_putback(p, m, result);
}

/* Try number i, from locking the source to unlocking it or putting it back. *more: nothing is decided, src is still isolated. */
PFAI_ALWAYS_INLINE int move_try(struct pfa *p, struct pfai_move *m, unsigned i, bool *more)
{
	struct pfai_entry *src = pfai_entry_at(p, m->src), *dst = pfai_entry_at(p, m->dst);
	int locked = move_lock_again(p, m), result = locked == PFA_OK ? PFA_OK : PFA_EBUSY;
	bool prepared = i != 0;
	*more = false;
	if (result == PFA_OK && (pfai_load_relaxed(&src->refs) & PFAI_REF_PINS))
		result = PFA_EBUSY;
	if (result == PFA_OK && !prepared) {
		result = move_prepare(p, m, src, dst);
		prepared = result == PFA_OK;
	}
	if (result == PFA_OK) {
		result = move_once(p, m, src);
		if (result == PFA_OK && move_done(p, m, src, dst))
			return PFA_OK;
	}
	if (result == PFA_EAGAIN && i + 1 < pfa_migrate_tries(m->mode) && !(pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED)) {
		*more = true;
		return pfai_move_unlock(p, m);
	}
	return move_failed(p, m, prepared, locked, result);
}

/* The tries after the first. */
static int PFAI_COLD move_again(struct pfa *p, struct pfai_move *m)
{
	bool more = true;
	int result = PFA_EBUSY;
	for (unsigned i = 1; more; i++)
		result = move_try(p, m, i, &more);
	return result;
}

PFAI_ALWAYS_INLINE int move_to(struct pfa *p, struct pfai_move *m)
{
	bool more;
	int result = move_try(p, m, 0, &more);
	if (PFAI_UNLIKELY(more))
		result = move_again(p, m);
	return move_told(p, m, result);
}

int pfai_move_to(struct pfa *p, struct pfai_move *m)
{
	return move_to(p, m);
}

/* ---- pfa_migrate ------------------------------------------------------------------------------------------------- */

#define MIGRATE_FLAGS (PFA_TYPE_MASK | PFA_NOWAIT | PFA_HIGH | PFA_NORETRY | PFA_EXACT_ZONE | 0xFF000000u)

static bool dest_fine(const struct pfa *p, const struct pfa_dest *dest, struct pfai_request *rq)
{
	const unsigned char *bytes = (const unsigned char *)dest;
	if (dest->size < sizeof(*dest) || !pfa_migrate_tries(dest->mode))
		return false;
	for (size_t i = sizeof(*dest); i < dest->size; i++)
		if (bytes[i])
			return false;
	uint32_t flags = dest->flags | (dest->mode == PFA_MIGRATE_ASYNC ? PFA_NOWAIT : 0);
	return dest->take || (!(dest->flags & ~MIGRATE_FLAGS) && pfai_request_parse(p, rq, 0, flags, "pfa_migrate") == PFA_OK);
}

/* While the mover has the page lock of src: nobody may be waited for, and nothing told. True: m->dst is ours, FREEING. */
static inline bool dest_take_held(struct pfa *p, struct pfai_migration *call, struct pfai_move *m, size_t more)
{
	struct pfai_hand *hand = &call->hand;
	if (PFAI_LIKELY(pfai_hand_has(hand, m->order))) {
		m->dst = pfai_hand_take(p, hand);
		m->to = hand->zone;
		m->taken = true;
		return true;
	}
	m->taken = call->from_hand && pfai_hand_refill(p, hand, &call->rq, m->order, call->has_hand ? more : 0, &m->dst);
	if (m->taken)
		m->to = pfai_zone_of(p, p->base + m->dst);
	return m->taken;
}

/* A block of m->order in m->dst, HEAD and ours. */
static int PFAI_NOINLINE dest_take(struct pfa *p, const struct pfai_migration *call, struct pfai_move *m)
{
	const struct pfa_dest *dest = call->dest;
	struct pfai_request rq = call->rq;
	pfa_pfn pfn = 0;
	m->taken = false;
	if (dest->take) {
		if (dest->take(dest->ctx, p->base + m->src, m->order, &pfn) != PFA_OK)
			return PFA_ENOMEM;
		m->dst = pfn - p->base;
		m->to = pfai_zone_of(p, pfn);
		if (m->to)
			return PFA_OK;
		move_wrong_dst(m, PFA_FAULT_DESTINATION);
		return PFA_EMISUSE;
	}
	rq.order = m->order;
	int result = pfai_request_serve(p, &rq);
	if (result == PFA_OK)
		result = pfai_request_finish(p, &rq, rq.pfn, move_frames(m), m->order);
	if (result == PFA_OK) {
		m->dst = rq.pfn - p->base;
		m->to = rq.zone;
	}
	return result == PFA_OK || result == PFA_ECORRUPT ? result : PFA_ENOMEM;
}

static void PFAI_COLD dest_give(struct pfa *p, const struct pfa_dest *dest, const struct pfai_move *m)
{
	if (m->taken) /* it was not even looked at */
		pfai_unclaim_block(p, m->dst, m->order);
	if (dest->take && dest->give)
		dest->give(dest->ctx, p->base + m->dst, m->order);
	else
		(void)pfai_free_block(p, p->base + m->dst, m->order, m->function);
}

/* What will be looked at when this block is moved; near: the zone of another. Its zone; NULL: it is in none. */
static inline struct pfai_zone *migrate_ahead(const struct pfa *p, pfa_pfn head, struct pfai_zone *near)
{
	struct pfai_zone *z = near && head - near->start < near->end - near->start ? near : pfai_zone_of(p, head);
	if (!z)
		return NULL;
	pfai_prefetch(pfai_entry_at(p, head - p->base));
	pfai_prefetch((const void *)(uintptr_t)&p->bytes[head - p->base]);
	pfai_prefetch(&z->not_free[(head - z->origin) >> PFAI_WORD_SHIFT]);
	pfai_prefetch(&z->leaf[(head - z->origin) >> p->leaf_order]);
	pfai_prefetch(pfai_pb_at(p, z, head - z->origin));
	if (p->pool) /* for its address alone: see pfai_hand_take() */
		pfai_prefetch_once(pfai_frame_at(p, head));
	return z;
}

/* The next block is that at heads[0]; what comes after it is looked at ahead. */
static inline void migrate_next(const struct pfa *p, struct pfai_migration *call, const pfa_pfn heads[], size_t more)
{
	struct pfai_move *m = &call->move;
	m->src = heads[0] - p->base;
	m->zone = call->zone_ahead && m->ahead == m->src ? call->zone_ahead : pfai_zone_of(p, heads[0]);
	m->ahead = PFAI_NONE;
	call->zone_ahead = more >= MIGRATE_AHEAD ? migrate_ahead(p, heads[MIGRATE_AHEAD], m->zone) : NULL;
	if (call->zone_ahead)
		m->ahead = heads[MIGRATE_AHEAD] - p->base;
}

PFAI_ALWAYS_INLINE int migrate_block(struct pfa *p, const pfa_pfn heads[], size_t more, struct pfai_migration *call)
{
	struct pfai_move *m = &call->move;
	migrate_next(p, call, heads, more);
	if (!m->zone)
		return PFA_ERANGE;
	if (pfai_load_relaxed(&m->zone->st->corrupt))
		return PFA_ECORRUPT;
	if (!pfai_zone_lockable(p, m->zone))
		return PFA_EBUSY;
	int result = move_isolate(p, m);
	if (result != PFA_OK)
		return result;
	if (!dest_take_held(p, call, m, more)) {
		(void)pfai_move_unlock(p, m); /* frees nothing: the mover's reference is left */
		(void)pfai_told(p, pfai_hand_empty(p, &call->hand), m->function); /* it may be what there is no more of */
		result = dest_take(p, call, m);
	}
	if (result != PFA_OK) {
		int back = pfai_move_putback(p, m);
		return back == PFA_OK ? result : back;
	}
	result = move_to(p, m);
	if (result != PFA_OK && m->dst != PFAI_NONE) /* what is no such block is left alone, whatever else happened */
		dest_give(p, call->dest, m);
	return result;
}

int pfai_migrate_block(struct pfa *p, const pfa_pfn heads[], size_t more, struct pfai_migration *call)
{
	return migrate_block(p, heads, more, call);
}

bool pfai_migration_begin(struct pfa *p, struct pfai_migration *call, bool many)
{
	struct pfai_move *m = &call->move;
	call->from_hand = !call->dest->take && pfai_hand_possible(p, &call->rq);
	call->has_hand = many && call->from_hand;
	m->mode = call->dest->mode;
	m->hand = call->has_hand ? &call->hand : NULL;
	m->ahead = PFAI_NONE;
	m->self = pfai_self(p);
	return pfai_mover_begin(p, &m->slot);
}

int pfa_migrate(struct pfa *p, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int out_results[])
{
	int result = pfai_closed_or_inside(p, "pfa_migrate");
	if (result != PFA_OK)
		return result;
	if (!p->table)
		return PFA_ENOTSUP;
	struct pfai_migration call = { .dest = dest, .move.function = "pfa_migrate" };
	if (!dest_fine(p, dest, &call.rq))
		return PFA_EINVAL;
	bool mover = pfai_migration_begin(p, &call, nr > 1);
	for (size_t i = 0; i < nr; i++) {
		out_results[i] = mover ? migrate_block(p, heads + i, nr - i - 1, &call) : PFA_EBUSY;
		if (out_results[i] != PFA_OK)
			result = PFA_EAGAIN;
	}
	(void)pfai_told(p, pfai_hand_empty(p, &call.hand), "pfa_migrate"); /* the blocks were moved all the same */
	if (mover)
		pfai_mover_end(p, call.move.slot);
	return result;
}
