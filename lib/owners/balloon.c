/* SPDX-License-Identifier: MIT
 *
 * The balloon. A block in it has a slot, whose number is the block's cookie, and which says where the block is now. Who
 * takes a slot out of use under the lock is the one who frees its block; an op that then finds another block in the slot,
 * or none, refuses.
 */
#include <pfa/balloon.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>

#include "owner_lock.h"

#define BALLOON_LIMIT 0x7FFFFFFFu
#define BALLOON_NOWHERE SIZE_MAX /* not a pfn: zones end below */

struct pfa_balloon {
	struct pfa *pfa;
	struct pfa_platform os;
	pfa_owner owner;
	unsigned order;
	uint32_t flags;
	int (*tell)(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr);
	void *ctx;
	struct pfai_owner_lock lock;
	_Atomic(uintptr_t) nr_used; /* blocks in used[]; written under the lock */
	_Atomic(uintptr_t) nr_moves;
	size_t nr_unused;           /* lock */
	pfa_pfn *slots;             /* lock: where the block of a slot is */
	uint32_t *used, *unused;    /* lock: stacks of slots */
};

size_t pfa_balloon_bytes(const struct pfa_balloon_config *cfg)
{
	const size_t each = sizeof(pfa_pfn) + 2 * sizeof(uint32_t);
	if (!cfg || !pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) || !cfg->pfa || !cfg->platform ||
	    cfg->order > PFA_ORDER_LIMIT || cfg->max_blocks == 0 || cfg->max_blocks > BALLOON_LIMIT ||
	    cfg->max_blocks > (SIZE_MAX - sizeof(struct pfa_balloon)) / each)
		return 0;
	return sizeof(struct pfa_balloon) + cfg->max_blocks * each;
}

/* ---- the device ---- */

static int balloon_tell(struct pfa_balloon *b, enum pfa_balloon_event event, const pfa_pfn pfns[], size_t nr)
{
	struct pfa_run runs[PFA_BALLOON_BATCH];
	size_t nr_runs = 0, frames = (size_t)1 << b->order;

	if (!b->tell || nr == 0)
		return PFA_OK;
	for (size_t i = 0; i < nr; i++) {
		struct pfa_run *last = nr_runs ? &runs[nr_runs - 1] : NULL;
		if (last && last->first + last->nr_frames == pfns[i])
			last->nr_frames += frames;
		else
			runs[nr_runs++] = (struct pfa_run){pfns[i], frames};
	}
	return b->tell(b->ctx, event, runs, nr_runs);
}

/* ---- ops ---- */

static bool balloon_op_lock(struct pfa_balloon *b, enum pfa_migrate_mode mode)
{
	if (mode == PFA_MIGRATE_ASYNC)
		return pfai_owner_trylock(&b->lock);
	pfai_owner_lock(&b->os, &b->lock);
	return true;
}

static int balloon_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_balloon *b = ctx;
	(void)order;
	if (!balloon_op_lock(b, mode))
		return PFA_EAGAIN;
	bool ours = b->slots[cookie] == head;
	pfai_owner_unlock(&b->os, &b->lock);
	return ours ? PFA_OK : PFA_EBUSY;
}

static int balloon_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_balloon *b = ctx;
	(void)order;
	if (!balloon_op_lock(b, mode))
		return PFA_EAGAIN;
	bool ours = b->slots[cookie] == src;
	pfai_owner_unlock(&b->os, &b->lock);
	if (!ours || balloon_tell(b, PFA_BALLOON_INFLATED, &dst, 1) != PFA_OK)
		return PFA_EBUSY;
	if (!balloon_op_lock(b, mode)) {
		(void)balloon_tell(b, PFA_BALLOON_DEFLATED, &dst, 1);
		return PFA_EAGAIN;
	}
	ours = b->slots[cookie] == src;
	if (ours)
		b->slots[cookie] = dst;
	pfai_owner_unlock(&b->os, &b->lock);
	(void)balloon_tell(b, PFA_BALLOON_DEFLATED, ours ? &src : &dst, 1);
	if (ours)
		atomic_fetch_add_explicit(&b->nr_moves, 1, memory_order_relaxed);
	return ours ? PFA_OK : PFA_EBUSY;
}

static void balloon_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	/* Isolation changed nothing here. */
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
}

/* ---- life ---- */

int pfa_balloon_create(void *memory, size_t bytes, const struct pfa_balloon_config *cfg, struct pfa_balloon **out)
{
	static const struct pfa_owner_ops ops = {sizeof(ops), balloon_isolate, balloon_migrate, balloon_putback};
	const size_t need = pfa_balloon_bytes(cfg);
	struct pfa_balloon *b = memory;

	if (need == 0 || !memory || !out || bytes < need || (uintptr_t)memory % 16 != 0 ||
	    cfg->platform->size < sizeof(struct pfa_platform))
		return PFA_EINVAL;
	*b = (struct pfa_balloon){
		.pfa = cfg->pfa, .os = *cfg->platform, .order = cfg->order, .tell = cfg->tell, .ctx = cfg->ctx,
		.flags = cfg->flags ? cfg->flags : PFA_MOVABLE | PFA_NORETRY, .nr_unused = cfg->max_blocks,
	};
	b->slots = (pfa_pfn *)(void *)(b + 1);
	b->used = (uint32_t *)(void *)(b->slots + cfg->max_blocks);
	b->unused = b->used + cfg->max_blocks;
	for (size_t i = 0; i < cfg->max_blocks; i++) {
		b->slots[i] = BALLOON_NOWHERE;
		b->unused[i] = (uint32_t)(cfg->max_blocks - 1 - i);
	}
	int code = pfa_owner_create(b->pfa, &ops, b, &b->owner);
	if (code == PFA_OK)
		*out = b;
	return code;
}

int pfa_balloon_destroy(struct pfa_balloon *b)
{
	int code = pfa_owner_destroy(b->pfa, b->owner);
	if (code != PFA_EBUSY) /* it was empty; or this is inside an op */
		return code;
	code = pfa_balloon_deflate(b, SIZE_MAX, NULL);
	return code == PFA_OK ? pfa_owner_destroy(b->pfa, b->owner) : code;
}

/* ---- in ---- */

static void balloon_return_slots(struct pfa_balloon *b, const uint32_t slots[], size_t nr)
{
	pfai_owner_lock(&b->os, &b->lock);
	for (size_t i = 0; i < nr; i++) {
		b->slots[slots[i]] = BALLOON_NOWHERE;
		b->unused[b->nr_unused++] = slots[i];
	}
	pfai_owner_unlock(&b->os, &b->lock);
}

/* Makes the blocks movable and puts them into the balloon; those that cannot be go back. Returns the last refusal. */
static int balloon_enter(struct pfa_balloon *b, const uint32_t slots[], const pfa_pfn pfns[], size_t nr, size_t *out_in)
{
	int code = PFA_OK;
	*out_in = 0;
	pfai_owner_lock(&b->os, &b->lock);
	for (size_t i = 0; i < nr; i++)
		b->slots[slots[i]] = pfns[i]; /* from now on it may be moved, but not yet be deflated */
	pfai_owner_unlock(&b->os, &b->lock);
	for (size_t i = 0; i < nr; i++) {
		int refused = pfa_movable_set(b->pfa, pfns[i], b->owner, slots[i]);
		if (refused != PFA_OK) {
			balloon_return_slots(b, &slots[i], 1);
			(void)balloon_tell(b, PFA_BALLOON_DEFLATED, &pfns[i], 1);
			int freed = pfa_free(b->pfa, pfns[i], b->order);
			code = freed == PFA_OK ? refused : freed;
			continue;
		}
		pfai_owner_lock(&b->os, &b->lock);
		uintptr_t nr_used = atomic_load_explicit(&b->nr_used, memory_order_relaxed);
		b->used[nr_used] = slots[i];
		atomic_store_explicit(&b->nr_used, nr_used + 1, memory_order_relaxed);
		pfai_owner_unlock(&b->os, &b->lock);
		(*out_in)++;
	}
	return code;
}

/* One batch of at most `want` blocks. */
static int balloon_inflate_batch(struct pfa_balloon *b, size_t want, size_t *out_in)
{
	uint32_t slots[PFA_BALLOON_BATCH];
	pfa_pfn pfns[PFA_BALLOON_BATCH];
	size_t nr = 0, got = 0, undone;

	*out_in = 0;
	pfai_owner_lock(&b->os, &b->lock);
	while (nr < want && b->nr_unused)
		slots[nr++] = b->unused[--b->nr_unused];
	pfai_owner_unlock(&b->os, &b->lock);
	if (nr == 0)
		return PFA_ENOMEM;
	int code = pfa_alloc_bulk(b->pfa, b->order, b->flags, nr, pfns, &got);
	balloon_return_slots(b, slots + got, nr - got);
	if (got == 0)
		return code;
	if (balloon_tell(b, PFA_BALLOON_INFLATED, pfns, got) != PFA_OK) {
		balloon_return_slots(b, slots, got);
		int freed = pfa_free_bulk(b->pfa, b->order, got, pfns, &undone);
		return freed == PFA_OK ? PFA_EDEVICE : freed;
	}
	int entered = balloon_enter(b, slots, pfns, got, out_in);
	if (entered != PFA_OK)
		return entered;
	return code == PFA_OK && got < want ? PFA_ENOMEM : code;
}

static size_t balloon_blocks(const struct pfa_balloon *b, size_t nr_frames)
{
	size_t whole = nr_frames >> b->order;
	return whole << b->order == nr_frames ? whole : whole + 1;
}

int pfa_balloon_inflate(struct pfa_balloon *b, size_t nr_frames, size_t *out_frames)
{
	size_t want = balloon_blocks(b, nr_frames), done = 0;
	int code = PFA_OK;

	while (done < want && code == PFA_OK) { /* each round fills a batch, or is the last */
		size_t nr = want - done < PFA_BALLOON_BATCH ? want - done : PFA_BALLOON_BATCH, in;
		code = balloon_inflate_batch(b, nr, &in);
		done += in;
	}
	if (out_frames)
		*out_frames = done << b->order;
	return code;
}

/* ---- out ---- */

/* Takes up to nr blocks out of the balloon: nobody else frees them, and no move of them succeeds, any more. */
static size_t balloon_leave(struct pfa_balloon *b, uint32_t slots[], pfa_pfn pfns[], size_t nr)
{
	size_t done = 0;
	pfai_owner_lock(&b->os, &b->lock);
	uintptr_t nr_used = atomic_load_explicit(&b->nr_used, memory_order_relaxed);
	for (; done < nr && nr_used; done++) {
		slots[done] = b->used[--nr_used];
		pfns[done] = b->slots[slots[done]];
		b->slots[slots[done]] = BALLOON_NOWHERE;
	}
	atomic_store_explicit(&b->nr_used, nr_used, memory_order_relaxed);
	pfai_owner_unlock(&b->os, &b->lock);
	return done;
}

/* What could not be freed is in the balloon again. */
static void balloon_come_back(struct pfa_balloon *b, uint32_t slot, pfa_pfn pfn)
{
	(void)balloon_tell(b, PFA_BALLOON_INFLATED, &pfn, 1);
	pfai_owner_lock(&b->os, &b->lock);
	uintptr_t nr_used = atomic_load_explicit(&b->nr_used, memory_order_relaxed);
	b->slots[slot] = pfn;
	b->used[nr_used] = slot;
	atomic_store_explicit(&b->nr_used, nr_used + 1, memory_order_relaxed);
	pfai_owner_unlock(&b->os, &b->lock);
}

/* Frees what has left. Returns how many went, and the last refusal. */
static size_t balloon_free(struct pfa_balloon *b, const uint32_t slots[], const pfa_pfn pfns[], size_t nr, int *out_code)
{
	size_t done = 0;
	(void)balloon_tell(b, PFA_BALLOON_DEFLATED, pfns, nr);
	for (size_t i = 0; i < nr; i++) {
		int freed = pfa_free(b->pfa, pfns[i], b->order);
		if (freed != PFA_OK) {
			*out_code = freed;
			balloon_come_back(b, slots[i], pfns[i]);
			continue;
		}
		balloon_return_slots(b, &slots[i], 1);
		done++;
	}
	return done;
}

int pfa_balloon_deflate(struct pfa_balloon *b, size_t nr_frames, size_t *out_frames)
{
	size_t want = nr_frames == SIZE_MAX ? SIZE_MAX : balloon_blocks(b, nr_frames), done = 0;
	uint32_t slots[PFA_BALLOON_BATCH];
	pfa_pfn pfns[PFA_BALLOON_BATCH];
	int code = PFA_OK;

	while (done < want && code == PFA_OK) { /* bounded by what is in the balloon, and what others put in meanwhile */
		size_t nr = balloon_leave(b, slots, pfns, want - done < PFA_BALLOON_BATCH ? want - done : PFA_BALLOON_BATCH);
		if (nr == 0)
			break;
		done += balloon_free(b, slots, pfns, nr, &code);
	}
	if (out_frames)
		*out_frames = done << b->order;
	return code;
}

size_t pfa_balloon_low_memory(struct pfa_balloon *b, unsigned order)
{
	size_t out = 0;
	if (order > PFA_ORDER_LIMIT)
		order = PFA_ORDER_LIMIT;
	/* A frame that could not be freed is one less; that was told where it happened. */
	int code = pfa_balloon_deflate(b, (size_t)2 << order, &out);
	(void)code;
	return out;
}

size_t pfa_balloon_frames(const struct pfa_balloon *b)
{
	return (size_t)atomic_load_explicit(&b->nr_used, memory_order_relaxed) << b->order;
}

size_t pfa_balloon_moves(const struct pfa_balloon *b)
{
	return (size_t)atomic_load_explicit(&b->nr_moves, memory_order_relaxed);
}
