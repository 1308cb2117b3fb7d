/* SPDX-License-Identifier: MIT
 *
 * The blocks of a compressed store: slots of equal size, and how a block comes, moves and goes.
 */
#include <pfa/copy.h>

#include "zstore_internal.h"

uint32_t pfai_zstore_classes(struct zstore_class classes[ZSTORE_CLASSES], size_t block_bytes)
{
	/* Slots a block: up to what one word counts, in steps of about a fifth. */
	static const uint8_t slots[ZSTORE_CLASSES] = {64, 56, 48, 40, 32, 28, 24, 20, 16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1};
	uint32_t nr = 0, last = 0;
	for (uint32_t i = 0; i < ZSTORE_CLASSES; i++) {
		uint32_t bytes = (uint32_t)(block_bytes / slots[i]) & ~(ZSTORE_SLOT_ALIGN - 1);
		if (bytes <= last) /* too small, or no larger than one with more slots */
			continue;
		classes[nr].slot_bytes = last = bytes;
		classes[nr].nr_slots = slots[i];
		classes[nr++].partial = ZSTORE_NONE;
	}
	return nr;
}

/* ---- the lists of blocks with room ---- */

static void partial_add_locked(struct pfa_zstore *z, struct zstore_class *class, uint32_t number)
{
	struct zstore_block *b = &z->blocks[number];
	b->prev = ZSTORE_NONE;
	b->next = class->partial;
	if (b->next != ZSTORE_NONE)
		z->blocks[b->next].prev = number;
	class->partial = number;
}

static void partial_remove_locked(struct pfa_zstore *z, struct zstore_class *class, uint32_t number)
{
	struct zstore_block *b = &z->blocks[number];
	if (b->prev == ZSTORE_NONE)
		class->partial = b->next;
	else
		z->blocks[b->prev].next = b->next;
	if (b->next != ZSTORE_NONE)
		z->blocks[b->next].prev = b->prev;
}

static uint64_t class_full(const struct zstore_class *class)
{
	return class->nr_slots == 64 ? ~(uint64_t)0 : ((uint64_t)1 << class->nr_slots) - 1;
}

/* ---- numbers ---- */

static uint32_t number_take(struct pfa_zstore *z)
{
	pfai_owner_lock(&z->os, &z->free_lock);
	uint32_t number = z->free_block;
	if (number != ZSTORE_NONE)
		z->free_block = z->blocks[number].next;
	pfai_owner_unlock(&z->os, &z->free_lock);
	return number;
}

static void number_give(struct pfa_zstore *z, uint32_t number)
{
	pfai_owner_lock(&z->os, &z->free_lock);
	z->blocks[number].next = z->free_block;
	z->free_block = number;
	pfai_owner_unlock(&z->os, &z->free_lock);
}

/* ---- blocks ---- */

/* Says where a block is, while it is the caller's alone: fresh, or exclusively locked. */
static void block_place(struct zstore_block *b, pfa_pfn pfn, void *bytes)
{
	b->bytes = bytes;
	atomic_store_explicit(&b->pfn, pfn, memory_order_relaxed);
}

/* Gives the block of a number away; no slot of it is in use, and it is in no list. */
static int block_free(struct pfa_zstore *z, uint32_t number)
{
	struct zstore_block *b = &z->blocks[number];
	/* A move that is in flight ends first; one that begins now finds nothing here. */
	pfai_share_exclusive(&z->os, &b->share);
	pfa_pfn pfn = atomic_load_explicit(&b->pfn, memory_order_relaxed);
	void *bytes = b->bytes;
	block_place(b, ZSTORE_NOWHERE, NULL);
	pfai_share_unlock_exclusive(&z->os, &b->share);
	int code = pfa_free(z->pfa, pfn, z->order);
	if (code != PFA_OK) { /* it stays ours, and may be moved, until pfa_zstore_destroy() tries again */
		pfai_share_exclusive(&z->os, &b->share);
		block_place(b, pfn, bytes);
		pfai_share_unlock_exclusive(&z->os, &b->share);
		return code;
	}
	atomic_fetch_sub_explicit(&z->nr_blocks, 1, memory_order_relaxed);
	number_give(z, number);
	return PFA_OK;
}

/* A fresh block of a class, in no list yet, its slot 0 the caller's. */
static int block_new(struct pfa_zstore *z, uint32_t class, uint32_t *out)
{
	uint32_t number = number_take(z);
	pfa_pfn pfn;
	void *bytes;
	if (number == ZSTORE_NONE)
		return PFA_ENOMEM;
	struct zstore_block *b = &z->blocks[number];
	int code = pfa_alloc(z->pfa, z->order, z->flags, &pfn);
	if (code != PFA_OK) {
		number_give(z, number);
		return code;
	}
	atomic_fetch_add_explicit(&z->nr_blocks, 1, memory_order_relaxed);
	bytes = NULL;
	code = pfa_ptr(z->pfa, pfn, &bytes);
	b->class = class;
	b->used = 1;
	block_place(b, pfn, bytes);
	if (code == PFA_OK)
		code = pfa_movable_set(z->pfa, pfn, z->owner, number);
	if (code != PFA_OK) {
		int freed = block_free(z, number);
		return freed == PFA_OK ? code : freed;
	}
	*out = number;
	return PFA_OK;
}

/* ---- slots ---- */

int pfai_zstore_slot_take(struct pfa_zstore *z, size_t bytes, uint32_t *out_block, uint8_t *out_slot)
{
	uint32_t i = 0;
	while (z->classes[i].slot_bytes < bytes) /* the last one is a block */
		i++;
	struct zstore_class *class = &z->classes[i];

	pfai_owner_lock(&z->os, &class->lock);
	uint32_t number = class->partial;
	if (number != ZSTORE_NONE) {
		struct zstore_block *b = &z->blocks[number];
		*out_slot = (uint8_t)__builtin_ctzll(~b->used);
		b->used |= (uint64_t)1 << *out_slot;
		if (b->used == class_full(class))
			partial_remove_locked(z, class, number);
	}
	pfai_owner_unlock(&z->os, &class->lock);
	if (number == ZSTORE_NONE) {
		int code = block_new(z, i, &number);
		if (code != PFA_OK)
			return code;
		*out_slot = 0;
		if (class->nr_slots > 1) {
			pfai_owner_lock(&z->os, &class->lock);
			partial_add_locked(z, class, number);
			pfai_owner_unlock(&z->os, &class->lock);
		}
	}
	*out_block = number;
	atomic_fetch_add_explicit(&z->slot_bytes, class->slot_bytes, memory_order_relaxed);
	return PFA_OK;
}

int pfai_zstore_slot_give(struct pfa_zstore *z, uint32_t number, uint8_t slot)
{
	struct zstore_block *b = &z->blocks[number];
	struct zstore_class *class = &z->classes[b->class];

	atomic_fetch_sub_explicit(&z->slot_bytes, class->slot_bytes, memory_order_relaxed);
	pfai_owner_lock(&z->os, &class->lock);
	bool was_full = b->used == class_full(class);
	b->used &= ~((uint64_t)1 << slot);
	bool empty = b->used == 0;
	if (empty && !was_full)
		partial_remove_locked(z, class, number);
	else if (!empty && was_full)
		partial_add_locked(z, class, number);
	pfai_owner_unlock(&z->os, &class->lock);
	return empty ? block_free(z, number) : PFA_OK;
}

int pfai_zstore_blocks_free(struct pfa_zstore *z)
{
	int code = PFA_OK;
	for (uint32_t i = 0; i < z->max_blocks; i++) {
		if (atomic_load_explicit(&z->blocks[i].pfn, memory_order_relaxed) == ZSTORE_NOWHERE)
			continue;
		int freed = block_free(z, i);
		if (freed != PFA_OK)
			code = freed;
	}
	return code;
}

/* ---- ops ---- */

static int zstore_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_zstore *z = ctx;
	(void)order;
	(void)mode;
	/* Only a hint: what counts is found out in migrate(), under the share lock. */
	return atomic_load_explicit(&z->blocks[cookie].pfn, memory_order_relaxed) == head ? PFA_OK : PFA_EBUSY;
}

static int zstore_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_zstore *z = ctx;
	struct zstore_block *b = &z->blocks[cookie];
	void *to;
	int code = PFA_EBUSY;
	(void)order;
	if (pfa_ptr(z->pfa, dst, &to) != PFA_OK)
		return PFA_EBUSY;
	if (mode == PFA_MIGRATE_ASYNC) {
		if (!pfai_share_try_exclusive(&b->share))
			return PFA_EAGAIN;
	} else {
		pfai_share_exclusive(&z->os, &b->share);
	}
	if (atomic_load_explicit(&b->pfn, memory_order_relaxed) == src) {
		pfa_copy_frames(to, b->bytes, z->block_bytes);
		block_place(b, dst, to);
		code = PFA_OK;
	}
	pfai_share_unlock_exclusive(&z->os, &b->share);
	if (code == PFA_OK)
		atomic_fetch_add_explicit(&z->nr_moves, 1, memory_order_relaxed);
	return code;
}

static void zstore_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	/* Isolation changed nothing here. */
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
}

const struct pfa_owner_ops pfai_zstore_ops = {sizeof(pfai_zstore_ops), zstore_isolate, zstore_migrate, zstore_putback};
