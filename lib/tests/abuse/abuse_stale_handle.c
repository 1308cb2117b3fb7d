/* SPDX-License-Identifier: MIT
 *
 * A handle is used twice.
 */
#define ABUSE_FLAGS PFA_CONFIG_GENERATIONS
#include "abuse.h"

ABUSE("pfa_free_checked: stale handle: its block was freed or split since (pfn 896, order 2)")
{
	struct pfa_handle handle;
	must(pfa_alloc_checked(pfa, 2, PFA_MOVABLE, &handle));
	must(pfa_free_checked(pfa, &handle));
	misuse(pfa_free_checked(pfa, &handle));
}
