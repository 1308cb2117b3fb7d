/* SPDX-License-Identifier: MIT
 *
 * A range with a free block in its middle.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 264, order 0)")
{
	take_at(pfa, 256, 3);
	take_at(pfa, 272, 3);
	misuse(pfa_free_range(pfa, 256, 24));
}
