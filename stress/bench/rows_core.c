/* SPDX-License-Identifier: MIT
 *
 * rows_core.c - the workloads of the core: pairs, bulk, churn, mixed orders, two threads, refusals, set-up.
 *
 * A workload is written once, with a constant `check`: the timed form has nothing in the way; in the checked form each
 * block's ownership is followed. Space is half used at most: "bulk" takes half of it (each thread its share), warms up
 * by taking and freeing all of that once, and is then timed.
 */
#include BENCH_ALLOC

#include <stdio.h>
#include <stdlib.h>

const char bench_allocator[] = BA_NAME;
const unsigned bench_provides = BA_PROVIDES;

#define INLINE static inline __attribute__((always_inline))
#define PHASE_NS 2000000000u /* a peer that is very slow at something is cut short */

/* Keeps the compiler from looking through an allocation into the free that follows. */
INLINE void opaque(bench_block *block)
{
	__asm__ volatile("" : "+r"(*block) : : "memory");
}

INLINE bool take(struct ba *a, unsigned order, bench_block *out, const bool check)
{
	if (!ba_alloc(a, order, out))
		return bench_fail("alloc", "a request of order %u was refused", order);
	return !check || bench_owner_take(*out, order);
}

INLINE bool give(struct ba *a, bench_block block, unsigned order, const bool check)
{
	if (check && !bench_owner_give(block, order))
		return false;
	return ba_free(a, block, order) || bench_fail("free", "block %#zx of order %u was refused", (size_t)block, order);
}

static bool open_space(struct ba *a, size_t frames, unsigned threads, bool check)
{
	if (check)
		bench_owner_reset(BA_PFNS ? frames : 0);
	return ba_open(a, frames, threads, false) || bench_fail("open", "no instance of %zu frames", frames);
}

static bool close_space(struct ba *a, bool check)
{
	const char *what = ba_close(a, check);

	if (what != NULL)
		return bench_fail("close", "%s", what);
	if (check && bench_owner_frames() != 0)
		return bench_fail("close", "the workload kept %zu frames", bench_owner_frames());
	return true;
}

static void finish(struct bench_series *s)
{
	bench_series_print(s);
	bench_series_free(s);
}

/* ---- phases: nr operations in chunks; t == NULL: not timed -------------------------------------------------------- */

INLINE bool get_all(struct ba *a, bench_block *blocks, size_t nr, struct bench_timer *t, const bool check)
{
	for (size_t at = 0; at < nr;) {
		size_t end = nr - at > BENCH_CHUNK ? at + BENCH_CHUNK : nr, begin = at;
		if (t != NULL)
			bench_chunk_begin(t);
		for (; at < end; at++)
			if (!take(a, 0, &blocks[at], check))
				return false;
		if (t != NULL && end - begin == BENCH_CHUNK)
			bench_chunk_end(t, BENCH_CHUNK);
	}
	return true;
}

INLINE bool free_all(struct ba *a, const bench_block *blocks, size_t nr, struct bench_timer *t, const bool check)
{
	for (size_t at = 0; at < nr;) {
		size_t end = nr - at > BENCH_CHUNK ? at + BENCH_CHUNK : nr, begin = at;
		if (t != NULL)
			bench_chunk_begin(t);
		for (; at < end; at++)
			if (!give(a, blocks[at], 0, check))
				return false;
		if (t != NULL && end - begin == BENCH_CHUNK)
			bench_chunk_end(t, BENCH_CHUNK);
	}
	return true;
}

INLINE bool pairs(struct ba *a, unsigned order, size_t nr, unsigned chunk, struct bench_timer *t, const bool check)
{
	uint64_t deadline = bench_now() + PHASE_NS;
	bench_block block = 0;

	for (size_t done = 0; done + chunk <= nr && bench_now() < deadline; done += chunk) {
		bench_chunk_begin(t);
		for (unsigned i = 0; i < chunk; i++) {
			if (!take(a, order, &block, check))
				return false;
			opaque(&block);
			if (!give(a, block, order, check))
				return false;
		}
		bench_chunk_end(t, chunk);
	}
	return true;
}

INLINE bool churn_steps(struct ba *a, bench_block *live, size_t nr_live, size_t steps, uint64_t *rng,
                        struct bench_timer *t, const bool check)
{
	uint64_t deadline = bench_now() + PHASE_NS;

	for (size_t done = 0; done + BENCH_CHUNK <= steps && bench_now() < deadline; done += BENCH_CHUNK) {
		bench_chunk_begin(t);
		for (unsigned i = 0; i < BENCH_CHUNK; i++) {
			bench_block *slot = &live[bench_below(rng, nr_live)];
			if (!give(a, *slot, 0, check))
				return false;
			opaque(slot);
			if (!take(a, 0, slot, check))
				return false;
		}
		bench_chunk_end(t, BENCH_CHUNK);
	}
	return true;
}

/* ---- one thread --------------------------------------------------------------------------------------------------- */

INLINE bool hot_pair(const struct bench_options *o, const char *row, unsigned order, unsigned chunk, const bool check)
{
	struct bench_timer warm = {0}, t = {.series = bench_series_new(row)};
	bench_block held[64];
	struct ba a;
	bool ok = open_space(&a, o->frames_small, 1, check);

	ba_thread(&a, 0);
	/* In the checked form some blocks stay live, so that one handed out twice is seen. */
	for (unsigned i = 0; ok && check && i < 64; i++)
		ok = take(&a, order, &held[i], check);
	ok = ok && pairs(&a, order, chunk, chunk, &warm, check);
	ok = ok && pairs(&a, order, o->operations, chunk, &t, check);
	for (unsigned i = 0; ok && check && i < 64; i++)
		ok = give(&a, held[i], order, check);
	ok = ok && close_space(&a, check);
	finish(t.series);
	return ok;
}

INLINE bool o0_hot_pair(const struct bench_options *o, const bool check)
{
	return hot_pair(o, "o0_hot_pair", 0, BENCH_CHUNK, check);
}

INLINE bool o9_hot_pair(const struct bench_options *o, const bool check)
{
	return hot_pair(o, "o9_hot_pair", 9, BENCH_CHUNK_LARGE, check);
}

INLINE bool o0_bulk(const struct bench_options *o, const bool check)
{
	struct bench_timer get = {.series = bench_series_new("o0_bulk_get")};
	struct bench_timer free_same = {.series = bench_series_new("o0_bulk_free")};
	struct bench_timer free_random = {.series = bench_series_new("o0_random_free")};
	size_t nr = o->frames_small / 2;
	bench_block *blocks = bench_array(nr * sizeof(*blocks));
	uint64_t rng = o->seed;
	struct ba a;
	bool ok = open_space(&a, o->frames_small, 1, check);

	ba_thread(&a, 0);
	ok = ok && get_all(&a, blocks, nr, NULL, check) && free_all(&a, blocks, nr, NULL, check);
	for (unsigned round = 0; ok && round < o->rounds; round++)
		ok = get_all(&a, blocks, nr, &get, check) && free_all(&a, blocks, nr, &free_same, check);
	for (unsigned round = 0; ok && round < o->rounds; round++) {
		ok = get_all(&a, blocks, nr, NULL, check);
		bench_shuffle(blocks, nr, &rng);
		ok = ok && free_all(&a, blocks, nr, &free_random, check);
	}
	ok = ok && close_space(&a, check);
	bench_array_free(blocks, nr * sizeof(*blocks));
	finish(get.series);
	finish(free_same.series);
	finish(free_random.series);
	return ok;
}

/* Random free where nothing fits a near cache: one round, of which the first million frees are timed. */
INLINE bool o0_random_free_64g(const struct bench_options *o, const bool check)
{
	struct bench_timer t = {.series = bench_series_new("o0_random_free_64g")};
	size_t nr = o->frames_big / 2, timed = o->operations < nr ? o->operations : nr;
	bench_block *blocks = bench_array(nr * sizeof(*blocks));
	uint64_t rng = o->seed;
	struct ba a;
	bool ok = open_space(&a, o->frames_big, 1, check);

	ba_thread(&a, 0);
	ok = ok && get_all(&a, blocks, nr, NULL, check) && free_all(&a, blocks, nr, NULL, check);
	ok = ok && get_all(&a, blocks, nr, NULL, check);
	bench_shuffle(blocks, nr, &rng);
	ok = ok && free_all(&a, blocks, timed, &t, check);
	ok = ok && free_all(&a, blocks + timed, nr - timed, NULL, check) && close_space(&a, check);
	bench_array_free(blocks, nr * sizeof(*blocks));
	finish(t.series);
	return ok;
}

INLINE bool churn(const struct bench_options *o, const char *row, size_t frames, const bool check)
{
	struct bench_timer warm = {0}, t = {.series = bench_series_new(row)};
	size_t nr = frames / 2;
	bench_block *live = bench_array(nr * sizeof(*live));
	uint64_t rng = o->seed;
	struct ba a;
	bool ok = open_space(&a, frames, 1, check);

	ba_thread(&a, 0);
	ok = ok && get_all(&a, live, nr, NULL, check);
	ok = ok && churn_steps(&a, live, nr, o->operations, &rng, &warm, check);
	ok = ok && churn_steps(&a, live, nr, o->operations, &rng, &t, check);
	ok = ok && free_all(&a, live, nr, NULL, check) && close_space(&a, check);
	bench_array_free(live, nr * sizeof(*live));
	finish(t.series);
	return ok;
}

INLINE bool churn50(const struct bench_options *o, const bool check)
{
	return churn(o, "churn50", o->frames_small, check);
}

INLINE bool churn50_64g(const struct bench_options *o, const bool check)
{
	return churn(o, "churn50_64g", o->frames_big, check);
}

/* ---- refusal: blocks of order 8 everywhere, every second one free, so that half is free and nothing of order 9 ---- */

#define FAIL_ORDER 9u

INLINE size_t fragment(struct ba *a, size_t frames, bench_block *kept, const bool check)
{
	size_t nr = frames >> (FAIL_ORDER - 1), nr_kept = 0;

	for (size_t i = 0; i < nr; i++)
		if (!take(a, FAIL_ORDER - 1, &kept[i], check))
			return 0;
	for (size_t i = 0; i < nr; i++) {
		if ((kept[i] >> (FAIL_ORDER - 1) & 1u) != 0)
			kept[nr_kept++] = kept[i];
		else if (!give(a, kept[i], FAIL_ORDER - 1, check))
			return 0;
	}
	return nr_kept;
}

static bool fail_steps(struct ba *a, size_t nr, unsigned order, struct bench_timer *t)
{
	uint64_t deadline = bench_now() + PHASE_NS;
	bench_block block;

	for (size_t done = 0; done + BENCH_CHUNK_LARGE <= nr && bench_now() < deadline; done += BENCH_CHUNK_LARGE) {
		bench_chunk_begin(t);
		for (unsigned i = 0; i < BENCH_CHUNK_LARGE; i++)
			if (ba_alloc(a, order, &block))
				return bench_fail("o9_fail_64g", "block %#zx of order %u cannot be free",
				                  (size_t)block, order);
		bench_chunk_end(t, BENCH_CHUNK_LARGE);
	}
	return true;
}

INLINE bool o9_fail_64g(const struct bench_options *o, const bool check)
{
	struct bench_timer warm = {0}, t9 = {.series = bench_series_new("o9_fail_64g")};
	struct bench_timer t10 = {.series = bench_series_new("o10_fail_64g")};
	size_t bytes = (o->frames_big >> (FAIL_ORDER - 1)) * sizeof(bench_block), nr_kept;
	bench_block *kept = bench_array(bytes);
	struct ba a;
	bool ok = open_space(&a, o->frames_big, 1, check);

	ba_thread(&a, 0);
	nr_kept = ok ? fragment(&a, o->frames_big, kept, check) : 0;
	ok = ok && (nr_kept == o->frames_big >> FAIL_ORDER || bench_fail("o9_fail_64g", "the space could not be filled"));
	ok = ok && fail_steps(&a, BENCH_CHUNK_LARGE, FAIL_ORDER, &warm);
	ok = ok && fail_steps(&a, o->operations, FAIL_ORDER, &t9);
	ok = ok && fail_steps(&a, o->operations, FAIL_ORDER + 1, &t10);
	for (size_t i = 0; ok && i < nr_kept; i++)
		ok = give(&a, kept[i], FAIL_ORDER - 1, check);
	ok = ok && close_space(&a, check);
	bench_array_free(kept, bytes);
	finish(t9.series);
	finish(t10.series);
	return ok;
}

/* ---- set-up -------------------------------------------------------------------------------------------------------- */

INLINE bool init_64g(const struct bench_options *o, const bool check)
{
	struct bench_series *ms = bench_series_new("init_64g_ms");
	struct bench_series *meta = bench_series_new("meta_bytes_per_frame");
	bool ok = true;

	for (unsigned i = 0; ok && i < 9; i++) {
		struct ba a;
		ok = open_space(&a, o->frames_big, 1, check);
		if (ok) {
			bench_series_add(ms, a.init_ns / 1e6, 0);
			bench_series_add(meta, a.meta_bytes / (double)o->frames_big, 0);
			ok = close_space(&a, check);
		}
	}
	finish(ms);
	finish(meta);
	return ok;
}

/* ---- threads: all workers go through the same phases; a failed one goes on without doing anything ------------------ */

#define PHASES 64u

struct worker {
	struct team *team;
	unsigned self, phase;
	bool ok;
	uint64_t rng;
	bench_block *blocks; /* its share */
	uint8_t *orders;     /* mixed only */
	struct bench_series *series[4];
};

struct team {
	const struct bench_options *o;
	struct ba a;
	unsigned nr;
	size_t share;
	_Atomic bool failed;
	_Atomic unsigned arrived[PHASES], finished[PHASES];
	struct worker workers[BENCH_THREADS];
};

/* All workers begin a phase within nanoseconds: each has a cpu of its own. */
static bool phase_begin(struct worker *w)
{
	struct team *team = w->team;

	if (!w->ok)
		atomic_store(&team->failed, true);
	atomic_fetch_add(&team->arrived[w->phase], 1u);
	for (unsigned spins = 0; atomic_load(&team->arrived[w->phase]) != team->nr; spins++)
		if (spins % 4096 == 4095)
			nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
	w->phase++;
	return w->ok && !atomic_load(&team->failed);
}

static struct bench_timer phase_timer(struct worker *w, unsigned series)
{
	return (struct bench_timer){.series = w->series[series], .finished = &w->team->finished[w->phase - 1]};
}

static void phase_end(struct worker *w)
{
	atomic_fetch_add(&w->team->finished[w->phase - 1], 1u);
}

/* One phase of all workers: op is an expression that works with the timer t. */
#define PHASE(w, which, op)                                                                                         \
	do {                                                                                                        \
		bool go = phase_begin(w);                                                                           \
		struct bench_timer t = phase_timer(w, which);                                                       \
		(w)->ok = (w)->ok && (!go || (op));                                                                 \
		phase_end(w);                                                                                       \
	} while (0)

INLINE bool bulk_worker(struct worker *w, const bool check)
{
	struct team *team = w->team;
	struct ba *a = &team->a;
	const bench_block *others = team->workers[(w->self + 1) % team->nr].blocks;
	size_t nr = team->share;
	unsigned rounds = team->o->rounds;

	ba_thread(a, w->self);
	PHASE(w, 0, ((void)t, get_all(a, w->blocks, nr, NULL, check)));
	PHASE(w, 0, ((void)t, free_all(a, w->blocks, nr, NULL, check)));
	for (unsigned round = 0; round < rounds; round++) {
		PHASE(w, 0, get_all(a, w->blocks, nr, &t, check));
		PHASE(w, 1, free_all(a, w->blocks, nr, &t, check));
	}
	for (unsigned round = 0; round < rounds; round++) {
		PHASE(w, 0, ((void)t, get_all(a, w->blocks, nr, NULL, check)));
		PHASE(w, 2, free_all(a, others, nr, &t, check));
	}
	for (unsigned round = 0; round < rounds; round++) {
		PHASE(w, 0, ((void)t, get_all(a, w->blocks, nr, NULL, check)));
		bench_shuffle(w->blocks, nr, &w->rng);
		PHASE(w, 3, free_all(a, w->blocks, nr, &t, check));
	}
	PHASE(w, 0, ((void)t, true)); /* so that a late failure is everybody's */
	return w->ok;
}

/* Fills the worker's share of 45 % with blocks of uniform orders. Returns how many, 0 on failure. */
INLINE size_t mixed_fill(struct worker *w, size_t frames, const bool check)
{
	size_t nr = 0;

	for (;;) {
		unsigned order = (unsigned)bench_below(&w->rng, 10);
		if (frames < (size_t)1 << order)
			return nr;
		if (!take(&w->team->a, order, &w->blocks[nr], check))
			return 0;
		w->orders[nr++] = (uint8_t)order;
		frames -= (size_t)1 << order;
	}
}

INLINE bool mixed_steps(struct worker *w, size_t nr, struct bench_timer *t, const bool check)
{
	uint64_t deadline = bench_now() + PHASE_NS, rng = w->rng;
	size_t steps = w->team->o->operations / 4;
	struct ba *a = &w->team->a;

	for (size_t done = 0; done + BENCH_CHUNK_LARGE <= steps && bench_now() < deadline; done += BENCH_CHUNK_LARGE) {
		bench_chunk_begin(t);
		for (unsigned i = 0; i < BENCH_CHUNK_LARGE; i++) {
			size_t victim = bench_below(&rng, nr);
			unsigned order = (unsigned)bench_below(&rng, 10);
			if (!give(a, w->blocks[victim], w->orders[victim], check))
				return false;
			opaque(&w->blocks[victim]);
			if (!take(a, order, &w->blocks[victim], check))
				return false;
			w->orders[victim] = (uint8_t)order;
		}
		bench_chunk_end(t, BENCH_CHUNK_LARGE);
	}
	return true;
}

INLINE bool mixed_worker(struct worker *w, const bool check)
{
	struct team *team = w->team;
	size_t nr = 0;

	ba_thread(&team->a, w->self);
	PHASE(w, 0, ((void)t, (nr = mixed_fill(w, team->share, check)) != 0));
	PHASE(w, 0, mixed_steps(w, nr, &t, check));
	PHASE(w, 0, ((void)t, true));
	for (size_t i = 0; w->ok && i < nr; i++)
		w->ok = give(&team->a, w->blocks[i], w->orders[i], check);
	return w->ok;
}

static bool bulk_timed(void *w)
{
	return bulk_worker(w, false);
}
static bool bulk_checked(void *w)
{
	return bulk_worker(w, true);
}
static bool mixed_timed(void *w)
{
	return mixed_worker(w, false);
}
static bool mixed_checked(void *w)
{
	return mixed_worker(w, true);
}

static bool run_team(const struct bench_options *o, unsigned nr, size_t share, const char *const rows[],
                     bool (*fn)(void *), bool check)
{
	struct team *team = bench_array(sizeof(*team));
	size_t bytes = share * sizeof(bench_block);
	bool ok = open_space(&team->a, o->frames_small, nr, check);

	team->o = o;
	team->nr = nr;
	team->share = share;
	for (unsigned i = 0; i < nr; i++) {
		struct worker *w = &team->workers[i];
		*w = (struct worker){.team = team, .self = i, .ok = ok, .rng = o->seed + i};
		w->blocks = bench_array(bytes);
		w->orders = bench_array(share);
		for (unsigned s = 0; s < 4 && rows[s] != NULL; s++)
			w->series[s] = bench_series_new(rows[s]);
	}
	ok = ok && bench_threads(nr, fn, team->workers, sizeof(team->workers[0]));
	ok = ok && close_space(&team->a, check);
	for (unsigned i = 0; i < nr; i++) {
		struct worker *w = &team->workers[i];
		for (unsigned s = 0; s < 4 && rows[s] != NULL; s++)
			finish(w->series[s]);
		bench_array_free(w->blocks, bytes);
		bench_array_free(w->orders, share);
	}
	bench_array_free(team, sizeof(*team));
	return ok;
}

INLINE bool t2_bulk(const struct bench_options *o, const bool check)
{
	static const char *const rows[4] = {"t2_get", "t2_free", "t2_cross_free", "t2_random_free"};
	return run_team(o, 2, o->frames_small / 2 / 2, rows, check ? bulk_checked : bulk_timed, check);
}

INLINE bool mixed_t1(const struct bench_options *o, const bool check)
{
	static const char *const rows[4] = {"mixed_t1"};
	return run_team(o, 1, o->frames_small * 45 / 100, rows, check ? mixed_checked : mixed_timed, check);
}

INLINE bool mixed_t2(const struct bench_options *o, const bool check)
{
	static const char *const rows[4] = {"mixed_t2"};
	return run_team(o, 2, o->frames_small * 45 / 100 / 2, rows, check ? mixed_checked : mixed_timed, check);
}

/* ---- instruction counts: what differs between two counts of n is n operations, nothing is closed ------------------- */

#define INSTR_SPACE 65536u /* blocks taken where a workload needs many; n must be at most that */

static bool instr_pairs(const struct bench_options *o, unsigned order, size_t n)
{
	bench_block block = 0;
	struct ba a;

	if (!ba_open(&a, o->frames_small, 1, true))
		return false;
	ba_thread(&a, 0);
	for (size_t i = 0; i < n; i++) {
		if (!ba_alloc(&a, order, &block))
			return false;
		opaque(&block);
		if (!ba_free(&a, block, order))
			return false;
	}
	return true;
}

static bool instr_o0_hot_pair(const struct bench_options *o, size_t n)
{
	return instr_pairs(o, 0, n);
}

static bool instr_o9_hot_pair(const struct bench_options *o, size_t n)
{
	return instr_pairs(o, 9, n);
}

/* All of INSTR_SPACE taken and freed once, then: taken gets, freed frees; shuffled in between if asked. */
static bool instr_bulk(const struct bench_options *o, size_t gets, size_t frees, bool shuffle)
{
	bench_block *blocks = bench_array(INSTR_SPACE * sizeof(*blocks));
	uint64_t rng = o->seed;
	struct ba a;

	if (gets > INSTR_SPACE || frees > gets || !ba_open(&a, o->frames_small, 1, true))
		return false;
	ba_thread(&a, 0);
	if (!get_all(&a, blocks, INSTR_SPACE, NULL, false) || !free_all(&a, blocks, INSTR_SPACE, NULL, false) ||
	    !get_all(&a, blocks, gets, NULL, false))
		return false;
	if (shuffle)
		bench_shuffle(blocks, gets, &rng);
	return free_all(&a, blocks, frees, NULL, false);
}

static bool instr_o0_bulk_get(const struct bench_options *o, size_t n)
{
	return instr_bulk(o, n, 0, false);
}

static bool instr_o0_bulk_free(const struct bench_options *o, size_t n)
{
	return instr_bulk(o, INSTR_SPACE, n, false);
}

static bool instr_o0_random_free(const struct bench_options *o, size_t n)
{
	return instr_bulk(o, INSTR_SPACE, n, true);
}

static bool instr_churn50(const struct bench_options *o, size_t n)
{
	bench_block *live = bench_array(INSTR_SPACE * sizeof(*live));
	uint64_t rng = o->seed;
	struct ba a;

	if (!ba_open(&a, INSTR_SPACE * 2, 1, true))
		return false;
	ba_thread(&a, 0);
	if (!get_all(&a, live, INSTR_SPACE, NULL, false))
		return false;
	for (size_t i = 0; i < n; i++) {
		bench_block *slot = &live[bench_below(&rng, INSTR_SPACE)];
		if (!ba_free(&a, *slot, 0) || !ba_alloc(&a, 0, slot))
			return false;
	}
	return true;
}

static bool instr_o9_fail_64g(const struct bench_options *o, size_t n)
{
	bench_block *kept = bench_array((o->frames_big >> (FAIL_ORDER - 1)) * sizeof(*kept)), block;
	struct ba a;

	if (!ba_open(&a, o->frames_big, 1, true))
		return false;
	ba_thread(&a, 0);
	if (fragment(&a, o->frames_big, kept, false) == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ba_alloc(&a, FAIL_ORDER, &block))
			return false;
	return true;
}

/* ---- tables -------------------------------------------------------------------------------------------------------- */

#define CORE_WORKLOADS(X)                                                                                           \
	X(o0_hot_pair, "o0_hot_pair", 0u)                                                                           \
	X(o9_hot_pair, "o9_hot_pair", 0u)                                                                           \
	X(o0_bulk, "o0_bulk_get o0_bulk_free o0_random_free", 0u)                                                   \
	X(churn50, "churn50", 0u)                                                                                   \
	X(mixed_t1, "mixed_t1", BENCH_NEEDS_ORDERS)                                                                 \
	X(mixed_t2, "mixed_t2", BENCH_NEEDS_ORDERS | BENCH_NEEDS_2CPUS)                                             \
	X(t2_bulk, "t2_get t2_free t2_cross_free t2_random_free", BENCH_NEEDS_2CPUS)                                \
	X(o0_random_free_64g, "o0_random_free_64g", BENCH_NEEDS_PFNS)                                               \
	X(churn50_64g, "churn50_64g", BENCH_NEEDS_PFNS)                                                             \
	X(o9_fail_64g, "o9_fail_64g o10_fail_64g", BENCH_NEEDS_PFNS | BENCH_NEEDS_ORDERS | BENCH_NEEDS_LIMIT)       \
	X(init_64g, "init_64g_ms meta_bytes_per_frame", BENCH_NEEDS_PFNS | BENCH_NEEDS_META)

#define X(name, rows, needs)                                                                                        \
	static bool name##_timed(const struct bench_options *o)                                                     \
	{                                                                                                           \
		return name(o, false);                                                                              \
	}                                                                                                           \
	static bool name##_checked(const struct bench_options *o)                                                   \
	{                                                                                                           \
		return name(o, true);                                                                               \
	}
CORE_WORKLOADS(X)
#undef X

static const struct bench_workload workloads[] = {
#define X(name, rows, needs) {#name, rows, needs, name##_timed, name##_checked},
	CORE_WORKLOADS(X)
#undef X
};

static const struct bench_instr instrs[] = {
	{"o0_hot_pair", 0, instr_o0_hot_pair},
	{"o0_bulk_get", 0, instr_o0_bulk_get},
	{"o0_bulk_free", 0, instr_o0_bulk_free},
	{"o0_random_free", 0, instr_o0_random_free},
	{"churn50", 0, instr_churn50},
	{"o9_hot_pair", 0, instr_o9_hot_pair},
	{"o9_fail_64g", BENCH_NEEDS_PFNS | BENCH_NEEDS_ORDERS | BENCH_NEEDS_LIMIT, instr_o9_fail_64g},
};

const struct bench_area bench_area_core = {
	.name = "core",
	.workloads = workloads,
	.instrs = instrs,
	.nr_workloads = sizeof(workloads) / sizeof(workloads[0]),
	.nr_instrs = sizeof(instrs) / sizeof(instrs[0]),
};
