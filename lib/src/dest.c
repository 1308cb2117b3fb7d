/* SPDX-License-Identifier: MIT */
#include "dest.h"

#include "content.h"
#include "freeing.h"
#include "generation.h"

#define DEST_FLAGS (PFA_TYPE_MASK | PFA_NOWAIT | PFA_HIGH | PFA_NORETRY | PFA_EXACT_ZONE | 0xFF000000u)

bool pfai_dest_fine(const struct pfa *p, const struct pfa_dest *dest, struct pfai_request *rq)
{
	const unsigned char *bytes = (const unsigned char *)dest;
	if (dest->size < sizeof(*dest) || !pfa_migrate_tries(dest->mode))
		return false;
	for (size_t i = sizeof(*dest); i < dest->size; i++)
		if (bytes[i])
			return false;
	uint32_t flags = dest->flags | (dest->mode == PFA_MIGRATE_ASYNC ? PFA_NOWAIT : 0);
	return dest->take || (!(dest->flags & ~DEST_FLAGS) && pfai_request_parse(p, rq, 0, flags, "pfa_migrate") == PFA_OK);
}

bool pfai_dest_take_held(struct pfa *p, struct pfai_migration *call, size_t more)
{
	struct pfai_hand *hand = &call->hand;
	struct pfai_move *m = &call->move;
	if (PFAI_LIKELY(pfai_hand_has(hand, m->order))) {
		m->dst = pfai_hand_take(p, hand);
		m->to = hand->zone;
		m->taken = true;
	} else {
		m->taken = call->from_hand && pfai_hand_refill(p, hand, &call->rq, m->order, call->has_hand ? more : 0, &m->dst);
		if (m->taken)
			m->to = pfai_zone_of(p, p->base + m->dst);
	}
	/* For the next one's address alone: to translate it takes longer than to read memory, but not longer than a copy. */
	if (p->pool && hand->at < hand->n)
		pfai_prefetch_once(pfai_frame_at(p, p->base + hand->offset[hand->at]));
	return m->taken;
}

int pfai_dest_take(struct pfa *p, struct pfai_migration *call)
{
	const struct pfa_dest *dest = call->dest;
	struct pfai_move *m = &call->move;
	struct pfai_request rq = call->rq;
	pfa_pfn pfn = 0;
	m->taken = false;
	if (dest->take) {
		if (dest->take(dest->ctx, p->base + m->src, m->order, &pfn) != PFA_OK)
			return PFA_ENOMEM;
		m->dst = pfn - p->base;
		m->to = pfai_zone_of(p, pfn);
		if (m->to)
			return PFA_OK;
		pfai_move_wrong_dst(m, PFA_FAULT_DESTINATION);
		return PFA_EMISUSE;
	}
	rq.order = m->order;
	int result = pfai_request_serve(p, &rq);
	if (result == PFA_OK)
		result = pfai_request_finish(p, &rq, rq.pfn, (size_t)1 << m->order, m->order);
	if (result == PFA_OK) {
		m->dst = rq.pfn - p->base;
		m->to = rq.zone;
	}
	return result == PFA_OK || result == PFA_ECORRUPT ? result : PFA_ENOMEM;
}

void PFAI_COLD pfai_dest_give(struct pfa *p, const struct pfa_dest *dest, const struct pfai_move *m)
{
	if (m->dst == PFAI_NONE)
		return;
	if (m->taken) /* it was not even looked at */
		pfai_unclaim_block(p, m->dst, m->order);
	if (dest->take && dest->give)
		dest->give(dest->ctx, p->base + m->dst, m->order);
	else
		(void)pfai_free_block(p, p->base + m->dst, m->order, m->function);
}
