/* SPDX-License-Identifier: MIT
 *
 * A balloon that lends frames to somebody else, and gives them back when this program runs out of memory.
 */
#define _DEFAULT_SOURCE
#include <pfa/balloon.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>

#include <stdio.h>
#include <sys/mman.h>

#define FRAMES 4096u

static struct pfa_posix arena;
static struct pfa_balloon *balloon;

/* The device: here the system itself, which gets the memory of the frames while they are in the balloon. */
static int lend(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	(void)ctx;
	for (size_t i = 0; i < nr && event == PFA_BALLOON_INFLATED; i++) {
		void *at;
		if (pfa_ptr(arena.pfa, runs[i].first, &at) != PFA_OK ||
		    madvise(at, runs[i].nr_frames * 4096, MADV_DONTNEED) != 0)
			return PFA_EDEVICE;
	}
	return PFA_OK;
}

/* An allocation that asks the balloon before it gives up. */
static int take(unsigned order, pfa_pfn *out)
{
	int code = pfa_alloc(arena.pfa, order, PFA_MOVABLE, out);
	while (code == PFA_ENOMEM && pfa_balloon_low_memory(balloon, order) > 0)
		code = pfa_alloc(arena.pfa, order, PFA_MOVABLE, out);
	return code;
}

int main(void)
{
	static _Alignas(16) unsigned char memory[1 << 17];
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = FRAMES };
	struct pfa_platform platform;
	struct pfa_config cfg;
	pfa_pfn taken[FRAMES];
	size_t nr = 0, lent;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_owners = 1;
	if (pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", arena.why), 1;
	pfa_posix_platform(&platform);
	struct pfa_balloon_config balloon_cfg = { .size = sizeof(balloon_cfg), .pfa = arena.pfa, .platform = &platform,
	                                          .max_blocks = FRAMES, .tell = lend };
	if (pfa_balloon_create(memory, sizeof(memory), &balloon_cfg, &balloon) != PFA_OK)
		return fputs("no balloon\n", stderr), 1;

	if (pfa_balloon_inflate(balloon, 3000, &lent) != PFA_OK || lent != 3000)
		return fputs("not inflated\n", stderr), 1;
	while (nr < FRAMES && take(0, &taken[nr]) == PFA_OK)
		nr++;
	printf("%zu frames lent, then %zu taken; %zu are left in the balloon\n", lent, nr, pfa_balloon_frames(balloon));
	if (nr != FRAMES)
		return 1;
	while (nr)
		if (pfa_free(arena.pfa, taken[--nr], 0) != PFA_OK)
			return 1;
	return pfa_balloon_destroy(balloon) != PFA_OK || pfa_posix_destroy(&arena) != PFA_OK;
}
