/* SPDX-License-Identifier: MIT */
#include "quarantine.h"

/* Position i of the queue in its ring. */
static inline uint32_t *quarantine_at(const struct pfa *p, struct pfai_full *f, uint32_t i)
{
	uint32_t at = f->first + i;
	return &pfai_quarantine_ring(p, f)[at < p->quarantine ? at : at - p->quarantine];
}

static inline bool quarantine_sound(const struct pfa *p, const struct pfai_full *f)
{
	return f->first < p->quarantine && f->n <= p->quarantine;
}

/* The ring itself is damaged: it is emptied, and every zone that may have had blocks in it refuses. */
static int PFAI_COLD quarantine_damaged(struct pfa *p, struct pfai_full *f)
{
	f->first = f->n = 0;
	for (uint32_t i = 0; i < p->nr_zones; i++)
		if (pfai_quarantined(f)[i].in != pfai_quarantined(f)[i].out)
			pfai_zone_mark_corrupt(&p->zones[i], PFAI_DAMAGE_CACHE);
	return PFA_ECORRUPT;
}

/* The zone and the order of an entry. NULL: it is no block in quarantine. */
static struct pfai_zone *quarantine_block(const struct pfa *p, uint32_t offset, unsigned *order)
{
	struct pfai_zone *z = offset < p->span ? pfai_zone_of(p, p->base + offset) : NULL;
	uint8_t byte = z ? pfai_load_relaxed(&p->bytes[offset]) : 0;
	*order = byte & PFAI_ORDER_MASK;
	if ((byte & PFAI_STATE_MASK) != PFAI_QUARANTINE || *order > z->top_order ||
	    ((p->base + offset) & (((size_t)1 << *order) - 1)))
		return NULL;
	return z;
}

/* A block that has left the queue goes back to its zone. Zone lock held. */
static void quarantine_put_back_locked(struct pfa *p, struct pfai_full *f, struct pfai_zone *z, uint32_t offset,
                                       unsigned order)
{
	pfai_quarantined(f)[z->id].out += (size_t)1 << order;
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_CACHE);
		return;
	}
	pfai_block_returns(p, offset, order);
	pfai_zone_put_locked(p, z, offset + z->delta, order, p->hooks & PFAI_HOOK_CONTENT);
}

/* The slot that the block would be freed into; NULL: none. */
static struct pfai_slot *quarantine_slot(struct pfa *p, struct pfai_cpu *c, uint32_t offset, unsigned order)
{
	size_t slot = order < p->cached_orders ? pfai_slot_by_route(p, offset, order) : PFAI_NONE;
	if (slot == PFAI_NONE || !c->slots[slot].cap || !pfai_slot_sound(p, c, slot))
		return NULL;
	return &c->slots[slot];
}

/* A block that has left the queue goes into its slot, which has room. */
static void quarantine_push(struct pfa *p, struct pfai_cpu *c, struct pfai_slot *s, const struct pfai_zone *z,
                            uint32_t offset, unsigned order)
{
	unsigned state = p->hooks & PFAI_HOOK_CONTENT ? PFAI_CACHED_ZERO : PFAI_CACHED;
	pfai_quarantined(pfai_full_of(p, c))[z->id].out += (size_t)1 << order;
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(state | order));
	pfai_slot_insert(p, c, s->start, s->n, offset);
	s->n++;
}

/* Where blocks that leave the queue one after the other go: mostly into one slot. What they share is kept at hand. */
struct quarantine_way {
	uint32_t first, nr; /* of the slot's home; nr 0: there is no way yet */
	uint32_t mask, begin; /* of the order: a block begins where an offset has these bits under the mask */
	uint8_t route, from, to; /* their frame bytes */
	uint32_t begun, n, cap;
	uint32_t *entries;
	struct pfai_slot *slot;
	size_t *out;
};

PFAI_ALWAYS_INLINE void quarantine_way_end(const struct quarantine_way *way)
{
	if (!way->nr)
		return;
	way->slot->n = (uint16_t)way->n;
	*way->out += (size_t)(way->n - way->begun) << (way->from & PFAI_ORDER_MASK);
}

/* The way of the block at offset. False: it goes into no slot; damage; disabled caches, or the zone refuses. */
PFAI_ALWAYS_INLINE bool quarantine_way_begin(const struct pfa *p, struct pfai_cpu *c, struct quarantine_way *way, uint32_t offset)
{
	way->nr = 0;
	if (PFAI_UNLIKELY(offset >= p->span))
		return false;
	way->route = pfai_load_relaxed(&p->routes[offset >> p->pb_order]);
	way->from = pfai_load_relaxed(&p->bytes[offset]);
	unsigned order = way->from ^ PFAI_QUARANTINE; /* too large, where that is not the state */
	size_t slot = ((size_t)way->route << p->slot_shift) + order;
	if (PFAI_UNLIKELY(order >= p->cached_orders || slot >= p->nr_slots || !c->slots[slot].cap))
		return false;
	const struct pfai_slot_home *home = &p->homes[slot];
	if (PFAI_UNLIKELY(offset - home->first >= home->nr))
		return false;
	way->first = home->first;
	way->nr = home->nr;
	way->mask = (1u << order) - 1;
	way->begin = -(uint32_t)p->base & way->mask;
	way->to = (uint8_t)((p->hooks & PFAI_HOOK_CONTENT ? PFAI_CACHED_ZERO : PFAI_CACHED) | order);
	way->cap = home->cap;
	way->entries = pfai_entries_at(c, home->start);
	way->slot = &c->slots[slot];
	way->begun = way->n = way->slot->n;
	way->out = &pfai_quarantined(pfai_full_of(p, c))[home->zone].out;
	return true;
}

/* The oldest blocks leave the queue, up to p->evict, while there is nothing about them that has to be looked at: what they are,
 * and that their slots have room. Returns how many. As pfai_slot_insert() for each, but what stays the same is looked up once. */
static uint32_t quarantine_evict_plain(struct pfa *p, struct pfai_cpu *c, struct pfai_full *f)
{
	uint32_t most = p->evict < f->n ? p->evict : f->n, done = 0;
	if (most > p->quarantine - f->first)
		most = p->quarantine - f->first;
	const uint32_t *oldest = pfai_quarantine_ring(p, f) + f->first;
	const uint16_t *random = pfai_prng_some(&f->random, p->random_key, pfai_cpu_stream(p, c), most) + most;
	const unsigned pb_order = p->pb_order;
	pfai_a8 *const bytes = p->bytes, *const routes = p->routes;
	struct quarantine_way way = { .nr = 0 };
	const uint32_t inside = (1u << pb_order) - 1;
	uint32_t before = 0; /* an offset in a pageblock whose route is the way's, once there is one */
	for (; done < most; done++) {
		uint32_t offset = oldest[done];
		if (PFAI_UNLIKELY(offset - way.first >= way.nr || pfai_load_relaxed(&bytes[offset]) != way.from ||
		                  ((offset ^ before) > inside && pfai_load_relaxed(&routes[offset >> pb_order]) != way.route))) {
			quarantine_way_end(&way);
			if (!quarantine_way_begin(p, c, &way, offset))
				break;
		}
		before = offset;
		if (PFAI_UNLIKELY((offset & way.mask) != way.begin || way.n >= way.cap))
			break;
		pfai_store_relaxed(&bytes[offset], way.to);
		uint32_t i = *--random * (way.n + 1) >> 16;
		way.entries[way.n++] = way.entries[i];
		way.entries[i] = offset;
	}
	quarantine_way_end(&way);
	f->random.left += most - done;
	f->first = f->first + done < p->quarantine ? f->first + done : 0;
	f->n -= done;
	return done;
}

/* The oldest block leaves the queue. PFA_OK, PFA_ECORRUPT; PFA_EAGAIN: it cannot. */
static int quarantine_evict(struct pfa *p, struct pfai_cpu *c, struct pfai_full *f)
{
	uint32_t offset = *quarantine_at(p, f, 0);
	unsigned order;
	struct pfai_zone *z = quarantine_block(p, offset, &order);
	if (PFAI_UNLIKELY(!z))
		return quarantine_damaged(p, f);
	struct pfai_slot *s = quarantine_slot(p, c, offset, order);
	bool locked = !s || s->n >= s->cap;
	if (locked && !pfai_zone_lock(p, z))
		return PFA_EAGAIN;
	f->first = f->first + 1 < p->quarantine ? f->first + 1 : 0;
	f->n--;
	if (locked && s && !pfai_slot_flush_locked(p, c, z, (size_t)(s - c->slots),
	                                           pfai_slot_batch(p, (size_t)(s - c->slots))))
		s = NULL; /* damage was met: there may be no room */
	if (s)
		quarantine_push(p, c, s, z, offset, order);
	else
		quarantine_put_back_locked(p, f, z, offset, order);
	if (locked)
		pfai_zone_unlock(p, z);
	return PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)) ? PFA_ECORRUPT : PFA_OK;
}

int PFAI_NOINLINE pfai_quarantine_settle(struct pfa *p, struct pfai_cpu *c)
{
	struct pfai_full *f = pfai_full_of(p, c);
	if (PFAI_UNLIKELY(!quarantine_sound(p, f)))
		return quarantine_damaged(p, f);
	/* One has to leave; more as long as that is simple: no slot is flushed for them. */
	return quarantine_evict_plain(p, c, f) ? PFA_OK : quarantine_evict(p, c, f);
}

/* Is any pageblock of this block held? Whoever holds it has set the holder before he takes each cpu's lock to purge its queue.
 * The route of a block that no cache could hold says nothing of the pageblocks behind its first. */
static bool quarantine_held_off(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	unsigned route = pfai_load_relaxed(&p->routes[offset >> p->pb_order]);
	if (PFAI_LIKELY((route & (PFAI_ROUTE_CODES - 1)) != PFAI_ROUTE_SLOW &&
	                (order < p->cached_orders || order <= p->pb_order)))
		return false;
	size_t pb = (offset + z->delta) >> p->pb_order, last = (offset + z->delta + ((size_t)1 << order) - 1) >> p->pb_order;
	for (; pb <= last && pb < z->nr_pb; pb++)
		if (pfai_pb_holder(&z->pb[pb]))
			return true;
	return false;
}

int pfai_quarantine_put(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z, size_t offset, unsigned order)
{
	struct pfai_full *f = pfai_full_of(p, c);
	int result = PFA_OK;
	if (!p->quarantine || !f->cap || PFAI_UNLIKELY(pfai_load_relaxed(&p->st->starving)) ||
	    quarantine_held_off(p, z, offset, order))
		return PFA_EAGAIN;
	if (PFAI_UNLIKELY(!quarantine_sound(p, f)))
		result = quarantine_damaged(p, f);
	else if (f->n == p->quarantine)
		result = quarantine_evict(p, c, f);
	if (result == PFA_EAGAIN)
		return result;
	*quarantine_at(p, f, f->n) = (uint32_t)offset;
	f->n++;
	pfai_quarantined(f)[z->id].in += (size_t)1 << order;
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)(PFAI_QUARANTINE | order));
	pfai_store_relaxed(&c->held, 1u);
	if (f->n == p->quarantine && pfai_quarantine_settle(p, c) == PFA_ECORRUPT)
		result = PFA_ECORRUPT;
	/* What was damaged may be another zone's: then this block went back, and may be granted again. */
	return pfai_load_relaxed(&z->st->corrupt) ? result : PFA_OK;
}

int pfai_quarantine_flush(struct pfa *p, struct pfai_cpu *c)
{
	struct pfai_full *f = pfai_full_of(p, c);
	struct pfai_zone *locked = NULL;
	size_t steps = 0;
	int result = PFA_OK;
	if (!p->quarantine)
		return PFA_OK;
	if (!quarantine_sound(p, f))
		return quarantine_damaged(p, f);
	while (f->n && result == PFA_OK) {
		unsigned order;
		uint32_t offset = *quarantine_at(p, f, 0);
		struct pfai_zone *z = quarantine_block(p, offset, &order);
		if (locked && locked != z) {
			pfai_zone_steps(locked, steps);
			pfai_zone_unlock(p, locked);
			locked = NULL;
			steps = 0;
		}
		if (!z)
			return quarantine_damaged(p, f);
		if (!locked && !pfai_zone_lock(p, z))
			return PFA_EBUSY;
		locked = z;
		quarantine_put_back_locked(p, f, z, offset, order);
		f->first = f->first + 1 < p->quarantine ? f->first + 1 : 0;
		f->n--;
		steps++;
		if (pfai_load_relaxed(&z->st->corrupt))
			result = PFA_ECORRUPT;
	}
	if (locked) {
		pfai_zone_steps(locked, steps);
		pfai_zone_unlock(p, locked);
	}
	return result;
}

/* Takes the entries of z that overlap [lo, hi) out of the queue, and gives them back to z, which is locked then. The
 * others keep their order. */
static void quarantine_sift(struct pfa *p, struct pfai_full *f, struct pfai_zone *z, size_t lo, size_t hi, bool give_back)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < f->n; i++) {
		unsigned order;
		uint32_t offset = *quarantine_at(p, f, i);
		if (quarantine_block(p, offset, &order) != z || offset >= hi || offset + ((size_t)1 << order) <= lo)
			*quarantine_at(p, f, kept++) = offset;
		else if (give_back)
			quarantine_put_back_locked(p, f, z, offset, order);
	}
	f->n = kept;
}

static bool quarantine_overlaps(const struct pfa *p, struct pfai_full *f, const struct pfai_zone *z, size_t lo, size_t hi)
{
	for (uint32_t i = 0; i < f->n; i++) {
		unsigned order;
		uint32_t offset = *quarantine_at(p, f, i);
		if (quarantine_block(p, offset, &order) == z && offset < hi && offset + ((size_t)1 << order) > lo)
			return true;
	}
	return false;
}

int pfai_quarantine_purge(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t lo, size_t hi)
{
	struct pfai_full *f = pfai_full_of(p, c);
	if (!p->quarantine)
		return PFA_OK;
	if (!quarantine_sound(p, f))
		return quarantine_damaged(p, f);
	if (!quarantine_overlaps(p, f, z, lo, hi))
		return PFA_OK;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	quarantine_sift(p, f, z, lo, hi, true);
	pfai_zone_unlock(p, z);
	return pfai_load_relaxed(&z->st->corrupt) ? PFA_ECORRUPT : PFA_OK;
}

void pfai_quarantine_abandon(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z)
{
	struct pfai_full *f = pfai_full_of(p, c);
	if (!p->quarantine)
		return;
	if (!quarantine_sound(p, f))
		(void)quarantine_damaged(p, f);
	else
		quarantine_sift(p, f, &p->zones[z->id], 0, SIZE_MAX, false);
}

void pfai_quarantine_reset(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z)
{
	struct pfai_full *f = pfai_full_of(p, c);
	pfai_quarantine_abandon(p, c, z);
	if (!p->quarantine)
		f->first = f->n = f->cap = 0;
	pfai_quarantined(f)[z->id].out = pfai_quarantined(f)[z->id].in;
	pfai_quarantine_enable(p, c, !p->st->disabled);
}
