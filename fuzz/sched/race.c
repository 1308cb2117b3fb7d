/* SPDX-License-Identifier: MIT
 *
 * race.c - the race detector: for each piece of memory, when each thread last touched it in which way.
 *
 * Memory is watched in words of 8 bytes, each as one cell, or as 2, 4 or 8 where smaller accesses were seen (frame bytes:
 * neighbours belong to different threads). Nothing is cleared between runs: a word of another generation is empty.
 */
#include "internal.h"

#include <string.h>

#define RACE_WORDS (1u << 15)
#define RACE_CELLS (1u << 16)

struct race_cell {
	struct clock read;         /* each thread's epoch at its last plain read */
	struct clock atomic_read;
	struct clock atomic_write;
	uint32_t write;            /* the last plain write: epoch and thread; earlier ones happened before it */
	uint32_t writer;
};

struct race_word {
	uintptr_t key;       /* address / 8 */
	uint32_t generation;
	uint16_t shift;      /* log2 of the bytes of a cell */
	uint32_t cell;       /* the first of its cells */
};

static struct race_word race_words[RACE_WORDS];
static struct race_cell race_cells[RACE_CELLS];
static uint32_t race_nr_words, race_nr_cells;

static const char *const race_names[] = {
	[SCHED_READ] = "read",
	[SCHED_WRITE] = "write",
	[SCHED_ATOMIC_READ] = "atomic read",
	[SCHED_ATOMIC_WRITE] = "atomic write",
};

void race_begin(void)
{
	race_nr_words = race_nr_cells = 0;
}

static uint32_t race_new_cells(unsigned nr)
{
	if (race_nr_cells + nr > RACE_CELLS) {
		sched_found(SCHED_LIMIT, "more than %u cells of memory are in use", RACE_CELLS);
		return 0;
	}
	uint32_t first = race_nr_cells;
	race_nr_cells += nr;
	memset(&race_cells[first], 0, nr * sizeof(race_cells[0]));
	return first;
}

/* Neighbours stay neighbours; what lies 256 KiB apart does not collide for all of its length. */
static inline size_t race_place(uintptr_t key)
{
	return (size_t)(key ^ (key >> 15) * 0x2f5);
}

static struct race_word *race_word(uintptr_t key, unsigned shift)
{
	size_t at = race_place(key);

	for (;; at++) {
		struct race_word *w = &race_words[at & (RACE_WORDS - 1)];
		if (w->generation == sched_now.generation) {
			if (w->key == key)
				return w;
			continue;
		}
		if (++race_nr_words > RACE_WORDS / 4 * 3)
			sched_found(SCHED_LIMIT, "more than %u words of memory are in use", RACE_WORDS / 4 * 3);
		w->key = key;
		w->generation = sched_now.generation;
		w->shift = (uint16_t)shift;
		w->cell = race_new_cells(8u >> shift);
		return w;
	}
}

/* An access smaller than the word's cells: each becomes several that know the same. */
static void race_split(struct race_word *w, unsigned shift)
{
	unsigned each = 1u << (w->shift - shift), nr = 8u >> w->shift;
	uint32_t to = race_new_cells(nr * each);

	for (unsigned i = 0; i < nr; i++)
		for (unsigned k = 0; k < each; k++)
			race_cells[to + i * each + k] = race_cells[w->cell + i];
	w->cell = to;
	w->shift = (uint16_t)shift;
}

static void race_report(uintptr_t addr, enum sched_access access, unsigned other, enum sched_access before)
{
	(void)addr; /* of no use in a text that must be the same in each process */
	if (sched_now.races)
		sched_found(SCHED_RACE, "race: %s by t%u, %s by t%u before it, and no order between them", race_names[access],
		            sched_now.self, race_names[before], other);
}

/* Whoever of `then` is not before the running thread. */
static inline void race_with(uintptr_t addr, enum sched_access access, const struct clock *then, enum sched_access before)
{
	const struct clock *now = &sched_now.clocks[sched_now.self];

	if (clock_is_zero(then) || clock_before(then, now))
		return;
	for (unsigned i = 0; i < SCHED_THREADS; i++)
		if (then->at[i] > now->at[i]) {
			race_report(addr, access, i, before);
			return;
		}
}

/* The same once more: whoever came between found the race. */
static inline bool race_again(const struct race_cell *c, enum sched_access access)
{
	const unsigned self = sched_now.self;
	const uint32_t epoch = sched_now.clocks[self].at[self];

	return access == SCHED_READ ? c->read.at[self] == epoch : access == SCHED_WRITE && c->write == epoch && c->writer == self;
}

static __attribute__((noinline)) void race_cell(struct race_cell *c, uintptr_t addr, enum sched_access access)
{
	const unsigned self = sched_now.self;
	const struct clock *now = &sched_now.clocks[self];
	const uint32_t epoch = now->at[self];

	if (race_again(c, access))
		return;
	if (c->write > now->at[c->writer])
		race_report(addr, access, c->writer, SCHED_WRITE);
	switch (access) {
	case SCHED_READ:
		race_with(addr, access, &c->atomic_write, SCHED_ATOMIC_WRITE);
		c->read.at[self] = epoch;
		break;
	case SCHED_WRITE:
		race_with(addr, access, &c->read, SCHED_READ);
		race_with(addr, access, &c->atomic_read, SCHED_ATOMIC_READ);
		race_with(addr, access, &c->atomic_write, SCHED_ATOMIC_WRITE);
		c->write = epoch;
		c->writer = self;
		break;
	case SCHED_ATOMIC_READ:
		c->atomic_read.at[self] = epoch;
		break;
	case SCHED_ATOMIC_WRITE:
		race_with(addr, access, &c->read, SCHED_READ);
		c->atomic_write.at[self] = epoch;
		break;
	}
}

static void race_piece(uintptr_t addr, unsigned bytes, enum sched_access access)
{
	const unsigned offset = addr & 7u, shift = (unsigned)__builtin_ctz(offset | bytes | 8u);
	struct race_word *w = race_word(addr >> 3, shift);

	if (shift < w->shift)
		race_split(w, shift);
	struct race_cell *c = &race_cells[w->cell + (offset >> w->shift)];
	for (unsigned i = 0; i < bytes >> w->shift; i++)
		race_cell(&c[i], addr, access);
}

/* Word by word. */
static __attribute__((noinline)) void race_pieces(uintptr_t addr, size_t bytes, enum sched_access access)
{
	while (bytes) {
		const unsigned offset = addr & 7u, part = 8u - offset < bytes ? 8u - offset : (unsigned)bytes;
		race_piece(addr, part, access);
		addr += part;
		bytes -= part;
	}
}

/* Most accesses are to one cell that is known, and of many nothing is new: so this is short, and calls nothing then. */
void race_access(uintptr_t addr, size_t bytes, enum sched_access access)
{
	const struct race_word *w = &race_words[race_place(addr >> 3) & (RACE_WORDS - 1)];

	sched_now.accesses++;
	if (w->key == addr >> 3 && w->generation == sched_now.generation && bytes == (size_t)1 << w->shift && !(addr & (bytes - 1))) {
		struct race_cell *c = &race_cells[w->cell + ((addr & 7u) >> w->shift)];
		if (!race_again(c, access))
			race_cell(c, addr, access);
	} else {
		race_pieces(addr, bytes, access);
	}
}
