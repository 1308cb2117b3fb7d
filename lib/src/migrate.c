/* SPDX-License-Identifier: MIT */
#include "migrate.h"

#include "alloc.h"
#include "closed.h"
#include "content.h"
#include "damage.h"
#include "dest.h"
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

/* The block of m->order is locked, and stays so, whatever the result. */
PFAI_ALWAYS_INLINE int move_isolate_locked(struct pfa *p, struct pfai_move *m, struct pfai_entry *src)
{
	int result = PFA_EBUSY;
	if (!(pfai_load_relaxed(&src->refs) & (PFAI_REF_PINS | PFAI_REF_ISOLATED)))
		result = move_ask(p, m, src);
	if (result != PFA_OK)
		return result;
	if (pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED)
		return PFA_ESTOP;
	/* A plain store: without a pin nobody but the lock's holder changes the references. */
	pfai_store_relaxed(&src->refs, pfai_load_relaxed(&src->refs) | PFAI_REF_ISOLATED);
	m->held = true;
	m->counted = false;
	return PFA_OK;
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
	result = move_isolate_locked(p, m, src);
	return result == PFA_OK ? PFA_OK : move_unlock(p, m, result);
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

/* Is the destination the mover's alone? PFA_EMISUSE: what the caller's take() gave is not; PFA_ECORRUPT: nor is our own any more. */
static inline int move_claim(struct pfa *p, struct pfai_move *m)
{
	if (!m->taken)
		return PFAI_LIKELY(pfai_claim_block(p, m->dst, m->order)) ? PFA_OK : PFA_EMISUSE;
	m->taken = false; /* no claim to win, but the byte is to say what was written */
	if (!PFA_HARDENING || PFAI_LIKELY(pfai_load_relaxed(&p->bytes[m->dst]) == (PFAI_FREEING | m->order)))
		return PFA_OK;
	pfai_zone_mark_corrupt(m->to, PFAI_DAMAGE_FREE);
	return PFA_ECORRUPT;
}

/* The destination becomes a movable block of the source's owner, locked and isolated by the mover. Source locked. The owner's
 * total and the zones' statistics count both as one, since one of them will remain. */
PFAI_ALWAYS_INLINE int move_prepare(struct pfa *p, struct pfai_move *m, const struct pfai_entry *src, struct pfai_entry *dst)
{
	uint32_t owner = pfai_load_relaxed(&src->refs) >> PFAI_REF_OWNER_SHIFT;
	const int claimed = move_claim(p, m);
	if (PFAI_UNLIKELY(claimed != PFA_OK)) {
		if (claimed == PFA_EMISUSE)
			pfai_move_wrong_dst(m, PFA_FAULT_DESTINATION);
		m->dst = PFAI_NONE;
		return claimed;
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
		pfai_move_wrong_dst(m, PFA_FAULT_NOT_MOVED);
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

/* The content has moved, and the source is released, not by its owner. Both locked. word: see move_source(). */
PFAI_ALWAYS_INLINE void move_done(struct pfa *p, struct pfai_move *m, struct pfai_entry *src, struct pfai_entry *dst, uint32_t word)
{
	uint32_t owner = pfai_load_relaxed(&src->refs) & ~(PFAI_REF_PINS | PFAI_REF_ISOLATED);
	if (PFAI_UNLIKELY(m->to != m->zone)) {
		pfai_movable_count(m->to, move_frames(m), 0);
		pfai_movable_count(m->zone, 0 - move_frames(m), 0);
	}
	pfai_store_relaxed(&dst->refs, owner);
	if (PFAI_UNLIKELY(pfai_page_unlock(p, dst)))
		(void)pfai_movable_lose_owner(p, m->dst, m->function);
	move_source(p, m, src, word);
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

/* What is due after try number i, of which this is the result. The others are as for move_failed(). *more: nothing is decided, src is
 * still isolated. */
PFAI_ALWAYS_INLINE int move_judge(struct pfa *p, struct pfai_move *m, unsigned i, bool prepared, int locked, int result, bool *more)
{
	struct pfai_entry *src = pfai_entry_at(p, m->src);
	*more = false;
	if (result == PFA_OK) {
		uint32_t word = pfai_page_release_held(src);
		if (PFAI_LIKELY(!(word & PFAI_ENTRY_RELEASED))) { /* else its owner was faster */
			move_done(p, m, src, pfai_entry_at(p, m->dst), word);
			return PFA_OK;
		}
	}
	if (result == PFA_EAGAIN && i + 1 < pfa_migrate_tries(m->mode) && !(pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED)) {
		*more = true;
		return pfai_move_unlock(p, m);
	}
	return move_failed(p, m, prepared, locked, result);
}

/* Try number i, from locking the source to unlocking it or putting it back. */
PFAI_ALWAYS_INLINE int move_try(struct pfa *p, struct pfai_move *m, unsigned i, bool *more)
{
	struct pfai_entry *src = pfai_entry_at(p, m->src), *dst = pfai_entry_at(p, m->dst);
	int locked = move_lock_again(p, m), result = locked == PFA_OK ? PFA_OK : PFA_EBUSY;
	bool prepared = i != 0;
	if (result == PFA_OK && (pfai_load_relaxed(&src->refs) & PFAI_REF_PINS))
		result = PFA_EBUSY;
	if (result == PFA_OK && !prepared) {
		result = move_prepare(p, m, src, dst);
		prepared = result == PFA_OK;
	}
	if (result == PFA_OK)
		result = move_once(p, m, src);
	return move_judge(p, m, i, prepared, locked, result, more);
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

/* The first try ended so. */
PFAI_ALWAYS_INLINE int move_rest(struct pfa *p, struct pfai_move *m, bool more, int result)
{
	if (PFAI_UNLIKELY(more))
		result = move_again(p, m);
	return move_told(p, m, result);
}

PFAI_ALWAYS_INLINE int move_to(struct pfa *p, struct pfai_move *m)
{
	bool more;
	int result = move_try(p, m, 0, &more);
	return move_rest(p, m, more, result);
}

int pfai_move_to(struct pfa *p, struct pfai_move *m)
{
	return move_to(p, m);
}

/* ---- pfa_migrate ------------------------------------------------------------------------------------------------- */

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
	if (!call->zone_ahead)
		return;
	m->ahead = heads[MIGRATE_AHEAD] - p->base;
	if (p->pool) /* for its address alone: see pfai_dest_take_held() */
		pfai_prefetch_once(pfai_frame_at(p, heads[MIGRATE_AHEAD]));
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
	if (!pfai_dest_take_held(p, call, more)) {
		(void)pfai_move_unlock(p, m); /* frees nothing: the mover's reference is left */
		(void)pfai_told(p, pfai_hand_empty(p, &call->hand), m->function); /* it may be what there is no more of */
		result = pfai_dest_take(p, call);
	}
	if (result != PFA_OK) {
		int back = pfai_move_putback(p, m);
		return back == PFA_OK ? result : back;
	}
	result = move_to(p, m);
	if (result != PFA_OK)
		pfai_dest_give(p, call->dest, m);
	return result;
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

/* How many of these blocks, at most, a cluster that begins with the first can have: as many as there are destinations. */
static unsigned cluster_most(struct pfa *p, struct pfai_migration *call, const pfa_pfn heads[], size_t nr)
{
	struct pfai_zone *z = call->move.zone;
	if (!z || pfai_load_relaxed(&z->st->corrupt) || !pfai_zone_lockable(p, z) ||
	    pfai_load_relaxed(&p->bytes[heads[0] - p->base]) != PFAI_MOVABLE)
		return 0;
	if (call->has_hand && !pfai_hand_has(&call->hand, 0))
		pfai_hand_fill(p, &call->hand, &call->rq, 0, nr);
	const unsigned most = pfai_hand_has(&call->hand, 0) ? call->hand.n - call->hand.at : 0;
	return nr < most ? (unsigned)nr : most;
}

/* Takes the page locks of the first of these blocks, as long as each is free, and there is a destination for it; waits for none, since who
 * waits for one of them must find that its holder goes on. A locked instruction behind a copy waits until all of the copy is in memory,
 * and nothing is read meanwhile: so the copies of a cluster have none between them. Single frames only: the locks are had for as long
 * as all of the copies take. */
static unsigned cluster_lock(struct pfa *p, struct pfai_migration *call, const pfa_pfn heads[], size_t nr)
{
	struct pfai_move *m = &call->move;
	struct pfai_zone *z = m->zone = pfai_zone_of(p, heads[0]);
	const unsigned most = cluster_most(p, call, heads, nr);
	unsigned n = 0;
	for (; n < most && heads[n] - z->start < z->end - z->start; n++) {
		const size_t offset = heads[n] - p->base;
		if (pfai_load_relaxed(&p->bytes[offset]) != PFAI_MOVABLE || !pfai_page_take(pfai_entry_at(p, offset), m->self))
			break;
		if (nr - n > most) /* of the next cluster, or the one block before that */
			(void)migrate_ahead(p, heads[most + n], z);
	}
	return n;
}

/* The next block of the cluster. PFA_OK: its content has moved; else, if m->held, it is isolated, and *prepared is as in move_failed(). */
PFAI_ALWAYS_INLINE int cluster_move(struct pfa *p, struct pfai_migration *call, struct pfai_entry *src, bool *prepared)
{
	struct pfai_move *m = &call->move;
	m->held = *prepared = false;
	int result = move_isolate_locked(p, m, src);
	if (result != PFA_OK)
		return result;
	m->dst = pfai_hand_take(p, &call->hand);
	m->to = call->hand.zone;
	m->taken = true;
	result = move_prepare(p, m, src, pfai_entry_at(p, m->dst));
	*prepared = result == PFA_OK;
	if (result == PFA_OK)
		result = move_once(p, m, src);
	return result == PFA_OK && (pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED) ? PFA_ESTOP : result;
}

/* What the cluster has not come to, from heads[first] on, stays. Returns which of them an op has released, a bit each. */
static uint32_t PFAI_COLD cluster_leave(struct pfa *p, const pfa_pfn heads[], unsigned first, unsigned n)
{
	uint32_t released = 0;
	for (unsigned i = first; i < n; i++)
		released |= (uint32_t)pfai_page_unlock(p, pfai_entry_at(p, heads[i] - p->base)) << i;
	return released;
}

/* Their frees are finished, which may tell of damage: with no page lock. */
static void PFAI_COLD cluster_lose(struct pfa *p, const struct pfai_move *m, const pfa_pfn heads[], uint32_t released)
{
	for (; released; released &= released - 1)
		(void)pfai_movable_lose_owner(p, heads[pfai_ctz(released)] - p->base, m->function);
}

/* The content of heads[0] to heads[moved - 1] has moved to dst[]. */
static void cluster_finish(struct pfa *p, struct pfai_move *m, const pfa_pfn heads[], unsigned moved, const uint32_t dst[])
{
	m->counted = false;
	for (unsigned i = 0; i < moved; i++) {
		m->src = heads[i] - p->base;
		m->dst = dst[i];
		struct pfai_entry *src = pfai_entry_at(p, m->src);
		uint32_t word = pfai_page_release_held(src);
		if (PFAI_UNLIKELY(word & PFAI_ENTRY_RELEASED)) { /* by an op, after migrate() had said that it is no more */
			(void)pfai_add32(&move_owner(p, src)->live, 1u);
			m->dst_fault = PFA_FAULT_DOUBLE_FREE_RACE;
			m->dst_fault_at = m->src;
		}
		move_done(p, m, src, pfai_entry_at(p, m->dst), word);
	}
}

/* Nothing is locked any more but the block at m->src, which is what the cluster ended at. */
static int PFAI_COLD cluster_odd(struct pfa *p, const struct pfai_migration *call, struct pfai_move *m, bool prepared, int result)
{
	bool more;
	if (!m->held)
		return move_unlock(p, m, result);
	m->held = false;
	result = move_judge(p, m, 0, prepared, PFA_OK, result, &more);
	result = move_rest(p, m, more, result);
	if (result != PFA_OK)
		pfai_dest_give(p, call->dest, m);
	return result;
}

size_t pfai_migrate_blocks(struct pfa *p, const pfa_pfn heads[], size_t nr, struct pfai_migration *call, int *result)
{
	struct pfai_move *m = &call->move;
	uint32_t dst[PFAI_HAND_BLOCKS];
	unsigned n = cluster_lock(p, call, heads, nr), moved = 0;
	bool prepared = false;
	*result = PFA_OK;
	m->said_wrong = false;
	m->dst_fault = PFA_FAULT_NONE;
	m->order = 0;
	m->ahead = PFAI_NONE;
	for (; moved < n; moved++) {
		m->src = heads[moved] - p->base;
		struct pfai_entry *src = pfai_entry_at(p, m->src);
		if ((pfai_load_relaxed(&src->lock) & PFAI_ENTRY_RELEASED) || pfai_load_relaxed(&p->bytes[m->src]) != PFAI_MOVABLE ||
		    pfai_load_relaxed(&m->zone->st->corrupt))
			break; /* no single frame, or gone since */
		*result = cluster_move(p, call, src, &prepared);
		if (PFAI_UNLIKELY(*result != PFA_OK))
			break;
		dst[moved] = (uint32_t)m->dst;
	}
	bool odd = *result != PFA_OK;
	const size_t odd_src = m->src, odd_dst = m->dst;
	uint32_t released = 0;
	if (PFAI_UNLIKELY(moved + odd < n))
		released = cluster_leave(p, heads, moved + odd, n);
	cluster_finish(p, m, heads, moved, dst);
	m->src = odd_src;
	m->dst = odd_dst;
	if (PFAI_UNLIKELY(odd))
		*result = cluster_odd(p, call, m, prepared, *result);
	else if (moved)
		*result = move_told(p, m, PFA_OK);
	else
		*result = migrate_block(p, heads, nr - 1, call);
	if (PFAI_UNLIKELY(released))
		cluster_lose(p, m, heads, released);
	return moved + (odd || !moved);
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
	if (!pfai_dest_fine(p, dest, &call.rq))
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
