/* SPDX-License-Identifier: MIT
 *
 * Every single word of the metadata that changes, damaged in many ways at level 2 and up, under a user that goes on: no
 * frame is granted twice or from outside, nothing crashes, nothing hangs. What nobody came across, the checker may name.
 * Left out: lock words, and the map of known zeroes, which nothing can be compared with below level 3.
 */
#include "user.h"

#include <stdlib.h>
#include <string.h>

#include "pcpu.h"

struct words {
	struct user user; /* first */
	const char *region;
	size_t at;
	uint32_t value;
	size_t nr_told, nr_named, nr_harmless;
};

static void escaped(const struct user *user, const char *what, pfa_pfn pfn)
{
	const struct words *u = (const struct words *)(const void *)user;
	rig_fail(__FILE__, __LINE__, "%s+%zu = 0x%x: %s, frame %zu", u->region, u->at, u->value, what, pfn);
}

static void finish(struct words *u)
{
	struct pfa_violation v;
	if (u->user.rig.fault.nr)
		u->nr_told++;
	else if (pfa_check(u->user.rig.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		u->nr_named++;
	else
		u->nr_harmless++;
	rig_drop(&u->user.rig);
}

/* Locks are regions of their own, but for the busy word. */
static bool is_lock(const char *region, size_t at)
{
	return strcmp(region, "state") == 0 && at + sizeof(struct pfai_lock) == offsetof(struct pfai_state, serving);
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
	static struct words u = {.user.escaped = escaped};
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
		for (u.at = (size_t)(seed % stride) * word; u.at + word <= bytes; u.at += (size_t)stride * word) {
			for (unsigned kind = 0; kind < 7; kind++, trials++) {
				user_start(&u.user, level, seed * 1000003 + u.at * 7 + kind);
				unsigned char *region = rig_region(&u.user.rig, u.region, &bytes);
				MUST(region && bytes >= word);
				if (u.at + word > bytes || is_lock(u.region, u.at)) {
					rig_drop(&u.user.rig);
					break;
				}
				uint32_t now = 0, next = 0;
				memcpy(&now, region + u.at, word);
				memcpy(&next, region + (u.at + 2 * word <= bytes ? u.at + word : 0), word);
				u.value = damaged(&u.user.rng, kind, now, next, word);
				memcpy(region + u.at, &u.value, word);
				for (unsigned i = 0; i < USER_STEPS; i++)
					user_step(&u.user);
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
