/* SPDX-License-Identifier: MIT
 *
 * Every single word of the metadata that changes, damaged in many ways at level 2 and up, under a user that goes on: no
 * frame is granted twice or from outside, nothing crashes, nothing hangs. What nobody came across, the checker may name.
 * Left out: lock words, and the map of known zeroes, which nothing can be compared with below level 3.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "pcpu.h"

enum { FRAMES = 512, NR_BLOCKS = 64, STEPS = 160 };

struct user {
	struct rig rig; /* first */
	struct rng rng;
	unsigned char owned[2 * FRAMES];
	struct {
		pfa_pfn pfn;
		unsigned order;
	} blocks[NR_BLOCKS];
	unsigned nr_blocks;
	const char *region;
	size_t at;
	uint32_t value;
	size_t nr_told, nr_named, nr_harmless;
};

static void escaped(const struct user *u, const char *what, pfa_pfn pfn)
{
	rig_fail(__FILE__, __LINE__, "%s+%zu = 0x%x: %s, frame %zu", u->region, u->at, u->value, what, pfn);
}

static void granted(struct user *u, pfa_pfn pfn, unsigned order)
{
	if (pfn >= 2 * FRAMES || pfn + ((size_t)1 << order) > 2 * FRAMES)
		escaped(u, "a frame outside was granted", pfn);
	for (size_t i = 0; i < (size_t)1 << order; i++)
		if (u->owned[pfn + i]++)
			escaped(u, "a frame was granted twice", pfn + i);
	u->blocks[u->nr_blocks].pfn = pfn;
	u->blocks[u->nr_blocks++].order = order;
}

/* What is refused as misuse, damage or use after the end (PFA_ENOTSUP: after a fork) stays with the user for ever. */
static void give(struct user *u, unsigned i)
{
	const pfa_pfn pfn = u->blocks[i].pfn;
	const unsigned order = u->blocks[i].order;
	size_t nr;
	int err;
	switch (rng_below(&u->rng, 8)) {
	case 0:
		err = pfa_free_bulk(u->rig.pfa, order, 1, &pfn, &nr);
		break;
	case 1:
		err = pfa_free_range(u->rig.pfa, pfn, (size_t)1 << order);
		break;
	default:
		err = pfa_free(u->rig.pfa, pfn, order);
	}
	if (err == PFA_OK)
		memset(u->owned + pfn, 0, (size_t)1 << order);
	else if (err != PFA_ECORRUPT && err != PFA_EMISUSE && err != PFA_ENOTSUP)
		escaped(u, pfa_error_name(err), pfn);
	u->blocks[i] = u->blocks[--u->nr_blocks];
}

static void take(struct user *u)
{
	static const uint32_t types[] = {PFA_MOVABLE, PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH};
	const unsigned order = (unsigned)(rng_below(&u->rng, 8) * rng_below(&u->rng, 8) / 7);
	const uint32_t flags = types[rng_below(&u->rng, 4)];
	pfa_pfn pfn, some[4];
	size_t nr = 0;
	if (u->nr_blocks + 8 > NR_BLOCKS)
		return;
	switch (rng_below(&u->rng, 8)) {
	case 0:
		(void)!pfa_alloc_bulk(u->rig.pfa, order / 2, flags, 4, some, &nr);
		for (size_t i = 0; i < nr; i++)
			granted(u, some[i], order / 2);
		break;
	case 1:
		if (pfa_alloc_window(u->rig.pfa, order, flags, (struct pfa_run){100, 700}, &pfn) == PFA_OK)
			granted(u, pfn, order);
		break;
	case 2:
		if (pfa_alloc_exact(u->rig.pfa, 5, 0, flags, &pfn) == PFA_OK)
			for (unsigned i = 0; i < 5; i++)
				granted(u, pfn + i, 0);
		break;
	default:
		if (pfa_alloc(u->rig.pfa, order, flags, &pfn) == PFA_OK)
			granted(u, pfn, order);
	}
}

static void step(struct user *u)
{
	struct pfa_frame_info info;
	unsigned largest;
	uint64_t next;
	u->rig.cpu = (uint32_t)rng_below(&u->rng, 2);
	switch (rng_below(&u->rng, 24)) {
	case 0:
		(void)!pfa_cache_drain(u->rig.pfa, rng_one_in(&u->rng, 2) ? PFA_ALL_CPUS : u->rig.cpu);
		break;
	case 1:
		(void)!pfa_cache_purge(u->rig.pfa, rng_below(&u->rng, 2 * FRAMES));
		break;
	case 2:
		if (pfa_cache_disable(u->rig.pfa) == PFA_OK)
			(void)!pfa_cache_enable(u->rig.pfa);
		break;
	case 3:
		u->rig.now_ns += PFA_SERVICE_IDLE_NS;
		(void)!pfa_service(u->rig.pfa, 4, &next);
		(void)!pfa_largest_free(u->rig.pfa, PFA_MOVABLE, &largest);
		(void)!pfa_frame_info(u->rig.pfa, rng_below(&u->rng, 2 * FRAMES), &info);
		break;
	case 4:
		if (u->nr_blocks && u->nr_blocks + 8 < NR_BLOCKS && u->blocks[0].order >= 1) {
			const unsigned order = u->blocks[0].order;
			if (pfa_split(u->rig.pfa, u->blocks[0].pfn, order, order - 1) != PFA_OK)
				break;
			u->blocks[0].order--;
			u->blocks[u->nr_blocks].pfn = u->blocks[0].pfn + ((pfa_pfn)1 << (order - 1));
			u->blocks[u->nr_blocks++].order = order - 1;
		}
		break;
	default:
		if (u->nr_blocks && rng_one_in(&u->rng, 2))
			give(u, (unsigned)rng_below(&u->rng, u->nr_blocks));
		else
			take(u);
	}
}

static void start(struct user *u, uint32_t level, uint64_t seed)
{
	static struct pfa_run hole = {300, 9}, cma = {384, 64};
	memset(u->owned, 0, sizeof(u->owned));
	u->nr_blocks = 0;
	u->rng.state = seed;
	rig_init(&u->rig);
	struct pfa_zone_config *z = rig_zone(&u->rig, 0, FRAMES);
	z->holes = &hole;
	z->nr_holes = 1;
	z->cma = &cma;
	z->nr_cma = 1;
	z->highatomic_frames = 64;
	rig_zone(&u->rig, FRAMES, FRAMES - 3);
	u->rig.cfg.hardening = level;
	u->rig.cfg.nr_cpus = 2;
	u->rig.cfg.cache_high = 6;
	u->rig.cfg.cache_max_order = 4;
	rig_start(&u->rig);
	for (unsigned i = 0; i < STEPS / 2; i++)
		step(u);
}

static void finish(struct user *u)
{
	struct pfa_violation v;
	if (u->rig.fault.nr)
		u->nr_told++;
	else if (pfa_check(u->rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		u->nr_named++;
	else
		u->nr_harmless++;
	rig_drop(&u->rig);
}

static bool is_lock(const char *region, size_t at, size_t cpu_bytes)
{
	if (strcmp(region, "state") == 0)
		return at < sizeof(struct pfai_lock) ||
		       (at >= offsetof(struct pfai_state, serving) && at < offsetof(struct pfai_state, serving) + 4);
	if (strcmp(region, "zone_states") == 0)
		return at % sizeof(struct pfai_zone_state) < sizeof(struct pfai_lock);
	return strcmp(region, "cpus") == 0 && at % cpu_bytes < sizeof(struct pfai_lock);
}

static const struct {
	const char *name;
	unsigned word; /* bytes that are damaged at once */
} regions[] = {
	{"state", 4}, {"zone_states", 4}, {"cpus", 4}, {"cpus", 2}, {"entries", 4}, {"routes", 1}, {"frame_bytes", 1},
	{"not_free", 4}, {"not_free", 1}, {"doomed", 4}, {"pageblocks", 4}, {"pageblocks", 1}, {"leaves", 1}, {"sets", 4},
};

/* The word at `at` becomes something else, by the kind of damage. */
static uint32_t damaged(struct rng *rng, unsigned kind, uint32_t word, uint32_t neighbour, unsigned bytes)
{
	switch (kind) {
	case 0: return 0;
	case 1: return ~0u;
	case 2: return word + 1;
	case 3: return word - 1;
	case 4: return word ^ 1u << rng_below(rng, 8 * bytes);
	case 5: return neighbour;
	default: return (uint32_t)rng_next(rng);
	}
}

static int usage(void)
{
	fputs("usage: test_words [--level=1|2|3] [--cpu=op|none|offset] [--stride N] [--seed N] [--region NAME]\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static struct user u;
	unsigned long long stride = 1, seed = 1, trials = 0;
	const char *only = NULL;
	for (int i = 1; i < argc; i++) {
		if (rig_option(argv[i]))
			continue;
		unsigned long long *value = strcmp(argv[i], "--stride") == 0 ? &stride : strcmp(argv[i], "--seed") == 0 ? &seed : NULL;
		if (i + 1 < argc && strcmp(argv[i], "--region") == 0)
			only = argv[++i];
		else if (!value || ++i == argc || !(*value = strtoull(argv[i], NULL, 0)))
			return usage();
	}
	const uint32_t level = rig_level ? rig_level : 2; /* 1: to see that frames are granted twice there */
	for (size_t r = 0; r < sizeof(regions) / sizeof(regions[0]); r++) {
		const unsigned word = regions[r].word;
		const size_t told = u.nr_told, named = u.nr_named, harmless = u.nr_harmless;
		size_t bytes = SIZE_MAX;
		u.region = regions[r].name;
		if (only && strcmp(only, u.region) != 0)
			continue;
		for (u.at = seed % stride * word; u.at + word <= bytes; u.at += stride * word) {
			for (unsigned kind = 0; kind < 7; kind++, trials++) {
				start(&u, level, seed * 1000003 + u.at * 7 + kind);
				unsigned char *region = rig_region(&u.rig, u.region, &bytes);
				MUST(region && bytes >= word);
				if (u.at + word > bytes || is_lock(u.region, u.at, u.rig.pfa->cpu_bytes)) {
					rig_drop(&u.rig);
					break;
				}
				uint32_t now = 0, next = 0;
				memcpy(&now, region + u.at, word);
				memcpy(&next, region + (u.at + 2 * word <= bytes ? u.at + word : 0), word);
				u.value = damaged(&u.rng, kind, now, next, word);
				memcpy(region + u.at, &u.value, word);
				for (unsigned i = 0; i < STEPS; i++)
					step(&u);
				finish(&u);
			}
		}
		printf("%-12s by %u: %5zu words: told %5zu, named by the checker %5zu, harmless %5zu\n", u.region, word,
		       bytes / word, u.nr_told - told, u.nr_named - named, u.nr_harmless - harmless);
	}
	MUST(only || (trials > 1000 / stride && u.nr_told && u.nr_named && u.nr_harmless));
	printf("%llu words damaged at level %u: none escaped\n", trials, level);
	return 0;
}
