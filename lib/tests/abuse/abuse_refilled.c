/* SPDX-License-Identifier: MIT
 *
 * A block that the allocator keeps in the cache for later and never granted.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is in a per-CPU cache already (pfn 897, order 0)")
{
	pfa_pfn pfn;
	must(pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn));
	must(pfn == 896 ? PFA_OK : PFA_ERANGE);
	misuse(pfa_free(pfa, 897, 0));
}
