/* SPDX-License-Identifier: MIT
 *
 * Layer 3: the bytes inside a block. At hardening level 2 and up every frame of a block but its first says TAIL as long
 * as the block is not free, so that the bytes alone tell which frames are in use: before a block is granted they must
 * all say NOTHING, before it goes back its inside must say TAIL. Below level 2 the inside says NOTHING, and nothing here
 * does anything. Never on a cache hit: a cached block keeps its TAILs.
 * Guard: the zone's lock, or a block that is the caller's.
 */
#ifndef PFAI_TAIL_H
#define PFAI_TAIL_H

#include "instance.h"

/* Do nr frame bytes all have this value? The first that has not, or nr. O(nr / word). */
size_t pfai_tail_verify(const struct pfa *p, size_t offset, size_t nr, uint8_t value);

/* Writes nr frame bytes. O(nr / word). */
void pfai_tail_fill(struct pfa *p, size_t offset, size_t nr, uint8_t value);

/* Does the block lie inside its zone, and are all of its frames' bytes NOTHING? (level 2) */
bool pfai_tail_all_free(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order);

/* Does the block, whose order may have been read from a damaged byte, lie inside its zone, and is its inside TAIL? */
bool pfai_tail_inside_sound(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order);

/* Offsets of the zone's frames are start .. start + nr - 1; wrong ones, however large, are outside. */
static inline bool pfai_tail_in_zone(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	size_t nr = z->end - z->start, at = p->base + offset - z->start;
	return order <= z->top_order && at < nr && (size_t)1 << order <= nr - at;
}

/* May the frames that the free map offers be granted? */
static inline bool pfai_block_grantable(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	if (!pfai_level(p, 2))
		return true;
	return order ? pfai_tail_all_free(p, z, offset, order)
	             : pfai_tail_in_zone(p, z, offset, 0) && pfai_load_relaxed(&p->bytes[offset]) == PFAI_NOTHING;
}

/* May this block, HEAD or CACHED, go back? */
static inline bool pfai_block_returnable(const struct pfa *p, const struct pfai_zone *z, size_t offset, unsigned order)
{
	if (!pfai_level(p, 2))
		return true;
	return order ? pfai_tail_inside_sound(p, z, offset, order) : pfai_tail_in_zone(p, z, offset, 0);
}

/* A grantable block leaves the free memory with this byte. */
static inline void pfai_block_leaves(struct pfa *p, size_t offset, unsigned order, unsigned byte)
{
	if (pfai_level(p, 2) && order)
		pfai_tail_fill(p, offset + 1, ((size_t)1 << order) - 1, PFAI_TAIL);
	pfai_store_relaxed(&p->bytes[offset], (uint8_t)byte);
}

/* A returnable block joins the free memory. */
static inline void pfai_block_returns(struct pfa *p, size_t offset, unsigned order)
{
	if (pfai_level(p, 2) && order)
		pfai_tail_fill(p, offset + 1, ((size_t)1 << order) - 1, PFAI_NOTHING);
	pfai_store_relaxed(&p->bytes[offset], PFAI_NOTHING);
}

#endif
