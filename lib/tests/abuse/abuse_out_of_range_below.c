/* SPDX-License-Identifier: MIT
 *
 * Just before the first zone, in its address span's alignment.
 */
#include "abuse.h"

ABUSE("pfa_free: out of range: the pfn is in no zone (pfn 63, order 0)")
{
	misuse(pfa_free(pfa, ABUSE_FIRST - 1, 0));
}
