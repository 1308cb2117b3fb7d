/* SPDX-License-Identifier: MIT
 *
 * Frames of an exact request are freed as one block.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 64, order 3)")
{
	pfa_pfn pfn;
	must(pfa_alloc_exact(pfa, 8, 6, PFA_MOVABLE, &pfn));
	must(pfn == 64 ? PFA_OK : PFA_ERANGE);
	misuse(pfa_free(pfa, pfn, 3));
}
