/* SPDX-License-Identifier: MIT
 *
 * A block of another instance, which has the same pfns.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 128, order 3)")
{
	struct pfa *other = abuse_instance();
	take_at(other, 128, 3);
	misuse(pfa_free(pfa, 128, 3));
}
