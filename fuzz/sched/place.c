/* SPDX-License-Identifier: MIT
 *
 * place.c - atomics: each place's last stores, what an acquire of each brings, and which of them a load may still read.
 *
 * The order in which stores are done is their modification order; memory always holds the newest. A load may read a store
 * unless a newer one happened before it, or was read by something that did. Read-modify-writes, also failing ones, read
 * the newest. A seq_cst load reads no store older than the newest seq_cst one. Hence no load buffering and no 2+2W.
 */
#include "internal.h"

#include <string.h>

#define PLACE_NR 4096u
#define PLACE_INDEX (PLACE_NR * 4)
#define PLACE_STORES 8u /* older ones are forgotten */

enum { PLACE_RELAXED, PLACE_CONSUME, PLACE_ACQUIRE, PLACE_RELEASE, PLACE_ACQ_REL, PLACE_SEQ_CST };

struct place_store {
	uint64_t value;
	struct clock release;    /* what an acquire load of it makes the reader know */
	struct clock first_read; /* each thread's epoch when it first read it; 0: it did not */
	uint32_t epoch;          /* of the storing thread; 0: before all threads */
	uint32_t thread;
};

struct place {
	uintptr_t addr;
	uint32_t bytes;
	uint32_t number;  /* by first use in the run: stands for the address in the hash */
	uint32_t nr;      /* stores so far; the last PLACE_STORES are kept */
	uint32_t seq_cst; /* nr after the newest seq_cst store; 0: none */
	uint32_t lock;    /* see lock_taken(); 0: it is none */
	struct place_store stores[PLACE_STORES];
};

static struct place place_all[PLACE_NR];
static struct {
	uint32_t generation, place;
} place_index[PLACE_INDEX];
static uint32_t place_nr;

void place_begin(void)
{
	place_nr = 0;
}

static uint64_t place_get(uintptr_t addr, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return *(volatile uint8_t *)addr;
	case 4:
		return *(volatile uint32_t *)addr;
	default:
		return *(volatile uint64_t *)addr;
	}
}

static void place_put(uintptr_t addr, unsigned bytes, uint64_t value)
{
	switch (bytes) {
	case 1:
		*(volatile uint8_t *)addr = (uint8_t)value;
		break;
	case 4:
		*(volatile uint32_t *)addr = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)addr = value;
		break;
	}
}

static struct place_store *place_newest(struct place *p)
{
	return &p->stores[(p->nr - 1) % PLACE_STORES];
}

/* What was there before the threads, or was written plainly or in another size since, which is then ordered with everything or a race. */
static void place_start(struct place *p)
{
	p->nr = 1;
	p->seq_cst = 0;
	memset(&p->stores[0], 0, sizeof(p->stores[0]));
	p->stores[0].value = place_get(p->addr, p->bytes);
}

static struct place *place_of(uintptr_t addr, unsigned bytes)
{
	size_t at = (size_t)(addr ^ (addr >> 14));

	for (;; at++) {
		uint32_t i = at & (PLACE_INDEX - 1);
		if (place_index[i].generation == sched_now.generation) {
			struct place *p = &place_all[place_index[i].place];
			if (p->addr != addr || p->bytes != bytes) /* bytes that are read as a word, too, are places of their own */
				continue;
			if (place_newest(p)->value != place_get(addr, bytes))
				place_start(p);
			return p;
		}
		if (place_nr == PLACE_NR) {
			sched_found(SCHED_LIMIT, "more than %u places of atomics are in use", PLACE_NR);
			place_nr--;
		}
		place_index[i].generation = sched_now.generation;
		place_index[i].place = place_nr;
		struct place *p = &place_all[place_nr];
		p->addr = addr;
		p->bytes = bytes;
		p->number = place_nr++;
		p->lock = 0;
		place_start(p);
		return p;
	}
}

void place_is_lock(uintptr_t addr, unsigned lock)
{
	place_of(addr, 4)->lock = lock;
}

/* A lock's word changes from one value to another. */
static inline void place_locks(const struct place *p, uint64_t from, uint64_t to)
{
	if (!p->lock)
		return;
	if (!from && to)
		lock_taken(p->lock);
	else if (from && !to)
		lock_released(p->lock);
}

static bool place_acquires(int order)
{
	return order == PLACE_CONSUME || order == PLACE_ACQUIRE || order == PLACE_ACQ_REL || order == PLACE_SEQ_CST;
}

static bool place_releases(int order)
{
	return order == PLACE_RELEASE || order == PLACE_ACQ_REL || order == PLACE_SEQ_CST;
}

/* Whether the running thread knows of this store, or of somebody who read it: then no older one is left to read. */
static bool place_known(const struct place_store *s)
{
	const struct clock *now = &sched_now.clocks[sched_now.self];

	if (s->epoch <= now->at[s->thread])
		return true;
	for (unsigned i = 0; i < SCHED_THREADS; i++)
		if (s->first_read.at[i] && s->first_read.at[i] <= now->at[i])
			return true;
	return false;
}

/* How many values, from the newest on, a load may read. */
static unsigned place_choices(const struct place *p, int order)
{
	unsigned nr = 1, kept = p->nr < PLACE_STORES ? p->nr : PLACE_STORES;

	while (nr < kept) {
		uint32_t at = p->nr - nr; /* 1-based number of the store that is newer than the next candidate */
		if (place_known(&p->stores[(at) % PLACE_STORES]) || (order == PLACE_SEQ_CST && p->seq_cst > at))
			break;
		nr++;
	}
	return nr;
}

static void place_hash(enum sched_step what, const struct place *p, uint64_t value)
{
	/* Words of 8 bytes may be addresses. */
	sched_mix((uint64_t)what << 56 | (uint64_t)p->number << 36 | (p->bytes < 8 ? value : 0));
}

static void place_read(struct place_store *s, int order)
{
	struct clock *now = &sched_now.clocks[sched_now.self];

	if (!s->first_read.at[sched_now.self])
		s->first_read.at[sched_now.self] = now->at[sched_now.self];
	if (place_acquires(order))
		clock_join(now, &s->release);
}

/* A new newest store. It carries on `inherited`, the release sequence that a read-modify-write continues. */
static void place_add(struct place *p, uint64_t value, int order, const struct clock *inherited)
{
	struct clock *now = &sched_now.clocks[sched_now.self];
	struct place_store s = { .value = value, .thread = sched_now.self, .epoch = now->at[sched_now.self] };

	if (inherited)
		s.release = *inherited;
	if (place_releases(order)) {
		clock_join(&s.release, now);
		now->at[sched_now.self]++; /* what comes now is not known to those who acquire this */
	}
	p->stores[p->nr++ % PLACE_STORES] = s;
	if (order == PLACE_SEQ_CST)
		p->seq_cst = p->nr;
	place_put(p->addr, p->bytes, value);
}

uint64_t place_load(uintptr_t addr, unsigned bytes, int order)
{
	if (!sched_now.on)
		return place_get(addr, bytes);
	sched_point(SCHED_STEP_LOAD);
	race_access(addr, bytes, SCHED_ATOMIC_READ);
	struct place *p = place_of(addr, bytes);
	unsigned back = 0, nr = sched_now.weak ? place_choices(p, order) : 1;
	if (nr > 1)
		back = sched_choose_stale(nr);
	struct place_store *s = &p->stores[(p->nr - 1 - back) % PLACE_STORES];
	place_read(s, order);
	place_hash(SCHED_STEP_LOAD, p, s->value);
	return s->value;
}

void place_store(uintptr_t addr, unsigned bytes, uint64_t value, int order)
{
	if (!sched_now.on) {
		place_put(addr, bytes, value);
		return;
	}
	sched_point(SCHED_STEP_STORE);
	race_access(addr, bytes, SCHED_ATOMIC_WRITE);
	struct place *p = place_of(addr, bytes);
	place_hash(SCHED_STEP_STORE, p, value);
	place_locks(p, place_newest(p)->value, value);
	place_add(p, value, order, NULL);
}

/* bytes are 1, 4 or 8. */
static uint64_t place_cut(uint64_t value, unsigned bytes)
{
	return bytes == 8 ? value : value & ((UINT64_C(1) << (bytes * 8)) - 1);
}

uint64_t place_change(uintptr_t addr, unsigned bytes, uint64_t (*change)(uint64_t old, uint64_t operand), uint64_t operand,
                      int order)
{
	if (!sched_now.on) {
		uint64_t before = place_get(addr, bytes);
		place_put(addr, bytes, place_cut(change(before, operand), bytes));
		return before;
	}
	sched_point(SCHED_STEP_CHANGE);
	race_access(addr, bytes, SCHED_ATOMIC_WRITE);
	struct place *p = place_of(addr, bytes);
	struct place_store *s = place_newest(p);
	uint64_t old = s->value;
	place_read(s, order);
	place_hash(SCHED_STEP_CHANGE, p, old);
	const struct clock inherited = s->release;
	const uint64_t new = place_cut(change(old, operand), bytes);
	place_locks(p, old, new);
	place_add(p, new, order, &inherited);
	return old;
}

bool place_exchange_if(uintptr_t addr, unsigned bytes, uint64_t expected, uint64_t desired, int order, int fail_order,
                       uint64_t *old)
{
	if (!sched_now.on) {
		*old = place_get(addr, bytes);
		if (*old != expected)
			return false;
		place_put(addr, bytes, desired);
		return true;
	}
	sched_point(SCHED_STEP_CHANGE);
	struct place *p = place_of(addr, bytes);
	struct place_store *s = place_newest(p);
	*old = s->value;
	place_hash(SCHED_STEP_CHANGE, p, *old);
	if (*old != expected) {
		race_access(addr, bytes, SCHED_ATOMIC_READ);
		place_read(s, fail_order);
		return false;
	}
	race_access(addr, bytes, SCHED_ATOMIC_WRITE);
	place_read(s, order);
	const struct clock inherited = s->release;
	place_locks(p, expected, desired);
	place_add(p, desired, order, &inherited);
	return true;
}
