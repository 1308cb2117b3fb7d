/* SPDX-License-Identifier: MIT
 *
 * A range over a hole.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 900, order 0)")
{
	take_at(pfa, 896, 2);
	take_at(pfa, 910, 1);
	misuse(pfa_free_range(pfa, 896, 16));
}
