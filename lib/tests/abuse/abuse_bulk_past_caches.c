/* SPDX-License-Identifier: MIT
 *
 * The same block twice in a bulk that goes past the caches.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: double free: the block is free already (pfn 128, order 1)")
{
	const pfa_pfn pfns[] = {128, 128};
	size_t nr;
	must(pfa_cache_disable(pfa));
	take_at(pfa, 128, 1);
	misuse(pfa_free_bulk(pfa, 1, 2, pfns, &nr));
}
