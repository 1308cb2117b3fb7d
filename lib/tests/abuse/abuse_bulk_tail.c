/* SPDX-License-Identifier: MIT
 *
 * The second half of a block in a bulk of halves.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: not the first frame of a block (pfn 136, order 3)")
{
	const pfa_pfn pfns[] = {120, 136};
	size_t nr;
	take_at(pfa, 120, 3);
	take_at(pfa, 128, 4);
	misuse(pfa_free_bulk(pfa, 3, 2, pfns, &nr));
}
