/* SPDX-License-Identifier: MIT
 *
 * The core with platform/posix, from C.
 */
#include "core.h"
#include <pfa/posix.h>

int main(void)
{
	struct pfa_platform platform;

	pfa_posix_platform(&platform);
	return consumer_core(&platform);
}
