/* SPDX-License-Identifier: MIT
 *
 * Just past the last zone.
 */
#include "abuse.h"

ABUSE("pfa_free: out of range: the pfn is in no zone (pfn 1088, order 0)")
{
	misuse(pfa_free(pfa, ABUSE_FIRST + ABUSE_FRAMES, 0));
}
