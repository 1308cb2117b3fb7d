/* SPDX-License-Identifier: MIT
 *
 * The core with platform/single, from C++.
 */
#include "core.h"
#include <pfa/single.h>

int main()
{
	struct pfa_platform platform;

	pfa_single_platform(&platform, nullptr, nullptr);
	return consumer_core(&platform);
}
