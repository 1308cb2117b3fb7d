/* SPDX-License-Identifier: MIT
 *
 * A split of a block that is free.
 */
#include "abuse.h"

ABUSE("pfa_split: double free: the block is free already (pfn 512, order 4)")
{
	misuse(pfa_split(pfa, 512, 4, 0));
}
