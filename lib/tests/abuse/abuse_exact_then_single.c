/* SPDX-License-Identifier: MIT
 *
 * A range and then one of its frames.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 66, order 0)")
{
	pfa_pfn pfn;
	must(pfa_alloc_exact(pfa, 4, 6, PFA_MOVABLE, &pfn));
	must(pfn == 64 ? PFA_OK : PFA_ERANGE);
	must(pfa_free_range(pfa, pfn, 4));
	misuse(pfa_free(pfa, 66, 0));
}
