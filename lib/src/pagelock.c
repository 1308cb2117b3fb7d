/* SPDX-License-Identifier: MIT */
#include "pagelock.h"

/* Waits until the word may be something else than w, in which somebody holds the lock. False: waiting never ends. */
static bool page_wait(struct pfa *p, pfai_a32 *word, uint32_t w)
{
	if (!(w & PFAI_ENTRY_WAITERS) && !pfai_cas32(word, w, w | PFAI_ENTRY_WAITERS))
		return true;
	return p->os.wait &&
	       p->os.wait(p->os.ctx, (const void *)(uintptr_t)word, w | PFAI_ENTRY_WAITERS, UINT64_MAX) != PFA_EDEADLK;
}

static void page_wake(struct pfa *p, pfai_a32 *word, uint32_t w)
{
	if ((w & PFAI_ENTRY_WAITERS) && p->os.wake)
		p->os.wake(p->os.ctx, (const void *)(uintptr_t)word);
}

int pfai_page_lock(struct pfa *p, struct pfai_entry *e, bool wait)
{
	uint32_t self = pfai_self(p);
	for (unsigned tries = 0;; tries++) {
		uint32_t w = pfai_load_acquire(&e->lock);
		if ((w & (PFAI_ENTRY_MOVABLE | PFAI_ENTRY_RELEASED)) != PFAI_ENTRY_MOVABLE)
			return PFA_EINVAL;
		if (!(w & PFAI_ENTRY_SELF)) {
			if (pfai_cas32(&e->lock, w, w | self))
				return PFA_OK;
			continue;
		}
		if ((w & PFAI_ENTRY_SELF) == self)
			return PFA_EDEADLK;
		if (!wait || (tries >= PFAI_SPINS && !page_wait(p, &e->lock, w)))
			return PFA_EBUSY;
	}
}

bool pfai_page_unlock(struct pfa *p, struct pfai_entry *e)
{
	for (;;) {
		uint32_t w = pfai_load_relaxed(&e->lock);
		if (!pfai_cas32(&e->lock, w, w & ~(PFAI_ENTRY_SELF | PFAI_ENTRY_WAITERS)))
			continue;
		page_wake(p, &e->lock, w);
		return w & PFAI_ENTRY_RELEASED;
	}
}

int pfai_page_release(struct pfa *p, struct pfai_entry *e, bool wait)
{
	uint32_t self = pfai_self(p);
	for (unsigned tries = 0;; tries++) {
		uint32_t w = pfai_load_acquire(&e->lock), holder = w & PFAI_ENTRY_SELF;
		if (!(w & PFAI_ENTRY_MOVABLE))
			return PFA_EINVAL;
		if (w & PFAI_ENTRY_RELEASED)
			return PFA_EMISUSE;
		if (!holder || holder == self || !wait) {
			if (pfai_cas32(&e->lock, w, w | PFAI_ENTRY_RELEASED))
				return holder ? PFA_EAGAIN : PFA_OK;
		} else if (tries >= PFAI_SPINS && !page_wait(p, &e->lock, w)) {
			return PFA_EBUSY;
		}
	}
}

void pfai_entry_make(struct pfai_entry *e, uint32_t owner, uint32_t refs, uint64_t cookie, uint32_t self)
{
	e->cookie = cookie;
	pfai_store_relaxed(&e->refs, owner << PFAI_REF_OWNER_SHIFT | refs);
	pfai_store_release(&e->lock, PFAI_ENTRY_MOVABLE | self);
}

uint32_t pfai_entry_clear(struct pfa *p, struct pfai_entry *e)
{
	pfai_store_relaxed(&e->refs, 0u);
	e->cookie = 0;
	uint32_t w = pfai_exchange32(&e->lock, 0);
	page_wake(p, &e->lock, w);
	return w;
}

bool pfai_op_running(const struct pfa *p)
{
	uint32_t self = pfai_self(p);
	for (unsigned i = 0; i < PFAI_OPS_LIMIT; i++)
		if (pfai_load_relaxed(&p->st->op_self[i]) == self)
			return true;
	return false;
}

bool pfai_mover_begin(struct pfa *p, uint32_t *slot)
{
	for (uint32_t i = 0; i < PFAI_OPS_LIMIT; i++) {
		if (pfai_load_relaxed(&p->st->op_self[i]) || !pfai_cas32(&p->st->op_self[i], 0, PFAI_OP_NONE))
			continue;
		pfai_add_relaxed(&p->st->nr_movers, 1u);
		*slot = i;
		return true;
	}
	return false;
}

void pfai_mover_end(struct pfa *p, uint32_t slot)
{
	pfai_sub_relaxed(&p->st->nr_movers, 1u);
	pfai_store_release(&p->st->op_self[slot], 0u);
}

void pfai_op_enter(struct pfa *p, uint32_t slot)
{
	pfai_store_relaxed(&p->st->op_self[slot], pfai_self(p));
}

void pfai_op_leave(struct pfa *p, uint32_t slot)
{
	pfai_store_relaxed(&p->st->op_self[slot], PFAI_OP_NONE);
}
