/* SPDX-License-Identifier: MIT
 *
 * Layer 4: the quarantine of a cpu (level 3): a queue of freed blocks of any zone and order, so that a block is granted
 * again only after config.quarantine further frees on its cpu. Its first byte says QUARANTINE | order exactly while it is
 * in a queue. The functions want the cpu's cache lock held.
 */
#ifndef PFAI_QUARANTINE_H
#define PFAI_QUARANTINE_H

#include "pcpu.h"

/* A FREEING block of z joins the queue; where that is full the oldest block leaves it, for its slot or its zone. PFA_OK,
 * or PFA_ECORRUPT: so, too, but damage was met. PFA_EAGAIN: nothing happened: there is no queue (caches are disabled), its pageblock
 * is held, blocks are not to be held back now, or there is no room, since a zone's lock is busy and cannot be waited for. */
int pfai_quarantine_put(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z, size_t offset, unsigned order);

/* The queue is full: pfa.evict of its oldest blocks leave it at once, which costs less for each. PFA_OK, PFA_ECORRUPT;
 * PFA_EAGAIN: it may still be full. */
int pfai_quarantine_settle(struct pfa *p, struct pfai_cpu *c);

/* Blocks go back to their zones: all; those of z that overlap the offsets [lo, hi). PFA_OK, PFA_EBUSY, PFA_ECORRUPT. */
int pfai_quarantine_flush(struct pfa *p, struct pfai_cpu *c);
int pfai_quarantine_purge(struct pfa *p, struct pfai_cpu *c, struct pfai_zone *z, size_t lo, size_t hi);

/* The blocks of a zone that refuses are taken out; they are lost until a repair. */
void pfai_quarantine_abandon(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z);

/* A zone is repaired: none of its blocks are in the queue from now on. The set lock is held. */
void pfai_quarantine_reset(struct pfa *p, struct pfai_cpu *c, const struct pfai_zone *z);

/* The queue is used (or not, and then it must be empty). */
static inline void pfai_quarantine_enable(const struct pfa *p, struct pfai_cpu *c, bool on)
{
	if (p->quarantine)
		pfai_full_of(p, c)->cap = on ? p->quarantine : 0;
}

#endif
