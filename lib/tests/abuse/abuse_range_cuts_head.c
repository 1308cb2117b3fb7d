/* SPDX-License-Identifier: MIT
 *
 * A range that begins inside a block.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 258, order 0)")
{
	take_at(pfa, 256, 3);
	misuse(pfa_free_range(pfa, 258, 6));
}
