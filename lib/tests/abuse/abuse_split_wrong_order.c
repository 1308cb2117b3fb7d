/* SPDX-License-Identifier: MIT
 *
 * A split with an order that is not the block's.
 */
#include "abuse.h"

ABUSE("pfa_split: wrong order: the block was allocated with another one (pfn 128, order 3)")
{
	take_at(pfa, 128, 4);
	misuse(pfa_split(pfa, 128, 3, 0));
}
