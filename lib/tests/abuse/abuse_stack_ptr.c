/* SPDX-License-Identifier: MIT
 *
 * A pointer to something else entirely.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 0, order 0)")
{
	int local = 0;
	misuse(pfa_free_ptr(pfa, &local, 0));
}
