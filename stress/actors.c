/* SPDX-License-Identifier: MIT
 *
 * The table of actors. A new one is a file actor_<name>.c, a line in soak.h and a line here.
 */
#include "soak.h"

const struct soak_actor *const soak_actors[] = {
	&soak_actor_mixed, &soak_actor_remote, &soak_actor_bulk, &soak_actor_exact,
	&soak_actor_window, &soak_actor_urgent, &soak_actor_caches, &soak_actor_stats,
	&soak_actor_checker, &soak_actor_service, &soak_actor_misuser, &soak_actor_churn,
	&soak_actor_forker, &soak_actor_signals, &soak_actor_owner, &soak_actor_pinner,
	&soak_actor_migrator, &soak_actor_compactor, &soak_actor_brief,
	&soak_actor_balloon, &soak_actor_contig, &soak_actor_cma,
	&soak_actor_hotplug, &soak_actor_report, &soak_actor_walk,
#if SOAK_ZSTORE
	&soak_actor_zstore,
#endif
#if SOAK_MAPPED
	&soak_actor_mapped,
#endif
};
const unsigned soak_nr_actors = sizeof(soak_actors) / sizeof(soak_actors[0]);

_Static_assert(sizeof(soak_actors) / sizeof(soak_actors[0]) <= SOAK_ACTORS_MAX, "slots have room for every actor");
