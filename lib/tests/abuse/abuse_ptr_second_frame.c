/* SPDX-License-Identifier: MIT
 *
 * The address of a block's second frame.
 */
#include "abuse.h"

ABUSE("pfa_free: not the first frame of a block (pfn 129, order 0)")
{
	void *ptr;
	take_at(pfa, 128, 3);
	must(pfa_ptr(pfa, 129, &ptr));
	misuse(pfa_free_ptr(pfa, ptr, 0));
}
