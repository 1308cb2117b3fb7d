/* SPDX-License-Identifier: MIT
 *
 * A bulk of blocks of two orders.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: wrong order: the block was allocated with another one (pfn 132, order 0)")
{
	const pfa_pfn pfns[] = {128, 132};
	size_t nr;
	take_at(pfa, 128, 0);
	take_at(pfa, 132, 2);
	misuse(pfa_free_bulk(pfa, 0, 2, pfns, &nr));
}
