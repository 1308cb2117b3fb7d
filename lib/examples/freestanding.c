/* SPDX-License-Identifier: MIT
 *
 * libpfa without an operating system: static arrays, platform/single, no libc in what runs. Only main() itself
 * is hosted, so that this can be run as a test; a boot program would call boot_memory() and use_memory() instead.
 */
#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/single.h>

#define FRAME_SHIFT 12u
#define FRAMES 256u
#define FIRST_PFN 0x1000u /* where the board's memory begins: any frame number will do */

static _Alignas(1u << FRAME_SHIFT) unsigned char pool[FRAMES << FRAME_SHIFT];
static _Alignas(64) unsigned char metadata[32768];

static struct pfa *frames;

/* Counts up by itself; a board would read its timer. */
static uint64_t board_clock(void *ctx)
{
	uint64_t *ticks = ctx;

	return (*ticks)++ * 1000;
}

/* Makes the instance. Returns 0, or which step failed. */
static int boot_memory(void)
{
	static uint64_t ticks;
	static const struct pfa_run holes[] = { { FIRST_PFN + 64, 8 } }; /* the kernel's image, say */
	static const struct pfa_zone_config zone = {
		.size = sizeof(zone), .name = "dram", .start = FIRST_PFN, .nr_frames = FRAMES,
		.holes = holes, .nr_holes = 1,
	};
	struct pfa_platform platform;
	struct pfa_config cfg;
	struct pfa_footprint need;

	pfa_single_platform(&platform, board_clock, &ticks);
	pfa_config_init(&cfg);
	cfg.platform = &platform;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.frame_shift = FRAME_SHIFT;
	cfg.max_order = 6;
	cfg.pageblock_order = 6;
	cfg.flags = PFA_CONFIG_ZEROED_META | PFA_CONFIG_ZEROED_POOL; /* both arrays are in .bss */
	cfg.pool = pool;
	cfg.pool_bytes = sizeof(pool);
	cfg.pool_pfn = FIRST_PFN;
	if (pfa_size(&cfg, &need, NULL, NULL) != PFA_OK)
		return 1;
	if (need.core_bytes > sizeof(metadata) || need.align > 64)
		return 2;
	return pfa_init(metadata, sizeof(metadata), &cfg, &frames, NULL, NULL) == PFA_OK ? 0 : 3;
}

/* Takes every frame one by one, touches it, and gives all back. Returns 0, or which step failed. */
static int use_memory(void)
{
	static pfa_pfn taken[FRAMES];
	struct pfa_violation violation;
	size_t nr = 0;
	void *ptr;

	while (pfa_alloc(frames, 0, PFA_MOVABLE | PFA_ZERO, &taken[nr]) == PFA_OK) {
		if (pfa_ptr(frames, taken[nr], &ptr) != PFA_OK || *(unsigned char *)ptr != 0)
			return 4;
		*(unsigned char *)ptr = 1;
		nr++;
	}
	if (nr != FRAMES - 8) /* all but the hole */
		return 5;
	while (nr)
		if (pfa_free(frames, taken[--nr], 0) != PFA_OK)
			return 6;
	if (pfa_check(frames, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation) != PFA_OK)
		return 7;
	return pfa_fini(frames) == PFA_OK ? 0 : 8;
}

int main(void)
{
	int step = boot_memory();

	return step ? step : use_memory();
}
