/* SPDX-License-Identifier: MIT
 *
 * The compressed store: objects and their handles, and LZ4.
 */
#include "zstore_internal.h"

#include <lz4.h>

#include <string.h>

#define ZSTORE_LIMIT 0x7FFFFFFFu
#define ZSTORE_SCRATCH_LIMIT 1024u
#define ZSTORE_BLOCK_MIN 64u
#define ZSTORE_BLOCK_MAX ((size_t)1 << 24) /* far below what LZ4 takes, and what a u32 counts */
#define ZSTORE_ALIGN 64u
#define ZSTORE_SPEED 1 /* LZ4's default acceleration */

/* ---- memory ---- */

static size_t align_up(size_t bytes)
{
	return (bytes + ZSTORE_ALIGN - 1) & ~(size_t)(ZSTORE_ALIGN - 1);
}

size_t pfa_zstore_max_bytes(const struct pfa_zstore_config *cfg)
{
	if (!cfg || !pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) || !cfg->pfa || !cfg->platform ||
	    cfg->platform->size < sizeof(struct pfa_platform) || cfg->frame_shift > 30 || cfg->order > PFA_ORDER_LIMIT ||
	    cfg->max_objects == 0 || cfg->max_objects > ZSTORE_LIMIT || cfg->max_blocks == 0 || cfg->max_blocks > ZSTORE_LIMIT ||
	    cfg->nr_scratch > ZSTORE_SCRATCH_LIMIT)
		return 0;
	uint64_t bytes = (uint64_t)1 << ((cfg->frame_shift ? cfg->frame_shift : 12) + cfg->order);
	return bytes < ZSTORE_BLOCK_MIN || bytes > ZSTORE_BLOCK_MAX ? 0 : (size_t)bytes;
}

/* Where the parts of the store lie in its memory; returns the end. 0: too large for this machine. */
static size_t zstore_layout(const struct pfa_zstore_config *cfg, size_t block_bytes, size_t at[4])
{
	const size_t nr_scratch = cfg->nr_scratch ? cfg->nr_scratch : 4;
	const size_t state = align_up((size_t)LZ4_sizeofState());
	const size_t part[4] = {sizeof(struct zstore_object), sizeof(struct zstore_block), sizeof(struct zstore_scratch),
	                        state + block_bytes};
	const size_t nr[4] = {cfg->max_objects, cfg->max_blocks, nr_scratch, nr_scratch};
	size_t end = align_up(sizeof(struct pfa_zstore));
	for (unsigned i = 0; i < 4; i++) {
		at[i] = end;
		if (nr[i] > (SIZE_MAX / 2 - end) / part[i])
			return 0;
		end = align_up(end + nr[i] * part[i]);
	}
	return end;
}

size_t pfa_zstore_bytes(const struct pfa_zstore_config *cfg)
{
	size_t at[4], block_bytes = pfa_zstore_max_bytes(cfg);
	return block_bytes ? zstore_layout(cfg, block_bytes, at) : 0;
}

static void zstore_chain(struct pfa_zstore *z)
{
	for (size_t i = z->max_blocks; i-- > 0;) {
		struct zstore_block *b = &z->blocks[i];
		memset(b, 0, sizeof(*b));
		atomic_init(&b->pfn, ZSTORE_NOWHERE);
		b->next = z->free_block;
		z->free_block = (uint32_t)i;
	}
	for (unsigned i = 0; i < ZSTORE_SHARDS; i++)
		z->shards[i].free = ZSTORE_NONE;
	for (size_t i = z->max_objects; i-- > 0;) {
		struct zstore_shard *shard = &z->shards[i % ZSTORE_SHARDS];
		memset(&z->objects[i], 0, sizeof(z->objects[i]));
		z->objects[i].block = shard->free;
		shard->free = (uint32_t)i;
	}
}

int pfa_zstore_create(void *memory, size_t bytes, const struct pfa_zstore_config *cfg, struct pfa_zstore **out)
{
	size_t at[4], block_bytes = pfa_zstore_max_bytes(cfg);
	size_t need = block_bytes ? zstore_layout(cfg, block_bytes, at) : 0;
	struct pfa_zstore *z = memory;
	char *base = memory;

	if (need == 0 || !memory || !out || bytes < need || (uintptr_t)memory % ZSTORE_ALIGN != 0)
		return PFA_EINVAL;
	memset(z, 0, sizeof(*z));
	z->pfa = cfg->pfa;
	z->os = *cfg->platform;
	z->order = cfg->order;
	z->flags = cfg->flags ? cfg->flags : PFA_MOVABLE;
	z->nr_scratch = cfg->nr_scratch ? cfg->nr_scratch : 4;
	z->block_bytes = block_bytes;
	z->max_objects = cfg->max_objects;
	z->max_blocks = cfg->max_blocks;
	z->objects = (void *)(base + at[0]);
	z->blocks = (void *)(base + at[1]);
	z->scratch = (void *)(base + at[2]);
	z->free_block = ZSTORE_NONE;
	z->nr_classes = pfai_zstore_classes(z->classes, block_bytes);
	zstore_chain(z);
	for (uint32_t i = 0; i < z->nr_scratch; i++) {
		char *own = base + at[3] + i * (align_up((size_t)LZ4_sizeofState()) + block_bytes);
		memset(&z->scratch[i], 0, sizeof(z->scratch[i]));
		z->scratch[i].state = own;
		z->scratch[i].bytes = own + align_up((size_t)LZ4_sizeofState());
	}
	int code = pfa_owner_create(z->pfa, &pfai_zstore_ops, z, &z->owner);
	if (code == PFA_OK)
		*out = z;
	return code;
}

int pfa_zstore_destroy(struct pfa_zstore *z)
{
	int code = pfa_owner_destroy(z->pfa, z->owner);
	if (code != PFA_EBUSY) /* it was empty; or this is inside an op */
		return code;
	code = pfai_zstore_blocks_free(z);
	return code == PFA_OK ? pfa_owner_destroy(z->pfa, z->owner) : code;
}

/* ---- handles ---- */

static pfa_zobject handle_of(uint32_t generation, uint32_t index)
{
	return (uint64_t)generation << 32 | (index + 1);
}

static struct zstore_shard *shard_of(struct pfa_zstore *z, uint32_t index)
{
	return &z->shards[index % ZSTORE_SHARDS];
}

/* An unused object, ZSTORE_NONE if there is none: of one shard after another, beginning somewhere else each time. */
static uint32_t object_take(struct pfa_zstore *z)
{
	uint32_t first = atomic_fetch_add_explicit(&z->next_shard, 1, memory_order_relaxed);
	for (unsigned i = 0; i < ZSTORE_SHARDS; i++) {
		struct zstore_shard *shard = &z->shards[(first + i) % ZSTORE_SHARDS];
		pfai_owner_lock(&z->os, &shard->lock);
		uint32_t index = shard->free;
		if (index != ZSTORE_NONE)
			shard->free = z->objects[index].block;
		pfai_owner_unlock(&z->os, &shard->lock);
		if (index != ZSTORE_NONE)
			return index;
	}
	return ZSTORE_NONE;
}

static void object_give_locked(struct pfa_zstore *z, struct zstore_shard *shard, uint32_t index)
{
	z->objects[index].block = shard->free;
	shard->free = index;
}

/* The object of a handle, its shard locked; NULL: no such object, nothing locked. */
static struct zstore_object *object_find(struct pfa_zstore *z, pfa_zobject handle, struct zstore_shard **out_shard)
{
	uint32_t index = (uint32_t)handle - 1;
	if ((uint32_t)handle == 0 || index >= z->max_objects)
		return NULL;
	struct zstore_shard *shard = shard_of(z, index);
	struct zstore_object *o = &z->objects[index];
	pfai_owner_lock(&z->os, &shard->lock);
	if (o->live && o->generation == (uint32_t)(handle >> 32)) {
		*out_shard = shard;
		return o;
	}
	pfai_owner_unlock(&z->os, &shard->lock);
	return NULL;
}

/* Nobody has the object any more: gives up its place, unlocks the shard, gives up the slot. */
static int object_end(struct pfa_zstore *z, struct zstore_shard *shard, struct zstore_object *o)
{
	uint32_t block = o->block;
	uint8_t slot = o->slot;
	atomic_fetch_sub_explicit(&z->nr_objects, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&z->object_bytes, o->bytes, memory_order_relaxed);
	object_give_locked(z, shard, (uint32_t)(o - z->objects));
	pfai_owner_unlock(&z->os, &shard->lock);
	return pfai_zstore_slot_give(z, block, slot);
}

/* ---- put, get, delete ---- */

static struct zstore_scratch *scratch_take(struct pfa_zstore *z)
{
	uint32_t first = atomic_fetch_add_explicit(&z->next_scratch, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < z->nr_scratch; i++) {
		struct zstore_scratch *s = &z->scratch[(first + i) % z->nr_scratch];
		if (pfai_owner_trylock(&s->lock))
			return s;
	}
	struct zstore_scratch *s = &z->scratch[first % z->nr_scratch];
	pfai_owner_lock(&z->os, &s->lock);
	return s;
}

/* Stores the bytes in a slot of their own. */
static int put_bytes(struct pfa_zstore *z, const void *bytes, size_t nr, uint32_t *out_block, uint8_t *out_slot)
{
	int code = pfai_zstore_slot_take(z, nr, out_block, out_slot);
	if (code != PFA_OK)
		return code;
	struct zstore_block *b = &z->blocks[*out_block];
	pfai_share_lock(&z->os, &b->share);
	memcpy(pfai_zstore_slot(z, b, *out_slot), bytes, nr);
	pfai_share_unlock(&z->os, &b->share);
	return PFA_OK;
}

int pfa_zstore_put(struct pfa_zstore *z, const void *data, size_t bytes, pfa_zobject *out)
{
	if (bytes == 0 || bytes > z->block_bytes)
		return PFA_EINVAL;
	uint32_t index = object_take(z), block = 0;
	uint8_t slot = 0;
	if (index == ZSTORE_NONE)
		return PFA_ENOMEM;
	struct zstore_scratch *s = scratch_take(z);
	/* Nothing is gained by a result that is not shorter, so there is no room for one. */
	int packed = LZ4_compress_fast_extState(s->state, data, s->bytes, (int)bytes, (int)bytes - 1, ZSTORE_SPEED);
	const size_t stored = packed > 0 ? (size_t)packed : bytes;
	int code = put_bytes(z, packed > 0 ? s->bytes : data, stored, &block, &slot);
	pfai_owner_unlock(&z->os, &s->lock);

	struct zstore_shard *shard = shard_of(z, index);
	struct zstore_object *o = &z->objects[index];
	pfai_owner_lock(&z->os, &shard->lock);
	if (code == PFA_OK) {
		o->block = block;
		o->slot = slot;
		o->bytes = (uint32_t)bytes;
		o->stored = (uint32_t)stored;
		o->live = true;
		*out = handle_of(o->generation, index);
		atomic_fetch_add_explicit(&z->nr_objects, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&z->object_bytes, bytes, memory_order_relaxed);
	} else {
		object_give_locked(z, shard, index);
	}
	pfai_owner_unlock(&z->os, &shard->lock);
	return code;
}

/* Reads an object that cannot go away meanwhile. */
static int get_bytes(struct pfa_zstore *z, const struct zstore_object *o, void *out)
{
	struct zstore_block *b = &z->blocks[o->block];
	int got = (int)o->bytes;
	pfai_share_lock(&z->os, &b->share);
	const unsigned char *from = pfai_zstore_slot(z, b, o->slot);
	if (o->stored == o->bytes)
		memcpy(out, from, o->bytes);
	else
		got = LZ4_decompress_safe((const char *)from, out, (int)o->stored, (int)o->bytes);
	pfai_share_unlock(&z->os, &b->share);
	return got == (int)o->bytes ? PFA_OK : PFA_ECORRUPT;
}

int pfa_zstore_get(struct pfa_zstore *z, pfa_zobject object, void *out, size_t room, size_t *out_bytes)
{
	struct zstore_shard *shard;
	struct zstore_object *o = object_find(z, object, &shard);
	if (!o)
		return PFA_EINVAL;
	if (out_bytes)
		*out_bytes = o->bytes;
	if (room < o->bytes) {
		pfai_owner_unlock(&z->os, &shard->lock);
		return PFA_ERANGE;
	}
	o->readers++;
	pfai_owner_unlock(&z->os, &shard->lock);
	/* What describes the object does not change while there are readers. */
	int code = get_bytes(z, o, out);
	pfai_owner_lock(&z->os, &shard->lock);
	o->readers--;
	if (o->live || o->readers) {
		pfai_owner_unlock(&z->os, &shard->lock);
		return code;
	}
	int ended = object_end(z, shard, o);
	return code == PFA_OK ? ended : code;
}

int pfa_zstore_delete(struct pfa_zstore *z, pfa_zobject object)
{
	struct zstore_shard *shard;
	struct zstore_object *o = object_find(z, object, &shard);
	if (!o)
		return PFA_EINVAL;
	o->live = false;
	o->generation++;
	if (o->readers == 0)
		return object_end(z, shard, o);
	pfai_owner_unlock(&z->os, &shard->lock);
	return PFA_OK;
}

void pfa_zstore_stats_get(const struct pfa_zstore *z, struct pfa_zstore_stats *out)
{
	out->objects = (size_t)atomic_load_explicit(&z->nr_objects, memory_order_relaxed);
	out->object_bytes = (size_t)atomic_load_explicit(&z->object_bytes, memory_order_relaxed);
	out->slot_bytes = (size_t)atomic_load_explicit(&z->slot_bytes, memory_order_relaxed);
	out->blocks = (size_t)atomic_load_explicit(&z->nr_blocks, memory_order_relaxed);
	out->moves = (size_t)atomic_load_explicit(&z->nr_moves, memory_order_relaxed);
}
