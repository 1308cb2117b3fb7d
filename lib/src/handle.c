/* SPDX-License-Identifier: MIT
 *
 * Handles of blocks: the generation of the first frame beside its pfn.
 */
#include <pfa/pfa.h>

#include "closed.h"
#include "damage.h"
#include "fault.h"
#include "freeing.h"
#include "generation.h"
#include "movable.h"
#include "refuse.h"

int pfa_alloc_checked(struct pfa *p, unsigned order, uint32_t flags, struct pfa_handle *out)
{
	int closed = pfai_closed(p, "pfa_alloc_checked");
	if (closed != PFA_OK)
		return closed;
	pfa_pfn pfn = 0;
	if (!p->generations)
		return PFA_ENOTSUP;
	int result = pfa_alloc(p, order, flags, &pfn);
	if (result == PFA_OK)
		*out = (struct pfa_handle){ pfn, pfai_load_relaxed(&p->generations[pfn - p->base]), order };
	return result;
}

int pfa_handle_of(struct pfa *p, pfa_pfn pfn, unsigned order, struct pfa_handle *out)
{
	int closed = pfai_closed(p, "pfa_handle_of");
	if (closed != PFA_OK)
		return closed;
	size_t offset = pfn - p->base;
	if (!p->generations)
		return PFA_ENOTSUP;
	if (offset >= p->span || order > p->max_order)
		return pfai_refuse_block(p, pfn, order, "pfa_handle_of");
	uint32_t generation = pfai_load_acquire(&p->generations[offset]);
	if ((generation & 1) || (pfai_load_acquire(&p->bytes[offset]) != (PFAI_HEAD | order) && !pfai_movable_at(p, offset, order)))
		return pfai_refuse_block(p, pfn, order, "pfa_handle_of");
	*out = (struct pfa_handle){ pfn, generation, order };
	return PFA_OK;
}

int pfa_free_checked(struct pfa *p, const struct pfa_handle *handle)
{
	int closed = pfai_closed(p, "pfa_free_checked");
	if (closed != PFA_OK)
		return closed;
	const char *const function = "pfa_free_checked";
	struct pfai_zone *z = pfai_zone_of(p, handle->pfn);
	size_t offset = handle->pfn - p->base;
	if (!p->generations)
		return PFA_ENOTSUP;
	if (!z || handle->order > p->max_order)
		return pfai_refuse_block(p, handle->pfn, handle->order, function);
	if (pfai_load_relaxed(&z->st->corrupt))
		return pfai_tell(p, function);
	if (!pfai_zone_lockable(p, z))
		return PFA_EBUSY;
	if (pfai_claim_generation(p, offset, handle->order, handle->generation))
		return pfai_free_claimed(p, z, offset, handle->order, function);
	if (pfai_load_relaxed(&p->generations[offset]) != handle->generation || (handle->generation & 1))
		return pfai_fault(p, PFA_FAULT_STALE_HANDLE, handle->pfn, handle->order, function);
	return pfai_free_other(p, handle->pfn, handle->order, function);
}
