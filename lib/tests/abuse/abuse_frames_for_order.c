/* SPDX-License-Identifier: MIT
 *
 * The number of frames where the order belongs.
 */
#include "abuse.h"

ABUSE("pfa_free: misaligned: the pfn is no multiple of the block's size (pfn 136, order 8)")
{
	take_at(pfa, 136, 3);
	misuse(pfa_free(pfa, 136, 8));
}
