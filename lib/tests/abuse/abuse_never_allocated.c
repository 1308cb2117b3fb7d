/* SPDX-License-Identifier: MIT
 *
 * A frame that nobody ever got.
 */
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 700, order 2)")
{
	misuse(pfa_free(pfa, 700, 2));
}
