/* SPDX-License-Identifier: MIT
 *
 * By address.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is in a per-CPU cache already (pfn 100, order 0)")
{
	void *ptr;
	take_at(pfa, 100, 0);
	must(pfa_ptr(pfa, 100, &ptr));
	must(pfa_free_ptr(pfa, ptr, 0));
	misuse(pfa_free_ptr(pfa, ptr, 0));
}
