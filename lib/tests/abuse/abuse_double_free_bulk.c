/* SPDX-License-Identifier: MIT
 *
 * One block twice in a bulk.
 */
#include "abuse.h"

ABUSE("pfa_free_bulk: double free: the block is in a per-CPU cache already (pfn 101, order 0)")
{
	const pfa_pfn pfns[] = {100, 101, 102, 101};
	size_t nr;
	for (pfa_pfn at = 100; at < 103; at++)
		take_at(pfa, at, 0);
	misuse(pfa_free_bulk(pfa, 0, 4, pfns, &nr));
}
