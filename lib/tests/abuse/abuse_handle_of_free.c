/* SPDX-License-Identifier: MIT
 *
 * A handle is asked for a block that was freed.
 */
#define ABUSE_FLAGS PFA_CONFIG_GENERATIONS
#include "abuse.h"

ABUSE("pfa_handle_of: double free: the block is free already (pfn 128, order 3)")
{
	struct pfa_handle handle;
	take_at(pfa, 128, 3);
	must(pfa_free(pfa, 128, 3));
	must(pfa_cache_drain(pfa, PFA_ALL_CPUS));
	misuse(pfa_handle_of(pfa, 128, 3, &handle));
}
