/* SPDX-License-Identifier: MIT
 *
 * One frame too many: the tail of an exact run went back at once.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 69, order 0)")
{
	pfa_pfn pfn;
	must(pfa_alloc_exact(pfa, 5, 6, PFA_MOVABLE, &pfn));
	must(pfn == 64 ? PFA_OK : PFA_ERANGE);
	for (pfa_pfn at = pfn; at <= pfn + 5; at++)
		if (at < pfn + 5)
			must(pfa_free(pfa, at, 0));
		else
			misuse(pfa_free(pfa, at, 0));
}
