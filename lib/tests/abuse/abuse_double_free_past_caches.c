/* SPDX-License-Identifier: MIT
 *
 * With the caches disabled the block goes straight to its zone.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 200, order 1)")
{
	must(pfa_cache_disable(pfa));
	take_at(pfa, 200, 1);
	must(pfa_free(pfa, 200, 1));
	misuse(pfa_free(pfa, 200, 1));
}
