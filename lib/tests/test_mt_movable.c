/* SPDX-License-Identifier: MIT
 *
 * Movable blocks under threads: movers, compaction, range calls and CMA areas against users that write under the page lock, pin, free (from outside, and
 * inside the ops), and owners that come and go. The content of every block follows it; a frame is one block's at any time; no
 * op of a block runs twice at once, or after its owner was destroyed. Memory is written without atomics under the page lock
 * alone, so that a sanitizer sees what that lock does not order.
 */
#include "mt.h"

#include <pfa/cma.h>
#include <pfa/compact.h>
#include <pfa/contig.h>
#include <pfa/hotplug.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 200, THREADS = 13, FIRST = 5, FRAMES = 2000, ORDERS = 3, SHORT_BLOCKS = 6 };

/* Two areas of the configuration, and one that comes and goes. */
enum { PB = 64 };
static const struct pfa_run configured[2] = { { 8 * PB, 4 * PB }, { 12 * PB, 3 * PB } }, third = { 20 * PB, 2 * PB };

static const size_t NONE = SIZE_MAX, MAKING = SIZE_MAX - 1;

/* A block, wherever it is. at: its place << 2 | its order; who changes it to NONE frees it. */
struct cell {
	_Atomic(size_t) at;
};

static inline pfa_pfn place(size_t at)
{
	return at >> 2;
}

static inline unsigned order_of(size_t at)
{
	return (unsigned)(at & 3);
}

struct keeper {
	struct mt *mt;
	pfa_owner owner;
	struct cell *cells;
	size_t nr_cells;
	bool frees; /* now and then inside an op */
};

static struct mt mt;
static struct cell cells[CELLS];
static struct keeper common;
static _Atomic(uint8_t) owned[MT_MAX_FRAMES], in_op[MT_MAX_FRAMES];
static _Atomic(size_t) making; /* a block that is just being made movable */
static atomic_uint nr_moved, nr_freed_inside, nr_short_lives, nr_captured, nr_ranges, nr_emptied, nr_cma, nr_areas, nr_offline;
static _Thread_local unsigned op_calls;

static uint64_t *content(pfa_pfn pfn)
{
	return (uint64_t *)(void *)((char *)mt.rig.pool + ((pfn - mt.rig.cfg.pool_pfn) << mt.rig.cfg.frame_shift));
}

static void own(pfa_pfn pfn, unsigned order, uint8_t from, uint8_t to)
{
	for (size_t i = 0; i < (size_t)1 << order; i++)
		if (atomic_exchange(&owned[pfn + i], to) != from)
			rig_fail(__FILE__, __LINE__, "frame %zu is somebody else's", pfn + i);
}

static void op_begin(struct keeper *k, pfa_pfn head, uint64_t cookie)
{
	MUST(k->mt == &mt);
	MUST(cookie < k->nr_cells);
	if (atomic_exchange(&in_op[head], 1))
		rig_fail(__FILE__, __LINE__, "two ops of block %zu at once", head);
}

/* Now and then the block is freed inside its op. */
static void op_end(struct keeper *k, pfa_pfn head, unsigned order, struct cell *cell)
{
	size_t at = head << 2 | order;
	MUST(atomic_exchange(&in_op[head], 0));
	if (!k->frees || ++op_calls % 31 || !atomic_compare_exchange_strong(&cell->at, &at, NONE))
		return;
	own(head, order, 1, 0);
	MUST_EQ(pfa_free(mt.rig.pfa, head, order), PFA_OK);
	atomic_fetch_add(&nr_freed_inside, 1);
}

static int op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct keeper *k = ctx;
	op_begin(k, head, cookie);
	int says = atomic_load(&k->cells[cookie].at) != (head << 2 | order) || (mode == PFA_MIGRATE_ASYNC && cookie % 7 == 0) ? PFA_EBUSY : PFA_OK;
	op_end(k, head, order, &k->cells[cookie]);
	return says;
}

static int op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct keeper *k = ctx;
	struct cell *cell = &k->cells[cookie];
	size_t at = src << 2 | order, bytes = (size_t)1 << (order + mt.rig.cfg.frame_shift);
	(void)mode;
	op_begin(k, src, cookie);
	if (op_calls % 5 == 3) {
		op_end(k, src, order, cell);
		return op_calls % 2 ? PFA_EAGAIN : PFA_EBUSY;
	}
	own(dst, order, 0, 1);
	memcpy(content(dst), content(src), bytes);
	if (!atomic_compare_exchange_strong(&cell->at, &at, dst << 2 | order)) { /* being freed */
		own(dst, order, 1, 0);
		op_end(k, src, order, cell);
		return PFA_EBUSY;
	}
	memset(content(src), 0xEE, bytes);
	own(src, order, 1, 0);
	atomic_fetch_add(&nr_moved, 1);
	MUST(atomic_exchange(&in_op[src], 0));
	op_calls++;
	return PFA_OK;
}

static void op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct keeper *k = ctx;
	op_begin(k, head, cookie);
	op_end(k, head, order, &k->cells[cookie]);
}

static const struct pfa_owner_ops ops = { sizeof(ops), op_isolate, op_migrate, op_putback };

/* ---- users ------------------------------------------------------------------------------------------------------- */

static bool cell_make(struct keeper *k, size_t i, unsigned order)
{
	struct cell *cell = &k->cells[i];
	size_t none = NONE;
	pfa_pfn pfn;
	if (!atomic_compare_exchange_strong(&cell->at, &none, MAKING))
		return false;
	/* Some are where they will be in the way of an area. */
	int err = i % 4 ? pfa_alloc(mt.rig.pfa, order, PFA_MOVABLE, &pfn)
	                : pfa_alloc_window(mt.rig.pfa, order, PFA_MOVABLE, configured[i / 4 % 2], &pfn);
	if (err != PFA_OK) {
		atomic_store(&cell->at, NONE);
		return false;
	}
	own(pfn, order, 0, 1);
	for (size_t f = 0; f < (size_t)1 << order; f++) {
		uint64_t *words = content(pfn + f);
		words[0] = i;
		words[1] = ~(words[2] = f);
	}
	/* Where it will be is known to the movers before it is movable. */
	atomic_store(&making, pfn);
	MUST_EQ(pfa_movable_set(mt.rig.pfa, pfn, k->owner, i), PFA_OK);
	atomic_store(&cell->at, pfn << 2 | order);
	return true;
}

/* Frees it, wherever it is, whoever moves it. */
static bool cell_free(struct cell *cell)
{
	size_t at = atomic_load(&cell->at);
	struct pfa_movable_info info;
	/* A block that is just being made is not freed. */
	if (at == NONE || at == MAKING || pfa_movable_info(mt.rig.pfa, place(at), &info) != PFA_OK)
		return false;
	if (!atomic_compare_exchange_strong(&cell->at, &at, NONE))
		return false;
	own(place(at), order_of(at), 1, 0);
	MUST_EQ(pfa_free(mt.rig.pfa, place(at), order_of(at)), PFA_OK);
	return true;
}

/* Its page lock, and that it is still there. */
static size_t cell_lock(struct cell *cell, bool wait)
{
	size_t at = atomic_load(&cell->at);
	if (at == NONE || at == MAKING)
		return NONE;
	int err = wait ? pfa_page_lock(mt.rig.pfa, place(at)) : pfa_page_trylock(mt.rig.pfa, place(at));
	if (err != PFA_OK) {
		MUST(err == PFA_EINVAL || (err == PFA_EBUSY && !wait));
		return NONE;
	}
	if (atomic_load(&cell->at) == at)
		return at;
	MUST_EQ(pfa_page_unlock(mt.rig.pfa, place(at)), PFA_OK);
	return NONE;
}

static void cell_write(struct mt_thread *t, struct cell *cell)
{
	size_t at = cell_lock(cell, rng_one_in(&t->rng, 2));
	if (at == NONE)
		return;
	uint64_t *first = content(place(at)), writes = first[2], cookie = first[0];
	for (size_t f = 0; f < (size_t)1 << order_of(at); f++) {
		uint64_t *words = content(place(at) + f);
		MUST(words[0] == cookie && words[1] == ~words[2] && words[2] == writes + f);
		words[1] = ~++words[2];
	}
	MUST_EQ(pfa_page_unlock(mt.rig.pfa, place(at)), PFA_OK);
}

/* While it is pinned it stays where it is, or is freed. */
static void cell_pin(struct mt_thread *t, struct cell *cell)
{
	size_t at = cell_lock(cell, true);
	if (at == NONE)
		return;
	MUST_EQ(pfa_pin(mt.rig.pfa, place(at)), PFA_OK);
	MUST_EQ(pfa_page_unlock(mt.rig.pfa, place(at)), PFA_OK);
	for (unsigned i = 0; i < 20; i++) {
		struct pfa_movable_info info;
		size_t now = atomic_load(&cell->at);
		MUST_EQ(pfa_movable_info(mt.rig.pfa, place(at), &info), PFA_OK);
		MUST(info.pins);
		if (now != at)
			break; /* freed; and perhaps made anew, elsewhere */
	}
	if (rng_one_in(&t->rng, 4))
		(void)cell_free(cell);
	MUST_EQ(pfa_unpin(mt.rig.pfa, place(at)), PFA_OK);
}

static void user(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		size_t i = rng_below(&t->rng, CELLS);
		switch (rng_below(&t->rng, 6)) {
		case 0: (void)cell_make(&common, i, (unsigned)rng_below(&t->rng, ORDERS)); break;
		case 1: (void)cell_free(&cells[i]); break;
		case 2: cell_pin(t, &cells[i]); break;
		default: cell_write(t, &cells[i]);
		}
	}
}

/* ---- movers ------------------------------------------------------------------------------------------------------ */

static void mover(struct mt_thread *t)
{
	enum { NR = 8 };
	while (!atomic_load(&mt.stop)) {
		struct pfa_dest dest = { .size = sizeof(dest), .mode = (enum pfa_migrate_mode)rng_below(&t->rng, 3), .flags = PFA_MOVABLE };
		pfa_pfn heads[NR];
		int results[NR];
		for (unsigned i = 0; i < NR; i++)
			heads[i] = place(atomic_load(&cells[rng_below(&t->rng, CELLS)].at));
		heads[0] = atomic_load(&making);
		int all = pfa_migrate(mt.rig.pfa, heads, NR, &dest, results);
		MUST(all == PFA_OK || all == PFA_EAGAIN);
		for (unsigned i = 0; i < NR; i++)
			MUST(results[i] <= 0 && results[i] >= PFA_ESTOP && results[i] != PFA_ECORRUPT && results[i] != PFA_EMISUSE);
	}
}

static void compactor(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		pfa_pfn pfn;
		unsigned order = rng_one_in(&t->rng, 3) ? PFA_COMPACT_ALL : (unsigned)rng_below(&t->rng, 7);
		int err = pfa_compact(mt.rig.pfa, 0, order, (enum pfa_migrate_mode)rng_below(&t->rng, 3), NULL);
		MUST(err == PFA_OK || err == PFA_ENOMEM || err == PFA_EBUSY);
		order = 4 + (unsigned)rng_below(&t->rng, 4);
		if (pfa_alloc(mt.rig.pfa, order, PFA_UNMOVABLE | PFA_COMPACT, &pfn) == PFA_OK) {
			own(pfn, order, 0, 2);
			own(pfn, order, 2, 0);
			MUST_EQ(pfa_free(mt.rig.pfa, pfn, order), PFA_OK);
			atomic_fetch_add(&nr_captured, 1);
		}
		err = pfa_service(mt.rig.pfa, 8, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN || err == PFA_EBUSY);
	}
}

/* Owners that live shortly: their memory is gone as soon as they are destroyed. */
static void short_lives(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		struct keeper *k = malloc(sizeof(*k));
		struct cell *mine = malloc(SHORT_BLOCKS * sizeof(*mine));
		MUST(k && mine);
		*k = (struct keeper){ &mt, 0, mine, SHORT_BLOCKS, false };
		MUST_EQ(pfa_owner_create(mt.rig.pfa, &ops, k, &k->owner), PFA_OK);
		for (unsigned i = 0; i < SHORT_BLOCKS; i++) {
			atomic_init(&mine[i].at, NONE);
			(void)cell_make(k, i, (unsigned)rng_below(&t->rng, ORDERS));
		}
		for (unsigned i = 0; i < 20; i++)
			cell_write(t, &mine[rng_below(&t->rng, SHORT_BLOCKS)]);
		for (unsigned i = 0; i < SHORT_BLOCKS; i++)
			while (atomic_load(&mine[i].at) != NONE)
				(void)cell_free(&mine[i]);
		MUST_EQ(pfa_owner_destroy(mt.rig.pfa, k->owner), PFA_OK);
		memset(mine, 0xDD, SHORT_BLOCKS * sizeof(*mine));
		memset(k, 0xDD, sizeof(*k));
		free(mine);
		free(k);
		atomic_fetch_add(&nr_short_lives, 1);
	}
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

/* Taken, written, and given back in two parts. */
static void range_take(struct mt_thread *t, pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	struct pfa_blocker why;
	int err = pfa_alloc_contig_range(mt.rig.pfa, start, end, flags, &why);
	MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_EAGAIN || err == PFA_ENOMEM || err == PFA_ERANGE); /* offline just now */
	MUST((err == PFA_OK) == (why.reason == PFA_BLOCKER_NONE));
	if (err != PFA_OK)
		return;
	for (pfa_pfn at = start; at < end; at++) {
		own(at, 0, 0, 3);
		content(at)[0] = at;
	}
	pfa_pfn middle = start + rng_below(&t->rng, end - start);
	for (pfa_pfn at = start; at < end; at++) {
		MUST_EQ(content(at)[0], at);
		own(at, 0, 3, 0);
	}
	if (middle > start)
		MUST_EQ(pfa_free_contig_range(mt.rig.pfa, start, middle - start), PFA_OK);
	MUST_EQ(pfa_free_contig_range(mt.rig.pfa, middle, end - middle), PFA_OK);
	atomic_fetch_add(&nr_ranges, 1);
}

/* Held for a while. What is free then stays free, since nothing of it is granted; and nobody else can hold it. */
static void range_hold(pfa_pfn start, pfa_pfn end, uint32_t flags)
{
	pfa_token token, other;
	int err = pfa_isolate_range(mt.rig.pfa, start, end, flags, &token, NULL);
	MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_EAGAIN || err == PFA_ENOMEM);
	if (err != PFA_OK)
		return;
	bool empty = false;
	for (unsigned i = 0; i < 8; i++) {
		err = pfa_test_isolated(mt.rig.pfa, start, end, token, NULL);
		MUST(err == PFA_OK || ((err == PFA_EBUSY || err == PFA_ERANGE) && !empty));
		empty = err == PFA_OK;
		MUST_EQ(pfa_isolate_range(mt.rig.pfa, end - 1, end, PFA_NOMIGRATE, &other, NULL), PFA_EBUSY);
	}
	atomic_fetch_add(&nr_emptied, empty);
	MUST_EQ(pfa_undo_isolate_range(mt.rig.pfa, start, end, token), PFA_OK);
}

static void ranger(struct mt_thread *t)
{
	while (!atomic_load(&mt.stop)) {
		pfa_pfn start = FIRST + rng_below(&t->rng, FRAMES), end = start + 1 + rng_below(&t->rng, rng_one_in(&t->rng, 2) ? 20 : 200);
		uint32_t flags = rng_one_in(&t->rng, 4) ? PFA_NOMIGRATE : rng_one_in(&t->rng, 8) ? PFA_NOWAIT : 0;
		end = end < FIRST + FRAMES ? end : FIRST + FRAMES;
		if (rng_one_in(&t->rng, 4))
			range_hold(start, end, flags);
		else
			range_take(t, start, end, flags);
	}
}

/* ---- CMA areas --------------------------------------------------------------------------------------------------- */

static void cma_take(struct mt_thread *t, pfa_cma area, struct pfa_run run)
{
	static const uint32_t ways[] = { 0, 0, 0, PFA_NOMIGRATE, PFA_NOWAIT };
	size_t nr = 1 + rng_below(&t->rng, rng_one_in(&t->rng, 2) ? 12 : PB + 20), align = (size_t)1 << rng_below(&t->rng, 7);
	pfa_pfn pfn;
	int err = pfa_cma_alloc(mt.rig.pfa, area, nr, align, ways[rng_below(&t->rng, 5)], &pfn);
	MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_EAGAIN || err == PFA_ENOMEM || err == PFA_EINVAL);
	if (err != PFA_OK)
		return;
	MUST(pfn % align == 0 && pfn >= run.first && pfn + nr <= run.first + run.nr_frames);
	for (size_t i = 0; i < nr; i++) {
		own(pfn + i, 0, 0, 4);
		content(pfn + i)[0] = pfn;
	}
	for (size_t i = 0; i < nr; i++) {
		MUST_EQ(content(pfn + i)[0], pfn);
		own(pfn + i, 0, 4, 0);
	}
	size_t first = rng_below(&t->rng, nr);
	if (first)
		MUST_EQ(pfa_cma_release(mt.rig.pfa, area, pfn, first), PFA_OK);
	MUST_EQ(pfa_cma_release(mt.rig.pfa, area, pfn + first, nr - first), PFA_OK);
	atomic_fetch_add(&nr_cma, 1);
}

static void cma_user(struct mt_thread *t)
{
	pfa_cma areas[3] = { 0, 0, 0 };
	for (unsigned i = 0; i < 2; i++)
		MUST_EQ(pfa_cma_find(mt.rig.pfa, configured[i].first, &areas[i]), PFA_OK);
	while (!atomic_load(&mt.stop)) {
		unsigned i = (unsigned)rng_below(&t->rng, 3);
		struct pfa_cma_stats s = { .size = sizeof(s) };
		if (i < 2) {
			cma_take(t, areas[i], configured[i]);
			MUST_EQ(pfa_cma_stats(mt.rig.pfa, areas[i], &s), PFA_OK);
			MUST(s.granted <= s.run.nr_frames && s.free <= s.run.nr_frames);
		} else if (pfa_cma_find(mt.rig.pfa, third.first, &areas[2]) == PFA_OK) { /* which the other one may end at once */
			cma_take(t, areas[2], third);
			int err = rng_one_in(&t->rng, 4) ? pfa_cma_destroy(mt.rig.pfa, areas[2]) : PFA_OK;
			MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_EINVAL);
		} else {
			int err = pfa_cma_create(mt.rig.pfa, third.first, third.nr_frames, 0, &areas[2], NULL);
			MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_ENOMEM || err == PFA_ERANGE);
			atomic_fetch_add(&nr_areas, err == PFA_OK);
		}
	}
}

/* ---- memory that goes and comes back ------------------------------------------------------------------------------- */

/* Offline it is nobody's: whoever had it does not, and who keeps its number is refused. Only this thread brings it back. */
static void plugger(struct mt_thread *t)
{
	struct pfa *p = mt.rig.pfa;
	while (!atomic_load(&mt.stop)) {
		pfa_pfn start = FIRST + rng_below(&t->rng, FRAMES), end = start + 1 + rng_below(&t->rng, rng_one_in(&t->rng, 2) ? 20 : 150), pfn;
		uint32_t flags = (rng_one_in(&t->rng, 4) ? PFA_NOMIGRATE : rng_one_in(&t->rng, 8) ? PFA_NOWAIT : 0) | PFA_CMA;
		struct pfa_blocker why;
		int err;
		end = end < FIRST + FRAMES ? end : FIRST + FRAMES;
		err = pfa_offline_range(p, start, end - start, flags, &why);
		MUST(err == PFA_OK || err == PFA_EBUSY || err == PFA_EAGAIN || err == PFA_ENOMEM);
		MUST((err == PFA_OK) == (why.reason == PFA_BLOCKER_NONE));
		if (err != PFA_OK)
			continue;
		for (pfn = start; pfn < end; pfn++)
			own(pfn, 0, 0, 5);
		MUST(pfa_alloc_window(p, 0, PFA_MOVABLE, (struct pfa_run){ start, end - start }, &pfn) == PFA_ENOMEM);
		if (rng_one_in(&t->rng, 2)) {
			while ((err = pfa_remove_range(p, start, end - start, NULL)) == PFA_EBUSY) /* somebody holds a pageblock */
				sched_yield();
			MUST_EQ(err, PFA_OK);
			for (pfn = start; pfn < end; pfn++)
				content(pfn)[0] = ~(uint64_t)0;
			while ((err = pfa_add_range(p, start, end - start, NULL)) == PFA_EBUSY)
				sched_yield();
			MUST_EQ(err, PFA_OK);
		}
		for (pfn = start; pfn < end; pfn++)
			own(pfn, 0, 5, 0);
		while ((err = pfa_online_range(p, start, end - start, NULL)) == PFA_EBUSY)
			sched_yield();
		MUST_EQ(err, PFA_OK);
		atomic_fetch_add(&nr_offline, 1);
	}
}

/* Looks at everything, and ends the run: not before a block has moved, unless none ever does. */
static void checker(struct mt_thread *t)
{
	struct pfa_violation v;
	for (size_t i = 0; i < t->nr_granted || (i < 1000 * t->nr_granted && !atomic_load(&nr_moved)); i++) {
		int err = pfa_check(mt.rig.pfa, PFA_CHECK_FRAMES, &v);
		if (err != PFA_OK)
			rig_fail(__FILE__, __LINE__, "%s (pfn %zu)", v.what, v.pfn);
		struct pfa_zone_stats s = rig_stats(&mt.rig, 0);
		MUST_EQ(rig_sum(&s), s.present);
		MUST(s.movable <= s.present && s.isolated <= s.present);
		sched_yield();
	}
	atomic_store(&mt.stop, true);
}

int main(int argc, char **argv)
{
	static void (*const bodies[THREADS])(struct mt_thread *) = { checker, user, user, mover, mover, compactor, short_lives, user, ranger, ranger, cma_user, cma_user, plugger };
	static struct mt_thread threads[THREADS];
	const struct mt_options o = mt_options(argc, argv, 60);
	if (rig_prot_none) {
		puts("movable blocks' content is the test: left out");
		return 0;
	}
	mt_init(&mt, false, RIG_CPU_OP);
	mt.rig.cfg.max_owners = 4;
	mt.rig.cfg.cache_high = 4;
	struct pfa_zone_config *z = rig_zone(&mt.rig, FIRST, FRAMES);
	z->cma = configured;
	z->nr_cma = 2;
	mt_start(&mt);
	common = (struct keeper){ &mt, 0, cells, CELLS, true };
	MUST_EQ(pfa_owner_create(mt.rig.pfa, &ops, &common, &common.owner), PFA_OK);
	for (unsigned i = 0; i < CELLS; i++)
		atomic_init(&cells[i].at, NONE);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = (struct mt_thread){ .body = bodies[i], .nr_granted = o.rounds };
	mt_run(&mt, threads, THREADS, o.seed);
	for (unsigned i = 0; i < CELLS; i++)
		(void)cell_free(&cells[i]);
	MUST_EQ(pfa_owner_destroy(mt.rig.pfa, common.owner), PFA_OK);
	struct pfa_zone_stats s = rig_stats(&mt.rig, 0);
	MUST_EQ(s.movable, 0);
	MUST_EQ(s.isolated, 0);
	MUST_EQ(s.held_pageblocks, 0);
	MUST_EQ(s.offline, 0);
	MUST_EQ(s.present, FRAMES);
	MUST_EQ(s.allocated, 0);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	MUST(atomic_load(&nr_moved) > 0);
	for (unsigned i = 0; i < 2; i++) {
		pfa_cma area;
		struct pfa_cma_stats c = { .size = sizeof(c) };
		MUST_EQ(pfa_cma_find(mt.rig.pfa, configured[i].first, &area), PFA_OK);
		MUST_EQ(pfa_cma_stats(mt.rig.pfa, area, &c), PFA_OK);
		MUST_EQ(c.granted, 0);
	}
	printf("movable: %u moves, %zu put back, %zu released while held, %u freed inside ops, %u owners, %u blocks after compaction, %u ranges, %u emptied, "
	       "%u runs of CMA areas, %u areas, %u ranges offline\n",
	       atomic_load(&nr_moved), s.nr_putback, s.nr_released, atomic_load(&nr_freed_inside), atomic_load(&nr_short_lives),
	       atomic_load(&nr_captured), atomic_load(&nr_ranges), atomic_load(&nr_emptied), atomic_load(&nr_cma), atomic_load(&nr_areas), atomic_load(&nr_offline));
	mt_stop(&mt);
	return 0;
}
