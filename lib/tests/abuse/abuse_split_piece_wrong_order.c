/* SPDX-License-Identifier: MIT
 *
 * A piece of a split block, freed frame by frame.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 258, order 0)")
{
	take_at(pfa, 256, 4);
	must(pfa_split(pfa, 256, 4, 1));
	must(pfa_free(pfa, 256, 1));
	misuse(pfa_free(pfa, 258, 0));
}
