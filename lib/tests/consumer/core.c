/* SPDX-License-Identifier: MIT
 *
 * The core alone, with a platform in which every op is left to its default.
 */
#include "core.h"

int main(void)
{
	struct pfa_platform platform = {.size = sizeof(platform)};

	return consumer_core(&platform);
}
