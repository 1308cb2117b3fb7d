/* SPDX-License-Identifier: MIT
 *
 * What every consumer project does with the core: an instance in memory of its own, one block, and an orderly end.
 * Valid C11 and C++17. Returns 0 if all went as promised.
 */
#ifndef PFA_CONSUMER_CORE_H
#define PFA_CONSUMER_CORE_H

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>
#include <stdlib.h>
#include <string.h>

static int consumer_use(struct pfa *pfa)
{
	pfa_pfn first, second;
	struct pfa_violation why;

	if (pfa_alloc(pfa, 3, PFA_MOVABLE, &first) != PFA_OK || first % 8 != 0)
		return 10;
	if (pfa_alloc(pfa, 0, PFA_UNMOVABLE, &second) != PFA_OK || (second >= first && second < first + 8))
		return 11;
	if (pfa_free(pfa, first, 3) != PFA_OK || pfa_free(pfa, second, 0) != PFA_OK)
		return 12;
	return pfa_check(pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &why) == PFA_OK ? 0 : 13;
}

static int consumer_core(const struct pfa_platform *platform)
{
	struct pfa_zone_config zone;
	struct pfa_config cfg;
	struct pfa_footprint need;
	struct pfa *pfa = NULL;

	memset(&zone, 0, sizeof(zone));
	zone.size = sizeof(zone);
	zone.start = 1024;
	zone.nr_frames = 8192;
	pfa_config_init(&cfg);
	cfg.platform = platform;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	if (pfa_version() != (PFA_VERSION_MAJOR << 16 | PFA_VERSION_MINOR << 8 | PFA_VERSION_PATCH))
		return 1;
	if (pfa_size(&cfg, &need, NULL, NULL) != PFA_OK)
		return 2;
	size_t bytes = (need.core_bytes + need.align - 1) / need.align * need.align;
	void *memory = aligned_alloc(need.align, bytes);
	if (!memory || pfa_init(memory, bytes, &cfg, &pfa, NULL, NULL) != PFA_OK)
		return 3;
	int rc = consumer_use(pfa);
	if (rc == 0 && pfa_fini(pfa) != PFA_OK)
		rc = 4;
	free(memory);
	return rc;
}

#endif
