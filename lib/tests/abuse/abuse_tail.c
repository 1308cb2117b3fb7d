/* SPDX-License-Identifier: MIT
 *
 * A frame inside a block.
 */
#include "abuse.h"

ABUSE("pfa_free: not the first frame of a block (pfn 130, order 0)")
{
	take_at(pfa, 128, 3);
	misuse(pfa_free(pfa, 130, 0));
}
