/* SPDX-License-Identifier: MIT */
#include <pfa/pfa.h>

#include "basic.h"
#include "closed.h"
#include "damage.h"
#include "fault.h"
#include "free.h"
#include "freeing.h"
#include "movable.h"
#include "pcpu.h"
#include "refuse.h"
#include "verified.h"

/* Past the caches: claims the block, then gives it to its zone. No lock held. */
static int free_direct(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	struct pfai_zone *z = pfai_zone_of(p, pfn);
	if (!z || order > p->max_order)
		return pfai_refuse_block(p, pfn, order, function);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, function);
	pfai_a8 *byte = &p->bytes[pfn - p->base];
	if (!pfai_claim(byte, PFAI_HEAD | order, PFAI_FREEING | order))
		return pfai_free_other(p, pfn, order, function);
	if (!pfai_zone_lock(p, z)) {
		pfai_store_release(byte, (uint8_t)(PFAI_HEAD | order));
		return PFA_EBUSY;
	}
	if (PFAI_LIKELY(pfai_block_returnable(p, z, pfn - p->base, order))) {
		pfai_block_returns(p, pfn - p->base, order);
		pfai_zone_put_locked(p, z, pfn - z->origin, order, false);
		z->st->direct_frees += (size_t)1 << order;
	} else {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		pfai_store_release(byte, (uint8_t)(PFAI_HEAD | order)); /* it stays the caller's */
	}
	pfai_zone_unlock(p, z);
	if (PFAI_UNLIKELY(pfai_load_relaxed(&z->st->corrupt)))
		return pfai_tell(p, function);
	return PFA_OK;
}

int pfai_free_block(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function)
{
	return p->hooks || pfai_level(p, 3) ? pfai_free_hooked(p, pfn, order, function)
	                                    : free_direct(p, pfn, order, function);
}

/* A full slot gives its older half back. Cache lock held. PFA_OK: there is room now. */
static int free_make_room(struct pfa *p, struct pfai_cpu *c, size_t slot)
{
	struct pfai_zone *z = &p->zones[pfai_slot_zone(p, slot)];
	if (!pfai_zone_lock(p, z))
		return PFA_EBUSY;
	bool ok = pfai_slot_flush_locked(p, c, z, slot, pfai_slot_batch(p, slot));
	pfai_zone_unlock(p, z);
	return ok ? PFA_OK : PFA_ECORRUPT;
}

/* Claims the block and puts it into this cpu's cache, making room if need be. Cache lock held. The claim comes first, so
 * that a free that is going to be refused moves nothing. @return PFA_OK; else nothing changed: PFA_EAGAIN: there is no
 * slot for it, or the claim failed (the way past the cache finds out); PFA_EBUSY, PFA_ECORRUPT: no room could be made. */
static int free_to_cache(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	size_t slot = pfai_slot_by_route(p, offset, order);
	if (PFAI_UNLIKELY(slot == PFAI_NONE || !pfai_slot_sound(p, c, slot)))
		return PFA_EAGAIN;
	struct pfai_slot *s = &c->slots[slot];
	if (!s->cap || !pfai_claim(&p->bytes[offset], PFAI_HEAD | order, PFAI_CACHED | order))
		return PFA_EAGAIN;
	int room = s->n == s->cap ? free_make_room(p, c, slot) : PFA_OK;
	if (room != PFA_OK) {
		pfai_store_release(&p->bytes[offset], (uint8_t)(PFAI_HEAD | order));
		return room;
	}
	pfai_entries_at(c, s->start)[s->n] = (uint32_t)offset;
	s->n++;
	s->frees++;
	pfai_store_relaxed(&c->held, 1u);
	return PFA_OK;
}

int PFAI_NOINLINE pfai_free_full(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	int result = free_to_cache(p, c, offset, order);
	pfai_cpu_unlock(p, c);
	if (result == PFA_EAGAIN)
		return free_direct(p, p->base + offset, order, "pfa_free");
	return pfai_told(p, result, "pfa_free");
}

int PFAI_NOINLINE pfai_free_refused(struct pfa *p, struct pfai_cpu *c, size_t offset, unsigned order)
{
	pfai_cpu_unlock(p, c);
	return pfai_free_other(p, p->base + offset, order, "pfa_free");
}

int PFAI_NOINLINE pfai_free_slow(struct pfa *p, pfa_pfn pfn, unsigned order)
{
	struct pfai_cpu *c = NULL;
	int closed = pfai_closed(p, "pfa_free");
	if (closed != PFA_OK)
		return closed;
	if (PFAI_UNLIKELY(p->hooks || pfai_level(p, 3)))
		return pfai_free_hooked(p, pfn, order, "pfa_free");
	if (order < p->cached_orders && pfn - p->base < p->span)
		c = pfai_cpu_mine(p);
	return c ? pfai_free_full(p, c, pfn - p->base, order) : free_direct(p, pfn, order, "pfa_free");
}

/* A leaf function, as pfa_alloc(). */
int pfa_free(struct pfa *p, pfa_pfn pfn, unsigned order)
{
	size_t offset = pfn - p->base;
	uint32_t cpu = pfai_fast_cpu(p);
	if (PFAI_UNLIKELY(offset >= p->span || cpu >= p->nr_cpus))
		return pfai_free_slow(p, pfn, order);
	struct pfai_cpu *c = pfai_cpu_at(p, cpu);
	if (PFAI_UNLIKELY(order >= p->fast_orders))
		return PFA_HARDENING < 2 ? pfai_free_slow(p, pfn, order) : p->free_path(p, c, order, offset);
	if (PFAI_UNLIKELY(!pfai_cpu_try_lock(p, c)))
		return pfai_free_slow(p, p->base + offset, order); /* not pfn: that would need a register */
	return PFAI_INSIDE_VERIFIED ? pfai_verified_free(p, c, order, offset) : pfai_basic_free(p, c, order, offset);
}

/* ---- bulk -------------------------------------------------------------------------------------------------------- */

/* Pushes pfns into this cpu's cache while that is simple. Cache lock held. Returns how many. */
static size_t bulk_push(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t nr, const pfa_pfn pfns[])
{
	size_t done = 0;
	while (done < nr && pfns[done] - p->base < p->span && free_to_cache(p, c, pfns[done] - p->base, order) == PFA_OK)
		done++;
	return done;
}

int pfa_free_bulk(struct pfa *p, unsigned order, size_t nr, const pfa_pfn pfns[], size_t *out_nr)
{
	size_t done = 0;
	int result = pfai_closed(p, "pfa_free_bulk");
	*out_nr = 0;
	if (result != PFA_OK)
		return result;
	while (done < nr) {
		struct pfai_cpu *c = order < p->cached_orders && !p->hooks && !pfai_level(p, 3) ? pfai_cpu_mine(p) : NULL;
		if (c) {
			done += bulk_push(p, c, order, nr - done, pfns + done);
			pfai_cpu_unlock(p, c);
		}
		if (done == nr)
			break;
		result = pfai_free_block(p, pfns[done], order, "pfa_free_bulk");
		if (result != PFA_OK)
			break;
		done++;
	}
	*out_nr = done;
	return result;
}

int pfa_free_ptr(struct pfa *p, void *ptr, unsigned order)
{
	int closed = pfai_closed(p, "pfa_free_ptr");
	if (closed != PFA_OK)
		return closed;
	pfa_pfn pfn = 0;
	if (!p->pool)
		return PFA_ENOTSUP;
	uintptr_t in_frame = (uintptr_t)ptr & (((uintptr_t)1 << p->frame_shift) - 1);
	if (pfa_pfn_of(p, ptr, &pfn) != PFA_OK || in_frame)
		return pfai_fault(p, PFA_FAULT_FOREIGN_POINTER, pfn, order, "pfa_free_ptr");
	return pfa_free(p, pfn, order);
}
