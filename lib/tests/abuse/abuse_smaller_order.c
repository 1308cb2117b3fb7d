/* SPDX-License-Identifier: MIT
 *
 * Freed as a smaller block than it is.
 */
#include "abuse.h"

ABUSE("pfa_free: wrong order: the block was allocated with another one (pfn 128, order 2)")
{
	take_at(pfa, 128, 5);
	misuse(pfa_free(pfa, 128, 2));
}
