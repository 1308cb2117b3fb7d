/* SPDX-License-Identifier: MIT
 *
 * A frame of a hole in the middle of a bulk.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: the frame is in a hole (pfn 900, order 0)")
{
	const pfa_pfn pfns[] = {899, 900, 910};
	size_t nr;
	take_at(pfa, 899, 0);
	take_at(pfa, 910, 0);
	misuse(pfa_free_bulk(pfa, 0, 3, pfns, &nr));
}
