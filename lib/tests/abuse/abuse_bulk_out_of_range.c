/* SPDX-License-Identifier: MIT
 *
 * A bulk that was given more pfns than there were: the rest is what lay behind the array.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: out of range: the pfn is in no zone (pfn 0, order 0)")
{
	const pfa_pfn pfns[] = {128, 129, 0};
	size_t nr;
	take_at(pfa, 128, 0);
	take_at(pfa, 129, 0);
	misuse(pfa_free_bulk(pfa, 0, 3, pfns, &nr));
}
