/* SPDX-License-Identifier: MIT
 *
 * A pfn as a wild variable has it.
 */
#include "abuse.h"

ABUSE("pfa_free: out of range: the pfn is in no zone (pfn 3735928559, order 0)")
{
	misuse(pfa_free(pfa, 0xDEADBEEFu, 0));
}
