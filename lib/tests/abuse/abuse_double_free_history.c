/* SPDX-License-Identifier: MIT
 *
 * A double free, and the last two of the events that led to it.
 */
#define ABUSE_HISTORY 2
#include "abuse.h"

ABUSE("pfa_free: double free: the block is free already (pfn 128, order 3)\n"
      "libpfa:   #4 freed, order 3, pfn 128, thread 1, tag 12\n"
      "libpfa:   #3 allocated, order 3, pfn 128, thread 1, tag 11")
{
	for (uint32_t round = 0; round < 2; round++) {
		pfa_posix_set_tag(10 * round + 1);
		take_at(pfa, 128, 3);
		pfa_posix_set_tag(10 * round + 2);
		must(pfa_free(pfa, 128, 3));
		must(pfa_cache_drain(pfa, PFA_ALL_CPUS));
	}
	misuse(pfa_free(pfa, 128, 3));
}
