/* SPDX-License-Identifier: MIT
 *
 * A range that begins one frame behind the head, and would end with the block.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 257, order 0)")
{
	take_at(pfa, 256, 1);
	misuse(pfa_free_range(pfa, 257, 1));
}
