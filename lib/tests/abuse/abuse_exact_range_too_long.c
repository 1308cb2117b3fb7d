/* SPDX-License-Identifier: MIT
 *
 * The power of two that an exact run was rounded to is freed as a range.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 69, order 0)")
{
	pfa_pfn pfn;
	must(pfa_alloc_exact(pfa, 5, 6, PFA_MOVABLE, &pfn));
	must(pfn == 64 ? PFA_OK : PFA_ERANGE);
	misuse(pfa_free_range(pfa, pfn, 8));
}
