/* SPDX-License-Identifier: MIT
 *
 * A block that was split before.
 */
#include "abuse.h"

ABUSE("pfa_split: wrong order: the block was allocated with another one (pfn 128, order 4)")
{
	take_at(pfa, 128, 4);
	must(pfa_split(pfa, 128, 4, 2));
	misuse(pfa_split(pfa, 128, 4, 2));
}
