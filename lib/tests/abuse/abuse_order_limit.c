/* SPDX-License-Identifier: MIT
 *
 * An order that no block can have.
 */
#include "abuse.h"

ABUSE("pfa_free: the order is above max_order (pfn 256, order 9)")
{
	take_at(pfa, 256, 8);
	misuse(pfa_free(pfa, 256, 9));
}
