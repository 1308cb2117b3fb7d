/* SPDX-License-Identifier: MIT
 *
 * The memory has become the inside of somebody's larger block; the old owner frees again.
 */
#include "abuse.h"

ABUSE("pfa_free: not the first frame of a block (pfn 260, order 2)")
{
	take_at(pfa, 260, 2);
	must(pfa_free_range(pfa, 260, 4));
	take_at(pfa, 256, 4);
	misuse(pfa_free(pfa, 260, 2));
}
