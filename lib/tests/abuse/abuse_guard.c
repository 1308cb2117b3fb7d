/* SPDX-License-Identifier: MIT
 *
 * The frame after a guarded block is nobody's to free.
 */
#define ABUSE_LEVEL 3
#include "abuse.h"

ABUSE("pfa_free: the frame guards a block (pfn 640, order 0)")
{
	pfa_pfn pfn;
	take_at(pfa, 256, 8); /* 512 is the only block of this order now, and a guarded one of order 6 its second quarter */
	must(pfa_alloc(pfa, 6, PFA_MOVABLE | PFA_GUARD, &pfn));
	must(pfn == 576 ? PFA_OK : PFA_ERANGE);
	misuse(pfa_free(pfa, pfn + 64, 0));
}
