/* SPDX-License-Identifier: MIT
 *
 * A counter behind a plain pointer, which a thread increments all the time, while its frame moves a thousand times.
 */
#define _GNU_SOURCE
#include <pfa/mapped.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define MOVES 1000u

static atomic_bool done;

static void *increment(void *arg)
{
	volatile unsigned long *counter = arg;
	static unsigned long times;

	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		++*counter;
		times++;
	}
	return &times;
}

int main(void)
{
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = 256 };
	struct pfa_platform platform;
	struct pfa_mapped *mapped;
	struct pfa_posix arena;
	struct pfa_config cfg;
	pthread_t thread;
	void *counter, *times;
	size_t moves = 0;

	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_owners = 1;
	while ((1l << ++cfg.frame_shift) < sysconf(_SC_PAGESIZE))
		;
	if (pfa_posix_create(&arena, &cfg, PFA_POSIX_MEMFD) != PFA_OK)
		return fprintf(stderr, "libpfa: %s\n", arena.why), 1;
	pfa_posix_platform(&platform);
	struct pfa_mapped_config mapped_cfg = { .size = sizeof(mapped_cfg), .pfa = arena.pfa, .platform = &platform,
	                                        .fd = arena.pool.fd, .pool_pfn = arena.pool_pfn,
	                                        .frame_shift = cfg.frame_shift, .nr_units = 256 };
	if (pfa_mapped_create(&mapped_cfg, &mapped) != PFA_OK ||
	    pfa_mapped_alloc(mapped, sizeof(unsigned long), PFA_MOVABLE | PFA_ZERO, &counter) != PFA_OK)
		return fputs("no arena\n", stderr), 1;
	if (pthread_create(&thread, NULL, increment, counter) != 0)
		return 1;

	while (moves < MOVES) {
		const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
		size_t moved;
		if (pfa_mapped_move(mapped, counter, sizeof(unsigned long), &dest, &moved) != PFA_OK)
			return fputs("not moved\n", stderr), 1;
		moves += moved;
	}
	atomic_store(&done, true);
	if (pthread_join(thread, &times) != 0)
		return 1;
	printf("%s: %zu moves under %lu increments, the counter says %lu\n",
	       pfa_mapped_way_of(mapped) == PFA_MAPPED_UFFD ? "userfaultfd" : "signal", moves, *(unsigned long *)times,
	       *(unsigned long *)counter);
	if (*(unsigned long *)times != *(unsigned long *)counter)
		return 1;
	return pfa_mapped_free(mapped, counter, sizeof(unsigned long)) != PFA_OK || pfa_mapped_destroy(mapped) != PFA_OK ||
	       pfa_posix_destroy(&arena) != PFA_OK;
}
