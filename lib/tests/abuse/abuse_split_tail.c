/* SPDX-License-Identifier: MIT
 *
 * A split of the inside of a block.
 */
#include "abuse.h"

ABUSE("pfa_split: not the first frame of a block (pfn 136, order 3)")
{
	take_at(pfa, 128, 4);
	misuse(pfa_split(pfa, 136, 3, 0));
}
