/* SPDX-License-Identifier: MIT
 *
 * What the files of the compressed store share: its structures, and who guards what.
 *
 * Order of locks: none is held while another is taken, but for a block's share lock, which is never held while anything
 * of the library is called. Hence ops may wait for a share lock, which is the only one that they take.
 */
#ifndef PFAI_ZSTORE_INTERNAL_H
#define PFAI_ZSTORE_INTERNAL_H

#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/zstore.h>

#include "owner_lock.h"

#define ZSTORE_NONE 0xFFFFFFFFu
#define ZSTORE_NOWHERE UINTPTR_MAX /* not a pfn: zones end below */
#define ZSTORE_CLASSES 20u
#define ZSTORE_SHARDS 16u
#define ZSTORE_SLOT_ALIGN 16u

/* Slots of one size. A block is in the list while it has both used and unused slots. */
struct zstore_class {
	struct pfai_owner_lock lock;
	uint32_t slot_bytes, nr_slots; /* constant */
	uint32_t partial;              /* lock: a block, or ZSTORE_NONE */
};

/* A block. Its number is the cookie. */
struct zstore_block {
	struct pfai_share_lock share; /* shared: the block stays where it is */
	uint32_t class;               /* constant while the block lives */
	_Atomic(uintptr_t) pfn;       /* share, exclusively, to write; ZSTORE_NOWHERE: no block */
	unsigned char *bytes;         /* share */
	uint64_t used;                /* class lock: a bit for each slot */
	uint32_t next, prev;          /* class lock: list of partial blocks; next: list of free numbers, by free_lock */
};

/* An object, guarded by its shard's lock. */
struct zstore_object {
	uint32_t generation;
	uint32_t block; /* or the next free one of the shard */
	uint32_t bytes, stored; /* stored == bytes: not compressed */
	uint32_t readers; /* it is freed by the last one, if it was deleted meanwhile */
	uint8_t slot;
	bool live;
};

/* Objects i with i % ZSTORE_SHARDS equal. */
struct zstore_shard {
	_Alignas(64) struct pfai_owner_lock lock;
	uint32_t free;
};

/* What compressing needs. */
struct zstore_scratch {
	_Alignas(64) struct pfai_owner_lock lock;
	void *state;
	char *bytes;
};

struct pfa_zstore {
	struct pfa *pfa;
	struct pfa_platform os;
	pfa_owner owner;
	uint32_t order, flags, nr_scratch;
	size_t block_bytes, max_objects, max_blocks;
	struct zstore_block *blocks;
	struct zstore_object *objects;
	struct zstore_scratch *scratch;
	uint32_t nr_classes;
	struct zstore_class classes[ZSTORE_CLASSES];
	struct zstore_shard shards[ZSTORE_SHARDS];
	struct pfai_owner_lock free_lock;
	uint32_t free_block;         /* free_lock: a number that has no block */
	_Atomic(uint32_t) next_shard, next_scratch; /* hints */
	_Atomic(uintptr_t) nr_objects, object_bytes, slot_bytes, nr_blocks, nr_moves;
};

/* zstore_block.c */

/* The classes for blocks of this size, ascending; returns how many. */
uint32_t pfai_zstore_classes(struct zstore_class classes[ZSTORE_CLASSES], size_t block_bytes);
/* Takes a slot for `bytes`. PFA_OK, or as pfa_zstore_put(). */
int pfai_zstore_slot_take(struct pfa_zstore *z, size_t bytes, uint32_t *out_block, uint8_t *out_slot);
/* Gives it back, and the block if it was the last one. PFA_OK, or what pfa_free() said. */
int pfai_zstore_slot_give(struct pfa_zstore *z, uint32_t block, uint8_t slot);
/* Frees what is left, after all objects are forgotten. */
int pfai_zstore_blocks_free(struct pfa_zstore *z);
/* The slot's address; the caller has the block's share lock, or the slot alone. */
static inline unsigned char *pfai_zstore_slot(const struct pfa_zstore *z, const struct zstore_block *block, uint8_t slot)
{
	return block->bytes + (size_t)slot * z->classes[block->class].slot_bytes;
}
extern const struct pfa_owner_ops pfai_zstore_ops;

#endif
