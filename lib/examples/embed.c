/* SPDX-License-Identifier: MIT */
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = 16384 }; /* of 4 KiB */
	struct pfa_config cfg;
	struct pfa_posix arena;
	void *block;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	if (pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", arena.why), 1;

	if (pfa_alloc_ptr(arena.pfa, 3, PFA_MOVABLE | PFA_ZERO, &block) != PFA_OK) /* 2^3 frames, zeroed */
		return fputs("no memory\n", stderr), 1;
	memset(block, 0x5a, 8 * 4096);
	int code = pfa_free_ptr(arena.pfa, block, 3);
	return code != PFA_OK || pfa_posix_destroy(&arena) != PFA_OK;
}
