/* SPDX-License-Identifier: MIT
 *
 * NULL is no frame.
 */
#include "abuse.h"

ABUSE("pfa_free_ptr: the pointer is not a frame of this instance (pfn 0, order 0)")
{
	misuse(pfa_free_ptr(pfa, NULL, 0));
}
