/* SPDX-License-Identifier: MIT
 *
 * A pointer into another instance's pool.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 0, order 0)")
{
	struct pfa *other = abuse_instance();
	void *ptr;
	must(pfa_alloc_ptr(other, 0, PFA_MOVABLE, &ptr));
	misuse(pfa_free_ptr(pfa, ptr, 0));
}
