/* SPDX-License-Identifier: MIT
 *
 * The plain cases of level 3, without calls: a slot that has enough to choose from, a quarantine that has room. What is left
 * to chance was decided when the block joined the slot (pfai_slot_insert()). Everything else takes the way past here, which
 * does all of it, and knows what to tell. Nothing that can change is believed, as in verified.h.
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

/* n + 1 blocks: has a slot none, or more than there can be; or too few to choose from, and there may be more to be had? Without the zone's
 * lock; the other way looks again. */
PFAI_ALWAYS_INLINE bool full_short(const struct pfa *p, const struct pfai_slot_home *home, uint32_t n, unsigned order)
{
	if (n >= home->cap)
		return true;
	const struct pfai_zone_state *z = p->zones[home->zone].st;
	return (pfai_load_relaxed(&z->avail_common) | pfai_load_relaxed(&z->avail_cma)) >> order;
}

/* content: what was known of it is verified. */
PFAI_ALWAYS_INLINE int full_alloc(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags,
                                  const bool content)
{
	if (PFAI_UNLIKELY(order >= p->cached_orders || !pfai_cpu_try_lock(p, c)))
		return pfai_alloc_slow(p, order, flags, out);
	uint32_t slot = p->rows[flags] + order + c->first;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return pfai_alloc_miss(p, c, order, flags, out);
	const struct pfai_slot_home *home = &p->homes[slot];
	struct pfai_slot *s = &c->slots[slot];
	pfai_in_register(s);
	uint32_t n = s->n - 1u;
	pfai_in_register(n);
	if (PFAI_UNLIKELY(n - home->keep >= home->above) && full_short(p, home, n, order))
		return pfai_verified_miss(p, c, s, out);
	s->n = (uint16_t)n;
	uint32_t at = *pfai_entries_at(c, home->start + n);
	if (PFAI_UNLIKELY(at - home->first >= home->nr))
		return pfai_alloc_damaged(p, c);
	unsigned known = pfai_load_relaxed(&p->bytes[at]), byte = known & ~(unsigned)PFAI_ZERO_BIT;
	if (PFAI_UNLIKELY(byte != PFAI_CACHED + order))
		return pfai_alloc_damaged(p, c);
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(PFAI_HEAD + order));
	s->allocs++;
	if (content && known != byte)
		return full_granted(p, c, at, order, out);
	*out = p->base + at;
	return pfai_cpu_unlock_tail(p, c);
}

int pfai_alloc_full(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	return full_alloc(p, c, out, order, flags, false);
}

int pfai_alloc_full_lines(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags)
{
	return full_alloc(p, c, out, order, flags, true);
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

/* Has the block guards, which want to be released? A guard lies in the zone of the block that it guards. */
PFAI_ALWAYS_INLINE bool full_guarded(const struct pfa *p, size_t offset, unsigned order)
{
	size_t end = offset + ((size_t)1 << order);
	return (offset && pfai_load_relaxed(&p->bytes[offset - 1]) == PFAI_GUARD_BELOW) ||
	       (end < p->span && pfai_load_relaxed(&p->bytes[end]) == PFAI_GUARD_ABOVE);
}

/* content: that of the block, one frame, is overwritten. */
PFAI_ALWAYS_INLINE int full_free(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset, const bool content)
{
	/* The lines of a larger block are too many to be written under the lock. */
	if (PFAI_UNLIKELY(order >= (content ? 1 : p->cached_orders) || !pfai_cpu_try_lock(p, c)))
		return pfai_free_slow(p, p->base + offset, order);
	/* Has the queue room, and may it be used now? While caches are disabled, its own capacity is 0, and so are those of all slots. */
	struct pfai_full *f = pfai_full_of(p, c);
	const struct pfai_state *st = p->st;
	uint32_t n = f->n, at = f->first, size = p->quarantine;
	if (PFAI_UNLIKELY(at >= size || n >= size || pfai_load_relaxed(&st->starving)))
		return full_free_otherwise(p, c, offset, order);
	at += n;
	if (at >= size)
		at -= size;
	if (PFAI_UNLIKELY(pfai_load_relaxed(&st->guarded)) && full_guarded(p, offset, order))
		return full_free_otherwise(p, c, offset, order);
	size_t slot = ((size_t)pfai_load_relaxed(&p->routes[offset >> p->pb_order]) << p->slot_shift) + order;
	if (PFAI_UNLIKELY(slot >= p->nr_slots))
		return full_free_otherwise(p, c, offset, order);
	/* Another zone's; no capacity: a slow route, disabled caches, or the zone refuses. */
	const struct pfai_slot_home *home = &p->homes[slot];
	if (PFAI_UNLIKELY((uint32_t)offset - home->first >= home->nr || !c->slots[slot].cap))
		return full_free_otherwise(p, c, offset, order);
	if (PFAI_UNLIKELY(!pfai_claim(&p->bytes[offset], PFAI_HEAD + order, PFAI_QUARANTINE + order)))
		return pfai_free_refused(p, c, offset, order);
	if (content)
		pfai_content_freed(p, p->base + offset, 1);
	pfai_quarantine_ring(p, f)[at] = (uint32_t)offset;
	pfai_quarantined(f)[home->zone].in += (size_t)1 << order;
	f->n = ++n;
	pfai_store_relaxed(&c->held, 1u);
	if (PFAI_UNLIKELY(n >= size))
		return full_settle(p, c, home->zone);
	return pfai_cpu_unlock_tail(p, c);
}

int pfai_free_quarantined(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	return full_free(p, c, order, offset, false);
}

/* Not a leaf. */
int pfai_free_quarantined_lines(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset)
{
	return full_free(p, c, order, offset, true);
}
