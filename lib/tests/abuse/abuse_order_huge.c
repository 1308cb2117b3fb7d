/* SPDX-License-Identifier: MIT
 *
 * An order that does not even fit a shift.
 */
#include "abuse.h"

ABUSE("pfa_free: the order is above max_order (pfn 256, order 64)")
{
	take_at(pfa, 256, 0);
	misuse(pfa_free(pfa, 256, 64));
}
