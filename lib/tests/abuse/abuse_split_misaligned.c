/* SPDX-License-Identifier: MIT
 *
 * Splits a block where none of that size can begin.
 */
#include "abuse.h"

ABUSE("pfa_split: misaligned: the pfn is no multiple of the block's size (pfn 129, order 3)")
{
	take_at(pfa, 128, 3);
	misuse(pfa_split(pfa, 129, 3, 0));
}
