/* SPDX-License-Identifier: MIT
 *
 * A consumer of the owners of movable frames: all three are there and link, and so are the devices, with what they need.
 */
#include <pfa/balloon.h>
#include <pfa/copy.h>
#include <pfa/devices.h>
#include <pfa/mapped.h>
#include <pfa/zstore.h>

int main(void)
{
	static _Alignas(64) char from[64] = "copied", to[64];
	struct pfa_discard discard;
	struct pfa_mapped *arena;

	pfa_copy_frames(to, from, sizeof(to));
	/* A configuration that says nothing is not valid, wherever it is looked at. */
	const struct pfa_balloon_config balloon = {.size = sizeof(balloon)};
	const struct pfa_zstore_config store = {.size = sizeof(store)};
	const struct pfa_mapped_config mapped = {.size = sizeof(mapped)};
	const struct pfa_host_config host = {.size = sizeof(host)};
	return to[5] != 'd' || pfa_balloon_bytes(&balloon) != 0 || pfa_zstore_bytes(&store) != 0 ||
	       pfa_mapped_create(&mapped, &arena) != PFA_EINVAL || pfa_host_bytes(&host) != 0 ||
	       pfa_discard_init(&discard, NULL) != PFA_EINVAL;
}
