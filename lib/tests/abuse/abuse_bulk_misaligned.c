/* SPDX-License-Identifier: MIT
 *
 * A bulk whose second pfn is one too high.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: misaligned: the pfn is no multiple of the block's size (pfn 133, order 2)")
{
	const pfa_pfn pfns[] = {128, 133};
	size_t nr;
	take_at(pfa, 128, 2);
	take_at(pfa, 132, 2);
	misuse(pfa_free_bulk(pfa, 2, 2, pfns, &nr));
}
