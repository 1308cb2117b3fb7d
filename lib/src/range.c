/* SPDX-License-Identifier: MIT */
#include <pfa/contig.h>
#include <pfa/pfa.h>

#include "alloc.h"
#include "closed.h"
#include "damage.h"
#include "fault.h"
#include "freeing.h"
#include "generation.h"
#include "guard.h"
#include "refuse.h"

/* Is what was claimed a whole block? Where not, its zone is marked. */
static bool range_sound(struct pfa *p, size_t offset, unsigned order)
{
	struct pfai_zone *z = pfai_level(p, 2) ? pfai_zone_of(p, p->base + offset) : NULL;
	if (!z || PFAI_LIKELY(pfai_block_returnable(p, z, offset, order)))
		return true;
	pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
	return false;
}

/* Order of a block that range_claim() has claimed. */
static inline unsigned range_order(const struct pfa *p, size_t offset)
{
	return pfai_load_relaxed(&p->bytes[offset]) & PFAI_ORDER_MASK;
}

/* ---- exact ------------------------------------------------------------------------------------------------------- */

/* Last first, each released: a checker that runs meanwhile and sees one head sees all after it. */
static void range_write_heads(struct pfa *p, size_t offset, size_t nr_blocks, unsigned order)
{
	for (size_t i = nr_blocks; i--;)
		pfai_store_release(&p->bytes[offset + (i << order)], (uint8_t)(PFAI_HEAD | order));
}

/* The block rq.pfn, HEAD | order and the caller's alone, becomes nr_frames single frames; the rest goes back. */
static int exact_trim(struct pfa *p, const struct pfai_request *rq, size_t nr_frames)
{
	struct pfai_zone *z = rq->zone;
	size_t offset = rq->pfn - p->base, whole = (size_t)1 << rq->order;
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, rq->order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_zone_unlock(p, z);
		return pfai_tell(p, "pfa_alloc_exact");
	}
	range_write_heads(p, offset, nr_frames, 0);
	if (pfai_level(p, 2))
		pfai_tail_fill(p, offset + nr_frames, whole - nr_frames, PFAI_NOTHING);
	pfai_zone_put_run_locked(p, z, rq->pfn - z->origin + nr_frames, whole - nr_frames, rq->zero);
	z->st->direct_frees += whole - nr_frames;
	pfai_zone_steps(z, nr_frames);
	pfai_zone_unlock(p, z);
	return pfai_load_relaxed(&z->st->corrupt) ? pfai_tell(p, "pfa_alloc_exact") : PFA_OK;
}

int pfa_alloc_exact(struct pfa *p, size_t nr_frames, unsigned align_order, uint32_t flags, pfa_pfn *out)
{
	struct pfai_request rq;
	unsigned order = align_order;
	if (!nr_frames || align_order > p->max_order || nr_frames > (size_t)1 << p->max_order)
		return PFA_EINVAL;
	while ((size_t)1 << order < nr_frames)
		order++;
	int result = flags & PFA_GUARD ? PFA_EINVAL : pfai_request_parse(p, &rq, order, flags, "pfa_alloc_exact");
	if (result != PFA_OK)
		return result;
	result = pfai_request_serve(p, &rq);
	if (result != PFA_OK)
		return result;
	result = exact_trim(p, &rq, nr_frames);
	if (result != PFA_OK)
		return result == PFA_EBUSY ? pfai_request_undo(p, &rq, result) : result;
	result = pfai_request_finish(p, &rq, rq.pfn, nr_frames, 0);
	if (result == PFA_OK)
		*out = rq.pfn;
	return result;
}

/* ---- split ------------------------------------------------------------------------------------------------------- */

int pfa_split(struct pfa *p, pfa_pfn pfn, unsigned order, unsigned new_order)
{
	int closed = pfai_closed(p, "pfa_split");
	if (closed != PFA_OK)
		return closed;
	size_t offset = pfn - p->base;
	if (new_order > order)
		return PFA_EINVAL;
	if (offset >= p->span || order > p->max_order)
		return pfai_refuse_block(p, pfn, order, "pfa_split");
	if (!pfai_claim_block(p, offset, order))
		return pfai_refuse_block(p, pfn, order, "pfa_split");
	if (PFAI_UNLIKELY(!range_sound(p, offset, order))) {
		pfai_unclaim_block(p, offset, order);
		return pfai_tell(p, "pfa_split");
	}
	/* At level 2 the insides of the new blocks say TAIL already. */
	size_t nr = (size_t)1 << (order - new_order);
	range_write_heads(p, offset + ((size_t)1 << new_order), nr - 1, new_order);
	pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | new_order));
	pfai_hook_split(p, offset, order, new_order);
	return PFA_OK;
}

/* ---- free_range -------------------------------------------------------------------------------------------------- */

/* Claims the block at offset. *order: its own. */
static bool range_claim(struct pfa *p, size_t offset, size_t left, unsigned *order)
{
	uint8_t byte = pfai_load_relaxed(&p->bytes[offset]);
	*order = byte & PFAI_ORDER_MASK;
	return (byte & PFAI_STATE_MASK) == PFAI_HEAD && (size_t)1 << *order <= left &&
	       pfai_claim_block(p, offset, *order);
}

static void range_unclaim(struct pfa *p, size_t offset, size_t nr_frames)
{
	for (size_t at = offset; at < offset + nr_frames;) {
		unsigned order = range_order(p, at);
		pfai_unclaim_block(p, at, order);
		at += (size_t)1 << order;
	}
}

/* Claimed blocks of one zone go back, as what they are together. Zone lock held. */
static void range_put_locked(struct pfa *p, struct pfai_zone *z, size_t offset, size_t nr_frames)
{
	for (size_t at = offset; at < offset + nr_frames;) {
		unsigned order = range_order(p, at);
		pfai_block_returns(p, at, order);
		at += (size_t)1 << order;
	}
	pfai_zone_put_run_locked(p, z, offset + z->delta, nr_frames, p->hooks & PFAI_HOOK_CONTENT);
	z->st->direct_frees += nr_frames;
	pfai_zone_steps(z, nr_frames);
}

/* All blocks of the range are claimed, and nothing stands in the way of their free. */
static void range_freed(struct pfa *p, size_t offset, size_t nr_frames, const char *function)
{
	for (size_t at = offset; at < offset + nr_frames;) {
		unsigned order = range_order(p, at);
		if (pfai_level(p, 3))
			(void)pfai_guard_release(p, pfai_zone_of(p, p->base + at), at, (size_t)1 << order);
		pfai_hook_freed(p, at, order, function);
		at += (size_t)1 << order;
	}
}

/* A lock can only fail where nothing else runs (platform/single, called from an interrupt): so try all of them first. */
static bool range_zones_lockable(struct pfa *p, pfa_pfn first, size_t nr_frames)
{
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		if (z->end <= first || z->start >= first + nr_frames)
			continue;
		if (!pfai_zone_lock(p, z))
			return false;
		pfai_zone_unlock(p, z);
	}
	return true;
}

int pfai_range_free(struct pfa *p, pfa_pfn first, size_t nr_frames, const char *function)
{
	int closed = pfai_closed(p, function);
	if (closed != PFA_OK)
		return closed;
	size_t offset = first - p->base, claimed = 0;
	bool damaged = false;
	if (!nr_frames || first + nr_frames < first)
		return PFA_EINVAL;
	if (offset >= p->span || nr_frames > p->span - offset)
		return pfai_fault(p, PFA_FAULT_MIXED_RANGE, first, 0, function);
	for (uint32_t i = 0; i < p->nr_zones; i++)
		if (p->zones[i].end > first && p->zones[i].start < first + nr_frames && pfai_load_relaxed(&p->zones[i].st->corrupt))
			return PFA_ECORRUPT;
	while (claimed < nr_frames) {
		unsigned order;
		if (!range_claim(p, offset + claimed, nr_frames - claimed, &order)) {
			bool movable = (pfai_load_relaxed(&p->bytes[offset + claimed]) & PFAI_STATE_MASK) == PFAI_MOVABLE;
			range_unclaim(p, offset, claimed);
			return pfai_fault(p, movable ? PFA_FAULT_MOVABLE : PFA_FAULT_MIXED_RANGE, first + claimed, 0, function);
		}
		claimed += (size_t)1 << order;
		if (PFAI_UNLIKELY(!range_sound(p, offset + claimed - ((size_t)1 << order), order))) {
			range_unclaim(p, offset, claimed);
			return pfai_tell(p, function);
		}
	}
	if (!range_zones_lockable(p, first, nr_frames)) {
		range_unclaim(p, offset, nr_frames);
		return PFA_EBUSY;
	}
	if (p->hooks || pfai_level(p, 3)) {
		int code = PFA_OK;
		range_freed(p, offset, nr_frames, function);
		if (pfai_level(p, 3) && pfai_range_quarantined(p, offset, nr_frames, &code))
			return pfai_told(p, code, function);
	}
	while (nr_frames) {
		struct pfai_zone *z = pfai_zone_of(p, first);
		size_t here = z->end - first < nr_frames ? z->end - first : nr_frames;
		if (!pfai_zone_lock(p, z))
			return PFA_EBUSY;
		range_put_locked(p, z, first - p->base, here);
		pfai_zone_unlock(p, z);
		if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
			damaged = true;
		first += here;
		nr_frames -= here;
	}
	return damaged ? pfai_tell(p, function) : PFA_OK;
}

int pfa_free_range(struct pfa *p, pfa_pfn first, size_t nr_frames)
{
	return pfai_range_free(p, first, nr_frames, "pfa_free_range");
}

int pfa_free_contig_range(struct pfa *p, pfa_pfn start, size_t nr_frames)
{
	return pfai_range_free(p, start, nr_frames, "pfa_free_contig_range");
}
