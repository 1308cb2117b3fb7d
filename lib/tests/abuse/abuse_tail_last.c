/* SPDX-License-Identifier: MIT
 *
 * The last frame of a large block.
 */
#include "abuse.h"

ABUSE("pfa_free: not the first frame of a block (pfn 511, order 0)")
{
	take_at(pfa, 256, 8);
	misuse(pfa_free(pfa, 511, 0));
}
