/* SPDX-License-Identifier: MIT
 *
 * The lock ranks of PFA_DEBUG builds fire: a hook that runs under a zone's lock takes a cache lock, which ranks lower.
 */
#include <pfa/debug.h>
#include <pfa/pfa.h>

#include <stdalign.h>
#include <stdio.h>

static alignas(64) unsigned char ranks_memory[1 << 16];
static unsigned ranks_told, ranks_others, ranks_hooked;

static void ranks_fatal(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	if (fault->kind == PFA_FAULT_LOCK)
		ranks_told++;
	else
		ranks_others++;
}

static void ranks_hook(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)zone;
	if (ranks_hooked++ == 0 && pfa_cache_drain(pfa, 0) != PFA_OK)
		ranks_others++;
}

int main(void)
{
	struct pfa_platform os = { .size = sizeof(os), .fatal = ranks_fatal };
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = 256 };
	struct pfa_config cfg;
	struct pfa *pfa;
	pfa_pfn pfn;

	pfa_config_init(&cfg);
	cfg.platform = &os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.max_order = 6;
	cfg.pageblock_order = 6;
	cfg.cache_high = PFA_EXPLICIT_0;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	if (pfa_init(ranks_memory, sizeof(ranks_memory), &cfg, &pfa, NULL, NULL) != PFA_OK)
		return fputs("no instance\n", stderr), 1;
	/* In order: silent. */
	if (pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn) != PFA_OK || ranks_told)
		return fputs("locks in order are told\n", stderr), 1;
	pfa_debug_on_unlock(pfa, ranks_hook, NULL);
	int code = pfa_free(pfa, pfn, 0);
	pfa_debug_on_unlock(pfa, NULL, NULL);
	printf("hooked %u, told %u, others %u\n", ranks_hooked, ranks_told, ranks_others);
	return code != PFA_OK || ranks_told != 1 || ranks_others || pfa_fini(pfa) != PFA_OK;
}
