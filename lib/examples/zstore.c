/* SPDX-License-Identifier: MIT
 *
 * A compressed store of cold text, whose blocks are moved together and then read again.
 */
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/zstore.h>

#include <stdio.h>
#include <string.h>

#define FRAMES 1024u
#define OBJECTS 500u

static size_t write_text(char *out, unsigned number)
{
	size_t nr = 0;
	for (unsigned line = 0; line < 40; line++)
		nr += (size_t)sprintf(out + nr, "object %u: line %u of forty that look alike\n", number, line);
	return nr;
}

int main(void)
{
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = FRAMES };
	struct pfa_posix_region memory;
	struct pfa_zstore_stats stats;
	struct pfa_platform platform;
	struct pfa_zstore *store;
	struct pfa_posix arena;
	struct pfa_config cfg;
	pfa_zobject objects[OBJECTS];
	char text[4096], back[4096];
	size_t nr, moved = 0;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_owners = 1;
	if (pfa_posix_create(&arena, &cfg, PFA_POSIX_ANON) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", arena.why), 1;
	pfa_posix_platform(&platform);
	struct pfa_zstore_config store_cfg = { .size = sizeof(store_cfg), .pfa = arena.pfa, .platform = &platform,
	                                       .max_objects = OBJECTS, .max_blocks = FRAMES };
	if (pfa_posix_map(&memory, pfa_zstore_bytes(&store_cfg), 64, PFA_POSIX_ANON) != PFA_OK ||
	    pfa_zstore_create(memory.base, memory.bytes, &store_cfg, &store) != PFA_OK)
		return fputs("no store\n", stderr), 1;

	for (unsigned i = 0; i < OBJECTS; i++)
		if (pfa_zstore_put(store, text, write_text(text, i), &objects[i]) != PFA_OK)
			return fputs("not stored\n", stderr), 1;
	for (unsigned i = 0; i < OBJECTS; i += 2) /* half of it is of no use any more */
		if (pfa_zstore_delete(store, objects[i]) != PFA_OK)
			return 1;
	pfa_zstore_stats_get(store, &stats);
	printf("%zu objects, %zu bytes, in %zu blocks\n", stats.objects, stats.object_bytes, stats.blocks);

	/* Somebody wants the frames: they go elsewhere, and nobody notices. */
	for (pfa_pfn pfn = 0; pfn < FRAMES / 2; pfn++) {
		const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
		struct pfa_movable_info info;
		int result;
		if (pfa_movable_info(arena.pfa, pfn, &info) == PFA_OK &&
		    pfa_migrate(arena.pfa, &pfn, 1, &dest, &result) == PFA_OK)
			moved++;
	}
	for (unsigned i = 1; i < OBJECTS; i += 2) {
		if (pfa_zstore_get(store, objects[i], back, sizeof(back), &nr) != PFA_OK ||
		    nr != write_text(text, i) || memcmp(text, back, nr) != 0)
			return fputs("not what was stored\n", stderr), 1;
	}
	printf("%zu blocks moved, every object as it was\n", moved);
	return moved == 0 || pfa_zstore_destroy(store) != PFA_OK || pfa_posix_destroy(&arena) != PFA_OK ||
	       pfa_posix_unmap(&memory) != PFA_OK;
}
