/* SPDX-License-Identifier: MIT
 *
 * A range that was given back before.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 512, order 0)")
{
	take_at(pfa, 512, 4);
	must(pfa_free_range(pfa, 512, 16));
	misuse(pfa_free_range(pfa, 512, 16));
}
