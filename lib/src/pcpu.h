/* SPDX-License-Identifier: MIT
 *
 * Layer 4: per-CPU caches. A stack of blocks for each (zone, common type, order); a cached block's frames are not free
 * in the map, and its first byte says CACHED, exactly while it is in a slot.
 *
 * A cached block keeps its slot even if its pageblock changes type meanwhile; it returns to the type of that moment.
 */
#ifndef PFAI_PCPU_H
#define PFAI_PCPU_H

#include "zone.h"

/* The zone set's lock. False: the platform cannot wait. */
static inline bool pfai_set_lock(struct pfa *p)
{
	pfai_rank_check(p, &p->st->set_lock, PFAI_RANK_SET);
	if (!pfai_sleep_lock(&p->os, &p->st->set_lock))
		return false;
	pfai_rank_note(p, &p->st->set_lock);
	return true;
}

static inline void pfai_set_unlock(struct pfa *p)
{
	pfai_rank_forget(&p->st->set_lock);
	pfai_sleep_unlock(&p->os, &p->st->set_lock);
}

/* A try never waits, so that it cannot deadlock whatever is held: no rank is checked. */
PFAI_ALWAYS_INLINE bool pfai_cpu_try_lock(struct pfa *p, struct pfai_cpu *c)
{
	if (!pfai_try_lock(&c->lock))
		return false;
	pfai_rank_note(p, &c->lock);
	return true;
}

/* The cache of the cpu that the caller runs on, locked; NULL: the cpu is out of range, or the cache is busy. */
static inline struct pfai_cpu *pfai_cpu_mine(struct pfa *p)
{
	uint32_t cpu = pfai_this_cpu(p);
	if (cpu >= p->nr_cpus || !pfai_cpu_try_lock(p, pfai_cpu_at(p, cpu)))
		return NULL;
	return pfai_cpu_at(p, cpu);
}

static inline bool pfai_cpu_lock(struct pfa *p, struct pfai_cpu *c)
{
	pfai_rank_check(p, &c->lock, PFAI_RANK_CPU);
	if (PFAI_UNLIKELY(!pfai_try_lock(&c->lock)) && !pfai_try_lock_wait(&p->os, &c->lock))
		return false;
	pfai_rank_note(p, &c->lock);
	return true;
}

/* pfai_cpu_mine(), and level 3 waits for it: past the caches there is no quarantine, and less choice. */
static inline struct pfai_cpu *pfai_cpu_mine_or_wait(struct pfa *p)
{
	if (!pfai_level(p, 3))
		return pfai_cpu_mine(p);
	uint32_t cpu = pfai_this_cpu(p);
	return cpu < p->nr_cpus && pfai_cpu_lock(p, pfai_cpu_at(p, cpu)) ? pfai_cpu_at(p, cpu) : NULL;
}

static inline void pfai_cpu_unlock(struct pfa *p, struct pfai_cpu *c)
{
	pfai_rank_forget(&c->lock);
	pfai_try_unlock(&p->os, &c->lock);
}

/* The rare end of a fast path's unlock, as a tail call: wakes, and returns PFA_OK. */
int pfai_cpu_wake(struct pfa *p, struct pfai_cpu *c);

/* pfai_cpu_unlock() and return PFA_OK, without a call that is not a tail call. */
PFAI_ALWAYS_INLINE int pfai_cpu_unlock_tail(struct pfa *p, struct pfai_cpu *c)
{
	pfai_rank_forget(&c->lock);
	pfai_store_release(&c->lock.word, 0);
	if (PFAI_UNLIKELY(pfai_load_relaxed(&c->lock.waiters)))
		return pfai_cpu_wake(p, c);
	return PFA_OK;
}

/* Blocks that are moved at once between a slot and its zone: half a slot, or at level 3 half of what is above its keep, so
 * that neither end is near after one was met. */
static inline unsigned pfai_slot_batch(const struct pfa *p, size_t slot)
{
	const struct pfai_slot_home *home = &p->homes[slot];
	unsigned half = ((pfai_level(p, 3) ? home->above : home->cap) + 1u) / 2;
	return p->batch_high && p->batch_high < half ? p->batch_high : half;
}

/* ---- what level 2 compares; below it everything is believed. Cache lock held. */

static inline bool pfai_slot_as_built(const struct pfa *p, const struct pfai_cpu *c, size_t slot)
{
	const struct pfai_slot_home *home = &p->homes[slot];
	const struct pfai_slot *s = &c->slots[slot];
	return s->start == home->start && s->n <= s->cap &&
	       (s->cap == home->cap || !s->cap);
}

/* Is the slot as it was built, and holds no more than it can? False: its zone is marked. */
static inline bool pfai_slot_sound(struct pfa *p, const struct pfai_cpu *c, size_t slot)
{
	if (!pfai_level(p, 2) || PFAI_LIKELY(pfai_slot_as_built(p, c, slot)))
		return true;
	pfai_zone_mark_corrupt(&p->zones[pfai_slot_zone(p, slot)], PFAI_DAMAGE_CACHE);
	return false;
}

/* Is this a frame of the slot's zone? */
static inline bool pfai_entry_sound(const struct pfa *p, size_t slot, size_t offset)
{
	return !pfai_level(p, 2) || PFAI_LIKELY(offset - p->homes[slot].first < p->homes[slot].nr);
}

/* The slot that a route leads to, of a block at this offset that is about to be freed; PFAI_NONE: the route is damaged,
 * and the block's zone, if it is in one, is marked. */
static inline size_t pfai_slot_by_route(struct pfa *p, size_t offset, unsigned order)
{
	uint8_t route = pfai_load_relaxed(&p->routes[offset >> p->pb_order]);
	size_t slot = ((size_t)route << p->slot_shift) + order;
	if (!pfai_level(p, 2) || PFAI_LIKELY(slot < pfai_slots_per_cpu(p) && pfai_entry_sound(p, slot, offset)))
		return slot;
	/* SLOW stands for pageblocks of two zones or of none, too. */
	struct pfai_zone *z = pfai_zone_of(p, p->base + offset);
	if (z && (slot >= pfai_slots_per_cpu(p) || route % PFAI_ROUTE_CODES != PFAI_ROUTE_SLOW))
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_CACHE);
	return PFAI_NONE;
}

/* Level 3: a cpu's stream of random numbers is told by its place: blocks of metadata are 64 bytes at least. */
static inline uint32_t pfai_cpu_stream(const struct pfa *p, const struct pfai_cpu *c)
{
	return (uint32_t)((size_t)((const unsigned char *)c - p->cpus) >> 6);
}

/* Level 3: a block joins the n entries from `start`, at any place among them; the caller counts it. So the order of a slot's
 * stack is always a random one, and the block on top, which is the next to be taken, is any of them. */
static inline void pfai_slot_insert(const struct pfa *p, struct pfai_cpu *c, uint32_t start, uint32_t n, uint32_t offset)
{
	uint32_t *entries = pfai_entries_at(c, start);
	uint32_t i = pfai_prng_below(&pfai_full_of(p, c)->random, p->random_key, pfai_cpu_stream(p, c), n + 1);
	entries[n] = entries[i];
	entries[i] = offset;
}

/* Takes the block on top out of a slot that is not empty, and makes it an allocated one. False: its byte was
 * wrong (it is dropped; the caller reports). *zero: its content is known. */
PFAI_ALWAYS_INLINE bool pfai_slot_pop(struct pfa *p, struct pfai_cpu *c, size_t slot, size_t *offset, bool *zero)
{
	struct pfai_slot *s = &c->slots[slot];
	unsigned order = pfai_slot_order(p, slot);
	size_t at = pfai_entries_at(c, s->start)[--s->n];
	*offset = at;
	if (PFAI_UNLIKELY(!pfai_entry_sound(p, slot, at)))
		return false;
	uint8_t byte = pfai_load_relaxed(&p->bytes[at]);
	if (PFAI_UNLIKELY(PFA_HARDENING && (byte & ~(unsigned)PFAI_ZERO_BIT) != (PFAI_CACHED | order)))
		return false;
	*zero = byte & PFAI_ZERO_BIT;
	pfai_store_relaxed(&p->bytes[at], (uint8_t)(PFAI_HEAD | order));
	s->allocs++;
	return true;
}

/* Adds up to want blocks of its own type to a slot, from its zone; they have room. Cache and zone lock held. Returns how many. */
unsigned pfai_slot_refill_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t slot, unsigned want);

/* Gives the nr oldest blocks of a slot back to the zone. Cache and zone lock held. False: damage was met (the zone is
 * marked; the blocks in question are dropped). */
bool pfai_slot_flush_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t slot, unsigned nr);

/* Gives everything back. Cache lock held, takes zone locks. @return PFA_OK, PFA_EBUSY, PFA_ECORRUPT. */
int pfai_cache_drain_locked(struct pfa *p, struct pfai_cpu *c);

/* Drains one cpu; every cpu that holds something. No lock held. @return as above. */
int pfai_cache_drain_cpu(struct pfa *p, uint32_t cpu);
int pfai_cache_drain_all(struct pfa *p);
/* Drains every cpu, and takes the lock also of those that say they hold nothing. */
int pfai_cache_visit_all(struct pfa *p);

/* Gives back the cached blocks that overlap [rel, rel + nr_frames), from all cpus; wait: false skips busy caches.
 * @return PFA_OK; PFA_EAGAIN: a cache was skipped; PFA_EBUSY: the platform cannot wait; PFA_ECORRUPT. */
int pfai_cache_purge_run(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames, bool wait);

static inline int pfai_cache_purge_pageblock(struct pfa *p, struct pfai_zone *z, size_t pb, bool wait)
{
	return pfai_cache_purge_run(p, z, pb << p->pb_order, (size_t)1 << p->pb_order, wait);
}

/* Does any cpu's cache hold something? Without lock: what was cached before the call is seen, and where a drain has
 * taken it away, its zone's hints are seen too. */
bool pfai_cache_any_held(const struct pfa *p);

/* A zone refuses: nothing more is served from or freed into its slots. The blocks in them are lost until a
 * repair, for which the entries are kept. */
void pfai_cache_abandon(struct pfa *p, struct pfai_zone *z);

#endif
