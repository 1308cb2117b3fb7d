/* SPDX-License-Identifier: MIT
 *
 * A range whose first frame is in a hole.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 909, order 0)")
{
	take_at(pfa, 910, 0);
	misuse(pfa_free_range(pfa, 909, 2));
}
