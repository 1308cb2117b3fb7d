/* SPDX-License-Identifier: MIT
 *
 * A block that is free in its zone is freed again.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 128, order 3)")
{
	take_at(pfa, 128, 3);
	must(pfa_free(pfa, 128, 3));
	must(pfa_cache_drain(pfa, PFA_ALL_CPUS));
	misuse(pfa_free(pfa, 128, 3));
}
