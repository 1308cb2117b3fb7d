/* SPDX-License-Identifier: MIT
 *
 * Frees a frame that was free and is marked bad.
 */
#include "abuse.h"

#include <pfa/harden.h>

ABUSE("pfa_free: the frame was marked bad (pfn 300, order 0)")
{
	must(pfa_mark_bad(pfa, 300));
	misuse(pfa_free(pfa, 300, 0));
}
