/* SPDX-License-Identifier: MIT
 *
 * The block waits in its cpu's quarantine.
 */
#define ABUSE_LEVEL 3
#include "abuse.h"

ABUSE("pfa_free: double free: the block is in quarantine already (pfn 128, order 3)")
{
	take_at(pfa, 128, 3);
	must(pfa_free(pfa, 128, 3));
	misuse(pfa_free(pfa, 128, 3));
}
