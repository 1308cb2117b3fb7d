/* SPDX-License-Identifier: MIT
 *
 * Splits a frame that is not there.
 */
#include "abuse.h"

ABUSE("pfa_split: the frame is in a hole (pfn 902, order 0)")
{
	misuse(pfa_split(pfa, 902, 0, 0));
}
