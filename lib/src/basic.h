/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of levels 0 and 1. They belong to leaf functions: all that is rare is a tail call, and nothing lives longer
 * than it must, so that no register has to be saved. CI looks at the disassembly.
 */
#ifndef PFAI_BASIC_H
#define PFAI_BASIC_H

#include "alloc.h"
#include "free.h"

/* As pfai_alloc_path and pfai_free_path, but order is below pfa.cached_orders, and they take over the held cache lock. */
PFAI_ALWAYS_INLINE int pfai_basic_alloc(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	/* flags ^ 1: pfai_code_of_type() of a common type */
	struct pfai_slot *s = &c->slots[(size_t)c->first + ((size_t)(flags ^ 1) << p->slot_shift) + order];
	if (PFAI_UNLIKELY(!s->n))
		return pfai_alloc_miss(p, c, order, flags, out);
	s->n--;
	size_t at = pfai_entries_at(c, s->start)[s->n];
	unsigned byte = pfai_load_relaxed(&p->bytes[at]) & ~(unsigned)PFAI_ZERO_BIT;
	if (PFAI_UNLIKELY(PFA_HARDENING && byte != (PFAI_CACHED | order)))
		return pfai_alloc_damaged(p, c);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(byte ^ (PFAI_CACHED ^ PFAI_HEAD)));
	s->allocs++;
	*out = p->base + at;
	return pfai_cpu_unlock_tail(p, c);
}

PFAI_ALWAYS_INLINE int pfai_basic_free(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	uint8_t route = pfai_load_relaxed(&p->routes[offset >> p->pb_order]);
	struct pfai_slot *s = &c->slots[((size_t)route << p->slot_shift) + order];
	if (PFAI_UNLIKELY(s->n >= s->cap))
		return pfai_free_full(p, c, offset, order);
	if (PFAI_UNLIKELY(!pfai_claim(&p->bytes[offset], PFAI_HEAD | order, PFAI_CACHED | order)))
		return pfai_free_refused(p, c, offset, order);
	pfai_entries_at(c, s->start)[s->n] = (uint32_t)offset;
	s->n++;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return pfai_cpu_unlock_tail(p, c);
}

#endif
