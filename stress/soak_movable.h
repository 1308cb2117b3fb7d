/* SPDX-License-Identifier: MIT
 *
 * soak_movable.h - the scripted owner: movable blocks whose content is stamped and travels with them.
 *
 * A keeper is an owner of the library's and its cells; a cell is a block, wherever it is. Who changes a cell from a place to
 * SOAK_BUSY is who frees its block; so an op that finds SOAK_BUSY refuses, and one that finds another place than the one that
 * it was called for has found a broken promise. Content is written and read under the page lock alone.
 */
#ifndef SOAK_MOVABLE_H
#define SOAK_MOVABLE_H

#include "soak.h"

#include <pfa/movable.h>

#define SOAK_NOWHERE SIZE_MAX
#define SOAK_BUSY (SIZE_MAX - 1) /* somebody makes or frees its block */
/* Its block is freed by an op of another one, which waits for nobody: as long as others work, one of its own may still run. */
#define SOAK_RETIRED (SIZE_MAX - 2)  /* it was freed */
#define SOAK_RETIRING (SIZE_MAX - 3) /* about to be: for the library it may still live */
#define SOAK_RETIRED_MAX 6u /* cells of a keeper, until the next rest */

struct soak_cell {
	_Atomic size_t at; /* first frame << 4 | order */
	uint64_t version;  /* of the content. Guard: the page lock */
};

struct soak_keeper {
	uint32_t magic;
	uint32_t id;    /* in the shadow */
	uint32_t first; /* cell 0's number there; unlike others' of this id */
	uint32_t nr_cells;
	struct soak_cell *cells;
	size_t frames_max;
	_Atomic size_t frames; /* about how many it has */
	_Atomic uint32_t retired;
	_Atomic size_t making; /* a block that is just being made movable; soak.geo.base at first */
	bool willing;          /* refuses nothing; written while nobody else works */
	pfa_owner owner;
};

/* The owner that is there for a whole round. owner == 0: none, the instance has no owner table. */
extern struct soak_keeper soak_common;

static inline pfa_pfn soak_cell_place(size_t at)
{
	return at >> 4;
}

static inline unsigned soak_cell_order(size_t at)
{
	return (unsigned)(at & 15);
}

static inline size_t soak_cell_at(const struct soak_keeper *k, uint32_t cell)
{
	return atomic_load_explicit(&k->cells[cell].at, memory_order_relaxed);
}

/* There is no block, or nobody but one thread may touch it. */
static inline bool soak_cell_empty(size_t at)
{
	return at >= SOAK_RETIRING;
}

/* An op of another block frees the cell's, or has: it may be released under any lock. */
static inline bool soak_cell_retires(size_t at)
{
	return at == SOAK_RETIRED || at == SOAK_RETIRING;
}

/* Of k, but for cells, nr_cells, id, first and frames_max, which are the caller's. False: max_owners are registered. */
bool soak_keeper_create(struct soak_slot *slot, struct soak_keeper *k);
/* Makes retired cells usable again. Everybody is parked. */
void soak_keeper_renew(struct soak_keeper *k);
/* All cells are empty or retired. */
void soak_keeper_destroy(struct soak_slot *slot, struct soak_keeper *k);

/* Gives an empty cell a block. False: it was not empty, or there is no memory. */
bool soak_cell_make(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell);
/* Frees the block in one of the ways that there are. False: it has none, or somebody else was faster. */
bool soak_cell_free(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell);
/* Takes the page lock. Where the block is; SOAK_NOWHERE: no lock was taken. */
size_t soak_cell_lock(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, bool wait);
void soak_cell_unlock(struct soak_slot *slot, size_t at);
/* A pin, by who holds the page lock. False: the block was released by an op meanwhile. */
bool soak_cell_pin(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at);
/* The content is as it was left. Page lock, or everybody parked. */
void soak_cell_verify(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at);
/* Looks at the content, and changes it. */
void soak_cell_write(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell);
/* One frame of the cell's block in the shadow. */
uint32_t soak_cell_tag(const struct soak_keeper *k, uint32_t cell);

/* What pfa_migrate() may answer for one block while others work. */
void soak_judge_move(struct soak_slot *slot, pfa_pfn head, int result);
/* Moves blocks, and judges it. */
void soak_migrate(struct soak_slot *slot, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[]);

#endif
