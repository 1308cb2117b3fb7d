/* SPDX-License-Identifier: MIT
 *
 * As pfa_alloc() and pfa_free() do it below level 2, without calls, too; but nothing that can change is believed. Where
 * the same is known from what is constant, that is taken instead, which costs no comparison: capacity, place and address
 * of a slot's entries. What remains are bounds: of the slot's index, of the count, of the entry; and the block's byte.
 */
#include "verified.h"

#include "alloc.h"
#include "free.h"

int PFAI_NOINLINE pfai_verified_miss(struct pfa *p, struct pfai_cpu *c, const struct pfai_slot *s, pfa_pfn *out)
{
	uint32_t slot = (uint32_t)(s - c->slots);
	slot -= c->first;
	uint32_t flags = (slot >> p->slot_shift & (PFAI_ROUTE_CODES - 1)) ^ 1;
	return pfai_alloc_miss(p, c, pfai_slot_order(p, slot), flags, out);
}

/* pfai_free_refused(), of a block of the slot's order. */
static int PFAI_NOINLINE verified_refused(struct pfa *p, struct pfai_cpu *c, size_t offset, const struct pfai_slot *s)
{
	return pfai_free_refused(p, c, offset, pfai_slot_order(p, (size_t)(s - c->slots)));
}

int pfai_alloc_by_slow(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	(void)c;
	return pfai_alloc_slow(p, order, flags, out);
}

int pfai_free_by_slow(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	(void)c;
	return pfai_free_slow(p, p->base + offset, order);
}

int pfai_alloc_verified(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	if (PFAI_UNLIKELY(order >= p->cached_orders || !pfai_cpu_try_lock(p, c)))
		return pfai_alloc_slow(p, order, flags, out);
	uint32_t slot = p->rows[flags] + order + c->first;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_alloc_miss(p, c, order, flags, out); /* the next grant sets first again */
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	pfai_in_register(s);
	uint32_t n = s->n - 1u;
	if (PFAI_UNLIKELY(n >= home->cap))
		return pfai_verified_miss(p, c, s, out);
	s->n = (uint16_t)n;
	uint32_t at = *pfai_entries_at(c, home->start + n);
	if (PFAI_UNLIKELY(at - home->first >= home->nr))
		return pfai_alloc_damaged(p, c);
	unsigned byte = pfai_load_relaxed(&p->bytes[at]) & ~(unsigned)PFAI_ZERO_BIT;
	if (PFAI_UNLIKELY(byte != PFAI_CACHED + order))
		return pfai_alloc_damaged(p, c);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(PFAI_HEAD + order));
	s->allocs++;
	*out = p->base + at;
	return pfai_cpu_unlock_tail(p, c);
}

int pfai_free_verified(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	if (PFAI_UNLIKELY(order >= p->cached_orders || !pfai_cpu_try_lock(p, c)))
		return pfai_free_slow(p, p->base + offset, order);
	size_t slot = ((size_t)pfai_load_relaxed(&p->routes[offset >> p->pb_order]) << p->slot_shift) + order;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_free_full(p, c, offset, order);
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	pfai_in_register(s);
	uint32_t n = s->n;
	/* Another zone's slot; no room, and none at all where caches are disabled or the zone refuses; or damage. */
	if (PFAI_UNLIKELY((uint32_t)offset - home->first >= home->nr || n >= home->cap || !s->cap))
		return pfai_free_full(p, c, offset, order);
	uint32_t entry = home->start + n;
	pfai_in_register(entry);
	if (PFAI_UNLIKELY(!pfai_claim(&p->bytes[offset], PFAI_HEAD + order, PFAI_CACHED + order)))
		return verified_refused(p, c, offset, s);
	*pfai_entries_at(c, entry) = (uint32_t)offset;
	s->n++;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return pfai_cpu_unlock_tail(p, c);
}
