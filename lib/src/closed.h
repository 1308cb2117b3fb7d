/* SPDX-License-Identifier: MIT
 *
 * Layer 4: instances that answer no call any more: ended by pfa_fini(), or the child's copy of one whose frames belong to
 * the parent.
 *
 * The root may be read-only by then, so this is told by mutable words alone, and without a test in the fast paths: all
 * locks are DEAD. A try fails, a wait fails too, and on the way round each call finds the reason here.
 */
#ifndef PFAI_CLOSED_H
#define PFAI_CLOSED_H

#include "pagelock.h"
#include "pcpu.h"

/* Nobody else may be in a call, and no lock be wanted again. */
void pfai_close(struct pfa *p, enum pfai_closed why);

/* FORKED: PFA_ENOTSUP. ENDED: told as misuse, PFA_EMISUSE. */
int pfai_closed_code(const struct pfa *p, const char *function);

/* PFA_OK: the instance is open. To be asked by each function of the API, but on its fast path. */
static inline int pfai_closed(const struct pfa *p, const char *function)
{
	if (PFAI_UNLIKELY(pfai_load_relaxed(&p->st->closed)))
		return pfai_closed_code(p, function);
	return PFA_OK;
}

/* The same for functions that may not be called inside an owner's op: PFA_EDEADLK there. */
static inline int pfai_closed_or_inside(const struct pfa *p, const char *function)
{
	int closed = pfai_closed(p, function);
	if (closed != PFA_OK)
		return closed;
	return pfai_op_inside(p) ? PFA_EDEADLK : PFA_OK;
}

#endif
