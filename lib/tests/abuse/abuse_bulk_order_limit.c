/* SPDX-License-Identifier: MIT
 *
 * The number of blocks where the order belongs.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: the order is above max_order (pfn 128, order 20)")
{
	const pfa_pfn pfns[] = {128};
	size_t nr;
	take_at(pfa, 128, 0);
	misuse(pfa_free_bulk(pfa, 20, 1, pfns, &nr));
}
