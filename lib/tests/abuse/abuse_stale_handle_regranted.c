/* SPDX-License-Identifier: MIT
 *
 * A handle is used twice, and its frames have been granted again meanwhile: the second owner must not lose them.
 */
#define ABUSE_FLAGS PFA_CONFIG_GENERATIONS
#include "abuse.h"

ABUSE("pfa_free_checked: stale handle: its block was freed or split since (pfn 128, order 3)")
{
	struct pfa_handle handle;
	take_at(pfa, 128, 3);
	must(pfa_handle_of(pfa, 128, 3, &handle));
	must(pfa_free_checked(pfa, &handle));
	must(pfa_cache_drain(pfa, PFA_ALL_CPUS));
	take_at(pfa, 128, 3);
	misuse(pfa_free_checked(pfa, &handle));
}
