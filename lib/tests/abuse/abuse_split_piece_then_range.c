/* SPDX-License-Identifier: MIT
 *
 * One piece of a split block was freed before the whole is, as a range.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 260, order 0)")
{
	take_at(pfa, 256, 4);
	must(pfa_split(pfa, 256, 4, 2));
	must(pfa_free(pfa, 260, 2));
	misuse(pfa_free_range(pfa, 256, 16));
}
