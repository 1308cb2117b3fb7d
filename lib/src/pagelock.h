/* SPDX-License-Identifier: MIT
 *
 * Layer 4: entries of the owner table: the page lock, the references, and which threads are inside an owner's op.
 *
 * A movable block's frame byte says MOVABLE, and its entry has ENTRY_MOVABLE set; the entry is written before the byte,
 * and taken away after it. The lock can be taken only while the block is movable and not released, so that whoever takes
 * an entry away has to wait for the holder only, and never for those who come.
 *
 * Nothing here waits for anything but the page lock, and no other lock may be held then.
 */
#ifndef PFAI_PAGELOCK_H
#define PFAI_PAGELOCK_H

#include "instance.h"

static inline uint32_t pfai_self(const struct pfa *p)
{
	return p->os.self ? p->os.self(p->os.ctx) & PFAI_ENTRY_SELF : 1;
}

static inline struct pfai_entry *pfai_entry_at(const struct pfa *p, size_t offset)
{
	return &p->table[offset];
}

static inline uint32_t pfai_entry_holder(const struct pfai_entry *e)
{
	return pfai_load_relaxed(&e->lock) & PFAI_ENTRY_SELF;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

/* Adds; acquire and release, so that what came before the last of several is known to all was done. The new value. */
static inline uint32_t pfai_add32(pfai_a32 *p, uint32_t v)
{
	for (;;) {
		uint32_t old = pfai_load_relaxed(p);
		if (pfai_cas32(p, old, old + v))
			return old + v;
	}
}

/* ---- the page lock ----------------------------------------------------------------------------------------------- */

/* @return PFA_OK; PFA_EINVAL: not movable, or released; PFA_EDEADLK: the caller has it; PFA_EBUSY: somebody else has it, and
 *         wait is false or the platform cannot wait. */
int pfai_page_lock(struct pfa *p, struct pfai_entry *e, bool wait);

/* Takes it if it is free. False: pfai_page_lock() finds out. */
static inline bool pfai_page_take(struct pfai_entry *e, uint32_t self)
{
	uint32_t word = pfai_load_acquire(&e->lock);
	return (word & (PFAI_ENTRY_MOVABLE | PFAI_ENTRY_RELEASED | PFAI_ENTRY_SELF)) == PFAI_ENTRY_MOVABLE &&
	       pfai_cas32(&e->lock, word, word | self);
}

/* Wakes who waits for the lock: the word that it had says that somebody does. */
void pfai_page_wake(struct pfa *p, struct pfai_entry *e);

/* Gives it up and wakes who waits. True: the block was released meanwhile, and the caller is who takes its owner out. */
static inline bool pfai_page_unlock(struct pfa *p, struct pfai_entry *e)
{
	for (;;) {
		uint32_t word = pfai_load_relaxed(&e->lock);
		if (!pfai_cas32(&e->lock, word, word & ~(PFAI_ENTRY_SELF | PFAI_ENTRY_WAITERS)))
			continue;
		if (PFAI_UNLIKELY(word & PFAI_ENTRY_WAITERS))
			pfai_page_wake(p, e);
		return word & PFAI_ENTRY_RELEASED;
	}
}

/* Marks the block as released. @return PFA_OK: the caller takes its owner out; PFA_EAGAIN: the holder of the lock does that;
 *         PFA_EMISUSE: it was released before; PFA_EINVAL: not movable; PFA_EBUSY as pfai_page_lock().
 * wait: for a holder that is another thread. */
int pfai_page_release(struct pfa *p, struct pfai_entry *e, bool wait);

/* The same by the holder of the lock. The word that it had: RELEASED in it says that it was released before, and that nothing
 * was done. Afterwards nobody but the holder changes it any more. */
static inline uint32_t pfai_page_release_held(struct pfai_entry *e)
{
	for (;;) {
		uint32_t word = pfai_load_relaxed(&e->lock);
		if ((word & PFAI_ENTRY_RELEASED) || pfai_cas32(&e->lock, word, word | PFAI_ENTRY_RELEASED))
			return word;
	}
}

/* The entry of a block that is the caller's alone: movable, locked by self (0: by nobody). */
static inline void pfai_entry_make(struct pfai_entry *e, uint32_t owner, uint32_t refs, uint64_t cookie, uint32_t self)
{
	e->cookie = cookie;
	pfai_store_relaxed(&e->refs, owner << PFAI_REF_OWNER_SHIFT | refs);
	pfai_store_release(&e->lock, PFAI_ENTRY_MOVABLE | self);
}

/* The entry is nobody's any more: clears it, and wakes who waits for its lock. Returns the flags it had. */
static inline uint32_t pfai_entry_clear(struct pfa *p, struct pfai_entry *e)
{
	pfai_store_relaxed(&e->refs, 0u);
	e->cookie = 0;
	uint32_t word = pfai_exchange32(&e->lock, 0);
	if (PFAI_UNLIKELY(word & PFAI_ENTRY_WAITERS))
		pfai_page_wake(p, e);
	return word;
}

/* The same where the caller has the lock of a block that was released, when `word` was in it: no need for an exchange. */
static inline void pfai_entry_clear_held(struct pfa *p, struct pfai_entry *e, uint32_t word)
{
	pfai_store_relaxed(&e->refs, 0u);
	e->cookie = 0;
	pfai_store_release(&e->lock, 0u);
	if (PFAI_UNLIKELY(word & PFAI_ENTRY_WAITERS))
		pfai_page_wake(p, e);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

/* Takes bits out of refs: the owner, REF_ISOLATED, or one pin. True: that was the last. */
static inline bool pfai_refs_drop(struct pfai_entry *e, uint32_t what)
{
	return pfai_add32(&e->refs, 0u - what) == 0;
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

bool pfai_op_running(const struct pfa *p);

/* Is the calling thread inside an owner's op, or the platform's low_memory? */
static inline bool pfai_op_inside(const struct pfa *p)
{
	return PFAI_UNLIKELY(p->table != NULL || p->os.low_memory != NULL) && PFAI_UNLIKELY(pfai_load_relaxed(&p->st->nr_movers)) && pfai_op_running(p);
}

/* A mover's place in the list of ops; each mover runs one at a time. False: there are PFAI_OPS_LIMIT movers. */
bool pfai_mover_begin(struct pfa *p, uint32_t *slot);
void pfai_mover_end(struct pfa *p, uint32_t slot);

/* The mover, which is self, is about to call an op; it has returned. */
static inline void pfai_op_enter(struct pfa *p, uint32_t slot, uint32_t self)
{
	pfai_store_relaxed(&p->st->op_self[slot], self);
}

static inline void pfai_op_leave(struct pfa *p, uint32_t slot)
{
	pfai_store_relaxed(&p->st->op_self[slot], PFAI_OP_NONE);
}

#endif
