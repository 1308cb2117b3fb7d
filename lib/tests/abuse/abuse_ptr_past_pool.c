/* SPDX-License-Identifier: MIT
 *
 * The address right behind the pool.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 0, order 0)")
{
	void *ptr;
	must(pfa_ptr(pfa, ABUSE_FIRST + ABUSE_FRAMES - 1, &ptr));
	misuse(pfa_free_ptr(pfa, (char *)ptr + (1 << ABUSE_SHIFT), 0));
}
