/* SPDX-License-Identifier: MIT
 *
 * The second half of a block, with the order of a half.
 */
#include "abuse.h"

ABUSE("pfa_free: not the first frame of a block (pfn 384, order 7)")
{
	take_at(pfa, 256, 8);
	misuse(pfa_free(pfa, 384, 7));
}
