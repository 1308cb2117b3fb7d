/* SPDX-License-Identifier: MIT
 *
 * A frame of a hole.
 */
#include "abuse.h"

ABUSE("pfa_free: the frame is in a hole (pfn 905, order 0)")
{
	misuse(pfa_free(pfa, 905, 0));
}
