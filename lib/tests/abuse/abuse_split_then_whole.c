/* SPDX-License-Identifier: MIT
 *
 * A block that was split is freed as a whole.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 256, order 4)")
{
	take_at(pfa, 256, 4);
	must(pfa_split(pfa, 256, 4, 1));
	misuse(pfa_free(pfa, 256, 4));
}
