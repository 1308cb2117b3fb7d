/* SPDX-License-Identifier: MIT
 *
 * The frame became bad when its block was freed; the second free meets it.
 */
#include "abuse.h"

#include <pfa/harden.h>

ABUSE("pfa_free: the frame was marked bad (pfn 304, order 1)")
{
	take_at(pfa, 304, 1);
	must(pfa_mark_bad(pfa, 304) == PFA_EAGAIN ? PFA_OK : PFA_ERANGE);
	must(pfa_free(pfa, 304, 1));
	misuse(pfa_free(pfa, 304, 1));
}
