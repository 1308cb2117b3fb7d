/* SPDX-License-Identifier: MIT
 *
 * A pointer inside a frame.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 100, order 0)")
{
	void *ptr;
	take_at(pfa, 100, 0);
	must(pfa_ptr(pfa, 100, &ptr));
	misuse(pfa_free_ptr(pfa, (char *)ptr + 8, 0));
}
