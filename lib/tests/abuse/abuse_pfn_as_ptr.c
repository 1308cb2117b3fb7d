/* SPDX-License-Identifier: MIT
 *
 * A frame number where the address belongs.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 0, order 0)")
{
	take_at(pfa, 128, 0);
	misuse(pfa_free_ptr(pfa, (void *)(uintptr_t)128, 0));
}
