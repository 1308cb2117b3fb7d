/* SPDX-License-Identifier: MIT
 *
 * A block is split, and freed as a whole by the handle of before.
 */
#define ABUSE_FLAGS PFA_CONFIG_GENERATIONS
#include "abuse.h"

ABUSE("pfa_free_checked: stale handle: its block was freed or split since (pfn 256, order 4)")
{
	struct pfa_handle handle;
	take_at(pfa, 256, 4);
	must(pfa_handle_of(pfa, 256, 4, &handle));
	must(pfa_split(pfa, 256, 4, 0));
	misuse(pfa_free_checked(pfa, &handle));
}
