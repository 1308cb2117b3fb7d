/* SPDX-License-Identifier: MIT
 *
 * Blocks that a test has, in no order.
 */
#ifndef LIVE_BLOCKS_H
#define LIVE_BLOCKS_H

#include <pfa/types.h>

enum { LIVE = 600 };

struct live {
	size_t nr;
	struct {
		pfa_pfn pfn;
		unsigned order;
	} block[LIVE];
};

#endif
