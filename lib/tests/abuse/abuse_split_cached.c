/* SPDX-License-Identifier: MIT
 *
 * A split of a block that is in a cache.
 */
#include "abuse.h"

ABUSE("pfa_split: double free: the block is in a per-CPU cache already (pfn 96, order 2)")
{
	take_at(pfa, 96, 2);
	must(pfa_free(pfa, 96, 2));
	misuse(pfa_split(pfa, 96, 2, 0));
}
