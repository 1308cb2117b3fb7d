/* SPDX-License-Identifier: MIT
 *
 * A pfn that is no multiple of the block.
 */
#include "abuse.h"

ABUSE("pfa_free: misaligned: the pfn is no multiple of the block's size (pfn 129, order 3)")
{
	take_at(pfa, 128, 3);
	misuse(pfa_free(pfa, 129, 3));
}
