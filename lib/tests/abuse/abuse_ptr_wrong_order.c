/* SPDX-License-Identifier: MIT
 *
 * By address, with another order.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 128, order 2)")
{
	void *ptr;
	take_at(pfa, 128, 3);
	must(pfa_ptr(pfa, 128, &ptr));
	misuse(pfa_free_ptr(pfa, ptr, 2));
}
