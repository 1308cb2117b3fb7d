/* SPDX-License-Identifier: MIT
 *
 * Splits the largest block as if it were larger.
 */
#include "abuse.h"

ABUSE("pfa_split: the order is above max_order (pfn 256, order 9)")
{
	take_at(pfa, 256, 8);
	misuse(pfa_split(pfa, 256, 9, 0));
}
