/* SPDX-License-Identifier: MIT
 *
 * A split where no zone is.
 */
#include "abuse.h"

ABUSE("pfa_split: out of range: the pfn is in no zone (pfn 4096, order 4)")
{
	misuse(pfa_split(pfa, 4096, 4, 0));
}
