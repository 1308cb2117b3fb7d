/* SPDX-License-Identifier: MIT
 *
 * The same with a single frame.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 77, order 0)")
{
	take_at(pfa, 77, 0);
	must(pfa_free(pfa, 77, 0));
	must(pfa_cache_drain(pfa, 0));
	misuse(pfa_free(pfa, 77, 0));
}
