/* SPDX-License-Identifier: MIT
 *
 * Layer 8: where everything lies in the caller's memory. One walk serves pfa_size (counts) and pfa_init (places).
 */
#ifndef PFAI_LAYOUT_H
#define PFAI_LAYOUT_H

#include "instance.h"

#define PFAI_LAYOUT_ALIGN 64u /* a cache line */

/* The configuration, checked and with its defaults filled in. */
struct pfai_geometry {
	unsigned frame_shift, max_order, pb_order, leaf_order;
	unsigned cached_orders, slot_shift, level;
	uint32_t nr_cpus, nr_zones, cache_high, cache_batch;
	bool caches_default_high, track_zero, generations, reporting;
	uint32_t nr_history, nr_traces, max_owners, nr_cma;
	size_t guard; /* bytes; 0: none */
	enum pfa_poison poison;
	uint32_t quarantine, evict; /* as in struct pfa */
	pfa_pfn base;
	size_t span;
};

/* One zone's share of it. */
struct pfai_zone_geometry {
	unsigned top_order;
	pfa_pfn origin;
	size_t nr_rel, nr_pb, nr_leaves, set_words;
	uint32_t set_start[PFA_ORDER_LIMIT + 1];
};

/* Checks everything about cfg. PFA_CONFIG_FINE, and *g is filled in; else what is wrong, and *index says where. */
enum pfa_config_problem pfai_config_check(const struct pfa_config *cfg, struct pfai_geometry *g, unsigned *index);

/* Zone i of a checked configuration (its stride is its own size field). */
const struct pfa_zone_config *pfai_config_zone(const struct pfa_config *cfg, uint32_t i);

void pfai_zone_geometry(const struct pfai_geometry *g, const struct pfa_zone_config *zc, struct pfai_zone_geometry *out);

/* Blocks that a slot of this order may hold for a zone. 0: the order is not cached for it. */
unsigned pfai_slot_cap(const struct pfai_geometry *g, size_t zone_frames, unsigned order, unsigned *keep);

/* What the metadata has to be aligned to. */
static inline size_t pfai_layout_align(const struct pfai_geometry *g)
{
	return g->guard > PFAI_LAYOUT_ALIGN ? g->guard : PFAI_LAYOUT_ALIGN;
}

/* Walks the layout; the root lies g->guard bytes from its start. memory NULL: counts only. Else p's pointers are set. False: the size overflows. */
bool pfai_layout(const struct pfa_config *cfg, const struct pfai_geometry *g, unsigned char *memory, struct pfa *p,
                 size_t *out_bytes);

/* Bytes of it that are the owner table. */
static inline size_t pfai_owner_bytes(const struct pfai_geometry *g)
{
	return g->max_owners ? g->span * sizeof(struct pfai_entry) : 0;
}

#endif
