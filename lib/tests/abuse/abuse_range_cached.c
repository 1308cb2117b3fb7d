/* SPDX-License-Identifier: MIT
 *
 * A range over a block that is in a cache.
 */
#include "abuse.h"

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 101, order 0)")
{
	take_at(pfa, 100, 0);
	take_at(pfa, 101, 0);
	must(pfa_free(pfa, 101, 0));
	misuse(pfa_free_range(pfa, 100, 2));
}
