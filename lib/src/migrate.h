/* SPDX-License-Identifier: MIT
 *
 * Layer 5: moving one block: isolated -> exactly one of migrated, put back, released. Who moves it holds REF_ISOLATED, which keeps
 * the block's frames from being used again, and no lock between the steps.
 */
#ifndef PFAI_MIGRATE_H
#define PFAI_MIGRATE_H

#include "hand.h"
#include "movable.h"

struct pfai_move {
	size_t src, dst; /* offsets */
	struct pfai_zone *zone, *to; /* of src; of dst */
	unsigned order;
	enum pfa_migrate_mode mode;
	struct pfai_hand *hand;       /* NULL, or who gives the source back when it has moved */
	struct pfai_request *capture; /* NULL, or a request that takes what becomes free when the block has moved */
	const struct pfai_owner *owner; /* src's, who does not change while it is isolated */
	bool held;            /* src is isolated, and its page lock is still the mover's */
	bool counted;         /* src counts as isolated, since the mover has given its page lock up */
	bool taken;           /* dst is FREEING, from the hand; else it is HEAD */
	size_t ahead;         /* PFAI_NONE, or the block that is probably moved next */
	uint32_t slot;        /* of pfai_mover_begin() */
	uint32_t self;        /* the mover: pfai_self() */
	const char *function; /* for faults */
	/* Broken promises, told when the page locks are given up: an op said what it must not; and what is wrong with the
	 * destination (NONE: nothing). */
	bool said_wrong;
	enum pfa_fault_kind dst_fault;
	size_t dst_fault_at;
};

/* Something is wrong with m->dst. */
static inline void pfai_move_wrong_dst(struct pfai_move *m, enum pfa_fault_kind kind)
{
	m->dst_fault = kind;
	m->dst_fault_at = m->dst;
}

/* Isolates the block at m->src (m->zone, m->mode and m->function are set); m->order is its own then.
 * @return PFA_OK: its page lock is held, too; else nothing is held: PFA_EINVAL: no movable block; PFA_EBUSY, PFA_EAGAIN: refused; PFA_ESTOP: released;
 *         PFA_ECORRUPT. */
int pfai_move_isolate(struct pfa *p, struct pfai_move *m);

/* Gives the page lock of the isolated block up; what comes next takes it again. @return as pfai_movable_unlock(). */
int pfai_move_unlock(struct pfa *p, struct pfai_move *m);

/* The isolated block is put back, or let go if it was released. @return PFA_OK; PFA_ESTOP: released; PFA_ECORRUPT. */
int pfai_move_putback(struct pfa *p, struct pfai_move *m);

/* Moves the isolated block to m->dst, a block of m->order that is HEAD, or FREEING if m->taken, and the caller's; m->to is its zone. @return PFA_OK: moved; else src has been
 * put back or let go, and dst is the caller's, HEAD now if m->taken is no longer set: PFA_EAGAIN, PFA_EBUSY: the owner's word, or pinned; PFA_ESTOP:
 * released; PFA_EMISUSE: dst is no such block; PFA_ECORRUPT. */
int pfai_move_to(struct pfa *p, struct pfai_move *m);

/* What is the same for all blocks of a call. */
struct pfai_migration {
	const struct pfa_dest *dest;
	struct pfai_request rq; /* where dest has no take(): for each destination, but for its order */
	bool from_hand;         /* destinations come by way of the hand */
	bool has_hand;          /* it may keep something; who says so empties it in the end */
	struct pfai_hand hand;
	struct pfai_move move;  /* of the block at hand; mode, slot, self and function are the call's */
	struct pfai_zone *zone_ahead; /* of the block at move.ahead */
};

/* After dest, rq and move.function were set. many: more than one block comes. False: there are too many movers; then nothing is to be
 * ended. */
bool pfai_migration_begin(struct pfa *p, struct pfai_migration *call, bool many);

/* Moves the first of these blocks, one or several: returns how many. All but the last of them have moved; *result is the last one's, as
 * of pfa_migrate(). For blocks that lie near to each other: of the others the content is not asked for ahead, nor the translation. */
size_t pfai_migrate_blocks(struct pfa *p, const pfa_pfn heads[], size_t nr, struct pfai_migration *call, int *result);

#endif
