/* SPDX-License-Identifier: MIT
 *
 * A range that runs out of the zone.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 1080, order 0)")
{
	take_at(pfa, 1080, 3);
	misuse(pfa_free_range(pfa, 1080, 16));
}
