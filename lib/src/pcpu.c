/* SPDX-License-Identifier: MIT */
#include "pcpu.h"

#include "quarantine.h"

int pfai_cpu_wake(struct pfa *p, struct pfai_cpu *c)
{
	pfai_lock_wake(&p->os, &c->lock);
	return PFA_OK;
}

unsigned pfai_slot_refill_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t slot, unsigned want)
{
	struct pfai_slot *s = &c->slots[slot];
	unsigned order = pfai_slot_order(p, slot), code = (unsigned)(slot >> p->slot_shift) % PFAI_ROUTE_CODES;
	uint32_t *entries = pfai_entries_at(c, s->start) + s->n;
	unsigned got = pfai_zone_grab_locked(p, z, code, order, want, entries);
	/* Lowest first came out; turn it round, so that the lowest is on top of the stack and goes first. */
	for (unsigned i = 0, j = got; i + 1 < j; i++) {
		j--;
		uint32_t swap = entries[i];
		entries[i] = entries[j];
		entries[j] = swap;
	}
	unsigned fine = 0;
	for (unsigned i = 0; i < got; i++) {
		size_t offset = entries[i];
		unsigned byte = PFAI_CACHED | order;
		if (PFAI_UNLIKELY(!pfai_block_grantable(p, z, offset, order))) {
			pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE); /* somebody's, says its byte: whatever the map said */
			continue;
		}
		if (z->zero && pfai_zone_known_zero_locked(p, z, offset + z->delta, (size_t)1 << order))
			byte |= PFAI_ZERO_BIT;
		pfai_block_leaves(p, offset, order, byte);
		/* What is overwritten is an entry that was read. */
		if (pfai_level(p, 3))
			pfai_slot_insert(p, c, s->start, s->n + fine, (uint32_t)offset);
		else
			entries[fine] = (uint32_t)offset;
		fine++;
	}
	got = fine;
	s->n = (uint16_t)(s->n + got);
	z->st->events.refill++;
	pfai_store_relaxed(&c->held, 1u);
	return got;
}

/* Cached blocks on their way back: those in one word of the free map that come one after the other are put together. */
struct pcpu_word {
	size_t word;
	pfai_word mask, zero;
};

static inline void pcpu_word_put(struct pfa *p, struct pfai_zone *z, struct pcpu_word *w)
{
	if (w->mask)
		pfai_zone_put_word_locked(p, z, w->word, w->mask, w->zero);
	w->mask = w->zero = 0;
}

static inline void pcpu_word_add(struct pfa *p, struct pfai_zone *z, struct pcpu_word *w, size_t rel, unsigned order, bool zero)
{
	if (order >= PFAI_WORD_SHIFT) {
		pfai_zone_put_locked(p, z, rel, order, zero);
		return;
	}
	pfai_word mask = pfai_low_bits(1u << order) << (rel & PFAI_WORD_MASK);
	if (rel >> PFAI_WORD_SHIFT != w->word)
		pcpu_word_put(p, z, w);
	w->word = rel >> PFAI_WORD_SHIFT;
	w->mask |= mask;
	if (zero)
		w->zero |= mask;
}

/* Blocks of a slot go back, in the order in which they lie. False: some bytes were wrong. */
static bool pcpu_put_words(struct pfa *p, struct pfai_zone *z, size_t slot, const uint32_t entries[], unsigned nr)
{
	unsigned order = pfai_slot_order(p, slot);
	struct pcpu_word w = { 0, 0, 0 };
	bool ok = true;
	for (unsigned i = 0; i < nr; i++) {
		size_t offset = entries[i];
		uint8_t byte = PFAI_LIKELY(pfai_entry_sound(p, slot, offset)) ? pfai_load_relaxed(&p->bytes[offset]) : PFAI_NOTHING;
		if (PFAI_UNLIKELY(PFA_HARDENING && (byte & ~(unsigned)PFAI_ZERO_BIT) != (PFAI_CACHED | order)) ||
		    PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order))) {
			ok = false;
			continue;
		}
		pfai_block_returns(p, offset, order);
		pcpu_word_add(p, z, &w, offset + z->delta, order, byte & PFAI_ZERO_BIT);
	}
	pcpu_word_put(p, z, &w);
	return ok;
}

/* At level 3 they lie in random order: those in one leaf are put together. */
struct pcpu_leaf {
	size_t leaf;
	uint32_t words;     /* of which masks count */
	bool zero;          /* all of them are known to be zero */
	pfai_word masks[1u << (PFAI_LEAF_ORDER_LIMIT - PFAI_WORD_SHIFT)];
};

/* Leaves that are open at once, and the table by which they are found: a slot was filled from a few leaves. */
#define PCPU_LEAVES 8u
#define PCPU_PLACES 64u
struct pcpu_leaves {
	struct pcpu_leaf open[PCPU_LEAVES];
	uint8_t place[PCPU_PLACES];
	unsigned next;      /* to be reused */
};

static void pcpu_leaf_put(struct pfa *p, struct pfai_zone *z, struct pcpu_leaf *l)
{
	if (l->words & (l->words - 1)) {
		pfai_zone_put_leaf_locked(p, z, l->leaf, l->words, l->masks, l->zero);
	} else if (l->words) {
		unsigned i = pfai_ctz32(l->words);
		pfai_zone_put_word_locked(p, z, l->leaf * pfai_leaf_words(p) + i, l->masks[i], l->zero ? PFAI_ONES : 0);
	}
	l->words = 0;
}

/* The leaf, open; which may close another. */
static inline struct pcpu_leaf *pcpu_leaf_of(struct pfa *p, struct pfai_zone *z, struct pcpu_leaves *leaves, size_t leaf, bool zero)
{
	uint8_t *place = &leaves->place[leaf % PCPU_PLACES];
	struct pcpu_leaf *l = &leaves->open[*place];
	if (PFAI_LIKELY(leaf == l->leaf && zero == l->zero))
		return l;
	*place = (uint8_t)leaves->next;
	l = &leaves->open[leaves->next];
	leaves->next = (leaves->next + 1) % PCPU_LEAVES;
	pcpu_leaf_put(p, z, l);
	l->leaf = leaf;
	l->zero = zero;
	memset(l->masks, 0, sizeof(l->masks));
	return l;
}

static bool pcpu_put_leaves(struct pfa *p, struct pfai_zone *z, size_t slot, const uint32_t entries[], unsigned nr)
{
	const struct pfai_slot_home *home = &p->homes[slot];
	const uint32_t first = home->first, nr_frames = home->nr;
	const unsigned order = pfai_slot_order(p, slot), leaf_order = p->leaf_order;
	const size_t delta = z->delta, inside = ((size_t)1 << leaf_order) - 1;
	const pfai_word block = order < PFAI_WORD_SHIFT ? pfai_low_bits(1u << order) : 0;
	pfai_a8 *const bytes = p->bytes;
	struct pcpu_leaves leaves;
	bool ok = true;
	memset(&leaves, 0, sizeof(leaves));
	for (unsigned i = 0; i < PCPU_LEAVES; i++)
		leaves.open[i].leaf = PFAI_NONE;
	for (unsigned i = 0; i < nr; i++) {
		uint32_t offset = entries[i];
		uint8_t byte = PFAI_LIKELY(offset - first < nr_frames) ? pfai_load_relaxed(&bytes[offset]) : PFAI_NOTHING;
		if (PFAI_UNLIKELY((byte & ~(unsigned)PFAI_ZERO_BIT) != (PFAI_CACHED | order)) ||
		    (order && PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, order)))) {
			ok = false;
			continue;
		}
		size_t rel = offset + delta;
		if (order)
			pfai_block_returns(p, offset, order);
		else
			pfai_store_relaxed(&bytes[offset], PFAI_NOTHING);
		if (!block) {
			pfai_zone_put_locked(p, z, rel, order, byte & PFAI_ZERO_BIT);
			continue;
		}
		struct pcpu_leaf *l = pcpu_leaf_of(p, z, &leaves, rel >> leaf_order, byte & PFAI_ZERO_BIT);
		unsigned word = (unsigned)(rel & inside) >> PFAI_WORD_SHIFT;
		l->words |= 1u << word;
		l->masks[word] |= block << (rel & PFAI_WORD_MASK);
	}
	for (unsigned i = 0; i < PCPU_LEAVES; i++)
		pcpu_leaf_put(p, z, &leaves.open[i]);
	return ok;
}

bool pfai_slot_flush_locked(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t slot, unsigned nr)
{
	struct pfai_slot *s = &c->slots[slot];
	if (PFAI_UNLIKELY(!pfai_slot_sound(p, c, slot)))
		return false;
	uint32_t *entries = pfai_entries_at(c, s->start);
	bool ok = pfai_level(p, 3) ? pcpu_put_leaves(p, z, slot, entries, nr) : pcpu_put_words(p, z, slot, entries, nr);
	s->n = (uint16_t)(s->n - nr);
	memmove(entries, entries + nr, s->n * sizeof(*entries));
	z->st->events.flush++;
	pfai_zone_steps(z, nr);
	if (!ok)
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_CACHE);
	return !pfai_load_relaxed(&z->st->corrupt);
}

int pfai_cache_drain_locked(struct pfa *p, struct pfai_cpu *c)
{
	size_t per_zone = pfai_slots_per_zone(p);
	int result = pfai_level(p, 3) ? pfai_quarantine_flush(p, c) : PFA_OK;
	if (result == PFA_EBUSY)
		return result;
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		bool locked = false;
		for (size_t slot = i * per_zone; slot < (i + 1) * per_zone; slot++) {
			if (!c->slots[slot].n)
				continue;
			if (!locked && !pfai_zone_lock(p, z))
				return PFA_EBUSY;
			locked = true;
			if (!pfai_slot_flush_locked(p, c, z, slot, c->slots[slot].n))
				result = PFA_ECORRUPT;
		}
		if (locked)
			pfai_zone_unlock(p, z);
	}
	pfai_store_release(&c->held, 0u); /* after the zones' hints: see pfai_cache_any_held() */
	pfai_add_relaxed(&p->st->nr_drain, 1u);
	return result;
}

int pfai_cache_drain_cpu(struct pfa *p, uint32_t cpu)
{
	struct pfai_cpu *c = pfai_cpu_at(p, cpu);
	if (!pfai_cpu_lock(p, c))
		return PFA_EBUSY;
	int result = pfai_cache_drain_locked(p, c);
	pfai_cpu_unlock(p, c);
	return result;
}

int pfai_cache_drain_all(struct pfa *p)
{
	int result = PFA_OK;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		if (!pfai_load_relaxed(&pfai_cpu_at(p, cpu)->held))
			continue;
		int code = pfai_cache_drain_cpu(p, cpu);
		if (code != PFA_OK)
			result = code;
	}
	return result;
}

int pfai_cache_visit_all(struct pfa *p)
{
	int result = PFA_OK;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		if (!pfai_cpu_lock(p, c)) {
			result = PFA_EBUSY;
			continue;
		}
		int code = pfai_load_relaxed(&c->held) ? pfai_cache_drain_locked(p, c) : PFA_OK;
		pfai_cpu_unlock(p, c);
		if (code != PFA_OK)
			result = code;
	}
	return result;
}

bool pfai_cache_any_held(const struct pfa *p)
{
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++)
		if (pfai_load_acquire(&pfai_cpu_at(p, cpu)->held))
			return true;
	return false;
}

void pfai_cache_abandon(struct pfa *p, struct pfai_zone *z)
{
	size_t first = z->id * pfai_slots_per_zone(p);
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		if (!pfai_cpu_lock(p, c))
			continue;
		for (size_t slot = first; slot < first + pfai_slots_per_zone(p); slot++) {
			struct pfai_slot *s = &c->slots[slot];
			uint32_t *entries = pfai_slot_sealed_entries(p, cpu, slot);
			unsigned cap = pfai_slot_sealed_cap(p, slot);
			if (s->start == PFAI_SLOT_ABANDONED)
				continue;
			for (unsigned i = s->n; i < cap; i++)
				entries[i] = PFAI_NO_ENTRY;
			s->n = s->cap = 0;
			s->start = PFAI_SLOT_ABANDONED;
		}
		if (pfai_level(p, 3))
			pfai_quarantine_abandon(p, c, z);
		pfai_cpu_unlock(p, c);
	}
}

/* Moves the blocks of a slot that overlap [lo, hi) to its bottom; returns how many. */
static unsigned pcpu_select(struct pfai_cpu *c, struct pfai_slot *s, unsigned order, size_t lo, size_t hi)
{
	uint32_t *entries = pfai_entries_at(c, s->start);
	unsigned nr = 0;
	for (unsigned i = 0; i < s->n; i++) {
		uint32_t at = entries[i];
		if (at >= hi || at + ((size_t)1 << order) <= lo)
			continue;
		entries[i] = entries[nr];
		entries[nr++] = at;
	}
	return nr;
}

int pfai_cache_purge_run(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames, bool wait)
{
	size_t lo = pfai_offset_of_rel(z, rel), hi = lo + nr_frames;
	size_t per_zone = pfai_slots_per_zone(p), first = z->id * per_zone;
	int result = PFA_OK, skipped = PFA_OK;
	for (uint32_t cpu = 0; cpu < p->nr_cpus; cpu++) {
		struct pfai_cpu *c = pfai_cpu_at(p, cpu);
		/* The hint `held` must not be asked here: a free that read the old route may be about to push. */
		if (wait ? !pfai_cpu_lock(p, c) : !pfai_cpu_try_lock(p, c)) {
			if (wait)
				return PFA_EBUSY;
			skipped = PFA_EAGAIN;
			continue;
		}
		int code = pfai_level(p, 3) ? pfai_quarantine_purge(p, c, z, lo, hi) : PFA_OK;
		if (code == PFA_EBUSY) {
			pfai_cpu_unlock(p, c);
			return code;
		}
		if (code != PFA_OK)
			result = code;
		for (size_t slot = first; slot < first + per_zone; slot++) {
			if (PFAI_UNLIKELY(!pfai_slot_sound(p, c, slot))) {
				result = PFA_ECORRUPT;
				continue;
			}
			unsigned nr = pcpu_select(c, &c->slots[slot], pfai_slot_order(p, slot), lo, hi);
			if (!nr)
				continue;
			if (!pfai_zone_lock(p, z)) {
				pfai_cpu_unlock(p, c);
				return PFA_EBUSY;
			}
			if (!pfai_slot_flush_locked(p, c, z, slot, nr))
				result = PFA_ECORRUPT;
			pfai_zone_unlock(p, z);
		}
		pfai_cpu_unlock(p, c);
	}
	return result == PFA_OK ? skipped : result;
}
