/* SPDX-License-Identifier: MIT
 *
 * The freed block has merged with its neighbours since.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 264, order 3)")
{
	take_at(pfa, 256, 3);
	take_at(pfa, 264, 3);
	must(pfa_free(pfa, 264, 3));
	must(pfa_free(pfa, 256, 3));
	must(pfa_cache_drain(pfa, PFA_ALL_CPUS));
	misuse(pfa_free(pfa, 264, 3));
}
