/* SPDX-License-Identifier: MIT
 *
 * A bad frame in the middle of a range.
 */
#include "abuse.h"

#include <pfa/harden.h>

ABUSE("pfa_free_range: the range is not wholly the caller's blocks (pfn 321, order 0)")
{
	must(pfa_mark_bad(pfa, 321));
	take_at(pfa, 320, 0);
	take_at(pfa, 322, 0);
	misuse(pfa_free_range(pfa, 320, 3));
}
