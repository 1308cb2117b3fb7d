/* SPDX-License-Identifier: MIT
 *
 * The block still lies in a per-CPU cache.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is in a per-CPU cache already (pfn 100, order 0)")
{
	take_at(pfa, 100, 0);
	must(pfa_free(pfa, 100, 0));
	misuse(pfa_free(pfa, 100, 0));
}
