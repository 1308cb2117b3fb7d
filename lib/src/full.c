/* SPDX-License-Identifier: MIT
 *
 * The plain cases of level 3, without calls: a slot that has enough to choose from, a quarantine that has room. What is left
 * to chance was decided when the block joined the slot (pfai_slot_insert()). Everything else takes the way past here, which
 * does all of it, and knows what to tell. Nothing that can change is believed, as in verified.c.
 */
#include "full.h"

#include "alloc.h"
#include "content.h"
#include "damage.h"
#include "free.h"
#include "hook.h"
#include "quarantine.h"
#include "verified.h"

/* Takes over the held lock: the other way takes it itself. */
static int PFAI_NOINLINE full_free_otherwise(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	pfai_cpu_unlock(p, c);
	return pfai_free_slow(p, p->base + offset, order);
}

/* Takes over the held lock: the block is HEAD, and its content was known: is it still? */
static int PFAI_NOINLINE full_granted(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order, pfa_pfn *out)
{
	size_t nr = (size_t)1 << order;
	pfa_pfn pfn = p->base + offset;
	pfai_cpu_unlock(p, c);
	if (PFAI_UNLIKELY(pfai_content_changed(p, pfn, nr, false) != PFAI_NONE)) {
		struct pfai_request rq = { .order = order, .zone = pfai_zone_of(p, pfn), .zero = true, .function = "pfa_alloc" };
		return pfai_hooks_granted(p, &rq, pfn, nr, order);
	}
	*out = pfn;
	return PFA_OK;
}

/* Could the slot be topped up? Without lock; the other way looks again. */
PFAI_ALWAYS_INLINE bool full_more(const struct pfa *p, size_t slot, unsigned order)
{
	const struct pfai_zone_state *z = p->zones[pfai_slot_zone(p, slot)].st;
	return (pfai_load_relaxed(&z->avail_common) | pfai_load_relaxed(&z->avail_cma)) >> order;
}

int PFAI_NOINLINE pfai_alloc_full(struct pfa *p, unsigned order, uint32_t flags, pfa_pfn *out, struct pfai_cpu *c)
{
	size_t slot = ((size_t)(flags ^ 1) << p->slot_shift) + order;
	if (PFAI_UNLIKELY(!pfai_cpu_try_lock(p, c)))
		return pfai_alloc_slow(p, order, flags, out);
	slot += c->first;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_alloc_miss(p, c, order, flags, out);
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	uint32_t n = s->n;
	/* None, or more than there can be; too few to choose from, and there may be more to be had. */
	if (PFAI_UNLIKELY(n - 1 >= home->cap) || (n <= home->keep && full_more(p, slot, order)))
		return pfai_verified_miss(p, c, slot, out);
	s->n--;
	uint32_t at = pfai_entries_at(c, home->start + n)[-1];
	if (PFAI_UNLIKELY(at - home->first >= home->nr))
		return pfai_alloc_damaged(p, c);
	unsigned byte = pfai_load_relaxed(&p->bytes[at]), known = byte & PFAI_ZERO_BIT;
	byte &= ~(unsigned)PFAI_ZERO_BIT;
	if (PFAI_UNLIKELY(byte != (PFAI_CACHED | order)))
		return pfai_alloc_damaged(p, c);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(byte ^ (PFAI_CACHED ^ PFAI_HEAD)));
	s->allocs++;
	if (known && p->hooks)
		return full_granted(p, c, at, order, out);
	*out = p->base + at;
	return pfai_cpu_unlock_tail(p, c);
}

/* Takes over the held lock: a block of this zone is freed, and the quarantine is full now. It answers for damage to its own zone,
 * as pfai_quarantine_put() does. */
static int PFAI_NOINLINE full_settle(struct pfa *p, struct pfai_cpu *c, size_t zone)
{
	int result = pfai_quarantine_settle(p, c);
	pfai_cpu_unlock(p, c);
	if (PFAI_LIKELY(result != PFA_ECORRUPT || !pfai_load_relaxed(&p->zones[zone].st->corrupt)))
		return PFA_OK;
	return pfai_tell(p, "pfa_free");
}

/* The zone of a block that can be freed here, by the number of its slots; PFAI_NONE: none. Guards want to be released. */
PFAI_ALWAYS_INLINE size_t full_zone(const struct pfa *p, const struct pfai_cpu *c, size_t offset, unsigned order)
{
	size_t slot = ((size_t)pfai_load_relaxed(&p->routes[offset >> p->pb_order]) << p->slot_shift) + order;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return PFAI_NONE;
	/* No capacity: a slow route, disabled caches, or the zone refuses. */
	const struct pfai_slot_home *home = &p->homes[slot];
	size_t at = offset - home->first, nr = (size_t)1 << order;
	if (PFAI_UNLIKELY(at >= home->nr || !home->cap || !c->slots[slot].cap))
		return PFAI_NONE;
	if (PFAI_UNLIKELY(at && pfai_load_relaxed(&p->bytes[offset - 1]) == PFAI_GUARD_BELOW))
		return PFAI_NONE;
	if (PFAI_UNLIKELY(at + nr < home->nr && pfai_load_relaxed(&p->bytes[offset + nr]) == PFAI_GUARD_ABOVE))
		return PFAI_NONE;
	return pfai_slot_zone(p, slot);
}

/* content: that of the block, one frame, is overwritten. */
PFAI_ALWAYS_INLINE int full_free(struct pfa *p, size_t offset, unsigned order, struct pfai_cpu *c, const bool content)
{
	if (PFAI_UNLIKELY(!pfai_cpu_try_lock(p, c)))
		return pfai_free_slow(p, p->base + offset, order);
	struct pfai_full *f = pfai_full_of(p, c);
	uint32_t at = f->first, n = f->n;
	if (PFAI_UNLIKELY(at >= p->quarantine || n >= p->quarantine || !f->cap || pfai_load_relaxed(&p->st->starving)))
		return full_free_otherwise(p, c, offset, order);
	at += n;
	if (at >= p->quarantine)
		at -= p->quarantine;
	size_t zone = full_zone(p, c, offset, order);
	if (PFAI_UNLIKELY(zone == PFAI_NONE))
		return full_free_otherwise(p, c, offset, order);
	if (PFAI_UNLIKELY(!pfai_claim(&p->bytes[offset], PFAI_HEAD | order, PFAI_QUARANTINE | order)))
		return pfai_free_refused(p, c, offset, order);
	if (content)
		pfai_content_freed(p, p->base + offset, 1);
	pfai_quarantine_ring(p, f)[at] = (uint32_t)offset;
	f->n = ++n;
	pfai_quarantined(f)[zone].in += (size_t)1 << order;
	pfai_store_relaxed(&c->held, 1u);
	if (PFAI_UNLIKELY(n == p->quarantine))
		return full_settle(p, c, zone);
	return pfai_cpu_unlock_tail(p, c);
}

/* Not a leaf: apart. */
static int PFAI_NOINLINE full_free_content(struct pfa *p, size_t offset, unsigned order, struct pfai_cpu *c)
{
	/* The lines of a larger block are too many to be written under the lock. */
	if (order)
		return pfai_free_slow(p, p->base + offset, order);
	return full_free(p, offset, 0, c, true);
}

int PFAI_NOINLINE pfai_free_quarantined(struct pfa *p, size_t offset, unsigned order, struct pfai_cpu *c)
{
	return p->hooks ? full_free_content(p, offset, order, c) : full_free(p, offset, order, c, false);
}
