/* SPDX-License-Identifier: MIT
 *
 * A range that runs from a guarded block into the guard.
 */
#define ABUSE_LEVEL 3
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 640, order 0)")
{
	pfa_pfn pfn;
	take_at(pfa, 256, 8);
	must(pfa_alloc(pfa, 6, PFA_MOVABLE | PFA_GUARD, &pfn));
	must(pfn == 576 ? PFA_OK : PFA_ERANGE);
	misuse(pfa_free_range(pfa, pfn, 65));
}
