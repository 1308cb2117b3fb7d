/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of hardening level 2: as those of basic.h, without calls, too; but nothing that can change is believed. Where
 * the same is known from what is constant, that is taken instead, which costs no comparison: capacity, place and address
 * of a slot's entries. What remains are bounds: of the slot's index, of the count, of the entry; and the block's byte.
 *
 * What they cost is mostly memory that is read (lib/docs/hardening.md, Price): hence one load, and one store, of count and capacity.
 */
#ifndef PFAI_VERIFIED_H
#define PFAI_VERIFIED_H

#include "alloc.h"
#include "free.h"

/* No fast path. */
pfai_alloc_path pfai_alloc_by_slow;
pfai_free_path pfai_free_by_slow;

/* The fast paths of the levels up to 2 that are not inside of pfa_alloc() and pfa_free(): see PFAI_INSIDE_VERIFIED. */
pfai_alloc_path pfai_alloc_outside;
pfai_free_path pfai_free_outside;

/* Takes over the held cache lock: the slot is empty, or not what it should be. Order and type as they were asked for,
 * whatever c->first says; not to keep them saves a register. */
int pfai_verified_miss(struct pfa *p, struct pfai_cpu *c, const struct pfai_slot *s, pfa_pfn *out);

/* Takes over the held cache lock: the block was claimed as CACHED, and its slot is full, none, or not what it should be. */
int pfai_verified_unclaim(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order);

/* As pfai_alloc_path and pfai_free_path, but order is below pfa.cached_orders, and they take over the held cache lock. */
PFAI_ALWAYS_INLINE int pfai_verified_alloc(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	uint32_t slot = p->rows[flags] + order + c->first;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_alloc_miss(p, c, order, flags, out); /* the next grant sets first again */
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	pfai_in_register(s);
	uint32_t cap_and_n = s->cap_and_n - 1, n = (uint16_t)cap_and_n;
	if (PFAI_UNLIKELY(n >= home->cap))
		return pfai_verified_miss(p, c, s, out);
	s->cap_and_n = cap_and_n;
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

/* The claim comes first: what follows needs no register over it. */
PFAI_ALWAYS_INLINE int pfai_verified_free(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	if (PFAI_UNLIKELY(!pfai_claim(&p->bytes[offset], PFAI_HEAD + order, PFAI_CACHED + order)))
		return pfai_free_refused(p, c, offset, order);
	size_t slot = ((size_t)pfai_load_relaxed(&p->routes[offset >> p->pb_order]) << p->slot_shift) + order;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_verified_unclaim(p, c, offset, order);
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	pfai_in_register(s);
	/* Another zone's slot. */
	if (PFAI_UNLIKELY((uint32_t)offset - home->first >= home->nr))
		return pfai_verified_unclaim(p, c, offset, order);
	/* No room, and none at all (capacity 0) where caches are disabled, the zone refuses, or the route is slow; or damage. */
	uint32_t cap_and_n = s->cap_and_n, n = (uint16_t)cap_and_n;
	if (PFAI_UNLIKELY(cap_and_n <= UINT16_MAX || n >= home->cap))
		return pfai_verified_unclaim(p, c, offset, order);
	*pfai_entries_at(c, home->start + n) = (uint32_t)offset;
	s->cap_and_n = cap_and_n + 1;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return pfai_cpu_unlock_tail(p, c);
}

#endif
