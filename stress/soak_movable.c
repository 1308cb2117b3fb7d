/* SPDX-License-Identifier: MIT
 *
 * The scripted owner: its ops, its blocks, and their content. See soak_movable.h.
 */
#include "soak_movable.h"
#include "soak_ranges.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

#define KEEPER_MAGIC 0x6B656570u

/* soak.moving: what the ops know of the block that begins at a frame */
#define MOVING_IN_OP 1u
#define MOVING_ISOLATED 2u

static inline _Atomic uint8_t *moving_of(pfa_pfn head)
{
	return &soak.moving[head - soak.geo.base];
}

/* ---- shadow and content ----------------------------------------------------------------------------------------- */

uint32_t soak_cell_tag(const struct soak_keeper *k, uint32_t cell)
{
	return k->id << 20 | (k->first + cell);
}

static void cell_own(struct soak_slot *slot, pfa_pfn head, unsigned order, uint32_t from, uint32_t to)
{
	size_t nr = (size_t)1 << order;
	if (to)
		soak_shadow_poison(head, nr, false);
	soak_shadow_pass(slot, head, nr, from, to);
	atomic_store_explicit(moving_of(head), 0, memory_order_relaxed);
}

/* Three words of frame i of a cell's block: the same wherever it lies. */
static uint64_t cell_words(const struct soak_keeper *k, uint32_t cell, size_t i, pfa_pfn head, uint64_t *out[3])
{
	uint64_t stamp = soak_mix((uint64_t)soak_cell_tag(k, cell) << 32 ^ i ^ soak.opt.seed);
	uint64_t *words = soak_frame(head + i);
	size_t nr = soak.frame_bytes / sizeof(*words);
	out[0] = &words[0];
	out[1] = &words[1 + (size_t)(stamp >> 40) % (nr - 2)];
	out[2] = &words[nr - 1];
	return stamp ^ k->cells[cell].version;
}

static void cell_stamp(struct soak_keeper *k, uint32_t cell, size_t at)
{
	for (size_t i = 0; i < (size_t)1 << soak_cell_order(at); i++) {
		uint64_t *words[3], stamp = cell_words(k, cell, i, soak_cell_place(at), words);
		*words[0] = stamp;
		*words[1] = stamp + 1;
		*words[2] = ~stamp;
	}
}

void soak_cell_verify(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at)
{
	size_t nr = (size_t)1 << soak_cell_order(at);
	uint32_t tag = soak_cell_tag(k, cell);
	for (size_t i = 0; i < nr; i++) {
		pfa_pfn pfn = soak_cell_place(at) + i;
		uint64_t *words[3], stamp = cell_words(k, cell, i, soak_cell_place(at), words);
		uint32_t owner = soak_shadow_tag(pfn);
		/* who frees it has changed the cell first, and waits for the page lock now */
		if (owner != tag && (owner || atomic_load(&k->cells[cell].at) == at))
			soak_fail("shadow", "frame %zu of movable block %u belongs to %u:%u", pfn, cell, owner >> 20,
			          owner & 0xFFFFF);
		if (*words[0] != stamp || *words[1] != stamp + 1 || *words[2] != ~stamp)
			soak_fail("stamp",
			          "frame %zu, which is frame %zu of movable block %u: %016" PRIx64 " %016" PRIx64
			          " %016" PRIx64 ", expected %016" PRIx64 " and the like",
			          pfn, i, cell, *words[0], *words[1], *words[2], stamp);
	}
	soak_count(&soak_tally(slot)->stamps, nr);
}

/* The block is released, and nobody's in the shadow; the cell is the caller's: BUSY or RETIRING. */
static void cell_release(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at)
{
	unsigned order = soak_cell_order(at);
	uint32_t tag = soak_cell_tag(k, cell);
	struct soak_record *record = soak_record(slot, SOAK_OP_free, soak_cell_place(at), order, tag);
	int rc;
	soak_shadow_pass(slot, soak_cell_place(at), (size_t)1 << order, tag, 0);
	rc = pfa_free(soak.pfa, soak_cell_place(at), order);
	soak_recorded(record, rc);
	soak_expect(slot, "a free of a movable block", rc, PFA_OK);
	atomic_fetch_sub_explicit(&k->frames, (size_t)1 << order, memory_order_relaxed);
	soak_count(&soak_tally(slot)->frees, 1);
}

/* ---- ops -------------------------------------------------------------------------------------------------------- */

/* What holds whenever an op is called. */
static struct soak_cell *op_enter(struct soak_keeper *k, pfa_pfn head, unsigned order, uint64_t cookie, bool isolated,
                                  bool pinned)
{
	struct pfa_movable_info info;
	struct soak_cell *cell;
	uint8_t state;
	size_t at;
	if (k->magic != KEEPER_MAGIC || cookie >= k->nr_cells)
		soak_fail("owner-op", "an op for block %zu, cookie %" PRIu64 ", of an owner that is no more", head, cookie);
	cell = &k->cells[cookie];
	state = atomic_fetch_or_explicit(moving_of(head), MOVING_IN_OP, memory_order_relaxed);
	if ((state & MOVING_IN_OP) || !!(state & MOVING_ISOLATED) != isolated)
		soak_fail("owner-op", "an op for block %zu (cookie %" PRIu64 "), which is%s isolated%s", head, cookie,
		          state & MOVING_ISOLATED ? "" : " not",
		          state & MOVING_IN_OP ? ", while another op of it runs" : "");
	at = atomic_load_explicit(&cell->at, memory_order_relaxed);
	if (at != (head << 4 | order) && !soak_cell_empty(at))
		soak_fail("owner-op", "an op for block %zu of order %u, whose content is at %zu, order %u", head, order,
		          soak_cell_place(at), soak_cell_order(at));
	soak_expect(soak_self, "pfa_movable_info in an op", pfa_movable_info(soak.pfa, head, &info), PFA_OK);
	if (!info.locked || (info.pins && !pinned) ||
	    (info.released ? !soak_cell_retires(soak_cell_at(k, (uint32_t)cookie)) : info.owner != k->owner))
		soak_fail("owner-op", "in an op for block %zu: locked %d, released %d, owner %u of %u, %u pins", head,
		          info.locked, info.released, info.owner, k->owner, info.pins);
	return cell;
}

/* Its owner cannot have been destroyed meanwhile, whatever became of the block. */
static void op_leave(const struct soak_keeper *k, pfa_pfn head, bool isolated)
{
	if (k->magic != KEEPER_MAGIC)
		soak_fail("owner-op", "the owner of block %zu was destroyed while an op of it ran", head);
	atomic_store_explicit(moving_of(head), isolated ? MOVING_ISOLATED : 0, memory_order_relaxed);
}

/* Now and then an op frees its own block: no further op may come. True: so it was. */
static bool op_frees(struct soak_slot *slot, struct soak_keeper *k, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct soak_cell *cell = &k->cells[cookie];
	size_t at = head << 4 | order;
	struct soak_record *record;
	int rc;
	if (k->willing || !soak_chance(&slot->rng, 2) || !atomic_compare_exchange_strong(&cell->at, &at, SOAK_BUSY))
		return false;
	cell_own(slot, head, order, soak_cell_tag(k, (uint32_t)cookie), 0);
	record = soak_record(slot, SOAK_OP_free, head, order, soak_cell_tag(k, (uint32_t)cookie));
	rc = pfa_free(soak.pfa, head, order);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_free of a block inside its own op", rc, PFA_OK);
	atomic_fetch_sub_explicit(&k->frames, (size_t)1 << order, memory_order_relaxed);
	op_leave(k, head, false);
	atomic_store(&cell->at, SOAK_NOWHERE);
	return true;
}

/* And another block, whatever is done with it at the moment: an op waits for nobody. */
static void op_frees_other(struct soak_slot *slot, struct soak_keeper *k)
{
	uint32_t cell = soak_below(&slot->rng, k->nr_cells);
	size_t at = soak_cell_at(k, cell);
	if (k->willing || !soak_chance(&slot->rng, 2) || soak_cell_empty(at) ||
	    atomic_load_explicit(&k->retired, memory_order_relaxed) >= SOAK_RETIRED_MAX ||
	    !atomic_compare_exchange_strong(&k->cells[cell].at, &at, SOAK_RETIRING))
		return;
	atomic_fetch_add_explicit(&k->retired, 1, memory_order_relaxed);
	cell_release(slot, k, cell, at);
	atomic_store(&k->cells[cell].at, SOAK_RETIRED);
}

/* An op that takes its time: others are faster. */
static void op_dawdles(struct soak_slot *slot)
{
	for (unsigned i = soak_chance(&slot->rng, 3) ? 4 : 0; i > 0; i--)
		sched_yield();
}

/* Now and then it says what no op may say, which counts as a refusal, and is told. */
static bool op_refuses(struct soak_slot *slot, const struct soak_keeper *k, int *says)
{
	if (k->willing || !soak_chance(&slot->rng, 12))
		return false;
	*says = soak_chance(&slot->rng, 50) ? PFA_EBUSY : PFA_EAGAIN;
	if (soak_chance(&slot->rng, 5)) {
		*says = soak_chance(&slot->rng, 50) ? PFA_ESTOP : 1;
		slot->nr_nonsense++;
	}
	return true;
}

static int op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct soak_slot *slot = soak_self;
	struct soak_keeper *k = ctx;
	struct soak_record *record = soak_record(slot, SOAK_OP_op_isolate, head, (uint32_t)cookie, mode);
	struct soak_cell *cell = op_enter(k, head, order, cookie, false, false);
	int says = PFA_OK;
	op_frees_other(slot, k);
	op_dawdles(slot);
	if (soak_canary(SOAK_CANARY_twice))
		op_enter(k, head, order, cookie, false, false);
	if (op_frees(slot, k, head, order, cookie)) {
		says = soak_chance(&slot->rng, 50) ? PFA_OK : PFA_EBUSY;
	} else {
		if (soak_cell_empty(atomic_load_explicit(&cell->at, memory_order_relaxed)))
			says = PFA_EBUSY;
		else
			op_refuses(slot, k, &says);
		op_leave(k, head, says == PFA_OK);
	}
	soak_recorded(record, says);
	return says;
}

/* The copy, and whose frames are whose then. False: the block is being freed by somebody. */
static bool op_moves(struct soak_slot *slot, struct soak_keeper *k, pfa_pfn dst, pfa_pfn src, unsigned order,
                     uint64_t cookie)
{
	size_t nr = (size_t)1 << order, at = src << 4 | order;
	uint32_t tag = soak_cell_tag(k, (uint32_t)cookie);
	unsigned char *to = soak_frame(dst);
	cell_own(slot, dst, order, 0, tag);
	memcpy(to, soak_frame(src), nr * soak.frame_bytes);
	if (soak.opt.canary == SOAK_CANARY_copy) /* each time: many blocks are freed unseen */
		to[nr * soak.frame_bytes - 1] ^= 4;
	if (!atomic_compare_exchange_strong(&k->cells[cookie].at, &at, dst << 4 | order)) {
		cell_own(slot, dst, order, tag, 0);
		soak_shadow_poison(dst, nr, true);
		return false;
	}
	memset(soak_frame(src), 0xEE, nr * soak.frame_bytes);
	cell_own(slot, src, order, tag, 0);
	soak_shadow_poison(src, nr, true);
	soak_count(&soak_tally(slot)->moves, 1);
	return true;
}

static int op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct soak_slot *slot = soak_self;
	struct soak_keeper *k = ctx;
	struct soak_record *record = soak_record(slot, SOAK_OP_op_migrate, dst, src, (uint32_t)cookie);
	int says = PFA_OK;
	(void)mode;
	op_enter(k, src, order, cookie, true, false);
	op_frees_other(slot, k);
	op_dawdles(slot);
	if (op_frees(slot, k, src, order, cookie)) {
		says = -(int)soak_below(&slot->rng, 3); /* whatever it says, it is released */
		if (says == PFA_ENOMEM)
			says = PFA_EBUSY;
	} else if (op_refuses(slot, k, &says)) {
		op_leave(k, src, true);
	} else if (!op_moves(slot, k, dst, src, order, cookie)) {
		op_leave(k, src, true);
		says = soak_chance(&slot->rng, 50) ? PFA_EBUSY : PFA_EAGAIN;
	}
	soak_recorded(record, says);
	return says;
}

static void op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct soak_slot *slot = soak_self;
	struct soak_keeper *k = ctx;
	soak_recorded(soak_record(slot, SOAK_OP_op_putback, head, (uint32_t)cookie, 0), PFA_OK);
	op_enter(k, head, order, cookie, true, true);
	if (!op_frees(slot, k, head, order, cookie))
		op_leave(k, head, false);
}

/* ---- keepers ---------------------------------------------------------------------------------------------------- */

struct soak_keeper soak_common;

bool soak_keeper_create(struct soak_slot *slot, struct soak_keeper *k)
{
	static const struct pfa_owner_ops ops = {sizeof(ops), op_isolate, op_migrate, op_putback};
	struct soak_record *record = soak_record(slot, SOAK_OP_owner_create, k->id, k->first, 0);
	int rc;
	k->magic = KEEPER_MAGIC;
	k->willing = false;
	atomic_store_explicit(&k->frames, 0, memory_order_relaxed);
	atomic_store_explicit(&k->making, soak.geo.base, memory_order_relaxed);
	atomic_store_explicit(&k->retired, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < k->nr_cells; i++)
		atomic_store_explicit(&k->cells[i].at, SOAK_NOWHERE, memory_order_relaxed);
	rc = pfa_owner_create(soak.pfa, &ops, k, &k->owner);
	soak_recorded(record, rc);
	if (rc == PFA_ENOMEM)
		return false;
	soak_expect(slot, "pfa_owner_create", rc, PFA_OK);
	return true;
}

void soak_keeper_renew(struct soak_keeper *k)
{
	for (uint32_t i = 0; i < k->nr_cells; i++)
		if (soak_cell_at(k, i) == SOAK_RETIRED)
			atomic_store(&k->cells[i].at, SOAK_NOWHERE);
	atomic_store(&k->retired, 0);
}

void soak_keeper_destroy(struct soak_slot *slot, struct soak_keeper *k)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_owner_destroy, k->owner, 0, 0);
	int rc = pfa_owner_destroy(soak.pfa, k->owner);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_owner_destroy of an owner without blocks", rc, PFA_OK);
	k->magic = 0;
	k->owner = 0;
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

bool soak_cell_make(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell)
{
	struct soak_cell *c = &k->cells[cell];
	size_t none = SOAK_NOWHERE, at;
	struct soak_grant grant;
	struct soak_record *record;
	unsigned order = soak_order(slot);
	int rc;
	if (atomic_load_explicit(&k->frames, memory_order_relaxed) + ((size_t)1 << order) > k->frames_max ||
	    !atomic_compare_exchange_strong(&c->at, &none, SOAK_BUSY))
		return false;
	if (!soak_take(slot, order, (soak_flags(slot) & ~PFA_TYPE_MASK) | PFA_MOVABLE, &grant)) {
		atomic_store(&c->at, SOAK_NOWHERE);
		return false;
	}
	at = grant.first << 4 | order;
	slot->held -= grant.nr;
	cell_own(slot, grant.first, order, grant.tag, soak_cell_tag(k, cell));
	c->version = soak_next(&slot->rng);
	cell_stamp(k, cell, at);
	atomic_store_explicit(&k->making, grant.first, memory_order_relaxed);
	record = soak_record(slot, SOAK_OP_movable_set, grant.first, order, cell);
	rc = pfa_movable_set(soak.pfa, grant.first, k->owner, cell);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_movable_set of an own block", rc, PFA_OK);
	atomic_fetch_add_explicit(&k->frames, grant.nr, memory_order_relaxed);
	atomic_store_explicit(&c->at, at, memory_order_relaxed);
	return true;
}

size_t soak_cell_lock(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, bool wait)
{
	size_t at = soak_cell_at(k, cell);
	struct soak_record *record;
	int rc;
	if (soak_cell_empty(at))
		return SOAK_NOWHERE;
	record = soak_record(slot, SOAK_OP_page_lock, soak_cell_place(at), cell, wait);
	rc = wait ? pfa_page_lock(soak.pfa, soak_cell_place(at)) : pfa_page_trylock(soak.pfa, soak_cell_place(at));
	soak_recorded(record, rc);
	if (rc != PFA_OK) {
		if (rc != PFA_EINVAL && (rc != PFA_EBUSY || wait)) /* it may be gone, or busy */
			soak_expect(slot, "a page lock", rc, PFA_OK);
		return SOAK_NOWHERE;
	}
	if (soak_cell_at(k, cell) == at)
		return at;
	soak_cell_unlock(slot, at);
	return SOAK_NOWHERE;
}

void soak_cell_unlock(struct soak_slot *slot, size_t at)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_page_unlock, soak_cell_place(at), 0, 0);
	int rc = pfa_page_unlock(soak.pfa, soak_cell_place(at));
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_page_unlock by who holds it", rc, PFA_OK);
}

bool soak_cell_pin(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_pin, soak_cell_place(at), cell, 0);
	int rc = pfa_pin(soak.pfa, soak_cell_place(at));
	soak_recorded(record, rc);
	if (rc == PFA_EINVAL && soak_cell_retires(soak_cell_at(k, cell)))
		return false;
	soak_expect(slot, "pfa_pin by who holds the page lock", rc, PFA_OK);
	return true;
}

void soak_cell_write(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell)
{
	size_t at = soak_cell_lock(slot, k, cell, soak_chance(&slot->rng, 60));
	if (at == SOAK_NOWHERE)
		return;
	soak_cell_verify(slot, k, cell, at);
	k->cells[cell].version += 2;
	cell_stamp(k, cell, at);
	soak_cell_unlock(slot, at);
}

/* It becomes an ordinary block again. False: it is isolated or pinned, and stays. */
static bool cell_clear(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell, size_t at)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_movable_clear, soak_cell_place(at), cell, 0);
	int rc = pfa_movable_clear(soak.pfa, soak_cell_place(at));
	soak_recorded(record, rc);
	if (rc == PFA_EBUSY) {
		atomic_store_explicit(&k->cells[cell].at, at, memory_order_relaxed);
		return false;
	}
	soak_expect(slot, "pfa_movable_clear", rc, PFA_OK);
	soak_cell_verify(slot, k, cell, at);
	cell_release(slot, k, cell, at);
	return true;
}

bool soak_cell_free(struct soak_slot *slot, struct soak_keeper *k, uint32_t cell)
{
	unsigned way = soak_below(&slot->rng, 4);
	size_t at = way < 2 ? soak_cell_lock(slot, k, cell, true) : soak_cell_at(k, cell), was = at;
	bool freed = true;
	if (soak_cell_empty(at))
		return false;
	if (way < 2)
		soak_cell_verify(slot, k, cell, at);
	if (!atomic_compare_exchange_strong(&k->cells[cell].at, &was, SOAK_BUSY)) {
		if (way < 2 && !soak_cell_retires(was) && was != SOAK_BUSY)
			soak_fail("owner-op", "movable block %u left frame %zu while its page lock was held", cell,
			          soak_cell_place(at));
		if (way < 2)
			soak_cell_unlock(slot, at);
		return false;
	}
	if (way == 0) /* it is free after the unlock */
		cell_release(slot, k, cell, at);
	if (way < 2)
		soak_cell_unlock(slot, at);
	if (way == 2)
		freed = cell_clear(slot, k, cell, at);
	else if (way != 0)
		cell_release(slot, k, cell, at);
	if (freed)
		atomic_store(&k->cells[cell].at, SOAK_NOWHERE);
	return freed;
}

/* ---- moves ------------------------------------------------------------------------------------------------------ */

void soak_judge_move(struct soak_slot *slot, pfa_pfn head, int result)
{
	size_t rel = head - soak.geo.base;
	if (soak_canary(SOAK_CANARY_moves))
		result = PFA_EDEVICE;
	switch (result) {
	case PFA_OK:
	case PFA_EBUSY:
	case PFA_EAGAIN:
	case PFA_ENOMEM:
	case PFA_ESTOP:
	case PFA_EINVAL:
		return;
	case PFA_ERANGE:
		if (rel >= soak.geo.span || soak.attr[rel] == SOAK_ABSENT || soak_marked(head, 1, SOAK_MARK_MAYBE_AWAY))
			return;
		break;
	default:
		break;
	}
	soak_fail("result", "a move of block %zu by thread %u: %s", head, slot->id, pfa_error_name(result));
}

void soak_migrate(struct soak_slot *slot, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[])
{
	struct soak_record *record = soak_record(slot, SOAK_OP_migrate, nr ? heads[0] : 0, nr, dest->mode);
	bool all = true;
	int rc;
	soak_may_move(slot, true);
	rc = pfa_migrate(soak.pfa, heads, nr, dest, results);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	for (size_t i = 0; rc != PFA_ENOTSUP && i < nr; i++) {
		soak_judge_move(slot, heads[i], results[i]);
		all = all && results[i] == PFA_OK;
	}
	soak_expect(slot, "pfa_migrate", rc, !soak.geo.config.max_owners ? PFA_ENOTSUP : all ? PFA_OK : PFA_EAGAIN);
}
