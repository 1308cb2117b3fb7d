/* SPDX-License-Identifier: MIT
 *
 * A cached block, freed with another order than it has.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is in a per-CPU cache already (pfn 96, order 0)")
{
	take_at(pfa, 96, 2);
	must(pfa_free(pfa, 96, 2));
	misuse(pfa_free(pfa, 96, 0));
}
