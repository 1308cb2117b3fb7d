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

void PFAI_COLD pfai_page_wake(struct pfa *p, struct pfai_entry *e)
{
	if (p->os.wake)
		p->os.wake(p->os.ctx, (const void *)(uintptr_t)&e->lock);
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
