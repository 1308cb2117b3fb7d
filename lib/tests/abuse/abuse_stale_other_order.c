/* SPDX-License-Identifier: MIT
 *
 * The memory has a new owner, with a smaller block; the old one frees again.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 256, order 4)")
{
	take_at(pfa, 256, 4);
	must(pfa_free_range(pfa, 256, 16));
	take_at(pfa, 256, 1);
	misuse(pfa_free(pfa, 256, 4));
}
