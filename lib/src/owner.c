/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include "closed.h"

#define OWNER_STATE 0xFFFFu
#define OWNER_GENERATION_SHIFT 16u
/* Waits of PFAI_TRY_WAIT_NS at most in the child of a fork(): there may be movers there, too. */
#define OWNER_ORPHAN_WAITS 64u

uint32_t pfai_owner_of_handle(const struct pfa *p, pfa_owner handle)
{
	uint32_t owner = handle & 0xFFFFu;
	if (!owner || owner > p->max_owners)
		return 0;
	uint32_t state = pfai_load_acquire(&pfai_owner_at(p, owner)->state);
	return state == ((handle & 0xFFFF0000u) | PFAI_OWNER_REGISTERED) ? owner : 0;
}

pfa_owner pfai_owner_handle(const struct pfa *p, uint32_t owner)
{
	return owner ? (pfai_load_relaxed(&pfai_owner_at(p, owner)->state) & 0xFFFF0000u) | owner : 0;
}

void pfai_owner_lose(struct pfa *p, uint32_t owner)
{
	struct pfai_owner *o = pfai_owner_at(p, owner);
	/* Whoever waits for this may miss it, and therefore waits for a bounded time (owner_wait): a look at the state that is
	 * not ordered after the count is enough. */
	if (!pfai_add32(&o->total, UINT32_MAX) && p->os.wake &&
	    (pfai_load_relaxed(&o->state) & OWNER_STATE) == PFAI_OWNER_BUSY)
		p->os.wake(p->os.ctx, (const void *)(uintptr_t)&o->total);
}

static bool owner_ops_fine(const struct pfa_owner_ops *ops)
{
	const unsigned char *bytes = (const unsigned char *)ops;
	if (ops->size < sizeof(*ops) || !ops->isolate || !ops->migrate || !ops->putback)
		return false;
	for (size_t i = sizeof(*ops); i < ops->size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* What both functions begin with. */
static int owner_begin(const struct pfa *p, const char *function)
{
	int result = pfai_closed_or_inside(p, function);
	return result == PFA_OK && !p->table ? PFA_ENOTSUP : result;
}

int pfa_owner_create(struct pfa *p, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out)
{
	int result = owner_begin(p, "pfa_owner_create");
	if (result != PFA_OK)
		return result;
	if (!owner_ops_fine(ops))
		return PFA_EINVAL;
	for (uint32_t i = 1; i <= p->max_owners; i++) {
		struct pfai_owner *o = pfai_owner_at(p, i);
		uint32_t state = pfai_load_relaxed(&o->state);
		if ((state & OWNER_STATE) != PFAI_OWNER_FREE || !pfai_cas32(&o->state, state, state | PFAI_OWNER_BUSY))
			continue;
		o->ops = *ops;
		o->ctx = ctx;
		pfai_store_release(&o->state, state | PFAI_OWNER_REGISTERED);
		pfai_add_relaxed(&p->st->nr_owners, 1u);
		*out = pfai_owner_handle(p, i);
		return PFA_OK;
	}
	return PFA_ENOMEM;
}

/* Until nobody is inside an op of this owner for a block that was released. False: the platform cannot wait, or waiting does not
 * end. */
static bool owner_wait(struct pfa *p, struct pfai_owner *o)
{
	for (unsigned tries = 0;; tries++) {
		uint32_t total = pfai_load_acquire(&o->total);
		if (!total)
			return true;
		if (tries < PFAI_SPINS)
			continue;
		/* What a thread that is not in this process has begun is not finished by anybody. */
		if (tries >= PFAI_SPINS + OWNER_ORPHAN_WAITS && pfai_load_relaxed(&p->st->orphaned))
			return false;
		uint64_t now = p->os.now_ns ? p->os.now_ns(p->os.ctx) : 0;
		if (!p->os.wait ||
		    p->os.wait(p->os.ctx, (const void *)(uintptr_t)&o->total, total, now + PFAI_TRY_WAIT_NS) == PFA_EDEADLK)
			return false;
	}
}

int pfa_owner_destroy(struct pfa *p, pfa_owner handle)
{
	int result = owner_begin(p, "pfa_owner_destroy");
	if (result != PFA_OK)
		return result;
	uint32_t owner = pfai_owner_of_handle(p, handle);
	if (!owner)
		return PFA_EINVAL;
	struct pfai_owner *o = pfai_owner_at(p, owner);
	uint32_t generation = handle & 0xFFFF0000u;
	if (!pfai_cas32(&o->state, generation | PFAI_OWNER_REGISTERED, generation | PFAI_OWNER_BUSY))
		return PFA_EINVAL;
	if (pfai_load_acquire(&o->live) || !owner_wait(p, o)) {
		pfai_store_release(&o->state, generation | PFAI_OWNER_REGISTERED);
		return PFA_EBUSY;
	}
	o->ops = (struct pfa_owner_ops){ 0 };
	o->ctx = NULL;
	pfai_sub_relaxed(&p->st->nr_owners, 1u);
	pfai_store_release(&o->state, generation + (1u << OWNER_GENERATION_SHIFT));
	return PFA_OK;
}
