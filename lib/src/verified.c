/* SPDX-License-Identifier: MIT */
#include "verified.h"

#include "basic.h"

int PFAI_NOINLINE pfai_verified_miss(struct pfa *p, struct pfai_cpu *c, const struct pfai_slot *s, pfa_pfn *out)
{
	uint32_t slot = (uint32_t)(s - c->slots);
	slot -= c->first;
	uint32_t flags = (slot >> p->slot_shift & (PFAI_ROUTE_CODES - 1)) ^ 1;
	return pfai_alloc_miss(p, c, pfai_slot_order(p, slot), flags, out);
}

int PFAI_NOINLINE pfai_verified_unclaim(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
	return pfai_free_full(p, c, offset, order);
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

int pfai_alloc_outside(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	if (PFAI_UNLIKELY(order >= p->cached_orders || !pfai_cpu_try_lock(p, c)))
		return pfai_alloc_slow(p, order, flags, out);
	return PFAI_INSIDE_VERIFIED ? pfai_basic_alloc(p, c, out, order, flags) : pfai_verified_alloc(p, c, out, order, flags);
}

int pfai_free_outside(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	if (PFAI_UNLIKELY(order >= p->cached_orders || !pfai_cpu_try_lock(p, c)))
		return pfai_free_slow(p, p->base + offset, order);
	return PFAI_INSIDE_VERIFIED ? pfai_basic_free(p, c, order, offset) : pfai_verified_free(p, c, order, offset);
}
