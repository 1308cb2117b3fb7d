/* SPDX-License-Identifier: MIT
 *
 * Hardening level 3: what is written after the free is found, freed blocks stay in quarantine, nobody guesses the next
 * frame, guard frames.
 */
#include "unit.h"

#include <pfa/harden.h>

#include <stdlib.h>
#include <string.h>

enum { FRAMES = 4096 };
static pfa_pfn pfns[1 << 15];

static void base(struct rig *rig, size_t frames, enum pfa_poison poison, uint32_t quarantine)
{
	rig_init(rig);
	rig_zone(rig, 0, frames);
	rig->cfg.hardening = 3;
	rig->cfg.flags = PFA_CONFIG_NO_SHADOW; /* uses after free are what this is about */
	rig->cfg.poison = poison;
	rig->cfg.quarantine = quarantine;
	rig->pool_kind = poison == PFA_POISON_NONE ? RIG_POOL_DEFAULT : RIG_POOL_CONTENT;
}

static unsigned char *frame(struct rig *rig, pfa_pfn pfn)
{
	return (unsigned char *)rig->pool + (pfn << rig->cfg.frame_shift);
}

/* Takes what can be had. *nr_found: blocks that were refused because of their content; they were told, and are bad. */
static size_t take_all(struct rig *rig, unsigned order, uint32_t flags, size_t *nr_found)
{
	size_t nr = 0;
	*nr_found = 0;
	for (;;) {
		const unsigned before = rig->fault.nr;
		pfa_pfn pfn;
		int err = pfa_alloc(rig->pfa, order, flags, &pfn);
		if (err == PFA_ENOMEM)
			return nr;
		if (err == PFA_OK) {
			MUST(nr < sizeof(pfns) / sizeof(pfns[0]));
			pfns[nr++] = pfn;
			continue;
		}
		rig_expect("pfa_alloc", PFA_ECORRUPT, err, __FILE__, __LINE__);
		++*nr_found;
		assert_int_equal(rig->fault.nr, before + 1);
		assert_int_equal(rig->fault.kind, PFA_FAULT_WRITTEN_AFTER_FREE);
		assert_int_equal(rig->fault.code, PFA_ECORRUPT);
		assert_string_equal(rig->fault.function, "pfa_alloc");
		assert_int_equal(rig_info(rig, rig->fault.pfn).state, PFA_FRAME_BAD);
		MUST_EQ(pfa_free(rig->pfa, rig->fault.pfn, order), PFA_EMISUSE);
		assert_int_equal(rig->fault.kind, PFA_FAULT_BAD);
	}
}

/* All frames were somebody's once, with some content, and are free again. */
static void use_all(struct rig *rig, unsigned order)
{
	size_t found, nr = take_all(rig, order, PFA_MOVABLE, &found);
	assert_int_equal(found, 0);
	for (size_t i = 0; i < nr; i++) {
		memset(frame(rig, pfns[i]), 0x5A, (size_t)1 << order << rig->cfg.frame_shift);
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[i], order);
	}
	rig_check(rig);
}

static void give_back(struct rig *rig, size_t nr, unsigned order)
{
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig->pfa, pfns[i], order);
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

/* One byte, at every place, and bit by bit: found, and the zone goes on without that block. */
static void test_every_byte(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 3; order++) {
		for (unsigned zero = 0; zero < 2; zero++) {
			struct rig rig;
			size_t found;
			base(&rig, FRAMES, zero ? PFA_POISON_ZERO : PFA_POISON_ALL, 8);
			rig.cfg.frame_shift = 9;
			rig_start(&rig);
			use_all(&rig, order);
			const size_t blocks = FRAMES >> order, bytes = (size_t)512 << order;
			size_t spoilt = 0;
			for (size_t i = 0; i < bytes && i < blocks; i++, spoilt++) /* one block each */
				frame(&rig, i << order)[order ? (i * 7) % bytes : i] ^= (unsigned char)(1u << i % 8);
			size_t nr = take_all(&rig, order, PFA_MOVABLE | (zero ? PFA_ZERO : 0), &found);
			assert_int_equal(found, spoilt);
			assert_int_equal(nr, blocks - spoilt);
			assert_int_equal(rig_stats(&rig, 0).bad, spoilt << order);
			assert_int_equal(rig_events(&rig).nr_corrupt, spoilt);
			rig_check(&rig);
			give_back(&rig, nr, order);
			rig_stop(&rig);
		}
	}
}

/* A line of a frame of 4 KiB is one in 64: as many single bytes are found, and every frame that was written to wholly. */
static void test_lines(void **state)
{
	(void)state;
	static const enum pfa_poison poisons[] = {PFA_POISON_LINES, PFA_POISON_ZERO};
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned whole = 0; whole < 2; whole++) {
			struct rig rig;
			struct rng rng = {i};
			size_t found;
			base(&rig, FRAMES, poisons[i], 8);
			rig.cfg.frame_shift = 12;
			rig_start(&rig);
			use_all(&rig, 0);
			for (pfa_pfn pfn = 0; pfn < FRAMES; pfn++) {
				if (whole)
					memset(frame(&rig, pfn), 0x11, 4096);
				else
					frame(&rig, pfn)[rng_below(&rng, 4096)] ^= 0xFF;
			}
			(void)take_all(&rig, 0, PFA_MOVABLE, &found);
			if (whole)
				assert_int_equal(found, FRAMES);
			else /* 64 expected; six standard deviations */
				assert_true(found > 64 - 48 && found < 64 + 48);
			printf("%s, %s: %zu of %d frames found\n", i ? "ZERO" : "LINES", whole ? "whole frames" : "single bytes", found,
			       FRAMES);
			rig_check(&rig);
			rig_drop(&rig);
		}
	}
}

/* Blocks of many frames, and frames larger than 4 KiB, have as many lines: each is where the key says. */
static void test_lines_of_large_frames(void **state)
{
	(void)state;
	struct rig rig;
	size_t found;
	static unsigned char pool[64 << 14] __attribute__((aligned(1 << 14)));
	base(&rig, 64, PFA_POISON_LINES, 1);
	rig.cfg.frame_shift = 14;
	rig.cfg.pool = pool;
	rig.cfg.pool_bytes = sizeof(pool);
	rig_start(&rig);
	rig.pool = pool;
	use_all(&rig, 2);
	for (unsigned i = 0; i < 16; i++) /* a quarter of a frame of a block, each another one */
		memset(frame(&rig, 4 * i + i % 4) + 4096 * (i / 4), 0, 4096);
	assert_int_equal(take_all(&rig, 2, PFA_MOVABLE, &found), 0);
	assert_int_equal(found, 16);
	rig.pool = NULL; /* not the rig's to unmap */
	rig_drop(&rig);
}

/* PFA_ZERO is served from what was zeroed at the free, in every form, and never from poison. */
static void test_zero(void **state)
{
	(void)state;
	for (int poison = PFA_POISON_LINES; poison <= PFA_POISON_ZERO; poison++) {
		struct rig rig;
		pfa_pfn pfn;
		size_t nr;
		base(&rig, FRAMES, (enum pfa_poison)poison, 16);
		rig_start(&rig);
		use_all(&rig, 0);
		EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
		assert_int_equal(rig_info(&rig, 5).known_zero, poison == PFA_POISON_ZERO);
		for (unsigned round = 0; round < 3; round++) {
			const size_t before = rig_events(&rig).nr_zeroed;
			EXPECT(pfa_alloc_exact, PFA_OK, rig.pfa, 37, 3, PFA_ZERO, &pfn);
			for (size_t i = 0; i < 37 * 64; i++)
				assert_int_equal(frame(&rig, pfn)[i], 0);
			memset(frame(&rig, pfn), 1, 37 * 64);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, 37);
			EXPECT(pfa_alloc_bulk, PFA_OK, rig.pfa, 2, PFA_ZERO, 100, pfns, &nr);
			for (size_t i = 0; i < 100 * 256; i++)
				assert_int_equal(frame(&rig, pfns[i / 256])[i % 256], 0);
			for (size_t i = 0; i < 100; i++)
				memset(frame(&rig, pfns[i]), 2, 256);
			EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, 2, 100, pfns, &nr);
			EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 5, PFA_ZERO, ((struct pfa_run){0, FRAMES}), &pfn);
			for (size_t i = 0; i < 32 * 64; i++)
				assert_int_equal(frame(&rig, pfn)[i], 0);
			memset(frame(&rig, pfn), 3, 32 * 64);
			EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, 5, 1);
			for (pfa_pfn at = pfn; at < pfn + 32; at += 2)
				EXPECT(pfa_free, PFA_OK, rig.pfa, at, 1);
			const size_t zeroed = rig_events(&rig).nr_zeroed - before;
			assert_int_equal(zeroed, poison == PFA_POISON_ZERO ? 0 : 37 + 400 + 32);
			rig_check(&rig);
		}
		assert_int_equal(rig.fault.nr, 0);
		rig_stop(&rig);
	}
}

/* Fresh frames were never anybody's: nothing is known of them, and nothing is told. */
static void test_fresh_frames(void **state)
{
	(void)state;
	for (int poison = PFA_POISON_LINES; poison <= PFA_POISON_ZERO; poison++) {
		struct rig rig;
		size_t found;
		base(&rig, FRAMES, (enum pfa_poison)poison, 16);
		rig_start(&rig);
		memset(rig.pool, 0x77, rig.pool_bytes);
		assert_int_equal(take_all(&rig, 0, PFA_ZERO, &found), FRAMES);
		assert_int_equal(found, 0);
		for (size_t i = 0; i < rig.pool_bytes; i++)
			MUST_EQ(((unsigned char *)rig.pool)[i], 0);
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, FRAMES);
		rig_stop(&rig);
	}
}

/* ---- quarantine ---------------------------------------------------------------------------------------------------- */

static enum pfa_frame_state state_of(struct rig *rig, pfa_pfn pfn)
{
	return rig_info(rig, pfn).state;
}

/* A block leaves after at least as many further frees on its cpu, of any order and in any form, and at most 32 or half of
 * them more. */
static void test_distance(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {1, 2, 7, 64};
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const uint32_t length = lengths[i];
		struct rig rig;
		pfa_pfn pfn, other;
		size_t nr, frames = 0;
		base(&rig, FRAMES, PFA_POISON_NONE, length);
		rig.cfg.nr_cpus = 2;
		rig_start(&rig);
		for (unsigned order = 0; order <= 8; order += 4) {
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, order, PFA_MOVABLE, &pfn);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
			frames = (size_t)1 << order;
			const uint32_t most = length + (length < 2 ? 0 : length / 2 - 1);
			for (uint32_t k = 0; k < most; k++) {
				if (k < length) {
					assert_int_equal(state_of(&rig, pfn), PFA_FRAME_QUARANTINE);
					assert_int_equal(rig_info(&rig, pfn).order, order);
					assert_int_equal(rig_stats(&rig, 0).quarantined, frames);
				}
				if (rig_cpu_way != RIG_CPU_NONE) { /* the other cpu's frees do not count */
					rig.cpu = 1;
					EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &other);
					EXPECT(pfa_free, PFA_OK, rig.pfa, other, 0);
					rig.cpu = 0;
					EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 1);
				}
				const unsigned small = k % 3;
				EXPECT(pfa_alloc, PFA_OK, rig.pfa, small, PFA_UNMOVABLE, &other);
				switch (k % 3) {
				case 0: EXPECT(pfa_free, PFA_OK, rig.pfa, other, small); break;
				case 1: EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, small, 1, &other, &nr); break;
				default: EXPECT(pfa_free_range, PFA_OK, rig.pfa, other, (size_t)1 << small);
				}
				frames += (size_t)1 << small;
				rig_check(&rig);
			}
			assert_int_not_equal(state_of(&rig, pfn), PFA_FRAME_QUARANTINE);
			if (most == length)
				assert_int_equal(rig_stats(&rig, 0).quarantined, frames - ((size_t)1 << order));
		}
		rig_stop(&rig);
	}
}

/* Random work: nothing comes back sooner, as long as nothing drains. */
static void test_nothing_comes_back_sooner(void **state)
{
	(void)state;
	static size_t freed_at[FRAMES]; /* number of the free, from 1 */
	struct rig rig;
	struct rng rng = {3};
	size_t nr = 0, frees = 0;
	base(&rig, FRAMES, PFA_POISON_NONE, 40);
	rig_start(&rig);
	memset(freed_at, 0, sizeof(freed_at));
	for (unsigned step = 0; step < 40000; step++) {
		if (nr && (nr > 500 || rng_one_in(&rng, 2))) {
			size_t i = rng_below(&rng, nr);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], 0);
			freed_at[pfns[i]] = ++frees;
			pfns[i] = pfns[--nr];
			continue;
		}
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfns[nr]);
		assert_true(!freed_at[pfns[nr]] || frees - freed_at[pfns[nr]] >= 40);
		nr++;
	}
	assert_int_equal(rig_events(&rig).nr_drain, 0);
	give_back(&rig, nr, 0);
	rig_stop(&rig);
}

/* No request fails while something is in quarantine, wherever; and NORETRY says that this may be why. */
static void test_flushed_before_failing(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 8; order += 2) {
		struct rig rig;
		size_t found, nr;
		pfa_pfn pfn;
		base(&rig, FRAMES, PFA_POISON_NONE, 65536);
		rig.cfg.nr_cpus = 3;
		rig.cfg.cache_high = order % 4 ? PFA_EXPLICIT_0 : 4;
		rig_start(&rig);
		nr = take_all(&rig, order, PFA_MOVABLE, &found);
		assert_int_equal(nr, FRAMES >> order);
		for (size_t i = 0; i < nr; i++) {
			rig.cpu = (uint32_t)(i % 3);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], order);
		}
		assert_int_equal(rig_stats(&rig, 0).quarantined, FRAMES);
		rig_check(&rig);
		EXPECT(pfa_alloc, PFA_EAGAIN, rig.pfa, order, PFA_MOVABLE | PFA_NORETRY, &pfn);
		EXPECT(pfa_would_succeed, PFA_ENOMEM, rig.pfa, order, PFA_MOVABLE);
		rig.cpu = 0;
		if (rig_cpu_way != RIG_CPU_NONE) { /* its own quarantine is given up without waiting for anybody */
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE | PFA_NOWAIT, &pfn);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
			EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
		}
		assert_int_equal(take_all(&rig, order, PFA_MOVABLE, &found), FRAMES >> order);
		assert_int_equal(rig_stats(&rig, 0).quarantined, 0);
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, 0, FRAMES);
		assert_int_equal(rig_stats(&rig, 0).quarantined, FRAMES);
		rig_stop(&rig); /* fini empties it */
	}
}

static void test_emptied_on_demand(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn, far;
	base(&rig, FRAMES, PFA_POISON_NONE, 64);
	rig_start(&rig);
	/* drain */
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, 0);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_FREE);
	/* purge: the blocks of that pageblock, and no others */
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){640, 64}), &pfn);
	EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 2, PFA_MOVABLE, ((struct pfa_run){704, 64}), &far);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 2);
	EXPECT(pfa_free, PFA_OK, rig.pfa, far, 2);
	EXPECT(pfa_cache_purge, PFA_OK, rig.pfa, 640);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_FREE);
	assert_int_equal(state_of(&rig, far), PFA_FRAME_QUARANTINE);
	assert_int_equal(rig_stats(&rig, 0).quarantined, 4);
	rig_check(&rig);
	/* disable: stays empty until enabled */
	EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
	assert_int_equal(rig_stats(&rig, 0).quarantined, 0);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_FREE);
	EXPECT(pfa_cache_enable, PFA_OK, rig.pfa);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 8, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 8);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_QUARANTINE);
	/* service: the cpu did nothing for a while */
	rig.now_ns = 1;
	EXPECT(pfa_service, PFA_OK, rig.pfa, 1, NULL);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_QUARANTINE);
	rig.now_ns += PFA_SERVICE_IDLE_NS;
	EXPECT(pfa_service, PFA_OK, rig.pfa, 1, NULL);
	assert_int_equal(state_of(&rig, pfn), PFA_FRAME_FREE);
	rig_check(&rig);
	rig_stop(&rig);
}

/* A second free is refused by what the byte says, and moves nothing. */
static void test_double_free(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, FRAMES, PFA_POISON_NONE, 64);
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 3, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn, 3);
	assert_int_equal(rig.fault.kind, PFA_FAULT_DOUBLE_FREE_QUARANTINED);
	EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, pfn + 1, 0);
	assert_int_equal(rig.fault.kind, PFA_FAULT_TAIL);
	EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, pfn, 8);
	EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, pfn, 3, 0);
	assert_int_equal(rig_stats(&rig, 0).quarantined, 8);
	rig_check(&rig);
	rig_stop(&rig);
}

/* ---- the next frame ------------------------------------------------------------------------------------------------ */

/* Guesses at the next grant, made before it by who sees every grant and free so far. */
enum { GUESS_LAST_FREED, GUESS_NEXT_TO_LAST_GRANT, GUESS_FREED_QUARANTINE_AGO, GUESS_MOST_FREQUENT, GUESS_LOWEST_FREE, GUESSES };
static const char *const guess_names[GUESSES] = {"last freed", "beside the last grant", "leaving the quarantine",
                                                 "most frequent", "lowest free"};

struct game {
	struct rig rig;
	unsigned char *taken; /* by pfn */
	unsigned *grants;     /* of each pfn */
	pfa_pfn freed[1 << 12]; /* ring of frees */
	size_t nr_freed;
	pfa_pfn last_grant, favourite, lowest;
	size_t won[GUESSES], played;
};

static pfa_pfn guess(struct game *g, unsigned strategy, size_t frames)
{
	const size_t mask = sizeof(g->freed) / sizeof(g->freed[0]) - 1;
	switch (strategy) {
	case GUESS_LAST_FREED: return g->nr_freed ? g->freed[(g->nr_freed - 1) & mask] : 0;
	case GUESS_NEXT_TO_LAST_GRANT: return (g->last_grant + 1) % frames;
	case GUESS_FREED_QUARANTINE_AGO: return g->nr_freed > 65 ? g->freed[(g->nr_freed - 65) & mask] : 0;
	case GUESS_MOST_FREQUENT: return g->favourite;
	default:
		while (g->lowest < frames && g->taken[g->lowest])
			g->lowest++;
		return g->lowest;
	}
}

static void game_grant(struct game *g, size_t frames)
{
	pfa_pfn guesses[GUESSES], pfn;
	for (unsigned s = 0; s < GUESSES; s++)
		guesses[s] = guess(g, s, frames);
	EXPECT(pfa_alloc, PFA_OK, g->rig.pfa, 0, PFA_MOVABLE, &pfn);
	for (unsigned s = 0; s < GUESSES; s++)
		g->won[s] += guesses[s] == pfn;
	g->played++;
	g->taken[pfn] = 1;
	g->last_grant = pfn;
	if (++g->grants[pfn] > g->grants[g->favourite])
		g->favourite = pfn;
}

static void game_free(struct game *g, pfa_pfn pfn)
{
	EXPECT(pfa_free, PFA_OK, g->rig.pfa, pfn, 0);
	g->freed[g->nr_freed++ & (sizeof(g->freed) / sizeof(g->freed[0]) - 1)] = pfn;
	g->taken[pfn] = 0;
	if (pfn < g->lowest)
		g->lowest = pfn;
}

/* At most one guess in 256 is right, whatever the strategy, on a nearly empty zone and on one that is half full. */
static void test_guesses(void **state)
{
	(void)state;
	static struct game g;
	static const size_t sizes[] = {16384, 40000};
	for (unsigned i = 0; i < 4; i++) {
		const size_t frames = sizes[i / 2], live = i % 2 ? frames / 2 : 100, rounds = 200000;
		struct rng rng = {i};
		memset(&g, 0, sizeof(g));
		base(&g.rig, frames, PFA_POISON_NONE, i ? 0 : PFA_EXPLICIT_0);
		if (i)
			g.rig.cfg.quarantine = 64;
		rig_start(&g.rig);
		g.taken = calloc(frames + 1, 1);
		g.grants = calloc(frames, sizeof(*g.grants));
		for (size_t k = 0; k < live; k++) {
			game_grant(&g, frames);
			pfns[k] = g.last_grant;
		}
		memset(g.won, 0, sizeof(g.won));
		g.played = 0;
		for (size_t k = 0; k < rounds; k++) {
			const size_t victim = k % 1000 < 500 ? k % live : rng_below(&rng, live);
			game_free(&g, pfns[victim]);
			game_grant(&g, frames);
			pfns[victim] = g.last_grant;
		}
		for (unsigned s = 0; s < GUESSES; s++) {
			printf("%zu frames, %zu live: %s: %zu of %zu guesses right\n", frames, live, guess_names[s], g.won[s], g.played);
			assert_true(g.won[s] * 256 <= g.played);
		}
		rig_check(&g.rig);
		rig_drop(&g.rig);
		free(g.taken);
		free(g.grants);
	}
}

/* Equal seeds, equal choices; another seed or the platform's random numbers, other choices. */
static uint64_t random_op(void *ctx)
{
	return ((struct rig *)ctx)->now_ns += 77;
}

static void test_seeds(void **state)
{
	(void)state;
	pfa_pfn first[4][100];
	for (unsigned i = 0; i < 4; i++) {
		struct rig rig;
		base(&rig, 16384, PFA_POISON_NONE, 4);
		rig.cfg.seed = i < 2 ? 5 : i < 3 ? 6 : 5;
		rig.os.random = i < 3 ? NULL : random_op;
		rig_start(&rig);
		for (unsigned k = 0; k < 100; k++)
			EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &first[i][k]);
		rig_drop(&rig);
	}
	assert_memory_equal(first[0], first[1], sizeof(first[0]));
	assert_memory_not_equal(first[0], first[2], sizeof(first[0]));
	assert_memory_not_equal(first[0], first[3], sizeof(first[0]));
}

/* ---- guards -------------------------------------------------------------------------------------------------------- */

static unsigned char guarded[FRAMES + 1]; /* what the op was told */
static bool guard_refuses[2];             /* by on */

static int guard_op(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on)
{
	struct rig *rig = ctx;
	MUST_EQ(bytes, (size_t)1 << rig->cfg.frame_shift);
	MUST(ptr == frame(rig, pfn));
	if (guard_refuses[on])
		return PFA_ENOMEM;
	MUST(guarded[pfn] == !on || guard_refuses[true]);
	guarded[pfn] = on;
	return PFA_OK;
}

static void assert_guards(struct rig *rig, pfa_pfn pfn, unsigned order, bool below, bool above)
{
	const pfa_pfn end = pfn + ((pfa_pfn)1 << order);
	assert_int_equal(state_of(rig, pfn - 1) == PFA_FRAME_GUARD, below);
	assert_int_equal(state_of(rig, end) == PFA_FRAME_GUARD, above);
	assert_int_equal(guarded[pfn - 1], below);
	assert_int_equal(guarded[end], above);
}

static void start_guards(struct rig *rig, uint32_t history)
{
	memset(guarded, 0, sizeof(guarded));
	memset(guard_refuses, 0, sizeof(guard_refuses));
	base(rig, FRAMES, PFA_POISON_ALL, 8);
	rig->os.guard = guard_op;
	rig->cfg.history = history;
	rig_start(rig);
}

static pfa_pfn take_guarded(struct rig *rig, unsigned order)
{
	pfa_pfn pfn;
	const size_t before = rig_stats(rig, 0).allocated;
	EXPECT(pfa_alloc, PFA_OK, rig->pfa, order, PFA_MOVABLE | PFA_GUARD, &pfn);
	assert_int_equal(pfn & (((pfa_pfn)1 << order) - 1), 0);
	assert_int_equal(rig_stats(rig, 0).allocated - before, ((size_t)1 << order) + 2);
	assert_guards(rig, pfn, order, true, true);
	rig_check(rig);
	return pfn;
}

/* However the block goes back, its guards go, too, each when its neighbour does. */
static void test_guards_go_with_the_block(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 6; order++) {
		struct rig rig;
		const size_t size = (size_t)1 << order;
		size_t nr;
		start_guards(&rig, 0);
		for (unsigned round = 0; round < 2; round++) { /* fresh frames, and used ones */
			pfa_pfn pfn = take_guarded(&rig, order);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, order);
			assert_guards(&rig, pfn, order, false, false);
			pfn = take_guarded(&rig, order);
			EXPECT(pfa_free_bulk, PFA_OK, rig.pfa, order, 1, &pfn, &nr);
			assert_guards(&rig, pfn, order, false, false);
			pfn = take_guarded(&rig, order);
			EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, size);
			assert_guards(&rig, pfn, order, false, false);
			pfn = take_guarded(&rig, order);
			EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, order, 0);
			assert_guards(&rig, pfn, order, true, true);
			for (size_t i = 0; i < size; i++) {
				EXPECT(pfa_free, PFA_OK, rig.pfa, pfn + i, 0);
				assert_guards(&rig, pfn, order, false, i + 1 < size);
				rig_check(&rig);
			}
		}
		assert_int_equal(rig_stats(&rig, 0).allocated, 0);
		assert_int_equal(rig.fault.nr, 0);
		rig_stop(&rig);
	}
}

/* Blocks side by side, each with its own guards: random work, and no frame is lost. */
static void test_many_guards(void **state)
{
	(void)state;
	struct rig rig;
	struct rng rng = {9};
	static unsigned char orders[FRAMES];
	static bool has[FRAMES];
	size_t nr = 0, frames = 0;
	start_guards(&rig, 0);
	for (unsigned step = 0; step < 4000; step++) {
		const unsigned order = (unsigned)rng_below(&rng, 4);
		if (rng_one_in(&rng, 2) && pfa_alloc(rig.pfa, order, PFA_MOVABLE | (step & 1 ? PFA_GUARD : 0), &pfns[nr]) == PFA_OK) {
			orders[pfns[nr]] = (unsigned char)order;
			has[pfns[nr]] = step & 1;
			frames += ((size_t)1 << order) + (step & 1 ? 2 : 0);
			memset(frame(&rig, pfns[nr]), 0xCC, (size_t)64 << order);
			nr++;
		} else if (nr) {
			const size_t i = rng_below(&rng, nr), size = (size_t)1 << orders[pfns[i]];
			const bool has_guards = state_of(&rig, pfns[i] + size) == PFA_FRAME_GUARD && has[pfns[i]];
			assert_int_equal(has_guards, has[pfns[i]]);
			EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], orders[pfns[i]]);
			frames -= size + (has_guards ? 2 : 0);
			pfns[i] = pfns[--nr];
		}
		if (step % 64 == 0)
			rig_check(&rig);
		assert_int_equal(rig_stats(&rig, 0).allocated, frames);
	}
	for (size_t i = 0; i < nr; i++)
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfns[i], orders[pfns[i]]);
	for (size_t i = 0; i < FRAMES; i++)
		assert_int_equal(guarded[i], 0);
	assert_int_equal(rig.fault.nr, 0);
	rig_stop(&rig);
}

static void test_guard_refusals(void **state)
{
	(void)state;
	struct rig rig;
	size_t nr;
	pfa_pfn pfn;
	unsigned order;
	start_guards(&rig, 0);
	EXPECT(pfa_alloc, PFA_EINVAL, rig.pfa, 7, PFA_GUARD, &pfn); /* of order 9 there would have to be one */
	EXPECT(pfa_would_succeed, PFA_EINVAL, rig.pfa, 7, PFA_GUARD);
	EXPECT(pfa_would_succeed, PFA_OK, rig.pfa, 6, PFA_GUARD);
	EXPECT(pfa_alloc_bulk, PFA_EINVAL, rig.pfa, 0, PFA_GUARD, 3, pfns, &nr);
	EXPECT(pfa_alloc_exact, PFA_EINVAL, rig.pfa, 3, 0, PFA_GUARD, &pfn);
	EXPECT(pfa_alloc_window, PFA_EINVAL, rig.pfa, 0, PFA_GUARD, ((struct pfa_run){0, 64}), &pfn);
	EXPECT(pfa_largest_free, PFA_EINVAL, rig.pfa, PFA_GUARD, &order);
	pfn = take_guarded(&rig, 2);
	/* A guard is nobody's to free. */
	const pfa_pfn guards[] = {pfn - 1, pfn + 4};
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, guards[i], 0);
		assert_int_equal(rig.fault.kind, PFA_FAULT_GUARD);
		EXPECT(pfa_split, PFA_EMISUSE, rig.pfa, guards[i], 0, 0);
		EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, guards[i], 1);
	}
	EXPECT(pfa_free_range, PFA_EMISUSE, rig.pfa, pfn, 5);
	assert_guards(&rig, pfn, 2, true, true);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 2);
	rig_stop(&rig);

	rig_init(&rig);
	rig_zone(&rig, 0, 64);
	rig.cfg.hardening = 2;
	rig_start(&rig);
	EXPECT(pfa_alloc, PFA_ENOTSUP, rig.pfa, 0, PFA_GUARD, &pfn);
	rig_stop(&rig);
}

/* The platform cannot make a guard untouchable: it stands apart all the same. It cannot make one accessible again: nobody
 * gets that frame any more. */
static void test_guards_that_fail(void **state)
{
	(void)state;
	struct rig rig;
	size_t found, nr;
	pfa_pfn pfn;
	start_guards(&rig, 4);
	guard_refuses[true] = true;
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 2, PFA_MOVABLE | PFA_GUARD, &pfn);
	assert_int_equal(state_of(&rig, pfn - 1), PFA_FRAME_GUARD);
	assert_int_equal(state_of(&rig, pfn + 4), PFA_FRAME_GUARD);
	assert_int_equal(rig_stats(&rig, 0).allocated, 6);
	rig_check(&rig);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 2);
	assert_int_equal(rig_stats(&rig, 0).allocated, 0);
	assert_int_equal(rig_stats(&rig, 0).bad, 0);

	for (unsigned way = 0; way < 2; way++) { /* both guards at once, then each with its part of the block */
		const size_t bad = rig_stats(&rig, 0).bad;
		struct pfa_event e;
		guard_refuses[true] = guard_refuses[false] = false;
		pfn = take_guarded(&rig, 1);
		const pfa_pfn lost[] = {pfn - 1, pfn + 2};
		guard_refuses[false] = true;
		if (way)
			EXPECT(pfa_split, PFA_OK, rig.pfa, pfn, 1, 0);
		EXPECT(pfa_free_range, PFA_OK, rig.pfa, pfn, 2);
		assert_int_equal(rig_stats(&rig, 0).allocated, 0);
		assert_int_equal(rig_stats(&rig, 0).bad, bad + 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(state_of(&rig, lost[i]), PFA_FRAME_BAD);
			EXPECT(pfa_free, PFA_EMISUSE, rig.pfa, lost[i], 0);
			assert_int_equal(rig.fault.kind, PFA_FAULT_BAD);
			EXPECT(pfa_history, PFA_OK, rig.pfa, lost[i], &e, 1, &nr);
			assert_int_equal(nr, 1);
			assert_int_equal(e.op, PFA_EVENT_BAD);
			assert_int_equal(e.pfn, lost[i]);
		}
		rig_check(&rig);
	}
	assert_int_equal(take_all(&rig, 0, PFA_MOVABLE, &found), FRAMES - 4);
	assert_int_equal(found, 0);
	rig_drop(&rig);
}

/* A write over the end of a guarded block, where guards can be touched: found when the frame is granted next. */
static void test_overrun_is_found(void **state)
{
	(void)state;
	struct rig rig;
	size_t found;
	base(&rig, 256, PFA_POISON_ALL, 1);
	rig_start(&rig);
	use_all(&rig, 0);
	pfa_pfn pfn = take_all(&rig, 0, PFA_MOVABLE, &found);
	give_back(&rig, pfn, 0);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 1, PFA_MOVABLE | PFA_GUARD, &pfn);
	frame(&rig, pfn)[2 * 64] ^= 1;
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 1);
	assert_int_equal(take_all(&rig, 0, PFA_MOVABLE, &found), 255);
	assert_int_equal(found, 1);
	assert_int_equal(state_of(&rig, pfn + 2), PFA_FRAME_BAD);
	rig_drop(&rig);
}

/* A guarded block whose content was written after its last free is refused, and leaves no guards behind. */
static void test_refused_guarded_block(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	base(&rig, 4, PFA_POISON_ALL, 1);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig_start(&rig);
	use_all(&rig, 0);
	EXPECT(pfa_cache_drain, PFA_OK, rig.pfa, PFA_ALL_CPUS);
	frame(&rig, 1)[9] ^= 1;
	EXPECT(pfa_alloc, PFA_ECORRUPT, rig.pfa, 0, PFA_GUARD, &pfn);
	assert_int_equal(rig.fault.kind, PFA_FAULT_WRITTEN_AFTER_FREE);
	assert_int_equal(rig.fault.pfn, 1);
	assert_int_equal(rig_stats(&rig, 0).bad, 1);
	assert_int_equal(rig_stats(&rig, 0).free, 3);
	rig_stop(&rig);
}

static const char reads[] = "it reads and writes frames";
static const struct unit_test tests[] = {
	TEST_CONTENT(test_every_byte, reads), TEST_CONTENT(test_lines, reads), TEST_CONTENT(test_lines_of_large_frames, reads),
	TEST_CONTENT(test_zero, reads), TEST_CONTENT(test_fresh_frames, reads),
	TEST(test_distance), TEST(test_nothing_comes_back_sooner), TEST(test_flushed_before_failing),
	TEST(test_emptied_on_demand), TEST(test_double_free), TEST(test_guesses), TEST(test_seeds),
	TEST_CONTENT(test_guards_go_with_the_block, reads), TEST_CONTENT(test_many_guards, reads),
	TEST_CONTENT(test_guard_refusals, reads), TEST_CONTENT(test_guards_that_fail, reads), TEST_CONTENT(test_overrun_is_found, reads),
	TEST_CONTENT(test_refused_guarded_block, reads),
};
UNIT_MAIN(tests)
