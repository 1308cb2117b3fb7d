/* SPDX-License-Identifier: MIT
 *
 * Splits a block whose first frame is bad.
 */
#include "abuse.h"

#include <pfa/harden.h>

ABUSE("pfa_split: the frame was marked bad (pfn 320, order 2)")
{
	must(pfa_mark_bad(pfa, 320));
	misuse(pfa_split(pfa, 320, 2, 0));
}
