/* SPDX-License-Identifier: MIT
 *
 * Layer 4: one zone's free memory: free map, index and counters moving together. The functions named _locked want the
 * zone's lock held; rels and orders are in range and aligned, which callers have checked.
 */
#ifndef PFAI_ZONE_H
#define PFAI_ZONE_H

#include "rank.h"
#include "route.h"
#include "tail.h"

/* False: the platform cannot wait. */
static inline bool pfai_zone_lock(struct pfa *p, struct pfai_zone *z)
{
	pfai_rank_check(p, &z->st->lock, PFAI_RANK_ZONE);
	if (!pfai_sleep_lock(&p->os, &z->st->lock))
		return false;
	pfai_rank_note(p, &z->st->lock);
	return true;
}

/* A lock can only fail to be taken where nothing else runs (platform/single, called from an interrupt that came while it
 * was held). So one that is free before a free begins can be had later, too: what has been done to the content then never
 * has to be undone. False: the lock is busy and cannot be waited for. */
bool pfai_zone_locks(struct pfa *p, struct pfai_zone *z); /* by trying */

static inline bool pfai_zone_lockable(struct pfa *p, struct pfai_zone *z)
{
	return PFAI_LIKELY(!pfai_load_relaxed(&z->st->lock.word)) || pfai_zone_locks(p, z);
}

/* Publishes the hints, runs the on-unlock hook, unlocks. */
void pfai_zone_unlock(struct pfa *p, struct pfai_zone *z);

static inline void pfai_zone_steps(struct pfai_zone *z, size_t steps)
{
	if (steps > z->st->events.lock_steps)
		z->st->events.lock_steps = steps;
}

/* Has what is freed to be noted for a device? */
static inline bool pfai_zone_listens(const struct pfai_zone *z)
{
	return PFAI_REPORTING && PFAI_UNLIKELY(z->st->reporting != 0);
}

/* Does the device know any frame? */
static inline bool pfai_zone_told_some(const struct pfai_zone *z)
{
	return PFAI_REPORTING && PFAI_UNLIKELY(z->st->told != 0);
}

/* Words of one leaf; the leaf of a rel. */
static inline unsigned pfai_leaf_words(const struct pfa *p)
{
	return 1u << (p->leaf_order - PFAI_WORD_SHIFT);
}

static inline pfai_word *pfai_leaf_at(const struct pfa *p, const struct pfai_zone *z, size_t leaf)
{
	return z->not_free + (leaf << (p->leaf_order - PFAI_WORD_SHIFT));
}

/* Elements that the set of an order ranges over. */
static inline size_t pfai_set_bits(const struct pfa *p, const struct pfai_zone *z, unsigned order)
{
	if (order <= p->leaf_order)
		return z->nr_leaves;
	return (z->nr_leaves + ((size_t)1 << (order - p->leaf_order)) - 1) >> (order - p->leaf_order);
}

static inline pfai_word *pfai_set_at(const struct pfai_zone *z, unsigned code, unsigned order)
{
	return z->sets + code * z->set_words + z->set_start[order];
}

/* Order of the free block, of leaf order or more, that contains this rel; -1: there is none. O(orders). */
int pfai_zone_containing_locked(const struct pfa *p, const struct pfai_zone *z, unsigned code, size_t rel);

/* Index entry: a leaf (order < leaf order) or a block (from the leaf order on) becomes on offer, or no longer is. */
void pfai_index_add(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i);
void pfai_index_del(const struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, size_t i);

/* Computes what a leaf offers and notes it; the caller puts it into its class. -1: nothing. */
int pfai_zone_fold_leaf_locked(const struct pfa *p, struct pfai_zone *z, size_t leaf);

/* Takes the free block [rel, 2^order) out of the free memory of its type. O(orders + leaf words + 2^order / word). */
void pfai_zone_take_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order);

/* Takes nr blocks, of leaf order or more, that lie side by side, and of which the device knows nothing. `from`: the order of the free
 * block around it, or of each if there are several. */
void pfai_zone_take_blocks_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr, int from);

/* Takes up to want blocks of an order from the free memory of one type, best fit, then lowest first; offsets in out. */
unsigned pfai_zone_grab_locked(struct pfa *p, struct pfai_zone *z, unsigned code, unsigned order, unsigned want,
                               uint32_t out[]);

/* Gives [rel, 2^order) back, merging; zero: its content is known to be zero. Where only some of its pageblocks are held, or CMA's, it
 * comes back in pieces, each to its own pageblock. O(orders + leaf words + 2^order / word). */
void pfai_zone_put_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, bool zero);

/* Gives back nr blocks that lie side by side, all in pageblocks that count as the same type; more than one only of the largest
 * order, and that a pageblock or more. */
void pfai_zone_put_blocks_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, size_t nr, bool zero);

/* Gives back the frames `mask` (not 0) of one word of the free map at once; `zero`: those of them known to be zero. */
void pfai_zone_put_word_locked(struct pfa *p, struct pfai_zone *z, size_t word, pfai_word mask, pfai_word zero);

/* Gives back single frames, of which nothing is known to be zero; those of one word that follow each other at once. */
void pfai_zone_put_frames_locked(struct pfa *p, struct pfai_zone *z, const uint32_t offsets[], unsigned nr);

/* Gives back frames of one leaf at once: a mask for each of its words that `words` has a bit for; zero: all of them are known to
 * be zero. */
void pfai_zone_put_leaf_locked(struct pfa *p, struct pfai_zone *z, size_t leaf, uint32_t words, const pfai_word masks[], bool zero);

/* Gives back any run, as its natural decomposition. O(nr_frames / word + orders). */
void pfai_zone_put_run_locked(struct pfa *p, struct pfai_zone *z, size_t rel, size_t nr_frames, bool zero);

/* Is the whole block known to be zero? To be asked before it is taken. */
bool pfai_zone_known_zero_locked(const struct pfa *p, const struct pfai_zone *z, size_t rel, size_t nr_frames);

/* Changes the type of a pageblock, free blocks and counters with it. O(leaves of the pageblock x orders). */
void pfai_zone_retype_locked(struct pfa *p, struct pfai_zone *z, size_t pb, unsigned code);

/* A pageblock without a holder gets one: its free memory is not on offer from now on, and frees go past the caches. What caches
 * have of it is still there. / It has none any more: its free memory is on offer again, as its own type. As above. */
void pfai_zone_hold_locked(struct pfa *p, struct pfai_zone *z, size_t pb, uint32_t token);
void pfai_zone_unhold_locked(struct pfa *p, struct pfai_zone *z, size_t pb);

/* Watermark: frames that a request may still take. See lib/docs/architecture.md (Marks). */
static inline ptrdiff_t pfai_zone_room_locked(const struct pfai_zone *z, size_t mark, bool high, bool cma)
{
	size_t free = z->st->free[PFAI_CODE_MOVABLE] + z->st->free[PFAI_CODE_UNMOVABLE] + z->st->free[PFAI_CODE_RECLAIMABLE];
	if (high)
		free += z->st->free[PFAI_CODE_HIGHATOMIC];
	if (cma)
		free += z->st->free[PFAI_CODE_CMA];
	return (ptrdiff_t)free - (ptrdiff_t)mark;
}

/* Damage was met: this zone refuses from now on. Whoever gets out of all locks next tells it (pfai_tell). */
void pfai_zone_mark_corrupt(struct pfai_zone *z, enum pfai_damage damage);

/* What the pageblock counts as; a type that does not exist marks the zone, at every level: it would be an index beyond tables. */
static inline unsigned pfai_zone_code_locked(struct pfai_zone *z, const struct pfai_pb *pb)
{
	if (PFAI_UNLIKELY(pb->code >= PFAI_CODES))
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return pfai_pb_code(pb);
}

/* Level 2: what must be so; where it is not, the zone is marked. True below level 2. */
static inline bool pfai_zone_must(const struct pfa *p, struct pfai_zone *z, bool so)
{
	if (!pfai_level(p, 2) || PFAI_LIKELY(so))
		return true;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return false;
}

/* nr frames of one pageblock leave the free memory of type code. */
static inline void pfai_zone_count_out_locked(const struct pfa *p, struct pfai_zone *z, unsigned code, struct pfai_pb *pb, uint32_t nr)
{
	if (pfai_level(p, 2))
		(void)pfai_zone_must(p, z, nr <= z->st->free[code] && nr <= ((size_t)1 << p->pb_order) - pb->used);
	z->st->free[code] -= nr;
	pb->used += nr;
}

/* Does a request for 2^order frames fit into this room? */
static inline bool pfai_room_fits(ptrdiff_t room, unsigned order)
{
	return room > 0 && (size_t)room >= (size_t)1 << order;
}

#endif
